// Whether work that comes again and again is worth a team of threads: found by trying.
#pragma once

#include <algorithm>
#include <chrono>

#include "parallel.hpp"

namespace steepest {

// A small network's threads spend their time on waiting and on fetching what the others have changed, and how long that
// takes depends on where the system has put them at the moment. So calls come in blocks, and the next block runs as the
// faster of the last two did; the other way is tried again now and then. The results are the same to the bit either way.
class AdaptiveTeam {
public:
    // Runs f(Share), which is so much work in floating-point operations, alone or on a team.
    template <class F>
    void run(double work, F& f) {
        if (work < kTried || work > kCertain || get_num_threads() == 1) {
            run_team(threads_worth(work), f);
            return;
        }
        if (costs_[0] == 0 && costs_[1] == 0 && calls_ == 0) shares_ = threads_worth(work) > 1;
        const auto start = std::chrono::steady_clock::now();
        run_team(shares_ ? get_num_threads() : 1, f);
        record(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), work);
    }

private:
    static constexpr double kTried = 3e5, kCertain = 3e7;  // one thread is the faster below, the team above
    static constexpr int kSettling = 2, kBlock = 16;       // calls: the first of a block wake threads and fill caches
    static constexpr double kPatience = 25;                // trials that change nothing take a twenty-fifth of the time
    static constexpr double kTooLong = 2;                  // blocks of the other way: a trial that takes them is over

    void record(double seconds, double work) {
        const double other = costs_[!shares_];
        spent_ += seconds;
        if (++calls_ > kSettling) seconds_ += seconds, work_ += work;
        // Where another program holds a processor, a single call may take as long as a thousand alone.
        const bool fails = tries_ && other > 0 && spent_ > kTooLong * kBlock * other * work;
        if (calls_ < kBlock && !fails) return;

        costs_[shares_] = calls_ > kSettling ? seconds_ / work_ : seconds / work;
        const bool faster = costs_[1] < costs_[0];
        if (tries_) {
            trial_ = spent_;
            patience_ = faster == shares_ ? 1 : std::min(2 * patience_, kPatience);
        } else {
            since_ += spent_;
        }
        calls_ = 0, spent_ = seconds_ = work_ = 0;
        tries_ = other == 0 || since_ >= patience_ * trial_;
        if (tries_) since_ = 0;
        shares_ = tries_ ? !shares_ : faster;
    }

    bool shares_ = false, tries_ = false;
    double costs_[2] = {0, 0};                   // seconds for an operation, alone and shared; 0 until tried
    double trial_ = 0, since_ = 0;               // seconds of the last trial, and since then
    double patience_ = 1;                        // for how many trials' time there is no other
    int calls_ = 0;                              // of this block
    double spent_ = 0, seconds_ = 0, work_ = 0;  // in it: seconds; the same and the work without the settling calls
};

}  // namespace steepest
