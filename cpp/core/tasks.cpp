#include "tasks.hpp"

#include <algorithm>
#include <deque>
#include <mutex>

#include "chooser.hpp"
#include "host.hpp"
#include "parallel.hpp"

namespace steepest {
namespace {

// Those that are to be done. Of many, those that have begun are first, so that few have memory at a time; of few, they take
// turns, so that all are done at about the same time.
class Line {
public:
    Line(const std::vector<Task*>& tasks, std::size_t threads) : tasks_(tasks.begin(), tasks.end()), few_(4 * threads) {}

    std::size_t size() const { return tasks_.size(); }
    Task* front() const { return tasks_.front(); }
    Task* take() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (tasks_.empty()) return nullptr;
        Task* const first = tasks_.front();
        tasks_.pop_front();
        return first;
    }
    void put(Task* task) { tasks_.insert(tasks_.size() < few_ ? tasks_.end() : tasks_.begin(), task); }

private:
    std::mutex mutex_;
    std::deque<Task*> tasks_;
    const std::size_t few_;
};

// Each thread of its own until the time; returns the work done.
double run_side_by_side(Line& line, std::size_t threads, Clock::time_point until) {
    std::vector<double> works(threads);
    std::vector<Task*> unfinished(threads);
    auto member = [&](Share share) {
        const TeamLimit alone(1);
        do {
            Task* const task = line.take();
            if (!task) return;
            const double before = task->work();
            const bool goes_on = task->advance(until);
            works[share.index] += task->work() - before;
            if (goes_on) unfinished[share.index] = task;  // no other member takes it up before the time is over
        } while (!unfinished[share.index]);
    };
    run_team(threads, member);
    double done = 0;
    for (std::size_t i = 0; i < threads; ++i) {
        done += works[i];
        if (unfinished[i]) line.put(unfinished[i]);
    }
    return done;
}

double run_together(Line& line, Clock::time_point until) {
    Task* const task = line.take();
    const double before = task->work();
    if (task->advance(until)) line.put(task);
    return task->work() - before;
}

}  // namespace

void run_tasks(const std::vector<Task*>& tasks, std::size_t threads, std::size_t at_once,
               const std::function<void()>& on_progress) {
    enum Way : std::size_t { kSideBySide, kTogether, kWays };
    const TeamLimit limit(threads);
    at_once = std::min(at_once, team_threads());
    Line line(tasks, at_once);
    Chooser chooser(kWays, kSideBySide);
    while (line.size() > 0) {
        host().poll();
        if (on_progress) on_progress();
        const auto start = Clock::now(), until = start + kPollInterval;
        const std::size_t members = std::min(at_once, line.size());
        if (members == 1) {
            run_together(line, until);
        } else if (!line.front()->is_large()) {
            run_side_by_side(line, members, until);
        } else {
            const bool together = chooser.way() == kTogether, measures = chooser.measures();
            const double done = together ? run_together(line, until) : run_side_by_side(line, members, until);
            if (measures) chooser.record(std::chrono::duration<double>(Clock::now() - start).count(), std::max(done, 1.0));
        }
    }
    host().poll();
    if (on_progress) on_progress();
}

}  // namespace steepest
