"""Columns of whatever holds a table, as plain arrays: numbers, or codes of labels."""

from __future__ import annotations

import datetime
import decimal
import numbers
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arrays import fits_float64, is_masked_array, is_missing, shown
from .._extras import import_pyarrow
from ._frames import one_dimensional as one_dimensional
from ._frames import open_table as open_table
from ._frames import series
from ._inference import Kind as Kind
from ._inference import Odd as Odd
from ._inference import infer, is_text

_NUMBERS = (numbers.Real, decimal.Decimal)


class DataWarning(UserWarning):
    r"""Cells of a table are not of their column's kind, and count as missing.

    Examples
    --------
    >>> import warnings
    >>> import steepest as st
    >>> with open("t.csv", "w") as file:
    ...     written = file.write("size\n" + "1\n2\n" * 10 + "twelve\n")
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     table = st.tables.read("t.csv")
    >>> caught[0].category.__name__
    'DataWarning'
    """


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
        If the values are neither numbers, text, booleans nor dates, are a mixture of these, or one is infinite; if
        numbers or dates as text can be read in two ways.

    Notes
    -----
    pandas' categories are labels whatever they look like. Its intervals are labels, its periods the times they begin.
    Where numbers are expected, text of which most is no number (marks aside) stays what it is, and the caller refuses
    it. Where text is expected an empty cell is a label, as models of older versions have it; elsewhere it is missing.
    """
    options = _Options(expected, dates)
    is_numpy = isinstance(values, np.ndarray)
    try:
        column = _from_numpy(name, values, options) if is_numpy else _from_arrow(name, values, options)
    except NotImplementedError as error:  # pyarrow's, for types that few know
        kind = values.dtype if is_numpy else values.type
        raise ValueError(
            f"column {name!r} has the type {kind}: expected numbers, text, true and false, or dates"
        ) from error
    if expected == "boolean" and column.kind == "number":
        column = _as_boolean(column)
    elif expected == "number" and column.kind == "boolean":
        found = np.where(column.values < 0, np.nan, column.values)
        column = column._replace(kind="number", values=found, labels=())
    if missing_in(column).all() and column.odd is None:
        return Column("empty", np.full(len(column.values), np.nan))
    if column.kind not in LABELED and (infinite := np.isinf(column.values)).any():
        raise ValueError(f"column {name!r} is infinite in row {infinite.argmax()} (the first row is 0)")
    return column


def missing_in(column: Column) -> NDArray[np.bool_]:
    """Return where a column has no value, an array of booleans, (n,)."""
    return np.asarray(column.values < 0 if column.kind in LABELED else np.isnan(column.values))


def odd_cells(name: str, kind: Kind, odd: Odd, n: int, place: str | None = None) -> str:
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
    place : str, optional
        Where the first of them is, in words; by default its row.
    """
    what = {"boolean": "neither true nor false", "date": "no dates", "clock": "no times"}.get(kind, "no numbers")
    return (
        f"column {name!r}: {odd.count:,} of {n:,} cells are {what} and count as missing, "
        f"the first is {shown(odd.text)} in {place or f'row {odd.row}'}"
    )


