"""The loop over epochs: training, measurements after each, and the callbacks' hooks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import numpy as np

from .._core import DivergedError
from .._core import Trainer as CoreTrainer
from ..callbacks import Callback, FitState, History, TrainerView
from ..callbacks.base import Hook
from ..losses import CustomLoss
from ..metrics import Metric
from ..schedules import LearningRate, Schedule
from ._layerwise import cost_metrics
from ._rows import OnBatch, OnProgress, RowSource

LARGEST_COPY = 64 * 2**20  # bytes of weights that an epoch keeps, to go back to if it diverges, unless told otherwise

_REMEDY = "Scale x (and y) to about -1 to 1, or lower the learning rate."
_WITHIN = ("epoch_begin", "batch_end", "progress", "epoch_end")  # hooks that are looked up once for all epochs


class LoopTrainer(TrainerView, Protocol):
    """A trainer as the loop sees it: what callbacks see, with the core and the schedule behind it."""

    _core: CoreTrainer
    _lr: LearningRate
    _custom_loss: CustomLoss | None
    _epoch_costs: tuple[int, list[tuple[str, float, float]]]
    accumulate: int

    def _use(self, rate: LearningRate) -> None:
        """Take a learning rate or a schedule from now on."""

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step."""


def run_epochs(
    trainer: LoopTrainer,
    rows: RowSource,
    held_out: RowSource | None,
    asked: list[Metric] | None,
    active: list[Callback],
    epochs: int,
    batch_size: int,
    shuffle: bool,
    rollback: bool = True,
) -> History:
    """Train on rows from anywhere, as `Trainer.fit` says.

    Parameters
    ----------
    trainer : Trainer
        The trainer, whose history this replaces.
    rows : RowSource
        The rows to train on.
    held_out : RowSource or None
        The rows to measure after each epoch.
    asked : list of str or callable, or None
        The metrics to measure; None for those that go with the loss.
    active : list of Callback
        The callbacks, in order.
    epochs, batch_size : int
        As in `Trainer.fit`, >= 1.
    shuffle, rollback : bool
        As in `Trainer.fit`.
    """
    for _ in epochs_of(trainer, rows, held_out, asked, active, epochs, batch_size, shuffle, rollback):
        pass
    return trainer.history


def epochs_of(
    trainer: LoopTrainer,
    rows: RowSource,
    held_out: RowSource | None,
    asked: list[Metric] | None,
    active: list[Callback],
    epochs: int,
    batch_size: int,
    shuffle: bool,
    rollback: bool = True,
) -> Generator[int]:
    """Train as `run_epochs`; after each epoch, its number is handed out.

    All epochs that ask something of Python are run here, and those of NativeFit in the core's course.cpp. Closing the
    iterator ends the fit.
    """
    n_rows = rows.check(trainer._core)
    if held_out:
        held_out.check(trainer._core)
    recorded = recorded_names(trainer, held_out, asked)
    rate = laid_out(trainer, epochs, steps_of_epoch(trainer, n_rows, batch_size), recorded)

    history = History("val_loss" if held_out else "loss")
    fit = FitState(trainer, epochs, batch_size, n_rows, tuple(recorded), history)
    fit.data, fit.validation = rows.shown(), held_out.shown() if held_out else None
    with ExitStack() as endings:
        for callback in active:
            _call(_hooks([callback], "on_train_begin"), fit)
            endings.callback(_call, _hooks([callback], "on_train_end"), fit)
        begin, batch_end, progress, end = (_hooks(active, f"on_{name}") for name in _WITHIN)
        trainer.history = history
        trainer._use(rate)
        for epoch in range(epochs):
            fit.epoch, fit.rows_done, fit.running_loss = epoch, 0, math.nan
            _call(begin, fit)
            start = time.perf_counter()
            on_progress, on_batch = _on_progress(fit, progress), _on_batch(trainer, fit, batch_end)
            loss = _run_epoch(trainer, rows, batch_size, shuffle, on_progress, on_batch, rollback)
            fit.metrics = {"loss": loss, "learning_rate": trainer._rate(trainer.n_steps - 1), "seconds": 0.0}
            fit.metrics |= cost_metrics(trainer.layer_costs)
            if held_out:
                measured = measure(trainer, held_out, asked)
                fit.metrics |= {f"val_{name}": value for name, value in measured.items()}
            fit.metrics["seconds"] = time.perf_counter() - start
            history.append(fit.metrics)
            if isinstance(trainer._lr, Schedule):
                trainer._use(trainer._lr.observe(fit.metrics))
            fit.rows_done = n_rows
            _call(end, fit)
            yield epoch
            if fit.stopped:
                break


def _hooks(callbacks: Iterable[Callback], name: str) -> list[Hook]:
    """Return the hooks of this name of the callbacks that have it."""
    return [hook for callback in callbacks if (hook := callback._hook(name)) is not None]


def _call(hooks: list[Hook], fit: FitState) -> None:
    for hook in hooks:
        hook(fit)


def steps_of_epoch(trainer: LoopTrainer, n_rows: int, batch_size: int) -> int:
    """Return the steps of the optimizer in an epoch, one at least: rows that there are not are refused elsewhere."""
    return max(1, math.ceil(math.ceil(n_rows / batch_size) / trainer.accumulate))


def laid_out(trainer: LoopTrainer, epochs: int, epoch_steps: int, recorded: Sequence[str]) -> LearningRate:
    """Return the rate or the schedule of a fit; ValueError where it does not go with it."""
    rate = trainer._lr
    if not isinstance(rate, Schedule):
        return rate
    return rate.lay_out(trainer.n_steps, epochs * epoch_steps, epoch_steps, recorded)


