"""What the layers of single columns cost in a training step, beside what their arithmetic or traffic allows.

`python bench/embeddings.py` measures steps of a network with the layer, and of one without it whose input has as many
columns as the layer makes: the difference is the layer's, and what the dense layer behind it does for it, the gradient
of its input. ``--write`` puts the table into bench/README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import limits
import report
import steepest as st
from run import machine
from smoothness import seconds

ROWS = 256
BEHIND = 64  # units of the dense layer that follows
# Of a sine and cosine, by the vector instructions of its formula, each of which could have been a multiply-add.
TURN = 2 * 30
TURN_GRADIENT = 2 * 5


class Case(NamedTuple):
    """A layer on so many columns, its floating-point operations for a row, and the bytes that it moves for one."""

    layer: Any
    columns: int
    operations: float
    bytes: float


def cases() -> list[Case]:
    """Return the layers, as the estimators have them or larger."""
    periodic, bins, labels = 8, 8, 4
    return [
        Case(
            st.PeriodicEmbedding(24, 12), periodic,
            periodic * (3 * 2 * 49 * 12 + 24 * (TURN + TURN_GRADIENT)), 4 * periodic * 3 * 49,
        ),
        Case(
            st.PeriodicEmbedding(24, 16), periodic,
            periodic * (3 * 2 * 49 * 16 + 24 * (TURN + TURN_GRADIENT)), 4 * periodic * 3 * 49,
        ),
        Case(st.PiecewiseLinearEmbedding(32, size=12), bins, bins * (2 * 2 * 33 * 12 + 2 * 3 * 32), 4 * bins * 2 * 33),
        Case(st.FeatureScale(), 512, 512 * 5, 4 * 512 * 5),
        Case(st.CategoryEmbedding(100, 16, columns=range(labels)), labels, labels * 16, 4 * labels * 16 * 4),
    ]  # fmt: skip


def step_of(layers: Sequence[Any], columns: int, *, labels: bool) -> Any:
    """Return a step of a network with one output behind these layers, on one thread."""
    trainer = st.Trainer(st.Network(columns, [*layers, st.Dense(BEHIND, "relu"), st.Dense(1)]), "mse", st.SGD(1e-6))
    random = np.random.default_rng(0)
    x = random.integers(0, 100, (ROWS, columns)) if labels else random.standard_normal((ROWS, columns))
    x, y = x.astype(np.float32), random.standard_normal((ROWS, 1)).astype(np.float32)
    return lambda: trainer.step(x, y)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--write", action="store_true", help="write the table into bench/README.md")
    options = parser.parse_args()
    st.set_num_threads(1)
    limit = limits.measure(1)
    heads = "layer", "columns", "microseconds a step", "what arithmetic and traffic allow", "share"
    lines = [f"{machine()}, one thread, {ROWS} rows a step.", "", f"| {' | '.join(heads)} |", "|---|---|---|---|---|"]
    for case in cases():
        made = case.layer.output_size(case.columns)
        labels = isinstance(case.layer, st.CategoryEmbedding)
        calls = (
            step_of([case.layer], case.columns, labels=labels),
            step_of([], made, labels=False),
        )
        found = np.min([[seconds(call, 3) for call in calls] for _ in range(options.rounds // 3 + 1)], axis=0)
        layer = max(found[0] - found[1], 0.0)
        allowed = ROWS * max(case.operations / limit["flops_one"], case.bytes / limit["read"])
        allowed += ROWS * 2 * made * BEHIND / limit["flops_one"]
        share = f"{100 * allowed / layer:.0f}%" if layer else "-"
        lines.append(f"| {case.layer!r} | {case.columns} | {1e6 * layer:.1f} | {1e6 * allowed:.1f} | {share} |")
        print(lines[-1], file=sys.stderr)
    print("\n".join(lines))
    if options.write:
        report.put("embeddings", lines)


if __name__ == "__main__":
    main()
