"""Steps from the caller's own gradients, frozen layers, learning rates by layer, and target networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal, state_of

OPTIMIZERS = [st.SGD(0.1, momentum=0.9), st.Adam(0.01), st.AdamW(0.01, weight_decay=0.1), st.RMSprop(0.01)]
X, Y = normal(1, (16, 5)), normal(2, (16, 3))


def network(dtype: str = "float64", seed: int = 0) -> st.Network:
    layers = [st.Dense(9, "tanh"), st.BatchNorm(), st.Residual([st.LayerNorm(), st.Dense(9)]), st.Dense(3)]
    return st.Network(5, layers, seed=seed, dtype=dtype)


def own_step(trainer: st.Trainer) -> None:
    net = trainer.network
    y = net.forward(X)
    net.backward(2 * (y - Y) / y.size)
    trainer.apply(net.gradients)


@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.05}, {"clip_value": 0.01}], ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_apply_takes_the_step_that_step_takes(optimizer: Any, clip: dict[str, float]) -> None:
    optimizer = type(optimizer)(**{**vars(optimizer), **clip})
    own, built_in = (st.Trainer(network(), "mse", optimizer) for _ in range(2))
    for _ in range(5):
        own_step(own)
        built_in.step(X, Y)
    assert own.n_steps == 5
    for name, value in built_in.network.parameters.items():
        np.testing.assert_allclose(own.network.parameters[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_apply_follows_a_schedule() -> None:
    trainer = st.Trainer(network(), "mse", st.SGD(lambda step: 0.1 if step == 0 else 0.0))
    own_step(trainer)
    before = trainer.network.parameters
    own_step(trainer)
    for name, value in before.items():
        np.testing.assert_array_equal(trainer.network.parameters[name], value)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda g: g.pop("3.bias"), "gradients has no '3.bias'"),
        (lambda g: g.update(extra=np.zeros(1)), "gradients has 11 entries: expected one for each of the 10 parameters"),
        (lambda g: g.update({"3.bias": np.zeros(4)}), r"gradients\['3.bias'\] has shape \(4,\), expected \(3,\)"),
        (lambda g: g.update({"3.bias": np.full(3, np.nan)}), r"gradients\['3.bias'\]"),
    ],
)
def test_apply_refuses_wrong_gradients(spoil: Any, message: str) -> None:
    trainer = st.Trainer(network(), "mse", st.Adam(0.01))
    trainer.network.forward(X)
    trainer.network.backward(Y)
    gradients = dict(trainer.network.gradients)
    spoil(gradients)
    before = state_of(trainer)
    with pytest.raises(ValueError, match=message):
        trainer.apply(gradients)
    np.testing.assert_equal(state_of(trainer), before)


@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.05}], ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_frozen_layers_stay(optimizer: Any, clip: dict[str, float]) -> None:
    net = network()
    net.freeze("0", "1", "2.0", "2.1")
    before = net.parameters
    trainer = st.Trainer(net, "mse", type(optimizer)(**{**vars(optimizer), **clip}))
    trainer.fit(X, Y, epochs=2, batch_size=8)
    own_step(trainer)
    for name, value in net.parameters.items():
        assert np.array_equal(value, before[name]) == (not name.startswith("3.")), name
    net.unfreeze("0", "1", "2.0", "2.1")
    assert net.lr_multipliers == {}
    trainer.step(X, Y)
    for name, value in net.parameters.items():
        assert not np.array_equal(value, before[name]), name


@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.05}], ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_embeddings_freeze_and_slow_down_with_their_frequencies(optimizer: Any, clip: dict[str, float]) -> None:
    layers = [st.Dense(4), st.PeriodicEmbedding(3, 2, sigma=0.3), st.Dense(3)]
    nets = [st.Network(5, layers, dtype="float64") for _ in range(3)]
    nets[0].freeze("1")
    nets[1].set_lr_multipliers({"0": 0.1, "1": 0.1, "2": 0.1})
    before = nets[0].parameters
    rates = (optimizer.lr, optimizer.lr, 0.1 * optimizer.lr)
    for net, lr in zip(nets, rates, strict=True):
        trainer = st.Trainer(net, "mse", type(optimizer)(**{**vars(optimizer), **clip, "lr": lr}))
        for _ in range(2):
            trainer.step(X, Y)
            own_step(trainer)
    frozen, scaled, slow = (net.parameters for net in nets)
    for name, value in before.items():
        assert np.array_equal(frozen[name], value) == name.startswith("1."), name
        assert not np.array_equal(slow[name], value), name
        np.testing.assert_allclose(scaled[name], slow[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.05}], ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_the_rate_of_a_feature_scale_is_its_own_times_that_of_its_group(
    optimizer: Any, clip: dict[str, float], tmp_path: Path
) -> None:
    def scales(own: float, group: float) -> st.Network:
        net = st.Network(5, [st.FeatureScale(own), st.Dense(3)], dtype="float64")
        net.set_lr_multipliers({"0": group})
        return net

    nets = [scales(6.0, 1.0), scales(1.0, 6.0), scales(3.0, 2.0), scales(6.0, 0.0)]
    assert [net.lr_multipliers for net in nets] == [{}, {"0": 6.0}, {"0": 2.0}, {"0": 0.0}]
    nets[2].save(tmp_path / "net.safetensors")
    nets += [nets[2].copy(), st.load(tmp_path / "net.safetensors")]
    made = []
    for net in nets:
        trainer = st.Trainer(net, "mse", type(optimizer)(**{**vars(optimizer), **clip}))
        for _ in range(2):
            trainer.step(X, Y)
            own_step(trainer)
        made.append(net.parameters["0.scale"])
    assert not np.array_equal(made[0], np.ones((1, 5))) and np.array_equal(made[3], np.ones((1, 5)))
    for other in (made[1], made[2], *made[4:]):
        np.testing.assert_array_equal(other, made[0])


def test_clipping_by_norm_leaves_frozen_gradients_out() -> None:
    nets = network(), network()
    for net in nets:
        net.freeze("0", "1", "2.0", "2.1")
    clipped, free = (
        st.Trainer(net, "mse", st.SGD(1.0, clip_norm=c)) for net, c in zip(nets, (0.01, None), strict=True)
    )
    before = nets[0].parameters
    clipped.step(X, Y)
    free.step(X, Y)
    moves = [np.concatenate([(net.parameters[n] - before[n]).ravel() for n in before]) for net in nets]
    np.testing.assert_allclose(np.linalg.norm(moves[0]), 0.01, rtol=1e-9)
    np.testing.assert_allclose(moves[0] * np.linalg.norm(moves[1]), moves[1] * 0.01, atol=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_multipliers_scale_a_layers_learning_rate(optimizer: Any) -> None:
    slow, tenth = (
        st.Trainer(network(), "mse", type(optimizer)(**{**vars(optimizer), "lr": lr})) for lr in (0.003, 0.03)
    )
    tenth.network.set_lr_multipliers({"0": 0.1, "2.0": 0.1, "2.1": 0.1, "1": 0.1, "3": 0.1})
    for _ in range(3):
        slow.step(X, Y)
        tenth.step(X, Y)
    for name, value in slow.network.parameters.items():
        np.testing.assert_allclose(tenth.network.parameters[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_multipliers_are_kept_with_the_network(tmp_path: Path) -> None:
    net = network()
    net.set_lr_multipliers({"0": 0.5, "2.1": 0})
    net.save(tmp_path / "net.safetensors")
    for other in (net.copy(), st.load(tmp_path / "net.safetensors")):
        assert other.lr_multipliers == {"0": 0.5, "2.1": 0.0}
        before = other.parameters["2.1.weight"]
        st.Trainer(other, "mse").step(X, Y)
        np.testing.assert_array_equal(other.parameters["2.1.weight"], before)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"7": 1.0}, "no layer '7' with parameters: expected one of 0, 1, 2.0, 2.1, 3"),
        ({"0": -1.0}, "multiplier of layer 0"),
    ],
)
def test_multipliers_refused(names: dict[str, float], message: str) -> None:
    net = network()
    with pytest.raises(ValueError, match=message):
        net.set_lr_multipliers({"3": 0.0} | names)
    assert net.lr_multipliers == {}


def test_soft_update_moves_a_share_of_the_way() -> None:
    target, source = network(seed=1), network(seed=2)
    source.forward(X)  # moves the running statistics
    start, end = target.parameters, source.parameters
    target.soft_update(source, 0.25)
    for name, value in target.parameters.items():
        np.testing.assert_allclose(value, 0.75 * start[name] + 0.25 * end[name], rtol=1e-12, atol=1e-15)
    np.testing.assert_equal(target.buffers, source.buffers)
    target.soft_update(source, 1)
    np.testing.assert_allclose(target.predict(X), source.predict(X), rtol=1e-12)


def test_soft_update_refuses_another_architecture() -> None:
    net = network()
    before = net.parameters
    with pytest.raises(ValueError, match="expected the architecture of"):
        net.soft_update(st.Network(5, [st.Dense(3)], dtype="float64"), 0.5)
    with pytest.raises(ValueError, match="tau"):
        net.soft_update(net.copy(), 1.5)
    np.testing.assert_equal(net.parameters, before)
