#include "passes.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <new>
#include <stdexcept>

#include "host.hpp"

namespace steepest {
namespace {

constexpr std::size_t kPredictRows = 224;  // of a workspace, so that what lies between two layers stays in L2

// One pass: rows of `from` are gathered into `to`, `work` makes `result` of them, and that goes out.
template <class T, class F>
struct Pass {
    const Kernels<T>& kernels;
    const ArrayView& from;
    Rows rows;
    Matrix<T> to;
    F work;
    Matrix<T> result;
    std::size_t columns;
    T* out;

    // A member's part. Where a number is bad, nobody works on.
    void run(Share share, std::atomic<bool>& good) const {
        const Range part = share.split(rows.count);
        if (!gather(kernels, from, rows, part.begin, part.end, to)) good = false;
        share.sync();
        if (!good) return;
        work(share);
        share.sync();
        for (std::size_t row = part.begin; row < part.end; ++row) {
            kernels.scatter_row({result.data, result.stride}, columns, row, out + row * columns);
        }
    }
};

template <class T, class F>
Pass(const Kernels<T>&, const ArrayView&, Rows, Matrix<T>, F, Matrix<T>, std::size_t, T*) -> Pass<T, F>;

// Throws for bad numbers.
template <class T, class F>
void run_pass(Plan<T>& plan, const Pass<T, F>& pass) {
    std::atomic<bool> good{true};
    auto member = [&](Share share) { pass.run(share, good); };
    plan.run_team(pass.rows.count, member);
    if (!good) throw_invalid<T>(pass.from, pass.rows);
}

// out: for all rows of x
template <class T>
auto inference(const Network<T>& network, Plan<T>& plan, const ArrayView& x, Rows rows, T* out) {
    auto work = [&plan, rows](Share share) { plan.forward({rows.count, 0, 0}, share); };
    const std::size_t n_out = network.n_out();
    return Pass{network.kernels(), x, rows, plan.input(), work, plan.output(), n_out, out + rows.first * n_out};
}

// For the first member, which is the caller: looks at the host, and keeps what that throws until the team has parted.
class Interruption {
public:
    void look() {
        if (!poll_.is_due()) return;
        try {
            host().poll();
        } catch (...) {
            failure_ = std::current_exception();
            stops_ = true;
        }
    }
    bool stops() const { return stops_.load(std::memory_order_relaxed); }
    void rethrow() const {
        if (failure_) std::rethrow_exception(failure_);
    }

private:
    Poll poll_;
    std::atomic<bool> stops_{false};
    std::exception_ptr failure_;
};

}  // namespace

template <class T>
std::unique_ptr<Plan<T>> Predictor<T>::borrow(std::size_t rows) {
    if (std::unique_ptr<Plan<T>> last{last_.exchange(nullptr)}) {
        if (last->capacity() >= rows) return last;
        const std::lock_guard<std::mutex> lock(mutex_);
        idle_.push_back(std::move(last));
    }
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
    return std::make_unique<Plan<T>>(make_plan(network_, capacity, Mode::infer));
}

template <class T>
void Predictor<T>::give_back(std::unique_ptr<Plan<T>> plan) {
    std::unique_ptr<Plan<T>> before{last_.exchange(plan.release())};
    if (!before) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(before));
}

// What the threads of the parent had borrowed or were putting back is lost.
template <class T>
void Predictor<T>::after_fork() {
    new (&mutex_) std::mutex;
    new (&idle_) std::vector<std::unique_ptr<Plan<T>>>;
}

template <class T>
void Predictor<T>::predict(const ArrayView& x, T* out) {
    check_shape(x, kAnyRows, network_.n_in());
    if (x.rows == 0) return;
    if (x.rows > kPredictRows) {
        predict_blocks(x, out);
        return;
    }
    std::unique_ptr<Plan<T>> plan = borrow(x.rows);
    const ReadAccess reading(network_.access());
    run_pass(*plan, inference(network_, *plan, x, {nullptr, 0, x.rows}, out));
    give_back(std::move(plan));
}

// Members that have rows and a workspace of their own need not meet.
template <class T>
void Predictor<T>::predict_blocks(const ArrayView& x, T* out) {
    std::vector<std::unique_ptr<Plan<T>>> plans;
    plans.push_back(borrow(kPredictRows));
    const std::size_t threads = threads_worth(plans.front()->work(x.rows));
    while (plans.size() < threads) plans.push_back(borrow(kPredictRows));
    std::atomic<bool> good{true};
    Interruption interruption;
    auto member = [&](Share share) {
        const Range own = share.split(x.rows);
        const std::size_t count = own.end - own.begin, blocks = (count + kPredictRows - 1) / kPredictRows;
        for (std::size_t block = 0; block < blocks && good && !interruption.stops(); ++block) {
            if (share.leads()) interruption.look();
            const Range part = Share{block, blocks, nullptr}.split(count);
            const Rows rows{nullptr, own.begin + part.begin, part.end - part.begin};
            inference(network_, *plans[share.index], x, rows, out).run({0, 1, nullptr}, good);
        }
    };
    {
        const LongRead reading(network_.access());
        run_team(threads, member);
    }
    for (std::unique_ptr<Plan<T>>& plan : plans) give_back(std::move(plan));
    interruption.rethrow();
    if (!good) throw_invalid<T>(x, {nullptr, 0, x.rows});
}

template <class T>
void Differentiator<T>::forward(const ArrayView& x, T* out) {
    check_shape(x, kAnyRows, network_.n_in());
    if (x.rows == 0) throw std::invalid_argument(x.name + " has 0 rows, expected at least 1");
    const WriteAccess writing(network_.access(), Claim::exclude);
    if (!plan_ || plan_->capacity() < x.rows) plan_ = std::make_unique<Plan<T>>(make_plan(network_, x.rows, Mode::gradients));
    rows_ = 0;  // until all went well
    const PassArgs<T> pass{x.rows, network_.seed(), passes_};
    const auto work = [&](Share share) {
        plan_->forward(pass, share);
        share.sync();
        plan_->commit_running_stats(pass, share);
    };
    const Rows rows{nullptr, 0, x.rows};
    run_pass(*plan_, Pass{network_.kernels(), x, rows, plan_->input(), work, plan_->output(), network_.n_out(), out});
    rows_ = x.rows;
    ++passes_;
}

template <class T>
void Differentiator<T>::backward(const ArrayView& dy, T* dx) {
    const WriteAccess writing(network_.access(), Claim::exclude);
    if (rows_ == 0) throw std::invalid_argument("backward needs a forward pass before it");
    check_shape(dy, rows_, network_.n_out());
    const PassArgs<T> pass{rows_, network_.seed(), passes_ - 1};
    const auto work = [&](Share share) { plan_->backward(pass, share); };
    const Rows rows{nullptr, 0, rows_};
    run_pass(*plan_,
             Pass{network_.kernels(), dy, rows, plan_->output_gradient(), work, plan_->input_gradient(), network_.n_in(), dx});
    rows_ = 0;  // the gradients were changed in place: another backward needs another forward
}

template class Predictor<float>;
template class Predictor<double>;
template class Differentiator<float>;
template class Differentiator<double>;

}  // namespace steepest
