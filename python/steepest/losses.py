"""Losses: the names of those in the core, and one that is a Python function of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._arrays import refuse_masked, shown

LOSSES = ("mse", "mae", "huber", "quantile", "cross_entropy", "binary_cross_entropy", "poisson")

LossFunction = Callable[[NDArray[Any], NDArray[Any]], tuple[Any, Any]]


class CustomLoss:
    """Asks the user's function, checks what it returns, and weights it.

    Parameters
    ----------
    function : callable
        ``function(y, prediction) -> (loss, gradient)``, see `Trainer`.
    mean, scale : array of shape (1, n_out), default=0 and None
        In the units of the function's y: a trainer's y is ``(y - mean) / scale`` of it, and likewise the outputs. A
        scale of None leaves both as they are.
    flat : bool, default=False
        Whether the function is given one column of outputs as (n,).
    """

    def __init__(self, function: LossFunction, *, mean: Any = 0.0, scale: Any = None, flat: bool = False) -> None:
        self.function = function
        self.mean, self.scale, self.flat = mean, scale, flat
        self.name = getattr(function, "__name__", type(function).__name__)

    def __call__(
        self, y: NDArray[Any], weight: NDArray[Any] | None, outputs: NDArray[Any]
    ) -> tuple[float, NDArray[Any]]:
        """Ask the function about one batch.

        Parameters
        ----------
        y : array of shape (n,) or (n, n_out)
            Targets, as the trainer holds them.
        weight : array of shape (n,) or None
            Weights of the rows; None: all are 1.
        outputs : array of shape (n, n_out)
            The network's outputs.

        Returns
        -------
        loss : float
            The rows' (weighted) mean loss.
        gradient : array of shape (n, n_out)
            Its derivative by the outputs, times n.

        Raises
        ------
        TypeError
            If the function does not return a pair of numbers or arrays.
        ValueError
            If its gradient has not the shape of the outputs or is not finite where the loss is, if its loss is neither
            one number nor one for each row, or if it is one number where rows have weights.
        """
        found = self.function(*self._in_units(y, outputs))
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise TypeError(f"loss {self.name} returned a {type(found).__name__}: expected (loss, gradient)")
        n = len(outputs)
        loss, gradient = self._numbers("loss", found[0]), self._numbers("gradient", found[1])
        if gradient.shape != outputs.shape and not (outputs.shape[1] == 1 and gradient.shape == (n,)):
            raise ValueError(
                f"loss {self.name} returned a gradient of shape {gradient.shape}: expected the prediction's, "
                f"{(n,) if self.flat else outputs.shape}"
            )
        if loss.shape not in ((), (n,)):
            raise ValueError(f"loss {self.name} returned a loss of shape {loss.shape}: expected a number or ({n},)")
        with np.errstate(over="ignore"):
            finite = np.isfinite(gradient.astype(outputs.dtype)).all()
        if not finite and np.isfinite(loss).all():
            raise ValueError(f"loss {self.name} returned a gradient with nan or inf: expected finite numbers")
        gradient = gradient.reshape(outputs.shape)
        if self.scale is not None:
            gradient = gradient * self.scale
        if weight is None:
            return float(loss.mean()), gradient
        if not loss.ndim:
            raise ValueError(f"loss {self.name} returned one number: expected a loss for each row, ({n},), to weight")
        share = np.asarray(weight, np.float64) / np.sum(weight, dtype=np.float64)
        return float(share @ loss), gradient * (n * share)[:, None]

    def _in_units(self, y: NDArray[Any], outputs: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        if self.scale is not None:
            y = (y.reshape(outputs.shape) * self.scale + self.mean).reshape(y.shape)
            outputs = outputs * self.scale + self.mean
        return y, outputs[:, 0] if self.flat else outputs

    def _numbers(self, what: str, found: Any) -> NDArray[np.float64]:
        refuse_masked(f"the {what} that loss {self.name} returned", found)
        try:
            return np.asarray(found, np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise TypeError(f"loss {self.name} returned the {what} {shown(found)}: expected numbers") from error
