"""The course of a training, measured anew by the one cost of the page: plain, on the same rows at every moment.

What a history has as the loss of an epoch is the mean over batches while the weights moved, with dropout, smoothed
labels and whatever else makes training better; the cost of the same weights is another number at inference. So the page
takes the weights that the recorder kept, and measures them itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..calibration import divide_logits
from ..descent import Recorder
from ..descent._cost import Cost
from ..descent._parts import Array, flatten, float64_copy, sample_rows
from ..descent._recorder import kept_states, network_at, replay
from ..history import History
from ..network import Network
from ._curve import evenly_spaced

SAMPLE = 500  # rows for what is computed again and again
OTHERS = 1000  # rows of those that it does not train on
_MOMENTS = 100  # of a training that are measured, and one or two more
_ALIKE = 1e-5  # of the weights' length: nearer than this are the same, but for rounding

Rows = NDArray[np.float32]
Targets = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True)
class TrainingCourse:
    """The training that gave a network its weights, as the page shows it.

    Attributes
    ----------
    fit : History
        Its epochs, as they were recorded while it trained.
    recorder : Recorder
        Its moments, measured by the page's cost on the page's rows.
    other_costs : array of shape (moments,) or None
        The same cost on other rows; None where there were none.
    others : (int, int)
        How many of them were measured, of how many.
    kept : int or None
        The moment whose weights the network has; None for weights of no moment, as their average.
    temperature : float
        What all outputs were divided by after the training; the network that is shown is the one before that.
    """

    fit: History
    recorder: Recorder
    other_costs: NDArray[np.float64] | None
    others: tuple[int, int]
    kept: int | None
    temperature: float = 1.0

    @property
    def epochs(self) -> NDArray[np.int64]:
        """The moments, in epochs done: 0 is before training."""
        return np.array(self.recorder.epochs, np.int64)

    @property
    def costs(self) -> NDArray[np.float64]:
        """The cost at each moment; NaN where it is beyond all numbers."""
        return np.array(self.recorder.costs, np.float64)

    @property
    def ends_kept(self) -> bool:
        """Whether the network has the weights of the last moment."""
        return self.kept == len(self.recorder.epochs) - 1

    @cached_property
    def history(self) -> Mapping[str, NDArray[Any]]:
        """The course as a diagnosis wants it: a number for each moment, "epoch" among them."""
        at = np.maximum(self.epochs - 1, 0)
        found = {"epoch": self.epochs, "loss": self.costs, "learning_rate": self.fit["learning_rate"][at]}
        return found if self.other_costs is None else found | {"val_loss": self.other_costs}

    def recorded(self, name: str) -> list[float]:
        """Return a metric of the fit's own history at each moment, NaN before training."""
        return [np.nan if epoch == 0 else float(self.fit[name][epoch - 1]) for epoch in self.epochs]


def measure_course(
    network: Network,
    loss: str,
    x: Rows,
    y: Targets,
    fit: History,
    recorder: Recorder,
    *,
    kept_best: bool,
    temperature: float = 1.0,
) -> tuple[Network, TrainingCourse]:
    """Measure a training anew.

    Parameters
    ----------
    network : Network
        What it came to.
    loss : {"cross_entropy", "binary_cross_entropy", "mse"}
        The cost.
    x, y : arrays of shape (n, n_in) and (n,) or (n, n_out)
        The rows it trained on, and their plain targets.
    fit : History
        Its epochs.
    recorder : Recorder
        The recorder that watched it, with a path.
    kept_best : bool
        Whether the network has the weights of the best epoch, where the path does not tell.
    temperature : float, default=1.0
        What its outputs were divided by afterwards.

    Returns
    -------
    network : Network
        The network before that, with exactly the weights of a moment if it has them.
    course : TrainingCourse
        The course.
    """
    network = network.copy()
    if temperature != 1:
        divide_logits(network, 1 / temperature)
    states = kept_states(recorder)
    best = None if not kept_best or fit.best_epoch is None else fit.best_epoch + 1
    kept = _moment_of(network, recorder, best)
    if kept is None and best is not None and best not in recorder.path_epochs:
        states = sorted([*states, (best, network._core.state())], key=lambda state: state[0])
        kept = next(i for i, (epoch, _) in enumerate(states) if epoch == best)
    chosen = evenly_spaced(len(states), _MOMENTS).tolist()
    chosen = sorted({*chosen, *([] if kept is None else [kept])})
    states = [states[i] for i in chosen]
    kept = None if kept is None else chosen.index(kept)
    again = replay(recorder, states, Cost.of(loss), *sample(x, y, SAMPLE))
    if kept is not None:
        network = network_at(network, states[kept][1])
    costs, others = _other_costs(network, loss, recorder, [state for _, state in states])
    return network, TrainingCourse(fit, again, costs, others, kept, temperature)


def sample(x: Rows, y: Targets, most: int) -> tuple[Rows, Targets]:
    """Return at most so many rows and their targets, the same at every call."""
    chosen = sample_rows(len(x), most)
    return x[chosen], y[chosen]


def plain_targets(loss: str, y: Array) -> Targets:
    """Return the classes themselves where labels were smoothed; numbers as they are."""
    if loss == "cross_entropy":
        return np.asarray(y if y.ndim == 1 else y.argmax(axis=1), np.int64)
    if loss == "binary_cross_entropy":
        return np.asarray(np.asarray(y, np.float64).reshape(len(y), -1) > 0.5, np.float64)
    return np.asarray(y)


def _moment_of(network: Network, recorder: Recorder, best: int | None) -> int | None:
    """Return the point of the path that a network stands at: `best`, if it may be, else the nearest."""
    own = flatten(network.parameters)
    far = np.linalg.norm(recorder.path - own, axis=1) / (np.linalg.norm(own) or 1.0)
    alike = np.flatnonzero(far <= _ALIKE)
    if not len(alike):
        return None
    if best in [recorder.path_epochs[i] for i in alike]:
        return recorder.path_epochs.index(best)
    return int(alike[far[alike].argmin()])


def _other_costs(
    network: Network, loss: str, recorder: Recorder, states: list[Array]
) -> tuple[NDArray[np.float64] | None, tuple[int, int]]:
    """Return the cost at each state on the rows that the training was validated by, and how many of them were used."""
    assert recorder.fit is not None
    if recorder.fit.validation is None:
        return None, (0, 0)
    x, y, _ = recorder.fit.validation
    rows = sample(x, plain_targets(loss, y), OTHERS)
    cost, other = Cost.of(loss), float64_copy(network)
    trainer, costs = cost.trainer(other), []
    for state in states:
        other._core.restore(state.astype(np.float64))
        costs.append(trainer.evaluate(*rows, metrics=[])["loss"])
    return np.array(costs), (len(rows[0]), len(x))
