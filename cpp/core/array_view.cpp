#include "array_view.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <type_traits>
#include <vector>

namespace steepest {
namespace {

double half_to_double(std::uint16_t h) {
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    const double sign = h >> 15 ? -1 : 1;
    if (exponent == 31) return mantissa ? std::nan("") : sign * HUGE_VAL;
    return sign * (exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24));
}

struct Half {
    std::uint16_t bits;
    explicit operator float() const { return static_cast<float>(half_to_double(bits)); }
    explicit operator double() const { return half_to_double(bits); }
};

struct Boolean {
    std::uint8_t byte;
    explicit operator float() const { return byte ? 1.0f : 0.0f; }
    explicit operator double() const { return byte ? 1.0 : 0.0; }
};

template <class S>
S read(const char* p, bool swapped) {
    char bytes[sizeof(S)];
    std::memcpy(bytes, p, sizeof bytes);
    if (swapped) {
        for (std::size_t i = 0; i < sizeof bytes / 2; ++i) std::swap(bytes[i], bytes[sizeof bytes - 1 - i]);
    }
    S value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

// Calls f with a value of the array's number type.
template <class F>
auto with_number(Number type, F f) {
    switch (type) {
        case Number::boolean: return f(Boolean{});
        case Number::i8: return f(std::int8_t{});
        case Number::i16: return f(std::int16_t{});
        case Number::i32: return f(std::int32_t{});
        case Number::i64: return f(std::int64_t{});
        case Number::u8: return f(std::uint8_t{});
        case Number::u16: return f(std::uint16_t{});
        case Number::u32: return f(std::uint32_t{});
        case Number::u64: return f(std::uint64_t{});
        case Number::f16: return f(Half{});
        case Number::f32: return f(float{});
        case Number::f64: break;
    }
    return f(double{});
}

template <class T>
constexpr Number kNumber = std::is_same_v<T, float> ? Number::f32 : Number::f64;

// Whether a row is that many numbers of T one after the other, perhaps not aligned.
template <class T>
bool has_rows_of(const ArrayView& view) {
    return view.type == kNumber<T> && !view.swapped && (view.column_stride == sizeof(T) || view.columns == 1);
}

std::string shape_text(std::size_t rows, std::size_t columns, bool flat) {
    const std::string first = rows == kAnyRows ? "rows" : std::to_string(rows);
    return flat ? "(" + first + ",)" : "(" + first + ", " + std::to_string(columns) + ")";
}

}  // namespace

double ArrayView::at(std::size_t r, std::size_t column) const {
    const char* p = row(r) + static_cast<std::ptrdiff_t>(column) * column_stride;
    return with_number(type, [&](auto zero) { return static_cast<double>(read<decltype(zero)>(p, swapped)); });
}

template <class T>
void read_row(const ArrayView& view, std::size_t row, T* out) {
    if (has_rows_of<T>(view)) {
        std::memcpy(out, view.row(row), view.columns * sizeof(T));
        return;
    }
    with_number(view.type, [&](auto zero) {
        const char* p = view.row(row);
        for (std::size_t c = 0; c < view.columns; ++c, p += view.column_stride) {
            out[c] = static_cast<T>(read<decltype(zero)>(p, view.swapped));
        }
    });
}

namespace {

constexpr std::size_t kConverted = 4096;  // numbers

// Mixes the partner of row i, which is read into `other`, into the row.
template <class T>
void mix_in(const ArrayView& view, const Rows& rows, std::size_t i, T* row, T* other) {
    read_row(view, rows[rows.mix->partner[i]], other);
    for (std::size_t c = 0; c < view.columns; ++c) row[c] = rows.mix->of(row[c], other[c]);
}

constexpr std::size_t kAtOnce = 64;  // rows

// Rows that are no numbers of T side by side, or are mixed. They stay close: as many at a time as there is room for, and behind
// them one to mix in.
template <class T>
[[gnu::noinline]] bool gather_converted(const Kernels<T>& kernels, const ArrayView& view, const Rows& rows, std::size_t begin,
                                        std::size_t end, Matrix<T> out) {
    const std::size_t columns = view.columns;
    const std::size_t at_once = std::clamp(kConverted / std::max<std::size_t>(columns, 1), std::size_t{1}, kAtOnce);
    thread_local std::vector<T> buffer;
    if (buffer.size() < (at_once + 1) * columns) buffer.resize((at_once + 1) * columns);
    const T* places[kAtOnce];
    bool finite = true;
    for (std::size_t i = begin; i < end; i += at_once) {
        const std::size_t count = std::min(at_once, end - i);
        for (std::size_t r = 0; r < count; ++r) {
            T* const row = buffer.data() + r * columns;
            read_row(view, rows[i + r], row);
            if (rows.mix) mix_in(view, rows, i + r, row, buffer.data() + at_once * columns);
            places[r] = row;
        }
        finite &= kernels.gather_rows(places, count, columns, i, out) != 0;
    }
    return finite;
}

}  // namespace

template <class T>
bool gather(const Kernels<T>& kernels, const ArrayView& view, const Rows& rows, std::size_t begin, std::size_t end,
            Matrix<T> out) {
    const bool direct = !rows.mix && has_rows_of<T>(view) && reinterpret_cast<std::uintptr_t>(view.data) % alignof(T) == 0 &&
                        view.row_stride % static_cast<std::ptrdiff_t>(alignof(T)) == 0;
    if (!direct) return gather_converted(kernels, view, rows, begin, end, out);
    const T* places[kAtOnce];
    bool finite = true;
    for (std::size_t i = begin; i < end; i += kAtOnce) {
        const std::size_t count = std::min(kAtOnce, end - i);
        for (std::size_t r = 0; r < count; ++r) places[r] = reinterpret_cast<const T*>(view.row(rows[i + r]));
        finite &= kernels.gather_rows(places, count, view.columns, i, out) != 0;
    }
    return finite;
}

std::string number_text(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", value);
    return text;
}

template <class T>
void throw_invalid(const ArrayView& view, const Rows& rows) {
    for (std::size_t i = 0; i < rows.count; ++i) {
        for (std::size_t c = 0; c < view.columns; ++c) {
            const double value = view.at(rows[i], c);
            if (std::isfinite(static_cast<T>(value))) continue;
            const std::string place = " at row " + std::to_string(rows[i]) + (view.flat ? "" : ", column " + std::to_string(c));
            if (std::isfinite(value)) {
                throw std::invalid_argument(view.name + " has a value too large for float32" + place);
            }
            throw std::invalid_argument(view.name + " has " +
                                        (std::isnan(value) ? "nan"
                                         : value > 0       ? "inf"
                                                           : "-inf") +
                                        place + ", expected finite numbers");
        }
    }
    throw std::logic_error(view.name + " changed while it was read");
}

void check_shape(const ArrayView& view, std::size_t rows, std::size_t columns) {
    const bool flat_is_fine = view.flat && columns == 1 && rows != kAnyRows;
    if ((flat_is_fine || !view.flat) && view.columns == columns && (rows == kAnyRows || view.rows == rows)) return;
    throw std::invalid_argument(view.name + " has shape " + shape_text(view.rows, view.columns, view.flat) + ", expected " +
                                shape_text(rows, columns, false) +
                                (columns == 1 && rows != kAnyRows ? " or " + shape_text(rows, 1, true) : ""));
}

#define STEEPEST_INSTANTIATE(T)                                                                                     \
    template void read_row<T>(const ArrayView&, std::size_t, T*);                                                   \
    template bool gather<T>(const Kernels<T>&, const ArrayView&, const Rows&, std::size_t, std::size_t, Matrix<T>); \
    template void throw_invalid<T>(const ArrayView&, const Rows&);
STEEPEST_INSTANTIATE(float)
STEEPEST_INSTANTIATE(double)

}  // namespace steepest
