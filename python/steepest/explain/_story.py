"""The sections about one network, in words for a newcomer."""

from __future__ import annotations

import math
import re

from ..descent import Diagnosis, Finding
from ..descent.diagnosis._diagnose import examine
from ..layers import (
    CategoryEmbedding,
    Dropout,
    FeatureScale,
    Layer,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    iter_nodes,
)
from ..pages.html import Child, join, tag, to_text
from ..pages.page import Section, facts, paragraph, stepper
from ._animation import draw_animation
from ._backprop_trace import MOST_UNITS, trace_backprop
from ._chain import Chain
from ._landscape import landscape_section, weights_section
from ._predictions import boundary_section, inputs_section
from ._steps import step_texts
from ._subject import Subject
from ._training_course import cost_section, layers_section, moment_text

_LAYER = re.compile(r"\blayer (\d+(?:\.\d+)*)\b")  # in the words of a finding: by the name of the network


def story_sections(subject: Subject) -> list[Section]:
    """Return all sections about a network, in the order of the page."""
    in_plane = subject.network.n_in == 2 and subject.loss == "binary_cross_entropy"
    return [
        _network_section(subject),
        cost_section(subject),
        layers_section(subject),
        weights_section(subject),
        landscape_section(subject),
        _backpropagation_section(subject),
        boundary_section(subject) if in_plane else inputs_section(subject),
        _diagnosis_section(subject),
    ]


def _network_section(subject: Subject) -> Section:
    network = subject.network
    inner = len(subject.layer_titles()) - 1
    between = "no layer between" if not inner else f"{_count(inner, 'layer')} between"
    shown = [("rows", f"{len(subject.x):,}"), ("inputs", f"{network.n_in:,}"), ("weights", f"{network.n_parameters:,}")]
    if (course := subject.training) is not None:
        shown += [
            ("epochs", f"{course.fit.n_epochs:,}"),
            ("cost before training", to_text(course.costs[0])),
            ("cost after the last epoch", to_text(course.costs[-1])),
        ]
        if not course.ends_kept:
            shown += [("cost with the weights kept", to_text(subject.cost))]
    else:
        shown += [("cost", to_text(subject.cost))]
    what = paragraph(
        "A network is a chain of layers. Every unit of a layer takes all numbers of the layer before it, multiplies "
        "each by a ",
        tag("dfn", "weight"),
        ", adds a number of its own, its ",
        tag("dfn", "bias"),
        f", and passes the sum on, bent by an activation. This one has {_count(network.n_in, 'input')}, "
        f"{_count(network.n_out, 'output')} and {between}. Its {network.n_parameters:,} weights and biases are all it "
        "knows: to learn is to find good values for them.",
        " A FeatureScale multiplies each number by a learned factor of its own." * _has(subject, FeatureScale),
        " A PeriodicEmbedding puts sines and cosines of single numbers, weighted and added up, beside the numbers; "
        "their frequencies are learned too." * _has(subject, PeriodicEmbedding),
        " A PiecewiseLinearEmbedding puts beside the numbers in which of a number's bins it lies, and where in it."
        * _has(subject, PiecewiseLinearEmbedding),
        " A CategoryEmbedding puts a learned row of numbers in the place of each label."
        * _has(subject, CategoryEmbedding),
    )
    cost = paragraph(
        "How good they are is said by one number, the ",
        tag("dfn", "cost"),
        f": {_cost_meaning(subject)} Here it is always the plain mean over {subject.rows_text()}, or over other rows "
        "where that is said; what training may add to it, such as smoothed labels, dropout and a price on large "
        "weights, is left out. Training makes it small by ",
        tag("dfn", "gradient descent"),
        ": find for every weight how the cost changes as the weight is turned, its ",
        tag("dfn", "slope"),
        ", then turn every weight a little to where the cost falls; and again.",
    )
    if subject.loss == "binary_cross_entropy" and subject.columns:
        said = f"Its one output is for {subject.outputs[0]}, which is called class 1 here; the other one is class 0."
        cost = join([cost, paragraph(said)])
    content = [what, cost, facts([*shown, *subject.figures])]
    return Section(
        f"{subject.key}-network", "What the network is, and what its cost says", content, label="The network"
    )


def _cost_meaning(subject: Subject) -> str:
    if subject.loss == "mse":
        return (
            "the squared distance between what the network says and the truth, with the target's spread as the unit. "
            "Always to say the mean costs about 1; 0 is perfect."
        )
    k = max(subject.network.n_out, 2)
    return (
        "the network gives every answer a probability, and a row costs minus the logarithm of the probability that "
        f"its right answer got. To be sure and right costs 0, to guess among {k} answers costs {math.log(k):.2f}, to "
        "be sure and wrong costs a lot."
    )


