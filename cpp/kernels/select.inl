// The largest gradients alone: what finds them, and the update that moves nothing else (see kernels.hpp for keys).

namespace steepest {
namespace {

template <class T>
constexpr int kBucketShift = int(8 * sizeof(T)) - 1 - int(kBucketBits);

template <class T>
inline IntVec<T> keys_of(Vec<T> v) {
    return float_to_bits<T>(absolute<T>(v));
}

template <class T>
inline void store_buckets(Vec<T> g, typename VecTypes<T>::Bits* buckets) {
    const IntVec<T> found = keys_of<T>(g) >> kBucketShift<T>;
    __builtin_memcpy(buckets, &found, sizeof found);
}

template <class T>
void count_buckets(std::size_t n, const T* g, std::uint32_t* counts) {
    static_assert(kCountCopies == 4, "lane & 3 below");
    typename VecTypes<T>::Bits buckets[kLanes<T>];
    for (std::size_t i = 0; i < n; i += kLanes<T>) {
        store_buckets<T>(load(g + i), buckets);
#pragma GCC unroll 16
        for (std::size_t l = 0; l < kLanes<T>; ++l) ++counts[std::size_t(buckets[l]) * kCountCopies + (l & 3)];
    }
}

template <class T>
std::size_t collect_bucket(std::size_t n, const T* g, std::size_t bucket, T* to) {
    typename VecTypes<T>::Bits buckets[kLanes<T>];
    T values[kLanes<T>];
    std::size_t count = 0;
    for (std::size_t i = 0; i < n; i += kLanes<T>) {
        const Vec<T> value = absolute<T>(load(g + i));
        store_buckets<T>(value, buckets);
        store<T>(values, value);
        for (std::size_t l = 0; l < kLanes<T>; ++l) {
            if (std::size_t(buckets[l]) == bucket) to[count++] = values[l];
        }
    }
    return count;
}

template <class T, class Optimizer, bool kClips>
void update_selected_with(const SelectedArgs<T>& a) {
    const Update<T> u = *a.update;
    const Vec<T> bound = splat<T>(u.clip_value);
    const IntVec<T> least = keys_of<T>(splat<T>(a.least));
    for (std::size_t i = 0; i < a.n; i += kLanes<T>) {
        const Vec<T> g = load(a.g + i), w = load(a.w + i);
        const std::size_t ties = a.ties > i ? smaller(a.ties - i, kLanes<T>) : 0;
        const IntVec<T> moves = keys_of<T>(g) > least + first_lanes<T>(ties);  // a lane that is true is -1
        Vec<T> gradient = g * u.scale;
        if (kClips) gradient = select<T>(gradient > bound, bound, select<T>(gradient < -bound, -bound, gradient));
        gradient += u.weight_decay * w;
        const Vec<T> before = a.slot1 ? load(a.slot1 + i) : Vec<T>{};
        const Vec<T> moved = u.shrink * w - u.lr * Optimizer::direction(gradient, i, {a.slot1, nullptr}, u);
        store<T>(a.w + i, select<T>(moves, moved, w));
        if (a.slot1) store<T>(a.slot1 + i, select<T>(moves, load(a.slot1 + i), before));
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
