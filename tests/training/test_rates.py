"""Learning rates from far too small to far too large: a fit ends with finite numbers or raises DivergedError."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal

X, Y = normal(0, (12, 3)), normal(1, (12, 1))

OPTIMIZERS = {
    "sgd": lambda lr: st.SGD(lr),
    "momentum": lambda lr: st.SGD(lr, momentum=0.9, nesterov=True),
    "clipped": lambda lr: st.SGD(lr, clip_norm=1.0),
    "adam": lambda lr: st.Adam(lr),
    "adamw": lambda lr: st.AdamW(lr, weight_decay=0.1),
    "rmsprop": lambda lr: st.RMSprop(lr),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ema": {"ema": 0.9},
    "accumulate": {"accumulate": 2, "ema": 0.5},
    "by layer": {"update_order": "output_to_input"},
}


def numbers_of(trainer: st.Trainer) -> list[Any]:
    """All that a trainer keeps."""
    networks = (trainer.network, trainer.ema_network)
    kept = [trainer._core.state(), *(network.parameters | network.buffers for network in networks)]
    return [array for arrays in kept for array in arrays.values()]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_r30_a_fit_ends_with_finite_numbers_or_says_so(optimizer: str, options: str, tmp_path: Path) -> None:
    diverged = 0
    for i, power in enumerate((-12, -3, 0, 2, 4, 6, 12, 18, 25, 30, 37)):
        layers = [
            st.Dense(4, ("relu", "tanh", "gelu")[i % 3]),
            st.BatchNorm() if i % 2 else st.LayerNorm(),
            st.Dense(1),
        ]
        network = st.Network(3, layers, seed=i)
        trainer = st.Trainer(
            network, ("mse", "mae", "poisson")[i % 3], OPTIMIZERS[optimizer](10.0**power), **OPTIONS[options]
        )
        try:
            history = trainer.fit(X, np.abs(Y), epochs=2, batch_size=5)
            assert np.isfinite(history["loss"]).all()
        except st.DivergedError:
            diverged += 1
        assert all(np.isfinite(array).all() for array in numbers_of(trainer))
        trainer.save(tmp_path / "run")
        assert all(np.isfinite(array).all() for array in numbers_of(st.Trainer.resume(tmp_path / "run")))
    assert diverged < 11


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_r30_running_means_that_overflow_are_a_divergence(optimizer: str) -> None:
    """The square of a gradient of 1e25 is inf in float32: the weight would never move again, nor a file be read."""
    network = st.Network(1, [st.Dense(1)], seed=0)
    trainer = st.Trainer(network, "mae", OPTIMIZERS[optimizer](1e-3))
    before = network.parameters
    with pytest.raises(st.DivergedError, match="training diverged in epoch 0"):
        trainer.fit(np.full((4, 1), 1e25), np.zeros(4), epochs=3)
    assert all(np.array_equal(network.parameters[name], before[name]) for name in before)
    trainer.fit(np.ones((4, 1)), np.zeros(4), epochs=1)


def test_r30_an_average_begins_anew_after_a_divergence(tmp_path: Path) -> None:
    network = st.Network(3, [st.Dense(1)], seed=0)
    trainer = st.Trainer(network, "mae", st.SGD(1e38), ema=0.9)
    with pytest.raises(st.DivergedError):
        trainer.fit(1e6 * X, Y, epochs=2)
    np.testing.assert_array_equal(trainer.predict(X), network.predict(X))
    trainer.save(tmp_path / "run")
    assert np.isfinite(st.Trainer.resume(tmp_path / "run").predict(X)).all()
