"""Callbacks that end a fit."""

from __future__ import annotations

import time
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._probabilities import sigmoid, softmax
from .._validation import Spec, choice, flag, integer, number
from ..metrics import MODES, monitored, sign_of
from .base import Callback, FitState, TrainerView


class BestWeights:
    """Keeps the weights of the best epoch: the averaged ones of a trainer with `ema`.

    Attributes
    ----------
    score : float
        The best score so far, -inf before the first.

    Examples
    --------
    >>> import steepest as st
    >>> from steepest.callbacks import BestWeights
    >>> class KeepFirst(st.Callback):
    ...     def on_train_begin(self, fit):
    ...         self.best = BestWeights()
    ...     def on_epoch_end(self, fit):
    ...         self.best.offer(-fit.epoch, fit)  # of all epochs, the first has the largest score
    ...     def on_train_end(self, fit):
    ...         self.best.put_back(fit)
    >>> trainer = st.Trainer(st.Network(1, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> x, y = [[0.0], [1.0]], [1.0, 3.0]
    >>> history = trainer.fit(x, y, epochs=9, callbacks=[KeepFirst()])
    >>> other = st.Trainer(st.Network(1, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> history = other.fit(x, y, epochs=1)
    >>> (trainer.predict(x) == other.predict(x)).all().item()
    True
    """

    def __init__(self) -> None:
        self.score = -np.inf
        self._state: NDArray[Any] | None = None

    def offer(self, score: float, fit: FitState, keep: bool = True) -> None:
        """Take in an epoch.

        Parameters
        ----------
        score : float
            The epoch's score: the larger, the better.
        fit : FitState
            The fit, whose network has the epoch's weights.
        keep : bool, default=True
            Whether to keep these weights if the score is the best.
        """
        if score > self.score:
            self.score = score
            if keep:
                self._state = fit.trainer._evaluated_state()

    def put_back(self, fit: FitState) -> bool:
        """Give the network the best weights, and forget them; return whether there were any."""
        state, self._state = self._state, None
        if state is not None:
            fit.trainer._restore_state(state)
        return state is not None


@dataclass(repr=False)
class EarlyStopping(Spec, Callback):
    """Stop when a metric no longer improves, and keep the best weights.

    Parameters
    ----------
    monitor : str, default=None
        The metric to watch, such as "val_accuracy". None: val_loss, or loss without validation rows.
    patience : int, default=10
        Stop when this many epochs in a row brought no improvement, >= 1.
    min_delta : float, default=0.0
        An improvement is better than the best before by more than this, >= 0, in the metric's unit.
    mode : {"auto", "min", "max"}, default="auto"
        Whether smaller or larger is better; "auto": larger for accuracy, r2, auc, f1 and top-k, smaller for the rest.
    restore_best : bool, default=True
        Leave the network with the weights of the best epoch (the best by any margin) whatever ended the fit. The
        optimizer's state stays that of the last step.

    Raises
    ------
    TypeError
        If an argument is of a wrong type.
    ValueError
        If `patience`, `min_delta` or `mode` is out of its range. At the beginning of a fit: if the fit has no metric
        `monitor`.

    Notes
    -----
    A metric that is not a number is no improvement.

    Examples
    --------
    >>> import steepest as st
    >>> trainer = st.Trainer(st.Network(1, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> x, y = [[0.0], [1.0]], [1.0, 3.0]
    >>> stopping = st.EarlyStopping(monitor="val_loss", patience=5)
    >>> history = trainer.fit(x, y, epochs=100, validation=([[0.5]], [1.0]), callbacks=[stopping])
    >>> history.n_epochs < 100, history.best_epoch == history.n_epochs - 6
    (True, True)
    """

    monitor: str | None = None
    patience: int = 10
    _: KW_ONLY
    min_delta: float = 0.0
    mode: str = "auto"
    restore_best: bool = True

    def __post_init__(self) -> None:
        """Check the arguments."""
        self.patience = integer("patience", self.patience, ge=1)
        self.min_delta = number("min_delta", self.min_delta, ge=0)
        self.mode = choice("mode", self.mode, MODES)
        self.restore_best = flag("restore_best", self.restore_best)

    def on_train_begin(self, fit: FitState) -> None:
        """Start anew."""
        self._name = monitored(self.monitor, fit.metric_names, "EarlyStopping")
        fit.history.monitor, fit.history.mode = self._name, self.mode
        self._best, self._reference = BestWeights(), -np.inf
        self._waited = 0

    def on_epoch_end(self, fit: FitState) -> None:
        """Compare the epoch with the best."""
        score = sign_of(self._name, self.mode) * fit.metrics[self._name]
        self._best.offer(score, fit, self.restore_best)
        if score > self._reference + self.min_delta:
            self._reference = score
            self._waited = 0
            return
        self._waited += 1
        if self._waited >= self.patience:
            fit.stop()

    def on_train_end(self, fit: FitState) -> None:
        """Put the best weights back."""
        if self._best.put_back(fit):
            # Of several that restore, the first in the list ends last: the best epoch is the one whose weights stay.
            fit.history.monitor, fit.history.mode = self._name, self.mode


