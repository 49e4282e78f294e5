// Python as the core's host: waits without the GIL, Ctrl-C, and the end of the interpreter.
#include <chrono>
#include <condition_variable>
#include <thread>

#include "../core/forks.hpp"
#include "../core/host.hpp"
#include "../core/memory.hpp"
#include "arrays.hpp"
#include "bind.hpp"
#include "locks.hpp"

namespace steepest {
namespace {

constexpr auto kPatience = std::chrono::seconds(1);  // with calls that run when the interpreter ends

// The thread that Python runs handlers of signals in.
std::atomic<std::uintptr_t> main_thread{0};

// In a forked child, the thread that forked is the main one, and no call of another one runs.
class Child final : Forked {
    void after_fork() override {
        main_thread = this_thread();
        running_calls = 0;
    }
};

// Nobody waits with the GIL: who is waited for may need it.
void* pause() {
    if (!PyGILState_Check()) return nullptr;
    running_calls.fetch_add(1);
    return PyEval_SaveThread();
}

void resume(void* token) {
    PyEval_RestoreThread(static_cast<PyThreadState*>(token));
    running_calls.fetch_sub(1);
}

void poll() {
    refuse_at_the_end();
    if (main_thread.load(std::memory_order_relaxed) != this_thread()) return;
    const py::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

// A thread beside the main one can only be a daemon by now: it ends without a word, as Python's own threads do.
void translate_ending(std::exception_ptr error) {
    try {
        if (error) std::rethrow_exception(error);
    } catch (const Ending&) {
        const bool is_main = main_thread.load(std::memory_order_relaxed) == this_thread();
        PyErr_SetString(is_main ? PyExc_RuntimeError : PyExc_SystemExit, "the interpreter is ending");
    }
}

// Stops all calls, and waits for them: a thread within the core could not take the GIL again once the interpreter is gone.
void end_calls() {
    interpreter_ends = true;
    const py::gil_scoped_release release;
    const auto limit = std::chrono::steady_clock::now() + kPatience;
    while (running_calls.load() > 0 && std::chrono::steady_clock::now() < limit) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

}  // namespace

void bind_host(py::module_& m) {
    const py::object main = py::module_::import("threading").attr("main_thread")();
    const auto python_id = main.attr("ident").cast<unsigned long>();
    main_thread = python_id == PyThread_get_thread_ident() ? this_thread() : static_cast<std::uintptr_t>(python_id);
    new Child;               // for as long as the process lives
    py::dtype::of<float>();  // NumPy's functions are found by an import, in which a thread may lose the GIL: now, not later
    set_host({pause, resume, poll});
    m.def("total_memory", total_memory);
    py::register_exception_translator(translate_ending);
    py::module_::import("atexit").attr("register")(py::cpp_function(end_calls));
}

}  // namespace steepest
