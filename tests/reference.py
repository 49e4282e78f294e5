"""A dense network in plain NumPy: the oracle of the tests, written to be read.

Each formula stands once, in the order of a lesson: activations, losses, layers, the network, optimizers; then the two
things that only an implementation knows, random numbers and the layout in memory. Nothing here is quick. Every
function works in the dtype that it is given. A matrix of inputs has one row for each example: (batch, n).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[[Array, float], Array]


# --- Activations: a function of z and of one constant `alpha` where it has one, and its derivative at z ---


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z), written so that e is never raised to a large number."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, np.ones_like(e), e) / (1 + e)


def softplus(z: Array) -> Array:
    """log(1 + e^z), likewise."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def normal_cdf(z: Array) -> Array:
    """The share of a standard normal distribution below z; erfc keeps the digits that 1 + erf loses far below zero."""
    erfc = np.vectorize(math.erfc, otypes=[np.float64])
    return np.asarray(0.5 * erfc(-np.asarray(z, np.float64) / math.sqrt(2))).astype(z.dtype)


def normal_density(z: Array) -> Array:
    """The standard normal distribution's density at z."""
    return np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def elu(z: Array, alpha: float) -> Array:
    """z above zero, alpha (e^z - 1) below."""
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def elu_slope(z: Array, alpha: float) -> Array:
    """The derivative of `elu`."""
    return np.where(z > 0, np.ones_like(z), alpha * np.exp(np.minimum(z, 0)))


def silu_slope(z: Array) -> Array:
    """The derivative of z sigmoid(z)."""
    s = sigmoid(z)
    return s * (1 + z * (1 - s))


def mish_slope(z: Array) -> Array:
    """The derivative of z tanh(softplus(z))."""
    t = np.tanh(softplus(z))
    return t + z * sigmoid(z) * (1 - t * t)


# The constants at which layer after layer keeps mean 0 and variance 1 (Klambauer and others, 2017).
SELU_SCALE = 1.0507009873554804934
SELU_ALPHA = 1.6732632423543772848

# In the order of the core's enumeration.
ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "identity": (lambda z, _: z, lambda z, _: np.ones_like(z)),
    "relu": (lambda z, _: np.maximum(z, 0), lambda z, _: (z > 0).astype(z.dtype)),
    "leaky_relu": (
        lambda z, alpha: np.where(z > 0, z, alpha * z),
        lambda z, alpha: np.where(z > 0, np.ones_like(z), np.full_like(z, alpha)),
    ),
    "elu": (elu, elu_slope),
    "selu": (lambda z, _: SELU_SCALE * elu(z, SELU_ALPHA), lambda z, _: SELU_SCALE * elu_slope(z, SELU_ALPHA)),
    "gelu": (lambda z, _: z * normal_cdf(z), lambda z, _: normal_cdf(z) + z * normal_density(z)),
    "silu": (lambda z, _: z * sigmoid(z), lambda z, _: silu_slope(z)),
    "sigmoid": (lambda z, _: sigmoid(z), lambda z, _: sigmoid(z) * sigmoid(-z)),
    "tanh": (lambda z, _: np.tanh(z), lambda z, _: 1 - np.tanh(z) ** 2),
    "softplus": (lambda z, _: softplus(z), lambda z, _: sigmoid(z)),
    "mish": (lambda z, _: z * np.tanh(softplus(z)), lambda z, _: mish_slope(z)),
}

# The constant of those that have one, unless the user says otherwise.
DEFAULT_ALPHA = {"leaky_relu": 0.01, "elu": 1.0}


# --- Losses: from the network's output y and the target t, one loss for each row (n,) and its derivative (n, n_out) ---


def one_hot(labels: Array, n_classes: int, dtype: Any) -> Array:
    """Rows of zeros with a one at the label."""
    return (np.asarray(labels)[:, None] == np.arange(n_classes)).astype(dtype)


def mse(y: Array, t: Array, _: float) -> tuple[Array, Array]:
    """Squared error."""
    return (y - t) ** 2, 2 * (y - t)


def mae(y: Array, t: Array, _: float) -> tuple[Array, Array]:
    """Absolute error."""
    return np.abs(y - t), np.sign(y - t)


def huber(y: Array, t: Array, delta: float) -> tuple[Array, Array]:
    """Half the squared error up to delta, a straight line beyond."""
    e = np.abs(y - t)
    return np.where(e <= delta, 0.5 * e * e, delta * (e - 0.5 * delta)), np.clip(y - t, -delta, delta)


