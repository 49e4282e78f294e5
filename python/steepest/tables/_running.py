"""Scales that go on adapting: moments of columns that are added up batch by batch, and scales that follow them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._blocks import blocks
from ._scaling import FURTHEST, is_constant

# A scale follows its moments once they are this far from it: in standard deviations, and as a ratio less 1.
_TOLERANCE = 0.05
# Up to here from where a network began to learn from a column, its weights are corrected for the change; further on a
# corrected unit would be steep, with its bend where no rows are any more. Of limits from 0.2 to 1, and of correcting
# always or never, this was the best or near it on first batches a hundredth as wide, on drifts and on shifts.
_NEAR = 0.3
_FEWEST_TO_LIMIT_BY = 100  # rows from which on an outlier counts as no more than `FURTHEST` standard deviations

# Of columns that are scaled by their quartiles: so far a sentinel in one row of twenty moves the mean by little.
_FURTHEST_SMOOTH = 3.0

Columns = NDArray[np.float64]
Limits: TypeAlias = tuple[Columns, Columns]


@dataclass(frozen=True, eq=False)
class RunningMoments:
    """Mean and variance of columns over all rows so far, (columns,) each; NaN is no row of its column.

    Batches are merged as Chan, Golub and LeVeque (1983, "Algorithms for computing the sample variance") do, so that
    nothing is lost to rounding, whatever the mean and however many the batches.

    Parameters
    ----------
    weight : array of float64
        Sum of the weights of the rows.
    mean : array of float64
        In the columns' units.
    squares : array of float64
        Weighted sum of the squared distances from the mean.
    low, high : array of float64
        The least and the greatest number.
    """

    weight: Columns
    mean: Columns
    squares: Columns
    low: Columns
    high: Columns

    @classmethod
    def none(cls, n_columns: int) -> RunningMoments:
        """Return the moments of no rows."""
        zero = np.zeros(n_columns)
        return cls(zero, zero, zero, np.full(n_columns, np.inf), np.full(n_columns, -np.inf))

    @classmethod
    def assumed(cls, mean: Columns, scale: Columns, rows: float) -> RunningMoments:
        """Return the moments of so many rows of this mean and scale; a scale of 1, of a constant, tells nothing."""
        unknown = scale == 1.0
        weight = np.where(unknown, 0.0, float(rows))
        low, high = np.where(unknown, np.inf, mean - scale), np.where(unknown, -np.inf, mean + scale)
        with np.errstate(over="ignore"):  # numbers whose squares no float64 holds are scaled by their range
            return cls(weight, np.where(unknown, 0.0, mean), weight * scale**2, low, high)

    @classmethod
    def of(cls, values: NDArray[Any], weights: NDArray[Any] | None = None) -> RunningMoments:
        """Return the moments of rows, (n, columns), with weights, (n,), >= 0."""
        values = np.asarray(values, np.float64)
        counts = ~np.isnan(values)
        if weights is not None:
            counts &= (np.asarray(weights) > 0)[:, None]
        share = counts * (1.0 if weights is None else np.asarray(weights, np.float64)[:, None])
        filled = np.where(counts, values, 0.0)
        weight = share.sum(axis=0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            mean = np.where(weight > 0, (share * filled).sum(axis=0) / weight, 0.0)
            squares = (share * (filled - mean) ** 2).sum(axis=0)
        low = np.where(counts, values, np.inf).min(axis=0, initial=np.inf)
        return cls(weight, mean, squares, low, np.where(counts, values, -np.inf).max(axis=0, initial=-np.inf))

    def merged(self, other: RunningMoments) -> RunningMoments:
        """Return the moments of the rows of both."""
        weight = self.weight + other.weight
        share = np.divide(other.weight, weight, out=np.zeros_like(weight), where=weight > 0)
        with np.errstate(over="ignore", invalid="ignore"):
            step = other.mean - self.mean
            mean = self.mean + step * share
            squares = self.squares + other.squares + step**2 * self.weight * share
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return RunningMoments(weight, mean, squares, low, high)

    def after(
        self, values: Any, weights: NDArray[Any] | None = None, *, limits: Limits | None = None
    ) -> RunningMoments:
        """Return the moments with more rows.

        Parameters
        ----------
        values : array or CSR matrix of shape (n, columns)
            The rows.
        weights : array of shape (n,), optional
            How much each counts, >= 0; by default all count alike.
        limits : pair of arrays of float64, shape (columns,), optional
            Numbers beyond these count as them.
        """
        found = self
        for rows, block in blocks(values):
            block = block if limits is None else np.clip(block, *limits)
            found = found.merged(RunningMoments.of(block, None if weights is None else weights[rows]))
        return found

    def mean_and_scale(self, dtype: DTypeLike) -> tuple[Columns, Columns]:
        """Return mean and standard deviation, each (columns,); 1 where a column of this type is constant or unknown."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            scale = np.sqrt(self.squares / self.weight)
            constant = is_constant(self.low, self.high, dtype) | (self.weight == 0)
            finite = np.isfinite(self.mean) & np.isfinite(scale)
            middle = np.where(np.isfinite(self.low), self.low / 2 + self.high / 2, 0.0)
            widest = np.where(np.isfinite(self.high - middle), self.high - middle, 1.0)
        mean = np.where(constant | ~finite, middle, self.mean)
        scale = np.where(finite, scale, widest)
        return mean, np.where(constant | ~(scale > 0), 1.0, scale)

    def with_columns(self, other: RunningMoments) -> RunningMoments:
        """Return the moments with the columns of another behind these."""
        return RunningMoments(*(np.append(getattr(self, name), getattr(other, name)) for name in vars(self)))


