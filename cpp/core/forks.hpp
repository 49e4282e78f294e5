// Objects with locks, in a process that forks: a child has one thread, and no lock may be held by one that is gone.
#pragma once

namespace steepest {

class Forked {
public:
    Forked(const Forked&) = delete;
    Forked& operator=(const Forked&) = delete;

protected:
    Forked();
    ~Forked();

    // In the child, by its only thread: makes locks anew, and what they kept whole. It may leak, and must not throw.
    virtual void after_fork() = 0;

private:
    friend struct Forks;
    Forked *previous_ = nullptr, *next_ = nullptr;
};

}  // namespace steepest
