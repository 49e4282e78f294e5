"""The callbacks that come with the package, and what the history draws."""

from __future__ import annotations

import csv
import errno
import os
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

import steepest as st
from helpers import normal, state_of
from steepest._extras import _EXTRAS
from steepest.callbacks import FitState, stopping

X = normal(0, (70, 3))
Y = np.stack([X[:, 0] - X[:, 1], np.tanh(X[:, 2])], axis=1)
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is full")

VALIDATION = {"validation": (X[:20], Y[:20])}


def make_trainer(lr: Any = 0.05, seed: int = 0) -> st.Trainer:
    """A trainer with a state worth keeping: momentum, dropout, running statistics."""
    network = st.Network(3, [st.Dense(8, "tanh"), st.BatchNorm(), st.Dropout(0.2), st.Dense(2)], seed=1)
    return st.Trainer(network, "mse", st.SGD(lr, momentum=0.9), seed=seed)


def long_fit(*callbacks: st.Callback) -> None:
    """Run two epochs, each so long that callbacks are woken in it."""
    x, y = np.tile(X, (2000, 1)), np.tile(Y, (2000, 1))
    net = st.Network(3, [st.Dense(256, "tanh"), st.Dense(256, "tanh"), st.Dense(2)])
    st.Trainer(net, "mse", st.SGD(0.01)).fit(x, y, epochs=2, callbacks=callbacks)


def at(epoch: int, action: Callable[[FitState], object]) -> st.Callback:
    """A callback that acts after one epoch."""
    return st.LambdaCallback(on_epoch_end=lambda fit: action(fit) if fit.epoch == epoch else None)


def fail(fit: FitState) -> None:
    """Raise an error as no other code does."""
    raise RuntimeError("on purpose")


def script(**metrics: list[float]) -> st.Callback:
    """A callback that puts given values in the place of metrics."""

    def write(fit: FitState) -> None:
        for name, values in metrics.items():
            fit.metrics[name] = fit.history._columns[name][-1] = values[fit.epoch]

    return st.LambdaCallback(on_epoch_end=write)


