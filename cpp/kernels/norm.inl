// Batch and layer normalization, forward and backward.
#pragma once

#include "kernels.hpp"
#include "panel.inl"
#include "vec.inl"

namespace steepest {
namespace {

// Mean and biased variance of one vector of columns over the rows, by two passes: the squares of x alone would cancel.
template <class T>
struct ColumnMoments {
    Vec<T> mean, variance;
};

template <class T>
ColumnMoments<T> column_moments(std::size_t rows, const T* x) {
    const T count = T(rows);
    const Vec<T> mean = sum_over_rows<T>(rows, [=](std::size_t r) { return load(x + r * kPanel<T>); }) / count;
    const Vec<T> squares = sum_over_rows<T>(rows, [=](std::size_t r) {
        const Vec<T> d = load(x + r * kPanel<T>) - mean;
        return d * d;
    });
    return {mean, squares / count};
}

// A batch of one row has no variance: it is normalized by the running statistics, which it leaves alone.
template <class T>
inline bool uses_batch(const BatchNormArgs<T>& a) {
    return a.training && a.rows > 1;
}

// Ioffe and Szegedy (2015). Biased variance normalizes; the unbiased one enters the running variance, as in PyTorch.
template <class T>
void batch_norm(const BatchNormArgs<T>* args) {
    const BatchNormArgs<T>& a = *args;
    each_vector_of_columns<T>(a.panel0, a.panel1, [&](std::size_t p, std::size_t c) {
        const T* x = panel_row(a.x, p, 0) + c % kPanel<T>;
        T* y = panel_row(a.y, p, 0) + c % kPanel<T>;
        Vec<T> mean = load(a.running_mean + c), variance = load(a.running_var + c);
        Vec<T> new_mean = mean, new_variance = variance;
        if (uses_batch(a)) {
            const ColumnMoments<T> m = column_moments(a.rows, x);
            const T unbiased = T(double(a.rows) / double(a.rows - 1));
            new_mean = (T(1) - a.momentum) * mean + a.momentum * m.mean;
            new_variance = (T(1) - a.momentum) * variance + a.momentum * unbiased * m.variance;
            mean = m.mean;
            variance = m.variance;
        }
        const Vec<T> inverse = T(1) / root<T>(variance + a.eps);
        if (a.training) {
            store<T>(a.mean + c, mean);
            store<T>(a.inverse_std + c, inverse);
            store<T>(a.new_running_mean + c, new_mean);
            store<T>(a.new_running_var + c, new_variance);
        }
        const Vec<T> scale = inverse * load(a.weight + c), shift = load(a.bias + c);
        for (std::size_t r = 0; r < a.rows; ++r) {
            store<T>(y + r * kPanel<T>, (load(x + r * kPanel<T>) - mean) * scale + shift);
        }
    });
}

// With h = (x - mean) / std: the bias's gradient is sum(dy), the weight's is sum(dy h), and
// dx = weight / std * (dy - (sum(dy) + h sum(dy h)) / rows), all of them column by column.
template <class T>
void batch_norm_gradient(const BatchNormArgs<T>* args) {
    const BatchNormArgs<T>& a = *args;
    each_vector_of_columns<T>(a.panel0, a.panel1, [&](std::size_t p, std::size_t c) {
        const T* x = panel_row(a.x, p, 0) + c % kPanel<T>;
        const T* dy = panel_row(a.dy, p, 0) + c % kPanel<T>;
        T* dx = panel_row(a.dx, p, 0) + c % kPanel<T>;
        const Vec<T> mean = load(a.mean + c), inverse = load(a.inverse_std + c);
        const auto normalized = [=](std::size_t r) { return (load(x + r * kPanel<T>) - mean) * inverse; };
        const Vec<T> bias = sum_over_rows<T>(a.rows, [=](std::size_t r) { return load(dy + r * kPanel<T>); });
        const Vec<T> weight = sum_over_rows<T>(a.rows, [=](std::size_t r) { return load(dy + r * kPanel<T>) * normalized(r); });
        store<T>(a.bias_gradient + c, bias);
        store<T>(a.weight_gradient + c, weight);
        const Vec<T> scale = inverse * load(a.weight + c);
        // where the statistics came from the batch, they carry a gradient too
        const T share = uses_batch(a) ? T(1) / T(a.rows) : T(0);
        for (std::size_t r = 0; r < a.rows; ++r) {
            store<T>(dx + r * kPanel<T>, scale * (load(dy + r * kPanel<T>) - share * (bias + normalized(r) * weight)));
        }
    });
}

// Ba, Kiros and Hinton (2016).
template <class T>
void layer_norm(const LayerNormArgs<T>* args) {
    const LayerNormArgs<T>& a = *args;
    for (std::size_t row = a.row0; row < a.row1; ++row) {
        Vec<T> sums{}, squares{};
        each_vector_of_row<T>(row, a.n, [&](std::size_t p, std::size_t at, IntVec<T> mask) {
            sums += select<T>(mask, load(a.x.data + p * a.x.stride + at), Vec<T>{});
        });
        const T mean = T(double(sum<T>(sums)) / double(a.n));
        each_vector_of_row<T>(row, a.n, [&](std::size_t p, std::size_t at, IntVec<T> mask) {
            const Vec<T> d = select<T>(mask, load(a.x.data + p * a.x.stride + at) - mean, Vec<T>{});
            squares += d * d;
        });
        const T inverse = T(1 / __builtin_sqrt(double(sum<T>(squares)) / double(a.n) + double(a.eps)));
        a.mean[row] = mean;
        a.inverse_std[row] = inverse;
        each_vector_of_row<T>(row, a.n, [&](std::size_t p, std::size_t at, IntVec<T>) {
            const std::size_t c = p * kPanel<T> + at % kPanel<T>;
            const Vec<T> x = load(a.x.data + p * a.x.stride + at);
            store<T>(a.y.data + p * a.y.stride + at, (x - mean) * inverse * load(a.weight + c) + load(a.bias + c));
        });
    }
}

// With h = (x - mean) / std and g = dy weight: dx = (g - mean(g) - h mean(g h)) / std, row by row. What stands beyond the last
// column becomes zero.
template <class T>
void layer_norm_gradient(const LayerNormArgs<T>* args) {
    const LayerNormArgs<T>& a = *args;
    for (std::size_t row = a.row0; row < a.row1; ++row) {
        const T mean = a.mean[row], inverse = a.inverse_std[row];
        Vec<T> sums{}, dots{};
        const auto scaled = [&](std::size_t p, std::size_t at) {
            return load(a.dy.data + p * a.dy.stride + at) * load(a.weight + p * kPanel<T> + at % kPanel<T>);
        };
        each_vector_of_row<T>(row, a.n, [&](std::size_t p, std::size_t at, IntVec<T> mask) {
            const Vec<T> g = select<T>(mask, scaled(p, at), Vec<T>{});
            sums += g;
            dots += g * ((load(a.x.data + p * a.x.stride + at) - mean) * inverse);
        });
        const T mean_sum = T(double(sum<T>(sums)) / double(a.n)), mean_dot = T(double(sum<T>(dots)) / double(a.n));
        each_vector_of_row<T>(row, a.n, [&](std::size_t p, std::size_t at, IntVec<T> mask) {
            const Vec<T> normalized = (load(a.x.data + p * a.x.stride + at) - mean) * inverse;
            store<T>(a.dx.data + p * a.dx.stride + at,
                     select<T>(mask, inverse * (scaled(p, at) - mean_sum - normalized * mean_dot), Vec<T>{}));
        });
    }
}

// The bias's gradient sum(dy) and the weight's sum(dy h), column by column.
template <class T>
void layer_norm_sums(const LayerNormSumsArgs<T>* args) {
    const LayerNormSumsArgs<T>& a = *args;
    each_vector_of_columns<T>(a.panel0, a.panel1, [&](std::size_t p, std::size_t c) {
        const T* x = panel_row(a.x, p, 0) + c % kPanel<T>;
        const T* dy = panel_row(a.dy, p, 0) + c % kPanel<T>;
        store<T>(a.bias_gradient + c, sum_over_rows<T>(a.rows, [=](std::size_t r) { return load(dy + r * kPanel<T>); }));
        store<T>(a.weight_gradient + c, sum_over_rows<T>(a.rows, [&](std::size_t r) {
                     return load(dy + r * kPanel<T>) * ((load(x + r * kPanel<T>) - a.mean[r]) * a.inverse_std[r]);
                 }));
    });
}

}  // namespace
}  // namespace steepest
