"""What estimators make of rows and options before they train: scales, merged rows, layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._blocks import blocks, by_blocks

FURTHEST = 10.0  # standard deviations: an outlier says no more than this
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Standardizer:
    """Columns to mean 0 and standard deviation 1: ``(value - mean) / scale``."""

    # One row each, (1, columns): with a row to predict, NumPy takes half the time where shapes are the same.
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    furthest: float = math.inf

    @classmethod
    def fit(cls, values: Any, weight: NDArray[Any] | None = None, furthest: float = math.inf) -> Standardizer:
        """Learn from rows, (n, columns), dense or sparse, weighted by `weight`, (n,)."""
        n = values.shape[0]
        weights = np.ones(n) if weight is None else np.asarray(weight, np.float64)
        share = weights / weights.sum()
        mean = np.zeros(values.shape[1])
        square, widest = np.zeros_like(mean), np.zeros_like(mean)
        for rows, block in blocks(values):
            mean += share[rows] @ block
        with np.errstate(over="ignore"):  # an infinite spread is replaced below
            for rows, block in blocks(values):
                away = block - mean
                square += share[rows] @ away**2
                widest = np.maximum(widest, np.abs(away[weights[rows] > 0]).max(axis=0, initial=0))
        scale = np.where(np.isfinite(square), np.sqrt(square), widest)
        scale[scale <= _ROUNDING * np.maximum(np.abs(mean), np.finfo(np.float64).tiny)] = 1.0
        return cls(mean[None], scale[None], furthest)

    def apply(self, values: Any, dtype: Any = np.float32) -> NDArray[Any]:
        """Return scaled rows; what is not finite stays so, for the network to refuse."""
        return by_blocks(self.features, values, values.shape[1], dtype)

    def invert(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the numbers in their own units."""
        return np.asarray(values.astype(np.float64) * self.scale + self.mean)

    def features(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return dense rows scaled, in float64."""
        # All in one dtype and in place: a single row costs microseconds less.
        z: NDArray[np.float64] = values.astype(np.float64)
        z -= self.mean
        z /= self.scale
        # The quickest look at a single row, and without a copy; NaN is both the least and the greatest.
        if not (-self.furthest <= z.item(z.argmin()) and z.item(z.argmax()) <= self.furthest):
            np.copyto(z, np.clip(z, -self.furthest, self.furthest), where=np.isfinite(z))
        return z


def feature_scale(values: Any, weight: NDArray[Any] | None) -> Standardizer:
    """Learn the scale of features."""
    return Standardizer.fit(values, weight, FURTHEST)
