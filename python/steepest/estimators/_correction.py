"""Networks and their trainers, corrected for a change of what stands before and behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..layers import PiecewiseLinear
from ..network import Network, dense_names
from ..tables._running import Change
from ..training import Trainer

Tensors = dict[str, NDArray[Any]]

_LOSS_POWER = {"mse": 2, "mae": 1, "huber": 1, "quantile": 1, "poisson": 1}  # of the targets' unit in a loss


class _Ends(NamedTuple):
    """The features, those of them that are embedded, and the first and last dense layers: all that is corrected."""

    n_in: int
    embedded: Sequence[int]
    first: str
    last: str

    @classmethod
    def of(cls, network: Network) -> _Ends:
        front, names = network.layers[0], dense_names(network)
        embedded = (front.columns or ()) if isinstance(front, PiecewiseLinear) else ()
        return cls(network.n_in, embedded, names[0], names[-1])


@dataclass(frozen=True)
class Correction:
    """A change of all that stands around a network.

    Parameters
    ----------
    inputs : Change
        Of the features, (n_in,), in their new order.
    origins : array of int, shape (n_in,)
        The place that each feature had before; -1 for one that is new and has no weights yet.
    factor, offset : array of float64, shape (n_out,)
        The outputs have to be ``factor * output + offset`` from now on.
    unit : float
        By how much numbers to predict have shrunk: their old unit over the new one.
    """

    inputs: Change
    origins: NDArray[np.intp]
    factor: NDArray[np.float64]
    offset: NDArray[np.float64]
    unit: float = 1.0

    def of_inputs(
        self,
        change: Change | None,
        places: NDArray[np.intp],
        origins: NDArray[np.intp],
        signs: NDArray[np.float64] | None = None,
    ) -> Correction:
        """Add a change of the scales of the features at these places, and where all were before, with which sign."""
        inputs = Change(np.ones(len(origins)) if signs is None else signs.copy(), np.zeros(len(origins)))
        if change is not None:
            inputs.factor[places], inputs.shift[places] = change
        return replace(self, inputs=inputs, origins=origins)

    def of_outputs(self, change: Change, *, rates: bool) -> Correction:
        """Add a change of the targets' scale, (n_out,); of `rates` the outputs are logarithms."""
        unit = float(np.mean(1 / change.factor))
        if rates:
            return replace(self, offset=-np.log(change.factor), unit=unit)
        return replace(self, factor=1 / change.factor, offset=-change.shift / change.factor, unit=unit)

    def network(self, network: Network) -> Network:
        """Return a network that computes of the changed features what this one computed of them before."""
        architecture = network._architecture()
        layers = [self._moved(layer) for layer in architecture["layers"]]
        ends = _Ends.of(network)
        tensors = network._tensors()
        points = {"0.points": self._points(tensors["0.points"], ends)} if ends.embedded else {}
        tensors = self._weights(tensors, ends) | points
        corrected = Network._from_parts(architecture | {"n_in": len(self.origins), "layers": layers}, tensors, None)
        corrected._owner = network._owner
        return corrected

    def trainer(self, trainer: Trainer) -> Trainer:
        """Return a trainer of the corrected network; running means are corrected as the gradients that they are of."""
        optimizer = trainer._optimizer_now()
        options = trainer._options() | {"optimizer": optimizer}
        state = self._state(trainer._core.state(), trainer)
        return Trainer._from_parts(self.network(trainer.network), options, state)

    def _moved(self, layer: dict[str, Any]) -> dict[str, Any]:
        """Return a layer, described, with its columns at their new places."""
        if not layer.get("columns"):
            return layer
        return layer | {"columns": [self._place(column) for column in layer["columns"]]}

    def _place(self, column: int) -> int:
        return int(np.flatnonzero(self.origins == column)[0])

    def _points(self, points: NDArray[Any], ends: _Ends) -> NDArray[Any]:
        """Return the points of the embedded columns where the changed features have them."""
        places = [self._place(column) for column in ends.embedded]
        moved = ((points - self.inputs.shift[places]) / self.inputs.factor[places]).astype(points.dtype)
        for before, after in pairwise(moved):  # which rounding may have made one
            np.maximum(after, np.nextafter(before, np.inf, dtype=after.dtype), out=after)
        return np.asarray(moved)

    def _seen(self, ends: _Ends, n_first: int) -> Change:
        """Return the change of what the first dense layer, (n_first, n_out), sees; the points make up for some."""
        factor, shift = np.ones(n_first), np.zeros(n_first)
        factor[: len(self.origins)], shift[: len(self.origins)] = self.inputs
        places = [self._place(column) for column in ends.embedded]
        factor[places], shift[places] = 1.0, 0.0
        return Change(factor, shift)

    def _weights(self, tensors: Tensors, ends: _Ends) -> Tensors:
        """Correct weights by name, of the first and the last dense layer, or running averages of them."""
        first, last = ends.first, ends.last
        found = {name: np.asarray(array, np.float64) for name, array in tensors.items()}
        moved = self._taken(found[f"{first}.weight"], ends)
        change = self._seen(ends, len(moved))
        found[f"{first}.bias"] = found[f"{first}.bias"] + change.shift @ moved
        found[f"{first}.weight"] = moved * change.factor[:, None]
        found[f"{last}.weight"] = found[f"{last}.weight"] * self.factor
        found[f"{last}.bias"] = found[f"{last}.bias"] * self.factor + self.offset
        return {name: array.astype(tensors[name].dtype) for name, array in found.items()}

    def _state(self, state: Tensors, trainer: Trainer) -> Tensors:
        ends = _Ends.of(trainer.network)
        state = dict(state)
        average = {name.removesuffix(".average"): state[name] for name in state if name.endswith(".average")}
        if average:
            state |= {f"{name}.average": array for name, array in self._weights(average, ends).items()}
        power = _LOSS_POWER.get(str(trainer.loss), 0)
        for slot in ("slot1", "slot2", "sum"):
            gradients = {name.removesuffix(f".{slot}"): state[name] for name in state if name.endswith(f".{slot}")}
            if gradients:
                corrected = self._gradients(gradients, ends, power, squares=slot == trainer.optimizer.squares)
                state |= {f"{name}.{slot}": array for name, array in corrected.items()}
        return state

    def _gradients(self, gradients: Tensors, ends: _Ends, power: int, *, squares: bool) -> Tensors:
        """Correct running means of gradients, or of their squares, whose first order the shift of the inputs leaves."""
        degree = 2 if squares else 1
        found = {
            name: np.asarray(array, np.float64) * self.unit ** (power * degree) for name, array in gradients.items()
        }
        weight, bias = f"{ends.first}.weight", f"{ends.first}.bias"
        moved = self._taken(found[weight], ends)
        change = self._seen(ends, len(moved))
        if not squares:
            moved = moved - change.shift[:, None] * found[bias]
        found[weight] = moved / change.factor[:, None] ** degree
        for name in (f"{ends.last}.weight", f"{ends.last}.bias"):
            found[name] = found[name] / self.factor**degree
        limit = {name: np.finfo(array.dtype).max for name, array in gradients.items()}
        return {
            name: np.clip(array, -limit[name], limit[name]).astype(gradients[name].dtype)
            for name, array in found.items()
        }

    def _taken(self, rows: NDArray[Any], ends: _Ends) -> NDArray[Any]:
        """Return the rows of the first layer's weights in the new order of the features, then those of embeddings."""
        taken = rows[: ends.n_in][self.origins].copy()
        taken[self.origins < 0] = 0.0
        return np.concatenate([taken, rows[ends.n_in :]])


def unchanged(n_in: int, n_out: int) -> Correction:
    """Return the correction that changes nothing."""
    same = Change(np.ones(n_in), np.zeros(n_in))
    return Correction(same, np.arange(n_in), np.ones(n_out), np.zeros(n_out))
