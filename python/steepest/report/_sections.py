"""The sections of the report, from the summary to what the model listens to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..estimators import MLPClassifier, MLPRegressor
from ..pages.charts import draw_bars
from ..pages.html import table, to_percent, to_text
from ..pages.page import Section, facts, figure, paragraph, scrollable
from ._figures import draw_calibration, draw_confusion, draw_course, draw_predicted
from ._measures import calibration, confusion, permutation_importance

_MOST_CLASSES = 12  # shown by name
_POINTS = 500
_SHOWN = 15  # columns
_NAMES = {
    "accuracy": "right", "log_loss": "log loss", "majority_accuracy": "right if it always named the commonest class",
    "r2": "R²", "rmse": "root mean squared error", "mae": "mean error",
}  # fmt: skip


def summary_section(numbers: Mapping[str, float], n_rows: int, *, classifies: bool) -> Section:
    """Return the section with the metrics."""
    pairs = [("rows", f"{n_rows:,}")]
    for name, value in numbers.items():
        pairs.append((_NAMES.get(name, name), to_percent(value) if "accuracy" in name else to_text(value)))
    if classifies:
        said = (
            "A row is right if its most probable class is the true one. The log loss also asks how sure the model was: "
            "0 is the best, and a model that knows nothing of the row gets the logarithm of the number of classes."
        )
    else:
        said = (
            "R² is the share of the spread of the true numbers that the model explains: 1 is the best, and 0 is what "
            "one gets by always naming their mean. The errors are in the target's own units."
        )
    return Section("summary", "In short", [facts(pairs), paragraph(said)])


def class_sections(model: MLPClassifier, rows: Any, truth: NDArray[Any]) -> list[Section]:
    """Return the sections about predicted classes: which are taken for which, and how sure it may be."""
    names = [str(label) for label in model.classes_.tolist()]
    probabilities = model.predict_proba(rows)
    places, predicted = np.searchsorted(model.classes_, truth), probabilities.argmax(axis=1)
    found = confusion(names, places, predicted, _MOST_CLASSES)
    svg, numbers = draw_confusion(found)
    caption = (
        "Each row of squares is a true class, and shows which classes were predicted for it: the darker, the larger "
        "the share of the row. On the diagonal the two are the same."
    )
    per_class = table("Each class", ["class", "rows", "found", "right when named"], _by_class(names, places, predicted))
    mixed = Section(
        "classes", "Which classes are mixed up",
        [figure(svg, caption, numbers), scrollable(per_class, "Each class")],
    )  # fmt: skip
    if len(names) == 2:
        said, came, what = probabilities[:, 1], (places == 1).astype(np.float64), f"the probability of {names[1]}"
        seen = f"share that is {names[1]}"
    else:
        said, came = probabilities.max(axis=1), (predicted == places).astype(np.float64)
        what, seen = "the probability of the class that was named", "share that is right"
    svg, numbers = draw_calibration(bins := calibration(said, came), what, seen, shares=True)
    opening = paragraph(
        f"Of the rows for which the model says 80%, about 80% should come true. Here {what} and what came are "
        f"{to_percent(bins.error)} apart on average."
    )
    caption = "Each point is a tenth of the rows. Below the dashed line the model was too sure, above it too modest."
    return [mixed, Section("calibration", "How sure it may be", [opening, figure(svg, caption, numbers)])]


def number_sections(model: MLPRegressor, rows: Any, truth: NDArray[Any], target: str, seed: int) -> list[Section]:
    """Return the sections about predicted numbers: against the true ones, and on average."""
    predicted = model.predict(rows).astype(np.float64)
    numbers = truth.astype(np.float64)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(numbers))[:_POINTS])
    caption = "On the dashed line, the prediction is the truth."
    if len(chosen) < len(numbers):
        caption += f" {len(chosen):,} of the {len(numbers):,} rows, drawn at random."
    errors = np.abs(predicted - numbers)
    shares = table(
        "How far predictions are off", ["share of the rows", "off by no more than"],
        [[to_percent(share), to_text(float(np.quantile(errors, share)))] for share in (0.25, 0.5, 0.75, 0.9, 0.99, 1)],
    )  # fmt: skip
    drawn = draw_predicted(predicted[chosen], numbers[chosen], target)
    against = Section("predicted", "Predicted and true", [figure(drawn, caption), scrollable(shares, "Errors")])
    svg, behind = draw_calibration(
        bins := calibration(predicted, numbers), "mean prediction", "mean of the truth", shares=False
    )
    opening = paragraph(
        "Rows with large predictions should have large numbers, and on average the same ones. Here both are "
        f"{to_text(bins.error)} apart on average."
    )
    caption = "Each point is a tenth of the rows, in the order of what was predicted."
    return [against, Section("calibration", "Right on average", [opening, figure(svg, caption, behind)])]


def importance_section(model: MLPClassifier | MLPRegressor, rows: Any, truth: NDArray[Any], seed: int) -> Section:
    """Return the section about the columns that the model needs most."""
    found = permutation_importance(model, rows, truth, seed)
    lost = "log loss gained" if isinstance(model, MLPClassifier) else "R² lost"
    svg, numbers = draw_bars(
        found.names, found.lost, "importance-chart", "The columns that the model needs most", lost, what="column",
        most=_SHOWN,
    )  # fmt: skip
    opening = paragraph(
        "Shuffle the values of one column among the rows, so that it says nothing any more, and see how much worse "
        "the predictions get: that shows which columns the model relies on. Two columns that say the same can stand "
        "in for each other, and look unimportant then; and none of it is about cause and effect in the world."
    )
    caption = f"{lost[0].upper()}{lost[1:]} on {found.n_rows:,} rows, where the column is shuffled."
    if len(found.names) > _SHOWN:
        caption += f" The {_SHOWN} most important of {len(found.names):,}."
    return Section("importance", "What it listens to", [opening, figure(svg, caption, numbers)])


def course_section(model: MLPClassifier | MLPRegressor) -> Section:
    """Return the section about the training, as the model's file tells it."""
    histories = model.histories_
    if not histories:
        said = paragraph("The model was trained without epochs that could be shown.")
        return Section("course", "How it was trained", [said])
    key = next((name for name in histories[0] if name.startswith("val_") and name != "val_loss"), None)
    key = key or ("val_loss" if "val_loss" in histories[0] else "loss")
    one = len(histories) == 1
    lines = {"" if one else f"network {i}": history[key] for i, history in enumerate(histories, start=1)}
    label = _NAMES.get(key.removeprefix("val_"), key.removeprefix("val_").replace("_", " "))
    where = "on validation rows" if key.startswith("val_") else "on the rows it trains on"
    if one:
        lines = {label: histories[0][key]}
        both = {"rows it trains on": histories[0]["loss"]}
        if "val_loss" in histories[0]:
            lines, label, where = both | {"validation rows": histories[0]["val_loss"]}, "loss", "as training sees it"
    svg, numbers = draw_course(lines, label)
    epochs = [history.n_epochs for history in histories]
    text = (
        f"It trained for {epochs[0]:,} epochs." if one
        else f"{len(epochs)} networks were trained, for {min(epochs):,} to {max(epochs):,} epochs, and their mean is "
        "what the model says."
    )  # fmt: skip
    return Section("course", "How it was trained", [paragraph(text), figure(svg, f"{label}, {where}.", numbers)])


def _by_class(names: list[str], truth: NDArray[np.intp], predicted: NDArray[np.intp]) -> list[list[str]]:
    """Return a row for each class: how many are there, the share that is found, the share of right ones if named."""
    n = len(names)
    there, named = np.bincount(truth, minlength=n), np.bincount(predicted, minlength=n)
    right = np.bincount(truth[truth == predicted], minlength=n)
    order = np.argsort(-there, kind="stable")[:_MOST_CLASSES]

    def share(part: int, of: int) -> str:
        return to_percent(part / of) if of else "none"

    return [[names[i], f"{there[i]:,}", share(right[i], there[i]), share(right[i], named[i])] for i in sorted(order)]
