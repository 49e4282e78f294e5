"""The contribution of each weight and each layer to the cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..layers import iter_nodes
from ..losses import LossFunction
from ..network import Network
from ..training import Trainer
from ._cost import Cost, InferenceTwin, length
from ._parts import Tensors, check_network, flatten, names_by_layer


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

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = x[:, 0] * x[:, 1]
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    >>> layers = st.descent.contributions(net, x, y, "mse").layers
    >>> [(layer.name, layer.kind, layer.n_parameters) for layer in layers]
    [('0', 'Dense', 24), ('1', 'Dense', 9)]
    """

    name: str
    kind: str
    n_parameters: int
    gradient_norm: float
    weight_norm: float
    share: float


@dataclass(frozen=True)
class WeightGradient:
    """One weight or bias, and the derivative of the cost by it.

    Attributes
    ----------
    name : str
        The parameter, such as "0.weight".
    index : tuple of int
        Its place in the parameter.
    value : float
        The weight itself.
    gradient : float
        The derivative of the cost, in units of the cost by units of the weight.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = x[:, 0] * x[:, 1]
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    >>> weight = st.descent.contributions(net, x, y, "mse").largest(1)[0]
    >>> bool(weight.value == net.parameters[weight.name][weight.index])
    True
    """

    name: str
    index: tuple[int, ...]
    value: float
    gradient: float


Knob = WeightGradient  # its name in 0.1


@dataclass(frozen=True, repr=False)
class Contributions:
    """The result of `contributions`.

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

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = x[:, 0] * x[:, 1]
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    >>> found = st.descent.contributions(net, x, y, "mse")
    >>> [name for name in found.gradients], len(found.largest(3))
    (['0.weight', '0.bias', '1.weight', '1.bias'], 3)
    """

    cost: float
    gradients: Tensors
    parameters: Tensors
    layers: tuple[LayerContribution, ...]

    def largest(self, n: int = 10) -> list[WeightGradient]:
        """Return the weights and biases by which the cost changes fastest.

        Parameters
        ----------
        n : int, default=10
            The most to return.

        Returns
        -------
        list of WeightGradient
            By falling size of the derivative; of equal ones, the first comes first.
        """
        sizes = np.abs(flatten(self.gradients))
        order = np.argsort(-sizes, kind="stable")[:n]
        names, starts = list(self.gradients), np.cumsum([0, *(g.size for g in self.gradients.values())])
        found = []
        for position in order:
            which = int(np.searchsorted(starts, position, side="right")) - 1
            gradient = self.gradients[names[which]]
            index = tuple(map(int, np.unravel_index(position - starts[which], gradient.shape)))
            value = float(self.parameters[names[which]][index])
            found.append(WeightGradient(names[which], index, value, float(gradient[index])))
        return found

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
    net: Network, x: ArrayLike, y: ArrayLike, loss: str | LossFunction | Trainer, sample_weight: ArrayLike | None = None
) -> Contributions:
    """Compute how much each weight, bias and layer contributes to the cost.

    Parameters
    ----------
    net : Network
        The network; it does not change.
    x : array of shape (n, n_in)
        Rows, n >= 1.
    y : array of shape (n,) or (n, n_out)
        Their targets, as for `Trainer`.
    loss : str, callable or Trainer
        The loss by name, a function as `Trainer` takes it, or a trainer whose loss it is, with its quantile or delta.
    sample_weight : array of shape (n,), default=None
        Weights of the rows, >= 0; None weighs all rows alike.

    Returns
    -------
    Contributions
        Gradients in float64, and a summary of each layer.

    Raises
    ------
    TypeError
        If `net` is no network.
    ValueError
        If the loss is unknown, there are no rows, x, y or the weights do not fit the network or each other, a number is
        not finite, or a target is none of this loss.
    DivergedError
        If the cost is not finite.

    Notes
    -----
    The cost is what `Trainer.evaluate` calls the loss: no dropout, running statistics in batch normalization. A small
    step of the length e down the gradient g changes it by ``-e * |g|**2``, to which each layer adds its own part.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = x[:, 0] * x[:, 1]
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    >>> found = st.descent.contributions(net, x, y, "mse")
    >>> round(sum(layer.share for layer in found.layers), 6)
    1.0
    """
    cost, gradients = InferenceTwin(check_network(net)).gradients(Cost.of(loss), x, y, sample_weight)
    parameters = net.parameters
    kinds = {node.name: type(node.layer).__name__ for node in iter_nodes(net.layers, net.n_in)}
    whole = length(*gradients.values())
    layers = []
    for layer, names in names_by_layer(list(parameters)).items():
        size = sum(parameters[name].size for name in names)
        slope, weight = (length(*(tensors[name] for name in names)) for tensors in (gradients, parameters))
        share = (slope / whole) ** 2 if whole else 0.0
        layers.append(LayerContribution(layer, kinds[layer], size, slope, weight, share))
    return Contributions(cost, gradients, parameters, tuple(layers))
