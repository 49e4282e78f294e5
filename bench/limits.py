"""The machine's own limits, measured by a small C++ program that is compiled here and now."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from pathlib import Path


def measure(threads: int, rounds: int = 5) -> dict[str, float]:
    """Return FLOP/s of one and of `threads` threads, and bytes a second that `threads` read and update: the best."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "limits.so"
        source = Path(__file__).with_name("limits.cpp")
        compiler = os.environ.get("CXX", "c++")
        flags = ["-O3", "-march=native", "-ffp-contract=fast", "-std=c++17", "-shared", "-fPIC", "-pthread"]
        subprocess.run([compiler, *flags, str(source), "-o", str(library)], check=True)
        limits = ctypes.CDLL(str(library))
        limits.limits_flops.restype = limits.limits_bandwidth.restype = ctypes.c_double
        calls = {
            "flops_one": lambda: limits.limits_flops(1),
            "flops": lambda: limits.limits_flops(threads),
            "read": lambda: max(limits.limits_bandwidth(threads, 0, places) for places in (1, 4, 8)),
            "update": lambda: max(limits.limits_bandwidth(threads, 1, places) for places in (1, 4, 8)),
        }
        # A neighbor on the machine can only slow these down, so the best is the limit.
        return {name: max(call() for _ in range(rounds)) for name, call in calls.items()}
