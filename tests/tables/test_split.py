"""Rows held out: whole, without repetition, by classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from rich.console import Console

from steepest.cli._reading import Reading
from steepest.cli._training import Job, Use
from steepest.tables import split_groups, split_latest, split_rows


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


# --- By group and by time ---


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_no_group_has_rows_on_both_sides(share: float, seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, 60, 1000)
    kept, held = split_groups(np.arange(1000), share, seed, groups)
    assert not {*groups[kept]} & {*groups[held]} and len(kept) + len(held) == 1000
    assert abs(len(held) / 1000 - share) < 0.04
    assert np.array_equal(split_groups(np.arange(1000), share, seed, groups)[1], held)


def test_parts_of_groups_have_no_group_in_common() -> None:
    groups = np.repeat(np.arange(40).astype(str), 5)
    parts = [split_groups(np.arange(200), 0.2, 7, groups, part)[1] for part in range(5)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(200))


@pytest.mark.parametrize("sizes", [[99, 1], [1, 99], [50, 50], [98, 1, 1]])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.9])
def test_few_groups_leave_rows_on_both_sides(sizes: list[int], share: float) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    kept, held = split_groups(np.arange(100), share, 0, groups)
    assert len(kept) and len(held) and not {*groups[kept]} & {*groups[held]}


def test_the_latest_rows_are_held_out() -> None:
    times = np.random.default_rng(0).permutation(100).astype(float)
    kept, held = split_latest(np.arange(100), 0.2, times)
    assert len(held) == 20 and times[kept].max() < times[held].min() and (np.diff(held) > 0).all()
    days = np.array(["2020-01-02", "2020-01-01", "2020-01-03"], "datetime64[D]")
    assert split_latest(np.arange(3), 0.3, days)[1].tolist() == [2]


def test_rows_of_one_time_are_never_parted() -> None:
    assert split_latest(np.arange(10), 0.2, np.repeat([1, 2], 5))[1].tolist() == [5, 6, 7, 8, 9]
    assert split_latest(np.arange(10), 0.2, np.array([1] + [2] * 9))[1].tolist() == list(range(1, 10))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_groups(np.arange(3), 0.5, 0, np.arange(2)), "groups has 2 values: expected 3"),
        (lambda: split_groups(np.arange(3), 0.5, 0, np.zeros(3)), "groups has 1 different values: expected two"),
        (lambda: split_groups(np.arange(3), 1.5, 0, np.arange(3)), "share is 1.5"),
        (lambda: split_latest(np.arange(3), 0.5, np.arange(2)), "times has 2 values: expected 3"),
        (lambda: split_latest(np.arange(3), 0.5, np.ones(3)), "times are all the same"),
        (lambda: split_latest(np.arange(3), 0.5, np.array([1, np.nan, 2])), "times has no value in row 1"),
        (lambda: split_latest(np.arange(2), 0.5, np.array(["NaT", "2020"], "M8[D]")), "times has no value in row 0"),
    ],
)
def test_groups_and_times_that_cannot_part_rows_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# --- On the command line ---


def visits(n: int = 300) -> Any:
    random = np.random.default_rng(0)
    size = random.normal(size=n)
    return pyarrow.table(
        {
            "shop": [f"s{i}" for i in random.integers(0, 30, n)],
            "day": np.datetime64("2020-01-01") + random.permutation(n),
            "size": size,
            "price": 2 * size + 1,
        }
    )


def job(table: Any, **options: Any) -> Job:
    return Job.of(Path("t.csv"), table, Use("price", **options), Reading())


@pytest.mark.parametrize("column", ["shop", "day"])
def test_the_command_holds_out_by_group_and_by_time(column: str) -> None:
    table = visits()
    found = job(table, **{"group" if column == "shop" else "time": column})
    assert found.choosing is not None and len(found.held_out) > 30 and len(found.choosing) > 20
    sizes = found.rows.table.column("size").to_pylist()
    chosen = np.array([sizes.index(size) for size in found.choosing.table.column("size").to_pylist()])
    parts = [found.training, chosen, found.held_out]
    assert sorted(np.concatenate(parts).tolist()) == list(range(300))
    values = [table.column(column).take(part).to_pylist() for part in parts]
    if column == "shop":
        assert "shop" not in found.rows.table.column_names
        assert not {*values[0]} & {*values[1]} and not {*values[0], *values[1]} & {*values[2]}
    else:
        assert max(values[0]) < min(values[1]) and max(values[1]) < min(values[2])
    estimator = found.estimator({"max_iter": 20})
    assert not found.fit(estimator, Console(quiet=True))
    numbers = found.measure(estimator, Console(quiet=True))
    assert numbers["r2"] > 0.9 and estimator.recipe_["held_out_rows"] == len(found.choosing)
    encoder = estimator._model.preprocessor.encoder
    assert encoder is not None and ("day" in [feature.name for feature in encoder.columns])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": "shop", "time": "day"}, "--group and --time are given both"),
        ({"group": "price"}, "--group is 'price', which is the target: expected another column"),
        ({"time": "when"}, "no column 'when', which --time names: found shop, day, size, price"),
        ({"time": "shop"}, "column 'shop' of --time has text: expected dates, times or numbers"),
    ],
)
def test_columns_that_cannot_part_a_table_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        job(visits(), **options)
