"""Models and tables of the command line: what is read, and what a model says of it. Needs scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass, field
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
from ..selection import GroupModels
from ..tables import Classes, TableEncoder, Units
from ..tables._columns import missing_cells, read_column, read_target
from ..tables._inference import Kind
from ._reading import Reading
from .console import hint

Estimator = MLPClassifier | MLPRegressor


def load_model(path: Path) -> Estimator | Network:
    """Read a model file; a network that stands with an encoder becomes an estimator."""
    model = load(path)
    if isinstance(model, GroupModels):
        raise ValueError(f"{path}: models of groups, which the command does not take: expected a single model's file")
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
    return None if isinstance(model, Network) else model.encoder_


@dataclass(frozen=True)
class Knowledge:
    """The columns of its tables, as a model knows them.

    Parameters
    ----------
    names : list of str
        The columns that it takes by name.
    text : list of str
        Those that are text, even where they look like numbers; the target too.
    kinds : dict of str to str
        The kinds of the others.
    forms : dict of str to str
        How the dates of a column are written, where that was found in training.
    """

    names: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    kinds: dict[str, Kind] = field(default_factory=dict)
    forms: dict[str, str] = field(default_factory=dict)


def knowledge_of(model: Estimator | Network) -> Knowledge:
    """Return the names and kinds of the columns that a model was trained on."""
    if isinstance(model, Network):
        return Knowledge()
    encoder = encoder_of(model)
    columns = () if encoder is None else encoder.columns
    kinds = {column.name: _kind_of(column) for column in columns}
    names = list(kinds) or list(vars(model).get("feature_names_in_", ()))
    text = [name for name, kind in kinds.items() if kind == "text"]
    if isinstance(model, MLPClassifier) and model.target_name_ and model.classes_.dtype.kind in "OU":
        text.append(model.target_name_)
    others: dict[str, Kind] = {name: kind for name, kind in kinds.items() if kind != "text"}
    forms = {column.name: form for column in columns if (form := getattr(column, "form", None)) is not None}
    return Knowledge(names, text, others, forms)


def read_for(model: Estimator | Network, path: Path, reading: Reading) -> Any:
    """Read a table for a trained model: what was text in training is text, even where it looks like numbers."""
    known = knowledge_of(model)
    return reading.table(path, names=known.names, text=known.text, kinds=known.kinds, forms=known.forms)


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
    if missing := [name for name in names if name not in table.schema.names]:
        raise ValueError(f"{path}: no column {missing[0]!r}, which the model was trained on")
    target = None if isinstance(model, Network) else model.target_name_
    names = names or [name for name in table.schema.names if name != target]
    if len(names) != n:
        raise ValueError(f"{path}: {len(names)} columns: expected {n}, as the model was trained on")
    columns = [read_column(name, table.column(name)) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column.kind != "number":
            raise ValueError(f"{path}: column {name!r} is {column.kind}: expected numbers, as the model was trained on")
    return np.column_stack([column.values for column in columns])


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
        hint(f"{path}: {is_gap.sum():,} of {len(is_gap):,} rows have no {name}, and are left out")
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
    if not table.num_rows:
        raise ValueError(f"{path}: no rows: expected at least one")
    table, truth = with_target(table, name, path, reading)
    if not len(truth):
        raise ValueError(f"{path}: no row has a value of {name}: expected at least one")
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
