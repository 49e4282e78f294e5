"""Layers that know single columns, as small values: without their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arrays import as_array, no_numbers
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

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(3, [st.PeriodicEmbedding(8, 4, columns=[0]), st.Dense(1)], seed=0)
    >>> net.parameters["1.weight"].shape  # three columns, and four features of the first
    (7, 1)
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

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(1, [st.PiecewiseLinear(3)], seed=0)
    >>> net.set_parameters({"0.points": [[0.0], [1.0], [10.0]], "0.values": [[0.0], [0.5], [1.0]]})
    >>> net.predict([[0.5], [10.0]])
    array([[0.25],
           [1.  ]], dtype=float32)
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


@dataclass(frozen=True, repr=False)
class PiecewiseLinearEmbedding(ColumnLayer):
    """Put the piecewise linear encoding of single columns, or a learned map of it, beside them (Gorishniy et al. 2022).

    Edges b_0 < ... < b_T cut a column into T bins, each with a number of its own: 1 where x lies above the bin, 0 below
    it, and ``(x - b_{t-1}) / (b_t - b_{t-1})`` within; the first bin has no end below, and the last none above, so that
    there the number falls below 0 or rises above 1. With a `size`, each column's encoding e becomes
    ``activation([e, 1] @ weight_j)``.

    Parameters
    ----------
    n_bins : int
        Bins of each column, >= 1.
    size : int, default=None
        Numbers that an embedded column becomes, >= 1; None: its n_bins encodings, without a map.
    activation : {"relu", "identity"}, default="relu"
        What the linear map's results go through; without a `size` nothing does.
    columns : sequence of int, default=None
        The columns to embed, each once; None: all of them.

    Raises
    ------
    TypeError
        If `n_bins` or `size` is not a whole number, or `columns` not a list of whole numbers.
    ValueError
        If `n_bins` or `size` is below 1, `activation` an unknown name, or `columns` is empty, has a number below 0 or
        one twice. A network raises it for a column that it does not have, and for edges that do not increase.

    Notes
    -----
    With n columns before it, of which m are embedded, the layer makes n + m * size (n + m * n_bins without a size).
    `weight` has the shape (m * (n_bins + 1), size): for each embedded column the weights of its bins, and the bias;
    they begin uniform within 1 / sqrt(n_bins). The edges are no parameters but a buffer, `edges` of shape
    (n_bins + 1, m), increasing in each column. They begin evenly spaced from -2 to 2, for columns of mean 0 and
    standard deviation 1, and are set by `Network.set_parameters`; `edges_of` finds them for given rows.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).exponential(size=(1000, 3))
    >>> net = st.Network(3, [st.PiecewiseLinearEmbedding(16, size=8), st.Dense(1)])
    >>> net.set_parameters({"0.edges": st.PiecewiseLinearEmbedding.edges_of(x, 16)})
    """

    n_bins: int
    size: int | None = None
    activation: str = "relu"
    columns: Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(
            n_bins=integer("n_bins", self.n_bins, ge=1),
            size=None if self.size is None else integer("size", self.size, ge=1),
            activation=choice("activation", self.activation, ("relu", "identity")),
            columns=_check_columns(self.columns),
        )

    def output_size(self, n_in: int) -> int:
        """Return the columns and what is put beside them."""
        return n_in + len(self.embedded(n_in)) * (self.size or self.n_bins)

    def parameter_shapes(self, n_in: int) -> Shapes:
        """Return the shape of the linear maps."""
        return {} if self.size is None else {"weight": (len(self.embedded(n_in)) * (self.n_bins + 1), self.size)}

    def buffer_shapes(self, n_in: int) -> Shapes:
        """Return the shape of the edges."""
        return {"edges": (self.n_bins + 1, len(self.embedded(n_in)))}

    def add_to(self, core: CoreNetwork, name: str, following: str) -> None:
        """Add the embedding."""
        columns, relu = list(self.embedded(core.n_out)), self.activation == "relu"
        core.add_piecewise_linear_embedding(name, columns, self.n_bins, self.size or 0, relu)

    @staticmethod
    def edges_of(x: ArrayLike, n_bins: int) -> NDArray[np.float64]:
        """Find edges that leave as many rows in each bin: the quantiles of each column.

        Parameters
        ----------
        x : array of shape (n, columns)
            Rows to learn from, n >= 1: the columns that the layer embeds, in its order.
        n_bins : int
            Bins of each column, >= 1.

        Returns
        -------
        array of shape (n_bins + 1, columns)
            The edges, as `Network.set_parameters` takes them; they increase in float32 too.

        Raises
        ------
        TypeError
            If `n_bins` is not a whole number.
        ValueError
            If `n_bins` is below 1, or `x` has no rows, is no matrix of numbers or holds one that is not finite.

        Notes
        -----
        Of quantiles that are equal, or closer than a millionth of the column's range, one stays; for each that falls
        away, the widest bin is halved, the first of several. A column of one number v has edges evenly spaced by
        halving around it, from ``v - max(1, |v|)`` to ``v + max(1, |v|)``.
        """
        n_bins, rows = integer("n_bins", n_bins, ge=1), as_array("x", x)
        if rows.dtype.kind not in "biuf":
            raise no_numbers("x", x, rows)
        if rows.ndim != 2 or not len(rows):
            raise ValueError(f"x has the shape {rows.shape}: expected (n, columns) with at least one row")
        if not np.isfinite(rows).all():
            raise ValueError("x has a number that is not finite: expected finite ones, of which there are quantiles")
        quantiles = np.quantile(rows.astype(np.float64), np.linspace(0, 1, n_bins + 1), axis=0)
        return np.stack([_increasing(column) for column in quantiles.T], axis=1)


_CLOSEST = 2.0**-20  # of two edges, as a share of the largest: eight roundings of float32
_SMALLEST = float(np.finfo(np.float32).tiny)


def _increasing(quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return as many edges from sorted quantiles, apart from each other; see `PiecewiseLinearEmbedding.edges_of`."""
    low, high, n_bins = float(quantiles[0]), float(quantiles[-1]), len(quantiles) - 1
    closest = max(_CLOSEST * max(abs(low), abs(high)), _SMALLEST)
    if high - low <= n_bins * closest:  # one number, or too few between
        middle = low + (high - low) / 2
        half = max(1.0, abs(middle))
        edges = [middle - half, middle + half]
    else:
        apart, edges = max(closest, 1e-6 * (high - low)), [low]
        for quantile in quantiles[1:-1].tolist():
            if quantile - edges[-1] > apart and high - quantile > apart:
                edges.append(quantile)
        edges.append(high)
    while len(edges) <= n_bins:
        widest = int(np.argmax(np.diff(edges)))
        edges.insert(widest + 1, edges[widest] + (edges[widest + 1] - edges[widest]) / 2)
    return np.array(edges)


