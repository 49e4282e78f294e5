"""Models and tables of the command line: what is read, and what a model says of it. Needs scikit-learn."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import reason_of
from .._extras import import_pyarrow
from .._load import load
from ..estimators import MLPClassifier, MLPRegressor
from ..estimators._loading import from_network
from ..network import Network
from ..recipe import class_scores, number_scores
from ..tables import Classes, TableEncoder, Units
from ..tables._columns import missing_cells, read_column, read_target
from ..tables._inference import Kind
from ._reading import Reading
from .console import as_field

Estimator = MLPClassifier | MLPRegressor
Columns = dict[str, list[Any]]


def load_model(path: Path) -> Estimator | Network:
    """Read a model file; a network that stands with an encoder becomes an estimator."""
    model = load(path)
    if not isinstance(model, Network) or model.preprocessing is None:
        return model
    try:
        return from_network(model, TableEncoder.from_dict(model.preprocessing))
    except ValueError as error:
        raise ValueError(f"{path}: {reason_of(error)}") from error


def load_estimator(path: Path) -> Estimator:
    """Read a model file of an estimator; ValueError for a network alone."""
    model = load_model(path)
    if isinstance(model, Network):
        raise ValueError(f"{path}: a network alone, which knows no columns of a table: expected an estimator's file")
    return model


def encoder_of(model: Estimator | Network) -> TableEncoder | None:
    """Return the encoder of the model's tables; None for a model of numbers alone."""
    return None if isinstance(model, Network) else model._fitted.preprocessor.encoder


def read_for(model: Estimator | Network, path: Path, reading: Reading) -> Any:
    """Read a table for a trained model: what was text in training is text, even where it looks like numbers."""
    encoder = encoder_of(model)
    columns = () if encoder is None else encoder.columns
    kinds = {column.name: _kind_of(column) for column in columns}
    names = list(kinds) or [] if isinstance(model, Network) else list(vars(model).get("feature_names_in_", kinds))
    target = None if isinstance(model, Network) else model.target_name_
    text = [name for name, kind in kinds.items() if kind == "text"]
    if isinstance(model, MLPClassifier) and target and model.classes_.dtype.kind in "OU":
        text.append(target)
    others: dict[str, Kind] = {name: kind for name, kind in kinds.items() if kind != "text"}
    forms = {column.name: form for column in columns if (form := getattr(column, "form", None)) is not None}
    return reading.table(path, names=names, text=text, kinds=others, forms=forms)


def _kind_of(column: Any) -> Kind:
    """Return the kind that a column of an encoder had in training."""
    kind: Kind = getattr(column, "expected", getattr(column, "kind", "number"))
    return kind


