// A plan: a network, a number of rows and a mode, worked out once into straight lists of kernel calls (plan_layers.hpp
// makes them). A replay allocates nothing, decides nothing and takes no lock.
#pragma once

#include <functional>
#include <vector>

#include "adaptive_team.hpp"
#include "buffer.hpp"
#include "optimizer.hpp"

namespace steepest {

enum class Mode {
    infer,      // forward in inference mode
    gradients,  // forward and backward in training mode; the parameters' gradients are stored, and dx too
    store,      // the same without dx
    train       // forward and backward in training mode; each gradient goes straight into its parameter's update
};

// What may differ from one replay to the next.
template <class T>
struct PassArgs {
    std::size_t rows;                     // of this batch, at most the plan's capacity
    std::uint64_t seed;                   // for dropout
    std::uint32_t pass_index;             // number of this training pass, likewise
    const Updates<T>* updates = nullptr;  // Mode::train
    const double* rates = nullptr;        // of the parameters, on top of their multipliers; null: all 1

    double rate(std::size_t parameter) const { return rates ? rates[parameter] : 1; }
};

// One entry of a list. Each member of a team calls it with its own share of the work.
template <class T>
using PlanItem = std::function<void(const PassArgs<T>&, Share)>;

// A layer with parameters, where layers move one at a time.
struct LayerTurn {
    std::size_t first, last;  // its parameters: [first, last)
    std::size_t forward;      // place of its first item in the forward list
};

// Which gradients an item of a backward list makes. With Mode::train, a parameter's gradient includes its update.
enum class Makes { input_gradient, parameter_gradient, both };

// An entry of the backward list that goes layer by layer. Which of them run in `backward_to(turn)`:
//
//   item of ...                           input_gradient   parameter_gradient   both
//   a layer nearer to the output          runs             -                    runs
//   the layer of the turn                 -                runs                 runs
//   a layer nearer to the input           -                -                    -
//
// So an item that makes both must leave alone the parameters themselves. A dense layer's fused item updates them, and
// stands in the list of whole passes only; here the layer has two items, one for each gradient.
template <class T>
struct LayerwiseItem {
    PlanItem<T> run;
    Makes makes;
    std::size_t turn;  // of the item's layer; kNoTurn where that has no parameters
};
constexpr std::size_t kNoTurn = static_cast<std::size_t>(-1);

// What a plan is made of.
template <class T>
struct PlanParts {
    std::size_t capacity = 0;     // rows
    Matrix<T> input{}, output{};  // (capacity, n_in), (capacity, n_out)
    Matrix<T> input_gradient{};   // (capacity, n_in); Mode::gradients only
    Matrix<T> output_gradient{};  // (capacity, n_out); all but Mode::infer
    std::vector<PlanItem<T>> forward, commit, backward;
    std::vector<LayerwiseItem<T>> layerwise;  // the backward list again, for `backward_to`
    std::vector<LayerTurn> turns;             // in the order of the forward list
    double products = 0;                      // multiply-adds of a row
    std::vector<PanelMatrix<T>> memory;       // that the items point to
};

template <class T>
class Plan {
public:
    explicit Plan(PlanParts<T> parts) : parts_(std::move(parts)) {}

    std::size_t capacity() const { return parts_.capacity; }
    // Runs f(Share), which replays this plan on `rows` rows, on as many threads as that is worth.
    template <class F>
    void run_team(std::size_t rows, F& f) {
        team_.run(work(rows), f);
    }
    // How much work `rows` rows are, in floating-point operations; reading a weight costs as much as two rows' use of it.
    double work(std::size_t rows) const { return 2 * parts_.products * (static_cast<double>(rows) + 2); }

    Matrix<T> input() const { return parts_.input; }
    Matrix<T> output() const { return parts_.output; }
    Matrix<T> input_gradient() const { return parts_.input_gradient; }
    Matrix<T> output_gradient() const { return parts_.output_gradient; }

    // Each member of a team calls these with its share. The team meets between the items of a list, but not before the
    // first nor after the last.
    void forward(const PassArgs<T>& pass, Share share) const { run(parts_.forward, pass, share); }
    // After a forward pass that counts: running statistics take in its batch.
    void commit_running_stats(const PassArgs<T>& pass, Share share) const { run(parts_.commit, pass, share); }
    void backward(const PassArgs<T>& pass, Share share) const { run(parts_.backward, pass, share); }

    // Layer by layer: `backward_to` makes the gradient of one layer's parameters alone, and with Mode::train their update;
    // `forward_from` runs again what depends on them. The team meets after each item, the last one too.
    const std::vector<LayerTurn>& turns() const { return parts_.turns; }
    void forward_from(std::size_t turn, const PassArgs<T>& pass, Share share) const;
    void backward_to(std::size_t turn, const PassArgs<T>& pass, Share share) const;

private:
    static void run(const std::vector<PlanItem<T>>& list, const PassArgs<T>& pass, Share share);

    PlanParts<T> parts_;
    AdaptiveTeam team_;
};

}  // namespace steepest
