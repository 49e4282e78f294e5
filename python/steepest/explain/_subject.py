"""The subject of a page: a network, its rows, and the record of its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..descent._cost import Cost
from ..descent._parts import float64_copy
from ..descent._recorder import kept_states, network_at
from ..descent.diagnosis.course import find_overfitting
from ..descent.diagnosis.evidence import Evidence
from ..embeddings import ColumnLayer
from ..layers import (
    CategoryEmbedding,
    Dense,
    Node,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    Residual,
    iter_nodes,
)
from ..network import Network
from ._backprop_trace import Example
from ._chain import Chain, cost_of, dense_chain
from ._course import SAMPLE, Rows, Targets, TrainingCourse, sample

_CANDIDATES = 200  # rows among which the example of the animation is sought


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
    training : TrainingCourse or None, default=None
        Its training, measured on the rows of `sample`; None for a network that was read from a file.
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
    training: TrainingCourse | None = None
    figures: Sequence[tuple[str, str]] = ()

    @property
    def start(self) -> Network:
        """The network before training; as it is, where its training is unknown."""
        return self.at(0) if self.training else self.network

    def at(self, moment: int) -> Network:
        """Return the network with the weights of one moment of its training, by its index."""
        assert self.training
        return network_at(self.network, kept_states(self.training.recorder)[moment][1])

    @cached_property
    def cost(self) -> float:
        """The cost of the network as it is, on the rows of `sample`."""
        return Cost.of(self.loss)(float64_copy(self.network), *self.sample())

    @cached_property
    def evidence(self) -> Evidence:
        """The evidence of a diagnosis: the network as it is, all of its rows, and the course that the page shows."""
        cost, course = Cost.of(self.loss), self.training
        if course is None:
            return Evidence(self.network, cost, self.x, self.y, {}, None)
        return Evidence(self.network, cost, self.x, self.y, course.history, course.recorder, not course.ends_kept)

    @cached_property
    def overfits(self) -> bool:
        """Whether its training went on to learn its rows by heart, whichever weights it has now."""
        return find_overfitting(self.evidence) is not None

    def sample(self, most: int = SAMPLE) -> tuple[Rows, Targets]:
        """Return at most so many rows and their targets, the same at every call."""
        return sample(self.x, self.y, most)

    def rows_text(self, most: int = SAMPLE) -> str:
        """Return in words which rows `sample` has."""
        n, whose = len(self.x), "that it trains on" if self.training else "of the table"
        return f"all {n:,} rows {whose}" if n <= most else f"{most:,} of the {n:,} rows {whose}"

    @cached_property
    def chain(self) -> Chain | str:
        """The network before its training, or as it is, as a chain of dense layers; or why it is none."""
        return dense_chain(self.start)

    def layer_titles(self) -> dict[str, str]:
        """Return the titles of the layers that learn, by their names, from input to output."""
        parameters = {name.rpartition(".")[0] for name in self.network.parameters}
        nodes = [node for node in iter_nodes(self.network.layers, self.network.n_in) if node.name in parameters]
        titles = {}
        for i, node in enumerate(nodes, start=1):
            kind = "" if isinstance(node.layer, Dense) else f" ({type(node.layer).__name__})"
            titles[node.name] = "output layer" if i == len(nodes) else f"layer {i}{kind}"
        return titles

    def layer_title(self, name: str) -> str:
        """Return the title of any layer, of one that learns nothing by the one before it."""
        titles, before = self.layer_titles(), "the inputs"
        for node in iter_nodes(self.network.layers, self.network.n_in):
            if node.name == name and name not in titles:
                return f"the {type(node.layer).__name__} after {before}"
            before = titles.get(node.name, before)
        return with_article(titles[name])

    def weight_title(self, name: str, index: tuple[int, ...]) -> str:
        """Return a weight's name in words: from where to where it leads."""
        layer, titles = name.rpartition(".")[0], self.layer_titles()
        if len(index) == 1 or name.endswith(".scale"):
            return f"scale of unit\u00a0{index[-1] + 1} in {with_article(titles[layer])}"
        start, end = index
        nodes = [
            node
            for node in iter_nodes(self.network.layers, self.network.n_in)
            if node.name in titles or isinstance(node.layer, ColumnLayer)
        ]
        place = next(i for i, node in enumerate(nodes) if node.name == layer)
        unit = f"unit\u00a0{end + 1} of {with_article(titles[layer])}"
        branches = any(isinstance(inner, Residual) for inner in self.network.layers)
        before: list[Node] | None = None if branches else nodes[:place]
        own = nodes[place].layer
        if isinstance(own, ColumnLayer):
            return self._embedding_title(own, nodes[place].n_in, start, unit, before)
        if before is None:
            return f"from input\u00a0{start + 1} to {unit}"
        is_last = not any(isinstance(node.layer, Dense) for node in nodes[place + 1 :])
        target = self.outputs[end] if is_last else unit
        return f"from {self._source(before, start)} to {target}".replace("layer ", "layer\u00a0")

    def _embedding_title(self, layer: ColumnLayer, n_in: int, row: int, unit: str, before: list[Node] | None) -> str:
        """Return in words where a weight of an embedding leads from: which feature of which number it takes."""
        j, feature = _feature_of_row(layer, row)
        column = layer.embedded(n_in)[j]
        of = f"input\u00a0{column + 1}" if before is None else self._source(before, column)
        return f"from {feature} of {of} to {unit}".replace("layer ", "layer\u00a0")

    def _source(self, before: list[Node], column: int) -> str:
        """Return in words where a column comes from, by the layers before it."""
        titles = self.layer_titles()
        for i, node in reversed([*enumerate(before)]):
            layer = node.layer
            if isinstance(layer, Dense):
                return f"unit\u00a0{column + 1} of {titles[node.name]}"
            if not isinstance(layer, ColumnLayer) or type(layer) not in _MADE:
                continue
            columns, stay = layer.embedded(node.n_in), node.n_in
            if isinstance(layer, CategoryEmbedding):
                stay -= len(columns)
            if column >= stay:
                j, number = divmod(column - stay, (node.n_out - stay) // len(columns))
                return f"{_MADE[type(layer)]}\u00a0{number + 1} of {self._source(before[:i], columns[j])}"
            if isinstance(layer, CategoryEmbedding):  # the others have moved up
                column = [c for c in range(node.n_in) if c not in columns][column]
        return self.inputs[column]

    def example(self) -> Example:
        """Return a row for the animation: before training one of the upper quartile of costs, else the costliest."""
        network = self.start
        x, y = self.sample(_CANDIDATES)
        outputs = network.predict(x).astype(np.float64)
        costs = np.array([cost_of(self.loss, output, self._target(t))[0] for output, t in zip(outputs, y, strict=True)])
        order = np.argsort(costs, kind="stable")
        row = int(order[3 * len(order) // 4] if self.training else order[-1])
        chain, titles = self.chain, self.layer_titles()
        assert isinstance(chain, Chain)
        values, inputs = x[row].astype(np.float64), self.inputs
        if chain.front is not None:
            values = chain.front.predict(values[None])[0]
            nodes = list(iter_nodes(network.layers[: len(chain.front.layers)], network.n_in))
            inputs = [self._source(nodes, column) for column in range(len(values))]
        return Example(
            chain.network, self.loss, values, self._target(y[row]), inputs, self.outputs,
            [titles[name] for name in chain.names[:-1]],
        )  # fmt: skip

    def _target(self, y: object) -> NDArray[np.float64]:
        """Return the target of one row as `cost_of` takes it, (n_out,)."""
        target = np.asarray(y)
        if self.loss == "cross_entropy" and target.ndim == 0:  # a class by its number, not the shares of all classes
            shares = np.zeros(self.network.n_out)
            shares[int(target)] = 1
            return shares
        return np.atleast_1d(target.astype(np.float64))


_MADE: dict[type[ColumnLayer], str] = {
    PeriodicEmbedding: "periodic number",
    PiecewiseLinearEmbedding: "binned number",
    CategoryEmbedding: "number",
}


def _feature_of_row(layer: ColumnLayer, row: int) -> tuple[int, str]:
    """Return which of the embedded columns a row of an embedding's weight belongs to, and its feature in words."""
    if isinstance(layer, PeriodicEmbedding):
        j, feature = divmod(row, 2 * layer.n_frequencies + 1)
        kind, frequency = divmod(feature, layer.n_frequencies)
        return j, "the bias" if kind == 2 else f"{('cosine', 'sine')[kind]}\u00a0{frequency + 1}"
    if isinstance(layer, CategoryEmbedding):
        for j, n in enumerate(layer.labels_of()):
            if row < n + 2:
                return j, f"label\u00a0{row}" if row < n else ("missing labels", "labels never seen")[row - n]
            row -= n + 2
    assert isinstance(layer, PiecewiseLinearEmbedding)
    j, feature = divmod(row, layer.n_bins + 1)
    return j, "the bias" if feature == layer.n_bins else f"bin\u00a0{feature + 1}"


def with_article(title: str) -> str:
    """Return a layer's title as it stands in a sentence."""
    return f"the {title}" if title.startswith("output") else title
