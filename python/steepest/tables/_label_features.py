"""The features of a column of labels: text, or true and false."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .._arrays import shown
from .._validation import Spec, choice, flag, number, text
from ._cells import FALSE, TRUE
from ._columns import BOOLEAN_LABELS, LABELED, Column, Kind
from ._encoded import Cells, Parts
from ._target_means import out_of_fold_means, target_means

MOST_LABELS = 256  # with a feature each; of a column with more, those that are frequent
_FEWEST_ROWS = 32  # of a label for a feature of its own, in a column with more labels
_MOST_MEANS = 1 << 16  # labels with a target mean
_FEWEST_TO_WARN = 10  # rows of which training had no label: fewer may be chance


@dataclass(frozen=True, repr=False)
class LabelFeatures(Spec):
    """A column of text, or true and false: a feature for each label, and for many labels what the target is on average.

    Parameters
    ----------
    name : str
        Name of the column.
    kind : {"text", "boolean"}
        The type of its values in training.
    labels : sequence of str
        The labels with a feature each, in this order, which is 1 where the label stands, else 0.
    other : bool, default=True
        Whether a feature after them is 1 where none of them stands, else 0: for other labels and missing ones.
    mean_labels : sequence of str, default=()
        Labels with a target mean.
    means : sequence of sequences of float, default=()
        For each target the scaled mean of each of `mean_labels`, and at last that of a missing value. It is a feature
        each after the others; 0, the mean of all rows, for labels that are not among them.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If `kind` is another one, a label occurs twice, or there is not a mean for each label.

    Examples
    --------
    >>> import steepest as st
    >>> table = {"color": ["red", "blue", "green", "red"] * 5}
    >>> encoder = st.tables.TableEncoder(bins=0).fit(table, range(20), "regression")
    >>> type(encoder.columns[0]).__name__, encoder.feature_names
    ('LabelFeatures', ['color=blue', 'color=green', 'color=red'])
    """

    name: str
    kind: str
    labels: Sequence[str]
    other: bool = True
    mean_labels: Sequence[str] = ()
    means: Sequence[Sequence[float]] = ()

    def __post_init__(self) -> None:
        """Check the arguments."""
        for what in ("labels", "mean_labels"):
            labels = tuple(text(what, label) for label in getattr(self, what))
            if len(set(labels)) < len(labels):
                raise ValueError(f"{what} of column {self.name!r} hold one twice: expected different ones")
            self._set(**{what: labels})
        means = tuple(tuple(number("means", mean) for mean in of_target) for of_target in self.means)
        if any(len(of_target) != len(self.mean_labels) + 1 for of_target in means):
            raise ValueError(f"means of column {self.name!r}: expected one for each label, and one for missing ones")
        self._set(name=text("name", self.name), kind=choice("kind", self.kind, ("text", "boolean")))
        self._set(other=flag("other", self.other), means=means)

    @classmethod
    def fit(
        cls,
        name: str,
        column: Column,
        codes: NDArray[np.intp],
        targets: NDArray[np.float64] | None = None,
        weight: NDArray[np.float64] | None = None,
        most: int = MOST_LABELS,
    ) -> LabelFeatures:
        """Learn from training rows.

        Parameters
        ----------
        name : str
            Name of the column.
        column : Column
            Of text, or true and false: has the labels.
        codes : array of int, shape (n,)
            Places of the training rows' labels in those of `column`; -1 where one is missing.
        targets : array of float64, shape (n, k), optional
            Of the same rows; without them there are no target means.
        weight : array of float64, shape (n,), optional
            Of the same rows, for the means.
        most : int, default=256
            With as many labels, each has a feature. With more, so many that are in 32 rows have one, and there are
            target means of all.

        Returns
        -------
        LabelFeatures
            With labels in alphabetical order.
        """
        counts = np.bincount(codes[codes >= 0], minlength=len(column.labels))
        common = np.argsort(-counts, kind="stable")
        common = common[: np.count_nonzero(counts)]
        many = len(common) > most
        own = common[:most][counts[common[:most]] >= _FEWEST_ROWS] if many else common
        labels = sorted(column.labels[i] for i in own)
        other = (many or bool((codes < 0).any())) and bool(labels or targets is None)
        if not many or targets is None:
            return cls(name, column.kind, labels, other)
        known = common[:_MOST_MEANS]
        found = target_means(_among(codes, known, len(column.labels)), len(known), targets, weight)
        return cls(name, column.kind, labels, other, [column.labels[i] for i in known], found.scaled.T.tolist())

    @property
    def expected(self) -> Kind:
        """The kind that a column of further rows has."""
        return "text" if self.kind == "text" else "boolean"

    @property
    def form(self) -> str | None:
        """How dates as text are written: there are none."""
        return None

    @property
    def parts(self) -> Parts:
        """Its parts in encoded rows."""
        return Parts(slots=len(self.labels) + self.other, ready=len(self.means))

    @property
    def n_features(self) -> int:
        """Number of features of the column."""
        return self.parts.n_features

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature."""
        names = [f"{self.name}={label}" for label in self.labels]
        names += [f"{self.name} is unseen"] * self.other
        n = len(self.means)
        return names + [f"{self.name}, target mean" + (f" {i}" if n > 1 else "") for i in range(n)]

    def read(self, column: Column) -> Cells:
        """Encode rows.

        Raises
        ------
        ValueError
            If the column holds something else.
        """
        codes, labels = _label_codes(self, column), labels_of(self, column)
        slots = ready = None
        if self.parts.slots:
            slots = _lookup(self._places, labels, len(self.labels) if self.other else -1)[codes]
        if self.means:
            places = _lookup(self._mean_places, labels, len(self.mean_labels) + 1)
            places[-1] = len(self.mean_labels)
            ready = self._mean_table[places[codes]]
        return Cells(None, slots, ready)

    def read_one(self, label: str | None) -> tuple[int | None, Sequence[float]]:
        """Return the slot of one label, None where there are none, and its target means; None is a missing label."""
        n = len(self.labels)
        code = self._places.get(label, n if self.other else -1) if self.parts.slots else None  # type: ignore[arg-type]
        if not self.means:
            return code, ()
        n = len(self.mean_labels)
        return code, self._mean_table[n if label is None else self._mean_places.get(label, n + 1)].tolist()

    @cached_property
    def _places(self) -> dict[str, int]:
        return {label.strip(): i for i, label in enumerate(self.labels)}  # models of older versions may have such

    @cached_property
    def _mean_places(self) -> dict[str, int]:
        return {label.strip(): i for i, label in enumerate(self.mean_labels)}

    @cached_property
    def _mean_table(self) -> NDArray[np.float32]:
        """The means of each label, of missing values, and of all others, (labels + 2, targets)."""
        return np.vstack([np.array(self.means, np.float32).T, np.zeros(len(self.means), np.float32)])


