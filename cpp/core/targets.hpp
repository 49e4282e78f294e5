// Losses by name, and the targets of a batch.
#pragma once

#include <cstdint>
#include <vector>

#include "array_view.hpp"
#include "buffer.hpp"
#include "parallel.hpp"

namespace steepest {

struct LossSpec {
    Loss loss;
    double parameter = 0;  // huber: delta; quantile: q
    bool custom =
        false;  // a function of the caller's computes the loss: it reads the targets itself, here only weights are read

    bool operator==(const LossSpec& other) const {
        return loss == other.loss && parameter == other.parameter && custom == other.custom;
    }
};

// What a batch is measured against: labels or rows of numbers, and a weight for each row.
template <class T>
class Targets {
public:
    Targets(const Kernels<T>& kernels, LossSpec spec, std::size_t capacity, std::size_t n_out);

    // The shapes that step, check and evaluate accept; throws std::invalid_argument. weights.data may be null.
    static void check_shapes(const ArrayView& y, const ArrayView& weights, std::size_t rows, std::size_t n_out, LossSpec spec);

    // What kind of targets comes next: by one thread, before any member reads.
    void set_kind(const ArrayView& y, const ArrayView& weights, bool mixed);
    // Reads this member's share of the batch; false if a value is not allowed.
    bool read(const ArrayView& y, const ArrayView& weights, const Rows& rows, Share share);
    // Finds what read() refused and throws std::invalid_argument.
    [[noreturn]] void throw_invalid(const ArrayView& y, const ArrayView& weights, const Rows& rows) const;

    double weight_sum(std::size_t rows) const;  // after read()
    double row_weight(std::size_t row) const { return weighted_ ? static_cast<double>(weights_.data()[row]) : 1.0; }
    std::size_t n_out() const { return n_out_; }
    bool labeled() const { return labeled_ && !mixed_; }  // classes mixed are shares of each
    std::size_t label(std::size_t row) const { return static_cast<std::size_t>(labels_[row]); }
    Matrix<const T> rows() const { return rows_.view(); }

    // This member's share of the loss, summed chunk by chunk; writes dy unless its data is null.
    void loss(Matrix<const T> y, Matrix<T> dy, std::size_t rows, double weight_sum, Share share);
    double sum_loss_chunks(std::size_t rows) const;  // in the same order at any number of threads

private:
    static constexpr std::size_t kChunk = 16;  // rows whose loss is summed at a time

    bool is_label(double value) const;
    bool allowed(double value) const;  // a target of the loss other than a label
    bool read_row(const ArrayView& y, std::size_t source, std::size_t row, T* buffer);
    void mix_row(const ArrayView& y, const Rows& rows, std::size_t row, T* buffer);

    const Kernels<T>& k_;
    LossSpec spec_;
    std::size_t n_out_;
    bool labeled_ = false, weighted_ = false, mixed_ = false;
    PanelMatrix<T> rows_;
    Buffer<T> weights_;
    std::vector<std::int32_t> labels_;
    std::vector<double> loss_chunks_;
};

}  // namespace steepest
