"""`steepest train`: the rows and columns that it uses, options from a file, going on, an end in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import metric, succeeded
from test_cli_reading import refused, run

import steepest as st
from helpers import normal

QUICK = ("--hidden", 8, "--epochs", 15)


def write(path: Path, columns: dict[str, Any]) -> Path:
    """Write a table of CSV."""
    rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(rows) + "\n")
    return path


def houses(n: int = 300, seed: int = 0) -> dict[str, Any]:
    """A table whose price follows from size and place."""
    size = np.round(normal(seed, (n,)).astype(float), 4)
    place = np.array(["hill", "lake", "town"])[np.arange(n) % 3]
    return {"size": size, "place": place, "price": np.round(3 * size + (place == "lake"), 4)}


def test_it_begins_with_what_becomes_of_each_column(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = houses() | {"one": ["x"] * 300, "id": [f"u{i}" for i in range(300)]}
    out, err = run(capsys, "train", write(folder / "t.csv", table), "--target", "price", *QUICK)
    lines = out.splitlines()
    assert lines[0].endswith("t.csv: 300 rows, 4 columns") and lines[1].split()[:3] == ["column", "kind", "missing"]
    described = {line.split()[0]: line for line in lines[2:6]}
    assert "scaled by quartiles" in described["size"] and "3 labels, one-hot" in described["place"]
    assert "constant: says nothing" in described["one"] and "left out as an id" in described["id"]
    assert lines[6] == "target: price, numbers"
    assert err.count("column 'id': left out as an id") == 1 and "Warning" not in err


def test_without_holdout_it_learns_from_all_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder / "t.csv", houses())
    out, _ = run(capsys, "train", path, "--target", "price", "--holdout", 0, "--hidden", 8, "--out", "all.safetensors")
    assert ", 0 held out" in out and "held-out rows" not in out
    recipe = st.load("all.safetensors").recipe_
    assert recipe["training_rows"] + recipe["held_out_rows"] == 300


@pytest.mark.parametrize("mark", ["", ".0"])
def test_t13_the_task_of_whole_numbers_is_said(mark: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stars = [f"{i % 3}{mark}" for i in range(300)]
    path = write(folder / "t.csv", {"x": normal(0, (300,)), "stars": stars})
    chosen, other = ("regression", "classification") if mark else ("classification", "regression")
    said = "3 different whole numbers, taken for a {}: --task {} takes them for a {}"
    out, _ = run(capsys, "train", path, "--target", "stars", *QUICK)
    assert said.format(chosen, other, other) in "\n".join(out.splitlines()[:5])
    out, _ = run(capsys, "train", path, "--target", "stars", "--task", other, *QUICK)
    assert said.format(other, chosen, chosen) in out and f"{other} of stars" in out


def test_weights_count(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of the rows say the opposite, and weigh nothing: as if they were not there."""
    table = houses(600)
    wrong = np.arange(600) % 2 == 1
    table["price"] = np.where(wrong, -50.0, table["price"])
    path = write(folder / "t.csv", table | {"w": np.where(wrong, 0, 1)})
    out, _ = run(capsys, "train", path, "--target", "price", "--weight", "w", *QUICK, "--epochs", 60)
    assert "w" not in st.load(folder / "model.safetensors")._model.preprocessor.encoder.feature_names
    plain = write(folder / "p.csv", {name: np.asarray(values)[~wrong] for name, values in table.items()})
    out, _ = run(capsys, "evaluate", "model.safetensors", plain)
    assert metric(out, "r2") > 0.9


def test_ignored_columns_are_not_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder / "t.csv", houses() | {"copy": houses()["price"], "note": ["a,b"[0]] * 300})
    run(capsys, "train", path, "--target", "price", "--ignore", "copy", "--ignore", "note", *QUICK)
    encoder = st.load(folder / "model.safetensors")._model.preprocessor.encoder
    assert [column.name for column in encoder.columns] == ["size", "place"]


def test_a_table_of_its_own_chooses_the_best_epoch(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = write(folder / "t.csv", houses()), write(folder / "v.csv", houses(70, seed=1))
    out, _ = run(capsys, "train", path, "--target", "price", "--valid", other, *QUICK)
    assert "240 rows to train on, 70 to choose the best epoch by, 60 held out" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weight", "w"), "no column 'w', which --weight names: found size, place, price"),
        (("--weight", "size"), "column 'size' of --weight has -"),
        (("--weight", "place"), "column 'place' of --weight has no numbers"),
        (("--weight", "price"), "--weight is 'price', which is the target"),
        (("--ignore", "place", "--group", "place"), "--ignore is 'place', which is the column of --group"),
        (("--ignore", "rooms"), "no column 'rooms', which --ignore names"),
        (("--valid", "v.csv", "--time", "size"), "--valid brings rows of its own"),
        (("--valid", "no.csv"), "no.csv: No such file"),
        (("--resume",), "model.safetensors: No such file"),
        (("--threads", 0), "--threads is 0: expected"),
        (("--group", "place", "--time", "size"), "--group and --time are given both"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused_before_a_training(
    options: tuple[object, ...], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "t.csv", houses())
    said = refused(capsys, "train", "t.csv", "--target", "price", *options)
    assert message in said and not (folder / "model.safetensors").exists()


# --- Going on ---


def test_resume_goes_on_with_the_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder / "t.csv", houses())
    run(capsys, "train", path, "--target", "price", "--hidden", 8, "--epochs", 2)
    before = metric(run(capsys, "evaluate", "model.safetensors", path)[0], "r2")
    run(capsys, "train", path, "--target", "price", "--resume", "--epochs", 40)
    assert metric(run(capsys, "evaluate", "model.safetensors", path)[0], "r2") > max(before, 0.9)
    assert "--resume, which goes on with a network" in refused(
        capsys, "train", path, "--target", "price", "--resume", "--hidden", 4
    )
    said = refused(capsys, "train", path, "--target", "size", "--resume")
    assert "is a model of regression of price: expected regression of size" in said


# --- Options from a file ---


def test_a_configuration_that_is_printed_can_be_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder / "t.csv", houses())
    given = ("--target", "price", "--ignore", "place", "--missing", "-", "--missing", 'a"b', "--seed", 3, *QUICK)
    dumped, _ = run(capsys, "train", path, *given, "--dump-config")
    assert not (folder / "model.safetensors").exists()
    (folder / "c.toml").write_text(dumped)
    assert run(capsys, "train", "--config", "c.toml", "--dump-config")[0] == dumped
    out, _ = run(capsys, "train", path, *given)
    first = (folder / "model.safetensors").read_bytes()
    run(capsys, "train", "--config", "c.toml")
    assert (folder / "model.safetensors").read_bytes() == first and "1 columns" in out


