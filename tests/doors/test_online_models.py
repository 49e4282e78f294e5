"""Models that learn from one dict after the other, by themselves."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal, state_of
from steepest.online._scale import RunningScale

NAMES = ("a", "b", "c")
OnlineClassifier, OnlineRegressor = st.online.OnlineClassifier, st.online.OnlineRegressor


def rows(n: int, seed: int = 0) -> Iterator[tuple[dict[str, float], float]]:
    for row in normal(seed, (n, 3)):
        x = dict(zip(NAMES, (row * [1, 100, 0.01] + [0, 1e6, 0]).tolist(), strict=True))
        yield x, 50 + 10 * row[0] * row[1]


def learned(model: Any, n: int = 300, seed: int = 0, *, label: bool = False) -> Any:
    for x, y in rows(n, seed):
        model.learn_one(x, ("high" if y > 50 else "low") if label else y)
    return model


def state(model: Any) -> dict[str, Any]:
    own = {name: value for name, value in model.__getstate__().items() if name not in ("_trainer", "_scale")}
    own["_seen_later"] = own["_seen_later"].tolist()
    return own | state_of(model._trainer) | {name: part.tolist() for name, part in vars(model._scale).items()}


def test_a_regressor_learns() -> None:
    model = learned(OnlineRegressor(), 4000)
    errors = [abs(model.predict_one(x) - y) for x, y in rows(200, seed=1)]
    assert np.mean(errors) < 2 and model.n_rows == 4000 and model.features == NAMES


def test_a_classifier_learns() -> None:
    model = learned(OnlineClassifier(), 4000, label=True)
    right = [model.predict_one(x) == ("high" if y > 50 else "low") for x, y in rows(200, seed=1)]
    assert np.mean(right) > 0.9 and set(model.classes) == {"high", "low"}
    assert sum(model.predict_proba_one({"a": 1}).values()) == pytest.approx(1)


def test_before_the_first_row() -> None:
    assert OnlineRegressor().predict_one({"a": 1}) == 0.0
    assert OnlineClassifier().predict_proba_one({"a": 1}) == {} and OnlineClassifier().predict_one({"a": 1}) is None


@pytest.mark.parametrize("label", [False, True])
def test_the_short_way_learns_as_the_long_way(label: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    make = OnlineClassifier if label else OnlineRegressor
    short = learned(make(), label=label)
    with monkeypatch.context() as patch:
        patch.setattr(make, "_pack", property(lambda _: None, lambda _, __: None), raising=False)
        long = learned(make(), label=label)
    for name, weight in short.network.parameters.items():
        assert np.array_equal(weight, long.network.parameters[name]), name
    assert np.array_equal(short._scale.mean, long._scale.mean)
    predict = (lambda model, x: model.predict_proba_one(x)) if label else (lambda model, x: model.predict_one(x))
    assert all(predict(short, x) == predict(long, x | {"new": 1}) for x, _ in rows(9))


def test_keys_come_and_go() -> None:
    model = learned(OnlineRegressor(max_features=4))
    model.learn_one({"a": 1.0, "d": 3}, 50)
    assert model.features == (*NAMES, "d")
    whole = {"a": 1.0, "b": float(model._scale.mean[2]), "c": float(model._scale.mean[3]), "d": 3}
    for missing in ({"a": 1.0, "d": 3}, whole | {"b": None}, whole | {"c": math.nan}):
        assert model.predict_one(missing) == pytest.approx(model.predict_one(whole), rel=1e-6)
    with pytest.warns(UserWarning, match="no input is left for 'e': all 4 of max_features are taken"):
        model.learn_one(whole | {"e": 1}, 50)
    model.learn_one(whole | {"f": 1}, 50)  # said once
    assert model.features == (*NAMES, "d") and model.predict_one(whole | {"f": 9}) == model.predict_one(whole)


def test_the_order_of_keys_in_a_row_does_not_matter() -> None:
    one, other = OnlineRegressor(), OnlineRegressor()
    for x, y in rows(50):
        one.learn_one(x, y)
        other.learn_one(dict(reversed(x.items())), y)
    assert state(one) == state(other)


def test_a_single_key_and_none() -> None:
    model = OnlineRegressor()
    model.learn_one({}, 3.0)
    assert model.features == () and model.predict_one({}) == 0.0
    for i in range(3000):
        model.learn_one({"t": i % 9}, 2.0 * (i % 9))
    assert model.predict_one({"t": 4}) == pytest.approx(8, abs=1)


def test_numbers_of_all_kinds() -> None:
    kinds = [1, True, np.float32(2), np.int64(3), np.bool_(False)]
    model = OnlineRegressor()
    for i in range(100):
        model.learn_one({"x": kinds[i % 5], "y": 1}, np.float64(i))
    assert math.isfinite(model.predict_one({"x": 1, "y": 2}))


@pytest.mark.parametrize("n_before", [0, 5, 200])
@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        ([1, 2, 3], 1.0, TypeError, "x is .1, 2, 3.: expected a dict of numbers by their names"),
        ({"a": "red"}, 1.0, TypeError, "x.'a'. is 'red': expected a number.*OneHotEncoder"),
        ({"a": 1, "b": math.inf, "c": 1}, 1.0, ValueError, "x.'b'. is inf: expected a finite number"),
        ({"a": 1, "b": 10**400, "c": 1}, 1.0, ValueError, "x.'b'. is 1000"),
        ({"a": 1, "new": "red"}, 1.0, TypeError, "x.'new'. is 'red'"),
        ({"a": 1, "b": 1, "c": 1}, math.nan, ValueError, "y is nan: expected a finite number"),
        ({"a": 1, "b": 1, "c": 1}, "1", TypeError, "y is '1': expected a finite number"),
        ({"a": 1, "new": 1}, None, TypeError, "y is None: expected a finite number"),
    ],
)
def test_a_bad_row_changes_nothing(n_before: int, x: Any, y: Any, error: Any, message: str) -> None:
    model = learned(OnlineRegressor(), n_before)
    before = state(model)
    with pytest.raises(error, match=message):
        model.learn_one(x, y)
    assert state(model) == before


def test_bad_labels_are_refused() -> None:
    model = learned(OnlineClassifier(max_classes=2), 200, label=True)
    before, x = state(model), dict.fromkeys(NAMES, 0.0)
    with pytest.raises(ValueError, match="y is 'third', a label after .*: expected at most 2 labels, or a larger max"):
        model.learn_one(x, "third")
    with pytest.raises(TypeError, match="y is .*: expected a label that can be hashed"):
        model.learn_one(x, ["third"])
    assert state(model) == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"hidden_layer_sizes": 32}, TypeError, "hidden_layer_sizes is 32: expected a sequence"),
        ({"hidden_layer_sizes": (0,)}, ValueError, "hidden_layer_sizes is 0: expected a whole number >= 1"),
        ({"activation": "step"}, ValueError, "step"),
        ({"optimizer": "adam"}, TypeError, "adam"),
        ({"max_features": 0}, ValueError, "max_features is 0: expected a whole number >= 1"),
        ({"seed": -1}, ValueError, "seed is -1: expected a whole number >= 0"),
    ],
)
def test_bad_parameters_are_refused(options: dict[str, Any], error: Any, message: str) -> None:
    for make in (OnlineRegressor, OnlineClassifier):
        with pytest.raises(error, match=message):
            make(**options)
    with pytest.raises(ValueError, match="max_classes is 1: expected a whole number >= 2"):
        OnlineClassifier(max_classes=1)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_goes_on_by_itself(way: Any) -> None:
    model = learned(OnlineRegressor(), 200)
    twin, before = way(model), state(model)
    assert state(learned(twin, 100, seed=2)) != before and state(model) == before
    assert state(learned(model, 100, seed=2)) == state(twin)


def test_a_row_far_out_does_no_harm() -> None:
    model = learned(OnlineRegressor(), 2000)
    model.learn_one({"a": 1e300, "b": -1e300, "c": 1e30}, 1e300)
    errors = [abs(model.predict_one(x) - y) for x, y in rows(200, seed=1)]
    assert np.mean(errors) < 8


def test_the_running_scale_is_that_of_all_rows() -> None:
    data = normal(3, (500, 4)) * [1, 10, 0.1, 0] + [0, 5, -3, 7]
    data[::3, 1] = math.nan
    scale = RunningScale.none(4)
    for start in range(0, 500, 50):
        scale = scale.after(data[start : start + 50])
    assert scale.mean == pytest.approx(np.nanmean(data, axis=0))
    assert scale.deviation[:3] == pytest.approx(np.nanstd(data, axis=0)[:3])
    assert scale.deviation[3] == 7 and scale.count.tolist() == [500, 333, 500, 500]


def test_a_scale_follows_what_drifts() -> None:
    scale = RunningScale.none(1).after(normal(0, (20_000, 1)))
    for _ in range(50):
        scale = scale.after(normal(1, (1000, 1)) + 8)
    assert scale.mean[0] == pytest.approx(8, abs=0.2) and scale.deviation[0] == pytest.approx(1, abs=0.5)
