"""Optional packages, and the extra of this one that installs each."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# The extra of each package, as in pyproject.toml.
_EXTRAS = {
    "distributed": "dask",
    "matplotlib": "plot",
    "optuna": "doors",
    "pyarrow": "tables",
    "ray": "ray",
    "scikit-learn": "sklearn",
    "tensorboardX": "callbacks",
    "tqdm": "callbacks",
}


def require(module: str, package: str, who: str) -> Any:
    """Import a module; ImportError with the package that `who` needs, and the extra that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        kind = ModuleNotFoundError if isinstance(error, ModuleNotFoundError) else ImportError
        raise kind(f"{who} needs {package}: pip install 'steepest[{_EXTRAS[package]}]'") from error


def axes_or_new(ax: Axes | None, who: str) -> Axes:
    """Return the axes on which `who` draws: those given, or those of a new figure of pyplot's."""
    if ax is not None:
        return ax
    drawing: Axes = require("matplotlib.pyplot", "matplotlib", who).subplots(layout="constrained")[1]
    return drawing


def import_pyarrow() -> Any:
    """Import pyarrow; ModuleNotFoundError with the extra that installs it.

    Examples
    --------
    >>> from steepest.files import import_pyarrow
    >>> import_pyarrow().__name__
    'pyarrow'
    """
    arrow = require("pyarrow", "pyarrow", "reading tables")
    importlib.import_module("pyarrow.compute")  # which it does not load itself
    return arrow
