"""Tables on the command line: how they are read, from where, and what is said of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import metric, rows_of, steepest, succeeded

from helpers import normal
from steepest import cli

QUICK = ("--hidden", 8, "--epochs", 15)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    """Run a command within this process, which must succeed; what it says on both ways."""
    code = cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out, said.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must be refused in one line, which is returned."""
    code = cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert code == 2 and said.out == "" and said.err.count("\n") == 1, said
    return said.err


def labeled(n: int, cell: Any = str) -> tuple[list[str], list[str]]:
    """Numbers as text, and labels that follow from them."""
    x = normal(0, (n,))
    return [cell(f"{value:.3f}") for value in x], ["yes" if value > 0 else "no" for value in x]


def test_t03_a_stray_mark_is_said_and_harmless(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = labeled(600)
    x[17] = "-"
    (folder / "t.csv").write_text("\n".join(["x,y", *map(",".join, zip(x, y, strict=True))]))
    out, err = run(capsys, "train", "t.csv", "--target", "y", *QUICK)
    assert metric(out, "accuracy") > 0.9
    said = "column 'x': 1 of 600 cells are no numbers and count as missing, the first is '-' in line 19\n"
    assert f"steepest: t.csv: {said}" in err
    (folder / "new.csv").write_text("x\n-\n3\n-3\n")
    out, err = run(capsys, "predict", "model.safetensors", "new.csv")
    assert [row["prediction"] for row in rows_of(out)][1:] == ["yes", "no"] and "line 2" in err


def test_a_table_without_rows_has_nothing_to_measure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = labeled(200)
    (folder / "t.csv").write_text("\n".join(["x,y", *map(",".join, zip(x, y, strict=True))]))
    (folder / "head.csv").write_text("x,y\n")
    run(capsys, "train", "t.csv", "--target", "y", *QUICK)
    model = "model.safetensors"
    for command in (("evaluate", model), ("evaluate", "--report", "page.html", model), ("compare", model, model)):
        assert refused(capsys, *command, "head.csv") == "steepest: head.csv: no rows: expected at least one\n"
    error = refused(capsys, "train", "t.csv", "--target", "y", "--valid", "head.csv", *QUICK)
    assert "head.csv: no rows: expected at least one to choose the best epoch by" in error
    assert not (folder / "page.html").exists()


def test_options_of_columns_that_are_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "t.csv").write_text("x,y\n1,a\n2,b\n")
    for option, value in (("--text", "zip"), ("--dates", "zip=%Y")):
        error = refused(capsys, "train", "t.csv", "--target", "y", option, value)
        assert error == f"steepest: t.csv: no column 'zip', which {option} names: found x, y\n"
    assert "decimal is 'x': expected '.' or ','" in refused(capsys, "train", "t.csv", "--target", "y", "--decimal", "x")


def test_what_is_odd_at_evaluate_is_said_in_a_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = labeled(200)
    (folder / "t.csv").write_text("\n".join(["x,c,y", *map(",".join, zip(x, ["u", "v"] * 100, y, strict=True))]))
    (folder / "o.csv").write_text("\n".join(["x,c,y", *map(",".join, zip(x, ["w", "z"] * 100, y, strict=True))]))
    run(capsys, "train", "t.csv", "--target", "y", *QUICK)
    _, said = run(capsys, "evaluate", "model.safetensors", "o.csv")
    assert (
        said.startswith("steepest: o.csv: column 'c': no label of 200 rows was there in training")
        and said.count("\n") == 1
    )


@pytest.mark.parametrize("declared", [(), ("--sep", ";", "--decimal", ","), ("--delimiter", ";", "--thousands", ".")])
def test_t14_european_tables(declared: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = labeled(200, lambda text: text.replace(".", ","))
    (folder / "t.csv").write_text("\n".join(["x;y", *map(";".join, zip(x, y, strict=True))]))
    out, _ = run(capsys, "train", "t.csv", "--target", "y", *QUICK, *declared)
    assert metric(out, "accuracy") > 0.9
    out, _ = run(capsys, "evaluate", "model.safetensors", "t.csv", *declared)
    assert metric(out, "accuracy") > 0.9


def test_t14_what_cannot_be_decided_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "t.csv").write_text("x;y\n" + "1,234;a\n2,345;b\n" * 10)
    said = refused(capsys, "train", "t.csv", "--target", "y")
    assert "t.csv: line 2: column 'x' has '1,234'" in said and "decimal=" in said
    run(capsys, "train", "t.csv", "--target", "y", "--decimal", ".", *QUICK)


