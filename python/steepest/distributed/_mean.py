"""The mean over the ranks of what each has learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def weighted_mean(
    summed: Callable[[NDArray[Any]], NDArray[Any]], values: NDArray[Any], weight: float
) -> tuple[NDArray[Any], float]:
    """Return the mean of the ranks' values, weighted, and the sum of weights: zeros and 0 where all weigh nothing.

    Parameters
    ----------
    summed : callable
        Returns the sum over the ranks of an array.
    values : array of shape (n,)
        Those of this rank; they do not count where its weight is 0.
    weight : float
        Of this rank, >= 0; NaN makes the mean NaN on all.
    """
    message = np.zeros(1 + values.size, values.dtype)
    if weight:
        message[0] = weight
        np.multiply(values, message[0], out=message[1:])
    total = summed(message)
    return total[1:] / total[0] if total[0] else total[1:], float(total[0])
