"""Labels predicted from one row after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp
from typing import Any

import numpy as np

from .._arrays import shown
from .._validation import integer
from ..optimizers import Optimizer
from ._base import _NO_ROW, OnlineMLP
from ._river import Classifier


class OnlineClassifier(OnlineMLP, Classifier):  # type: ignore[misc]
    """A network that tells labels, and learns from one row after the other; it has river's interface.

    A row is a dict of numbers by name, whose keys may come and go; `OnlineRegressor` says how they are read. Labels
    take outputs of the network as they appear, and have probabilities from then on.

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
    max_classes : int, default=16
        Outputs of the network, >= 2: a further label is refused.
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
    Where river is installed, this is one of its classifiers, for its pipelines, metrics and evaluation. A model may be
    pickled and copied, but one thread at a time uses it.

    Examples
    --------
    >>> import steepest as st
    >>> model = st.online.OnlineClassifier()
    >>> for i in range(2000):
    ...     x = {"length": i % 7, "width": i % 5}
    ...     model.learn_one(x, "wide" if x["width"] > x["length"] else "long")
    >>> model.predict_one({"length": 1, "width": 4})
    'wide'
    """

    _target_kind = (1,), np.int64

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (32,),
        activation: str = "tanh",
        optimizer: Optimizer | None = None,
        max_features: int = 32,
        max_classes: int = 16,
        seed: int = 0,
    ) -> None:
        self.hidden_layer_sizes, self.activation, self.optimizer = hidden_layer_sizes, activation, optimizer
        self.max_features, self.max_classes, self.seed = max_features, max_classes, seed
        self._labels: dict[Any, int] = {}  # and the output of each
        n_out = integer("max_classes", max_classes, ge=2)
        super().__init__(hidden_layer_sizes, activation, optimizer, max_features, seed, "cross_entropy", n_out)

    @property
    def classes(self) -> tuple[Any, ...]:
        """The labels so far, in the order of the network's outputs."""
        return tuple(self._labels)

    def learn_one(self, x: Mapping[Any, Any], y: Any) -> None:
        """Take one step on one row.

        Parameters
        ----------
        x : mapping of str to float
            The row.
        y : hashable
            Its label.

        Raises
        ------
        TypeError
            If `x` is no mapping, a value in it is no number, or `y` cannot be hashed.
        ValueError
            If a number is infinite, or `y` is one label more than `max_classes`; the model is as before then.
        """
        place = self._place
        if place < self._until and len(x) == self._n_keys:
            try:
                self._goal[0] = self._labels[y]
                self._pack(self._buffer, place * self._stride, 0.0, *self._get(x))
                _subtract(self._rows[place], self._mean, self._shifted)
                self._step(self._x, self._target)
                self._place = place + 1
                return
            except _NO_ROW:
                pass
        self._goal[0] = output = self._output_of(y)
        self._learn(x, 0.0, lambda _: self._target)
        self._labels[y] = output

    def predict_proba_one(self, x: Mapping[Any, Any]) -> dict[Any, float]:
        """Return the probability of each label so far; keys without an input are left out.

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
        if not self._labels:
            return {}
        logits = self._outputs(x)[0, : len(self._labels)].tolist()
        highest = max(logits)
        powers = [exp(logit - highest) for logit in logits]
        total = sum(powers)
        return {label: power / total for label, power in zip(self._labels, powers, strict=True)}

    def _output_of(self, y: Any) -> int:
        """Return the output of a label, that of a new one too."""
        try:
            output = self._labels.get(y, len(self._labels))
        except TypeError:
            raise TypeError(f"y is {shown(y)}: expected a label that can be hashed, such as text") from None
        if output >= len(self._out[0]):
            raise ValueError(
                f"y is {shown(y)}, a label after {', '.join(map(shown, self._labels))}: expected at most "
                f"{len(self._out[0])} labels, or a larger max_classes"
            )
        return output

    @property
    def _multiclass(self) -> bool:
        """For river: whether there may be more labels than two."""
        return True


_subtract = np.subtract
