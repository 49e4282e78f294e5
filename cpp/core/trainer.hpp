// Training: steps, epochs and evaluation of one network by one optimizer on one loss.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "measurement.hpp"
#include "train_step.hpp"

namespace steepest {

// An epoch that is under way. Its data outlives it.
struct Epoch {
    const Data* data;
    std::size_t batch_size;
    const std::size_t* order;  // of its rows, or null
    std::size_t rows, done = 0;
    double loss_sum = 0, weight_sum = 0;

    bool over() const { return done == rows; }
    double mean_loss() const { return weight_sum > 0 ? loss_sum / weight_sum : 0; }
};

template <class T>
class Trainer {
public:
    using Scalar = T;

    Trainer(Network<T>& network, LossSpec loss, const Optimizer& optimizer, const TrainerOptions& options, std::uint64_t seed,
            UpdateOrder order = UpdateOrder::together);

    // Everything below throws std::invalid_argument for data that it cannot use, before it changes anything.

    double step(const Data& data);           // all rows as one batch; returns their loss before it
    double differentiate(const Data& data);  // as `step`, but the gradient is only added to those before
    void check(const Data& data);            // reads everything that an epoch would read
    // An epoch in parts: each takes steps that are so much work, or those that are left; `end_epoch` comes after the last.
    Epoch begin_epoch(const Data& data, std::size_t batch_size, bool shuffled);
    double advance(Epoch& epoch, double work);  // returns how much was done
    void release();                             // memory that the next call makes anew
    // One pass over the rows. `on_progress` is called every kPollInterval or so with the rows done and their mean loss.
    using OnProgress = std::function<void(std::size_t, double)>;
    double run_epoch(const Data& data, std::size_t batch_size, bool shuffled, const OnProgress& on_progress);
    Epoch run_steps(const Data& data, std::size_t batch_size, bool shuffled, const OnProgress& on_progress);  // does not end it
    void end_epoch();                                      // `run_epoch` ends with it, and so do epochs of steps
    const std::vector<std::size_t>& order(std::size_t n);  // in which this epoch visits n rows
    // Measures rows, of the averaged weights where there are such.
    void measure(Evaluation& evaluation, const Data& data);
    // The same in parts; or rows are only read, with null. The data outlives it.
    Measurement<T> begin_measurement(const Data& data, Evaluation* evaluation);
    // A copy of the network with the averages in place of the parameters; null where there are none.
    std::unique_ptr<Network<T>> averaged_network();
    void apply(const std::vector<const T*>& gradients) { step_.apply_gradients(gradients); }  // see TrainStep
    void mean_gradient(T* flat) { step_.mean_gradient(flat); }  // of all calls of `differentiate` since the last
    bool is_finite() const { return network_.is_finite() && step_.state().is_finite(); }
    void reset() { step_.reset(); }
    void forget_average() { step_.forget_average(); }

    void set_custom_loss(typename TrainStep<T>::CustomLoss loss) { step_.set_custom_loss(std::move(loss)); }
    // Whether the next step measures first, and sets rates such that each layer's turn moves the output equally.
    void set_equalizes_rates(bool equalizes) { step_.set_equalizes_rates(equalizes); }
    bool equalizes_rates() const { return step_.equalizes_rates(); }

    const Progress& progress() const { return step_.progress(); }
    // For those that write this; the caller holds the network to write, or has the trainer to itself.
    void set_progress(const Progress& progress) { step_.progress() = progress; }
    void set_learning_rate(double rate) { step_.progress().learning_rate = rate; }
    void set_epoch(std::uint32_t epoch) { step_.progress().epoch = epoch; }
    std::shared_ptr<const Schedule> schedule() const { return step_.schedule(); }
    void set_schedule(std::shared_ptr<const Schedule> schedule) { step_.set_schedule(std::move(schedule)); }
    bool replace_schedule(const std::shared_ptr<const Schedule>& present, std::shared_ptr<const Schedule> next) {
        return step_.replace_schedule(present, std::move(next));
    }
    const ParameterState<T>& state() const { return step_.state(); }
    std::vector<double>& rates() { return step_.state().rates; }  // see ParameterState
    const Layerwise<T>& layerwise() const { return step_.layerwise(); }

    Network<T>& network() const { return network_; }
    LossSpec loss() const { return step_.loss(); }
    const TrainerOptions& options() const { return step_.options(); }

private:
    void check_shapes(const Data& data) const;
    LossSum run_alone(const Data& data, bool may_step);
    void begin_costs();
    Batch<T>& evaluation_batch(std::size_t rows);

    Network<T>& network_;
    const std::uint64_t seed_;
    TrainStep<T> step_;
    std::unique_ptr<Batch<T>> evaluation_;
    std::vector<std::size_t> order_;
};

}  // namespace steepest
