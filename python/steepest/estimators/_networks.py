"""New networks, as a plan asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..layers import Layer
from ..network import Network
from ..recipe import build_layers, silence_unseen
from ._embedding import Embedding
from ._plan import FitPlan
from ._preprocess import Preprocessor
from ._sklearn_preset import draw_like_sklearn
from ._task import Task


class NetworkMaker:
    """Makes networks for these features; what is zero in all rows, as a constant column, says nothing at first."""

    def __init__(self, plan: FitPlan, task: Task, features: Any, preprocessor: Preprocessor) -> None:
        self.task = task
        self._speaks = np.any([block.any(axis=0) for _, block in preprocessor.feature_blocks(features)], axis=0)
        embeds = plan.recipe.frequencies > 0 or plan.tries_kinds
        self._embedding = Embedding.fit(features, preprocessor) if embeds else Embedding.none()

    @property
    def n_embedded(self) -> int:
        """How many columns an embedding would be of."""
        return len(self._embedding.columns)

    def __call__(self, plan: FitPlan, seeds: Iterable[int]) -> list[Network]:
        """Return networks as a plan asks for them, with first weights by each of these seeds."""
        before = self._embedding.layers(plan.recipe)
        layers = layers_of(plan, self.task, before)
        networks = build_networks(plan, layers, len(self._speaks), seeds)
        for network in networks:
            if before:
                self._embedding.put_into(network)
            if not self._speaks.all():
                silence_unseen(network, self._speaks)
        return networks


def sklearn_networks(plan: FitPlan, task: Task, n_in: int, random: np.random.RandomState) -> list[Network]:
    """Return networks with the weights that scikit-learn would draw from this state."""
    networks = build_networks(plan, layers_of(plan, task), n_in, plan.seeds)
    for network in networks:
        draw_like_sklearn(network, random, logistic=plan.settings.activation[:1] == ("sigmoid",))
    return networks


def layers_of(plan: FitPlan, task: Task, before: Sequence[Layer] = ()) -> list[Layer]:
    """Return the layers of a network, as a plan asks for them, with those in front of the hidden ones."""
    settings = plan.settings
    return build_layers(
        plan.hidden, plan.activations, task.n_outputs,
        dropout=plan.dropout, batch_norm=settings.batch_norm, layer_norm=settings.layer_norm, before=before,
    )  # fmt: skip


def build_networks(plan: FitPlan, layers: list[Layer], n_in: int, seeds: Iterable[int]) -> list[Network]:
    """Return networks of these layers, with first weights by each of these seeds."""
    return [Network(n_in, layers, seed=seed, dtype=plan.dtype) for seed in seeds]
