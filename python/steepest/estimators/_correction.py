"""Networks and their trainers, corrected for a change of what stands before and behind them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network import Network, dense_names
from ..tables._running import Change
from ..training import Trainer

Tensors = dict[str, NDArray[Any]]

_LOSS_POWER = {"mse": 2, "mae": 1, "huber": 1, "quantile": 1, "poisson": 1}  # of the targets' unit in a loss


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
        architecture = network._architecture() | {"n_in": len(self.origins)}
        tensors = self._weights(network._tensors(), dense_names(network)[-1])
        corrected = Network._from_parts(architecture, tensors, None)
        corrected._owner = network._owner
        return corrected

    def trainer(self, trainer: Trainer) -> Trainer:
        """Return a trainer of the corrected network; running means are corrected as the gradients that they are of."""
        optimizer = trainer._optimizer_now()
        options = trainer._options() | {"optimizer": optimizer}
        state = self._state(trainer._core.state(), trainer)
        return Trainer._from_parts(self.network(trainer.network), options, state)

    def _weights(self, tensors: Tensors, last: str) -> Tensors:
        """Correct weights by name, of layers "0" and `last`, or running averages of them."""
        found = {name: np.asarray(array, np.float64) for name, array in tensors.items()}
        moved = self._taken(found["0.weight"])
        found["0.bias"] = found["0.bias"] + self.inputs.shift @ moved
        found["0.weight"] = moved * self.inputs.factor[:, None]
        found[f"{last}.weight"] = found[f"{last}.weight"] * self.factor
        found[f"{last}.bias"] = found[f"{last}.bias"] * self.factor + self.offset
        return {name: array.astype(tensors[name].dtype) for name, array in found.items()}

    def _state(self, state: Tensors, trainer: Trainer) -> Tensors:
        last = dense_names(trainer.network)[-1]
        state = dict(state)
        average = {name.removesuffix(".average"): state[name] for name in state if name.endswith(".average")}
        if average:
            state |= {f"{name}.average": array for name, array in self._weights(average, last).items()}
        power = _LOSS_POWER.get(str(trainer.loss), 0)
        for slot in ("slot1", "slot2", "sum"):
            gradients = {name.removesuffix(f".{slot}"): state[name] for name in state if name.endswith(f".{slot}")}
            if gradients:
                corrected = self._gradients(gradients, last, power, squares=slot == trainer.optimizer.squares)
                state |= {f"{name}.{slot}": array for name, array in corrected.items()}
        return state

    def _gradients(self, gradients: Tensors, last: str, power: int, *, squares: bool) -> Tensors:
        """Correct running means of gradients, or of their squares, whose first order the shift of the inputs leaves."""
        degree = 2 if squares else 1
        found = {
            name: np.asarray(array, np.float64) * self.unit ** (power * degree) for name, array in gradients.items()
        }
        moved = self._taken(found["0.weight"])
        if not squares:
            moved = moved - self.inputs.shift[:, None] * found["0.bias"]
        found["0.weight"] = moved / self.inputs.factor[:, None] ** degree
        for name in (f"{last}.weight", f"{last}.bias"):
            found[name] = found[name] / self.factor**degree
        limit = {name: np.finfo(array.dtype).max for name, array in gradients.items()}
        return {
            name: np.clip(array, -limit[name], limit[name]).astype(gradients[name].dtype)
            for name, array in found.items()
        }

    def _taken(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the rows of the first layer's weights in the new order of the features."""
        taken = rows[self.origins].copy()
        taken[self.origins < 0] = 0.0
        return taken


def unchanged(n_in: int, n_out: int) -> Correction:
    """Return the correction that changes nothing."""
    same = Change(np.ones(n_in), np.zeros(n_in))
    return Correction(same, np.arange(n_in), np.ones(n_out), np.zeros(n_out))
