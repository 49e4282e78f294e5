#include "plan_layers.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace steepest {
namespace {

constexpr std::size_t kGroup = 8;                   // panels of inputs
constexpr std::size_t kSmallGradient = 256 * 1024;  // bytes

bool slope_needs_input(Activation a) { return a == Activation::gelu || a == Activation::silu || a == Activation::mish; }

template <class T>
Matrix<const T> constant(Matrix<T> m) {
    return {m.data, m.stride};
}

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

Block split_rows(Share share, std::size_t rows, std::size_t panels) {
    const Range part = share.split(rows);
    return {part.begin, part.end, 0, panels};
}

// A member's part of rows x panels: panels where they are shared evenly, else rows.
Block split_block(Share share, std::size_t rows, const Width& width) {
    if (!splits_evenly(share, width)) return split_rows(share, rows, width.panels);
    const Range part = share.split(width.panels);
    return {0, rows, part.begin, part.end};
}

template <class T>
T* scratch(std::size_t size) {
    thread_local Buffer<T> buffer;
    if (buffer.size() < size) buffer = Buffer<T>(size);
    return buffer.data();
}

// Goes through the layers once, from the input to the output. Each adds its items to the end of the forward list and to
// the front of the backward lists, so that these begin with the last layer's.
template <class T>
class PlanBuilder {
public:
    PlanBuilder(Network<T>& network, std::size_t capacity, Mode mode, const std::vector<Slots<T>>& slots);
    PlanParts<T> build();

private:
    using Pass = PassArgs<T>;
    using Item = PlanItem<T>;

    // An item of the backward lists.
    struct BackwardItem {
        template <class F>
        BackwardItem(F f, Makes m = Makes::input_gradient) : run(std::move(f)), makes(m) {}
        Item run;
        Makes makes;
    };
    using BackwardItems = std::vector<BackwardItem>;

    // The output of a layer, (capacity, columns). Where that ends in an activation, `z` is what went into it, if its
    // slope needs that. A gradient is that of the output until the slope is applied, then that of z: a layer's last backward
    // item applies the slope of the value that it takes its input from. Layers that change gradients in place share a buffer.
    struct Value {
        std::size_t columns = 0;
        Matrix<T> data{}, gradient{}, z{};  // (capacity, columns)
        Activation activation = Activation::identity;
        T alpha = 0;
    };

    // A residual branch that is not closed yet.
    struct Branch {
        std::size_t input;   // the value before it
        Matrix<T> gradient;  // of the sum that closes it, (capacity, columns)
    };

    void add_dense(const Layer& layer, const Layer* activation);
    void add_dense_gradients(const Layer& layer, const Value& x, const Value& y, bool wants_dx);
    void add_activation(const Layer& layer);
    void add_dropout(const Layer& layer, std::uint32_t number);
    void add_batch_norm(const Layer& layer);
    void add_layer_norm(const Layer& layer);
    void open_residual();
    void close_residual();

    Value& add_value(std::size_t columns, bool shares_gradient);
    void add_slope(BackwardItems& items, std::size_t value) const;
    Item add_matrices(std::size_t columns, Matrix<T> a, Matrix<T> b, Matrix<T> y) const;
    Item update_vectors(const Layer& layer, const T* weight_gradient, const T* bias_gradient) const;
    void begin_turn(const Layer& layer);
    std::size_t this_turn() const { return parts_.turns.size() - 1; }
    void prepend(const BackwardItems& items, std::size_t turn = kNoTurn);
    void prepend_whole(Item item);
    void prepend_layerwise(const BackwardItems& items, std::size_t turn);

    Matrix<T> allocate(std::size_t columns);
    T* allocate_vector(std::size_t columns);
    T* vector_gradient(std::size_t parameter);
    T* vector(std::size_t parameter) const { return network_.parameters()[parameter]->value.matrix().data; }

    bool stores() const { return mode_ == Mode::gradients || mode_ == Mode::store; }
    bool trains() const { return mode_ != Mode::infer; }
    bool wants_gradient(std::size_t value) const { return trains() && (value > 0 || mode_ == Mode::gradients); }
    std::size_t last_value() const { return values_.size() - 1; }
    std::size_t panels(std::size_t columns) const { return panels_of(columns, k_.panel); }

