"""The sections about where the weights stand: along single weights, and in the landscape of the cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ..descent import Slope, Surface, contributions, slope, surface
from . import _figures as figures
from ._case import Case
from ._chain import is_chain
from ._html import Child, percent, short, tag
from ._page import Section, behind, columns, figure, paragraph
from ._reading import spread

_SLOPES = 4  # weights whose curve is drawn, at most half of them of one layer
_CANDIDATES = 1000
_POINTS = 81  # of a curve
_FLATTENED = 0.2  # of the slope before: less is flat
_SIDE = 25  # of the map
_PATH_POINTS = 60
_OUTSIDE = 0.005  # of its distance: a nearer place is in the plane


def weights(case: Case) -> Section:
    """Return the cost along the weights that change it most."""
    drawn, listed = [], []
    for i, (label, before, after) in enumerate(_curves(case)):
        svg = figures.weight_slope(before, after, label, f"{case.key}-slope-{i}")
        drawn.append(tag("div", tag("p", label[0].upper() + label[1:], class_="what"), svg))
        listed.append((label, before, after))
    n, n_rows = case.network.n_parameters, len(case.sample()[0])
    opening = paragraph(
        f"Of all {n:,} numbers, these are among those with the steepest slope"
        f"{' before training' if case.trained else ''}: a little turn of them changes the cost the most. The cost was "
        f"computed for many values of each, on {'all' if n_rows == len(case.x) else f'{n_rows:,} of the'} rows.",
    )
    how = ": dashed as they were before training, and after" if case.trained else ""
    caption = (
        f"The cost along one weight while all others stay{how}. "
        "The short straight line is the tangent where the weight stands; the triangle marks the lowest point."
    )
    drawing = tag("figure", columns(*drawn), tag("figcaption", caption), behind(figures.slopes_table(listed)))
    return Section(
        f"{case.key}-weights",
        "One weight at a time",
        [opening, drawing, paragraph(_closing(listed))],
        label="Single weights",
    )


def _closing(listed: Sequence[tuple[str, Slope | None, Slope]]) -> str:
    """Return what training did to the tangents."""
    before = [abs(curve.tangent) for _, curve, _ in listed if curve is not None]
    if not before:
        return "Where the tangent lies flat, turning this weight alone gains next to nothing."
    start = "Before training the tangents are tilted: there is something to gain. "
    if max(abs(curve.tangent) for *_, curve in listed) < _FLATTENED * max(before):
        return start + "After it they lie nearly flat: to turn one of these weights alone gains next to nothing more."
    return start + "After it they are tilted still: there is more to gain."


def landscape(case: Case) -> Section:
    """Return the map of the cost, with the path of the training if there was one."""
    heading, key = "The landscape of the cost", f"{case.key}-landscape"
    if not any(values.any() for values in case.network.parameters.values() if values.ndim == 2):
        return Section(key, heading, [paragraph("All weights are 0: there is no direction to look in.")])
    plane = _along_the_walk(case) or surface(case.network, *case.sample(), case.loss, steps=_SIDE)
    svg, numbers = figures.landscape(plane, f"{case.key}-map")
    finite = plane.costs[np.isfinite(plane.costs)]
    text = "All weights together are a place in a space of as many dimensions, and the cost is its height there. "
    went_on = plane.path is not None and figures.went_on(plane.path)
    if plane.path is not None:
        text += (
            f"Nobody can draw {case.network.n_parameters:,} dimensions. So this is the plane along which the walk went "
            "furthest, seen from above like a map: the colour is the height, the line is the way that training took."
        )
        if went_on:
            text += " The weights of the best epoch were kept: what came after them led nowhere better."
    else:
        text += (
            "This is a plane through the place where the network stands, in two random directions, seen from above "
            "like a map: the colour is the height. There is no path on it: "
        )
        text += "the walk was too short for that." if case.trained else "a model file does not tell how it came here."
    colours = figures.scale(short(finite.min()), short(finite.max()))
    caption = ["Low ", colours, " high. The bands cover equal shares of the map."]
    content: list[Child | Section] = [paragraph(text), figure(svg, caption, numbers)]
    if plane.off_plane is not None:
        # The plane goes through where the network stands: so its place is known, and of interest is the other end.
        word, end = ("end", -1) if went_on else ("start", 0)
        outside = float(plane.off_plane[end])
        where = (
            f"The {word} lies {percent(outside)} of its distance outside of the plane, so the map is a shadow of the "
            "real walk. "
        )
        blind = "Gradient descent does not see the map: it only feels the slope under its feet, and goes down."
        content.append(paragraph(f"{where if outside > _OUTSIDE else ''}{blind}"))
    return Section(key, heading, content, label="The landscape")


def _along_the_walk(case: Case) -> Surface | None:
    """Return the plane in which the walk went furthest; None where there was no walk, or too short a one."""
    if not case.trained:
        return None
    path = case.trained.recorder.path
    path = path[spread(len(path), _PATH_POINTS)]
    try:
        return surface(case.network, *case.sample(), case.loss, "pca", path, steps=_SIDE)
    except ValueError:  # the points lie on one line
        return None


def _curves(case: Case) -> list[tuple[str, Slope | None, Slope]]:
    """Return the curves along the steepest weights, before training where that is known and now."""
    x, y = case.sample()
    chosen: list[tuple[str, tuple[int, ...]]] = []
    for knob in contributions(case.start, x, y, case.loss).largest(_CANDIDATES):
        if knob.name.endswith(".weight") and sum(name == knob.name for name, _ in chosen) < _SLOPES / 2:
            chosen.append((knob.name, knob.index))
    found: list[tuple[str, Slope | None, Slope]] = []
    for name, index in chosen[:_SLOPES]:
        ends = [network.parameters[name] for network in (case.start, case.network)]
        # Far enough for each curve to have its valley, and to show where the weight stands on the other one.
        walked = abs(float(ends[1][index] - ends[0][index]))
        sizes = [max(abs(float(values[index])), float(np.sqrt(np.mean(values**2)))) for values in ends]
        span = max(1.5 * walked, *(2 * size for size in sizes)) or 1.0
        curve = partial(slope, x=x, y=y, loss=case.loss, name=name, index=index, values=_POINTS, span=span)
        found.append((_name_of(case, name, index), curve(case.start) if case.trained else None, curve(case.network)))
    return found


def _name_of(case: Case, name: str, index: tuple[int, ...]) -> str:
    """Return a weight's name in words."""
    layer = name.rpartition(".")[0]
    if not is_chain(case.network) or len(index) != 2:
        return f"{name}[{', '.join(map(str, index))}]"
    number, last = int(layer), len(case.network.layers) - 1
    start = case.inputs[index[0]] if number == 0 else f"unit\u00a0{index[0] + 1} of layer\u00a0{number}"
    end = case.outputs[index[1]] if number == last else f"unit\u00a0{index[1] + 1} of layer\u00a0{number + 1}"
    return f"from {start} to {end}"
