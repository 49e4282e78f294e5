"""What stands between the estimators and the trainer: scaling, options left open, stopping rules, sparse rows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .callbacks import Callback, FitState, History, PrintEpochs
from .layers import Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm, walk
from .network import Network
from .optimizers import SGD
from .schedules import Schedule
from .training import Trainer

BLOCK = 1024  # rows of a sparse matrix, or of an array to scale, that are dense or in float64 at a time

_FURTHEST = 10.0  # standard deviations: an outlier says no more than this
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Scale:
    """Columns to mean 0 and standard deviation 1: ``(value - mean) / scale``."""

    mean: NDArray[np.float64]  # (columns,)
    scale: NDArray[np.float64]  # (columns,)
    furthest: float = math.inf

    @classmethod
    def fit(cls, values: Any, weight: NDArray[Any] | None = None, furthest: float = math.inf) -> Scale:
        """Learn from rows, (n, columns), dense or sparse, weighted by `weight`, (n,)."""
        n = values.shape[0]
        weights = np.ones(n) if weight is None else np.asarray(weight, np.float64)
        share = weights / weights.sum()
        mean = np.zeros(values.shape[1])
        square, widest = np.zeros_like(mean), np.zeros_like(mean)
        for rows, block in blocks(values):
            mean += share[rows] @ block
        with np.errstate(over="ignore"):  # an infinite spread is replaced below
            for rows, block in blocks(values):
                away = block - mean
                square += share[rows] @ away**2
                widest = np.maximum(widest, np.abs(away[weights[rows] > 0]).max(axis=0, initial=0))
        scale = np.where(np.isfinite(square), np.sqrt(square), widest)
        scale[scale <= _ROUNDING * np.maximum(np.abs(mean), np.finfo(np.float64).tiny)] = 1.0
        return cls(mean, scale, furthest)

    def apply(self, values: Any, dtype: Any = np.float32) -> NDArray[Any]:
        """Return scaled rows; what is not finite stays so, for the network to refuse."""
        if len(values) <= BLOCK:
            return self._apply(values).astype(dtype)
        out = np.empty(values.shape, dtype)
        for start in range(0, len(values), BLOCK):
            out[start : start + BLOCK] = self._apply(values[start : start + BLOCK])
        return out

    def invert(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the numbers in their own units."""
        return np.asarray(values * self.scale + self.mean, np.float64)

    def _apply(self, values: NDArray[Any]) -> NDArray[Any]:
        z = (values - self.mean) / self.scale
        if np.abs(z).max(initial=0) > self.furthest:
            z[np.isfinite(z)] = np.clip(z[np.isfinite(z)], -self.furthest, self.furthest)
        return np.asarray(z)


def feature_scale(values: Any, weight: NDArray[Any] | None) -> Scale:
    """Learn the scale of features."""
    return Scale.fit(values, weight, _FURTHEST)


