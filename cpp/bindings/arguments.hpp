// What a call of a trainer is given.
#pragma once

#include <optional>
#include <string>

#include "../core/batch.hpp"
#include "arrays.hpp"

namespace steepest {

using Indices = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

// The arrays of one call, alive while the core reads them.
struct Arguments {
    Array x, y;
    std::optional<Array> weights;
    std::vector<std::size_t> places;
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

    Arguments(const Arguments&) = delete;

    // From now on these rows of the arrays are meant.
    [[gnu::noinline]] void choose(const Indices& rows, const std::string& prefix) {
        places.reserve(static_cast<std::size_t>(rows.size()));
        for (py::ssize_t i = 0; i < rows.size(); ++i) {
            const std::int64_t row = rows.data()[i];
            if (row < 0 || static_cast<std::size_t>(row) >= data.x.rows) {
                throw py::value_error(prefix + "rows has " + std::to_string(row) + " at " + std::to_string(i) +
                                      ": expected 0 to " + std::to_string(data.x.rows) + " - 1");
            }
            places.push_back(static_cast<std::size_t>(row));
        }
        data.places = &places;
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
