"""Batches of a table that is read in parts, all typed as the first one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from .._arrays import shown
from .._extras import import_pyarrow
from ._cells import Notation
from ._columns import odd_cells
from ._csv import Layout, line_of
from ._file_columns import inferred, notation_of
from ._inference import Inferred, Kind, Odd, infer, is_text, without_blanks
from ._notation import UndecidedError
from ._reading_options import Options
from ._sources import Source

_TYPES = {"boolean": "bool", "number": "double", "date": "timestamp[us]", "clock": "time64[us]", "empty": "double"}


@dataclass
class _Seen:
    """A column of text as its first rows have it, and its cells of another kind so far."""

    kind: Kind
    form: str | None
    count: int = 0
    first: tuple[str, str] | None = None  # what stands there, and where


class Typist:
    """Types batches, one after the other, each file's named by `begin`.

    Parameters
    ----------
    options : Options
        As for `steepest.tables.read`.
    wanted : collection of str, optional
        The columns to keep; by default all.
    whole : str, optional
        A column, such as one of labels, whose whole numbers are int64 in a batch that has no other numbers.
    """

    def __init__(self, options: Options, wanted: Collection[str] | None = None, *, whole: str | None = None) -> None:
        self.options, self.wanted, self.whole = options, wanted, whole
        self.layout: Layout | None = None
        self._columns: dict[str, _Seen] = {}
        self._names: list[str] | None = None
        self._first: str = ""
        self._notation = Notation()
        self._n = self._n_before = 0

    def begin(self, source: Source) -> None:
        """Go on with another file."""
        self.source, self.layout, self._n_before = source, None, self._n

    def typed(self, table: Any) -> Any:
        """Return a table of text as a record batch."""
        arrow = import_pyarrow()
        if self.wanted is not None:
            table = table.select([name for name in table.column_names if name in self.wanted])
        names = table.column_names
        if self._names is None:
            self._begin(names, table)
        elif sorted(names) != sorted(self._names):
            expected = f"expected {', '.join(self._names)}, as in {self._first}"
            raise ValueError(f"{self.source.shown}: the columns {', '.join(names)}: {expected}")
        columns = []
        try:
            for name in self._names or ():
                column = table.column(name)
                columns.append(self._column(name, column) if is_text(column.type) else column)
        except UndecidedError as error:
            raise ValueError(f"{self.source.shown}: {self._place(error.row)}: {error}") from error
        self._n += table.num_rows
        merged = [_one_chunk(column) for column in columns]
        return arrow.RecordBatch.from_arrays(merged, self._names)

    def warnings(self) -> list[str]:
        """Return the words of a warning for each column with cells that are not of its kind."""
        return [
            odd_cells(name, seen.kind, Odd(seen.count, 0, seen.first[0]), self._n, seen.first[1])
            for name, seen in self._columns.items()
            if seen.first is not None
        ]

    def _begin(self, names: list[str], table: Any) -> None:
        self._names, self._first = names, self.source.shown
        try:
            self._notation = notation_of(
                names, table.columns, self.options, None if self.layout is None else self.layout.sep
            )
            for name in names:
                if is_text(table.column(name).type):
                    found = inferred(name, table.column(name), self.options, self._notation)
                    self._columns[name] = _Seen(found.kind, found.form or self.options.form_of(name))
        except UndecidedError as error:
            raise ValueError(f"{self.source.shown}: {self._place(error.row)}: {error}") from error

    def _column(self, name: str, column: Any) -> Any:
        seen = self._columns[name]
        expected: Kind = "number" if seen.kind == "empty" else seen.kind
        found = infer(name, column, expected, missing=self.options.missing, notation=self._notation, form=seen.form)
        arrow = import_pyarrow()
        if seen.kind == "text":
            return found.values if self.options.kind_of(name) == "text" else without_blanks(found.values)
        if found.kind not in (expected, "empty"):
            raise self._changed(name, seen, column, found)
        if found.odd is not None:
            seen.count += found.odd.count
            seen.first = seen.first or (found.odd.text, self._place(found.odd.row))
        if name == self.whole and arrow.types.is_int64(found.values.type):
            return found.values
        return found.values.cast(arrow.type_for_alias(_TYPES[expected]))

    def _changed(self, name: str, seen: _Seen, column: Any, found: Inferred) -> ValueError:
        """Return the error for a column that is of another kind than in its first rows."""
        compute = import_pyarrow().compute
        there = compute.not_equal(compute.utf8_trim_whitespace(column), "")
        row = compute.fill_null(there, False).index(True).as_py()
        before = "has no value" if seen.kind == "empty" else f"is {seen.kind}"
        return ValueError(
            f"{self.source.shown}: column {name!r} {before} in its first rows, and {found.kind} such as "
            f"{shown(column[row].as_py())} around {self._place(row)}: expected one kind; declare what it is, as "
            f"text=[{name!r}]"
        )

    def _place(self, row: int) -> str:
        row += self._n - self._n_before
        line = None if self.layout is None else line_of(self.source, self.layout, row)
        return f"row {row} (the first row is 0)" if line is None else f"line {line}"


def _one_chunk(column: Any) -> Any:
    arrow = import_pyarrow()
    if isinstance(column, arrow.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return arrow.concat_arrays(column.chunks) if column.num_chunks else arrow.array([], column.type)
