// How numbers of columns become features.
#pragma once

#include <cstddef>

namespace steepest {

// z / sqrt(1 + (z / furthest)^2) of z = (value - mean) / scale, however large these are. What is not finite becomes NaN.
// values, out: (rows, columns); mean, scale: (columns). `out` may be `values`.
void limit_smoothly(const double* values, std::size_t rows, std::size_t columns, const double* mean, const double* scale,
                    double furthest, double* out);

}  // namespace steepest
