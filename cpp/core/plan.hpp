// A plan: a network, a number of rows and a mode, worked out once into a straight list of kernel calls.
// A pass allocates nothing, decides nothing and takes no lock.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "adaptive_team.hpp"
#include "network.hpp"
#include "optimizer.hpp"

namespace steepest {

enum class Mode {
    infer,      // forward in inference mode
    gradients,  // forward and backward in training mode; the parameters' gradients are stored, and dx too
    store,      // the same without dx
    train       // forward and backward in training mode; each gradient goes straight into its parameter's update
};

// What may differ from one pass to the next.
template <class T>
struct PassArgs {
    std::size_t rows;
    std::uint64_t seed;                   // for dropout
    std::uint32_t pass_index;             // number of this training pass, likewise
    const Updates<T>* updates = nullptr;  // train
    const double* rates = nullptr;        // of the parameters, on top of their multipliers; null: all 1

    // What an item that takes the gradient on to the input and has parameters of its own shall do of both.
    bool carries = true, owns = true;

    double rate(std::size_t parameter) const { return rates ? rates[parameter] : 1; }
};

template <class T>
class Plan {
public:
    // `slots` has an entry for each of the network's parameters where the mode is train; else it may be empty.
    Plan(Network<T>& network, std::size_t capacity, Mode mode, const std::vector<Slots<T>>& slots = {});

    std::size_t capacity() const { return capacity_; }
    // Runs f(Share), which replays this plan on `rows` rows, on as many threads as that is worth.
    template <class F>
    void run_team(std::size_t rows, F& f) {
        team_.run(work(rows), f);
    }
    // How much work `rows` rows are, in floating-point operations; reading a weight costs as much as two rows' use of it.
    double work(std::size_t rows) const { return 2 * products_ * (static_cast<double>(rows) + 2); }

    Matrix<T> input() const { return values_.front().data; }
    Matrix<T> output() const { return values_.back().data; }
    Matrix<T> input_gradient() const { return values_.front().gradient; }  // gradients only
    Matrix<T> output_gradient() const { return values_.back().gradient; }  // all but infer

    // Each member of a team calls these with its share. The team meets between the items of a list, but not before the
    // first nor after the last.
    void forward(const PassArgs<T>& pass, Share share) const { run(forward_, pass, share); }
    // After a forward pass that counts: running statistics take in its batch.
    void commit_running_stats(const PassArgs<T>& pass, Share share) const { run(commit_, pass, share); }
    void backward(const PassArgs<T>& pass, Share share) const { run(backward_, pass, share); }

    // The layers with parameters take their turns one by one: `forward_from` runs what depends on that layer's
    // parameters, `backward_to` makes the gradient of these alone, and with Mode::train the update.
    struct LayerTurn {
        std::size_t first, last;  // its parameters: [first, last)
        std::size_t forward;      // place of its first item in the list
    };
    const std::vector<LayerTurn>& turns() const { return turns_; }
    void forward_from(std::size_t turn, const PassArgs<T>& pass, Share share) const;
    void backward_to(std::size_t turn, const PassArgs<T>& pass, Share share) const;

private:
    enum class Part { carries, own, both };  // takes the gradient on to the input; makes or uses the parameters' gradient
    struct Item {
        template <class F>
        Item(F f, Part p = Part::carries) : run(std::move(f)), part(p) {}
        std::function<void(const PassArgs<T>&, Share)> run;
        Part part;
        std::size_t turn = kNone;  // of the backward list: the turn of the layer that it belongs to
    };
    using List = std::vector<Item>;

    // The output of a layer, (capacity, columns). Where that ends in an activation, `z` is what went into it, if its
    // slope needs that. A gradient is that of the output until the slope is applied, then that of z. Layers that change
    // gradients in place share one buffer.
    struct Value {
        std::size_t columns = 0;
        Matrix<T> data{}, gradient{}, z{};
        Activation activation = Activation::identity;
        T alpha = 0;
    };

    static void run(const List& list, const PassArgs<T>& pass, Share share);

    Matrix<T> allocate(std::size_t columns);
    T* allocate_vector(std::size_t columns);
    T* vector_gradient(std::size_t parameter);
    Value& add_value(std::size_t columns, bool shares_gradient);
    void add_dense(const Layer& layer, const Layer* activation);
    void add_dense_gradient(const Layer& layer, const Value& x, const Value& y, bool whole);
    void add_activation(const Layer& layer);
    void add_dropout(const Layer& layer, std::uint32_t number);
    void add_batch_norm(const Layer& layer);
    void add_layer_norm(const Layer& layer);
    void open_residual();
    void close_residual();
    Item sum(std::size_t columns, Matrix<T> a, Matrix<T> b, Matrix<T> y) const;
    void add_slope(List& items, std::size_t value) const;
    Item update_vectors(const Layer& layer, const T* weight_gradient, const T* bias_gradient) const;
    void begin_turn(const Layer& layer);  // call before the layer's items are made
    void prepend(List items, std::size_t turn = kNone);

    bool stores() const { return mode_ == Mode::gradients || mode_ == Mode::store; }
    bool trains() const { return mode_ != Mode::infer; }
    bool wants_gradient(std::size_t value) const { return trains() && (value > 0 || mode_ == Mode::gradients); }
    std::size_t panels(std::size_t columns) const { return panels_of(columns, k_.panel); }

    Network<T>& network_;
    const Kernels<T>& k_;
    const std::size_t capacity_;
    const Mode mode_;
    std::vector<Slots<T>> slots_;
    std::vector<PanelMatrix<T>> memory_;
    std::vector<Value> values_;
    struct Branch {
        std::size_t input;   // the value before the branch
        Matrix<T> gradient;  // of the sum
    };
    std::vector<Branch> open_;
    List forward_, commit_, backward_;
    std::vector<LayerTurn> turns_;
    double products_ = 0;  // multiply-adds of a row
    AdaptiveTeam team_;
};

}  // namespace steepest
