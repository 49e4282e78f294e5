"""Cross-validation: the scores and estimators of scikit-learn's loop to the bit, for any rows, folds and options."""

from __future__ import annotations

import pickle
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedKFold,
    check_cv,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _safe_indexing

import steepest as st
from helpers import interrupted, normal
from quick_estimators import classifier, parts_of, regressor, squares
from steepest import MLPClassifier, MLPRegressor

N = 90
X = normal(0, (N, 3))
Y = X[:, 0] - 2 * X[:, 1] + 0.3 * normal(1, (N,))
CLASSES = np.digitize(Y, [-1, 1])
LABELS = np.array(["north", "east", "ä"])[CLASSES]
GROUPS = np.random.default_rng(2).integers(0, 7, N)
WEIGHT = np.abs(normal(3, (N,))) * (np.arange(N) % 5 > 0)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def margins(y: NDArray[Any], logits: NDArray[Any]) -> tuple[Any, Any]:
    """A loss of one's own, for classes."""
    away = logits - np.eye(logits.shape[1])[y]
    return (away**2).sum(axis=1), 2 * away


def largest_error(y: NDArray[Any], prediction: NDArray[Any]) -> float:
    """A metric of one's own, the less the better."""
    return float(np.abs(y - prediction).max())


def falling(step: int) -> float:
    """A learning rate of one's own."""
    return 0.05 / (1 + step)


class StopEarly(st.Callback):
    """A callback of one's own, which remembers what it has seen."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_epoch_end(self, fit: st.callbacks.FitState) -> None:
        self.losses.append(fit.metrics["loss"])
        if len(self.losses) == 3:
            fit.stop()


def by_hand(est: Any, x: Any, y: Any, folds: Any, weight: Any = None) -> list[Any]:
    """Clones fitted on the training rows of each fold, one after the other."""
    return [
        clone(est).fit(
            _safe_indexing(x, training),
            _safe_indexing(y, training),
            None if weight is None else _safe_indexing(weight, training),
        )
        for training, _ in folds
    ]


def assert_same_estimators(found: list[Any], expected: list[Any], x: Any) -> None:
    """Assert that estimators predict alike and know the same of their fits, to the bit."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert type(one) is type(other) and one is not other
        for name in ("predict", "predict_proba"):
            if hasattr(other, name):
                assert getattr(one, name)(x).tolist() == getattr(other, name)(x).tolist(), name
        for name in ("n_iter_", "t_", "loss_", "best_loss_", "validation_scores_", "recipe_", "n_features_in_"):
            assert repr(getattr(one, name)) == repr(getattr(other, name)), name
        for name in ("feature_names_in_", "classes_", "target_name_", "loss_curve_"):
            assert np.array_equal(getattr(one, name, None), getattr(other, name, None)), name
        for network, twin in zip(one.networks_, other.networks_, strict=True):
            assert all(np.array_equal(value, twin.parameters[key]) for key, value in network.parameters.items())
        for history, its in zip(one.histories_, other.histories_, strict=True):
            assert all(np.array_equal(history[key], its[key], equal_nan=True) for key in its if key != "seconds")


def assert_like_scikit_learn(
    est: Any, x: Any, y: Any, cv: Any = 3, *, groups: Any = None, weight: Any = None, **options: Any
) -> dict[str, Any]:
    """Assert that scores and estimators are those of scikit-learn's loop, and that the estimator stays as it is."""
    before = parts_of(est)
    found = st.cross_validate(est, x, y, cv=cv, groups=groups, sample_weight=weight, return_estimators=True, **options)
    assert parts_of(est) == before
    given = {} if weight is None else {"params": {"sample_weight": weight}}
    expected = cross_val_score(est, x, y, cv=cv, groups=groups, scoring=options.get("scoring"), **given)
    assert found["test_score"].dtype == np.float64 and found["test_score"].tobytes() == expected.tobytes()
    folds = list(check_cv(cv, y, classifier=isinstance(est, MLPClassifier)).split(x, y, groups))
    assert_same_estimators(found["estimator"], by_hand(est, x, y, folds, weight), x)
    for name in ("fit_time", "score_time"):
        assert found[name].shape == (len(folds),) and (found[name] >= 0).all()
    return found


