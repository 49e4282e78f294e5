#include "layerwise.hpp"

#include <algorithm>
#include <cmath>

namespace steepest {
namespace {

constexpr Share kAlone{0, 1, nullptr};
constexpr double kProbe = 0.01;  // of a layer's norm

}  // namespace

template <class T>
void LayerwiseArgs<T>::measure_cost(Share share) const {
    const Matrix<T> y = plan.output();
    targets.loss({y.data, y.stride}, plan.output_gradient(), pass.rows, weights, share);
    share.sync();
}

template <class T>
void LayerwiseArgs<T>::take_turn(std::size_t turn, Share share) const {
    plan.backward_to(turn, pass, share);
    if (stored) stored->apply(plan.turns()[turn].first, plan.turns()[turn].last, updates, share);
}

template <class T>
bool LayerwiseArgs<T>::is_frozen(const Network<T>& network, std::size_t turn) const {
    const std::size_t first = plan.turns()[turn].first;
    return network.parameters()[first]->lr_multiplier * pass.rate(first) == 0;
}

template <class T>
Layerwise<T>::Layerwise(const Network<T>& network, UpdateOrder order) : network_(network), order_(order) {
    if (order == UpdateOrder::together) return;
    for (const Layer& layer : network.layers()) {
        if (layer.weight != kNone) layers_.push_back(network.parameters()[layer.weight]->layer());
    }
    if (order == UpdateOrder::output_to_input) std::reverse(layers_.begin(), layers_.end());
    costs_.resize(layers_.size() + 1);
    sums_.resize(layers_.size() + 1);
}

template <class T>
void Layerwise<T>::run(const LayerwiseArgs<T>& args, double cost, Share share) {
    const std::size_t n = layers_.size();
    if (share.leads()) std::fill(costs_.begin(), costs_.end(), cost);
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t turn = order_ == UpdateOrder::output_to_input ? n - 1 - i : i;
        if (args.is_frozen(network_, turn)) continue;
        args.take_turn(turn, share);  // by the gradient of the output that the last measure_cost left
        args.plan.forward_from(turn, args.pass, share);
        args.measure_cost(share);  // has met: the loss chunks and the gradient of the output are those of the moved layer
        if (share.leads()) {
            const double after = args.targets.sum_loss_chunks(args.pass.rows);
            std::fill(costs_.begin() + static_cast<std::ptrdiff_t>(i) + 1, costs_.end(), after);
        }
        share.sync();  // everybody sees the same cost, and so goes on or ends alike
        if (!std::isfinite(costs_.back())) return;
    }
}

template <class T>
void Layerwise<T>::begin() {
    std::fill(sums_.begin(), sums_.end(), 0.0);
    weights_ = 0;
}

template <class T>
double Layerwise<T>::end_step(double weights) {
    for (std::size_t i = 0; i < costs_.size(); ++i) sums_[i] += costs_[i];
    weights_ += weights;
    return costs_.back();
}

template <class T>
RateEqualizer<T>::RateEqualizer(const Network<T>& network, const Plan<T>& plan, const std::vector<PanelMatrix<T>>& slots1,
                                const std::vector<PanelMatrix<T>>& slots2)
    : network_(network), turns_(plan.turns()), slots1_(slots1), slots2_(slots2), effects_(turns_.size()) {
    output_.resize(panels_of(network.n_out(), network.kernels().panel) * plan.output().stride);
    for (const auto& turn : turns_) {
        kept_.resize(std::max(kept_.size(), turn.last - turn.first));
        for (std::size_t i = turn.first; i < turn.last; ++i) {
            Kept& kept = kept_[i - turn.first];
            const std::size_t size = network.parameters()[i]->value.buffer().size();
            for (std::vector<T>* part : {&kept.value, &kept.slot1, &kept.slot2}) part->resize(std::max(part->size(), size));
        }
    }
}

template <class T>
bool RateEqualizer<T>::measure(const LayerwiseArgs<T>& args) {
    args.plan.forward(args.pass, kAlone);
    args.measure_cost(kAlone);
    if (!std::isfinite(args.targets.sum_loss_chunks(args.pass.rows))) return false;
    std::copy_n(args.plan.output().data, output_.size(), output_.data());
    for (std::size_t turn = 0; turn < turns_.size(); ++turn) {
        effects_[turn] = args.is_frozen(network_, turn) ? 0 : effect_of(args, turn);
    }
    return true;
}

