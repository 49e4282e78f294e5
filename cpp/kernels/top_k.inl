// The largest gradients alone: what finds them, and the update that moves nothing else (see kernels.hpp for keys).
#pragma once

#include "kernels.hpp"
#include "optimizers.inl"
#include "vec.inl"

namespace steepest {
namespace {

// How far a key is shifted to leave its bucket: the sign, which a key lacks, is the topmost bit.
template <class T>
constexpr int kBucketShift = int(8 * sizeof(T)) - 1 - int(kBucketBits);

template <class T>
inline IntVec<T> keys_of(Vec<T> v) {
    return float_to_bits<T>(absolute<T>(v));
}

template <class T>
void count_buckets(std::size_t n, const T* g, std::uint32_t* counts) {
    using Bits = typename VecTypes<T>::Bits;
    static_assert(kCountCopies == 4, "two bits of a place");
    IntVec<T> copy{};  // the lane's
    for (std::size_t l = 0; l < kLanes<T>; ++l) copy[l] = Bits(l % kCountCopies);
    Bits places[kLanes<T>];
    for (std::size_t i = 0; i < n; i += kLanes<T>) {
        // counts[bucket][copy]: the shift leaves the bucket times kCountCopies
        const IntVec<T> found = (keys_of<T>(load(g + i)) >> (kBucketShift<T> - 2) & ~Bits{3}) | copy;
        __builtin_memcpy(places, &found, sizeof found);
#pragma GCC unroll 16
        for (std::size_t l = 0; l < kLanes<T>; ++l) ++counts[std::size_t(places[l])];
    }
}

// Every number is written, and the next one takes its place unless it is of the bucket: there is no branch to mispredict.
template <class T>
std::size_t collect_bucket(std::size_t n, const T* g, std::size_t bucket, T* to) {
    using Bits = typename VecTypes<T>::Bits;
    constexpr std::size_t kHeld = 256;
    T held[kHeld + kLanes<T>], values[kLanes<T>];
    Bits found[kLanes<T>];
    std::size_t count = 0, total = 0;
    for (std::size_t i = 0; i < n; i += kLanes<T>) {
        const IntVec<T> keys = keys_of<T>(load(g + i)), same = keys >> kBucketShift<T> == Bits(bucket);
        __builtin_memcpy(values, &keys, sizeof keys);
        __builtin_memcpy(found, &same, sizeof same);
#pragma GCC unroll 16
        for (std::size_t l = 0; l < kLanes<T>; ++l) {
            held[count] = values[l];
            count += std::size_t(found[l] & 1);
        }
        if (count < kHeld && i + kLanes<T> < n) continue;
        __builtin_memcpy(to + total, held, count * sizeof(T));
        total += count;
        count = 0;
    }
    return total;
}

// A key above `bound` moves: least - 1 among the first `ties` elements, least after them. Where the last of these lies within a
// vector, its lanes' masks, which are -1, make the difference.
template <class T, class Optimizer, bool kClips>
void update_selected_with(const SelectedArgs<T>& a) {
    const Update<T> u = *a.update;
    const Vec<T> limit = splat<T>(u.clip_value);
    const IntVec<T> least = keys_of<T>(splat<T>(a.least));
    for (std::size_t i = 0; i < a.n; i += kLanes<T>) {
        const Vec<T> g = load(a.g + i), w = load(a.w + i);
        const IntVec<T> bound = i + kLanes<T> <= a.ties ? least - 1 : i >= a.ties ? least : least + first_lanes<T>(a.ties - i);
        const IntVec<T> moves = keys_of<T>(g) > bound;
        const Vec<T> gradient = regularize<T, kClips>(g, w, limit, u);
        const Vec<T> before = a.slot1 ? load(a.slot1 + i) : Vec<T>{};
        const Vec<T> moved = u.shrink * w - u.lr * Optimizer::direction(gradient, i, {a.slot1, nullptr}, u);
        if (a.slot1) store<T>(a.slot1 + i, select<T>(moves, load(a.slot1 + i), before));
        store<T>(a.w + i, select<T>(moves, moved, w));
    }
}

template <class T>
void update_selected(const SelectedArgs<T>* args) {
    const bool clips = args->update->clip_value > T(0);
    if (args->slot1) {
        (clips ? update_selected_with<T, Momentum<T>, true> : update_selected_with<T, Momentum<T>, false>)(*args);
    } else {
        (clips ? update_selected_with<T, Sgd<T>, true> : update_selected_with<T, Sgd<T>, false>)(*args);
    }
}

}  // namespace
}  // namespace steepest
