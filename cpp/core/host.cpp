#include "host.hpp"

namespace steepest {
namespace {

Host the_host{[]() -> void* { return nullptr; }, [](void*) {}, [] {}};

}  // namespace

void set_host(const Host& host) { the_host = host; }

const Host& host() { return the_host; }

}  // namespace steepest
