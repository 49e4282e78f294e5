"""Same seed, same bits, whatever the number of threads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import steepest as st
from helpers import normal, refusal, targets_for

THREADS = [1, 2, 3]
# Of the core: below the first one thread works, from the second on several at first; then what is faster.
WORTH_SHARING, WORTH_WAKING = 3e5, 3e6


@pytest.fixture(autouse=True)
def threads_are_restored() -> Iterator[None]:
    before = st.get_num_threads()
    yield
    st.set_num_threads(before)


class Case(NamedTuple):
    n_in: int
    layers: list[Any]
    optimizer: Callable[[], Any]
    rows: int
    batch_size: int
    loss: str = "mse"
    shared: bool = True  # whether a batch is work enough for several threads


CASES = {
    "momentum": Case(
        100, [st.Dense(150, "relu"), st.Dense(130, "tanh"), st.Dense(10)], lambda: st.SGD(0.05, momentum=0.9), 256, 128
    ),
    "dropout, adam, odd batches": Case(
        61,
        [st.Dense(131, "gelu"), st.Dropout(0.3), st.Dense(67, "silu"), st.Dropout(0.5), st.Dense(7)],
        lambda: st.Adam(1e-3),
        251,
        67,
        "cross_entropy",
    ),
    "every layer, clipped norm": Case(
        90,
        [
            st.Dense(96, "relu"),
            st.BatchNorm(),
            st.Residual([st.Dense(96, "mish"), st.LayerNorm(), st.Dropout(0.2), st.Dense(96)]),
            st.Dense(3),
        ],
        lambda: st.SGD(0.05, momentum=0.9, nesterov=True, clip_norm=0.1),
        301,
        100,
        "poisson",
    ),
    "norms, adamw, clipped norm": Case(
        128,
        [st.LayerNorm(), st.Dense(128, "elu"), st.BatchNorm(), st.Activation("sigmoid"), st.Dense(1)],
        lambda: st.AdamW(1e-3, clip_norm=1.0),
        257,
        128,
        "binary_cross_entropy",
    ),
    "rmsprop, clipped values": Case(
        33,
        [st.Dense(257, "selu"), st.Dense(65)],
        lambda: st.RMSprop(1e-3, momentum=0.5, clip_value=0.01),
        200,
        64,
        "huber",
    ),
    "residual, dropout, clipped norm": Case(
        50,
        [
            st.Dense(120, "tanh"),
            st.Residual([st.Dropout(0.2), st.Dense(120, "relu"), st.Activation("elu"), st.Dense(120, bias=False)]),
            st.Dropout(0.3),
            st.Dense(5),
        ],
        lambda: st.Adam(1e-3, clip_norm=0.5),
        432,
        192,
        "cross_entropy",
    ),
    "embeddings, adamw": Case(
        7, [st.PeriodicEmbedding(), st.Dense(64, "relu"), st.Dense(3)], lambda: st.AdamW(1e-3), 301, 100
    ),
    "embeddings of few columns, clipped norm": Case(
        40,
        [
            st.FeatureScale(3.0),
            st.Dense(70, "tanh"),
            st.PeriodicEmbedding(19, 5, columns=[68, 3, 31, 16, 0]),
            st.Dense(50, "relu"),
            st.Residual([st.PeriodicEmbedding(3, 1, "identity", 0.1, columns=[49]), st.Dense(50)]),
            st.Dense(2),
        ],
        lambda: st.SGD(0.01, momentum=0.9, clip_norm=0.5),
        301,
        100,
        "huber",
    ),
    "few inputs, long batches": Case(
        3, [st.Dense(8, "tanh"), st.Dense(2)], lambda: st.SGD(0.1, momentum=0.9), 40000, 20000
    ),
    "fewer rows than threads": Case(
        700, [st.Dense(701, "relu"), st.Dense(9)], lambda: st.SGD(0.01, momentum=0.9), 7, 2, "mae"
    ),
    "one row": Case(900, [st.Dense(901, "tanh"), st.Dense(2)], lambda: st.Adam(1e-4), 4, 1, "cross_entropy"),
    "tiny": Case(4, [st.Dense(3, "relu"), st.BatchNorm(), st.Dropout(0.5), st.Dense(2)], st.Adam, 9, 4, shared=False),
    "one weight": Case(1, [st.Dense(1)], lambda: st.SGD(0.1, momentum=0.9), 5, 2, "quantile", shared=False),
}


def results(case: Case, dtype: str, threads: int, *, shuffle: bool = True) -> dict[str, Any]:
    """Everything that two epochs make, as bytes and floats: two are equal only if all bits are."""
    st.set_num_threads(threads)
    net = st.Network(case.n_in, case.layers, seed=7, dtype=dtype)
    trainer = st.Trainer(net, case.loss, case.optimizer(), seed=8)
    x = normal(1, (case.rows, case.n_in))
    y = targets_for(case.loss, 2, case.rows, net.n_out)
    made: dict[str, Any] = {
        "epochs": trainer.fit(x, y, epochs=2, batch_size=case.batch_size, shuffle=shuffle)["loss"],
        "step": trainer.step(x, y, np.linspace(0.5, 1.5, case.rows)),
        "metrics": trainer.evaluate(x, y),
        "predictions": net.predict(x),
        "outputs": net.forward(x),
        "input gradients": net.backward(normal(3, (case.rows, net.n_out))),
    }
    made |= {f"gradient of {name}": value for name, value in net.gradients.items()}
    made |= net.parameters | net.buffers | trainer._core.state()
    return {name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in made.items()}


def differences(case: Case, dtype: str, **options: Any) -> dict[int, list[str]]:
    """The names of what is not the same as on one thread, for each number of threads."""
    alone, *others = [results(case, dtype, threads, **options) for threads in THREADS]
    return {
        threads: [name for name in alone if made[name] != alone[name]]
        for threads, made in zip(THREADS[1:], others, strict=True)
    }


NONE: dict[int, list[str]] = {threads: [] for threads in THREADS[1:]}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_same_bits_at_any_number_of_threads(case: Case, dtype: str, isa: str) -> None:
    net = st.Network(case.n_in, case.layers, dtype=dtype)
    weights = sum(value.size for name, value in net.parameters.items() if name.endswith("weight") and value.ndim == 2)
    flops = 4 * weights * case.batch_size
    assert flops >= WORTH_WAKING if case.shared else flops < WORTH_SHARING
    assert differences(case, dtype) == NONE


def test_same_bits_without_shuffling(dtype: str) -> None:
    case = CASES["every layer, clipped norm"]
    assert differences(case, dtype, shuffle=False) == NONE
    assert results(case, dtype, 2, shuffle=False) != results(case, dtype, 2)


def test_same_bits_at_each_run(dtype: str) -> None:
    case = CASES["dropout, adam, odd batches"]
    first = results(case, dtype, 3)
    assert all(results(case, dtype, 3) == first for _ in range(3))


@pytest.mark.parametrize("row", [0, 191])
def test_one_row_refused_stops_all_threads(row: int) -> None:
    """Whoever reads it: other members may have begun by then."""
    case = CASES["residual, dropout, clipped norm"]
    x, y = normal(1, (case.batch_size, case.n_in)), targets_for(case.loss, 2, case.batch_size, 5)
    made = []
    for spoils in (False, True):
        st.set_num_threads(2)
        trainer = st.Trainer(st.Network(case.n_in, case.layers, seed=7), case.loss, case.optimizer())
        if spoils:
            bad_x, bad_y = x.copy(), y.copy()
            bad_x[row, 3], bad_y[row] = np.nan, 5
            with refusal(trainer, f"x has nan at row {row}, column 3"):
                trainer.step(bad_x, y)
            with refusal(trainer, f"y has label 5 at row {row}"):
                trainer.step(x, bad_y)
            out = np.ones((case.batch_size, 5), np.float32)
            with pytest.raises(ValueError, match=f"x has nan at row {row}, column 3"):
                trainer.network.predict(bad_x, out=out)
            assert (out == 1).all()
        made.append((trainer.step(x, y), trainer.network._core.state().tobytes()))
    assert made[0] == made[1]


def test_same_bits_while_the_core_tries_what_is_faster(dtype: str) -> None:
    """Blocks of steps run alone and on a team."""
    x, y = normal(1, (32, 64)), np.arange(32) % 10
    made = []
    for threads in THREADS:
        st.set_num_threads(threads)
        net = st.Network(64, [st.Dense(64, "relu"), st.Dense(10)], seed=1, dtype=dtype)
        trainer = st.Trainer(net, "cross_entropy", st.SGD(0.01))
        made.append([trainer.step(x, y) for _ in range(100)])
    assert made[1:] == [made[0], made[0]]


def test_threads_may_change_between_epochs(dtype: str) -> None:
    case = CASES["every layer, clipped norm"]
    x, y = normal(1, (case.rows, case.n_in)), targets_for(case.loss, 2, case.rows, 3)
    made = []
    for plan in ([1, 1, 1, 1], [3, 1, 2, 3]):
        net = st.Network(case.n_in, case.layers, seed=7, dtype=dtype)
        trainer = st.Trainer(net, case.loss, case.optimizer())
        losses = []
        for threads in plan:
            st.set_num_threads(threads)
            losses += trainer.fit(x, y, epochs=1, batch_size=case.batch_size)["loss"].tolist()
        made.append((losses, net._core.state().tobytes()))
    assert made[0] == made[1]


COUNTING = """
import os, numpy as np, steepest as st
def count(n_hidden):
    net = st.Network(64, [st.Dense(n_hidden, "relu"), st.Dense(1)])
    st.Trainer(net, "mse").step(np.ones((64, 64)), np.ones(64))
    return len(os.listdir("/proc/self/task"))