def quantile(y: Array, t: Array, q: float) -> tuple[Array, Array]:
    """Weighs a target above the prediction q, one below 1 - q: the best constant is the q-quantile."""
    e = t - y
    return np.maximum(q * e, (q - 1) * e), np.where(e > 0, -q, np.where(e < 0, 1 - q, 0.0)).astype(y.dtype)


def binary_cross_entropy(z: Array, t: Array, _: float) -> tuple[Array, Array]:
    """-t log(p) - (1 - t) log(1 - p) with p = sigmoid(z)."""
    return softplus(z) - t * z, sigmoid(z) - t


def poisson(z: Array, t: Array, _: float) -> tuple[Array, Array]:
    """The Poisson distribution's -log likelihood at rate e^z, without the part that depends on t alone."""
    return np.exp(z) - t * z, np.exp(z) - t


ELEMENT_LOSSES = {
    "mse": mse,
    "mae": mae,
    "huber": huber,
    "quantile": quantile,
    "binary_cross_entropy": binary_cross_entropy,
    "poisson": poisson,
}

# In the order of the core's enumeration.
LOSSES = ("mse", "mae", "huber", "quantile", "cross_entropy", "binary_cross_entropy", "poisson")


def row_losses(name: str, y: Array, target: Array, parameter: float = 1.0) -> tuple[Array, Array]:
    """One loss for each row, and its derivative; all but cross_entropy are means over the row's outputs."""
    if name == "cross_entropy":
        t = one_hot(target, y.shape[1], y.dtype) if target.ndim == 1 else target
        z = y - y.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return -(t * log_p).sum(axis=1), t.sum(axis=1, keepdims=True) * np.exp(log_p) - t
    loss, slope = ELEMENT_LOSSES[name](y, target.reshape(y.shape), parameter)
    return loss.mean(axis=1), slope / y.shape[1]


def mean_loss(
    name: str, y: Array, target: Array, weight: Array | None = None, parameter: float = 1.0
) -> tuple[float, Array]:
    """The weighted mean of the rows' losses, sum(w l) / sum(w), and its derivative (n, n_out)."""
    loss, slope = row_losses(name, y, target, parameter)
    w = np.ones(len(y), y.dtype) if weight is None else np.asarray(weight, y.dtype)
    share = w / w.sum()
    return float((share * loss).sum()), share[:, None] * slope


# --- Layers: forward keeps what backward needs; backward takes dloss/dy, sets `gradients`, returns dloss/dx ---


class Layer:
    """Something with a forward and a backward pass; `path` is the place in the network that names its parameters."""

    def __init__(self, path: str = "") -> None:
        self.path = path
        self.own_rate = 1.0  # factor of the learning rate
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.buffers: dict[str, Array] = {}  # what is remembered but not learned

    def forward(self, x: Array, training: bool) -> Array:
        """The layer's output."""
        raise NotImplementedError

    def backward(self, dy: Array) -> Array:
        """The gradient of the layer's input from that of its output."""
        raise NotImplementedError

    def leaves(self) -> Iterator[Layer]:
        """The layer, or the layers that it is made of."""
        yield self


class Dense(Layer):
    """y = x W + b."""

    def __init__(self, path: str, n_in: int, n_out: int, bias: bool, dtype: Any) -> None:
        super().__init__(path)
        self.parameters["weight"] = np.zeros((n_in, n_out), dtype)
        if bias:
            self.parameters["bias"] = np.zeros(n_out, dtype)

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        return np.asarray(x @ self.parameters["weight"] + self.parameters.get("bias", 0))

    def backward(self, dy: Array) -> Array:
        self.gradients["weight"] = self.x.T @ dy
        if "bias" in self.parameters:
            self.gradients["bias"] = dy.sum(axis=0)
        return np.asarray(dy @ self.parameters["weight"].T)


class Activation(Layer):
    """One function applied to every number."""

    def __init__(self, name: str, alpha: float | None = None) -> None:
        super().__init__()
        self.function, self.derivative = ACTIVATIONS[name]
        self.alpha = DEFAULT_ALPHA.get(name, 0.0) if alpha is None else alpha

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        return self.function(x, self.alpha)

    def backward(self, dy: Array) -> Array:
        return dy * self.derivative(self.x, self.alpha)


class Dropout(Layer):
    """Drops a share p of the numbers in training and scales up the rest, so that the mean stays."""

    def __init__(self, p: float, seed: int, layer: int) -> None:
        super().__init__()
        self.p, self.seed, self.layer = p, seed, layer
        self.step = 0  # training passes so far

    def forward(self, x: Array, training: bool) -> Array:
        self.mask = np.ones_like(x)
        if training:
            self.mask = dropout_mask(x.shape, self.p, self.seed, self.step, self.layer).astype(x.dtype)
            self.step += 1
        return x * self.mask

    def backward(self, dy: Array) -> Array:
        return dy * self.mask


