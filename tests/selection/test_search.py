"""A search: candidates judged as by scikit-learn, halved fairly, the same at any threads, and the best one fitted."""

from __future__ import annotations

import collections
import math
import pickle
import time
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import loguniform, randint, uniform
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline

import steepest as st
from helpers import interrupted, normal
from quick_estimators import classifier, parts_of, regressor, squares
from steepest import MLPClassifier, MLPRegressor
from steepest.selection import SearchResult

N = 80
X = normal(0, (N, 3))
Y = X[:, 0] - 2 * X[:, 1] + 0.3 * normal(1, (N,))
LABELS = np.array(["north", "east", "ä"])[np.digitize(Y, [-1, 1])]
WEIGHT = np.abs(normal(3, (N,))) * (np.arange(N) % 5 > 0)
RATES: dict[str, Any] = {"learning_rate_init": loguniform(1e-4, 0.1)}

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def frame() -> Any:
    """Numbers, text and booleans; values missing."""
    import pandas as pd

    return pd.DataFrame(
        {
            "size": np.where(X[:, 0] > 1, np.nan, X[:, 0]),
            "kind": np.where(X[:, 1] > 1, None, np.where(X[:, 1] > 0, "ä", "b")),
            "new": X[:, 2] > 0,
        },
        index=np.arange(N)[::-1] * 3,
    )


def assert_whole(found: SearchResult, n: int, kind: type = MLPRegressor) -> None:
    """Assert what is so of every result."""
    table = found.cv_results_
    assert {*table} == {"params", "mean_score", "std_score", "share", "diverged", "rank"}
    assert {len(values) for values in table.values()} == {n}
    assert sorted(table["rank"]) == [*range(1, n + 1)]
    best = table["rank"].index(1)
    assert found.best_params_ == table["params"][best] and found.best_score_ == table["mean_score"][best]
    assert not table["diverged"][best] and math.isfinite(found.best_score_)
    finished = [i for i in range(n) if not table["diverged"][i]]
    farthest = max(table["share"][i] for i in finished)
    assert table["share"][best] == farthest
    assert found.best_score_ == max(table["mean_score"][i] for i in finished if table["share"][i] == farthest)
    assert type(found.best_estimator_) is kind
    assert all(found.best_estimator_.get_params()[name] == value for name, value in found.best_params_.items())
    assert np.array_equal(found.predict(X), found.best_estimator_.predict(X))
    assert found.seconds_ > 0 and "best_params_" in repr(found)


def assert_like_scikit_learn(
    est: Any, space: Any, x: Any, y: Any, n: int, cv: Any = 3, *, groups: Any = None, weight: Any = None, **options: Any
) -> SearchResult:
    """Assert that each candidate has the score of scikit-learn's loop, and the best is fitted as by hand."""
    before = parts_of(est)
    found = st.search(
        est, space, x, y, n=n, cv=cv, groups=groups, sample_weight=weight, method="random", random_state=1, **options
    )
    assert parts_of(est) == before
    given = {} if weight is None else {"params": {"sample_weight": weight}}
    table = found.cv_results_
    for params, mean, deviation in zip(table["params"], table["mean_score"], table["std_score"], strict=True):
        candidate = clone(est).set_params(**params)
        scores = cross_val_score(candidate, x, y, cv=cv, groups=groups, scoring=options.get("scoring"), **given)
        assert mean == np.mean(scores) and deviation == np.std(scores), params
    assert table["share"] == [1.0] * len(table["params"]) and not any(table["diverged"])
    assert_ranked(found)
    best = clone(est).set_params(**found.best_params_).fit(x, y, weight)
    assert best.predict(x).tolist() == found.predict(x).tolist()
    assert best.n_iter_ == found.best_estimator_.n_iter_ and best.loss_ == found.best_estimator_.loss_
    return found


def assert_ranked(found: SearchResult) -> None:
    table = found.cv_results_
    best = table["rank"].index(1)
    assert sorted(table["rank"]) == [*range(1, len(table["rank"]) + 1)]
    by_rank = [table["mean_score"][table["rank"].index(i + 1)] for i in range(len(table["rank"]))]
    assert by_rank == sorted(by_rank, reverse=True)
    assert found.best_score_ == table["mean_score"][best] and found.best_params_ == table["params"][best]


