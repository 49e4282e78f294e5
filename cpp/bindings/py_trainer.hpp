// A trainer as Python sees it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "../core/trainer.hpp"
#include "arguments.hpp"
#include "py_network.hpp"

namespace steepest {

// Measures rows that come in parts, by a trainer's network.
struct PyEvaluation {
    class PyTrainer& trainer;
    Evaluation evaluation;
};

class PyTrainer {
public:
    // `loss` is a name, or a function(y, sample_weight, outputs) that returns the rows' mean loss and its derivative.
    PyTrainer(PyNetwork& network, const py::object& loss, double parameter, const Optimizer& optimizer, std::uint64_t seed,
              std::size_t accumulate, double ema, double mixup, const std::string& update_order) {
        const auto order = choose<UpdateOrder>(update_order, "update_order",
                                               {{"together", UpdateOrder::together},
                                                {"output_to_input", UpdateOrder::output_to_input},
                                                {"input_to_output", UpdateOrder::input_to_output}});
        const bool custom = !py::isinstance<py::str>(loss);
        if (custom) custom_loss_ = loss;
        const std::string name = custom ? "mse" : py::cast<std::string>(loss);
        const LossSpec spec{choose<Loss>(name, "loss",
                                         {{"mse", Loss::mse},
                                          {"mae", Loss::mae},
                                          {"huber", Loss::huber},
                                          {"quantile", Loss::quantile},
                                          {"cross_entropy", Loss::cross_entropy},
                                          {"binary_cross_entropy", Loss::binary_cross_entropy},
                                          {"poisson", Loss::poisson}}),
                            parameter, custom};
        network.core([&](auto& core) {
            using T = ScalarOf<decltype(core)>;
            trainer_ = std::make_unique<Trainer<T>>(core, spec, optimizer, TrainerOptions{accumulate, ema, mixup}, seed, order);
        });
    }

    template <class F>
    decltype(auto) visit(F f) {
        return std::visit([&](auto& trainer) -> decltype(auto) { return f(*trainer); }, trainer_);
    }

    std::atomic<std::uintptr_t>& user() { return user_; }  // see ExclusiveUse

    // f(trainer) with nobody else at work on it, and without the GIL for work on more than a few rows
    template <class F>
    auto work(const Arguments& arguments, F f) {
        refuse_at_the_end();
        const ExclusiveUse use(user_);
        const double size = static_cast<double>(visit([](auto& trainer) { return trainer.network().state_size(); }));
        std::optional<RunningCall> running;  // Python code that the core asks may give the GIL away
        if (has_custom_loss() || has_schedule()) running.emplace();
        if (has_custom_loss()) set_custom_loss(arguments);
        const GilRelease released(6.0 * size * static_cast<double>(arguments.data.x.rows));
        return visit(f);
    }

    double step(py::handle x, py::handle y, const py::object& weights) {
        const Arguments arguments(x, y, weights, has_custom_loss());
        return work(arguments, [&](auto& trainer) { return trainer.step(arguments.data); });
    }

    double differentiate(py::handle x, py::handle y, const py::object& weights) {
        const Arguments arguments(x, y, weights, has_custom_loss());
        return work(arguments, [&](auto& trainer) { return trainer.differentiate(arguments.data); });
    }

    // One row-major array after the other, in `out` or in a new array.
    py::array mean_gradient(const std::optional<py::array>& out) {
        const ExclusiveUse use(user_);
        return visit([&](auto& trainer) {
            using T = ScalarOf<decltype(trainer)>;
            std::size_t size = 0;
            for (const auto& p : trainer.network().parameters()) size += p->trained ? p->rows * p->columns : 0;
            py::array flat = out ? *out : new_array<T>({size});
            trainer.mean_gradient(flat_of<T>(flat, size));
            return flat;
        });
    }

    py::array_t<std::int64_t> order(std::size_t n) {
        const ExclusiveUse use(user_);
        return visit([&](auto& trainer) {
            auto order = new_array<std::int64_t>({n});
            const std::vector<std::size_t>& places = trainer.order(n);
            std::copy(places.begin(), places.end(), order.mutable_data());
            return order;
        });
    }

    void end_epoch() {
        const ExclusiveUse use(user_);
        const RunningCall running;
        visit([](auto& trainer) { trainer.end_epoch(); });
    }