class BatchNorm(Layer):
    """Shifts and scales each column to mean 0 and variance 1 over the batch, then by learned numbers.

    Inference uses running means of the statistics, and so does training on a batch of one row, which has no variance.
    """

    def __init__(self, path: str, n: int, momentum: float, eps: float, dtype: Any) -> None:
        super().__init__(path)
        self.momentum, self.eps = momentum, eps
        self.parameters = {"weight": np.ones(n, dtype), "bias": np.zeros(n, dtype)}
        self.buffers = {"running_mean": np.zeros(n, dtype), "running_var": np.ones(n, dtype)}

    def forward(self, x: Array, training: bool) -> Array:
        n = len(x)
        self.from_batch = training and n > 1
        if self.from_batch:
            mean, var = x.mean(axis=0), x.var(axis=0)  # the biased variance, sum / n
            self.remember("running_mean", mean)
            self.remember("running_var", var * (n / (n - 1)))  # the unbiased one, sum / (n - 1)
        else:
            mean, var = self.buffers["running_mean"], self.buffers["running_var"]
        self.inverse_std = 1 / np.sqrt(var + self.eps)
        self.x_hat = (x - mean) * self.inverse_std
        return self.parameters["weight"] * self.x_hat + self.parameters["bias"]

    def remember(self, name: str, new: Array) -> None:
        """Move a running mean towards the new value; momentum is the weight of the new."""
        self.buffers[name][...] = (1 - self.momentum) * self.buffers[name] + self.momentum * new

    def backward(self, dy: Array) -> Array:
        self.gradients = {"weight": (dy * self.x_hat).sum(axis=0), "bias": dy.sum(axis=0)}
        d_hat = dy * self.parameters["weight"]
        if self.from_batch:  # the batch's mean and variance depend on x as well
            d_hat = d_hat - d_hat.mean(axis=0) - self.x_hat * (d_hat * self.x_hat).mean(axis=0)
        return d_hat * self.inverse_std


class LayerNorm(Layer):
    """Shifts and scales each row to mean 0 and (biased) variance 1 over its columns, then by learned numbers."""

    def __init__(self, path: str, n: int, eps: float, dtype: Any) -> None:
        super().__init__(path)
        self.eps = eps
        self.parameters = {"weight": np.ones(n, dtype), "bias": np.zeros(n, dtype)}

    def forward(self, x: Array, training: bool) -> Array:
        self.inverse_std = 1 / np.sqrt(x.var(axis=1, keepdims=True) + self.eps)
        self.x_hat = (x - x.mean(axis=1, keepdims=True)) * self.inverse_std
        return self.parameters["weight"] * self.x_hat + self.parameters["bias"]

    def backward(self, dy: Array) -> Array:
        self.gradients = {"weight": (dy * self.x_hat).sum(axis=0), "bias": dy.sum(axis=0)}
        d_hat = dy * self.parameters["weight"]
        d_hat = (
            d_hat - d_hat.mean(axis=1, keepdims=True) - self.x_hat * (d_hat * self.x_hat).mean(axis=1, keepdims=True)
        )
        return d_hat * self.inverse_std


class FeatureScale(Layer):
    """Multiplies each column by a learned factor."""

    def __init__(self, path: str, n: int, own_rate: float, dtype: Any) -> None:
        super().__init__(path)
        self.parameters["scale"] = np.ones((1, n), dtype)
        self.own_rate = own_rate

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        return x * self.parameters["scale"]

    def backward(self, dy: Array) -> Array:
        self.gradients["scale"] = (dy * self.x).sum(axis=0, keepdims=True)
        return dy * self.parameters["scale"]


