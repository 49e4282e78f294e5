"""A hundred steps from the same weights as the reference in float64: the same losses, weights and statistics.

Weights, rows and targets are numbers of float32, so that both dtypes, on every instruction set, have the same truth.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any

import numpy as np
import pytest

import reference as ref
import steepest as st
from helpers import assert_within, labeled, normal, reference_of, relative_error, twin_of
from steepest.layers import ACTIVATIONS, Layer
from steepest.optimizers import Optimizer

Array = ref.Array

STEPS = 100
SEED = 5  # the trainer's, by which dropout draws
N_IN = 6
BATCHES = (32, 32, 9, 1, 22)  # rows of one batch and the next, over and over
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}


def single(values: Array) -> Array:
    """The values rounded to float32."""
    return values.astype(np.float32).astype(np.float64)


@dataclasses.dataclass(frozen=True)
class Case:
    """What to train, and how."""

    layers: tuple[Layer, ...]
    loss: str
    optimizer: Optimizer
    weighted: bool = False
    probabilities: bool = False
    options: tuple[tuple[str, float], ...] = ()

    def network(self, dtype: str) -> st.Network:
        """The network at its start: its weights are the same in both dtypes."""
        net = st.Network(N_IN, self.layers, seed=1, dtype=dtype)
        net.set_parameters(st.Network(N_IN, self.layers, seed=1).parameters)
        return net

    def batches(self) -> list[tuple[Array, Array, Array | None]]:
        """Rows, targets and weights of each step."""
        n = sum(BATCHES)
        x, noise = single(labeled(self.layers, normal(0, (n, N_IN)))), normal(1, (n, 3))
        z = np.tanh(x @ normal(2, (N_IN, 3))) + 0.3 * noise
        y = single(z)
        if self.loss == "cross_entropy":
            e = np.exp(2 * z)
            y = single(e / e.sum(axis=1, keepdims=True)) if self.probabilities else z.argmax(axis=1)
        elif self.loss == "binary_cross_entropy":
            y = single(1 / (1 + np.exp(-z))) if self.probabilities else (z > 0).astype(np.float64)
        elif self.loss == "poisson":
            y = np.floor(np.exp(z))
        weight = single(np.abs(normal(3, (n,)))) if self.weighted else np.ones(n)
        starts = np.cumsum((0, *BATCHES))
        parts = [slice(*pair) for pair in itertools.pairwise(starts)]
        cycle = [(x[part], y[part], weight[part] if self.weighted else None) for part in parts]
        return [cycle[step % len(cycle)] for step in range(STEPS)]


@functools.cache
def truth(case: Case) -> tuple[list[float], dict[str, Array]]:
    """The reference's losses, and the tensors that it ends with."""
    net, optimizer, rate = reference_of(case.network("float64"), SEED), twin_of(case.optimizer), case.optimizer.lr
    parameter = next(iter(dict(case.options).values()), 0.5 if case.loss == "quantile" else 1.0)
    losses = []
    for step, (x, y, weight) in enumerate(case.batches()):
        optimizer.lr = rate(step) if callable(rate) else rate
        losses.append(net.step(x, y, case.loss, optimizer, weight, parameter))
    return losses, net.parameters | net.buffers


def follow(case: Case, dtype: str) -> None:
    """Train and compare."""
    options: dict[str, Any] = dict(case.options)
    trainer = st.Trainer(case.network(dtype), case.loss, case.optimizer, seed=SEED, **options)
    losses = [trainer.step(x.astype(dtype), y, weight) for x, y, weight in case.batches()]
    true_losses, true_tensors = truth(case)
    assert_within(losses, true_losses, TOLERANCE[dtype] * (1 + np.abs(true_losses)), "losses")
    tensors = trainer.network.parameters | trainer.network.buffers
    assert tensors.keys() == true_tensors.keys()
    errors = {name: relative_error(tensor, true_tensors[name]) for name, tensor in tensors.items()}
    assert max(errors.values()) <= TOLERANCE[dtype], errors


pytestmark = pytest.mark.usefixtures("isa")

SMALL = (st.Dense(16, "tanh"), st.Dense(3))
# No bias before batch norm, which takes it out again: its gradient would be rounding alone, Adam's step a whole one.
WHOLE = (
    st.Dense(16, bias=False), st.BatchNorm(), st.Activation("silu"), st.Dropout(0.2),
    st.Residual([st.LayerNorm(), st.Dense(24, "gelu", bias=False), st.Dense(16)]), st.LayerNorm(), st.Dense(3),
)  # fmt: skip

EMBEDDED = (
    st.FeatureScale(1.5), st.PeriodicEmbedding(5, 4, sigma=0.3, columns=[4, 1]), st.Dense(12, "tanh"),
    st.PeriodicEmbedding(3, 2, "identity", 0.2, columns=[11, 0, 6]), st.Dense(3),
)  # fmt: skip

BINNED = (
    st.CategoryEmbedding([2, 4], 3, [3, 1]), st.PiecewiseLinearEmbedding(4, 3, "identity", [9, 0]),
    st.Dense(12, "tanh"), st.PiecewiseLinearEmbedding(2, columns=[11]), st.Dense(3),
)  # fmt: skip

