"""What goes on around the epochs of a fit: the history, and callbacks that watch and may end it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._spec import Spec, choice, flag, integer, number

if TYPE_CHECKING:
    import pandas

    from .training import Trainer

MODES = ("auto", "min", "max")


def sign_of(metric: str, mode: str = "auto") -> float:
    """Return 1 where larger values of a metric are better, else -1; "auto" knows by the metric's name."""
    if mode == "auto":
        larger = metric.removeprefix("val_").startswith(("accuracy", "r2", "auc", "f1", "top"))
        mode = "max" if larger else "min"
    return 1.0 if mode == "max" else -1.0


def monitored(monitor: str | None, metrics: Sequence[str], who: str) -> str:
    """Return the metric to watch: by default val_loss, or loss without validation rows."""
    if monitor is None:
        return "val_loss" if "val_loss" in metrics else "loss"
    if monitor not in metrics:
        hint = "; val_ metrics need validation=(x, y)" if str(monitor).startswith("val_") else ""
        raise ValueError(f"{who} monitors {monitor!r}: this fit records {', '.join(metrics)}{hint}")
    return monitor


class History(Mapping[str, NDArray[np.float64]]):
    """What `Trainer.fit` recorded: a mapping from a name to an array with one number an epoch.

    "loss" is the mean training loss over the rows, each taken at the moment its batch was trained; "learning_rate" the
    rate of the epoch's last step; "seconds" the time the epoch took, validation included; "val_..." what
    `Trainer.evaluate` says of the validation rows after the epoch.

    Attributes
    ----------
    monitor : str
        The metric that `best_epoch` goes by: that of `EarlyStopping`, else val_loss, or loss without validation rows.
    mode : {"auto", "min", "max"}
        Whether the smallest or the largest is the best; "auto" knows by the metric's name.
    """

    def __init__(self, monitor: str = "loss", mode: str = "auto") -> None:
        self.monitor = monitor
        self.mode = mode
        self._columns: dict[str, list[float]] = {}

    def append(self, metrics: Mapping[str, float]) -> None:
        """Add an epoch."""
        for name, value in metrics.items():
            self._columns.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return the numbers of one metric, shape (epochs,)."""
        return np.array(self._columns[name], dtype=np.float64)

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._columns)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._columns)

    @property
    def n_epochs(self) -> int:
        """How many epochs were recorded."""
        return len(self._columns.get("loss", ()))

    @property
    def best_epoch(self) -> int | None:
        """Index of the (first) best epoch, from 0; None where there is none with a number."""
        scores = sign_of(self.monitor, self.mode) * self[self.monitor] if self.n_epochs else np.empty(0)
        return None if np.isnan(scores).all() else int(np.nanargmax(scores))

    def to_frame(self) -> pandas.DataFrame:
        """Return a pandas DataFrame: a row for each epoch, a column for each name."""
        import pandas

        return pandas.DataFrame(self._columns).rename_axis("epoch")

    def __repr__(self) -> str:
        """Return a short account."""
        if not self.n_epochs:
            return "History(0 epochs)"
        names = dict.fromkeys(("loss", self.monitor))
        moves = [f"{name} {self[name][0]:.4g} -> {self[name][-1]:.4g}" for name in names]
        return f"History({self.n_epochs} epochs, best {self.best_epoch} by {self.monitor}: {', '.join(moves)})"


@dataclass
class FitState:
    """Where a fit stands: what every callback is given.

    Attributes
    ----------
    trainer : Trainer
        The trainer; its network has the weights of the moment.
    epochs, batch_size, n_rows : int
        What `fit` was asked for.
    metric_names : tuple of str
        What the history will record.
    history : History
        The epochs so far.
    epoch : int
        The epoch that runs or has just ended, from 0.
    metrics : dict of str to float
        What the last epoch ended with.
    rows_done : int
        Rows trained in this epoch so far, for `Callback.wake`.
    running_loss : float
        Their mean loss.
    stopped : bool
        Whether a callback asked to stop after this epoch.
    """

    trainer: Trainer
    epochs: int
    batch_size: int
    n_rows: int
    metric_names: tuple[str, ...]
    history: History
    epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    rows_done: int = 0
    running_loss: float = float("nan")
    stopped: bool = False

    def stop(self) -> None:
        """Ask the fit to end after this epoch."""
        self.stopped = True


class Callback:
    """Base of what can be hooked into `Trainer.fit`; each method does nothing until overridden.

    A callback may change the network's parameters or the learning rate, end the fit by ``fit.stop()``, and raise any
    exception, which ends the fit too and passes on to the caller.
    """

    def on_fit_begin(self, fit: FitState) -> None:
        """Act before the first epoch; an error raised here leaves the network as it was."""

    def on_epoch_end(self, fit: FitState) -> None:
        """Act after an epoch, with its numbers in ``fit.metrics``."""

    def on_fit_end(self, fit: FitState) -> None:
        """Act after the last epoch, whatever ended the fit: epochs, `stop`, divergence, an error or Ctrl-C."""

    def wake(self, fit: FitState) -> None:
        """Look at the progress within an epoch: called between steps, at most every 50 ms or so."""


@dataclass(repr=False)
class EarlyStopping(Spec, Callback):
    """Stop when a metric no longer improves, and keep the best weights.

    Parameters
    ----------
    monitor : str, optional
        What to watch, such as "val_accuracy"; by default val_loss, or loss without validation rows.
    patience : int
        Stop when this many epochs in a row brought no improvement.
    min_delta : float
        What counts as one: better than the best before by more than this.
    mode : {"auto", "min", "max"}
        Whether smaller or larger is better; "auto": larger for accuracy, r2, auc, f1 and top-k, smaller for the rest.
    restore_best : bool
        Leave the network with the weights of the best epoch (the best by any margin) whatever ended the fit. The
        optimiser's state stays that of the last step.

    Notes
    -----
    A metric that is not a number is no improvement.
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

    def on_fit_begin(self, fit: FitState) -> None:
        """Start anew."""
        self._name = monitored(self.monitor, fit.metric_names, "EarlyStopping")
        fit.history.monitor, fit.history.mode = self._name, self.mode
        self._best = self._reference = -np.inf
        self._waited = 0
        self._weights: NDArray[Any] | None = None

    def on_epoch_end(self, fit: FitState) -> None:
        """Compare the epoch with the best."""
        score = sign_of(self._name, self.mode) * fit.metrics[self._name]
        if score > self._best:
            self._best = score
            if self.restore_best:
                self._weights = fit.trainer.network._core.state()
        if score > self._reference + self.min_delta:
            self._reference = score
            self._waited = 0
            return
        self._waited += 1
        if self._waited >= self.patience:
            fit.stop()

    def on_fit_end(self, fit: FitState) -> None:
        """Put the best weights back."""
        if self._weights is not None:
            fit.trainer.network._core.restore(self._weights)
            self._weights = None


class PrintEpochs(Callback):
    """Print a line after each epoch; what ``fit(verbose=True)`` adds."""

    def on_epoch_end(self, fit: FitState) -> None:
        """Print the epoch's numbers."""
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in fit.metrics.items())
        print(f"epoch {fit.epoch + 1}/{fit.epochs}  {numbers}", flush=True)
