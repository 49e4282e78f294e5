"""Rows of which each rank has a shard: a step of the optimizer is of all ranks, or of each with a mean now and then.

With ``sync_every=1`` the gradients of all ranks are summed in every step, which is a step on the batches of all. Above
1 each rank takes steps of its own, and every so many of them parameters and moments become their mean over the ranks,
weighted by the rows of each (local SGD: Stich 2019, "Local SGD Converges Fast and Communicates Little").
"""

from __future__ import annotations

import math
import statistics
import time
from contextlib import suppress
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import DivergedError
from .._core import Trainer as CoreTrainer
from ..callbacks import Callback, FitState
from ..callbacks.base import Rows
from ..distributed._mean import mean_in_place
from ..network import Network
from ._loop import diverged
from ._ranks import Ranks
from ._rows import ArrayRows, Batches, OnBatch, OnProgress

_OVERHEAD = 0.025  # of the time of steps, that exchanges may take where sync_every is "auto"
_TRIALS = 5


class _Shard:
    """A rank's shard of rows, which reads them as `rows` does.

    Parameters
    ----------
    rows : ArrayRows
        Those of this rank.
    ranks : Ranks
        Of the training.
    """

    def __init__(self, rows: ArrayRows, ranks: Ranks) -> None:
        self._rows, self._ranks = rows, ranks
        self.y, self.weight = rows.y, rows.weight

    def check(self, core: CoreTrainer) -> int:
        """As in `RowSource`."""
        return self._rows.check(core)

    def shown(self) -> Rows | None:
        """As in `RowSource`."""
        return self._rows.shown()

    def measure(self, core: CoreTrainer, names: list[str] | None) -> dict[str, float]:
        """As in `RowSource`, of this rank's rows."""
        return self._rows.measure(core, names)

    def outputs(self, network: Network) -> NDArray[Any]:
        """As in `RowSource`."""
        return self._rows.outputs(network)


class SharedRows(_Shard):
    """A rank's shard of the rows to train on.

    Parameters
    ----------
    rows : ArrayRows
        Those of this rank.
    ranks : Ranks
        Of the training.
    trainer : Trainer
        Takes the steps.
    n_rows : list of int
        Rows of each rank.
    weighted : bool
        Whether those of any rank have weights.
    sync_every : int
        Steps from one exchange to the next, >= 1.
    """

    def __init__(
        self, rows: ArrayRows, ranks: Ranks, trainer: Any, n_rows: list[int], *, weighted: bool, sync_every: int
    ) -> None:
        super().__init__(rows, ranks)
        self._trainer, self._most, self._weighted, self._sync_every = trainer, max(n_rows), weighted, sync_every

    def check(self, core: CoreTrainer) -> int:
        """Return the rows of the rank that has most: it decides how many steps an epoch has."""
        return self._most

    def run_epoch(
        self,
        core: CoreTrainer,
        batch_size: int,
        shuffle: bool,
        on_progress: OnProgress | None = None,
        on_batch: OnBatch | None = None,
    ) -> float:
        """As in `RowSource`, together with all ranks; returns the mean loss of the rows of all."""
        self._check_rates()
        n = self._rows.n_rows
        order = core.order(n) if shuffle else np.arange(n)
        epoch = self._rows.batches(order, batch_size, on_progress, on_batch)
        steps = math.ceil(self._most / batch_size)
        counts = np.ones(steps, bool)  # those in which a rank has rows that count
        if self._weighted:
            counts = self._ranks.sum(_counting(self._rows, order, batch_size, steps)) > 0
        kind = _Summed if self._sync_every == 1 else _Averaged
        shared = kind(self._ranks, self._trainer, epoch)
        left = math.ceil(steps / self._sync_every)
        try:
            for start in range(0, steps, self._sync_every):
                shared.round(counts[start : start + self._sync_every])
                left -= 1
        except BaseException as error:
            with suppress(ValueError):  # a gradient that waits is of no step
                core.mean_gradient()
            if left:
                self._ranks.tell(error, shared.exchange.n, shared.exchange.dtype)
            raise
        core.end_epoch()
        loss, weight = self._ranks.sum_small([epoch.loss_sum, epoch.weight_sum]).tolist()
        if not weight:
            return 0.0
        self._average_statistics(epoch.weight_sum / weight)
        return float(loss / weight)

    def _check_rates(self) -> None:
        """Raise ValueError on all ranks where schedules of the user's own differ."""
        rate = self._trainer._rate(self._trainer.n_steps)
        mean, of_squares = self._ranks.sum_small([rate, rate * rate]) / self._ranks.size
        if of_squares - mean * mean > 1e-9 * of_squares:
            text = f"the learning rate of the next step is {rate:g}, and on another rank it is not: expected the same"
            raise self._ranks.known(ValueError(text))

    def _average_statistics(self, share: float) -> None:
        """Let the running statistics of batch normalization be their mean, this rank's with its share of the rows."""
        network = self._trainer.network
        own = {name: array for name, array in network._tensors().items() if ".running_" in name}
        if own:
            values = packed(own)
            network.set_parameters(unpacked(self._ranks.sum((share * values).astype(values.dtype)), own))


