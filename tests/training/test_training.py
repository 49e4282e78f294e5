"""Optimizers, steps, fits, callbacks and checkpoints as a user meets them."""

from __future__ import annotations

import copy
import json
import math
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import steepest as st
from helpers import OPTIMIZERS, normal, state_of
from steepest import files
from steepest.optimizers import Optimizer, optimizer_from_json

X = normal(0, (70, 3))
Y = np.stack([X[:, 0] - X[:, 1], np.tanh(X[:, 2])], axis=1)
LABELS = (X[:, 0] > 0) * 1 + (X[:, 1] > 0)


def make_trainer(
    optimizer: Any = None, loss: str = "mse", dropout: float = 0.2, seed: int = 0, dtype: str = "float32"
) -> st.Trainer:
    """A trainer whose network has dropout and running statistics."""
    layers = [st.Dense(8, "tanh"), st.BatchNorm(), st.Dropout(dropout), st.Dense(3 if loss == "cross_entropy" else 2)]
    network = st.Network(3, layers, seed=1, dtype=dtype)
    return st.Trainer(network, loss, st.SGD(0.05, momentum=0.9) if optimizer is None else optimizer, seed=seed)


# --- Optimizers ---


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: st.SGD(-0.1), ValueError, "lr is -0.1: expected a finite number >= 0"),
        (lambda: st.SGD(math.nan), ValueError, "lr is nan"),
        (lambda: st.SGD("fast"), TypeError, "lr is 'fast'"),
        (lambda: st.SGD(momentum=1), ValueError, "momentum is 1: expected a finite number >= 0 and < 1"),
        (lambda: st.SGD(nesterov=True), ValueError, "nesterov is True: expected a momentum > 0"),
        (lambda: st.SGD(momentum=0.9, nesterov=1), TypeError, "nesterov is 1: expected True or False"),
        (lambda: st.SGD(weight_decay=-1), ValueError, "weight_decay is -1"),
        (lambda: st.SGD(clip_value=0), ValueError, "clip_value is 0: expected a finite number > 0"),
        (lambda: st.SGD(clip_norm=math.inf), ValueError, "clip_norm is inf"),
        (lambda: st.Adam(beta1=1), ValueError, "beta1 is 1"),
        (lambda: st.Adam(beta2=-0.1), ValueError, "beta2 is -0.1"),
        (lambda: st.Adam(eps=0), ValueError, "eps is 0: expected a finite number > 0"),
        (lambda: st.RMSprop(alpha=1.5), ValueError, "alpha is 1.5"),
        (lambda: st.RMSprop(momentum=-1), ValueError, "momentum is -1"),
    ],
)
def test_optimizers_check_their_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, st.SGD(st.schedules.cosine(0.1, warmup=3)), st.Adam()], ids=str)
def test_optimizer_survives_repr_and_json(optimizer: Optimizer) -> None:
    assert eval(repr(optimizer), vars(st) | vars(st.schedules)) == optimizer
    assert optimizer_from_json(json.loads(json.dumps(optimizer.to_dict()))) == optimizer


def test_defaults_are_pytorchs() -> None:
    assert st.SGD() == st.SGD(0.01, momentum=0, nesterov=False, weight_decay=0)
    assert st.Adam() == st.Adam(1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0)
    assert st.AdamW() == st.AdamW(1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01)
    assert st.RMSprop() == st.RMSprop(0.01, alpha=0.99, eps=1e-8, momentum=0, weight_decay=0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_every_setting_reaches_the_core(optimizer: Optimizer) -> None:
    core = optimizer.to_core()
    expected = {"weight_decay": optimizer.weight_decay, "decoupled": isinstance(optimizer, st.AdamW)}
    expected |= {"clip_value": optimizer.clip_value or 0, "clip_norm": optimizer.clip_norm or 0}
    for ours, theirs in (("momentum", "momentum"), ("nesterov", "nesterov"), ("beta1", "beta1"), ("eps", "eps")):
        if hasattr(optimizer, ours):
            expected[theirs] = getattr(optimizer, ours)
    expected["beta2"] = getattr(optimizer, "alpha", getattr(optimizer, "beta2", core.beta2))
    assert {name: getattr(core, name) for name in expected} == expected


# --- The trainer and its steps ---


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"network": [st.Dense(1)]}, TypeError, "network is .*: expected a steepest.Network"),
        ({"loss": "l2"}, ValueError, "loss is 'l2': expected one of mse, mae, huber"),
        ({"optimizer": "adam"}, TypeError, "optimizer is 'adam': expected an optimizer such as SGD"),
        ({"optimizer": st.SGD}, TypeError, "optimizer is <class"),
        ({"quantile": 1}, ValueError, "quantile is 1: expected a finite number > 0 and < 1"),
        ({"delta": 0}, ValueError, "delta is 0"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"loss": "cross_entropy"}, ValueError, "cross_entropy"),
    ],
)
def test_trainer_checks_its_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        st.Trainer(**{"network": st.Network(3, [st.Dense(1)]), "loss": "mse"} | arguments)


