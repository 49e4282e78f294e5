"""The evidence of a diagnosis: data, outputs, the course of the cost, and the records of a recorder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._core import DivergedError
from ...layers import Node, iter_nodes
from ...network import Network
from .._cost import Cost, InferenceTwin, length, rms
from .._parts import LayerOutputs, names_by_layer, sample_rows, tensors_of
from .._recorder import LayerRecord, Recorder, activation_of, unit_shares

ROWS = 4096  # to look at: shares are then known to about 2%
PER_OUTPUT = ("mse", "mae", "huber", "quantile")  # losses of quantities, of each output by itself


@dataclass(frozen=True)
class Finding:
    """One thing that a diagnosis found.

    Attributes
    ----------
    code : str
        The kind of finding, such as "dead_units".
    severity : {"error", "warning"}
        "error" where the network cannot learn, or must not be trusted; "warning" where it learns worse than it could.
    message : str
        The observation, with its figures.
    advice : str
        The remedy.
    layer : str or None
        The layer's name, where the finding is about one.
    figures : dict of str to float
        The figures, by name; NaN where one is not known.
    rank : int
        Its place among findings: causes have a lower one than what they bring about.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(2, [st.Dense(8, "tanh"), st.Dense(1)], seed=0)
    >>> finding = st.descent.diagnose(net, [[0, 1000], [1, 3000], [0, -2000], [1, 500]], [0, 1, 0, 1], "mse")[0]
    >>> finding.code, finding.severity
    ('loss_misfit', 'warning')
    """

    code: str
    severity: str
    message: str
    advice: str
    rank: int
    layer: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return code, message and advice."""
        return f"{self.severity}: {self.code}: {self.message} {self.advice}"


class Moment(NamedTuple):
    """A layer before the training, where that was recorded, and now."""

    first: LayerRecord | None
    last: LayerRecord


