"""Tables taken apart into columns, whatever holds them: frames of several libraries, dicts, arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._arrays import as_array, is_frame, reason_of
from .._extras import import_pyarrow


def open_table(table: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Take a table apart into columns that are not yet read.

    Parameters
    ----------
    table : pyarrow Table or RecordBatch, pandas or polars DataFrame, DuckDB relation, dict of columns, or array
        Any of them, or another frame that gives Arrow's C stream; an array has the shape (n, columns). A data frame's
        index is left out.
    names : sequence of str, optional
        Names of an array's columns; by default f0, f1, ...

    Returns
    -------
    dict of str to array
        The columns by name, (n,), of NumPy or pyarrow.

    Raises
    ------
    TypeError
        If `table` is none of these, or a polars LazyFrame.
    ValueError
        If the table has a wrong number of dimensions or columns, columns of different lengths, or a name twice.
    ModuleNotFoundError
        If a data frame is to be read and pyarrow is not installed.
    """
    if isinstance(table, np.ndarray):
        if table.ndim != 2:
            raise ValueError(f"table has the shape {table.shape}: expected rows and columns")
        if names is None:
            names = [f"f{i}" for i in range(table.shape[1])]
        if len(names) != table.shape[1]:
            raise ValueError(f"table has {table.shape[1]} columns: expected {len(names)}, as in training")
        return {name: table[:, i] for i, name in enumerate(names)}
    refuse_lazy("table", table)
    if isinstance(table, Mapping):
        columns = {str(name): one_dimensional(str(name), values) for name, values in table.items()}
    elif is_frame(table):
        columns = _arrow_columns(table)
    else:
        raise TypeError(
            f"table is a {type(table).__name__}: expected a pyarrow Table, a pandas or polars DataFrame, "
            "a DuckDB relation, a dict of columns, or a 2-D array"
        )
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"table has columns of different lengths: {lengths}")
    return columns


def refuse_lazy(name: str, table: Any) -> None:
    """Raise TypeError for a frame that has no rows yet."""
    if hasattr(table, "collect_schema") and hasattr(table, "collect"):
        raise TypeError(f"{name} is a {type(table).__name__}, which has no rows yet: expected {name}.collect()")


def in_memory(name: str, table: Any) -> Any:
    """Return a data frame that rows can be taken of: pandas' as it is, any other as a pyarrow Table.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    table : data frame, array or anything else
        What is no data frame is returned as it is.

    Raises
    ------
    TypeError
        If it is a polars LazyFrame.
    ValueError
        If pyarrow cannot read it.
    """
    refuse_lazy(name, table)
    if not is_frame(table) or hasattr(table, "iloc"):
        return table
    arrow = import_pyarrow()
    try:
        if not isinstance(table, arrow.Table):
            table = arrow.Table.from_batches([table]) if isinstance(table, arrow.RecordBatch) else arrow.table(table)
    except (arrow.ArrowException, OverflowError) as error:
        raise ValueError(f"{name} cannot be read: {reason_of(error)}") from error
    if not any("string_view" in str(kind) for kind in table.schema.types):
        return table
    return arrow.table([_without_views(column) for column in table.columns], names=table.column_names)


def _without_views(column: Any) -> Any:
    """Return text of polars' type, of which rows cannot be taken, as a usual one; its categories likewise."""
    arrow = import_pyarrow()
    text = arrow.large_string()
    if str(column.type) == "string_view":
        return column.cast(text)
    if "string_view" not in str(column.type) or not arrow.types.is_dictionary(column.type):
        return column
    chunks = [arrow.DictionaryArray.from_arrays(c.indices, c.dictionary.cast(text)) for c in column.chunks]
    return arrow.chunked_array(chunks, arrow.dictionary(column.type.index_type, text))


def one_dimensional(name: str, values: Any) -> Any:
    """Return one column as an arrow or NumPy array."""
    if not isinstance(values, np.ndarray) and hasattr(values, "__arrow_c_stream__"):
        return series(values)
    if not isinstance(values, np.ndarray):
        array = np.asarray(values) if isinstance(values, (list, tuple)) else as_array(f"column {name!r}", values)
        # NumPy writes a list of text and other things out as text, a missing value as "nan" too.
        values = np.array(values, dtype=object) if array.dtype.kind == "U" else array
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"column {name!r} has the shape {values.shape}: expected one dimension")
    return values


def series(values: Any) -> Any:
    """Return a column of a data frame as pyarrow's; as NumPy's where pyarrow has no type for all of it."""
    arrow = import_pyarrow()
    try:
        plain = _plain(values)
        if hasattr(plain, "__arrow_c_stream__"):
            return arrow.chunked_array(plain)
        found = arrow.Array.from_pandas(plain)  # a column of pandas 2, which has no stream
        return found if isinstance(found, arrow.ChunkedArray) else arrow.chunked_array([found])
    except (arrow.ArrowException, OverflowError):
        return np.asarray(values)


def _arrow_columns(table: Any) -> dict[str, Any]:
    """Return the columns of a data frame by name, as pyarrow's."""
    if hasattr(table, "iloc"):
        refuse_repeated([str(name) for name in table.columns])
        return {str(name): series(table[name]) for name in table.columns}
    read = in_memory("table", table)
    refuse_repeated(read.column_names)
    index = index_names(read.schema)
    return {name: read.column(name) for name in read.column_names if name not in index}


def index_names(schema: Any) -> list[str]:
    """Return the columns of pyarrow's that were the index of pandas' frame: they say nothing about the rows."""
    told = schema.pandas_metadata
    index = [name for name in (told["index_columns"] if told else ()) if isinstance(name, str)]
    return [name for name in index if name in schema.names]


def _plain(values: Any) -> Any:
    """Return a column of pandas' own kinds as one that pyarrow reads: labels of text, times, or dense numbers."""
    kind = str(getattr(values, "dtype", ""))
    if kind.startswith("period["):
        return values.dt.to_timestamp()
    if kind.startswith("interval["):
        return values.astype(str).where(values.notna(), None)
    if kind.startswith("Sparse["):
        return values.sparse.to_dense()
    if kind == "category" and str(values.cat.categories.dtype).startswith(("interval", "period", "object")):
        return values.cat.rename_categories([str(label) for label in values.cat.categories])
    return values


def refuse_repeated(names: Sequence[str]) -> None:
    """Raise ValueError for names of columns of which one occurs twice."""
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated:
        raise ValueError(f"table has the columns {repeated} more than once: expected a name of its own for each")
