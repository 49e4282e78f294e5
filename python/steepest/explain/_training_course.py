"""The sections about the course of a training: the cost and the layers, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..descent import contributions
from ..pages.charts import draw_bars
from ..pages.html import Child, tag, to_text
from ..pages.page import Section, figure, paragraph
from ._course import TrainingCourse
from ._curve import find_stretches
from ._figures import draw_cost_curve, draw_layer_lines
from ._subject import Subject, with_article

_RISEN = 1.1  # times the lowest cost: more is a rise
_ALIKE = 1.5  # layers whose gradients differ by less are pulled on alike


def cost_section(subject: Subject) -> Section:
    """Return the section about the course of the cost; for a model read from a file, about its cost now."""
    return _cost_course(subject, subject.training) if subject.training else _present_cost(subject)


def layers_section(subject: Subject) -> Section:
    """Return the section about the gradients of the layers in training; for a model read from a file, those now."""
    return _layer_course(subject, subject.training) if subject.training else _present_layers(subject)


def _cost_course(subject: Subject, course: TrainingCourse) -> Section:
    epochs, costs, n = course.epochs, course.costs, course.fit.n_epochs
    stretches = find_stretches(epochs, costs)
    said = [
        f"An epoch is one walk through all rows. In {'the only one' if n == 1 else f'{n:,} of them'} the cost went "
        f"from {to_text(costs[0])} to {to_text(costs[-1])}."
    ]
    if stretches.steep:
        where = _epochs_text(*stretches.steep)
        said.append(f"Half of the whole fall happened {where}: there the slope was steep, and the steps paid.")
    if stretches.flat:
        where = _enumeration([_epochs_text(*stretch) for stretch in stretches.flat])
        said.append(
            f"It was flat {where}: there the slopes were small, or pulled to and fro. A flat stretch at the end is the "
            "bottom of a valley; one before that is a plateau, which the network has to cross."
        )
    if stretches.vain:
        where = _enumeration([_epochs_text(*stretch) for stretch in stretches.vain])
        said.append(f"It went up, or up and down, {where}, and gained nothing: there the steps were too long.")
    svg, numbers = draw_cost_curve(course, stretches, f"{subject.key}-cost-curve")
    caption = f"The cost of {subject.rows_text()}, before training and after {_epochs_measured(course)}."
    shaded = [
        text for found, text in (
            (stretches.steep, "where half of the fall happened (steep)"),
            (stretches.flat, "where next to nothing did (flat)"),
            (stretches.vain, "where it only went up, or up and down (in vain)"),
        ) if found
    ]  # fmt: skip
    of = ", of the solid line" if course.other_costs is not None else ""
    caption += f" Shaded{of}: {_enumeration(shaded)}." if shaded else ""
    content: list[Child | Section] = [paragraph(" ".join(said)), figure(svg, caption, numbers)]
    if course.other_costs is not None:
        content.append(paragraph(_other_rows_text(subject, course, course.other_costs)))
    if kept := _kept_text(subject, course):
        content.append(paragraph(kept))
    return Section(f"{subject.key}-cost", "The cost, epoch by epoch", content, label="The cost")


def _epochs_measured(course: TrainingCourse) -> str:
    if len(course.epochs) == course.fit.n_epochs + 1:
        return "every epoch"
    return f"each of {len(course.epochs) - 1:,} epochs of the {course.fit.n_epochs:,}"


def _other_rows_text(subject: Subject, course: TrainingCourse, others: NDArray[np.float64]) -> str:
    """Return the text about the cost on rows that were not trained on, by what the diagnosis goes by too."""
    measured, n = course.others
    rows = f"{n:,} other rows" if measured == n else f"{measured:,} of {n:,} other rows"
    text = f"The dashed line is what counts in the end: the same cost on {rows}, which it does not train on."
    if not np.isfinite(others).any():
        return f"{text} It is beyond all numbers."
    best, own = int(np.nanargmin(others)), course.costs
    text += f" It was lowest {moment_text(int(course.epochs[best]))}, {to_text(others[best])}"
    if best == len(others) - 1:
        return f"{text}: to the end, what it learned held for them too."
    rise, after = f". Afterwards it went to {to_text(others[-1])}", f"{to_text(own[best])} to {to_text(own[-1])}"
    if subject.overfits:
        end = f", while the other line went on down, from {after}: the network learned its rows by heart."
    elif not others[-1] > _RISEN * others[best]:
        end = ": not much higher, so the network has not learned its rows by heart."
    elif own[-1] < own[best]:
        end = (
            f", and the other line from {after}. That is too small a rise, or too short a one, to say that the "
            "network learned its rows by heart."
        )
    else:
        end = f", and the other line from {after}: what it had learned was lost again on all rows."
    return text + rise + end


def _kept_text(subject: Subject, course: TrainingCourse) -> str:
    """Return the text about the weights that the network has, if it is not simply those of the end."""
    parts = []
    if course.kept is None:
        parts.append(
            "The weights that the rest of the page looks at are those of no moment of this line, such as a mean of "
            f"several; with them the cost is {to_text(subject.cost)}."
        )
    elif not course.ends_kept:
        epoch = int(course.epochs[course.kept])
        where = moment_text(epoch)
        parts.append(
            f"The weights that it had {where} were kept{_why_kept(course, epoch)}, and the rest of the page "
            f"looks at them; with them the cost is {to_text(course.costs[course.kept])}."
        )
    if course.temperature != 1:
        parts.append(
            f"Where the model answers, all outputs are divided by {to_text(course.temperature)} besides, its "
            "temperature: so its probabilities are as sure as other rows say that they should be. This page looks at "
            "the network before that."
        )
    return " ".join(parts)


def _why_kept(course: TrainingCourse, epoch: int) -> str:
    """Return in words by which measure the epoch was chosen, where the history tells."""
    fit = course.fit
    if fit.best_epoch is None or fit.best_epoch + 1 != epoch:
        return ""
    name = fit.monitor.removeprefix("val_")
    of = f"all {course.others[1]:,} other rows" if fit.monitor.startswith("val_") else "the training"
    return f", those of the best {'cost' if name == 'loss' else name} of {of}"


def _present_cost(subject: Subject) -> Section:
    rows = subject.rows_text()
    text = paragraph(
        f"On {rows} the cost is {to_text(subject.cost)}. A model file holds the weights, not the way that led to them: "
        "so there is no cost curve on this page, and no path in the landscape. To see those, let the command train: ",
        tag("code", "steepest explain TABLE --target NAME"),
        ".",
    )
    return Section(f"{subject.key}-cost", "The cost, where the network stands", [text], label="The cost")


def _layer_course(subject: Subject, course: TrainingCourse) -> Section:
    recorder, titles = course.recorder, subject.layer_titles()
    epochs = course.epochs.astype(np.float64)
    series = {title: recorder.series("gradient_norm", name) for name, title in titles.items()}
    svg, numbers = draw_layer_lines(
        series,
        epochs,
        f"{subject.key}-gradients",
        "How strongly the cost pulls on each layer",
        "length of the gradient",
    )
    said = _pulls_text(series, epochs)
    opening = paragraph(
        "The slopes of all weights of a layer together are its ",
        tag("dfn", "gradient"),
        ". Its length says how strongly the cost pulls on the layer. Backpropagation finds it from the output to the "
        "input, and a layer near the input gets what all layers after it let through: if its line lies far below the "
        "others, the gradient vanishes on the way; far above, it explodes.",
    )
    caption = (
        f"The gradient of the same cost, on {subject.rows_text()}: one line for each layer; each step up the scale is "
        "a multiple. Epoch 0 is before training."
    )
    drawn = figure(svg, caption, numbers)
    return Section(
        f"{subject.key}-layers", "The gradients, layer by layer", [opening, drawn, paragraph(said)], label="The layers"
    )


def _present_layers(subject: Subject) -> Section:
    found, titles = contributions(subject.network, *subject.sample(), subject.loss), subject.layer_titles()
    lengths = np.array([layer.gradient_norm for layer in found.layers])
    svg, numbers = draw_bars(
        [titles[layer.name] for layer in found.layers], lengths, f"{subject.key}-gradients",
        "How strongly the cost pulls on each layer", "length of the gradient", what="layer",
    )  # fmt: skip
    opening = paragraph(
        "The slopes of all weights of a layer together are its ",
        tag("dfn", "gradient"),
        ". Its length says how strongly the cost still pulls on the layer. At the bottom of a valley all of them are "
        "near 0.",
    )
    caption = f"Length of the gradient where the network stands, on {subject.rows_text()}."
    drawn = figure(svg, caption, numbers)
    return Section(f"{subject.key}-layers", "The gradients, layer by layer", [opening, drawn], label="The layers")


def _pulls_text(series: Mapping[str, NDArray[np.float64]], epochs: NDArray[np.float64]) -> str:
    """Return in words what the lines show: the layer pulled on most, and when."""
    first = {title: float(values[0]) for title, values in series.items()}
    least, most = min(first.values()), max(first.values())
    strongest = with_article(max(first, key=lambda title: first[title]))
    if len(first) == 1:
        said = f"Before training, the gradient was {to_text(most)} long."
    elif not np.isfinite([least, most]).all():
        said = "Before training, the cost was beyond all numbers."
    elif most == 0:
        said = "Before training, the cost pulled on no layer at all: where all slopes are 0, nothing is learned."
    elif least == 0:
        unmoved = _enumeration([with_article(title) for title, value in first.items() if value == 0])
        said = f"Before training, it pulled hardest on {strongest}, and on {unmoved} not at all."
    elif most / least < _ALIKE:
        said = "Before training, the cost pulled on all layers about alike."
    else:
        said = (
            f"Before training, it pulled hardest on {strongest}, {to_text(most / least, 2)} times as hard as on the "
            "one that it pulled on least."
        )
    lengths = np.sqrt(np.sum(np.square(list(series.values())), axis=0))
    if len(epochs) > 1 and np.isfinite(lengths).any():
        peak = int(epochs[int(np.nanargmax(lengths))])
        what = "All layers together were pulled hardest" if len(first) > 1 else "It was longest"
        said += f" {what} {moment_text(peak)}."
    return f"{said} Where the lines sink, the network comes to rest: the bottom of a valley has no slope."


def _epochs_text(first: int, last: int) -> str:
    """Return the epochs between two moments, each counted in epochs done."""
    return f"in epoch {last}" if first + 1 == last else f"in epochs {first + 1} to {last}"


def moment_text(epoch: int) -> str:
    """Return a moment in words."""
    return "before training" if epoch == 0 else f"after epoch {epoch}"


def _enumeration(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
