"""Whether what a fit leaves behind predicts finite numbers: weights may be finite, and what they compute is not."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..layers import (
    BatchNorm,
    CategoryEmbedding,
    Dense,
    Dropout,
    FeatureScale,
    LayerNorm,
    PeriodicEmbedding,
    PiecewiseLinear,
    PiecewiseLinearEmbedding,
    Residual,
    iter_nodes,
)
from ..network import Network
from ._input import Rows
from ._preprocess import Preprocessor
from ._task import Task

_FURTHER = 4.0  # times as far out as those trained on, rows may be that are predicted later
_FURTHEST_SCALED = 1e6  # no scaled feature lies as far out


def predicts_finite(network: Network, preprocessor: Preprocessor, task: Task, training: Callable[[], Rows]) -> bool:
    """Tell whether a network's predictions are finite for the rows that it was trained on, and some way around.

    Parameters
    ----------
    network : Network
        Trained.
    preprocessor : Preprocessor
        Made the features.
    task : Task
        Makes predictions of outputs.
    training : callable
        Returns the rows trained on, as features; asked for only where the weights leave it open.
    """
    largest = float(np.finfo(network.dtype).max)
    scaled = preprocessor.scale is not None or preprocessor.encoder is not None
    furthest = _FURTHEST_SCALED if scaled else _FURTHER * _largest_of(training(), preprocessor)
    if _bound(network, furthest) < task.largest_output(largest / 2):
        return True
    factors = (1.0, _FURTHER) if furthest < largest else (1.0,)
    return all(
        task.is_finite(network.predict(factor * block)[None])
        for _, block in preprocessor.feature_blocks(training().x)
        for factor in factors
    )


def _largest_of(rows: Rows, preprocessor: Preprocessor) -> float:
    """Return the largest feature by magnitude."""
    return max(float(np.abs(block).max(initial=0)) for _, block in preprocessor.feature_blocks(rows.x))


def _bound(network: Network, furthest: float) -> float:
    """Return a bound of all that a network computes of features up to `furthest`, by its largest parameter."""
    largest = max(1.0, network._core.largest())
    bound = max(1.0, furthest)
    for node in iter_nodes(network.layers, network.n_in):
        layer = node.layer
        if isinstance(layer, Residual):  # what goes around its layers is added to what they make of it
            bound *= 2
        elif isinstance(layer, BatchNorm):
            bound = (bound + largest) * largest / math.sqrt(layer.eps) + largest
        elif isinstance(layer, FeatureScale):
            bound *= largest
        elif isinstance(layer, PiecewiseLinear):  # whose points are buffers, among the largest
            bound = max(bound, largest)
        elif isinstance(layer, PiecewiseLinearEmbedding):
            narrowest = float(np.diff(network.buffers[f"{node.name}.edges"], axis=0).min())
            features = max(1.0, (bound + largest) / narrowest)
            bound = max(bound, features * (layer.n_bins + 1) * largest if layer.size else features)
        elif isinstance(layer, CategoryEmbedding):
            bound = max(bound, largest)
        elif isinstance(layer, PeriodicEmbedding):
            bound = max(bound, (2 * layer.n_frequencies + 1) * largest)
        elif isinstance(layer, LayerNorm):
            bound = max(bound, math.sqrt(node.n_in)) * largest + largest
        elif not isinstance(layer, Dropout):
            if isinstance(layer, Dense):
                bound = node.n_in * largest * bound + largest
            bound *= max(2.0, getattr(layer, "alpha", None) or 0.0)  # no activation makes more of it
    return bound
