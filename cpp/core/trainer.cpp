#include "trainer.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>

namespace steepest {
namespace {

constexpr std::size_t kReadRows = 512;                             // rows that check and evaluate read at a time
constexpr auto kProgressInterval = std::chrono::milliseconds(50);  // between two calls of on_progress
constexpr double kWorkPerClock = 2e6;                              // work between two looks at the clock: tens of microseconds

std::string divergence_text(std::uint32_t epoch, std::uint64_t step, double rate, double loss) {
    return "the loss is " + number_text(loss) + " in epoch " + std::to_string(epoch) + ", step " + std::to_string(step) +
           ", learning rate " + number_text(rate) + ": scale x and y to about 1, or lower the learning rate";
}

// f(i) for the numbers of a panel, which lie one after the other in `p` and whatever lies beside it
template <class T, class F>
void each_number(const Parameter<T>& p, std::size_t lanes, std::size_t panel, F f) {
    const std::size_t first = panel * p.value.matrix().stride;
    for (std::size_t i = first; i < first + p.rows * lanes; ++i) f(i);
}

void check_positive(double weight_sum, const std::string& name) {
    if (!(weight_sum > 0)) throw std::invalid_argument(name + " sums to 0, expected a positive sum");
}

}  // namespace

Diverged::Diverged(std::uint32_t epoch_, std::uint64_t step_, double rate, double loss_)
    : std::runtime_error(divergence_text(epoch_, step_, rate, loss_)), epoch(epoch_), step(step_), learning_rate(rate),
      loss(loss_) {}

std::vector<std::pair<std::string, double>> Evaluation::results() const {
    check_positive(sum.weight, "sample_weight");
    return metrics.results(sum.loss / sum.weight);
}

template <class T>
Trainer<T>::Trainer(Network<T>& network, LossSpec loss, const Optimizer& optimizer, const TrainerOptions& options,
                    std::uint64_t seed, UpdateOrder order)
    : learning_rate(optimizer.lr), rates(network.parameters().size(), 1.0), network_(network), loss_(loss),
      optimizer_(optimizer), options_(options), seed_(seed), stores_(optimizer.stores_gradients() || options.accumulate > 1),
      stored_(network, optimizer_, slots1_, slots2_, rates), layerwise_(network, order) {
    if (!loss.custom && loss.loss == Loss::cross_entropy && network.n_out() < 2) {
        throw std::invalid_argument("loss 'cross_entropy' needs at least 2 outputs, found 1: use 'binary_cross_entropy'");
    }
    if (order != UpdateOrder::together && (loss.custom || options.accumulate > 1)) {
        throw std::invalid_argument("update_order is by layer, with " +
                                    std::string(loss.custom ? "a function as loss" : "accumulate above 1") +
                                    ": expected update_order='together'");
    }
    slots1_ = beside_parameters(optimizer.uses_slot1());
    slots2_ = beside_parameters(optimizer.uses_slot2());
    averages_ = beside_parameters(options.ema > 0);
    sums_ = beside_parameters(options.accumulate > 1);
}

template <class T>
std::vector<PanelMatrix<T>> Trainer<T>::beside_parameters(bool wanted) const {
    std::vector<PanelMatrix<T>> matrices;
    for (const auto& p : network_.parameters()) {
        matrices.emplace_back(p->rows, wanted && p->trained ? p->columns : 0, network_.kernels().panel);
    }
    return matrices;
}

template <class T>
void Trainer<T>::reset() {
    for (auto* slots : {&slots1_, &slots2_}) {
        for (PanelMatrix<T>& m : *slots) std::fill_n(m.buffer().data(), m.buffer().size(), T(0));
    }
    forget_average();
    group = {};
}

template <class T>
void Trainer<T>::check_shapes(const Data& data) const {
    check_shape(data.x, kAnyRows, network_.n_in());
    if (data.x.rows == 0) throw std::invalid_argument(data.x.name + " has 0 rows, expected at least 1");
    Targets<T>::check_shapes(data.y, data.weights, data.x.rows, network_.n_out(), loss_);
}

template <class T>
typename Trainer<T>::Batch& Trainer<T>::batch_for(std::size_t rows, Mode mode, std::unique_ptr<Batch>& slot) {
    if (slot && slot->plan.capacity() >= rows) return *slot;
    slot.reset();  // its memory first: two plans of a wide network need not fit side by side
    std::vector<Slots<T>> slots;
    for (std::size_t i = 0; i < slots1_.size(); ++i) slots.push_back({slots1_[i].matrix().data, slots2_[i].matrix().data});
    slot.reset(
        new Batch{make_plan(network_, rows, mode, slots), Targets<T>(network_.kernels(), loss_, rows, network_.n_out())});
    return *slot;
}

template <class T>
template <class F>
void Trainer<T>::with_batch(Batch& batch, const Data& data, Rows rows, F work) {
    const Kernels<T>& kernels = network_.kernels();
    const std::size_t columns = data.x.columns;
    batch.targets.set_kind(data.y, data.weights, rows.mix != nullptr);
    std::atomic<bool> x_good{true}, y_good{true};
    auto member = [&](Share share) {
        thread_local std::vector<T> buffer;
        const std::size_t needed = columns * (rows.mix ? 2 : 1);
        if (buffer.size() < needed) buffer.resize(needed);
        const Range part = share.split(rows.count);
        if (!gather(kernels, data.x, rows, part.begin, part.end, buffer.data(), batch.plan.input())) x_good = false;
        if (!batch.targets.read(data.y, data.weights, rows, share)) y_good = false;
        share.sync();
        if (x_good && y_good) work(share);
    };
    batch.plan.run_team(rows.count, member);
    if (!x_good) throw_invalid<T>(data.x, rows);
    if (!y_good) batch.targets.throw_invalid(data.y, data.weights, rows);
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

template <class T>
[[gnu::noinline]] const Mix* Trainer<T>::draw_mix(std::size_t rows) {
    Random random(seed_, Stream::mixup, pass_index());
    mix_.share = random.beta(options_.mixup);
    permute(partner_, rows, random);
    mix_.partner = partner_.data();
    return &mix_;
}

// Replays the plan on one batch: forward, loss, and, if the loss is finite, backward with the updates. Where gradients
// are gathered, they all are divided by the weight of the first batch's rows, and their sum is made a mean in the end.
template <class T>
LossSum Trainer<T>::step_on(Batch& batch, const Data& data, Rows rows, bool completes) {
    take_rate();
    const Updates<T> updates = make_updates<T>(optimizer_, learning_rate, n_steps, 1);
    if (stores_) stored_.prepare(get_num_threads());
    PassArgs<T> pass{rows.count, seed_, pass_index(), nullptr, rates.data()};
    if (!stores_) pass.updates = &updates;
    if (options_.mixup > 0) rows.mix = draw_mix(rows.count);
    if (equalizes_rates) equalize_rates(batch, data, rows);
    completes = completes && group.batches + 1 >= options_.accumulate;

    Plan<T>& plan = batch.plan;
    const Matrix<T> y = plan.output();
    LossSum sum;
    const auto descend = [&](Share share, LossSum own) {
        plan.commit_running_stats(pass, share);
        if (layerwise_.by_layer()) {
            share.sync();
            layerwise_.run({plan, batch.targets, pass, own.weight, stores_ ? &stored_ : nullptr, updates}, own.loss, share);
        } else {
            plan.backward(pass, share);
        }
        if (stores_ || options_.ema > 0) use_gradients(completes, own.weight, share);
    };
    with_batch(batch, data, rows, [&](Share share) {
        const double weights = batch.targets.weight_sum(rows.count);
        if (!(weights > 0)) return;  // rows that count for nothing are no batch
        plan.forward(pass, share);
        if (loss_.custom) {
            if (share.leads()) sum.weight = weights;
            return;
        }
        share.sync();
        const double divisor = group.batches > 0 ? group.first : weights;
        batch.targets.loss({y.data, y.stride}, plan.output_gradient(), rows.count, divisor, share);
        share.sync();
        const LossSum own{batch.targets.sum_loss_chunks(rows.count), weights};  // each member's: no need to meet again
        if (share.leads()) sum = own;
        if (std::isfinite(own.loss)) descend(share, own);
    });
    if (sum.weight == 0) return sum;
    if (loss_.custom) apply_custom_loss(batch, rows, group.batches > 0 ? group.first : sum.weight, sum, descend);
    const double loss = sum.loss / sum.weight;
    if (!std::isfinite(loss)) throw Diverged(epoch, n_steps, learning_rate, loss);
    if (layerwise_.by_layer()) {
        const double after = layerwise_.end_step(sum.weight);
        if (!std::isfinite(after)) throw Diverged(epoch, n_steps, learning_rate, after);
    }
    if (!completes) {
        if (group.batches++ == 0) group.first = sum.weight;
        group.total += sum.weight;
        return sum;
    }
    group = {};
    ++n_steps;
    n_averaged += options_.ema > 0;
    return sum;
}

// Fills the output's gradient and the sum by the caller's own loss, outside of any team, for he may take his time; and
// calls descend(share, sum) if the loss is finite. Kept out of the plain step, which small networks take in half a microsecond.
template <class T>
template <class F>
[[gnu::noinline]] void Trainer<T>::apply_custom_loss(Batch& batch, Rows rows, double divisor, LossSum& sum, F descend) {
    const Kernels<T>& kernels = network_.kernels();
    const std::size_t n_out = network_.n_out(), size = rows.count * n_out;
    if (custom_outputs_.size() < size) custom_outputs_.resize(size), custom_gradient_.resize(size);
    const Matrix<T> y = batch.plan.output();
    for (std::size_t row = 0; row < rows.count; ++row) {
        kernels.scatter_row({y.data, y.stride}, n_out, row, custom_outputs_.data() + row * n_out);
    }
    sum.loss = sum.weight * custom_loss(rows, custom_outputs_.data(), custom_gradient_.data());
    if (!std::isfinite(sum.loss)) return;
    const auto factor = static_cast<T>(sum.weight / divisor);
    for (std::size_t i = 0; factor != 1 && i < size; ++i) custom_gradient_[i] *= factor;
    for (std::size_t row = 0; row < rows.count; ++row) {
        gather_row<T>(kernels, custom_gradient_.data() + row * n_out, n_out, row, batch.plan.output_gradient());
    }
    auto member = [&](Share share) { descend(share, sum); };
    batch.plan.run_team(rows.count, member);
}

// What follows backward besides updates on the spot: the gradients' sum, or its use where `completes`; the average.
template <class T>
void Trainer<T>::use_gradients(bool completes, double weights, Share share) {
    if (stores_ && !layerwise_.by_layer()) {
        const bool grouped = group.batches > 0;
        if (grouped || !completes) {
            share.sync();
            each_trained_panel(share, [&](std::size_t i, std::size_t panel, std::size_t) {
                const Parameter<T>& p = *network_.parameters()[i];
                T* gradient = p.gradient.buffer().data();
                T* sum = sums_[i].buffer().data();
                each_number(p, network_.kernels().panel, panel, [&](std::size_t k) {
                    if (grouped) gradient[k] += sum[k];
                    if (!completes) sum[k] = gradient[k];
                });
            });
        }
        if (completes) update_stored(grouped ? group.first / (group.total + weights) : 1, share);
    } else {
        share.sync();
    }
    if (completes) average(share);
}

// Updates all parameters by the gradients that they hold, times `scale`; the team meets before and after.
template <class T>
void Trainer<T>::update_stored(double scale, Share share) {
    stored_.apply(0, rates.size(), make_updates<T>(optimizer_, learning_rate, n_steps, scale), share);
}

// The step of a group that has fewer batches than it might.
template <class T>
void Trainer<T>::finish_group() {
    take_rate();
    stored_.prepare(get_num_threads());
    auto member = [&](Share share) {
        each_trained_panel(share, [&](std::size_t i, std::size_t panel, std::size_t) {
            const Parameter<T>& p = *network_.parameters()[i];
            each_number(p, network_.kernels().panel, panel,
                        [&](std::size_t k) { p.gradient.buffer().data()[k] = sums_[i].buffer().data()[k]; });
        });
        update_stored(group.first / group.total, share);
        average(share);
    };
    network_.allocate_gradients();
    run_team(threads_worth(8.0 * static_cast<double>(network_.state_size())), member);
    group = {};
    ++n_steps;
    n_averaged += options_.ema > 0;
}

// With Adam's correction of the bias: the average of n steps is the sum of ema^(n - i) weights_i over that of ema^(n - i).
template <class T>
void Trainer<T>::average(Share share) {
    if (options_.ema == 0) return;
    const auto steps = static_cast<double>(n_averaged + 1);
    const auto rate = static_cast<T>((1 - options_.ema) / (1 - std::pow(options_.ema, steps)));
    each_trained_panel(share, [&](std::size_t i, std::size_t panel, std::size_t) {
        const Parameter<T>& p = *network_.parameters()[i];
        const T* weights = p.value.buffer().data();
        T* averages = averages_[i].buffer().data();
        if (n_averaged == 0) {  // whatever they were
            each_number(p, network_.kernels().panel, panel, [&](std::size_t k) { averages[k] = weights[k]; });
            return;
        }
        each_number(p, network_.kernels().panel, panel,
                    [&](std::size_t k) { averages[k] += rate * (weights[k] - averages[k]); });
    });
}

template <class T>
void Trainer<T>::swap_averages() {
    for (std::size_t i = 0; i < averages_.size(); ++i) {
        const Buffer<T>& averages = averages_[i].buffer();
        std::swap_ranges(averages.data(), averages.data() + averages.size(), network_.parameters()[i]->value.buffer().data());
    }
}

template <class T>
void Trainer<T>::equalize_rates(Batch& batch, const Data& data, Rows rows) {
    const Updates<T> updates = make_updates<T>(optimizer_, 1, n_steps, 1);
    const PassArgs<T> pass{rows.count, seed_, pass_index(), stores_ ? nullptr : &updates, rates.data()};
    RateEqualizer<T> equalizer(network_, batch.plan, slots1_, slots2_);
    bool measured = false;
    with_batch(batch, data, rows, [&](Share share) {
        const double weights = batch.targets.weight_sum(rows.count);
        if (!share.leads() || !(weights > 0)) return;
        measured = equalizer.measure({batch.plan, batch.targets, pass, weights, stores_ ? &stored_ : nullptr, updates});
    });
    if (measured) equalizer.set(rates);
    equalizes_rates = !measured;
}

template <class T>
void Trainer<T>::apply() {
    take_rate();
    stored_.prepare(get_num_threads());
    auto member = [&](Share share) {
        update_stored(1, share);
        average(share);
    };
    run_team(threads_worth(8.0 * static_cast<double>(network_.state_size())), member);
    ++n_steps;
    n_averaged += options_.ema > 0;
}

template <class T>
typename Trainer<T>::Batch& Trainer<T>::training_batch(std::size_t rows) {
    return batch_for(rows, stores_ ? Mode::store : Mode::train, training_);
}

template <class T>
double Trainer<T>::step(const Data& data) {
    check_shapes(data);
    layerwise_.begin();
    const LossSum sum = step_on(training_batch(data.x.rows), data, {nullptr, 0, data.x.rows}, true);
    check_positive(sum.weight, data.weights.name);
    return sum.loss / sum.weight;
}

template <class T>
double Trainer<T>::differentiate(const Data& data) {
    check_shapes(data);
    if (!stores_) training_.reset();  // its plan keeps no gradients
    stores_ = true;
    if (std::none_of(sums_.begin(), sums_.end(), [](const auto& sum) { return sum.buffer().data(); })) {
        sums_ = beside_parameters(true);
    }
    const LossSum sum = step_on(training_batch(data.x.rows), data, {nullptr, 0, data.x.rows}, false);
    check_positive(sum.weight, data.weights.name);
    return sum.loss / sum.weight;
}

template <class T>
void Trainer<T>::mean_gradient(T* flat) {
    if (group.batches == 0) throw std::invalid_argument("mean_gradient needs a batch before it");
    const auto scale = static_cast<T>(group.first / group.total);
    for (std::size_t i = 0; i < sums_.size(); ++i) {
        const Parameter<T>& p = *network_.parameters()[i];
        if (!p.trained) continue;
        network_.read(p, sums_[i], flat);
        for (T* end = flat + p.rows * p.columns; flat != end; ++flat) *flat *= scale;
    }
    group = {};
}

template <class T>
template <class F>
void Trainer<T>::each_block(const Data& data, F work) {
    Batch& batch = batch_for(std::min(kReadRows, data.x.rows), Mode::infer, evaluation_);
    for (std::size_t first = 0; first < data.x.rows; first += batch.plan.capacity()) {
        const Rows rows{nullptr, first, std::min(batch.plan.capacity(), data.x.rows - first)};
        with_batch(batch, data, rows, [&](Share share) { work(batch, rows, share); });
    }
}

template <class T>
void Trainer<T>::check(const Data& data) {
    check_shapes(data);
    double weights = 0;
    each_block(data, [&](Batch& batch, Rows rows, Share share) {
        if (share.leads()) weights += batch.targets.weight_sum(rows.count);
    });
    check_positive(weights, data.weights.name);
}

template <class T>
double Trainer<T>::run_epoch(const Data& data, std::size_t batch_size, bool shuffled, const OnProgress& on_progress) {
    check_shapes(data);
    if (batch_size == 0) throw std::invalid_argument("batch_size is 0, expected at least 1");
    const std::size_t n = data.x.rows;
    layerwise_.begin();
    if (shuffled) order(n);
    Batch& batch = training_batch(std::min(batch_size, n));
    const auto clock = [] { return std::chrono::steady_clock::now(); };
    auto last_report = clock();
    double loss_sum = 0, weight_sum = 0, work = 0;
    for (std::size_t first = 0; first < n; first += batch_size) {
        const Rows rows{shuffled ? order_.data() : nullptr, first, std::min(batch_size, n - first)};
        const LossSum outcome = step_on(batch, data, rows, true);
        loss_sum += outcome.loss;
        weight_sum += outcome.weight;
        work += batch.plan.work(rows.count) + 1e4;  // a step costs something however small the network
        if (!on_progress || work < kWorkPerClock) continue;
        work = 0;
        if (const auto now = clock(); now - last_report >= kProgressInterval) {
            on_progress(first + rows.count, weight_sum > 0 ? loss_sum / weight_sum : 0);
            last_report = now;
        }
    }
    end_epoch();
    return weight_sum > 0 ? loss_sum / weight_sum : 0;
}

template <class T>
void Trainer<T>::end_epoch() {
    if (group.batches > 0) finish_group();
    ++epoch;
}

template <class T>
const std::vector<std::size_t>& Trainer<T>::order(std::size_t n) {
    shuffle(order_, n, seed_, epoch);
    return order_;
}

template <class T>
void Trainer<T>::measure(Evaluation& evaluation, const Data& data) {
    check_shapes(data);
    const std::size_t n_out = network_.n_out(), panel = network_.kernels().panel;
    std::vector<double> y_row(n_out), t_row(n_out);
    const auto read = [&](Matrix<const T> from, std::size_t row, std::vector<double>& to) {
        for (std::size_t c = 0; c < n_out; ++c) {
            to[c] = static_cast<double>(from.data[c / panel * from.stride + row * panel + c % panel]);
        }
        return to.data();
    };
    struct Averaged {  // while it lives, the network has the averaged weights, if there are such
        explicit Averaged(Trainer& trainer) : trainer_(trainer), swapped_(trainer.n_averaged > 0) { swap(); }
        ~Averaged() { swap(); }
        Averaged(const Averaged&) = delete;
        void swap() {
            if (swapped_) trainer_.swap_averages();
        }
        Trainer& trainer_;
        bool swapped_;
    } const averaged(*this);

    each_block(data, [&](Batch& batch, Rows rows, Share share) {
        const Matrix<T> output = batch.plan.output();
        const Matrix<const T> y{output.data, output.stride};
        Targets<T>& targets = batch.targets;
        batch.plan.forward({rows.count, 0, 0}, share);
        share.sync();
        targets.loss(y, {}, rows.count, 1, share);
        share.sync();
        if (!share.leads()) return;
        evaluation.sum.loss += targets.sum_loss_chunks(rows.count);
        for (std::size_t row = 0; row < rows.count; ++row) {
            const double weight = targets.row_weight(row);
            evaluation.sum.weight += weight;
            const double* t = targets.labeled() ? nullptr : read(targets.rows(), row, t_row);
            evaluation.metrics.add(read(y, row, y_row), t, t ? 0 : targets.label(row), weight);
        }
    });
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace steepest