@dataclass(frozen=True, repr=False)
class BinaryFeatures(Spec):
    """A column of two labels: a feature that is -1 or 1, and an indicator if some were missing in training.

    Parameters
    ----------
    name : str
        Name of the column.
    kind : {"text", "boolean"}
        The type of its values.
    labels : sequence of str
        The two labels. Feature 0 is -1 for the first, 1 for the second, and 0 where another one stands or none.
    indicator : bool, default=False
        Whether there is a last feature, 1 where neither stands, else 0.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If `kind` is another one, or the labels are not two different ones.

    Examples
    --------
    >>> import steepest as st
    >>> table = {"sold": [True, False] * 10}
    >>> encoder = st.tables.TableEncoder(bins=0).fit(table, range(20), "regression")
    >>> type(encoder.columns[0]).__name__, encoder.feature_names
    ('BinaryFeatures', ['sold=true'])
    """

    name: str
    kind: str
    labels: Sequence[str]
    indicator: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        labels = tuple(text("labels", label) for label in self.labels)
        if len(labels) != 2 or labels[0] == labels[1]:
            raise ValueError(f"labels of column {self.name!r} are {labels}: expected two different ones")
        self._set(name=text("name", self.name), kind=choice("kind", self.kind, ("text", "boolean")), labels=labels)
        self._set(indicator=flag("indicator", self.indicator))

    @property
    def expected(self) -> Kind:
        """The kind that a column of further rows has."""
        return "text" if self.kind == "text" else "boolean"

    @property
    def form(self) -> str | None:
        """How dates as text are written: there are none."""
        return None

    @property
    def parts(self) -> Parts:
        """Its parts in encoded rows."""
        return Parts(ready=1 + self.indicator)

    @property
    def n_features(self) -> int:
        """Number of features of the column."""
        return self.parts.n_features

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature."""
        return [f"{self.name}={self.labels[1]}"] + [f"{self.name} is unseen"] * self.indicator

    def read(self, column: Column) -> Cells:
        """Encode rows.

        Raises
        ------
        ValueError
            If the column holds something else.
        """
        codes = _label_codes(self, column)
        values = _lookup({self.labels[0].strip(): -1, self.labels[1].strip(): 1}, labels_of(self, column), 0)[codes]
        ready = values[:, None].astype(np.float32)
        return Cells(None, None, np.hstack([ready, ready == 0]) if self.indicator else ready)

    def read_one(self, label: str | None) -> tuple[int | None, Sequence[float]]:
        """Return no slot, and the features of one label; None is a missing one."""
        value = -1.0 if label == self.labels[0].strip() else float(label == self.labels[1].strip())
        return None, (value, float(value == 0)) if self.indicator else (value,)


def as_labels(features: LabelFeatures | BinaryFeatures, column: Column) -> Column:
    """Return numbers as the labels that training had for them, 3 as "3" and 1 as "yes"; other columns as they are."""
    if column.kind != "number" or features.kind != "text":
        return column
    known = {*_known_labels(features)}
    there = ~np.isnan(column.values)
    values, places = np.unique(column.values[there], return_inverse=True)
    labels: Sequence[str] = [f"{value:.0f}" if value.is_integer() else repr(value) for value in values.tolist()]
    kind: Kind = "text"
    if not known.intersection(labels):
        kind, labels = "boolean", BOOLEAN_LABELS
        words = labels_of(features, Column(kind, places, labels))
        if not {*values.tolist()} <= {0.0, 1.0} or not known.intersection(words):
            return column
        places = values[places].astype(np.int64)
    codes = np.full(len(there), -1)
    codes[there] = places
    return Column(kind, codes, labels)


def labels_of(features: LabelFeatures | BinaryFeatures, column: Column) -> Sequence[str]:
    """Return the labels of a column; true and false in the words that training had, such as yes and no."""
    if column.kind != "boolean" or features.kind != "text":
        return column.labels
    known = _known_labels(features)
    return [
        next((label for label in known if label.strip().lower() in words), given)
        for given, words in zip(BOOLEAN_LABELS, (FALSE, TRUE), strict=True)
    ]


def unknown_labels(features: LabelFeatures | BinaryFeatures, column: Column) -> str:
    """Return the words of a warning where training had none of many labels; else no text."""
    known = _known_labels(features)
    there = column.values >= 0
    found = labels_of(features, column)
    if column.kind not in LABELED or not known or np.count_nonzero(there) < _FEWEST_TO_WARN or {*known} & {*found}:
        return ""
    row = int(there.argmax())
    return (
        f"column {features.name!r}: no label of {len(there):,} rows was there in training, the first is "
        f"{shown(found[column.values[row]])} in row {row}: expected such as {', '.join(map(shown, known[:3]))}"
    )


def _known_labels(features: LabelFeatures | BinaryFeatures) -> list[str]:
    """Return the labels of training that have a feature, or a target mean."""
    return [*features.labels, *getattr(features, "mean_labels", ())]


def _label_codes(features: LabelFeatures | BinaryFeatures, column: Column) -> NDArray[np.intp]:
    """Return the codes of a column that is labels, as it was in training."""
    if column.kind == "empty":
        return np.full(len(column.values), -1)
    if column.kind not in ("text", "boolean"):
        found = {"number": "numbers", "date": "dates", "clock": "times of day"}[column.kind]
        raise ValueError(f"column {features.name!r} is {found}: expected {features.kind} as in training")
    return np.asarray(column.values)


def _lookup(places: dict[str, int], labels: Sequence[str], other: int) -> NDArray[np.int64]:
    """Return the place of each label, and at last that of a missing one, whose code is -1."""
    return np.array([*(places.get(label, other) for label in labels), other], np.int64)


def _among(codes: NDArray[np.intp], chosen: NDArray[np.intp], n_labels: int) -> NDArray[np.intp]:
    """Return codes as places in the chosen ones; len(chosen) for missing ones, -1 for others."""
    table = np.full(n_labels + 1, -1)
    table[chosen] = np.arange(len(chosen))
    table[-1] = len(chosen)
    return np.asarray(table[codes])


def training_cells(
    features: LabelFeatures, column: Column, targets: NDArray[np.float64], weight: NDArray[np.float64] | None
) -> Cells:
    """Encode the rows that were trained on: no target mean is learned from the row's own target.

    Parameters
    ----------
    features : LabelFeatures
        With target means.
    column : Column
        The rows.
    targets : array of float64, shape (n, k)
        Their targets.
    weight : array of float64, shape (n,), optional
        Their weights.
    """
    cells = features.read(column)
    n = len(features.mean_labels)
    table = _lookup(features._mean_places, column.labels, -1)
    table[-1] = n
    return cells._replace(ready=out_of_fold_means(table[_label_codes(features, column)], n, targets, weight))
