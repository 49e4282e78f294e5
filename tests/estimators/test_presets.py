"""How much is trained: embedded numbers, presets and a time limit."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import steepest as st
from steepest.callbacks import LambdaCallback
from steepest.estimators import _pack
from steepest.estimators._classification import Classification
from steepest.estimators._correction import Correction
from steepest.estimators._pack import kinds_of
from steepest.recipe import Recipe
from steepest.tables._running import Change
from steepest.training._fits import Fits

N = 2100  # rows, for the recipe of larger tables


def table(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Columns of numbers, the third one of two values alone, and the last one constant."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(N, 5))
    x[:, 2], x[:, 4] = x[:, 2] > 0, 3.0
    return np.exp(x), np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2]


def layers_of_network(network: st.Network) -> tuple[Any, ...]:
    return tuple(network.layers)


def layers_of(estimator: Any) -> tuple[Any, ...]:
    return layers_of_network(estimator.network_)


# --- Embedded numbers ---


@pytest.mark.parametrize("as_frame", [False, True])
def test_numbers_are_brought_to_a_normal_distribution_and_embedded(as_frame: bool) -> None:
    x, y = table()
    rows = pd.DataFrame(x, columns=list("abcde")).assign(text=np.where(x[:, 0] > 1, "far", "near")) if as_frame else x
    fitted = st.MLPRegressor(random_state=0, ensemble=1).set_params(preset="fast").fit(rows, y)
    lines, periodic = layers_of(fitted)[:2]
    assert isinstance(lines, st.PiecewiseLinear) and isinstance(periodic, st.PeriodicEmbedding)
    assert lines.columns == periodic.columns == (0, 1, 3)  # not two values alone, nor one
    points, values = (fitted.network_.buffers[f"0.{name}"] for name in ("points", "values"))
    assert np.all(np.diff(points, axis=0) > 0)
    assert np.median(values[:, 0]) == pytest.approx(0, abs=0.05) and values[:, 0].std() == pytest.approx(1, abs=0.1)


def test_small_tables_and_described_networks() -> None:
    x, y = table()
    few = st.MLPRegressor(ensemble=1).fit(x[:500], y[:500])
    assert all(isinstance(layer, (st.Dense, st.Dropout)) for layer in layers_of(few))
    described = st.MLPRegressor(hidden_layer_sizes=(8,), max_iter=2, random_state=0).fit(x, y)
    assert isinstance(layers_of(described)[1], st.PeriodicEmbedding) and len(described.networks_) == 1


def test_embedded_networks_follow_a_change_of_their_features() -> None:
    """Scales change, columns come and change places, and so do the outputs' units: a corrected network knows it."""
    draw = np.random.default_rng(0)
    net = st.Network(
        3,
        [st.PiecewiseLinear(5, [2, 0]), st.PeriodicEmbedding(4, 3, columns=[2, 0]), st.Dense(6, "tanh"), st.Dense(2)],
        seed=1, dtype="float64",
    )  # fmt: skip
    points, values = (np.cumsum(draw.uniform(0.1, 1, (5, 2)), axis=0) for _ in range(2))
    net.set_parameters({"0.points": points - 2, "0.values": values - 2})
    factor, shift = np.array([0.5, 1, 3, 2]), np.array([-1, 0, 0.5, 4])
    origins = np.array([1, -1, 0, 2])
    correction = Correction(Change(factor, shift), origins, np.array([2.0, 0.5]), np.array([1.0, -3]))
    new = draw.normal(size=(50, 4))
    old = (new * factor + shift)[:, [2, 0, 3]]
    found = correction.network(net)
    assert layers_of_network(found)[:2] == (st.PiecewiseLinear(5, [3, 2]), st.PeriodicEmbedding(4, 3, columns=[3, 2]))
    np.testing.assert_allclose(found.predict(new), net.predict(old) * [2, 0.5] + [1, -3], rtol=1e-12, atol=1e-12)


def test_an_embedded_estimator_goes_on() -> None:
    x, y = table()
    fitted = st.MLPRegressor(hidden_layer_sizes=(16,), max_iter=2, random_state=0, ema=0.5, warm_start=True, lr=1e-9)
    before = fitted.fit(x, y).predict(x)
    np.testing.assert_allclose(fitted.fit(x, y).predict(x), before, atol=1e-5)
    fitted.partial_fit(x[:50] * 2, y[:50])
    assert np.isfinite(fitted.predict(x)).all() and layers_of(fitted)[1].columns == (0, 1, 3)


# --- Presets ---


def test_presets_train_more_or_less() -> None:
    x, y = table()
    fast = st.MLPRegressor(preset="fast", random_state=0).fit(x, y)
    usual = st.MLPRegressor(random_state=0, n_jobs=2).fit(x, y)
    assert (len(fast.networks_), len(usual.networks_)) == (3, 4)
    assert fast.recipe_["preset"] == "fast" and fast.recipe_["max_iter"] < usual.recipe_["max_iter"]
    assert usual.score(x, y) > 0.8


def test_a_preset_has_a_name() -> None:
    with pytest.raises(ValueError, match="preset is 'quick'.*expected one of fast, best, sklearn"):
        st.MLPRegressor(preset="quick").fit(*table())


# --- A time limit ---


@pytest.mark.parametrize("callbacks", [None, [LambdaCallback(on_epoch_end=lambda fit: time.sleep(0.01))]])
def test_what_is_there_when_the_time_is_over_is_kept(callbacks: Any) -> None:
    x, y = np.tile(table()[0], (5, 1)), np.tile(table()[1], 5)
    fitted = st.MLPRegressor(time_limit=0.5, random_state=0, callbacks=callbacks).fit(x, y)
    epochs = [history.n_epochs for history in fitted.histories_]
    assert 1 <= len(epochs) < 12 and min(epochs) >= max(epochs) / 2 >= 0.5
    assert fitted.recipe_["max_iter"] < 80
    assert np.isfinite(fitted.predict(x)).all()


