"""Keys of groups: columns whose values say which group a row is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import is_frame, reason_of, shown
from .._extras import import_pyarrow
from ..tables._columns import missing_in, read_column
from ..tables._frames import in_memory, one_dimensional, open_table, series

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Keys:
    """The groups of a fit.

    Parameters
    ----------
    columns : tuple of str
        Names of the columns; empty where keys were given as an array.
    labels : list of arrays
        For each column the different values, sorted: text, numbers or booleans.
    codes : array of int64, shape (groups, columns)
        For each group the places of its values in these, in order.
    """

    columns: tuple[str, ...]
    labels: list[NDArray[Any]]
    codes: Codes

    @classmethod
    def learn(cls, names: tuple[str, ...], values: Sequence[Any]) -> tuple[Keys, Codes]:
        """Return the groups of rows, and the number of each row's group."""
        found = [_read(name, column) for name, column in zip(names or ("by",), values, strict=True)]
        if len(found) == 1:
            codes, groups = _used(*found[0])
        else:
            whole = np.column_stack([places for _, places in found])
            codes, groups = np.unique(whole, axis=0, return_inverse=True)
        return cls(names, [labels for labels, _ in found], codes), groups.reshape(-1)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def names(self) -> list[Any]:
        """The key of each group: a value, or a tuple where there are several columns."""
        found = [labels[places].tolist() for labels, places in zip(self.labels, self.codes.T, strict=True)]
        return found[0] if len(found) == 1 else list(zip(*found, strict=True))

    def name(self, group: int) -> str:
        """Return a group's key as a message shows it."""
        key = self.names[group]
        return repr(key)

    def find(self, values: Sequence[Any]) -> Codes:
        """Return the number of each row's group, -1 where there was none such."""
        if not len(values[0]):
            return np.empty(0, np.int64)
        names = self.columns or ("by",)
        known, wanted = np.zeros(len(self.codes), np.int64), np.zeros(len(values[0]), np.int64)
        for i, (name, labels, column) in enumerate(zip(names, self.labels, values, strict=True)):
            places = _find(name, labels, column)
            wanted = np.where((wanted < 0) | (places < 0), -1, wanted * len(labels) + places)
            # Numbers of the different beginnings of keys, which are as many as groups at most: no product overflows.
            beginnings, known = np.unique(known * len(labels) + self.codes[:, i], return_inverse=True)
            wanted = _place(beginnings, wanted)
        order = np.argsort(known)  # each group is one beginning by now
        return np.where(wanted < 0, -1, order[wanted])


def parted(by: Any, X: Any) -> tuple[tuple[str, ...], list[Any], Any]:
    """Return the names of the columns with keys, their values, and X without them.

    Parameters
    ----------
    by : str, list of str, or array of shape (n,)
        Columns of X, or the keys themselves.
    X : data frame, dict of columns or array
        The rows.

    Raises
    ------
    TypeError
        If `by` names columns and X has none.
    ValueError
        If X has no such column, or no other.
    """
    X = in_memory("X", as_frame(X))
    names = (by,) if isinstance(by, str) else tuple(by) if _is_names(by, X) else ()
    if not names:
        values = series(by) if hasattr(by, "__arrow_c_stream__") else one_dimensional("by", by)
        return (), [values], X
    if not is_frame(X):
        raise TypeError(f"by is {by!r}: expected a data frame as X, which has such columns, or an array of keys as by")
    columns = open_table(X)
    for name in names:
        if name not in columns:
            raise ValueError(f"by is {by!r}: expected columns of X, which has {', '.join(map(repr, columns))}")
    if len(columns) == len(names):
        raise ValueError(f"by is {by!r}: expected other columns in X beside, to predict from")
    return names, [columns[name] for name in names], _without(X, names)


def as_frame(X: Any) -> Any:
    """Return a dict of columns as a pyarrow Table, of which rows can be taken; anything else as it is."""
    if not isinstance(X, Mapping):
        return X
    columns = {str(name): one_dimensional(str(name), values) for name, values in X.items()}
    arrow = import_pyarrow()
    try:
        return arrow.table({name: _arrow_array(arrow, values) for name, values in columns.items()})
    except (arrow.ArrowException, OverflowError) as error:
        raise ValueError(f"X cannot be read: {reason_of(error)}") from error


