"""The layers of a network, as small values: without their weights."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import as_array
from ._core import Network as CoreNetwork
from ._layer import Layer as Layer  # so that every layer comes from here
from ._layer import Shapes as Shapes
from ._validation import choice, flag, from_dict, integer, number
from .embeddings import CategoryEmbedding as CategoryEmbedding
from .embeddings import PeriodicEmbedding as PeriodicEmbedding
from .embeddings import PiecewiseLinear as PiecewiseLinear
from .embeddings import PiecewiseLinearEmbedding as PiecewiseLinearEmbedding

ACTIVATIONS = (
    "identity", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid", "tanh", "softplus", "mish",
)  # fmt: skip
INITS = (
    "auto", "he_uniform", "he_normal", "glorot_uniform", "glorot_normal", "lecun_uniform", "lecun_normal", "zeros",
)  # fmt: skip

_ALPHAS = {"leaky_relu": 0.01, "elu": 1.0}
_AUTO = dict.fromkeys(("relu", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus"), "he_uniform")
_AUTO["selu"] = "lecun_normal"
_DEEPEST = 64  # residual blocks within one another
_MOST = 10_000  # layers of a network, those in residual blocks included


def _check_activation(name: str, activation: object, alpha: object) -> tuple[str, float | None]:
    if activation == "softmax":
        raise ValueError(f"{name} is 'softmax': expected none, the loss 'cross_entropy' takes it of the outputs")
    activation = choice(name, activation, ACTIVATIONS)
    if alpha is None:
        return activation, None
    if activation not in _ALPHAS:
        raise ValueError(f"alpha is {alpha!r}: only {' and '.join(_ALPHAS)} take one, {activation} does not")
    return activation, number("alpha", alpha, ge=0)


def _add_activation(core: CoreNetwork, activation: str, alpha: float | None) -> None:
    if activation != "identity":
        core.add_activation(activation, _ALPHAS.get(activation, 0.0) if alpha is None else alpha)


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    """A dense layer with its activation: ``activation(x @ weight + bias)``.

    Parameters
    ----------
    n_out : int
        Number of outputs, >= 1.
    activation : str, default="identity"
        identity, relu, leaky_relu, elu, selu, gelu (the exact one, by erf), silu, sigmoid, tanh, softplus or mish.
    alpha : float, default=None
        Slope of leaky_relu below zero or scale of elu, >= 0; None: 0.01 and 1. Other activations take none.
    bias : bool, default=True
        Whether to add a bias, which starts at zero.
    init : str or array of shape (n_in, n_out), default="auto"
        The first weights: he_uniform, he_normal, glorot_uniform, glorot_normal, lecun_uniform, lecun_normal, zeros,
        the very numbers, or "auto": he_uniform before relu, leaky_relu, elu, gelu, silu, mish and softplus,
        lecun_normal before selu, glorot_uniform before the rest. If `activation` is identity, the next `Activation`
        in the same list of layers counts, as long as no `Dense` or `Residual` comes first.

    Raises
    ------
    TypeError
        If `n_out` is not a whole number, `alpha` not a number or `bias` not a bool.
    ValueError
        If `n_out` is below 1, `activation` or `init` is an unknown name, `alpha` is below 0 or given with an activation
        that takes none, or an array as `init` has not `n_out` columns.

    Notes
    -----
    With fan-in i and fan-out o, the uniform bounds are sqrt(6 / i) (He), sqrt(6 / (i + o)) (Glorot) and sqrt(3 / i)
    (LeCun); the normal forms have the standard deviations sqrt(2 / i), sqrt(2 / (i + o)) and sqrt(1 / i) and are not
    truncated. These are PyTorch's formulas at gain sqrt(2) for He and 1 for the rest.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(4, [st.Dense(16, "relu"), st.Dense(3)], seed=0)
    >>> {name: value.shape for name, value in net.parameters.items()}
    {'0.weight': (4, 16), '0.bias': (16,), '1.weight': (16, 3), '1.bias': (3,)}
    """

    n_out: int
    activation: str = "identity"
    _: KW_ONLY
    alpha: float | None = None
    bias: bool = True
    init: str | ArrayLike = "auto"

    def __post_init__(self) -> None:
        """Check the arguments."""
        n_out = integer("n_out", self.n_out, ge=1)
        activation, alpha = _check_activation("activation", self.activation, self.alpha)
        self._set(n_out=n_out, activation=activation, alpha=alpha, bias=flag("bias", self.bias))
        if isinstance(self.init, str):
            choice("init", self.init, INITS)
            return
        init = as_array("init", self.init)
        if init.ndim != 2 or init.shape[1] != n_out:
            raise ValueError(f"init has the shape {init.shape}: expected (n_in, {n_out}) or the name of an initializer")
        self._set(init=init)

    def __eq__(self, other: object) -> bool:
        """Compare by value, an array of first weights included."""
        if not isinstance(other, Dense):
            return NotImplemented
        return self.to_dict() == other.to_dict() and np.array_equal(self.init, other.init)

    def output_size(self, n_in: int) -> int:
        """Return `n_out`."""
        return self.n_out

    def parameter_shapes(self, n_in: int) -> Shapes:
        """Return the shapes of weight and bias."""
        return {"weight": (n_in, self.n_out)} | ({"bias": (self.n_out,)} if self.bias else {})

    def to_dict(self) -> dict[str, Any]:
        """Return this layer as plain JSON values; an array of first weights becomes "auto"."""
        return super().to_dict() | ({} if isinstance(self.init, str) else {"init": "auto"})

    def add_to(self, core: CoreNetwork, name: str, following: str) -> None:
        """Add the dense layer and its activation."""
        init = self.init if isinstance(self.init, str) else "zeros"
        activation = following if self.activation == "identity" else self.activation
        core.add_dense(name, self.n_out, self.bias, _AUTO.get(activation, "glorot_uniform") if init == "auto" else init)
        _add_activation(core, self.activation, self.alpha)


@dataclass(frozen=True, repr=False)
class Activation(Layer):
    """An activation on its own, as after a normalization: ``[Dense(64), BatchNorm(), Activation("relu")]``.

    Parameters
    ----------
    name : str
        One of the activations of `Dense`.
    alpha : float, default=None
        As in `Dense`.

    Raises
    ------
    TypeError
        If `alpha` is not a number.
    ValueError
        If `name` is an unknown one, or `alpha` is below 0 or given with an activation that takes none.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(4, [st.Dense(16), st.BatchNorm(), st.Activation("relu"), st.Dense(1)], seed=0)
    >>> net.predict([[1, 2, 3, 4]]).shape
    (1, 1)
    """

    name: str
    alpha: float | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        name, alpha = _check_activation("name", self.name, self.alpha)
        self._set(name=name, alpha=alpha)

    def add_to(self, core: CoreNetwork, name: str, following: str) -> None:
        """Add the activation."""
        _add_activation(core, self.name, self.alpha)


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """Set a share of the numbers to zero while training, and scale the rest so that the mean stays.

    Parameters
    ----------
    p : float
        Share of the numbers set to zero, 0 <= p < 1; the rest are multiplied by 1 / (1 - p). At inference nothing is
        changed (Srivastava et al. 2014, "inverted").

    Raises
    ------
    TypeError
        If `p` is not a number.
    ValueError
        If `p` is below 0, or 1 or more.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(2, [st.Dropout(0.5)], seed=0)
    >>> net.predict([[1, 2]])  # at inference nothing is dropped
    array([[1., 2.]], dtype=float32)
    """

    p: float

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(p=number("p", self.p, ge=0, lt=1))

    def add_to(self, core: CoreNetwork, name: str, following: str) -> None:
        """Add the dropout."""
        core.add_dropout(self.p)


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Normalize every column over the rows of the batch, then scale and shift it (Ioffe and Szegedy 2015).

    Parameters
    ----------
    momentum : float, default=0.1
        Weight of the new batch in the running mean and variance, 0 <= momentum <= 1.
    eps : float, default=1e-5
        Added to the variance, > 0.

    Raises
    ------
    TypeError
        If `momentum` or `eps` is not a number.
    ValueError
        If `momentum` is not within 0 ... 1, or `eps` is not above 0.

    Notes
    -----
    Definitions and defaults are PyTorch's: the batch is normalized by its biased variance, the running variance
    collects the unbiased one. At inference the running statistics are used, and also in training for a batch of one
    row, which has no variance.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> net = st.Network(2, [st.BatchNorm()], seed=0)
    >>> rows = net.forward([[1, 100], [3, 500]])  # in training mode: by the rows of this batch
    >>> np.round(rows, 2)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """

    momentum: float = 0.1
    eps: float = 1e-5

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(momentum=number("momentum", self.momentum, ge=0, le=1), eps=number("eps", self.eps, gt=0))

    def parameter_shapes(self, n_in: int) -> Shapes:
        """Return the shapes of scale and shift."""
        return {"weight": (n_in,), "bias": (n_in,)}

    def buffer_shapes(self, n_in: int) -> Shapes:
        """Return the shapes of the running statistics."""
        return {"running_mean": (n_in,), "running_var": (n_in,)}

    def add_to(self, core: CoreNetwork, name: str, following: str) -> None:
        """Add the normalization."""
        core.add_batch_norm(name, self.momentum, self.eps)


