"""Comparison of backpropagation with differences of the cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import integer
from ..layers import Dropout, iter_nodes
from ..losses import LossFunction
from ..network import Network
from ..training import Trainer
from ._cost import Cost, batch_gradient, interruptible
from ._parts import Tensors, check_network, float64_copy, shapes_of, unflatten

TOLERANCE = 1e-7
# Differences of the fourth order: f' = sum(share * f(w + k h)) / h, with an error of about h**4, and rounding / h.
STENCIL = ((1, 8 / 12), (-1, -8 / 12), (2, -1 / 12), (-2, 1 / 12))
# The first step is the best where the cost is smooth. Where a relu or an absolute value bends within it, a shorter one
# sees the straight piece. A wrong gradient agrees with none of them.
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
# Rounding of the cost, 2e-16 of it, over the first step: a gradient below this part of the cost is not known to 1e-7.
FLOOR = 1e-5


@dataclass(frozen=True)
class Entry:
    """One weight's derivative, by backpropagation and by differences.

    Attributes
    ----------
    name : str
        The parameter.
    index : tuple of int
        Its place in the parameter.
    gradient, difference : float
        The derivative of the cost by backpropagation, and by differences.
    error : float
        The distance of the two, over the largest derivative of the parameter (but at least 1e-5 of the cost).

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = x[:, 0] * x[:, 1]
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    >>> entry = st.descent.check(net, x, y, "mse").entries[0]
    >>> entry.name, bool(abs(entry.gradient - entry.difference) < 1e-6)
    ('0.weight', True)
    """

    name: str
    index: tuple[int, ...]
    gradient: float
    difference: float
    error: float


@dataclass(frozen=True, repr=False)
class Check:
    """The result of `check`.

    Attributes
    ----------
    entries : tuple of Entry
        All that were compared, the worst first.
    layers : dict of str to float
        The largest error of each layer, from input to output.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = x[:, 0] * x[:, 1]
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    >>> found = st.descent.check(net, x, y, "mse")
    >>> len(found.entries), sorted(found.layers), max(found.layers.values()) < 1e-6
    (33, ['0', '1'], True)
    """

    entries: tuple[Entry, ...]
    layers: dict[str, float]

    @property
    def error(self) -> float:
        """The largest error."""
        return self.entries[0].error

    @property
    def worst_layer(self) -> str:
        """The layer of the largest error."""
        return self.entries[0].name.rpartition(".")[0]

    @property
    def wrong_layers(self) -> tuple[str, ...]:
        """The layers of an error above 1e-7, from output to input: an error travels on from the first of them."""
        return tuple(name for name, error in reversed(self.layers.items()) if error > TOLERANCE)

    @property
    def ok(self) -> bool:
        """True where all errors are at most 1e-7."""
        return self.error <= TOLERANCE

    def __str__(self) -> str:
        """Return the errors by layer and the five worst entries."""
        verdict = "agrees with" if self.ok else f"is wrong in layer {self.worst_layer}, against"
        lines = [f"backpropagation {verdict} {len(self.entries)} differences: largest error {self.error:.2g}"]
        lines += [f"  layer {name:<10}{error:>10.2g}" for name, error in self.layers.items()]
        for entry in self.entries[:5]:
            place = f"{entry.name}{list(entry.index)}"
            lines.append(f"  {place:<22}{entry.gradient:>14.6g}{entry.difference:>14.6g}{entry.error:>10.2g}")
        return "\n".join(lines)

    __repr__ = __str__


def check(
    net: Network,
    x: ArrayLike,
    y: ArrayLike,
    loss: str | LossFunction | Trainer,
    *,
    gradients: Mapping[str, ArrayLike] | None = None,
    entries: int = 100,
    seed: int = 0,
    sample_weight: ArrayLike | None = None,
) -> Check:
    """Compare the gradient of a training step with central differences of the cost, in float64.

    Parameters
    ----------
    net : Network
        The network; it does not change.
    x : array of shape (n, n_in)
        Rows, n >= 1: one batch. A few are enough.
    y : array of shape (n,) or (n, n_out)
        Their targets, as for `Trainer`.
    loss : str, callable or Trainer
        The loss by name, a function as `Trainer` takes it, or a trainer whose loss it is, with its quantile or delta.
    gradients : mapping of str to array, default=None
        Gradients to be judged instead of the network's own, named as `Network.parameters`: computed otherwise, or known
        to be wrong.
    entries : int, default=100
        The number of entries of each parameter to compare, >= 1; of larger ones that many are drawn, each as likely as
        any. Each costs four training passes or more.
    seed : int, default=0
        Seed of that draw, >= 0.
    sample_weight : array of shape (n,), default=None
        Weights of the rows, >= 0; None weighs all rows alike.

    Returns
    -------
    Check
        The entries, worst first, and the worst layer.

    Raises
    ------
    TypeError
        If `net` is no network, or a loss of the user's own returns no pair of numbers.
    ValueError
        If the network has no parameters, the loss is unknown, x, y or the weights do not fit the network or each other,
        a number is not finite, a target is none of this loss, `gradients` has other names or shapes than
        `Network.parameters`, or `entries` or `seed` is too small.
    DivergedError
        If the cost is not finite, where the network stands or at a step from there.

    Notes
    -----
    The cost is that of training: statistics of the batch in batch normalization, and dropout with the mask of a fresh
    trainer's first step. A weight is moved by h and 2 h to either side, with h = 1e-3, and where that disagrees, as
    near the bend of a relu, by shorter steps down to 1e-7; the best agreement counts. Exactly on a bend no
    difference is right, as where a row of zeros meets a relu without a bias.

    A loss of the user's own is asked for its value at each difference, in float64, and for its gradient once. Where
    that gradient does not belong to the value, all layers that the error reaches are wrong, the last one among them.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = x[:, 0] * x[:, 1]
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    >>> st.descent.check(net, x, y, "mse").ok
    True
    """
    check_network(net, learns=True)
    cost, entries = Cost.of(loss), integer("entries", entries, ge=1)
    random = np.random.default_rng(integer("seed", seed, ge=0))
    moved = _MovedCost(net, cost, x, y, sample_weight)
    judged = moved.gradients if gradients is None else _check_gradients(gradients, moved.gradients)

    compared = []
    for name, gradient in judged.items():
        scale = max(float(np.abs(moved.gradients[name]).max()), FLOOR * abs(moved.loss))
        for place in _drawn_places(random, gradient.size, entries):
            index = tuple(map(int, np.unravel_index(place, gradient.shape)))
            compared.append(_compare(moved, name, index, float(gradient[index]), scale))
        moved.put_back(name)
    layers = {name.rpartition(".")[0]: 0.0 for name in judged}
    for entry in compared:
        layer = entry.name.rpartition(".")[0]
        layers[layer] = max(layers[layer], entry.error)
    compared.sort(key=lambda entry: -entry.error)
    return Check(tuple(compared), layers)


class _MovedCost:
    """The cost of one batch in training mode, of a float64 copy of a network in which one weight is moved.

    Attributes
    ----------
    loss : float
        The cost where no weight is moved.
    gradients : dict of str to array
        Its derivatives there, by backpropagation.
    """

    def __init__(self, net: Network, cost: Cost, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> None:
        self._cost, self._batch = cost, (x, y, sample_weight)
        self._network = float64_copy(net)
        self._weights = self._network.parameters
        self._drops = any(isinstance(node.layer, Dropout) for node in iter_nodes(net.layers, net.n_in))
        self.loss, gradient = batch_gradient(cost.trainer(self._network), *self._batch)
        self.gradients = unflatten(gradient, shapes_of(self._network))
        self._trainer = cost.trainer(self._network)

    def slope(self, name: str, index: tuple[int, ...], h: float) -> float:
        """Return the derivative by one weight, by differences of steps of h and 2 h."""
        return sum(share / h * self._at(name, index, steps * h) for steps, share in STENCIL)

    def put_back(self, name: str) -> None:
        """Move a parameter back to where it was."""
        self._network.set_parameters({name: self._weights[name]})

    def _at(self, name: str, index: tuple[int, ...], shift: float) -> float:
        moved = self._weights[name].copy()
        moved[index] += shift
        self._network.set_parameters({name: moved})
        # A fresh trainer draws the dropout mask of a first step each time: the one that the gradient was taken with.
        trainer = self._cost.trainer(self._network) if self._drops else self._trainer
        # A training pass: its rate is 0.
        return interruptible(trainer, lambda: trainer.step(*self._batch), self._batch[0])


def _compare(moved: _MovedCost, name: str, index: tuple[int, ...], gradient: float, scale: float) -> Entry:
    """Compare one derivative with differences over ever shorter steps, until they agree or no step is left."""
    best = np.inf
    for h in STEPS:
        slope = moved.slope(name, index, h)
        error = abs(gradient - slope) / max(scale, abs(slope))
        if error < best:
            best, difference = error, slope
        if best <= TOLERANCE:
            break
    return Entry(name, index, gradient, difference, best)


def _drawn_places(random: np.random.Generator, size: int, most: int) -> NDArray[np.intp]:
    """Return the flat indices to compare: all, or so many drawn."""
    return np.arange(size) if size <= most else np.sort(random.choice(size, most, replace=False))


def _check_gradients(gradients: Mapping[str, ArrayLike], like: Tensors) -> Tensors:
    """Return a user's gradients in float64, or raise a ValueError if names or shapes are not those of `like`."""
    if gradients.keys() != like.keys():
        raise ValueError(f"gradients has {', '.join(gradients)}: expected {', '.join(like)}")
    judged = {name: np.asarray(gradients[name], np.float64) for name in like}
    for name, gradient in judged.items():
        if gradient.shape != like[name].shape:
            raise ValueError(f"gradients[{name!r}] has the shape {gradient.shape}: expected {like[name].shape}")
        if not np.isfinite(gradient).all():
            raise ValueError(f"gradients[{name!r}] has numbers that are not finite")
    return judged
