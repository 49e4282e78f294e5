"""Networks as chains of dense layers, and one row sent through them and back, with every number on its way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..descent._parts import assemble, number_layers
from ..embeddings import ColumnLayer
from ..layers import (
    Activation,
    BatchNorm,
    CategoryEmbedding,
    Dense,
    Dropout,
    FeatureScale,
    Layer,
    LayerNorm,
    PeriodicEmbedding,
    PiecewiseLinear,
    PiecewiseLinearEmbedding,
    Residual,
)
from ..network import Network

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stage:
    """A dense layer while one row goes through it.

    Attributes
    ----------
    name, activation : str
        The layer's name and its activation.
    weight : array of shape (n_in, n_out)
        Its weights.
    before, values : arrays of shape (n_in,), (n_out,)
        Its inputs and its outputs.
    input_gradient, sum_gradient : arrays of shape (n_in,), (n_out,)
        Derivatives of the cost by its inputs, and by the sums before the activation.
    """

    name: str
    activation: str
    weight: Array
    before: Array
    values: Array
    input_gradient: Array
    sum_gradient: Array

    @property
    def weight_gradient(self) -> Array:
        """Derivative of the cost by each weight, (n_in, n_out)."""
        return np.outer(self.before, self.sum_gradient)


@dataclass
class Chain:
    """A network of dense layers that computes the same as another one at inference.

    Attributes
    ----------
    network : Network
        Of dense layers alone, in float64.
    names : list of str
        The original's dense layer behind each of them.
    folded : bool
        Whether batch normalizations are in their weights.
    front : Network or None, default=None
        What makes the chain's inputs of a row, where the first layers of the original are functions of single columns.
    """

    network: Network
    names: list[str]
    folded: bool
    front: Network | None = None


@dataclass
class _Links:
    """The dense layers of a chain while it is put together, and what still waits for the next one."""

    layers: list[Dense] = field(default_factory=list)
    tensors: list[dict[str, Array]] = field(default_factory=list)  # weight and bias of each
    names: list[str] = field(default_factory=list)
    waiting: tuple[Array, Array] | None = None  # scale and shift of the next one's inputs
    folded: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the sums of the last layer are still as they are: an activation or a scale can go into it."""
        return bool(self.layers) and self.layers[-1].activation == "identity" and self.waiting is None

    def add_dense(self, name: str, layer: Dense, weight: Array, bias: Array | None) -> None:
        """Add a layer, with the scale and shift that waits for it in its weights."""
        if self.waiting is not None:
            scale, shift = self.waiting
            bias = shift @ weight + (0 if bias is None else bias)
            weight, self.waiting = scale[:, None] * weight, None
        self.layers.append(replace(layer, bias=bias is not None, init="zeros"))
        self.tensors.append({"weight": weight} | ({} if bias is None else {"bias": bias}))
        self.names.append(name)

    def add_scale(self, scale: Array, shift: Array) -> None:
        """Take a scale and shift into the layer before, or else into the one to come."""
        self.folded = True
        if self.is_open:
            last = self.tensors[-1]
            last["weight"], last["bias"] = last["weight"] * scale, last.get("bias", 0) * scale + shift
            self.layers[-1] = replace(self.layers[-1], bias=True)
            return
        before = (np.ones_like(scale), np.zeros_like(scale)) if self.waiting is None else self.waiting
        self.waiting = before[0] * scale, before[1] * scale + shift


def dense_chain(network: Network) -> Chain | str:
    """Return a network as the chain of dense layers that it is at inference, or in a few words why it is none.

    Dropout is off then, an activation of its own belongs to the layer before it, and a batch normalization or a
    FeatureScale, a fixed scale and shift, is taken into the weights beside it. Functions of single columns may stand in
    front of it all.
    """
    links, tensors = _Links(), {k: v.astype(np.float64) for k, v in (network.parameters | network.buffers).items()}
    kinds = [isinstance(layer, ColumnLayer) for layer in network.layers]
    n_front = kinds.index(False) if False in kinds else len(kinds)
    front = assemble(number_layers(network.layers[:n_front]), tensors, network.n_in)
    for i, layer in list(enumerate(network.layers))[n_front:]:
        if isinstance(layer, Dense):
            links.add_dense(str(i), layer, tensors[f"{i}.weight"], tensors.get(f"{i}.bias"))
        elif isinstance(layer, BatchNorm):
            scale = tensors[f"{i}.weight"] / np.sqrt(tensors[f"{i}.running_var"] + layer.eps)
            links.add_scale(scale, tensors[f"{i}.bias"] - tensors[f"{i}.running_mean"] * scale)
        elif isinstance(layer, FeatureScale):
            scale = tensors[f"{i}.scale"][0]
            links.add_scale(scale, np.zeros_like(scale))
        elif isinstance(layer, Activation) and links.is_open:
            links.layers[-1] = replace(links.layers[-1], activation=layer.name, alpha=layer.alpha)
        elif not isinstance(layer, Dropout) and layer != Activation("identity"):
            return _NO_CHAIN.get(type(layer), "an activation that belongs to no dense layer")
    if links.waiting is not None or not links.layers:
        return "a normalization or scale that no dense layer follows" if links.layers else "no dense layer"
    chosen: list[Layer] = list(links.layers)
    chain = Network(network.n_in if front is None else front.n_out, chosen, dtype="float64")
    chain.set_parameters({f"{i}.{key}": v for i, own in enumerate(links.tensors) for key, v in own.items()})
    return Chain(chain, links.names, links.folded, front)


