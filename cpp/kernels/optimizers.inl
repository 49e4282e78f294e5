// Optimizer updates: one vector at a time, applied to whole parameters or to a tile of their gradient that is still hot.
#pragma once

#include "kernels.hpp"
#include "panel.inl"
#include "vec.inl"

namespace steepest {
namespace {

// The optimizers, as PyTorch defines them: w <- w - lr * direction, where direction(g, i, slots, update) is that of the vector
// of elements from i on, and moves their slots.
template <class T>
struct Sgd {
    static Vec<T> direction(Vec<T> g, std::size_t, Slots<T>, const Update<T>&) { return g; }
};

template <class T>
struct Momentum {
    static Vec<T> direction(Vec<T> g, std::size_t i, Slots<T> s, const Update<T>& u) {
        const Vec<T> v = u.momentum * load(s.slot1 + i) + g;
        store<T>(s.slot1 + i, v);
        return u.nesterov ? g + u.momentum * v : v;
    }
};

template <class T>
struct Adam {
    static Vec<T> direction(Vec<T> g, std::size_t i, Slots<T> s, const Update<T>& u) {
        const Vec<T> m = u.beta1 * load(s.slot1 + i) + (T(1) - u.beta1) * g;
        const Vec<T> v = u.beta2 * load(s.slot2 + i) + (T(1) - u.beta2) * (g * g);
        store<T>(s.slot1 + i, m);
        store<T>(s.slot2 + i, v);
        return m / (root<T>(v) * u.root_scale + u.eps);
    }
};

template <class T>
struct RmsProp {
    static Vec<T> direction(Vec<T> g, std::size_t i, Slots<T> s, const Update<T>& u) {
        const Vec<T> v = u.beta2 * load(s.slot1 + i) + (T(1) - u.beta2) * (g * g);
        store<T>(s.slot1 + i, v);
        const Vec<T> d = g / (root<T>(v) + u.eps);
        if (!s.slot2) return d;
        const Vec<T> buffer = u.momentum * load(s.slot2 + i) + d;
        store<T>(s.slot2 + i, buffer);
        return buffer;
    }
};

// Where the gradient of an element comes from: memory laid out like the parameter, or for a batch of one row the product
// of its input and the gradient of its output. Called with the row, the first column n in the panel and the place
// i = row * panel + n.
template <class T>
struct Stored {
    const T* g;
    Vec<T> operator()(std::size_t, std::size_t, std::size_t i) const { return load(g + i); }
};

template <class T>
struct OuterProduct {
    const T *x, *dy;
    Vec<T> operator()(std::size_t row, std::size_t n, std::size_t) const { return x[row] * load(dy + n); }
};

// The gradient as the rule sees it (see Update): scaled, clipped to +-bound, decayed.
template <class T, bool kClips>
inline Vec<T> regularize(Vec<T> g, Vec<T> w, Vec<T> bound, const Update<T>& u) {
    g *= u.scale;
    if (kClips) g = select<T>(g > bound, bound, select<T>(g < -bound, -bound, g));
    return g + u.weight_decay * w;
}

// Updates `rows` rows of a panel, of which N vectors are in use. Everything in u is a loop invariant, and what would be
// a branch for each vector is a template's argument: for a small network the update is most of a step.
template <class T, class Source, class Optimizer, bool kClips, std::size_t N>
void update_panel(std::size_t rows, T* w, Source source, Slots<T> s, const Update<T>& update) {
    const Update<T> u = update;
    const Vec<T> bound = splat<T>(u.clip_value);
    for (std::size_t r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (std::size_t n = 0; n < N; ++n) {
            const std::size_t i = r * kPanel<T> + n * kLanes<T>;
            const Vec<T> weight = load(w + i);
            const Vec<T> gradient = regularize<T, kClips>(source(r, n * kLanes<T>, i), weight, bound, u);
            store<T>(w + i, u.shrink * weight - u.lr * Optimizer::direction(gradient, i, s, u));
        }
    }
}

template <class T, class Source = Stored<T>>
using UpdateRows = void (*)(std::size_t rows, std::size_t vectors, T* w, Source source, Slots<T> s, const Update<T>& u);

// The function for one optimizer: which of four it is, is decided once for many rows.
template <class T, class Source, class Optimizer>
UpdateRows<T, Source> update_rows_with(bool clips) {
    static_assert(kPanelVectors == 2, "a panel has one vector in use, or two");
    if (clips) {
        return [](std::size_t rows, std::size_t vectors, T* w, Source source, Slots<T> s, const Update<T>& u) {
            (vectors == 1 ? update_panel<T, Source, Optimizer, true, 1>
                          : update_panel<T, Source, Optimizer, true, 2>)(rows, w, source, s, u);
        };
    }
    return [](std::size_t rows, std::size_t vectors, T* w, Source source, Slots<T> s, const Update<T>& u) {
        (vectors == 1 ? update_panel<T, Source, Optimizer, false, 1>
                      : update_panel<T, Source, Optimizer, false, 2>)(rows, w, source, s, u);
    };
}

// The update of rows that `u` asks for, where the parameter has these slots.
template <class T, class Source = Stored<T>>
UpdateRows<T, Source> update_rows(const Update<T>& u, Slots<T> slots) {
    const bool clips = u.clip_value > T(0);
    switch (u.rule) {
        case Rule::adam: return update_rows_with<T, Source, Adam<T>>(clips);
        case Rule::rmsprop: return update_rows_with<T, Source, RmsProp<T>>(clips);
        case Rule::sgd: break;
    }
    return slots.slot1 ? update_rows_with<T, Source, Momentum<T>>(clips) : update_rows_with<T, Source, Sgd<T>>(clips);
}

template <class T>
void update(std::size_t n, T* w, const T* g, Slots<T> s, const Update<T>* u) {
    const std::size_t rows = n / kPanel<T>, rest = rows * kPanel<T>;
    const auto apply = update_rows<T>(*u, s);
    apply(rows, kPanelVectors, w, {g}, s, *u);
    if (rest < n) apply(1, 1, w + rest, {g + rest}, slots_at(s, rest), *u);
}

// In double throughout, for the squares of large gradients overflow float.
template <class T>
double sum_squares(std::size_t n, const T* g) {
    double totals[kLanes<T>] = {};  // one for each lane, so that they can be summed side by side
    for (std::size_t i = 0; i < n; i += kLanes<T>) {
        for (std::size_t l = 0; l < kLanes<T>; ++l) totals[l] += double(g[i + l]) * double(g[i + l]);
    }
    double total = 0;
    for (const double part : totals) total += part;
    return total;
}

}  // namespace
}  // namespace steepest