# --- What is fitted ---

# Options of both estimators: fits that the core runs as a whole, and such as ask something of Python.
OPTIONS: dict[str, dict[str, Any]] = {
    "quick": {},
    "ensemble": {"ensemble": 3},
    "ensemble, jobs": {"ensemble": 3, "n_jobs": 2},
    "ensemble, jobs, callbacks": {"ensemble": 2, "n_jobs": 2, "callbacks": [st.LambdaCallback()]},
    "early stopping": {"early_stopping": True, "max_iter": 20, "n_iter_no_change": 2},
    "more held out": {"early_stopping": True, "validation_fraction": 0.4},
    "no early stopping": {"early_stopping": False},
    "eval_metric": {"eval_metric": "loss"},
    "preset": {"preset": "sklearn"},
    "preset, early stopping": {"preset": "sklearn", "early_stopping": True, "max_iter": 12, "n_iter_no_change": 2},
    "preset, adaptive": {"preset": "sklearn", "solver": "sgd", "learning_rate": "adaptive", "tol": 0.1},
    "lbfgs": {"solver": "lbfgs"},
    "preset, lbfgs": {"solver": "lbfgs", "preset": "sklearn"},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.02},
    "callbacks": {"callbacks": [StopEarly()]},
    "averages, batch norm": {"ema": 0.9, "batch_norm": True, "dropout": 0.2},
    "mixup": {"mixup": 0.3, "accumulate": 2, "batch_size": 8},
    "layers": {"hidden_layer_sizes": (6, 4), "activation": ["tanh", "relu"], "layer_norm": True},
    "optimizer": {"optimizer": st.RMSprop(st.schedules.cosine(0.02, final=1e-3), clip_norm=1.0)},
    "plateau": {"lr": st.schedules.plateau(0.05, patience=0)},
    "own rate": {"lr": falling},
    "in order": {"shuffle": False},
    "numbers": {"encode": "numbers"},
    "a random state": {"random_state": np.random.RandomState(5)},
    "warm start": {"warm_start": True},
}
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "class weights": {"class_weight": "balanced"},
    "class weights by label": {"class_weight": {"ä": 0.0, "north": 2.0}},
    "smoothing": {"label_smoothing": 0.2},
    "recipe's smoothing": {"ensemble": 2, "hidden_layer_sizes": (4,)},
    "accuracy": {"eval_metric": "accuracy"},
    "own loss": {"loss": margins},
}
REGRESSORS: dict[str, dict[str, Any]] = {
    "huber": {"loss": "huber", "delta": 0.5},
    "quantile": {"loss": "quantile", "quantile": 0.8},
    "mae": {"loss": "absolute_error", "eval_metric": "mae"},
    "own metric": {"eval_metric": (largest_error, "min"), "early_stopping": True},
    "own loss": {"loss": squares},
}


@pytest.mark.parametrize("options", [*OPTIONS.values(), *CLASSIFIERS.values()], ids=[*OPTIONS, *CLASSIFIERS])
def test_classifiers_are_scored_as_by_scikit_learn(options: dict[str, Any]) -> None:
    assert_like_scikit_learn(classifier(**options), X, LABELS, cv=2)


@pytest.mark.parametrize("options", [*OPTIONS.values(), *REGRESSORS.values()], ids=[*OPTIONS, *REGRESSORS])
def test_regressors_are_scored_as_by_scikit_learn(options: dict[str, Any]) -> None:
    assert_like_scikit_learn(regressor(**options), X, Y, cv=2)


