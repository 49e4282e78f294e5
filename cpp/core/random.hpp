// Counter-based random numbers: Philox4x32-10 (Salmon et al., 2011). The same key and counter give the same numbers,
// in whatever order and on however many threads they are drawn.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace steepest {

using Words = std::array<std::uint32_t, 4>;

Words philox(Words counter, std::uint64_t key);

// What a stream of numbers is for: the last word of its counters, apart from those of dropout's layers.
enum class Stream : std::uint32_t { shuffle = 0xFFFFFFFFu, weights = 0xFFFFFFFEu, mixup = 0xFFFFFFFDu };

// The numbers of one stream, one after the other.
class Random {
public:
    Random(std::uint64_t seed, Stream stream, std::uint32_t number);

    std::uint32_t bits();
    double uniform();                      // in (0, 1)
    double normal();                       // mean 0, standard deviation 1
    std::size_t below(std::size_t bound);  // in [0, bound)
    double beta(double alpha);             // of the Beta distribution with both parameters alpha > 0, in [0, 1]

private:
    double log_gamma(double shape);  // the logarithm of a number of the Gamma distribution

    std::uint64_t seed_;
    Words counter_, words_{};
    unsigned used_ = 4;
};

// A random order of 0 to n - 1 (Fisher and Yates).
void permute(std::vector<std::size_t>& order, std::size_t n, Random& random);

// The order in which an epoch visits n rows, keyed by seed and epoch.
void shuffle(std::vector<std::size_t>& order, std::size_t n, std::uint64_t seed, std::uint32_t epoch);

}  // namespace steepest
