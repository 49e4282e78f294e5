"""Backpropagation of one row as an SVG whose parts know in which steps they are to be seen."""

from __future__ import annotations

from ..pages.html import Markup, tag, to_text
from ._backprop_trace import BackpropTrace, Column
from ._steps import prediction_text, truth_text

_COLUMN, _ROW, _RADIUS, _TOP, _FOOT = 200, 98, 28, 40, 26  # pixels
_LEFT = 84  # where the middle of the first column is
_BOX = 120
_ALONG = (0.2, 0.5, 0.8)  # of an edge, where its number stands: neighbors differ
_NAME_LENGTH = 20


def draw_animation(trace: BackpropTrace, name: str) -> Markup:
    """Draw one row's way forward and back through the network.

    Parameters
    ----------
    trace : BackpropTrace
        Its numbers.
    name : str
        Start of the ids.

    Returns
    -------
    Markup
        The drawing. A part with ``data-from="3"`` is to be seen from step 3 on, and up to ``data-to``; ``data-at``
        lists the steps that it is the subject of. The steps are those of `step_texts`.
    """
    drawing = _Drawing(trace)
    n = len(trace.columns)
    parts = [drawing.edges(i) for i in range(n - 1)] + [drawing.units(i) for i in range(n)] + [drawing.cost()]
    title, sizes = "Backpropagation of one row", ", ".join(str(len(column.values)) for column in trace.columns)
    cost, cost_after = (to_text(value) for value in trace.costs)
    description = (
        f"A network of {sizes} units, from input to output. The cost of one row, {cost}, is carried back from the "
        f"output to the input; then every weight turns a little, and the cost is {cost_after}. The steps are listed in "
        "words below."
    )
    return tag(
        "svg", tag("title", title, id=f"{name}-title"), tag("desc", description, id=f"{name}-desc"), parts,
        id=name, class_="net", viewBox=f"0 0 {_COLUMN * (n + 1) - 30} {drawing.height}", role="img",
        aria_labelledby=f"{name}-title {name}-desc", style=f"--columns:{n + 1}",
    )  # fmt: skip


class _Drawing:
    """The parts of the drawing, and the steps in which each is seen."""

    def __init__(self, trace: BackpropTrace) -> None:
        self.trace = trace
        self.last = 2 * len(trace.stages) + 3  # the step in which the weights turn
        self.height = _TOP + _ROW * max(len(column.shown) for column in trace.columns) + _FOOT
        self.middle = (_TOP + self.height - _FOOT) / 2

    def place(self, number: int, k: int) -> tuple[float, float]:
        """Return the middle of the k-th unit drawn of a column."""
        return _LEFT + _COLUMN * number, self.middle + _ROW * (k - (len(self.trace.columns[number].shown) - 1) / 2)

    def edges(self, i: int) -> Markup:
        """Draw the weights into a stage: their values, then their slopes, then their new values."""
        stage, left, right = self.trace.stages[i], self.trace.columns[i], self.trace.columns[i + 1]
        at = 2 * (len(self.trace.stages) - i) + 1
        largest = max(abs(float(stage.weight[a, b])) for a in left.shown for b in right.shown)
        lines, numbers = [], []
        for a, start in enumerate(left.shown):
            x1, y1 = self.place(i, a)
            share = _ALONG[-1] if a and len(left.shown) == 2 else _ALONG[a]
            for b, end in enumerate(right.shown):
                x2, y2 = self.place(i + 1, b)
                weight, slope = float(stage.weight[start, end]), float(stage.weight_gradient[start, end])
                # From right to left, the way that the dashes flow.
                ends = {"x1": _px(x2 - _RADIUS), "y1": _px(y2), "x2": _px(x1 + _RADIUS), "y2": _px(y1)}
                width = 0.8 + 3.2 * abs(weight) / (largest or 1)
                lines.append(tag("line", class_="edge", style=f"--w:{width:.1f}", data_at=at, **ends))
                x, y = x1 + _RADIUS + share * (x2 - x1 - 2 * _RADIUS), y1 + share * (y2 - y1) + 4
                new = weight - self.trace.rate * slope
                numbers += [
                    _text(to_text(weight, 2), "number weight", x, y, end=at - 1),
                    _text(to_text(slope, 2), "number slope", x, y, at, self.last - 1, str(at)),
                    _text(to_text(new, 2), "number weight", x, y, self.last, at=str(self.last)),
                ]
        return tag("g", lines, numbers)

    def units(self, number: int) -> Markup:
        """Draw the units of a column: their values, then the cost's slopes along them."""
        column = self.trace.columns[number]
        at = 2 * (len(self.trace.stages) - number) + 2
        x, _ = self.place(number, 0)
        parts = [_text(column.title, "heading", x, 22)]
        for k, unit in enumerate(column.shown):
            _, y = self.place(number, k)
            parts += [
                tag("circle", class_="unit", cx=_px(x), cy=_px(y), r=_RADIUS, data_at=f"0 {at}"),
                _text(to_text(column.values[unit], 2), "value", x, y - 1, end=self.last - 1),
                _text(to_text(column.after[unit], 2), "value", x, y - 1, self.last),
                _text(_cut(column.names[unit]), "name", x, y - _RADIUS - 7),
                _text(to_text(column.gradients[unit], 2), "slope", x, y + 15, at, self.last - 1, str(at)),
            ]
        return tag("g", parts, self._rest(column, x))

    def cost(self) -> Markup:
        """Draw the cost, before the step and after it."""
        example, last = self.trace.example, self.last
        x, y = _LEFT + _COLUMN * len(self.trace.columns) - _BOX / 8, self.middle
        box = tag(
            "rect", class_="cost off", x=_px(x - _BOX / 2), y=_px(y - 46), width=_BOX, height=92, rx=10, data_from=1,
            data_at=f"1 {last}",
        )  # fmt: skip
        predicted = [f"says {prediction_text(example, output)}" for output in self.trace.outputs]
        costs = [to_text(value) for value in self.trace.costs]
        return tag(
            "g",
            _text("Cost", "heading", x, 22),
            box,
            _text(predicted[0], "name", x, y - 22, 1, last - 1),
            _text(predicted[1], "name", x, y - 22, last),
            _text(_cut(truth_text(example), 18), "name", x, y - 2, 1),
            _text(costs[0], "total", x, y + 29, 1, last - 1),
            _text(costs[1], "total", x, y + 29, last),
        )

    def _rest(self, column: Column, x: float) -> Markup | None:
        more = len(column.values) - len(column.shown)
        return _text(f"and {more:,} more", "name", x, self.height - 8) if more else None


def _text(
    text: str, kind: str, x: float, y: float, start: int = 0, end: int | None = None, at: str | None = None
) -> Markup:
    """Return a text that is seen from step `start` to step `end`."""
    hidden = " off" if start else ""
    return tag(
        "text", text, class_=kind + hidden, x=_px(x), y=_px(y), data_from=start or None, data_to=end, data_at=at
    )  # fmt: skip


def _px(value: float) -> str:
    return f"{value:.0f}"


def _cut(text: str, length: int = _NAME_LENGTH) -> str:
    """Leave the middle of a long name out: features of one column differ at the end."""
    half = length // 2
    return text if len(text) <= length else f"{text[: half - 1].rstrip()}…{text[-half:].lstrip()}"
