"""The cost over a plane through the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import as_array
from .._extras import axes_or_new
from .._validation import choice, integer, number
from ..losses import LossFunction
from ..network import Network
from ..training import Trainer
from ._cost import Cost, InferenceTwin
from ._parts import Tensors, check_network, flatten, float64_copy, shapes_of, unflatten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ._recorder import Recorder

DIRECTIONS = ("random", "pca", "gradient")
MARGIN = 0.25  # of the path's extent, on each side of it


@dataclass(frozen=True, repr=False)
class Surface:
    """The result of `surface`: the cost at ``center + a * directions[0] + b * directions[1]``.

    Attributes
    ----------
    a, b : arrays of shape (steps,)
        Coordinates.
    costs : array of shape (steps, steps)
        ``costs[i, j]`` is the cost at ``b[i]``, ``a[j]``; infinite where it overflows.
    directions : array of shape (2, n_parameters)
        The two directions of the plane, in the order of `Network.parameters`.
    cost : float
        The cost at the center, where the network stands.
    path : array of shape (n, 2) or None
        The weights walked, projected on the plane: coordinates a and b.
    path_costs : array of shape (n,) or None
        The cost at the projected points.
    off_plane : array of shape (n,) or None
        The distance of each point of the path from the plane, as a part of its distance from the center, 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = x[:, 0] * x[:, 1]
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    >>> recorder = st.descent.Recorder(every=1)
    >>> trainer = st.Trainer(net, "mse", st.Adam(0.02))
    >>> history = trainer.fit(x, y, epochs=5, callbacks=[recorder])
    >>> plane = st.descent.surface(net, x, y, trainer, "pca", recorder, steps=5)
    >>> plane.path.shape, bool(plane.path_costs[-1] < plane.path_costs[0])
    ((6, 2), True)
    """

    a: NDArray[np.float64]
    b: NDArray[np.float64]
    costs: NDArray[np.float64]
    directions: NDArray[np.float64]
    cost: float
    path: NDArray[np.float64] | None
    path_costs: NDArray[np.float64] | None
    off_plane: NDArray[np.float64] | None

    def plot(self, ax: Axes | None = None, *, levels: int = 20) -> Axes:
        """Draw the lines of equal cost, on a scale of equal shares of the points, and the path.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to draw on; None makes a new figure of pyplot's.
        levels : int, default=20
            The number of lines, >= 2.

        Returns
        -------
        matplotlib Axes
            The drawing.

        Raises
        ------
        ValueError
            If `levels` is below 2.
        ImportError
            If matplotlib is not installed.
        """
        ax = axes_or_new(ax, "Surface.plot")
        finite = self.costs[np.isfinite(self.costs)]
        heights = np.unique(np.quantile(finite, np.linspace(0, 1, integer("levels", levels, ge=2))))
        if len(heights) > 1:
            lines = ax.contour(self.a, self.b, self.costs, levels=heights, linewidths=0.8)
            ax.clabel(lines, fontsize=7)
        if self.path is not None:
            ax.plot(*self.path.T, ".-", color="0.3", linewidth=1, label="the path")
        ax.plot(0, 0, "o", color="black", label=f"here, {self.cost:.4g}")
        ax.set_xlabel("first direction")
        ax.set_ylabel("second direction")
        ax.legend(loc="upper right")
        return ax

    def __repr__(self) -> str:
        """Return a short account."""
        return (
            f"Surface({len(self.b)} x {len(self.a)} points, a {self.a[0]:.3g} to {self.a[-1]:.3g}, "
            f"b {self.b[0]:.3g} to {self.b[-1]:.3g}: cost {self.costs.min():.4g} to {self.costs.max():.4g}, "
            f"here {self.cost:.4g})"
        )


def surface(
    net: Network,
    x: ArrayLike,
    y: ArrayLike,
    loss: str | LossFunction | Trainer,
    directions: str = "random",
    path: Recorder | ArrayLike | Sequence[Mapping[str, ArrayLike]] | None = None,
    *,
    span: float = 1.0,
    steps: int = 25,
    seed: int = 0,
    sample_weight: ArrayLike | None = None,
) -> Surface:
    """Compute the cost over a plane through the network's weights.

    Parameters
    ----------
    net : Network
        The network, whose weights are the plane's center; it does not change.
    x : array of shape (n, n_in)
        Rows, n >= 1. Each of steps**2 points costs an evaluation of all of them.
    y : array of shape (n,) or (n, n_out)
        Their targets, as for `Trainer`.
    loss : str, callable or Trainer
        The loss by name, a function as `Trainer` takes it, or a trainer whose loss it is, with its quantile or delta.
    directions : {"random", "pca", "gradient"}, default="random"
        "random": two random directions, each unit's incoming weights scaled to the length of the unit's own, biases and
        normalizations left as they are ("filter-wise normalized", Li et al. 2018). "pca": the two directions in which
        the path extends furthest from its end, of length 1 (ibid.). "gradient": up the gradient, and a random direction
        at right angles to it, both as long as all weights.
    path : Recorder, array of shape (n, n_parameters) or sequence of mappings, default=None
        The weights walked: a recorder's, or rows of all parameters in the order of `Network.parameters`, or
        `Network.parameters` at each moment. "pca" needs it. It is projected on the plane at right angles.
    span : float, default=1.0
        The reach to either side, in lengths of the directions, > 0; with "pca", the plane reaches over the path
        instead, and `span` scales it. A path beyond the span widens the plane.
    steps : int, default=25
        Points on each side, >= 3.
    seed : int, default=0
        Seed of random directions, >= 0.
    sample_weight : array of shape (n,), default=None
        Weights of the rows, >= 0; None weighs all rows alike.

    Returns
    -------
    Surface
        Coordinates, costs and the path in them.

    Raises
    ------
    TypeError
        If `net` is no network.
    ValueError
        If the network has no parameters, the loss or the directions are unknown, x, y or the weights do not fit the
        network or each other, a number is not finite or out of its range, the path has other than n_parameters columns
        or is missing for "pca", or the directions span no plane: all weights or the gradient are zero, or the path lies
        on one line.
    DivergedError
        If the directions are "gradient" and the cost is not finite.

    Notes
    -----
    The cost is what `Trainer.evaluate` calls the loss, in float64, with the running statistics of batch normalization
    as they are now.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = x[:, 0] * x[:, 1]
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    >>> plane = st.descent.surface(net, x, y, "mse", steps=5)
    >>> plane.costs.shape, bool(plane.costs.min() <= plane.cost)
    ((5, 5), True)
    """
    check_network(net, learns=True)
    choice("directions", directions, DIRECTIONS)
    span, steps = number("span", span, gt=0), integer("steps", steps, ge=3)
    random = np.random.default_rng(integer("seed", seed, ge=0))
    cost = Cost.of(loss)
    x, y = as_array("x", x), as_array("y", y)
    parameters = net.parameters
    center, shapes = flatten(parameters), shapes_of(net)
    walked = None if path is None else _path_rows(path, len(center))
    if directions == "random":
        plane = np.stack([_filter_normalized(random, parameters) for _ in range(2)])
    elif directions == "gradient":
        gradients = InferenceTwin(net).gradients(cost, x, y, sample_weight)[1]
        plane = _gradient_plane(random, flatten(gradients), float(np.linalg.norm(center)))
    else:
        if walked is None:
            raise ValueError('directions is "pca" and path is None: expected a Recorder or the weights walked')
        plane = _principal_plane(walked - center)

    coordinates = off_plane = None
    a = b = (-span, span)
    if walked is not None:
        coordinates, off_plane = _project(walked - center, plane)
        base, scale = ((0.0, 0.0), span) if directions == "pca" else ((-span, span), 1.0)
        a, b = (_axis_limits(column, base, scale) for column in coordinates.T)

    other = float64_copy(net)
    judge = cost.trainer(other)

    def cost_at(place: NDArray[Any]) -> float:
        other.set_parameters(unflatten(center + place @ plane, shapes))
        return judge.evaluate(x, y, sample_weight, metrics=[])["loss"]

    here = judge.evaluate(x, y, sample_weight, metrics=[])["loss"]
    axis_a, axis_b = np.linspace(*a, steps), np.linspace(*b, steps)
    costs = np.array([[cost_at(np.array([i, j])) for i in axis_a] for j in axis_b])
    path_costs = None if coordinates is None else np.array([cost_at(place) for place in coordinates])
    return Surface(axis_a, axis_b, costs, plane, here, coordinates, path_costs, off_plane)


def _path_rows(path: Any, n: int) -> NDArray[np.float64]:
    """Return the weights walked, (points, n), checked."""
    rows = getattr(path, "path", path)
    if isinstance(rows, Sequence) and rows and isinstance(rows[0], Mapping):
        rows = [flatten(tensors) for tensors in rows]
    walked = np.asarray(rows, np.float64)
    if walked.ndim != 2 or walked.shape[1] != n or not len(walked):
        raise ValueError(f"path has the shape {walked.shape}: expected one row or more of {n} parameters")
    if not np.isfinite(walked).all():
        raise ValueError("path has numbers that are not finite")
    return walked


def _filter_normalized(random: np.random.Generator, parameters: Tensors) -> NDArray[np.float64]:
    """Return a random direction, (n_parameters,), in which each unit's weights are as long as the unit's own."""
    parts = []
    for value in parameters.values():
        part = np.zeros(value.shape)
        if value.ndim == 2:  # (n_in, n_out): a column is one unit's incoming weights
            part = random.standard_normal(value.shape)
            part *= np.linalg.norm(value, axis=0) / np.linalg.norm(part, axis=0)
        parts.append(part.ravel())
    direction = np.concatenate(parts)
    if not direction.any():
        raise ValueError("all weights are zero: random directions of their length span no plane")
    return direction


def _gradient_plane(random: np.random.Generator, gradient: NDArray[Any], size: float) -> NDArray[np.float64]:
    """Return the gradient's direction and a random one at right angles to it, (2, n_parameters), both of this size."""
    steepness = float(np.linalg.norm(gradient))
    if not steepness:
        raise ValueError("the gradient is zero: it spans no plane")
    unit = gradient / steepness
    other = random.standard_normal(len(unit))
    for _ in range(2):  # twice, for rounding leaves a little of the gradient in it
        other -= (other @ unit) * unit
        other /= np.linalg.norm(other)
    return np.stack([unit, other]) * (size or 1.0)


