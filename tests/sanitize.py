"""The tests with a sanitizer in the compiled core: `python tests/sanitize.py address [arguments of pytest]`, or thread.

address finds reads and writes out of bounds and undefined behavior; thread, what two threads do to the same memory with
no lock between. The core is built anew in a temporary folder; where the compiler has no such library, as Clang and the
GCC of some systems have not, that is said, and nothing is done.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

LIBRARIES = {"address": ("libasan.so", "libstdc++.so"), "thread": ("libtsan.so",)}
OPTIONS = {
    # Python's own leaks are not looked for, and a refused allocation must come back as an error.
    "address": {"ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"},
    # The exit status is what tells of a race; a child that was forked beside threads may start some of its own.
    "thread": {
        "TSAN_OPTIONS": f"suppressions={ROOT / 'tests' / 'sanitizers.supp'}:exitcode=66:die_after_fork=0:"
        "detect_deadlocks=0"  # it ends where a fork takes the locks of another package's allocator, over 64
    },
}
TESTS = {
    "address": ["tests"],
    "thread": [
        *(f"tests/core/test_{name}.py" for name in ("threads", "thread_rule", "signals")),
        *(
            f"tests/training/test_many.py::test_{name}"
            for name in (
                "fits_in_several_threads_at_once",
                "large_networks_are_as_by_themselves",
                "ctrl_c_leaves_whole_networks",
                "progress_grows_to_at_most_the_total",
                "a_learning_rate_that_is_set_meanwhile_stays",
            )
        ),
    ],
}
# What cannot hold beside a sanitizer.
LEFT_OUT = {
    "address": {
        "tests/core/test_memory.py": "measures memory, of which the sanitizer takes as much again",
        "tests/core/test_limits.py": "limits memory, without which the sanitizer itself ends",
        "tests/core/test_thread_rule.py::test_r06_no_child_hangs": "its allocator's locks do not survive a fork",
        "tests/explain/test_explain_browser.py": "the browser does not start beside it",
        "tests/project/test_hardening.py": "a core with it is built without hardening",
    },
    "thread": {
        "tests/core/test_thread_rule.py::test_r06_no_child_hangs": "a fork takes long with its memory",
        "tests/core/test_signals.py::test_r08_ctrl_c_ends_long_work": "the core is slower than is allowed",
    },
}


def libraries(kind: str) -> list[str]:
    """Return the paths of what must be loaded first, for Python links to none of it; none where one is missing."""
    found = []
    for name in LIBRARIES[kind]:
        command = [*os.environ.get("CXX", "c++").split(), f"-print-file-name={name}"]
        path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        if not Path(path).is_absolute():
            print(f"The compiler has no {name}: the {kind} sanitizer is skipped.")
            return []
        found.append(path)
    return found


def main() -> None:
    kind, *arguments = sys.argv[1:]
    preload = libraries(kind)
    if not preload:
        return
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"cmake.define.STEEPEST_SANITIZE={kind}", "cmake.build-type=RelWithDebInfo", "install.strip=false"]
        install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", f"--target={folder}", ROOT]
        subprocess.run([*install, *(f"-C{setting}" for setting in settings)], check=True)
        # Reports go to files: what a test that passes writes is not shown.
        options = {name: f"{text}:log_path={folder}/report" for name, text in OPTIONS[kind].items()}
        environment = os.environ | options | {"PYTHONPATH": folder, "LD_PRELOAD": ":".join(preload)}
        found = [sys.executable, "-c", "import steepest._core as core; print(core.__file__)"]
        path = subprocess.run(found, env=environment, capture_output=True, text=True, check=True).stdout.strip()
        if not path.startswith(folder):  # an editable install comes before all other folders
            sys.exit(f"the core comes from {path}: run this where steepest is not installed to be edited")
        left_out = [f"--deselect={name}" for name in LEFT_OUT[kind]]
        tests = arguments or TESTS[kind]
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *left_out, *tests]
        for name, reason in LEFT_OUT[kind].items():
            print(f"without {name}: {reason}")
        commands = [command]
        if kind == "thread" and not arguments:
            # It knows no threads that begin in a child which was forked beside others: one in thousands ends or hangs.
            commands.append([sys.executable, "tests/stress/threads.py", "1", "fork"])
        codes = [subprocess.run(each, cwd=ROOT, env=environment).returncode for each in commands]
        for report in sorted(Path(folder).glob("report.*")):
            print(report.read_text(errors="replace"))
        sys.exit(max(map(abs, codes)))


if __name__ == "__main__":
    main()
