"""The cost along one weight."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import as_array
from .._extras import axes_or_new
from .._validation import integer, number
from ..embeddings import ColumnLayer
from ..layers import Activation, Dense, FeatureScale, Layer, LayerNorm, iter_nodes
from ..losses import LossFunction
from ..network import Network
from ..training import Trainer
from ._cost import Cost, InferenceTwin, rms
from ._parts import (
    Array,
    NamedLayers,
    Tensors,
    assemble,
    check_network,
    load_weights,
    number_layers,
    predict,
    tensors_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHUNK = 1 << 20  # numbers in one call: enough to keep the kernels busy, few enough for Ctrl-C to be heard

OutputsAlong = Callable[[Array], Array]  # from shifts (v,) of one weight to outputs (v, n, n_out)


@dataclass(frozen=True, repr=False)
class Slope:
    """The result of `slope`: the cost along one weight.

    Attributes
    ----------
    name : str
        The parameter, such as "0.weight".
    index : tuple of int
        The weight's place in it.
    weight, cost : float
        The weight where it stands, and the cost there.
    tangent : float
        Derivative of the cost by the weight there: below zero the cost falls as the weight grows.
    values, costs : arrays of shape (values,)
        The curve; the weight itself is one of the values.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(1, [st.Dense(1, init=[[1.0]])], seed=0, dtype="float64")
    >>> curve = st.descent.slope(net, [[1.0]], [0.0], "mse", "0.weight", (0, 0), span=2)
    >>> round(curve.cost, 6), round(curve.tangent, 6)  # w**2 and 2 * w at w = 1
    (1.0, 2.0)
    """

    name: str
    index: tuple[int, ...]
    weight: float
    cost: float
    tangent: float
    values: NDArray[np.float64]
    costs: NDArray[np.float64]

    @property
    def best_value(self) -> float:
        """The value of the lowest cost on the curve; of equals, the first."""
        return float(self.values[int(np.argmin(self.costs))])

    @property
    def best_cost(self) -> float:
        """The lowest cost on the curve."""
        return float(self.costs.min())

    def line(self) -> NDArray[np.float64]:
        """Return the tangent's height at each of the values, (values,)."""
        return self.cost + self.tangent * (self.values - self.weight)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the curve, the tangent where the weight stands, and the lowest point.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to draw on; None makes a new figure of pyplot's.

        Returns
        -------
        matplotlib Axes
            The drawing.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = axes_or_new(ax, "Slope.plot")
        ax.plot(self.values, self.costs, label="cost")
        low, high = ax.get_ylim()
        ax.plot(self.values, self.line(), "--", linewidth=1, label=f"tangent, slope {self.tangent:.3g}")
        ax.plot(self.weight, self.cost, "o", label=f"here, {self.cost:.4g}")
        ax.plot(self.best_value, self.best_cost, "*", markersize=10, label=f"lowest, {self.best_cost:.4g}")
        ax.set_ylim(low, high)
        ax.set_xlabel(f"{self.name}[{', '.join(map(str, self.index))}]")
        ax.set_ylabel("cost")
        ax.legend(frameon=False)
        return ax

    def __repr__(self) -> str:
        """Return a short account."""
        return (
            f"Slope({self.name}{list(self.index)} = {self.weight:.4g}: cost {self.cost:.6g}, slope {self.tangent:.4g}; "
            f"lowest {self.best_cost:.6g} at {self.best_value:.4g})"
        )


