"""The picture of the project's own README: the table "In short" of bench/README.md, which it is drawn from.

`python bench/picture.py` draws it; `python bench/run.py --write` does so too. It needs matplotlib.
"""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).with_name("README.md")
PICTURE = Path(__file__).with_name("speed.svg")
COLORS = ("#2a78b8", "#d9822b", "#8a8f98", "#b0413e", "#5b8c5a")  # steepest, and the others in the order of the table


def table() -> tuple[list[str], list[tuple[str, list[float]]], str]:
    """The libraries, the microseconds of each by work, and what they were measured on."""
    found = re.search(r"<!-- begin speed -->\n(.*?)<!-- end speed -->", README.read_text(), re.DOTALL)
    assert found is not None
    lines, _, machine = found[1].strip().rpartition("\n\n")
    head, _, *rows = ([cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines.splitlines())
    return head[1:], [(what, [float(cell.replace(",", "")) for cell in cells]) for what, *cells in rows], machine


def draw() -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "steepest"
    from matplotlib import pyplot as plt

    libraries, works, machine = table()
    figure, axes = plt.subplots(figsize=(9, 4.4), layout="constrained")
    places = range(len(works), 0, -1)
    for place, (_, seconds) in zip(places, works, strict=True):
        axes.plot([min(seconds), max(seconds)], [place, place], color="#d5d8dc", linewidth=1, zorder=1)
    for i, (library, color) in enumerate(zip(libraries, COLORS, strict=True)):
        size = 70 if i == 0 else 32
        own = [seconds[i] for _, seconds in works]
        axes.scatter(own, places, size, color=color, label=library, zorder=2 + (i == 0))
    axes.set_xscale("log")
    axes.set_yticks(list(places), [what for what, _ in works])
    axes.set_xlabel("microseconds, on a logarithmic scale: further left is faster")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#eef0f2")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=len(libraries), frameon=False)
    figure.savefig(PICTURE, metadata={"Date": None, "Description": machine})
    plt.close(figure)


if __name__ == "__main__":
    draw()
