#include "memory.hpp"

#include <algorithm>
#include <fstream>

#include "forks.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace steepest {
namespace {

std::size_t read_total_memory() {
    std::size_t most = kMostBytes;
#if defined(_SC_PHYS_PAGES) && defined(_SC_PAGESIZE)
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    if (pages > 0 && size > 0) most = static_cast<std::size_t>(pages) * static_cast<std::size_t>(size);
#endif
    std::size_t granted = 0;
    if (std::ifstream("/sys/fs/cgroup/memory.max") >> granted && granted > 0) most = std::min(most, granted);
    return most;
}

std::atomic<std::size_t> memory_of_machine{0};

}  // namespace

std::size_t total_memory() { return kept_once(memory_of_machine, read_total_memory); }

void check_memory(std::size_t bytes, const std::string& what) {
    const std::size_t most = total_memory();
    if (bytes <= most) return;
    throw OutOfMemory(what + " would take " + std::to_string(bytes) + " bytes: this machine has " + std::to_string(most));
}

}  // namespace steepest
