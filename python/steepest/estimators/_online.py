"""Scales, labels and columns that go on adapting while a fitted estimator is trained further."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..network import Network
from ..tables._bins import BinnedStandardizer
from ..tables._growing import (
    grown,
    number_places,
    number_scale,
    number_values,
    read_columns,
    rescaled,
)
from ..tables._running import AdaptiveScale, RunningMoments
from ..tables._scaling import FURTHEST, Standardizer, moved
from ..training import Trainer
from ._correction import Correction, unchanged
from ._input import Rows
from ._model import Model
from ._preprocess import Preprocessor
from ._regression import Regression
from ._task import Task

FEWEST_TO_SCALE_BY = 10  # rows that an array has to have had


@dataclass(frozen=True)
class Seen:
    """An account of all rows so far, of which scales are made.

    Parameters
    ----------
    features : AdaptiveScale
        Of the columns of an array, or of a table's columns of numbers in the encoder's order.
    targets : AdaptiveScale, optional
        Of numbers to predict.
    rows : int
        How many there were.
    """

    features: AdaptiveScale
    targets: AdaptiveScale | None
    rows: int

    @classmethod
    def of(cls, preprocessor: Preprocessor, task: Task, rows: int, n_columns: int) -> Seen:
        """Return the account of so many rows of an array or a table that suits the scales learned from them."""
        if preprocessor.encoder is not None:
            return cls(number_scale(preprocessor.encoder, rows), _targets_of(task, rows), rows)
        mean, scale, smooth = np.zeros(n_columns), np.ones(n_columns), False
        if preprocessor.scale is not None:
            own = _standardizer(preprocessor.scale)
            mean, scale, smooth = own.mean[0], own.scale[0], own.smooth
        moments = RunningMoments.assumed(mean, scale, rows)
        features = AdaptiveScale.of(moments, mean, scale, np.full(n_columns, smooth))
        return cls(features, _targets_of(task, rows), rows)

    @classmethod
    def first(cls, preprocessor: Preprocessor, task: Task, rows: Rows) -> Seen:
        """Return the account of the rows that scales have just been learned from."""
        values = _values(preprocessor, rows)
        seen = cls.of(preprocessor, task, 0, values.shape[1])
        features, targets = seen.features.learned(values, rows.weight), None
        if seen.targets is not None:
            moments = seen.targets.moments.after(rows.y.reshape(len(rows), -1), rows.weight)
            targets = replace(seen.targets, moments=moments)
        return cls(features, targets, len(rows))


def _targets_of(task: Task, rows: int) -> AdaptiveScale | None:
    """Return the scale of numbers to predict, as of so many rows."""
    if not isinstance(task, Regression) or task.scale is None:
        return None
    mean, scale = task.scale.mean[0], task.scale.scale[0]
    return AdaptiveScale.of(RunningMoments.assumed(scale if task.is_rate else mean, scale, rows), mean, scale)


class Prepared(NamedTuple):
    """All that stands ready for a training.

    Parameters
    ----------
    preprocessor, task
        With the scales of now.
    networks : list of Network or None
        The last fit's, or corrected copies where something has changed; None where there was no fit.
    trainers : list of Trainer or None
        Theirs, if there were any.
    seen : Seen or None
        The account of all rows, these included; None where nothing will follow.
    """

    preprocessor: Preprocessor
    task: Any
    networks: list[Network] | None
    trainers: list[Trainer] | None
    seen: Seen | None


def adapt(model: Model[Any], trainers: list[Trainer] | None, seen: Seen, rows: Rows) -> Prepared:
    """Let scales, labels and columns follow more rows. Nothing that is given changes.

    Parameters
    ----------
    model : Model
        The fitted one.
    trainers : list of Trainer or None
        What goes on with its networks.
    seen : Seen
        The rows so far.
    rows : Rows
        More of them.
    """
    preprocessor, networks = model.preprocessor, model.networks
    correction = unchanged(networks[0].n_in, networks[0].n_out)
    if preprocessor.encoder is not None:
        changed, features, correction = _table_followed(preprocessor, seen, rows, correction)
    elif preprocessor.scale is None:
        changed, features = _first_scaled(preprocessor, seen, rows)
    else:
        changed, features, correction = _array_followed(preprocessor, seen, rows, correction)
    task, targets, correction = _targets_followed(model.task, seen.targets, rows, correction)
    seen = Seen(features, targets, seen.rows + len(rows))
    if changed is preprocessor and task is model.task:
        return Prepared(preprocessor, task, networks, trainers, seen)
    if trainers is None:
        return Prepared(changed, task, [correction.network(network) for network in networks], None, seen)
    trainers = [correction.trainer(trainer) for trainer in trainers]
    return Prepared(changed, task, [trainer.network for trainer in trainers], trainers, seen)


def _table_followed(
    preprocessor: Preprocessor, seen: Seen, rows: Rows, correction: Correction
) -> tuple[Preprocessor, AdaptiveScale, Correction]:
    """Let an encoder grow and its scales follow."""
    assert preprocessor.encoder is not None
    columns = read_columns(preprocessor.encoder, rows.x)
    encoder, origins, signs = grown(preprocessor.encoder, columns)
    features, values = seen.features, number_values(encoder, columns)
    n_new = values.shape[1] - len(features.mean)
    if n_new:
        fitted = number_scale(encoder, 0)
        features = features.with_columns(
            AdaptiveScale.of(
                RunningMoments.none(n_new), fitted.mean[-n_new:], fitted.scale[-n_new:], fitted.smooth[-n_new:]
            ).learned(values[:, -n_new:], rows.weight)
        )
    features, change = features.followed(values, rows.weight, np.float64)
    if change is None and encoder is preprocessor.encoder:
        return preprocessor, features, correction
    correction = correction.of_inputs(change, number_places(encoder), origins, signs)
    return replace(preprocessor, encoder=rescaled(encoder, features)), features, correction


def _array_followed(
    preprocessor: Preprocessor, seen: Seen, rows: Rows, correction: Correction
) -> tuple[Preprocessor, AdaptiveScale, Correction]:
    """Let the scale of an array's columns follow."""
    features, change = seen.features.followed(rows.x, rows.weight, rows.x.dtype)
    if change is None or preprocessor.scale is None:
        return preprocessor, features, correction
    scale = preprocessor.scale
    own = np.arange(scale.n_features) if isinstance(scale, Standardizer) else np.flatnonzero(~scale.is_bin)
    correction = correction.of_inputs(change, own, correction.origins)
    return replace(preprocessor, scale=_moved(preprocessor.scale, features)), features, correction