@pytest.mark.parametrize("make", [MLPClassifier, MLPRegressor])
def test_defaults_are_scored_as_by_scikit_learn(make: Any) -> None:
    y = LABELS if make is MLPClassifier else Y
    cv = [(np.arange(60), np.arange(60, N)), (np.arange(30, N), np.arange(30))]
    found = assert_like_scikit_learn(make(random_state=0), X, y, cv=cv)
    assert [len(each.networks_) for each in found["estimator"]] == [5, 5]
    assert (found["test_score"] > 0.7).all()


@pytest.mark.parametrize("options", [{}, {"ensemble": 3}, {"preset": "sklearn"}, {"early_stopping": True}])
def test_without_a_random_state_numpys_own_is_drawn_from_in_the_same_order(options: dict[str, Any]) -> None:
    est = regressor(random_state=None, **options)
    np.random.seed(7)
    found = st.cross_validate(est, X, Y, cv=3)["test_score"]
    np.random.seed(7)
    assert found.tobytes() == cross_val_score(est, X, Y, cv=3).tobytes()


@pytest.mark.parametrize(
    ("est", "y"),
    [
        (regressor(), np.stack([Y, -Y, Y**2], axis=1)),
        (regressor(ensemble=2), np.stack([Y, X[:, 2]], axis=1)),
        (regressor(), Y[:, None]),
        (regressor(loss="poisson"), np.floor(np.abs(Y))),
        (regressor(), (1e9 + 1e-3 * Y)),
        (classifier(), Y > 0),
        (classifier(), CLASSES.astype(np.int8)),
        (classifier(), np.stack([Y > 0, Y > 1], axis=1).astype(int)),
        (classifier(preset="sklearn"), (Y > 0).astype(int)),
    ],
    ids=["three numbers", "two, ensemble", "one column", "rates", "far", "bool", "int8", "indicators", "preset, two"],
)
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_targets_of_any_kind(est: Any, y: NDArray[Any]) -> None:
    assert_like_scikit_learn(est, X, y)


@pytest.mark.parametrize(
    "options", [{}, {"ensemble": 3}, {"preset": "sklearn"}, {"solver": "lbfgs"}, {"loss": squares}]
)
def test_weights_of_rows_are_for_training_alone(options: dict[str, Any]) -> None:
    assert_like_scikit_learn(regressor(**options), X, Y, weight=WEIGHT)
    if "loss" not in options:
        weighted = classifier(class_weight="balanced", **options)
        assert_like_scikit_learn(weighted, X, LABELS, weight=WEIGHT, cv=2)


def test_a_list_of_weights_is_taken() -> None:
    found = st.cross_validate(regressor(), X, Y, cv=3, sample_weight=WEIGHT.tolist())["test_score"]
    assert found.tobytes() == st.cross_validate(regressor(), X, Y, cv=3, sample_weight=WEIGHT)["test_score"].tobytes()


# --- Rows ---


def frame() -> Any:
    """Numbers, text, booleans and dates; values missing."""
    import pandas as pd

    return pd.DataFrame(
        {
            "size": np.where(X[:, 0] > 1, np.nan, X[:, 0]),
            "kind": np.where(X[:, 1] > 1, None, np.where(X[:, 1] > 0, "ä", "b")),
            "new": X[:, 2] > 0,
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N), "D"),
        },
        index=np.arange(N)[::-1] * 3,
    )


def numeric_frame() -> Any:
    import pandas as pd

    return pd.DataFrame(X, columns=["a", "b", "c"])


def polars_frame() -> Any:
    import polars

    return polars.from_pandas(frame())


def arrow_table() -> Any:
    import pyarrow

    return pyarrow.Table.from_pandas(frame(), preserve_index=False)


def with_bins() -> Any:
    return np.concatenate([X, np.round(X), np.where(X > 1.2, -999.0, X)], axis=1)