def test_loss_must_be_given_and_optimizer_may() -> None:
    with pytest.raises(TypeError, match="loss"):
        st.Trainer(st.Network(3, [st.Dense(1)]))  # type: ignore[call-arg]
    assert st.Trainer(st.Network(3, [st.Dense(1)]), "mse").optimizer == st.Adam()


def test_step_is_gradient_descent() -> None:
    net = st.Network(2, [st.Dense(1)], dtype="float64")
    net.set_parameters({"0.weight": [[1.0], [2.0]], "0.bias": [0.5]})
    trainer = st.Trainer(net, loss="mse", optimizer=st.SGD(0.1))
    # y = (1.5, 4.5), errors (1.5, -0.5): the loss is (2.25 + 0.25) / 2, its slope by W is x^T (1.5, -0.5).
    assert trainer.step([[1, 0], [0, 2]], [0, 5]) == pytest.approx(1.25, rel=1e-14)
    assert np.allclose(net.parameters["0.weight"], [[1 - 0.15], [2 + 0.1]], rtol=1e-14)
    assert np.allclose(net.parameters["0.bias"], [0.5 - 0.1], rtol=1e-14)
    assert trainer.n_steps == 1


def test_step_returns_the_loss_before_it() -> None:
    trainer = st.Trainer(st.Network(3, [st.Dense(8, "tanh"), st.Dense(2)]), "mse", st.SGD(0.1))
    losses = []
    for _ in range(20):
        before = trainer.evaluate(X, Y)["loss"]
        losses.append(trainer.step(X, Y))
        assert losses[-1] == pytest.approx(before, rel=1e-6)
    assert losses[-1] < 0.5 * losses[0]


def test_sample_weights_scale_rows() -> None:
    half, weighted = (st.Trainer(st.Network(3, [st.Dense(2)]), "mse", st.SGD(0.1)) for _ in range(2))
    weight = np.arange(70) < 35
    assert half.step(X[:35], Y[:35]) == pytest.approx(weighted.step(X, Y, sample_weight=7 * weight), rel=1e-6)
    a, b = half.network.parameters["0.weight"], weighted.network.parameters["0.weight"]
    assert np.allclose(a, b, rtol=1e-5, atol=1e-7)


def test_losses_take_their_parameter() -> None:
    net = st.Network(1, [st.Dense(1, init=[[1.0]])])
    x, zero = [[3.0]], [[0.0]]
    assert st.Trainer(net, "huber", delta=2.0).evaluate(x, zero)["loss"] == pytest.approx(2 * (3 - 1))
    assert st.Trainer(net, "quantile", quantile=0.9).evaluate(x, zero)["loss"] == pytest.approx(0.3)
    assert st.Trainer(net, "quantile", quantile=0.9).evaluate([[-3.0]], zero)["loss"] == pytest.approx(2.7)


