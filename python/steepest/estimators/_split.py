"""Rows held out of an estimator's training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from ..tables import split_rows
from ._errors import warn_caller
from ._input import Rows
from ._plan import FitPlan, Places
from ._preprocess import Preprocessor
from ._shared import Once
from ._task import Task
from ._trainings import Part


@dataclass(frozen=True)
class Split:
    """The rows of a fit, by what they are for.

    Parameters
    ----------
    fitted : Rows
        What scales and encoders are learned from: all rows that some network trains on.
    held_out : Rows, optional
        Those that no network trains on.
    crossed : list of pairs of arrays of int
        Where each network holds other rows out: places of its training rows, and of those it holds out.
    """

    fitted: Rows
    held_out: Rows | None
    crossed: list[tuple[Places, Places]]

    @classmethod
    def of(cls, plan: FitPlan, task: Task, rows: Rows, eval_rows: Rows | None, random: np.random.RandomState) -> Split:
        """Hold rows out as planned, unless there are `eval_rows` to choose the best epoch by."""
        splits = [] if eval_rows is not None else _held_out(plan, task, rows, random)
        if plan.settings.eval_metric and not (plan.online or eval_rows or splits):
            raise ValueError(f"eval_metric has none of {len(rows)} rows to measure: expected more, or an eval_set")
        if len(splits) != 1:
            return cls(rows, eval_rows, splits)
        training, valid = splits[0]
        held = rows.at(valid)
        return cls(rows.at(training), None if held.weight is not None and not held.weight.any() else held, [])

    @property
    def holds_out(self) -> bool:
        """Whether there are held-out rows."""
        return self.held_out is not None or bool(self.crossed)

    @property
    def n_training(self) -> int:
        """Rows that a network trains on."""
        return len(self.crossed[0][0] if self.crossed else self.fitted.y)

    def parts(self, task: Task, preprocessor: Preprocessor, features: Any, plan: FitPlan, once: Once) -> list[Part]:
        """Return the part of each network, of `features` that were made of the fitted rows.

        `once` may know the features of held-out rows.
        """
        trained = replace(self.fitted, x=features, y=task.trained(self.fitted.y, plan.label_smoothing))
        if not self.crossed:
            held = given = self.held_out
            if given is not None:
                held = replace(given, x=once(lambda: preprocessor.features(given.x)), y=task.scaled(given.y))
            return [Part(lambda: trained, held)] * plan.n_networks
        measured = replace(trained, y=task.scaled(self.fitted.y))
        return [
            Part(partial(trained.at, training), measured.at(valid), of=(trained, training))
            for training, valid in self.crossed
        ]


def _held_out(plan: FitPlan, task: Task, rows: Rows, random: np.random.RandomState) -> list[tuple[Places, Places]]:
    """Return places to train each network on, and to hold out; none if none are."""
    n = len(rows)
    if not plan.holds_out(n):
        return []
    places, labels, share = np.arange(n), task.strata(rows.y), plan.held_share(n)
    if plan.settings.like_sklearn:
        stratify = None if labels is None else task.as_labels(labels)
        return [train_test_split(places, random_state=random, test_size=share, stratify=stratify)]
    try:
        splits = [split_rows(places, share, plan.seed, labels, part) for part in range(plan.n_networks)]
    except ValueError as error:
        if plan.settings.early_stopping:
            raise ValueError(f"early_stopping is True, but {error}") from None
        return []
    if labels is not None:
        _warn_of_lone(task.as_labels(np.flatnonzero(np.bincount(labels) == 1)))
    return splits


def _warn_of_lone(labels: NDArray[Any]) -> None:
    """Warn of classes that have one row."""
    if len(labels):
        listed = ", ".join(map(repr, labels[:5].tolist())) + (" and others" if len(labels) > 5 else "")
        warn_caller(f"y has one row only of the class {listed}: it is trained on, none is held out")
