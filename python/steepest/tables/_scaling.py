"""Columns standardized to mean 0 and standard deviation 1, with outliers limited."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._blocks import blocks, by_blocks
from .._core import limit_smoothly

FURTHEST = 10.0  # standard deviations from the mean: an outlier counts as no more than this
_ROUNDING = 8  # units in the last place: a column that varies by no more is constant, but for rounding


def is_constant(low: Any, high: Any, dtype: DTypeLike) -> NDArray[np.bool_]:
    """Tell which columns, whose least and greatest numbers these are, vary by nothing but the rounding of a dtype."""
    eps = float(np.finfo(dtype).eps) if np.issubdtype(dtype, np.floating) else 0.0
    return np.asarray(high - low <= _ROUNDING * eps * np.maximum(np.abs(low), np.abs(high)))


def mean_and_scale(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation of a column, however large its numbers are.

    Parameters
    ----------
    values : array of float64, shape (n,)
        The column; NaN where a value is missing, with one value at least.

    Returns
    -------
    mean, scale : float
        In the column's units; the scale is 1 where all values are equal but for rounding.
    """
    present = values[~np.isnan(values)]
    low, high = float(present.min()), float(present.max())
    if is_constant(low, high, np.float64):
        return low / 2 + high / 2, 1.0
    largest = max(abs(low), abs(high))
    share = present / largest  # so that no sum and no square overflows
    return largest * float(share.mean()), (largest * float(share.std())) or 1.0


def standardize(
    values: NDArray[np.float64], mean: float, scale: float, furthest: float = FURTHEST
) -> NDArray[np.float64]:
    """Return ``(value - mean) / scale`` of a column, (n,), within ``-furthest ... furthest``; NaN stays NaN."""
    with np.errstate(over="ignore"):  # infinity is clipped
        return clip_outliers((values - mean) / scale, furthest)


def clip_outliers(z: NDArray[np.float64], furthest: float) -> NDArray[np.float64]:
    """Return standardized numbers, of any shape, within ``-furthest ... furthest``."""
    return np.clip(z, -furthest, furthest)


def scale_smoothly(values: NDArray[Any], mean: float, scale: float, furthest: float = FURTHEST) -> NDArray[np.float64]:
    """Return ``z / sqrt(1 + (z / furthest)**2)`` of ``z = (value - mean) / scale`` of a column, (n,); NaN stays NaN."""
    return limit_smoothly(values[:, None], mean, scale, furthest)[:, 0]


def unlimited(z: Any, furthest: float) -> Any:
    """Undo the smooth limit, of numbers of any shape."""
    return z / np.sqrt(np.maximum(1 - (z / furthest) ** 2, 1e-300))


def moved(z: NDArray[np.float64], old: tuple[Any, Any], new: tuple[Any, Any], *, smooth: bool) -> NDArray[np.float64]:
    """Return scaled numbers of columns as another scale has them.

    Parameters
    ----------
    z : array of float64, shape (n,)
        Scaled by `old`.
    old, new : pair of float or array of shape (n,)
        Mean and scale.
    smooth : bool
        Whether both scales have a smooth limit.
    """
    with np.errstate(over="ignore"):
        values = old[0] + (unlimited(z, FURTHEST) if smooth else z) * old[1]
        found = np.clip((values - new[0]) / new[1], -1e300, 1e300)
    return scale_smoothly(found, 0.0, 1.0) if smooth else found


