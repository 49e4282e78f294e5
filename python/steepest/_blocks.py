"""Dense blocks of a sparse or dense matrix: what is dense, or in float64, at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What of a sparse matrix, or of an array to scale, is dense or in float64 at a time: 8 MiB at most.
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
    work: Callable[[NDArray[Any]], NDArray[Any]], values: NDArray[Any], columns: int, dtype: Any
) -> NDArray[Any]:
    """Return what `work` makes of dense rows, (n, columns), where only a block at a time has the dtype of `work`."""
    if len(values) == 1:
        return work(values).astype(dtype)
    out = np.empty((len(values), columns), dtype)
    size = block_rows(out)
    for start in range(0, len(values), size):
        out[start : start + size] = work(values[start : start + size])
    return out
