"""Numbers as a network's targets, and its outputs in their units."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from ..losses import CustomLoss, LossFunction
from ..metrics import Metric
from ..tables._scaling import Standardizer
from ._params import Settings

LOSSES = {
    "squared_error": "mse", "absolute_error": "mae", "huber": "huber", "quantile": "quantile", "poisson": "poisson",
}  # fmt: skip


@dataclass(frozen=True)
class Regression:
    """Numbers to predict; a `Task`.

    Parameters
    ----------
    flat : bool
        Whether targets are (n,), not (n, n_outputs).
    n_outputs : int
        How many numbers a row has.
    function : str or callable
        The loss, by scikit-learn's name, or the user's own.
    scale : Standardizer, optional
        Between the targets' units and the outputs'; None: they are the same.
    """

    flat: bool
    n_outputs: int
    function: str | LossFunction
    scale: Standardizer | None = None

    @classmethod
    def fit(cls, y: NDArray[Any], settings: Settings) -> Regression:
        """Learn the shape of targets."""
        return cls(y.ndim == 1, 1 if y.ndim == 1 else y.shape[1], settings.loss)

    def check_same(self, y: NDArray[Any]) -> None:
        """Refuse targets of another number of columns."""
        columns = 1 if y.ndim == 1 else y.shape[1]
        if columns != self.n_outputs:
            raise ValueError(f"y has {columns} columns: expected {self.n_outputs}, as before")

    def encode(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """Return targets as float64."""
        if self.is_rate and y.min() < 0:
            raise ValueError(f"y has the value {y.min():g}: expected numbers >= 0 for the loss 'poisson'")
        return y.astype(np.float64, copy=False)

    def scaled_by(self, targets: NDArray[Any], weight: NDArray[Any] | None) -> Regression:
        """Return the task with the scale of these training targets."""
        found = Standardizer.fit(targets.reshape(len(targets), -1), weight)
        if self.is_rate:  # a rate has no offset
            found = Standardizer(np.zeros_like(found.mean), np.where(found.mean > 0, found.mean, 1.0))
        return replace(self, scale=found)

    def weighted(self, targets: NDArray[Any], weight: NDArray[Any] | None, class_weight: Any) -> NDArray[Any] | None:
        """As in `Task`: numbers have no classes."""
        return weight

    def as_labels(self, places: NDArray[Any]) -> NDArray[Any]:
        """As in `Task`: there are none."""
        raise TypeError("numbers have no labels")

    # --- For training ---

    @property
    def is_rate(self) -> bool:
        """Whether the outputs are logarithms of a rate."""
        return self.function == "poisson"

    @property
    def out_activation(self) -> str:
        """As in `Task`."""
        return "exp" if self.is_rate else "identity"

    @property
    def loss(self) -> str | CustomLoss:
        """As in `Task`."""
        if isinstance(self.function, str):
            return LOSSES[self.function]
        units = {} if self.scale is None else {"mean": self.scale.mean, "scale": self.scale.scale}
        return CustomLoss(self.function, flat=self.flat, **units)

    @property
    def is_of_single_labels(self) -> bool:
        """As in `Task`."""
        return False

    @property
    def units(self) -> list[float]:
        """As in `Task`."""
        return [] if self.scale is None else self.scale.scale[0].tolist()

    @property
    def usual_score(self) -> str:
        """As in `Task`."""
        return "r2"

    def strata(self, targets: NDArray[Any]) -> NDArray[Any] | None:
        """As in `Task`."""
        return None

    def trained(self, targets: NDArray[Any], smoothing: float) -> NDArray[Any]:
        """As in `Task`."""
        return self.scaled(targets)

    def scaled(self, targets: NDArray[Any]) -> NDArray[Any]:
        """As in `Task`."""
        if self.scale is None:
            return targets
        return self.scale.transform(targets.reshape(len(targets), -1), np.float64).reshape(targets.shape)

    def own_scores(self) -> dict[str, Metric]:
        """As in `Task`."""
        if isinstance(self.function, str) and not self.is_rate:
            return {}

        def of(name: str, measure: Callable[..., float]) -> Metric:
            def metric(targets: NDArray[Any], outputs: NDArray[Any]) -> float:
                if not self.is_finite(outputs[None]):  # scikit-learn would refuse them
                    return math.nan
                return float(measure(*self.as_given(targets, outputs)))

            metric.__name__ = name
            return metric

        measures = {"r2": r2_score, "rmse": root_mean_squared_error, "mae": mean_absolute_error}
        return {name: of(name, measure) for name, measure in measures.items()}

    def as_given(self, targets: NDArray[Any], outputs: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """As in `Task`."""
        if self.scale is not None:
            targets = self.scale.inverse_transform(targets.reshape(len(targets), -1)).reshape(targets.shape)
        return targets, self.numbers(outputs[None])

    def trainer_options(self, settings: Settings) -> dict[str, Any]:
        """As in `Task`."""
        if self.function == "quantile":
            return {"quantile": settings.quantile}
        if self.function != "huber":
            return {}
        if settings.delta is None or self.scale is None:
            return {"delta": settings.delta or 1.0}
        return {"delta": settings.delta / float(np.mean(self.scale.scale))}

    def largest_output(self, largest: float) -> float:
        """As in `Task`."""
        if self.is_rate:
            return 0.0
        unit = 1.0 if self.scale is None else float(np.max(self.scale.scale))
        return min(largest, np.finfo(np.float64).max / 4 / max(1.0, unit))

    def is_finite(self, outputs: NDArray[Any]) -> bool:
        """As in `Task`."""
        if self.is_rate and (outputs >= _largest_log_rate(outputs.dtype)).any():
            return False
        with np.errstate(over="ignore", invalid="ignore"):
            return bool(np.isfinite(self.numbers(outputs)).all())

    # --- For predicting: outputs are (networks, n, n_outputs) ---

    def pooled(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """As in `Task`."""
        if self.is_rate:
            return np.asarray(np.logaddexp.reduce(outputs) - math.log(len(outputs)), outputs.dtype)
        return np.asarray(np.add.reduce(outputs) / len(outputs), outputs.dtype)

    def numbers(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the predicted numbers, (n,) or (n, n_outputs), the mean over the networks."""
        rates = np.exp(np.minimum(outputs, _largest_log_rate(outputs.dtype))) if self.is_rate else outputs
        return self._in_units(rates[0] if len(rates) == 1 else np.add.reduce(rates) / len(rates))

    def spread(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the standard deviation over the networks, of the shape of `numbers`."""
        return np.asarray(np.std([self.numbers(part[None]) for part in outputs], axis=0, dtype=np.float64))

    def _in_units(self, values: NDArray[Any]) -> NDArray[Any]:
        if self.scale is not None:
            values = self.scale.inverse_transform(values)
        return values[:, 0] if self.flat else values


def _largest_log_rate(dtype: np.dtype[Any]) -> float:
    """Return the logarithm of a rate that is still finite, in the targets' units too."""
    return 0.95 * math.log(np.finfo(dtype).max)