class PeriodicEmbedding(Layer):
    """Puts activation([cos(2 pi f x), sin(2 pi f x), 1] W) of some columns, each with its own f and W, beside all."""

    def __init__(
        self, path: str, columns: Sequence[int], n_frequencies: int, size: int, activation: str, dtype: Any
    ) -> None:
        super().__init__(path)
        self.columns, self.size = list(columns), size
        self.function, self.derivative = ACTIVATIONS[activation]
        self.parameters["weight"] = np.zeros((len(columns) * (2 * n_frequencies + 1), size), dtype)
        self.parameters["frequency"] = np.zeros((len(columns), n_frequencies), dtype)

    @property
    def maps(self) -> Array:
        """The linear map of each column, (columns, features, size)."""
        return self.parameters["weight"].reshape(len(self.columns), -1, self.size)

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        turns = 2 * math.pi * x[:, self.columns, None] * self.parameters["frequency"]  # (rows, columns, frequencies)
        self.cos, self.sin = np.cos(turns), np.sin(turns)
        self.features = np.concatenate([self.cos, self.sin, np.ones_like(turns[:, :, :1])], axis=2)
        self.z = np.einsum("rcf,cfs->rcs", self.features, self.maps)
        return np.hstack([x, self.function(self.z, 0.0).reshape(len(x), -1)])

    def backward(self, dy: Array) -> Array:
        past, made = dy[:, : self.x.shape[1]], dy[:, self.x.shape[1] :]
        d = made.reshape(self.z.shape) * self.derivative(self.z, 0.0)
        weight, frequency = self.parameters["weight"], self.parameters["frequency"]
        self.gradients["weight"] = np.einsum("rcf,rcs->cfs", self.features, d).reshape(weight.shape)
        d_cos, d_sin, _ = np.split(np.einsum("rcs,cfs->rcf", d, self.maps), [frequency.shape[1], -1], axis=2)
        d_turns = 2 * math.pi * (d_sin * self.cos - d_cos * self.sin)
        self.gradients["frequency"] = np.einsum("rcf,rc->cf", d_turns, self.x[:, self.columns])
        dx = past.copy()
        dx[:, self.columns] += np.einsum("rcf,cf->rc", d_turns, frequency)
        return dx


class PiecewiseLinear(Layer):
    """Takes some columns through lines between points of their own."""

    def __init__(self, path: str, columns: Sequence[int], n_points: int, dtype: Any) -> None:
        super().__init__(path)
        self.columns = list(columns)
        self.buffers = {name: np.zeros((n_points, len(self.columns)), dtype) for name in ("points", "values")}

    def forward(self, x: Array, training: bool) -> Array:
        y, self.slopes = x.copy(), np.ones_like(x)
        for j, column in enumerate(self.columns):
            points, values = self.buffers["points"][:, j], self.buffers["values"][:, j]
            y[:, column] = np.interp(x[:, column], points, values)
            slopes = np.concatenate([[0], np.diff(values) / np.diff(points), [0]])
            self.slopes[:, column] = slopes[np.searchsorted(points, x[:, column], "right")]
        return y

    def backward(self, dy: Array) -> Array:
        return dy * self.slopes


class PiecewiseLinearEmbedding(Layer):
    """Puts the piecewise linear encoding of some columns, or a learned map of it for each column, beside all."""

    def __init__(
        self, path: str, columns: Sequence[int], n_bins: int, size: int | None, activation: str, dtype: Any
    ) -> None:
        super().__init__(path)
        self.columns, self.size = list(columns), size
        self.function, self.derivative = ACTIVATIONS[activation]
        if size is not None:
            self.parameters["weight"] = np.zeros((len(self.columns) * (n_bins + 1), size), dtype)
        self.buffers["edges"] = np.zeros((n_bins + 1, len(self.columns)), dtype)

    def encode(self, x: Array) -> tuple[Array, Array]:
        """The encoding of each column, (rows, columns, bins), and its slope: equations 1 and 2 of the paper."""
        low, high = self.buffers["edges"][:-1].T, self.buffers["edges"][1:].T  # (columns, bins)
        number, n = x[:, self.columns, None], low.shape[1]
        below = (number < low) & (np.arange(n) > 0)
        above = (number >= high) & (np.arange(n) < n - 1)
        within = (number - low) / (high - low)
        slope = np.where(below | above, 0, 1 / (high - low))
        return np.where(below, 0, np.where(above, 1, within)), slope

    @property
    def maps(self) -> Array:
        """The linear map of each column, (columns, bins and a bias, size)."""
        assert self.size is not None
        return self.parameters["weight"].reshape(len(self.columns), -1, self.size)

    def forward(self, x: Array, training: bool) -> Array:
        self.x, made = x, self.encode(x)[0]
        if self.size is not None:
            self.features = np.concatenate([made, np.ones_like(made[:, :, :1])], axis=2)
            self.z = np.einsum("rcf,cfs->rcs", self.features, self.maps)
            made = self.function(self.z, 0.0)
        return np.hstack([x, made.reshape(len(x), -1)])

    def backward(self, dy: Array) -> Array:
        dx, slope = dy[:, : self.x.shape[1]].copy(), self.encode(self.x)[1]
        d = dy[:, self.x.shape[1] :].reshape(len(dy), len(self.columns), -1)
        if self.size is not None:
            d = d * self.derivative(self.z, 0.0)
            self.gradients["weight"] = np.einsum("rcf,rcs->cfs", self.features, d).reshape(-1, self.size)
            d = np.einsum("rcs,cfs->rcf", d, self.maps)[:, :, :-1]
        dx[:, self.columns] += (d * slope).sum(axis=2)
        return dx


