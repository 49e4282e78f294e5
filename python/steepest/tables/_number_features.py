"""The features of a column of numbers, or of dates and times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._validation import Spec, choice, flag, number, text
from ..files import is_number
from ._bins import quantile_edges, spread_edges
from ._columns import LABELED, Column, Kind
from ._encoded import Cells, Parts
from ._normal_scores import NormalScores, quantiles_of
from ._robust import center_and_scale, sentinel
from ._scaling import FURTHEST, mean_and_scale, scale_smoothly, standardize, unlimited

SCALINGS = ("robust", "standard", "quantile")
CYCLES = ("year", "month", "week", "day")
_MOST_TIMES = 10_000  # that are looked at to see in which cycles they vary
_DAY = 86_400_000_000  # microseconds
_ROUNDING = 1e-6  # of a sentinel, which may come as float32


@dataclass(frozen=True, repr=False)
class NumberFeatures(Spec):
    """A column of numbers: scaled, in bins, and with an indicator if some were missing in training.

    Parameters
    ----------
    name : str
        Name of the column.
    mean, scale : float
        In the column's units, scale > 0. With `smooth` its median, and a robust standard deviation. Feature 0 is
        ``z = (value - mean) / scale``, limited; a missing value has z = 0.
    edges : sequence of float, default=()
        Increasing, in units of z. Each pair of neighbors a < b adds the feature ``(z - a) / (b - a)``, clipped to
        0 ... 1 (piecewise linear encoding, Gorishniy et al. 2022, "On Embeddings for Numerical Features").
    indicator : bool, default=False
        Whether there is a last feature, 1 where the value is missing, else 0.
    smooth : bool, default=False
        Whether z comes nearer to 10 the further out it lies: it is ``z / sqrt(1 + (z / 10)**2)`` then. By default it is
        clipped to -10 ... 10.
    sentinel : float, optional
        A number such as -9999 that stands for a missing value, but for rounding.
    quantiles : sequence of float, default=()
        Where there are some, not decreasing, z is the normal score of a number: a normal distribution has the same
        share below z as these have below the number. `mean` and `scale` are not used then.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If a number is not finite, `scale` is not above 0, `edges` do not increase, or `quantiles` decrease.

    Examples
    --------
    >>> import steepest as st
    >>> table = {"size": [1.0, 2.0, None, 8.0] * 5}
    >>> encoder = st.tables.TableEncoder(bins=0).fit(table, range(20), "regression")
    >>> type(encoder.columns[0]).__name__, encoder.feature_names
    ('NumberFeatures', ['size', 'size is missing'])
    """

    name: str
    mean: float
    scale: float
    edges: Sequence[float] = ()
    indicator: bool = False
    smooth: bool = False
    sentinel: float | None = None
    quantiles: Sequence[float] = ()

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(
            name=text("name", self.name),
            mean=number("mean", self.mean),
            scale=number("scale", self.scale, gt=0),
            edges=_checked_edges(self.name, self.edges),
            indicator=flag("indicator", self.indicator),
            smooth=flag("smooth", self.smooth),
            sentinel=None if self.sentinel is None else number("sentinel", self.sentinel),
            quantiles=tuple(number("quantiles", each) for each in self.quantiles),
        )
        if any(a > b for a, b in pairwise(self.quantiles)):
            raise ValueError(f"quantiles of column {self.name!r} decrease: expected increasing numbers")

    @classmethod
    def fit(
        cls, name: str, values: NDArray[np.float64], bins: int, *, scaling: str = "robust", indicator: bool = False
    ) -> NumberFeatures:
        """Learn from training rows.

        Parameters
        ----------
        name : str
            Name of the column.
        values : array of float64, shape (n,)
            Those that are there, one at least, increasing, in the column's units.
        bins : int
            The most bins, see `steepest.tables.TableEncoder`.
        scaling : {"robust", "standard", "quantile"}, default="robust"
            By quartiles with a smooth limit, by mean and standard deviation, clipped, or by normal scores.
        indicator : bool, default=False
            Whether to have an indicator of missing values; there is one for a sentinel in any case.

        Returns
        -------
        NumberFeatures
            Of these rows. One number that is the least or the greatest in at least 2% of them, and lies far away from
            all others, is a sentinel.
        """
        standard = choice("scaling", scaling, SCALINGS) == "standard"
        found = None if standard else sentinel(values)
        if found is not None:
            values, indicator = values[values != found], True
        mean, scale = mean_and_scale(values) if standard else center_and_scale(values)
        quantiles = quantiles_of(values) if scaling == "quantile" else ()
        features = cls(name, mean, scale, (), indicator, scaling == "robust", found, quantiles)
        z = features.scaled(values)
        return replace(features, edges=quantile_edges(z, bins) if standard else spread_edges(z, bins))

    @property
    def expected(self) -> Kind:
        """The kind that a column of further rows has."""
        return "number"

    @property
    def form(self) -> str | None:
        """How dates as text are written: there are none."""
        return None

    @property
    def parts(self) -> Parts:
        """Its parts in encoded rows."""
        return Parts(self.edges, self.indicator)

    @property
    def n_features(self) -> int:
        """Number of features of the column."""
        return self.parts.n_features

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature."""
        bounds = (f"{self._value(edge):.6g}" for edge in self.edges)
        names = [self.name, *(f"{self.name} from {a} to {b}" for a, b in pairwise(bounds))]
        return names + [f"{self.name} is missing"] * self.indicator

    def read(self, column: Column) -> Cells:
        """Encode rows.

        Raises
        ------
        ValueError
            If the column holds labels.
        """
        if column.kind in LABELED:
            odd = next((label for label in column.labels if not is_number(label)), column.labels[0])
            raise ValueError(f"column {self.name!r} is {column.kind} such as {odd!r}: expected numbers as in training")
        return Cells(self.scaled(self.present(column.values)))

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return z of numbers, (n,); NaN stays NaN."""
        if self._normal is not None:
            return self._normal.of(values)
        if self.smooth:
            return scale_smoothly(values, self.mean, self.scale)
        return standardize(values, self.mean, self.scale)

    def _value(self, z: float) -> float:
        """Return the number that a z stands for."""
        if self._normal is not None:
            return self._normal.value(z)
        return float(self.mean + self.scale * (unlimited(z, FURTHEST) if self.smooth else z))

    @cached_property
    def _normal(self) -> NormalScores | None:
        return NormalScores(self.quantiles) if self.quantiles else None

    def present(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return numbers, (n,), NaN where one is missing or the sentinel."""
        return values if self.sentinel is None else np.where(self.is_sentinel(values), np.nan, values)

    def is_sentinel(self, value: Any) -> Any:
        """Tell of one number, or of an array, whether it is the sentinel."""
        return self.sentinel is not None and abs(value - self.sentinel) <= _ROUNDING * abs(self.sentinel)


