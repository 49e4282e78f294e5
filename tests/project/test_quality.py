"""The quality benchmark: what it measures, and how it counts its goals."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import quality_data
import quality_models
import quality_report
from helpers import normal
from quality_data import FOLDS, TABLES


def folds(measure: str, values: list[float], seconds: float) -> dict[str, dict[str, float]]:
    other = {"accuracy": "log_loss", "rmse": "r2"}[measure]
    return {str(i): {measure: value, other: 0.5, "seconds": seconds} for i, value in enumerate(values)}


def scores(ours: float, seconds: float) -> dict[str, Any]:
    """One table of classes and one of numbers: the peers have 0.9 or 9 with a standard error of 0.01."""
    spread = 0.01 * np.sqrt(5) * np.array([-1, -1, 0, 1, 1])
    return {
        "classes": {
            "steepest": folds("accuracy", [0.9 + ours] * 5, seconds),
            **{name: folds("accuracy", (0.9 + spread).tolist(), 10) for name in ("sklearn", "lightgbm", "realmlp")},
        },
        "numbers": {
            "steepest": folds("rmse", [9 - ours] * 5, seconds),
            **{name: folds("rmse", (9 + spread).tolist(), 10) for name in ("sklearn", "lightgbm", "realmlp")},
        },
    }


@pytest.mark.parametrize(
    ("ours", "seconds", "met"),
    [(0.001, 1, (2, 2, 2)), (0.001, 1.1, (2, 2, 0)), (-0.009, 1, (0, 2, 2)), (-0.011, 1, (0, 0, 0))],
)
def test_goals_are_counted(ours: float, seconds: float, met: tuple[int, ...]) -> None:
    lines = quality_report.goals(scores(ours, seconds))
    assert [line.split()[1] for line in lines] == [str(number) for number in met]
    assert all(("not on classes, numbers" in line) == line.startswith("- 0 of 2") for line in lines)


def test_a_goal_without_its_peer_is_not_counted() -> None:
    alone = {"classes": {"steepest": folds("accuracy", [0.9] * 5, 1)}}
    assert all(line.startswith("- 0 of 0 tables") for line in quality_report.goals(alone))


def test_the_report_has_a_row_for_each_model() -> None:
    result = {"machine": "M", "threads": 2, "versions": {"steepest": "1"}, "scores": scores(0.05, 1)}
    lines = quality_report.report(result, list(quality_models.MODELS))
    assert any(line.startswith("| classes | steepest | accuracy 0.95 ± ") for line in lines)
    assert "|  | sklearn | accuracy 0.9 ± 0.01 | 0.022 | log_loss 0.5 | 10 |" in lines
    assert "| numbers | steepest | rmse 8.95 ± 0 | 0 | r2 0.5 | 1 |" in lines
    assert lines[-3:] == quality_report.goals(result["scores"])


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
