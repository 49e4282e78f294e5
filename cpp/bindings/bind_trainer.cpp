// The optimizer's settings, the trainer's methods and its error as Python sees them.
#include "py_trainer.hpp"

namespace steepest {
namespace {

constexpr const char* kDivergedError =
    R"(Training met a loss that is not finite; `epoch`, `step`, `learning_rate` and `loss` say where.

Examples
--------
>>> import steepest as st
>>> net = st.Network(1, [st.Dense(1, init=[[1.0]])], seed=0)
>>> try:
...     history = st.Trainer(net, "mse", st.SGD(1e6)).fit([[1.0]], [0.0], epochs=100)
... except st.DivergedError as error:
...     print(error.learning_rate, error.epoch < 100)
1000000.0 True
)";

void translate_divergence(py::handle type, const Diverged& error) {
    py::object instance = py::reinterpret_borrow<py::object>(type)(error.what());
    instance.attr("epoch") = error.epoch;
    instance.attr("step") = error.step;
    instance.attr("learning_rate") = error.learning_rate;
    instance.attr("loss") = error.loss;
    PyErr_SetObject(type.ptr(), instance.ptr());
}

void bind_divergence(py::module_& m) {
    static py::handle diverged =
        PyErr_NewExceptionWithDoc("steepest.DivergedError", kDivergedError, PyExc_ArithmeticError, nullptr);
    m.attr("DivergedError") = diverged;
    py::register_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const Diverged& found) {
            translate_divergence(diverged, found);
        }
    });
}

void bind_optimizer(py::module_& m) {
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
}

void bind_evaluation(py::module_& m) {
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
}

// A loss or a schedule may hold what holds the trainer: Python's collector goes through them.
void collect_circles(PyHeapTypeObject* heap_type) {
    PyTypeObject* const type = &heap_type->ht_type;
    type->tp_flags |= Py_TPFLAGS_HAVE_GC;
    type->tp_traverse = [](PyObject* self, visitproc visit, void* arg) -> int {
        Py_VISIT(Py_TYPE(self));
        if (!py::detail::is_holder_constructed(self)) return 0;
        return py::cast<PyTrainer&>(py::handle(self)).traverse(visit, arg);
    };
    type->tp_clear = [](PyObject* self) -> int {
        if (py::detail::is_holder_constructed(self)) py::cast<PyTrainer&>(py::handle(self)).clear();
        return 0;
    };
}

}  // namespace

void bind_trainer(py::module_& m) {
    bind_divergence(m);
    bind_optimizer(m);
    bind_evaluation(m);
    const auto none = py::none();
    py::class_<PyTrainer>(m, "Trainer", py::custom_type_setup(collect_circles))
        .def(py::init<PyNetwork&, const py::object&, double, const Optimizer&, std::uint64_t, std::size_t, double, double,
                      const std::string&>(),
             py::arg("network"), py::arg("loss"), py::arg("parameter"), py::arg("optimizer"), py::arg("seed"),
             py::arg("accumulate"), py::arg("ema"), py::arg("mixup"), py::arg("update_order"), py::keep_alive<1, 2>())
        .def_property("layer_rates", &PyTrainer::layer_rates, &PyTrainer::set_layer_rates)
        .def_property(
            "equalizes_rates", [](PyTrainer& self) { return self.visit([](auto& t) { return t.equalizes_rates(); }); },
            [](PyTrainer& self, bool on) { self.set([&](auto& t) { t.set_equalizes_rates(on); }); })
        .def("layer_costs", &PyTrainer::layer_costs)
        .def_property(
            "learning_rate", [](PyTrainer& self) { return self.progress().learning_rate; },
            [](PyTrainer& self, double rate) { self.set([&](auto& t) { t.set_learning_rate(rate); }); })
        .def_property(
            "epoch", [](PyTrainer& self) { return self.progress().epoch; },
            [](PyTrainer& self, std::uint32_t epoch) { self.set([&](auto& t) { t.set_epoch(epoch); }); })
        .def_property("schedule", &PyTrainer::schedule, &PyTrainer::set_schedule)
        .def_property_readonly("n_steps", [](PyTrainer& self) { return self.progress().n_steps; })
        .def_property_readonly("n_averaged", [](PyTrainer& self) { return self.progress().n_averaged; })
        .def("step", &PyTrainer::step, py::arg("x"), py::arg("y"), py::arg("sample_weight") = none)
        .def("apply", &PyTrainer::apply, py::arg("gradients"))
        .def("check", &PyTrainer::check, py::arg("x"), py::arg("y"), py::arg("sample_weight"), py::arg("prefix"),
             py::arg("rows") = none)
        .def("run_epoch", &PyTrainer::run_epoch, py::arg("x"), py::arg("y"), py::arg("sample_weight"), py::arg("batch_size"),
             py::arg("shuffle"), py::arg("on_progress"))
        .def("differentiate", &PyTrainer::differentiate, py::arg("x"), py::arg("y"), py::arg("sample_weight"))
        .def("mean_gradient", &PyTrainer::mean_gradient, py::arg("out") = none)
        .def("apply_flat", &PyTrainer::apply_flat, py::arg("flat"))
        .def("order", &PyTrainer::order, py::arg("n"))
        .def("run_steps", &PyTrainer::run_steps, py::arg("x"), py::arg("y"), py::arg("sample_weight"), py::arg("rows"),
             py::arg("batch_size"))
        .def("end_epoch", &PyTrainer::end_epoch)
        .def(
            "evaluation",
            [](PyTrainer& self, const std::optional<std::vector<std::string>>& metrics, const std::vector<double>& units) {
                return PyEvaluation{self, self.evaluation(metrics, units)};
            },
            py::arg("metrics"), py::arg("units"), py::keep_alive<0, 1>())
        .def(
            "metric_names",
            [](PyTrainer& self, const std::optional<std::vector<std::string>>& metrics) {
                return self.evaluation(metrics, {}).metrics.names();
            },
            py::arg("metrics"))
        .def("averages", &PyTrainer::averages)
        .def("forget_average", [](PyTrainer& self) { self.visit([](auto& t) { t.forget_average(); }); })
        .def("state", &PyTrainer::state)
        .def("snapshot", &PyTrainer::snapshot)
        .def_property_readonly("n_values", &PyTrainer::n_values)
        .def("values", &PyTrainer::values, py::arg("out") = none)
        .def("set_values", &PyTrainer::set_values, py::arg("flat"), py::arg("n_steps"), py::arg("n_averaged"))
        .def("restore", &PyTrainer::restore, py::arg("state"))
        .def("is_finite",
             [](PyTrainer& self) {
                 return self.visit([](auto& t) {
                     const ReadAccess access(t.network().access());
                     return t.is_finite();
                 });
             })
        .def("reset", [](PyTrainer& self) { self.visit([](auto& t) { t.reset(); }); });
}

}  // namespace steepest
