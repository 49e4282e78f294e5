"""The steep and the flat stretches of a cost curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST = 8  # moments: a shorter curve has no stretches

_STEEP = 0.5  # of the whole fall happens within the steep stretch
_FLAT = 0.2  # of the mean fall an epoch: slower is flat
_LEVEL = 0.1  # of the highest cost, which is that of the picture: a stretch that is higher looks like no flat one
_SEEN = 0.01  # of the highest cost: a smaller fall is not to be seen


@dataclass(frozen=True)
class CurveStretches:
    """Stretches of a cost curve, as (first, last) moments in epochs done.

    Attributes
    ----------
    fall : float
        From the first cost to the lowest.
    steep : (int, int) or None
        The shortest stretch in which half of the fall happened.
    flat : tuple of (int, int)
        Stretches of a tenth of the curve or more in which it fell at less than a fifth of the mean rate.
    vain : tuple of (int, int)
        The same where it was not level all the same, but rose, or went up and down.
    """

    fall: float
    steep: tuple[int, int] | None
    flat: tuple[tuple[int, int], ...]
    vain: tuple[tuple[int, int], ...] = ()


def find_stretches(epochs: NDArray[np.int64], costs: NDArray[np.float64]) -> CurveStretches:
    """Find the stretches of a curve; a rise, and the fall that only makes up for it, gain nothing.

    Parameters
    ----------
    epochs : array of shape (moments,)
        The moments, in epochs done, from 0.
    costs : array of shape (moments,)
        The cost at each, between which the curve is straight. One that is not finite is no part of the curve.
    """
    known = np.isfinite(costs)
    if not known.any():
        return CurveStretches(0.0, None, ())
    # As it is drawn: from moment to moment, however many epochs lie between them.
    costs = np.interp(np.arange(epochs[-1] + 1), epochs[known], costs[known])
    found, height = _find_by_fall(costs), float(costs.max())
    if found.steep and found.fall < _SEEN * height:
        found = CurveStretches(found.fall, None, ((0, len(costs) - 1),))
    level = _LEVEL * height
    vain = tuple((a, b) for a, b in found.flat if np.ptp(costs[a : b + 1]) > level)
    return CurveStretches(found.fall, found.steep, tuple(part for part in found.flat if part not in vain), vain)


def _find_by_fall(costs: NDArray[np.float64]) -> CurveStretches:
    """Find the stretches of a curve of a cost for each moment, (moments,), by where it came to new lows."""
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