_NO_CHAIN: dict[type[Layer], str] = {
    LayerNorm: "a LayerNorm, whose scale is another one for every row",
    PeriodicEmbedding: "a PeriodicEmbedding between other layers, whose sines and cosines no dense layer makes",
    PiecewiseLinearEmbedding: "a PiecewiseLinearEmbedding between other layers, whose bins no dense layer makes",
    CategoryEmbedding: "a CategoryEmbedding between other layers, whose tables no dense layer has",
    PiecewiseLinear: "a PiecewiseLinear between other layers, whose lines bend",
    Residual: "a Residual block, past which a second way leads",
}


def cost_of(loss: str, output: Array, target: Array) -> tuple[float, Array]:
    """Return the cost of one row and its derivative by the outputs.

    Parameters
    ----------
    loss : {"cross_entropy", "binary_cross_entropy", "mse"}
        As in `Trainer`.
    output : array of shape (n_out,)
        The network's output.
    target : array of shape (n_out,)
        The truth, for cross_entropy as shares of the classes.

    Returns
    -------
    cost : float
        The row's cost.
    gradient : array of shape (n_out,)
        Its derivative by the outputs.
    """
    if loss == "mse":
        return float(np.mean((output - target) ** 2)), 2 * (output - target) / len(output)
    if loss == "binary_cross_entropy":
        cost = np.logaddexp(0, output) - target * output
        return float(cost.mean()), (prediction_of(loss, output) - target) / len(output)
    spread = np.logaddexp.reduce(output)
    return float(np.sum(target * (spread - output))), prediction_of(loss, output) * target.sum() - target


def prediction_of(loss: str, output: Array) -> Array:
    """Return the prediction that outputs stand for: probabilities of classes, or the numbers themselves."""
    if loss == "binary_cross_entropy":
        return np.asarray(np.exp(-np.logaddexp(0, -output)))
    if loss == "cross_entropy":
        return np.asarray(np.exp(output - np.logaddexp.reduce(output)))
    return output


def propagate(network: Network, row: Array, output_gradient: Callable[[Array], Array]) -> tuple[list[Stage], Array]:
    """Send one row through a chain of dense layers, and the cost's derivative back.

    Parameters
    ----------
    network : Network
        Dense layers alone, as of `dense_chain`; it stays as it is.
    row : array of shape (n_in,)
        The row.
    output_gradient : callable
        Gets the output, shape (n_out,), and returns the derivative of the cost by it.

    Returns
    -------
    stages : list of Stage
        From input to output.
    output : array of shape (n_out,)
        The network's output.
    """
    layers = _with_biases(network)
    parameters = network.parameters
    values = [np.asarray(row, np.float64)]
    for i in range(len(layers)):
        values.append(_part(layers[i : i + 1], parameters, i, values[-1]).predict(values[-1][None])[0])
    back = np.asarray(output_gradient(values[-1]), np.float64)
    stages: list[Stage] = []
    for i in reversed(range(len(layers))):
        part = _part(layers[i : i + 1], parameters, i, values[i])
        part.forward(values[i][None])
        input_gradient = part.backward(back[None])[0]
        # The derivative by a bias is the one by the sum that it is added to.
        sum_gradient = part.gradients["0.bias"]
        weight = np.asarray(parameters[f"{i}.weight"], np.float64)
        inner = values[i], values[i + 1], input_gradient, sum_gradient
        stages.append(Stage(str(i), layers[i].activation, weight, *inner))
        back = input_gradient
    return stages[::-1], values[-1]


def take_step(network: Network, stages: list[Stage], rate: float) -> Network:
    """Return a copy of the network after one step of plain gradient descent on the row of `propagate`."""
    moved = network.copy()
    parameters = moved.parameters
    new: dict[str, Array] = {}
    for stage in stages:
        new[f"{stage.name}.weight"] = parameters[f"{stage.name}.weight"] - rate * stage.weight_gradient
        if f"{stage.name}.bias" in parameters:
            new[f"{stage.name}.bias"] = parameters[f"{stage.name}.bias"] - rate * stage.sum_gradient
    moved.set_parameters(new)
    return moved


def _with_biases(network: Network) -> list[Dense]:
    layers = [layer for layer in network.layers if isinstance(layer, Dense)]
    return [replace(layer, bias=True, init="zeros") for layer in layers]


def _part(layers: list[Dense], parameters: Mapping[str, Any], first: int, row: Array) -> Network:
    """Return layers as a float64 network of their own, with their weights among `parameters`."""
    chosen: list[Layer] = list(layers)
    part = Network(len(row), chosen, dtype="float64")
    names = {f"{first}.{kind}": f"0.{kind}" for kind in ("weight", "bias")}
    part.set_parameters({new: parameters[old] for old, new in names.items() if old in parameters})
    return part
