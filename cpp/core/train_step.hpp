// One batch: forward, loss, backward, and what the optimizer makes of it. All that training changes in a network, it changes
// here, between the call of a function of TrainStep and its return, and while it holds the network to write. One thread at a
// time uses a trainer; others may read at any time, with the network's access, what its trainers keep.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include "batch.hpp"
#include "layerwise.hpp"
#include "optimizer.hpp"
#include "parameter_state.hpp"
#include "stored_update.hpp"

namespace steepest {

// What a trainer may do besides plain steps.
struct TrainerOptions {
    std::size_t accumulate = 1;  // batches whose mean gradient makes a step
    double ema = 0;              // what the average of the weights keeps of itself in a step; 0: there is none
    double mixup = 0;            // alpha of the Beta distribution that shares are drawn from; 0: rows are not mixed
};

// Batches whose gradients wait for their step. Each gradient was divided by the weight of the first batch's rows, so that
// their sum becomes a mean by one factor in the end.
struct GradientGroup {
    std::uint64_t batches = 0;
    double first = 0, total = 0;  // weights of rows: of the first batch, and of all

    // What makes the sum of the gradients, and of those of one more batch of this weight, their mean.
    double mean_factor(double next = 0) const { return batches > 0 ? first / (total + next) : 1; }
};

// How far training has come. With the parameters and what stands beside them, it is all that continues a run bit for bit.
struct Progress {
    std::uint64_t n_steps = 0;  // of the optimizer
    std::uint32_t epoch = 0;
    double learning_rate = 0;      // of the last step, or of all to come where there is no schedule
    std::uint64_t n_averaged = 0;  // steps that the average of the weights has seen
    GradientGroup group;
};

// The loss was not finite. Nothing was changed by the step that found it.
struct Diverged : std::runtime_error {
    Diverged(const Progress& progress, double loss);
    std::uint32_t epoch;
    std::uint64_t step;
    double learning_rate, loss;
};

// The learning rate of each step.
struct Schedule {
    std::function<double(std::uint64_t)> rate;
    bool asks_caller;  // whether that runs code of the caller's, which may read the network
};

template <class T>
class TrainStep {
public:
    // Computes the loss of outputs (rows, n_out): fills the derivative of the rows' mean loss by them, and returns it.
    using CustomLoss = std::function<double(const Rows& rows, const T* outputs, T* gradient)>;

    TrainStep(Network<T>& network, LossSpec loss, const Optimizer& optimizer, const TrainerOptions& options, std::uint64_t seed,
              UpdateOrder order);
    TrainStep(const TrainStep&) = delete;

    void set_schedule(std::shared_ptr<const Schedule> schedule);            // null: the learning rate stays
    std::shared_ptr<const Schedule> schedule() const { return schedule_; }  // for who holds the network to read
    // Puts `next` in the place of `present`; false where another one has been set meanwhile.
    bool replace_schedule(const std::shared_ptr<const Schedule>& present, std::shared_ptr<const Schedule> next);
    void set_custom_loss(CustomLoss loss) { custom_loss_ = std::move(loss); }   // for LossSpec::custom
    void set_equalizes_rates(bool equalizes) { equalizes_rates_ = equalizes; }  // the next batch sets the rates first
    bool equalizes_rates() const { return equalizes_rates_; }

    // Memory for batches of up to `rows` rows; valid until the next call, or that of store_gradients.
    Batch<T>& batch_for(std::size_t rows);
    void release() { batch_.reset(); }

    // What one batch, or some in a row, hold of the network. Others may wait for its end.
    class Hold {
    public:
        explicit Hold(TrainStep& step) : claim_(step.first_claim()), access_(step.network_.access(), claim_) {}
        // Whether another batch may follow: not where readers are let in to the caller's code.
        bool lasts() const { return claim_ == Claim::exclude; }

    private:
        friend class TrainStep;
        const Claim claim_;
        WriteAccess access_;
    };

