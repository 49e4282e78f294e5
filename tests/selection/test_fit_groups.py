"""A model for each group of rows: its own rows alone, any keys, precise at any offset, in one small file."""

from __future__ import annotations

import copy
import functools
import json
import pickle
import struct
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray
from safetensors.numpy import save
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, r2_score

import steepest as st
from helpers import interrupted, normal
from quick_estimators import classifier, parts_of, regressor
from steepest import MLPClassifier, MLPRegressor
from steepest.files import read_model, write_model
from steepest.selection import GroupModels

N = 120
X = normal(0, (N, 3))
KEYS = np.array(["north", "south", "ä"])[np.random.default_rng(1).permutation(N) % 3]
SLOPES = {"north": 2.0, "south": -1.0, "ä": 0.5}
Y = X[:, 0] * np.array([SLOPES[key] for key in KEYS]) + 0.2 * X[:, 1]
CLASSES = np.digitize(Y, [-0.5, 0.5])
LABELS = np.array(["few", "some", "many"])[CLASSES]


def frame() -> Any:
    """Numbers, text and dates; values missing; and columns of keys: text, numbers, true and false."""
    import pandas as pd

    return pd.DataFrame(
        {
            "size": np.where(X[:, 0] > 1, np.nan, X[:, 0]),
            "shop": KEYS,
            "kind": np.where(X[:, 1] > 1, None, np.where(X[:, 1] > 0, "u", "v")),
            "new": np.arange(N) % 2 == 0,
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N), "D"),
            "number": np.arange(N) // 60 * 10 - 5,
            "weight": X[:, 2],
        },
        index=np.arange(N)[::-1] * 3,
    )


def same_models(found: GroupModels, expected: GroupModels, *rows: Any) -> None:
    """Assert that models predict alike, and know the same of their fits, to the bit."""
    assert found.groups_ == expected.groups_ and found.by_ == expected.by_ and repr(found) == repr(expected)
    assert found.fallback_ == expected.fallback_
    assert found.n_iter_.tolist() == expected.n_iter_.tolist()
    assert found.loss_.tobytes() == expected.loss_.tobytes()
    assert found.predict(*rows).dtype == expected.predict(*rows).dtype
    for name in ("predict", "predict_proba") if hasattr(expected, "classes_") else ("predict",):
        assert getattr(found, name)(*rows).tolist() == getattr(expected, name)(*rows).tolist()


# --- Keys ---

KEYS_OF: dict[str, tuple[NDArray[Any], list[Any]]] = {
    "text": (KEYS, ["north", "south", "ä"]),
    "objects": (KEYS.astype(object), ["north", "south", "ä"]),
    "whole numbers": (np.arange(N) % 3 - 1, [-1, 0, 1]),
    "small whole numbers": ((np.arange(N) % 3).astype(np.uint8), [0, 1, 2]),
    "numbers": (np.arange(N) % 3 / 2, [0.0, 0.5, 1.0]),
    "true and false": (np.arange(N) % 2 == 0, [False, True]),
    "large numbers": (10**15 + np.arange(N) % 3, [10**15, 10**15 + 1, 10**15 + 2]),
    "numbers beyond float64": (10**18 + np.arange(N) % 3, [10**18, 10**18 + 1, 10**18 + 2]),
    "numbers as text": (np.array(["007", "7", "07"])[np.arange(N) % 3], ["007", "07", "7"]),
}


@pytest.mark.parametrize("kind", KEYS_OF)
def test_keys_beside_the_rows(kind: str) -> None:
    keys, expected = KEYS_OF[kind]
    models = st.fit_groups(regressor(), X, Y, keys)
    assert models.groups_ == expected and list(map(type, models.groups_)) == list(map(type, expected))
    assert models.by_ == () and len(models) == len(expected)
    assert models.n_iter_.shape == models.loss_.shape == (len(expected) + 1,)
    said = models.predict(X, keys)
    assert said.shape == (N,) and np.isfinite(said).all()
    order = np.random.default_rng(2).permutation(N)
    assert models.predict(X[order], keys[order]).tobytes() == said[order].tobytes()


@pytest.mark.parametrize("kind", KEYS_OF)
def test_a_column_of_keys_is_as_keys_beside_the_rows(kind: str) -> None:
    import pandas as pd

    keys, expected = KEYS_OF[kind]
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    table.insert(1, "shop", keys)
    models = st.fit_groups(regressor(), table, Y, by="shop")
    assert models.by_ == ("shop",) and models.groups_ == expected
    beside = st.fit_groups(regressor(), table[["a", "b", "c"]], Y, keys)
    assert models.predict(table).tobytes() == beside.predict(table[["a", "b", "c"]], keys).tobytes()
    twin = st.fit_groups(regressor(), table, Y, by=["shop"])
    same_models(twin, models, table)


@pytest.mark.parametrize("by", [["shop", "new"], ["new", "number"], ["number", "shop", "new"], ("shop", "number")])
def test_several_columns_make_a_key(by: Any) -> None:
    table = frame()
    models = st.fit_groups(regressor(), table, Y, by=by)
    expected = sorted({tuple(row) for row in table[list(by)].itertuples(index=False)})
    assert models.groups_ == expected and models.by_ == tuple(by)
    joined = np.array(["|".join(map(str, row)) for row in table[list(by)].itertuples(index=False)])
    beside = st.fit_groups(regressor(), table.drop(columns=list(by)), Y, joined)
    assert len(beside) == len(models)
    said = models.predict(table)
    if [*map(str, beside.groups_)] == ["|".join(map(str, key)) for key in expected]:
        assert said.tobytes() == beside.predict(table.drop(columns=list(by)), joined).tobytes()
    for key in expected[:3]:
        own = np.all([table[name] == value for name, value in zip(by, key, strict=True)], axis=0)
        assert models.predict(table[own]).tobytes() == said[own].tobytes()


def test_columns_of_many_labels_make_keys_that_are_told_apart() -> None:
    import pandas as pd

    draw = np.random.default_rng(3)
    groups = np.repeat(np.arange(200), 2)  # of nine columns with 200 labels each: more pairs than int64 counts
    names = [f"k{i}" for i in range(9)]
    table = pd.DataFrame({name: draw.permutation(200)[groups] for name in names} | {"x": draw.normal(size=400)})
    y = 100.0 * groups + draw.normal(size=400)
    models = st.fit_groups(regressor(), table, y, by=names, fallback=False)
    assert len(models) == 200
    assert np.abs(models.predict(table) - 100 * groups).max() < 30


def test_ten_columns_make_a_key_too() -> None:
    import pandas as pd

    names = [f"k{i}" for i in range(10)]
    table = pd.DataFrame({name: np.arange(N) % 2 for name in names} | {"x": X[:, 0]})
    assert st.fit_groups(regressor(), table, Y, by=names).groups_ == [(0,) * 10, (1,) * 10]


def series(kind: str, values: NDArray[Any]) -> Any:
    """Keys or targets as other libraries have them."""
    if kind == "pandas":
        import pandas as pd

        return pd.Series(values, name="price", index=np.arange(len(values)) + 7)
    if kind == "category":
        import pandas as pd

        return pd.Series(values, dtype="category")
    if kind == "polars":
        import polars

        return polars.Series("price", values.tolist())
    if kind == "pyarrow":
        import pyarrow

        return pyarrow.chunked_array([values[:40].tolist(), values[40:].tolist()])
    return values.tolist()


@pytest.mark.parametrize("kind", ["pandas", "category", "polars", "pyarrow", "list"])
def test_keys_and_targets_of_other_libraries(kind: str) -> None:
    expected = st.fit_groups(regressor(), X, Y, KEYS)
    y = Y if kind == "category" else series(kind, Y)
    same_models(st.fit_groups(regressor(), X, y, series(kind, KEYS)), expected, X, KEYS)
    assert expected.predict(X, series(kind, KEYS)).tobytes() == expected.predict(X, KEYS).tobytes()


# --- Rows ---


def polars_frame() -> Any:
    import polars

    return polars.from_pandas(frame())


def arrow_table() -> Any:
    import pyarrow

    return pyarrow.Table.from_pandas(frame(), preserve_index=False)


def record_batch() -> Any:
    import pyarrow

    return pyarrow.RecordBatch.from_pandas(frame(), preserve_index=False)


def columns() -> dict[str, Any]:
    return {name: frame()[name].to_numpy() for name in frame().columns}


