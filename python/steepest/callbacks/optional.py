"""Packages that only some callbacks need."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def require(module: str, package: str, who: str) -> Any:
    """Import a module, or say which package `who` needs."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{who} needs {package}: pip install {package}") from error


def axes_or_new(ax: Axes | None, who: str) -> Axes:
    """Return where `who` draws: what was given, or a new figure of pyplot's."""
    if ax is not None:
        return ax
    drawing: Axes = require("matplotlib.pyplot", "matplotlib", who).subplots(layout="constrained")[1]
    return drawing
