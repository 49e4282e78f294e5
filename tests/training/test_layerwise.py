"""Update orders and rates by layer: each against its definition in NumPy, step by step; reports, files and refusals."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reference as ref
import steepest as st
from helpers import assert_within, labeled, normal, reference_of, relative_error, state_of, targets_for, twin_of
from steepest.layers import Layer
from steepest.training._layerwise import RULES, UPDATE_ORDERS

ORDERS = UPDATE_ORDERS[1:]  # in which layers are updated one by one
STEPS, SEED, N_IN = 50, 5, 6
BATCHES = (16, 16, 5, 1, 16)  # rows of one minibatch and the next, over and over

SMALL = [st.Dense(16, "tanh"), st.Dense(9, "relu", bias=False), st.Dense(3)]
WHOLE = [
    st.Dense(16, bias=False), st.BatchNorm(), st.Activation("silu"), st.Dropout(0.2),
    st.Residual([st.LayerNorm(), st.Dense(24, "gelu"), st.Dropout(0.1), st.Dense(16)]), st.LayerNorm(), st.Dense(3),
]  # fmt: skip
EMBEDDED = [
    st.FeatureScale(0.7), st.PeriodicEmbedding(5, 4, sigma=0.3, columns=[4, 1]), st.Dense(12, "tanh"),
    st.PeriodicEmbedding(3, 2, "identity", 0.2, columns=[11, 0, 6]), st.Dense(3),
]  # fmt: skip
BINNED = [
    st.CategoryEmbedding([2, 4], 3, [3, 1]), st.PiecewiseLinearEmbedding(4, 3, columns=[9, 0]), st.Dense(12, "tanh"),
    st.PiecewiseLinearEmbedding(2, columns=[11]), st.Dense(3),
]  # fmt: skip
LAYERS: dict[str, list[Layer]] = {"small": SMALL, "whole": WHOLE, "embedded": EMBEDDED, "binned": BINNED}


def network(layers: Sequence[Layer], dtype: str = "float64") -> st.Network:
    return st.Network(N_IN, layers, seed=1, dtype=dtype)


def batch(step: int, loss: str = "mse") -> tuple[ref.Array, ref.Array]:
    rows = BATCHES[step % len(BATCHES)]
    return normal(step, (rows, N_IN)), targets_for(loss, step, rows, 3)


def reference(net: st.Network, optimizer: Any) -> tuple[ref.ReferenceNetwork, ref.Optimizer]:
    twin = twin_of(optimizer)
    if isinstance(optimizer, st.SGD):
        twin.fraction, twin.fraction_of = optimizer.fraction, optimizer.fraction_of
    return reference_of(net, SEED), twin


def follow(layers: Sequence[Layer], optimizer: Any, loss: str = "mse", rates: Any = None, **options: Any) -> None:
    """Fifty steps of both side by side: the costs of all updates, and the numbers that they end with."""
    order = options.get("update_order", "together")
    trainer = st.Trainer(network(layers), loss, optimizer, seed=SEED, layer_rates=rates, **options)
    net, mover = reference(trainer.network, optimizer)
    for step in range(STEPS):
        x, y = batch(step, loss)
        x = labeled(layers, x)
        mover.lr = optimizer.lr(step) if callable(optimizer.lr) else optimizer.lr
        if rates == "equal_effect" and step == 0:
            mover.rates = ref.equal_effect(net, x, y, loss, mover)
        elif rates == "front_first":  # from twice the rate for the first of very many to none, by equal steps
            names = list(dict.fromkeys(name.rpartition(".")[0] for name in net.parameters))
            mover.rates = {name: 2 - 2 * (i + 1) / (len(names) + 1) for i, name in enumerate(names)}
        elif isinstance(rates, dict):
            mover.rates = rates
        costs = [trainer.step(x, y)]
        if order == "together":
            true_costs = [net.step(x, y, loss, mover)]
        else:
            true_costs = net.step_by_layer(x, y, loss, mover, order)
            costs += [after for _, _, after in trainer.layer_costs]
            assert [before for _, before, _ in trainer.layer_costs] == costs[:-1]
        assert_within(costs, true_costs, 1e-10 * (1 + np.abs(true_costs)), f"costs of step {step}")
    tensors = trainer.network.parameters | trainer.network.buffers
    errors = {name: relative_error(tensors[name], true) for name, true in (net.parameters | net.buffers).items()}
    assert errors.keys() == tensors.keys()
    assert max(errors.values()) <= 1e-10, errors
    if rates == "equal_effect":
        assert_within([*trainer.rates.values()], [*mover.rates.values()], 1e-9 * max(mover.rates.values()), "rates")


MOVERS = [
    st.SGD(0.05),
    st.SGD(0.02, momentum=0.9, nesterov=True, weight_decay=0.01, clip_value=0.05),
    st.SGD(st.schedules.cosine(0.05, total=STEPS, warmup=5), momentum=0.9, weight_decay=0.01, clip_norm=0.3),
    st.AdamW(0.003, weight_decay=0.3),
    st.RMSprop(0.002, momentum=0.5, weight_decay=0.01, clip_norm=0.5),
]
PARTS = [
    st.SGD(0.05, fraction=0.1),
    st.SGD(0.05, fraction=0.1, fraction_of="network"),
    st.SGD(0.02, momentum=0.9, weight_decay=0.01, fraction=0.3),
    st.SGD(0.02, momentum=0.9, nesterov=True, weight_decay=0.01, fraction=0.25, fraction_of="network", clip_value=0.02),
    st.SGD(st.schedules.step(0.05, every=20), momentum=0.9, fraction=0.6, clip_norm=0.2),
]


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("layers", LAYERS)
class TestReference:
    """Each way is its definition."""

    @pytest.mark.parametrize("order", ORDERS)
    @pytest.mark.parametrize("optimizer", [*MOVERS, *(part for part in PARTS if part.fraction_of == "layer")], ids=str)
    def test_update_order(self, layers: str, optimizer: Any, order: str) -> None:
        follow(LAYERS[layers], optimizer, update_order=order)

    @pytest.mark.parametrize("loss", ["cross_entropy", "huber", "poisson"])
    def test_update_order_of_other_losses(self, layers: str, loss: str) -> None:
        follow(LAYERS[layers], st.SGD(0.02, momentum=0.9), loss, update_order="output_to_input")

    @pytest.mark.parametrize("optimizer", PARTS, ids=str)
    def test_fraction(self, layers: str, optimizer: Any) -> None:
        follow(LAYERS[layers], optimizer)

    @pytest.mark.parametrize("optimizer", [MOVERS[1], MOVERS[3], PARTS[2], PARTS[3]], ids=str)
    def test_rates_by_name(self, layers: str, optimizer: Any) -> None:
        follow(LAYERS[layers], optimizer, rates={"0": 0.25, list(network(LAYERS[layers])._trained_layers())[-2]: 0.0})

    @pytest.mark.parametrize("rule", RULES)
    @pytest.mark.parametrize("order", UPDATE_ORDERS)
    @pytest.mark.parametrize("optimizer", [MOVERS[0], MOVERS[2], MOVERS[3], PARTS[2]], ids=str)
    def test_rates_by_rule(self, layers: str, optimizer: Any, order: str, rule: str) -> None:
        follow(LAYERS[layers], optimizer, rates=rule, update_order=order)


def ties(rows: int, n_in: int, n_out: int) -> tuple[st.Network, ref.Array, ref.Array]:
    """A layer of which many gradients are the same, and many zero."""
    net = st.Network(n_in, [st.Dense(n_out)], dtype="float64")
    net.set_parameters({"0.weight": np.zeros((n_in, n_out))})
    x = np.ones((rows, n_in))
    x[:, ::3] = 0
    y = np.ones((rows, n_out))
    y[:, ::2] = -1
    return net, x, y


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.33, 0.5, 0.66, 0.7, 0.9, 0.999])
@pytest.mark.parametrize("of", ["layer", "network"])
@pytest.mark.parametrize("shape", [(4, 37, 41), (3, 1, 5), (2, 130, 1), (1, 64, 64)], ids=str)
def test_ties_go_to_the_lower_index(shape: tuple[int, int, int], of: str, fraction: float) -> None:
    net, x, y = ties(*shape)
    optimizer = st.SGD(0.5, momentum=0.9, fraction=fraction, fraction_of=of)
    trainer = st.Trainer(net, "mse", optimizer)
    twin, mover = reference(net, optimizer)
    mover.lr = 0.5
    assert trainer.step(x, y) == pytest.approx(twin.step(x, y, "mse", mover))
    for name, values in twin.parameters.items():
        np.testing.assert_allclose(net.parameters[name], values, rtol=1e-13, err_msg=name)


@pytest.mark.parametrize("of", ["layer", "network"])
def test_a_fraction_of_one_is_plain(of: str, dtype: str) -> None:
    plain, whole = (
        st.Trainer(network(WHOLE, dtype), "mse", st.SGD(0.05, momentum=0.9, weight_decay=0.01, **options))
        for options in ({}, {"fraction": 1.0, "fraction_of": of})
    )
    for step in range(5):
        assert plain.step(*batch(step)) == whole.step(*batch(step))
    assert state_of(plain) == state_of(whole)


def test_what_is_not_chosen_keeps_weight_and_velocity() -> None:
    net = st.Network(30, [st.Dense(40, "tanh"), st.Dense(7)], dtype="float64")
    trainer = st.Trainer(net, "mse", st.SGD(0.1, momentum=0.9, weight_decay=0.1, fraction=0.2))
    x, y = normal(1, (8, 30)), normal(2, (8, 7))
    for _ in range(3):
        before, velocity = net.parameters, trainer._core.state()
        trainer.step(x, y)
        for layer, n in (("0", 1240), ("1", 287)):
            names = [f"{layer}.weight", f"{layer}.bias"]
            moved = [net.parameters[name] != before[name] for name in names]
            turned = [trainer._core.state()[f"{name}.slot1"] != velocity[f"{name}.slot1"] for name in names]
            assert sum(int(part.sum()) for part in moved) == int(np.ceil(0.2 * n))
            assert all(np.array_equal(*pair) for pair in zip(moved, turned, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("optimizer", "options"),
    [(st.SGD(0.01, momentum=0.9, fraction=0.1, fraction_of=of), {}) for of in ("layer", "network")]
    + [(st.SGD(0.01, momentum=0.9, fraction=0.7, clip_norm=0.1), {"update_order": order}) for order in ORDERS]
    + [(st.Adam(0.001), {"update_order": order, "layer_rates": "equal_effect"}) for order in ORDERS],
    ids=str,
)
def test_same_bits_at_any_number_of_threads(optimizer: Any, options: dict[str, Any], dtype: str) -> None:
    before, found = st.get_num_threads(), []
    x, y = normal(1, (300, 90)), normal(2, (300, 5))
    try:
        for threads in (1, 2, 3):
            st.set_num_threads(threads)
            embedding = st.PeriodicEmbedding(9, 5, columns=[3, 77])
            block = st.Residual([embedding, st.Dense(200, "tanh")])
            layers = [st.FeatureScale(2.0), embedding, st.Dense(200, "relu"), st.BatchNorm(), block, st.Dense(5)]
            trainer = st.Trainer(st.Network(90, layers, dtype=dtype), "mse", optimizer, **options)
            history = trainer.fit(x, y, epochs=2, batch_size=128)
            costs = {name: history[name].tolist() for name in history if name != "seconds"}
            found.append((state_of(trainer), costs, trainer.rates))
    finally:
        st.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_threads_added_after_the_first_step() -> None:
    before = st.get_num_threads()
    made = []
    try:
        for first in (1, 3):
            st.set_num_threads(first)
            net = st.Network(300, [st.Dense(300, "relu"), st.Dense(4)])
            trainer = st.Trainer(net, "mse", st.SGD(0.01, momentum=0.9, fraction=0.2))
            for threads in (first, 3, 2):
                st.set_num_threads(threads)
                trainer.step(normal(1, (64, 300)), normal(2, (64, 4)))
            made.append(state_of(trainer))
    finally:
        st.set_num_threads(before)
    assert made[0] == made[1]


@pytest.mark.parametrize("order", ORDERS)
def test_history_has_the_costs_of_every_update(order: str) -> None:
    x, y, weight = normal(1, (40, N_IN)), normal(2, (40, 3)), np.linspace(0.5, 2, 40)
    trainer = st.Trainer(network(SMALL), "mse", st.SGD(0.05), update_order=order)
    single = copy.deepcopy(trainer)
    history = trainer.fit(x, y, epochs=2, batch_size=16, shuffle=False, sample_weight=weight)
    names = ["2", "1", "0"] if order == "output_to_input" else ["0", "1", "2"]
    columns = [f"cost_{when}_{name}" for name in names for when in ("before", "after")]
    assert list(history) == ["loss", "learning_rate", "seconds", *columns]
    assert np.array_equal(history["loss"], history[columns[0]])
    for epoch in range(2):
        total: Any = 0
        for start in range(0, 40, 16):
            rows = slice(start, start + 16)
            single.step(x[rows], y[rows], weight[rows])
            total = total + weight[rows].sum() * np.array([costs for _, *costs in single.layer_costs])
        recorded = np.array([history[name][epoch] for name in columns])
        np.testing.assert_allclose(recorded, (total / weight.sum()).ravel(), rtol=1e-12)
    assert history.n_epochs == 2
    assert [layer for layer, _, _ in trainer.layer_costs] == names


def test_together_has_no_layer_costs() -> None:
    trainer = st.Trainer(network(SMALL), "mse")
    assert "cost_before_0" not in trainer.fit(*batch(0), epochs=1)
    assert trainer.layer_costs == []


@pytest.mark.parametrize("order", ORDERS)
def test_one_layer_has_one_update(order: str) -> None:
    one, plain = (
        st.Trainer(network([st.Dense(3)]), "mse", st.Adam(0.01), update_order=way) for way in (order, "together")
    )
    for step in range(5):
        assert one.step(*batch(step)) == plain.step(*batch(step))
    assert state_of(one) == state_of(plain)


@pytest.mark.parametrize("order", ORDERS)
def test_frozen_layers_are_left_out(order: str) -> None:
    trainer = st.Trainer(network(SMALL), "mse", st.SGD(0.1), update_order=order)
    trainer.network.freeze("1")
    before = trainer.network.parameters["1.weight"]
    trainer.step(*batch(0))
    costs = {layer: (first, last) for layer, first, last in trainer.layer_costs}
    assert costs["1"][0] == costs["1"][1]
    assert costs["0"][1] < costs["0"][0]
    assert np.array_equal(trainer.network.parameters["1.weight"], before)


@pytest.mark.parametrize("order", ORDERS)
def test_a_cost_that_is_not_finite_after_an_update(order: str) -> None:
    x, y = batch(0)
    trainer = st.Trainer(network(SMALL), "mse", st.SGD(1e200), update_order=order)
    with pytest.raises(st.DivergedError, match="the loss is (inf|nan) in epoch 0, step 0"):
        trainer.step(x, y)
    assert trainer.n_steps == 0
    before = trainer.network.copy()
    with pytest.raises(st.DivergedError):
        trainer.fit(x, y, epochs=1)
    assert all(np.array_equal(a, before.parameters[name]) for name, a in trainer.network.parameters.items())


def test_rates_of_the_front() -> None:
    trainer = st.Trainer(network(WHOLE), "mse", layer_rates="front_first")
    assert list(trainer.rates) == ["0", "1", "4.0", "4.1", "4.3", "5", "6"]
    assert list(trainer.rates.values()) == [2 * (7 - layer) / 8 for layer in range(7)]
    by_name = st.Trainer(network(WHOLE), "mse", layer_rates=trainer.rates)
    for step in range(3):
        assert trainer.step(*batch(step)) == by_name.step(*batch(step))
    assert state_of(trainer) == state_of(by_name)


def test_rates_multiply_with_the_multipliers_of_the_network() -> None:
    both, one = network(SMALL), network(SMALL)
    both.set_lr_multipliers({"0": 0.5, "1": 0.0})
    one.set_lr_multipliers({"0": 0.25, "1": 0.0})
    for net, rates in ((both, {"0": 0.5, "1": 4.0}), (one, None)):
        trainer = st.Trainer(net, "mse", st.SGD(0.1), layer_rates=rates)
        trainer.step(*batch(0))
    assert both.lr_multipliers == {"0": 0.5, "1": 0.0}
    assert all(np.array_equal(values, one.parameters[name]) for name, values in both.parameters.items())


def test_updates_of_equal_effect_move_the_output_equally() -> None:
    """The vanishing gradients of sigmoids, undone; a rate so small that the first order is all."""
    layers = [st.Dense(16, "sigmoid"), st.Dense(16, "sigmoid"), st.Dense(16, "sigmoid"), st.Dense(3)]
    x, y = normal(1, (64, N_IN)), normal(2, (64, 3))
    trainer = st.Trainer(network(layers), "mse", st.SGD(1e-9), layer_rates="equal_effect")
    start = trainer.network.copy()
    trainer.step(x, y)
    moves = []
    for layer in "0123":
        alone = start.copy()
        own = {name: a for name, a in trainer.network.parameters.items() if name.startswith(layer)}
        alone.set_parameters(own)
        moves.append(np.linalg.norm(alone.predict(x) - start.predict(x)))
    assert max(moves) / min(moves) < 1.02
    assert trainer.rates["0"] > 100 * trainer.rates["3"]
    assert np.prod(list(trainer.rates.values())) == pytest.approx(1)


WAYS: list[tuple[Any, dict[str, Any]]] = [
    (st.SGD(0.05, momentum=0.9, fraction=0.2), {"update_order": "output_to_input", "layer_rates": {"0": 0.5}}),
    (st.SGD(0.05, fraction=0.2, fraction_of="network"), {"layer_rates": "front_first"}),
    (st.Adam(0.01), {"update_order": "input_to_output", "layer_rates": "equal_effect"}),
]


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize(("optimizer", "options"), WAYS, ids=str)
def test_ways_are_saved_and_copied(tmp_path: Path, optimizer: Any, options: dict[str, Any], steps: int) -> None:
    trainer = st.Trainer(network(WHOLE), "mse", optimizer, seed=3, **options)
    for step in range(steps):
        trainer.step(*batch(step))
    trainer.save(tmp_path / "run")
    others = [st.Trainer.resume(tmp_path / "run"), pickle.loads(pickle.dumps(trainer)), copy.deepcopy(trainer)]
    for step in range(3, 6):
        trainer.step(*batch(step))
    for other in others:
        assert repr(other) == repr(trainer)
        assert (other.update_order, other.layer_rates) == (trainer.update_order, trainer.layer_rates)
        for step in range(3, 6):
            other.step(*batch(step))
        assert state_of(other) == state_of(trainer)
        assert other.rates == trainer.rates
    assert st.load(tmp_path / "run").n_in == N_IN


def test_repr_names_what_is_not_usual() -> None:
    plain = repr(st.Trainer(network(SMALL), "mse", st.SGD(0.1)))
    assert "update_order" not in plain and "layer_rates" not in plain and "fraction" not in plain
    optimizer, options = WAYS[0]
    text = repr(st.Trainer(network(SMALL), "mse", optimizer, **options))
    assert "SGD(lr=0.05, momentum=0.9, fraction=0.2)" in text
    assert text.endswith("seed=0, update_order='output_to_input', layer_rates={'0': 0.5})")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: st.SGD(fraction=0.0), ValueError, "fraction is 0.0: expected a finite number > 0 and <= 1"),
        (lambda: st.SGD(fraction=1.5), ValueError, "fraction is 1.5"),
        (lambda: st.SGD(fraction="all"), TypeError, "fraction is 'all'"),
        (lambda: st.SGD(fraction_of="all"), ValueError, "fraction_of is 'all': expected one of layer, network"),
        (lambda: trainer(update_order="up"), ValueError, "update_order is 'up': expected one of together, output_to"),
        (lambda: trainer(layer_rates="last"), ValueError, "layer_rates is 'last': expected one of front_first, equal_"),
        (lambda: trainer(layer_rates=0.1), TypeError, "layer_rates is 0.1: expected a mapping such as {'0': 0.1} or"),
        (lambda: trainer(layer_rates={"3": 1}), ValueError, "layer_rates has '3', no layer with parameters: expected"),
        (
            lambda: trainer(layer_rates={"0": -1}),
            ValueError,
            r"layer_rates\['0'\] is -1: expected a finite number >= 0",
        ),
        (lambda: trainer(layer_rates={"0": "x"}), TypeError, r"layer_rates\['0'\] is 'x'"),
        (
            lambda: trainer(st.SGD(fraction=0.1, fraction_of="network"), update_order="output_to_input"),
            ValueError,
            "update_order is 'output_to_input': expected fraction_of='layer' with it, found 'network'",
        ),
        (
            lambda: trainer(update_order="input_to_output").apply({}),
            ValueError,
            "update_order is 'input_to_output': apply expects 'together'",
        ),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def trainer(optimizer: Any = None, **options: Any) -> st.Trainer:
    return st.Trainer(network(SMALL), "mse", optimizer, **options)


def test_a_damaged_checkpoint_is_refused() -> None:
    made = trainer(layer_rates="equal_effect")
    made.step(*batch(0))
    rebuild, (net, options, state, _) = made.__reduce__()[:2]
    for rates in (np.ones(2), np.array([1.0, -1.0, 1.0])):
        with pytest.raises(ValueError, match="argument|layer_rates"):
            rebuild(net, options, state | {"layer_rates": rates})


def test_apply_moves_the_same_fraction() -> None:
    applied, stepped = (trainer(st.SGD(0.1, momentum=0.9, fraction=0.3)) for _ in range(2))
    x, y = batch(0)
    for _ in range(3):
        applied.network.backward(ref.mean_loss("mse", applied.network.forward(x), y)[1])
        applied.apply(applied.network.gradients)
        stepped.step(x, y)
    for name, values in stepped.network.parameters.items():
        assert_within(applied.network.parameters[name], values, 1e-12, name)
