// How much memory there may be.
#pragma once

#include <cstddef>
#include <new>
#include <string>
#include <utility>

namespace steepest {

// No object of this package is larger: sums and products of a few such sizes are still far from an overflow of pointers.
constexpr std::size_t kMostBytes = std::size_t{1} << 62;

class OutOfMemory : public std::bad_alloc {
public:
    explicit OutOfMemory(std::string text) : text_(std::move(text)) {}
    const char* what() const noexcept override { return text_.c_str(); }

private:
    std::string text_;
};

// Bytes that the machine, or this process's group, may have at all.
std::size_t total_memory();

// Throws OutOfMemory where that is more than the machine, or this process's group, may have at all: to take it could end
// the process, or another one, instead of failing.
void check_memory(std::size_t bytes, const std::string& what);

// a * b, or kMostBytes where that is less.
inline std::size_t capped_product(std::size_t a, std::size_t b) {
    std::size_t product = 0;
    return __builtin_mul_overflow(a, b, &product) || product > kMostBytes ? kMostBytes : product;
}

}  // namespace steepest