def test_the_command_line_goes_before_a_configuration(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "t.csv", houses())
    (folder / "c.toml").write_text(
        'target = "place"\nseed = 5\n[train]\nepochs = 3\nhidden = "4"\n[predict]\nproba = 3\n'
    )
    dumped, _ = run(capsys, "train", "t.csv", "--config", "c.toml", "--target", "price", "--dump-config")
    lines = dumped.splitlines()
    assert {'target = "price"', "seed = 5", "epochs = 3", 'hidden = "4"', "# group ="} <= {*lines}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sead = 3", "'sead' is no option of train: expected some of"),
        ("seed = ", "not a file of TOML"),
        ("train = 3", "train is 3: expected a table [train]"),
        ('seed = "many"', "Invalid value for '--seed'"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_refused(
    text: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "t.csv", houses())
    (folder / "c.toml").write_text(text)
    assert message in refused(capsys, "train", "t.csv", "--target", "price", "--config", "c.toml")


def test_threads_change_nothing_but_the_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder / "t.csv", houses())
    before, written = st.get_num_threads(), []
    try:
        for n in (1, 2):
            run(capsys, "train", path, "--target", "price", "--threads", n, *QUICK)
            assert st.get_num_threads() == n
            written.append((folder / "model.safetensors").read_bytes())
    finally:
        st.set_num_threads(before)
    assert written[0] == written[1]


# --- An end in the middle ---


def test_a_column_that_changes_is_refused_where_nothing_says_what_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = [f"{i}" if i < 150 else f"w{i}" for i in range(300)]
    path = write(folder / "t.csv", houses() | {"code": codes})
    error = refused(capsys, "train", path, "--target", "price", *QUICK)
    assert "line 152: column 'code' has 'w150': numbers before it, and none from there on" in error
    for option in ("--text", "--ignore"):
        run(capsys, "train", path, "--target", "price", option, "code", *QUICK)
        run(capsys, "evaluate", "model.safetensors", path)
        run(capsys, "predict", "model.safetensors", path, "--out", "p.csv")


@pytest.mark.parametrize("errors", [None, subprocess.STDOUT], ids=["output", "errors too"])
def test_t24_who_listens_may_go(errors: int | None, folder: Path) -> None:
    path = write(folder / "t.csv", houses())
    command = [sys.executable, "-m", "steepest", "train", str(path), "--target", "price", "--hidden", "8"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    training = subprocess.Popen(
        [*command, "--epochs", "15"], stdout=subprocess.PIPE, stderr=errors, cwd=folder, env=environment
    )
    assert training.stdout is not None
    training.stdout.readline()
    training.stdout.close()
    assert training.wait(120) == 0
    assert "price" in succeeded("info", "model.safetensors", folder=folder)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_keeps_the_best_so_far(folder: Path) -> None:
    path = write(folder / "t.csv", houses(3000))
    command = [sys.executable, "-m", "steepest", "train", str(path), "--target", "price", "--hidden", "1024,1024"]
    training = subprocess.Popen(
        [*command, "--epochs", "10"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, text=True
    )
    assert training.stderr is not None
    try:
        first = training.stderr.readline()  # where no terminal shows a bar, ten epochs have a line each
        training.send_signal(signal.SIGINT)
        out, err = training.communicate(timeout=120)
    finally:
        training.kill()
    assert first.startswith("epoch 1/10") and training.returncode == 130, err
    assert "Interrupted: what was best until then is kept." in out and "Traceback" not in err
    assert len(err.splitlines()) < 9
    assert metric(succeeded("evaluate", "model.safetensors", path, folder=folder), "r2") > 0.5


@pytest.mark.parametrize("preset", [None, "best"])
def test_the_command_trains_what_python_trains(
    preset: str | None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(folder / "t.csv", houses(120))
    asked = () if preset is None else ("--preset", preset)
    run(capsys, "train", path, "--target", "price", "--holdout", 0, "--out", "all.safetensors", *asked)
    table = st.tables.read(path)
    x, y = table.drop_columns(["price"]), table["price"].to_numpy()
    own = st.MLPRegressor(preset=preset, random_state=0).fit(x, y)
    np.testing.assert_array_equal(st.load("all.safetensors").predict(x), own.predict(x))
