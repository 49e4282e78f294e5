"""Rows held out: whole, without repetition, by classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from steepest.tables import split_rows


@pytest.mark.parametrize("labels", [None, np.arange(100) % 3])
def test_split_is_a_split(labels: Any) -> None:
    rows = np.arange(100) * 2
    kept, held = split_rows(rows, 0.2, 0, labels)
    assert (len(kept), len(held)) == (80, 20)
    assert np.array_equal(np.sort(np.concatenate([kept, held])), rows)
    assert (np.diff(kept) > 0).all() and (np.diff(held) > 0).all()
    again = split_rows(rows, 0.2, 0, labels)
    assert np.array_equal(again[1], held)
    assert not np.array_equal(split_rows(rows, 0.2, 1, labels)[1], held)


def test_every_row_is_held_out_as_often() -> None:
    counts = np.zeros(20)
    for seed in range(500):
        counts[split_rows(np.arange(20), 0.25, seed, np.arange(20) % 2)[1]] += 1
    assert counts.sum() == 2500 and counts.min() > 80 and counts.max() < 170  # 125 expected, standard deviation 10


def test_classes_are_held_out_by_their_share() -> None:
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    held = split_rows(np.arange(1000), 0.2, 0, labels)[1]
    assert np.abs(np.bincount(labels[held]) - [180, 18, 2]).max() <= 1


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("seed", range(5))
def test_no_class_ever_leaves_training(share: float, seed: int) -> None:
    labels = np.array(["a"] * 20 + ["b"] + ["c"] * 2, dtype=object)
    kept, held = split_rows(np.arange(23), share, seed, labels)
    assert set(labels[kept]) == {"a", "b", "c"} and "b" not in labels[held] and len(held) > 0


@pytest.mark.parametrize(("n", "share"), [(3, 0.1), (3, 0.999), (1, 0.5), (0, 0.5)])
def test_split_without_rows_is_refused(n: int, share: float) -> None:
    with pytest.raises(ValueError, match=f"cannot hold {share} of {n} rows out"):
        split_rows(np.arange(n), share, 0)


def test_split_of_classes_of_one_row_each_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot hold 0\.5 of 9 rows out"):
        split_rows(np.arange(9), 0.5, 0, np.arange(9))


@pytest.mark.parametrize(("n", "share"), [(100, 0.2), (97, 0.2), (313, 0.1), (50, 0.25)])
@pytest.mark.parametrize("classes", [0, 3])
def test_parts_have_no_row_in_common(n: int, share: float, classes: int) -> None:
    labels = np.arange(n) % classes if classes else None
    n_held = len(split_rows(np.arange(n), share, 4, labels)[1])
    parts = [split_rows(np.arange(n), share, 4, labels, part)[1] for part in range((n - classes) // n_held)]
    assert len(parts) >= 3 and {len(part) for part in parts} == {n_held}
    assert len(np.unique(np.concatenate(parts))) == n_held * len(parts)


@pytest.mark.parametrize("share", [0, 1, -0.5, 2, float("nan")])
def test_share_must_be_one(share: float) -> None:
    with pytest.raises(ValueError, match="share is"):
        split_rows(np.arange(9), share, 0)
