"""The move of the output when weights or inputs are turned a little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import as_array
from .._validation import integer, number
from ..network import Network
from ._cost import CHUNK, rms
from ._parts import Array, check_network, float64_copy, names_by_layer


@dataclass(frozen=True, repr=False)
class Sensitivity:
    """The result of `sensitivity`: moves of the output, as parts of its own size.

    Attributes
    ----------
    layers : dict of str to float
        By layer, from input to output.
    features : array of shape (n_in,)
        By input column.
    turn : float
        The part of its size by which each was turned: 0.01 is one percent.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> net = st.Network(2, [st.Dense(1, init=[[3.0], [0.0]])], seed=0)
    >>> found = st.descent.sensitivity(net, np.random.default_rng(0).normal(size=(50, 2)))
    >>> bool(found.features[0] > 0), bool(found.features[1] == 0)  # the second column counts for nothing
    (True, True)
    """

    layers: dict[str, float]
    features: NDArray[np.float64]
    turn: float

    def __str__(self) -> str:
        """Return a table of the layers and the five columns that move most."""
        lines = [f"turned by {self.turn:.3g}, the output moves by"]
        lines += [f"  layer {name:<10}{moved:>12.4g}" for name, moved in self.layers.items()]
        order = np.argsort(-self.features, kind="stable")[:5]
        lines += [f"  column {i:<9}{self.features[i]:>12.4g}" for i in order]
        return "\n".join(lines)

    __repr__ = __str__


def sensitivity(net: Network, x: ArrayLike, *, turn: float = 0.01, draws: int = 8, seed: int = 0) -> Sensitivity:
    """Measure how far the output moves when a layer's weights, or an input column, are turned by one percent.

    Parameters
    ----------
    net : Network
        The network; it does not change.
    x : array of shape (n, n_in)
        Rows to try it on, n >= 1.
    turn : float, default=0.01
        The part of its size by which to turn each, > 0.
    draws : int, default=8
        The number of random choices of signs for each layer, >= 1.
    seed : int, default=0
        Seed of the signs, >= 0.

    Returns
    -------
    Sensitivity
        Of layers and columns.

    Raises
    ------
    TypeError
        If `net` is no network.
    ValueError
        If there are no rows, they do not fit the network or are not finite, or `turn`, `draws` or `seed` is too small.

    Notes
    -----
    With f the output at inference, in float64, and w the parameters of a layer, biases included, it is
    ``sqrt(mean((f(w * (1 + turn * s)) - f(w))**2) / mean(f(w)**2))``, where s is +1 or -1 for each number, drawn anew
    for each of `draws`, and the means go over draws, rows and outputs. Random signs stand for weights that move on
    their own: turned all the same way, every layer of a relu network would only scale the output. For a column c with
    the standard deviation d it is ``sqrt(mean((f(x + turn * d * e_c) - f(x))**2) / mean(f(x)**2))``. Where the output
    is zero throughout, it is zero.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = x[:, 0] * x[:, 1]
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    >>> found = st.descent.sensitivity(net, x)
    >>> sorted(found.layers), found.features.shape
    (['0', '1'], (2,))
    """
    check_network(net)
    turn, draws = number("turn", turn, gt=0), integer("draws", draws, ge=1)
    random = np.random.default_rng(integer("seed", seed, ge=0))
    other = float64_copy(net)
    rows = as_array("x", x)
    y = other.predict(rows)
    rows = _float64_copy(rows)  # its columns are turned in place
    if not len(y):
        raise ValueError("x has no rows: expected at least one")
    size, before = rms(y), other.parameters

    def relative(squares: list[float]) -> float:
        return float(np.sqrt(np.mean(squares))) / size if size else 0.0

    layers = {}
    for layer, names in names_by_layer(list(before)).items():
        squares = []
        for _ in range(draws):
            other.set_parameters({name: before[name] * (1 + turn * _signs(random, before[name])) for name in names})
            squares.append(rms(other.predict(rows) - y) ** 2)
        other.set_parameters({name: before[name] for name in names})
        layers[layer] = relative(squares)

    features = np.zeros(net.n_in)
    for i, column in enumerate(rows.T):
        values = column.copy()
        if spread := values.std():
            column += turn * spread
            features[i] = relative([rms(other.predict(rows) - y) ** 2])
            column[:] = values
    return Sensitivity(layers, features, turn)


def _float64_copy(rows: Array) -> NDArray[np.float64]:
    """Return a copy in float64, made a block at a time: Ctrl-C is heard in between."""
    copy = np.empty(rows.shape)
    for first in range(0, len(rows), CHUNK):
        copy[first : first + CHUNK] = rows[first : first + CHUNK]
    return copy


def _signs(random: np.random.Generator, like: Array) -> NDArray[Any]:
    return 2.0 * random.integers(0, 2, like.shape) - 1
