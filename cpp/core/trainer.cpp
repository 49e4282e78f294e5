#include "trainer.hpp"

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "host.hpp"
#include "random.hpp"

namespace steepest {
namespace {

constexpr double kWorkPerClock = 2e6;  // work between two looks at the clock: tens of microseconds
constexpr double kStepWork = 1e4;      // a step costs something however small the network

template <class T>
void run(Measurement<T>& measurement) {
    Poll poll;
    while (!measurement.over()) measurement.advance(), poll.look();
}

}  // namespace

template <class T>
Trainer<T>::Trainer(Network<T>& network, LossSpec loss, const Optimizer& optimizer, const TrainerOptions& options,
                    std::uint64_t seed, UpdateOrder order)
    : network_(network), seed_(seed), step_(network, loss, optimizer, options, seed, order) {}

template <class T>
void Trainer<T>::check_shapes(const Data& data) const {
    check_shape(data.x, kAnyRows, network_.n_in());
    if (data.rows() == 0) {
        const std::string of = data.places ? "rows has" : data.x.name + " has";
        throw std::invalid_argument(of + " 0 rows, expected at least 1");
    }
    Targets<T>::check_shapes(data.y, data.weights, data.x.rows, network_.n_out(), loss());
}

// Where layers take turns: their costs are sums from here on.
template <class T>
void Trainer<T>::begin_costs() {
    if (!step_.layerwise().by_layer()) return;
    const WriteAccess access(network_.access(), Claim::exclude);
    step_.layerwise().begin();
}

template <class T>
LossSum Trainer<T>::run_alone(const Data& data, bool may_step) {
    Batch<T>& batch = step_.batch_for(data.x.rows);
    typename TrainStep<T>::Hold hold(step_);
    return step_.run(hold, batch, data, {nullptr, 0, data.x.rows}, may_step);
}

template <class T>
double Trainer<T>::step(const Data& data) {
    check_shapes(data);
    begin_costs();
    const LossSum sum = run_alone(data, true);
    check_positive(sum.weight, data.weights.name);
    return sum.loss / sum.weight;
}

template <class T>
double Trainer<T>::differentiate(const Data& data) {
    check_shapes(data);
    step_.store_gradients();
    const LossSum sum = run_alone(data, false);
    check_positive(sum.weight, data.weights.name);
    return sum.loss / sum.weight;
}

template <class T>
Epoch Trainer<T>::begin_epoch(const Data& data, std::size_t batch_size, bool shuffled) {
    check_shapes(data);
    if (batch_size == 0) throw std::invalid_argument("batch_size is 0, expected at least 1");
    const std::size_t n = data.rows();
    begin_costs();
    if (!shuffled) return {&data, batch_size, data.some(0, n).order, n};
    order(n);
    for (std::size_t i = 0; data.places && i < n; ++i) order_[i] = (*data.places)[order_[i]];
    return {&data, batch_size, order_.data(), n};
}

template <class T>
double Trainer<T>::advance(Epoch& epoch, double work) {
    Batch<T>& batch = step_.batch_for(std::min(epoch.batch_size, epoch.rows));
    double done = 0;
    while (!epoch.over() && done < work) {
        typename TrainStep<T>::Hold hold(step_);
        std::optional<FlushSubnormals> flush;
        if (hold.lasts()) flush.emplace();  // once for all of them; the caller's code is left its own mode
        do {
            const Rows rows{epoch.order, epoch.done, std::min(epoch.batch_size, epoch.rows - epoch.done)};
            const LossSum outcome = step_.run(hold, batch, *epoch.data, rows, true);
            epoch.loss_sum += outcome.loss;
            epoch.weight_sum += outcome.weight;
            epoch.done += rows.count;
            done += batch.plan.work(rows.count) + kStepWork;
        } while (hold.lasts() && !epoch.over() && done < work);
    }
    return done;
}

template <class T>
Epoch Trainer<T>::run_steps(const Data& data, std::size_t batch_size, bool shuffled, const OnProgress& on_progress) {
    Epoch epoch = begin_epoch(data, batch_size, shuffled);
    Poll poll;
    while (!epoch.over()) {
        advance(epoch, kWorkPerClock);
        if (poll.is_due()) on_progress(epoch.done, epoch.mean_loss());
    }
    return epoch;
}

template <class T>
double Trainer<T>::run_epoch(const Data& data, std::size_t batch_size, bool shuffled, const OnProgress& on_progress) {
    const Epoch epoch = run_steps(data, batch_size, shuffled, on_progress);
    end_epoch();
    return epoch.mean_loss();
}

template <class T>
void Trainer<T>::release() {
    step_.release();
    evaluation_.reset();
    order_ = {};
}

template <class T>
void Trainer<T>::end_epoch() {
    if (progress().group.batches > 0) step_.finish_group();
    const WriteAccess access(network_.access(), Claim::exclude);
    set_epoch(progress().epoch + 1);
}

template <class T>
const std::vector<std::size_t>& Trainer<T>::order(std::size_t n) {
    shuffle(order_, n, seed_, progress().epoch);
    return order_;
}

template <class T>
Batch<T>& Trainer<T>::evaluation_batch(std::size_t rows) {
    const std::size_t block = std::min(kReadRows, rows);
    if (!has_room(evaluation_, block)) {
        evaluation_.reset();  // its memory first: two plans of a wide network need not fit side by side
        evaluation_ = std::make_unique<Batch<T>>(network_, loss(), block, Mode::infer);
    }
    return *evaluation_;
}

template <class T>
void Trainer<T>::check(const Data& data) {
    Measurement<T> reading = begin_measurement(data, nullptr);
    run(reading);
    check_positive(reading.weight(), data.weights.name);
}

template <class T>
Measurement<T> Trainer<T>::begin_measurement(const Data& data, Evaluation* evaluation) {
    check_shapes(data);
    if (evaluation) {
        if (auto averaged = averaged_network()) return {std::move(averaged), loss(), data, evaluation};
    }
    return {network_.kernels(), evaluation_batch(data.rows()), data, evaluation};
}

template <class T>
std::unique_ptr<Network<T>> Trainer<T>::averaged_network() {
    const ReadAccess reading(network_.access());
    return progress().n_averaged > 0 ? network_.with_values(step_.state().averages()) : nullptr;
}

template <class T>
void Trainer<T>::measure(Evaluation& evaluation, const Data& data) {
    Measurement<T> measuring = begin_measurement(data, &evaluation);
    const LongRead reading(network_.access());
    run(measuring);
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace steepest
