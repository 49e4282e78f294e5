// Python's view of the core: check, take pointers, release the GIL, call, return. Nothing here computes.
#include <optional>

#include "../core/chooser.hpp"
#include "../core/dispatch.hpp"
#include "../core/parallel.hpp"
#include "../core/random.hpp"
#include "bind.hpp"

using namespace steepest;

// For controllers of thread pools, which find libraries by their symbols and call them without Python.
extern "C" {
[[gnu::visibility("default")]] int steepest_get_num_threads() { return static_cast<int>(get_num_threads()); }
[[gnu::visibility("default")]] void steepest_set_num_threads(int n) {
    set_num_threads(n < 1 ? 1 : static_cast<std::size_t>(n));
}
}

namespace {

// See TeamLimit; for the thread that enters it.
struct AloneScope {
    std::optional<TeamLimit> limit;
};

py::dict build_info() {
    py::dict info;
    info["version"] = STEEPEST_VERSION;
    info["isa"] = current_isa().name;
    info["available_isas"] = available_isas();
    info["threads"] = get_num_threads();
    info["compiler"] = STEEPEST_COMPILER;
    return info;
}

constexpr const char* kSetNumThreads = R"(Set the number of threads of the core.

Parameters
----------
n : int
    Threads, >= 1. Results do not depend on it.

Raises
------
ValueError
    If `n` is not within 1 ... 1024.

Examples
--------
>>> import steepest as st
>>> before = st.get_num_threads()
>>> st.set_num_threads(1)
>>> st.get_num_threads()
1
>>> st.set_num_threads(before)
)";

constexpr const char* kGetNumThreads = R"(Return the number of threads of the core.

Returns
-------
int
    At first STEEPEST_NUM_THREADS, or the processors that the process may use, within the quota of its control group and
    within OMP_NUM_THREADS.

Examples
--------
>>> import steepest as st
>>> st.get_num_threads() >= 1
True
)";

constexpr const char* kBuildInfo = R"(Say what runs here.

Returns
-------
dict
    "version", "isa" (the instruction set in use), "available_isas" (those of this machine), "threads" and "compiler".

Examples
--------
>>> import steepest as st
>>> sorted(st.build_info())
['available_isas', 'compiler', 'isa', 'threads', 'version']
)";

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    m.doc() = "The compiled core: networks, training and threads, without any convenience. Use `steepest` instead.";
    m.attr("__version__") = STEEPEST_VERSION;
    current_isa();  // an unknown STEEPEST_ISA is reported at import
    get_num_threads();

    m.def("set_num_threads", &set_num_threads, py::arg("n"), kSetNumThreads);
    m.def("get_num_threads", &get_num_threads, kGetNumThreads);
    py::class_<AloneScope>(m, "Alone")
        .def(py::init<>())
        .def("__enter__", [](AloneScope& self) { self.limit.emplace(1); })
        .def("__exit__", [](AloneScope& self, const py::args&) { self.limit.reset(); });
    py::class_<Chooser>(m, "Chooser")
        .def(py::init<std::size_t, std::size_t>(), py::arg("ways"), py::arg("first"))
        .def_property_readonly("way", &Chooser::way)
        .def("measures", &Chooser::measures)
        .def("record", &Chooser::record, py::arg("seconds"), py::arg("work"));
    m.def("team_sizes", &team_sizes, py::arg("threads"));
    m.def("set_isa", &set_isa, py::arg("name"));
    m.def("build_info", &build_info, kBuildInfo);
    m.def(
        "philox",
        [](const Words& counter, const std::array<std::uint32_t, 2>& key) {
            const Words words = philox(counter, std::uint64_t{key[1]} << 32 | key[0]);
            return py::make_tuple(words[0], words[1], words[2], words[3]);
        },
        py::arg("counter"), py::arg("key"));
    threads_worth(1e12);  // makes the team, which starts no thread yet: a fork must not find it half made
    bind_host(m);
    bind_kernels(m);
    bind_network(m);
    bind_tables(m);
    bind_trainer(m);
    bind_course(m);
}
