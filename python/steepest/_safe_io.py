"""Files written whole or not at all, and one error for all that may be wrong with one that is read."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ._ctrl_c import unfinished

StrPath = str | os.PathLike[str]

GZIP = b"\x1f\x8b"
KNOWN_STARTS = {
    b"<": "a web page or XML, perhaps an error page saved in place of a download",
    GZIP: "gzip",
    b"PK\x03\x04": "a zip or NPZ archive",
    b"\x93NUMPY": "a single NumPy array (.npy)",
    b"PAR1": "Parquet",
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
    unfinished.add(temporary)
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
    finally:
        unfinished.discard(temporary)


@contextmanager
def refusing(path: StrPath, kind: str, *, sizes_checked: bool = False) -> Iterator[None]:
    """Turn whatever the contents of a file make a parser raise into one ValueError that names the file.

    Parsers raise far more on damaged input than they document: zlib.error, EOFError, RecursionError, MemoryError,
    NotImplementedError and OSError from a seek to nowhere among them.

    Parameters
    ----------
    path : str or path
        The file, for the message.
    kind : str
        Its format, for the message, such as "model".
    sizes_checked : bool, default=False
        Whether what the file claims has been checked before memory is taken for it: then a MemoryError says nothing of
        the file, and is left as it is.

    Raises
    ------
    ValueError
        If the block within raises any Exception.
    """
    try:
        yield
    except Exception as error:
        if sizes_checked and isinstance(error, MemoryError):
            raise
        raise ValueError(f"{os.fspath(path)}: not a readable {kind} file: {error or type(error).__name__}") from error


def describe(start: bytes) -> str:
    """Say what a file with this start seems to be."""
    for known, kind in KNOWN_STARTS.items():
        if start.lstrip().startswith(known):
            return kind
    return f"the bytes {start[:8].hex(' ')}" if start else "an empty file"
