"""The cost of a network on some rows, and its gradient: the one way that everything here measures them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from threading import Thread
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import as_array
from .._validation import choice
from ..layers import Activation, BatchNorm, Dense, Dropout, Layer, Residual, iter_nodes
from ..losses import CustomLoss
from ..network import Network
from ..optimizers import SGD
from ..training import LOSSES, Trainer
from ._parts import Array, Tensors, flatten, number_layers, shapes_of, unflatten, without_init

CHUNK = 4096  # rows in a pass, so that a gradient over many rows needs no more memory than this
FEWEST = 16  # rows in a pass of a large network
_TURN = 0.05  # seconds
WORK = 2**27  # rows times parameters in a pass: some hundredths of a second, and Ctrl-C is heard between two

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cost:
    """A loss with its constants.

    Attributes
    ----------
    loss : str or CustomLoss
        One of `steepest.training.LOSSES`, or a function of the user's own.
    quantile : float, default=0.5
        Of the loss "quantile".
    delta : float, default=1.0
        Of the loss "huber".
    """

    loss: str | CustomLoss
    quantile: float = 0.5
    delta: float = 1.0

    @classmethod
    def of(cls, loss: object) -> Cost:
        """Return the cost that a name, a function or a trainer stands for; a ValueError if it is none of these."""
        if isinstance(loss, Trainer):
            return cls(loss._custom_loss or choice("loss", loss.loss, LOSSES), loss.quantile, loss.delta)
        if isinstance(loss, cls):
            return loss
        return cls(CustomLoss(loss) if callable(loss) else choice("loss", loss, LOSSES))

    def trainer(self, network: Network) -> Trainer:
        """Return a trainer by this loss whose steps leave the weights as they are."""
        loss: Any = self.loss  # a CustomLoss too, which is no part of the public signature
        return Trainer(network, loss, SGD(0.0), quantile=self.quantile, delta=self.delta)

    def __call__(self, network: Network, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean loss in inference mode, as `Trainer.evaluate` does."""
        return self.trainer(network).evaluate(x, y, sample_weight, metrics=[])["loss"]

    def of_outputs(self, n_out: int) -> Trainer:
        """Return a trainer whose `evaluate` takes outputs, (n, n_out), in place of rows."""
        return self.trainer(Network(n_out, [Activation("identity")], dtype="float64"))