def blocks(rows: Any) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Go through the rows of an array or CSR matrix in dense blocks."""
    for start in range(0, rows.shape[0], BLOCK):
        part = slice(start, min(start + BLOCK, rows.shape[0]))
        yield part, rows[part].toarray() if hasattr(rows, "toarray") else rows[part]


def merge_rows(
    x: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """Return the different rows in order, and how much each weighs: few rows train alike in any order or repetition."""
    weights = np.ones(len(x)) if weight is None else np.asarray(weight, np.float64)
    table = np.column_stack([x, y])
    _, first, place = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return x[first], y[first], np.bincount(place.reshape(-1), weights=weights).astype(np.float64)


def build_layers(
    hidden: Sequence[int],
    activations: Sequence[str],
    n_out: int,
    *,
    dropout: float,
    batch_norm: bool = False,
    layer_norm: bool = False,
) -> list[Layer]:
    """Return dense layers, each with its normalisation, activation and dropout, and the output layer."""
    layers: list[Layer] = []
    for width, activation in zip(hidden, activations, strict=True):
        if batch_norm or layer_norm:
            layers += [Dense(width), BatchNorm() if batch_norm else LayerNorm(), Activation(activation)]
        else:
            layers.append(Dense(width, activation))
        if dropout:
            layers.append(Dropout(dropout))
    return [*layers, Dense(n_out)]


def dense_names(network: Network) -> list[str]:
    """Return the paths of the dense layers, in order."""
    return [node.name for node in walk(network.layers, network.n_in) if isinstance(node.layer, Dense)]


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
        "loss" to watch the training loss, or a metric of the validation rows, where larger is better.
    tol, patience : float
        Stop, or lower the rate, when more than `patience` epochs in a row gained less than `tol`.
    rule : {"constant", "invscaling", "adaptive"}
        What happens to the learning rate.
    power : float
        For "invscaling": rate / (rows + 1)**power, with the rows trained so far.
    to_loss : callable
        Makes the loss as scikit-learn states it of the trainer's and of the network.
    """

    def __init__(
        self,
        metric: str,
        tol: float,
        patience: float,
        rule: str,
        power: float,
        to_loss: Callable[[float, Network], float],
    ) -> None:
        self.metric, self.tol, self.patience, self.rule, self.power = metric, tol, patience, rule, power
        self.to_loss, self.trained = to_loss, 0
        self.losses: list[float] = []
        self.converged = False

    def on_fit_begin(self, fit: FitState) -> None:
        """Start anew."""
        self._first_rate = fit.trainer.learning_rate
        self._best, self._waited = -math.inf, 0
        self._weights: NDArray[Any] | None = None

    def on_epoch_end(self, fit: FitState) -> None:
        """Judge the epoch."""
        loss = self.to_loss(fit.metrics["loss"], fit.trainer.network)
        self.losses.append(loss)
        watches_loss = self.metric == "loss"
        score = -loss if watches_loss else fit.metrics[self.metric]
        worse = score < self._best + self.tol if math.isfinite(self._best) else False
        self._waited = self._waited + 1 if worse else 0
        if score > self._best:
            self._best = score
            if not watches_loss:
                self._weights = fit.trainer.network._core.state()
        self.trained += fit.n_rows
        if self.rule == "invscaling":
            fit.trainer.learning_rate = self._first_rate / (self.trained + 1) ** self.power
        if self._waited > self.patience:
            if self.rule == "adaptive" and fit.trainer.learning_rate > 1e-6:
                fit.trainer.learning_rate /= 5
                self._waited = 0
            else:
                self.converged = True
                fit.stop()

    def on_fit_end(self, fit: FitState) -> None:
        """Put the weights of the best score back."""
        if self._weights is not None:
            fit.trainer.network._core.restore(self._weights)


def penalised(factor: float, alpha: float, batch_weight: float, network: Network) -> Callable[[float, Network], float]:
    """Return what makes scikit-learn's loss: `factor` times ours, and the L2 penalty as it stood in mid-epoch."""
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


def fit_sparse(
    trainer: Trainer,
    x: Any,
    y: NDArray[Any],
    weight: NDArray[Any] | None,
    scale: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    epochs: int,
    batch_size: int,
    shuffle: bool,
    validation: tuple[Any, NDArray[Any], NDArray[Any] | None] | None,
    callbacks: Sequence[Callback],
    verbose: bool,
    seed: int,
) -> History:
    """Train on a CSR matrix of which one batch is dense at a time; otherwise as `Trainer.fit`."""
    n = x.shape[0]
    random = np.random.default_rng(seed)
    names = ["loss", "learning_rate", "seconds"]
    if validation:
        names += list(_evaluate_sparse(trainer, *validation, scale))
    steps = math.ceil(n / batch_size)
    if isinstance(trainer._lr, Schedule):
        trainer._use(trainer._lr.lay_out(trainer.n_steps, epochs * steps, steps, names))
    history = History("val_loss" if validation else "loss")
    fit = FitState(trainer, epochs, batch_size, n, tuple(names), history)
    with ExitStack() as endings:
        active = [*callbacks, *([PrintEpochs()] if verbose else [])]
        for callback in active:
            callback.on_fit_begin(fit)
            endings.callback(callback.on_fit_end, fit)
        for epoch in range(epochs):
            fit.epoch, start = epoch, time.perf_counter()
            order = random.permutation(n) if shuffle else np.arange(n)
            total = sum_of_weights = 0.0
            for first in range(0, n, batch_size):
                rows = order[first : first + batch_size]
                weights = None if weight is None else weight[rows]
                share = float(len(rows) if weights is None else weights.sum())
                total += share * trainer.step(scale(x[rows].toarray()), y[rows], weights)
                sum_of_weights += share
            rate = trainer._rate(trainer.n_steps - 1)
            fit.metrics = {"loss": total / sum_of_weights, "learning_rate": rate, "seconds": 0.0}
            if validation:
                fit.metrics |= _evaluate_sparse(trainer, *validation, scale)
            fit.metrics["seconds"] = time.perf_counter() - start
            history.append(fit.metrics)
            if isinstance(trainer._lr, Schedule):
                trainer._use(trainer._lr.observe(fit.metrics))
            for callback in active:
                callback.on_epoch_end(fit)
            if fit.stopped:
                break
    return history


