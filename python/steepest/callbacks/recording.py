"""Callbacks that write files."""

from __future__ import annotations

import csv
import os
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._extras import require
from .._validation import Spec, choice, flag, integer
from ..metrics import MODES, monitored, sign_of
from .base import Callback, FitState

StrPath = str | os.PathLike[str]


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
    FileNotFoundError
        At the beginning of a fit, if the folder does not exist.

    Notes
    -----
    A metric that is not a number is no improvement.
    """

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
        folder = Path(self._file(1)).parent
        if not folder.is_dir():
            raise FileNotFoundError(f"Checkpoint writes to the folder {str(folder)!r}: expected one that exists")

    def on_epoch_end(self, fit: FitState) -> None:
        """Save, if it is time."""
        done = fit.epoch + 1
        if done % self.every:
            return
        if self.best:
            score = sign_of(self._name, self.mode) * fit.metrics[self._name]
            if not score > self._best:
                return
            self._best = score
        fit.trainer.save(self._file(done))

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
    """

    path: StrPath
    _: KW_ONLY
    append: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        self.path = text_path("path", self.path)
        self.append = flag("append", self.append)

    def on_train_begin(self, fit: FitState) -> None:
        """Open the file; what it holds stays for now, because the fit may yet be refused."""
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
        if not self._begun:
            self._begun = True
            self._file.truncate(0)
            writer.writerow(fit.metric_names)
        writer.writerow([fit.metrics[name] for name in fit.metric_names])
        self._file.flush()

    def on_train_end(self, fit: FitState) -> None:
        """Close the file."""
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
    """

    folder: StrPath

    def __post_init__(self) -> None:
        """Check the argument."""
        self.folder = text_path("folder", self.folder)

    def on_train_begin(self, fit: FitState) -> None:
        """Look for tensorboardX; nothing is written yet."""
        self._package: Any = require("tensorboardX", "tensorboardX", "TensorBoard")
        self._writer: Any = None

    def on_epoch_end(self, fit: FitState) -> None:
        """Write the epoch's numbers."""
        if self._writer is None:
            self._writer = self._package.SummaryWriter(self.folder)
        for name, value in fit.metrics.items():
            self._writer.add_scalar(name, value, fit.trainer.n_steps)
        self._writer.flush()

    def on_train_end(self, fit: FitState) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
        self._package = self._writer = None


def text_path(name: str, path: object) -> str:
    """Return a path as text.

    Raises
    ------
    TypeError
        If `path` is neither text nor a path; the message calls it `name`.
    """
    try:
        text = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise TypeError(f"{name} is {path!r}: expected a path")
    return text
