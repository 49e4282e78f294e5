"""Numbers spread over bins: a piecewise linear encoding, fixed by the quantiles of the training rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._scaling import ColumnTransform, Standardizer, checked_array, refuse_other_names

_ROWS_PER_BIN = 32  # fewer would let a bin learn single rows
_BIN_ARRAYS = ("bin_column", "bin_start", "bin_width")


def quantile_edges(z: NDArray[np.float64], bins: int) -> list[float]:
    """Edges of bins with about as many numbers in each.

    Parameters
    ----------
    z : array of float64, shape (n,)
        Finite numbers, in any unit.
    bins : int
        The most bins; there are fewer where a bin would have under 32 numbers or where edges coincide.

    Returns
    -------
    list of float
        Increasing, in the unit of `z`: three or more, or none at all rather than those of a single bin.
    """
    bins = min(bins, len(z) // _ROWS_PER_BIN)
    if bins < 2:
        return []
    edges: list[float] = np.unique(np.quantile(z, np.linspace(0, 1, bins + 1), method="closest_observation")).tolist()
    return edges if len(edges) > 2 else []


def spread_edges(z: NDArray[np.float64], bins: int) -> list[float]:
    """Edges of bins with about as many numbers in each, where one number may be in many rows.

    A number that would fill a bin or more alone, a pile, is an edge, and the others are spread over the bins that are
    left, those of other piles aside. So a column that is zero in most rows keeps its bins for the rest. The largest
    pile has the numbers next to it for edges too: a bin then tells it from all others.

    Parameters
    ----------
    z : array of float64, shape (n,)
        Finite numbers, increasing, in any unit.
    bins : int
        The most bins; there are fewer where a bin would have under 32 numbers, or numbers are too few.

    Returns
    -------
    list of float
        As `quantile_edges` returns them; the same ones where there is no pile.
    """
    bins = min(bins, len(z) // _ROWS_PER_BIN)
    if bins < 2:
        return []
    edges = np.quantile(z, np.linspace(0, 1, bins + 1), method="closest_observation")
    found, times = np.unique(edges, return_counts=True)
    if len(found) > bins:
        return list(found.tolist())
    piles = found[times > 1]
    first, last = np.searchsorted(z, piles, "left"), np.searchsorted(z, piles, "right")
    largest = int((last - first).argmax())
    near = z[[max(first[largest] - 1, 0), min(last[largest], len(z) - 1)]]
    fixed = np.unique(np.concatenate([piles, near, z[[0, -1]]]))
    alone = np.ones(len(z), bool)
    for start, end in zip(first, last, strict=True):
        alone[start:end] = False
    rest = z[alone]
    more = min(bins + 2 - len(fixed), len(rest) // _ROWS_PER_BIN)
    if more >= 2:
        fixed = np.union1d(fixed, np.quantile(rest, np.linspace(0, 1, more), method="closest_observation"))
    return list(fixed.tolist()) if len(fixed) > 2 else []


@dataclass(frozen=True, eq=False)
class BinnedStandardizer(ColumnTransform):
    """Standardized columns, and behind them their bins.

    A bin between the edges a < b, in units of the standardized column z, is the feature ``(z - a) / (b - a)``, clipped
    to 0 ... 1 (piecewise linear encoding, Gorishniy et al. 2022, "On Embeddings for Numerical Features").
    A standardized column itself is, likewise, the feature ``(z - 0) / 1`` without limits.

    Parameters
    ----------
    standardizer : Standardizer
        Of the columns.
    column : array of int, shape (features,)
        Which column each feature is of: with a smooth limit each column itself, then its bins, as a `TableEncoder` has
        them; else first all columns, then all bins.
    start, width : array of float64, shape (1, features)
        a and b - a.
    low, high : array of float64, shape (1, features)
        The limits: 0 and 1 for a bin, minus and plus infinity for a column itself.
    """

    standardizer: Standardizer
    column: NDArray[np.intp]
    start: NDArray[np.float64]
    width: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def fit(cls, values: NDArray[Any], standardizer: Standardizer, bins: int) -> BinnedStandardizer:
        """Learn the edges.

        Parameters
        ----------
        values : array of shape (n, columns)
            The dense rows that `standardizer` has learned from.
        standardizer : Standardizer
            Of the columns. With a smooth limit edges are `spread_edges`, else `quantile_edges`.
        bins : int
            The most bins of a column.

        Returns
        -------
        BinnedStandardizer
            Perhaps without a single bin, see `n_bins`.
        """
        if standardizer.smooth:
            columns = _scaled_columns(values, standardizer)
            edges = [np.array(spread_edges(z, bins)) for z in columns]
        else:
            z = standardizer.transform(values, np.float64)
            edges = [np.array(quantile_edges(z[:, i], bins)) for i in range(z.shape[1])]
        column = np.repeat(np.arange(len(edges)), [max(len(of_one) - 1, 0) for of_one in edges])
        start, end = (np.concatenate([of_one[part] for of_one in edges]) for part in (np.s_[:-1], np.s_[1:]))
        return cls._of_bins(standardizer, column, start, end - start)

    @classmethod
    def _of_bins(
        cls,
        standardizer: Standardizer,
        column: NDArray[np.intp],
        start: NDArray[np.float64],
        width: NDArray[np.float64],
    ) -> BinnedStandardizer:
        """Put the columns themselves before their bins, (bins,) each."""
        n = standardizer.mean.size
        features = np.concatenate([np.arange(n), column])
        order = np.argsort(features, kind="stable") if standardizer.smooth else np.arange(len(features))

        def row(of_columns: float, of_bins: Any) -> NDArray[np.float64]:
            return np.concatenate([np.full(n, of_columns), np.broadcast_to(of_bins, len(column))])[None, order]

        rows = row(0, start), row(1, width), row(-np.inf, 0), row(np.inf, 1)
        return cls(standardizer, features[order], *rows)

    @property
    def is_bin(self) -> NDArray[np.bool_]:
        """Which features are bins, (features,): the others are the columns themselves."""
        return np.asarray(np.isfinite(self.low[0]))

    @property
    def n_columns(self) -> int:
        """Columns of a row."""
        return self.standardizer.n_columns

    @property
    def n_features(self) -> int:
        """Features of a row: its columns, and their bins."""
        return self.start.size

    @property
    def n_bins(self) -> int:
        """How many bins all columns have together."""
        return self.start.size - self.standardizer.mean.size

    def transform_float64(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the features, (n, features), of dense rows, (n, columns), in float64, all at once."""
        features: NDArray[np.float64] = self.standardizer.transform_float64(values).take(self.column, axis=1)
        features -= self.start
        features /= self.width
        np.maximum(features, self.low, out=features)  # for a single row, half the time of np.clip
        np.minimum(features, self.high, out=features)
        return features

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the scales and bins as arrays, for a model file.

        Returns
        -------
        dict of str to array
            Those of the standardizer, and of the bins "bin_column", int64, "bin_start" and "bin_width", float64, all
            (bins,).
        """
        bins = self.column[self.is_bin].astype(np.int64), self.start[0, self.is_bin], self.width[0, self.is_bin]
        return self.standardizer.to_arrays() | dict(zip(_BIN_ARRAYS, bins, strict=True))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> BinnedStandardizer:
        """Make the one that `to_arrays` described, to the same bits.

        Parameters
        ----------
        arrays : mapping of str to array
            Perhaps from a stranger's file; they are copied.

        Returns
        -------
        BinnedStandardizer
            Ready to `transform`.

        Raises
        ------
        ValueError
            If an array is missing or unknown, has another type or shape, or holds what no `fit` finds: a column that is
            not there, numbers that are not finite, a width that is not above 0, or what `Standardizer.from_arrays`
            refuses. The message names the array.
        """
        standardizer = Standardizer.from_arrays({key: arrays[key] for key in arrays if key not in _BIN_ARRAYS})
        refuse_other_names({key: arrays[key] for key in arrays if key in _BIN_ARRAYS}, _BIN_ARRAYS)
        n_columns = standardizer.mean.size
        column = np.asarray(arrays["bin_column"])
        if column.dtype != np.int64 or column.ndim != 1:
            raise ValueError(
                f"bin_column has the type {column.dtype} and the shape {column.shape}: expected int64, (n,)"
            )
        if column.size and not 0 <= column.min() <= column.max() < n_columns:
            raise ValueError(f"bin_column is {column.min()} to {column.max()}: expected 0 to {n_columns - 1}")
        start = checked_array(arrays, "bin_start", n=len(column))
        width = checked_array(arrays, "bin_width", n=len(column), gt=0)
        return cls._of_bins(standardizer, column.astype(np.intp), start, width)


def _scaled_columns(values: NDArray[Any], standardizer: Standardizer) -> Iterator[NDArray[np.float64]]:
    """Go through the columns, standardized and increasing."""
    for i, (center, scale) in enumerate(zip(standardizer.mean[0], standardizer.scale[0], strict=True)):
        one = Standardizer(center[None, None], scale[None, None], standardizer.furthest, standardizer.smooth)
        yield one.transform_float64(np.sort(values[:, i])[:, None])[:, 0]