def test_t07_names_that_are_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, _ = labeled(100)
    lines = [f"{a},{i % 5},{float(a) * 2}" for i, a in enumerate(x)]
    (folder / "t.csv").write_text("\n".join(["2020,2021,2022", *lines]))
    out, _ = run(capsys, "train", "t.csv", "--target", "2022", "--epochs", 5)
    assert "regression of 2022" in out and "100 rows, 2 columns" in out
    (folder / "new.csv").write_text("2020,2021\n1,2\n3,4\n")
    assert len(rows_of(run(capsys, "predict", "model.safetensors", "new.csv")[0])) == 2
    (folder / "bare.csv").write_text("\n".join(lines))
    out, _ = run(capsys, "train", "bare.csv", "--target", "f2", "--no-header", "--epochs", 5)
    assert "100 rows, 2 columns" in out
    assert "no column 'f2'" in refused(capsys, "train", "bare.csv", "--target", "f2", "--header")


def test_t10_tables_from_pipes(folder: Path) -> None:
    x, y = labeled(3000)
    text = "\n".join(["x,y", *map(",".join, zip(x, y, strict=True))]) + "\n"
    (folder / "t.csv").write_text(text)
    assert cli.main(["train", "t.csv", "--target", "y", *map(str, QUICK)]) == 0
    expected = succeeded("predict", "model.safetensors", "t.csv", folder=folder)
    command = [sys.executable, "-W", "error", "-m", "steepest", "predict", "model.safetensors"]
    for source in ("-", "/dev/stdin"):
        said = subprocess.run([*command, source], input=text, capture_output=True, text=True, cwd=folder)
        assert said.stdout == expected, said.stderr
    shell = f"{' '.join(command)} <(cat t.csv)"
    assert subprocess.run(["bash", "-c", shell], capture_output=True, text=True, cwd=folder).stdout == expected
    empty = subprocess.run([*command, "-"], input="", capture_output=True, text=True, cwd=folder)
    assert empty.returncode == 2 and "standard input: not a readable table file: found an empty file" in empty.stderr


def test_t11_targets_that_look_like_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = labeled(100)
    codes = {"yes": "001", "no": "010"}
    (folder / "t.csv").write_text("\n".join(["x,y", *(f"{a},{codes[b]}" for a, b in zip(x, y, strict=True))]))
    out, _ = run(capsys, "train", "t.csv", "--target", "y", *QUICK)
    assert "classification of y (2 classes)" in out
    (folder / "new.csv").write_text("x,y\n3,001\n-3,010\n")
    out, _ = run(capsys, "predict", "model.safetensors", "new.csv")
    assert [row["prediction"] for row in rows_of(out)] == ["001", "010"] and "probability_001" in out
    run(capsys, "evaluate", "model.safetensors", "new.csv")
    (folder / "times.csv").write_text("x,y\n" + "1,08:00\n2,09:00\n" * 10)
    assert "target 'y' has the type time64[us]" in refused(capsys, "train", "times.csv", "--target", "y")


