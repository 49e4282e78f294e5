"""Directives that take tables from bench/README.md, so that each figure stands in one place."""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
MODELS = {
    "steepest fast": 'preset="fast"',
    "steepest": "no preset",
    "steepest best": 'preset="best"',
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
}


def part(file: str, name: str) -> str:
    """Return what stands between the marks of a part; ValueError where there is none."""
    found = re.search(f"<!-- begin {name} -->\n(.*?)<!-- end {name} -->", (ROOT / file).read_text(), re.DOTALL)
    if found is None:
        raise ValueError(f"{file} has no part {name!r}")
    return found[1].strip()


def speed() -> list[str]:
    """Return the table in short, with the versions that the longer ones have."""
    versions = part("bench/README.md", "2").splitlines()[0].rpartition("steepest ")[2]
    return [*part("bench/README.md", "speed").splitlines(), "", f"Versions: steepest {versions}"]


def ranks() -> list[str]:
    """Return ranks and goals of the comparison, with its machine and versions, under shorter heads."""
    paragraphs = part("bench/README.md", "quality").split("\n\n")
    text = "\n\n".join([paragraphs[0], *paragraphs[2:]])
    return text.replace("% of folds won against ", "% won of ").splitlines()


def scores() -> list[str]:
    """Return a line for each table and a column for each model."""
    found: dict[str, dict[str, str]] = {}
    table = ""
    for line in part("bench/README.md", "quality").split("\n\n")[1].splitlines()[2:]:
        name, model, score = (cell.strip() for cell in line.split("|")[1:4])
        table = name or table
        found.setdefault(table, {})[model] = score
    lines = ["| table | " + " | ".join(MODELS.values()) + " |", "|---" * (1 + len(MODELS)) + "|"]
    for table, of_model in found.items():
        metric = of_model["steepest"].split()[0]
        cells = [of_model[model].removeprefix(metric).strip().replace(" ± ", "\u00a0±\u00a0") for model in MODELS]
        lines.append(f"| {table}, {metric} | " + " | ".join(cells) + " |")
    return lines


def directive(lines: list[str]) -> type[Directive]:
    """Return a directive that stands for these lines of Markdown."""

    class Lines(Directive):
        def run(self) -> list[nodes.Node]:
            node = nodes.container()
            self.state.nested_parse(StringList(lines, source="figures"), self.content_offset, node)
            return node.children

    return Lines


def setup(app: Sphinx) -> dict[str, bool]:
    """Register them."""
    for name, lines in (("speed-table", speed()), ("quality-ranks", ranks()), ("quality-table", scores())):
        app.add_directive(name, directive(lines))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
