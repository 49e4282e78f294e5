"""The stub of the compiled core says what is there."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import steepest as st
from steepest import _core

ALLOWLIST = Path(__file__).resolve().parent / "stubtest_allowlist.txt"
STUB = Path(st.__file__).with_name("_core.pyi")


def test_stub_matches_the_core(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="needs mypy, which is not installed")
    command = [sys.executable, "-m", "mypy.stubtest", "steepest._core", "--allowlist", str(ALLOWLIST)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr


def stub_functions() -> Iterator[tuple[Any, ast.FunctionDef]]:
    """The stub's functions and methods, each with the module or class that it is in."""
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        owner, body = (getattr(_core, node.name), node.body) if isinstance(node, ast.ClassDef) else (_core, [node])
        for function in body:
            if isinstance(function, ast.FunctionDef) and not function.decorator_list:
                yield owner, function


def parameters(function: ast.stmt) -> list[tuple[str, bool]]:
    """The names of a function's parameters, and whether they may be left out."""
    assert isinstance(function, ast.FunctionDef)
    names = [parameter.arg for parameter in function.args.args]
    required = len(names) - len(function.args.defaults)
    return [(name, i >= required) for i, name in enumerate(names)]


def test_stub_has_the_parameters_of_the_core() -> None:
    """Stubtest cannot compare them: compiled functions have a signature in the first line of their docstring alone."""
    seen = 0
    for owner, function in stub_functions():
        signature = getattr(owner, function.name).__doc__.splitlines()[0]
        assert parameters(function) == parameters(ast.parse(f"def {signature}: ...").body[0]), signature
        seen += 1
    assert seen > 20
