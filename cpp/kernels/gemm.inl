// The three products of a dense layer, all by one register tile.
//
// B always comes in panels; A is read one number at a time and broadcast. With A in panels too, the numbers of a tile
// lie a constant distance apart in both directions that are needed: down a column of A for x W and dy W^T, along a row
// of A for x^T dy. So nothing is packed but W^T, a block at a time.
#pragma once

#include "activations.inl"
#include "kernels.hpp"
#include "optimizers.inl"
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

// y = x W + b and the activation, for a part of y.
template <class T>
void forward(const ForwardArgs<T>* args, const Block* part) {
    constexpr std::size_t P = kPanel<T>;
    const ForwardArgs<T>& f = *args;
    const auto activate_tile = activate_rows<T>(f.activation);
    const bool plain = f.activation == Activation::identity && !f.z.data;
    const auto finish = [&](std::size_t p, std::size_t vectors, std::size_t row, std::size_t rows) {
        if (plain) return;
        T* y = f.y.data + p * f.y.stride + row * P;
        activate_tile(rows, vectors, y, y, f.z.data ? f.z.data + p * f.z.stride + row * P : nullptr, f.alpha);
    };
    TileArgs<T> t{f.n_in, f.x.data, f.x.stride, f.weight.data, f.weight.stride, f.bias, false, f.y.data, f.y.stride};
    if (part->row1 - part->row0 != 1) {
        multiply<T>(*part, f.n_out, f.n_in, t, finish);
        return;
    }
    // One row reads each panel of W once from end to end: no blocks, which are half of a small network's time.
    t.a += part->row0 * P;
    for (std::size_t p = part->panel0, step = 1; p < part->panel1; p += step) {
        const std::size_t vectors = vectors_used<T>(f.n_out, p);
        const std::size_t whole = smaller(part->panel1, f.n_out / P);  // panels with all their columns end there
        const WideTile<T> wide = p < whole ? wide_tile<T>(1, whole - p) : WideTile<T>{1, Tiles<T, false>::kOf[vectors - 1][0]};
        t.b = f.weight.data + p * f.weight.stride;
        t.bias = f.bias ? f.bias + p * P : nullptr;
        t.c = f.y.data + p * f.y.stride + part->row0 * P;
        wide.run(t);
        step = wide.panels;
        for (std::size_t m = 0; m < step; ++m) finish(p + m, vectors, part->row0, 1);
    }
}

// out[k][c] = W[input, output] for the block of outputs [k0, k0 + depth) and one panel of inputs: a panel of W^T. What
// stands beyond `depth` and beyond n_in is zero, or is not read.
template <class T>
void pack_transposed(const InputGradientArgs<T>& g, std::size_t panel, std::size_t k0, std::size_t depth, T* out) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    const std::size_t inputs = smaller(P, g.n_in - panel * P);
    const bool far = is_far<T>(g.n_in, g.n_out);
    for (std::size_t k = 0; k < depth; k += L) {
        const T* w = g.weight.data + (k0 + k) / P * g.weight.stride + panel * P * P + k % P;
        for (std::size_t c = 0; c < P; c += L) {
            if (far) fetch(L, w + g.weight.stride + c * P, P);  // the next panel of W
            Vec<T> square[L];
#pragma GCC unroll 16
            for (std::size_t i = 0; i < L; ++i) square[i] = c + i < inputs ? load(w + (c + i) * P) : Vec<T>{};
            transpose<T>(square);
#pragma GCC unroll 16
            for (std::size_t i = 0; i < L; ++i) store<T>(out + (k + i) * P + c, square[i]);
        }
    }
}