TABLES: dict[str, Callable[[], Any]] = {
    "float32": lambda: X.astype(np.float32),
    "float64": lambda: X,
    "whole numbers": lambda: (10 * X).astype(int),
    "the other order": lambda: np.asfortranarray(X),
    "sentinels": with_bins,
    "CSR": lambda: csr_matrix(X * (X > 0)),
    "CSC": lambda: csc_matrix(X * (X > 0)),
    "pandas": frame,
    "pandas, numbers": numeric_frame,
    "polars": polars_frame,
    "pyarrow": arrow_table,
    "lists": X.tolist,
}


@pytest.mark.parametrize("rows", TABLES)
@pytest.mark.parametrize("make", [classifier, regressor])
def test_rows_of_any_kind(make: Any, rows: str) -> None:
    x, y = TABLES[rows](), LABELS if make is classifier else Y
    assert_like_scikit_learn(make(), x, y, cv=2)
    if make is regressor:
        assert_like_scikit_learn(make(ensemble=2, early_stopping=True), x, y, weight=WEIGHT, cv=2)


@pytest.mark.parametrize("rows", ["CSR", "CSC", "pandas", "polars", "pyarrow"])
def test_rows_of_other_kinds_under_other_ways_of_training(rows: str) -> None:
    x = TABLES[rows]()
    numbers = x if rows.startswith("CS") else numeric_frame()
    assert_like_scikit_learn(regressor(solver="lbfgs"), x, Y, cv=2)
    assert_like_scikit_learn(regressor(loss=squares), x, Y, cv=2)
    assert_like_scikit_learn(classifier(preset="sklearn", early_stopping=True), numbers, LABELS)


def test_columns_of_a_dict_are_a_table() -> None:
    columns = {name: frame()[name].to_numpy() for name in frame().columns}
    found = st.cross_validate(regressor(), columns, Y, cv=3)["test_score"]
    assert found.tobytes() == st.cross_validate(regressor(), frame(), Y, cv=3)["test_score"].tobytes()


def series(kind: str, values: NDArray[Any]) -> Any:
    """Targets as other libraries have them."""
    if kind == "pandas":
        import pandas as pd

        return pd.Series(values, name="price", index=np.arange(N) + 7)
    if kind == "polars":
        import polars

        return polars.Series("price", values.tolist())
    if kind == "pyarrow":
        import pyarrow

        return pyarrow.chunked_array([values[:40].tolist(), values[40:].tolist()])
    return values.tolist()


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "list"])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_targets_of_other_libraries_are_taken_as_fit_takes_them(make: Any, kind: str) -> None:
    y = LABELS if make is classifier else Y
    given = series(kind, y)
    make().fit(X, given)
    found = st.cross_validate(make(), X, given, cv=3, return_estimators=True)
    expected = st.cross_validate(make(), X, y, cv=3)
    assert found["test_score"].tobytes() == expected["test_score"].tobytes()
    assert found["estimator"][0].target_name_ == ("price" if kind in ("pandas",) else getattr(given, "name", None))


def test_a_target_of_one_column_in_a_frame() -> None:
    import pandas as pd

    y = pd.DataFrame({"price": Y, "size": -Y})
    assert_like_scikit_learn(regressor(), frame(), y)


# --- Folds ---

FOLDS: dict[str, Any] = {
    "a number": 4,
    "none": None,
    "KFold": KFold(3),
    "KFold, shuffled": KFold(3, shuffle=True, random_state=1),
    "StratifiedKFold": StratifiedKFold(3, shuffle=True, random_state=1),
    "ShuffleSplit": ShuffleSplit(2, test_size=0.3, random_state=1),
    "RepeatedKFold": RepeatedKFold(n_splits=2, n_repeats=2, random_state=1),
    "GroupKFold": GroupKFold(4),
    "pairs": [(np.arange(40), np.arange(40, N)), (np.arange(20, N), np.arange(20)), (np.arange(80), np.arange(80, 81))],
    "pairs of lists": [([*range(60)], [*range(60, N)])],
    "twice the same rows": [(np.r_[np.arange(50), np.arange(50)], np.arange(50, N))],
}


