"""The commands behind `steepest`: each reads files, calls the library and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .._core import __version__, build_info, set_num_threads
from .._ctrl_c import INTERRUPTED
from .._safe_io import write_atomically, writing_atomically
from .._validation import integer, number
from ..network import Network
from ._checks import asked_effort, asked_parameters, check_out, require_sklearn
from ._config import dump_config, read_config
from ._reading import Reading, reads_tables
from .console import binary_output, new_console, print_numbers, tell

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Train dense neural networks on the CPU and use them.",
)

ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file that `steepest train` wrote.")]
Target = Annotated[str | None, typer.Option(help="Name of the column to predict; by default as in training.")]
Threads = Annotated[int | None, typer.Option(help="Threads of the core; by default one for each CPU.")]
Config = Annotated[
    Path | None,
    typer.Option(is_eager=True, callback=read_config, help="File of TOML with options that are not given here."),
]
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

    run(out, seed=integer("--seed", seed, ge=0), console=new_console())


@app.command()
@reads_tables()
def train(
    context: typer.Context,
    table: TablePath,
    target: Annotated[str, typer.Option(help="Name of the column to predict.")],
    task: Annotated[str, typer.Option(help="auto, classification or regression.")] = "auto",
    hidden: Annotated[str | None, typer.Option(help="Widths of the hidden layers, such as 256,256.")] = None,
    epochs: Annotated[int | None, typer.Option(help="The most epochs; by default it depends on the rows.")] = None,
    preset: Annotated[str | None, typer.Option(help="fast, for a first look, or best.")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds that the training may take.")] = None,
    out: Annotated[Path, typer.Option(help="Model file to write.")] = Path("model.safetensors"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training of the model in --out.")] = False,
    holdout: Annotated[
        float, typer.Option(help="Share of the rows held out for the final metrics; 0 to learn from all.")
    ] = 0.2,
    group: Annotated[str | None, typer.Option(help="Column whose groups are held out as a whole.")] = None,
    time: Annotated[str | None, typer.Option(help="Column of times, of which the latest are held out.")] = None,
    valid: Annotated[Path | None, typer.Option(help="Table of its own to choose the best epoch by.")] = None,
    weight: Annotated[str | None, typer.Option(help="Column that says how much each row counts.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Column not to use; may be given several times.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split, the first weights and the shuffling.")] = 0,
    threads: Threads = None,
    config: Config = None,
    dump: Annotated[bool, typer.Option("--dump-config", help="Print all options as TOML, and train nothing.")] = False,
    *,
    reading: Reading,
) -> None:
    """Train a network on a table, and measure it on rows that it has never seen. Ctrl-C keeps the best so far."""
    if dump:
        sys.stdout.write(dump_config(context))
        return
    require_sklearn()
    from ._ranks import ranks_of_mpirun
    from ._training import Job, Use

    if resume:
        _refuse(context, "--resume, which goes on with a network as it is", "hidden", "preset")
    asked = asked_parameters(hidden, epochs) | asked_effort(preset, time_limit)
    use = Use(
        target, task, number("--holdout", holdout, ge=0, lt=1), integer("--seed", seed, ge=0), group, time, weight,
        tuple(ignore or ()), valid,
    )  # fmt: skip
    check_out(out, table, valid)
    _use_threads(threads)
    with ranks_of_mpirun() as comm:
        first = comm is None or comm.rank == 0
        console = new_console(quiet=not first)
        job = Job.of(table, reading.table(table, names=[target], text=ignore or ()), use, reading)
        job.check_saveable()
        estimator = job.resumed(out, asked.get("max_iter")) if resume else job.estimator(asked)
        if not first:
            estimator.set_params(callbacks=None)  # which show progress
        job.describe(console)
        interrupted = job.fit(estimator, console, out if first else None)
        if len(job.held_out):
            job.measure(estimator, console)
        tell(console, f"Wrote {out}. Next: steepest predict {out} TABLE --out predictions.csv")
    if interrupted:
        raise typer.Exit(INTERRUPTED)


@app.command()
@reads_tables(without=("drop_missing_target",))
def predict(
    model: ModelPath,
    table: TablePath,
    out: Annotated[Path | None, typer.Option(help="CSV file to write; by default standard output.")] = None,
    proba: Annotated[
        bool, typer.Option("--proba/--no-proba", help="Whether to write probabilities of classes.")
    ] = True,
    keep: Annotated[
        list[str] | None, typer.Option(help="Column to write beside, such as an id; may be given several times.")
    ] = None,
    threads: Threads = None,
    config: Config = None,
    *,
    reading: Reading,
) -> None:
    """Predict every row of a table of any size: CSV with a prediction column, and probabilities of classes."""
    require_sklearn()
    from ._models import load_model
    from ._predicting import write_predictions

    if out is not None:
        check_out(out, model, table)
    _use_threads(threads)
    read = load_model(model)
    if out is None:
        with binary_output() as file:
            write_predictions(read, table, reading, file, proba=proba, keep=keep or ())
        return
    with writing_atomically(out) as file:
        n = write_predictions(read, table, reading, file, proba=proba, keep=keep or ())
    target = getattr(read, "target_name_", None)
    of = f" of {target}" if target else ""
    tell(new_console(), f"Wrote {n:,} predictions{of} to {out}")


@app.command()
@reads_tables()
def evaluate(
    model: ModelPath,
    table: TablePath,
    target: Target = None,
    report: Annotated[Path | None, typer.Option(help="Page to write, with pictures: needs matplotlib.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of what the page draws at random.")] = 0,
    threads: Threads = None,
    config: Config = None,
    *,
    reading: Reading,
) -> None:
    """Measure a model on the rows of a table that has the target's column; as a page too, where asked for."""
    require_sklearn()
    from ._models import load_estimator, measured_rows, score

    if report is not None:
        check_out(report, model, table, option="--report")
        from ..pages.drawing import require_matplotlib

        require_matplotlib()
    seed = integer("--seed", seed, ge=0)
    _use_threads(threads)
    estimator = load_estimator(model)
    name, rows, truth = measured_rows(estimator, table, reading, target)
    numbers = score(estimator, rows, name, truth)
    if report is not None:
        from ..report import report_page

        source = f"The model {model.name}, measured on the {len(truth):,} rows of {table.name}."
        page = report_page(estimator, rows, truth, target=name, numbers=numbers, source=source, seed=seed)
        write_atomically(report, page.encode())
    console = new_console()
    print_numbers(console, f"{name} in {len(truth):,} rows of {table}", numbers)
    if report is not None:
        tell(console, f"Wrote {report}: open it in a browser")