// dx of one row for L inputs, of which the first `count` exist: a dot product for each, side by side.
template <class T, bool kAll>
void input_gradient_lanes(const InputGradientArgs<T>& g, const T* dy, const T* w, std::size_t count, T* dx) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    if (g.n_out == 1) {  // every network with one output has it last
        Vec<T> column{};
#pragma GCC unroll 16
        for (std::size_t i = 0; i < L; ++i) column[i] = kAll || i < count ? w[i * P] : T(0);
        store<T>(dx, dy[0] * column);
        return;
    }
    Vec<T> sums[L] = {};
    for (std::size_t k = 0; k < g.n_out; k += L) {
        const Vec<T> read = load(dy + k / P * g.dy.stride + k % P);
        const Vec<T> slopes = g.n_out - k < L ? select<T>(first_lanes<T>(g.n_out - k), read, Vec<T>{}) : read;
        const T* numbers = w + k / P * g.weight.stride + k % P;
#pragma GCC unroll 16
        for (std::size_t i = 0; i < L; ++i) {
            if (kAll || i < count) sums[i] += slopes * load(numbers + i * P);
        }
    }
    transpose<T>(sums);
#pragma GCC unroll 4
    for (std::size_t half = L / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
        for (std::size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
    }
    store<T>(dx, sums[0]);
}

// dx of one row for one panel of inputs. A batch of one or two rows has it this way, whoever computes it, so that the bits
// are the same however rows are shared out.
template <class T>
void input_gradient_row(const InputGradientArgs<T>& g, std::size_t row, std::size_t panel) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    const std::size_t inputs = smaller(P, g.n_in - panel * P);
    const T* dy = g.dy.data + row * P;
    for (std::size_t c = 0; c < inputs; c += L) {
        const T* w = g.weight.data + (panel * P + c) * P;
        T* dx = g.dx.data + panel * g.dx.stride + row * P + c;
        if (inputs - c >= L) {
            input_gradient_lanes<T, true>(g, dy, w, L, dx);
        } else {
            input_gradient_lanes<T, false>(g, dy, w, inputs - c, dx);
        }
    }
}

template <class T>
void input_gradient(const InputGradientArgs<T>* args, const Block* part, std::size_t batch, T* scratch) {
    constexpr std::size_t P = kPanel<T>;
    const InputGradientArgs<T>& g = *args;
    const auto slope_tile = slope_rows<T>(g.activation);
    const auto finish = [&](std::size_t p, std::size_t vectors, std::size_t row, std::size_t rows) {
        if (g.activation == Activation::identity) return;
        const std::size_t at = row * P;
        slope_tile(rows, vectors, g.dx.data + p * g.dx.stride + at, g.x.data ? g.x.data + p * g.x.stride + at : nullptr,
                   g.z.data ? g.z.data + p * g.z.stride + at : nullptr, g.alpha);
    };
    if (batch <= 2) {
        for (std::size_t p = part->panel0; p < part->panel1; ++p) {
            for (std::size_t row = part->row0; row < part->row1; ++row) input_gradient_row(g, row, p);
            finish(p, vectors_used<T>(g.n_in, p), part->row0, part->row1 - part->row0);
        }
        return;
    }
    for (std::size_t k = 0; k < g.n_out || k == 0; k += kDepth) {
        const std::size_t depth = smaller(kDepth, g.n_out - k);
        const bool last = k + depth == g.n_out;
        for (std::size_t group = part->panel0; group < part->panel1; group += kPackedPanels) {
            const std::size_t group_end = smaller(group + kPackedPanels, part->panel1);
            for (std::size_t p = group; p < group_end; ++p) {
                pack_transposed(g, p, k, depth, scratch + (p - group) * kDepth * P);
            }
            const TileArgs<T> t{0,     g.dy.data + k / P * g.dy.stride, g.dy.stride, scratch, kDepth * P, nullptr,
                                k > 0, g.dx.data + group * g.dx.stride, g.dx.stride};
            multiply<T>({part->row0, part->row1, 0, group_end - group}, g.n_in - group * P, depth, t,
                        [&](std::size_t panel, std::size_t vectors, std::size_t row, std::size_t rows) {
                            if (last) finish(group + panel, vectors, row, rows);
                        });
        }
    }
}

