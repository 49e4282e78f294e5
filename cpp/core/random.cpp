#include "random.hpp"

#include <cmath>
#include <numeric>
#include <utility>

namespace steepest {

Words philox(Words c, std::uint64_t key) {
    auto key0 = static_cast<std::uint32_t>(key), key1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
        const std::uint64_t a = std::uint64_t{0xD2511F53u} * c[0], b = std::uint64_t{0xCD9E8D57u} * c[2];
        c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ key0, static_cast<std::uint32_t>(b),
             static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ key1, static_cast<std::uint32_t>(a)};
    }
    return c;
}

Random::Random(std::uint64_t seed, Stream stream, std::uint32_t number)
    : seed_(seed), counter_{0, 0, number, static_cast<std::uint32_t>(stream)} {}

std::uint32_t Random::bits() {
    if (used_ == 4) {
        words_ = philox(counter_, seed_);
        if (++counter_[0] == 0) ++counter_[1];
        used_ = 0;
    }
    return words_[used_++];
}

double Random::uniform() {
    const std::uint64_t high = bits() >> 6, low = bits() >> 6;  // 52 bits, and half a step away from 0 and 1
    return (static_cast<double>(high << 26 | low) + 0.5) * 0x1p-52;
}

// Box and Muller (1958).
double Random::normal() {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
}

// Lemire (2019): the high half of a product, drawn again where the low half would favor some numbers.
std::size_t Random::below(std::size_t bound) {
    if (bound <= 0xFFFFFFFFu) {
        const auto n = static_cast<std::uint32_t>(bound);
        std::uint64_t product = std::uint64_t{bits()} * n;
        if (static_cast<std::uint32_t>(product) < n) {
            const std::uint32_t floor = (0u - n) % n;
            while (static_cast<std::uint32_t>(product) < floor) product = std::uint64_t{bits()} * n;
        }
        return static_cast<std::size_t>(product >> 32);
    }
    const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    for (;;) {
        const std::uint64_t draw = std::uint64_t{bits()} << 32 | bits();
        if (draw < limit) return static_cast<std::size_t>(draw % bound);
    }
}

// Marsaglia and Tsang (2000), for shape + 1; then their factor U^(1/shape), as a sum, for it is tiny where shape is.
double Random::log_gamma(double shape) {
    const double d = shape + 1 - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
        const double x = normal(), root = 1 + c * x;
        if (root <= 0) continue;
        const double v = root * root * root;
        if (std::log(uniform()) < x * x / 2 + d - d * v + d * std::log(v)) return std::log(d * v) + std::log(uniform()) / shape;
    }
}

double Random::beta(double alpha) {
    const double a = log_gamma(alpha), b = log_gamma(alpha);
    if (!std::isfinite(a) && a == b) return uniform() < 0.5 ? 1 : 0;  // alpha is next to nothing: all is at one of the ends
    return 1 / (1 + std::exp(b - a));
}

void permute(std::vector<std::size_t>& order, std::size_t n, Random& random) {
    order.resize(n);
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
}

void shuffle(std::vector<std::size_t>& order, std::size_t n, std::uint64_t seed, std::uint32_t epoch) {
    Random random(seed, Stream::shuffle, epoch);
    permute(order, n, random);
}

}  // namespace steepest
