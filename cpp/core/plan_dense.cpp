// Dense layers: how their work is shared out, and the products in the order that keeps weights close.
#include <algorithm>

#include "plan_builder.hpp"
#include "plan_layers.hpp"

namespace steepest::detail {
namespace {

constexpr std::size_t kGroup = 8;                   // panels of inputs
constexpr std::size_t kSmallGradient = 256 * 1024;  // bytes

// The columns of a matrix in panels.
struct Width {
    std::size_t columns, panel, panels;

    Width(std::size_t n, std::size_t of) : columns(n), panel(of), panels(panels_of(n, of)) {}
};

// Whether members that share out a matrix by its panels, of which the last may be part empty, have nearly the same work.
bool splits_evenly(Share share, const Width& width) {
    if (share.count == 1) return true;
    const std::size_t most = (width.panels + share.count - 1) / share.count * width.panel;
    return most * share.count <= width.columns + width.columns / 8;
}

// A member's part of rows x panels: panels where they are shared evenly, else rows.
Block split_block(Share share, std::size_t rows, const Width& width) {
    if (!splits_evenly(share, width)) return split_rows(share, rows, width.panels);
    const Range part = share.split(width.panels);
    return {0, rows, part.begin, part.end};
}

}  // namespace

// y = activation(x W + b), the activation being that of the layer behind.
template <class T>
void PlanBuilder<T>::add_dense(const Layer& layer, const Layer* activation) {
    const std::size_t n_in = layer.n_in, n_out = layer.n_out;
    const bool wants_dx = wants_gradient(last_value());
    begin_turn(layer);
    parts_.products += static_cast<double>(n_in) * static_cast<double>(n_out) * (trains() ? (wants_dx ? 3 : 2) : 1);

    const Value x = values_.back();
    Value& y = add_value(n_out, false);
    if (activation) {
        y.activation = activation->activation;
        y.alpha = static_cast<T>(activation->alpha);
        if (trains() && slope_needs_input(y.activation)) y.z = allocate(n_out);
    }
    const Matrix<T> w = network_.parameters()[layer.weight]->value.matrix();  // (n_in, n_out)
    T* const b = layer.bias == kNone ? nullptr : vector(layer.bias);          // (n_out)

    const ForwardArgs<T> args{n_in, n_out, constant(x.data), constant(w), b, y.data, y.z, y.activation, y.alpha};
    parts_.forward.push_back([=, run = k_.forward, out = Width(n_out, k_.panel)](const Pass& pass, Share share) {
        const Block block = split_block(share, pass.rows, out);
        run(&args, &block);
    });
    if (trains()) add_dense_gradients(layer, x, y, wants_dx);
}

// The gradient of the input, dx = dy W^T, if it is wanted, and then that of the weights, dW = x^T dy, or their update. The
// order matters: dx needs the weights as they were. The fused item goes by groups of inputs: a member that has the
// same inputs in both products needs no meeting between them, and finds the weights still close.
template <class T>
void PlanBuilder<T>::add_dense_gradients(const Layer& layer, const Value& x, const Value& y, bool wants_dx) {
    const Parameter<T>& weight = *network_.parameters()[layer.weight];
    const Width in(layer.n_in, k_.panel), out(layer.n_out, k_.panel);

    InputGradientArgs<T> input{};
    input.n_in = layer.n_in, input.n_out = layer.n_out;
    input.dy = constant(y.gradient);
    input.weight = constant(weight.value.matrix());
    input.dx = x.gradient, input.x = constant(x.data), input.z = constant(x.z);
    input.activation = x.activation, input.alpha = x.alpha;
    // A block of dx, and the slope of the activation that x comes from.
    const auto input_gradient = [=, run = k_.input_gradient, size = k_.scratch](std::size_t batch, const Block& part) {
        run(&input, &part, batch, scratch<T>(size));
    };

    WeightGradientArgs<T> gradient{};
    gradient.n_out = layer.n_out;
    gradient.x = constant(x.data), gradient.dy = constant(y.gradient);
    gradient.weight = weight.value.matrix(), gradient.gradient = weight.gradient.matrix();
    gradient.weight_slots = slots_[layer.weight];
    if (layer.bias != kNone) {
        const Parameter<T>& bias = *network_.parameters()[layer.bias];
        gradient.bias = bias.value.matrix().data, gradient.bias_gradient = bias.gradient.matrix().data;
        gradient.bias_slots = slots_[layer.bias];
    }
    // A block of dW, by panels; stored, or used on the spot. The block with the first inputs takes the bias along.
    const auto weight_gradient = [=, run = k_.weight_gradient, multiplier = &weight.lr_multiplier, parameter = layer.weight](
                                     const Pass& pass, Range inputs, Range outputs) {
        Updates<T> own;
        const Updates<T>* updates = updates_for(*multiplier * pass.rate(parameter), pass.updates, own);
        if (pass.updates && !updates) return;  // frozen
        const Block part{inputs.begin * in.panel, std::min(inputs.end * in.panel, in.columns), outputs.begin, outputs.end};
        if (part.row0 >= part.row1) return;  // fewer panels than members: not even the bias is theirs
        run(&gradient, &part, pass.rows, updates ? &updates->decaying : nullptr, updates ? &updates->other : nullptr);
    };

    const auto whole_input_gradient = [=](const Pass& pass, Share share) {
        input_gradient(pass.rows, split_rows(share, pass.rows, in.panels));
    };
    const auto whole_weight_gradient = [=](const Pass& pass, Share share) {
        // Who computes some outputs changes their weights, where that is even: they never leave the core.
        const bool by_inputs = !splits_evenly(share, out) && in.panels >= out.panels;
        weight_gradient(pass, by_inputs ? share.split(in.panels) : Range{0, in.panels},
                        by_inputs ? Range{0, out.panels} : share.split(out.panels));
    };
    if (!wants_dx) return prepend({{whole_weight_gradient, Makes::parameter_gradient}}, this_turn());

    // A small batch leaves room for a group of inputs' weights in the cache, where the update then finds them.
    const auto group_for = [=, bytes = layer.n_out * sizeof(T)](std::size_t rows) {
        return rows * bytes <= kSmallGradient ? kGroup : in.panels;
    };
    prepend_whole([=](const Pass& pass, Share share) {
        if (!splits_evenly(share, in)) {
            whole_input_gradient(pass, share);
            share.sync();  // everybody has read the weights
            whole_weight_gradient(pass, share);
            return;
        }
        const Range part = share.split(in.panels);
        const std::size_t group = group_for(pass.rows);
        for (std::size_t p = part.begin; p < part.end; p += group) {
            const Range inputs{p, std::min(p + group, part.end)};
            input_gradient(pass.rows, {0, pass.rows, inputs.begin, inputs.end});
            weight_gradient(pass, inputs, {0, out.panels});
        }
    });
    prepend_layerwise({{whole_input_gradient, Makes::input_gradient}, {whole_weight_gradient, Makes::parameter_gradient}},
                      this_turn());
}

}  // namespace steepest::detail

namespace steepest {

template <class T>
void prepare_thread(const Kernels<T>& kernels) {
    scratch<T>(kernels.scratch);
}

template void prepare_thread<float>(const Kernels<float>&);
template void prepare_thread<double>(const Kernels<double>&);

}  // namespace steepest

namespace steepest::detail {

template void PlanBuilder<float>::add_dense(const Layer&, const Layer*);
template void PlanBuilder<double>::add_dense(const Layer&, const Layer*);

}  // namespace steepest::detail