@dataclass(frozen=True, repr=False)
class LayerNorm(Layer):
    """Normalize every row over its columns, then scale and shift each column (Ba et al. 2016).

    Parameters
    ----------
    eps : float, default=1e-5
        Added to the (biased) variance, > 0; the default is PyTorch's.

    Raises
    ------
    TypeError
        If `eps` is not a number.
    ValueError
        If `eps` is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> net = st.Network(3, [st.LayerNorm()], seed=0)
    >>> np.round(net.predict([[1, 2, 3], [10, 20, 30]]), 2)
    array([[-1.22,  0.  ,  1.22],
           [-1.22,  0.  ,  1.22]], dtype=float32)
    """

    eps: float = 1e-5

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(eps=number("eps", self.eps, gt=0))

    def parameter_shapes(self, n_in: int) -> Shapes:
        """Return the shapes of scale and shift."""
        return {"weight": (n_in,), "bias": (n_in,)}

    def add_to(self, core: CoreNetwork, name: str, following: str) -> None:
        """Add the normalization."""
        core.add_layer_norm(name, self.eps)


@dataclass(frozen=True, repr=False)
class FeatureScale(Layer):
    """Multiply each column by a learned factor, ``x * scale`` (Holzmüller et al. 2024, "RealMLP": a diagonal weight).

    In front of a network it learns how much each column counts, sooner than the dense layer after it could, if it
    learns faster than that.

    Parameters
    ----------
    lr_multiplier : float, default=1.0
        Factor of the learning rate of `scale`, 0 < lr_multiplier <= 1e6; RealMLP takes 6. What
        `Network.set_lr_multipliers` says of the layer multiplies it.

    Raises
    ------
    TypeError
        If `lr_multiplier` is not a number.
    ValueError
        If `lr_multiplier` is not above 0 or beyond 1e6.

    Notes
    -----
    `scale` has the shape (1, columns), begins at 1, and has no weight decay.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(3, [st.FeatureScale(lr_multiplier=6), st.Dense(1)], seed=0)
    >>> net.parameters["0.scale"]
    array([[1., 1., 1.]], dtype=float32)
    """

    lr_multiplier: float = 1.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(lr_multiplier=number("lr_multiplier", self.lr_multiplier, gt=0, le=1e6))

    @property
    def own_rate(self) -> float:
        """Return `lr_multiplier`."""
        return self.lr_multiplier

    def parameter_shapes(self, n_in: int) -> Shapes:
        """Return the shape of the factors."""
        return {"scale": (1, n_in)}

    def add_to(self, core: CoreNetwork, name: str, following: str) -> None:
        """Add the factors."""
        core.add_feature_scale(name)
        core.set_lr_multiplier(name, self.own_rate)


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """Layers whose output is added to their input: ``x + layers(x)`` (He et al. 2016).

    Parameters
    ----------
    layers : sequence of layers
        The branch. It must end with as many columns as it starts with; a network checks that when it is made.

    Raises
    ------
    TypeError
        If `layers` is not a sequence of layers.
    ValueError
        If `layers` is empty, or more than 64 blocks stand within one another.

    Examples
    --------
    >>> import steepest as st
    >>> block = st.Residual([st.Dense(16, "relu"), st.Dense(16)])
    >>> net = st.Network(4, [st.Dense(16), block, st.Dense(1)], seed=0)
    >>> list(net.parameters)
    ['0.weight', '0.bias', '1.0.weight', '1.0.bias', '1.1.weight', '1.1.bias', '2.weight', '2.bias']
    """

    layers: Sequence[Layer]

    def __post_init__(self) -> None:
        """Check the arguments."""
        layers = check_layers(self.layers)
        depth = 1 + max(layer._depth for layer in layers)
        if depth > _DEEPEST:
            raise ValueError(f"layers has {depth} residual blocks within one another: expected at most {_DEEPEST}")
        self._set(layers=layers, _depth=depth, _n_layers=1 + sum(layer._n_layers for layer in layers))

    def __repr__(self) -> str:
        """Return the call that makes this block."""
        return f"Residual({list(self.layers)})"

    def output_size(self, n_in: int) -> int:
        """Return `n_in`, if the branch keeps it."""
        n_out = n_in
        for layer in self.layers:
            n_out = layer.output_size(n_out)
        self.check_output_size(n_in, n_out)
        return n_in

    def check_output_size(self, n_in: int, n_out: int) -> None:
        """Refuse a branch that does not end with as many columns as it starts with."""
        if n_out != n_in:
            raise ValueError(f"Residual: its layers turn {n_in} numbers a row into {n_out}: expected {n_in} again")

    def to_dict(self) -> dict[str, Any]:
        """Return this block as plain JSON values."""
        return {"type": "Residual", "layers": [layer.to_dict() for layer in self.layers]}

    def add_to(self, core: CoreNetwork, name: str, following: str) -> None:
        """Add the branch."""
        core.begin_residual()
        add_layers(core, self.layers, f"{name}.")
        core.end_residual()


