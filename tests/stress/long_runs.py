"""Much of the same: `python tests/stress/long_runs.py [--count 100] [--seconds S] [--seed N] [--only TEXT]`.

Steps of a tiny network, a million to a count (10**8 by default); 10,000 predictions, 100 fits of estimators and 100
failed calls to a count. Memory must not grow once warm; the time of 10**7 steps is printed, not judged. And learning
rates from 1e-12 to 1e6: training diverges aloud, or gives numbers. Linux only: it reads /proc.
"""

from __future__ import annotations

import itertools
import math
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import Run, resident

import steepest as st
from steepest.files import read_table

MB = 2**20
GROWTH = 4 * MB  # what is left of warming up
EPOCH = 1_000_000  # steps, of one row each


def steps(run: Run) -> None:
    """Train a network of nine parameters, a million steps to an epoch."""
    draw = np.random.default_rng(run.seed)
    x = draw.normal(size=(EPOCH, 2)).astype("float32")
    y = np.tanh(x[:, :1] - x[:, 1:])
    trainer = st.Trainer(st.Network(2, [st.Dense(2, "tanh"), st.Dense(1)]), "mse", st.SGD(1e-4, momentum=0.9))
    before, start = 0, time.perf_counter()
    for i in run.rounds():
        trainer.fit(x, y, epochs=1, batch_size=1)
        if i % 10 == 9:
            now = time.perf_counter()
            print(f"  {i + 1}e6 steps: {resident() / MB:.1f} MB, {now - start:.2f} s for 10**7", flush=True)
            start = now
        before = before or resident()
    check_growth(run, f"{trainer.n_steps:.0e} steps", before)
    assert trainer.evaluate(x, y)["loss"] < 0.5


def check_growth(run: Run, kind: str, before: int) -> None:
    growth = resident() - before
    print(f"{kind}: from {before / MB:.1f} MB by {growth / MB:+.2f} MB", flush=True)
    if growth > GROWTH:
        run.fail(f"{kind}: {growth / MB:.1f} MB more")


