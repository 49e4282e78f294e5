"""Estimators that are trained in no time, for tests of what is done with them."""

from __future__ import annotations

import pickle
from typing import Any

from numpy.typing import NDArray

from steepest import MLPClassifier, MLPRegressor

QUICK: dict[str, Any] = {"max_iter": 4, "hidden_layer_sizes": (5,), "random_state": 0}


def classifier(**options: Any) -> MLPClassifier:
    return MLPClassifier(**QUICK | options)


def regressor(**options: Any) -> MLPRegressor:
    return MLPRegressor(**QUICK | options)


def parts_of(value: Any) -> dict[str, Any]:
    """All attributes of an estimator, to be compared."""
    return {name: pickle.dumps(part) for name, part in vars(value).items()}


def squares(y: NDArray[Any], prediction: NDArray[Any]) -> tuple[Any, Any]:
    """A loss of one's own."""
    return (prediction - y) ** 2, 2 * (prediction - y)