_KINDS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Dense,
        Activation,
        Dropout,
        BatchNorm,
        LayerNorm,
        FeatureScale,
        PeriodicEmbedding,
        PiecewiseLinear,
        PiecewiseLinearEmbedding,
        CategoryEmbedding,
        Residual,
    )
}


class Node(NamedTuple):
    """A layer at its place in a network."""

    name: str  # path: "0", "2.1"
    layer: Layer
    n_in: int
    n_out: int


def check_layers(layers: object) -> tuple[Layer, ...]:
    """Return `layers` as a tuple, or say which of them is no layer."""
    if isinstance(layers, str) or not isinstance(layers, Sequence):
        raise TypeError(f"layers is {layers!r}: expected a list of layers such as [Dense(64, 'relu'), Dense(1)]")
    if not layers:
        raise ValueError("layers is empty: expected at least one layer, such as Dense(1)")
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            hint = f"Dense({layer})" if isinstance(layer, (int, np.integer)) else "Dense(64, 'relu')"
            raise TypeError(f"layers[{i}] is {layer!r}: expected a layer such as {hint}")
        if type(layer) not in _KINDS.values():
            kind = type(layer).__mro__[1].__name__
            raise TypeError(
                f"layers[{i}] is a {type(layer).__name__}, a subclass of {kind}: expected {kind} itself, for the core "
                "never calls a method of a layer. Compute what you add in NumPy between two networks, by their forward "
                "and backward, or in a loss, which may be a function"
            )
    if (n := sum(layer._n_layers for layer in layers)) > _MOST:
        raise ValueError(f"layers has {n} layers, with those in residual blocks: expected at most {_MOST}")
    return tuple(layers)