class Evidence:
    """All that the checks look at; costly parts are computed when first asked for.

    Parameters
    ----------
    network : Network
        The network as it is now.
    cost : Cost
        The cost it was trained by.
    x, y : arrays of shape (n, n_in) and (n,) or (n, n_out)
        Rows and targets, of which at most `ROWS` are looked at.
    history : mapping of str to array of shape (epochs,)
        Of its training; empty if unknown. Its "epoch", if it has one, are their numbers, else 0, 1, 2 and so on.
    recorder : Recorder or None
        Of its training.
    moved_on : bool, default=False
        Whether the network has other weights than at the end of that history.
    """

    def __init__(
        self,
        network: Network,
        cost: Cost,
        x: NDArray[Any],
        y: NDArray[Any],
        history: Mapping[str, NDArray[np.float64]],
        recorder: Recorder | None,
        moved_on: bool = False,
    ) -> None:
        chosen = sample_rows(len(x), ROWS)
        self.network, self.cost, self.history, self.recorder = network, cost, history, recorder
        self.moved_on = moved_on
        self.x = np.asarray(x[chosen], np.float64)
        self.y = np.asarray(y)[chosen]
        self.nodes: list[Node] = list(iter_nodes(network.layers, network.n_in))
        self.finite = network._core.is_finite()

    @cached_property
    def outputs(self) -> NDArray[np.float64]:
        """Outputs at inference, (n, n_out)."""
        return self.network.predict(self.x).astype(np.float64)

    @cached_property
    def targets(self) -> NDArray[np.float64]:
        """The targets, (n, n_out); rows of probabilities for classes."""
        if self.cost.loss == "cross_entropy" and self.y.ndim == 1:
            return np.asarray(self.y[:, None] == np.arange(self.network.n_out), np.float64)
        return np.asarray(self.y, np.float64).reshape(len(self.y), -1)

    @cached_property
    def labels(self) -> NDArray[np.intp] | None:
        """The true class of each row, (n,); None where there are no classes."""
        if self.cost.loss == "cross_entropy":
            return np.asarray(self.targets.argmax(axis=1), np.intp)
        if self.cost.loss == "binary_cross_entropy" and self.network.n_out == 1:
            return np.asarray(self.targets[:, 0] > 0.5, np.intp)
        return None

    @cached_property
    def predicted_labels(self) -> NDArray[np.intp] | None:
        """The predicted class of each row, (n,); None where there are no classes."""
        if self.labels is None:
            return None
        if self.network.n_out > 1:
            return np.asarray(self.outputs.argmax(axis=1), np.intp)
        return np.asarray(self.outputs[:, 0] > 0, np.intp)

    @cached_property
    def baseline(self) -> float:
        """The cost of the best constant output."""
        t, loss = self.targets, self.cost.loss
        if loss in PER_OUTPUT:
            share = self.cost.quantile if loss == "quantile" else 0.5
            best = t.mean(axis=0) if loss == "mse" else np.quantile(t, share, axis=0)
        else:
            best = self._outputs_for(t.mean(axis=0))
        return self._cost_of(np.tile(best, (len(t), 1)))

    @cached_property
    def floor(self) -> float:
        """The cost of outputs that are the targets: zero, but for rates and shares."""
        return 0.0 if self.cost.loss in PER_OUTPUT else self._cost_of(self._outputs_for(self.targets))

    @cached_property
    def course(self) -> NDArray[np.float64]:
        """The cost of each epoch, (epochs,): 1 is the best constant output, 0 perfect outputs. Empty if unknown."""
        loss = np.asarray(self.history.get("loss", ()), np.float64)
        span = self.baseline - self.floor
        return (loss - self.floor) / span if span > 0 else np.empty(0)

    @cached_property
    def epochs(self) -> NDArray[np.int64]:
        """The numbers of the epochs of the history, (epochs,)."""
        return np.asarray(self.history.get("epoch", np.arange(len(self.history.get("loss", ())))), np.int64)

    @cached_property
    def moments(self) -> dict[str, Moment]:
        """First record and present state of each layer by name; a residual block follows its layers."""
        records = self.recorder.records if self.recorder else []
        first = {record.layer: record for record in records if record.epoch == 0}
        return {record.layer: Moment(first.get(record.layer), record) for record in self._records_now()}

    def series(self, what: str, layer: str) -> NDArray[np.float64]:
        """Return a number of a layer at each moment of the recorder; without one, that of now alone, (1,)."""
        if self.recorder is not None and self.recorder.records:
            return self.recorder.series(what, layer)
        return np.array([getattr(self.moments[layer].last, what)])

    def _outputs_for(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the outputs, logits or log rates, whose probabilities or rates are `means`, held within -50 to 50."""
        with np.errstate(divide="ignore"):
            log = np.log(means)
            if self.cost.loss == "binary_cross_entropy":
                log = log - np.log1p(-means)
        return np.clip(log, -50.0, 50.0)

    def _cost_of(self, outputs: NDArray[Any]) -> float:
        return self.cost.of_outputs(self.network.n_out).evaluate(outputs, self.y, metrics=[])["loss"]

    def _records_now(self) -> list[LayerRecord]:
        tensors, records = tensors_of(self.network), []
        try:
            gradients = InferenceTwin(self.network).gradients(self.cost, self.x, self.y)[1]
        except DivergedError:  # a cost beyond float64
            gradients = {name: np.full(value.shape, np.nan) for name, value in self.network.parameters.items()}
        groups = names_by_layer(list(gradients))
        for name, layer, output in LayerOutputs(self.network).outputs(self.x):
            activation, own = activation_of(layer), groups.get(name, [])
            g, w = (length(*(of[key] for key in own)) if own else np.nan for of in (gradients, tensors))
            numbers = (g, w, np.nan, *unit_shares(activation, output), rms(output), None, None)
            records.append(LayerRecord(-1, name, type(layer).__name__, activation, *numbers))
        return records
