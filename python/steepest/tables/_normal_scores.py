"""Quantiles of a column, and where a normal distribution has the same share: the shape of the column is lost."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_MOST = 256  # quantiles of a column


def quantiles_of(values: NDArray[np.float64]) -> list[float]:
    """Return quantiles at the middle of shares of one size, of numbers that increase, (n,); one at least."""
    n = min(len(values), _MOST)
    shares = (np.arange(n) + 0.5) / n
    return list(np.quantile(values, shares, method="hazen").tolist())


class NormalScores:
    """The way from numbers to normal scores, by lines between quantiles: `points`, increasing, and their `scores`.

    Parameters
    ----------
    quantiles : sequence of float
        As `quantiles_of` returns them. One that stands for several shares has the score of their mean.
    """

    def __init__(self, quantiles: Sequence[float]) -> None:
        self.points, places, times = np.unique(quantiles, return_inverse=True, return_counts=True)
        shares = np.bincount(places, np.arange(len(quantiles)) + 0.5) / times / len(quantiles)
        self.scores = np.array([NormalDist().inv_cdf(share) for share in shares.tolist()])

    def of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores of numbers, (n,), within those of the outermost quantiles; NaN stays NaN."""
        return np.asarray(np.interp(values, self.points, self.scores))

    def value(self, score: float) -> float:
        """Return the number of a score."""
        return float(np.interp(score, self.scores, self.points))
