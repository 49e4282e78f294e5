"""The output of the command line: progress while training, and small tables of numbers."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..callbacks import Callback, FitState

_LINES = 10  # of progress where no bar can be drawn


class ProgressBar(Callback):
    """Shows how far a fit is: a live bar of each network in a terminal, elsewhere about ten lines of the first.

    Parameters
    ----------
    console : Console
        Where to.
    metric : str, optional
        What to show after each epoch besides the loss: a name of the history's, of the validation rows.
    """

    _only_shows = True

    def __init__(self, console: Console, metric: str | None = None) -> None:
        self._metric = metric
        self._tasks: dict[int, TaskID] = {}  # of each trainer
        self._running = 0
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[numbers]}"), TimeElapsedColumn(),
            console=console, disable=not console.is_terminal,
        )  # fmt: skip

    def on_train_begin(self, fit: FitState) -> None:
        """Draw the bar."""
        self._tasks[id(fit.trainer)] = self._progress.add_task("training", total=fit.epochs * fit.n_rows, numbers="")
        self._running += 1
        self._progress.start()

    def on_progress(self, fit: FitState) -> None:
        """Move the bar within an epoch."""
        self._progress.update(self._tasks[id(fit.trainer)], completed=fit.epoch * fit.n_rows + fit.rows_done)

    def on_epoch_end(self, fit: FitState) -> None:
        """Move the bar, or print a line."""
        done = fit.epoch + 1
        numbers = f"loss {fit.metrics['loss']:.4f}"
        if self._metric in fit.metrics:
            numbers += f", on validation rows {self._metric.removeprefix('val_')} {fit.metrics[self._metric]:.4f}"
        task = self._tasks[id(fit.trainer)]
        self._progress.update(
            task, completed=done * fit.n_rows, description=f"epoch {done}/{fit.epochs}", numbers=numbers
        )
        due = fit.stopped or done % max(fit.epochs // _LINES, 1) == 0
        if due and self._is_first(fit) and not self._console.is_terminal:
            self._console.print(f"epoch {done}/{fit.epochs}: {numbers}", soft_wrap=True)

    def on_train_end(self, fit: FitState) -> None:
        """Leave the bar of the first network as it stands."""
        self._progress.update(self._tasks[id(fit.trainer)], visible=self._is_first(fit))
        self._running -= 1
        if not self._running:
            self._progress.stop()

    def _is_first(self, fit: FitState) -> bool:
        return id(fit.trainer) == next(iter(self._tasks))


class _Lasting(Console):
    """A console that nobody need listen to any more, as behind ``| head``: the command goes on."""

    def on_broken_pipe(self) -> None:
        """Let what is still to be printed go nowhere; rich would end the command."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


def new_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return standard output, or standard error, on which text is written as it stands; or none if quiet."""
    return _Lasting(highlight=False, markup=False, stderr=stderr, quiet=quiet)


@contextmanager
def binary_output() -> Iterator[BinaryIO]:
    """Yield standard output for bytes: CSV is UTF-8, whatever the console's encoding."""
    sys.stdout.flush()
    if hasattr(sys.stdout, "buffer"):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()  # here, where a closed pipe can still be dealt with
        return
    text = io.BytesIO()  # a program has put something of its own in place
    yield text
    sys.stdout.write(text.getvalue().decode())


def hint(message: str) -> None:
    """Say something on standard error that ends nothing."""
    tell(new_console(stderr=True), f"steepest: {message}")


def tell(console: Console, what: Any) -> None:
    """Print a line or a table, and have it seen at once."""
    console.print(what, soft_wrap=True)
    try:
        console.file.flush()
    except BrokenPipeError:
        console.on_broken_pipe()


def print_numbers(console: Console, title: str, numbers: Mapping[str, float]) -> None:
    """Print a small table of names and numbers."""
    tell(console, title)
    table = Table("metric")
    table.add_column("value", justify="right")
    for name, value in numbers.items():
        table.add_row(name, f"{value:,.6g}")
    tell(console, table)


def as_field(value: Any) -> str:
    """Write a value as CSV files have it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10g}" if isinstance(value, float) else str(value)
