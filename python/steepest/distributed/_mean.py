"""The mean over the ranks of what each has learned, in place: a large array made anew costs more than its sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from ._comm import Comm


def sum_in_place(comm: Comm, array: NDArray[Any]) -> None:
    """Let an array be its sum over the ranks."""
    in_place = getattr(comm, "allreduce_in_place", None)
    if in_place is None:
        array[:] = comm.allreduce(array)
    else:
        in_place(array)


def mean_in_place(message: NDArray[Any], weight: float, sum_up: Callable[[], object]) -> float:
    """Let ``message[1:]`` be its mean over the ranks, weighted; return the sum of weights.

    Parameters
    ----------
    message : array of shape (1 + n,)
        Room for the weight, and this rank's numbers: they do not count where its weight is 0.
    weight : float
        Of this rank, >= 0; NaN makes the mean NaN on all. Where all weigh nothing, the mean is 0.
    sum_up : callable
        Lets `message` be its sum over the ranks.
    """
    message[0] = weight
    if weight:
        message[1:] *= message[0]
    else:
        message[1:] = 0
    sum_up()
    if message[0]:
        message[1:] /= message[0]
    return float(message[0])
