"""An encoder that grows: labels, gaps and columns that later rows bring, behind what a network knows already."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._columns import Column, missing_in, open_table
from ._description import Note
from ._label_features import MOST_LABELS
from ._learning import learn_columns, read
from ._running import AdaptiveScale, RunningMoments
from ._scaling import moved
from .encoder import TableEncoder
from .features import BinaryFeatures, Features, LabelFeatures, NumberFeatures, TimeFeatures

Scaled = NumberFeatures | TimeFeatures  # columns with a scale that adapts


class Growth(NamedTuple):
    """An encoder that has grown.

    Parameters
    ----------
    encoder : TableEncoder
        The one for the rows so far.
    origins : array of int, shape (n_features,)
        The place that each of its features had before: for a new label that of the unseen slot, in which it was until
        now; -1 for a feature that nothing stood for.
    signs : array of float64, shape (n_features,)
        -1 where a feature is 1 for what was -1 before, else 1.
    """

    encoder: TableEncoder
    origins: NDArray[np.intp]
    signs: NDArray[np.float64]


class _Grown(NamedTuple):
    """The features of a column after it has grown, with the places they had among those of the column; see `Growth`."""

    features: Features
    origins: list[int]
    signs: list[float]


def read_columns(encoder: TableEncoder, table: Any) -> dict[str, Column]:
    """Read the columns of a table that an encoder knows, and those that had no value when it learned.

    Parameters
    ----------
    encoder : TableEncoder
        A fitted one.
    table : table of n rows
        As `TableEncoder.transform` takes it.
    """
    known = {feature.name: feature for feature in encoder.columns}
    empty = [note.name for note in encoder.notes if note.left_out and note.kind == "empty"]
    columns = open_table(table, list(known) if isinstance(table, np.ndarray) else None)
    found = {
        name: read(name, columns[name], feature.expected, feature.form)
        for name, feature in known.items()
        if name in columns
    }
    return found | {name: read(name, columns[name]) for name in empty if name in columns}


def grown(encoder: TableEncoder, columns: dict[str, Column]) -> Growth:
    """Return the encoder for rows that it has not learned from, beside those that it has.

    Parameters
    ----------
    encoder : TableEncoder
        A fitted one; it is not changed.
    columns : dict of str to Column
        The rows, see `read_columns`.
    """
    all_grown: list[_Grown] = []
    origins: list[int] = []
    start = 0
    for feature in encoder.columns:
        after = _grown(feature, columns.get(feature.name))
        origins += [start + place if place >= 0 else -1 for place in after.origins]
        start += feature.n_features
        all_grown.append(after)
    known = {feature.name for feature in encoder.columns}
    new = {name: column for name, column in columns.items() if name not in known}
    learned = learn_columns(new, bins=encoder.bins, scaling=encoder.numbers)
    for feature in learned.features:
        all_grown.append(_Grown(feature, [-1] * feature.n_features, [1.0] * feature.n_features))
        origins += [-1] * feature.n_features
    features = tuple(after.features for after in all_grown)
    if features != encoder.columns:
        names = {feature.name for feature in learned.features}
        notes = [note for note in encoder.notes if note.name not in names]
        encoder = encoder.with_columns(features, [*notes, *_notes_of(learned.notes, names)])
    return Growth(encoder, np.array(origins), np.array([sign for after in all_grown for sign in after.signs]))


def _notes_of(notes: Sequence[Note], names: set[str]) -> list[Note]:
    return [note for note in notes if note.name in names]


def number_scale(encoder: TableEncoder, rows: float) -> AdaptiveScale:
    """Return the scale of an encoder's columns of numbers and times, in their order, as of so many rows."""
    numbers = numbers_of(encoder)
    mean, scale = np.array([[column.mean, column.scale] for column in numbers]).reshape(-1, 2).T
    smooth = np.array([is_smooth(column) for column in numbers], bool)
    return AdaptiveScale.of(RunningMoments.assumed(mean, scale, rows), mean, scale, smooth)


def numbers_of(encoder: TableEncoder) -> list[Scaled]:
    """Return the columns of numbers, dates and times of day."""
    return [column for column in encoder.columns if isinstance(column, Scaled)]


def is_smooth(column: Scaled) -> bool:
    """Tell whether a column is scaled by its quartiles, with a smooth limit."""
    return column.smooth if isinstance(column, NumberFeatures) else True


