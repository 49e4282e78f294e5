"""The commands behind `steepest`: each reads files, calls the library and prints."""

from __future__ import annotations

import csv
import io
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from .. import files
from .._core import __version__, build_info
from .._safe_io import write_atomically
from .._validation import choice, integer, number
from ..callbacks import History
from ..network import Network, load
from ..recipe import Recipe, probabilities, score
from ..tables import TASKS, Classes, LabelFeatures, TableEncoder, infer_task
from ..tables._columns import read_target
from ..tables.split import split_rows
from .console import ProgressBar, print_numbers

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Train dense neural networks on the CPU and use them.",
)

_FEWEST_ROWS = 10
_VALIDATION_SHARE = 0.1  # of the rows that are not held out

ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file that `steepest train` wrote.")]
TablePath = Annotated[Path, typer.Argument(metavar="TABLE", help="A CSV (perhaps gzipped) or Parquet file.")]
Delimiter = Annotated[str, typer.Option(help=r"Character between fields of a CSV file; \t for a tab.")]


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
def train(
    table: TablePath,
    target: Annotated[str, typer.Option(help="Name of the column to predict.")],
    task: Annotated[str, typer.Option(help="auto, classification or regression.")] = "auto",
    hidden: Annotated[str | None, typer.Option(help="Widths of the hidden layers, such as 256,256.")] = None,
    epochs: Annotated[int | None, typer.Option(help="The most epochs; by default it depends on the rows.")] = None,
    out: Annotated[Path, typer.Option(help="Model file to write.")] = Path("model.safetensors"),
    holdout: Annotated[float, typer.Option(help="Share of the rows held out for the final metrics.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of the split, the first weights and the shuffling.")] = 0,
    delimiter: Delimiter = ",",
) -> None:
    """Train a network on a table, and measure it on rows that it has never seen."""
    asked = _asked(hidden, epochs)
    seed, holdout = integer("--seed", seed, ge=0), number("--holdout", holdout, gt=0, lt=1)
    _check_folder(out)
    console = _console()
    job = _job(table, target, task, holdout, seed, delimiter, console, asked)
    start = time.perf_counter()
    network, history = job.recipe.train(
        *job.rows("training"),
        job.rows("validation"),
        task=job.encoder.task,
        n_outputs=job.encoder.n_outputs,
        seed=seed,
        callbacks=[_progress(job.encoder)],
    )
    _print_trained(console, history, time.perf_counter() - start)
    held, _ = job.rows("held")
    numbers = score(job.encoder, network.predict(held), job.truth[job.places["held"]])
    print_numbers(console, f"On the {len(held):,} held-out rows", numbers)
    network.preprocessing = job.encoder.to_dict()
    network.save(out)
    console.print(f"Wrote {out}. Next: steepest predict {out} TABLE --out predictions.csv", soft_wrap=True)


@app.command()
def predict(
    model: ModelPath,
    table: TablePath,
    out: Annotated[Path | None, typer.Option(help="CSV file to write; by default standard output.")] = None,
    delimiter: Delimiter = ",",
) -> None:
    """Predict every row of a table: CSV with a prediction column, and probabilities of classes."""
    network, encoder = _load(model)
    outputs = network.predict(encoder.transform(_read(encoder, table, delimiter)))
    names, columns = ["prediction"], [[_field(value) for value in encoder.decode_target(outputs).tolist()]]
    if isinstance(encoder.target, Classes):
        names += [f"probability_{_field(label)}" for label in encoder.target.labels]
        columns += [[f"{share:.6g}" for share in column] for column in probabilities(outputs).T.tolist()]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))
    if out is None:
        sys.stdout.write(text.getvalue())
        sys.stdout.flush()  # here, where a closed pipe can still be dealt with
    else:
        write_atomically(out, text.getvalue().encode())
        _console().print(f"Wrote {len(outputs):,} predictions of {encoder.target_name} to {out}", soft_wrap=True)


@app.command()
def evaluate(model: ModelPath, table: TablePath, delimiter: Delimiter = ",") -> None:
    """Measure a model on the rows of a table that has the target's column."""
    network, encoder = _load(model)
    read = _read(encoder, table, delimiter)
    truth = _target_of(read, encoder.target_name, table)
    if not len(truth):
        raise ValueError(f"{table}: no rows: expected at least one")
    numbers = score(encoder, network.predict(encoder.transform(read)), truth)
    print_numbers(_console(), f"{encoder.target_name} in {len(truth):,} rows of {table}", numbers)