def recorded_names(trainer: LoopTrainer, held_out: RowSource | None, asked: list[Metric] | None) -> list[str]:
    """Return the names of a fit's history.

    Parameters
    ----------
    trainer : Trainer
        The trainer.
    held_out : RowSource or None
        The rows to measure after each epoch.
    asked : list of str or callable, or None
        The metrics to measure; None for those that go with the loss.

    Raises
    ------
    ValueError
        If a metric does not go with the loss, or there are some without rows to measure.
    """
    recorded = ["loss", "learning_rate", "seconds", *cost_metrics(trainer._core.layer_costs())]
    if not held_out:
        if asked:
            raise ValueError(f"metrics is {asked}: expected none without validation=(x, y)")
        return recorded
    named, functions = _parted(trainer, asked)
    measured = ["loss"] if trainer._custom_loss else trainer._core.metric_names(named)
    return recorded + [f"val_{name}" for name in (*measured, *(function.__name__ for function in functions))]


def _parted(
    trainer: LoopTrainer, asked: Sequence[Metric] | None
) -> tuple[list[str] | None, list[Callable[..., float]]]:
    """Return the metrics with a name, None for the usual ones, and those that are functions."""
    named = None if asked is None else [metric for metric in asked if isinstance(metric, str)]
    if trainer._custom_loss and named:
        raise ValueError(f"metrics has {named[0]!r}: expected functions (y, outputs) with a loss of your own")
    return named, [metric for metric in asked or () if not isinstance(metric, str)]


def measure(trainer: LoopTrainer, rows: RowSource, asked: Sequence[Metric] | None) -> dict[str, float]:
    """Return the loss and the metrics of rows, as `Trainer.evaluate` says.

    Parameters
    ----------
    trainer : Trainer
        The trainer.
    rows : RowSource
        The rows.
    asked : sequence of str or callable, or None
        The metrics; None for those that go with the loss.

    Raises
    ------
    ValueError
        If `asked` has a name that does not go with the loss, or the rows do not fit the network.
    """
    names, functions = _parted(trainer, asked)
    measured = {} if trainer._custom_loss else rows.measure(trainer._core, names)
    if functions or trainer._custom_loss:
        outputs = rows.outputs(trainer.ema_network if trainer.ema else trainer.network)
        if trainer._custom_loss:
            rows.check(trainer._core)
            measured["loss"] = trainer._custom_loss(rows.y, rows.weight, outputs)[0]
        measured |= {function.__name__: float(function(rows.y, outputs)) for function in functions}
    return measured


def _run_epoch(
    trainer: LoopTrainer,
    rows: RowSource,
    batch_size: int,
    shuffle: bool,
    on_progress: OnProgress | None,
    on_batch: OnBatch | None,
    rollback: bool,
) -> float:
    """Run one epoch and return its loss; if it diverges, take the network back to where the epoch began."""
    network = trainer.network._core
    before = network.state() if rollback else None
    try:
        loss = rows.run_epoch(trainer._core, batch_size, shuffle, on_progress, on_batch)
        # The last step's loss was taken before its update, which is still to be judged, and so are the running means.
        if not trainer._core.is_finite():
            raise diverged(trainer)
        return loss
    except DivergedError as error:
        if before is not None:
            network.restore(before)
        trainer._core.reset()
        error.args = (divergence_text(error, rollback=rollback),)
        raise


def divergence_text(error: DivergedError, *, rollback: bool) -> str:
    """Return the message of a fit that diverged, with the epoch, step, rate and loss of `error`.

    Parameters
    ----------
    error : DivergedError
        What the core has found.
    rollback : bool
        Whether the network was taken back to where the epoch began.
    """
    kept = "The network has its last finite epoch's weights again. " if rollback else ""
    return (
        f"training diverged in epoch {error.epoch}, step {error.step}, at the learning rate "
        f"{error.learning_rate:g}: the loss is {error.loss:g}. {kept}{_REMEDY}"
    )


def diverged(trainer: LoopTrainer, text: str = "") -> DivergedError:
    """Return the error for what the last step has made not finite.

    Parameters
    ----------
    trainer : Trainer
        Of that step.
    text : str, default=""
        The message, to begin with; what to do about it follows.
    """
    error = DivergedError(f"{text}. {_REMEDY}")
    error.epoch, error.step, error.loss = max(trainer._core.epoch - 1, 0), max(trainer.n_steps - 1, 0), math.nan
    error.learning_rate = trainer._rate(error.step)
    return error


def _on_progress(fit: FitState, hooks: list[Hook]) -> OnProgress | None:
    """Return the function that the core calls during an epoch; None if there are no hooks."""
    if not hooks:
        return None

    def on_progress(rows_done: int, running_loss: float) -> None:
        fit.rows_done, fit.running_loss = rows_done, running_loss
        _call(hooks, fit)

    return on_progress


def _on_batch(trainer: LoopTrainer, fit: FitState, hooks: list[Hook]) -> OnBatch | None:
    """Return the function to call after each batch of an epoch; None if there are no hooks."""
    if not hooks:
        return None
    sums: dict[str, Any] = {}  # of each layer's costs, before and after: the core has those of the last step alone
    weight_sum = 0.0

    def on_batch(rows_done: int, running_loss: float, batch_loss: float, weight: float) -> None:
        nonlocal weight_sum
        if weight:
            weight_sum += weight
            for layer, *costs in trainer._core.layer_costs():
                sums[layer] = sums.get(layer, 0.0) + weight * np.array(costs)
            means = [(layer, *(cost / weight_sum).tolist()) for layer, cost in sums.items()]
            trainer._epoch_costs = trainer.n_steps, means
        fit.rows_done, fit.running_loss, fit.batch_loss = rows_done, running_loss, batch_loss
        _call(hooks, fit)

    return on_batch
