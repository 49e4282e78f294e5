"""A single row, encoded without the cost of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import limit_smoothly
from ._columns import BOOLEAN_LABELS
from ._encoded import Layout
from ._scaling import FURTHEST
from .features import BinaryFeatures, Features, LabelFeatures, NumberFeatures

_TYPES = {"text": (str,), "boolean": (bool, np.bool_)}


class RowReader:
    """Encodes rows of plain values one at a time, as `encode_columns` does many.

    Parameters
    ----------
    features : sequence of Features
        Of each column.
    layout : Layout
        Of them.
    """

    def __init__(self, features: Sequence[Features], layout: Layout) -> None:
        self._layout = layout
        self._numbers = [feature for feature in features if isinstance(feature, NumberFeatures)]
        self._labels = [feature for feature in features if isinstance(feature, (LabelFeatures, BinaryFeatures))]
        smooth = all(feature.smooth for feature in self._numbers)
        self.reads_all = smooth and len(self._numbers) + len(self._labels) == len(features)
        self._mean = np.array([[feature.mean for feature in self._numbers]])
        self._scale = np.array([[feature.scale for feature in self._numbers]])
        self._has_sentinel = any(feature.sentinel is not None for feature in self._numbers)

    def read(self, row: Mapping[str, object]) -> NDArray[np.float32] | None:
        """Return the features of one row, (1, n_features), as `TableEncoder.encode` makes them.

        Parameters
        ----------
        row : mapping of str to object
            A single value of each column.

        Returns
        -------
        array of float32, or None
            None where a value, or a column, takes a closer look than this one.
        """
        if not self.reads_all:
            return None
        try:
            numbers = self._scaled([row[feature.name] for feature in self._numbers])
            labels = [_cells(feature, row[feature.name]) for feature in self._labels]
        except (KeyError, TypeError):
            return None
        if numbers is None:
            return None
        codes = [code for code, _ in labels if code is not None]
        ready = [value for _, values in labels for value in values]
        return self._layout.expand(numbers, [codes], [ready])

    def _scaled(self, values: list[Any]) -> NDArray[np.float64] | None:
        """Return scaled numbers, (1, columns); None where one is infinite."""
        if any(type(value) is not float for value in values):
            values = [_as_float(value) for value in values]
        if math.inf in values or -math.inf in values:
            return None
        if self._has_sentinel:
            pairs = zip(self._numbers, values, strict=True)
            values = [math.nan if feature.is_sentinel(value) else value for feature, value in pairs]
        return limit_smoothly([values], self._mean, self._scale, FURTHEST)


def _as_float(value: object) -> float:
    if value is None:
        return math.nan
    if type(value) is float or type(value) is int or isinstance(value, (np.floating, np.integer)):
        return float(value)
    raise TypeError


def _cells(feature: LabelFeatures | BinaryFeatures, value: object) -> tuple[int | None, Sequence[float]]:
    """Return the code of a label, where it has slots, and its ready features."""
    missing = value is None or (type(value) is float and value != value)
    if not missing and type(value) not in _TYPES[feature.kind]:
        raise TypeError
    label = None if missing else BOOLEAN_LABELS[bool(value)] if feature.kind == "boolean" else value
    return feature.read_one(label if label is None else label.strip())  # type: ignore[attr-defined]
