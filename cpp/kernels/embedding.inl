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

// f(Count<m>()) for a count m from 1 to a panel: loops over pieces of a known size are straight lines of vectors.
template <std::size_t M>
struct Count {
    constexpr operator std::size_t() const { return M; }
};
template <std::size_t M, class F>
inline void with_count(std::size_t m, F f) {
    if (m == M) return f(Count<M>());
    if constexpr (M > 1) with_count<M - 1>(m, f);
}

// f(count, from, to) for pieces of n columns, from from_column and to_column on, that lie within one panel of either matrix:
// `from` and `to` are the numbers of a piece's first columns in row 0.
template <class T, class A, class F>
inline void each_piece(std::size_t n, Matrix<A> from, std::size_t from_column, Matrix<T> to, std::size_t to_column, F f) {
    constexpr std::size_t P = kPanel<T>;
    for (std::size_t i = 0, m = 0; i < n; i += m) {
        const std::size_t c = from_column + i, d = to_column + i;
        m = smaller(n - i, P - (c % P > d % P ? c % P : d % P));
        A* const source = panel_row(from, c / P, 0) + c % P;
        T* const target = panel_row(to, d / P, 0) + d % P;
        with_count<P>(m, [=](auto count) { f(count, source, target); });
    }
}

template <class T>
void copy_columns(const CopyArgs<T>* args) {
    const CopyArgs<T>& a = *args;
    each_piece(a.n, a.from, a.from_column, a.to, a.to_column, [&a](auto count, const T* from, T* to) {
        for (std::size_t at = a.row0 * kPanel<T>; at < a.row1 * kPanel<T>; at += kPanel<T>) {
            __builtin_memcpy(to + at, from + at, count * sizeof(T));
        }
    });
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

// By vectors of bins: a row's number is compared with all their edges.
template <class T>
void bins(const BinsArgs<T>* args) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    constexpr T kNever = T(__builtin_inf());
    const BinsArgs<T>& a = *args;
    for (std::size_t c = 0; c < a.n + a.n_ones; c += L) {
        const std::size_t count = c < a.n ? smaller(a.n - c, L) : 0;
        Vec<T> from{}, to = splat<T>(1), begin{}, end{}, behind{};
        for (std::size_t l = 0; l < count; ++l) {
            from[l] = a.edges[(c + l) * P], to[l] = a.edges[(c + l + 1) * P];
            begin[l] = c + l == 0 ? -kNever : from[l], end[l] = c + l + 1 == a.n ? kNever : to[l];
        }
        if (count < L && c + count == a.n) behind[count] = T(a.n_ones);
        const IntVec<T> is_bin = first_lanes<T>(count);
        const Vec<T> width = to - from;
        T* const y = panel_row(a.y, c / P, 0) + c % P;
        for (std::size_t row = a.row0; row < a.row1; ++row) {
            const Vec<T> x = splat<T>(a.x[row * P]);
            const Vec<T> within = select<T>(x < begin, Vec<T>{}, (x - from) / width);  // NaN stays
            store<T>(y + row * P, select<T>(is_bin, select<T>(x >= end, splat<T>(1), within), behind));
        }
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

// f(row0, row1, places) for blocks of rows [row0, row1) of a: numbers of the rows that they pick, by panels.
template <class T, class F>
inline void each_picked(const PickArgs<T>& a, F f) {
    constexpr std::size_t kRows = 128;
    std::size_t places[kRows];
    for (std::size_t row0 = a.row0; row0 < a.row1; row0 += kRows) {
        const std::size_t row1 = smaller(row0 + kRows, a.row1);
        for (std::size_t row = row0; row < row1; ++row) places[row - row0] = picked(a, row) * kPanel<T>;
        f(row0, row1, static_cast<const std::size_t*>(places));
    }
}

template <class T>
void pick(const PickArgs<T>* args) {
    const PickArgs<T>& a = *args;
    each_picked(a, [&a](std::size_t row0, std::size_t row1, const std::size_t* places) {
        each_piece(a.n, a.table, 0, a.y, a.column, [=](auto count, const T* from, T* to) {
            for (std::size_t row = row0; row < row1; ++row) {
                __builtin_memcpy(to + row * kPanel<T>, from + places[row - row0], count * sizeof(T));
            }
        });
    });
}

template <class T>
void pick_gradient(const PickArgs<T>* args) {
    constexpr std::size_t P = kPanel<T>;
    const PickArgs<T>& a = *args;
    const Matrix<T> sums{panel_row(a.gradient, a.gradient_panel, 0), 0};
    each_vector<T>(a.n_labels + 2, kPanelVectors, [=](std::size_t at) { store<T>(sums.data + at, Vec<T>{}); });
    const std::size_t c0 = a.gradient_panel * P, n = smaller(a.n - c0, P);
    each_picked(a, [=, &a](std::size_t row0, std::size_t row1, const std::size_t* places) {
        each_piece(n, a.dy, a.column + c0, sums, 0, [=](auto count, const T* from, T* to) {
            for (std::size_t row = row0; row < row1; ++row) {
                const T* const d = from + row * P;
                T* const sum = to + places[row - row0];
                for (std::size_t i = 0; i < count; ++i) sum[i] += d[i];
            }
        });
    });
}

}  // namespace
}  // namespace steepest
