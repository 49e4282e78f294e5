// What the program around the core wants of threads that wait or take long; the core itself knows no such program.
#pragma once

#include <chrono>

namespace steepest {

// Between two looks at the host: short for a person who presses Ctrl-C or a program that ends, long beside a step.
constexpr auto kPollInterval = std::chrono::milliseconds(50);

struct Host {
    // Around a wait: gives up what others may need to come to its end, and takes it back.
    void* (*pause)();
    void (*resume)(void*);
    // Throws where the calling thread shall end its work. Called by the thread that called the core, never by its team.
    void (*poll)();
};

// At most once, before any other thread uses the core; without it nothing is given up and all work goes on.
void set_host(const Host& host);
const Host& host();

// Looks at the host every kPollInterval or so.
class Poll {
public:
    bool is_due() {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_ < kPollInterval) return false;
        last_ = now;
        return true;
    }
    void look() {
        if (is_due()) host().poll();
    }

private:
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace steepest
