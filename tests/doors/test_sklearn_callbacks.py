"""The callbacks that scikit-learn itself has from version 1.9 on, on these estimators, alone and within others."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal
from quick_estimators import classifier, parts_of, regressor

callbacks = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from version 1.9 on")

from sklearn.base import clone  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

X = normal(0, (60, 3))
Y = X @ [1.0, -2.0, 0.5]
LABELS = np.where(Y > 0, "up", "down")


class Recorder:
    """All that a callback is told, as text."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.told: list[str] = []
        self.fitted: list[Any] = []
        self.stop_after = stop_after

    def setup(self, estimator: Any, context: Any) -> None:
        self.told.append("setup")

    def teardown(self, estimator: Any, context: Any) -> None:
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.told.append(f"begin {context.task_name} {context.task_id}")

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any = None, metadata: Any = None, fitted_estimator: Any = None
    ) -> bool:
        self.told.append(f"end {context.task_name} {context.task_id}")
        self.fitted.append((fitted_estimator, metadata))
        return context.task_name == "epoch" and context.task_id == self.stop_after


def test_a_fit_is_told_task_by_task() -> None:
    recorder = Recorder()
    regressor(max_iter=2, ensemble=2).set_callbacks(recorder).fit(X, Y, np.ones(60))
    epochs = [f"{what} epoch {i}" for i in range(2) for what in ("begin", "end")]
    networks = [[f"begin network {i}", *epochs, f"end network {i}"] for i in range(2)]
    assert recorder.told == ["setup", "begin fit 0", *networks[0], *networks[1], "end fit 0", "teardown"]
    assert all(metadata["sample_weight"].tolist() == [1] * 60 for _, metadata in recorder.fitted)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_a_watched_fit_is_the_same_to_the_bit(make: Any) -> None:
    y = LABELS if make is classifier else Y
    plain, watched = make().fit(X, y), make().set_callbacks(Recorder()).fit(X, y)
    for name in ("recipe_", "loss_curve_"):
        assert getattr(plain, name) == getattr(watched, name)
    assert np.array_equal(plain.predict(X), watched.predict(X))
    assert parts_of(plain).keys() ^ parts_of(watched).keys() == {"_skl_callbacks"}


def test_every_task_has_an_estimator_that_predicts() -> None:
    recorder = Recorder()
    model = classifier().set_callbacks(recorder).fit(X, LABELS)
    *epochs, network, whole = (fitted.predict_proba(X) for fitted, _ in recorder.fitted)
    assert np.array_equal(whole, model.predict_proba(X)) and network.shape == (60, 2)
    assert all(not np.array_equal(one, other) for one, other in itertools.pairwise(epochs))


def test_a_callback_ends_the_training() -> None:
    assert regressor(max_iter=9).set_callbacks(Recorder(stop_after=1)).fit(X, Y).n_iter_ == 2


def test_scoring_monitor_has_a_row_for_each_epoch() -> None:
    monitor = callbacks.ScoringMonitor(scoring="r2")
    model = regressor(max_iter=3).set_callbacks(monitor).fit(X, Y)
    rows = monitor.get_logs().data
    assert [row["task_name"] for row in rows] == ["fit", "network", "epoch", "epoch", "epoch"]
    assert rows[0]["r2"] == model.score(X, Y)


def test_progress_bar_shows_networks_and_epochs(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich", reason="scikit-learn's progress bar needs rich")
    pipeline = make_pipeline(StandardScaler(), classifier(max_iter=3))
    pipeline.set_callbacks(callbacks.ProgressBar(max_propagation_depth=None)).fit(X, LABELS)
    shown = capfd.readouterr().out
    assert "MLPClassifier" in shown and "network" in shown and "100%" in shown


def test_callbacks_go_through_a_pipeline_and_a_clone() -> None:
    monitor, inner = callbacks.ScoringMonitor(scoring="r2"), Recorder()
    pipeline = make_pipeline(StandardScaler(), clone(regressor(max_iter=2).set_callbacks(inner)))
    pipeline.set_callbacks(monitor).fit(X, Y)
    assert inner.told[0] == "setup" and inner.told[-1] == "teardown"
    assert not any(name.startswith("_callback") or name == "_reporter" for name in vars(pipeline[-1]))


def test_a_fit_that_fails_leaves_nothing_behind() -> None:
    recorder = Recorder()
    model = regressor().set_callbacks(recorder)
    before = vars(model).copy()
    with pytest.raises(ValueError, match="y"):
        model.fit(X, np.full(60, np.nan))
    assert vars(model) == before and recorder.told == ["setup", "begin fit 0", "teardown"]


def test_a_stream_and_a_fit_without_epochs_are_told_too() -> None:
    recorder = Recorder()
    rows = st.Stream((normal(0, (3000, 3)), normal(1, (3000, 1))[:, 0]))
    regressor(max_iter=1).set_callbacks(recorder).fit(rows)
    assert recorder.told.count("end epoch 0") == 1
    recorder = Recorder()
    regressor(solver="lbfgs").set_callbacks(recorder).fit(X, Y)
    assert recorder.told == ["setup", "begin fit 0", "end fit 0", "teardown"]