@pytest.mark.parametrize("cv", FOLDS.values(), ids=FOLDS)
@pytest.mark.filterwarnings("ignore:R\\^2 score is not well-defined")
def test_folds_of_any_kind(cv: Any) -> None:
    groups = GROUPS if isinstance(cv, GroupKFold) else None
    assert_like_scikit_learn(classifier(), X, CLASSES, cv=cv, groups=groups)
    if not isinstance(cv, StratifiedKFold):
        assert_like_scikit_learn(regressor(), frame(), Y, cv=cv, groups=groups)


def test_folds_that_can_be_gone_through_once() -> None:
    pairs = [*KFold(3).split(X)]
    found = st.cross_validate(regressor(), X, Y, cv=(pair for pair in pairs))["test_score"]
    assert found.tobytes() == cross_val_score(regressor(), X, Y, cv=pairs).tobytes()


def test_groups_stay_together() -> None:
    found = assert_like_scikit_learn(regressor(), X, Y, cv=GroupKFold(3), groups=GROUPS.tolist())
    assert len(found["test_score"]) == 3


def test_one_row_is_left_out_at_a_time() -> None:
    found = assert_like_scikit_learn(classifier(), X[:12], CLASSES[:12] > 0, cv=LeaveOneOut())
    assert {*found["test_score"].tolist()} <= {0.0, 1.0} and len(found["test_score"]) == 12
    scoring = "neg_mean_absolute_error"
    assert_like_scikit_learn(regressor(), X[:12], Y[:12], cv=LeaveOneOut(), scoring=scoring)


def test_folds_of_a_few_rows() -> None:
    assert_like_scikit_learn(classifier(), X[:8], np.arange(8) % 2, cv=4)
    assert_like_scikit_learn(regressor(), X[:6], Y[:6], cv=3)


# --- Scores ---


def by_predictions(est: Any, x: Any, y: Any) -> float:
    """A scorer of one's own."""
    return -float(np.abs(est.predict(x) - y).max())


@pytest.mark.parametrize(
    "scoring", ["r2", "neg_root_mean_squared_error", make_scorer(mean_absolute_error), by_predictions]
)
def test_scores_of_numbers(scoring: Any) -> None:
    assert_like_scikit_learn(regressor(), X, Y, scoring=scoring)


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "roc_auc_ovr", "f1_macro", "balanced_accuracy"])
def test_scores_of_classes(scoring: str) -> None:
    assert_like_scikit_learn(classifier(ensemble=2), X, LABELS, scoring=scoring)


def test_estimators_are_returned_if_asked_for() -> None:
    assert {*st.cross_validate(regressor(), X, Y, cv=2)} == {"test_score", "fit_time", "score_time"}
    found = st.cross_validate(regressor(), X, Y, cv=2, return_estimators=True)
    assert {*found} == {"test_score", "fit_time", "score_time", "estimator"}
    assert [type(each) for each in found["estimator"]] == [MLPRegressor] * 2


def test_returned_estimators_go_on_as_any_other() -> None:
    est = regressor(warm_start=True)
    (found, _) = st.cross_validate(est, X, Y, cv=2, return_estimators=True)["estimator"]
    expected = clone(est).fit(X[45:], Y[45:])
    for each in (found, expected):
        each.partial_fit(X, Y).fit(X, Y)
    assert found.predict(X).tobytes() == expected.predict(X).tobytes()
    assert pickle.loads(pickle.dumps(found)).predict(X).tobytes() == expected.predict(X).tobytes()


