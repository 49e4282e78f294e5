"""The pages that the tests of `steepest explain` look at, each written once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers import normal

_CHARTS = ("cost-curve", "gradients", "map")
_SLOPES = tuple(f"slope-{i}" for i in range(4))
_PLANES = tuple(f"plane-{i}" for i in range(3))


def _names(key: str, *parts: str) -> list[str]:
    return [f"{key}-{part}" for part in parts]


FIGURES = {
    "demo": [name for key in ("xor", "spirals") for name in _names(key, *_CHARTS, *_SLOPES, *_PLANES, "net")],
    "table": _names("table", *_CHARTS, *_SLOPES, "net", "inputs"),
    "regression": _names("table", *_CHARTS, *_SLOPES, "net", "inputs"),
    "model": _names("table", "gradients", "map", *_SLOPES, "net", "inputs"),
}
"""The ids of the drawings of each page."""

_ARGUMENTS: dict[str, list[str]] = {
    "demo": ["--demo"],
    "table": ["pets.csv", "--target", "kind", "--hidden", "16,8", "--epochs", "25"],
    "regression": ["houses.csv", "--target", "price", "--hidden", "16", "--epochs", "12"],
    "model": ["pets.csv", "--model", "pets.model"],
}
_written: dict[str, Path] = {}


def written(kind: str, factory: pytest.TempPathFactory) -> Path:
    """Return the page of a kind, in a folder with its table, its model and the console output beside it."""
    if kind not in _written:
        folder = factory.mktemp(kind)
        _tables(folder)
        if kind == "model":
            _run(
                folder,
                "train",
                "pets.csv",
                "--target",
                "kind",
                "--hidden",
                "16",
                "--epochs",
                "20",
                "--out",
                "pets.model",
            )
        (folder / "explain.txt").write_text(run(kind, folder, folder))
        _written[kind] = folder / "explain.html"
    return _written[kind]


def run(kind: str, folder: Path, source: Path) -> str:
    """Write a page into a folder, and return the console output."""
    for path in source.iterdir():
        if source != folder and path.suffix in (".csv", ".model"):
            shutil.copy(path, folder)
    return _run(folder, "explain", *_ARGUMENTS[kind])


def _run(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-m", "steepest", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _tables(folder: Path) -> None:
    """Write a table of animals, one of which is called like markup, and one of prices."""
    weight = np.concatenate([4 + normal(0, (80,)), 20 + 3 * normal(1, (120,)), 60 + 8 * normal(2, (60,))])
    kind = ["cat"] * 80 + ["dog"] * 120 + ["<b>sheep</b> & lamb"] * 60
    color = np.random.default_rng(0).choice(["red", "blue & green", "<script>alert(1)</script>"], 260)
    lines = [f"{w:.2f},{c},{k}" for w, c, k in zip(weight, color, kind, strict=True)]
    (folder / "pets.csv").write_text("\n".join(["weight in kg,color,kind", *lines]))
    size, age, noise = 100 + 30 * normal(3, (400,)), 20 + 5 * normal(4, (400,)), normal(5, (400,))
    prices = [f"{s:.1f},{a:.1f},{2 * s - a + n:.1f}" for s, a, n in zip(size, age, noise, strict=True)]
    (folder / "houses.csv").write_text("\n".join(["size,age,price", *prices]))
