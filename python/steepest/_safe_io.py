"""Files written whole or not at all, and one error for all that may be wrong with one that is read."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ._arrays import reason_of

StrPath = str | os.PathLike[str]

GZIP = b"\x1f\x8b"
START = 16  # bytes that tell what a file is
_MARKUP = (b"<!doctype", b"<!--", b"<html", b"<?xml")  # in any case; the names of a table may begin with "<" too
_KNOWN_STARTS = {
    GZIP: "gzip",
    b"PK\x03\x04": "a zip or NPZ archive",
    b"\x93NUMPY": "a single NumPy array (.npy)",
    b"\x89HDF": "HDF5",
    b"\x80": "a pickle",
}


def write_atomically(path: StrPath, data: bytes) -> None:
    """Write a file whole or not at all: beside `path` first, then renamed.

    Parameters
    ----------
    path : str or path
        The file; a link is followed, and the permissions of a file that exists are kept.
    data : bytes
        Its contents.

    Raises
    ------
    ValueError
        If `path` is a folder or a device.
    OSError
        If the folder does not exist or the file cannot be written; an older file is as it was then.
    """
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        raise ValueError(f"{path}: exists and is not a file that could be replaced")
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "No such folder", folder)
    temporary = os.path.join(folder, f".{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


@contextmanager
def refusing(path: StrPath, kind: str) -> Iterator[None]:
    """Turn whatever the contents of a file make a parser raise into one ValueError that names the file.

    Parsers raise far more on damaged input than they document: zlib.error, EOFError, RecursionError, MemoryError,
    NotImplementedError and OSError from a seek to nowhere among them.

    Parameters
    ----------
    path : str or path
        The file, for the message.
    kind : str
        Its format, for the message, such as "model".

    Raises
    ------
    ValueError
        If the block within raises any Exception.
    """
    try:
        yield
    except Exception as error:
        raise ValueError(f"{os.fspath(path)}: not a readable {kind} file: {reason_of(error)}") from error


def is_parquet(start: bytes) -> bool:
    """Tell whether a file with this start is Parquet: a table of text may have a column PAR1 too."""
    return start.startswith(b"PAR1") and start[4:5] < b" " and start[4:5] not in (b"\t", b"\n", b"\r")


def known_kind(start: bytes) -> str | None:
    """Name the kind of file that has this start; None where it may be a table of text.

    Parameters
    ----------
    start : bytes
        The first bytes, `START` of them where the file has so many.
    """
    start = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.lower().startswith(_MARKUP):
        return "a web page or XML, perhaps an error page saved in place of a download"
    if is_parquet(start):
        return "Parquet"
    return next((kind for known, kind in _KNOWN_STARTS.items() if start.startswith(known)), None)


def describe(start: bytes) -> str:
    """Say what a file with this start seems to be."""
    if (kind := known_kind(start)) is not None:
        return kind
    return f"the bytes {start[:8].hex(' ')}" if start else "an empty file"
