#include "top_k.hpp"

#include <algorithm>
#include <functional>

namespace steepest {
namespace {

constexpr std::size_t kFew = 64;  // so many are told apart by comparisons

}  // namespace

BucketPlace find_bucket(const std::uint32_t* counts, std::size_t k) {
    std::size_t bucket = kBuckets - 1;
    for (; bucket > 0 && k > counts[bucket]; --bucket) k -= counts[bucket];
    return {bucket, k};
}

template <class T>
KthLargest<T> find_kth_largest(T* values, std::size_t n, std::size_t k) {
    std::size_t above = 0;
    for (std::size_t bits = 8 * sizeof(T) - 1 - kBucketBits; n > kFew && bits > 0;) {
        const std::size_t shift = bits - std::min(bits, kBucketBits);
        std::uint32_t counts[kBuckets] = {};
        const auto bucket_of = [&](T value) { return static_cast<std::size_t>(key_of(value) >> shift) % kBuckets; };
        // the last pass may see bits of the one before, which are the same in all
        for (std::size_t i = 0; i < n; ++i) ++counts[bucket_of(values[i])];
        const BucketPlace found = find_bucket(counts, k);
        above += k - found.place;
        k = found.place;
        n = static_cast<std::size_t>(std::partition(values, values + n, [&](T v) { return bucket_of(v) == found.bucket; }) -
                                     values);
        bits = shift;
    }
    const auto larger = [](T a, T b) { return key_of(a) > key_of(b); };
    std::nth_element(values, values + (k - 1), values + n, larger);
    const T least = values[k - 1];
    above += static_cast<std::size_t>(std::count_if(values, values + n, [&](T v) { return larger(v, least); }));
    const auto same = std::count_if(values, values + n, [&](T v) { return key_of(v) == key_of(least); });
    return {least, above, static_cast<std::size_t>(same)};
}

template KthLargest<float> find_kth_largest<float>(float*, std::size_t, std::size_t);
template KthLargest<double> find_kth_largest<double>(double*, std::size_t, std::size_t);

}  // namespace steepest
