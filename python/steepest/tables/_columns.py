"""Columns of whatever holds a table, as plain arrays: numbers, or codes of labels."""

from __future__ import annotations

import datetime
import numbers
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._arrays import as_array, fits_float64, is_frame, is_masked_array, is_missing, reason_of, shown
from .._extras import import_pyarrow

Kind: TypeAlias = Literal["number", "text", "boolean", "date", "clock", "empty"]


class DataWarning(UserWarning):
    """Cells of a table are not of their column's kind, and count as missing."""


@dataclass(frozen=True)
class Odd:
    """Cells of a column that are not of its kind, and count as missing.

    Parameters
    ----------
    count : int
        How many.
    row : int
        The first; the first row is 0.
    text : str
        What stands there.
    """

    count: int
    row: int
    text: str


class Column(NamedTuple):
    """A column, read.

    Parameters
    ----------
    kind : {"number", "text", "boolean", "date", "clock", "empty"}
        The type of its values; "empty" is a column without a single value.
    values : array of shape (n,)
        "number": float64, NaN where one is missing; durations are numbers, of microseconds. "date", also with a time:
        float64, microseconds since 1970. "clock": float64, microseconds since midnight. "text" and "boolean": whole
        numbers, places in `labels`, -1 where one is missing. "empty": NaN.
    labels : sequence of str, default=()
        The different labels of text, in any order; of "boolean" `BOOLEAN_LABELS`.
    odd : Odd, optional
        Cells that are not of this kind, and count as missing.
    form : str, optional
        Of dates as text, how they are written where that had to be found out, as "%d.%m.%Y"; `read_column` takes it
        as `dates` when it reads further rows.
    """

    kind: Kind
    values: NDArray[Any]
    labels: Sequence[str] = ()
    odd: Odd | None = None
    form: str | None = None


BOOLEAN_LABELS = ("false", "true")
LABELED = ("text", "boolean")  # the kinds whose values are places in labels


def open_table(table: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Take a table apart into columns that are not yet read.

    Parameters
    ----------
    table : pyarrow Table, pandas or polars DataFrame, dict of columns, or array of shape (n, columns)
        Any of them; a data frame's index is left out.
    names : sequence of str, optional
        Names of an array's columns; by default f0, f1, ...

    Returns
    -------
    dict of str to array
        The columns by name, (n,), of NumPy or pyarrow.

    Raises
    ------
    TypeError
        If `table` is none of these.
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
    if isinstance(table, Mapping):
        columns = {str(name): _one_dimensional(str(name), values) for name, values in table.items()}
    elif is_frame(table):
        columns = _arrow_columns(table)
    else:
        raise TypeError(
            f"table is a {type(table).__name__}: expected a pyarrow Table, a pandas or polars DataFrame, "
            "a dict of columns, or a 2-D array"
        )
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"table has columns of different lengths: {lengths}")
    return columns


def read_column(name: str, values: Any, expected: Kind | None = None, dates: str | None = None) -> Column:
    """Read a column as numbers, labels, dates or times of day.

    Parameters
    ----------
    name : str
        Name of the column, for messages.
    values : array of shape (n,)
        Of NumPy or pyarrow, as `open_table` returns it.
    expected : {"number", "text", "boolean", "date", "clock"}, optional
        The kind it had in training. By default the rules of `steepest.tables._inference` decide what text is.
    dates : str, optional
        How dates as text are written, as "%d.%m.%Y".

    Returns
    -------
    Column
        "empty" if no value is there, of whatever type.

    Raises
    ------
    ValueError
        If the values are neither numbers, text, booleans nor dates, are a mixture of these, or one is infinite.
    """
    column = _from_numpy(name, values) if isinstance(values, np.ndarray) else _from_arrow(name, values)
    if missing_in(column).all():
        return Column("empty", np.full(len(column.values), np.nan))
    if column.kind not in LABELED and (infinite := np.isinf(column.values)).any():
        raise ValueError(f"column {name!r} is infinite in row {infinite.argmax()} (the first row is 0)")
    return column


def missing_in(column: Column) -> NDArray[np.bool_]:
    """Return where a column has no value, an array of booleans, (n,)."""
    return np.asarray(column.values < 0 if column.kind in LABELED else np.isnan(column.values))