def _backpropagation_section(subject: Subject) -> Section:
    opening = paragraph(
        "Where do the slopes come from? One row goes forward through the network, from input to output. Then the "
        "question goes back, from the output to the input: how would the cost change if this number grew? Every slope "
        "follows from the slopes on its right, so one walk back gives all of them."
    )
    chain = subject.chain
    if isinstance(chain, Chain):
        name, layers = f"{subject.key}-net", chain.network.layers
        wide = max(chain.network.n_in, *(layer.output_size(0) for layer in layers)) > MOST_UNITS
        caption = (
            f"One row on its way through the network{' before training' * bool(subject.training)}: values in the "
            "circles, weights on the edges, slopes of this row's cost in color."
        )
        if wide:
            caption += (
                f" Of layers of more than {MOST_UNITS} units, the {MOST_UNITS} are drawn that have the most part in "
                "the slopes; the sums go over all of them."
            )
        caption += " Dropout is off, as whenever the network answers." * _has(subject, Dropout)
        caption += " Each batch normalization is taken into the weights beside it." * chain.folded
        if chain.front is not None:
            caption += " The inputs are what the layers before the first dense one make of the row."
        trace = trace_backprop(subject.example())
        caption += " Once a button has the focus, the arrow keys step too."
        shown = stepper(draw_animation(trace, name), step_texts(trace), caption, name)
    else:
        shown = paragraph(f"There is an animation for chains of dense layers; this network has {chain}.")
    return Section(
        f"{subject.key}-backpropagation", "Backpropagation, step by step", [opening, shown], label="Backpropagation"
    )


def _diagnosis_section(subject: Subject) -> Section:
    found = examine(subject.evidence)
    seen = "its rows, its weights and the course of its training" if subject.training else "its rows and its weights"
    return Section(f"{subject.key}-diagnosis", "The diagnosis", _finding_sections(subject, found, seen))


def _finding_sections(subject: Subject, found: Diagnosis, seen: str) -> list[Child | Section]:
    if not found:
        but, course = "", subject.training
        if subject.overfits and course is not None and course.kept is not None:
            where = moment_text(int(course.epochs[course.kept]))
            but = f" It did learn its rows by heart in the end, but its weights are those that it had {where}."
        return [
            paragraph(
                f"Nothing amiss was found in {seen}.{but} Looked for were a cost that does not suit the target, inputs "
                "of very different sizes or that give the answer away, gradients that vanish or explode, dead and "
                f"stuck units{', too high or too low a rate, and rows learned by heart' * bool(subject.training)}."
            )
        ]

    def one(finding: Finding, number: int) -> Section:
        where = f", {subject.layer_title(finding.layer)}" if finding.layer else ""
        heading = f"{finding.code.replace('_', ' ').capitalize()}{where}"
        content = [
            paragraph(_named_message(subject, finding)),
            paragraph(tag("strong", "What to do: "), finding.advice),
        ]
        look = f"finding {finding.severity}"
        return Section(f"{subject.key}-finding-{number}", heading, content, listed=False, look=look)

    opening = paragraph(f"What {seen} show, in the order in which to look into it.")
    return [opening, *(one(finding, i) for i, finding in enumerate(found))]


def _named_message(subject: Subject, finding: Finding) -> str:
    """Return a finding's message, its layers by their titles, and names of inputs and classes after their numbers."""
    message = re.sub(_LAYER, lambda match: subject.layer_title(match[1]), finding.message)
    if subject.loss == "cross_entropy":
        message = re.sub(r"\bclass (\d+)", lambda match: f"{match[0]} ({subject.outputs[int(match[1])]})", message)
    for name, here in (("validation", "the other rows"), ("training", "the rows that it trains on")):
        message = message.replace(f"{name} cost", f"cost of {here}")
    if "column" not in finding.figures:
        return message
    column = int(finding.figures["column"])
    pattern = rf"\b(column,?) {column}( of x)?\b"
    return re.sub(pattern, lambda match: f"{match[1]} {column} ({subject.inputs[column]})", message, flags=re.I)


def _has(subject: Subject, kind: type[Layer]) -> bool:
    nodes = iter_nodes(subject.network.layers, subject.network.n_in)
    return any(isinstance(node.layer, kind) for node in nodes)


def _count(n: int, thing: str) -> str:
    return f"{'one' if n == 1 else f'{n:,}'} {thing}{'' if n == 1 else 's'}"
