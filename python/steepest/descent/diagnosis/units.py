"""Findings about the inside of the network: its gradients and units."""

from __future__ import annotations

import numpy as np

from ...embeddings import ColumnLayer
from ...layers import BatchNorm, Dense, LayerNorm
from .._cost import rms
from .evidence import Evidence, Finding

# From the last dense layer to the first, in root mean square by weight. A layer a thousand times slower than another
# does not move while the other learns; healthy networks stay within a factor of some tens.
VANISHED = 1e-3
EXPLODED = 1e3
GROWTH = 1e3  # of the signal from input to output before training: first weights should keep its size
DEAD = 0.4  # of a layer's relu units, from before the first step on; a tenth is common
DEAD_LATER = 0.6  # the same, reached by training: wide layers that have more units than they need lose many
SATURATED = 0.5  # of a layer's outputs, from before the first step on
SATURATED_LATER = 0.9  # the same, reached by training: trained units do lean to an end
FEW_UNITS = 4  # in smaller layers a share means little

START, LATER = 30, 45  # ranks, before and after those of the rates: what came by training is an effect of them


def find_in_units(evidence: Evidence) -> list[Finding]:
    """Return the findings about gradients and units."""
    checks = (_exploding_gradients, _vanishing_gradients, _dead_units, _saturated_units)
    return [finding for check in checks if (finding := check(evidence))]


def _dense_names(evidence: Evidence) -> list[str]:
    return [node.name for node in evidence.nodes if isinstance(node.layer, Dense)]


def _gradient_ratio(evidence: Evidence) -> tuple[float, float]:
    """Return the gradient of a weight of the first dense layer over one of the last, at the start and at the median."""
    names = _dense_names(evidence)
    counts = {node.name: node.n_in * node.n_out for node in evidence.nodes}
    if len(names) < 3:
        return 1.0, 1.0
    first, last = (evidence.series("gradient_norm", n) / np.sqrt(counts[n]) for n in (names[0], names[-1]))
    with np.errstate(all="ignore"):
        ratios = first / last
    ratios = ratios[np.isfinite(ratios)]
    return (float(ratios[0]), float(np.median(ratios))) if len(ratios) else (1.0, 1.0)


def _exploding_gradients(evidence: Evidence) -> Finding | None:
    start, middle = _gradient_ratio(evidence)
    signals = [(moment.first or moment.last).signal for moment in evidence.moments.values()]
    # Small inputs make no small outputs there.
    normalized = isinstance(evidence.nodes[0].layer, (BatchNorm, LayerNorm, ColumnLayer))
    size = signals[0] if normalized else rms(evidence.x)
    growth = signals[-1] / size if size else 0.0
    if evidence.recorder is None:  # trained outputs are as large as their targets
        growth /= max(1.0, rms(evidence.targets))
    if np.isfinite(growth) and growth <= GROWTH and min(start, middle) <= EXPLODED:
        return None
    seen = f"a weight of the first layer has {start:.3g} times the gradient of one of the last"
    if not np.isfinite(growth):
        seen = "the signal grows beyond all numbers from input to output"
    elif growth > GROWTH:
        seen = f"the signal grows {growth:.3g} times from input to output"
    return Finding(
        "exploding_gradients",
        "error",
        f"Gradients explode: {seen}, over {len(_dense_names(evidence))} dense layers.",
        'Use first weights that keep the size of the signal (init="auto"), or normalize between layers (LayerNorm, '
        "BatchNorm); clip_norm helps for a time.",
        START - 2,
        figures={"growth": growth, "ratio": start},
    )


def _vanishing_gradients(evidence: Evidence) -> Finding | None:
    start, middle = _gradient_ratio(evidence)
    if max(start, middle) >= VANISHED:
        return None
    names = _dense_names(evidence)
    return Finding(
        "vanishing_gradients",
        "error",
        f"Gradients vanish: a weight of layer {names[0]} has {middle:.2g} times the gradient of one of layer "
        f"{names[-1]}, over {len(names)} dense layers, so the first layers hardly learn.",
        "Use relu or the like in place of sigmoid and tanh, fewer layers, Residual blocks, or a normalization.",
        START - 1,
        layer=names[0],
        figures={"start": start, "median": middle},
    )


def _dead_units(evidence: Evidence) -> Finding | None:
    name = _worst(evidence, "dead", DEAD, DEAD_LATER)
    if name is None:
        return None
    share, first, early = _shares(evidence, name, "dead", DEAD)
    return Finding(
        "dead_units",
        "error" if share >= 0.9 else "warning",
        f"{share:.0%} of the {_width(evidence, name)} relu units of layer {name} are dead: zero on all "
        f"{len(evidence.x)} rows looked at, so no gradient reaches them{_at_start_text(first)}.",
        "Start with biases at zero and weights of the usual size, or use leaky_relu."
        if early
        else "Lower the learning rate: a step too far pushes units there. leaky_relu cannot die.",
        START if early else LATER,
        layer=name,
        figures={"dead": share, "at_start": first},
    )


def _saturated_units(evidence: Evidence) -> Finding | None:
    name = _worst(evidence, "saturated", SATURATED, SATURATED_LATER)
    if name is None:
        return None
    share, first, early = _shares(evidence, name, "saturated", SATURATED)
    return Finding(
        "saturated_units",
        "warning",
        f"{share:.0%} of the outputs of layer {name} lie within 5% of an end of "
        f"{evidence.moments[name].last.activation}'s range, where it is all but flat{_at_start_text(first)}.",
        "Start with smaller weights, and scale the inputs." if early else "Lower the learning rate, or decay weights.",
        START if early else LATER,
        layer=name,
        figures={"saturated": share, "at_start": first},
    )


def _worst(evidence: Evidence, what: str, from_start: float, by_training: float) -> str | None:
    """Return the layer of the largest share above its bound, which is lower where it was so from the start."""
    shares = {}
    for name in list(evidence.moments)[: None if what == "dead" else -1]:  # an output at its range's end may be right
        share, _, early = _shares(evidence, name, what, from_start)
        if _width(evidence, name) >= FEW_UNITS and share >= (from_start if early else by_training):
            shares[name] = share
    return max(shares, key=lambda name: shares[name], default=None)


def _shares(evidence: Evidence, name: str, what: str, from_start: float) -> tuple[float, float, bool]:
    """Return the share now and before training, NaN if unknown, and whether it was above the bound then."""
    moment = evidence.moments[name]
    first = float(getattr(moment.first, what, np.nan))
    return float(getattr(moment.last, what)), first, first >= from_start


def _width(evidence: Evidence, name: str) -> int:
    return next(node.n_out for node in evidence.nodes if node.name == name)


def _at_start_text(first: float) -> str:
    return f" ({first:.0%} at the start)" if np.isfinite(first) else ""
