#include "plan.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace steepest {
namespace {

template <class T>
Matrix<const T> constant(Matrix<T> m) {
    return {m.data, m.stride};
}

constexpr std::size_t kGroup = 8;                   // panels of inputs
constexpr std::size_t kSmallGradient = 256 * 1024;  // bytes

bool slope_needs_input(Activation a) { return a == Activation::gelu || a == Activation::silu || a == Activation::mish; }

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
    if (splits_evenly(share, width)) {
        const Range part = share.split(width.panels);
        return {0, rows, part.begin, part.end};
    }
    const Range part = share.split(rows);
    return {part.begin, part.end, 0, width.panels};
}

Block split_rows(Share share, std::size_t rows, std::size_t panels) {
    const Range part = share.split(rows);
    return {part.begin, part.end, 0, panels};
}

template <class T>
T* scratch(std::size_t size) {
    thread_local Buffer<T> buffer;
    if (buffer.size() < size) buffer = Buffer<T>(size);
    return buffer.data();
}

}  // namespace

template <class T>
Plan<T>::Plan(Network<T>& network, std::size_t capacity, Mode mode, const std::vector<Slots<T>>& slots)
    : network_(network), k_(network.kernels()), capacity_(capacity), mode_(mode), slots_(slots) {
    slots_.resize(network.parameters().size());
    if (stores()) network.allocate_gradients();
    values_.push_back({network.n_in(), allocate(network.n_in())});
    if (wants_gradient(0)) values_[0].gradient = allocate(network.n_in());

    const std::vector<Layer>& layers = network.layers();
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const Layer& layer = layers[i];
        switch (layer.kind) {
            case LayerKind::dense: {
                const bool fused = i + 1 < layers.size() && layers[i + 1].kind == LayerKind::activation;
                add_dense(layer, fused ? &layers[++i] : nullptr);
                break;
            }
            case LayerKind::activation: add_activation(layer); break;
            case LayerKind::dropout: add_dropout(layer, static_cast<std::uint32_t>(i)); break;
            case LayerKind::batch_norm: add_batch_norm(layer); break;
            case LayerKind::layer_norm: add_layer_norm(layer); break;
            case LayerKind::residual_begin: open_residual(); break;
            case LayerKind::residual_end: close_residual(); break;
        }
    }
    if (!open_.empty()) throw std::logic_error("a residual branch was not closed");
    List items;
    if (wants_gradient(values_.size() - 1)) add_slope(items, values_.size() - 1);
    prepend(std::move(items));
}

template <class T>
void Plan<T>::run(const List& list, const PassArgs<T>& pass, Share share) {
    bool first = true;
    for (const Item& item : list) {
        if (!first) share.sync();
        item.run(pass, share);
        first = false;
    }
}

template <class T>
void Plan<T>::forward_from(std::size_t turn, const PassArgs<T>& pass, Share share) const {
    for (std::size_t i = turns_[turn].forward; i < forward_.size(); ++i) {
        forward_[i].run(pass, share);
        share.sync();
    }
}

template <class T>
void Plan<T>::backward_to(std::size_t turn, const PassArgs<T>& pass, Share share) const {
    bool reached = false;
    for (const Item& item : backward_) {
        reached |= item.turn == turn;
        if (item.turn == turn ? item.part == Part::carries : reached || item.part == Part::own) continue;
        PassArgs<T> part = pass;
        part.owns = item.turn == turn, part.carries = !part.owns;
        item.run(part, share);
        share.sync();
    }
}

template <class T>
void Plan<T>::begin_turn(const Layer& layer) {
    turns_.push_back({layer.weight, (layer.bias == kNone ? layer.weight : layer.bias) + 1, forward_.size()});
}

template <class T>
void Plan<T>::prepend(List items, std::size_t turn) {
    for (Item& item : items) item.turn = turn;
    backward_.insert(backward_.begin(), std::make_move_iterator(items.begin()), std::make_move_iterator(items.end()));
}

template <class T>
Matrix<T> Plan<T>::allocate(std::size_t columns) {
    memory_.emplace_back(capacity_, columns, k_.panel);
    return memory_.back().matrix();
}

template <class T>
T* Plan<T>::allocate_vector(std::size_t columns) {
    memory_.emplace_back(1, columns, k_.panel);
    return memory_.back().matrix().data;
}

