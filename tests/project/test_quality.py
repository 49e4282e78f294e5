"""The quality benchmark: what it measures, and how it counts its goals."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import quality
import quality_data
import quality_models
import quality_ranks
import quality_report
import quality_tuned
from helpers import normal
from quality_data import FOLDS, TABLES
from quality_goals import goals

OURS = ("steepest", "steepest best", "steepest fast")
PEERS = ("sklearn", "lightgbm", "lightgbm tuned", "catboost", "realmlp")


def folds(measure: str, values: list[float], seconds: float, other: float = 0.5) -> dict[str, dict[str, float]]:
    names = (measure, {"accuracy": "log_loss", "rmse": "r2"}[measure], "seconds", "predict seconds")
    return {str(i): dict(zip(names, (value, other, seconds, 0.25), strict=True)) for i, value in enumerate(values)}


def scores(ours: float, seconds: float, other: float = 0.5) -> dict[str, Any]:
    """One table of classes and one of numbers: the peers have 0.9 or 9 with a standard error of 0.01."""
    spread = 0.01 * np.sqrt(5) * np.array([-1, -1, 0, 1, 1])
    return {
        "classes": {
            **{name: folds("accuracy", [0.9 + ours] * 5, seconds, other) for name in OURS},
            **{name: folds("accuracy", (0.9 + spread).tolist(), 10) for name in PEERS},
        },
        "numbers": {
            **{name: folds("rmse", [9 - ours] * 5, seconds, other) for name in OURS},
            **{name: folds("rmse", (9 + spread).tolist(), 10) for name in PEERS},
        },
    }


@pytest.mark.parametrize(
    ("ours", "seconds", "met"),
    [
        (0.001, 1, (2, 2, 2, 2, 2, 2, 2)),
        (0.001, 1.1, (2, 0, 2, 2, 2, 2, 2)),
        (-0.009, 1, (2, 2, 2, 2, 2, 0, 2)),
        (-0.011, 1, (0, 0, 0, 0, 0, 0, 0)),
    ],
)
def test_goals_are_counted(ours: float, seconds: float, met: tuple[int, ...]) -> None:
    lines = goals(scores(ours, seconds))[:-1]
    assert [line.split()[1] for line in lines] == [str(number) for number in met]
    assert all(("not on classes, numbers" in line) == line.startswith("- 0 of 2") for line in lines)


@pytest.mark.parametrize(("other", "missed"), [(0.4, "numbers"), (0.6, "classes"), (0.5, "classes, numbers")])
def test_of_log_loss_less_is_better_and_of_r2_more(other: float, missed: str) -> None:
    assert goals(scores(0, 1, other))[-1].endswith(f"a better log loss or r2 (goal: 9 of 13); not on {missed}.")


def test_a_goal_without_its_peer_is_left_out() -> None:
    alone = {"classes": {"steepest": folds("accuracy", [0.9] * 5, 1)}}
    assert goals(alone) == []


def test_models_are_compared_on_the_folds_that_both_have() -> None:
    ours, peer = folds("accuracy", [0.5, 0.5, 0.9], 1), folds("accuracy", [0.6, 0.6], 10)
    assert goals({"t": {"steepest": ours, "lightgbm": peer}})[0].startswith("- 0 of 1 tables")
    assert goals({"t": {"steepest": {"2": ours["2"]}, "lightgbm": peer}}) == []


def test_ranks() -> None:
    found = {
        "classes": {"a": folds("accuracy", [0.9, 0.9], 1), "b": folds("accuracy", [0.8, 0.8, 1], 1)},
        "numbers": {"a": folds("rmse", [9], 1), "b": folds("rmse", [8], 1), "c": folds("rmse", [8], 1)},
        "nothing yet": {},
    }
    assert quality_ranks.ranks(found) == {"a": [1, 3], "b": [2, 1.5], "c": [1.5]}
    assert quality_ranks.wins(found, ["a", "b", "c"]).tolist() == [[0, 2, 0], [1, 0, 0.5], [1, 0.5, 0]]
    lines = quality_ranks.table(found, ["a", "b", "c"])
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| c", "| a", "| b"]
    assert lines[-1].startswith("| b | 2 | 1.75 | ") and lines[-1].endswith(" | 33 |  | 50 |")
    assert quality_ranks.table({}, ["a"]) == []


def test_ratings_are_the_odds_of_winning() -> None:
    # With the drawn fold of each pair: three to one against the next, and nine to one against the last but one.
    count = np.array([[0, 14.5, 8.5], [4.5, 0, 14.5], [0.5, 4.5, 0]])
    points = quality_ranks.ratings(count)
    assert points.mean() == pytest.approx(1000) and np.diff(points) == pytest.approx(2 * [-400 * np.log10(3)])
    assert np.isfinite(quality_ranks.ratings(np.array([[0.0, 5, 0], [0, 0, 0], [0, 0, 0]]))).all()


def test_the_report_has_a_row_for_each_model() -> None:
    found = scores(0.05, 1)
    del found["numbers"]["sklearn"]["4"]
    result = {"machine": "M", "threads": 2, "versions": {"steepest": "1", "steepest best": "1"}, "scores": found}
    lines = quality_report.report(result, list(quality_models.MODELS))
    assert lines[0] == "M, 2 threads. steepest 1."
    assert any(line.startswith("| classes | steepest | accuracy 0.95 ± ") for line in lines)
    assert "|  | sklearn | accuracy 0.9 ± 0.01 | log_loss 0.5 | 10 | 0.25 |" in lines
    assert "| numbers | steepest | rmse 8.95 ± 0 | r2 0.5 | 1 | 0.25 |" in lines
    assert any(line.startswith("|  | sklearn | rmse ") and ", 4 of 5 folds |" in line for line in lines)
    assert lines[-len(goals(found)) :] == goals(found)


def test_measures() -> None:
    labels, truth = np.array(["a", "b", "c"]), np.array(["a", "c", "c", "b"])
    shares = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.3, 0.3], [0.0, 1.0, 0.0]])
    found = quality_models.measure(shares, truth, labels)
    assert found["accuracy"] == 0.75 and found["log_loss"] == pytest.approx(metrics.log_loss(truth, shares))
    said, numbers = normal(0, (20,)), normal(1, (20,))
    assert quality_models.measure(said, numbers, None) == {
        "rmse": pytest.approx(metrics.root_mean_squared_error(numbers, said)),
        "r2": pytest.approx(metrics.r2_score(numbers, said)),
    }


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("model", ["steepest", "sklearn"])
@pytest.mark.parametrize("table", ["wine", "diabetes"])
def test_a_fold_of_each_kind(model: str, table: str) -> None:
    found = quality_models.run(model, table, 0)
    assert found.get("accuracy", 0) > 0.9 or found.get("r2", 0) > 0.15
    assert found["seconds"] > 0 and found["predict seconds"] > 0


def test_frames_with_text_and_gaps(monkeypatch: pytest.MonkeyPatch, shared_data: Path) -> None:
    assert shared_data.samefile(quality_data._SHARED)
    housing = TABLES["California housing"]()
    assert housing.x.isna().any(axis=None) and quality_models._text_columns(housing.x) == ["ocean_proximity"]
    assert len(list(housing.folds())) == FOLDS
    few = housing._replace(x=housing.x[:600], y=housing.y[:600])
    monkeypatch.setattr(quality_models, "_read", lambda table: few)
    assert quality_models.run("steepest", "California housing", 0)["r2"] > 0.5


def test_a_preset_that_is_unknown_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(quality_models.MODELS, "steepest best", partial(quality_models.steepest, preset="bests"))
    assert "bests" in quality_models.start("steepest best")
    monkeypatch.setitem(quality_models.MODELS, "steepest", lambda rows, seed: int("an error of another kind"))
    with pytest.raises(ValueError, match="an error of another kind"):
        quality_models.start("steepest")


def test_only_known_names_are_chosen() -> None:
    assert quality._chosen("1,,0", "012") == ["1", "0"]
    with pytest.raises(SystemExit, match="'3': expected some of 0, 1, 2"):
        quality._chosen("0,3", "012")


@pytest.mark.parametrize(
    ("name", "shape", "targets"),
    [
        ("abalone", (4177, 8), (1, 29)),
        ("bank_marketing", (45211, 16), [39922, 5289]),
        ("beijing_pollution", (41757, 11), (0, 994)),
        ("german_credit", (1000, 20), [700, 300]),
        ("hypothyroid", (3772, 29), [194, 3481, 95, 2]),
        ("phoneme", (5404, 5), [3818, 1586]),
        ("wine_white", (4898, 11), (3, 9)),
    ],
)
def test_tables(name: str, shape: tuple[int, int], targets: Any, shared_data: Path) -> None:
    table = TABLES[name]()
    assert table.x.shape == shape and len(table.y) == len(table.x) and table.classes == isinstance(targets, list)
    assert (np.bincount(table.y).tolist() if table.classes else (table.y.min(), table.y.max())) == targets


def test_folds_of_a_table_in_time_go_forward(shared_data: Path) -> None:
    table = TABLES["beijing_pollution"]()
    hours = table.x[["year", "month", "day", "hour"]] @ [32 * 12 * 24, 32 * 24, 24, 1]
    assert (np.diff(hours) > 0).all()
    folds = list(table.folds())
    assert len(folds) == FOLDS and all(train.max() < test.min() for train, test in folds)
    assert np.concatenate([test for _, test in folds]).tolist() == list(range(folds[0][1][0], len(table.y)))


def test_candidates_are_in_the_published_space() -> None:
    drawn = [quality_tuned.candidate(np.random.default_rng(seed)) for seed in range(200)]
    spaces = {"learning_rate": (np.exp(-7), 1), "num_leaves": (2, 1097), "min_data_in_leaf": (1, 403)}
    spaces |= {name: (0.5, 1) for name in ("feature_fraction", "bagging_fraction")}
    spaces |= {name: (0, np.exp(2)) for name in ("lambda_l1", "lambda_l2")}
    for name, (low, high) in spaces.items():
        values = [params[name] for params in drawn]
        assert low <= min(values) < max(values) <= high


@pytest.mark.parametrize("table", ["wine", "breast cancer", "diabetes"])
def test_the_search(table: str) -> None:
    pytest.importorskip("lightgbm", reason="needs lightgbm, which is not installed")
    rows = TABLES[table]()
    train, test = next(rows.folds())
    found = quality_tuned.fit(rows.rows(train), 0, candidates=3)(rows.x.iloc[test])
    measured = quality_models.measure(found, rows.y[test], np.unique(rows.y) if rows.classes else None)
    assert measured.get("accuracy", 0) > 0.85 or measured.get("r2", 0) > 0.1
