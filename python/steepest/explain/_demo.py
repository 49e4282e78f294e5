"""The two networks of `steepest explain --demo`: XOR and two spirals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..callbacks import Callback
from ..descent import Recorder
from ..layers import Dense
from ..network import Network
from ..optimizers import SGD, Adam
from ..pages.html import to_percent
from ..training import Trainer
from ._course import measure_course
from ._subject import Subject

XOR_EPOCHS = 300
SPIRAL_EPOCHS = 120
SPIRAL_POINTS = 200  # in each spiral, of the training rows
_INPUTS = ("x₁", "x₂")
_LOSS = "binary_cross_entropy"
_TURNS = 1.5
_NOISE = 0.02

Floats = NDArray[np.float64]


def train_xor(seed: int, *callbacks: Callback) -> Subject:
    """Train a network of three hidden units on the four rows of XOR."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
    y = np.array([[0], [1], [1], [0]], np.float64)
    network = Network(2, [Dense(3, "tanh"), Dense(1)], seed=seed)
    recorder = Recorder(every=1)
    trainer = Trainer(network, _LOSS, SGD(0.3, momentum=0.5), seed=seed)
    history = trainer.fit(x, y, epochs=XOR_EPOCHS, batch_size=4, callbacks=[recorder, *callbacks])
    rows = x.astype(np.float32)
    network, training = measure_course(network, _LOSS, rows, y, history, recorder, kept_best=False)
    return Subject("xor", network, _LOSS, rows, y, _INPUTS, ("output",), training=training)


def train_spirals(seed: int, *callbacks: Callback) -> Subject:
    """Train a network of two hidden layers to tell two spirals apart."""
    x, y = two_spirals(SPIRAL_POINTS, 0)
    unseen = two_spirals(SPIRAL_POINTS // 2, 1)
    network = Network(2, [Dense(32, "relu"), Dense(32, "relu"), Dense(1)], seed=seed)
    recorder = Recorder(every=1, rows=len(x))
    trainer = Trainer(network, _LOSS, Adam(0.003), seed=seed)
    history = trainer.fit(
        x, y, epochs=SPIRAL_EPOCHS, batch_size=32, validation=unseen, callbacks=[recorder, *callbacks]
    )
    figures = [("right on unseen points", to_percent(float(history["val_accuracy"][-1])))]
    rows = x.astype(np.float32)
    network, training = measure_course(network, _LOSS, rows, y, history, recorder, kept_best=False)
    return Subject("spirals", network, _LOSS, rows, y, _INPUTS, ("output",), training=training, figures=figures)


def two_spirals(n: int, seed: int) -> tuple[Floats, Floats]:
    """Draw points on two spirals that wind around each other.

    Parameters
    ----------
    n : int
        Points on each spiral, >= 1.
    seed : int
        Seed of places and noise, >= 0.

    Returns
    -------
    x : array of shape (2 n, 2)
        Points within about -1 to 1, in a mixed order.
    y : array of shape (2 n, 1)
        The spiral of each: 0 or 1.
    """
    draw = np.random.default_rng(seed)
    y = np.repeat([0.0, 1.0], n)
    radius = np.sqrt(draw.uniform(0.02, 1, 2 * n))
    angle = 2 * np.pi * _TURNS * radius + np.pi * y
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + _NOISE * draw.standard_normal((2 * n, 2))
    order = draw.permutation(2 * n)
    return x[order], y[order, None]
