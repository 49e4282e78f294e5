"""What happens in each step of the animation, in words."""

from __future__ import annotations

from ._chain import Array, said
from ._html import TIMES, percent, short
from ._walk import Task, Walk


def words(done: Walk) -> list[str]:
    """Return a text for each step.

    Forward; the cost; for each layer, from the output to the input, the slopes of its units and those of its weights;
    the input reached; the step.
    """
    cost, cost_after = (short(value) for value in done.costs)
    steps = [
        "Forward. The row goes in on the left. Every unit multiplies what comes in by the weights on its edges, adds "
        f"its bias and passes the sum on, bent by its activation. {_outcome(done.task, done.outputs[0])}",
        f"The cost. {truth(done.task).capitalize()}: what the network says costs {cost}. From here on we go backwards, "
        "and ask of every number: if it rose a little, by how much would the cost rise?",
    ]
    for i in reversed(range(len(done.stages))):
        steps += [_units(done, i), _weights(done, i)]
    return [
        *steps,
        "The input is reached. Inputs cannot be turned, but their slopes tell which of them this row's cost hangs on. "
        "All gradients are known now, after a single walk back.",
        f"All weights turn, each against its slope, by {short(done.rate)} times its slope. The same row goes in again. "
        f"{_outcome(done.task, done.outputs[1])} The cost went from {cost} to {cost_after}.",
    ]


def truth(task: Task) -> str:
    """Return the right answer in words."""
    if task.loss == "cross_entropy":
        return f"truth {task.outputs[int(task.target.argmax())]}"
    return f"truth {short(task.target[0])}"


def says(task: Task, output: Array) -> str:
    """Return what outputs mean in words: a number, or the certainty that the right class got."""
    meant = said(task.loss, output)
    if task.loss == "mse":
        return short(meant[0])
    return percent(float(meant[int(task.target.argmax())]))


def _units(done: Walk, i: int) -> str:
    """Return the step in which the slopes of a layer's units become known."""
    stage, right = done.stages[i], done.columns[i + 1]
    j = right.strongest
    slope = short(stage.blame[j])
    if i == len(done.stages) - 1:
        return (
            f"The output. The slope of the cost along {right.names[j]} is {slope}: for a lower cost it ought to "
            f"{'fall' if stage.blame[j] > 0 else 'rise'}."
        )
    flat = "" if stage.blame[j] else " A slope of 0 means that the unit is switched off for this row."
    return (
        f"{right.title}. A unit's slope is what flows back to it: the slopes on its right, each times the weight "
        f"between them, {short(done.stages[i + 1].blame_in[j])} together for {right.names[j]}, times the steepness of "
        f"its own activation ({stage.activation}): {slope}.{flat}"
    )


def _weights(done: Walk, i: int) -> str:
    """Return the step in which the slopes along a layer's weights become known."""
    stage, left, right = done.stages[i], done.columns[i], done.columns[i + 1]
    j = right.strongest
    k = max(left.shown, key=lambda unit: abs(stage.gradient[unit, j]))
    return (
        f"The weights into {'the output' if i == len(done.stages) - 1 else right.title.lower()}. The slope along a "
        f"weight is the value on its left times the slope on its right: between {left.names[k]} and {right.names[j]} "
        f"it is {short(left.values[k])} {TIMES} {short(stage.blame[j])} = {short(stage.gradient[k, j])}."
    )


def _outcome(task: Task, output: Array) -> str:
    if task.loss == "mse":
        return f"What comes out is {says(task, output)}, in units of the target's spread and from its mean."
    if task.loss == "binary_cross_entropy":
        return f"What comes out is {short(output[0])}, which means: {says(task, output)} for class 1."
    return f"{says(task, output)} of the certainty go to the right class, {task.outputs[int(task.target.argmax())]}."
