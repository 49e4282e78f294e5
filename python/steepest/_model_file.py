"""Model files: safetensors with JSON metadata. A file may be anybody's; nothing in it is ever executed."""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._safe_io import START, StrPath, describe, open_to_read, refusing, write_atomically

LONGEST_HEADER = 1 << 24  # bytes of JSON in a model file
_METADATA_KEY = "steepest"
_CHECKSUM = "crc32"  # the key in the metadata of a file's own checksum, which files of 0.1 do not have
_DEEPEST = 200  # objects and lists of the metadata within one another; 64 residual blocks take some 140


def write_model(path: StrPath, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
    """Write arrays and metadata to one safetensors file, whole or not at all.

    Parameters
    ----------
    path : str or path
        The file to write; one that exists is replaced at the last moment, so that a failure leaves it as it was.
    tensors : mapping of str to array
        The arrays by name.
    metadata : mapping
        Plain JSON values, with finite numbers only, and at most 200 objects and lists within one another.

    Raises
    ------
    TypeError
        If `metadata` holds what JSON has no word for, or a key that is no text; nothing has been written then.
    ValueError
        If `metadata` holds a number that is not finite, is too deep or too long, or has the key "crc32", which is the
        file's own; nothing has been written then.
    OSError
        If the file cannot be written.
    MemoryError
        If there is no memory for its bytes.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.files import read_model, write_model
    >>> write_model("m.safetensors", {"weight": np.ones((2, 1), np.float32)}, {"kind": "own"})
    >>> tensors, metadata = read_model("m.safetensors")
    >>> tensors["weight"].shape, metadata["kind"]
    ((2, 1), 'own')
    """
    from safetensors.numpy import save

    try:
        text = json.dumps(metadata, allow_nan=False)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(metadata)
    if _CHECKSUM in metadata:
        raise ValueError(f"metadata has the key {_CHECKSUM!r}: expected others, for this is the file's own")
    arrays = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    arrays = {name: array.astype(array.dtype.newbyteorder("="), copy=False) for name, array in arrays.items()}
    _make_sure_of_memory(sum(array.nbytes for array in arrays.values()) + len(text))
    text = json.dumps({**metadata, _CHECKSUM: _checksum(text, arrays)})
    data = save(arrays, {_METADATA_KEY: text})
    if int.from_bytes(data[:8], "little") > LONGEST_HEADER:
        raise ValueError(f"metadata has {len(text)} bytes: expected at most {LONGEST_HEADER} with the tensors' names")
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
        If the file is damaged, which its checksum tells, is not safetensors, has no metadata of `write_model`, or a
        name twice.
    OSError
        If the file cannot be opened.
    MemoryError
        If there is no memory for its bytes.

    Examples
    --------
    >>> import steepest as st
    >>> from steepest.files import read_model
    >>> st.Network(4, [st.Dense(3)], seed=0).save("net.safetensors")
    >>> tensors, metadata = read_model("net.safetensors")
    >>> sorted(tensors)
    ['0.bias', '0.weight']
    """
    from safetensors.numpy import load

    with open_to_read(path, regular=True) as file, refusing(path, "model", sizes_checked=True):
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(size - 8, LONGEST_HEADER):
            found = describe(start + file.read(START - len(start)))
            raise ValueError(f"expected a safetensors file, found {found} in {size} bytes")
        header = json.loads(file.read(length), object_pairs_hook=_unique)
        text = header.get("__metadata__", {}).get(_METADATA_KEY)
        if text is None:
            raise ValueError("a safetensors file, but no model of this package: its metadata has no entry 'steepest'")
        metadata = json.loads(text, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite)
        if not isinstance(metadata, dict):
            raise ValueError(f"the metadata is a {type(metadata).__name__}: expected an object")
        _check_depth(metadata)
        file.seek(0)
        data = file.read()
        _make_sure_of_memory(size)
        tensors = load(data)
        if _CHECKSUM in metadata:
            written, found = metadata.pop(_CHECKSUM), _checksum(json.dumps(metadata), tensors)
            if written != found:
                raise ValueError(f"damaged: its checksum is {found}, and was {written!r} when it was written")
        return tensors, metadata


def _make_sure_of_memory(size: int) -> None:
    """Raise MemoryError where the copies of so many bytes could not be had that safetensors makes.

    It ends the process then, or panics: an exception that no `except Exception` knows.
    """
    np.empty(3 * size + (1 << 20), np.uint8)


def _checksum(text: str, tensors: Mapping[str, NDArray[Any]]) -> str:
    """Return the CRC-32 of metadata, and of the tensors with their names, types and shapes in the order of the names.

    It is there to find damage, of which it misses one in four billion. BLAKE2b and SHA-256 find no more that matters,
    for whoever changes a file on purpose can write its checksum too, and take 2 to 5 times as long: 100 MB take 50 ms.
    """
    found = zlib.crc32(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found = zlib.crc32(f"{name} {tensor.dtype.str} {tensor.shape}".encode(), found)
        found = zlib.crc32(tensor.reshape(-1).view(np.uint8).data, found)
    return f"{found:08x}"


_TOO_DEEP = f"metadata is too deep: expected at most {_DEEPEST} objects and lists within one another"


def _check_depth(metadata: object) -> None:
    """Refuse what JSON's readers might not come to the end of, and keys that would come back as text."""
    level: list[Any] = [metadata]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                if wrong := [key for key in item if not isinstance(key, str)]:
                    raise TypeError(f"metadata has the key {wrong[0]!r}: expected text")
                inner += item.values()
            else:
                inner += item
        level = [item for item in inner if isinstance(item, (dict, list, tuple))]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _finite(number: str) -> float:
    """Read a number that JSON has a word for; Python reads NaN, Infinity and 1e999 too, which `write_model` refuses."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"a number in the metadata is {number}: expected a finite one")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of a JSON object, in which no name may occur twice."""
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a name occurs twice in one JSON object")
    return result
