"""Networks made and trained: from a plan and rows to a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..calibration import divide_logits, temperature
from ..callbacks import Callback, PrintEpochs
from ..history import History
from ..network import Network
from ..optimizers import SGD, Optimizer
from ..training import Trainer
from ..training._loop import diverged, run_epochs
from ..training._rows import RowSource
from ._errors import warn_caller
from ._finite import predicts_finite
from ._input import Rows
from ._jobs import run_together
from ._lbfgs import minimize
from ._online import Seen
from ._optimizer import gradient_factor, make_optimizer, sklearn_penalty
from ._plan import FitPlan
from ._preprocess import Preprocessor
from ._sklearn_preset import StopLikeSklearn, loss_like_sklearn
from ._task import Task, loss_name
from ._watch import Watch, stopping_rules


class Part(NamedTuple):
    """Rows of one network, as features: `training` makes those to train on when they are needed.

    Where these come from a stream, `training` has some of them, and `source` makes the stream of all.
    """

    training: Callable[[], Rows]
    held_out: Rows | None
    source: Callable[[], RowSource] | None = None


@dataclass(frozen=True)
class Progress:
    """How far networks had come by the fits before, all zero for new ones.

    Parameters
    ----------
    n_iter, t : int
        Epochs, and rows trained.
    loss_curve : list of float
        The loss of each epoch.
    trainers : list of Trainer, optional
        What another fit goes on with: running means, counters and seeds.
    seen : Seen, optional
        The rows that scales were learned from, for them to follow those of another fit.
    """

    n_iter: int = 0
    t: int = 0
    loss_curve: list[float] = field(default_factory=list)
    trainers: list[Trainer] | None = None
    seen: Seen | None = None


@dataclass(frozen=True)
class FitResult:
    """The outcome of a fit, which the estimator publishes as a whole.

    Parameters
    ----------
    networks : list of Network
        What predicts.
    progress : Progress
        How far they are now.
    loss : float
        Of the last epoch.
    best_loss : float, optional
        The least.
    histories : list of History
        The course of each network's training; none of lbfgs.
    scores : array of shape (epochs,), optional
        Of the held-out rows.
    best_score : float, optional
        The best of them.
    recipe : dict of str to object
        What was decided.
    interrupt : KeyboardInterrupt, optional
        What ended it early; whatever is here is whole all the same.
    """

    networks: list[Network]
    progress: Progress
    loss: float
    best_loss: float | None
    histories: list[History]
    recipe: dict[str, Any]
    scores: list[float] | None = None
    best_score: float | None = None
    interrupt: KeyboardInterrupt | None = None

    @property
    def history(self) -> History:
        """The course of the first network's training."""
        return self.histories[0] if self.histories else History()


