"""Small things that several test files need."""

from __future__ import annotations

import _thread
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

import reference as ref
import steepest as st
from steepest.distributed import Hub, connect
from steepest.layers import Layer
from steepest.optimizers import Optimizer
from steepest.recipe import Recipe

LOCAL = "127.0.0.1"

# One of each rule, with unusual settings.
OPTIMIZERS = [
    st.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    st.Adam(0.01, beta1=0.8, clip_value=0.1),
    st.AdamW(0.01, clip_norm=0.5),
    st.RMSprop(0.01, alpha=0.9, momentum=0.5),
]


def assert_within(actual: ArrayLike, expected: ArrayLike, bound: ArrayLike, what: str = "") -> None:
    """Assert that |actual - expected| <= bound everywhere, and say where it is not; NaN is never within."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    bound = np.broadcast_to(bound, actual.shape)
    with np.errstate(all="ignore"):  # infinity less infinity
        wrong = np.argwhere(~((actual == expected) | (np.abs(actual - expected) <= bound)))
    if len(wrong):
        at = tuple(wrong[0])
        raise AssertionError(
            f"{what}: {len(wrong)} of {actual.size} differ, first at {at}: "
            f"{actual[at]!r}, expected {expected[at]!r} within {bound[at]!r}"
        )


def relative_error(actual: ArrayLike, expected: ArrayLike) -> float:
    """The length of the difference over the length of the expected."""
    difference = np.linalg.norm(np.asarray(actual, np.float64) - np.asarray(expected, np.float64))
    return float(difference / max(float(np.linalg.norm(expected)), np.finfo(np.float64).tiny))


def eps(dtype: Any) -> float:
    """The distance from 1 to the next number."""
    return float(np.finfo(dtype).eps)


def normal(seed: int, shape: tuple[int, ...], dtype: Any = np.float64) -> NDArray[Any]:
    """Standard normal numbers, the same at each call."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def shaken(network: st.Network, seed: int) -> st.Network:
    """The network with no parameter at a special value such as 0 or 1."""
    parameters = network.parameters
    network.set_parameters(
        {name: p + 0.3 * normal(seed + i, p.shape) for i, (name, p) in enumerate(parameters.items())}
    )
    return network


def labeled(layers: Sequence[Any], x: NDArray[Any]) -> NDArray[Any]:
    """The rows, with whole numbers from about -4 to 4 in those columns that the first layer takes for labels."""
    if isinstance(layers[0], st.CategoryEmbedding):
        x = x.copy()
        x[:, list(layers[0].columns)] = np.rint(1.5 * x[:, list(layers[0].columns)])
    return x


def state_of(trainer: st.Trainer) -> dict[str, Any]:
    """Everything that training changes, as lists: two are equal only if all bits are."""
    tensors = trainer.network.parameters | trainer.network.buffers | trainer._core.state()
    return {name: np.asarray(tensor).tolist() for name, tensor in tensors.items()}


def spoilt(array: Any, index: Any, value: Any, dtype: Any = np.float64) -> Any:
    """A copy with one value replaced."""
    copy = np.array(array, dtype=dtype)
    copy[index] = value
    return copy


def kind_of(value: Any) -> str:
    """A short name for a parameter of a test."""
    return value if isinstance(value, str) else type(value).__name__


WAYS_TO_FIT = ["fit", "partial_fit", "eval_set"]


def ways_to_fit(model: Any, good: tuple[Any, Any], x: Any, y: Any, weight: Any = None) -> dict[str, Callable[[], Any]]:
    """All that an estimator takes rows with targets for; `good` ones are to train on when others are watched."""
    return {
        "fit": lambda: model.fit(x, y, weight),
        "partial_fit": lambda: model.partial_fit(x, y, weight),
        "eval_set": lambda: model.fit(*good, eval_set=(x, y, weight)),
    }


@contextmanager
def refusal(model: Any, message: str, error: type[Exception] = ValueError) -> Iterator[None]:
    """Assert that what is tried with a trainer or estimator is refused, and that not a bit of it has changed."""

    def state() -> dict[str, Any]:
        if isinstance(model, st.Trainer):
            return state_of(model) | {"history": pickle.dumps(model.history)}
        return {name: pickle.dumps(value) for name, value in vars(model).items()}

    before = state()
    with pytest.raises(error, match=message):
        yield
    assert state() == before


def targets_for(loss: str, seed: int, rows: int, n_out: int, dtype: Any = np.float64) -> NDArray[Any]:
    """Targets that the loss allows: labels for cross_entropy."""
    draw = np.random.default_rng(seed)
    if loss == "cross_entropy":
        return draw.integers(0, n_out, rows)
    if loss == "binary_cross_entropy":
        return draw.random((rows, n_out)).astype(dtype)
    if loss == "poisson":
        return draw.poisson(2.0, (rows, n_out)).astype(dtype)
    return draw.standard_normal((rows, n_out)).astype(dtype)