@pytest.mark.parametrize("by", ["shop", ["shop", "new"]])
@pytest.mark.parametrize("rows", [polars_frame, arrow_table, record_batch, columns])
def test_tables_of_other_libraries(rows: Callable[[], Any], by: Any) -> None:
    expected = st.fit_groups(regressor(), frame(), Y, by)
    found = st.fit_groups(regressor(), rows(), Y, by)
    assert found.groups_ == expected.groups_
    assert found.predict(rows()).tobytes() == expected.predict(frame()).tobytes()
    assert found.predict(frame()).tobytes() == expected.predict(rows()).tobytes()


ARRAYS: dict[str, Callable[[], Any]] = {
    "float32": lambda: X.astype(np.float32),
    "whole numbers": lambda: (10 * X).astype(int),
    "the other order": lambda: np.asfortranarray(X),
    "CSR": lambda: csr_matrix(X * (X > 0)),
    "lists": X.tolist,
    "sentinels": lambda: np.where(X > 1.2, -999.0, X),
}


@pytest.mark.parametrize("rows", ARRAYS)
def test_arrays_of_any_kind(rows: str) -> None:
    x = ARRAYS[rows]()
    models = st.fit_groups(regressor(max_iter=30), x, Y, KEYS)
    said = models.predict(x, KEYS)
    assert said.shape == (N,) and r2_score(Y, said) > 0.2
    if rows not in ("CSR", "lists"):
        assert models.predict(x[:40], KEYS[:40]).tobytes() == said[:40].tobytes()


def test_columns_of_a_table_come_in_any_order() -> None:
    models = st.fit_groups(regressor(), frame(), Y, by=["shop", "new"])
    said = models.predict(frame())
    assert models.predict(frame()[[*frame().columns[::-1]]]).tobytes() == said.tobytes()
    assert models.predict(frame().assign(more=1)).tobytes() == said.tobytes()


@pytest.mark.parametrize("rows", ["array", "frame"])
@pytest.mark.parametrize("options", [{}, {"ensemble": 3}, {"batch_norm": True}], ids=["one", "ensemble", "norm"])
def test_a_prediction_depends_on_no_other_row_that_is_asked(rows: str, options: dict[str, Any]) -> None:
    for est, y in ((regressor(**options), Y), (classifier(**options), LABELS)):
        x: Any = X if rows == "array" else frame().drop(columns="shop")
        models = st.fit_groups(est, x, y, KEYS)
        method = models.predict_proba if y is LABELS else models.predict
        said = method(x, KEYS)

        def at(places: Any, x: Any = x, method: Any = method) -> bytes:
            part = x[places] if rows == "array" else x.iloc[places]
            return bytes(method(part, KEYS[places]).tobytes())

        for seed in range(3):
            order = np.random.default_rng(seed).permutation(N)[: 120 - 47 * seed]
            assert at(order) == said[order].tobytes()
        assert all(at([i]) == said[[i]].tobytes() for i in range(0, N, 9))
        assert at([5] * 70) == said[[5] * 70].tobytes()


def test_no_rows_are_predicted_as_no_numbers() -> None:
    models = st.fit_groups(regressor(), frame(), Y, by="shop")
    assert models.predict(frame()[:0]).shape == (0,)
    beside = st.fit_groups(classifier(), X, LABELS, KEYS)
    assert beside.predict(X[:0], KEYS[:0]).shape == (0,) and beside.predict_proba(X[:0], KEYS[:0]).shape == (0, 3)
    counted = st.fit_groups(regressor(), X, np.stack([Y, Y], axis=1), np.arange(N) % 3)
    assert counted.predict(X[:0], np.arange(0)).shape == (0, 2)


# --- Numbers ---

REGRESSORS: dict[str, dict[str, Any]] = {
    "squares": {},
    "absolute": {"loss": "absolute_error"},
    "huber": {"loss": "huber", "delta": 0.5},
    "quantile": {"loss": "quantile", "quantile": 0.9},
    "ensemble": {"ensemble": 3},
    "early stopping": {"early_stopping": True, "eval_metric": "mae"},
    "normalized": {"batch_norm": True, "dropout": 0.1},
    "layers": {"hidden_layer_sizes": (6, 5), "activation": ["tanh", "relu"], "layer_norm": True},
    "linear": {"hidden_layer_sizes": ()},
    "averages": {"ema": 0.5},
    "mixup": {"mixup": 0.2, "accumulate": 2, "batch_size": 16},
    "optimizer": {
        "optimizer": st.RMSprop(st.schedules.cosine(0.02)),
        "encode": "numbers",
        "learning_rate_init": None,
    },
    "sgd": {"solver": "sgd", "learning_rate_init": 0.02},
    "own rate": {"lr": lambda step: 0.02},
}


@pytest.mark.parametrize("options", REGRESSORS.values(), ids=REGRESSORS)
def test_numbers_are_learned_in_any_way(options: dict[str, Any]) -> None:
    est = regressor(**{"learning_rate_init": 0.03} | options | {"max_iter": 300})
    before = {name: id(value) for name, value in vars(est).items()}
    models = st.fit_groups(est, X, Y, KEYS)
    assert {name: id(value) for name, value in vars(est).items()} == before
    if "quantile" in options:
        assert 0.75 < np.mean(models.predict(X, KEYS) >= Y) <= 1
    else:
        assert models.score(X, Y, KEYS) > 0.5
    assert models.score(X, Y, KEYS) == r2_score(Y, models.predict(X, KEYS))
    weight = np.arange(1.0, N + 1)
    assert models.score(X, Y, KEYS, weight) == r2_score(Y, models.predict(X, KEYS), sample_weight=weight)
    for name in ("classes_", "nonsense"):
        assert not hasattr(models, name)
    with pytest.raises(AttributeError, match="numbers have no probabilities"):
        models.predict_proba(X, KEYS)


def test_several_numbers_are_predicted_together() -> None:
    y = np.stack([Y, 1e6 - 1e3 * Y, X[:, 1]], axis=1)
    models = st.fit_groups(regressor(max_iter=200), X, y, KEYS)
    said = models.predict(X, KEYS)
    assert said.shape == (N, 3) and said.dtype == np.float64
    assert (r2_score(y, said, multioutput="raw_values") > 0.7).all()


def test_rates_are_predicted_in_their_units() -> None:
    level = np.array([{"north": 1.0, "south": 40.0, "ä": 3000.0}[key] for key in KEYS])
    y = np.random.default_rng(4).poisson(level * np.exp(X[:, 0] / 2)).astype(float)
    models = st.fit_groups(regressor(loss="poisson", max_iter=100), X, y, KEYS)
    said = models.predict(X, KEYS)
    assert (said > 0).all()
    for key in SLOPES:
        own = key == KEYS
        assert np.mean(said[own]) == pytest.approx(np.mean(y[own]), rel=0.15)
    with pytest.raises(ValueError, match="expected numbers >= 0 for the loss 'poisson'"):
        st.fit_groups(regressor(loss="poisson"), X, Y, KEYS)
    nothing = np.where(KEYS == "south", 0.0, y)
    assert st.fit_groups(regressor(loss="poisson", max_iter=20), X, nothing, KEYS).predict(X, KEYS).min() >= 0


@pytest.mark.parametrize(
    ("offset", "spread"),
    [(1e9, 1.0), (1e9, 1e-3), (-1e6, 0.1), (1e12, 0.1), (0.0, 1e-9), (0.0, 1e9), (1e9, 1e6), (0, 1e-30), (0, 1e30)],
)
def test_large_and_small_targets_of_each_group_keep_their_digits(offset: float, spread: float) -> None:
    own = np.array([{"north": 1.0, "south": 2.0, "ä": -3.0}[key] for key in KEYS])
    y = offset * own + spread * Y
    models = st.fit_groups(regressor(max_iter=300), X, y, KEYS, fallback=False)
    for key in SLOPES:
        rows = key == KEYS
        found = r2_score(Y[rows], (models.predict(X[rows], KEYS[rows]) - offset * own[rows]) / spread)
        assert found > 0.85, key


@pytest.mark.parametrize("scale", [1e150, 1e200, 1e-150])
def test_targets_far_from_one_are_learned_as_an_estimator_does(scale: float) -> None:
    south = KEYS == "south"
    alone = regressor(max_iter=300).fit(X[south], scale * Y[south]).predict(X[south]) / scale
    assert r2_score(Y[south], alone) > 0.8
    said = st.fit_groups(regressor(max_iter=300), X, scale * Y, KEYS, fallback=False).predict(X, KEYS) / scale
    assert r2_score(Y, said) > 0.8