// The sums of dy's columns in one panel, kChunk rows at a time so that the error grows with their number only.
template <class T>
void column_sums(std::size_t batch, const T* dy, T* sums) {
    for (std::size_t n = 0; n < kPanel<T>; n += kLanes<T>) {
        Vec<T> total{};
        for (std::size_t row = 0; row < batch; row += kChunk) {
            Vec<T> part{};
            for (std::size_t r = row; r < smaller(row + kChunk, batch); ++r) part += load(dy + r * kPanel<T> + n);
            total += part;
        }
        store<T>(sums + n, total);
    }
}

// w -= rate * x^T dy for `rows` inputs and one panel of outputs, of which N vectors are in use, by a batch of B rows.
template <class T, std::size_t N, std::size_t B>
void subtract_outer(std::size_t rows, T* w, const T* x, const T* dy, T rate) {
    Vec<T> step[B][N];
    for (std::size_t b = 0; b < B; ++b) {
        for (std::size_t n = 0; n < N; ++n) step[b][n] = rate * load(dy + b * kPanel<T> + n * kLanes<T>);
    }
    for (std::size_t r = 0; r < rows; ++r, w += kPanel<T>) {
        for (std::size_t n = 0; n < N; ++n) {
            Vec<T> v = load(w + n * kLanes<T>);
            for (std::size_t b = 0; b < B; ++b) v -= x[b * kPanel<T> + r] * step[b][n];
            store<T>(w + n * kLanes<T>, v);
        }
    }
}

constexpr std::size_t kOuterRows = 4;  // more steps than these do not fit the registers

template <class T>
using SubtractOuter = void (*)(std::size_t, T*, const T*, const T*, T);

// kOf[batch - 1][vectors - 1]
template <class T>
struct Subtractions {
    static constexpr SubtractOuter<T> kOf[kOuterRows][kTileVectors] = {{subtract_outer<T, 1, 1>, subtract_outer<T, 2, 1>},
                                                                       {subtract_outer<T, 1, 2>, subtract_outer<T, 2, 2>},
                                                                       {subtract_outer<T, 1, 3>, subtract_outer<T, 2, 3>},
                                                                       {subtract_outer<T, 1, 4>, subtract_outer<T, 2, 4>}};
};

template <class T>
bool is_plain(const Update<T>& u, Slots<T> slots) {
    return u.rule == Rule::sgd && !slots.slot1 && u.clip_value == 0 && u.weight_decay == 0 && u.shrink == 1;
}

// The update by a batch so small that no memory needs to hold its gradient, a sum of outer products.
template <class T>
void update_by_rows(const WeightGradientArgs<T>& g, const Block& part, std::size_t batch, bool plain,
                    const Update<T>& weight_update, const Update<T>& bias_update) {
    constexpr std::size_t P = kPanel<T>;
    const auto update = plain ? nullptr : update_rows<T, OuterProduct<T>>(weight_update, g.weight_slots);
    const auto apply = [&](std::size_t rows, std::size_t vectors, T* w, const T* x, const T* dy, Slots<T> slots,
                           const Update<T>& u) {
        if (plain) {
            Subtractions<T>::kOf[batch - 1][vectors - 1](rows, w, x, dy, u.lr * u.scale);
        } else {
            update(rows, vectors, w, {x, dy}, slots, u);
        }
    };
    T ones[kOuterRows * P];
    for (std::size_t b = 0; b < batch; ++b) ones[b * P] = T(1);
    const std::size_t stretch = g.x.stride == P ? part.row1 - part.row0 : P;  // inputs that lie side by side
    for (std::size_t p = part.panel0; p < part.panel1; ++p) {
        const std::size_t vectors = vectors_used<T>(g.n_out, p);
        const T* dy = g.dy.data + p * g.dy.stride;
        for (std::size_t in = part.row0; in < part.row1; in += stretch) {
            const std::size_t w = p * g.weight.stride + in * P;
            apply(smaller(stretch, part.row1 - in), vectors, g.weight.data + w, g.x.data + in / P * g.x.stride, dy,
                  slots_at(g.weight_slots, w), weight_update);
        }
        if (part.row0 > 0 || !g.bias) continue;
        apply(1, vectors, g.bias + p * P, ones, dy, slots_at(g.bias_slots, p * P), bias_update);
    }
}

