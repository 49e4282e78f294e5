"""The numbers behind the pictures: counts, bins and what is lost without a column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..estimators import MLPClassifier, MLPRegressor
from ..recipe import class_scores, number_scores

Array = NDArray[np.float64]

_BINS = 10
_ROWS = 1000  # on which columns are shuffled
_REPEATS = 3
_MOST_COLUMNS = 200


@dataclass(frozen=True)
class Confusion:
    """How often which class was predicted.

    Parameters
    ----------
    names : sequence of str
        The classes, and "other" for all that are not shown by name.
    counts : array of int, shape (len(names), len(names))
        Rows of the table by their true class, down, and the predicted one, across.
    """

    names: list[str]
    counts: NDArray[np.intp]


def confusion(names: list[str], truth: NDArray[np.intp], predicted: NDArray[np.intp], most: int) -> Confusion:
    """Count true and predicted classes, of which the `most` most frequent are shown by name.

    Parameters
    ----------
    names : list of str
        Of all classes.
    truth, predicted : array of int, shape (n,)
        Places in `names`.
    most : int
        Rows of the result, at most, >= 2.
    """
    places = np.arange(len(names))
    if len(names) > most:
        frequent = np.sort(np.argsort(-np.bincount(truth, minlength=len(names)), kind="stable")[: most - 1])
        places = np.full(len(names), most - 1)
        places[frequent] = np.arange(most - 1)
        names = [*(names[i] for i in frequent), "other"]
    k = len(names)
    counts = np.bincount(places[truth] * k + places[predicted], minlength=k * k).reshape(k, k)
    return Confusion(names, counts)


@dataclass(frozen=True)
class Calibration:
    """Predictions beside the truth, in bins of as many rows each as can be.

    Parameters
    ----------
    said, came : array of shape (bins,)
        The mean of what was predicted, and of what was true.
    rows : array of int, shape (bins,)
        Rows of each bin.
    """

    said: Array
    came: Array
    rows: NDArray[np.intp]

    @property
    def error(self) -> float:
        """The mean distance between what was said and what came, over the rows."""
        return float(np.average(np.abs(self.said - self.came), weights=self.rows))


def calibration(said: Array, came: Array) -> Calibration:
    """Sort rows by what was predicted, (n,), and average that and the truth, (n,), in ten bins or fewer."""
    order = np.argsort(said, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    means = [[values[part].mean() for part in parts] for values in (said, came)]
    return Calibration(np.array(means[0]), np.array(means[1]), np.array([len(part) for part in parts]))


@dataclass(frozen=True)
class Importance:
    """How much worse a model is without what a column says.

    Parameters
    ----------
    names : list of str
        The columns.
    lost : array of shape (columns,)
        Log loss gained, or R2 lost, where the values of a column are shuffled; the mean of some shuffles.
    n_rows : int
        Rows it was measured on.
    """

    names: list[str]
    lost: Array
    n_rows: int


def permutation_importance(
    model: MLPClassifier | MLPRegressor, rows: Any, truth: NDArray[Any], seed: int
) -> Importance:
    """Shuffle one column after the other, and see how much worse the predictions get (Breiman 2001, "Random Forests").

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        Fitted.
    rows : pyarrow.Table or array of shape (n, n_features)
        Some of them are taken at random where there are many.
    truth : array of shape (n,)
        The right labels or numbers.
    seed : int
        Of the draw and the shuffles.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(truth))[:_ROWS])
    rows, truth = rows.take(chosen) if hasattr(rows, "schema") else rows[chosen], truth[chosen]
    cost = _cost_of(model, truth)
    before = cost(rows)
    names = _used_columns(model, rows)[:_MOST_COLUMNS]
    shuffles = [rng.permutation(len(truth)) for _ in range(_REPEATS)]
    lost = [np.mean([cost(_shuffled(rows, place, order)) for order in shuffles]) - before for _, place in names]
    return Importance([name for name, _ in names], np.array(lost), len(truth))


def _cost_of(model: MLPClassifier | MLPRegressor, truth: NDArray[Any]) -> Callable[[Any], float]:
    """Return the function that measures predictions of rows: log loss, or 1 - R2."""
    if isinstance(model, MLPClassifier):
        places = np.searchsorted(model.classes_, truth)
        return lambda rows: class_scores(model.predict_log_proba(rows), places)["log_loss"]
    return lambda rows: 1 - number_scores(model.predict(rows), truth)["r2"]


def _used_columns(model: MLPClassifier | MLPRegressor, rows: Any) -> list[tuple[str, int]]:
    """Return the columns that a model looks at, by name and place."""
    if not hasattr(rows, "schema"):
        names = list(vars(model).get("feature_names_in_", ())) or [f"f{i}" for i in range(rows.shape[1])]
        return [(str(name), i) for i, name in enumerate(names)]
    encoder = model._fitted.preprocessor.encoder
    names = rows.column_names if encoder is None else [column.name for column in encoder.columns]
    return [(name, rows.column_names.index(name)) for name in names]


def _shuffled(rows: Any, place: int, order: NDArray[np.intp]) -> Any:
    """Return rows with one column in another order."""
    if hasattr(rows, "schema"):
        return rows.set_column(place, rows.field(place), rows.column(place).take(order))
    copy = rows.copy()
    copy[:, place] = rows[order, place]
    return copy
