// A trainer as Python sees it.
#pragma once

#include <map>
#include <tuple>

#include "../core/trainer.hpp"
#include "network.hpp"

namespace steepest {

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
    PyTrainer(PyNetwork& network, const std::string& loss, double parameter, const Optimizer& optimizer, std::uint64_t seed,
              const std::string& update_order) {
        const auto order = choose<UpdateOrder>(update_order, "update_order",
                                               {{"together", UpdateOrder::together},
                                                {"output_to_input", UpdateOrder::output_to_input},
                                                {"input_to_output", UpdateOrder::input_to_output}});
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
            using T = ScalarOf<decltype(core)>;
            trainer_ = std::make_unique<Trainer<T>>(core, spec, optimizer, seed, order);
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

    py::dict evaluate(py::handle x, py::handle y, const py::object& weights,
                      const std::optional<std::vector<std::string>>& metrics) {
        const Arguments arguments(x, y, weights);
        py::dict result;
        for (const auto& [name, value] : work(arguments.data.x.rows, [&](auto& trainer) {
                 return trainer.evaluate(arguments.data, metrics ? &*metrics : nullptr);
             })) {
            result[py::str(name)] = value;
        }
        return result;
    }

    void apply(const py::dict& gradients) {
        const Turn turn(busy_);
        visit([&](auto& trainer) {
            using T = ScalarOf<decltype(trainer)>;
            Network<T>& network = trainer.network();
            std::vector<std::vector<T>> values;
            for (const auto& p : network.parameters()) {
                if (!p->trained) continue;
                const py::str name(p->name);
                if (!gradients.contains(name)) throw py::value_error("gradients has no '" + p->name + "'");
                values.push_back(PyNetwork::values_for(network, *p, gradients[name], "gradients['" + p->name + "']"));
            }
            if (values.size() != gradients.size()) {
                throw py::value_error("gradients has " + std::to_string(gradients.size()) +
                                      " entries: expected one for each of the " + std::to_string(values.size()) +
                                      " parameters");
            }
            network.allocate_gradients();
            std::size_t next = 0;
            for (const auto& p : network.parameters()) {
                if (p->trained) network.write(*p, values[next++].data(), p->gradient);
            }
            const Unlocked unlocked(8.0 * static_cast<double>(network.state_size()));
            trainer.apply();
        });
    }

    // (layer, cost before, cost after) of each turn, in order: means over the last epoch or step
    std::vector<std::tuple<std::string, double, double>> turns() {
        return visit([](auto& trainer) {
            std::vector<std::tuple<std::string, double, double>> result;
            const auto& walk = trainer.walk();
            for (const std::string& layer : walk.layers()) {
                result.emplace_back(layer, walk.cost(result.size()), walk.cost(result.size() + 1));
            }
            return result;
        });
    }

    std::map<std::string, double> layer_rates() {
        return visit([](auto& trainer) {
            std::map<std::string, double> result;
            const auto& parameters = trainer.network().parameters();
            for (std::size_t i = 0; i < parameters.size(); ++i) {
                if (parameters[i]->trained) result[parameters[i]->layer()] = trainer.rates[i];
            }
            return result;
        });
    }

    void set_layer_rates(const std::map<std::string, double>& rates) {
        visit([&](auto& trainer) {
            const auto& parameters = trainer.network().parameters();
            for (std::size_t i = 0; i < parameters.size(); ++i) {
                const auto found = rates.find(parameters[i]->layer());
                if (found != rates.end()) trainer.rates[i] = found->second;
            }
        });
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
            using T = ScalarOf<decltype(trainer)>;
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

}  // namespace steepest
