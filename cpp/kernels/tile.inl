// C = start + A B by one register tile, and the blocks that keep what it reads in the caches.
//
// B always comes in panels; A is read one number at a time and broadcast. With A in panels too, the numbers of a tile
// lie a constant distance apart in both directions that are needed: down a column of A for x W and dy W^T, along a row
// of A for x^T dy. So nothing is packed but W^T, a block at a time.
#pragma once

#include "kernels.hpp"
#include "panel.inl"
#include "vec.inl"

namespace steepest {
namespace {

// The register tile: rows x kTileVectors accumulators, the vectors of B and one broadcast of A must fit the registers.
#if defined(__AVX512F__) || defined(__aarch64__) || STEEPEST_VECTOR_BYTES == 64
constexpr std::size_t kTileRows = 14;
#else
constexpr std::size_t kTileRows = 6;
#endif
// Block sizes, of which bench/README.md tells the gains. kBlockRows rows of A stay in L2, kDepth numbers of the sum at a
// time; beside them a panel of B of so many numbers stays in L1, or where vectors are long in L2, whence it comes fast
// enough. kChunk: the numbers of a panel of B that are sure to stay in L1.
constexpr bool kLongVectors = kVectorBytes == 64;
constexpr std::size_t kPanelBytes = kTileVectors * kVectorBytes;
constexpr std::size_t kDepth = (kLongVectors ? 64 : 24) * 1024 / kPanelBytes;
constexpr std::size_t kChunk = (kLongVectors ? 16 : 24) * 1024 / kPanelBytes;
constexpr std::size_t kBlockRows = (kLongVectors ? 16 : 8) * kTileRows;
// Panels of W^T that are packed at a time.
constexpr std::size_t kPackedPanels = 8;

template <class T>
constexpr std::size_t kScratch = kDepth * kPanel<T> * kPackedPanels;

template <class T>
constexpr std::size_t kLine = 64 / sizeof(T);  // of the cache
constexpr bool kFetches = kLongVectors;        // shorter ones leave the processor time to see by itself what comes next

// Accumulators of M panels, R rows each, N vectors a row.
template <class T, std::size_t M, std::size_t R, std::size_t N>
using Tile = Vec<T>[M][R][N];

// acc[m][r][n] += A[r, k] * B[k, n] for `depth` values of k, where panel m of B lies m * b_stride further on.
// Down: A[r, k] at a[r * panel + k]. Across: at a[k * panel + r]. Meanwhile a cache line for each k is fetched from `ahead`.
template <class T, std::size_t M, std::size_t R, std::size_t N, bool kAcross>
inline void accumulate(std::size_t depth, const T* a, const T* b, std::size_t b_stride, Tile<T, M, R, N>& acc, const T* ahead) {
    for (std::size_t k = 0; k < depth; ++k, b += kPanel<T>) {
        if (kFetches && !kAcross && M == 1) __builtin_prefetch(ahead + k * kLine<T>);
#pragma GCC unroll 4
        for (std::size_t m = 0; m < M; ++m) {
            Vec<T> bv[N];
#pragma GCC unroll 4
            for (std::size_t n = 0; n < N; ++n) bv[n] = load(b + m * b_stride + n * kLanes<T>);
#pragma GCC unroll 16
            for (std::size_t r = 0; r < R; ++r) {
                const T ar = kAcross ? a[k * kPanel<T> + r] : a[r * kPanel<T> + k];
#pragma GCC unroll 4
                for (std::size_t n = 0; n < N; ++n) acc[m][r][n] += ar * bv[n];
            }
        }
    }
}

// What a register tile works on. A's panels are a_stride apart, B's b_stride, C's c_stride.
template <class T>
struct TileArgs {
    std::size_t depth;
    const T* a;
    std::size_t a_stride;
    const T* b;
    std::size_t b_stride;
    const T* bias;  // a row to start from, panel after panel, or null
    bool more;      // start from what c holds
    T* c;
    std::size_t c_stride;
    T* w = nullptr;  // not null: rather than to go to c, rate * C is taken from here
    T rate = 0;
    const T* ahead = nullptr;  // `depth` cache lines to fetch meanwhile; null: A's, for this tile and the next
};

// One register tile: C (R rows of M panels) = start + A B over `depth` numbers from A.
template <class T, std::size_t M, std::size_t R, std::size_t N, bool kAcross>
void tile(const TileArgs<T>& t) {
    constexpr std::size_t P = kPanel<T>;
    Tile<T, M, R, N> acc;
#pragma GCC unroll 4
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 16
        for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
            for (std::size_t n = 0; n < N; ++n) {
                acc[m][r][n] = t.more   ? load(t.c + m * t.c_stride + r * P + n * kLanes<T>)
                               : t.bias ? load(t.bias + m * P + n * kLanes<T>)
                                        : Vec<T>{};
            }
        }
    }
    const T *a = t.a, *b = t.b;
    if (kAcross) {
        accumulate<T, M, R, N, true>(t.depth, a, b, t.b_stride, acc, nullptr);
    } else {
        std::size_t left = t.depth;
        for (; left > P; left -= P, a += t.a_stride, b += P * P) {
            const T* ahead = t.ahead ? t.ahead + (t.depth - left) * kLine<T> : a + t.a_stride;
            accumulate<T, M, R, N, false>(P, a, b, t.b_stride, acc, ahead);
        }
        const T* ahead = t.ahead ? t.ahead + (t.depth - left) * kLine<T> : t.a + R * P;
        accumulate<T, M, R, N, false>(left, a, b, t.b_stride, acc, ahead);
    }
#pragma GCC unroll 4
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 16
        for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
            for (std::size_t n = 0; n < N; ++n) {
                if (kAcross && t.w) {
                    T* w = t.w + r * P + n * kLanes<T>;
                    store<T>(w, load(w) - t.rate * acc[m][r][n]);
                } else {
                    store<T>(t.c + m * t.c_stride + r * P + n * kLanes<T>, acc[m][r][n]);
                }
            }
        }
    }
}

