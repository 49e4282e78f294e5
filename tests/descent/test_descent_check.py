"""The check of backpropagation: right where the network is right, and wrong where it was broken on purpose."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal, shaken, targets_for
from steepest import descent
from steepest.descent import _check, _cost
from steepest.layers import ACTIVATIONS, Layer, iter_nodes
from steepest.training import LOSSES

LAYERS = {
    "dense": [st.Dense(5)],
    "no bias": [st.Dense(5, bias=False), st.Dense(2)],
    "dropout": [st.Dropout(0.3), st.Dense(6, "tanh"), st.Dropout(0.5), st.Dense(2)],
    "batch norm": [st.BatchNorm(), st.Dense(5), st.BatchNorm(), st.Activation("tanh"), st.Dense(2)],
    "layer norm": [st.LayerNorm(), st.Dense(5, "tanh"), st.LayerNorm(), st.Dense(2)],
    "scale": [st.FeatureScale(3.0), st.Dense(5, "tanh"), st.FeatureScale(), st.Dense(2)],
    "residual": [st.Dense(4), st.Residual([st.LayerNorm(), st.Residual([st.Dense(4, "silu")]), st.Dense(4)])],
    "piecewise linear": [st.PiecewiseLinear(4, [2]), st.Dense(5, "tanh"), st.BatchNorm(), st.Dense(2)],
    "bins": [st.PiecewiseLinearEmbedding(3, 2), st.Dense(4, "tanh"), st.PiecewiseLinearEmbedding(2), st.Dense(2)],
    "labels": [st.CategoryEmbedding(2, 3, [1]), st.Dense(4, "tanh"), st.Dense(2)],
    "embedding": [st.PeriodicEmbedding(3, 2), st.Dense(4), st.PeriodicEmbedding(2, 2, columns=[1]), st.Dense(2)],
}


def make(layers: list[Any], dtype: str = "float64") -> st.Network:
    """A network with no special weights."""
    return shaken(st.Network(3, layers, seed=1, dtype=dtype), seed=5)


def test_every_kind_of_layer_is_checked() -> None:
    kinds = {kind for kind in vars(st).values() if isinstance(kind, type) and issubclass(kind, Layer)}
    assert kinds == {type(node.layer) for layers in LAYERS.values() for node in iter_nodes(layers, 3)}


@pytest.mark.parametrize("rows", [1, 2, 9])
@pytest.mark.parametrize("kind", LAYERS)
def test_layers_agree(kind: str, rows: int) -> None:
    net = make(LAYERS[kind])
    found = descent.check(net, normal(6, (rows, 3)), targets_for("mse", 7, rows, net.n_out), "mse")
    assert found.ok, found
    assert found.error <= 1e-7
    assert len(found.entries) == net.n_parameters  # none is larger than what is compared whole
    assert found.wrong_layers == ()


@pytest.mark.parametrize("seed", range(3))  # with bends of relu and leaky_relu here and there
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_agree(activation: str, seed: int) -> None:
    net = make([st.Dense(8, activation), st.Dense(7), st.Activation(activation), st.Dense(2)])
    found = descent.check(net, normal(seed, (40, 3)), targets_for("mse", 7, 40, 2), "mse")
    assert found.ok and found.error <= 1e-7, found


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_agree(loss: str, weighted: bool) -> None:
    net = make([st.Dense(6, "tanh"), st.Dense(4)], "float32")
    trainer = st.Trainer(net, loss, quantile=0.8, delta=0.7)
    weight = np.linspace(0, 2, 50) if weighted else None
    before = net.parameters
    found = descent.check(net, normal(6, (50, 3)), targets_for(loss, 7, 50, 4), trainer, sample_weight=weight)
    assert found.ok and found.error <= 1e-7, found
    assert all(np.array_equal(value, before[name]) for name, value in net.parameters.items())


@pytest.mark.parametrize("layer", ["0", "1", "2", "3.0", "4"])
@pytest.mark.parametrize("error", ["sign", "scale", "transposed place", "one entry"])
def test_a_broken_gradient_is_found(layer: str, error: str) -> None:
    net = make([st.Dense(5, "tanh"), st.BatchNorm(), st.Dense(5, "relu"), st.Residual([st.Dense(5)]), st.Dense(3)])
    x, y = normal(6, (12, 3)), targets_for("cross_entropy", 7, 12, 3)
    whole = descent.check(net, x, y, "cross_entropy")
    assert whole.ok, whole
    gradients = {name: np.zeros(value.shape) for name, value in net.parameters.items()}
    for entry in whole.entries:
        gradients[entry.name][entry.index] = entry.gradient
    broken = gradients[f"{layer}.weight"]
    if error == "sign":
        broken *= -1
    elif error == "scale":
        broken *= 1.001
    elif error == "transposed place":
        broken[...] = np.roll(broken, 1, axis=-1)
    else:
        broken.flat[np.abs(broken).argmax()] += 1e-4
    found = descent.check(net, x, y, "cross_entropy", gradients=gradients)
    assert not found.ok
    assert found.worst_layer == layer
    assert found.wrong_layers == (layer,)
    assert f"wrong in layer {layer}, against" in str(found)
    assert [entry.error for entry in found.entries] == sorted((e.error for e in found.entries), reverse=True)
    assert found.entries[0].name == f"{layer}.weight"
    assert all(found.layers[name] <= 1e-7 for name in found.layers if name != layer)


def test_a_wrong_pass_is_wrong_in_all_layers_before_it() -> None:
    """As if the derivative of the second activation were wrong: its own dense layer, and the one before."""
    net = make([st.Dense(5, "tanh"), st.Dense(4, "tanh"), st.Dense(2)])
    x, y = normal(6, (12, 3)), targets_for("mse", 7, 12, 2)
    values = net.parameters
    h1 = np.tanh(x @ values["0.weight"] + values["0.bias"])
    h2 = np.tanh(h1 @ values["1.weight"] + values["1.bias"])
    d = 2 * (h2 @ values["2.weight"] + values["2.bias"] - y) / y.size
    gradients = {"2.weight": h2.T @ d, "2.bias": d.sum(0)}
    d = d @ values["2.weight"].T * (1 - h2)  # and not 1 - h2**2
    gradients |= {"1.weight": h1.T @ d, "1.bias": d.sum(0)}
    d = d @ values["1.weight"].T * (1 - h1**2)
    gradients |= {"0.weight": x.T @ d, "0.bias": d.sum(0)}
    assert descent.check(net, x, y, "mse", gradients=gradients).wrong_layers == ("1", "0")


def test_a_gradient_of_nothing_but_rounding_is_no_error() -> None:
    """That of a bias before a batch normalization, which takes it off again."""
    net = make([st.Dense(5), st.BatchNorm(), st.Dense(2)])
    found = descent.check(net, normal(6, (12, 3)), targets_for("mse", 7, 12, 2), "mse")
    assert found.ok, found
    assert max(abs(entry.gradient) for entry in found.entries if entry.name == "0.bias") < 1e-15


def test_the_bend_of_a_relu_is_no_error() -> None:
    """A unit 1e-3 before its bend: the long step reaches over it, a short one does not."""
    net = st.Network(1, [st.Dense(1, "relu", init=[[1.0]]), st.Dense(1, init=[[1.0]])], dtype="float64")
    net.set_parameters({"0.bias": [5e-4]})
    found = descent.check(net, [[0.0]], [1.0], "mse")
    assert found.ok, found
    assert {entry.difference for entry in found.entries if entry.name == "0.bias"} != {0.0}


def test_entries_are_drawn_by_the_seed() -> None:
    net = make([st.Dense(50, "tanh"), st.Dense(2)])
    x, y = normal(6, (4, 3)), targets_for("mse", 7, 4, 2)

    def places(**options: int) -> set[tuple[str, tuple[int, ...]]]:
        return {(entry.name, entry.index) for entry in descent.check(net, x, y, "mse", **options).entries}

    first = places(entries=20)
    assert len(first) == 20 + 20 + 20 + 2
    assert places(entries=20) == first != places(entries=20, seed=1)
    assert len(places(entries=150)) == net.n_parameters


def log_cosh(y: Any, prediction: Any) -> tuple[Any, Any]:
    d = prediction - y.reshape(prediction.shape)
    return np.log(np.cosh(d)).mean(axis=1), np.tanh(d) / d.size


def variance(y: Any, prediction: Any) -> tuple[Any, Any]:
    """The spread of the errors: a loss of all rows together."""
    d = prediction - y.reshape(prediction.shape)
    d = d - d.mean(axis=0)
    return float(np.mean(d**2)), 2 * d / d.size


def too_steep(y: Any, prediction: Any) -> tuple[Any, Any]:
    loss, gradient = log_cosh(y, prediction)
    return loss, 1.01 * gradient


@pytest.mark.parametrize("given", ["function", "trainer"])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("loss", [log_cosh, variance])
def test_r25_a_loss_of_ones_own_is_checked(loss: Any, kind: str, given: str) -> None:
    net = make(LAYERS[kind], "float32")
    x, y = normal(6, (9, 3)), targets_for("mse", 7, 9, net.n_out)
    found = descent.check(net, x, y, loss if given == "function" else st.Trainer(net, loss))
    assert found.ok and len(found.entries) == net.n_parameters, found
    if loss is log_cosh:
        assert descent.check(net, x, y, loss, sample_weight=np.linspace(0, 1, 9)).ok


def test_r25_a_wrong_gradient_of_a_loss_is_found() -> None:
    net = make([st.Dense(5, "tanh"), st.Dense(2)])
    x, y = normal(6, (9, 3)), targets_for("mse", 7, 9, 2)
    found = descent.check(net, x, y, st.Trainer(net, too_steep))
    assert not found.ok and found.wrong_layers == ("1", "0")
    assert found.error == pytest.approx(0.01, rel=0.05)


def test_r25_every_view_takes_a_loss_of_ones_own() -> None:
    """As `Trainer.evaluate` measures it, of all rows at once."""
    net = make([st.Dense(5, "tanh"), st.Dense(2)])
    x, y = normal(6, (5000, 3)), targets_for("mse", 7, 5000, 2)
    trainer = st.Trainer(net, variance)
    cost = trainer.evaluate(x, y)["loss"]
    found = descent.contributions(net, x, y, trainer)
    assert found.cost == pytest.approx(cost, rel=1e-12)
    slope = descent.slope(net, x, y, variance, "0.weight", (1, 2), values=3, span=1e-4)
    assert slope.cost == pytest.approx(cost, rel=1e-12)
    assert slope.tangent == pytest.approx(float(np.diff(slope.costs[[0, 2]])[0]) / 2e-4, rel=1e-6)
    assert descent.surface(net, x[:50], y[:50], trainer, steps=3).cost == trainer.evaluate(x[:50], y[:50])["loss"]
    recorder = descent.Recorder(every=1, rows=5000)
    trainer.fit(x, y, epochs=1, callbacks=[recorder])
    assert recorder.costs[0] == pytest.approx(cost, rel=1e-12)
    with pytest.raises(ValueError, match="loss is the function variance: expected one with rules: mse, mae"):
        descent.diagnose(recorder)


@pytest.mark.parametrize("failing", ["differentiate", "_at"])
def test_r08_ctrl_c_does_not_wait_for_a_pass_over_a_large_batch(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pass, which cannot stop in the middle, is left to end by itself."""
    inside, end = threading.Event(), threading.Event()

    def interruptible(trainer: Any, function: Any, x: Any) -> Any:
        def endless() -> Any:
            inside.set()
            end.wait()
            return function()

        return run(trainer, endless if failing in function.__qualname__ else function, x)

    run = _cost.interruptible
    for module in (_cost, _check):
        monkeypatch.setattr(module, "interruptible", interruptible)
    monkeypatch.setattr(_cost, "WORK", 0)
    net = make([st.Dense(4, "tanh"), st.Dense(2)])
    before = net.parameters

    def press() -> None:
        inside.wait()
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            descent.check(net, normal(6, (9, 3)), targets_for("mse", 7, 9, 2), "mse")
        assert not end.is_set()
    finally:
        end.set()
        pressing.join()
    assert all(np.array_equal(value, before[name]) for name, value in net.parameters.items())


