"""Arguments read as arrays: frames told from arrays, missing values from others, and errors that say what is wrong.

The core asks here too, so that an argument is refused in the same words wherever it is read.
"""

from __future__ import annotations

import datetime
import numbers
import os
import reprlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TIMES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_PIECE = 1 << 16  # values of an array of objects looked at together

# Whose frames stand between a caller and what is called: this package, and what scikit-learn wraps around `fit`.
_WITHIN = (f"{__name__.partition('.')[0]}.", "sklearn.callback.")

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called into this package."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(_WITHIN):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def is_frame(table: Any) -> bool:
    """Tell whether this is a data frame, which has columns with names, rather than a single column."""
    return hasattr(table, "column_names") or (
        hasattr(table, "columns") and (hasattr(table, "__arrow_c_stream__") or hasattr(table, "iloc"))
    )


def is_missing(value: object) -> bool:
    """Tell whether a single value says that there is none."""
    try:
        return value is None or _is_masked(value) or bool(value != value)
    except TypeError:  # pandas.NA has no truth value
        return True


def is_masked_array(values: object) -> bool:
    """Tell whether this is a masked array of NumPy's."""
    return isinstance(values, _masked_arrays())


def _masked_arrays() -> Any:
    """Return the class of masked arrays; none before somebody makes one, for NumPy loads that module late."""
    return getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())


def _is_masked(value: object) -> bool:
    return is_masked_array(value) and value is np.ma.masked


def fits_float64(value: Any) -> bool:
    """Tell whether a number, such as a whole one of many digits, is within the range of float64."""
    try:
        float(value)
    except OverflowError:
        return False
    return True


def shown(value: object) -> str:
    """Return a value as it is written in Python, shortened where that is long."""
    try:
        return _SHORT.repr(value)
    except Exception:  # a repr of the user's, or a whole number of more digits than Python writes
        return f"<{type(value).__name__}>"


def reason_of(error: BaseException) -> str:
    """Return the text of an exception, or its type where there is none."""
    return str(error) or type(error).__name__


def as_array(name: str, values: Any) -> NDArray[Any]:
    """Return an argument as NumPy reads it: an array as it is, anything else as a new one.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    values : array, list, data frame or the like
        The argument, as given.

    Raises
    ------
    TypeError
        If it is a sparse matrix, or the name of a file.
    ValueError
        If something in it is masked, if NumPy cannot read it, or if it is a frame with values that are no numbers.
    """
    if hasattr(values, "toarray"):
        raise TypeError(f"{name} is a sparse {type(values).__name__}: expected a dense array, as by .toarray()")
    _refuse_file(name, values)
    refuse_masked(name, values)
    array = _converted(name, values)
    if array.dtype.kind == "O" and (not array.ndim or is_frame(values)):  # the core would see the array alone
        raise no_numbers(name, values, array)
    return array


def check_input(name: str, values: Any) -> None:
    """Refuse what scikit-learn would read as numbers that were never meant, or fail at without saying where.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    values : array, sparse matrix, list, data frame or the like
        The argument, as given; None is nothing to check.

    Raises
    ------
    TypeError
        If it is the name of a file, or has dates or durations.
    ValueError
        If something in it is masked, if NumPy cannot read it, or if it has fields, bytes, complex numbers, or a whole
        number too large for a float.
    """
    if values is None or hasattr(values, "toarray"):
        return
    _refuse_file(name, values)
    refuse_masked(name, values)
    if is_frame(values):
        for column, kind in _kinds(values):
            if _is_time(kind):
                raise TypeError(f"{name} has the column {column!r} of type {kind}: {_INSTEAD_OF_TIMES}")
        return
    array = _converted(name, values)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}, expected real numbers")
    if array.dtype.kind in "mMSV":
        raise no_numbers(name, values, array)
    if array.dtype.kind == "O" and (odd := _first(array, _is_misread)) is not None:
        raise _refusal(name, array, *odd)


def refuse_masked(name: str, values: Any) -> None:
    """Raise ValueError where something of NumPy's is masked, in an array or a list: it would count as if it were there.

    A masked array without a masked value is an array like others.
    """
    if isinstance(values, (list, tuple)):
        masked = _masked_arrays()
        for i, value in enumerate(values):
            if isinstance(value, masked) and np.ma.getmaskarray(value).any():
                raise _masked(f"{name} holds a masked value", f"row {i}")
        return
    if not is_masked_array(values) or values.dtype.names:
        return
    places = np.argwhere(np.ma.getmaskarray(values))
    if len(places):
        raise _masked(f"{name} is a masked array, masked", _where(places[0].tolist()))