class CategoryEmbedding(Layer):
    """Takes columns of labels out, and puts the row that each label has in its column's table behind the others."""

    def __init__(self, path: str, n_labels: Sequence[int], size: int, columns: Sequence[int], dtype: Any) -> None:
        super().__init__(path)
        self.n_labels, self.columns = list(n_labels), list(columns)
        self.first = np.cumsum([0, *(n + 2 for n in self.n_labels[:-1])])  # row of each table
        self.parameters["weight"] = np.zeros((sum(n + 2 for n in self.n_labels), size), dtype)

    def rows(self, x: Array) -> Array:
        """The rows of the weight that labels pick, (rows, columns): -1 the last but one, what is none the last."""
        picked = np.empty((len(x), len(self.columns)), np.int64)
        for j, (column, n) in enumerate(zip(self.columns, self.n_labels, strict=True)):
            for i, number in enumerate(x[:, column].tolist()):
                picked[i, j] = number if number in range(n) else n if number == -1 else n + 1
        return picked + self.first

    def forward(self, x: Array, training: bool) -> Array:
        self.x, self.picked = x, self.rows(x)
        made = self.parameters["weight"][self.picked]  # (rows, columns, size)
        return np.hstack([np.delete(x, self.columns, axis=1), *made.transpose(1, 0, 2)])

    def backward(self, dy: Array) -> Array:
        weight = self.parameters["weight"]
        stay = np.setdiff1d(np.arange(self.x.shape[1]), self.columns)
        self.gradients["weight"] = np.zeros_like(weight)
        np.add.at(
            self.gradients["weight"], self.picked, dy[:, len(stay) :].reshape(*self.picked.shape, weight.shape[1])
        )
        dx = np.zeros_like(self.x)
        dx[:, stay] = dy[:, : len(stay)]
        return dx


class Chain(Layer):
    """Layers one after another."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Array, training: bool) -> Array:
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dy: Array) -> Array:
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    def leaves(self) -> Iterator[Layer]:
        for layer in self.layers:
            yield from layer.leaves()


class Residual(Chain):
    """Layers whose output is added to their input."""

    def forward(self, x: Array, training: bool) -> Array:
        return x + super().forward(x, training)

    def backward(self, dy: Array) -> Array:
        return dy + super().backward(dy)


# --- The network ---


class ReferenceNetwork:
    """The layers of a `steepest.Network`, with its parameters, in plain NumPy.

    `parameters`, `buffers` and `gradients` are dicts by path, such as "0.weight"; the first two hold the layers' very
    arrays, so changing one in place changes the network.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.chain = Chain(layers)

    def _collect(self, kind: str) -> dict[str, Array]:
        return {
            f"{layer.path}.{name}": value
            for layer in self.chain.leaves()
            for name, value in getattr(layer, kind).items()
        }

    @property
    def parameters(self) -> dict[str, Array]:
        """What is learned."""
        return self._collect("parameters")

    @property
    def buffers(self) -> dict[str, Array]:
        """What is remembered: the running statistics of batch normalization."""
        return self._collect("buffers")

    @property
    def gradients(self) -> dict[str, Array]:
        """The gradient of each parameter, from the last backward pass."""
        return self._collect("gradients")

    @property
    def own_rates(self) -> dict[str, float]:
        """The factor of its learning rate that each layer brings along, by path."""
        return {layer.path: layer.own_rate for layer in self.chain.leaves()}

    def set_parameters(self, values: dict[str, Array]) -> None:
        """Copy parameters and buffers in, by path."""
        mine = self.parameters | self.buffers
        for name, value in values.items():
            mine[name][...] = value

    def predict(self, x: Array) -> Array:
        """The output in inference mode."""
        return self.chain.forward(x, training=False)

    def forward(self, x: Array) -> Array:
        """The output in training mode."""
        return self.chain.forward(x, training=True)

    def backward(self, dy: Array) -> Array:
        """Set `gradients` and return that of the input, from that of the last forward pass's output."""
        return self.chain.backward(dy)

    def step(
        self,
        x: Array,
        y: Array,
        loss: str,
        optimizer: Optimizer,
        sample_weight: Array | None = None,
        parameter: float = 1.0,
    ) -> float:
        """One step of gradient descent on one batch; returns the loss before it."""
        value, dy = mean_loss(loss, self.forward(x), y, sample_weight, parameter)
        self.backward(dy)
        optimizer.own_rates = self.own_rates
        optimizer.step(self.parameters, self.gradients)
        return value

    def step_by_layer(
        self,
        x: Array,
        y: Array,
        loss: str,
        optimizer: Optimizer,
        order: str,
        sample_weight: Array | None = None,
        parameter: float = 1.0,
    ) -> list[float]:
        """The layers move one by one, each by its gradient at the point reached; the costs before and after turns."""
        cost, dy = mean_loss(loss, self.forward(x), y, sample_weight, parameter)
        costs, statistics = [cost], {name: value.copy() for name, value in self.buffers.items()}
        leaves = [leaf for leaf in self.chain.leaves() if leaf.parameters]
        optimizer.own_rates = self.own_rates
        optimizer.t += 1
        for leaf in reversed(leaves) if order == "output_to_input" else leaves:
            self.backward(dy)
            own = {name: values for name, values in self.parameters.items() if name.rpartition(".")[0] == leaf.path}
            optimizer.move(own, {name: self.gradients[name] for name in own})
            for dropout in self.chain.leaves():
                if isinstance(dropout, Dropout):
                    dropout.step -= 1  # the same mask again
            cost, dy = mean_loss(loss, self.forward(x), y, sample_weight, parameter)
            self.set_parameters(statistics)  # those of the first pass alone
            costs.append(cost)
        return costs


