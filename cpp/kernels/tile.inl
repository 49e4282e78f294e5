// C = start + A B by one register tile, and the blocks that keep what the tile reads in the caches.
//
// A tile holds R rows by N vectors of C in registers while it walks the sum: for each k it loads the N vectors of B's row k,
// and adds their products with the number A[r, k], broadcast, to row r. B always comes in panels, so that it is one contiguous
// stream. With A in panels too, the numbers of a tile lie a constant distance apart in both directions that are needed: along a
// row of A for x W and dy W^T (`tile`), down a column of A for x^T dy (`transposed_tile`). So nothing is packed but W^T, a
// block at a time.
#pragma once

#include "kernels.hpp"
#include "panel.inl"
#include "vec.inl"

namespace steepest {
namespace {

// The tile's height: kTileRows x kPanelVectors accumulators, the vectors of B and one broadcast of A must fit the registers, of
// which there are 32 or 16.
#if STEEPEST_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr std::size_t kTileRows = 14;
#else
constexpr std::size_t kTileRows = 6;
#endif

// Block sizes, of which bench/README.md tells the gains. kBlockRows rows of A stay in L2, kDepth numbers of the sum at a
// time; beside them a panel of B of so many numbers stays in L1, or where vectors are long in L2, whence it comes fast
// enough. kChunk: the numbers of a panel of B that are sure to stay in L1.
constexpr bool kLongVectors = kVectorBytes == 64;
constexpr std::size_t kPanelBytes = kPanelVectors * kVectorBytes;
constexpr std::size_t kDepth = (kLongVectors ? 64 : 24) * 1024 / kPanelBytes;
constexpr std::size_t kChunk = (kLongVectors ? 16 : 24) * 1024 / kPanelBytes;
constexpr std::size_t kBlockRows = (kLongVectors ? 16 : 8) * kTileRows;

template <class T>
constexpr std::size_t kLine = kCacheLineBytes / sizeof(T);  // numbers of a cache line
constexpr bool kFetches = kLongVectors;  // shorter ones leave the processor time to see by itself what comes next

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

// What a register tile works on: C (R rows, M panels) = start + A B.
template <class T>
struct TileArgs {
    std::size_t depth = 0;     // numbers of the sum: columns of A, rows of B
    Matrix<const T> a{};       // (R, depth)
    Matrix<const T> b{};       // (depth, M panels)
    const T* bias = nullptr;   // (M panels): what every row starts from; null for 0
    bool resumes = false;      // rather start from what C holds, the sum so far
    Matrix<T> c{};             // (R, M panels)
    const T* ahead = nullptr;  // `depth` cache lines to fetch meanwhile; null: A's, for this tile and the next
};

// A step of plain gradient descent on the rows of W whose gradient is the tile: w -= rate * C. C itself is then not stored.
template <class T>
struct FusedUpdate {
    T* w = nullptr;  // (R, panel), or null for no update
    T rate = 0;
};

// What a register tile of dW works on: C (R rows, one panel) = start + A^T B, or what an update makes of it.
template <class T>
struct TransposedTileArgs {
    std::size_t depth = 0;  // numbers of the sum: rows of the batch
    const T* a = nullptr;   // (depth, R): A[k, r] at a[k * panel + r]
    const T* b = nullptr;   // (depth, panel)
    bool resumes = false;   // start from what C holds, the sum so far, not from 0
    T* c = nullptr;         // (R, panel); read where the tile resumes, written where nothing is updated
    FusedUpdate<T> update;
};

// The accumulators of M panels, R rows each, N vectors a row. As every index is a constant once the loops are unrolled, each
// is a register.
template <class T, std::size_t M, std::size_t R, std::size_t N>
using Tile = Vec<T>[M][R][N];

// f(m, r, n) for each accumulator.
template <std::size_t M, std::size_t R, std::size_t N, class F>
inline void each_accumulator(F f) {
#pragma GCC unroll 4
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 16
        for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
            for (std::size_t n = 0; n < N; ++n) f(m, r, n);
        }
    }
}

