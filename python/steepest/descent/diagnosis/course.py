"""Findings about the course of a training, and about its outcome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...layers import Dense
from .._parts import sample_rows
from .evidence import PER_OUTPUT, Evidence, Finding

FEW_EPOCHS = 6  # fewer show no course
# In units of what there is to learn: 1 is the cost of the best constant output, 0 that of perfect ones.
JUMP = 0.05  # mean rise of the epochs that rise: batches of a healthy training differ by a hundredth or so
RISING = 0.25  # share of the later epochs that rise; a curve that falls and is noisy at its end stays below JUMP
WORSE = 1.2  # later cost than a constant's, and than that of the first epoch
UNFINISHED = 0.3  # of what there is to learn is still ahead
LATE = 0.15  # of all the fall, in the last quarter of the epochs: a straight line has 0.25, a curve levelling off 0.05
STILL = 0.01  # the fastest layer moves by less than this part of its length in an epoch
# Validation cost above its best, in each of the last three epochs: of what there is to learn, and of that best. Less
# is the noise of a few hundred held out rows.
OVERFIT, ABOVE = 0.03, 0.1
MAJORITY, SHARE = 0.99, 0.75  # of rows that are given the class which this share or more really have
MISSED = 0.1  # accuracy or R2 by which neighbors do better
NEIGHBORS, NEIGHBOR_ROWS = 5, 1000


def find_in_course(evidence: Evidence) -> list[Finding]:
    """Return the findings about rates, classes and overfitting."""
    checks = (_rate_too_high, _rate_too_low, _majority_only, _overfitting)
    return [finding for check in checks if (finding := check(evidence))]


def _rate_too_high(evidence: Evidence) -> Finding | None:
    course, seen = evidence.course, ""
    figures: dict[str, float] = {}
    if evidence.recorder is not None and evidence.recorder.diverged:
        seen = f"in epoch {len(evidence.history.get('loss', ()))} the cost was no longer finite"
    elif len(course) >= FEW_EPOCHS and np.isfinite(course).all():
        later = course[len(course) // 2 :]
        moves = np.diff(course[len(course) // 2 - 1 :])
        rises = moves[moves > 0]
        level = float(np.median(later))
        if len(rises) >= RISING * len(moves) and rises.mean() >= JUMP:
            seen = (
                f"in the second half the cost rose in {len(rises)} of {len(moves)} {_steps_name(evidence)}, by "
                f"{rises.mean():.0%} of all there is to learn on average"
            )
            figures = {"rises": len(rises) / len(moves), "mean_rise": float(rises.mean())}
        elif level > max(WORSE, course[0]):
            seen = f"the cost stays at {level:.3g} times that of the best constant output"
            figures = {"level": level}
    if not seen:
        return None
    rate = np.asarray(evidence.history.get("learning_rate", ()))
    at = f", at the rate {rate[-1]:.3g}" if len(rate) else ""
    return Finding(
        "rate_too_high",
        "error",
        f"The learning rate is too high: {seen}{at}.",
        "Divide the rate by 3 to 10 until the cost falls steadily.",
        40,
        figures=figures,
    )


def _steps_name(evidence: Evidence) -> str:
    return "epochs" if np.all(np.diff(evidence.epochs) == 1) else "stretches of some epochs"


def _rate_too_low(evidence: Evidence) -> Finding | None:
    course = evidence.course
    if len(course) < FEW_EPOCHS or not np.isfinite(course).all() or course[-1] < UNFINISHED:
        return None
    fall = float(course[0] - course[-1])
    late = float(course[-1 - max(1, len(course) // 4)] - course[-1])
    move = np.nan
    if evidence.recorder is not None:
        names = [node.name for node in evidence.nodes if isinstance(node.layer, Dense)]
        between = np.diff(evidence.recorder.epochs)
        moves = [evidence.series("update_ratio", name)[1:] / between for name in names]
        move = max((float(np.median(m)) for m in moves if len(m)), default=np.nan)
    if fall <= 0 or late < LATE * fall or move > STILL:
        return None
    moved = f", and the fastest layer moves by {move:.2g} of its length in an epoch" if np.isfinite(move) else ""
    return Finding(
        "rate_too_low",
        "warning",
        "The learning rate is too low, or the epochs too few: the cost is still falling as fast as ever, "
        f"{late / fall:.0%} of its fall in the last quarter, with {course[-1]:.0%} of all yet to learn{moved}.",
        "Multiply the rate by 3 to 10, or train for longer.",
        41,
        figures={"late": late / fall, "ahead": float(course[-1]), "move": move},
    )


def _majority_only(evidence: Evidence) -> Finding | None:
    labels, named = evidence.labels, evidence.predicted_labels
    if labels is None or named is None or not evidence.finite:
        return None
    shares = np.bincount(labels, minlength=2) / len(labels)
    largest = int(np.argmax(shares))
    given = float(np.mean(named == largest))
    if not SHARE <= shares[largest] < 1 or given < MAJORITY or given <= shares[largest]:
        return None
    found = float(np.mean(named[labels != largest] != largest))
    if found > 0.1:
        return None
    return Finding(
        "majority_only",
        "error",
        f"The network has learned the majority alone: it says class {largest} for {given:.1%} of the rows, which "
        f"{shares[largest]:.1%} have, and finds {found:.0%} of the others.",
        "Weight the rare classes up (sample_weight), or draw them more often; judge by f1 or auc, not by accuracy.",
        50,
        figures={"given": given, "share": float(shares[largest]), "found": found},
    )


def find_underfitting(evidence: Evidence) -> Finding | None:
    """Find that a plain vote of neighbors, which needs no training, does better on the training rows."""
    if evidence.cost.loss in ("quantile", "poisson") or len(evidence.x) < 10 * NEIGHBORS or not evidence.finite:
        return None
    chosen = sample_rows(len(evidence.x), NEIGHBOR_ROWS)
    t, labels = evidence.targets[chosen], evidence.labels
    votes = _neighbors(evidence.x[chosen], t)
    if labels is not None and evidence.predicted_labels is not None:
        truth, what = labels[chosen], "accuracy"
        voted = votes.argmax(axis=1) if t.shape[1] > 1 else votes[:, 0] > 0.5
        theirs, own = float(np.mean(voted == truth)), float(np.mean(evidence.predicted_labels[chosen] == truth))
    elif evidence.cost.loss in PER_OUTPUT:
        what, spread = "R2", float(np.mean((t - t.mean(axis=0)) ** 2))
        theirs, own = (1 - float(np.mean((t - y) ** 2)) / spread for y in (votes, evidence.outputs[chosen]))
    else:
        return None
    if theirs - own < MISSED:
        return None
    hidden = [node for node in evidence.nodes[:-1] if isinstance(node.layer, Dense) and "." not in node.name]
    narrow = min(hidden, key=lambda node: node.n_out, default=None)
    where = f" The narrowest hidden one, layer {narrow.name}, is {narrow.n_out} wide." if narrow else ""
    if narrow is None:
        where = " There is no hidden layer."
    return Finding(
        "underfitting",
        "warning",
        f"The network underfits: {what} {own:.3g} on the training rows, where a plain vote of {NEIGHBORS} neighbors "
        f"gets {theirs:.3g}.{where}",
        "Make the narrow layers wider, add a layer, train for longer, or decay weights and drop units less.",
        51,
        layer=narrow.name if narrow else None,
        figures={"own": own, "neighbors": theirs},
    )


def _neighbors(x: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean target of each row's nearest others, columns scaled to standard deviation 1."""
    spread = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1)
    squares = (z * z).sum(axis=1)
    distances = squares[:, None] + squares - 2 * z @ z.T
    np.fill_diagonal(distances, np.inf)
    nearest = np.argpartition(distances, NEIGHBORS, axis=1)[:, :NEIGHBORS]
    return np.asarray(t[nearest].mean(axis=1))