def test_evaluate_names_what_it_measures() -> None:
    exact = st.Trainer(st.Network(2, [st.Dense(2, init=np.eye(2))]), "mse")
    x = np.array([[1.0, 2.0], [3.0, 5.0]])
    assert exact.evaluate(x, x) == pytest.approx({"loss": 0, "r2": 1, "rmse": 0, "mae": 0}, abs=1e-6)
    assert exact.evaluate(x, x + 2)["rmse"] == pytest.approx(2)
    labels = st.Trainer(exact.network, "cross_entropy").evaluate(x, [1, 0])
    assert labels == pytest.approx({"loss": (np.log1p(np.exp(-1)) + np.log1p(np.exp(2))) / 2, "accuracy": 0.5})
    weighted = st.Trainer(exact.network, "cross_entropy").evaluate(x, [1, 0], sample_weight=[3, 1])
    assert weighted["accuracy"] == pytest.approx(0.75)
    assert st.Trainer(exact.network, "binary_cross_entropy").evaluate(x, [[1, 1], [1, 0]])["accuracy"] == 0.75
    assert st.Trainer(exact.network, "poisson").evaluate(x, x).keys() == {"loss"}


def test_learning_rate_may_be_set_between_steps() -> None:
    trainer = st.Trainer(st.Network(3, [st.Dense(2)]), "mse", st.SGD(st.schedules.step(0.5, every=1)))
    assert trainer.learning_rate == 0.5
    trainer.step(X, Y)
    assert trainer.learning_rate == pytest.approx(0.05)
    trainer.learning_rate = 0
    assert trainer.learning_rate == 0
    before = state_of(trainer)
    trainer.step(X, Y)
    assert trainer.network.parameters["0.weight"].tolist() == before["0.weight"]
    with pytest.raises(ValueError, match="learning_rate is -1"):
        trainer.learning_rate = -1


# --- Fits ---


def test_history() -> None:
    trainer = make_trainer(loss="cross_entropy")
    history = trainer.fit(X, LABELS, epochs=4, batch_size=16, validation=(X[:9], LABELS[:9]))
    assert list(history) == ["loss", "learning_rate", "seconds", "val_loss", "val_accuracy"]
    assert all(column.shape == (4,) and column.dtype == np.float64 for column in history.values())
    assert trainer.history is history and history.n_epochs == 4
    assert history.best_epoch == np.argmin(history["val_loss"])
    assert (history["learning_rate"] == 0.05).all() and (history["seconds"] > 0).all()
    final = trainer.evaluate(X[:9], LABELS[:9])
    assert {f"val_{name}": value for name, value in final.items()} == {
        name: history[name][-1] for name in ("val_loss", "val_accuracy")
    }
    frame = history.to_frame()
    assert frame.shape == (4, 5) and frame["loss"].tolist() == history["loss"].tolist() and frame.index.name == "epoch"
    assert repr(history).startswith(f"History(4 epochs, best {history.best_epoch} by val_loss: loss ")
    with pytest.raises(KeyError, match="no 'val_r2' in the history, which has loss, "):
        history["val_r2"]


def test_empty_history() -> None:
    history = make_trainer().history
    assert (len(history), history.best_epoch, repr(history)) == (0, None, "History(0 epochs)")


def test_best_epoch_goes_by_the_metric() -> None:
    history = st.History("val_accuracy")
    for accuracy in (math.nan, 0.5, 0.7, 0.7, 0.6):
        history.append({"loss": 1.0, "val_accuracy": accuracy})
    assert history.best_epoch == 2
    history.mode = "min"
    assert history.best_epoch == 1


def test_unshuffled_fit_is_its_steps() -> None:
    fitted, stepped = make_trainer(), make_trainer()
    fitted.fit(X, Y, epochs=2, batch_size=32, shuffle=False)
    for first in [0, 32, 64] * 2:
        stepped.step(X[first : first + 32], Y[first : first + 32])
    assert state_of(fitted)["0.weight"] == state_of(stepped)["0.weight"]
    assert fitted.n_steps == stepped.n_steps == 6


def test_shuffling_draws_a_new_order_for_each_epoch() -> None:
    trainers = [make_trainer(dropout=0.0, seed=seed) for seed in (0, 0, 1)]
    for trainer in trainers:
        trainer.fit(X, Y, epochs=2)
    states = [state_of(trainer)["0.weight"] for trainer in trainers]
    assert states[0] == states[1] != states[2]
    first, third = make_trainer()._core.order(len(X)), trainers[0]._core.order(len(X))
    assert sorted(third) == sorted(first) == [*range(len(X))] and third.tolist() != first.tolist()
    plain = make_trainer(dropout=0.0)
    plain.fit(X, Y, epochs=2, shuffle=False)
    assert state_of(plain)["0.weight"] != states[0]


