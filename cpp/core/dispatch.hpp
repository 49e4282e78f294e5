// Which instruction sets this build holds, which of them this machine has, and which one is in use.
#pragma once

#include <string>
#include <vector>

#include "../kernels/kernels.hpp"

namespace steepest {

struct Isa {
    const char* name;
    bool (*supported)();
    const Kernels<float>* f32;
    const Kernels<double>* f64;
};

// Those that this machine supports, the plainest first.
std::vector<std::string> available_isas();

// The one that new networks use: the best supported, or what STEEPEST_ISA names.
const Isa& current_isa();

// Throws std::invalid_argument for a name that is unknown or not supported here.
const Isa& find_isa(const std::string& name);
void set_isa(const std::string& name);

template <class T>
const Kernels<T>& kernels_of(const Isa& isa);

}  // namespace steepest
