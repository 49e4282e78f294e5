"""The tables of the quality benchmark, and the folds that every model gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

FOLDS = 5
SEED = 0
_SHARED = Path(__file__).parents[2] / "shared" / "data"


class Table(NamedTuple):
    """A data frame, what is to be predicted, whether that is a class, and whether the rows are in order of time."""

    x: pd.DataFrame
    y: NDArray[Any]
    classes: bool
    in_time: bool = False

    def folds(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return the places of the training and test rows of each fold: rows of a later time are never learned from."""
        if self.in_time:
            return TimeSeriesSplit(FOLDS).split(self.x)
        kind = StratifiedKFold if self.classes else KFold
        return kind(FOLDS, shuffle=True, random_state=SEED).split(self.x, self.y)

    def rows(self, places: NDArray[np.intp]) -> Table:
        """Return some rows as a table of their own."""
        return self._replace(x=self.x.iloc[places], y=self.y[places])


def _from_csv(
    name: str, target: str, *, classes: bool = False, time: Sequence[str] = (), unused: Sequence[str] = ()
) -> Callable[[], Table]:
    def read() -> Table:
        frame = pd.read_csv(_SHARED / name).dropna(subset=target)
        if time:
            frame = frame.sort_values(list(time), kind="stable", ignore_index=True)
        x, y = frame.drop(columns=[target, *unused]), frame[target].to_numpy()
        # Numbers for classes, since not every model takes text.
        return Table(x, np.unique(y, return_inverse=True)[1] if classes else y.astype(np.float64), classes, bool(time))

    return read


def _from_sklearn(load: Callable[..., Any], *, classes: bool) -> Callable[[], Table]:
    def read() -> Table:
        bunch = load(as_frame=True)
        return Table(bunch.data, bunch.target.to_numpy(), classes)

    return read


TABLES: dict[str, Callable[[], Table]] = {
    "wine": _from_sklearn(datasets.load_wine, classes=True),
    "diabetes": _from_sklearn(datasets.load_diabetes, classes=False),
    "breast cancer": _from_sklearn(datasets.load_breast_cancer, classes=True),
    "digits": _from_sklearn(datasets.load_digits, classes=True),
    "California housing": _from_csv("california_housing.csv", "median_house_value"),
    "diamonds": _from_csv("diamonds.csv", "price"),
    "abalone": _from_csv("tables/abalone.csv", "rings"),
    "bank_marketing": _from_csv("tables/bank_marketing.csv", "Class", classes=True),
    "beijing_pollution": _from_csv(
        "tables/beijing_pollution.csv", "pm2.5", time=("year", "month", "day", "hour"),
        unused=("No",),  # the number of the row
    ),
    "german_credit": _from_csv("tables/german_credit.csv", "risk", classes=True),
    "hypothyroid": _from_csv("tables/hypothyroid.csv", "Class", classes=True),
    "phoneme": _from_csv("tables/phoneme.csv", "class", classes=True),
    "wine_white": _from_csv("tables/wine_white.csv", "quality"),
}  # fmt: skip