@pytest.mark.parametrize("encode", ["auto", "numbers"])
@pytest.mark.parametrize("away", [0.0, 30.0, 1e3, 1e5])
def test_a_group_is_learned_as_well_where_its_features_are_far_from_the_others(away: float, encode: str) -> None:
    groups = np.repeat(np.arange(150), 30)
    x = np.random.default_rng(5).uniform(-1, 1, (4500, 1))
    y = np.abs(x[:, 0])
    moved = x + away * (groups == 7)[:, None]
    est = MLPRegressor(
        hidden_layer_sizes=(8,), max_iter=80, early_stopping=False, random_state=0, encode=encode, lr=0.05
    )
    models = st.fit_groups(est, moved, y, groups, fallback=False)
    own = groups == 7
    assert models.score(moved[~own], y[~own], groups[~own]) > 0.9
    assert models.score(moved[own], y[own], groups[own]) > 0.8


@pytest.mark.parametrize("encode", ["auto", "numbers"])
@pytest.mark.parametrize("spread", [0.3, 0.01])
def test_groups_at_quite_different_levels_are_all_learned(spread: float, encode: str) -> None:
    groups = np.repeat(np.arange(10), 60)
    x = np.random.default_rng(6).uniform(-1, 1, (600, 1)) * spread + 1
    y = np.abs(x[:, 0] - 1)
    prices = x * 10.0 ** groups[:, None]  # each group's vary by as much of their level
    est = MLPRegressor(
        hidden_layer_sizes=(8,), max_iter=100, early_stopping=False, random_state=0, encode=encode, lr=0.05
    )
    models = st.fit_groups(est, prices, y, groups, fallback=False)
    scores = [models.score(prices[groups == i], y[groups == i], groups[groups == i]) for i in range(10)]
    assert min(scores) > 0.8, np.round(scores, 2)


@pytest.mark.parametrize("share", [0.5, 0.4], ids=["as often", "less often"])
def test_a_column_of_two_numbers_speaks_from_the_first_step(share: float) -> None:
    x = np.column_stack([np.where(np.arange(80) % 10 < 10 * share, 7.0, 3.0), np.arange(80) % 7])
    est = regressor(encode="numbers", max_iter=1, lr=0.0, hidden_layer_sizes=(8,))
    models = st.fit_groups(est, x, x[:, 0], np.repeat(["a", "b"], 40), fallback=False)
    said = models.predict(np.array([[3.0, 2.5], [7.0, 2.5]]), np.array(["a", "a"]))
    assert said[0] != said[1]  # by the weights that a new network has


def test_constant_columns_and_targets_of_a_group_do_no_harm() -> None:
    x = np.column_stack([X, np.where(KEYS == "south", 5.0, X[:, 0]), np.full(N, 7.0)])
    x[:, 1] = np.where(KEYS == "ä", 1e6, x[:, 1])
    y = np.where(KEYS == "north", 123.456, Y)
    models = st.fit_groups(regressor(max_iter=300), x, y, KEYS)
    said = models.predict(x, KEYS)
    assert said[KEYS == "north"] == pytest.approx(123.456, abs=0.3)
    for key in ("south", "ä"):
        assert r2_score(y[key == KEYS], said[key == KEYS]) > 0.7
    other = x.copy()
    other[:, 4] = -900.0  # constant in all groups: it says nothing
    assert models.predict(other, KEYS) == pytest.approx(said, abs=1e-3)
    other = x.copy()
    other[KEYS == "south", 3] = 6.0
    south = KEYS == "south"
    assert models.predict(other[south], KEYS[south]) == pytest.approx(said[south], abs=1e-3)


def test_a_group_with_nothing_but_constant_columns_predicts_its_mean() -> None:
    x = np.where(KEYS[:, None] == "south", 1.0, X)
    models = st.fit_groups(regressor(max_iter=100, lr=0.05), x, Y + 50, KEYS)
    south = KEYS == "south"
    assert models.predict(x[south], KEYS[south]) == pytest.approx(Y[south].mean() + 50, abs=0.3)


# --- Classes ---


@pytest.mark.parametrize("labels", [LABELS, CLASSES, CLASSES > 0, LABELS.astype(object), CLASSES.astype(np.int8)])
@pytest.mark.parametrize("options", [{}, {"ensemble": 3}, {"label_smoothing": 0.2}, {"class_weight": "balanced"}])
def test_classes_are_learned(labels: NDArray[Any], options: dict[str, Any]) -> None:
    est = classifier(**options | {"max_iter": 200, "learning_rate_init": 0.03})
    before = parts_of(est)
    models = st.fit_groups(est, X, labels, KEYS)
    assert parts_of(est) == before
    assert models.classes_.tolist() == np.unique(labels).tolist()
    said, shares = models.predict(X, KEYS), models.predict_proba(X, KEYS)
    assert said.dtype == labels.dtype and shares.shape == (N, len(models.classes_))
    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-12) and (shares >= 0).all()
    assert (models.classes_[shares.argmax(axis=1)] == said).all()
    assert models.score(X, labels, KEYS) == accuracy_score(labels, said) > 0.7
    weight = np.arange(1.0, N + 1)
    assert models.score(X, labels, KEYS, weight) == accuracy_score(labels, said, sample_weight=weight)


def test_a_group_may_lack_a_class_that_others_have() -> None:
    labels = np.where((KEYS == "south") & (LABELS == "many"), "few", LABELS)
    models = st.fit_groups(classifier(max_iter=300, learning_rate_init=0.03), X, labels, KEYS)
    south = KEYS == "south"
    assert not (models.predict(X[south], KEYS[south]) == "many").any()
    shares = models.predict_proba(X[south], KEYS[south])
    assert shares.shape == (south.sum(), 3) and shares[:, models.classes_.tolist().index("many")].mean() < 0.2
    assert models.score(X, labels, KEYS) > 0.8


def test_several_labels_a_row() -> None:
    y = np.stack([Y > 0, X[:, 1] > 0, Y > 9], axis=1).astype(int)
    models = st.fit_groups(classifier(max_iter=200), X, y, KEYS)
    assert models.predict(X, KEYS).shape == models.predict_proba(X, KEYS).shape == (N, 3)
    assert models.score(X, y, KEYS) > 0.6


def test_defaults_of_groups_of_a_hundred_rows() -> None:
    keys = np.repeat(["a", "b"], 100)
    x = normal(7, (200, 4))
    y = x[:, 0] * np.repeat([1.0, -1.0], 100)
    models = st.fit_groups(MLPClassifier(random_state=0), x, np.where(y > 0, "yes", "no"), keys, fallback=False)
    assert models.score(x, np.where(y > 0, "yes", "no"), keys) > 0.95
    shares = models.predict_proba(x, keys)
    assert shares.max() < 1 and shares.sum(axis=1) == pytest.approx(1)
    fresh = normal(8, (400, 4))
    truth = np.where(fresh[:, 0] * np.repeat([1.0, -1.0], 200) > 0, "yes", "no")
    assert models.score(fresh, truth, np.repeat(["a", "b"], 200)) > 0.85


def test_defaults_of_numbers_of_groups_of_a_hundred_rows() -> None:
    keys = np.repeat(["a", "b"], 100)
    x = normal(7, (200, 4))
    y = x[:, 0] * np.repeat([1.0, -1.0], 100)
    models = st.fit_groups(MLPRegressor(random_state=0), x, y, keys, fallback=False)
    fresh = normal(8, (400, 4))
    assert models.score(fresh, fresh[:, 0] * np.repeat([1.0, -1.0], 200), np.repeat(["a", "b"], 200)) > 0.9
    assert "MLPRegressor" in repr(models)


# --- Weights ---


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("rows", ["array", "frame"])
def test_a_row_without_weight_is_no_row(make: Any, rows: str) -> None:
    y = LABELS if make is classifier else Y
    there = np.arange(N) % 4 > 0
    x: Any = X if rows == "array" else frame()
    by: tuple[Any, Any] = (KEYS, KEYS[there]) if rows == "array" else ("shop", "shop")
    spoilt = x.copy()
    if rows == "array":
        spoilt[~there] = 1e9
    weighted = st.fit_groups(make(), spoilt, y, by[0], sample_weight=there.astype(float))
    expected = st.fit_groups(make(), x[there], y[there], by[1], sample_weight=np.ones(there.sum()))
    same_models(weighted, expected, *((X, KEYS) if rows == "array" else (frame(),)))


