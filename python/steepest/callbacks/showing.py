"""Callbacks that show how a fit goes, and functions as callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .._extras import require
from .base import Callback, FitState

Hook: TypeAlias = Callable[[FitState], object]


class PrintEpochs(Callback):
    """Print a line after each epoch; what ``fit(verbose=True)`` adds."""

    def on_epoch_end(self, fit: FitState) -> None:
        """Print the epoch's numbers."""
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in fit.metrics.items())
        print(f"epoch {fit.epoch + 1}/{fit.epochs}  {numbers}", flush=True)


class Progress(Callback):
    """Show a bar of tqdm's, in a terminal or a notebook: it moves within an epoch, and each epoch adds its numbers.

    Raises
    ------
    ImportError
        At the beginning of a fit, if tqdm is not installed.
    """

    _bar: Any = None

    def on_fit_begin(self, fit: FitState) -> None:
        """Draw the bar."""
        tqdm = require("tqdm.auto", "tqdm", "Progress").tqdm
        self._bar = tqdm(total=fit.epochs * fit.n_rows, unit="row", unit_scale=True, desc=f"epoch 1/{fit.epochs}")

    def wake(self, fit: FitState) -> None:
        """Move the bar within an epoch."""
        self._move(fit, fit.rows_done, {"loss": fit.running_loss})

    def on_epoch_end(self, fit: FitState) -> None:
        """Move the bar to the end of the epoch."""
        shown = dict.fromkeys(("loss", fit.history.monitor))
        self._move(fit, fit.n_rows, {name: fit.metrics[name] for name in shown})

    def on_fit_end(self, fit: FitState) -> None:
        """Leave the bar as it stands."""
        self._bar.close()
        self._bar = None

    def _move(self, fit: FitState, rows: int, numbers: dict[str, float]) -> None:
        self._bar.set_description(f"epoch {fit.epoch + 1}/{fit.epochs}", refresh=False)
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in numbers.items()}, refresh=False)
        self._bar.update(fit.epoch * fit.n_rows + rows - self._bar.n)


class LambdaCallback(Callback):
    """Call functions with the `FitState`, where a class of its own is too much.

    Parameters
    ----------
    on_fit_begin, on_epoch_end, on_fit_end, wake : callable, optional
        What to call where the method of `Callback` with that name would be; what it returns is ignored.
    """

    def __init__(
        self,
        on_fit_begin: Hook | None = None,
        on_epoch_end: Hook | None = None,
        on_fit_end: Hook | None = None,
        wake: Hook | None = None,
    ) -> None:
        hooks = {"on_fit_begin": on_fit_begin, "on_epoch_end": on_epoch_end, "on_fit_end": on_fit_end, "wake": wake}
        for name, hook in hooks.items():
            if hook is not None and not callable(hook):
                raise TypeError(f"{name} is {hook!r}: expected a function of the FitState, or None")
        self._hooks = hooks

    def on_fit_begin(self, fit: FitState) -> None:
        """Call the function for it."""
        self._call("on_fit_begin", fit)

    def on_epoch_end(self, fit: FitState) -> None:
        """Call the function for it."""
        self._call("on_epoch_end", fit)

    def on_fit_end(self, fit: FitState) -> None:
        """Call the function for it."""
        self._call("on_fit_end", fit)

    def wake(self, fit: FitState) -> None:
        """Call the function for it."""
        self._call("wake", fit)

    def _call(self, name: str, fit: FitState) -> None:
        hook = self._hooks[name]
        if hook is not None:
            hook(fit)