def reference_of(net: st.Network, seed: int | None = None) -> ref.ReferenceNetwork:
    """The same network with the same weights in the reference, in float64; dropout draws by `seed`, else by its own."""
    numbers = itertools.count()  # the core's own count of layers, by which dropout draws

    def build(layers: Sequence[Layer], n: int, prefix: str = "") -> Iterator[ref.Layer]:
        for i, layer in enumerate(layers):
            path, activation = f"{prefix}{i}", "identity"
            if isinstance(layer, st.Residual):
                next(numbers)
                yield ref.Residual(list(build(layer.layers, n, f"{path}.")))
                next(numbers)
            elif isinstance(layer, st.Activation):
                activation = layer.name
            elif isinstance(layer, st.Dropout):
                yield ref.Dropout(layer.p, net.seed if seed is None else seed, next(numbers))
            else:
                next(numbers)
                if isinstance(layer, st.Dense):
                    activation = layer.activation
                    yield ref.Dense(path, n, layer.n_out, layer.bias, np.float64)
                elif isinstance(layer, st.BatchNorm):
                    yield ref.BatchNorm(path, n, layer.momentum, layer.eps, np.float64)
                elif isinstance(layer, st.LayerNorm):
                    yield ref.LayerNorm(path, n, layer.eps, np.float64)
                elif isinstance(layer, st.FeatureScale):
                    yield ref.FeatureScale(path, n, layer.lr_multiplier, np.float64)
                elif isinstance(layer, st.PeriodicEmbedding):
                    columns, shape = layer.embedded(n), (layer.n_frequencies, layer.size)
                    yield ref.PeriodicEmbedding(path, columns, *shape, layer.activation, np.float64)
                elif isinstance(layer, st.PiecewiseLinear):
                    yield ref.PiecewiseLinear(path, layer.embedded(n), layer.n_points, np.float64)
                elif isinstance(layer, st.PiecewiseLinearEmbedding):
                    how = layer.n_bins, layer.size, layer.activation
                    yield ref.PiecewiseLinearEmbedding(path, layer.embedded(n), *how, np.float64)
                elif isinstance(layer, st.CategoryEmbedding):
                    yield ref.CategoryEmbedding(path, layer.labels_of(), layer.size, layer.columns, np.float64)
            if activation != "identity":
                next(numbers)
                yield ref.Activation(activation, getattr(layer, "alpha", None))
            n = layer.output_size(n)

    twin = ref.ReferenceNetwork(list(build(net.layers, net.n_in)))
    twin.set_parameters(net.parameters | net.buffers)
    return twin


def fits_with_bins() -> Any:
    """While it lasts, estimators fit arrays and tables with bins, as those of files by versions up to 0.5 have them."""

    def for_rows(n_rows: int, preset: str | None = None) -> Recipe:
        return Recipe(bins=32 * (n_rows > 2000), frequencies=0)

    return patch.object(Recipe, "for_rows", for_rows)


def twin_of(optimizer: Optimizer) -> ref.Optimizer:
    """The reference's optimizer with the same settings; its rate is set at each step."""
    shared: dict[str, Any] = {name: getattr(optimizer, name) or 0.0 for name in ("clip_value", "clip_norm")}
    shared["weight_decay"] = optimizer.weight_decay
    if isinstance(optimizer, st.SGD):
        return ref.SGD(0.0, optimizer.momentum, optimizer.nesterov, **shared)
    if isinstance(optimizer, st.RMSprop):
        return ref.RMSprop(0.0, optimizer.alpha, optimizer.eps, optimizer.momentum, **shared)
    assert isinstance(optimizer, st.Adam)
    decoupled = isinstance(optimizer, st.AdamW)
    return ref.Adam(0.0, optimizer.beta1, optimizer.beta2, optimizer.eps, decoupled=decoupled, **shared)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process with the core's default threads; if it hangs it is killed, with all its children."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],  # Python warns of any fork beside threads
        cwd=Path(__file__).parent,
        env={name: value for name, value in os.environ.items() if name != "STEEPEST_NUM_THREADS"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"hangs: {out}{err}")
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def succeeds(scenario: Callable[..., None], *arguments: Any, **environment: str) -> None:
    """Call a function of a test file in a new process."""
    module, folder = scenario.__module__, str(Path(scenario.__code__.co_filename).parent)
    code = f"import sys; sys.path.append({folder!r}); import {module}; {module}.{scenario.__name__}(*{arguments!r})"
    run = python(code, **environment)
    assert (run.returncode, run.stderr) == (0, ""), f"ended with {run.returncode}: {run.stdout}{run.stderr}"


REFUSED_WITHIN = """
import sys, resource
import steepest as st
if sys.argv[1]:
    __import__(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    try:
        st.load(path)
    except ValueError:
        print("refused")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def are_refused_in_little_memory(paths: Sequence[Any], needs: str = "") -> None:
    """Assert that model files are all refused within 10 MB, by a process that has imported `needs` before."""
    command = [sys.executable, "-c", REFUSED_WITHIN, needs, *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    *lines, megabytes = run.stdout.split()
    assert lines == ["refused"] * len(paths)
    assert int(megabytes) < 10


@contextmanager
def interrupted(delay: float) -> Iterator[None]:
    """Expect the KeyboardInterrupt that comes after so many seconds, at the latest when all is done."""
    timer = threading.Timer(delay, _thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        yield
        time.sleep(30)
    timer.join()


def run_ranks(
    size: int, work: Callable[[Any, int], Any], through: Callable[[int, str], str] = lambda _, address: address
) -> list[Any]:
    """Call `work(comm, rank)` in a thread for each rank; return what each returned or raised.

    `through` is called with a rank and the hub's address, and returns the one that the rank connects to.
    """
    found: list[Any] = [None] * size

    def run(rank: int, address: str) -> None:
        comm = connect(through(rank, address), rank)
        try:
            found[rank] = work(comm, rank)
        except BaseException as error:
            found[rank] = error
        finally:
            comm.close()

    with Hub(size, LOCAL) as hub:
        threads = [threading.Thread(target=run, args=(rank, hub.address)) for rank in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
            assert not thread.is_alive()
    return found