def read_target(name: str, values: Any, gaps: Collection[str] = ("",)) -> NDArray[Any]:
    """Read a target as an array of its own type.

    Parameters
    ----------
    name : str
        Name of the target, for messages.
    values : array, list or column of length n
        Numbers, text or booleans; text stays text whatever it looks like.
    gaps : collection of str, default=("",)
        What stands for a missing value in text, white space around it aside.

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
        values = series(values)
    elif not hasattr(values, "chunks"):
        values = one_dimensional(name, values)
    column = read_column(name, values, "text")
    if column.kind == "text":
        column = _without_gaps(column, gaps)
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


class _Options(NamedTuple):
    """The kind that a column has, and how dates are written, where that is known."""

    expected: Kind | None = None
    dates: str | None = None


def _as_boolean(column: Column) -> Column:
    """Return numbers, of which most are 1 and 0, as true and false."""
    there = ~np.isnan(column.values)
    odd = there & (column.values != 0) & (column.values != 1)
    if 2 * odd.sum() > there.sum():
        return column
    codes = np.where(there & ~odd, column.values, -1).astype(np.int32)
    found = column.odd
    if odd.any():
        row = int(odd.argmax())
        found = Odd(int(odd.sum()), row, f"{column.values[row]:g}")
    return Column("boolean", codes, BOOLEAN_LABELS, found)


def _from_arrow(name: str, column: Any, options: _Options) -> Column:
    """Read a column of pyarrow's."""
    arrow = import_pyarrow()
    types = arrow.types
    if isinstance(column, arrow.Array):
        column = arrow.chunked_array([column])
    kind = column.type
    if types.is_dictionary(kind) and options.expected in (None, "text"):  # labels, whatever they look like
        return _arrow_labels(column.cast(kind.value_type))
    if types.is_dictionary(kind):
        return _from_arrow(name, column.cast(kind.value_type), options)
    if types.is_null(kind):
        return Column("empty", np.full(len(column), np.nan))
    if types.is_boolean(kind):
        return Column("boolean", column.cast(arrow.int32()).fill_null(-1).to_numpy(), BOOLEAN_LABELS)
    if is_text(kind):
        return _from_text(name, column, options)
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


def missing_cells(column: Any, gaps: Collection[str]) -> NDArray[np.bool_]:
    """Return where a column of pyarrow's has no value, or text that stands for none, (n,)."""
    arrow = import_pyarrow()
    empty = column.is_null()
    values = column.cast(column.type.value_type) if arrow.types.is_dictionary(column.type) else column
    if is_text(values.type):
        trimmed = arrow.compute.utf8_trim_whitespace(values.cast(arrow.large_string()))
        empty = arrow.compute.or_(empty, arrow.compute.is_in(trimmed, arrow.array(list(gaps), arrow.large_string())))
    return np.asarray(arrow.compute.fill_null(empty, True).to_numpy(zero_copy_only=False), bool)


def _without_gaps(column: Column, gaps: Collection[str]) -> Column:
    """Return a column of text where these labels are missing."""
    found = np.array([*(label.strip() in gaps for label in column.labels), True])
    return column._replace(values=np.where(found[column.values], -1, column.values)) if found[:-1].any() else column


def _from_text(name: str, column: Any, options: _Options) -> Column:
    """Read a column of text by the rules."""
    arrow = import_pyarrow()
    if isinstance(column, arrow.Array):
        column = arrow.chunked_array([column])
    if str(column.type) == "string_view":
        column = column.cast(arrow.large_string())
    found = infer(name, column, options.expected, form=options.dates)
    read = _arrow_labels(found.values) if found.kind == "text" else _from_arrow(name, found.values, options)
    return read._replace(odd=found.odd, form=found.form)


def _arrow_labels(column: Any) -> Column:
    """Read a column of text."""
    arrow = import_pyarrow()
    if isinstance(column, arrow.Array):
        column = arrow.chunked_array([column])
    coded = column.cast(arrow.large_string()).combine_chunks().dictionary_encode()
    if isinstance(coded, arrow.ChunkedArray):  # of no rows
        return Column("text", np.empty(0, np.int64))
    codes, labels = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), coded.dictionary.to_pylist()
    trimmed = [label.strip() for label in labels]
    if trimmed == labels:
        return Column("text", codes, labels)
    places = {label: place for place, label in enumerate(dict.fromkeys(trimmed))}
    merged = np.array([*(places[label] for label in trimmed), -1], codes.dtype)
    return Column("text", merged[codes], list(places))


