"""Rows of a table as they are kept for training: a few bytes a cell, which become features when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._core import Expansion
from .._parallel import in_parallel
from ._scaling import FURTHEST, unlimited

Column = TypeVar("Column")


class Parts(NamedTuple):
    """The parts of a column in encoded rows, and its features in this order.

    Parameters
    ----------
    edges : sequence of float, optional
        Of its scaled number z: z itself is a feature, and each pair of neighboring edges is one. None: it has no z.
    indicator : bool, default=False
        Whether a feature tells where z is missing.
    slots : int, default=0
        Features of which one is 1, by its code.
    ready : int, default=0
        Features that are kept as they are.
    """

    edges: Sequence[float] | None = None
    indicator: bool = False
    slots: int = 0
    ready: int = 0

    @property
    def n_features(self) -> int:
        """Features of the column."""
        numbers = 0 if self.edges is None else 1 + max(len(self.edges) - 1, 0)
        return numbers + self.indicator + self.slots + self.ready


class Cells(NamedTuple):
    """Rows of one column, encoded.

    Parameters
    ----------
    z : array of float64, shape (n,), optional
        Its scaled numbers, NaN where one is missing.
    codes : array of int, shape (n,), optional
        Which of its slots is 1; -1 for none.
    ready : array of shape (n, k), optional
        Features as they are.
    """

    z: NDArray[np.float64] | None = None
    codes: NDArray[Any] | None = None
    ready: NDArray[Any] | None = None


class Layout:
    """Where the features of each column stand.

    Parameters
    ----------
    parts : sequence of Parts
        Of each column, in order.
    """

    def __init__(self, parts: Sequence[Parts]) -> None:
        self.parts = parts
        self._expansion = Expansion(
            [(None if p.edges is None else list(p.edges), p.indicator, p.slots, p.ready) for p in parts]
        )
        self.n_features = self._expansion.n_features

    def __reduce__(self) -> tuple[Any, ...]:
        return Layout, (self.parts,)

    def empty(self, n: int) -> EncodedRows:
        """Return room for this many rows."""
        of = self._expansion
        codes, ready = np.empty((n, of.n_codes), np.int32), np.empty((n, of.n_ready), np.float32)
        return EncodedRows(self, np.empty((n, of.n_numbers)), codes, ready)

    def expand(self, numbers: ArrayLike, codes: ArrayLike, ready: ArrayLike) -> NDArray[np.float32]:
        """Return the features, (n, n_features), of rows as `EncodedRows` has them."""
        return self._expansion.expand(numbers, codes, ready)


@dataclass(frozen=True, eq=False)
class EncodedRows:
    """Rows of a table, encoded: `toarray` makes features of them.

    Parameters
    ----------
    layout : Layout
        What the features are.
    numbers : array of float64, shape (n, n_numbers)
        Scaled numbers, NaN where one is missing.
    codes : array of int32, shape (n, n_codes)
        Which of its slots is 1, for each column that has such; -1 for none.
    ready : array of float32, shape (n, n_ready)
        Features as they are.
    """

    layout: Layout
    numbers: NDArray[np.float64]
    codes: NDArray[np.int32]
    ready: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return len(self.numbers), self.layout.n_features

    @property
    def nbytes(self) -> int:
        """Memory of the rows as they are, in bytes."""
        return self.numbers.nbytes + self.codes.nbytes + self.ready.nbytes

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, places: Any) -> EncodedRows:
        """Return the rows of a slice, or at these places."""
        return EncodedRows(self.layout, self.numbers[places], self.codes[places], self.ready[places])

    def toarray(self) -> NDArray[np.float32]:
        """Return the features, (n, n_features)."""
        return self.layout.expand(self.numbers, self.codes, self.ready)

    def unlimited(self) -> NDArray[np.float64]:
        """Return the features, (n, n_features), with the scaled numbers as they were before their smooth limit."""
        found = self.toarray().astype(np.float64)
        number = feature = 0
        for part in self.layout.parts:
            if part.edges is not None:
                z = unlimited(self.numbers[:, number], FURTHEST)
                found[:, feature] = np.where(np.isnan(z), 0.0, z)
                number += 1
            feature += part.n_features
        return found

    def set(self, columns: Sequence[Column], cells: Callable[[Column], Cells]) -> EncodedRows:
        """Write the cells of all columns, in order.

        Parameters
        ----------
        columns : sequence
            Of whatever the layout was made.
        cells : callable
            Returns the cells of one, called by any thread.

        Returns
        -------
        EncodedRows
            These rows.
        """
        at = np.cumsum([(0, 0, 0), *map(_widths, self.layout.parts)], axis=0).tolist()

        def write(i: int) -> None:
            found, (number, code, ready) = cells(columns[i]), at[i]
            if found.z is not None:
                self.numbers[:, number] = found.z
            if found.codes is not None:
                self.codes[:, code] = found.codes
            if found.ready is not None:
                self.ready[:, ready : ready + found.ready.shape[1]] = found.ready

        in_parallel(write, range(len(columns)), len(self) * len(columns))
        return self


def _widths(part: Parts) -> tuple[int, int, int]:
    """Return how many numbers, codes and ready features a row of a column has."""
    return part.edges is not None, part.slots > 0, part.ready
