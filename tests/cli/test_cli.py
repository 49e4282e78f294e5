"""The `steepest` command, run as people run it: what it writes, says and returns."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

import steepest as st
from helpers import normal
from steepest import cli

Run = subprocess.CompletedProcess[str]


def steepest(*arguments: object, folder: Path | None = None) -> Run:
    """Run the command in a folder."""
    command = [sys.executable, "-W", "error", "-m", "steepest", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)


def succeeded(*arguments: object, folder: Path | None = None) -> str:
    """Run the command, which must succeed, and return its output."""
    run = steepest(*arguments, folder=folder)
    assert run.returncode == 0, run.stderr
    return run.stdout


def is_refused(run: Run, *parts: str) -> None:
    """Assert that a mistake has been answered by one line that says which."""
    assert run.returncode == 2, run
    assert run.stdout == ""
    assert run.stderr.startswith("steepest: ") and run.stderr.count("\n") == 1, run.stderr
    assert all(part in run.stderr for part in parts), run.stderr


def metric(output: str, name: str) -> float:
    """The value of a metric in a printed table."""
    found = re.search(rf"{name} +│ +([-\d.,e]+)", output)
    assert found, output
    return float(found[1].replace(",", ""))


def rows_of(text: str) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(text)))


# --- Tables ---


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of prices, which follow from size and place, and a model of it."""
    folder = tmp_path_factory.mktemp("houses")
    rng = np.random.default_rng(0)
    size, place = rng.uniform(20, 200, 600), rng.choice(["hill", "lake, north", "NA"], 600)
    price = 1000 * size * np.where(place == "hill", 3, 2) + 1e4 * normal(1, (600,))
    with open(folder / "houses.csv", "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "place", "code", "price"])
        for i in range(600):
            writer.writerow([f"{size[i]:.1f}" if i % 50 else "NA", place[i], f"{i % 3:03}x", f"{price[i]:.0f}"])
    output = succeeded("train", "houses.csv", "--target", "price", "--epochs", 30, folder=folder)
    (folder / "train.txt").write_text(output)
    return folder


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of cats and dogs, and a model of it."""
    folder = tmp_path_factory.mktemp("pets")
    weight = np.concatenate([4 + normal(0, (100,)), 20 + 3 * normal(1, (200,))])
    lines = [f"{w:.2f},{'cat' if i < 100 else 'dog'}" for i, w in enumerate(weight)]
    (folder / "pets.csv").write_text("\n".join(["weight,kind", *lines]))
    options = ["--target", "kind", "--hidden", 16, "--epochs", 20, "--out", "pets.model", "--seed", 1]
    (folder / "train.txt").write_text(succeeded("train", "pets.csv", *options, folder=folder))
    return folder


def test_train_tells_how_well_it_does(houses: Path) -> None:
    output = (houses / "train.txt").read_text()
    assert "600 rows, 3 columns" in output and "regression of price" in output
    assert "384 rows to train on, 96 to choose the best epoch by, 120 held out" in output
    assert metric(output, "r2") > 0.95
    assert 5_000 < metric(output, "rmse") < 30_000
    assert "Wrote model.safetensors" in output


def test_predictions_are_in_the_targets_units(houses: Path) -> None:
    rows = rows_of(succeeded("predict", "model.safetensors", "houses.csv", folder=houses))
    truth = np.array([float(row["price"]) for row in rows_of((houses / "houses.csv").read_text("utf-8-sig"))])
    said = np.array([float(row["prediction"]) for row in rows])
    assert len(said) == 600 and list(rows[0]) == ["prediction"]
    assert np.median(np.abs(said - truth)) < 20_000
    assert metric(succeeded("evaluate", "model.safetensors", "houses.csv", folder=houses), "mae") == pytest.approx(
        np.abs(said - truth).mean(), rel=1e-4
    )


def test_predictions_are_the_networks(houses: Path) -> None:
    from steepest.files import read_table

    output = succeeded("predict", "model.safetensors", "houses.csv", "--out", "said.csv", folder=houses)
    assert output == "Wrote 600 predictions of price to said.csv\n"
    said = [float(row["prediction"]) for row in rows_of((houses / "said.csv").read_text())]
    again = st.load(houses / "model.safetensors").predict(read_table(houses / "houses.csv"))
    assert said == pytest.approx(again, rel=1e-9)


def test_columns_go_by_name_and_others_are_ignored(houses: Path) -> None:
    # Only codes that look like numbers, and no price.
    (houses / "some.csv").write_text("more,code,place,size\n1,001,hill,100\n2,7,new,\n3,002x,hill,100\n")
    said = rows_of(succeeded("predict", "model.safetensors", "some.csv", folder=houses))
    assert len(said) == 3
    assert all(1e4 < float(row["prediction"]) < 1e6 for row in said)
    assert float(said[0]["prediction"]) == pytest.approx(300_000, rel=0.15)


def test_missing_column_is_refused_by_name(houses: Path) -> None:
    (houses / "less.csv").write_text("place,code\nhill,001x\n")
    is_refused(steepest("predict", "model.safetensors", "less.csv", folder=houses), "no column 'size'")
    is_refused(steepest("evaluate", "model.safetensors", "less.csv", folder=houses), "less.csv: no column 'price'")
    (houses / "odd.csv").write_text("place,code,size\nhill,001x,large\n")
    is_refused(steepest("predict", "model.safetensors", "odd.csv", folder=houses), "'size' is text such as 'large'")


def test_classification(pets: Path) -> None:
    output = (pets / "train.txt").read_text()
    assert "classification of kind (2 classes)" in output
    assert metric(output, "accuracy") > 0.97 and metric(output, "log_loss") < 0.1
    assert metric(output, "majority_accuracy") == pytest.approx(2 / 3, abs=0.01)
    (pets / "new.csv").write_text("weight\n3.5\n25\n")
    rows = rows_of(succeeded("predict", "pets.model", "new.csv", folder=pets))
    assert [row["prediction"] for row in rows] == ["cat", "dog"]
    shares = np.array([[float(row["probability_cat"]), float(row["probability_dog"])] for row in rows])
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert shares.argmax(axis=1).tolist() == [0, 1]
    assert metric(succeeded("evaluate", "pets.model", "pets.csv", folder=pets), "accuracy") > 0.97


def test_same_seed_same_model(pets: Path) -> None:
    options = ["--target", "kind", "--hidden", 16, "--epochs", 20, "--seed", 1, "--out", "again.model"]
    succeeded("train", "pets.csv", *options, folder=pets)
    assert (pets / "again.model").read_bytes() == (pets / "pets.model").read_bytes()


def test_task_may_be_said(tmp_path: Path) -> None:
    lines = [f"{i % 7},{i % 5},{'true' if i % 7 > 3 else 'false'}" for i in range(100)]
    (tmp_path / "rows.csv").write_text("\n".join(["a;b;c", *lines]).replace(",", ";"))
    options = ["--epochs", 5, "--hidden", 8, "--delimiter", ";"]
    output = succeeded("train", "rows.csv", "--target", "a", *options, folder=tmp_path)
    assert "classification of a (7 classes)" in output
    output = succeeded("train", "rows.csv", "--target", "a", "--task", "regression", *options, folder=tmp_path)
    assert "regression of a" in output
    output = succeeded("train", "rows.csv", "--target", "c", *options, folder=tmp_path)
    assert "classification of c (2 classes)" in output
    said = rows_of(succeeded("predict", "model.safetensors", "rows.csv", "--delimiter", ";", folder=tmp_path))
    assert {row["prediction"] for row in said} <= {"true", "false"}
    assert set(said[0]) == {"prediction", "probability_false", "probability_true"}


def test_info(houses: Path) -> None:
    output = succeeded("info", folder=houses)
    assert f"version: {st.__version__}" in output and f"isa: {st.build_info()['isa']}" in output
    output = succeeded("info", "model.safetensors", folder=houses)
    assert "regression of price" in output
    assert re.search(r"^place +text +0 +3 +3 labels, one-hot", output, re.MULTILINE)
    assert "target: price, numbers" in output
    assert str(st.load(houses / "model.safetensors").network_) in output


def test_version_and_help() -> None:
    assert succeeded("--version") == f"steepest {st.__version__}\n"
    for arguments in ([], ["--help"]):
        output = succeeded(*arguments)
        assert all(command in output for command in ("demo", "train", "predict", "evaluate", "info"))
    assert "--target" in succeeded("train", "--help")


# --- Mistakes ---


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["trein"], ["No such command 'trein'"]),
        (["--fast"], ["No such option", "--fast"]),
        (["train"], ["Missing argument 'TABLE'"]),
        (["train", "houses.csv"], ["Missing option '--target'"]),
        (["train", "nothing.csv", "--target", "price"], ["nothing.csv: No such file or directory"]),
        (["train", ".", "--target", "price"], ["model.safetensors: a model file (safetensors): expected a table"]),
        (["train", "houses.csv", "--target", "cost"], ["no column 'cost': found size, place, code, price"]),
        (["train", "houses.csv", "--target", "size"], ["target 'size' has no value in row 0"]),
        (["train", "houses.csv", "--target", "code", "--task", "regression"], ["'code' holds text"]),
        (["train", "houses.csv", "--target", "price", "--task", "sort"], ["--task is 'sort': expected one of auto"]),
        (["train", "houses.csv", "--target", "price", "--hidden", "wide"], ["--hidden is 'wide': expected widths"]),
        (["train", "houses.csv", "--target", "price", "--hidden", "8,-1"], ["--hidden is '8,-1'"]),
        (
            ["train", "houses.csv", "--target", "price", "--epochs", "0"],
            ["--epochs is 0: expected a whole number >= 1"],
        ),
        (["train", "houses.csv", "--target", "price", "--epochs", "few"], ["Invalid value for '--epochs'"]),
        (["train", "houses.csv", "--target", "price", "--seed", "-1"], ["--seed is -1"]),
        (["train", "houses.csv", "--target", "price", "--holdout", "1"], ["--holdout is 1.0"]),
        (["train", "houses.csv", "--target", "price", "--out", "no/model"], ["--out no/model: there is no folder "]),
        (["train", "ragged.csv", "--target", "a"], ["ragged.csv: not a readable CSV file: line 3: found 1 fields"]),
        (["train", "short.csv", "--target", "a"], ["short.csv: 2 rows: expected at least 10"]),
        (["predict", "houses.csv", "houses.csv"], ["houses.csv: not a readable model file"]),
        (["predict", "model.safetensors", "nothing.csv"], ["nothing.csv: No such file or directory"]),
        (["predict", "plain.model", "houses.csv"], ["houses.csv: 4 columns: expected 1, as the model was trained on"]),
        (["evaluate", "plain.model", "houses.csv"], ["plain.model: a network alone, which knows no columns"]),
        (["predict", "odd.model", "houses.csv"], ["odd.model: the preprocessing describes no table: no 'type'"]),
        (["info", "nothing"], ["nothing: No such file or directory"]),
    ],
    ids=lambda value: " ".join(value) if value and len(value) > 1 else None,
)
def test_mistakes_are_answered_by_one_line(
    arguments: list[str],
    parts: list[str],
    houses: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (houses / "ragged.csv").write_text("a,b\n1,2\n3\n")
    (houses / "short.csv").write_text("a,b\n1,2\n3,4\n")
    plain = st.Network(1, [st.Dense(1)])
    plain.save(houses / "plain.model")
    plain.preprocessing = {"other": 1}
    plain.save(houses / "odd.model")
    monkeypatch.chdir(houses)
    code = cli.main(arguments)
    is_refused(Run(arguments, code, *capsys.readouterr()), *parts)


COMMANDS: dict[str, tuple[list[str], str]] = {
    "train": (["train", "table.csv", "--target", "a"], "table.csv"),
    "predict": (["predict", "model", "table.csv"], "table.csv"),
    "predict, model": (["predict", "model", "table.csv"], "model"),
    "explain": (["explain", "table.csv", "--target", "a"], "table.csv"),
    "explain, model": (["explain", "table.csv", "--model", "model"], "model"),
}


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command runs in, with what it reads: neither can be read."""
    for name in ("table.csv", "model"):
        (tmp_path / name).write_text("precious")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("way", ["same path", "absolute", "hard link", "symlink", "symlink of a folder", "descriptor"])
@pytest.mark.parametrize("command", COMMANDS)
def test_r28_no_output_over_an_input(command: str, way: str, inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, name = COMMANDS[command]
    number = os.open(name, os.O_RDONLY)
    out = {
        "same path": name, "absolute": str(inputs / name), "descriptor": f"/proc/self/fd/{number}",
        "symlink of a folder": f"folder/{name}",
    }.get(way, "link")  # fmt: skip
    if way == "descriptor" and not os.path.exists(out):
        pytest.skip("this system has no /proc")
    (inputs / "folder").symlink_to(inputs)
    if way == "hard link":
        os.link(name, "link")
    elif way == "symlink":
        os.symlink(name, "link")
    before = sorted(os.listdir())
    code = cli.main([*arguments, "--out", out])
    os.close(number)
    said = f"--out {out} is the same file as {name}, which is to be read: expected another file"
    is_refused(Run(arguments, code, *capsys.readouterr()), said)
    assert sorted(os.listdir()) == before and Path(name).read_text() == "precious"


@pytest.mark.parametrize("command", ["train", "predict", "explain"])
def test_t09_an_output_that_cannot_be_written_is_refused_first(
    command: str, inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (inputs / "folder").mkdir()
    before = sorted(os.listdir())
    for out, reason in (
        ("folder", "is a folder: expected a file"),
        ("/dev/null", "is a device or a pipe: expected a file"),
        ("x" * 300, "File name too long"),
        ("gone/out", "there is no folder "),
        ("model/out", "Not a directory"),
    ):
        code = cli.main([*COMMANDS[command][0], "--out", out])
        is_refused(Run([command], code, *capsys.readouterr()), f"--out {out}: {reason}")
    assert sorted(os.listdir()) == before


def test_t09_labels_that_no_model_file_holds_are_refused_first(
    inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = [[f"{'long label ' * 200}{i % 200} {c}" for i in range(400)] for c in range(40)]
    table = {f"c{c}": column for c, column in enumerate(columns)} | {"y": [i % 7 / 7 for i in range(400)]}
    pyarrow.parquet.write_table(pyarrow.table(table), inputs / "long.parquet")
    code = cli.main(["train", "long.parquet", "--target", "y", "--out", "out"])
    is_refused(
        Run(["train"], code, *capsys.readouterr()),
        "long.parquet: names and labels take ", "bytes in a model file: expected at most 16,777,216",
    )  # fmt: skip
    assert not (inputs / "out").exists()


def test_t09_the_demonstration_looks_first_whether_it_can_write(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (inputs / "digits.png").mkdir()
    for out, reason in ((".", "digits.png: is a folder"), ("model", "model: File exists"), ("model/x", "Not a")):
        code = cli.main(["demo", "--out", out])
        is_refused(Run(["demo"], code, *capsys.readouterr()), reason)


def test_divergence_is_no_mistake_but_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import steepest.cli._models as models

    def diverge(*_: object, **__: object) -> None:
        raise st.DivergedError("training diverged in epoch 0")

    monkeypatch.setattr(models, "load", diverge)
    assert cli.main(["info", "model"]) == 1
    assert capsys.readouterr().err == "steepest: training diverged in epoch 0\n"


def test_interrupt_is_answered_by_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import steepest.cli._models as models

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "load", interrupt)
    assert cli.main(["info", "model"]) == 130
    assert capsys.readouterr().err.strip() == "steepest: interrupted"


def test_r29_a_model_too_large_for_the_machine_is_refused_in_one_line(houses: Path) -> None:
    table = next(houses.glob("*.csv"))
    for hidden in ("1000000000000", "1000000000,1000000000"):
        run = steepest("train", table, "--target", "price", "--hidden", hidden)
        assert run.returncode == 2 and "would take" in run.stderr and run.stderr.count("\n") == 1, run.stderr


WITHOUT = """
import sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
from steepest.cli import main
sys.exit(main(sys.argv[2:]))
"""


def without(modules: str, *arguments: object, folder: Path) -> Run:
    """Run the command as if modules were not installed."""
    command = [sys.executable, "-W", "error", "-c", WITHOUT, modules, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)


def test_missing_extras_are_named(tmp_path: Path) -> None:
    for module in ("typer", "rich"):
        is_refused(without(module, "info", folder=tmp_path), f"needs {module}: pip install 'steepest[cli]'")
    (tmp_path / "a.csv").write_text("a\n1\n")
    is_refused(without("pyarrow", "train", "a.csv", "--target", "a", folder=tmp_path), "steepest[tables]")
    is_refused(without("sklearn", "demo", folder=tmp_path), "pip install 'steepest[sklearn]'")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_module_is_light() -> None:
    script = "import sys, steepest.cli, steepest; print({'typer', 'rich', 'pyarrow', 'sklearn'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert run.stdout == "set()\n", run.stderr


def test_closed_pipe_leaves_no_trace(houses: Path) -> None:
    command = f"'{sys.executable}' -m steepest predict model.safetensors houses.csv | head -1"
    run = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, cwd=houses)
    assert (run.stdout, run.stderr) == ("prediction\n", "")


# --- The demonstration ---


def test_demo(tmp_path: Path) -> None:
    output = succeeded("demo", "--out", "new/folder", folder=tmp_path)
    accuracy = re.search(r"Test accuracy: ([\d.]+)%", output)
    assert accuracy and float(accuracy[1]) >= 97
    losses = re.search(r"Loss on the training digits: ([\d.]+), in NumPy ([\d.]+)", output)
    assert losses and float(losses[1]) == pytest.approx(float(losses[2]), rel=1e-2)
    assert "epoch 60/60" in output and "times as long" in output and "steepest train" in output
    folder = tmp_path / "new" / "folder"
    assert (folder / "digits.png").read_bytes().startswith(b"\x89PNG")
    from steepest.cli.demo import load_digits

    images, labels = load_digits()
    read = st.load(folder / "digits.safetensors").predict(images.reshape(-1, 64) / 16).argmax(axis=1)
    assert np.mean(read == labels) > 0.98


def test_demo_without_matplotlib(tmp_path: Path) -> None:
    run = without("matplotlib", "demo", "--seed", 1, folder=tmp_path)
    assert run.returncode == 0 and "No picture, which needs matplotlib: pip install 'steepest[plot]'" in run.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["digits.safetensors"]


# --- Real data ---


@pytest.mark.parametrize(
    ("name", "target", "r2"), [("california_housing", "median_house_value", 0.7), ("diamonds", "price", 0.96)]
)
def test_real_tables_in_few_epochs(name: str, target: str, r2: float, shared_data: Path, tmp_path: Path) -> None:
    table = shared_data / f"{name}.csv"
    options = ["--target", target, "--epochs", 4, "--hidden", "64,64"]
    assert metric(succeeded("train", table, *options, folder=tmp_path), "r2") > r2
    said = rows_of(succeeded("predict", "model.safetensors", table, folder=tmp_path))
    truth = [float(row[target]) for row in rows_of(table.read_text())]
    assert np.mean([float(row["prediction"]) for row in said]) == pytest.approx(np.mean(truth), rel=0.05)
