"""An encoder that grows: labels, gaps and columns that later rows bring, behind what a network knows already."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._columns import Column, missing_in, open_table, read_column
from ._running import AdaptiveScale, RunningMoments
from .encoder import Features, TableEncoder
from .features import _MOST_LABELS, LabelFeatures, NumberFeatures


class Growth(NamedTuple):
    """An encoder that has grown.

    Parameters
    ----------
    encoder : TableEncoder
        The one for the rows so far.
    origins : array of int, shape (n_features,)
        The place that each of its features had before: for a new label that of the unseen slot, in which it was until
        now; -1 for a feature that nothing stood for.
    """

    encoder: TableEncoder
    origins: NDArray[np.intp]


def read_columns(encoder: TableEncoder, table: Any, names: Sequence[str]) -> dict[str, Column]:
    """Read the columns of a table that an encoder knows, and those of `names` that it does not know yet.

    Parameters
    ----------
    encoder : TableEncoder
        A fitted one.
    table : table of n rows
        As `TableEncoder.transform` takes it.
    names : sequence of str
        The columns of the table that was learned from, those without a value too.
    """
    known = [column.name for column in encoder.columns]
    columns = open_table(table, known if isinstance(table, np.ndarray) else None)
    wanted = [*known, *(name for name in names if name not in known)]
    return {name: read_column(name, columns[name]) for name in wanted if name in columns}


def grown(encoder: TableEncoder, columns: dict[str, Column]) -> Growth:
    """Return the encoder for rows that it has not learned from, beside those that it has.

    Parameters
    ----------
    encoder : TableEncoder
        A fitted one; it is not changed.
    columns : dict of str to Column
        The rows, see `read_columns`.
    """
    features: list[Features] = []
    origins: list[NDArray[np.intp]] = []
    start = 0
    for feature in encoder.columns:
        places = np.arange(start, start + feature.n_features)
        start += feature.n_features
        column = columns.get(feature.name)
        if isinstance(feature, LabelFeatures):
            found = _new_labels(feature, column)
            feature = replace(feature, labels=(*feature.labels, *found)) if found else feature
            places = np.concatenate([places[:-1], np.repeat(places[-1:], len(found) + 1)])
        elif column is not None and column.kind == "number" and not feature.indicator and missing_in(column).any():
            feature, places = replace(feature, indicator=True), np.append(places, -1)
        features.append(feature)
        origins.append(places)
    known = {feature.name for feature in features}
    for name, column in columns.items():
        new = None if name in known else encoder._fit_column(name, column, np.arange(len(column.values)))
        if new is not None:
            features.append(new)
            origins.append(np.full(new.n_features, -1))
    return Growth(_with(encoder, features), np.concatenate(origins))


def number_scale(encoder: TableEncoder, rows: float) -> AdaptiveScale:
    """Return the scale of an encoder's columns of numbers, in their order, as of so many rows."""
    numbers = numbers_of(encoder)
    mean, scale = np.array([[column.mean, column.scale] for column in numbers]).reshape(-1, 2).T
    return AdaptiveScale.of(RunningMoments.assumed(mean, scale, rows), mean, scale)


def numbers_of(encoder: TableEncoder) -> list[NumberFeatures]:
    """Return the columns of numbers."""
    return [column for column in encoder.columns if isinstance(column, NumberFeatures)]


def number_places(encoder: TableEncoder) -> NDArray[np.intp]:
    """Return the places, among all features, of the standardized numbers."""
    starts = np.cumsum([0, *(column.n_features for column in encoder.columns)])[:-1]
    is_number = [isinstance(column, NumberFeatures) for column in encoder.columns]
    return np.asarray(starts[np.array(is_number, bool)])


def number_values(encoder: TableEncoder, columns: dict[str, Column]) -> NDArray[np.float64]:
    """Return the numbers of a table's rows, (n, columns of numbers), NaN where one is missing."""
    n = max(len(column.values) for column in columns.values())
    values = np.full((n, len(numbers := numbers_of(encoder))), np.nan)
    for i, feature in enumerate(numbers):
        column = columns.get(feature.name)
        if column is not None and column.kind == "number":
            values[:, i] = column.values
    return values


def rescaled(encoder: TableEncoder, scale: AdaptiveScale) -> TableEncoder:
    """Return the encoder with other scales of its columns of numbers; their bins stay where they are in their units."""
    of_numbers = iter(zip(scale.mean.tolist(), scale.scale.tolist(), strict=True))
    features: list[Features] = []
    for column in encoder.columns:
        if isinstance(column, NumberFeatures):
            mean, deviation = next(of_numbers)
            edges = [(column.mean + edge * column.scale - mean) / deviation for edge in column.edges]
            column = replace(column, mean=mean, scale=deviation, edges=edges)
        features.append(column)
    return _with(encoder, features)


def _with(encoder: TableEncoder, features: Sequence[Features]) -> TableEncoder:
    """Return a copy of an encoder with other columns."""
    changed = copy.copy(encoder)
    changed.columns = tuple(features)
    return changed


def _new_labels(feature: LabelFeatures, column: Column | None) -> list[str]:
    """Return the labels of text that have no feature yet, in alphabetical order, as far as there is room."""
    if column is None or column.kind != "text" or feature.kind != "text":
        return []
    places = np.unique(column.values[column.values >= 0])
    found = sorted({column.labels[i] for i in places}.difference(feature.labels))
    return found[: max(_MOST_LABELS - len(feature.labels), 0)]
