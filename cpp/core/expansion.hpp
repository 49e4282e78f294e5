// Encoded rows of a table, a few bytes a cell, to the features that they stand for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace steepest {

// What one column becomes, its features in this order.
struct Part {
    bool number = false;        // z of its scaled number: 0 where it is NaN
    std::vector<double> edges;  // of z: each pair of neighbors a < b becomes (z - a) / (b - a) within 0 ... 1
    bool indicator = false;     // whether z is NaN
    std::size_t slots = 0;      // features of which the one of its code is 1, none where that is no such place
    std::size_t ready = 0;      // features as they are
};

constexpr double kExpandWork = 4;  // floating-point operations that a feature takes

class Expansion {
public:
    // Throws std::invalid_argument where edges do not increase.
    explicit Expansion(std::vector<Part> parts);

    std::size_t n_numbers() const { return n_numbers_; }
    std::size_t n_codes() const { return n_codes_; }
    std::size_t n_ready() const { return n_ready_; }
    std::size_t n_features() const { return n_features_; }

    // numbers: (rows, n_numbers), codes: (rows, n_codes), ready: (rows, n_ready), out: (rows, n_features)
    void expand(const double* numbers, const std::int32_t* codes, const float* ready, std::size_t rows, float* out) const;

private:
    std::vector<Part> parts_;
    std::size_t n_numbers_ = 0, n_codes_ = 0, n_ready_ = 0, n_features_ = 0;
};

}  // namespace steepest
