#include "access.hpp"

#include <new>
#include <stdexcept>
#include <utility>

#include "host.hpp"
#include "parallel.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#else
#include <functional>
#include <thread>
#endif

namespace steepest {
namespace {

constexpr int kSpins = 100;        // some microseconds: a small network's step is over by then
constexpr int kDrainSpins = 2000;  // a prediction of some rows

const char* const kTornText =
    "another thread was in the middle of a step on this network when this process was forked from its parent: "
    "its parameters are half of both, set them all by set_parameters";

const char* const kCircleText =
    "two threads that have reserved a network each (in a step that asks a loss or schedule of the caller's own) wait for each "
    "other's: let only one of them change the other's network";

thread_local LongRead* long_reads = nullptr;  // of this thread, the last one first

// What this thread has given up to wait, taken back where the wait fails.
class Pause {
public:
    Pause() : token_(host().pause()) {}
    ~Pause() noexcept(false) {
        if (token_) host().resume(token_);
    }
    Pause(const Pause&) = delete;
    void* keep() { return std::exchange(token_, nullptr); }

private:
    void* token_;
};

template <class W>
void append(W*& line, W* waiter) {
    W** end = &line;
    while (*end) end = &(*end)->next;
    *end = waiter;
}

template <class W>
void remove(W*& line, W* waiter) {
    for (W** at = &line; *at; at = &(*at)->next) {
        if (*at != waiter) continue;
        *at = waiter->next;
        return;
    }
}

}  // namespace

// A writer that waits, in a list of all: so that threads with reservations that wait for each other are found.
class WriterInLine {
public:
    explicit WriterInLine(const Access& access) : access_(access) {
        const std::lock_guard<std::mutex> lock(all.mutex);
        next_ = std::exchange(all.first, this);
    }
    ~WriterInLine() {
        const std::lock_guard<std::mutex> lock(all.mutex);
        WriterInLine** at = &all.first;
        while (*at != this) at = &(*at)->next_;
        *at = next_;
    }
    WriterInLine(const WriterInLine&) = delete;

    // Throws if who has reserved what this thread waits for waits, itself or by others, for what this thread has reserved.
    void refuse_circle() const {
        const std::lock_guard<std::mutex> lock(all.mutex);
        const WriterInLine* at = this;
        for (int steps = 0; at && steps < kMostSteps; ++steps) {
            const std::uintptr_t owner = at->access_.owner_.load();
            if (owner == thread_) throw std::runtime_error(kCircleText);
            for (at = owner ? all.first : nullptr; at && at->thread_ != owner;) at = at->next_;
        }
    }

private:
    static constexpr int kMostSteps = 1000;  // a circle of others is theirs to find

    struct All final : Forked {
        std::mutex mutex;  // guards the list; held for some instructions
        WriterInLine* first = nullptr;
        void after_fork() override {
            new (&mutex) std::mutex;
            first = nullptr;
        }
    };
    static All& all;  // never destroyed, as what it lists may outlive static objects