def test_weights_count() -> None:
    models = st.fit_groups(regressor(max_iter=200, lr=0.05), np.zeros((N, 1)), Y, KEYS, sample_weight=np.exp(3 * Y))
    plain = st.fit_groups(regressor(max_iter=200, lr=0.05), np.zeros((N, 1)), Y, KEYS)
    zero = np.zeros((1, 1))
    for key in SLOPES:
        own = key == KEYS
        mean = np.average(Y[own], weights=np.exp(3 * Y[own]))
        assert models.predict(zero, np.array([key])) == pytest.approx(mean, abs=0.2)
        assert plain.predict(zero, np.array([key])) == pytest.approx(Y[own].mean(), abs=0.2)


def test_weights_of_classes_count() -> None:
    labels = np.where(np.random.default_rng(9).random(N) < 0.2, "rare", "usual")
    zero = np.zeros((N, 1))
    plain = st.fit_groups(classifier(max_iter=200, lr=0.05), zero, labels, KEYS).predict_proba(zero, KEYS)[:, 0]
    weighted = st.fit_groups(classifier(max_iter=200, lr=0.05, class_weight={"rare": 4.0}), zero, labels, KEYS)
    assert (weighted.predict_proba(zero, KEYS)[:, 0] > plain + 0.15).all()


# --- Groups of different sizes, each by itself ---


def test_groups_of_very_different_sizes_stand_side_by_side() -> None:
    keys = np.repeat(["two", "sixty", "many"], [2, 60, 3000])
    x = normal(10, (3062, 3))
    y = x[:, 0] * np.repeat([5.0, -1.0, 1.0], [2, 60, 3000])
    models = st.fit_groups(regressor(hidden_layer_sizes=(8,), max_iter=30), x, y, keys)
    assert models.groups_ == ["many", "sixty", "two"]
    for key in models.groups_:
        own = keys == key
        assert models.score(x[own], y[own], keys[own]) > 0.5, key
    labels = np.where(y > 0, "yes", "no")
    labels[:2] = ["yes", "no"]
    classes = st.fit_groups(classifier(hidden_layer_sizes=(8,), max_iter=30), x, labels, keys)
    assert classes.score(x, labels, keys) > 0.9


@pytest.mark.parametrize("options", [{}, {"ensemble": 3}, {"early_stopping": True}, {"encode": "numbers"}])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_a_group_depends_on_its_own_rows_alone(make: Any, options: dict[str, Any]) -> None:
    y = LABELS if make is classifier else Y
    south = np.flatnonzero(KEYS == "south")
    other = y.copy()
    other[south] = np.random.default_rng(11).permutation(y[south])
    table = frame()[["size", "shop", "weight"]].fillna(0.0) if "encode" in options else frame()
    for x, by in ((X, KEYS), (table, "shop")):
        rows = (x, KEYS) if by is KEYS else (x,)
        first = st.fit_groups(make(**options), x, y, by, fallback=False)
        second = st.fit_groups(make(**options), x, other, by, fallback=False)
        method = "predict_proba" if make is classifier else "predict"
        one, two = getattr(first, method)(*rows), getattr(second, method)(*rows)
        mine = KEYS != "south"
        assert one[mine].tobytes() == two[mine].tobytes() and one[~mine].tobytes() != two[~mine].tobytes()


def test_rows_of_groups_may_be_mixed_in_any_way() -> None:
    order = np.argsort(KEYS, kind="stable")
    first = st.fit_groups(regressor(), X, Y, KEYS, fallback=False)
    second = st.fit_groups(regressor(), X[order], Y[order], KEYS[order], fallback=False)
    same_models(first, second, X, KEYS)


def test_many_groups_are_trained_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = np.arange(N) % 17
    expected = st.fit_groups(regressor(ensemble=2), X, Y, keys)
    monkeypatch.setattr("steepest.selection._group_fit._AT_ONCE", 4)
    same_models(st.fit_groups(regressor(ensemble=2), X, Y, keys), expected, X, keys)


def test_more_than_a_thousand_groups() -> None:
    keys = np.repeat(np.arange(1010), 3)
    x = normal(12, (3030, 1))
    models = st.fit_groups(regressor(max_iter=2), x, 1000.0 * keys, keys, fallback=False)
    assert len(models) == 1010
    assert np.abs(models.predict(x, keys) - 1000 * keys).max() < 100


def test_each_group_is_told_from_a_model_of_all_rows() -> None:
    draw = np.random.default_rng(13)
    keys = np.repeat(np.arange(20), 60)
    slopes = draw.normal(size=(20, 3))
    x, fresh = draw.normal(size=(2, 1200, 3))
    y, truth = ((rows * slopes[keys]).sum(axis=1) for rows in (x, fresh))
    est = MLPRegressor(hidden_layer_sizes=(16,), max_iter=100, random_state=0)
    models = st.fit_groups(est, x, y, keys)
    one = MLPRegressor(hidden_layer_sizes=(16,), max_iter=20, random_state=0)
    assert models.score(fresh, truth, keys) > 0.9
    assert one.fit(x, y).score(fresh, truth) < 0.4
    assert one.fit(np.column_stack([x, keys]), y).score(np.column_stack([fresh, keys]), truth) < 0.6


# --- Keys of no group ---


def test_rows_of_no_group_go_by_the_model_of_all_rows() -> None:
    x = normal(14, (200, 2))
    y = x[:, 0] + 5
    keys = np.repeat(["a", "b"], 100)
    models = st.fit_groups(regressor(max_iter=60), x, y, keys)
    assert models.fallback_
    unseen = models.predict(x, np.repeat(["new", "a" * 50], 100))
    assert r2_score(y, unseen) > 0.9
    assert unseen.tobytes() == models.predict(x, np.full(200, "zz")).tobytes()
    mixed = np.where(np.arange(200) % 3 == 0, "new", keys)
    expected = np.where(np.arange(200) % 3 == 0, unseen, models.predict(x, keys))
    assert models.predict(x, mixed).tobytes() == expected.tobytes()
    labels = st.fit_groups(classifier(max_iter=60), x, y > 5, keys)
    assert labels.score(x, y > 5, np.full(200, "new")) > 0.9


@pytest.mark.parametrize(
    ("keys", "unseen"),
    [
        (np.arange(N) % 3, [7, -1, 2**40]),
        (np.arange(N) % 3, [0.5, 1.0, 1e300]),
        (np.arange(N) % 3 / 2, [1, 3, 0]),
        (np.arange(N) % 2 == 0, [True, False, True]),
        (KEYS, ["North", "", "zz"]),
    ],
    ids=["whole", "numbers", "whole among numbers", "bool", "text"],
)
def test_keys_of_any_kind_that_no_group_has(keys: NDArray[Any], unseen: list[Any]) -> None:
    models = st.fit_groups(regressor(), X, Y, keys)
    said = models.predict(X[:3], np.array(unseen))
    of_all = models.predict(X[:3], np.full(3, "none" if keys is KEYS else 99))
    for i, key in enumerate(unseen):
        own = models.predict(X[i : i + 1], np.array([key]))
        assert said[i] == own[0] and (said[i] == of_all[i]) == (key not in models.groups_)


def test_a_pair_whose_parts_are_known_is_of_no_group() -> None:
    table = frame()[["shop", "number", "weight"]]
    table["number"] = np.where(table["shop"] == "north", 1, 2)
    models = st.fit_groups(regressor(), table, Y, by=["shop", "number"])
    assert models.groups_ == [("north", 1), ("south", 2), ("ä", 2)]
    swapped = table.assign(number=3 - table["number"])
    unknown = table.assign(shop="new")
    assert models.predict(swapped).tobytes() == models.predict(unknown).tobytes()
    strict = st.fit_groups(regressor(), table, Y, by=["shop", "number"], fallback=False)
    for rows in (swapped, unknown):
        with pytest.raises(ValueError, match=r"the key .* of row 0 is of no group \(120 rows have such\)"):
            strict.predict(rows)