def no_numbers(name: str, given: Any, array: NDArray[Any]) -> ValueError | TypeError:
    """Return the error for an argument, `given`, of whose array the core takes neither type nor shape.

    Dates and durations are a TypeError, all else a ValueError.
    """
    if isinstance(given, (str, bytes, os.PathLike)):
        return _no_file(name, given)
    kind, found = array.dtype.kind, f"{name} has dtype {array.dtype}"
    if kind in "biuf":
        if not array.ndim:
            return ValueError(f"{name} has 0 dimensions, it is {shown(given)}: expected 1 or 2")
        return ValueError(f"{name} has {array.ndim} dimensions, of shape {array.shape}: expected 1 or 2")
    if kind in "mM":
        return TypeError(f"{found}: {_INSTEAD_OF_TIMES}")
    if array.dtype.names:
        return ValueError(f"{found}: expected real numbers without fields, as structured_to_unstructured makes")
    if kind in "SU":
        return ValueError(
            f"{found}, which is text: expected real numbers, as .astype('float64') makes of numerals and "
            "np.unique(labels, return_inverse=True)[1] of labels, which the estimators take as they are"
        )
    if kind == "c":
        return ValueError(f"{found}: expected real numbers, such as .real and .imag side by side")
    if kind != "O":
        return ValueError(f"{found}: expected real numbers")
    if not array.ndim:
        return ValueError(f"{name} is {shown(given)}, a {type(given).__name__}: expected an array of real numbers")
    odd = _first(array, lambda value: not _is_number(value))
    columns = [(column, kind) for column, kind in _kinds(given) if not _is_plain(kind)] if array.ndim == 2 else []
    if columns:
        listed = ", ".join(f"{column!r} ({kind})" for column, kind in columns[:5])
        listed += " and others" if len(columns) > 5 else ""
        such = "" if odd is None else f"found {shown(odd[1])} in row {odd[0][0]}, "
        error = TypeError if odd is not None and isinstance(odd[1], _TIMES) else ValueError
        return error(
            f"{found} because of its column{'s' if len(columns) > 1 else ''} {listed}: {such}"
            "expected real numbers, as steepest.tables.TableEncoder or .astype('float32') make"
        )
    if odd is None:
        return ValueError(f"{found}: expected real numbers, as .astype('float64') makes of these")
    return _refusal(name, array, *odd)


def unreadable(name: str, given: Any, error: BaseException) -> ValueError:
    """Return the error for an argument, `given`, of which NumPy makes no array."""
    if isinstance(given, (list, tuple)):
        sizes = [len(row) if isinstance(row, (list, tuple)) else None for row in given]
        for i, size in enumerate(sizes):
            if size != sizes[0]:
                first, other = ("no row" if n is None else f"of length {n}" for n in (sizes[0], size))
                return ValueError(
                    f"{name} is not an array of numbers: row 0 is {first}, row {i} {other}: expected rows of one length"
                )
    return ValueError(
        f"{name} is not an array of numbers, it is a {type(given).__name__} that NumPy cannot read: {reason_of(error)}"
    )


_INSTEAD_OF_TIMES = (
    "expected numbers, such as (t - t.min()) / np.timedelta64(1, 'D'), or for labels .astype(str); in a data frame "
    "that an estimator or a TableEncoder reads, a column may be of dates"
)


def _converted(name: str, values: Any) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except MemoryError:
        raise
    except Exception as error:  # whatever the object's own way to an array raises
        raise unreadable(name, values, error) from error


def _refuse_file(name: str, values: Any) -> None:
    if isinstance(values, (str, bytes, os.PathLike)):
        raise _no_file(name, values)


def _no_file(name: str, values: Any) -> TypeError:
    found = f"{name} is {shown(values)}: expected an array or a data frame"
    return TypeError(f"{found}; steepest.tables.read reads a file's rows")


def _masked(found: str, place: str) -> ValueError:
    return ValueError(
        f"{found} at {place} (the first row is 0): expected all numbers to be there. Fill it, as by .filled(0), or "
        "leave such rows out; where missing values are taken, as in a data frame, .filled(np.nan) makes them such"
    )


def _where(place: list[int]) -> str:
    row, *column = place or [0]
    return f"row {row}, column {column[0]}" if column else f"row {row}"


def _first(array: NDArray[Any], is_odd: Any) -> tuple[list[int], Any] | None:
    """Return place and value of the first odd object of an array, or None."""
    for start in range(0, array.size, _PIECE):
        for i, value in enumerate(array.flat[start : start + _PIECE].tolist()):
            if is_odd(value):
                return [int(index) for index in np.unravel_index(start + i, array.shape)], value
    return None


def _refusal(name: str, array: NDArray[Any], place: list[int], value: Any) -> ValueError | TypeError:
    """Return the error for one object of an array."""
    found = f"{name} has dtype {array.dtype}, with {shown(value)} at {_where(place)} (the first row is 0)"
    if isinstance(value, _TIMES):
        return TypeError(f"{found}: {_INSTEAD_OF_TIMES}")
    if isinstance(value, numbers.Rational) and not isinstance(value, bool):
        return ValueError(f"{found}, which float64 cannot hold: expected real numbers")
    return ValueError(f"{found}: expected real numbers")


def _is_number(value: Any) -> bool:
    """Tell whether an object is a real number that float64 can hold."""
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_)) and not _is_misread(value)


def _is_misread(value: Any) -> bool:
    """Tell whether NumPy makes another number than was meant of an object, or fails at it with no word of where."""
    if isinstance(value, numbers.Rational):
        return not fits_float64(value)
    return isinstance(value, (*_TIMES, bytes, complex)) or _is_masked(value)


def _kinds(table: Any) -> Iterator[tuple[Any, Any]]:
    """Go through names and types of the columns of a data frame; of anything else there are none."""
    if is_frame(table):
        types = table.schema.types if hasattr(table, "column_names") else table.dtypes
        yield from zip(getattr(table, "column_names", None) or table.columns, types, strict=True)


def _is_plain(kind: Any) -> bool:
    """Tell whether a column of this type holds real numbers and no missing value of its own kind."""
    if isinstance(kind, np.dtype):
        return kind.kind in "iuf"
    return str(kind).lower().startswith(("int", "uint", "float", "double")) and not hasattr(kind, "na_value")


def _is_time(kind: Any) -> bool:
    """Tell whether a column of this type holds dates or durations, by pandas, pyarrow or polars."""
    return str(kind).lower().startswith(("date", "time", "duration"))
