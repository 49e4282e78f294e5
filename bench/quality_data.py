"""The tables of the quality benchmark, and the folds that every model gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import KFold, StratifiedKFold

FOLDS = 5
SEED = 0
_SHARED = Path(__file__).parents[2] / "shared" / "data"


class Table(NamedTuple):
    """A data frame, what is to be predicted, and whether that is a class."""

    x: pd.DataFrame
    y: NDArray[Any]
    classes: bool

    def folds(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return the places of the training and test rows of each fold."""
        kind = StratifiedKFold if self.classes else KFold
        return kind(FOLDS, shuffle=True, random_state=SEED).split(self.x, self.y)


def _from_csv(name: str, target: str) -> Callable[[], Table]:
    def read() -> Table:
        frame = pd.read_csv(_SHARED / name)
        return Table(frame.drop(columns=target), frame[target].to_numpy(np.float64), classes=False)

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
}
