// What makes a plan's parts: the lists and the memory, and a function for each kind of layer. For the sources of
// plan_layers.hpp alone.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "network.hpp"
#include "plan.hpp"

namespace steepest::detail {

template <class T>
Matrix<const T> constant(Matrix<T> m) {
    return {m.data, m.stride};
}

// The slots of a parameter's numbers from `at` on.
template <class T>
Slots<T> slots_from(Slots<T> s, std::size_t at) {
    return {s.slot1 ? s.slot1 + at : nullptr, s.slot2 ? s.slot2 + at : nullptr};
}

// The numbers of column c, each `panel` behind the one before.
template <class T>
T* column_of(Matrix<T> m, std::size_t c, std::size_t panel) {
    return m.data ? m.data + c / panel * m.stride + c % panel : nullptr;
}

// The matrix from row `row` on.
template <class T>
Matrix<T> below(Matrix<T> m, std::size_t row, std::size_t panel) {
    return {m.data ? m.data + row * panel : nullptr, m.stride};
}

inline Block split_rows(Share share, std::size_t rows, std::size_t panels) {
    const Range part = share.split(rows);
    return {part.begin, part.end, 0, panels};
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

    void check_size() const;
    void add_dense(const Layer& layer, const Layer* activation);
    void add_dense_gradients(const Layer& layer, const Value& x, const Value& y, bool wants_dx);
    void add_activation(const Layer& layer);
    void add_dropout(const Layer& layer, std::uint32_t number);
    void add_batch_norm(const Layer& layer);
    void add_layer_norm(const Layer& layer);
    void add_feature_scale(const Layer& layer);
    void add_periodic_embedding(const Layer& layer);
    void add_piecewise_linear(const Layer& layer);
    void add_piecewise_linear_embedding(const Layer& layer);
    template <class F>
    void add_embedding(const Layer& layer, F features);
    void add_category_embedding(const Layer& layer);
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

    Matrix<T> allocate(std::size_t columns) { return allocate(parts_.capacity, columns); }
    Matrix<T> allocate(std::size_t rows, std::size_t columns);
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

}  // namespace steepest::detail
