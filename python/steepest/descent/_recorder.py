"""A callback that watches gradient descent at work."""

from __future__ import annotations

import math
import sys
from dataclasses import KW_ONLY, dataclass
from time import thread_time as clock  # what others' work on the processor takes away from ours is not in it
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import DivergedError
from .._extras import require
from .._validation import Spec, integer
from ..callbacks import Callback, FitState
from ..layers import Activation, Dense, Layer, iter_nodes
from ..network import Network
from ._cost import Cost, InferenceTwin, length, rms
from ._parts import Array, LayerOutputs, names_by_layer, sample_rows

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

PATH_BYTES = 1 << 26  # what the path of the weights may take
COUNTED = 2003  # numbers in a histogram, at least; a prime, so that the step does not run in time with the columns
BUDGET = 0.03  # of the time of training; beside it, training takes longer where a record has emptied the caches
# Nearer to an end than this part of a sigmoid's or tanh's range, the slope is under a fifth of the steepest.
SATURATED = 0.05
BOUNDED = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


class Histogram(NamedTuple):
    """How many numbers lie in each of some equal bins; of more than 4,000, some thousands evenly taken.

    Attributes
    ----------
    counts : array of shape (bins,)
        How many.
    edges : array of shape (bins + 1,)
        Where the bins begin and end.
    """

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]


class LayerRecord(NamedTuple):
    """A layer at one moment of a training.

    Attributes
    ----------
    epoch : int
        Epochs done: 0 is before the first.
    layer, kind, activation : str
        Place, type and activation ("" for none) of the layer.
    gradient_norm, weight_norm : float
        Euclidean lengths over the layer's parameters; NaN where it has none.
    update_ratio : float
        How far the weights moved since the record before, over their length then; NaN at first.
    dead : float
        Share of units that are zero on all sample rows; NaN but for relu.
    saturated : float
        Share of outputs within 5% of either end of the range; NaN but for sigmoid and tanh.
    signal : float
        Root mean square of the layer's output.
    weights, outputs : Histogram or None
        Of all its parameters, and of its outputs on the sample rows; None where there are none, or they are not finite.
    """

    epoch: int
    layer: str
    kind: str
    activation: str
    gradient_norm: float
    weight_norm: float
    update_ratio: float
    dead: float
    saturated: float
    signal: float
    weights: Histogram | None
    outputs: Histogram | None


SCALARS = LayerRecord._fields[:-2]


