// Options, which are float64, in the type of a network.
#pragma once

#include <algorithm>
#include <limits>

namespace steepest {

// A small number that keeps a quotient finite: one above zero stays above it, where the type would lose it.
template <class T>
T narrow_eps(double eps) {
    return eps > 0 ? std::max(static_cast<T>(eps), std::numeric_limits<T>::min()) : static_cast<T>(eps);
}

}  // namespace steepest
