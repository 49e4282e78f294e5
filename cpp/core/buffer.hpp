// Zeroed, aligned memory, and matrices in panels that own it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <type_traits>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "../kernels/kernels.hpp"
#include "memory.hpp"

namespace steepest {

template <class T>
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(std::size_t size) : size_(size) {
        if (size == 0) return;
        if (size > kChecked / sizeof(T)) check_memory(capped_product(size, sizeof(T)), "one array");
        const bool large = size * sizeof(T) >= kHugePage;
        const std::size_t alignment = large ? kHugePage : kCacheLineBytes;
        const std::size_t bytes = (size * sizeof(T) + alignment - 1) / alignment * alignment;
        data_.reset(static_cast<T*>(std::aligned_alloc(alignment, bytes)));
        if (!data_) throw OutOfMemory(std::to_string(bytes) + " bytes of memory were asked for, and refused");
#if defined(__linux__)
        if (large) madvise(data_.get(), bytes, MADV_HUGEPAGE);  // a page of 4 KiB each 1,024 numbers starves the TLB
#endif
        std::memset(static_cast<void*>(data_.get()), 0, bytes);
    }

    T* data() const { return data_.get(); }
    std::size_t size() const { return size_; }

private:
    static constexpr std::size_t kChecked = std::size_t{1} << 30;
    static constexpr std::size_t kHugePage = std::size_t{2} << 20;
    struct Free {
        void operator()(T* p) const { std::free(p); }
    };
    std::unique_ptr<T, Free> data_;
    std::size_t size_ = 0;
};

// The largest magnitude of its numbers, at least 0; not finite where one of them is not.
template <class T>
T largest_magnitude(const Buffer<T>& buffer) {
    using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    Bits largest = 0;  // magnitudes are in the order of their bits, those that are not finite above all others
    for (std::size_t i = 0; i < buffer.size(); ++i) {
        const T magnitude = std::fabs(buffer.data()[i]);
        Bits bits;
        std::memcpy(&bits, &magnitude, sizeof bits);
        largest = std::max(largest, bits);
    }
    T result;
    std::memcpy(&result, &largest, sizeof result);
    return result;
}

template <class T>
bool all_finite(const Buffer<T>& buffer) {
    return largest_magnitude(buffer) <= std::numeric_limits<T>::max();
}

// Panels an even number of cache lines apart would fall on the same cache sets: an odd number of rows avoids it.
inline std::size_t panel_stride(std::size_t rows, std::size_t panel) { return capped_product(rows | 1, panel); }

inline std::size_t panels_of(std::size_t columns, std::size_t panel) { return (columns + panel - 1) / panel; }

// A matrix in panels, with room for `rows` rows.
template <class T>
class PanelMatrix {
public:
    PanelMatrix() = default;
    PanelMatrix(std::size_t rows, std::size_t columns, std::size_t panel)
        : stride_(panel_stride(rows, panel)), buffer_(capped_product(panels_of(columns, panel), stride_)) {}

    Matrix<T> matrix() const { return {buffer_.data(), stride_}; }
    Matrix<const T> view() const { return {buffer_.data(), stride_}; }
    const Buffer<T>& buffer() const { return buffer_; }

private:
    std::size_t stride_ = 0;
    Buffer<T> buffer_;
};

}  // namespace steepest
