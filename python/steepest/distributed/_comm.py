"""The comm that connects the ranks of a training, whoever has made it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .._arrays import shown


class RankError(RuntimeError):
    """Another rank has failed, or cannot be reached any more.

    Examples
    --------
    >>> from steepest.distributed import RankError
    >>> try:
    ...     raise RankError("rank 1: it was killed")  # as a fit does whose other rank has gone
    ... except RankError as error:
    ...     print(error)
    rank 1: it was killed
    """


@runtime_checkable
class Comm(Protocol):
    """Connects the ranks of a job: every rank calls the same methods in the same order.

    Examples
    --------
    >>> from steepest.distributed import check_comm
    >>> class Alone:  # the least that a comm can be
    ...     rank, size = 0, 1
    ...     def allreduce(self, array):
    ...         return array
    ...     def broadcast(self, array):
    ...         return array
    >>> check_comm(Alone()).size
    1
    """

    @property
    def rank(self) -> int:
        """The number of this rank, 0 <= rank < size."""

    @property
    def size(self) -> int:
        """How many ranks there are."""

    def allreduce(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the sum over all ranks of an array of the same shape and dtype on each, the same bits on all."""

    def broadcast(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return rank 0's array; the others give one of its shape and dtype."""


class _Mpi:
    """A communicator of mpi4py."""

    def __init__(self, comm: Any) -> None:
        self._comm, self.rank, self.size = comm, int(comm.rank), int(comm.size)
        self._room = np.empty(0)

    def allreduce(self, array: NDArray[Any]) -> NDArray[Any]:
        total = np.empty_like(array)
        self._comm.Allreduce(array, total)
        return total

    def allreduce_in_place(self, array: NDArray[Any]) -> None:
        if (self._room.shape, self._room.dtype) != (array.shape, array.dtype):
            self._room = np.empty_like(array)
        self._comm.Allreduce(array, self._room)  # a sum, unless told otherwise
        array[:] = self._room

    def broadcast(self, array: NDArray[Any]) -> NDArray[Any]:
        array = array.copy()
        self._comm.Bcast(array)
        return array


class _Torch:
    """A process group of torch.distributed."""

    def __init__(self, group: Any) -> None:
        self._group, self.rank, self.size = group, int(group.rank()), int(group.size())

    def _tensor(self, array: NDArray[Any]) -> Any:
        import torch

        return torch.from_numpy(array.copy())

    def allreduce(self, array: NDArray[Any]) -> NDArray[Any]:
        tensor = self._tensor(array)
        self._group.allreduce(tensor).wait()
        return np.asarray(tensor.numpy())

    def broadcast(self, array: NDArray[Any]) -> NDArray[Any]:
        tensor = self._tensor(array)
        self._group.broadcast(tensor, 0).wait()
        return np.asarray(tensor.numpy())


def check_comm(comm: Any) -> Comm:
    """Return a comm as `Comm` has it.

    Parameters
    ----------
    comm : object
        Of mpi4py or torch.distributed, or with the methods of `Comm`.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If its rank is not one of its size.

    Examples
    --------
    >>> from steepest.distributed import Hub, check_comm, connect
    >>> with Hub(1, host="127.0.0.1") as hub:
    ...     comm = check_comm(connect(hub.address, rank=0))
    ...     comm.rank, comm.size
    ...     comm.close()
    (0, 1)
    """
    if hasattr(comm, "Allreduce") and hasattr(comm, "Bcast"):
        comm = _Mpi(comm)
    elif type(comm).__module__.partition(".")[0] == "torch" and hasattr(comm, "allreduce"):
        comm = _Torch(comm)
    elif not isinstance(comm, Comm) or callable(comm.rank):
        raise TypeError(
            f"comm is {shown(comm)}: expected rank, size, allreduce(array) and broadcast(array), a communicator of "
            "mpi4py, or a process group of torch.distributed"
        )
    if not 0 <= comm.rank < comm.size:
        raise ValueError(f"comm has the rank {comm.rank} of {comm.size}: expected 0 <= rank < size")
    return comm  # type: ignore[no-any-return]
