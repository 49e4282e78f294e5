"""Ranks of one training, which agree on everything: what one runs into, all learn at their next exchange."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import reason_of
from ..distributed import Comm, RankError
from ..distributed._mean import sum_in_place

_SMALL = 128  # numbers that a small message has room for
_TEXT = 600  # bytes of what has failed
_INTERRUPTED, _FAILED = 1, 2


class Ranks:
    """The ranks of a training, and what they tell each other.

    Every rank makes the same exchanges in the same order, each of as many numbers as on the others, and with each goes
    word of how the ranks are. A rank that fails or is interrupted says so in its next exchange, whose size it knows,
    and all raise there.

    Parameters
    ----------
    comm : Comm
        Connects them.
    """

    def __init__(self, comm: Comm) -> None:
        self.comm, self.rank, self.size = comm, comm.rank, comm.size
        self._over = False  # all know how it has ended
        self._interrupted = False  # by Ctrl-C within an exchange
        self._text = ""  # what has failed here

    def sum(self, values: NDArray[Any], trouble: int = 0) -> NDArray[Any]:
        """Return the sum over the ranks of numbers, (n,), the same bits on each.

        Raises
        ------
        KeyboardInterrupt
            If a rank was interrupted before.
        RankError
            If another rank has failed or gone.
        """
        message = np.empty(self.size + len(values), values.dtype)
        message[self.size :] = values
        return self.sum_in_place(message, trouble)

    def sum_in_place(self, message: NDArray[Any], trouble: int = 0) -> NDArray[Any]:
        """Let all but the first `size` numbers, which are for word of the ranks, be their sums, and return these.

        It raises as `sum`.
        """
        message[: self.size] = 0
        message[self.rank] = trouble or self._interrupted * _INTERRUPTED
        with self._reaching_others():
            sum_in_place(self.comm, message)
        if message[: self.size].any():
            self._end(message[: self.size].copy())
        return message[self.size :]

    def sum_small(self, values: Any = ()) -> NDArray[np.float64]:
        """Return the same of a few numbers, in a message of one size."""
        message = np.zeros(_SMALL)
        message[: len(values)] = values
        return self.sum(message)[: len(values)]

    def from_first(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the first rank's numbers."""
        with self._reaching_others():
            return self.comm.broadcast(values)

    def from_rank(self, owner: int, values: NDArray[Any]) -> NDArray[Any]:
        """Return one rank's numbers, in the shape and dtype that the others have them in."""
        mine = values.reshape(-1).view(np.uint8) if self.rank == owner else np.zeros(values.nbytes, np.uint8)
        return self.sum(mine).view(values.dtype).reshape(values.shape)

    def gather(self, texts: bytes) -> list[bytes]:
        """Return the bytes of each rank, in order."""
        lengths = np.zeros(self.size)
        lengths[self.rank] = len(texts)
        lengths = self.sum(lengths).astype(int)
        table = np.zeros((self.size, max(lengths.max(), 1)))
        table[self.rank, : len(texts)] = np.frombuffer(texts, np.uint8)
        found = self.sum(table.reshape(-1)).astype(np.uint8).reshape(table.shape)
        return [row[:length].tobytes() for row, length in zip(found, lengths, strict=True)]

    def agree(self, described: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Raise ValueError where a rank's values differ from the first one's; return those of all.

        Parameters
        ----------
        described : mapping of str to object
            Values that JSON can hold, by the names of what they are; those whose name begins with "_" may differ.
            "_error" is what has failed before anything was agreed on.
        """
        found = [json.loads(text) for text in self.gather(json.dumps(described).encode())]
        for rank, other in enumerate(found):
            if "_error" in other:
                self._over = True
                raise RankError(f"rank {rank} of {self.size} has failed: {other['_error']}")
        for rank, other in enumerate(found):
            for name, value in found[0].items():
                if not name.startswith("_") and other.get(name) != value:
                    self._over = True
                    found_here, first = _short(other.get(name)), _short(value)
                    raise ValueError(f"rank {rank} has {name} {found_here}, and rank 0 {first}: expected the same")
        return found

    @contextmanager
    def told(self) -> Iterator[None]:
        """Let all others know what is raised within, if they wait for a small message and do not know it."""
        try:
            yield
        except BaseException as error:
            self.tell(error, _SMALL, np.dtype(np.float64))
            raise

    def tell(self, error: BaseException, n: int, dtype: np.dtype[Any]) -> None:
        """Let all others know of an error in place of the next exchange, of n numbers; unless they do."""
        if self._over:
            return
        trouble = _INTERRUPTED if isinstance(error, KeyboardInterrupt) else _FAILED
        self._text = f"{type(error).__name__}: {reason_of(error)}" if isinstance(error, Exception) else repr(error)
        with suppress(RankError, KeyboardInterrupt):  # which they raise
            self.sum(np.zeros(n, dtype), trouble)

    def known(self, error: BaseException) -> BaseException:
        """Return an error that all raise alike."""
        self._over = True
        return error

    def _end(self, troubles: NDArray[Any]) -> None:
        """Raise what has ended the training on all ranks."""
        failed = np.flatnonzero(troubles == _FAILED)
        self._over = True
        if not len(failed):
            raise KeyboardInterrupt
        first, text = int(failed[0]), np.zeros(_TEXT)
        if self.rank == first:
            found = self._text.encode()[:_TEXT]
            text[: len(found)] = np.frombuffer(found, np.uint8)
        with self._reaching_others():
            sum_in_place(self.comm, text)
        said = text.astype(np.uint8).tobytes().rstrip(b"\0").decode(errors="replace")
        raise RankError(f"rank {first} of {self.size} has failed: {said}")

    @contextmanager
    def _reaching_others(self) -> Iterator[None]:
        """Let it be a RankError where they cannot be reached."""
        try:
            yield
        except RankError:
            self._over = True
            raise
        except Exception as error:
            self._over = True
            raise RankError(f"rank {self.rank} of {self.size} cannot reach the others: {reason_of(error)}") from error

    @contextmanager
    def holding_interrupts(self) -> Iterator[None]:
        """Keep Ctrl-C for the next exchange, in which all learn of it. A second one ends this rank there and then."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return

        def hold(number: int, frame: Any) -> None:
            if self._interrupted:
                self._over = True  # an exchange that is left half-way cannot be gone on with
                before(number, frame)
            self._interrupted = True

        signal.signal(signal.SIGINT, hold)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
        if self._interrupted:  # after the last exchange
            raise KeyboardInterrupt


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
