"""What estimators make of rows and options before they train: scales, merged rows, layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._rows import block_rows, blocks
from .layers import Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm, walk
from .network import Network

_FURTHEST = 10.0  # standard deviations: an outlier says no more than this
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Scale:
    """Columns to mean 0 and standard deviation 1: ``(value - mean) / scale``."""

    # One row each, (1, columns): with a row to predict, NumPy takes half the time where shapes are the same.
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    furthest: float = math.inf

    @classmethod
    def fit(cls, values: Any, weight: NDArray[Any] | None = None, furthest: float = math.inf) -> Scale:
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


def by_blocks(
    work: Callable[[NDArray[Any]], NDArray[Any]], values: NDArray[Any], columns: int, dtype: Any
) -> NDArray[Any]:
    """Return what `work` makes of dense rows, (n, columns), where only a block at a time has the dtype of `work`."""
    if len(values) == 1:
        return work(values).astype(dtype)
    out = np.empty((len(values), columns), dtype)
    size = block_rows(out)
    for start in range(0, len(values), size):
        out[start : start + size] = work(values[start : start + size])
    return out


def feature_scale(values: Any, weight: NDArray[Any] | None) -> Scale:
    """Learn the scale of features."""
    return Scale.fit(values, weight, _FURTHEST)


def merge_rows(
    x: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """Return the different rows in order, and how much each weighs: few rows train alike in any order or repetition."""
    weights = np.ones(len(x)) if weight is None else np.asarray(weight, np.float64)
    table = np.column_stack([x, y])
    _, first, place = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return x[first], y[first], np.bincount(place.reshape(-1), weights=weights).astype(np.float64)


def build_layers(
    hidden: Sequence[int],
    activations: Sequence[str],
    n_out: int,
    *,
    dropout: float,
    batch_norm: bool = False,
    layer_norm: bool = False,
) -> list[Layer]:
    """Return dense layers, each with its normalisation, activation and dropout, and the output layer."""
    layers: list[Layer] = []
    for width, activation in zip(hidden, activations, strict=True):
        if batch_norm or layer_norm:
            layers += [Dense(width), BatchNorm() if batch_norm else LayerNorm(), Activation(activation)]
        else:
            layers.append(Dense(width, activation))
        if dropout:
            layers.append(Dropout(dropout))
    return [*layers, Dense(n_out)]


def dense_names(network: Network) -> list[str]:
    """Return the paths of the dense layers, in order."""
    return [node.name for node in walk(network.layers, network.n_in) if isinstance(node.layer, Dense)]
