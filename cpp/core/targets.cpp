#include "targets.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace steepest {
namespace {

constexpr double kSumTolerance = 1e-3;  // how far from 1 the probabilities of a row may add up to

// Whether the loss is defined for some targets only, beside finite numbers; see Targets::allowed.
bool limits_targets(Loss loss) {
    return loss == Loss::cross_entropy || loss == Loss::binary_cross_entropy || loss == Loss::poisson;
}

}  // namespace

template <class T>
Targets<T>::Targets(const Kernels<T>& kernels, LossSpec spec, std::size_t capacity, std::size_t n_out)
    : k_(kernels), spec_(spec), n_out_(n_out), rows_(capacity, n_out, kernels.panel), weights_(capacity), labels_(capacity),
      loss_chunks_((capacity + kChunk - 1) / kChunk) {}

template <class T>
void Targets<T>::check_shapes(const ArrayView& y, const ArrayView& weights, std::size_t rows, std::size_t n_out,
                              LossSpec spec) {
    const bool labels = spec.custom || (spec.loss == Loss::cross_entropy && y.flat);
    if (!labels || y.rows != rows) {
        if (!spec.custom && spec.loss == Loss::cross_entropy && (y.rows != rows || y.columns != n_out)) {
            const std::string n = std::to_string(rows);
            throw std::invalid_argument(y.name + " has shape (" + std::to_string(y.rows) + "," +
                                        (y.flat ? "" : " " + std::to_string(y.columns)) + "), expected labels (" + n +
                                        ",) or probabilities (" + n + ", " + std::to_string(n_out) + ")");
        }
        if (spec.custom) {
            throw std::invalid_argument(y.name + " has " + std::to_string(y.rows) + " rows, expected " + std::to_string(rows));
        }
        check_shape(y, rows, n_out);
    }
    if (weights.data && (!weights.flat || weights.rows != rows)) {
        throw std::invalid_argument(weights.name + " has shape (" + std::to_string(weights.rows) + "," +
                                    (weights.flat ? "" : " " + std::to_string(weights.columns)) + "), expected (" +
                                    std::to_string(rows) + ",)");
    }
}

template <class T>
bool Targets<T>::is_label(double value) const {
    return value >= 0 && value < static_cast<double>(n_out_) && value == std::floor(value);
}

template <class T>
bool Targets<T>::allowed(double value) const {
    if (!std::isfinite(static_cast<T>(value))) return false;
    switch (spec_.loss) {
        case Loss::cross_entropy:
        case Loss::binary_cross_entropy: return value >= 0 && value <= 1;
        case Loss::poisson: return value >= 0;
        default: return true;
    }
}

template <class T>
bool Targets<T>::read_row(const ArrayView& y, std::size_t source, std::size_t row, T* buffer) {
    if (labeled_) {
        const double label = y.at(source, 0);
        const bool good = is_label(label);
        labels_[row] = good ? static_cast<std::int32_t>(label) : 0;  // the loss indexes by it
        return good;
    }
    steepest::read_row(y, source, buffer);
    bool good = gather_row<T>(k_, buffer, n_out_, row, rows_.matrix());
    if (!limits_targets(spec_.loss)) return good;
    double total = 0;
    for (std::size_t c = 0; c < n_out_; ++c) {
        good &= allowed(static_cast<double>(buffer[c]));
        total += static_cast<double>(buffer[c]);
    }
    return good && (spec_.loss != Loss::cross_entropy || std::fabs(total - 1) <= kSumTolerance);
}

// Writes a row of targets mixed with its partner's, over the row itself. Both were checked, or will be, by themselves.
template <class T>
void Targets<T>::mix_row(const ArrayView& y, const Rows& rows, std::size_t row, T* buffer) {
    const auto read = [&](std::size_t i, T* out) {
        if (!labeled_) return steepest::read_row(y, rows[i], out);
        const double label = y.at(rows[i], 0);
        std::fill_n(out, n_out_, T(0));
        if (label >= 0 && label < static_cast<double>(n_out_)) out[static_cast<std::size_t>(label)] = T(1);
    };
    read(row, buffer);
    read(rows.mix->partner[row], buffer + n_out_);
    for (std::size_t c = 0; c < n_out_; ++c) buffer[c] = rows.mix->of(buffer[c], buffer[n_out_ + c]);
    gather_row<T>(k_, buffer, n_out_, row, rows_.matrix());
}

template <class T>
void Targets<T>::set_kind(const ArrayView& y, const ArrayView& weights, bool mixed) {
    labeled_ = spec_.loss == Loss::cross_entropy && y.flat;
    weighted_ = weights.data != nullptr;
    mixed_ = mixed;
}

