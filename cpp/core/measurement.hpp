// Rows read and measured by a network in inference mode, block after block.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "batch.hpp"
#include "metrics.hpp"

namespace steepest {

// What is measured of rows that come in one or more parts.
struct Evaluation {
    MetricAccumulator metrics;
    LossSum sum;

    std::vector<std::pair<std::string, double>> results() const;  // the mean loss, and the metrics
};

// Throws std::invalid_argument for weights that say that no row counts.
void check_positive(double weight_sum, const std::string& name);

constexpr std::size_t kReadRows = 512;  // rows that are read at a time

template <class T>
class Measurement {
public:
    // What the batch's network makes of the rows goes into `evaluation`; null: rows are read, and refused where they are no
    // good. All three outlive this.
    Measurement(const Kernels<T>& kernels, Batch<T>& batch, const Data& data, Evaluation* evaluation)
        : kernels_(kernels), batch_(batch), data_(data), evaluation_(evaluation) {}
    // The same by a network of its own.
    Measurement(std::unique_ptr<Network<T>> network, LossSpec loss, const Data& data, Evaluation* evaluation)
        : network_(std::move(network)), own_(std::make_unique<Batch<T>>(*network_, loss, kReadRows, Mode::infer)),
          kernels_(network_->kernels()), batch_(*own_), data_(data), evaluation_(evaluation) {}

    bool over() const { return done_ == data_.rows(); }
    double advance();  // by one block; returns how much work that was
    double weight() const { return weight_; }

private:
    void measure(const Rows& rows, Share share);

    std::unique_ptr<Network<T>> network_;
    std::unique_ptr<Batch<T>> own_;
    const Kernels<T>& kernels_;
    Batch<T>& batch_;
    const Data& data_;
    Evaluation* const evaluation_;
    std::size_t done_ = 0;
    double weight_ = 0;  // of the rows so far
};

}  // namespace steepest
