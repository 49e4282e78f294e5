"""The steps of the animation in words."""

from __future__ import annotations

from ..pages.html import TIMES, to_percent, to_text
from ._backprop_trace import BackpropTrace, Example
from ._chain import Array, prediction_of


def step_texts(trace: BackpropTrace) -> list[str]:
    """Return a text for each step of the animation.

    Forward; the cost; for each layer, from the output to the input, the slopes of its units and those of its weights;
    the input reached; the step.
    """
    cost, cost_after = (to_text(value) for value in trace.costs)
    steps = [
        "Forward. The row goes in on the left. Every unit multiplies what comes in by the weights on its edges, adds "
        f"its bias and passes the sum on, bent by its activation. {_outcome(trace.example, trace.outputs[0])}",
        f"The cost. {truth_text(trace.example).capitalize()}: what the network says costs {cost}. From here on we go "
        "backwards, and ask of every number: if it rose a little, by how much would the cost rise?",
    ]
    for i in reversed(range(len(trace.stages))):
        steps += [_unit_step(trace, i), _weight_step(trace, i)]
    return [
        *steps,
        "The input is reached. Inputs cannot be turned, but their slopes tell which of them this row's cost hangs on. "
        "All gradients are known now, after a single walk back.",
        f"All weights turn, each against its slope, by {to_text(trace.rate)} times its slope. The same row goes in "
        f"again. {_outcome(trace.example, trace.outputs[1])} The cost went from {cost} to {cost_after}.",
    ]


def truth_text(example: Example) -> str:
    """Return the right answer in words."""
    if example.loss == "cross_entropy":
        return f"truth {_true_class(example)}"
    return f"truth {to_text(example.target[0])}"


def prediction_text(example: Example, output: Array) -> str:
    """Return the prediction in words: a number, or the probability that the right class got."""
    prediction = prediction_of(example.loss, output)
    if example.loss == "mse":
        return to_text(prediction[0])
    return to_percent(float(prediction[int(example.target.argmax())]))


def _unit_step(trace: BackpropTrace, i: int) -> str:
    """Return the text of the step that finds the slopes of a layer's units."""
    stage, right = trace.stages[i], trace.columns[i + 1]
    j = right.strongest
    slope = to_text(stage.sum_gradient[j])
    if i == len(trace.stages) - 1:
        return (
            f"The output. The slope of the cost along {right.names[j]} is {slope}: for a lower cost it ought to "
            f"{'fall' if stage.sum_gradient[j] > 0 else 'rise'}."
        )
    flat = "" if stage.sum_gradient[j] else " A slope of 0 means that the unit is switched off for this row."
    return (
        f"{right.title}. A unit's slope is what flows back to it: the slopes on its right, each times the weight "
        f"between them, {to_text(trace.stages[i + 1].input_gradient[j])} together for {right.names[j]}, times the "
        f"steepness of its own activation ({stage.activation}): {slope}.{flat}"
    )


def _weight_step(trace: BackpropTrace, i: int) -> str:
    """Return the text of the step that finds the slopes along a layer's weights."""
    stage, left, right = trace.stages[i], trace.columns[i], trace.columns[i + 1]
    j = right.strongest
    k = max(left.shown, key=lambda unit: abs(stage.weight_gradient[unit, j]))
    value, slope = to_text(left.values[k]), to_text(stage.sum_gradient[j])
    return (
        f"The weights into {'the output' if i == len(trace.stages) - 1 else right.title.lower()}. The slope along a "
        f"weight is the value on its left times the slope on its right: between {left.names[k]} and {right.names[j]} "
        f"it is {value} {TIMES} {slope} = {to_text(stage.weight_gradient[k, j])}."
    )


def _outcome(example: Example, output: Array) -> str:
    """Return the sentence about an output of the network."""
    predicted = prediction_text(example, output)
    if example.loss == "mse":
        return f"What comes out is {predicted}, in units of the target's spread and from its mean."
    if example.loss == "binary_cross_entropy":
        return f"What comes out is {to_text(output[0])}, which means: {predicted} for class 1."
    return f"{predicted} of the certainty go to the right class, {_true_class(example)}."


def _true_class(example: Example) -> str:
    return example.outputs[int(example.target.argmax())]
