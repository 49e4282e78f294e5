"""New networks, as a plan asks for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..network import Network
from ..recipe import build_layers, silence_unseen
from ._plan import FitPlan
from ._preprocess import Preprocessor
from ._sklearn_preset import draw_like_sklearn
from ._task import Task


def new_networks(plan: FitPlan, task: Task, features: Any, preprocessor: Preprocessor) -> list[Network]:
    """Return networks for these features; what is zero in all rows, as a constant column, says nothing at first."""
    speaks = np.any([block.any(axis=0) for _, block in preprocessor.feature_blocks(features)], axis=0)
    networks = _networks(plan, task, len(speaks))
    for network in () if speaks.all() else networks:
        silence_unseen(network, speaks)
    return networks


def sklearn_networks(plan: FitPlan, task: Task, n_in: int, random: np.random.RandomState) -> list[Network]:
    """Return networks with the weights that scikit-learn would draw from this state."""
    networks = _networks(plan, task, n_in)
    for network in networks:
        draw_like_sklearn(network, random, logistic=plan.settings.activation[:1] == ("sigmoid",))
    return networks


def _networks(plan: FitPlan, task: Task, n_in: int) -> list[Network]:
    settings = plan.settings
    layers = build_layers(
        plan.hidden, settings.activation, task.n_outputs,
        dropout=plan.dropout, batch_norm=settings.batch_norm, layer_norm=settings.layer_norm,
    )  # fmt: skip
    return [Network(n_in, layers, seed=plan.seed + i, dtype=plan.dtype) for i in range(plan.n_networks)]