def _arrow_array(arrow: Any, values: Any) -> Any:
    return arrow.array(values, from_pandas=True) if isinstance(values, np.ndarray) else values


def _is_names(by: Any, X: Any) -> bool:
    """Tell columns of X from keys of its rows, both of which may be lists of text."""
    if not isinstance(by, (list, tuple)) or not by or not all(isinstance(name, str) for name in by):
        return False
    known = {str(name) for name in getattr(X, "columns", ())} | set(getattr(X, "column_names", ()))
    return known.issuperset(by) or len(by) != len(X)


def _without(X: Any, names: tuple[str, ...]) -> Any:
    if hasattr(X, "iloc"):
        return X.drop(columns=[column for column in X.columns if str(column) in names])
    return X.drop_columns(list(names))


def _read(name: str, values: Any) -> tuple[NDArray[Any], Codes]:
    """Return the different values of a column, sorted, and the place of each row's."""
    whole = _whole_numbers(values)
    if whole is not None:
        labels, places = np.unique(whole, return_inverse=True)
        return labels, places.reshape(-1)
    column = read_column(name, values, "text")
    missing = missing_in(column)
    if missing.any():
        raise ValueError(
            f"by has no key in row {missing.argmax()} of {name!r} (the first row is 0; {missing.sum()} of "
            f"{len(missing)} rows have none): expected one in every row"
        )
    if column.kind == "text":
        order = sorted(range(len(column.labels)), key=column.labels.__getitem__)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return np.array([*(column.labels[i] for i in order), None], dtype=object)[:-1], place[column.values]
    if column.kind == "boolean":
        return np.array([False, True]), np.asarray(column.values, np.int64)
    if column.kind != "number":
        raise ValueError(f"by has {column.kind}s in {name!r}: expected text, numbers, or true and false")
    labels, places = np.unique(column.values, return_inverse=True)
    if np.all(labels == np.floor(labels)) and np.abs(labels).max(initial=0) < 2**53:
        labels = labels.astype(np.int64)
    return labels, places.reshape(-1)


def _whole_numbers(values: Any) -> NDArray[np.int64] | None:
    """Return a column of whole numbers as such, of which float64 would not know all; None where it is another one."""
    if isinstance(values, np.ndarray):
        found = values
        if values.dtype == object and len(values) and all(type(value) is int for value in values):
            with suppress(OverflowError):
                found = values.astype(np.int64)
    elif "int" in str(getattr(values, "type", "")) and not getattr(values, "null_count", 1):
        found = np.asarray(values)
    else:
        return None
    if found.dtype.kind not in "iu" or (found.dtype == np.uint64 and len(found) and found.max() > 2**63 - 1):
        return None
    return found.astype(np.int64)


def _find(name: str, labels: NDArray[Any], values: Any) -> Codes:
    """Return the place of each row's value in sorted labels, -1 where it is none of them."""
    own, places = _read(name, values)
    if (own.dtype.kind == "O") != (labels.dtype.kind == "O"):
        found, some = own[:1].tolist()[0], labels[:3].tolist()
        raise ValueError(f"by has {shown(found)} in {name!r}: expected keys such as {some}, as in training")
    return _place(labels, own)[places]


def _used(labels: NDArray[Any], places: Codes) -> tuple[Codes, Codes]:
    """Return the places of labels that some row has, (groups, 1), and which of these each row has."""
    used = np.flatnonzero(np.bincount(places, minlength=len(labels)))
    return used[:, None], places if len(used) == len(labels) else np.searchsorted(used, places)


def _place(known: NDArray[Any], wanted: NDArray[Any]) -> Codes:
    """Return the place of each value in sorted ones, -1 where it is none of them."""
    at = np.searchsorted(known, wanted)
    at[at == len(known)] = 0
    return np.where(known[at] == wanted, at, -1)
