// What a call holds while the core works: the object, and not the GIL. And what the end of the interpreter waits for.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

#include "../core/access.hpp"

namespace steepest {

// The interpreter ends: work that runs is stopped, and none begins.
struct Ending {};

// Set once, with the GIL, by the handler of the interpreter's end.
inline std::atomic<bool> interpreter_ends{false};
// Calls that are within the core and have given the GIL away, or may while they ask Python code.
inline std::atomic<int> running_calls{0};

inline void refuse_at_the_end() {
    if (interpreter_ends.load(std::memory_order_relaxed)) throw Ending{};
}

// While it lives, the end of the interpreter waits for this thread. Made and ended with the GIL.
class RunningCall {
public:
    RunningCall() {
        running_calls.fetch_add(1);  // first, so that the end either sees it or is seen
        if (!interpreter_ends.load()) return;
        running_calls.fetch_sub(1);
        throw Ending{};
    }
    ~RunningCall() { running_calls.fetch_sub(1); }
    RunningCall(const RunningCall&) = delete;
};

// One user at a time; a second thread is told so instead of racing the first, and so is a call from within another.
class ExclusiveUse {
public:
    explicit ExclusiveUse(std::atomic<std::uintptr_t>& user) : user_(user) {
        std::uintptr_t found = 0;
        const std::uintptr_t me = this_thread();
        if (user.compare_exchange_strong(found, me)) return;
        throw std::runtime_error(found == me ? kSameCall : "this object is at work in another thread");
    }
    ~ExclusiveUse() { user_.store(0, std::memory_order_release); }
    ExclusiveUse(const ExclusiveUse&) = delete;

private:
    std::atomic<std::uintptr_t>& user_;  // 0: nobody
};

// Releases the GIL for `flops` of work, unless it is done before another thread could take a turn.
// Where the interpreter ends meanwhile, taking the GIL again ends this thread by unwinding its stack (until Python 3.14),
// which a destructor must be declared to allow; pybind11's own is not.
class GilRelease {
public:
    explicit GilRelease(double flops) {
        if (flops <= 1e5) return;
        call_.emplace();
        state_ = PyEval_SaveThread();
    }
    ~GilRelease() noexcept(false) {
        if (state_) PyEval_RestoreThread(state_);
    }
    GilRelease(const GilRelease&) = delete;

private:
    std::optional<RunningCall> call_;
    PyThreadState* state_ = nullptr;
};

// Guards an object of Python's that one thread replaces while another takes it: the GIL does that, where there is one.
#if defined(Py_GIL_DISABLED)
class ObjectLock final : Forked {
public:
    void lock() {
        while (held_.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
    }
    void unlock() { held_.store(false, std::memory_order_release); }

private:
    void after_fork() override { held_ = false; }
    std::atomic<bool> held_{false};
};
#else
struct ObjectLock {
    void lock() {}
    void unlock() {}
};
#endif

}  // namespace steepest
