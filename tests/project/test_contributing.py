"""The map in CONTRIBUTING.md names every room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from project.test_architecture import CORE_FLOORS, FLOORS

ROOT = Path(__file__).parents[2]
NAMED = {
    name.rstrip("/").removesuffix(".pyi").rpartition("/")[2]
    for name in re.findall(r"`([\w/.]+)`", (ROOT / "CONTRIBUTING.md").read_text())
}


@pytest.mark.parametrize("floors", [FLOORS, CORE_FLOORS], ids=["python", "core"])
def test_every_room_is_on_the_map(floors: tuple[tuple[str, ...], ...]) -> None:
    assert {name for floor in floors for name in floor} <= NAMED


def test_every_folder_of_tests_is_on_the_map() -> None:
    assert {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")} <= NAMED
