"""Readers of data: IDX, NPZ, CSV and Parquet; and, by their public names, the reader and writer of model files.

Every reader treats its file as hostile. Memory grows with the bytes that are really there, never with what a header
claims, nothing is ever unpickled, and whatever is wrong with the contents is a ValueError that names the file. What is
compressed may unfold to half of the machine's memory, and to over 1 GiB only where that is at most a hundred times the
file's size; bytes of CSV count fourfold, for a number of a digit takes eight. This is checked while it unfolds.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._core import total_memory
from ._extras import import_pyarrow
from ._model_file import read_model, write_model
from ._safe_io import (
    GZIP,
    START,
    StrPath,
    describe,
    is_parquet,
    known_kind,
    open_to_read,
    refusing,
    write_atomically,
)

if TYPE_CHECKING:
    import pyarrow


__all__ = [
    "MISSING",
    "StrPath",
    "import_pyarrow",
    "is_number",
    "read_csv",
    "read_idx",
    "read_model",
    "read_npz",
    "read_table",
    "write_atomically",
    "write_model",
]

MISSING = (
    "", "NA", "na", "N/A", "n/a", "#N/A", "NaN", "nan", "-NaN", "-nan", "NULL", "Null", "null", "None", "none", "?",
)  # fmt: skip
"""The fields of a CSV file that mean a missing value, where a column's others are numbers, dates or booleans."""

_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_DIMENSIONS = 32
_PIECE = 1 << 20  # bytes read at a time
_BLOCK = 1 << 24  # bytes of CSV parsed at a time; no row may be longer
_ROWS = 1 << 14  # of Parquet, read at a time
_UNSUSPICIOUS = 1 << 30  # bytes that any file may unfold to
_LARGEST_RATIO = 100  # of more bytes than these to those of the file
_TEXT_GROWS = 4  # a digit and a comma become the 8 bytes of a number


def read_idx(path: StrPath) -> NDArray[Any]:
    """Read an array from an IDX file, the format of MNIST, plain or compressed by gzip whatever it is called.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    array
        Of the shape and type that the file states, in native byte order: uint8, int8, int16, int32, float32 or
        float64.

    Raises
    ------
    ValueError
        If the contents do not start as IDX, have an unknown type or over 32 dimensions, are not as long as the header
        says (the message has both lengths), or unfold beyond the limit.
    OSError
        If the file cannot be opened.

    Notes
    -----
    Format: http://yann.lecun.com/exdb/mnist (bytes 0, 0, type, number of dimensions; big-endian sizes; the data).

    Examples
    --------
    >>> from steepest.files import read_idx
    >>> with open("labels-idx1-ubyte", "wb") as file:
    ...     written = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))  # unsigned bytes, one dimension of 3
    >>> read_idx("labels-idx1-ubyte")
    array([7, 2, 1], dtype=uint8)
    """
    with _reading(path, "IDX") as stream:
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0":
            raise ValueError(f"expected to start with two zero bytes, found {describe(magic + stream.read(START))}")
        code, n_dims = magic[2:]
        if code not in _IDX_TYPES:
            raise ValueError(f"type code 0x{code:02X}: expected one of {', '.join(f'0x{k:02X}' for k in _IDX_TYPES)}")
        if n_dims > _MOST_DIMENSIONS:
            raise ValueError(f"{n_dims} dimensions: expected at most {_MOST_DIMENSIONS}")
        sizes = stream.read(4 * n_dims)
        if len(sizes) < 4 * n_dims:
            raise ValueError(f"expected {4 * n_dims} bytes of sizes, found {len(sizes)}")
        shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4))
        array = _read_array(stream, shape, _IDX_TYPES[code])
        return array.astype(array.dtype.newbyteorder("="), copy=False)


