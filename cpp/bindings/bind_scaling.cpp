// Columns of numbers, scaled.
#include "../core/scaling.hpp"

#include <pybind11/numpy.h>

#include "bind.hpp"
#include "locks.hpp"

namespace steepest {
namespace {

using Numbers = py::array_t<double, py::array::c_style | py::array::forcecast>;

constexpr double kWork = 10;  // flops that a number takes, divisions and a root among them

// values: (rows, columns), mean and scale: columns numbers
Numbers limit(const Numbers& values, const Numbers& mean, const Numbers& scale, double furthest) {
    const auto columns = values.ndim() == 2 ? values.shape(1) : -1;
    if (mean.size() != columns || scale.size() != columns) {
        throw py::value_error("expected rows of numbers, and a mean and a scale for each column");
    }
    Numbers out({values.shape(0), columns});
    const GilRelease release(kWork * static_cast<double>(values.size()));
    limit_smoothly(values.data(), static_cast<std::size_t>(values.shape(0)), static_cast<std::size_t>(columns), mean.data(),
                   scale.data(), furthest, out.mutable_data());
    return out;
}

}  // namespace

void bind_scaling(py::module_& m) {
    m.def("limit_smoothly", limit, py::arg("values"), py::arg("mean"), py::arg("scale"), py::arg("furthest"));
}

}  // namespace steepest
