"""Losses that are Python functions of the user's own."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal, state_of
from steepest.losses import CustomLoss

X, Y = normal(0, (50, 3)), normal(1, (50, 2))
WEIGHT = np.arange(50) % 4 / 2.0


def squared(y: Any, prediction: Any) -> Any:
    """Mean squares of each row, as "mse" has them."""
    error = prediction - y
    return (error**2).mean(axis=1), 2 * error / error.size


def one_number(y: Any, prediction: Any) -> Any:
    losses, gradient = squared(y, prediction)
    return float(losses.mean()), gradient.tolist()


def make_trainer(loss: Any, **options: Any) -> st.Trainer:
    layers = [st.Dense(8, "tanh"), st.BatchNorm(), st.Dropout(0.2), st.Dense(2)]
    optimizer = options.pop("optimizer", st.AdamW(0.01, weight_decay=0.1))
    return st.Trainer(st.Network(3, layers, seed=1, dtype="float64"), loss, optimizer, seed=2, **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": st.SGD(st.schedules.cosine(0.1), momentum=0.9, clip_norm=0.3)},
        {"optimizer": st.Adam(0.01, clip_value=0.05, weight_decay=0.1)},
        {"accumulate": 3, "ema": 0.9},
    ],
    ids=str,
)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["even", "weighted"])
def test_it_trains_as_the_named_loss(options: dict[str, Any], weight: Any) -> None:
    trainers = [make_trainer(loss, **options) for loss in ("mse", squared)]
    arguments: dict[str, Any] = {"epochs": 3, "batch_size": 8, "sample_weight": weight}
    named, own = (t.fit(X, Y, **arguments, validation=(X, Y), metrics=[]) for t in trainers)
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(own[name], named[name], rtol=1e-12)
    for name, value in trainers[0].ema_network.parameters.items():
        np.testing.assert_allclose(trainers[1].ema_network.parameters[name], value, atol=1e-12)
    assert trainers[1].evaluate(X, Y, weight)["loss"] == pytest.approx(
        trainers[0].evaluate(X, Y, weight, metrics=[])["loss"]
    )


def test_the_gradient_is_by_the_outputs_where_the_function_has_other_units() -> None:
    loss = CustomLoss(squared, mean=np.array([[3.0, -1.0]]), scale=np.array([[2.0, 0.25]]))
    y, outputs = Y[:5], Y[5:10]
    _, gradient = loss(y, None, outputs)
    for place in np.ndindex(outputs.shape):
        step = np.zeros_like(outputs)
        step[place] = 1e-6
        slope = (loss(y, None, outputs + step)[0] - loss(y, None, outputs - step)[0]) / 2e-6
        assert gradient[place] == pytest.approx(slope)


def test_the_mean_loss_may_be_one_number() -> None:
    trainers = [make_trainer(loss) for loss in (squared, one_number)]
    for trainer in trainers:
        trainer.step(X, Y)
    assert state_of(trainers[0]) == state_of(trainers[1])
    with pytest.raises(ValueError, match="one_number returned one number: expected a loss for each row"):
        trainers[1].step(X, Y, WEIGHT)


def test_it_is_given_rows_as_they_are() -> None:
    seen: list[Any] = []

    def watch(y: Any, prediction: Any) -> Any:
        seen.append((y, prediction.shape, prediction.dtype))
        return 0.0, np.zeros_like(prediction)

    names = np.array([[["a"]], [["b"]], [["c"]]])  # (3, 1, 1)
    trainer = st.Trainer(st.Network(2, [st.Dense(4)]), watch, seed=3)
    trainer.fit(normal(0, (3, 2)), names, epochs=1, batch_size=2)
    assert [shape for _, shape, _ in seen] == [(2, 4), (1, 4)] and seen[0][2] == np.float32
    assert sorted(np.concatenate([y for y, *_ in seen])[:, 0, 0]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        (None, TypeError, "loss f returned a NoneType: expected .loss, gradient."),
        ((1.0, np.zeros((50, 3))), ValueError, r"gradient of shape \(50, 3\): expected the prediction's, \(50, 2\)"),
        ((np.zeros(3), np.zeros((50, 2))), ValueError, r"loss of shape \(3,\): expected a number or \(50,\)"),
        ((1.0, np.full((50, 2), np.nan)), ValueError, "gradient with nan or inf"),
        (("low", np.zeros((50, 2))), TypeError, "returned the loss 'low': expected numbers"),
        ((np.nan, np.full((50, 2), np.nan)), st.DivergedError, "the loss is nan"),
    ],
)
def test_what_it_returns_is_checked(found: Any, error: type[Exception], message: str) -> None:
    def f(y: Any, prediction: Any) -> Any:
        return found

    trainer = make_trainer(f)
    before = state_of(trainer)
    with pytest.raises(error, match=message):
        trainer.step(X, Y)
    assert state_of(trainer) == before


def test_its_own_errors_pass_through_and_change_nothing() -> None:
    def f(y: Any, prediction: Any) -> Any:
        raise KeyError("mine")

    trainer = make_trainer(f)
    before = state_of(trainer)
    with pytest.raises(KeyError, match="mine"):
        trainer.fit(X, Y)
    assert state_of(trainer) == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_trainer(squared, mixup=0.2), "mixup is 0.2 with a loss of your own"),
        (lambda: make_trainer(squared).evaluate(X, Y, metrics=["r2"]), "metrics has 'r2': expected functions"),
        (lambda: make_trainer(squared).step(X, Y[:9]), "y has 9 rows, expected 50"),
        (lambda: make_trainer(squared).step(X, Y, -WEIGHT), "sample_weight has -0.5"),
        (lambda: make_trainer(squared).step(X * np.nan, Y), "x has nan"),
        (lambda: make_trainer(squared).step(X, 3), "y is not an array with rows"),
    ],
)
def test_what_does_not_go_with_it_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_it_can_be_pickled_but_not_saved(tmp_path: Path) -> None:
    trainer = make_trainer(squared)
    trainer.step(X, Y)
    twin = pickle.loads(pickle.dumps(trainer))
    assert twin.step(X, Y) == trainer.step(X, Y) and state_of(twin) == state_of(trainer)
    with pytest.raises(ValueError, match="cannot save the loss squared"):
        trainer.save(tmp_path / "run")
    with pytest.raises(ValueError, match="cannot save the loss squared"):
        trainer.fit(X, Y, callbacks=[st.Checkpoint(tmp_path / "run")])
