// Columns of labels: each picks the row of a table that is learned.
#include "plan_builder.hpp"

namespace steepest::detail {
namespace {

// Neighboring columns that stay: `n` of x from `from` on stand in y from `to` on.
struct Stay {
    std::size_t from, to, n;
};

std::vector<Stay> staying(const Layer& layer) {
    std::vector<bool> is_label(layer.n_in);
    for (const std::size_t c : layer.columns) is_label[c] = true;
    std::vector<Stay> found;
    std::size_t to = 0;
    for (std::size_t c = 0; c < layer.n_in; ++c) {
        if (is_label[c]) continue;
        if (found.empty() || c != found.back().from + found.back().n) found.push_back({c, to, 0});
        ++found.back().n, ++to;
    }
    return found;
}

// Everything that the items of one such layer work with.
template <class T>
struct Categories {
    using Pass = PassArgs<T>;

    const Kernels<T>& k;
    const std::vector<std::size_t> columns, n_labels;
    const std::vector<Stay> stay;
    const std::size_t n_stay, size;
    Matrix<T> x{}, y{}, dx{}, dy{};  // of the layer
    Matrix<T> weight{}, gradient{};  // (all labels and two more of each column, size): the tables one below the other
    Slots<T> slots{};
    std::size_t parameter = 0;
    const double* rate = nullptr;        // multiplier of the learning rate
    std::vector<std::size_t> rows = {};  // of the weight, the first of each table

    Categories(const Kernels<T>& kernels, const Layer& layer)
        : k(kernels), columns(layer.columns), n_labels(layer.n_labels), stay(staying(layer)),
          n_stay(layer.n_in - layer.columns.size()), size(layer.size), parameter(layer.weight) {
        std::size_t row = 0;
        for (const std::size_t n : n_labels) rows.push_back(row), row += n + 2;
    }

    PickArgs<T> pick(std::size_t j, Range part) const {
        PickArgs<T> args{};
        args.row0 = part.begin, args.row1 = part.end, args.n_labels = n_labels[j], args.n = size;
        args.x = column_of(x, columns[j], k.panel);
        args.table = constant(below(weight, rows[j], k.panel));
        args.y = y, args.column = n_stay + j * size, args.dy = constant(dy);
        args.gradient = below(gradient, rows[j], k.panel);
        return args;
    }

    // y = [the columns that are no labels, the row of each label's table], by rows.
    void forward(const Pass& pass, Share share) const {
        const Range part = share.split(pass.rows);
        for (const Stay& s : stay) {
            const CopyArgs<T> copy{part.begin, part.end, s.n, constant(x), s.from, y, s.to};
            k.copy_columns(&copy);
        }
        for (std::size_t j = 0; j < columns.size(); ++j) {
            const PickArgs<T> args = pick(j, part);
            k.pick(&args);
        }
    }

    // dx = dy of the columns that stayed, and 0 of labels, by rows.
    void pass_back(const Pass& pass, Share share) const {
        const Range part = share.split(pass.rows);
        for (const Stay& s : stay) {
            const CopyArgs<T> copy{part.begin, part.end, s.n, constant(dy), s.to, dx, s.from};
            k.copy_columns(&copy);
        }
        for (const std::size_t c : columns) {
            T* const own = column_of(dx, c, k.panel);
            for (std::size_t row = part.begin; row < part.end; ++row) own[row * k.panel] = T(0);
        }
    }

    // Members share out panels of tables: each sums over all rows, in their order.
    void update(const Pass& pass, Share share) const {
        Updates<T> own;
        const Updates<T>* updates = updates_for(*rate * pass.rate(parameter), pass.updates, own);
        if (!updates && pass.updates) return;
        const std::size_t panels = panels_of(size, k.panel);
        const Range part = share.split(columns.size() * panels);
        for (std::size_t i = part.begin; i < part.end; ++i) {
            const std::size_t j = i / panels, panel = i % panels, at = panel * weight.stride + rows[j] * k.panel;
            PickArgs<T> args = pick(j, {0, pass.rows});
            args.gradient_panel = panel;
            k.pick_gradient(&args);
            if (!updates) continue;
            k.update((n_labels[j] + 2) * k.panel, weight.data + at, gradient.data + at, slots_from(slots, at),
                     &updates->decaying);
        }
    }
};

}  // namespace

template <class T>
void PlanBuilder<T>::add_category_embedding(const Layer& layer) {
    const std::size_t x_index = last_value();
    const Value x = values_.back();
    const bool wants_dx = wants_gradient(x_index);
    begin_turn(layer);
    Value& y = add_value(layer.n_out, false);
    const Parameter<T>& weight = *network_.parameters()[layer.weight];
    parts_.products += static_cast<double>(layer.columns.size() * layer.size) * (trains() ? 2 : 1);
    const auto made = std::make_shared<Categories<T>>(k_, layer);
    made->x = x.data, made->y = y.data, made->dy = y.gradient;
    made->weight = weight.value.matrix(), made->slots = slots_[layer.weight], made->rate = &weight.lr_multiplier;
    parts_.forward.push_back([made](const Pass& pass, Share share) { made->forward(pass, share); });
    if (!trains()) return;
    if (wants_dx) made->dx = x.gradient;
    made->gradient = stores() ? weight.gradient.matrix() : allocate(weight.rows, weight.columns);
    BackwardItems items;
    if (wants_dx) items.push_back([made](const Pass& pass, Share share) { made->pass_back(pass, share); });
    items.push_back({[made](const Pass& pass, Share share) { made->update(pass, share); }, Makes::parameter_gradient});
    if (wants_dx) add_slope(items, x_index);
    prepend(items, this_turn());
}

template void PlanBuilder<float>::add_category_embedding(const Layer&);
template void PlanBuilder<double>::add_category_embedding(const Layer&);

}  // namespace steepest::detail
