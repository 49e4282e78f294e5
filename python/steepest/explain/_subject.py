"""What a page is about: a network, rows, and what was recorded while it learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..callbacks import History
from ..descent import Recorder
from ..descent._parts import sample_rows, shapes_of, unflatten
from ..layers import Dense, iter_nodes
from ..network import Network
from ._chain import cost_of
from ._walk import Task

SAMPLE = 500  # rows for what is computed again and again
_TRIED = 200  # rows among which the one for the animation is sought


@dataclass(frozen=True)
class Trained:
    """How a network came to its weights.

    Attributes
    ----------
    history : History
        The epochs.
    recorder : Recorder
        What it saw, of this very training.
    kept_best : bool
        Whether the weights are those of the best epoch, not of the last.
    """

    history: History
    recorder: Recorder
    kept_best: bool = False


@dataclass(frozen=True)
class Case:
    """A network to explain.

    Attributes
    ----------
    key : str
        Start of its ids on the page.
    network : Network
        It.
    loss : str
        The cost: "cross_entropy", "binary_cross_entropy" or "mse".
    x, y : arrays
        Rows and targets as `Trainer` wants them: those it was trained on, or for a model those of the table.
    inputs, outputs : sequences of str
        What its inputs and outputs are called.
    columns : sequence of (str, int)
        What the columns of a table are called that the inputs come from, and how many inputs each became; empty where
        the inputs are no table's.
    trained : Trained or None
        None for a network that was read from a file.
    figures : sequence of (str, str)
        Names and values of what was measured on rows that it has never seen.
    """

    key: str
    network: Network
    loss: str
    x: NDArray[np.float32]
    y: NDArray[np.float64] | NDArray[np.int64]
    inputs: Sequence[str]
    outputs: Sequence[str]
    columns: Sequence[tuple[str, int]] = ()
    trained: Trained | None = None
    figures: Sequence[tuple[str, str]] = ()

    @property
    def start(self) -> Network:
        """The network before training, or as it is."""
        return self.at(0) if self.trained else self.network

    def at(self, place: int) -> Network:
        """Return the network with the weights of one point of the recorded path."""
        assert self.trained
        copy = self.network.copy()
        copy.set_parameters(unflatten(self.trained.recorder.path[place], shapes_of(copy)))
        return copy

    def sample(self, most: int = SAMPLE) -> tuple[NDArray[np.float32], NDArray[np.float64] | NDArray[np.int64]]:
        """Return at most so many rows and their targets, always the same."""
        chosen = sample_rows(len(self.x), most)
        return self.x[chosen], self.y[chosen]

    def layer_titles(self) -> dict[str, str]:
        """Return what the layers that learn are called, by name, from input to output."""
        parameters = {name.rpartition(".")[0] for name in self.network.parameters}
        nodes = [node for node in iter_nodes(self.network.layers, self.network.n_in) if node.name in parameters]
        titles = {}
        for i, node in enumerate(nodes, start=1):
            kind = "" if isinstance(node.layer, Dense) else f" ({type(node.layer).__name__})"
            titles[node.name] = "output layer" if i == len(nodes) else f"layer {i}{kind}"
        return titles

    def task(self) -> Task:
        """Return a row's way for the animation: before training a costly one, else the costliest."""
        network = self.start
        x, y = self.sample(_TRIED)
        outputs = network.predict(x).astype(np.float64)
        costs = np.array([cost_of(self.loss, output, self._target(t))[0] for output, t in zip(outputs, y, strict=True)])
        order = np.argsort(costs, kind="stable")
        row = int(order[3 * len(order) // 4] if self.trained else order[-1])
        return Task(network, self.loss, x[row].astype(np.float64), self._target(y[row]), self.inputs, self.outputs)

    def _target(self, y: object) -> NDArray[np.float64]:
        if self.loss == "cross_entropy":
            return np.eye(self.network.n_out)[int(y)]  # type: ignore[call-overload]
        return np.atleast_1d(np.asarray(y, np.float64))
