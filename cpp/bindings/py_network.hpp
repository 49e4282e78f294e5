// A network as Python sees it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <variant>

#include "../core/passes.hpp"
#include "arrays.hpp"
#include "bind.hpp"
#include "locks.hpp"

namespace steepest {

template <class T>
struct NetworkParts {
    using Scalar = T;

    explicit NetworkParts(std::size_t n_in, std::uint64_t seed)
        : network(n_in, seed), predictor(network), differentiator(network) {}
    Network<T> network;
    Predictor<T> predictor;
    Differentiator<T> differentiator;
};

// The number type of a network, a trainer or the like.
template <class P>
using ScalarOf = typename std::decay_t<P>::Scalar;

// Row-major copies of matrices of a network, or of what stands beside it, of one moment. The arrays are made first, for
// that may run any Python code; and then filled by code that runs none, while the network is held to read.
template <class T>
class Copies {
public:
    explicit Copies(const Network<T>& network) : network_(network) {}

    void add(py::dict& into, const std::string& name, const Parameter<T>& parameter, const PanelMatrix<T>& from) {
        auto array =
            new_array<T>(parameter.is_vector ? std::vector{parameter.columns} : std::vector{parameter.rows, parameter.columns});
        parts_.push_back({&parameter, &from, array.mutable_data()});
        size_ += parameter.rows * parameter.columns;
        array.attr("setflags")(py::arg("write") = false);
        into[py::str(name)] = std::move(array);
    }
    // The parameters, and then the buffers, as `parameters` and `buffers` of a network have them.
    void add_values(py::dict& into) {
        for (const bool trained : {true, false}) {
            for (const auto& p : network_.parameters()) {
                if (p->trained == trained) add(into, p->name, *p, p->value);
            }
        }
    }
    // Fills the arrays, and calls f(), in the same moment.
    template <class F>
    void take(F f) const {
        const GilRelease released(static_cast<double>(size_));
        const ReadAccess access(network_.access());
        for (const Part& part : parts_) network_.read(*part.parameter, *part.from, part.to);
        f();
    }

private:
    struct Part {
        const Parameter<T>* parameter;
        const PanelMatrix<T>* from;
        T* to;
    };
    const Network<T>& network_;
    std::vector<Part> parts_;
    std::size_t size_ = 0;  // numbers
};

class PyNetwork {
public:
    PyNetwork(std::size_t n_in, const std::string& dtype, std::uint64_t seed) {
        if (choose<bool>(dtype, "dtype", {{"float32", true}, {"float64", false}})) {
            parts_ = std::make_unique<NetworkParts<float>>(n_in, seed);
        } else {
            parts_ = std::make_unique<NetworkParts<double>>(n_in, seed);
        }
    }

    // f(parts) with the parts of the network's dtype
    template <class F>
    decltype(auto) visit(F f) {
        return std::visit([&](auto& parts) -> decltype(auto) { return f(*parts); }, parts_);
    }
    // f(network)
    template <class F>
    decltype(auto) core(F f) {
        return visit([&](auto& parts) -> decltype(auto) { return f(parts.network); });
    }

    py::object predict(py::handle x_object, const py::object& out) {
        refuse_at_the_end();
        const Array x = read_array(x_object, "x");
        return visit([&](auto& parts) -> py::object {
            using T = ScalarOf<decltype(parts)>;
            auto y = output_array<T>(x.view.rows, parts.network.n_out(), out);
            if (!out.is_none() && !lies_apart(x.view, y.data(), static_cast<std::size_t>(y.nbytes()))) {
                // Rows are written while others are still to be read: elsewhere first.
                y[py::ellipsis()] = predict(x.object, py::none());
                return std::move(y);
            }
            auto* to = y.mutable_data();
            {
                const GilRelease released(2.0 * static_cast<double>(parts.network.state_size() * x.view.rows));
                parts.predictor.predict(x.view, to);
            }
            return std::move(y);
        });
    }

    py::object forward(py::handle x_object) {
        const Array x = read_array(x_object, "x");
        return visit([&](auto& parts) -> py::object {
            auto y = new_array<ScalarOf<decltype(parts)>>({x.view.rows, parts.network.n_out()});
            auto* to = y.mutable_data();
            const GilRelease released(2.0 * static_cast<double>(parts.network.state_size() * x.view.rows));
            parts.differentiator.forward(x.view, to);
            return std::move(y);
        });
    }

    py::object backward(py::handle dy_object) {
        const Array dy = read_array(dy_object, "dy");
        return visit([&](auto& parts) -> py::object {
            auto dx = new_array<ScalarOf<decltype(parts)>>({dy.view.rows, parts.network.n_in()});
            auto* to = dx.mutable_data();
            const GilRelease released(4.0 * static_cast<double>(parts.network.state_size() * dy.view.rows));
            parts.differentiator.backward(dy.view, to);
            return std::move(dx);
        });
    }

    // {name: row-major copy} of all parameters and then all buffers
    py::dict tensors() {
        return core([&](auto& network) {
            Copies<ScalarOf<decltype(network)>> copies(network);
            py::dict result;
            copies.add_values(result);
            copies.take([] {});
            return result;
        });
    }
    // {name: row-major copy} of those parameters for which select(parameter) gives a matrix
    template <class F>
    py::dict copies(F select) {
        return core([&](auto& network) {
            Copies<ScalarOf<decltype(network)>> copies(network);
            py::dict result;
            for (const auto& [parameter, from] : selected(network, select))
                copies.add(result, parameter->name, *parameter, *from);
            copies.take([] {});
            return result;
        });
    }
    py::dict parameters() {
        return copies([](auto& p) { return p.trained ? &p.value : nullptr; });
    }
    py::dict buffers() {
        return copies([](auto& p) { return p.trained ? nullptr : &p.value; });
    }
    py::dict gradients() {
        return copies([](auto& p) { return p.trained && p.gradient.buffer().data() ? &p.gradient : nullptr; });
    }