def test_callbacks_of_the_user_see_only_copies() -> None:
    mine = StopEarly()
    found = st.cross_validate(regressor(callbacks=[mine]), X, Y, cv=3, return_estimators=True)
    copies = [each.callbacks[0] for each in found["estimator"]]
    assert mine.losses == [] and len({id(each) for each in [mine, *copies]}) == 4
    assert [len(each.losses) for each in copies] == [3, 3, 3]
    assert [each.n_iter_ for each in found["estimator"]] == [3, 3, 3]


# --- Threads ---


@pytest.mark.parametrize("n_jobs", [1, 2, -1, None])
def test_threads_and_jobs_change_no_bit(threads: int, n_jobs: int | None) -> None:
    for est, y in ((regressor(ensemble=2), Y), (classifier(early_stopping=True), LABELS), (regressor(loss=squares), Y)):
        found = st.cross_validate(est, X, y, cv=3, n_jobs=n_jobs, return_estimators=True)
        folds = list(check_cv(3, y, classifier=isinstance(est, MLPClassifier)).split(X, y))
        assert_same_estimators(found["estimator"], by_hand(est, X, y, folds), X)
    assert st.get_num_threads() == threads


def test_more_folds_than_threads() -> None:
    found = st.cross_validate(regressor(), X, Y, cv=15, n_jobs=2)["test_score"]
    assert found.tobytes() == cross_val_score(regressor(), X, Y, cv=15).tobytes()


def test_several_threads_of_the_caller() -> None:
    def scores(seed: int) -> bytes:
        found: NDArray[Any] = st.cross_validate(regressor(random_state=seed), X, Y, cv=3)["test_score"]
        return found.tobytes()

    expected = [scores(seed) for seed in range(6)]
    assert joblib.Parallel(n_jobs=3, backend="threading")(joblib.delayed(scores)(i) for i in range(6)) == expected


# --- Folds that diverge ---


def steep(**options: Any) -> MLPRegressor:
    """A linear model that diverges where its features are all the same, by steps that suit others."""
    return MLPRegressor(
        hidden_layer_sizes=(), solver="sgd", momentum=0.0, nesterovs_momentum=False, lr=0.25, alpha=0.0, max_iter=700,
        early_stopping=False, batch_size=200, encode="numbers", random_state=0, **options,
    )  # fmt: skip