template <class T>
bool Targets<T>::read(const ArrayView& y, const ArrayView& weights, const Rows& rows, Share share) {
    thread_local std::vector<T> buffer;
    if (buffer.size() < 2 * n_out_) buffer.resize(2 * n_out_);
    const Range part = share.split(rows.count);
    const bool at_once = !spec_.custom && !labeled_ && !rows.mix && !limits_targets(spec_.loss);
    bool good = !at_once || gather(k_, y, rows, part.begin, part.end, rows_.matrix());
    for (std::size_t i = part.begin; i < part.end && !(at_once && !weighted_); ++i) {
        good &= at_once || spec_.custom || read_row(y, rows[i], i, buffer.data());
        if (!weighted_) continue;
        const auto weight = static_cast<T>(weights.at(rows[i], 0));
        good &= weight >= T(0) && std::isfinite(weight);
        weights_.data()[i] = weight;
    }
    for (std::size_t i = part.begin; rows.mix && i < part.end; ++i) {
        mix_row(y, rows, i, buffer.data());
        if (weighted_) {
            const auto other = static_cast<T>(weights.at(rows[rows.mix->partner[i]], 0));
            weights_.data()[i] = rows.mix->of(weights_.data()[i], other);
        }
    }
    return good;
}

template <class T>
void Targets<T>::throw_invalid(const ArrayView& y, const ArrayView& weights, const Rows& rows) const {
    for (std::size_t i = 0; i < rows.count; ++i) {
        const std::string row = " at row " + std::to_string(rows[i]);
        double total = 0;
        for (std::size_t c = 0; !spec_.custom && c < y.columns; ++c) {
            const double value = y.at(rows[i], c);
            const std::string place = row + (y.flat ? "" : ", column " + std::to_string(c));
            total += value;
            if (labeled_) {
                if (is_label(value)) continue;
                throw std::invalid_argument(y.name + " has label " + number_text(value) + place + ", expected integers 0 to " +
                                            std::to_string(n_out_ - 1));
            }
            if (!std::isfinite(static_cast<T>(value))) steepest::throw_invalid<T>(y, {rows.order, rows.first + i, 1});
            if (!allowed(value)) {
                throw std::invalid_argument(y.name + " has " + number_text(value) + place + ", expected " +
                                            (spec_.loss == Loss::poisson ? "counts of at least 0" : "numbers in [0, 1]"));
            }
        }
        if (!spec_.custom && !labeled_ && spec_.loss == Loss::cross_entropy && std::fabs(total - 1) > kSumTolerance) {
            throw std::invalid_argument(y.name + " has probabilities that sum to " + number_text(total) + row + ", expected 1");
        }
        if (!weights.data) continue;
        const double weight = weights.at(rows[i], 0);
        if (!std::isfinite(static_cast<T>(weight))) steepest::throw_invalid<T>(weights, {rows.order, rows.first + i, 1});
        if (weight < 0) {
            throw std::invalid_argument(weights.name + " has " + number_text(weight) + row +
                                        ", expected weights of at least 0");
        }
    }
    throw std::logic_error(y.name + " changed while it was read");
}

template <class T>
double Targets<T>::weight_sum(std::size_t rows) const {
    if (!weighted_) return static_cast<double>(rows);
    double total = 0;
    for (std::size_t i = 0; i < rows; ++i) total += static_cast<double>(weights_.data()[i]);
    return total;
}

template <class T>
void Targets<T>::loss(Matrix<const T> y, Matrix<T> dy, std::size_t rows, double weight_sum, Share share) {
    const Range part = share.split(rows, kChunk);
    LossArgs<T> args{0,
                     0,
                     n_out_,
                     y,
                     rows_.view(),
                     labeled() ? labels_.data() : nullptr,
                     weighted_ ? weights_.data() : nullptr,
                     dy,
                     spec_.loss,
                     static_cast<T>(spec_.parameter),
                     static_cast<T>(weight_sum > 0 ? 1 / weight_sum : 0)};
    for (std::size_t row = part.begin; row < part.end; row += kChunk) {
        args.row0 = row;
        args.row1 = row + kChunk < part.end ? row + kChunk : part.end;
        loss_chunks_[row / kChunk] = k_.loss(&args);
    }
}

template <class T>
double Targets<T>::sum_loss_chunks(std::size_t rows) const {
    double total = 0;
    for (std::size_t i = 0; i * kChunk < rows; ++i) total += loss_chunks_[i];
    return total;
}

template class Targets<float>;
template class Targets<double>;

}  // namespace steepest
