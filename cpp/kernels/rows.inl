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
    Vec<T> zeros{};  // x * 0 is 0 for every finite x and NaN else
    Few few_zeros{};
    T rest = T(0);
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
    return sum<T>(zeros) + rest == T(0);
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

// Philox4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011) on kDraws counters side by side.
constexpr std::size_t kDraws = 16;

struct Counters {
    std::uint32_t word[4][kDraws];
};

inline void philox(Counters& c, std::uint64_t seed) {
    std::uint32_t key0 = std::uint32_t(seed), key1 = std::uint32_t(seed >> 32);
    for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
        for (std::size_t i = 0; i < kDraws; ++i) {
            const std::uint64_t a = std::uint64_t{0xD2511F53u} * c.word[0][i];
            const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * c.word[2][i];
            c.word[0][i] = std::uint32_t(b >> 32) ^ c.word[1][i] ^ key0;
            c.word[2][i] = std::uint32_t(a >> 32) ^ c.word[3][i] ^ key1;
            c.word[1][i] = std::uint32_t(b);
            c.word[3][i] = std::uint32_t(a);
        }
    }
}

// An element survives if its draw is at least p * 2^32. A counter gives four draws, for neighboring columns: a row of a panel
// takes kQuads counters.
template <class T>
void dropout(const DropoutArgs<T>* args) {
    constexpr std::size_t kQuads = kPanel<T> / 4;
    const DropoutArgs<T>& a = *args;
    const double bound = double(a.p) * 4294967296.0;
    const T survivor = T(1 / (1 - double(a.p)));
    for (std::size_t p = a.block.panel0; p < a.block.panel1; ++p) {
        const T* x = panel_row(a.x, p, 0);
        T* y = panel_row(a.y, p, 0);
        const std::size_t end = a.block.row1 * kQuads;
        for (std::size_t first = a.block.row0 * kQuads; first < end; first += kDraws) {
            Counters c;
            for (std::size_t i = 0; i < kDraws; ++i) {
                c.word[0][i] = std::uint32_t(p * kQuads + (first + i) % kQuads);
                c.word[1][i] = std::uint32_t((first + i) / kQuads);
                c.word[2][i] = a.step;
                c.word[3][i] = a.layer;
            }
            philox(c, a.seed);
            for (std::size_t i = 0; i < kDraws && first + i < end; ++i) {
                for (std::size_t w = 0; w < 4; ++w) {
                    const std::size_t at = (first + i) * 4 + w;
                    y[at] = double(c.word[w][i]) >= bound ? x[at] * survivor : T(0);
                }
            }
        }
    }
}

}  // namespace
}  // namespace steepest
