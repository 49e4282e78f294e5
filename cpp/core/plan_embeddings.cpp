// Embeddings of columns: each column has features of its own, and what stands in front of them is a small dense layer.
#include <algorithm>
#include <thread>

#include "plan_builder.hpp"

namespace steepest::detail {
namespace {

// Members that work on columns side by side, each in memory of its own.
std::size_t most_members(std::size_t columns) {
    return std::min<std::size_t>(columns, std::max(1u, std::thread::hardware_concurrency()));
}

// A column of the layer's input, and of the gradient of that.
template <class T>
struct Column {
    Range rows;
    const T* x;
    T* dx;  // or null
};

// Learned sines and cosines.
template <class T>
struct PeriodicFeatures {
    static constexpr bool kLearns = true;
    const Kernels<T>& k;
    std::size_t n;                      // frequencies
    Matrix<T> frequency{}, gradient{};  // (columns, n)
    Slots<T> slots{};
    std::size_t parameter = 0;
    const double* multiplier = nullptr;  // of the learning rate

    PeriodicArgs<T> args(std::size_t j, const Column<T>& column, Matrix<T> y, Matrix<const T> dy) const {
        return {
            column.rows.begin,          column.rows.end, n, column.x, constant(below(frequency, j, k.panel)), y, dy, column.dx,
            below(gradient, j, k.panel)};
    }
    void make(std::size_t j, const Column<T>& column, Matrix<T> y) const {
        const PeriodicArgs<T> a = args(j, column, y, {});
        k.periodic(&a);
    }
    void add_input_gradient(std::size_t j, const Column<T>& column, Matrix<T> y, Matrix<const T> dy) const {
        const PeriodicArgs<T> a = args(j, column, y, dy);
        k.periodic_input_gradient(&a);
    }
    void update(std::size_t j, const PassArgs<T>& pass, const Column<T>& column, Matrix<T> y, Matrix<const T> dy) const {
        Updates<T> own;
        const Updates<T>* updates = updates_for(*multiplier * pass.rate(parameter), pass.updates, own);
        if (!updates && pass.updates) return;
        const PeriodicArgs<T> a = args(j, column, y, dy);
        k.periodic_gradient(&a);
        for (std::size_t p = 0; updates && p < panels_of(n, k.panel); ++p) {
            const std::size_t at = p * frequency.stride + j * k.panel;
            k.update(k.panel, frequency.data + at, gradient.data + at, slots_from(slots, at), &updates->other);
        }
    }
};

// The piecewise linear encoding, by edges that are not learned.
template <class T>
struct BinFeatures {
    static constexpr bool kLearns = false;
    const Kernels<T>& k;
    std::size_t n;          // bins
    std::size_t n_ones;     // 1 where a linear map with a bias takes them
    Matrix<const T> edges;  // (n + 1, columns)

    BinsArgs<T> args(std::size_t j, const Column<T>& column, Matrix<T> y, Matrix<const T> dy) const {
        return {column.rows.begin, column.rows.end, n, n_ones, column.x, column_of(edges, j, k.panel), y, dy, column.dx};
    }
    void make(std::size_t j, const Column<T>& column, Matrix<T> y) const {
        const BinsArgs<T> a = args(j, column, y, {});
        k.bins(&a);
    }
    void add_input_gradient(std::size_t j, const Column<T>& column, Matrix<T> y, Matrix<const T> dy) const {
        const BinsArgs<T> a = args(j, column, y, dy);
        k.bins_input_gradient(&a);
    }
    void update(std::size_t, const PassArgs<T>&, const Column<T>&, Matrix<T>, Matrix<const T>) const {}
};

// Everything that the items of one such layer work with. `F` makes the features of a column, with a 1 behind them for the
// bias of the linear map; without a weight there is no map, and the features themselves are put beside the columns.
template <class T, class F>
struct Embedding {
    using Pass = PassArgs<T>;

