"""The sections about the course of a training: the cost and the layers, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..descent import contributions
from ._curve import find_stretches
from ._figures import draw_bars, draw_cost_curve, draw_layer_lines
from ._html import Child, tag, to_text
from ._page import Section, figure, paragraph
from ._subject import Subject, TrainingRecord

_RISEN = 1.1  # times the lowest cost: more is a rise
_ALIKE = 1.5  # layers whose gradients differ by less are pulled on alike


def cost_section(subject: Subject) -> Section:
    """Return the section about the course of the cost; for a model read from a file, about its cost now."""
    return _cost_course(subject, subject.training) if subject.training else _present_cost(subject)


def layers_section(subject: Subject) -> Section:
    """Return the section about the gradients of the layers in training; for a model read from a file, those now."""
    return _layer_course(subject, subject.training) if subject.training else _present_layers(subject)


def _cost_course(subject: Subject, training: TrainingRecord) -> Section:
    history = training.history
    costs = history["loss"]
    stretches = find_stretches(costs)
    said = ["An epoch is one walk through all rows."]
    if len(costs) == 1:
        said.append(f"In the only one, the cost was {to_text(costs[0])}.")
    else:
        said.append(f"In {len(costs):,} of them the cost went from {to_text(costs[0])} to {to_text(costs[-1])}.")
    if stretches.steep:
        where = _epochs_text(*stretches.steep)
        said.append(f"Half of the whole fall happened {where}: there the slope was steep, and every step paid.")
    if stretches.flat:
        where = _enumeration([_epochs_text(*stretch) for stretch in stretches.flat])
        said.append(
            f"It was flat {where}: there the slopes were small, or pulled to and fro. A flat stretch at the end is the "
            "bottom of a valley; one before that is a plateau, which the network has to cross."
        )
    svg, numbers = draw_cost_curve(history, stretches, f"{subject.key}-cost-curve")
    caption = "The mean cost in every epoch."
    if stretches.steep or stretches.flat:
        caption += " Shaded: where half of the fall happened (steep), and where next to nothing did (flat)."
    content: list[Child | Section] = [paragraph(" ".join(said)), figure(svg, caption, numbers)]
    if "val_loss" in history:
        content.append(paragraph(_validation_text(training)))
    return Section(f"{subject.key}-cost", "The cost, epoch by epoch", content, label="The cost")


def _validation_text(training: TrainingRecord) -> str:
    """Return the text about the cost on rows that were not trained on."""
    history = training.history
    costs = history["val_loss"]
    best, last = int(costs.argmin()), len(costs) - 1
    kept = " Its weights were kept." if training.kept_best and history.best_epoch == best else ""
    if costs[last] > _RISEN * costs[best]:
        after = (
            f" Afterwards it rose to {to_text(costs[last])}, while the first line went on down: from there on the "
            "network learned its rows by heart."
        )
    else:
        after = " It did not rise again much: the network has not learned its rows by heart."
    return (
        "The second line is what counts in the end: the cost on rows that it does not train on. It was lowest, "
        f"{to_text(costs[best])}, in epoch {best + 1}.{kept}{after}"
    )


def _present_cost(subject: Subject) -> Section:
    here = contributions(subject.network, *subject.sample(), subject.loss).cost
    text = paragraph(
        f"On these rows the cost is {to_text(here)}. A model file holds the weights, not the way that led to them: so "
        "there is no cost curve on this page, and no path in the landscape. To see those, let the command train: ",
        tag("code", "steepest explain TABLE --target NAME"),
        ".",
    )
    return Section(f"{subject.key}-cost", "The cost, where the network stands", [text], label="The cost")


def _layer_course(subject: Subject, training: TrainingRecord) -> Section:
    recorder, titles = training.recorder, subject.layer_titles()
    epochs = np.array(recorder.epochs, np.float64)
    series = {title: recorder.series("gradient_norm", name) for name, title in titles.items()}
    svg, numbers = draw_layer_lines(
        series,
        epochs,
        f"{subject.key}-gradients",
        "How strongly the cost pulls on each layer",
        "length of the gradient",
    )
    first = {title: float(values[0]) for title, values in series.items()}
    strongest = max(first, key=lambda title: first[title])
    peak = int(np.nanargmax(np.sum(list(series.values()), axis=0)))
    ratio = max(first.values()) / max(min(first.values()), 1e-300)
    if ratio < _ALIKE:
        said = "Before training, the cost pulled on all layers about alike."
    else:
        said = (
            f"Before training, it pulled hardest on {_with_article(strongest)}, {to_text(ratio, 2)} times as hard as "
            "on the one that it pulled on least."
        )
    said += (
        f" All layers together were pulled hardest {_moment_text(int(epochs[peak]))}. Where the lines sink, the "
        "network comes to rest: the bottom of a valley has no slope."
    )
    opening = paragraph(
        "The slopes of all weights of a layer together are its ",
        tag("dfn", "gradient"),
        ". Its length says how strongly the cost pulls on the layer. Backpropagation finds it from the output to the "
        "input, and a layer near the input gets what all layers after it let through: if its line lies far below the "
        "others, the gradient vanishes on the way; far above, it explodes.",
    )
    caption = "One line for each layer; each step up the scale is a multiple. Epoch 0 is before training."
    drawn = figure(svg, caption, numbers)
    return Section(
        f"{subject.key}-layers", "The gradients, layer by layer", [opening, drawn, paragraph(said)], label="The layers"
    )


def _present_layers(subject: Subject) -> Section:
    found, titles = contributions(subject.network, *subject.sample(), subject.loss), subject.layer_titles()
    lengths = np.array([layer.gradient_norm for layer in found.layers])
    svg, numbers = draw_bars(
        [titles[layer.name] for layer in found.layers], lengths, f"{subject.key}-gradients",
        "How strongly the cost pulls on each layer", "length of the gradient",
    )  # fmt: skip
    opening = paragraph(
        "The slopes of all weights of a layer together are its ",
        tag("dfn", "gradient"),
        ". Its length says how strongly the cost still pulls on the layer. At the bottom of a valley all of them are "
        "near 0.",
    )
    caption = "Length of the gradient where the network stands, on these rows."
    drawn = figure(svg, caption, numbers)
    return Section(f"{subject.key}-layers", "The gradients, layer by layer", [opening, drawn], label="The layers")


def _with_article(layer: str) -> str:
    return f"the {layer}" if layer.startswith("output") else layer


def _epochs_text(first: int, last: int) -> str:
    return f"in epoch {first + 1}" if first == last else f"in epochs {first + 1} to {last + 1}"


def _moment_text(epoch: int) -> str:
    return "before training" if epoch == 0 else f"after epoch {epoch}"


def _enumeration(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
