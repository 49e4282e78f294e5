"""What a trainer does besides plain steps: accumulation, averages of weights, mixup; each by its definition."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from test_training import OPTIMIZERS

import reference as ref
import steepest as st
from helpers import normal, state_of

X, Y = normal(0, (24, 3)), normal(1, (24, 2))
LABELS = np.arange(24) % 2
WEIGHT = np.arange(1.0, 25.0)


def make_trainer(
    optimizer: Any = None, loss: str = "mse", layers: Any = (), dtype: str = "float64", **options: Any
) -> st.Trainer:
    network = st.Network(3, [st.Dense(8, "tanh"), *layers, st.Dense(2)], seed=1, dtype=dtype)
    return st.Trainer(network, loss, st.SGD(0.1) if optimizer is None else optimizer, seed=2, **options)


def assert_same(network: st.Network, other: st.Network, atol: float) -> None:
    for name, value in other.parameters.items():
        np.testing.assert_allclose(network.parameters[name], value, atol=atol, rtol=0, err_msg=name)


# --- Accumulation ---


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, st.SGD(0.05, clip_norm=0.1)], ids=str)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["even", "weighted"])
def test_accumulation_is_a_step_on_the_joined_batch(optimizer: Any, weight: Any) -> None:
    parts, whole = make_trainer(optimizer, accumulate=3), make_trainer(optimizer)
    for _ in range(4):
        for rows in (slice(0, 8), slice(8, 16), slice(16, 24)):
            parts.step(X[rows], Y[rows], None if weight is None else weight[rows])
        whole.step(X, Y, weight)
    assert parts.n_steps == whole.n_steps == 4
    assert_same(parts.network, whole.network, 1e-10)


def test_an_epoch_ends_with_a_step() -> None:
    fitted, stepped = make_trainer(accumulate=2), make_trainer(accumulate=2)
    fitted.fit(X[:20], Y[:20], epochs=1, batch_size=8, shuffle=False)
    joined = make_trainer()
    for rows in (slice(0, 16), slice(16, 20)):
        joined.step(X[rows], Y[rows])
    assert fitted.n_steps == 2
    assert_same(fitted.network, joined.network, 1e-12)
    for rows in (slice(0, 8), slice(8, 16), slice(16, 20)):
        stepped.step(X[rows], Y[rows])
    assert stepped.n_steps == 1  # single steps wait for the next


def test_a_schedule_goes_by_the_optimizers_steps() -> None:
    rates: list[int] = []
    trainer = make_trainer(st.SGD(lambda step: rates.append(step) or 0.1), accumulate=2)
    trainer.fit(X, Y, epochs=2, batch_size=8)
    assert trainer.n_steps == 4 and sorted(set(rates)) == [0, 1, 2, 3]


def test_each_batch_of_a_group_has_its_own_dropout() -> None:
    trainers = [make_trainer(layers=[st.Dropout(0.5)], accumulate=n) for n in (1, 2)]
    losses = [[trainer.step(X, Y) for _ in range(2)] for trainer in trainers]
    assert losses[1][0] == losses[0][0] != losses[1][1]


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["even", "weighted"])
@pytest.mark.parametrize("options", [{}, {"accumulate": 3}, {"optimizer": st.Adam(clip_norm=0.1)}], ids=str)
def test_the_mean_gradient_of_some_batches(options: dict[str, Any], weight: Any) -> None:
    """What L-BFGS goes by: of no step, with neither decay nor clipping."""
    trainer, network = make_trainer(**options), make_trainer().network
    before = state_of(trainer)
    for _ in range(2):
        for rows in (slice(0, 9), slice(9, 10), slice(10, 24)):
            trainer._core.differentiate(X[rows], Y[rows], None if weight is None else weight[rows])
        found = trainer._core.mean_gradient()
    share = np.full(24, 1 / 24) if weight is None else weight / weight.sum()
    network.backward((network.forward(X) - Y) * share[:, None])
    np.testing.assert_allclose(found, np.concatenate([g.ravel() for g in network.gradients.values()]), atol=1e-14)
    assert {name: state_of(trainer)[name] for name in before if not name.endswith(".sum")} == {
        name: value for name, value in before.items() if not name.endswith(".sum")
    }
    with pytest.raises(ValueError, match="needs a batch"):
        trainer._core.mean_gradient()


# --- Averages ---


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}], ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_the_average_by_its_definition(optimizer: Any, options: dict[str, Any], dtype: str) -> None:
    trainer, plain = (make_trainer(optimizer, dtype=dtype, **options, ema=ema) for ema in (0.8, None))
    total, seen = {name: np.zeros(value.shape) for name, value in plain.network.parameters.items()}, 0.0
    for i in range(10):
        trainer.step(X, Y)
        plain.step(X, Y)
        if (i % 2 and options) or not options:
            seen = 0.8 * seen + 0.2
            total = {name: 0.8 * total[name] + 0.2 * value for name, value in plain.network.parameters.items()}
    assert state_of(trainer).items() >= state_of(plain).items()  # training itself is as without
    for name, value in trainer.averaged.parameters.items():
        np.testing.assert_allclose(value, total[name] / seen, atol=1e-12 if dtype == "float64" else 1e-6)


def test_the_average_before_the_first_step_is_the_network() -> None:
    trainer = make_trainer(ema=0.9)
    assert_same(trainer.averaged, trainer.network, 0)
    trainer.step(X, Y)
    assert_same(trainer.averaged, trainer.network, 0)


def test_gradients_of_ones_own_are_averaged_too() -> None:
    trainer = make_trainer(ema=0.5)
    first = {name: np.ones_like(value) for name, value in trainer.network.parameters.items()}
    weights = []
    for _ in range(2):
        trainer.apply(first)
        weights.append(trainer.network.parameters["0.weight"])
    np.testing.assert_allclose(trainer.averaged.parameters["0.weight"], (weights[0] + 2 * weights[1]) / 3, rtol=1e-12)


def test_evaluation_and_the_best_epoch_go_by_the_average() -> None:
    trainer = make_trainer(st.SGD(0.5), ema=0.9, layers=[st.BatchNorm()])
    kept: list[Any] = []
    callback = st.LambdaCallback(on_epoch_end=lambda fit: kept.append((fit.metrics, fit.trainer.averaged)))
    history = trainer.fit(
        X, Y, epochs=12, batch_size=8, validation=(X[::2], Y[::2] + 1), callbacks=[callback, st.EarlyStopping()]
    )
    best = history.best_epoch
    assert best is not None and best < 11
    judge = st.Trainer(kept[best][1], "mse")
    assert judge.evaluate(X[::2], Y[::2] + 1)["loss"] == history["val_loss"][best]
    assert_same(trainer.network, kept[best][1], 0)
    np.testing.assert_array_equal(trainer.network.buffers["1.running_mean"], kept[best][1].buffers["1.running_mean"])
    assert_same(trainer.averaged, trainer.network, 0)  # and begins anew


def test_evaluation_leaves_the_weights_alone() -> None:
    trainer = make_trainer(ema=0.9)
    trainer.fit(X, Y, epochs=2)
    before = state_of(trainer)
    trainer.evaluate(X, Y)
    with pytest.raises(ValueError, match="nan"):
        trainer.evaluate(X * np.nan, Y)
    assert state_of(trainer) == before


# --- Mixup ---


def mixed(values: Any, share: float, partner: Any) -> Any:
    return share * values + (1 - share) * values[partner]


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["even", "weighted"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "binary_cross_entropy", "shares"])
def test_mixup_is_a_step_on_the_mixture(loss: str, weight: Any) -> None:
    shares = np.eye(2)[LABELS]
    y, targets = {"mse": (Y, Y), "cross_entropy": (LABELS, shares)}.get(loss, (shares, shares))
    name = loss if loss != "shares" else "cross_entropy"
    trainer, plain = make_trainer(loss=name, mixup=0.4), make_trainer(loss=name)
    for step in range(5):
        share, partner = ref.mixup(trainer.seed, step, 0.4, 24)
        blend = [None if v is None else mixed(v, share, partner) for v in (X, targets, weight)]
        assert trainer.step(X, y, weight) == pytest.approx(plain.step(*blend), rel=1e-12)
    assert_same(trainer.network, plain.network, 1e-12)


def test_shares_follow_the_beta_distribution() -> None:
    for alpha in (0.2, 0.4, 1.0, 8.0):
        shares = np.array([ref.mixup(seed, 0, alpha, 1)[0] for seed in range(2000)])
        assert scipy.stats.kstest(shares, scipy.stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_mixup_draws_anew_and_by_the_seed() -> None:
    draws = [ref.mixup(seed, step, 0.4, 24) for seed, step in ((0, 0), (0, 1), (1, 0))]
    assert len({share for share, _ in draws}) == 3 and len({tuple(partner) for _, partner in draws}) == 3


@pytest.mark.parametrize(
    "options", [{"mixup": 0.3}, {"ema": 0.9}, {"accumulate": 3, "mixup": 0.3, "ema": 0.9}], ids=str
)
def test_same_bits_at_any_number_of_threads(options: dict[str, Any], dtype: str) -> None:
    x, labels = normal(0, (700, 64)), np.arange(700) % 9
    before, states = st.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            st.set_num_threads(threads)
            network = st.Network(64, [st.Dense(96, "relu"), st.Dropout(0.1), st.Dense(9)], dtype=dtype)
            trainer = st.Trainer(network, "cross_entropy", st.Adam(), **options)
            trainer.fit(x, labels, epochs=2, batch_size=150, sample_weight=labels + 1.0)
            states.append(state_of(trainer))
    finally:
        st.set_num_threads(before)
    assert states[0] == states[1] == states[2]


@pytest.mark.parametrize("bad", ["x", "y", "weight"])
def test_what_mixup_reads_is_checked_row_by_row(bad: str) -> None:
    arrays: dict[str, Any] = {"x": X.copy(), "y": LABELS.copy(), "weight": WEIGHT.copy()}
    arrays[bad][17] = {"x": np.inf, "y": 5, "weight": -1}[bad]
    trainer = make_trainer(loss="cross_entropy", mixup=0.3)
    before = state_of(trainer)
    with pytest.raises(ValueError, match="at row 17"):
        trainer.step(arrays["x"], arrays["y"], arrays["weight"])
    assert state_of(trainer) == before


# --- All of them ---


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"accumulate": 0}, ValueError, "accumulate is 0: expected a whole number >= 1"),
        ({"accumulate": 1.5}, TypeError, "accumulate is 1.5"),
        ({"ema": 1.0}, ValueError, "ema is 1.0: expected a finite number > 0 and < 1"),
        ({"ema": 0}, ValueError, "ema is 0"),
        ({"mixup": -0.1}, ValueError, "mixup is -0.1: expected a finite number >= 0"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make_trainer(**options)


@pytest.mark.parametrize("way", ["file", "pickle"])
def test_a_trainer_goes_on_bit_for_bit(way: str, tmp_path: Path) -> None:
    trainer = make_trainer(st.Adam(0.01), accumulate=3, ema=0.9, mixup=0.3, layers=[st.Dropout(0.2)])
    for _ in range(5):  # ends amid a group
        trainer.step(X, Y)
    if way == "file":
        trainer.save(tmp_path / "run")
        twin = st.Trainer.resume(tmp_path / "run")
    else:
        twin = pickle.loads(pickle.dumps(trainer))
    for each in (trainer, twin):
        each.step(X, Y)
        each.fit(X, Y, epochs=2, batch_size=5)
    assert state_of(twin) == state_of(trainer) and repr(twin) == repr(trainer)
    assert "accumulate=3, ema=0.9, mixup=0.3" in repr(trainer)
    assert twin.evaluate(X, Y) == trainer.evaluate(X, Y)


def test_divergence_forgets_average_and_gradients() -> None:
    trainer = make_trainer(st.SGD(1e160), accumulate=2, ema=0.9)
    with pytest.raises(st.DivergedError):
        trainer.fit(X, Y, epochs=20, batch_size=5)
    assert_same(trainer.averaged, trainer.network, 0)
    assert trainer._core.state()["group.batches"] == 0