def test_r08_a_large_batch_is_checked_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    net = make(LAYERS["dropout"])
    x, y = normal(6, (9, 3)), targets_for("mse", 7, 9, 2)
    here = descent.check(net, x, y, "mse")
    monkeypatch.setattr(_cost, "WORK", 0)
    assert descent.check(net, x, y, "mse").entries == here.entries
    with pytest.raises(ValueError, match="x has shape"):
        descent.check(net, x[:, :2], y, "mse")


def test_what_is_refused() -> None:
    net = make([st.Dense(2)])
    x, y = normal(6, (4, 3)), targets_for("mse", 7, 4, 2)
    good = {name: np.zeros(value.shape) for name, value in net.parameters.items()}
    for options, message in (
        ({"gradients": {}}, "gradients has : expected 0.weight, 0.bias"),
        ({"gradients": good | {"0.bias": [1]}}, r"gradients\['0.bias'\] has the shape \(1,\): expected \(2,\)"),
        ({"gradients": good | {"0.bias": [1, np.inf]}}, r"gradients\['0.bias'\] has numbers that are not finite"),
        ({"entries": 0}, "entries is 0: expected a whole number >= 1"),
    ):
        with pytest.raises(ValueError, match=message):
            descent.check(net, x, y, "mse", **options)
    with pytest.raises(ValueError, match="loss is 'hinge'"):
        descent.check(net, x, y, "hinge")
