"""What a callback is, and what it is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from numpy.typing import ArrayLike, NDArray

from ..history import History
from ..losses import LossFunction
from ..metrics import Metric
from ..network import Network
from ..optimizers import Optimizer

Rows: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]


class TrainerView(Protocol):
    """A trainer as callbacks see it: `steepest.Trainer` is one, and says what each of these is."""

    history: History

    @property
    def network(self) -> Network:
        """The network, with the weights of the moment."""

    @property
    def loss(self) -> str | LossFunction:
        """The loss, by name or as the user's own function."""

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer, as given."""

    @property
    def ema(self) -> float | None:
        """The factor of the running average of the weights, None without one."""

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step; it may be set."""

    @learning_rate.setter
    def learning_rate(self, value: float) -> None: ...

    @property
    def n_steps(self) -> int:
        """Steps taken so far, over all fits."""

    @property
    def averaged(self) -> Network:
        """A copy of the network with averaged weights."""

    @property
    def turns(self) -> list[tuple[str, float, float]]:
        """Layer, cost before and cost after, where layers move one after the other."""

    def evaluate(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        metrics: Iterable[Metric] | None = None,
    ) -> dict[str, float]:
        """Compute the loss and other metrics."""

    def save(self, path: Any) -> None:
        """Write a checkpoint."""

    def _check_saveable(self) -> None:
        """Raise ValueError for what no file can hold."""

    def _evaluated_state(self) -> NDArray[Any]:
        """Return the parameters and running statistics that `evaluate` goes by."""

    def _restore_state(self, state: NDArray[Any]) -> None:
        """Give the network an older state; a running average begins anew there."""


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
    data, validation : (x, y, sample_weight) or None
        The training rows and the validation rows, as the fit reads them; None where a fit has none, or none to show.
    """

    trainer: TrainerView
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
    data: Rows | None = field(default=None, repr=False, compare=False)
    validation: Rows | None = field(default=None, repr=False, compare=False)

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
