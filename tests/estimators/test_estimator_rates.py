"""Rates from far too small to far too large: an estimator predicts finite numbers, or is as before the fit."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import steepest as st
from helpers import normal

N = 24
X = normal(0, (N, 2))
UNSEEN = 1.5 * normal(1, (50, 2))
LABELS = np.arange(N) % 3
FLOATS = normal(2, (N,))

KINDS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "averaged": {"ema": 0.9, "mixup": 0.2},
    "normalized": {"batch_norm": True, "dropout": 0.3, "activation": "gelu"},
    "ensemble": {"ensemble": 2, "early_stopping": False},
    "sklearn": {"preset": "sklearn"},
    "sklearn sgd": {"preset": "sklearn", "solver": "sgd", "activation": "identity", "layer_norm": True},
    "lbfgs": {"solver": "lbfgs"},
    "rmsprop": {"optimizer": st.RMSprop()},
    "straight": {"hidden_layer_sizes": (), "activation": None, "batch_size": 5},
}
TARGETS: dict[str, tuple[Any, dict[str, Any]]] = {
    "labels": (LABELS, {}),
    "indicators": (np.eye(3, dtype=int)[LABELS], {}),
    "numbers": (FLOATS, {}),
    "tiny numbers": (1e-30 * FLOATS, {"loss": "absolute_error"}),
    "huge numbers": (1e30 * FLOATS, {"loss": "huber"}),
    "rates": (np.abs(FLOATS), {"loss": "poisson"}),
}
RATES = (1e-12, 1e-2, 10.0, 1e3, 1e6, 1e9, 1e15, 1e24, 1e30)


def estimator(targets: str, kind: str, rate: float, seed: int) -> Any:
    own = KINDS[kind] | TARGETS[targets][1]
    own |= {"optimizer": st.RMSprop(rate)} if "optimizer" in own else {"learning_rate_init": rate}
    classifies = targets in ("labels", "indicators")
    return (st.MLPClassifier if classifies else st.MLPRegressor)(max_iter=1 + seed % 2, random_state=seed, **own)


def assert_finite(model: Any) -> None:
    for rows in (X, UNSEEN, csr_matrix(UNSEEN), X[:1], UNSEEN.astype(np.float32)):
        assert np.isfinite(np.asarray(model.predict(rows), float)).all()
        if hasattr(model, "predict_proba"):
            assert np.isfinite(model.predict_proba(rows)).all()
    assert np.isfinite(model.loss_)


@pytest.fixture(autouse=True)
def no_overflow_is_told() -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", TARGETS)
def test_r30_predictions_are_finite_or_the_fit_diverges(targets: str, kind: str) -> None:
    fits = 0
    for seed, rate in enumerate(RATES):
        model = estimator(targets, kind, rate, seed)
        try:
            model.fit(X.astype(np.float32) if seed % 2 else X, TARGETS[targets][0])
        except st.DivergedError:
            assert not model.__sklearn_is_fitted__()
            continue
        fits += 1
        assert_finite(model)
    assert fits


@pytest.mark.parametrize("kind", ["recipe", "sklearn sgd", "ensemble"])
@pytest.mark.parametrize("targets", TARGETS)
def test_r30_what_comes_in_parts_stays_as_it_was_before_it_diverged(targets: str, kind: str) -> None:
    for seed, rate in enumerate(RATES):
        model = estimator(targets, kind, rate, seed)
        y = TARGETS[targets][0]
        first: dict[str, Any] = {"classes": np.unique(LABELS)} if targets == "labels" else {}
        first = {"classes": [0, 1, 2]} if targets == "indicators" else first
        for _ in range(4):
            known = model.__sklearn_is_fitted__()
            before = model.predict(X) if known else None
            try:
                model.partial_fit(X, y, **({} if known else first))
            except st.DivergedError:
                assert model.__sklearn_is_fitted__() == known
                if known:
                    np.testing.assert_array_equal(model.predict(X), before)
                break
            assert_finite(model)


def test_r30_the_error_says_where_it_was() -> None:
    model = st.MLPRegressor(
        learning_rate_init=1e30, max_iter=2, preset="sklearn", solver="sgd", batch_size=5, random_state=0
    )
    with pytest.raises(st.DivergedError, match="training diverged.*lower the learning rate") as caught:
        model.fit(X, FLOATS)
    assert caught.value.epoch == 0 and caught.value.step >= 0 and caught.value.learning_rate > 1e20
