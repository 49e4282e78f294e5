"""Sizes: `python tests/stress/sizes.py [--count 60] [--seconds S] [--seed N] [--only TEXT] [--huge] [--verbose]`.

Arrays of more than 2**31 elements, read from sparse files that take no room; products that overflow; and memory that
ends within each call, at `count` limits each: MemoryError, and all bits as they were. With --huge also 2**31 rows, for
which a fit and an evaluation take minutes. Linux only: it limits the process's memory.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import Run, state_of

import steepest as st

# --- more elements than 32 bits count ---


def sparse(path: Path, shape: tuple[int, int], dtype: str, rows: dict[int, Any], order: Any = "C") -> Any:
    """A memory map of zeros, of which only some rows are really on the disk."""
    with open(path, "wb") as file:
        file.truncate(shape[0] * shape[1] * np.dtype(dtype).itemsize)
    array = np.memmap(path, dtype, "r+", shape=shape, order=order)
    for place, row in rows.items():
        array[place] = row
    array.flush()
    return np.memmap(path, dtype, "r", shape=shape, order=order)


def many_elements(run: Run, folder: Path, dtype: str, d: int, order: str) -> None:
    """Rows before and behind the 2**31st element are predicted, measured and trained on like any others."""
    n = 2**31 // d + 5000
    edge = 2**31 // d
    draw = np.random.default_rng(run.seed)
    places = [0, 1, edge - 1, edge, edge + 1, n - 2, n - 1]
    x = sparse(folder / "x", (n, d), dtype, {place: draw.integers(1, 9, d) for place in places}, order)
    y = np.zeros((n, 1), "uint8")
    y[places] = 1
    few = np.concatenate([x[places], x[2:3]])
    net = st.Network(d, [st.Dense(1, "tanh"), st.Dense(1)], seed=1)
    start = time.perf_counter()
    said, alone = net.predict(x), net.predict(few)
    others = np.ones(n, bool)
    others[places] = False
    if not (np.array_equal(said[places], alone[:-1]) and (said[others] == alone[-1]).all()):
        run.fail(f"{dtype} {n:,} x {d} {order}: other predictions beyond 2**31 elements")
    taken = [time.perf_counter() - start]
    trainer = st.Trainer(net, "mse", st.SGD(1e-3))
    loss = trainer.evaluate(x, y)["loss"]
    expected = np.mean((said.astype(float) - y) ** 2)
    if not abs(loss - expected) < 1e-5 * expected:
        run.fail(f"{dtype} {n:,} x {d} {order}: a loss of {loss}, expected {expected}")
    taken.append(time.perf_counter() - start)
    # A weight of 0 for all but the last rows: the epoch must find these, and equals one of these rows alone in all but
    # its empty batches, which move nothing.
    weight = np.zeros(n, "float32")
    weight[places] = 1
    history = trainer.fit(x, y, epochs=1, batch_size=4096, sample_weight=weight, shuffle=order == "C")
    taken.append(time.perf_counter() - start)
    moved = np.abs(net.predict(few) - alone).max()
    if not (np.isfinite(history["loss"]).all() and moved > 0):
        run.fail(f"{dtype} {n:,} x {d} {order}: an epoch that moved by {moved}, loss {history['loss']}")
    print(
        f"  {dtype} {n:,} x {d} {order}: predict, evaluate, fit done after {', '.join(f'{t:.1f}' for t in taken)} s",
        flush=True,
    )


def many_rows(run: Run, folder: Path) -> None:
    """More rows than 31 bits count, of one column."""
    n = 2**31 + 1000
    x = sparse(folder / "x", (n, 1), "uint8", {place: 1 for place in (0, 2**31 - 1, 2**31, n - 1)})
    y = sparse(folder / "y", (n, 1), "uint8", {place: 1 for place in (0, 2**31 - 1, 2**31, n - 1)})
    trainer = st.Trainer(st.Network(1, [st.Dense(1)]), "mse", st.SGD(1e-3))
    trainer.network.set_parameters({"0.weight": [[2.0]], "0.bias": [0.0]})
    start = time.perf_counter()
    loss = trainer.evaluate(x, y)["loss"]
    print(f"  {n:,} rows: evaluated in {time.perf_counter() - start:.0f} s", flush=True)
    if not abs(loss - 4 / n) < 1e-6 * 4 / n:
        run.fail(f"{n:,} rows: a loss of {loss}, expected {4 / n}")
    for shuffle in (False, True):
        start = time.perf_counter()
        try:
            trainer.fit(x, y, epochs=1, batch_size=65536, shuffle=shuffle)
        except MemoryError as error:
            print(f"  {n:,} rows, shuffle={shuffle}: {error}", flush=True)
        print(f"  {n:,} rows: an epoch, shuffle={shuffle}, in {time.perf_counter() - start:.0f} s", flush=True)


# --- products that overflow ---


def overflows(run: Run) -> None:
    """Refused with a reason, before anything is allocated; the process is limited, so that it cannot be."""
    net = st.Network(2, [st.Dense(3)])
    trainer = st.Trainer(net, "mse")

    def rows(n: int, d: int, dtype: str = "float32") -> Any:
        return np.lib.stride_tricks.as_strided(np.ones(1, dtype), (n, d), (0, 0))

    sizes = [2**31, 2**32, 2**40, 2**53, 2**60, 2**62 - 1, 2**62, 2**63 - 1]
    calls: list[tuple[str, Callable[[], Any]]] = []
    for n in sizes:
        calls += [
            (f"Network({n})", lambda n=n: st.Network(n, [st.Dense(n)])),
            (f"Dense({n})", lambda n=n: st.Network(n, [st.Dense(2), st.Dense(n), st.BatchNorm(), st.Dense(n)])),
            (f"PeriodicEmbedding of {n}", lambda n=n: st.Network(n, [st.PeriodicEmbedding(), st.Dense(n)])),
            (f"PeriodicEmbedding({n})", lambda n=n: st.Network(2, [st.PeriodicEmbedding(n, n, columns=[1])])),
            (f"PiecewiseLinearEmbedding({n})", lambda n=n: st.Network(2, [st.PiecewiseLinearEmbedding(n, n)])),
            (f"CategoryEmbedding of {n}", lambda n=n: st.Network(2, [st.CategoryEmbedding(2**24, n, [1])])),
            (f"LayerNorm({n})", lambda n=n: st.Network(n, [st.LayerNorm(), st.Dense(n)], dtype="float64")),
            (f"forward of {n}", lambda n=n: net.forward(rows(n, 2))),
            (f"predict of {n}", lambda n=n: net.predict(rows(n, 2))),
            (f"step of {n}", lambda n=n: trainer.step(rows(n, 2), rows(n, 3))),
            (f"one row of {n}", lambda n=n: net.predict(rows(1, n))),
            (f"hidden of {n}", lambda n=n: st.MLPRegressor(hidden_layer_sizes=(n,)).fit(np.eye(20), np.arange(20.0))),
        ]
    found = Counter[str]()
    before = state_of(trainer)
    st.MLPRegressor(max_iter=1).fit(np.eye(20), np.arange(20.0))  # imports what it needs
    with limit(2**31):
        for name, call in calls:
            try:
                call()
                run.fail(f"{name}: not refused")
            except (ValueError, MemoryError) as error:
                found[type(error).__name__] += 1
                if not str(error):
                    run.fail(f"{name}: refused without a word, {error!r}")
                if run.options.verbose:
                    print(f"  {name}: {error}", flush=True)
            except Exception as error:
                run.fail(f"{name}: {error!r}")
    if state_of(trainer) != before:
        run.fail("a refused call changed the trainer")
    print(f"sizes that overflow: refused by {dict(found)}", flush=True)


# --- memory that ends ---


class limit:  # noqa: N801  (reads as a word)
    """Let the process have so many bytes more, within a with statement."""

    def __init__(self, more: int) -> None:
        self._more = more

    def __enter__(self) -> None:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        self._before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size + self._more, self._before[1]))

    def __exit__(self, *_: Any) -> None:
        resource.setrlimit(resource.RLIMIT_AS, self._before)


DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(4000, 40))
Y = np.tanh(X[:, :1])
LABELS = np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0)]
LAYERS = [st.Dense(200, "relu"), st.BatchNorm(), st.Dropout(0.1), st.Dense(200), st.Dense(1)]

Call = tuple[Callable[[], Any], Callable[[], bytes]]  # and what must be as before if it is refused


def network_calls(folder: str) -> dict[str, Call]:
    """Calls of a new network and its trainer."""
    net = st.Network(40, LAYERS)
    trainer = st.Trainer(net, "mse", st.Adam(1e-3, clip_norm=1.0), ema=0.9)
    path = f"{folder}/checkpoint"
    trainer.save(path)

    def state() -> bytes:
        return state_of(trainer) + Path(path).read_bytes() + " ".join(os.listdir(folder)).encode()

    calls: dict[str, Callable[[], Any]] = {
        "predict": lambda: net.predict(X),
        "forward": lambda: net.forward(X),
        "forward and backward": lambda: net.backward(net.forward(X)[:, :1]),
        "step": lambda: trainer.step(X, Y),
        "one fit": lambda: trainer.fit(X, Y, epochs=1, batch_size=1500),
        "evaluate": lambda: trainer.evaluate(X, Y),
        "new network": lambda: st.Network(400, [st.Dense(2000), st.Dense(1000)]).copy(),
        "set_parameters": lambda: net.set_parameters(net.parameters),
        "resume": lambda: st.Trainer.resume(path).step(X, Y),
        "save": lambda: trainer.save(path),
        "check": lambda: st.descent.check(net, X, Y, "mse", entries=3),
    }
    # A fit keeps the epochs that it has done; running means have moved where the forward pass was done.
    kept = {"one fit": lambda: b"", "forward and backward": lambda: b"".join(map(bytes, net.parameters.values()))}
    return {name: (call, kept.get(name, state)) for name, call in calls.items()}


def estimator_calls(folder: str) -> dict[str, Call]:
    """Calls of estimators that have just been read."""
    paths = {"classifier": f"{folder}/classifier", "regressor": f"{folder}/regressor"}
    if not os.path.exists(paths["classifier"]):
        st.MLPClassifier(max_iter=3, random_state=0).fit(X[:500], LABELS[:500]).save(paths["classifier"])
        regressor = st.MLPRegressor(max_iter=3, ensemble=2, n_jobs=2, random_state=0)
        regressor.fit(X[:500], Y[:500, 0]).save(paths["regressor"])
    classifier, regressor = (st.load(path).set_params(n_jobs=2) for path in paths.values())  # type: ignore[union-attr]

    def state() -> bytes:
        files = b"".join(Path(path).read_bytes() for path in paths.values()) + " ".join(os.listdir(folder)).encode()
        return classifier.predict_proba(X).tobytes() + regressor.predict(X).tobytes() + files

    calls: dict[str, Callable[[], Any]] = {
        "load": lambda: st.load(paths["regressor"]),
        "classifier save": lambda: classifier.save(paths["classifier"]),
        "classifier fit": lambda: classifier.fit(X, LABELS),
        "classifier partial_fit": lambda: classifier.partial_fit(X, LABELS),
        "classifier predict": lambda: classifier.predict_proba(X),
        "ensemble fit": lambda: regressor.fit(X, Y[:, 0]),
    }
    return {name: (call, state) for name, call in calls.items()}


def sweep(name: str, limits: list[int], folder: str) -> Counter[str]:
    """Do a call under each limit, in this process, and see what it leaves."""
    warnings.simplefilter("ignore")
    calls = network_calls if name in network_calls(folder) else estimator_calls
    calls(folder)[name][0]()  # imports what it needs, and starts the threads
    found = Counter[str]()
    for more in limits:
        act, state = calls(folder)[name]
        before = state()
        try:
            with limit(more):
                act()
            found["done"] += 1
        except MemoryError:
            found["MemoryError"] += 1
            assert state() == before, f"changed by a call that was refused with {more:,} bytes"
        except Exception as error:
            found[repr(error)[:200]] += 1
        act()  # still works
    return found


def memory(run: Run, draw: random.Random) -> None:
    """Each call in processes of its own: one that ends by a signal is a failure, and so is another error."""
    with tempfile.TemporaryDirectory() as folder:
        names = [*network_calls(folder), *estimator_calls(folder)]
    for name in names:
        if not run.wants(f"memory {name}"):
            continue
        limits = [int(10 ** draw.uniform(3.5, 7.8)) for _ in run.rounds()]
        found = Counter[str]()
        for i in range(0, len(limits), 20):
            found += in_child(name, limits[i : i + 20])
        print(f"  memory, {name}: {dict(found)}", flush=True)
        for how in found:
            if how not in ("done", "MemoryError"):
                run.fail(f"memory, {name}: {how}")


def in_child(name: str, limits: list[int]) -> Counter[str]:
    """Sweep in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        code = (
            f"import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); import sizes; "
            f"print(dict(sizes.sweep({name!r}, {limits!r}, {folder!r})))"
        )
        # What is freed goes back at once: it would serve the next call.
        give_back = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | give_back)
    if done.returncode or done.stderr:
        return Counter({f"ended with {done.returncode}: {done.stderr[-700:]}": 1})
    return Counter(eval(done.stdout))


def main() -> None:
    run = Run(__doc__ or "", count=60, flags=("huge", "verbose"))
    draw = random.Random(run.seed)
    if run.wants("overflows"):
        overflows(run)
    for dtype, d, order in (("uint8", 1000, "C"), ("float32", 1025, "C"), ("uint8", 129, "F")):
        if run.wants(f"elements {dtype} {order}"):
            with tempfile.TemporaryDirectory() as folder:
                many_elements(run, Path(folder), dtype, d, order)
    if run.options.huge:
        with tempfile.TemporaryDirectory() as folder:
            many_rows(run, Path(folder))
    memory(run, draw)
    run.end()


if __name__ == "__main__":
    main()
