"""Checkpoints are a stranger's: what no training comes to is refused by file and entry, as constructors would."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal, state_of
from steepest import files, schedules

X, Y = normal(0, (12, 3)), normal(1, (12, 2))


def trainer(optimizer: Any = None, **options: Any) -> st.Trainer:
    """A trainer within a group of batches, with averages."""
    options = {"accumulate": 3, "ema": 0.9, "seed": 2} | options
    own = st.Trainer(st.Network(3, [st.Dense(4, "tanh"), st.Dense(2)], seed=1), "mse", optimizer, **options)
    for _ in range(5):
        own.step(X, Y)
    return own


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint."""
    trainer().save(tmp_path / "run")
    return tmp_path / "run"


def refused(path: Path, message: str, tensors: Any = None, change: Callable[[Any], object] | None = None) -> None:
    """Assert that a checkpoint with other tensors, or metadata, is refused by its name, and by this message."""
    found, metadata = files.read_model(path)
    if change is not None:
        change(metadata["trainer"])
    files.write_model(path, found | (tensors or {}), metadata)
    with pytest.raises(ValueError) as caught:
        st.Trainer.resume(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and message in text, text
    assert "cast" not in text and "__init__" not in text and "unpack" not in text, text


def whole(value: int) -> Any:
    return np.array(value, np.uint64)


def real(value: float) -> Any:
    return np.array(value, np.float64)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("learning_rate", real(-1), "is -1.0: expected a finite number >= 0"),
        ("learning_rate", real(np.nan), "is nan: expected a finite number >= 0"),
        ("learning_rate", real(np.inf), "is inf: expected a finite number >= 0"),
        ("learning_rate", np.array(0.1, np.float32), "is float32 of shape (): expected one float64"),
        ("learning_rate", np.array([0.1]), "is float64 of shape (1,): expected one float64"),
        ("n_steps", np.array(-1, np.int64), "is int64 of shape (): expected one uint64"),
        ("n_steps", real(3.0), "is float64 of shape (): expected one uint64"),
        ("n_steps", whole(2**63), f"is {2**63}: expected a whole number >= 0 and < {2**63}"),
        ("n_steps", np.zeros(0, np.uint64), "is uint64 of shape (0,): expected one uint64"),
        ("epoch", whole(2**32), f"is {2**32}: expected a whole number >= 0 and < {2**32}"),
        ("n_averaged", whole(2), "is 2: expected at most n_steps"),
        ("group.batches", whole(3), "is 3: expected fewer than accumulate, 3"),
        ("group.batches", whole(0), ".first, .total are 12.0, 24.0: not the weights of 0 batches"),
        ("group.batches", whole(1), ".first, .total are 12.0, 24.0: not the weights of 1 batches"),
        ("group.first", real(0), ".first, .total are 0.0, 24.0"),
        ("group.first", real(-1), "is -1.0: expected a finite number >= 0"),
        ("group.first", real(np.nan), "is nan: expected a finite number >= 0"),
        ("group.total", real(3), ".first, .total are 12.0, 3.0"),
        ("group.total", real(np.inf), "is inf: expected a finite number >= 0"),
        ("layer_rates", np.ones(2), "the state has 'layer_rates', as no such trainer does"),
        ("other", real(1), "the state has 'other', as no such trainer does"),
        ("0.weight.other", np.ones((3, 4), np.float32), "the state has '0.weight.other'"),
    ],
)  # fmt: skip
def test_r16_no_counter_that_no_training_comes_to(path: Path, name: str, value: Any, message: str) -> None:
    refused(path, message, {f"trainer.{name}": value})