    std::size_t check(py::handle x, py::handle y, const py::object& weights, const std::string& prefix,
                      const std::optional<Indices>& rows) {
        Arguments arguments(x, y, weights, has_custom_loss(), prefix);
        if (rows) arguments.choose(*rows, prefix);
        work(arguments, [&](auto& trainer) { trainer.check(arguments.data); });
        return arguments.data.rows();
    }

    double run_epoch(py::handle x, py::handle y, const py::object& weights, std::size_t batch_size, bool shuffle,
                     const py::object& on_progress) {
        const Arguments arguments(x, y, weights, has_custom_loss());
        const auto report = [&](std::size_t rows, double loss) { report_to(on_progress, rows, loss); };
        return work(arguments, [&](auto& trainer) { return trainer.run_epoch(arguments.data, batch_size, shuffle, report); });
    }

    // Steps on batches of these rows in this order, of an epoch that `end_epoch` ends; (sum of losses, sum of weights)
    std::pair<double, double> run_steps(py::handle x, py::handle y, const py::object& weights, const Indices& rows,
                                        std::size_t batch_size) {
        Arguments arguments(x, y, weights, has_custom_loss());
        arguments.choose(rows, "");
        const py::none nobody;
        const auto report = [&](std::size_t done, double loss) { report_to(nobody, done, loss); };
        return work(arguments, [&](auto& trainer) {
            const Epoch part = trainer.run_steps(arguments.data, batch_size, false, report);
            return std::pair{part.loss_sum, part.weight_sum};
        });
    }

    Evaluation evaluation(const std::optional<std::vector<std::string>>& metrics, const std::vector<double>& units) {
        return visit([&](auto& trainer) {
            const Loss loss = trainer.loss().loss;
            return Evaluation{
                MetricAccumulator(metrics ? *metrics : MetricAccumulator::usual(loss), loss, trainer.network().n_out(), units),
                {}};
        });
    }

    void measure(Evaluation& evaluation, py::handle x, py::handle y, const py::object& weights) {
        const Arguments arguments(x, y, weights, has_custom_loss());
        work(arguments, [&](auto& trainer) { trainer.measure(evaluation, arguments.data); });
    }

    py::dict averages() {
        return visit([](auto& trainer) {
            Copies<ScalarOf<decltype(trainer)>> copies(trainer.network());
            py::dict result;
            const auto& parameters = trainer.network().parameters();
            for (std::size_t i = 0; i < parameters.size() && trainer.options().ema > 0; ++i) {
                if (parameters[i]->trained) {
                    copies.add(result, parameters[i]->name, *parameters[i], trainer.state().averages()[i]);
                }
            }
            bool averaged = false;
            copies.take([&] { averaged = trainer.progress().n_averaged > 0; });
            return averaged ? result : py::dict();
        });
    }