class Weights(st.Callback):
    """Remembers the weights after each epoch."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_epoch_end(self, fit: FitState) -> None:
        self.seen.append(fit.trainer.network.parameters["0.weight"].tolist())

    def kept_by(self, trainer: st.Trainer) -> int:
        """The epoch whose weights are there now."""
        return self.seen.index(trainer.network.parameters["0.weight"].tolist())


# --- What all have in common ---


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (st.Until(val_loss=1), "Until monitors 'val_loss': this fit records .*; val_ metrics need validation="),
        (st.Until(loss=1, gain=2), "Until monitors 'gain': this fit records loss, "),
        (st.Checkpoint("run", monitor="val_auc", best=True), "Checkpoint monitors 'val_auc'"),
    ],
)
def test_unknown_metrics_are_refused_before_anything_changes(
    callback: st.Callback, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text("precious\n")
    trainer = make_trainer()
    history = trainer.fit(X, Y, epochs=1)
    before = state_of(trainer)
    with pytest.raises(ValueError, match=message):
        trainer.fit(X, Y, epochs=2, callbacks=[st.CSVLogger("log.csv"), callback])
    assert state_of(trainer) == before and trainer.history is history
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"log.csv": "precious\n"}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: st.Checkpoint("run", 0), ValueError, "every is 0: expected a whole number >= 1"),
        (lambda: st.Checkpoint(3), TypeError, "path is 3: expected a path"),
        (lambda: st.Checkpoint(b"run"), TypeError, "path is b'run'"),
        (lambda: st.Checkpoint("run-{loss}"), ValueError, r"path is 'run-\{loss\}': expected no braces but \{epoch\}"),
        (lambda: st.Checkpoint("run-{"), ValueError, "path is"),
        (lambda: st.Checkpoint("run-{}"), ValueError, "path is"),
        (lambda: st.Checkpoint("run-{epoch.x}"), ValueError, "path is"),
        (lambda: st.Checkpoint("run", best=1), TypeError, "best is 1: expected True or False"),
        (lambda: st.Checkpoint("run", best=True, mode="up"), ValueError, "mode is 'up'"),
        (lambda: st.Checkpoint("run", monitor="loss"), ValueError, "monitor is 'loss', .*: expected best=True"),
        (lambda: st.Checkpoint("run", mode="max"), ValueError, "mode 'max': expected best=True"),
        (lambda: st.CSVLogger(None), TypeError, "path is None: expected a path"),
        (lambda: st.CSVLogger("log", append="yes"), TypeError, "append is 'yes'"),
        (lambda: st.TensorBoard(1), TypeError, "folder is 1: expected a path"),
        (lambda: st.LambdaCallback(on_epoch_end=3), TypeError, "on_epoch_end is 3: expected a function"),
        (lambda: st.TimeLimit(0), ValueError, "seconds is 0: expected a finite number > 0"),
        (lambda: st.Until(), ValueError, "Until has no targets"),
        (lambda: st.Until(loss="low"), TypeError, "loss is 'low': expected a finite number"),
        (lambda: st.Until(loss=float("nan")), ValueError, "loss is nan"),
    ],
)
def test_arguments_are_checked(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "text",
    [
        "Checkpoint('run', every=2, monitor='val_r2', mode='max', best=True)",
        "CSVLogger('log', append=True)",
        "TensorBoard('logs')",
        "TimeLimit(3.5)",
        "Until(val_r2=0.9, loss=1.0)",
    ],
)
def test_repr_is_the_call(text: str) -> None:
    assert repr(eval(text, vars(st))) == text


@pytest.mark.parametrize(
    ("make", "module"), [(lambda: st.TensorBoard("logs"), "tensorboardX"), (st.Progress, "tqdm"), (None, "matplotlib")]
)
def test_missing_package_is_named(make: Any, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (module, f"{module}.auto", f"{module}.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    trainer = make_trainer()
    before = state_of(trainer)
    if make is None:
        history = trainer.fit(X, Y, epochs=1)
        with pytest.raises(ImportError, match=r"History.plot needs matplotlib: pip install 'steepest\[plot\]'"):
            history.plot()
        return
    with pytest.raises(ImportError, match=rf"needs {module}: pip install 'steepest\[callbacks\]'"):
        trainer.fit(X, Y, callbacks=[make()])
    assert state_of(trainer) == before


def test_extras_bring_what_callbacks_need() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for package, extra in _EXTRAS.items():
        assert re.search(rf'^{extra} = \[.*"{package}>=', project, re.MULTILINE)
        is_engine = extra in ("dask", "doors", "ray")  # which are large, and of no use to most
        assert bool(re.search(rf"^all = .*[\[,]{extra}[,\]]", project, re.MULTILINE)) is not is_engine


# --- Checkpoint ---


@pytest.mark.parametrize(
    "lr",
    [0.05, st.schedules.cosine(0.05, warmup=2), st.schedules.plateau(0.05, patience=0, threshold=0.5)],
    ids=["constant", "cosine", "plateau"],
)
def test_checkpoint_goes_on_bit_for_bit(lr: Any, tmp_path: Path) -> None:
    trainer = make_trainer(lr, seed=3)
    history = trainer.fit(X, Y, epochs=6, batch_size=16, callbacks=[st.Checkpoint(tmp_path / "run-{epoch}", 2)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-2", "run-4", "run-6"]
    for done in (2, 4):
        twin = st.Trainer.resume(tmp_path / f"run-{done}")
        rest = twin.fit(X, Y, epochs=6 - done, batch_size=16)
        assert state_of(twin) == state_of(trainer)
        assert rest["loss"].tolist() == history["loss"][done:].tolist()
        assert rest["learning_rate"].tolist() == history["learning_rate"][done:].tolist()
    last = st.Trainer.resume(tmp_path / "run-6")
    assert last.fit(X, Y, epochs=2)["loss"].tolist() == trainer.fit(X, Y, epochs=2)["loss"].tolist()


def test_checkpoint_replaces_its_file(tmp_path: Path) -> None:
    trainer = make_trainer()
    steps: list[int] = []
    seen = st.LambdaCallback(on_epoch_end=lambda fit: steps.append(st.Trainer.resume(tmp_path / "run").n_steps))
    trainer.fit(X, Y, epochs=3, callbacks=[st.Checkpoint(str(tmp_path / "run")), seen])
    assert steps == [3, 6, 9]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        ({}, [1, 3, 6]),  # val_loss, smaller is better
        ({"every": 2}, [2, 6]),  # only what was looked at counts: epoch 4 is no better than 2
        ({"mode": "max"}, [1, 2, 5]),
        ({"monitor": "val_r2"}, [2, 4]),
        ({"monitor": "val_r2", "mode": "min"}, [2, 3, 5]),
    ],
)
def test_best_checkpoints(options: dict[str, Any], saved: list[int], tmp_path: Path) -> None:
    values = script(val_loss=[5, 6, 4, 6, 7, 1], val_r2=[np.nan, 0.5, 0.4, 0.6, 0.3, 0.6])
    checkpoint = st.Checkpoint(tmp_path / "{epoch:02d}", best=True, **options)
    for _ in range(2):  # and starts anew in each fit
        make_trainer().fit(X, Y, epochs=6, callbacks=[values, checkpoint], **VALIDATION)
        assert sorted(int(path.name) for path in tmp_path.iterdir()) == saved
        for path in tmp_path.iterdir():
            path.unlink()


def test_checkpoint_refuses_early_what_it_cannot_save(tmp_path: Path) -> None:
    own = make_trainer(lambda step: 0.1)
    with pytest.raises(ValueError, match="cannot save the learning rate .*lambda"):
        own.fit(X, Y, callbacks=[st.Checkpoint(tmp_path / "run")])
    lost = make_trainer()
    with pytest.raises(FileNotFoundError, match="there is no folder .*gone: '.*run'"):
        lost.fit(X, Y, callbacks=[st.Checkpoint(tmp_path / "gone" / "run")])
    with pytest.raises(IsADirectoryError, match="is a folder: expected a file"):
        lost.fit(X, Y, callbacks=[st.Checkpoint(tmp_path)])
    assert own.n_steps == lost.n_steps == 0 and os.listdir(tmp_path) == []


def full_for(epoch: int, patch: pytest.MonkeyPatch) -> st.Callback:
    """A callback after which no file can be written for an epoch, and then again."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def switch(fit: FitState) -> None:
        patch.undo()
        if fit.epoch == epoch:
            patch.setattr(os, "fsync", full)

    return st.LambdaCallback(on_epoch_begin=switch)


