"""The estimators' parameters: checked, and completed by scikit-learn's defaults where the preset says so."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .._validation import choice, flag, integer, number
from ..callbacks import MODES, sign_of
from ..layers import ACTIVATIONS
from ..optimizers import Optimizer
from ..recipe import Recipe
from ..training._loop import check_callbacks

_SOLVERS = ("adam", "sgd", "lbfgs")
_DESCRIPTIONS = ("hidden_layer_sizes", "solver", "optimizer", "max_iter", "callbacks")  # of one network's training
_RULES = ("constant", "invscaling", "adaptive")
_SKLEARN = {
    "hidden_layer_sizes": (100,), "activation": "relu", "solver": "adam", "alpha": 1e-4, "batch_size": "auto",
    "learning_rate": "constant", "learning_rate_init": 1e-3, "max_iter": 200, "tol": 1e-4, "n_iter_no_change": 10,
    "early_stopping": False, "validation_fraction": 0.1, "encode": "numbers", "dropout": 0.0, "label_smoothing": 0.0,
    "ensemble": 1,
}  # fmt: skip


def checked(o: dict[str, Any], losses: tuple[str, ...]) -> dict[str, Any]:
    """Check an estimator's parameters; return them with scikit-learn's defaults where the preset says so."""
    like_sklearn = o["preset"] is not None and choice("preset", o["preset"], ("sklearn",)) == "sklearn"
    if like_sklearn:
        o |= {name: value for name, value in _SKLEARN.items() if o.get(name, 0) is None}
    o["described"] = any(o[name] is not None for name in _DESCRIPTIONS)
    for name, options in (("solver", _SOLVERS), ("learning_rate", _RULES), ("encode", ("auto", "numbers"))):
        if o[name] is not None:
            choice(name, o[name], options)
    hidden = o["hidden_layer_sizes"]
    if hidden is not None:
        sizes = hidden if np.iterable(hidden) else [hidden]
        o["hidden_layer_sizes"] = tuple(integer("hidden_layer_sizes", size, ge=1) for size in sizes)
    o["callbacks"] = check_callbacks(() if o["callbacks"] is None else o["callbacks"])
    for name, least in (
        ("max_iter", 1),
        ("n_iter_no_change", 1),
        ("batch_size", 1),
        ("ensemble", 1),
        ("accumulate", 1),
    ):
        if o[name] not in (None, "auto", math.inf):
            o[name] = integer(name, o[name], ge=least)
    bounds: dict[str, dict[str, float]] = {
        "alpha": {"ge": 0}, "learning_rate_init": {"gt": 0}, "power_t": {"ge": 0}, "tol": {"ge": 0},
        "momentum": {"ge": 0, "lt": 1}, "validation_fraction": {"gt": 0, "lt": 1}, "beta_1": {"ge": 0, "lt": 1},
        "beta_2": {"ge": 0, "lt": 1}, "epsilon": {"gt": 0}, "dropout": {"ge": 0, "lt": 1}, "delta": {"gt": 0},
        "quantile": {"gt": 0, "lt": 1}, "label_smoothing": {"ge": 0, "lt": 1}, "ema": {"gt": 0, "lt": 1},
        "mixup": {"ge": 0},
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
    without = ("dropout", "batch_norm", "optimizer", "ema", "mixup", "eval_metric")
    if o["solver"] == "lbfgs" and (given := [name for name in without if o[name]]):
        raise ValueError(f"solver is 'lbfgs' with {given[0]}={o[given[0]]!r}: expected none of {', '.join(without)}")
    if callable(o["loss"]) and o["mixup"]:
        raise ValueError(f"mixup is {o['mixup']} with a loss of your own: expected 0, or the name of a loss")
    o["eval_metric"] = _eval_metric(o["eval_metric"])
    if o["n_jobs"] is not None and (not isinstance(o["n_jobs"], numbers.Integral) or o["n_jobs"] == 0):
        raise ValueError(f"n_jobs is {o['n_jobs']!r}: expected None, or a whole number other than 0")
    if not callable(o["loss"]):
        choice("loss", o["loss"], losses)
    o["activation"] = _activations(o["activation"], len(Recipe().hidden if hidden is None else o["hidden_layer_sizes"]))
    o["like_sklearn"] = like_sklearn
    return o


def decide(o: dict[str, Any], n_rows: int, *, tiny: bool, online: bool) -> None:
    """Fill in what was left open, by the recipe for this many rows; whoever describes a network gets one."""
    recipe = Recipe(bins=0) if tiny or online else Recipe.for_rows(n_rows)
    if o["described"]:
        recipe = replace(recipe, networks=1)
    plain = tiny or online or o["solver"] == "lbfgs"
    o["recipe"] = recipe
    decided = {
        "hidden_layer_sizes": tuple(recipe.hidden),
        "dropout": 0.0 if plain else recipe.dropout,
        "ensemble": recipe.networks,
    }
    o |= {name: value for name, value in decided.items() if o[name] is None}


def _activations(given: Any, n_layers: int) -> list[str]:
    if given is not None and not np.iterable(given):
        raise TypeError(f"activation is {given!r}: expected a name such as 'relu', or one for each hidden layer")
    names = [given or Recipe().activation] * n_layers if given is None or isinstance(given, str) else list(given)
    if len(names) != n_layers:
        raise ValueError(f"activation has {len(names)} names: expected one, or {n_layers} for the hidden layers")
    return ["sigmoid" if name == "logistic" else choice("activation", name, ACTIVATIONS) for name in names]


def _eval_metric(given: Any) -> tuple[str | Callable[..., float], str, float] | None:
    """Return the metric, its name, and 1 where larger is better, else -1."""
    if given is None:
        return None
    metric, mode = given if isinstance(given, tuple) and len(given) == 2 else (given, "auto")
    choice("eval_metric's mode", mode, MODES)
    if isinstance(metric, str):
        return metric, metric, sign_of(metric, mode)
    if not callable(metric):
        raise TypeError(f"eval_metric is {given!r}: expected a name such as 'auc', a function, or (either, 'max')")
    name = getattr(metric, "__name__", type(metric).__name__)
    # Scikit-learn's rule: what ends in _score is better the larger it is.
    return metric, name, 1.0 if mode == "auto" and name.endswith("_score") else sign_of(name, mode)
