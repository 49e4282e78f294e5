"""The estimators: scikit-learn's own checks, its tools, its trajectory, and what goes beyond it."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn import neural_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import AdaBoostClassifier, AdaBoostRegressor, BaggingRegressor
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import steepest as st
from helpers import normal

QUICK: dict[str, Any] = {"hidden_layer_sizes": (16,), "max_iter": 20, "random_state": 0}
IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


@parametrize_with_checks([st.MLPClassifier(), st.MLPRegressor()])
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "two outputs"])
@pytest.mark.parametrize("nesterov", [True, False])
def test_the_preset_follows_scikit_learn(kind: str, activation: str, nesterov: bool) -> None:
    x = normal(0, (120, 5))
    y = {
        "binary": x[:, 0] > 0,
        "multiclass": np.digitize(x[:, 0], [-0.5, 0.5]),
        "multilabel": (x[:, :3] > 0).astype(int),
        "regression": x @ np.arange(5.0),
        "two outputs": x[:, :2] * 2,
    }[kind]
    name = "MLPRegressor" if kind in ("regression", "two outputs") else "MLPClassifier"
    options: dict[str, Any] = {
        "hidden_layer_sizes": (12, 7), "activation": activation, "solver": "sgd", "learning_rate_init": 0.01,
        "batch_size": 40, "max_iter": 34, "shuffle": False, "random_state": 3, "nesterovs_momentum": nesterov,
    }  # fmt: skip
    for alpha in (0.01, 1e-4):
        theirs = getattr(neural_network, name)(**options, alpha=alpha).fit(x, y)
        ours = getattr(st, name)(**options, alpha=alpha, preset="sklearn").fit(x, y)
        for mine, other in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-5, rtol=0)
    # With the default alpha: how the penalty moves within an epoch is interpolated.
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, atol=1e-5, rtol=0)
    assert (ours.n_iter_, ours.t_, ours.n_layers_, ours.n_outputs_, ours.out_activation_) == (
        theirs.n_iter_, theirs.t_, theirs.n_layers_, theirs.n_outputs_, theirs.out_activation_,
    )  # fmt: skip
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_preset_keeps_the_dtype(dtype: str) -> None:
    x, y = DIABETES[0].astype(dtype), DIABETES[1].astype(dtype)
    model = st.MLPRegressor(hidden_layer_sizes=(4,), max_iter=5000, tol=1e9, preset="sklearn").fit(x, y)
    assert model.predict(x).dtype == model.network_.dtype == dtype


def test_the_default_is_good() -> None:
    assert cross_val_score(st.MLPClassifier(random_state=0), *IRIS, cv=3).mean() > 0.92
    assert cross_val_score(st.MLPRegressor(random_state=0), *DIABETES, cv=3).mean() > 0.3
    assert {"optimizer", "batch_size", "held_out_rows"} <= st.MLPClassifier(max_iter=1).fit(*IRIS).recipe_.keys()


def test_scikit_learn_tools() -> None:
    classifier, regressor = st.MLPClassifier(**QUICK), st.MLPRegressor(**QUICK)
    grid = GridSearchCV(make_pipeline(StandardScaler(), classifier), {"mlpclassifier__alpha": [0.01, 0.1]}, cv=2)
    assert grid.fit(*IRIS).best_score_ > 0.5
    for model in (CalibratedClassifierCV(classifier, cv=2), AdaBoostClassifier(classifier, n_estimators=2)):
        assert model.fit(*IRIS).score(*IRIS) > 0.5
    for model in (BaggingRegressor(regressor, n_estimators=2), AdaBoostRegressor(regressor, n_estimators=2)):
        assert model.fit(*DIABETES).predict(DIABETES[0]).shape == (442,)
    fitted = regressor.fit(*DIABETES)
    for twin in (pickle.loads(pickle.dumps(fitted)), clone(regressor).fit(*DIABETES)):
        np.testing.assert_array_equal(twin.predict(DIABETES[0]), fitted.predict(DIABETES[0]))


@pytest.mark.parametrize("labels", [["a", "b", "c"], [-3, 0, 9], [1.0, 2.0, 7.0], np.array([5, 6, 200], np.uint8)])
def test_labels_of_every_kind(labels: Any) -> None:
    y = np.asarray(labels)[IRIS[1]]
    model = st.MLPClassifier(**QUICK).fit(IRIS[0], y)
    assert model.predict(IRIS[0]).dtype == y.dtype
    assert model.score(IRIS[0], y) > 0.8


def test_boolean_and_column_targets() -> None:
    model = st.MLPClassifier(**QUICK).fit(IRIS[0], IRIS[1] > 0)
    assert model.predict(IRIS[0][:1]).tolist() == [False]
    with pytest.warns(DataConversionWarning):
        model.fit(IRIS[0], IRIS[1].reshape(-1, 1))
    assert model.predict(IRIS[0]).shape == (150,)


@pytest.mark.filterwarnings("ignore:y has one row only of the class 1:UserWarning")
@pytest.mark.parametrize(("n", "early_stopping"), [(2, None), (3, None), (3, True), (9, None), (9, True), (51, True)])
def test_few_rows(n: int, early_stopping: bool | None) -> None:
    y = np.arange(n) % 2
    assert st.MLPClassifier(**QUICK, early_stopping=early_stopping).fit(IRIS[0][:n], y).n_outputs_ == 2
    assert st.MLPRegressor(**QUICK, early_stopping=early_stopping).fit(IRIS[0][:n], y).predict(IRIS[0][:1]).shape == (
        1,
    )


def test_a_class_with_one_row() -> None:
    y = np.where(np.arange(150) == 7, 5, IRIS[1])
    assert st.MLPClassifier(**QUICK).fit(IRIS[0], y).classes_.tolist() == [0, 1, 2, 5]


def test_partial_fit() -> None:
    names = np.array(["a", "b", "c"])[IRIS[1]]
    model = st.MLPClassifier(**QUICK, learning_rate_init=0.01)
    with pytest.raises(ValueError, match="classes must be passed"):
        model.partial_fit(IRIS[0], names)
    model.partial_fit(IRIS[0][:100], names[:100], classes=["a", "b", "c"])
    for _ in range(60):
        model.partial_fit(*IRIS[:1], names)
    assert model.score(IRIS[0], names) > 0.8 and model.n_iter_ == 61
    with pytest.raises(ValueError, match="'d'"):
        model.partial_fit(IRIS[0][:1], ["d"])
    stopped = st.MLPClassifier(**QUICK, early_stopping=True).fit(IRIS[0], names)
    before = stopped.coefs_[0]
    stopped.partial_fit(IRIS[0][:1], names[:1])
    assert not np.array_equal(before, stopped.coefs_[0]) and len(stopped.classes_) == 3


def test_a_data_frame_with_everything() -> None:
    draw = np.random.default_rng(0)
    table = pd.DataFrame({
        "size": np.where(draw.random(200) < 0.1, np.nan, draw.normal(size=200)),
        "color": draw.choice(["red", "blue", None], 200),
        "kind": pd.Categorical(draw.choice(["p", "q"], 200)),
        "new": draw.random(200) < 0.5,
    })  # fmt: skip
    y = table["size"].fillna(0) + 3 * (table["color"] == "red") + table["new"]
    model = st.MLPRegressor(max_iter=40, random_state=0).fit(table, y)
    assert model.score(table, y) > 0.9
    assert model.recipe_["features"] == "table"
    shuffled = table[["new", "kind", "color", "size"]]
    np.testing.assert_array_equal(model.predict(shuffled), model.predict(table))
    with pytest.raises(ValueError):
        st.MLPRegressor(**QUICK, encode="numbers").fit(table, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("form", ["csr_matrix", "csc_matrix"])
@pytest.mark.parametrize("preset", [None, "sklearn"])
def test_sparse_rows(form: str, preset: str | None) -> None:
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0) * (np.abs(x - x.mean(0)) > 0.2 * x.std(0))
    rows = getattr(scipy.sparse, form)(x)
    options = QUICK | {"early_stopping": True, "tol": 0.0, "n_iter_no_change": 19}
    sparse, dense = (st.MLPClassifier(**options, preset=preset).fit(data, y) for data in (rows, x))
    np.testing.assert_allclose(sparse.predict_proba(rows), dense.predict_proba(x), atol=1e-3)
    np.testing.assert_allclose(sparse.loss_curve_, dense.loss_curve_, rtol=1e-3)


def test_several_outputs_and_labels() -> None:
    x, y = DIABETES
    both = np.column_stack([y, -1000 * y])
    predicted = st.MLPRegressor(**QUICK).fit(x, both).predict(x)
    assert predicted.shape == both.shape and np.corrcoef(predicted[:, 1], both[:, 1])[0, 1] > 0.5
    labels = (x[:, :3] > 0).astype(int)
    model = st.MLPClassifier(**QUICK).fit(x, labels)
    assert model.predict_proba(x).shape == (442, 3) and (model.predict(x) == labels).mean() > 0.8


def test_an_ensemble() -> None:
    x, y = DIABETES
    model = st.MLPRegressor(**QUICK, ensemble=3).fit(x, y)
    mean, std = model.predict(x, return_std=True)
    assert len(model.networks_) == 3 and (std > 0).all()
    np.testing.assert_array_equal(mean, model.predict(x))
    with pytest.raises(ValueError, match="ensemble"):
        st.MLPRegressor(**QUICK).fit(x, y).predict(x, return_std=True)
    proba = st.MLPClassifier(**QUICK, ensemble=2).fit(*IRIS).predict_proba(IRIS[0])
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weighted", [False, True])
def test_lbfgs_minimizes_scikit_learns_loss(weighted: bool) -> None:
    x, y = (DIABETES[0] * 20).repeat(3, axis=0), (DIABETES[1] / 80).repeat(3)  # two blocks
    options: dict[str, Any] = {"solver": "lbfgs", "hidden_layer_sizes": (4,), "activation": "tanh", "alpha": 3.0}
    weight = np.arange(len(y)) % 3 + 1.0 if weighted else None
    options |= {"max_iter": 5, "random_state": 0}
    theirs, ours = (
        make(**options, **preset).fit(x, y, weight)
        for make, preset in ((neural_network.MLPRegressor, {}), (st.MLPRegressor, {"preset": "sklearn"}))
    )
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6) and ours.n_iter_ == theirs.n_iter_
    for mine, other in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)


def test_lbfgs() -> None:
    x, y = IRIS
    ours = st.MLPClassifier(solver="lbfgs", hidden_layer_sizes=(8,), activation="tanh", alpha=0.1, random_state=0).fit(
        x, y
    )
    assert ours.score(x, y) > 0.95 and not hasattr(ours, "partial_fit")
    with pytest.raises(ValueError, match="lbfgs"):
        st.MLPClassifier(solver="lbfgs", dropout=0.1).fit(x, y)


def test_rows_to_watch() -> None:
    x, y = IRIS
    assert st.MLPClassifier(**QUICK).fit(x, y, eval_set=(x[::5], y[::5])).recipe_["held_out_rows"] == 30


def test_what_is_not_finite_is_named() -> None:
    model = st.MLPRegressor(**QUICK).fit(*DIABETES)
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="Input X contains"):
            model.predict(np.full((1, 10), value, np.float32))
    with pytest.raises(ValueError, match="Input y contains NaN"):
        model.fit(DIABETES[0], np.full(442, np.nan))