def test_without_a_model_of_all_rows_an_unseen_key_is_refused_by_name() -> None:
    models = st.fit_groups(regressor(), X, Y, KEYS, fallback=False)
    assert not models.fallback_ and models.n_iter_.shape == models.loss_.shape == (3,)
    keys = KEYS.astype(object)
    keys[[7, 9]] = "west"
    with pytest.raises(ValueError, match=r"the key west of row 7 is of no group \(2 rows have such\)"):
        models.predict(X, keys)
    with pytest.raises(ValueError, match="the key west of row 7"):
        models.score(X, Y, keys)


# --- What is refused ---


class Spied:
    """A learning rate that is asked for by a training alone."""

    def __init__(self) -> None:
        self.steps: set[int] = set()

    def __call__(self, step: int) -> float:
        self.steps.add(step)
        return 0.01


def missing_at(place: int, column: str = "shop") -> Any:
    table = frame()
    table[column] = table[column].astype(object)
    table.iloc[place, table.columns.get_loc(column)] = None
    return table


def lone(key: str, rows: int) -> NDArray[Any]:
    """Keys of which one has so many rows."""
    keys = KEYS.astype(object)
    keys[11 : 11 + rows] = key
    return keys


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a missing key": ({"X": missing_at(7), "by": "shop"}, ValueError, "no key in row 7 of 'shop'.*1 of 120 rows"),
    "a missing number": ({"X": missing_at(9, "number"), "by": "number"}, ValueError, "no key in row 9 of 'number'"),
    "a missing part of a key": (
        {"X": missing_at(9, "new"), "by": ["shop", "new"]}, ValueError, "no key in row 9 of 'new'",
    ),
    "keys with None": ({"by": np.where(np.arange(N) == 5, None, KEYS)}, ValueError, "no key in row 5"),
    "keys with NaN": ({"by": np.where(np.arange(N) == 5, np.nan, 1.0)}, ValueError, "no key in row 5"),
    "infinite keys": ({"by": np.where(np.arange(N) == 5, np.inf, 1.0)}, ValueError, "infinite in row 5"),
    "a group of one row": ({"by": lone("west", 1)}, ValueError, "the group 'west' has 1 row: expected at least 2"),
    "a number of one row": ({"by": np.where(np.arange(N) == 5, 7, 1)}, ValueError, "the group 7 has 1 row"),
    "a pair of one row": (
        {"X": frame().assign(shop=lone("west", 1)), "by": ["shop", "number"]}, ValueError,
        r"the group \('west', -5\) has 1 row",
    ),
    "several groups of one row": (
        {"by": np.where(np.arange(N) < 5, np.arange(N), 9)}, ValueError, r"the group 0 has 1 row.*5 groups",
    ),
    "a group without weight": (
        {"sample_weight": (KEYS != "south").astype(float)}, ValueError, "the group 'south' has 0 row",
    ),
    "a group of one class": (
        {"est": MLPClassifier(), "y": np.where(KEYS == "south", "many", LABELS)}, ValueError,
        "the group 'south' has rows of the class 'many' alone: expected two classes",
    ),
    "a group of one number's class": (
        {"est": MLPClassifier(), "y": np.where(KEYS == "south", 1, CLASSES)}, ValueError,
        "the group 'south' has rows of the class 1 alone",
    ),
    "a class without weight": (
        {"est": MLPClassifier(class_weight={"many": 0, "some": 0}), "y": LABELS}, ValueError,
        "rows of the class 'few' alone",
    ),
    "a column that is none": ({"X": frame(), "by": "store"}, ValueError, "by is 'store': expected columns of X, which"),
    "a column of an array": ({"by": "shop"}, TypeError, "by is 'shop': expected a data frame as X"),
    "one of two columns": ({"X": frame(), "by": ["shop", "store"]}, ValueError, "expected columns of X"),
    "nothing beside the keys": ({"X": frame()[["shop"]], "by": "shop"}, ValueError, "expected other columns in X"),
    "no keys at all": ({"by": None}, ValueError, "'by' is None"),
    "an empty list": ({"by": []}, ValueError, r"by (is|has)"),
    "a place of a column": ({"by": 0}, ValueError, r"'by' has the shape \(\)"),
    "fewer keys": ({"by": KEYS[:50]}, ValueError, "by has 50 keys: expected one for each of the 120 rows"),
    "keys of two columns": ({"by": np.stack([KEYS, KEYS], axis=1)}, ValueError, r"by.*has the shape \(120, 2\)"),
    "dates": ({"X": frame(), "by": "day"}, ValueError, "by has dates in 'day': expected text, numbers"),
    "mixed keys": ({"by": np.array(["a", 1] * 60, object)}, ValueError, "holds int, str"),
    "another estimator": ({"est": Ridge()}, TypeError, "est is Ridge.*expected an MLPClassifier or MLPRegressor"),
    "a preset": ({"est": regressor(preset="sklearn")}, ValueError, "preset is 'sklearn'"),
    "lbfgs": ({"est": regressor(solver="lbfgs")}, ValueError, "solver is 'lbfgs'"),
    "warm_start": ({"est": regressor(warm_start=True)}, ValueError, "warm_start is True"),
    "callbacks": ({"est": regressor(callbacks=[st.LambdaCallback()])}, ValueError, "callbacks is"),
    "an own loss": ({"est": regressor(loss=lambda y, p: ((p - y) ** 2, p - y))}, ValueError, "loss is <function"),
    "a parameter out of range": ({"est": regressor(alpha=-1)}, ValueError, "alpha is -1"),
    "a metric without rows to measure": (
        {"est": regressor(eval_metric="mae", early_stopping=False)}, ValueError,
        "eval_metric",
    ),
    "a stream": ({"X": st.Stream((X, Y)), "y": None}, TypeError, "X is a Stream: expected rows in memory"),
    "no targets": ({"y": None}, TypeError, "y is None"),
    "fewer targets": ({"y": Y[:-1]}, ValueError, "expected .*, as many as X"),
    "text as numbers": ({"y": LABELS}, ValueError, "expected numbers"),
    "a missing feature": ({"X": np.where(X > 2, np.nan, X)}, ValueError, "Input X contains NaN"),
    "weights below zero": ({"sample_weight": Y}, ValueError, "sample_weight"),
    "fewer weights": ({"sample_weight": np.ones(7)}, ValueError, "sample_weight"),
    "a fallback that is neither": ({"fallback": "yes"}, TypeError, "fallback is 'yes'"),
    "no jobs": ({"n_jobs": 0}, ValueError, "n_jobs is 0"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_by_name(what: str) -> None:
    given, error, message = BAD[what]
    given = {"est": regressor(), "X": X, "y": Y, "by": KEYS} | given
    before = parts_of(given["est"]) if what not in ("an own loss", "callbacks") else None
    with pytest.raises(error, match=message):
        st.fit_groups(**given)
    assert before is None or parts_of(given["est"]) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"early_stopping": True}, "the group 'west'.*early_stopping is True|early_stopping is True.*the group 'west'"),
        ({"eval_metric": "loss"}, "the group 'west'.*eval_metric|eval_metric.*the group 'west'"),
    ],
    ids=["early stopping", "eval_metric"],
)
def test_a_group_of_too_few_rows_to_hold_some_out_is_named_before_anything_is_trained(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steepest.selection._group_fit._AT_ONCE", 1)  # the last one comes after others then
    keys = lone("west", 2)
    rate = Spied()
    with pytest.raises(ValueError, match=message):
        st.fit_groups(regressor(lr=rate, **options), X, Y, keys)
    assert rate.steps <= {0}


def test_a_class_of_one_row_in_a_group_is_named_with_its_group() -> None:
    x, keys = normal(15, (600, 2)), np.repeat(["a", "b"], 300)
    labels = np.arange(600) % 2
    labels[7] = 2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        st.fit_groups(classifier(max_iter=1), x, labels, keys, fallback=False)
    assert all("'a'" in str(warning.message) for warning in caught)


def with_nan(row: int, value: float = np.nan) -> NDArray[Any]:
    return np.where((np.arange(N) == row)[:, None] & (np.arange(3) == 1), value, X)


PREDICTIONS: dict[str, tuple[Callable[[GroupModels, GroupModels], Any], type[Exception], str]] = {
    "no column of keys": (
        lambda of_frame, _: of_frame.predict(frame().drop(columns="shop")), ValueError, "expected columns of X",
    ),
    "a key too many": (lambda of_frame, _: of_frame.predict(frame(), KEYS), TypeError, "by is given"),
    "no keys": (lambda _, beside: beside.predict(X), TypeError, "by is None: expected an array of keys"),
    "a name of a column": (lambda _, beside: beside.predict(X, "shop"), TypeError, "by is 'shop'"),
    "fewer keys": (lambda _, beside: beside.predict(X, KEYS[:7]), ValueError, "by has 7 keys: .* 120 rows"),
    "more keys": (lambda _, beside: beside.predict(X[:7], KEYS), ValueError, "by has 120 keys: .* 7 rows"),
    "a missing key": (lambda of_frame, _: of_frame.predict(missing_at(9)), ValueError, "no key in row 9 of 'shop'"),
    "a missing key beside": (
        lambda _, beside: beside.predict(X[:2], np.array(["ä", None], object)), ValueError, "no key in row 1",
    ),
    "numbers for text": (
        lambda of_frame, _: of_frame.predict(frame().assign(shop=3)), ValueError,
        r"by has 3 in 'shop': expected keys such as \['north', 'south', 'ä'\]",
    ),
    "an array for a frame": (
        lambda of_frame, _: of_frame.predict(frame().to_numpy()), TypeError, "expected a data frame as X",
    ),
    "another number of columns": (lambda _, beside: beside.predict(X[:, :2], KEYS), ValueError, "2 features"),
    "a missing column": (lambda of_frame, _: of_frame.predict(frame().drop(columns="size")), ValueError, "size"),
    "a missing number": (lambda _, beside: beside.predict(with_nan(83), KEYS), ValueError, "NaN at row 83, column 1"),
    "a single row with a missing number": (
        lambda _, beside: beside.predict(with_nan(83)[83:84], KEYS[83:84]), ValueError, "NaN at row 0, column 1",
    ),
    "an infinite number": (
        lambda _, beside: beside.predict(with_nan(83, -np.inf), KEYS), ValueError, "infinity .*at row 83, column 1",
    ),
    "fewer targets": (lambda _, beside: beside.score(X, Y[:9], KEYS), ValueError, "inconsistent"),
}  # fmt: skip


@pytest.mark.parametrize("what", PREDICTIONS)
def test_rows_that_do_not_fit_are_refused(what: str) -> None:
    call, error, message = PREDICTIONS[what]
    of_frame, beside = st.fit_groups(regressor(), frame(), Y, "shop"), st.fit_groups(regressor(), X, Y, KEYS)
    with pytest.raises(error, match=message):
        call(of_frame, beside)


# --- Groups that diverge ---


def steep(**options: Any) -> MLPRegressor:
    """A linear model that diverges where its features are all the same, by steps that suit others."""
    return MLPRegressor(
        hidden_layer_sizes=(), solver="sgd", momentum=0.0, nesterovs_momentum=False, lr=0.25, alpha=0.0, max_iter=300,
        early_stopping=False, batch_size=400, encode="numbers", random_state=0, **options,
    )  # fmt: skip


def steep_rows() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Rows of which those of one group have the same number ten times over."""
    x = np.concatenate([np.repeat(normal(16, (60, 1)), 10, axis=1), normal(17, (720, 10))])
    keys = np.repeat(["west", *(f"shop {i}" for i in range(12))], 60)
    return x, x[:, 0] + 0.1 * normal(18, (780,)), keys


def test_a_group_that_diverges_goes_by_the_model_of_all_rows(tmp_path: Path) -> None:
    x, y, keys = steep_rows()
    with pytest.warns(RuntimeWarning, match=r"1 of 13 groups diverged.*'west': training diverged") as caught:
        models = st.fit_groups(steep(), x, y, keys)
    assert [warning.filename for warning in caught] == [__file__]
    place = models.groups_.index("west")
    assert models.n_iter_[place] == 0 and np.isnan(models.loss_[place])
    assert (np.delete(models.n_iter_, place) == 300).all() and np.isfinite(np.delete(models.loss_, place)).all()
    west = keys == "west"
    said = models.predict(x[west], keys[west])
    assert said.tobytes() == models.predict(x[west], np.full(60, "none such")).tobytes()
    assert models.score(x[~west], y[~west], keys[~west]) > 0.9
    models.save(tmp_path / "models")
    assert st.load(tmp_path / "models").predict(x, keys).tobytes() == models.predict(x, keys).tobytes()


def test_a_group_that_diverges_raises_where_nothing_takes_its_place() -> None:
    x, y, keys = steep_rows()
    est = steep()
    before = parts_of(est)
    with pytest.raises(st.DivergedError, match="the group 'west': training diverged in epoch") as caught:
        st.fit_groups(est, x, y, keys, fallback=False)
    assert parts_of(est) == before
    error = caught.value
    assert 0 < error.epoch < 300 and error.learning_rate == 0.25 and error.step >= 0 and not np.isfinite(error.loss)


def test_where_all_diverge_an_error_says_so() -> None:
    for fallback in (True, False):
        with pytest.raises(st.DivergedError, match="the group 'north': training diverged"):
            st.fit_groups(regressor(lr=1e30, max_iter=30), X, Y, KEYS, fallback=fallback)


# --- Threads, and Ctrl-C ---


@pytest.mark.parametrize("n_jobs", [1, 2, -1, None, 9])
def test_threads_and_jobs_change_no_bit(threads: int, n_jobs: int | None) -> None:
    for est, y in ((regressor(ensemble=2), Y), (classifier(early_stopping=True), LABELS)):
        found = st.fit_groups(est, X, y, KEYS, n_jobs=n_jobs)
        said = found.predict(X, KEYS)
        st.set_num_threads(2)
        expected = st.fit_groups(est, X, y, KEYS)
        same_models(found, expected, X, KEYS)
        assert said.tolist() == expected.predict(X, KEYS).tolist()
        st.set_num_threads(threads)


def test_a_fit_that_asks_python_for_its_rate_has_the_same_bits_on_all_threads() -> None:
    first, second = (st.fit_groups(regressor(lr=lambda step: 0.01), X, Y, KEYS, n_jobs=jobs) for jobs in (1, 2))
    same_models(first, second, X, KEYS)
    native = st.fit_groups(regressor(lr=st.schedules.constant(0.01)), X, Y, KEYS)
    same_models(first, native, X, KEYS)


def test_a_random_state_makes_a_fit_repeatable() -> None:
    first, second = (st.fit_groups(regressor(random_state=np.random.RandomState(3)), X, Y, KEYS) for _ in range(2))
    same_models(first, second, X, KEYS)
    other = st.fit_groups(regressor(random_state=4), X, Y, KEYS)
    assert other.predict(X, KEYS).tobytes() != first.predict(X, KEYS).tobytes()


def test_several_threads_predict_at_once() -> None:
    models = st.fit_groups(regressor(ensemble=2), X, Y, KEYS)
    expected, found = models.predict(X, KEYS).tobytes(), []
    orders = [np.random.default_rng(i).permutation(N) for i in range(6)]

    def work(order: NDArray[Any]) -> None:
        for _ in range(10):
            found.append(models.predict(X[order], KEYS[order])[np.argsort(order)].tobytes())

    workers = [threading.Thread(target=work, args=(order,)) for order in orders]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [expected] * 60


@pytest.mark.parametrize("options", [{}, {"lr": lambda step: 0.001}, {"ensemble": 3}], ids=["core", "python", "many"])
@pytest.mark.parametrize("delay", [0.03, 0.2])
def test_an_interrupted_fit_leaves_the_estimator_as_it_was(options: dict[str, Any], delay: float) -> None:
    est = regressor(**options | {"max_iter": 200_000})
    before = dict(vars(est))
    with interrupted(delay):
        st.fit_groups(est, X, Y, KEYS)
    assert vars(est) == before


# --- Copies and files ---


Fitted = tuple[GroupModels, tuple[Any, ...]]  # and rows for them
NUMBERS = np.arange(N) % 4


def with_keys(est: Any, y: Any, keys: Any = KEYS, *, fallback: bool = True) -> Fitted:
    return st.fit_groups(est, X, y, keys, fallback=fallback), (X, keys)


def with_columns(est: Any, y: Any, by: Any, table: Any = None) -> Fitted:
    table = frame() if table is None else table
    return st.fit_groups(est, table, y, by), (table,)


KINDS: dict[str, Callable[[], Fitted]] = {
    "text": lambda: with_keys(regressor(), Y),
    "numbers": lambda: with_keys(regressor(ensemble=2), np.stack([Y, -Y], axis=1), NUMBERS, fallback=False),
    "halves": lambda: with_keys(classifier(), LABELS, NUMBERS / 2),
    "bool": lambda: with_keys(classifier(ensemble=2), CLASSES > 0, NUMBERS > 1),
    "frame": lambda: with_columns(regressor(loss="poisson"), np.abs(Y), "shop"),
    "frame of numbers": lambda: with_columns(
        regressor(encode="numbers"), Y, "shop", frame()[["number", "weight", "shop"]]
    ),
    "pairs": lambda: with_columns(classifier(), LABELS.astype(object), ["new", "shop", "number"]),
    "normalized": lambda: with_keys(regressor(batch_norm=True, ema=0.9), Y),
    "indicators": lambda: with_keys(classifier(), np.stack([Y > 0, X[:, 1] > 0], axis=1).astype(int)),
    "own rate": lambda: with_keys(regressor(lr=lambda step: 0.01, loss="huber"), Y),
}


@functools.cache
def made(kind: str) -> Fitted:
    """Models of a kind, made once."""
    return KINDS[kind]()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_loaded_is_what_was_saved(kind: str, tmp_path: Path) -> None:
    models, rows = made(kind)
    models.save(tmp_path / "first")
    loaded = st.load(tmp_path / "first")
    assert type(loaded) is GroupModels
    same_models(loaded, models, *rows)
    assert hasattr(loaded, "classes_") == hasattr(models, "classes_")
    if hasattr(models, "classes_"):
        assert loaded.classes_.dtype == models.classes_.dtype and loaded.classes_.tolist() == models.classes_.tolist()
    loaded.save(tmp_path / "second")
    assert (tmp_path / "second").read_bytes() == (tmp_path / "first").read_bytes()
    if models.fallback_ and len(rows) > 1 and kind != "bool":
        keys = np.full(N, "none such") if kind not in ("halves",) else np.full(N, 99.0)
        assert loaded.predict(X, keys).tolist() == models.predict(X, keys).tolist()


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_copies_predict_the_same(kind: str, copied: Callable[[Any], Any], tmp_path: Path) -> None:
    models, rows = made(kind)
    if kind == "own rate" and copied is not copy.copy:
        return
    again = copied(models)
    same_models(again, models, *rows)
    again.save(tmp_path / "again")
    models.save(tmp_path / "first")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "first").read_bytes()


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_numbers_without_a_model_of_all_rows_are_saved_and_loaded(loss: str, tmp_path: Path) -> None:
    models = st.fit_groups(regressor(loss=loss), X, np.abs(Y), KEYS, fallback=False)
    models.save(tmp_path / "models")
    same_models(st.load(tmp_path / "models"), models, X, KEYS)


def test_the_same_fit_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        st.fit_groups(classifier(ensemble=2), frame(), LABELS, ["shop", "new"]).save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_file_is_of_the_order_of_the_weights(tmp_path: Path) -> None:
    keys = np.repeat(np.arange(300), 4)
    models = st.fit_groups(regressor(max_iter=1, hidden_layer_sizes=(16,)), normal(19, (1200, 8)), 1.0 * keys, keys)
    models.save(tmp_path / "models")
    weights = 301 * (8 * 16 + 16 + 16 + 1) * 4
    assert weights < (tmp_path / "models").stat().st_size < 1.4 * weights + 8000


def test_a_save_that_fails_leaves_the_older_file(tmp_path: Path) -> None:
    models, rows = made("text")
    models.save(tmp_path / "models")
    with pytest.raises(IsADirectoryError):
        models.save(tmp_path)
    with pytest.raises(FileNotFoundError):
        models.save(tmp_path / "no folder" / "models")
    broken = copy.deepcopy(models)
    broken._states[1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        broken.save(tmp_path / "models")
    same_models(st.load(tmp_path / "models"), models, *rows)


# --- Files that are wrong ---

HOSTILE = ("text", "numbers", "bool", "frame of numbers", "pairs")
Change = Callable[[dict[str, Any], dict[str, Any]], object]  # of the description and the tensors


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], dict[str, Any], bytes]]:
    """Files that are right, by kind: metadata, tensors, bytes."""
    found = {}
    for kind in HOSTILE:
        path = tmp_path_factory.mktemp("saved") / "models"
        made(kind)[0].save(path)
        tensors, metadata = read_model(path)
        found[kind] = metadata, tensors, path.read_bytes()
    return found


def refused(path: Path, data: bytes | None = None) -> str:
    """Assert that a file is refused by a ValueError that begins with its name; return the message."""
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        st.load(path)
    assert str(caught.value).startswith(f"{path}: "), str(caught.value)
    return str(caught.value)


def changed(path: Path, good: tuple[dict[str, Any], dict[str, Any], bytes], change: Change) -> Path:
    """Write a good file with a change."""
    metadata, tensors = copy.deepcopy(good[0]), dict(good[1])
    change(metadata["groups"], tensors)
    write_model(path, tensors, metadata)
    return path


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value within JSON."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return ([path] if path else []) + [way for key, value in items for way in places(value, (*path, key))]


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        data = data[key]
    return data


def read_or_refused(path: Path, rows: tuple[Any, ...]) -> None:
    """Assert that a file is refused by its name, or read as something that predicts, or refuses rows in words."""
    try:
        models = st.load(path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: "), str(error)
        return
    assert isinstance(repr(models), str)
    if not isinstance(models, GroupModels):
        return
    assert len(models.groups_) == len(models)
    models.save(path.with_name("again"))
    try:
        said = models.predict(*rows)
    except (ValueError, TypeError) as error:
        assert "broadcast" not in str(error) and "incompatible function" not in str(error), str(error)
        return
    assert len(said) == N
    assert st.load(path.with_name("again")).predict(*rows).tolist() == said.tolist()


def swap(tensors: dict[str, Any], name: str) -> None:
    tensors[name] = tensors[name][::-1]


def put(name: str, value: Callable[[NDArray[Any]], NDArray[Any]]) -> Change:
    return lambda data, tensors: tensors.update({name: value(tensors[name])})


WRONG: dict[str, tuple[str, Change, str]] = {
    "format": ("text", lambda d, t: d.update(format=2), "format 2 of groups"),
    "type": ("text", lambda d, t: d.update(type="Ridge"), "estimator type is 'Ridge'"),
    "type, of classes": ("text", lambda d, t: d.update(type="MLPClassifier"), "task type|parameter"),
    "parameter": ("text", lambda d, t: d["parameters"].update(alfa=1), "parameter 'alfa'"),
    "fallback": ("text", lambda d, t: d.update(fallback=1), "fallback is 1"),
    "fallback, the other": ("text", lambda d, t: d.update(fallback=False), r"groups\.codes"),
    "fallback, where there is none": ("numbers", lambda d, t: d.update(fallback=True), r"groups\.codes"),
    "columns, more": ("pairs", lambda d, t: d["columns"].append("more"), "labels are of 3 columns"),
    "columns, fewer": ("pairs", lambda d, t: d["columns"].pop(), "labels are of 3 columns"),
    "columns, a number": ("pairs", lambda d, t: d.update(columns=["new", 3, "number"]), "one of columns is 3"),
    "columns, an object": ("text", lambda d, t: d.update(columns={"a": 1}), "columns"),
    "columns, text": ("pairs", lambda d, t: d.update(columns="abc"), "columns"),
    "labels, none": ("text", lambda d, t: d.update(labels=[]), r"groups\.codes|labels"),
    "labels, fewer": ("pairs", lambda d, t: d["labels"].pop(), r"groups\.codes"),
    "labels unsorted": ("text", lambda d, t: d["labels"][0].reverse(), "expected different ones, sorted"),
    "labels twice": ("text", lambda d, t: d.update(labels=[["a", "a", "b"]]), "expected different ones, sorted"),
    "labels, one fewer": ("text", lambda d, t: d["labels"][0].pop(), "beyond the 2 labels"),
    "labels, a number": ("text", lambda d, t: d.update(labels=[["a", "b", 3]]), "a key is 3"),
    "labels of no type": ("numbers", lambda d, t: d.update(labels=["complex64"]), "type of keys is 'complex64'"),
    "labels of another type": ("numbers", lambda d, t: d.update(labels=["float64"]), r"groups\.labels\.0 is int64"),
    "labels of numbers unsorted": ("numbers", lambda d, t: swap(t, "groups.labels.0"), "different ones, sorted"),
    "labels that are NaN": (
        "numbers",
        lambda d, t: (d.update(labels=["float64"]), t.update({"groups.labels.0": np.array([0, 1, np.nan, 3])})),
        "sorted",
    ),
    "codes unsorted": ("text", lambda d, t: swap(t, "groups.codes"), "expected different groups, sorted"),
    "codes twice": ("text", put("groups.codes", lambda a: a * 0), "expected different groups, sorted"),
    "codes, pairs unsorted": ("pairs", lambda d, t: swap(t, "groups.codes"), "expected different groups, sorted"),
    "codes below zero": ("text", put("groups.codes", lambda a: a - 1), "place beyond"),
    "codes beyond": ("text", put("groups.codes", lambda a: a + 1), "place beyond"),
    "codes, huge": ("text", put("groups.codes", lambda a: a + 2**62), "place beyond"),
    "codes, floats": ("text", put("groups.codes", lambda a: a.astype(float)), r"groups\.codes is float64"),
    "codes, flat": ("text", put("groups.codes", lambda a: a.ravel()), r"groups\.codes is int64 of shape"),
    "codes, fewer": ("text", put("groups.codes", lambda a: a[:2]), r"groups\.codes is int64 of shape"),
    "states, fewer": ("text", put("groups.states", lambda a: a[:2]), r"groups\."),
    "states, none": ("text", put("groups.states", lambda a: a[:0]), r"groups\."),
    "states, of no network": ("text", put("groups.states", lambda a: a[:, :0]), r"groups\.states has the shape"),
    "states, shorter": ("text", put("groups.states", lambda a: a[..., 1:]), r"groups\.states has the shape"),
    "states, longer": ("text", put("groups.states", lambda a: np.concatenate([a, a], 2)), r"groups\.states has the"),
    "states, flat": ("text", put("groups.states", lambda a: a[0]), r"groups\.states is float32 of shape"),
    "states, wider": ("text", put("groups.states", lambda a: a.astype(float)), r"groups\.states is float64"),
    "states, NaN": ("text", put("groups.states", lambda a: a * np.nan), "not finite"),
    "states, infinite": ("text", put("groups.states", lambda a: a + np.inf), "not finite"),
    "scale, negative": ("text", put("groups.target_scale", lambda a: -a), "scales of at least 0"),
    "scale, NaN": ("text", put("groups.target_scale", lambda a: a * np.nan), "expected finite numbers"),
    "mean, infinite": ("text", put("groups.target_mean", lambda a: a + np.inf), "expected finite numbers"),
    "mean, wide": ("text", put("groups.target_mean", lambda a: np.repeat(a, 2, 1)), r"target_mean is float64 of shape"),
    "mean, fewer": ("text", put("groups.target_mean", lambda a: a[1:]), r"groups\.target_mean is float64 of shape"),
    "mean, none": ("text", lambda d, t: t.pop("groups.target_mean"), r"no 'groups\.target_mean'"),
    "mean of classes": ("bool", lambda d, t: t.update({"groups.target_mean": np.zeros((3, 2))}), "groups.target_mean"),
    "epochs, floats": ("text", put("groups.n_iter", lambda a: a.astype(float)), r"groups\.n_iter is float64"),
    "epochs, fewer": ("text", put("groups.n_iter", lambda a: a[1:]), r"groups\.n_iter is int64 of shape"),
    "losses, more": ("text", put("groups.loss", lambda a: np.append(a, 0)), r"groups\.loss is float64 of shape"),
    "an unknown tensor": ("text", lambda d, t: t.update(x=np.zeros(1)), "tensor x: the models have no such"),
    "network, wider": ("text", lambda d, t: d["network"].update(n_in=4), r"0\.weight|network"),
    "network, another dtype": ("text", lambda d, t: d["network"].update(dtype="float64"), "dtype"),
    "network, no layers": ("text", lambda d, t: d["network"].update(layers=[]), "layers|tensor|network"),
    "network, a wrong tensor": ("text", put("network.0.weight", lambda a: a[:2]), r"0\.weight"),
    "preprocessor, dtype": ("text", lambda d, t: d["preprocessor"].update(dtype="float64"), r"groups\.states is"),
    "features, fewer": ("text", lambda d, t: d.update(n_features_in=2), "3"),
    "features, more": ("text", lambda d, t: d.update(n_features_in=5), "3"),
    "features, fewer, without limit": (
        "frame of numbers", lambda d, t: d.update(n_features_in=1, feature_names_in=None), "2",
    ),
    "features of an encoder, fewer": (
        "pairs", lambda d, t: d.update(n_features_in=1, feature_names_in=None), "encoder has",
    ),
    "task, other outputs": ("text", lambda d, t: d["task"].update(n_outputs=2, flat=False), "network is"),
    "task, labels fewer": ("pairs", lambda d, t: d["task"]["labels"].pop(), "network is"),
    "task, labels unsorted": ("pairs", lambda d, t: d["task"]["labels"].reverse(), "sorted and different"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_values_that_do_not_fit_are_refused(what: str, saved: Any, tmp_path: Path) -> None:
    kind, change, message = WRONG[what]
    path = changed(tmp_path / "models", saved[kind], change)
    with pytest.raises(ValueError, match=message):
        st.load(path)
    refused(path)


@pytest.mark.parametrize("kind", HOSTILE)
def test_every_field_and_tensor_is_needed(kind: str, saved: Any, tmp_path: Path) -> None:
    metadata, tensors, _ = saved[kind]
    for field in metadata["groups"]:
        refused(changed(tmp_path / "models", saved[kind], lambda d, t, field=field: d.pop(field)))
    for name in tensors:
        refused(changed(tmp_path / "models", saved[kind], lambda d, t, name=name: t.pop(name)))
    for value in (None, [], 3, "text", {}):
        write_model(tmp_path / "models", tensors, metadata | {"groups": value})
        refused(tmp_path / "models")


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_tensor_of_another_kind(kind: str, saved: Any, tmp_path: Path) -> None:
    for name, array in saved[kind][1].items():
        other = np.float32 if array.dtype == np.float64 else np.float64
        wrong = [array.astype(dtype) for dtype in (other, np.int32)] + [array[None], np.zeros((2, 3, 4))]
        for value in wrong:
            refused(changed(tmp_path / "models", saved[kind], lambda d, t, v=value, name=name: t.update({name: v})))


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=some.data())
def test_any_json_in_any_place_is_read_or_refused(data: Any, saved: Any, tmp_path: Path) -> None:
    kind = data.draw(some.sampled_from(HOSTILE))
    metadata, tensors, _ = saved[kind]
    other = copy.deepcopy(metadata)
    place = data.draw(some.sampled_from(places(metadata)))
    at(other, place)[place[-1]] = data.draw(JSON)
    text = json.dumps(other)
    raw = save({name: np.ascontiguousarray(array) for name, array in tensors.items()}, {"steepest": text})
    (tmp_path / "models").write_bytes(raw)
    read_or_refused(tmp_path / "models", made(kind)[1])


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=some.data())
def test_flipped_bytes_are_read_or_refused(data: Any, saved: Any, tmp_path: Path) -> None:
    kind = data.draw(some.sampled_from(HOSTILE))
    damaged = bytearray(saved[kind][2])
    for place in data.draw(some.lists(some.integers(0, len(damaged) - 1), min_size=1, max_size=3)):
        damaged[place] = data.draw(some.integers(0, 255))
    (tmp_path / "models").write_bytes(bytes(damaged))
    read_or_refused(tmp_path / "models", made(kind)[1])


def test_bytes_that_are_wrong(saved: Any, tmp_path: Path) -> None:
    data = saved["pairs"][2]
    size = int.from_bytes(data[:8], "little")
    wrong = [*(data[:length] for length in range(0, len(data), 397)), data[:-1], data + b"\0"]
    wrong += [struct.pack("<Q", n) + data[8:] for n in (0, 1, size - 1, size + 1, 2**31, 2**63, 2**64 - 1)]
    for each in wrong:
        refused(tmp_path / "models", each)


# --- What is shown ---


def test_an_account_of_the_models_is_short() -> None:
    assert repr(made("text")[0]) == (
        "GroupModels(3 groups by keys, MLPRegressor, 26 parameters each, with a model of all rows)"
    )
    assert repr(made("numbers")[0]) == (
        "GroupModels(4 groups by keys, MLPRegressor, 64 parameters each, without a model of all rows)"
    )
    assert repr(made("pairs")[0]).startswith("GroupModels(12 groups by 'new', 'shop', 'number', MLPClassifier, ")
