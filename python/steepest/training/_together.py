"""Several pieces of work at once, in threads that all end when one fails or the user interrupts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TypeAlias

from .._core import Alone
from ..callbacks import Callback, FitState

Work: TypeAlias = Callable[[Sequence[Callback]], object]

_TURN = 0.1  # seconds


class StoppedError(Exception):
    """Another training has failed or was interrupted."""


class StopWith(Callback):
    """End a fit when an event is set, looked at between steps."""

    def __init__(self, event: threading.Event) -> None:
        self.event = event

    def on_progress(self, fit: FitState) -> None:
        """Look at the event, every 50 ms or so."""
        if self.event.is_set():
            raise StoppedError

    def on_epoch_end(self, fit: FitState) -> None:
        """Look at the event."""
        self.on_progress(fit)


def run_together(works: Sequence[Work], threads: int) -> None:
    """Run trainings, and return when none of them runs any more.

    Parameters
    ----------
    works : sequence of callable
        Each is called with callbacks that it must pass to its fit.
    threads : int
        How many at once, >= 1, each on a thread alone; a single one at a time may take all threads of the core.

    Raises
    ------
    Exception
        What the first work that failed raised.
    KeyboardInterrupt
        By Ctrl-C.
    """
    if min(threads, len(works)) <= 1:
        for work in works:
            work([])
        return

    stopping, idle, n_running = threading.Event(), threading.Condition(), 0

    def run(work: Work) -> None:
        nonlocal n_running
        with idle:
            if stopping.is_set():
                return
            n_running += 1
        try:
            with Alone(), suppress(StoppedError):
                work([StopWith(stopping)])
        finally:
            with idle:
                n_running -= 1
                idle.notify()

    with ThreadPoolExecutor(threads) as pool:
        try:
            futures = [pool.submit(run, work) for work in works]
            running, failed = set(futures), False
            while running and not failed:  # in short turns: Ctrl-C may have to wait for the end of one
                done, running = wait(running, timeout=_TURN, return_when=FIRST_EXCEPTION)
                failed = any(future.exception() for future in done)
        finally:  # the pool does not know of a thread whose start was interrupted, so what runs is counted here
            with idle:
                stopping.set()
                idle.wait_for(lambda: n_running == 0)
    for future in futures:
        future.result()
