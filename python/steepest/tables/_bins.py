"""Numbers spread over bins: a piecewise linear encoding that is fixed when the scale of the features is learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._blocks import by_blocks
from ._scaling import Standardizer

_ROWS_PER_BIN = 32  # fewer would let a bin learn single rows


def quantile_edges(z: NDArray[np.float64], bins: int) -> list[float]:
    """Return the increasing edges of bins with about as many of the numbers `z`, (n,), in each.

    There are at most `bins`, fewer where a bin would have under 32 numbers or where edges coincide, and none, an empty
    list, rather than one alone.
    """
    bins = min(bins, len(z) // _ROWS_PER_BIN)
    if bins < 2:
        return []
    edges: list[float] = np.unique(np.quantile(z, np.linspace(0, 1, bins + 1), method="closest_observation")).tolist()
    return edges if len(edges) > 2 else []


@dataclass(frozen=True)
class BinnedStandardizer:
    """Scaled columns, and behind them their bins.

    A bin between the edges a < b, in units of the scaled column z, is the feature ``(z - a) / (b - a)``, clipped to
    0 ... 1 (piecewise linear encoding, Gorishniy et al. 2022, "On Embeddings for Numerical Features").
    A scaled column itself is, likewise, the feature ``(z - 0) / 1`` without limits.
    """

    scale: Standardizer
    column: NDArray[np.intp]  # (features,) which column each feature is of: first all of them, then their bins'
    start: NDArray[np.float64]  # (1, features) a
    width: NDArray[np.float64]  # (1, features) b - a
    low: NDArray[np.float64]  # (1, features) 0
    high: NDArray[np.float64]  # (1, features) 1

    @classmethod
    def fit(cls, values: NDArray[Any], scale: Standardizer, bins: int) -> BinnedStandardizer:
        """Learn the edges from dense rows, (n, columns), which `scale` was learnt from too."""
        z = scale.apply(values, np.float64)
        n = z.shape[1]
        edges = [np.array(quantile_edges(z[:, i], bins)) for i in range(n)]
        column = np.repeat(np.arange(n), [max(len(of_one) - 1, 0) for of_one in edges])
        start, end = (np.concatenate([of_one[part] for of_one in edges]) for part in (np.s_[:-1], np.s_[1:]))

        def row(of_columns: float, of_bins: Any) -> NDArray[np.float64]:
            return np.concatenate([np.full(n, of_columns), np.broadcast_to(of_bins, len(column))])[None]

        places = np.concatenate([np.arange(n), column])
        return cls(scale, places, row(0, start), row(1, end - start), row(-np.inf, 0), row(np.inf, 1))

    @property
    def n_bins(self) -> int:
        """How many bins all columns have together."""
        return self.start.size - self.scale.mean.size

    def apply(self, values: Any, dtype: Any = np.float32) -> NDArray[Any]:
        """Return the features of rows; what is not finite stays so, for the network to refuse."""
        return by_blocks(self.features, values, self.start.size, dtype)

    def features(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the features of dense rows, all at once and in float64."""
        features: NDArray[np.float64] = self.scale.features(values).take(self.column, axis=1)
        features -= self.start
        features /= self.width
        np.maximum(features, self.low, out=features)  # for a single row, half the time of np.clip
        np.minimum(features, self.high, out=features)
        return features
