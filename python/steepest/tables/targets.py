"""Targets: classes, or a quantity in its units; encoded for the network, and decoded from its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._validation import Spec, number, text
from ..files import is_number
from ._scaling import mean_and_scale

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

    Raises
    ------
    TypeError
        If `dtype` is not text, or no type of NumPy's.
    ValueError
        If the labels are fewer than two, not sorted or not different, or not all of this type.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.tables import Classes
    >>> classes = Classes.fit("color", np.array(["red", "blue", "red"], object))
    >>> classes.labels
    ('blue', 'red')
    """

    labels: Sequence[Any]
    dtype: str

    def __post_init__(self) -> None:
        """Check the arguments."""
        try:
            dtype = np.dtype(text("dtype", self.dtype))
        except SyntaxError as error:  # NumPy reads some texts as Python
            raise TypeError(f"dtype is {self.dtype!r}: expected a type of NumPy's") from error
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
        """Learn from training rows.

        Parameters
        ----------
        name : str
            Name of the target, for messages.
        values : array of shape (n,)
            The rows' labels, in their own type.

        Returns
        -------
        Classes
            All labels that occur.

        Raises
        ------
        ValueError
            If there is one label only, or if a label is a number that is not whole.
        """
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
        """Outputs that the network needs: a logit for each label."""
        return len(self.labels)

    def encode(self, name: str, values: NDArray[Any]) -> NDArray[np.int64]:
        """Return the class numbers that the network is trained on.

        Parameters
        ----------
        name : str
            Name of the target, for messages.
        values : array of shape (n,)
            Labels.

        Returns
        -------
        array of int64, shape (n,)
            Places of the labels in `labels`, from 0.

        Raises
        ------
        ValueError
            If a label is none of `labels`; the message has its row.
        """
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
        """Return the labels, (n,), with the highest of the logits, (n, n_outputs)."""
        return np.asarray(self.array[outputs.argmax(axis=1)])


@dataclass(frozen=True, repr=False)
class Units(Spec):
    """The target of a regression: ``value = mean + scale * output``.

    Parameters
    ----------
    mean, scale : float
        In the target's units; scale > 0.

    Raises
    ------
    TypeError
        If one of them is not a number.
    ValueError
        If one of them is not finite, or `scale` is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.tables import Units
    >>> Units(mean=100.0, scale=10.0).decode(np.array([[0.0], [1.5]]))
    array([100., 115.])
    """

    mean: float
    scale: float

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(mean=number("mean", self.mean), scale=number("scale", self.scale, gt=0))

    @classmethod
    def fit(cls, name: str, values: NDArray[Any]) -> Units:
        """Learn from training rows.

        Parameters
        ----------
        name : str
            Name of the target, for messages.
        values : array of shape (n,)
            The rows' numbers, in the target's units.

        Returns
        -------
        Units
            The mean and the standard deviation.

        Raises
        ------
        ValueError
            If `values` are not numbers.
        """
        if values.dtype.kind not in "iuf":
            raise ValueError(f"target {name!r} holds {_kind_name(values)}: expected numbers for a regression")
        return cls(*mean_and_scale(values.astype(np.float64)))

    @property
    def n_outputs(self) -> int:
        """Outputs that the network needs: one."""
        return 1

    def encode(self, name: str, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the standardized values that the network is trained on.

        Parameters
        ----------
        name : str
            Name of the target, for messages.
        values : array of shape (n,)
            Numbers, in the target's units.

        Returns
        -------
        array of float64, shape (n,)
            ``(value - mean) / scale``.

        Raises
        ------
        ValueError
            If `values` are not numbers.
        """
        if values.dtype.kind not in "iuf":
            raise ValueError(f"target {name!r} holds {_kind_name(values)}: expected numbers")
        return (values.astype(np.float64) - self.mean) / self.scale

    def decode(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return a network's outputs, (n, 1), in the target's units: an array of float64, (n,)."""
        return self.mean + self.scale * outputs[:, 0].astype(np.float64)


def infer_task(name: str, values: NDArray[Any]) -> Task:
    """Tell whether a target is to be classified or regressed.

    Text and booleans are classes; whole numbers too, if there are at most 20 different ones and at least four rows for
    each on average. All else is a quantity.

    Parameters
    ----------
    name : str
        Name of the target, for messages.
    values : array of shape (n,)
        Its values, in their own type: text, booleans or numbers.

    Returns
    -------
    str
        "classification" or "regression".

    Raises
    ------
    ValueError
        If it is text of more than 20 different values, and of more than one for each four rows, such as names, or
        numbers with a stray letter among them.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.tables import infer_task
    >>> infer_task("color", np.array(["red", "blue"], object)), infer_task("price", np.array([1.5, 2.25, 7.0]))
    ('classification', 'regression')
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


def other_task(task: Task | str, values: NDArray[Any], option: str) -> str:
    """Return how to choose the other task, where a target could be taken for either; else no text.

    Parameters
    ----------
    task : {"classification", "regression"}
        The chosen one.
    values : array of shape (n,)
        The target's values: whole numbers, few of them different, can be labels or a quantity.
    option : str
        What chooses it, such as "--task".
    """
    if values.dtype.kind not in "iuf":
        return ""
    found = np.unique(values)
    if len(found) > _MOST_CLASSES or len(found) < 2 or not np.array_equal(found, np.round(found)):
        return ""
    other = "classification" if task == "regression" else "regression"
    return f"{len(found)} different whole numbers, taken for a {task}: {option} {other} takes them for a {other}"


def _kind_name(values: NDArray[Any]) -> str:
    """Name the type of labels that are no numbers."""
    return "text" if values.dtype.kind == "O" else "true and false"
