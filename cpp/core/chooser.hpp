// Which of several ways of doing the same is the fastest: found by trying.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace steepest {

// For calls that come again and again, and up to 64 ways that stand in an order in which costs change steadily, such as sizes
// of a team. Calls come in blocks: one as before, and one in each way beside the best, which is kept if it is faster by more
// than chance. When none is, calls are only looked at now and then, and for longer each time that such a trial has changed
// nothing, until trials take a twenty-fifth of the time. The first trial, and one after calls have become dearer, also tries
// the first way and the last. A block costs as its median call does: one that the system has interrupted says nothing.
class Chooser {
public:
    Chooser(std::size_t ways, std::size_t first)
        : ways_(std::min(ways, kMostWays)), best_(std::min(first, ways_ - 1)), way_(best_) {}

    std::size_t way() const { return way_; }  // of the next call
    // Whether `record` is to follow the next call. To be asked once for each call.
    bool measures() {
        if (ways_ == 1) return false;
        if (resting_ == 0 || slower_ > 0) return true;
        return --resting_ % kLook == 0;
    }

    void record(double seconds, double work) {
        if (resting_ > 0) return look(seconds / work);
        spent_ += seconds, work_ += work;
        if (++calls_ > kSettling) costs_[calls_ - kSettling - 1] = seconds / work;
        const double calls = static_cast<double>(calls_);
        // A call in another way may take as long as a thousand: where another program holds a processor, for one.
        const bool fails = way_ != best_ && spent_ > kTooLong * cost_ * work_ / calls * kBlock;
        if (calls_ < kBlock && !fails) return;
        const double cost = fails ? spent_ / work_ : median(), spent = spent_;
        calls_ = 0, spent_ = work_ = 0;
        if (way_ == best_) {
            cost_ = cost, call_seconds_ = spent / calls;
            trial_seconds_ = 0, changed_ = false;
            tried_ = bit(best_);
        } else {
            trial_seconds_ += spent;
            if (cost < kFaster * cost_) best_ = way_, cost_ = cost, changed_ = true;
        }
        if (!try_next()) rest();
    }

private:
    static constexpr std::size_t kMostWays = 64;
    static constexpr std::size_t kSettling = 2, kBlock = 16;  // calls: the first of a block wake threads and fill caches
    static constexpr std::size_t kLook = 32;                  // calls from one look to the next
    static constexpr int kSure = 3;                           // looks in a row that say the same
    static constexpr double kFaster = 0.985;                  // of the cost before: less is chance
    static constexpr double kSlower = 1.25;                   // of the cost before: less is chance, or a single call's
    static constexpr double kPatience = 25;                   // times as long as a trial that changed nothing, at most
    static constexpr double kTooLong = 2;                     // blocks as before: a trial that takes them is over

    static std::uint64_t bit(std::size_t way) { return std::uint64_t{1} << way; }

    double median() {
        const auto middle = costs_ + (kBlock - kSettling) / 2;
        std::nth_element(costs_, middle, costs_ + kBlock - kSettling);
        return *middle;
    }
    // The next way that this trial has not seen, if there is one.
    bool try_next() {
        for (const std::size_t way : {best_ - 1, best_ + 1, ways_ - 1, std::size_t{0}}) {
            if (way >= ways_ || tried_ & bit(way)) continue;
            if (!afar_ && way + 1 != best_ && way != best_ + 1) continue;
            way_ = way, tried_ |= bit(way);
            return true;
        }
        return false;
    }
    void rest() {
        way_ = best_, afar_ = false;
        patience_ = changed_ ? 1 : std::min(2 * patience_, kPatience);
        const double calls = kBlock + patience_ * trial_seconds_ / call_seconds_;
        resting_ = calls > 1e9 ? 1000000000 : static_cast<std::size_t>(calls);
    }
    // A call while nothing is tried: where it has become dearer, something else is to be found out.
    void look(double cost) {
        slower_ = cost > kSlower * cost_ ? slower_ + 1 : 0;
        if (slower_ == kSure) resting_ = 0, slower_ = 0, patience_ = 1, afar_ = true;
    }

    std::size_t ways_, best_, way_;
    std::uint64_t tried_ = 0;  // ways of this trial, a bit for each
    bool afar_ = true;         // whether it tries the first and the last way
    bool changed_ = false;     // whether it has found a better one
    double cost_ = 0;          // of the best way, in seconds for a unit of work
    double call_seconds_ = 0, trial_seconds_ = 0, patience_ = 0.5;
    std::size_t calls_ = 0, resting_ = 0;  // calls of this block; until the next trial
    int slower_ = 0;                       // looks in a row that found calls dearer
    double spent_ = 0, work_ = 0;          // of this block
    double costs_[kBlock - kSettling];     // of its calls but the first
};

// Sizes of a team that are tried where there are so many threads: powers of two, and all.
inline std::vector<std::size_t> team_sizes(std::size_t threads) {
    std::vector<std::size_t> sizes;
    for (std::size_t size = 1; size < threads; size *= 2) sizes.push_back(size);
    sizes.push_back(threads);
    return sizes;
}

}  // namespace steepest