def repeats(run: Run, kind: str, work: Callable[[], Any], times: int) -> None:
    """Do the same many times: a tenth to warm up, and all of it again."""
    start, n, before = time.perf_counter(), 0, 0
    rounds = [*run.rounds()]
    for i in itertools.chain(rounds[: max(1, len(rounds) // 10)], [-1], rounds):
        if i < 0:
            before, start, n = resident(), time.perf_counter(), 0
        elif time.monotonic() - run.start < run.options.seconds:
            for _ in range(times):
                work()
            n += times
    taken = time.perf_counter() - start
    check_growth(run, f"{n:,} {kind}, {1e6 * taken / max(n, 1):.1f} us each", before)


def predictions() -> Callable[[], Any]:
    net = st.Network(8, [st.Dense(32, "relu"), st.Dense(3)])
    rows = np.random.default_rng(0).normal(size=(300, 8))
    sizes = itertools.cycle([1, 1, 1, 1, 1, 7, 1, 1, 1, 64])
    return lambda: net.predict(rows[: next(sizes)])


def estimators() -> Callable[[], Any]:
    x = np.random.default_rng(0).normal(size=(60, 4))
    y = x[:, 0] > 0
    kinds = itertools.cycle(
        [
            lambda: st.MLPClassifier(hidden_layer_sizes=(8,), max_iter=2).fit(x, y).predict(x),
            lambda: st.MLPRegressor(hidden_layer_sizes=(8,), max_iter=2).fit(x, x[:, 1]).predict(x),
            lambda: st.MLPClassifier(hidden_layer_sizes=(8,)).partial_fit(x, y, classes=[False, True]),
            lambda: st.MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", max_iter=2).fit(x, x[:, 1]),
        ]
    )
    return lambda: next(kinds)()


class StopError(Exception):
    """Raised by a callback."""


def failures(folder: Path) -> Callable[[], Any]:
    """Calls that are refused or end in the middle, one after the other."""
    net = st.Network(8, [st.Dense(32, "relu"), st.BatchNorm(), st.Dense(3)])
    trainer = st.Trainer(net, "mse", st.SGD(1e-3))
    x, y = np.ones((64, 8)), np.zeros((64, 3))
    (folder / "bad").write_bytes(b"\x10" + bytes(1000))
    net.save(folder / "cut")
    (folder / "cut").write_bytes((folder / "cut").read_bytes()[:-9])
    (folder / "bad.csv").write_text('a,b\n1,2\n"3\n')

    def stop(*_: Any) -> Any:
        raise StopError

    def own(y: Any, out: Any) -> Any:
        raise StopError

    stops = {name: st.LambdaCallback(**{name: stop}) for name in ("on_train_begin", "on_batch_end", "on_epoch_end")}
    calls: list[Callable[[], Any]] = [
        lambda: net.predict(np.ones((3, 7))),
        lambda: net.predict(np.full((3, 8), np.nan)),
        lambda: net.predict("text"),
        lambda: net.backward(y[:3]),
        lambda: net.set_parameters({"0.weight": np.ones((3, 3))}),
        lambda: trainer.step(x, y[:3]),
        lambda: trainer.fit(x, y[:3]),
        lambda: trainer.evaluate(x[:, :3], y),
        lambda: st.load(folder / "bad"),
        lambda: st.load(folder / "cut"),
        lambda: st.load(folder / "none"),
        lambda: st.Trainer.resume(folder / "cut"),
        lambda: read_table(folder / "bad.csv"),
        lambda: net.save(folder / "none" / "net"),
        lambda: st.Trainer(net, own).step(x, y),
        lambda: st.Trainer(net, "mse", st.SGD(lambda step: stop())).fit(x, y),
        lambda: st.Trainer(net, "mse", st.SGD(1e30)).fit(x, y, epochs=9),
        lambda: st.Network(8, [st.Dense(2**40), st.Dense(2**40)]),
        lambda: st.MLPClassifier(max_iter=2, callbacks=[stops["on_epoch_end"]]).fit(x, y[:, 0] + np.arange(64) % 2),
        lambda: st.MLPRegressor().fit(x, y[:9]),
        *(lambda stop=each: trainer.fit(x, y, epochs=2, batch_size=16, callbacks=[stop]) for each in stops.values()),
    ]  # fmt: skip
    turn = itertools.cycle(calls)

    def fail() -> None:
        call = next(turn)
        try:
            call()
        except (ValueError, TypeError, MemoryError, OSError, StopError, st.DivergedError):
            return
        raise AssertionError(f"call {calls.index(call)} did not fail")

    return fail


def rates(run: Run) -> None:
    """Train with every optimizer, loss and rate: what does not diverge aloud has finite numbers."""
    draw = np.random.default_rng(run.seed)
    optimizers = [
        lambda lr: st.SGD(lr, momentum=0.9),
        lambda lr: st.SGD(lr, clip_norm=1.0, weight_decay=1e-2),
        st.Adam, st.AdamW, st.RMSprop,
    ]  # fmt: skip
    losses = ["mse", "mae", "huber", "cross_entropy", "binary_cross_entropy", "poisson"]
    activations = ["relu", "tanh", "gelu", "softplus", "elu", "identity"]
    found = Counter[str]()
    for _ in run.rounds(3):
        rate, dtype = 10 ** draw.uniform(-12, 6), str(draw.choice(["float32", "float64"]))
        make, loss = optimizers[draw.integers(len(optimizers))], str(draw.choice(losses))
        hidden = [st.Dense(16, str(draw.choice(activations))), *([st.BatchNorm()] if draw.random() < 0.3 else [])]
        net = st.Network(4, [*hidden, st.Dense(16, str(draw.choice(activations))), st.Dense(3)], dtype=dtype)
        x = draw.normal(size=(256, 4)) * 10 ** draw.uniform(-2, 4)
        y: Any = draw.integers(0, 3, 256) if loss == "cross_entropy" else draw.random((256, 3))
        trainer = st.Trainer(net, loss, make(rate), ema=0.9 if draw.random() < 0.3 else None)
        what = f"{trainer!r}, rows up to {abs(x).max():.3g}"
        try:
            history = trainer.fit(x, y, epochs=20, batch_size=32)
            numbers = [history[name] for name in ("loss", "learning_rate")] + [*trainer.evaluate(x, y).values()]
            found["finite"] += 1
            numbers.append(net.predict(x))
        except st.DivergedError:  # the weights are those of the epoch before, which need not be good for anything
            numbers = []
            found["diverged aloud"] += 1
        if not all(np.isfinite(p).all() for p in net.parameters.values()):
            run.fail(f"weights that are not finite: {what}")
        if any(np.isnan(number).any() for number in numbers):
            run.fail(f"not a number, silently: {what}")
        estimated(run, rate, x, found)
    print(f"rates: {dict(found)}", flush=True)


def estimated(run: Run, rate: float, x: Any, found: Counter[str]) -> None:
    """The same for an estimator's probabilities and predictions."""
    options = {"lr": rate, "max_iter": 5, "hidden_layer_sizes": (8,), "random_state": run.seed % 2**31}
    for make, y in ((st.MLPClassifier, x[:, 0] > 0), (st.MLPRegressor, x[:, 0])):
        model = make(**options)
        try:
            model.fit(x, y)
        except st.DivergedError:
            found["estimator diverged aloud"] += 1
            continue
        said = model.predict_proba(x) if make is st.MLPClassifier else model.predict(x)
        found["estimator finite"] += 1
        if not np.isfinite(said).all() or not math.isfinite(model.score(x, y)):
            run.fail(f"estimator says what is not finite: {model!r}, rows up to {abs(x).max():.3g}")


def main() -> None:
    run = Run(__doc__ or "", count=100)
    warnings.simplefilter("ignore")
    if run.wants("steps"):
        steps(run)
    if run.wants("predictions"):
        repeats(run, "predictions", predictions(), 10_000)
    if run.wants("estimators"):
        repeats(run, "fits of estimators", estimators(), 100)
    if run.wants("failures"):
        with tempfile.TemporaryDirectory() as folder:
            repeats(run, "failed calls", failures(Path(folder)), 100)
    if run.wants("rates"):
        rates(run)
    run.end()


if __name__ == "__main__":
    main()