@dataclass(frozen=True, repr=False)
class CategoryEmbedding(ColumnLayer):
    """Put learned vectors in the place of columns of labels (Guo and Berkhahn 2016, "Entity Embeddings").

    Parameters
    ----------
    n_labels : int or sequence of int
        Labels of each column, or of all of them, 1 <= n_labels <= 16,777,216: float32 has every whole number up to
        there.
    size : int
        Numbers that a label becomes, >= 1.
    columns : sequence of int
        The columns that hold labels, each once.

    Raises
    ------
    TypeError
        If `n_labels` is neither a whole number nor a list of them, `size` is not a whole number, or `columns` not a
        list of whole numbers.
    ValueError
        If `n_labels` is below 1, too large or not as many as `columns`, `size` is below 1, or `columns` is empty, has a
        number below 0 or one twice. A network raises it for a column that it does not have.

    Notes
    -----
    A row holds the number of its label, 0 ... n_labels - 1, or -1 where the label is missing; any other number, such as
    7 of 5 labels or 0.5, counts as a label that was never seen. (NaN would too, but no network takes it as an input.)

    With n columns before it, of which m are labels, the layer makes n - m + m * size: the other columns in their order,
    then the vectors in the order of `columns`. `weight` has, one below the other, the tables of the columns, each of
    (n_labels + 2, size): a row for each label, which begins uniform within 1 / sqrt(size), one for missing labels, and
    one for those never seen, both of which begin at zero; the last learns only from rows that have such labels.

    The gradient of a table's row is the sum over the batch's rows with that label. Optimizers update all rows of a
    table in each step, as they do with any weight: momentum and weight decay move also those whose labels are not in
    the batch. The input's gradient is zero in the columns of labels.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(3, [st.CategoryEmbedding([7, 12], 4, columns=[0, 2]), st.Dense(1)])
    >>> net.predict([[6, 0.3, 11], [-1, 0.3, 99]]).shape
    (2, 1)
    """

    n_labels: int | Sequence[int]
    size: int
    columns: Sequence[int]

    def __post_init__(self) -> None:
        """Check the arguments."""
        if self.columns is None:
            raise TypeError("columns is None: expected a list of column numbers, those of labels")
        columns = _check_columns(self.columns)
        assert columns is not None
        self._set(
            n_labels=_check_labels(self.n_labels, columns), size=integer("size", self.size, ge=1), columns=columns
        )

    def labels_of(self) -> Sequence[int]:
        """Return the number of labels of each of `columns`."""
        return [self.n_labels] * len(self.columns) if isinstance(self.n_labels, int) else self.n_labels

    def output_size(self, n_in: int) -> int:
        """Return the columns that stay, and the vectors' numbers."""
        return n_in + len(self.embedded(n_in)) * (self.size - 1)

    def parameter_shapes(self, n_in: int) -> Shapes:
        """Return the shape of the tables."""
        return {"weight": (sum(n + 2 for n in self.labels_of()), self.size)}

    def to_dict(self) -> dict[str, Any]:
        """Return this layer as plain JSON values."""
        return super().to_dict() | {"n_labels": self.n_labels if isinstance(self.n_labels, int) else [*self.n_labels]}

    def add_to(self, core: CoreNetwork, name: str, following: str) -> None:
        """Add the tables."""
        core.add_category_embedding(name, list(self.embedded(core.n_out)), list(self.labels_of()), self.size)


