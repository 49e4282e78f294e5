#include "forks.hpp"

#include <mutex>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace steepest {

// The list of all such objects. Its own mutex is held for a few instructions, never while waiting, and across a fork by
// the thread that forks: so the child finds the list whole, and the mutex its own.
struct Forks {
    std::mutex mutex;
    Forked* first = nullptr;

    static Forks& all() {
        static Forks* const forks = [] {
            auto* made = new Forks;  // never destroyed: objects may outlive static ones
#if defined(__unix__) || defined(__APPLE__)
            pthread_atfork([] { all().mutex.lock(); }, [] { all().mutex.unlock(); }, [] { all().renew(); });
#endif
            return made;
        }();
        return *forks;
    }

    void renew() {
        mutex.unlock();
        for (Forked* object = first; object; object = object->next_) object->after_fork();
    }
};

Forked::Forked() {
    Forks& forks = Forks::all();
    const std::lock_guard<std::mutex> lock(forks.mutex);
    next_ = forks.first;
    if (next_) next_->previous_ = this;
    forks.first = this;
}

Forked::~Forked() {
    Forks& forks = Forks::all();
    const std::lock_guard<std::mutex> lock(forks.mutex);
    (previous_ ? previous_->next_ : forks.first) = next_;
    if (next_) next_->previous_ = previous_;
}

}  // namespace steepest
