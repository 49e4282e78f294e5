"""Networks made and trained: from a plan and rows to a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from .._core import DivergedError, get_num_threads
from ..calibration import divide_logits, temperature
from ..callbacks import PrintEpochs
from ..network import Network
from ..optimizers import SGD, Optimizer
from ..training import Trainer
from ..training._fits import Fit
from ..training._loop import diverged, run_epochs
from ..training._many import check_jobs
from ..training._rows import ArrayRows, RowSource
from ._errors import warn_caller
from ._finite import predicts_finite
from ._input import Rows
from ._kinds import Kind, described, kept, networks_in_time
from ._lbfgs import minimize
from ._model import Model
from ._optimizer import gradient_factor, make_optimizer, sklearn_penalty
from ._plan import FitPlan
from ._preprocess import Preprocessor
from ._sklearn_preset import StopLikeSklearn, loss_like_sklearn
from ._task import Task, loss_name
from ._time import Deadline, epochs_in_time, seconds_of_epoch, within_time
from ._trainings import FitResult, Member, Part, Progress, Trainings
from ._watch import Watch, stopping_rules


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
    optimizer : Optimizer, optional
        In place of the one that the plan asks for.
    """

    def __init__(
        self,
        plan: FitPlan,
        task: Task,
        preprocessor: Preprocessor,
        before: Progress,
        optimizer: Optimizer | None = None,
    ) -> None:
        self.plan, self.task, self.preprocessor, self.before = plan, task, preprocessor, before
        self.optimizer = optimizer
        self._seconds: float | None = None  # of an epoch, once measured

    def begin(
        self,
        networks: list[Network],
        parts: Sequence[Part],
        n: int,
        others: Sequence[tuple[FitPlan, list[Network]]] = (),
    ) -> Trainings:
        """Return the trainings of each network on its part, of `n` rows to train on.

        Networks of `others`, by plans of their own, train on the same parts, and those are kept that are best.
        """
        if self.plan.online:
            return Trainings([], lambda *_: self._train_online(networks, parts[0].training()))
        if self.plan.settings.solver == "lbfgs":  # no network holds rows out
            return Trainings([], lambda *_: self._minimize(networks, parts[0].training()))
        return self._begin_epochs(networks, parts, n, others)

    def _begin_epochs(
        self,
        networks: list[Network],
        parts: Sequence[Part],
        n: int,
        others: Sequence[tuple[FitPlan, list[Network]]],
    ) -> Trainings:
        if (possible := self.epochs_in_time(networks, parts[0], n)) is not None:
            while not (n_each := networks_in_time(self.plan, [other for other, _ in others], possible, n)) and others:
                others = others[:-1]
            self.plan = replace(self.plan, n_networks=n_each) if n_each else within_time(self.plan, possible, n)
            networks, parts = networks[: self.plan.n_networks], parts[: self.plan.n_networks]
            others = [(other, made[:n_each]) for other, made in others if n_each]
        plan, settings = self.plan, self.plan.settings
        if settings.like_sklearn and settings.batch_size is not None and settings.batch_size > n:
            warn_caller("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
        optimizer = self.optimizer or make_optimizer(plan, self.task, n)
        trainers = [(plan, self._trainers(networks, optimizer))]
        trainers += [(other, self.trainers_of(other, made, n, other.seeds[: len(made)])) for other, made in others]
        kinds = [
            Kind(own, [self.member(own, trainer, part, n) for trainer, part in zip(made, parts, strict=True)])
            for own, made in trainers
        ]
        members = [member for kind in kinds for member in kind.members]

        def finish(diverged: Sequence[DivergedError | None], interrupt: KeyboardInterrupt | None) -> FitResult:
            for error in filter(None, diverged[: len(networks)]):  # of the others, those are left out that diverged
                raise error
            failed = [member for member, error in zip(members, diverged, strict=False) if error is not None]
            done = [member for kind in kinds for member in kind.far_enough() if member not in failed]
            if not done and interrupt is not None:
                raise interrupt
            if len(kinds) == 1:
                return replace(self.result(done, n), interrupt=interrupt)
            result = self.result(found := kept(kinds, done), n)
            return replace(result, recipe=result.recipe | {"pack": described(kinds, found)}, interrupt=interrupt)

        return Trainings([member.fit for member in members], finish, self.at_once, self.by_hand, plan.deadline)

    def epochs_in_time(self, networks: Sequence[Network], part: Part, n: int) -> float | None:
        """Return for how many epochs there is time, of all networks together; None for any number of them."""
        plan, some = self.plan, networks[: get_num_threads()]
        if plan.deadline is None:
            return None
        if self._seconds is None:
            self._seconds = seconds_of_epoch(plan, some, self._training(part), n, self.task.loss)
        if self._seconds is None:
            return None
        return epochs_in_time(plan.deadline, self._seconds, len(some), one_by_one=self.has_callbacks)

    def trainers_of(self, plan: FitPlan, networks: Sequence[Network], n: int, seeds: Sequence[int]) -> list[Trainer]:
        """Return trainers of new networks by a plan of their own."""
        return self._new_trainers(networks, make_optimizer(plan, self.task, n), seeds)

    @property
    def at_once(self) -> int:
        """How many networks train at a time."""
        return check_jobs(self.plan.settings.n_jobs)

    @property
    def by_hand(self) -> bool:
        """Whether those that need Python train one after the other."""
        return self.has_callbacks or self.plan.settings.n_jobs is None

    @property
    def has_callbacks(self) -> bool:
        """Whether the user watches, by callbacks of this package's or of scikit-learn's."""
        return bool(self.plan.settings.callbacks) or self.plan.settings.reporter is not None

    def member(self, plan: FitPlan, trainer: Trainer, part: Part, n: int) -> Member:
        """Return a training of one network by its own plan."""
        settings, (epochs, batch) = plan.settings, plan.epochs_and_batch(n)
        watch = Watch.of(self.task, settings.eval_metric)
        held = None if part.held_out is None else self._source(part.held_out)
        rules = stopping_rules(plan, self.task, trainer, watch, held_out=held is not None, n=n, trained=self.before.t)
        # The report of an epoch comes first, and that of the end last, after the best weights are put back.
        report = [] if settings.reporter is None else [settings.reporter.watch(self._model_of)]
        callbacks = [*report, *rules, *settings.callbacks, *([PrintEpochs()] if settings.verbose else [])]
        metrics = None if held is None else watch.metrics
        fit = Fit(trainer, self._training(part), held, metrics, callbacks, epochs, batch, settings.shuffle)
        if plan.deadline is not None and not fit.is_native:
            fit = replace(fit, callbacks=[*callbacks, Deadline(plan.deadline)])
        return Member(plan, part, fit, rules)

    def _model_of(self, network: Network) -> Model[Any]:
        """Return a model that predicts by one network."""
        return Model(self.task, self.preprocessor, [network])

    def result(self, members: Sequence[Member], n: int) -> FitResult:
        """Return the outcome of trainings that have ended."""
        result = self._result(members, n)
        result = self._calibrated(result, [member.part for member in members]) if self.plan.calibrates else result
        self._refuse_divergence(
            result, [member.trainer for member in members], [member.part.training for member in members]
        )
        return result

    def _result(self, members: Sequence[Member], n: int) -> FitResult:
        trainers, first, before = [member.trainer for member in members], members[0], self.before
        plan, history = replace(first.plan, n_networks=len(members)), first.trainer.history
        settings = plan.settings
        epochs, watch = plan.epochs_and_batch(n)[0], Watch.of(self.task, settings.eval_metric)
        rule = next((rule for rule in first.rules if isinstance(rule, StopLikeSklearn)), None)
        if settings.like_sklearn and history.n_epochs == epochs and not (rule and rule.converged):
            warn_caller(
                f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization hasn't "
                "converged yet.", ConvergenceWarning,
            )  # fmt: skip
        curve = [*before.loss_curve, *(rule.losses if rule else history["loss"].tolist())]
        kept = trainers if settings.warm_start else None
        progress = Progress(before.n_iter + history.n_epochs, before.t + history.n_epochs * n, curve, kept)
        result = FitResult(
            self.predicting(trainers), progress, curve[-1], min(curve), [trainer.history for trainer in trainers],
            self._recipe(plan, first.trainer.optimizer, n, first.part.held_out),
        )  # fmt: skip
        if first.part.held_out is None:
            return result
        scores = watch.scores(history)
        best = float(np.max(scores) if watch.sign > 0 else np.min(scores))
        best_loss = None if settings.like_sklearn else result.best_loss
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
            recipe = self._recipe(plan, trainers[0].optimizer, n, None)
            result = FitResult(self.predicting(trainers), progress, loss, min(curve), histories, recipe)
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
        recipe = self._recipe(self.plan, "lbfgs", len(rows), None)
        result = FitResult(networks, progress, loss, loss, [], recipe)
        self._refuse_divergence(result, trainers, [lambda: rows] * len(trainers))
        return result

    def _calibrated(self, result: FitResult, parts: Sequence[Part]) -> FitResult:
        """Make the logits as sure as all held-out rows together say they should be."""
        held = [part.held_out for part in parts if part.held_out is not None]
        logits = [self.outputs(network, rows) for network, rows in zip(result.networks, held, strict=True)]
        labels = np.concatenate([rows.y for rows in held])
        weights = [rows.weight for rows in held if rows.weight is not None]
        found = temperature(np.concatenate(logits), labels, np.concatenate(weights) if weights else None)
        for network in result.networks:
            divide_logits(network, found)
        return replace(result, recipe=result.recipe | {"temperature": found})

    def outputs(self, network: Network, rows: Rows) -> NDArray[Any]:
        """Return the outputs, (n, n_outputs), for rows of features."""
        return np.concatenate([network.predict(block) for _, block in self.preprocessor.feature_blocks(rows.x)])

    def _options(self) -> dict[str, Any]:
        """Return the arguments of a Trainer, besides network, optimizer and seed."""
        settings = self.plan.settings
        options = {"accumulate": settings.accumulate, "ema": settings.ema, "mixup": settings.mixup}
        return {"loss": self.task.loss} | options | self.task.trainer_options(settings)

    def _new_trainers(self, networks: Sequence[Network], optimizer: Optimizer, seeds: Sequence[int]) -> list[Trainer]:
        """Return trainers that begin anew."""
        options = self._options()
        return [
            Trainer(network, optimizer=optimizer, **options, seed=seed)
            for network, seed in zip(networks, seeds, strict=True)
        ]

    def _trainers(self, networks: list[Network], optimizer: Optimizer, *, going_on: bool = True) -> list[Trainer]:
        """Return a trainer of each network, which goes on from the last one's running means, counters and seed."""
        last_ones = self.before.trainers if going_on else None
        if self.plan.goes_on and not self.plan.online:  # the fitted estimator predicts on, and stays if this one fails
            networks = [network.copy() for network in networks]
        if last_ones is None:
            return self._new_trainers(networks, optimizer, self.plan.seeds)
        options, trainers = self._options(), []
        for last in last_ones:
            network = last.network if self.plan.online else last.network.copy()
            trainer = Trainer(network, optimizer=optimizer, **options, seed=last.seed)
            state = last._core.state()
            if type(last.optimizer) is type(optimizer) and state.keys() == trainer._core.state().keys():
                trainer._core.restore(state)
                trainer._use(optimizer.lr)
            trainers.append(trainer)
        return trainers

    def predicting(self, trainers: list[Trainer]) -> list[Network]:
        """Return the networks to predict by: averages or calibrated copies, where asked for.

        Trainers go on from the last weights.
        """
        settings = self.plan.settings
        if settings.ema or (self.plan.calibrates and settings.warm_start):
            return [trainer.ema_network for trainer in trainers]
        return [trainer.network for trainer in trainers]

    def _training(self, part: Part) -> RowSource:
        """Return the rows that a network trains on, of one copy for all where that can be."""
        if part.source is not None:
            return part.source()
        if part.of is not None and isinstance(part.of[0].x, np.ndarray):
            rows, places = part.of
            return ArrayRows(rows.x, rows.y, rows.weight, units=self.task.units, places=places)
        return self._source(part.training())

    def _source(self, rows: Rows) -> RowSource:
        return self.preprocessor.source(rows, self.task.units)

    def _recipe(self, plan: FitPlan, optimizer: Any, n: int, held_out: Rows | None) -> dict[str, Any]:
        """Return all decisions, for `recipe_`."""
        settings = plan.settings
        epochs, batch = plan.epochs_and_batch(n)
        return {
            "preset": settings.preset,
            "hidden_layer_sizes": plan.hidden,
            "activation": plan.activations,
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