@pytest.mark.parametrize("shuffle", [True, False])
def test_short_fits_are_one_long_fit(shuffle: bool, tmp_path: Path) -> None:
    options: dict[str, Any] = {"shuffle": shuffle, "batch_size": 16}
    whole, parts, saved = (make_trainer(st.Adam(0.01)) for _ in range(3))
    losses = whole.fit(X, Y, epochs=5, **options)["loss"]
    split = [parts.fit(X, Y, epochs=1, **options)["loss"][0] for _ in range(2)]
    split += list(parts.fit(X, Y, epochs=3, **options)["loss"])
    saved.fit(X, Y, epochs=2, **options)
    saved.save(tmp_path / "run")
    resumed = st.Trainer.resume(tmp_path / "run")
    resumed.fit(X, Y, epochs=3, **options)
    assert split == losses.tolist()
    assert state_of(whole) == state_of(parts) == state_of(resumed)


def test_caller_arrays_are_not_reordered() -> None:
    x, y, weight = X.copy(), Y.copy(), np.linspace(0, 1, 70)
    make_trainer().fit(x, y, epochs=2, sample_weight=weight, validation=(x, y, weight))
    assert np.array_equal(x, X) and np.array_equal(y, Y) and np.array_equal(weight, np.linspace(0, 1, 70))


def test_lists_and_frames_are_rows_too() -> None:
    import pandas as pd

    reference, lists, frame = (make_trainer() for _ in range(3))
    reference.fit(X, Y, epochs=2)
    lists.fit(X.tolist(), Y.tolist(), epochs=2)
    frame.fit(pd.DataFrame(X), pd.DataFrame(Y), epochs=2)
    assert state_of(reference) == state_of(lists) == state_of(frame)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs is 0: expected a whole number >= 1"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"batch_size": 8.0}, TypeError, "batch_size is 8.0"),
        ({"shuffle": "yes"}, TypeError, "shuffle is 'yes'"),
        ({"verbose": 2}, TypeError, "verbose is 2"),
        ({"validation": 0.1}, TypeError, r"validation is a float: expected \(x, y\) or \(x, y, sample_weight\)"),
        ({"validation": (X,)}, TypeError, "validation"),
        ({"validation": (X, Y[:5])}, ValueError, "validation y"),
        ({"validation": (X[:, :2], Y)}, ValueError, "validation x"),
        ({"validation": (X, Y, -np.ones(70))}, ValueError, "validation sample_weight"),
        ({"validation": (X[:0], Y[:0])}, ValueError, "validation x"),
        ({"callbacks": [st.EarlyStopping]}, TypeError, "callbacks contains <class"),
        ({"callbacks": 3}, TypeError, "callbacks contains 3"),
        ({"callbacks": [st.EarlyStopping("val_loss")]}, ValueError, "EarlyStopping monitors 'val_loss': .*validation="),
        ({"callbacks": [st.EarlyStopping("r2")]}, ValueError, "EarlyStopping monitors 'r2': this fit records loss, "),
    ],
)
def test_refused_fit_changes_nothing(options: dict[str, Any], error: type[Exception], message: str) -> None:
    trainer = make_trainer()
    history = trainer.fit(X, Y, epochs=1)
    before = state_of(trainer)
    with pytest.raises(error, match=message):
        trainer.fit(X, Y, **options)
    assert state_of(trainer) == before
    assert trainer.history is history


def test_one_callback_need_not_be_in_a_list() -> None:
    with pytest.raises(TypeError, match="callbacks"):
        make_trainer().fit(X, Y, callbacks=3)  # type: ignore[arg-type]
    stopping = st.EarlyStopping(patience=1, min_delta=1e9)
    assert make_trainer().fit(X, Y, epochs=9, callbacks=stopping).n_epochs == 2  # type: ignore[arg-type]


