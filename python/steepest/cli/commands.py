"""The commands behind `steepest`: each reads files, calls the library and prints."""

from __future__ import annotations

import csv
import io
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .._core import __version__, build_info
from .._extras import require
from .._safe_io import check_writable, write_atomically
from .._validation import integer, number
from ..network import Network
from ..tables import LabelFeatures, NumberFeatures
from ._reading import Reading, reads_tables
from .console import as_field, print_numbers

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Train dense neural networks on the CPU and use them.",
)

ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file that `steepest train` wrote.")]
TablePath = Annotated[
    Path,
    typer.Argument(
        metavar="TABLE", help="A file of CSV, Parquet, Arrow, JSON lines or arrays, a folder of such, or -."
    ),
]


@app.callback(invoke_without_command=True)
def steepest(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Print the version, if asked."""
    if version:
        print(f"steepest {__version__}")
        raise typer.Exit()


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the model and the picture.")] = Path("."),
    seed: Annotated[int, typer.Option(help="Seed of the first weights and of the order of the digits.")] = 0,
) -> None:
    """Watch a network learn to read handwritten digits, in about a second."""
    from .demo import run

    run(out, seed=integer("--seed", seed, ge=0), console=_console())


@app.command()
@reads_tables()
def train(
    table: TablePath,
    target: Annotated[str, typer.Option(help="Name of the column to predict.")],
    task: Annotated[str, typer.Option(help="auto, classification or regression.")] = "auto",
    hidden: Annotated[str | None, typer.Option(help="Widths of the hidden layers, such as 256,256.")] = None,
    epochs: Annotated[int | None, typer.Option(help="The most epochs; by default it depends on the rows.")] = None,
    out: Annotated[Path, typer.Option(help="Model file to write.")] = Path("model.safetensors"),
    holdout: Annotated[float, typer.Option(help="Share of the rows held out for the final metrics.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of the split, the first weights and the shuffling.")] = 0,
    *,
    reading: Reading,
) -> None:
    """Train a network on a table, and measure it on rows that it has never seen."""
    _require_sklearn()
    from ._training import Job

    asked = _asked(hidden, epochs)
    seed, holdout = integer("--seed", seed, ge=0), number("--holdout", holdout, gt=0, lt=1)
    _check_out(out, table)
    console = _console()
    read = reading.table(table, names=[target])
    job = Job.of(table, read, target, task=task, holdout=holdout, seed=seed, reading=reading)
    job.check_saveable()
    estimator, _ = job.fit(console, asked, seed)
    estimator.save(out)
    console.print(f"Wrote {out}. Next: steepest predict {out} TABLE --out predictions.csv", soft_wrap=True)


@app.command()
@reads_tables(without=("drop_missing_target",))
def predict(
    model: ModelPath,
    table: TablePath,
    out: Annotated[Path | None, typer.Option(help="CSV file to write; by default standard output.")] = None,
    *,
    reading: Reading,
) -> None:
    """Predict every row of a table: CSV with a prediction column, and probabilities of classes."""
    _require_sklearn()
    from ._models import load_model, predictions, read_for, rows_for

    if out is not None:
        _check_out(out, model, table)
    read = load_model(model)
    rows = rows_for(read, read_for(read, table, reading), table)
    columns = predictions(read, rows)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*([_field(name, value) for value in column] for name, column in columns.items()), strict=True))
    if out is None:
        sys.stdout.write(text.getvalue())
        sys.stdout.flush()  # here, where a closed pipe can still be dealt with
        return
    write_atomically(out, text.getvalue().encode())
    n, target = len(next(iter(columns.values()))), getattr(read, "target_name_", None)
    of = f" of {target}" if target else ""
    _console().print(f"Wrote {n:,} predictions{of} to {out}", soft_wrap=True)


@app.command()
@reads_tables()
def evaluate(
    model: ModelPath,
    table: TablePath,
    target: Annotated[
        str | None, typer.Option(help="Name of the column to predict; by default as in training.")
    ] = None,
    *,
    reading: Reading,
) -> None:
    """Measure a model on the rows of a table that has the target's column."""
    _require_sklearn()
    from ._models import load_estimator, measured_rows, score

    estimator = load_estimator(model)
    name, rows, truth = measured_rows(estimator, table, reading, target)
    numbers = score(estimator, rows, name, truth)
    print_numbers(_console(), f"{name} in {len(truth):,} rows of {table}", numbers)


@app.command()
@reads_tables()
def explain(
    context: typer.Context,
    table: Annotated[Path | None, typer.Argument(metavar="[TABLE]", help="A CSV or Parquet file.")] = None,
    target: Annotated[str | None, typer.Option(help="Name of the column to predict: trains, and shows how.")] = None,
    model: Annotated[Path | None, typer.Option(help="Model file to show on the table, in place of a target.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Show two small networks learn, without a table.")] = False,
    task: Annotated[str, typer.Option(help="auto, classification or regression.")] = "auto",
    hidden: Annotated[str | None, typer.Option(help="Widths of the hidden layers, such as 256,256.")] = None,
    epochs: Annotated[int | None, typer.Option(help="The most epochs; by default it depends on the rows.")] = None,
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("explain.html"),
    holdout: Annotated[float, typer.Option(help="Share of the rows held out for the final metrics.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of the split, the first weights and the shuffling.")] = 0,
    *,
    reading: Reading,
) -> None:
    """Write a page that shows how a network learns: cost, gradients, landscape, backpropagation, diagnosis."""
    from ..explain import demo_page, require_matplotlib

    asked = _asked(hidden, epochs)
    seed, holdout = integer("--seed", seed, ge=0), number("--holdout", holdout, gt=0, lt=1)
    training = ("task", "hidden", "epochs", "holdout")
    if demo:
        _refuse(context, "--demo, which brings its own networks and rows", "table", "target", "model", *training)
    elif model is not None:
        _refuse(context, "--model, which shows a network as it is", "target", *training, "seed")
    _check_out(out, table, model)
    require_matplotlib()
    console = _console()
    if demo:
        console.print("Training on XOR and on two spirals")
        page = demo_page(seed)
    elif table is None:
        raise ValueError("TABLE is missing: expected a table with --target or --model, or --demo")
    elif model is not None:
        page = _page_of_model(model, table, reading, console)
    elif target is not None:
        page = _page_of_training(table, target, task, holdout, asked, seed, reading, console)
    else:
        raise ValueError(f"{table}: expected --target NAME to train, or --model FILE to show a model")
    write_atomically(out, page.encode())
    console.print(f"Wrote {out}: open it in a browser", soft_wrap=True)


@app.command()
def info(model: Annotated[Path | None, typer.Argument(metavar="[MODEL]", help="A model file.")] = None) -> None:
    """Describe a model, or this installation."""
    if model is None:
        for name, value in build_info().items():
            print(f"{name.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}")
        return
    _require_sklearn()
    from ._models import describe_task, encoder_of, load_model

    read = load_model(model)
    if isinstance(read, Network):
        print(read)
        return
    if len(read.networks_) > 1:
        print(f"{len(read.networks_)} networks, of which this is the first:")
    print(read.network_)
    encoder = encoder_of(read)
    print(f"\n{describe_task(read)}, from {read.n_features_in_} columns{' of numbers' if encoder is None else ':'}")
    for column in () if encoder is None else encoder.columns:
        kind = "numbers" if isinstance(column, NumberFeatures) else column.kind
        kind += f", {len(column.labels)} labels" if isinstance(column, LabelFeatures) else ""
        print(f"  {column.name} ({kind}; {column.n_features} features)")


def _page_of_model(model: Path, table: Path, reading: Reading, console: Console) -> str:
    _require_sklearn()
    from ..explain import table_page, table_subject
    from ._models import encoder_with_target, load_estimator, measured_rows, score

    estimator = load_estimator(model)
    encoder = encoder_with_target(estimator, model)
    name, rows, truth = measured_rows(estimator, table, reading)
    numbers = score(estimator, rows, name, truth)
    print_numbers(console, f"{name} in {len(truth):,} rows of {table}", numbers)
    subject = table_subject(estimator.network_, encoder, encoder.transform(rows), encoder.encode_target(truth))
    n = len(estimator.networks_)
    which = "The network" if n == 1 else f"The first of {n} networks"
    source = f"{which} was read from {model.name}, and is shown on the {len(truth):,} rows of {table.name}."
    return table_page(subject, encoder, source, numbers, "on these rows" + f", {n} networks together" * (n > 1))


def _page_of_training(
    table: Path,
    target: str,
    task: str,
    holdout: float,
    asked: dict[str, Any],
    seed: int,
    reading: Reading,
    console: Console,
) -> str:
    _require_sklearn()
    from ..descent import Recorder
    from ..explain import RECORDED_ROWS, table_page, table_subject
    from ._models import encoder_with_target
    from ._training import Job

    read = reading.table(table, names=[target])
    job = Job.of(table, read, target, task=task, holdout=holdout, seed=seed, reading=reading)
    recorder = Recorder(every=1, rows=RECORDED_ROWS)
    estimator, numbers = job.fit(console, {"ensemble": 1} | asked, seed, [recorder])
    encoder, found = encoder_with_target(estimator, table), estimator.recipe_
    assert recorder.fit is not None and recorder.fit.data is not None  # arrays have been trained on
    x, y, _ = recorder.fit.data
    chosen = found["held_out_rows"]
    subject = table_subject(
        estimator.network_, encoder, x, y, estimator.history_, recorder,
        kept_best=chosen > 0, temperature=found.get("temperature", 1.0),
    )  # fmt: skip
    others = (
        f"{chosen:,} others chose the best epoch" if chosen else "none chose an epoch, so the last one's weights count"
    )
    source = (
        f"{table.name} has {len(job.truth):,} rows and {len(encoder.columns):,} columns besides {target}; "
        f"they became {encoder.n_features:,} inputs. The network trained on {found['training_rows']:,} rows; "
        f"{others}, and {len(job.held_out):,} were held out to measure."
    )
    return table_page(subject, encoder, source, numbers, "on rows held out")


def _require_sklearn() -> None:
    """Raise ModuleNotFoundError, with the extra to install, where the estimators cannot be imported."""
    require("sklearn", "scikit-learn", "the command line")


def _console() -> Console:
    return Console(highlight=False, markup=False)


def _refuse(context: typer.Context, beside: str, *names: str) -> None:
    """Refuse parameters that were given on the command line, though they say nothing there."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise ValueError(f"{name.upper() if name == 'table' else f'--{name}'} does not go with {beside}")


def _check_out(out: Path, *inputs: Path | None) -> None:
    """Refuse a file that could not be written, or that is one of the inputs: before a training, not after it."""
    for path in inputs:
        if path is not None and os.path.exists(path) and os.path.exists(out) and os.path.samefile(path, out):
            raise ValueError(f"--out {out} is the same file as {path}, which is to be read: expected another file")
    try:
        check_writable(out)
    except OSError as error:
        raise ValueError(f"--out {out}: {error.strerror}") from error


def _asked(hidden: str | None, epochs: int | None) -> dict[str, Any]:
    """Return the estimator's parameters that the user decides."""
    asked: dict[str, Any] = {} if hidden is None else {"hidden_layer_sizes": _widths(hidden)}
    return asked if epochs is None else asked | {"max_iter": integer("--epochs", epochs, ge=1)}


def _widths(text: str) -> list[int]:
    try:
        return [integer("--hidden", int(width), ge=1) for width in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--hidden is {text!r}: expected widths such as 256,256") from error


def _field(name: str, value: Any) -> str:
    """Write a value of a column as CSV files have it, probabilities with six digits."""
    return f"{value:.6g}" if name.startswith("probability_") else as_field(value)
