"""The charts of the page, each with its numbers in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..descent import Slope, Surface
from ..network import Network
from ..pages.charts import whole_numbers
from ..pages.drawing import RAMP, color, draw_both_widths, drawing, hide_axes, to_svg
from ..pages.html import Markup, table, tag, to_percent, to_text
from ._course import TrainingCourse
from ._curve import CurveStretches, evenly_spaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 12  # of a table
_STRAIGHT = 0.05  # of its length: a line that is nowhere further from its chord is nearly straight
_APART = 0.02  # of the path's extent: points less far apart are one
_LINES = ("one", "two", "three", "four")
_DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.8)), (0, (7, 2, 1.5, 2)))

Array = NDArray[np.float64]


def draw_cost_curve(course: TrainingCourse, stretches: CurveStretches, name: str) -> tuple[Markup, Markup]:
    """Draw the cost at the moments of a training, with steep and flat stretches shaded."""
    epochs, costs, others = course.epochs, course.costs, course.other_costs
    last = int(epochs[-1])

    def draw(ident: str, width: float) -> Markup:
        with drawing(width, 360) as (figure, axes):
            whole_numbers(axes.xaxis)
            marker = "o" if len(costs) < 3 else ""
            axes.plot(epochs, costs, color=color("one"), label="rows it trains on", marker=marker, zorder=3)
            if others is not None:
                style = {"color": color("two"), "linestyle": _DASHES[1], "marker": marker}
                axes.plot(epochs, others, label="other rows", **style)
            if course.kept is not None and not course.ends_kept:
                place = epochs[course.kept], costs[course.kept]
                axes.plot(*place, "o", color=color("one"), markersize=8, label="weights kept", zorder=4)
            if len(axes.lines) > 1:
                figure.legend(loc="outside upper left", ncols=3 if width > 500 else 2, columnspacing=1.2)
            axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
            axes.set_xlim(0, last)
            for (start, end), word, role, opacity in _stretches(stretches):
                axes.axvspan(start, end, color=color(role), alpha=opacity, linewidth=0, zorder=0)
                if end - start > 0.07 * last or word == "steep":
                    room = 28 / width * last
                    middle = float(np.clip((start + end) / 2, room, last - room))
                    axes.text(
                        middle, 0.985, word, transform=axes.get_xaxis_transform(), ha="center", va="top", fontsize=12,
                        color=color(role), fontweight="bold",
                    )  # fmt: skip
            axes.set_xlabel("epochs done")
            axes.set_ylabel("cost")
            description = f"The cost goes from {to_text(costs[0])} to {to_text(costs[-1])} in {last} epochs."
            return to_svg(figure, ident, "The cost, epoch by epoch", description)

    columns: dict[str, Any] = {"epochs done": epochs, "cost": costs}
    columns |= {} if others is None else {"cost, other rows": others}
    titles = {"val_accuracy": "right, other rows", "val_r2": "R², other rows", "learning_rate": "rate"}
    columns |= {title: course.recorded(key) for key, title in titles.items() if key in course.fit}
    rows = [[to_text(values[i]) for values in columns.values()] for i in evenly_spaced(len(costs), _ROWS)]
    return draw_both_widths(name, draw), table("The cost at some of the moments", list(columns), rows)


def draw_layer_lines(
    series: Mapping[str, Array], epochs: Array, name: str, title: str, label: str
) -> tuple[Markup, Markup]:
    """Draw one line for each layer over the epochs, on a logarithmic scale."""

    def draw(ident: str, width: float) -> Markup:
        with drawing(width, 360) as (figure, axes):
            from matplotlib.ticker import LogLocator

            whole_numbers(axes.xaxis)
            for k, (layer, values) in enumerate(series.items()):
                drawn = np.where(values > 0, values, np.nan)
                style = {"color": color(_LINES[k % 4]), "linestyle": _DASHES[k % 4]}
                axes.plot(epochs, drawn, label=layer, **style)
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=_subdivisions(np.array(list(series.values())))))
            axes.minorticks_off()
            axes.yaxis.set_major_formatter(lambda value, _: to_text(value, 2))
            axes.set_xlim(epochs[0], epochs[-1])
            axes.set_xlabel("epochs done")
            axes.set_ylabel(label)
            figure.legend(loc="outside upper left", ncols=min(len(series), int(width / 150)), handlelength=2.4)
            parts = [f"{layer}: from {to_text(v[0])} to {to_text(v[-1])}" for layer, v in series.items()]
            return to_svg(figure, ident, title, f"{'; '.join(parts)}.")

    rows = [[to_text(epochs[i]), *(to_text(v[i]) for v in series.values())] for i in evenly_spaced(len(epochs), _ROWS)]
    return draw_both_widths(name, draw), table(f"{title}, at some of the moments", ["epochs done", *series], rows)


def draw_weight_slope(before: Slope | None, after: Slope, label: str, name: str) -> Markup:
    """Draw the cost along one weight with its tangent, before training where that is known and after."""
    curves: list[tuple[Slope, str, Any, str]] = [(before, "two", (0, (4, 2)), "before")] if before else []
    curves.append((after, "one", "-", "after" if before else "now"))
    with drawing(330, 250) as (figure, axes):
        tops, bottoms = [], []
        for curve, role, style, word in curves:
            axes.plot(curve.values, curve.costs, color=color(role), linestyle=style, linewidth=1.9)
            reach = 0.22 * np.ptp(curve.values)
            line = curve.weight + np.array([-reach, reach])
            axes.plot(line, curve.cost + curve.tangent * (line - curve.weight), color=color("ink"), linewidth=1.4)
            axes.plot(curve.weight, curve.cost, "o", color=color(role), markersize=8, zorder=5)
            axes.plot(curve.best_value, curve.best_cost, "v", color=color("three"), markersize=7, zorder=4,
                      clip_on=False)  # fmt: skip
            if before:
                aside = -1 if curve.tangent > 0 else 1  # where the tangent is not
                axes.annotate(
                    word, (curve.weight, curve.cost), (7 * aside, 9), textcoords="offset points", fontsize=12,
                    ha="right" if aside < 0 else "left", color=color(role), fontweight="bold",
                )  # fmt: skip
            tops += [curve.cost * 1.5, np.quantile(curve.costs, 0.8)]
            bottoms.append(curve.best_cost)
        low, high = min(bottoms), min(max(tops), max(float(c[0].costs.max()) for c in curves))
        margin = 0.12 * (high - low) or 0.1
        axes.set_ylim(low - margin, high + margin)
        axes.set_xlim(min(c[0].values[0] for c in curves), max(c[0].values[-1] for c in curves))
        axes.set_xlabel("value of the weight")
        axes.set_ylabel("cost")
        axes.locator_params(nbins=5)
        story = [
            f"{word}: weight {to_text(c.weight)}, cost {to_text(c.cost)}, tangent {to_text(c.tangent)}, lowest cost "
            f"{to_text(c.best_cost)} at {to_text(c.best_value)}" for c, _, _, word in curves
        ]  # fmt: skip
        return to_svg(figure, name, f"Cost along the weight {label}", "; ".join(story))


def slopes_table(slopes: Sequence[tuple[str, Slope | None, Slope]]) -> Markup:
    """Return the numbers of `draw_weight_slope` for several weights."""
    rows = []
    for label, before, after in slopes:
        for word, curve in (("before", before), ("after", after)):
            if curve is not None:
                numbers = (curve.weight, curve.tangent, curve.cost, curve.best_value, curve.best_cost)
                rows.append([f"{label}, {word}" if before else label, *map(to_text, numbers)])
    return table("Where the weights stand", ["weight", "value", "slope", "cost", "best value", "cost there"], rows)


def draw_boundary(
    networks: Sequence[tuple[str, Network]], x: Array, y: NDArray[np.intp], name: str
) -> list[tuple[str, Markup]]:
    """Draw the predictions of networks of two inputs and one logit over the plane; return text and drawing of each."""
    low, high = x.min(axis=0), x.max(axis=0)
    low, high = low - 0.15 * (high - low), high + 0.15 * (high - low)
    across, up = (np.linspace(low[k], high[k], 81) for k in (0, 1))
    plane = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    drawn = []
    for i, (title, network) in enumerate(networks):
        logits = network.predict(plane).astype(np.float64).reshape(81, 81)
        share = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
        right = float(np.mean((network.predict(x)[:, 0] > 0) == y))
        with drawing(300, 300) as (figure, axes):
            hide_axes(axes)
            levels = np.linspace(0, 1, RAMP + 1)
            axes.contourf(across, up, share, levels, colors=[color(f"mix{k}") for k in range(RAMP)])
            lines: Sequence[Array] = []
            if share.min() < 0.5 < share.max():
                lines = axes.contour(across, up, share, [0.5], colors=[color("ink")], linewidths=1.4).allsegs[0]
            for label, marker, role in ((0, "o", "one"), (1, "s", "two")):
                size = 11 if len(x) <= 8 else 3.6
                axes.plot(*x[y == label].T, marker, color=color(role), markersize=size, markeredgecolor=color("card"),
                          markeredgewidth=1.5 if len(x) <= 8 else 0.5)  # fmt: skip
            axes.set_xlim(low[0], high[0])
            axes.set_ylim(low[1], high[1])
            text = f"{_parting_text(lines, share)} {to_percent(right)} of the points are on the right side."
            drawn.append((text, to_svg(figure, f"{name}-{i}", f"The plane, {title}", text)))
    return drawn


def _parting_text(lines: Sequence[Array], share: Array) -> str:
    """Return in words what lines, each (points, 2), are like along which a network cannot tell two classes apart."""
    if not lines:
        return f"Class {int(share.mean() > 0.5)} everywhere."
    if len(lines) > 1:
        return f"{len(lines)} lines part the plane."
    x, y = (lines[0] - lines[0][0]).T
    length = float(np.hypot(x[-1], y[-1]))  # of the chord
    straight = length > 0 and np.abs(x * y[-1] - y * x[-1]).max() <= _STRAIGHT * length**2
    return f"One {'nearly straight' if straight else 'bent'} line parts the plane."


def draw_landscape(surface: Surface, name: str) -> tuple[Markup, Markup]:
    """Draw the cost over a plane as a map, ten bands of equal area, with the path where there is one."""
    finite = surface.costs[np.isfinite(surface.costs)]
    costs = np.minimum(surface.costs, finite.max())
    levels = np.unique(np.quantile(finite, np.linspace(0, 1, RAMP + 1)))
    bands = np.linspace(0, RAMP - 1, max(len(levels) - 1, 1)).round().astype(int)

    def draw(ident: str, width: float) -> Markup:
        with drawing(width, 250 + 0.3 * width) as (figure, axes):
            axes.grid(False)
            if len(levels) > 1:
                axes.contourf(surface.a, surface.b, costs, levels, colors=[color(f"ramp{k}") for k in bands])
                axes.contour(surface.a, surface.b, costs, levels[1:-1], colors=[color("card")], linewidths=0.7)
            text = f"The cost on this plane goes from {to_text(finite.min())} to {to_text(finite.max())}."
            if surface.path is not None:
                a, b = surface.path.T
                axes.plot(a, b, color=color("halo"), linewidth=5)
                axes.plot(a, b, color=color("two"), linewidth=2.4)
                marks = {"end": (a[-1], b[-1]), "start": (a[0], b[0])}
                if goes_past_center(surface.path):
                    marks["kept"] = (0.0, 0.0)
                for word, place in marks.items():  # start and kept may be close: the lower has its word below
                    _mark(axes, word, place, below="kept" in marks and (word == "kept") == (b[0] > 0) and word != "end")
                text += f" The path goes over it to the center, where the cost is {to_text(surface.cost)}."
            else:
                _mark(axes, "here", (0.0, 0.0))
            axes.set_xlabel("weights moved along the first direction")
            axes.set_ylabel("along the second direction")
            return to_svg(figure, ident, "The cost as a landscape", text)

    edges = [f"{to_text(low)} to {to_text(high)}" for low, high in pairwise(levels)]
    return draw_both_widths(name, draw), table("The bands, each a tenth of the map", ["band, from low to high", "cost"],
                      [[str(i), edge] for i, edge in enumerate(edges, start=1)])  # fmt: skip


def goes_past_center(path: Array) -> bool:
    """Return True if a path, (n, 2), ends away from the center: the weights kept are not those of the last epoch."""
    return bool(np.hypot(*path[-1]) > _APART * np.ptp(path, axis=0).max())


def color_scale(low: str, high: str) -> Markup:
    """Return the key of the map's colors."""
    steps = [tag("span", style=f"background:var(--ramp{k})") for k in range(RAMP)]
    return tag("span", low, tag("span", steps, class_="bands", aria_hidden="true"), high, class_="scale")


