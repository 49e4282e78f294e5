"""The page of `steepest explain`: how a network learns, to be read from top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .._core import __version__
from ..callbacks import Callback
from ..pages.drawing import require_matplotlib
from ..pages.html import table
from ..pages.page import Section, page_html, paragraph
from ..tables import TableEncoder
from ._demo import train_spirals, train_xor
from ._story import story_sections
from ._subject import Subject
from ._table import RECORDED_ROWS, measured, of_model, table_subject, train

__all__ = ["RECORDED_ROWS", "demo_page", "of_model", "require_matplotlib", "table_page", "table_subject", "train"]

_FOOT = f"Written by steepest {__version__}. This file stands by itself and asks for nothing from outside."


def demo_page(seed: int, callbacks: Sequence[Callback] = ()) -> str:
    """Train two small networks while recording, and return the page about them.

    Parameters
    ----------
    seed : int
        Seed of the first weights and the shuffling, >= 0.
    callbacks : sequence of Callback, default=()
        More callbacks of both trainings.

    Returns
    -------
    str
        The page as HTML.

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from steepest.explain import demo_page
    >>> page = demo_page(seed=0)
    >>> page.startswith("<!DOCTYPE html>"), "Two spirals" in page
    (True, True)
    """
    xor, spirals = train_xor(seed, *callbacks), train_spirals(seed, *callbacks)
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
        Section("xor", "Four rows: XOR", [task, four, *story_sections(xor)], label="XOR"),
        Section("spirals", "Two spirals", [again, *story_sections(spirals)]),
    ]
    lead = (
        "Two small networks were trained a moment ago, and everything on this page was measured on their weights "
        "as they were while they learned. It is to be read from top to bottom."
    )
    return page_html("How a network learns", lead, sections, _FOOT)


def table_page(subject: Subject, encoder: TableEncoder, source: str, numbers: Mapping[str, float], where: str) -> str:
    """Return the page about a network of a table.

    Parameters
    ----------
    subject : Subject
        The network and its rows, of `table_subject`.
    encoder : TableEncoder
        The encoder of these rows.
    source : str
        The origin of rows and network, in a sentence or two.
    numbers : mapping of str to float
        Metrics of the network: "accuracy" of classes, or "r2" and "mae" of quantities.
    where : str
        The rows they were measured on, such as "on rows held out".

    Returns
    -------
    str
        The page as HTML.

    Raises
    ------
    KeyError
        If one of these metrics is missing.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> from steepest import explain
    >>> table = {"size": np.arange(60.0) % 7, "age": np.arange(60.0) % 11}
    >>> price = table["size"] - table["age"]
    >>> encoder = st.tables.TableEncoder(bins=0).fit(table, price, "regression", target_name="price")
    >>> x, y = encoder.transform(table), encoder.encode_target(price)
    >>> network = st.Network(2, [st.Dense(4, "tanh"), st.Dense(1)], seed=0)
    >>> subject = explain.of_model(network, encoder, x, y)
    >>> page = explain.table_page(subject, encoder, "Sixty rows.", {"r2": 0.5, "mae": 1.0}, "on these rows")
    >>> "How a network knows price" in page
    True
    """
    first, *rest = story_sections(replace(subject, figures=measured(numbers, where)))
    what = "a class" if encoder.task == "classification" else "a number"
    how = "learned" if subject.training else "knows"
    lead = (
        f"A network that says {encoder.target_name}, {what}, from the columns of a row. Everything on this page was "
        f"measured {'on its weights as they were while it learned' if subject.training else 'on it'}. It is to be read "
        "from top to bottom."
    )
    opening = replace(first, content=[paragraph(source), *first.content])
    return page_html(f"How a network {how} {encoder.target_name}", lead, [opening, *rest], _FOOT)