# --- Optimizers ---


def largest(gradients: dict[str, Array], fraction: float) -> dict[str, Array]:
    """Where the ceil(fraction n) largest of n numbers are by absolute value; of equals the first (Gauss-Southwell)."""
    sizes = np.abs(np.concatenate([g.ravel() for g in gradients.values()]))
    chosen = np.zeros(len(sizes), bool)
    chosen[np.argsort(-sizes, kind="stable")[: math.ceil(fraction * len(sizes))]] = True
    parts = np.split(chosen, np.cumsum([g.size for g in gradients.values()])[:-1])
    return {name: part.reshape(g.shape) for (name, g), part in zip(gradients.items(), parts, strict=True)}


def equal_effect(net: ReferenceNetwork, x: Array, y: Array, loss: str, optimizer: Optimizer) -> dict[str, float]:
    """Rates by layer at which, to first order, each layer's turn moves the output equally far."""
    effects = {}
    for path in [leaf.path for leaf in net.chain.leaves() if leaf.parameters]:
        tried, mover = copy.deepcopy(net), copy.deepcopy(optimizer)
        output = tried.forward(x)
        tried.backward(mean_loss(loss, output, y)[1])
        own = {name: values for name, values in tried.parameters.items() if name.rpartition(".")[0] == path}
        old = {name: values.copy() for name, values in own.items()}
        mover.lr, mover.t, mover.own_rates = 1.0, mover.t + 1, net.own_rates
        mover.move(own, {name: tried.gradients[name] for name in own})
        way = math.sqrt(sum(float(((own[name] - old[name]) ** 2).sum()) for name in own))
        if way == 0:
            continue
        short = 0.01 * math.sqrt(sum(float((values**2).sum()) for values in old.values())) / way
        moved = copy.deepcopy(net)
        moved.set_parameters({name: old[name] + short * (own[name] - old[name]) for name in own})
        effects[path] = float(np.linalg.norm(moved.forward(x) - output)) / short
    mean = math.exp(sum(map(math.log, effects.values())) / len(effects))
    return {path: mean / effect for path, effect in effects.items()}


