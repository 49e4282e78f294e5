"""The sections about one network, in the words of somebody who shows it to a newcomer."""

from __future__ import annotations

import math
import re

from ..descent import Diagnosis, Finding, diagnose
from . import _answers, _course, _place
from ._animation import animation
from ._case import Case
from ._chain import is_chain
from ._html import Child, short, tag
from ._page import Section, facts, paragraph, stepper
from ._steps import words
from ._walk import MOST_LAYERS, MOST_UNITS, walk


def story(case: Case) -> list[Section]:
    """Return what the page has to say of a network, from what it is to how it is."""
    in_plane = case.network.n_in == 2 and case.loss == "binary_cross_entropy"
    return [
        _network(case),
        _course.cost(case),
        _course.layers(case),
        _place.weights(case),
        _place.landscape(case),
        _backpropagation(case),
        _answers.plane(case) if in_plane else _answers.inputs(case),
        _diagnosis(case),
    ]


def _network(case: Case) -> Section:
    network = case.network
    inner = len(case.layer_titles()) - 1
    between = "no layer between" if not inner else f"{_count(inner, 'layer')} between"
    shown = [("rows", f"{len(case.x):,}"), ("inputs", f"{network.n_in:,}"), ("weights", f"{network.n_parameters:,}")]
    if case.trained:
        costs = case.trained.history["loss"]
        shown += [("epochs", f"{len(costs):,}"), ("first cost", short(costs[0])), ("last cost", short(costs[-1]))]
    what = paragraph(
        "A network is a chain of layers. Every unit of a layer takes all numbers of the layer before it, multiplies "
        "each by a ",
        tag("dfn", "weight"),
        ", adds a number of its own, its ",
        tag("dfn", "bias"),
        f", and passes the sum on, bent by an activation. This one has {_count(network.n_in, 'input')}, "
        f"{_count(network.n_out, 'output')} and {between}. Its {network.n_parameters:,} weights and biases are all it "
        "knows: to learn is to find good values for them.",
    )
    cost = paragraph(
        "How good they are is said by one number, the ",
        tag("dfn", "cost"),
        f": {_meaning(case)} The cost is the mean over the rows. Training makes it small by ",
        tag("dfn", "gradient descent"),
        ": find for every weight how the cost changes as the weight is turned, its ",
        tag("dfn", "slope"),
        ", then turn every weight a little to where the cost falls; and again.",
    )
    content = [what, cost, facts([*shown, *case.figures])]
    return Section(f"{case.key}-network", "What the network is, and what its cost says", content, label="The network")


def _meaning(case: Case) -> str:
    if case.loss == "mse":
        return (
            "the squared distance between what the network says and the truth, with the target's spread as the unit. "
            "Always to say the mean costs about 1; 0 is perfect."
        )
    k = max(case.network.n_out, 2)
    return (
        "the network gives every answer a probability, and a row costs minus the logarithm of the probability that "
        f"its right answer got. To be sure and right costs 0, to guess among {k} answers costs {math.log(k):.2f}, to "
        "be sure and wrong costs a lot."
    )


def _backpropagation(case: Case) -> Section:
    opening = paragraph(
        "Where do the slopes come from? One row goes forward through the network, from input to output. Then the "
        "question goes back, from the output to the input: how would the cost change if this number grew? Every slope "
        "follows from the slopes on its right, so one walk back gives all of them."
    )
    network = case.network
    if is_chain(network) and len(network.layers) <= MOST_LAYERS:
        wide = max(network.n_in, *(int(values.shape[-1]) for values in network.parameters.values())) > MOST_UNITS
        caption = (
            f"One row on its way through the network{' before training' * bool(case.trained)}: values in the "
            "circles, weights on the edges, slopes of the cost in colour."
            f"{' Of wide layers, the units with the most say are drawn; the sums go over all of them.' * wide} "
            "Once a button has the focus, the arrow keys step too."
        )
        name = f"{case.key}-net"
        done = walk(case.task())
        shown = stepper(animation(done, name), words(done), caption, name)
    else:
        shown = paragraph(
            f"There is an animation for chains of at most {MOST_LAYERS} dense layers; this network is another kind."
        )
    return Section(
        f"{case.key}-backpropagation", "Backpropagation, step by step", [opening, shown], label="Backpropagation"
    )


def _diagnosis(case: Case) -> Section:
    if case.trained:
        found, seen = diagnose(case.trained.recorder), "its rows, its weights and the course of its training"
    else:
        found, seen = diagnose(case.network, case.x, case.y, case.loss), "its rows and its weights"
    return Section(f"{case.key}-diagnosis", "The diagnosis", _findings(case, found, seen))


def _findings(case: Case, found: Diagnosis, seen: str) -> list[Child | Section]:
    if not found:
        return [
            paragraph(
                f"Nothing amiss was found in {seen}. Looked for were a cost that does not suit the target, inputs of "
                "very different sizes or that give the answer away, gradients that vanish or explode, dead and stuck "
                f"units{', too high or too low a rate, and rows learnt by heart' * bool(case.trained)}."
            )
        ]
    titles = case.layer_titles()

    def one(finding: Finding, number: int) -> Section:
        where = f", {titles.get(finding.layer, f'layer {finding.layer}')}" if finding.layer else ""
        heading = f"{finding.code.replace('_', ' ').capitalize()}{where}"
        content = [paragraph(_named(case, finding)), paragraph(tag("strong", "What to do: "), finding.advice)]
        look = f"finding {finding.severity}"
        return Section(f"{case.key}-finding-{number}", heading, content, listed=False, look=look)

    opening = paragraph(f"What {seen} show, in the order in which to look into it.")
    return [opening, *(one(finding, i) for i, finding in enumerate(found))]


def _named(case: Case, finding: Finding) -> str:
    """Return a finding's message with the name of the input that it numbers."""
    if "column" not in finding.figures:
        return finding.message
    column = int(finding.figures["column"])
    pattern = rf"\b(column,?) {column}( of x)?\b"
    return re.sub(pattern, lambda match: f"{match[1]} {column} ({case.inputs[column]})", finding.message, flags=re.I)


def _count(n: int, thing: str) -> str:
    return f"{'one' if n == 1 else f'{n:,}'} {thing}{'' if n == 1 else 's'}"