# --- Every candidate to its end ---

SPACES: dict[str, dict[str, Any]] = {
    "a distribution": {"learning_rate_init": loguniform(1e-4, 0.1)},
    "lists": {"hidden_layer_sizes": [(3,), (4, 3), 5], "alpha": [0.0, 1.0], "activation": ["relu", ["tanh"]]},
    "a mixture": {"hidden_layer_sizes": [(3,), (6,)], "dropout": uniform(0, 0.5), "batch_size": randint(4, 30)},
    "an array": {"learning_rate_init": np.geomspace(1e-3, 0.1, 9), "max_iter": np.arange(2, 6)},
    "a tuple": {"solver": ("adam", "sgd")},
    "one value": {"alpha": [0.5]},
    "optimizers": {"optimizer": [st.SGD(0.01), st.RMSprop(st.schedules.cosine(0.01)), None], "shuffle": [True, False]},
    "rates": {"lr": [0.01, st.schedules.one_cycle(0.05), st.schedules.plateau(0.05, patience=0)]},
    "seeds": {"random_state": randint(0, 1000), "ensemble": [1, 2]},
    "None among them": {"early_stopping": [None, True, False], "dropout": [None, 0.2]},
}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("make", [classifier, regressor])
def test_candidates_have_the_scores_of_scikit_learn(make: Any, space: dict[str, Any]) -> None:
    space = {name: ["relu", "tanh"] if name == "activation" else values for name, values in space.items()}
    assert_like_scikit_learn(make(), space, X, LABELS if make is classifier else Y, 4, 2)


@pytest.mark.parametrize("rows", ["array", "frame"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["all alike", "weights"])
def test_sharing_the_reading_of_rows_changes_no_score(rows: str, weight: Any) -> None:
    x: Any = X if rows == "array" else frame()
    space = {
        "early_stopping": [None, True],
        "validation_fraction": [None, 0.4],
        "encode": ["auto", "numbers"] if rows == "array" else ["auto", None],
        "solver": [None, "sgd"],
        "ensemble": [1, 2],
    }
    assert_like_scikit_learn(regressor(), space, x, Y, 20 if rows == "array" else 10, cv=2, weight=weight)


def test_sharing_goes_by_the_weights_of_classes_and_the_seed() -> None:
    space = {
        "class_weight": [None, "balanced", {"ä": 0.0}, {"ä": 0.0, "north": 3.0}],
        "random_state": [0, 1],
        "early_stopping": [True, False],
        "label_smoothing": [None, 0.1],
    }
    assert_like_scikit_learn(classifier(), space, X, LABELS, 24, cv=2)
    assert_like_scikit_learn(classifier(), space, frame(), LABELS, 8, cv=2)


def test_ways_of_training_that_read_rows_otherwise_stand_side_by_side() -> None:
    space = {
        "preset": [None, "sklearn"],
        "solver": ["lbfgs", "adam", "sgd"],
        "callbacks": [None, [st.LambdaCallback()]],
        "early_stopping": [None, False],
    }
    assert_like_scikit_learn(regressor(), space, X, Y, 14, cv=2)
    assert_like_scikit_learn(classifier(), space, X, LABELS, 12, cv=2)


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "lbfgs"},
        {"preset": "sklearn"},
        {"preset": "sklearn", "solver": "lbfgs"},
        {"callbacks": [st.LambdaCallback()]},
        {"loss": squares},
        {"loss": "huber", "ensemble": 2, "n_jobs": 2},
        {"eval_metric": "mae", "early_stopping": True},
    ],
    ids=["lbfgs", "preset", "preset, lbfgs", "callbacks", "own loss", "jobs", "eval_metric"],
)
def test_candidates_of_any_way_of_training(options: dict[str, Any]) -> None:
    assert_like_scikit_learn(regressor(**options), {"alpha": loguniform(1e-5, 1)}, X, Y, 3, 2, weight=WEIGHT)


def test_few_rows_are_sorted_alike_by_all_candidates() -> None:
    space = {"solver": [None, "lbfgs"], "preset": [None, "sklearn"], "early_stopping": [None, True]}
    assert_like_scikit_learn(regressor(), space, X[:24], Y[:24], 8)