class Optimizer:
    """Clips the gradient, decays the weights, and goes against the `direction` that each rule makes of the gradient.

    Decay acts on the matrices of weights alone, not on vectors, scales and frequencies. It is either part of the
    gradient (L2) or, decoupled, a shrinking of its own. A zero switches decay or clipping off. `fraction` is the share
    that moves, of each layer or of the network; `rates` are factors of the learning rate by layer, where 0 leaves the
    layer out of everything, and `own_rates` those that layers bring along.
    """

    def __init__(
        self,
        lr: float,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_value: float = 0.0,
        clip_norm: float = 0.0,
        fraction: float = 1.0,
        fraction_of: str = "layer",
    ) -> None:
        self.lr, self.weight_decay, self.decoupled = lr, weight_decay, decoupled
        self.clip_value, self.clip_norm = clip_value, clip_norm
        self.fraction, self.fraction_of = fraction, fraction_of
        self.rates: dict[str, float] = {}
        self.own_rates: dict[str, float] = {}
        self.t = 0  # steps taken
        self.memory: dict[tuple[str, str], Array] = {}

    def step(self, parameters: dict[str, Array], gradients: dict[str, Array]) -> None:
        """Change the parameters in place."""
        self.t += 1
        self.move(parameters, gradients)

    def chosen(self, gradients: dict[str, Array]) -> dict[str, Array]:
        """Which numbers move."""
        if self.fraction_of == "network":
            return largest(gradients, self.fraction)
        layers = dict.fromkeys(name.rpartition(".")[0] for name in gradients)
        groups = [{name: g for name, g in gradients.items() if name.rpartition(".")[0] == layer} for layer in layers]
        return {name: where for group in groups for name, where in largest(group, self.fraction).items()}

    def move(self, parameters: dict[str, Array], gradients: dict[str, Array]) -> None:
        """Change these parameters as a part of step t."""
        layers = {name: name.rpartition(".")[0] for name in parameters}
        rates = {name: self.rates.get(at, 1.0) * self.own_rates.get(at, 1.0) for name, at in layers.items()}
        gradients = {name: gradients[name] for name, rate in rates.items() if rate}
        if not gradients:
            return
        where = self.chosen(gradients)
        scale = 1.0
        if self.clip_norm > 0:
            norm = math.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients.values()))
            scale = min(1.0, self.clip_norm / norm) if norm > 0 else 1.0
        for name in gradients:
            w, lr = parameters[name], self.lr * rates[name]
            stays, before = ~where[name], w.copy()
            memory = {key: values.copy() for key, values in self.memory.items() if key[1] == name}
            g = scale * gradients[name]
            if self.clip_value > 0:
                g = np.clip(g, -self.clip_value, self.clip_value)
            decay = self.weight_decay if w.ndim == 2 and not name.endswith(("frequency", "scale")) else 0.0
            if self.decoupled:
                w *= 1 - lr * decay
            else:
                g = g + decay * w
            w -= lr * self.direction(name, g)
            np.copyto(w, before, where=stays)
            for key, values in self.memory.items():
                if key[1] == name:
                    np.copyto(values, memory.get(key, 0), where=stays)

    def recall(self, kind: str, name: str, g: Array) -> Array:
        """What the rule remembers of this parameter: zeros at first."""
        return self.memory.setdefault((kind, name), np.zeros_like(g))

    def direction(self, name: str, g: Array) -> Array:
        """The step to take, before the learning rate."""
        raise NotImplementedError


class SGD(Optimizer):
    """Gradient descent, with momentum as PyTorch defines it: v = momentum v + g."""

    def __init__(self, lr: float, momentum: float = 0.0, nesterov: bool = False, **shared: Any) -> None:
        super().__init__(lr, **shared)
        self.momentum, self.nesterov = momentum, nesterov

    def direction(self, name: str, g: Array) -> Array:
        v = self.recall("momentum", name, g)
        v[...] = self.momentum * v + g
        return g + self.momentum * v if self.nesterov else v


class Adam(Optimizer):
    """Adam, algorithm 1 of Kingma and Ba (2015). AdamW is this with decoupled decay."""

    def __init__(self, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, **shared: Any) -> None:
        super().__init__(lr, **shared)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def direction(self, name: str, g: Array) -> Array:
        m = self.recall("mean", name, g)
        v = self.recall("mean square", name, g)
        m[...] = self.beta1 * m + (1 - self.beta1) * g
        v[...] = self.beta2 * v + (1 - self.beta2) * g * g
        unbiased_m = m / (1 - self.beta1**self.t)
        unbiased_v = v / (1 - self.beta2**self.t)
        return unbiased_m / (np.sqrt(unbiased_v) + self.eps)


class RMSprop(Optimizer):
    """RMSprop as PyTorch defines it: eps outside the root, momentum before the learning rate."""

    def __init__(self, lr: float, beta2: float = 0.99, eps: float = 1e-8, momentum: float = 0.0, **shared: Any) -> None:
        super().__init__(lr, **shared)
        self.beta2, self.eps, self.momentum = beta2, eps, momentum

    def direction(self, name: str, g: Array) -> Array:
        v = self.recall("mean square", name, g)
        b = self.recall("momentum", name, g)
        v[...] = self.beta2 * v + (1 - self.beta2) * g * g
        b[...] = self.momentum * b + g / (np.sqrt(v) + self.eps)
        return b