@app.command()
@reads_tables()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A model file.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another model file, of the same target.")],
    table: TablePath,
    target: Target = None,
    threads: Threads = None,
    config: Config = None,
    *,
    reading: Reading,
) -> None:
    """Measure two models on the same rows, and tell whether their difference is more than chance."""
    require_sklearn()
    from ._comparing import compare_models

    _use_threads(threads)
    compare_models(first, second, table, target, reading, new_console())


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
    from ..pages.drawing import require_matplotlib

    asked = asked_parameters(hidden, epochs)
    seed, holdout = integer("--seed", seed, ge=0), number("--holdout", holdout, gt=0, lt=1)
    training = ("task", "hidden", "epochs", "holdout")
    if demo:
        _refuse(context, "--demo, which brings its own networks and rows", "table", "target", "model", *training)
    elif model is not None:
        _refuse(context, "--model, which shows a network as it is", "target", *training, "seed")
    check_out(out, table, model)
    require_matplotlib()
    console = new_console()
    if demo:
        from ..explain import demo_page

        tell(console, "Training on XOR and on two spirals")
        page = demo_page(seed)
    elif table is None:
        raise ValueError("TABLE is missing: expected a table with --target or --model, or --demo")
    elif model is not None:
        require_sklearn()
        from ._explaining import page_of_model

        page = page_of_model(model, table, reading, console)
    elif target is not None:
        require_sklearn()
        from ._explaining import page_of_training
        from ._training import Use

        page = page_of_training(table, Use(target, task, holdout, seed), asked, reading, console)
    else:
        raise ValueError(f"{table}: expected --target NAME to train, or --model FILE to show a model")
    write_atomically(out, page.encode())
    tell(console, f"Wrote {out}: open it in a browser")


@app.command()
def info(model: Annotated[Path | None, typer.Argument(metavar="[MODEL]", help="A model file.")] = None) -> None:
    """Describe a model, or this installation."""
    if model is None:
        for name, value in build_info().items():
            print(f"{name.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}")
        return
    require_sklearn()
    from ._models import describe_task, encoder_of, encoder_with_target, load_model

    read = load_model(model)
    if isinstance(read, Network):
        print(read)
        return
    if len(read.networks_) > 1:
        print(f"{len(read.networks_)} networks, of which this is the first:")
    print(read.network_)
    encoder = encoder_of(read)
    print(f"\n{describe_task(read)}, from {read.n_features_in_} columns{' of numbers' if encoder is None else ':'}")
    if encoder is not None:
        print(encoder_with_target(read, model).describe())


def _use_threads(threads: int | None) -> None:
    if threads is not None:
        set_num_threads(integer("--threads", threads, ge=1))


def _refuse(context: typer.Context, beside: str, *names: str) -> None:
    """Refuse parameters that were given on the command line, though they say nothing there."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise ValueError(f"{name.upper() if name == 'table' else f'--{name}'} does not go with {beside}")
