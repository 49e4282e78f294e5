// Rows in and out of panels, and dropout, whose random numbers belong to rows and columns.
#pragma once

#include "kernels.hpp"
#include "panel.inl"
#include "vec.inl"

namespace steepest {
namespace {

// Rows in random order lie where no hardware looks ahead: while one is copied, the next is fetched. What is left of a row
// goes by 16 bytes, which is all there is of some rows.
template <class T>
std::int32_t gather_rows(const T* const* x, std::size_t count, std::size_t n, std::size_t row0, Matrix<T> y) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>, kFew = 16 / sizeof(T);
    typedef T Few __attribute__((vector_size(16)));
    const std::size_t whole = n / L * L, fews = n / kFew * kFew;
    T rest = T(0);  // x * 0 is 0 for every finite x and NaN else
    if (n == 1) {
        for (std::size_t r = 0; r < count; ++r) {
            rest += x[r][0] * T(0);
            *panel_row(y, 0, row0 + r) = x[r][0];
        }
        return rest == T(0);
    }
    Vec<T> zeros{};
    Few few_zeros{};
    for (std::size_t r = 0; r < count; ++r) {
        const T* from = x[r];
        const T* next = x[r + 1 < count ? r + 1 : r];
        T* to = panel_row(y, 0, row0 + r);
        for (std::size_t c = 0; c < whole; c += L) {
            __builtin_prefetch(next + c);
            const Vec<T> v = load(from + c);
            zeros += v * T(0);
            store<T>(to + c / P * y.stride + c % P, v);
        }
        if (whole == n) continue;
        to += whole / P * y.stride + whole % P;  // the rest ends before the panel does
        for (std::size_t c = whole; c < fews; c += kFew, to += kFew) {
            Few v;
            __builtin_memcpy(&v, from + c, sizeof v);
            few_zeros += v * T(0);
            __builtin_memcpy(to, &v, sizeof v);
        }
        for (std::size_t c = fews; c < n; ++c) {
            rest += from[c] * T(0);
            *to++ = from[c];
        }
    }
    for (std::size_t i = 0; i < kFew; ++i) rest += few_zeros[i];
    if (whole > 0) rest += sum<T>(zeros);
    return rest == T(0);
}

// The columns of the row, panel after panel; y may be misaligned.
template <class T>
void scatter_row(Matrix<const T> x, std::size_t n, std::size_t row, T* y) {
    constexpr std::size_t P = kPanel<T>;
    for (std::size_t c = 0; c < n; c += P) {
        const T* in = panel_row(x, c / P, row);
        for (std::size_t i = 0; i < smaller(n - c, P); ++i) __builtin_memcpy(y + c + i, in + i, sizeof(T));
    }
}

// Philox4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011) on as many counters as fit a vector.
typedef std::uint32_t Words __attribute__((vector_size(kVectorBytes)));
typedef std::uint64_t WideWords __attribute__((vector_size(kVectorBytes)));
constexpr std::size_t kDraws = kVectorBytes / sizeof(std::uint32_t);

struct Counters {
    Words word[4];
};

// Both halves of the products of 32-bit words.
struct Products {
    Words high, low;
};

inline Products multiply_words(Words v, std::uint64_t by) {
    constexpr std::uint64_t kLow = 0xFFFFFFFFu;
    const WideWords w = reinterpret_cast<WideWords>(v), even = (w & kLow) * by, odd = (w >> 32) * by;
    return {reinterpret_cast<Words>((even >> 32) | (odd & ~kLow)), reinterpret_cast<Words>((even & kLow) | (odd << 32))};
}

inline void philox(Counters& c, std::uint64_t seed) {
    std::uint32_t key0 = std::uint32_t(seed), key1 = std::uint32_t(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
        const Products a = multiply_words(c.word[0], 0xD2511F53u), b = multiply_words(c.word[2], 0xCD9E8D57u);
        c = {{b.high ^ c.word[1] ^ key0, b.low, a.high ^ c.word[3] ^ key1, a.low}};
    }
}

// The words of one counter after the other.
inline void store_in_turns(const Counters& c, std::uint32_t* to) {
    const auto number = [&](std::size_t i) { return reinterpret_cast<Vec<float>>(c.word[i]); };
    const LaneIndices<float> all;
    const Vec<float> even[] = {interleave_low<float>(number(0), number(2), all),
                               interleave_high<float>(number(0), number(2), all)};
    const Vec<float> odd[] = {interleave_low<float>(number(1), number(3), all),
                              interleave_high<float>(number(1), number(3), all)};
    for (std::size_t half = 0; half < 2; ++half) {
        const Vec<float> both[] = {interleave_low<float>(even[half], odd[half], all),
                                   interleave_high<float>(even[half], odd[half], all)};
        __builtin_memcpy(to + half * 2 * kDraws, both, sizeof both);
    }
}

// An element survives if its draw is at least p * 2^32. A counter gives four draws, for neighboring columns: a row of a panel
// takes kQuads counters.
template <class T>
void dropout(const DropoutArgs<T>* args) {
    constexpr std::size_t kQuads = kPanel<T> / 4;
    const DropoutArgs<T>& a = *args;
    const double bound = double(a.p) * 4294967296.0;
    const std::uint32_t lowest = bound < 4294967295.0 ? std::uint32_t(__builtin_ceil(bound)) : 0xFFFFFFFFu;
    const T survivor = T(1 / (1 - double(a.p)));
    Words column{}, row{};
    for (std::size_t i = 0; i < kDraws; ++i) column[i] = std::uint32_t(i % kQuads), row[i] = std::uint32_t(i / kQuads);
    for (std::size_t p = a.block.panel0; p < a.block.panel1; ++p) {
        const T* x = panel_row(a.x, p, 0);
        T* y = panel_row(a.y, p, 0);
        const std::size_t end = a.block.row1 * kPanel<T>;
        for (std::size_t first = a.block.row0 * kPanel<T>; first < end; first += 4 * kDraws) {
            Counters c{{column + std::uint32_t(p * kQuads), row + std::uint32_t(first / kPanel<T>), Words{} + a.step,
                        Words{} + a.layer}};
            philox(c, a.seed);
            std::uint32_t draws[4 * kDraws];
            store_in_turns(c, draws);
            const std::size_t n = smaller(4 * kDraws, end - first);
            for (std::size_t i = 0; i < n; ++i) y[first + i] = draws[i] >= lowest ? x[first + i] * survivor : T(0);
        }
    }
}

}  // namespace
}  // namespace steepest
