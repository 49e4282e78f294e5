"""Small tables: networks with and without an embedding, of which the rows held out keep the better ones, or both."""

from __future__ import annotations

import math
from dataclasses import make_dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

import steepest as st
from helpers import normal
from steepest.estimators._kinds import Kind, kept, kinds_on_few_rows, networks_in_time
from steepest.recipe import Recipe

X = normal(0, (300, 3))
TARGETS = {"plain": X @ [1.0, -2.0, 0.5], "embedded": np.sign(np.sin(6 * X[:, 0]))}


def is_embedded(network: st.Network) -> bool:
    return isinstance(network.layers[0], st.PiecewiseLinear)


@pytest.mark.parametrize("kind", TARGETS)
def test_the_better_kind_is_kept(kind: str) -> None:
    model = st.MLPRegressor(random_state=0).fit(X, TARGETS[kind])
    assert [is_embedded(network) for network in model.networks_] == [kind == "embedded"] * 5
    (found,) = model.recipe_["pack"]
    assert (found["networks"], found["frequencies"] > 0) == (5, kind == "embedded")
    words = "first frequencies of 0.3" if kind == "embedded" else "numbers as they are"
    assert words in model.recipe_["in_words"]


def test_kinds_that_are_as_good_predict_together(tmp_path: Any) -> None:
    model = st.MLPClassifier(random_state=0).fit(*load_iris(return_X_y=True))
    assert [is_embedded(network) for network in model.networks_] == [False, True, False, True, False]
    model.save(tmp_path / "m.safetensors")
    again = st.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict_proba(X[:, [0, 1, 2, 0]]), model.predict_proba(X[:, [0, 1, 2, 0]]))
    before = model.predict_proba(load_iris().data)
    model.partial_fit(*load_iris(return_X_y=True))  # all go on
    assert len(model.networks_) == 5 and np.abs(model.predict_proba(load_iris().data) - before).max() < 0.2


def test_best_tries_three_kinds_with_three_times_the_networks() -> None:
    model = st.MLPRegressor(preset="best", random_state=0).fit(X[:80], TARGETS["embedded"][:80])
    assert len(model.networks_) == 15 == sum(kind["networks"] for kind in model.recipe_["pack"])


@pytest.mark.parametrize("asked", [{"ensemble": 5}, {"warm_start": True}, {"lr": 0.01}, {"max_iter": 9}])
def test_whoever_decides_gets_no_kinds(asked: dict[str, Any]) -> None:
    model = st.MLPRegressor(random_state=0, **asked).fit(X, TARGETS["embedded"])
    assert not any(map(is_embedded, model.networks_)) and "pack" not in model.recipe_


def test_columns_that_no_embedding_is_of_have_none() -> None:
    model = st.MLPRegressor(random_state=0).fit(np.sign(X), TARGETS["plain"])
    assert len(model.networks_) == 5 and "pack" not in model.recipe_


def kind_of(*errors: float) -> Any:
    members = [SimpleNamespace(trainer=SimpleNamespace(history={"val_loss": [9.0, error]})) for error in errors]
    return Kind(None, members)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        (([1.0, 2.0, 3.0], [0.8, 1.9, 2.7]), [1]),
        (([1.0, 2.0, 3.0], [1.2, 2.1, 3.3]), [0]),
        (([1.0, 2.0, 3.0], [0.5, 2.1, 3.3]), [0, 1]),
        (([1.0], [0.9]), [1]),
        (([1.0, 2.0, 3.0], [math.nan, 9.1, 9.2]), [0]),  # a diverged one counts for nothing: the others decide
        (([1.0, 2.0, 3.0], [0.5, 1.5, 2.5], [0.6, 1.4, 2.5]), [1, 2]),
    ],
)
def test_kept(errors: Any, expected: list[int]) -> None:
    kinds = [kind_of(*each) for each in errors]
    done = [member for kind in kinds for member in kind.members]
    found = kept(kinds, done)
    assert found == [kinds[expected[i % len(expected)]].members[i] for i in range(len(errors[0]))]


def test_of_kinds_with_no_network_in_common_the_first_is_kept() -> None:
    first, other = kind_of(3.0, 2.0), kind_of(1.0, 1.5)
    assert kept([first, other], [first.members[0], other.members[1]]) == [first.members[0]]
    assert kept([first, other], [other.members[1]]) == [other.members[1]]


@pytest.mark.parametrize(("possible", "expected"), [(1e9, 5), (4 * 3 * 30, 4), (3 * 3 * 30 - 1, 0)])
def test_networks_in_time(possible: float, expected: int) -> None:
    plan = SimpleNamespace(n_networks=5, epochs_and_batch=lambda n: (30, 16))
    assert networks_in_time(plan, [plan], possible, 240) == expected  # type: ignore[arg-type, list-item]
    assert networks_in_time(plan, [], possible, 240) == 0  # type: ignore[arg-type]


def test_a_short_time_is_for_one_kind() -> None:
    model = st.MLPRegressor(random_state=0, time_limit=0.02).fit(X, TARGETS["plain"])
    assert "pack" not in model.recipe_


def test_a_kind_on_more_rows_is_trained_for_longer() -> None:
    plan = make_dataclass("Plan", ["recipe"])(Recipe.for_rows(500))
    (few,), (many,) = kinds_on_few_rows(plan, 1000, 8), kinds_on_few_rows(plan, 1001, 8)
    assert (few.recipe.frequency_scale, few.recipe.least_steps, few.recipe.dropout) == (0.3, 600, 0.0)
    assert (many.recipe.frequency_scale, many.recipe.least_steps, many.recipe.dropout) == (1.0, 1500, 0.1)


def test_very_many_columns_have_one_kind() -> None:
    x = normal(1, (60, 257))
    assert "pack" not in st.MLPRegressor(random_state=0).fit(x, x[:, 0]).recipe_
    assert "pack" in st.MLPRegressor(random_state=0).fit(x[:, :256], x[:, 0]).recipe_
