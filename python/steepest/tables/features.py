"""What a column of a table becomes: numbers, or labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import Spec, choice, flag, number, text
from ..files import is_number
from ._bins import quantile_edges
from ._columns import Column
from ._scaling import FURTHEST

_MOST_LABELS = 256  # one-hot features of a column; rarer labels share the unseen slot


@dataclass(frozen=True, repr=False)
class NumberFeatures(Spec):
    """A column of numbers: standardised, in bins, and with an indicator if some were missing in training.

    Parameters
    ----------
    name : str
        Name of the column.
    mean, scale : float
        Feature 0 is ``z = (value - mean) / scale``, at most 10 from zero; a missing value has z = 0.
    edges : sequence of float
        Increasing, in units of z. Each pair of neighbours a < b adds the feature ``(z - a) / (b - a)``, clipped to
        0 ... 1 (piecewise linear encoding, Gorishniy et al. 2022, "On Embeddings for Numerical Features").
    indicator : bool
        Whether the last feature is 1 where the value is missing, else 0.
    """

    name: str
    mean: float
    scale: float
    edges: Sequence[float] = ()
    indicator: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        edges = tuple(number("edges", edge) for edge in self.edges)
        if any(a >= b for a, b in pairwise(edges)):
            raise ValueError(f"edges of column {self.name!r} are {edges}: expected increasing numbers")
        self._set(name=text("name", self.name), mean=number("mean", self.mean), edges=edges)
        self._set(scale=number("scale", self.scale, gt=0), indicator=flag("indicator", self.indicator))

    @classmethod
    def fit(cls, name: str, values: NDArray[np.float64], bins: int) -> NumberFeatures:
        """Learn from training values, of which at least one is there."""
        present = values[~np.isnan(values)]
        indicator = len(present) < len(values)
        low, high = float(present.min()), float(present.max())
        if low == high:
            return cls(name, low, 1.0, indicator=indicator)
        largest = max(abs(low), abs(high))
        share = present / largest  # so that no sum and no square overflows
        column = cls(name, largest * float(share.mean()), (largest * float(share.std())) or 1.0)
        edges = quantile_edges(column._standardise(present), bins)
        return cls(name, column.mean, column.scale, edges, indicator)

    @property
    def n_features(self) -> int:
        """How many features the column becomes."""
        return 1 + max(len(self.edges) - 1, 0) + self.indicator

    def fill(self, column: Column, out: NDArray[np.float32]) -> None:
        """Write the features into `out`, of shape (n, n_features)."""
        if column.kind not in ("number", "empty"):
            odd = next((label for label in column.labels if not is_number(label)), column.labels[0])
            raise ValueError(f"column {self.name!r} is {column.kind} such as {odd!r}: expected numbers as in training")
        z = self._standardise(column.values)
        missing = np.isnan(z)
        z[missing] = 0.0
        out[:, 0] = z
        for i, (a, b) in enumerate(pairwise(self.edges), start=1):
            out[:, i] = np.clip((z - a) / (b - a), 0, 1)
        if self.indicator:
            out[:, -1] = missing

    def _standardise(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(over="ignore"):  # infinity is clipped
            return np.clip((values - self.mean) / self.scale, -FURTHEST, FURTHEST)


@dataclass(frozen=True, repr=False)
class LabelFeatures(Spec):
    """A column of text, or true and false: one feature for each label, and one for all else and for missing.

    Parameters
    ----------
    name : str
        Name of the column.
    kind : {"text", "boolean"}
        What it held in training.
    labels : sequence of str
        The labels, each with a feature, in this order; the last feature is the unseen slot.
    """

    name: str
    kind: str
    labels: Sequence[str]

    def __post_init__(self) -> None:
        """Check the arguments."""
        labels = tuple(text("labels", label) for label in self.labels)
        if len(set(labels)) < len(labels):
            raise ValueError(f"labels of column {self.name!r} stand twice")
        self._set(name=text("name", self.name), kind=choice("kind", self.kind, ("text", "boolean")), labels=labels)

    @classmethod
    def fit(cls, name: str, column: Column, codes: NDArray[Any]) -> LabelFeatures:
        """Learn from training rows, which have `codes` into the labels of `column`."""
        counts = np.bincount(codes[codes >= 0], minlength=len(column.labels))
        common = np.argsort(-counts, kind="stable")[:_MOST_LABELS]
        return cls(name, column.kind, sorted(column.labels[i] for i in common if counts[i]))

    @property
    def n_features(self) -> int:
        """How many features the column becomes."""
        return len(self.labels) + 1

    def fill(self, column: Column, out: NDArray[np.float32]) -> None:
        """Write the features into `out`, of shape (n, n_features)."""
        unseen = len(self.labels)
        if column.kind == "number":
            raise ValueError(f"column {self.name!r} is numbers: expected {self.kind} as in training")
        places = {label: i for i, label in enumerate(self.labels)}
        # The code of a missing label is -1, and takes the last place.
        table = np.array([*(places.get(label, unseen) for label in column.labels), unseen])
        codes = np.full(len(out), -1) if column.kind == "empty" else column.values
        out[:] = 0
        out[np.arange(len(out)), table[codes]] = 1
