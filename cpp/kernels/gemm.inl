// The three products of a dense layer, all by one register tile.
//
// B always comes in panels; A is read one number at a time and broadcast. With A in panels too, the numbers of a tile
// lie a constant distance apart in both directions that are needed: down a column of A for x W and dy W^T, along a row
// of A for x^T dy. So nothing is packed but W^T, a block at a time.

namespace steepest {
namespace {

// Block sizes: kDepth numbers of the sum at a time keep a panel of B in L1; kBlockRows rows of A beside them in L2.
constexpr std::size_t kDepth = 256;
constexpr std::size_t kBlockRows = 8 * kTileRows;
// Panels of W^T that are packed at a time.
constexpr std::size_t kPackedPanels = 8;

template <class T>
constexpr std::size_t kScratch = kDepth * kPanel<T> * kPackedPanels;

template <class T, std::size_t R, std::size_t N>
using Tile = Vec<T>[R][N];

// acc[r][n] += A[r, k] * B[k, n] for `depth` values of k. Down: A[r, k] at a[r * panel + k]. Across: at a[k * panel + r].
template <class T, std::size_t R, std::size_t N, bool kAcross>
inline void accumulate(std::size_t depth, const T* a, const T* b, Tile<T, R, N>& acc) {
    for (std::size_t k = 0; k < depth; ++k, b += kPanel<T>) {
        Vec<T> bv[N];
#pragma GCC unroll 4
        for (std::size_t n = 0; n < N; ++n) bv[n] = load(b + n * kLanes<T>);
#pragma GCC unroll 16
        for (std::size_t r = 0; r < R; ++r) {
            const T ar = kAcross ? a[k * kPanel<T> + r] : a[r * kPanel<T> + k];
#pragma GCC unroll 4
            for (std::size_t n = 0; n < N; ++n) acc[r][n] += ar * bv[n];
        }
    }
}

// One register tile: c (R rows of a panel) = start + A B over `depth` numbers from A, whose panels are a_stride apart.
// It starts from `bias`, which every row shares, from what c holds (more), or from zero.
template <class T, std::size_t R, std::size_t N, bool kAcross>
void tile(std::size_t depth, const T* a, std::size_t a_stride, const T* b, const T* bias, bool more, T* c) {
    Tile<T, R, N> acc;
#pragma GCC unroll 16
    for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (std::size_t n = 0; n < N; ++n) {
            acc[r][n] = more ? load(c + r * kPanel<T> + n * kLanes<T>) : bias ? load(bias + n * kLanes<T>) : Vec<T>{};
        }
    }
    if (kAcross) {
        accumulate<T, R, N, true>(depth, a, b, acc);
    } else {
        std::size_t left = depth;
        for (; left > kPanel<T>; left -= kPanel<T>, a += a_stride, b += kPanel<T> * kPanel<T>) {
            accumulate<T, R, N, false>(kPanel<T>, a, b, acc);
        }
        accumulate<T, R, N, false>(left, a, b, acc);
    }
#pragma GCC unroll 16
    for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (std::size_t n = 0; n < N; ++n) store<T>(c + r * kPanel<T> + n * kLanes<T>, acc[r][n]);
    }
}

template <class T>
using TileFunction = void (*)(std::size_t depth, const T* a, std::size_t a_stride, const T* b, const T* bias, bool more, T* c);

