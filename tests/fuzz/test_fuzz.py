"""A moment of each fuzzer; `run.py` goes on for longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from call_targets import CALLS
from file_targets import FILES


@pytest.mark.parametrize("target", FILES | CALLS)
def test_nothing_but_documented_errors(target: str) -> None:
    command = [sys.executable, Path(__file__).parent / "run.py", target, "--seconds=1", "--seed=1"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
