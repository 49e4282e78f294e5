"""The hooks of callbacks: which are called when and by which name, and that watching batches changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import steepest as st
from helpers import eps, normal, state_of
from steepest.callbacks import OLD_NAMES, FitState
from steepest.training import _rows
from steepest.training._loop import run_epochs

X, Y = normal(0, (70, 3)), normal(1, (70, 2))
WEIGHT = np.where(np.arange(70) < 16, 0.0, np.arange(70) % 3 + 0.5)  # without shuffle, a whole batch of 16 has none
HOOKS = ("on_train_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_train_end")
Calls = list[tuple[Any, ...]]


def make_trainer(loss: Any = "mse", dtype: str = "float64", **options: Any) -> st.Trainer:
    layers = [st.Dense(8, "tanh"), st.BatchNorm(), st.Dropout(0.3), st.Dense(2)]
    network = st.Network(3, layers, seed=1, dtype=dtype)
    return st.Trainer(network, loss, st.Adam(st.schedules.cosine(0.02)), seed=2, **options)


def noting(calls: Calls, *names: str) -> dict[str, Callable[[FitState], object]]:
    def note(name: str) -> Callable[[FitState], object]:
        return lambda fit: calls.append((name, fit.epoch, fit.rows_done))

    return {name: note(name) for name in names}


def squared(y: Any, prediction: Any) -> Any:
    error = prediction - y
    return (error**2).mean(axis=1), 2 * error / error.size


# --- Order ---


def test_hooks_are_called_in_order() -> None:
    calls: Calls = []
    make_trainer().fit(X, Y, epochs=2, callbacks=[st.LambdaCallback(**noting(calls, *HOOKS))])
    epochs = [
        [("on_epoch_begin", i, 0), *(("on_batch_end", i, rows) for rows in (32, 64, 70)), ("on_epoch_end", i, 70)]
        for i in range(2)
    ]
    assert calls == [("on_train_begin", 0, 0), *epochs[0], *epochs[1], ("on_train_end", 1, 70)]


def test_the_end_comes_in_reverse_order() -> None:
    calls: Calls = []
    callbacks = [
        st.LambdaCallback(**{name: lambda fit, i=i: calls.append((i,))}) for i in (1, 2) for name in HOOKS[-1:]
    ]
    make_trainer().fit(X, Y, epochs=1, callbacks=callbacks)
    assert calls == [(2,), (1,)]


@pytest.mark.parametrize("name", HOOKS)
def test_an_error_in_a_hook_ends_the_fit_and_the_callbacks(name: str) -> None:
    calls: Calls = []

    def fail(fit: FitState) -> None:
        raise OSError("disk full")

    first = st.LambdaCallback(**noting(calls, "on_train_end"))
    with pytest.raises(OSError, match="disk full"):
        make_trainer().fit(X, Y, epochs=3, callbacks=[first, st.LambdaCallback(**{name: fail})])
    assert [call[0] for call in calls] == ["on_train_end"]


# --- Old names ---


@pytest.mark.parametrize(("name", "old"), OLD_NAMES.items())
def test_lambda_callback_knows_the_old_names(name: str, old: str) -> None:
    calls: Calls = []
    callback = st.LambdaCallback(**noting(calls, old))
    hook = callback._hook(name)
    assert hook is not None
    hook(FitState(make_trainer(), 1, 1, 1, (), st.History()))
    assert [call[0] for call in calls] == [old]
    with pytest.raises(TypeError, match=f"{old} is the old name of {name}: expected one of them, found both"):
        st.LambdaCallback(**noting(calls, old, name))


def test_lambda_callback_takes_its_arguments_by_position_as_before() -> None:
    calls: Calls = []
    callback = st.LambdaCallback(*noting(calls, "begin", "epoch", "end").values())
    make_trainer().fit(X, Y, epochs=1, callbacks=[callback])
    assert [call[0] for call in calls] == ["begin", "epoch", "end"]


class Old(st.Callback):
    """Written for version 0.1."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_fit_begin(self, fit: FitState) -> None:
        self.calls.append("old begin")

    def wake(self, fit: FitState) -> None:
        self.calls.append("old progress")

    def on_fit_end(self, fit: FitState) -> None:
        self.calls.append("old end")


class New(Old):
    """Derived from one that was."""

    def on_train_begin(self, fit: FitState) -> None:
        super().on_fit_begin(fit)
        self.calls.append("new begin")


class Both(Old):
    """For either version."""

    def on_train_begin(self, fit: FitState) -> None:
        self.calls.append("begin")

    on_fit_begin = on_train_begin


@pytest.mark.parametrize(
    ("kind", "begin"),
    [(Old, ["old begin"]), (New, ["old begin", "new begin"]), (Both, ["begin"])],
)
def test_old_names_are_called_once(kind: type[Old], begin: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rows, "PROGRESS_INTERVAL", 0.0)
    callback, batches = kind(), st.LambdaCallback(on_batch_end=lambda fit: None)
    make_trainer().fit(X, Y, epochs=1, callbacks=[callback, batches])
    assert callback.calls == [*begin, *["old progress"] * 3, "old end"]


def test_old_names_of_a_subclass_of_ours_reach_the_base() -> None:
    class Loud(st.EarlyStopping):
        begun = 0

        def on_fit_begin(self, fit: FitState) -> None:
            super().on_fit_begin(fit)
            self.begun += 1

    stopping = Loud(patience=1, min_delta=1e9)
    assert make_trainer().fit(X, Y, epochs=9, callbacks=[stopping]).n_epochs == 2
    assert stopping.begun == 1


