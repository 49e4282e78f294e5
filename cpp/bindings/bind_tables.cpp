// Columns of a table: numbers that are scaled, and encoded rows that become features.
#include <pybind11/numpy.h>

#include <algorithm>

#include "../core/expansion.hpp"
#include "../core/host.hpp"
#include "../core/scaling.hpp"
#include "bind.hpp"
#include "locks.hpp"

namespace steepest {
namespace {

// Copies of what is strided, misaligned or of another type.
template <class T>
using Rows = py::array_t<T, py::array::c_style | py::array::forcecast | py::detail::npy_api::NPY_ARRAY_ALIGNED_>;

constexpr double kScalingWork = 10;               // flops that a number takes
constexpr std::size_t kFeaturesAtOnce = 1 << 20;  // between looks at whether Ctrl-C is due

// values: (rows, columns), mean and scale: columns numbers
Rows<double> limit(const Rows<double>& values, const Rows<double>& mean, const Rows<double>& scale, double furthest) {
    const auto columns = values.ndim() == 2 ? values.shape(1) : -1;
    if (mean.size() != columns || scale.size() != columns) {
        throw py::value_error("expected rows of numbers, and a mean and a scale for each column");
    }
    Rows<double> out({values.shape(0), columns});
    const GilRelease release(kScalingWork * static_cast<double>(values.size()));
    limit_smoothly(values.data(), static_cast<std::size_t>(values.shape(0)), static_cast<std::size_t>(columns), mean.data(),
                   scale.data(), furthest, out.mutable_data());
    return out;
}

using PartTuple = std::tuple<std::optional<std::vector<double>>, bool, std::size_t, std::size_t>;

Expansion make_expansion(const std::vector<PartTuple>& given) {
    std::vector<Part> parts;
    for (const auto& [edges, indicator, slots, ready] : given) {
        parts.push_back({edges.has_value(), edges.value_or(std::vector<double>()), indicator, slots, ready});
    }
    return Expansion(std::move(parts));
}

py::array_t<float> expand(const Expansion& expansion, const Rows<double>& numbers, const Rows<std::int32_t>& codes,
                          const Rows<float>& ready) {
    const auto n = numbers.ndim() == 2 ? numbers.shape(0) : -1;
    const auto fits = [n](const py::array& rows, std::size_t columns) {
        return rows.ndim() == 2 && rows.shape(0) == n && static_cast<std::size_t>(rows.shape(1)) == columns;
    };
    if (!fits(numbers, expansion.n_numbers()) || !fits(codes, expansion.n_codes()) || !fits(ready, expansion.n_ready())) {
        throw py::value_error("expected the numbers, codes and ready features of the same rows");
    }
    py::array_t<float> out({n, static_cast<py::ssize_t>(expansion.n_features())});
    const GilRelease release(kExpandWork * static_cast<double>(out.size()));
    const auto rows = static_cast<std::size_t>(n);
    Poll poll;
    const std::size_t some = kFeaturesAtOnce / std::max<std::size_t>(expansion.n_features(), 1) + 1;
    for (std::size_t first = 0; first < rows; first += some) {
        expansion.expand(numbers.data() + first * expansion.n_numbers(), codes.data() + first * expansion.n_codes(),
                         ready.data() + first * expansion.n_ready(), std::min(some, rows - first),
                         out.mutable_data() + first * expansion.n_features());
        poll.look();
    }
    return out;
}

}  // namespace

void bind_tables(py::module_& m) {
    m.def("limit_smoothly", limit, py::arg("values"), py::arg("mean"), py::arg("scale"), py::arg("furthest"));
    py::class_<Expansion>(m, "Expansion")
        .def(py::init(&make_expansion), py::arg("parts"))
        .def_property_readonly("n_numbers", &Expansion::n_numbers)
        .def_property_readonly("n_codes", &Expansion::n_codes)
        .def_property_readonly("n_ready", &Expansion::n_ready)
        .def_property_readonly("n_features", &Expansion::n_features)
        .def("expand", expand, py::arg("numbers"), py::arg("codes"), py::arg("ready"));
}

}  // namespace steepest
