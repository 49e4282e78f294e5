"""Columns standardized within each group of rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._parallel import in_parallel
from ..tables._scaling import FURTHEST

Groups = NDArray[np.int64]

_ROUNDING = 8  # units in the last place: a column that varies by no more is constant
_TRIMMED = 6.0  # standard deviations: what lies further out is no part of another round
_ROUNDS = 3
_FEWEST_TO_TRIM = 10  # rows
_BLOCK_ROWS = 8192  # so many at a time stay in a processor's own cache


@dataclass(frozen=True)
class Scales:
    """Mean and standard deviation of each column in each group.

    Parameters
    ----------
    mean, scale : array of float64, shape (groups, columns)
        Where a column is constant, its value, and 0.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def of(
        cls, values: NDArray[np.float64], weight: NDArray[np.float64] | None, starts: NDArray[np.intp], *, trims: bool
    ) -> Scales:
        """Learn them from rows in the order of their groups.

        Parameters
        ----------
        values : array of float64, shape (n, columns)
            The rows.
        weight : array of shape (n,) or None
            Their weights, > 0.
        starts : array of int, shape (groups + 1,)
            Where each group begins, and the last ends.
        trims : bool
            Whether numbers far from the others of their group play no part (sigma clipping).
        """
        k = len(starts) - 1
        found = cls(np.empty((k, values.shape[1])), np.empty((k, values.shape[1])))

        def learn(groups: slice) -> None:
            rows = slice(int(starts[groups.start]), int(starts[groups.stop]))
            own, begins = None if weight is None else weight[rows, None], starts[groups.start : groups.stop + 1]
            found.mean[groups], found.scale[groups] = _learned(values[rows], own, begins - rows.start, trims=trims)

        in_parallel(learn, _blocks_of(starts), values.size)
        return found

    @property
    def varies(self) -> NDArray[np.bool_]:
        """Which columns of which groups are not constant, (groups, columns)."""
        return np.asarray(self.scale > 0)

    def applied(self, values: NDArray[np.float64], groups: Groups, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return rows as features, (n, columns): standardized by their groups, with a smooth limit."""
        out, scale = np.empty(values.shape, dtype), np.where(self.scale > 0, self.scale, 1.0)

        def apply(start: int) -> None:
            rows = slice(start, start + _BLOCK_ROWS)
            z = (values[rows] - self.mean[groups[rows]]) / scale[groups[rows]]
            out[rows] = z / np.sqrt(1 + np.square(z / FURTHEST))

        in_parallel(apply, range(0, len(values), _BLOCK_ROWS), values.size)
        return out

    def undone(self, values: NDArray[np.float64], groups: Groups) -> NDArray[np.float64]:
        """Return standardized numbers in their own units; a column that was constant is what it was."""
        return np.asarray(values * self.scale[groups] + self.mean[groups])

    def at(self, groups: slice | list[int]) -> Scales:
        """Return those of some groups."""
        return Scales(self.mean[groups], self.scale[groups])


def _blocks_of(starts: NDArray[np.intp]) -> list[slice]:
    """Return slices of groups in a row, of some thousand rows each."""
    wanted = np.arange(0, int(starts[-1]) + _BLOCK_ROWS, _BLOCK_ROWS)
    ends = np.unique(np.minimum(np.searchsorted(starts, wanted), len(starts) - 1))
    return [slice(int(a), int(b)) for a, b in pairwise(ends)]


def _learned(
    values: NDArray[np.float64], weights: NDArray[np.float64] | None, starts: NDArray[np.intp], *, trims: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and scale of each column in each group; see `Scales.of`."""
    counts, begins = np.diff(starts), starts[:-1]
    groups = np.repeat(np.arange(len(counts)), counts)
    low, high = (ufunc.reduceat(values, begins, axis=0) for ufunc in (np.minimum, np.maximum))
    eps = np.finfo(np.float64).eps
    constant = high - low <= _ROUNDING * eps * np.maximum(np.abs(low), np.abs(high))
    # Within -1/2 ... 1/2 of its range, so that no digits are lost and no square overflows.
    middle, span = low / 2 + high / 2, np.where(constant, 1.0, high - low)
    shares = (values - middle[groups]) / span[groups]
    mean, scale = _moments(shares, weights, begins, groups)
    # No number of n lies further than sqrt(n - 1) deviations out; a few say little about which are far.
    most = np.sqrt(counts - 1)
    furthest = np.where(counts < _FEWEST_TO_TRIM, 2 * most, np.minimum(_TRIMMED, 0.9 * most))[groups, None]
    for _ in range(_ROUNDS if trims else 0):
        near = np.abs(shares - mean[groups]) <= furthest * scale[groups]
        if near.all():
            break
        mean, scale = _moments(shares, near if weights is None else near * weights, begins, groups)
    return np.where(constant, middle, middle + span * mean), np.where(constant, 0.0, span * scale)


def _moments(
    values: NDArray[np.float64], weights: NDArray[np.float64] | NDArray[np.bool_] | None, begins: Groups, groups: Groups
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each column in each group."""

    def mean_of(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        weighted = numbers if weights is None else numbers * weights
        return np.asarray(np.add.reduceat(weighted, begins, axis=0) / total)

    ones = np.ones((len(values), 1)) if weights is None else np.asarray(weights, np.float64)
    total = np.add.reduceat(ones, begins, axis=0)
    mean = mean_of(values)
    return mean, np.sqrt(mean_of(np.square(values - mean[groups])))
