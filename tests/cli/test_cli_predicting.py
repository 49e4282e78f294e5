"""`steepest predict`: any number of rows, batch by batch, beside columns that are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_cli import rows_of
from test_cli_reading import refused, run
from test_cli_training import QUICK, houses, write

import steepest as st
from steepest.cli import _predicting


@pytest.fixture
def model(folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A model of places, trained in the folder."""
    run(capsys, "train", write(folder / "t.csv", houses()), "--target", "place", *QUICK)
    return folder / "model.safetensors"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_batches_give_what_all_rows_at_once_give(
    ending: str, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(f"t.{ending}")
    if ending == "parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(st.tables.read("t.csv"), path)
    at_once, _ = run(capsys, "predict", model, path)
    monkeypatch.setattr(_predicting, "_MOST_ROWS", 7)
    in_parts, _ = run(capsys, "predict", model, path)
    assert in_parts == at_once and at_once.count("\n") == 301
    run(capsys, "predict", model, path, "--out", "p.csv")
    assert Path("p.csv").read_text() == at_once
    labels = st.load(model).predict(st.tables.read("t.csv"))
    assert [row["prediction"] for row in rows_of(at_once)] == labels.tolist()


def test_a_file_and_its_copy_as_parquet_have_the_same_predictions(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(st.tables.read("t.csv"), "t.parquet")
    assert run(capsys, "predict", model, "t.csv") == run(capsys, "predict", model, "t.parquet")


def test_columns_that_are_kept_stand_as_they_were(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = houses(4) | {"id": ["007", "42", '"a,""b"""', "é"], "when": ["2020-01-02"] * 4}
    write(Path("new.csv"), table)
    out, _ = run(capsys, "predict", model, "new.csv", "--keep", "id", "--keep", "size", "--no-proba")
    rows = rows_of(out)
    assert list(rows[0]) == ["id", "size", "prediction"]
    assert [row["id"] for row in rows] == ["007", "42", 'a,"b"', "é"]
    assert [float(row["size"]) for row in rows] == table["size"].tolist()
    with_probabilities, _ = run(capsys, "predict", model, "new.csv", "--keep", "id")
    names = ["id", "prediction", "probability_hill", "probability_lake", "probability_town"]
    assert list(rows_of(with_probabilities)[0]) == names


def test_a_column_that_is_not_used_may_change_its_kind(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_predicting, "_MOST_ROWS", 10)
    write(Path("new.csv"), houses(30) | {"note": [*range(15), *(["words"] * 15)]})
    out, err = run(capsys, "predict", model, "new.csv")
    assert len(rows_of(out)) == 30 and err == ""


def test_a_column_that_is_used_may_not(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_predicting, "_MOST_ROWS", 10)
    table: dict[str, Any] = houses(30)
    table["size"] = [*table["size"][:15], *(["words"] * 15)]
    write(Path("new.csv"), table)
    Path("p.csv").write_text("as it was")
    assert "column 'size'" in refused(capsys, "predict", model, "new.csv", "--out", "p.csv")
    assert Path("p.csv").read_text() == "as it was" and not [*Path().glob("*.tmp*")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("t.csv", "--keep", "name"), "no column 'name', which --keep names"),
        (("kept.csv", "--keep", "prediction"), "--keep is 'prediction', which is a column of the predictions"),
        (("other.csv",), "no column 'size'"),
        (("empty.csv",), "empty.csv"),
        (("ragged.csv",), "line 3"),
        (("model.safetensors",), "a model file (safetensors): expected a table"),
    ],
)
def test_a_table_that_is_refused_leaves_the_output_as_it_was(
    arguments: tuple[str, ...], message: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path("kept.csv"), houses(5) | {"prediction": range(5)})
    write(Path("other.csv"), {"width": range(5)})
    Path("empty.csv").write_text("")
    Path("ragged.csv").write_text("size,price\n1,2\n1,2,3\n")
    Path("p.csv").write_text("as it was")
    before = sorted(path.name for path in Path().iterdir())
    assert message in refused(capsys, "predict", model, *arguments, "--out", "p.csv")
    assert Path("p.csv").read_text() == "as it was" and sorted(path.name for path in Path().iterdir()) == before


def test_predictions_are_utf_8_whatever_the_console_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table: dict[str, Any] = houses()
    table["place"] = ["Hügel" if place == "hill" else place for place in table["place"]]
    run(capsys, "train", write(folder / "t.csv", table), "--target", "place", *QUICK)
    command = [sys.executable, "-m", "steepest", "predict", "model.safetensors", "t.csv"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, cwd=folder, env=environment, timeout=120)
    assert done.returncode == 0 and "probability_Hügel".encode() in done.stdout, done.stderr
    training = [*command[:3], "train", "t.csv", "--target", "place", "--hidden", "4", "--epochs", "2"]
    said = subprocess.run(training, capture_output=True, cwd=folder, env=environment, timeout=120)
    assert said.returncode == 0, said.stderr


def test_more_rows_than_a_batch_are_written_in_order(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_predicting, "_MOST_ROWS", 64)
    write(Path("new.csv"), houses(500) | {"id": range(500)})
    out, _ = run(capsys, "predict", model, "new.csv", "--keep", "id", "--no-proba")
    assert [int(row["id"]) for row in rows_of(out)] == list(range(500))
