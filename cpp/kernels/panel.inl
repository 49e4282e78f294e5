// Panels: the vectors of a row, of a panel and of a column, and the slots beside them (see kernels.hpp for the layout).
#pragma once

#include "kernels.hpp"
#include "vec.inl"

namespace steepest {
namespace {

// A panel's row is so many vectors, and the register tile is as wide: 2 by kTileRows vectors of C need fewer loads of B and A
// for each multiply-add than 1 by any number does.
constexpr std::size_t kPanelVectors = 2;

template <class T>
constexpr std::size_t kPanel = kPanelVectors * kLanes<T>;

inline std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

// Row `row` of panel `panel`: kPanel numbers, with the next row behind them.
template <class T>
inline T* panel_row(Matrix<T> m, std::size_t panel, std::size_t row) {
    return m.data + panel * m.stride + row * kPanel<T>;
}

// The same of a matrix that may be absent.
template <class T>
inline T* panel_row_or_null(Matrix<T> m, std::size_t panel, std::size_t row) {
    return m.data ? panel_row(m, panel, row) : nullptr;
}

// The vectors of a row that hold columns of panel `panel` in a matrix of n columns.
template <class T>
inline std::size_t vectors_used(std::size_t n, std::size_t panel) {
    return n - panel * kPanel<T> > kLanes<T> ? kPanelVectors : 1;
}

// f(offset) for every vector of `rows` rows of a panel, of which `vectors` are in use.
template <class T, class F>
inline void each_vector(std::size_t rows, std::size_t vectors, F f) {
    if (vectors == kPanelVectors) {
        for (std::size_t i = 0; i < rows * kPanel<T>; i += kLanes<T>) f(i);
    } else {
        for (std::size_t r = 0; r < rows; ++r) f(r * kPanel<T>);
    }
}

// f(panel, at, mask) for each vector of row `row` in a matrix of n columns: it stands `at` numbers from the panel's start, and
// the lanes where mask is set hold columns.
template <class T, class F>
inline void each_vector_of_row(std::size_t row, std::size_t n, F f) {
    for (std::size_t c = 0; c < n; c += kLanes<T>) {
        f(c / kPanel<T>, row * kPanel<T> + c % kPanel<T>, first_lanes<T>(smaller(n - c, kLanes<T>)));
    }
}

// f(panel, c) for each vector of columns in panels [panel0, panel1), c being its first column.
template <class T, class F>
inline void each_vector_of_columns(std::size_t panel0, std::size_t panel1, F f) {
    for (std::size_t c = panel0 * kPanel<T>; c < panel1 * kPanel<T>; c += kLanes<T>) f(c / kPanel<T>, c);
}

// Sum of f(row) over the rows, kSumRows at a time, so that the error grows with the number of blocks only.
constexpr std::size_t kSumRows = 64;

template <class T, class F>
inline Vec<T> sum_over_rows(std::size_t rows, F f) {
    Vec<T> total{};
    for (std::size_t r = 0; r < rows;) {
        const std::size_t end = smaller(r + kSumRows, rows);
        Vec<T> part{};
        for (; r < end; ++r) part += f(r);
        total += part;
    }
    return total;
}

// The slots of the parameter's elements from `at` on.
template <class T>
Slots<T> slots_at(Slots<T> s, std::size_t at) {
    return {s.slot1 ? s.slot1 + at : nullptr, s.slot2 ? s.slot2 + at : nullptr};
}

}  // namespace
}  // namespace steepest
