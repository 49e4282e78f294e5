"""CSV: how a file is laid out, found from its start, and its cells as text."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Literal, NamedTuple

from .._extras import import_pyarrow
from ..files import MISSING
from ._cells import Notation
from ._notation import COMMA, POINT
from ._sources import Source

_SEPARATORS = ("\t", ";", "|", ",")  # the first that gives each row the same number of fields, two or more
_SAMPLE = 100  # rows that tell of it
_BLOCK = 1 << 24  # bytes parsed at a time; no row may be longer
_FAR = 2_000_000  # rows; beyond, a row is not looked up again to tell its line
_TEXT_GROWS = 4  # a cell of a digit becomes 8 bytes
Header = bool | Literal["auto"]


class Layout(NamedTuple):
    """How a CSV file is laid out.

    Parameters
    ----------
    sep : str
        The character between fields.
    named : bool
        Whether the first row has the names.
    raw : sequence of str
        The fields of the first row.
    encoding : str
        The text's encoding.
    """

    sep: str
    named: bool
    raw: Sequence[str]
    encoding: str

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [field.strip() if self.named else f"f{i}" for i, field in enumerate(self.raw)]


def layout_of(
    source: Source, *, sep: str | None, header: Header, encoding: str | None, names: Collection[str] | None
) -> Layout:
    """Find how a file is laid out.

    Parameters
    ----------
    source : Source
        The file.
    sep : str, optional
        The character between fields.
    header : bool or "auto"
        Whether the first row has the names.
    encoding : str, optional
        The text's encoding; by default UTF-8, or UTF-16 where a byte order mark says so.
    names : collection of str, optional
        Names that the columns have: they tell a first row of names that look like numbers.

    Raises
    ------
    ValueError
        If the file has no row, a name twice, or is not text in this encoding.
    """
    if encoding is None:
        encoding = "utf-16" if source.head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    rows_by_sep = {}
    for character in _SEPARATORS if sep is None else (sep,):
        rows_by_sep[character] = _first_rows(source, character, encoding)
    found, rows = _separated(rows_by_sep)
    if not rows:
        raise ValueError(f"{source.shown}: not a readable CSV file: expected rows, found blank lines")
    first = rows[0]
    if (line := found.join(first).rstrip(found)).startswith("sep=") and len(line) <= len("sep=;"):
        raise ValueError(f"{source.shown}: begins with {line!r}, a line for Excel: expected it to be removed")
    named = _is_header(first, names) if header == "auto" else bool(header)
    layout = Layout(found, named, first, encoding)
    repeated = sorted(name for name, times in Counter(layout.names).items() if times > 1)
    if repeated:
        raise ValueError(
            f"{source.shown}: not a readable CSV file: expected a name of its own for each column, found {repeated} "
            "more than once"
        )
    return layout


def read_cells(source: Source, layout: Layout) -> Any:
    """Return a file as a table of text."""
    arrow = import_pyarrow()
    from pyarrow import csv as arrow_csv

    with source.open(_TEXT_GROWS) as stream:
        if layout.named and not _has_more(source, layout):
            return arrow.table({name: arrow.array([], arrow.string()) for name in layout.names})
        with _explained(source, layout):
            read = arrow_csv.read_csv(stream, **_options(layout))
        return read.rename_columns(layout.names)


def cell_batches(source: Source, layout: Layout) -> Iterator[Any]:
    """Go through a file as batches of text, in constant memory."""
    arrow = import_pyarrow()
    from pyarrow import csv as arrow_csv

    with source.open() as stream:
        if layout.named and not _has_more(source, layout):
            yield arrow.record_batch([arrow.array([], arrow.string()) for _ in layout.names], layout.names)
            return
        with _explained(source, layout):
            reader = arrow_csv.open_csv(stream, **_options(layout, 1 << 21))
            for batch in reader:
                yield arrow.RecordBatch.from_arrays(batch.columns, layout.names)


def line_of(source: Source, layout: Layout, row: int) -> int | None:
    """Return the line on which a row begins, the first is 1; None where it is far away."""
    if row > _FAR:
        return None
    with source.open() as stream:
        seen = -1 if layout.named else 0
        with closing(_rows(stream, layout.sep, layout.encoding)) as rows:
            for line, _ in rows:
                if seen == row:
                    return line
                seen += 1
    return None


def _options(layout: Layout, block: int = _BLOCK) -> dict[str, Any]:
    arrow = import_pyarrow()
    from pyarrow import csv as arrow_csv

    raw = layout.raw if layout.named else layout.names
    encoding = "utf8" if layout.encoding == "utf-8-sig" else layout.encoding
    return {
        "read_options": arrow_csv.ReadOptions(
            block_size=block, autogenerate_column_names=not layout.named, encoding=encoding
        ),
        "parse_options": arrow_csv.ParseOptions(delimiter=layout.sep, newlines_in_values=True),
        "convert_options": arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(raw, arrow.string()), strings_can_be_null=False
        ),
    }


@contextmanager
def _explained(source: Source, layout: Layout) -> Iterator[None]:
    """Say what is wrong with a file, and in which line."""
    arrow = import_pyarrow()
    try:
        yield
    except (arrow.ArrowInvalid, UnicodeError) as error:
        with source.open() as again, closing(_rows(again, layout.sep, layout.encoding)) as rows:
            uneven = next(((line, len(row)) for line, row in rows if len(row) != len(layout.raw)), None)
        if uneven is not None:
            expected = f"expected {len(layout.raw)} as in the first row"
            raise ValueError(f"line {uneven[0]}: found {uneven[1]} fields, {expected}") from error
        raise


def _rows(stream: Any, sep: str, encoding: str) -> Generator[tuple[int, list[str]], None, None]:
    """Go through the rows that are not blank, each with the line on which it begins."""
    lines = io.TextIOWrapper(stream, encoding=encoding, newline="")
    reader = csv.reader(lines, delimiter=sep)
    line = 1
    try:
        while (row := _next_row(reader)) is not None:
            if row:
                yield line, row
            line = reader.line_num + 1
    except UnicodeError as error:
        name = "UTF-8" if encoding == "utf-8-sig" else encoding
        raise ValueError(
            f"{_undecodable(stream, encoding, line)} is not {name} text: save the file as UTF-8, or declare its "
            "encoding, as encoding='latin-1'"
        ) from error
    finally:
        lines.detach()


def _next_row(reader: Any) -> list[str] | None:
    """Return a row with fields of any length: with another separator than its own, a whole line is one."""
    longest = csv.field_size_limit(2**31 - 1)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(longest)


def _undecodable(stream: Any, encoding: str, line: int) -> str:
    """Return the line that is not text in an encoding; from `line` on, where its lines end in more than a byte."""
    if encoding == "utf-8-sig":
        stream.seek(0)
        for number, raw in enumerate(stream, 1):
            try:
                raw.decode()
            except UnicodeError:
                return f"line {number}"
    return f"line {line} or one soon after"


def _first_rows(source: Source, sep: str, encoding: str) -> list[list[str]]:
    """Return the first rows with this separator."""
    with source.open() as stream, closing(_rows(stream, sep, encoding)) as read:
        rows = [row for _, row in itertools.islice(read, _SAMPLE)]
    return rows


def _has_more(source: Source, layout: Layout) -> bool:
    with source.open() as stream, closing(_rows(stream, layout.sep, layout.encoding)) as rows:
        next(rows)
        return next(rows, None) is not None


def _separated(rows_by_sep: dict[str, list[list[str]]]) -> tuple[str, list[list[str]]]:
    """Return the separator that gives the first rows the same number of fields, or most of them."""

    def agreeing(sep: str) -> int:
        (fields, times), *_ = Counter(map(len, rows_by_sep[sep])).most_common(1) or [(0, 0)]
        return times if fields > 1 else 0

    best = max(rows_by_sep, key=agreeing) if len(rows_by_sep) > 1 else next(iter(rows_by_sep))
    best = best if agreeing(best) else list(rows_by_sep)[-1]
    return best, rows_by_sep[best]


def _is_header(first: Sequence[str], names: Collection[str] | None) -> bool:
    """Tell whether a first row has names: those that are known, or not numbers alone."""
    fields = [field.strip() for field in first]
    if names and 2 * len(set(names) & set(fields)) >= len(set(names)):
        return True
    there = [field for field in fields if field not in MISSING]
    patterns: tuple[Notation, ...] = (POINT, COMMA)
    return not there or not all(any(re.search(each.pattern, field) for each in patterns) for field in there)
