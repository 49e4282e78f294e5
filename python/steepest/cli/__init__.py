"""The `steepest` command."""

from .main import FAILURE, INTERRUPTED, MISTAKE, main

__all__ = ["FAILURE", "INTERRUPTED", "MISTAKE", "main"]
