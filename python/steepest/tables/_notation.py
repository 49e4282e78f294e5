"""The decimal mark of numbers as text: a point or a comma, found from the cells, or an error where both would do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .._arrays import shown
from .._extras import import_pyarrow
from .._parallel import in_parallel
from ._cells import PLAIN, Notation, matches, sample_of

POINT, COMMA = Notation(".", ","), Notation(",", ".")
_MARKS = r"[, '\x{a0}\x{202f}\x{2019}]"
_GROUPED = r"^[+-]?[1-9][0-9]{0,2}(?:[ '\x{a0}\x{202f}\x{2019}][0-9]{3})+(?:[.,][0-9]*)?$"


def has_mark(cells: Any) -> bool:
    """Tell whether a cell has what may be a decimal comma or a mark between thousands."""
    return bool(import_pyarrow().compute.any(matches(cells, _MARKS)).as_py())


class _Votes(NamedTuple):
    """Cells that are numbers as plain ones, as those with a decimal point, and as those with a decimal comma."""

    plain: int
    point: int
    comma: int
    grouped: int  # by spaces or apostrophes
    dotted: int  # with a point
    n: int  # cells that are there

    @property
    def is_number(self) -> bool:
        """Whether the column is one of numbers in some notation."""
        return 2 * max(self.plain, self.point, self.comma) > self.n

    @property
    def are_clear(self) -> bool:
        """Whether all other cells of the column, of which these are a sample, would hardly change what is decided."""
        return not self.grouped and self.is_number and 10 * abs(self.point - self.comma) > self.n


def find_notation(name: str, cells: Any) -> Notation:
    """Return how the numbers of a column are written.

    Parameters
    ----------
    name : str
        Name of the column.
    cells : array of text
        Its trimmed cells.

    Raises
    ------
    ValueError
        If that cannot be decided.
    """
    return find_shared_notation({name: cells})


def find_shared_notation(
    columns: Mapping[str, Any], decimal: str | None = None, thousands: str | None = None, *, sep: str | None = None
) -> Notation:
    """Return how the numbers of all columns of a file are written.

    Parameters
    ----------
    columns : mapping of str to array of text
        Trimmed cells by column.
    decimal, thousands : str, optional
        What is known of it.
    sep : str, optional
        What parts the fields of the file: where it is ";", as where the comma is the decimal mark, a point may well
        stand between thousands.

    Raises
    ------
    ValueError
        If that cannot be decided.
    """
    if decimal is not None or thousands is not None:
        return _declared(decimal, thousands)
    names = list(columns)
    counted = dict(
        zip(names, in_parallel(lambda name: _votes(columns[name]), names, sum(map(len, columns.values()))), strict=True)
    )
    votes = {name: vote for name, vote in counted.items() if vote is not None}
    for name, vote in votes.items():
        if 2 * vote.grouped > vote.n - vote.plain and vote.grouped:
            mark = _first(columns[name], _GROUPED).lstrip("+-0123456789")[0]
            raise _two_ways(name, columns[name], _GROUPED, f"declare the mark between thousands, as thousands={mark!r}")
    numeric = {name: vote for name, vote in votes.items() if vote.is_number}
    by_comma = [name for name, vote in numeric.items() if vote.comma > vote.point]
    by_point = [name for name, vote in numeric.items() if vote.point > vote.comma]
    either = [
        name
        for name, vote in numeric.items()
        if vote.point == vote.comma and (vote.comma > vote.plain or (sep == ";" and vote.dotted))
    ]
    if by_comma and by_point:
        such = _first(columns[by_point[0]], r"\.")
        raise _two_ways(
            by_comma[0], columns[by_comma[0]], ",",
            f"column {by_point[0]!r} has {shown(such)}: declare decimal=',' or decimal='.', or that one is text",
        )  # fmt: skip
    if by_comma:
        return COMMA
    if by_point:
        return POINT
    if either:
        raise _two_ways(either[0], columns[either[0]], "[.,]", "declare decimal=',' or decimal='.'")
    return PLAIN


def _declared(decimal: str | None, thousands: str | None) -> Notation:
    if decimal is None:
        decimal = "," if thousands == "." else "."
    if thousands is None:
        thousands = {".": ",", ",": "."}.get(decimal, "")
    return Notation(decimal, thousands)


def _votes(cells: Any) -> _Votes | None:
    """Count the cells of a column; None where there is nothing to decide."""
    sample = sample_of(cells)
    votes = _count(sample)
    if len(sample) == len(cells) or (votes is not None and votes.are_clear):
        return votes
    return _count(cells)


def _count(cells: Any) -> _Votes | None:
    compute = import_pyarrow().compute

    def count(pattern: str) -> int:
        return int(compute.sum(matches(cells, pattern)).as_py() or 0)

    n = len(cells) - cells.null_count
    grouped = count(_GROUPED)
    if not grouped and not count("[.,]"):
        return None
    return _Votes(count(PLAIN.pattern), count(POINT.pattern), count(COMMA.pattern), grouped, count("[.]"), n)


def _first(cells: Any, pattern: str) -> str:
    return str(cells[matches(cells, pattern).index(True).as_py()].as_py())


class UndecidedError(ValueError):
    """Numbers or dates that can be read in two ways: the column, the row, and why."""

    def __init__(self, name: str, row: int, text: str, cure: str) -> None:
        self.name, self.row, self.text, self.cure = name, row, text, cure
        super().__init__(f"column {name!r} has {shown(text)} in row {row} (the first row is 0): {cure}")

    def in_line(self, line: int) -> ValueError:
        """Return the same error with the line of a file."""
        return ValueError(f"line {line}: column {self.name!r} has {shown(self.text)}: {self.cure}")


def _two_ways(name: str, cells: Any, pattern: str, cure: str) -> UndecidedError:
    row = matches(cells, pattern).index(True).as_py()
    return UndecidedError(name, row, cells[row].as_py(), f"this may be read in two ways, {cure}")
