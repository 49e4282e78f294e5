"""A comm over TCP: a hub adds up what the ranks send, in their order, and each gets the same bytes back.

A rank that ends is known at once, for its connection closes; one whose machine has gone, after half a minute. Nothing
is pickled: messages are numbers, and whoever does not know the hub's token is sent away.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import struct
import threading
import time
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import build_info
from .._validation import integer
from ._comm import RankError

_HEAD = struct.Struct("<cBQ")  # what it is, the dtype's place in _DTYPES, bytes that follow
_HELLO_VERSION = 32
_HELLO = struct.Struct(f"<32sQ{_HELLO_VERSION}s")  # token, rank, version
_HELLO_SECONDS = 3.0
_SUM, _COPY, _BYE, _ERROR = b"S", b"C", b"Q", b"E"
_DTYPES = tuple(np.dtype(name) for name in ("float64", "float32", "int64", "uint64", "uint8"))
_SILENT = 20.0  # seconds that a connection may say nothing before it is asked whether it is still there
_LAST = 30.0  # seconds that a rank has for reading why the hub has ended
_VERSION = str(build_info()["version"]).encode()


class Hub:
    """Where the ranks of a job meet: give each rank the `address`, for `connect`.

    Parameters
    ----------
    size : int
        How many ranks there will be, >= 1.
    host : str, default=None
        The name or number by which the ranks reach this machine. None: it is found.
    timeout : float, default=60
        Seconds until all ranks must have come.

    Attributes
    ----------
    address : str
        "host:port/token".

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.distributed import Hub, connect
    >>> with Hub(1, host="127.0.0.1") as hub:
    ...     comm = connect(hub.address, rank=0)
    ...     total = comm.allreduce(np.ones(3))
    ...     comm.close()
    >>> total
    array([1., 1., 1.])
    """

    def __init__(self, size: int, host: str | None = None, timeout: float = 60.0) -> None:
        self._size = integer("size", size, ge=1)
        self._token = secrets.token_hex(16)
        self._socket = socket.create_server(("", 0) if host is None else (host, 0))
        port = self._socket.getsockname()[1]
        self.address = f"{host or _own_address()}:{port}/{self._token}"
        self._deadline = time.monotonic() + timeout
        self._ranks: dict[int, socket.socket] = {}
        self._rooms: dict[int, memoryview] = {}
        self._thread = threading.Thread(target=self._serve, name="steepest-hub", daemon=True)
        self._thread.start()

    def __enter__(self) -> Hub:
        """Return itself."""
        return self

    def __exit__(self, *args: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Send away whoever is still there, and end."""
        for link in [self._socket, *self._ranks.values()]:
            with suppress(OSError):  # it wakes whoever waits there
                link.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        ranks = self._ranks
        try:
            self._welcome(ranks)
            while self._round([ranks[rank] for rank in range(self._size)]):
                pass
        except RankError as error:
            _tell(ranks, str(error))
        except OSError:  # closed, or a rank has not come
            _tell(ranks, f"{len(ranks)} of {self._size} ranks came to the hub before it was closed")
        finally:
            for link in ranks.values():
                link.close()
            self._socket.close()

    def _welcome(self, ranks: dict[int, socket.socket]) -> None:
        while len(ranks) < self._size:
            self._socket.settimeout(max(self._deadline - time.monotonic(), 0.01))
            link, _ = self._socket.accept()
            _prepare(link)
            link.settimeout(_HELLO_SECONDS)  # others wait behind a stranger who says nothing
            try:
                token, rank, version = _HELLO.unpack(_read(link, _HELLO.size))
            except OSError:
                link.close()
                continue
            found = version.rstrip(b"\0")
            if not hmac.compare_digest(token, self._token.encode()):
                link.close()
                continue
            wrong = ""
            if found != _VERSION[:_HELLO_VERSION]:
                wrong = f"rank {rank} has steepest {found.decode(errors='replace')}, and the hub {_VERSION.decode()}"
            elif rank >= self._size or rank in ranks:
                wrong = f"rank {rank} came to a hub of {self._size} ranks" + (" twice" if rank in ranks else "")
            link.settimeout(None)
            ranks[len(ranks) + self._size if wrong else rank] = link
            if wrong:
                raise RankError(wrong)
        text = str(self._size).encode()
        for link in ranks.values():
            link.sendall(_HEAD.pack(_COPY, 0, len(text)) + text)

    def _room(self, rank: int, n: int) -> memoryview:
        """Return memory for n bytes that a rank sends, that of its last message if it had as many."""
        room = self._rooms.get(rank)
        if room is None or len(room) != n:
            room = self._rooms[rank] = memoryview(bytearray(n))
        return room

    def _round(self, links: list[socket.socket]) -> bool:
        """Read a message of each rank, and send each the answer; return whether there will be more."""
        kinds: list[bytes] = []
        total = np.empty(0)
        for rank, link in enumerate(links):
            try:
                kind, dtype, n = _HEAD.unpack(_read(link, _HEAD.size))
                values = np.frombuffer(_read(link, n, self._room(rank, n)), _DTYPES[dtype])
            except (OSError, IndexError) as error:
                raise RankError(f"rank {rank} of {self._size} has gone ({error})") from None
            if rank and kind == _SUM and (values.shape, values.dtype) != (total.shape, total.dtype):
                raise RankError(
                    f"rank {rank} has sent {values.size} numbers of {values.dtype}: expected {total.size} of "
                    f"{total.dtype} as of rank 0"
                )
            kinds.append(kind)
            if rank == 0:
                total = values
            elif kind == _SUM:
                total += values
        if len(set(kinds)) > 1:
            ended = kinds.index(_BYE) if _BYE in kinds else -1
            odd = next(rank for rank, kind in enumerate(kinds) if kind != kinds[0])
            raise RankError(
                f"rank {ended} of {self._size} has ended, and others have not" if ended >= 0 else
                f"rank {odd} of {self._size} does something else than rank 0"
            )  # fmt: skip
        if kinds[0] == _BYE:
            return False
        answer = _HEAD.pack(kinds[0], _DTYPES.index(total.dtype), total.nbytes)
        for rank, link in enumerate(links):
            try:
                link.sendall(answer)
                link.sendall(total.view(np.uint8).data)
            except OSError as error:
                raise RankError(f"rank {rank} of {self._size} has gone ({error})") from None
        return True


