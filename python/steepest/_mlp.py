"""What the two estimators share: options, reading, scaling, and the ways to train."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    _check_y,
    check_is_fitted,
    validate_data,
)

from ._calibration import divide_logits, temperature
from ._columns import is_frame
from ._features import BinnedScale
from ._fitting import (
    BLOCK,
    Scale,
    StopLikeSklearn,
    blocks,
    build_layers,
    dense_names,
    draw_like_sklearn,
    feature_scale,
    fit_sparse,
    gradient_trainer,
    merge_rows,
    minimise,
    penalised,
)
from ._spec import choice, flag, integer, number
from .callbacks import Callback, EarlyStopping, History
from .layers import ACTIVATIONS
from .network import Network
from .optimizers import SGD, Adam, Optimizer
from .recipe import Recipe, split_rows
from .schedules import LearningRate, cosine
from .tables import TableEncoder
from .training import Trainer

E = TypeVar("E", bound="BaseMLP")

_SOLVERS = ("adam", "sgd", "lbfgs")
_RULES = ("constant", "invscaling", "adaptive")
LOSSES = {
    "squared_error": "mse", "absolute_error": "mae", "huber": "huber", "quantile": "quantile", "poisson": "poisson",
}  # fmt: skip
_DESCRIPTIONS = ("hidden_layer_sizes", "solver", "optimizer", "max_iter", "callbacks")  # of one network's training
_SKLEARN = {
    "hidden_layer_sizes": (100,), "activation": "relu", "solver": "adam", "alpha": 1e-4, "batch_size": "auto",
    "learning_rate": "constant", "learning_rate_init": 1e-3, "max_iter": 200, "tol": 1e-4, "n_iter_no_change": 10,
    "early_stopping": False, "validation_fraction": 0.1, "encode": "numbers", "dropout": 0.0, "label_smoothing": 0.0,
    "ensemble": 1,
}  # fmt: skip
_FEWEST_TO_HOLD_OUT = 200  # rows, for a single network: on iris and wine it makes no difference
_MOST_FEATURES = 1024  # that an array becomes: wider ones have fewer bins, or none
_ONLINE_DECAY = 0.1  # nobody knows how many steps there will be
_TINY = 50  # rows: fewer train all at once, in float64
_FEW = 200  # rows: a batch at most, even where they are sparse


class BaseMLP(BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor share."""

    networks_: list[Network]
    _encoder: TableEncoder | None
    _scale: Scale | BinnedScale | None
    _target_scale: Scale | None
    _n_out: int
    _trainers: list[Trainer] | None
    classes_: NDArray[Any]

    def _store(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = True
        if tags.regressor_tags is not None:
            tags.target_tags.multi_output = True
        return tags

    @property
    def coefs_(self) -> list[NDArray[Any]]:
        """The weights of the dense layers, (n_in, n_out) each: those of the first network, for scaled features."""
        parameters = self._first_network.parameters
        return [parameters[f"{name}.weight"] for name in dense_names(self._first_network)]

    @property
    def intercepts_(self) -> list[NDArray[Any]]:
        """The biases of the dense layers, (n_out,) each."""
        parameters = self._first_network.parameters
        return [parameters[f"{name}.bias"] for name in dense_names(self._first_network)]

    @property
    def _first_network(self) -> Network:
        if "network_" not in vars(self):
            raise AttributeError(f"this {type(self).__name__} is not fitted yet")
        network: Network = self.network_
        return network

    # -- options ------------------------------------------------------------------------------------------------------

    def _options(self) -> dict[str, Any]:
        """Check the parameters; return them with scikit-learn's defaults where the preset says so."""
        o: dict[str, Any] = self.get_params(deep=False)
        like_sklearn = o["preset"] is not None and choice("preset", o["preset"], ("sklearn",)) == "sklearn"
        if like_sklearn:
            o |= {name: value for name, value in _SKLEARN.items() if o.get(name, 0) is None}
        for name, options in (("solver", _SOLVERS), ("learning_rate", _RULES), ("encode", ("auto", "numbers"))):
            if o[name] is not None:
                choice(name, o[name], options)
        hidden = o["hidden_layer_sizes"]
        if hidden is not None:
            sizes = hidden if np.iterable(hidden) else [hidden]
            o["hidden_layer_sizes"] = tuple(integer("hidden_layer_sizes", size, ge=1) for size in sizes)
        for name, least in (("max_iter", 1), ("n_iter_no_change", 1), ("batch_size", 1), ("ensemble", 1)):
            if o[name] not in (None, "auto", math.inf):
                o[name] = integer(name, o[name], ge=least)
        bounds: dict[str, dict[str, float]] = {
            "alpha": {"ge": 0}, "learning_rate_init": {"gt": 0}, "power_t": {"ge": 0}, "tol": {"ge": 0},
            "momentum": {"ge": 0, "lt": 1}, "validation_fraction": {"gt": 0, "lt": 1}, "beta_1": {"ge": 0, "lt": 1},
            "beta_2": {"ge": 0, "lt": 1}, "epsilon": {"gt": 0}, "dropout": {"ge": 0, "lt": 1}, "delta": {"gt": 0},
            "quantile": {"gt": 0, "lt": 1}, "label_smoothing": {"ge": 0, "lt": 1},
        }  # fmt: skip
        for name, limits in bounds.items():
            if o.get(name) is not None:
                o[name] = number(name, o[name], **limits)
        for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping", "batch_norm", "layer_norm"):
            if o[name] is not None:
                o[name] = flag(name, o[name])
        if o["batch_norm"] and o["layer_norm"]:
            raise ValueError("batch_norm and layer_norm are both True: expected one of them at most")
        if o["optimizer"] is not None and not isinstance(o["optimizer"], Optimizer):
            raise TypeError(f"optimizer is {o['optimizer']!r}: expected an optimiser such as steepest.AdamW(0.01)")
        if o["lr"] is not None and not callable(o["lr"]):
            o["lr"] = number("lr", o["lr"], ge=0)
        if o["solver"] == "lbfgs" and (o["dropout"] or o["batch_norm"] or o["optimizer"] is not None):
            raise ValueError("solver is 'lbfgs': expected no dropout, batch_norm or optimizer with it")
        if "loss" in o:
            choice("loss", o["loss"], tuple(LOSSES))
        o["activation"] = self._activations(o["activation"], len(o["hidden_layer_sizes"] or Recipe().hidden))
        o["like_sklearn"] = like_sklearn
        o["described"] = any(o[name] is not None for name in _DESCRIPTIONS)
        return o

    @staticmethod
    def _decide(o: dict[str, Any], n_rows: int, *, tiny: bool, online: bool) -> None:
        """Fill in what was left open, by the recipe for this many rows; whoever describes a network gets one."""
        recipe = Recipe(bins=0) if tiny or online else Recipe.for_rows(n_rows)
        if o["described"]:
            recipe = replace(recipe, networks=1)
        plain = tiny or online or o["solver"] == "lbfgs"
        o["recipe"] = recipe
        for name, decided in (
            ("hidden_layer_sizes", recipe.hidden), ("dropout", 0.0 if plain else recipe.dropout),
            ("ensemble", recipe.networks),
        ):  # fmt: skip
            if o[name] is None:
                o[name] = decided

    @staticmethod
    def _activations(given: Any, n_layers: int) -> list[str]:
        names = [given or Recipe().activation] * n_layers if given is None or isinstance(given, str) else list(given)
        if len(names) != n_layers:
            raise ValueError(f"activation has {len(names)} names: expected one, or {n_layers} for the hidden layers")
        return ["sigmoid" if name == "logistic" else choice("activation", name, ACTIVATIONS) for name in names]

    # -- data ---------------------------------------------------------------------------------------------------------

    def _read(self, x: Any, y: Any, o: dict[str, Any], *, reset: bool) -> tuple[Any, NDArray[Any]]:
        """Check rows and targets; return an array, CSR matrix or data frame, and the targets."""
        numeric = not is_classifier(self)
        if reset:
            self._is_frame = _takes_encoder(x, o["encode"])
        if self._is_frame:
            if y is None:
                raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
            _check_feature_names(self, x, reset=reset)
            _check_n_features(self, x, reset=reset)
            y = _check_y(y, multi_output=True, y_numeric=numeric, estimator=self)
            check_consistent_length(x, y)
        else:
            x, y = validate_data(
                self, x, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=numeric,
                dtype=(np.float64, np.float32), reset=reset,
            )  # fmt: skip
            x = x.tocsr() if hasattr(x, "tocsr") else x
        y = y.toarray() if hasattr(y, "toarray") else y
        return x, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _dense(self, block: Any) -> NDArray[Any]:
        """Scale dense rows as the network expects them."""
        scale = self._scale
        return np.asarray(block) if scale is None else scale.apply(block, self._dtype)

    def _features(self, x: Any) -> Any:
        """Return the rows the network is trained on; a CSR matrix stays one."""
        if self._encoder is not None:
            return self._encoder.transform(x)
        return x if hasattr(x, "tocsr") else self._dense(x)

    # -- fitting ------------------------------------------------------------------------------------------------------

    def _fit(
        self: E, x: Any, y: Any, sample_weight: Any, eval_set: Any, classes: Any = None, online: bool = False
    ) -> E:
        o = self._options()
        goes_on = "network_" in vars(self) and (o["warm_start"] or online)
        x, y = self._read(x, y, o, reset=not goes_on)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, y)
        if weight is not None and (weight.min() < 0 or not weight.any()):
            raise ValueError("sample_weight has negative numbers or only zeros: expected numbers >= 0, some above")
        targets = self._encode_targets(y, classes, goes_on=goes_on, online=online)
        weight = self._class_weighted(targets, y, weight, o)
        held = None if eval_set is None else self._read_eval_set(eval_set, o)

        if weight is not None and not weight.all():  # a row without weight is no row
            rows = np.flatnonzero(weight)
            x, targets, weight = _take(x, rows), targets[rows], weight[rows]
        few = targets.shape[0] <= _FEW
        if few and hasattr(x, "toarray"):
            x = x.toarray()
        tiny = False
        if few and isinstance(x, np.ndarray) and not (o["like_sklearn"] or online):
            found = merge_rows(x, targets, weight)
            tiny = len(found[0]) < _TINY
            if tiny:
                x, targets, weight = found
        random = check_random_state(o["random_state"])
        legacy = o["like_sklearn"]
        seed = 0 if legacy and o["random_state"] is not None else int(random.randint(2**31 - 1))
        self._decide(o, targets.shape[0], tiny=tiny, online=online)

        if not goes_on:
            self._dtype = np.dtype(
                np.float64 if tiny or o["solver"] == "lbfgs" or (legacy and getattr(x, "dtype", None) == np.float64)
                 else np.float32
            )  # fmt: skip
        if legacy and not goes_on:
            self._encoder, self._scale = None, None
            networks = [self._network(x.shape[1], o, seed + i) for i in range(o["ensemble"])]
            for network in networks:
                draw_like_sklearn(network, random, logistic=o["activation"][:1] == ["sigmoid"])
        n_networks = len(self.networks_) if goes_on else o["ensemble"]
        splits = self._split(targets, o, random, seed, n_networks, tiny=tiny, online=online or held is not None)
        if len(splits) == 1:
            train, valid = splits[0]
            held = (_take(x, valid), targets[valid], None if weight is None else weight[valid])
            if held[2] is not None and not held[2].any():
                held = None
            x, targets, weight = _take(x, train), targets[train], None if weight is None else weight[train]
        n = targets.shape[0]
        if not goes_on:
            if not legacy:
                self._fit_scales(x, targets, weight, o["recipe"].bins, scale_features=not online or n >= 10)
            else:
                self._target_scale = None
        rows = self._features(x)
        held = None if held is None else (self._features(held[0]), *held[1:])
        if o.get("label_smoothing", 0.0) is None:
            smooths = self._n_out > 1 and self._loss_name() == "cross_entropy" and (len(splits) > 1 or held is not None)
            o["label_smoothing"] = o["recipe"].label_smoothing if smooths else 0.0
            o["calibrates"] = smooths
        if goes_on:
            networks = self.networks_
        elif not legacy:
            networks = [self._network(rows.shape[1], o, seed + i) for i in range(o["ensemble"])]
            for network in networks:
                self._silence_unseen(network, rows)

        y_train = self._trained_targets(targets, o)
        if held is not None:
            held = (held[0], self._scaled_target(held[1]), held[2])
        if not goes_on:
            self.n_iter_ = self.t_ = 0
            self._trainers = None
        self.networks_, self.network_ = networks, networks[0]
        self.n_layers_, self.n_outputs_ = len(dense_names(networks[0])) + 1, networks[0].n_out
        if online:
            return self._train_online(rows, y_train, weight, o, seed)
        self._trainers = None
        trained: Iterable[Any] = [(rows, y_train, weight)] * len(networks)
        parts = [held] * len(networks)
        if len(splits) > 1:
            n, y_held = len(splits[0][0]), self._scaled_target(targets)
            trained = (_cut(rows, y_train, weight, places) for places, _ in splits)  # one copy at a time
            parts = [_cut(rows, y_held, weight, places) for _, places in splits]
        self._train(n, trained, parts, o, seed, tiny=tiny)
        if o.get("calibrates"):
            self._calibrate(parts)
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

    def _read_eval_set(self, eval_set: Any, o: dict[str, Any]) -> tuple[Any, Any, Any]:
        if not isinstance(eval_set, Sequence) or len(eval_set) not in (2, 3):
            raise ValueError("eval_set is no (X, y) or (X, y, sample_weight): expected one of them")
        x, y, *weights = eval_set
        x, y = self._read(x, y, o, reset=False)
        weight = _check_sample_weight(weights[0], y) if weights else None
        return x, self._encode_targets(y, None, goes_on=True, online=True), weight

    def _split(
        self,
        targets: NDArray[Any],
        o: Mapping[str, Any],
        random: Any,
        seed: int,
        n_networks: int,
        *,
        tiny: bool,
        online: bool,
    ) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return the places of the rows to train each network on, and of those to hold out; none if none are."""
        rows = np.arange(targets.shape[0])
        wanted = o["early_stopping"]
        few = tiny or (n_networks == 1 and len(rows) < _FEWEST_TO_HOLD_OUT)
        if online or o["solver"] == "lbfgs" or wanted is False or (wanted is None and few):
            return []
        labels = targets if is_classifier(self) and targets.ndim == 1 else None
        share = o["validation_fraction"] or (0.2 if len(rows) <= 2000 else 0.1)
        if o["like_sklearn"]:
            return [train_test_split(rows, random_state=random, test_size=share, stratify=labels)]
        try:
            return [split_rows(rows, share, seed, labels, part) for part in range(n_networks)]
        except ValueError:  # too few rows to hold one out
            return []

    def _fit_scales(self, x: Any, targets: NDArray[Any], weight: Any, bins: int, *, scale_features: bool) -> None:
        self._encoder, self._scale = None, None
        if self._is_frame:
            self._encoder = TableEncoder(bins=bins).fit(x, np.zeros(len(x)), "regression")
        elif scale_features:
            self._scale = scale = feature_scale(x, weight)
            bins = min(bins, _MOST_FEATURES // x.shape[1])
            if bins and isinstance(x, np.ndarray):
                binned = BinnedScale.fit(x, scale, bins)
                self._scale = binned if len(binned.column) else scale
        self._fit_target_scale(targets, weight)

    def _silence_unseen(self, network: Network, rows: Any) -> None:
        """Let features that are zero in all rows say nothing: they learn nothing."""
        if self._encoder is not None:
            first = network.parameters["0.weight"].copy()
            first[~rows.any(axis=0)] = 0
            network.set_parameters({"0.weight": first})

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
            recipe: Recipe = o["recipe"]
            if alpha is None and online:
                alpha = _ONLINE_DECAY
            if alpha is not None:
                recipe = replace(recipe, weight_decay=alpha)
            return replace(recipe.optimizer(steps, **betas, eps=o["epsilon"]), lr=lr)
        decay = (1e-4 if alpha is None else alpha) / batch * factor
        if o["solver"] == "sgd":
            nesterov = o["nesterovs_momentum"] and o["momentum"] > 0
            return SGD(lr, momentum=o["momentum"], nesterov=nesterov, weight_decay=decay)
        return Adam(lr, **betas, eps=o["epsilon"] * factor, weight_decay=decay)

    def _trainer_options(self, o: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def _train(
        self, n: int, trained: Iterable[Any], parts: Sequence[Any], o: Mapping[str, Any], seed: int, *, tiny: bool
    ) -> None:
        """Train each network on its `n` rows, (x, y, weight), by its held-out ones, which may be None."""
        held = parts[0]
        legacy = o["like_sklearn"]
        size = None if o["batch_size"] == "auto" else o["batch_size"]
        epochs, batch = replace(o["recipe"], epochs=o["max_iter"], batch_size=size).plan(n)
        if size is None and (legacy or tiny):
            batch = min(200, n)
            epochs = o["max_iter"] or 500
        if legacy and size is not None and size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=4
            )
        batch = min(batch, n)
        steps = epochs * math.ceil(n / batch)
        options = self._trainer_options(o)
        loss = self._loss_name()
        self.histories_: list[History] = []
        self.validation_scores_: list[float] | None
        self.best_loss_: float | None
        factor = 1 / self._gradient_factor()
        alpha = 1e-4 if o["alpha"] is None else o["alpha"]
        if o["solver"] == "lbfgs":
            for i, (network, (rows, y, weight)) in enumerate(zip(self.networks_, trained, strict=True)):
                scaling = self._dense if hasattr(rows, "tocsr") else np.asarray
                trainer = gradient_trainer(network, loss, **options, seed=seed + i)
                value, n_iter, converged = minimise(
                    trainer, rows, y, weight, scaling, factor=factor, alpha=alpha,
                    max_iter=o["max_iter"] or 200, tol=1e-4 if o["tol"] is None else o["tol"],
                )  # fmt: skip
                if i == 0:
                    self.loss_ = self.best_loss_ = value
                    self.n_iter_ = n_iter
                    self.validation_scores_ = None
                if not converged and legacy:
                    warnings.warn(f"lbfgs did not converge in {n_iter} iterations", ConvergenceWarning, stacklevel=4)
            self.history_ = History()
            self._describe(o, "lbfgs", n, held, batch, epochs)
            return
        optimizer = self._optimizer(o, batch, steps)
        scores = ""
        for i, (network, (rows, y, weight), held) in enumerate(zip(self.networks_, trained, parts, strict=True)):
            trainer = Trainer(network, loss, optimizer, **options, seed=seed + i)
            stops, scores = self._stopping(o, trainer, held, epochs, batch, factor)
            arguments: dict[str, Any] = {
                "epochs": epochs, "batch_size": batch, "shuffle": o["shuffle"], "verbose": bool(o["verbose"]),
                "validation": None if held is None else tuple(held), "callbacks": [*stops, *(o["callbacks"] or ())],
            }  # fmt: skip
            if hasattr(rows, "tocsr"):
                history = fit_sparse(trainer, rows, y, weight, self._dense, **arguments, seed=seed + i)
            else:
                if held is not None:
                    arguments["validation"] = tuple(part for part in held if part is not None)
                history = trainer.fit(rows, y, sample_weight=weight, **arguments)
            self.histories_.append(history)
            if i == 0:
                rule = stops[0] if stops and isinstance(stops[0], StopLikeSklearn) else None
                self.history_ = history
                self.loss_curve_: list[float] = rule.losses if rule else history["loss"].tolist()
                self.n_iter_ = history.n_epochs
                if legacy and self.n_iter_ == epochs and not (rule and rule.converged):
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization hasn't "
                        "converged yet.", ConvergenceWarning, stacklevel=4,
                    )  # fmt: skip
        self.t_ += self.n_iter_ * n
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = min(self.loss_curve_) if held is None or not legacy else None
        self.validation_scores_ = None
        if held is not None:
            values = self.history_[scores] if scores in self.history_ else -self.history_["val_loss"]
            self.validation_scores_ = values.tolist()
            self.best_validation_score_ = float(np.max(values))
        self._describe(o, optimizer, n, held, batch, epochs)

    def _stopping(
        self, o: Mapping[str, Any], trainer: Trainer, held: Any, epochs: int, batch: int, factor: float
    ) -> tuple[list[Callback], str]:
        score = "val_accuracy" if is_classifier(self) else "val_r2"
        rule = (
            o["learning_rate"] if o["learning_rate"] and (o["solver"] == "sgd" or not o["like_sklearn"]) else "constant"
        )
        patience, tol = o["n_iter_no_change"], o["tol"]
        if o["like_sklearn"] or rule != "constant":
            if self._loss_name() == "poisson":
                score = "val_loss"
            loss_factor = 0.5 if self._loss_name() == "mse" else factor
            alpha = 1e-4 if o["alpha"] is None else o["alpha"]
            stop = StopLikeSklearn(
                "loss" if held is None else score, 1e-4 if tol is None else tol, 10 if patience is None else patience,
                rule, o["power_t"], penalised(loss_factor, alpha, batch, trainer.network),
            )  # fmt: skip
            return [stop], score
        if held is None and patience is None and tol is None:
            return [], score
        most = max(10, epochs // 2) if patience in (None, math.inf) else patience
        return [EarlyStopping(patience=most, min_delta=tol or 0.0, restore_best=held is not None)], score

    def _train_online(self: E, rows: Any, y: NDArray[Any], weight: Any, o: Mapping[str, Any], seed: int) -> E:
        n = rows.shape[0]
        batch = min(n, 200 if o["batch_size"] in (None, "auto") else o["batch_size"])
        if self._trainers is None:
            optimizer = self._optimizer(o, batch, 1, online=True)
            options = self._trainer_options(o)
            self._trainers = [
                Trainer(network, self._loss_name(), optimizer, **options, seed=seed + i)
                for i, network in enumerate(self.networks_)
            ]
            self.loss_curve_ = vars(self).get("loss_curve_", [])
        for trainer in self._trainers:
            arguments: dict[str, Any] = {"epochs": 1, "batch_size": batch, "shuffle": o["shuffle"]}
            if hasattr(rows, "tocsr"):
                history = fit_sparse(
                    trainer, rows, y, weight, self._dense, **arguments, validation=None, callbacks=(), verbose=False,
                    seed=seed + self.n_iter_,
                )  # fmt: skip
            else:
                history = trainer.fit(rows, y, sample_weight=weight, **arguments, verbose=bool(o["verbose"]))
            if trainer is self._trainers[0]:
                self.history_ = history
        self.loss_ = float(self.history_["loss"][0])
        self.loss_curve_.append(self.loss_)
        self.best_loss_ = min(self.loss_curve_)
        self.validation_scores_ = None
        self.n_iter_ += 1
        self.t_ += n
        self._describe(o, self._trainers[0].optimizer, n, None, batch, 1)
        return self

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
        return {type(None): "numbers", Scale: "standardised"}.get(type(self._scale), "standardised, with bins")

    # -- prediction ---------------------------------------------------------------------------------------------------

    def _outputs(self, x: Any) -> list[NDArray[Any]]:
        """Return what each network says of the rows, (n, n_outputs) each."""
        own = vars(self)
        # The usual case costs no more than these checks: the network itself refuses what is not finite.
        if (
            type(x) is np.ndarray and x.dtype.char in "fd" and x.ndim == 2 and "network_" in own
            and own["_encoder"] is None and "feature_names_in_" not in own
            and x.shape[1] == self.n_features_in_ and len(x)
        ):  # fmt: skip
            try:
                return self._networks_say(x)
            except ValueError:
                pass  # to be said in scikit-learn's words, below
        check_is_fitted(self)
        if self._encoder is not None:
            if not is_frame(x):
                raise TypeError(f"X is a {type(x).__name__}: expected a data frame with the columns of training")
            return self._networks_say(self._encoder.transform(x), scaled=True)
        x = validate_data(self, x, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=False)
        if hasattr(x, "tocsr"):
            parts = [self._networks_say(block) for _, block in blocks(x.tocsr())]
            return [np.concatenate(of_one) for of_one in zip(*parts, strict=True)]
        return self._networks_say(x)

    def _networks_say(self, x: NDArray[Any], scaled: bool = False) -> list[NDArray[Any]]:
        if scaled or self._scale is None:
            return [network.predict(x) for network in self.networks_]
        if len(x) <= BLOCK:
            z = self._scale.apply(x, self._dtype)
            return [network.predict(z) for network in self.networks_]
        parts = [self._networks_say(x[i : i + BLOCK]) for i in range(0, len(x), BLOCK)]
        return [np.concatenate(of_one) for of_one in zip(*parts, strict=True)]


def _takes_encoder(x: Any, encode: str | None) -> bool:
    """Tell whether a table goes through a TableEncoder: a data frame with more than whole columns of numbers."""
    if encode == "numbers" or not is_frame(x) or 0 in getattr(x, "shape", ()):
        return False
    if not hasattr(x, "iloc"):
        return True
    plain = all(isinstance(kind, np.dtype) and kind.kind in "iuf" for kind in x.dtypes)
    return not plain or bool(x.isna().any(axis=None))


def _take(x: Any, rows: NDArray[Any]) -> Any:
    return x.iloc[rows] if hasattr(x, "iloc") else x[rows]


def _cut(x: Any, y: NDArray[Any], weight: Any, rows: NDArray[Any]) -> tuple[Any, NDArray[Any], Any]:
    return x[rows], y[rows], None if weight is None else weight[rows]


def can_go_on(estimator: Any) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is not available with solver='lbfgs'")
    return True
