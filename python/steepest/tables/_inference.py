"""Text to a type: what a column of text is, by rules that are the same whatever file or frame it comes from.

White space around a cell counts for nothing. A cell of `steepest.files.MISSING` ("", NA, null, ? and so on) is missing,
wherever a column's others are not text; in text it is a label, but for an empty cell. Of the cells that are there:

- **Numbers**, if more than half are numbers, and at most a tenth are neither numbers nor marks. Marks are what people
  and programs write in place of a number: signs without a letter or digit (``-``, ``.``, ``*``), ``#DIV/0!``, ``n/a``,
  "unknown", the column's own name (a repeated header), and a number with something to it (``12%``, ``<0.5``, ``$5``).
  Cells that are no numbers are missing then, which a `DataWarning` says. A column stays text, though, if it has at
  most 20 different labels and those with a digit that are no numbers repeat (0, 1, 2, 3+).
- Text, even so, where a whole number begins with a zero (001), or a tenth have more digits than a float64 holds
  (beyond 2**53); ``0x10`` and ``1_000`` are no numbers.
- The decimal mark is a point, or a comma where only that makes numbers of them (1,5); the other of both may stand
  between thousands. Where both readings suit all (1,234), a ValueError says so.
- **True and false**, in any case of letters. Where training had them, also yes and no, y, n, t, f, 1, 0, on, off.
- **Dates**, with or without a time: year first (2020-12-31, 2020/12/31 08:00, with Z or an offset too), or day and
  month first (31.12.2020, 12/31/2020), if one order suits all and the other does not. Where both do, a ValueError says
  how to declare it.
- **Times of day**: 08:00, 23:59:59.5.
- **Text** otherwise.

Dates, times, true and false bear marks as numbers do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from .._extras import import_pyarrow
from ..files import MISSING
from ._cells import FALSE, PLAIN, TRUE, Notation, are_codes, booleans, clocks, dates, matches, numbers, sample_of, where
from ._notation import UndecidedError, find_notation, has_mark

Kind: TypeAlias = Literal["number", "text", "boolean", "date", "clock", "empty"]

_RUN = 20  # cells of one kind after as many of another
_FEW = 20  # different labels that may be a scale such as 0, 1, 2, 3+
NUMBERLIKE = r"^[+-]?[0-9.,' \x{a0}\x{202f}\x{2019}]+(?:[eE][+-]?[0-9]+)?$|^[+-]?(?i:inf|infinity)$"
_MARK = (
    r"^(?:[^\pL\pN]+|#[A-Za-z0-9/]+[!?]?|(?i:n/?a|n\.a\.?|n\.d\.?|nd|nan|nil|null|none|missing|unknown|undefined"
    r"|unavailable|not available|tbd)|[<>~=\x{2264}\x{2265}\x{2248}]*\s*\p{Sc}?\s*[+-]?[0-9][0-9.,' ]*"
    r"(?:[eE][+-]?[0-9]+)?\s*(?:%|\p{Sc})?)$"
)


@dataclass(frozen=True)
class Odd:
    """Cells of a column that are not of its kind, and count as missing.

    Parameters
    ----------
    count : int
        How many.
    row : int
        The first; the first row is 0.
    text : str
        What stands there.
    """

    count: int
    row: int
    text: str


class Inferred(NamedTuple):
    """A column of text, read.

    Parameters
    ----------
    kind : {"number", "text", "boolean", "date", "clock", "empty"}
        What it is.
    values : pyarrow array of length n
        int64 or float64, text, bool, timestamps or times in microseconds, or nulls.
    odd : Odd, optional
        Cells that are not of this kind, and null.
    form : str, optional
        Of dates, how they are written where that had to be found out.
    """

    kind: Kind
    values: Any
    odd: Odd | None = None
    form: str | None = None


class _Cells(NamedTuple):
    """The cells of a column: as given, trimmed and null where missing, and how many are there."""

    name: str
    given: Any
    there: Any
    n: int


def infer(
    name: str,
    text: Any,
    expected: Kind | None = None,
    *,
    missing: tuple[str, ...] | None = None,
    notation: Notation | None = None,
    form: str | None = None,
    one_kind: bool = False,
) -> Inferred:
    """Read a column of text by the rules above.

    Parameters
    ----------
    name : str
        Name of the column.
    text : pyarrow array or chunked array of text, shape (n,)
        Its cells.
    expected : str, optional
        The kind that it has, as in training.
    missing : tuple of str, optional
        Cells that are missing in any column, text too; by default those of `MISSING` in columns that are not text.
    notation : Notation, optional
        How numbers are written; by default that is found out.
    form : str, optional
        How dates are written.
    one_kind : bool, default=False
        Whether a column that is numbers up to a row, and words from there on, is an error, and not text.

    Raises
    ------
    ValueError
        If numbers or dates can be read in two ways, or as `one_kind` says.
    """
    cells = _prepared(name, text, MISSING if missing is None else missing)
    as_text = Inferred("text", text if missing is None else where(text, cells.there.is_valid()))
    if expected == "text":
        return as_text
    if not cells.n:
        return Inferred("empty", import_pyarrow().nulls(len(text)))
    if expected == "boolean":
        return _with_odd(cells, "boolean", booleans(cells.there, TRUE, FALSE))
    if expected in ("clock", "date"):
        found = _dated(cells, form) if expected == "date" else _with_odd(cells, "clock", clocks(cells.there))
        return found if 2 * _n_words(cells, found) < cells.n else as_text
    if expected == "number":
        found = _numbers(cells, notation)
        if 2 * _n_words(cells, found) < cells.n:
            return found
        other = infer(name, text, missing=missing, notation=notation, form=form)
        return other if other.kind != "number" else as_text
    decided = _decided(cells, notation, form, one_kind=one_kind)
    if decided is not None:
        return decided
    return as_text._replace(values=without_blanks(as_text.values))


def without_blanks(text: Any) -> Any:
    """Return text, null where a cell is empty but for white space."""
    compute = import_pyarrow().compute
    blank = compute.fill_null(compute.equal(compute.utf8_trim_whitespace(text), ""), False)
    return where(text, compute.invert(blank)) if compute.any(blank).as_py() else text


def _prepared(name: str, text: Any, missing: tuple[str, ...]) -> _Cells:
    """Trim the cells, and make those null that are missing."""
    arrow = import_pyarrow()
    trimmed = arrow.compute.utf8_trim_whitespace(text)
    is_missing = arrow.compute.is_in(trimmed, arrow.array([mark.strip() for mark in missing], trimmed.type))
    there = where(trimmed, arrow.compute.invert(is_missing)) if arrow.compute.any(is_missing).as_py() else trimmed
    return _Cells(name, text, there, len(there) - there.null_count)


def _decided(cells: _Cells, notation: Notation | None, form: str | None, *, one_kind: bool) -> Inferred | None:
    """Return the column as another kind than text, if it is of one."""
    sample = sample_of(cells.there)
    least = (len(sample) - sample.null_count) // 4

    def may_be(read: Any) -> bool:
        return bool(len(read) - read.null_count > least)

    if form is not None and may_be(dates(sample, form).values):
        found = _dated(cells, form)
        if _holds(cells, found):
            return found
    if may_be(where(sample, matches(sample, NUMBERLIKE))):
        found = _numbers(cells, notation)
        if _holds(cells, found) and not _is_scale(cells, found):
            read = cells.there if found.odd is None else where(cells.there, found.values.is_valid())
            return None if are_codes(read, found.values) else found
        if one_kind:
            _refuse_change(cells, found)
    if may_be(booleans(sample)):
        found = _with_odd(cells, "boolean", booleans(cells.there))
        if _holds(cells, found):
            return found
    if may_be(dates(sample).values):
        found = _dated(cells, None)
        if _holds(cells, found):
            return found
    if may_be(clocks(sample)):
        found = _with_odd(cells, "clock", clocks(cells.there))
        if _holds(cells, found):
            return found
    return None


def _refuse_change(cells: _Cells, found: Inferred) -> None:
    """Raise an error where a column is numbers up to a row, and words from there on, or the other way round."""
    places = np.flatnonzero(cells.there.is_valid().to_numpy())
    is_number = np.asarray(found.values.is_valid().to_numpy())[places]
    change = int(is_number.argmin() if is_number[0] else is_number.argmax())
    if min(change, cells.n - change) < _RUN or (is_number[change:] == is_number[0]).any():
        return
    if import_pyarrow().compute.count_distinct(cells.there).as_py() <= _FEW:
        return
    row = int(places[change])
    before, after = ("numbers", "none") if is_number[0] else ("no numbers", "numbers")
    expected = f"expected one kind, or that it is declared as text=[{cells.name!r}]"
    cure = f"{before} before it, and {after} from there on: {expected}"
    raise UndecidedError(cells.name, row, cells.given[row].as_py(), cure)


def _numbers(cells: _Cells, notation: Notation | None) -> Inferred:
    """Return the column as numbers; without a notation, in the one that is found where plain numbers are not enough."""
    found = _with_odd(cells, "number", numbers(cells.there, notation or PLAIN))
    if notation is None and found.odd is not None and has_mark(_odd_labels(cells, found)):
        notation = find_notation(cells.name, cells.there)
        if notation != PLAIN:
            return _with_odd(cells, "number", numbers(cells.there, notation))
    return found


def _dated(cells: _Cells, form: str | None) -> Inferred:
    found = dates(cells.there, form)
    inferred = _with_odd(cells, "date", found.values)._replace(form=found.form)
    if found.undecided and _holds(cells, inferred):
        first = found.values.is_valid().index(True).as_py()
        cure = f"day and month cannot be told apart, declare how dates are written, as dates={found.form!r}"
        raise UndecidedError(cells.name, first, cells.given[first].as_py(), cure)
    return inferred


def _with_odd(cells: _Cells, kind: Kind, values: Any) -> Inferred:
    """Return a column of this kind, with the cells that are not."""
    compute = import_pyarrow().compute
    n = values.null_count - cells.there.null_count
    if not n:
        return Inferred(kind, values)
    row = compute.and_(values.is_null(), cells.there.is_valid()).index(True).as_py()
    return Inferred(kind, values, Odd(n, row, cells.given[row].as_py()))


def _odd_labels(cells: _Cells, found: Inferred) -> Any:
    """Return the cells that are not of the kind."""
    compute = import_pyarrow().compute
    return cells.there.filter(compute.and_(found.values.is_null(), cells.there.is_valid()))


def _n_words(cells: _Cells, found: Inferred) -> int:
    """Return how many cells are neither of the kind nor marks."""
    if found.odd is None:
        return 0
    compute = import_pyarrow().compute
    labels = _odd_labels(cells, found)
    is_mark = matches(labels, _MARK)
    is_header = compute.equal(labels, cells.name.strip())
    if 2 * int(compute.sum(is_header).as_py() or 0) < cells.n:  # more are words
        is_mark = compute.or_(is_mark, is_header)
    return len(labels) - int(compute.sum(is_mark).as_py() or 0)


def _holds(cells: _Cells, found: Inferred) -> bool:
    """Tell whether a column may be called of this kind."""
    odd = 0 if found.odd is None else found.odd.count
    return 2 * odd < cells.n and 10 * _n_words(cells, found) <= cells.n


def _is_scale(cells: _Cells, found: Inferred) -> bool:
    """Tell whether numbers are labels of a scale such as 0, 1, 2, 3+."""
    if found.odd is None:
        return False
    compute = import_pyarrow().compute
    labels = _odd_labels(cells, found)
    labels = labels.filter(matches(labels, "[0-9]"))
    if len(labels) < 2:
        return False
    most = compute.max(compute.struct_field(compute.value_counts(labels), 1)).as_py()
    return bool(most >= max(2, cells.n / 50)) and bool(compute.count_distinct(cells.there).as_py() <= _FEW)


def is_text(kind: Any) -> bool:
    """Tell whether a type of pyarrow's is text."""
    types = import_pyarrow().types
    return bool(types.is_string(kind) or types.is_large_string(kind) or str(kind) == "string_view")
