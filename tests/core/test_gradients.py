"""Every gradient against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import reference as ref
import steepest as st
from helpers import labeled, normal, relative_error, shaken, targets_for

# Central differences at H and 2 H, so combined that the error is about H^4, and eps / H from rounding.
H = 1e-3
STENCIL = ((1, 8 / 12), (-1, -8 / 12), (2, -1 / 12), (-2, 1 / 12))
BOUND = 1e-7

Arrays = dict[str, NDArray[Any]]


def differences(f: Callable[[Arrays], float], values: Arrays) -> Arrays:
    """The derivative of f by each number of each array."""
    slopes = {}
    for name, array in values.items():
        slopes[name] = np.empty_like(array)
        for at in np.ndindex(array.shape):
            slope = 0.0
            for steps, share in STENCIL:
                moved = array.copy()
                moved[at] += steps * H
                slope += share * f(values | {name: moved})
            slopes[name][at] = slope / H
    return slopes


def check_layers(layers: list[Any], n_in: int, rows: int) -> None:
    """Compare forward and backward of a training pass with the differences of a random sum of the outputs.

    Labels that the first layer takes have no slope: where they move they are others.
    """
    network = shaken(st.Network(n_in, layers, seed=3, dtype="float64"), seed=10)
    x, dy = labeled(layers, normal(1, (rows, n_in))), normal(2, (rows, network.n_out))

    def total(values: Arrays) -> float:
        # A fresh copy's first pass: dropout draws the same mask each time.
        other = network.copy()
        other.set_parameters({name: value for name, value in values.items() if name != "x"})
        return float(np.sum(dy * other.forward(values["x"])))

    truth = differences(total, network.parameters | {"x": x})
    if isinstance(layers[0], st.CategoryEmbedding):
        truth["x"][:, list(layers[0].columns)] = 0
    other = network.copy()
    other.forward(x)
    found = {"x": other.backward(dy)} | other.gradients
    assert found.keys() == truth.keys()
    for name, gradient in found.items():
        assert relative_error(gradient, truth[name]) < BOUND, name


@pytest.mark.parametrize("activation", ref.ACTIVATIONS)
def test_activations(isa: str, activation: str) -> None:
    check_layers([st.Dense(5, activation), st.Activation(activation), st.Dense(2)], n_in=3, rows=4)


@pytest.mark.parametrize("alpha", [0.3, 1.7])
@pytest.mark.parametrize("activation", ref.DEFAULT_ALPHA)
def test_activations_with_a_constant(activation: str, alpha: float) -> None:
    check_layers([st.Dense(5, activation, alpha=alpha), st.Activation(activation, alpha), st.Dense(2)], n_in=3, rows=4)


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "layers",
    [
        [st.Dense(3)],
        [st.Dense(3, bias=False)],
        [st.Dense(19, "tanh"), st.Dense(17, "silu"), st.Dense(1)],
        [st.Dropout(0.4), st.Dense(9, "softplus"), st.Dropout(0.5), st.Dense(2)],
        [st.BatchNorm(), st.Dense(6, "sigmoid"), st.BatchNorm(0.3, 1e-2), st.Dense(3)],
        [st.LayerNorm(), st.Dense(6, "tanh"), st.LayerNorm(1e-2), st.Dense(3)],
        [st.Residual([st.Dense(4, "gelu")]), st.Dense(2)],
        [
            st.Dense(4, "mish"),
            st.Residual([st.LayerNorm(), st.Residual([st.Dense(4, "elu"), st.Dropout(0.3)]), st.Dense(4)]),
            st.Activation("tanh"),
        ],
        [st.Activation("tanh")],
        [st.Dropout(0.5)],
        [st.Residual([st.BatchNorm()]), st.Dense(2)],
        [st.FeatureScale()],
        [st.FeatureScale(6.0), st.Dense(19, "gelu"), st.FeatureScale(), st.Dense(2)],
        [st.Residual([st.FeatureScale()]), st.Dropout(0.3), st.FeatureScale(0.5)],
        [st.PiecewiseLinearEmbedding(3)],
        [st.PiecewiseLinearEmbedding(5, 3)],
        [st.PiecewiseLinearEmbedding(1, 2, "identity", [2]), st.Dense(6, "tanh"), st.Dense(2)],
        [st.Dense(5, "silu"), st.PiecewiseLinearEmbedding(17, 9, columns=[4, 0]), st.LayerNorm(), st.Dense(2)],
        [st.Dense(5, "tanh"), st.PiecewiseLinearEmbedding(2, columns=[1]), st.PiecewiseLinearEmbedding(8, 1)],
        [st.Residual([st.PiecewiseLinearEmbedding(3, 2, columns=[1, 3]), st.Dense(4)]), st.Dense(2)],
        [st.CategoryEmbedding(2, 1, [0])],
        [st.CategoryEmbedding([3, 1], 17, [3, 1]), st.Dense(6, "tanh"), st.Dense(2)],
        [st.CategoryEmbedding(2, 3, range(4)), st.FeatureScale(), st.Dense(2)],
        [st.Dense(5, "tanh"), st.CategoryEmbedding(1, 2, [1, 2]), st.Dense(2)],
        [st.PeriodicEmbedding(5, 3)],
        [st.PeriodicEmbedding(3, 2, "identity", columns=[2]), st.Dense(6, "tanh"), st.Dense(2)],
        [st.Dense(5, "silu"), st.PeriodicEmbedding(2, 7, sigma=0.3, columns=[4, 0]), st.LayerNorm(), st.Dense(2)],
        [st.Dropout(0.3), st.PeriodicEmbedding(9, 4, "identity", 0.1), st.PeriodicEmbedding(1, 1, "identity", 0.1)],
        [st.Residual([st.PeriodicEmbedding(3, 2, columns=[1, 3]), st.Dense(4)]), st.Dense(2)],
    ],
    ids=str,
)
def test_layers(layers: list[Any], rows: int) -> None:
    check_layers(layers, n_in=4, rows=rows)


@pytest.mark.parametrize("size", [1, 8, 17])
@pytest.mark.parametrize("n_frequencies", [1, 4, 16, 33])
def test_embeddings(isa: str, n_frequencies: int, size: int) -> None:
    """Around vectors and panels, whose ends fall between the sines and cosines, and between one column and the next."""
    embedding = st.PeriodicEmbedding(n_frequencies, size, "identity", 0.3, columns=[2, 0])
    check_layers([st.Dense(3, "tanh"), embedding, st.Dense(1)], n_in=2, rows=3)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("n_out", [1, 5])
@pytest.mark.parametrize("loss", ref.LOSSES)
def test_losses(isa: str, loss: str, n_out: int, weighted: bool) -> None:
    n_out += loss == "cross_entropy"
    network = shaken(st.Network(3, [st.Dense(4, "tanh"), st.Dense(n_out)], seed=1, dtype="float64"), seed=5)
    x, y = normal(6, (9, 3)), targets_for(loss, 7, 9, n_out)
    weight = np.linspace(0, 2, 9) if weighted else None

    def value(parameters: Arrays) -> float:
        other = network.copy()
        other.set_parameters(parameters)
        trainer = st.Trainer(other, loss, quantile=0.8, delta=0.7)
        return trainer.evaluate(x, y, weight)["loss"]

    before = network.parameters
    truth = differences(value, before)
    st.Trainer(network, loss, st.SGD(1.0), quantile=0.8, delta=0.7).step(x, y, weight)
    for name, after in network.parameters.items():
        assert relative_error(before[name] - after, truth[name]) < BOUND, name


def test_probability_rows() -> None:
    """Cross-entropy against shares, as against labels."""
    network = shaken(st.Network(3, [st.Dense(4)], seed=1, dtype="float64"), seed=5)
    x, shares = normal(6, (5, 3)), np.random.default_rng(8).dirichlet(np.ones(4), 5)

    def value(parameters: Arrays) -> float:
        other = network.copy()
        other.set_parameters(parameters)
        return st.Trainer(other, "cross_entropy").evaluate(x, shares)["loss"]

    before = network.parameters
    truth = differences(value, before)
    st.Trainer(network, "cross_entropy", st.SGD(1.0)).step(x, shares)
    for name, after in network.parameters.items():
        assert relative_error(before[name] - after, truth[name]) < BOUND, name