def test_verbose_prints_a_line_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    make_trainer().fit(X, Y, epochs=2, validation=(X, Y), verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert all(name in lines[0] for name in ("loss", "learning_rate", "val_r2"))
    make_trainer().fit(X, Y, epochs=2)
    assert capsys.readouterr().out == ""


# --- Callbacks ---


class Recorder(st.Callback):
    """Writes down what it is called with."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def on_train_begin(self, fit: Any) -> None:
        self.calls.append(("begin", fit.epochs, fit.batch_size, fit.n_rows, fit.metric_names))

    def on_epoch_end(self, fit: Any) -> None:
        self.calls.append(("epoch", fit.epoch, fit.metrics["loss"], fit.history["loss"][-1], fit.trainer.n_steps))

    def on_train_end(self, fit: Any) -> None:
        self.calls.append(("end", fit.epoch))


class Act(st.Callback):
    """Does something at the end of one epoch."""

    def __init__(self, epoch: int, action: Any) -> None:
        self.epoch, self.action = epoch, action

    def on_epoch_end(self, fit: Any) -> None:
        if fit.epoch == self.epoch:
            self.action(fit)


def interrupt(fit: Any) -> None:
    raise KeyboardInterrupt


def test_callbacks_see_the_fit() -> None:
    recorder = Recorder()
    history = make_trainer().fit(X, Y, epochs=2, validation=(X, Y), callbacks=[recorder])
    names = ("loss", "learning_rate", "seconds", "val_loss", "val_r2", "val_rmse", "val_mae")
    assert tuple(history) == names
    first, second = history["loss"]
    assert recorder.calls == [
        ("begin", 2, 32, 70, names),
        ("epoch", 0, first, first, 3),
        ("epoch", 1, second, second, 6),
        ("end", 1),
    ]


def test_callback_may_stop_the_fit() -> None:
    recorder = Recorder()
    history = make_trainer().fit(X, Y, epochs=9, callbacks=[Act(2, lambda fit: fit.stop()), recorder])
    assert history.n_epochs == 3
    assert recorder.calls[-1] == ("end", 2)


def test_every_begun_callback_is_ended() -> None:
    class Failing(st.Callback):
        def on_train_begin(self, fit: Any) -> None:
            raise OSError("disk full")

    first, last = Recorder(), Recorder()
    with pytest.raises(OSError, match="disk full"):
        make_trainer().fit(X, Y, callbacks=[first, Failing(), last])
    assert [call[0] for call in first.calls] == ["begin", "end"]
    assert last.calls == []


def test_on_progress_reports_progress_within_the_epoch() -> None:
    class Watch(st.Callback):
        seen: ClassVar[list[tuple[int, float]]] = []

        def on_progress(self, fit: Any) -> None:
            self.seen.append((fit.rows_done, fit.running_loss))

    x = np.tile(X, (2000, 1))
    net = st.Network(3, [st.Dense(256, "tanh"), st.Dense(256, "tanh"), st.Dense(2)])
    st.Trainer(net, "mse", st.SGD(0.01)).fit(x, np.tile(Y, (2000, 1)), epochs=1, callbacks=[Watch()])
    rows = [rows for rows, _ in Watch.seen]
    assert rows and rows == sorted(rows) and rows[0] > 0 and rows[-1] <= len(x)
    assert all(0 < loss < 10 for _, loss in Watch.seen)


def test_interrupt_within_an_epoch_leaves_whole_steps() -> None:
    class Interrupt(st.Callback):
        def on_progress(self, fit: Any) -> None:
            raise KeyboardInterrupt

    x = np.tile(X, (2000, 1))
    net = st.Network(3, [st.Dense(256, "tanh"), st.Dense(256, "tanh"), st.Dense(2)])
    trainer, recorder = st.Trainer(net, "mse", st.SGD(0.01)), Recorder()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(x, np.tile(Y, (2000, 1)), epochs=1, callbacks=[recorder, Interrupt()])
    assert 0 < trainer.n_steps < math.ceil(len(x) / 32)
    assert recorder.calls[-1] == ("end", 0)
    assert all(np.isfinite(value).all() for value in net.parameters.values())
    trainer.fit(X, Y, epochs=1)  # and on it goes


def test_interrupt_keeps_history_and_ends_callbacks() -> None:
    trainer, recorder = make_trainer(), Recorder()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, epochs=9, callbacks=[recorder, Act(3, interrupt)])
    assert trainer.history.n_epochs == 4
    assert recorder.calls[-1] == ("end", 3)


class Script(st.Callback):
    """Puts given values in the place of a metric and remembers the weights of each epoch."""

    def __init__(self, name: str, values: list[float]) -> None:
        self.name, self.values, self.weights = name, values, []  # type: ignore[var-annotated]

    def on_epoch_end(self, fit: Any) -> None:
        fit.metrics[self.name] = self.values[fit.epoch]
        self.weights.append(fit.trainer.network.parameters["0.weight"])


def fit_script(stopping: st.EarlyStopping, values: list[float], name: str = "val_loss", **options: Any) -> Any:
    """Fit while the watched metric follows a script; return the epochs run and the epoch whose weights are there."""
    script, trainer = Script(name, values), make_trainer(loss="cross_entropy")
    extra = options.pop("extra", [])
    expected = options.pop("raises", None)
    run = {"epochs": len(values), "validation": (X, LABELS), "callbacks": [script, stopping, *extra]}
    if expected is None:
        trainer.fit(X, LABELS, **run)
    else:
        with pytest.raises(expected):
            trainer.fit(X, LABELS, **run)
    now = trainer.network.parameters["0.weight"]
    return len(script.weights), [np.array_equal(now, weights) for weights in script.weights].index(True)


@pytest.mark.parametrize(
    ("stopping", "values", "epochs", "kept"),
    [
        (st.EarlyStopping(patience=2), [5, 4, 3, 4, 3, 1], 5, 2),
        (st.EarlyStopping(patience=9), [5, 4, 3, 4, 5, 6], 6, 2),  # all epochs done: the best all the same
        (st.EarlyStopping(patience=2, restore_best=False), [5, 4, 3, 4, 3, 1], 5, 4),
        (st.EarlyStopping(patience=2, min_delta=0.5), [5, 4.8, 4.6, 1], 3, 2),  # a small gain is kept, not waited for
        (st.EarlyStopping(patience=2), [math.nan, math.nan, 1], 2, 1),
        (st.EarlyStopping(patience=2, mode="max"), [5, 6, 4, 4, 9], 4, 1),
    ],
)
def test_early_stopping(stopping: st.EarlyStopping, values: list[float], epochs: int, kept: int) -> None:
    assert fit_script(stopping, values) == (epochs, kept)


def test_early_stopping_knows_that_accuracy_grows() -> None:
    stopping = st.EarlyStopping("val_accuracy", patience=1)
    assert fit_script(stopping, [0.5, 0.7, 0.6, 0.9], "val_accuracy") == (3, 1)
    assert fit_script(stopping, [0.9, 0.7], "val_accuracy") == (2, 0)  # and starts anew in each fit


def test_early_stopping_keeps_the_best_whatever_ends_the_fit() -> None:
    def explode(fit: Any) -> None:
        fit.trainer.learning_rate = 1e30

    assert fit_script(st.EarlyStopping(), [3, 1, 2, 3], extra=[Act(2, interrupt)], raises=KeyboardInterrupt) == (3, 1)
    blown = fit_script(st.EarlyStopping(), [3, 1, 2, 3, 4], extra=[Act(2, explode)], raises=st.DivergedError)
    assert blown == (3, 1)


def test_early_stopping_decides_the_best_epoch() -> None:
    trainer = make_trainer(loss="cross_entropy")
    history = trainer.fit(X, LABELS, validation=(X, LABELS), epochs=5, callbacks=[st.EarlyStopping("loss")])
    assert history.monitor == "loss" and history.best_epoch == np.argmin(history["loss"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"patience": 0}, "patience is 0"), ({"min_delta": -1}, "min_delta is -1"), ({"mode": "best"}, "mode is 'best'")],
)
def test_early_stopping_checks_its_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        st.EarlyStopping(**arguments)


# --- Divergence ---


def test_divergence_returns_to_the_last_finite_epoch() -> None:
    trainer = make_trainer(st.SGD(0.05, momentum=0.9), dropout=0.0)
    trainer.fit(X, Y, epochs=2)
    before = {name: value.tolist() for name, value in (trainer.network.parameters | trainer.network.buffers).items()}
    trainer.learning_rate = 1e20
    with pytest.raises(st.DivergedError, match="learning rate 1e[+]20") as caught:
        trainer.fit(X, Y, epochs=3)
    error = caught.value
    assert re_all(str(error), f"epoch {error.epoch}", f"step {error.step}", "Scale x", "lower the learning rate")
    assert error.learning_rate == pytest.approx(1e20) and not math.isfinite(error.loss)
    after = {name: value.tolist() for name, value in (trainer.network.parameters | trainer.network.buffers).items()}
    assert after == before
    trainer.learning_rate = 0.01
    assert np.isfinite(trainer.fit(X, Y, epochs=2)["loss"]).all()


def test_without_rollback_the_last_finite_step_stands() -> None:
    trainer = make_trainer(st.SGD(lambda step: 0.01 if step < 3 else 1e30), dropout=0.0)
    before = state_of(trainer)
    with pytest.raises(st.DivergedError) as caught:
        trainer.fit(X, Y, epochs=1, batch_size=10, rollback=False)
    assert caught.value.step > 3 and "last finite epoch" not in str(caught.value)
    assert state_of(trainer)["0.weight"] != before["0.weight"]


def re_all(text: str, *parts: str) -> bool:
    """Whether all parts are in the text."""
    return all(part in text for part in parts)


def test_update_after_the_last_loss_is_judged_too() -> None:
    trainer = st.Trainer(st.Network(3, [st.Dense(2)]), "mse", st.SGD(1e38))
    before = state_of(trainer)
    with pytest.raises(st.DivergedError, match="in epoch 0, step 0, at the learning rate 1e[+]38"):
        trainer.fit(1e4 * X, 1e4 * Y, epochs=1, batch_size=70)
    assert state_of(trainer)["0.weight"] == before["0.weight"]


def test_step_diverges_without_a_trace() -> None:
    trainer = make_trainer(dropout=0.0)
    trainer.step(X, Y)
    trainer.network.set_parameters({"3.weight": np.full((8, 2), 3e38)})
    before = state_of(trainer)
    with pytest.raises(st.DivergedError, match="learning rate"):
        trainer.step(X, Y)
    assert state_of(trainer) == before
    assert issubclass(st.DivergedError, ArithmeticError)


# --- Checkpoints, copies and texts ---


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("duplicate", ["file", "pickle", "deepcopy"])
def test_trainer_goes_on_bit_for_bit(optimizer: Optimizer, duplicate: str, tmp_path: Path, dtype: str) -> None:
    trainer = make_trainer(optimizer, dtype=dtype, seed=4)
    trainer.network.preprocessing = {"scale": 2.0}
    trainer.fit(X, Y, epochs=2, batch_size=16)
    if duplicate == "file":
        trainer.save(tmp_path / "run")
        twin = st.Trainer.resume(tmp_path / "run")
    else:
        twin = pickle.loads(pickle.dumps(trainer)) if duplicate == "pickle" else copy.deepcopy(trainer)
    assert repr(twin) == repr(trainer) and twin.network.preprocessing == {"scale": 2.0}
    assert state_of(twin) == state_of(trainer)
    trainer.fit(X, Y, epochs=2, batch_size=16)
    assert state_of(twin) != state_of(trainer)
    twin.fit(X, Y, epochs=2, batch_size=16)
    assert twin.step(X[:5], Y[:5]) == trainer.step(X[:5], Y[:5])
    assert state_of(twin) == state_of(trainer)


@pytest.mark.parametrize(
    "lr",
    [
        st.schedules.cosine(0.1, total=40, warmup=3),
        st.schedules.plateau(0.1, patience=0, threshold=0.5),
        st.schedules.step(0.1, every=1, unit="epochs"),
        st.schedules.constant(0.02),
    ],
    ids=str,
)
def test_schedule_goes_on_too(lr: Any, tmp_path: Path) -> None:
    trainer = make_trainer(st.SGD(lr))
    trainer.fit(X, Y, epochs=3)
    trainer.save(tmp_path / "run")
    twin = st.Trainer.resume(tmp_path / "run")
    assert twin.learning_rate == trainer.learning_rate
    histories = [t.fit(X, Y, epochs=3)["learning_rate"].tolist() for t in (trainer, twin)]
    assert histories[0] == histories[1]
    assert state_of(twin) == state_of(trainer)


def test_rate_set_by_hand_is_saved(tmp_path: Path) -> None:
    trainer = make_trainer(st.SGD(st.schedules.cosine(0.1)))
    trainer.learning_rate = 0.007
    trainer.save(tmp_path / "run")
    assert st.Trainer.resume(tmp_path / "run").learning_rate == 0.007


def test_own_function_cannot_be_saved(tmp_path: Path) -> None:
    def halving(step: int) -> float:
        return float(0.1 * 0.5**step)

    trainer = make_trainer(st.SGD(halving))
    with pytest.raises(
        ValueError, match="cannot save the learning rate .*halving: only numbers and steepest.schedules"
    ):
        trainer.save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_checkpoint_holds_the_network(tmp_path: Path) -> None:
    trainer = make_trainer()
    trainer.fit(X, Y, epochs=1)
    trainer.save(tmp_path / "run")
    assert np.array_equal(st.load(tmp_path / "run").predict(X), trainer.network.predict(X))


def test_model_is_no_checkpoint(tmp_path: Path) -> None:
    make_trainer().network.save(tmp_path / "net")
    with pytest.raises(ValueError, match="net: a model without a trainer"):
        st.Trainer.resume(tmp_path / "net")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["trainer"].pop("optimizer"), "the trainer has no option 'optimizer'"),
        (lambda m: m["trainer"].update(loss="l2"), "loss is 'l2'"),
        (lambda m: m["trainer"].update(debug=True), "debug"),
        (lambda m: m["trainer"]["optimizer"].update(type="Lion"), "optimizer type is 'Lion'"),
        (lambda m: m["trainer"]["optimizer"].update(lr="fast"), "lr is 'fast'"),
        (lambda m: m["trainer"]["optimizer"].update(lr={"type": "eval"}), "schedule type is 'eval'"),
        (lambda m: m["trainer"].update(optimizer=[]), "optimizer is \\[\\]"),
    ],
)
def test_resume_refuses_what_does_not_fit(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "run"
    make_trainer().save(path)
    tensors, metadata = files.read_model(path)
    change(metadata)
    files.write_model(path, tensors, metadata)
    with pytest.raises(ValueError, match=f"run: .*{message}"):
        st.Trainer.resume(path)


def test_resume_refuses_state_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "run"
    trainer = make_trainer()
    trainer.step(X, Y)
    trainer.save(path)
    tensors, metadata = files.read_model(path)
    states = [name for name in tensors if name.startswith("trainer.")]
    for name in states:
        for damaged in ({}, {name: np.zeros((3, 5), np.float32)}, {f"{name}x": tensors[name]}):
            rest = {other: tensor for other, tensor in tensors.items() if other != name}
            files.write_model(path, rest | damaged, metadata)
            with pytest.raises(ValueError, match="run: "):
                st.Trainer.resume(path)


def test_trainer_repr() -> None:
    net = st.Network(3, [st.Dense(1)])
    trainer = st.Trainer(net, "quantile", st.SGD(0.1), quantile=0.9)
    assert repr(trainer) == f"Trainer({net!r}, 'quantile', SGD(lr=0.1), quantile=0.9, seed=0)"


def test_mnist_is_learned(isa: str, shared_data: Path) -> None:
    """PyTorch gets 96.2 to 96.7% with the same settings."""
    x = files.read_idx(shared_data / "t10k-images-idx3-ubyte.gz").reshape(-1, 784) / np.float32(255)
    y = files.read_idx(shared_data / "t10k-labels-idx1-ubyte.gz")
    network = st.Network(784, [st.Dense(128, "relu"), st.Dense(10)], seed=0)
    trainer = st.Trainer(network, "cross_entropy", st.SGD(0.1, momentum=0.9))
    trainer.fit(x[:8000], y[:8000], epochs=10, batch_size=64)
    assert trainer.evaluate(x[8000:], y[8000:])["accuracy"] >= 0.96