class ColumnTransform:
    """Base of the transforms of dense rows of numbers to features."""

    @property
    def n_features(self) -> int:
        """Features of a row."""
        raise NotImplementedError

    def transform_float64(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the features, (n, n_features), of dense rows, (n, n_columns), in float64, all at once."""
        raise NotImplementedError

    def transform(self, values: NDArray[Any], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Return the features of rows; what is not finite stays so, for the network to refuse.

        Parameters
        ----------
        values : array of shape (n, columns)
            Dense rows.
        dtype : type, default=float32
            Of the result; it is computed in float64, a block of rows at a time.

        Returns
        -------
        array of shape (n, n_features)
            A new array.
        """
        return by_blocks(self.transform_float64, values, self.n_features, dtype)


@dataclass(frozen=True, eq=False)
class Standardizer(ColumnTransform):
    """Columns to mean 0 and standard deviation 1: ``(value - mean) / scale``.

    Parameters
    ----------
    mean, scale : array of float64, shape (1, columns)
        In the units of each column; every scale is above 0.
    furthest : float, default=inf
        Standardized values are clipped to ``-furthest ... furthest`` standard deviations.
    smooth : bool, default=False
        Whether they come nearer to this limit, the further out they lie, in place of being clipped: z becomes
        ``z / sqrt(1 + (z / furthest)**2)`` (Holzmüller et al. 2024, "Better by Default: Strong Pre-Tuned MLPs and
        Boosted Trees on Tabular Data"). `mean` then is what a column is centered by, its median.
    """

    # One row each: with a row to predict, NumPy takes half the time where shapes are the same.
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    furthest: float = math.inf
    smooth: bool = False

    @classmethod
    def fit(cls, values: Any, weight: NDArray[Any] | None = None, furthest: float = math.inf) -> Standardizer:
        """Learn from rows; a column that is constant, but for rounding, has the scale 1 and becomes 0.

        Parameters
        ----------
        values : array or CSR matrix, shape (n, columns)
            Finite numbers.
        weight : array of shape (n,), optional
            How much each row counts; by default all count alike.
        furthest : float, default=inf
            As of the class.

        Returns
        -------
        Standardizer
            With means and standard deviations in float64.
        """
        n = values.shape[0]
        weights = np.ones(n) if weight is None else np.asarray(weight, np.float64)
        share = weights / weights.sum()
        mean = np.zeros(values.shape[1])
        square = np.zeros_like(mean)
        low, high = np.full_like(mean, np.inf), np.full_like(mean, -np.inf)
        for rows, block in blocks(values):
            mean += share[rows] @ block
            counted = block if weight is None else block[weights[rows] > 0]
            low = np.minimum(low, counted.min(axis=0, initial=np.inf))
            high = np.maximum(high, counted.max(axis=0, initial=-np.inf))
        constant = is_constant(low, high, values.dtype)  # by its ends: the mean is rounded by more than they are
        mean[constant] = (low / 2 + high / 2)[constant]
        with np.errstate(over="ignore"):  # an infinite spread is replaced below
            for rows, block in blocks(values):
                square += share[rows] @ (block - mean) ** 2
            widest = np.maximum(high - mean, mean - low)
        scale = np.where(np.isfinite(square), np.sqrt(square), widest)
        scale[constant | (scale == 0)] = 1.0
        return cls(mean[None], scale[None], furthest)

    def transform_float64(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return dense rows, (n, columns), standardized in float64, all at once."""
        if self.smooth:  # infinity becomes NaN, which networks refuse too
            return limit_smoothly(values, self.mean, self.scale, self.furthest)
        # All in one dtype and in place: a single row costs microseconds less.
        z: NDArray[np.float64] = values.astype(np.float64)
        z -= self.mean
        z /= self.scale
        # The quickest look at a single row, and without a copy; NaN is both the least and the greatest.
        if not (-self.furthest <= z.item(z.argmin()) and z.item(z.argmax()) <= self.furthest):
            np.copyto(z, clip_outliers(z, self.furthest), where=np.isfinite(z))
        return z

    def inverse_transform(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return standardized rows, (n, columns), in the columns' own units, in float64."""
        return np.asarray(values.astype(np.float64) * self.scale + self.mean)

    @property
    def n_columns(self) -> int:
        """Columns of a row."""
        return self.mean.size

    @property
    def n_features(self) -> int:
        """Features of a row."""
        return self.mean.size

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the means and scales as arrays, for a model file.

        Returns
        -------
        dict of str to array
            "mean" and "scale", (columns,), and "furthest", (), which is called "limit" where it is smooth; all float64.
        """
        name = "limit" if self.smooth else "furthest"
        return {"mean": self.mean[0], "scale": self.scale[0], name: np.array(self.furthest, np.float64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Standardizer:
        """Make the standardizer that `to_arrays` described, to the same bits.

        Parameters
        ----------
        arrays : mapping of str to array
            Perhaps from a stranger's file; they are copied.

        Returns
        -------
        Standardizer
            Ready to `transform`.

        Raises
        ------
        ValueError
            If an array is missing or unknown, has another type or shape, or holds what no `fit` finds: numbers that are
            not finite, a scale that is not above 0, a limit that is not above 0. The message names the array.
        """
        name = "limit" if "limit" in arrays else "furthest"
        refuse_other_names(arrays, ("mean", "scale", name))
        mean = checked_array(arrays, "mean")
        if not len(mean):
            raise ValueError("mean has no numbers: expected one for each column")
        scale = checked_array(arrays, "scale", n=len(mean), gt=0)
        furthest, smooth = np.asarray(arrays[name]), name == "limit"
        if (
            furthest.shape != ()
            or furthest.dtype != np.float64
            or not furthest > 0
            or (smooth and furthest == math.inf)
        ):
            wanted = "one finite float64 number > 0" if smooth else "one float64 number > 0, perhaps inf"
            raise ValueError(f"{name} is {furthest!r}: expected {wanted}")
        return cls(mean[None], scale[None], float(furthest), smooth)


def feature_scale(values: Any, weight: NDArray[Any] | None) -> Standardizer:
    """Learn how to standardize features, (n, columns), dense or sparse, with outliers clipped to `FURTHEST`."""
    return Standardizer.fit(values, weight, FURTHEST)


def refuse_other_names(arrays: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Raise a ValueError where a file's arrays are not exactly those of these names."""
    for name in names:
        if name not in arrays:
            raise ValueError(f"there is no array {name}: expected {', '.join(names)}")
    for name in arrays:
        if name not in names:
            raise ValueError(f"the array {name} is unknown: expected {', '.join(names)}")


def checked_array(
    arrays: Mapping[str, Any], name: str, *, n: int | None = None, gt: float = -math.inf
) -> NDArray[np.float64]:
    """Return a copy of one array of a file.

    Parameters
    ----------
    arrays : mapping of str to array
        All of them.
    name : str
        Which one.
    n : int, optional
        How many numbers it must have; by default any number of them.
    gt : float, default=-inf
        What each number must be above.

    Returns
    -------
    array of float64, shape (n,)
        Finite numbers.

    Raises
    ------
    ValueError
        If the array is not of float64 and one dimension, has not `n` numbers, or one is not finite or not above `gt`.
    """
    values = np.asarray(arrays[name])
    if values.dtype != np.float64:
        raise ValueError(f"{name} has the type {values.dtype}: expected float64")
    if values.ndim != 1 or (n is not None and len(values) != n):
        raise ValueError(f"{name} has the shape {values.shape}: expected {f'({n},)' if n is not None else '(n,)'}")
    wrong = ~(np.isfinite(values) & (values > gt))
    if wrong.any():
        i = int(wrong.argmax())
        wanted = "a finite number" + (f" > {gt:g}" if math.isfinite(gt) else "")
        raise ValueError(f"{name} is {values[i]:g} at place {i} (the first is 0): expected {wanted}")
    return values.copy()
