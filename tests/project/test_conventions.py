"""What is said in several files is said alike: versions, dependencies, addresses."""

from __future__ import annotations

import re
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text()


@pytest.fixture(scope="module")
def project() -> Any:
    tomllib = pytest.importorskip("tomllib", reason="tomllib is Python's from version 3.11 on")
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_is_the_same_everywhere(project: Any) -> None:
    cited = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert [*cited, *re.findall(r'^  version: "(.*)"$', RECIPE, re.MULTILINE)] == [project["version"]] * 2


def test_the_recipe_has_the_dependencies(project: Any) -> None:
    found = {line.replace(" ", "") for line in re.findall(r"^    - (.*)$", RECIPE, re.MULTILINE)}
    assert set(project["dependencies"]) <= found
    extras = project["optional-dependencies"]
    assert {*extras["sklearn"], *extras["tables"]} <= found


def test_addresses_stand_in_one_place(project: Any) -> None:
    """They are placeholders until there is a place to point to."""
    address = project["urls"]["Homepage"]
    texts = [*ROOT.glob("*.md"), *ROOT.glob("*.cff"), *(ROOT / ".github").rglob("*"), *(ROOT / "packaging").rglob("*")]
    assert not [path for path in texts if path.is_file() and address in path.read_text()]


def test_names_of_tests_are_not_names_of_packages() -> None:
    """The one would be imported in place of the other."""
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert not folders & packages_distributions().keys()