    const Kernels<T>& k;
    const F features_of;
    const std::size_t n_in, n_features, size;  // features, without the 1, and outputs of a column
    const std::vector<std::size_t> columns;
    const Activation activation;
    Matrix<T> x{}, y{}, dx{}, dy{};         // of the layer
    Matrix<T> weight{}, weight_gradient{};  // (columns * (n_features + 1), size), or absent
    Slots<T> weight_slots{};
    std::size_t parameter = 0;                     // the weight
    const double* weight_rate = nullptr;           // multiplier of the learning rate
    std::vector<Matrix<T>> features, outputs;      // of each column, or one of all where no backward pass reads them
    std::vector<Matrix<T>> d_outputs, d_features;  // of each member

    Embedding(const Kernels<T>& kernels, const Layer& layer, F f)
        : k(kernels), features_of(f), n_in(layer.n_in), n_features(layer.n_features), size(layer.size), columns(layer.columns),
          activation(layer.activation), parameter(layer.weight) {}

    std::size_t place(std::size_t column) const { return n_in + column * size; }  // of its first output among y's columns
    std::size_t panels(std::size_t n) const { return panels_of(n, k.panel); }
    std::size_t map_row(std::size_t j) const { return j * (n_features + 1); }  // of the weight, the first of column j
    Column<T> column(std::size_t j, Range rows) const {
        return {rows, column_of(x, columns[j], k.panel), column_of(dx, columns[j], k.panel)};
    }

    // y = [x, activation(features W) of each column], by rows.
    void forward(const Pass& pass, Share share) const {
        const Range rows = share.split(pass.rows);
        const Block passed{rows.begin, rows.end, 0, panels(n_in)}, made{rows.begin, rows.end, 0, panels(size)};
        k.activate(&passed, constant(x), y, Matrix<T>{}, Activation::identity, T(0));
        for (std::size_t j = 0; j < columns.size(); ++j) {
            Matrix<T> out = features[j % features.size()];
            features_of.make(j, column(j, rows), out);
            if (weight.data) {
                const Matrix<const T> from = constant(out), map = constant(below(weight, map_row(j), k.panel));
                out = outputs[j % outputs.size()];
                const ForwardArgs<T> product{n_features + 1, size, from, map, nullptr, out, Matrix<T>{}, activation, T(0)};
                k.forward(&product, &made);
            }
            const CopyArgs<T> copy{rows.begin, rows.end, size, constant(out), 0, y, place(j)};
            k.copy_columns(&copy);
        }
    }

    // dx = dy of what went past, by rows.
    void pass_back(const Pass& pass, Share share) const {
        const Range rows = share.split(pass.rows);
        const CopyArgs<T> copy{rows.begin, rows.end, n_in, constant(dy), 0, dx, 0};  // dx has zeros behind its columns
        k.copy_columns(&copy);
    }

    // By columns, so that the sums over the rows do not depend on how many members there are. What they write of dx are
    // single numbers.
    void backward(const Pass& pass, Share share, T* scratch, bool makes_dx, bool makes_gradients) const {
        const std::size_t members = std::min<std::size_t>(share.count, d_outputs.size());
        if (share.index >= members) return;
        const Range part = Share(share.index, members, nullptr).split(columns.size());
        const Matrix<T> d_out = d_outputs[share.index];
        const Matrix<const T> d_feature = constant(weight.data ? d_features[share.index] : d_out);
        for (std::size_t j = part.begin; j < part.end; ++j) {
            const CopyArgs<T> copy{0, pass.rows, size, constant(dy), place(j), d_out, 0};
            k.copy_columns(&copy);
            if (weight.data) map_back(j, pass, d_out, makes_dx || F::kLearns ? d_features[share.index] : Matrix<T>{}, scratch);
            const Matrix<T> made = features[j % features.size()];
            const Column<T> own = column(j, {0, pass.rows});
            if (makes_dx) features_of.add_input_gradient(j, own, made, d_feature);
            if (makes_gradients) {
                update(j, pass, d_out);
                features_of.update(j, pass, own, made, d_feature);
            }
        }
    }

