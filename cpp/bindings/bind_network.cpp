// The network's methods as Python sees them.
#include "py_network.hpp"

namespace steepest {

void bind_network(py::module_& m) {
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
        .def(
            "add_feature_scale",
            [](PyNetwork& self, const std::string& name) { self.core([&](auto& n) { n.add_feature_scale(name); }); },
            py::arg("name"))
        .def(
            "add_periodic_embedding",
            [](PyNetwork& self, const std::string& name, const std::vector<std::size_t>& columns, std::size_t n_frequencies,
               std::size_t size, bool relu, double sigma) {
                const Activation activation = relu ? Activation::relu : Activation::identity;
                self.core([&](auto& n) { n.add_periodic_embedding(name, columns, n_frequencies, size, activation, sigma); });
            },
            py::arg("name"), py::arg("columns"), py::arg("n_frequencies"), py::arg("size"), py::arg("relu"), py::arg("sigma"))
        .def(
            "add_piecewise_linear",
            [](PyNetwork& self, const std::string& name, const std::vector<std::size_t>& columns, std::size_t n_points) {
                self.core([&](auto& n) { n.add_piecewise_linear(name, columns, n_points); });
            },
            py::arg("name"), py::arg("columns"), py::arg("n_points"))
        .def(
            "add_piecewise_linear_embedding",
            [](PyNetwork& self, const std::string& name, const std::vector<std::size_t>& columns, std::size_t n_bins,
               std::size_t size, bool relu) {
                const Activation activation = relu ? Activation::relu : Activation::identity;
                self.core([&](auto& n) { n.add_piecewise_linear_embedding(name, columns, n_bins, size, activation); });
            },
            py::arg("name"), py::arg("columns"), py::arg("n_bins"), py::arg("size"), py::arg("relu"))
        .def(
            "add_category_embedding",
            [](PyNetwork& self, const std::string& name, const std::vector<std::size_t>& columns,
               const std::vector<std::size_t>& n_labels,
               std::size_t size) { self.core([&](auto& n) { n.add_category_embedding(name, columns, n_labels, size); }); },
            py::arg("name"), py::arg("columns"), py::arg("n_labels"), py::arg("size"))
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
        .def("tensors", &PyNetwork::tensors)
        .def("blend", &PyNetwork::blend, py::arg("values"), py::arg("tau"))
        .def("set_parameters", &PyNetwork::set_parameters, py::arg("values"))
        .def("is_finite",
             [](PyNetwork& self) {
                 return self.core([](auto& n) {
                     const ReadAccess access(n.access());
                     return n.is_finite();
                 });
             })
        .def("largest",
             [](PyNetwork& self) {
                 return self.core([](auto& n) {
                     const ReadAccess access(n.access());
                     return static_cast<double>(n.largest());
                 });
             })
        .def(
            "check_size", [](PyNetwork& self, std::size_t numbers) { self.core([&](auto& n) { n.check_size(numbers); }); },
            py::arg("numbers"))
        .def(
            "set_lr_multiplier",
            [](PyNetwork& self, const std::string& layer, double multiplier) {
                self.core([&](auto& n) {
                    const WriteAccess access(n.access(), Claim::set);
                    n.set_lr_multiplier(layer, multiplier);
                });
            },
            py::arg("layer"), py::arg("multiplier"))
        .def("state", &PyNetwork::state)
        .def("restore", &PyNetwork::restore, py::arg("state"));
}

}  // namespace steepest
