"""Sources of a trainer's rows: arrays that the core reads in place, or sparse rows that become dense in parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import as_array, reason_of
from .._blocks import blocks
from .._core import Trainer as CoreTrainer
from .._mapped import MOST, Mapped
from ..callbacks.base import Rows
from ..network import Network

OnProgress = Callable[[int, float], None]  # rows of the epoch so far, their mean loss
OnBatch = Callable[[int, float, float, float], None]  # the same, and the batch's loss and its sum of weights
Batch = tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]  # x, y, weight

PROGRESS_INTERVAL = 0.05  # seconds between calls of on_progress: kProgressInterval of cpp/core/trainer.hpp


class RowSource(Protocol):
    """Rows with their targets and weights, to train on or to measure."""

    @property
    def y(self) -> NDArray[Any]:
        """The targets, (n, ...)."""

    @property
    def weight(self) -> NDArray[Any] | None:
        """The weights of the rows, (n,), >= 0; None where all are 1."""

    def check(self, core: CoreTrainer) -> int:
        """Raise ValueError for what an epoch would refuse; return the number of rows."""

    def shown(self) -> Rows | None:
        """Return the rows as callbacks may see them; None where they are not arrays."""

    def run_epoch(
        self,
        core: CoreTrainer,
        batch_size: int,
        shuffle: bool,
        on_progress: OnProgress | None = None,
        on_batch: OnBatch | None = None,
    ) -> float:
        """Train on every row once; return their mean loss.

        Parameters
        ----------
        core : _core.Trainer
            The trainer that takes the steps.
        batch_size : int
            Rows in a batch, >= 1.
        shuffle : bool
            Whether to draw a new order.
        on_progress : callable, default=None
            Called every `PROGRESS_INTERVAL` seconds or so.
        on_batch : callable, default=None
            Called after each batch.
        """

    def measure(self, core: CoreTrainer, names: list[str] | None) -> dict[str, float]:
        """Return the loss and the metrics of these names."""

    def outputs(self, network: Network) -> NDArray[Any]:
        """Return a network's outputs for the rows, (n, n_out)."""


