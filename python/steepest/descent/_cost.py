"""The cost of a network on some rows, and its exact gradient: the one way that everything here measures them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import choice
from ..layers import Activation, BatchNorm, Dense, Dropout, Layer, Residual
from ..network import Network
from ..optimizers import SGD
from ..training import LOSSES, Trainer
from ._parts import Array, Tensors, flatten, number_layers, shapes_of, unflatten, without_init

# A plain step takes RATE * gradient off each weight. At this rate the step is so much longer than any weight that the
# difference of the weights before and after is the gradient to the last bit or two, however small it is; and a power
# of two divides out exactly.
RATE = 2.0**40
CHUNK = 4096  # rows in a pass, so that a gradient over many rows needs no more memory than this


@dataclass(frozen=True)
class Cost:
    """A loss with its constants."""

    loss: str
    quantile: float = 0.5
    delta: float = 1.0

    @classmethod
    def of(cls, loss: object) -> Cost:
        """Return the cost that a name or a trainer stands for."""
        if isinstance(loss, Trainer):
            return cls(choice("loss", loss.loss, LOSSES), loss.quantile, loss.delta)
        return loss if isinstance(loss, cls) else cls(choice("loss", loss, LOSSES))

    def trainer(self, network: Network, rate: float = 0.0) -> Trainer:
        """Return a plain trainer by this loss."""
        return Trainer(network, self.loss, SGD(rate), quantile=self.quantile, delta=self.delta)

    def __call__(self, network: Network, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean loss in inference mode, as `Trainer.evaluate` does."""
        return self.trainer(network).evaluate(x, y, sample_weight, metrics=[])["loss"]

    def of_outputs(self, n_out: int) -> Trainer:
        """Return a trainer whose `evaluate` takes outputs in place of rows."""
        return self.trainer(Network(n_out, [Activation("identity")], dtype="float64"))


class InferenceTwin:
    """A network that computes in training mode, and so with a gradient, what another one does at inference.

    Dropout is left out, and batch normalisation, which is a fixed scale and shift at inference, becomes a dense layer
    with a diagonal matrix. Names of layers stay.
    """

    def __init__(self, network: Network, dtype: str = "float64") -> None:
        self._original = network
        self._fixed: dict[str, BatchNorm] = {}
        layers = self._layers(network.layers, network.n_in, "")
        self._network = Network(network.n_in, layers, dtype=dtype)
        self._shapes = shapes_of(self._network)
        self._trainers: dict[Cost, Trainer] = {}

    def gradients(
        self, cost: Cost, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, Tensors]:
        """Return the cost and its derivative by each parameter, for the weights that the other network has now."""
        x, y = np.asarray(x), np.asarray(y)
        n = len(x) if x.ndim else 0
        weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight, np.float64)
        if cost not in self._trainers:
            self._trainers[cost] = cost.trainer(self._network, RATE)
        trainer, core = self._trainers[cost], self._network._core
        trainer._core.check(x, y, weight, "")
        before, spread = self._weights()
        whole, total = float(weight.sum()), 0.0
        sums = np.zeros(len(before))
        for first in range(0, n, CHUNK):
            rows = slice(first, first + CHUNK)
            share = float(weight[rows].sum()) / whole
            if not share:
                continue
            core.restore(before)
            total += share * trainer.step(x[rows], y[rows], weight[rows])
            with np.errstate(invalid="ignore"):  # gradients may overflow where the cost does not
                sums += share / RATE * (before - core.state())
        found = unflatten(sums, self._shapes)
        # From the gradients of the diagonal layers to those of the normalisations that they stand for.
        for name, (scale, mean) in spread.items():
            shift = found[f"{name}.bias"]
            found[f"{name}.weight"] = scale * (np.diagonal(found[f"{name}.weight"]) - mean * shift)
        return total, found

    def _weights(self) -> tuple[Array, dict[str, tuple[Array, Array]]]:
        """Return all weights of the moment, and scale and mean of each normalisation that is a dense layer here."""
        if not self._fixed:
            return self._original._core.state().astype(self._network.dtype, copy=False), {}
        tensors, buffers = self._original.parameters, self._original.buffers
        spread = {}
        for name, layer in self._fixed.items():
            weight, bias = (tensors[f"{name}.{key}"].astype(np.float64) for key in ("weight", "bias"))
            mean, variance = (buffers[f"{name}.running_{key}"].astype(np.float64) for key in ("mean", "var"))
            scale = 1 / np.sqrt(variance + layer.eps)
            spread[name] = scale, mean
            tensors[f"{name}.weight"] = np.diag(weight * scale)
            tensors[f"{name}.bias"] = bias - weight * scale * mean
        return flatten(tensors, self._network.dtype), spread

    def _layers(self, layers: Sequence[Layer], n: int, prefix: str) -> list[Layer]:
        result: list[Layer] = []
        for name, layer in number_layers(layers, prefix):
            if isinstance(layer, BatchNorm):
                self._fixed[name] = layer
                result.append(Dense(n, init="zeros"))
            elif isinstance(layer, Dropout):
                result.append(Activation("identity"))
            elif isinstance(layer, Residual):
                result.append(Residual(self._layers(layer.layers, n, f"{name}.")))
            else:
                result.append(without_init(layer))
            n = layer.output_size(n)
        return result


def rms(values: NDArray[Any]) -> float:
    """Return the root of the mean square, in float64."""
    return length(values) / math.sqrt(values.size or 1)


def length(*arrays: NDArray[Any]) -> float:
    """Return the Euclidean length of all numbers together, in float64."""
    with np.errstate(over="ignore"):
        squares = [np.add.reduce(np.square(values, dtype=np.float64), axis=None) for values in arrays]
        return math.sqrt(sum(squares))
