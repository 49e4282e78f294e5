"""Errors of an estimator's input, which name argument, row and column."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import is_missing
from .._arrays import warn_caller as warn_caller

_FIRST = "(the first row is 0)"
_HIDDEN = "a row that only shows when converted"


def read_labels(name: str, labels: Any) -> Any:
    """Return labels as scikit-learn reads them, in their own type; refuse missing ones, and text among other things."""
    if labels is None or hasattr(labels, "toarray"):
        return labels
    own = getattr(getattr(labels, "dtype", None), "numpy_dtype", None)  # pandas' types that know a missing value
    array = np.asarray(labels, dtype=object if own is not None else None)
    if array.dtype.kind not in "OU" or (isinstance(labels, np.ndarray) and array.dtype.kind == "U"):
        return labels
    # NumPy writes a list of text and other things out as text, a missing value as "nan" too.
    flat = np.array(labels, dtype=object).ravel()
    types = set(map(type, flat.tolist()))
    if all(issubclass(kind, str) for kind in types):
        return labels if own is None else array
    columns = array.shape[-1] if array.ndim > 1 else 1
    for i, value in enumerate(flat):
        if is_missing(value):
            raise ValueError(f"{name} has {value!r} at row {i // columns} {_FIRST}: expected a label in every row")
    if any(issubclass(kind, str) for kind in types):
        found = ", ".join(sorted(kind.__name__ for kind in types))
        raise ValueError(f"{name} holds {found}: expected labels of one type")
    return np.array(array.tolist()) if own is None else array.astype(own)


def read_numbers(y: Any) -> Any:
    """Return numbers to predict as they are; refuse missing ones and text."""
    array = None if y is None or hasattr(y, "toarray") else np.asarray(y)
    if array is not None and array.dtype.kind in "OU":
        flat, columns = array.ravel().tolist(), array.shape[-1] if array.ndim > 1 else 1
        for i, value in enumerate(flat):
            if is_missing(value) or isinstance(value, str):
                hint = "; MLPClassifier takes labels" if isinstance(value, str) else ""
                raise ValueError(f"y has {value!r} at row {i // columns} {_FIRST}: expected numbers{hint}")
    return y


def read_classes(classes: Any) -> NDArray[Any]:
    """Return the labels that will ever come, sorted."""
    array = np.asarray(read_labels("classes", classes))
    if array.ndim != 1 or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        raise ValueError(f"classes is {classes!r}: expected a list of labels, none of them missing")
    return np.unique(array)


def located(error: Exception, **inputs: Any) -> Exception:
    """Return scikit-learn's error with the place of what it refuses, where that can be found."""
    text = str(error).partition("\n")[0]
    if isinstance(error, OverflowError) or "float() argument" in text:
        for name, values in inputs.items():
            place = _place(values, _is_no_number)
            if not place.startswith(_HIDDEN):
                kind = TypeError if isinstance(error, TypeError) else ValueError
                return kind(f"{name} has no real number at {place}: {text}")
    for name, values in inputs.items():
        if text.startswith(f"Input {name} contains"):
            place = _place(values, _is_no_finite_number)
            return ValueError(f"{text.rstrip('.')} at {place}{_hint(name, values, text)}")
        if name == "X" and text.startswith("could not convert string to float"):
            place = _place(values, _is_no_number)
            return ValueError(f"X has text at {place}: expected numbers, or a data frame with encode='auto' ({text})")
    return error


def refuse_too_large(name: str, values: NDArray[Any], rows: NDArray[Any]) -> None:
    """Refuse what float32 cannot hold; `rows` are the places of `values` as the caller knows them."""
    wrong = np.argwhere(np.abs(values) > np.finfo(np.float32).max)
    if len(wrong):
        raise ValueError(f"{name} has a value too large for float32 at row {rows[wrong[0, 0]]} {_FIRST}")


def _hint(name: str, values: Any, text: str) -> str:
    if name != "X" or "NaN" not in text or hasattr(values, "toarray"):
        return ""
    return ". Missing values are taken in a data frame, with encode='auto'; an array needs an imputer first"


def _place(values: Any, is_wrong: Callable[[Any], bool]) -> str:
    """Return row and column of the first wrong value."""
    if hasattr(values, "tocoo"):
        sparse = values.tocoo()
        found = [(i, j) for i, j, v in zip(sparse.row, sparse.col, sparse.data, strict=True) if is_wrong(v)]
        places = np.array(sorted(found))
    else:
        array = np.atleast_1d(np.asarray(values))  # such as a dict has no rows
        wrong = ~np.isfinite(array) if array.dtype.kind == "f" else np.frompyfunc(is_wrong, 1, 1)(array).astype(bool)
        places = np.argwhere(wrong)
    if not len(places):
        return f"{_HIDDEN} {_FIRST}"
    row, *column = places[0].tolist()
    if not column:
        return f"row {row} {_FIRST}"
    names = getattr(values, "columns", None)
    return f"row {row}, column {column[0] if names is None else repr(names[column[0]])} {_FIRST}"


def _is_no_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return not is_missing(value)
    return False


def _is_no_finite_number(value: Any) -> bool:
    try:
        return not math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return is_missing(value)
