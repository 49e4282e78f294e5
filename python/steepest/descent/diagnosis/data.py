"""Findings about the data, and about the data and the loss together: seen without any training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...layers import BatchNorm, CategoryEmbedding, PiecewiseLinear
from .._cost import rms
from .._recorder import activation_of
from .evidence import PER_OUTPUT, Evidence, Finding

# First weights are drawn for inputs of about unit size. The cost curves along a weight by the square of its input, so a
# column of size 30 curves 900 times as much as one of size 1, and no learning rate suits both.
LARGE = 30.0
SMALL = 0.1  # the largest column below this: the cost curves a hundredth of what it should along every first weight
LARGE_TARGET = 100.0  # outputs start at about 1: weights must first grow a hundredfold, and gradients are as large
LEAK = 1 - 1e-6  # correlation: what is left over is rounding, not noise
FEW_ROWS = 10  # fewer rows correlate by chance
MOST_CLASSES = 20  # whole numbers 0 to k - 1 with more values than this are taken for counts
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, np.inf), "softplus": (0.0, np.inf)}


def find_in_data(evidence: Evidence) -> list[Finding]:
    """Return the findings about the data and the loss; one that the loss cannot take them stands alone."""
    misfit = _impossible_loss(evidence)
    if misfit:
        return [misfit]
    checks = (_constant_target, _doubtful_loss, _leaking_feature, _output_range, _unscaled_inputs, _unscaled_targets)
    return [finding for check in checks if (finding := check(evidence))]


def _impossible_loss(evidence: Evidence) -> Finding | None:
    """Find targets that the loss cannot take at all."""
    loss, y, n_out = evidence.cost.loss, evidence.y, evidence.network.n_out
    message = advice = ""
    numbers = np.asarray(y, np.float64) if y.dtype.kind in "biuf" else None
    if numbers is None:
        message, advice = f"the targets are of type {y.dtype}, and a loss takes numbers.", "Encode them as numbers."
    elif not np.isfinite(numbers).all():
        message = f"{int(np.sum(~np.isfinite(numbers)))} targets are missing or infinite."
        advice = "Leave those rows out, or fill them in."
    elif loss == "cross_entropy" and n_out == 1:
        message = "cross_entropy over one output is always zero: the one class has the probability 1."
        advice = "Use two outputs, or binary_cross_entropy."
    elif loss == "cross_entropy" and y.ndim == 1:
        wrong = (numbers != np.round(numbers)) | (numbers < 0) | (numbers >= n_out)
        if wrong.any():
            message = (
                f"cross_entropy over {n_out} outputs wants labels 0 to {n_out - 1}, and {np.mean(wrong):.0%} of the "
                f"targets are none, such as {numbers[wrong][0]:g}."
            )
            advice = "Number the classes from 0, with an output for each; for a quantity use mse."
    elif loss == "cross_entropy":
        if y.shape[1] != n_out or numbers.min() < 0 or np.abs(numbers.sum(axis=1) - 1).max() > 1e-3:
            message = (
                f"cross_entropy wants labels, or rows of {n_out} probabilities that add up to 1; these are of shape "
                f"{y.shape}, from {numbers.min():.4g} to {numbers.max():.4g}, and a row adds up to "
                f"{numbers.sum(axis=1).max():.4g}."
            )
            advice = "For several yes-or-no answers at once use binary_cross_entropy; for quantities use mse."
    elif numbers.size != len(y) * n_out:
        message = f"the targets have the shape {y.shape}, and the network {n_out} outputs."
        advice = f"Give {n_out} numbers for each row, or make the last layer {numbers.size // len(y)} wide."
        if loss in PER_OUTPUT and numbers.ndim == 1 and not np.any(numbers % 1) and numbers.max() < n_out:
            advice = "If the targets are labels of classes, use cross_entropy."
    elif loss == "binary_cross_entropy" and (numbers.min() < 0 or numbers.max() > 1):
        message = (
            f"binary_cross_entropy wants targets from 0 to 1, and these go from {numbers.min():.4g} to "
            f"{numbers.max():.4g}."
        )
        advice = "Turn labels such as -1 and 1 into 0 and 1; for more classes use cross_entropy, for a quantity mse."
    elif loss == "poisson" and numbers.min() < 0:
        message = f"poisson wants counts, and {np.mean(numbers < 0):.0%} are below zero, down to {numbers.min():.4g}."
        advice = "Use mse, or huber if there are outliers."
    return Finding("loss_misfit", "error", f"The loss does not fit: {message}", advice, 0) if message else None


def _constant_target(evidence: Evidence) -> Finding | None:
    t = evidence.targets
    if len(t) < 2 or np.any(t != t[0]):
        return None
    what = (
        f"class {evidence.y.flat[0]:g}" if evidence.y.ndim == 1 and evidence.labels is not None else f"{t[0].tolist()}"
    )
    return Finding(
        "constant_target",
        "error",
        f"All {len(t)} rows looked at have the same target, {what}: there is nothing to tell apart.",
        "Check how the target was read or filtered.",
        1,
    )


def _doubtful_loss(evidence: Evidence) -> Finding | None:
    """Find targets that look like classes, under a loss that is not made for them."""
    loss, t = evidence.cost.loss, evidence.targets
    binary = bool(np.all((t == 0) | (t == 1)))
    one_hot = binary and t.shape[1] > 1 and bool(np.all(t.sum(axis=1) == 1))
    message, advice = "", "Use cross_entropy, with one output for each class."
    if loss == "binary_cross_entropy" and one_hot:
        message = f"exactly one of {t.shape[1]} targets is 1 in every row, so the classes exclude one another."
    elif loss in PER_OUTPUT and one_hot:
        message = f"{loss} is for quantities, and the targets are classes: one 1 of {t.shape[1]} in every row."
    elif loss in PER_OUTPUT and t.shape[1] == 1:
        values = np.unique(t)
        if len(values) == 2 and values.tolist() in ([0, 1], [-1, 1]):
            message = f"{loss} is for quantities, and the targets are only {values[0]:g} and {values[1]:g}."
            advice = "Use binary_cross_entropy with targets 0 and 1."
        elif 3 <= len(values) <= min(MOST_CLASSES, len(t) // FEW_ROWS) and values.tolist() == list(range(len(values))):
            message = f"{loss} is for quantities, and the targets are the whole numbers 0 to {len(values) - 1}."
            advice = "For classes use cross_entropy, with one output for each; for counts use poisson."
    return Finding("loss_misfit", "warning", f"The loss does not fit: {message}", advice, 0) if message else None


def _leaking_feature(evidence: Evidence) -> Finding | None:
    x, t = evidence.x, evidence.targets
    if len(x) < FEW_ROWS or x.shape[1] == 1 or not np.any(t != t[0]):
        return None
    labels = evidence.labels
    if labels is not None:
        classes = np.unique(labels)
        low, high = (np.stack([f(x[labels == k], axis=0) for k in classes]) for f in (np.min, np.max))
        ordered = np.sort(low, axis=0)
        leaking = np.all(low == high, axis=0) & np.all(np.diff(ordered, axis=0) > 0, axis=0)
        figure, what = 1.0, "has one value for each class"
        column = int(np.argmax(leaking))
    else:
        correlation = _correlation(x, t)
        column = int(np.argmax(correlation))
        figure = float(correlation[column])
        leaking, what = correlation > LEAK, f"has the correlation {figure:.7f} with it"
    if not leaking.any():
        return None
    return Finding(
        "leaking_feature",
        "error",
        f"Column {column} of x gives the target away: it {what}, over {len(x)} rows.",
        "Leave the column out, if it will not be known when the network is used.",
        2,
        figures={"column": float(column), "correlation": figure},
    )


def _correlation(x: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest |correlation| of each column with a target, (n_in,); 0 for constants."""
    a, b = x - x.mean(axis=0), t - t.mean(axis=0)
    sizes = np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    return np.asarray(np.divide(np.abs(a.T @ b), sizes, out=np.zeros_like(sizes), where=sizes > 0).max(axis=1))


