"""Charts as inline SVG that takes its colors from the page.

matplotlib knows fixed colors only. So every role of the page has a stand-in, a color that means nothing else, and the
finished drawing has ``var(--role)`` in its place: one drawing serves light and dark.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from .html import Markup, tag

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RAMP = 10  # steps of the scale from low to high
_ROLES = (
    "ink", "muted", "line", "card", "halo", "one", "two", "three", "four",
    *(f"ramp{i}" for i in range(RAMP)), *(f"mix{i}" for i in range(RAMP)),
)  # fmt: skip
_STAND_INS = {role: f"#fe{i:02x}dc" for i, role in enumerate(_ROLES)}
_SIZES = {
    "font.size": 13.5,
    "axes.labelsize": 13.5,
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
    "legend.fontsize": 13,
}
_WIDE, _NARROW = 620.0, 360.0
_DROPPED = ("metadata", "defs/style")
_PLACES = ("d", "x", "y", "width", "height", "transform", "points")
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def color(role: str) -> str:
    """Return the stand-in of a role: ramp0 to ramp9 go from low to high, mix0 to mix9 from class 0 to class 1."""
    return _STAND_INS[role]


def require_matplotlib() -> None:
    """Raise ModuleNotFoundError, with what to do, if matplotlib is not installed.

    Examples
    --------
    >>> from steepest.explain import require_matplotlib
    >>> require_matplotlib()  # it is there
    """
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the charts need matplotlib, which is not installed: pip install 'steepest[plot]'"
        ) from error


@contextmanager
def drawing(width: float, height: float, rows: int = 1, columns: int = 1) -> Iterator[tuple[Figure, Any]]:
    """Yield a figure of this size in pixels and its axes, in the style of the page."""
    import matplotlib

    ink, muted, line = color("ink"), color("muted"), color("line")
    look: dict[Any, Any] = _SIZES | {
        "svg.fonttype": "none", "svg.hashsalt": "steepest", "path.simplify": True, "path.simplify_threshold": 0.5,
        "text.color": ink, "axes.labelcolor": muted, "axes.edgecolor": line, "xtick.color": muted,
        "ytick.color": muted, "xtick.major.size": 0, "ytick.major.size": 0, "axes.linewidth": 1,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": line,
        "grid.linewidth": 0.8, "lines.linewidth": 2.2, "lines.solid_capstyle": "round", "legend.frameon": False,
        "axes.axisbelow": True, "figure.facecolor": "none", "axes.facecolor": "none", "text.parse_math": False,
    }  # fmt: skip
    with matplotlib.rc_context(look):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        yield figure, figure.subplots(rows, columns)


def draw_both_widths(name: str, draw: Callable[[str, float], Markup]) -> Markup:
    """Draw a chart for wide and for narrow pages, of which the page shows the one that fits: its letters stay large.

    Parameters
    ----------
    name : str
        Its id; that of the narrow one ends in "-narrow".
    draw : callable
        Gets an id and a width in pixels, and returns the SVG.
    """
    wide, narrow = draw(name, _WIDE), draw(f"{name}-narrow", _NARROW)
    return Markup(tag("div", wide, class_="wide") + tag("div", narrow, class_="narrow"))


def to_svg(figure: Figure, name: str, title: str, description: str) -> Markup:
    """Return a figure as an SVG element.

    Parameters
    ----------
    figure : Figure
        A figure of `drawing`.
    name : str
        Start of its ids: one of its own on the page.
    title, description : str
        The texts for screen readers.
    """
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The letters are drawn by the browser, in fonts of its own.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(file.getvalue())
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    for path in _DROPPED:
        parent = root.find(path.rpartition("/")[0] or ".")
        child = root.find(path)
        if parent is not None and child is not None:
            parent.remove(child)
    used = set(_REFERENCE.findall(file.getvalue().decode()))
    used |= {value[1:] for element in root.iter() for key, value in element.items() if key.endswith("href")}
    for element in root.iter():
        _tidy(element, name, used)
    inner = "".join(ElementTree.tostring(child, encoding="unicode", short_empty_elements=False) for child in root)
    return tag(
        "svg", tag("title", title, id=f"{name}-title"), tag("desc", description, id=f"{name}-desc"), Markup(inner),
        id=name, class_="chart", viewBox=root.get("viewBox"), role="img", aria_labelledby=f"{name}-title {name}-desc",
    )  # fmt: skip


def hide_axes(axes: Axes) -> None:
    """Take grid, ticks and frame off axes that show a picture."""
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _tidy(element: ElementTree.Element, name: str, used: set[str]) -> None:
    """Shorten numbers, turn stand-ins into the page's colors, and make ids the figure's own."""
    attributes = dict(element.items())
    element.attrib.clear()
    for key, value in attributes.items():
        key = key.rpartition("}")[2]
        if key == "id":
            if value not in used:
                continue
            value = f"{name}-{value}"
        elif key == "href":
            value = f"#{name}-{value[1:]}"
        else:
            value = _REFERENCE.sub(rf"url(#{name}-\1)", value)
        if key in _PLACES:
            value = _NUMBER.sub(_rounded, value)
        elif key == "style":
            value = ";".join(part for item in value.split(";") if (part := _styled(item.strip())))
        if key == "transform":
            value = re.sub(r"\s*rotate\(-?0(?: [^)]*)?\)", "", value)
        if value:
            element.set(key, value)
    element.tail = None
    if element.tag != "text" and element.text and not element.text.strip():
        element.text = None


def _styled(item: str) -> str:
    """Return one declaration as the page wants it: its own font, and its own colors."""
    key, _, value = (part.strip() for part in item.partition(":"))
    if key == "font":
        weight = "font-weight:600;" if value.startswith(("bold", "600", "700")) else ""
        size = re.search(r"([\d.]+)px", value)
        return f"{weight}font-size:{size[1]}px" if size else ""
    if key == "font-family" or (key, value) == ("stroke-linejoin", "miter"):
        return ""
    for role, stand_in in _STAND_INS.items():
        value = value.replace(stand_in, f"var(--{role})")
    return f"{key}:{value}" if value else ""


def _rounded(match: re.Match[str]) -> str:
    text = f"{float(match[0]):.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
