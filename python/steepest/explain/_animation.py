"""Backpropagation of one row, step by step: an SVG whose parts know when they are to be seen, and a list in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..network import Network
from ._chain import Array, Stage, cost_of, said, stepped, trace
from ._html import TIMES, Markup, percent, short, tag

MOST_UNITS = 3  # of a layer that are drawn
MOST_LAYERS = 5

_COLUMN, _ROW, _RADIUS, _TOP = 200, 98, 28, 40  # pixels
_FOOT = 26
_PLACES = (0.2, 0.5, 0.8)  # along an edge, where its number stands: neighbours differ
_NAME_LENGTH = 20


@dataclass(frozen=True)
class Walk:
    """What the animation shows.

    Attributes
    ----------
    network : Network
        A chain of dense layers, before the step.
    loss : str
        The cost's name.
    row, target : arrays of shape (n_in,), (n_out,)
        The row, and its truth as `cost_of` wants it.
    inputs, outputs : sequences of str
        What inputs and outputs are called.
    """

    network: Network
    loss: str
    row: Array
    target: Array
    inputs: Sequence[str]
    outputs: Sequence[str]


@dataclass(frozen=True)
class _Column:
    title: str
    names: list[str]
    shown: list[int]
    values: Array
    blame: Array
    n_hidden: int  # units that are not drawn


def animation(walk: Walk, name: str) -> tuple[Markup, list[str]]:
    """Draw the walk.

    Parameters
    ----------
    walk : Walk
        What to show.
    name : str
        Start of the ids.

    Returns
    -------
    svg : Markup
        The drawing; a part with ``data-from="3"`` is to be seen from step 3 on, up to ``data-to``; ``data-at`` lists
        the steps that it is the subject of.
    steps : list of str
        What happens in each step, in words.
    """
    stages, output = trace(walk.network, walk.row, lambda y: cost_of(walk.loss, y, walk.target)[1])
    cost, slope = cost_of(walk.loss, output, walk.target)
    rate = _rate(cost, stages)
    after = stepped(walk.network, stages, rate)
    output_after = after.predict(walk.row[None])[0].astype(np.float64)
    cost_after = cost_of(walk.loss, output_after, walk.target)[0]

    columns = _columns(walk, stages)
    last = 2 * len(stages) + 3  # the step in which the weights turn
    height = _TOP + _ROW * max(len(column.shown) for column in columns) + _FOOT
    parts: list[Markup] = []
    for i, stage in enumerate(stages):
        parts.append(_edges(stage, columns[i], columns[i + 1], i, 3 + 2 * (len(stages) - 1 - i), last, rate, height))
    for i, column in enumerate(columns):
        at = 2 + 2 * (len(stages) - i)
        parts.append(_units(column, i, at, height))
    parts.append(_cost_box(walk, len(columns), height, (cost, cost_after), (output, output_after), last))
    title, sizes = "Backpropagation of one row", ", ".join(str(len(column.values)) for column in columns)
    description = (
        f"A network of {sizes} units, from input to output. The cost of one row, {short(cost)}, is carried back from "
        f"the output to the input; then every weight turns a little, and the cost is {short(cost_after)}. The steps "
        "are listed in words below."
    )
    svg = tag(
        "svg", tag("title", title, id=f"{name}-title"), tag("desc", description, id=f"{name}-desc"), parts,
        id=name, class_="net", viewBox=f"0 0 {_COLUMN * (len(columns) + 1) - 30} {height}", role="img",
        aria_labelledby=f"{name}-title {name}-desc", style=f"--columns:{len(columns) + 1}",
    )  # fmt: skip
    return svg, _words(walk, stages, columns, (cost, cost_after), (output, output_after), slope, rate)


def _rate(cost: float, stages: Sequence[Stage]) -> float:
    """Return a rate, of one digit, at which the step ought to take about a third of the cost away."""
    steepness = sum(float(np.sum(s.gradient**2) + np.sum(s.blame**2)) for s in stages)
    return float(f"{min(0.33 * cost / max(steepness, 1e-12), 1.0):.1g}")


def _columns(walk: Walk, stages: Sequence[Stage]) -> list[_Column]:
    """Return the units to draw: those with the most say in what comes back."""
    first = stages[0]
    columns = [_column("Input", walk.inputs, first.before, first.blame_in, np.abs(first.gradient).sum(axis=1))]
    for i, (stage, following) in enumerate(pairwise(stages), start=1):
        names = [f"unit {k + 1}" for k in range(len(stage.values))]
        weight = np.abs(following.gradient).sum(axis=1) + np.abs(stage.blame)
        columns.append(_column(f"Layer {i}", names, stage.values, stage.blame, weight))
    end = stages[-1]
    columns.append(_column("Output", walk.outputs, end.values, end.blame, np.abs(end.blame)))
    return columns


def _column(title: str, names: Sequence[str], values: Array, blame: Array, say: NDArray[np.float64]) -> _Column:
    shown = np.sort(np.argsort(-say, kind="stable")[:MOST_UNITS]).tolist()
    return _Column(title, list(names), shown, values, blame, len(values) - len(shown))


def _place(column: _Column, number: int, k: int, height: float) -> tuple[float, float]:
    middle = (_TOP + height - _FOOT) / 2
    return 84 + _COLUMN * number, middle + _ROW * (k - (len(column.shown) - 1) / 2)


def _edges(
    stage: Stage, left: _Column, right: _Column, number: int, at: int, last: int, rate: float, height: float
) -> Markup:
    gradient = stage.gradient
    largest = max(float(np.abs(stage.weight[np.ix_(left.shown, right.shown)]).max()), 1e-12)
    lines, texts = [], []
    for a, i in enumerate(left.shown):
        x1, y1 = _place(left, number, a, height)
        for b, j in enumerate(right.shown):
            x2, y2 = _place(right, number + 1, b, height)
            width = 0.8 + 3.2 * abs(float(stage.weight[i, j])) / largest
            ends = {"x1": f"{x2 - _RADIUS:.0f}", "y1": f"{y2:.0f}", "x2": f"{x1 + _RADIUS:.0f}", "y2": f"{y1:.0f}"}
            lines.append(tag("line", class_="edge", style=f"--w:{width:.1f}", data_at=f"{at} {last}", **ends))
            share = _PLACES[(a + (len(left.shown) == 2 and a == 1)) % len(_PLACES)]
            x, y = x1 + _RADIUS + share * (x2 - x1 - 2 * _RADIUS), y1 + share * (y2 - y1) + 4
            weight, slope = float(stage.weight[i, j]), float(gradient[i, j])
            place = {"x": f"{x:.0f}", "y": f"{y:.0f}"}
            texts += [
                tag("text", short(weight, 2), class_="number weight", data_to=at - 1, **place),
                tag(
                    "text",
                    short(slope, 2),
                    class_="number slope off",
                    data_from=at,
                    data_to=last - 1,
                    data_at=at,
                    **place,
                ),
                tag(
                    "text",
                    short(weight - rate * slope, 2),
                    class_="number weight off",
                    data_from=last,
                    data_at=last,
                    **place,
                ),
            ]
    return tag("g", tag("g", lines), tag("g", texts))


def _units(column: _Column, number: int, at: int, height: float) -> Markup:
    x, _ = _place(column, number, 0, height)
    parts = [tag("text", column.title, class_="heading", x=x, y=22)]
    for k, unit in enumerate(column.shown):
        _, y = _place(column, number, k, height)
        slope = short(column.blame[unit], 2)
        parts += [
            tag("circle", class_="unit", cx=x, cy=f"{y:.0f}", r=_RADIUS, data_at=f"0 {at}"),
            tag("text", short(column.values[unit], 2), class_="value", x=x, y=f"{y - 1:.0f}"),
            tag("text", _cut(column.names[unit]), class_="name", x=x, y=f"{y - _RADIUS - 7:.0f}"),
            tag("text", slope, class_="slope off", data_from=at, data_at=at, x=x, y=f"{y + 15:.0f}"),
        ]  # fmt: skip
    if column.n_hidden:
        parts.append(tag("text", f"and {column.n_hidden:,} more", class_="name", x=x, y=f"{height - 8:.0f}"))
    return tag("g", parts, data_column=number)


def _cost_box(
    walk: Walk, number: int, height: float, costs: tuple[float, float], outputs: tuple[Array, Array], last: int
) -> Markup:
    x, y = 84 + _COLUMN * number - 78, (_TOP + height - _FOOT) / 2
    says = [_says(walk, output) for output in outputs]
    return tag(
        "g",
        tag("text", "Cost", class_="heading", x=x + 60, y=22),
        tag(
            "rect",
            class_="cost off",
            x=x,
            y=f"{y - 46:.0f}",
            width=120,
            height=92,
            rx=10,
            data_from=1,
            data_at=f"1 {last}",
        ),
        tag("text", says[0], class_="name off", x=x + 60, y=f"{y - 22:.0f}", data_from=1, data_to=last - 1),
        tag("text", says[1], class_="name off", x=x + 60, y=f"{y - 22:.0f}", data_from=last),
        tag("text", _truth(walk), class_="name off", x=x + 60, y=f"{y - 2:.0f}", data_from=1),
        tag("text", short(costs[0]), class_="total off", x=x + 60, y=f"{y + 29:.0f}", data_from=1, data_to=last - 1),
        tag("text", short(costs[1]), class_="total off", x=x + 60, y=f"{y + 29:.0f}", data_from=last),
        data_column=number,
    )


def _says(walk: Walk, output: Array) -> str:
    meant = said(walk.loss, output)
    if walk.loss == "mse":
        return f"says {short(meant[0])}"
    k = int(walk.target.argmax()) if len(meant) > 1 else 0
    return f"says {percent(float(meant[k]))}"


def _truth(walk: Walk) -> str:
    if walk.loss == "cross_entropy":
        return f"truth {_cut(walk.outputs[int(walk.target.argmax())], 12)}"
    return f"truth {short(walk.target[0])}"


def _words(
    walk: Walk,
    stages: Sequence[Stage],
    columns: Sequence[_Column],
    costs: tuple[float, float],
    outputs: tuple[Array, Array],
    slope: Array,
    rate: float,
) -> list[str]:
    meaning = _meaning(walk, outputs[0])
    steps = [
        "Forward. The row goes in on the left. Every unit multiplies what comes in by the weights on its edges, adds "
        f"its bias and passes the sum on, bent by its activation. {meaning}",
        f"The cost. {_truth(walk).capitalize()}: what the network says costs {short(costs[0])}. From here on we go "
        "backwards, and ask of every number: if it rose a little, by how much would the cost rise?",
    ]
    for i in reversed(range(len(stages))):
        stage, left, right = stages[i], columns[i], columns[i + 1]
        j = right.shown[int(np.abs(right.blame[right.shown]).argmax())]
        if i == len(stages) - 1:
            way = "fall" if slope[j] > 0 else "rise"
            steps.append(
                f"The output. The slope of the cost along {_quoted(right, j)} is {short(slope[j])}: for a lower cost "
                f"this output ought to {way}."
            )
        else:
            following = stages[i + 1]
            flat = "" if stage.blame[j] else " A slope of 0 means that the unit is switched off for this row."
            steps.append(
                f"{right.title}. A unit's slope is what flows back to it: the slopes on its right, each times the "
                f"weight between them, {short(following.blame_in[j])} together for {right.names[j]}, times the "
                f"steepness of its own activation ({stage.activation}): {short(stage.blame[j])}.{flat}"
            )
        k = left.shown[int(np.abs(stage.gradient[left.shown, j]).argmax())]
        steps.append(
            f"The weights into {'the output' if i == len(stages) - 1 else right.title.lower()}. The slope along a "
            f"weight is the value on its left times the slope on its right: between {_quoted(left, k)} and "
            f"{_quoted(right, j)} it is {short(left.values[k])} {TIMES} {short(stage.blame[j])} = "
            f"{short(stage.gradient[k, j])}."
        )
    steps.append(
        "The input is reached. Inputs cannot be turned, but their slopes tell which of them this row's cost hangs on. "
        "All gradients are known now, after a single walk back."
    )
    steps.append(
        f"All weights turn, each against its slope, by {short(rate)} times its slope. The same row goes in again: "
        f"{_meaning(walk, outputs[1], again=True)} The cost went from {short(costs[0])} to {short(costs[1])}."
    )
    return steps


def _meaning(walk: Walk, output: Array, *, again: bool = False) -> str:
    meant, start = said(walk.loss, output), "it comes out as" if again else "What comes out is"
    if walk.loss == "mse":
        return f"{start} {short(meant[0])}, in units of the target's spread and from its mean."
    if walk.loss == "binary_cross_entropy":
        return f"{start} {short(output[0])}, which means: {percent(float(meant[0]))} for class 1."
    k = int(walk.target.argmax())
    start = "now" if again else "In the end"
    return f"{start} {percent(float(meant[k]))} of the certainty go to the right class, {walk.outputs[k]}."


def _quoted(column: _Column, unit: int) -> str:
    return column.names[unit]


def _cut(text: str, length: int = _NAME_LENGTH) -> str:
    """Leave the middle of a long name out: features of one column differ at the end."""
    half = length // 2
    return text if len(text) <= length else f"{text[: half - 1].rstrip()}…{text[-half:].lstrip()}"
