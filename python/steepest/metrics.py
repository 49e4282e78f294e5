"""Metrics by name: which are better the larger they are, and which a fit may be asked to watch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

MODES = ("auto", "min", "max")

Metric = str | Callable[[NDArray[Any], NDArray[Any]], float]


def sign_of(metric: str, mode: str = "auto") -> float:
    """Return 1 where larger values of a metric are better, else -1.

    Parameters
    ----------
    metric : str
        Its name, with "val_" before it or without.
    mode : {"auto", "min", "max"}, default="auto"
        Whether the smallest or the largest is the best; "auto" knows by the name.

    Examples
    --------
    >>> from steepest.callbacks import sign_of
    >>> sign_of("val_accuracy"), sign_of("loss")
    (1.0, -1.0)
    """
    if mode == "auto":
        larger = ("accuracy", "subset_accuracy", "r2", "auc", "f1", "top", "confidence")
        mode = "max" if metric.removeprefix("val_").startswith(larger) else "min"
    return 1.0 if mode == "max" else -1.0


def monitored(monitor: str | None, metrics: Sequence[str], who: str) -> str:
    """Return the metric to watch.

    Parameters
    ----------
    monitor : str or None
        Its name; None: val_loss, or loss without validation rows.
    metrics : sequence of str
        The metrics that the fit records.
    who : str
        The object that watches, for messages.

    Raises
    ------
    ValueError
        If `monitor` is none of `metrics`.

    Examples
    --------
    >>> from steepest.callbacks import monitored
    >>> monitored(None, ["loss", "val_loss"], "EarlyStopping")
    'val_loss'
    """
    if monitor is None:
        return "val_loss" if "val_loss" in metrics else "loss"
    if monitor not in metrics:
        hint = "; val_ metrics need validation=(x, y)" if str(monitor).startswith("val_") else ""
        raise ValueError(f"{who} monitors {monitor!r}: this fit records {', '.join(metrics)}{hint}")
    return monitor


def check_metrics(metrics: Iterable[Metric]) -> list[Metric]:
    """Return metrics, or a single one, as a list; TypeError for what is neither a name nor a function with one."""
    asked: list[Metric] = [metrics] if isinstance(metrics, str) or not isinstance(metrics, Iterable) else list(metrics)
    for metric in asked:
        if not isinstance(metric, str) and not hasattr(metric, "__name__"):
            raise TypeError(f"metrics has {metric!r}: expected a name such as 'accuracy' or a function (y, outputs)")
    return asked
