// Losses: value and gradient in one pass over the rows.
#pragma once

#include "kernels.hpp"
#include "panel.inl"
#include "vec.inl"

namespace steepest {
namespace {

// Losses of one number: value(y, t) and its derivative slope(y, t) by y.
template <class T>
struct SquaredError {
    static Vec<T> value(Vec<T> y, Vec<T> t, T) { return (y - t) * (y - t); }
    static Vec<T> slope(Vec<T> y, Vec<T> t, T) { return T(2) * (y - t); }
};

template <class T>
struct AbsoluteError {
    static Vec<T> value(Vec<T> y, Vec<T> t, T) { return absolute<T>(y - t); }
    static Vec<T> slope(Vec<T> y, Vec<T> t, T) {
        return select<T>(y > t, splat<T>(T(1)), select<T>(y < t, splat<T>(T(-1)), y - t));  // y - t: 0, or NaN
    }
};

// Half the square inside +-delta, a line outside (Huber, 1964).
template <class T>
struct HuberLoss {
    static Vec<T> value(Vec<T> y, Vec<T> t, T delta) {
        const Vec<T> e = absolute<T>(y - t);
        return select<T>(e > delta, delta * (e - T(0.5) * delta), T(0.5) * e * e);
    }
    static Vec<T> slope(Vec<T> y, Vec<T> t, T delta) {
        const Vec<T> e = y - t;
        return select<T>(e > delta, splat<T>(delta), select<T>(e < -delta, splat<T>(-delta), e));
    }
};

// max(q (t - y), (q - 1) (t - y)) (Koenker and Bassett, 1978).
template <class T>
struct QuantileLoss {
    static Vec<T> value(Vec<T> y, Vec<T> t, T q) { return select<T>(y < t, q * (t - y), (T(1) - q) * (y - t)); }
    static Vec<T> slope(Vec<T> y, Vec<T> t, T q) {
        return select<T>(y < t, splat<T>(-q), select<T>(y > t, splat<T>(T(1) - q), y - t));
    }
};

// From the logit y: softplus(y) - y t, which neither overflows nor clips.
template <class T>
struct BinaryCrossEntropy {
    static Vec<T> value(Vec<T> y, Vec<T> t, T) { return select<T>(y > T(0), y * (T(1) - t), -y * t) + softplus_tail<T>(y); }
    static Vec<T> slope(Vec<T> y, Vec<T> t, T) { return sigmoid<T>(y) - t; }
};

// From the logarithm y of the rate; log(t!) is left out.
template <class T>
struct PoissonLoss {
    static Vec<T> value(Vec<T> y, Vec<T> t, T) { return exp<T>(y) - y * t; }
    static Vec<T> slope(Vec<T> y, Vec<T> t, T) { return exp<T>(y) - t; }
};

template <class T>
inline double row_weight(const LossArgs<T>& a, std::size_t row) {
    return a.weights ? double(a.weights[row]) : 1.0;
}

// The same of one column, as many rows at a time as a vector has lanes; returns the first row that is left.
template <class T, class Formula>
std::size_t loss_of_column(const LossArgs<T>& a, double& total) {
    constexpr std::size_t L = kLanes<T>, P = kPanel<T>;
    std::size_t row = a.row0;
    for (; row + L <= a.row1; row += L) {
        const Vec<T> y = load_apart<T>(a.y.data + row * P, P, LaneIndices<T>{});
        const Vec<T> t = load_apart<T>(a.target.data + row * P, P, LaneIndices<T>{});
        const Vec<T> values = Formula::value(y, t, a.parameter);
        Vec<T> scales = splat<T>(a.scale);
        for (std::size_t i = 0; i < L; ++i) {
            const double weight = row_weight(a, row + i);
            if (a.weights) scales[i] = T(weight * double(a.scale));
            if (weight > 0) total += weight * double(values[i]);
        }
        if (!a.dy.data) continue;
        const Vec<T> slopes = scales * Formula::slope(y, t, a.parameter);
#pragma GCC unroll 16
        for (std::size_t i = 0; i < L; ++i) {
            Vec<T> first{};
            first[0] = slopes[i];
            store<T>(a.dy.data + (row + i) * P, first);
        }
    }
    return row;
}

// The losses that are a mean over a row's columns. What stands beyond the last column becomes zero in dy.
template <class T, class Formula>
double elementwise_loss(const LossArgs<T>& a) {
    double total = 0;
    const std::size_t row0 = a.n_out == 1 ? loss_of_column<T, Formula>(a, total) : a.row0;
    T unwanted[kPanel<T>];  // takes the gradient where nobody asked: one code, so that the value is the same to the bit
    for (std::size_t row = row0; row < a.row1; ++row) {
        const double weight = row_weight(a, row);
        const T scale = T(weight * double(a.scale) / double(a.n_out));
        Vec<T> values{};
        each_vector_of_row<T>(row, a.n_out, [&](std::size_t p, std::size_t at, IntVec<T> mask) {
            const Vec<T> y = load(a.y.data + p * a.y.stride + at);
            const Vec<T> t = load(a.target.data + p * a.target.stride + at);
            values += select<T>(mask, Formula::value(y, t, a.parameter), Vec<T>{});
            store<T>(a.dy.data ? a.dy.data + p * a.dy.stride + at : unwanted,
                     select<T>(mask, scale * Formula::slope(y, t, a.parameter), Vec<T>{}));
        });
        // a row of weight 0 counts for nothing, even where its loss is not finite
        if (weight > 0) total += weight * double(sum<T>(values)) / double(a.n_out);
    }
    return total;
}

// The sum of logarithms, taken of products: kFactors numbers up to 2^31 stay below the largest double.
class LogSum {
public:
    void add(double x) {
        product_ *= x;
        if (++factors_ == kFactors) flush();
    }
    double value() {
        flush();
        return total_;
    }

private:
    static constexpr int kFactors = 16;
    void flush() {
        total_ += __builtin_log(product_);
        product_ = 1;
        factors_ = 0;
    }
    double total_ = 0, product_ = 1;
    int factors_ = 0;
};

// Adds a row's weight * (share * log(normalizer) - linear); a row of weight 0 has no part. With top the largest logit,
// normalizer = sum(exp(y - top)): no exp overflows, and top + log(normalizer) is the log of the sum of exp(y). For a row t of
// probabilities share = sum(t) and linear = t.(y - top). Most rows count once: their logarithms go to `logs`.
inline void add_row(double& total, LogSum& logs, double weight, double share, double normalizer, double linear) {
    if (weight == 1 && share == 1) {
        logs.add(normalizer);
        total -= linear;
    } else if (weight > 0) {
        total += weight * (share * __builtin_log(normalizer) - linear);
    }
}

// Cross-entropy of as many rows as a vector has lanes, for labels of few classes: the numbers stand in one panel, and are
// turned so that each lane works on a row of its own.
template <class T>
void cross_entropy_of_lanes(const LossArgs<T>& a, std::size_t row, double& total, LogSum& logs) {
    constexpr std::size_t L = kLanes<T>, P = kPanel<T>;
    Vec<T> columns[kPanelVectors][L] =
        {};  // column c of the L rows: columns[c / L][c % L]; first the logits, then exp, then dy
    const auto each_column = [&](auto f) {
        for (std::size_t c = 0; c < a.n_out; ++c) f(columns[c / L][c % L]);
    };
    for (std::size_t v = 0; v * L < a.n_out; ++v) {
        for (std::size_t i = 0; i < L; ++i) columns[v][i] = load(a.y.data + (row + i) * P + v * L);
        transpose<T>(columns[v]);
    }
    Vec<T> tops = columns[0][0], sums{};
    each_column([&](Vec<T> y) { tops = select<T>(y > tops, y, tops); });
    each_column([&](Vec<T>& y) { sums += y = exp<T>(y - tops); });

    const Vec<T> weights = a.weights ? load(a.weights + row) : splat<T>(T(1)), scales = a.scale * weights;
    for (std::size_t i = 0; i < L; ++i) {
        const double weight = double(weights[i]);
        const double linear = double(a.y.data[(row + i) * P + std::size_t(a.labels[row + i])]) - double(tops[i]);
        add_row(total, logs, weight, 1, double(sums[i]), linear);
    }
    if (!a.dy.data) return;

    const Vec<T> factors = scales / sums;
    each_column([&](Vec<T>& y) { y *= factors; });
    for (std::size_t c = a.n_out; c % L != 0; ++c) columns[c / L][c % L] = Vec<T>{};
    for (std::size_t v = 0; v < kPanelVectors; ++v) {
        const bool used = v * L < a.n_out;
        if (used) transpose<T>(columns[v]);
        for (std::size_t i = 0; i < L; ++i) store<T>(a.dy.data + (row + i) * P + v * L, used ? columns[v][i] : Vec<T>{});
    }
    for (std::size_t i = 0; i < L; ++i) a.dy.data[(row + i) * P + std::size_t(a.labels[row + i])] -= scales[i];
}

// Softmax cross-entropy from logits: log(sum(exp(y))) - y[label], or for a row t of probabilities sum(t) log(sum(exp(y))) -
// t.y.
template <class T>
double cross_entropy(const LossArgs<T>& a) {
    const T infinity = T(__builtin_inf());
    const auto label_of = [&](Matrix<const T> m, std::size_t row) {
        const std::size_t label = std::size_t(a.labels[row]);
        return label / kPanel<T> * m.stride + row * kPanel<T> + label % kPanel<T>;
    };
    double total = 0;
    LogSum logs;  // of the rows that count once
    std::size_t row = a.row0;
    for (; a.labels && a.n_out <= kPanel<T> && row + kLanes<T> <= a.row1; row += kLanes<T>) {
        cross_entropy_of_lanes(a, row, total, logs);
    }
    for (; row < a.row1; ++row) {
        Vec<T> tops = splat<T>(-infinity);
        each_vector_of_row<T>(row, a.n_out, [&](std::size_t p, std::size_t at, IntVec<T> mask) {
            const Vec<T> y = select<T>(mask, load(a.y.data + p * a.y.stride + at), splat<T>(-infinity));
            tops = select<T>(y > tops, y, tops);
        });
        const T top = largest<T>(tops);

        Vec<T> exps{}, mass{}, dot{};  // dy holds exp(y - top) until the normalizer is known
        each_vector_of_row<T>(row, a.n_out, [&](std::size_t p, std::size_t at, IntVec<T> mask) {
            const Vec<T> y = load(a.y.data + p * a.y.stride + at) - top;
            const Vec<T> e = select<T>(mask, exp<T>(y), Vec<T>{});
            exps += e;
            if (a.dy.data) store<T>(a.dy.data + p * a.dy.stride + at, e);
            if (a.labels) return;
            const Vec<T> t = select<T>(mask, load(a.target.data + p * a.target.stride + at), Vec<T>{});
            mass += t;
            dot += select<T>(t == T(0), Vec<T>{}, t * y);  // 0 times infinity is 0 here
        });
        const double normalizer = double(sum<T>(exps)), weight = row_weight(a, row);
        const double share = a.labels ? 1.0 : double(sum<T>(mass));
        const double linear = a.labels ? double(a.y.data[label_of(a.y, row)]) - double(top) : double(sum<T>(dot));
        add_row(total, logs, weight, share, normalizer, linear);
        if (!a.dy.data) continue;

        const T scale = T(weight * double(a.scale)), factor = T(double(scale) / normalizer * share);
        each_vector_of_row<T>(row, a.n_out, [&](std::size_t p, std::size_t at, IntVec<T> mask) {
            T* dy = a.dy.data + p * a.dy.stride + at;
            Vec<T> g = factor * load(dy);
            if (!a.labels) g -= scale * load(a.target.data + p * a.target.stride + at);
            store<T>(dy, select<T>(mask, g, Vec<T>{}));
        });
        if (a.labels) a.dy.data[label_of({a.dy.data, a.dy.stride}, row)] -= scale;
    }
    return total + logs.value();
}

template <class T>
double loss(const LossArgs<T>* args) {
    switch (args->loss) {
        case Loss::mse: return elementwise_loss<T, SquaredError<T>>(*args);
        case Loss::mae: return elementwise_loss<T, AbsoluteError<T>>(*args);
        case Loss::huber: return elementwise_loss<T, HuberLoss<T>>(*args);
        case Loss::quantile: return elementwise_loss<T, QuantileLoss<T>>(*args);
        case Loss::binary_cross_entropy: return elementwise_loss<T, BinaryCrossEntropy<T>>(*args);
        case Loss::poisson: return elementwise_loss<T, PoissonLoss<T>>(*args);
        case Loss::cross_entropy: break;
    }
    return cross_entropy(*args);
}

}  // namespace
}  // namespace steepest