st.set_num_threads(3)
small = count(8)
print(count(256) - small)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in Linux's /proc")
def test_large_steps_use_threads() -> None:
    """Without this the tests above could pass on one thread."""
    run = subprocess.run([sys.executable, "-c", COUNTING], capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr) == ("2\n", "")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("width", [8, 160])
def test_predictions_from_many_threads_at_once(threads: int, width: int, dtype: str) -> None:
    layers = [st.Dense(width, "relu"), st.BatchNorm(), st.Dropout(0.5), st.Dense(width, "gelu"), st.Dense(3)]
    net = st.Network(20, layers, seed=1, dtype=dtype)
    inputs = [normal(seed, (1 + 37 * seed % 120, 20)) for seed in range(40)]
    st.set_num_threads(1)
    expected = [net.predict(x).tobytes() for x in inputs]
    st.set_num_threads(threads)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert [y.tobytes() for y in pool.map(net.predict, inputs)] == expected


@pytest.mark.parametrize("rows", [224, 225, 449, 1500])
def test_predictions_of_many_rows(rows: int, dtype: str) -> None:
    """Threads have rows and workspaces of their own where one workspace does not hold all rows."""
    net = st.Network(
        20, [st.Dense(160, "relu"), st.BatchNorm(), st.Dense(160, "gelu"), st.Dense(3)], seed=1, dtype=dtype
    )
    x = normal(1, (rows, 20))
    parts = np.concatenate([net.predict(x[start : start + 100]) for start in range(0, rows, 100)])
    bad = x.copy()
    bad[rows - 2, 7] = np.nan
    for threads in THREADS:
        st.set_num_threads(threads)
        for _ in range(3):
            assert net.predict(x).tobytes() == parts.tobytes()
        with pytest.raises(ValueError, match=f"x has nan at row {rows - 2}, column 7"):
            net.predict(bad)
        assert net.predict(x).tobytes() == parts.tobytes()


def test_trainers_at_once_do_not_disturb_each_other(dtype: str) -> None:
    case = CASES["dropout, adam, odd batches"]
    alone = results(case, dtype, 1)
    with ThreadPoolExecutor(3) as pool:
        for made in pool.map(lambda _: results(case, dtype, 2), range(3)):
            assert made == alone
