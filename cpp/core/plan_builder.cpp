#include "plan_builder.hpp"

namespace steepest::detail {

template <class T>
PlanBuilder<T>::PlanBuilder(Network<T>& network, std::size_t capacity, Mode mode, const std::vector<Slots<T>>& slots)
    : network_(network), k_(network.kernels()), mode_(mode), slots_(slots) {
    slots_.resize(network.parameters().size());
    parts_.capacity = capacity;
}

// Call before the layer's items are made.
template <class T>
void PlanBuilder<T>::begin_turn(const Layer& layer) {
    std::size_t last = layer.weight;
    for (const std::size_t other : {layer.bias, layer.frequency}) last = other == kNone ? last : other;
    parts_.turns.push_back({layer.weight, last + 1, parts_.forward.size()});
}

// The backward lists grow from their ends, and are turned around when all is built.
template <class T>
void PlanBuilder<T>::prepend_whole(Item item) {
    parts_.backward.push_back(std::move(item));
}

template <class T>
void PlanBuilder<T>::prepend_layerwise(const BackwardItems& items, std::size_t turn) {
    for (std::size_t i = items.size(); i > 0; --i) {
        parts_.layerwise.push_back({items[i - 1].run, items[i - 1].makes, turn});
    }
}

template <class T>
void PlanBuilder<T>::prepend(const BackwardItems& items, std::size_t turn) {
    for (std::size_t i = items.size(); i > 0; --i) prepend_whole(items[i - 1].run);
    prepend_layerwise(items, turn);
}

template <class T>
Matrix<T> PlanBuilder<T>::allocate(std::size_t rows, std::size_t columns) {
    parts_.memory.emplace_back(rows, columns, k_.panel);
    return parts_.memory.back().matrix();
}

template <class T>
T* PlanBuilder<T>::allocate_vector(std::size_t columns) {
    return allocate(1, columns).data;
}

template <class T>
typename PlanBuilder<T>::Value& PlanBuilder<T>::add_value(std::size_t columns, bool shares_gradient) {
    Value value;
    value.columns = columns;
    value.data = allocate(columns);
    if (trains()) {
        const Matrix<T> previous = values_.back().gradient;
        value.gradient = shares_gradient && previous.data ? previous : allocate(columns);
    }
    values_.push_back(value);
    return values_.back();
}

// Multiplies the gradient of a value by the slope of its activation, in a pass of its own.
template <class T>
void PlanBuilder<T>::add_slope(BackwardItems& items, std::size_t index) const {
    const Value v = values_[index];
    if (v.activation == Activation::identity) return;
    const auto gradient = k_.activate_gradient;
    const std::size_t n = panels(v.columns);
    items.push_back([=](const Pass& pass, Share share) {
        const Block block = split_rows(share, pass.rows, n);
        gradient(&block, v.gradient, constant(v.data), constant(v.z), v.activation, v.alpha);
    });
}

// Where the gradient of a layer's vector goes, (columns): into the network, or into memory of the plan's own.
template <class T>
T* PlanBuilder<T>::vector_gradient(std::size_t parameter) {
    const Parameter<T>& p = *network_.parameters()[parameter];
    return stores() ? p.gradient.matrix().data : allocate_vector(p.columns);
}

// Updates a layer's weight and bias, (n_out) both, where the pass has updates; bias_gradient is null where there is no bias.
template <class T>
PlanItem<T> PlanBuilder<T>::update_vectors(const Layer& layer, const T* weight_gradient, const T* bias_gradient) const {
    T *const weight = vector(layer.weight), *const bias = bias_gradient ? vector(layer.bias) : nullptr;
    const Slots<T> weight_slots = slots_[layer.weight], bias_slots = bias ? slots_[layer.bias] : Slots<T>{};
    return [=, run = k_.update, panel = k_.panel, n = panels(layer.n_out), parameter = layer.weight,
            multiplier = &network_.parameters()[layer.weight]->lr_multiplier](const Pass& pass, Share share) {
        Updates<T> own;
        const Updates<T>* updates = updates_for(*multiplier * pass.rate(parameter), pass.updates, own);
        if (!updates) return;
        const Range part = share.split(n);
        const std::size_t at = part.begin * panel, size = (part.end - part.begin) * panel;
        run(size, weight + at, weight_gradient + at, slots_from(weight_slots, at), &updates->other);
        if (bias) run(size, bias + at, bias_gradient + at, slots_from(bias_slots, at), &updates->other);
    };
}

#define STEEPEST_INSTANTIATE(T)                                                                         \
    template PlanBuilder<T>::PlanBuilder(Network<T>&, std::size_t, Mode, const std::vector<Slots<T>>&); \
    template void PlanBuilder<T>::begin_turn(const Layer&);                                             \
    template void PlanBuilder<T>::prepend(const BackwardItems&, std::size_t);                           \
    template void PlanBuilder<T>::prepend_whole(Item);                                                  \
    template void PlanBuilder<T>::prepend_layerwise(const BackwardItems&, std::size_t);                 \
    template Matrix<T> PlanBuilder<T>::allocate(std::size_t, std::size_t);                              \
    template T* PlanBuilder<T>::allocate_vector(std::size_t);                                           \
    template typename PlanBuilder<T>::Value& PlanBuilder<T>::add_value(std::size_t, bool);              \
    template void PlanBuilder<T>::add_slope(BackwardItems&, std::size_t) const;                         \
    template T* PlanBuilder<T>::vector_gradient(std::size_t);                                           \
    template PlanItem<T> PlanBuilder<T>::update_vectors(const Layer&, const T*, const T*) const;
STEEPEST_INSTANTIATE(float)
STEEPEST_INSTANTIATE(double)

}  // namespace steepest::detail