def batch_gradient(
    trainer: Trainer, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[float, Array]:
    """Return the mean loss of one batch in training mode, and its derivative by all parameters.

    Parameters
    ----------
    trainer : Trainer
        A trainer none of whose layers is frozen; its weights stay as they are.
    x, y : arrays
        The batch and its targets, as for `Trainer.step`.
    sample_weight : array of shape (n,) or None
        Weights of the rows, >= 0.

    Returns
    -------
    loss : float
        The batch's mean loss.
    gradient : array of shape (n_parameters,)
        In the order of `Network.parameters` and the network's dtype; not finite where it overflows.
    """

    def differentiate() -> tuple[float, Array]:
        loss = trainer._core.differentiate(x, y, sample_weight)
        return loss, trainer._core.mean_gradient()

    return interruptible(trainer, differentiate, x)


def interruptible(trainer: Trainer, function: Callable[[], Result], x: ArrayLike) -> Result:
    """Run a pass of a trainer over one batch, and hear Ctrl-C while it computes.

    A pass in training mode cannot stop in the middle. So one that takes long runs in a thread of its own, which is left
    to come to its end: network and trainer must be copies that nobody else looks at. A loss of the user's own is asked
    in the caller's thread.

    Parameters
    ----------
    trainer : Trainer
        The trainer.
    function : callable
        The pass, without arguments.
    x : array of shape (n, n_in)
        The batch.
    """
    shape = getattr(x, "shape", ()) or (len(x) if isinstance(x, (list, tuple)) else 0,)
    if shape[0] * trainer.network.n_parameters <= WORK or trainer._custom_loss:
        return function()
    found: Future[Result] = Future()

    def run() -> None:
        try:
            found.set_result(function())
        except BaseException as error:
            found.set_exception(error)

    Thread(target=run, daemon=True).start()
    while not found.done():  # in short turns: Ctrl-C may have to wait for the end of one
        wait([found], timeout=_TURN)
    return found.result()


class InferenceTwin:
    """A network that computes in training mode, and so with a gradient, what another one does at inference.

    Dropout is left out, and batch normalization, which is a fixed scale and shift at inference, becomes a dense layer
    with a diagonal matrix. Names of layers stay. No layer of the twin is frozen, though one of the original may be.

    Parameters
    ----------
    network : Network
        The original; each call takes the weights that it has then.
    dtype : {"float64", "float32"}, default="float64"
        What the twin computes in.
    """

    def __init__(self, network: Network, dtype: str = "float64") -> None:
        self._original = network
        self._fixed: dict[str, BatchNorm] = {}
        layers = self._layers(network.layers, network.n_in, "")
        self._network = Network(network.n_in, layers, dtype=dtype)
        self._size = self._network.n_parameters or 1
        self._shapes = shapes_of(self._network)
        self._trainers: dict[Cost, Trainer] = {}

    def gradients(
        self, cost: Cost, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, Tensors]:
        """Return the original's cost at inference, and its derivative by each of the parameters, in float64.

        Raises
        ------
        ValueError
            If a shape does not fit the network, a value is no number or no target of this loss, there are no rows, or
            all weights of rows are zero.
        DivergedError
            If the cost is not finite.
        """
        x, y = as_array("x", x), as_array("y", y)
        n = len(x) if x.ndim else 0
        weight = np.ones(n) if sample_weight is None else as_array("sample_weight", sample_weight)
        if cost not in self._trainers:
            self._trainers[cost] = cost.trainer(self._network)
        trainer = self._trainers[cost]
        trainer._core.check(x, y, weight, "")
        # A user's function may compare rows with each other, so it is asked about all of them at once, as by
        # `evaluate`; and it may give one number for them where they have no weights.
        custom = isinstance(cost.loss, CustomLoss)
        chunk = n if custom else max(FEWEST, min(CHUNK, WORK // self._size))
        state, normalizers = self._inference_weights()
        self._network._core.restore(state)
        whole, total = float(weight.sum(dtype=np.float64)), 0.0
        gradient = np.zeros(self._network.n_parameters)
        for first in range(0, n, chunk):
            rows = slice(first, first + chunk)
            share = float(weight[rows].sum(dtype=np.float64)) / whole
            if not share:
                continue
            shares = None if custom and sample_weight is None else weight[rows]
            loss, part = batch_gradient(trainer, x[rows], y[rows], shares)
            total += share * loss
            with np.errstate(invalid="ignore"):  # gradients may overflow where the cost does not
                gradient += share * part.astype(np.float64, copy=False)
        found = unflatten(gradient, self._shapes)
        # A normalization is (x - mean) * scale * weight + bias; its twin x @ diag(scale * weight) + another bias, whose
        # derivative is that by `bias`. By the chain rule, the one by `weight` is:
        for name, (scale, mean) in normalizers.items():
            found[f"{name}.weight"] = scale * (np.diagonal(found[f"{name}.weight"]) - mean * found[f"{name}.bias"])
        return total, found

    def _inference_weights(self) -> tuple[Array, dict[str, tuple[Array, Array]]]:
        """Return the twin's weights for those of the moment, and scale and mean of each batch normalization."""
        if not self._fixed:
            return self._original._core.state().astype(self._network.dtype, copy=False), {}
        buffers = self._original.buffers
        tensors = self._original.parameters | buffers
        normalizers = {}
        for name, layer in self._fixed.items():
            weight, bias = (tensors[f"{name}.{key}"].astype(np.float64) for key in ("weight", "bias"))
            mean, variance = (buffers[f"{name}.running_{key}"].astype(np.float64) for key in ("mean", "var"))
            scale = 1 / np.sqrt(variance + layer.eps)
            normalizers[name] = scale, mean
            tensors[f"{name}.weight"] = np.diag(weight * scale)
            tensors[f"{name}.bias"] = bias - weight * scale * mean
        own = (
            f"{name}.{key}"
            for name, layer, n_in, _ in iter_nodes(self._network.layers, self._network.n_in)
            for key in (*layer.parameter_shapes(n_in), *layer.buffer_shapes(n_in))
        )
        return flatten({name: tensors[name] for name in own}, self._network.dtype), normalizers

    def _layers(self, layers: Sequence[Layer], n: int, prefix: str) -> list[Layer]:
        """Return the twin's layers for the original's, which take n numbers a row; note the batch normalizations."""
        result: list[Layer] = []
        for name, layer in number_layers(layers, prefix):
            if isinstance(layer, BatchNorm):
                self._fixed[name] = layer
                result.append(Dense(n, init="zeros"))
            elif isinstance(layer, Dropout):
                result.append(Activation("identity"))
            elif isinstance(layer, Residual):
                result.append(Residual(self._layers(layer.layers, n, f"{name}.")))
            else:
                result.append(without_init(layer))
            n = layer.output_size(n)
        return result


def rms(values: NDArray[Any]) -> float:
    """Return the root of the mean square, in float64; 0 for no values."""
    return length(values) / math.sqrt(values.size or 1)


def length(*arrays: NDArray[Any]) -> float:
    """Return the Euclidean length of all numbers together, in float64."""
    with np.errstate(over="ignore"):
        squares = [np.add.reduce(np.square(values, dtype=np.float64), axis=None) for values in arrays]
        return math.sqrt(sum(squares))
