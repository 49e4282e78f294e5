"""How the estimators train: which optimiser, which rules to stop by, and the networks of an ensemble."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.parallel import Parallel, delayed

from .._blocks import blocks
from ..calibration import divide_logits, temperature
from ..callbacks import Callback, EarlyStopping, History, PrintEpochs
from ..metrics import Metric
from ..network import Network
from ..optimizers import SGD, Adam, Optimizer
from ..recipe import Recipe, build_layers
from ..schedules import LearningRate, cosine
from ..tables._scaling import Standardizer
from ..training import Trainer
from ..training._loop import run_epochs
from ._input import Reads
from ._lbfgs import minimise
from ._sklearn_preset import StopLikeSklearn, penalised

T = TypeVar("T", bound="Trains")
# Of one network: what makes its rows to train on, (x, y, weight), when they are needed, and those it holds out.
Part = tuple[Callable[[], tuple[Any, NDArray[Any], Any]], tuple[Any, NDArray[Any], Any] | None]

_DECAY = 0.1  # of weights at a constant rate, which does not say how many steps there will be


@dataclass(frozen=True)
class _Watch:
    """What is measured of held-out rows, and which of it chooses the best epoch and is reported as the score."""

    metrics: list[Metric] | None = None  # None: the loss's usual ones
    score: str | None = None  # None: minus the loss
    sign: float = 1.0  # of the score: 1 where larger is better
    asked: bool = False  # by eval_metric

    @property
    def monitor(self) -> str:
        return f"val_{self.score or 'loss'}"

    def scores(self, history: History) -> NDArray[np.float64]:
        return history[self.monitor] if self.score else -history["val_loss"]


class Trains(Reads):
    """The part of an estimator that trains."""

    networks_: list[Network]
    _n_out: int
    _trainers: list[Trainer] | None
    n_iter_: int
    t_: int
    loss_curve_: list[float]

    def _loss(self) -> Any:
        """Return what a Trainer takes for its loss."""
        raise NotImplementedError

    def _usual_score(self) -> str | None:
        """Return the metric that scikit-learn calls the score."""
        raise NotImplementedError

    def _own_scores(self) -> dict[str, Metric]:
        """Return what measures these metrics where the core, which knows the loss, cannot; called by (y, outputs)."""
        raise NotImplementedError

    def _as_given(self, targets: NDArray[Any], outputs: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return targets as the user gave them, and outputs as he is told them: probabilities, or numbers."""
        raise NotImplementedError

    def _loss_name(self) -> str:
        loss = self._loss()
        return loss if isinstance(loss, str) else f"function {loss.name}"

    def _network(self, n_in: int, o: Mapping[str, Any], seed: int) -> Network:
        layers = build_layers(
            o["hidden_layer_sizes"], o["activation"], self._n_out,
            dropout=o["dropout"], batch_norm=o["batch_norm"], layer_norm=o["layer_norm"],
        )  # fmt: skip
        return Network(n_in, layers, seed=seed, dtype=self._dtype)

    def _gradient_factor(self) -> float:
        """Return how many times scikit-learn's gradient ours is: its losses are sums over the outputs, ours means."""
        loss = self._loss_name()
        return {"mse": 2 / self._n_out, "binary_cross_entropy": 1 / self._n_out, "poisson": 1 / self._n_out}.get(
            loss, 1.0
        )

    def _optimizer(self, o: Mapping[str, Any], batch: int, steps: int, *, online: bool = False) -> Optimizer:
        lr: LearningRate | None = o["lr"]
        if o["optimizer"] is not None:
            optimizer: Optimizer = o["optimizer"]
            return optimizer if lr is None else replace(optimizer, lr=lr)
        rate, alpha = o["learning_rate_init"], o["alpha"]
        factor = self._gradient_factor()
        if rate is None:
            rate = 1e-3 if online or o["learning_rate"] or o["solver"] == "adam" else o["recipe"].lr
        if o["solver"] == "sgd":
            rate /= factor
        if lr is None:
            anneal = not online and o["learning_rate"] is None
            lr = cosine(rate, warmup=steps // 20) if anneal else rate
        betas = {"beta1": o["beta_1"], "beta2": o["beta_2"]}
        if o["solver"] is None:
            if alpha is None and not callable(lr):
                alpha = _DECAY
            recipe: Recipe = o["recipe"] if alpha is None else replace(o["recipe"], weight_decay=alpha)
            return replace(recipe.optimizer(steps, **betas, eps=o["epsilon"]), lr=lr)
        decay = (1e-4 if alpha is None else alpha) / batch * factor
        if o["solver"] == "sgd":
            nesterov = o["nesterovs_momentum"] and o["momentum"] > 0
            return SGD(lr, momentum=o["momentum"], nesterov=nesterov, weight_decay=decay)
        return Adam(lr, **betas, eps=o["epsilon"] * factor, weight_decay=decay)

    def _train(self, n: int, parts: Sequence[Part], o: Mapping[str, Any], seed: int, *, tiny: bool) -> None:
        """Train each network on its `n` rows, by the rows it holds out."""
        held = parts[0][1]
        legacy = o["like_sklearn"]
        size = None if o["batch_size"] == "auto" else o["batch_size"]
        epochs, batch = replace(o["recipe"], epochs=o["max_iter"], batch_size=size).plan(n)
        if size is None and (legacy or tiny):
            batch = min(200, n)
            epochs = o["max_iter"] or 500
        if legacy and size is not None and size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
            )
        batch = min(batch, n)
        self.validation_scores_: list[float] | None = None
        self.best_loss_: float | None
        if o["solver"] == "lbfgs":
            converged = self._minimise(parts, o, seed)
            if legacy and not converged:
                warnings.warn(f"lbfgs did not converge in {self.n_iter_} iterations", ConvergenceWarning, stacklevel=5)
            self._describe(o, "lbfgs", n, held, batch, epochs)
            return
        steps = epochs * math.ceil(math.ceil(n / batch) / o["accumulate"])
        optimizer = self._optimizer(o, batch * o["accumulate"], steps)
        trainers = self._make_trainers(optimizer, self._trainer_options(o), seed)
        self.networks_ = [trainer.network for trainer in trainers]
        curve = self._curve()
        watch = self._watch(o)
        rules = [self._stopping(o, trainer, watch, held is not None, epochs, batch) for trainer in trainers]

        def train(trainer: Trainer, part: Part, rule: list[Callback]) -> History:
            rows, held = part
            callbacks = [*rule, *o["callbacks"], *([PrintEpochs()] if o["verbose"] else [])]
            return run_epochs(
                trainer,
                self._source(*rows()),
                None if held is None else self._source(*held),
                None if held is None else watch.metrics,
                callbacks,
                epochs,
                batch,
                o["shuffle"],
            )

        # The user's callbacks are called for one network after the other.
        jobs = Parallel(n_jobs=1 if o["callbacks"] else o["n_jobs"], require="sharedmem")
        fits = zip(trainers, parts, rules, strict=True)
        self.histories_: list[History] = jobs(delayed(train)(*each) for each in fits)
        self._take_averages(o, trainers)
        self._trainers = trainers if o["warm_start"] else None
        rule = next((rule for rule in rules[0] if isinstance(rule, StopLikeSklearn)), None)
        self.history_ = self.histories_[0]
        n_epochs = self.history_.n_epochs
        self.loss_curve_ = [*curve, *(rule.losses if rule else self.history_["loss"].tolist())]
        if legacy and n_epochs == epochs and not (rule and rule.converged):
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization hasn't "
                "converged yet.", ConvergenceWarning, stacklevel=5,
            )  # fmt: skip
        self.n_iter_ += n_epochs
        self.t_ += n_epochs * n
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = min(self.loss_curve_) if held is None or not legacy else None
        if held is not None:
            values = watch.scores(self.history_)
            self.validation_scores_ = values.tolist()
            self.best_validation_score_ = float(np.max(values) if watch.sign > 0 else np.min(values))
        self._describe(o, optimizer, n, held, batch, epochs)

    def _minimise(self, parts: Sequence[Part], o: Mapping[str, Any], seed: int) -> bool:
        """Train by L-BFGS; return whether all networks converged."""
        self._trainers = None  # who trains by steps afterwards begins with these weights alone
        rows, y, weight = parts[0][0]()  # no network holds rows out
        to_dense = self._dense if hasattr(rows, "tocsr") else np.asarray
        found = [
            minimise(
                trainer, rows, y, weight, to_dense, factor=1 / self._gradient_factor(), alpha=_alpha(o),
                max_iter=o["max_iter"] or 200, tol=1e-4 if o["tol"] is None else o["tol"],
            )
            for trainer in self._make_trainers(SGD(), self._trainer_options(o), seed)
        ]  # fmt: skip
        self.loss_, self.n_iter_, _ = found[0]
        self.best_loss_ = self.loss_
        self.history_, self.histories_ = History(), []
        return all(converged for _, _, converged in found)

    def _trainer_options(self, o: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a Trainer is made with, besides network, optimiser and seed."""
        return {"loss": self._loss()} | {name: o[name] for name in ("accumulate", "ema", "mixup")}

    def _make_trainers(self, optimizer: Optimizer, options: Mapping[str, Any], seed: int) -> list[Trainer]:
        """Return a trainer of each network, which goes on from the last one's running means, counters and seed."""
        if self._trainers is None:
            return [
                Trainer(network, optimizer=optimizer, **options, seed=seed + i)
                for i, network in enumerate(self.networks_)
            ]
        trainers = []
        for last in self._trainers:
            trainer = Trainer(last.network, optimizer=optimizer, **options, seed=last.seed)
            state = last._core.state()
            if type(last.optimizer) is type(optimizer) and state.keys() == trainer._core.state().keys():
                trainer._core.restore(state)
                trainer._use(optimizer.lr)
            trainers.append(trainer)
        return trainers

    def _take_averages(self, o: Mapping[str, Any], trainers: list[Trainer]) -> None:
        """Predict by averages or calibrated copies, where asked for; trainers go on from the last weights."""
        if o["ema"] or (o.get("calibrates") and o["warm_start"]):
            self.networks_ = [trainer.averaged for trainer in trainers]
        self.network_ = self.networks_[0]

    def _curve(self) -> list[float]:
        """Return the losses of the epochs before, of which there are none in a new network."""
        return vars(self).get("loss_curve_", []) if self.n_iter_ else []

    def _to_sklearn(self, o: Mapping[str, Any], batch: int, trainer: Trainer) -> Callable[[float, Network], float]:
        """Return what makes the loss that scikit-learn reports of the trainer's."""
        factor = 0.5 if self._loss_name() == "mse" else 1 / self._gradient_factor()
        return penalised(factor, _alpha(o), batch * o["accumulate"], trainer.network)

    def _watch(self, o: Mapping[str, Any]) -> _Watch:
        """Return what to measure of held-out rows: as scikit-learn, or what `eval_metric` asks for."""
        own = self._own_scores()
        usual = self._usual_score()
        if o["eval_metric"] is None:
            if usual in own:
                return _Watch([own[usual]], usual)
            if usual == "subset_accuracy":
                return _Watch(["accuracy", usual], usual)
            return _Watch(None, usual)
        metric, name, sign = o["eval_metric"]
        if metric == "loss":
            return _Watch([], name, sign, True)
        if isinstance(metric, str):
            return _Watch([own.get(metric, metric)], name, sign, True)

        def measure(targets: NDArray[Any], outputs: NDArray[Any]) -> float:
            return float(metric(*self._as_given(targets, outputs)))

        measure.__name__ = name
        return _Watch([measure], name, sign, True)

    def _stopping(
        self, o: Mapping[str, Any], trainer: Trainer, watch: _Watch, watches: bool, epochs: int, batch: int
    ) -> list[Callback]:
        rule = (
            o["learning_rate"] if o["learning_rate"] and (o["solver"] == "sgd" or not o["like_sklearn"]) else "constant"
        )
        patience, tol = o["n_iter_no_change"], o["tol"]
        if o["like_sklearn"] or rule != "constant":
            return [
                StopLikeSklearn(
                    watch.monitor if watches else "loss", watch.sign if watches and watch.score else -1.0,
                    1e-4 if tol is None else tol, 10 if patience is None else patience,
                    rule, o["power_t"], self._to_sklearn(o, batch, trainer), trainer, self.t_,
                )
            ]  # fmt: skip
        if not watches and patience is None and tol is None:
            return []
        most = max(10, epochs // 2) if patience in (None, math.inf) else patience
        monitor, mode = (
            (watch.monitor, "max" if watch.sign > 0 else "min") if watches and watch.asked else (None, "auto")
        )
        return [EarlyStopping(monitor, most, min_delta=tol or 0.0, mode=mode, restore_best=watches)]

    def _train_online(self: T, rows: Any, y: NDArray[Any], weight: Any, o: Mapping[str, Any], seed: int) -> T:
        n = rows.shape[0]
        batch = min(n, 200 if o["batch_size"] in (None, "auto") else o["batch_size"])
        optimizer = self._optimizer(o, batch * o["accumulate"], 1, online=True)
        options = self._trainer_options(o)
        if self._trainers is None or any(
            getattr(self._trainers[0], name) != value for name, value in ({"optimizer": optimizer} | options).items()
        ):
            self._trainers = self._make_trainers(optimizer, options, seed)
        self.networks_ = [trainer.network for trainer in self._trainers]
        curve, to_loss = self._curve(), self._to_sklearn(o, batch, self._trainers[0])
        source, verbose = self._source(rows, y, weight), [PrintEpochs()] if o["verbose"] else []
        self.histories_ = [
            run_epochs(trainer, source, None, None, [*verbose], 1, batch, o["shuffle"]) for trainer in self._trainers
        ]
        self._take_averages(o, self._trainers)
        self.history_ = self.histories_[0]
        self.loss_ = float(self.history_["loss"][0])
        if o["like_sklearn"]:
            self.loss_ = to_loss(self.loss_, self._trainers[0].network)
        self.loss_curve_ = [*curve, self.loss_]
        self.best_loss_ = min(self.loss_curve_)
        self.validation_scores_ = None
        self.n_iter_ += 1
        self.t_ += n
        self._describe(o, self._trainers[0].optimizer, n, None, batch, 1)
        return self

    def _calibrate(self, held: Sequence[Any]) -> None:
        """Make the logits as sure as all held-out rows together say they should be."""
        logits = [
            network.predict(self._dense(block) if hasattr(rows, "tocsr") else block)
            for network, (rows, *_) in zip(self.networks_, held, strict=True)
            for _, block in blocks(rows)
        ]
        labels = np.concatenate([y for _, y, _ in held])
        weight = None if held[0][2] is None else np.concatenate([w for *_, w in held])
        found = temperature(np.concatenate(logits), labels, weight)
        for network in self.networks_:
            divide_logits(network, found)
        self.recipe_["temperature"] = found

    def _describe(self, o: Mapping[str, Any], optimizer: Any, n: int, held: Any, batch: int, epochs: int) -> None:
        self.recipe_ = {
            "preset": o["preset"],
            "hidden_layer_sizes": o["hidden_layer_sizes"],
            "activation": tuple(o["activation"]),
            "optimizer": optimizer if isinstance(optimizer, str) else repr(optimizer),
            "loss": self._loss_name(),
            "batch_size": batch,
            "max_iter": epochs,
            "training_rows": n,
            "held_out_rows": 0 if held is None else held[0].shape[0],
            "dropout": o["dropout"],
            "label_smoothing": o.get("label_smoothing", 0.0),
            "features": self._features_are(),
            "dtype": self._dtype.name,
            "ensemble": len(self.networks_),
        }

    def _features_are(self) -> str:
        if self._encoder is not None:
            return "table"
        return {type(None): "numbers", Standardizer: "standardised"}.get(type(self._scale), "standardised, with bins")


def _alpha(o: Mapping[str, Any]) -> float:
    """Return scikit-learn's L2 penalty."""
    return 1e-4 if o["alpha"] is None else float(o["alpha"])
