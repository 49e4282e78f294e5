"""Where a table comes from: files, folders, patterns, pipes; and what a file is, by its first bytes."""

from __future__ import annotations

import glob
import io
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from .._safe_io import GZIP, START, describe, is_parquet, known_kind, naming, open_to_read, refusing, text_path
from ..files import _Unfolding

STANDARD_INPUT = "-"
_HEAD = 1 << 18  # bytes that are looked at before a file is read
_BY_EXTENSION = {".svm": "libsvm", ".svmlight": "libsvm", ".libsvm": "libsvm"}
_STARTS = {
    b"ARROW1": "Arrow", b"FEA1": "Arrow", b"\xff\xff\xff\xff": "Arrow stream", b"PK\x03\x04": "NPZ",
    b"\x93NUMPY": "NPY",
}  # fmt: skip
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "Zstandard", b"SQLite": "SQLite"}


class Source(NamedTuple):
    """A file that holds a table.

    Parameters
    ----------
    path : str
        Where it lies; of a pipe, the file that its bytes went to.
    shown : str
        Its name for messages.
    format : str
        "CSV", "JSON", "Parquet", "Arrow", "Arrow stream", "NPZ", "NPY", "IDX" or "libsvm".
    compressed : bool
        Whether by gzip.
    head : bytes
        Its first bytes, unfolded.
    """

    path: str
    shown: str
    format: str
    compressed: bool
    head: bytes

    @contextmanager
    def open(self, grows: int = 1) -> Iterator[Any]:
        """Open it to read bytes, unfolded; whatever is wrong with its contents is a ValueError that names it."""
        if not self.compressed:
            with open(self.path, "rb") as stream, refusing(self.shown, self.format):
                yield stream
            return
        with _Unfolding(self.path, grows) as unfolding, refusing(self.shown, self.format):
            try:
                yield unfolding
            except Exception:
                unfolding.limit.check()  # then this is what is wrong
                raise
            unfolding.limit.check()


@contextmanager
def open_sources(source: Any) -> Iterator[list[Source]]:
    """Find the files of a source; those that pipes went to are removed at the end.

    Parameters
    ----------
    source : str, path or sequence of them
        Files, folders, patterns with "*", "?" or "[", pipes, or "-" for standard input.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If there is no such file, or one is no table.
    OSError
        If one cannot be opened.
    """
    given = list(source) if isinstance(source, Sequence) and not isinstance(source, (str, bytes)) else [source]
    paths = [path for each in given for path in expanded(text_path("source", each))]
    if not paths:
        raise ValueError("source is an empty list: expected files")
    with ExitStack() as stack:
        yield [_identified(stack, path) for path in paths]


def expanded(path: str) -> list[str]:
    """Return the files of a folder or a pattern, in the order of their names; else the path as it is."""
    if os.path.isdir(path):
        found = sorted(entry.path for entry in os.scandir(path) if entry.is_file() and entry.name[0] not in "._")
        if not found:
            raise ValueError(f"{path}: a folder without files: expected files of a table")
        return found
    if os.path.exists(path) or not glob.has_magic(path):
        return [path]
    if not (found := sorted(each for each in glob.glob(path, recursive=True) if os.path.isfile(each))):
        raise ValueError(f"{path}: no file has such a name")
    return found


def _identified(stack: ExitStack, path: str) -> Source:
    shown = "standard input" if path == STANDARD_INPUT else path
    if path == STANDARD_INPUT or not _is_regular(path):
        path = stack.enter_context(_copied(path))
    with open_to_read(path) as file:
        compressed = file.read(2) == GZIP
        file.seek(0)
        head = b"" if compressed else file.read(_HEAD)
    if compressed:
        with _Unfolding(path, 1) as unfolding, refusing(shown, "gzip"):
            head = io.BufferedReader(unfolding).read(_HEAD)
    return Source(path, shown, _format_of(shown, head), compressed, head)


def _is_regular(path: str) -> bool:
    with naming(path):
        return stat.S_ISREG(os.stat(path).st_mode)


@contextmanager
def _copied(path: str) -> Iterator[str]:
    """Copy what comes through a pipe to a file, which is removed at the end: it may be read more than once then."""
    with tempfile.NamedTemporaryFile(prefix="steepest-") as copy:
        if path == STANDARD_INPUT:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        else:
            with naming(path), open(path, "rb") as pipe:
                shutil.copyfileobj(pipe, copy)
        copy.flush()
        yield copy.name


def _format_of(shown: str, head: bytes) -> str:
    """Return the format by the first bytes, and by the name where these do not tell."""
    extension = os.path.splitext(shown.removesuffix(".gz"))[1].lower()
    if is_parquet(head):
        return "Parquet"
    for start, kind in _STARTS.items():
        if head.startswith(start):
            return kind
    if head[:2] == b"\0\0" and len(head) >= 4 and head[2] in range(0x08, 0x0F):
        return "IDX"
    if extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    if head[8:9] == b"{" and head[6:8] == b"\0\0":  # eight bytes that say how long the header is
        raise ValueError(f"{shown}: a model file (safetensors): expected a table")
    found = next((kind for start, kind in _OTHERS.items() if head.startswith(start)), None) or known_kind(head[:START])
    if found is not None or not head:
        raise ValueError(f"{shown}: not a readable table file: found {found or describe(head[:START])}")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if re.match(rb"\[\s*[\[{]", text):
        raise ValueError(f"{shown}: a JSON array: expected one object in each line")
    return "JSON" if text.startswith(b"{") and b'"' in text[:1000] and b":" in text[:100_000] else "CSV"
