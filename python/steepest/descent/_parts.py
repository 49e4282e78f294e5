"""Parts of a network as networks of their own."""

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
Named = list[tuple[str, Layer]]


def check_network(net: object, *, learns: bool = False) -> Network:
    """Return the network, or say that it is none, or has nothing to learn."""
    if not isinstance(net, Network):
        raise TypeError(f"net is {net!r}: expected a steepest.Network")
    if learns and not net.n_parameters:
        raise ValueError(f"net is {net!r}: expected a layer with parameters")
    return net


def numbered(layers: Sequence[Layer], prefix: str = "") -> Named:
    """Return the layers with their names in the network."""
    return [(f"{prefix}{i}", layer) for i, layer in enumerate(layers)]


def assemble(named: Named, tensors: Mapping[str, Array], n_in: int, dtype: str = "float64") -> Network | None:
    """Return a network of these layers with their weights among `tensors`; None for no layers."""
    if not named:
        return None
    network = Network(n_in, [bare(layer) for _, layer in named], dtype=dtype)
    load(network, named, tensors)
    return network


def load(network: Network, named: Named, tensors: Mapping[str, Array]) -> None:
    """Give a network that `assemble` made the weights of the moment."""
    own = {}
    for i, (name, _) in enumerate(named):
        start = f"{name}."
        own.update({f"{i}.{key[len(start) :]}": value for key, value in tensors.items() if key.startswith(start)})
    network.set_parameters(own)


def in_float64(network: Network) -> Network:
    """Return a copy that computes in float64."""
    copy = assemble(numbered(network.layers), tensors_of(network), network.n_in)
    assert copy is not None
    return copy


def tensors_of(network: Network) -> Tensors:
    """Return the parameters and running statistics by name."""
    return network.parameters | network.buffers


def run(network: Network | None, x: Array) -> Array:
    """Return the outputs at inference; no network leaves the rows as they are."""
    return x if network is None else network.predict(x)


class Taps:
    """A network cut after every layer, so that each layer's output can be seen; what is inside a residual too."""

    def __init__(self, network: Network) -> None:
        self._network, self._size = network, 0
        self._parts = self._cut(network.layers, network.n_in, "")

    def outputs(self, x: Array) -> Iterator[tuple[str, Layer, Array]]:
        """Go through name, layer and output of each layer at inference, what is inside a residual block before it.

        Outputs are NaN after a layer whose outputs overflow.
        """
        return _through(self._parts, self._network._core.state(), x)

    def _cut(self, layers: Sequence[Layer], n_in: int, prefix: str) -> list[_Part]:
        parts: list[_Part] = []
        for name, layer in numbered(layers, prefix):
            if isinstance(layer, Residual):
                parts.append((name, layer, self._cut(layer.layers, n_in, f"{name}.")))
            else:
                network, start = Network(n_in, [bare(layer)], dtype=self._network.dtype), self._size
                self._size += len(network._core.state())
                parts.append((name, layer, (network, slice(start, self._size))))
            n_in = layer.output_size(n_in)
        return parts


# Name, layer, and itself as a network with the place of its numbers in the state of the whole; or what is inside it.
_Part = tuple[str, Layer, "tuple[Network, slice] | list[_Part]"]


def _through(parts: list[_Part], state: Array, x: Array) -> Iterator[tuple[str, Layer, Array]]:
    for name, layer, part in parts:
        if isinstance(part, list):
            inner = x
            for found in _through(part, state, x):
                yield found
                inner = found[2]
            x = x + inner
        else:
            network, own = part
            network._core.restore(state[own])
            # What has overflowed is refused as an input, so from there on nothing is known.
            x = network.predict(x) if np.isfinite(x).all() else np.full((len(x), network.n_out), np.nan, x.dtype)
        yield name, layer, x


def some_rows(n: int, most: int) -> NDArray[np.intp]:
    """Return the indices of all rows, or of some, always the same: drawn, for the rows of a table may have a rhythm."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def parameter_layers(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of the parameters by their layer, in order."""
    layers: dict[str, list[str]] = {}
    for name in names:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    return layers


def flat(tensors: Mapping[str, Array], dtype: Any = np.float64) -> Array:
    """Return all numbers in one row."""
    return np.concatenate([np.asarray(value, dtype).ravel() for value in tensors.values()] or [np.empty(0, dtype)])


def shapes_of(network: Network) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the parameters by name."""
    return {name: value.shape for name, value in network.parameters.items()}


def unflat(row: Array, shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    """Return the tensors, as views, that `flat` made a row of."""
    tensors, start = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        tensors[name] = row[start : start + size].reshape(shape)
        start += size
    return tensors


def bare(layer: Layer) -> Layer:
    """Return the layer without its first weights, which need not be drawn."""
    if isinstance(layer, Residual):
        return Residual([bare(inner) for inner in layer.layers])
    return replace(layer, init="zeros") if isinstance(layer, Dense) else layer
