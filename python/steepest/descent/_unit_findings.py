"""What is wrong inside the network: gradients and units."""

from __future__ import annotations

import numpy as np

from ..layers import Dense
from ._cost import rms
from ._evidence import Evidence, Finding

# From the last dense layer to the first, in root mean square by weight. A layer a thousand times slower than another
# does not move while the other learns; healthy networks stay within a factor of some tens.
VANISHED = 1e-3
EXPLODED = 1e3
GROWTH = 1e3  # of the signal from input to output before training: first weights should keep its size
DEAD = 0.4  # of a layer's relu units; a fifth is common and harmless
SATURATED = 0.5  # of a layer's outputs, from before the first step on
SATURATED_LATER = 0.9  # the same, reached by training: trained units do lean to an end
FEW_UNITS = 4  # in smaller layers a share means little

START, LATER = 30, 60  # ranks: what was so before the first step is a cause, what came by training an effect


def find(evidence: Evidence) -> list[Finding]:
    """Return the findings about gradients and units."""
    checks = (_exploding, _vanishing, _dead, _saturated)
    return [finding for check in checks if (finding := check(evidence))]


def _dense(evidence: Evidence) -> list[str]:
    return [node.name for node in evidence.nodes if isinstance(node.layer, Dense)]


def _ratio(evidence: Evidence) -> tuple[float, float]:
    """Return the size of the first dense layer's gradient over the last's: at the start, and the median."""
    names = _dense(evidence)
    counts = {node.name: node.n_in * node.n_out for node in evidence.nodes}
    if len(names) < 3:
        return 1.0, 1.0
    first, last = (evidence.series("gradient_norm", n) / np.sqrt(counts[n]) for n in (names[0], names[-1]))
    with np.errstate(all="ignore"):
        ratios = first / last
    ratios = ratios[np.isfinite(ratios)]
    return (float(ratios[0]), float(np.median(ratios))) if len(ratios) else (1.0, 1.0)


def _exploding(evidence: Evidence) -> Finding | None:
    start, middle = _ratio(evidence)
    moments = list(evidence.moments.values())
    size = rms(evidence.x)
    growth = moments[-1].first.signal / size if size else 0.0
    if evidence.recorder is None:  # trained outputs are as large as their targets
        growth /= max(1.0, rms(evidence.targets))
    if growth <= GROWTH and min(start, middle) <= EXPLODED:
        return None
    seen = (
        f"the signal grows {growth:.3g} times from input to output"
        if growth > GROWTH
        else f"a weight of the first layer has {start:.3g} times the gradient of one of the last"
    )
    return Finding(
        "exploding_gradients",
        "error",
        f"Gradients explode: {seen}, over {len(_dense(evidence))} dense layers.",
        'Use first weights that keep the size of the signal (init="auto"), or normalise between layers (LayerNorm, '
        "BatchNorm); clip_norm helps for a time.",
        START - 2,
        figures={"growth": growth, "ratio": start},
    )


def _vanishing(evidence: Evidence) -> Finding | None:
    start, middle = _ratio(evidence)
    if max(start, middle) >= VANISHED:
        return None
    names = _dense(evidence)
    return Finding(
        "vanishing_gradients",
        "error",
        f"Gradients vanish: a weight of layer {names[0]} has {middle:.2g} times the gradient of one of layer "
        f"{names[-1]}, over {len(names)} dense layers, so the first layers hardly learn.",
        "Use relu or the like in place of sigmoid and tanh, fewer layers, Residual blocks, or a normalisation.",
        START - 1,
        layer=names[0],
        figures={"start": start, "median": middle},
    )


def _dead(evidence: Evidence) -> Finding | None:
    sizes = {node.name: node.n_out for node in evidence.nodes}
    shares = {
        name: (moment.first.dead, moment.last.dead)
        for name, moment in evidence.moments.items()
        if sizes[name] >= FEW_UNITS and moment.last.dead >= DEAD
    }
    if not shares:
        return None
    name = max(shares, key=lambda key: shares[key][1])
    first, last = shares[name]
    early = first >= DEAD
    return Finding(
        "dead_units",
        "error" if last >= 0.9 else "warning",
        f"{last:.0%} of the {sizes[name]} relu units of layer {name} are dead: zero on all {len(evidence.x)} rows "
        f"looked at, so no gradient reaches them ({first:.0%} at the start).",
        "Start with biases at zero and weights of the usual size, or use leaky_relu."
        if early
        else "Lower the learning rate: a step too far has pushed them there. leaky_relu cannot die.",
        START if early else LATER,
        layer=name,
        figures={"dead": last, "at_start": first},
    )


def _saturated(evidence: Evidence) -> Finding | None:
    last_layer = evidence.nodes[-1].name  # an output at an end of its range may be right
    shares = {
        name: (moment.first.saturated, moment.last.saturated)
        for name, moment in evidence.moments.items()
        if name != last_layer
        and (
            min(moment.first.saturated, moment.last.saturated) >= SATURATED or moment.last.saturated >= SATURATED_LATER
        )
    }
    if not shares:
        return None
    name = max(shares, key=lambda key: shares[key][1])
    first, last = shares[name]
    activation = evidence.moments[name].last.activation
    early = first >= SATURATED
    return Finding(
        "saturated_units",
        "warning",
        f"{last:.0%} of the outputs of layer {name} lie within 5% of an end of {activation}'s range, where it is all "
        f"but flat ({first:.0%} at the start).",
        "Start with smaller weights, and scale the inputs." if early else "Lower the learning rate, or decay weights.",
        START if early else LATER,
        layer=name,
        figures={"saturated": last, "at_start": first},
    )
