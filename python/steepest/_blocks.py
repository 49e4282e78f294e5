"""A matrix in blocks of rows, so that only a block at a time is dense, or in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# At most 8 MiB of float64 at a time.
_BLOCK_ROWS, _BLOCK_NUMBERS = 1024, 2**20


def block_rows(rows: Any) -> int:
    """Return how many rows of an array or matrix make a block."""
    columns: int = rows.shape[1]
    return max(1, min(_BLOCK_ROWS, _BLOCK_NUMBERS // max(columns, 1)))


def blocks(rows: Any) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Go through the rows of an array or CSR matrix in dense blocks."""
    size = block_rows(rows)
    for start in range(0, rows.shape[0], size):
        part = slice(start, min(start + size, rows.shape[0]))
        yield part, rows[part].toarray() if hasattr(rows, "toarray") else rows[part]


def by_blocks(
    work: Callable[[NDArray[Any]], NDArray[Any]], values: NDArray[Any], columns: int, dtype: DTypeLike
) -> NDArray[Any]:
    """Apply a function to dense rows, a block at a time.

    Parameters
    ----------
    work : callable
        From rows, (k, columns of `values`), to rows, (k, `columns`), of any dtype.
    values : array of shape (n, any)
        Dense rows.
    columns : int
        Columns of what `work` returns.
    dtype : type
        Of the result.

    Returns
    -------
    array of shape (n, columns)
        A new array.
    """
    if len(values) == 1:
        return work(values).astype(dtype)
    out = np.empty((len(values), columns), dtype)
    size = block_rows(out)
    for start in range(0, len(values), size):
        out[start : start + size] = work(values[start : start + size])
    return out
