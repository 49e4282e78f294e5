"""The documentation site lists every public name and every script, and its links are looked at."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"
MODULES = (
    "steepest",
    "steepest.descent",
    "steepest.distributed",
    "steepest.online",
    "steepest.schedules",
    "steepest.tables",
)
LISTED = set(re.findall(r"^   ([\w.]+)$", (DOCS / "reference.rst").read_text(), re.MULTILINE))
SCRIPTS = sorted((DOCS / "gallery").glob("*.py"))


def load(path: Path) -> ModuleType:
    """Import a file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(f"site_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def resolve(name: str) -> object:
    """The object of a name such as "descent.Recorder"."""
    *rooms, last = name.split(".")
    return getattr(importlib.import_module(".".join(["steepest", *rooms])), last)


def exists(name: str) -> bool:
    """Tell whether a name is there, such as "descent.Recorder" or "Trainer.resume"."""
    found: object = importlib.import_module("steepest")
    for part in name.split("."):
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


@pytest.mark.parametrize("module", MODULES)
def test_the_reference_lists_every_name(module: str) -> None:
    documented = {id(resolve(name)) for name in LISTED}
    offered = importlib.import_module(module)
    missing = [
        name
        for name in offered.__all__
        if inspect.isclass(value := getattr(offered, name)) or inspect.isroutine(value)
        if id(value) not in documented
    ]
    assert len(LISTED) > 90 and not missing


@pytest.mark.parametrize("path", [*sorted(DOCS.glob("*.md")), *SCRIPTS], ids=lambda path: path.stem)
def test_every_name_written_as_in_a_program_is_there(path: Path) -> None:
    names = sorted(set(re.findall(r"(?<![\w./-])st\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)", path.read_text())))
    assert not [name for name in names if not exists(name)]


def test_every_script_has_its_place_in_the_gallery() -> None:
    order = load(DOCS / "_ext" / "gallery_look.py").ORDER
    assert len(SCRIPTS) >= 12 and sorted(order) == [path.stem for path in SCRIPTS]


@pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_a_script_has_a_title_and_a_picture(path: Path) -> None:
    text = path.read_text()
    title, line, *_ = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    assert line == "=" * len(title) and "plt.show()" in text


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    wrong = load(DOCS / "check_site.py").wrong
    (tmp_path / "a.html").write_text('<p id="here"><a href="b.html#there">b</a><a href="https://example.org">c</a></p>')
    (tmp_path / "b.html").write_text('<a href="a.html#here">a</a><h1 id="there">b</h1>')
    assert wrong(tmp_path) == []
    (tmp_path / "b.html").write_text(
        '<a href="a.html#gone">a</a><img src="none.png"><img src="https://example.org/x.png">'
    )
    found = wrong(tmp_path)
    assert [part in " ".join(found) for part in ("a.html#gone", "none.png", "#there", "loads")] == [True] * 4
