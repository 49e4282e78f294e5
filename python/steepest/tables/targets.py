"""What is to be predicted: classes, or a number in its units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._validation import Spec, number, text
from ..files import is_number
from .features import NumberFeatures

Task: TypeAlias = Literal["classification", "regression"]

TASKS = ("auto", "classification", "regression")

_MOST_CLASSES = 20  # whole numbers with more different values are taken for quantities


@dataclass(frozen=True, repr=False)
class Classes(Spec):
    """The target of a classification.

    Parameters
    ----------
    labels : sequence
        The different labels, sorted, at least two: text, booleans or numbers.
    dtype : str
        Their NumPy type; "object" for text.
    """

    labels: Sequence[Any]
    dtype: str

    def __post_init__(self) -> None:
        """Check the arguments."""
        dtype = np.dtype(text("dtype", self.dtype))
        kinds: tuple[type, ...] = {"O": (str,), "b": (bool,)}.get(dtype.kind, (int, float))
        labels = list(self.labels)
        if dtype.kind not in "Obiuf" or any(not isinstance(label, kinds) for label in labels):
            raise ValueError(f"labels of type {dtype}: expected text, true and false, or numbers, all of one type")
        if len(labels) < 2 or not all(a < b for a, b in pairwise(labels)):
            raise ValueError(f"{len(labels)} labels: expected two or more, sorted and different")
        if np.array(labels, dtype=dtype).tolist() != labels:
            raise ValueError(f"labels of type {dtype}: expected such as the type can hold")
        self._set(labels=tuple(labels), dtype=dtype.name)

    @classmethod
    def fit(cls, name: str, values: NDArray[Any]) -> Classes:
        """Learn from the training rows' labels."""
        found = np.unique(values)
        if len(found) < 2:
            raise ValueError(f"target {name!r} is {found.tolist()} in all rows: expected two classes or more")
        if found.dtype.kind == "f" and (odd := found[found != np.round(found)]).size:
            raise ValueError(f"target {name!r} has the value {odd[0]:g}: expected labels or whole numbers as classes")
        return cls(found.tolist(), found.dtype.name)

    @property
    def array(self) -> NDArray[Any]:
        """The labels as an array of their own type, shape (n_classes,)."""
        return np.array(self.labels, dtype=self.dtype)

    @property
    def n_outputs(self) -> int:
        """How many outputs the network needs."""
        return len(self.labels)

    def encode(self, name: str, values: NDArray[Any]) -> NDArray[np.int64]:
        """Return the place of each label, shape (n,)."""
        classes = self.array
        if (classes.dtype.kind == "O") != (values.dtype.kind == "O"):
            raise ValueError(f"target {name!r} has the type {values.dtype}: expected labels such as {self.labels[0]!r}")
        places = np.minimum(np.searchsorted(classes, values), len(classes) - 1)
        unknown = classes[places] != values
        if unknown.any():
            row = int(unknown.argmax())
            raise ValueError(f"target {name!r} is {values[row]!r} in row {row} (the first row is 0): not in training")
        return places.astype(np.int64)

    def decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the label with the highest logit of each row, shape (n,)."""
        return np.asarray(self.array[outputs.argmax(axis=1)])


@dataclass(frozen=True, repr=False)
class Units(Spec):
    """The target of a regression: ``value = mean + scale * output``.

    Parameters
    ----------
    mean, scale : float
        In the target's units.
    """

    mean: float
    scale: float

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(mean=number("mean", self.mean), scale=number("scale", self.scale, gt=0))

    @classmethod
    def fit(cls, name: str, values: NDArray[Any]) -> Units:
        """Learn from the training rows' values."""
        if values.dtype.kind not in "iuf":
            raise ValueError(f"target {name!r} holds {_kind_name(values)}: expected numbers for a regression")
        column = NumberFeatures.fit(name, values.astype(np.float64), bins=0)
        return cls(column.mean, column.scale)

    @property
    def n_outputs(self) -> int:
        """How many outputs the network needs."""
        return 1

    def encode(self, name: str, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the standardised values, shape (n,)."""
        if values.dtype.kind not in "iuf":
            raise ValueError(f"target {name!r} holds {_kind_name(values)}: expected numbers")
        return (values.astype(np.float64) - self.mean) / self.scale

    def decode(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return values in the target's units, shape (n,)."""
        return self.mean + self.scale * outputs[:, 0].astype(np.float64)


def infer_task(name: str, values: NDArray[Any]) -> Task:
    """Tell what to do with a target.

    Text and booleans are classes; whole numbers too, if there are at most 20 different ones and at least four rows for
    each on average. All else is a quantity.

    Parameters
    ----------
    name : str
        What the target is called.
    values : array of shape (n,)
        Its values, in their own type.

    Returns
    -------
    str
        "classification" or "regression".

    Raises
    ------
    ValueError
        If it is text with hardly a label that repeats, such as names or numbers with a stray letter among them.
    """
    if values.dtype.kind == "f":
        return "regression"
    n_different = len(np.unique(values))
    if values.dtype.kind in "iu":
        return "classification" if n_different <= min(_MOST_CLASSES, len(values) // 4) else "regression"
    if n_different > max(_MOST_CLASSES, len(values) // 4):
        odd = next((value for value in values.tolist() if not is_number(value)), values[0])
        raise ValueError(
            f"target {name!r} is text such as {odd!r} with {n_different} different values in {len(values)} rows: "
            "expected numbers, or labels that repeat"
        )
    return "classification"


def _kind_name(values: NDArray[Any]) -> str:
    return "text" if values.dtype.kind == "O" else "true and false"
