"""Numbers predicted from one row after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import number
from ..optimizers import Optimizer
from ._base import _NO_ROW, OnlineMLP
from ._river import Regressor
from ._scale import FURTHEST, RunningScale


class OnlineRegressor(OnlineMLP, Regressor):  # type: ignore[misc]
    """A network that predicts a number, and learns from one row after the other; it has river's interface.

    A row is a dict of numbers by name, whose keys may come and go. Each key takes an input of the network when it first
    appears; where a row lacks it, or has None or NaN, it counts as at its mean. Keys and targets are scaled by running
    means and deviations, in which rows older than 10,000 fade. A number further than ten deviations from its mean
    counts as just that far.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(32,)
        Widths of the hidden layers; ``()`` makes a linear model.
    activation : str, default="tanh"
        Of the hidden layers: any of `steepest.Dense`.
    optimizer : Optimizer, default=None
        What takes the steps, one for each row. None: ``steepest.Adam(0.003)``.
    max_features : int, default=32
        Inputs of the network, >= 1: further keys are left out, with a warning for the first.
    seed : int, default=0
        Seed of the first weights, >= 0.

    Raises
    ------
    TypeError
        If an argument is of a wrong type.
    ValueError
        If an argument is out of its range.

    Notes
    -----
    Where river is installed, this is one of its regressors, for its pipelines, metrics and evaluation. A model may be
    pickled and copied, but one thread at a time uses it.

    Examples
    --------
    >>> import steepest as st
    >>> model = st.online.OnlineRegressor()
    >>> for i in range(2000):
    ...     x = {"length": i % 7, "width": i % 5}
    ...     model.learn_one(x, x["length"] * x["width"])
    >>> abs(model.predict_one({"length": 3, "width": 4}) - 12) < 1
    True
    """

    _target_kind = (1, 1), np.float64

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (32,),
        activation: str = "tanh",
        optimizer: Optimizer | None = None,
        max_features: int = 32,
        seed: int = 0,
    ) -> None:
        self.hidden_layer_sizes, self.activation, self.optimizer = hidden_layer_sizes, activation, optimizer
        self.max_features, self.seed = max_features, seed
        super().__init__(hidden_layer_sizes, activation, optimizer, max_features, seed, "mse", 1)

    def learn_one(self, x: Mapping[Any, Any], y: float) -> None:
        """Take one step on one row.

        Parameters
        ----------
        x : mapping of str to float
            The row.
        y : float
            The number to predict.

        Raises
        ------
        TypeError
            If `x` is no mapping, a value in it is no number, or `y` is none.
        ValueError
            If a number is infinite, or `y` is not finite; the model is as before then.
        """
        place = self._place
        if place < self._until and len(x) == self._n_keys:
            try:
                target = (y - self._y_mean) / self._y_deviation
                if -FURTHEST < target < FURTHEST:
                    self._pack(self._buffer, place * self._stride, y, *self._get(x))
                    _subtract(self._rows[place], self._mean, self._shifted)
                    self._goal[0] = target
                    self._step(self._x, self._target)
                    self._place = place + 1
                    return
            except _NO_ROW:
                pass
        y = number("y", y)
        self._learn(x, y, lambda scale: self._scaled_target(y, scale))

    def predict_one(self, x: Mapping[Any, Any]) -> float:
        """Return the number for a row, 0 before the first row was seen; keys without an input are left out.

        Parameters
        ----------
        x : mapping of str to float
            The row.

        Raises
        ------
        TypeError
            If `x` is no mapping, or a value in it is no number.
        ValueError
            If a number is infinite.
        """
        return self._outputs(x).item() * self._y_deviation + self._y_mean if self._keys else 0.0

    def _use_target_scale(self, mean: float, deviation: float) -> None:
        self._y_mean, self._y_deviation = mean, deviation

    def _scaled_target(self, y: float, scale: RunningScale) -> NDArray[np.float64]:
        scaled = (y - float(scale.mean[0])) / float(scale.deviation[0])
        self._goal[0] = min(max(scaled, -FURTHEST), FURTHEST)
        return self._target


_subtract = np.subtract
