"""Cross-validation, all folds' networks trained together."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning

from .._core import DivergedError
from ..training._fits import Fits
from ..training._many import check_jobs
from ._backend import workers_of
from ._pending import Estimator, PendingFit, Table, check_estimator, scorer_of


def cross_validate(
    est: Estimator,
    X: Any,
    y: Any,
    *,
    cv: Any = 5,
    groups: Any = None,
    scoring: str | Callable[..., float] | None = None,
    sample_weight: Any = None,
    return_estimators: bool = False,
    n_jobs: int | None = -1,
    backend: Any = "threads",
) -> dict[str, Any]:
    """Score an estimator on folds that it was not trained on.

    Scores are those of scikit-learn's `cross_val_score`, to the bit, and so are the estimators. As many folds are
    prepared at a time as have networks for all threads; only these have a copy of their rows, as features.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor
        It stays as it is; each fold has a clone.
    X : array, sparse matrix or data frame of shape (n, n_features)
        The rows.
    y : array of shape (n,) or (n, n_targets)
        Their targets.
    cv : int, splitter of scikit-learn's, or iterable of (training places, test places), default=5
        The folds; a number means so many in order, of each class a share for a classifier.
    groups : array of shape (n,), default=None
        The group of each row, for a splitter such as GroupKFold.
    scoring : str or callable, default=None
        By scikit-learn's names, or called as ``scoring(est, X, y)``; None: the accuracy or R².
    sample_weight : array of shape (n,), default=None
        Weights of the rows in training, >= 0. None: 1 for all.
    return_estimators : bool, default=False
        Whether to return the fitted estimators too.
    n_jobs : int, default=-1
        Threads to use; -1 or None: all.
    backend : "threads", "joblib", "ray", dask.distributed.Client or SparkSession, default="threads"
        Where folds are trained: in threads of this process, or on the workers of an engine, such as joblib's current
        backend; the results are the same bits. A worker has a task for each of its threads; `n_jobs` above 0: so many
        threads a task.

    Returns
    -------
    dict of str to array or list
        "test_score", (folds,); "fit_time" and "score_time", (folds,), seconds, those of folds that were trained
        together shared out evenly; and "estimator" if asked for. As scikit-learn's `cross_validate`.

    Raises
    ------
    TypeError
        If `est` is another estimator, or `X` is a Stream.
    ValueError
        If `cv` does not fit the rows, or rows are what `fit` refuses.
    DivergedError
        If the trainings of all folds diverge; if some do, a FitFailedWarning says so, and their score is NaN.

    Examples
    --------
    >>> import steepest as st
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> scores = st.cross_validate(st.MLPClassifier(random_state=0), X, y)["test_score"]
    >>> bool(scores.mean() > 0.95)
    True
    """
    est, threads = check_estimator(est), check_jobs(n_jobs)
    scorer, table = scorer_of(est, scoring), Table(X, y, sample_weight)
    work = _Folds(est, table, scorer, table.splits(est, cv, groups), keeps=return_estimators)
    n, workers = len(work.folds), workers_of(backend, n_jobs)
    if workers is None:
        found = work.run(range(n), threads)
    else:
        found = [one for part in workers.run(_Folds.run, work, workers.parts(n)) for one in part]
    _say_what_diverged({i: one.diverged for i, one in enumerate(found) if one.diverged is not None}, n)
    result: dict[str, Any] = {
        "fit_time": np.array([one.fit_time for one in found]),
        "score_time": np.array([one.score_time for one in found]),
        "test_score": np.array([one.score for one in found]),
    }
    return result | {"estimator": [one.estimator for one in found]} if return_estimators else result


@dataclass(frozen=True)
class _Fold:
    """The outcome of a fold."""

    score: float
    fit_time: float
    score_time: float
    estimator: Estimator | None
    diverged: DivergedError | None


@dataclass(frozen=True)
class _Folds:
    """Folds that are still to be trained on."""

    est: Estimator
    table: Table
    scorer: Callable[..., float]
    folds: list[tuple[Any, Any]]
    keeps: bool

    def run(self, some: range, threads: int) -> list[_Fold]:
        """Train on some of them, as many at a time as have networks for all threads, and score what comes of it."""
        found: list[_Fold] = []
        while len(found) < len(some):
            start = time.perf_counter()
            wave: list[PendingFit] = []
            while len(found) + len(wave) < len(some) and sum(len(each.fits) for each in wave) < threads:
                training, _ = self.folds[some[len(found) + len(wave)]]
                wave.append(PendingFit(clone(self.est), *self.table.at(training)))
            fitted = fit_together(wave, threads)
            seconds = (time.perf_counter() - start) / len(wave)
            found += [self._judged(one, some[len(found) + i], seconds) for i, one in enumerate(fitted)]
        return found

    def _judged(self, fitted: Estimator | DivergedError, fold: int, seconds: float) -> _Fold:
        if isinstance(fitted, DivergedError):
            return _Fold(math.nan, seconds, 0.0, None, fitted)
        start = time.perf_counter()
        tested, targets, _ = self.table.at(self.folds[fold][1])
        score = float(self.scorer(fitted, tested, targets))
        return _Fold(score, seconds, time.perf_counter() - start, fitted if self.keeps else None, None)


def fit_together(pending: list[PendingFit], threads: int) -> list[Estimator | DivergedError]:
    """Train the networks of all; return each estimator fitted, or how it diverged."""
    fits = [fit for each in pending for fit in each.fits]
    by_hand = any(each.by_hand for each in pending)
    running = Fits(fits, threads, by_hand=by_hand)
    running.advance()
    ends = iter(running.end())
    results: list[Estimator | DivergedError] = []
    for each in pending:
        try:
            results.append(each.finish([next(ends) for _ in each.fits]))
        except DivergedError as error:
            results.append(error)
    return results


def _say_what_diverged(diverged: dict[int, DivergedError], n: int) -> None:
    if len(diverged) == n:
        raise diverged[0]
    if diverged:
        first, error = next(iter(diverged.items()))
        warnings.warn(
            f"{len(diverged)} of {n} folds diverged, and have no score; fold {first}: {error}", FitFailedWarning,
            stacklevel=3,
        )  # fmt: skip
