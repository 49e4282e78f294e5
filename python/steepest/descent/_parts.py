"""Parts of a network as networks of their own."""

from __future__ import annotations

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

    def __init__(self, layers: Sequence[Layer], n_in: int, dtype: str, prefix: str = "") -> None:
        self._parts: list[tuple[str, Layer, Network | Taps]] = []
        for name, layer in numbered(layers, prefix):
            if isinstance(layer, Residual):
                self._parts.append((name, layer, Taps(layer.layers, n_in, dtype, f"{name}.")))
            else:
                self._parts.append((name, layer, Network(n_in, [bare(layer)], dtype=dtype)))
            n_in = layer.output_size(n_in)

    @classmethod
    def of(cls, network: Network) -> Taps:
        """Return the taps of a network."""
        return cls(network.layers, network.n_in, network.dtype)

    def outputs(self, tensors: Mapping[str, Array], x: Array) -> Iterator[tuple[str, Layer, Array]]:
        """Go through name, layer and output of each layer at inference, what is inside a residual block before it.

        Outputs are NaN after a layer whose outputs overflow.
        """
        for name, layer, part in self._parts:
            if isinstance(part, Taps):
                inner = x
                for found in part.outputs(tensors, x):
                    yield found
                    inner = found[2]
                x = x + inner
            else:
                load(part, [(name, layer)], tensors)
                # What has overflowed is refused as an input, so from there on nothing is known.
                x = part.predict(x) if np.isfinite(x).all() else np.full((len(x), part.n_out), np.nan, x.dtype)
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


def bare(layer: Layer) -> Layer:
    """Return the layer without its first weights, which need not be drawn."""
    if isinstance(layer, Residual):
        return Residual([bare(inner) for inner in layer.layers])
    return replace(layer, init="zeros") if isinstance(layer, Dense) else layer