@app.command()
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
    delimiter: Delimiter = ",",
) -> None:
    """Write a page that shows how a network learns: cost, gradients, landscape, backpropagation, diagnosis."""
    from .. import explain as pages

    asked = _asked(hidden, epochs)
    seed, holdout = integer("--seed", seed, ge=0), number("--holdout", holdout, gt=0, lt=1)
    training = ("task", "hidden", "epochs", "holdout")
    if demo:
        _refuse(context, "--demo, which brings its own networks and rows", "table", "target", "model", *training)
    elif model is not None:
        _refuse(context, "--model, which shows a network as it is", "target", *training, "seed")
    _check_folder(out)
    pages.require_matplotlib()
    console = _console()
    if demo:
        console.print("Training on XOR and on two spirals")
        page = pages.demo_page(seed)
    elif table is None:
        raise ValueError("TABLE is missing: expected a table with --target or --model, or --demo")
    elif model is not None:
        page = _page_of_model(model, table, delimiter, console)
    elif target is not None:
        job = _job(table, target, task, holdout, seed, delimiter, console, asked)
        page = _page_of_training(job, seed, table, console)
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
    network = load(model)
    print(network)
    if network.preprocessing is None:
        return
    encoder = _encoder_of(network, model)
    print(f"\n{encoder.task} of {encoder.target_name}{_classes_of(encoder)}, from the columns")
    for column in encoder.columns:
        kind = f"{column.kind}, {len(column.labels)} labels" if isinstance(column, LabelFeatures) else "numbers"
        print(f"  {column.name} ({kind}; {column.n_features} features)")


@dataclass(frozen=True)
class _Job:
    """A table made ready for training: its rows as features, and which of them are for what."""

    recipe: Recipe
    encoder: TableEncoder
    x: NDArray[np.float32]
    y: NDArray[Any]
    truth: NDArray[Any]
    places: dict[str, NDArray[np.intp]]

    def rows(self, part: str) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Return features and targets of the rows for training, validation, or held out."""
        return self.x[self.places[part]], self.y[self.places[part]]


def _job(
    table: Path,
    target: str,
    task: str,
    holdout: float,
    seed: int,
    delimiter: str,
    console: Console,
    asked: dict[str, Any],
) -> _Job:
    """Read a table, split it, and say so."""
    read = files.read_table(table, delimiter=_character(delimiter))
    truth = _target_of(read, target, table)
    if len(truth) < _FEWEST_ROWS:
        raise ValueError(f"{table}: {len(truth)} rows: expected at least {_FEWEST_ROWS}")
    kind = infer_task(target, truth) if choice("--task", task, TASKS) == "auto" else task
    labels = Classes.fit(target, truth).encode(target, truth) if kind == "classification" else None
    kept, held = split_rows(np.arange(len(truth)), holdout, seed, labels)
    training, validation = split_rows(kept, _VALIDATION_SHARE, seed, None if labels is None else labels[kept])
    recipe = replace(Recipe.for_rows(len(kept)), networks=1, **asked)  # a file holds one network
    encoder = TableEncoder(bins=recipe.bins).fit(read, truth, kind, target_name=target, rows=training)
    places = {"training": training, "validation": validation, "held": held}
    console.print(
        f"{table}: {len(truth):,} rows, {len(encoder.columns)} columns as {encoder.n_features} features; "
        f"{encoder.task} of {target}{_classes_of(encoder)}\n"
        f"{len(training):,} rows to train on, {len(validation):,} to choose the best epoch by, {len(held):,} held out",
        soft_wrap=True,
    )
    return _Job(recipe, encoder, encoder.transform(read), encoder.encode_target(truth), truth, places)


def _progress(encoder: TableEncoder) -> ProgressBar:
    return ProgressBar(Console(stderr=True, highlight=False), _watched(encoder))


def _print_trained(console: Console, history: History, seconds: float) -> None:
    console.print(f"Trained {history.n_epochs} epochs in {seconds:.1f} s, kept number {(history.best_epoch or 0) + 1}")


def _page_of_model(model: Path, table: Path, delimiter: str, console: Console) -> str:
    from ..explain import of_model, table_page

    network, encoder = _load(model)
    read = _read(encoder, table, delimiter)
    truth = _target_of(read, encoder.target_name, table)
    if not len(truth):
        raise ValueError(f"{table}: no rows: expected at least one")
    x = encoder.transform(read)
    numbers = score(encoder, network.predict(x), truth)
    print_numbers(console, f"{encoder.target_name} in {len(x):,} rows of {table}", numbers)
    case = of_model(network, encoder, x, encoder.encode_target(truth))
    source = f"The network was read from {model.name}, and is shown on the {len(x):,} rows of {table.name}."
    return table_page(case, encoder, source, numbers, "on these rows")


def _page_of_training(job: _Job, seed: int, table: Path, console: Console) -> str:
    from ..explain import table_page, train

    start = time.perf_counter()
    training, validation, (held, _) = (job.rows(part) for part in ("training", "validation", "held"))
    case, history = train(job.recipe, job.encoder, training, validation, seed=seed, callbacks=[_progress(job.encoder)])
    _print_trained(console, history, time.perf_counter() - start)
    numbers = score(job.encoder, case.network.predict(held), job.truth[job.places["held"]])
    print_numbers(console, f"On the {len(held):,} held-out rows", numbers)
    encoder = job.encoder
    source = (
        f"{table.name} has {len(job.truth):,} rows and {len(encoder.columns):,} columns besides {encoder.target_name}; "
        f"they became {encoder.n_features:,} inputs. The network trained on {len(training[0]):,} rows; "
        f"{len(validation[0]):,} others chose the best epoch, and {len(held):,} were held out to measure it."
    )
    return table_page(case, job.encoder, source, numbers, "on rows held out")


def _console() -> Console:
    return Console(highlight=False, markup=False)


def _refuse(context: typer.Context, beside: str, *names: str) -> None:
    """Refuse parameters that were given on the command line, though they say nothing there."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise ValueError(f"{name.upper() if name == 'table' else f'--{name}'} does not go with {beside}")