class ArrayRows:
    """Arrays, of which the core gathers batch after batch itself.

    Parameters
    ----------
    x : array of shape (n, n_in)
        The rows; lists and frames become arrays once, arrays and memory maps are not copied.
    y : array of shape (n,) or (n, n_out)
        Their targets, see `Trainer`.
    weight : array of shape (n,), default=None
        Their weights, >= 0.
    prefix : str, default=""
        A word before the arguments' names in errors, such as "validation ".
    units : sequence of float, default=()
        For each output the size of its unit: metrics are of the numbers times these. Empty: 1 for all.
    places : array of int, shape (m,), default=None
        Which rows are meant, in this order: for fits that the core runs as a whole; others take `taken`. None: all.

    Raises
    ------
    TypeError
        If an argument is a sparse matrix, or the name of a file.
    ValueError
        If something is masked, NumPy cannot read it, or a frame has values that are no numbers.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        weight: ArrayLike | None = None,
        prefix: str = "",
        units: Sequence[float] = (),
        places: NDArray[np.int64] | None = None,
    ) -> None:
        self.places = places
        self.x, self.y = as_array(f"{prefix}x", x), as_array(f"{prefix}y", y)
        self.weight = None if weight is None else as_array(f"{prefix}sample_weight", weight)
        self.prefix, self.units = prefix, list(units)
        self._mapped = Mapped(self.x, self.y, self.weight)

    @property
    def is_mapped(self) -> bool:
        """Whether they lie in a file, of which what was read is let go again."""
        return bool(self._mapped)

    @property
    def parts(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None, NDArray[np.int64] | None]:
        """The rows, targets, weights and places, as a fit in the core reads them."""
        return self.x, self.y, self.weight, self.places

    def taken(self) -> ArrayRows:
        """Return the rows that are meant as arrays of those alone."""
        if self.places is None:
            return self
        weight = None if self.weight is None else self.weight[self.places]
        return ArrayRows(self.x[self.places], self.y[self.places], weight, self.prefix, self.units)

    def check(self, core: CoreTrainer) -> int:
        """As in `RowSource`."""
        lengths = {np.shape(part)[:1] for part in (self.x, self.y, self.weight) if part is not None}
        if not self._mapped or self.places is not None or len(lengths) > 1:  # the core says which does not fit
            return core.check(self.x, self.y, self.weight, self.prefix, self.places)
        for start, (x, y, weight) in self._parts():
            if weight is not None and not weight.any() and np.any(self.weight):
                weight = None  # only the sum of all must be above 0
            with counted_from(start):
                core.check(x, y, weight, self.prefix)
        return len(self.x)

    def shown(self) -> Rows | None:
        """As in `RowSource`."""
        return self.x, self.y, self.weight

    @property
    def n_rows(self) -> int:
        """How many rows are meant."""
        if self.places is not None:
            return len(self.places)
        return len(self.x) if self.x.ndim else 0

    def run_epoch(
        self,
        core: CoreTrainer,
        batch_size: int,
        shuffle: bool,
        on_progress: OnProgress | None = None,
        on_batch: OnBatch | None = None,
    ) -> float:
        """As in `RowSource`."""
        if on_batch is None and not (self._mapped and shuffle):
            if self._mapped:
                on_progress = self._dropping(on_progress)
            return core.run_epoch(self.x, self.y, self.weight, batch_size, shuffle, on_progress)

        return run_batches(core, len(self.x), batch_size, shuffle, self.batch, on_progress, on_batch)

    def batches(
        self, order: NDArray[np.int64], batch_size: int, on_progress: OnProgress | None, on_batch: OnBatch | None
    ) -> Batches:
        """Return the batches of an epoch in this order."""
        if on_batch is None and not self._mapped:
            return ArrayBatches(self, order, batch_size, on_progress)
        return Batches(order, batch_size, self.batch, on_progress, on_batch)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Return the rows with these indices."""
        if self._mapped:
            weight = None if self.weight is None else self._mapped.gather(self.weight, rows)
            return self._mapped.gather(self.x, rows), self._mapped.gather(self.y, rows), weight
        return self.x[rows], self.y[rows], None if self.weight is None else self.weight[rows]

    def measure(self, core: CoreTrainer, names: list[str] | None) -> dict[str, float]:
        """As in `RowSource`."""
        evaluation = core.evaluation(names, self.units)
        for _, part in self._parts():
            evaluation.add(*part)
        return evaluation.results()

    def outputs(self, network: Network) -> NDArray[Any]:
        """As in `RowSource`."""
        return network.predict(self.x)

    def _parts(self) -> Iterator[tuple[int, Batch]]:
        """Go through the rows: all at once, or those of a large file in parts, each of which is let go again."""
        if not self._mapped:
            yield 0, (self.x, self.y, self.weight)
            return
        n = len(self.x)
        size = max(1, MOST // 4 * n // max(self.x.nbytes, 1))
        for start in range(0, n, size):
            rows = slice(start, start + size)
            yield start, (self.x[rows], self.y[rows], None if self.weight is None else self.weight[rows])
            self._mapped.drop()

    def _dropping(self, on_progress: OnProgress | None) -> OnProgress:
        """Return a function that lets the read part of a file go every time that the core calls it."""

        def progress(rows: int, mean_loss: float) -> None:
            self._mapped.drop()
            if on_progress is not None:
                on_progress(rows, mean_loss)

        return progress


@contextmanager
def counted_from(row: int, source: str = "") -> Iterator[None]:
    """Say in the errors of a part where it begins, and what it is of."""
    try:
        yield
    except ValueError as error:
        of = f"{source}: " if source else ""
        raise ValueError(f"{of}{reason_of(error)}" + (f" (counted from row {row})" if row else "")) from None


class Batches:
    """The batches of an epoch, one after the other, and their losses.

    Parameters
    ----------
    order : array of int, shape (n,)
        The rows of the epoch.
    batch_size, on_progress, on_batch
        As in `RowSource.run_epoch`.
    read : callable
        Returns the batch (x, y, weight) of the rows with these indices.
    """

    def __init__(
        self,
        order: NDArray[np.int64],
        batch_size: int,
        read: Callable[[NDArray[np.int64]], Batch],
        on_progress: OnProgress | None,
        on_batch: OnBatch | None,
    ) -> None:
        self.order, self._size, self._read = order, batch_size, read
        self._on_progress, self._on_batch, self._last_report = on_progress, on_batch, time.monotonic()
        self._done = 0
        self.loss_sum = self.weight_sum = 0.0

    @property
    def mean_loss(self) -> float:
        """Of the rows so far."""
        return self.loss_sum / self.weight_sum if self.weight_sum else 0.0

    def _next_rows(self, n: int) -> NDArray[np.int64]:
        rows = self.order[self._done : self._done + n]
        self._done += len(rows)
        return rows

    def next(self, step: Callable[[Any, Any, Any], float]) -> float:
        """Take a step on the next batch; return its sum of weights, 0 where no rows are left or none counts."""
        rows = self._next_rows(self._size)
        weight, loss = 0.0, float("nan")
        if len(rows):
            batch = self._read(rows)
            weight = float(len(rows) if batch[2] is None else batch[2].sum(dtype=np.float64))
            if weight:  # rows that count for nothing are no batch, as in the core
                loss = step(*batch)
                self.loss_sum += weight * loss
                self.weight_sum += weight
        if self._on_batch is not None:
            self._on_batch(self._done, self.mean_loss, loss, weight)
        self._report()
        return weight

    def next_steps(self, core: CoreTrainer, n: int) -> float:
        """Take n steps, or those that are left; return their sum of weights."""
        return sum(self.next(core.step) for _ in range(n))

    def _report(self) -> None:
        if self._on_progress is not None and time.monotonic() - self._last_report >= PROGRESS_INTERVAL:
            self._on_progress(self._done, self.mean_loss)
            self._last_report = time.monotonic()


class ArrayBatches(Batches):
    """Batches of arrays in memory, which the core gathers itself."""

    def __init__(
        self, rows: ArrayRows, order: NDArray[np.int64], batch_size: int, on_progress: OnProgress | None
    ) -> None:
        super().__init__(order, batch_size, rows.batch, on_progress, None)
        self._rows = rows

    def next_steps(self, core: CoreTrainer, n: int) -> float:
        """As `Batches`."""
        chosen = self._next_rows(n * self._size)
        if not len(chosen):
            return 0.0
        loss, weight = core.run_steps(self._rows.x, self._rows.y, self._rows.weight, chosen, self._size)
        self.loss_sum += loss
        self.weight_sum += weight
        self._report()
        return weight


def run_batches(
    core: CoreTrainer,
    n: int,
    batch_size: int,
    shuffle: bool,
    read: Callable[[NDArray[np.int64]], Batch],
    on_progress: OnProgress | None,
    on_batch: OnBatch | None,
) -> float:
    """Train an epoch batch by batch, with the order and the steps of `_core.Trainer.run_epoch`; return the mean loss.

    Parameters
    ----------
    core : _core.Trainer
        The trainer that takes the steps.
    n : int
        Rows in all.
    batch_size, shuffle, on_progress, on_batch
        As in `RowSource.run_epoch`.
    read : callable
        Returns the batch (x, y, weight) of the rows with these indices.
    """
    batches = Batches(core.order(n) if shuffle else np.arange(n), batch_size, read, on_progress, on_batch)
    for _ in range(0, n, batch_size):
        batches.next(core.step)
    core.end_epoch()
    return batches.mean_loss


class SparseRows:
    """A CSR matrix, of which one batch or block is dense at a time; its epochs take the steps of `ArrayRows`.

    Parameters
    ----------
    x : CSR matrix of shape (n, n_features)
        The rows.
    y : array of shape (n,) or (n, n_out)
        Their targets.
    weight : array of shape (n,) or None
        Their weights, >= 0.
    to_dense : callable
        Turns a dense block of rows, (m, n_features), into the network's input, (m, n_in).
    units : sequence of float, default=()
        As in `ArrayRows`.
    """

    def __init__(
        self,
        x: Any,
        y: NDArray[Any],
        weight: NDArray[Any] | None,
        to_dense: Callable[[NDArray[Any]], NDArray[Any]],
        units: Sequence[float] = (),
    ) -> None:
        self.x, self.y, self.weight, self.to_dense, self.units = x, y, weight, to_dense, list(units)

    def check(self, core: CoreTrainer) -> int:
        """As in `RowSource`, block by block."""
        for rows, (x, y, weight) in self._parts():
            if weight is not None and not weight.any() and np.any(self.weight):
                weight = None  # only the sum of all must be above 0
            with counted_from(rows.start):
                core.check(x, y, weight, "")
        return int(self.x.shape[0])

    def shown(self) -> Rows | None:
        """As in `RowSource`."""
        return None

    def run_epoch(
        self,
        core: CoreTrainer,
        batch_size: int,
        shuffle: bool,
        on_progress: OnProgress | None = None,
        on_batch: OnBatch | None = None,
    ) -> float:
        """As in `RowSource`."""

        def read(rows: NDArray[np.int64]) -> Batch:
            weight = None if self.weight is None else self.weight[rows]
            return self.to_dense(self.x[rows].toarray()), self.y[rows], weight

        return run_batches(core, self.x.shape[0], batch_size, shuffle, read, on_progress, on_batch)

    def measure(self, core: CoreTrainer, names: list[str] | None) -> dict[str, float]:
        """As in `RowSource`."""
        evaluation = core.evaluation(names, self.units)
        for _, part in self._parts():
            evaluation.add(*part)
        return evaluation.results()

    def outputs(self, network: Network) -> NDArray[Any]:
        """As in `RowSource`."""
        return np.concatenate([network.predict(x) for _, (x, _, _) in self._parts()])

    def _parts(self) -> Iterator[tuple[slice, tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]]]:
        for rows, block in blocks(self.x):
            yield rows, (self.to_dense(block), self.y[rows], None if self.weight is None else self.weight[rows])


def validation_rows(parts: Sequence[ArrayLike]) -> ArrayRows:
    """Return the rows of `validation`, (x, y) or (x, y, sample_weight).

    Raises
    ------
    TypeError
        If `parts` is no tuple or list of two or three.
    """
    if not isinstance(parts, (tuple, list)) or len(parts) not in (2, 3):
        raise TypeError(f"validation is a {type(parts).__name__}: expected (x, y) or (x, y, sample_weight)")
    x, y, *weight = parts
    return ArrayRows(x, y, weight[0] if weight else None, "validation ")