    // The gradient of a column's features, if there is a place for it, from that of its outputs, which becomes that of what
    // goes into the activation.
    void map_back(std::size_t j, const Pass& pass, Matrix<T> d_out, Matrix<T> d_feature, T* scratch) const {
        const Block made{0, pass.rows, 0, panels(size)}, read{0, pass.rows, 0, panels(n_features)};
        if (activation != Activation::identity) {
            k.activate_gradient(&made, d_out, constant(outputs[j]), Matrix<const T>{}, activation, T(0));
        }
        if (!d_feature.data) return;
        InputGradientArgs<T> product{};
        product.n_in = n_features, product.n_out = size;
        product.dy = constant(d_out), product.weight = constant(below(weight, map_row(j), k.panel));
        product.dx = d_feature;
        k.input_gradient(&product, &read, pass.rows, scratch);
    }

    void update(std::size_t j, const Pass& pass, Matrix<T> d_out) const {
        Updates<T> own;
        const Updates<T>* updates = updates_for(*weight_rate * pass.rate(parameter), pass.updates, own);
        if (!updates && pass.updates) return;
        WeightGradientArgs<T> product{};
        product.n_out = size;
        product.x = constant(features[j]), product.dy = constant(d_out);
        product.weight = below(weight, map_row(j), k.panel);
        product.gradient = below(weight_gradient, map_row(j), k.panel);
        product.weight_slots = slots_from(weight_slots, map_row(j) * k.panel);
        const Block block{0, n_features + 1, 0, panels(size)};
        k.weight_gradient(&product, &block, pass.rows, updates ? &updates->decaying : nullptr,
                          updates ? &updates->other : nullptr);
    }
};

}  // namespace

template <class T>
void PlanBuilder<T>::add_periodic_embedding(const Layer& layer) {
    const Parameter<T>& frequency = *network_.parameters()[layer.frequency];
    PeriodicFeatures<T> features{k_, frequency.columns, frequency.value.matrix()};
    features.slots = slots_[layer.frequency];
    features.parameter = layer.frequency, features.multiplier = &frequency.lr_multiplier;
    if (trains()) {
        features.gradient = stores() ? frequency.gradient.matrix() : allocate(frequency.rows, frequency.columns);
    }
    add_embedding(layer, features);
}

template <class T>
void PlanBuilder<T>::add_piecewise_linear_embedding(const Layer& layer) {
    const Matrix<T> edges = network_.parameters()[layer.points]->value.matrix();
    add_embedding(layer, BinFeatures<T>{k_, layer.n_features, layer.weight == kNone ? 0u : 1u, constant(edges)});
}

template <class T>
template <class F>
void PlanBuilder<T>::add_embedding(const Layer& layer, F features) {
    const std::size_t x_index = last_value(), n_columns = layer.columns.size();
    const Value x = values_.back();
    const bool wants_dx = wants_gradient(x_index), has_map = layer.weight != kNone;
    if (has_map) begin_turn(layer);
    Value& y = add_value(layer.n_out, false);
    const auto made = std::make_shared<Embedding<T, F>>(k_, layer, features);
    Embedding<T, F>& e = *made;
    e.x = x.data, e.y = y.data, e.dy = y.gradient;
    if (wants_dx) e.dx = x.gradient;
    if (has_map) {
        const Parameter<T>& weight = *network_.parameters()[layer.weight];
        parts_.products += static_cast<double>(weight.rows * weight.columns) * (trains() ? 3 : 1);
        e.weight = weight.value.matrix(), e.weight_gradient = weight.gradient.matrix();
        e.weight_slots = slots_[layer.weight], e.weight_rate = &weight.lr_multiplier;
    }
    for (std::size_t j = 0; j < (has_map && trains() ? n_columns : 1); ++j) {
        e.features.push_back(allocate(layer.n_features + 1));
        if (has_map) e.outputs.push_back(allocate(layer.size));
    }
    parts_.forward.push_back([made](const Pass& pass, Share share) { made->forward(pass, share); });
    if (!trains()) return;

    for (std::size_t i = 0; i < most_members(n_columns); ++i) {
        e.d_outputs.push_back(allocate(layer.size));
        if (has_map) e.d_features.push_back(allocate(layer.n_features));
    }
    const auto backward = [made, size = k_.scratch](bool makes_dx, bool makes_gradients) -> Item {
        return [=](const Pass& pass, Share share) { made->backward(pass, share, scratch<T>(size), makes_dx, makes_gradients); };
    };
    BackwardItems before, slope;
    if (wants_dx) {
        before.push_back([made](const Pass& pass, Share share) { made->pass_back(pass, share); });
        add_slope(slope, x_index);
    }
    BackwardItems whole = before, layerwise = before;
    if (wants_dx || has_map) whole.push_back(backward(wants_dx, has_map));
    if (wants_dx) layerwise.push_back(backward(true, false));
    if (has_map) layerwise.push_back({backward(false, true), Makes::parameter_gradient});
    for (BackwardItems* items : {&whole, &layerwise}) items->insert(items->end(), slope.begin(), slope.end());
    for (std::size_t i = whole.size(); i > 0; --i) prepend_whole(whole[i - 1].run);
    prepend_layerwise(layerwise, has_map ? this_turn() : kNoTurn);
}

// y = x but for some columns, which go through lines of their own, by rows.
template <class T>
void PlanBuilder<T>::add_piecewise_linear(const Layer& layer) {
    const std::size_t x_index = last_value();
    const Value x = values_.back();
    Value& y = add_value(layer.n_out, true);
    const Matrix<T> points = network_.parameters()[layer.points]->value.matrix();
    const Matrix<T> values = network_.parameters()[layer.values]->value.matrix();
    const std::size_t n_points = network_.parameters()[layer.points]->rows;
    const auto item = [=, panel = k_.panel, columns = layer.columns, from = x.data, to = y.data,
                       gradient = y.gradient](void (*run)(const InterpolateArgs<T>*)) -> Item {
        return [=](const Pass& pass, Share share) {
            const Range rows = share.split(pass.rows);
            const auto at = [=](Matrix<T> m, std::size_t c) { return column_of(m, c, panel); };
            for (std::size_t j = 0; j < columns.size(); ++j) {
                const InterpolateArgs<T> args{rows.begin,    rows.end,      n_points,           at(from, columns[j]),
                                              at(points, j), at(values, j), at(to, columns[j]), at(gradient, columns[j])};
                run(&args);
            }
        };
    };
    const auto copy = [=, run = k_.activate, n = panels(layer.n_out), from = x.data, to = y.data](const Pass& pass,
                                                                                                  Share share) {
        const Block block = split_rows(share, pass.rows, n);
        run(&block, constant(from), to, Matrix<T>{}, Activation::identity, T(0));
    };
    parts_.forward.push_back([copy, run = item(k_.interpolate)](const Pass& pass, Share share) {
        copy(pass, share);
        run(pass, share);
    });
    BackwardItems items;
    if (wants_gradient(x_index)) {
        items.push_back(item(k_.interpolate_gradient));
        add_slope(items, x_index);
    }
    prepend(items);
}

template void PlanBuilder<float>::add_piecewise_linear(const Layer&);
template void PlanBuilder<double>::add_piecewise_linear(const Layer&);
template void PlanBuilder<float>::add_piecewise_linear_embedding(const Layer&);
template void PlanBuilder<double>::add_piecewise_linear_embedding(const Layer&);
template void PlanBuilder<float>::add_periodic_embedding(const Layer&);
template void PlanBuilder<double>::add_periodic_embedding(const Layer&);

}  // namespace steepest::detail
