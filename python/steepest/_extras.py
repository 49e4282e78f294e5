"""Packages that only some of this one need, each with the extra that brings it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_EXTRAS = {"matplotlib": "plot", "tensorboardX": "callbacks", "tqdm": "callbacks"}  # of this package, in pyproject.toml


def require(module: str, package: str, who: str) -> Any:
    """Import a module, or say which package `who` needs, and which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{who} needs {package}: pip install 'steepest[{_EXTRAS[package]}]'") from error


def axes_or_new(ax: Axes | None, who: str) -> Axes:
    """Return where `who` draws: what was given, or a new figure of pyplot's."""
    if ax is not None:
        return ax
    drawing: Axes = require("matplotlib.pyplot", "matplotlib", who).subplots(layout="constrained")[1]
    return drawing


def import_pyarrow() -> Any:
    """Import pyarrow, or say how to get it."""
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("reading tables needs pyarrow: pip install 'steepest[tables]'") from error
    return pyarrow
