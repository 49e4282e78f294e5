"""A callback that watches gradient descent at work."""

from __future__ import annotations

import sys
import time
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import DivergedError
from .._spec import Spec, integer
from ..callbacks import Callback, FitState
from ..callbacks.optional import require
from ..layers import Activation, Dense, Layer, walk
from ._cost import Cost, Still, length, rms
from ._parts import Array, Taps, Tensors, flat, parameter_layers, some_rows

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

PATH_BYTES = 1 << 26  # what the path of the weights may take
COUNTED = 5003  # numbers in a histogram, at least; a prime, so that the step does not run in time with the columns
# Nearer to an end than this part of a sigmoid's or tanh's range, the slope is under a fifth of the steepest.
SATURATED = 0.05
BOUNDED = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


class Histogram(NamedTuple):
    """How many numbers lie in each of some equal bins; of more than 10,000, some thousands evenly taken.

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
    every : int
        Record after every so many epochs, before the first, and after the last, if it was the last that was asked for
        or a callback before this one in the list ended the fit.
    rows : int
        Rows of the training data to measure on, drawn once, always the same; all if there are no more.
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
        What the recording took.

    Notes
    -----
    A record costs as much as a few training steps on `rows` rows, and about a millisecond. Of an epoch over 60,000 rows
    of 784-128-10 that is about 1%; where an epoch itself takes milliseconds, raise `every`. If the path outgrows
    64 MiB, every second point of it is dropped, and from then on half as many are kept. The recorder keeps hold of the
    training data, not a copy.
    """

    every: int = 1
    rows: int = 128
    _: KW_ONLY
    bins: int = 30
    path_every: int = 1

    def __post_init__(self) -> None:
        """Check the arguments."""
        self.every, self.rows = integer("every", self.every, ge=1), integer("rows", self.rows, ge=1)
        self.bins, self.path_every = integer("bins", self.bins, ge=0), integer("path_every", self.path_every, ge=0)
        self._clear()

    def _clear(self) -> None:
        self.records: list[LayerRecord] = []
        self.epochs: list[int] = []
        self.costs: list[float] = []
        self.path_epochs: list[int] = []
        self.diverged = False
        self.seconds = 0.0
        self._path: list[Array] = []
        self._before: Tensors | None = None
        self.fit: FitState | None = None

    def on_fit_begin(self, fit: FitState) -> None:
        """Choose the sample rows, and record where the training starts."""
        if fit.data is None:
            raise ValueError("Recorder: this fit shows its callbacks no rows: expected one on dense arrays")
        self._clear()
        self.fit = fit
        network = fit.trainer.network
        x, y, weight = fit.data
        chosen = some_rows(len(x), self.rows)
        self._sample = x[chosen], y[chosen], None if weight is None else weight[chosen]
        if weight is not None and not np.any(self._sample[2]):
            self._sample = (*self._sample[:2], None)
        self._cost = Cost.of(fit.trainer)
        self._still, self._taps = Still(network, network.dtype), Taps.of(network)
        self._between, self._kinds = self.path_every, {}
        for node in walk(network.layers, network.n_in):
            self._kinds[node.name] = type(node.layer).__name__, activation_of(node.layer)
        self._record(0)

    def on_epoch_end(self, fit: FitState) -> None:
        """Record, if it is time."""
        done = fit.epoch + 1
        if done % self.every == 0 or done == fit.epochs or fit.stopped:
            self._record(done)

    def on_fit_end(self, fit: FitState) -> None:
        """Note whether the fit diverged."""
        self.diverged = isinstance(sys.exc_info()[1], DivergedError)
        del self._still, self._taps

    @property
    def moved_on(self) -> bool:
        """Whether the network is no longer as last recorded: trained on, or taken back to a better epoch."""
        if self.fit is None or self._before is None:
            return False
        now = self.fit.trainer.network.parameters
        return any(not np.array_equal(value, now[name]) for name, value in self._before.items())

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
            for name in parameter_layers([f"{r.layer}." for r in self.records if np.isfinite(r.weight_norm)]):
                ax.plot(self.epochs, self.series(what, name), marker=".", label=f"layer {name}")
            ax.set_title(title)
            if ax.lines:
                ax.set_yscale("log")
                ax.legend(frameon=False)
        for name, (_, activation) in self._kinds.items():
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
        start = time.perf_counter()
        assert self.fit is not None
        network = self.fit.trainer.network
        parameters = network.parameters
        tensors = parameters | network.buffers
        try:
            cost, gradients = self._still.gradients(self._cost, *self._sample)
        except DivergedError:  # a cost beyond the dtype
            cost, gradients = np.nan, {}
        before = self._before
        numbers: dict[str, tuple[float, float, float, Histogram | None]] = {}
        for layer, names in parameter_layers(list(parameters)).items():
            g = length(*(gradients[name] for name in names)) if gradients else np.nan
            size = length(*(parameters[name] for name in names))
            ratio = np.nan
            if before is not None:
                moved = length(*(parameters[name] - before[name] for name in names))
                ratio = _over(moved, length(*(before[name] for name in names)))
            weights = flat({name: parameters[name] for name in names}, network.dtype)
            numbers[layer] = g, size, ratio, histogram(weights, self.bins)
        nothing = np.nan, np.nan, np.nan, None
        for name, _, output in self._taps.outputs(tensors, self._sample[0]):
            kind, activation = self._kinds[name]
            g, size, ratio, own = numbers.get(name, nothing)
            dead, saturated = units(activation, output)
            values = (g, size, ratio, dead, saturated, rms(output), own, histogram(output, self.bins))
            self.records.append(LayerRecord(epoch, name, kind, activation, *values))
        self.epochs.append(epoch)
        self.costs.append(cost)
        self._before = parameters
        self._walk(epoch, parameters)
        self.seconds += time.perf_counter() - start

    def _walk(self, epoch: int, parameters: Tensors) -> None:
        if not self._between or (len(self.epochs) - 1) % self._between:
            return
        self._path.append(flat(parameters, np.float32))
        self.path_epochs.append(epoch)
        if len(self._path) > 2 and sum(point.nbytes for point in self._path) > PATH_BYTES:
            del self._path[1::2], self.path_epochs[1::2]
            self._between *= 2


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
    """Count values, of very many some, in equal bins from the smallest to the largest."""
    values = values.ravel()[:: max(1, values.size // COUNTED)]
    if not bins or not values.size or not np.isfinite(values).all():
        return None
    counts, edges = np.histogram(values, bins)
    return Histogram(counts, edges.astype(np.float64))


def _over(part: float, whole: float) -> float:
    return part / whole if whole else np.inf if part else 0.0
