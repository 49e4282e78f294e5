"""Training on all rows at once by L-BFGS, which scikit-learn's SciPy brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._blocks import blocks
from ..network import dense_names
from ..training import Trainer


def minimise(
    trainer: Trainer,
    x: Any,
    y: NDArray[Any],
    weight: NDArray[Any] | None,
    scale: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    factor: float,
    alpha: float,
    max_iter: int,
    tol: float,
) -> tuple[float, int, bool]:
    """Minimise the whole loss by SciPy's L-BFGS-B; return loss, iterations and whether it converged."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    core, network = trainer._core, trainer.network._core
    start = network.state()
    penalised = {f"{name}.weight" for name in dense_names(trainer.network)}
    is_weight = np.concatenate([np.full(v.size, name in penalised) for name, v in trainer.network.parameters.items()])
    total = float(x.shape[0] if weight is None else np.sum(weight, dtype=np.float64))

    def loss_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        network.restore(np.ascontiguousarray(flat, start.dtype))
        loss = 0.0
        for rows, block in blocks(x):
            weights = None if weight is None else weight[rows]
            share = (len(block) if weights is None else float(weights.sum())) / total
            if share:
                loss += share * core.differentiate(scale(block), y[rows], weights)
        penalty = alpha / total
        shrunk = flat * is_weight
        return factor * loss + penalty / 2 * float(shrunk @ shrunk), factor * core.mean_gradient() + penalty * shrunk

    try:
        found = minimize(
            loss_and_gradient,
            start,
            method="L-BFGS-B",
            jac=True,
            options={"maxiter": max_iter, "gtol": tol, "maxfun": 15000},
        )
    except ArithmeticError:  # diverged
        network.restore(start)
        raise
    network.restore(np.ascontiguousarray(found.x, dtype=start.dtype))
    return float(found.fun), int(found.nit), bool(found.status == 0)
