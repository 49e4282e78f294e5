"""Numbers spread over bins: a piecewise linear encoding that is fixed when the scale of the features is learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._fitting import Scale
from ._rows import block_rows

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
class BinnedScale:
    """Scaled columns, and behind them their bins.

    A bin between the edges a < b, in units of the scaled column z, is the feature ``(z - a) / (b - a)``, clipped to
    0 ... 1 (piecewise linear encoding, Gorishniy et al. 2022, "On Embeddings for Numerical Features").
    """

    scale: Scale
    column: NDArray[np.intp]  # (bins,) which column each bin belongs to
    start: NDArray[np.float64]  # (bins,) a
    width: NDArray[np.float64]  # (bins,) b - a

    @classmethod
    def fit(cls, values: NDArray[Any], scale: Scale, bins: int) -> BinnedScale:
        """Learn the edges from dense rows, (n, columns), which `scale` was learnt from too."""
        z = scale.apply(values, np.float64)
        edges = [np.array(quantile_edges(z[:, i], bins)) for i in range(z.shape[1])]
        column = np.repeat(np.arange(len(edges)), [max(len(of_one) - 1, 0) for of_one in edges])
        start, end = (np.concatenate([of_one[part] for of_one in edges]) for part in (np.s_[:-1], np.s_[1:]))
        return cls(scale, column, start, end - start)

    def apply(self, values: Any, dtype: Any = np.float32) -> NDArray[Any]:
        """Return the features of rows; what is not finite stays so, for the network to refuse."""
        n = values.shape[1]
        out = np.empty((len(values), n + len(self.column)), dtype)
        size = block_rows(out)
        for first in range(0, len(values), size):
            z = self.scale.apply(values[first : first + size], np.float64)
            rows = out[first : first + size]
            rows[:, :n] = z
            bins = z.take(self.column, axis=1)
            bins -= self.start
            bins /= self.width
            np.maximum(bins, 0, out=bins)  # for a single row, half the time of np.clip
            np.minimum(bins, 1, out=rows[:, n:], casting="same_kind")
        return out
