"""Ctrl-C during a training of the command keeps what is best until then; elsewhere the command ends at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .._ctrl_c import end_now


@contextmanager
def raised() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt within the block, as in other programs; a second one ends the command."""
    if signal.getsignal(signal.SIGINT) is not end_now:
        yield
        return

    def once(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, end_now)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, end_now)