_MOST_LABELS = 2**24


def _check_labels(n_labels: object, columns: tuple[int, ...]) -> int | tuple[int, ...]:
    if not _is_list(n_labels):
        return _check_count("n_labels", n_labels)
    found = tuple(_check_count(f"n_labels[{i}]", n) for i, n in enumerate(n_labels))
    if len(found) != len(columns):
        raise ValueError(f"n_labels has {len(found)} numbers: expected one for each of the {len(columns)} columns")
    return found


def _check_count(name: str, value: object) -> int:
    count = integer(name, value, ge=1)
    if count > _MOST_LABELS:
        raise ValueError(f"{name} is {count}: expected a whole number >= 1 and <= {_MOST_LABELS}")
    return count


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Return whether a value is a list of things: a text is none."""
    if isinstance(value, (str, bytes)) or getattr(value, "ndim", 1) != 1:
        return False
    return isinstance(value, (Sequence, np.ndarray))


def _check_columns(columns: object) -> tuple[int, ...] | None:
    if columns is None:
        return None
    if not _is_list(columns):
        raise TypeError(f"columns is {columns!r}: expected a list of column numbers, or None for all")
    found = tuple(integer(f"columns[{i}]", c, ge=0) for i, c in enumerate(columns))
    if not found or len(set(found)) < len(found):
        raise ValueError(f"columns is {columns!r}: expected at least one column, each once, or None for all")
    return found
