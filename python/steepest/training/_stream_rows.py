"""A trainer's rows out of a stream: read ahead block by block, and handed to the core in whole batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import as_array, is_frame
from .._core import Trainer as CoreTrainer
from ..callbacks.base import Rows
from ..network import Network
from ..stream import Block, Keep, Stream
from ._rows import PROGRESS_INTERVAL, Batch, OnBatch, OnProgress, counted_from

Convert = Callable[[Block], Batch]


class StreamRows:
    """A stream as a `RowSource`.

    Parameters
    ----------
    stream : Stream
        The rows.
    convert : callable, optional
        Turns a block into (x, y, weight) as the core takes them, in the thread that reads; by default all columns of a
        table are numbers.
    prefix : str, default=""
        A word before the arguments' names in errors, such as "validation ".
    units : sequence of float, default=()
        As of `ArrayRows`.
    by_steps : bool, default=False
        Whether each batch is a call of its own: for a trainer that accumulates, whose groups no block may end.
    keep : callable, optional
        Tells of which numbers the rows are that count; by default all do.
    n : int, default=0
        How many there are, if they have been checked already.
    """

    def __init__(
        self,
        stream: Stream,
        convert: Convert | None = None,
        prefix: str = "",
        units: Sequence[float] = (),
        *,
        by_steps: bool = False,
        keep: Keep | None = None,
        n: int = 0,
    ) -> None:
        self.by_steps, self.keep = by_steps, keep
        self.stream, self.prefix, self.units = stream, prefix, list(units)
        self.convert = convert or numbers_of
        self._weight: NDArray[Any] | None = None
        self._y: NDArray[Any] | None = None
        self._n = n

    @property
    def y(self) -> NDArray[Any]:
        """The targets, all of them: only what measures by a function asks for them."""
        if self._y is None:
            with self._blocks() as blocks:
                self._y = np.concatenate([y for _, y, _ in blocks])
        return self._y

    @property
    def weight(self) -> NDArray[Any] | None:
        """The weights of all rows, which `check` has read."""
        return self._weight

    def check(self, core: CoreTrainer) -> int:
        """As in `RowSource`, in a pass over all rows; what it has found, another `check` returns."""
        if self._n:
            return self._n
        n, weighs, weights = 0, False, []
        with self._blocks() as blocks:
            for x, y, weight in blocks:
                positive = weight is None or bool(np.any(weight))
                weighs |= positive
                with counted_from(n, str(self.stream)):
                    core.check(x, y, weight if positive else None, self.prefix)
                    if not positive:
                        _refuse_weights(weight)
                if weight is not None:
                    weights.append(np.array(weight))
                n += len(y)
        if not n:
            raise ValueError(f"{self.stream}: there are no rows: expected one at least")
        if not weighs:
            raise ValueError(f"{self.stream}: {self.prefix}sample_weight has only zeros: expected some above")
        self._weight = np.concatenate(weights) if weights else None
        self._n = n
        return n

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
        """As in `RowSource`: the batches, and so the steps, do not depend on where blocks begin and end."""
        epoch, sums = core.epoch, _Sums()
        with self._blocks(epoch, shuffle) as blocks:
            try:
                for part in _in_batches(blocks, batch_size):
                    if on_batch is None and not self.by_steps:
                        core.epoch = epoch  # of the whole stream: each part would add one
                        mean = core.run_epoch(*part, batch_size, False, sums.shifted(on_progress))
                        sums.add(part, mean)
                    else:
                        _step(core, part, batch_size, sums, on_progress, on_batch)
            finally:
                core.epoch = epoch
        core.end_epoch()
        return sums.mean

    def measure(self, core: CoreTrainer, names: list[str] | None) -> dict[str, float]:
        """As in `RowSource`."""
        evaluation = core.evaluation(names, self.units)
        with self._blocks() as blocks:
            for x, y, weight in blocks:
                evaluation.add(x, y, weight)
        return evaluation.results()

    def outputs(self, network: Network) -> NDArray[Any]:
        """As in `RowSource`."""
        with self._blocks() as blocks:
            return np.concatenate([network.predict(x) for x, _, _ in blocks])

    def _blocks(self, epoch: int = 0, shuffle: bool = False) -> Any:
        return self.stream.read_ahead(self.convert, epoch, shuffle=shuffle, keep=self.keep)


def numbers_of(block: Block) -> Batch:
    """Return a block as arrays; a table has numbers alone."""
    x = as_array("x", block.x)
    if is_frame(block.x) and x.ndim == 1:
        x = x[:, None]
    return x, as_array("y", block.y), block.weight


def _in_batches(blocks: Iterator[Batch], batch_size: int) -> Iterator[Batch]:
    """Join blocks so that each but the last is whole batches: what is left over waits for the next."""
    left: list[Batch] = []
    for block in blocks:
        left.append(block)
        n = sum(len(y) for _, y, _ in left)
        whole = n - n % batch_size
        if not whole:
            continue
        x, y, weight = _joined(left)
        yield x[:whole], y[:whole], None if weight is None else weight[:whole]
        left = [(x[whole:].copy(), y[whole:].copy(), None if weight is None else weight[whole:].copy())]
        left = left if n > whole else []
    if left:
        yield _joined(left)


def _joined(blocks: list[Batch]) -> Batch:
    if len(blocks) == 1:
        return blocks[0]
    x, y, weight = zip(*blocks, strict=True)
    return np.concatenate(x), np.concatenate(y), None if weight[0] is None else np.concatenate(weight)


@dataclass
class _Sums:
    """Rows of an epoch so far, their weights, and their losses times these."""

    rows: int = 0
    weight: float = 0.0
    loss: float = 0.0

    def add(self, part: Batch, mean_loss: float) -> float:
        """Count rows of this mean loss; return their weight."""
        _, y, weights = part
        weight = float(len(y) if weights is None else np.sum(weights, dtype=np.float64))
        self.rows += len(y)
        if weight:
            self.weight, self.loss = self.weight + weight, self.loss + weight * mean_loss
        return weight

    @property
    def mean(self) -> float:
        """The mean loss."""
        return self.loss / self.weight if self.weight else 0.0

    def shifted(self, on_progress: OnProgress | None) -> OnProgress | None:
        """Return a function for the core to call within a part, that tells another one of the whole epoch."""
        if on_progress is None:
            return None
        rows, weight, loss = self.rows, self.weight, self.loss

        def progress(done: int, mean: float) -> None:  # a part's weight is known at its end: taken as that of its rows
            on_progress(rows + done, (loss + done * mean) / (weight + done))

        return progress


def _step(
    core: CoreTrainer,
    part: Batch,
    batch_size: int,
    sums: _Sums,
    on_progress: OnProgress | None,
    on_batch: OnBatch | None,
) -> None:
    """Train on whole batches one by one, without an end of the epoch."""
    x, y, weights = part
    last_report = time.monotonic()
    for start in range(0, len(y), batch_size):
        rows = slice(start, start + batch_size)
        batch = x[rows], y[rows], None if weights is None else weights[rows]
        counts = batch[2] is None or bool(np.any(batch[2]))
        loss = core.step(*batch) if counts else float("nan")  # rows that count for nothing are no batch, as in the core
        weight = sums.add(batch, loss)
        if on_batch is not None:
            on_batch(sums.rows, sums.mean, loss, weight)
        if on_progress is not None and time.monotonic() - last_report >= PROGRESS_INTERVAL:
            on_progress(sums.rows, sums.mean)
            last_report = time.monotonic()


def _refuse_weights(weight: Any) -> None:
    if np.any(np.asarray(weight) != 0):
        raise ValueError("sample_weight has numbers that are none: expected numbers >= 0")