@dataclass(repr=False)
class TimeLimit(Spec, Callback):
    """Stop after the epoch in which the time ran out.

    Parameters
    ----------
    seconds : float
        The time that a fit may take, > 0, counted from its start.

    Raises
    ------
    TypeError
        If `seconds` is no number.
    ValueError
        If `seconds` is not above 0 and finite.

    Examples
    --------
    >>> import steepest as st
    >>> trainer = st.Trainer(st.Network(1, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> x, y = [[0.0], [1.0]], [1.0, 3.0]
    >>> history = trainer.fit(x, y, epochs=10, callbacks=[st.TimeLimit(60)])
    >>> history.n_epochs
    10
    """

    seconds: float

    def __post_init__(self) -> None:
        """Check the argument."""
        self.seconds = number("seconds", self.seconds, gt=0)

    def on_train_begin(self, fit: FitState) -> None:
        """Start the clock."""
        self._end = time.monotonic() + self.seconds

    def on_epoch_end(self, fit: FitState) -> None:
        """Look at the clock."""
        if time.monotonic() >= self._end:
            fit.stop()


class Until(Callback):
    """Stop after the first epoch in which every metric named has reached its target: the fit's epochs are the limit.

    Parameters
    ----------
    **targets : float
        Names of the history's and their targets, such as ``val_accuracy=0.97``: at least that for accuracy, r2, auc, f1
        and top-k, at most that for the rest. Where the history has no such name, the validation rows' is meant:
        ``accuracy=0.97``. "confidence" is the mean probability given to the right class on the validation rows,
        softmax(outputs)[label], or sigmoid for binary_cross_entropy; at least that much, > 0 and <= 1.

    Attributes
    ----------
    reached : bool
        Whether the last fit reached all targets.
    values : dict of str to float
        The targets' metrics after the last epoch.

    Raises
    ------
    TypeError
        If a target is no number.
    ValueError
        If there are no targets, or one is out of its range. At the beginning of a fit: if the fit has no such metric,
        or confidence is asked for without validation rows or of a loss that is not of classes.

    Examples
    --------
    >>> import steepest as st
    >>> trainer = st.Trainer(st.Network(1, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> x, y = [[0.0], [1.0]], [1.0, 3.0]
    >>> history = trainer.fit(x, y, epochs=1000, callbacks=[st.Until(loss=0.01)])
    >>> history.n_epochs < 1000, bool(history["loss"][-1] <= 0.01)
    (True, True)
    """

    def __init__(self, **targets: float) -> None:
        if not targets:
            raise ValueError("Until has no targets: expected metrics such as val_accuracy=0.97")
        self.targets = {name: number(name, target) for name, target in targets.items()}
        if "confidence" in self.targets:
            number("confidence", self.targets["confidence"], gt=0, le=1)
        self.reached = False
        self.values: dict[str, float] = {}

    def on_train_begin(self, fit: FitState) -> None:
        """Check that the metrics will be there."""
        self._names = {}
        for name in self.targets:
            if name == "confidence" and name not in fit.metric_names:
                if fit.validation is None:
                    raise ValueError("Until wants confidence: expected a fit with validation=(x, y)")
                if fit.trainer.loss not in ("cross_entropy", "binary_cross_entropy"):
                    raise ValueError(f"Until wants confidence: the loss is {fit.trainer.loss}, expected one of classes")
                continue
            held_out = f"val_{name}"
            known = name not in fit.metric_names and held_out in fit.metric_names
            self._names[name] = monitored(held_out if known else name, fit.metric_names, "Until")
        self.reached, self.values = False, {}

    def on_epoch_end(self, fit: FitState) -> None:
        """Compare the epoch with the targets."""
        self.values = {name: fit.metrics[found] for name, found in self._names.items()}
        if len(self.values) < len(self.targets):
            assert fit.validation is not None
            self.values["confidence"] = confidence(fit.trainer, *fit.validation)
        self.reached = all(sign_of(name) * (self.values[name] - target) >= 0 for name, target in self.targets.items())
        if self.reached:
            fit.stop()

    def __repr__(self) -> str:
        """Return the call that makes this object."""
        return f"Until({', '.join(f'{name}={target!r}' for name, target in self.targets.items())})"


def confidence(trainer: TrainerView, x: NDArray[Any], y: NDArray[Any], sample_weight: NDArray[Any] | None) -> float:
    """Return the mean probability of the right answer; where targets are probabilities, weighted by these.

    Parameters
    ----------
    trainer : Trainer
        A trainer by "cross_entropy" or "binary_cross_entropy".
    x : array of shape (n, n_in)
        The rows.
    y : array of shape (n,) or (n, n_out)
        Their labels or probabilities.
    sample_weight : array of shape (n,) or None
        Their weights, >= 0.
    """
    outputs = (trainer.ema_network if trainer.ema else trainer.network).predict(x).astype(np.float64)
    if trainer.loss == "cross_entropy":
        given = softmax(outputs)
        right = given[np.arange(len(y)), y.astype(np.intp)] if y.ndim == 1 else (given * y).sum(axis=1)
    else:
        truth = np.asarray(y, np.float64).reshape(outputs.shape)
        given = sigmoid(outputs)
        right = (truth * given + (1 - truth) * (1 - given)).mean(axis=1)
    return float(np.average(right, weights=sample_weight))
