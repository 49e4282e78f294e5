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

template <class T>
Matrix<T> below(Matrix<T> m, std::size_t rows, std::size_t panel) {
    return {m.data ? m.data + rows * panel : nullptr, m.stride};
}

// The first number of a column.
template <class T>
T* column_of(Matrix<T> m, std::size_t c, std::size_t panel) {
    return m.data ? m.data + c / panel * m.stride + c % panel : nullptr;
}

// Everything that the items of one such layer work with.
template <class T>
struct Embedding {
    using Pass = PassArgs<T>;

    const Kernels<T>& k;
    const std::size_t n_in, n_frequencies, n_features, size;  // features and outputs of a column
    const std::vector<std::size_t> columns;
    const Activation activation;
    Matrix<T> x{}, y{}, dx{}, dy{};               // of the layer
    Matrix<T> weight{}, weight_gradient{};        // (columns * n_features, size)
    Matrix<T> frequency{}, frequency_gradient{};  // (columns, n_frequencies)
    Slots<T> weight_slots{}, frequency_slots{};
    std::size_t parameter = 0;                                       // the weight; the frequency is the next one
    const double *weight_rate = nullptr, *frequency_rate = nullptr;  // multipliers of the learning rate
    std::vector<Matrix<T>> features, outputs;      // of each column, or one of all where there is no backward pass
    std::vector<Matrix<T>> d_outputs, d_features;  // of each member

    Embedding(const Kernels<T>& kernels, const Layer& layer)
        : k(kernels), n_in(layer.n_in), n_frequencies(layer.n_frequencies), n_features(2 * layer.n_frequencies + 1),
          size(layer.size), columns(layer.columns), activation(layer.activation), parameter(layer.weight) {}

    std::size_t place(std::size_t column) const { return n_in + column * size; }  // of its first output among y's columns
    std::size_t panels(std::size_t n) const { return panels_of(n, k.panel); }

    PeriodicArgs<T> periodic(std::size_t j, Range rows) const {
        PeriodicArgs<T> args{};
        args.row0 = rows.begin, args.row1 = rows.end, args.n = n_frequencies;
        args.x = column_of(x, columns[j], k.panel);
        args.dx = column_of(dx, columns[j], k.panel);
        args.frequency = constant(below(frequency, j, k.panel));
        args.gradient = below(frequency_gradient, j, k.panel);
        args.y = features[j % features.size()];
        return args;
    }

    // y = [x, activation(features W) of each column], by rows.
    void forward(const Pass& pass, Share share) const {
        const Range rows = share.split(pass.rows);
        const Block passed{rows.begin, rows.end, 0, panels(n_in)}, made{rows.begin, rows.end, 0, panels(size)};
        k.activate(&passed, constant(x), y, Matrix<T>{}, Activation::identity, T(0));
        for (std::size_t j = 0; j < columns.size(); ++j) {
            const PeriodicArgs<T> args = periodic(j, rows);
            k.periodic(&args);
            const Matrix<T> out = outputs[j % outputs.size()];
            const ForwardArgs<T> product{n_features, size, constant(args.y), constant(below(weight, j * n_features, k.panel)),
                                         nullptr,    out,  Matrix<T>{},      activation,
                                         T(0)};
            k.forward(&product, &made);
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
        const Matrix<T> d_out = d_outputs[share.index], d_feature = d_features[share.index];
        const Block made{0, pass.rows, 0, panels(size)}, read{0, pass.rows, 0, panels(2 * n_frequencies)};
        for (std::size_t j = part.begin; j < part.end; ++j) {
            const CopyArgs<T> copy{0, pass.rows, size, constant(dy), place(j), d_out, 0};
            k.copy_columns(&copy);
            if (activation != Activation::identity) {
                k.activate_gradient(&made, d_out, constant(outputs[j]), Matrix<const T>{}, activation, T(0));
            }
            InputGradientArgs<T> product{};
            product.n_in = 2 * n_frequencies, product.n_out = size;
            product.dy = constant(d_out), product.weight = constant(below(weight, j * n_features, k.panel));
            product.dx = d_feature;
            k.input_gradient(&product, &read, pass.rows, scratch);
            PeriodicArgs<T> args = periodic(j, {0, pass.rows});
            args.dy = constant(d_feature);
            if (makes_dx) k.periodic_input_gradient(&args);
            if (makes_gradients) update(j, pass, args, constant(d_out));
        }
    }

    void update(std::size_t j, const Pass& pass, const PeriodicArgs<T>& args, Matrix<const T> d_out) const {
        Updates<T> own;
        const Updates<T>* updates = updates_for(*weight_rate * pass.rate(parameter), pass.updates, own);
        if (updates || !pass.updates) {
            WeightGradientArgs<T> product{};
            product.n_out = size;
            product.x = constant(args.y), product.dy = d_out;
            product.weight = below(weight, j * n_features, k.panel);
            product.gradient = below(weight_gradient, j * n_features, k.panel);
            product.weight_slots = slots_from(weight_slots, j * n_features * k.panel);
            const Block block{0, n_features, 0, panels(size)};
            k.weight_gradient(&product, &block, pass.rows, updates ? &updates->decaying : nullptr,
                              updates ? &updates->other : nullptr);
        }
        updates = updates_for(*frequency_rate * pass.rate(parameter + 1), pass.updates, own);
        if (!updates && pass.updates) return;
        k.periodic_gradient(&args);
        for (std::size_t p = 0; updates && p < panels(n_frequencies); ++p) {
            const std::size_t at = p * frequency.stride + j * k.panel;
            k.update(k.panel, frequency.data + at, frequency_gradient.data + at, slots_from(frequency_slots, at),
                     &updates->other);
        }
    }
};

}  // namespace

