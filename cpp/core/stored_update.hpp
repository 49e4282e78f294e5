// Updates by stored gradients, where a step must see all of them before it moves anything: clipping by global norm, and
// moving the largest alone.
#pragma once

#include <vector>

#include "network.hpp"
#include "optimizer.hpp"
#include "parallel.hpp"

namespace steepest {

// f(parameter's index, its panel, number of the panel among all) for this member's share of the panels of those parameters
// in [first, last) that are wanted(index). The share is one of rows, of which the panels of a vector have one.
template <class T, class W, class F>
void each_panel(const Network<T>& network, std::size_t first, std::size_t last, Share share, W wanted, F f) {
    const auto panels = [&](std::size_t i) { return panels_of(network.parameters()[i]->columns, network.kernels().panel); };
    std::size_t total = 0, row = 0, number = 0;
    for (std::size_t i = first; i < last; ++i) total += wanted(i) ? panels(i) * network.parameters()[i]->rows : 0;
    const Range part = share.split(total);
    for (std::size_t i = first; i < last; ++i) {
        if (!wanted(i)) continue;
        for (std::size_t panel = 0; panel < panels(i); ++panel, ++number, row += network.parameters()[i]->rows) {
            if (row >= part.begin && row < part.end) f(i, panel, number);
        }
    }
}

template <class T>
class StoredUpdate {
public:
    using SlotMatrices = std::vector<PanelMatrix<T>>;

    // All are the trainer's and outlive this object. `rates` multiply the learning rate, beside the parameters' own.
    StoredUpdate(const Network<T>& network, const Optimizer& optimizer, const SlotMatrices& slots1, const SlotMatrices& slots2,
                 const std::vector<double>& rates);

    // Makes room for teams of up to `threads`; call before `apply`.
    void prepare(std::size_t threads);

    // Each member of a team calls this: updates parameters [first, last), which make one gradient.
    // The team meets before anything changes, and afterwards.
    void apply(std::size_t first, std::size_t last, const Updates<T>& updates, Share share);

private:
    // Parameters of which a share moves: those of one layer, or all.
    struct Group {
        std::size_t first, last;  // parameters
        std::size_t size;         // their numbers
        std::size_t quota;        // how many move
        std::size_t bucket, place;
        std::size_t candidates;                          // numbers in that bucket
        std::size_t start;                               // their place in candidates_
        T least;                                         // the smallest that moves,
        std::size_t tie_parameter, tie_row, tie_column;  // where it is the first not to move
    };

    double multiplier(std::size_t i) const { return network_.parameters()[i]->lr_multiplier * rates_[i]; }
    bool moves(std::size_t i) const { return network_.parameters()[i]->trained && multiplier(i) != 0; }
    std::size_t panels(std::size_t i) const { return panels_of(network_.parameters()[i]->columns, network_.kernels().panel); }
    // f for this member's share of the panels that move, of the parameters of the call.
    template <class F>
    void each_moving_panel(Share share, F f) const {
        each_panel(network_, first_, last_, share, [this](std::size_t i) { return moves(i); }, f);
    }

    void lay_out(std::size_t first, std::size_t last);
    void clip(Share share);
    void select(Share share);
    void find_ties(Group& group, std::size_t quota) const;
    std::size_t ties_in(const Group& group, std::size_t parameter, std::size_t panel) const;
    std::uint32_t* counts(std::size_t member, std::size_t group);

    const Network<T>& network_;
    const Optimizer& optimizer_;
    const SlotMatrices &slots1_, &slots2_;
    const std::vector<double>& rates_;
    Updates<T> updates_{};
    std::size_t first_ = 0, last_ = 0;  // the parameters of the call
    std::vector<double> squares_;       // of each panel
    std::vector<Group> groups_;
    std::vector<std::size_t> group_of_;  // each parameter's
    std::vector<std::string> layer_of_;
    std::size_t members_ = 0;
    std::vector<std::uint32_t> counts_;  // (members, groups, kBuckets * kCountCopies)
    std::vector<std::size_t> offsets_;   // (members, groups): where each member puts its next candidate
    Buffer<T> candidates_;
};

}  // namespace steepest
