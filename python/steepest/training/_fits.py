"""Fits, one or many at once: in the core as a whole where they ask nothing of Python, else epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeGuard

from .._arrays import reason_of
from .._core import Course, DivergedError, Rates, check_courses, run_courses
from ..callbacks import Callback, EarlyStopping, History
from ..losses import LOSSES
from ..metrics import Metric, monitored, sign_of
from ..schedules import LearningRate, Schedule, plateau
from ._loop import LoopTrainer, divergence_text, epochs_of, laid_out, recorded_names, steps_of_epoch
from ._rows import ArrayRows, RowSource
from ._together import run_together

_RATES_AT_ONCE = 1 << 16  # of a fit, that are laid out before its steps

Progress = Callable[[int], object]  # called with the epochs that all fits have had


@dataclass
class Fit:
    """A fit that is to be run, its arguments checked; see `Trainer.fit`.

    Parameters
    ----------
    trainer : Trainer
        What trains.
    rows : RowSource
        The rows to train on.
    held_out : RowSource, optional
        The rows to measure after each epoch.
    metrics : list of str or callable, optional
        The metrics to measure; None for those that go with the loss.
    callbacks : list of Callback, default=[]
        In order.
    epochs, batch_size : int
        As in `Trainer.fit`, >= 1.
    shuffle, rollback : bool, default=True
        As in `Trainer.fit`.
    """

    trainer: LoopTrainer
    rows: RowSource
    held_out: RowSource | None = None
    metrics: list[Metric] | None = None
    callbacks: list[Callback] = field(default_factory=list)
    epochs: int = 10
    batch_size: int = 32
    shuffle: bool = True
    rollback: bool = True

    @property
    def is_native(self) -> bool:
        """Whether the core can run it from its first epoch to the last."""
        trainer = self.trainer
        return (
            trainer.loss in LOSSES
            and trainer._core.layer_costs() == []
            and _is_native(self.rows)
            and (self.held_out is None or _is_native(self.held_out))
            and all(isinstance(metric, str) for metric in self.metrics or ())
            and _is_known(self.callbacks)
            and self._has_known_rates()
        )

    def _has_known_rates(self) -> bool:
        rate = self.trainer._lr
        known = type(rate).__module__ == Schedule.__module__ and not isinstance(rate, plateau)
        return known or not callable(rate)


def taken(rows: RowSource) -> RowSource:
    """Return rows of which some are meant as arrays of those alone."""
    return rows.taken() if isinstance(rows, ArrayRows) else rows


def _is_native(rows: RowSource | None) -> TypeGuard[ArrayRows]:
    return isinstance(rows, ArrayRows) and not rows.is_mapped


def _is_known(callbacks: list[Callback]) -> bool:
    """Tell whether the core knows what these do."""
    if not callbacks:
        return True
    rule = callbacks[0]
    if len(callbacks) > 1 or type(rule) is not EarlyStopping or any(name.startswith("on_") for name in vars(rule)):
        return False
    return rule.monitor is None or rule.monitor == "loss" or rule.monitor.startswith("val_")


class NativeFit:
    """A fit that the core runs as a whole, in one or several parts.

    Parameters
    ----------
    fit : Fit
        A native one; nothing of its trainer changes before `begin`.
    schedules : dict
        Schedules laid out for many fits, by what they follow from: they are shared.

    Raises
    ------
    ValueError
        If a name or the schedule does not go with the fit.
    """

    def __init__(self, fit: Fit, schedules: dict[Any, LearningRate]) -> None:
        self.fit = fit
        trainer, rows, held_out = fit.trainer, fit.rows, fit.held_out
        assert _is_native(rows)
        assert held_out is None or isinstance(held_out, ArrayRows)
        names = None if fit.metrics is None else [str(metric) for metric in fit.metrics]
        recorded = recorded_names(trainer, held_out, fit.metrics)
        self.history = History("val_loss" if held_out else "loss")
        rule = fit.callbacks[0] if fit.callbacks else None
        stopping = None
        if isinstance(rule, EarlyStopping):
            name = monitored(rule.monitor, recorded, "EarlyStopping")
            self.history.monitor, self.history.mode = name, rule.mode
            stopping = (name, sign_of(name, rule.mode), rule.patience, rule.min_delta, rule.restore_best)
        self._epoch_steps = steps_of_epoch(trainer, rows.n_rows, fit.batch_size)
        key = trainer._lr, trainer.n_steps, fit.epochs, self._epoch_steps, *recorded
        if key not in schedules:
            schedules[key] = laid_out(trainer, fit.epochs, self._epoch_steps, recorded)
        self._rate = schedules[key]
        self.course = Course(
            trainer._core, rows.parts, None if held_out is None else held_out.parts, fit.epochs, fit.batch_size,
            fit.shuffle, fit.rollback, names, [] if held_out is None else held_out.units, stopping,
        )  # fmt: skip

    def begin(self) -> None:
        """Give the trainer the history and the rate of this fit."""
        if not self.course.begun and self.fit.trainer.history is not self.history:
            self.fit.trainer.history = self.history
            self.fit.trainer._use(self._rate)

    def lay_out(self, end: int, tables: dict[Any, Rates]) -> int:
        """Tell the core the rates of the epochs up to `end`, or of some; return up to which.

        Parameters
        ----------
        end : int
            The number of an epoch.
        tables : dict
            Rates of many fits, by what they follow from: they are shared.
        """
        rate, done, first = self._rate, self.course.n_epochs, self.fit.trainer.n_steps
        if not callable(rate):
            return end
        end = min(end, done + max(1, _RATES_AT_ONCE // self._epoch_steps))
        count = (end - done) * self._epoch_steps
        key = rate, first, count
        if key not in tables:
            tables[key] = Rates(first, [_rate_of(rate, step) for step in range(first, first + count)])
        self.course.set_rates(tables[key])
        return end

    def record(self) -> None:
        """Let the history have the epochs so far."""
        if self.course.n_epochs:
            self.history._columns = self.course.record()

    def end(self) -> DivergedError | None:
        """End it where it is; return how it diverged."""
        if not self.course.begun:
            return None
        self.course.end()
        self.record()
        return self.diverged

    @property
    def diverged(self) -> DivergedError | None:
        """How it diverged, None where it has not."""
        if self.course.divergence is None:
            return None
        error = DivergedError()
        error.epoch, error.step, error.learning_rate, error.loss = self.course.divergence
        error.args = (divergence_text(error, rollback=self.fit.rollback),)
        return error


def _rate_of(rate: Callable[[int], float], step: int) -> float:
    """Return the rate of a step, NaN where it cannot be computed: the core refuses that when it comes to the step."""
    try:
        return float(rate(step))
    except ArithmeticError:
        return math.nan


class PythonFit:
    """A fit that asks something of Python, run epoch by epoch.

    Parameters
    ----------
    fit : Fit
        Any.
    """

    def __init__(self, fit: Fit) -> None:
        self.fit, self.n_epochs, self.over = fit, 0, False
        self._epochs: Generator[int] | None = None
        self.diverged: DivergedError | None = None

    @property
    def has_begun(self) -> bool:
        """Whether its first epoch has begun."""
        return self._epochs is not None

    def check(self) -> None:
        """Raise ValueError for what the first epoch would refuse."""
        fit = self.fit
        n_rows = fit.rows.check(fit.trainer._core)
        if fit.held_out is not None:
            fit.held_out.check(fit.trainer._core)
        recorded = recorded_names(fit.trainer, fit.held_out, fit.metrics)
        laid_out(fit.trainer, fit.epochs, steps_of_epoch(fit.trainer, n_rows, fit.batch_size), recorded)

    def advance(self, pause_at: int, more: Sequence[Callback] = (), look: Callable[[], object] | None = None) -> None:
        """Go on until it has had so many epochs, calling `look` after each; with more callbacks in the first part."""
        fit = self.fit
        if self.n_epochs >= pause_at:
            return
        if self._epochs is None:
            rows, held_out = taken(fit.rows), None if fit.held_out is None else taken(fit.held_out)
            self._epochs = epochs_of(
                fit.trainer, rows, held_out, fit.metrics, [*fit.callbacks, *more], fit.epochs, fit.batch_size,
                fit.shuffle, fit.rollback,
            )  # fmt: skip
        try:
            for epoch in self._epochs:
                self.n_epochs = epoch + 1
                if look is not None:
                    look()
                if self.n_epochs == pause_at < fit.epochs:
                    return
            self.over = True
        except DivergedError as error:
            self.diverged = error

    def end(self) -> DivergedError | None:
        """End it where it is; return how it diverged."""
        if self._epochs is not None:
            self._epochs.close()
        return self.diverged


class Fits:
    """Fits that run together, in one or several parts; the same seeds give the same bits as one after the other.

    Parameters
    ----------
    fits : sequence of Fit
        Each of another network. Nothing changes before the first part.
    threads : int
        How many threads to use, >= 1.
    at_once : int, default=None
        How many fits to run at a time, >= 1; None: as many as threads.
    by_hand : bool, default=False
        Whether those that need Python run one after the other, in this thread.
    progress : callable, default=None
        Called now and then in this thread; not while fits need Python.
    name : str, default=""
        The argument that the fits are of, which errors then name with the place of one.

    Raises
    ------
    ValueError
        If a name or a schedule does not go with a fit.
    """

    def __init__(
        self,
        fits: Sequence[Fit],
        threads: int,
        *,
        at_once: int | None = None,
        by_hand: bool = False,
        progress: Progress | None = None,
        name: str = "",
    ) -> None:
        self.threads, self.at_once, self.by_hand, self.progress = threads, at_once or threads, by_hand, progress
        self.name = name if len(fits) > 1 else ""
        self.running: list[NativeFit | PythonFit] = []
        schedules: dict[Any, LearningRate] = {}
        for place, fit in enumerate(fits):
            with self._named(place):
                self.running.append(NativeFit(fit, schedules) if fit.is_native else PythonFit(fit))
        self._checked: set[int] = set()

    def advance(self, pauses: Sequence[int] | None = None, which: Sequence[int] | None = None) -> None:
        """Go on, some or all, until each has had so many epochs, or to their ends; a paused one has its history so far.

        Raises
        ------
        ValueError
            If rows are no good; nothing has changed then.
        KeyboardInterrupt
            By Ctrl-C: all are ended then. Every network is usable, and trainers have the histories until then.
        """
        places = range(len(self.running)) if which is None else which
        ends = [self.running[place].fit.epochs for place in places] if pauses is None else pauses
        native: list[tuple[NativeFit, int]] = []
        by_hand: list[tuple[PythonFit, int]] = []
        for place, end in zip(places, ends, strict=True):
            one = self.running[place]
            if isinstance(one, NativeFit):
                native.append((one, end))
            else:
                by_hand.append((one, end))
        self._check(places)
        try:
            self._run(native)
            if pauses is None:
                threads = 1 if self.by_hand else min(self.threads, self.at_once)
                run_together([partial(one.advance, end) for one, end in by_hand], threads)
            else:
                for one, end in by_hand:
                    one.advance(end, (), self._look)
            if by_hand:
                self._look()
        except BaseException:
            self.end()
            raise

    def _check(self, places: Sequence[int]) -> None:
        """Check the rows of those that have not been checked; a single one that needs Python does it when it begins."""
        new = [place for place in places if place not in self._checked]
        self._checked.update(new)
        courses, names = [], []
        for place in new:
            one = self.running[place]
            if isinstance(one, NativeFit):
                courses.append(one.course)
                names.append(self._name(place))
            elif len(self.running) > 1:
                with self._named(place):
                    one.check()
        check_courses(courses, self.threads, names)

    def _run(self, native: Sequence[tuple[NativeFit, int]]) -> None:
        """Run fits in the core, as far at a time as their rates are laid out."""
        tables: dict[Any, Rates] = {}
        running = [one for one, _ in native]
        for one in running:
            one.begin()
        while native := [(one, end) for one, end in native if not one.course.over and one.course.n_epochs < end]:
            pauses = [one.lay_out(end, tables) for one, end in native]
            courses = [one.course for one, _ in native]
            run_courses(courses, pauses, self.threads, self.at_once, None if self.progress is None else self._look)
            tables.clear()
        for one in running:
            if not one.course.over:  # others are still to be ended
                one.record()

    def _look(self) -> None:
        if self.progress is not None:
            running = (one.course if isinstance(one, NativeFit) else one for one in self.running)
            self.progress(sum(one.n_epochs for one in running))

    def share(self, place: int) -> float:
        """Return how much of its epochs a fit has had; all if it has stopped early."""
        one = self.running[place]
        over = one.course.over and one.diverged is None if isinstance(one, NativeFit) else one.over
        done = one.course.n_epochs if isinstance(one, NativeFit) else one.n_epochs
        return 1.0 if over else done / one.fit.epochs

    def _name(self, place: int) -> str:
        return f"{self.name}[{place}]: " if self.name else ""

    @contextmanager
    def _named(self, place: int) -> Iterator[None]:
        """Let errors begin with the place of a fit."""
        try:
            yield
        except ValueError as error:
            if not self.name:
                raise
            raise ValueError(f"{self._name(place)}{reason_of(error)}") from None

    def end(self, which: Sequence[int] | None = None) -> list[DivergedError | None]:
        """End some or all where they are; return which of them diverged, and how."""
        return [self.running[place].end() for place in (range(len(self.running)) if which is None else which)]


def run_fits(fits: Sequence[Fit], threads: int, **options: Any) -> list[DivergedError | None]:
    """Run fits to their ends, with options of `Fits`; return which diverged, and how."""
    running = Fits(fits, threads, **options)
    running.advance()
    return running.end()