def iter_nodes(layers: Sequence[Layer], n_in: int, prefix: str = "") -> Generator[Node, None, int]:
    """Go through the layers in order, a residual block before the layers inside it.

    Raises
    ------
    ValueError
        If a residual block changes the number of columns, after its layers.
    """
    for i, layer in enumerate(layers):
        if isinstance(layer, Residual):  # its size is not asked: it would be once for each block around it
            node = Node(f"{prefix}{i}", layer, n_in, n_in)
            yield node
            layer.check_output_size(n_in, (yield from iter_nodes(layer.layers, n_in, f"{node.name}.")))
        else:
            node = Node(f"{prefix}{i}", layer, n_in, layer.output_size(n_in))
            yield node
        n_in = node.n_out
    return n_in


walk = iter_nodes  # its name in 0.1


def add_layers(core: CoreNetwork, layers: Sequence[Layer], prefix: str = "") -> None:
    """Add the layers to the compiled network."""
    following = ["identity"]  # from the last layer to the first
    for layer in reversed(layers[1:]):
        if isinstance(layer, Activation) and layer.name != "identity":
            following.append(layer.name)
        else:
            following.append("identity" if isinstance(layer, (Dense, Residual)) else following[-1])
    for i, (layer, activation) in enumerate(zip(layers, reversed(following), strict=True)):
        layer.add_to(core, f"{prefix}{i}", activation)


def layers_from_json(data: object, depth: int = 0) -> list[Layer]:
    """Make the layers that `Layer.to_dict` described, each; ValueError where `data` does not describe layers."""
    if not isinstance(data, list) or depth > _DEEPEST or len(data) > _MOST:
        raise ValueError(f"expected a list of layers, at most {_MOST}, at most {_DEEPEST} residual blocks deep")
    result = []
    for item in data:
        if isinstance(item, dict) and item.get("type") == "Residual":
            item = item | {"layers": layers_from_json(item.get("layers"), depth + 1)}
        result.append(from_dict(item, _KINDS, "layer"))
    return result