def read_npz(path: StrPath) -> dict[str, NDArray[Any]]:
    """Read all arrays of an NPZ file; an array of Python objects is refused, never unpickled.

    Parameters
    ----------
    path : str or path
        A file that `numpy.savez` or `numpy.savez_compressed` wrote.

    Returns
    -------
    dict of str to array
        The arrays by name.

    Raises
    ------
    ValueError
        If the contents are damaged, are not a zip archive of NumPy's arrays, hold Python objects, or unfold beyond the
        limit.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.files import read_npz
    >>> np.savez("t.npz", x=np.zeros((3, 2)), y=np.arange(3))
    >>> {name: array.shape for name, array in read_npz("t.npz").items()}
    {'x': (3, 2), 'y': (3,)}
    """
    with open_to_read(path) as file, refusing(path, "NPZ"):
        if not zipfile.is_zipfile(file):
            file.seek(0)
            raise ValueError(f"expected a zip archive, found {describe(file.read(START))}")
        limit = _Limit(path)
        with zipfile.ZipFile(file) as archive:
            return {info.filename.removesuffix(".npy"): _read_npy(archive, info, limit) for info in archive.infolist()}


def read_csv(
    path: StrPath, *, header: bool | Literal["auto"] = "auto", delimiter: str = ",", text: Collection[str] = ()
) -> pyarrow.Table:
    r"""Read a table from a CSV file in UTF-8, plain or compressed by gzip.

    Each column becomes whole numbers, numbers, true and false, dates, times or text, whichever fits all its values.
    `MISSING` lists what stands for a missing value; it counts only in columns that are not text, so that a column of
    country codes keeps its "NA". Blank lines are skipped. Fields may be quoted, and then hold commas, newlines and
    doubled quotes. White space around the names is dropped.

    Parameters
    ----------
    path : str or path
        The file.
    header : bool or "auto", default="auto"
        Whether the first row has the names. "auto": it has, unless it holds numbers alone (missing values aside).
        Without names, the columns are called f0, f1, ...
    delimiter : str, default=","
        One character between fields.
    text : collection of str, default=()
        Names of columns to read as text whatever they look like, such as codes with leading zeros.

    Returns
    -------
    pyarrow.Table
        The rows.

    Raises
    ------
    ValueError
        If `header` or `delimiter` is no such value, if the contents are not UTF-8 text or have no row, a name occurs
        twice, a row has too few or too many fields (the message has its line), or gzip unfolds beyond the limit.
    ModuleNotFoundError
        If pyarrow is not installed.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> from steepest.files import read_csv
    >>> with open("t.csv", "w") as file:
    ...     written = file.write("size,price\n1,10\n2,20\n")
    >>> read_csv("t.csv").column_names
    ['size', 'price']
    """
    if header not in (True, False, "auto"):
        raise ValueError(f"header is {header!r}: expected True, False or 'auto'")
    if len(delimiter) != 1:
        raise ValueError(f"delimiter is {delimiter!r}: expected one character")
    arrow = import_pyarrow()
    from pyarrow import csv as arrow_csv

    with _reading(path, "CSV", _TEXT_GROWS) as stream:
        start = stream.read(START)
        if not start or known_kind(start) is not None:
            raise ValueError(f"expected rows of text, found {describe(start)}")
        first, more = _first_row(stream, delimiter)
        named = not _is_data(first) if header == "auto" else bool(header)
        names = [field.strip() if named else f"f{i}" for i, field in enumerate(first)]
        repeated = [name for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise ValueError(f"expected a name of its own for each column, found {sorted(repeated)} more than once")
        if named and not more:
            return arrow.table({name: arrow.nulls(0) for name in names})
        stream.seek(0)
        as_text = {
            raw if named else name: arrow.string() for raw, name in zip(first, names, strict=True) if name in text
        }
        try:
            table = arrow_csv.read_csv(
                stream,
                arrow_csv.ReadOptions(block_size=_BLOCK, autogenerate_column_names=not named),
                arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                arrow_csv.ConvertOptions(null_values=MISSING, column_types=as_text),
            )
        except arrow.ArrowInvalid:
            _refuse_uneven_rows(stream, delimiter, len(names))
            raise
        for name, kind in zip(names, table.schema.types, strict=True):
            if arrow.types.is_binary(kind):
                raise ValueError(f"column {name!r} is not UTF-8 text: save the file as UTF-8")
        return table.rename_columns(names)


def read_table(
    path: StrPath, *, header: bool | Literal["auto"] = "auto", delimiter: str = ",", text: Collection[str] = ()
) -> pyarrow.Table:
    r"""Read a table from a Parquet file, known by its first bytes, or else from a CSV file.

    Parameters
    ----------
    path : str or path
        The file.
    header : bool or "auto", default="auto"
        Of CSV, see `read_csv`.
    delimiter : str, default=","
        Of CSV, see `read_csv`.
    text : collection of str, default=()
        Of CSV, see `read_csv`.

    Returns
    -------
    pyarrow.Table
        The rows.

    Raises
    ------
    ValueError
        If the contents are no Parquet that can be read or unfold beyond the limit, or as `read_csv`.
    ModuleNotFoundError
        If pyarrow is not installed.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> from steepest.files import read_table
    >>> with open("t.csv", "w") as file:
    ...     written = file.write("size;price\n1;10\n2;20\n")
    >>> read_table("t.csv", delimiter=";").num_rows
    2
    """
    with open_to_read(path) as file:
        if not is_parquet(file.read(START)):
            return read_csv(path, header=header, delimiter=delimiter, text=text)
        arrow = import_pyarrow()
        from pyarrow import parquet

        file.seek(0)
        with refusing(path, "Parquet"):
            limit, parts = _Limit(path), []
            content = parquet.ParquetFile(file)
            for part in content.iter_batches(batch_size=_ROWS):
                # Labels of categories are shared by all parts.
                columns = (getattr(column, "indices", column) for column in part.columns)
                limit.take(sum(column.nbytes for column in columns))
                parts.append(part)
            return arrow.Table.from_batches(parts, content.schema_arrow)


class _Limit:
    """The bytes that a compressed file may unfold to, counted while it does.

    Parameters
    ----------
    path : str or path
        The file.
    grows : int, default=1
        How many times as much memory each of these bytes may take later.
    """

    def __init__(self, path: StrPath, grows: int = 1) -> None:
        self.size, self.grows = os.path.getsize(path), grows
        self.most = min(total_memory() // 2, max(_UNSUSPICIOUS, _LARGEST_RATIO * self.size))
        self.taken = 0

    def take(self, n: int) -> None:
        """Count another n bytes; ValueError where these are too many."""
        self.taken += n
        self.check()

    @property
    def exceeded(self) -> bool:
        """Whether these are too many."""
        return self.taken * self.grows > self.most

    def check(self) -> None:
        """Raise ValueError where it was exceeded."""
        if self.exceeded:
            raise ValueError(
                f"its {self.size:,} bytes unfold to more than {self.most // self.grows:,}, the limit against files "
                "that would fill the memory: if it is as it should be, unpack it, or read it in parts"
            )


class _Unfolding(gzip.GzipFile):
    """A gzip file that ends at its limit: an error would be raised in a thread of pyarrow's, which then never ends."""

    def __init__(self, path: StrPath, grows: int) -> None:
        super().__init__(path, "rb")
        self.limit = _Limit(path, grows)

    def read(self, size: int | None = -1) -> bytes:
        return self._within(super().read(size))

    def read1(self, size: int = -1) -> bytes:
        return self._within(super().read1(size))

    def _within(self, data: bytes) -> bytes:
        self.limit.taken = max(self.limit.taken, self.tell())  # a CSV file is read from its start again
        return b"" if self.limit.exceeded else data


@contextmanager
def _reading(path: StrPath, kind: str, grows: int = 1) -> Iterator[Any]:
    """Open a file for reading, through gzip if its first bytes say so; what is wrong with its contents names it."""
    with open_to_read(path) as file:
        compressed = file.read(2) == GZIP
    if not compressed:
        with open(path, "rb") as stream, refusing(path, kind):
            yield stream
        return
    with _Unfolding(path, grows) as unfolding, refusing(path, kind):
        try:
            yield unfolding
        except Exception:
            unfolding.limit.check()  # then this is what is wrong
            raise
        unfolding.limit.check()


def _read_array(
    stream: Any, shape: tuple[int, ...], dtype: DTypeLike, order: Literal["C", "F"] = "C", limit: _Limit | None = None
) -> NDArray[Any]:
    """Read an array that must fill the rest of the stream exactly."""
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    data = bytearray()
    try:
        while len(data) < expected and (piece := stream.read1(min(_PIECE, expected - len(data)))):
            data += piece
            if limit is not None:
                limit.take(len(piece))
        surplus = len(stream.read(_PIECE)) if len(data) == expected else 0
    except EOFError as error:  # gzip without its end
        raise ValueError(f"cut short: expected {expected} bytes of data, found {len(data)} and no end mark") from error
    if surplus or len(data) < expected:
        more = " or more" if surplus == _PIECE else ""
        raise ValueError(f"expected {expected} bytes of data, found {len(data) + surplus}{more}")
    array: NDArray[Any] = np.ndarray(shape, dtype, data, order=order)
    return array


def _read_npy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: _Limit) -> NDArray[Any]:
    """Read one array of an NPZ file; `numpy.load` would allocate what the header claims."""
    with archive.open(info) as member:
        return read_npy_stream(member, info.filename, limit)


def read_npy_stream(stream: Any, name: str, limit: _Limit | None = None) -> NDArray[Any]:
    """Read an array of NumPy's npy format from a stream that it must fill; `name` is for messages."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise ValueError(f"{name}: version {version} of the npy format: expected one of {list(readers)}")
    shape, fortran, dtype = readers[version](stream)
    if dtype.hasobject:
        raise ValueError(f"{name}: holds Python objects, which would have to be unpickled")
    if any(size < 0 for size in shape):
        raise ValueError(f"{name}: shape {shape}: expected sizes >= 0")
    return _read_array(stream, shape, dtype, "F" if fortran else "C", limit)


@contextmanager
def _lines(stream: Any, errors: str = "strict") -> Iterator[io.TextIOWrapper]:
    """Give the lines of a CSV file from its start."""
    stream.seek(0)
    lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors=errors, newline="")
    try:
        yield lines
    except UnicodeDecodeError as error:
        raise ValueError("expected UTF-8 text: save the file as UTF-8") from error
    finally:
        lines.detach()


def _first_row(stream: Any, delimiter: str) -> tuple[list[str], bool]:
    """Return the first row that is not blank, and whether anything follows."""
    with _lines(stream) as lines:
        for row in csv.reader(lines, delimiter=delimiter):
            if row:
                return row, any(line.strip() for line in lines)
    raise ValueError("expected rows, found blank lines")


def _refuse_uneven_rows(stream: Any, delimiter: str, expected: int) -> None:
    """Raise a ValueError with the line where the first row with a wrong number of fields begins, if there is one."""
    with _lines(stream, errors="replace") as lines:
        reader = csv.reader(lines, delimiter=delimiter)
        line = 1
        for row in reader:
            if row and len(row) != expected:
                raise ValueError(f"line {line}: found {len(row)} fields, expected {expected} as in the first row")
            line = reader.line_num + 1


def _is_data(row: Sequence[str]) -> bool:
    """Tell whether a first row holds numbers, and nothing but numbers and missing values."""
    fields = [field.strip() for field in row if field.strip() not in MISSING]
    return bool(fields) and all(map(is_number, fields))


def is_number(field: str) -> bool:
    """Tell whether a field of text can be read as a number.

    Parameters
    ----------
    field : str
        Such as "-1.5e3", "inf" or "nan".

    Examples
    --------
    >>> from steepest.files import is_number
    >>> is_number("1e-3"), is_number("one")
    (True, False)
    """
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field and field.isascii()  # as Python alone writes numbers
