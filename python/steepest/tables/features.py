"""The features of a single column of a table: of numbers, or of labels."""

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
from ._columns import LABELED, Column
from ._scaling import mean_and_scale, standardize

_MOST_LABELS = 256  # one-hot features of a column; rarer labels share the unseen slot


@dataclass(frozen=True, repr=False)
class NumberFeatures(Spec):
    """A column of numbers: standardized, in bins, and with an indicator if some were missing in training.

    Parameters
    ----------
    name : str
        Name of the column.
    mean, scale : float
        In the column's units, scale > 0. Feature 0 is ``z = (value - mean) / scale``, clipped to -10 ... 10; a missing
        value has z = 0.
    edges : sequence of float, default=()
        Increasing, in units of z. Each pair of neighbors a < b adds the feature ``(z - a) / (b - a)``, clipped to
        0 ... 1 (piecewise linear encoding, Gorishniy et al. 2022, "On Embeddings for Numerical Features").
    indicator : bool, default=False
        Whether there is a last feature, 1 where the value is missing, else 0.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If a number is not finite, `scale` is not above 0, or `edges` do not increase.
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
        """Learn from training rows.

        Parameters
        ----------
        name : str
            Name of the column.
        values : array of float64, shape (n,)
            In the column's units; NaN where one is missing, but one is there at least.
        bins : int
            The most bins, see `steepest.tables.TableEncoder`.

        Returns
        -------
        NumberFeatures
            With an indicator if a value is missing.
        """
        present = values[~np.isnan(values)]
        mean, scale = mean_and_scale(present)
        edges = quantile_edges(standardize(present, mean, scale), bins)
        return cls(name, mean, scale, edges, indicator=len(present) < len(values))

    @property
    def n_features(self) -> int:
        """Number of features of the column."""
        return 1 + max(len(self.edges) - 1, 0) + self.indicator

    def fill(self, column: Column, out: NDArray[np.float32]) -> None:
        """Write the features of rows.

        Parameters
        ----------
        column : Column
            The rows, (n,), as `read_column` returns them.
        out : array of float32, shape (n, n_features)
            Is overwritten.

        Raises
        ------
        ValueError
            If the column holds labels.
        """
        if column.kind in LABELED:
            odd = next((label for label in column.labels if not is_number(label)), column.labels[0])
            raise ValueError(f"column {self.name!r} is {column.kind} such as {odd!r}: expected numbers as in training")
        z = standardize(column.values, self.mean, self.scale)
        missing = np.isnan(z)
        z[missing] = 0.0
        out[:, 0] = z
        for i, (a, b) in enumerate(pairwise(self.edges), start=1):
            out[:, i] = np.clip((z - a) / (b - a), 0, 1)
        if self.indicator:
            out[:, -1] = missing


@dataclass(frozen=True, repr=False)
class LabelFeatures(Spec):
    """A column of text, or true and false: one feature for each label, and one for all else and for missing.

    Parameters
    ----------
    name : str
        Name of the column.
    kind : {"text", "boolean"}
        The type of its values in training.
    labels : sequence of str
        The labels, each with a feature, in this order; the last feature is the unseen slot.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If `kind` is another one, or a label occurs twice.
    """

    name: str
    kind: str
    labels: Sequence[str]

    def __post_init__(self) -> None:
        """Check the arguments."""
        labels = tuple(text("labels", label) for label in self.labels)
        if len(set(labels)) < len(labels):
            raise ValueError(f"labels of column {self.name!r} hold one twice: expected different ones")
        self._set(name=text("name", self.name), kind=choice("kind", self.kind, ("text", "boolean")), labels=labels)

    @classmethod
    def fit(cls, name: str, column: Column, codes: NDArray[Any]) -> LabelFeatures:
        """Learn from training rows: the 256 most frequent labels have a feature of their own.

        Parameters
        ----------
        name : str
            Name of the column.
        column : Column
            Of text, or true and false: has the labels.
        codes : array of int, shape (n,)
            Places of the training rows' labels in those of `column`; -1 where one is missing.

        Returns
        -------
        LabelFeatures
            With labels in alphabetical order.
        """
        counts = np.bincount(codes[codes >= 0], minlength=len(column.labels))
        common = np.argsort(-counts, kind="stable")[:_MOST_LABELS]
        return cls(name, column.kind, sorted(column.labels[i] for i in common if counts[i]))

    @property
    def n_features(self) -> int:
        """Number of features of the column."""
        return len(self.labels) + 1

    def fill(self, column: Column, out: NDArray[np.float32]) -> None:
        """Write the features of rows.

        Parameters
        ----------
        column : Column
            The rows, (n,), as `read_column` returns them.
        out : array of float32, shape (n, n_features)
            Is overwritten.

        Raises
        ------
        ValueError
            If the column holds numbers.
        """
        unseen = len(self.labels)
        if column.kind not in (*LABELED, "empty"):
            raise ValueError(f"column {self.name!r} is numbers: expected {self.kind} as in training")
        places = {label: i for i, label in enumerate(self.labels)}
        # The code of a missing label is -1, and takes the last place.
        table = np.array([*(places.get(label, unseen) for label in column.labels), unseen])
        codes = np.full(len(out), -1) if column.kind == "empty" else column.values
        out[:] = 0
        out[np.arange(len(out)), table[codes]] = 1