template <class T>
using TileFunction = void (*)(const TileArgs<T>&);

// kOf[vectors - 1][rows - 1]: tiles of one panel.
template <class T, bool kAcross>
struct Tiles {
    static_assert(kTileRows == 6 || kTileRows == 14, "one line below for each number of rows");
#define STEEPEST_TILES(N, R) tile<T, 1, R, N, kAcross>, tile<T, 1, R + 1, N, kAcross>
#if STEEPEST_VECTOR_BYTES == 64 || defined(__aarch64__)
#define STEEPEST_ROW_OF_TILES(N)                                                              \
    {STEEPEST_TILES(N, 1), STEEPEST_TILES(N, 3),  STEEPEST_TILES(N, 5), STEEPEST_TILES(N, 7), \
     STEEPEST_TILES(N, 9), STEEPEST_TILES(N, 11), STEEPEST_TILES(N, 13)}
#else
#define STEEPEST_ROW_OF_TILES(N) {STEEPEST_TILES(N, 1), STEEPEST_TILES(N, 3), STEEPEST_TILES(N, 5)}
#endif
    static constexpr TileFunction<T> kOf[kTileVectors][kTileRows] = {STEEPEST_ROW_OF_TILES(1), STEEPEST_ROW_OF_TILES(2)};
#undef STEEPEST_ROW_OF_TILES
#undef STEEPEST_TILES
};

// A tile of one to three rows in one panel has too few accumulators to hide the latency of a multiply-add (4 cycles,
// two a cycle): it takes several panels at once.
constexpr std::size_t kFewRows = 3;

// Whether a matrix is too large to stay in a cache that is fast.
template <class T>
inline bool is_far(std::size_t rows, std::size_t columns) {
    return kFetches && rows * columns * sizeof(T) > (1 << 20);
}

// Asks for cache lines, `apart` numbers from one to the next.
template <class T>
inline void fetch(std::size_t lines, const T* p, std::size_t apart = kLine<T>) {
    for (std::size_t i = 0; i < lines; ++i) __builtin_prefetch(p + i * apart);
}

// So few tiles of rows take less time than memory takes to bring the next numbers of B: they fetch them meanwhile.
constexpr std::size_t kFewTiles = 3;

