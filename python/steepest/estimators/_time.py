"""A fit within a time: how many networks, and for how many epochs, are trained by then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from .._core import get_num_threads
from ..callbacks import Callback, FitState
from ..network import Network
from ..training import Trainer
from ..training._fits import Fit, run_fits
from ..training._rows import ArrayRows, RowSource
from ._plan import FitPlan

_SHARE = 0.95  # of the time that is left is planned for: the machine may be slower later
_STEPS = 30  # that are measured
_FEWEST_EPOCHS = 40  # before another network is better than more epochs for one
_ONE_BY_ONE = 0.7  # of the speed of networks side by side, those that need Python have, one after the other
_MEASURING = 1.05  # times the steps, an epoch takes with its held-out rows


class OutOfTimeError(Exception):
    """Ends the trainings where they are."""


def out_of_time(deadline: float) -> Callable[[int], None]:
    """Return a function of the epochs so far that ends trainings after a time by `time.monotonic`, not before one."""

    def look(n_epochs: int) -> None:
        if n_epochs and time.monotonic() > deadline:
            raise OutOfTimeError

    return look


class Deadline(Callback):
    """Stops after the epoch in which the time ran out, by `time.monotonic`."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline

    def on_epoch_end(self, fit: FitState) -> None:
        """Look at the clock."""
        if time.monotonic() > self.deadline:
            fit.stop()


def seconds_of_epoch(plan: FitPlan, networks: Sequence[Network], rows: RowSource, n: int, loss: object) -> float | None:
    """Return how long an epoch takes each of these networks, side by side; None where that cannot be told.

    Parameters
    ----------
    plan : FitPlan
        Of the trainings.
    networks : sequence of Network
        As many as train at a time, at most; copies of them train a little.
    rows : RowSource
        What the first of them trains on.
    n : int
        Training rows.
    loss : str or callable
        Of the trainings.
    """
    if not isinstance(rows, ArrayRows) or rows.is_mapped or not isinstance(loss, str):
        return None
    batch = plan.epochs_and_batch(n)[1]
    return _seconds_of_step(networks, rows, batch, loss) * math.ceil(n / batch) * _MEASURING


def epochs_in_time(deadline: float, seconds: float, at_once: int, *, one_by_one: bool) -> float:
    """Return for how many epochs there is time, of all networks together.

    Parameters
    ----------
    deadline : float
        By `time.monotonic`.
    seconds : float
        Of an epoch of networks side by side.
    at_once : int
        How many these are.
    one_by_one : bool
        Whether networks train one after the other.
    """
    left = max(deadline - time.monotonic(), 0.0) * _SHARE * (_ONE_BY_ONE if one_by_one else 1.0)
    return left * at_once / max(seconds, 1e-9)


def within_time(plan: FitPlan, possible: float, n: int) -> FitPlan:
    """Return the plan with as many networks and epochs as there is time for; at least one of each.

    Parameters
    ----------
    plan : FitPlan
        With a deadline.
    possible : float
        For how many epochs there is time, of all networks together.
    n : int
        Training rows.
    """
    epochs, threads, most = plan.epochs_and_batch(n)[0], get_num_threads(), plan.n_networks
    n_networks = min(most, max(1, int(possible / min(epochs, _FEWEST_EPOCHS))))
    if n_networks < most:  # whole rounds of all threads, and fewer networks for longer
        n_networks = max(1, min(n_networks, math.ceil(possible / epochs / threads) * threads))
    return replace(plan, n_networks=n_networks, most_epochs=max(1, min(epochs, int(possible / n_networks))))


def _seconds_of_step(networks: Sequence[Network], rows: ArrayRows, batch: int, loss: str) -> float:
    """Return how long a step takes while every thread trains a network."""
    places = np.arange(len(rows.x), dtype=np.int64) if rows.places is None else rows.places
    some = ArrayRows(rows.x, rows.y, rows.weight, places=places[: _STEPS * batch])

    def fits() -> list[Fit]:
        return [Fit(Trainer(each.copy(), loss), some, epochs=1, batch_size=batch) for each in networks]

    run_fits(fits(), get_num_threads())  # the first time finds out how many threads are best
    measured = fits()
    began = time.perf_counter()
    run_fits(measured, get_num_threads())
    return (time.perf_counter() - began) / math.ceil(min(len(places), _STEPS * batch) / batch)
