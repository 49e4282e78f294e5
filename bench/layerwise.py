"""Updates layer by layer and of fractions: what they do to the cost, and the time of such a step beside a plain one.

And the time that a recorder adds. `python bench/layerwise.py` prints three tables; ``--write`` puts them into
bench/README.md.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

import report
import steepest as st
from run import machine
from steepest.cli.demo import load_digits

ORDERS = ("together", "output_to_input", "input_to_output")
LOOKS = 50  # at the cost, on the way
SIZES, BATCH = (784, 512, 512, 10), 128
# Rows, sizes and epochs of the fits that are watched: digits, and 784-128-10 on as many rows as MNIST's test set.
WATCHED = [(1797, (64, 64, 10), 200), (10_000, (784, 128, 10), 8)]


@dataclass(frozen=True)
class Problem:
    """Something to learn, and how."""

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    hidden: tuple[int, ...]
    activation: str
    loss: str
    optimizer: st.SGD
    batch: int
    epochs: int

    @property
    def n_out(self) -> int:
        return int(self.y.max()) + 1 if self.loss == "cross_entropy" else 1

    def __str__(self) -> str:
        sizes = "-".join(map(str, (self.x.shape[1], *self.hidden, self.n_out)))
        return f"{self.name} ({len(self.x)} rows, {sizes}, {self.activation}, batch {self.batch}, {self.optimizer})"


def problems() -> list[Problem]:
    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=2)), np.float32)
    angle = np.linspace(0.5, 3 * np.pi, 200)
    arm = 4 * np.c_[angle * np.cos(angle), angle * np.sin(angle)] / angle.max()
    images, labels = load_digits()
    spirals = np.concatenate([arm, -arm]).astype(np.float32)
    return [
        Problem("XOR", corners, corners.prod(axis=1) < 0, (4,), "tanh", "binary_cross_entropy", st.SGD(0.5), 4, 400),
        Problem(
            "two spirals", spirals, np.repeat([0, 1], 200), (32, 32), "tanh", "binary_cross_entropy",
            st.SGD(0.1, momentum=0.9), 32, 80,
        ),
        Problem(
            "digits", images.reshape(-1, 64).astype(np.float32) / 16, labels, (64, 64), "relu", "cross_entropy",
            st.SGD(0.02, momentum=0.9), 32, 10,
        ),
    ]  # fmt: skip


def curve(problem: Problem, order: str, seed: int) -> list[tuple[float, float]]:
    """Seconds of training so far and the cost of all rows then, from the start to the last epoch."""
    layers = [*(st.Dense(width, problem.activation) for width in problem.hidden), st.Dense(problem.n_out)]
    net = st.Network(problem.x.shape[1], layers, seed=seed)
    trainer = st.Trainer(net, problem.loss, problem.optimizer, update_order=order)
    draw, seconds = np.random.default_rng(seed), 0.0
    points = [(0.0, trainer.evaluate(problem.x, problem.y)["loss"])]
    for epochs in np.diff(np.linspace(0, problem.epochs, min(LOOKS, problem.epochs) + 1).astype(int)):
        batches = []
        for _ in range(epochs):
            rows = np.array_split(draw.permutation(len(problem.x)), -(-len(problem.x) // problem.batch))
            batches += [(problem.x[part], problem.y[part]) for part in rows]
        start = time.process_time()
        for x, y in batches:
            trainer.step(x, y)
        seconds += time.process_time() - start
        points.append((seconds, trainer.evaluate(problem.x, problem.y)["loss"]))
    return points


def learning_rows(problem: Problem, rounds: int) -> list[str]:
    """Rows of the first table: medians over first weights."""
    curves = [{order: curve(problem, order, seed) for order in ORDERS} for seed in range(rounds)]
    rows = []
    for order in ORDERS:
        ends, times, even = [], [], []
        for round_ in curves:
            limit = round_["together"][-1][0]
            ends.append(round_[order][-1][1])
            times.append(round_[order][-1][0] / limit)
            even.append([cost for seconds, cost in round_[order] if seconds <= limit][-1])
        figures = [f"{statistics.median(values):.3g}" for values in (ends, times, even)]
        rows.append("| " + " | ".join([str(problem), order, str(problem.epochs), *figures]) + " |")
    return rows


def multiply_adds(order: str) -> int:
    """How many a step of the second table's network takes for each row."""
    sizes = [n_in * n_out for n_in, n_out in itertools.pairwise(SIZES)]
    if order == "together":
        return sum(sizes) + sum(sizes) + sum(sizes[1:])  # forward, gradients of the weights, of the inputs
    # a turn: gradients of the inputs down to the layer, of its weights, and forward from it on
    return sum(sizes) + sum(sum(sizes[turn + 1 :]) + sizes[turn] + sum(sizes[turn:]) for turn in range(len(sizes)))


