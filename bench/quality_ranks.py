"""Which model is ahead over all tables: its mean rank, and a rating by the folds that it wins against others."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from quality_scores import Models, Scores, common, measures, sign, values

MEAN_RATING = 1000
PER_TENFOLD = 400  # points by which the odds of winning a fold are ten to one, as in chess


def _deciding(models: Models, name: str, folds: list[str]) -> Any:
    measure = measures(models[name])[0]
    return sign(measure) * values(models[name], measure, folds)


def ranks(scores: Scores) -> dict[str, list[float]]:
    """Return each model's rank on its tables, 1 for the best; each table's by the folds that all models there have."""
    found: dict[str, list[float]] = {}
    for models in scores.values():
        names = list(models)
        folds = common(models, names) if names else []
        if folds:
            means = [_deciding(models, name, folds).mean() for name in names]
            for name, rank in zip(names, rankdata(np.negative(means)), strict=True):
                found.setdefault(name, []).append(float(rank))
    return found


def wins(scores: Scores, names: list[str]) -> NDArray[np.float64]:
    """Count the folds that each model wins against each other one; what is equal counts half for both."""
    count = np.zeros((len(names), len(names)))
    for models in scores.values():
        for i, j in combinations(range(len(names)), 2):
            if folds := common(models, [names[i], names[j]]):
                one, other = (_deciding(models, names[k], folds) for k in (i, j))
                half = np.sum(one == other) / 2
                count[i, j] += np.sum(one > other) + half
                count[j, i] += np.sum(other > one) + half
    return count


def ratings(count: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Bradley and Terry's strengths, by Zermelo's iteration, in points.

    Each pair that met is given one drawn fold more: who has won all would have no finite strength otherwise.
    """
    met = (count + count.T) > 0
    count = count + met / 2
    games = count + count.T
    strengths = np.ones(len(count))
    for _ in range(1000):
        expected = np.sum(games / np.add.outer(strengths, strengths), axis=1)
        # Who met nobody stays in the middle.
        strengths = np.divide(count.sum(axis=1), expected, out=np.ones(len(count)), where=expected > 0)
        strengths /= np.exp(np.mean(np.log(strengths)))
    return MEAN_RATING + PER_TENFOLD * np.log10(strengths)


def table(scores: Scores, order: list[str]) -> list[str]:
    """Return a row for each model, as lines of Markdown, the best first."""
    places = ranks(scores)
    names = [name for name in order if name in places]
    if not names:
        return []
    count = wins(scores, names)
    with np.errstate(invalid="ignore"):
        shares = count / (count + count.T)
    points = ratings(count)
    columns = ["model", "tables", "mean rank", "rating", *(f"% of folds won against {name}" for name in names)]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for i in np.argsort(-points, kind="stable"):
        won = ["" if np.isnan(share) else f"{100 * share:.0f}" for share in shares[i]]
        ranked = places[names[i]]
        cells = [names[i], str(len(ranked)), f"{np.mean(ranked):.2f}", f"{points[i]:.0f}", *won]
        lines.append("| " + " | ".join(cells) + " |")
    return lines
