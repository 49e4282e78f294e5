"""Raw tables to float32 rows, and outputs back to labels or units; learned from training rows, kept as plain JSON."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import reason_of
from .._validation import choice, from_dict, integer, text
from ._columns import LABELED, Column, missing_in, open_table, read_column, read_target
from .features import LabelFeatures, NumberFeatures
from .targets import TASKS, Classes, Task, Units, infer_task

Features: TypeAlias = NumberFeatures | LabelFeatures
Target: TypeAlias = Classes | Units

# The types that a model file may name.
_FEATURES: dict[str, type[Features]] = {"NumberFeatures": NumberFeatures, "LabelFeatures": LabelFeatures}
_TARGETS: dict[str, type[Target]] = {"Classes": Classes, "Units": Units}
_RENAMED: dict[str, str] = {}  # the old name of a class, as files of older versions have it, and its name now


class TableEncoder:
    """Turn raw tables into the rows a network wants, and its outputs into labels or units.

    Numbers are standardized, with mean and variance in float64, and also spread over bins, each of which goes from 0
    to 1 between two quantiles of the training rows: so a network need not build the steep parts of a function out of
    many smooth ones. A missing number becomes the mean, with an indicator feature where training had missing ones.
    Dates and times count as numbers. Text and booleans become one feature for each label, and an "unseen" slot for
    other labels and missing ones. A column without any value in training is left out.

    Everything is learned from training rows alone and kept as plain JSON by `to_dict`, in a model file as
    ``network.preprocessing``. No table is ever modified.

    Parameters
    ----------
    bins : int, default=32
        The most bins of a column of numbers; fewer where a bin would have under 32 training rows, none for 0.

    Attributes
    ----------
    columns : tuple
        A `NumberFeatures` or `LabelFeatures` for each column, in order.
    target : Classes or Units
        The encoding of the target.
    target_name : str
        Name of the target.
    bins : int
        As given.

    Raises
    ------
    TypeError
        If `bins` is not a whole number.
    ValueError
        If `bins` is below 0.

    Examples
    --------
    >>> from steepest.tables import TableEncoder
    >>> table = {"size": [1.0, 2.0, None, 3.0], "color": ["red", "blue", "red", None]}
    >>> encoder = TableEncoder().fit(table, [10.0, 20.0, 15.0, 30.0], "regression")
    >>> encoder.feature_names
    ['size', 'size is missing', 'color=blue', 'color=red', 'color is unseen']
    >>> encoder.transform(table).shape
    (4, 5)
    """

    columns: tuple[Features, ...]
    target: Target
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
            The values to predict; none may be missing.
        task : {"auto", "classification", "regression"}, default="auto"
            For "auto" see `infer_task`.
        target_name : str, optional
            Name of the target in messages, by default "target"; a column of this name is no feature.
        rows : array of int, shape (k,), optional
            Numbers of the training rows; by default all rows are.

        Returns
        -------
        TableEncoder
            This one.

        Raises
        ------
        TypeError
            If `table` is no table.
        ValueError
            If a column or the target cannot be read, their lengths differ, the target has a missing value or does not
            suit the task, or no training row or no column with values is there; nothing has changed then.
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
            target: Target = Classes.fit(name, values)
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
        table : pyarrow Table, pandas or polars DataFrame, dict of columns, or array of shape (n, columns)
            The rows, with all columns of training in any order; others are ignored. An array must have the same
            columns in the same order.

        Returns
        -------
        array of float32, shape (n, n_features)
            The features.

        Raises
        ------
        TypeError
            If `table` is no table.
        ValueError
            If a column is missing, holds another kind of value than in training, or an infinite number: the message has
            its name.
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
        """Turn targets into the class numbers or standardized numbers that the network is trained on.

        Parameters
        ----------
        target_values : array, list or column of length n
            Labels or numbers.

        Returns
        -------
        array of shape (n,)
            Classification: places of the labels in the sorted classes, int64. Regression: standardized, float64.

        Raises
        ------
        ValueError
            If a value is missing or infinite, of another kind than in training, or a label that training had not.
        """
        return self.target.encode(self.target_name, read_target(self.target_name, target_values))

    def decode_target(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Turn a network's outputs into predictions.

        Parameters
        ----------
        outputs : array of shape (n, n_outputs)
            Logits, or standardized numbers.

        Returns
        -------
        array of shape (n,)
            Labels of their own type, or numbers in the target's units, float64.
        """
        return self.target.decode(outputs)

    @property
    def task(self) -> Task:
        """The kind of the target, "classification" or "regression"."""
        return "classification" if isinstance(self.target, Classes) else "regression"

    @property
    def n_features(self) -> int:
        """Number of features, the columns of what `transform` returns."""
        return sum(column.n_features for column in self.columns)

    @property
    def n_outputs(self) -> int:
        """Outputs that the network needs: the number of classes, or 1."""
        return self.target.n_outputs

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature, (n_features,): its column, and the bin or label."""
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
        """Return all that has been learned as plain JSON values."""
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
            Plain JSON values, perhaps from a stranger's file.

        Returns
        -------
        TableEncoder
            Ready to `transform`.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a value is not one that `to_dict` writes.
        """
        try:
            if _RENAMED.get(data["type"], data["type"]) != cls.__name__ or not data["columns"]:
                raise ValueError("expected the columns of a TableEncoder")
            encoder = cls(bins=data["bins"])
            encoder.columns = tuple(from_dict(column, _FEATURES, "column", _RENAMED) for column in data["columns"])
            if len({column.name for column in encoder.columns}) < len(encoder.columns):
                raise ValueError("a column occurs twice")
            encoder.target_name = text("target_name", data["target_name"])
            encoder.target = from_dict(data["target"], _TARGETS, "target", _RENAMED)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else reason_of(error)
            raise ValueError(f"the preprocessing describes no table: {reason}") from error
        return encoder

    def __repr__(self) -> str:
        """Return a short account."""
        if not hasattr(self, "columns"):
            return f"TableEncoder(bins={self.bins})"
        return f"<TableEncoder: {len(self.columns)} columns -> {self.n_features} features, {self.task}>"

    def _fit_column(self, name: str, column: Column, rows: NDArray[Any]) -> Features | None:
        """Learn a column from training rows; None where it has no value in any of them."""
        values = column.values[rows]
        if missing_in(column)[rows].all():
            return None
        if column.kind not in LABELED:
            return NumberFeatures.fit(name, values, self.bins)
        return LabelFeatures.fit(name, column, values)