// acc[m][r][n] += A[r, k] * B[k, n] for `depth` values of k, where panel m of B lies m * b_stride further on. A[r, k] is at
// a[r * panel + k], or where A is transposed at a[k * panel + r]. Meanwhile a cache line for each k is fetched from `ahead`.
template <class T, std::size_t M, std::size_t R, std::size_t N, bool kTransposed>
inline void accumulate(std::size_t depth, const T* a, const T* b, std::size_t b_stride, Tile<T, M, R, N>& acc, const T* ahead) {
    for (std::size_t k = 0; k < depth; ++k, b += kPanel<T>) {
        if (kFetches && !kTransposed && M == 1) __builtin_prefetch(ahead + k * kLine<T>);
#pragma GCC unroll 4
        for (std::size_t m = 0; m < M; ++m) {
            Vec<T> bv[N];
#pragma GCC unroll 4
            for (std::size_t n = 0; n < N; ++n) bv[n] = load(b + m * b_stride + n * kLanes<T>);
#pragma GCC unroll 16
            for (std::size_t r = 0; r < R; ++r) {
                const T ar = kTransposed ? a[k * kPanel<T> + r] : a[r * kPanel<T> + k];
#pragma GCC unroll 4
                for (std::size_t n = 0; n < N; ++n) acc[m][r][n] += ar * bv[n];
            }
        }
    }
}

// One register tile of x W or dy W^T. A row of A goes on in the next panel after `panel` numbers, and there B's next rows stand
// behind those before.
template <class T, std::size_t M, std::size_t R, std::size_t N>
void tile(const TileArgs<T>& t) {
    constexpr std::size_t P = kPanel<T>;
    Tile<T, M, R, N> acc;
    each_accumulator<M, R, N>([&](std::size_t m, std::size_t r, std::size_t n) {
        acc[m][r][n] = t.resumes ? load(t.c.data + m * t.c.stride + r * P + n * kLanes<T>)
                       : t.bias  ? load(t.bias + m * P + n * kLanes<T>)
                                 : Vec<T>{};
    });
    const T *a = t.a.data, *b = t.b.data;
    std::size_t left = t.depth;
    for (; left > P; left -= P, a += t.a.stride, b += P * P) {
        const T* ahead = t.ahead ? t.ahead + (t.depth - left) * kLine<T> : a + t.a.stride;
        accumulate<T, M, R, N, false>(P, a, b, t.b.stride, acc, ahead);
    }
    const T* ahead = t.ahead ? t.ahead + (t.depth - left) * kLine<T> : t.a.data + R * P;
    accumulate<T, M, R, N, false>(left, a, b, t.b.stride, acc, ahead);
    each_accumulator<M, R, N>([&](std::size_t m, std::size_t r, std::size_t n) {
        store<T>(t.c.data + m * t.c.stride + r * P + n * kLanes<T>, acc[m][r][n]);
    });
}

// One register tile of x^T dy: its rows are inputs, and lie side by side in a row of x's panel.
template <class T, std::size_t R, std::size_t N>
void transposed_tile(const TransposedTileArgs<T>& t) {
    constexpr std::size_t P = kPanel<T>;
    Tile<T, 1, R, N> acc;
    each_accumulator<1, R, N>([&](std::size_t m, std::size_t r, std::size_t n) {
        acc[m][r][n] = t.resumes ? load(t.c + r * P + n * kLanes<T>) : Vec<T>{};
    });
    accumulate<T, 1, R, N, true>(t.depth, t.a, t.b, 0, acc, nullptr);
    each_accumulator<1, R, N>([&](std::size_t m, std::size_t r, std::size_t n) {
        const std::size_t at = r * P + n * kLanes<T>;
        if (t.update.w) {
            store<T>(t.update.w + at, load(t.update.w + at) - t.update.rate * acc[m][r][n]);
        } else {
            store<T>(t.c + at, acc[m][r][n]);
        }
    });
}

template <class T>
using TileFunction = void (*)(const TileArgs<T>&);
template <class T>
using TransposedTileFunction = void (*)(const TransposedTileArgs<T>&);

// kOf[vectors - 1][rows - 1]: tiles of one panel, in every size.
template <class T, class Rows = typename FirstIndices<kTileRows>::Type>
struct Tiles;
template <class T, std::size_t... R>
struct Tiles<T, Indices<R...>> {
    static_assert(kPanelVectors == 2, "one list below for each number of vectors");
    static constexpr TileFunction<T> kOf[kPanelVectors][kTileRows] = {{tile<T, 1, R + 1, 1>...}, {tile<T, 1, R + 1, 2>...}};
};

