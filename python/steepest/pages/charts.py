"""Charts that more than one kind of page has, each with its numbers in a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .drawing import color, draw_both_widths, drawing, to_svg
from .html import Markup, clean, table, to_text

if TYPE_CHECKING:
    from matplotlib.axis import Axis


def draw_bars(
    names: Sequence[str],
    values: NDArray[np.float64],
    name: str,
    title: str,
    label: str,
    *,
    what: str,
    most: int | None = None,
) -> tuple[Markup, Markup]:
    """Draw horizontal bars, all in the given order, or only the `most` largest, largest first."""
    order = np.arange(len(values)) if most is None else np.argsort(-values, kind="stable")[:most]

    def draw(ident: str, width: float) -> Markup:
        with drawing(width, 64 + 30 * len(order)) as (figure, axes):
            axes.grid(False, axis="y")
            places = np.arange(len(order))
            axes.barh(places, values[order], color=color("one"), height=0.62)
            axes.set_yticks(places, [short_name(names[i], round(width / 20)) for i in order])
            axes.tick_params(axis="y", labelcolor=color("ink"))
            axes.invert_yaxis()
            axes.spines["left"].set_visible(False)
            axes.xaxis.set_major_formatter(lambda value, _: to_text(value))
            axes.set_xlabel(label)
            listed = ", ".join(f"{names[i]} {to_text(values[i])}" for i in order)
            return to_svg(figure, ident, title, f"From top to bottom: {listed}.")

    return draw_both_widths(name, draw), table(title, [what, label], [[names[i], to_text(values[i])] for i in order])


def whole_numbers(axis: Axis) -> None:
    """Mark an axis at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def short_name(name: str, length: int) -> str:
    """Return a name of so many letters at most."""
    name = clean(name)
    return name if len(name) <= length else f"{name[: length - 1]}…"