    const Access& access_;
    const std::uintptr_t thread_ = this_thread();
    WriterInLine* next_ = nullptr;
};

WriterInLine::All& WriterInLine::all = *new All;

const char* const kSameCall =
    "this call comes from within another one on the same object (from its loss, schedule, callback or a signal's handler): "
    "make it when that one has returned";

std::uintptr_t this_thread() {
#if defined(__APPLE__)
    return reinterpret_cast<std::uintptr_t>(pthread_self());
#elif defined(__unix__)
    return static_cast<std::uintptr_t>(pthread_self());
#else
    return std::hash<std::thread::id>()(std::this_thread::get_id()) | 1;
#endif
}

bool Access::is_read_here() const {
    for (const LongRead* read = long_reads; read; read = read->outer_) {
        if (&read->access_ == this) return true;
    }
    return false;
}

// Succeeds unless a writer has excluded readers; call with the mutex.
bool Access::try_read() {
    readers_.fetch_add(1);
    if (!(state_.load() & kExclusive)) return true;
    if (readers_.fetch_sub(1) == 1) changed_.notify_all();  // as `end_read`, with the mutex
    return false;
}

// Clears kWaiting when the last one has left its line; call with the mutex.
void Access::settle() {
    if (!reading_ && !writing_) state_.fetch_and(~kWaiting);
}

// Waits, by the mutex, until something may have changed, and looks at the host now and then.
void Access::pass_time(std::unique_lock<std::mutex>& lock, const WriterInLine* writer) {
    if (changed_.wait_for(lock, kPollInterval) == std::cv_status::no_timeout) return;
    lock.unlock();
    if (writer) writer->refuse_circle();
    host().poll();  // the lock is not held where this throws
    lock.lock();
}

void* Access::wait_to_read() {
    if (is_read_here()) return nullptr;  // counted again within the outer one, which the writer waits for anyway
    end_read();
    for (int spins = 0; spins < kSpins; ++spins) {
        if (state_.load() & kTorn) throw std::runtime_error(kTornText);
        if (!(state_.load() & kExclusive)) {
            readers_.fetch_add(1);
            if (!(state_.load() & kExclusive)) return nullptr;
            end_read();
        }
        relax();
    }
    Pause pause;
    Waiter me;
    std::unique_lock<std::mutex> lock(mutex_);
    append(reading_, &me);
    state_.fetch_or(kWaiting);
    try {
        while (!me.granted && !try_read()) pass_time(lock);
    } catch (...) {
        lock.lock();
        remove(reading_, &me);
        settle();
        lock.unlock();
        if (me.granted) end_read();
        throw;
    }
    if (!me.granted) remove(reading_, &me);
    settle();
    return pause.keep();
}

void* Access::wait_to_write(Claim claim, bool& held) {
    if (owner_.load() == this_thread()) {
        if (claim != Claim::set) throw std::runtime_error(kSameCall);
        held = false;
        return nullptr;
    }
    if (is_read_here()) throw std::runtime_error(kSameCall);
    const unsigned bits = claim == Claim::reserve ? kReserved : kReserved | kExclusive;
    void* paused = nullptr;
    unsigned found = 0;
    for (int spins = 0; spins < kSpins && !state_.compare_exchange_strong(found = 0, bits); ++spins) {
        if (found & kTorn) throw std::runtime_error(kTornText);
        relax();
    }
    if (found != 0) {
        Pause pause;
        Waiter me;
        const WriterInLine in_line(*this);
        std::unique_lock<std::mutex> lock(mutex_);
        append(writing_, &me);
        state_.fetch_or(kWaiting);
        try {
            while (writing_ != &me || (state_.load() & kReserved)) pass_time(lock, &in_line);
        } catch (...) {
            lock.lock();
            remove(writing_, &me);
            settle();
            lock.unlock();
            changed_.notify_all();  // the next one in line
            throw;
        }
        state_.fetch_or(bits);
        remove(writing_, &me);
        settle();
        paused = pause.keep();
    }
    held = true;
    if (claim == Claim::reserve) {
        owner_.store(this_thread());
        return paused;
    }
    if (readers_.load() == 0) return paused;
    try {
        void* const later = drain_or_leave();
        return later ? later : paused;
    } catch (...) {
        if (paused) host().resume(paused);
        throw;
    }
}

// Waits for the readers that came before this writer excluded them.
void* Access::drain() {
    if (is_read_here()) throw std::runtime_error(kSameCall);
    for (int spins = 0; spins < kDrainSpins; ++spins) {
        if (readers_.load() == 0) return nullptr;
        relax();
    }
    Pause pause;
    std::unique_lock<std::mutex> lock(mutex_);
    while (readers_.load() != 0) pass_time(lock);
    return pause.keep();
}

void* Access::drain_or_leave() {
    try {
        return drain();
    } catch (...) {
        end_write();
        throw;
    }
}

// The last reader that a writer waits for goes.
void Access::wake_drained() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
    }
    changed_.notify_all();
}

// Ends a writer's turn where somebody waits: all readers in line come in, before any other writer.
void Access::leave() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        state_.fetch_and(~(kReserved | kExclusive));
        for (Waiter* waiter = reading_; waiter;) {
            Waiter* const next = waiter->next;
            readers_.fetch_add(1);
            waiter->granted = true;
            waiter = next;
        }
        reading_ = nullptr;
        settle();
    }
    changed_.notify_all();
}

// Of readers, only this thread's own are left; of writers, its own reservation.
void Access::after_fork() {
    new (&mutex_) std::mutex;
    new (&changed_) std::condition_variable;
    reading_ = writing_ = nullptr;
    std::size_t readers = 0;
    for (const LongRead* read = long_reads; read; read = read->outer_) readers += &read->access_ == this;
    readers_ = readers;
    const unsigned state = state_;
    if (owner_.load() == this_thread()) {
        state_ = state & ~kWaiting;
        return;
    }
    owner_ = 0;
    state_ = state & (kExclusive | kTorn) ? kTorn : 0;
}

void ReadAccess::resume() const { host().resume(paused_); }
void WriteAccess::resume() const { host().resume(paused_); }

LongRead::LongRead(Access& access) : access_(access), reading_(access), outer_(long_reads) { long_reads = this; }
LongRead::~LongRead() noexcept(false) { long_reads = outer_; }

}  // namespace steepest
