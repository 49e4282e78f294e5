// How many threads work that comes again and again is worth: found by trying.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "chooser.hpp"
#include "parallel.hpp"

namespace steepest {

// A small network's threads spend their time on waiting and on fetching what the others have changed, and how long that
// takes depends on where the system has put them at the moment. The results are the same to the bit at any number of them.
class AdaptiveTeam {
public:
    // Runs f(Share), which is so much work in floating-point operations, alone or on a team.
    template <class F>
    void run(double work, F& f) {
        if (work < kTried) return run_team(1, f);
        const std::size_t threads = team_threads(), worth = threads_worth(work);
        if (threads == 1 || (work > kCertain && (threads == 2 || worth == 1))) return run_team(worth, f);
        if (sizes_.empty() || sizes_.back() != threads) {
            sizes_ = team_sizes(threads);
            chooser_.emplace(sizes_.size(), worth > 1 ? sizes_.size() - 1 : 0);
        }
        const std::size_t size = sizes_[chooser_->way()];
        if (!chooser_->measures()) return run_team(size, f);
        const auto start = std::chrono::steady_clock::now();
        run_team(size, f);
        chooser_->record(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), work);
    }

private:
    static constexpr double kTried = 3e5, kCertain = 3e7;  // one thread is the faster below, two are above

    std::vector<std::size_t> sizes_;
    std::optional<Chooser> chooser_;
};

}  // namespace steepest
