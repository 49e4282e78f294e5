# ruff: noqa: N801  (the lower-case names are the interface: st.schedules.cosine(0.1))
"""Learning rates that change while training: give one to an optimizer as `lr`.

A schedule is a value that answers ``schedule(step)`` with the rate of that step. Steps are those of the optimizer,
counted by the trainer from 0 and on through all its fits. Any other function of the step may stand in its place; it
must depend on the step alone.

Definitions are PyTorch's, with its scheduler stepped after every optimizer step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, TypeAlias

from ._validation import Spec, choice, from_dict, integer, number, text
from .metrics import MODES, monitored, sign_of

__all__ = ["Schedule", "constant", "cosine", "exponential", "one_cycle", "plateau", "step"]

LearningRate: TypeAlias = float | Callable[[int], float]


@dataclass(frozen=True, repr=False)
class Schedule(Spec):
    """Base of the schedules.

    Parameters
    ----------
    lr : float
        The rate, >= 0.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If an argument is out of its range, as the schedule documents it.

    Examples
    --------
    >>> import steepest as st
    >>> isinstance(st.schedules.cosine(0.1), st.schedules.Schedule)
    True
    """

    lr: float

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(lr=number("lr", self.lr, ge=0))

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return this schedule as plain JSON values; ValueError where it is of a class of the user's own."""
        if type(self) not in _KINDS.values():
            raise ValueError(
                f"cannot save the learning rate {self!r}: only numbers and steepest.schedules can be saved"
            )
        return super().to_dict()

    def lay_out(self, start: int, steps: int, epoch_steps: int, metrics: Sequence[str]) -> Schedule:
        """Return the schedule for a fit.

        Parameters
        ----------
        start : int
            The fit's first step, counted through all fits of the trainer.
        steps : int
            Steps in the fit.
        epoch_steps : int
            Steps in an epoch.
        metrics : sequence of str
            Names of the metrics that the fit records.

        Returns
        -------
        Schedule
            This one, or a copy fitted to the fit.
        """
        return self

    def observe(self, metrics: Mapping[str, float]) -> Schedule:
        """Return the schedule for the steps after an epoch.

        Parameters
        ----------
        metrics : mapping of str to float
            The epoch's metrics.

        Returns
        -------
        Schedule
            This one, or a copy that has counted the epoch.
        """
        return self


def _tuple_of(name: str, value: object, n: int) -> tuple[Any, ...]:
    """Return a sequence of n values as a tuple; TypeError, which names it, where it is none."""
    if not isinstance(value, (tuple, list)) or len(value) != n:
        raise TypeError(f"{name} is {value!r}: expected {n} values")
    return tuple(value)


@dataclass(frozen=True, repr=False)
class constant(Schedule):
    """The same rate for ever.

    Parameters
    ----------
    lr : float
        The rate, >= 0.

    Examples
    --------
    >>> import steepest as st
    >>> rate = st.schedules.constant(0.1)
    >>> rate(0), rate(1000)
    (0.1, 0.1)
    """

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.lr


@dataclass(frozen=True, repr=False)
class _Falling(Schedule):
    _: KW_ONLY
    every: int
    factor: float
    unit: str = "steps"
    epoch_steps: int | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        self._set(every=integer("every", self.every, ge=1), factor=number("factor", self.factor, gt=0))
        choice("unit", self.unit, ("steps", "epochs"))
        if self.epoch_steps is not None:
            self._set(epoch_steps=integer("epoch_steps", self.epoch_steps, ge=1))

    def lay_out(self, start: int, steps: int, epoch_steps: int, metrics: Sequence[str]) -> Schedule:
        """Take over how long an epoch is."""
        return replace(self, epoch_steps=epoch_steps) if self.unit == "epochs" else self

    def _period(self) -> int:
        if self.unit == "steps":
            return self.every
        if self.epoch_steps is None:
            raise ValueError(
                f"{self} counts epochs, which only fit knows: use unit='steps' or give epoch_steps with Trainer.step"
            )
        return self.every * self.epoch_steps