def _counting(rows: ArrayRows, order: NDArray[np.int64], batch_size: int, steps: int) -> NDArray[np.float64]:
    """Return 1 for each of so many steps in which this rank has rows that count, else 0."""
    found = np.zeros(steps)
    for step in range(math.ceil(len(order) / batch_size)):
        places = order[step * batch_size : (step + 1) * batch_size]
        found[step] = rows.weight is None or np.any(rows.weight[places])
    return found


class _Exchange:
    """Numbers of which the ranks have the mean after some steps, in memory that stays.

    Parameters
    ----------
    ranks : Ranks
        Of the training.
    n : int
        Numbers of each rank.
    dtype : str
        Theirs.
    """

    def __init__(self, ranks: Ranks, n: int, dtype: str) -> None:
        self._ranks, self.n, self.dtype = ranks, 1 + n, np.dtype(dtype)
        self._whole = np.zeros(ranks.size + self.n, dtype)  # word of the ranks, the weight, the numbers
        self._message = self._whole[ranks.size :]
        self.numbers = self._message[1:]

    def mean(self, weight: float) -> float:
        """Let the numbers be their mean over the ranks; return the sum of weights."""
        return mean_in_place(self._message, weight, lambda: self._ranks.sum_in_place(self._whole))

    @property
    def is_finite(self) -> bool:
        """Whether all numbers are."""
        return bool(np.isfinite(self.numbers.max(initial=0.0)) and np.isfinite(self.numbers.min(initial=0.0)))


class _Summed:
    """Exchanges of gradients, one in each step."""

    def __init__(self, ranks: Ranks, trainer: Any, epoch: Batches) -> None:
        self._ranks, self._trainer, self._core, self._epoch = ranks, trainer, trainer._core, epoch
        self.exchange = _Exchange(ranks, trainer.network.n_parameters, trainer.network.dtype)

    def _differentiate(self, x: Any, y: Any, weight: Any) -> float:
        loss = float(self._core.differentiate(x, y, weight))
        self._core.mean_gradient(self.exchange.numbers)
        return loss

    def round(self, counts: NDArray[np.bool_]) -> None:
        """Take the one step of this exchange."""
        try:
            weight = self._epoch.next(self._differentiate)
        except DivergedError:
            weight = math.nan  # as all will see
        total = self.exchange.mean(weight)
        if not self.exchange.is_finite:
            raise self._ranks.known(diverged(self._trainer, "a gradient of the ranks is not finite"))
        if total:
            self._core.apply_flat(self.exchange.numbers)


