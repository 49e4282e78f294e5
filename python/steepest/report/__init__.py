"""The report of `steepest evaluate`: how good a model is, and what it listens to, on one page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from .._core import __version__
from ..estimators import MLPClassifier, MLPRegressor
from ..pages.page import page_html
from ._sections import class_sections, course_section, importance_section, number_sections, summary_section
from ._table import table_section

__all__ = ["report_page"]

_FOOT = f"Written by steepest {__version__}. This file stands by itself and asks for nothing from outside."


def report_page(
    model: MLPClassifier | MLPRegressor,
    rows: Any,
    truth: NDArray[Any],
    *,
    target: str,
    numbers: Mapping[str, float],
    source: str,
    seed: int = 0,
) -> str:
    """Return the page about a model on rows whose target is known.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        Fitted, to predict a single column.
    rows : pyarrow.Table or array of shape (n, n_features)
        As `model` predicts them.
    truth : array of shape (n,)
        The right labels or numbers.
    target : str
        Name of the target.
    numbers : mapping of str to float
        The metrics of the model on these rows.
    source : str
        Where model and rows come from, a sentence.
    seed : int, default=0
        Of the shuffling behind the importance of columns, and of the rows that are drawn.

    Returns
    -------
    str
        The page as HTML.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is not installed.

    Examples
    --------
    >>> import steepest as st
    >>> from sklearn.datasets import load_iris
    >>> from steepest.report import report_page
    >>> x, y = load_iris(return_X_y=True)
    >>> model = st.MLPClassifier(hidden_layer_sizes=(8,), max_iter=5, random_state=0).fit(x[::2], y[::2])
    >>> numbers = {"accuracy": model.score(x[1::2], y[1::2])}
    >>> page = report_page(model, x[1::2], y[1::2], target="species", numbers=numbers, source="Iris.")
    >>> "How well species is predicted" in page
    True
    """
    classifies = isinstance(model, MLPClassifier)
    sections = [summary_section(numbers, len(truth), classifies=classifies)]
    if isinstance(model, MLPClassifier):
        sections += class_sections(model, rows, truth)
    else:
        sections += number_sections(model, rows, truth, target, seed)
    sections += [importance_section(model, rows, truth, seed), course_section(model)]
    sections += [section for section in [table_section(model)] if section]
    return page_html(f"How well {target} is predicted", source, sections, _FOOT)
