// Layer by layer: within a step, the layers with parameters move one after the other, each by its gradient at the point
// to which those before it have moved. And learning rates by how far each such turn moves the output.
#pragma once

#include <string>
#include <vector>

#include "plan.hpp"
#include "stored_update.hpp"
#include "targets.hpp"

namespace steepest {

enum class UpdateOrder { together, output_to_input, input_to_output };

// What the turns of one step work on; the batch has been read.
template <class T>
struct LayerwiseArgs {
    const Plan<T>& plan;
    Targets<T>& targets;
    PassArgs<T> pass;
    double weights;           // sum of the rows' weights
    StoredUpdate<T>* stored;  // null: the plan updates by itself
    const Updates<T>& updates;

    // Each member of a team calls these; the team meets at the end of each.
    void measure_cost(Share share) const;                 // the targets' loss chunks, and the gradient of the output
    void take_turn(std::size_t turn, Share share) const;  // after measure_cost: moves the parameters of one layer
    bool is_frozen(const Network<T>& network, std::size_t turn) const;
};

template <class T>
class Layerwise {
public:
    Layerwise(const Network<T>& network, UpdateOrder order);

    bool by_layer() const { return order_ != UpdateOrder::together; }

    // After a forward pass and its cost, of which `cost` is the sum over rows; ends early where a cost is not finite.
    void run(const LayerwiseArgs<T>& args, double cost, Share share);

    // Means over the rows since `begin`: the cost before the first turn, and after each.
    void begin();
    double end_step(double weights);  // takes in the last run's; returns the cost after its last turn, a sum over rows
    double cost(std::size_t turns_taken) const { return sums_[turns_taken] / weights_; }
    const std::vector<std::string>& layers() const { return layers_; }  // in the order of their turns

private:
    const Network<T>& network_;
    const UpdateOrder order_;
    std::vector<std::string> layers_;  // of each turn
    // Sums over rows, (turns + 1): before the first turn and after each. Those of the last step, and of all since `begin`.
    std::vector<double> costs_, sums_;
    double weights_ = 0;  // of the rows since `begin`
};

// Measures, one layer after the other and each from the same point, how far a turn moves the output for each unit of
// learning rate: it takes the turn, shortens the way to 1% of the layer's norm, and takes the layer back.
template <class T>
class RateEqualizer {
public:
    RateEqualizer(const Network<T>& network, const Plan<T>& plan, const std::vector<PanelMatrix<T>>& slots1,
                  const std::vector<PanelMatrix<T>>& slots2);

    // One thread calls this. `args` have a learning rate of 1. False where the cost is not finite.
    bool measure(const LayerwiseArgs<T>& args);
    // The geometric mean of the effects over each one's own: that, for each parameter. 1 where a turn had no effect.
    void set(std::vector<double>& rates) const;

private:
    struct Kept {
        std::vector<T> value, slot1, slot2;
    };

    // f(its value, slot1, slot2, what is kept of it) for each parameter of a layer
    template <class F>
    void each_parameter(std::size_t turn, F f);
    void keep(std::size_t turn);       // a copy of the layer's parameters and slots
    double shorten(std::size_t turn);  // the way that the parameters went, by the factor that it returns
    void take_back(std::size_t turn);  // all that was kept
    double effect_of(const LayerwiseArgs<T>& args, std::size_t turn);
    double output_moved(const LayerwiseArgs<T>& args) const;  // the norm of all outputs' ways since before any turn

    const Network<T>& network_;
    const std::vector<LayerTurn>& turns_;
    const std::vector<PanelMatrix<T>>&slots1_, &slots2_;
    std::vector<T> output_;        // before any turn
    std::vector<Kept> kept_;       // of the layer that is measured
    std::vector<double> effects_;  // of each turn; 0: none
};

}  // namespace steepest
