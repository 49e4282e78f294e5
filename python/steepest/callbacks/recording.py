"""Callbacks that write files."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from .._extras import require
from .._safe_io import StrPath, check_writable, naming, text_path
from .._validation import Spec, choice, flag, integer
from ..metrics import MODES, monitored, sign_of
from .base import Callback, FitState


@contextmanager
def _going_on(callback: str, path: StrPath) -> Iterator[None]:
    """Let a fit go on with a warning where a file cannot be written: what it has learned so far is worth more."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        warnings.warn(f"{callback} could not write {path}: {reason}; training goes on", RuntimeWarning, stacklevel=4)


@dataclass(repr=False)
class Checkpoint(Spec, Callback):
    """Save the trainer while it trains: `Trainer.resume` goes on from the file bit for bit.

    Parameters
    ----------
    path : path
        The file, as of `Trainer.save`. "{epoch}" in it stands for the number of epochs done in this fit, "{epoch:03d}"
        for that with leading zeros; without it each file replaces the one before.
    every : int, default=1
        Save (or, with `best`, look) after every so many epochs, >= 1.
    monitor : str, default=None
        The metric by which `best` decides, such as "val_accuracy". None: val_loss, or loss without validation rows.
    mode : {"auto", "min", "max"}, default="auto"
        Whether smaller or larger is better; "auto": larger for accuracy, r2, auc, f1 and top-k, smaller for the rest.
    best : bool, default=False
        Whether to save only what is better than all that this fit saved before.

    Raises
    ------
    TypeError
        If `path` is no path, or another argument of a wrong type.
    ValueError
        If `path` has braces other than {epoch}, `every` is below 1, or `monitor` or `mode` is given without `best`. At
        the beginning of a fit: if the fit has no metric `monitor`, or the trainer has a learning rate or a loss that no
        file can hold.
    OSError
        At the beginning of a fit, if the folder does not exist or nothing can be written there, or `path` is a folder.

    Warns
    -----
    RuntimeWarning
        If the file cannot be written later, as when the disk is full: training goes on, an older file stays as it was,
        and the next time it is tried again.

    Notes
    -----
    A metric that is not a number is no improvement.

    Examples
    --------
    >>> import steepest as st
    >>> trainer = st.Trainer(st.Network(1, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> x, y = [[0.0], [1.0]], [1.0, 3.0]
    >>> history = trainer.fit(x, y, epochs=4, callbacks=[st.Checkpoint("run.ckpt", every=2)])
    >>> st.Trainer.resume("run.ckpt").n_steps  # four epochs of one batch
    4
    """

    only_first_rank = True

    path: StrPath
    every: int = 1
    _: KW_ONLY
    monitor: str | None = None
    mode: str = "auto"
    best: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        self.path = text_path("path", self.path)
        try:
            self.path.format(epoch=1)
        except (LookupError, ValueError, AttributeError) as error:
            raise ValueError(f"path is {self.path!r}: expected no braces but {{epoch}} or {{{{ and }}}}") from error
        self.every = integer("every", self.every, ge=1)
        self.mode = choice("mode", self.mode, MODES)
        self.best = flag("best", self.best)
        if not self.best and (self.monitor is not None or self.mode != "auto"):
            raise ValueError(f"best is False and monitor is {self.monitor!r}, mode {self.mode!r}: expected best=True")

    def on_train_begin(self, fit: FitState) -> None:
        """Check that files can be written, and start anew."""
        self._name = monitored(self.monitor, fit.metric_names, "Checkpoint")
        self._best = -np.inf
        fit.trainer._check_saveable()
        check_writable(self._file(1))

    def on_epoch_end(self, fit: FitState) -> None:
        """Save, if it is time."""
        done = fit.epoch + 1
        if done % self.every:
            return
        score = sign_of(self._name, self.mode) * fit.metrics[self._name] if self.best else np.inf
        if self.best and not score > self._best:
            return
        path = self._file(done)
        with _going_on("Checkpoint", path):
            fit.trainer.save(path)
            self._best = score

    def _file(self, epoch: int) -> str:
        return str(self.path).format(epoch=epoch)


