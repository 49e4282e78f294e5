"""Model files: safetensors with JSON metadata. A file may be anybody's; nothing in it is ever executed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._safe_io import StrPath, describe, refusing, write_atomically

_LONGEST_HEADER = 1 << 24  # bytes of JSON in a model file
_METADATA_KEY = "steepest"


def write_model(path: StrPath, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
    """Write arrays and metadata to one safetensors file, whole or not at all.

    Parameters
    ----------
    path : str or path
        The file to write; one that exists is replaced at the last moment, so that a failure leaves it as it was.
    tensors : mapping of str to array
        The arrays by name.
    metadata : mapping
        Plain JSON values, with finite numbers only.

    Raises
    ------
    TypeError
        If `metadata` holds what JSON has no word for; nothing has been written then.
    ValueError
        If `metadata` holds a number that is not finite, or is too long; nothing has been written then.
    OSError
        If the file cannot be written.
    MemoryError
        If there is no memory for its bytes.
    """
    from safetensors.numpy import save

    text = json.dumps(metadata, allow_nan=False)
    _make_sure_of_memory(sum(tensor.nbytes for tensor in tensors.values()) + len(text))
    data = save({name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}, {_METADATA_KEY: text})
    if int.from_bytes(data[:8], "little") > _LONGEST_HEADER:
        raise ValueError(f"metadata has {len(text)} bytes: expected at most {_LONGEST_HEADER} with the tensors' names")
    write_atomically(path, data)


def read_model(path: StrPath) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `write_model` wrote. Nothing in the file is ever executed.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    tensors : dict of str to array
        The arrays by name, read-only.
    metadata : dict
        The metadata, as written: whoever uses it must check it against the arrays.

    Raises
    ------
    ValueError
        If the file is damaged, is not safetensors, has no metadata of `write_model`, or a name twice.
    OSError
        If the file cannot be opened.
    MemoryError
        If there is no memory for its bytes.
    """
    from safetensors.numpy import load

    with open(os.fspath(path), "rb") as file, refusing(path, "model", sizes_checked=True):
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise ValueError(f"expected a safetensors file, found {describe(start)} in {size} bytes")
        header = json.loads(file.read(length), object_pairs_hook=_unique)
        text = header.get("__metadata__", {}).get(_METADATA_KEY)
        if text is None:
            raise ValueError("a safetensors file, but no model of this package: its metadata has no entry 'steepest'")
        metadata = json.loads(text, object_pairs_hook=_unique)
        if not isinstance(metadata, dict):
            raise ValueError(f"the metadata is a {type(metadata).__name__}: expected an object")
        file.seek(0)
        data = file.read()
        _make_sure_of_memory(size)
        return load(data), metadata


def _make_sure_of_memory(size: int) -> None:
    """Raise MemoryError where the copies of so many bytes could not be had that safetensors makes.

    It ends the process then, or panics: an exception that no `except Exception` knows.
    """
    np.empty(3 * size + (1 << 20), np.uint8)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of a JSON object, in which no name may occur twice."""
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a name occurs twice in one JSON object")
    return result
