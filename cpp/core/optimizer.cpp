#include "optimizer.hpp"

#include <cmath>

#include "narrow.hpp"

namespace steepest {
namespace {

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
    u.eps = narrow_eps<T>(o.eps);
    u.root_scale = static_cast<T>(root_scale);
    u.weight_decay = static_cast<T>(o.decoupled ? 0 : decay);
    u.shrink = static_cast<T>(o.decoupled ? 1 - lr * decay : 1);
    u.clip_value = static_cast<T>(o.clip_value);
    u.scale = static_cast<T>(scale);
    return u;
}

}  // namespace

template <class T>
Updates<T> Updates<T>::scaled(double lr_multiplier) const {
    const auto factor = static_cast<T>(lr_multiplier);
    Updates result = *this;
    for (Update<T>* u : {&result.decaying, &result.other}) {
        u->lr *= factor;
        u->shrink = 1 - (1 - u->shrink) * factor;
    }
    return result;
}

template <class T>
Updates<T> make_updates(const Optimizer& optimizer, double lr, std::uint64_t step, double scale) {
    return {make_update<T>(optimizer, lr, step, true, scale), make_update<T>(optimizer, lr, step, false, scale)};
}

template struct Updates<float>;
template struct Updates<double>;
template Updates<float> make_updates<float>(const Optimizer&, double, std::uint64_t, double);
template Updates<double> make_updates<double>(const Optimizer&, double, std::uint64_t, double);

}  // namespace steepest