def number_places(encoder: TableEncoder) -> NDArray[np.intp]:
    """Return the places, among all features, of the scaled numbers."""
    starts = np.cumsum([0, *(column.n_features for column in encoder.columns)])[:-1]
    is_number = [isinstance(column, Scaled) for column in encoder.columns]
    return np.asarray(starts[np.array(is_number, bool)])


def number_values(encoder: TableEncoder, columns: dict[str, Column]) -> NDArray[np.float64]:
    """Return the numbers of a table's rows, (n, columns of numbers), NaN where one is missing."""
    n = max(len(column.values) for column in columns.values())
    values = np.full((n, len(numbers := numbers_of(encoder))), np.nan)
    for i, feature in enumerate(numbers):
        column = columns.get(feature.name)
        if column is not None and column.kind == feature.expected:
            values[:, i] = feature.present(column.values) if isinstance(feature, NumberFeatures) else column.values
    return values


def rescaled(encoder: TableEncoder, scale: AdaptiveScale) -> TableEncoder:
    """Return the encoder with other scales of its columns of numbers; their bins stay where they are in their units."""
    of_numbers = iter(zip(scale.mean.tolist(), scale.scale.tolist(), strict=True))
    features: list[Features] = []
    for column in encoder.columns:
        if isinstance(column, Scaled):
            mean, deviation = next(of_numbers)
            edges = np.array(column.edges, np.float64)
            edges = moved(edges, (column.mean, column.scale), (mean, deviation), smooth=is_smooth(column))
            column = replace(column, mean=mean, scale=deviation, edges=_increasing(edges.tolist()))
        features.append(column)
    return encoder.with_columns(tuple(features), encoder.notes)


def _increasing(edges: list[float]) -> list[float]:
    """Return edges of which rounding, far out, may have made two the same, as different ones."""
    for i in range(1, len(edges)):
        edges[i] = max(edges[i], math.nextafter(edges[i - 1], math.inf))
    return edges


def _grown(feature: Features, column: Column | None) -> _Grown:
    """Let a column's features grow by what is new in rows of it."""
    same = list(range(feature.n_features))
    unchanged = _Grown(feature, same, [1.0] * len(same))
    if column is None:
        return unchanged
    if isinstance(feature, Scaled):
        if feature.indicator or column.kind != feature.expected or not missing_in(column).any():
            return unchanged
        at = 1 + max(len(feature.edges) - 1, 0)
        origins = [*same[:at], -1, *same[at:]]
        return _Grown(replace(feature, indicator=True), origins, [1.0] * len(origins))
    if column.kind not in ("text", "boolean", "empty"):
        return unchanged
    found = _new_labels(feature, column)
    gaps = bool(missing_in(column).any())
    if isinstance(feature, BinaryFeatures):
        return _grown_binary(feature, found, gaps=gaps)
    return _grown_labels(feature, found, gaps=gaps)


def _grown_labels(feature: LabelFeatures, found: list[str], *, gaps: bool) -> _Grown:
    """Give new labels a feature each, which take over from the unseen slot, and gaps a slot."""
    n, n_means = len(feature.labels), len(feature.means)
    unseen = n if feature.other else -1
    other = feature.other or gaps or bool(found)
    origins = [*range(n), *([unseen] * len(found)), *([unseen] if other else [])]
    origins += range(n + feature.other, n + feature.other + n_means)
    changed = replace(feature, labels=(*feature.labels, *found), other=other)
    return _Grown(changed, origins, [1.0] * len(origins))


def _grown_binary(feature: BinaryFeatures, found: list[str], *, gaps: bool) -> _Grown:
    """Give more than two labels a feature each: those of the two are what -1 and 1 were."""
    unseen = 1 if feature.indicator else -1
    if not found:
        n = 2 if feature.indicator or gaps else 1
        return _Grown(replace(feature, indicator=n == 2), [0, unseen][:n], [1.0] * n)
    labels = LabelFeatures(feature.name, feature.kind, (*feature.labels, *found), other=True)
    more = len(found) + 1
    return _Grown(labels, [0, 0, *[unseen] * more], [-1.0, 1.0, *[1.0] * more])


def _new_labels(feature: LabelFeatures | BinaryFeatures, column: Column) -> list[str]:
    """Return the labels of text that have no feature yet, in alphabetical order, as far as there is room."""
    if column.kind != "text" or feature.kind != "text" or (isinstance(feature, LabelFeatures) and feature.means):
        return []
    places = np.unique(column.values[column.values >= 0])
    found = sorted({column.labels[i] for i in places}.difference(feature.labels))
    return found[: max(MOST_LABELS - len(feature.labels), 0)]