def _first_scaled(preprocessor: Preprocessor, seen: Seen, rows: Rows) -> tuple[Preprocessor, AdaptiveScale]:
    """Scale an array's columns once there were enough rows: so few have taught the weights nothing."""
    moments = seen.features.moments.after(rows.x, rows.weight)
    if seen.rows + len(rows) < FEWEST_TO_SCALE_BY:
        return preprocessor, replace(seen.features, moments=moments)
    mean, scale = moments.mean_and_scale(rows.x.dtype)
    found = AdaptiveScale.of(moments, mean, scale)
    return replace(preprocessor, scale=Standardizer(mean[None], scale[None], FURTHEST)), found


def _values(preprocessor: Preprocessor, rows: Rows) -> Any:
    """Return the numbers of rows as they are scaled, (n, columns)."""
    if preprocessor.encoder is None:
        return rows.x
    return number_values(preprocessor.encoder, read_columns(preprocessor.encoder, rows.x))


def _targets_followed(
    task: Any, seen: AdaptiveScale | None, rows: Rows, correction: Correction
) -> tuple[Any, AdaptiveScale | None, Correction]:
    """Let the scale of numbers to predict follow."""
    if seen is None:
        return task, None, correction
    moments = seen.moments_after(rows.y.reshape(len(rows), -1), rows.weight)
    mean, scale = target_scale(task, moments)
    seen, change = seen.after(moments, mean, scale)
    if change is None:
        return task, seen, correction
    task = replace(task, scale=Standardizer(seen.mean[None], seen.scale[None], task.scale.furthest))
    return task, seen, correction.of_outputs(change, rates=task.is_rate)


def target_scale(task: Regression, moments: RunningMoments) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and scale, (n_outputs,) each, of numbers with these moments; a rate has no offset."""
    if task.is_rate:
        return np.zeros_like(moments.mean), np.where(moments.mean > 0, moments.mean, 1.0)
    return moments.mean_and_scale(np.float64)


def _standardizer(scale: Standardizer | BinnedStandardizer) -> Standardizer:
    return scale if isinstance(scale, Standardizer) else scale.standardizer


def _moved(scale: Standardizer | BinnedStandardizer, to: AdaptiveScale) -> Standardizer | BinnedStandardizer:
    """Return the scale with other means and deviations; its bins stay where they are in the columns' units."""
    old = _standardizer(scale)
    new = Standardizer(to.mean[None], to.scale[None], old.furthest, old.smooth)
    if isinstance(scale, Standardizer):
        return new
    column, start, width = scale.column[scale.is_bin], scale.start[0, scale.is_bin], scale.width[0, scale.is_bin]
    both = (old.mean[0, column], old.scale[0, column]), (to.mean[column], to.scale[column])
    first, end = (moved(edge, *both, smooth=old.smooth) for edge in (start, start + width))
    return BinnedStandardizer._of_bins(new, column, first, np.maximum(end - first, np.finfo(np.float64).eps))
