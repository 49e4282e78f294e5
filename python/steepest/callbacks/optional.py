"""Packages that only some callbacks need."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, package: str, who: str) -> Any:
    """Import a module, or say which package `who` needs."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{who} needs {package}: pip install {package}") from error