def _evaluate_sparse(
    trainer: Trainer,
    x: Any,
    y: NDArray[Any],
    weight: NDArray[Any] | None,
    scale: Callable[[NDArray[Any]], NDArray[Any]],
) -> dict[str, float]:
    """Return the metrics that are means over rows, and R2."""
    sums: dict[str, float] = {}
    total = residual = 0.0
    for rows, block in blocks(x):
        weights = None if weight is None else weight[rows]
        share = float(len(block) if weights is None else weights.sum())
        if not share:
            continue
        found = trainer.evaluate(scale(block), y[rows], weights)
        for name in found.keys() & {"loss", "accuracy", "mae"}:
            sums[name] = sums.get(name, 0.0) + share * found[name]
        residual += share * found.get("rmse", 0.0) ** 2
        total += share
    metrics = {f"val_{name}": value / total for name, value in sorted(sums.items())}
    if "val_mae" in metrics:
        spread = float(np.mean(np.average((y - np.average(y, axis=0, weights=weight)) ** 2, axis=0, weights=weight)))
        metrics["val_r2"] = 1 - residual / total / spread if spread else math.nan
    return metrics


def minimise(
    trainer: Trainer,
    x: Any,
    y: NDArray[Any],
    weight: NDArray[Any] | None,
    scale: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    factor: float,
    alpha: float,
    max_iter: int,
    tol: float,
) -> tuple[float, int, bool]:
    """Minimise the whole loss by SciPy's L-BFGS-B; return loss, iterations and whether it converged.

    The gradient is what a step of plain descent at the rate 1 takes off the weights: exact to a rounding in float64.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    network = trainer.network._core
    start = network.state()
    kept = trainer.network.parameters
    trainer.network.set_parameters({name: np.full_like(v, name.endswith("weight")) for name, v in kept.items()})
    is_weight = network.state()
    weights = np.ones(x.shape[0]) if weight is None else np.asarray(weight, np.float64)
    total = float(weights.sum())

    def loss_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        loss, gradient = 0.0, np.zeros_like(flat)
        for rows, block in blocks(x):
            share = float(weights[rows].sum()) / total
            if share:
                network.restore(flat)
                loss += share * trainer.step(scale(block), y[rows], weights[rows])
                gradient += share * (flat - network.state())
        penalty = alpha / total
        shrunk = flat * is_weight
        return factor * loss + penalty / 2 * float(shrunk @ shrunk), factor * gradient + penalty * shrunk

    found = minimize(
        loss_and_gradient,
        start,
        method="L-BFGS-B",
        jac=True,
        options={"maxiter": max_iter, "gtol": tol, "maxfun": 15000},
    )
    network.restore(np.ascontiguousarray(found.x, dtype=start.dtype))
    return float(found.fun), int(found.nit), bool(found.status == 0)


def gradient_trainer(network: Network, loss: str, **options: Any) -> Trainer:
    """Return the trainer whose step takes exactly the gradient off the weights."""
    return Trainer(network, loss, SGD(1.0), **options)