def _overfitting(evidence: Evidence) -> Finding | None:
    return None if evidence.moved_on else find_overfitting(evidence)


def find_overfitting(evidence: Evidence) -> Finding | None:
    """Find that the training went on to learn its rows by heart, whichever weights the network has now."""
    train, held_out = (np.asarray(evidence.history.get(name, ()), np.float64) for name in ("loss", "val_loss"))
    if len(held_out) < FEW_EPOCHS or not np.isfinite(held_out).all():
        return None
    best = int(np.argmin(held_out))
    span = evidence.baseline - evidence.floor
    higher = float(held_out[-3:].min() - held_out[best])
    rise = higher / span if span > 0 else 0.0
    if rise < OVERFIT or higher < ABOVE * (held_out[best] - evidence.floor) or train[-1] >= train[best]:
        return None
    since = int(evidence.epochs[best])
    return Finding(
        "overfitting",
        "warning",
        f"The network overfits since epoch {since}: the validation cost was {held_out[best]:.4g} then and is "
        f"{held_out[-1]:.4g} now, while the training cost fell from {train[best]:.4g} to "
        f"{train[-1]:.4g}.",
        "Stop there (EarlyStopping keeps the best epoch), gather rows, or use dropout, weight decay or fewer units.",
        55,
        figures={"since": float(since), "rise": rise},
    )
