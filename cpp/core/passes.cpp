#include "passes.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>

namespace steepest {
namespace {

constexpr std::size_t kPredictRows = 512;  // rows of a workspace: larger inputs are walked in blocks

// Reads rows of `from` into `to`, runs `work`, and writes `result` out: one region of the team. Throws for bad numbers.
template <class T, class F>
void pass(Plan<T>& plan, const Kernels<T>& kernels, const ArrayView& from, Rows rows, Matrix<T> to, F work, Matrix<T> result,
          std::size_t columns, T* out) {
    std::atomic<bool> good{true};
    auto member = [&](Share share) {
        thread_local std::vector<T> buffer;
        if (buffer.size() < from.columns) buffer.resize(from.columns);
        const Range part = share.split(rows.count);
        if (!gather(kernels, from, rows, part.begin, part.end, buffer.data(), to)) good = false;
        share.sync();
        if (!good) return;
        work(share);
        share.sync();
        for (std::size_t row = part.begin; row < part.end; ++row) {
            kernels.scatter_row({result.data, result.stride}, columns, row, out + row * columns);
        }
    };
    plan.run_team(rows.count, member);
    if (!good) refuse<T>(from, rows);
}

}  // namespace

template <class T>
std::unique_ptr<Plan<T>> Predictor<T>::borrow(std::size_t rows) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (auto& plan : idle_) {
            if (plan->capacity() < rows) continue;
            std::swap(plan, idle_.back());
            std::unique_ptr<Plan<T>> found = std::move(idle_.back());
            idle_.pop_back();
            return found;
        }
    }
    std::size_t capacity = 1;
    while (capacity < rows) capacity *= 2;
    return std::make_unique<Plan<T>>(network_, capacity, Purpose::infer);
}

template <class T>
void Predictor<T>::predict(const ArrayView& x, T* out) {
    expect_shape(x, kAnyRows, network_.n_in());
    if (x.rows == 0) return;
    const std::size_t n_out = network_.n_out();
    std::unique_ptr<Plan<T>> plan = borrow(std::min(x.rows, kPredictRows));
    for (std::size_t first = 0; first < x.rows; first += plan->capacity()) {
        const Rows rows{nullptr, first, std::min(plan->capacity(), x.rows - first)};
        pass<T>(
            *plan, network_.kernels(), x, rows, plan->input(), [&](Share share) { plan->forward({rows.count, 0, 0}, share); },
            plan->output(), n_out, out + first * n_out);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(plan));
}

template <class T>
void Differentiator<T>::forward(const ArrayView& x, T* out) {
    expect_shape(x, kAnyRows, network_.n_in());
    if (x.rows == 0) throw std::invalid_argument(x.name + " has 0 rows, expected at least 1");
    if (!plan_ || plan_->capacity() < x.rows) plan_ = std::make_unique<Plan<T>>(network_, x.rows, Purpose::gradients);
    rows_ = 0;  // until all went well
    const Replay<T> replay{x.rows, network_.seed(), passes_};
    pass<T>(
        *plan_, network_.kernels(), x, {nullptr, 0, x.rows}, plan_->input(),
        [&](Share share) {
            plan_->forward(replay, share);
            share.sync();
            plan_->settle(replay, share);
        },
        plan_->output(), network_.n_out(), out);
    rows_ = x.rows;
    ++passes_;
}

template <class T>
void Differentiator<T>::backward(const ArrayView& dy, T* dx) {
    if (rows_ == 0) throw std::invalid_argument("backward needs a forward pass before it");
    expect_shape(dy, rows_, network_.n_out());
    const Replay<T> replay{rows_, network_.seed(), passes_ - 1};
    pass<T>(
        *plan_, network_.kernels(), dy, {nullptr, 0, rows_}, plan_->output_gradient(),
        [&](Share share) { plan_->backward(replay, share); }, plan_->input_gradient(), network_.n_in(), dx);
    rows_ = 0;  // the gradients were changed in place: another backward needs another forward
}

template class Predictor<float>;
template class Predictor<double>;
template class Differentiator<float>;
template class Differentiator<double>;

}  // namespace steepest
