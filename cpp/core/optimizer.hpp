// Optimizers: what the user sets, and what one step makes of it.
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
    double fraction = 1;     // SGD: the share of parameters that a step moves, those with the largest gradients
    bool across = false;     // fraction is of the whole network, not of each layer

    bool uses_slot1() const { return rule != Rule::sgd || momentum > 0; }
    bool stores_gradients() const { return clip_norm > 0 || fraction < 1; }  // a step needs all before it moves any
    bool uses_slot2() const { return rule == Rule::adam || (rule == Rule::rmsprop && momentum > 0); }
};

// The numbers of one step, for parameters that decay and for those that do not.
template <class T>
struct Updates {
    Update<T> decaying, other;

    Updates scaled(double lr_multiplier) const;
};

// The step's updates for a layer: the common ones, or `own` with the layer's learning rate; null where it is frozen.
template <class T>
const Updates<T>* updates_for(double lr_multiplier, const Updates<T>* common, Updates<T>& own) {
    if (lr_multiplier == 1 || !common) return common;
    if (lr_multiplier == 0) return nullptr;
    own = common->scaled(lr_multiplier);
    return &own;
}

// Those of step `step` (from 0); `scale` multiplies the gradients.
template <class T>
Updates<T> make_updates(const Optimizer& optimizer, double lr, std::uint64_t step, double scale);

}  // namespace steepest
