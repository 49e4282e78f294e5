"""The tables of the quality benchmark: each model on each table, all of them over all, and the goals."""

from __future__ import annotations

from typing import Any

import numpy as np

import quality_ranks
from quality_data import FOLDS
from quality_goals import goals
from quality_scores import Models, error, measures, values
from report import threads


def rows(table: str, models: Models, order: list[str]) -> list[str]:
    """Return the rows of a table, a model each."""
    lines = []
    for name in (name for name in order if name in models):
        folds = models[name]
        deciding, other = (values(folds, measure) for measure in measures(folds))
        some = f", {len(folds)} of {FOLDS} folds" if len(folds) < FOLDS else ""
        cells = [
            table, name, f"{measures(folds)[0]} {deciding.mean():.5g} ± {error(deciding):.2g}{some}",
            f"{measures(folds)[1]} {other.mean():.4g}",
            *(f"{np.median(values(folds, seconds)):.3g}" for seconds in ("seconds", "predict seconds")),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
        table = ""
    return lines


def report(result: dict[str, Any], order: list[str]) -> list[str]:
    """Return the whole as lines of Markdown."""
    # A package once, though several models are of it.
    versions = {name.split()[0]: version for name, version in result["versions"].items()}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    columns = ["table", "model", "mean ± standard error", "", "seconds to fit", "seconds to predict"]
    lines = [f"{result['machine']}, {threads(result)}. {named}.", ""]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for table, models in result["scores"].items():
        lines += rows(table, models, order)
    return [*lines, "", *quality_ranks.table(result["scores"], order), "", *goals(result["scores"])]
