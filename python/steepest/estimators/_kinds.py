"""Kinds of settings, of which networks are tried; and of a small table, which of them are kept.

On few rows it is often better to leave numbers as they are, and often far better to embed them: nobody knows before. So
all networks are trained of each kind, on the same rows, and those that they hold out decide. The kind whose error is
least there is kept; where others are not worse by more than a standard error, they take turns with it, for on few rows
the mean of both is the surer choice.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..recipe import Recipe
from ._plan import FitPlan
from ._trainings import Member

_DEARER = 2  # times an epoch of a network without an embedding, one with takes, about
_FEWEST = 3  # networks of a kind, for kinds to be compared when time is short
_APART = 5  # networks whose held-out rows, a fifth each, are other ones; those of more overlap
_MOST_COLUMNS = 256  # of few rows: more take long, and have hardly anything to be learned of each
_GENTLE_ROWS = 1000  # up to which an embedding begins with low frequencies, and is trained no longer


@dataclass
class Kind:
    """One of the settings that are tried.

    Parameters
    ----------
    plan : FitPlan
        With its recipe.
    members : list of Member
        Its networks.
    """

    plan: FitPlan
    members: list[Member]

    @property
    def error(self) -> float:
        """Of held-out rows at the best epochs; infinite where there is none."""
        return float(np.mean([error_of(member) for member in self.members])) if self.members else math.inf

    def far_enough(self) -> list[Member]:
        """Return the networks that are kept after an interrupt or a deadline: of the latter, half as far as any."""
        most = max(member.n_epochs for member in self.members)
        least = max(most / 2 if self.plan.deadline is not None else 1, 1)
        return [member for member in self.members if member.n_epochs >= least]

    def described(self, members: Collection[Member]) -> dict[str, Any] | None:
        """Return the settings, and how many of these networks have them; None if none has."""
        count, recipe = sum(member in members for member in self.members), self.plan.recipe
        if not count:
            return None
        return {
            "networks": count, "hidden": self.plan.hidden, "optimizer": repr(self.members[0].trainer.optimizer),
            "dropout": self.plan.dropout, "frequencies": recipe.frequencies,
            "frequency_scale": recipe.frequency_scale, "bins": recipe.embedded_bins, "held_out_loss": self.error,
        }  # fmt: skip


def error_of(member: Member) -> float:
    """Return the loss of held-out rows at a network's best epoch; infinite where there is none."""
    return min(filter(math.isfinite, member.trainer.history.get("val_loss", ())), default=math.inf)


def described(kinds: Sequence[Kind], members: Collection[Member]) -> list[dict[str, Any]]:
    """Return the settings of the kinds that these networks have, for `recipe_`."""
    return [found for kind in kinds if (found := kind.described(members)) is not None]


def kinds_on_few_rows(plan: FitPlan, n_rows: int, n_columns: int) -> list[FitPlan]:
    """Return the plans of the other kinds, those with an embedding; none where there is nothing to embed, or too much.

    Parameters
    ----------
    plan : FitPlan
        Of the kind without.
    n_rows : int
        All rows, held-out ones included.
    n_columns : int
        Those that would be embedded.
    """
    if not 0 < n_columns <= _MOST_COLUMNS:
        return []
    recipe = plan.recipe
    gentle = replace(recipe, frequencies=Recipe.frequencies, frequency_scale=0.3)
    steps = round(2.5 * recipe.least_steps)
    full = replace(recipe, frequencies=Recipe.frequencies, dropout=0.1, lr=0.02, least_steps=steps)
    one = full if n_rows > _GENTLE_ROWS else gentle
    return [replace(plan, recipe=kind) for kind in ([gentle, full] if recipe.kinds > 2 else [one])]


def networks_in_time(plan: FitPlan, others: Sequence[FitPlan], possible: float, n: int) -> int:
    """Return how many networks of each kind there is time for; 0 where those of one kind use it better.

    Parameters
    ----------
    plan : FitPlan
        Of the kind without an embedding.
    others : sequence of FitPlan
        Of those with.
    possible : float
        Epochs without an embedding that there is time for, of all networks together.
    n : int
        Training rows of one network.
    """
    dearer = sum(other.epochs_and_batch(n)[0] for other in others)
    found = min(plan.n_networks, int(possible / (plan.epochs_and_batch(n)[0] + _DEARER * dearer)))
    return found if others and found >= min(_FEWEST, plan.n_networks) else 0


def kept(kinds: Sequence[Kind], done: Collection[Member]) -> list[Member]:
    """Return a network for each part of the rows, of the kinds that are best on those held out.

    Parameters
    ----------
    kinds : sequence of Kind
        Network i of each has held out the same rows.
    done : collection of Member
        Those that are far enough to be kept.
    """
    errors = np.array([[error_of(each) if each in done else math.inf for each in kind.members] for kind in kinds])
    kinds = [kind for kind, of_kind in zip(kinds, errors, strict=True) if np.isfinite(of_kind).any()]
    errors = errors[np.isfinite(errors).any(axis=1)]
    errors = errors[:, np.isfinite(errors).all(axis=0)]
    if not errors.size:  # no two networks to compare
        return [each for kind in kinds[:1] for each in kind.members if each in done]
    more = errors - errors[errors.mean(axis=1).argmin()]
    n = more.shape[1]
    within = more.mean(axis=1) <= (more.std(axis=1, ddof=1) / math.sqrt(min(n, _APART)) if n > 1 else 0.0)
    good = [kind.members for kind, is_good in zip(kinds, within, strict=True) if is_good]
    in_turn = (good[i % len(good)][i] for i in range(len(good[0])))
    return [each for each in in_turn if each in done]
