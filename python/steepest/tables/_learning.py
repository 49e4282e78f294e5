"""Features learned from the columns of training rows, as few as they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import warn_caller
from .._parallel import in_parallel
from ._columns import LABELED, Column, DataWarning, Kind, missing_in, odd_cells, read_column
from ._description import Note
from ._encoded import Cells, EncodedRows, Layout
from ._label_features import MOST_LABELS, BinaryFeatures, LabelFeatures, training_cells
from .features import Features, NumberFeatures, TimeFeatures

MOST_BINS = 1024  # of all columns of numbers: of more than 32 columns each has fewer, or none
_MOST_SLOTS = 2048  # of all columns of labels
_MOST_INDICATORS = 256
_ID_ROWS, _ID_SHARE = 100, 0.95  # text of so many rows is an id, where so many of them are different
_COPY_ROWS = 50  # rows that are as the target in fewer may be chance
_MOSTLY_MISSING = 0.5


@dataclass(frozen=True)
class Learned:
    """The features of columns, and what there is to say of these.

    Parameters
    ----------
    features : list of Features
        Of each column that is used.
    notes : list of Note
        Of every column.
    """

    features: list[Features]
    notes: list[Note]


def learn_columns(
    columns: Mapping[str, Column],
    *,
    bins: int,
    scaling: str,
    targets: NDArray[np.float64] | None = None,
    weight: NDArray[np.float64] | None = None,
) -> Learned:
    """Learn the features of columns.

    Parameters
    ----------
    columns : mapping of str to Column
        Training rows, (n,) each.
    bins : int
        The most bins of a column of numbers.
    scaling : str
        How numbers are scaled, as of `NumberFeatures.fit`.
    targets : array of float64, shape (n, k), optional
        Of the rows, for the means of labels.
    weight : array of float64, shape (n,), optional
        Of the rows.

    Warns
    -----
    DataWarning
        Of a column that is left out as an id, and of one that is a copy of the target.
    """
    n = max((len(column.values) for column in columns.values()), default=0) * len(columns)
    found = in_parallel(lambda name: _note(name, columns[name], targets), list(columns), n)
    notes = {note.name: note for note in found}
    used = {name: column for name, column in columns.items() if not notes[name].left_out}
    n_numbers = sum(column.kind not in LABELED for column in used.values())
    bins = min(bins, MOST_BINS // max(n_numbers, 1))
    most = _most_labels([notes[name].different for name, column in used.items() if column.kind in LABELED])
    gaps = sorted((-notes[name].missing, name) for name, column in used.items() if column.kind not in LABELED)
    indicated = {name for missing, name in gaps[:_MOST_INDICATORS] if missing}

    def learn(name: str, column: Column) -> Features:
        if column.kind not in LABELED:
            ordered = np.sort(column.values[~np.isnan(column.values)])
            notes[name] = _note(name, column, targets, ordered)
            if column.kind in ("date", "clock"):
                return TimeFeatures.fit(name, column, ordered, bins, indicator=name in indicated)
            features = NumberFeatures.fit(name, ordered, bins, scaling=scaling, indicator=name in indicated)
            if features.sentinel is not None:
                rows = int(np.count_nonzero(ordered == features.sentinel))
                said = f"{features.sentinel:g} in {rows:,} rows counts as missing"
                notes[name] = replace(notes[name], remarks=(*notes[name].remarks, said))
            return features
        if column.kind == "boolean" or notes[name].different == 2:
            counts = np.bincount(column.values[column.values >= 0], minlength=len(column.labels))
            labels = (
                column.labels
                if column.kind == "boolean"
                else [column.labels[i] for i in np.flatnonzero(counts).tolist()]
            )
            return BinaryFeatures(name, column.kind, sorted(labels), notes[name].missing > 0)
        return LabelFeatures.fit(name, column, column.values, targets, weight, most)

    features = in_parallel(lambda name: learn(name, used[name]), list(used), n)
    for note in notes.values():
        if note.warns:
            warn_caller(f"column {note.name!r}: {note.remarks[0]}", DataWarning)
    return Learned(features, list(notes.values()))


def encode_columns(
    features: list[Features] | tuple[Features, ...],
    layout: Layout,
    columns: Mapping[str, Column],
    targets: NDArray[np.float64] | None = None,
    weight: NDArray[np.float64] | None = None,
) -> EncodedRows:
    """Encode rows.

    Parameters
    ----------
    features : sequence of Features
        Of each column.
    layout : Layout
        Of them.
    columns : mapping of str to Column
        The rows, (n,) each.
    targets, weight : arrays, optional
        Of rows that were trained on: means of labels are not learned from a row's own target then.
    """

    def cells(feature: Features) -> Cells:
        column = columns[feature.name]
        if targets is not None and isinstance(feature, LabelFeatures) and feature.means:
            return training_cells(feature, column, targets, weight)
        return feature.read(column)

    n = len(columns[features[0].name].values)
    return layout.empty(n).set(features, cells)


def read(name: str, values: Any, expected: Kind | None = None, form: str | None = None) -> Column:
    """Read a column, as of `read_column`; warn of cells that are not of its kind, and count as missing."""
    column = read_column(name, values, expected, form)
    if column.odd is not None:
        warn_caller(odd_cells(name, column.kind, column.odd, len(column.values)), DataWarning)
    return column


def _most_labels(different: list[int]) -> int:
    """Return how many labels of a column have a feature each, so that all columns together keep to the budget."""
    most = MOST_LABELS
    while most > 2 and sum(min(n, most) for n in different) > _MOST_SLOTS:
        most -= max(1, most // 16)
    return most


def _note(
    name: str, column: Column, targets: NDArray[np.float64] | None, ordered: NDArray[np.float64] | None = None
) -> Note:
    """Return all that there is to say of a column; of one of numbers little without these, `ordered`."""
    missing = missing_in(column)
    n, n_missing = len(missing), int(missing.sum())
    if column.kind == "empty" or n_missing == n:
        return Note(name, "empty", n, n_missing, 0, ("no value in any row",), left_out=True, warns=False)
    present = column.values if not n_missing else column.values[~missing]
    if column.kind in LABELED:
        different = int(np.count_nonzero(np.bincount(present, minlength=1)))
    elif ordered is None:
        return Note(name, column.kind, n, n_missing, 0, (), left_out=False, warns=False)
    else:
        different = 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))
    n_present, remarks = n - n_missing, []
    if column.kind == "text" and n_present >= _ID_ROWS and different >= _ID_SHARE * n_present:
        remark = f"left out as an id: {different:,} different values in {n_present:,} rows"
        return Note(name, column.kind, n, n_missing, different, (remark,), left_out=True, warns=True)
    copies = targets is not None and n >= _COPY_ROWS and different > 1 and _is_copy(column, missing, targets)
    if copies:
        remarks.append("tells the target in every row, as a copy of it does: expected what is known before it")
    if different == 1:
        remarks.append("constant: says nothing")
    if n_missing > _MOSTLY_MISSING * n:
        remarks.append(f"missing in {n_missing / n:.0%} of the rows")
    if column.kind == "number" and different == n >= _ID_ROWS and bool((np.diff(present) == 1).all()):
        remarks.append("counts the rows: leave it out if it is an id")
    return Note(name, column.kind, n, n_missing, different, tuple(remarks), left_out=False, warns=copies)


def _is_copy(column: Column, missing: NDArray[np.bool_], targets: NDArray[np.float64]) -> bool:
    """Tell whether a column says the same as the target, perhaps in other words."""
    if missing.any() or targets.shape[1] > 1 or column.kind in ("date", "clock"):
        return False
    y = targets[:, 0]
    if column.kind == "number":
        return np.array_equal(column.values, y)
    said = np.full(len(column.labels), np.nan)
    said[column.values] = y
    told = said[~np.isnan(said)]
    return np.array_equal(said[column.values], y) and len(np.unique(told)) == len(told)
