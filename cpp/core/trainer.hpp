// Training: steps, epochs and evaluation of one network by one optimiser on one loss.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include "loss.hpp"
#include "metrics.hpp"
#include "optimizer.hpp"
#include "plan.hpp"
#include "random.hpp"
#include "stored.hpp"
#include "walk.hpp"

namespace steepest {

// The caller's data. weights.data is null where every row counts 1.
struct Data {
    ArrayView x, y, weights;
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

    Trainer(Network<T>& network, LossSpec loss, const Optimizer& optimizer, std::uint64_t seed,
            UpdateOrder order = UpdateOrder::together);

    // Everything below throws std::invalid_argument for data that it cannot use, before it changes anything.

    double step(const Data& data);  // one optimiser step on all rows as one batch; returns their loss before it
    void check(const Data& data);   // reads everything that an epoch would read
    // One pass over the rows. `wake` is called now and then with the rows done and their mean loss.
    using Wake = std::function<void(std::size_t, double)>;
    double run_epoch(const Data& data, std::size_t batch_size, bool shuffled, const Wake& wake);
    // The mean loss, and the metrics of these names (see Meter); null: the loss's usual ones.
    std::vector<std::pair<std::string, double>> evaluate(const Data& data, const std::vector<std::string>* metrics);
    void apply();  // one optimiser step by the gradients that the network's parameters hold

    void reset();  // the optimiser's slots to zero

    std::function<double(std::uint64_t)> schedule;  // step -> learning rate; empty: `learning_rate` holds
    double learning_rate;
    std::uint64_t n_steps = 0;
    std::uint32_t epoch = 0;
    bool equalises = false;  // the next step measures first, and sets rates such that each turn moves the output equally

    // Learning rates by parameter, relative to learning_rate and beside the multipliers of the network.
    std::vector<double> rates;
    const Walk<T>& walk() const { return walk_; }

    Network<T>& network() const { return network_; }
    LossSpec loss() const { return loss_; }
    const std::vector<PanelMatrix<T>>& slots(int which) const { return which == 1 ? slots1_ : slots2_; }

private:
    struct Batch {  // memory for one batch, and the plan that works on it
        Plan<T> plan;
        Targets<T> targets;
    };

    void expect(const Data& data) const;
    Batch& training_batch(std::size_t rows);
    Batch& batch_for(std::size_t rows, Purpose purpose, std::unique_ptr<Batch>& slot);
    // Reads one batch and runs `work(share)` on it if all of it is allowed; throws otherwise.
    template <class F>
    void with_batch(Batch& batch, const Data& data, Rows rows, F work);
    struct Outcome {
        double loss_sum, weight_sum;
    };
    Outcome step_on(Batch& batch, const Data& data, Rows rows);
    void equalise(Batch& batch, const Data& data, Rows rows);  // sets the rates by this batch
    // work(batch, rows, share) on one block of rows after the other.
    template <class F>
    void each_block(const Data& data, F work);
    void take_rate();  // the schedule's, for the next step

    Network<T>& network_;
    LossSpec loss_;
    Optimizer optimizer_;
    std::uint64_t seed_;
    std::vector<PanelMatrix<T>> slots1_, slots2_;
    std::unique_ptr<Batch> training_, evaluation_;
    StoredUpdates<T> stored_;
    Walk<T> walk_;
    std::vector<std::size_t> order_;
};

}  // namespace steepest