class Solver:
    """Trains networks by a plan.

    Parameters
    ----------
    plan : FitPlan
        How.
    task : Task
        On which loss.
    preprocessor : Preprocessor
        What made the features.
    before : Progress
        What the fits before have come to.
    """

    def __init__(self, plan: FitPlan, task: Task, preprocessor: Preprocessor, before: Progress) -> None:
        self.plan, self.task, self.preprocessor, self.before = plan, task, preprocessor, before

    def train(self, networks: list[Network], parts: Sequence[Part], n: int) -> FitResult:
        """Train each network on its part, of `n` rows to train on."""
        if self.plan.online:
            return self._train_online(networks, parts[0].training())
        if self.plan.settings.solver == "lbfgs":
            return self._minimize(networks, parts[0].training())  # no network holds rows out
        return self._train_epochs(networks, parts, n)

    def _train_epochs(self, networks: list[Network], parts: Sequence[Part], n: int) -> FitResult:
        plan, settings, before = self.plan, self.plan.settings, self.before
        epochs, batch = plan.epochs_and_batch(n)
        if settings.like_sklearn and settings.batch_size is not None and settings.batch_size > n:
            warn_caller("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
        optimizer = make_optimizer(plan, self.task, n)
        trainers = self._trainers(networks, optimizer)
        watch = Watch.of(self.task, settings.eval_metric)
        held_out = parts[0].held_out is not None
        rules = [
            stopping_rules(plan, self.task, trainer, watch, held_out=held_out, n=n, trained=before.t)
            for trainer in trainers
        ]

        def run(trainer: Trainer, part: Part, rule: list[Callback], more: Sequence[Callback]) -> None:
            callbacks = [*rule, *settings.callbacks, *([PrintEpochs()] if settings.verbose else []), *more]
            held = None if part.held_out is None else self._source(part.held_out)
            metrics = None if held is None else watch.metrics
            rows = self._source(part.training()) if part.source is None else part.source()
            run_epochs(trainer, rows, held, metrics, callbacks, epochs, batch, settings.shuffle)

        # The user's callbacks are called for one network after the other.
        works = [partial(run, *each) for each in zip(trainers, parts, rules, strict=True)]
        interrupt = run_together(works, 1 if settings.callbacks else settings.n_jobs)
        if interrupt is not None:  # go on with what has had an epoch at least
            done = [i for i, trainer in enumerate(trainers) if trainer.history.n_epochs]
            if not done:
                raise interrupt
            trainers, parts, rules = [trainers[i] for i in done], [parts[i] for i in done], [rules[i] for i in done]
        result = self._result(trainers, parts[0], rules[0], watch, optimizer, n)
        result = self._calibrated(result, parts) if plan.calibrates else result
        self._refuse_divergence(result, trainers, [part.training for part in parts])
        return replace(result, interrupt=interrupt)

    def _result(
        self,
        trainers: list[Trainer],
        part: Part,
        rules: list[Callback],
        watch: Watch,
        optimizer: Optimizer,
        n: int,
    ) -> FitResult:
        """Return the outcome of the trainings."""
        plan, before, histories = self.plan, self.before, [trainer.history for trainer in trainers]
        history = histories[0]
        legacy, epochs = plan.settings.like_sklearn, plan.epochs_and_batch(n)[0]
        rule = next((rule for rule in rules if isinstance(rule, StopLikeSklearn)), None)
        if legacy and history.n_epochs == epochs and not (rule and rule.converged):
            warn_caller(
                f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization hasn't "
                "converged yet.", ConvergenceWarning,
            )  # fmt: skip
        curve = [*before.loss_curve, *(rule.losses if rule else history["loss"].tolist())]
        kept = trainers if plan.settings.warm_start else None
        progress = Progress(before.n_iter + history.n_epochs, before.t + history.n_epochs * n, curve, kept)
        result = FitResult(
            self._predicting(trainers), progress, curve[-1], min(curve), histories,
            self._recipe(optimizer, n, part.held_out),
        )  # fmt: skip
        if part.held_out is None:
            return result
        scores = watch.scores(history)
        best = float(np.max(scores) if watch.sign > 0 else np.min(scores))
        best_loss = None if legacy else result.best_loss
        return replace(result, scores=scores.tolist(), best_score=best, best_loss=best_loss)

    def _train_online(self, networks: list[Network], rows: Rows) -> FitResult:
        """Train one epoch, going on with the trainers of the call before where nothing else is asked of them."""
        plan, before, n = self.plan, self.before, len(rows)
        optimizer, options = make_optimizer(plan, self.task, n), self._options()
        trainers = before.trainers
        if trainers is None or any(
            getattr(trainers[0], name) != value for name, value in ({"optimizer": optimizer} | options).items()
        ):
            trainers = self._trainers(networks, optimizer)
        batch = plan.epochs_and_batch(n)[1]
        to_sklearn = loss_like_sklearn(plan.settings, self.task, batch, trainers[0].network)
        source, callbacks = self._source(rows), [PrintEpochs()] if plan.settings.verbose else []
        moments = [(trainer.network._core.state(), trainer._core.state()) for trainer in trainers]
        try:
            histories = [
                run_epochs(trainer, source, None, None, [*callbacks], 1, batch, plan.settings.shuffle)
                for trainer in trainers
            ]
            loss = float(histories[0]["loss"][0])
            if plan.settings.like_sklearn:
                loss = to_sklearn(loss, trainers[0].network)
            curve = [*before.loss_curve, loss]
            progress = Progress(before.n_iter + 1, before.t + n, curve, trainers)
            recipe = self._recipe(trainers[0].optimizer, n, None)
            result = FitResult(self._predicting(trainers), progress, loss, min(curve), histories, recipe)
            self._refuse_divergence(result, trainers, [lambda: rows] * len(trainers))
            return result
        except BaseException:  # as if the call had not been made
            for trainer, (weights, state) in zip(trainers, moments, strict=True):
                trainer.network._core.restore(weights)
                trainer._core.restore(state)
            raise

    def _refuse_divergence(
        self, result: FitResult, trainers: list[Trainer], training: Sequence[Callable[[], Rows]]
    ) -> None:
        """Raise DivergedError where a fit has ended with finite weights, but not with finite predictions."""
        for network, trainer, rows in zip(result.networks, trainers, training, strict=False):
            if not predicts_finite(network, self.preprocessor, self.task, rows):
                raise diverged(trainer, "training diverged: predictions of the rows trained on are not finite")
        if not np.isfinite(result.loss):
            raise diverged(trainers[0], f"training diverged: the loss is {result.loss:g}")

    def _minimize(self, networks: list[Network], rows: Rows) -> FitResult:
        """Train by L-BFGS on all rows at once."""
        settings = self.plan.settings
        trainers = self._trainers(networks, SGD(), going_on=False)
        found = [
            minimize(
                trainer, rows, self.preprocessor.feature_blocks,
                factor=1 / gradient_factor(self.task), alpha=sklearn_penalty(settings),
                max_iter=settings.max_iter or 200, tol=1e-4 if settings.tol is None else settings.tol,
            )
            for trainer in trainers
        ]  # fmt: skip
        networks = [trainer.network for trainer in trainers]
        loss, n_iter, _ = found[0]
        if settings.like_sklearn and not all(converged for _, _, converged in found):
            warn_caller(f"lbfgs did not converge in {n_iter} iterations", ConvergenceWarning)
        progress = Progress(n_iter, self.before.t, self.before.loss_curve)
        recipe = self._recipe("lbfgs", len(rows), None)
        result = FitResult(networks, progress, loss, loss, [], recipe)
        self._refuse_divergence(result, trainers, [lambda: rows] * len(trainers))
        return result

    def _calibrated(self, result: FitResult, parts: Sequence[Part]) -> FitResult:
        """Make the logits as sure as all held-out rows together say they should be."""
        held = [part.held_out for part in parts if part.held_out is not None]
        logits = [
            network.predict(block)
            for network, rows in zip(result.networks, held, strict=True)
            for _, block in self.preprocessor.feature_blocks(rows.x)
        ]
        labels = np.concatenate([rows.y for rows in held])
        weights = [rows.weight for rows in held if rows.weight is not None]
        found = temperature(np.concatenate(logits), labels, np.concatenate(weights) if weights else None)
        for network in result.networks:
            divide_logits(network, found)
        return replace(result, recipe=result.recipe | {"temperature": found})

    def _options(self) -> dict[str, Any]:
        """Return the arguments of a Trainer, besides network, optimizer and seed."""
        settings = self.plan.settings
        options = {"accumulate": settings.accumulate, "ema": settings.ema, "mixup": settings.mixup}
        return {"loss": self.task.loss} | options | self.task.trainer_options(settings)

    def _trainers(self, networks: list[Network], optimizer: Optimizer, *, going_on: bool = True) -> list[Trainer]:
        """Return a trainer of each network, which goes on from the last one's running means, counters and seed."""
        options: Mapping[str, Any] = self._options()
        last_ones = self.before.trainers if going_on else None
        if self.plan.goes_on and not self.plan.online:  # the fitted estimator predicts on, and stays if this one fails
            networks = [network.copy() for network in networks]
        if last_ones is None:
            return [
                Trainer(network, optimizer=optimizer, **options, seed=self.plan.seed + i)
                for i, network in enumerate(networks)
            ]
        trainers = []
        for last in last_ones:
            network = last.network if self.plan.online else last.network.copy()
            trainer = Trainer(network, optimizer=optimizer, **options, seed=last.seed)
            state = last._core.state()
            if type(last.optimizer) is type(optimizer) and state.keys() == trainer._core.state().keys():
                trainer._core.restore(state)
                trainer._use(optimizer.lr)
            trainers.append(trainer)
        return trainers

    def _predicting(self, trainers: list[Trainer]) -> list[Network]:
        """Return the networks to predict by: averages or calibrated copies, where asked for.

        Trainers go on from the last weights.
        """
        settings = self.plan.settings
        if settings.ema or (self.plan.calibrates and settings.warm_start):
            return [trainer.ema_network for trainer in trainers]
        return [trainer.network for trainer in trainers]

    def _source(self, rows: Rows) -> Any:
        return self.preprocessor.source(rows, self.task.units)

    def _recipe(self, optimizer: Any, n: int, held_out: Rows | None) -> dict[str, Any]:
        """Return all decisions, for `recipe_`."""
        plan, settings = self.plan, self.plan.settings
        epochs, batch = plan.epochs_and_batch(n)
        return {
            "preset": settings.preset,
            "hidden_layer_sizes": plan.hidden,
            "activation": settings.activation,
            "optimizer": optimizer if isinstance(optimizer, str) else repr(optimizer),
            "loss": loss_name(self.task),
            "batch_size": batch,
            "max_iter": epochs,
            "training_rows": n,
            "held_out_rows": 0 if held_out is None else len(held_out),
            "dropout": plan.dropout,
            "label_smoothing": plan.label_smoothing,
            "features": str(self.preprocessor),
            "dtype": plan.dtype.name,
            "ensemble": plan.n_networks,
        }
