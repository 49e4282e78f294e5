"""Smoothed labels, and logits made as sure as held-out rows say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

import steepest as st
from helpers import normal
from steepest.calibration import divide_logits, smooth_labels, temperature


def test_smoothed_labels() -> None:
    found = smooth_labels(np.array([0, 2]), 4, 0.2)
    np.testing.assert_allclose(found, [[0.85, 0.05, 0.05, 0.05], [0.05, 0.05, 0.85, 0.05]], rtol=1e-6)
    assert found.dtype == np.float32


def log_loss(logits: np.ndarray, labels: np.ndarray, weight: np.ndarray | None = None) -> float:
    return -float(np.average(log_softmax(logits, axis=1)[np.arange(len(labels)), labels], weights=weight))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_temperature_is_the_best(factor: float, weighted: bool) -> None:
    logits = 2 * normal(0, (20_000, 3))
    labels = (logits + np.random.default_rng(1).gumbel(size=logits.shape)).argmax(axis=1)  # drawn from the softmax
    weight = np.exp(normal(2, (20_000,))) if weighted else None
    found = temperature(factor * logits, labels, weight)
    best = minimize_scalar(lambda t: log_loss(factor * logits / t, labels, weight), bounds=(0.1, 10), method="bounded")
    assert found == pytest.approx(best.x, rel=2e-3) and found == pytest.approx(factor, rel=0.05)


def test_few_rows_without_a_mistake_do_not_make_sure() -> None:
    surest = []
    for n in (10, 1000):
        logits = np.tile([1.0, -1.0], (n, 1))
        t = temperature(logits, np.zeros(n, np.int64))
        surest.append(float(np.exp(log_softmax(logits / t, axis=1))[0, 0]))
    np.testing.assert_allclose(surest, [11 / 12, 1001 / 1002], rtol=1e-6)


def test_logits_are_divided_for_good() -> None:
    network = st.Network(3, [st.Dense(8, "silu"), st.Dropout(0.5), st.Dense(4)], seed=0)
    x = normal(0, (5, 3), np.float32)
    before = network.predict(x)
    divide_logits(network, 2.5)
    np.testing.assert_allclose(network.predict(x), before / 2.5, rtol=1e-5, atol=1e-7)
