"""The recipes of docs/scaling.md run as they stand there, on the engine that each names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
RECIPES = dict(re.findall(r"```python (\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL))


def run(name: str, folder: Path, **given: Any) -> dict[str, Any]:
    """Run a recipe as a file, so that workers find its functions; return its names."""
    names = {"__name__": name, **given}
    exec(compile(RECIPES[name], str(folder / f"{name}.py"), "exec"), names)
    return names


def test_there_is_a_recipe_for_each_engine() -> None:
    assert RECIPES.keys() == {"mpi", "dask", "ray", "spark"}


def test_mpi(mpirun: Any, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(RECIPES["mpi"])
    done = mpirun(2, "-m", "mpi4py", "train.py")
    assert done.returncode == 0, done.stderr
    assert st.Trainer.resume(tmp_path / "trainer.safetensors").n_steps == 5 * 40


def test_dask(tmp_path: Path) -> None:
    pytest.importorskip("dask.distributed", reason="Dask is not installed")
    (tmp_path / "recipe.py").write_text(f'if __name__ == "__main__":\n{_indented(RECIPES["dask"])}    print(network)\n')
    done = subprocess.run([sys.executable, "recipe.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Network: 8 -> 1")


def _indented(code: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in code.splitlines(keepends=True))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray's own settings
def test_ray(ray: Any, tmp_path: Path) -> None:
    found = run("ray", tmp_path, ray=ray)
    assert found["scores"].min() > 0.5
    assert np.array_equal(np.sort(found["table"]["prediction"]), np.sort(found["model"].predict(found["rows"])))


@pytest.mark.filterwarnings("ignore")  # Spark is behind pandas, and says so in several ways
def test_spark(spark: Any, tmp_path: Path) -> None:
    found = run("spark", tmp_path, spark=spark)
    truth = dict(zip(found["frame"]["a"], found["model"].predict(found["frame"]), strict=True))
    for a, prediction in zip(found["table"]["a"], found["table"]["prediction"], strict=True):
        assert prediction == pytest.approx(truth[a], rel=1e-5, abs=1e-6)