def odd_cells(name: str, kind: Kind, odd: Odd, n: int, line: int | None = None) -> str:
    """Return the words of a `DataWarning`.

    Parameters
    ----------
    name : str
        Name of the column.
    kind : str
        Its kind.
    odd : Odd
        The cells that are not of this kind.
    n : int
        Rows of the column.
    line : int, optional
        Line of the first of them in a file, to say in place of its row.
    """
    place = f"row {odd.row}" if line is None else f"line {line}"
    what = {"boolean": "neither true nor false", "date": "no dates", "clock": "no times"}.get(kind, "no numbers")
    is_or_are = "is" if odd.count == 1 else "are"
    what = (
        what
        if odd.count > 1
        else {"no dates": "no date", "no times": "no time", "no numbers": "no number"}.get(what, what)
    )
    count = "counts" if odd.count == 1 else "count"
    return (
        f"column {name!r}: {odd.count:,} of {n:,} cells {is_or_are} {what} and {count} as missing, "
        f"the first is {shown(odd.text)} in {place}"
    )


def read_target(name: str, values: Any) -> NDArray[Any]:
    """Read a target as an array of its own type.

    Parameters
    ----------
    name : str
        Name of the target, for messages.
    values : array, list or column of length n
        Numbers, text or booleans.

    Returns
    -------
    array of shape (n,)
        Whole numbers, floats, booleans or str objects.

    Raises
    ------
    ValueError
        If the values have another type or dimension, or one is missing (the message has its row) or infinite.
    """
    if not isinstance(values, np.ndarray) and hasattr(values, "__arrow_c_stream__"):
        values = _series(values)
    elif not hasattr(values, "chunks"):
        values = _one_dimensional(name, values)
    column = read_column(name, values)
    missing = missing_in(column)
    if missing.any():
        raise ValueError(
            f"target {name!r} has no value in row {missing.argmax()} (the first row is 0; "
            f"{missing.sum()} of {len(missing)} rows have none): remove such rows first"
        )
    if column.kind == "text":
        return np.asarray(np.array(column.labels, dtype=object)[column.values])
    if column.kind == "boolean":
        return column.values.astype(bool)
    if isinstance(values, np.ndarray):
        kind: Any = values.dtype
        is_time = kind.kind in "mM" or (kind.kind == "O" and not isinstance(values[0], numbers.Real))
    else:
        kind = values.type
        is_time = import_pyarrow().types.is_temporal(kind)
    if is_time:
        found = type(values[0]).__name__ if str(kind) == "object" else kind
        raise ValueError(f"target {name!r} has the type {found}: expected numbers, text, or true and false")
    own = np.dtype(kind if isinstance(values, np.ndarray) else kind.to_pandas_dtype())
    if own.kind == "O":  # Python numbers
        whole = all(isinstance(value, numbers.Integral) and -(2**63) <= int(value) < 2**63 for value in values)
        own = np.dtype(np.int64 if whole else np.float64)
    return np.asarray(values).astype(own) if own.kind in "iu" else column.values.astype(own)


def _one_dimensional(name: str, values: Any) -> Any:
    """Return one column as an arrow or NumPy array."""
    if not isinstance(values, np.ndarray) and hasattr(values, "__arrow_c_stream__"):
        return _series(values)
    if not isinstance(values, np.ndarray):
        array = np.asarray(values) if isinstance(values, (list, tuple)) else as_array(f"column {name!r}", values)
        # NumPy writes a list of text and other things out as text, a missing value as "nan" too.
        values = np.array(values, dtype=object) if array.dtype.kind == "U" else array
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"column {name!r} has the shape {values.shape}: expected one dimension")
    return values


def _arrow_columns(table: Any) -> dict[str, Any]:
    """Return the columns of a data frame by name, as pyarrow's."""
    arrow = import_pyarrow()
    try:
        read = arrow.table(table)
    except (arrow.ArrowException, OverflowError) as error:
        if not hasattr(table, "iloc"):
            raise ValueError(f"table cannot be read: {reason_of(error)}") from error
        _refuse_repeated([str(name) for name in table.columns])
        return {str(name): _series(table[name]) for name in table.columns}
    names = read.column_names
    _refuse_repeated(names)
    # A data frame's index travels along as a column, but it counts the rows and says nothing about them.
    index = read.schema.pandas_metadata["index_columns"] if read.schema.pandas_metadata else ()
    return {name: read.column(name) for name in names if name not in index}


def _refuse_repeated(names: Sequence[str]) -> None:
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated:
        raise ValueError(f"table has the columns {repeated} more than once: expected a name of its own for each")


def _series(values: Any) -> Any:
    """Return a column of a data frame as pyarrow's; as NumPy's where pyarrow has no type for all of it."""
    arrow = import_pyarrow()
    try:
        return arrow.chunked_array(values)
    except (arrow.ArrowException, OverflowError):
        return np.asarray(values)