@dataclass(frozen=True, repr=False)
class TimeFeatures(Spec):
    """A column of dates, or of times of day: as a number, and around the cycles in which it varied in training.

    Parameters
    ----------
    name : str
        Name of the column.
    kind : {"date", "clock"}
        Dates, also with a time, or times of day.
    mean, scale : float
        Median and robust standard deviation, in microseconds since 1970, or since midnight; scale > 0.
    edges : sequence of float, default=()
        As of `NumberFeatures`.
    indicator : bool, default=False
        As of `NumberFeatures`.
    cycles : sequence of {"year", "month", "week", "day"}, default=()
        Each adds two features, sine and cosine of ``2 pi`` times the share of this cycle that has gone by: of the year
        and the month by whole days, of the week by whole days since Monday, of the day by microseconds. Both are 0
        where the value is missing.
    form : str, optional
        How dates as text are written, as "%d.%m.%Y".

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If a number is not finite, `scale` is not above 0, `edges` do not increase, or a cycle is another one.

    Examples
    --------
    >>> import pandas as pd
    >>> import steepest as st
    >>> table = {"day": pd.date_range("2024-01-01", periods=20)}
    >>> encoder = st.tables.TableEncoder(bins=0).fit(table, range(20), "regression")
    >>> type(encoder.columns[0]).__name__, encoder.feature_names[-2:]
    ('TimeFeatures', ['day, sine of the week', 'day, cosine of the week'])
    """

    name: str
    kind: str
    mean: float
    scale: float
    edges: Sequence[float] = ()
    indicator: bool = False
    cycles: Sequence[str] = ()
    form: str | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        cycles = tuple(choice("cycles", cycle, CYCLES) for cycle in self.cycles)
        if self.form is not None and "%" not in text("form", self.form):
            raise ValueError(f"form of column {self.name!r} is {self.form!r}: expected such as '%d.%m.%Y'")
        if len(set(cycles)) < len(cycles):
            raise ValueError(f"cycles of column {self.name!r} hold one twice: expected different ones")
        self._set(
            name=text("name", self.name),
            kind=choice("kind", self.kind, ("date", "clock")),
            mean=number("mean", self.mean),
            scale=number("scale", self.scale, gt=0),
            edges=_checked_edges(self.name, self.edges),
            indicator=flag("indicator", self.indicator),
            cycles=cycles,
            form=self.form,
        )

    @classmethod
    def fit(cls, name: str, column: Column, values: NDArray[np.float64], bins: int, *, indicator: bool) -> TimeFeatures:
        """Learn from training rows.

        Parameters
        ----------
        name : str
            Name of the column.
        column : Column
            Has its kind and form.
        values : array of float64, shape (n,)
            Microseconds of the training rows, those that are there, one at least, increasing.
        bins : int
            The most bins, see `steepest.tables.TableEncoder`.
        indicator : bool
            Whether to have an indicator of missing values.

        Returns
        -------
        TimeFeatures
            Of these rows.
        """
        numbers = NumberFeatures.fit(name, values, bins, indicator=indicator)
        shares = _shares(values[:: max(1, len(values) // _MOST_TIMES)])
        cycles = [c for c in CYCLES if (column.kind == "date" or c == "day") and np.ptp(shares[c]) > 0]
        found = (numbers.mean, numbers.scale, numbers.edges, numbers.indicator)
        return cls(name, column.kind, *found, cycles, column.form)

    @property
    def expected(self) -> Kind:
        """The kind that a column of further rows has."""
        return "date" if self.kind == "date" else "clock"

    @property
    def parts(self) -> Parts:
        """Its parts in encoded rows."""
        return Parts(self.edges, self.indicator, ready=2 * len(self.cycles))

    @property
    def n_features(self) -> int:
        """Number of features of the column."""
        return self.parts.n_features

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature."""
        names = [self.name, *(f"{self.name} in part {i}" for i in range(1, len(self.edges)))]
        names += [f"{self.name} is missing"] * self.indicator
        return names + [f"{self.name}, {way} of the {cycle}" for cycle in self.cycles for way in ("sine", "cosine")]

    def read(self, column: Column) -> Cells:
        """Encode rows.

        Raises
        ------
        ValueError
            If the column holds something else.
        """
        if column.kind not in (self.kind, "empty"):
            wanted = "dates" if self.kind == "date" else "times of day"
            raise ValueError(f"column {self.name!r} is of kind {column.kind}: expected {wanted} as in training")
        z = scale_smoothly(column.values, self.mean, self.scale)
        missing = np.isnan(z)
        shares = _shares(np.where(missing, 0.0, column.values), self.cycles)
        angles = [2 * math.pi * shares[cycle] for cycle in self.cycles]
        ready = np.empty((len(z), 2 * len(angles)), np.float32)
        for i, angle in enumerate(angles):
            ready[:, 2 * i], ready[:, 2 * i + 1] = np.sin(angle), np.cos(angle)
        ready[missing] = 0
        return Cells(z, None, ready)


def _checked_edges(name: str, given: Sequence[float]) -> tuple[float, ...]:
    edges = tuple(number("edges", edge) for edge in given)
    if any(a >= b for a, b in pairwise(edges)):
        raise ValueError(f"edges of column {name!r} are {edges}: expected increasing numbers")
    return edges


def _shares(microseconds: NDArray[np.float64], cycles: Sequence[str] = CYCLES) -> dict[str, NDArray[np.float64]]:
    """Return the share of each cycle that has gone by, 0 <= share < 1."""
    times = microseconds.astype(np.int64)
    days = times // _DAY  # since a Thursday
    dates = days.astype("datetime64[D]")
    found: dict[str, NDArray[np.float64]] = {}
    for cycle in cycles:
        if cycle == "day":
            found[cycle] = (times - days * _DAY) / _DAY
        elif cycle == "week":
            found[cycle] = ((days + 3) % 7) / 7
        else:
            unit: Literal["Y", "M"] = "Y" if cycle == "year" else "M"
            period = dates.astype(f"datetime64[{unit}]")
            following = period + np.timedelta64(1, unit)
            start, end = (each.astype("datetime64[D]").astype(np.int64) for each in (period, following))
            found[cycle] = (days - start) / (end - start)
    return found
