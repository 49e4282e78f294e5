"""Predictions in the units of the targets, by their definitions in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import eps, normal, targets_for
from steepest._probabilities import sigmoid

X = normal(0, (30, 3))


def softmax(z: Any) -> Any:
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def custom(y: Any, prediction: Any) -> Any:
    return 0.0, prediction - y


def same(z: Any) -> Any:
    return z


def logistic(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


UNITS: list[tuple[Any, Callable[[Any], Any]]] = [
    ("cross_entropy", softmax),
    ("binary_cross_entropy", logistic),
    ("poisson", np.exp),
    *((loss, same) for loss in ("mse", "mae", "huber", "quantile", custom)),
]


def make_trainer(loss: Any, dtype: str = "float64", **options: Any) -> st.Trainer:
    network = st.Network(3, [st.Dense(8, "tanh"), st.Dropout(0.5), st.Dense(2)], seed=1, dtype=dtype)
    return st.Trainer(network, loss, st.Adam(0.05), **options)


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize(("loss", "units"), UNITS)
def test_predictions_are_in_the_units_of_the_targets(loss: Any, units: Any, ema: float | None, dtype: str) -> None:
    trainer = make_trainer(loss, dtype, ema=ema)
    trainer.fit(X, targets_for(str(loss), 5, 30, 2), epochs=3)
    network = trainer.network if ema is None else trainer.ema_network
    found = trainer.predict(X)
    assert found.dtype == dtype and found.shape == (30, 2)
    np.testing.assert_allclose(found, units(network.predict(X).astype(np.float64)), rtol=20 * eps(dtype))
    if ema is not None:
        assert not np.array_equal(found, units(trainer.network.predict(X)))


def test_plain_outputs_are_the_networks_to_the_bit() -> None:
    trainer = make_trainer("mse")
    np.testing.assert_array_equal(trainer.predict(X), trainer.network.predict(X))


@pytest.mark.parametrize(("loss", "units"), UNITS)
def test_no_rows_and_large_outputs(loss: Any, units: Any) -> None:
    trainer = make_trainer(loss, "float32")
    assert trainer.predict(X[:0]).shape == (0, 2)
    trainer.network.set_parameters({"2.bias": [1000.0, -1000.0]})
    expected = {"cross_entropy": [1, 0], "binary_cross_entropy": [1, 0], "poisson": [np.inf, 0]}
    found = trainer.predict(X)[0]
    np.testing.assert_allclose(found, expected.get(loss, trainer.network.predict(X)[0]))


def test_predict_refuses_what_the_network_does() -> None:
    with pytest.raises(ValueError, match="x "):
        make_trainer("mse").predict(X[:, :2])


def test_sigmoid_keeps_dtype_and_digits(dtype: str) -> None:
    z = np.array([-700.0 if dtype == "float64" else -80.0, -20.0, -1.0, 0.0, 1.0, 20.0, 1e30, -1e30], dtype)
    found, wide = sigmoid(z), z.astype(np.longdouble)
    assert found.dtype == dtype
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(found, (1 / (1 + np.exp(-wide))).astype(np.float64), rtol=4 * eps(dtype))
