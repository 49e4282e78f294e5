"""A running scale of columns that come one after the other, and in which numbers may be missing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MEMORY = 10_000  # rows that a mean goes by at most: older ones fade, so that a scale follows what drifts
FURTHEST = 10.0  # deviations from the mean that a number counts as at most
SETTLED = 32  # numbers after which that holds

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class RunningScale:
    """Count, mean and sum of squared deviations of each column, (columns,) each."""

    count: Numbers
    mean: Numbers
    squares: Numbers

    @classmethod
    def none(cls, n_columns: int) -> RunningScale:
        """Return the scale of columns without a number."""
        return cls(*np.zeros((3, n_columns)))

    def with_columns(self, n: int) -> RunningScale:
        """Return the scale with so many more columns."""
        return RunningScale(*(np.append(part, np.zeros(n)) for part in (self.count, self.mean, self.squares)))

    def after(self, rows: Numbers) -> RunningScale:
        """Return the scale after more rows, (rows, columns), of which missing numbers are NaN.

        Means and squares are joined as by Chan, Golub and LeVeque (1983). Once a column has had some numbers, one
        further out than `FURTHEST` counts as just that far.
        """
        reach = np.where(self.count >= SETTLED, FURTHEST * self.deviation, np.inf)
        rows = np.minimum(np.maximum(rows, self.mean - reach), self.mean + reach)
        given = ~np.isnan(rows)
        if given.all():
            count = np.full(len(self.count), float(len(rows)))
            mean = rows.sum(axis=0) / len(rows)
            rows = rows - mean
        else:
            count = given.sum(axis=0).astype(np.float64)
            mean = np.where(given, rows, 0.0).sum(axis=0) / np.maximum(count, 1)
            rows = np.where(given, rows - mean, 0.0)
        total, shift = self.count + count, mean - self.mean
        share = count / np.maximum(total, 1)
        squares = self.squares + np.einsum("ij,ij->j", rows, rows) + shift**2 * self.count * share
        kept = np.minimum(total, MEMORY)
        return RunningScale(kept, self.mean + shift * share, squares * kept / np.maximum(total, 1))

    @cached_property
    def deviation(self) -> Numbers:
        """The standard deviation of each column, that float32 holds; of one that has not varied yet, its size, or 1."""
        found = np.sqrt(self.squares / np.maximum(self.count, 1))
        size = np.abs(self.mean)
        return np.clip(np.where(found <= 1e-12 * size, np.maximum(size, 1.0), found), 1e-30, 1e30)
