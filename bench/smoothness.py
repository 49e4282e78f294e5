"""Whether the time of a step grows smoothly: widths of 8 to 512 by batches of 1 to 256, on one thread and on all.

`python bench/smoothness.py` prints the steepest cliffs and draws them; ``--write`` puts the summary into
bench/README.md and the picture beside it. It needs matplotlib.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

import report
import steepest as st

WIDTHS = (8, 12, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129, 192, 255, 256, 257, 384, 511, 512)
BATCHES = (1, 2, 3, 4, 6, 7, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129, 192, 255, 256)
PICTURE = Path(__file__).with_name("smoothness.svg")


def step_of(width: int, batch: int) -> Any:
    """A step of a network whose layers all have this width, and its multiply-adds."""
    network = st.Network(width, [st.Dense(width, "relu"), st.Dense(width)])
    trainer = st.Trainer(network, "mse", st.SGD(1e-3))
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((batch, width), np.float32) for _ in range(2))
    return lambda: trainer.step(x, y)


def seconds(call: Any, rounds: int) -> float:
    """Return the least of some rounds, each of at least a millisecond."""
    call()
    start = time.perf_counter()
    call()
    calls = max(1, int(1e-3 / (time.perf_counter() - start)))
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, (time.perf_counter() - start) / calls)
    return float(best)


def measure(rounds: int) -> NDArray[np.float64]:
    """Seconds of a step, (one thread or all, widths, batches); both thread counts take turns."""
    found = np.empty((2, len(WIDTHS), len(BATCHES)))
    for i, width in enumerate(WIDTHS):
        for j, batch in enumerate(BATCHES):
            call = step_of(width, batch)
            for k, threads in enumerate((1, len(os.sched_getaffinity(0)))):
                st.set_num_threads(threads)
                found[k, i, j] = seconds(call, rounds)
    return found


def cliffs(found: NDArray[np.float64]) -> list[str]:
    """Return what a step to the next size costs beyond its work, and where all threads lose against one."""
    work = np.outer(np.square(WIDTHS), np.add(BATCHES, 2.0))  # reading a weight costs as much as two rows' use of it
    lines = []
    for k, name in enumerate(("one thread", "all threads")):
        # against the larger of the work's growth and of none at all: a call costs something however small it is
        wider = found[k, 1:] / found[k, :-1] / (work[1:] / work[:-1])
        taller = found[k, :, 1:] / found[k, :, :-1] / (work[:, 1:] / work[:, :-1])
        i, j = np.unravel_index(wider.argmax(), wider.shape)
        m, n = np.unravel_index(taller.argmax(), taller.shape)
        lines.append(
            f"- {name}: from one width to the next, time grows at most {wider.max():.2f} times as much as the work "
            f"(width {WIDTHS[i]} to {WIDTHS[i + 1]}, batch {BATCHES[j]}); from one batch to the next at most "
            f"{taller.max():.2f} times (width {WIDTHS[m]}, batch {BATCHES[n]} to {BATCHES[n + 1]})."
        )
    slower = found[1] / found[0]
    i, j = np.unravel_index(slower.argmax(), slower.shape)
    lines.append(
        f"- all threads against one: median {np.median(slower):.2f} of its time, at most {slower.max():.2f} (width "
        f"{WIDTHS[i]}, batch {BATCHES[j]}); above 1.05 in {np.mean(slower > 1.05):.1%} of {slower.size} sizes."
    )
    return lines


def draw(found: NDArray[np.float64]) -> None:
    """Draw nanoseconds for each thousand multiply-adds."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "steepest"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    work = 5.0 * np.outer(np.square(WIDTHS), BATCHES)  # multiply-adds: two layers forward, one and two backward
    for ax, times, title in zip(axes, found, ("one thread", "all threads"), strict=True):
        for i in range(0, len(WIDTHS), 2):
            color = plt.cm.viridis(i / len(WIDTHS))
            ax.loglog(BATCHES, 1e12 * times[i] / work[i], color=color, label=f"{WIDTHS[i]}", linewidth=1)
        ax.set(title=title, xlabel="batch")
    axes[0].set_ylabel("ns for a thousand multiply-adds")
    axes[1].legend(title="width", fontsize="x-small", ncols=2)
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="put the summary into bench/README.md")
    options = parser.parse_args()
    found = measure(options.rounds)
    draw(found)
    lines = cliffs(found)
    print("\n".join(lines))
    if options.write:
        report.put("smoothness", lines)


if __name__ == "__main__":
    main()
