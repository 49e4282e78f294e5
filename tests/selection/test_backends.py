"""Independent work on workers of joblib comes out as it does in threads; other engines are in tests/engines."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from steepest.selection import _backend

Array = NDArray[Any]


def table(n: int = 240) -> tuple[Array, Array]:
    x = np.random.default_rng(0).normal(size=(n, 3))
    return x, np.sin(x[:, 0]) + x[:, 1]


def quick(**options: Any) -> st.MLPRegressor:
    return st.MLPRegressor(hidden_layer_sizes=(8,), max_iter=8, random_state=0, **options)


def scores_of(backend: Any) -> Array:
    return np.asarray(st.cross_validate(quick(), *table(), cv=4, backend=backend)["test_score"])


def search_of(backend: Any) -> tuple[dict[str, Any], list[float], list[int], Array]:
    space = {"hidden_layer_sizes": [(4,), (8,), (16,), (8, 8)], "learning_rate_init": [0.003, 0.01, 0.03, 0.1]}
    found = st.search(quick(), space, *table(), n=16, cv=2, random_state=0, backend=backend)
    results = found.cv_results_
    return found.best_params_, results["mean_score"], results["rank"], found.predict(table()[0])


def groups_of(backend: Any, n_groups: int = 30) -> Array:
    x, y = table(n_groups * 12)
    by = np.repeat(np.arange(n_groups), 12)
    models = st.fit_groups(quick(), x, y * (1 + by % 3), by, backend=backend)
    return np.stack([models.predict(x, by), models.predict(x, by + 1000)])


@pytest.fixture(params=["threading", "loky"])
def engine(request: pytest.FixtureRequest) -> Any:
    with joblib.parallel_config(request.param, n_jobs=2):
        yield


@pytest.mark.usefixtures("engine")
def test_work_is_the_same_bits_on_workers_of_joblib() -> None:
    assert np.array_equal(scores_of("joblib"), scores_of("threads"))
    for far, near in zip(search_of("joblib"), search_of("threads"), strict=True):
        assert np.array_equal(far, near) if isinstance(near, np.ndarray) else far == near
    assert np.array_equal(groups_of("joblib"), groups_of("threads"))


def test_estimators_and_what_diverges_come_back_from_workers() -> None:
    x, y = table()
    with joblib.parallel_config("loky", n_jobs=2):
        found = st.cross_validate(quick(), x, y, cv=3, return_estimators=True, backend="joblib")
        assert [type(est) for est in found["estimator"]] == [st.MLPRegressor] * 3
        wild = st.MLPRegressor(hidden_layer_sizes=(8,), solver="sgd", learning_rate_init=1e30, random_state=0)
        with pytest.raises(st.DivergedError, match="diverged in epoch"):
            st.cross_validate(wild, x, y, cv=2, backend="joblib")


def test_time_is_up_on_workers_too() -> None:
    space = {"learning_rate_init": [0.003, 0.01, 0.03, 0.1]}
    est = st.MLPRegressor(hidden_layer_sizes=(8,), max_iter=40_000, n_iter_no_change=10**6, random_state=0)
    with joblib.parallel_config("threading", n_jobs=2):
        found = st.search(est, space, *table(), n=4, cv=2, time_limit=0.5, method="random", backend="joblib")
    assert max(found.cv_results_["share"]) < 1


def test_time_that_is_up_at_once_ends_alike_everywhere() -> None:
    x, y = table()
    est = st.MLPRegressor(hidden_layer_sizes=(8,), max_iter=100, random_state=0)
    found = [
        st.search(est, {"alpha": [0.0, 0.1]}, x, y, n=2, cv=2, time_limit=1e-9, random_state=0, backend=backend)
        for backend in ("threads", "joblib")
    ]
    assert [each.cv_results_["share"] for each in found] == [[0.0, 0.0]] * 2
    assert found[0].cv_results_["mean_score"] == found[1].cv_results_["mean_score"]


def test_those_that_begin_anew_and_come_less_far_keep_their_scores() -> None:
    space = {"learning_rate_init": np.geomspace(0.001, 0.1, 16).tolist()}
    est = st.MLPRegressor(hidden_layer_sizes=(8,), max_iter=3000, n_iter_no_change=10**6, random_state=0)
    with joblib.parallel_config("threading", n_jobs=2):
        found = st.search(est, space, *table(2000), n=16, cv=2, time_limit=2.0, backend="joblib")
    results = found.cv_results_
    best = results["rank"].index(1)
    # Wherever the time was up, the best has come to the first look at least, if any has.
    assert results["share"][best] >= min(1 / 16, max(results["share"]))


def test_as_many_processes_as_were_asked_for() -> None:
    with joblib.parallel_config("threading", n_jobs=3):
        assert _backend.workers_of("joblib", None).n_slots == 3  # type: ignore[union-attr]


def test_parts_are_all_of_the_work_in_order() -> None:
    for n_slots, n in ((1, 0), (1, 1), (2, 5), (4, 1000), (64, 3)):
        workers = _backend.Workers(n_slots, lambda work, shared, tasks: [work(shared, task) for task in tasks], 1)
        parts = workers.parts(n)
        assert [i for part in parts for i in part] == list(range(n))
        assert all(parts)
        assert len(parts) <= 3 * n_slots


def test_another_version_on_a_worker_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"a worker has steepest .*, and the caller 0\.0\.1: expected the same"):
        _backend._checked(lambda shared, task, threads: None, "0.0.1", 1, None, None)


@pytest.mark.parametrize("backend", ["dask", 3, None])
def test_what_is_no_backend_is_refused(backend: Any) -> None:
    for call in (scores_of, search_of, groups_of):
        with pytest.raises(TypeError, match="backend is"):
            call(backend)
