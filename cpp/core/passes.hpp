// Passes through a network without a trainer: prediction, and forward and backward for the caller's own gradients.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "array_view.hpp"
#include "plan_layers.hpp"

namespace steepest {

// Any number of threads may predict at once: each borrows a plan, and so a workspace, of its own. All rows of a call see the
// weights of one moment: writers of the network wait until it has returned.
template <class T>
class Predictor final : Forked {
public:
    explicit Predictor(Network<T>& network) : network_(network) {}
    ~Predictor() { delete last_.load(); }

    // out: (x.rows, n_out), row-major
    void predict(const ArrayView& x, T* out);

private:
    void predict_blocks(const ArrayView& x, T* out);
    std::unique_ptr<Plan<T>> borrow(std::size_t rows);
    void give_back(std::unique_ptr<Plan<T>> plan);
    void after_fork() override;

    Network<T>& network_;
    std::atomic<Plan<T>*> last_{nullptr};  // the plan that came back last, if nobody has it: the way of a single thread
    std::mutex mutex_;                     // guards idle_, the others; held for some instructions
    std::vector<std::unique_ptr<Plan<T>>> idle_;
};

// Each call has the network to itself; what is kept from a forward pass for the backward one is guarded by that.
template <class T>
class Differentiator {
public:
    explicit Differentiator(Network<T>& network) : network_(network) {}

    void forward(const ArrayView& x, T* out);   // (x.rows, n_out)
    void backward(const ArrayView& dy, T* dx);  // (rows of the last forward, n_in); fills the parameters' gradients

private:
    Network<T>& network_;
    std::unique_ptr<Plan<T>> plan_;
    std::size_t rows_ = 0;  // of the last forward; 0 before it
    std::uint32_t passes_ = 0;
};

}  // namespace steepest