FOLDS: dict[str, Any] = {
    "a number": 4,
    "KFold, shuffled": KFold(3, shuffle=True, random_state=1),
    "StratifiedKFold": StratifiedKFold(3),
    "GroupKFold": GroupKFold(3),
    "pairs": [(np.arange(40), np.arange(40, N)), (np.arange(20, N), np.arange(20))],
}


@pytest.mark.parametrize("cv", FOLDS.values(), ids=FOLDS)
def test_folds_of_any_kind(cv: Any) -> None:
    groups = np.random.default_rng(2).integers(0, 7, N) if isinstance(cv, GroupKFold) else None
    assert_like_scikit_learn(classifier(), RATES, frame(), LABELS, 2, cv, groups=groups)


def test_folds_that_can_be_gone_through_once() -> None:
    pairs = [*KFold(3).split(X)]
    found = st.search(regressor(), RATES, X, Y, n=3, cv=(pair for pair in pairs), random_state=1)
    expected = st.search(regressor(), RATES, X, Y, n=3, cv=pairs, random_state=1)
    assert found.cv_results_ == expected.cv_results_


@pytest.mark.parametrize("scoring", [None, "neg_log_loss", "roc_auc_ovr", lambda est, x, y: est.score(x, y) ** 2])
def test_scores_of_any_kind(scoring: Any) -> None:
    assert_like_scikit_learn(classifier(), RATES, X, LABELS, 3, scoring=scoring)


def test_without_folds_there_are_five_of_few_rows_and_a_fifth_held_out_of_many() -> None:
    few = st.search(regressor(), RATES, X, Y, n=2, method="random", random_state=1)
    for params, mean in zip(few.cv_results_["params"], few.cv_results_["mean_score"], strict=True):
        assert mean == np.mean(cross_val_score(regressor(**params), X, Y, cv=5))
    x, y = np.tile(X, (26, 1)), np.tile(Y, 26)
    for est, target, kind in ((regressor(), y, ShuffleSplit), (classifier(), y > 0, StratifiedShuffleSplit)):
        est.set_params(max_iter=1)
        many = st.search(est, RATES, x, target, n=2, method="random", random_state=1)
        assert many.cv_results_["std_score"] == [0.0, 0.0]
        seen = [
            [
                np.mean(cross_val_score(clone(est).set_params(**params), x, target, cv=split))
                for params in many.cv_results_["params"]
            ]
            for split in (kind(n_splits=1, test_size=0.2, random_state=seed) for seed in range(3))
        ]
        assert np.allclose(many.cv_results_["mean_score"], np.mean(seen, axis=0), atol=0.1)


def test_a_class_of_one_row_is_searched_on_as_it_is_fitted() -> None:
    x, y = np.tile(X, (26, 1)), np.arange(26 * N) % 2
    y[7] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert classifier(max_iter=1).fit(x, y).n_iter_ == 1
        found = st.search(classifier(max_iter=1), RATES, x, y, n=2, random_state=0)
    assert math.isfinite(found.best_score_)


def test_a_grid_of_fewer_combinations_is_gone_through_whole() -> None:
    space = {"alpha": [0.0, 0.1, 1.0], "hidden_layer_sizes": [(3,), (4, 4)]}
    found = st.search(regressor(), space, X, Y, cv=2, random_state=0)
    assert_whole(found, 6)
    pairs = {(params["alpha"], params["hidden_layer_sizes"]) for params in found.cv_results_["params"]}
    assert pairs == {(alpha, hidden) for alpha in (0.0, 0.1, 1.0) for hidden in ((3,), (4, 4))}
    assert_whole(st.search(regressor(), {"alpha": [0.1]}, X, Y, n=60, cv=2), 1)