def _mark(axes: Axes, word: str, place: tuple[float, float], *, below: bool = False) -> None:
    """Draw a point and write a word above or below it, legible on any color."""
    from matplotlib.patheffects import withStroke

    edge = color("halo")
    axes.plot(*place, "o", color=color("two"), markersize=9, markeredgecolor=edge, markeredgewidth=2, zorder=5)
    axes.annotate(word, place, (0, -22 if below else 11), textcoords="offset points", ha="center", fontweight="bold",
                  zorder=6, path_effects=[withStroke(linewidth=3, foreground=color("halo"))])  # fmt: skip


def _stretches(stretches: CurveStretches) -> list[tuple[tuple[int, int], str, str, float]]:
    found = [(flat, "flat", "muted", 0.10) for flat in stretches.flat]
    found += [(vain, "in vain", "three", 0.10) for vain in stretches.vain]
    return found + ([(stretches.steep, "steep", "two", 0.13)] if stretches.steep else [])


def _subdivisions(values: Array) -> tuple[float, ...]:
    """Return the multiples of ten that a logarithmic scale marks: more of them where it covers few decades."""
    drawn = values[values > 0]
    decades = float(np.log10(drawn.max() / drawn.min())) if drawn.size else 0.0
    return (1.0,) if decades > 3 else (1.0, 3.0) if decades > 1.5 else (1.0, 2.0, 5.0)
