#include "trainer.hpp"

#include <algorithm>
#include <stdexcept>

#include "host.hpp"
#include "random.hpp"

namespace steepest {
namespace {

constexpr std::size_t kReadRows = 512;  // rows that check and evaluate read at a time
constexpr double kWorkPerClock = 2e6;   // work between two looks at the clock: tens of microseconds
constexpr double kStepWork = 1e4;       // a step costs something however small the network

void check_positive(double weight_sum, const std::string& name) {
    if (!(weight_sum > 0)) throw std::invalid_argument(name + " sums to 0, expected a positive sum");
}

}  // namespace

std::vector<std::pair<std::string, double>> Evaluation::results() const {
    check_positive(sum.weight, "sample_weight");
    return metrics.results(sum.loss / sum.weight);
}

template <class T>
Trainer<T>::Trainer(Network<T>& network, LossSpec loss, const Optimizer& optimizer, const TrainerOptions& options,
                    std::uint64_t seed, UpdateOrder order)
    : network_(network), seed_(seed), step_(network, loss, optimizer, options, seed, order) {}

template <class T>
void Trainer<T>::check_shapes(const Data& data) const {
    check_shape(data.x, kAnyRows, network_.n_in());
    if (data.x.rows == 0) throw std::invalid_argument(data.x.name + " has 0 rows, expected at least 1");
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
double Trainer<T>::step(const Data& data) {
    check_shapes(data);
    begin_costs();
    const LossSum sum = step_.run(step_.batch_for(data.x.rows), data, {nullptr, 0, data.x.rows}, true);
    check_positive(sum.weight, data.weights.name);
    return sum.loss / sum.weight;
}

template <class T>
double Trainer<T>::differentiate(const Data& data) {
    check_shapes(data);
    step_.store_gradients();
    const LossSum sum = step_.run(step_.batch_for(data.x.rows), data, {nullptr, 0, data.x.rows}, false);
    check_positive(sum.weight, data.weights.name);
    return sum.loss / sum.weight;
}

template <class T>
double Trainer<T>::run_epoch(const Data& data, std::size_t batch_size, bool shuffled, const OnProgress& on_progress) {
    check_shapes(data);
    if (batch_size == 0) throw std::invalid_argument("batch_size is 0, expected at least 1");
    const std::size_t n = data.x.rows;
    begin_costs();
    if (shuffled) order(n);
    Batch<T>& batch = step_.batch_for(std::min(batch_size, n));
    Poll poll;
    double loss_sum = 0, weight_sum = 0, work = 0;
    for (std::size_t first = 0; first < n; first += batch_size) {
        const Rows rows{shuffled ? order_.data() : nullptr, first, std::min(batch_size, n - first)};
        const LossSum outcome = step_.run(batch, data, rows, true);
        loss_sum += outcome.loss;
        weight_sum += outcome.weight;
        work += batch.plan.work(rows.count) + kStepWork;
        if (!on_progress || work < kWorkPerClock) continue;
        work = 0;
        if (poll.is_due()) on_progress(first + rows.count, weight_sum > 0 ? loss_sum / weight_sum : 0);
    }
    end_epoch();
    return weight_sum > 0 ? loss_sum / weight_sum : 0;
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
template <class F>
void Trainer<T>::each_block(Batch<T>& batch, const Data& data, F work) {
    Poll poll;
    for (std::size_t first = 0; first < data.x.rows; first += batch.plan.capacity()) {
        const Rows rows{nullptr, first, std::min(batch.plan.capacity(), data.x.rows - first)};
        with_batch(network_.kernels(), batch, data, rows, [&](Share share) { work(rows, share); });
        poll.look();
    }
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
    check_shapes(data);
    double weights = 0;
    Batch<T>& batch = evaluation_batch(data.x.rows);
    each_block(batch, data, [&](Rows rows, Share share) {
        if (share.leads()) weights += batch.targets.weight_sum(rows.count);
    });
    check_positive(weights, data.weights.name);
}

template <class T>
void Trainer<T>::measure(Evaluation& evaluation, const Data& data) {
    check_shapes(data);
    std::unique_ptr<Network<T>> averaged;
    {
        const ReadAccess reading(network_.access());
        if (progress().n_averaged > 0) averaged = network_.with_values(step_.state().averages());
    }
    if (averaged) {
        Batch<T> batch(*averaged, loss(), std::min(kReadRows, data.x.rows), Mode::infer);
        return measure_by(batch, evaluation, data);
    }
    Batch<T>& batch = evaluation_batch(data.x.rows);
    const LongRead reading(network_.access());
    measure_by(batch, evaluation, data);
}

// Of the network that the batch's plan is for.
template <class T>
void Trainer<T>::measure_by(Batch<T>& batch, Evaluation& evaluation, const Data& data) {
    const std::size_t n_out = network_.n_out(), panel = network_.kernels().panel;
    std::vector<double> y_row(n_out), t_row(n_out);
    const auto read = [&](Matrix<const T> from, std::size_t row, std::vector<double>& to) {
        for (std::size_t c = 0; c < n_out; ++c) {
            to[c] = static_cast<double>(from.data[c / panel * from.stride + row * panel + c % panel]);
        }
        return to.data();
    };
    each_block(batch, data, [&](Rows rows, Share share) {
        const Matrix<T> output = batch.plan.output();
        const Matrix<const T> y{output.data, output.stride};
        Targets<T>& targets = batch.targets;
        batch.plan.forward({rows.count, 0, 0}, share);
        share.sync();  // the outputs stand
        targets.loss(y, {}, rows.count, 1, share);
        share.sync();  // the loss chunks stand
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
