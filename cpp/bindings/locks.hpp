// What a call holds while the core works: the object, and not the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <stdexcept>

namespace steepest {

// One user at a time; a second thread is told so instead of racing the first.
class ExclusiveUse {
public:
    explicit ExclusiveUse(std::atomic<bool>& busy) : busy_(busy) {
        if (busy.exchange(true)) throw std::runtime_error("this object is at work in another thread");
    }
    ~ExclusiveUse() { busy_ = false; }
    ExclusiveUse(const ExclusiveUse&) = delete;

private:
    std::atomic<bool>& busy_;
};

// Releases the GIL for `flops` of work, unless it is done before another thread could take a turn.
// Where the interpreter ends meanwhile, taking the GIL again ends this thread by unwinding its stack (until Python 3.14),
// which a destructor must be declared to allow; pybind11's own is not.
class GilRelease {
public:
    explicit GilRelease(double flops) : state_(flops > 1e5 ? PyEval_SaveThread() : nullptr) {}
    ~GilRelease() noexcept(false) {
        if (state_) PyEval_RestoreThread(state_);
    }
    GilRelease(const GilRelease&) = delete;

private:
    PyThreadState* state_;
};

}  // namespace steepest
