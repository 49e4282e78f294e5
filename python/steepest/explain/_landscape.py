"""The sections about the place of the weights: along single weights, and in the landscape of the cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ..descent import Slope, Surface, contributions, slope, surface
from ._chain import is_chain
from ._curve import evenly_spaced
from ._figures import color_scale, draw_landscape, draw_weight_slope, goes_past_center, slopes_table
from ._html import Child, tag, to_percent, to_text
from ._page import Section, figure, numbers_behind, paragraph, side_by_side
from ._subject import Subject

_SLOPES = 4  # weights whose curve is drawn, at most half of them of one layer
_CANDIDATES = 1000
_POINTS = 81  # of a curve
_FLATTENED = 0.2  # of the slope before: less is flat
_SIDE = 25  # of the map
_PATH_POINTS = 60
_OUTSIDE = 0.005  # of its distance: a nearer place is in the plane


def weights_section(subject: Subject) -> Section:
    """Return the section about the cost along the weights that change it most."""
    drawn, listed = [], []
    for i, (label, before, after) in enumerate(_curves(subject)):
        svg = draw_weight_slope(before, after, label, f"{subject.key}-slope-{i}")
        drawn.append(tag("div", tag("p", label[0].upper() + label[1:], class_="what"), svg))
        listed.append((label, before, after))
    n, n_rows = subject.network.n_parameters, len(subject.sample()[0])
    opening = paragraph(
        f"Of all {n:,} numbers, these are among those with the steepest slope"
        f"{' before training' if subject.training else ''}: a little turn of them changes the cost the most. The cost "
        f"was computed for many values of each, on {'all' if n_rows == len(subject.x) else f'{n_rows:,} of the'} rows.",
    )
    how = ": dashed as they were before training, and after" if subject.training else ""
    caption = (
        f"The cost along one weight while all others stay{how}. "
        "The short straight line is the tangent where the weight stands; the triangle marks the lowest point."
    )
    drawing = tag("figure", side_by_side(*drawn), tag("figcaption", caption), numbers_behind(slopes_table(listed)))
    return Section(
        f"{subject.key}-weights",
        "One weight at a time",
        [opening, drawing, paragraph(_closing(listed))],
        label="Single weights",
    )


def _closing(listed: Sequence[tuple[str, Slope | None, Slope]]) -> str:
    """Return the text about the tangents before training and after."""
    before = [abs(curve.tangent) for _, curve, _ in listed if curve is not None]
    if not before:
        return "Where the tangent lies flat, turning this weight alone gains next to nothing."
    start = "Before training the tangents are tilted: there is something to gain. "
    if max(abs(curve.tangent) for *_, curve in listed) < _FLATTENED * max(before):
        return start + "After it they lie nearly flat: to turn one of these weights alone gains next to nothing more."
    return start + "After it they are tilted still: there is more to gain."


def landscape_section(subject: Subject) -> Section:
    """Return the section with the map of the cost, and the path of the training if there was one."""
    heading, key = "The landscape of the cost", f"{subject.key}-landscape"
    if not any(values.any() for values in subject.network.parameters.values() if values.ndim == 2):
        return Section(key, heading, [paragraph("All weights are 0: there is no direction to look in.")])
    plane = _path_plane(subject) or surface(subject.network, *subject.sample(), subject.loss, steps=_SIDE)
    svg, numbers = draw_landscape(plane, f"{subject.key}-map")
    finite = plane.costs[np.isfinite(plane.costs)]
    text = "All weights together are a place in a space of as many dimensions, and the cost is its height there. "
    past_center = plane.path is not None and goes_past_center(plane.path)
    if plane.path is not None:
        text += (
            f"Nobody can draw {subject.network.n_parameters:,} dimensions. So this is the plane along which the walk "
            "went furthest, seen from above like a map: the color is the height, the line is the way that training "
            "took."
        )
        if past_center:
            text += " The weights of the best epoch were kept: what came after them led nowhere better."
    else:
        text += (
            "This is a plane through the place where the network stands, in two random directions, seen from above "
            "like a map: the color is the height. There is no path on it: "
        )
        text += (
            "the walk was too short for that." if subject.training else "a model file does not tell how it came here."
        )
    colors = color_scale(to_text(finite.min()), to_text(finite.max()))
    caption = ["Low ", colors, " high. The bands cover equal shares of the map."]
    content: list[Child | Section] = [paragraph(text), figure(svg, caption, numbers)]
    if plane.off_plane is not None:
        # The plane goes through where the network stands: so its place is known, and of interest is the other end.
        word, end = ("end", -1) if past_center else ("start", 0)
        outside = float(plane.off_plane[end])
        where = (
            f"The {word} lies {to_percent(outside)} of its distance outside of the plane, so the map is a shadow of "
            "the real walk. "
        )
        blind = "Gradient descent does not see the map: it only feels the slope under its feet, and goes down."
        content.append(paragraph(f"{where if outside > _OUTSIDE else ''}{blind}"))
    return Section(key, heading, content, label="The landscape")


def _path_plane(subject: Subject) -> Surface | None:
    """Return the plane along which the path of the training reaches furthest; None where it spans no plane."""
    if not subject.training:
        return None
    path = subject.training.recorder.path
    path = path[evenly_spaced(len(path), _PATH_POINTS)]
    try:
        return surface(subject.network, *subject.sample(), subject.loss, "pca", path, steps=_SIDE)
    except ValueError:  # the points lie on one line
        return None


def _curves(subject: Subject) -> list[tuple[str, Slope | None, Slope]]:
    """Return the curves along the steepest weights, before training where that is known and now."""
    x, y = subject.sample()
    chosen: list[tuple[str, tuple[int, ...]]] = []
    for steep in contributions(subject.start, x, y, subject.loss).largest(_CANDIDATES):
        if steep.name.endswith(".weight") and sum(name == steep.name for name, _ in chosen) < _SLOPES / 2:
            chosen.append((steep.name, steep.index))
    found: list[tuple[str, Slope | None, Slope]] = []
    for name, index in chosen[:_SLOPES]:
        ends = [network.parameters[name] for network in (subject.start, subject.network)]
        # Wide enough for each curve to have its valley, and to show the weight's place on the other one.
        walked = abs(float(ends[1][index] - ends[0][index]))
        sizes = [max(abs(float(values[index])), float(np.sqrt(np.mean(values**2)))) for values in ends]
        span = max(1.5 * walked, *(2 * size for size in sizes)) or 1.0
        curve = partial(slope, x=x, y=y, loss=subject.loss, name=name, index=index, values=_POINTS, span=span)
        found.append(
            (
                _weight_title(subject, name, index),
                curve(subject.start) if subject.training else None,
                curve(subject.network),
            )
        )
    return found


def _weight_title(subject: Subject, name: str, index: tuple[int, ...]) -> str:
    """Return a weight's name in words: from where to where it leads."""
    layer = name.rpartition(".")[0]
    if not is_chain(subject.network) or len(index) != 2:
        return f"{name}[{', '.join(map(str, index))}]"
    number, last = int(layer), len(subject.network.layers) - 1
    start = subject.inputs[index[0]] if number == 0 else f"unit\u00a0{index[0] + 1} of layer\u00a0{number}"
    end = subject.outputs[index[1]] if number == last else f"unit\u00a0{index[1] + 1} of layer\u00a0{number + 1}"
    return f"from {start} to {end}"
