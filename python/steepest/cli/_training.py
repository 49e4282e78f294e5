"""Training on a table from the command line: split, fitted, and measured on rows held out. Needs scikit-learn."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from ..tables import TASKS, Classes, DataWarning, TableEncoder, Units, infer_task, split_rows
from ..tables._description import TableDescription
from ..tables.targets import other_task
from ._models import Estimator, describe_task, encoder_of, score, target_of
from .console import ProgressBar, print_numbers

_FEWEST_ROWS = 10


@dataclass(frozen=True)
class Job:
    """A table that is to be learned.

    Parameters
    ----------
    path : Path
        Where it was read from.
    table : pyarrow.Table
        The columns, the target's aside.
    target : str
        Name of the target.
    truth : array of shape (n,)
        Its values.
    task : {"classification", "regression"}
        What is to be done.
    training, held_out : array of int
        Places of the rows to learn from, and of those to measure by.
    """

    path: Path
    table: Any
    target: str
    truth: NDArray[Any]
    task: str
    training: NDArray[np.intp]
    held_out: NDArray[np.intp]

    @classmethod
    def of(cls, path: Path, table: Any, target: str, *, task: str, holdout: float, seed: int) -> Job:
        """Decide what is to be done, and hold a share of the rows out."""
        truth = target_of(table, target, path)
        if len(truth) < _FEWEST_ROWS:
            raise ValueError(f"{path}: {len(truth)} rows: expected at least {_FEWEST_ROWS}")
        kind = infer_task(target, truth) if choice("--task", task, TASKS) == "auto" else task
        encoded: Classes | Units = (Classes if kind == "classification" else Units).fit(target, truth)
        labels = encoded.encode(target, truth) if isinstance(encoded, Classes) else None
        training, held_out = split_rows(np.arange(len(truth)), holdout, seed, labels)
        return cls(path, table.drop_columns([target]), target, truth, kind, training, held_out)

    def check_saveable(self) -> None:
        """Refuse a table whose labels no model file could hold: before the training, not after it."""
        if self.table.nbytes < LONGEST_HEADER // 16:  # a letter takes up to 7 bytes as text in JSON within JSON
            return
        rows = self.table.take(self.training)
        encoder = TableEncoder().fit(rows, np.zeros(len(self.training)), "regression")
        size = len(json.dumps(json.dumps(encoder.to_dict())))
        if size > LONGEST_HEADER:
            expected = f"expected at most {LONGEST_HEADER:,}"
            raise ValueError(f"{self.path}: names and labels take {size:,} bytes in a model file: {expected}")

    def _description(self) -> TableDescription:
        """Return the training rows in words."""
        rows, truth = self.table.take(self.training), self.truth[self.training]
        with warnings.catch_warnings():  # which the training gives
            warnings.simplefilter("ignore", DataWarning)
            encoder = TableEncoder(bins=Recipe.for_rows(len(self.training)).bins)
            encoder.fit(rows, truth, self.task, target_name=self.target)
        found = encoder.describe()
        other = other_task(self.task, truth)
        return found if not other else replace(found, target=f"{found.target}; {other}")

    def fit(
        self, console: Console, asked: dict[str, Any], seed: int, callbacks: Sequence[Callback] = ()
    ) -> tuple[Estimator, dict[str, float]]:
        """Train an estimator, measure it, and say so.

        Parameters
        ----------
        console : Console
            Where to.
        asked : dict of str to object
            Parameters of the estimator that the user decides.
        seed : int
            Seed of the estimator.
        callbacks : sequence of Callback, default=()
            Beside the progress that is shown.
        """
        n, n_held = len(self.truth), len(self.held_out)
        console.print(f"{self.path}: {n:,} rows, {self.table.num_columns} columns", soft_wrap=True)
        console.print(str(self._description()), soft_wrap=True, markup=False)
        classifies = self.task == "classification"
        shown = ProgressBar(Console(stderr=True, highlight=False), "val_accuracy" if classifies else "val_r2")
        # The callbacks describe no network: how many there are is the recipe's to decide, or the user's.
        networks = 1 if asked else Recipe.for_rows(len(self.training)).networks
        options = {"ensemble": networks} | asked | {"random_state": seed, "callbacks": [*callbacks, shown]}
        estimator: Estimator = MLPClassifier(**options) if classifies else MLPRegressor(**options)
        start = time.perf_counter()
        estimator.fit(self.table.take(self.training), self.truth[self.training])
        seconds = time.perf_counter() - start
        estimator.target_name_ = self.target
        estimator.set_params(callbacks=None)
        encoder, found = encoder_of(estimator), estimator.recipe_
        features = "" if encoder is None else f", from {len(encoder.columns)} columns as {encoder.n_features} features"
        console.print(
            f"{describe_task(estimator)}{features}\n"
            f"{found['training_rows']:,} rows to train on, {found['held_out_rows']:,} to choose the best epoch by, "
            f"{n_held:,} held out\n{_course(estimator)} in {seconds:.1f} s",
            soft_wrap=True,
        )
        numbers = score(estimator, self.table.take(self.held_out), self.target, self.truth[self.held_out])
        print_numbers(console, f"On the {n_held:,} held-out rows", numbers)
        return estimator, numbers


def _course(estimator: Estimator) -> str:
    """Return how the training went, in words."""
    histories = estimator.histories_
    if len(histories) > 1:
        epochs = sorted(history.n_epochs for history in histories)
        return f"Trained {len(histories)} networks of {epochs[0]} to {epochs[-1]} epochs, each on other rows,"
    kept = f", kept number {(histories[0].best_epoch or 0) + 1}," if estimator.recipe_["held_out_rows"] else ""
    return f"Trained {histories[0].n_epochs} epochs{kept}"
