"""Center and scale of columns by their quartiles: no outlier and no sentinel, such as -9999, blinds a column."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._scaling import FURTHEST, Standardizer, is_constant

_DEVIATIONS = 1.3489795003921634  # of a normal distribution between its quartiles
_SENTINELS = 0.02  # of the rows have one number, at least, for it to be taken for a sentinel
_APART = 3.0  # times the range of all other numbers, at least, it lies away from them
_SAMPLE_ROWS = 2000
_BLOCK_NUMBERS = 2**21  # of a block of columns, sorted together: 16 MiB


def quantiles(values: NDArray[Any], counts: NDArray[np.float64] | None, shares: Sequence[float]) -> list[float]:
    """Quantiles of numbers that may count more than once; the mean of the two that a quantile falls between.

    Parameters
    ----------
    values : array of shape (n,)
        Increasing.
    counts : array of float64, shape (n,), optional
        How much each counts, > 0; by default each counts 1.
    shares : sequence of float
        Within 0 ... 1.

    Returns
    -------
    list of float
        One for each share ("averaged inverted CDF": method R-2 of Hyndman and Fan 1996).
    """
    n = len(values)
    if counts is None:
        lower = [math.ceil(share * n) - 1 for share in shares]
        upper = [math.floor(share * n) for share in shares]
    else:
        sums = np.cumsum(counts)
        wanted = np.array(shares) * sums[-1]
        lower, upper = (np.searchsorted(sums, wanted, side).tolist() for side in ("left", "right"))
    ends = [(values[min(max(i, 0), n - 1)], values[min(j, n - 1)]) for i, j in zip(lower, upper, strict=True)]
    return [float(a) / 2 + float(b) / 2 for a, b in ends]


def center_and_scale(
    values: NDArray[Any], counts: NDArray[np.float64] | None = None, dtype: DTypeLike = np.float64
) -> tuple[float, float]:
    """Median and spread of a column.

    Parameters
    ----------
    values : array of shape (n,)
        Finite numbers, increasing; one at least.
    counts : array of float64, shape (n,), optional
        How much each counts, > 0; by default each counts 1.
    dtype : dtype, default=float64
        That the column was rounded to: numbers that differ by this rounding alone are one.

    Returns
    -------
    center, scale : float
        In the column's units. The scale is the distance of the quartiles over that of a normal distribution, so that it
        is about the standard deviation. Where both quartiles are one number, it is the median distance of the others
        from it. Neither counts a sentinel: one number, the least or greatest, far away from all others. The scale is 1
        where all numbers are one.
    """
    low, high = float(values[0]), float(values[-1])
    if is_constant(low, high, dtype):
        return low / 2 + high / 2, 1.0
    values, counts = _without_sentinel(values, counts)
    first, center, third = quantiles(values, counts, (0.25, 0.5, 0.75))
    if is_constant(first, third, dtype):
        others = ~is_constant(np.minimum(values, center), np.maximum(values, center), dtype)
        if not others.any():  # only a sentinel was different
            return center, max(abs(low - center), abs(high - center))
        far = np.abs(values[others] / 2 - center / 2)
        order = np.argsort(far)
        (half,) = quantiles(far[order], None if counts is None else counts[others][order], (0.5,))
        scale = 2 * half
    else:
        scale = (third / 2 - first / 2) / (_DEVIATIONS / 2)
    return center, min(max(scale, 5e-324), 1.7e308)


def sentinel(values: NDArray[Any], counts: NDArray[np.float64] | None = None) -> float | None:
    """Return the least or the greatest number of a column if it stands for something else than a size; else None.

    Parameters
    ----------
    values, counts : array of shape (n,)
        As of `center_and_scale`.
    """
    n = len(values)
    for at_end in (False, True):
        end = values[-1 if at_end else 0]
        edge = int(np.searchsorted(values, end, "left" if at_end else "right"))
        others = slice(0, edge) if at_end else slice(edge, n)
        rest = values[others]
        n_same = n - len(rest)
        same = n_same if counts is None else float(counts[edge:].sum() if at_end else counts[:edge].sum())
        everything = n if counts is None else float(counts.sum())
        if not len(rest) or (counts is None and n_same < 2) or not _SENTINELS * everything <= same < everything / 2:
            continue
        gap = abs(float(rest[-1 if at_end else 0]) / 2 - float(end) / 2)
        width = float(rest[-1]) / 2 - float(rest[0]) / 2
        if width > 0 and gap > _APART * width:
            return float(end)
    return None


def _without_sentinel(
    values: NDArray[Any], counts: NDArray[np.float64] | None
) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    """Leave the least or the greatest number out if it stands for something else than a size."""
    found = sentinel(values, counts)
    if found is None:
        return values, counts
    others = values != found
    return values[others], None if counts is None else counts[others]


def has_sentinel(values: NDArray[Any]) -> bool:
    """Tell whether a column of rows, (n, columns), has one, from a sample of the rows where these are many."""
    sample = np.sort(values[:: max(1, len(values) // _SAMPLE_ROWS)], axis=0)
    ends = [np.count_nonzero(sample == sample[row], axis=0) for row in (0, -1)]
    share = np.maximum(*[np.where(2 * n < len(sample), n, 0) for n in ends])
    candidates = np.flatnonzero(share >= max(2.0, _SENTINELS / 2 * len(sample)))
    return any(sentinel(sample[:, i]) is not None for i in candidates)


def robust_standardizer(values: Any, weight: NDArray[Any] | None = None) -> Standardizer:
    """Learn how to scale the columns of rows by their quartiles, with a smooth limit.

    Parameters
    ----------
    values : array or CSR matrix, shape (n, columns)
        Finite numbers.
    weight : array of shape (n,), optional
        How much each row counts, >= 0; by default all count alike.

    Returns
    -------
    Standardizer
        With medians in place of means; every number comes within `FURTHEST` of zero.
    """
    center, scale = np.zeros(values.shape[1]), np.ones(values.shape[1])
    columns: Any = slice(None)
    if hasattr(values, "tocsc") and weight is None:
        values = values.tocsc()
        values.sum_duplicates()
        columns = np.flatnonzero(~_scale_rare(values, scale))
        values = values[:, columns]
    found = [center_and_scale(*column, values.dtype) for column in _sorted_columns(values, weight)]
    center[columns], scale[columns] = np.array(found, np.float64).reshape(-1, 2).T
    return Standardizer(center[None].copy(), scale[None].copy(), FURTHEST, smooth=True)


def _scale_rare(values: Any, scale: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Find the scales of columns that are zero but in a few rows, all together.

    Parameters
    ----------
    values : CSC matrix of shape (n, columns)
        The rows.
    scale : array of float64, shape (columns,)
        Takes the scales, as `center_and_scale` would find them; the centers are 0.

    Returns
    -------
    array of bool, shape (columns,)
        Which columns these are: others have enough numbers for a sentinel, or a zero that is stored.
    """
    counts = np.diff(values.indptr)
    stored = values.data != 0
    column = np.repeat(np.arange(len(counts)), counts)
    rare = (counts < _SENTINELS * values.shape[0]) & (np.bincount(column[~stored], minlength=len(counts)) == 0)
    far = np.abs(values.data.astype(np.float64))
    far = far[np.lexsort((far, column))]
    some = rare & (counts > 0)
    start, n = values.indptr[:-1][some], counts[some]
    scale[some] = far[start + (n - 1) // 2] / 2 + far[start + n // 2] / 2
    return np.asarray(rare)


def _sorted_columns(
    values: Any, weight: NDArray[Any] | None
) -> Iterator[tuple[NDArray[Any], NDArray[np.float64] | None]]:
    """Go through the columns, each increasing, with how much each number counts; sparse zeros count together."""
    weights = None if weight is None else np.asarray(weight, np.float64)
    if weights is not None and weights.min() == weights.max():
        weights = None
    if hasattr(values, "tocsc"):
        yield from _sorted_sparse_columns(values.tocsc(), weights)
        return
    step = max(1, _BLOCK_NUMBERS // max(len(values), 1))
    for start in range(0, values.shape[1], step):
        block = np.array(values[:, start : start + step].T, order="C")
        if weights is None:
            block.sort(axis=1)
            yield from ((column, None) for column in block)
            continue
        for column in block:
            order = np.argsort(column)
            order = order[weights[order] > 0]
            yield column[order], weights[order]


def _sorted_sparse_columns(
    values: Any, weights: NDArray[np.float64] | None
) -> Iterator[tuple[NDArray[Any], NDArray[np.float64] | None]]:
    values.sum_duplicates()
    for start, end in zip(values.indptr, values.indptr[1:], strict=False):
        column, rows = values.data[start:end], values.indices[start:end]
        counts = np.ones(len(column)) if weights is None else weights[rows]
        zeros = (values.shape[0] if weights is None else float(weights.sum())) - float(counts.sum())
        column, counts = np.append(column, np.zeros(1, column.dtype)), np.append(counts, zeros)
        order = np.argsort(column, kind="stable")
        order = order[counts[order] > 0]
        yield column[order], counts[order]
