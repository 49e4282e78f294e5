"""The examples in the docstrings of doors run, and print what they say."""

from __future__ import annotations

import doctest
import importlib

import pytest

EXAMPLES = [
    ("steepest.callbacks.pruning", "optuna"),
    ("steepest.online.classifier", "numpy"),
    ("steepest.online.regressor", "numpy"),
]


@pytest.mark.parametrize(("module", "needed"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_examples_run(module: str, needed: str) -> None:
    pytest.importorskip(needed, reason=f"{needed} is not installed")
    found = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0 and found.failed == 0
