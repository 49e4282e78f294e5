"""Checks before a command begins: of packages, outputs and options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .._extras import require
from .._safe_io import check_writable
from .._validation import choice, integer, number


def require_sklearn() -> None:
    """Raise ModuleNotFoundError, with the extra to install, where the estimators cannot be imported."""
    require("sklearn", "scikit-learn", "the command line")


def check_out(out: Path, *inputs: Path | None, option: str = "--out") -> None:
    """Refuse a file that could not be written, or that is one of the inputs: before a training, not after it."""
    for path in inputs:
        if path is not None and os.path.exists(path) and os.path.exists(out) and os.path.samefile(path, out):
            raise ValueError(f"{option} {out} is the same file as {path}, which is to be read: expected another file")
    try:
        check_writable(out)
    except OSError as error:
        raise ValueError(f"{option} {out}: {error.strerror}") from error


def asked_parameters(hidden: str | None, epochs: int | None) -> dict[str, Any]:
    """Return the estimator's parameters that the user decides."""
    asked: dict[str, Any] = {} if hidden is None else {"hidden_layer_sizes": _widths(hidden)}
    return asked if epochs is None else asked | {"max_iter": integer("--epochs", epochs, ge=1)}


def asked_effort(preset: str | None, time_limit: float | None) -> dict[str, Any]:
    """Return the estimator's parameters that say how much is trained."""
    asked: dict[str, Any] = {} if preset is None else {"preset": choice("--preset", preset, ("fast", "best"))}
    return asked if time_limit is None else asked | {"time_limit": number("--time-limit", time_limit, gt=0)}


def _widths(text: str) -> list[int]:
    try:
        return [integer("--hidden", int(width), ge=1) for width in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--hidden is {text!r}: expected widths such as 256,256") from error
