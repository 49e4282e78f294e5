// The parts that the module is bound in, and what they share.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <initializer_list>
#include <string>
#include <utility>

namespace py = pybind11;

namespace steepest {

void bind_course(py::module_& m);  // after the trainer, which it takes
void bind_host(py::module_& m);
void bind_kernels(py::module_& m);
void bind_network(py::module_& m);
void bind_tables(py::module_& m);
void bind_trainer(py::module_& m);  // after the network, which its constructor takes

// The value of the option that goes by this name.
template <class E>
E choose(const std::string& name, const char* what, std::initializer_list<std::pair<const char*, E>> table) {
    std::string known;
    for (const auto& [text, value] : table) {
        if (name == text) return value;
        known += std::string(known.empty() ? "" : ", ") + text;
    }
    throw py::value_error("unknown " + std::string(what) + " '" + name + "', expected one of " + known);
}

}  // namespace steepest
