// Functions of single columns: their scale, features of embeddings, and columns from one matrix into another.
#pragma once

#include "kernels.hpp"
#include "panel.inl"
#include "vec.inl"

namespace steepest {
namespace {

// `count` numbers of a row from column c on, at most a vector; what follows them is any number.
template <class T>
inline Vec<T> load_columns(Matrix<const T> m, std::size_t row, std::size_t c, std::size_t count) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    const std::size_t at = c % P;
    const T* p = panel_row(m, c / P, row);
    if (at + L <= P) return load(p + at);
    T both[2 * L];  // the end of this panel and the beginning of the next
    store<T>(both, load(p + P - L));
    store<T>(both + L, at + count > P ? load(p + m.stride) : Vec<T>{});
    return load(both + (at + L - P));
}

// The same into a row, whose other numbers stay.
template <class T>
inline void store_columns(Matrix<T> m, std::size_t row, std::size_t c, std::size_t count, Vec<T> v) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    const std::size_t at = c % P, first = smaller(at, P - L);
    T* p = panel_row(m, c / P, row);
    if (count == L && first == at) return store<T>(p + at, v);
    const bool straddles = at + count > P;
    T both[2 * L];
    store<T>(both, load(p + first));
    store<T>(both + L, straddles ? load(p + m.stride) : Vec<T>{});
    store<T>(both + (at - first), select<T>(first_lanes<T>(count), v, load(both + (at - first))));
    store<T>(p + first, load(both));
    if (straddles) store<T>(p + m.stride, load(both + L));
}

template <class T>
void scale(const Block* block, Matrix<const T> x, const T* scale, Matrix<T> y) {
    each_vector_of_columns<T>(block->panel0, block->panel1, [&](std::size_t p, std::size_t c) {
        const Vec<T> factor = load(scale + c);
        for (std::size_t at = block->row0 * kPanel<T> + c % kPanel<T>; at < block->row1 * kPanel<T>; at += kPanel<T>) {
            store<T>(y.data + p * y.stride + at, load(x.data + p * x.stride + at) * factor);
        }
    });
}

template <class T>
void scale_gradient(const Block* block, Matrix<const T> x, Matrix<const T> dy, T* gradient) {
    each_vector_of_columns<T>(block->panel0, block->panel1, [&](std::size_t p, std::size_t c) {
        const T *from = panel_row(x, p, 0) + c % kPanel<T>, *d = panel_row(dy, p, 0) + c % kPanel<T>;
        store<T>(gradient + c, sum_over_rows<T>(block->row1, [=](std::size_t r) {
                     return load(d + r * kPanel<T>) * load(from + r * kPanel<T>);
                 }));
    });
}

template <class T>
void copy_columns(const CopyArgs<T>* args) {
    const CopyArgs<T>& a = *args;
    for (std::size_t row = a.row0; row < a.row1; ++row) {
        for (std::size_t c = 0; c < a.n; c += kLanes<T>) {
            const std::size_t count = smaller(a.n - c, kLanes<T>);
            store_columns<T>(a.to, row, a.to_column + c, count, load_columns<T>(a.from, row, a.from_column + c, count));
        }
    }
}

template <class T>
void periodic(const PeriodicArgs<T>* args) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    const PeriodicArgs<T>& a = *args;
    for (std::size_t row = a.row0; row < a.row1; ++row) {
        const T x = a.x[row * P];
        for (std::size_t k = 0; k < a.n; k += L) {
            const std::size_t count = smaller(a.n - k, L);
            const Turn<T> t = turn<T>(x * load(panel_row(a.frequency, k / P, 0) + k % P));
            store_columns<T>(a.y, row, k, count, t.cos);
            store_columns<T>(a.y, row, a.n + k, count, t.sin);
        }
        panel_row(a.y, 2 * a.n / P, row)[2 * a.n % P] = T(1);
    }
}

// The gradient of frequency times x, for the frequencies from k on.
template <class T>
inline Vec<T> turn_gradient(const PeriodicArgs<T>& a, std::size_t row, std::size_t k, std::size_t count) {
    const auto cos_of = [=](Matrix<const T> m) { return load_columns<T>(m, row, k, count); };
    const auto sin_of = [=, n = a.n](Matrix<const T> m) { return load_columns<T>(m, row, n + k, count); };
    const Matrix<const T> y{a.y.data, a.y.stride};
    return T(6.28318530717958647692) * (sin_of(a.dy) * cos_of(y) - cos_of(a.dy) * sin_of(y));
}

template <class T>
void periodic_gradient(const PeriodicArgs<T>* args) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    const PeriodicArgs<T>& a = *args;
    for (std::size_t k = 0; k < a.n; k += L) {
        const std::size_t count = smaller(a.n - k, L);
        const Vec<T> sums =
            sum_over_rows<T>(a.row1, [&](std::size_t row) { return a.x[row * P] * turn_gradient(a, row, k, count); });
        store<T>(panel_row(a.gradient, k / P, 0) + k % P, select<T>(first_lanes<T>(count), sums, Vec<T>{}));
    }
}

