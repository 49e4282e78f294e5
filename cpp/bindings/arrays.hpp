// NumPy's arrays as views that the core reads, and as results that it fills.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../core/array_view.hpp"
#include "locks.hpp"

namespace py = pybind11;

namespace steepest {

// An array and the view of it that the core reads; the view is valid as long as this lives.
struct Array {
    py::array object;
    ArrayView view;
};

inline std::optional<Number> number_type(char kind, py::ssize_t size) {
    const auto integer = [size](Number n8, Number n16, Number n32, Number n64) -> std::optional<Number> {
        return size == 1 ? n8 : size == 2 ? n16 : size == 4 ? n32 : n64;
    };
    switch (kind) {
        case 'b': return Number::boolean;
        case 'i': return integer(Number::i8, Number::i16, Number::i32, Number::i64);
        case 'u': return integer(Number::u8, Number::u16, Number::u32, Number::u64);
        case 'f':
            if (size == 2) return Number::f16;
            if (size == 4) return Number::f32;
            if (size == 8) return Number::f64;
            break;
        default: break;
    }
    return std::nullopt;
}

// Raises the exception that a function of the package's leaf makes of these arguments.
template <class... Args>
[[noreturn, gnu::noinline]] void raise_from_leaf(const char* function, Args&&... args) {
    const py::object error = py::module_::import("steepest._arrays").attr(function)(std::forward<Args>(args)...);
    PyErr_SetObject(py::type::of(error).ptr(), error.ptr());
    throw py::error_already_set();
}

inline bool is_exactly_an_array(py::handle source) { return Py_TYPE(source.ptr()) == py::detail::npy_api::get().PyArray_Type_; }

// ValueError for what is masked: an array of a subclass of NumPy's, or a list of such.
[[gnu::noinline]] inline void refuse_masked(py::handle source, const std::string& name) {
    const auto refuse = [&name](py::handle given) {
        py::module_::import("steepest._arrays").attr("refuse_masked")(name, given);
    };
    if (py::isinstance<py::array>(source)) return refuse(source);
    if (!py::isinstance<py::list>(source) && !py::isinstance<py::tuple>(source)) return;
    for (const py::handle item : py::reinterpret_borrow<py::sequence>(source)) {
        if (py::isinstance<py::array>(item) && !is_exactly_an_array(item)) return refuse(source);
    }
}

// What NumPy makes of it; ValueError with this name where it cannot. Ctrl-C and a lack of memory are not its fault.
[[gnu::noinline]] inline py::array array_of(py::handle source, const std::string& name) {
    const RunningCall running;  // Python code that NumPy asks may give the GIL away
    refuse_masked(source, name);
    if (py::isinstance<py::array>(source)) return py::reinterpret_borrow<py::array>(source);
    try {
        return py::array(py::reinterpret_borrow<py::object>(source));
    } catch (const py::error_already_set& error) {
        if (!error.matches(PyExc_Exception) || error.matches(PyExc_MemoryError)) throw;
        raise_from_leaf("unreadable", name, source, error.value());
    }
}

// Whether an array's memory, from its first to its last number, lies apart from another's.
inline bool lies_apart(const ArrayView& view, const void* other, std::size_t bytes) {
    if (view.rows == 0 || view.columns == 0) return true;
    const std::ptrdiff_t down = static_cast<std::ptrdiff_t>(view.rows - 1) * view.row_stride;
    const std::ptrdiff_t across = static_cast<std::ptrdiff_t>(view.columns - 1) * view.column_stride;
    const char* const first = view.data + std::min<std::ptrdiff_t>(down, 0) + std::min<std::ptrdiff_t>(across, 0);
    const char* const last = view.data + std::max<std::ptrdiff_t>(down, 0) + std::max<std::ptrdiff_t>(across, 0) + 8;
    const char* const begin = static_cast<const char*>(other);
    return std::less_equal<>()(last, begin) || std::less_equal<>()(begin + bytes, first);
}

// The array's own structure is read directly: this is on the path of every call.
inline Array read_array(py::handle source, std::string name) {
    const bool is_array = is_exactly_an_array(source);
    if (!is_array && py::hasattr(source, "toarray")) {
        throw py::type_error(name + " is a sparse " + std::string(py::str(py::type::of(source).attr("__name__"))) +
                             ": expected a dense array, as by .toarray()");
    }
    py::array array = is_array ? py::reinterpret_borrow<py::array>(source) : array_of(source, name);
    const auto* type = py::detail::array_descriptor_proxy(py::detail::array_proxy(array.ptr())->descr);
    if (type->kind == 'f' && array.itemsize() > 8) {
        array = array.attr("astype")("float64");
        type = py::detail::array_descriptor_proxy(py::detail::array_proxy(array.ptr())->descr);
    }
    const auto number = number_type(type->kind, array.itemsize());
    const auto* a = py::detail::array_proxy(array.ptr());
    if (!number || (a->nd != 1 && a->nd != 2)) {
        raise_from_leaf("no_numbers", name, source, array);
    }
    ArrayView view;
    view.name = std::move(name);
    view.data = a->data;
    view.flat = a->nd == 1;
    view.rows = static_cast<std::size_t>(a->dimensions[0]);
    view.columns = view.flat ? 1 : static_cast<std::size_t>(a->dimensions[1]);
    view.row_stride = a->strides[0];
    view.column_stride = view.flat ? 0 : a->strides[1];
    view.type = *number;
    view.swapped = type->byteorder == '>';  // the hosts that this builds for are little-endian
    return {std::move(array), std::move(view)};
}

template <class T>
py::array_t<T> new_array(const std::vector<std::size_t>& shape) {
    return py::array_t<T>(std::vector<py::ssize_t>(shape.begin(), shape.end()));
}

// `out` where it is such an array, or a new one where it is None.
template <class T>
py::array_t<T> output_array(std::size_t rows, std::size_t columns, const py::object& out) {
    if (out.is_none()) return new_array<T>({rows, columns});
    if (!py::isinstance<py::array_t<T>>(out)) throw py::value_error("out has another dtype than the network");
    if (!is_exactly_an_array(out)) refuse_masked(out, "out");
    auto array = py::reinterpret_borrow<py::array_t<T>>(out);
    if (array.ndim() != 2 || static_cast<std::size_t>(array.shape(0)) != rows ||
        static_cast<std::size_t>(array.shape(1)) != columns || !(array.flags() & py::array::c_style) || !array.writeable()) {
        throw py::value_error("out is not a writeable C-contiguous array of shape (" + std::to_string(rows) + ", " +
                              std::to_string(columns) + ")");
    }
    return array;
}

}  // namespace steepest
