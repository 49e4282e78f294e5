#include "train_step.hpp"

#include <cmath>
#include <string>

#include "random.hpp"

namespace steepest {
namespace {

std::string divergence_text(const Progress& progress, double loss) {
    return "the loss is " + number_text(loss) + " in epoch " + std::to_string(progress.epoch) + ", step " +
           std::to_string(progress.n_steps) + ", learning rate " + number_text(progress.learning_rate) +
           ": scale x and y to about 1, or lower the learning rate";
}

}  // namespace

Diverged::Diverged(const Progress& progress, double loss_)
    : std::runtime_error(divergence_text(progress, loss_)), epoch(progress.epoch), step(progress.n_steps),
      learning_rate(progress.learning_rate), loss(loss_) {}

template <class T>
TrainStep<T>::TrainStep(Network<T>& network, LossSpec loss, const Optimizer& optimizer, const TrainerOptions& options,
                        std::uint64_t seed, UpdateOrder order)
    : network_(network), loss_(loss), optimizer_(optimizer), options_(options), seed_(seed),
      state_(network, optimizer, options.ema > 0, options.accumulate > 1),
      stores_(optimizer.stores_gradients() || options.accumulate > 1),
      stored_(network, optimizer_, state_.slots1(), state_.slots2(), state_.rates), layerwise_(network, order) {
    if (!loss.custom && loss.loss == Loss::cross_entropy && network.n_out() < 2) {
        throw std::invalid_argument("loss 'cross_entropy' needs at least 2 outputs, found 1: use 'binary_cross_entropy'");
    }
    if (order != UpdateOrder::together && (loss.custom || options.accumulate > 1)) {
        throw std::invalid_argument("update_order is by layer, with " +
                                    std::string(loss.custom ? "a function as loss" : "accumulate above 1") +
                                    ": expected update_order='together'");
    }
    progress_.learning_rate = optimizer.lr;
}

template <class T>
Batch<T>& TrainStep<T>::batch_for(std::size_t rows) {
    if (thread_ != this_thread()) {
        prepare_thread(network_.kernels());
        thread_ = this_thread();
    }
    if (!has_room(batch_, rows)) {
        const WriteAccess access(network_.access(), Claim::exclude);  // its plan may be the first to want gradients
        batch_.reset();  // its memory first: two plans of a wide network need not fit side by side
        const Mode mode = stores_ ? Mode::store : Mode::train;
        batch_ = std::make_unique<Batch<T>>(network_, loss_, rows, mode, state_.slots());
    }
    return *batch_;
}

template <class T>
void TrainStep<T>::store_gradients() {
    if (!stores_) batch_.reset();  // its plan keeps no gradients
    stores_ = true;
    state_.allocate_sums();
}

template <class T>
void TrainStep<T>::set_schedule(std::shared_ptr<const Schedule> schedule) {
    const WriteAccess access(network_.access(), Claim::set);
    put_schedule(std::move(schedule));
}

template <class T>
bool TrainStep<T>::replace_schedule(const std::shared_ptr<const Schedule>& present, std::shared_ptr<const Schedule> next) {
    const WriteAccess access(network_.access(), Claim::set);
    if (schedule_ != present) return false;
    put_schedule(std::move(next));
    return true;
}

template <class T>
void TrainStep<T>::put_schedule(std::shared_ptr<const Schedule> schedule) {
    schedule_ = std::move(schedule);
    asks_caller_ = schedule_ && schedule_->asks_caller;
}

// The caller is asked within a reservation alone: a schedule set after the step had made its claim is for the next step.
template <class T>
void TrainStep<T>::take_scheduled_rate(Claim claim) {
    rate_ = progress_.learning_rate;
    if (!schedule_ || (claim != Claim::reserve && schedule_->asks_caller)) return;
    const std::shared_ptr<const Schedule> schedule = schedule_;
    const double rate = schedule->rate(progress_.n_steps);
    if (!std::isfinite(rate) || rate < 0) {
        throw std::invalid_argument("the schedule gave a learning rate of " + number_text(rate) + " at step " +
                                    std::to_string(progress_.n_steps) + ", expected a finite number of at least 0");
    }
    rate_ = rate;
}

template <class T>
void TrainStep<T>::exclude_readers(WriteAccess& access) {
    access.exclude_readers();
    progress_.learning_rate = rate_;
}

// Of this batch among all, the key of its random numbers.
template <class T>
std::uint32_t TrainStep<T>::pass_index() const {
    return static_cast<std::uint32_t>(progress_.n_steps * options_.accumulate + progress_.group.batches);
}

template <class T>
[[gnu::noinline]] const Rows& TrainStep<T>::mix(const Rows& rows) {
    Random random(seed_, Stream::mixup, pass_index());
    mix_.share = random.beta(options_.mixup);
    permute(partner_, rows.count, random);
    mix_.partner = partner_.data();
    mixed_ = rows;
    mixed_.mix = &mix_;
    return mixed_;
}

template <class T>
[[gnu::noinline]] void TrainStep<T>::renew_updates() {
    updates_ = make_updates<T>(optimizer_, rate_, progress_.n_steps, 1);
    updates_rate_ = rate_;
}

// A small network takes this in a quarter of a microsecond. One team does all of it, unless the loss is the caller's own.
template <class T>
LossSum TrainStep<T>::run(Hold& hold, Batch<T>& batch, const Data& data, const Rows& plain, bool may_step) {
    const Rows& rows = options_.mixup > 0 ? mix(plain) : plain;
    take_scheduled_rate(hold.claim_);
    if (!loss_.custom) exclude_readers(hold.access_);
    if (optimizer_.rule == Rule::adam || updates_rate_ != rate_) renew_updates();
    const PassArgs<T> pass{rows.count, seed_, pass_index(), stores_ ? nullptr : &updates_, state_.rates.data()};
    if (stores_) stored_.prepare(get_num_threads());
    if (equalizes_rates_) equalize_rates(batch, data, rows);

    const bool completes = may_step && progress_.group.batches + 1 >= options_.accumulate;
    const StepArgs step{batch, rows, pass, updates_, completes};
    LossSum sum;
    with_batch(network_.kernels(), batch, data, rows, [&](Share share) {
        const double weights = batch.targets.weight_sum(rows.count);
        if (!(weights > 0)) return;  // rows that count for nothing are no batch
        batch.plan.forward(pass, share);
        if (loss_.custom) {
            if (share.leads()) sum.weight = weights;
            return;
        }
        share.sync();  // the outputs stand
        const LossSum own = measure_loss(step, weights, share);
        if (share.leads()) sum = own;
        if (std::isfinite(own.loss)) descend(step, own, share);
    });
    if (sum.weight == 0) return sum;
    if (loss_.custom) apply_custom_loss(step, sum, hold.access_);
    check_finite(sum);
    if (layerwise_.by_layer()) check_finite({layerwise_.end_step(sum.weight), sum.weight});
    count_batch(sum.weight, completes);
    return sum;
}

// The batch's loss, and its gradient by the outputs. The team has met at the end. Each member adds up the chunks for
// itself, all in the same order, and so needs no further meeting to know whether to go on.
template <class T>
LossSum TrainStep<T>::measure_loss(const StepArgs& step, double weights, Share share) {
    const std::size_t rows = step.pass.rows;
    const Matrix<T> y = step.batch.plan.output();  // (rows, n_out)
    Targets<T>& targets = step.batch.targets;
    targets.loss({y.data, y.stride}, step.batch.plan.output_gradient(), rows, divisor(weights), share);
    share.sync();  // all chunks of the loss and all of the outputs' gradient stand
    return {targets.sum_loss_chunks(rows), weights};
}

// Fills the output's gradient and the sum by the caller's own loss, outside of any team, for it may take its time; and
// descends if the loss is finite. Kept out of the plain step, which small networks take in half a microsecond.
template <class T>
[[gnu::noinline]] void TrainStep<T>::apply_custom_loss(const StepArgs& step, LossSum& sum, WriteAccess& access) {
    const Kernels<T>& kernels = network_.kernels();
    Plan<T>& plan = step.batch.plan;
    const std::size_t rows = step.rows.count, n_out = network_.n_out(), size = rows * n_out;
    if (custom_outputs_.size() < size) custom_outputs_.resize(size), custom_gradient_.resize(size);
    const Matrix<T> y = plan.output();
    for (std::size_t row = 0; row < rows; ++row) {
        kernels.scatter_row({y.data, y.stride}, n_out, row, custom_outputs_.data() + row * n_out);
    }
    sum.loss = sum.weight * custom_loss_(step.rows, custom_outputs_.data(), custom_gradient_.data());
    if (!std::isfinite(sum.loss)) return;
    const auto factor = static_cast<T>(sum.weight / divisor(sum.weight));
    for (std::size_t i = 0; factor != 1 && i < size; ++i) custom_gradient_[i] *= factor;
    for (std::size_t row = 0; row < rows; ++row) {
        gather_row<T>(kernels, custom_gradient_.data() + row * n_out, n_out, row, plan.output_gradient());
    }
    exclude_readers(access);
    auto member = [&](Share share) { descend(step, sum, share); };
    plan.run_team(rows, member);
}

// Backward, with the updates. When it begins, the outputs' gradient stands, and the loss is known to be finite: up to here
// nothing was changed that outlives the step.
template <class T>
void TrainStep<T>::descend(const StepArgs& step, LossSum sum, Share share) {
    Plan<T>& plan = step.batch.plan;
    plan.commit_running_stats(step.pass, share);
    if (layerwise_.by_layer()) {
        share.sync();  // nobody reads the loss chunks any more
        StoredUpdate<T>* const stored = stores_ ? &stored_ : nullptr;
        layerwise_.run({plan, step.batch.targets, step.pass, sum.weight, stored, step.updates}, sum.loss, share);
    } else {
        plan.backward(step.pass, share);
    }
    if (!stores_ && options_.ema == 0) return;
    if (stores_ && !layerwise_.by_layer()) {
        use_stored_gradients(step.completes, sum.weight, share);
    } else {
        share.sync();  // all parameters have moved
    }
    if (step.completes) average(share);
}

// After a backward pass that wrote gradients out: adds those that wait, and either steps by their mean or lets the sum wait.
template <class T>
void TrainStep<T>::use_stored_gradients(bool completes, double weights, Share share) {
    const GradientGroup& group = progress_.group;
    if (group.batches > 0 || !completes) {
        share.sync();  // all gradients are written
        state_.sum_gradients(group.batches > 0, !completes, share);
    }
    if (completes) update_stored(group.mean_factor(weights), share);
}

template <class T>
void TrainStep<T>::check_finite(LossSum sum) const {
    if (std::isfinite(sum.loss)) return;
    Progress here = progress_;
    here.learning_rate = rate_;
    throw Diverged(here, sum.loss / sum.weight);
}

template <class T>
void TrainStep<T>::count_batch(double weights, bool completes) {
    GradientGroup& group = progress_.group;
    if (completes) {
        group = {};
        count_step();
        return;
    }
    if (group.batches++ == 0) group.first = weights;
    group.total += weights;
}

template <class T>
void TrainStep<T>::count_step() {
    ++progress_.n_steps;
    progress_.n_averaged += options_.ema > 0;
}

// Updates all parameters by the gradients that they hold, times `scale`; the team meets before and after.
template <class T>
void TrainStep<T>::update_stored(double scale, Share share) {
    const Updates<T> updates = make_updates<T>(optimizer_, progress_.learning_rate, progress_.n_steps, scale);
    stored_.apply(0, state_.rates.size(), updates, share);
}

template <class T>
void TrainStep<T>::average(Share share) {
    if (options_.ema > 0) state_.average(options_.ema, progress_.n_averaged, share);
}

// A step without a batch, by the gradients that prepare(share) leaves in the network.
template <class T>
template <class F>
void TrainStep<T>::step_by_gradients(WriteAccess& access, Claim claim, double scale, F prepare) {
    take_scheduled_rate(claim);
    exclude_readers(access);
    stored_.prepare(get_num_threads());
    network_.allocate_gradients();
    auto member = [&](Share share) {
        prepare(share);
        update_stored(scale, share);
        average(share);
    };
    run_team(threads_worth(8.0 * static_cast<double>(network_.state_size())), member);
    count_step();
}

template <class T>
void TrainStep<T>::apply_gradients(const std::vector<const T*>& gradients) {
    const Claim claim = first_claim();
    WriteAccess access(network_.access(), claim);
    step_by_gradients(access, claim, 1, [&](Share share) {
        if (share.leads()) {
            std::size_t next = 0;
            for (const auto& p : network_.parameters()) {
                if (p->trained) network_.write(*p, gradients[next++], p->gradient);
            }
        }
        share.sync();
    });
}

template <class T>
void TrainStep<T>::finish_group() {
    const Claim claim = first_claim();
    WriteAccess access(network_.access(), claim);
    step_by_gradients(access, claim, progress_.group.mean_factor(),
                      [this](Share share) { state_.copy_sums_to_gradients(share); });
    progress_.group = {};
}

template <class T>
void TrainStep<T>::mean_gradient(T* flat) {
    if (progress_.group.batches == 0) throw std::invalid_argument("mean_gradient needs a batch before it");
    const WriteAccess access(network_.access(), Claim::exclude);
    state_.scaled_sums(progress_.group.mean_factor(), flat);
    progress_.group = {};
}

// Sets the rates by this batch, such that each layer's turn moves the output equally.
template <class T>
[[gnu::noinline]] void TrainStep<T>::equalize_rates(Batch<T>& batch, const Data& data, const Rows& rows) {
    const Updates<T> updates = make_updates<T>(optimizer_, 1, progress_.n_steps, 1);
    const PassArgs<T> pass{rows.count, seed_, pass_index(), stores_ ? nullptr : &updates, state_.rates.data()};
    RateEqualizer<T> equalizer(network_, batch.plan, state_.slots1(), state_.slots2());
    bool measured = false;
    with_batch(network_.kernels(), batch, data, rows, [&](Share share) {
        const double weights = batch.targets.weight_sum(rows.count);
        if (!share.leads() || !(weights > 0)) return;
        measured = equalizer.measure({batch.plan, batch.targets, pass, weights, stores_ ? &stored_ : nullptr, updates});
    });
    if (measured) equalizer.set(state_.rates);
    equalizes_rates_ = !measured;
}

template <class T>
void TrainStep<T>::forget_average() {
    const WriteAccess access(network_.access(), Claim::set);
    progress_.n_averaged = 0;
}

template <class T>
void TrainStep<T>::reset() {
    const WriteAccess access(network_.access(), Claim::exclude);
    state_.clear();
    progress_.n_averaged = 0;
    progress_.group = {};
}

template class TrainStep<float>;
template class TrainStep<double>;

}  // namespace steepest
