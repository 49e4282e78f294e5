"""The steep and the flat stretches of a cost curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST = 8  # epochs: a shorter curve has no stretches

_STEEP = 0.5  # of the whole fall happens within the steep stretch
_FLAT = 0.2  # of the mean fall an epoch: slower is flat


@dataclass(frozen=True)
class CurveStretches:
    """Stretches of a cost curve, as (first, last) epochs from 0.

    Attributes
    ----------
    fall : float
        From the first cost to the lowest.
    steep : (int, int) or None
        The shortest stretch in which half of the fall happened.
    flat : tuple of (int, int)
        Stretches of a tenth of the curve or more in which it fell at less than a fifth of the mean rate.
    """

    fall: float
    steep: tuple[int, int] | None
    flat: tuple[tuple[int, int], ...]


def find_stretches(costs: NDArray[np.float64]) -> CurveStretches:
    """Find the stretches of a curve; a rise, and the fall that only makes up for it, count as standing still.

    Parameters
    ----------
    costs : array of shape (epochs,)
        Finite costs.
    """
    lowest = np.minimum.accumulate(costs)
    n = len(costs)
    fall = float(lowest[0] - lowest[-1])
    if n < FEWEST or fall <= 0:
        return CurveStretches(max(fall, 0.0), None, ((0, n - 1),) if n >= FEWEST else ())
    # The curve never rises, so the first epoch by which it has fallen by enough is found by bisection.
    ends = np.searchsorted(-lowest, _STEEP * fall - lowest, side="left")
    first = int(np.argmin(np.where(ends < n, ends - np.arange(n), n)))
    width = max(n // 10, 3)
    starts = np.arange(n - width)
    slow = np.zeros(n, bool)
    for start in starts[lowest[starts] - lowest[starts + width] < _FLAT * fall * width / (n - 1)]:
        slow[start : start + width + 1] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[0], slow.astype(int), [0]])))
    flat = tuple((int(a), int(b) - 1) for a, b in edges.reshape(-1, 2))
    return CurveStretches(fall, (first, int(ends[first])), flat)


def evenly_spaced(n: int, most: int) -> NDArray[np.intp]:
    """Return at most so many indices below n, at even distances, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.intp))
