"""The history of a fit, and which of its numbers are better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ._extras import axes_or_new, require
from ._html import Markup, join, table, tag
from .metrics import sign_of

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes


class History(Mapping[str, NDArray[np.float64]]):
    """The record of a fit: a mapping from a metric's name to an array with one number an epoch.

    "loss" is the mean training loss over the rows, each taken at the moment its batch was trained; "learning_rate" the
    rate of the epoch's last step; "seconds" the time the epoch took, validation included; ``"val_..."`` the metrics of
    `Trainer.evaluate` for the validation rows after the epoch.

    Parameters
    ----------
    monitor : str, default="loss"
        The metric that `best_epoch` goes by: that of `EarlyStopping`, else val_loss, or loss without validation rows.
    mode : {"auto", "min", "max"}, default="auto"
        Whether the smallest or the largest is the best; "auto" knows by the metric's name.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(1, [st.Dense(1)], seed=0)
    >>> history = st.Trainer(net, "mse", st.SGD(0.1)).fit([[0.0], [1.0]], [1.0, 3.0], epochs=50)
    >>> sorted(history)
    ['learning_rate', 'loss', 'seconds']
    >>> bool(history["loss"][-1] < history["loss"][0]), history.n_epochs
    (True, 50)
    """

    def __init__(self, monitor: str = "loss", mode: str = "auto") -> None:
        self.monitor = monitor
        self.mode = mode
        self._columns: dict[str, list[float]] = {}

    def append(self, metrics: Mapping[str, float]) -> None:
        """Add an epoch.

        Parameters
        ----------
        metrics : mapping of str to float
            The epoch's numbers; each epoch must have the same names.
        """
        for name, value in metrics.items():
            self._columns.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return the numbers of one metric, shape (epochs,)."""
        if name not in self._columns:
            raise KeyError(f"no {name!r} in the history, which has {', '.join(self._columns) or 'no epochs'}")
        return np.array(self._columns[name], dtype=np.float64)

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._columns)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._columns)

    @property
    def n_epochs(self) -> int:
        """Number of recorded epochs."""
        return len(self._columns.get("loss", ()))

    @property
    def best_epoch(self) -> int | None:
        """Index of the (first) best epoch, from 0; None where there is none with a number."""
        scores = sign_of(self.monitor, self.mode) * self[self.monitor] if self.n_epochs else np.empty(0)
        return None if np.isnan(scores).all() else int(np.nanargmax(scores))

    def to_frame(self) -> pandas.DataFrame:
        """Return a pandas DataFrame: a row for each epoch, a column for each name."""
        import pandas

        return pandas.DataFrame(self._columns).rename_axis("epoch")

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the losses of training and validation over the epochs, with the best epoch marked.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: in a new figure of pyplot's.

        Returns
        -------
        matplotlib Axes
            The drawing, to be changed further, as by ``ax.set_yscale("log")``.

        Raises
        ------
        ValueError
            If there are no epochs.
        ImportError
            If matplotlib is not installed.
        """
        if not self.n_epochs:
            raise ValueError("the history has no epochs to plot: expected one of a finished epoch at least")
        ax = axes_or_new(ax, "History.plot")
        ticks = require("matplotlib.ticker", "matplotlib", "History.plot")
        marker = "o" if self.n_epochs <= 20 else ""
        for name, label in (("loss", "training"), ("val_loss", "validation")):
            if name in self:
                ax.plot(self[name], label=label, linewidth=1.8, marker=marker, markersize=3)
        best = self.best_epoch
        if best is not None:
            height = self["val_loss" if "val_loss" in self else "loss"][best]
            text = f"best epoch, {best}: {self.monitor} {self[self.monitor][best]:.4g}"
            ax.axvline(best, color="0.6", linewidth=1, linestyle="--", zorder=0)
            ax.plot(best, height, "o", color="0.2", markersize=7, markerfacecolor="white", label=text)
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss")
        ax.xaxis.set_major_locator(ticks.MaxNLocator(integer=True, min_n_ticks=1))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
        ax.legend(frameon=False)
        return ax

    def _repr_html_(self) -> str:
        """Return the losses as lines, and each metric's first, best epoch's and last number, for notebooks."""
        if not self.n_epochs:
            return tag("p", repr(self))
        best = self.best_epoch
        rows = [
            (name, f"{column[0]:.4g}", "" if best is None else f"{column[best]:.4g}", f"{column[-1]:.4g}")
            for name, column in self.items()
        ]
        title = f"History of {self.n_epochs:,} epochs, best {best} by {self.monitor}"
        header = ("", "first", "best epoch", "last")
        return tag("div", _lines(self), table(title, header, rows))

    def __repr__(self) -> str:
        """Return a short account."""
        if not self.n_epochs:
            return "History(0 epochs)"
        names = dict.fromkeys(("loss", self.monitor))
        moves = [f"{name} {self[name][0]:.4g} -> {self[name][-1]:.4g}" for name in names]
        return f"History({self.n_epochs} epochs, best {self.best_epoch} by {self.monitor}: {', '.join(moves)})"


_WIDTH, _HEIGHT = 360, 120  # of the drawing for notebooks, in pixels
_MOST = 360  # points of a line
_COLORS = {"loss": "#2a78b8", "val_loss": "#d9822b"}


def _lines(history: History) -> Markup:
    """Return training and validation loss over the epochs as an SVG; on a logarithmic scale where they fall far."""
    columns = {name: history[name] for name in _COLORS if name in history}
    finite = np.concatenate([column[np.isfinite(column)] for column in columns.values()])
    if not len(finite):
        return Markup()
    low, high = float(finite.min()), float(finite.max())
    as_log = low > 0 and high > 20 * low
    if as_log:
        low, high = np.log10(low), np.log10(high)
        columns = {name: np.log10(np.where(column > 0, column, np.nan)) for name, column in columns.items()}
    parts = [tag("title", f"{' and '.join(columns)} by epoch{', logarithmic' if as_log else ''}")]
    for name, column in columns.items():
        every = max(1, -(-len(column) // _MOST))
        places = np.arange(0, len(column), every)
        places = places[np.isfinite(column[places])]
        x = 4 + (_WIDTH - 8) * places / max(len(column) - 1, 1)
        y = 4 + (_HEIGHT - 8) * (high - column[places]) / ((high - low) or 1.0)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
        parts.append(tag("polyline", points=points, fill="none", stroke=_COLORS[name], stroke_width="1.8"))
    size: dict[str, str | float] = {"width": _WIDTH, "height": _HEIGHT, "viewBox": f"0 0 {_WIDTH} {_HEIGHT}"}
    legend = [tag("span", f"\u2014 {name} ", style=f"color:{_COLORS[name]}") for name in columns]
    return join([tag("svg", parts, role="img", **size), tag("div", legend)])
