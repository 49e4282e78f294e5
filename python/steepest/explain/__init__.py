"""The page of `steepest explain`: how a network learns, to be read from top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .._core import __version__
from ..callbacks import Callback
from ..tables import TableEncoder
from . import _demo
from ._case import Case
from ._drawing import require_matplotlib
from ._html import table
from ._page import Section, page, paragraph
from ._story import story
from ._table import measured, of_model, train

__all__ = ["demo_page", "of_model", "require_matplotlib", "table_page", "train"]

_FOOT = f"Written by steepest {__version__}. This file stands by itself and asks for nothing from outside."


def demo_page(seed: int, callbacks: Sequence[Callback] = ()) -> str:
    """Train two small networks while recording, and return the page about them.

    Parameters
    ----------
    seed : int
        Of the first weights and the shuffling.
    callbacks : sequence of Callback
        For both trainings.

    Returns
    -------
    str
        HTML.
    """
    xor, spirals = _demo.xor(seed, *callbacks), _demo.spirals(seed, *callbacks)
    task = paragraph(
        "The smallest problem that needs a network: say 1 if exactly one of two inputs is 1, else 0. No straight line "
        "parts the two kinds of rows, so one layer cannot do it; three units before the output can."
    )
    header = [*xor.inputs, "answer"]
    answers = [[f"{value:.0f}" for value in (*x, *y)] for x, y in zip(xor.x, xor.y, strict=True)]
    four = table("The four rows", header, answers, named_rows=False)
    again = paragraph(
        "Two spirals wind around each other, and the network is to say which one a point belongs to. It trains on "
        f"{len(spirals.x)} points; half as many others, which it never trains on, show what it has understood. The "
        "same things are to be seen as before, on a network of three layers."
    )
    sections = [
        Section("xor", "Four rows: XOR", [task, four, *story(xor)], label="XOR"),
        Section("spirals", "Two spirals", [again, *story(spirals)]),
    ]
    lead = (
        "Two small networks were trained a moment ago, and everything on this page was measured while they learnt. It "
        "is to be read from top to bottom."
    )
    return page("How a network learns", lead, sections, _FOOT)


def table_page(case: Case, encoder: TableEncoder, source: str, numbers: Mapping[str, float], where: str) -> str:
    """Return the page about a network of a table.

    Parameters
    ----------
    case : Case
        Of `train` or `of_model`.
    encoder : TableEncoder
        What made its rows.
    source : str
        Where rows and network come from, in a sentence or two.
    numbers : mapping of str to float
        What `recipe.score` measured.
    where : str
        On which rows: "on rows held out".

    Returns
    -------
    str
        HTML.
    """
    first, *rest = story(replace(case, figures=measured(numbers, where)))
    what = "a class" if encoder.task == "classification" else "a number"
    how = "learnt" if case.trained else "knows"
    lead = (
        f"A network that says {encoder.target_name}, {what}, from the columns of a row. Everything on this page was "
        f"measured {'while it learnt' if case.trained else 'on it'}. It is to be read from top to bottom."
    )
    opening = replace(first, content=[paragraph(source), *first.content])
    return page(f"How a network {how} {encoder.target_name}", lead, [opening, *rest], _FOOT)
