"""Probabilities of classes: labels smoothed in training, and logits rescaled by held-out rows afterwards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .layers import Dense, iter_nodes
from .network import Network

_LARGEST = 10.0  # logits are multiplied or divided by no more than this
_HALVINGS = 30  # of the logarithm of that range: to nine digits


def smooth_labels(labels: NDArray[np.int64], n_classes: int, share: float) -> NDArray[np.float32]:
    """Return rows of probabilities, (n, n_classes): a share of each label, (n,), is spread evenly over all classes.

    Label smoothing is of Szegedy et al. 2016, "Rethinking the Inception Architecture".
    """
    rows = np.full((len(labels), n_classes), share / n_classes, np.float32)
    rows[np.arange(len(labels)), labels] += np.float32(1 - share)
    return rows


def temperature(
    logits: NDArray[np.floating], labels: NDArray[np.int64], weight: NDArray[np.floating] | None = None
) -> float:
    """Return the number t for which logits / t are best as logarithms of probabilities.

    Found by the log loss of rows that were not trained on: `logits`, (n, n_classes), and `labels`, (n,), weighted by
    `weight`, (n,) (Guo et al. 2017, "On Calibration of Modern Neural Networks"). One row's worth in n + 2 counts for
    the other classes, so that n rows without a mistake do not make sure for ever (Platt 1999).
    """
    z = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    n, n_classes = z.shape
    weights = np.ones(n) if weight is None else np.asarray(weight, np.float64)
    doubt = 1 / (n + 2) * n_classes / (n_classes - 1)
    wanted = np.sum(smooth_labels(labels, n_classes, doubt) * z, axis=1)
    low, high = -np.log(_LARGEST), np.log(_LARGEST)
    for _ in range(_HALVINGS):  # the loss is convex in 1 / t: its slope has one zero
        middle = (low + high) / 2
        shares = np.exp(z * np.exp(middle))
        expected = np.sum(shares * z, axis=1) / shares.sum(axis=1)
        low, high = (middle, high) if weights @ (expected - wanted) < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def divide_logits(network: Network, by: float) -> None:
    """Divide a network's outputs, those of a last dense layer without an activation, by a number for good."""
    last = [node.name for node in iter_nodes(network.layers, network.n_in) if isinstance(node.layer, Dense)][-1]
    values = network.parameters
    network.set_parameters({f"{last}.{part}": values[f"{last}.{part}"] / by for part in ("weight", "bias")})