@dataclass(repr=False)
class CSVLogger(Spec, Callback):
    """Write a CSV file with a row for each epoch, there to read as soon as the epoch has ended.

    The first row has the names of the metrics. Numbers are written such that they read back exactly.

    Parameters
    ----------
    path : path
        The file.
    append : bool, default=False
        Whether to add to an older file, which must have the same metrics. Else it is replaced, when the first epoch has
        ended.

    Raises
    ------
    TypeError
        If `path` is no path, or `append` neither True nor False.
    ValueError
        At the beginning of a fit, if `append` is True and the file has other columns.
    OSError
        At the beginning of a fit, if the file cannot be opened.

    Warns
    -----
    RuntimeWarning
        If it cannot be written later, as when the disk is full: training goes on, and the next epoch tries again.

    Examples
    --------
    >>> import steepest as st
    >>> trainer = st.Trainer(st.Network(1, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> x, y = [[0.0], [1.0]], [1.0, 3.0]
    >>> history = trainer.fit(x, y, epochs=3, callbacks=[st.CSVLogger("run.csv")])
    >>> with open("run.csv") as file:
    ...     print(file.readline().strip())
    loss,learning_rate,seconds
    """

    only_first_rank = True

    path: StrPath
    _: KW_ONLY
    append: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        self.path = text_path("path", self.path)
        self.append = flag("append", self.append)

    def on_train_begin(self, fit: FitState) -> None:
        """Open the file; what it holds stays for now, because the fit may yet be refused."""
        with naming(self.path):
            file = open(self.path, "a+", newline="", encoding="utf-8")  # noqa: SIM115  (closed in on_train_end)
        try:
            file.seek(0)
            names = next(csv.reader(file), None) if self.append else None
            if names is not None and tuple(names) != fit.metric_names:
                expected = ", ".join(fit.metric_names)
                raise ValueError(f"CSVLogger appends to {self.path}: columns {', '.join(names)}, expected {expected}")
        except BaseException:
            file.close()
            raise
        self._file: Any = file
        self._begun = names is not None

    def on_epoch_end(self, fit: FitState) -> None:
        """Write a row."""
        writer = csv.writer(self._file, lineterminator="\n")
        with _going_on("CSVLogger", self.path):
            if not self._begun:
                self._file.truncate(0)
                self._begun = True
                writer.writerow(fit.metric_names)
            writer.writerow([fit.metrics[name] for name in fit.metric_names])
            self._file.flush()

    def on_train_end(self, fit: FitState) -> None:
        """Close the file."""
        with _going_on("CSVLogger", self.path):
            self._file.close()
        self._file = None


@dataclass(repr=False)
class TensorBoard(Spec, Callback):
    """Write the metrics of each epoch for TensorBoard, through the package tensorboardX.

    Each metric is a scalar under its own name; its step is `Trainer.n_steps`, which goes on from fit to fit.

    Parameters
    ----------
    folder : path
        The folder to write the event files to; it is made if need be.

    Raises
    ------
    TypeError
        If `folder` is no path.
    ImportError
        At the beginning of a fit, if tensorboardX is not installed.
    OSError
        At the beginning of a fit, if the folder cannot be made or nothing can be written there.

    Warns
    -----
    RuntimeWarning
        If nothing can be written later, as when the disk is full: training goes on without.

    Examples
    --------
    >>> import os
    >>> import steepest as st
    >>> trainer = st.Trainer(st.Network(1, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> x, y = [[0.0], [1.0]], [1.0, 3.0]
    >>> history = trainer.fit(x, y, epochs=3, callbacks=[st.TensorBoard("runs/first")])
    >>> len(os.listdir("runs/first"))  # a file of events, for `tensorboard --logdir runs`
    1
    """

    only_first_rank = True

    folder: StrPath

    def __post_init__(self) -> None:
        """Check the argument."""
        self.folder = text_path("folder", self.folder)

    def on_train_begin(self, fit: FitState) -> None:
        """Look for tensorboardX and for the folder; nothing is written yet."""
        self._package: Any = require("tensorboardX", "tensorboardX", "TensorBoard")
        self._writer: Any = None
        os.makedirs(self.folder, exist_ok=True)
        check_writable(os.path.join(self.folder, "events"))

    def on_epoch_end(self, fit: FitState) -> None:
        """Write the epoch's numbers."""
        if self._package is None:
            return
        package, self._package = self._package, None  # its writer would wait for ever once its thread has failed
        with _going_on("TensorBoard", self.folder):
            if self._writer is None:
                self._writer = package.SummaryWriter(self.folder)
            for name, value in fit.metrics.items():
                self._writer.add_scalar(name, value, fit.trainer.n_steps)
            self._writer.flush()
            self._package = package

    def on_train_end(self, fit: FitState) -> None:
        """Close the file."""
        if self._package is not None and self._writer is not None:
            with _going_on("TensorBoard", self.folder):
                self._writer.close()
        self._package = self._writer = None
