// Updates by stored gradients, where a step must see all of them before it moves anything: clipping by global norm, and
// moving the largest alone.
#pragma once

#include <string>
#include <vector>

#include "network.hpp"
#include "optimizer.hpp"
#include "parallel.hpp"
#include "top_k.hpp"

namespace steepest {

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
    // Parameters of which the same fraction moves: those of one layer, or of the whole network.
    struct Group {
        // Set by lay_out:
        std::size_t first = 0, last = 0;  // its parameters: [first, last)
        std::size_t size = 0;             // numbers in them
        std::size_t quota = 0;            // how many of these move: those with the largest |gradient|
        std::size_t start = 0;            // where its candidates begin in candidates_
        // Set by find_buckets:
        BucketPlace kth{};           // where the quota-th largest is
        std::size_t candidates = 0;  // numbers in that bucket
        // Set by find_thresholds:
        T threshold = 0;  // the quota-th largest: the smallest that moves
        // Of the numbers that equal the threshold, the first that does not move; tie_parameter is `last` where all do.
        std::size_t tie_parameter = 0, tie_row = 0, tie_column = 0;
    };

    double multiplier(std::size_t i) const { return network_.parameters()[i]->lr_multiplier * rates_[i]; }
    bool moves(std::size_t i) const { return network_.parameters()[i]->trained && multiplier(i) != 0; }
    std::size_t panels(std::size_t i) const { return panels_of(network_.parameters()[i]->columns, network_.kernels().panel); }
    std::size_t panel_size(std::size_t i) const { return network_.parameters()[i]->rows * network_.kernels().panel; }
    const T* panel_gradient(std::size_t i, std::size_t panel) const {
        const Matrix<T> g = network_.parameters()[i]->gradient.matrix();
        return g.data + panel * g.stride;
    }
    // f for this member's share of the panels that move, of the parameters of the call. The share is the same each time.
    template <class F>
    void each_moving_panel(Share share, F f) const {
        each_panel(network_, first_, last_, share, [this](std::size_t i) { return moves(i); }, f);
    }

    void lay_out(std::size_t first, std::size_t last);
    void clip(Share share);
    void update(Share share) const;

    // The steps by which the numbers that move are found; the team meets after each.
    void count_buckets(Share share);
    void find_buckets(Share share);
    void collect_candidates(Share share);
    void find_thresholds(Share share);
    void find_ties(Group& group, std::size_t quota) const;
    std::size_t ties_in(const Group& group, std::size_t parameter, std::size_t panel) const;
    std::uint32_t* counts(std::size_t member, std::size_t group);  // (kBuckets, kCountCopies)
    std::size_t& offset(std::size_t member, std::size_t group) { return offsets_[member * groups_.size() + group]; }

    const Network<T>& network_;
    const Optimizer& optimizer_;
    const SlotMatrices &slots1_, &slots2_;
    const std::vector<double>& rates_;
    Updates<T> updates_{};              // of the call
    std::size_t first_ = 0, last_ = 0;  // the parameters of the call
    std::vector<double> squares_;       // of each panel that moves
    std::vector<Group> groups_;
    std::vector<std::size_t> group_of_;  // each parameter's
    std::vector<std::string> layer_of_;
    std::size_t members_ = 0;            // that there is room for
    std::vector<std::uint32_t> counts_;  // (members, groups, kBuckets, kCountCopies)
    std::vector<std::size_t> offsets_;   // (members, groups): where each member puts its next candidate
    Buffer<T> candidates_;               // of each group, from its `start`
};

}  // namespace steepest
