"""Work on columns or blocks of a table by as many threads as the core has: NumPy and pyarrow leave Python's lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ._core import get_num_threads

Item = TypeVar("Item")
Result = TypeVar("Result")

_MANY = 1 << 18  # numbers: less is done before a thread has started


def in_parallel(work: Callable[[Item], Result], items: Sequence[Item], numbers: int) -> list[Result]:
    """Call a function with each item, and return the results in their order.

    Parameters
    ----------
    work : callable
        Called with an item, by any thread; it warns of nothing, and writes nothing that another item's does.
    items : sequence
        The items.
    numbers : int
        How many numbers are worked on in all: few are by the caller's thread alone.

    Returns
    -------
    list
        One result for each item. What the first item that fails raises is raised.
    """
    threads = min(get_num_threads(), len(items))
    if threads < 2 or numbers < _MANY:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads, "steepest-tables") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
