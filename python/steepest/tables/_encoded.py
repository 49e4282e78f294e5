"""Rows of a table as they are kept for training: a few bytes a cell, which become features when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._blocks import block_rows
from .._parallel import in_parallel

Column = TypeVar("Column")

_ZERO = np.zeros(1)


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


class HasParts(Protocol):
    """A column's features, as `Layout` needs them."""

    @property
    def parts(self) -> Parts:
        """The parts of the column."""


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
    columns : sequence of features
        Of each column, in order.
    """

    def __init__(self, columns: Sequence[HasParts]) -> None:
        parts = [column.parts for column in columns]
        self.n_features = sum(part.n_features for part in parts)
        self.n_numbers = sum(part.edges is not None for part in parts)
        self.n_codes = sum(part.slots > 0 for part in parts)
        self.n_ready = sum(part.ready for part in parts)
        self.parts = parts
        self._pieces: list[tuple[str, slice, slice]] = []  # of which array, which columns, become which features
        slots: list[int] = []
        bins: list[tuple[int, float, float]] = []
        at = number = ready = 0
        for part in parts:
            edges = part.edges
            if edges is not None:
                first = len(bins)
                bins += [(number, a, b - a) for a, b in pairwise(edges)]
                at = self._place("z", at, number, number + 1)
                at = self._place("bins", at, first, len(bins))
                at = self._place("missing", at, number, number + part.indicator)
                number += 1
            if part.slots:
                slots.append(at)
                at += part.slots
            at = self._place("ready", at, ready, ready + part.ready)
            ready += part.ready
        self._slots, self._slot_list = np.array(slots, np.int64), slots
        self._bin_column = np.array([of for of, _, _ in bins], np.intp)
        self._bin_start = np.array([start for _, start, _ in bins])
        self._bin_width = np.array([width for _, _, width in bins])

    def _place(self, source: str, at: int, start: int, end: int) -> int:
        """Note that columns of a source become the next features; return where they end."""
        if end > start:
            self._pieces.append((source, slice(start, end), slice(at, at + end - start)))
        return at + end - start

    def empty(self, n: int) -> EncodedRows:
        """Return room for this many rows."""
        return EncodedRows(
            self,
            np.empty((n, self.n_numbers)),
            np.empty((n, self.n_codes), np.int32),
            np.empty((n, self.n_ready), np.float32),
        )

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        """For each feature its place among all z, bins, missing and ready ones of a row, and a zero after them."""
        starts = {"z": 0, "bins": self.n_numbers}
        starts["missing"] = starts["bins"] + len(self._bin_column)
        starts["ready"] = starts["missing"] + self.n_numbers
        order = np.full(self.n_features, starts["ready"] + self.n_ready)
        for source, given, features in self._pieces:
            order[features] = np.arange(given.start, given.stop) + starts[source]
        return order

    def expand_one(
        self, numbers: NDArray[np.float64], codes: Sequence[int], ready: Sequence[float]
    ) -> NDArray[np.float32]:
        """Return the features of one row, (1, n_features), of its numbers, codes and ready features."""
        missing = np.isnan(numbers)
        z = np.where(missing, 0.0, numbers)
        bins = z[self._bin_column]
        bins -= self._bin_start
        bins /= self._bin_width
        np.maximum(bins, 0, out=bins)
        np.minimum(bins, 1, out=bins)
        out: NDArray[np.float32] = np.concatenate([z, bins, missing, ready, _ZERO])[self._order].astype(np.float32)
        for slot, code in zip(self._slot_list, codes, strict=True):
            if code >= 0:
                out[slot + code] = 1
        return out[None]

    def expand(self, rows: EncodedRows, out: NDArray[np.float32]) -> None:
        """Write the features of rows.

        Parameters
        ----------
        rows : EncodedRows
            Of n rows.
        out : array of float32, shape (n, n_features)
            In C order; is overwritten.
        """
        missing = np.isnan(rows.numbers)
        z = np.where(missing, 0.0, rows.numbers)
        bins = z.take(self._bin_column, axis=1)
        if bins.size:
            bins -= self._bin_start
            bins /= self._bin_width
            np.maximum(bins, 0, out=bins)
            np.minimum(bins, 1, out=bins)
        sources = {"z": z, "bins": bins, "missing": missing, "ready": rows.ready}
        if len(self._slots):
            out[:] = 0
            places = rows.codes + self._slots
            places += np.arange(0, out.size, self.n_features)[:, None] if len(out) > 1 else 0
            out.reshape(-1)[places[rows.codes >= 0]] = 1
        for source, given, features in self._pieces:
            out[:, features] = sources[source][:, given]


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
        """Return the features, (n, n_features), a block of rows at a time."""
        out = np.empty(self.shape, np.float32)
        size = block_rows(out)
        parts = [slice(start, start + size) for start in range(0, len(out), size)]
        in_parallel(lambda part: self.layout.expand(self[part], out[part]), parts, out.size)
        return out

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
