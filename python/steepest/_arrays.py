"""Data frames told from arrays, missing values from others, and wrong arrays explained; the core asks here too."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_frame(table: Any) -> bool:
    """Tell whether this is a data frame, which has columns with names, rather than a single column."""
    return hasattr(table, "column_names") or (
        hasattr(table, "columns") and (hasattr(table, "__arrow_c_stream__") or hasattr(table, "iloc"))
    )


def is_missing(value: object) -> bool:
    """Tell whether a single value says that there is none."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA has no truth value
        return True


def no_table_of_numbers(name: str, given: Any, array: NDArray[Any]) -> str:
    """Say why the core cannot take an argument, `given`, that NumPy made this array of: its type or its shape."""
    if array.dtype.kind in "biuf":
        if not array.ndim:
            return f"{name} has 0 dimensions, it is {reprlib.repr(given)}: expected 1 or 2"
        return f"{name} has {array.ndim} dimensions, of shape {array.shape}: expected 1 or 2"
    columns = (
        [f"{column!r} ({kind})" for column, kind in _kinds(given) if not _is_plain(kind)] if array.ndim == 2 else []
    )
    if not columns:
        return f"{name} has dtype {array.dtype}: expected real numbers"
    found = ", ".join(columns[:5]) + (" and others" if len(columns) > 5 else "")
    return (
        f"{name} has dtype {array.dtype} because of its column{'s' if len(columns) > 1 else ''} {found}: "
        "expected real numbers, as steepest.TableEncoder or .astype('float32') make"
    )


def _kinds(table: Any) -> list[tuple[Any, Any]]:
    """Return names and types of the columns of a data frame; of anything else none."""
    if not is_frame(table):
        return []
    types = table.schema.types if hasattr(table, "column_names") else table.dtypes
    return list(zip(getattr(table, "column_names", None) or table.columns, types, strict=True))


def _is_plain(kind: Any) -> bool:
    """Tell whether a column of this type holds real numbers and no missing value of its own kind."""
    if isinstance(kind, np.dtype):
        return kind.kind in "iuf"
    return str(kind).lower().startswith(("int", "uint", "float", "double")) and not hasattr(kind, "na_value")
