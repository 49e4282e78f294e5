"""`steepest compare` and `steepest evaluate --report`."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_cli_reading import refused, run
from test_cli_training import houses, write


def trained(capsys: pytest.CaptureFixture[str], name: str, *options: object, target: str = "price") -> str:
    """Train a model on the table, and return its name."""
    run(capsys, "train", "t.csv", "--target", target, "--out", name, "--hidden", 8, *options)
    return name


@pytest.mark.parametrize("target", ["price", "place"])
def test_the_better_of_two_models_is_told(target: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "t.csv", houses())
    good = trained(capsys, "good", "--epochs", 60, target=target)
    bad = trained(capsys, "bad", "--epochs", 1, "--ignore", "size", target=target)
    out, _ = run(capsys, "compare", good, bad, "t.csv")
    assert "300 rows of t.csv: A is good, B is bad" in out and "B - A" in out and "A is better" in out
    assert "B is better" in run(capsys, "compare", bad, good, "t.csv")[0]
    assert "No difference that could not be chance" in run(capsys, "compare", good, good, "t.csv")[0]


def test_models_of_different_things_are_not_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "t.csv", houses())
    first, other = trained(capsys, "first", "--epochs", 1), trained(capsys, "other", "--epochs", 1, target="place")
    assert "predict different things" in refused(capsys, "compare", first, other, "t.csv")
    assert "no: No such file" in refused(capsys, "compare", first, "no", "t.csv")
    assert "t.csv: not a" in refused(capsys, "compare", first, "t.csv", "t.csv")


def test_a_report_is_one_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    write(folder / "t.csv", houses())
    name = trained(capsys, "m", "--epochs", 15)
    out, _ = run(capsys, "evaluate", name, "t.csv", "--report", "report.html")
    page = (folder / "report.html").read_text()
    assert "Wrote report.html" in out and page.startswith("<!DOCTYPE html>") and "scaled by quartiles" in page
    assert "src=" not in page and "http" not in page.split("<body")[1].split("w3.org")[0]
    first = (folder / "report.html").read_bytes()
    run(capsys, "evaluate", name, "t.csv", "--report", "report.html")
    assert (folder / "report.html").read_bytes() == first
    assert "--report m is the same file as m" in refused(capsys, "evaluate", name, "t.csv", "--report", name)
