"""Training on all rows at once by L-BFGS, which scikit-learn's SciPy brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from ..network import dense_names
from ..training import Trainer
from ._input import Rows


def minimize(
    trainer: Trainer,
    rows: Rows,
    feature_blocks: Callable[[Any], Iterator[tuple[slice, NDArray[Any]]]],
    *,
    factor: float,
    alpha: float,
    max_iter: int,
    tol: float,
) -> tuple[float, int, bool]:
    """Minimize the mean loss of all rows, (n, n_features), by SciPy's L-BFGS-B.

    Parameters
    ----------
    trainer : Trainer
        Whose network is trained.
    rows : Rows
        Features and targets.
    feature_blocks : callable
        Goes through features in dense blocks, as `Preprocessor.feature_blocks`.
    factor : float
        What scikit-learn's loss is of ours.
    alpha : float
        Strength of the L2 penalty, divided by the sum of the weights of rows.
    max_iter : int
        The most iterations.
    tol : float
        The gradient's largest element at which it stops.

    Returns
    -------
    loss : float
        With the penalty.
    n_iter : int
        Iterations.
    converged : bool
        Whether it stopped by itself.
    """
    x, y, weight = rows.x, rows.y, rows.weight
    core, network = trainer._core, trainer.network._core
    state, learned = network.state(), trainer.network.parameters
    is_learned = np.concatenate([np.full(v.size, name in learned) for name, v in trainer.network._tensors().items()])
    start = state[is_learned]
    penalized = {f"{name}.weight" for name in dense_names(trainer.network)}
    is_weight = np.concatenate([np.full(v.size, name in penalized) for name, v in learned.items()])
    total = float(x.shape[0] if weight is None else np.sum(weight, dtype=np.float64))

    def restore(flat: NDArray[Any]) -> None:
        whole = state.copy()  # buffers stay
        whole[is_learned] = flat
        network.restore(whole)

    def loss_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        restore(flat)
        loss = 0.0
        for part, block in feature_blocks(x):
            weights = None if weight is None else weight[part]
            share = (len(block) if weights is None else float(weights.sum())) / total
            if share:
                loss += share * core.differentiate(block, y[part], weights)
        penalty = alpha / total
        shrunk = flat * is_weight
        return factor * loss + penalty / 2 * float(shrunk @ shrunk), factor * core.mean_gradient() + penalty * shrunk

    try:
        found = optimize.minimize(
            loss_and_gradient,
            start,
            method="L-BFGS-B",
            jac=True,
            options={"maxiter": max_iter, "gtol": tol, "maxfun": 15000},
        )
    except ArithmeticError:  # diverged
        network.restore(state)
        raise
    restore(found.x)
    return float(found.fun), int(found.nit), bool(found.status == 0)
