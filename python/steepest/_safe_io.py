"""Files written whole or not at all, and one error for all that may be wrong with one that is read.

A file is written beside its place and renamed. Its name is derived from that of its place, and it is locked as long as
a process writes it: what a killed process left is known by its name and by the missing lock, and the next save to the
same place removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, BufferedWriter

from ._arrays import reason_of
from ._ctrl_c import unfinished

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

_FOLDER = "is a folder: expected a file"
_DEVICE = "is a device or a pipe: expected a file"
_LONGEST_PREFIX = 200  # bytes of a name that a temporary file takes over: with its own it stays within the usual 255


def text_path(name: str, path: object) -> str:
    """Return a path as text.

    Raises
    ------
    TypeError
        If `path` is neither text nor a path; the message calls it `name`.
    """
    try:
        text = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise TypeError(f"{name} is {path!r}: expected a path")
    return text


@contextmanager
def naming(path: StrPath) -> Iterator[None]:
    """Give an OSError that is raised within the path that the caller knows, whichever file it was about.

    Parameters
    ----------
    path : str or path
        The path, as given.

    Raises
    ------
    OSError
        If the block within raises one: of the same errno, and so of the same class, but for a folder, which is an
        IsADirectoryError everywhere.
    """
    try:
        yield
    except OSError as error:
        number, reason = error.errno or errno.EIO, error.strerror or str(error)
        if os.path.isdir(path):
            number, reason = errno.EISDIR, _FOLDER
        raise OSError(number, reason, os.fspath(path)) from error


def open_to_read(path: StrPath, *, regular: bool = False) -> BufferedReader:
    """Open a file to read bytes.

    Parameters
    ----------
    path : str or path
        The file.
    regular : bool, default=False
        Whether to refuse pipes and devices, which may never end, or never begin.

    Raises
    ------
    TypeError
        If `path` is no path.
    OSError
        If it cannot be opened.
    """
    text = text_path("path", path)
    with naming(text):
        if regular and not stat.S_ISREG(os.stat(text).st_mode):
            raise OSError(errno.EINVAL, _DEVICE)
        return open(text, "rb")


def check_writable(path: StrPath) -> None:
    """Raise the error now that `write_atomically` would raise later, but for a disk that is full then.

    Parameters
    ----------
    path : str or path
        The file that is to be written; nothing is.

    Raises
    ------
    TypeError, OSError
        As `write_atomically`.
    """
    with naming(text_path("path", path)), _file_beside(_target(path)):
        pass


def write_atomically(path: StrPath, data: bytes) -> None:
    """Write a file whole or not at all, as `writing_atomically` does.

    Parameters
    ----------
    path : str or path
        The file.
    data : bytes
        Its contents.

    Raises
    ------
    TypeError, OSError
        As of `writing_atomically`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from steepest.files import write_atomically
    >>> write_atomically("note.txt", b"whole")
    >>> Path("note.txt").read_text()
    'whole'
    """
    with writing_atomically(path) as file:
        file.write(data)


@contextmanager
def writing_atomically(path: StrPath) -> Iterator[BufferedWriter]:
    """Open a file to be written whole or not at all: beside `path` first, then renamed.

    Parameters
    ----------
    path : str or path
        The file; a link is followed, and the permissions of a file that exists are kept.

    Yields
    ------
    file
        To write to; where the block raises, `path` is as it was.

    Raises
    ------
    TypeError
        If `path` is no path.
    OSError
        If `path` is a folder or a device, its folder does not exist or nothing can be written there, or the disk is
        full; an older file is as it was then. The error's filename is `path`.
    """
    with naming(text_path("path", path)):
        target = _target(path)
        _remove_strays(target)
        with _file_beside(target) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            with suppress(FileNotFoundError):
                shutil.copymode(target, file.name)
            os.replace(file.name, target)


def _target(path: StrPath) -> str:
    """Return the path of the file behind links; OSError where it could not be replaced by another."""
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        if not os.path.isdir(folder):
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {folder}") from None
        if os.fspath(path).endswith(os.sep):
            raise IsADirectoryError(errno.EISDIR, _FOLDER) from None
        return target
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, _FOLDER)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, _DEVICE)
    return target


def _prefix(target: str) -> str:
    """Return how the names of files begin that are written for `target`; 16 letters and ".tmp" follow."""
    name = os.path.basename(target)
    while len(os.fsencode(name)) > _LONGEST_PREFIX:
        name = name[:-1]
    return f".{name}."


@contextmanager
def _file_beside(target: str) -> Iterator[BufferedWriter]:
    """Open a new file in the folder of `target`, locked; at the end it is removed, unless it was renamed."""
    while True:
        name = os.path.join(os.path.dirname(target), f"{_prefix(target)}{uuid.uuid4().hex[:16]}.tmp")
        with open(name, "xb") as file:
            unfinished.add(name)
            try:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(file, fcntl.LOCK_EX)
                # Whoever removes what was left may have seen this before it was locked: then it is gone now.
                if not os.path.exists(name):
                    continue
                yield file
                return
            finally:
                with suppress(OSError):
                    os.unlink(name)
                unfinished.discard(name)


def _remove_strays(target: str) -> None:
    """Remove what processes that were killed had begun to write for `target`; what cannot be removed stays."""
    pattern = re.compile(re.escape(_prefix(target)) + r"[0-9a-f]{16}\.tmp")
    with suppress(OSError), os.scandir(os.path.dirname(target)) as entries:
        strays = [e.path for e in entries if pattern.fullmatch(e.name) and e.is_file(follow_symlinks=False)]
        for stray in strays:
            with suppress(OSError), open(stray, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error where somebody writes it
                os.unlink(stray)


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
