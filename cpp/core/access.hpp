// Who may read and who may write a network, at any number of threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "forks.hpp"

namespace steepest {

// What a writer asks for.
enum class Claim {
    reserve,  // no other writer; readers come and go until `exclude_readers`, while the caller's own code is asked
    exclude,  // no readers either
    set,      // as `exclude`; within this thread's own reservation it is a part of that
};

// A lock for readers and writers that costs each two atomic operations where nobody waits. It keeps this: while a thread
// holds it to read, nothing of a network and of what its trainers keep beside it changes; while a thread has excluded
// readers, nobody else looks at any of that.
//
// A writer first says that it writes and then looks for readers; a reader first counts itself and then looks for a writer:
// so at least one of two that come at once sees the other. Who waits does so in a line. A writer that leaves lets in all
// readers that wait, and the next writer then stops those that come later: neither starves the other.
class Access final : Forked {
public:
    Access() = default;

    // Each returns what `host().resume` takes back after the matching end, null where nobody was waited for.
    void* begin_read() {
        readers_.fetch_add(1);
        return state_.load() > kReserved ? wait_to_read() : nullptr;
    }
    void end_read() {
        if (readers_.fetch_sub(1) == 1 && (state_.load() & kExclusive)) wake_drained();
    }

    // `held` tells whether there is anything to end: not where the claim is a part of this thread's reservation.
    void* begin_write(Claim claim, bool& held) {
        unsigned free = 0;
        if (claim == Claim::reserve || !state_.compare_exchange_strong(free, kReserved | kExclusive)) {
            return wait_to_write(claim, held);
        }
        held = true;
        return readers_.load() != 0 ? drain_or_leave() : nullptr;
    }
    // After Claim::reserve; again is well.
    void* exclude_readers() {
        if (state_.load() & kExclusive) return nullptr;
        state_.fetch_or(kExclusive);
        return readers_.load() != 0 ? drain() : nullptr;
    }
    void end_write() {
        if (owner_.load(std::memory_order_relaxed) != 0) owner_.store(0, std::memory_order_relaxed);
        unsigned both = kReserved | kExclusive;
        if (!state_.compare_exchange_strong(both, 0)) leave();
    }

    // Everything is about to be written anew: what a fork has left half-written counts no more.
    void mend() { state_.fetch_and(~kTorn); }

private:
    friend class LongRead;
    friend class WriterInLine;

    // Bits of state_. Nobody's first claim succeeds while kWaiting stands, so that those in line come first.
    static constexpr unsigned kReserved = 1, kExclusive = 2, kWaiting = 4;
    static constexpr unsigned kTorn = 8;  // in a forked child: the parent's writer was in the middle of it

    struct Waiter {
        Waiter* next = nullptr;
        bool granted = false;
    };

    void* wait_to_read();
    void* wait_to_write(Claim claim, bool& held);
    void* drain();
    void* drain_or_leave();
    void leave();
    void wake_drained();
    bool try_read();
    void pass_time(std::unique_lock<std::mutex>& lock, const class WriterInLine* writer = nullptr);
    void settle();
    bool is_read_here() const;
    void after_fork() override;

    std::atomic<std::size_t> readers_{0};
    std::atomic<unsigned> state_{0};
    std::atomic<std::uintptr_t> owner_{0};  // the thread that has reserved and may ask the caller's own code meanwhile
    // mutex_ guards the lines and every change of state_ while kWaiting stands, but for a reservation's kExclusive.
    std::mutex mutex_;
    std::condition_variable changed_;
    Waiter *reading_ = nullptr, *writing_ = nullptr;  // the lines, the first at the front
};

// While it lives, nothing changes. Whoever calls the host's code meanwhile takes a LongRead.
class ReadAccess {
public:
    explicit ReadAccess(Access& access) : access_(access), paused_(access.begin_read()) {}
    ~ReadAccess() noexcept(false) {
        access_.end_read();
        if (paused_) resume();
    }
    ReadAccess(const ReadAccess&) = delete;

private:
    void resume() const;
    Access& access_;
    void* const paused_;
};

// The same, known as this thread's: if code of the host's, such as a handler of a signal, reads again, it does not wait, and
// if it writes, it is refused instead of waiting for itself.
class LongRead {
public:
    explicit LongRead(Access& access);
    ~LongRead() noexcept(false);
    LongRead(const LongRead&) = delete;

private:
    friend class Access;
    Access& access_;
    const ReadAccess reading_;
    LongRead* const outer_;
};

class WriteAccess {
public:
    WriteAccess(Access& access, Claim claim) : access_(access), paused_(access.begin_write(claim, held_)) {}
    ~WriteAccess() noexcept(false) {
        if (held_) access_.end_write();
        if (paused_) resume();
    }
    WriteAccess(const WriteAccess&) = delete;

    void exclude_readers() {
        if (void* const paused = access_.exclude_readers()) paused_ = paused;  // what is given up already, is not again
    }

private:
    void resume() const;
    Access& access_;
    bool held_ = false;
    void* paused_;
};

// Which thread this is, as a number that no other living one has.
std::uintptr_t this_thread();

// What a call is told that comes from within a call on the same object.
extern const char* const kSameCall;

}  // namespace steepest
