"""Memory: none is lost, training allocates none once it runs, and little is needed at the peak."""

from __future__ import annotations

import ctypes
import itertools
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import steepest as st
from helpers import normal, succeeds

MB = 2**20

needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory in Linux's /proc")


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """The most that `resident` has been. Not of getrusage, whose number begins with the parent process's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def predicts(dtype: str) -> None:
    predict = st.Network(8, [st.Dense(32, "relu"), st.Dense(1)], dtype=dtype).predict
    x = normal(1, (1, 8), "float32")

    def repeat(times: int) -> None:
        for _ in itertools.repeat(None, times):
            predict(x)

    repeat(10_000)
    before = resident()
    repeat(1_000_000)
    assert resident() - before < 2 * MB


def makes_and_deletes() -> None:
    x, y = normal(1, (8, 8)), normal(2, (8, 1))
    layers = [st.Dense(32, "relu"), st.BatchNorm(), st.Dropout(0.1), st.Dense(1)]

    def repeat(times: int) -> None:
        for _ in range(times):
            st.Trainer(st.Network(8, layers), "mse").fit(x, y, epochs=1)

    repeat(500)
    before = resident()
    repeat(10_000)
    assert resident() - before < 10 * MB


def peaks(threads: int) -> None:
    st.set_num_threads(threads)
    width = 3072  # its weights take more than the copy that fit keeps of smaller networks
    x = normal(1, (16, width), "float32")
    start = resident()
    net = st.Network(width, [st.Dense(width, "relu"), st.Dense(width)])
    st.Trainer(net, "mse", st.SGD(0.01, momentum=0.9)).fit(x, x, epochs=2, batch_size=16)
    growth = peak() - start
    weights_and_velocities = 2 * 4 * 2 * (width + 1) * width
    assert weights_and_velocities <= growth < 1.1 * weights_and_velocities + 8 * MB, f"{growth / MB:.1f} MB"


@needs_proc
def test_predict_loses_no_memory(dtype: str) -> None:
    """In float64 the row is converted."""
    succeeds(predicts, dtype)


@needs_proc
def test_networks_and_trainers_lose_no_memory() -> None:
    succeeds(makes_and_deletes)


@needs_proc
@pytest.mark.parametrize("threads", [1, 2])
def test_peak_is_little_more_than_weights_and_velocities(threads: int) -> None:
    """No gradients, and no second copy in another layout."""
    succeeds(peaks, threads)


# Takes the place of the C library's functions, through which operator new, NumPy and Python go too. Not Python's small
# objects, which come from its own pools.
COUNTER = r"""
#include <atomic>
#include <cerrno>
#include <cstddef>

static std::atomic<long> count{0};

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

long allocations() { return count; }
void* malloc(std::size_t size) { ++count; return __libc_malloc(size); }
void* calloc(std::size_t n, std::size_t size) { ++count; return __libc_calloc(n, size); }
void* realloc(void* old, std::size_t size) { ++count; return __libc_realloc(old, size); }
void* memalign(std::size_t alignment, std::size_t size) { ++count; return __libc_memalign(alignment, size); }
void* aligned_alloc(std::size_t alignment, std::size_t size) { ++count; return __libc_memalign(alignment, size); }
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
    ++count;
    *out = __libc_memalign(alignment, size);
    return *out ? 0 : ENOMEM;
}
}
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a library that counts allocations, to be loaded before all others."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("counts allocations by names of glibc")
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    if not shutil.which(compiler[0]):
        pytest.skip(f"needs a C++ compiler, and there is no {compiler[0]}")
    folder = tmp_path_factory.mktemp("counter")
    source, library = folder / "counter.cpp", folder / "counter.so"
    source.write_text(COUNTER)
    subprocess.run([*compiler, "-O1", "-fno-builtin", "-fPIC", "-shared", "-o", library, source], check=True)
    return str(library)


class Case(NamedTuple):
    layers: list[Any]
    optimizer: Callable[[], Any]
    loss: str = "mse"
    options: dict[str, Any] = {}  # noqa: RUF012  (a tuple's field, never changed)