def _from_arrow(name: str, column: Any) -> Column:
    """Read a column of pyarrow's."""
    arrow = import_pyarrow()
    types = arrow.types
    kind = column.type
    if types.is_dictionary(kind):  # categories are labels, whatever they look like
        return _arrow_labels(column.cast(kind.value_type))
    if types.is_null(kind):
        return Column("empty", np.full(len(column), np.nan))
    if types.is_boolean(kind):
        return Column("boolean", column.cast(arrow.int8()).fill_null(-1).to_numpy(), BOOLEAN_LABELS)
    if types.is_string(kind) or types.is_large_string(kind) or str(kind) == "string_view":
        return _arrow_labels(column)
    found: Kind = "number"
    if types.is_temporal(kind):
        if types.is_time(kind):
            found, kind = "clock", arrow.time64("us")
        elif types.is_duration(kind):
            kind = arrow.duration("us")
        else:
            found, kind = "date", arrow.timestamp("us", getattr(kind, "tz", None))
        column = column.cast(kind, safe=False).cast(arrow.int64())
    elif not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
        raise ValueError(f"column {name!r} has the type {kind}: expected numbers, text, true and false, or dates")
    return Column(found, column.cast(arrow.float64(), safe=False).to_numpy())


def _arrow_labels(column: Any) -> Column:
    """Read a column of text."""
    arrow = import_pyarrow()
    coded = column.cast(arrow.large_string()).combine_chunks().dictionary_encode()
    if isinstance(coded, arrow.ChunkedArray):  # of no rows
        return Column("text", np.empty(0, np.int64))
    return Column("text", coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), coded.dictionary.to_pylist())


def _from_numpy(name: str, values: NDArray[Any]) -> Column:
    """Read a column of NumPy's; what is masked is missing."""
    if is_masked_array(values):
        masked, values = np.ma.getmaskarray(values), np.ma.getdata(values).astype(object)
        values[masked] = None
    match values.dtype.kind:
        case "b":
            return Column("boolean", values.astype(np.int8), BOOLEAN_LABELS)
        case "i" | "u" | "f":
            return Column("number", values.astype(np.float64))
        case "M" | "m" as kind:
            unit = "datetime64[us]" if kind == "M" else "timedelta64[us]"
            microseconds = values.astype(unit).astype(np.int64).astype(np.float64)
            return Column("date" if kind == "M" else "number", np.where(np.isnat(values), np.nan, microseconds))
        case "U":
            labels, codes = np.unique(values, return_inverse=True)
            return Column("text", codes, labels.tolist())
        case "O":
            return _from_objects(name, values)
    raise ValueError(f"column {name!r} has the type {values.dtype}: expected numbers, text, true and false, or dates")


def _from_objects(name: str, values: NDArray[Any]) -> Column:
    """Read a column of Python objects, which must be of one kind but for the missing ones."""
    present = np.array([not is_missing(value) for value in values], dtype=bool)
    found = values[present]
    types = {type(value) for value in found}

    def all_are(*kinds: type) -> bool:
        return all(issubclass(kind, kinds) for kind in types)

    if not types:
        return Column("empty", np.full(len(values), np.nan))
    if all_are(str):
        labels, inverse = np.unique(found, return_inverse=True)
        codes = np.full(len(values), -1)
        codes[present] = inverse
        return Column("text", codes, labels.tolist())
    if all_are(bool, np.bool_):
        codes = np.full(len(values), -1)
        codes[present] = found.astype(bool)
        return Column("boolean", codes, BOOLEAN_LABELS)
    if all_are(numbers.Real) and not any(issubclass(kind, bool) for kind in types):
        filled = np.full(len(values), np.nan)
        try:
            filled[present] = found.astype(np.float64)
        except OverflowError:
            row = next(i for i in np.flatnonzero(present) if not fits_float64(values[i]))
            where = f"column {name!r} has {shown(values[row])} in row {row} (the first row is 0)"
            raise ValueError(f"{where}, which float64 cannot hold: expected numbers that it can") from None
        return Column("number", filled)
    if all_are(datetime.date):
        times = np.full(len(values), np.datetime64("NaT", "us"))
        times[present] = found.astype("datetime64[us]")
        return _from_numpy(name, times)
    mixture = ", ".join(sorted(kind.__name__ for kind in types))
    first = type(found[0])
    odd = [i for i in np.flatnonzero(present).tolist() if type(values[i]) is not first]
    such = f" ({shown(values[odd[0]])} in row {odd[0]}, the first row is 0)" if odd else ""
    raise ValueError(f"column {name!r} holds {mixture}{such}: expected numbers, text, true and false, or dates alone")
