// The caller's arrays, read row by row where they lie: any number type, stride and byte order, never copied whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "../kernels/kernels.hpp"

namespace steepest {

enum class Number { boolean, i8, i16, i32, i64, u8, u16, u32, u64, f16, f32, f64 };

// A 1-D or 2-D array of numbers. A 1-D array has one column.
struct ArrayView {
    std::string name;  // of the argument, for messages
    const char* data = nullptr;
    std::size_t rows = 0, columns = 0;
    std::ptrdiff_t row_stride = 0, column_stride = 0;  // bytes
    Number type = Number::f32;
    bool swapped = false;  // the other byte order
    bool flat = false;     // 1-D

    const char* row(std::size_t r) const { return data + static_cast<std::ptrdiff_t>(r) * row_stride; }
    double at(std::size_t row, std::size_t column) const;
    // Whether it is the same numbers at the same place.
    bool operator==(const ArrayView& other) const {
        return data == other.data && rows == other.rows && columns == other.columns && row_stride == other.row_stride &&
               column_stride == other.column_stride && type == other.type && swapped == other.swapped && flat == other.flat;
    }
};

// Mixup (Zhang et al., 2018): row i of a batch becomes share * row i + (1 - share) * row partner[i] of it.
struct Mix {
    double share = 1;
    const std::size_t* partner = nullptr;

    template <class T>
    T of(T own, T other) const {
        return other + static_cast<T>(share) * (own - other);  // two equal numbers stay what they are
    }
};

// Rows [first, first + count) of `order`, or of the array itself where order is null.
struct Rows {
    const std::size_t* order;
    std::size_t first, count;
    const Mix* mix = nullptr;  // what a trainer makes of them

    std::size_t operator[](std::size_t i) const { return order ? order[first + i] : first + i; }
};

// Copies one row to `columns` contiguous numbers of T.
template <class T>
void read_row(const ArrayView& view, std::size_t row, T* out);

// Copies n contiguous numbers into row `row` of `out`. Returns false if one of them is not finite.
template <class T>
bool gather_row(const Kernels<T>& kernels, const T* x, std::size_t n, std::size_t row, Matrix<T> out) {
    return kernels.gather_rows(&x, 1, n, row, out) != 0;
}

// Gathers rows [begin, end) of `rows` into rows [begin, end) of `out`. Returns false if a number is not finite, or is too
// large for T.
template <class T>
bool gather(const Kernels<T>& kernels, const ArrayView& view, const Rows& rows, std::size_t begin, std::size_t end,
            Matrix<T> out);

// Finds what gather() refused and throws std::invalid_argument naming argument, row and column.
template <class T>
[[noreturn]] void throw_invalid(const ArrayView& view, const Rows& rows);

// A number as a message shows it.
std::string number_text(double value);

// Throws std::invalid_argument unless the array is (rows, columns); rows may be any number where it is kAnyRows.
constexpr std::size_t kAnyRows = static_cast<std::size_t>(-1);
void check_shape(const ArrayView& view, std::size_t rows, std::size_t columns);

}  // namespace steepest