def _check_folder(out: Path) -> None:
    """Refuse a file that could not be written: before a training, not after it."""
    if not out.parent.is_dir():
        raise ValueError(f"--out: there is no folder {out.parent}")


def _asked(hidden: str | None, epochs: int | None) -> dict[str, Any]:
    """Return what of the recipe the user decides."""
    asked: dict[str, Any] = {} if hidden is None else {"hidden": _widths(hidden)}
    return asked if epochs is None else asked | {"epochs": integer("--epochs", epochs, ge=1)}


def _widths(text: str) -> list[int]:
    try:
        return [integer("--hidden", int(width), ge=1) for width in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--hidden is {text!r}: expected widths such as 256,256") from error


def _character(delimiter: str) -> str:
    return "\t" if delimiter == r"\t" else delimiter


def _target_of(table: Any, name: str, path: Path) -> NDArray[Any]:
    if name not in table.column_names:
        raise ValueError(f"{path}: no column {name!r}: found {', '.join(table.column_names)}")
    return read_target(name, table.column(name))


def _load(path: Path) -> tuple[Network, TableEncoder]:
    network = load(path)
    if network.preprocessing is None:
        raise ValueError(f"{path}: knows no columns of a table: expected a model of `steepest train`")
    return network, _encoder_of(network, path)


def _encoder_of(network: Network, path: Path) -> TableEncoder:
    try:
        encoder = TableEncoder.from_dict(network.preprocessing)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if (encoder.n_features, encoder.n_outputs) != (network.n_in, network.n_out):
        raise ValueError(f"{path}: {encoder} does not fit the network, {network.n_in} -> {network.n_out}")
    return encoder


def _read(encoder: TableEncoder, path: Path, delimiter: str) -> Any:
    """Read a table for a trained model: what was text in training is text, even where it looks like numbers."""
    text = [column.name for column in encoder.columns if isinstance(column, LabelFeatures) and column.kind == "text"]
    if isinstance(encoder.target, Classes) and encoder.target.dtype == "object":
        text.append(encoder.target_name)
    return files.read_table(path, delimiter=_character(delimiter), text=text)


def _watched(encoder: TableEncoder) -> str:
    return "val_accuracy" if encoder.task == "classification" else "val_r2"


def _classes_of(encoder: TableEncoder) -> str:
    return f" ({encoder.n_outputs} classes)" if isinstance(encoder.target, Classes) else ""


def _field(value: Any) -> str:
    """Write a value as CSV files have it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10g}" if isinstance(value, float) else str(value)
