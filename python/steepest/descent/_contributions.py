"""How much each weight and each layer contributes to the cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..layers import iter_nodes
from ..network import Network
from ..training import Trainer
from ._cost import Cost, Still, length
from ._parts import Tensors, check_network, flat, parameter_layers


class LayerContribution(NamedTuple):
    """A layer's part in the gradient.

    Attributes
    ----------
    name, kind : str
        Place and type of the layer.
    n_parameters : int
        Numbers that it learns.
    gradient_norm, weight_norm : float
        Euclidean lengths, over all its parameters.
    share : float
        Its part of the change of the cost that a small step down the gradient would bring: ``|g|**2`` of the layer over
        that of all layers, 0 to 1; 0 where there is no gradient at all.
    """

    name: str
    kind: str
    n_parameters: int
    gradient_norm: float
    weight_norm: float
    share: float


@dataclass(frozen=True)
class Knob:
    """One weight or bias, and the derivative of the cost by it."""

    name: str
    index: tuple[int, ...]
    value: float
    gradient: float


@dataclass(frozen=True, repr=False)
class Contributions:
    """What `contributions` found.

    Attributes
    ----------
    cost : float
        Mean loss of the rows at inference.
    gradients : dict of str to array
        Derivative of the cost by each parameter, float64, named and shaped as `Network.parameters`.
    parameters : dict of str to array
        The weights where it was taken.
    layers : tuple of LayerContribution
        The layers that have parameters, from input to output.
    """

    cost: float
    gradients: Tensors
    parameters: Tensors
    layers: tuple[LayerContribution, ...]

    def largest(self, n: int = 10) -> list[Knob]:
        """Return the n weights and biases by which the cost changes fastest, fastest first; of equals, the first."""
        sizes = np.abs(flat(self.gradients))
        order = np.argsort(-sizes, kind="stable")[:n]
        names, starts = list(self.gradients), np.cumsum([0, *(g.size for g in self.gradients.values())])
        knobs = []
        for position in order:
            which = int(np.searchsorted(starts, position, side="right")) - 1
            gradient = self.gradients[names[which]]
            index = tuple(map(int, np.unravel_index(position - starts[which], gradient.shape)))
            value = float(self.parameters[names[which]][index])
            knobs.append(Knob(names[which], index, value, float(gradient[index])))
        return knobs

    def __str__(self) -> str:
        """Return a table of the layers."""
        lines = [
            f"cost {self.cost:.6g}",
            f"{'layer':<16}{'parameters':>11}{'gradient':>12}{'weights':>12}{'share':>8}",
        ]
        for layer in self.layers:
            title = f"{layer.name} {layer.kind}"
            lines.append(
                f"{title:<16}{layer.n_parameters:>11,}{layer.gradient_norm:>12.4g}{layer.weight_norm:>12.4g}"
                f"{layer.share:>8.1%}"
            )
        return "\n".join(lines)

    __repr__ = __str__


def contributions(
    net: Network, x: ArrayLike, y: ArrayLike, loss: str | Trainer, sample_weight: ArrayLike | None = None
) -> Contributions:
    """Compute how much each weight, bias and layer contributes to the cost.

    Parameters
    ----------
    net : Network
        The network; it does not change.
    x, y : arrays
        Rows and targets, as for `Trainer`.
    loss : str or Trainer
        The loss by name, or a trainer whose loss it is, with its quantile or delta.
    sample_weight : array of shape (n,), optional
        Weights of the rows, >= 0.

    Returns
    -------
    Contributions
        Gradients in float64, and a summary of each layer.

    Raises
    ------
    ValueError
        If a shape or a value is wrong.
    DivergedError
        If the cost is not finite.

    Notes
    -----
    The cost is what `Trainer.evaluate` calls the loss: no dropout, running statistics in batch normalisation. A small
    step of the length e down the gradient g changes it by ``-e * |g|**2``, to which each layer adds its own part.
    """
    cost, gradients = Still(check_network(net)).gradients(Cost.of(loss), x, y, sample_weight)
    parameters = net.parameters
    kinds = {node.name: type(node.layer).__name__ for node in iter_nodes(net.layers, net.n_in)}
    whole = length(*gradients.values())
    layers = []
    for layer, names in parameter_layers(list(parameters)).items():
        size = sum(parameters[name].size for name in names)
        slope, weight = (length(*(tensors[name] for name in names)) for tensors in (gradients, parameters))
        share = (slope / whole) ** 2 if whole else 0.0
        layers.append(LayerContribution(layer, kinds[layer], size, slope, weight, share))
    return Contributions(cost, gradients, parameters, tuple(layers))
