"""Scikit-learn's own ways: its first weights, its rules for stopping, and its loss with the penalty in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..callbacks import BestWeights, Callback, FitState, TrainerView
from ..network import Network, dense_names
from ..training import Trainer
from ._optimizer import gradient_factor, sklearn_penalty
from ._params import Settings
from ._task import Task, loss_name


def draw_like_sklearn(network: Network, random: np.random.RandomState, *, logistic: bool) -> None:
    """Draw the weights that scikit-learn draws from the same state: Glorot's uniform, for the biases too."""
    values: dict[str, NDArray[Any]] = {}
    shapes = {name: array.shape for name, array in network.parameters.items()}
    for name in dense_names(network):
        shape = shapes[f"{name}.weight"]
        bound = np.sqrt((2.0 if logistic else 6.0) / sum(shape))
        values[f"{name}.weight"] = random.uniform(-bound, bound, shape)
        values[f"{name}.bias"] = random.uniform(-bound, bound, shape[1])
    network.set_parameters(values)


class StopLikeSklearn(Callback):
    """Scikit-learn's rules: when to stop, and how the learning rate changes between epochs.

    Parameters
    ----------
    metric : str
        "loss" to watch the training loss, or a metric of the validation rows.
    sign : float
        1 where larger is better, else -1.
    tol, patience : float
        Stop, or lower the rate, when more than `patience` epochs in a row gained less than `tol`.
    rule : {"constant", "invscaling", "adaptive"}
        What happens to the learning rate.
    power : float
        For "invscaling": rate / (rows + 1)**power, with the rows trained so far.
    to_loss : callable
        Makes the loss as scikit-learn states it of the trainer's and of the network.
    trainer : Trainer
        Whose learning rate is to be changed.
    trained : int
        Rows trained before, by which "invscaling" goes on.
    """

    def __init__(
        self,
        metric: str,
        sign: float,
        tol: float,
        patience: float,
        rule: str,
        power: float,
        to_loss: Callable[[float, Network], float],
        trainer: Trainer,
        trained: int,
    ) -> None:
        self.metric, self.sign, self.tol, self.patience = metric, sign, tol, patience
        self.rule, self.power = rule, power
        self.to_loss, self.trained = to_loss, trained
        self.losses: list[float] = []
        self.converged = False
        self._first_rate = trainer.learning_rate
        if trained:
            self._lower(trainer)

    def on_train_begin(self, fit: FitState) -> None:
        """Start anew."""
        self._best, self._waited = BestWeights(), 0

    def on_epoch_end(self, fit: FitState) -> None:
        """Judge the epoch."""
        loss = self.to_loss(fit.metrics["loss"], fit.trainer.network)
        self.losses.append(loss)
        watches_loss = self.metric == "loss"
        score = self.sign * (loss if watches_loss else fit.metrics[self.metric])
        worse = score < self._best.score + self.tol
        self._waited = self._waited + 1 if worse else 0
        self._best.offer(score, fit, keep=not watches_loss)
        self.trained += fit.n_rows
        self._lower(fit.trainer)
        if self._waited > self.patience:
            if self.rule == "adaptive" and fit.trainer.learning_rate > 1e-6:
                fit.trainer.learning_rate /= 5
                self._waited = 0
            else:
                self.converged = True
                fit.stop()

    def _lower(self, trainer: TrainerView) -> None:
        if self.rule == "invscaling":
            trainer.learning_rate = self._first_rate / (self.trained + 1) ** self.power

    def on_train_end(self, fit: FitState) -> None:
        """Put the weights of the best score back."""
        self._best.put_back(fit)


def loss_like_sklearn(
    settings: Settings, task: Task, batch: int, network: Network
) -> Callable[[float, Network], float]:
    """Return a function from our loss of an epoch to scikit-learn's: a multiple, and the L2 penalty in mid-epoch.

    Parameters
    ----------
    settings, task
        Of the estimator.
    batch : int
        Rows in a batch.
    network : Network
        As it is before the first epoch.
    """
    factor = 0.5 if loss_name(task) == "mse" else 1 / gradient_factor(task)
    alpha, batch_weight = sklearn_penalty(settings), batch * settings.accumulate
    before = _squares(network) if alpha else 0.0

    def to_loss(loss: float, network: Network) -> float:
        nonlocal before
        after = _squares(network) if alpha else 0.0
        penalty = alpha / (2 * batch_weight) * (before + after) / 2
        before = after
        return factor * loss + penalty

    return to_loss


def _squares(network: Network) -> float:
    """Return the sum of the squared weights, biases aside."""
    values = network.parameters
    return sum(float(np.sum(np.square(values[f"{name}.weight"], dtype=np.float64))) for name in dense_names(network))
