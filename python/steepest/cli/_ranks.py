"""Processes of mpirun that train together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .._extras import require
from ..distributed import Comm, check_comm, together

_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")  # what Open MPI and MPICH tell a process


@contextmanager
def ranks_of_mpirun() -> Iterator[Comm | None]:
    """Yield the comm of the processes that mpirun has started, None where it has not; they fit together within.

    One that fails ends without taking leave of MPI, so that mpirun ends the others.
    """
    if not any(int(os.environ.get(name, "1")) > 1 for name in _SIZES):
        yield None
        return
    require("mpi4py", "mpi", "training under mpirun").rc.finalize = False
    from mpi4py import MPI

    comm = check_comm(MPI.COMM_WORLD)
    with together(comm):
        yield comm
    MPI.Finalize()