def test_names_may_be_mixed_in_a_hierarchy() -> None:
    calls: list[str] = []

    class Older(st.EarlyStopping):
        def on_fit_begin(self, fit: FitState) -> None:
            calls.append("old")
            super().on_fit_begin(fit)

    class Newer(Older):
        def on_train_begin(self, fit: FitState) -> None:
            calls.append("new")
            super().on_fit_begin(fit)

    assert make_trainer().fit(X, Y, epochs=9, callbacks=[Newer(patience=1, min_delta=1e9)]).n_epochs == 2
    assert calls == ["new", "old"]


def test_old_names_of_ours_can_be_called() -> None:
    class Wrapper(st.Callback):
        inner = st.EarlyStopping(patience=1, min_delta=1e9)

        def on_fit_begin(self, fit: FitState) -> None:
            self.inner.on_fit_begin(fit)

        def on_epoch_end(self, fit: FitState) -> None:
            self.inner.on_epoch_end(fit)

        def on_fit_end(self, fit: FitState) -> None:
            self.inner.on_fit_end(fit)

    assert make_trainer().fit(X, Y, epochs=9, callbacks=[Wrapper()]).n_epochs == 2


# --- After each batch ---


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"accumulate": 3},
        {"accumulate": 3, "ema": 0.9, "mixup": 0.2},
        {"update_order": "output_to_input", "layer_rates": "equal_effect"},
        {"loss": squared},
    ],
    ids=lambda options: ", ".join(options) or "plain",
)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["even", "weighted"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_watching_batches_changes_no_bit(options: dict[str, Any], weight: Any, shuffle: bool, dtype: str) -> None:
    losses: list[float] = []
    watch = st.LambdaCallback(on_batch_end=lambda fit: losses.append(fit.batch_loss))
    plain, watched = (make_trainer(dtype=dtype, **options) for _ in range(2))
    arguments: dict[str, Any] = {
        "epochs": 3, "batch_size": 16, "sample_weight": weight, "shuffle": shuffle,
        "validation": (X, Y), "metrics": [],
    }  # fmt: skip
    histories = plain.fit(X, Y, **arguments), watched.fit(X, Y, **arguments, callbacks=[watch])
    assert state_of(plain) == state_of(watched)
    for name in histories[0].keys() - {"seconds"}:
        np.testing.assert_allclose(histories[1][name], histories[0][name], rtol=100 * eps(dtype), err_msg=name)
    for expected, found in zip(plain.layer_costs, watched.layer_costs, strict=True):
        assert found == (expected[0], pytest.approx(expected[1]), pytest.approx(expected[2]))
    assert len(losses) == 3 * 5
    assert np.isnan(losses).sum() == (3 if weight is not None and not shuffle else 0)
    watched.step(X, Y)
    assert watched.layer_costs == watched._core.layer_costs()


def test_the_batch_loss_is_that_of_the_step() -> None:
    seen: list[tuple[float, float]] = []
    watch = st.LambdaCallback(on_batch_end=lambda fit: seen.append((fit.batch_loss, fit.running_loss)))
    fitted, stepped = make_trainer(), make_trainer()
    fitted.fit(X, Y, epochs=1, batch_size=32, shuffle=False, callbacks=[watch])
    fitted.learning_rate = stepped.learning_rate = 0.01
    again, losses = make_trainer(), []
    again.learning_rate = 0.01
    for start in (0, 32, 64):
        losses.append(stepped.step(X[start : start + 32], Y[start : start + 32]))
    seen.clear()
    again.fit(X, Y, epochs=1, batch_size=32, shuffle=False, callbacks=[watch])
    assert [batch for batch, _ in seen] == losses
    assert seen[-1][1] == pytest.approx(np.average(losses, weights=[32, 32, 6]))


def test_watching_batches_of_sparse_rows() -> None:
    labels, rows, states = (X[:, 0] > 0) * 1, [], []
    watch = st.LambdaCallback(on_batch_end=lambda fit: rows.append(fit.rows_done))
    for callbacks in ([], [watch]):
        trainer = make_trainer("cross_entropy")
        source = _rows.SparseRows(scipy.sparse.csr_matrix(X), labels, None, np.asarray)
        run_epochs(trainer, source, None, None, [*callbacks], 2, 32, True)
        states.append(state_of(trainer))
    assert states[0] == states[1] and rows == [32, 64, 70] * 2


def test_a_batch_may_end_the_fit_after_its_epoch() -> None:
    stop = st.LambdaCallback(on_batch_end=FitState.stop)
    assert make_trainer().fit(X, Y, epochs=9, callbacks=[stop]).n_epochs == 1


def test_divergence_while_batches_are_watched() -> None:
    trainer = make_trainer()
    before = trainer.network.parameters
    trainer.learning_rate = 1e300
    with pytest.raises(st.DivergedError, match="epoch 0, step"):
        trainer.fit(X, Y, epochs=2, callbacks=[st.LambdaCallback(on_batch_end=lambda fit: None)])
    for name, value in trainer.network.parameters.items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("callback", [st.Callback(), st.LambdaCallback(), st.Progress(), st.EarlyStopping()])
def test_plain_fits_are_not_run_batch_by_batch(callback: st.Callback) -> None:
    assert callback._hook("on_batch_end") is None


def test_the_interval_of_progress_is_the_cores() -> None:
    header = Path(__file__).resolve().parents[2] / "cpp" / "core" / "host.hpp"
    found = re.search(r"kPollInterval = std::chrono::milliseconds\((\d+)\)", header.read_text())
    assert found and int(found[1]) == 1000 * _rows.PROGRESS_INTERVAL