def test_targets_of_several_columns() -> None:
    assert_like_scikit_learn(regressor(), RATES, X, np.stack([Y, -Y], axis=1), 3)
    assert_like_scikit_learn(classifier(), RATES, X, np.stack([Y > 0, Y > 1], axis=1).astype(int), 3)


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "lists"])
def test_rows_and_targets_of_other_libraries(kind: str) -> None:
    if kind == "polars":
        import polars

        x, y = polars.from_pandas(frame()), polars.Series("price", Y.tolist())
    elif kind == "pyarrow":
        import pyarrow

        x, y = pyarrow.Table.from_pandas(frame(), preserve_index=False), pyarrow.array(Y.tolist())
    else:
        x, y = frame(), Y.tolist()
    found = st.search(regressor(), RATES, x, y, n=3, cv=2, random_state=1)
    expected = st.search(regressor(), RATES, frame(), Y, n=3, cv=2, random_state=1)
    assert found.cv_results_ == expected.cv_results_
    assert found.predict(x).tobytes() == expected.predict(frame()).tobytes()


# --- Halving ---


class StopAt(st.Callback):
    """End a fit after so many epochs."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_epoch_end(self, fit: st.callbacks.FitState) -> None:
        if fit.epoch + 1 == self.epochs:
            fit.stop()


def looked_at(est: Any, params: dict[str, Any], epochs: int) -> float:
    """The mean score of a candidate that is trained on each fold for some of its epochs."""
    candidate = clone(est).set_params(**params, callbacks=[StopAt(epochs)])
    return float(np.mean(cross_val_score(candidate, X, Y, cv=2)))


@pytest.mark.parametrize("epochs", [32, 10])
@pytest.mark.parametrize("n", [16, 21])
def test_the_better_fourth_goes_on_each_time(n: int, epochs: int) -> None:
    est = regressor(max_iter=epochs)
    found = st.search(est, RATES, X, Y, n=n, cv=2, random_state=3)
    assert_whole(found, n)
    table = found.cv_results_
    second = math.ceil(n / 4)
    third = math.ceil(second / 4)
    assert collections.Counter(table["share"]) == {1 / 16: n - second, 1 / 4: second - third, 1.0: third}
    going_on = [*range(n)]
    for share, next_share in ((1 / 16, 1 / 4), (1 / 4, 1.0)):
        means = {i: looked_at(est, table["params"][i], math.ceil(share * epochs)) for i in going_on}
        order = sorted(going_on, key=lambda i: -means[i])
        going_on = order[: math.ceil(len(order) / 4)]
        assert {*going_on} == {i for i in range(n) if table["share"][i] >= next_share}
        assert all(table["mean_score"][i] == means[i] for i in order[len(going_on) :])
    for i in going_on:
        candidate = clone(est).set_params(**table["params"][i])
        assert table["mean_score"][i] == np.mean(cross_val_score(candidate, X, Y, cv=2))
    best = clone(est).set_params(**found.best_params_).fit(X, Y)
    assert best.predict(X).tobytes() == found.predict(X).tobytes()


def test_few_candidates_are_halved_once_or_not_at_all() -> None:
    for n, counts in ((7, {1.0: 7}), (8, {0.25: 6, 1.0: 2}), (15, {0.25: 11, 1.0: 4})):
        found = st.search(regressor(), RATES, X, Y, n=n, cv=2, random_state=3)
        assert_whole(found, n)
        assert collections.Counter(found.cv_results_["share"]) == counts


@pytest.mark.parametrize(
    ("epochs", "options"),
    [(epochs, {}) for epochs in (1, 2, 3, 4, 5, 16, 33)]
    + [(epochs, {"early_stopping": True, "n_iter_no_change": 2}) for epochs in (3, 33)]
    + [(epochs, {"ensemble": 2}) for epochs in (3, 33)],
)
def test_candidates_that_need_python_are_halved_as_others(epochs: int, options: dict[str, Any]) -> None:
    found, python = (
        st.search(regressor(max_iter=epochs, **options, **more), RATES, X, Y, n=16, cv=2, random_state=3)
        for more in ({}, {"callbacks": [st.LambdaCallback()]})
    )
    assert found.cv_results_ == python.cv_results_
    assert found.predict(X).tobytes() == python.predict(X).tobytes()


def test_all_ways_of_training_are_halved_side_by_side() -> None:
    space = {
        "preset": [None, "sklearn"],
        "solver": ["lbfgs", "adam", "sgd"],
        "callbacks": [None, [st.LambdaCallback()]],
        "early_stopping": [None, True],
        "ema": [None],
        "max_iter": [1, 9],
    }
    for est, y in ((regressor(), Y), (classifier(), LABELS)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = st.search(est, space, X, y, n=32, cv=2, random_state=0)
        assert_whole(found, 32, type(est))
        best = clone(est).set_params(**found.best_params_).fit(X, y)
        assert best.predict(X).tolist() == found.predict(X).tolist()


@pytest.mark.parametrize("options", [{"ema": 0.9}, {"batch_norm": True, "dropout": 0.2}, {"mixup": 0.2}])
def test_candidates_with_a_state_of_their_own_go_on_where_they_stopped(options: dict[str, Any]) -> None:
    est = regressor(max_iter=20, **options)
    found = st.search(est, RATES, X, Y, n=16, cv=2, random_state=3)
    table = found.cv_results_
    for i in (i for i in range(16) if table["share"][i] == 1):
        candidate = clone(est).set_params(**table["params"][i])
        assert table["mean_score"][i] == np.mean(cross_val_score(candidate, X, Y, cv=2))


def test_halving_finds_about_what_training_all_to_the_end_finds() -> None:
    est = regressor(max_iter=64)
    halved = st.search(est, RATES, X, Y, n=30, cv=3, random_state=3)
    whole = st.search(est, RATES, X, Y, n=30, cv=3, random_state=3, method="random")
    assert halved.cv_results_["params"] == whole.cv_results_["params"]
    assert halved.best_score_ > sorted(whole.cv_results_["mean_score"])[-8]


# --- Determinism ---


def assert_same_search(found: SearchResult, expected: SearchResult) -> None:
    assert found.cv_results_ == expected.cv_results_
    assert found.best_params_ == expected.best_params_ and found.best_score_ == expected.best_score_
    assert found.predict(X).tobytes() == expected.predict(X).tobytes()


@pytest.mark.parametrize("method", ["halving", "random"])
@pytest.mark.parametrize("n_jobs", [1, None])
def test_threads_and_jobs_change_no_bit(threads: int, n_jobs: int | None, method: str) -> None:
    est = regressor(ensemble=2, max_iter=8)
    space = RATES | {"callbacks": [None, [st.LambdaCallback()]]}
    found = st.search(est, space, X, Y, n=8, cv=2, random_state=5, n_jobs=n_jobs, method=method)
    st.set_num_threads(2)
    assert_same_search(found, st.search(est, space, X, Y, n=8, cv=2, random_state=5, method=method))


@pytest.mark.parametrize("seed", [5, np.random.RandomState(5)])
def test_a_random_state_makes_all_of_a_search_repeatable(seed: Any) -> None:
    est = MLPRegressor(hidden_layer_sizes=(5,), max_iter=4)
    twin = pickle.loads(pickle.dumps(seed))
    first = st.search(est, RATES, X, Y, n=8, random_state=seed)
    second = st.search(est, RATES, X, Y, n=8, random_state=twin)
    assert first.cv_results_ == second.cv_results_
    assert first.predict(X).tobytes() == second.predict(X).tobytes()
    assert est.random_state is None
    other = st.search(est, RATES, X, Y, n=8, random_state=6)
    assert other.cv_results_ != first.cv_results_


def test_a_random_state_draws_the_rows_held_out_of_many() -> None:
    x, y = np.tile(X, (26, 1)), np.tile(Y, 26)
    first, second, other = (st.search(regressor(max_iter=1), RATES, x, y, n=2, random_state=seed) for seed in (1, 1, 2))
    assert_same_search(first, second)
    assert first.cv_results_["mean_score"] != other.cv_results_["mean_score"]


def test_candidates_start_from_one_seed_where_the_estimator_has_none() -> None:
    est = MLPRegressor(hidden_layer_sizes=(5,), max_iter=4)
    found = st.search(est, {"alpha": [0.0], "beta_1": [0.9], "verbose": [False, 0]}, X, Y, method="random", cv=2)
    assert len({*found.cv_results_["mean_score"]}) == 1


# --- A limit of time ---


def test_candidates_that_time_ran_out_for_have_a_share_below_one() -> None:
    est = regressor(max_iter=3000, early_stopping=False)
    found = st.search(est, RATES, X, Y, n=30, cv=5, time_limit=0.05, method="random", random_state=0)
    assert_whole(found, 30)
    assert min(found.cv_results_["share"]) < 1


@pytest.mark.parametrize("method", ["halving", "random"])
@pytest.mark.parametrize("limit", [1e-9, 0.02])
def test_what_time_allows_is_a_whole_result(method: str, limit: float) -> None:
    est = classifier(max_iter=300)
    before = parts_of(est)
    found = st.search(est, RATES, X, LABELS, n=16, cv=3, time_limit=limit, method=method, random_state=0)
    assert_whole(found, 16, MLPClassifier)
    assert parts_of(est) == before
    best = clone(est).set_params(**found.best_params_).fit(X, LABELS)
    assert best.predict_proba(X).tobytes() == found.best_estimator_.predict_proba(X).tobytes()


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    found = st.search(regressor(), RATES, X, Y, n=9, cv=2, random_state=0, time_limit=1e6)
    assert_same_search(found, st.search(regressor(), RATES, X, Y, n=9, cv=2, random_state=0))


EPOCHS: list[int] = []  # that were trained in Python


def count(fit: st.callbacks.FitState) -> None:
    """Remember an epoch; a pause, so that there is time to run out of."""
    EPOCHS.append(fit.epoch)
    time.sleep(0.001)


@pytest.mark.parametrize("method", ["halving", "random"])
def test_time_runs_out_for_candidates_that_need_python_too(method: str) -> None:
    EPOCHS.clear()
    est = regressor(max_iter=64, callbacks=[st.LambdaCallback(on_epoch_end=count)])
    found = st.search(est, RATES, X, Y, n=8, cv=2, time_limit=0.01, method=method, random_state=0)
    assert_whole(found, 8)
    whole = 8 * 2 * 64 if method == "random" else 8 * 2 * 16 + 2 * 2 * 48
    assert len(EPOCHS) - 64 < whole  # the last fit has all


# --- Candidates that diverge ---


@pytest.mark.parametrize("more", [{}, {"callbacks": [[st.LambdaCallback()]]}], ids=["core", "python"])
@pytest.mark.parametrize("method", ["halving", "random"])
def test_candidates_that_diverge_come_last(method: str, more: dict[str, Any]) -> None:
    space = {"lr": [1e-3, 1e30, 0.01, 1e31, 0.02, 0.03, 0.04, 1e32]} | more
    with pytest.warns(FitFailedWarning, match=r"3 of 8 candidates diverged.*training diverged") as caught:
        found = st.search(regressor(max_iter=16, batch_size=8), space, X, Y, n=8, cv=2, method=method, random_state=0)
    assert [warning.filename for warning in caught] == [__file__]
    assert_whole(found, 8)
    table = found.cv_results_
    for params, diverged, rank, mean in zip(
        table["params"], table["diverged"], table["rank"], table["mean_score"], strict=True
    ):
        assert diverged == (params["lr"] > 1) == (rank > 5) == (not math.isfinite(mean))


def test_more_candidates_diverge_than_are_left_out() -> None:
    space = {"lr": [1e-3, 0.01, *np.geomspace(1e25, 1e38, 14)]}
    with pytest.warns(FitFailedWarning, match="14 of 16 candidates diverged"):
        found = st.search(regressor(max_iter=32, batch_size=8), space, X, Y, n=16, cv=2, random_state=0)
    assert_whole(found, 16)
    assert found.best_params_["lr"] < 1 and found.cv_results_["share"].count(1.0) == 1


@pytest.mark.parametrize("options", [{}, {"loss": squares}])
def test_candidates_that_all_diverge_raise(options: dict[str, Any]) -> None:
    with pytest.raises(st.DivergedError, match="training diverged"):
        st.search(regressor(**options), {"lr": [1e30, 1e31]}, X, Y, cv=2)


def test_scores_that_are_not_numbers_are_the_worst() -> None:
    def odd(est: Any, x: Any, y: Any) -> float:
        return math.nan if est.alpha > 0.5 else est.score(x, y)

    found = st.search(regressor(), {"alpha": [0.0, 1.0, 0.1, 2.0]}, X, Y, cv=2, scoring=odd, random_state=0)
    assert_whole(found, 4)
    ranks = {
        params["alpha"]: rank for params, rank in zip(*map(found.cv_results_.get, ("params", "rank")), strict=True)
    }
    assert {ranks[1.0], ranks[2.0]} == {3, 4}


# --- Ctrl-C ---


@pytest.mark.parametrize(
    "options",
    [{}, {"callbacks": [st.LambdaCallback()]}, {"solver": "lbfgs", "tol": 0.0, "hidden_layer_sizes": (80, 80)}],
    ids=["core", "python", "lbfgs"],
)
@pytest.mark.parametrize("delay", [0.03, 0.15])
def test_an_interrupted_search_leaves_the_estimator_as_it_was(options: dict[str, Any], delay: float) -> None:
    est = regressor(**{"max_iter": 100_000} | options)
    before = parts_of(est)
    with interrupted(delay):
        st.search(est, {"alpha": [1e-3, 1e-2]}, normal(7, (400, 10)), normal(8, (400,)), cv=2)
    assert parts_of(est) == before


# --- The table ---


def test_the_table_has_a_column_for_each_parameter_the_best_first() -> None:
    space = {"hidden_layer_sizes": [[4], [4, 3]], "alpha": uniform(0, 1), "activation": ["relu", "tanh"]}
    found = st.search(regressor(), space, X, Y, n=9, cv=2, random_state=0)
    table = found.to_frame()
    assert table.columns[0] == "rank" and table["rank"].tolist() == [*range(1, 10)]
    assert {*table.columns} == {"rank", "mean_score", "std_score", "share", "diverged", *space}
    assert table.loc[0, "mean_score"] == found.best_score_
    assert {name: table.loc[0, name] for name in space} == found.best_params_
    places = np.argsort(found.cv_results_["rank"])
    for name in ("mean_score", "std_score", "share"):
        assert table[name].tolist() == [found.cv_results_[name][i] for i in places]
    assert table.index.tolist() == [*range(9)]


def test_a_result_can_be_pickled() -> None:
    found = st.search(regressor(), RATES, X, Y, n=2, cv=2, random_state=0)
    again = pickle.loads(pickle.dumps(found))
    assert again.cv_results_ == found.cv_results_ and again.predict(X).tobytes() == found.predict(X).tobytes()


# --- What is refused ---


class Untrained(st.Callback):
    """A callback that allows no training."""

    def on_train_begin(self, fit: st.callbacks.FitState) -> None:
        raise AssertionError("something is trained")


BAD: dict[str, tuple[dict[str, Any], type[Exception] | tuple[type[Exception], ...], str]] = {
    "an unknown parameter": ({"space": {"alfa": [1]}}, ValueError, r"space has 'alfa': expected parameters of MLPReg"),
    "another's parameter": ({"space": {"class_weight": [None]}}, ValueError, "space has 'class_weight'"),
    "a parameter that is no text": ({"space": {3: [1]}}, ValueError, "space has 3"),
    "an empty space": ({"space": {}}, ValueError, "space is empty"),
    "a space of nothing": ({"space": None}, TypeError, "space is None: expected a mapping"),
    "a list of spaces": ({"space": [{"alpha": [1]}]}, TypeError, "expected a mapping"),
    "no values": ({"space": {"alpha": []}}, ValueError, r"space\['alpha'\] is \[\]"),
    "a single value": ({"space": {"alpha": 0.1}}, ValueError, r"space\['alpha'\] is 0.1"),
    "text": ({"space": {"solver": "adam"}}, ValueError, r"space\['solver'\] is 'adam'"),
    "a set": ({"space": {"alpha": {0.1, 0.2}}}, (TypeError, ValueError), "alpha"),
    "a dict": ({"space": {"alpha": {"a": 0.1}}}, (TypeError, ValueError), "alpha"),
    "a generator": ({"space": {"alpha": (i for i in range(3))}}, ValueError, r"space\['alpha'\]"),
    "a value out of range": ({"space": {"alpha": [0.1, -1]}}, ValueError, "alpha is -1"),
    "draws out of range": ({"space": {"dropout": uniform(2, 3)}}, ValueError, "dropout is .* and < 1"),
    "a value of another kind": ({"space": {"max_iter": [1.5]}}, TypeError, "max_iter is 1.5"),
    "values that do not go together": (
        {"space": {"solver": ["lbfgs"], "dropout": [0.5]}}, ValueError, "solver is 'lbfgs' with dropout",
    ),
    "an unknown loss": ({"space": {"loss": ["log_loss"]}}, ValueError, "loss is 'log_loss'"),
    "rates of targets below zero": ({"space": {"loss": ["poisson"]}}, ValueError, "y has the value -"),
    "warm_start": ({"space": {"warm_start": [False, True]}}, ValueError, "warm_start is True"),
    "no candidates": ({"n": 0}, ValueError, "n is 0: expected a whole number >= 1"),
    "half a candidate": ({"n": 2.5}, TypeError, "n is 2.5"),
    "an unknown method": ({"method": "grid"}, ValueError, "method is 'grid': expected one of halving, random"),
    "no time": ({"time_limit": 0}, ValueError, "time_limit is 0"),
    "a time that is none": ({"time_limit": math.nan}, ValueError, "time_limit is nan"),
    "time as text": ({"time_limit": "10s"}, TypeError, "time_limit is '10s'"),
    "no jobs": ({"n_jobs": 0}, ValueError, "n_jobs is 0"),
    "a seed that is none": ({"random_state": "x"}, ValueError, "seed"),
    "an unknown score": ({"scoring": "r3"}, ValueError, "scoring"),
    "several scores": ({"scoring": ["r2", "neg_mean_absolute_error"]}, (TypeError, ValueError), "scoring"),
    "one fold": ({"cv": 1}, ValueError, "n_splits=1"),
    "no folds": ({"cv": []}, ValueError, "cv|fold|split"),
    "no groups": ({"cv": GroupKFold(2)}, ValueError, "groups"),
    "no targets": ({"y": None}, TypeError, "y is None"),
    "fewer targets": ({"y": Y[:-1]}, ValueError, "expected .*, as many as X"),
    "fewer weights": ({"sample_weight": WEIGHT[:30]}, ValueError, "sample_weight"),
    "more weights": ({"sample_weight": np.ones(N + 9)}, ValueError, "sample_weight"),
    "a number that is missing": ({"X": np.where(X > 2, np.nan, X)}, ValueError, "Input X contains NaN"),
    "a stream": ({"X": st.Stream((X, Y)), "y": None}, TypeError, "X is a Stream: expected rows in memory"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_before_anything_is_trained(what: str) -> None:
    given, error, message = BAD[what]
    est = regressor(callbacks=[Untrained()])
    if "solver" in str(given):
        est.set_params(callbacks=None)
    before = {name: value for name, value in vars(est).items() if name != "callbacks"}
    with pytest.raises(error, match=message):
        st.search(est, **{"space": {"alpha": [0.1, 1.0]}, "X": X, "y": Y} | given)
    assert {name: value for name, value in vars(est).items() if name != "callbacks"} == before


@pytest.mark.parametrize("est", [Ridge(), make_pipeline(Ridge()), MLPRegressor, None], ids=str)
def test_other_estimators_are_refused(est: Any) -> None:
    with pytest.raises(TypeError, match="est is (?s:.*)expected an MLPClassifier or MLPRegressor"):
        st.search(est, {"alpha": [1.0]}, X, Y)


def test_an_estimator_that_goes_on_is_refused() -> None:
    with pytest.raises(ValueError, match="warm_start is True"):
        st.search(regressor(warm_start=True).fit(X, Y), RATES, X, Y)


def test_a_fitted_estimator_stays_fitted_as_it_was() -> None:
    est = regressor().fit(X, Y)
    before = parts_of(est)
    found = st.search(est, RATES, X, -Y, n=9, cv=2, random_state=0)
    assert parts_of(est) == before and found.best_estimator_ is not est


def test_scikit_learns_own_search_still_takes_the_estimators() -> None:
    search = RandomizedSearchCV(regressor(), RATES, n_iter=3, cv=2, random_state=0).fit(X, Y)
    for params, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
        scores = st.cross_validate(regressor(**params), X, Y, cv=2)["test_score"]
        assert np.mean(scores) == pytest.approx(score, rel=1e-12)