// tiles[vectors - 1][rows - 1]
template <class T, bool kAcross>
struct Tiles {
    static_assert(kTileRows == 6 || kTileRows == 14, "one line below for each number of rows");
#define STEEPEST_TILES(N, R) tile<T, R, N, kAcross>, tile<T, R + 1, N, kAcross>
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

// f(first, count) for tiles of nearly equal height: 32 rows by 14 become 11, 11, 10 and not 14, 14, 4, for a small tile
// has too few accumulators to hide the latency of its multiply-adds.
template <class F>
inline void each_tile(std::size_t row0, std::size_t row1, F f) {
    if (row0 >= row1) return;
    const std::size_t rows = row1 - row0, tiles = (rows + kTileRows - 1) / kTileRows;
    const std::size_t height = rows / tiles, taller = rows % tiles;
    for (std::size_t t = 0; t < tiles; ++t) {
        const std::size_t count = height + (t < taller ? 1 : 0);
        f(row0, count);
        row0 += count;
    }
}

inline std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

// y = x W + b and the activation, for a block of rows and panels. The sum runs in blocks of kDepth, for which y holds
// the partial sums; after the last one the activation is applied to each tile while it is hot.
template <class T>
void forward(const ForwardArgs<T>* args) {
    const ForwardArgs<T>& f = *args;
    const auto activate_tile = activate_rows<T>(f.activation);
    const bool plain = f.activation == Activation::identity && !f.z.data;
    for (std::size_t k = 0; k < f.n_in || k == 0; k += kDepth) {
        const std::size_t depth = smaller(kDepth, f.n_in - k);
        const bool last = k + depth == f.n_in;
        const T* x = f.x.data + k / kPanel<T> * f.x.stride;
        for (std::size_t row = f.row0; row < f.row1; row += kBlockRows) {
            for (std::size_t p = f.panel0; p < f.panel1; ++p) {
                const std::size_t vectors = vectors_used<T>(f.n_out, p);
                const T* w = f.weight.data + p * f.weight.stride + k * kPanel<T>;
                const T* bias = f.bias ? f.bias + p * kPanel<T> : nullptr;
                T* y = f.y.data + p * f.y.stride;
                T* z = f.z.data ? f.z.data + p * f.z.stride : nullptr;
                each_tile(row, smaller(row + kBlockRows, f.row1), [&](std::size_t r, std::size_t count) {
                    const std::size_t at = r * kPanel<T>;
                    Tiles<T, false>::kOf[vectors - 1][count - 1](depth, x + at, f.x.stride, w, bias, k > 0, y + at);
                    if (last && !plain) activate_tile(count, vectors, y + at, y + at, z ? z + at : nullptr, f.alpha);
                });
            }
        }
    }
}

// out[k][c] = W[input, output] for the block of outputs [k0, k0 + depth) and one panel of inputs: a panel of W^T.
template <class T>
void pack_transposed(const InputGradientArgs<T>& g, std::size_t panel, std::size_t k0, std::size_t depth, T* out) {
    constexpr std::size_t P = kPanel<T>;
    const std::size_t inputs = smaller(P, g.n_in - panel * P);
    for (std::size_t k = 0; k < depth; k += P) {
        const T* w = g.weight.data + (k0 + k) / P * g.weight.stride + panel * P * P;
        const std::size_t outputs = smaller(P, depth - k);
        for (std::size_t c = 0; c < inputs; ++c) {
            for (std::size_t o = 0; o < outputs; ++o) out[(k + o) * P + c] = w[c * P + o];
        }
        for (std::size_t o = 0; o < outputs; ++o) {
            for (std::size_t c = inputs; c < P; ++c) out[(k + o) * P + c] = T(0);
        }
    }
}

template <class T>
void input_gradient(const InputGradientArgs<T>* args) {
    const InputGradientArgs<T>& g = *args;
    const auto slope_tile = slope_rows<T>(g.activation);
    const bool plain = g.activation == Activation::identity;
    for (std::size_t k = 0; k < g.n_out || k == 0; k += kDepth) {
        const std::size_t depth = smaller(kDepth, g.n_out - k);
        const bool last = k + depth == g.n_out;
        const T* dy = g.dy.data + k / kPanel<T> * g.dy.stride;
        for (std::size_t group = g.panel0; group < g.panel1; group += kPackedPanels) {
            const std::size_t group_end = smaller(group + kPackedPanels, g.panel1);
            for (std::size_t p = group; p < group_end; ++p) {
                pack_transposed(g, p, k, depth, g.scratch + (p - group) * kDepth * kPanel<T>);
            }
            for (std::size_t row = g.row0; row < g.row1; row += kBlockRows) {
                for (std::size_t p = group; p < group_end; ++p) {
                    const std::size_t vectors = vectors_used<T>(g.n_in, p);
                    const T* w = g.scratch + (p - group) * kDepth * kPanel<T>;
                    T* dx = g.dx.data + p * g.dx.stride;
                    each_tile(row, smaller(row + kBlockRows, g.row1), [&](std::size_t r, std::size_t count) {
                        const std::size_t at = r * kPanel<T>;
                        Tiles<T, false>::kOf[vectors - 1][count - 1](depth, dy + at, g.dy.stride, w, nullptr, k > 0, dx + at);
                        if (last && !plain) {
                            slope_tile(count, vectors, dx + at, g.x.data ? g.x.data + p * g.x.stride + at : nullptr,
                                       g.z.data ? g.z.data + p * g.z.stride + at : nullptr, g.alpha);
                        }
                    });
                }
            }
        }
    }
}

// The sums of dy's columns in one panel, kDepth rows at a time so that the error grows with their number only.
template <class T>
void column_sums(std::size_t batch, const T* dy, T* sums) {
    for (std::size_t n = 0; n < kPanel<T>; n += kLanes<T>) {
        Vec<T> total{};
        for (std::size_t row = 0; row < batch; row += kDepth) {
            Vec<T> part{};
            for (std::size_t r = row; r < smaller(row + kDepth, batch); ++r) part += load(dy + r * kPanel<T> + n);
            total += part;
        }
        store<T>(sums + n, total);
    }
}

template <class T>
Slots<T> slots_at(Slots<T> s, std::size_t at) {
    return {s.slot1 ? s.slot1 + at : nullptr, s.slot2 ? s.slot2 + at : nullptr};
}

// dW = x^T dy. A block of inputs meets one panel of dy at a time, kDepth rows of the batch after kDepth rows: the sums
// never leave L1 before the optimiser has used them.
template <class T>
void weight_gradient(const WeightGradientArgs<T>* args) {
    constexpr std::size_t P = kPanel<T>;
    constexpr std::size_t kInputs = 4 * P;  // a block's part of x, kDepth rows deep, fits L2
    const WeightGradientArgs<T>& g = *args;
    const auto update_tile = g.update ? update_rows<T>(g.update->rule) : nullptr;

    for (std::size_t in = g.in0; in < g.in1; in += kInputs) {
        const std::size_t inputs = smaller(kInputs, g.in1 - in);
        for (std::size_t p = g.panel0; p < g.panel1; ++p) {
            const std::size_t vectors = vectors_used<T>(g.n_out, p);
            const T* dy = g.dy.data + p * g.dy.stride;
            const std::size_t at = p * g.weight.stride + in * P;
            T block[kInputs * P];
            T* sums = g.update ? block : g.gradient.data + p * g.gradient.stride + in * P;
            for (std::size_t row = 0; row < g.batch || row == 0; row += kDepth) {
                const std::size_t depth = smaller(kDepth, g.batch - row);
                const bool last = row + depth == g.batch;
                for (std::size_t i = 0; i < inputs; i += P) {
                    const T* x = g.x.data + (in + i) / P * g.x.stride + row * P;
                    each_tile(0, smaller(P, inputs - i), [&](std::size_t r, std::size_t count) {
                        T* c = sums + (i + r) * P;
                        Tiles<T, true>::kOf[vectors - 1][count - 1](depth, x + r, P, dy + row * P, nullptr, row > 0, c);
                        if (last && g.update) {
                            const std::size_t w = at + (i + r) * P;
                            update_tile(count, vectors, g.weight.data + w, c, slots_at(g.weight_slots, w), *g.update);
                        }
                    });
                }
            }
        }
    }
    if (g.in0 > 0 || !g.bias) return;
    for (std::size_t p = g.panel0; p < g.panel1; ++p) {
        T block[P];
        T* sums = g.update ? block : g.bias_gradient + p * P;
        column_sums(g.batch, g.dy.data + p * g.dy.stride, sums);
        if (g.update) update_tile(1, kTileVectors, g.bias + p * P, sums, slots_at(g.bias_slots, p * P), *g.bias_update);
    }
}

}  // namespace
}  // namespace steepest
