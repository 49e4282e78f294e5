#include "trainer.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>

namespace steepest {
namespace {

constexpr std::size_t kReadRows = 512;                         // rows that check and evaluate read at a time
constexpr auto kWakeInterval = std::chrono::milliseconds(50);  // between two calls of wake
constexpr double kWorkPerClock = 2e6;                          // work between two looks at the clock: tens of microseconds

std::string divergence_text(std::uint32_t epoch, std::uint64_t step, double rate, double loss) {
    return "the loss is " + number_text(loss) + " in epoch " + std::to_string(epoch) + ", step " + std::to_string(step) +
           ", learning rate " + number_text(rate) + ": scale x and y to about 1, or lower the learning rate";
}

void expect_positive(double weight_sum, const Data& data) {
    if (!(weight_sum > 0)) throw std::invalid_argument(data.weights.name + " sums to 0, expected a positive sum");
}

}  // namespace

Diverged::Diverged(std::uint32_t epoch_, std::uint64_t step_, double rate, double loss_)
    : std::runtime_error(divergence_text(epoch_, step_, rate, loss_)), epoch(epoch_), step(step_), learning_rate(rate),
      loss(loss_) {}

template <class T>
Trainer<T>::Trainer(Network<T>& network, LossSpec loss, const Optimizer& optimizer, std::uint64_t seed, UpdateOrder order)
    : learning_rate(optimizer.lr), rates(network.parameters().size(), 1.0), network_(network), loss_(loss),
      optimizer_(optimizer), seed_(seed), stored_(network, optimizer_, slots1_, slots2_, rates), walk_(network, order) {
    if (loss.loss == Loss::cross_entropy && network.n_out() < 2) {
        throw std::invalid_argument("loss 'cross_entropy' needs at least 2 outputs, found 1: use 'binary_cross_entropy'");
    }
    for (const auto& p : network.parameters()) {
        const std::size_t columns = p->trained ? p->columns : 0;
        slots1_.emplace_back(p->rows, optimizer.uses_slot1() ? columns : 0, network.kernels().panel);
        slots2_.emplace_back(p->rows, optimizer.uses_slot2() ? columns : 0, network.kernels().panel);
    }
}

template <class T>
void Trainer<T>::reset() {
    for (auto* slots : {&slots1_, &slots2_}) {
        for (PanelMatrix<T>& m : *slots) std::fill_n(m.buffer().data(), m.buffer().size(), T(0));
    }
}

template <class T>
void Trainer<T>::expect(const Data& data) const {
    expect_shape(data.x, kAnyRows, network_.n_in());
    if (data.x.rows == 0) throw std::invalid_argument(data.x.name + " has 0 rows, expected at least 1");
    Targets<T>::expect_shapes(data.y, data.weights, data.x.rows, network_.n_out(), loss_.loss);
}

template <class T>
typename Trainer<T>::Batch& Trainer<T>::batch_for(std::size_t rows, Purpose purpose, std::unique_ptr<Batch>& slot) {
    if (slot && slot->plan.capacity() >= rows) return *slot;
    slot.reset();  // its memory first: two plans of a wide network need not fit side by side
    std::vector<Slots<T>> slots;
    for (std::size_t i = 0; i < slots1_.size(); ++i) slots.push_back({slots1_[i].matrix().data, slots2_[i].matrix().data});
    slot.reset(
        new Batch{Plan<T>(network_, rows, purpose, slots), Targets<T>(network_.kernels(), loss_, rows, network_.n_out())});
    return *slot;
}

template <class T>
template <class F>
void Trainer<T>::with_batch(Batch& batch, const Data& data, Rows rows, F work) {
    const Kernels<T>& kernels = network_.kernels();
    const std::size_t columns = data.x.columns;
    batch.targets.expect(data.y, data.weights);
    std::atomic<bool> x_good{true}, y_good{true};
    auto member = [&](Share share) {
        thread_local std::vector<T> buffer;
        if (buffer.size() < columns) buffer.resize(columns);
        const Range part = share.split(rows.count);
        if (!gather(kernels, data.x, rows, part.begin, part.end, buffer.data(), batch.plan.input())) x_good = false;
        if (!batch.targets.read(data.y, data.weights, rows, share)) y_good = false;
        share.sync();
        if (x_good && y_good) work(share);
    };
    run_team(batch.plan.threads(rows.count), member);
    if (!x_good) refuse<T>(data.x, rows);
    if (!y_good) batch.targets.refuse(data.y, data.weights, rows);
}

template <class T>
void Trainer<T>::take_rate() {
    if (!schedule) return;
    learning_rate = schedule(n_steps);
    if (!std::isfinite(learning_rate) || learning_rate < 0) {
        throw std::invalid_argument("the schedule gave a learning rate of " + number_text(learning_rate) + " at step " +
                                    std::to_string(n_steps) + ", expected a finite number of at least 0");
    }
}

// Replays the plan on one batch: forward, loss, and, if the loss is finite, backward with the updates.
template <class T>
typename Trainer<T>::Outcome Trainer<T>::step_on(Batch& batch, const Data& data, Rows rows) {
    take_rate();
    const Updates<T> updates = make_updates<T>(optimizer_, learning_rate, n_steps, 1);
    const bool stored = optimizer_.stores_gradients();
    if (stored) stored_.prepare(get_num_threads());
    Replay<T> replay{rows.count, seed_, static_cast<std::uint32_t>(n_steps), nullptr, rates.data()};
    if (!stored) replay.updates = &updates;
    if (equalises) equalise(batch, data, rows);

    Plan<T>& plan = batch.plan;
    const Matrix<T> y = plan.output();
    Outcome outcome{};
    with_batch(batch, data, rows, [&](Share share) {
        const double weights = batch.targets.weight_sum(rows.count);
        if (!(weights > 0)) return;  // rows that count for nothing are no batch
        plan.forward(replay, share);
        share.sync();
        batch.targets.loss({y.data, y.stride}, plan.output_gradient(), rows.count, weights, share);
        share.sync();
        const double loss_sum = batch.targets.sum_of_parts(rows.count);  // each member's own: no need to meet again
        if (share.leads()) outcome = {loss_sum, weights};
        if (!std::isfinite(loss_sum)) return;
        plan.settle(replay, share);
        if (walk_.by_layer()) {
            share.sync();
            walk_.run({plan, batch.targets, replay, weights, stored ? &stored_ : nullptr, updates}, loss_sum, share);
            return;
        }
        plan.backward(replay, share);
        if (!stored) return;
        share.sync();
        stored_.apply(0, rates.size(), updates, share);
    });
    if (outcome.weight_sum == 0) return outcome;
    const double loss = outcome.loss_sum / outcome.weight_sum;
    if (!std::isfinite(loss)) throw Diverged(epoch, n_steps, learning_rate, loss);
    if (walk_.by_layer()) {
        const double after = walk_.end_step(outcome.weight_sum);
        if (!std::isfinite(after)) throw Diverged(epoch, n_steps, learning_rate, after);
    }
    ++n_steps;
    return outcome;
}

template <class T>
void Trainer<T>::equalise(Batch& batch, const Data& data, Rows rows) {
    const Updates<T> updates = make_updates<T>(optimizer_, 1, n_steps, 1);
    const bool stored = optimizer_.stores_gradients();
    const Replay<T> replay{rows.count, seed_, static_cast<std::uint32_t>(n_steps), stored ? nullptr : &updates, rates.data()};
    Equaliser<T> equaliser(network_, batch.plan, slots1_, slots2_);
    bool measured = false;
    with_batch(batch, data, rows, [&](Share share) {
        const double weights = batch.targets.weight_sum(rows.count);
        if (!share.leads() || !(weights > 0)) return;
        measured = equaliser.measure({batch.plan, batch.targets, replay, weights, stored ? &stored_ : nullptr, updates});
    });
    if (measured) equaliser.set(rates);
    equalises = !measured;
}

template <class T>
void Trainer<T>::apply() {
    take_rate();
    stored_.prepare(get_num_threads());
    const Updates<T> updates = make_updates<T>(optimizer_, learning_rate, n_steps, 1);
    auto member = [&](Share share) { stored_.apply(0, rates.size(), updates, share); };
    run_team(threads_worth(8.0 * static_cast<double>(network_.state_size())), member);
    ++n_steps;
}

template <class T>
typename Trainer<T>::Batch& Trainer<T>::training_batch(std::size_t rows) {
    return batch_for(rows, optimizer_.stores_gradients() ? Purpose::store : Purpose::train, training_);
}

template <class T>
double Trainer<T>::step(const Data& data) {
    expect(data);
    walk_.begin();
    const Outcome outcome = step_on(training_batch(data.x.rows), data, {nullptr, 0, data.x.rows});
    expect_positive(outcome.weight_sum, data);
    return outcome.loss_sum / outcome.weight_sum;
}

template <class T>
template <class F>
void Trainer<T>::each_block(const Data& data, F work) {
    Batch& batch = batch_for(std::min(kReadRows, data.x.rows), Purpose::infer, evaluation_);
    for (std::size_t first = 0; first < data.x.rows; first += batch.plan.capacity()) {
        const Rows rows{nullptr, first, std::min(batch.plan.capacity(), data.x.rows - first)};
        with_batch(batch, data, rows, [&](Share share) { work(batch, rows, share); });
    }
}

template <class T>
void Trainer<T>::check(const Data& data) {
    expect(data);
    double weights = 0;
    each_block(data, [&](Batch& batch, Rows rows, Share share) {
        if (share.leads()) weights += batch.targets.weight_sum(rows.count);
    });
    expect_positive(weights, data);
}

template <class T>
double Trainer<T>::run_epoch(const Data& data, std::size_t batch_size, bool shuffled, const Wake& wake) {
    expect(data);
    if (batch_size == 0) throw std::invalid_argument("batch_size is 0, expected at least 1");
    const std::size_t n = data.x.rows;
    walk_.begin();
    if (shuffled) shuffle(order_, n, seed_, epoch);
    Batch& batch = training_batch(std::min(batch_size, n));
    const auto clock = [] { return std::chrono::steady_clock::now(); };
    auto last_wake = clock();
    double loss_sum = 0, weight_sum = 0, work = 0;
    for (std::size_t first = 0; first < n; first += batch_size) {
        const Rows rows{shuffled ? order_.data() : nullptr, first, std::min(batch_size, n - first)};
        const Outcome outcome = step_on(batch, data, rows);
        loss_sum += outcome.loss_sum;
        weight_sum += outcome.weight_sum;
        work += batch.plan.work(rows.count) + 1e4;  // a step costs something however small the network
        if (!wake || work < kWorkPerClock) continue;
        work = 0;
        if (const auto now = clock(); now - last_wake >= kWakeInterval) {
            wake(first + rows.count, weight_sum > 0 ? loss_sum / weight_sum : 0);
            last_wake = now;
        }
    }
    ++epoch;
    return weight_sum > 0 ? loss_sum / weight_sum : 0;
}

template <class T>
std::vector<std::pair<std::string, double>> Trainer<T>::evaluate(const Data& data, const std::vector<std::string>* metrics) {
    expect(data);
    const std::size_t n_out = network_.n_out(), panel = network_.kernels().panel;
    Meter meter(metrics ? *metrics : Meter::usual(loss_.loss), loss_.loss, n_out);
    std::vector<double> y_row(n_out), t_row(n_out);
    const auto read = [&](Matrix<const T> from, std::size_t row, std::vector<double>& to) {
        for (std::size_t c = 0; c < n_out; ++c) {
            to[c] = static_cast<double>(from.data[c / panel * from.stride + row * panel + c % panel]);
        }
        return to.data();
    };
    double loss_sum = 0, weight_sum = 0;

    each_block(data, [&](Batch& batch, Rows rows, Share share) {
        const Matrix<T> output = batch.plan.output();
        const Matrix<const T> y{output.data, output.stride};
        Targets<T>& targets = batch.targets;
        batch.plan.forward({rows.count, 0, 0}, share);
        share.sync();
        targets.loss(y, {}, rows.count, 1, share);
        share.sync();
        if (!share.leads()) return;
        loss_sum += targets.sum_of_parts(rows.count);
        for (std::size_t row = 0; row < rows.count; ++row) {
            const double weight = targets.row_weight(row);
            weight_sum += weight;
            const double* t = targets.labelled() ? nullptr : read(targets.rows(), row, t_row);
            meter.add(read(y, row, y_row), t, t ? 0 : targets.label(row), weight);
        }
    });

    expect_positive(weight_sum, data);
    return meter.results(loss_sum / weight_sum);
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace steepest
