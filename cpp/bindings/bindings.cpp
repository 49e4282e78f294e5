// Python's view of the core: check, take pointers, release the GIL, call, return. Nothing here computes.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <atomic>
#include <cmath>
#include <optional>
#include <variant>

#include "../core/dispatch.hpp"
#include "../core/parallel.hpp"
#include "../core/passes.hpp"
#include "../core/trainer.hpp"

namespace py = pybind11;
using namespace steepest;

namespace {

// ---- arrays ----------------------------------------------------------------------------------------------------

// An array and the view of it that the core reads; the view is valid as long as this lives.
struct Array {
    py::array object;
    ArrayView view;
};

std::optional<Number> number_type(char kind, py::ssize_t size) {
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

// The array's own structure is read directly: this is on the path of every call.
Array read_array(py::handle source, std::string name) {
    py::array array = py::isinstance<py::array>(source) ? py::reinterpret_borrow<py::array>(source) : py::array::ensure(source);
    if (!array) {
        PyErr_Clear();
        throw py::value_error(name + " is not an array of numbers: " + std::string(py::str(py::type::of(source))));
    }
    const auto* type = py::detail::array_descriptor_proxy(py::detail::array_proxy(array.ptr())->descr);
    if (type->kind == 'f' && array.itemsize() > 8) {
        array = array.attr("astype")("float64");
        type = py::detail::array_descriptor_proxy(py::detail::array_proxy(array.ptr())->descr);
    }
    const auto number = number_type(type->kind, array.itemsize());
    if (!number) throw py::value_error(name + " has dtype " + std::string(py::str(array.dtype())) + ", expected real numbers");
    const auto* a = py::detail::array_proxy(array.ptr());
    if (a->nd != 1 && a->nd != 2) {
        throw py::value_error(name + " has " + std::to_string(a->nd) + " dimensions, expected 1 or 2");
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

// Releases the GIL for `flops` of work, unless it is done before another thread could take a turn.
class Unlocked {
public:
    explicit Unlocked(double flops) {
        if (flops > 1e5) release_.emplace();
    }

private:
    std::optional<py::gil_scoped_release> release_;
};

template <class T>
py::array_t<T> new_array(const std::vector<std::size_t>& shape) {
    return py::array_t<T>(std::vector<py::ssize_t>(shape.begin(), shape.end()));
}

template <class E>
E choose(const std::string& name, const char* what, std::initializer_list<std::pair<const char*, E>> table) {
    std::string known;
    for (const auto& [text, value] : table) {
        if (name == text) return value;
        known += std::string(known.empty() ? "" : ", ") + text;
    }
    throw py::value_error("unknown " + std::string(what) + " '" + name + "', expected one of " + known);
}

// `out` where it is such an array, or a new one where it is None.
template <class T>
py::array_t<T> output_array(std::size_t rows, std::size_t columns, const py::object& out) {
    if (out.is_none()) return new_array<T>({rows, columns});
    if (!py::isinstance<py::array_t<T>>(out)) throw py::value_error("out has another dtype than the network");
    auto array = py::reinterpret_borrow<py::array_t<T>>(out);
    if (array.ndim() != 2 || static_cast<std::size_t>(array.shape(0)) != rows ||
        static_cast<std::size_t>(array.shape(1)) != columns || !(array.flags() & py::array::c_style) || !array.writeable()) {
        throw py::value_error("out is not a writeable C-contiguous array of shape (" + std::to_string(rows) + ", " +
                              std::to_string(columns) + ")");
    }
    return array;
}

// ---- networks --------------------------------------------------------------------------------------------------

template <class T>
struct NetworkParts {
    explicit NetworkParts(std::size_t n_in, std::uint64_t seed)
        : network(n_in, seed), predictor(network), differentiator(network) {}
    Network<T> network;
    Predictor<T> predictor;
    Differentiator<T> differentiator;
};

// One user at a time; a second thread is told so instead of racing the first.
class Turn {
public:
    explicit Turn(std::atomic<bool>& busy) : busy_(busy) {
        if (busy.exchange(true)) throw std::runtime_error("this object is at work in another thread");
    }
    ~Turn() { busy_ = false; }
    Turn(const Turn&) = delete;

private:
    std::atomic<bool>& busy_;
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
        const Array x = read_array(x_object, "x");
        return visit([&](auto& parts) -> py::object {
            auto y =
                output_array<typename std::decay_t<decltype(parts.network)>::Scalar>(x.view.rows, parts.network.n_out(), out);
            auto* to = y.mutable_data();
            {
                const Unlocked unlocked(2.0 * static_cast<double>(parts.network.state_size() * x.view.rows));
                parts.predictor.predict(x.view, to);
            }
            return std::move(y);
        });
    }

    py::object forward(py::handle x_object) {
        const Array x = read_array(x_object, "x");
        return visit([&](auto& parts) -> py::object {
            auto y = output_array<typename std::decay_t<decltype(parts.network)>::Scalar>(x.view.rows, parts.network.n_out(),
                                                                                          py::none());
            auto* to = y.mutable_data();
            const py::gil_scoped_release release;
            const Turn turn(busy_);
            parts.differentiator.forward(x.view, to);
            return std::move(y);
        });
    }

    py::object backward(py::handle dy_object) {
        const Array dy = read_array(dy_object, "dy");
        return visit([&](auto& parts) -> py::object {
            auto dx = output_array<typename std::decay_t<decltype(parts.network)>::Scalar>(parts.differentiator.rows(),
                                                                                           parts.network.n_in(), py::none());
            auto* to = dx.mutable_data();
            const py::gil_scoped_release release;
            const Turn turn(busy_);
            parts.differentiator.backward(dy.view, to);
            return std::move(dx);
        });
    }

    // {name: row-major copy} of those parameters for which select(parameter) gives a matrix
    template <class F>
    py::dict copies(F select) {
        return core([&](auto& network) {
            py::dict result;
            for (const auto& p : network.parameters()) {
                if (const auto* from = select(*p)) result[py::str(p->name)] = copy_of(network, *p, *from);
            }
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

    void set_parameters(const py::dict& values) {
        core([&](auto& network) {
            using T = typename std::decay_t<decltype(network)>::Scalar;
            std::vector<std::pair<const Parameter<T>*, std::vector<T>>> checked;
            for (const auto& [key, value] : values) {
                const std::string name = py::cast<std::string>(key);
                const Parameter<T>* found = nullptr;
                for (const auto& p : network.parameters()) {
                    if (p->name == name) found = p.get();
                }
                if (!found) throw py::value_error("the network has no parameter '" + name + "'");
                checked.emplace_back(found, values_for(network, *found, value, name));
            }
            for (const auto& [parameter, numbers] : checked) network.write(*parameter, numbers.data(), parameter->value);
        });
    }

    py::object state() {
        return core([](auto& network) -> py::object {
            using T = typename std::decay_t<decltype(network)>::Scalar;
            auto flat = new_array<T>({network.state_size()});
            T* to = flat.mutable_data();
            for (const auto& p : network.parameters()) {
                network.read(*p, p->value, to);
                to += p->rows * p->columns;
            }
            return std::move(flat);
        });
    }

    void restore(const py::array& state) {
        core([&](auto& network) {
            using T = typename std::decay_t<decltype(network)>::Scalar;
            if (!state.dtype().is(py::dtype::of<T>()) || state.ndim() != 1 ||
                static_cast<std::size_t>(state.size()) != network.state_size()) {
                throw py::value_error("state is not one of this network's");
            }
            const T* from = static_cast<const T*>(state.data());
            for (const auto& p : network.parameters()) {
                network.write(*p, from, p->value);
                from += p->rows * p->columns;
            }
        });
    }

    template <class N, class P, class M>
    static py::object copy_of(const N& network, const P& parameter, const M& from) {
        auto array = new_array<typename N::Scalar>(parameter.is_vector ? std::vector{parameter.columns}
                                                                       : std::vector{parameter.rows, parameter.columns});
        network.read(parameter, from, array.mutable_data());
        array.attr("setflags")(py::arg("write") = false);
        return std::move(array);
    }

    // The numbers of one array for a parameter, checked.
    template <class N, class P>
    static std::vector<typename N::Scalar> values_for(const N&, const P& parameter, py::handle source,
                                                      const std::string& name) {
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
            if (!std::isfinite(value)) refuse<T>(v, {nullptr, 0, v.rows});
        }
        return values;
    }

private:
    std::variant<std::unique_ptr<NetworkParts<float>>, std::unique_ptr<NetworkParts<double>>> parts_;
    std::atomic<bool> busy_{false};
};

// ---- training --------------------------------------------------------------------------------------------------

// The arrays of one call, alive while the core reads them.
struct Arguments {
    Array x, y;
    std::optional<Array> weights;
    Data data;

    Arguments(py::handle x_object, py::handle y_object, const py::object& weights_object, const std::string& prefix = "")
        : x(read_array(x_object, prefix + "x")), y(read_array(y_object, prefix + "y")) {
        data.x = x.view;
        data.y = y.view;
        if (weights_object.is_none()) return;
        weights = read_array(weights_object, prefix + "sample_weight");
        data.weights = weights->view;
    }
};

class PyTrainer {
public:
    PyTrainer(PyNetwork& network, const std::string& loss, double parameter, const Optimizer& optimizer, std::uint64_t seed) {
        const LossSpec spec{choose<Loss>(loss, "loss",
                                         {{"mse", Loss::mse},
                                          {"mae", Loss::mae},
                                          {"huber", Loss::huber},
                                          {"quantile", Loss::quantile},
                                          {"cross_entropy", Loss::cross_entropy},
                                          {"binary_cross_entropy", Loss::binary_cross_entropy},
                                          {"poisson", Loss::poisson}}),
                            parameter};
        network.core([&](auto& core) {
            using T = typename std::decay_t<decltype(core)>::Scalar;
            trainer_ = std::make_unique<Trainer<T>>(core, spec, optimizer, seed);
        });
    }

    template <class F>
    decltype(auto) visit(F f) {
        return std::visit([&](auto& trainer) -> decltype(auto) { return f(*trainer); }, trainer_);
    }

    // f(trainer) with nobody else at work on it, and without the GIL for work on more than a few rows
    template <class F>
    auto work(std::size_t rows, F f) {
        const Turn turn(busy_);
        const double size = static_cast<double>(visit([](auto& trainer) { return trainer.network().state_size(); }));
        const Unlocked unlocked(6.0 * size * static_cast<double>(rows));
        return visit(f);
    }

    double step(py::handle x, py::handle y, const py::object& weights) {
        const Arguments arguments(x, y, weights);
        return work(arguments.data.x.rows, [&](auto& trainer) { return trainer.step(arguments.data); });
    }

    std::size_t check(py::handle x, py::handle y, const py::object& weights, const std::string& prefix) {
        const Arguments arguments(x, y, weights, prefix);
        work(arguments.data.x.rows, [&](auto& trainer) { trainer.check(arguments.data); });
        return arguments.data.x.rows;
    }

    double run_epoch(py::handle x, py::handle y, const py::object& weights, std::size_t batch_size, bool shuffle,
                     const py::object& wake) {
        const Arguments arguments(x, y, weights);
        const auto on_wake = [&](std::size_t rows, double loss) {
            const py::gil_scoped_acquire acquire;
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
            if (!wake.is_none()) wake(rows, loss);
        };
        return work(arguments.data.x.rows,
                    [&](auto& trainer) { return trainer.run_epoch(arguments.data, batch_size, shuffle, on_wake); });
    }

    py::dict evaluate(py::handle x, py::handle y, const py::object& weights) {
        const Arguments arguments(x, y, weights);
        const Metrics metrics = work(arguments.data.x.rows, [&](auto& trainer) { return trainer.evaluate(arguments.data); });
        py::dict result;
        result["loss"] = metrics.loss;
        switch (visit([](auto& trainer) { return trainer.loss().loss; })) {
            case Loss::cross_entropy:
            case Loss::binary_cross_entropy: result["accuracy"] = metrics.accuracy; break;
            case Loss::poisson: break;
            default:
                result["r2"] = metrics.r2;
                result["rmse"] = metrics.rmse;
                result["mae"] = metrics.mae;
        }
        return result;
    }

    void set_schedule(const py::object& schedule) {
        schedule_ = schedule;
        visit([&](auto& trainer) {
            trainer.schedule = nullptr;
            if (schedule.is_none()) return;
            trainer.schedule = [this](std::uint64_t step) {
                const py::gil_scoped_acquire acquire;
                return py::cast<double>(schedule_(step));
            };
        });
    }
    py::object schedule() const { return schedule_; }

    py::dict state() {
        return visit([](auto& trainer) {
            py::dict result;
            for (const int which : {1, 2}) {
                each_slot(trainer, which, [&](const auto& parameter, const auto& slot, const std::string& name) {
                    result[py::str(name)] = PyNetwork::copy_of(trainer.network(), parameter, slot);
                });
            }
            const py::object asarray = py::module_::import("numpy").attr("asarray");
            result["n_steps"] = asarray(trainer.n_steps, "uint64");
            result["epoch"] = asarray(trainer.epoch, "uint64");
            result["learning_rate"] = asarray(trainer.learning_rate, "float64");
            return result;
        });
    }

    void restore(const py::dict& state) {
        visit([&](auto& trainer) {
            using T = typename std::decay_t<decltype(trainer)>::Scalar;
            const auto entry = [&](const std::string& name) {
                if (!state.contains(name)) throw py::value_error("state has no '" + name + "'");
                return py::object(state[py::str(name)]);
            };
            std::vector<std::vector<T>> values;
            const auto both = [&](auto f) {
                for (const int which : {1, 2}) each_slot(trainer, which, f);
            };
            both([&](const auto& parameter, const auto&, const std::string& name) {
                values.push_back(PyNetwork::values_for(trainer.network(), parameter, entry(name), name));
            });
            const auto n_steps = py::cast<std::uint64_t>(entry("n_steps").attr("item")());
            const auto epoch = py::cast<std::uint32_t>(entry("epoch").attr("item")());
            const auto learning_rate = py::cast<double>(entry("learning_rate").attr("item")());
            std::size_t next = 0;
            both([&](const auto& parameter, const auto& slot, const std::string&) {
                trainer.network().write(parameter, values[next++].data(), slot);
            });
            trainer.n_steps = n_steps;
            trainer.epoch = epoch;
            trainer.learning_rate = learning_rate;
        });
    }

private:
    // f(parameter, its slot, the slot's name) for every slot that the optimiser keeps
    template <class Core, class F>
    static void each_slot(const Core& trainer, int which, F f) {
        const auto& parameters = trainer.network().parameters();
        for (std::size_t i = 0; i < parameters.size(); ++i) {
            const auto& slot = trainer.slots(which)[i];
            if (slot.buffer().data()) f(*parameters[i], slot, parameters[i]->name + ".slot" + std::to_string(which));
        }
    }

    std::variant<std::unique_ptr<Trainer<float>>, std::unique_ptr<Trainer<double>>> trainer_;
    py::object schedule_ = py::none();
    std::atomic<bool> busy_{false};
};

// ---- the module ------------------------------------------------------------------------------------------------

template <class T>
py::dict addresses(const Kernels<T>& k) {
    py::dict table;
    table["lanes"] = k.lanes;
    table["panel"] = k.panel;
    table["tile_rows"] = k.tile_rows;
    table["scratch"] = k.scratch;
    const auto add = [&](const char* name, auto function) { table[name] = reinterpret_cast<std::uintptr_t>(function); };
    add("forward", k.forward);
    add("input_gradient", k.input_gradient);
    add("weight_gradient", k.weight_gradient);
    add("activate", k.activate);
    add("activate_gradient", k.activate_gradient);
    add("add", k.add);
    add("loss", k.loss);
    add("dropout", k.dropout);
    add("batch_norm", k.batch_norm);
    add("batch_norm_gradient", k.batch_norm_gradient);
    add("layer_norm", k.layer_norm);
    add("layer_norm_gradient", k.layer_norm_gradient);
    add("layer_norm_sums", k.layer_norm_sums);
    add("update", k.update);
    add("sum_squares", k.sum_squares);
    add("gather_row", k.gather_row);
    add("scatter_row", k.scatter_row);
    return table;
}

py::dict kernel_table(const std::string& isa, const std::string& dtype) {
    const bool single = choose<bool>(dtype, "dtype", {{"float32", true}, {"float64", false}});
    return single ? addresses(*find_isa(isa).f32) : addresses(*find_isa(isa).f64);
}

py::dict build_info() {
    py::dict info;
    info["version"] = STEEPEST_VERSION;
    info["isa"] = current_isa().name;
    info["available_isas"] = available_isas();
    info["threads"] = get_num_threads();
    info["compiler"] = STEEPEST_COMPILER;
    return info;
}

void translate_divergence(py::handle type, const Diverged& error) {
    py::object instance = py::reinterpret_borrow<py::object>(type)(error.what());
    instance.attr("epoch") = error.epoch;
    instance.attr("step") = error.step;
    instance.attr("learning_rate") = error.learning_rate;
    instance.attr("loss") = error.loss;
    PyErr_SetObject(type.ptr(), instance.ptr());
}

}  // namespace

PYBIND11_MODULE(_core, m) {
    m.doc() = "The compiled core: networks, training and threads, without any convenience. Use `steepest` instead.";
    m.attr("__version__") = STEEPEST_VERSION;
    current_isa();  // an unknown STEEPEST_ISA is reported at import
    get_num_threads();

    static py::handle diverged = PyErr_NewExceptionWithDoc(
        "steepest.DivergedError",
        "Training met a loss that is not finite; `epoch`, `step`, `learning_rate` and `loss` say where.", PyExc_ArithmeticError,
        nullptr);
    m.attr("DivergedError") = diverged;
    py::register_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const Diverged& found) {
            translate_divergence(diverged, found);
        }
    });

    m.def("set_num_threads", &set_num_threads, py::arg("n"));
    m.def("get_num_threads", &get_num_threads);
    m.def("set_isa", &set_isa, py::arg("name"));
    m.def("build_info", &build_info);
    m.def(
        "philox",
        [](const Words& counter, const std::array<std::uint32_t, 2>& key) {
            const Words words = philox(counter, std::uint64_t{key[1]} << 32 | key[0]);
            return py::make_tuple(words[0], words[1], words[2], words[3]);
        },
        py::arg("counter"), py::arg("key"));
    m.def("kernel_table", &kernel_table, py::arg("isa"), py::arg("dtype"));

    py::class_<PyNetwork>(m, "Network")
        .def(py::init<std::size_t, const std::string&, std::uint64_t>(), py::arg("n_in"), py::arg("dtype"), py::arg("seed"))
        .def(
            "add_dense",
            [](PyNetwork& self, const std::string& name, std::size_t n_out, bool bias, const std::string& init) {
                const Init scheme = choose<Init>(init, "init",
                                                 {{"zeros", Init::zeros},
                                                  {"he_uniform", Init::he_uniform},
                                                  {"he_normal", Init::he_normal},
                                                  {"glorot_uniform", Init::glorot_uniform},
                                                  {"glorot_normal", Init::glorot_normal},
                                                  {"lecun_uniform", Init::lecun_uniform},
                                                  {"lecun_normal", Init::lecun_normal}});
                self.core([&](auto& n) { n.add_dense(name, n_out, bias, scheme); });
            },
            py::arg("name"), py::arg("n_out"), py::arg("bias"), py::arg("init"))
        .def(
            "add_activation",
            [](PyNetwork& self, const std::string& activation, double alpha) {
                const Activation kind = choose<Activation>(activation, "activation",
                                                           {{"identity", Activation::identity},
                                                            {"relu", Activation::relu},
                                                            {"leaky_relu", Activation::leaky_relu},
                                                            {"elu", Activation::elu},
                                                            {"selu", Activation::selu},
                                                            {"gelu", Activation::gelu},
                                                            {"silu", Activation::silu},
                                                            {"sigmoid", Activation::sigmoid},
                                                            {"tanh", Activation::tanh},
                                                            {"softplus", Activation::softplus},
                                                            {"mish", Activation::mish}});
                self.core([&](auto& n) { n.add_activation(kind, alpha); });
            },
            py::arg("activation"), py::arg("alpha"))
        .def(
            "add_dropout", [](PyNetwork& self, double p) { self.core([&](auto& n) { n.add_dropout(p); }); }, py::arg("p"))
        .def(
            "add_batch_norm",
            [](PyNetwork& self, const std::string& name, double momentum, double eps) {
                self.core([&](auto& n) { n.add_batch_norm(name, momentum, eps); });
            },
            py::arg("name"), py::arg("momentum"), py::arg("eps"))
        .def(
            "add_layer_norm",
            [](PyNetwork& self, const std::string& name, double eps) {
                self.core([&](auto& n) { n.add_layer_norm(name, eps); });
            },
            py::arg("name"), py::arg("eps"))
        .def("begin_residual", [](PyNetwork& self) { self.core([](auto& n) { n.begin_residual(); }); })
        .def("end_residual", [](PyNetwork& self) { self.core([](auto& n) { n.end_residual(); }); })
        .def_property_readonly("n_in", [](PyNetwork& self) { return self.core([](auto& n) { return n.n_in(); }); })
        .def_property_readonly("n_out", [](PyNetwork& self) { return self.core([](auto& n) { return n.n_out(); }); })
        .def_property_readonly("dtype",
                               [](PyNetwork& self) {
                                   return self.core([](auto& n) {
                                       return sizeof(typename std::decay_t<decltype(n)>::Scalar) == 4 ? "float32" : "float64";
                                   });
                               })
        .def_property_readonly("isa", [](PyNetwork& self) { return self.core([](auto& n) { return n.isa().name; }); })
        .def("predict", &PyNetwork::predict, py::arg("x"), py::arg("out") = py::none())
        .def("forward", &PyNetwork::forward, py::arg("x"))
        .def("backward", &PyNetwork::backward, py::arg("dy"))
        .def("parameters", &PyNetwork::parameters)
        .def("buffers", &PyNetwork::buffers)
        .def("gradients", &PyNetwork::gradients)
        .def("set_parameters", &PyNetwork::set_parameters, py::arg("values"))
        .def("is_finite", [](PyNetwork& self) { return self.core([](auto& n) { return n.is_finite(); }); })
        .def("state", &PyNetwork::state)
        .def("restore", &PyNetwork::restore, py::arg("state"));

    py::class_<Optimizer>(m, "Optimizer")
        .def(py::init([](const std::string& rule) {
                 Optimizer optimizer;
                 optimizer.rule =
                     choose<Rule>(rule, "rule", {{"sgd", Rule::sgd}, {"adam", Rule::adam}, {"rmsprop", Rule::rmsprop}});
                 return optimizer;
             }),
             py::arg("rule"))
        .def_readwrite("lr", &Optimizer::lr)
        .def_readwrite("momentum", &Optimizer::momentum)
        .def_readwrite("nesterov", &Optimizer::nesterov)
        .def_readwrite("beta1", &Optimizer::beta1)
        .def_readwrite("beta2", &Optimizer::beta2)
        .def_readwrite("eps", &Optimizer::eps)
        .def_readwrite("weight_decay", &Optimizer::weight_decay)
        .def_readwrite("decoupled", &Optimizer::decoupled)
        .def_readwrite("clip_value", &Optimizer::clip_value)
        .def_readwrite("clip_norm", &Optimizer::clip_norm);

    const auto none = py::none();
    py::class_<PyTrainer>(m, "Trainer")
        .def(py::init<PyNetwork&, const std::string&, double, const Optimizer&, std::uint64_t>(), py::arg("network"),
             py::arg("loss"), py::arg("parameter"), py::arg("optimizer"), py::arg("seed"), py::keep_alive<1, 2>())
        .def_property(
            "learning_rate", [](PyTrainer& self) { return self.visit([](auto& t) { return t.learning_rate; }); },
            [](PyTrainer& self, double rate) { self.visit([&](auto& t) { t.learning_rate = rate; }); })
        .def_property(
            "epoch", [](PyTrainer& self) { return self.visit([](auto& t) { return t.epoch; }); },
            [](PyTrainer& self, std::uint32_t epoch) { self.visit([&](auto& t) { t.epoch = epoch; }); })
        .def_property("schedule", &PyTrainer::schedule, &PyTrainer::set_schedule)
        .def_property_readonly("n_steps", [](PyTrainer& self) { return self.visit([](auto& t) { return t.n_steps; }); })
        .def("step", &PyTrainer::step, py::arg("x"), py::arg("y"), py::arg("sample_weight") = none)
        .def("check", &PyTrainer::check, py::arg("x"), py::arg("y"), py::arg("sample_weight"), py::arg("prefix"))
        .def("run_epoch", &PyTrainer::run_epoch, py::arg("x"), py::arg("y"), py::arg("sample_weight"), py::arg("batch_size"),
             py::arg("shuffle"), py::arg("wake"))
        .def("evaluate", &PyTrainer::evaluate, py::arg("x"), py::arg("y"), py::arg("sample_weight"))
        .def("state", &PyTrainer::state)
        .def("restore", &PyTrainer::restore, py::arg("state"))
        .def("reset", [](PyTrainer& self) { self.visit([](auto& t) { t.reset(); }); });
}
