// A batch: rows of the caller's data, read into a plan's input and into targets.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "array_view.hpp"
#include "network.hpp"
#include "plan_layers.hpp"
#include "targets.hpp"

namespace steepest {

// The caller's data. weights.data is null where every row counts 1.
struct Data {
    ArrayView x, y, weights;
    const std::vector<std::size_t>* places = nullptr;  // of the rows that are meant, in this order; null: all

    std::size_t rows() const { return places ? places->size() : x.rows; }
    // Rows [first, first + count) of those that are meant.
    Rows some(std::size_t first, std::size_t count) const { return {places ? places->data() : nullptr, first, count}; }
};

// Sums over rows.
struct LossSum {
    double loss = 0, weight = 0;
};

// Memory for one batch, and the plan that works on it.
template <class T>
struct Batch {
    Plan<T> plan;
    Targets<T> targets;

    // Room for `rows` rows; `slots` as for make_plan.
    Batch(Network<T>& network, LossSpec loss, std::size_t rows, Mode mode, const std::vector<Slots<T>>& slots = {})
        : plan(make_plan(network, rows, mode, slots)), targets(network.kernels(), loss, rows, network.n_out()) {}
};

template <class T>
bool has_room(const std::unique_ptr<Batch<T>>& batch, std::size_t rows) {
    return batch && batch->plan.capacity() >= rows;
}

// Reads one batch and runs work(share) on it, by each member of a team, if all of it is allowed; throws
// std::invalid_argument otherwise. When `work` begins, the team has met: inputs, targets and weights of all rows stand.
template <class T, class F>
void with_batch(const Kernels<T>& kernels, Batch<T>& batch, const Data& data, const Rows& rows, F work) {
    batch.targets.set_kind(data.y, data.weights, rows.mix != nullptr);
    std::atomic<bool> x_good{true}, y_good{true};
    auto member = [&](Share share) {
        if (share.count > 1) prepare_thread(kernels);
        const Range part = share.split(rows.count);
        if (!gather(kernels, data.x, rows, part.begin, part.end, batch.plan.input())) x_good = false;
        if (!batch.targets.read(data.y, data.weights, rows, share)) y_good = false;
        share.sync();
        if (x_good && y_good) work(share);
    };
    batch.plan.run_team(rows.count, member);
    if (!x_good) throw_invalid<T>(data.x, rows);
    if (!y_good) batch.targets.throw_invalid(data.y, data.weights, rows);
}

}  // namespace steepest