CASES = {
    "sgd": Case([st.Dense(128, "relu"), st.Dense(128, "tanh"), st.Dense(3)], lambda: st.SGD(0.01, momentum=0.9)),
    "adam": Case([st.Dense(128, "gelu"), st.Dense(128), st.Dense(3)], lambda: st.Adam(clip_norm=1.0), "cross_entropy"),
    "dropout": Case([st.Dense(128, "relu"), st.Dropout(0.5), st.Dense(128), st.Dropout(0.1), st.Dense(3)], st.AdamW),
    "norms": Case(
        [st.Dense(128), st.BatchNorm(), st.Residual([st.Dense(128, "mish"), st.LayerNorm()]), st.Dense(3)], st.RMSprop
    ),
    "embeddings": Case(
        [
            st.FeatureScale(),
            st.PeriodicEmbedding(5, 4, columns=[0, 63]),
            st.Dense(128, "relu"),
            st.PeriodicEmbedding(3, 1),
            st.Dense(3),
        ],
        lambda: st.AdamW(clip_norm=1.0),
    ),
    "bins and labels": Case(
        [
            st.CategoryEmbedding([3, 20], 5, [1, 60]),
            st.PiecewiseLinearEmbedding(5, 4, columns=[0, 60]),
            st.Dense(128, "relu"),
            st.PiecewiseLinearEmbedding(3),
            st.Dense(3),
        ],
        lambda: st.AdamW(clip_norm=1.0),
    ),
    "fraction": Case(
        [st.Dense(128, "relu"), st.BatchNorm(), st.Dense(128), st.Dense(3)],
        lambda: st.SGD(0.01, momentum=0.9, fraction=0.1, fraction_of="network"),
    ),
    "turns": Case(
        [st.Dense(128, "relu"), st.Residual([st.Dense(128, "relu"), st.LayerNorm()]), st.Dense(3)],
        lambda: st.SGD(0.01, fraction=0.9, clip_norm=1.0),
        options={"update_order": "output_to_input", "layer_rates": "equal_effect"},
    ),
    "extras": Case(
        [st.Dense(128, "relu"), st.Dense(3)], st.Adam, "cross_entropy", {"accumulate": 2, "ema": 0.9, "mixup": 0.2}
    ),
}


def counting(action: Callable[[], Any]) -> int:
    """How often memory is allocated meanwhile."""
    allocations = ctypes.CDLL(None).allocations
    allocations.restype = ctypes.c_long
    before: int = allocations()
    action()
    return int(allocations()) - before


def trains_without_allocating(case: str) -> None:
    layers, optimizer, loss, options = CASES[case]
    assert counting(lambda: ctypes.create_string_buffer(10_000)) > 0
    for threads, dtype in itertools.product([1, 2], ["float32", "float64"]):
        st.set_num_threads(threads)
        trainer = st.Trainer(st.Network(64, layers), loss, optimizer(), **options)
        x = normal(1, (3200, 64), dtype)
        y = np.arange(3200) % 3 if loss == "cross_entropy" else x[:, :3]

        def epoch(rows: int, trainer: st.Trainer = trainer, x: Any = x, y: Any = y) -> float:
            return trainer._core.run_epoch(x[:rows], y[:rows], None, 32, True, None)

        def steps(times: int, trainer: st.Trainer = trainer, x: Any = x[:16], y: Any = y[:16]) -> None:
            for _ in itertools.repeat(None, times):
                trainer.step(x, y)

        counts = []
        for rows in (320, 3200):
            for _ in range(5):  # alone and on a team: whichever comes first
                epoch(rows)
            counts.append(counting(partial(epoch, rows)))
        assert counts[0] == counts[1], f"{threads} threads, {dtype}: {counts} allocations at 320 and 3200 rows"
        steps(50)
        count = counting(lambda: steps(1000))
        assert count == 0, f"{threads} threads, {dtype}: {count} allocations in 1000 steps"


@pytest.mark.parametrize("case", CASES)
def test_training_allocates_nothing_once_it_runs(case: str, counter: str) -> None:
    succeeds(trains_without_allocating, case, LD_PRELOAD=counter)
