#include "walk.hpp"

#include <algorithm>
#include <cmath>

namespace steepest {
namespace {

constexpr Share kAlone{0, 1, nullptr};
constexpr double kProbe = 0.01;  // of a layer's norm

}  // namespace

template <class T>
void StepParts<T>::measure_cost(Share share) const {
    const Matrix<T> y = plan.output();
    targets.loss({y.data, y.stride}, plan.output_gradient(), replay.rows, weights, share);
    share.sync();
}

template <class T>
void StepParts<T>::take_turn(std::size_t turn, Share share) const {
    plan.backward_to(turn, replay, share);
    if (stored) stored->apply(plan.turns()[turn].first, plan.turns()[turn].last, updates, share);
}

template <class T>
bool StepParts<T>::is_frozen(const Network<T>& network, std::size_t turn) const {
    const std::size_t first = plan.turns()[turn].first;
    return network.parameters()[first]->lr_multiplier * replay.rate(first) == 0;
}

template <class T>
Walk<T>::Walk(const Network<T>& network, UpdateOrder order) : network_(network), order_(order) {
    if (order == UpdateOrder::together) return;
    for (const Layer& layer : network.layers()) {
        if (layer.weight != kNone) layers_.push_back(network.parameters()[layer.weight]->layer());
    }
    if (order == UpdateOrder::output_to_input) std::reverse(layers_.begin(), layers_.end());
    costs_.resize(layers_.size() + 1);
    sums_.resize(layers_.size() + 1);
}

template <class T>
void Walk<T>::run(const StepParts<T>& parts, double cost, Share share) {
    const std::size_t n = layers_.size();
    if (share.leads()) std::fill(costs_.begin(), costs_.end(), cost);
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t turn = order_ == UpdateOrder::output_to_input ? n - 1 - i : i;
        if (parts.is_frozen(network_, turn)) continue;
        parts.take_turn(turn, share);
        parts.plan.forward_from(turn, parts.replay, share);
        parts.measure_cost(share);
        if (share.leads()) {
            const double after = parts.targets.sum_of_parts(parts.replay.rows);
            std::fill(costs_.begin() + static_cast<std::ptrdiff_t>(i) + 1, costs_.end(), after);
        }
        share.sync();
        if (!std::isfinite(costs_.back())) return;
    }
}

template <class T>
void Walk<T>::begin() {
    std::fill(sums_.begin(), sums_.end(), 0.0);
    weights_ = 0;
}

template <class T>
double Walk<T>::end_step(double weights) {
    for (std::size_t i = 0; i < costs_.size(); ++i) sums_[i] += costs_[i];
    weights_ += weights;
    return costs_.back() / weights;
}

template <class T>
Equaliser<T>::Equaliser(const Network<T>& network, const Plan<T>& plan, std::vector<PanelMatrix<T>>& slots1,
                        std::vector<PanelMatrix<T>>& slots2)
    : network_(network), turns_(plan.turns()), slots1_(slots1), slots2_(slots2), effects_(turns_.size()) {
    output_.resize(panels_of(network.n_out(), network.kernels().panel) * plan.output().stride);
    std::size_t most = 0;
    for (const auto& turn : turns_) most = std::max(most, turn.last - turn.first);
    kept_.resize(3 * most);
    for (const auto& turn : turns_) {
        for (std::size_t i = turn.first; i < turn.last; ++i) {
            const std::size_t size = network.parameters()[i]->value.buffer().size();
            for (std::size_t which = 0; which < 3; ++which) {
                std::vector<T>& kept = kept_[3 * (i - turn.first) + which];
                kept.resize(std::max(kept.size(), size));
            }
        }
    }
}

template <class T>
bool Equaliser<T>::measure(const StepParts<T>& parts) {
    parts.plan.forward(parts.replay, kAlone);
    parts.measure_cost(kAlone);
    if (!std::isfinite(parts.targets.sum_of_parts(parts.replay.rows))) return false;
    std::copy_n(parts.plan.output().data, output_.size(), output_.data());
    for (std::size_t turn = 0; turn < turns_.size(); ++turn) {
        effects_[turn] = parts.is_frozen(network_, turn) ? 0 : effect_of(parts, turn);
    }
    return true;
}

template <class T>
double Equaliser<T>::effect_of(const StepParts<T>& parts, std::size_t turn) {
    const std::size_t first = turns_[turn].first, last = turns_[turn].last;
    const auto each = [&](auto f) {  // f(a buffer, what was kept of it, whether it is the parameter's value)
        for (std::size_t i = first; i < last; ++i) {
            const Buffer<T>* buffers[] = {&network_.parameters()[i]->value.buffer(), &slots1_[i].buffer(), &slots2_[i].buffer()};
            for (std::size_t which = 0; which < 3; ++which) f(*buffers[which], kept_[3 * (i - first) + which].data(), which == 0);
        }
    };
    const auto take_back = [&](bool values) {
        each([&](const Buffer<T>& b, const T* kept, bool value) {
            if (value == values) std::copy_n(kept, b.size(), b.data());
        });
    };
    each([](const Buffer<T>& b, T* kept, bool) { std::copy_n(b.data(), b.size(), kept); });
    parts.measure_cost(kAlone);
    parts.take_turn(turn, kAlone);
    double way = 0, norm = 0;
    each([&](const Buffer<T>& b, const T* kept, bool value) {
        for (std::size_t i = 0; value && i < b.size(); ++i) {
            const double before = static_cast<double>(kept[i]), moved = static_cast<double>(b.data()[i]) - before;
            way += moved * moved, norm += before * before;
        }
    });
    const double factor = way > 0 ? kProbe * std::sqrt((norm > 0 ? norm : 1) / way) : 0;
    each([&](const Buffer<T>& b, const T* kept, bool value) {
        for (std::size_t i = 0; value && i < b.size(); ++i) {
            b.data()[i] = static_cast<T>(static_cast<double>(kept[i]) + factor * (static_cast<double>(b.data()[i]) - static_cast<double>(kept[i])));
        }
    });
    take_back(false);
    parts.plan.forward_from(turn, parts.replay, kAlone);

    const Matrix<T> y = parts.plan.output();
    const std::size_t panel = network_.kernels().panel;
    double moved = 0;
    for (std::size_t row = 0; row < parts.replay.rows; ++row) {
        for (std::size_t c = 0; c < network_.n_out(); ++c) {
            const std::size_t at = c / panel * y.stride + row * panel + c % panel;
            const double d = static_cast<double>(y.data[at]) - static_cast<double>(output_[at]);
            moved += d * d;
        }
    }
    take_back(true);
    parts.plan.forward_from(turn, parts.replay, kAlone);
    return factor > 0 ? std::sqrt(moved) / factor : 0;
}

template <class T>
void Equaliser<T>::set(std::vector<double>& rates) const {
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

template struct StepParts<float>;
template struct StepParts<double>;
template class Walk<float>;
template class Walk<double>;
template class Equaliser<float>;
template class Equaliser<double>;

}  // namespace steepest
