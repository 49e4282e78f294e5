"""Parts of a network as networks of their own, and parameters as one row of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..layers import Dense, Layer, Residual
from ..network import Network

Array = NDArray[Any]
Tensors = dict[str, Array]
NamedLayers = list[tuple[str, Layer]]


def check_network(net: object, *, learns: bool = False) -> Network:
    """Return the network, checked.

    Parameters
    ----------
    net : object
        The argument that a user gave.
    learns : bool, default=False
        Whether it must have parameters.

    Raises
    ------
    TypeError
        If it is no `Network`.
    ValueError
        If it must have parameters and has none.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net is {net!r}: expected a steepest.Network")
    if learns and not net.n_parameters:
        raise ValueError(f"net is {net!r}: expected a layer with parameters")
    return net


def number_layers(layers: Sequence[Layer], prefix: str = "") -> NamedLayers:
    """Return the layers with their names in the network: the prefix and their place."""
    return [(f"{prefix}{i}", layer) for i, layer in enumerate(layers)]


def assemble(named: NamedLayers, tensors: Mapping[str, Array], n_in: int, dtype: str = "float64") -> Network | None:
    """Return a network of these layers with their weights among `tensors`; None for no layers."""
    if not named:
        return None
    network = Network(n_in, [without_init(layer) for _, layer in named], dtype=dtype)
    load_weights(network, named, tensors)
    return network


def load_weights(network: Network, named: NamedLayers, tensors: Mapping[str, Array]) -> None:
    """Give a network that `assemble` made the weights among `tensors`, renamed to its own layer numbers."""
    own = {}
    for i, (name, _) in enumerate(named):
        start = f"{name}."
        own.update({f"{i}.{key[len(start) :]}": value for key, value in tensors.items() if key.startswith(start)})
    network.set_parameters(own)


def float64_copy(network: Network) -> Network:
    """Return a copy that computes in float64, with no layer frozen."""
    copy = assemble(number_layers(network.layers), tensors_of(network), network.n_in)
    assert copy is not None
    return copy


def tensors_of(network: Network) -> Tensors:
    """Return the parameters and running statistics by name."""
    return network.parameters | network.buffers


def predict(network: Network | None, x: Array) -> Array:
    """Return the outputs at inference, (n, n_out); no network leaves the rows as they are."""
    return x if network is None else network.predict(x)


class LayerOutputs:
    """The outputs of every layer of a network, those inside of residual blocks included.

    The network is cut into networks of one layer each. They take the weights that the whole has at the moment of each
    call, so one object serves all epochs of a training.
    """

    def __init__(self, network: Network) -> None:
        self._network, self._size = network, 0
        self._parts = self._cut(network.layers, network.n_in, "")

    def outputs(self, x: Array) -> Iterator[tuple[str, Layer, Array]]:
        """Yield name, layer and output (n, n_out) of each layer at inference; a residual block follows its layers.

        Outputs are NaN after a layer whose outputs overflow.
        """
        return _layer_outputs(self._parts, self._network._core.state(), x)

    def _cut(self, layers: Sequence[Layer], n_in: int, prefix: str) -> list[_Part]:
        parts: list[_Part] = []
        for name, layer in number_layers(layers, prefix):
            if isinstance(layer, Residual):
                parts.append((name, layer, self._cut(layer.layers, n_in, f"{name}.")))
            else:
                network, start = Network(n_in, [without_init(layer)], dtype=self._network.dtype), self._size
                self._size += len(network._core.state())
                parts.append((name, layer, (network, slice(start, self._size))))
            n_in = layer.output_size(n_in)
        return parts


# Name and layer; then the layer as a network with the place of its numbers in the state of the whole, or for a residual
# block the parts inside of it.
_Part = tuple[str, Layer, "tuple[Network, slice] | list[_Part]"]


def _layer_outputs(parts: list[_Part], state: Array, x: Array) -> Iterator[tuple[str, Layer, Array]]:
    for name, layer, part in parts:
        if isinstance(part, list):
            inner = x
            for found in _layer_outputs(part, state, x):
                yield found
                inner = found[2]
            x = x + inner
        else:
            network, own = part
            network._core.restore(state[own])
            # What has overflowed is refused as an input, so from there on nothing is known.
            x = network.predict(x) if np.isfinite(x).all() else np.full((len(x), network.n_out), np.nan, x.dtype)
        yield name, layer, x


def sample_rows(n: int, most: int) -> NDArray[np.intp]:
    """Return the sorted indices of at most `most` of n rows, the same at every call.

    They are drawn, not evenly spaced: the rows of a table may come in a rhythm, such as classes in turn.
    """
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def names_by_layer(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of the parameters by the name of their layer, both in order."""
    layers: dict[str, list[str]] = {}
    for name in names:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    return layers


def flatten(tensors: Mapping[str, Array], dtype: Any = np.float64) -> Array:
    """Return all numbers in one row, (n_parameters,), in the order of the mapping."""
    return np.concatenate([np.asarray(value, dtype).ravel() for value in tensors.values()] or [np.empty(0, dtype)])


def shapes_of(network: Network) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the parameters by name."""
    return {name: value.shape for name, value in network.parameters.items()}


def unflatten(row: Array, shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    """Return the tensors, as views, that `flatten` made a row of."""
    tensors, start = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        tensors[name] = row[start : start + size].reshape(shape)
        start += size
    return tensors


def without_init(layer: Layer) -> Layer:
    """Return the layer starting at zeros, so that no first weights are drawn where others are loaded at once."""
    if isinstance(layer, Residual):
        return Residual([without_init(inner) for inner in layer.layers])
    return replace(layer, init="zeros") if isinstance(layer, Dense) else layer
