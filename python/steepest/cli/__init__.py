"""The `steepest` command."""

from .._ctrl_c import INTERRUPTED
from .main import FAILURE, MISTAKE, main

__all__ = ["FAILURE", "INTERRUPTED", "MISTAKE", "main"]
