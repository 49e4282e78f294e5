"""The mean of the target for each label, so that no row learns from its own target."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_FOLDS = 5
_SEED = 0
_MOST_CLASSES = 10  # with a mean each


class TargetMeans(NamedTuple):
    """Means of targets, shrunk towards those of all rows where a label has few.

    Parameters
    ----------
    prior, spread : array of float64, shape (k,)
        Mean of each target, and how far the labels' means of the rows lie from it.
    means : array of float64, shape (labels + 2, k)
        Of each label, of missing values, and of other labels: the prior.
    """

    prior: NDArray[np.float64]
    spread: NDArray[np.float64]
    means: NDArray[np.float64]

    @property
    def scaled(self) -> NDArray[np.float64]:
        """The means without those of other labels, (labels + 1, k), from the prior in units of the spread."""
        return (self.means[:-1] - self.prior) / self.spread


def as_targets(y: NDArray[Any] | None) -> NDArray[np.float64] | None:
    """Return the numbers that means are taken of, (n, k): targets, or whether a row has each class.

    Of two classes the second alone; None for more than ten, or where there are no targets.
    """
    if y is None:
        return None
    if y.dtype.kind not in "iub" or y.ndim > 1:
        targets = np.asarray(y, np.float64).reshape(len(y), -1)
        return targets if targets.shape[1] <= _MOST_CLASSES else None
    n_classes = int(y.max(initial=0)) + 1
    if n_classes > _MOST_CLASSES:
        return None
    classes = [1] if n_classes <= 2 else range(n_classes)
    return np.column_stack([y == i for i in classes]).astype(np.float64)


def target_means(
    codes: NDArray[np.intp], n_labels: int, targets: NDArray[np.float64], weight: NDArray[np.float64] | None
) -> TargetMeans:
    """Learn the mean of each label.

    A label's mean of n rows is ``(n * mean + m * prior) / (n + m)``, where m is the variance within labels over that
    between them: the best guess where both are normal (Micci-Barreca 2001, "A preprocessing scheme for
    high-cardinality categorical attributes").

    Parameters
    ----------
    codes : array of int, shape (n,)
        Places of the rows' labels; `n_labels` where one is missing, -1 for other labels.
    n_labels : int
        How many labels.
    targets : array of float64, shape (n, k)
        Their targets.
    weight : array of float64, shape (n,), optional
        How much each row counts; by default all alike.
    """
    prior, means = _shrunk(codes, n_labels, targets, np.ones(len(codes)) if weight is None else weight)
    spread = np.sqrt(np.average((means[codes] - prior) ** 2, axis=0, weights=weight))
    return TargetMeans(prior, np.where(spread > 0, spread, 1.0), means)


def out_of_fold_means(
    codes: NDArray[np.intp], n_labels: int, targets: NDArray[np.float64], weight: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return the scaled means for training rows, (n, k), each learned from the four fifths that it is not among."""
    scale = target_means(codes, n_labels, targets, weight)
    weights = np.ones(len(codes)) if weight is None else weight
    fold = np.random.default_rng(_SEED).permutation(len(codes)) % _FOLDS
    found = np.empty_like(targets)
    for i in range(_FOLDS):
        held = fold == i
        if held.any():
            others = ~held & (weights > 0)
            if not others.any():
                found[held] = scale.prior
                continue
            _, means = _shrunk(codes[others], n_labels, targets[others], weights[others])
            found[held] = means[codes[held]]
    return (found - scale.prior) / scale.spread


def _shrunk(
    codes: NDArray[np.intp], n_labels: int, targets: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of all rows, (k,), and the shrunk one of each label, (labels + 2, k), at last of others."""
    size = n_labels + 2
    counts = np.bincount(codes % size, weights, size)[:, None]
    prior = np.average(targets, axis=0, weights=weights)
    off = targets - prior
    sums = np.column_stack([np.bincount(codes % size, weights * off[:, j], size) for j in range(targets.shape[1])])
    own = sums / np.maximum(counts, 1e-300)
    present = int((counts > 0).sum())
    total = float(weights.sum())
    # The sums of squares between and within labels, as an analysis of variance compares them.
    between = (counts * own**2).sum(axis=0)
    within = np.maximum((weights[:, None] * off**2).sum(axis=0) - between, 0.0) / max(total - present, 1.0)
    usual = max((total - float((counts**2).sum()) / total) / max(present - 1, 1), 1e-300)
    variance = np.maximum((between / max(present - 1, 1) - within) / usual, 0.0)
    shrink = counts * variance / np.maximum(counts * variance + within, 1e-300)
    means = prior + shrink * own
    means[-1] = prior
    return prior, means
