"""A fit by several ranks: they agree on what it is, begin from the first one's weights, and end together."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from .._arrays import reason_of
from .._core import build_info
from .._validation import integer
from ..callbacks import EarlyStopping, History
from ..distributed import RankError, check_comm
from ..losses import LOSSES
from ._fits import Fit, run_fits
from ._ranks import Ranks
from ._rows import ArrayRows
from ._shared_rows import (
    Agreement,
    SharedHeldOut,
    SharedRows,
    steps_between,
)


def shared_fit(make: Callable[[], Fit], comm: Any, sync_every: int | str) -> History:
    """Run a fit together with the other ranks, as `Trainer.fit` says.

    Parameters
    ----------
    make : callable
        Returns the fit of this rank, or raises what is wrong with its arguments.
    comm : object
        Connects the ranks, see `check_comm`.
    sync_every : int or "auto"
        Steps from one exchange to the next.
    """
    ranks = Ranks(check_comm(comm))
    with ranks.holding_interrupts():
        try:
            fit = make()
            described = _described(fit, sync_every)
        except Exception as error:
            with suppress(RankError):  # which the others raise
                ranks.agree({"_error": f"{type(error).__name__}: {reason_of(error)}"})
            raise
        return _run(fit, described, ranks)


def _run(fit: Fit, described: dict[str, Any], ranks: Ranks) -> History:
    others = ranks.agree(described)
    n_rows, sync_every = [int(other["_rows"]) for other in others], described["sync_every"]
    trainer, rows = fit.trainer, fit.rows
    assert isinstance(rows, ArrayRows)
    _begin_alike(trainer, ranks)
    if sync_every == "auto":
        sync_every = steps_between(trainer, rows, fit.batch_size, math.ceil(max(n_rows) / fit.batch_size), ranks)
    callbacks = [callback for callback in fit.callbacks if ranks.rank == 0 or not callback.only_first_rank]
    held_out: Any = SharedHeldOut(fit.held_out, ranks) if isinstance(fit.held_out, ArrayRows) else None
    shared = replace(
        fit,
        rows=SharedRows(
            rows, ranks, trainer, n_rows, weighted=any(other["_weighted"] for other in others), sync_every=sync_every
        ),
        held_out=held_out,
        callbacks=[*callbacks, Agreement(ranks)],
    )
    with ranks.told():
        (diverged,) = run_fits([shared], 1)
        if diverged is not None:
            raise diverged
    ranks.sum_small()  # nobody has failed at the end
    return trainer.history


def _described(fit: Fit, sync_every: int | str) -> dict[str, Any]:
    """Return all that ranks must have alike, and the rows of this one; raise for what does not go with ranks."""
    trainer: Any = fit.trainer
    if sync_every != "auto":
        sync_every = integer("sync_every", sync_every, ge=1)
    for name, found, wrong in (
        ("accumulate", trainer.accumulate, trainer.accumulate > 1),
        ("update_order", trainer.update_order, trainer.update_order != "together"),
        ("layer_rates", trainer.layer_rates, trainer.layer_rates == "equal_effect"),
        ("loss", trainer.loss, trainer.loss not in LOSSES),
        ("x", "a Stream", not isinstance(fit.rows, ArrayRows)),
        ("validation", "a Stream", not isinstance(fit.held_out, (ArrayRows, type(None)))),
        ("metrics", fit.metrics, any(not isinstance(metric, str) for metric in fit.metrics or ())),
    ):
        if wrong:
            raise ValueError(f"{name} is {found!r}: a fit by several ranks (comm) expects none of this kind")
    assert isinstance(fit.rows, ArrayRows)
    n_rows = fit.rows.check(trainer._core)
    if fit.held_out is not None:
        fit.held_out.check(trainer._core)
    try:
        optimizer = str(trainer._optimizer_now().to_dict())
    except ValueError:  # a schedule of the user's own, of which the rates are compared
        optimizer = str(replace(trainer.optimizer, lr=1.0).to_dict())
    y = fit.rows.y
    return {
        "steepest": build_info()["version"],
        "the network": f"({trainer.network.n_in}, {[*trainer.network.layers]}) of {trainer.network.dtype}",
        "the learning rates of layers": str(trainer.network.lr_multipliers),
        "loss": trainer.loss,
        "optimizer": optimizer,
        "the trainer's options": str(
            [trainer.quantile, trainer.delta, trainer.ema, trainer.mixup, trainer.layer_rates]
        ),
        "x of the dtype": str(fit.rows.x.dtype),
        "x of the width": int(np.shape(fit.rows.x)[1]),
        "y of the dtype": str(y.dtype),
        "y of the width": list(y.shape[1:]),
        "epochs": fit.epochs,
        "batch_size": fit.batch_size,
        "sync_every": sync_every,
        "validation": fit.held_out is not None,
        "metrics": fit.metrics,
        "early stopping": str([rule for rule in fit.callbacks if isinstance(rule, EarlyStopping)]),
        "_rows": n_rows,
        "_weighted": fit.rows.weight is not None,
    }


def _begin_alike(trainer: Any, ranks: Ranks) -> None:
    """Give all ranks the first one's parameters, and what its optimizer keeps."""
    trainer.network._core.restore(ranks.from_first(trainer.network._core.state()))
    core = trainer._core
    values = ranks.from_first(core.values())
    n_steps, n_averaged, epoch = ranks.from_first(np.array([core.n_steps, core.n_averaged, core.epoch])).tolist()
    core.set_values(values, n_steps, n_averaged)
    core.epoch = epoch