    void apply(const py::dict& gradients) {
        const ExclusiveUse use(user_);
        const RunningCall running;
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
            std::vector<const T*> gradients_of;
            for (const std::vector<T>& of_one : values) gradients_of.push_back(of_one.data());
            const GilRelease released(8.0 * static_cast<double>(network.state_size()));
            trainer.apply(gradients_of);
        });
    }

    // As `apply`, of numbers as `mean_gradient` gives them, which are finite.
    void apply_flat(py::array flat) {
        const ExclusiveUse use(user_);
        const RunningCall running;
        visit([&](auto& trainer) {
            using T = ScalarOf<decltype(trainer)>;
            std::size_t size = 0;
            std::vector<std::size_t> starts;
            for (const auto& p : trainer.network().parameters()) {
                if (p->trained) starts.push_back(std::exchange(size, size + p->rows * p->columns));
            }
            const T* const first = flat_of<T>(flat, size);
            std::vector<const T*> gradients;
            for (const std::size_t start : starts) gradients.push_back(first + start);
            const GilRelease released(8.0 * static_cast<double>(size));
            trainer.apply(gradients);
        });
    }

    // (layer, cost before, cost after) of each turn, in order: means over the last epoch or step
    std::vector<std::tuple<std::string, double, double>> layer_costs() {
        return visit([](auto& trainer) {
            std::vector<std::tuple<std::string, double, double>> result;
            const ReadAccess access(trainer.network().access());
            const auto& layerwise = trainer.layerwise();
            for (const std::string& layer : layerwise.layers()) {
                result.emplace_back(layer, layerwise.cost(result.size()), layerwise.cost(result.size() + 1));
            }
            return result;
        });
    }

    std::map<std::string, double> layer_rates() {
        return visit([](auto& trainer) {
            std::map<std::string, double> result;
            const ReadAccess access(trainer.network().access());
            const auto& parameters = trainer.network().parameters();
            for (std::size_t i = 0; i < parameters.size(); ++i) {
                if (parameters[i]->trained) result[parameters[i]->layer()] = trainer.rates()[i];
            }
            return result;
        });
    }

    void set_layer_rates(const std::map<std::string, double>& rates) {
        visit([&](auto& trainer) {
            const WriteAccess access(trainer.network().access(), Claim::set);
            const auto& parameters = trainer.network().parameters();
            for (std::size_t i = 0; i < parameters.size(); ++i) {
                const auto found = rates.find(parameters[i]->layer());
                if (found != rates.end()) trainer.rates()[i] = found->second;
            }
        });
    }

    void set_schedule(const py::object& schedule) {
        visit([&](auto& trainer) {
            if (schedule.is_none()) return trainer.set_schedule(nullptr);
            const auto rate = [this](std::uint64_t step) {
                const py::gil_scoped_acquire acquire;
                const py::object asked = this->schedule();  // it may set another one, or another thread may
                if (asked.is_none()) return visit([](auto& own) { return own.progress().learning_rate; });
                return learning_rate_of(asked, asked(step), step);
            };
            trainer.set_schedule(std::make_shared<const Schedule>(Schedule{rate, true}));
        });
        py::object last = schedule;
        const std::lock_guard lock(lock_);
        std::swap(schedule_, last);  // which ends without the lock, for that may run any Python code
    }
    py::object schedule() {
        const std::lock_guard lock(lock_);
        return schedule_;
    }

    // What a schedule returned, as a number; an error that names both where it is none.
    static double learning_rate_of(const py::object& schedule, const py::object& found, std::uint64_t step) {
        const bool is_number = PyNumber_Check(found.ptr()) && !py::isinstance<py::str>(found) &&
                               !(py::hasattr(found, "ndim") && found.attr("ndim").cast<int>() != 0);
        const double rate = is_number ? PyFloat_AsDouble(found.ptr()) : -1;
        const bool failed = PyErr_Occurred() != nullptr;
        if (is_number && !failed) return rate;
        const bool too_large = failed && PyErr_ExceptionMatches(PyExc_OverflowError);
        PyErr_Clear();
        const py::object name = py::getattr(schedule, "__name__", py::type::of(schedule).attr("__name__"));
        std::string shown = too_large ? "a number too large for a float" : std::string(py::repr(found));
        if (shown.size() > 80) shown = shown.substr(0, 80) + "...";
        const std::string text = "the schedule " + std::string(py::str(name)) + " returned " + shown + " at step " +
                                 std::to_string(step) + ": expected a number of at least 0";
        if (too_large) throw py::value_error(text);
        throw py::type_error(text);
    }

    py::dict state() {
        return visit([&](auto& trainer) {
            Copies<ScalarOf<decltype(trainer)>> copies(trainer.network());
            return take_state(trainer, copies);
        });
    }

    // ({name: parameter or buffer}, state()) of one moment
    py::tuple snapshot() {
        return visit([&](auto& trainer) {
            Copies<ScalarOf<decltype(trainer)>> copies(trainer.network());
            py::dict tensors;
            copies.add_values(tensors);
            py::dict state = take_state(trainer, copies);
            return py::make_tuple(std::move(tensors), std::move(state));
        });
    }

    // Numbers of what ranks of a training have a mean of: the parameters, and what is kept beside them.
    std::size_t n_values() {
        return visit([](auto& trainer) {
            std::size_t size = 0;
            each_value(trainer, [&](const auto& p, const auto&) { size += p.rows * p.columns; });
            return size;
        });
    }

    // These numbers, of one moment: one row-major array after the other, in `out` or in a new array.
    py::array values(const std::optional<py::array>& out) {
        return visit([&](auto& trainer) {
            using T = ScalarOf<decltype(trainer)>;
            const std::size_t size = n_values();
            py::array flat = out ? *out : new_array<T>({size});
            T* to = flat_of<T>(flat, size);
            const GilRelease released(static_cast<double>(size));
            const ReadAccess access(trainer.network().access());
            each_value(trainer, [&](const auto& p, const auto& from) {
                trainer.network().read(p, from, to);
                to += p.rows * p.columns;
            });
            return flat;
        });
    }

    // Numbers in place of those of `values`, after so many steps.
    void set_values(py::array flat, std::uint64_t n_steps, std::uint64_t n_averaged) {
        visit([&](auto& trainer) {
            const auto* from = flat_of<ScalarOf<decltype(trainer)>>(flat, n_values());
            Progress progress = progress_of(trainer);
            progress.n_steps = n_steps, progress.n_averaged = n_averaged;
            const GilRelease released(static_cast<double>(flat.size()));
            const WriteAccess access(trainer.network().access(), Claim::exclude);
            each_value(trainer, [&](const auto& p, const auto& to) {
                trainer.network().write(p, from, to);
                from += p.rows * p.columns;
            });
            trainer.set_progress(progress);
        });
    }

    // The numbers were checked by the caller: which may be, an optimizer knows.
    void restore(const py::dict& state) {
        visit([&](auto& trainer) {
            using T = ScalarOf<decltype(trainer)>;
            std::set<std::string> known;
            const auto entry = [&](const std::string& name) {
                if (!state.contains(name)) throw py::value_error("the state has no '" + name + "'");
                known.insert(name);
                return py::object(state[py::str(name)]);
            };
            std::vector<std::vector<T>> values;
            each_slot(trainer, [&](const auto& parameter, const auto&, const std::string& name) {
                values.push_back(PyNetwork::values_for(trainer.network(), parameter, entry(name), name, false));
            });
            Progress progress = progress_of(trainer);
            each_number(trainer.options(), progress, [&](const char* name, auto& number) {
                number = py::cast<std::decay_t<decltype(number)>>(entry(name).attr("item")());
            });
            for (const auto& [name, value] : state) {
                const std::string found = py::cast<std::string>(name);
                if (known.count(found) == 0) throw py::value_error("the state has '" + found + "', as no such trainer does");
            }
            // all is read and checked: from here on nothing throws
            const WriteAccess access(trainer.network().access(), Claim::exclude);
            std::size_t next = 0;
            each_slot(trainer, [&](const auto& parameter, const auto& slot, const std::string&) {
                trainer.network().write(parameter, values[next++].data(), slot);
            });
            trainer.set_progress(progress);
        });
    }

    Progress progress() {
        return visit([](auto& trainer) { return progress_of(trainer); });
    }
    // f(trainer) as one write, between two steps or within this thread's own
    template <class F>
    void set(F f) {
        visit([&](auto& trainer) {
            const WriteAccess access(trainer.network().access(), Claim::set);
            f(trainer);
        });
    }

    // What Python's collector of circles needs to know.
    int traverse(visitproc visit, void* arg) const {
        Py_VISIT(schedule_.ptr());
        Py_VISIT(custom_loss_.ptr());
        return 0;
    }
    void clear() {
        const py::object schedule = std::exchange(schedule_, py::none()), loss = std::exchange(custom_loss_, py::none());
    }

