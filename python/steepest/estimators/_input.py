"""Reading what a fit is given: rows, targets and weights, checked as scikit-learn checks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    _check_y,
    validate_data,
)

from .._arrays import check_input, is_frame
from ..tables._columns import LABELED, missing_in, open_table, read_column
from ..tables._frames import refuse_repeated
from ..tables._learning import read
from ..tables._robust import has_sentinel
from ._errors import located, read_labels, read_numbers, refuse_too_large

_TINY_ROWS = 50  # different rows: fewer train all at once, in float64
_FEW_ROWS = 200  # a batch at most: dense, even where they are given as a sparse matrix


@dataclass(frozen=True)
class Rows:
    """Rows with their targets and weights.

    Parameters
    ----------
    x : array, CSR matrix or data frame of n rows
        As given, or as features.
    y : array of shape (n,) or (n, columns)
        Encoded targets.
    weight : array of shape (n,), optional
        None: every row counts 1.
    """

    x: Any
    y: NDArray[Any]
    weight: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def at(self, places: NDArray[np.intp]) -> Rows:
        """Return the rows at these places."""
        weight = None if self.weight is None else self.weight[places]
        return Rows(take(self.x, places), self.y[places], weight)

    def dense(self) -> Rows:
        """Return the same rows, where a sparse matrix has become an array."""
        return replace(self, x=self.x.toarray()) if hasattr(self.x, "toarray") else self

    def merged(self, numbers: NDArray[Any]) -> Rows:
        """Return the different rows in order, with how much each weighs in all; `numbers` are `x` as an array.

        Few rows then train alike in any order or repetition.
        """
        weights = np.ones(len(self)) if self.weight is None else np.asarray(self.weight, np.float64)
        table = np.column_stack([numbers, self.y])
        _, first, place = np.unique(table, axis=0, return_index=True, return_inverse=True)
        merged = np.bincount(place.reshape(-1), weights=weights).astype(np.float64)
        return Rows(take(self.x, first), self.y[first], merged)


def merge_if_tiny(rows: Rows, *, allowed: bool) -> tuple[Rows, bool]:
    """Return few rows as dense ones, very few different ones merged if that is allowed, and whether they were."""
    if len(rows) > _FEW_ROWS:
        return rows, False
    rows = rows.dense()
    numbers = _as_numbers(rows.x) if allowed else None
    if numbers is not None and len(merged := rows.merged(numbers)) < _TINY_ROWS:
        return merged, True
    return rows, False


def _as_numbers(x: Any) -> NDArray[Any] | None:
    """Return an array, or a table that has numbers alone and none of them missing, as an array; else None."""
    if isinstance(x, np.ndarray):
        return x
    columns = [read_column(name, values) for name, values in open_table(x).items()]
    if any(column.kind != "number" or missing_in(column).any() for column in columns):
        return None
    return np.column_stack([column.values for column in columns])


def take(x: Any, places: NDArray[np.intp]) -> Any:
    """Return the rows of an array, matrix or data frame at these places."""
    if hasattr(x, "iloc"):
        return x.iloc[places]
    return x.take(places) if hasattr(x, "column_names") else x[places]


def takes_encoder(x: Any, encode: str | None, *, goes_on: bool = False) -> bool:
    """Tell whether a table goes through a TableEncoder: a data frame with more than whole columns of numbers.

    One that `goes_on` in parts may have gaps in a later one.
    """
    if encode == "numbers" or not is_frame(x) or 0 in getattr(x, "shape", ()):
        return False
    if goes_on or not hasattr(x, "iloc"):
        return True
    plain = all(isinstance(kind, np.dtype) and kind.kind in "iuf" for kind in x.dtypes)
    return not plain or bool(x.isna().any(axis=None))


def has_stand_ins(x: Any) -> bool:
    """Tell whether rows, an array or a data frame, have numbers that stand for missing ones: an encoder knows them."""
    if isinstance(x, np.ndarray):
        return has_sentinel(x)
    if not is_frame(x):
        return False
    columns = [read_column(name, values) for name, values in open_table(x).items()]
    numbers = [column.values for column in columns if column.kind == "number"]
    return any(has_sentinel(values[~np.isnan(values), None]) for values in numbers)


def is_of_array(estimator: Any) -> bool:
    """Tell whether a fitted estimator has an encoder that learned from an array, whose columns have no names."""
    encoder = estimator._model.preprocessor.encoder
    return encoder is not None and encoder.is_of_array and "feature_names_in_" not in vars(estimator)


def has_gaps(x: Any) -> bool:
    """Tell whether a data frame has a missing value, or may have one: of such as are not pandas' none is looked at."""
    return is_frame(x) and (not hasattr(x, "iloc") or bool(x.isna().any(axis=None)))