// dW = x^T dy. A block of inputs meets one panel of dy at a time, kChunk rows of the batch after kChunk rows: the sums
// never leave L1 before the optimiser has used them.
template <class T>
void weight_gradient(const WeightGradientArgs<T>* args, const Block* part, std::size_t batch, const Update<T>* weight_update,
                     const Update<T>* bias_update) {
    constexpr std::size_t P = kPanel<T>;
    constexpr std::size_t kInputs = 4 * P;   // a block's part of x, kChunk rows deep, fits L2
    constexpr std::size_t kSmall = 1 << 18;  // bytes of x that stay in L2
    const WeightGradientArgs<T>& g = *args;
    const bool plain = weight_update && is_plain(*weight_update, g.weight_slots) && is_plain(*bias_update, g.bias_slots);
    if (weight_update && batch > 0 && batch <= (plain ? kOuterRows : 1)) {
        update_by_rows(g, *part, batch, plain, *weight_update, *bias_update);
        return;
    }
    const auto update_tile = weight_update ? update_rows<T>(*weight_update, g.weight_slots) : nullptr;
    const std::size_t in_blocks = (part->row1 - part->row0 + kInputs - 1) / kInputs, panels = part->panel1 - part->panel0;
    // What an update changes is asked for one tile ahead.
    const bool far = weight_update && is_far<T>(part->row1 - part->row0, g.n_out);
    const T* const changed[] = {g.weight.data, g.weight_slots.slot1, g.weight_slots.slot2};
    // Where all of x stays close, W and its slots are walked panel by panel from end to end, as memory likes it.
    const bool down = batch * (part->row1 - part->row0) * sizeof(T) <= kSmall;
    for (std::size_t block = 0; block < in_blocks * panels; ++block) {
        const std::size_t in = part->row0 + (down ? block % in_blocks : block / panels) * kInputs;
        const std::size_t p = part->panel0 + (down ? block / in_blocks : block % panels);
        const std::size_t inputs = smaller(kInputs, part->row1 - in);
        const std::size_t vectors = vectors_used<T>(g.n_out, p);
        const std::size_t at = p * g.weight.stride + in * P;
        T tiles[kInputs * P];
        T* sums = weight_update ? tiles : g.gradient.data + p * g.gradient.stride + in * P;
        TileArgs<T> t{0, nullptr, 0, nullptr, 0, nullptr, false, nullptr, 0};
        if (plain) t.rate = weight_update->lr * weight_update->scale;
        for (std::size_t row = 0; row < batch || row == 0; row += kChunk) {
            t.depth = smaller(kChunk, batch - row);
            t.b = g.dy.data + p * g.dy.stride + row * P;
            t.more = row > 0;
            const bool last = row + t.depth == batch;
            for (std::size_t i = 0; i < inputs; i += P) {
                const T* x = g.x.data + (in + i) / P * g.x.stride + row * P;
                each_tile(0, smaller(P, inputs - i), [&](std::size_t r, std::size_t count) {
                    t.a = x + r;
                    t.c = sums + (i + r) * P;
                    const std::size_t w = at + (i + r) * P;
                    if (last && plain) t.w = g.weight.data + w;
                    if (last && far) {
                        for (const T* next : changed) {
                            if (next) fetch(count * P / kLine<T>, next + w + count * P);
                        }
                    }
                    Tiles<T, true>::kOf[vectors - 1][count - 1](t);
                    if (!last || !weight_update || plain) return;
                    update_tile(count, vectors, g.weight.data + w, {t.c}, slots_at(g.weight_slots, w), *weight_update);
                });
            }
        }
    }
    if (part->row0 > 0 || !g.bias) return;
    for (std::size_t p = part->panel0; p < part->panel1; ++p) {
        T block[P];
        T* sums = weight_update ? block : g.bias_gradient + p * P;
        column_sums(batch, g.dy.data + p * g.dy.stride, sums);
        if (weight_update) update_tile(1, kTileVectors, g.bias + p * P, {sums}, slots_at(g.bias_slots, p * P), *bias_update);
    }
}

}  // namespace
}  // namespace steepest
