"""How the estimators train beyond scikit-learn: losses and metrics of one's own, averages, mixtures, ensembles."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.metrics import log_loss, mean_absolute_error, r2_score, roc_auc_score, root_mean_squared_error
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import steepest as st

QUICK: dict[str, Any] = {"hidden_layer_sizes": (16,), "max_iter": 8, "random_state": 0}
IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
BOTH = [(st.MLPClassifier, IRIS), (st.MLPRegressor, DIABETES)]
LABELS = (DIABETES[0][:, :3] > 0).astype(int)

both = pytest.mark.parametrize(("make", "data"), BOTH, ids=["classifier", "regressor"])


def watching(make: Any, data: Any, **options: Any) -> Any:
    """A model that watches every third row of its own."""
    x, y = data
    if make is st.MLPClassifier:
        options = {"label_smoothing": 0.0} | options  # so that probabilities stay as they were measured
    return make(**QUICK | options).fit(x, y, eval_set=(x[::3], y[::3]))


# --- Losses of one's own ---


def squared(y: Any, prediction: Any) -> Any:
    assert y.shape == prediction.shape
    return (prediction - y) ** 2 if y.ndim == 1 else ((prediction - y) ** 2).sum(axis=1), 2 * (prediction - y) / len(y)


def cross_entropy(y: Any, logits: Any) -> Any:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    wanted = np.eye(logits.shape[1])[y]
    return -np.log((shares * wanted).sum(axis=1)), (shares - wanted) / len(y)


def test_a_loss_of_ones_own_speaks_the_targets_units() -> None:
    x, y = DIABETES
    named, own = (st.MLPRegressor(loss, **QUICK).fit(x, y) for loss in ("squared_error", squared))
    np.testing.assert_allclose(own.predict(x), named.predict(x), rtol=0.02)  # Adam goes by the sign above all
    assert own.loss_ == pytest.approx(named.loss_ * y.var(), rel=0.1)
    assert own.recipe_["loss"] == "function squared" and own.best_validation_score_ > 0.2
    two = st.MLPRegressor(squared, **QUICK).fit(x, np.column_stack([y, 1000 - y]), sample_weight=y)
    assert two.score(x, np.column_stack([y, 1000 - y])) > 0.2


@pytest.mark.parametrize("weighted", [False, True])
def test_a_classifiers_loss_speaks_logits(weighted: bool) -> None:
    weight = IRIS[1] + 1.0 if weighted else None
    named, own = (
        st.MLPClassifier(**QUICK, loss=f, early_stopping=True, label_smoothing=0.0).fit(*IRIS, sample_weight=weight)
        for f in ("log_loss", cross_entropy)
    )
    np.testing.assert_allclose(own.predict_proba(IRIS[0]), named.predict_proba(IRIS[0]), atol=1e-4)
    if not weighted:  # functions measure without weights
        assert own.validation_scores_ == pytest.approx(named.validation_scores_)


def test_a_loss_of_ones_own_trains_sparse_rows_and_online() -> None:
    rows = scipy.sparse.csr_matrix(np.tile(IRIS[0], (2, 1)))
    sparse, dense = (
        st.MLPClassifier(**QUICK, loss=cross_entropy).fit(x, np.tile(IRIS[1], 2)) for x in (rows, rows.toarray())
    )
    np.testing.assert_allclose(sparse.loss_curve_, dense.loss_curve_, rtol=1e-4)
    model = st.MLPClassifier(**QUICK, loss=cross_entropy)
    losses = [model.partial_fit(*IRIS, classes=[0, 1, 2]).loss_ for _ in range(3)]
    assert losses[2] < losses[0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: st.MLPRegressor(lambda y, p: 3.0).fit(*DIABETES), TypeError, "expected .loss, gradient."),
        (lambda: st.MLPRegressor(lambda y, p: (0.0, p[:5])).fit(*DIABETES), ValueError, "gradient of shape"),
        (lambda: st.MLPRegressor(squared, mixup=0.1).fit(*DIABETES), ValueError, "mixup is 0.1"),
        (
            lambda: st.MLPRegressor("median").fit(*DIABETES),
            ValueError,
            "loss is 'median': expected one of squared_error",
        ),
        (lambda: st.MLPClassifier(loss="hinge").fit(*IRIS), ValueError, "loss is 'hinge': expected one of log_loss"),
    ],
)
def test_a_wrong_loss_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# --- What chooses the best epoch ---


@pytest.mark.parametrize(
    ("make", "data", "metric", "function"),
    [
        (st.MLPClassifier, CANCER, "auc", lambda m, x, y: roc_auc_score(y, m.predict_proba(x)[:, 1])),
        (st.MLPClassifier, IRIS, "accuracy", lambda m, x, y: m.score(x, y)),
        (st.MLPClassifier, IRIS, "log_loss", lambda m, x, y: log_loss(y, m.predict_proba(x))),
        (st.MLPClassifier, (DIABETES[0], LABELS), "subset_accuracy", lambda m, x, y: m.score(x, y)),
        (st.MLPRegressor, DIABETES, "mae", lambda m, x, y: mean_absolute_error(y, m.predict(x))),
        (st.MLPRegressor, DIABETES, "rmse", lambda m, x, y: root_mean_squared_error(y, m.predict(x))),
        (st.MLPRegressor, DIABETES, "r2", lambda m, x, y: m.score(x, y)),
        (st.MLPRegressor, DIABETES, mean_absolute_error, lambda m, x, y: mean_absolute_error(y, m.predict(x))),
        (st.MLPRegressor, DIABETES, r2_score, lambda m, x, y: m.score(x, y)),
    ],
    ids=lambda value: getattr(value, "__name__", None) if not isinstance(value, str) else value,
)
def test_the_metric_chooses_the_best_epoch(make: Any, data: Any, metric: Any, function: Any) -> None:
    model = watching(make, data, eval_metric=metric, lr=0.02)
    name = f"val_{metric if isinstance(metric, str) else metric.__name__}"
    larger = name.endswith(("auc", "accuracy", "r2", "score"))
    values = model.history_[name]
    assert model.history_.monitor == name and model.history_.best_epoch == (
        values.argmax() if larger else values.argmin()
    )
    best = values.max() if larger else values.min()
    assert model.best_validation_score_ == best and model.validation_scores_ == values.tolist()
    assert function(model, data[0][::3], data[1][::3]) == pytest.approx(best, rel=1e-5)


def test_a_metric_of_ones_own_sees_labels_and_probabilities() -> None:
    names, seen = np.array(["a", "b", "c"])[IRIS[1]], []

    def worst(y: Any, probabilities: Any) -> float:
        seen.append((set(y), probabilities.shape))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
        return float(probabilities.min())

    for mode, best in (("max", np.argmax), ("min", np.argmin)):
        model = watching(st.MLPClassifier, (IRIS[0], names), eval_metric=(worst, mode))
        assert model.history_.best_epoch == best(model.history_["val_worst"])
    assert seen[0] == ({"a", "b", "c"}, (50, 3))


def test_a_rate_has_metrics_too() -> None:
    model = watching(st.MLPRegressor, DIABETES, loss="poisson", eval_metric="mae")
    predicted = model.predict(DIABETES[0][::3])
    assert model.best_validation_score_ == pytest.approx(mean_absolute_error(DIABETES[1][::3], predicted), rel=1e-5)


def test_rows_are_held_out_for_a_metric() -> None:
    assert st.MLPClassifier(**QUICK).fit(*IRIS).recipe_["held_out_rows"] == 0
    assert st.MLPClassifier(**QUICK, eval_metric="f1").fit(*IRIS).recipe_["held_out_rows"] == 30
    with pytest.raises(ValueError, match="early_stopping=False: expected an eval_set"):
        st.MLPClassifier(**QUICK, eval_metric="f1", early_stopping=False).fit(*IRIS)
    for metric, error in (("accurate", ValueError), (3, TypeError), (("auc", "most"), ValueError)):
        with pytest.raises(error, match="metric"):
            st.MLPClassifier(**QUICK, eval_metric=metric).fit(*IRIS)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("preset", [None, "sklearn"])
def test_scores_of_several_labels_are_scikit_learns(preset: str | None) -> None:
    options: dict[str, Any] = {"hidden_layer_sizes": (16,), "max_iter": 9, "random_state": 0, "early_stopping": True}
    model = st.MLPClassifier(**options, preset=preset).fit(DIABETES[0] * 20, LABELS)
    assert set(np.round(np.array(model.validation_scores_) * model.recipe_["held_out_rows"], 4) % 1) == {0}
    if preset:
        theirs = neural_network.MLPClassifier(**options).fit(DIABETES[0] * 20, LABELS)
        np.testing.assert_allclose(model.validation_scores_, theirs.validation_scores_)
        assert model.best_validation_score_ == pytest.approx(theirs.best_validation_score_)


@both
def test_sparse_rows_are_measured_as_dense_ones(make: Any, data: Any) -> None:
    x, y = np.tile(data[0], (10, 1))[:1500] * 20, np.tile(data[1], 10)[:1500]  # two blocks, and too few for bins
    weight = np.arange(len(y)) % 3 + 1.0
    histories = [
        make(**QUICK, eval_metric="auc" if make is st.MLPClassifier else "mae")
        .fit(rows, y, sample_weight=weight, eval_set=(rows, y, weight))
        .history_
        for rows in (x, scipy.sparse.csr_matrix(x), scipy.sparse.csc_matrix(x))
    ]
    for name in histories[0].keys() - {"seconds"}:
        for other in histories[1:]:
            np.testing.assert_allclose(other[name], histories[0][name], rtol=1e-4)


# --- Accumulation, averages, mixtures ---


@both
def test_accumulation_makes_fewer_steps(make: Any, data: Any) -> None:
    steps: list[int] = []
    counting = st.LambdaCallback(on_epoch_end=lambda fit: steps.append(fit.trainer.n_steps))
    options = QUICK | {"max_iter": 1, "early_stopping": False, "callbacks": [counting], "batch_size": 20}
    n = len(data[1])
    make(**options).fit(*data)
    make(**options, accumulate=3).fit(*data)
    assert steps == [-(-n // 20), -(-n // 60)]


@both
def test_it_predicts_with_the_average(make: Any, data: Any) -> None:
    kept: list[Any] = []
    keeping = st.LambdaCallback(
        on_epoch_end=lambda fit: kept.append((fit.trainer.ema_network, fit.trainer.network.copy()))
    )
    model = make(**QUICK, ema=0.9, callbacks=[keeping], early_stopping=False).fit(*data)
    average, last = (net.parameters["0.weight"] for net in kept[-1])
    np.testing.assert_array_equal(model.coefs_[0], average)
    assert not np.allclose(average, last)
    kept.clear()
    stopped = make(**QUICK | {"lr": 0.1}, ema=0.9, callbacks=[keeping]).fit(*data, eval_set=data)
    best = kept[stopped.history_.best_epoch][0]
    np.testing.assert_array_equal(stopped.coefs_[0], best.parameters["0.weight"])


def test_online_it_predicts_with_the_average_too() -> None:
    model = st.MLPRegressor(**QUICK, ema=0.9)
    for _ in range(3):
        model.partial_fit(*DIABETES)
        trainer = model._progress.trainers[0]
        np.testing.assert_array_equal(model.coefs_[0], trainer.ema_network.parameters["0.weight"])
    assert not np.allclose(model.coefs_[0], trainer.network.parameters["0.weight"])


def test_mixtures_make_less_sure() -> None:
    options = QUICK | {"max_iter": 80, "lr": 0.02}
    plain, mixed = (st.MLPClassifier(**options, mixup=m).fit(*IRIS).predict_proba(IRIS[0]) for m in (0.0, 1.0))
    assert np.median(mixed.max(axis=1)) < np.median(plain.max(axis=1)) - 0.02
    # Mixtures of two halves vary half as much, and so does what an untrained network is wrong by.
    still = QUICK | {"lr": 0.0, "max_iter": 1}
    narrow, wide = (st.MLPRegressor(**still, mixup=m).fit(*DIABETES).loss_ for m in (50.0, 0.0))
    assert narrow == pytest.approx(wide / 2, rel=0.15)


# --- Ensembles at once ---


@both
@pytest.mark.parametrize("n_jobs", [2, -1])
def test_networks_trained_at_once_are_the_same(make: Any, data: Any, n_jobs: int) -> None:
    options = QUICK | {"ensemble": 3, "early_stopping": True}
    one, many = (make(**options, n_jobs=n).fit(*data) for n in (None, n_jobs))
    for mine, other in zip(many.networks_, one.networks_, strict=True):
        assert mine.parameters.keys() == other.parameters.keys()
        np.testing.assert_array_equal(mine.parameters["0.weight"], other.parameters["0.weight"])
    assert len(many.histories_) == 3
    np.testing.assert_array_equal(many.histories_[2]["loss"], one.histories_[2]["loss"])


def test_n_jobs_are_threads() -> None:
    threads: set[int] = set()
    together = threading.Barrier(2, timeout=30)

    def meeting(y: Any, prediction: Any) -> float:
        if threading.get_ident() not in threads:
            threads.add(threading.get_ident())
            together.wait()
        return 0.0

    st.MLPRegressor(**QUICK, ensemble=2, n_jobs=2, eval_metric=meeting).fit(*DIABETES)
    assert len(threads) == 2
    for wrong in (0, 1.5, "all"):
        with pytest.raises(ValueError, match="n_jobs is"):
            st.MLPRegressor(n_jobs=wrong).fit(*DIABETES)


# --- Scikit-learn's routes ---


@both
def test_weights_are_routed(make: Any, data: Any) -> None:
    x, y = data
    weight = np.where(np.arange(len(y)) % 2, 1.0, 1e-3)
    with sklearn.config_context(enable_metadata_routing=True):
        model = make(**QUICK).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        routed = cross_validate(
            make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model), x, y, cv=2,
            params={"sample_weight": weight}, return_estimator=True, return_indices=True,
        )  # fmt: skip
        unrouted = cross_validate(make(**QUICK), x, y, cv=2, return_estimator=True)
    train = routed["indices"]["train"][0]
    z = routed["estimator"][0][0].transform(x[train])
    by_hand = clone(model).fit(z, y[train], sample_weight=weight[train])
    np.testing.assert_array_equal(routed["estimator"][0][1].coefs_[0], by_hand.coefs_[0])
    assert not np.array_equal(unrouted["estimator"][0].coefs_[0], by_hand.coefs_[0])


def test_rows_to_watch_are_routed() -> None:
    x, y = IRIS
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(st.MLPClassifier(**QUICK).set_fit_request(eval_set=True))
        assert model.fit(x, y, eval_set=(x[::5], y[::5]))[0].recipe_["held_out_rows"] == 30


# --- One row ---


@both
def test_a_plain_row_is_told_that_names_were_seen(make: Any, data: Any) -> None:
    frame = pd.DataFrame(data[0]).rename(columns=str)
    model = make(**QUICK).fit(frame, data[1])
    row = data[0][:1].astype(np.float32)
    with pytest.warns(UserWarning) as ours:
        found = model.predict(row)
    with pytest.warns(UserWarning) as theirs:
        StandardScaler().fit(frame).transform(row)
    text = str(theirs[0].message).replace("StandardScaler", make.__name__)
    assert [str(warning.message) for warning in ours] == [text] and ours[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(model.predict(frame[:1].astype(np.float32)), found, rtol=1e-6)


def test_far_numbers_are_clipped_and_infinite_ones_refused() -> None:
    model = st.MLPRegressor(**QUICK, encode="numbers").fit(*DIABETES)
    edge = (model._model.preprocessor.scale.mean + 10 * model._model.preprocessor.scale.scale)[0]
    far = np.where(np.arange(10) == 3, 1e30, edge)[None]
    np.testing.assert_allclose(model.predict(far), model.predict(edge[None]), rtol=1e-5)
    with pytest.raises(ValueError, match="infinity"):
        model.predict(np.where(np.arange(10) == 3, np.inf, edge)[None])
    model.set_params(encode="auto").fit(*DIABETES)
    far, further = (model.predict(np.where(np.arange(10) == 3, by, edge)[None]) for by in (1e30, 1e300))
    np.testing.assert_allclose(far, further, rtol=1e-5)
    with pytest.raises(ValueError, match="infinity"):
        model.predict(np.where(np.arange(10) == 3, np.inf, edge)[None])