@pytest.mark.parametrize("gap", ["", "NA", " n/a ", "?"])
def test_t21_gaps_in_a_target_of_text(gap: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = labeled(200)
    y[7:27] = [gap] * 20
    (folder / "t.csv").write_text("\n".join(["x,y", *map(",".join, zip(x, y, strict=True))]))
    said = refused(capsys, "train", "t.csv", "--target", "y")
    assert "target 'y' has no value in row 7 (the first row is 0; 20 of 200 rows have none)" in said
    assert "--drop-missing-target" in said
    out, err = run(capsys, "train", "t.csv", "--target", "y", "--drop-missing-target", *QUICK)
    assert "180 rows, 1 columns" in out and "classification of y (2 classes)" in out
    assert "steepest: t.csv: 20 of 200 rows have no y, and are left out\n" in err
    assert "no value in row 7" in refused(capsys, "evaluate", "model.safetensors", "t.csv")
    out, _ = run(capsys, "evaluate", "model.safetensors", "t.csv", "--drop-missing-target")
    assert "y in 180 rows" in out


def test_t21_gaps_in_a_target_of_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, _ = labeled(100)
    lines = [f"{a},{'-' if i == 3 else i / 7}" for i, a in enumerate(x)]
    (folder / "t.csv").write_text("\n".join(["x,y", *lines]))
    assert cli.main(["train", "t.csv", "--target", "y"]) == 2
    assert "target 'y' has no value in row 3 (the first row is 0; 1 of 100" in capsys.readouterr().err
    assert "99 rows, 1 columns" in run(capsys, "train", "t.csv", "--target", "y", "--drop-missing-target", *QUICK)[0]


def test_other_options_of_reading(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = labeled(100)
    days = [f"{i % 12 + 1:02}.{i % 9 + 1:02}.2020" for i in range(100)]
    rows = [";".join(row) for row in zip(["-9", *x[1:]], ["-9", *y[1:]], days, strict=True)]
    (folder / "t.csv").write_bytes("\n".join(["\u00fc;y;day", *rows]).encode("latin-1"))
    options = ["--encoding", "latin-1", "--missing", "-9", "--missing", "NA", "--drop-missing-target"]
    assert "dates='%d.%m.%Y'" in refused(capsys, "train", "t.csv", "--target", "y", *options)
    for form in ("%d.%m.%Y", "day=%m.%d.%Y"):
        out, _ = run(capsys, "train", "t.csv", "--target", "y", *options, "--dates", form, *QUICK)
        assert "99 rows, 2 columns" in out
    many = ["--dates", "%d.%m.%Y", "--dates", "day=%d.%m.%Y"]
    assert "--dates is %d.%m.%Y, day=" in refused(capsys, "train", "t.csv", "--target", "y", *options, *many)
    assert "declare its encoding" in refused(capsys, "train", "t.csv", "--target", "y")


def test_folders_and_other_formats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    from pyarrow import feather, parquet

    from steepest.tables import read

    x, y = labeled(200)
    (folder / "t").mkdir()
    for i in range(2):
        part = list(zip(x, y, strict=True))[100 * i : 100 * (i + 1)]
        (folder / "t" / f"{i}.csv").write_text("\n".join(["x,y", *map(",".join, part)]))
    table = read(folder / "t")
    parquet.write_table(table, folder / "t.parquet")
    feather.write_feather(table, folder / "t.feather")
    parquet.write_table(pa.table({"x": x, "y": y}), folder / "text.parquet")
    said = [
        run(capsys, "train", source, "--target", "y", *QUICK)[0]
        for source in ("t", "t.parquet", "t.feather", "text.parquet")
    ]
    numbers = [text.partition("held-out rows")[2] for text in said]
    assert len(set(numbers)) == 1
    (folder / "t" / "2.csv").write_text("x,z\n1,2\n")
    assert "2.csv: the columns x, z: expected x, y, as in" in refused(capsys, "train", "t", "--target", "y")


def test_a_model_given_as_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = labeled(100)
    (folder / "t.csv").write_text("\n".join(["x,y", *map(",".join, zip(x, y, strict=True))]))
    run(capsys, "train", "t.csv", "--target", "y", *QUICK)
    for command in (["train", "--target", "y", "--out", "other"], ["predict", "model.safetensors"]):
        said = refused(capsys, *command, "model.safetensors")
        assert "model.safetensors: a model file (safetensors): expected a table" in said
    assert "not a readable model file" in refused(capsys, "predict", "t.csv", "t.csv")
    assert sorted(os.listdir()) == ["model.safetensors", "t.csv"]
    assert np.isfinite(metric(run(capsys, "evaluate", "model.safetensors", "t.csv")[0], "accuracy"))


def test_help_lists_the_options() -> None:
    for command in ("train", "predict", "evaluate", "explain"):
        said = steepest(command, "--help").stdout
        assert all(option in said for option in ("--sep", "--delimiter", "--decimal", "--no-header", "--dates"))
        assert ("--drop-missing-target" in said) == (command != "predict")