private:
    template <class Core>
    static Progress progress_of(const Core& trainer) {
        const ReadAccess access(trainer.network().access());
        return trainer.progress();
    }

    // The trainer's own part of a checkpoint, and all that `copies` has, in one moment.
    template <class Core, class C>
    static py::dict take_state(const Core& trainer, C& copies) {
        py::dict result;
        each_slot(trainer, [&](const auto& parameter, const auto& slot, const std::string& name) {
            copies.add(result, name, parameter, slot);
        });
        Progress progress;
        copies.take([&] { progress = trainer.progress(); });
        const py::object asarray = py::module_::import("numpy").attr("asarray");
        each_number(trainer.options(), progress, [&](const char* name, const auto& number) {
            constexpr bool real = std::is_same_v<std::decay_t<decltype(number)>, double>;
            result[name] = asarray(number, real ? "float64" : "uint64");
        });
        return result;
    }

    // The numbers of an array that is as long as it must be, of the trainer's dtype, and writeable.
    template <class T>
    static T* flat_of(py::array& flat, std::size_t size) {
        if (!py::isinstance<py::array_t<T>>(flat) || flat.ndim() != 1 || static_cast<std::size_t>(flat.size()) != size ||
            !(flat.flags() & py::array::c_style)) {
            throw py::value_error("expected " + std::to_string(size) +
                                  " numbers of the trainer's dtype, one after the other: found " + std::to_string(flat.size()) +
                                  " of " + std::string(py::str(flat.dtype())));
        }
        return static_cast<T*>(flat.mutable_data());
    }

    static void report_to(const py::object& on_progress, std::size_t rows, double loss) {
        refuse_at_the_end();
        const py::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        if (!on_progress.is_none()) on_progress(rows, loss);
    }

    bool has_schedule() {
        const std::lock_guard lock(lock_);
        return !schedule_.is_none();
    }
    bool has_custom_loss() const { return !custom_loss_.is_none(); }

    // Lets the core ask the caller's function about rows of these arguments, which must live while it does.
    [[gnu::noinline]] void set_custom_loss(const Arguments& arguments) {
        visit([&](auto& trainer) {
            using T = ScalarOf<decltype(trainer)>;
            const std::size_t n_out = trainer.network().n_out();
            trainer.set_custom_loss([this, &arguments, n_out](const Rows& rows, const T* outputs, T* gradient) {
                const py::gil_scoped_acquire acquire;
                py::object places =
                    py::slice(static_cast<py::ssize_t>(rows.first), static_cast<py::ssize_t>(rows.first + rows.count), 1);
                if (rows.order) {
                    auto order = new_array<std::int64_t>({rows.count});
                    std::copy_n(rows.order + rows.first, rows.count, order.mutable_data());
                    places = std::move(order);
                }
                auto said = new_array<T>({rows.count, n_out});
                std::copy_n(outputs, rows.count * n_out, said.mutable_data());
                const py::object weights =
                    arguments.weights ? py::object(arguments.weights->object[places]) : py::object(py::none());
                const py::tuple answer = custom_loss_(py::object(arguments.y.object[places]), weights, said);
                const py::array_t<T, py::array::c_style | py::array::forcecast> derivative(answer[1]);
                if (static_cast<std::size_t>(derivative.size()) != rows.count * n_out) {
                    throw py::value_error("the loss returned a gradient of another size than the outputs");
                }
                std::copy_n(derivative.data(), derivative.size(), gradient);
                refuse_at_the_end();
                return py::cast<double>(answer[0]);
            });
        });
    }

    // f(parameter, matrix beside it, the matrix's name) for all that the trainer keeps
    template <class Core, class F>
    static void each_slot(const Core& trainer, F f) {
        const auto& parameters = trainer.network().parameters();
        const auto all = [&](const auto& matrices, const char* suffix) {
            for (std::size_t i = 0; i < parameters.size(); ++i) {
                if (matrices[i].buffer().data()) f(*parameters[i], matrices[i], parameters[i]->name + suffix);
            }
        };
        all(trainer.state().slots1(), ".slot1");
        all(trainer.state().slots2(), ".slot2");
        all(trainer.state().averages(), ".average");
        if (trainer.options().accumulate > 1) all(trainer.state().sums(), ".sum");
    }

    // f(parameter, matrix) for the trained parameters and then for all that the trainer keeps beside them
    template <class Core, class F>
    static void each_value(const Core& trainer, F f) {
        for (const auto& p : trainer.network().parameters()) {
            if (p->trained) f(*p, p->value);
        }
        each_slot(trainer, [&](const auto& p, const auto& slot, const std::string&) { f(p, slot); });
    }

    // f(name, number) for the counters and the like that a checkpoint of such a trainer holds. The names are its format.
    template <class P, class F>
    static void each_number(const TrainerOptions& options, P& progress, F f) {
        f("n_steps", progress.n_steps);
        f("epoch", progress.epoch);
        f("learning_rate", progress.learning_rate);
        if (options.ema > 0) f("n_averaged", progress.n_averaged);
        if (options.accumulate == 1) return;
        f("group.batches", progress.group.batches);
        f("group.first", progress.group.first);
        f("group.total", progress.group.total);
    }

    std::variant<std::unique_ptr<Trainer<float>>, std::unique_ptr<Trainer<double>>> trainer_;
    py::object schedule_ = py::none(), custom_loss_ = py::none();
    ObjectLock lock_;                      // of schedule_
    std::atomic<std::uintptr_t> user_{0};  // the thread at work, see ExclusiveUse
};

}  // namespace steepest
