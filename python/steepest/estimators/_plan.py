"""A fit, planned: everything that is decided before any network is made, once."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..distributed._together import comm_here
from ..recipe import Recipe
from ._input import Rows
from ._model import Model
from ._params import Settings

Places = NDArray[np.intp]

_FEWEST_TO_HOLD_OUT = 200  # rows; on iris's 100, a held-out fifth chose the epoch badly (0.87-0.91 right, not 0.95)
_BATCH_ONLINE = 200  # rows at most


@dataclass(frozen=True)
class FitPlan:
    """A fit, decided.

    Parameters
    ----------
    settings : Settings
        The estimator's parameters.
    recipe : Recipe
        What decides about those that are left open.
    tiny : bool
        Whether there are so few rows that they train all at once, in float64.
    online : bool
        Whether this is one epoch of `partial_fit`.
    goes_on : bool
        Whether networks of an earlier fit are trained further.
    seed : int
        Of the first network's weights, shuffling and dropout, and of the split; network i has ``seed + i``.
    n_networks : int
        How many networks are trained.
    dtype : dtype
        Type of the networks.
    label_smoothing : float
        The share of each label that is spread over all classes.
    calibrates : bool
        Whether the logits are rescaled by the held-out rows.
    deadline : float, optional
        By `time.monotonic`, when the fit is to be over.
    most_epochs : int, optional
        The most that there is time for.
    """

    settings: Settings
    recipe: Recipe
    tiny: bool
    online: bool
    goes_on: bool
    seed: int
    n_networks: int
    dtype: np.dtype[Any]
    label_smoothing: float = 0.0
    calibrates: bool = False
    deadline: float | None = None
    most_epochs: int | None = None

    @classmethod
    def decide(
        cls,
        settings: Settings,
        rows: Rows,
        random: np.random.RandomState,
        fitted: Model[Any] | None,
        *,
        tiny: bool,
        online: bool,
        began: float | None = None,
    ) -> FitPlan:
        """Decide what is open, by the recipe for this many rows.

        Parameters
        ----------
        settings : Settings
            The checked parameters.
        rows : Rows
            Those to train on and to hold out; under the preset "sklearn" networks take their dtype.
        random : RandomState
            What a seed is drawn from.
        fitted : Model or None
            The one whose networks are trained further.
        tiny, online : bool
            See `FitPlan`.
        began : float, optional
            When the fit began, by `time.monotonic`; None: now.
        """
        like_sklearn = settings.like_sklearn
        fixed = like_sklearn and settings.random_state is not None
        seed = 0 if fixed else int(random.randint(2**31 - 1))
        recipe = Recipe(frequencies=0) if tiny or online else Recipe.for_rows(len(rows), settings.effort)
        if settings.describes_one_network:
            recipe = replace(recipe, networks=1, lr=Recipe.lr)
        wide = tiny or settings.solver == "lbfgs" or (like_sklearn and getattr(rows.x, "dtype", None) == np.float64)
        n_networks, dtype = settings.ensemble or recipe.networks, np.dtype(np.float64 if wide else np.float32)
        if fitted is not None:
            n_networks, dtype = len(fitted.networks), fitted.preprocessor.dtype
        limit = settings.time_limit
        if limit is not None and comm_here() is not None:
            raise ValueError(f"time_limit is {limit:g}: ranks that fit together do the same, and expect no time limit")
        deadline = None if limit is None else (time.monotonic() if began is None else began) + limit
        return cls(settings, recipe, tiny, online, fitted is not None, seed, n_networks, dtype, deadline=deadline)

    @property
    def tries_kinds(self) -> bool:
        """Whether networks of several kinds of settings are tried."""
        settings, recipe = self.settings, self.recipe
        asked = settings.ensemble is not None or settings.warm_start or settings.lr is not None
        return recipe.kinds > 1 and recipe.networks > 1 and not (asked or self.goes_on)

    @property
    def seeds(self) -> range:
        """Of each network."""
        return range(self.seed, self.seed + self.n_networks)

    def way_of_splitting(self, n_rows: int) -> tuple[Any, ...]:
        """Return all that decides which of the same rows are held out."""
        settings, holds = self.settings, self.holds_out(n_rows)
        alone = object() if settings.like_sklearn else None  # which goes on in the random numbers of the weights
        return self.seed, self.n_networks, holds and self.held_share(n_rows), str(settings.class_weight), alone

    @property
    def way_of_reading(self) -> tuple[Any, ...]:
        """All that decides which features the same rows become."""
        return self.dtype.name, self.recipe.bins, self.settings.encode

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        asked = self.settings.hidden_layer_sizes
        return tuple(self.recipe.hidden) if asked is None else asked

    @property
    def activations(self) -> tuple[str, ...]:
        """Of the hidden layers."""
        asked = self.settings.activation
        return asked if len(asked) == len(self.hidden) else asked[:1] * len(self.hidden)

    @property
    def dropout(self) -> float:
        """Share of hidden outputs dropped in training."""
        if self.settings.dropout is not None:
            return self.settings.dropout
        return 0.0 if self.tiny or self.online or self.settings.solver == "lbfgs" else self.recipe.dropout

    def holds_out(self, n_rows: int) -> bool:
        """Tell whether some of this many rows are to be held out, if that can be."""
        if self.online or self.settings.solver == "lbfgs":
            return False
        if self.settings.early_stopping is not None:
            return self.settings.early_stopping
        many = not self.tiny and (self.n_networks > 1 or n_rows >= _FEWEST_TO_HOLD_OUT)
        return many or self.settings.eval_metric is not None

    def held_share(self, n_rows: int) -> float:
        """Return the share of this many rows that is held out."""
        return self.settings.validation_fraction or (0.2 if n_rows <= 2000 else 0.1)

    def with_smoothing(self, *, classes: bool, held_out: bool) -> FitPlan:
        """Return the plan for these targets: whether they are single labels, and there are rows to calibrate by."""
        asked = self.settings.label_smoothing
        if asked is not None:
            return replace(self, label_smoothing=asked)
        share = self.recipe.label_smoothing if classes and held_out else 0.0
        return replace(self, label_smoothing=share, calibrates=share > 0)

    def epochs_and_batch(self, n: int) -> tuple[int, int]:
        """Return the most epochs, and the rows in a step, for this many training rows."""
        size = self.settings.batch_size
        if self.online:
            return 1, min(n, size or _BATCH_ONLINE)
        epochs, batch = self.recipe.plan(n, self.settings.max_iter, size)
        if size is None and (self.settings.like_sklearn or self.tiny):
            epochs, batch = self.settings.max_iter or 500, 200
        return min(epochs, self.most_epochs or epochs), min(batch, n)

    def steps(self, n: int) -> int:
        """Return the most steps of the optimizer for this many training rows."""
        if self.online:  # each call is one of nobody knows how many
            return 1
        epochs, batch = self.epochs_and_batch(n)
        return epochs * math.ceil(math.ceil(n / batch) / self.settings.accumulate)
