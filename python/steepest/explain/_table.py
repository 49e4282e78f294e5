"""Networks of tables: one trained here, by the recipe of `steepest train`, or one read from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..callbacks import Callback, History
from ..descent import Recorder
from ..network import Network
from ..recipe import LOSSES, Recipe
from ..tables import Classes, TableEncoder
from ._case import Case, Trained
from ._html import percent, short

_RECORDED_ROWS = 256

Rows = NDArray[np.float32]
Targets = NDArray[np.int64] | NDArray[np.float64]


def train(
    recipe: Recipe,
    encoder: TableEncoder,
    training: tuple[Rows, Targets],
    validation: tuple[Rows, Targets],
    *,
    seed: int,
    callbacks: Sequence[Callback] = (),
) -> tuple[Case, History]:
    """Train by a recipe while recording.

    Parameters
    ----------
    recipe : Recipe
        How.
    encoder : TableEncoder
        What made the rows.
    training, validation : (x, y)
        Rows to train on, and to choose the best epoch by.
    seed : int
        Of weights and shuffling.
    callbacks : sequence of Callback
        More of them.
    """
    recorder = Recorder(every=1, rows=_RECORDED_ROWS)
    network, history = recipe.train(
        *training, validation, task=encoder.task, n_outputs=encoder.n_outputs, seed=seed,
        callbacks=[recorder, *callbacks],
    )  # fmt: skip
    case = of_model(network, encoder, *training)
    return replace(case, trained=Trained(history, recorder, kept_best=True)), history


def of_model(network: Network, encoder: TableEncoder, x: Rows, y: Targets) -> Case:
    """Return the case of a network that is trained already."""
    target = encoder.target
    outputs = [str(label) for label in target.labels] if isinstance(target, Classes) else [encoder.target_name]
    columns = [(column.name, column.n_features) for column in encoder.columns]
    return Case("table", network, LOSSES[encoder.task], x, y, encoder.feature_names, outputs, columns)


def measured(numbers: Mapping[str, float], where: str) -> list[tuple[str, str]]:
    """Return the main numbers of `score` as the page writes them; `where` says on which rows they were taken."""
    if "accuracy" in numbers:
        return [(f"right {where}", percent(numbers["accuracy"]))]
    return [(f"R² {where}", short(numbers["r2"])), (f"mean error {where}", short(numbers["mae"]))]
