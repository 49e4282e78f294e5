// Optimisers: what the user sets, and what one step makes of it.
#pragma once

#include <cstdint>
#include <string>

#include "../kernels/kernels.hpp"

namespace steepest {

struct Optimizer {
    Rule rule = Rule::sgd;
    double lr = 0.01;
    double momentum = 0;    // SGD, RMSprop
    bool nesterov = false;  // SGD
    double beta1 = 0.9;     // Adam
    double beta2 = 0.999;   // Adam, RMSprop (there called alpha)
    double eps = 1e-8;
    double weight_decay = 0;
    bool decoupled = false;  // AdamW: the decay does not pass through the moments
    double clip_value = 0;   // 0: off
    double clip_norm = 0;    // 0: off

    bool uses_slot1() const { return rule != Rule::sgd || momentum > 0; }
    bool uses_slot2() const { return rule == Rule::adam || (rule == Rule::rmsprop && momentum > 0); }
};

// The numbers of step `step` (from 0), for parameters that decay or not.
template <class T>
Update<T> make_update(const Optimizer& optimizer, double lr, std::uint64_t step, bool decays, double scale);

}  // namespace steepest
