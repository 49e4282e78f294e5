"""An encoder in words: what is known of each column, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .._validation import Spec, choice, flag, integer, text
from .features import BinaryFeatures, Features, LabelFeatures, NumberFeatures

_KINDS = ("number", "text", "boolean", "date", "clock", "empty")
_HEADINGS = ("column", "kind", "missing", "different", "becomes", "remarks")


@dataclass(frozen=True, repr=False)
class Note(Spec):
    """All that there is to say of a column of training rows.

    Parameters
    ----------
    name : str
        Name of the column.
    kind : {"number", "text", "boolean", "date", "clock", "empty"}
        What its values are.
    rows, missing, different : int
        Rows, those without a value, and different values.
    remarks : sequence of str
        What is odd about it.
    left_out : bool
        Whether it is no feature.
    warns : bool
        Whether the first remark is a warning.
    """

    name: str
    kind: str
    rows: int
    missing: int
    different: int
    remarks: Sequence[str]
    left_out: bool
    warns: bool

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(name=text("name", self.name), kind=choice("kind", self.kind, _KINDS))
        for name in ("rows", "missing", "different"):
            self._set(**{name: integer(name, getattr(self, name), ge=0)})
        if not isinstance(self.remarks, (list, tuple)):
            raise TypeError(f"remarks of column {self.name!r} is {self.remarks!r}: expected a list of texts")
        self._set(remarks=tuple(text("remarks", remark) for remark in self.remarks))
        self._set(left_out=flag("left_out", self.left_out), warns=flag("warns", self.warns))


@dataclass(frozen=True)
class ColumnDescription:
    """A column in words.

    Parameters
    ----------
    name : str
        Its name.
    kind : str
        What its values are.
    missing, different : int, optional
        Training rows without a value, and different values in training; None where an older version learned it.
    features : int
        How many features it becomes.
    becomes : str
        Which.
    remarks : tuple of str
        What is odd about it.
    """

    name: str
    kind: str
    missing: int | None
    different: int | None
    features: int
    becomes: str
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class TableDescription:
    """A table in words, as `TableEncoder.describe` returns it; its text is a table of the columns.

    Parameters
    ----------
    columns : tuple of ColumnDescription
        All columns, in order, those that are left out too.
    target : str
        The target in words.
    """

    columns: tuple[ColumnDescription, ...]
    target: str

    @classmethod
    def of(cls, features: Sequence[Features], notes: Sequence[Note], target: str) -> TableDescription:
        """Describe features, with the notes of the training rows, of which older versions have none."""
        found = {feature.name: feature for feature in features}
        noted = {note.name: note for note in notes}
        names = [note.name for note in notes] or list(found)
        return cls(tuple(_describe(name, found.get(name), noted.get(name)) for name in names), target)

    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells of a table as text, the headings first."""
        return [
            _HEADINGS,
            *(
                (column.name, column.kind, _count(column.missing), _count(column.different), column.becomes,
                 "; ".join(column.remarks))
                for column in self.columns
            ),
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: "columns", a list of objects, and "target"."""
        columns = [asdict(column) | {"remarks": list(column.remarks)} for column in self.columns]
        return {"columns": columns, "target": self.target}

    def __str__(self) -> str:
        """Return a table for a terminal."""
        rows = self.rows()
        widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, f"target: {self.target}"])


def _describe(name: str, feature: Features | None, note: Note | None) -> ColumnDescription:
    kind = note.kind if note is not None else "number" if isinstance(feature, NumberFeatures) else "text"
    return ColumnDescription(
        name,
        kind,
        None if note is None else note.missing,
        None if note is None else note.different,
        0 if feature is None else feature.n_features,
        "nothing" if feature is None else _becomes(feature),
        () if note is None else tuple(note.remarks),
    )


def _becomes(feature: Features) -> str:
    """Return the features of a column, in words."""
    if isinstance(feature, BinaryFeatures):
        return _listed("-1 or 1", feature.indicator and "whether it is missing")
    if isinstance(feature, LabelFeatures):
        n, means = len(feature.labels), len(feature.means)
        return _listed(
            n and f"{n} labels, one-hot",
            feature.other and ("all others" if n else "whether it is there"),
            means and (f"{means} target means" if means > 1 else "target mean") + f" of {len(feature.mean_labels):,}",
        )
    bins = max(len(feature.edges) - 1, 0)
    number = "scaled by quartiles" if getattr(feature, "smooth", True) else "standardized"
    number = "normal scores by quantiles" if getattr(feature, "quantiles", ()) else number
    return _listed(
        number,
        bins and f"{bins} bins",
        feature.indicator and "whether it is missing",
        *(f"sine and cosine of the {cycle}" for cycle in getattr(feature, "cycles", ())),
    )


def _listed(*parts: str | bool | int) -> str:
    return ", ".join(str(part) for part in parts if part)


def _count(n: int | None) -> str:
    return "?" if n is None else f"{n:,}"
