"""One reader of tables: CSV, Parquet, Arrow, JSON lines, arrays; files, folders, patterns and pipes."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._arrays import reason_of
from .._extras import import_pyarrow
from .._parallel import in_parallel
from .._validation import integer
from ..files import StrPath
from ._array_files import batches_of
from ._columns import DataWarning, odd_cells
from ._csv import Header, Layout, cell_batches, layout_of, line_of, read_cells
from ._file_columns import inferred, notation_of
from ._inference import Inferred, Kind, Odd, is_text
from ._notation import UndecidedError
from ._reading_options import Options
from ._sources import Source, open_sources
from ._streaming import Typist

if TYPE_CHECKING:
    import pyarrow


def read(
    source: StrPath | list[StrPath],
    *,
    sep: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    header: Header = "auto",
    encoding: str | None = None,
    missing: Collection[str] | None = None,
    text: Collection[str] = (),
    dates: str | Mapping[str, str] | None = None,
    names: Collection[str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
) -> pyarrow.Table:
    r"""Read a table from files of any kind.

    What a file is, its first bytes say: CSV, Parquet, Feather and Arrow (file or stream), JSON lines, NPZ, NPY, IDX;
    text of these within gzip too. Files of libsvm are known by their names: .svm, .svmlight or .libsvm. What a column
    of text is, in any format, is decided by the rules of the guide's page on tables; cells that are not of their
    column's kind are missing, and a `DataWarning` says how many and where the first is.

    Parameters
    ----------
    source : str, path or list of them
        A file, a folder of files, a pattern such as ``data/*.csv``, a pipe, or "-" for standard input. Several files
        must have the same columns, in any order.
    sep : str, optional
        The character between fields of CSV; by default a tab, ";", "|" or "," is found.
    decimal : str, optional
        The decimal mark of numbers as text; by default "." or "," is found.
    thousands : str, optional
        The mark between groups of three digits; by default the other of both.
    header : bool or "auto", default="auto"
        Whether the first row of CSV has the names. "auto": it has, unless it holds numbers alone, in any notation.
        Without names, the columns are called f0, f1, ...
    encoding : str, optional
        The encoding of CSV; by default UTF-8, or UTF-16 where a byte order mark says so.
    missing : collection of str, optional
        Cells that are missing, in text too; by default empty ones, and those of `steepest.files.MISSING` where a column
        is not text.
    text : collection of str, default=()
        Columns that are text whatever they look like; they become pyarrow's dictionaries.
    dates : str or mapping of str to str, optional
        How dates are written, as "%d.%m.%Y": of all columns of text that suit it, or by column.
    names : collection of str, optional
        Names that columns have: a first row of numbers has names then, if half of these are among them.
    kinds : mapping of str to str, optional
        The kinds of columns, where these are known: "number", "text", "boolean", "date" or "clock".

    Returns
    -------
    pyarrow.Table
        The rows: whole numbers, numbers, true and false, timestamps, times of day and text.

    Raises
    ------
    TypeError
        If `source` is no path, or `text` or `missing` a single text.
    ValueError
        If an option is none of its values; if a file is damaged, empty, no table or unfolds beyond the limit, a name
        occurs twice, or a row has too few or too many fields (the message has its line); if files have different
        columns, or numbers or dates can be read in two ways (the message has line, column and text).
    ModuleNotFoundError
        If pyarrow is not installed, or scikit-learn for libsvm.
    OSError
        If a file cannot be opened.

    Examples
    --------
    >>> import warnings
    >>> from pathlib import Path
    >>> import steepest as st
    >>> path = Path("table.csv")
    >>> _ = path.write_text("size;price;kind\n1,5;1.200,00;a\n2,25;-;b\n3,0;900,00;a\n")
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     table = st.tables.read(path)
    >>> table.to_pydict()
    {'size': [1.5, 2.25, 3.0], 'price': [1200.0, None, 900.0], 'kind': ['a', 'b', 'a']}
    >>> str(said[0].message)
    "column 'price': 1 of 3 cells are no numbers and count as missing, the first is '-' in line 3"
    """
    options = Options.of(
        {"sep": sep, "decimal": decimal, "thousands": thousands, "header": header, "encoding": encoding,
         "missing": missing, "text": text, "dates": dates, "names": names, "kinds": kinds}
    )  # fmt: skip
    import_pyarrow()
    with open_sources(source) as sources:
        files = [_File.of(each, options) for each in sources]
        table = _joined(files)
        lengths = [each.n_rows for each in files]
        for each in files:
            each.table = None
        return _typed(table, options, _Places(files, lengths))


def read_batches(
    source: StrPath | list[StrPath],
    *,
    batch_rows: int = 1 << 16,
    columns: Collection[str] | None = None,
    **options: Any,
) -> Iterator[pyarrow.RecordBatch]:
    r"""Go through a table in batches, in constant memory where the format allows that (CSV, Parquet, Arrow).

    What a column is, its first `batch_rows` rows tell, or `kinds`; all numbers are float64. A column without a value in
    them counts as numbers.

    Parameters
    ----------
    source : str, path or list of them
        As `read` takes it.
    batch_rows : int, default=65536
        Rows of a batch; the last has fewer.
    columns : collection of str, optional
        Those of interest: others are left out, whatever they hold.
    **options : object
        As `read` takes them.

    Yields
    ------
    pyarrow.RecordBatch
        All of the same columns and types.

    Raises
    ------
    TypeError, ValueError, ModuleNotFoundError, OSError
        As `read`; also ValueError where a column is of another kind later on.

    Examples
    --------
    >>> from steepest.tables import read_batches
    >>> with open("t.csv", "w") as file:
    ...     written = file.write("size,price\n1,10\n2,20\n3,30\n")
    >>> [batch.num_rows for batch in read_batches("t.csv", batch_rows=2)]
    [2, 1]
    """
    typist = Typist(Options.of(options), columns)
    yield from typed_batches(source, typist, integer("batch_rows", batch_rows, ge=1))
    for message in typist.warnings():
        warnings.warn(message, DataWarning, stacklevel=2)


def typed_batches(source: StrPath | list[StrPath], typist: Typist, batch_rows: int) -> Iterator[pyarrow.RecordBatch]:
    """Go through a table in batches as `read_batches` does, typed by this typist, who then knows what was odd."""
    import_pyarrow()
    with open_sources(source) as sources:
        for each in sources:
            typist.begin(each)
            for batch in _of_size(_raw_batches(each, typist, typist.options), batch_rows):
                yield typist.typed(batch)


def _raw_batches(source: Source, typist: Typist, options: Options) -> Iterator[Any]:
    """Go through a file as batches of text, or as they are."""
    if source.format != "CSV":
        yield from batches_of(source)
        return
    layout = layout_of(source, sep=options.sep, header=options.header, encoding=options.encoding, names=options.names)
    typist.layout = layout
    yield from cell_batches(source, layout)


def _of_size(batches: Iterator[Any], size: int) -> Iterator[Any]:
    """Go through batches as tables of `size` rows each, the last of fewer; of no rows at all, one."""
    arrow = import_pyarrow()
    waiting: list[Any] = []
    n, begun = 0, False
    for batch in batches:
        waiting.append(batch)
        n += batch.num_rows
        if n < size:
            continue
        table = arrow.Table.from_batches(waiting)
        whole = n - n % size
        for start in range(0, whole, size):
            yield table.slice(start, size)
        waiting, n, begun = table.slice(whole).to_batches(), n - whole, True
    if n or (waiting and not begun):
        yield arrow.Table.from_batches(waiting)


class _File:
    """A file, read as text or as it is, and how it is laid out where it is CSV."""

    def __init__(self, source: Source, table: Any, layout: Layout | None) -> None:
        self.source, self.table, self.layout, self.n_rows = source, table, layout, table.num_rows

    @classmethod
    def of(cls, source: Source, options: Options) -> _File:
        if source.format == "CSV":
            layout = layout_of(
                source, sep=options.sep, header=options.header, encoding=options.encoding, names=options.names
            )
            return cls(source, read_cells(source, layout), layout)
        return cls(source, import_pyarrow().Table.from_batches(list(batches_of(source))), None)


@dataclass(frozen=True)
class _Places:
    """Where rows of several files stand."""

    files: list[_File]
    lengths: list[int]

    @property
    def sep(self) -> str | None:
        """The separator of the first file, if it is CSV."""
        layout = self.files[0].layout
        return None if layout is None else layout.sep

    def line(self, row: int) -> tuple[str, int | None]:
        """Return the file of a row, and its line in a CSV file."""
        for each, length in zip(self.files, self.lengths, strict=True):
            if row < length:
                return each.source.shown, each.layout and line_of(each.source, each.layout, row)
            row -= length
        raise IndexError(row)

    def in_words(self, row: int) -> str:
        """Return the place of a row in words."""
        shown, line = self.line(row)
        place = f"row {row}" if line is None else f"line {line}"
        return f"{place} of {shown}" if len(self.files) > 1 else place


def _joined(files: list[_File]) -> Any:
    """Return the rows of all files, which must have the same columns."""
    arrow = import_pyarrow()
    first = files[0]
    names = first.table.column_names
    for each in files[1:]:
        found = each.table.column_names
        if sorted(found) != sorted(names):
            listed = ", ".join(found)
            raise ValueError(
                f"{each.source.shown}: the columns {listed}: expected {', '.join(names)}, as in {first.source.shown}"
            )
    if len(files) == 1:
        return first.table
    try:
        return arrow.concat_tables([each.table.select(names) for each in files], promote_options="permissive")
    except (arrow.ArrowException, TypeError) as error:
        raise ValueError(f"{first.source.shown} and others: columns of different types: {reason_of(error)}") from error


def _typed(table: Any, options: Options, places: _Places) -> Any:
    """Give each column of text its type."""
    arrow = import_pyarrow()
    names, columns = table.column_names, list(table.columns)
    del table
    texts = [i for i, column in enumerate(columns) if is_text(column.type)]
    try:
        notation = notation_of(names, columns, options, places.sep)

        def typed(i: int) -> Inferred:
            found = inferred(names[i], columns[i], options, notation)
            columns[i] = found.values  # the text is let go
            return found

        for i, found in zip(texts, in_parallel(typed, texts, sum(len(columns[i]) for i in texts)), strict=True):
            if found.odd is not None:
                _warn(names[i], found.kind, found.odd, len(found.values), places)
    except UndecidedError as error:
        shown, line = places.line(error.row)
        raise ValueError(f"{shown}: {error if line is None else error.in_line(line)}") from error
    return arrow.table(columns, names=names)


def _warn(name: str, kind: Kind, odd: Odd, n: int, places: _Places) -> None:
    words = odd_cells(name, kind, odd, n, places.in_words(odd.row))
    warnings.warn(words, DataWarning, stacklevel=4)