def _principal_plane(offsets: NDArray[Any]) -> NDArray[np.float64]:
    """Return the two unit directions, (2, n_parameters), in which offsets from the center extend furthest."""
    # As few points as a path has: the small Gram matrix instead of the many columns.
    squares, vectors = np.linalg.eigh(offsets @ offsets.T)
    if len(squares) < 2 or squares[-2] <= 1e-12 * squares[-1]:
        raise ValueError(
            f"path has {len(offsets)} points on one line with the network: expected three or more that span a plane, "
            "such as Recorder(every=1) keeps in a fit of two epochs or more"
        )
    plane = vectors[:, [-1, -2]].T @ offsets
    return cast("NDArray[np.float64]", plane / np.linalg.norm(plane, axis=1, keepdims=True))


def _project(offsets: NDArray[Any], plane: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coordinates of the nearest points of the plane, and distances from it over those from the center."""
    coordinates = np.linalg.lstsq(plane.T, offsets.T, rcond=None)[0].T
    distance = np.linalg.norm(offsets, axis=1)
    rest = np.linalg.norm(offsets - coordinates @ plane, axis=1)
    share = np.divide(rest, distance, out=np.zeros_like(rest), where=distance > 0)
    return np.asarray(coordinates, np.float64), np.asarray(share, np.float64)


def _axis_limits(column: NDArray[Any], base: tuple[float, float], scale: float) -> tuple[float, float]:
    """Return the ends of an axis over `base` and a path's coordinates, with a margin where these reach beyond."""
    low, high = min(base[0], float(column.min())), max(base[1], float(column.max()))
    margin = MARGIN * (high - low) * scale if (low, high) != base else 0.0
    return low - margin, high + margin