template <class T, class Rows = typename FirstIndices<kTileRows>::Type>
struct TransposedTiles;
template <class T, std::size_t... R>
struct TransposedTiles<T, Indices<R...>> {
    static constexpr TransposedTileFunction<T> kOf[kPanelVectors][kTileRows] = {{transposed_tile<T, R + 1, 1>...},
                                                                                {transposed_tile<T, R + 1, 2>...}};
};

// A tile of one to three rows in one panel has too few accumulators to hide the latency of a multiply-add (4 cycles,
// two a cycle): it takes several panels at once.
constexpr std::size_t kFewRows = 3;

template <class T>
struct WideTile {
    std::size_t panels;
    TileFunction<T> run;
};

// The widest tile for `rows` <= kFewRows of at most `panels` full panels.
template <class T>
inline WideTile<T> wide_tile(std::size_t rows, std::size_t panels) {
    if (rows == 1 && panels >= 4) return {4, tile<T, 4, 1, kPanelVectors>};
    if (panels < 2) return {1, Tiles<T>::kOf[kPanelVectors - 1][rows - 1]};
    if (rows == 1) return {2, tile<T, 2, 1, kPanelVectors>};
    if (rows == 2) return {2, tile<T, 2, 2, kPanelVectors>};
    return {2, tile<T, 2, 3, kPanelVectors>};
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

// So few tiles of rows take less time than memory takes to bring the next numbers of B: they fetch them meanwhile.
constexpr std::size_t kFewTiles = 3;

// C = start + A B for a part of C, which has `columns` in all. `whole` tells of the product what TileArgs tells of a tile: its
// depth, and A, B, bias and C from row 0, number 0 and panel 0 on. finish(panel, vectors, row, rows) gets each tile of C that
// is complete, while it is hot.
//
// The loops, from outside in: a stretch of the sum (kDepth numbers, between which C holds the partial sums); a block of rows
// of A (L2); a panel of B, or several for few rows; a chunk of the sum; tiles of the block's rows, which all read that chunk of
// B's panel (L1, or L2 where vectors are long).
template <class T, class F>
void multiply(const Block& part, std::size_t columns, const TileArgs<T>& whole, F finish) {
    constexpr std::size_t P = kPanel<T>;
    const auto [row0, row1, panel0, panel1] = part;
    const std::size_t depth = whole.depth;
    TileArgs<T> t = whole;
    // One block of rows uses each number of B once: B is then read panel by panel from end to end.
    const std::size_t stretch = row1 - row0 <= kBlockRows || depth == 0 ? depth + 1 : kDepth;
    for (std::size_t k0 = 0; k0 < depth + (depth == 0); k0 += stretch) {  // a sum of nothing takes a turn too: C = start
        const std::size_t k1 = smaller(k0 + stretch, depth);
        for (std::size_t block = row0; block < row1; block += kBlockRows) {
            const std::size_t block_end = smaller(block + kBlockRows, row1);
            const bool few = block_end - block <= kFewTiles * kTileRows;
            const std::size_t chunk = few ? kChunk : kDepth;
            for (std::size_t p = panel0, step = 1; p < panel1; p += step) {
                const std::size_t vectors = vectors_used<T>(columns, p);
                WideTile<T> wide{1, nullptr};
                if (block_end - block <= kFewRows && vectors == kPanelVectors) {
                    wide = wide_tile<T>(block_end - block, smaller(panel1, columns / P) - p);
                }
                step = wide.panels;
                for (std::size_t k = k0; k < k1 || k == k0; k += chunk) {
                    t.depth = smaller(chunk, k1 - k);
                    t.resumes = whole.resumes || k > 0;
                    t.b.data = whole.b.data + p * t.b.stride + k * P;
                    t.bias = whole.bias ? whole.bias + p * P : nullptr;
                    each_tile(block, block_end, [&](std::size_t row, std::size_t rows) {
                        t.a.data = whole.a.data + k / P * t.a.stride + row * P;
                        t.c.data = whole.c.data + p * t.c.stride + row * P;
                        // the next chunk of B, two cache lines a row: the block's first tile fetches one half, the others the
                        // other
                        t.ahead = few ? t.b.data + t.depth * P + (row > block ? t.depth * kLine<T> : 0) : nullptr;
                        (wide.run ? wide.run : Tiles<T>::kOf[vectors - 1][rows - 1])(t);
                        if (k + t.depth < depth) return;  // the sum goes on
                        for (std::size_t m = 0; m < step; ++m) finish(p + m, vectors, row, rows);
                    });
                }
            }
        }
    }
}

}  // namespace
}  // namespace steepest
