"""The figures of the quality benchmark: which measure decides, and two models on the folds that both have."""

from __future__ import annotations

from typing import Any

import numpy as np

Folds = dict[str, dict[str, float]]  # fold -> measure
Models = dict[str, Folds]
Scores = dict[str, Models]  # of each table


def measures(folds: Folds) -> tuple[str, str]:
    """Return the measure that decides, and the other."""
    return ("accuracy", "log_loss") if "accuracy" in next(iter(folds.values())) else ("rmse", "r2")


def sign(measure: str) -> int:
    """Return 1 where more is better, -1 where less is."""
    return 1 if measure in ("accuracy", "r2") else -1


def common(models: Models, names: list[str]) -> list[str]:
    """Return the folds that all of these models have."""
    return sorted(set.intersection(*(set(models.get(name, ())) for name in names)))


def values(folds: Folds, measure: str, only: list[str] | None = None) -> Any:
    """Return a measure in each fold, or in some."""
    return np.array([folds[fold][measure] for fold in (sorted(folds) if only is None else only)])


def error(of_folds: Any) -> float:
    """Return the standard error of the mean over the folds."""
    return float(np.std(of_folds, ddof=1) / np.sqrt(len(of_folds))) if len(of_folds) > 1 else 0.0


def lead(models: Models, ours: str, peer: str, *, deciding: bool = True) -> tuple[float, float]:
    """Return how much better the mean of ours is than a peer's, and the standard error of the peer's mean."""
    measure = measures(models[ours])[0 if deciding else 1]
    folds = common(models, [ours, peer])
    mine, theirs = (values(models[name], measure, folds) for name in (ours, peer))
    return sign(measure) * float(mine.mean() - theirs.mean()), error(theirs)
