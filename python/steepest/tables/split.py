"""Rows held out of training: drawn at random, by whole groups, or the latest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import number


def split_rows(
    rows: NDArray[np.intp], share: float, seed: int, labels: NDArray[Any] | None = None, part: int = 0
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Hold a share of the rows out, drawn at random.

    Parameters
    ----------
    rows : array of int, shape (n,)
        Row numbers, all different.
    share : float
        The share of them to hold out, 0 < share < 1.
    seed : int
        Seed of the draw, >= 0.
    labels : array of shape (n,), optional
        Classes of the rows: every class is held out by its share as nearly as possible, but never the last row of one.
        By default classes play no part.
    part : int, default=0
        Which part of the same draw to hold out: parts 0, 1, ... have no row in common until their shares add up to 1.

    Returns
    -------
    kept, held : arrays of int
        The row numbers of both parts, each in the order of `rows`.

    Raises
    ------
    TypeError
        If `share` is not a number.
    ValueError
        If `share` is not between 0 and 1, or if rounding leaves one of the two parts without rows.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.tables import split_rows
    >>> kept, held = split_rows(np.arange(10), 0.3, seed=0)
    >>> len(kept), len(held)
    (7, 3)
    """
    n_held = round(number("share", share, gt=0, lt=1) * len(rows))
    order = np.random.default_rng(seed).permutation(len(rows))
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
        sorted_labels = labels[order]
        order = order[np.append(False, sorted_labels[1:] == sorted_labels[:-1])]  # one row of each class stays
        n_held = min(n_held, len(order))
    if not 0 < n_held < len(rows):
        raise ValueError(f"cannot hold {share:g} of {len(rows)} rows out: expected rows on both sides")
    # Evenly over the sorted classes, so that each gives its share; another part is so many places further on.
    places = ((np.arange(n_held) + 0.5) * (len(order) / n_held)).astype(np.intp) + part
    held = order[places % len(order)]
    is_held = np.zeros(len(rows), bool)
    is_held[held] = True
    return rows[~is_held], rows[is_held]


def split_groups(
    rows: NDArray[np.intp], share: float, seed: int, groups: NDArray[Any], part: int = 0
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Hold whole groups out, drawn at random: no group has rows on both sides.

    Parameters
    ----------
    rows : array of int, shape (n,)
        Row numbers, all different.
    share : float
        The share of the rows to hold out, 0 < share < 1, as nearly as whole groups allow.
    seed : int
        Seed of the draw, >= 0.
    groups : array of shape (n,)
        The group of each row, such as a customer.
    part : int, default=0
        Which part of the same draw to hold out: parts 0, 1, ... have no group in common until their shares add up to 1.

    Returns
    -------
    kept, held : arrays of int
        The row numbers of both parts, each in the order of `rows`.

    Raises
    ------
    TypeError
        If `share` is not a number.
    ValueError
        If `share` is not between 0 and 1, or `groups` has other than n values or fewer than two different ones.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.tables import split_groups
    >>> customers = np.array(["a", "a", "b", "b", "c", "c", "d", "d"])
    >>> kept, held = split_groups(np.arange(8), 0.25, seed=0, groups=customers)
    >>> set(customers[kept]) & set(customers[held])
    set()
    """
    share = number("share", share, gt=0, lt=1)
    if len(groups) != len(rows):
        raise ValueError(f"groups has {len(groups)} values: expected {len(rows)}, one for each row")
    names, places = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"groups has {len(names)} different values: expected two or more, to hold one of them out")
    order = np.random.default_rng(seed).permutation(len(names))
    ends = np.cumsum(np.bincount(places)[order])
    middles = (ends - np.bincount(places)[order] / 2) / len(rows)
    # The groups whose middle row falls into the part's share; where none does, the one that is nearest.
    low = (part * share) % 1.0
    within = (middles - low) % 1.0 < share
    if not within.any() or within.all():
        within = np.arange(len(order)) == np.argmin(np.abs((middles - low) % 1.0 - share / 2))
    is_held = np.isin(places, order[within])
    return rows[~is_held], rows[is_held]


def split_latest(
    rows: NDArray[np.intp], share: float, times: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Hold the latest rows out, as a model will be used: trained on the past, asked about what comes next.

    Parameters
    ----------
    rows : array of int, shape (n,)
        Row numbers, all different.
    share : float
        The share of them to hold out, 0 < share < 1. Rows of one time are never parted: they are held out together, so
        that the share may be larger, but not all rows.
    times : array of shape (n,)
        When each row was; numbers or datetime64, none of them missing.

    Returns
    -------
    kept, held : arrays of int
        The row numbers of both parts, each in the order of `rows`; all of `kept` are earlier than all of `held`.

    Raises
    ------
    TypeError
        If `share` is not a number.
    ValueError
        If `share` is not between 0 and 1, `times` has other than n values, one of them is missing, or all are the same.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.tables import split_latest
    >>> years = np.array([2021, 2024, 2020, 2023, 2022])
    >>> kept, held = split_latest(np.arange(5), 0.4, years)
    >>> years[held].tolist()
    [2024, 2023]
    """
    share = number("share", share, gt=0, lt=1)
    if len(times) != len(rows):
        raise ValueError(f"times has {len(times)} values: expected {len(rows)}, one for each row")
    missing = np.isnat(times) if times.dtype.kind in "mM" else times != times
    if missing.any():
        raise ValueError(f"times has no value in row {missing.argmax()} (the first row is 0): expected one in each")
    found = np.sort(times)
    if not len(found) or found[0] == found[-1]:
        raise ValueError("times are all the same: expected earlier and later rows")
    first = found[min(len(found) - max(round(share * len(found)), 1), len(found) - 1)]
    first = first if first > found[0] else found[found > found[0]][0]  # something has to be earlier
    is_held = times >= first
    return rows[~is_held], rows[is_held]