template <class T>
void PlanBuilder<T>::add_periodic_embedding(const Layer& layer) {
    const std::size_t x_index = last_value();
    const Value x = values_.back();
    const bool wants_dx = wants_gradient(x_index);
    begin_turn(layer);
    Value& y = add_value(layer.n_out, false);
    const Parameter<T>&weight = *network_.parameters()[layer.weight], &frequency = *network_.parameters()[layer.frequency];
    parts_.products += static_cast<double>(weight.rows * weight.columns) * (trains() ? 3 : 1);
    const auto made = std::make_shared<Embedding<T>>(k_, layer);
    Embedding<T>& e = *made;
    e.x = x.data, e.y = y.data, e.dy = y.gradient;
    if (wants_dx) e.dx = x.gradient;
    e.weight = weight.value.matrix(), e.frequency = frequency.value.matrix();
    e.weight_slots = slots_[layer.weight], e.frequency_slots = slots_[layer.frequency];
    e.weight_rate = &weight.lr_multiplier, e.frequency_rate = &frequency.lr_multiplier;
    for (std::size_t j = 0; j < (trains() ? e.columns.size() : 1); ++j) {
        e.features.push_back(allocate(e.n_features));
        e.outputs.push_back(allocate(layer.size));
    }
    parts_.forward.push_back([made](const Pass& pass, Share share) { made->forward(pass, share); });
    if (!trains()) return;

    for (std::size_t i = 0; i < most_members(e.columns.size()); ++i) {
        e.d_outputs.push_back(allocate(layer.size));
        e.d_features.push_back(allocate(2 * layer.n_frequencies));
    }
    e.weight_gradient = weight.gradient.matrix();
    e.frequency_gradient = stores() ? frequency.gradient.matrix() : allocate(frequency.rows, frequency.columns);
    const auto backward = [made, size = k_.scratch](bool makes_dx, bool makes_gradients) -> Item {
        return [=](const Pass& pass, Share share) { made->backward(pass, share, scratch<T>(size), makes_dx, makes_gradients); };
    };
    BackwardItems before, slope;
    if (wants_dx) {
        before.push_back([made](const Pass& pass, Share share) { made->pass_back(pass, share); });
        add_slope(slope, x_index);
    }
    BackwardItems whole = before, layerwise = before;
    whole.push_back(backward(wants_dx, true));
    if (wants_dx) layerwise.push_back(backward(true, false));
    layerwise.push_back({backward(false, true), Makes::parameter_gradient});
    for (BackwardItems* items : {&whole, &layerwise}) items->insert(items->end(), slope.begin(), slope.end());
    for (std::size_t i = whole.size(); i > 0; --i) prepend_whole(whole[i - 1].run);
    prepend_layerwise(layerwise, this_turn());
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
template void PlanBuilder<float>::add_periodic_embedding(const Layer&);
template void PlanBuilder<double>::add_periodic_embedding(const Layer&);

}  // namespace steepest::detail