def cost_rows(threads: int, rounds: int) -> list[str]:
    """Rows of the second table: every way takes a step in turn."""
    st.set_num_threads(threads)
    plain = st.SGD(0.01, momentum=0.9)
    ways: dict[str, tuple[st.SGD, str]] = {
        "plain": (plain, "together"),
        "fraction=0.1": (st.SGD(0.01, momentum=0.9, fraction=0.1), "together"),
        "fraction=0.1, fraction_of='network'": (
            st.SGD(0.01, momentum=0.9, fraction=0.1, fraction_of="network"), "together",
        ),
        **{f"update_order='{order}'": (plain, order) for order in ORDERS[1:]},
    }  # fmt: skip
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((BATCH, SIZES[0]), dtype=np.float32), draw.integers(0, SIZES[-1], BATCH)
    trainers = {}
    for name, (optimizer, order) in ways.items():
        net = st.Network(SIZES[0], [*(st.Dense(n, "relu") for n in SIZES[1:-1]), st.Dense(SIZES[-1])])
        trainers[name] = st.Trainer(net, "cross_entropy", optimizer, update_order=order)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, trainer in trainers.items():
            for _ in range(2):  # the first brings its weights back into the caches
                start = time.perf_counter()
                trainer.step(x, y)
                took = time.perf_counter() - start
            seconds[name].append(took)
    rows, base = [], statistics.median(seconds["plain"])
    for name, (_, order) in ways.items():
        median, work = statistics.median(seconds[name]), multiply_adds(order) / multiply_adds("together")
        cells = [name, str(threads), f"{1e6 * median:.4g}", f"{median / base:.3g}", f"{work:.3g}"]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def watched_fit(n: int, sizes: tuple[int, ...], epochs: int, *callbacks: st.Callback) -> float:
    """Seconds of a fit."""
    draw = np.random.default_rng(0)
    x, y = draw.random((n, sizes[0]), dtype=np.float32), draw.integers(0, sizes[-1], n)
    net = st.Network(sizes[0], [*(st.Dense(k, "relu") for k in sizes[1:-1]), st.Dense(sizes[-1])])
    trainer = st.Trainer(net, "cross_entropy", st.SGD(0.01, momentum=0.9))
    start = time.perf_counter()
    trainer.fit(x, y, epochs=epochs, batch_size=32, callbacks=callbacks)
    return time.perf_counter() - start


def watched_rows(threads: int, rounds: int) -> list[str]:
    """Rows of the third table: the same fit with and without a recorder, in turn."""
    st.set_num_threads(threads)
    rows = []
    for (n, sizes, epochs), every in itertools.product(WATCHED, ("auto", 1)):
        plain, shares, records = [], [], []
        for _ in range(rounds):
            recorder = st.descent.Recorder(every=every)
            plain.append(watched_fit(n, sizes, epochs))
            shares.append(watched_fit(n, sizes, epochs, recorder) / plain[-1] - 1)
            records.append(len(recorder.epochs))
        cells = [
            f"{'-'.join(map(str, sizes))}, {n:,} rows", str(threads), str(epochs),
            f"{1e3 * statistics.median(plain) / epochs:.3g}", f"every={every!r}", f"{statistics.median(records):g}",
            f"{statistics.median(shares):.1%}",
        ]  # fmt: skip
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="first weights, fits; 40 times as many steps")
    parser.add_argument("--write", action="store_true", help="write the tables into bench/README.md")
    options = parser.parse_args()
    threads = st.get_num_threads()

    lines = [f"{machine()}, kernels for {st.build_info()['isa']}, steepest {st.build_info()['version']}.", ""]
    st.set_num_threads(1)
    lines += [
        "| work | order | epochs | cost | time | cost after as long as together takes |",
        "|---|---|---|---|---|---|",
    ]
    for problem in problems():
        lines += learning_rows(problem, options.rounds)
    lines += [
        "",
        f"A step of {'-'.join(map(str, SIZES))}, relu, cross-entropy, momentum, batch {BATCH}:",
        "",
        "| way | threads | us | times plain | times its multiply-adds |",
        "|---|---|---|---|---|",
    ]
    for count in sorted({1, threads}):
        lines += cost_rows(count, 40 * options.rounds)
    lines += [
        "",
        "Fits in batches of 32 with and without a `Recorder`, in turn:",
        "",
        "| work | threads | epochs | ms an epoch | recorder | records | adds to the time |",
        "|---|---|---|---|---|---|---|",
    ]
    for count in sorted({1, threads}):
        lines += watched_rows(count, 3 * options.rounds)
    print("\n".join(lines))
    if options.write:
        report.put("layerwise", lines)


if __name__ == "__main__":
    main()