    Network<T>& network_;
    const Kernels<T>& k_;
    const Mode mode_;
    std::vector<Slots<T>> slots_;  // of each parameter
    std::vector<Value> values_;    // the network's input, and what each layer makes
    std::vector<Branch> open_;
    PlanParts<T> parts_;
};

template <class T>
PlanBuilder<T>::PlanBuilder(Network<T>& network, std::size_t capacity, Mode mode, const std::vector<Slots<T>>& slots)
    : network_(network), k_(network.kernels()), mode_(mode), slots_(slots) {
    slots_.resize(network.parameters().size());
    parts_.capacity = capacity;
}

template <class T>
PlanParts<T> PlanBuilder<T>::build() {
    if (stores()) network_.allocate_gradients();
    values_.push_back({network_.n_in(), allocate(network_.n_in())});
    if (wants_gradient(0)) values_[0].gradient = allocate(network_.n_in());

    const std::vector<Layer>& layers = network_.layers();
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
    BackwardItems items;
    if (wants_gradient(last_value())) add_slope(items, last_value());
    prepend(items);

    parts_.input = values_.front().data, parts_.input_gradient = values_.front().gradient;
    parts_.output = values_.back().data, parts_.output_gradient = values_.back().gradient;
    return std::move(parts_);
}

// Call before the layer's items are made.
template <class T>
void PlanBuilder<T>::begin_turn(const Layer& layer) {
    parts_.turns.push_back({layer.weight, (layer.bias == kNone ? layer.weight : layer.bias) + 1, parts_.forward.size()});
}

template <class T>
void PlanBuilder<T>::prepend_whole(Item item) {
    parts_.backward.insert(parts_.backward.begin(), std::move(item));
}

template <class T>
void PlanBuilder<T>::prepend_layerwise(const BackwardItems& items, std::size_t turn) {
    for (std::size_t i = items.size(); i > 0; --i) {
        parts_.layerwise.insert(parts_.layerwise.begin(), {items[i - 1].run, items[i - 1].makes, turn});
    }
}

template <class T>
void PlanBuilder<T>::prepend(const BackwardItems& items, std::size_t turn) {
    for (std::size_t i = items.size(); i > 0; --i) prepend_whole(items[i - 1].run);
    prepend_layerwise(items, turn);
}

template <class T>
Matrix<T> PlanBuilder<T>::allocate(std::size_t columns) {
    parts_.memory.emplace_back(parts_.capacity, columns, k_.panel);
    return parts_.memory.back().matrix();
}

template <class T>
T* PlanBuilder<T>::allocate_vector(std::size_t columns) {
    parts_.memory.emplace_back(1, columns, k_.panel);
    return parts_.memory.back().matrix().data;
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

// y = activation(x), of an activation that stands behind no dense layer.
template <class T>
void PlanBuilder<T>::add_activation(const Layer& layer) {
    const std::size_t x_index = last_value();
    const Value x = values_.back();
    Value& y = add_value(layer.n_out, true);
    y.activation = layer.activation;
    y.alpha = static_cast<T>(layer.alpha);
    y.z = x.data;
    parts_.forward.push_back([=, y = y, run = k_.activate, n = panels(layer.n_out)](const Pass& pass, Share share) {
        const Block block = split_rows(share, pass.rows, n);
        run(&block, constant(x.data), y.data, Matrix<T>{}, y.activation, y.alpha);
    });
    BackwardItems items;
    if (wants_gradient(x_index)) add_slope(items, x_index);
    prepend(items);
}

// y = x * mask, and the same mask again for the gradient, which it changes in place.
template <class T>
void PlanBuilder<T>::add_dropout(const Layer& layer, std::uint32_t number) {
    if (!trains()) return;
    const std::size_t x_index = last_value();
    const Value x = values_.back();
    Value& y = add_value(layer.n_out, true);
    const auto apply = [run = k_.dropout, n = panels(layer.n_out), number, p = static_cast<T>(layer.p)](Matrix<T> from,
                                                                                                        Matrix<T> to) -> Item {
        return [=](const Pass& pass, Share share) {
            const DropoutArgs<T> args{
                split_rows(share, pass.rows, n), constant(from), to, pass.seed, pass.pass_index, number, p};
            run(&args);
        };
    };
    parts_.forward.push_back(apply(x.data, y.data));
    BackwardItems items;
    if (wants_gradient(x_index)) {
        items.push_back(apply(y.gradient, y.gradient));
        add_slope(items, x_index);
    }
    prepend(items);
}

// Where the gradient of a norm layer's vector goes, (columns): into the network, or into memory of the plan's own.
template <class T>
T* PlanBuilder<T>::vector_gradient(std::size_t parameter) {
    const Parameter<T>& p = *network_.parameters()[parameter];
    return stores() ? p.gradient.matrix().data : allocate_vector(p.columns);
}

// Updates a norm layer's weight and bias, (n_out) both, where the pass has updates.
template <class T>
PlanItem<T> PlanBuilder<T>::update_vectors(const Layer& layer, const T* weight_gradient, const T* bias_gradient) const {
    T *const weight = vector(layer.weight), *const bias = vector(layer.bias);
    const Slots<T> weight_slots = slots_[layer.weight], bias_slots = slots_[layer.bias];
    return [=, run = k_.update, panel = k_.panel, n = panels(layer.n_out), parameter = layer.weight,
            multiplier = &network_.parameters()[layer.weight]->lr_multiplier](const Pass& pass, Share share) {
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
}

// Columns are normalized over the batch: members share out panels. The running statistics that a forward pass makes wait
// beside those in use until they are committed, for a pass whose loss is not finite must leave no trace.
template <class T>
void PlanBuilder<T>::add_batch_norm(const Layer& layer) {
    const std::size_t x_index = last_value();
    const Value x = values_.back();
    Value& y = add_value(layer.n_out, true);
    begin_turn(layer);
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
    args.dx = y.gradient;  // in place
    if (trains()) {
        args.mean = allocate_vector(layer.n_out);
        args.inverse_std = allocate_vector(layer.n_out);
        args.new_running_mean = allocate_vector(layer.n_out);
        args.new_running_var = allocate_vector(layer.n_out);
        args.weight_gradient = vector_gradient(layer.weight);
        args.bias_gradient = vector_gradient(layer.bias);
    }
    const auto item = [args, n = panels(layer.n_out)](void (*run)(const BatchNormArgs<T>*)) -> Item {
        return [=](const Pass& pass, Share share) {
            BatchNormArgs<T> a = args;
            const Range part = share.split(n);
            a.rows = pass.rows, a.panel0 = part.begin, a.panel1 = part.end;
            run(&a);
        };
    };
    parts_.forward.push_back(item(k_.batch_norm));
    if (!trains()) return;
    parts_.commit.push_back(
        [args, mean = vector(layer.mean), variance = vector(layer.variance), n = layer.n_out](const Pass&, Share share) {
            if (!share.leads()) return;
            std::copy_n(args.new_running_mean, n, mean);
            std::copy_n(args.new_running_var, n, variance);
        });
    // The kernel needs the sums that are the vectors' gradients for dx, so it makes both.
    BackwardItems items{{item(k_.batch_norm_gradient), Makes::both},
                        {update_vectors(layer, args.weight_gradient, args.bias_gradient), Makes::parameter_gradient}};
    if (wants_gradient(x_index)) add_slope(items, x_index);
    prepend(items, this_turn());
}

// Rows are normalized each for itself: members share out rows, but panels for the vectors' gradients, which are sums over
// rows.
template <class T>
void PlanBuilder<T>::add_layer_norm(const Layer& layer) {
    const std::size_t x_index = last_value(), n = layer.n_out;
    const Value x = values_.back();
    Value& y = add_value(n, true);
    begin_turn(layer);
    LayerNormArgs<T> args{};
    args.n = n;
    args.x = constant(x.data);
    args.y = y.data;
    args.weight = vector(layer.weight);
    args.bias = vector(layer.bias);
    args.mean = allocate_vector(parts_.capacity);
    args.inverse_std = allocate_vector(parts_.capacity);
    args.dy = constant(y.gradient);
    args.dx = y.gradient;  // in place
    args.eps = static_cast<T>(layer.eps);
    const auto item = [args](void (*run)(const LayerNormArgs<T>*)) -> Item {
        return [=](const Pass& pass, Share share) {
            LayerNormArgs<T> a = args;
            const Range part = share.split(pass.rows);
            a.row0 = part.begin, a.row1 = part.end;
            run(&a);
        };
    };
    parts_.forward.push_back(item(k_.layer_norm));
    if (!trains()) return;
    LayerNormSumsArgs<T> sums{};
    sums.x = constant(x.data), sums.dy = constant(y.gradient);
    sums.mean = args.mean, sums.inverse_std = args.inverse_std;
    sums.weight_gradient = vector_gradient(layer.weight), sums.bias_gradient = vector_gradient(layer.bias);
    const auto sum = [=, run = k_.layer_norm_sums, count = panels(n)](const Pass& pass, Share share) {
        LayerNormSumsArgs<T> a = sums;
        const Range part = share.split(count);
        a.rows = pass.rows, a.panel0 = part.begin, a.panel1 = part.end;
        run(&a);
    };
    // The sums read dy before dx takes its place; dx reads the weight before it is updated.
    BackwardItems items{{sum, Makes::parameter_gradient}};
    if (wants_gradient(x_index)) items.push_back(item(k_.layer_norm_gradient));
    items.push_back({update_vectors(layer, sums.weight_gradient, sums.bias_gradient), Makes::parameter_gradient});
    if (wants_gradient(x_index)) add_slope(items, x_index);
    prepend(items, this_turn());
}

// y = a + b, by rows.
template <class T>
PlanItem<T> PlanBuilder<T>::add_matrices(std::size_t columns, Matrix<T> a, Matrix<T> b, Matrix<T> y) const {
    return [=, run = k_.add, n = panels(columns)](const Pass& pass, Share share) {
        const Block block = split_rows(share, pass.rows, n);
        run(&block, constant(a), constant(b), y);
    };
}

// The branch reads its input's data as a value of its own, with a gradient of its own: the input's gradient is the sum
// of that and of what comes past the branch.
template <class T>
void PlanBuilder<T>::open_residual() {
    const std::size_t index = last_value();
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
    BackwardItems items{add_matrices(copy.columns, copy.gradient, past, input.gradient)};
    add_slope(items, index);
    prepend(items);
}

// out = input + inner. Its gradient is that of both: copied for the branch, whose layers change it in place, and kept for
// what comes past.
template <class T>
void PlanBuilder<T>::close_residual() {
    const Branch branch = open_.back();
    open_.pop_back();
    const std::size_t index = last_value();
    const Value input = values_[branch.input], inner = values_.back();
    Value out;
    out.columns = inner.columns;
    out.data = allocate(out.columns);
    out.gradient = branch.gradient;
    values_.push_back(out);
    parts_.forward.push_back(add_matrices(out.columns, input.data, inner.data, out.data));
    if (!trains()) return;
    const auto copy = [=, run = k_.activate, n = panels(out.columns)](const Pass& pass, Share share) {
        const Block block = split_rows(share, pass.rows, n);
        run(&block, constant(out.gradient), inner.gradient, Matrix<T>{}, Activation::identity, T(0));
    };
    BackwardItems items{copy};
    add_slope(items, index);
    prepend(items);
}

}  // namespace

template <class T>
Plan<T> make_plan(Network<T>& network, std::size_t capacity, Mode mode, const std::vector<Slots<T>>& slots) {
    return Plan<T>(PlanBuilder<T>(network, capacity, mode, slots).build());
}

template Plan<float> make_plan<float>(Network<float>&, std::size_t, Mode, const std::vector<Slots<float>>&);
template Plan<double> make_plan<double>(Network<double>&, std::size_t, Mode, const std::vector<Slots<double>>&);

}  // namespace steepest
