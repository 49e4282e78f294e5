"""Rows held out by the columns that the command line names: whole groups, or the latest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..tables import split_groups, split_latest, split_rows
from ..tables._columns import missing_in, read_column

Places: TypeAlias = NDArray[np.intp]
Splitter: TypeAlias = Callable[[Places, float], tuple[Places, Places]]


def splitter(table: Any, labels: NDArray[Any] | None, seed: int, *, group: str | None, time: str | None) -> Splitter:
    """Return the function that holds a share of rows out.

    Parameters
    ----------
    table : pyarrow.Table
        All rows.
    labels : array of shape (n,), optional
        Their classes, each of which is held out by its share where neither groups nor times part them.
    seed : int
        Of the draw.
    group, time : str, optional
        The column of groups that are held out as a whole, or of times of which the latest are.

    Raises
    ------
    ValueError
        If both are given, there is no such column, or it holds no times.
    """
    if group is not None and time is not None:
        raise ValueError("--group and --time are given both: expected one of them, to hold rows out by")
    if group is not None:
        groups = _column("--group", table, group)
        return lambda rows, share: split_groups(rows, share, seed, groups[rows])
    if time is not None:
        times = _column("--time", table, time)
        return lambda rows, share: split_latest(rows, share, times[rows])
    return lambda rows, share: split_rows(rows, share, seed, None if labels is None else labels[rows])


def _column(option: str, table: Any, name: str) -> NDArray[Any]:
    """Return the column that rows are held out by: of groups the place of each label, of times numbers."""
    column = read_column(name, table.column(name))
    missing = missing_in(column)
    if option == "--time" and (column.kind in ("text", "boolean", "empty") or missing.any()):
        found = f"no value in row {missing.argmax()} (the first row is 0)" if missing.any() else column.kind
        raise ValueError(f"column {name!r} of --time has {found}: expected dates, times or numbers in every row")
    values = column.values
    return np.where(missing, np.inf if values.dtype.kind == "f" else -1, values)  # the missing ones are one group