    void set_parameters(const py::dict& values) { blend(values, 1); }

    // Moves parameters the share `tau` of the way to `values`, and sets buffers to them.
    void blend(const py::dict& values, double tau) {
        core([&](auto& network) {
            using T = ScalarOf<decltype(network)>;
            std::vector<std::pair<const Parameter<T>*, std::vector<T>>> checked;
            for (const auto& [key, value] : values) {
                const std::string name = py::cast<std::string>(key);
                const Parameter<T>* found = network.find(name);
                if (!found) throw py::value_error("the network has no parameter '" + name + "'");
                checked.emplace_back(found, values_for(network, *found, value, name));
                const std::vector<T>& numbers = checked.back().second;
                if (found->is_variance && std::any_of(numbers.begin(), numbers.end(), [](T v) { return v < 0; })) {
                    throw py::value_error(name + " has a number below 0: expected variances");
                }
                for (std::size_t i = found->columns; found->increases && i < numbers.size(); ++i) {
                    if (numbers[i] > numbers[i - found->columns]) continue;
                    throw py::value_error(name + " does not increase in column " + std::to_string(i % found->columns) +
                                          ": expected points in order, each once");
                }
            }
            std::size_t size = 0;
            for (const auto& [parameter, numbers] : checked) size += numbers.size();
            if (tau == 1 && checked.size() == network.parameters().size()) network.access().mend();
            const GilRelease released(static_cast<double>(size));
            const WriteAccess access(network.access(), Claim::exclude);
            std::vector<T> own;
            for (auto& [parameter, numbers] : checked) {
                if (tau != 1 && parameter->trained) {
                    own.resize(numbers.size());
                    network.read(*parameter, parameter->value, own.data());
                    for (std::size_t i = 0; i < own.size(); ++i) {
                        numbers[i] = own[i] + static_cast<T>(tau) * (numbers[i] - own[i]);
                    }
                }
                network.write(*parameter, numbers.data(), parameter->value);
            }
        });
    }

    py::object state() {
        return core([](auto& network) -> py::object {
            using T = ScalarOf<decltype(network)>;
            auto flat = new_array<T>({network.state_size()});
            T* to = flat.mutable_data();
            const GilRelease released(static_cast<double>(flat.size()));
            const ReadAccess access(network.access());
            for (const auto& p : network.parameters()) {
                network.read(*p, p->value, to);
                to += p->rows * p->columns;
            }
            return std::move(flat);
        });
    }

    void restore(const py::array& state_) {
        const py::array state = py::array::ensure(state_, py::array::c_style);
        core([&](auto& network) {
            using T = ScalarOf<decltype(network)>;
            if (!state.dtype().equal(py::dtype::of<T>()) || state.ndim() != 1 ||
                static_cast<std::size_t>(state.size()) != network.state_size()) {
                throw py::value_error("state is not one of this network's");
            }
            const T* from = static_cast<const T*>(state.data());
            network.access().mend();
            const GilRelease released(static_cast<double>(network.state_size()));
            const WriteAccess access(network.access(), Claim::exclude);
            for (const auto& p : network.parameters()) {
                network.write(*p, from, p->value);
                from += p->rows * p->columns;
            }
        });
    }

    // The numbers of one array for a parameter, checked: its shape, and where `finite` the numbers.
    template <class N, class P>
    static std::vector<typename N::Scalar> values_for(const N&, const P& parameter, py::handle source, const std::string& name,
                                                      bool finite = true) {
        using T = typename N::Scalar;
        const Array array = read_array(source, name);
        const auto text = [](std::size_t rows, std::size_t columns, bool flat) {
            return flat ? "(" + std::to_string(flat && rows == 1 ? columns : rows) + ",)"
                        : "(" + std::to_string(rows) + ", " + std::to_string(columns) + ")";
        };
        const ArrayView& v = array.view;
        const bool fits = parameter.is_vector ? v.flat && v.rows == parameter.columns
                                              : !v.flat && v.rows == parameter.rows && v.columns == parameter.columns;
        if (!fits) {
            throw py::value_error(name + " has shape " + text(v.rows, v.columns, v.flat) + ", expected " +
                                  text(parameter.rows, parameter.columns, parameter.is_vector));
        }
        std::vector<T> values(v.rows * v.columns);
        for (std::size_t row = 0; row < v.rows; ++row) read_row(v, row, values.data() + row * v.columns);
        for (const T value : values) {
            if (finite && !std::isfinite(value)) throw_invalid<T>(v, {nullptr, 0, v.rows});
        }
        return values;
    }

private:
    std::variant<std::unique_ptr<NetworkParts<float>>, std::unique_ptr<NetworkParts<double>>> parts_;

    // (parameter, matrix) of those parameters for which select(parameter) gives one. A matrix that is there once stays.
    template <class N, class F>
    static auto selected(N& network, F select) {
        using T = typename N::Scalar;
        std::vector<std::pair<const Parameter<T>*, const PanelMatrix<T>*>> found;
        const ReadAccess access(network.access());
        for (const auto& p : network.parameters()) {
            if (const auto* from = select(*p)) found.emplace_back(p.get(), from);
        }
        return found;
    }
};

}  // namespace steepest
