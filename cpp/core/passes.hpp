// Passes through a network without a trainer: prediction, and forward and backward for the caller's own gradients.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "array_view.hpp"
#include "plan_layers.hpp"

namespace steepest {

// Any number of threads may predict at once: each borrows a plan, and so a workspace, of its own.
template <class T>
class Predictor {
public:
    explicit Predictor(Network<T>& network) : network_(network) {}

    // out: (x.rows, n_out), row-major
    void predict(const ArrayView& x, T* out);

private:
    void predict_blocks(const ArrayView& x, T* out);
    std::unique_ptr<Plan<T>> borrow(std::size_t rows);
    void give_back(std::unique_ptr<Plan<T>> plan);

    Network<T>& network_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Plan<T>>> idle_;
};

template <class T>
class Differentiator {
public:
    explicit Differentiator(Network<T>& network) : network_(network) {}

    void forward(const ArrayView& x, T* out);   // (x.rows, n_out)
    void backward(const ArrayView& dy, T* dx);  // (rows of the last forward, n_in); fills the parameters' gradients
    std::size_t rows() const { return rows_; }  // of the last forward; 0 before it

private:
    Network<T>& network_;
    std::unique_ptr<Plan<T>> plan_;
    std::size_t rows_ = 0;
    std::uint32_t passes_ = 0;
};

}  // namespace steepest
