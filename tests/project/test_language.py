"""One language for the whole project: documented parameters, plain docstrings, short functions, American spelling."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "steepest"
MODULES = (
    "steepest", "steepest.callbacks", "steepest.descent", "steepest.estimators", "steepest.explain", "steepest.files",
    "steepest.online", "steepest.schedules", "steepest.tables", "steepest.training",
)  # fmt: skip
LONGEST = 60  # lines of a function, its docstring aside
BRITISH = re.compile(
    "optimi[s]er|normali[s]|minimi[s]|initiali[s]|colo[u]r|behavio[u]r|neighbo[u]r|lear[n]t|standardi[s]|penali[s]"
    "|equali[s]",
    re.IGNORECASE,
)
FOLDERS = ("python/steepest", "cpp", "docs", "examples", "tests")
TEXTS = {".py", ".pyi", ".cpp", ".hpp", ".inl", ".h", ".md", ".toml", ".txt", ".html", ".js", ".css"}


def public() -> dict[str, Any]:
    """The functions and classes that the package offers, by name."""
    found = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for member in module.__all__:
            value = getattr(module, member)
            if inspect.isclass(value) or inspect.isfunction(value):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return found


def documented(docstring: str) -> set[str]:
    """The names in a numpydoc docstring's parts on parameters and, for a result, attributes."""
    part = r"^(?:Parameters|Attributes)\n-+\n(.*?)(?=^\S[^\n]*\n---|\Z)"
    found = "\n".join(re.findall(part, docstring, re.MULTILINE | re.DOTALL))
    lines = re.findall(r"^(\*{0,2}\w[^:\n]*?)(?: : .*)?$", found, re.MULTILINE)
    return {name.strip().lstrip("*") for line in lines for name in line.split(",")}


@pytest.mark.parametrize("name", sorted(public()))
def test_every_parameter_is_documented(name: str) -> None:
    value = public()[name]
    docstring = inspect.getdoc(value) or ""
    try:
        parameters = inspect.signature(value).parameters
    except ValueError:  # a builtin's
        parameters = {}  # type: ignore[assignment]
    if inspect.isclass(value) and (
        issubclass(value, BaseException) or getattr(value, "_is_protocol", False) or value.__new__ is tuple.__new__
    ):
        parameters = {}  # type: ignore[assignment]
    assert docstring
    assert {*parameters} - {"self"} <= documented(docstring), name


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_say_the_thing(path: Path) -> None:
    wrong = [f"line {line}: {text[:60]}" for line, text in docstrings(path) if re.match("(Return w|W)hat ", text)]
    assert not wrong


def test_functions_are_short() -> None:
    long = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.body[0]
                skipped = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) and first.end_lineno else 0
                if (node.end_lineno or 0) - node.lineno + 1 - skipped > LONGEST:
                    long.append(f"{path}:{node.name}")
    assert not long


def test_spelling() -> None:
    paths = [ROOT / "README.md", *(ROOT / "bench").glob("*.py")]
    for folder in FOLDERS:
        paths += [path for path in (ROOT / folder).rglob("*") if path.suffix in TEXTS]
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {found[0]}"
        for path in paths
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (found := BRITISH.search(line))
    ]
    assert not wrong