def _from_numpy(name: str, values: NDArray[Any], options: _Options) -> Column:
    """Read a column of NumPy's; what is masked is missing."""
    if is_masked_array(values):
        masked, values = np.ma.getmaskarray(values), np.ma.getdata(values).astype(object)
        values[masked] = None
    match values.dtype.kind:
        case "b":
            return Column("boolean", values.astype(np.int32), BOOLEAN_LABELS)
        case "i" | "u" | "f":
            return Column("number", values.astype(np.float64))
        case "M" | "m" as kind:
            unit = "datetime64[us]" if kind == "M" else "timedelta64[us]"
            microseconds = values.astype(unit).astype(np.int64).astype(np.float64)
            return Column("date" if kind == "M" else "number", np.where(np.isnat(values), np.nan, microseconds))
        case "U":
            return _from_text(name, import_pyarrow().array(values.tolist()), options)
        case "O":
            return _from_objects(name, values, options)
    raise ValueError(f"column {name!r} has the type {values.dtype}: expected numbers, text, true and false, or dates")


def _from_objects(name: str, values: NDArray[Any], options: _Options) -> Column:
    """Read a column of Python objects, which must be of one kind but for the missing ones."""
    present = np.array([not is_missing(value) for value in values], dtype=bool)
    found = values[present]
    types = {type(value) for value in found}

    def all_are(*kinds: type) -> bool:
        return all(issubclass(kind, kinds) for kind in types)

    if not types:
        return Column("empty", np.full(len(values), np.nan))
    if all_are(str):
        return _from_text(name, _as_text(name, values, present), options)
    if all_are(bool, np.bool_):
        codes = np.full(len(values), -1)
        codes[present] = found.astype(bool)
        return Column("boolean", codes, BOOLEAN_LABELS)
    is_boolean = any(issubclass(kind, (bool, np.bool_)) for kind in types)
    if all_are(*_NUMBERS) and not is_boolean:
        return Column("number", _as_floats(name, values, present))
    if all_are(datetime.date):
        times = np.full(len(values), np.datetime64("NaT", "us"))
        times[present] = found.astype("datetime64[us]")
        return _from_numpy(name, times, options)
    if all_are(datetime.time):
        return _from_arrow(name, _times(values, present), options)
    if all_are(str, *_NUMBERS) and not is_boolean:  # numbers with stray text among them, as pandas reads some files
        column = _from_text(name, _as_text(name, values, present), options)
        if column.kind == "number":
            return column
    mixture = ", ".join(sorted(kind.__name__ for kind in types))
    first = type(found[0])
    odd = [i for i in np.flatnonzero(present).tolist() if type(values[i]) is not first]
    such = f" ({shown(values[odd[0]])} in row {odd[0]}, the first row is 0)" if odd else ""
    raise ValueError(f"column {name!r} holds {mixture}{such}: expected numbers, text, true and false, or dates alone")


def _as_floats(name: str, values: NDArray[Any], present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return Python numbers as float64, NaN where none is present."""
    filled = np.full(len(values), np.nan)
    try:
        filled[present] = values[present].astype(np.float64)
    except OverflowError:
        row = next(i for i in np.flatnonzero(present) if not fits_float64(values[i]))
        where = f"column {name!r} has {shown(values[row])} in row {row} (the first row is 0)"
        raise ValueError(f"{where}, which float64 cannot hold: expected numbers that it can") from None
    return filled


def _times(values: NDArray[Any], present: NDArray[np.bool_]) -> Any:
    """Return Python times as pyarrow's."""
    return import_pyarrow().array([value if there else None for value, there in zip(values, present, strict=True)])


def _as_text(name: str, values: NDArray[Any], present: NDArray[np.bool_]) -> Any:
    """Return Python text, and numbers among it, as pyarrow's text, null where none is present."""
    arrow = import_pyarrow()
    try:
        return arrow.array([str(value) if there else None for value, there in zip(values, present, strict=True)])
    except (UnicodeError, arrow.ArrowException) as error:
        raise ValueError(f"column {name!r} has text that cannot be read: {error}") from error
