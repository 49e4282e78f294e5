"""Learning-rate schedules: their curves, how a fit lays them out, and what they refuse."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal
from steepest import schedules
from steepest.schedules import Schedule, schedule_from_json

METRICS = ("loss", "val_loss", "val_accuracy")


def make_trainer(lr: Any, loss: str = "mse") -> st.Trainer:
    """A small trainer."""
    return st.Trainer(st.Network(2, [st.Dense(2)]), loss, st.SGD(lr))


def rates_of(trainer: st.Trainer, n_rows: int, epochs: int, **options: Any) -> list[float]:
    """Fit on some rows, one row a step, and return the rate of each step."""
    seen: list[float] = []

    class Watch(st.Callback):
        def on_epoch_end(self, fit: Any) -> None:
            seen.extend(trainer._rate(step) for step in range(trainer.n_steps - n_rows, trainer.n_steps))

    x = normal(0, (n_rows, 2))
    trainer.fit(x, 0.1 * x, epochs=epochs, batch_size=1, callbacks=[Watch()], **options)
    return seen


# --- Curves ---


def test_constant() -> None:
    assert [schedules.constant(0.3)(t) for t in (0, 1, 10**6)] == [0.3] * 3
    assert make_trainer(schedules.constant(0.3)).learning_rate == 0.3


def test_step_and_exponential() -> None:
    stairs = schedules.step(0.8, every=3, factor=0.5)
    assert [stairs(t) for t in range(7)] == [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2]
    slope = schedules.exponential(0.8, every=2, factor=0.25)
    assert np.allclose([slope(t) for t in range(5)], [0.8, 0.4, 0.2, 0.1, 0.05], rtol=1e-15)
    assert schedules.exponential(1e-3, factor=10)(2) == pytest.approx(0.1, rel=1e-15)  # a range test grows


def test_epochs_as_unit() -> None:
    stairs = schedules.step(0.8, every=2, factor=0.5, unit="epochs")
    assert rates_of(make_trainer(stairs), n_rows=3, epochs=5) == [0.8] * 6 + [0.4] * 6 + [0.2] * 3
    slope = schedules.exponential(0.8, factor=0.5, unit="epochs", epoch_steps=4)
    assert [slope(t) for t in (0, 4, 8)] == [0.8, 0.4, 0.2]


def test_cosine() -> None:
    curve = schedules.cosine(1.0, total=8, final=0.2)
    # PyTorch: CosineAnnealingLR(SGD([p], lr=1.0), T_max=8, eta_min=0.2), in closed form; it goes on past the end.
    expected = [0.2 + 0.4 * (1 + math.cos(math.pi * t / 8)) for t in range(20)]
    assert np.allclose([curve(t) for t in range(20)], expected, rtol=1e-14)
    assert curve(0) == 1.0 and curve(8) == pytest.approx(0.2) and curve(16) == pytest.approx(1.0)


def test_cosine_warms_up() -> None:
    curve = schedules.cosine(0.4, total=12, warmup=4)
    assert np.allclose([curve(t) for t in range(5)], [0.1, 0.2, 0.3, 0.4, 0.4], rtol=1e-15)
    assert curve(8) == pytest.approx(0.2) and curve(12) == pytest.approx(0)


def test_one_cycle() -> None:
    # PyTorch: OneCycleLR(SGD([p], lr=0), max_lr=1.0, total_steps=10), whose peak is at step 0.3 * 10 - 1 = 2.
    curve = schedules.one_cycle(1.0, total=10)
    first, last = 0.04, 0.04 / 1e4
    rise = [first, (first + 1) / 2, 1.0]
    fall = [last + (1 - last) * (1 + math.cos(math.pi * t / 7)) / 2 for t in range(1, 8)]
    assert np.allclose([curve(t) for t in range(10)], rise + fall, rtol=1e-12)
    assert curve(9) == curve(10) == curve(1000) == pytest.approx(last)


@pytest.mark.parametrize("total", [1, 2, 3, 4])
def test_one_cycle_of_few_steps(total: int) -> None:
    curve = schedules.one_cycle(1.0, total=total, rise=0.5)
    rates = [curve(t) for t in range(total)]
    assert all(0 < rate <= 1 for rate in rates) and rates[-1] == curve.lr / 25 / 1e4


def test_curves_equal_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch's schedulers, which are not installed")
    lr_scheduler = torch.optim.lr_scheduler
    pairs = [
        (schedules.step(0.7, every=3), lambda o: lr_scheduler.StepLR(o, 3)),
        (schedules.exponential(0.7, factor=0.9), lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
        (schedules.cosine(0.7, total=17, final=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, 17, 0.1)),
        (schedules.one_cycle(0.7, total=40), lambda o: lr_scheduler.OneCycleLR(o, 0.7, 40)),
        (schedules.one_cycle(0.7, total=40, rise=0.45), lambda o: lr_scheduler.OneCycleLR(o, 0.7, 40, pct_start=0.45)),
    ]
    for ours, make in pairs:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.7)
        theirs = make(optimizer)
        for t in range(40):
            assert ours(t) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), f"{ours} at step {t}"
            if t < 39:
                optimizer.step()
                theirs.step()

    metrics = 1 + 0.5 * normal(0, (200,)).cumsum() ** 2 / 100
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.7)
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=3, cooldown=2, min_lr=1e-3, threshold=0.01)
    ours = schedules.plateau(0.7, factor=0.5, patience=3, cooldown=2, min_lr=1e-3, threshold=0.01)
    for metric in metrics:
        theirs.step(metric)
        ours = ours.observe({"loss": metric})
        assert ours(0) == optimizer.param_groups[0]["lr"]
    assert ours(0) < 0.1


def follow(schedule: Schedule, metrics: list[float], name: str = "loss") -> list[float]:
    """The rate after each epoch."""
    rates = []
    for metric in metrics:
        schedule = schedule.observe({name: metric})
        rates.append(schedule(0))
    return rates


def test_plateau_lets_patience_epochs_pass() -> None:
    watch = schedules.plateau(1.0, factor=0.5, patience=2)
    assert follow(watch, [5, 5, 5, 5, 5, 5, 5, 1, 1]) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert watch == schedules.plateau(1.0, factor=0.5, patience=2)  # a value: the one observed is another


def test_plateau_threshold_is_relative() -> None:
    watch = schedules.plateau(1.0, factor=0.5, patience=0, threshold=0.1)
    assert follow(watch, [100, 91, 89, 80.2]) == [1, 0.5, 0.5, 0.25]
    assert follow(watch, [-100, -105, -120]) == [1, 0.5, 0.5]


def test_plateau_cooldown_and_floor() -> None:
    watch = schedules.plateau(1.0, factor=0.5, patience=0, cooldown=2)
    assert follow(watch, [1] * 8) == [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    assert follow(schedules.plateau(1.0, factor=0.5, patience=0, min_lr=0.3), [1] * 4) == [1, 0.5, 0.3, 0.3]


def test_plateau_direction_and_numbers_that_are_none() -> None:
    watch = schedules.plateau(1.0, factor=0.5, patience=0, monitor="val_accuracy")
    assert follow(watch, [0.5, 0.6, 0.6], "val_accuracy") == [1, 1, 0.5]
    watch = schedules.plateau(1.0, factor=0.5, patience=0, mode="max")
    assert follow(watch, [0.5, 0.4]) == [1, 0.5]
    assert follow(schedules.plateau(1.0, factor=0.5, patience=0), [math.nan, math.inf, 3, 2]) == [0.5, 0.25, 0.25, 0.25]


# --- In a fit ---


def test_whole_fit_is_from_its_first_step_to_its_last() -> None:
    trainer = make_trainer(schedules.cosine(0.1, warmup=2))
    once = rates_of(trainer, n_rows=4, epochs=3)
    reference = schedules.cosine(0.1, warmup=2, total=12)
    assert once == [reference(t) for t in range(12)]
    assert rates_of(trainer, n_rows=4, epochs=3) == once  # the next fit is a whole one again
    shorter = schedules.cosine(0.1, warmup=2, total=4)
    assert rates_of(trainer, n_rows=4, epochs=1) == [shorter(t) for t in range(4)]


def test_total_counts_from_the_trainers_first_step() -> None:
    trainer = make_trainer(schedules.one_cycle(0.1, total=12))
    rates = [rate for _ in range(3) for rate in rates_of(trainer, n_rows=4, epochs=1)]
    assert rates == [schedules.one_cycle(0.1, total=12)(t) for t in range(12)]


def test_interrupted_fit_may_be_ended(tmp_path: Path) -> None:
    class Interrupt(st.Callback):
        def on_epoch_end(self, fit: Any) -> None:
            if fit.epoch == 1:
                raise KeyboardInterrupt

    x = normal(0, (8, 2))
    options: dict[str, Any] = {"batch_size": 2}
    straight, halting = make_trainer(schedules.cosine(0.1)), make_trainer(schedules.cosine(0.1))
    straight.fit(x, x, epochs=5, **options)
    with pytest.raises(KeyboardInterrupt):
        halting.fit(x, x, epochs=5, callbacks=[Interrupt()], **options)
    halting.save(tmp_path / "run")
    resumed = st.Trainer.resume(tmp_path / "run")
    resumed.fit(x, x, epochs=3, **options)
    assert resumed.network.parameters["0.weight"].tolist() == straight.network.parameters["0.weight"].tolist()


def test_history_has_the_rate_of_the_last_step() -> None:
    trainer = make_trainer(schedules.exponential(0.8, every=2, factor=0.25))
    x = normal(0, (4, 2))
    history = trainer.fit(x, x, epochs=2, batch_size=2)
    assert np.allclose(history["learning_rate"], [0.4, 0.1], rtol=1e-15)
    assert trainer.learning_rate == pytest.approx(0.05)


def test_plateau_observes_each_epoch() -> None:
    trainer = make_trainer(schedules.plateau(0.5, factor=0.1, patience=0, threshold=0.0))
    x, zeros = normal(0, (4, 2)), np.zeros((4, 2))
    trainer.network.set_parameters({"0.weight": np.zeros((2, 2))})
    history = trainer.fit(x, zeros, epochs=3, validation=(x, zeros))  # the loss is 0 from the start
    assert np.allclose(history["learning_rate"], [0.5, 0.5, 0.05], rtol=1e-12)


def test_any_function_of_the_step_will_do() -> None:
    seen = []

    def rate(step: int) -> float:
        seen.append(step)
        return 0.1 / (1 + step)

    trainer = make_trainer(rate)
    x = normal(0, (4, 2))
    for _ in range(2):
        trainer.step(x, x)
    trainer.fit(x, x, epochs=1, batch_size=2)
    assert sorted(set(seen)) == [0, 1, 2, 3] and trainer.n_steps == 4
    assert trainer.learning_rate == 0.1 / 5


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf])
def test_rates_that_are_none_are_refused(rate: float) -> None:
    trainer = make_trainer(lambda step: rate)
    before = trainer.network.copy()
    with pytest.raises(ValueError, match="learning rate"):
        trainer.step(np.ones((1, 2)), np.ones((1, 2)))
    assert np.array_equal(trainer.network.parameters["0.weight"], before.parameters["0.weight"])
    assert trainer.n_steps == 0


def test_errors_of_a_schedule_pass_through() -> None:
    def broken(step: int) -> float:
        raise LookupError("no rate")

    trainer = make_trainer(broken)
    for train in (trainer.step, trainer.fit):
        with pytest.raises(LookupError, match="no rate"):
            train(np.ones((1, 2)), np.ones((1, 2)))
    assert trainer.n_steps == 0


# --- Refusals ---


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (schedules.cosine(0.1), r"cosine\(0.1\) runs over a whole fit: give total="),
        (schedules.one_cycle(0.1), r"one_cycle\(0.1\) runs over a whole fit"),
        (schedules.step(0.1, every=2, unit="epochs"), "counts epochs, which only fit knows"),
    ],
)
def test_step_needs_to_know_the_whole(schedule: Schedule, message: str) -> None:
    trainer = make_trainer(schedule)
    with pytest.raises(ValueError, match=message):
        trainer.step(np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(ValueError, match=message):
        _ = trainer.learning_rate
    assert trainer.n_steps == 0


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (schedules.cosine(0.1, warmup=100), "warmup is 100: expected fewer steps than the whole, 4"),
        (schedules.plateau(0.1, monitor="val_accuracy"), r"plateau monitors 'val_accuracy': .*validation=\(x, y\)"),
        (schedules.plateau(0.1, monitor="accuarcy"), "plateau monitors 'accuarcy': this fit records loss"),
    ],
)
def test_fit_refuses_before_it_trains(schedule: Schedule, message: str) -> None:
    trainer = make_trainer(schedule)
    before = trainer.network.copy()
    with pytest.raises(ValueError, match=message):
        trainer.fit(np.ones((2, 2)), np.ones((2, 2)), epochs=4)
    assert np.array_equal(trainer.network.parameters["0.weight"], before.parameters["0.weight"])
    assert trainer.n_steps == 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: schedules.constant(-1), ValueError, "lr is -1: expected a finite number >= 0"),
        (lambda: schedules.constant("0.1"), TypeError, "lr is '0.1'"),
        (lambda: schedules.step(0.1, every=0), ValueError, "every is 0: expected a whole number >= 1"),
        (lambda: schedules.step(0.1, every=2, factor=0), ValueError, "factor is 0: expected a finite number > 0"),
        (
            lambda: schedules.step(0.1, every=2, unit="rows"),
            ValueError,
            "unit is 'rows': expected one of steps, epochs",
        ),
        (lambda: schedules.exponential(0.1, factor=math.inf), ValueError, "factor is inf"),
        (lambda: schedules.exponential(0.1, factor=0.5, epoch_steps=0), ValueError, "epoch_steps is 0"),
        (lambda: schedules.cosine(0.1, total=0), ValueError, "total is 0"),
        (lambda: schedules.cosine(0.1, total=5, warmup=5), ValueError, "warmup is 5: expected fewer steps"),
        (lambda: schedules.cosine(0.1, final=-1), ValueError, "final is -1"),
        (lambda: schedules.one_cycle(0.1, rise=1), ValueError, "rise is 1: expected a finite number > 0 and < 1"),
        (lambda: schedules.one_cycle(0.1, div=0.5), ValueError, "div is 0.5"),
        (lambda: schedules.plateau(0.1, factor=1), ValueError, "factor is 1"),
        (lambda: schedules.plateau(0.1, patience=-1), ValueError, "patience is -1"),
        (lambda: schedules.plateau(0.1, patience=1.5), TypeError, "patience is 1.5"),
        (lambda: schedules.plateau(0.1, mode="up"), ValueError, "mode is 'up': expected one of auto, min, max"),
    ],
)
def test_arguments_are_checked(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.constant(0.1),
        schedules.step(0.1, every=3).lay_out(0, 20, 5, METRICS),
        schedules.step(0.1, every=3, unit="epochs").lay_out(0, 20, 5, METRICS),
        schedules.exponential(0.1, factor=0.5),
        schedules.cosine(0.1, warmup=2).lay_out(30, 20, 5, METRICS),
        schedules.one_cycle(0.1, total=40, div=10),
        schedules.plateau(0.1, patience=3).observe({"loss": 2.0}).observe({"loss": 3.0}),
    ],
    ids=str,
)
def test_survives_repr_and_json(schedule: Schedule) -> None:
    assert eval(repr(schedule), vars(schedules)) == schedule
    again = schedule_from_json(json.loads(json.dumps(schedule.to_dict())))
    assert again == schedule
    assert [again(t) for t in range(30, 50)] == [schedule(t) for t in range(30, 50)]
    assert again.observe({"loss": 4.0}) == schedule.observe({"loss": 4.0})
