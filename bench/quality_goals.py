"""The goals of the quality benchmark, each counted over the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from quality_scores import Models, Scores, common, lead, values

SHARE_OF_TIME = 1 / 10


class Goal(NamedTuple):
    """How good one of ours is to be against a peer, and on how many tables."""

    ours: str
    peer: str
    wanted: str
    text: str
    met: Callable[[Models, str, str], bool]


def better(models: Models, ours: str, peer: str) -> bool:
    return lead(models, ours, peer)[0] > 0


def ties(models: Models, ours: str, peer: str) -> bool:
    ahead, spread = lead(models, ours, peer)
    return ahead >= -spread


def ties_soon(models: Models, ours: str, peer: str) -> bool:
    folds = common(models, [ours, peer])
    mine, theirs = (float(np.median(values(models[name], "seconds", folds))) for name in (ours, peer))
    return ties(models, ours, peer) and mine <= SHARE_OF_TIME * theirs


def surer(models: Models, ours: str, peer: str) -> bool:
    return lead(models, ours, peer, deciding=False)[0] > 0


NEAR = "better or within one standard error"
GOALS = (
    Goal("steepest", "lightgbm", "10 of 13", NEAR, ties),
    Goal("steepest", "realmlp", "9 of 13", f"{NEAR}, in a tenth of its time", ties_soon),
    Goal("steepest best", "catboost", "9 of 13", NEAR, ties),
    Goal("steepest best", "realmlp", "11 of 13", NEAR, ties),
    Goal("steepest best", "lightgbm tuned", "7 of 13", NEAR, ties),
    Goal("steepest fast", "sklearn", "all", "better", better),
    Goal("steepest fast", "lightgbm", "6 of 13", NEAR, ties),
    Goal("steepest", "realmlp", "9 of 13", "a better log loss or r2", surer),
)


def goals(scores: Scores) -> list[str]:
    """Return a line for each goal that any table tells of: on how many it is met, and on which it is not."""
    lines = []
    for ours, peer, wanted, text, met in GOALS:
        both = {table: models for table, models in scores.items() if common(models, [ours, peer])}
        if not both:
            continue
        failed = [table for table, models in both.items() if not met(models, ours, peer)]
        missed = f"; not on {', '.join(failed)}" if failed else ""
        count = f"{len(both) - len(failed)} of {len(both)} tables"
        lines.append(f"- {count}: {ours} against {peer}, {text} (goal: {wanted}){missed}.")
    return lines
