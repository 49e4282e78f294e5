"""The sections about what a network says, and what its answers hang on."""

from __future__ import annotations

import numpy as np

from ..descent import sensitivity
from . import _figures as figures
from ._case import Case
from ._html import tag
from ._page import Section, figure, paragraph

_MOMENTS = (0.0, 0.25, 1.0)  # shares of the training at which the plane is drawn
_ROWS = 200  # on which inputs are turned
_SHOWN = 10


def plane(case: Case) -> Section:
    """Return what a network of two inputs and one logit says over the plane, at moments of its training."""
    moments = [("As it is", case.network)]
    if case.trained:
        moments = []
        epochs = case.trained.recorder.path_epochs
        for share in _MOMENTS:
            i = round(share * (len(epochs) - 1))
            moments.append((f"After {epochs[i]} epochs" if i else "Before training", case.at(i)))
    labels = case.y[:, 0].astype(np.intp)
    drawn = figures.boundary(moments, case.x.astype(np.float64), labels, f"{case.key}-plane")
    cells = [
        tag("div", tag("p", title, class_="what"), svg, tag("p", text, class_="note"))
        for (title, _), (text, svg) in zip(moments, drawn, strict=True)
    ]
    caption = [
        "The inputs are the two directions of the plane. The colour is what the network says: ",
        tag("span", "class 0", class_="key", style="--role:var(--one)"),
        ", ",
        tag("span", "class 1", class_="key", style="--role:var(--two)"),
        ", the fainter the less sure; along the line it cannot tell. Round points are of class 0, squares of class 1.",
    ]
    opening = paragraph(
        "With two inputs, the network can be asked about every point of the plane. A nearly straight line parts the "
        "plane at first; the layers bend it until it runs between the classes."
    )
    drawing = tag("figure", tag("div", cells, class_="columns three"), tag("figcaption", caption))
    return Section(f"{case.key}-boundary", "What it has learnt", [opening, drawing])


def inputs(case: Case) -> Section:
    """Return which inputs, or columns of the table, move the output most."""
    moved = 100 * sensitivity(case.network, case.sample(_ROWS)[0]).features
    names, what = case.inputs, "input"
    if case.columns:
        names, what = [name for name, _ in case.columns], "column"
        ends = np.cumsum([n for _, n in case.columns])
        moved = np.sqrt(np.add.reduceat(moved**2, ends - [n for _, n in case.columns]))
    svg, numbers = figures.bars(
        names, moved, f"{case.key}-inputs", f"The {what}s that move the output most",
        "the output moves by, per cent", most=_SHOWN,
    )  # fmt: skip
    opening = paragraph(
        "Turn one input by a hundredth of its spread in all rows, and see how far the output moves: that shows which "
        "inputs the network listens to. It says nothing about cause and effect in the world."
    )
    caption = "How far the output moves for one per cent of each input's spread."
    if any(n > 1 for _, n in case.columns):
        caption += " Where a column became several inputs, each was turned on its own, and they count together."
    if len(names) > _SHOWN:
        caption += f" The {_SHOWN} strongest of {len(names):,} are shown."
    drawing = figure(svg, caption, numbers)
    return Section(f"{case.key}-answers", "What the answers hang on", [opening, drawing], label="What it listens to")
