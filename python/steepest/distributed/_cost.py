"""The cost of exchanges beside that of steps: when it pays to train one network on several machines."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass

import numpy as np

from .._validation import integer, number
from ._comm import Comm
from ._mean import mean_in_place, sum_in_place

_LARGE = 1 << 18  # numbers of a message in which bandwidth decides
_TRIALS = 15


@dataclass(frozen=True)
class CostModel:
    """The time of an exchange, and what it leaves of the speed of several machines.

    Through a hub, n ranks' messages pass one after the other over its line, there and back: an exchange takes ``latency
    + 2 (n - 1) bytes / bandwidth``. Without one, as MPI does it (a ring: Thakur et al. 2005, "Optimization of
    Collective Communication Operations in MPICH"), ``ceil(log2 n) latency + 2 (n - 1) / n * bytes / bandwidth``.

    Parameters
    ----------
    latency : float
        Seconds of an exchange of nothing between two ranks, > 0.
    bandwidth : float
        Bytes a second that a line carries, > 0.
    hub : bool, default=False
        Whether exchanges go through a hub.

    Examples
    --------
    A step of 0.1 ms on 101,770 parameters in float32, between machines with 10 Gbit/s: summing gradients in every step
    is slower than one machine, and a mean of parameters and two moments every 64 steps is not.

    >>> from steepest.distributed import CostModel
    >>> model = CostModel(latency=50e-6, bandwidth=1.25e9)
    >>> round(model.speedup(1e-4, 4 * 101_770, ranks=2, sync_every=1), 2)
    0.42
    >>> round(model.speedup(1e-4, 12 * 101_770, ranks=2, sync_every=64), 2)
    1.72
    """

    latency: float
    bandwidth: float
    hub: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        number("latency", self.latency, gt=0)
        number("bandwidth", self.bandwidth, gt=0)

    @classmethod
    def measure(cls, comm: Comm, *, hub: bool = False) -> CostModel:
        """Measure a comm; all ranks call this together.

        Parameters
        ----------
        comm : Comm
            Of two ranks or more.
        hub : bool, default=False
            Whether it goes through a `Hub`.
        """
        if comm.size < 2:
            raise ValueError(f"comm has {comm.size} rank: expected two or more")
        small, large = (_median_seconds(comm, n) for n in (1, _LARGE))
        rounds = 1 if hub else math.ceil(math.log2(comm.size))
        passes = 2 * (comm.size - 1) / (1 if hub else comm.size)
        return cls(small / rounds, passes * 4 * _LARGE / max(large - small, 1e-9), hub)

    def exchange(self, n_bytes: float, ranks: int) -> float:
        """Return the seconds of an exchange of so many bytes of each rank."""
        number("n_bytes", n_bytes, ge=0)
        if integer("ranks", ranks, ge=1) == 1:
            return 0.0
        if self.hub:
            return self.latency + 2 * (ranks - 1) * n_bytes / self.bandwidth
        return math.ceil(math.log2(ranks)) * self.latency + 2 * (ranks - 1) / ranks * n_bytes / self.bandwidth

    def speedup(self, step: float, n_bytes: float, ranks: int, sync_every: int = 1) -> float:
        """Return how many times as many rows a second `ranks` machines train as one.

        Parameters
        ----------
        step : float
            Seconds of a step of one rank, > 0; where `sync_every` is 1, of one whose gradient is taken out and put
            back, as by a fit with a comm of one rank.
        n_bytes : float
            Of an exchange: of all parameters; with their moments (two for Adam) where `sync_every` is above 1.
        ranks : int
            Machines, >= 1.
        sync_every : int, default=1
            Steps from one exchange to the next, >= 1.
        """
        share = self.exchange(n_bytes, ranks) / integer("sync_every", sync_every, ge=1)
        return ranks * number("step", step, gt=0) / (step + share)


def _median_seconds(comm: Comm, n: int) -> float:
    """Return the time of an exchange of n numbers of float32, the same on all ranks: the mean of what each finds."""
    own, message, found = np.zeros(n, np.float32), np.zeros(1 + n, np.float32), []
    for _ in range(_TRIALS):
        start = time.perf_counter()
        message[1:] = own
        mean_in_place(message, 1.0, lambda: sum_in_place(comm, message))
        own[:] = message[1:]
        found.append(time.perf_counter() - start)
    return float(comm.allreduce(np.array([statistics.median(found)]))[0] / comm.size)
