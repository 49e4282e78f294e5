"""What the two estimators share: the attributes, and the order in which a fit does its work."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils import check_random_state

from ..network import Network, dense_names
from ._errors import refuse_too_large
from ._input import cut, merge_rows, take
from ._params import checked, decide
from ._predict import Predicts
from ._sklearn_preset import draw_like_sklearn
from ._solver import Trains

E = TypeVar("E", bound="BaseMLP")

_TINY = 50  # rows: fewer train all at once, in float64
_FEW = 200  # rows: a batch at most, even where they are sparse


class BaseMLP(Trains, Predicts):
    """What the classifier and the regressor share."""

    _losses: ClassVar[tuple[str, ...]]  # that have a name

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

    def _fit(
        self: E, x: Any, y: Any, sample_weight: Any, eval_set: Any, classes: Any = None, online: bool = False
    ) -> E:
        before = self.__dict__.copy()
        try:
            return self._read_and_train(x, y, sample_weight, eval_set, classes, online)
        except Exception:  # as if it had never been called; Ctrl-C keeps what is trained
            self.__dict__ = before
            raise

    def _read_and_train(self: E, x: Any, y: Any, sample_weight: Any, eval_set: Any, classes: Any, online: bool) -> E:
        o = checked(self.get_params(deep=False), self._losses)
        goes_on = "network_" in vars(self) and (o["warm_start"] or online)
        x, y = self._read(x, y, o, reset=not goes_on)
        weight = None if sample_weight is None else self._read_weight(sample_weight, y)
        targets = self._encode_targets(y, classes, goes_on=goes_on, online=online)
        weight = self._class_weighted(targets, y, weight, o)
        held = None if eval_set is None else self._read_eval_set(eval_set, o)
        if o["eval_metric"] and held is None and not online and o["early_stopping"] is False:
            raise ValueError("eval_metric is given with early_stopping=False: expected an eval_set with it")

        places = np.arange(targets.shape[0])
        if weight is not None and not weight.all():  # a row without weight is no row
            places = np.flatnonzero(weight)
            x, targets, weight = take(x, places), targets[places], weight[places]
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
        decide(o, targets.shape[0], tiny=tiny, online=online)

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
        if o["eval_metric"] and not online and held is None and not splits:
            raise ValueError(f"eval_metric has none of {len(targets)} rows to measure: expected more, or an eval_set")
        whole = targets
        if len(splits) == 1:
            train, valid = splits[0]
            held = (take(x, valid), targets[valid], None if weight is None else weight[valid])
            if held[2] is not None and not held[2].any():
                held = None
            x, targets, weight = take(x, train), targets[train], None if weight is None else weight[train]
        n = targets.shape[0]
        if not goes_on:
            if not legacy:
                self._fit_scales(x, targets, weight, o["recipe"].bins, scale_features=not online or n >= 10)
            else:
                self._target_scale = None
        if self._dtype == np.float32 and not is_classifier(self):
            refuse_too_large("y", self._scaled_target(whole), places)
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
        parts: list[Any] = [(lambda: (rows, y_train, weight), held)] * len(networks)
        if len(splits) > 1:
            n, y_held = len(splits[0][0]), self._scaled_target(targets)
            parts = [
                (partial(cut, rows, y_train, weight, train), cut(rows, y_held, weight, valid))
                for train, valid in splits
            ]
        self._train(n, parts, o, seed, tiny=tiny)
        if o.get("calibrates"):
            self._calibrate([held for _, held in parts])
        return self


def can_go_on(estimator: Any) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is not available with solver='lbfgs'")
    return True