    // One batch, whose shapes were checked. Without `may_step` its gradient is only added to those before, even where enough
    // of them wait. Returns the sums of loss and weight of its rows; rows that weigh nothing change nothing.
    LossSum run(Hold& hold, Batch<T>& batch, const Data& data, const Rows& rows, bool may_step);
    void store_gradients();  // from now on, for batches that may not step
    // One optimizer step by these gradients: of each trained parameter, row-major.
    void apply_gradients(const std::vector<const T*>& gradients);
    void finish_group();          // one by the gradients that wait, fewer batches than there might be
    void mean_gradient(T* flat);  // of those that wait, and do so no longer; (numbers of all trained parameters)

    void reset();  // slots to zero; the average of the weights, and gradients that wait, are forgotten
    void forget_average();

    Progress& progress() { return progress_; }
    const Progress& progress() const { return progress_; }
    ParameterState<T>& state() { return state_; }
    const ParameterState<T>& state() const { return state_; }
    Layerwise<T>& layerwise() { return layerwise_; }
    const Layerwise<T>& layerwise() const { return layerwise_; }
    const TrainerOptions& options() const { return options_; }
    LossSpec loss() const { return loss_; }

private:
    // What the parts of one step share.
    struct StepArgs {
        Batch<T>& batch;
        const Rows& rows;
        const PassArgs<T>& pass;
        const Updates<T>& updates;
        bool completes;  // whether the optimizer's step follows on this batch
    };

    // What a step claims first: where it asks code of the caller's, that may read the network, and so may others.
    Claim first_claim() const { return asks_caller_ || loss_.custom ? Claim::reserve : Claim::exclude; }
    void put_schedule(std::shared_ptr<const Schedule> schedule);
    void take_scheduled_rate(Claim claim);
    void exclude_readers(WriteAccess& access);  // who sees the rate from then on
    std::uint32_t pass_index() const;
    void renew_updates();
    const Rows& mix(const Rows& rows);
    LossSum measure_loss(const StepArgs& step, double weights, Share share);
    void apply_custom_loss(const StepArgs& step, LossSum& sum, WriteAccess& access);
    void descend(const StepArgs& step, LossSum sum, Share share);
    void use_stored_gradients(bool completes, double weights, Share share);
    void check_finite(LossSum sum) const;
    void count_batch(double weights, bool completes);
    void count_step();

    template <class F>
    void step_by_gradients(WriteAccess& access, Claim claim, double scale, F prepare);
    void update_stored(double scale, Share share);
    void average(Share share);
    void equalize_rates(Batch<T>& batch, const Data& data, const Rows& rows);

    // What the gradient of a batch is divided by.
    double divisor(double weights) const { return progress_.group.batches > 0 ? progress_.group.first : weights; }

    Network<T>& network_;
    const LossSpec loss_;
    const Optimizer optimizer_;
    const TrainerOptions options_;
    const std::uint64_t seed_;
    Progress progress_;
    Updates<T> updates_{};      // by rate_ and the number of the step
    double updates_rate_ = -1;  // where they depend on that alone
    double rate_ = 0;           // of the step at work, which readers do not see before they are excluded
    ParameterState<T> state_;
    bool stores_;  // whether gradients are written out, instead of used on the spot
    bool equalizes_rates_ = false;
    std::unique_ptr<Batch<T>> batch_;
    std::uintptr_t thread_ = 0;  // that is prepared for a step
    StoredUpdate<T> stored_;
    Layerwise<T> layerwise_;
    std::shared_ptr<const Schedule> schedule_;  // shared with a step that asks it: it may set another one meanwhile
    std::atomic<bool> asks_caller_{false};      // whether it does, for who holds no claim yet
    CustomLoss custom_loss_;
    std::vector<std::size_t> partner_;  // (rows): what mix_ points to
    Mix mix_;
    Rows mixed_{};                                     // of the batch, with mix_
    std::vector<T> custom_outputs_, custom_gradient_;  // (rows, n_out), row-major
};

}  // namespace steepest
