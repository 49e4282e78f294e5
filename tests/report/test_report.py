"""The report of `steepest evaluate`: its numbers against plain NumPy, and its page."""

from __future__ import annotations

import re

import numpy as np
import pyarrow
import pytest

import steepest as st
from helpers import normal

pytest.importorskip("matplotlib", reason="the report's charts need matplotlib")

from steepest.report import report_page
from steepest.report._measures import calibration, confusion, permutation_importance


def test_confusion_counts_true_classes_down_and_predicted_ones_across() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    found = confusion(["a", "b", "c"], truth, predicted, most=3)
    assert found.names == ["a", "b", "c"]
    for i, j in np.ndindex(3, 3):
        assert found.counts[i, j] == np.sum((truth == i) & (predicted == j))


def test_rare_classes_are_counted_together() -> None:
    truth, predicted = np.array([0, 1, 1, 2, 3, 3, 3, 4]), np.array([0, 1, 3, 4, 3, 3, 2, 0])
    found = confusion(list("abcde"), truth, predicted, most=3)
    assert found.names == ["b", "d", "other"]
    assert found.counts.tolist() == [[1, 1, 0], [0, 2, 1], [0, 0, 3]]


def test_calibration_is_the_mean_of_bins_of_equal_size() -> None:
    said = np.random.default_rng(1).random(103)
    came = (said > 0.4).astype(np.float64)
    found = calibration(said, came)
    order = np.argsort(said)
    assert found.rows.sum() == 103 and set(found.rows.tolist()) == {10, 11}
    first = order[: found.rows[0]]
    assert found.said[0] == pytest.approx(said[first].mean()) and found.came[0] == came[first].mean()
    expected = sum(n * abs(a - b) for n, a, b in zip(found.rows, found.said, found.came, strict=True)) / 103
    assert found.error == pytest.approx(expected)


def test_calibration_of_few_rows_has_few_bins() -> None:
    assert calibration(np.array([0.1, 0.9]), np.array([0.0, 1.0])).rows.tolist() == [1, 1]


@pytest.fixture(scope="module")
def numbers() -> tuple[st.MLPRegressor, pyarrow.Table, np.ndarray]:
    x = normal(0, (400, 3))
    y = 3 * x[:, 0] + 0.5 * x[:, 1] + 100
    table = pyarrow.table({"strong": x[:, 0], "weak": x[:, 1], "noise": x[:, 2]})
    return st.MLPRegressor(random_state=0, max_iter=30).fit(table, y), table, y


@pytest.fixture(scope="module")
def classes() -> tuple[st.MLPClassifier, pyarrow.Table, np.ndarray]:
    x = normal(1, (400, 2))
    y = np.where(x[:, 0] > 0.5, "yes & <b>", np.where(x[:, 0] < -0.5, "no", "perhaps"))
    table = pyarrow.table({"size <i>": x[:, 0], "kind": np.where(x[:, 1] > 0, "p", "q")})
    return st.MLPClassifier(random_state=0, max_iter=20).fit(table, y), table, y


def test_importance_is_what_is_lost_where_a_column_is_shuffled(
    numbers: tuple[st.MLPRegressor, pyarrow.Table, np.ndarray],
) -> None:
    model, table, y = numbers
    found = permutation_importance(model, table, y, seed=0)
    assert found.names == ["strong", "weak", "noise"] and found.n_rows == 400
    # Shuffling a column of y = a x + ... leaves twice its share of the variance unexplained.
    assert found.lost[0] == pytest.approx(2 * 9 / 9.25, abs=0.25)
    assert found.lost[0] > 10 * found.lost[1] > 50 * abs(found.lost[2])
    again = permutation_importance(model, table, y, seed=0)
    assert np.array_equal(found.lost, again.lost)


def test_importance_of_an_array_is_that_of_its_table(
    numbers: tuple[st.MLPRegressor, pyarrow.Table, np.ndarray],
) -> None:
    _, table, y = numbers
    x = np.column_stack([column.to_numpy() for column in table.columns])
    model = st.MLPRegressor(random_state=0, max_iter=30).fit(x, y)
    before = x.copy()
    found = permutation_importance(model, x, y, seed=0)
    assert found.names == ["f0", "f1", "f2"] and found.lost.argmax() == 0
    assert np.array_equal(x, before)


def page_of(model: st.MLPClassifier | st.MLPRegressor, table: pyarrow.Table, y: np.ndarray, seed: int = 0) -> str:
    return report_page(model, table, y, target="outcome", numbers={"r2": 0.5}, source="A model & rows.", seed=seed)


def test_page_of_classes(classes: tuple[st.MLPClassifier, pyarrow.Table, np.ndarray]) -> None:
    page = page_of(*classes)
    found = re.findall(r"<h2[^>]*>([^<]*)</h2>", page)
    assert found[1:] == [
        "In short", "Which classes are mixed up", "How sure it may be", "What it listens to", "How it was trained",
        "What it is told",
    ]  # fmt: skip
    assert "yes &amp; &lt;b&gt;" in page and "<b>" not in page and "<i>" not in page
    assert page_of(*classes) == page


def test_page_of_numbers(numbers: tuple[st.MLPRegressor, pyarrow.Table, np.ndarray]) -> None:
    page = page_of(*numbers)
    for name in ("predicted", "calibration", "importance", "course"):
        assert page.count(f'id="{name}-chart"') >= 1 and f'id="{name}-chart-narrow"' in page
    assert "Right on average" in page and "http" not in page.replace("http-equiv", "")


def test_page_of_a_model_without_epochs() -> None:
    x = normal(2, (60, 2))
    model = st.MLPRegressor(solver="lbfgs", hidden_layer_sizes=(4,)).fit(x, x[:, 0])
    page = report_page(model, x, x[:, 0], target="y", numbers={}, source="Arrays.")
    assert "without epochs that could be shown" in page