template <class T>
template <class F>
void RateEqualizer<T>::each_parameter(std::size_t turn, F f) {
    for (std::size_t i = turns_[turn].first; i < turns_[turn].last; ++i) {
        f(network_.parameters()[i]->value.buffer(), slots1_[i].buffer(), slots2_[i].buffer(), kept_[i - turns_[turn].first]);
    }
}

template <class T>
void RateEqualizer<T>::keep(std::size_t turn) {
    each_parameter(turn, [](const Buffer<T>& value, const Buffer<T>& slot1, const Buffer<T>& slot2, Kept& kept) {
        std::copy_n(value.data(), value.size(), kept.value.data());
        std::copy_n(slot1.data(), slot1.size(), kept.slot1.data());
        std::copy_n(slot2.data(), slot2.size(), kept.slot2.data());
    });
}

template <class T>
double RateEqualizer<T>::shorten(std::size_t turn) {
    double way = 0, norm = 0;  // squares
    each_parameter(turn, [&](const Buffer<T>& value, const Buffer<T>&, const Buffer<T>&, Kept& kept) {
        for (std::size_t i = 0; i < value.size(); ++i) {
            const auto before = static_cast<double>(kept.value[i]), moved = static_cast<double>(value.data()[i]) - before;
            way += moved * moved, norm += before * before;
        }
    });
    const double factor = way > 0 ? kProbe * std::sqrt((norm > 0 ? norm : 1) / way) : 0;
    each_parameter(turn, [&](const Buffer<T>& value, const Buffer<T>&, const Buffer<T>&, Kept& kept) {
        for (std::size_t i = 0; i < value.size(); ++i) {
            const auto before = static_cast<double>(kept.value[i]), moved = static_cast<double>(value.data()[i]) - before;
            value.data()[i] = static_cast<T>(before + factor * moved);
        }
    });
    return factor;
}

template <class T>
void RateEqualizer<T>::take_back(std::size_t turn) {
    each_parameter(turn, [](const Buffer<T>& value, const Buffer<T>& slot1, const Buffer<T>& slot2, Kept& kept) {
        std::copy_n(kept.value.data(), value.size(), value.data());
        std::copy_n(kept.slot1.data(), slot1.size(), slot1.data());
        std::copy_n(kept.slot2.data(), slot2.size(), slot2.data());
    });
}

// Before and after: parameters, slots and output are as they were before any turn.
template <class T>
double RateEqualizer<T>::effect_of(const LayerwiseArgs<T>& args, std::size_t turn) {
    keep(turn);
    args.measure_cost(kAlone);  // the gradient of the output again: a turn's backward pass changes it in place
    args.take_turn(turn, kAlone);
    const double factor = shorten(turn);
    args.plan.forward_from(turn, args.pass, kAlone);
    const double way_of_output = output_moved(args);
    take_back(turn);
    args.plan.forward_from(turn, args.pass, kAlone);
    return factor > 0 ? way_of_output / factor : 0;
}

template <class T>
double RateEqualizer<T>::output_moved(const LayerwiseArgs<T>& args) const {
    const Matrix<T> y = args.plan.output();
    const std::size_t panel = network_.kernels().panel;
    double squares = 0;
    for (std::size_t row = 0; row < args.pass.rows; ++row) {
        for (std::size_t c = 0; c < network_.n_out(); ++c) {
            const std::size_t at = c / panel * y.stride + row * panel + c % panel;
            const double moved = static_cast<double>(y.data[at]) - static_cast<double>(output_[at]);
            squares += moved * moved;
        }
    }
    return std::sqrt(squares);
}

template <class T>
void RateEqualizer<T>::set(std::vector<double>& rates) const {
    double logarithms = 0, count = 0;
    for (const double effect : effects_) {
        if (effect > 0 && std::isfinite(effect)) logarithms += std::log(effect), ++count;
    }
    for (std::size_t turn = 0; turn < turns_.size(); ++turn) {
        const double effect = effects_[turn], rate = std::exp(logarithms / count) / effect;
        const bool known = effect > 0 && std::isfinite(effect) && std::isfinite(rate);
        for (std::size_t i = turns_[turn].first; i < turns_[turn].last; ++i) rates[i] = known ? rate : 1;
    }
}

template struct LayerwiseArgs<float>;
template struct LayerwiseArgs<double>;
template class Layerwise<float>;
template class Layerwise<double>;
template class RateEqualizer<float>;
template class RateEqualizer<double>;

}  // namespace steepest
