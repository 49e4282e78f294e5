"""Fits that ranks share out: each runs some, and in the end all ranks have all of them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._core import DivergedError, build_info
from ..callbacks import History
from ..distributed import Comm
from ._fits import Fit
from ._ranks import Ranks
from ._rows import ArrayRows

Run = Callable[[list[Fit]], list[DivergedError | None]]  # shorter where it ended early


def share_out(fits: Sequence[Fit], comm: Comm, run: Run) -> tuple[list[DivergedError | None], bool]:
    """Run fits, of which each rank does its share; return how each diverged, and whether a rank was interrupted.

    Every network, trainer and history is as if this rank had run it.

    Parameters
    ----------
    fits : sequence of Fit
        The same on every rank.
    comm : Comm
        Connects the ranks.
    run : callable
        Runs some of the fits, and returns how they diverged; may raise KeyboardInterrupt.

    Raises
    ------
    ValueError
        If the ranks' fits are not the same.
    RankError
        If another rank fails.
    """
    ranks = Ranks(comm)
    ranks.agree(_described(fits))
    own = range(comm.rank, len(fits), comm.size)
    diverged: list[DivergedError | None] = []
    interrupted = False
    with ranks.told():
        try:
            diverged = run([fits[place] for place in own])
        except KeyboardInterrupt:
            interrupted = True
    ranks.sum_small()  # nobody has failed
    said = {place: _said(fits[place], error) for place, error in zip(own, diverged or [None] * len(own), strict=True)}
    found: dict[int, dict[str, Any]] = {}
    for text in ranks.gather(json.dumps([interrupted, said]).encode()):
        too, some = json.loads(text)
        interrupted |= too
        found |= {int(place): each for place, each in some.items()}
    for place, fit in enumerate(fits):
        _take_over(fit, ranks, place % comm.size, found[place])
    return [_error_of(found[place]["diverged"]) for place in range(len(fits))], interrupted


def _described(fits: Sequence[Fit]) -> dict[str, Any]:
    first = fits[0]
    arrays = isinstance(first.rows, ArrayRows)
    return {
        "steepest": build_info()["version"],
        "networks to train": len(fits),
        "the first network": f"({first.trainer.network.n_in}, {[*first.trainer.network.layers]})",
        "first weights (by random_state) of the checksum": zlib.crc32(first.trainer.network._core.state().tobytes()),
        "targets of the checksum": zlib.crc32(np.ascontiguousarray(first.rows.y).tobytes()) if arrays else None,
        "epochs": [fit.epochs for fit in fits],
        "batches": [fit.batch_size for fit in fits],
    }


def _said(fit: Fit, error: DivergedError | None) -> dict[str, Any]:
    """Return all of a fit that the other ranks must know beside its numbers."""
    history, core = fit.trainer.history, fit.trainer._core
    where = None if error is None else [error.epoch, error.step, error.learning_rate, error.loss, str(error)]
    return {
        "history": [history.monitor, history.mode, history._columns],
        "counts": [core.n_steps, core.n_averaged, core.epoch],
        "diverged": where,
    }


def _error_of(where: list[Any] | None) -> DivergedError | None:
    if where is None:
        return None
    error = DivergedError(where[-1])
    error.epoch, error.step, error.learning_rate, error.loss = where[:-1]
    return error


def _take_over(fit: Fit, ranks: Ranks, owner: int, said: dict[str, Any]) -> None:
    """Give all ranks what the owner of a fit has come to."""
    trainer = fit.trainer
    state = ranks.from_rank(owner, trainer.network._core.state())
    values = ranks.from_rank(owner, trainer._core.values())
    if ranks.rank == owner:
        return
    trainer.network._core.restore(state)
    n_steps, n_averaged, epoch = said["counts"]
    trainer._core.set_values(values, n_steps, n_averaged)
    trainer._core.epoch = epoch
    monitor, mode, columns = said["history"]
    trainer.history = History(monitor, mode)
    trainer.history._columns = columns
