"""The sections about the place of the weights: along single weights, and in the landscape of the cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ..descent import Slope, Surface, contributions, slope, surface
from ..layers import BatchNorm, iter_nodes
from ..pages.html import Child, tag, to_percent, to_text
from ..pages.page import Section, figure, numbers_behind, paragraph, side_by_side
from ._curve import evenly_spaced
from ._figures import color_scale, draw_landscape, draw_weight_slope, slopes_table
from ._subject import Subject
from ._training_course import moment_text

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
    n, count = subject.network.n_parameters, len(drawn)
    opening = paragraph(
        f"Of all {n:,} numbers, these are among those with the steepest slope"
        f"{' before training' if subject.training else ''}: a little turn of them changes the cost the most. The cost "
        f"was computed for many values of each, on {subject.rows_text()}.",
    )
    how = ", dashed as they were before training, solid as they are after it" if subject.training else ""
    caption = (
        f"{'Each picture shows the' if count > 1 else 'The'} cost along one weight while all others stay{how}. The "
        "short straight lines are tangents where the weight stands; a triangle marks the lowest point of a curve."
    )
    drawing = tag("figure", side_by_side(*drawn), tag("figcaption", caption), numbers_behind(slopes_table(listed)))
    return Section(
        f"{subject.key}-weights",
        "One weight at a time",
        [opening, drawing, paragraph(_closing([before for _, before, _ in listed], [now for *_, now in listed]))],
        label="Single weights",
    )


def _closing(curves: Sequence[Slope | None], now: Sequence[Slope]) -> str:
    """Return the text about the tangents before training and after, and about what one weight alone could gain."""
    if not now:
        return "No weight has a slope here."
    best = max(now, key=lambda curve: curve.cost - curve.best_cost)
    gain = best.cost - best.best_cost
    could = (
        f"The most that one of these weights could still gain alone, by its triangle, is {to_text(gain)} of a cost of "
        f"{to_text(best.cost)}."
    )
    before = [abs(curve.tangent) for curve in curves if curve is not None]
    if not before:
        return f"Where the tangent lies flat, a little turn of this weight changes next to nothing. {could}"
    if not max(before):
        return f"Before training all of these tangents lie flat: no little turn changes anything. {could}"
    start = "Before training the tangents are tilted: there is something to gain. "
    if max(abs(curve.tangent) for curve in now) < _FLATTENED * max(before):
        return f"{start}After it they lie nearly flat: a little turn changes next to nothing more. {could}"
    return f"{start}After it they are tilted still. {could}"


def landscape_section(subject: Subject) -> Section:
    """Return the section with the map of the cost, and the path of the training if there was one."""
    heading, key = "The landscape of the cost", f"{subject.key}-landscape"
    if not any(values.any() for values in subject.network.parameters.values() if values.ndim == 2):
        return Section(key, heading, [paragraph("All weights are 0: there is no direction to look in.")])
    plane = _path_plane(subject) or surface(subject.network, *subject.sample(), subject.loss, steps=_SIDE)
    svg, numbers = draw_landscape(plane, f"{subject.key}-map")
    finite = plane.costs[np.isfinite(plane.costs)]
    caption = ["Low ", color_scale(to_text(finite.min()), to_text(finite.max())), " high: the cost of "]
    caption += [f"{subject.rows_text()}. The bands cover equal shares of the map."]
    content: list[Child | Section] = [paragraph(_landscape_text(subject, plane)), figure(svg, caption, numbers)]
    if plane.off_plane is not None:
        # The plane goes through where the network stands: so its place is known, and of interest is the other end.
        outside = float(plane.off_plane[0])
        where = (
            f"The start lies {to_percent(outside)} of its distance outside of the plane, so the map is a shadow of the "
            "real walk, and its height at the start is not the cost before training. "
        )
        blind = "Gradient descent does not see the map: it only feels the slope under its feet, and goes down."
        content.append(paragraph(f"{where if outside > _OUTSIDE else ''}{blind}"))
    return Section(key, heading, content, label="The landscape")


def _landscape_text(subject: Subject, plane: Surface) -> str:
    """Return the text about the map: what plane it is, and where on it the network stands."""
    text = "All weights together are a place in a space of as many dimensions, and the cost is its height there. "
    if plane.path is None:
        why = "the walk was too short for that" if subject.training else "a model file does not tell how it came here"
        text += (
            "This is a plane through the place where the network stands, in two random directions, seen from above "
            f"like a map: the color is the height. There is no path on it: {why}."
        )
    else:
        text += (
            f"Nobody can draw {subject.network.n_parameters:,} dimensions. So this is the plane along which the walk "
            "went furthest, seen from above like a map: the color is the height, the line is the way that training "
            "took."
        )
    if any(isinstance(node.layer, BatchNorm) for node in iter_nodes(subject.network.layers, subject.network.n_in)):
        text += " Batch normalizations have the statistics of the place where the network stands, all over the map."
    course, here = subject.training, to_text(plane.cost)
    if course is None or course.kept is None or course.ends_kept:
        return f"{text} Where the network stands, the cost is {here}."
    where = moment_text(int(course.epochs[course.kept]))
    return f"{text} The network stands where it was {where}, at the cost {here}: what came after that was not kept."


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
                subject.weight_title(name, index),
                curve(subject.start) if subject.training else None,
                curve(subject.network),
            )
        )
    return found
