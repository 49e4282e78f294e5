"""Layers that know single columns, as small values: without their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._core import Network as CoreNetwork
from ._layer import Layer, Shapes
from ._validation import choice, integer, number


class ColumnLayer(Layer):
    """Base of the layers that know some columns, or all of them."""

    columns: Sequence[int] | None

    def embedded(self, n_in: int) -> Sequence[int]:
        """Return the columns that are meant, of `n_in`."""
        if self.columns is None:
            return range(n_in)  # no list: a file may claim any number
        if max(self.columns) >= n_in:
            raise ValueError(f"columns has {max(self.columns)}: expected less than the {n_in} columns before the layer")
        return self.columns

    def to_dict(self) -> dict[str, Any]:
        """Return this layer as plain JSON values."""
        return super().to_dict() | {"columns": None if self.columns is None else list(self.columns)}


@dataclass(frozen=True, repr=False)
class PeriodicEmbedding(ColumnLayer):
    """Put learned periodic functions of single columns beside the columns (Gorishniy et al. 2022, "PLR").

    A network of smooth layers is slow to learn what changes sharply along one number; from sines and cosines of it,
    whose frequencies are learned too, it does at once. For each embedded column x_j, with f its frequencies:
    ``activation([cos(2 pi f x_j), sin(2 pi f x_j), 1] @ weight_j)``, all of them after the columns themselves.

    Parameters
    ----------
    n_frequencies : int, default=24
        Frequencies of each column, >= 1.
    size : int, default=12
        Numbers that an embedded column becomes, >= 1.
    activation : {"relu", "identity"}, default="relu"
        What the linear map's results go through.
    sigma : float, default=1.0
        Standard deviation of the first frequencies, 0 < sigma <= 1e6: how fine the differences are that the layer sees
        at first, for columns of standard deviation 1. It decides much: try 0.1 to 3.
    columns : sequence of int, default=None
        The columns to embed, each once; None: all of them.

    Raises
    ------
    TypeError
        If `n_frequencies` or `size` is not a whole number, `sigma` not a number or `columns` not a list of whole
        numbers.
    ValueError
        If `n_frequencies` or `size` is below 1, `sigma` not above 0 or beyond 1e6, `activation` an unknown name, or
        `columns` is empty, has a number below 0 or one twice. A network raises it for a column that it does not have.

    Notes
    -----
    With n columns before it, of which m are embedded, the layer makes n + m * size. `weight` has the shape
    (m * (2 * n_frequencies + 1), size): for each embedded column the weights of its cosines, of its sines, and the
    bias; they begin uniform within 1 / sqrt(2 * n_frequencies). `frequency` has (m, n_frequencies), in whole turns by
    unit of x, and no weight decay.
    """

    n_frequencies: int = 24
    size: int = 12
    activation: str = "relu"
    sigma: float = 1.0
    columns: Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(
            n_frequencies=integer("n_frequencies", self.n_frequencies, ge=1), size=integer("size", self.size, ge=1),
            activation=choice("activation", self.activation, ("relu", "identity")),
            sigma=number("sigma", self.sigma, gt=0, le=1e6), columns=_check_columns(self.columns),
        )  # fmt: skip

    def output_size(self, n_in: int) -> int:
        """Return the columns and what is put beside them."""
        return n_in + len(self.embedded(n_in)) * self.size

    def parameter_shapes(self, n_in: int) -> Shapes:
        """Return the shapes of the linear maps and of the frequencies."""
        m = len(self.embedded(n_in))
        return {"weight": (m * (2 * self.n_frequencies + 1), self.size), "frequency": (m, self.n_frequencies)}

    def add_to(self, core: CoreNetwork, name: str, following: str) -> None:
        """Add the embedding."""
        columns = list(self.embedded(core.n_out))
        core.add_periodic_embedding(name, columns, self.n_frequencies, self.size, self.activation == "relu", self.sigma)


@dataclass(frozen=True, repr=False)
class PiecewiseLinear(ColumnLayer):
    """Put columns through lines between fixed points, as by `numpy.interp`: any monotone scale, each column its own.

    Parameters
    ----------
    n_points : int
        Points of each column, >= 2.
    columns : sequence of int, default=None
        The columns that go through lines, each once; the others stay. None: all of them.

    Raises
    ------
    TypeError
        If `n_points` is not a whole number, or `columns` not a list of whole numbers.
    ValueError
        If `n_points` is below 2, or `columns` is empty, has a number below 0 or one twice. A network raises it for a
        column that it does not have, and for points that do not increase.

    Notes
    -----
    The points are no parameters but buffers, both (n_points, columns): `points`, where they lie, increasing in each
    column, and `values`, what the columns become there; beyond the outermost points a column stays. They begin as y = x
    from -1 to 1, and are set by `Network.set_parameters`.
    """

    n_points: int
    columns: Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(n_points=integer("n_points", self.n_points, ge=2), columns=_check_columns(self.columns))

    def output_size(self, n_in: int) -> int:
        """Return `n_in`."""
        self.embedded(n_in)
        return n_in

    def buffer_shapes(self, n_in: int) -> Shapes:
        """Return the shapes of the points."""
        shape = self.n_points, len(self.embedded(n_in))
        return {"points": shape, "values": shape}

    def add_to(self, core: CoreNetwork, name: str, following: str) -> None:
        """Add the lines."""
        core.add_piecewise_linear(name, list(self.embedded(core.n_out)), self.n_points)


def _check_columns(columns: object) -> tuple[int, ...] | None:
    if columns is None:
        return None
    no_list = isinstance(columns, (str, bytes)) or getattr(columns, "ndim", 1) != 1
    if no_list or not isinstance(columns, (Sequence, np.ndarray)):
        raise TypeError(f"columns is {columns!r}: expected a list of column numbers, or None for all")
    found = tuple(integer(f"columns[{i}]", c, ge=0) for i, c in enumerate(columns))
    if not found or len(set(found)) < len(found):
        raise ValueError(f"columns is {columns!r}: expected at least one column, each once, or None for all")
    return found
