"""One row sent forward and back, and the step that follows: all that the animation shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..network import Network
from ._chain import Array, Stage, cost_of, propagate, take_step

MOST_UNITS = 3  # of a layer that are drawn

_SHARE = 1 / 3  # of the cost that the step ought to take away, if the slopes stayed as they are
_TRIES = 20  # of ever shorter steps


@dataclass(frozen=True)
class Example:
    """One row, and the network to send it through.

    Attributes
    ----------
    network : Network
        A chain of dense layers, before the step.
    loss : {"cross_entropy", "binary_cross_entropy", "mse"}
        The cost's name.
    row : array of shape (n_in,)
        The row.
    target : array of shape (n_out,)
        Its truth as `cost_of` wants it.
    inputs, outputs : sequences of str
        Names of the n_in inputs and the n_out outputs.
    titles : sequence of str, default=()
        Names of the layers, that of the outputs aside; empty counts them.
    """

    network: Network
    loss: str
    row: Array
    target: Array
    inputs: Sequence[str]
    outputs: Sequence[str]
    titles: Sequence[str] = ()


@dataclass(frozen=True)
class Column:
    """The units of a layer, of which some are drawn.

    Attributes
    ----------
    title : str
        Name of the layer.
    names : sequence of str
        Names of its n units.
    shown : list of int
        The units to draw: those with the most influence on what flows back, in order.
    values : array of shape (n,)
        Their values.
    gradients : array of shape (n,)
        Derivatives of the cost: by an input's value, else by a unit's sum before its activation.
    after : array of shape (n,)
        Their values after the step.
    """

    title: str
    names: Sequence[str]
    shown: list[int]
    values: Array
    gradients: Array
    after: Array

    @property
    def strongest(self) -> int:
        """The unit along which the cost is steepest, of those shown."""
        return self.shown[int(np.abs(self.gradients[self.shown]).argmax())]


@dataclass(frozen=True)
class BackpropTrace:
    """Every number of one row's way forward and back, and of the step that follows.

    Attributes
    ----------
    example : Example
        The row and its network.
    stages : sequence of Stage
        The layers, from input to output.
    columns : sequence of Column
        The inputs, and the units of each stage.
    rate : float
        The learning rate of the step.
    outputs : (array of shape (n_out,), array of shape (n_out,))
        The network's outputs before and after the step.
    costs : (float, float)
        The costs of these outputs.
    """

    example: Example
    stages: Sequence[Stage]
    columns: Sequence[Column]
    rate: float
    outputs: tuple[Array, Array]
    costs: tuple[float, float]


def trace_backprop(example: Example) -> BackpropTrace:
    """Send a row forward and back, and take a step after which it costs less, if there is one."""
    loss, target = example.loss, example.target
    stages, output = propagate(example.network, example.row, lambda y: cost_of(loss, y, target)[1])
    cost = cost_of(loss, output, target)[0]
    steepness = sum(float(np.sum(s.weight_gradient**2) + np.sum(s.sum_gradient**2)) for s in stages)
    rate = min(_SHARE * cost / steepness, 1.0) if steepness else 1.0
    for _ in range(_TRIES):
        rate = float(f"{rate:.1g}")
        stages_after, output_after = propagate(take_step(example.network, stages, rate), example.row, np.zeros_like)
        cost_after = cost_of(loss, output_after, target)[0]
        if cost_after < cost:
            break
        rate /= 4
    columns = _columns(example, stages, stages_after)
    return BackpropTrace(example, stages, columns, rate, (output, output_after), (cost, cost_after))


def _columns(example: Example, stages: Sequence[Stage], stages_after: Sequence[Stage]) -> list[Column]:
    first, end = stages[0], stages[-1]
    influence = np.abs(first.weight_gradient).sum(axis=1)
    columns = [_column("Input", example.inputs, first.before, first.input_gradient, influence, first.before)]
    titles = example.titles or [f"layer {i}" for i in range(1, len(stages))]
    for i, (stage, following) in enumerate(pairwise(stages), start=1):
        names = [f"unit {k + 1}" for k in range(len(stage.values))]
        influence = np.abs(following.weight_gradient).sum(axis=1) + np.abs(stage.sum_gradient)
        after = stages_after[i - 1].values
        columns.append(_column(titles[i - 1].capitalize(), names, stage.values, stage.sum_gradient, influence, after))
    influence, after = np.abs(end.sum_gradient), stages_after[-1].values
    columns.append(_column("Output", example.outputs, end.values, end.sum_gradient, influence, after))
    return columns


def _column(
    title: str, names: Sequence[str], values: Array, gradients: Array, influence: Array, after: Array
) -> Column:
    shown = np.sort(np.argsort(-influence, kind="stable")[:MOST_UNITS]).tolist()
    return Column(title, names, shown, values, gradients, after)
