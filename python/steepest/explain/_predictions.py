"""The sections about the predictions of a network, and the inputs that they depend on."""

from __future__ import annotations

import numpy as np

from ..descent import sensitivity
from ..pages.charts import draw_bars
from ..pages.html import tag
from ..pages.page import Section, figure, paragraph
from ._figures import draw_boundary
from ._subject import Subject
from ._training_course import moment_text

_MOMENTS = (0.0, 0.25, 1.0)  # shares of the training at which the plane is drawn
_ROWS = 200  # on which each input is turned
_SHOWN = 10


def boundary_section(subject: Subject) -> Section:
    """Return the section with the predictions of a network of two inputs and one logit, over the plane."""
    moments = [("As it is", subject.network)]
    if (course := subject.training) is not None:
        end = len(course.epochs) - 1 if course.kept is None else course.kept
        places = sorted({round(share * end) for share in _MOMENTS})
        moments = [(f"{moment_text(int(course.epochs[i])).capitalize()}", subject.at(i)) for i in places]
    labels = subject.y[:, 0].astype(np.intp)
    drawn = draw_boundary(moments, subject.x.astype(np.float64), labels, f"{subject.key}-plane")
    cells = [
        tag("div", tag("p", title, class_="what"), svg, tag("p", text, class_="note"))
        for (title, _), (text, svg) in zip(moments, drawn, strict=True)
    ]
    caption = [
        f"The inputs are the two directions of the plane{', in each picture' * (len(drawn) > 1)}. The color is what "
        "the network says: ",
        tag("span", "class 0", class_="key", style="--role:var(--one)"),
        ", ",
        tag("span", "class 1", class_="key", style="--role:var(--two)"),
        ", the fainter the less sure; along the line it cannot tell. Round points are of class 0, squares of class 1.",
    ]
    shown = f" Here it is at {len(drawn)} moments of the training, one after the other." if len(drawn) > 1 else ""
    opening = paragraph(
        "With two inputs, the network can be asked about every point of the plane. One layer alone can part it by a "
        f"straight line only; several layers bend the line until it runs between the classes.{shown}"
    )
    drawing = tag("figure", tag("div", cells, class_="columns three"), tag("figcaption", caption))
    return Section(f"{subject.key}-boundary", "What it has learned", [opening, drawing])


def inputs_section(subject: Subject) -> Section:
    """Return the section about the inputs, or columns of the table, that move the output most."""
    rows = subject.sample(_ROWS)[0]
    moved = 100 * sensitivity(subject.network, rows).features
    names, what = subject.inputs, "input"
    if subject.columns:
        names, what = [name for name, _ in subject.columns], "column"
        ends = np.cumsum([n for _, n in subject.columns])
        moved = np.sqrt(np.add.reduceat(moved**2, ends - [n for _, n in subject.columns]))
    svg, numbers = draw_bars(
        names, moved, f"{subject.key}-inputs", f"The {what}s that move the output most",
        "the output moves by, percent of its size", what=what, most=_SHOWN,
    )  # fmt: skip
    opening = paragraph(
        f"Turn one input by a hundredth of its spread in {subject.rows_text(_ROWS)}, and see how far the output moves: "
        "that shows which inputs the network listens to. It says nothing about cause and effect in the world."
    )
    caption = "How far the output moves for one percent of each input's spread, in percent of the output's own size."
    if any(n > 1 for _, n in subject.columns):
        caption += " Where a column became several inputs, each was turned on its own, and they count together."
    if len(names) > _SHOWN:
        caption += f" The {_SHOWN} strongest of {len(names):,} are shown."
    drawing = figure(svg, caption, numbers)
    return Section(f"{subject.key}-answers", "What the answers hang on", [opening, drawing], label="What it listens to")
