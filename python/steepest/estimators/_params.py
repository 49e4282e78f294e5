"""The estimators' parameters: their defaults, the range of each, and their checked values."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._validation import choice, flag, integer, number
from ..callbacks import Callback, check_callbacks
from ..layers import ACTIVATIONS
from ..losses import LossFunction
from ..metrics import MODES, sign_of
from ..optimizers import Optimizer, check_optimizer
from ..recipe import Recipe, effort_of
from ..schedules import LearningRate
from ._reporting import FitReporter

Check: TypeAlias = Callable[[str, Any], Any]

PRESETS = ("fast", "best", "sklearn")


@dataclass(eq=False, repr=False)
class Parameters:
    """The parameters of both estimators; ``_docs.PARAMETERS`` says what each means."""

    _: KW_ONLY
    loss: Any = None
    hidden_layer_sizes: Any = None
    activation: Any = None
    solver: str | None = None
    alpha: float | None = None
    batch_size: Any = None
    learning_rate: str | None = None
    learning_rate_init: float | None = None
    power_t: float = 0.5
    max_iter: int | None = None
    shuffle: bool = True
    random_state: Any = None
    tol: float | None = None
    verbose: bool = False
    warm_start: bool = False
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool | None = None
    validation_fraction: float | None = None
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    n_iter_no_change: float | None = None
    optimizer: Any = None
    lr: Any = None
    dropout: float | None = None
    batch_norm: bool = False
    layer_norm: bool = False
    ensemble: int | None = None
    encode: str | None = "auto"
    preset: str | None = None
    callbacks: Any = None
    accumulate: int = 1
    ema: float | None = None
    mixup: float = 0.0
    eval_metric: Any = None
    n_jobs: int | None = None
    time_limit: float | None = None


class EvalMetric(NamedTuple):
    """The metric that chooses the best epoch; its sign is 1 where larger is better, else -1."""

    metric: str | Callable[..., float]
    name: str
    sign: float


@dataclass(frozen=True)
class Settings:
    """An estimator's parameters, each within its range, completed by scikit-learn's defaults under its preset."""

    hidden_layer_sizes: tuple[int, ...] | None
    activation: tuple[str, ...]  # one for each hidden layer
    solver: str | None
    alpha: float | None
    batch_size: int | None  # None: "auto" too
    learning_rate: str | None
    learning_rate_init: float | None
    power_t: float
    max_iter: int | None
    shuffle: bool
    random_state: Any
    tol: float | None
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool | None
    validation_fraction: float | None
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float | None
    optimizer: Optimizer | None
    lr: LearningRate | None
    dropout: float | None
    batch_norm: bool
    layer_norm: bool
    ensemble: int | None
    encode: str | None
    preset: str | None
    callbacks: list[Callback]
    accumulate: int
    ema: float | None
    mixup: float
    eval_metric: EvalMetric | None
    n_jobs: int | None
    time_limit: float | None
    loss: str | LossFunction
    class_weight: Any = None
    label_smoothing: float | None = 0.0
    quantile: float = 0.5
    delta: float | None = None
    reporter: FitReporter | None = None  # where scikit-learn's own callbacks are set

    @classmethod
    def of(cls, parameters: Mapping[str, Any], losses: tuple[str, ...]) -> Settings:
        """Check an estimator's parameters.

        Parameters
        ----------
        parameters : mapping of str to object
            Of the estimator, by name.
        losses : tuple of str
            The losses that it knows by name.

        Raises
        ------
        TypeError, ValueError
            If one is not within its range, or two do not go together: the message names them.
        """
        given = dict(parameters)
        if given["preset"] is not None and choice("preset", given["preset"], PRESETS) == "sklearn":
            given |= {name: value for name, value in _SKLEARN.items() if given.get(name, 0) is None}
        checked = {name: _in_range(name, value) for name, value in given.items()}
        if not callable(given["loss"]):
            choice("loss", given["loss"], losses)
        hidden = checked["hidden_layer_sizes"]
        checked["activation"] = _activations(given["activation"], len(Recipe().hidden if hidden is None else hidden))
        _check_together(checked)
        return cls(**checked)

    @property
    def like_sklearn(self) -> bool:
        """Whether scikit-learn's ways are followed, and its weights drawn."""
        return self.preset == "sklearn"

    @property
    def effort(self) -> str | None:
        """The preset that decides how much is trained; None: the usual."""
        return None if self.like_sklearn else effort_of(self.preset, self.time_limit)

    @property
    def describes_one_network(self) -> bool:
        """Whether the user says how one network is built or trained, and so gets one."""
        said = (self.hidden_layer_sizes, self.solver, self.optimizer, self.max_iter)
        acts = any(not callback._only_shows for callback in self.callbacks)
        return any(value is not None for value in said) or (acts and self.ensemble is None)


# What is None stands for these under the preset "sklearn".
_SKLEARN = {
    "hidden_layer_sizes": (100,), "activation": "relu", "solver": "adam", "alpha": 1e-4, "batch_size": "auto",
    "learning_rate": "constant", "learning_rate_init": 1e-3, "max_iter": 200, "tol": 1e-4, "n_iter_no_change": 10,
    "early_stopping": False, "validation_fraction": 0.1, "encode": "numbers", "dropout": 0.0, "label_smoothing": 0.0,
    "ensemble": 1,
}  # fmt: skip
_NONE_STANDS_FOR_A_DEFAULT = {field.name for field in fields(Parameters) if field.default is None} | {
    "encode",
    "delta",
    "class_weight",
    "label_smoothing",
}
_NOT_WITH_LBFGS = ("dropout", "batch_norm", "optimizer", "ema", "mixup", "eval_metric")


