"""A pack: networks of different settings, of which those that are best together are kept.

A network of each kind of settings is trained on the same rows, and two of the first kind, the recipe's own. Half-way,
only the kinds go on whose held-out error is least (successive halving). Of these a list is drawn up greedily, with
replacement (Caruana et al. 2004, "Ensemble selection from libraries of models"): each time the recipe's own kind, or
the one with which the mean of all predictions on the held-out rows is better by more than a standard error, for few
rows would often be wrong. Where a kind is named again, another network of it is trained, with other first weights and
other rows held out, so that the networks together learn from all rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .._core import get_num_threads
from ..layers import Activation
from ..network import Network
from ..recipe import Recipe
from ..training import Trainer
from ..training._fits import Fits
from ..training._loop import measure
from ._kinds import Kind, described
from ._networks import NetworkMaker
from ._plan import FitPlan
from ._solver import Solver
from ._time import OutOfTimeError, out_of_time
from ._trainings import FitResult, Member, Part

_LOOK = 0.5  # share of the epochs after which kinds are compared
_GOING_ON = 2  # kinds beside the recipe's own that are trained to the end
_FEWEST = 6  # networks of a pack, for its trial to be worth its time
_DEARER = 1.3  # times the recipe's own, the other kinds take
_BLOCKS = 16  # of held-out rows, by which the standard error of a difference is told
_HIDDEN = ((128, 128), (192, 192), (128, 128, 128), (96, 96), (256, 128))
_DROPOUT = (0.0, 0.05, 0.1, 0.2, 0.3)
_BINS = 12  # that every third kind has beside the frequencies


def kinds_of(recipe: Recipe, n_rows: int, seed: int) -> list[Recipe]:
    """Return recipes: this one, and as many more about it as make up its number of kinds.

    Parameters
    ----------
    recipe : Recipe
        The one for the table.
    n_rows : int
        Training rows of one network.
    seed : int
        What is drawn.
    """
    random = np.random.default_rng(seed)
    kinds = [recipe]
    for i in range(1, recipe.kinds):
        kind = replace(
            recipe, hidden=_HIDDEN[random.integers(len(_HIDDEN))], lr=recipe.lr * 2.0 ** random.uniform(-1, 0.6),
            dropout=_DROPOUT[random.integers(len(_DROPOUT))], frequency_scale=10.0 ** random.uniform(-1, 0.6),
            embedded_bins=_BINS if i % 3 == 1 else 0,
        )  # fmt: skip
        epochs, batch = kind.plan(n_rows)
        decay = float(kind.optimizer(epochs * math.ceil(n_rows / batch)).weight_decay)
        kinds.append(replace(kind, weight_decay=decay * 10.0 ** random.uniform(-1, 0.5)))
    return kinds


class Pack:
    """The trainings of a pack.

    Parameters
    ----------
    solver : Solver
        With the plan of the recipe's own kind.
    make : NetworkMaker
        Makes networks.
    parts : sequence of Part
        The rows of each network; the trial is on the first one's.
    n : int
        Training rows of one network.
    n_networks : int
        How many are kept.
    """

    def __init__(self, solver: Solver, make: NetworkMaker, parts: Sequence[Part], n: int, n_networks: int) -> None:
        self._solver, self._make, self._parts, self._n, self._n_networks = solver, make, parts, n, n_networks
        self._kinds: list[Kind] = []
        self._counts: list[int] = []  # of the networks of each kind, once they are decided
        self._loss: dict[str, float] = {}  # of those of the trial together, weighted like that

    @classmethod
    def within_time(cls, solver: Solver, make: NetworkMaker, parts: Sequence[Part], n: int) -> Pack | None:
        """Return a pack of as many networks as there is time for; None where networks all alike use it better."""
        plan = solver.plan
        n_networks = plan.n_networks
        if plan.deadline is not None:
            possible = solver.epochs_in_time(make(plan, plan.seeds[: get_num_threads()]), parts[0], n)
            if possible is None:
                return None
            trial = _LOOK * (plan.recipe.kinds + 1) + (1 - _LOOK) * (_GOING_ON + 2)
            whole = possible / (_DEARER * plan.epochs_and_batch(n)[0])  # trainings
            n_networks = min(n_networks, int(whole - trial) + 2)
        return None if n_networks < min(_FEWEST, plan.n_networks) else cls(solver, make, parts, n, n_networks)

    def run(self) -> FitResult:
        """Train them, to their ends, until the deadline or until the user interrupts; return what has come of it."""
        interrupt = None
        try:
            self._try_kinds()
            self._train_more()
        except OutOfTimeError:
            pass
        except KeyboardInterrupt as found:
            interrupt = found
        counts = self._counts or self._counts_so_far()
        members = [member for kind, count in zip(self._kinds, counts, strict=True) for member in kind.members[:count]]
        most = max((member.n_epochs for member in members), default=0)
        done = [member for member in members if 2 * member.n_epochs >= max(most, 2)]
        if not done and interrupt is not None:
            raise interrupt
        result = self._solver.result(done, self._n)
        return replace(
            result, recipe=result.recipe | {"pack": described(self._kinds, done)} | self._loss, interrupt=interrupt
        )

    def _new(self, plan: FitPlan, place: int, again: int = 0) -> Member:
        """Return the training of a new network, on the rows of this part."""
        seed = plan.seed + len(self._parts) * again + place
        (trainer,) = self._solver.trainers_of(plan, self._make(plan, [seed]), self._n, [seed])
        return self._solver.member(plan, trainer, self._parts[place], self._n)

    def _fits(self, members: Sequence[Member]) -> Fits:
        solver = self._solver
        fits = [member.fit for member in members]
        look = None if solver.plan.deadline is None else out_of_time(solver.plan.deadline)
        return Fits(fits, get_num_threads(), at_once=solver.at_once, by_hand=solver.by_hand, progress=look)

    def _counts_so_far(self) -> list[int]:
        """Return how many networks of each kind there are to be where the trial has ended early: those of the best."""
        best = sorted(self._kinds, key=lambda kind: kind.error)[: _GOING_ON + 1]
        return [len(kind.members) if kind in best else 0 for kind in self._kinds]

    def _try_kinds(self) -> None:
        """Train a network of each kind, the better ones to the end, and decide how many of each there are to be."""
        plan = self._solver.plan
        for i, recipe in enumerate(kinds_of(plan.recipe, self._n, plan.seed)):
            own = replace(plan, recipe=recipe)
            self._kinds.append(Kind(own, [self._new(own, 0, again) for again in range(1 if i else 2)]))
        members = [member for kind in self._kinds for member in kind.members]
        running = self._fits(members)
        running.advance([math.ceil(_LOOK * member.fit.epochs) for member in members])
        others = sorted(range(1, len(self._kinds)), key=lambda i: self._kinds[i].error)
        going_on = [0, *others[:_GOING_ON]]
        better = [member for k in going_on for member in self._kinds[k].members]
        which = [i for i, member in enumerate(members) if member in better]
        running.end([i for i in range(len(members)) if i not in which])
        running.advance([members[i].fit.epochs for i in which], which)
        for error in filter(None, running.end(which)[: len(self._kinds[0].members)]):
            raise error
        going_on = [k for k in going_on if math.isfinite(self._kinds[k].error)]
        chosen = self._choose([self._kinds[k] for k in going_on])
        self._counts = [0] * len(self._kinds)
        for place in chosen:
            self._counts[going_on[place]] += 1

    def _train_more(self) -> None:
        """Train the networks that are still to be made."""
        more: list[tuple[Kind, Member]] = []
        for kind, count in zip(self._kinds, self._counts, strict=True):
            new = [self._new(kind.plan, len(more) + 1 + i) for i in range(count - len(kind.members))]
            kind.members += new
            more += [(kind, member) for member in new]
        if not more:
            return
        running = self._fits([member for _, member in more])
        running.advance()
        for (kind, member), error in zip(more, running.end(), strict=True):
            if error is not None and kind is self._kinds[0]:
                raise error
            if error is not None:  # the others do without it
                kind.members.remove(member)

    def _choose(self, kinds: Sequence[Kind]) -> list[int]:
        """Draw up the list of kinds whose mean is best on the rows that the trial has held out."""
        solver, task, held = self._solver, self._solver.task, self._parts[0].held_out
        assert held is not None
        outputs = [
            [
                solver.outputs(network, held)
                for network in solver.predicting([member.trainer for member in kind.members])
            ]
            for kind in kinds
        ]
        one, options = outputs[0][0], {"loss": task.loss} | task.trainer_options(solver.plan.settings)
        same = Network(one.shape[1], [Activation("identity")], dtype=one.dtype)
        judge = Trainer(same, **options)
        shuffled = np.random.default_rng(solver.plan.seed).permutation(len(held))
        blocks = np.array_split(shuffled, min(_BLOCKS, len(held)))

        def losses(of: Sequence[int]) -> NDArray[np.float64]:
            """Of each block, by the mean of networks of these kinds; a kind's own take turns."""
            shares = [outputs[k][of[:i].count(k) % len(outputs[k])] for i, k in enumerate(of)]
            rows = replace(held, x=task.pooled(np.stack(shares)))
            sources = (solver.preprocessor.source(rows.at(places), task.units) for places in blocks)
            return np.array([measure(judge, source, [])["loss"] for source in sources])

        chosen: list[int] = []
        for _ in range(self._n_networks):
            usual = losses([*chosen, 0])
            gains = [usual - losses([*chosen, kind]) for kind in range(1, len(kinds))]
            sure = [0.0, *(gain.mean() - gain.std() / math.sqrt(max(len(gain) - 1, 1)) for gain in gains)]
            chosen.append(int(np.argmax(sure)))
        found = losses(chosen)
        self._loss = {
            "held_out_loss": float(found.mean()),
            "standard_error": float(found.std() / math.sqrt(max(len(found) - 1, 1))),
        }
        return chosen
