// The three products of a dense layer, all by one register tile: y = x W + b, dx = dy W^T, dW = x^T dy.
#pragma once

#include "activations.inl"
#include "kernels.hpp"
#include "optimizers.inl"
#include "panel.inl"
#include "tile.inl"
#include "vec.inl"

namespace steepest {
namespace {

// Panels of W^T that are packed at a time, each kDepth numbers of the sum deep.
constexpr std::size_t kPackedPanels = 8;

template <class T>
constexpr std::size_t kScratch = kDepth * kPanel<T> * kPackedPanels;

// y = x W + b and the activation, for a part of y: the product of x (A) and W (B). Each tile is activated while it is hot.
template <class T>
void forward(const ForwardArgs<T>* args, const Block* part) {
    constexpr std::size_t P = kPanel<T>;
    const ForwardArgs<T>& f = *args;
    const auto activate_tile = activate_rows<T>(f.activation);
    const bool plain = f.activation == Activation::identity && !f.z.data;
    const auto finish = [&](std::size_t p, std::size_t vectors, std::size_t row, std::size_t rows) {
        if (plain) return;
        T* y = panel_row(f.y, p, row);
        activate_tile(rows, vectors, y, y, panel_row_or_null(f.z, p, row), f.alpha);
    };
    TileArgs<T> t;
    t.depth = f.n_in;
    t.a = f.x;
    t.b = f.weight;
    t.bias = f.bias;
    t.c = f.y;
    if (part->row1 - part->row0 != 1) {
        multiply(*part, f.n_out, t, finish);
        return;
    }
    // One row reads each panel of W once from end to end: no blocks, which are half of a small network's time.
    t.a.data = panel_row(f.x, 0, part->row0);
    for (std::size_t p = part->panel0, step = 1; p < part->panel1; p += step) {
        const std::size_t vectors = vectors_used<T>(f.n_out, p);
        const std::size_t whole = smaller(part->panel1, f.n_out / P);  // panels with all their columns end there
        const WideTile<T> wide = p < whole ? wide_tile<T>(1, whole - p) : WideTile<T>{1, Tiles<T>::kOf[vectors - 1][0]};
        t.b.data = panel_row(f.weight, p, 0);
        t.bias = f.bias ? f.bias + p * P : nullptr;
        t.c.data = panel_row(f.y, p, part->row0);
        wide.run(t);
        step = wide.panels;
        for (std::size_t m = 0; m < step; ++m) finish(p + m, vectors, part->row0, 1);
    }
}

// out (depth, panel) = W^T for the outputs [k0, k0 + depth), its rows, and one panel of inputs, its columns: squares of W, of
// as many inputs and outputs as a vector has lanes, are transposed in registers. What stands beyond n_in is zero; what stands
// beyond `depth`, up to the next square, is not read.
template <class T>
void pack_transposed(const InputGradientArgs<T>& g, std::size_t panel, std::size_t k0, std::size_t depth, T* out) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    const std::size_t inputs = smaller(P, g.n_in - panel * P);
    const bool far = is_far<T>(g.n_in, g.n_out);
    for (std::size_t k = 0; k < depth; k += L) {
        const T* w = panel_row(g.weight, (k0 + k) / P, panel * P) + k % P;  // the panel's first input; k0 begins a panel of W
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

// dx of one row for L inputs, of which the first `count` exist: a dot product of dy's row with each input's row of W, side by
// side. sums[i] holds input i's products, lane by lane; the transposed square is then summed down to one vector. dy points at
// the row's first output, w at the first input's.
template <class T, bool kAll>
void input_gradient_lanes(const InputGradientArgs<T>& g, const T* dy, const T* w, std::size_t count, T* dx) {
    constexpr std::size_t P = kPanel<T>, L = kLanes<T>;
    if (g.n_out == 1) {  // every network with one output has it last
        Vec<T> column{};
        if constexpr (kAll) {
            column = load_apart<T>(w, P, LaneIndices<T>{});
        } else {
            for (std::size_t i = 0; i < count; ++i) column[i] = w[i * P];
        }
        store<T>(dx, dy[0] * column);
        return;
    }
    Vec<T> sums[L] = {};
    for (std::size_t k = 0; k < g.n_out; k += L) {
        const Vec<T> read = load(dy + k / P * g.dy.stride + k % P);  // beyond n_out it is any finite number
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
    const T* dy = panel_row(g.dy, 0, row);
    for (std::size_t c = 0; c < inputs; c += L) {
        const T* w = panel_row(g.weight, 0, panel * P + c);
        T* dx = panel_row(g.dx, panel, row) + c;
        if (inputs - c >= L) {
            input_gradient_lanes<T, true>(g, dy, w, L, dx);
        } else {
            input_gradient_lanes<T, false>(g, dy, w, inputs - c, dx);
        }
    }
}

// dx = (dy W^T) * slope, for a part of dx: the product of dy (A) and W^T (B), of which `scratch` holds kPackedPanels panels at
// a time, kDepth numbers of the sum deep. While the sum goes on, dx holds what there is of it.
template <class T>
void input_gradient(const InputGradientArgs<T>* args, const Block* part, std::size_t batch, T* scratch) {
    constexpr std::size_t P = kPanel<T>;
    const InputGradientArgs<T>& g = *args;
    const auto slope_tile = slope_rows<T>(g.activation);
    const auto finish = [&](std::size_t p, std::size_t vectors, std::size_t row, std::size_t rows) {
        if (g.activation == Activation::identity) return;
        slope_tile(rows, vectors, panel_row(g.dx, p, row), panel_row_or_null(g.x, p, row), panel_row_or_null(g.z, p, row),
                   g.alpha);
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
            TileArgs<T> t;
            t.depth = depth;
            t.a = {panel_row(g.dy, k / P, 0), g.dy.stride};
            t.b = {scratch, kDepth * P};
            t.resumes = k > 0;
            t.c = {panel_row(g.dx, group, 0), g.dx.stride};
            multiply({part->row0, part->row1, 0, group_end - group}, g.n_in - group * P, t,
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

// w -= rate * x^T dy for a batch of B rows: w (rows, panel) for `rows` inputs and one panel of outputs, of which N vectors are
// in use; x (B, rows) and dy (B, panel), each row `panel` further on.
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
    static constexpr SubtractOuter<T> kOf[kOuterRows][kPanelVectors] = {{subtract_outer<T, 1, 1>, subtract_outer<T, 2, 1>},
                                                                        {subtract_outer<T, 1, 2>, subtract_outer<T, 2, 2>},
                                                                        {subtract_outer<T, 1, 3>, subtract_outer<T, 2, 3>},
                                                                        {subtract_outer<T, 1, 4>, subtract_outer<T, 2, 4>}};
};

template <class T>
bool is_plain(const Update<T>& u, Slots<T> slots) {
    return u.rule == Rule::sgd && !slots.slot1 && u.clip_value == 0 && u.weight_decay == 0 && u.shrink == 1;
}

// The update by a batch so small that no memory needs to hold its gradient, a sum of outer products: of one row, or for plain
// gradient descent of up to kOuterRows. The bias is a row of W whose input is always 1.
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
        const T* dy = panel_row(g.dy, p, 0);
        for (std::size_t in = part.row0; in < part.row1; in += stretch) {
            const std::size_t w = p * g.weight.stride + in * P;
            apply(smaller(stretch, part.row1 - in), vectors, g.weight.data + w, g.x.data + in / P * g.x.stride, dy,
                  slots_at(g.weight_slots, w), weight_update);
        }
        if (part.row0 > 0 || !g.bias) continue;
        apply(1, vectors, g.bias + p * P, ones, dy, slots_at(g.bias_slots, p * P), bias_update);
    }
}

// The gradient of b for panels of outputs [panel0, panel1), and its update.
template <class T>
void bias_gradient(const WeightGradientArgs<T>& g, const Block& part, std::size_t batch, UpdateRows<T> update_tile,
                   const Update<T>* update) {
    constexpr std::size_t P = kPanel<T>;
    for (std::size_t p = part.panel0; p < part.panel1; ++p) {
        T block[P];
        T* sums = update ? block : g.bias_gradient + p * P;
        column_sums(batch, panel_row(g.dy, p, 0), sums);
        if (update) update_tile(1, kPanelVectors, g.bias + p * P, {sums}, slots_at(g.bias_slots, p * P), *update);
    }
}

// dW = x^T dy and the update of W, or dW to `gradient`, for a part of W: the product of x^T (A) and dy (B).
//
// A block of W is kInputs inputs by one panel of outputs. It meets dy's panel kChunk rows of the batch after kChunk rows; its
// sums, kInputs x panel, never leave L1 before the optimizer has used them. Under plain gradient descent the tile that adds the
// last rows does not even store them: it takes the step from W itself.
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
    // What an update changes is fetched one tile ahead.
    const bool far = weight_update && is_far<T>(part->row1 - part->row0, g.n_out);
    const T* const changed[] = {g.weight.data, g.weight_slots.slot1, g.weight_slots.slot2};
    // Where all of x stays in L2 however often it is read, the blocks go down one panel of W after the other: W and its slots
    // are then contiguous streams. Else they go across the panels, so that each block's part of x is read from memory once.
    const bool down = batch * (part->row1 - part->row0) * sizeof(T) <= kSmall;
    for (std::size_t block = 0; block < in_blocks * panels; ++block) {
        const std::size_t in = part->row0 + (down ? block % in_blocks : block / panels) * kInputs;
        const std::size_t p = part->panel0 + (down ? block / in_blocks : block % panels);
        const std::size_t inputs = smaller(kInputs, part->row1 - in);
        const std::size_t vectors = vectors_used<T>(g.n_out, p);
        const std::size_t at = p * g.weight.stride + in * P;  // of the block in W and its slots
        T tiles[kInputs * P];
        T* sums = weight_update ? tiles : panel_row(g.gradient, p, in);  // (inputs, panel)
        TransposedTileArgs<T> t;
        if (plain) t.update.rate = weight_update->lr * weight_update->scale;
        for (std::size_t row = 0; row < batch || row == 0; row += kChunk) {
            t.depth = smaller(kChunk, batch - row);
            t.b = panel_row(g.dy, p, row);
            t.resumes = row > 0;
            const bool last = row + t.depth == batch;
            for (std::size_t i = 0; i < inputs; i += P) {  // a panel of x
                const T* x = panel_row(g.x, (in + i) / P, row);
                each_tile(0, smaller(P, inputs - i), [&](std::size_t r, std::size_t count) {
                    t.a = x + r;
                    t.c = sums + (i + r) * P;
                    const std::size_t w = at + (i + r) * P;  // of the tile in W and its slots
                    if (last && plain) t.update.w = g.weight.data + w;
                    if (last && far) {
                        for (const T* next : changed) {
                            if (next) fetch(count * P / kLine<T>, next + w + count * P);
                        }
                    }
                    TransposedTiles<T>::kOf[vectors - 1][count - 1](t);
                    if (!last || !weight_update || plain) return;
                    update_tile(count, vectors, g.weight.data + w, {t.c}, slots_at(g.weight_slots, w), *weight_update);
                });
            }
        }
    }
    if (part->row0 == 0 && g.bias) bias_gradient(g, *part, batch, update_tile, bias_update);
}

}  // namespace
}  // namespace steepest