def rows_for(model: Estimator | Network, table: Any, path: Path) -> Any:
    """Return the rows of a table as the model predicts them: the table itself, or an array of its numbers.

    A model that was fitted on an array takes the columns by their places, the target's aside; one that was fitted on a
    data frame of numbers, by their names.
    """
    if encoder_of(model) is not None:
        return table
    n = model.n_in if isinstance(model, Network) else model.n_features_in_
    names = [] if isinstance(model, Network) else list(vars(model).get("feature_names_in_", ()))
    if missing := [name for name in names if name not in table.column_names]:
        raise ValueError(f"{path}: no column {missing[0]!r}, which the model was trained on")
    target = None if isinstance(model, Network) else model.target_name_
    names = names or [name for name in table.column_names if name != target]
    if len(names) != n:
        raise ValueError(f"{path}: {len(names)} columns: expected {n}, as the model was trained on")
    columns = [read_column(name, table.column(name)) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column.kind != "number":
            raise ValueError(f"{path}: column {name!r} is {column.kind}: expected numbers, as the model was trained on")
    return np.column_stack([column.values for column in columns])


def predictions(model: Estimator | Network, rows: Any) -> Columns:
    """Return a model's predictions for rows, as columns by name."""
    if isinstance(model, Network):
        return _numbered("output", model.predict(rows))
    with warnings.catch_warnings():  # columns were taken by name
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        columns = _numbered("prediction", model.predict(rows))
        if isinstance(model, MLPClassifier):
            names = [f"probability_{as_field(label)}" for label in model.classes_.tolist()]
            columns |= dict(zip(names, model.predict_proba(rows).T.tolist(), strict=True))
    return columns


def with_target(table: Any, name: str, path: Path, reading: Reading) -> tuple[Any, NDArray[Any]]:
    """Return a table with the values of its target, (n,); rows without one are refused, or left out where asked.

    Parameters
    ----------
    table : pyarrow.Table
        The rows.
    name : str
        Name of the target.
    path : Path
        Where it was read from, for messages.
    reading : Reading
        How it was read.
    """
    if name not in table.column_names:
        raise ValueError(f"{path}: no column {name!r}: found {', '.join(table.column_names)}")
    is_gap = missing_cells(table.column(name), reading.gaps)
    if is_gap.any() and not reading.drop_missing_target:
        raise ValueError(
            f"{path}: target {name!r} has no value in row {is_gap.argmax()} (the first row is 0; {is_gap.sum():,} of "
            f"{len(is_gap):,} rows have none): fill them in, or leave these rows out with --drop-missing-target"
        )
    if is_gap.any():
        print(
            f"steepest: {path}: {is_gap.sum():,} of {len(is_gap):,} rows have no {name}, and are left out",
            file=sys.stderr,
        )
        table = table.filter(import_pyarrow().array(~is_gap))
    return table, read_target(name, table.column(name))


def measured_rows(
    model: Estimator, path: Path, reading: Reading, target: str | None = None
) -> tuple[str, Any, NDArray[Any]]:
    """Read a table to measure a model on: the target's name, the rows for the model, and the target's values, (n,)."""
    name = target or model.target_name_
    if name is None:
        raise ValueError(f"{path}: the model does not know its target's name: expected --target NAME")
    table = read_for(model, path, reading)
    table, truth = with_target(table, name, path, reading)
    if not len(truth):
        raise ValueError(f"{path}: no rows: expected at least one")
    return name, rows_for(model, table.drop_columns([name]), path), truth


def score(model: Estimator, rows: Any, name: str, truth: NDArray[Any]) -> dict[str, float]:
    """Measure a model's predictions; `name` is the target's, in messages."""
    if isinstance(model, MLPClassifier):
        if model._fitted.task.multilabel:
            raise ValueError("the model tells several labels of a row: expected one that predicts a single column")
        return class_scores(model.predict_log_proba(rows), _target(model).encode(name, truth))
    predicted = model.predict(rows)
    if predicted.ndim > 1:
        raise ValueError(f"the model predicts {predicted.shape[1]} numbers: expected one that predicts a single column")
    _target(model).encode(name, truth)  # refuses what are no numbers
    return number_scores(predicted, truth)


def encoder_with_target(model: Estimator, path: Path) -> TableEncoder:
    """Return a copy of the model's encoder that knows the target too."""
    encoder = encoder_of(model)
    if encoder is None:
        raise ValueError(f"{path}: knows no columns of a table by name: expected a model of `steepest train`")
    return encoder.with_target(model.target_name_ or "target", _target(model))


def describe_task(model: Estimator) -> str:
    """Return the model's task, such as "classification of kind (2 classes)"."""
    of = f" of {model.target_name_}" if model.target_name_ else ""
    if isinstance(model, MLPClassifier):
        return f"classification{of} ({len(model.classes_)} classes)"
    return f"regression{of}"


def _target(model: Estimator) -> Classes | Units:
    """Return how the model's target is encoded, as tables have it."""
    if isinstance(model, MLPClassifier):
        dtype = model.classes_.dtype
        return Classes(model.classes_.tolist(), "object" if dtype.kind == "U" else dtype.name)
    scale = model._fitted.task.scale
    return Units(0.0, 1.0) if scale is None else Units(float(scale.mean[0, 0]), float(scale.scale[0, 0]))


def _numbered(name: str, values: NDArray[Any]) -> Columns:
    """Return one column, or several with numbers behind the name."""
    if values.ndim == 1:
        return {name: values.tolist()}
    return {f"{name}_{i}": column for i, column in enumerate(values.T.tolist())}
