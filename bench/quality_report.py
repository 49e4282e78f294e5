"""The table of the quality benchmark, and whether its goals are met."""

from __future__ import annotations

from typing import Any

import numpy as np

from report import threads

SHARE_OF_TIME = 1 / 10

Scores = dict[str, dict[str, dict[str, dict[str, float]]]]  # table -> model -> fold -> measure


def measures(folds: dict[str, dict[str, float]]) -> tuple[str, str]:
    """Return the measure that decides, and the other."""
    return ("accuracy", "log_loss") if "accuracy" in next(iter(folds.values())) else ("rmse", "r2")


def values(folds: dict[str, dict[str, float]], measure: str) -> Any:
    """Return a measure in each fold."""
    return np.array([folds[fold][measure] for fold in sorted(folds)])


def error(of_folds: Any) -> float:
    """Return the standard error of the mean over the folds."""
    return float(np.std(of_folds, ddof=1) / np.sqrt(len(of_folds))) if len(of_folds) > 1 else 0.0


def lead(models: dict[str, dict[str, dict[str, float]]], peer: str) -> tuple[float, float]:
    """Return how much better our mean is than a peer's, and the standard error of the peer's mean."""
    deciding = measures(models["steepest"])[0]
    ours, theirs = (values(models[name], deciding) for name in ("steepest", peer))
    sign = 1 if deciding == "accuracy" else -1
    return sign * float(ours.mean() - theirs.mean()), error(theirs)


def goals(scores: Scores) -> list[str]:
    """Return a line for each goal: on how many tables it is met, and on which it is not."""

    def seconds(models: dict[str, Any], name: str) -> float:
        return float(np.median(values(models[name], "seconds")))

    def beats_sklearn(models: dict[str, Any]) -> bool:
        return lead(models, "sklearn")[0] > 0

    def ties_lightgbm(models: dict[str, Any]) -> bool:
        ahead, spread = lead(models, "lightgbm")
        return ahead >= -spread

    def near_realmlp(models: dict[str, Any]) -> bool:
        ahead, spread = lead(models, "realmlp")
        return ahead >= -spread and seconds(models, "steepest") <= SHARE_OF_TIME * seconds(models, "realmlp")

    lines = []
    for peer, met, text in (
        ("sklearn", beats_sklearn, "better than scikit-learn's network (goal: all)"),
        ("lightgbm", ties_lightgbm, "better than LightGBM, or within one standard error of it (goal: 4 of 6)"),
        (
            "realmlp",
            near_realmlp,
            "better than RealMLP or within one standard error, in a tenth of its time (goal: 4 of 6)",
        ),
    ):
        both = {table: models for table, models in scores.items() if {"steepest", peer} <= models.keys()}
        failed = [table for table, models in both.items() if not met(models)]
        missed = f"; not on {', '.join(failed)}" if failed else ""
        lines.append(f"- {len(both) - len(failed)} of {len(both)} tables {text}{missed}.")
    return lines


def rows(table: str, models: dict[str, dict[str, dict[str, float]]], order: list[str]) -> list[str]:
    """Return the rows of a table, a model each."""
    lines = []
    for name in (name for name in order if name in models):
        folds = models[name]
        deciding, other = (values(folds, measure) for measure in measures(folds))
        seconds = values(folds, "seconds")
        cells = [
            table, name, f"{measures(folds)[0]} {deciding.mean():.5g} ± {error(deciding):.2g}",
            f"{deciding.std(ddof=1) if len(deciding) > 1 else 0:.2g}", f"{measures(folds)[1]} {other.mean():.4g}",
            f"{np.median(seconds):.3g}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
        table = ""
    return lines


def report(result: dict[str, Any], order: list[str]) -> list[str]:
    """Return the whole as lines of Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    columns = ["table", "model", "mean ± standard error", "spread", "", "seconds to fit"]
    lines = [f"{result['machine']}, {threads(result)}. {versions}.", ""]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for table, models in result["scores"].items():
        lines += rows(table, models, order)
    return [*lines, "", *goals(result["scores"])]
