// The k-th largest of many numbers by absolute value, found exactly: one pass puts all into buckets by the first bits of
// their keys, a second takes out the bucket where the k-th is, and the next bits tell within that. The outcome is a value
// and a number of ties, so it does not depend on who counted what.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../kernels/kernels.hpp"

namespace steepest {

// A bucket of keys, and the place of the one that is sought from the largest in it, from 1.
struct BucketPlace {
    std::size_t bucket, place;
};

// Where the k-th largest (from 1) is, by the counts (kBuckets) of all; k is at most their sum.
BucketPlace find_bucket(const std::uint32_t* counts, std::size_t k);

template <class T>
using KeyOf = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

// The bits of |value|, which no mode of the processor reads as another number.
template <class T>
KeyOf<T> key_of(T value) {
    KeyOf<T> key;
    std::memcpy(&key, &value, sizeof key);
    return key & (~KeyOf<T>{0} >> 1);
}

template <class T>
struct KthLargest {
    T value;            // the k-th largest
    std::size_t above;  // how many of those given are larger
    std::size_t equal;  // how many are the same
};

// The k-th largest (from 1) of n numbers >= 0 that are in one bucket; they are left in disorder.
template <class T>
KthLargest<T> find_kth_largest(T* values, std::size_t n, std::size_t k);

}  // namespace steepest
