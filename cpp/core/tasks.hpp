// Work that can be laid down and taken up again, such as trainings, by all threads at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

namespace steepest {

using Clock = std::chrono::steady_clock;

class Task {
public:
    virtual ~Task() = default;
    // Goes on until the time, or a little later; false when nothing is left to do. By one thread at a time, not always the
    // same.
    virtual bool advance(Clock::time_point until) = 0;
    // Whether it may be faster with all threads on it than several such tasks with a thread each, for they would drive each
    // other out of the caches.
    virtual bool is_large() const = 0;
    double work() const { return work_; }  // done so far, in floating-point operations

protected:
    double work_ = 0;
};

// Runs all tasks to their ends on up to `threads` threads, `at_once` of them at a time: small ones with a thread each, large
// ones so or one after the other with all threads on each, whichever is found to be faster. Looks at the host every
// kPollInterval or so, and calls `on_progress` if it is not empty; what these or a task throws ends all, between two of their
// steps.
void run_tasks(const std::vector<Task*>& tasks, std::size_t threads, std::size_t at_once,
               const std::function<void()>& on_progress = {});

}  // namespace steepest
