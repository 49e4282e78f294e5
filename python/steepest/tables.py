"""Raw tables to float32 rows and back: what is learnt from the training rows, kept with the model as plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._columns import Column, missing_in, open_table, read_column, read_target
from ._features import quantile_edges
from ._spec import Spec, choice, flag, from_dict, integer, number
from .files import is_number

Task: TypeAlias = Literal["classification", "regression"]

TASKS = ("auto", "classification", "regression")

_FURTHEST = 10.0  # standard deviations: an outlier says no more than this
_MOST_LABELS = 256  # one-hot features of a column; rarer labels share the unseen slot
_MOST_CLASSES = 20  # whole numbers with more different values are taken for quantities


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
        self._set(name=_text("name", self.name), mean=number("mean", self.mean), edges=edges)
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
            return np.clip((values - self.mean) / self.scale, -_FURTHEST, _FURTHEST)


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
        labels = tuple(_text("labels", label) for label in self.labels)
        if len(set(labels)) < len(labels):
            raise ValueError(f"labels of column {self.name!r} stand twice")
        self._set(name=_text("name", self.name), kind=choice("kind", self.kind, ("text", "boolean")), labels=labels)

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
        dtype = np.dtype(_text("dtype", self.dtype))
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


class TableEncoder:
    """Turn raw tables into the rows a network wants, and its outputs into labels or units.

    Numbers are standardised, with mean and variance in float64, and also spread over bins, each of which goes from 0
    to 1 between two quantiles of the training rows: so a network need not build the steep parts of a function out of
    many smooth ones. A missing number becomes the mean, with an indicator feature where training had missing ones.
    Dates and times count as numbers. Text and booleans become one feature for each label, and an "unseen" slot for
    other labels and missing ones. A column without any value in training is left out.

    Everything is learnt from training rows alone and kept as plain JSON by `to_dict`, in a model file as
    ``network.preprocessing``. No table is ever modified.

    Parameters
    ----------
    bins : int
        The most bins of a column of numbers; fewer where a bin would have under 32 training rows, none for 0.

    Attributes
    ----------
    columns : tuple
        How each column is turned into features, in order.
    target : Classes or Units
        How the target is encoded.
    target_name : str
        What the target is called.
    bins : int
        As given.

    Examples
    --------
    >>> from steepest.tables import TableEncoder
    >>> table = {"size": [1.0, 2.0, None, 3.0], "colour": ["red", "blue", "red", None]}
    >>> encoder = TableEncoder().fit(table, [10.0, 20.0, 15.0, 30.0], "regression")
    >>> encoder.feature_names
    ['size', 'size is missing', 'colour=blue', 'colour=red', 'colour is unseen']
    >>> encoder.transform(table).shape
    (4, 5)
    """

    columns: tuple[NumberFeatures | LabelFeatures, ...]
    target: Classes | Units
    target_name: str

    def __init__(self, *, bins: int = 32) -> None:
        self.bins = integer("bins", bins, ge=0)

    def fit(
        self,
        table: Any,
        target_values: Any,
        task: str = "auto",
        *,
        target_name: str | None = None,
        rows: ArrayLike | None = None,
    ) -> TableEncoder:
        """Learn from training rows.

        Parameters
        ----------
        table : pyarrow Table, pandas or polars DataFrame, dict of columns, or array of shape (n, columns)
            The rows.
        target_values : array, list or column of length n
            What is to be predicted: no value may be missing.
        task : {"auto", "classification", "regression"}
            See `infer_task`.
        target_name : str, optional
            What the target is called in messages; a column of this name is no feature.
        rows : array of int, optional
            Places of the training rows; by default all rows are.

        Returns
        -------
        TableEncoder
            This one.

        Raises
        ------
        ValueError
            If a column or the target cannot be read, or does not suit the task; nothing has changed then.
        """
        choice("task", task, TASKS)
        name = "target" if target_name is None else target_name
        values = read_target(name, target_values)
        columns = {key: column for key, column in open_table(table).items() if key != target_name}
        lengths = {len(column) for column in columns.values()} - {len(values)}
        if lengths:
            raise ValueError(f"target {name!r} has {len(values)} values, the table {lengths.pop()} rows")
        chosen = np.arange(len(values)) if rows is None else np.asarray(rows)
        if not len(chosen):
            raise ValueError("table has no training rows: expected at least one")
        values = values[chosen]
        if (infer_task(name, values) if task == "auto" else task) == "classification":
            target: Classes | Units = Classes.fit(name, values)
        else:
            target = Units.fit(name, values)
        features = [self._fit_column(key, read_column(key, column), chosen) for key, column in columns.items()]
        found = tuple(feature for feature in features if feature is not None)
        if not found:
            raise ValueError("table has no column with values to learn from, the target aside")
        self.columns, self.target, self.target_name = found, target, name
        return self

    def transform(self, table: Any) -> NDArray[np.float32]:
        """Turn rows into features.

        Parameters
        ----------
        table : as in `fit`
            The rows, with all columns of training in any order; others are ignored. An array must have the same
            columns in the same order.

        Returns
        -------
        array of shape (n, n_features), float32
            The features.

        Raises
        ------
        ValueError
            If a column is missing, or holds another kind of value than in training: the message has its name.
        """
        names = [column.name for column in self.columns]
        columns = open_table(table, names if isinstance(table, np.ndarray) else None)
        missing = [name for name in names if name not in columns]
        if missing:
            listed, found = ", ".join(map(repr, missing)), ", ".join(columns)
            raise ValueError(f"table has no column {listed}, which the model was trained on: found {found}")
        out = np.empty((len(columns[names[0]]), self.n_features), np.float32)
        start = 0
        for column in self.columns:
            end = start + column.n_features
            column.fill(read_column(column.name, columns[column.name]), out[:, start:end])
            start = end
        return out

    def encode_target(self, target_values: Any) -> NDArray[Any]:
        """Turn targets into what the network is trained on.

        Parameters
        ----------
        target_values : array, list or column of length n
            Labels or numbers.

        Returns
        -------
        array of shape (n,)
            Classification: places of the labels in the sorted classes, int64. Regression: standardised, float64.

        Raises
        ------
        ValueError
            If a value is missing, of another kind, or a label that training had not.
        """
        return self.target.encode(self.target_name, read_target(self.target_name, target_values))

    def decode_target(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Turn a network's outputs, shape (n, n_outputs), into labels of their own type or numbers in units, (n,)."""
        return self.target.decode(outputs)

    @property
    def task(self) -> Task:
        """What the network is to do."""
        return "classification" if isinstance(self.target, Classes) else "regression"

    @property
    def n_features(self) -> int:
        """Numbers in a row that `transform` returns."""
        return sum(column.n_features for column in self.columns)

    @property
    def n_outputs(self) -> int:
        """Outputs that the network needs: the number of classes, or 1."""
        return self.target.n_outputs

    @property
    def feature_names(self) -> list[str]:
        """What each feature is."""
        names: list[str] = []
        for column in self.columns:
            if isinstance(column, LabelFeatures):
                names += [f"{column.name}={label}" for label in column.labels] + [f"{column.name} is unseen"]
            else:
                bounds = (f"{column.mean + column.scale * edge:.6g}" for edge in column.edges)
                names += [column.name, *(f"{column.name} from {a} to {b}" for a, b in pairwise(bounds))]
                names += [f"{column.name} is missing"] * column.indicator
        return names

    def to_dict(self) -> dict[str, Any]:
        """Return what has been learnt as plain JSON values."""
        return {
            "type": "TableEncoder",
            "bins": self.bins,
            "columns": [column.to_dict() for column in self.columns],
            "target_name": self.target_name,
            "target": self.target.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Any) -> TableEncoder:
        """Make the encoder that `to_dict` described.

        Parameters
        ----------
        data : dict
            Perhaps from a stranger's file.

        Returns
        -------
        TableEncoder
            Ready to `transform`.

        Raises
        ------
        ValueError
            If `data` does not describe one.
        """
        try:
            if data["type"] != cls.__name__ or not data["columns"]:
                raise ValueError("expected the columns of a TableEncoder")
            encoder = cls(bins=data["bins"])
            kinds: dict[str, Any] = {"NumberFeatures": NumberFeatures, "LabelFeatures": LabelFeatures}
            encoder.columns = tuple(from_dict(column, kinds, "column") for column in data["columns"])
            if len({column.name for column in encoder.columns}) < len(encoder.columns):
                raise ValueError("a column stands twice")
            encoder.target_name = _text("target_name", data["target_name"])
            targets: dict[str, Any] = {"Classes": Classes, "Units": Units}
            encoder.target = from_dict(data["target"], targets, "target")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"the preprocessing describes no table: {reason}") from error
        return encoder

    def __repr__(self) -> str:
        """Return a short account."""
        if not hasattr(self, "columns"):
            return f"TableEncoder(bins={self.bins})"
        return f"<TableEncoder: {len(self.columns)} columns -> {self.n_features} features, {self.task}>"

    def _fit_column(self, name: str, column: Column, rows: NDArray[Any]) -> NumberFeatures | LabelFeatures | None:
        values = column.values[rows]
        if missing_in(column)[rows].all():
            return None
        if column.kind == "number":
            return NumberFeatures.fit(name, values, self.bins)
        return LabelFeatures.fit(name, column, values)


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


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}: expected text")
    return value
