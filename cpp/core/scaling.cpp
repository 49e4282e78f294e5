#include "scaling.hpp"

#include <cmath>

namespace steepest {
namespace {

constexpr double kLargest = 1e150;  // its square is finite

// Comparisons that keep NaN as it is.
double limited(double q) { return q > kLargest ? kLargest : q < -kLargest ? -kLargest : q; }

}  // namespace

void limit_smoothly(const double* values, std::size_t rows, std::size_t columns, const double* mean, const double* scale,
                    double furthest, double* out) {
    for (std::size_t row = 0; row < rows; ++row) {
        const double* const from = values + row * columns;
        double* const to = out + row * columns;
        for (std::size_t i = 0; i < columns; ++i) {
            const double value = from[i];
            const double q = limited((value - mean[i]) / scale[i] / furthest);
            to[i] = furthest * (q / std::sqrt(1 + q * q)) + (value - value);  // the last is 0, or NaN
        }
    }
}

}  // namespace steepest
