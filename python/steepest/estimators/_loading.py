"""Estimators read from model files, which are distrusted: what does not fit is refused by name, nothing is executed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import reason_of
from .._safe_io import StrPath
from .._validation import choice, flag, integer, text
from ..history import History
from ..metrics import MODES
from ..network import Network
from ..optimizers import optimizer_from_json
from ..schedules import schedule_from_json
from ..tables import Classes, TableEncoder
from ..tables._bins import BinnedStandardizer
from ..tables._scaling import Standardizer
from ._classification import Classification
from ._model import Model
from ._preprocess import Preprocessor
from ._regression import LOSSES, Regression
from ._saving import FORMAT, FUNCTION, LABEL_TYPES, MOST_LABEL_BYTES, Json, Tensors
from ._trainings import FitResult, Progress
from .classifier import MLPClassifier
from .regressor import MLPRegressor

Estimator = MLPClassifier | MLPRegressor

ESTIMATORS: dict[str, type[Estimator]] = {kind.__name__: kind for kind in (MLPClassifier, MLPRegressor)}

_SCALES: dict[str, Any] = {kind.__name__: kind for kind in (Standardizer, BinnedStandardizer)}
_FIT_TENSORS = ("loss", "best_loss", "best_score", "loss_curve", "scores")


def from_file(path: StrPath, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> Estimator:
    """Make the estimator that `save` wrote.

    Parameters
    ----------
    path : path
        For messages.
    tensors, metadata
        As read from it.

    Raises
    ------
    ValueError
        If they describe no estimator, or arrays and description do not fit together.
    """
    if type(metadata.get("format")) is not int or metadata["format"] != FORMAT:
        raise ValueError(
            f"{path}: estimator format {metadata.get('format')!r}, written by steepest {metadata.get('version')!r}: "
            f"this version reads format {FORMAT}"
        )
    try:
        return estimator_from_json(metadata["estimator"], dict(tensors))
    except KeyError as error:
        raise ValueError(f"{path}: no {error} in the description of the estimator") from error
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: {reason_of(error)}") from error


def estimator_from_json(data: Json, tensors: Tensors) -> Estimator:
    """Make the estimator that `describe` described; its arrays are taken out of `tensors`, where no others may be."""
    kind = ESTIMATORS[choice("estimator type", data["type"], tuple(ESTIMATORS))]
    estimator = kind()
    set_parameters(estimator, data["parameters"])
    set_features_in(estimator, data)
    task = task_from_json(data["task"], tensors, classifies=kind is MLPClassifier)
    preprocessor = preprocessor_from_json(data["preprocessor"], tensors)
    architectures = _list("networks", data["networks"])
    if not architectures:
        raise ValueError("networks is empty: expected one at least")
    networks = [
        Network._from_parts(architecture, own, None)
        for architecture, own in zip(architectures, _numbered(tensors, "networks.", len(architectures)), strict=True)
    ]
    model: Model[Any] = Model(task, preprocessor, networks)
    _check_fit(model, estimator.n_features_in_)
    result = _result_from_json(data, networks, tensors)
    if tensors:
        raise ValueError(f"tensor {min(tensors)}: the estimator has no such")
    name = data["target_name"]
    estimator._publish(model, result, None if name is None else text("target_name", name))
    return estimator


def set_parameters(estimator: Estimator, data: Json) -> None:
    """Set parameters as the user gave them: as in the constructor, their ranges are left to the next fit."""
    given = {name: _parameter_from_json(value) for name, value in data.items()}
    if unknown := sorted(given.keys() - estimator.get_params(deep=False).keys()):
        raise ValueError(f"parameter {unknown[0]!r}: expected those of {type(estimator).__name__}")
    estimator.set_params(**given)


def set_features_in(estimator: Estimator, data: Json) -> None:
    """Set the number of columns, and their names."""
    estimator.n_features_in_ = integer("n_features_in", data["n_features_in"], ge=1)
    if data["feature_names_in"] is not None:
        names = _texts("feature_names_in", data["feature_names_in"])
        if len(names) != estimator.n_features_in_:
            raise ValueError(f"feature_names_in has {len(names)} names: expected {estimator.n_features_in_}")
        estimator.feature_names_in_ = np.array(names, dtype=object)


def _result_from_json(data: Json, networks: list[Network], tensors: Tensors) -> FitResult:
    described = _list("histories", data["histories"])
    histories = [
        _history_from_json(history, own)
        for history, own in zip(described, _numbered(tensors, "histories.", len(described)), strict=True)
    ]
    fit = _taken(tensors, "fit.")
    if unknown := sorted(fit.keys() - {*_FIT_TENSORS}):
        raise ValueError(f"tensor fit.{unknown[0]}: the estimator has no such")
    curve, scores = _curve(fit, "loss_curve"), _curve(fit, "scores")
    progress = Progress(integer("n_iter", data["n_iter"], ge=0), integer("t", data["t"], ge=0), curve or [])
    loss = _item(fit, "loss")
    if loss is None:
        raise ValueError("there is no tensor fit.loss")
    return FitResult(
        networks, progress, loss, _item(fit, "best_loss"), histories,
        {str(name): _parameter_from_json(value) for name, value in data["recipe"].items()},
        scores, _item(fit, "best_score"),
    )  # fmt: skip


def from_network(network: Network, encoder: TableEncoder) -> Estimator:
    """Make an estimator of a network and the encoder that it was trained with, as the command line of 0.1 wrote them.

    Raises
    ------
    ValueError
        If they do not fit together.
    """
    if (encoder.n_features, encoder.n_outputs) != (network.n_in, network.n_out):
        raise ValueError(f"{encoder} does not fit the network, {network.n_in} -> {network.n_out}")
    target = encoder.target
    task: Any
    if isinstance(target, Classes):
        estimator: Estimator = MLPClassifier()
        task = Classification(target.array, multilabel=False, logistic=False)
    else:
        estimator = MLPRegressor()
        scale = Standardizer(np.array([[target.mean]]), np.array([[target.scale]]))
        task = Regression(flat=True, n_outputs=1, function="squared_error", scale=scale)
    names = [column.name for column in encoder.columns]
    estimator.n_features_in_, estimator.feature_names_in_ = len(names), np.array(names, dtype=object)
    model = Model(task, Preprocessor(np.dtype(network.dtype), encoder=encoder), [network])
    result = FitResult([network], Progress(), math.nan, None, [], {})
    estimator._publish(model, result, encoder.target_name)
    return estimator


def _parameter_from_json(value: Any) -> Any:
    """Make the value that `_parameter_to_json` described; for a function a text that another fit refuses."""
    if isinstance(value, list):
        return [_parameter_from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    (kind, content), *others = value.items()
    if others:
        raise ValueError(f"a parameter is {value!r}: expected an object with one entry")
    if kind == "tuple":
        return tuple(_parameter_from_json(item) for item in _list("tuple", content))
    if kind == "dict":
        return {_parameter_from_json(key): _parameter_from_json(item) for key, item in _list("dict", content)}
    if kind == "float":
        return float(choice("float", content, ("inf", "-inf", "nan")))
    if kind == "optimizer":
        return optimizer_from_json(content)
    if kind == "schedule":
        return schedule_from_json(content)
    if kind == "function":
        return FUNCTION + text("function", content)
    raise ValueError(f"a parameter is {value!r}: expected a kind of value that parameters have")


def task_from_json(data: Json, tensors: Tensors, *, classifies: bool) -> Classification | Regression:
    """Make the task that `task_to_json` described."""
    choice("task type", data["type"], ("Classification" if classifies else "Regression",))
    if classifies:
        return _classification_from_json(data)
    arrays = _taken(tensors, "target.")
    scale = Standardizer.from_arrays(arrays) if arrays else None
    n_outputs = integer("n_outputs", data["n_outputs"], ge=1)
    if scale is not None and scale.mean.size != n_outputs:
        raise ValueError(f"target.mean has {scale.mean.size} numbers: expected {n_outputs}")
    loss = _parameter_from_json(data["loss"])
    if not str(loss).startswith(FUNCTION):
        choice("loss", loss, tuple(LOSSES))
    flat = flag("flat", data["flat"])
    if flat and n_outputs > 1:
        raise ValueError(f"flat is true with {n_outputs} outputs: expected one")
    return Regression(flat, n_outputs, loss, scale)


def _classification_from_json(data: Json) -> Classification:
    classes = _labels(data["labels"], data["dtype"])
    multilabel, logistic = flag("multilabel", data["multilabel"]), flag("logistic", data["logistic"])
    if multilabel and not (logistic and np.array_equal(classes, np.arange(len(classes)))):
        raise ValueError(f"multilabel is true of the labels {data['labels']}: expected 0, 1, ..., and logistic true")
    if logistic and not multilabel and len(classes) != 2:
        raise ValueError(f"logistic is true with {len(classes)} labels: expected two")
    return Classification(classes, multilabel, logistic)


def _labels(labels: Any, dtype: Any) -> NDArray[Any]:
    """Return the array of labels, sorted and different, at least one."""
    if not isinstance(labels, list) or not labels or not LABEL_TYPES.fullmatch(text("dtype", dtype)):
        raise ValueError(f"labels of the type {dtype!r}: expected text, true and false or numbers")
    kinds = {"o": (str,), "<": (str,), "b": (bool,)}.get(dtype[0], (int, float))
    if any(not isinstance(label, kinds) or (kinds != (bool,) and isinstance(label, bool)) for label in labels):
        raise ValueError(f"labels of the type {dtype}: expected all of that type")
    if np.dtype(dtype).itemsize * len(labels) > MOST_LABEL_BYTES:
        raise ValueError(f"{len(labels)} labels of the type {dtype}: expected {MOST_LABEL_BYTES} bytes at most")
    with np.errstate(over="ignore"):  # infinity is not what was given
        array = np.array(labels, dtype=dtype)
    if array.tolist() != labels or not all(a < b for a, b in pairwise(labels)):
        raise ValueError(f"labels of the type {dtype}: expected such as it holds, sorted and different")
    return array


def preprocessor_from_json(data: Json, tensors: Tensors) -> Preprocessor:
    """Make the preprocessor that `preprocessor_to_json` described; its arrays are taken out of `tensors`."""
    dtype = np.dtype(choice("dtype", data["dtype"], ("float32", "float64")))
    encoder = None if data["encoder"] is None else TableEncoder.from_dict(data["encoder"])
    if data["scale"] is None:
        return Preprocessor(dtype, encoder)
    if encoder is not None:
        raise ValueError("scale stands beside an encoder: expected one of them")
    kind = _SCALES[choice("scale", data["scale"], tuple(_SCALES))]
    return Preprocessor(dtype, None, kind.from_arrays(_taken(tensors, "scale.")))


def _check_fit(model: Model[Any], n_features_in: int) -> None:
    """Refuse networks that do not fit what stands before and after them."""
    networks, task, preprocessor = model.networks, model.task, model.preprocessor
    if preprocessor.scale is not None and preprocessor.scale.n_columns != n_features_in:
        raise ValueError(f"scale has {preprocessor.scale.n_columns} columns: expected {n_features_in}")
    if preprocessor.encoder is not None and len(preprocessor.encoder.columns) > n_features_in:
        raise ValueError(
            f"the encoder has {len(preprocessor.encoder.columns)} columns: expected {n_features_in} at most"
        )
    wanted = (preprocessor.n_features(n_features_in), task.n_outputs, preprocessor.dtype.name)
    for i, network in enumerate(networks):
        if (found := (network.n_in, network.n_out, network.dtype)) != wanted:
            raise ValueError(f"network {i} is {found}: expected (inputs, outputs, dtype) {wanted}")
    if isinstance(task, Classification) and len(task.classes) < 2 and not task.multilabel:
        raise ValueError(f"labels are {task.classes.tolist()}: expected two or more")


def _history_from_json(data: Json, columns: Tensors) -> History:
    history = History(text("monitor", data["monitor"]), choice("mode", data["mode"], MODES))
    names = _texts("history names", data["names"])
    if sorted(names) != sorted(columns) or len({column.shape for column in columns.values()}) > 1:
        raise ValueError(f"a history has the columns {sorted(columns)}: expected {sorted(names)}, all of one length")
    if names and not {"loss", history.monitor} <= {*names}:
        raise ValueError(f"a history has the columns {sorted(names)}: expected loss and {history.monitor} among them")
    found = [_float64(name, columns[name], ndim=1).tolist() for name in names]
    for values in zip(*found, strict=True):
        history.append(dict(zip(names, values, strict=True)))
    return history


def _taken(tensors: Tensors, prefix: str) -> Tensors:
    """Take the tensors out whose names begin so; return them by the rest of their names."""
    return {name[len(prefix) :]: tensors.pop(name) for name in [*tensors] if name.startswith(prefix)}


def _numbered(tensors: Tensors, prefix: str, n: int) -> list[Tensors]:
    """Take the tensors out whose names go on with a number below n; return those of each number, in one pass."""
    found: list[Tensors] = [{} for _ in range(n)]
    places = {str(i): own for i, own in enumerate(found)}
    for rest, tensor in _taken(tensors, prefix).items():
        number, _, name = rest.partition(".")
        if number not in places:
            raise ValueError(f"tensor {prefix}{rest}: the estimator has no such")
        places[number][name] = tensor
    return found


def _list(name: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is a {type(value).__name__}: expected a list")
    return value


def _texts(name: str, value: object) -> list[str]:
    return [text(f"one of {name}", item) for item in _list(name, value)]


def _float64(name: str, array: NDArray[Any], *, ndim: int) -> NDArray[np.float64]:
    if array.dtype != np.float64 or array.ndim != ndim:
        shape = "(n,)" if ndim else "()"
        raise ValueError(f"tensor {name} is {array.dtype} of shape {array.shape}: expected float64, {shape}")
    return array


def _item(fit: Tensors, name: str) -> float | None:
    return float(_float64(f"fit.{name}", fit[name], ndim=0)) if name in fit else None


def _curve(fit: Tensors, name: str) -> list[float] | None:
    return _float64(f"fit.{name}", fit[name], ndim=1).tolist() if name in fit else None
