"""The examples of doors whose libraries the extra `test` does not install."""

from __future__ import annotations

import doctest

import pytest

from steepest.callbacks import pruning


def test_the_example_of_optuna_runs() -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed")
    found = doctest.testmod(pruning)
    assert found.attempted > 0 and found.failed == 0
