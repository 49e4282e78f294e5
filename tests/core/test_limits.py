"""Sizes that no machine has, and memory that ends in the middle."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal, succeeds

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits a process's memory")

HUGE = [2**40, 2**53, 2**60, 2**61, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


@pytest.mark.parametrize("n_in", HUGE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "layer",
    [st.BatchNorm(), st.LayerNorm(), st.FeatureScale(), st.Dense(3), st.Dense(2**31), st.PeriodicEmbedding()],
    ids=lambda layer: type(layer).__name__,
)
def test_r09_inputs_that_overflow_are_refused_by_name(layer: Any, dtype: str, n_in: int) -> None:
    with pytest.raises((ValueError, MemoryError), match=r"n_in is|layer 0|network's parameters would take \d+ bytes"):
        st.Network(n_in, [layer], dtype=dtype)


@pytest.mark.parametrize("n_in", HUGE)
def test_r09_layers_without_parameters(n_in: int) -> None:
    """There is nothing to allocate: refused at once, or where rows are to be computed."""
    try:
        net = st.Network(n_in, [st.Dropout(0.5), st.Residual([st.Activation("relu")])])
    except ValueError as error:
        assert "n_in is" in str(error)
        return
    with pytest.raises((ValueError, MemoryError)):
        net.predict(np.broadcast_to(np.ones(1, "float32"), (1, n_in)))


@pytest.mark.parametrize("n", HUGE)
@pytest.mark.parametrize("name", ["n_frequencies", "size"])
@pytest.mark.parametrize("columns", [None, [3]])
def test_r09_embeddings_that_overflow(columns: Any, name: str, n: int) -> None:
    with pytest.raises((ValueError, MemoryError), match=rf"layer 0|{name} is|would take \d+ bytes"):
        st.Network(8, [st.PeriodicEmbedding(**{name: n, "columns": columns}), st.Dense(2)])


@pytest.mark.parametrize("n_in", HUGE)
def test_r09_an_embedding_of_one_of_many_columns(n_in: int) -> None:
    """Its parameters are few; rows of so many columns are refused."""
    try:
        net = st.Network(n_in, [st.PeriodicEmbedding(2, 2, columns=[5])])
    except ValueError as error:
        assert "n_in is" in str(error)
        return
    with pytest.raises((ValueError, MemoryError)):
        net.predict(np.broadcast_to(np.ones(1, "float32"), (1, n_in)))


@pytest.mark.parametrize("n_out", HUGE)
def test_r09_a_later_layer_that_overflows(n_out: int) -> None:
    with pytest.raises((ValueError, MemoryError), match=r"layer 1|n_out is|would take \d+ bytes"):
        st.Network(8, [st.Dense(4), st.Dense(n_out), st.BatchNorm()])


@pytest.mark.parametrize("rows", [2**40, 2**55, 2**58])
def test_r09_more_rows_than_memory(rows: int) -> None:
    net = st.Network(2, [st.Dense(3)])
    x = np.lib.stride_tricks.as_strided(np.ones((1, 2), "float32"), (rows, 2), (0, 4))
    y = np.lib.stride_tricks.as_strided(np.ones((1, 3), "float32"), (rows, 3), (0, 4))
    before = net._core.state()
    for work in (lambda: net.forward(x), lambda: net.predict(x), lambda: st.Trainer(net, "mse").step(x, y)):
        with pytest.raises((MemoryError, ValueError)):
            work()
    assert np.array_equal(net._core.state(), before)


def test_r29_networks_beyond_the_machine_say_their_bytes() -> None:
    with pytest.raises(MemoryError, match=r"the network's parameters would take 40\d{11} bytes: this machine has \d+"):
        st.Network(100, [st.Dense(10**10), st.Dense(1)])
    with pytest.raises(MemoryError, match=r"would take \d+ bytes"):
        st.Network(20_000, [st.Dense(20_000) for _ in range(10_000)])  # each by itself fits


def virtual_size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def memory_ends(threads: int, kind: str) -> None:
    """With any number of bytes left, work succeeds or raises MemoryError, and changes nothing then."""
    import resource

    st.set_num_threads(threads)
    embedding = st.PeriodicEmbedding(6, 5, columns=[0, 60])
    block = st.Residual([st.Dense(96, "relu"), embedding, st.Dense(96)])
    bins = st.PiecewiseLinearEmbedding(3, 2, columns=[5])
    layers = [
        st.CategoryEmbedding(3, 2, [7]),
        bins,
        st.FeatureScale(),
        embedding,
        st.Dense(96, "relu"),
        st.BatchNorm(),
        block,
        st.Dense(3),
    ]
    x, y = normal(0, (3000, 64)), normal(1, (3000, 3))
    net = st.Network(64, layers)
    optimizer = st.SGD(1e-3, momentum=0.9, clip_norm=1.0) if kind == "clip" else st.Adam(1e-3)
    trainer = st.Trainer(net, "mse", optimizer, ema=0.9 if kind == "ema" else None)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    refused = 0

    def limited(work: Callable[[], Any], left: int) -> bool:
        try:
            resource.setrlimit(resource.RLIMIT_AS, (virtual_size() + left, hard))
            work()
        except MemoryError:
            return False
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        return True

    def state() -> list[Any]:
        tensors, kept = trainer._core.snapshot()
        return [a.tobytes() for a in (*tensors.values(), *kept.values())]

    for i in range(60):
        rows, left = 500 + 41 * i, i * 40_000
        works = {
            "step": lambda: trainer.step(x[:rows], y[:rows]),  # noqa: B023
            "predict": lambda: net.predict(x[:rows]),  # noqa: B023
            "forward": lambda: net.forward(x[:rows]),  # noqa: B023
            "evaluate": lambda: trainer.evaluate(x[:rows], y[:rows]),  # noqa: B023
            "new": lambda: st.Trainer(st.Network(64, layers), "mse").step(x[:rows], y[:rows]),  # noqa: B023
        }
        for name, work in works.items():
            before = state()
            if not limited(work, left):
                refused += 1
                assert state() == before, (name, i)
    assert refused > 0
    assert np.isfinite(net.predict(x)).all()


@linux_only
@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("kind", ["adam", "clip", "ema"])
def test_r10_no_memory_in_the_middle(threads: int, kind: str) -> None:
    succeeds(memory_ends, threads, kind)


def files_without_memory(folder: str, left: int) -> None:
    """Model files of 4 MB are saved and read with less memory than that takes."""
    import resource

    net = st.Network(1000, [st.Dense(1000)])
    path = f"{folder}/net"
    net.save(path)
    st.load(path)
    before = Path(path).read_bytes()
    net.set_parameters({"0.bias": np.ones(1000)})
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    for work in (lambda: net.save(path), lambda: st.load(path)):
        resource.setrlimit(resource.RLIMIT_AS, (virtual_size() + left, hard))
        try:
            work()
            raise AssertionError("there was enough")
        except MemoryError:
            pass
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    assert Path(path).read_bytes() == before and os.listdir(folder) == ["net"]
    net.save(path)
    assert np.array_equal(st.load(path).parameters["0.bias"], np.ones(1000))


@linux_only
@pytest.mark.parametrize("left", [100_000, 2_000_000, 6_000_000])
def test_r10_no_memory_for_a_file(left: int, tmp_path: Path) -> None:
    succeeds(files_without_memory, str(tmp_path), left, MALLOC_MMAP_THRESHOLD_="65536")


def many_arrays(rows: int) -> None:
    """Each array of a step would fit, all of them would not: nothing is taken for any."""
    import resource

    net = st.Network(8, [st.Dense(8) for _ in range(300)])
    x = np.lib.stride_tricks.as_strided(np.ones((1, 8), "float32"), (rows, 8), (0, 4))
    trainer = st.Trainer(net, "mse")
    start = virtual_size()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (start + 16 * rows * 8 * 4, hard))
    with pytest.raises(MemoryError, match=rf"the arrays for {rows} rows at once would take \d+ bytes"):
        trainer.step(x, x)
    assert virtual_size() - start < 2**20


@linux_only
def test_r29_a_step_beyond_the_machine_says_its_bytes() -> None:
    succeeds(many_arrays, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (300 * 8 * 4))