OPTIMIZERS: list[Optimizer] = [
    st.SGD(0.05),
    st.SGD(0.05, momentum=0.9),
    st.SGD(0.02, momentum=0.8, nesterov=True),
    st.SGD(0.02, momentum=0.9, weight_decay=0.01),
    st.SGD(0.05, clip_value=0.01),
    st.SGD(0.05, momentum=0.9, clip_norm=0.2),
    st.SGD(0.02, momentum=0.9, nesterov=True, weight_decay=0.01, clip_value=0.05, clip_norm=0.5),
    st.SGD(st.schedules.cosine(0.05, total=STEPS, warmup=10), momentum=0.9),
    st.SGD(st.schedules.step(0.05, every=20, factor=0.5), momentum=0.9),
    st.Adam(0.003),
    st.Adam(0.003, beta1=0.8, beta2=0.95, eps=1e-3, weight_decay=0.01),
    st.Adam(0.003, clip_value=0.02, clip_norm=0.3),
    st.AdamW(0.003, weight_decay=0.5),
    st.AdamW(st.schedules.one_cycle(0.01, total=STEPS), weight_decay=0.1, clip_norm=0.3),
    st.RMSprop(0.002),
    st.RMSprop(0.002, alpha=0.9, eps=1e-3, momentum=0.9),
    st.RMSprop(
        st.schedules.exponential(0.002, factor=0.99), momentum=0.5, weight_decay=0.01, clip_norm=0.5, clip_value=0.1
    ),
]


@pytest.mark.parametrize("layers", [SMALL, WHOLE, EMBEDDED, BINNED], ids=["small", "whole", "embedded", "binned"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_every_optimizer(optimizer: Optimizer, layers: tuple[Layer, ...], dtype: str) -> None:
    follow(Case(layers, "mse", optimizer), dtype)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("loss", "options"),
    [(loss, {}) for loss in ref.LOSSES] + [("huber", {"delta": 0.3}), ("quantile", {"quantile": 0.9})],
    ids=str,
)
def test_every_loss(loss: str, options: dict[str, float], weighted: bool, dtype: str) -> None:
    follow(Case(SMALL, loss, st.SGD(0.05, momentum=0.9), weighted, options=tuple(options.items())), dtype)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_targets_that_are_probabilities(loss: str, dtype: str) -> None:
    follow(Case(WHOLE, loss, st.Adam(0.003), weighted=True, probabilities=True), dtype)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation: str, dtype: str) -> None:
    layers = (st.Dense(16, activation), st.Dense(12), st.LayerNorm(), st.Activation(activation), st.Dense(3))
    follow(Case(layers, "cross_entropy", st.SGD(0.02, momentum=0.9)), dtype)


@pytest.mark.parametrize(
    "layers",
    [
        (st.Dense(3, bias=False),),
        (st.BatchNorm(momentum=0.3, eps=0.1), st.Dense(40, "relu"), st.BatchNorm(momentum=0.0), st.Dense(3)),
        (st.LayerNorm(eps=0.1), st.Dense(40, "elu", alpha=0.5), st.LayerNorm(), st.Dense(3)),
        (st.Dropout(0.1), st.Dense(40, "leaky_relu", alpha=0.2), st.Dropout(0.5), st.Dense(3, "softplus")),
        (st.Residual([st.Residual([st.Dense(6, "tanh")]), st.BatchNorm(), st.Dropout(0.3), st.Dense(6)]), st.Dense(3)),
        (st.PiecewiseLinearEmbedding(4, 3), st.Dense(40, "tanh"), st.PiecewiseLinearEmbedding(2), st.Dense(3)),
        (st.CategoryEmbedding([2, 4], 5, [3, 1]), st.Dense(40, "tanh"), st.Dense(3)),
        (st.FeatureScale(), st.Dense(40, "tanh"), st.FeatureScale(0.1), st.Dense(3)),
        (st.PeriodicEmbedding(sigma=0.1), st.Dense(40, "tanh"), st.PeriodicEmbedding(columns=[39]), st.Dense(3)),
    ],
    ids=["linear", "batch norm", "layer norm", "dropout", "residual", "bins", "labels", "scale", "embedding"],
)
def test_every_layer(layers: tuple[Layer, ...], dtype: str) -> None:
    follow(Case(layers, "huber", st.SGD(0.05, momentum=0.9)), dtype)


@pytest.mark.parametrize("layers", [WHOLE, EMBEDDED, BINNED], ids=["whole", "embedded", "binned"])
@pytest.mark.parametrize("rows", [1, 7])
def test_steps_use_the_gradients_of_backward(rows: int, layers: tuple[Layer, ...]) -> None:
    net = Case(layers, "mse", st.SGD()).network("float64")
    x, y = labeled(layers, normal(4, (rows, N_IN))), normal(5, (rows, 3))
    tried = net.copy()
    tried.backward(ref.mean_loss("mse", tried.forward(x), y)[1])
    for optimizer in (st.SGD(1.0), st.SGD(1.0, clip_norm=1e9)):  # applied on the spot, and stored before
        trainer = st.Trainer(net.copy(), "mse", optimizer, seed=net.seed)
        trainer.step(x, y)
        for name, gradient in tried.gradients.items():
            rate = net._own_rates()[name.rpartition(".")[0]]
            moved = (net.parameters[name] - trainer.network.parameters[name]) / rate
            assert_within(moved, gradient, 1e-14 * (1 + np.abs(gradient).max()), f"{name}, {optimizer}")
        for name, buffer in tried.buffers.items():
            assert np.array_equal(trainer.network.buffers[name], buffer), name
