#include "parallel.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#if defined(__linux__)
#include <sched.h>
#endif

#include "forks.hpp"

namespace steepest {
namespace {

using Clock = std::chrono::steady_clock;

constexpr long kMostThreads = 1024;
constexpr int kSpins = 5000;      // about 100 us: longer than the gap between two steps of a small network
constexpr int kShortSpins = 100;  // waits up to here are not worth a look at the clock

constexpr double kWorthWaking = 3e6;  // below it, to wake a second thread costs more than it brings

constexpr std::size_t kSpareBytes = 1 << 16;

// A library's own variables of a thread are given to it at the first look at one, where a lack of memory ends the process:
// this look comes when memory has just been there.
thread_local volatile char looked_at = 0;
void own_thread_locals() {
    looked_at = std::uncaught_exceptions() >= 0;  // those of exceptions, too
    scratch<float>(0), scratch<double>(0);        // which are noted for the thread's end
}
thread_local std::size_t team_limit = static_cast<std::size_t>(-1);  // see TeamLimit

// Throws where a new thread could not have its own variables.
void look_for_memory() {
    const Buffer<char> spare(kSpareBytes);
    *static_cast<volatile char*>(spare.data()) = 1;
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Spins until `ready` holds; gives the processor away when that takes long, for the others may need it to get here.
// Returns the seconds that a long wait took.
template <class F>
double spin_until(F ready) {
    for (int spins = 0; spins < kShortSpins; ++spins) {
        if (ready()) return 0;
        relax();
    }
    const Clock::time_point start = Clock::now();
    for (int spins = kShortSpins; !ready(); ++spins) {
        if (spins < kSpins) {
            relax();
        } else {
            std::this_thread::yield();
        }
    }
    return seconds_since(start);
}

// Whether several threads are worth it at the moment. Where other programs hold the processors, a team spends its time
// waiting for members that do not run: if that was more than half of it, one thread alone would have been faster. It then
// works alone for as long, and twice as long each time that it finds it so again, until such tries cost 5%.
class Contention {
public:
    bool alone() const {
        const Clock::rep until = alone_until_.load(std::memory_order_relaxed);
        return until != 0 && Clock::now().time_since_epoch().count() < until;
    }

    // Called by the thread that holds the team, after each region.
    void record(double seconds, double waited) {
        seconds_ += seconds;
        waited_ += waited;
        if (seconds_ < kJudged) return;
        if (waited_ > seconds_ / 2) {
            const auto rest = std::chrono::duration<double>(std::min(repaid_ * waited_, kLongest));
            alone_until_ = (Clock::now() + std::chrono::duration_cast<Clock::duration>(rest)).time_since_epoch().count();
            repaid_ = std::min(2 * repaid_, kRepaid);
        } else {
            repaid_ = 1;
        }
        seconds_ = waited_ = 0;
    }

private:
    static constexpr double kJudged = 0.02;  // seconds of team work: one stall by the scheduler is a small part of that
    static constexpr double kRepaid = 20, kLongest = 0.5;
    std::atomic<Clock::rep> alone_until_{0};
    double repaid_ = 1;  // rests as long as it waited, and longer each time that it meets the others again
    double seconds_ = 0, waited_ = 0;
};

class Team {
public:
    void run(std::size_t threads, void (*function)(void*, Share), void* context) {
        if (busy_.exchange(true, std::memory_order_acquire)) {
            function(context, Share{0, 1, nullptr});
            return;
        }
        const Clock::time_point start = Clock::now();
        threads = hire(threads - 1) + 1;
        Barrier barrier(threads);
        function_ = function;
        context_ = context;
        barrier_ = &barrier;
        failed_ = false;
        members_ = threads;
        finished_.store(0, std::memory_order_relaxed);
        generation_.fetch_add(1);
        if (sleepers_.load() > 0) {
            const std::lock_guard<std::mutex> lock(mutex_);
            wake_.notify_all();
        }
        take_part(Share{0, threads, &barrier});
        const double waited = spin_until([&] { return finished_.load(std::memory_order_acquire) == hired_; });
        contention_.record(seconds_since(start), barrier.waited() + waited);
        const std::exception_ptr failure = std::exchange(failure_, nullptr);
        busy_.store(false, std::memory_order_release);
        if (failure) std::rethrow_exception(failure);
    }

    // Whether one thread alone is faster at the moment.
    bool rests() const { return contention_.alone(); }

private:
    // Never throws. Of what several members throw, the first is kept: others see their team abandoned.
    void take_part(Share share) {
        try {
            function_(context_, share);
        } catch (const Abandoned&) {
        } catch (...) {
            if (!failed_.exchange(true)) failure_ = std::current_exception();
            barrier_->abandon();
        }
    }

    // Has at least `workers` workers, or as many as the system grants; returns how many of them to use.
    std::size_t hire(std::size_t workers) {
        try {
            for (; hired_ < workers; ++hired_) {
                look_for_memory();
                std::thread(&Team::work, this, hired_ + 1, generation_.load()).detach();
                while (started_.load() <= hired_) std::this_thread::yield();
            }
        } catch (const std::exception&) {  // no more threads, or no memory: the result is the same with fewer
        }
        return std::min(workers, hired_);
    }

    void work(std::size_t index, std::size_t seen) {
        own_thread_locals();
        started_.fetch_add(1);
        const FlushSubnormals flush;
        for (;;) {
            for (int spins = 0; generation_.load() == seen && spins < kSpins; ++spins) relax();
            if (generation_.load() == seen) {
                std::unique_lock<std::mutex> lock(mutex_);
                ++sleepers_;
                wake_.wait(lock, [&] { return generation_.load() != seen; });
                --sleepers_;
            }
            ++seen;
            if (index < members_) take_part(Share{index, members_, barrier_});
            finished_.fetch_add(1, std::memory_order_release);
        }
    }

    Contention contention_;
    std::atomic<bool> busy_{false};
    alignas(kCacheLineBytes) std::atomic<std::size_t> generation_{0};
    alignas(kCacheLineBytes) std::atomic<std::size_t> finished_{0};
    alignas(kCacheLineBytes) std::atomic<std::size_t> sleepers_{0};
    void (*function_)(void*, Share) = nullptr;
    void* context_ = nullptr;
    Barrier* barrier_ = nullptr;
    std::size_t members_ = 0, hired_ = 0;
    std::atomic<std::size_t> started_{0};  // workers that have all that a thread is given
    std::atomic<bool> failed_{false};      // whether a member of this region has thrown
    std::exception_ptr failure_;           // what; written by one member before it finishes, read when all have
    std::mutex mutex_;
    std::condition_variable wake_;
};

// Never destroyed: its threads are detached and may still sleep in it when the process ends. A forked child has none
// of the threads and starts a team of its own.
struct ProcessTeam final : Forked {
    ProcessTeam() { own_thread_locals(); }
    Team* team = new Team;
    void after_fork() override { team = new Team; }
};
ProcessTeam& process = *new ProcessTeam;

// Processors that the control group grants, rounded up; 0 where it sets no limit.
std::size_t quota() {
    std::ifstream file("/sys/fs/cgroup/cpu.max");
    std::string limit;
    double period = 0;
    if (!(file >> limit >> period) || limit == "max" || period <= 0) return 0;
    const double cpus = std::strtod(limit.c_str(), nullptr) / period;
    return cpus > 0 ? static_cast<std::size_t>(cpus + 0.999) : 0;
}

std::size_t default_threads() {
    if (const char* text = std::getenv("STEEPEST_NUM_THREADS"); text && *text) {
        char* end = nullptr;
        const long n = std::strtol(text, &end, 10);
        if (*end != '\0' || n < 1 || n > kMostThreads) {
            throw std::invalid_argument("STEEPEST_NUM_THREADS is '" + std::string(text) + "', expected a number from 1 to " +
                                        std::to_string(kMostThreads));
        }
        return static_cast<std::size_t>(n);
    }
    std::size_t n = std::max(1u, std::thread::hardware_concurrency());
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = std::max<std::size_t>(1, static_cast<std::size_t>(CPU_COUNT(&set)));
#endif
    if (const std::size_t granted = quota(); granted > 0) n = std::min(n, granted);
    // joblib and others share out the processors by this variable; what it should not hold is its owner's to refuse
    if (const char* text = std::getenv("OMP_NUM_THREADS")) {
        if (const long shared = std::strtol(text, nullptr, 10); shared > 0) n = std::min(n, static_cast<std::size_t>(shared));
    }
    return n;
}

std::atomic<std::size_t> num_threads{0};  // 0: not asked for yet

}  // namespace

FlushSubnormals::FlushSubnormals() {
#if defined(__x86_64__)
    constexpr unsigned kFlush = 0x8040;  // results, and operands are taken for zero
    const unsigned found = __builtin_ia32_stmxcsr();
    mode_ = found;
    changed_ = (found & kFlush) != kFlush;  // to set it takes longer than to look
    if (changed_) __builtin_ia32_ldmxcsr(found | kFlush);
#elif defined(__aarch64__)
    asm volatile("mrs %0, fpcr" : "=r"(mode_));
    asm volatile("msr fpcr, %0" : : "r"(mode_ | std::uint64_t{1} << 24));
#else
    mode_ = 0;
#endif
}

FlushSubnormals::~FlushSubnormals() {
#if defined(__x86_64__)
    if (changed_) __builtin_ia32_ldmxcsr(static_cast<unsigned>(mode_));
#elif defined(__aarch64__)
    asm volatile("msr fpcr, %0" : : "r"(mode_));
#endif
}

void Barrier::wait(bool leads) {
    const std::size_t arrived = arrivals_.fetch_add(1, std::memory_order_acq_rel) + 1;
    const std::size_t all = (arrived + members_ - 1) / members_ * members_;  // when this meeting is complete
    if (arrived == all) return;
    const double waited = spin_until(
        [&] { return arrivals_.load(std::memory_order_acquire) >= all || abandoned_.load(std::memory_order_relaxed); });
    if (arrivals_.load(std::memory_order_acquire) < all) throw Abandoned{};
    if (leads) waited_ += waited;
}

void set_num_threads(std::size_t n) {
    if (n < 1 || n > kMostThreads) {
        throw std::invalid_argument("n is " + std::to_string(n) + ", expected a number from 1 to " +
                                    std::to_string(kMostThreads));
    }
    num_threads = n;
}

std::size_t get_num_threads() { return kept_once(num_threads, default_threads); }

TeamLimit::TeamLimit(std::size_t threads) : outer_(team_limit) { team_limit = std::min(outer_, threads); }
TeamLimit::~TeamLimit() { team_limit = outer_; }

std::size_t team_threads() { return std::min(team_limit, get_num_threads()); }

std::size_t threads_worth(double work) {
    if (work < kWorthWaking) return 1;
    const std::size_t threads = team_threads();
    return threads == 1 || process.team->rests() ? 1 : threads;
}

void detail::run_team(std::size_t threads, void (*function)(void*, Share), void* context) {
    process.team->run(threads, function, context);
}

}  // namespace steepest