def _real(**bounds: float) -> Check:
    return lambda name, value: number(name, value, **bounds)


def _whole(*, ge: int, beside: tuple[Any, ...] = ()) -> Check:
    return lambda name, value: value if value in beside else integer(name, value, ge=ge)


def _one_of(*options: str) -> Check:
    return lambda name, value: choice(name, value, options)


def _anything(name: str, value: Any) -> Any:
    return value


def _widths(name: str, value: Any) -> tuple[int, ...]:
    sizes = value if np.iterable(value) else [value]
    return tuple(integer(name, size, ge=1) for size in sizes)


def _batch_size(name: str, value: Any) -> int | None:
    return None if isinstance(value, str) and value == "auto" else integer(name, value, ge=1)


def _optimizer(name: str, value: Any) -> Optimizer:
    return check_optimizer(value)


def _learning_rate(name: str, value: Any) -> LearningRate:
    return value if callable(value) else number(name, value, ge=0)


def _callbacks(name: str, value: Any) -> list[Callback]:
    return check_callbacks(value)


def _n_jobs(name: str, value: Any) -> Any:
    if not isinstance(value, numbers.Integral) or value == 0:
        raise ValueError(f"{name} is {value!r}: expected None, or a whole number other than 0")
    return value


def _eval_metric(name: str, value: Any) -> EvalMetric:
    metric, mode = value if isinstance(value, tuple) and len(value) == 2 else (value, "auto")
    choice(f"{name}'s mode", mode, MODES)
    if isinstance(metric, str):
        return EvalMetric(metric, metric, sign_of(metric, mode))
    if not callable(metric):
        raise TypeError(f"{name} is {value!r}: expected a name such as 'auc', a function, or (either, 'max')")
    called = getattr(metric, "__name__", type(metric).__name__)
    # Scikit-learn's rule: what ends in _score is better the larger it is.
    larger = mode == "auto" and called.endswith("_score")
    return EvalMetric(metric, called, 1.0 if larger else sign_of(called, mode))


_SHARE = _real(ge=0, lt=1)
# The range of each parameter, of either estimator; None is allowed where it stands for a default.
RANGES: dict[str, Check] = {
    "loss": _anything,  # by the estimator's own list
    "hidden_layer_sizes": _widths,
    "activation": _anything,  # beside the number of layers
    "solver": _one_of("adam", "sgd", "lbfgs"),
    "alpha": _real(ge=0),
    "batch_size": _batch_size,
    "learning_rate": _one_of("constant", "invscaling", "adaptive"),
    "learning_rate_init": _real(gt=0),
    "power_t": _real(ge=0),
    "max_iter": _whole(ge=1),
    "shuffle": flag,
    "random_state": _anything,  # scikit-learn checks it
    "tol": _real(ge=0),
    "verbose": lambda name, value: bool(value),
    "warm_start": flag,
    "momentum": _SHARE,
    "nesterovs_momentum": flag,
    "early_stopping": flag,
    "validation_fraction": _real(gt=0, lt=1),
    "beta_1": _SHARE,
    "beta_2": _SHARE,
    "epsilon": _real(gt=0),
    "n_iter_no_change": _whole(ge=1, beside=(math.inf,)),
    "optimizer": _optimizer,
    "lr": _learning_rate,
    "dropout": _SHARE,
    "batch_norm": flag,
    "layer_norm": flag,
    "ensemble": _whole(ge=1),
    "encode": _one_of("auto", "numbers"),
    "preset": _anything,  # checked before all others
    "callbacks": _callbacks,
    "accumulate": _whole(ge=1),
    "ema": _real(gt=0, lt=1),
    "mixup": _real(ge=0),
    "eval_metric": _eval_metric,
    "n_jobs": _n_jobs,
    "time_limit": _real(gt=0),
    "class_weight": _anything,  # scikit-learn checks it
    "label_smoothing": _SHARE,
    "quantile": _real(gt=0, lt=1),
    "delta": _real(gt=0),
}


def _in_range(name: str, value: Any) -> Any:
    if value is None and name in _NONE_STANDS_FOR_A_DEFAULT:
        return [] if name == "callbacks" else None
    return RANGES[name](name, value)


def _activations(given: Any, n_layers: int) -> tuple[str, ...]:
    """Return the activation of each hidden layer, by the core's names."""
    if given is not None and not np.iterable(given):
        raise TypeError(f"activation is {given!r}: expected a name such as 'relu', or one for each hidden layer")
    names = [given or Recipe().activation] * n_layers if given is None or isinstance(given, str) else list(given)
    if len(names) != n_layers:
        raise ValueError(f"activation has {len(names)} names: expected one, or {n_layers} for the hidden layers")
    return tuple("sigmoid" if name == "logistic" else choice("activation", name, ACTIVATIONS) for name in names)


def _check_together(checked: Mapping[str, Any]) -> None:
    """Refuse parameters that do not go together."""
    if checked["batch_norm"] and checked["layer_norm"]:
        raise ValueError("batch_norm and layer_norm are both True: expected one of them at most")
    given = [name for name in _NOT_WITH_LBFGS if checked[name]]
    if checked["solver"] == "lbfgs" and given:
        found = f"{given[0]}={checked[given[0]]!r}"
        raise ValueError(f"solver is 'lbfgs' with {found}: expected none of {', '.join(_NOT_WITH_LBFGS)}")
    if callable(checked["loss"]) and checked["mixup"]:
        raise ValueError(f"mixup is {checked['mixup']} with a loss of your own: expected 0, or the name of a loss")
