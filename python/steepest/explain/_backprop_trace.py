"""One row's walk forward and back, and the step that follows: everything that the animation shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..network import Network
from ._chain import Array, Stage, cost_of, stepped, trace

MOST_UNITS = 3  # of a layer that are drawn
MOST_LAYERS = 5

_SHARE = 1 / 3  # of the cost that the step ought to take away, if the slopes stayed as they are


@dataclass(frozen=True)
class Task:
    """What is to be shown.

    Attributes
    ----------
    network : Network
        A chain of dense layers, before the step.
    loss : str
        The cost's name.
    row, target : arrays of shape (n_in,), (n_out,)
        The row, and its truth as `cost_of` wants it.
    inputs, outputs : sequences of str
        What inputs and outputs are called.
    """

    network: Network
    loss: str
    row: Array
    target: Array
    inputs: Sequence[str]
    outputs: Sequence[str]


@dataclass(frozen=True)
class Column:
    """The units of a layer, of which some are drawn.

    Attributes
    ----------
    title : str
        What the layer is called.
    names : sequence of str
        What its units are called.
    shown : list of int
        Those to draw: with the most say in what comes back.
    values, blame : arrays of shape (n,)
        Their values, and the derivative of the cost by each.
    after : array of shape (n,)
        Their values after the step.
    """

    title: str
    names: Sequence[str]
    shown: list[int]
    values: Array
    blame: Array
    after: Array

    @property
    def strongest(self) -> int:
        """The unit along which the cost is steepest, of those shown."""
        return self.shown[int(np.abs(self.blame[self.shown]).argmax())]


@dataclass(frozen=True)
class Walk:
    """A walk done.

    Attributes
    ----------
    task : Task
        What was asked for.
    stages : sequence of Stage
        The layers, from input to output.
    columns : sequence of Column
        Input, and the output of each stage.
    rate : float
        By which every weight was turned against its slope in the end.
    outputs : (array, array)
        What the network says, before and after the step.
    costs : (float, float)
        What that costs.
    """

    task: Task
    stages: Sequence[Stage]
    columns: Sequence[Column]
    rate: float
    outputs: tuple[Array, Array]
    costs: tuple[float, float]


def walk(task: Task) -> Walk:
    """Go forward, back, and take a step after which the row costs less, if there is one."""
    stages, output = trace(task.network, task.row, lambda y: cost_of(task.loss, y, task.target)[1])
    cost = cost_of(task.loss, output, task.target)[0]
    steepness = sum(float(np.sum(s.gradient**2) + np.sum(s.blame**2)) for s in stages)
    rate = min(_SHARE * cost / steepness, 1.0) if steepness else 1.0
    for _ in range(20):
        rate = float(f"{rate:.1g}")
        again, after = trace(stepped(task.network, stages, rate), task.row, np.zeros_like)
        cost_after = cost_of(task.loss, after, task.target)[0]
        if cost_after < cost:
            break
        rate /= 4
    return Walk(task, stages, _columns(task, stages, again), rate, (output, after), (cost, cost_after))


def _columns(task: Task, stages: Sequence[Stage], again: Sequence[Stage]) -> list[Column]:
    first, end = stages[0], stages[-1]
    say = np.abs(first.gradient).sum(axis=1)
    columns = [_column("Input", task.inputs, first.before, first.blame_in, say, first.before)]
    for i, (stage, following) in enumerate(pairwise(stages), start=1):
        names = [f"unit {k + 1}" for k in range(len(stage.values))]
        say = np.abs(following.gradient).sum(axis=1) + np.abs(stage.blame)
        columns.append(_column(f"Layer {i}", names, stage.values, stage.blame, say, again[i - 1].values))
    columns.append(_column("Output", task.outputs, end.values, end.blame, np.abs(end.blame), again[-1].values))
    return columns


def _column(title: str, names: Sequence[str], values: Array, blame: Array, say: Array, after: Array) -> Column:
    shown = np.sort(np.argsort(-say, kind="stable")[:MOST_UNITS]).tolist()
    return Column(title, names, shown, values, blame, after)