template <class T>
typename Plan<T>::Value& Plan<T>::add_value(std::size_t columns, bool shares_gradient) {
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
void Plan<T>::add_slope(List& items, std::size_t index) const {
    const Value v = values_[index];
    if (v.activation == Activation::identity) return;
    const auto gradient = k_.activate_gradient;
    const std::size_t n = panels(v.columns);
    items.push_back([=](const PassArgs<T>& pass, Share share) {
        const Block block = split_rows(share, pass.rows, n);
        gradient(&block, v.gradient, constant(v.data), constant(v.z), v.activation, v.alpha);
    });
}

template <class T>
void Plan<T>::add_dense(const Layer& layer, const Layer* activation) {
    const std::size_t n_in = layer.n_in, n_out = layer.n_out, x_index = values_.size() - 1;
    const bool whole = wants_gradient(x_index);
    begin_turn(layer);
    products_ += static_cast<double>(n_in) * static_cast<double>(n_out) * (trains() ? (whole ? 3 : 2) : 1);

    const Value x = values_.back();
    Value& y = add_value(n_out, false);
    if (activation) {
        y.activation = activation->activation;
        y.alpha = static_cast<T>(activation->alpha);
        if (trains() && slope_needs_input(y.activation)) y.z = allocate(n_out);
    }
    const Parameter<T>& weight = *network_.parameters()[layer.weight];
    const Matrix<T> w = weight.value.matrix();
    T* const b = layer.bias == kNone ? nullptr : network_.parameters()[layer.bias]->value.matrix().data;

    const ForwardArgs<T> args{n_in, n_out, constant(x.data), constant(w), b, y.data, y.z, y.activation, y.alpha};
    forward_.push_back([=, run = k_.forward, out = Width(n_out, k_.panel)](const PassArgs<T>& pass, Share share) {
        const Block block = split_block(share, pass.rows, out);
        run(&args, &block);
    });
    if (!trains()) return;

    add_dense_gradient(layer, x, y, whole);
}

// The gradient of a dense layer's input, if it is wanted, and then the gradient of its weights, or their update. A member
// that has the same inputs in both needs no meeting between them, and finds the weights still close.
template <class T>
void Plan<T>::add_dense_gradient(const Layer& layer, const Value& x, const Value& y, bool whole) {
    const Parameter<T>& weight = *network_.parameters()[layer.weight];
    const Width in(layer.n_in, k_.panel), out(layer.n_out, k_.panel);

    InputGradientArgs<T> input{};
    input.n_in = layer.n_in, input.n_out = layer.n_out;
    input.dy = constant(y.gradient);
    input.weight = constant(weight.value.matrix());
    input.dx = x.gradient, input.x = constant(x.data), input.z = constant(x.z);
    input.activation = x.activation, input.alpha = x.alpha;
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
    const auto weight_gradient = [=, run = k_.weight_gradient, multiplier = &weight.lr_multiplier, parameter = layer.weight](
                                     const PassArgs<T>& pass, Range inputs, Range outputs) {
        Updates<T> own;
        const Updates<T>* updates = updates_for(*multiplier * pass.rate(parameter), pass.updates, own);
        if (pass.updates && !updates) return;
        const Block part{inputs.begin * in.panel, std::min(inputs.end * in.panel, in.columns), outputs.begin, outputs.end};
        if (part.row0 >= part.row1) return;  // fewer panels than members: not even the bias is theirs
        run(&gradient, &part, pass.rows, updates ? &updates->decaying : nullptr, updates ? &updates->other : nullptr);
    };

    // A small batch leaves room for a group of inputs' weights in the cache, where the update then finds them.
    const auto group_for = [=, bytes = layer.n_out * sizeof(T)](std::size_t rows) {
        return rows * bytes <= kSmallGradient ? kGroup : in.panels;
    };
    const auto both = [=](const PassArgs<T>& pass, Share share) {
        const bool carries = whole && pass.carries;
        if (carries && pass.owns && splits_evenly(share, in)) {
            const Range part = share.split(in.panels);
            const std::size_t group = group_for(pass.rows);
            for (std::size_t p = part.begin; p < part.end; p += group) {
                const Range inputs{p, std::min(p + group, part.end)};
                input_gradient(pass.rows, {0, pass.rows, inputs.begin, inputs.end});
                weight_gradient(pass, inputs, {0, out.panels});
            }
            return;
        }
        if (carries) {
            input_gradient(pass.rows, split_rows(share, pass.rows, in.panels));
            share.sync();
        }
        if (!pass.owns) return;
        // Who computes some outputs changes their weights, where that is even: they never leave the core.
        const bool by_inputs = !splits_evenly(share, out) && in.panels >= out.panels;
        weight_gradient(pass, by_inputs ? share.split(in.panels) : Range{0, in.panels},
                        by_inputs ? Range{0, out.panels} : share.split(out.panels));
    };
    prepend({{both, Part::both}}, turns_.size() - 1);
}

template <class T>
void Plan<T>::add_activation(const Layer& layer) {
    const std::size_t x_index = values_.size() - 1;
    const Value x = values_.back();
    Value& y = add_value(layer.n_out, true);
    y.activation = layer.activation;
    y.alpha = static_cast<T>(layer.alpha);
    y.z = x.data;
    forward_.push_back([=, y = y, run = k_.activate, n = panels(layer.n_out)](const PassArgs<T>& pass, Share share) {
        const Block block = split_rows(share, pass.rows, n);
        run(&block, constant(x.data), y.data, Matrix<T>{}, y.activation, y.alpha);
    });
    List items;
    if (wants_gradient(x_index)) add_slope(items, x_index);
    prepend(std::move(items));
}

template <class T>
void Plan<T>::add_dropout(const Layer& layer, std::uint32_t number) {
    if (!trains()) return;
    const std::size_t x_index = values_.size() - 1;
    const Value x = values_.back();
    Value& y = add_value(layer.n_out, true);
    const auto apply = [run = k_.dropout, n = panels(layer.n_out), number, p = static_cast<T>(layer.p)](Matrix<T> from,
                                                                                                        Matrix<T> to) -> Item {
        return [=](const PassArgs<T>& pass, Share share) {
            const DropoutArgs<T> args{
                split_rows(share, pass.rows, n), constant(from), to, pass.seed, pass.pass_index, number, p};
            run(&args);
        };
    };
    forward_.push_back(apply(x.data, y.data));
    List items;
    if (wants_gradient(x_index)) {
        items.push_back(apply(y.gradient, y.gradient));
        add_slope(items, x_index);
    }
    prepend(std::move(items));
}

// Where the gradient of a norm layer's vector goes: into the network, or into memory of the plan's own.
template <class T>
T* Plan<T>::vector_gradient(std::size_t parameter) {
    const Parameter<T>& p = *network_.parameters()[parameter];
    return stores() ? p.gradient.matrix().data : allocate_vector(p.columns);
}

template <class T>
typename Plan<T>::Item Plan<T>::update_vectors(const Layer& layer, const T* weight_gradient, const T* bias_gradient) const {
    T* const weight = network_.parameters()[layer.weight]->value.matrix().data;
    T* const bias = network_.parameters()[layer.bias]->value.matrix().data;
    const Slots<T> weight_slots = slots_[layer.weight], bias_slots = slots_[layer.bias];
    const auto update = [=, run = k_.update, panel = k_.panel, n = panels(layer.n_out), parameter = layer.weight,
                         multiplier = &network_.parameters()[layer.weight]->lr_multiplier](const PassArgs<T>& pass,
                                                                                           Share share) {
        Updates<T> own;
        const Updates<T>* updates = updates_for(*multiplier * pass.rate(parameter), pass.updates, own);
        if (!updates) return;
        const Range part = share.split(n);
        const std::size_t at = part.begin * panel, size = (part.end - part.begin) * panel;
        const auto offset = [at](Slots<T> s) {
            return Slots<T>{s.slot1 ? s.slot1 + at : nullptr, s.slot2 ? s.slot2 + at : nullptr};
        };
        run(size, weight + at, weight_gradient + at, offset(weight_slots), &updates->other);
        run(size, bias + at, bias_gradient + at, offset(bias_slots), &updates->other);
    };
    return {update, Part::own};
}

template <class T>
void Plan<T>::add_batch_norm(const Layer& layer) {
    const std::size_t x_index = values_.size() - 1;
    const Value x = values_.back();
    Value& y = add_value(layer.n_out, true);
    begin_turn(layer);
    const auto vector = [&](std::size_t parameter) { return network_.parameters()[parameter]->value.matrix().data; };
    BatchNormArgs<T> args{};
    args.x = constant(x.data);
    args.y = y.data;
    args.weight = vector(layer.weight);
    args.bias = vector(layer.bias);
    args.running_mean = vector(layer.mean);
    args.running_var = vector(layer.variance);
    args.momentum = static_cast<T>(layer.momentum);
    args.eps = static_cast<T>(layer.eps);
    args.training = trains();
    args.dy = constant(y.gradient);
    args.dx = y.gradient;
    if (trains()) {
        args.mean = allocate_vector(layer.n_out);
        args.inverse_std = allocate_vector(layer.n_out);
        args.new_running_mean = allocate_vector(layer.n_out);
        args.new_running_var = allocate_vector(layer.n_out);
        args.weight_gradient = vector_gradient(layer.weight);
        args.bias_gradient = vector_gradient(layer.bias);
    }
    const auto item = [args, n = panels(layer.n_out)](void (*run)(const BatchNormArgs<T>*)) -> Item {
        return [=](const PassArgs<T>& pass, Share share) {
            BatchNormArgs<T> a = args;
            const Range part = share.split(n);
            a.rows = pass.rows, a.panel0 = part.begin, a.panel1 = part.end;
            run(&a);
        };
    };
    forward_.push_back(item(k_.batch_norm));
    if (!trains()) return;
    commit_.push_back(
        [args, mean = vector(layer.mean), variance = vector(layer.variance), n = layer.n_out](const PassArgs<T>&, Share share) {
            if (!share.leads()) return;
            std::copy_n(args.new_running_mean, n, mean);
            std::copy_n(args.new_running_var, n, variance);
        });
    List items{item(k_.batch_norm_gradient), update_vectors(layer, args.weight_gradient, args.bias_gradient)};
    items.front().part = Part::both;
    if (wants_gradient(x_index)) add_slope(items, x_index);
    prepend(std::move(items), turns_.size() - 1);
}

template <class T>
void Plan<T>::add_layer_norm(const Layer& layer) {
    const std::size_t x_index = values_.size() - 1, n = layer.n_out;
    const Value x = values_.back();
    Value& y = add_value(n, true);
    begin_turn(layer);
    T* const mean = allocate_vector(capacity_);
    T* const inverse_std = allocate_vector(capacity_);
    const LayerNormArgs<T> args{0,
                                0,
                                n,
                                constant(x.data),
                                y.data,
                                network_.parameters()[layer.weight]->value.matrix().data,
                                network_.parameters()[layer.bias]->value.matrix().data,
                                mean,
                                inverse_std,
                                constant(y.gradient),
                                y.gradient,
                                static_cast<T>(layer.eps)};
    const auto item = [args](void (*run)(const LayerNormArgs<T>*)) -> Item {
        return [=](const PassArgs<T>& pass, Share share) {
            LayerNormArgs<T> a = args;
            const Range part = share.split(pass.rows);
            a.row0 = part.begin, a.row1 = part.end;
            run(&a);
        };
    };
    forward_.push_back(item(k_.layer_norm));
    if (!trains()) return;
    const LayerNormSumsArgs<T> sums{0,
                                    0,
                                    0,
                                    constant(x.data),
                                    constant(y.gradient),
                                    mean,
                                    inverse_std,
                                    vector_gradient(layer.weight),
                                    vector_gradient(layer.bias)};
    List items;
    items.push_back([=, run = k_.layer_norm_sums, count = panels(n)](const PassArgs<T>& pass, Share share) {
        LayerNormSumsArgs<T> a = sums;
        const Range part = share.split(count);
        a.rows = pass.rows, a.panel0 = part.begin, a.panel1 = part.end;
        run(&a);
    });
    items.back().part = Part::own;
    if (wants_gradient(x_index)) items.push_back(item(k_.layer_norm_gradient));
    items.push_back(update_vectors(layer, sums.weight_gradient, sums.bias_gradient));
    if (wants_gradient(x_index)) add_slope(items, x_index);
    prepend(std::move(items), turns_.size() - 1);
}

// y = a + b, by rows.
template <class T>
typename Plan<T>::Item Plan<T>::sum(std::size_t columns, Matrix<T> a, Matrix<T> b, Matrix<T> y) const {
    return [=, run = k_.add, n = panels(columns)](const PassArgs<T>& pass, Share share) {
        const Block block = split_rows(share, pass.rows, n);
        run(&block, constant(a), constant(b), y);
    };
}

// The branch reads its input's data as a value of its own, with a gradient of its own: the input's gradient is the sum
// of that and of what comes past the branch.
template <class T>
void Plan<T>::open_residual() {
    const std::size_t index = values_.size() - 1;
    const Value input = values_.back();
    Value copy;
    copy.columns = input.columns;
    copy.data = input.data;
    Matrix<T> past{};
    if (trains()) {
        copy.gradient = allocate(copy.columns);
        past = allocate(copy.columns);
    }
    values_.push_back(copy);
    open_.push_back({index, past});
    if (!wants_gradient(index)) return;
    List items{sum(copy.columns, copy.gradient, past, input.gradient)};
    add_slope(items, index);
    prepend(std::move(items));
}

template <class T>
void Plan<T>::close_residual() {
    const Branch branch = open_.back();
    open_.pop_back();
    const std::size_t index = values_.size() - 1;
    const Value input = values_[branch.input], inner = values_.back();
    Value out;
    out.columns = inner.columns;
    out.data = allocate(out.columns);
    out.gradient = branch.gradient;
    values_.push_back(out);
    forward_.push_back(sum(out.columns, input.data, inner.data, out.data));
    if (!trains()) return;
    List items{[=, run = k_.activate, n = panels(out.columns)](const PassArgs<T>& pass, Share share) {
        const Block block = split_rows(share, pass.rows, n);
        run(&block, constant(out.gradient), inner.gradient, Matrix<T>{}, Activation::identity, T(0));
    }};
    add_slope(items, index);
    prepend(std::move(items));
}

template class Plan<float>;
template class Plan<double>;

}  // namespace steepest
