"""Estimators on tables that go wrong elsewhere, by their numbers: gaps, outliers, many labels, many features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from sklearn.datasets import make_classification
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score

import steepest as st
from helpers import normal
from steepest.estimators import _preprocess
from steepest.estimators._classification import Classification
from steepest.tables import DataWarning

QUICK: dict[str, Any] = {"hidden_layer_sizes": (16,), "max_iter": 10, "random_state": 0}
X = pd.DataFrame(normal(0, (300, 4)), columns=list("abcd"))
Y = (X["a"] + X["b"] > 0).astype(int).to_numpy()
GAP = X.copy()
GAP.iloc[0, 0] = np.nan
NONE = GAP.astype(object)
NONE.iloc[0, 0] = None
FORMS = {"float": GAP, "object": NONE, "nullable": GAP.convert_dtypes(), "polars": pl.from_pandas(GAP)}


@pytest.mark.parametrize("form", FORMS)
def test_t01_a_frame_fitted_without_a_gap_predicts_one_with_a_gap(form: str) -> None:
    model = st.MLPClassifier(**QUICK, early_stopping=False).fit(X, Y)
    filled = X.copy()
    filled.iloc[0, 0] = X["a"].median()
    np.testing.assert_array_equal(model.predict_proba(FORMS[form]), model.predict_proba(filled))


@pytest.mark.parametrize("form", ["float", "object", "nullable"])
def test_t01_gaps_in_every_path(form: str) -> None:
    frame = FORMS[form]
    model = st.MLPClassifier(**QUICK)
    assert cross_val_score(model, frame, Y, cv=3, error_score="raise").min() > 0.7
    assert GridSearchCV(model, {"alpha": [1e-4]}, cv=3, error_score="raise").fit(frame, Y).best_score_ > 0.7
    model.fit(X, Y, eval_set=(frame, Y)).partial_fit(frame, Y)
    model.set_params(warm_start=True).fit(frame, Y)
    assert model.recipe_["features"] == "standardized"


def test_t01_what_is_no_gap_is_refused() -> None:
    model = st.MLPClassifier(**QUICK).fit(X, Y)
    infinite, text = GAP.copy(), NONE.copy()
    infinite.iloc[3, 1] = np.inf
    text["a"] = "x"
    for frame, message in (
        (infinite, "column 'b' is infinite in row 3"),
        (text, "column 'a'"),
        (GAP[list("bacd")], "feature names"),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict(frame)
    plain = st.MLPClassifier(**QUICK).fit(X.to_numpy(), Y)
    with pytest.raises(ValueError, match="NaN"):
        plain.predict(GAP.to_numpy())


@pytest.mark.parametrize("kind", ["array", "frame"])
@pytest.mark.parametrize("spoilt", ["outlier", "sentinel"])
def test_t06_no_column_is_blinded(kind: str, spoilt: str) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(1500, 3))
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    bad = x.copy()
    if spoilt == "outlier":
        bad[3, 0] = 1e6
    else:
        bad[:1000][draw.random((1000, 3)) < 0.05] = -9999

    def score(rows: Any) -> float:
        rows = pd.DataFrame(rows, columns=list("abc")).assign(t="x") if kind == "frame" else rows
        model = st.MLPClassifier(random_state=0, ensemble=1, max_iter=15).fit(rows[:1000], y[:1000])
        return float(model.score(rows[1000:], y[1000:]))

    assert score(bad) > score(x) - 0.02


def test_t06_a_sentinel_in_every_column_costs_no_more_than_missing_values() -> None:
    x, y = make_classification(1500, 10, n_informative=6, n_redundant=2, class_sep=1.5, random_state=0)
    bad = np.where(np.random.default_rng(0).random(x.shape) < 0.05, -9999.0, x)
    gaps = pd.DataFrame(np.where(bad == -9999, np.nan, bad))

    def score(rows: Any) -> float:
        return float(cross_val_score(st.MLPClassifier(random_state=0), rows, y, cv=3, error_score="raise").mean())

    assert score(bad) > max(score(gaps) - 0.01, score(x) - 0.02)


def test_t06_a_sentinel_is_one_in_any_holder() -> None:
    x = normal(3, (400, 3))
    y = (x[:, 0] > 0).astype(int)
    x[:20, 0] = x[10:30, 2] = 1e20
    frame = pd.DataFrame(x, columns=list("abc"))
    model = st.MLPClassifier(**QUICK).fit(x, y)
    of_frame = st.MLPClassifier(**QUICK).fit(frame, y)
    expected = model.predict_proba(x)
    np.testing.assert_array_equal(of_frame.predict_proba(frame), expected)
    for rows in (x.astype(np.float32), x.tolist(), scipy.sparse.csr_matrix(x)):
        np.testing.assert_allclose(model.predict_proba(rows), expected, rtol=1e-4)
    for i in (0, 15, 200):
        np.testing.assert_allclose(model.predict_proba(x[i : i + 1]), expected[i : i + 1], rtol=1e-5)
    missing = frame.mask(frame == 1e20)
    np.testing.assert_array_equal(of_frame.predict_proba(missing), expected)
    encoder = model._model.preprocessor.encoder
    assert encoder is not None
    assert str(encoder.describe()).count("1e+20 in ") == 2
    assert st.MLPClassifier(**QUICK, encode="numbers").fit(x, y)._model.preprocessor.encoder is None


@pytest.mark.parametrize("make", [np.asarray, lambda x: pd.DataFrame(x, columns=["a", "b"]), pl.DataFrame])
def test_t06_a_sentinel_in_a_first_batch(make: Any) -> None:
    x, y, spoilt = spoilt_rows()
    model = st.MLPClassifier(random_state=0)
    for _ in range(4):
        for start in range(0, len(x), 200):
            model.partial_fit(make(spoilt[start : start + 200]), y[start : start + 200], classes=[0, 1])
    assert model.score(make(spoilt), y) > 0.9


def spoilt_rows() -> tuple[Any, Any, Any]:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(2000, 2))
    return x, (x.sum(axis=1) > 0).astype(int), np.where(draw.random(x.shape) < 0.05, -9999.0, x)


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_t06_an_estimator_of_arrays_has_the_same_rules_with_a_sentinel() -> None:
    x, y, spoilt = spoilt_rows()
    usual, model = (st.MLPClassifier(**QUICK | {"max_iter": 2}).fit(rows, y) for rows in (x, spoilt))
    expected = model.predict_proba(spoilt)
    for rows in (pd.DataFrame(spoilt), pl.DataFrame(spoilt), spoilt.tolist(), scipy.sparse.csr_matrix(spoilt)):
        np.testing.assert_array_equal(model.predict_proba(rows), expected)
    dates = np.array([["2020-01-01", "NaT"]], "datetime64[D]")
    for bad in (
        dates,
        x[:, :1],
        np.ones((1, 3)),
        np.full((1, 2), np.nan),
        np.full((9, 2), np.inf),
        np.ma.masked_less(x, 0),
    ):
        words = []
        for each in (usual, model):
            with pytest.raises((TypeError, ValueError)) as error:
                each.predict(bad)
            words.append(f"{type(error.value).__name__} {error.value}")
        assert words[0] == words[1]
    for rows in (spoilt[:0], pd.DataFrame(spoilt[:0])):
        assert model.predict(rows).shape == (0,)
    for rows in (pd.DataFrame(spoilt), scipy.sparse.csr_matrix(spoilt), spoilt):
        model.partial_fit(rows, y)
    for rows in (x, pd.DataFrame(spoilt)):
        st.MLPClassifier(**QUICK | {"max_iter": 1}).fit(spoilt, y, eval_set=(rows, y))


@pytest.mark.parametrize("kind", ["array", "frame"])
def test_t05_features_made_by_batches_train_to_the_same_bits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = normal(0, (2200, 3))
    y = x[:, 0] * x[:, 1]
    rows: Any = pd.DataFrame(x, columns=list("abc")).assign(t=["u", "v", "w", "u"] * 550) if kind == "frame" else x
    found = []
    for limit in (_preprocess._AT_ONCE, 0):
        monkeypatch.setattr(_preprocess, "_AT_ONCE", limit)
        model = st.MLPRegressor(**QUICK | {"max_iter": 2}).fit(rows, y)
        found.append([*model.coefs_, model.predict(rows), model.history_["val_loss"]])
    for at_once, by_batches in zip(*found, strict=True):
        np.testing.assert_array_equal(at_once, by_batches)


def test_t23_text_with_thousands_of_labels() -> None:
    draw = np.random.default_rng(0)
    city = draw.integers(0, 1000, 12_000)
    p = 1 / (1 + np.exp(-1.6 * draw.normal(size=1000)[city]))
    y = (draw.random(12_000) < p).astype(int)
    frame = pd.DataFrame({"city": [f"c{i}" for i in city], "x": draw.normal(size=12_000)})
    model = st.MLPClassifier(**QUICK | {"max_iter": 4}).fit(frame[:9000], y[:9000])
    best, found = (roc_auc_score(y[9000:], of[9000:]) for of in (p, model.predict_proba(frame)[:, 1]))
    assert found > best - 0.06


def test_t23_an_id_is_named_by_an_estimator() -> None:
    with pytest.warns(DataWarning, match="column 'id': left out as an id") as caught:
        st.MLPClassifier(**QUICK).fit(X.assign(id=[f"u{i}" for i in range(300)]), Y)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("form", ["array", "csr", "frame", "frame with text"])
def test_t15_no_rows_give_no_predictions(form: str) -> None:
    rows: dict[str, Any] = {
        "array": X.to_numpy(), "csr": scipy.sparse.csr_matrix(X.to_numpy()), "frame": X,
        "frame with text": X.assign(t="x"),
    }  # fmt: skip
    classes = st.MLPClassifier(**QUICK).fit(rows[form], Y)
    assert classes.predict(rows[form][:0]).shape == (0,)
    assert classes.predict_proba(rows[form][:0]).shape == (0, 2)
    assert st.MLPRegressor(**QUICK).fit(rows[form], Y).predict(rows[form][:0]).shape == (0,)


def test_t17_many_classes_stay_places() -> None:
    y = np.arange(3000) % 1000
    task = Classification(np.arange(1000), multilabel=False, logistic=False)
    found = task.trained(task.encode(y), 0.0)
    assert found.shape == (3000,) and found.dtype == np.int64


def test_t26_a_dict_is_one_row(tmp_path: Any) -> None:
    frame = X.assign(t=["u", "v", "w"] * 100)
    st.MLPClassifier(**QUICK).fit(frame, Y).save(tmp_path / "model")
    model: Any = st.load(tmp_path / "model")
    expected = model.predict_proba(frame[5:6])
    assert np.array_equal(model.predict_proba(frame.iloc[5].to_dict()), expected)
    assert np.array_equal(model.predict_proba(frame[4:8])[1:2], expected)