def steep_rows() -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of which the first 60 have the same number ten times over."""
    x = np.concatenate([np.repeat(normal(4, (60, 1)), 10, axis=1), normal(5, (80, 10))])
    return x, x[:, 0] + 0.1 * normal(6, (140,))


SAME, DIFFERENT = np.arange(60), np.arange(60, 140)


@pytest.mark.parametrize("callbacks", [None, [st.LambdaCallback()]], ids=["core", "python"])
def test_a_fold_that_diverges_has_no_score(callbacks: Any) -> None:
    x, y = steep_rows()
    cv = [(DIFFERENT, SAME), (SAME, DIFFERENT), (DIFFERENT[:70], SAME)]
    with pytest.warns(FitFailedWarning, match=r"1 of 3 folds diverged.*fold 1: training diverged") as caught:
        found = st.cross_validate(steep(callbacks=callbacks), x, y, cv=cv, return_estimators=True)
    assert [warning.filename for warning in caught] == [__file__]
    assert np.isnan(found["test_score"]).tolist() == [False, True, False]
    assert [each is None for each in found["estimator"]] == [False, True, False]
    assert len(found["fit_time"]) == len(found["score_time"]) == 3
    good = st.cross_validate(steep(callbacks=callbacks), x, y, cv=[cv[0], cv[2]])["test_score"]
    assert found["test_score"][[0, 2]].tobytes() == good.tobytes()


@pytest.mark.parametrize("options", [{"lr": 1e30}, {"lr": 1e30, "loss": squares}, {"lr": 1e30, "ensemble": 2}])
def test_folds_that_all_diverge_raise(options: dict[str, Any]) -> None:
    est = regressor(**options)
    before = parts_of(est)
    with pytest.raises(st.DivergedError, match="training diverged") as caught:
        st.cross_validate(est, X, Y, cv=3)
    assert caught.value.epoch >= 0 and caught.value.learning_rate == 1e30
    assert parts_of(est) == before


# --- Ctrl-C ---


LONG: dict[str, dict[str, Any]] = {
    "core": {"max_iter": 200_000, "early_stopping": False},
    "ensemble": {"max_iter": 200_000, "ensemble": 3},
    "python": {"max_iter": 200_000, "callbacks": [st.LambdaCallback()]},
    "python, jobs": {"max_iter": 200_000, "ensemble": 3, "n_jobs": 2, "loss": squares},
    "lbfgs": {"max_iter": 1_000_000, "solver": "lbfgs", "tol": 0.0, "hidden_layer_sizes": (80, 80)},
}


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("delay", [0.02, 0.15])
def test_an_interrupted_one_leaves_the_estimator_as_it_was(kind: str, delay: float) -> None:
    x = normal(7, (400, 10))
    y = normal(8, (400,))
    fresh, fitted = regressor(**LONG[kind]), regressor().fit(X, Y)
    fitted.set_params(**LONG[kind])
    for est in (fresh, fitted):
        before, running = parts_of(est), threading.active_count()
        with interrupted(delay), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            st.cross_validate(est, x, y)
        assert parts_of(est) == before
        start = time.monotonic()
        while threading.active_count() > running and time.monotonic() - start < 20:
            time.sleep(0.01)  # a thread of the pool that has nothing to do any more may take a moment to end
        assert threading.active_count() <= running
    assert st.cross_validate(regressor(), X, Y, cv=3)["test_score"].shape == (3,)


# --- What is refused ---

BAD: dict[str, tuple[Callable[[], Any], type[Exception] | tuple[type[Exception], ...], str]] = {
    "pipeline": (
        lambda: st.cross_validate(make_pipeline(StandardScaler(), regressor()), X, Y),
        TypeError,
        r"est is (?s:.*)Pipeline(?s:.*): expected an MLPClassifier or MLPRegressor",
    ),
    "another estimator": (lambda: st.cross_validate(Ridge(), X, Y), TypeError, "est is Ridge"),
    "the class": (lambda: st.cross_validate(MLPRegressor, X, Y), TypeError, "est is .*MLPRegressor"),
    "no estimator": (lambda: st.cross_validate(None, X, Y), TypeError, "est is None"),
    "a stream": (
        lambda: st.cross_validate(regressor(), st.Stream((X, Y)), None),
        TypeError,
        "X is a Stream: expected rows in memory",
    ),
    "no targets": (lambda: st.cross_validate(regressor(), X, None), TypeError, "y is None"),
    "one fold": (lambda: st.cross_validate(regressor(), X, Y, cv=1), ValueError, "n_splits=1"),
    "too many folds": (lambda: st.cross_validate(regressor(), X, Y, cv=91), ValueError, "n_splits=91"),
    "no groups": (
        lambda: st.cross_validate(regressor(), X, Y, cv=GroupKFold(3)),
        ValueError,
        "'groups' parameter should not be None",
    ),
    "no folds at all": (lambda: st.cross_validate(regressor(), X, Y, cv=[]), ValueError, "cv|fold|split"),
    "a word for folds": (lambda: st.cross_validate(regressor(), X, Y, cv="five"), ValueError, "cv"),
    "fewer targets": (lambda: st.cross_validate(regressor(), X, Y[:-1]), ValueError, "expected .*, as many as X"),
    "fewer weights": (
        lambda: st.cross_validate(regressor(), X, Y, sample_weight=WEIGHT[:50]),
        ValueError,
        "sample_weight",
    ),
    "more weights": (
        lambda: st.cross_validate(regressor(), X, Y, sample_weight=np.ones(N + 30)),
        ValueError,
        "sample_weight",
    ),
    "more targets": (
        lambda: st.cross_validate(regressor(), X, np.tile(Y, 2), cv=[(np.arange(60), np.arange(60, N))]),
        ValueError,
        "inconsistent|y has",
    ),
    "more rows": (
        lambda: st.cross_validate(regressor(), np.tile(X, (2, 1)), Y, cv=[(np.arange(60), np.arange(60, N))]),
        ValueError,
        "inconsistent|y has",
    ),
    "an unknown score": (lambda: st.cross_validate(regressor(), X, Y, scoring="r3"), ValueError, "scoring"),
    "scores that are several": (
        lambda: st.cross_validate(regressor(), X, Y, scoring=["r2", "neg_mean_absolute_error"]),
        (TypeError, ValueError),
        "scoring",
    ),
    "no jobs": (lambda: st.cross_validate(regressor(), X, Y, n_jobs=0), ValueError, "n_jobs is 0"),
    "half a job": (lambda: st.cross_validate(regressor(), X, Y, n_jobs=0.5), TypeError, "n_jobs is 0.5"),
    "a parameter out of its range": (
        lambda: st.cross_validate(regressor(alpha=-1), X, Y),
        ValueError,
        "alpha is -1",
    ),
    "a number that is missing": (
        lambda: st.cross_validate(regressor(), np.where(np.arange(N)[:, None] == 7, np.nan, X), Y),
        ValueError,
        "Input X contains NaN",
    ),
    "one class alone": (
        lambda: st.cross_validate(classifier(), X, CLASSES > 0, cv=[(np.flatnonzero(CLASSES > 0), np.arange(5))]),
        ValueError,
        "expected at least two classes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused(what: str) -> None:
    call, error, message = BAD[what]
    with pytest.raises(error, match=message):
        call()


class Untrained(st.Callback):
    """A callback that allows no training."""

    def on_train_begin(self, fit: st.callbacks.FitState) -> None:
        raise AssertionError("something is trained")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cv": []}, "cv|fold|split"),
        ({"cv": 1}, "n_splits=1"),
        ({"scoring": "r3"}, "scoring"),
        ({"scoring": ["r2", "neg_mean_absolute_error"]}, "scoring"),
        ({"sample_weight": np.ones(N + 30)}, "sample_weight"),
        ({"y": np.tile(Y, 2), "cv": [(np.arange(60), np.arange(60, N))]}, "inconsistent|y has"),
    ],
    ids=["no folds", "one fold", "an unknown score", "several scores", "more weights", "more targets"],
)
def test_what_can_be_told_beforehand_is_refused_before_anything_is_trained(given: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        st.cross_validate(regressor(callbacks=[Untrained()]), **{"X": X, "y": Y} | given)


# --- Scikit-learn's own tools ---


def test_scikit_learns_own_tools_still_take_the_estimators() -> None:
    search = GridSearchCV(regressor(), {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(3,), (4, 3)]}, cv=2).fit(X, Y)
    for params, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
        found = st.cross_validate(clone(regressor()).set_params(**params), X, Y, cv=2)["test_score"]
        assert np.mean(found) == pytest.approx(score, rel=1e-12)
    pipeline = make_pipeline(StandardScaler(), classifier())
    assert cross_val_score(pipeline, X, LABELS, cv=2).shape == (2,)


def test_estimators_are_fitted_in_threads_of_joblib() -> None:
    def fitted(seed: int) -> NDArray[Any]:
        return np.asarray(regressor(random_state=seed).fit(X, Y).predict(X))

    found = joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(fitted)(seed) for seed in range(4))
    assert all(np.array_equal(each, fitted(seed)) for seed, each in enumerate(found))
    with joblib.parallel_backend("threading", n_jobs=2):
        assert cross_val_score(regressor(), X, Y, cv=3, n_jobs=2).tobytes() == (
            st.cross_validate(regressor(), X, Y, cv=3)["test_score"].tobytes()
        )
