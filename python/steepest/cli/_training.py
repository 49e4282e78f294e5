"""Training on a table from the command line: split, fitted, and measured on rows held out. Needs scikit-learn."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from .._model_file import LONGEST_HEADER
from .._validation import choice
from ..callbacks import Callback
from ..estimators import MLPClassifier, MLPRegressor
from ..recipe import Recipe
from ..tables import TASKS, Classes, DataWarning, TableEncoder, Units, infer_task
from ..tables._columns import read_column
from ..tables.targets import other_task
from ._interrupts import raised
from ._models import Estimator, describe_task, encoder_of, load_estimator, rows_for, score, with_target
from ._reading import Reading
from ._splitting import Places, splitter
from .console import ProgressBar, new_console, print_numbers, tell

_FEWEST_ROWS = 10
_SHOWN = 60  # columns in the table at the start
_CHOOSING = 0.15  # of the rows to learn from, to choose the best epoch by, where groups or times part them


@dataclass(frozen=True)
class Use:
    """The target, and the use of the other columns and of the rows.

    Parameters
    ----------
    target : str
        The column to predict.
    task : {"auto", "classification", "regression"}, default="auto"
        What it is.
    holdout : float, default=0.2
        Share of the rows to measure by at the end; 0 to learn from all.
    seed : int, default=0
        Of the split and the training.
    group, time : str, optional
        Columns that the split goes by.
    weight : str, optional
        The column of the rows' weights.
    ignore : sequence of str, default=()
        Columns that are not used.
    valid : Path, optional
        A table of its own to choose the best epoch by.
    """

    target: str
    task: str = "auto"
    holdout: float = 0.2
    seed: int = 0
    group: str | None = None
    time: str | None = None
    weight: str | None = None
    ignore: Sequence[str] = ()
    valid: Path | None = None

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        choice("--task", self.task, TASKS)
        if self.valid is not None and (self.group or self.time):
            raise ValueError("--valid brings rows of its own: expected it without --group and --time")
        used = {"--target": self.target, "--group": self.group, "--time": self.time, "--weight": self.weight}
        for option, name in used.items():
            if name is not None and name in self.ignore:
                raise ValueError(f"--ignore is {name!r}, which is the column of {option}: expected another one")
            if name == self.target and option != "--target":
                raise ValueError(f"{option} is {name!r}, which is the target: expected another column")

    def check_columns(self, table: Any, path: Path) -> None:
        """Refuse names that the table has not."""
        options = [("--group", self.group), ("--time", self.time), ("--weight", self.weight)]
        for option, name in [*options, *(("--ignore", name) for name in self.ignore)]:
            if name is not None and name not in table.column_names:
                raise ValueError(
                    f"{path}: no column {name!r}, which {option} names: found {', '.join(table.column_names)}"
                )

    @property
    def no_features(self) -> set[str]:
        """The columns that the network is not told."""
        return {name for name in (self.target, self.group, self.weight, *self.ignore) if name is not None}


@dataclass(frozen=True)
class Part:
    """Rows with their targets and weights.

    Parameters
    ----------
    table : pyarrow.Table
        The columns that the network is told.
    truth : array of shape (n,)
        The target's values.
    weight : array of shape (n,), optional
        None: every row counts 1.
    """

    table: Any
    truth: NDArray[Any]
    weight: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, table: Any, path: Path, use: Use, reading: Reading) -> tuple[Part, Any]:
        """Take a table apart; the table itself comes back without the rows that have no target."""
        use.check_columns(table, path)
        table, truth = with_target(table, use.target, path, reading)
        weight = None if use.weight is None else _weights(table, use.weight, path)
        dropped = [name for name in table.column_names if name in use.no_features]
        return cls(table.drop_columns(dropped), truth, weight), table

    def __len__(self) -> int:
        return len(self.truth)

    def at(self, places: Places) -> Part:
        """Return some of the rows."""
        weight = None if self.weight is None else self.weight[places]
        return Part(self.table.take(places), self.truth[places], weight)


@dataclass(frozen=True)
class Job:
    """A table that is to be learned.

    Parameters
    ----------
    path : Path
        Where it was read from.
    use : Use
        What is to be learned.
    task : {"classification", "regression"}
        What that is.
    rows : Part
        All rows.
    training, held_out : array of int
        Places of the rows to learn from, and of those to measure by.
    choosing : Part, optional
        Rows to choose the best epoch by, where they are not the estimator's to draw.
    """

    path: Path
    use: Use
    task: str
    rows: Part
    training: Places
    held_out: Places
    choosing: Part | None = field(default=None)

    @classmethod
    def of(cls, path: Path, table: Any, use: Use, reading: Reading) -> Job:
        """Decide what is to be done, and hold a share of the rows out: whole groups, or the latest, where asked for."""
        rows, table = Part.of(table, path, use, reading)
        if len(rows) < _FEWEST_ROWS:
            raise ValueError(f"{path}: {len(rows)} rows: expected at least {_FEWEST_ROWS}")
        task = infer_task(use.target, rows.truth) if use.task == "auto" else use.task
        encoded: Classes | Units = (Classes if task == "classification" else Units).fit(use.target, rows.truth)
        labels = encoded.encode(use.target, rows.truth) if isinstance(encoded, Classes) else None
        split = splitter(table, labels, use.seed, group=use.group, time=use.time)
        everything = np.arange(len(rows))
        training, held_out = split(everything, use.holdout) if use.holdout else (everything, everything[:0])
        choosing = None
        if use.valid is not None:
            others = reading.table(use.valid, names=table.column_names)
            if not others.num_rows:
                raise ValueError(f"{use.valid}: no rows: expected at least one to choose the best epoch by")
            choosing, _ = Part.of(others, use.valid, use, reading)
        elif use.group is not None or use.time is not None:
            # As the rows at the end, so that they choose what is good there.
            training, chosen = split(training, _CHOOSING)
            choosing = rows.at(chosen)
        return cls(path, use, task, rows, training, held_out, choosing)

    def check_saveable(self) -> None:
        """Refuse a table whose labels no model file could hold: before the training, not after it."""
        if self.rows.table.nbytes < LONGEST_HEADER // 16:  # a letter takes up to 7 bytes as text in JSON within JSON
            return
        rows = self.rows.table.take(self.training)
        encoder = TableEncoder().fit(rows, np.zeros(len(self.training)), "regression")
        size = len(json.dumps(json.dumps(encoder.to_dict())))
        if size > LONGEST_HEADER:
            expected = f"expected at most {LONGEST_HEADER:,}"
            raise ValueError(f"{self.path}: names and labels take {size:,} bytes in a model file: {expected}")

    def describe(self, console: Console) -> None:
        """Say what the rows to learn from are: what becomes of each column, and what the target is taken for."""
        part = self.rows.at(self.training)
        encoder = TableEncoder(bins=Recipe.for_rows(len(part)).bins)
        encoder.fit(part.table, part.truth, self.task, target_name=self.use.target)
        tell(console, f"{self.path}: {len(self.rows):,} rows, {self.rows.table.num_columns} columns")
        *columns, target = str(encoder.describe()).split("\n")
        other = other_task(self.task, part.truth, "--task")
        left = len(columns) - 1 - _SHOWN
        more = [f"... and {left:,} more columns: steepest info MODEL names them all"] if left > 0 else []
        tell(console, "\n".join([*columns[: _SHOWN + 1], *more, f"{target}; {other}" if other else target]))

    def estimator(self, asked: dict[str, Any], callbacks: Sequence[Callback] = ()) -> Estimator:
        """Return a new estimator.

        Parameters
        ----------
        asked : dict of str to object
            Its parameters that the user decides.
        callbacks : sequence of Callback, default=()
            Beside the progress that is shown.
        """
        options = asked | {"random_state": self.use.seed, "callbacks": [*callbacks, self._progress()]}
        return MLPClassifier(**options) if self.task == "classification" else MLPRegressor(**options)

    def resumed(self, path: Path, epochs: int | None) -> Estimator:
        """Return the estimator of a file, to go on with its training."""
        estimator = load_estimator(path)
        task = "classification" if isinstance(estimator, MLPClassifier) else "regression"
        if (task, estimator.target_name_) != (self.task, self.use.target):
            found = describe_task(estimator)
            raise ValueError(f"--resume: {path} is a model of {found}: expected {self.task} of {self.use.target}")
        estimator.set_params(warm_start=True, callbacks=[self._progress()])
        return estimator if epochs is None else estimator.set_params(max_iter=epochs)

    def fit(self, estimator: Estimator, console: Console, out: Path | None = None) -> bool:
        """Train an estimator, write it, and say how it went.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            Of `estimator` or `resumed`.
        console : Console
            Where to say it.
        out : Path, optional
            The model's file.

        Returns
        -------
        bool
            Whether Ctrl-C ended the training early; what was best until then is kept.
        """
        part, chosen = self.rows.at(self.training), self.choosing
        start, interrupted = time.perf_counter(), False
        eval_set = None if chosen is None else (chosen.table, chosen.truth, *_given(chosen.weight))
        try:
            with raised(), warnings.catch_warnings():
                warnings.simplefilter("ignore", DataWarning)  # `describe` has told of the columns
                estimator.fit(part.table, part.truth, sample_weight=part.weight, eval_set=eval_set)
        except KeyboardInterrupt:
            if not estimator.__sklearn_is_fitted__():
                raise
            interrupted = True
        seconds = time.perf_counter() - start
        estimator.target_name_ = self.use.target
        estimator.set_params(callbacks=None, warm_start=False)
        if out is not None:  # before anything is said: who listens may have gone
            estimator.save(out)
        encoder, found = encoder_of(estimator), estimator.recipe_
        features = "" if encoder is None else f", from {len(encoder.columns)} columns as {encoder.n_features} features"
        early = "Interrupted: what was best until then is kept.\n" if interrupted else ""
        tell(
            console,
            f"{describe_task(estimator)}{features}\n"
            f"{found['training_rows']:,} rows to train on, {found['held_out_rows']:,} to choose the best epoch by, "
            f"{len(self.held_out):,} held out\n{early}{_course(estimator)} in {seconds:.1f} s",
        )
        return interrupted

    def measure(self, estimator: Estimator, console: Console) -> dict[str, float]:
        """Measure an estimator on the rows held out, of which there are some, and say so."""
        part = self.rows.at(self.held_out)
        numbers = score(estimator, rows_for(estimator, part.table, self.path), self.use.target, part.truth)
        print_numbers(console, f"On the {len(part):,} held-out rows", numbers)
        return numbers

    def _progress(self) -> ProgressBar:
        metric = "val_accuracy" if self.task == "classification" else "val_r2"
        return ProgressBar(new_console(stderr=True), metric)


def _weights(table: Any, name: str, path: Path) -> NDArray[np.float64]:
    """Return the column of weights."""
    column = read_column(name, table.column(name), "number")
    values = np.asarray(column.values, np.float64)
    if column.kind != "number" or not (values >= 0).all():
        row = int((~(values >= 0)).argmax()) if column.kind == "number" else 0
        found = "no numbers" if column.kind != "number" else f"{values[row]:g} in row {row} (the first row is 0)"
        raise ValueError(f"{path}: column {name!r} of --weight has {found}: expected numbers >= 0 in every row")
    return values


def _given(weight: NDArray[np.float64] | None) -> list[NDArray[np.float64]]:
    return [] if weight is None else [weight]


def _course(estimator: Estimator) -> str:
    """Return how the training went, in words."""
    histories = estimator.histories_
    if len(histories) > 1:
        epochs = sorted(history.n_epochs for history in histories)
        span = f"{epochs[0]}" if epochs[0] == epochs[-1] else f"{epochs[0]} to {epochs[-1]}"
        return f"Trained {len(histories)} networks of {span} epochs, each on other rows,"
    kept = f", kept number {(histories[0].best_epoch or 0) + 1}," if estimator.recipe_["held_out_rows"] else ""
    return f"Trained {histories[0].n_epochs} epochs{kept}"