def slope(
    net: Network,
    x: ArrayLike,
    y: ArrayLike,
    loss: str | LossFunction | Trainer,
    name: str,
    index: int | Sequence[int],
    *,
    span: float | None = None,
    values: int = 201,
    sample_weight: ArrayLike | None = None,
) -> Slope:
    """Compute the cost along one weight, all others as they are.

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
    name : str
        A parameter, such as "0.weight".
    index : int or sequence of int
        The weight's place in it, such as ``(3, 5)`` for the weight from input 3 to unit 5; negative ones count from the
        end.
    span : float, default=None
        The reach to either side, in units of the weight, > 0; None is twice the larger of the weight's own size and the
        root mean square of its parameter, or 1 if both are zero.
    values : int, default=201
        The number of points, >= 3; an even number becomes the next odd one, so that the weight itself is the middle
        one.
    sample_weight : array of shape (n,), default=None
        Weights of the rows, >= 0; None weighs all rows alike.

    Returns
    -------
    Slope
        Values, costs and the tangent, in float64.

    Raises
    ------
    TypeError
        If `net` is no network, or `index` is no whole numbers.
    ValueError
        If the network has no such parameter, or the parameter no such place, the loss is unknown, x, y or the weights
        do not fit the network or each other, a number is not finite, or `span` or `values` is too small.
    DivergedError
        If the cost where the weight stands is not finite.

    Notes
    -----
    The cost is what `Trainer.evaluate` calls the loss. One weight moves one unit's input alone, by
    ``(value - weight) * u`` with one number u for each row. So the layers before it are computed once, and the layers
    after it for all values and rows in one call, or in a few where there are very many. An embedding is computed anew
    for each value.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = x[:, 0] * x[:, 1]
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    >>> curve = st.descent.slope(net, x, y, "mse", "1.weight", (0, 0))
    >>> curve.values.shape, bool(curve.best_cost <= curve.cost)
    ((201,), True)
    """
    check_network(net, learns=True)
    cost = Cost.of(loss)
    tensors = tensors_of(net)
    parameters = net.parameters
    if name not in parameters:
        raise ValueError(f"no parameter {name!r}: expected one of {', '.join(parameters)}")
    at = _index(name, parameters[name], index)
    weight = float(parameters[name][at])
    if span is None:
        span = 2 * max(abs(weight), rms(parameters[name])) or 1.0
    half = integer("values", values, ge=3) // 2
    shifts = np.arange(-half, half + 1) / half * number("span", span, gt=0)
    here, gradients = InferenceTwin(net).gradients(cost, x, y, sample_weight)

    rows, y = as_array("x", x), as_array("y", y)
    path, key = name.rsplit(".", 1)
    outputs_along = _build_outputs_along(number_layers(net.layers), tensors, rows, path, key, at)
    judge = cost.of_outputs(net.n_out)
    costs = []
    width = next(node.n_out for node in iter_nodes(net.layers, net.n_in) if node.name == path)
    step = max(1, CHUNK // (len(rows) * width))  # of the layer's outputs, one row to a value
    for first in range(0, len(shifts), step):
        for outputs in outputs_along(shifts[first : first + step]):
            costs.append(judge.evaluate(outputs, y, sample_weight, metrics=[])["loss"])
    return Slope(name, at, weight, here, float(gradients[name][at]), weight + shifts, np.array(costs))


def _index(name: str, parameter: Array, index: int | Sequence[int]) -> tuple[int, ...]:
    """Return the place that a user gave in a parameter, checked and counted from the start."""
    try:
        at = tuple(map(operator.index, np.atleast_1d(np.asarray(index)).tolist()))
    except TypeError as error:
        raise TypeError(f"index is {index!r}: expected whole numbers, a place in {name}") from error
    if len(at) != parameter.ndim or not all(-n <= i < n for i, n in zip(at, parameter.shape, strict=True)):
        raise ValueError(f"index is {index!r}: expected a place in {name} of shape {parameter.shape}")
    return tuple(i % n for i, n in zip(at, parameter.shape, strict=True))


def _build_outputs_along(
    named: NamedLayers, tensors: Tensors, x: Array, path: str, key: str, at: tuple[int, ...]
) -> OutputsAlong:
    """Run the layers before the weight; return the function from shifts of the weight to outputs.

    `path` is the name of the weight's layer among `named` or inside of one of them, `key` and `at` its place there.
    """
    place = next(i for i, (name, _) in enumerate(named) if path == name or path.startswith(f"{name}."))
    name, layer = named[place]
    before = predict(assemble(named[:place], tensors, x.shape[1]), x)
    own: NamedLayers = []
    if isinstance(layer, (ColumnLayer, FeatureScale)):
        moved = _build_moved_layer(layer, name, tensors, before, key, at)
    elif path == name:
        moved, own = _build_shifted_sums(layer, name, tensors, before, key, at)
    else:  # inside a residual block
        branch = _build_outputs_along(number_layers(layer.layers, f"{name}."), tensors, before, path, key, at)  # type: ignore[attr-defined]

        def moved(shifts: Array) -> Array:
            return before + branch(shifts)

    width = layer.output_size(before.shape[1])
    after = assemble(own + named[place + 1 :], tensors, width)

    def outputs_along(shifts: Array) -> Array:
        stacked = moved(shifts)
        outputs = predict(after, stacked.reshape(-1, width))
        return outputs.reshape(len(shifts), len(x), -1)

    return outputs_along


def _build_moved_layer(
    layer: Layer, name: str, tensors: Mapping[str, Array], before: Array, key: str, at: tuple[int, ...]
) -> OutputsAlong:
    """Return the function from shifts of one number to the layer's outputs, by the layer itself with that number."""
    part = assemble([(name, layer)], tensors, before.shape[1])
    assert part is not None
    values = tensors[f"{name}.{key}"].astype(np.float64)

    def moved(shifts: Array) -> Array:
        outputs = []
        for shift in shifts:
            own = values.copy()
            own[at] += shift
            load_weights(part, [(name, layer)], {f"{name}.{key}": own})
            outputs.append(predict(part, before))
        return np.stack(outputs)

    return moved


def _build_shifted_sums(
    layer: Layer, name: str, tensors: Mapping[str, Array], before: Array, key: str, at: tuple[int, ...]
) -> tuple[OutputsAlong, NamedLayers]:
    """Return the function from shifts of one weight to the layer's sums, and its activation as a layer of its own.

    A shift moves one column of the sums z (n, n_out) in proportion to one number u (n,) for each row.
    """
    unit, own, n_in = at[-1], NamedLayers(), before.shape[1]
    if isinstance(layer, Dense):
        # By the core, which Ctrl-C can interrupt.
        z = predict(assemble([(name, replace(layer, activation="identity", alpha=None))], tensors, n_in), before)
        u = before[:, at[0]].astype(np.float64) if key == "weight" else np.ones(len(before))
        if layer.activation != "identity":
            own = [("", Activation(layer.activation, layer.alpha))]
    else:  # a normalization: scale and shift of each column
        before = before.astype(np.float64, copy=False)
        scale, shift = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        if isinstance(layer, LayerNorm):
            centered = before - before.mean(axis=1, keepdims=True)
            normal = centered / np.sqrt(np.mean(centered**2, axis=1, keepdims=True) + layer.eps)
        else:
            mean, variance = tensors[f"{name}.running_mean"], tensors[f"{name}.running_var"]
            normal = (before - mean) / np.sqrt(variance.astype(np.float64) + layer.eps)  # type: ignore[attr-defined]
        z = normal * scale + shift
        u = normal[:, unit] if key == "weight" else np.ones(len(before))

    def moved(shifts: Array) -> Array:
        stacked = np.repeat(z[None], len(shifts), axis=0)
        stacked[:, :, unit] += shifts[:, None] * u
        return stacked

    return moved, own