class Change(NamedTuple):
    """A change of the scale of columns, as a network has to follow it.

    Parameters
    ----------
    factor, shift : array of float64, shape (columns,)
        Where it follows, a number that was scaled to z before is ``(z - shift) / factor`` now. 1 and 0 where it does
        not, and takes the new z for the old.
    """

    factor: Columns
    shift: Columns


@dataclass(frozen=True, eq=False)
class AdaptiveScale:
    """Mean and scale of columns, (columns,), that follow the moments of the rows.

    Parameters
    ----------
    moments : RunningMoments
        Of all rows so far.
    mean, scale : array of float64
        By which columns are scaled: the moments', but for 5%.
    first_mean, first_scale : array of float64
        By which they were where a network began to learn from them.
    offset, ratio : array of float64
        A median lies so many standard deviations from the mean, and a scale by quartiles is so many of them: 0 and 1
        for columns that are scaled by mean and standard deviation.
    smooth : array of bool
        Which columns are scaled by their quartiles.
    """

    moments: RunningMoments
    mean: Columns
    scale: Columns
    first_mean: Columns
    first_scale: Columns
    offset: Columns
    ratio: Columns
    smooth: NDArray[np.bool_]

    @classmethod
    def of(
        cls, moments: RunningMoments, mean: Columns, scale: Columns, smooth: NDArray[np.bool_] | None = None
    ) -> AdaptiveScale:
        """Return the scale with which a network begins; it stands to the moments as the moments are."""
        n = len(mean)
        smooth = np.zeros(n, bool) if smooth is None else smooth
        return cls(moments, mean, scale, mean, scale, np.zeros(n), np.ones(n), smooth)

    def learned(self, values: Any, weights: NDArray[Any] | None) -> AdaptiveScale:
        """Return the scale with the moments of the rows, (n, columns), that it was learned from."""
        reach = np.where(self.smooth & (self.scale != 1.0), _FURTHEST_SMOOTH * self.scale, np.inf)
        moments = self.moments.after(values, weights, limits=(self.mean - reach, self.mean + reach))
        mean, scale = moments.mean_and_scale(np.float64)
        told = self.smooth & (scale != 1.0) & (self.scale != 1.0)
        offset = np.where(told, (self.mean - mean) / scale, 0.0)
        return replace(self, moments=moments, offset=offset, ratio=np.where(told, self.scale / scale, 1.0))

    def followed(
        self, values: Any, weights: NDArray[Any] | None, dtype: DTypeLike
    ) -> tuple[AdaptiveScale, Change | None]:
        """Return the scale after more rows, (n, columns), and how it has changed, if it has."""
        moments = self.moments_after(values, weights)
        mean, scale = moments.mean_and_scale(dtype)
        with np.errstate(over="ignore"):
            return self.after(moments, mean + self.offset * np.where(scale == 1.0, 0.0, scale), scale * self.ratio)

    def moments_after(self, values: Any, weights: NDArray[Any] | None) -> RunningMoments:
        """Return the moments after more rows; once there were enough, a number far out counts as less far."""
        known = (self.moments.weight >= _FEWEST_TO_LIMIT_BY) & (self.scale != 1.0)
        with np.errstate(over="ignore"):
            reach = np.where(known, np.where(self.smooth, _FURTHEST_SMOOTH, FURTHEST) * self.scale, np.inf)
            return self.moments.after(values, weights, limits=(self.mean - reach, self.mean + reach))

    def after(self, moments: RunningMoments, mean: Columns, scale: Columns) -> tuple[AdaptiveScale, Change | None]:
        """Return the scale after more rows, and how it has changed, if it has.

        Parameters
        ----------
        moments : RunningMoments
            Of all rows.
        mean, scale : array of float64
            The scale that these ask for.
        """
        with np.errstate(over="ignore"):
            moved = np.abs(mean - self.mean) > _TOLERANCE * np.minimum(self.scale, scale)
            moved |= ~_within(scale / self.scale, _TOLERANCE)
        if not moved.any():
            return replace(self, moments=moments), None
        new_mean, new_scale = np.where(moved, mean, self.mean), np.where(moved, scale, self.scale)
        with np.errstate(over="ignore"):
            near = np.abs(new_mean - self.first_mean) <= _NEAR * self.first_scale
            near &= _within(new_scale / self.first_scale, _NEAR)
        change = Change(
            np.where(near, new_scale / self.scale, 1.0), np.where(near, (new_mean - self.mean) / self.scale, 0.0)
        )
        first = np.where(near, self.first_mean, new_mean), np.where(near, self.first_scale, new_scale)
        return AdaptiveScale(moments, new_mean, new_scale, *first, self.offset, self.ratio, self.smooth), change

    def with_columns(self, other: AdaptiveScale) -> AdaptiveScale:
        """Return the scale with the columns of another behind these."""
        names = [name for name in vars(self) if name != "moments"]
        both = (np.append(getattr(self, name), getattr(other, name)) for name in names)
        return AdaptiveScale(self.moments.with_columns(other.moments), *both)


def _within(ratio: Columns, limit: float) -> NDArray[np.bool_]:
    """Tell which ratios are from ``1 / (1 + limit)`` to ``1 + limit``."""
    return np.asarray(np.abs(np.log(ratio)) <= math.log1p(limit))
