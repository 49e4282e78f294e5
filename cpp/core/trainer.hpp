// Training: steps, epochs and evaluation of one network by one optimizer on one loss.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include "layerwise.hpp"
#include "metrics.hpp"
#include "optimizer.hpp"
#include "plan_layers.hpp"
#include "random.hpp"
#include "stored_update.hpp"
#include "targets.hpp"

namespace steepest {

// The caller's data. weights.data is null where every row counts 1.
struct Data {
    ArrayView x, y, weights;
};

// What a trainer may do besides plain steps.
struct TrainerOptions {
    std::size_t accumulate = 1;  // batches whose mean gradient makes a step
    double ema = 0;              // what the average of the weights keeps of itself in a step; 0: there is none
    double mixup = 0;            // alpha of the Beta distribution that shares are drawn from; 0: rows are not mixed
};

// Sums over rows.
struct LossSum {
    double loss = 0, weight = 0;
};

// What is measured of rows that come in one or more parts.
struct Evaluation {
    MetricAccumulator metrics;
    LossSum sum;

    std::vector<std::pair<std::string, double>> results() const;  // the mean loss, and the metrics
};

// The loss was not finite. Nothing was changed by the step that found it.
struct Diverged : std::runtime_error {
    Diverged(std::uint32_t epoch, std::uint64_t step, double learning_rate, double loss);
    std::uint32_t epoch;
    std::uint64_t step;
    double learning_rate, loss;
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
    // One pass over the rows. `on_progress` is called now and then with the rows done and their mean loss.
    using OnProgress = std::function<void(std::size_t, double)>;
    double run_epoch(const Data& data, std::size_t batch_size, bool shuffled, const OnProgress& on_progress);
    void end_epoch();                                      // `run_epoch` ends with it, and so do epochs of steps
    const std::vector<std::size_t>& order(std::size_t n);  // in which this epoch visits n rows
    // Measures rows, of the averaged weights where there are such.
    void measure(Evaluation& evaluation, const Data& data);
    void apply();  // one optimizer step by the gradients that the network's parameters hold

    void reset();  // the optimizer's slots to zero; the average of the weights, and gradients not yet used, are forgotten
    void forget_average() { n_averaged = 0; }
    void mean_gradient(T* flat);  // of all calls of `differentiate` since the last; (numbers of all parameters)

    std::function<double(std::uint64_t)> schedule;  // step -> learning rate; empty: `learning_rate` holds
    // For LossSpec::own: judges outputs (rows, n_out), fills the derivative of the rows' mean loss by them, and returns it.
    std::function<double(Rows rows, const T* outputs, T* gradient)> custom_loss;
    double learning_rate;
    std::uint64_t n_steps = 0;
    std::uint32_t epoch = 0;
    std::uint64_t n_averaged = 0;  // steps that the average has seen
    struct Group {                 // batches whose gradients wait for their step
        std::uint64_t batches = 0;
        double first = 0, total = 0;  // weight of the first batch's rows, by which the gradients' sum is divided; of all rows
    } group;
    bool equalizes_rates = false;  // the next step measures first, and sets rates such that each turn moves the output equally

    // Learning rates by parameter, relative to learning_rate and beside the multipliers of the network.
    std::vector<double> rates;
    const Layerwise<T>& layerwise() const { return layerwise_; }

    Network<T>& network() const { return network_; }
    LossSpec loss() const { return loss_; }
    const TrainerOptions& options() const { return options_; }
    // Matrices beside the parameters, empty where there are none.
    const std::vector<PanelMatrix<T>>& slots1() const { return slots1_; }
    const std::vector<PanelMatrix<T>>& slots2() const { return slots2_; }
    const std::vector<PanelMatrix<T>>& averages() const { return averages_; }
    const std::vector<PanelMatrix<T>>& sums() const { return sums_; }

private:
    struct Batch {  // memory for one batch, and the plan that works on it
        Plan<T> plan;
        Targets<T> targets;
    };

    void check_shapes(const Data& data) const;
    Batch& training_batch(std::size_t rows);
    Batch& batch_for(std::size_t rows, Mode mode, std::unique_ptr<Batch>& slot);
    // Reads one batch and runs `work(share)` on it if all of it is allowed; throws otherwise.
    template <class F>
    void with_batch(Batch& batch, const Data& data, Rows rows, F work);
    LossSum step_on(Batch& batch, const Data& data, Rows rows, bool completes);
    template <class F>
    void apply_custom_loss(Batch& batch, Rows rows, double divisor, LossSum& sum, F descend);  // by the caller's own loss
    void use_gradients(bool completes, double weights, Share share);
    void update_stored(double scale, Share share);
    const Mix* draw_mix(std::size_t rows);
    void equalize_rates(Batch& batch, const Data& data, Rows rows);  // sets the rates by this batch
    void finish_group();
    void average(Share share);
    void swap_averages();
    std::uint32_t pass_index() const { return static_cast<std::uint32_t>(n_steps * options_.accumulate + group.batches); }
    std::vector<PanelMatrix<T>> beside_parameters(bool wanted) const;
    // work(batch, rows, share) on one block of rows after the other.
    template <class F>
    void each_block(const Data& data, F work);
    template <class F>
    void each_trained_panel(Share share, F f) const {
        each_panel(network_, 0, rates.size(), share, [this](std::size_t i) { return network_.parameters()[i]->trained; }, f);
    }
    void take_rate();  // the schedule's, for the next step

    Network<T>& network_;
    LossSpec loss_;
    Optimizer optimizer_;
    TrainerOptions options_;
    std::uint64_t seed_;
    std::vector<PanelMatrix<T>> slots1_, slots2_, averages_, sums_;
    bool stores_;  // whether gradients are written out
    std::unique_ptr<Batch> training_, evaluation_;
    StoredUpdate<T> stored_;
    Layerwise<T> layerwise_;
    std::vector<std::size_t> order_, partner_;
    Mix mix_;
    std::vector<T> custom_outputs_, custom_gradient_;  // (rows, n_out)
};

}  // namespace steepest