template <class T>
struct WideTile {
    std::size_t panels;
    TileFunction<T> run;
};

// The widest tile for `rows` <= kFewRows of at most `panels` full panels.
template <class T>
inline WideTile<T> wide_tile(std::size_t rows, std::size_t panels) {
    if (rows == 1 && panels >= 4) return {4, tile<T, 4, 1, kTileVectors, false>};
    if (panels < 2) return {1, Tiles<T, false>::kOf[kTileVectors - 1][rows - 1]};
    if (rows == 1) return {2, tile<T, 2, 1, kTileVectors, false>};
    if (rows == 2) return {2, tile<T, 2, 2, kTileVectors, false>};
    return {2, tile<T, 2, 3, kTileVectors, false>};
}

// f(first, count) for tiles of nearly equal height: 32 rows by 14 become 11, 11, 10 and not 14, 14, 4, for a small tile
// has too few accumulators to hide the latency of its multiply-adds.
template <class F>
inline void each_tile(std::size_t row0, std::size_t row1, F f) {
    const std::size_t rows = row1 - row0;
    if (rows <= kTileRows) {  // no division, for small networks' sake
        if (rows > 0) f(row0, rows);
        return;
    }
    const std::size_t tiles = (rows + kTileRows - 1) / kTileRows;
    const std::size_t height = rows / tiles, taller = rows % tiles;
    for (std::size_t t = 0; t < tiles; ++t) {
        const std::size_t count = height + (t < taller ? 1 : 0);
        f(row0, count);
        row0 += count;
    }
}

// C = start + A B for a part of C, which has `columns`, over a sum of `depth` numbers from A. `t` holds the pointers for row 0,
// the first number and panel 0. The sum runs in blocks of kDepth, for which C holds the partial sums. finish(panel, vectors,
// row, rows) gets each tile of C that is complete, while it is hot.
template <class T, class F>
void multiply(const Block& part, std::size_t columns, std::size_t depth, TileArgs<T> t, F finish) {
    constexpr std::size_t P = kPanel<T>;
    const auto [row0, row1, panel0, panel1] = part;
    const TileArgs<T> whole = t;
    // One block of rows uses each number of B once: B is then read panel by panel from end to end.
    const std::size_t stretch = row1 - row0 <= kBlockRows || depth == 0 ? depth + 1 : kDepth;
    for (std::size_t k0 = 0; k0 < depth + (depth == 0); k0 += stretch) {
        const std::size_t k1 = smaller(k0 + stretch, depth);
        for (std::size_t block = row0; block < row1; block += kBlockRows) {
            const std::size_t block_end = smaller(block + kBlockRows, row1);
            const bool few = block_end - block <= kFewTiles * kTileRows;
            const std::size_t chunk = few ? kChunk : kDepth;
            for (std::size_t p = panel0, step = 1; p < panel1; p += step) {
                const std::size_t vectors = vectors_used<T>(columns, p);
                WideTile<T> wide{1, nullptr};
                if (block_end - block <= kFewRows && vectors == kTileVectors) {
                    wide = wide_tile<T>(block_end - block, smaller(panel1, columns / P) - p);
                }
                step = wide.panels;
                for (std::size_t k = k0; k < k1 || k == k0; k += chunk) {
                    t.depth = smaller(chunk, k1 - k);
                    t.more = whole.more || k > 0;
                    t.b = whole.b + p * t.b_stride + k * P;
                    t.bias = whole.bias ? whole.bias + p * P : nullptr;
                    each_tile(block, block_end, [&](std::size_t row, std::size_t rows) {
                        t.a = whole.a + k / P * t.a_stride + row * P;
                        t.c = whole.c + p * t.c_stride + row * P;
                        t.ahead = few ? t.b + t.depth * P + (row > block ? t.depth * kLine<T> : 0) : nullptr;
                        (wide.run ? wide.run : Tiles<T, false>::kOf[vectors - 1][rows - 1])(t);
                        if (k + t.depth < depth) return;
                        for (std::size_t m = 0; m < step; ++m) finish(p + m, vectors, row, rows);
                    });
                }
            }
        }
    }
}

}  // namespace
}  // namespace steepest
