"""Callbacks that show how a fit goes, and functions as callbacks."""

from __future__ import annotations

from typing import Any

from .._extras import require
from .base import OLD_NAMES, Callback, FitState, Hook


class PrintEpochs(Callback):
    """Print a line after each epoch, as ``fit(verbose=True)`` does.

    Examples
    --------
    >>> import steepest as st
    >>> trainer = st.Trainer(st.Network(1, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> x, y = [[0.0], [1.0]], [1.0, 3.0]
    >>> from steepest.callbacks import PrintEpochs
    >>> history = trainer.fit(x, y, epochs=1, callbacks=[PrintEpochs()])  # doctest: +SKIP
    [(0, 2), (1, 1)]
    """

    only_first_rank = True

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

    Examples
    --------
    >>> import steepest as st
    >>> trainer = st.Trainer(st.Network(1, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> x, y = [[0.0], [1.0]], [1.0, 3.0]
    >>> history = trainer.fit(x, y, epochs=3, callbacks=[st.Progress()])  # draws the bar on standard error
    >>> history.n_epochs
    3
    """

    only_first_rank = True

    _bar: Any = None

    def on_train_begin(self, fit: FitState) -> None:
        """Draw the bar."""
        tqdm = require("tqdm.auto", "tqdm", "Progress").tqdm
        self._bar = tqdm(total=fit.epochs * fit.n_rows, unit="row", unit_scale=True, desc=f"epoch 1/{fit.epochs}")

    def on_progress(self, fit: FitState) -> None:
        """Move the bar within an epoch."""
        self._move(fit, fit.rows_done, {"loss": fit.running_loss})

    def on_epoch_end(self, fit: FitState) -> None:
        """Move the bar to the end of the epoch."""
        shown = dict.fromkeys(("loss", fit.history.monitor))
        self._move(fit, fit.n_rows, {name: fit.metrics[name] for name in shown})

    def on_train_end(self, fit: FitState) -> None:
        """Leave the bar as it stands at the end, which a short fit has not drawn yet."""
        self._bar.refresh()
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
    on_train_begin, on_epoch_end, on_train_end, on_progress : callable, default=None
        Functions of the `FitState` to call as the hooks of `Callback` with these names; what they return is ignored.
    on_epoch_begin, on_batch_end : callable, default=None
        The same; by keyword only.
    on_fit_begin, on_fit_end, wake : callable, default=None
        Old names of on_train_begin, on_train_end and on_progress; by keyword only.

    Raises
    ------
    TypeError
        If an argument is neither a function nor None, or a hook is given by both of its names.

    Examples
    --------
    >>> import steepest as st
    >>> losses = []
    >>> watch = st.LambdaCallback(on_batch_end=lambda fit: losses.append(fit.batch_loss))
    >>> trainer = st.Trainer(st.Network(2, [st.Dense(1)]), "mse")
    >>> history = trainer.fit([[0, 1], [1, 0]], [1, 0], epochs=3, batch_size=1, callbacks=[watch])
    >>> len(losses)
    6
    """

    def __init__(
        self,
        on_train_begin: Hook | None = None,
        on_epoch_end: Hook | None = None,
        on_train_end: Hook | None = None,
        on_progress: Hook | None = None,
        *,
        on_epoch_begin: Hook | None = None,
        on_batch_end: Hook | None = None,
        on_fit_begin: Hook | None = None,
        on_fit_end: Hook | None = None,
        wake: Hook | None = None,
    ) -> None:
        hooks = {
            "on_train_begin": on_train_begin, "on_epoch_begin": on_epoch_begin, "on_batch_end": on_batch_end,
            "on_progress": on_progress, "on_epoch_end": on_epoch_end, "on_train_end": on_train_end,
        }  # fmt: skip
        by_old_name = {"on_fit_begin": on_fit_begin, "on_fit_end": on_fit_end, "wake": wake}
        for name, hook in {**hooks, **by_old_name}.items():
            if hook is not None and not callable(hook):
                raise TypeError(f"{name} is {hook!r}: expected a function of the FitState, or None")
        for name, old in OLD_NAMES.items():
            if by_old_name[old] is None:
                continue
            if hooks[name] is not None:
                raise TypeError(f"{old} is the old name of {name}: expected one of them, found both")
            hooks[name] = by_old_name[old]
        self._hooks = hooks

    def on_train_begin(self, fit: FitState) -> None:
        """Call the function for it."""
        self._call("on_train_begin", fit)

    def on_epoch_begin(self, fit: FitState) -> None:
        """Call the function for it."""
        self._call("on_epoch_begin", fit)

    def on_batch_end(self, fit: FitState) -> None:
        """Call the function for it."""
        self._call("on_batch_end", fit)

    def on_progress(self, fit: FitState) -> None:
        """Call the function for it."""
        self._call("on_progress", fit)

    def on_epoch_end(self, fit: FitState) -> None:
        """Call the function for it."""
        self._call("on_epoch_end", fit)

    def on_train_end(self, fit: FitState) -> None:
        """Call the function for it."""
        self._call("on_train_end", fit)

    def _call(self, name: str, fit: FitState) -> None:
        hook = self._hooks[name]
        if hook is not None:
            hook(fit)

    def _hook(self, name: str) -> Hook | None:
        """As in `Callback`; None where no function was given, so that a fit is spared calls that do nothing."""
        found = super()._hook(name)
        own = getattr(found, "__func__", None) is getattr(LambdaCallback, name)
        return None if own and self._hooks[name] is None else found
