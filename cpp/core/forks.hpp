// Objects with locks, in a process that forks: a child has one thread, and no lock may be held by one that is gone.
//
// For the same reason no function of the core but one has a static variable that code of its own makes: a child would find
// that half made by another thread of its parent, and wait for it forever.
#pragma once

#include <atomic>

namespace steepest {

class Forked {
public:
    Forked(const Forked&) = delete;
    Forked& operator=(const Forked&) = delete;

protected:
    Forked();
    ~Forked();

    // In the child, by its only thread: makes locks anew, and what they kept whole. It may leak, and must not throw. Nothing
    // for an object that another thread of the parent was making or deleting, which nobody will use.
    virtual void after_fork() {}

private:
    friend struct Forks;
    Forked *previous_ = nullptr, *next_ = nullptr;
};

// What make() gives, kept once it is made; two threads may make it at once. `kept` starts as null or zero, for not yet.
template <class T, class F>
T kept_once(std::atomic<T>& kept, F make) {
    const T found = kept.load(std::memory_order_acquire);
    if (found != T{}) return found;
    T none{};
    const T made = make();
    return kept.compare_exchange_strong(none, made) ? made : none;
}

}  // namespace steepest
