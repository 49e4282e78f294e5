"""The demonstration under its name of 0.1; it lives in `steepest.cli.demo`."""

from .cli.demo import *  # noqa: F403
