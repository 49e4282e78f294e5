"""The pages of docs: their Python runs, block after block, and prints what they say it prints."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]\d+)?")


def test_there_are_pages() -> None:
    assert {page.name for page in PAGES} >= {"how-a-network-learns.md"}


def test_every_output_stands_below_its_code() -> None:
    for page in PAGES:
        text = page.read_text()
        outputs = [output for _, output in BLOCK.findall(text) if output]
        assert text.count("```text") == len(outputs)


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    blocks = BLOCK.findall(page.read_text())
    if any("sklearn" in code for code, _ in blocks):
        pytest.importorskip("sklearn", reason="the page's data come with scikit-learn")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code, output in blocks:
        exec(compile(code, page.name, "exec"), names)
        printed = capsys.readouterr().out
        # Instruction sets round differently: words must be the same, and numbers nearly so, in a layout of their own.
        assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", output).split(), printed
        found, said = ([float(number) for number in NUMBER.findall(text)] for text in (printed, output))
        assert found == pytest.approx(said, rel=0.05, abs=0.002), printed
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
