"""Predictions of a table of any length as CSV, a batch of rows at a time. Needs scikit-learn."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .._extras import import_pyarrow
from .._read_ahead import ReadAhead
from ..estimators import MLPClassifier
from ..network import Network
from ._models import Estimator, knowledge_of, rows_for
from ._reading import Reading
from .console import as_field

_CELLS = 1 << 18  # of a batch
_MOST_ROWS = 1 << 16
_DIGITS, _PROBABILITY_DIGITS = 10, 6


def write_predictions(
    model: Estimator | Network,
    path: Path,
    reading: Reading,
    out: BinaryIO,
    *,
    proba: bool = True,
    keep: Sequence[str] = (),
) -> int:
    """Predict all rows of a table, and write them as CSV.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor or Network
        A model of the command line.
    path : Path
        The table.
    reading : Reading
        How it is read.
    out : binary file
        Gets the names and a line for each row; nothing where the table is refused before its first batch.
    proba : bool, default=True
        Whether the probabilities of classes are written too.
    keep : sequence of str, default=()
        Columns of the table to write first, such as ids.

    Returns
    -------
    int
        Rows predicted.

    Raises
    ------
    ValueError
        If a column is missing, or `keep` has one of the names of the predictions.
    """
    arrow = import_pyarrow()
    from pyarrow import csv as arrow_csv

    n_rows, begun = 0, False
    by_name = bool(knowledge_of(model).names)
    with ReadAhead(_batches(model, path, reading, keep), ahead=1) as batches:
        for batch in batches:
            kept = _kept(batch, keep, path)
            batch = batch if by_name else batch.drop_columns(list(kept))
            columns = predictions(model, rows_for(model, batch, path), proba=proba)
            if twice := [name for name in keep if name in columns]:
                raise ValueError(f"--keep is {twice[0]!r}, which is a column of the predictions: expected another one")
            table = arrow.table(kept | {name: _written(name, values) for name, values in columns.items()})
            if not begun:
                names = io.StringIO(newline="")
                csv.writer(names, lineterminator="\n").writerow(table.column_names)
                out.write(names.getvalue().encode())
                begun = True
            quoting = "needed" if any(map(_needs_quotes, table.columns)) else "none"
            arrow_csv.write_csv(table, out, arrow_csv.WriteOptions(include_header=False, quoting_style=quoting))
            n_rows += table.num_rows
    return n_rows


def predictions(model: Estimator | Network, rows: Any, *, proba: bool = True) -> dict[str, NDArray[Any]]:
    """Return a model's predictions for rows, as columns by name."""
    if isinstance(model, Network):
        return _numbered("output", model.predict(rows))
    if not isinstance(model, MLPClassifier):
        return _numbered("prediction", model.predict(rows))
    task, outputs = model._predict(rows)  # once, for labels and probabilities
    columns = _numbered("prediction", task.labels(outputs))
    if proba:
        names = [f"probability_{as_field(label)}" for label in model.classes_.tolist()]
        columns |= dict(zip(names, task.probabilities(outputs).T, strict=True))
    return columns


def _batches(model: Estimator | Network, path: Path, reading: Reading, keep: Sequence[str]) -> Iterator[Any]:
    """Go through the table as the model takes it."""
    known = knowledge_of(model)
    n_columns = len(keep) + (model.n_in if isinstance(model, Network) else model.n_features_in_)
    columns = {*known.names, *keep} if known.names else None
    text = {*known.text, *(name for name in keep if name not in known.names)}
    return reading.batches(
        path, batch_rows=min(max(_CELLS // n_columns, 1), _MOST_ROWS), columns=columns, names=known.names, text=text,
        kinds=known.kinds, forms=known.forms,
    )  # fmt: skip


def _kept(batch: Any, keep: Sequence[str], path: Path) -> dict[str, Any]:
    """Return columns of a batch by name."""
    for name in keep:
        if name not in batch.schema.names:
            raise ValueError(f"{path}: no column {name!r}, which --keep names: found {', '.join(batch.schema.names)}")
    arrow = import_pyarrow()
    found = {name: batch.column(name) for name in keep}
    texts = {name for name, column in found.items() if arrow.types.is_dictionary(column.type)}
    return {name: column.dictionary_decode() if name in texts else column for name, column in found.items()}


def _needs_quotes(column: Any) -> bool:
    """Tell whether a cell holds what would part cells or rows."""
    arrow = import_pyarrow()
    if not (arrow.types.is_string(column.type) or arrow.types.is_large_string(column.type)):
        return False
    return bool(arrow.compute.any(arrow.compute.match_substring_regex(column, '[",\r\n]')).as_py())


def _written(name: str, values: NDArray[Any]) -> Any:
    """Return a column as it is written: numbers with as many digits as say something."""
    if values.dtype.kind == "f":
        digits = _PROBABILITY_DIGITS if name.startswith("probability_") else _DIGITS
        values = round_to_digits(values.astype(np.float64), digits)
    return import_pyarrow().array(values.tolist() if values.dtype.kind == "O" else values)


def round_to_digits(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """Return numbers, (n,), rounded to so many significant digits."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(values)))
        up, down = 10.0 ** np.clip(places, 0, 300), 10.0 ** np.clip(-places, 0, 300)
        rounded = np.round(values / down * up) / up * down
    return np.where(np.isfinite(rounded) & (values != 0), rounded, values)


def _numbered(name: str, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return one column, or several with numbers behind the name."""
    if values.ndim == 1:
        return {name: values}
    return {f"{name}_{i}": column for i, column in enumerate(values.T)}
