"""Iterators read ahead by a thread, which neither outlives its reader nor keeps the interpreter from ending."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_WAIT = 0.05  # seconds between looks at whether anybody still waits for what was read


class ReadAhead(Generic[T]):
    """An iterator that a thread reads while the last item is worked on; to be used in a `with` statement.

    What comes, and in which order, is as without the thread; an exception of the iterator is raised where its item
    would have come. The thread ends with the `with` statement, and with the interpreter at the latest.

    Parameters
    ----------
    items : iterator
        It is advanced by the thread alone, and closed by it.
    ahead : int, default=2
        How many items may wait, >= 1; one more is being read.
    """

    def __init__(self, items: Iterator[T], ahead: int = 2) -> None:
        self._items, self._queue = items, queue.Queue[tuple[bool, T | BaseException | None]](ahead)
        self._left = threading.Event()
        # Not a daemon: those are killed in the midst of other libraries' work when the interpreter ends.
        self._thread = threading.Thread(target=self._read, name="steepest-read-ahead", daemon=False)

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return self._received()

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def _received(self) -> Iterator[T]:
        while True:
            done, item = self._queue.get()
            if not done:
                yield item  # type: ignore[misc]
            elif item is None:
                return
            else:
                raise item  # type: ignore[misc]

    def _read(self) -> None:
        try:
            try:
                for item in self._items:
                    if not self._hand_over((False, item)):
                        return
            finally:
                close = getattr(self._items, "close", None)
                if close is not None:
                    close()
            self._hand_over((True, None))
        except BaseException as error:
            self._hand_over((True, error))

    def _hand_over(self, item: tuple[bool, T | BaseException | None]) -> bool:
        """Put an item where it is waited for; tell whether anybody still waits."""
        while not self._left.is_set() and threading.main_thread().is_alive():
            try:
                self._queue.put(item, timeout=_WAIT)
                return True
            except queue.Full:
                continue
        return False
