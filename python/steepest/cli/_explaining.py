"""The pages of `steepest explain` about a table. Needs scikit-learn and matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from ..descent import Recorder
from ..explain import RECORDED_ROWS, table_page, table_subject
from ._models import encoder_with_target, load_estimator, measured_rows, score
from ._reading import Reading
from ._training import Job, Use
from .console import print_numbers


def page_of_model(model: Path, table: Path, reading: Reading, console: Console) -> str:
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


def page_of_training(table: Path, use: Use, asked: dict[str, Any], reading: Reading, console: Console) -> str:
    """Train on a table, and return the page about it."""
    job = Job.of(table, reading.table(table, names=[use.target]), use, reading)
    recorder = Recorder(every=1, rows=RECORDED_ROWS)
    estimator = job.estimator({"ensemble": 1} | asked, [recorder])
    job.fit(estimator, console)
    numbers = job.measure(estimator, console)
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
        f"{table.name} has {len(job.rows):,} rows and {len(encoder.columns):,} columns besides {use.target}; "
        f"they became {encoder.n_features:,} inputs. The network trained on {found['training_rows']:,} rows; "
        f"{others}, and {len(job.held_out):,} were held out to measure."
    )
    return table_page(subject, encoder, source, numbers, "on rows held out")
