"""Learning that goes on: scales, labels and columns follow rows that are not like the first ones."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import steepest as st
from helpers import fits_with_bins
from steepest.estimators._correction import Correction
from steepest.tables._bins import BinnedStandardizer
from steepest.tables._running import AdaptiveScale, Change, RunningMoments

X_TEST = np.random.default_rng(1).uniform(0, 1, (1000, 2))


def wave(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.sin(6 * x[:, 0]) + x[:, 1])


def odd_first(n: int = 2000, odd: int = 20) -> NDArray[Any]:
    """Rows of which the first are a hundredth as large."""
    x = np.random.default_rng(0).uniform(0, 1, (n, 2))
    x[:odd] *= 0.01
    return x


def taught(estimator: Any, x: Any, y: NDArray[Any], *, passes: int = 3, rows: int = 50, **first: Any) -> Any:
    for i in range(passes):
        for start in range(0, len(y), rows):
            part = slice(start, start + rows)
            estimator.partial_fit(x[part], y[part], **(first if i == start == 0 else {}))
    return estimator


def shuffled(n: int) -> NDArray[np.intp]:
    return np.random.default_rng(2).permutation(n)


# --- T02: the first batch is not like the rest ---


@pytest.mark.parametrize("options", [{}, {"ema": 0.9}, {"dtype": np.float32}])
def test_t02_numbers_of_which_the_first_batch_is_not_like_the_rest(options: dict[str, Any]) -> None:
    x = odd_first().astype(options.pop("dtype", np.float64))
    y, order = wave(x), shuffled(len(x))
    found = taught(st.MLPRegressor(random_state=0, **options), x, y).score(X_TEST, wave(X_TEST))
    usual = taught(st.MLPRegressor(random_state=0, **options), x[order], y[order]).score(X_TEST, wave(X_TEST))
    assert found > 0.95 and found > usual - 0.03


def test_t02_rows_one_by_one() -> None:
    x = odd_first(1000)
    found = taught(st.MLPRegressor(random_state=0), x, wave(x), passes=1, rows=1)
    assert found.score(X_TEST, wave(X_TEST)) > 0.85


def test_t02_labels_of_which_the_first_batch_is_not_like_the_rest() -> None:
    x = odd_first()
    labels = np.where(wave(x) > 0.5, "high", "low")
    truth = np.where(wave(X_TEST) > 0.5, "high", "low")
    found = taught(st.MLPClassifier(random_state=0), x, labels, classes=["high", "low"]).score(X_TEST, truth)
    order = shuffled(len(x))
    usual = taught(st.MLPClassifier(random_state=0), x[order], labels[order], classes=["high", "low"])
    assert found > usual.score(X_TEST, truth) - 0.03 and found > 0.93


def messy(n: int) -> tuple[pd.DataFrame, NDArray[Any]]:
    random = np.random.default_rng(3)
    x = random.uniform(0, 1, (n, 2))
    color = np.array(["red", "green", "blue", "gray"])[random.integers(0, 4, n)]
    y = np.sin(6 * x[:, 0]) + x[:, 1] + np.where(color == "gray", 2.0, 0.0) - np.where(color == "blue", 1.0, 0.0)
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "color": color}), y


def first_unlike(frame: pd.DataFrame) -> pd.DataFrame:
    """Of the first 20 rows, b has no value, a is small, and the color is always red or green."""
    frame = frame.copy()
    frame.loc[:19, "b"] = np.nan
    frame.loc[:19, "a"] *= 0.01
    frame.loc[:19, "color"] = np.where(frame.loc[:19, "a"] > 0.005, "red", "green")
    return frame


def test_t02_a_frame_with_new_labels_and_a_column_that_was_empty() -> None:
    frame, y = messy(2000)
    unlike = first_unlike(frame)
    estimator = taught(st.MLPRegressor(random_state=0), unlike, y)
    order = shuffled(len(y))
    usual = taught(st.MLPRegressor(random_state=0), frame.iloc[order], y[order])
    test, truth = messy(1000)
    assert estimator.score(test, truth) > usual.score(test, truth) - 0.03 and estimator.score(test, truth) > 0.93
    encoder = estimator._model.preprocessor.encoder
    assert {"color=gray", "color=blue", "b"} <= {*encoder.feature_names}


def test_t02_a_frame_that_has_a_gap_later() -> None:
    frame, y = messy(400)
    estimator = taught(st.MLPRegressor(random_state=0), frame, y, passes=1, rows=200)
    assert "a is missing" not in estimator._model.preprocessor.encoder.feature_names
    later = frame.copy()
    later.loc[:50, "a"] = np.nan
    before = estimator.predict(frame)
    estimator.set_params(learning_rate_init=1e-9).partial_fit(later, y)
    assert "a is missing" in estimator._model.preprocessor.encoder.feature_names
    np.testing.assert_allclose(estimator.predict(frame), before, atol=0.1)


def of_all_kinds(n: int) -> tuple[pd.DataFrame, NDArray[Any]]:
    frame, y = messy(n)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(n) % 300, unit="D")
    two = np.where(frame["a"] > 0.5, "up", "down").astype(object)
    return frame.assign(day=day, two=two, yes=frame["b"] > 0.5), y


@pytest.mark.parametrize("way", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("column", "cells", "names"),
    [
        ("two", ["sideways"], {"two=down", "two=sideways", "two=up", "two is unseen"}),
        ("two", [None], {"two=up", "two is unseen"}),
        ("two", [None, "sideways"], {"two=down", "two=sideways", "two=up", "two is unseen"}),
        ("color", ["mauve", None], {"color=blue", "color=mauve", "color is unseen"}),
        ("yes", [None], {"yes=true", "yes is unseen"}),
        ("day", [None], {"day is missing", "day, sine of the year"}),
        ("a", [None], {"a is missing"}),
    ],
)
def test_an_encoder_grows_by_columns_of_any_kind(way: str, column: str, cells: list[Any], names: set[str]) -> None:
    """New labels and gaps get features, and what was predicted before stays as it was."""
    frame, y = of_all_kinds(400)
    estimator = getattr(st.MLPRegressor(random_state=0, hidden_layer_sizes=(8,), max_iter=3), way)(frame, y)
    before = estimator.predict(frame)
    later = frame.astype({column: object})
    later.loc[: len(cells) * 20 - 1, column] = np.repeat(np.array(cells, object), 20)
    later[column] = later[column].astype("datetime64[us]") if column == "day" else later[column]
    estimator.set_params(learning_rate_init=1e-9).partial_fit(later, y)
    encoder = estimator._model.preprocessor.encoder
    assert names <= {*encoder.feature_names} and encoder.n_features == estimator.network_.n_in
    assert str(encoder.describe()).count("\n") == len(frame.columns) + 1
    np.testing.assert_allclose(estimator.predict(frame), before, atol=2e-2)
    assert np.isfinite(estimator.predict(later)).all()


def test_a_fit_that_goes_on_with_the_same_rows_keeps_its_scales_by_quartiles() -> None:
    frame, y = of_all_kinds(300)
    frame.loc[7, "a"], frame["b"] = 1e6, np.exp(4 * frame["b"])
    estimator = st.MLPRegressor(random_state=0, warm_start=True, max_iter=2, hidden_layer_sizes=(4,)).fit(frame, y)
    encoder = estimator._model.preprocessor.encoder
    assert estimator.fit(frame, y)._model.preprocessor.encoder is encoder


def test_t02_warm_start() -> None:
    x = odd_first()
    estimator = st.MLPRegressor(random_state=0, warm_start=True, max_iter=15).fit(x[:20], wave(x[:20]))
    assert estimator.fit(x, wave(x)).score(X_TEST, wave(X_TEST)) > 0.95
    labels, truth = wave(x) > 0.5, wave(X_TEST) > 0.5
    first = np.r_[:20, np.flatnonzero(labels[20:])[:20] + 20] * 1
    chosen = st.MLPClassifier(random_state=0, warm_start=True, max_iter=15).fit(x[first] * 0.01, labels[first])
    assert chosen.fit(x, labels).score(X_TEST, truth) > 0.95


def test_warm_start_on_the_same_rows_keeps_its_scales() -> None:
    x = odd_first(300, 0)
    estimator = st.MLPRegressor(random_state=0, warm_start=True, max_iter=2).fit(x, wave(x))
    scale = estimator._model.preprocessor.scale
    estimator.fit(x, wave(x))
    assert estimator._model.preprocessor.scale is scale


@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error", "poisson"])
def test_targets_of_which_the_first_batch_is_not_like_the_rest(loss: str) -> None:
    x = odd_first(2000, 0)
    y = np.exp(wave(x)) * 50
    y[:20] *= 0.01
    found = taught(st.MLPRegressor(loss, random_state=0), x, y, passes=3)
    assert found.score(X_TEST, np.exp(wave(X_TEST)) * 50) > 0.85


def test_a_sparse_matrix_goes_on_adapting() -> None:
    from scipy.sparse import csr_array

    x = odd_first(2000)
    sparse = taught(st.MLPRegressor(random_state=0), csr_array(x), wave(x), passes=2)
    assert sparse.score(csr_array(X_TEST), wave(X_TEST)) > 0.95


@pytest.mark.parametrize("bins", [False, True], ids=["embeddings", "bins"])
def test_what_is_made_of_numbers_goes_on_adapting(bins: bool) -> None:
    wide = np.random.default_rng(4).uniform(0, 1, (2100, 2))
    with fits_with_bins() if bins else nullcontext():
        fitted = st.MLPRegressor(random_state=0, max_iter=2).fit(wide, wave(wide))
    before = fitted.predict(X_TEST)
    shifted = np.random.default_rng(5).uniform(0.15, 1.15, (2100, 2))
    fitted.set_params(learning_rate_init=1e-9).partial_fit(shifted, wave(shifted))
    scale = fitted._model.preprocessor.scale
    assert isinstance(scale, BinnedStandardizer) == bins
    assert (scale.standardizer if bins else scale).mean[0, 0] > 0.55
    # but for the limit, which is not linear, and of which the frequencies make more
    off = np.abs(fitted.predict(X_TEST) - before)
    assert off.max() < 5e-3 if bins else (np.mean(off) < 0.01 and off.max() < 0.2)


def test_one_outlier_moves_no_scale() -> None:
    x = odd_first(400, 0)
    estimator = taught(st.MLPRegressor(random_state=0), x, wave(x), passes=1)
    scale = estimator._model.preprocessor.scale.scale.copy()
    estimator.partial_fit(np.array([[1e6, 0.5]]), np.array([1.0]))
    np.testing.assert_allclose(estimator._model.preprocessor.scale.scale, scale, rtol=0.2)


def test_what_a_file_holds_goes_on_adapting(tmp_path: Any) -> None:
    x = odd_first(1000)
    estimator = taught(st.MLPRegressor(random_state=0), x[:40], wave(x[:40]), passes=1)
    estimator.save(tmp_path / "m.safetensors")
    loaded = st.load(tmp_path / "m.safetensors")
    assert taught(loaded, x, wave(x)).score(X_TEST, wave(X_TEST)) > 0.9


# --- As it was, where a call fails ---


def state_of(estimator: Any) -> list[Any]:
    return [estimator.predict(X_TEST), vars(estimator).copy(), estimator._progress.trainers[0]._core.state()]


@pytest.mark.parametrize("wrong", ["y", "weights", "diverges"])
def test_a_call_that_fails_leaves_all_as_it_was(wrong: str) -> None:
    x = odd_first(200)
    estimator = taught(st.MLPRegressor(random_state=0), x[:20], wave(x[:20]), passes=1)
    outputs, attributes, state = state_of(estimator)
    if wrong == "diverges":
        estimator.set_params(learning_rate_init=1e30)
    bad_y = np.full(180, np.nan) if wrong == "y" else wave(x[20:])
    weights = -np.ones(180) if wrong == "weights" else None
    with pytest.raises((ValueError, st.DivergedError)):
        estimator.partial_fit(x[20:], bad_y, weights)
    again = state_of(estimator)
    np.testing.assert_array_equal(again[0], outputs)
    assert all(again[1][name] is value for name, value in attributes.items() if name[0] == "_")
    assert all(np.array_equal(again[2][name], value) for name, value in state.items())


# --- Corrections, to the last digits ---


@pytest.mark.parametrize("optimizer", [st.AdamW(0.01), st.SGD(0.01, momentum=0.9), st.RMSprop(0.01)])
def test_a_corrected_network_answers_as_before(optimizer: Any) -> None:
    random = np.random.default_rng(6)
    network = st.Network(3, [st.Dense(8, "silu"), st.BatchNorm(), st.Dense(2)], seed=0, dtype="float64")
    trainer = st.Trainer(network, "mse", optimizer, ema=0.9)
    x, y = random.normal(size=(50, 3)), random.normal(size=(50, 2))
    for _ in range(5):
        trainer.step(x, y)
    factor, shift = np.array([2.0, 0.5, 1.0]), np.array([0.3, -1.0, 0.0])
    correction = Correction(
        Change(np.append(factor, 1.0), np.append(shift, 0.0)),
        np.array([0, 1, 2, -1]),
        np.array([0.5, 3.0]),
        np.array([1.0, -2.0]),
    )
    corrected = correction.trainer(trainer)
    changed = np.column_stack([(x - shift) / factor, random.normal(size=50)])
    wanted = [[0.5, 3.0]] * network.predict(x) + [1.0, -2.0]
    np.testing.assert_allclose(corrected.network.predict(changed), wanted, atol=1e-12)
    averaged = [[0.5, 3.0]] * trainer.ema_network.predict(x) + [1.0, -2.0]
    np.testing.assert_allclose(corrected.ema_network.predict(changed), averaged, atol=1e-12)
    assert corrected.n_steps == trainer.n_steps


def test_running_gradients_are_corrected() -> None:
    """With momentum of 0.999..., the velocity is the gradient of the first step: that of the corrected network too."""
    random = np.random.default_rng(7)
    x, y = random.normal(size=(50, 2)), random.normal(size=(50, 1))
    network = st.Network(2, [st.Dense(5, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    trainer = st.Trainer(network, "mse", st.SGD(1e-12, momentum=0.5))
    trainer.step(x, y)
    factor, shift = np.array([2.0, 0.5]), np.array([0.3, -1.0])
    change = Correction(Change(factor, shift), np.arange(2), np.array([0.25]), np.array([0.1]), unit=0.25)
    corrected = change.trainer(trainer)
    fresh = st.Trainer(corrected.network.copy(), "mse", st.SGD(1e-12, momentum=0.5))
    fresh.step((x - shift) / factor, 0.25 * y + 0.1)
    found, wanted = corrected._core.state(), fresh._core.state()
    for name in ("0.weight", "0.bias", "1.weight", "1.bias"):
        np.testing.assert_allclose(found[f"{name}.slot1"], wanted[f"{name}.slot1"], rtol=1e-6, atol=1e-9)


def test_moments_of_batches_are_those_of_all_rows() -> None:
    random = np.random.default_rng(8)
    x = random.normal(size=(1000, 3)) * [1e-3, 1.0, 1e5] + [1e9, 0.0, -3.0]
    x[::7, 1] = np.nan
    weights = random.uniform(0, 2, 1000)
    found = RunningMoments.none(3)
    for start in range(0, 1000, 37):
        found = found.after(x[start : start + 37], weights[start : start + 37])
    mean, scale = found.mean_and_scale(np.float64)
    for i in range(3):
        there = ~np.isnan(x[:, i])
        middle = np.average(x[there, i], weights=weights[there])
        deviation = np.sqrt(np.average((x[there, i] - middle) ** 2, weights=weights[there]))
        np.testing.assert_allclose([mean[i], scale[i]], [middle, deviation], rtol=1e-4 if i == 0 else 1e-12)


def test_moments_of_numbers_whose_squares_overflow() -> None:
    mean, scale = np.zeros(1), np.full(1, 1e200)
    found = RunningMoments.assumed(mean, scale, 500).after(np.full((3, 1), 1e250), limits=(mean - 1e201, mean + 1e201))
    assert np.isfinite(np.concatenate(found.mean_and_scale(np.float64))).all()


@pytest.mark.parametrize("column", [[5.0] * 9, [np.nan] * 3, [1e308, -1e308], [0.1] * 50])
def test_moments_of_columns_without_spread_or_end(column: list[float]) -> None:
    mean, scale = RunningMoments.none(1).after(np.array(column)[:, None]).mean_and_scale(np.float64)
    assert np.isfinite(mean).all() and np.isfinite(scale).all() and scale[0] > 0
    assert len(set(column)) > 1 or scale[0] == 1.0


def test_a_scale_follows_once_it_is_off() -> None:
    one, zero = np.ones(1), np.zeros(1)
    scale = AdaptiveScale.of(RunningMoments.none(1), zero, one)
    same, change = scale.after(scale.moments, zero + 0.04, one)
    assert change is None and same.mean is scale.mean
    near, change = scale.after(scale.moments, zero + 0.2, one * 1.2)
    assert change is not None and (change.factor[0], change.shift[0]) == (1.2, 0.2)
    far, change = near.after(scale.moments, zero, one * 100)
    assert change is not None and (change.factor[0], change.shift[0], far.first_scale[0]) == (1.0, 0.0, 100.0)