@dataclass(frozen=True, repr=False)
class step(_Falling):
    """Multiply the rate by `factor` at every `every`-th step or epoch: ``lr * factor ** (t // every)``.

    Parameters
    ----------
    lr : float
        The first rate.
    every : int
        How long a rate stays, in `unit`, >= 1.
    factor : float, default=0.1
        Multiplies the rate then, > 0.
    unit : {"steps", "epochs"}, default="steps"
        The unit of `every`: steps of the optimizer, or epochs as long as those of the running fit.
    epoch_steps : int, default=None
        Steps in an epoch, for ``unit="epochs"``; `Trainer.fit` fills it in.

    Examples
    --------
    >>> import steepest as st
    >>> rate = st.schedules.step(0.1, every=30, factor=0.1)
    >>> [round(rate(step), 4) for step in (0, 29, 30, 60)]
    [0.1, 0.1, 0.01, 0.001]
    """

    _: KW_ONLY
    factor: float = 0.1

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        return float(self.lr * self.factor ** (step // self._period()))


@dataclass(frozen=True, repr=False)
class exponential(_Falling):
    """Multiply the rate by `factor` over every `every` steps or epochs, smoothly: ``lr * factor ** (t / every)``.

    Parameters
    ----------
    lr : float
        The first rate.
    factor : float
        Multiplies the rate in the course of `every`, > 0; over 1 the rate grows.
    every : int, default=1
        How long that takes, in `unit`, >= 1.
    unit : {"steps", "epochs"}, default="steps"
        The unit of `every`: steps of the optimizer, or epochs as long as those of the running fit.
    epoch_steps : int, default=None
        Steps in an epoch, for ``unit="epochs"``; `Trainer.fit` fills it in.

    Notes
    -----
    With ``every=1`` this is PyTorch's ExponentialLR; with epochs it agrees with it at the start of each epoch.

    Examples
    --------
    >>> import steepest as st
    >>> rate = st.schedules.exponential(0.1, every=100, factor=0.5)
    >>> [round(rate(step), 4) for step in (0, 50, 100, 200)]
    [0.1, 0.0707, 0.05, 0.025]
    """

    _: KW_ONLY
    every: int = 1

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        return float(self.lr * self.factor ** (step / self._period()))


@dataclass(frozen=True, repr=False)
class _Spanning(Schedule):
    _: KW_ONLY
    total: int | None = None
    span: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        if self.total is not None:
            self._set(total=integer("total", self.total, ge=1))
        if self.span is not None:
            start, steps = _tuple_of("span", self.span, 2)
            self._set(span=(integer("span", start, ge=0), integer("span", steps, ge=1)))

    def lay_out(self, start: int, steps: int, epoch_steps: int, metrics: Sequence[str]) -> Schedule:
        """Stretch over the fit, unless `total` is given or the fit ends where an unfinished one would have ended."""
        if self.total is not None or (self.span and self.span[0] < start and sum(self.span) == start + steps):
            return self
        return replace(self, span=(start, steps))

    def _place(self, step: int) -> tuple[int, int]:
        """Return the step within the span, and the span's length."""
        if self.total is not None:
            return step, self.total
        if self.span is None:
            raise ValueError(f"{self} runs over a whole fit: give total=(number of steps) to use it with Trainer.step")
        start, steps = self.span
        return step - start, steps


@dataclass(frozen=True, repr=False)
class cosine(_Spanning):
    """Fall from `lr` to `final` along half a cosine, after a linear warm-up (Loshchilov and Hutter 2017).

    Parameters
    ----------
    lr : float
        The highest rate.
    warmup : int, default=0
        Steps of warm-up, t = 0, 1, ...: the rate is ``lr * (t + 1) / warmup``.
    final : float, default=0
        The lowest rate, >= 0, reached at step `total`.
    total : int, default=None
        Steps from the trainer's first, warm-up included. None: the whole fit, whichever it is, from its first step to
        its last; `fit` lays the curve out anew, unless it ends just where an interrupted one would have ended, which is
        then continued.
    span : (int, int), default=None
        First step and number of steps of the running fit; `Trainer.fit` fills it in.

    Notes
    -----
    As PyTorch's CosineAnnealingLR this is periodic: past `total` the rate rises again (Keras stays at the end).

    Examples
    --------
    >>> import steepest as st
    >>> rate = st.schedules.cosine(0.1, total=100, warmup=10)
    >>> [round(rate(step), 3) for step in (0, 9, 55, 99)]
    [0.01, 0.1, 0.05, 0.0]
    """

    _: KW_ONLY
    warmup: int = 0
    final: float = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        self._set(warmup=integer("warmup", self.warmup, ge=0), final=number("final", self.final, ge=0))
        total = self.total or (self.span and self.span[1])
        if total and self.warmup >= total:
            raise ValueError(f"warmup is {self.warmup}: expected fewer steps than the whole, {total}")

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        t, total = self._place(step)
        if t < self.warmup:
            return self.lr * (t + 1) / self.warmup
        turn = math.pi * (t - self.warmup) / (total - self.warmup)
        return self.final + (self.lr - self.final) * (1 + math.cos(turn)) / 2


@dataclass(frozen=True, repr=False)
class one_cycle(_Spanning):
    """Rise from ``lr / div`` to `lr` and fall to ``lr / div / final_div``, both along half a cosine (Smith 2018).

    Parameters
    ----------
    lr : float
        The highest rate.
    rise : float, default=0.3
        Share of the steps that the rise takes, 0 < rise < 1.
    div, final_div : float, default=25 and 10,000
        How many times lower than `lr` the rate starts, and how many times lower than that it ends; both >= 1.
    total : int, default=None
        Steps from the trainer's first. None: the whole fit, as in `cosine`.
    span : (int, int), default=None
        First step and number of steps of the running fit; `Trainer.fit` fills it in.

    Notes
    -----
    Rates are those of PyTorch's OneCycleLR; the momentum is left alone. Past the end the last rate stays (PyTorch
    raises).

    Examples
    --------
    >>> import steepest as st
    >>> rate = st.schedules.one_cycle(0.1, total=100)
    >>> [round(rate(step), 4) for step in (0, 29, 60, 99)]
    [0.004, 0.1, 0.0589, 0.0]
    """

    _: KW_ONLY
    rise: float = 0.3
    div: float = 25.0
    final_div: float = 1e4

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        self._set(rise=number("rise", self.rise, gt=0, lt=1))
        self._set(div=number("div", self.div, ge=1), final_div=number("final_div", self.final_div, ge=1))

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        t, total = self._place(step)
        first, last = self.lr / self.div, self.lr / self.div / self.final_div
        top, end = self.rise * total - 1, total - 1  # PyTorch's: the step with the highest rate, the last step
        if t >= end:
            return last
        low, share = (first, t / top) if t < top else (last, (end - t) / (end - top))
        return low + (self.lr - low) * (1 - math.cos(math.pi * share)) / 2


@dataclass(frozen=True, repr=False)
class plateau(Schedule):
    """Multiply the rate by `factor` when a metric has not improved for more than `patience` epochs.

    Parameters
    ----------
    lr : float
        The first rate.
    factor : float, default=0.1
        Multiplies the rate, 0 < factor < 1.
    patience : int, default=10
        Epochs in a row without improvement that are let pass, >= 0.
    threshold : float, default=1e-4
        An improvement is better than the best before by more than this share of it, >= 0.
    cooldown : int, default=0
        Epochs after a reduction during which none is counted, >= 0.
    min_lr : float, default=0
        The lowest rate, >= 0.
    monitor : str, default=None
        The metric to watch; None: val_loss, or loss without validation rows.
    mode : {"auto", "min", "max"}, default="auto"
        Whether smaller or larger is better; "auto" knows by the metric's name.
    state : (float, float or None, int, int), default=None
        The state of the schedule: rate, best metric, epochs without improvement, epochs left to cool down.
        `Trainer.fit` keeps it.

    Notes
    -----
    As PyTorch's ReduceLROnPlateau: relative threshold, and a reduction in the epoch after `patience` bad ones (Keras:
    absolute threshold, an epoch earlier). A metric that is not finite is no improvement. For negative metrics the share
    is of their size, where PyTorch's arithmetic would take a worse one for better. Only `fit` has epochs to observe:
    with `Trainer.step` the rate stays.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(1, [st.Dense(1)], seed=0)
    >>> rate = st.schedules.plateau(0.1, factor=0.5, patience=2, monitor="loss")
    >>> history = st.Trainer(net, "mse", st.SGD(rate)).fit([[0.0]], [0.0], epochs=8)  # there is nothing to learn
    >>> history["learning_rate"].round(3).tolist()
    [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025]
    """

    _: KW_ONLY
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    min_lr: float = 0.0
    monitor: str | None = None
    mode: str = "auto"
    state: tuple[float, float | None, int, int] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        self._set(factor=number("factor", self.factor, gt=0, lt=1), patience=integer("patience", self.patience, ge=0))
        self._set(threshold=number("threshold", self.threshold, ge=0), min_lr=number("min_lr", self.min_lr, ge=0))
        self._set(cooldown=integer("cooldown", self.cooldown, ge=0), mode=choice("mode", self.mode, MODES))
        if self.monitor is not None:
            text("monitor", self.monitor)
        if self.state is not None:
            rate, best, bad, cooling = _tuple_of("state", self.state, 4)
            best = None if best is None else number("state[1]", best)
            counts = integer("state[2]", bad, ge=0), integer("state[3]", cooling, ge=0)
            self._set(state=(number("state[0]", rate, ge=0), best, *counts))

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.state[0] if self.state else self.lr

    def lay_out(self, start: int, steps: int, epoch_steps: int, metrics: Sequence[str]) -> Schedule:
        """Return this schedule; ValueError where the fit does not record its metric."""
        monitored(self.monitor, metrics, "plateau")
        return self

    def observe(self, metrics: Mapping[str, float]) -> Schedule:
        """Count the epoch."""
        rate, best, bad, cooling = self.state or (self.lr, None, 0, 0)
        name = monitored(self.monitor, tuple(metrics), "plateau")
        sign, metric = sign_of(name, self.mode), metrics[name]
        better = best is None or sign * (metric - best) > self.threshold * abs(best)
        if better and math.isfinite(metric):
            best, bad = metric, 0
        else:
            bad += 1
        if cooling:
            cooling, bad = cooling - 1, 0
        if bad > self.patience:
            reduced = max(rate * self.factor, self.min_lr)
            # PyTorch's eps: a smaller change is not made.
            rate, bad, cooling = (reduced if rate - reduced > 1e-8 else rate), 0, self.cooldown
        return replace(self, state=(rate, best, bad, cooling))


_KINDS: dict[str, type[Schedule]] = {
    kind.__name__: kind for kind in (constant, step, exponential, cosine, one_cycle, plateau)
}


def schedule_from_json(data: object) -> Schedule:
    """Make the schedule that `to_dict` described; ValueError where `data` describes none."""
    return from_dict(data, _KINDS, "schedule")