template <class T>
void periodic_input_gradient(const PeriodicArgs<T>* args) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    const PeriodicArgs<T>& a = *args;
    for (std::size_t row = a.row0; row < a.row1; ++row) {
        Vec<T> sums{};
        for (std::size_t k = 0; k < a.n; k += L) {
            const std::size_t count = smaller(a.n - k, L);
            const Vec<T> part = turn_gradient(a, row, k, count) * load(panel_row(a.frequency, k / P, 0) + k % P);
            sums += select<T>(first_lanes<T>(count), part, Vec<T>{});
        }
        a.dx[row * P] += sum<T>(sums);
    }
}

// Between which of n points, which increase, a number lies: the first of the two, by bisection. The lines at both ends have
// all numbers beyond.
template <class T>
inline std::size_t line_of(const T* points, std::size_t n, T x) {
    std::size_t first = 0;
    for (--n; n > 1;) {  // lines from `first` on
        const std::size_t half = n / 2;
        first = points[(first + half) * kPanel<T>] <= x ? first + half : first;
        n -= half;
    }
    return first;
}

template <class T>
void interpolate(const InterpolateArgs<T>* args) {
    constexpr std::size_t P = kPanel<T>;
    const InterpolateArgs<T>& a = *args;
    for (std::size_t row = a.row0; row < a.row1; ++row) {
        const std::size_t i = line_of(a.points, a.n, a.x[row * P]) * P;
        const T share = (a.x[row * P] - a.points[i]) / (a.points[i + P] - a.points[i]);
        const T inside = share < T(0) ? T(0) : share > T(1) ? T(1) : share;  // NaN stays
        a.y[row * P] = a.values[i] + inside * (a.values[i + P] - a.values[i]);
    }
}

template <class T>
void interpolate_gradient(const InterpolateArgs<T>* args) {
    constexpr std::size_t P = kPanel<T>;
    const InterpolateArgs<T>& a = *args;
    for (std::size_t row = a.row0; row < a.row1; ++row) {
        const T x = a.x[row * P];
        const std::size_t i = line_of(a.points, a.n, x) * P;
        const bool outside = x < a.points[i] || x > a.points[i + P];
        a.dy[row * P] *= outside ? T(0) : (a.values[i + P] - a.values[i]) / (a.points[i + P] - a.points[i]);
    }
}

template <class T>
void bins(const BinsArgs<T>* args) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    const BinsArgs<T>& a = *args;
    for (std::size_t row = a.row0; row < a.row1; ++row) {
        const T x = a.x[row * P];
        const std::size_t bin = line_of(a.edges, a.n + 1, x);
        for (std::size_t c = 0; c < a.n + a.n_ones; c += L) {
            const std::size_t below = bin > c ? smaller(bin - c, L) : 0;
            store<T>(panel_row(a.y, c / P, row) + c % P, select<T>(first_lanes<T>(below), Vec<T>{} + T(1), Vec<T>{}));
        }
        const T edge = a.edges[bin * P];
        panel_row(a.y, bin / P, row)[bin % P] = (x - edge) / (a.edges[(bin + 1) * P] - edge);
        if (a.n_ones) panel_row(a.y, a.n / P, row)[a.n % P] = T(1);
    }
}

template <class T>
void bins_input_gradient(const BinsArgs<T>* args) {
    constexpr std::size_t P = kPanel<T>;
    const BinsArgs<T>& a = *args;
    for (std::size_t row = a.row0; row < a.row1; ++row) {
        const std::size_t bin = line_of(a.edges, a.n + 1, a.x[row * P]);
        a.dx[row * P] += panel_row(a.dy, bin / P, row)[bin % P] / (a.edges[(bin + 1) * P] - a.edges[bin * P]);
    }
}

// The row of a table that a label picks; no comparison with NaN is true.
template <class T>
inline std::size_t picked(const PickArgs<T>& a, std::size_t row) {
    const T x = a.x[row * kPanel<T>];
    if (x >= T(0) && x < T(a.n_labels)) {
        const auto label = static_cast<std::size_t>(x);
        if (T(label) == x) return label;
    }
    return x == T(-1) ? a.n_labels : a.n_labels + 1;
}

template <class T>
void pick(const PickArgs<T>* args) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    const PickArgs<T>& a = *args;
    for (std::size_t row = a.row0; row < a.row1; ++row) {
        const std::size_t from = picked(a, row);
        for (std::size_t c = 0; c < a.n; c += L) {
            store_columns<T>(a.y, row, a.column + c, smaller(a.n - c, L), load(panel_row(a.table, c / P, from) + c % P));
        }
    }
}

template <class T>
void pick_gradient(const PickArgs<T>* args) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    const PickArgs<T>& a = *args;
    T* const sums = panel_row(a.gradient, a.gradient_panel, 0);
    each_vector<T>(a.n_labels + 2, kPanelVectors, [=](std::size_t at) { store<T>(sums + at, Vec<T>{}); });
    const std::size_t c0 = a.gradient_panel * P, count = smaller(a.n - c0, P);
    for (std::size_t row = 0; row < a.row1; ++row) {
        T* const to = sums + picked(a, row) * P;
        for (std::size_t c = 0; c < count; c += L) {
            const std::size_t n = smaller(count - c, L);
            const Vec<T> d = load_columns<T>(a.dy, row, a.column + c0 + c, n);
            store<T>(to + c, load(to + c) + select<T>(first_lanes<T>(n), d, Vec<T>{}));
        }
    }
}

}  // namespace
}  // namespace steepest
