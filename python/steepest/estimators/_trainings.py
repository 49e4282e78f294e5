"""Trainings of networks: what they are of, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .._core import DivergedError, get_num_threads
from ..callbacks import Callback
from ..distributed._together import comm_here
from ..history import History
from ..network import Network
from ..training import Trainer
from ..training._fits import Fit, run_fits
from ..training._rows import RowSource
from ..training._shared_out import share_out
from ._input import Rows
from ._online import Seen
from ._plan import FitPlan, Places
from ._sklearn_preset import StopLikeSklearn
from ._time import OutOfTimeError, out_of_time


class Part(NamedTuple):
    """Rows of one network, as features: `training` makes those to train on when they are needed.

    Where these come from a stream, `training` has some of them, and `source` makes the stream of all. Where they are
    some of rows that other networks train on too, `of` has these, and the places among them.
    """

    training: Callable[[], Rows]
    held_out: Rows | None
    source: Callable[[], RowSource] | None = None
    of: tuple[Rows, Places] | None = None


@dataclass(frozen=True)
class Progress:
    """How far networks had come by the fits before, all zero for new ones.

    Parameters
    ----------
    n_iter, t : int
        Epochs, and rows trained.
    loss_curve : list of float
        The loss of each epoch.
    trainers : list of Trainer, optional
        What another fit goes on with: running means, counters and seeds.
    seen : Seen, optional
        The rows that scales were learned from, for them to follow those of another fit.
    """

    n_iter: int = 0
    t: int = 0
    loss_curve: list[float] = field(default_factory=list)
    trainers: list[Trainer] | None = None
    seen: Seen | None = None


@dataclass(frozen=True)
class FitResult:
    """The outcome of a fit, which the estimator publishes as a whole.

    Parameters
    ----------
    networks : list of Network
        What predicts.
    progress : Progress
        How far they are now.
    loss : float
        Of the last epoch.
    best_loss : float, optional
        The least.
    histories : list of History
        The course of each network's training; none of lbfgs.
    scores : array of shape (epochs,), optional
        Of the held-out rows.
    best_score : float, optional
        The best of them.
    recipe : dict of str to object
        What was decided.
    interrupt : KeyboardInterrupt, optional
        What ended it early; whatever is here is whole all the same.
    """

    networks: list[Network]
    progress: Progress
    loss: float
    best_loss: float | None
    histories: list[History]
    recipe: dict[str, Any]
    scores: list[float] | None = None
    best_score: float | None = None
    interrupt: KeyboardInterrupt | None = None

    @property
    def history(self) -> History:
        """The course of the first network's training."""
        return self.histories[0] if self.histories else History()


@dataclass(frozen=True, eq=False)
class Member:
    """The training of one network.

    Parameters
    ----------
    plan : FitPlan
        By which it is trained.
    part : Part
        Its rows.
    fit : Fit
        What is to be run.
    rules : list of Callback
        What stops it.
    """

    plan: FitPlan
    part: Part
    fit: Fit
    rules: list[Callback]

    @property
    def trainer(self) -> Any:
        """The trainer of the network."""
        return self.fit.trainer

    @property
    def n_epochs(self) -> int:
        """Epochs that it has had."""
        return int(self.trainer.history.n_epochs)


@dataclass
class Trainings:
    """Trainings of networks that are still to be run, and what their outcome becomes.

    Parameters
    ----------
    fits : list of Fit
        One for each network; none where `finish` does all.
    finish : callable
        Called once, with how each of them diverged and what interrupted them; returns the `FitResult`, or raises what
        was found.
    at_once : int, default=1
        How many to run at a time.
    by_hand : bool, default=False
        Whether those that need Python run one after the other.
    deadline : float, optional
        By `time.monotonic`: they end there, if one has had an epoch.
    """

    fits: list[Fit]
    finish: Callable[[Sequence[DivergedError | None], KeyboardInterrupt | None], FitResult]
    at_once: int = 1
    by_hand: bool = False
    deadline: float | None = None

    def run(self) -> FitResult:
        """Run them to their ends, or until the deadline."""
        diverged: list[DivergedError | None] = []
        interrupt = None
        look = None if self.deadline is None else out_of_time(self.deadline)

        def run(fits: list[Fit]) -> list[DivergedError | None]:
            return run_fits(fits, get_num_threads(), at_once=self.at_once, by_hand=self.by_hand, progress=look)

        comm = comm_here()
        try:
            if comm is None or not self._can_be_shared_out:
                diverged = run(self.fits)
            else:
                diverged, interrupted = share_out(self.fits, comm, run)
                interrupt = KeyboardInterrupt() if interrupted else None
        except OutOfTimeError:
            pass
        except KeyboardInterrupt as found:
            interrupt = found
        return self.finish(diverged, interrupt)

    @property
    def _can_be_shared_out(self) -> bool:
        """Whether ranks have something to share: not where a rule has a curve of its own, as scikit-learn's."""
        rules = (rule for fit in self.fits for rule in fit.callbacks)
        return len(self.fits) > 1 and not any(isinstance(rule, StopLikeSklearn) for rule in rules)
