"""What the two estimators share: options, reading, scaling, and the ways to train."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
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

from ._checks import located, read_labels, read_numbers, refuse_masked, refuse_too_large
from ._columns import is_frame
from ._fitting import (
    Scale,
    StopLikeSklearn,
    block_rows,
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
from .optimizers import SGD, Adam, AdamW, Optimizer
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
_SKLEARN = {
    "hidden_layer_sizes": (100,), "activation": "relu", "solver": "adam", "alpha": 1e-4, "batch_size": "auto",
    "learning_rate": "constant", "learning_rate_init": 1e-3, "max_iter": 200, "tol": 1e-4, "n_iter_no_change": 10,
    "early_stopping": False, "validation_fraction": 0.1, "encode": "numbers",
}  # fmt: skip
_FEWEST_TO_HOLD_OUT = 200  # rows; on iris's 100, a held-out fifth chose the epoch badly (0.87-0.91 right, not 0.95)
_TINY = 50  # rows: fewer train all at once, in float64
_FEW = 200  # rows: a batch at most, even where they are sparse


class BaseMLP(BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor share."""

    networks_: list[Network]
    _encoder: TableEncoder | None
    _scale: Scale | None
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
            o |= {name: value for name, value in _SKLEARN.items() if o[name] is None}
        for name, options in (("solver", _SOLVERS), ("learning_rate", _RULES), ("encode", ("auto", "numbers"))):
            if o[name] is not None:
                choice(name, o[name], options)
        hidden = Recipe().hidden if o["hidden_layer_sizes"] is None else o["hidden_layer_sizes"]
        sizes = hidden if np.iterable(hidden) else [hidden]
        o["hidden_layer_sizes"] = tuple(integer("hidden_layer_sizes", size, ge=1) for size in sizes)
        o["callbacks"] = [o["callbacks"]] if isinstance(o["callbacks"], Callback) else list(o["callbacks"] or ())
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
        o["activation"] = self._activations(o["activation"], len(o["hidden_layer_sizes"]))
        o["like_sklearn"] = like_sklearn
        return o

    @staticmethod
    def _activations(given: Any, n_layers: int) -> list[str]:
        if given is not None and not np.iterable(given):
            raise TypeError(f"activation is {given!r}: expected a name such as 'relu', or one for each hidden layer")
        names = [given or "relu"] * n_layers if given is None or isinstance(given, str) else list(given)
        if len(names) != n_layers:
            raise ValueError(f"activation has {len(names)} names: expected one, or {n_layers} for the hidden layers")
        return ["sigmoid" if name == "logistic" else choice("activation", name, ACTIVATIONS) for name in names]

    # -- data ---------------------------------------------------------------------------------------------------------

    def _read(self, x: Any, y: Any, o: dict[str, Any], *, reset: bool) -> tuple[Any, NDArray[Any]]:
        """Check rows and targets; return an array, CSR matrix or data frame, and the targets."""
        numeric = not is_classifier(self)
        given_x, given_y = x, y
        refuse_masked(X=x, y=y)
        y = read_numbers(y) if numeric else read_labels("y", y)
        if reset:
            self._is_frame = _takes_encoder(x, o["encode"])
        try:
            if self._is_frame:
                if y is None:
                    raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
                if reset:  # later the encoder finds its columns by name
                    _check_feature_names(self, x, reset=True)
                    _check_n_features(self, x, reset=True)
                y = _check_y(y, multi_output=True, y_numeric=numeric, estimator=self)
                check_consistent_length(x, y)
            else:
                x, y = validate_data(
                    self, x, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=numeric,
                    dtype=(np.float64, np.float32), reset=reset,
                )  # fmt: skip
                x = x.tocsr() if hasattr(x, "tocsr") else x
        except ValueError as error:
            raise located(error, X=given_x, y=given_y) from None
        y = y.toarray() if hasattr(y, "toarray") else y
        return x, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _read_weight(self, sample_weight: Any, y: NDArray[Any]) -> NDArray[Any]:
        """Check the weights of rows."""
        try:
            weight: NDArray[Any] = _check_sample_weight(sample_weight, y)
        except ValueError as error:
            raise located(error, sample_weight=sample_weight) from None
        if weight.min() < 0 or not weight.any():
            raise ValueError("sample_weight has negative numbers or only zeros: expected numbers >= 0, some above")
        refuse_too_large("sample_weight", weight, np.arange(len(weight)))
        return weight

    def _dense(self, block: Any) -> NDArray[Any]:
        """Scale dense rows as the network expects them."""
        scale: Scale | None = self._scale
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
        before = self.__dict__.copy()
        try:
            return self._fit_anyhow(x, y, sample_weight, eval_set, classes, online)
        except Exception:  # as if it had never been called; Ctrl-C keeps what is trained
            self.__dict__ = before
            raise

    def _fit_anyhow(self: E, x: Any, y: Any, sample_weight: Any, eval_set: Any, classes: Any, online: bool) -> E:
        o = self._options()
        goes_on = "network_" in vars(self) and (o["warm_start"] or online)
        x, y = self._read(x, y, o, reset=not goes_on)
        weight = None if sample_weight is None else self._read_weight(sample_weight, y)
        targets = self._encode_targets(y, classes, goes_on=goes_on, online=online)
        weight = self._class_weighted(targets, y, weight, o)
        held = None if eval_set is None else self._read_eval_set(eval_set, o)

        places = np.arange(targets.shape[0])
        if weight is not None and not weight.all():  # a row without weight is no row
            places = np.flatnonzero(weight)
            x, targets, weight = _take(x, places), targets[places], weight[places]
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
        train, valid = self._split(targets, o, random, seed, tiny=tiny, online=online or held is not None)
        whole = targets
        if valid is not None:
            held = (_take(x, valid), targets[valid], None if weight is None else weight[valid])
            if held[2] is not None and not held[2].any():
                held = None
            x, targets, weight = _take(x, train), targets[train], None if weight is None else weight[train]
        n = targets.shape[0]
        if not goes_on:
            if not legacy:
                self._fit_scales(x, targets, weight, scale_features=not online or n >= 10)
            else:
                self._target_scale = None
        if self._dtype == np.float32 and not is_classifier(self):
            refuse_too_large("y", self._scaled_target(whole), places)
        rows = self._features(x)
        held = None if held is None else (self._features(held[0]), *held[1:])
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
        self._train(rows, y_train, weight, held, o, seed, tiny=tiny)
        return self

    def _read_eval_set(self, eval_set: Any, o: dict[str, Any]) -> tuple[Any, Any, Any]:
        if not isinstance(eval_set, Sequence) or len(eval_set) not in (2, 3):
            raise ValueError("eval_set is no (X, y) or (X, y, sample_weight): expected one of them")
        x, y, *weights = eval_set
        try:
            x, y = self._read(x, y, o, reset=False)
            weight = self._read_weight(weights[0], y) if weights and weights[0] is not None else None
            return x, self._encode_targets(y, None, goes_on=True, online=True), weight
        except ValueError as error:
            raise ValueError(f"eval_set: {error}") from None

    def _split(
        self, targets: NDArray[Any], o: Mapping[str, Any], random: Any, seed: int, *, tiny: bool, online: bool
    ) -> tuple[NDArray[np.intp], NDArray[np.intp] | None]:
        """Return the places of the rows to train on, and of those to hold out."""
        rows = np.arange(targets.shape[0])
        wanted = o["early_stopping"]
        if (
            online
            or o["solver"] == "lbfgs"
            or wanted is False
            or (wanted is None and (tiny or len(rows) < _FEWEST_TO_HOLD_OUT))
        ):
            return rows, None
        labels = self.classes_[targets] if is_classifier(self) and targets.ndim == 1 else None
        share = o["validation_fraction"] or (0.2 if len(rows) < 2000 else 0.1)
        if o["like_sklearn"]:
            train, valid = train_test_split(rows, random_state=random, test_size=share, stratify=labels)
            return train, valid
        try:
            train, valid = split_rows(rows, share, seed, targets if labels is not None else None)
        except ValueError as error:
            if wanted:
                raise ValueError(f"early_stopping is True, but {error}") from None
            return rows, None
        if labels is not None and len(lone := self.classes_[np.bincount(targets) == 1]):
            listed = ", ".join(map(repr, lone[:5].tolist())) + (" and others" if len(lone) > 5 else "")
            warnings.warn(f"y has one row only of the class {listed}: it is trained on, none is held out", stacklevel=5)
        return train, valid

    def _fit_scales(self, x: Any, targets: NDArray[Any], weight: Any, *, scale_features: bool) -> None:
        self._encoder, self._scale = None, None
        if self._is_frame:
            self._encoder = TableEncoder().fit(x, np.zeros(len(x)), "regression")
        elif scale_features:
            self._scale = feature_scale(x, weight)
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
            rate = 1e-3 if online or o["learning_rate"] or o["solver"] == "adam" else Recipe().lr
        if o["solver"] == "sgd":
            rate /= factor
        if lr is None:
            anneal = not online and o["learning_rate"] is None
            lr = cosine(rate, warmup=steps // 20) if anneal else rate
        betas = {"beta1": o["beta_1"], "beta2": o["beta_2"]}
        if o["solver"] is None:
            return AdamW(lr, **betas, eps=o["epsilon"], weight_decay=Recipe().weight_decay if alpha is None else alpha)
        decay = (1e-4 if alpha is None else alpha) / batch * factor
        if o["solver"] == "sgd":
            nesterov = o["nesterovs_momentum"] and o["momentum"] > 0
            return SGD(lr, momentum=o["momentum"], nesterov=nesterov, weight_decay=decay)
        return Adam(lr, **betas, eps=o["epsilon"] * factor, weight_decay=decay)

    def _trainer_options(self, o: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def _train(
        self, rows: Any, y: NDArray[Any], weight: Any, held: Any, o: Mapping[str, Any], seed: int, *, tiny: bool
    ) -> None:
        n = rows.shape[0]
        legacy = o["like_sklearn"]
        size = None if o["batch_size"] == "auto" else o["batch_size"]
        epochs, batch = Recipe(epochs=o["max_iter"], batch_size=size).plan(n)
        if size is None and (legacy or tiny):
            batch = min(200, n)
            epochs = o["max_iter"] or 500
        if legacy and size is not None and size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
            )
        batch = min(batch, n)
        steps = epochs * math.ceil(n / batch)
        options = self._trainer_options(o)
        loss = self._loss_name()
        sparse = hasattr(rows, "tocsr")
        self.histories_: list[History] = []
        self.validation_scores_: list[float] | None
        self.best_loss_: float | None
        factor = 1 / self._gradient_factor()
        alpha = 1e-4 if o["alpha"] is None else o["alpha"]
        if o["solver"] == "lbfgs":
            for i, network in enumerate(self.networks_):
                trainer = gradient_trainer(network, loss, **options, seed=seed + i)
                value, n_iter, converged = minimise(
                    trainer, rows, y, weight, self._dense if sparse else np.asarray, factor=factor, alpha=alpha,
                    max_iter=o["max_iter"] or 200, tol=1e-4 if o["tol"] is None else o["tol"],
                )  # fmt: skip
                if i == 0:
                    self.loss_ = self.best_loss_ = value
                    self.n_iter_ = n_iter
                    self.validation_scores_ = None
                if not converged and legacy:
                    warnings.warn(f"lbfgs did not converge in {n_iter} iterations", ConvergenceWarning, stacklevel=5)
            self.history_ = History()
            self._describe(o, "lbfgs", n, held, batch, epochs)
            return
        optimizer = self._optimizer(o, batch, steps)
        scores = ""
        trainers: list[Trainer] = []
        curve: list[float] = vars(self).get("loss_curve_", []) if self.n_iter_ else []
        for i in range(len(self.networks_)):
            trainer = self._trainer(i, optimizer, options, seed)
            trainers.append(trainer)
            stops, scores = self._stopping(o, trainer, held, epochs, batch)
            arguments: dict[str, Any] = {
                "epochs": epochs, "batch_size": batch, "shuffle": o["shuffle"], "verbose": bool(o["verbose"]),
                "validation": None if held is None else tuple(held), "callbacks": [*stops, *o["callbacks"]],
            }  # fmt: skip
            if sparse:
                history = fit_sparse(trainer, rows, y, weight, self._dense, **arguments)
            else:
                if held is not None:
                    arguments["validation"] = tuple(part for part in held if part is not None)
                history = trainer.fit(rows, y, sample_weight=weight, **arguments)
            self.histories_.append(history)
            if i == 0:
                rule = stops[0] if stops and isinstance(stops[0], StopLikeSklearn) else None
                self.history_ = history
                self.loss_curve_: list[float] = [*curve, *(rule.losses if rule else history["loss"].tolist())]
                if legacy and history.n_epochs == epochs and not (rule and rule.converged):
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization hasn't "
                        "converged yet.", ConvergenceWarning, stacklevel=5,
                    )  # fmt: skip
        self._trainers = trainers if o["warm_start"] else None
        self.n_iter_ += self.history_.n_epochs
        self.t_ += self.history_.n_epochs * n
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = min(self.loss_curve_) if held is None or not legacy else None
        self.validation_scores_ = None
        if held is not None:
            values = self.history_[scores] if scores in self.history_ else -self.history_["val_loss"]
            self.validation_scores_ = values.tolist()
            self.best_validation_score_ = float(np.max(values))
        self._describe(o, optimizer, n, held, batch, epochs)

    def _stopping(
        self, o: Mapping[str, Any], trainer: Trainer, held: Any, epochs: int, batch: int
    ) -> tuple[list[Callback], str]:
        score = "val_accuracy" if is_classifier(self) else "val_r2"
        rule = (
            o["learning_rate"] if o["learning_rate"] and (o["solver"] == "sgd" or not o["like_sklearn"]) else "constant"
        )
        patience, tol = o["n_iter_no_change"], o["tol"]
        if o["like_sklearn"] or rule != "constant":
            if self._loss_name() == "poisson":
                score = "val_loss"
            stop = StopLikeSklearn(
                "loss" if held is None else score, 1e-4 if tol is None else tol, 10 if patience is None else patience,
                rule, o["power_t"], self._to_sklearn(o, batch, trainer), trainer, self.t_,
            )  # fmt: skip
            return [stop], score
        if held is None and patience is None and tol is None:
            return [], score
        most = max(10, epochs // 2) if patience in (None, math.inf) else patience
        return [EarlyStopping(patience=most, min_delta=tol or 0.0, restore_best=held is not None)], score

    def _trainer(self, i: int, optimizer: Optimizer, options: Mapping[str, Any], seed: int) -> Trainer:
        """Return a trainer of one network, which goes on from the last one's running means, counters and seed."""
        last = None if self._trainers is None else self._trainers[i]
        trainer = Trainer(
            self.networks_[i], self._loss_name(), optimizer, **options, seed=seed + i if last is None else last.seed
        )
        if last is not None and type(last.optimizer) is type(optimizer):
            state = last._core.state()
            if state.keys() == trainer._core.state().keys():
                trainer._core.restore(state)
                trainer._use(optimizer.lr)
        return trainer

    def _to_sklearn(self, o: Mapping[str, Any], batch: int, trainer: Trainer) -> Callable[[float, Network], float]:
        """Return what makes the loss that scikit-learn reports of the trainer's."""
        factor = 0.5 if self._loss_name() == "mse" else 1 / self._gradient_factor()
        return penalised(factor, 1e-4 if o["alpha"] is None else o["alpha"], batch, trainer.network)

    def _train_online(self: E, rows: Any, y: NDArray[Any], weight: Any, o: Mapping[str, Any], seed: int) -> E:
        n = rows.shape[0]
        batch = min(n, 200 if o["batch_size"] in (None, "auto") else o["batch_size"])
        optimizer = self._optimizer(o, batch, 1, online=True)
        if self._trainers is None or self._trainers[0].optimizer != optimizer:
            options = self._trainer_options(o)
            self._trainers = [self._trainer(i, optimizer, options, seed) for i in range(len(self.networks_))]
        curve: list[float] = vars(self).get("loss_curve_", []) if self.n_iter_ else []
        to_loss = self._to_sklearn(o, batch, self._trainers[0])
        for trainer in self._trainers:
            arguments: dict[str, Any] = {"epochs": 1, "batch_size": batch, "shuffle": o["shuffle"]}
            if hasattr(rows, "tocsr"):
                history = fit_sparse(
                    trainer, rows, y, weight, self._dense, **arguments, validation=None, callbacks=(), verbose=False
                )
            else:
                history = trainer.fit(rows, y, sample_weight=weight, **arguments, verbose=bool(o["verbose"]))
            if trainer is self._trainers[0]:
                self.history_ = history
        self.loss_ = float(self.history_["loss"][0])
        if o["like_sklearn"]:
            self.loss_ = to_loss(self.loss_, self.network_)
        self.loss_curve_ = [*curve, self.loss_]
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
            "features": "table" if self._encoder is not None else "numbers" if self._scale is None else "standardised",
            "dtype": self._dtype.name,
            "ensemble": len(self.networks_),
        }

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
                x = x if isinstance(x, np.ndarray) else np.array(x, dtype=object)
                _check_feature_names(self, x, reset=False)
            return self._networks_say(self._encoder.transform(x), scaled=True)
        given = x
        refuse_masked(X=x)
        try:
            x = validate_data(self, x, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=False)
        except ValueError as error:
            raise located(error, X=given) from None
        if hasattr(x, "tocsr"):
            parts = [self._networks_say(block) for _, block in blocks(x.tocsr())]
            return [np.concatenate(of_one) for of_one in zip(*parts, strict=True)]
        return self._networks_say(x)

    def _networks_say(self, x: NDArray[Any], scaled: bool = False) -> list[NDArray[Any]]:
        if scaled or self._scale is None:
            return [network.predict(x) for network in self.networks_]
        size = block_rows(x)
        if len(x) <= size:
            z = self._scale.apply(x, self._dtype)
            return [network.predict(z) for network in self.networks_]
        parts = [self._networks_say(x[i : i + size]) for i in range(0, len(x), size)]
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


def can_go_on(estimator: Any) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is not available with solver='lbfgs'")
    return True
