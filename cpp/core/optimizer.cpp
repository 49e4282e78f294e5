#include "optimizer.hpp"

#include <cmath>

namespace steepest {

template <class T>
Update<T> make_update(const Optimizer& o, double lr, std::uint64_t step, bool decays, double scale) {
    Update<T> u{};
    double rate = lr, root_scale = 1;
    if (o.rule == Rule::adam) {  // Kingma and Ba (2015), with the bias corrections where PyTorch has them
        const auto t = static_cast<double>(step + 1);
        rate = lr / (1 - std::pow(o.beta1, t));
        root_scale = 1 / std::sqrt(1 - std::pow(o.beta2, t));
    }
    const double decay = decays ? o.weight_decay : 0;
    u.rule = o.rule;
    u.nesterov = o.nesterov;
    u.lr = static_cast<T>(rate);
    u.momentum = static_cast<T>(o.momentum);
    u.beta1 = static_cast<T>(o.beta1);
    u.beta2 = static_cast<T>(o.beta2);
    u.eps = static_cast<T>(o.eps);
    u.root_scale = static_cast<T>(root_scale);
    u.weight_decay = static_cast<T>(o.decoupled ? 0 : decay);
    u.shrink = static_cast<T>(o.decoupled ? 1 - lr * decay : 1);
    u.clip_value = static_cast<T>(o.clip_value);
    u.scale = static_cast<T>(scale);
    return u;
}

template Update<float> make_update<float>(const Optimizer&, double, std::uint64_t, bool, double);
template Update<double> make_update<double>(const Optimizer&, double, std::uint64_t, bool, double);

}  // namespace steepest
