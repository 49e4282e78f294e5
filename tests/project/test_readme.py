"""The README's Python runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_examples() -> None:
    assert len(BLOCKS) == 5


@pytest.mark.parametrize("block", BLOCKS, ids=["numpy", "scikit-learn", "many networks", "own loop", "diagnosis"])
def test_example_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "sklearn" in block or "cross_validate" in block:
        pytest.importorskip("sklearn", reason="the example's data come with scikit-learn")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
