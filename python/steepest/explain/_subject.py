"""The subject of a page: a network, its rows, and the record of its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..descent import Recorder
from ..descent._parts import sample_rows, shapes_of, unflatten
from ..history import History
from ..layers import Dense, iter_nodes
from ..network import Network
from ._backprop_trace import Example
from ._chain import cost_of

SAMPLE = 500  # rows for what is computed again and again
_CANDIDATES = 200  # rows among which the example of the animation is sought

Rows = NDArray[np.float32]
Targets = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True)
class TrainingRecord:
    """The training that gave a network its weights.

    Attributes
    ----------
    history : History
        Its epochs.
    recorder : Recorder
        The recorder that watched it.
    kept_best : bool, default=False
        True where the weights are those of the best epoch, not of the last.
    """

    history: History
    recorder: Recorder
    kept_best: bool = False


@dataclass(frozen=True)
class Subject:
    """A network to explain.

    Attributes
    ----------
    key : str
        Prefix of its ids on the page.
    network : Network
        The network.
    loss : {"cross_entropy", "binary_cross_entropy", "mse"}
        Its cost.
    x : array of shape (n, n_in)
        Rows as the network takes them: those it was trained on, or for a model from a file those of the table.
    y : array of shape (n,) or (n, n_out)
        Their targets as `Trainer` takes them.
    inputs, outputs : sequences of str
        Names of the n_in inputs and the n_out outputs.
    columns : sequence of (str, int), default=()
        The columns of the table: the name of each, and the number of inputs that it became; empty where the inputs come
        from no table.
    training : TrainingRecord or None, default=None
        Its training; None for a network that was read from a file.
    figures : sequence of (str, str), default=()
        Names and values of measurements on rows that it has never seen.
    """

    key: str
    network: Network
    loss: str
    x: Rows
    y: Targets
    inputs: Sequence[str]
    outputs: Sequence[str]
    columns: Sequence[tuple[str, int]] = ()
    training: TrainingRecord | None = None
    figures: Sequence[tuple[str, str]] = ()

    @property
    def start(self) -> Network:
        """The network before training; as it is, where its training is unknown."""
        return self.at(0) if self.training else self.network

    def at(self, place: int) -> Network:
        """Return the network with the weights of one point, by its index, of the recorded path."""
        assert self.training
        copy = self.network.copy()
        copy.set_parameters(unflatten(self.training.recorder.path[place], shapes_of(copy)))
        return copy

    def sample(self, most: int = SAMPLE) -> tuple[Rows, Targets]:
        """Return at most so many rows and their targets, the same at every call."""
        chosen = sample_rows(len(self.x), most)
        return self.x[chosen], self.y[chosen]

    def layer_titles(self) -> dict[str, str]:
        """Return the titles of the layers that learn, by their names, from input to output."""
        parameters = {name.rpartition(".")[0] for name in self.network.parameters}
        nodes = [node for node in iter_nodes(self.network.layers, self.network.n_in) if node.name in parameters]
        titles = {}
        for i, node in enumerate(nodes, start=1):
            kind = "" if isinstance(node.layer, Dense) else f" ({type(node.layer).__name__})"
            titles[node.name] = "output layer" if i == len(nodes) else f"layer {i}{kind}"
        return titles

    def example(self) -> Example:
        """Return a row for the animation: before training one of the upper quartile of costs, else the costliest."""
        network = self.start
        x, y = self.sample(_CANDIDATES)
        outputs = network.predict(x).astype(np.float64)
        costs = np.array([cost_of(self.loss, output, self._target(t))[0] for output, t in zip(outputs, y, strict=True)])
        order = np.argsort(costs, kind="stable")
        row = int(order[3 * len(order) // 4] if self.training else order[-1])
        return Example(network, self.loss, x[row].astype(np.float64), self._target(y[row]), self.inputs, self.outputs)

    def _target(self, y: object) -> NDArray[np.float64]:
        """Return the target of one row as `cost_of` takes it, (n_out,)."""
        target = np.asarray(y)
        if self.loss == "cross_entropy" and target.ndim == 0:  # a class by its number, not the shares of all classes
            shares = np.zeros(self.network.n_out)
            shares[int(target)] = 1
            return shares
        return np.atleast_1d(target.astype(np.float64))