class _Averaged:
    """Exchanges of parameters and moments, one after several steps of each rank."""

    def __init__(self, ranks: Ranks, trainer: Any, epoch: Batches) -> None:
        self._ranks, self._trainer, self._core, self._epoch = ranks, trainer, trainer._core, epoch
        self._n_steps, self._n_averaged = self._core.n_steps, self._core.n_averaged
        self.exchange = _Exchange(ranks, self._core.n_values, trainer.network.dtype)

    def round(self, counts: NDArray[np.bool_]) -> None:
        """Take the steps, of which those count in which any rank has rows that do, and then the mean over the ranks."""
        try:
            weight = self._epoch.next_steps(self._core, len(counts))
        except DivergedError:
            weight = math.nan  # as all will see
        self._core.values(self.exchange.numbers)
        total = self.exchange.mean(weight)
        if not self.exchange.is_finite:
            raise self._ranks.known(diverged(self._trainer, "the mean of the ranks is not finite"))
        n_steps = int(counts.sum())
        self._n_steps += n_steps
        self._n_averaged += n_steps if self._trainer.ema else 0
        if total:
            self._core.set_values(self.exchange.numbers, self._n_steps, self._n_averaged)


def packed(arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([array.reshape(-1) for array in arrays.values()])


def unpacked(values: NDArray[Any], like: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    ends = np.cumsum([array.size for array in like.values()])
    parts = np.split(values, ends[:-1])
    return {name: part.reshape(array.shape) for (name, array), part in zip(like.items(), parts, strict=True)}


class SharedHeldOut(_Shard):
    """A rank's shard of the rows to measure: losses and metrics are means over the ranks, weighted by their rows."""

    def measure(self, core: CoreTrainer, names: list[str] | None) -> dict[str, float]:
        """As in `RowSource`, of all ranks."""
        with self._ranks.told():
            own = super().measure(core, names)
            weight = self._rows.n_rows if self.weight is None else float(self.weight.sum(dtype=np.float64))
        total = self._ranks.sum_small([weight, *(weight * value for value in own.values())])
        return dict(zip(own, (total[1:] / total[0]).tolist(), strict=True))


class Agreement(Callback):
    """The last callback of each rank: one that stops, stops all.

    Parameters
    ----------
    ranks : Ranks
        Of the training.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    def on_epoch_end(self, fit: FitState) -> None:
        """Stop where any rank does."""
        if self._ranks.sum_small([float(fit.stopped)])[0]:
            fit.stop()


def steps_between(trainer: Any, rows: ArrayRows, batch_size: int, steps: int, ranks: Ranks) -> int:
    """Return how many steps to take from one exchange to the next, for these to take a fortieth of the time.

    A step and an exchange are measured, on a copy of the trainer; all ranks go by the means of what they find.

    Parameters
    ----------
    trainer : Trainer
        Of this rank.
    rows : ArrayRows
        Its rows.
    batch_size : int
        Of a step.
    steps : int
        Of an epoch, at whose end there is an exchange in any case.
    ranks : Ranks
        Of the training.
    """
    core = deepcopy(trainer)._core
    core.schedule, core.learning_rate = None, 0.0
    batch = min(batch_size, rows.n_rows)
    weights = None if rows.weight is None else np.ones(batch)
    exchange = _Exchange(ranks, core.n_values, trainer.network.dtype)
    of_steps, of_exchanges = [], []
    for _ in range(_TRIALS):
        with ranks.told():
            start = time.perf_counter()
            core.step(rows.x[:batch], rows.y[:batch], weights)
            of_steps.append(time.perf_counter() - start)
        ranks.sum_small()  # all are ready for the next
        start = time.perf_counter()
        core.values(exchange.numbers)
        exchange.mean(1.0)
        core.set_values(exchange.numbers, core.n_steps, core.n_averaged)
        of_exchanges.append(time.perf_counter() - start)
    own = [statistics.median(of_steps), statistics.median(of_exchanges)]
    seconds_of_step, seconds_of_exchange = ranks.sum_small(own) / ranks.size
    wanted = math.ceil(float(seconds_of_exchange) / (_OVERHEAD * float(seconds_of_step)))
    return min(max(1, wanted), steps)