class _Link:
    """A comm that goes through a hub."""

    def __init__(self, link: socket.socket, rank: int, size: int) -> None:
        self._socket, self.rank, self.size = link, rank, size

    def allreduce(self, array: NDArray[Any]) -> NDArray[Any]:
        """As in `Comm`."""
        return self._exchange(_SUM, array).reshape(np.shape(array))

    def allreduce_in_place(self, array: NDArray[Any]) -> None:
        """Let a contiguous array be its sum over all ranks."""
        self._exchange(_SUM, array, array.reshape(-1).view(np.uint8).data)

    def broadcast(self, array: NDArray[Any]) -> NDArray[Any]:
        """As in `Comm`."""
        return self._exchange(_COPY, array if self.rank == 0 else array[:0]).reshape(np.shape(array))

    def close(self) -> None:
        """Leave the hub: every rank does, at its end."""
        with suppress(OSError):  # it may have gone already
            self._socket.sendall(_HEAD.pack(_BYE, 0, 0))
        self._socket.close()

    def _exchange(self, kind: bytes, array: NDArray[Any], into: memoryview | None = None) -> NDArray[Any]:
        flat = np.ascontiguousarray(array).reshape(-1)
        try:
            self._socket.sendall(_HEAD.pack(kind, _DTYPES.index(flat.dtype), flat.nbytes))
            self._socket.sendall(flat.view(np.uint8).data)
            answer, dtype, n = _HEAD.unpack(_read(self._socket, _HEAD.size))
            found = _read(self._socket, n, into if answer == _SUM else None)
        except OSError as error:
            raise RankError(f"rank {self.rank} of {self.size} cannot reach the hub any more ({error})") from None
        if answer == _ERROR:
            raise RankError(bytes(found).decode())
        return np.frombuffer(found, _DTYPES[dtype])


def connect(address: str, rank: int, timeout: float = 60.0) -> Any:
    """Connect a rank to a hub, and wait until all have come.

    Parameters
    ----------
    address : str
        Of the `Hub`.
    rank : int
        The number of this rank, from 0.
    timeout : float, default=60
        Seconds to wait for the hub and the others.

    Returns
    -------
    Comm
        For `Trainer.fit`; with ``close()``, which every rank calls at its end.

    Raises
    ------
    RankError
        If the hub cannot be reached, or has refused this rank or another.

    Examples
    --------
    >>> import numpy as np
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from steepest.distributed import Hub, connect
    >>> def summed(address, rank):
    ...     comm = connect(address, rank)
    ...     total = comm.allreduce(np.full(2, rank + 1.0))
    ...     comm.close()
    ...     return total
    >>> with Hub(2, host="127.0.0.1") as hub, ThreadPoolExecutor() as pool:
    ...     totals = list(pool.map(summed, [hub.address] * 2, range(2)))
    >>> totals[0]
    array([3., 3.])
    """
    place, _, token = address.partition("/")
    host, _, port = place.rpartition(":")
    with ExitStack() as opened:
        try:
            link = opened.enter_context(socket.create_connection((host, int(port)), timeout))
            _prepare(link)
            link.sendall(_HELLO.pack(token.encode(), integer("rank", rank, ge=0), _VERSION))
            kind, _, n = _HEAD.unpack(_read(link, _HEAD.size))
            text = bytes(_read(link, n)).decode()
            link.settimeout(None)
        except OSError as error:
            raise RankError(f"rank {rank} cannot reach the hub at {place} ({error})") from None
        if kind == _ERROR:
            raise RankError(text)
        opened.pop_all()
    return _Link(link, rank, int(text))


def _tell(ranks: dict[int, socket.socket], text: str) -> None:
    """Send an error to everyone that can still be reached, and read what they send until they have it."""
    message = text.encode()
    for link in ranks.values():
        with suppress(OSError):
            link.sendall(_HEAD.pack(_ERROR, 0, len(message)) + message)
            link.shutdown(socket.SHUT_WR)
    drains = [threading.Thread(target=_drain, args=(link,), daemon=True) for link in ranks.values()]
    for drain in drains:
        drain.start()
    for drain in drains:
        drain.join()


def _drain(link: socket.socket) -> None:
    with suppress(OSError):
        link.settimeout(_LAST)
        while link.recv(1 << 16):
            pass


def _read(link: socket.socket, n: int, into: memoryview | None = None) -> bytearray | memoryview:
    """Return the next n bytes, in memory of n bytes if given; OSError where the connection ends before."""
    found = bytearray(n) if into is None else into
    view, done = memoryview(found), 0
    while done < n:
        got = link.recv_into(view[done:])
        if not got:
            raise ConnectionError("its connection has closed")
        done += got
    return found


def _prepare(link: socket.socket) -> None:
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    silent = int(_SILENT)
    for name, value in (
        ("TCP_KEEPIDLE", silent), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 1000 * (silent + 9))
    ):  # fmt: skip
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _own_address() -> str:
    """Return the number of this machine by which others reach it; that of the loopback where there are no others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
