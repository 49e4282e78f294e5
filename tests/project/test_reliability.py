"""Each promise of docs/reliability.md names tests, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROWS = re.findall(
    r"^\| (?!promise|---)(.*?) \| (.*?) \|$", (TESTS.parent / "docs" / "reliability.md").read_text(), re.MULTILINE
)


def test_there_are_promises() -> None:
    assert len(ROWS) > 15


@pytest.mark.parametrize(("promise", "held_by"), ROWS, ids=[promise[:40] for promise, _ in ROWS])
def test_a_promise_is_held(promise: str, held_by: str) -> None:
    names = re.findall(r"`([\w/.]+)(?:::(\w+))?`", held_by)
    assert names
    for file, test in names:
        text = (TESTS / file).read_text()
        assert f"def {test or 'test_'}" in text or (test == "" and file.startswith(("stress", "fuzz"))), (file, test)
