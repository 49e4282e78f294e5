"""Two models on the same rows: which is better, and whether that is more than chance. Needs scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ..estimators import MLPClassifier
from ._models import Estimator, load_estimator, measured_rows, score
from ._reading import Reading
from .console import tell

_DRAWS = 1000
_SEED = 0


def compare_models(
    first: Path, second: Path, path: Path, target: str | None, reading: Reading, console: Console
) -> None:
    """Measure two models on the rows of a table, and say which is better.

    The interval is that of the mean difference between the costs of each row, its log loss or squared error, over
    bootstrap draws of the rows (Efron 1979, "Bootstrap methods: another look at the jackknife").

    Parameters
    ----------
    first, second : Path
        The models' files.
    path : Path
        The table.
    target : str, optional
        Name of the target; by default as the models know it.
    reading : Reading
        How the table is read.
    console : Console
        Where to say it.

    Raises
    ------
    ValueError
        If the models predict different things.
    """
    models = [load_estimator(each) for each in (first, second)]
    kinds = {type(model) for model in models}
    names = {model.target_name_ for model in models} if target is None else {target}
    if len(kinds) > 1 or len(names) > 1:
        raise ValueError(f"{first} and {second} predict different things: expected two models of the same target")
    shown, costs, n = [], [], 0
    for model in models:  # each reads the table as it was trained
        name, rows, truth = measured_rows(model, path, reading, target)
        shown.append(score(model, rows, name, truth))
        costs.append(_costs(model, rows, truth))
        n = len(truth)
    table = Table("metric")
    for column in ("A", "B", "B - A"):
        table.add_column(column, justify="right")
    for name in shown[0]:
        a, b = (numbers[name] for numbers in shown)
        table.add_row(name, f"{a:,.6g}", f"{b:,.6g}", f"{b - a:+,.4g}")
    tell(console, f"{n:,} rows of {path}: A is {first}, B is {second}")
    tell(console, table)
    tell(
        console, _verdict(costs[1] - costs[0], "log loss" if isinstance(models[0], MLPClassifier) else "squared error")
    )


def _costs(model: Estimator, rows: Any, truth: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log loss or squared error of each row, (n,)."""
    if isinstance(model, MLPClassifier):
        places = np.searchsorted(model.classes_, truth)
        return -model.predict_log_proba(rows)[np.arange(len(truth)), places].astype(np.float64)
    return np.asarray((model.predict(rows).astype(np.float64) - truth) ** 2)


def _verdict(worse: NDArray[np.float64], cost: str) -> str:
    """Say what the differences of the rows' costs, (n,), B's less A's, come to."""
    rng = np.random.default_rng(_SEED)
    n = len(worse)
    means = np.array([worse[rng.integers(0, n, n)].mean() for _ in range(_DRAWS)])
    low, high = np.quantile(means, [0.025, 0.975])
    interval = f"the {cost} of B less that of A is {worse.mean():+.4g}, 95% from {low:+.4g} to {high:+.4g}"
    if low > 0:
        return f"A is better: {interval}"
    if high < 0:
        return f"B is better: {interval}"
    return f"No difference that could not be chance: {interval}"
