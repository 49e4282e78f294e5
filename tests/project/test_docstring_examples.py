"""Every public name has an example in its docstring, and it runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

MODULES = (
    "steepest", "steepest.callbacks", "steepest.descent", "steepest.distributed", "steepest.explain", "steepest.files",
    "steepest.online", "steepest.report", "steepest.schedules", "steepest.tables", "steepest.training",
)  # fmt: skip
NEEDED = {"steepest.OptunaPruning": "optuna"}  # by an example, beside what the extra `test` installs
NO_EXAMPLE = {"steepest.explain.train"}  # of a way to train that is on its way out


def public() -> dict[str, Any]:
    """The functions and classes that the package offers, by name, each once."""
    found: dict[int, tuple[str, Any]] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for member in module.__all__:
            value = getattr(module, member)
            if inspect.isclass(value) or inspect.isroutine(value):
                found.setdefault(id(value), (f"{name}.{member}", value))
    return dict(found.values())


PUBLIC = public()


@pytest.mark.parametrize("name", sorted(PUBLIC.keys() - NO_EXAMPLE))
def test_an_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = inspect.getdoc(PUBLIC[name]) or ""
    assert "Examples\n--------\n" in text
    if name in NEEDED:
        pytest.importorskip(NEEDED[name], reason=f"{NEEDED[name]} is not installed")
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(verbose=False)
    said: list[str] = []
    for found in doctest.DocTestFinder(recurse=False).find(PUBLIC[name], name, globs={}):
        assert found.examples
        runner.run(found, out=said.append)
    assert not runner.summarize(verbose=False).failed, "".join(said)


def test_there_are_names() -> None:
    assert len(PUBLIC) > 100 and set(PUBLIC) >= NO_EXAMPLE