# --- Random numbers: Philox4x32-10 (Salmon and others, 2011) turns a counter and a key into four 32-bit words ---


def philox(counter: Sequence[Any], key: tuple[int, int]) -> list[Array]:
    """The four words at each counter; its four words may be arrays that broadcast."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = key
    for _ in range(10):
        product0 = np.uint64(0xD2511F53) * c0  # of two 32-bit words: no overflow
        product1 = np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (product1 >> half) ^ c1 ^ np.uint64(k0),
            product1 & low,
            (product0 >> half) ^ c3 ^ np.uint64(k1),
            product0 & low,
        )
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [c0, c1, c2, c3]


def dropout_mask(shape: tuple[int, int], p: float, seed: int, step: int, layer: int) -> Array:
    """0 with probability p, else 1 / (1 - p), in float64.

    Element (r, c) draws word c % 4 at counter (c // 4, r, step, layer) with the seed as key.
    """
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    words = philox((columns // 4, rows, step, layer), (seed % 2**32, seed >> 32))
    word = np.choose(columns % 4, words)
    return np.where(word >= p * 2.0**32, 1 / (1 - p), 0.0)


# --- The layout in memory: `panel` neighboring columns stand together, row after row ---


class Random:
    """Philox's numbers one after the other, as the core draws them: key, stream and number make the counter."""

    def __init__(self, seed: int, stream: int, number: int) -> None:
        self.words: list[int] = []
        self.key, self.counter = (seed & 0xFFFFFFFF, seed >> 32), [0, 0, number, stream]

    def bits(self) -> int:
        if not self.words:
            self.words = [int(word) for word in philox(self.counter, self.key)]
            self.counter[0] += 1
        return self.words.pop(0)

    def uniform(self) -> float:
        high, low = self.bits() >> 6, self.bits() >> 6
        return ((high << 26 | low) + 0.5) * 2.0**-52

    def normal(self) -> float:
        """Box and Muller."""
        radius = math.sqrt(-2 * math.log(self.uniform()))
        return radius * math.cos(2 * math.pi * self.uniform())

    def below(self, bound: int) -> int:
        """Lemire's; a bound far below 2**32, for which no draw is thrown away."""
        return self.bits() * bound >> 32

    def log_gamma(self, shape: float) -> float:
        """Marsaglia and Tsang's for shape + 1, and their step down to shape."""
        d = shape + 1 - 1 / 3
        while True:
            x = self.normal()
            v = (1 + x / math.sqrt(9 * d)) ** 3
            if v > 0 and math.log(self.uniform()) < x * x / 2 + d - d * v + d * math.log(v):
                return math.log(d * v) + math.log(self.uniform()) / shape


def mixup(seed: int, step: int, alpha: float, rows: int) -> tuple[float, Array]:
    """The share of each row in its mixture, and which row the rest of it is."""
    random = Random(seed, 0xFFFFFFFD, step)
    a, b = random.log_gamma(alpha), random.log_gamma(alpha)
    partner = np.arange(rows)
    for i in range(rows, 1, -1):
        j = random.below(i)
        partner[[i - 1, j]] = partner[[j, i - 1]]
    return 1 / (1 + math.exp(min(b - a, 700))), partner


def place(rows: int, columns: int, panel: int, stride: int) -> Array:
    """Where each element of a matrix (rows, columns) lies: (rows, columns)."""
    r, c = np.arange(rows)[:, None], np.arange(columns)[None, :]
    return np.asarray(c // panel * stride + r * panel + c % panel)


def to_panels(matrix: Array, panel: int, stride: int | None = None, padding: float = 0.0, gap: float = 0.0) -> Array:
    """The flat memory of a matrix, up to the last panel's last row.

    `stride` is the distance from one panel to the next, rows * panel where they stand close; `padding` fills the unused
    columns of the last panel, `gap` what lies between panels.
    """
    rows, columns = matrix.shape
    stride = rows * panel if stride is None else stride
    used = place(rows, -(-columns // panel) * panel, panel, stride)
    flat = np.full(used.max(initial=-1) + 1, gap, matrix.dtype)
    flat[used] = padding
    flat[used[:, :columns]] = matrix
    return flat


def from_panels(flat: Array, rows: int, columns: int, panel: int, stride: int | None = None) -> Array:
    """The matrix (rows, columns) that `to_panels` laid out."""
    return np.asarray(flat[place(rows, columns, panel, rows * panel if stride is None else stride)])