def test_a_long_limit_changes_nothing() -> None:
    x, y = (each[:300] for each in table())
    limited = st.MLPRegressor(preset="fast", time_limit=600, random_state=0).fit(x, y)
    free = st.MLPRegressor(preset="fast", random_state=0).fit(x, y)
    np.testing.assert_array_equal(limited.predict(x), free.predict(x))


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_time_limit_is_above_zero(limit: float) -> None:
    with pytest.raises(ValueError, match="time_limit is .*expected a finite number > 0"):
        st.MLPRegressor(time_limit=limit).fit(*table())


# --- A pack ---


@pytest.fixture
def short_pack(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe of three kinds and four networks for any table."""
    short = replace(Recipe.for_rows(2400, "best"), networks=4, kinds=3, epochs=4)
    monkeypatch.setattr(Recipe, "for_rows", classmethod(lambda cls, n, preset=None: short))
    return short


def many_rows() -> tuple[Any, Any]:
    x = np.random.default_rng(0).normal(size=(2400, 3))
    return x, np.sin(2 * x[:, 0]) + x[:, 1]


def test_a_pack_is_chosen_by_the_seed_alone(short_pack: Recipe) -> None:
    x, y = many_rows()
    fits = [
        st.MLPRegressor(preset="best", random_state=0, n_jobs=jobs, time_limit=limit).fit(x, y)
        for jobs, limit in ((1, None), (-1, None), (None, 600))
    ]
    alike = st.MLPRegressor(preset="best", random_state=0, ensemble=2).fit(x, y)
    first = fits[0]
    assert np.array_equal(first.predict(x), fits[2].predict(x))
    assert np.array_equal(first.predict(x), fits[1].predict(x))
    assert "pack" not in alike.recipe_
    assert len(alike.networks_) == 2
    pack = first.recipe_["pack"]
    assert sum(kind["networks"] for kind in pack) == len(first.networks_) == 4
    assert pack[0]["hidden"] == short_pack.hidden
    assert first.score(x, y) > 0.8
    assert 0 < first.recipe_["standard_error"] < first.recipe_["held_out_loss"]


def test_the_recipe_is_told_in_words(short_pack: Recipe) -> None:
    words = st.MLPRegressor(preset="best", random_state=0).fit(*many_rows()).recipe_["in_words"]
    assert words.startswith("4 networks with 128-128 hidden units, the mean of whose predictions is taken")
    assert "were best together" in words and "give or take" in words
    alone = st.MLPClassifier((7,), max_iter=1, random_state=0).fit(np.eye(4), [0, 0, 1, 1])
    assert alone.recipe_["in_words"] == (
        "1 network with 7 hidden units, trained on 4 rows for up to 1 epoch, 4 rows a step."
    )


def test_a_kind_that_diverges_is_left_out(short_pack: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    wild = [short_pack, replace(short_pack, lr=1e30), replace(short_pack, lr=1e30)]
    monkeypatch.setattr(_pack, "kinds_of", lambda *_: wild)
    x, y = many_rows()
    fitted = st.MLPRegressor(preset="best", random_state=0).fit(x, y)
    assert [kind["networks"] for kind in fitted.recipe_["pack"]] == [4]
    assert fitted.score(x, y) > 0.8
    monkeypatch.setattr(_pack, "kinds_of", lambda *_: wild[1:])
    with pytest.raises(st.DivergedError):
        st.MLPRegressor(preset="best", random_state=0).fit(x, y)


@pytest.mark.usefixtures("short_pack")
@pytest.mark.parametrize(("part", "epochs"), [(0, 1), (0, 9), (1, 1)])
def test_an_interrupted_pack_keeps_the_best_so_far(part: int, epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first half of the trial, in its second half, and among the networks that are trained after it."""
    parts = iter([0, 1])

    class Interrupted(Fits):
        def __init__(self, *args: Any, **options: Any) -> None:
            def look(n_epochs: int) -> None:
                if this == part and n_epochs >= epochs:
                    raise KeyboardInterrupt

            this = next(parts)
            super().__init__(*args, **options | {"progress": look})

    monkeypatch.setattr(_pack, "Fits", Interrupted)
    x, y = many_rows()
    model = st.MLPRegressor(preset="best", random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y)
    assert len(model.networks_) == sum(kind["networks"] for kind in model.recipe_["pack"])
    assert model.score(x, y) > 0.3


def test_kinds_are_drawn_about_the_recipe() -> None:
    recipe = Recipe.for_rows(5000, "best")
    kinds = kinds_of(recipe, 4500, 3)
    assert kinds == kinds_of(recipe, 4500, 3) != kinds_of(recipe, 4500, 4)
    assert kinds[0] == recipe
    assert len(kinds) == recipe.kinds
    assert len({kind.frequency_scale for kind in kinds}) == len(kinds)
    assert sum(kind.embedded_bins > 0 for kind in kinds) == 3
    assert all(recipe.lr / 2 <= kind.lr <= 1.6 * recipe.lr for kind in kinds)


@pytest.mark.parametrize("logistic", [False, True])
def test_pooled_outputs_predict_the_mean(logistic: bool) -> None:
    outputs = np.random.default_rng(0).normal(size=(3, 5, 1 if logistic else 4))
    task = Classification(np.arange(2 if logistic else 4), multilabel=False, logistic=logistic)
    pooled = task.pooled(outputs)
    assert_allclose(task.probabilities(pooled[None]), task.probabilities(outputs), rtol=1e-12)
