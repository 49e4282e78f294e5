"""Labels and numbers to predict that the estimators take, and those they refuse: then nothing changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

import steepest as st
from helpers import WAYS_TO_FIT, kind_of, normal, refusal, spoilt, ways_to_fit

QUICK: dict[str, Any] = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
X = normal(0, (60, 3))
NUMBERS = X @ [1.0, -2.0, 3.0]
LABELS = (NUMBERS > 0).astype(int)
PRESETS = [None, "sklearn"]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def weights_of(model: Any) -> list[list[float]]:
    return [array.tolist() for array in model.coefs_ + model.intercepts_]


# --- Labels ---

CODINGS: dict[str, tuple[Any, list[Any]]] = {
    "text": (["b", "a"], ["a", "b"]),
    "fixed text": (np.array(["bb", "a"]), ["a", "bb"]),
    "text objects": (np.array(["b", "a"], object), ["a", "b"]),
    "booleans": ([True, False], [False, True]),
    "negative": ([7, -1], [-1, 7]),
    "gaps": ([2, 0], [0, 2]),
    "whole floats": ([3.0, 1.0], [1.0, 3.0]),
    "unsigned": (np.array([200, 100], np.uint8), [100, 200]),
    "number objects": (np.array([2, 1], object), [1, 2]),
    "category": (pd.Series(["y", "x"], dtype="category"), ["x", "y"]),
    "category in its own order": (pd.Series(["b", "a"], dtype=pd.CategoricalDtype(["b", "a", "c"])), ["a", "b"]),
    "category of numbers": (pd.Series([5, 3], dtype="category"), [3, 5]),
    "pandas text": (pd.Series(["b", "a"], dtype="string"), ["a", "b"]),
    "pandas integers": (pd.Series([9, 4], dtype="Int64"), [4, 9]),
    "pandas booleans": (pd.Series([True, False], dtype="boolean"), [False, True]),
    "arrow integers": (pd.Series([9, 4], dtype="int16[pyarrow]"), [4, 9]),
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("preset", PRESETS)
def test_labels_of_any_coding_train_the_same(coding: str, preset: str | None) -> None:
    """The larger label is the first of each pair."""
    pair, classes = CODINGS[coding]
    places = 1 - LABELS
    y = pair.take(places) if isinstance(pair, pd.Series) else np.asarray(pair)[places]
    y = y.tolist() if isinstance(pair, list) else y
    plain, model = (st.MLPClassifier(**QUICK, preset=preset).fit(X, labels) for labels in (LABELS, y))
    assert weights_of(model) == weights_of(plain)
    assert model.classes_.tolist() == classes
    assert {type(label) for label in model.classes_.tolist()} == {type(label) for label in classes}
    predicted = model.predict(X)
    assert predicted.dtype == model.classes_.dtype
    assert predicted.tolist() == [classes[place] for place in plain.predict(X)]
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    online = st.MLPClassifier(**QUICK, preset=preset).partial_fit(X, y, classes=classes)
    assert online.classes_.tolist() == classes


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (NUMBERS, "continuous"),
        (spoilt(LABELS, 7, 0.5), "continuous"),
        (spoilt(LABELS, 7, math.nan), "y contains NaN at row 7"),
        (spoilt(LABELS, 7, -math.inf), "y contains infinity.* at row 7"),
        (["a"] * 7 + [None] + ["b"] * 52, "y has None at row 7"),
        (["a"] * 7 + [math.nan] + ["b"] * 52, "y has nan at row 7"),
        (pd.Series(["a"] * 7 + [None] + ["b"] * 52), "y has nan at row 7"),
        (pd.Series(["a"] * 7 + [None] + ["b"] * 52, dtype="category"), "y has nan at row 7"),
        (pd.Series(["a"] * 7 + [None] + ["b"] * 52, dtype="string"), "y has <NA> at row 7"),
        (pd.Series([1] * 7 + [None] + [2] * 52, dtype="Int64"), "y has <NA> at row 7"),
        (pd.Series([True] * 7 + [None] + [False] * 52, dtype="boolean"), "y has <NA> at row 7"),
        (["a"] * 7 + [1] + ["b"] * 52, "y holds int, str: expected labels of one type"),
        ([None] * 60, "y has None at row 0"),
        ([[1, 2], [3, 4]] * 30, "several columns of classes"),
        (LABELS[:9], "inconsistent"),
        (LABELS[None], "inconsistent"),
        (None, "y to be passed"),
        ([], "0 sample"),
    ],
    ids=kind_of,
)
@pytest.mark.parametrize("way", WAYS_TO_FIT)
def test_what_is_no_label_is_refused(y: Any, message: str, way: str) -> None:
    model = st.MLPClassifier(**QUICK).fit(X, LABELS).partial_fit(X, LABELS)
    with refusal(model, message):
        ways_to_fit(model, (X, LABELS), X, y)[way]()


@pytest.mark.parametrize("y", [[1] * 60, ["a"] * 60, [True] * 60])
def test_one_class_is_refused(y: Any) -> None:
    model = st.MLPClassifier(**QUICK).fit(X, LABELS)
    with refusal(model, rf"y has 1 class, \[{y[0]!r}\]: expected at least two"):
        model.fit(X, y)


@pytest.mark.parametrize("preset", PRESETS)
def test_classes_that_come_later(preset: str | None) -> None:
    model = st.MLPClassifier(**QUICK, preset=preset)
    with refusal(model, "classes must be passed"):
        model.partial_fit([[1], [2]], ["a", "b"])
    model.partial_fit([[1], [2]], ["a", "b"], classes=["d", "a", "c", "b"])
    model.partial_fit([[4]], ["d"])
    model.partial_fit([[4]], ["d"], classes=["a", "b", "c", "d"])
    assert model.predict_proba([[1], [4]]).shape == (2, 4)
    np.testing.assert_allclose(model.predict_proba([[1], [4], [9]]).sum(axis=1), 1, rtol=1e-6)
    for classes in (["a", "b", "c"], ["a", "b", "c", "e"], [0, 1, 2, 3]):
        with refusal(model, "not the same as on last call"):
            model.partial_fit([[4]], ["d"], classes=classes)
    with refusal(model, r"y has the class 'e': expected one of \['a', 'b', 'c', 'd'\]"):
        model.partial_fit([[4]], ["e"])


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a"], r"classes has 1 class, \['a'\]: expected at least two"),
        ([], r"classes has 0 class, \[\]: expected at least two"),
        (["a", None], "classes has None at row 1"),
        ([0, math.nan], "none of them missing"),
        (["a", 1], "classes holds int, str"),
        (2, "expected a list of labels"),
        ([[0, 1]], "expected a list of labels"),
        (["a", "b"], "y has the class 0"),
    ],
    ids=kind_of,
)
def test_classes_must_be_labels(classes: Any, message: str) -> None:
    with refusal(model := st.MLPClassifier(**QUICK), message):
        model.partial_fit(X, LABELS, classes=classes)
    assert not hasattr(model, "classes_")


def test_indicators_are_no_classes() -> None:
    y = np.column_stack([LABELS, 1 - LABELS, LABELS])
    model = st.MLPClassifier(**QUICK).partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    assert model.predict_proba(X).shape == model.predict(X).shape == (60, 3)
    for other in (LABELS, y[:, :2]):
        with refusal(model, "expected the same kind as before"):
            model.partial_fit(X, other)


# --- Targets as a row, a column, a table ---


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_column_of_targets_is_its_row(method: str, preset: str | None) -> None:
    def train(y: Any) -> Any:
        return getattr(st.MLPRegressor(**QUICK, preset=preset), method)(X, y)

    row = train(NUMBERS)
    for form in (NUMBERS.tolist(), pd.Series(NUMBERS), pd.Series(NUMBERS, dtype="Float64")):
        assert weights_of(train(form)) == weights_of(row)
    for form in (NUMBERS[:, None], pd.DataFrame({"y": NUMBERS})):
        with pytest.warns(DataConversionWarning) as caught:
            column = train(form)
        assert [warning.category for warning in caught].count(DataConversionWarning) == 1
        assert weights_of(column) == weights_of(row)
        assert column.predict(X).shape == (60,)
    table = train(np.column_stack([NUMBERS] * 3))
    assert table.predict(X).shape == (60, 3)


@pytest.mark.parametrize("way", WAYS_TO_FIT)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (NUMBERS[:9], "inconsistent"),
        (NUMBERS[None], "inconsistent"),
        (NUMBERS.repeat(4).reshape(60, 2, 2), "dim 3"),
        (spoilt(NUMBERS, 7, math.nan), "y contains NaN at row 7"),
        (spoilt(NUMBERS, 7, math.inf), "y contains infinity.* at row 7"),
        (spoilt(np.column_stack([NUMBERS] * 2), (7, 1), math.nan), "y contains NaN at row 7, column 1"),
        (spoilt(NUMBERS, 7, None, object), "y has None at row 7.*expected numbers"),
        (pd.Series(NUMBERS, dtype="Float64").where(np.arange(60) != 7), "y (has <NA>|contains NaN) at row 7"),
        (np.array(["a", "b"])[LABELS], "y has '[ab]' at row 0.*expected numbers; MLPClassifier takes labels"),
        (pd.Series(np.array(["a", "b"])[LABELS]), "expected numbers; MLPClassifier takes labels"),
        (NUMBERS + 1j, "Complex"),
        (None, "y to be passed"),
    ],
    ids=kind_of,
)
def test_what_is_no_number_to_predict_is_refused(y: Any, message: str, way: str) -> None:
    model = st.MLPRegressor(**QUICK).fit(X, NUMBERS).partial_fit(X, NUMBERS)
    with refusal(model, message):
        ways_to_fit(model, (X, NUMBERS), X, y)[way]()


def test_other_numbers_of_columns_are_refused() -> None:
    model = st.MLPRegressor(**QUICK, warm_start=True).fit(X, NUMBERS)
    for way in ("fit", "partial_fit"):
        with refusal(model, "y has 3 columns: expected 1, as before"):
            ways_to_fit(model, (X, NUMBERS), X, np.column_stack([NUMBERS] * 3))[way]()
