#include "dispatch.hpp"

#include <cstdlib>
#include <stdexcept>

#include "forks.hpp"

#if defined(__x86_64__) && !defined(STEEPEST_BASELINE_ALONE)
#define STEEPEST_HAS_LEVELS
#endif

namespace steepest {

#define STEEPEST_DECLARE(id)                      \
    extern const Kernels<float> kernels_f32_##id; \
    extern const Kernels<double> kernels_f64_##id;
STEEPEST_DECLARE(baseline)
#if defined(STEEPEST_HAS_LEVELS)
STEEPEST_DECLARE(x86_64_v3)
STEEPEST_DECLARE(x86_64_v4)
#endif
#undef STEEPEST_DECLARE

namespace {

bool always() { return true; }

#if defined(STEEPEST_HAS_LEVELS)
bool has_v3() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}

#if defined(STEEPEST_EMULATE_V4)
bool has_v4() { return has_v3(); }
#else
bool has_v4() {
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif
#endif

constexpr Isa kIsas[] = {
    {"baseline", always, &kernels_f32_baseline, &kernels_f64_baseline},
#if defined(STEEPEST_HAS_LEVELS)
    {"x86-64-v3", has_v3, &kernels_f32_x86_64_v3, &kernels_f64_x86_64_v3},
    {"x86-64-v4", has_v4, &kernels_f32_x86_64_v4, &kernels_f64_x86_64_v4},
#endif
};

const Isa* choose() {
    if (const char* name = std::getenv("STEEPEST_ISA"); name && *name) {
        try {
            return &find_isa(name);
        } catch (const std::invalid_argument& error) {
            throw std::invalid_argument(std::string("STEEPEST_ISA: ") + error.what());
        }
    }
    return &find_isa(available_isas().back());
}

std::atomic<const Isa*> chosen{nullptr};  // null: not yet

}  // namespace

std::vector<std::string> available_isas() {
    std::vector<std::string> names;
    for (const Isa& isa : kIsas) {
        if (isa.supported()) names.emplace_back(isa.name);
    }
    return names;
}

const Isa& current_isa() { return *kept_once(chosen, choose); }

const Isa& find_isa(const std::string& name) {
    std::string known;
    for (const Isa& isa : kIsas) {
        known += std::string(known.empty() ? "" : ", ") + isa.name;
        if (name != isa.name) continue;
        if (!isa.supported()) throw std::invalid_argument("this machine has no " + name);
        return isa;
    }
    throw std::invalid_argument("unknown instruction set '" + name + "', expected one of " + known);
}

void set_isa(const std::string& name) { chosen = &find_isa(name); }

template <>
const Kernels<float>& kernels_of(const Isa& isa) {
    return *isa.f32;
}
template <>
const Kernels<double>& kernels_of(const Isa& isa) {
    return *isa.f64;
}

}  // namespace steepest
