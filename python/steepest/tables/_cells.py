"""Cells of text as numbers, dates, times of day, true and false: pyarrow does it, a column at a time.

Each function takes trimmed cells, a pyarrow array of text, and gives an array of the same length, null where a cell is
not of the kind. None of them looks at single rows in Python.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._extras import import_pyarrow

_SAMPLE = 4096  # cells that tell of which kinds a column cannot be
_FIRST = 1000  # cells that tell whether all may be whole
_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
_INFINITE = r"(?i:inf|infinity)"
_WHOLE = r"^[+-]?[0-9]+$"
_ALIKE = {" ": "[ \u00a0\u202f]", "'": "['\u2019]"}  # thousands marks that look the same
_TIME = r"(?:[Tt ] *(?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?:[.,](?P<f>[0-9]{1,9}))?)?)?"
_ZONE = r" *(?P<z>[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
_YEAR_FIRST = rf"^(?P<Y>[0-9]{{4}})[-./](?P<m>[0-9]{{1,2}})[-./](?P<d>[0-9]{{1,2}}){_TIME}{_ZONE}$"
_YEAR_LAST = rf"^(?P<d>[0-9]{{1,2}})(?P<s>[-./])(?P<m>[0-9]{{1,2}})[-./](?P<Y>[0-9]{{4}}){_TIME}$"
_CLOCK = r"^(?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?:[.,](?P<f>[0-9]{1,9}))?)?$"
_DIRECTIVES = {
    "%d": "(?P<d>[0-9]{1,2})", "%m": "(?P<m>[0-9]{1,2})", "%Y": "(?P<Y>[0-9]{4})", "%y": "(?P<y>[0-9]{2})",
    "%H": "(?P<H>[0-9]{1,2})", "%M": "(?P<M>[0-9]{2})", "%S": "(?P<S>[0-9]{2})", "%f": "(?P<f>[0-9]{1,9})",
}  # fmt: skip
_LATEST_OF_THE_1900S = 69  # two digits of a year from here on are of the 1900s, as in POSIX
TRUE = ("true", "t", "yes", "y", "1", "on", "1.0")
FALSE = ("false", "f", "no", "n", "0", "off", "0.0")


class Notation(NamedTuple):
    """How numbers are written.

    Parameters
    ----------
    decimal : str, default="."
        The decimal mark.
    thousands : str, default=""
        The mark that may stand between groups of three digits; "" for none.
    """

    decimal: str = "."
    thousands: str = ""

    @property
    def pattern(self) -> str:
        """A regular expression of a whole cell."""
        decimal, digits = re.escape(self.decimal), "[0-9]+"
        if self.thousands:
            mark = _ALIKE.get(self.thousands, re.escape(self.thousands))
            digits = f"(?:[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+|[0-9]+)"
        return f"^[+-]?(?:(?:{digits}(?:{decimal}[0-9]*)?|{decimal}[0-9]+){_EXPONENT}|{_INFINITE})$"


PLAIN = Notation()


def matches(cells: Any, pattern: str) -> Any:
    """Return where a cell, null for false, matches a regular expression."""
    compute = import_pyarrow().compute
    return compute.fill_null(compute.match_substring_regex(cells, pattern), False)


def numbers(cells: Any, notation: Notation = PLAIN) -> Any:
    """Return cells as numbers: int64 where all are whole numbers that it holds, else float64."""
    arrow = import_pyarrow()
    compute = arrow.compute
    plain = _as_plain(cells, notation)
    if plain is not None and (quick := _plain_numbers(plain)) is not None:
        return quick
    cells = where(cells, matches(cells, notation.pattern))
    if notation.thousands:
        mark = _ALIKE.get(notation.thousands, re.escape(notation.thousands))
        cells = compute.replace_substring_regex(cells, mark, "")
    if notation.decimal != ".":
        cells = compute.replace_substring(cells, notation.decimal, ".")
    if compute.all(matches(cells[:_FIRST].drop_null(), _WHOLE)).as_py():
        try:
            return compute.utf8_ltrim(cells, "+").cast(arrow.int64())
        except arrow.ArrowInvalid:  # not all of them
            pass
    return cells.cast(arrow.float64())


def _as_plain(cells: Any, notation: Notation) -> Any:
    """Return cells of a notation in the plain one, where no cell has another mark; else None."""
    compute = import_pyarrow().compute
    if notation == PLAIN:
        return cells
    marks = _ALIKE.get(notation.thousands, f"[{re.escape(notation.thousands)}]") if notation.thousands else ""
    others = "[.]" if notation.decimal != "." else ""
    if compute.any(compute.match_substring_regex(cells, "|".join(filter(None, (marks, others))))).as_py():
        return None
    return cells if notation.decimal == "." else compute.replace_substring(cells, notation.decimal, ".")


def _plain_numbers(cells: Any) -> Any:
    """Return cells as numbers in a third of the time, where all that are there are plain ones; else None."""
    arrow = import_pyarrow()
    compute = arrow.compute
    first = cells[:_FIRST].drop_null()
    if not compute.all(matches(first, PLAIN.pattern)).as_py():
        return None
    whole = compute.all(matches(first, _WHOLE)).as_py()
    if whole and compute.any(compute.match_substring(cells, "x", ignore_case=True)).as_py():
        return None  # Arrow reads 0x10 as 16
    try:
        return cells.cast(arrow.int64() if whole else arrow.float64())
    except arrow.ArrowInvalid:  # a cell that is no number, or not whole
        return None


def are_codes(cells: Any, values: Any) -> bool:
    """Tell whether cells that can be read as numbers are rather codes: 007, or too many digits for a float64.

    Parameters
    ----------
    cells : array of text
        Null where one is no number.
    values : array
        The numbers.
    """
    compute = import_pyarrow().compute
    ends = compute.min_max(values)
    least, most = ends["min"].as_py() or 0, ends["max"].as_py() or 0
    zero = compute.starts_with(cells, "0")
    if least < 0:
        zero = compute.or_(zero, compute.starts_with(cells, "-0"))
    if compute.any(zero).as_py():  # such as 0.5, or a code
        not_below_one = compute.or_(compute.greater_equal(compute.abs(values), 1), compute.equal(values, 0))
        padded = matches(cells.filter(compute.and_(zero, not_below_one)), r"^-?0[0-9]+$")
        if compute.any(padded).as_py():
            return True
    if max(-least, most) <= 2**53:
        return False
    beyond = compute.fill_null(
        compute.greater(compute.abs(values.cast(import_pyarrow().float64(), safe=False)), 2.0**53), False
    )
    long = matches(cells.filter(beyond), r"^[+-]?[0-9]{16,}$")
    return bool((compute.sum(long).as_py() or 0) * 10 >= max(len(cells) - cells.null_count, 1))


def booleans(cells: Any, true: tuple[str, ...] = TRUE[:1], false: tuple[str, ...] = FALSE[:1]) -> Any:
    """Return cells as true and false, in any case of letters."""
    arrow = import_pyarrow()
    compute = arrow.compute
    low = compute.utf8_lower(cells)
    is_true = compute.is_in(low, arrow.array(true, low.type))
    is_known = compute.or_(is_true, compute.is_in(low, arrow.array(false, low.type)))
    return where(is_true, is_known)


def clocks(cells: Any) -> Any:
    """Return cells as times of day, such as 08:00 or 23:59:59.5: time64 in microseconds."""
    arrow = import_pyarrow()
    unique, places = _encoded(cells)
    found = _Fields(unique, _CLOCK)
    micros, valid = found.time()
    return _taken(arrow.array(micros, arrow.int64(), mask=~(valid & found.matched)), places, arrow.time64("us"))


class Dates(NamedTuple):
    """Cells as dates.

    Parameters
    ----------
    values : array of timestamps
        In microseconds, null where a cell is none.
    form : str, optional
        How they are written, where that had to be found out.
    undecided : bool, default=False
        Whether day and month may be either way round, so that `values` are a guess.
    """

    values: Any
    form: str | None = None
    undecided: bool = False


def dates(cells: Any, form: str | None = None) -> Dates:
    """Return cells as dates, perhaps with a time.

    The year may come first in any case, day and month where one order of them suits all.

    Parameters
    ----------
    cells : array of text, shape (n,)
        Trimmed cells.
    form : str, optional
        How they are written, in the directives of `datetime.datetime.strptime`.
    """
    arrow = import_pyarrow()
    kind = arrow.timestamp("us")
    if form is None:
        try:
            return Dates(cells.cast(kind))
        except arrow.ArrowInvalid:
            pass
    unique, places = _encoded(cells)
    if form is not None:
        return Dates(_taken(_formed(unique, form), places, kind))
    fields = _Fields(unique, _YEAR_FIRST)
    first, is_first = fields.date()
    fields = _Fields(unique, _YEAR_LAST)
    by_day, is_by_day = fields.date()
    by_month, is_by_month = fields.date(day="m", month="d")
    monthly = bool((is_by_month & ~is_by_day).any())
    undecided = not monthly and not bool((is_by_day & ~is_by_month).any())
    mixed = monthly and bool((is_by_day & ~is_by_month).any())
    last, is_last = (by_month, is_by_month) if monthly else (by_day, is_by_day)
    differ = bool((by_day != by_month)[is_by_day & is_by_month].any())
    if mixed:  # in which the caller will find no order
        last, is_last = np.where(is_by_month, by_month, by_day), is_by_month | is_by_day
    values = _taken(
        arrow.array(np.where(is_first, first, last), arrow.int64(), mask=~(is_first | is_last)), places, kind
    )
    if not is_last.any():
        return Dates(values)
    mark = unique.filter(arrow.array(is_last))[0].as_py().lstrip("0123456789")[0]
    order = ("%m", "%d") if monthly else ("%d", "%m")
    return Dates(values, f"{order[0]}{mark}{order[1]}{mark}%Y", mixed or (undecided and differ))


def sample_of(cells: Any) -> Any:
    """Return at most `_SAMPLE` cells that are there, evenly over the column."""
    arrow = import_pyarrow()
    step = max(len(cells) // _SAMPLE, 1)
    if step == 1:
        return cells
    sample = cells.take(arrow.array(range(0, len(cells), step)))
    return sample if sample.null_count < len(sample) // 2 else cells.drop_null()[: 4 * _SAMPLE]


def where(values: Any, mask: Any) -> Any:
    """Return values, null where the mask, an array of booleans, is false."""
    arrow = import_pyarrow()
    return arrow.compute.if_else(mask, values, arrow.scalar(None, values.type))


class _Fields:
    """The parts of cells that match a regular expression with named groups, as whole numbers."""

    def __init__(self, cells: Any, pattern: str) -> None:
        parts = import_pyarrow().compute.extract_regex(cells, pattern)
        self.matched = ~np.asarray(parts.is_null().to_numpy(zero_copy_only=False))
        self.parts = {field.name: parts.field(i) for i, field in enumerate(parts.type)}
        self.n = len(cells)

    def __getitem__(self, name: str) -> NDArray[np.int64]:
        arrow = import_pyarrow()
        if name not in self.parts:
            return np.zeros(self.n, np.int64)
        part = self.parts[name]
        filled = arrow.compute.if_else(arrow.compute.equal(part, ""), "0", part).fill_null("0")
        return np.asarray(filled.cast(arrow.int64()).to_numpy())

    def time(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return microseconds since midnight, and where they are a time of day."""
        hours, minutes, seconds = self["H"], self["M"], self["S"]
        micros = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000
        if "f" in self.parts:
            digits = import_pyarrow().compute.utf8_rpad(self.parts["f"], 6, "0")
            self.parts["us"] = import_pyarrow().compute.utf8_slice_codeunits(digits, 0, 6)
            micros += self["us"]
        return micros, (hours < 24) & (minutes < 60) & (seconds < 60)

    def date(self, day: str = "d", month: str = "m") -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return microseconds since 1970, and where they are a date of the calendar."""
        years, months, days = self["Y"], self[month], self[day]
        if "y" in self.parts:
            short = self["y"]
            years = np.where(short >= _LATEST_OF_THE_1900S, 1900, 2000) + short
        first = (years - 1970).astype("M8[Y]").astype("M8[M]") + (np.clip(months, 1, 12) - 1)
        whole = first.astype("M8[D]") + (days - 1)
        valid = self.matched & (months >= 1) & (months <= 12) & (days >= 1) & (whole.astype("M8[M]") == first)
        micros, is_time = self.time()
        return whole.astype("M8[us]").astype(np.int64) + micros - self._zone(), valid & is_time

    def _zone(self) -> NDArray[np.int64]:
        """Return how far ahead of UTC the cells are, in microseconds."""
        if "z" not in self.parts:
            return np.zeros(self.n, np.int64)
        zone = _Fields(self.parts["z"].fill_null(""), "^(?P<s>[+-])(?P<H>[0-9]{2}):?(?P<M>[0-9]{2})$")
        minus = import_pyarrow().compute.equal(zone.parts.pop("s").fill_null(""), "-").to_numpy(zero_copy_only=False)
        return np.where(minus, -1, 1) * zone.time()[0]


def _formed(cells: Any, form: str) -> Any:
    """Return cells that are written in a form as microseconds since 1970."""
    arrow = import_pyarrow()
    parts = re.split("(%.)", form)
    if all(not part.startswith("%") or part in _DIRECTIVES for part in parts):
        pattern = "".join(_DIRECTIVES.get(part, re.escape(part)) for part in parts)
        micros, valid = _Fields(cells, f"^{pattern}$").date()
        return arrow.array(micros, arrow.int64(), mask=~valid)
    read = arrow.compute.strptime(cells, format=form, unit="us", error_is_null=True)
    return read.cast(arrow.int64())


def _encoded(cells: Any) -> tuple[Any, Any]:
    """Return the different cells, and the place of each cell among them."""
    arrow = import_pyarrow()
    if isinstance(cells, arrow.ChunkedArray):
        cells = cells.combine_chunks()
        if isinstance(cells, arrow.ChunkedArray):  # more text than one array holds, or none at all
            cells = cells.cast(arrow.large_string()).combine_chunks()
        if isinstance(cells, arrow.ChunkedArray):
            cells = arrow.array([], cells.type)
    coded = cells.dictionary_encode()
    return coded.dictionary, coded.indices


def _taken(values: Any, places: Any, kind: Any) -> Any:
    return values.take(places).cast(kind)