@pytest.mark.parametrize("optimizer", [st.Adam(0.1), st.RMSprop(0.1, momentum=0.5), st.SGD(0.1, momentum=0.5)])
def test_r16_no_slot_that_no_training_comes_to(optimizer: Any, path: Path) -> None:
    trainer(optimizer).save(path)
    tensors, metadata = files.read_model(path)
    kinds = set()
    for name, array in tensors.items():
        kind = name.rpartition(".")[2]
        if not name.startswith("trainer.") or kind not in ("slot1", "slot2", "average", "sum"):
            continue
        kinds.add(kind)
        squares = kind == optimizer.squares
        for value in (np.nan, -np.inf, *([-1e-3] if squares else [np.inf])):
            damaged = array.copy()
            damaged.flat[-1] = value
            refused(path, f"{name} has a number ", {name: damaged})
        refused(path, f"{name} is float64 of shape", {name: array.astype(np.float64)})
        files.write_model(path, tensors, metadata)
    assert kinds == {"slot1", "average", "sum"} | ({"slot2"} if optimizer.squares else set())


def test_r16_means_of_squares_may_be_beyond_the_largest_number(path: Path) -> None:
    own = st.Trainer(st.Network(1, [st.Dense(1, init="zeros")]), "mse", st.Adam(0.1))
    own.step([[1e19]], [1.0])  # whose gradient's square no float32 holds
    assert np.isposinf(own._core.state()["0.weight.slot2"]).all() and np.isfinite(own.network.predict([[1.0]])).all()
    own.save(path)
    for other in (st.Trainer.resume(path), copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
        assert state_of(other) == state_of(own)


def test_r16_no_running_variance_below_zero(path: Path) -> None:
    net = st.Network(2, [st.BatchNorm(), st.Dense(1)])
    net.save(path)
    tensors, metadata = files.read_model(path)
    negative = np.array([1, -1], np.float32)
    files.write_model(path, tensors | {"0.running_var": negative}, metadata)
    with pytest.raises(ValueError, match=r"run: 0\.running_var has a number below 0: expected variances"):
        st.load(path)
    before = net._core.state()
    with pytest.raises(ValueError, match=r"0\.running_var has a number below 0"):
        net.set_parameters({"1.weight": np.ones((2, 1)), "0.running_var": negative})
    assert np.array_equal(net._core.state(), before)


@pytest.mark.parametrize(
    ("optimizer", "field", "value", "message"),
    [
        (st.Adam(0.1), "beta2", 2, "beta2 is 2: expected a finite number >= 0 and < 1"),
        (st.Adam(0.1), "beta1", -0.5, "beta1 is -0.5"),
        (st.Adam(0.1), "eps", 0, "eps is 0: expected a finite number > 0"),
        (st.Adam(0.1), "eps", True, "eps is True"),
        (st.Adam(0.1), "lr", -1, "lr is -1: expected a finite number >= 0"),
        (st.Adam(0.1), "lr", None, "lr is None"),
        (st.AdamW(0.1), "weight_decay", -1, "weight_decay is -1"),
        (st.AdamW(0.1), "clip_norm", 0, "clip_norm is 0: expected a finite number > 0"),
        (st.RMSprop(0.1), "alpha", 1, "alpha is 1"),
        (st.SGD(0.1), "momentum", 1, "momentum is 1"),
        (st.SGD(0.1), "nesterov", True, "nesterov is True: expected a momentum > 0"),
        (st.SGD(0.1), "fraction", 0, "fraction is 0"),
        (st.SGD(0.1), "fraction_of", "half", "fraction_of is 'half'"),
        (st.SGD(0.1), "speed", 1, "speed"),
    ],
)
def test_r16_settings_of_optimizers_are_checked(
    optimizer: Any, field: str, value: Any, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    trainer(optimizer).save(path)
    found, metadata = files.read_model(path)
    metadata["trainer"]["optimizer"][field] = value
    files.write_model(path, found, metadata)
    with pytest.raises(ValueError) as caught:
        st.Trainer.resume(path)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)


@pytest.mark.parametrize(
    ("schedule", "field", "value", "message"),
    [
        (schedules.step(0.1, every=5), "lr", -1, "lr is -1"),
        (schedules.step(0.1, every=5), "every", 0, "every is 0"),
        (schedules.step(0.1, every=5), "factor", 0, "factor is 0"),
        (schedules.step(0.1, every=5), "unit", "days", "unit is 'days'"),
        (schedules.exponential(0.1, factor=0.9), "epoch_steps", -3, "epoch_steps is -3"),
        (schedules.cosine(0.1), "span", [5], "span is [5]: expected 2 values"),
        (schedules.cosine(0.1), "span", 5, "span is 5: expected 2 values"),
        (schedules.cosine(0.1), "span", [0, 0], "span is 0"),
        (schedules.cosine(0.1), "final", -1, "final is -1"),
        (schedules.one_cycle(0.1), "rise", 1, "rise is 1"),
        (schedules.plateau(0.1), "state", [0.1], "state is [0.1]: expected 4 values"),
        (schedules.plateau(0.1), "state", [-0.1, None, 0, 0], "state[0] is -0.1"),
        (schedules.plateau(0.1), "state", [0.1, None, 0.5, 0], "state[2] is 0.5"),
        (schedules.plateau(0.1), "monitor", 3, "monitor is 3: expected text"),
        (schedules.plateau(0.1), "mode", "up", "mode is 'up'"),
    ],
)
def test_r16_settings_of_schedules_are_checked(schedule: Any, field: str, value: Any, message: str, path: Path) -> None:
    st.Trainer(st.Network(1, [st.Dense(1)]), "mse", st.SGD(schedule)).save(path)
    refused(path, message, change=lambda options: options["optimizer"]["lr"].update({field: value}))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("quantile", 1, "quantile is 1"),
        ("delta", 0, "delta is 0"),
        ("seed", -1, "seed is -1"),
        ("seed", 2**64, "seed is 18446744073709551616"),
        ("accumulate", 0, "accumulate is 0"),
        ("accumulate", 1, "group.batches is 2: expected fewer than accumulate, 1"),
        ("ema", 1, "ema is 1"),
        ("ema", None, "the state has "),
        ("mixup", -1, "mixup is -1"),
        ("update_order", "random", "update_order is 'random'"),
        ("layer_rates", {"0": -1}, "layer_rates['0'] is -1"),
        ("layer_rates", {"7": 1}, "layer_rates has '7'"),
        ("layer_rates", [1], "layer_rates is [1]"),
        ("loss", 3, "loss is 3"),
        ("network", None, "the trainer has an unknown option 'network'"),
    ],
)
def test_r16_options_are_checked(option: str, value: Any, message: str, path: Path) -> None:
    refused(path, message, change=lambda options: options.update({option: value}))


def test_r16_every_option_is_needed(path: Path) -> None:
    before = path.read_bytes()
    for option in files.read_model(path)[1]["trainer"]:
        path.write_bytes(before)
        refused(path, f"the trainer has no option {option!r}", change=lambda options, name=option: options.pop(name))


def test_r16_measured_rates_are_checked(path: Path) -> None:
    own = trainer(layer_rates="equal_effect")
    own.save(path)
    assert state_of(st.Trainer.resume(path)) == state_of(own) and st.Trainer.resume(path).rates == own.rates
    before = path.read_bytes()
    for value, message in (
        (real(1), "trainer.layer_rates is float64 of shape (): expected (2,) of float64"),
        (np.ones(3), "trainer.layer_rates is float64 of shape (3,): expected (2,) of float64"),
        (np.ones(2, np.float32), "trainer.layer_rates is float32"),
        (np.array([1, -1.0]), "layer_rates['1'] is -1.0: expected a finite number >= 0"),
        (np.array([np.nan, 1]), "layer_rates['0'] is nan: expected a finite number >= 0"),
    ):
        path.write_bytes(before)
        refused(path, message, {"trainer.layer_rates": value})