@dataclass(repr=False)
class Recorder(Spec, Callback):
    """Watch each layer while a network trains: gradients, updates, units, histograms, the cost, the path walked.

    A new fit starts a new record. `diagnose` reads it, and `surface` draws its path.

    Parameters
    ----------
    every : int or "auto"
        Record after every so many epochs, before the first, and after the last, if it was the last that was asked for
        or a callback before this one in the list ended the fit. "auto": as often as costs less than 5% of the time
        of training.
    rows : int
        Rows of the training data to measure on, drawn once, always the same; all if there are no more. Of the units
        that answer to one row in 30, 128 rows take 1% for dead, 64 rows 11%.
    bins : int
        Of the histograms; 0 for none.
    path_every : int
        Keep the weights of every so many records, for `surface`; 0 for none.

    Attributes
    ----------
    records : list of LayerRecord
        For each moment, each layer.
    epochs : list of int
        The moments, as epochs done.
    costs : list of float
        The cost of the sample rows at each moment, at inference; NaN if it was not finite.
    path : array of shape (n, n_parameters)
        The weights at `path_epochs`, float32, in the order of `Network.parameters`.
    diverged : bool
        Whether the fit ended by `DivergedError`.
    seconds : float
        What the recording took, in processor time of the thread that trains.

    Notes
    -----
    A record takes as long as a training step on `rows` rows and some 0.15 ms for each layer: about 2 ms for 784-128-10,
    where an epoch of 10,000 rows takes 60 ms, but for 64-64-10 0.4 ms, as long as an epoch of 1,797 rows. So "auto"
    records after every second epoch of the former, and after every 20th or 50th of the latter. It goes by this
    thread's processor time, so two runs may differ in which epochs are recorded, though all are multiples of 1, 2, 5,
    10, 20 and so on; give a number where that matters. The first and the last record are taken whatever they cost.

    If the path outgrows 64 MiB, every second point of it is dropped, and from then on half as many are kept. The
    recorder keeps hold of the training data, not a copy.
    """

    every: int | Literal["auto"] = "auto"
    rows: int = 128
    _: KW_ONLY
    bins: int = 30
    path_every: int = 1

    def __post_init__(self) -> None:
        """Check the arguments."""
        if isinstance(self.every, str) and self.every != "auto":
            raise ValueError(f"every is {self.every!r}: expected 'auto' or a whole number >= 1")
        if self.every != "auto":
            self.every = integer("every", self.every, ge=1)
        self.rows = integer("rows", self.rows, ge=1)
        self.bins, self.path_every = integer("bins", self.bins, ge=0), integer("path_every", self.path_every, ge=0)
        self._clear()

    def _clear(self) -> None:
        self.records: list[LayerRecord] = []
        self.epochs: list[int] = []
        self.costs: list[float] = []
        self.path_epochs: list[int] = []
        self.diverged = False
        self.seconds, self._took = 0.0, math.inf
        self._path: list[Array] = []
        self._before: Array | None = None
        self.fit: FitState | None = None

    def on_fit_begin(self, fit: FitState) -> None:
        """Choose the sample rows, and record where the training starts."""
        if fit.data is None:
            raise ValueError("Recorder: this fit shows its callbacks no rows: expected one on dense arrays")
        self._clear()
        self._began = clock()
        self.fit = fit
        network = fit.trainer.network
        x, y, weight = fit.data
        chosen = sample_rows(len(x), self.rows)
        self._sample = x[chosen], y[chosen], None if weight is None else weight[chosen]
        if weight is not None and not np.any(self._sample[2]):
            self._sample = (*self._sample[:2], None)
        self._cost, self._between = Cost.of(fit.trainer), self.path_every
        self._still, self._taps, self._own = InferenceTwin(network, network.dtype), LayerOutputs(network), _own(network)
        self.seconds = clock() - self._began
        self._record(0)

    def on_epoch_end(self, fit: FitState) -> None:
        """Record, if it is time."""
        done = fit.epoch + 1
        if self._due(done) or done == fit.epochs or fit.stopped:
            self._record(done)

    def _due(self, done: int) -> bool:
        if self.every != "auto":
            return done % self.every == 0
        allowed = BUDGET * (clock() - self._began - self.seconds)
        # There must be room for this one and for the last, which is taken in any case.
        affordable = 0 < self.seconds + 2 * self._took <= allowed
        return affordable and done % _round_up(done * self._took / allowed) == 0

    def on_fit_end(self, fit: FitState) -> None:
        """Note whether the fit diverged."""
        self.diverged = isinstance(sys.exc_info()[1], DivergedError)
        del self._still, self._taps

    @property
    def moved_on(self) -> bool:
        """Whether the network is no longer as last recorded: trained on, or taken back to a better epoch."""
        if self.fit is None or self._before is None:
            return False
        return not np.array_equal(self._before, self.fit.trainer.network._core.state())

    @property
    def path(self) -> NDArray[np.float32]:
        """The weights walked."""
        return np.stack(self._path) if self._path else np.empty((0, 0), np.float32)

    def series(self, what: str, layer: str) -> NDArray[np.float64]:
        """Return one number of one layer, such as "gradient_norm", at each moment of `epochs`."""
        if what not in SCALARS[4:]:
            raise ValueError(f"what is {what!r}: expected one of {', '.join(SCALARS[4:])}")
        found = [getattr(record, what) for record in self.records if record.layer == layer]
        if not found:
            names = dict.fromkeys(record.layer for record in self.records)
            raise ValueError(f"layer is {layer!r}: expected one of {', '.join(names) or 'a fit recorded'}")
        return np.array(found, np.float64)

    def to_frame(self) -> pandas.DataFrame:
        """Return a pandas DataFrame: a row for each moment and layer, without the histograms.

        "cost" is that of the sample rows then, "cost_before" that of the moment before.
        """
        import pandas

        frame = pandas.DataFrame([record[: len(SCALARS)] for record in self.records], columns=list(SCALARS))
        for name, costs in (("cost_before", [np.nan, *self.costs]), ("cost", self.costs)):
            frame[name] = frame["epoch"].map(dict(zip(self.epochs, costs, strict=False)))
        return frame

    def plot(self) -> Figure:
        """Draw cost, gradients, updates and units over the epochs.

        Returns
        -------
        matplotlib Figure
            Four drawings.

        Raises
        ------
        ValueError
            If nothing was recorded.
        ImportError
            If matplotlib is not installed.
        """
        if not self.records:
            raise ValueError("the recorder has nothing to plot: expected one that was given to Trainer.fit")
        pyplot = require("matplotlib.pyplot", "matplotlib", "Recorder.plot")
        figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), sharex=True, layout="constrained")
        axes[0, 0].plot(self.epochs, self.costs, marker=".")
        axes[0, 0].set_title("cost of the sample rows")
        for ax, what, title in (
            (axes[0, 1], "gradient_norm", "length of the gradient"),
            (axes[1, 0], "update_ratio", "weights' move over their length"),
        ):
            for name in names_by_layer([f"{r.layer}." for r in self.records if np.isfinite(r.weight_norm)]):
                ax.plot(self.epochs, self.series(what, name), marker=".", label=f"layer {name}")
            ax.set_title(title)
            if ax.lines:
                ax.set_yscale("log")
                ax.legend(frameon=False)
        for name, activation in {record.layer: record.activation for record in self.records}.items():
            what = "dead" if activation == "relu" else "saturated" if activation in BOUNDED else ""
            if what:
                axes[1, 1].plot(self.epochs, self.series(what, name), marker=".", label=f"layer {name}, {what}")
        axes[1, 1].set_title("share of dead units, of saturated outputs")
        axes[1, 1].set_ylim(-0.02, 1.02)
        if axes[1, 1].lines:
            axes[1, 1].legend(frameon=False)
        for ax in axes[1]:
            ax.set_xlabel("epochs done")
        return figure  # type: ignore[no-any-return]

    def _record(self, epoch: int) -> None:
        start = clock()
        assert self.fit is not None
        x, y, weight = self._sample
        state, before = self.fit.trainer.network._core.state(), self._before
        try:
            cost, gradients = self._still.gradients(self._cost, x, y, weight)
        except DivergedError:  # a cost beyond the dtype
            cost, gradients = np.nan, {}
        for name, layer, output in self._taps.outputs(x):
            g = size = ratio = np.nan
            own = None
            if name in self._own:
                names, place = self._own[name]
                weights = state[place]
                size = length(weights)
                if gradients:
                    g = length(*(gradients[each] for each in names))
                if before is not None:
                    ratio = _over(length(weights - before[place]), length(before[place]))
                own = histogram(weights, self.bins)
            activation = activation_of(layer)
            values = (g, size, ratio, *units(activation, output), rms(output), own, histogram(output, self.bins))
            self.records.append(LayerRecord(epoch, name, type(layer).__name__, activation, *values))
        self.epochs.append(epoch)
        self.costs.append(cost)
        self._before = state
        self._walk(epoch, state)
        took = clock() - start
        self.seconds += took
        self._took = min(self._took, took)

    def _walk(self, epoch: int, state: Array) -> None:
        if not self._between or (len(self.epochs) - 1) % self._between:
            return
        parts = [state[place] for _, place in self._own.values()] or [state]
        self._path.append(np.concatenate(parts, dtype=np.float32, casting="same_kind"))
        self.path_epochs.append(epoch)
        if len(self._path) > 2 and len(self._path) * self._path[0].nbytes > PATH_BYTES:
            del self._path[1::2], self.path_epochs[1::2]
            self._between *= 2


