"""Probabilities of classes: labels smoothed in training, and logits rescaled by held-out rows afterwards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._probabilities import softmax
from .layers import Dense, iter_nodes
from .network import Network

_LARGEST = 10.0  # logits are multiplied or divided by no more than this
_HALVINGS = 30  # of the logarithm of that range: to nine digits


def smooth_labels(labels: NDArray[np.int64], n_classes: int, share: float) -> NDArray[np.float32]:
    """Spread a share of each label evenly over all classes.

    Parameters
    ----------
    labels : array of int, shape (n,)
        Class numbers, from 0.
    n_classes : int
        Number of classes.
    share : float
        The share to spread, 0 <= share <= 1.

    Returns
    -------
    array of float32, shape (n, n_classes)
        Rows of probabilities, whose sum is 1.

    Notes
    -----
    Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision".
    """
    rows = np.full((len(labels), n_classes), share / n_classes, np.float32)
    rows[np.arange(len(labels)), labels] += np.float32(1 - share)
    return rows


def temperature(
    logits: NDArray[np.floating], labels: NDArray[np.int64], weight: NDArray[np.floating] | None = None
) -> float:
    """Find the number t for which ``softmax(logits / t)`` has the lowest log loss.

    Parameters
    ----------
    logits : array of shape (n, n_classes)
        A network's outputs for rows that it was not trained on.
    labels : array of int, shape (n,)
        Class numbers of these rows, from 0.
    weight : array of shape (n,), optional
        How much each row counts; by default all count alike.

    Returns
    -------
    float
        From 0.1 to 10.

    Notes
    -----
    Guo et al. 2017, "On Calibration of Modern Neural Networks". One row's worth in n + 2 counts for the other classes,
    so that the probabilities of n rows without a mistake do not go to 1 (Platt 1999, "Probabilistic Outputs for Support
    Vector Machines").
    """
    z = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    n, n_classes = z.shape
    weights = np.ones(n) if weight is None else np.asarray(weight, np.float64)
    doubt = 1 / (n + 2) * n_classes / (n_classes - 1)
    wanted = np.sum(smooth_labels(labels, n_classes, doubt) * z, axis=1)
    low, high = -np.log(_LARGEST), np.log(_LARGEST)
    for _ in range(_HALVINGS):  # the loss is convex in 1 / t: its slope has one zero
        middle = (low + high) / 2
        expected = np.sum(softmax(z * np.exp(middle)) * z, axis=1)
        low, high = (middle, high) if weights @ (expected - wanted) < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def divide_logits(network: Network, by: float) -> None:
    """Divide a network's outputs by a number for good, by changing its parameters.

    Parameters
    ----------
    network : Network
        With a dense layer without an activation at its end.
    by : float
        Not 0.
    """
    last = [node.name for node in iter_nodes(network.layers, network.n_in) if isinstance(node.layer, Dense)][-1]
    values = network.parameters
    network.set_parameters({f"{last}.{part}": values[f"{last}.{part}"] / by for part in ("weight", "bias")})