def numbers_of(estimator: Any, x: Any) -> NDArray[np.float64]:
    """Return the columns of a data frame of numbers, NaN where one is missing.

    Parameters
    ----------
    estimator : BaseMLP
        Has the names of the columns.
    x : data frame of shape (n, n_features)
        The rows.

    Raises
    ------
    ValueError
        If the columns are other ones, or one is of text or infinite.
    """
    _check_feature_names(estimator, x, reset=False)
    _check_n_features(estimator, x, reset=False)
    columns = {name: read(name, values, "number") for name, values in open_table(x).items()}
    for name, column in columns.items():
        if column.kind in LABELED:
            raise ValueError(f"X has {column.kind} in column {name!r}: expected numbers, as in training")
    return np.column_stack([column.values for column in columns.values()])


def read_rows(
    estimator: Any, x: Any, y: Any, *, as_table: bool, numeric: bool, reset: bool, gaps: bool = False
) -> tuple[Any, NDArray[Any]]:
    """Check rows and targets.

    Parameters
    ----------
    estimator : BaseMLP
        Learns number and names of the columns from `x`, or has them.
    x : array, sparse matrix or data frame of shape (n, n_features)
        The rows.
    y : array of shape (n,) or (n, columns)
        Their targets.
    as_table : bool
        Whether `x` is a data frame that an encoder reads later.
    numeric : bool
        Whether the targets are numbers, not labels.
    reset : bool
        Whether the estimator learns the columns.
    gaps : bool, default=False
        Whether a data frame of numbers may have missing ones, for `Preprocessor.filled`.

    Returns
    -------
    x : array, CSR matrix or data frame
        The rows.
    y : array of shape (n,) or (n, columns)
        The targets, in their own type.

    Raises
    ------
    ValueError, TypeError
        If rows or targets are not what scikit-learn takes: where it can be told, with row and column.
    """
    given_x, given_y = x, y
    gaps = gaps and not as_table and has_gaps(x)
    x = numbers_of(estimator, x) if gaps else x
    if not as_table:
        check_input("X", x)
    check_input("y", y)
    y = read_numbers(y) if numeric else read_labels("y", y)
    try:
        if as_table or gaps:
            if y is None:
                raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
            if as_table and hasattr(x, "iloc"):
                refuse_repeated([str(name) for name in x.columns])
            if reset:  # later the encoder finds its columns by name
                _check_feature_names(estimator, x, reset=True)
                _check_n_features(estimator, x, reset=True)
            y = _check_y(y, multi_output=True, y_numeric=numeric, estimator=estimator)
            check_consistent_length(x, y)
        else:
            x, y = validate_data(
                estimator, x, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=numeric,
                dtype=(np.float64, np.float32), reset=reset,
            )  # fmt: skip
            x = x.tocsr() if hasattr(x, "tocsr") else x
    except (TypeError, ValueError, OverflowError) as error:
        raise located(error, X=given_x, y=given_y) from None
    y = y.toarray() if hasattr(y, "toarray") else y
    return x, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y


def read_weight(sample_weight: Any, y: NDArray[Any]) -> NDArray[Any] | None:
    """Return the weights of rows, (n,), all >= 0 and some above; None where none are given."""
    if sample_weight is None:
        return None
    check_input("sample_weight", sample_weight)
    try:
        weight: NDArray[Any] = _check_sample_weight(sample_weight, y)
    except (TypeError, ValueError, OverflowError) as error:
        raise located(error, sample_weight=sample_weight) from None
    if weight.min() < 0 or not weight.any():
        raise ValueError("sample_weight has negative numbers or only zeros: expected numbers >= 0, some above")
    refuse_too_large("sample_weight", weight, np.arange(len(weight)))
    return weight


def eval_set_parts(eval_set: Any) -> tuple[Any, Any, Any]:
    """Return X, y and sample_weight, perhaps None, of an `eval_set`."""
    if not isinstance(eval_set, Sequence) or len(eval_set) not in (2, 3):
        raise ValueError("eval_set is no (X, y) or (X, y, sample_weight): expected one of them")
    x, y, *weight = eval_set
    return x, y, weight[0] if weight else None
