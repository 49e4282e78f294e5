"""Fits of estimators that are prepared one by one, and trained together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from sklearn.base import clone
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils.validation import _num_samples

from .._arrays import shown
from .._core import DivergedError
from ..estimators import MLPClassifier, MLPRegressor
from ..estimators._base import Begun
from ..estimators._input import take
from ..estimators._shared import Shared
from ..stream import Stream
from ..tables._frames import in_memory
from ..training._fits import Fit
from ._keys import as_frame

Estimator: TypeAlias = MLPClassifier | MLPRegressor


def check_estimator(est: object) -> Estimator:
    """Return an estimator of ours; TypeError where it is none."""
    if not isinstance(est, (MLPClassifier, MLPRegressor)):
        raise TypeError(
            f"est is {shown(est)}: expected an MLPClassifier or MLPRegressor; for other estimators, and pipelines that "
            "hold one, there are the tools of sklearn.model_selection"
        )
    return est


def scorer_of(est: Estimator, scoring: Any) -> Callable[[Estimator, Any, Any], float]:
    """Return the scorer of an estimator; TypeError where `scoring` is neither a name nor a function."""
    if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
        raise TypeError(f"scoring is {shown(scoring)}: expected one of scikit-learn's names, or a function")
    return check_scoring(est, scoring)  # type: ignore[no-any-return]


class Table:
    """Rows of which some can be taken.

    Parameters
    ----------
    X, y, sample_weight
        As an estimator's `fit` takes them, in memory.
    """

    def __init__(self, X: Any, y: Any, sample_weight: Any = None) -> None:
        if isinstance(X, Stream):
            raise TypeError("X is a Stream: expected rows in memory")
        if y is None:
            raise TypeError("y is None: expected the targets of X")
        self.X, self.weight = in_memory("X", as_frame(X)), sample_weight
        self.y = np.asarray(y) if hasattr(y, "to_numpy") and hasattr(y, "type") else y  # an array of Arrow's
        for name, values in (("y", self.y), ("sample_weight", sample_weight)):
            if values is not None and _num_samples(values) != _num_samples(self.X):
                found = _num_samples(values)
                raise ValueError(f"{name} has {found} rows: expected {_num_samples(self.X)}, as many as X")

    def splits(self, est: Estimator, cv: Any, groups: Any) -> list[tuple[Any, Any]]:
        """Return (training places, test places) of each fold, as scikit-learn's tools have them."""
        found = check_cv(cv, self.y, classifier=isinstance(est, MLPClassifier))
        folds = list(found.split(self.X, self.y, groups))
        if not folds:
            raise ValueError("cv has no folds: expected one at least")
        return folds

    def at(self, places: Any) -> tuple[Any, Any, Any]:
        """Return X, y and sample_weight, or None, of the rows at these places."""
        weight = None if self.weight is None else _taken(self.weight, places)
        return _taken(self.X, places), _taken(self.y, places), weight


def _taken(values: Any, places: Any) -> Any:
    if isinstance(values, (list, tuple)):
        return [values[i] for i in places]
    return take(values.tocsr() if hasattr(values, "tocsr") else values, places)


class PendingFit:
    """A fit whose networks are still to be trained.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        What is fitted; it stays as it is until `finish`.
    X, y, sample_weight
        As its `fit` takes them.
    shared : Shared, optional
        What fits on the same rows have in common.
    """

    def __init__(self, estimator: Estimator, X: Any, y: Any, sample_weight: Any = None, shared: Shared | None = None):
        self.estimator = estimator
        self._work: Any = estimator._twin(estimator.__dict__.copy())
        self._begun: Begun[Any] = self._work._begin(X, y, sample_weight, shared=shared)
        self._target_name = getattr(y, "name", None)

    @property
    def fits(self) -> list[Fit]:
        """The trainings; none where `finish` does all."""
        return self._begun.trainings.fits

    @property
    def by_hand(self) -> bool:
        """Whether trainings that need Python run one after the other."""
        return self._begun.trainings.by_hand

    def finish(self, diverged: Sequence[DivergedError | None]) -> Estimator:
        """Return the estimator, fitted; raise what its trainings have found."""
        model, result = self._begun.complete(self._begun.trainings.finish(diverged, None))
        self.estimator._become(self._work, model, result, self._target_name)
        return self.estimator

    def now(self) -> Estimator:
        """Return an estimator that predicts by the networks as they are at this moment."""
        twin: Any = clone(self.estimator)
        twin.__dict__ |= {key: value for key, value in vars(self._work).items() if key not in vars(twin)}
        twin._model = self._begun.now()
        return twin  # type: ignore[no-any-return]
