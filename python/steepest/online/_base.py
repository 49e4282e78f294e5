"""The base of the two online models: keys in slots, their running scale, and a step of the network for each row."""

from __future__ import annotations

import math
import numbers
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._arrays import shown
from .._validation import integer
from ..layers import Dense, PiecewiseLinear
from ..network import Network
from ..optimizers import Adam, Optimizer, check_optimizer
from ..training import Trainer
from ._scale import FURTHEST, Numbers, RunningScale

FIRST_ROWS = 32  # after each of which the scale is learned anew, where a key is new
ROWS = 512  # after which it is at the latest, and before that after an eighth of all so far
_NO_ROW = (KeyError, TypeError, ValueError, OverflowError, struct.error)  # what the short way cannot read


class OnlineMLP:
    """A network that learns from one row after the other.

    The keys of rows take the network's inputs in the order in which they appear, those of one row in the order of their
    names. A row is read by the short way, `learn_one` of the models, where it has just the known keys with finite
    numbers; by the long way, here, where it has not, or where the scale is due. Both learn the same.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int
        Widths of the hidden layers.
    activation : str
        Of the hidden layers.
    optimizer : Optimizer or None
        None: ``Adam(0.003)``.
    max_features : int
        Inputs of the network.
    seed : int
        Of the first weights.
    loss : str
        Of the trainer.
    n_out : int
        Outputs of the network.
    """

    _target_kind: ClassVar[tuple[tuple[int, ...], type]]  # shape and dtype of the network's target

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int],
        activation: str,
        optimizer: Optimizer | None,
        max_features: int,
        seed: int,
        loss: str,
        n_out: int,
    ) -> None:
        size = integer("max_features", max_features, ge=1)
        if isinstance(hidden_layer_sizes, str) or not isinstance(hidden_layer_sizes, Sequence):
            raise TypeError(f"hidden_layer_sizes is {shown(hidden_layer_sizes)}: expected a sequence such as (32, 32)")
        hidden = [Dense(integer("hidden_layer_sizes", width, ge=1), activation) for width in hidden_layer_sizes]
        network = Network(size, [PiecewiseLinear(2), *hidden, Dense(n_out)], seed=integer("seed", seed, ge=0))
        network.set_parameters({"0.values": np.repeat([[-FURTHEST], [FURTHEST]], size, axis=1)})
        rule = Adam(0.003) if optimizer is None else check_optimizer(optimizer)
        self._trainer = Trainer(network, loss, rule, seed=seed)
        self._keys: list[Any] = []
        self._scale = RunningScale.none(1)  # of the target, and of the keys
        self._place = 0  # in the buffer, of the next row
        self._until = 0  # the place of the row at which the scale is due
        self._settles = FIRST_ROWS  # rows until the scale is not learned anew after each any more
        self._full = False  # whether a key was left out
        self._allocate()

    @property
    def network(self) -> Network:
        """The network: its inputs are the numbers of the keys in `features` less their means, and zeros.

        Its first layer holds their scale.
        """
        return self._trainer.network

    @property
    def features(self) -> tuple[Any, ...]:
        """The keys so far, in the order of the network's inputs."""
        return tuple(self._keys)

    @property
    def n_rows(self) -> int:
        """Rows learned from."""
        return self._trainer.n_steps

    def _allocate(self) -> None:
        """Make the arrays that rows are written to."""
        network = self.network
        self._buffer: Any = np.zeros((ROWS + 1, 1 + network.n_in))  # rows that the scale has not seen; one to predict
        self._stride = self._buffer.strides[0]
        self._x, self._out = np.zeros((1, network.n_in)), np.zeros((1, network.n_out), network.dtype)
        self._target: NDArray[Any] = np.zeros(*self._target_kind)
        self._goal = self._target.reshape(-1)  # the same number
        self._points = np.outer([-FURTHEST, FURTHEST], np.ones(network.n_in))  # of the first layer: the ends of scales
        self._step, self._predict = self._trainer.step, network.predict
        self._lay_out()

    def _lay_out(self) -> None:
        """Prepare the short way for the keys and the scale of now."""
        n = len(self._keys)
        self._n_keys = n
        self._get: Callable[[Any], tuple[Any, ...]] = itemgetter(*self._keys) if n > 1 else self._get_all
        self._pack = struct.Struct(f"{n + 1}d").pack_into
        self._rows = [row[1 : n + 1] for row in self._buffer[:ROWS]]
        self._spare = self._buffer[ROWS, 1 : n + 1]
        self._shifted = self._x[0, :n]
        self._use_scale()

    def _get_all(self, x: Mapping[Any, Any]) -> tuple[Any, ...]:
        """Return the numbers of a row of one key, of which itemgetter makes no tuple, or of none."""
        return tuple(x[key] for key in self._keys)

    def _use_scale(self) -> None:
        self._mean, deviation = self._scale.mean[1:], self._scale.deviation
        self._points[1, : self._n_keys] = FURTHEST * deviation[1:]
        np.negative(self._points[1], self._points[0])
        self.network.set_parameters({"0.points": self._points})
        self._use_target_scale(float(self._scale.mean[0]), float(deviation[0]))

    def _use_target_scale(self, mean: float, deviation: float) -> None:
        """Take in the scale of the target."""

    def _learn(self, x: Mapping[Any, Any], number: float, target_of: Callable[[RunningScale], NDArray[Any]]) -> None:
        """Learn from a row by the long way; where it raises, all is as it was.

        Parameters
        ----------
        x : mapping of str to float
            The row.
        number : float
            The target as the scale sees it.
        target_of : callable
            Gives the network's target by a scale.
        """
        values, new = self._read(x, growing=True)
        place, scale = self._place, self._scale
        rows = self._buffer[: place + 1, : 1 + len(values)]
        if new:
            scale, rows = scale.with_columns(len(new)), rows.copy()
            rows[:, 1 + len(self._keys) :] = np.nan
        rows[place, 0], rows[place, 1:] = number, values
        due = bool(new) or place >= self._until
        if due:
            scale = scale.after(rows)
        self._put(values, scale)
        self._step(self._x, target_of(scale))
        if not due:
            self._place += 1
            return
        self._settles = FIRST_ROWS if new else max(self._settles - 1, 0)
        self._until = 0 if self._settles else min(max(self.n_rows // 8, FIRST_ROWS), ROWS) - 1
        self._scale, self._place = scale, 0
        if new:
            self._keys += new
            self._lay_out()
        else:
            self._use_scale()

    def _outputs(self, x: Mapping[Any, Any]) -> NDArray[Any]:
        """Return the outputs of the network for a row, (1, n_out): an array that the next call writes to."""
        if len(x) == self._n_keys:
            try:
                self._pack(self._buffer, self._stride * ROWS, 0.0, *self._get(x))
                np.subtract(self._spare, self._mean, self._shifted)
                return self._predict(self._x, self._out)
            except _NO_ROW:
                pass
        self._put(self._read(x, growing=False)[0], self._scale)
        return self._predict(self._x, self._out)

    def _put(self, values: Numbers, scale: RunningScale) -> None:
        """Write a row to the network's input, what is missing at the mean.

        The first layer, which has the scale of before, then gives the scaled numbers.
        """
        with np.errstate(over="ignore"):
            scaled = (values - scale.mean[1:]) / scale.deviation[1:]
        scaled = np.where(np.isnan(scaled), 0.0, np.clip(scaled, -FURTHEST, FURTHEST))
        self._x[0, : len(values)] = scaled * (self._points[1, : len(values)] / FURTHEST)

    def _read(self, x: Mapping[Any, Any], *, growing: bool) -> tuple[Numbers, list[Any]]:
        """Return the numbers of a row by slot, NaN where there are none, and keys that are to have a slot."""
        if not isinstance(x, Mapping):
            raise TypeError(f"x is {shown(x)}: expected a dict of numbers by their names")
        known = dict.fromkeys(self._keys)
        new = sorted((key for key in x if key not in known), key=str) if growing else []
        room = self._x.shape[1] - len(self._keys)
        values = np.array([_number(key, x.get(key)) for key in (*self._keys, *new[:room])], np.float64)
        if len(new) > room and not self._full:
            self._full = True
            warnings.warn(
                f"no input is left for {shown(new[room])}: all {self._x.shape[1]} of max_features are taken; it and "
                "later keys are left out",
                stacklevel=4,
            )
        return values, new[:room]

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters, what was learned, and the rows that the scale has not seen."""
        made = ("_buffer", "_stride", "_x", "_out", "_target", "_goal", "_points", "_step", "_predict")  # by _allocate
        laid_out = ("_n_keys", "_get", "_pack", "_rows", "_spare", "_shifted", "_mean")
        state = {name: value for name, value in vars(self).items() if name not in (*made, *laid_out)}
        return state | {"_seen_later": self._buffer[: self._place, : 1 + len(self._keys)].copy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a state."""
        pending = state.pop("_seen_later")
        vars(self).update(state)
        self._allocate()
        self._buffer[: len(pending), : pending.shape[1]] = pending


def _number(key: Any, value: Any) -> float:
    """Return a number of a row, NaN where it is missing."""
    if value is None:
        return math.nan
    if not isinstance(value, (numbers.Real, np.bool_)):
        hint = ", such as river's OneHotEncoder makes" if isinstance(value, str) else ""
        raise TypeError(f"x[{key!r}] is {shown(value)}: expected a number, or None where it is missing{hint}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if math.isinf(result):
        raise ValueError(f"x[{key!r}] is {shown(value)}: expected a finite number, or NaN where it is missing")
    return result