@pytest.mark.parametrize("best", [False, True])
def test_r20_a_checkpoint_that_fails_later_lets_the_fit_go_on(
    best: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, trainer = tmp_path / "run-{epoch}", make_trainer()
    falling = script(loss=[4.0, 2.0, 3.0, 5.0])  # where the best was lost, the next best is saved
    callbacks = [full_for(1, monkeypatch), falling, st.Checkpoint(path, best=best)]
    with pytest.warns(RuntimeWarning, match="Checkpoint could not write .*run-2: No space left.*; training goes on"):
        trainer.fit(X, Y, epochs=4, callbacks=callbacks)
    assert trainer.history.n_epochs == 4
    assert sorted(os.listdir(tmp_path)) == (["run-1", "run-3"] if best else ["run-1", "run-3", "run-4"])


# --- CSVLogger ---


def test_csv_has_the_history(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("something older\nand longer\n" * 99)
    rows: list[int] = []
    seen = st.LambdaCallback(on_epoch_end=lambda fit: rows.append(len(path.read_text().splitlines())))
    history = make_trainer().fit(X, Y, epochs=3, callbacks=[st.CSVLogger(path), seen], **VALIDATION)
    assert rows == [2, 3, 4]  # flushed after each epoch
    with path.open(newline="") as file:
        names, *table = csv.reader(file)
    assert names == list(history)
    for name, column in zip(names, zip(*table, strict=True), strict=True):
        assert [float(number) for number in column] == history[name].tolist()


def test_csv_is_appended_or_replaced(tmp_path: Path) -> None:
    path, trainer = tmp_path / "log.csv", make_trainer()

    def losses(**options: bool) -> list[float]:
        trainer.fit(X, Y, epochs=2, callbacks=[st.CSVLogger(path, **options)])
        with path.open(newline="") as file:
            return [float(row["loss"]) for row in csv.DictReader(file)]

    first = losses(append=True)  # a new file gets its names all the same
    assert first == trainer.history["loss"].tolist()
    assert losses(append=True) == first + trainer.history["loss"].tolist()
    assert losses() == trainer.history["loss"].tolist()


def test_csv_of_other_metrics_is_not_appended_to(tmp_path: Path) -> None:
    path, trainer = tmp_path / "log.csv", make_trainer()
    trainer.fit(X, Y, epochs=1, callbacks=[st.CSVLogger(path)])
    text, before = path.read_text(), state_of(trainer)
    with pytest.raises(ValueError, match="log.csv: columns loss, learning_rate, seconds, expected loss, .*val_loss"):
        trainer.fit(X, Y, callbacks=[st.CSVLogger(path, append=True)], **VALIDATION)
    assert path.read_text() == text and state_of(trainer) == before


def test_csv_is_closed_whatever_ends_the_fit(tmp_path: Path) -> None:
    logger = st.CSVLogger(tmp_path / "log.csv")
    files: list[Any] = []
    keep = st.LambdaCallback(on_train_begin=lambda fit: files.append(logger._file))
    with pytest.raises(RuntimeError):
        make_trainer().fit(X, Y, callbacks=[logger, keep, at(1, fail)])
    assert files[0].closed and logger._file is None


@needs_full
def test_r20_a_log_on_a_full_disk_lets_the_fit_go_on(tmp_path: Path) -> None:
    trainer, path = make_trainer(), tmp_path / "log.csv"
    logger = st.CSVLogger(path)

    def fill(fit: FitState) -> None:
        if fit.epoch == 1:
            logger._file.flush()
            os.dup2(os.open("/dev/full", os.O_WRONLY), logger._file.fileno())

    fills = st.LambdaCallback(on_epoch_begin=fill)
    with pytest.warns(RuntimeWarning, match=r"CSVLogger could not write .*log\.csv: No space left.*; training goes on"):
        trainer.fit(X, Y, epochs=3, callbacks=[logger, fills])
    assert trainer.history.n_epochs == 3 and logger._file is None
    assert len(path.read_text().splitlines()) == 2


@needs_full
def test_r20_a_log_is_written_on_once_there_is_room(tmp_path: Path) -> None:
    trainer, path = make_trainer(), tmp_path / "log.csv"
    logger = st.CSVLogger(path)
    kept: list[int] = []

    def fill(fit: FitState) -> None:
        number = logger._file.fileno()
        if fit.epoch == 1:
            kept.append(os.dup(number))
            os.dup2(os.open("/dev/full", os.O_WRONLY), number)
        elif kept:
            os.dup2(kept.pop(), number)

    with pytest.warns(RuntimeWarning, match="CSVLogger could not write"):
        trainer.fit(X, Y, epochs=3, callbacks=[logger, st.LambdaCallback(on_epoch_begin=fill)])
    with path.open(newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == trainer.history["loss"].tolist()


def test_r20_a_log_where_none_can_be_is_refused_before_the_fit(tmp_path: Path) -> None:
    trainer = make_trainer()
    (tmp_path / "file").touch()
    for path, kind in ((tmp_path, IsADirectoryError), (tmp_path / "no" / "log.csv", FileNotFoundError)):
        with pytest.raises(kind) as caught:
            trainer.fit(X, Y, callbacks=[st.CSVLogger(path)])
        assert caught.value.filename == str(path)
    for folder in (tmp_path / "file", tmp_path / "file" / "board"):
        with pytest.raises(OSError, match="file") as caught:
            trainer.fit(X, Y, callbacks=[st.TensorBoard(folder)])
        assert str(tmp_path / "file") in str(caught.value)
    assert trainer.n_steps == 0 and os.listdir(tmp_path) == ["file"]


# --- TensorBoard ---


def test_tensorboard_gets_every_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class SummaryWriter:
        def __init__(self, logdir: str) -> None:
            calls.append(("open", logdir))

        def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
            calls.append((tag, scalar_value, global_step))

        def flush(self) -> None:
            calls.append("flush")

        def close(self) -> None:
            calls.append("close")

    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    board, trainer = st.TensorBoard(tmp_path), make_trainer()
    with pytest.raises(ValueError):  # refused: no event file is made
        trainer.fit(X, Y, callbacks=[board, st.Until(gain=1)])
    assert calls == []
    for start in (0, 6):
        history = trainer.fit(X, Y, epochs=2, callbacks=[board], **VALIDATION)
        expected: list[Any] = [("open", str(tmp_path))]
        for i in range(2):
            expected += [*((name, history[name][i], start + 3 * (i + 1)) for name in history), "flush"]
        assert calls == [*expected, "close"]
        calls.clear()


def test_r20_a_board_on_a_full_disk_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class SummaryWriter:
        def __init__(self, logdir: str) -> None: ...

        def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
            calls.append(tag)

        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            calls.append("close")  # it would wait for a thread that has ended

    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    trainer = make_trainer()
    with pytest.warns(RuntimeWarning, match="TensorBoard could not write .*: No space left.*; training goes on"):
        history = trainer.fit(X, Y, epochs=3, callbacks=[st.TensorBoard(tmp_path / "new" / "board")])
    assert history.n_epochs == 3 and calls == list(history)


# --- LambdaCallback ---


def test_lambda_callback_calls_its_functions() -> None:
    calls: list[Any] = []

    def note(name: str) -> Callable[[FitState], object]:
        return lambda fit: calls.append((name, fit.epoch, fit.history.n_epochs))

    hooks = {name: note(name) for name in ("on_train_begin", "on_epoch_end", "on_train_end")}
    make_trainer().fit(X, Y, epochs=2, callbacks=[st.LambdaCallback(**hooks), st.LambdaCallback()])
    assert calls == [("on_train_begin", 0, 0), ("on_epoch_end", 0, 1), ("on_epoch_end", 1, 2), ("on_train_end", 1, 2)]


def test_lambda_callback_reports_progress() -> None:
    rows: list[int] = []
    long_fit(st.LambdaCallback(on_progress=lambda fit: rows.append(fit.rows_done)))
    assert rows and 0 < rows[0] <= 140_000


# --- What ends a fit ---


def test_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(stopping, "time", types.SimpleNamespace(monotonic=lambda: clock.now))

    def pass_time(fit: FitState) -> None:
        clock.now += 10

    epoch = st.LambdaCallback(on_epoch_end=pass_time)
    limit = st.TimeLimit(25)
    for _ in range(2):  # and starts anew in each fit
        assert make_trainer().fit(X, Y, epochs=9, callbacks=[epoch, limit]).n_epochs == 3
    assert make_trainer().fit(X, Y, epochs=9, callbacks=[epoch, st.TimeLimit(10)]).n_epochs == 1


@pytest.mark.parametrize(
    ("targets", "epochs"),
    [
        ({"val_loss": 3}, 3),  # at most; reaching is enough
        ({"val_r2": 0.5}, 2),  # at least
        ({"val_loss": 3, "val_r2": 0.6}, 5),  # all of them, in one epoch
        ({"val_loss": 0}, 6),
    ],
)
def test_until(targets: dict[str, float], epochs: int) -> None:
    values = script(val_loss=[5, 4, 3, 6, 2, 1], val_r2=[np.nan, 0.5, 0.4, 0.6, 0.7, 0.8])
    history = make_trainer().fit(X, Y, epochs=6, callbacks=[values, st.Until(**targets)], **VALIDATION)
    assert history.n_epochs == epochs


# --- Until, by certainty ---

CLASSES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def certainty(trainer: st.Trainer, x: Any, y: Any, weight: Any = None) -> float:
    """The mean probability of what is right, by the definition."""
    z = trainer.network.predict(x).astype(np.float64)
    if trainer.loss == "binary_cross_entropy":
        p = 1 / (1 + np.exp(-z))
        right = (y.reshape(p.shape) * p + (1 - y.reshape(p.shape)) * (1 - p)).mean(axis=1)
    else:
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        right = (p * (np.eye(p.shape[1])[y] if y.ndim == 1 else y)).sum(axis=1)
    return float(np.average(right, weights=weight))


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("cross_entropy", CLASSES),
        ("cross_entropy", 0.8 * np.eye(3)[CLASSES] + 0.2 / 3),
        ("binary_cross_entropy", np.minimum(CLASSES, 1)),
        ("binary_cross_entropy", np.stack([CLASSES > 0, CLASSES > 1], axis=1)),
    ],
    ids=["labels", "shares", "one answer", "two answers"],
)
@pytest.mark.parametrize("weight", [None, np.linspace(0, 1, 20)], ids=["plain", "weighted"])
def test_until_confident(loss: str, y: Any, weight: Any) -> None:
    n_out = 3 if loss == "cross_entropy" else y.reshape(len(y), -1).shape[1]
    trainer = st.Trainer(st.Network(3, [st.Dense(16, "tanh"), st.Dense(n_out)], seed=1), loss, st.Adam(0.02))
    held_out, seen = (X[:20], y[:20]) if weight is None else (X[:20], y[:20], weight), []
    watch = st.LambdaCallback(on_epoch_end=lambda fit: seen.append(certainty(trainer, *held_out)))
    until = st.Until(confidence=0.7)
    assert not until.reached
    history = trainer.fit(X, y, epochs=100, callbacks=[watch, until], validation=held_out)
    assert until.reached
    assert until.values["confidence"] == pytest.approx(seen[-1], rel=1e-6)
    assert history.n_epochs == len(seen) < 100
    assert seen[-1] >= 0.7 > max(seen[:-1])


def test_until_says_that_it_was_not_reached() -> None:
    trainer = st.Trainer(st.Network(3, [st.Dense(3)], seed=1), "cross_entropy", st.SGD(0.01))
    until = st.Until(accuracy=0.1, confidence=1.0)
    history = trainer.fit(X, CLASSES, epochs=3, callbacks=[until], validation=(X, CLASSES))
    assert (history.n_epochs, until.reached) == (3, False)
    assert until.values["accuracy"] == history["val_accuracy"][-1] >= 0.1
    assert until.values["confidence"] == pytest.approx(certainty(trainer, X, CLASSES), rel=1e-6)


def test_until_takes_the_validation_rows_where_no_other_are_measured() -> None:
    for targets, name in (({"r2": -9.0}, "val_r2"), ({"loss": 99.0}, "loss"), ({"val_loss": 99.0}, "val_loss")):
        until = st.Until(**targets)
        history = make_trainer().fit(X, Y, epochs=5, callbacks=[until], **VALIDATION)
        assert (history.n_epochs, until.reached) == (1, True)
        assert until.values == {next(iter(targets)): history[name][0]}
    make_trainer().fit(X, Y, epochs=1, callbacks=[until := st.Until(loss=0.0)])
    assert not until.reached


def test_confidence_is_refused_where_there_is_none() -> None:
    trainer = st.Trainer(st.Network(3, [st.Dense(3)]), "cross_entropy")
    with pytest.raises(ValueError, match=r"Until wants confidence: expected a fit with validation=\(x, y\)"):
        trainer.fit(X, CLASSES, callbacks=[st.Until(confidence=0.9)])
    with pytest.raises(ValueError, match="Until wants confidence: the loss is mse, expected one of classes"):
        make_trainer().fit(X, Y, callbacks=[st.Until(confidence=0.9)], **VALIDATION)
    for value in (0, 1.1):
        with pytest.raises(ValueError, match="confidence is .*: expected a finite number > 0 and <= 1"):
            st.Until(confidence=value)


# --- EarlyStopping among others ---


def explode(fit: FitState) -> None:
    """Make the next step overflow."""
    fit.trainer.learning_rate = 1e30


def interrupt(fit: FitState) -> None:
    """Do as Ctrl-C does."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("ending", "raises"),
    [
        (st.TimeLimit(1e-9), None),
        (st.Until(val_loss=9), None),
        (at(3, lambda fit: fit.stop()), None),
        (at(3, fail), RuntimeError),
        (at(3, interrupt), KeyboardInterrupt),
        (at(3, explode), st.DivergedError),
        (st.LambdaCallback(on_train_end=fail), RuntimeError),
    ],
    ids=["time", "target", "stop", "error", "ctrl-c", "divergence", "error at the end"],
)
@pytest.mark.parametrize("first", [True, False], ids=["ending first", "stopping first"])
@pytest.mark.parametrize("restore_best", [True, False])
@pytest.mark.parametrize("rollback", [True, False])
def test_best_weights_are_kept_whatever_ends_the_fit(
    ending: st.Callback, raises: type[BaseException] | None, first: bool, restore_best: bool, rollback: bool
) -> None:
    trainer, weights = make_trainer(), Weights()
    early = st.EarlyStopping(patience=4, restore_best=restore_best)
    values = script(val_loss=[30, 10, 20, 25, 15, 16])
    chain = [values, weights, *((ending, early) if first else (early, ending))]
    options: dict[str, Any] = {"epochs": 6, "callbacks": chain, "rollback": rollback, **VALIDATION}
    if raises is None:
        trainer.fit(X, Y, **options)
    else:
        with pytest.raises(raises):
            trainer.fit(X, Y, **options)
    last = len(weights.seen) - 1
    assert last == {st.TimeLimit: 0, st.Until: 5}.get(type(ending), 5 if ending_is_late(ending) else 3)
    if restore_best:
        assert weights.kept_by(trainer) == min(last, 1)
    elif raises is not st.DivergedError or rollback:
        assert weights.kept_by(trainer) == last
    assert all(np.isfinite(tensor).all() for tensor in trainer.network.parameters.values())


def ending_is_late(ending: st.Callback) -> bool:
    """Whether it lets all epochs pass."""
    return isinstance(ending, st.LambdaCallback) and ending._hooks["on_train_end"] is not None


def test_best_weights_are_kept_if_an_epoch_is_broken_off() -> None:
    weights, nets = Weights(), []

    def break_off(fit: FitState) -> None:
        nets.append(fit.trainer)
        if fit.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        long_fit(st.EarlyStopping("loss"), weights, st.LambdaCallback(on_progress=break_off))
    assert weights.kept_by(nets[-1]) == 0 and nets[-1].n_steps > 140_000 // 32


def test_best_weights_include_running_statistics() -> None:
    trainer = make_trainer()
    before: list[Any] = []
    remember = at(1, lambda fit: before.append(state_of(fit.trainer)))
    trainer.fit(X, Y, epochs=4, callbacks=[script(loss=[2, 1, 3, 4]), remember, st.EarlyStopping()])
    now = state_of(trainer)
    tensors = trainer.network.parameters | trainer.network.buffers
    assert trainer.network.buffers and {name: now[name] for name in tensors} == {
        name: before[0][name] for name in tensors
    }


def test_first_of_two_early_stoppings_decides() -> None:
    trainer, weights = make_trainer(), Weights()
    values = script(val_loss=[4, 1, 3, 2], val_r2=[0.1, 0.2, 0.9, 0.3])
    chain = [values, weights, st.EarlyStopping("val_r2"), st.EarlyStopping("val_loss")]
    history = trainer.fit(X, Y, epochs=4, callbacks=chain, **VALIDATION)
    assert weights.kept_by(trainer) == history.best_epoch == 2 and history.monitor == "val_r2"


# --- Progress ---


class Bar:
    """The part of tqdm that `Progress` uses."""

    made: list[Bar]

    def __init__(self, total: int, desc: str, **options: Any) -> None:
        self.total, self.n, self.lines, self.closed = total, 0, [desc], False
        self.places: list[int] = []
        self.made.append(self)

    def set_description(self, text: str, refresh: bool) -> None:
        self.lines.append(text)

    def set_postfix(self, numbers: dict[str, str], refresh: bool) -> None:
        self.numbers = numbers

    def update(self, n: int) -> None:
        assert not self.closed
        self.n += n
        self.places.append(self.n)

    def refresh(self) -> None:
        assert not self.closed

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    """The bars that are drawn."""
    Bar.made = []
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=Bar))
    return Bar.made


def test_progress_shows_epochs(bars: list[Bar]) -> None:
    progress, trainer = st.Progress(), make_trainer()
    history = trainer.fit(X, Y, epochs=3, callbacks=[progress], **VALIDATION)
    (bar,) = bars
    assert bar.total == bar.n == 3 * 70 and bar.closed
    assert {70, 140, 210} <= set(bar.places) and bar.places == sorted(bar.places)
    assert list(dict.fromkeys(bar.lines)) == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert bar.numbers == {name: f"{history[name][-1]:.4g}" for name in ("loss", "val_loss")}
    with pytest.raises(RuntimeError):
        trainer.fit(X, Y, epochs=3, callbacks=[at(1, fail), progress])
    assert len(bars) == 2 and bars[1].n == 70 and bars[1].closed  # left where it stands


def test_progress_moves_within_an_epoch(bars: list[Bar]) -> None:
    long_fit(st.Progress())
    (bar,) = bars
    assert bar.n == 280_000 and any(0 < place < 140_000 for place in bar.places)
    assert bar.places == sorted(bar.places)


# --- History.plot ---


def lines_of(ax: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in ax.get_lines()}


def test_plot_draws_losses_and_best_epoch() -> None:
    history = make_trainer().fit(X, Y, epochs=5, callbacks=[st.EarlyStopping("val_r2")], **VALIDATION)
    ax = history.plot()
    lines, best = lines_of(ax), history.best_epoch
    assert lines["training"].get_ydata().tolist() == history["loss"].tolist()
    assert lines["validation"].get_ydata().tolist() == history["val_loss"].tolist()
    assert lines["validation"].get_xdata().tolist() == [0, 1, 2, 3, 4]
    mark = lines[f"best epoch, {best}: val_r2 {history['val_r2'][best]:.4g}"]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (best, history["val_loss"][best])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    assert len(ax.get_legend().get_texts()) == 3
    assert all(tick == int(tick) for tick in ax.get_xticks())
    plt.close(ax.figure)


def test_plot_draws_where_it_is_told() -> None:
    history = make_trainer().fit(X, Y, epochs=1)
    figure, (left, right) = plt.subplots(1, 2)
    assert history.plot(right) is right and history.plot(ax=right) is right
    assert plt.get_fignums() == [figure.number] and not left.get_lines()
    assert lines_of(right).keys() >= {"training", f"best epoch, 0: loss {history['loss'][0]:.4g}"}
    assert "validation" not in lines_of(right) and all(tick == int(tick) for tick in right.get_xticks())
    figure.canvas.draw()
    plt.close(figure)


def test_plot_of_nothing() -> None:
    with pytest.raises(ValueError, match="the history has no epochs to plot"):
        st.History().plot()
    assert plt.get_fignums() == []
    blank = st.History()
    blank.append({"loss": float("nan")})
    ax = blank.plot()
    assert not any(label.startswith("best") for label in lines_of(ax))
    plt.close(ax.figure)
