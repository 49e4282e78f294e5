"""Metrics of classes and numbers, compared with scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

import steepest as st
from helpers import normal

ROWS = 700  # more than are evaluated at a time
WEIGHT = np.abs(normal(3, (ROWS,))) * (np.arange(ROWS) % 7 > 0)


def outputs_are_inputs(n: int, loss: str) -> st.Trainer:
    return st.Trainer(st.Network(n, [st.Dense(n, init=np.eye(n))], dtype="float64"), loss)


def softmax(y: np.ndarray) -> np.ndarray:
    e = np.exp(y - y.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def coarse(seed: int, n: int) -> np.ndarray:
    return np.round(8 * normal(seed, (ROWS, n))) / 8  # with ties, and differences without rounding


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("n", [2, 3, 7])
def test_metrics_of_classes(n: int, weight: Any) -> None:
    y, t = coarse(1, n), np.random.default_rng(2).integers(0, n, ROWS)
    p, said = softmax(y), y.argmax(axis=1)
    names = ["accuracy", "log_loss", "f1", "top1", f"top{n - 1}"]
    found = outputs_are_inputs(n, "cross_entropy").evaluate(y, t, weight, metrics=names)
    # Ties: the place of a class among equals is the first, as in argmax.
    rank = (
        (y > y[np.arange(ROWS), t][:, None]) | ((y == y[np.arange(ROWS), t][:, None]) & (np.arange(n) < t[:, None]))
    ).sum(axis=1)
    assert list(found) == list(dict.fromkeys(["loss", *names]))
    truth = {
        "loss": sk.log_loss(t, p, sample_weight=weight),
        "accuracy": sk.accuracy_score(t, said, sample_weight=weight),
        "log_loss": sk.log_loss(t, p, sample_weight=weight),
        "f1": sk.f1_score(t, said, sample_weight=weight, average="binary" if n == 2 else "macro"),
        "top1": np.average(rank < 1, weights=weight),
        f"top{n - 1}": np.average(rank < n - 1, weights=weight),
    }
    assert found == pytest.approx(truth, rel=1e-9)
    shares = np.eye(n)[t]
    assert outputs_are_inputs(n, "cross_entropy").evaluate(y, shares, weight, metrics=names) == pytest.approx(found)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("n", [2, 3, 7])
def test_auc_of_classes(n: int, weight: Any) -> None:
    # Rows that differ by a shift tie in every arithmetic; rows whose logits are the same in another order, whose
    # probabilities tie but for rounding, are kept out by a step from column to column.
    y, t = coarse(1, n) + np.arange(n) / 1024, np.random.default_rng(2).integers(0, n, ROWS)
    found = outputs_are_inputs(n, "cross_entropy").evaluate(y, t, weight, metrics=["auc"])
    score = softmax(y)[:, 1] if n == 2 else softmax(y)
    truth = sk.roc_auc_score(t, score, sample_weight=weight, multi_class="ovr")
    assert found["auc"] == pytest.approx(truth, rel=1e-9)
    shares = np.eye(n)[t]
    assert outputs_are_inputs(n, "cross_entropy").evaluate(y, shares, weight, metrics=["auc"]) == pytest.approx(found)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("n", [1, 4])
def test_metrics_of_labels(n: int, weight: Any) -> None:
    y, t = coarse(4, n), np.random.default_rng(5).integers(0, 2, (ROWS, n)).astype(float)
    found = outputs_are_inputs(n, "binary_cross_entropy").evaluate(y, t, weight, metrics=["accuracy", "auc", "f1"])
    average = None if n == 1 else "macro"
    f1 = sk.f1_score(t, y > 0, sample_weight=weight, average="binary" if n == 1 else "macro")
    assert found["accuracy"] == pytest.approx(np.average((y > 0) == t, axis=0, weights=weight).mean())
    assert found["auc"] == pytest.approx(sk.roc_auc_score(t, y, sample_weight=weight, average=average), rel=1e-9)
    assert found["f1"] == pytest.approx(f1, rel=1e-9)


def test_classes_that_nobody_speaks_of_do_not_count() -> None:
    y, t = np.eye(5)[[0, 0, 1, 1]], np.array([0, 1, 1, 1])
    found = outputs_are_inputs(5, "cross_entropy").evaluate(y, t, metrics=["f1", "auc"])
    assert found["f1"] == pytest.approx(sk.f1_score(t, y.argmax(axis=1), average="macro"))
    assert np.isnan(found["auc"])


def test_own_metric_is_named_by_its_function() -> None:
    def largest_error(y: np.ndarray, outputs: np.ndarray) -> float:
        return float(np.abs(y - outputs).max())

    x, t = normal(6, (20, 2)), normal(7, (20, 2))
    trainer = outputs_are_inputs(2, "mse")
    found = trainer.evaluate(x, t, metrics=["mae", largest_error])
    assert found == pytest.approx(
        {"loss": ((x - t) ** 2).mean(), "mae": np.abs(x - t).mean(), "largest_error": np.abs(x - t).max()}
    )
    history = trainer.fit(x, t, epochs=3, validation=(x, t), metrics=["rmse", largest_error])
    assert set(history) == {"loss", "learning_rate", "seconds", "val_loss", "val_rmse", "val_largest_error"}
    assert history["val_largest_error"][-1] == pytest.approx(largest_error(t, trainer.network.predict(x)))


def test_early_stopping_watches_a_named_metric() -> None:
    x, t = normal(8, (90, 3)), np.arange(90) % 3
    history = outputs_are_inputs(3, "cross_entropy").fit(
        x, t, epochs=5, validation=(x, t), metrics=["auc"], callbacks=[st.EarlyStopping("val_auc", 2)]
    )
    assert history.best_epoch == np.argmax(history["val_auc"])


def fit_without_validation(trainer: st.Trainer) -> Any:
    return trainer.fit(np.eye(3), [0, 1, 2], metrics=["accuracy"])


def asking(*metrics: Any) -> Callable[[st.Trainer], Any]:
    return lambda trainer: trainer.fit(np.eye(3), [0, 1, 2], validation=(np.eye(3), [0, 1, 2]), metrics=metrics)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (asking("r2"), ValueError, "metrics has 'r2': with this loss expected of accuracy, log_loss, auc, f1, top<k>"),
        (asking("top<k>"), ValueError, "metrics has 'top<k>'"),
        (asking("top0"), ValueError, "metrics has 'top0'"),
        (asking("top4"), ValueError, "metrics has 'top4': expected at most the 3 classes"),
        (asking("accuracy", 3), TypeError, "metrics has 3: expected a name"),
        (fit_without_validation, ValueError, r"metrics is \['accuracy'\]: expected none without validation"),
    ],
)
def test_wrong_metrics_are_refused(call: Callable[[st.Trainer], Any], error: type[Exception], message: str) -> None:
    trainer = outputs_are_inputs(3, "cross_entropy")
    with pytest.raises(error, match=message):
        call(trainer)
    assert trainer.n_steps == 0