def _round_up(least: float) -> int:
    """Return the first of 1, 2, 5, 10, 20, 50 and so on that is not below."""
    power = int(10 ** math.floor(math.log10(max(least, 1))))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= least)


def _own(network: Network) -> dict[str, tuple[list[str], slice]]:
    """Return the names of each layer's parameters, and where their numbers lie in the network's state."""
    own, start = {}, 0
    for name, layer, n_in, _ in iter_nodes(network.layers, network.n_in):
        shapes = layer.parameter_shapes(n_in)
        size = sum(map(math.prod, shapes.values()))
        if shapes:
            own[name] = [f"{name}.{key}" for key in shapes], slice(start, start + size)
        start += size + sum(map(math.prod, layer.buffer_shapes(n_in).values()))
    return own


def activation_of(layer: Layer) -> str:
    """Return the name of a layer's activation, "" for none."""
    name = layer.name if isinstance(layer, Activation) else layer.activation if isinstance(layer, Dense) else ""
    return "" if name == "identity" else name


def units(activation: str, output: Array) -> tuple[float, float]:
    """Return the share of dead units, and of saturated outputs; NaN where the activation has none."""
    dead = saturated = np.nan
    if activation == "relu":
        dead = float(np.mean(~output.any(axis=0)))
    elif activation in BOUNDED:
        low, high = BOUNDED[activation]
        margin = SATURATED * (high - low)
        saturated = float(np.mean((output < low + margin) | (output > high - margin)))
    return dead, saturated


def histogram(values: Array, bins: int) -> Histogram | None:
    """Count values, of very many some, in equal bins from the smallest to the largest.

    As numpy.histogram in a quarter of its time, and in as many bins too where they are narrower than floats lie apart.
    """
    values = values.ravel()[:: max(1, values.size // COUNTED)]
    if not bins or not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(high - low):
        return None
    if low == high:
        low, high = low - 0.5, high + 0.5
    places = (values - np.float64(low)) / ((high - low) or 1.0) * bins
    counts = np.bincount(np.minimum(places.astype(np.intp), bins - 1), minlength=bins)
    return Histogram(counts, low + (high - low) / bins * np.arange(bins + 1.0))


def _over(part: float, whole: float) -> float:
    return part / whole if whole else np.inf if part else 0.0
