"""Metrics of held-out rows, and the rules by which a training stops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..callbacks import Callback, EarlyStopping
from ..history import History
from ..metrics import Metric
from ..training import Trainer
from ._params import EvalMetric
from ._plan import FitPlan
from ._sklearn_preset import StopLikeSklearn, loss_like_sklearn
from ._task import Task


@dataclass(frozen=True)
class Watch:
    """The metrics of each epoch, and which of them chooses the best epoch and is reported as the score.

    Parameters
    ----------
    metrics : list of str or callable, optional
        None: the usual ones of the loss.
    score : str, optional
        Name of the one that is the score; None: minus the loss.
    sign : float
        1 where a larger score is better, else -1.
    asked : bool
        Whether `eval_metric` asks for it.
    """

    metrics: list[Metric] | None = None
    score: str | None = None
    sign: float = 1.0
    asked: bool = False

    @classmethod
    def of(cls, task: Task, eval_metric: EvalMetric | None) -> Watch:
        """Return the metric of `eval_metric`, or else scikit-learn's."""
        own = task.own_scores()
        if eval_metric is None:
            usual = task.usual_score
            if usual in own:
                return cls([own[usual]], usual)
            return cls(["accuracy", usual] if usual == "subset_accuracy" else None, usual)
        metric, name, sign = eval_metric
        if metric == "loss":
            return cls([], name, sign, True)
        if isinstance(metric, str):
            return cls([own.get(metric, metric)], name, sign, True)
        function = metric

        def measure(targets: NDArray[np.float64], outputs: NDArray[np.float64]) -> float:
            return float(function(*task.as_given(targets, outputs)))

        measure.__name__ = name
        return cls([measure], name, sign, True)

    @property
    def monitor(self) -> str:
        """The score's name in a history."""
        return f"val_{self.score or 'loss'}"

    def scores(self, history: History) -> NDArray[np.float64]:
        """Return the score of each epoch."""
        return history[self.monitor] if self.score else -history["val_loss"]


def stopping_rules(
    plan: FitPlan, task: Task, trainer: Trainer, watch: Watch, *, held_out: bool, n: int, trained: int
) -> list[Callback]:
    """Return the callbacks that stop a training and keep its best weights.

    Parameters
    ----------
    plan : FitPlan
        How it is trained.
    task : Task
        Of the estimator.
    trainer : Trainer
        What is to be stopped.
    watch : Watch
        What is measured of held-out rows.
    held_out : bool
        Whether there are held-out rows.
    n : int
        Training rows.
    trained : int
        Rows trained in all fits before.
    """
    settings, (epochs, batch) = plan.settings, plan.epochs_and_batch(n)
    given = settings.solver == "sgd" or not settings.like_sklearn
    rule = settings.learning_rate if settings.learning_rate and given else "constant"
    patience, tol = settings.n_iter_no_change, settings.tol
    if settings.like_sklearn or rule != "constant":
        return [
            StopLikeSklearn(
                watch.monitor if held_out else "loss", watch.sign if held_out and watch.score else -1.0,
                1e-4 if tol is None else tol, 10 if patience is None else patience,
                rule, settings.power_t, loss_like_sklearn(settings, task, batch, trainer.network), trainer, trained,
            )
        ]  # fmt: skip
    if not held_out and patience is None and tol is None:
        return []
    most = max(10, epochs // 2) if patience is None or math.isinf(patience) else int(patience)
    asked = held_out and watch.asked
    monitor, mode = (watch.monitor, "max" if watch.sign > 0 else "min") if asked else (None, "auto")
    return [EarlyStopping(monitor, most, min_delta=tol or 0.0, mode=mode, restore_best=held_out)]
