#include "plan_layers.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "narrow.hpp"
#include "plan_builder.hpp"

namespace steepest {
namespace detail {

// Before anything is taken: each array by itself may be small. No less is needed than the input and the dense layers' own.
template <class T>
void PlanBuilder<T>::check_size() const {
    std::size_t columns = panels(network_.n_in());
    for (const Layer& layer : network_.layers()) {
        if (layer.kind == LayerKind::dense) columns += panels(layer.n_out) * (trains() ? 2 : 1);
        if (layer.columns.empty() || layer.kind == LayerKind::piecewise_linear) continue;
        columns += panels(layer.n_out) * (trains() ? 2 : 1);
        if (layer.n_features == 0 || layer.weight == kNone) continue;
        columns += (panels(layer.n_features + 1) + panels(layer.size)) * (trains() ? layer.columns.size() : 1);
    }
    const std::size_t bytes = capped_product(panel_stride(parts_.capacity, k_.panel), sizeof(T));
    check_memory(capped_product(columns, bytes), "the arrays for " + std::to_string(parts_.capacity) + " rows at once");
}

template <class T>
PlanParts<T> PlanBuilder<T>::build() {
    check_size();
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
            case LayerKind::feature_scale: add_feature_scale(layer); break;
            case LayerKind::periodic_embedding: add_periodic_embedding(layer); break;
            case LayerKind::piecewise_linear: add_piecewise_linear(layer); break;
            case LayerKind::piecewise_linear_embedding: add_piecewise_linear_embedding(layer); break;
            case LayerKind::category_embedding: add_category_embedding(layer); break;
            case LayerKind::residual_begin: open_residual(); break;
            case LayerKind::residual_end: close_residual(); break;
        }
    }
    if (!open_.empty()) throw std::logic_error("a residual branch was not closed");
    BackwardItems items;
    if (wants_gradient(last_value())) add_slope(items, last_value());
    prepend(items);
    std::reverse(parts_.backward.begin(), parts_.backward.end());
    std::reverse(parts_.layerwise.begin(), parts_.layerwise.end());

    parts_.input = values_.front().data, parts_.input_gradient = values_.front().gradient;
    parts_.output = values_.back().data, parts_.output_gradient = values_.back().gradient;
    return std::move(parts_);
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
    args.eps = narrow_eps<T>(layer.eps);
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
    args.eps = narrow_eps<T>(layer.eps);
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

// y = x * scale: members share out rows, but panels for the gradient of the scale, which is a sum over rows.
template <class T>
void PlanBuilder<T>::add_feature_scale(const Layer& layer) {
    const std::size_t x_index = last_value(), n = layer.n_out;
    const Value x = values_.back();
    Value& y = add_value(n, true);
    begin_turn(layer);
    const auto scaled = [run = k_.scale, scale = vector(layer.weight), n = panels(n)](Matrix<T> from, Matrix<T> to) -> Item {
        return [=](const Pass& pass, Share share) {
            const Block block = split_rows(share, pass.rows, n);
            run(&block, constant(from), scale, to);
        };
    };
    parts_.forward.push_back(scaled(x.data, y.data));
    if (!trains()) return;
    T* const gradient = vector_gradient(layer.weight);
    const auto sum = [=, run = k_.scale_gradient, n = panels(n), dy = y.gradient](const Pass& pass, Share share) {
        const Range part = share.split(n);
        const Block block{0, pass.rows, part.begin, part.end};
        run(&block, constant(x.data), constant(dy), gradient);
    };
    // The sum reads dy before dx takes its place; dx reads the scale before it is updated.
    BackwardItems items{{sum, Makes::parameter_gradient}};
    if (wants_gradient(x_index)) items.push_back(scaled(y.gradient, y.gradient));
    items.push_back({update_vectors(layer, gradient, nullptr), Makes::parameter_gradient});
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

}  // namespace detail

template <class T>
Plan<T> make_plan(Network<T>& network, std::size_t capacity, Mode mode, const std::vector<Slots<T>>& slots) {
    return Plan<T>(detail::PlanBuilder<T>(network, capacity, mode, slots).build());
}

template Plan<float> make_plan<float>(Network<float>&, std::size_t, Mode, const std::vector<Slots<float>>&);
template Plan<double> make_plan<double>(Network<double>&, std::size_t, Mode, const std::vector<Slots<double>>&);

}  // namespace steepest
