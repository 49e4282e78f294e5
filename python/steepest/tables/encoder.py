"""Raw tables to float32 rows, and outputs back to labels or units; learned from training rows, kept as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import reason_of, warn_caller
from .._validation import choice, from_dict, integer, text
from ._columns import Column, DataWarning, open_table, read_target
from ._description import Note, TableDescription
from ._encoded import EncodedRows, Layout
from ._label_features import as_labels, unknown_labels
from ._learning import encode_columns, learn_columns, read
from ._number_features import SCALINGS
from ._one_row import RowReader
from ._target_means import as_targets
from ._transformer import Transformer
from .features import KINDS, BinaryFeatures, Features, LabelFeatures
from .targets import TASKS, Classes, Task, Units, infer_task

Target: TypeAlias = Classes | Units

_TARGETS: dict[str, type[Target]] = {"Classes": Classes, "Units": Units}  # that a model file may name
_RENAMED: dict[str, str] = {}  # the old name of a class, as files of older versions have it, and its name now


class TableEncoder(Transformer):
    """Turn raw tables into the rows a network wants, and its outputs into labels or units.

    Numbers are centered by their median and scaled by their quartiles, with a smooth limit, so that neither an outlier
    nor a sentinel such as -9999 blinds a column; and they are spread over bins, each of which goes from 0 to 1 between
    two quantiles of the training rows: so a network need not build the steep parts of a function out of many smooth
    ones. A missing number becomes the median, with an indicator feature where training had missing ones. Dates and
    times of day are such numbers too, and sine and cosine of each cycle in which they vary. Two labels, and true and
    false, become one feature; text one for each label, and one for all others where training had such or missing ones.
    Of a column with more than 256 labels those that are frequent have one each, and the mean of the target for each
    label is a feature: for the rows it was learned from, each mean is that of other rows. A column without any value in
    training is left out, and so is text that is different in nearly every row, with a `DataWarning`.

    Everything is learned from training rows alone and kept as plain JSON by `to_dict`, in a model file as
    ``network.preprocessing``. No table is ever modified. It is a transformer of scikit-learn's too, where that is
    installed.

    Parameters
    ----------
    bins : int, default=32
        The most bins of a column of numbers; fewer where a bin would have under 32 training rows, or where there are
        more than 32 columns of numbers, none for 0.
    numbers : {"robust", "standard", "quantile"}, default="robust"
        How numbers are scaled: "standard" by mean and standard deviation, clipped to 10 of these, as encoders of older
        versions are; missing ones then become the mean. "quantile" by their share of the training rows, to normal
        scores, whatever their distribution.

    Attributes
    ----------
    columns : tuple
        A `NumberFeatures`, `TimeFeatures`, `LabelFeatures` or `BinaryFeatures` for each column, in order.
    target : Classes or Units
        The encoding of the target.
    target_name : str
        Name of the target.
    bins, numbers
        As given.

    Raises
    ------
    TypeError
        If `bins` is not a whole number.
    ValueError
        If `bins` is below 0, or `numbers` is another way.

    Examples
    --------
    >>> from steepest.tables import TableEncoder
    >>> table = {"size": [1.0, 2.0, None, 3.0], "color": ["red", "blue", "green", None], "new": [True, False] * 2}
    >>> encoder = TableEncoder().fit(table, [10.0, 20.0, 15.0, 30.0], "regression")
    >>> encoder.feature_names
    ['size', 'size is missing', 'color=blue', 'color=green', 'color=red', 'color is unseen', 'new=true']
    >>> encoder.transform(table).shape
    (4, 7)
    """

    columns: tuple[Features, ...]
    target: Target
    target_name: str
    _notes: tuple[Note, ...]

    def __init__(self, *, bins: int = 32, numbers: str = "robust") -> None:
        self.bins, self.numbers = (
            integer("bins", bins, ge=0),
            choice("numbers", numbers, SCALINGS),
        )

    def fit(
        self,
        table: Any,
        target_values: Any = None,
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
        target_values : array, list or column of length n, optional
            The values to predict; none may be missing. Without them labels have no target means, and `target` takes
            numbers as they are.
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

        Warns
        -----
        DataWarning
            Of a column that is left out as an id, of one that tells the target in every row, and of cells that are not
            of their column's kind and count as missing.
        """
        self._fit(table, target_values, task, target_name, rows)
        return self

    def _fit(
        self, table: Any, target_values: Any, task: str, target_name: str | None, rows: ArrayLike | None
    ) -> tuple[dict[str, Column], NDArray[np.float64] | None]:
        """Learn; return the columns of the training rows, and their targets as means are taken of."""
        choice("task", task, TASKS)
        name = "target" if target_name is None else target_name
        opened = {key: column for key, column in open_table(table).items() if key != target_name}
        n = len(next(iter(opened.values()), ()))
        values = np.zeros(n) if target_values is None else read_target(name, target_values)
        if opened and len(values) != n:
            raise ValueError(f"target {name!r} has {len(values)} values, the table {n} rows")
        chosen = None if rows is None else np.asarray(rows)
        values = values if chosen is None else values[chosen]
        if not len(values):
            raise ValueError("table has no training rows: expected at least one")
        if target_values is None:
            target: Target = Units(0.0, 1.0)
        elif (infer_task(name, values) if task == "auto" else task) == "classification":
            target = Classes.fit(name, values)
        else:
            target = Units.fit(name, values)
        encoded = None if target_values is None else as_targets(target.encode(name, values))
        columns = {key: _rows_of(read(key, column), chosen) for key, column in opened.items()}
        self._learn(columns, encoded, None)
        self.target, self.target_name = target, name
        return columns, encoded

    def fit_rows(self, table: Any, targets: NDArray[Any] | None, weight: NDArray[Any] | None = None) -> EncodedRows:
        """Learn the columns alone, and encode the same rows, for a training on targets that are encoded already.

        Parameters
        ----------
        table : table
            The training rows, as of `fit`.
        targets : array of shape (n,) or (n, k), optional
            Class numbers, or numbers; without them labels have no target means.
        weight : array of shape (n,), optional
            How much each row counts for means of labels.

        Returns
        -------
        EncodedRows
            The rows; means of labels are those of other rows.
        """
        columns = {key: read(key, column) for key, column in open_table(table).items()}
        means, weights = as_targets(targets), None if weight is None else np.asarray(weight, np.float64)
        self._learn(columns, means, weights)
        self.target, self.target_name = Units(0.0, 1.0), "target"
        return encode_columns(self.columns, self._layout, columns, means, weights)

    def encode_training(self, table: Any, targets: NDArray[Any], weight: NDArray[Any] | None = None) -> EncodedRows:
        """Encode rows to train on: means of labels are learned anew from them, never from a row's own target.

        Parameters
        ----------
        table : table
            The rows, as of `transform`.
        targets : array of shape (n,) or (n, k)
            As of `fit_rows`.
        weight : array of shape (n,), optional
            As of `fit_rows`.
        """
        weights = None if weight is None else np.asarray(weight, np.float64)
        return encode_columns(self.columns, self._layout, self._read(table), as_targets(targets), weights)

    def _learn(
        self, columns: dict[str, Column], targets: NDArray[np.float64] | None, weight: NDArray[np.float64] | None
    ) -> None:
        learned = learn_columns(columns, bins=self.bins, scaling=self.numbers, targets=targets, weight=weight)
        if not learned.features:
            odd = "; ".join(f"{note.name!r} has {note.remarks[0]}" for note in learned.notes[:5])
            raise ValueError(f"table has no column with values to learn from, the target aside: {odd}")
        self._set_columns(tuple(learned.features), tuple(learned.notes))

    def _set_columns(self, columns: tuple[Features, ...], notes: tuple[Note, ...]) -> None:
        self.columns, self._notes = columns, notes
        self._layout = Layout([column.parts for column in columns])
        self._one_row = RowReader(columns, self._layout)

    def transform(self, table: Any) -> Any:
        """Turn rows into features.

        Parameters
        ----------
        table : pyarrow Table, pandas or polars DataFrame, dict of columns, or array of shape (n, columns)
            The rows, with all columns of training in any order; others are ignored. An array must have the same
            columns in the same order. A dict of single values is one row.

        Returns
        -------
        array of float32, shape (n, n_features)
            The features; a data frame where `set_output` asks for one.

        Raises
        ------
        TypeError
            If `table` is no table.
        ValueError
            If a column is missing, holds another kind of value than in training, or an infinite number: the message has
            its name.

        Warns
        -----
        DataWarning
            Of cells that are not of their column's kind and count as missing.
        """
        features = self.transform_one(table)
        return self._contained(self.encode(table).toarray() if features is None else features, table)

    def transform_one(self, table: Any) -> NDArray[np.float32] | None:
        """Turn a single row into features, in microseconds.

        Parameters
        ----------
        table : dict of single values, or pandas DataFrame or array of numbers of one row
            The row.

        Returns
        -------
        array of float32, shape (1, n_features), or None
            What `transform` returns; None where it takes that, or where this is no single row.
        """
        if isinstance(table, Mapping):
            return self._one_row.read(table) if _is_row(table) else None
        if isinstance(table, np.ndarray):
            names = self._input_names
            is_row = table.shape == (1, len(names)) and table.dtype.kind in "iuf" and not np.isnan(table).any()
            return self._one_row.read(dict(zip(names, table[0].tolist(), strict=True))) if is_row else None
        if hasattr(table, "iloc") and len(table) == 1 and table.columns.is_unique:
            # Lists: an index of pandas takes microseconds more to go through.
            return self._one_row.read(dict(zip(table.columns.tolist(), table.iloc[0].tolist(), strict=True)))
        return None

    def fit_transform(self, table: Any, target_values: Any = None, task: str = "auto") -> Any:
        """Learn from training rows and turn them into features, as they are to be trained on.

        They differ from what `transform` makes of the same rows where labels have target means: each of these is
        learned from other rows than its own.

        Parameters
        ----------
        table, target_values, task
            As of `fit`.

        Returns
        -------
        array of float32, shape (n, n_features)
            The features, in the container that `set_output` has chosen.
        """
        columns, targets = self._fit(table, target_values, task, None, None)
        return self._contained(encode_columns(self.columns, self._layout, columns, targets).toarray(), table)

    @property
    def _input_names(self) -> list[str]:
        return [note.name for note in self._notes] or [column.name for column in self.columns]

    def encode(self, table: Any) -> EncodedRows:
        """Return rows as they become features when they are needed: a few bytes a cell.

        Parameters
        ----------
        table : table
            The rows, as of `transform`.

        Returns
        -------
        EncodedRows
            Whose `toarray` makes the features, of a slice of rows or of all.
        """
        if isinstance(table, Mapping) and _is_row(table):
            table = {name: [value] for name, value in table.items()}
        return encode_columns(self.columns, self._layout, self._read(table))

    def _read(self, table: Any) -> dict[str, Column]:
        """Return the columns of training."""
        names = [column.name for column in self.columns]
        columns = open_table(table, names if isinstance(table, np.ndarray) else None)
        missing = [name for name in names if name not in columns]
        if missing:
            listed, found_names = ", ".join(map(repr, missing)), ", ".join(columns) or "none of its columns"
            raise ValueError(f"table has no column {listed}, which the model was trained on: found {found_names}")
        found = {
            feature.name: read(feature.name, columns[feature.name], feature.expected, feature.form)
            for feature in self.columns
        }
        for feature in self.columns:
            if not isinstance(feature, (LabelFeatures, BinaryFeatures)):
                continue
            found[feature.name] = column = as_labels(feature, found[feature.name])
            if said := unknown_labels(feature, column):
                warn_caller(said, DataWarning)
        return found

    @property
    def is_of_array(self) -> bool:
        """Whether the columns have the names of an array's."""
        return self._input_names == [f"f{i}" for i in range(len(self._input_names))]

    @property
    def notes(self) -> tuple[Note, ...]:
        """All that there is to say of each column of training; none of an encoder of an older version."""
        return self._notes

    def with_columns(self, columns: tuple[Features, ...], notes: Sequence[Note]) -> TableEncoder:
        """Return an encoder of the same target, and these columns.

        Parameters
        ----------
        columns : tuple
            The features of each.
        notes : sequence of Note
            Of the columns of training, see `notes`.
        """
        encoder = TableEncoder(bins=self.bins, numbers=self.numbers)
        encoder._set_columns(columns, tuple(notes))
        encoder.target, encoder.target_name = self.target, self.target_name
        return encoder

    def with_target(self, name: str, target: Target) -> TableEncoder:
        """Return an encoder of the same columns, and this target.

        Parameters
        ----------
        name : str
            Name of the target.
        target : Classes or Units
            Its encoding.
        """
        encoder = TableEncoder(bins=self.bins, numbers=self.numbers)
        encoder._set_columns(self.columns, self._notes)
        encoder.target, encoder.target_name = target, name
        return encoder

    def describe(self) -> TableDescription:
        """Return for each column of training its kind, missing and different values, features, and what is odd.

        Returns
        -------
        TableDescription
            Its text is a table; `TableDescription.rows` and `TableDescription.to_dict` have the same as cells and as
            plain JSON values.
        """
        if isinstance(self.target, Classes):
            target = f"{self.target_name}, {len(self.target.labels)} classes"
        else:
            target = f"{self.target_name}, numbers"
        return TableDescription.of(self.columns, self._notes, target)

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
        return self._layout.n_features

    @property
    def n_outputs(self) -> int:
        """Outputs that the network needs: the number of classes, or 1."""
        return self.target.n_outputs

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature, (n_features,): its column, and the bin or label."""
        return [name for column in self.columns for name in column.feature_names]

    def to_dict(self) -> dict[str, Any]:
        """Return all that has been learned as plain JSON values."""
        return {
            "type": "TableEncoder",
            "bins": self.bins,
            "numbers": self.numbers,
            "columns": [column.to_dict() for column in self.columns],
            "notes": [note.to_dict() for note in self._notes],
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
            encoder = cls(bins=data["bins"], numbers=data.get("numbers", "standard"))  # as older versions scaled
            columns = tuple(from_dict(column, KINDS, "column", _RENAMED) for column in data["columns"])
            if len({column.name for column in columns}) < len(columns):
                raise ValueError("a column occurs twice")
            if ("notes" in data) != ("numbers" in data) or not isinstance(data.get("notes", []), list):
                raise ValueError("expected notes, a list, and numbers, or neither")
            notes = tuple(from_dict(note, {"Note": Note}, "note") for note in data.get("notes", []))
            if "notes" in data and [note.name for note in notes if not note.left_out] != [c.name for c in columns]:
                raise ValueError("expected a note of each column")
            encoder._set_columns(columns, notes)
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


def _is_row(table: Mapping[str, Any]) -> bool:
    """Tell whether a dict holds single values rather than columns."""
    return not any(hasattr(value, "__len__") and type(value) is not str for value in table.values())


def _rows_of(column: Column, rows: NDArray[Any] | None) -> Column:
    return column if rows is None else column._replace(values=column.values[rows])
