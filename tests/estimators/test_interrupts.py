"""A fit that is interrupted or refused leaves a whole estimator: the old one, or one of what was trained."""

from __future__ import annotations

import threading
import time
import warnings
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import interrupted

N = 4000
X = np.random.default_rng(0).normal(size=(N, 20))
Y = X[:, 0] + np.sin(3 * X[:, 1])
LABELS = np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0)]
FITS: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("one", st.MLPClassifier, LABELS, {"max_iter": 2000, "early_stopping": False}),
    ("held out", st.MLPRegressor, Y, {"max_iter": 2000}),
    ("ensemble", st.MLPClassifier, LABELS, {"ensemble": 3, "max_iter": 2000}),
    ("two jobs", st.MLPRegressor, Y, {"ensemble": 3, "n_jobs": 2, "max_iter": 2000}),
    ("lbfgs", st.MLPRegressor, Y, {"solver": "lbfgs", "max_iter": 100_000, "tol": 0.0}),
    ("sklearn", st.MLPClassifier, LABELS, {"preset": "sklearn", "max_iter": 5000, "tol": 0.0}),
]
fits = pytest.mark.parametrize(("make", "y", "options"), [fit[1:] for fit in FITS], ids=[fit[0] for fit in FITS])


seconds = pytest.mark.parametrize("delay", [0.05, 0.3])


def is_whole(model: Any, x: Any) -> bool:
    """Whether a model has all that a fit leaves, and predicts finite numbers by networks that were trained."""
    assert (
        model.n_iter_ >= 1
        and model.recipe_
        and len(model.networks_) == len(model._progress.trainers or model.networks_)
    )
    assert all(history.n_epochs >= 1 for history in model.histories_)
    return bool(np.isfinite(model.predict_proba(x) if hasattr(model, "classes_") else model.predict(x)).all())


@fits
@seconds
def test_r03_an_interrupted_first_fit_is_none_or_whole(
    make: Any, y: Any, options: dict[str, Any], delay: float
) -> None:
    model = make(random_state=0, **options)
    before, threads = dict(vars(model)), threading.active_count()
    start = time.monotonic()
    with interrupted(delay):
        _quietly(lambda: model.fit(X, y))
    weights = [network.parameters for network in getattr(model, "networks_", [])]
    while threading.active_count() > threads and time.monotonic() - start < 20:
        time.sleep(0.01)  # a thread of the pool that has nothing to do any more may take a moment to end
    assert threading.active_count() <= threads and time.monotonic() - start < 20
    for network, before_it in zip(getattr(model, "networks_", []), weights, strict=True):
        assert all(np.array_equal(value, before_it[name]) for name, value in network.parameters.items())
    if hasattr(model, "recipe_"):
        assert is_whole(model, X)
    else:
        assert vars(model) == before


@fits
@seconds
def test_r03_an_interrupted_refit_is_the_old_one_or_whole(
    make: Any, y: Any, options: dict[str, Any], delay: float
) -> None:
    model = make(random_state=0, **options | {"max_iter": 2, "early_stopping": False})
    far = 1000 * X + 5e5
    _quietly(lambda: model.fit(far, y))
    said = model.predict(far)
    model.set_params(**options)
    with interrupted(delay):
        _quietly(lambda: model.fit(X, y))
    if not np.array_equal(model.predict(far), said):
        assert is_whole(model, X)


def _quietly(work: Any) -> None:
    """Do work that may warn that it has not converged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work()


@pytest.mark.parametrize("make", [st.MLPClassifier, st.MLPRegressor])
def test_r03_a_failed_call_takes_its_steps_back(make: Any) -> None:
    y = LABELS if make is st.MLPClassifier else Y
    classes = {"classes": ["a", "b", "c"]} if make is st.MLPClassifier else {}
    model = make(random_state=0, warm_start=True, max_iter=2).partial_fit(X[:500], y[:500], **classes)
    twin = make(random_state=0, warm_start=True, max_iter=2).partial_fit(X[:500], y[:500], **classes)
    said = model.predict(X)
    for wrong in (np.where(np.arange(N) == N - 1, np.nan, 0)[:, None] + X, X[:, :3], X.astype(str) + "x"):
        for call in (model.partial_fit, model.fit):
            with pytest.raises(ValueError):
                call(wrong, y)
    model.set_params(lr=1e30)
    for call in (model.partial_fit, model.fit):
        with pytest.raises(st.DivergedError):
            call(X, y)
    assert np.array_equal(model.predict(X), said) and model.n_iter_ == 1
    model.set_params(lr=None).partial_fit(X, y)  # goes on as if nothing had been
    assert np.array_equal(model.predict(X), twin.partial_fit(X, y).predict(X))
