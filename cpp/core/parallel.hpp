// The team of threads. Every member runs the same list; each takes its share of every item; they meet at barriers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "buffer.hpp"

namespace steepest {

// Within a loop that waits: lets the processor's other thread work.
inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Memory of this thread, for one call.
template <class T>
T* scratch(std::size_t size) {
    thread_local Buffer<T> buffer;
    if (buffer.size() < size) buffer = Buffer<T>(size);
    return buffer.data();
}

struct Range {
    std::size_t begin, end;
};

// What ends the other members of a team where one has thrown.
struct Abandoned {};

// Where the members of a team wait for each other. What one thread waits for shares no cache line with what another writes.
class Barrier {
public:
    explicit Barrier(std::size_t members) : members_(members) {}
    void wait(bool leads);
    void abandon() { abandoned_.store(true); }  // by a member that will not come any more: all that wait throw Abandoned
    double waited() const { return waited_; }   // seconds that the leader lost here in long waits

private:
    const std::size_t members_;
    std::atomic<bool> abandoned_{false};
    double waited_ = 0;
    alignas(kCacheLineBytes) std::atomic<std::size_t> arrivals_{0};  // at all meetings
};

// One member's part of the work. Of a size that goes from call to call in registers.
struct Share {
    std::uint32_t index, count;
    Barrier* barrier;

    constexpr Share(std::size_t i, std::size_t n, Barrier* b)
        : index(static_cast<std::uint32_t>(i)), count(static_cast<std::uint32_t>(n)), barrier(b) {}

    bool leads() const { return index == 0; }
    void sync() const {
        if (count > 1) barrier->wait(leads());
    }
    // This member's part of n items, in whole multiples of `unit`.
    Range split(std::size_t n, std::size_t unit = 1) const {
        if (count == 1) return {0, n};
        const std::size_t units = (n + unit - 1) / unit;
        const std::size_t begin = units * index / count * unit, end = units * (index + 1) / count * unit;
        return {begin < n ? begin : n, end < n ? end : n};
    }
};

void set_num_threads(std::size_t n);
std::size_t get_num_threads();
// While it lives, this thread takes teams of so many threads at most, however much work it has: with 1, it is one of several
// that work beside each other.
class TeamLimit {
public:
    explicit TeamLimit(std::size_t threads);
    ~TeamLimit();
    TeamLimit(const TeamLimit&) = delete;

private:
    std::size_t outer_;
};
std::size_t team_threads();  // that this thread may share work with, itself among them
// How many threads this much work, in floating-point operations, is worth at this moment.
std::size_t threads_worth(double work);

// While it lives, this thread takes subnormal numbers for zero: on many machines each costs a hundred cycles and more, and
// late in training weights may be full of them. The caller's mode comes back at the end.
class FlushSubnormals {
public:
    FlushSubnormals();
    ~FlushSubnormals();
    FlushSubnormals(const FlushSubnormals&) = delete;

private:
    std::uint64_t mode_;
    bool changed_ = true;
};

namespace detail {
void run_team(std::size_t threads, void (*function)(void*, Share), void* context);
}

// Runs f(Share) on up to `threads` members, the caller first among them, and returns when all are done. What a
// member throws ends the others at their next meeting, and is thrown again here. A call that finds the team at work for another
// thread runs alone: the result is the same, whatever the count.
template <class F>
void run_team(std::size_t threads, F& f) {
    const FlushSubnormals flush;
    if (threads < 2) {
        f(Share{0, 1, nullptr});
        return;
    }
    detail::run_team(threads, [](void* context, Share share) { (*static_cast<F*>(context))(share); }, &f);
}

}  // namespace steepest
