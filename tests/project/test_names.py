"""Every name of this package that a message, a docstring or a page mentions can be imported."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    *sorted((ROOT / "python" / "steepest").rglob("*.pyi")),
    *sorted((ROOT / "python" / "steepest").rglob("*.py")),
    *sorted(path for kind in ("*.cpp", "*.hpp") for path in (ROOT / "cpp").rglob(kind)),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.py")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
]
NAME = re.compile(r"(?<![\w./-])steepest((?:\.[A-Za-z_]\w*)+)")


def resolve(dotted: str) -> object:
    """The object of a name such as "tables.TableEncoder.fit": modules first, then attributes."""
    found: object = importlib.import_module("steepest")
    path = "steepest"
    for part in dotted.strip(".").split("."):
        path += f".{part}"
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(path)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_t20_every_name_can_be_imported(path: Path) -> None:
    missing = []
    for name in sorted(set(NAME.findall(path.read_text()))):
        try:
            resolve(name)
        except ImportError:
            missing.append(f"steepest{name}")
    assert not missing


def test_t20_a_wrong_name_is_found() -> None:
    assert NAME.findall("as steepest.NoSuch makes, in steepest.tables.") == [".NoSuch", ".tables"]
    with pytest.raises(ImportError):
        resolve(".NoSuch")
