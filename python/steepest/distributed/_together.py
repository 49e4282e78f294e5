"""Ranks that fit estimators together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ._comm import Comm, check_comm

_COMM: ContextVar[Comm | None] = ContextVar("comm", default=None)


@contextmanager
def together(comm: Any) -> Iterator[None]:
    """Let estimators that are fitted within be fitted by all ranks, each with the same rows.

    The networks of an ensemble are shared out, a rank trains its own, and in the end every rank has them all, with the
    bits that one process would have come to. What is no ensemble, and the packs of ``preset="best"``, each rank trains
    by itself.

    Parameters
    ----------
    comm : object
        Connects the ranks, see `check_comm`. All of them fit the same estimators on the same rows in the same order.

    Raises
    ------
    TypeError, ValueError
        If `comm` is none, see `check_comm`. A fit within raises ValueError where ranks differ in what they fit, or
        there is a time limit; and RankError where another rank fails.

    Examples
    --------
    With two processes of ``mpirun -n 2``, `comm` would be ``mpi4py.MPI.COMM_WORLD``.

    >>> import numpy as np
    >>> import steepest as st
    >>> from steepest.distributed import Hub, connect, together
    >>> x = np.arange(60.0).reshape(-1, 1)
    >>> est = st.MLPRegressor(ensemble=2, hidden_layer_sizes=(4,), max_iter=3, random_state=0)
    >>> with Hub(1, host="127.0.0.1") as hub:
    ...     comm = connect(hub.address, 0)
    ...     with together(comm):
    ...         len(est.fit(x, x[:, 0]).histories_)
    ...     comm.close()
    2
    """
    token = _COMM.set(check_comm(comm))
    try:
        yield
    finally:
        _COMM.reset(token)


def comm_here() -> Comm | None:
    """Return the comm of the ranks that fit together here, None outside of `together`."""
    return _COMM.get()
