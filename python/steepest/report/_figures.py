"""The charts of the report, each with its numbers in a table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..pages.charts import short_name, whole_numbers
from ..pages.drawing import RAMP, color, draw_both_widths, drawing, to_svg
from ..pages.html import Markup, table, to_percent, to_text
from ._measures import Array, Calibration, Confusion

_LINES = ("one", "two", "three", "four")
_DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.8)), (0, (7, 2, 1.5, 2)))
_ROWS = 12  # of a table


def draw_confusion(found: Confusion) -> tuple[Markup, Markup]:
    """Draw how often which class was predicted, as shares of the true class."""
    n = len(found.names)
    totals = found.counts.sum(axis=1, keepdims=True)
    shares = found.counts / np.maximum(totals, 1)

    def draw(ident: str, width: float) -> Markup:
        with drawing(width, 110 + (width - 130) * min(0.42 + 0.05 * n, 0.85)) as (figure, axes):
            axes.grid(False)
            levels = np.minimum((shares * RAMP).astype(int), RAMP - 1)
            for row, column in np.ndindex(n, n):
                axes.add_patch(_square(column, row, f"ramp{levels[row, column]}"))
                if found.counts[row, column] and n <= (12 if width > 500 else 5):
                    dark = levels[row, column] > RAMP // 2
                    axes.text(
                        column, row, f"{found.counts[row, column]:,}", ha="center", va="center",
                        color=color("card" if dark else "ink"),
                    )  # fmt: skip
            letters = max(round((width - 120) / n / 8), 3)
            axes.set_xticks(range(n), [short_name(name, letters) for name in found.names], rotation=0 if n < 7 else 60)
            axes.set_yticks(range(n), [short_name(name, 12) for name in found.names])
            axes.set_xlim(-0.5, n - 0.5)
            axes.set_ylim(n - 0.5, -0.5)
            axes.set_xlabel("predicted")
            axes.set_ylabel("true")
            right = float(np.trace(found.counts)) / max(int(found.counts.sum()), 1)
            return to_svg(figure, ident, "Predicted and true classes", f"{to_percent(right)} are on the diagonal.")

    rows = [[name, *(f"{count:,}" for count in counts)] for name, counts in zip(found.names, found.counts, strict=True)]
    return draw_both_widths("confusion-chart", draw), table(
        "True classes down, predicted ones across", ["", *found.names], rows
    )


def draw_calibration(found: Calibration, said: str, came: str, *, shares: bool) -> tuple[Markup, Markup]:
    """Draw what came against what was said, with the line on which both are equal."""

    def draw(ident: str, width: float) -> Markup:
        with drawing(width, 200 + 0.3 * width) as (figure, axes):
            ends = np.array([min(found.said.min(), found.came.min()), max(found.said.max(), found.came.max())])
            ends = np.array([0.0, 1.0]) if shares else ends
            axes.plot(ends, ends, color=color("muted"), linewidth=1.2, linestyle=_DASHES[1], label="as it should be")
            axes.plot(found.said, found.came, "o-", color=color("one"), label="as it is", zorder=3)
            axes.set_xlabel(said)
            axes.set_ylabel(came)
            axes.xaxis.set_major_formatter(lambda value, _: to_text(value))
            axes.yaxis.set_major_formatter(lambda value, _: to_text(value))
            figure.legend(loc="outside upper left", ncols=2)
            text = f"On average {to_text(found.error)} apart."
            return to_svg(figure, ident, "What was said, and what came", text)

    rows = [[f"{n:,}", to_text(a), to_text(b)] for n, a, b in zip(found.rows, found.said, found.came, strict=True)]
    return draw_both_widths("calibration-chart", draw), table(
        "Rows in the order of what was said", ["rows", said, came], rows
    )


def draw_predicted(predicted: Array, truth: Array, target: str) -> Markup:
    """Draw predicted numbers, (n,), against true ones, (n,), with the line on which both are equal."""

    def draw(ident: str, width: float) -> Markup:
        with drawing(width, 220 + 0.3 * width) as (figure, axes):
            ends = np.array([min(predicted.min(), truth.min()), max(predicted.max(), truth.max())])
            axes.plot(ends, ends, color=color("muted"), linewidth=1.2, linestyle=_DASHES[1])
            axes.plot(truth, predicted, "o", color=color("one"), markersize=3.4, alpha=0.55, zorder=3)
            axes.set_xlabel(f"true {short_name(target, 30)}")
            axes.set_ylabel("predicted")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(lambda value, _: to_text(value))
            axes.locator_params(nbins=6 if width > 500 else 4)
            middle = to_text(float(np.median(np.abs(predicted - truth))))
            text = f"{len(truth):,} rows; half of them are off by less than {middle}."
            return to_svg(figure, ident, "Predicted and true numbers", text)

    return draw_both_widths("predicted-chart", draw)


def draw_course(lines: Mapping[str, NDArray[np.float64]], label: str) -> tuple[Markup, Markup]:
    """Draw one line for each name over the epochs."""
    n = max(len(values) for values in lines.values())
    epochs = np.arange(1, n + 1)

    def draw(ident: str, width: float) -> Markup:
        with drawing(width, 330) as (figure, axes):
            whole_numbers(axes.xaxis)
            for k, (name, values) in enumerate(lines.items()):
                marker = "o" if len(values) < 3 else ""
                axes.plot(
                    epochs[: len(values)], values, color=color(_LINES[k % 4]), linestyle=_DASHES[k % 4], label=name,
                    marker=marker,
                )  # fmt: skip
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            axes.yaxis.set_major_formatter(lambda value, _: to_text(value))
            if len(lines) > 1:
                figure.legend(loc="outside upper left", ncols=min(len(lines), max(int(width / 190), 1)))
            parts = [f"{name}: from {to_text(v[0])} to {to_text(v[-1])}" for name, v in lines.items()]
            return to_svg(figure, ident, "The training, epoch by epoch", f"{'; '.join(parts)}.")

    shown = np.unique(np.linspace(0, n - 1, min(n, _ROWS)).round().astype(int))
    rows = [[f"{epochs[i]:,}", *(to_text(v[i]) if i < len(v) else "" for v in lines.values())] for i in shown.tolist()]
    return draw_both_widths("course-chart", draw), table("Some of the epochs", ["epoch", *lines], rows)


def _square(column: int, row: int, role: str) -> object:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=color(role), edgecolor=color("card"), linewidth=1.5)
