// What a call of a trainer is given.
#pragma once

#include <optional>
#include <string>

#include "../core/batch.hpp"
#include "arrays.hpp"

namespace steepest {

// The arrays of one call, alive while the core reads them.
struct Arguments {
    Array x, y;
    std::optional<Array> weights;
    Data data;

    // `custom_loss`: y is for a function of the caller's alone, and may be any array with a row for each of x.
    Arguments(py::handle x_object, py::handle y_object, const py::object& weights_object, bool custom_loss,
              const std::string& prefix = "")
        : x(read_array(x_object, prefix + "x")),
          y(custom_loss ? any_rows(y_object, prefix + "y") : read_array(y_object, prefix + "y")) {
        data.x = x.view;
        data.y = y.view;
        if (weights_object.is_none()) return;
        weights = read_array(weights_object, prefix + "sample_weight");
        data.weights = weights->view;
    }

    [[gnu::noinline]] static Array any_rows(py::handle source, std::string name) {
        py::array array = is_exactly_an_array(source) ? py::reinterpret_borrow<py::array>(source) : array_of(source, name);
        if (array.ndim() == 0) {
            throw py::value_error(name + " is not an array with rows: " + std::string(py::str(py::type::of(source))));
        }
        ArrayView view;
        view.name = std::move(name);
        view.flat = true;
        view.rows = static_cast<std::size_t>(array.shape(0));
        return {std::move(array), std::move(view)};
    }
};

}  // namespace steepest