def _output_range(evidence: Evidence) -> Finding | None:
    activation = activation_of(evidence.network.layers[-1])
    if activation not in RANGES:
        return None
    (low, high), loss, t = RANGES[activation], evidence.cost.loss, evidence.targets
    if loss in PER_OUTPUT:
        outside = float(np.mean((t < low) | (t > high)))
        if not outside:
            return None
        message = f"{outside:.0%} of the targets lie outside what {activation} can give, {low:g} to {high:g}."
    else:
        outside = 1.0
        message = f"{loss} applies its own link to the outputs, and {activation} holds them within {low:g} to {high:g}."
    return Finding(
        "output_range",
        "error",
        f"The last layer's activation does not fit: {message}",
        "Leave the last layer without an activation.",
        3,
        figures={"outside": outside},
    )


def _unscaled_inputs(evidence: Evidence) -> Finding | None:
    first = evidence.network.layers[0]
    if isinstance(first, (BatchNorm, PiecewiseLinear)):
        return None
    sizes = np.sqrt(np.mean(np.square(evidence.x), axis=0))
    if isinstance(first, CategoryEmbedding):  # the size of a label says nothing
        sizes[list(first.columns)] = np.nan
        if np.isnan(sizes).all():
            return None
    column = int(np.nanargmax(sizes))
    largest = float(sizes[column])
    if SMALL <= largest <= LARGE or not largest:
        return None
    if largest > LARGE:
        median = np.nanmedian(sizes)
        seen = f"column {column} has the size {largest:.4g} (root mean square), the median column {median:.4g}."
    else:
        seen = f"even the largest column, {column}, has the size {largest:.2g} (root mean square)."
    return Finding(
        "unscaled_inputs",
        "warning",
        f"The inputs are not scaled: {seen} First weights and learning rates are made for sizes of about 1.",
        "Take the mean off each column and divide by its standard deviation, both of the training rows.",
        10,
        figures={"column": float(column), "size": largest},
    )


def _unscaled_targets(evidence: Evidence) -> Finding | None:
    if evidence.cost.loss not in PER_OUTPUT:
        return None
    size = rms(evidence.targets)
    if size <= LARGE_TARGET:
        return None
    return Finding(
        "unscaled_targets",
        "warning",
        f"The targets are not scaled: their size is {size:.4g} (root mean square), where outputs start at about 1.",
        "Take the mean off the targets and divide by their standard deviation; turn predictions back.",
        11,
        figures={"size": size},
    )
