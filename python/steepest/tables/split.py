"""Rows drawn at random and held out of training."""

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
