// Python's view of the core: check, take pointers, release the GIL, call, return. Nothing here computes.
#include <pybind11/stl.h>

#include "../core/dispatch.hpp"
#include "../core/parallel.hpp"
#include "../core/random.hpp"
#include "py_trainer.hpp"

using namespace steepest;

// For controllers of thread pools, which find libraries by their symbols and call them without Python.
extern "C" {
[[gnu::visibility("default")]] int steepest_get_num_threads() { return static_cast<int>(get_num_threads()); }
[[gnu::visibility("default")]] void steepest_set_num_threads(int n) {
    set_num_threads(n < 1 ? 1 : static_cast<std::size_t>(n));
}
}

namespace {

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
    add("count_buckets", k.count_buckets);
    add("collect_bucket", k.collect_bucket);
    add("update_selected", k.update_selected);
    add("gather_rows", k.gather_rows);
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
        .def_property_readonly(
            "dtype",
            [](PyNetwork& self) {
                return self.core([](auto& n) { return sizeof(ScalarOf<decltype(n)>) == 4 ? "float32" : "float64"; });
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
        .def(
            "set_lr_multiplier",
            [](PyNetwork& self, const std::string& layer, double multiplier) {
                self.core([&](auto& n) { n.set_lr_multiplier(layer, multiplier); });
            },
            py::arg("layer"), py::arg("multiplier"))
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
        .def_readwrite("clip_norm", &Optimizer::clip_norm)
        .def_readwrite("fraction", &Optimizer::fraction)
        .def_readwrite("across", &Optimizer::across);

    py::class_<PyEvaluation>(m, "Evaluation")
        .def(
            "add",
            [](PyEvaluation& self, py::handle x, py::handle y, const py::object& weights) {
                self.trainer.measure(self.evaluation, x, y, weights);
            },
            py::arg("x"), py::arg("y"), py::arg("sample_weight"))
        .def("results", [](PyEvaluation& self) {
            py::dict result;
            for (const auto& [name, value] : self.evaluation.results()) result[py::str(name)] = value;
            return result;
        });

    const auto none = py::none();
    py::class_<PyTrainer>(m, "Trainer")
        .def(py::init<PyNetwork&, const py::object&, double, const Optimizer&, std::uint64_t, std::size_t, double, double,
                      const std::string&>(),
             py::arg("network"), py::arg("loss"), py::arg("parameter"), py::arg("optimizer"), py::arg("seed"),
             py::arg("accumulate"), py::arg("ema"), py::arg("mixup"), py::arg("update_order"), py::keep_alive<1, 2>())
        .def_property("layer_rates", &PyTrainer::layer_rates, &PyTrainer::set_layer_rates)
        .def_property(
            "equalizes_rates", [](PyTrainer& self) { return self.visit([](auto& t) { return t.equalizes_rates(); }); },
            [](PyTrainer& self, bool on) { self.visit([&](auto& t) { t.set_equalizes_rates(on); }); })
        .def("layer_costs", &PyTrainer::layer_costs)
        .def_property(
            "learning_rate", [](PyTrainer& self) { return self.visit([](auto& t) { return t.progress().learning_rate; }); },
            [](PyTrainer& self, double rate) { self.visit([&](auto& t) { t.set_learning_rate(rate); }); })
        .def_property(
            "epoch", [](PyTrainer& self) { return self.visit([](auto& t) { return t.progress().epoch; }); },
            [](PyTrainer& self, std::uint32_t epoch) { self.visit([&](auto& t) { t.set_epoch(epoch); }); })
        .def_property("schedule", &PyTrainer::schedule, &PyTrainer::set_schedule)
        .def_property_readonly("n_steps",
                               [](PyTrainer& self) { return self.visit([](auto& t) { return t.progress().n_steps; }); })
        .def("step", &PyTrainer::step, py::arg("x"), py::arg("y"), py::arg("sample_weight") = none)
        .def("apply", &PyTrainer::apply, py::arg("gradients"))
        .def("check", &PyTrainer::check, py::arg("x"), py::arg("y"), py::arg("sample_weight"), py::arg("prefix"))
        .def("run_epoch", &PyTrainer::run_epoch, py::arg("x"), py::arg("y"), py::arg("sample_weight"), py::arg("batch_size"),
             py::arg("shuffle"), py::arg("on_progress"))
        .def("differentiate", &PyTrainer::differentiate, py::arg("x"), py::arg("y"), py::arg("sample_weight"))
        .def("mean_gradient", &PyTrainer::mean_gradient)
        .def("order", &PyTrainer::order, py::arg("n"))
        .def("end_epoch", &PyTrainer::end_epoch)
        .def(
            "evaluation",
            [](PyTrainer& self, const std::optional<std::vector<std::string>>& metrics, const std::vector<double>& units) {
                return PyEvaluation{self, self.evaluation(metrics, units)};
            },
            py::arg("metrics"), py::arg("units"), py::keep_alive<0, 1>())
        .def("averages", &PyTrainer::averages)
        .def("forget_average", [](PyTrainer& self) { self.visit([](auto& t) { t.forget_average(); }); })
        .def("state", &PyTrainer::state)
        .def("restore", &PyTrainer::restore, py::arg("state"))
        .def("reset", [](PyTrainer& self) { self.visit([](auto& t) { t.reset(); }); });
}
