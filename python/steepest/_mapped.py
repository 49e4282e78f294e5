"""Arrays in a file, mapped into memory: what has been read of them can be dropped again."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

STAYS = 1 << 29  # bytes of a file that may stay: dropping costs a fault for every row that is read again
MOST = 1 << 28  # bytes between two drops
_ROW_BYTES = 1 << 21  # of a row from anywhere in a file: Linux may map this much around it


class Mapped:
    """The files behind arrays, of which what was read counts as memory of this process until it is dropped.

    Parameters
    ----------
    *arrays : object
        Arrays or anything else; those that are neither memory maps nor views of one, or small, are left alone, and so
        is a map of the mode "c", whose changes are nowhere but in memory.
    """

    def __init__(self, *arrays: Any) -> None:
        found = [_mapping(array) for array in arrays]
        self._maps = [each for each in found if each is not None and len(each) > STAYS]

    def __bool__(self) -> bool:
        return bool(self._maps)

    def drop(self) -> None:
        """Let go of all that was read; it stays in the file, and is read again where it is asked for."""
        for each in self._maps:
            if hasattr(each, "madvise"):  # not on Windows
                each.madvise(mmap.MADV_DONTNEED)

    def gather(self, array: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
        """Return rows from anywhere in an array, (k, ...), and let the file go again meanwhile."""
        out = np.empty((len(places), *array.shape[1:]), array.dtype)
        size = max(1, MOST // _ROW_BYTES)
        for start in range(0, len(places), size):
            out[start : start + size] = array[places[start : start + size]]
            self.drop()
        return out


def _mapping(array: Any) -> mmap.mmap | None:
    """Return the map that an array is a view of, where it surely is one that files and others share."""
    shared = False
    while isinstance(array, np.ndarray):
        shared |= isinstance(array, np.memmap) and getattr(array, "mode", None) in ("r", "r+", "w+")
        array = array.base
    return array if shared and isinstance(array, mmap.mmap) else None
