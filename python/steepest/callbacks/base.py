"""The base of callbacks, the state of a fit that their hooks are given, and the trainer as they see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    """A trainer as callbacks see it: `steepest.Trainer` is one, and says what each of these is.

    Examples
    --------
    >>> import steepest as st
    >>> trainer = st.Trainer(st.Network(1, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> trainer.learning_rate, trainer.n_steps, trainer.ema
    (0.1, 0, None)
    """

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
    def ema_network(self) -> Network:
        """A copy of the network with averaged weights."""

    @property
    def layer_costs(self) -> list[tuple[str, float, float]]:
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

    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """Predict in the units of the targets."""

    def save(self, path: Any) -> None:
        """Write a checkpoint."""

    def _check_saveable(self) -> None:
        """Raise ValueError for what no file can hold."""

    def _evaluated_state(self) -> NDArray[Any]:
        """Return the parameters and running statistics that `evaluate` goes by."""

    def _restore_state(self, state: NDArray[Any]) -> None:
        """Give the network an older state; a running average begins anew there."""


Hook: TypeAlias = Callable[["FitState"], object]

OLD_NAMES = {"on_train_begin": "on_fit_begin", "on_train_end": "on_fit_end", "on_progress": "wake"}  # of version 0.1


@dataclass
class FitState:
    """Where a fit stands: the argument of every hook of a callback.

    Attributes
    ----------
    trainer : Trainer
        The trainer; its network has the weights of the moment.
    epochs, batch_size, n_rows : int
        As `fit` was called: the most epochs, the rows in a batch, and the rows of an epoch.
    metric_names : tuple of str
        The names that the history records, in order.
    history : History
        The epochs so far.
    epoch : int, default=0
        The epoch that runs or has just ended, from 0.
    metrics : dict of str to float, default={}
        The numbers of the last epoch that ended.
    rows_done : int, default=0
        Rows trained in this epoch so far: for `on_progress` and `on_batch_end`.
    running_loss : float, default=nan
        Their mean loss.
    stopped : bool, default=False
        Whether a callback asked to stop after this epoch.
    data, validation : (x, y, sample_weight) or None, default=None
        The training rows and the validation rows, as the fit reads them; None where a fit has none, or no arrays.
    batch_loss : float, default=nan
        The mean loss of the last batch, before its update: for `on_batch_end`. NaN if all its rows have the weight 0.

    Examples
    --------
    >>> import steepest as st
    >>> trainer = st.Trainer(st.Network(1, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> x, y = [[0.0], [1.0]], [1.0, 3.0]
    >>> seen = []
    >>> watch = st.LambdaCallback(on_epoch_end=lambda fit: seen.append((fit.epoch, fit.n_rows, fit.stopped)))
    >>> history = trainer.fit(x, y, epochs=2, callbacks=[watch])
    >>> seen
    [(0, 2, False), (1, 2, False)]
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
    batch_loss: float = float("nan")

    def stop(self) -> None:
        """Ask the fit to end after this epoch."""
        self.stopped = True


class Callback:
    """Base of what can be hooked into `Trainer.fit`; each method does nothing until overridden.

    A callback may change the network's parameters or the learning rate, end the fit by ``fit.stop()``, and raise any
    exception, which ends the fit too and passes on to the caller.

    Notes
    -----
    A fit calls `on_train_begin`, then for each epoch `on_epoch_begin`, `on_batch_end` after each batch with
    `on_progress` now and then, and `on_epoch_end`, and at last `on_train_end`. Of several callbacks each hook is called
    in the order in which they were given, but `on_train_end` in the reverse order.

    `on_fit_begin`, `on_fit_end` and `wake` are the names that `on_train_begin`, `on_train_end` and `on_progress` had in
    version 0.1. Both names are one hook, which is called once: by the name that the most derived class defines, and by
    the new one where a class defines both. The old methods of this class call the new ones, so that
    ``super().on_fit_begin(fit)`` does what it did.

    Examples
    --------
    >>> import steepest as st
    >>> class Halve(st.Callback):
    ...     def on_epoch_end(self, fit):
    ...         fit.trainer.learning_rate /= 2
    >>> network = st.Network(2, [st.Dense(1)])
    >>> trainer = st.Trainer(network, "mse", st.SGD(0.08))
    >>> history = trainer.fit([[0, 1], [1, 0]], [1, 0], epochs=3, callbacks=[Halve()])
    >>> trainer.learning_rate
    0.01
    """

    only_first_rank: bool = False  # of a training by several, for what writes files or the screen
    _only_shows: bool = False  # whether an estimator may train as many networks as without it

    def on_train_begin(self, fit: FitState) -> None:
        """Act before the first epoch; an error raised here leaves the network as it was."""

    def on_epoch_begin(self, fit: FitState) -> None:
        """Act before an epoch, whose number is ``fit.epoch``."""

    def on_batch_end(self, fit: FitState) -> None:
        """Act after a batch, with its loss in ``fit.batch_loss`` and the rows of the epoch so far in ``fit.rows_done``.

        With `accumulate`, the optimizer steps after several batches. A fit in which a callback overrides this method
        runs batch by batch from Python, which takes a small network many times as long; the weights come out the same
        to the bit, the epoch's loss to rounding.
        """

    def on_epoch_end(self, fit: FitState) -> None:
        """Act after an epoch, with its numbers in ``fit.metrics``."""

    def on_train_end(self, fit: FitState) -> None:
        """Act after the last epoch, whatever ended the fit: epochs, `stop`, divergence, an error or Ctrl-C."""

    def on_progress(self, fit: FitState) -> None:
        """Look at the progress within an epoch: called between steps, at most every 50 ms or so."""

    def on_fit_begin(self, fit: FitState) -> None:
        """Call `on_train_begin`, whose old name this is."""
        self._call_by_new_name("on_train_begin", fit)

    def on_fit_end(self, fit: FitState) -> None:
        """Call `on_train_end`, whose old name this is."""
        self._call_by_new_name("on_train_end", fit)

    def wake(self, fit: FitState) -> None:
        """Call `on_progress`, whose old name this is."""
        self._call_by_new_name("on_progress", fit)

    def _call_by_new_name(self, name: str, fit: FitState) -> None:
        """Go on from a hook's old name to its new one, in the classes above those that define the old one.

        So ``super().on_fit_begin(fit)`` goes up whatever the names in a hierarchy, and never in a circle.
        """
        kinds = type(self).__mro__
        by_old_name = [kind for kind in kinds[: kinds.index(Callback)] if OLD_NAMES[name] in vars(kind)]
        getattr(super(by_old_name[-1], self) if by_old_name else self, name)(fit)

    def _hook(self, name: str) -> Hook | None:
        """Return the method to call as the hook of this (new) name; None where no class overrides it."""
        old = OLD_NAMES.get(name, name)
        derived = type(self).__mro__[: type(self).__mro__.index(Callback)]
        for defined in (vars(self), *map(vars, derived)):
            if name in defined or old in defined:
                hook: Hook = getattr(self, name if name in defined else old)
                return hook
        return None


def check_callbacks(callbacks: Iterable[Callback] | Callback) -> list[Callback]:
    """Return callbacks, or a single one, as a list.

    Parameters
    ----------
    callbacks : Callback or iterable of Callback
        Those of a fit.

    Returns
    -------
    list of Callback
        A new one.

    Raises
    ------
    TypeError
        If `callbacks` holds anything but objects of `Callback`.

    Examples
    --------
    >>> import steepest as st
    >>> from steepest.callbacks import check_callbacks
    >>> len(check_callbacks(st.TimeLimit(60)))
    1
    """
    active = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in active:
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks contains {callback!r}: expected objects such as EarlyStopping(patience=5)")
    return active
