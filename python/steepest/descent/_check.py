"""Backpropagation against differences of the cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import integer
from ..layers import Dropout, iter_nodes
from ..network import Network
from ..training import Trainer
from ._cost import RATE, Cost
from ._parts import Tensors, check_network, float64_copy

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
        Where in it.
    gradient, difference : float
        What backpropagation says, and what the differences say.
    error : float
        Their distance, over the largest derivative of the parameter (but at least 1e-5 of the cost).
    """

    name: str
    index: tuple[int, ...]
    gradient: float
    difference: float
    error: float


@dataclass(frozen=True, repr=False)
class Check:
    """What `check` found.

    Attributes
    ----------
    entries : tuple of Entry
        All that were compared, the worst first.
    layers : dict of str to float
        The largest error of each layer, from input to output.
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
        """Whether all errors are at most 1e-7."""
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
    loss: str | Trainer,
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
    x, y : arrays
        Rows and targets, as for `Trainer`: one batch. A few rows are enough.
    loss : str or Trainer
        The loss by name, or a trainer whose loss it is, with its quantile or delta.
    gradients : mapping of str to array, optional
        Gradients to be judged instead of the network's own, named as `Network.parameters`: those of a loss or a layer
        of the user's own, or ones known to be wrong.
    entries : int
        How many entries of each parameter to compare, >= 1; of larger ones that many are drawn, each as likely as any.
        Each costs four training passes or more.
    seed : int
        Seed of that draw.
    sample_weight : array of shape (n,), optional
        Weights of the rows, >= 0.

    Returns
    -------
    Check
        The entries, worst first, and the worst layer.

    Raises
    ------
    ValueError
        If a name, a shape or a value is wrong.
    DivergedError
        If the cost is not finite.

    Notes
    -----
    The cost is that of training: statistics of the batch in batch normalisation, and dropout with the mask of a fresh
    trainer's first step. A weight is moved by h and 2 h to either side, with h = 1e-3, and where that disagrees, as
    near the bend of a relu, by shorter steps down to 1e-7; the best agreement counts. Exactly on a bend no
    difference is right, as where a row of zeros meets a relu without a bias.
    """
    check_network(net, learns=True)
    cost, entries = Cost.of(loss), integer("entries", entries, ge=1)
    random = np.random.default_rng(integer("seed", seed, ge=0))
    other = float64_copy(net)
    before = other.parameters
    drops = any(isinstance(node.layer, Dropout) for node in iter_nodes(net.layers, net.n_in))
    still = cost.trainer(other)

    def value(name: str, moved: NDArray[np.float64]) -> float:
        other.set_parameters({name: moved})
        # A step at the rate 0 is a training pass; a fresh trainer draws the same mask each time.
        return (cost.trainer(other) if drops else still).step(x, y, sample_weight)

    level = cost.trainer(other, RATE).step(x, y, sample_weight)
    found = {name: (before[name] - after) / RATE for name, after in other.parameters.items()}
    other.set_parameters(before)
    judged = found if gradients is None else _judged(gradients, found)

    compared, layers = [], {name.rpartition(".")[0]: 0.0 for name in before}
    for name, gradient in judged.items():
        size = gradient.size
        chosen = np.arange(size) if size <= entries else np.sort(random.choice(size, entries, replace=False))
        scale = max(float(np.abs(found[name]).max()), FLOOR * abs(level))
        for flat_index in chosen:
            index = tuple(map(int, np.unravel_index(flat_index, gradient.shape)))
            best = np.inf
            for h in STEPS:
                slope = 0.0
                for steps, share in STENCIL:
                    moved = before[name].copy()
                    moved[index] += steps * h
                    slope += share / h * value(name, moved)
                error = abs(float(gradient[index]) - slope) / max(scale, abs(slope))
                if error < best:
                    best, difference = error, slope
                if best <= TOLERANCE:
                    break
            compared.append(Entry(name, index, float(gradient[index]), difference, best))
            layer = name.rpartition(".")[0]
            layers[layer] = max(layers[layer], best)
        other.set_parameters({name: before[name]})
    compared.sort(key=lambda entry: -entry.error)
    return Check(tuple(compared), layers)


def _judged(gradients: Mapping[str, ArrayLike], like: Tensors) -> Tensors:
    if gradients.keys() != like.keys():
        raise ValueError(f"gradients has {', '.join(gradients)}: expected {', '.join(like)}")
    judged = {name: np.asarray(gradients[name], np.float64) for name in like}
    for name, gradient in judged.items():
        if gradient.shape != like[name].shape:
            raise ValueError(f"gradients[{name!r}] has the shape {gradient.shape}: expected {like[name].shape}")
        if not np.isfinite(gradient).all():
            raise ValueError(f"gradients[{name!r}] has numbers that are not finite")
    return judged
