"""Dask, Ray and Spark: independent work and trainings by ranks on their workers, some of which are killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import steepest as st
from steepest.distributed import run_on

Array = NDArray[Any]


def table(n: int = 240) -> tuple[Array, Array]:
    x = np.random.default_rng(0).normal(size=(n, 3))
    return x, np.sin(x[:, 0]) + x[:, 1]


def quick() -> st.MLPRegressor:
    return st.MLPRegressor(hidden_layer_sizes=(8,), max_iter=8, random_state=0)


class KillsOnce:
    """A score that kills the worker which first asks for it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, est: Any, x: Any, y: Any) -> float:
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return float(est.score(x, y))
        os.kill(os.getpid(), signal.SIGKILL)
        return 0.0


def test_cross_validate_search_and_groups_are_the_same_bits(engine: Any) -> None:
    x, y = table()
    near, far = (st.cross_validate(quick(), x, y, cv=4, backend=backend) for backend in ("threads", engine))
    assert np.array_equal(near["test_score"], far["test_score"])

    space = {"hidden_layer_sizes": [(4,), (8,), (16,)], "learning_rate_init": [0.003, 0.01, 0.03]}
    results = [
        st.search(quick(), space, x, y, n=9, cv=2, random_state=0, backend=backend) for backend in ("threads", engine)
    ]
    assert results[0].cv_results_["mean_score"] == results[1].cv_results_["mean_score"]
    assert results[0].best_params_ == results[1].best_params_

    x, y = table(1000 * 6)
    by = np.repeat(np.arange(1000), 6)
    groups = [st.fit_groups(quick(), x, y, by, backend=backend).predict(x, by) for backend in ("threads", engine)]
    assert np.array_equal(*groups)


def test_a_killed_worker_is_made_good(engine: Any, tmp_path: Path) -> None:
    x, y = table()
    truth = st.cross_validate(quick(), x, y, cv=6)["test_score"]
    mark = tmp_path / "killed"
    found = st.cross_validate(quick(), x, y, cv=6, scoring=KillsOnce(mark), backend=engine)["test_score"]
    assert mark.exists()
    assert np.array_equal(found, truth)


def train(comm: Any, at: slice) -> tuple[Array, list[float]]:
    x, y = (part.astype(np.float32) for part in table(400))
    trainer = st.Trainer(st.Network(3, [st.Dense(8, "tanh"), st.Dense(1)], seed=0), "mse", st.Adam(0.01))
    history = trainer.fit(x[at], y[at], epochs=6, batch_size=20, shuffle=False, comm=comm)
    return trainer.network._core.state(), history["loss"]


def test_a_training_by_two_workers_is_one_on_the_batches_of_both(engine: Any) -> None:
    (first, losses), (second, _) = run_on(engine, train, [slice(0, None, 2), slice(1, None, 2)], host="127.0.0.1")
    assert np.array_equal(first, second)
    x, y = (part.astype(np.float32) for part in table(400))
    alone = st.Trainer(st.Network(3, [st.Dense(8, "tanh"), st.Dense(1)], seed=0), "mse", st.Adam(0.01))
    for _ in range(6):
        for start in range(0, 400, 40):
            alone.step(x[start : start + 40], y[start : start + 40])
    np.testing.assert_allclose(first, alone.network._core.state(), rtol=1e-5, atol=1e-6)
    assert losses[-1] < losses[0]


def die(comm: Any, at: slice) -> None:
    def end(fit: Any) -> None:
        if comm.rank == 1 and fit.epoch == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    x, y = (part.astype(np.float32) for part in table(400))
    trainer = st.Trainer(st.Network(3, [st.Dense(8), st.Dense(1)]), "mse")
    trainer.fit(x[at], y[at], epochs=10**6, callbacks=[st.LambdaCallback(on_epoch_end=end)], comm=comm)


def test_a_rank_that_dies_ends_the_training(engine: Any) -> None:
    start = time.monotonic()
    with pytest.raises(Exception, match=r"rank 1 of 2 has gone|died|exited|lost|ranks came|cannot reach the hub"):
        run_on(engine, die, [slice(0, None, 2), slice(1, None, 2)], host="127.0.0.1")
    assert time.monotonic() - start < 60  # no rank is left waiting


def test_too_few_workers_and_no_engine_are_refused(engine: Any) -> None:
    with pytest.raises(ValueError, match="shards has 64, and the engine 2 workers"):
        run_on(engine, train, [slice(None)] * 64)
    with pytest.raises(ValueError, match="shards is empty"):
        run_on(engine, train, [])
    with pytest.raises(TypeError, match="engine is 3"):
        run_on(3, train, [slice(None)])


@pytest.fixture(scope="module")
def scored() -> tuple[Any, pd.DataFrame, Array]:
    x, y = table()
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    model = quick().fit(frame, y)
    return model, frame, model.predict(frame)


def test_scoring_by_dask(dask_client: Any, scored: tuple[Any, pd.DataFrame, Array]) -> None:
    dataframe = pytest.importorskip("dask.dataframe", reason="Dask's data frames are not installed")
    model, frame, truth = scored
    predict = st.predict_batches(model)
    found = dataframe.from_pandas(frame, npartitions=4).map_partitions(predict, meta=predict.meta).compute()
    np.testing.assert_allclose(found["prediction"], truth, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own settings
def test_scoring_by_ray(ray: Any, scored: tuple[Any, pd.DataFrame, Array]) -> None:
    model, frame, truth = scored
    rows = ray.data.from_pandas(frame)
    for kind in ("numpy", "pandas", "pyarrow"):
        found = rows.map_batches(st.predict_batches(model), batch_format=kind, batch_size=100).to_pandas()
        np.testing.assert_allclose(np.sort(found["prediction"]), np.sort(truth), rtol=1e-6)


@pytest.mark.filterwarnings("ignore")  # Spark is behind pandas, and says so in several ways
def test_scoring_by_spark(spark: Any, scored: tuple[Any, pd.DataFrame, Array]) -> None:
    model, frame, truth = scored
    predict = st.predict_batches(model)
    rows = spark.createDataFrame(frame)
    for way in (rows.mapInArrow, rows.mapInPandas):
        found = [row["prediction"] for row in way(lambda parts: predict(parts), predict.schema).collect()]
        np.testing.assert_allclose(np.sort(found), np.sort(truth), rtol=1e-6)
