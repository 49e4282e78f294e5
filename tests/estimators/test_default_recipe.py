"""What the estimators decide where a parameter is left open."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import log_loss

import steepest as st
from helpers import normal
from steepest.estimators._input import Rows
from steepest.estimators._solver import Solver
from steepest.recipe import Recipe

IRIS, DIABETES = load_iris(return_X_y=True), load_diabetes(return_X_y=True)
NEW = normal(9, (50, 4))


@pytest.fixture(scope="module")
def few() -> Any:
    return st.MLPClassifier(random_state=0).fit(*IRIS)


def many(rows: int = 2001, columns: int = 4) -> tuple[Any, Any]:
    x = normal(0, (rows, columns))
    return x, (x[:, 0] > 0.3).astype(int)


def test_few_rows_have_five_small_networks(few: Any) -> None:
    found = few.recipe_
    assert (found["hidden_layer_sizes"], found["dropout"]) == ((128, 128), 0.0)
    assert found["activation"] == ("silu", "silu") and found["features"] == "standardized"
    assert (found["training_rows"], found["held_out_rows"], found["label_smoothing"]) == (120, 30, 0.1)
    assert len(few.networks_) == len(few.histories_) == found["ensemble"] == 5
    assert sum(kind["networks"] for kind in found["pack"]) == found["ensemble"]


def test_many_rows_have_four_networks_and_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recipe, "plan", lambda self, n, *given: (1, 256))
    found = st.MLPClassifier(random_state=0).fit(*many()).recipe_
    assert (found["ensemble"], found["hidden_layer_sizes"], found["dropout"]) == (4, (128, 128), 0.1)
    assert found["features"] == "standardized" and found["held_out_rows"] == 200
    wide = st.MLPRegressor(random_state=0).fit(*many(columns=600))  # what embeddings make of a row has its limit
    assert wide.network_.layers[1].size == 1 and wide.recipe_["label_smoothing"] == 0
    sparse = st.MLPRegressor(random_state=0).fit(csr_matrix(many()[0]), many()[1])
    assert isinstance(sparse.network_.layers[0], st.Dense)


def test_frames_have_embeddings_where_there_are_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recipe, "plan", lambda self, n, *given: (1, 256))
    x, y = many()
    network = st.MLPClassifier().fit(pd.DataFrame(x, columns=list("abcd")).assign(e="x"), y).network_
    assert network.n_in == 5 and isinstance(network.layers[0], st.PiecewiseLinear)


@pytest.mark.parametrize(
    "described",
    [
        {"hidden_layer_sizes": (8,)},
        {"solver": "adam"},
        {"optimizer": st.AdamW(0.01)},
        {"max_iter": 3},
        {"callbacks": [st.LambdaCallback()]},
    ],
    ids=lambda described: next(iter(described)),
)
def test_whoever_describes_a_network_gets_one(described: dict[str, Any]) -> None:
    assert len(st.MLPClassifier(**described).fit(*IRIS).networks_) == 1


def test_the_number_of_networks_may_be_said() -> None:
    assert len(st.MLPClassifier(ensemble=2).fit(*IRIS).networks_) == 2
    assert len(st.MLPClassifier(ensemble=2, hidden_layer_sizes=(8,)).fit(*IRIS).networks_) == 2


def test_each_network_holds_other_rows_out(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Any] = []
    trained: list[Any] = []
    at, begin = Rows.at, Solver.begin
    monkeypatch.setattr(Rows, "at", lambda rows, places: held.append(places) or at(rows, places))

    def spy(solver: Any, networks: Any, parts: Any, *more: Any) -> Any:
        trained.extend(parts)
        return begin(solver, networks, parts, *more)

    monkeypatch.setattr(Solver, "begin", spy)
    st.MLPClassifier(random_state=0, ensemble=5, max_iter=1).fit(*IRIS)
    assert all(part.of[0] is trained[0].of[0] for part in trained)  # one copy of the rows
    assert len(np.unique(np.concatenate(held))) == 147  # one row of each class always stays
    for places, part in zip(held, trained, strict=True):
        others = part.of[1]
        assert len(np.intersect1d(places, others)) == 0 and len(others) == 120
        assert (np.bincount(IRIS[1][places]) >= 9).all()


def test_weighted_rows_may_take_turns() -> None:
    weight = np.where(np.arange(150) % 3, 1.0, 0.0)
    plain = st.MLPClassifier(random_state=0).fit(IRIS[0], IRIS[1], weight).predict_proba(IRIS[0])
    rows = np.flatnonzero(weight)
    np.testing.assert_array_equal(
        st.MLPClassifier(random_state=0).fit(IRIS[0][rows], IRIS[1][rows], weight[rows]).predict_proba(IRIS[0]), plain
    )
    uneven = st.MLPClassifier(random_state=0).fit(IRIS[0], IRIS[1], np.exp(normal(0, (150,))))
    assert not np.array_equal(uneven.predict_proba(IRIS[0]), plain)


def test_sparse_rows_take_turns_as_dense_ones() -> None:
    x = np.where(normal(0, (300, 20)) > 1, 1.0, 0.0)
    y = (x[:, :3].sum(1) > 0).astype(int)
    dense, sparse = (st.MLPClassifier(random_state=0).fit(rows, y) for rows in (x, csr_matrix(x)))
    assert sparse.recipe_["ensemble"] == 5 and abs(sparse.recipe_["temperature"] - dense.recipe_["temperature"]) < 0.2
    assert (sparse.predict(x) == dense.predict(x)).mean() > 0.95


def test_probabilities_are_no_longer_smoothed(few: Any) -> None:
    smoothed = st.MLPClassifier(random_state=0, label_smoothing=0.1).fit(*IRIS)
    assert "temperature" not in smoothed.recipe_ and 0.2 < few.recipe_["temperature"] < 0.9
    losses = [log_loss(IRIS[1], model.predict_proba(IRIS[0])) for model in (few, smoothed)]
    assert losses[0] < losses[1] - 0.02
    np.testing.assert_array_equal(few.networks_[1].predict(NEW).argmax(1), smoothed.networks_[1].predict(NEW).argmax(1))


@pytest.mark.parametrize("options", [{"early_stopping": False}, {"solver": "lbfgs"}, {"preset": "sklearn"}], ids=str)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_labels_stay_sharp_where_nothing_is_held_out(options: dict[str, Any]) -> None:
    found = st.MLPClassifier(**options).fit(*IRIS).recipe_
    assert found["label_smoothing"] == 0 and "temperature" not in found


def test_an_eval_set_calibrates() -> None:
    found = st.MLPClassifier(random_state=0).fit(*IRIS, eval_set=(IRIS[0][::2], IRIS[1][::2])).recipe_
    assert (found["held_out_rows"], found["ensemble"], found["label_smoothing"]) == (75, 5, 0.1)
    assert found["temperature"] < 1


def test_online_nothing_is_dropped_or_smoothed() -> None:
    found = st.MLPClassifier().partial_fit(*IRIS, classes=[0, 1, 2]).recipe_
    assert (found["ensemble"], found["dropout"], found["label_smoothing"]) == (1, 0.0, 0.0)
    assert "weight_decay=0.1" in found["optimizer"] and found["features"] == "standardized"


def test_the_default_ensemble_gives_a_spread() -> None:
    mean, std = st.MLPRegressor(random_state=0).fit(*DIABETES).predict(DIABETES[0], return_std=True)
    assert mean.shape == std.shape == (442,) and (std > 0).all()


def test_weights_decay_by_the_length_of_training() -> None:
    for epochs, decay in ((5, 1.0), (200, 600 / (200 * 10))):
        model = st.MLPClassifier(max_iter=epochs, hidden_layer_sizes=(4,)).fit(*IRIS)
        assert model.recipe_["batch_size"] == 16 and f"weight_decay={decay!r}" in model.recipe_["optimizer"]
