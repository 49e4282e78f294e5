"""Every example runs, and learns what it says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Import an example by its path and run it; it must say something, in a few lines."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.__doc__
    result: dict[str, float] = module.main()
    assert 3 <= len(capsys.readouterr().out.splitlines()) <= 20
    return result


def test_the_readme_lists_every_example() -> None:
    listed = re.findall(r"^\| \[(\w+\.py)\]\((\w+\.py)\) \|", (EXAMPLES / "README.md").read_text(), re.M)
    assert sorted(listed) == sorted((path.name, path.name) for path in EXAMPLES.glob("*.py"))


def test_cartpole_learns_to_balance(capsys: pytest.CaptureFixture[str]) -> None:
    result = run("cartpole", capsys)
    assert result["first"] < 40
    assert result["last"] > 200


def test_the_learning_net_follows_the_drift(capsys: pytest.CaptureFixture[str]) -> None:
    result = run("drifting_stream", capsys)
    assert result["online"] < 0.3 * result["frozen"]
    assert result["online"] < 0.4 * result["spread"]


def test_the_handler_answers_good_and_refuses_bad_requests(capsys: pytest.CaptureFixture[str]) -> None:
    result = run("request_handler", capsys)
    assert result["accuracy"] > 0.95
    assert (result["answered"], result["refused"]) == (150, 10)


def test_the_autoencoder_beats_pca(capsys: pytest.CaptureFixture[str]) -> None:
    result = run("autoencoder", capsys)
    assert result["autoencoder"] < 0.7 * result["pca"] < 0.7 * result["mean image"]


def test_the_pipeline_finds_a_good_classifier(capsys: pytest.CaptureFixture[str]) -> None:
    result = run("sklearn_pipeline", capsys)
    assert min(result["cross-validation"], result["test"]) > 0.94 > result["larger class"] + 0.2
