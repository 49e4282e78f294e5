"""An estimator answers as the old or as the new one while it is fitted again, whatever else changes with the fit."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import steepest as st
from helpers import normal

N = 60


def data(kind: int) -> tuple[Any, Any]:
    """Rows of another width, scale and number of classes for each kind."""
    x = normal(kind, (N, 3 + kind)) * 10.0 ** (4 * kind)
    return x, np.arange(N) % (2 + kind) + 10 * kind


def estimator(task: str, **options: Any) -> Any:
    kind = st.MLPClassifier if task == "classifier" else st.MLPRegressor
    return kind(hidden_layer_sizes=(8,), max_iter=2, random_state=0, **options)


def beside(work: Callable[[], Any], *others: Callable[[], Any]) -> None:
    """Repeat the others until the work is done; what they raise is raised here."""
    done, errors = threading.Event(), []

    def repeat(other: Callable[[], Any]) -> None:
        try:
            while not done.is_set() and not errors:
                other()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=[other]) for other in others]
    for thread in threads:
        thread.start()
    try:
        work()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("task", ["classifier", "regressor"])
def test_r05_a_refit_estimator_is_the_old_or_the_new_one(task: str, tmp_path: Path) -> None:
    est, parts = estimator(task), [data(0), data(1)]
    answers = [clone(est).fit(*part).predict(part[0]) for part in parts]
    seen = set()

    def check(found: Any) -> None:
        rows, expected = parts[found.n_features_in_ - 3][0], answers[found.n_features_in_ - 3]
        np.testing.assert_array_equal(found.predict(rows), expected)
        seen.add(found.n_features_in_)

    def predict() -> None:
        for (x, _), expected in zip(parts, answers, strict=True):
            try:
                found = est.predict(x)
            except ValueError as error:  # it has learned the other rows
                assert "features" in str(error)
                continue
            np.testing.assert_array_equal(found, expected)

    def save() -> None:
        est.save(tmp_path / "e.safetensors")
        check(st.load(tmp_path / "e.safetensors"))

    def refit() -> None:
        for i in range(20):
            est.fit(*parts[i % 2])

    est.fit(*parts[1])
    beside(refit, predict, save, lambda: check(pickle.loads(pickle.dumps(est))))
    assert seen == {3, 4}


def test_r05_partial_fit_beside_predictions() -> None:
    x, y = data(1)
    est = estimator("classifier").partial_fit(x, y, classes=[10, 11, 12])

    def check() -> None:
        found = est.predict_proba(x)
        assert found.shape == (N, 3) and np.isfinite(found).all()

    beside(lambda: [est.partial_fit(x, y) for _ in range(50)], check, check)


def test_r05_two_fits_at_once_leave_one_whole() -> None:
    est, parts = estimator("regressor"), [data(0), data(1)]
    answers = [clone(est).fit(*part).predict(part[0]) for part in parts]
    beside(lambda: [est.fit(*parts[0]) for _ in range(10)], lambda: est.fit(*parts[1]))
    last = est.n_features_in_ - 3
    np.testing.assert_array_equal(est.predict(parts[last][0]), answers[last])


def test_a_parameter_that_is_set_during_a_fit_stays_set() -> None:
    est = estimator("regressor")

    class Setter(st.callbacks.Callback):
        def on_epoch_end(self, *_: Any) -> None:
            est.set_params(alpha=0.5)

    est.set_params(callbacks=[Setter()]).fit(*data(0))
    assert est.alpha == 0.5
