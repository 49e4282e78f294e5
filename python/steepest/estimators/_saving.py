"""Estimators written to model files: safetensors with JSON metadata, nothing pickled."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import __version__
from .._model_file import write_model
from .._safe_io import StrPath
from ..history import History
from ..network import Network, check_finite
from ..optimizers import Optimizer, optimizer_from_json
from ..schedules import Schedule, schedule_from_json
from ._classification import Classification
from ._preprocess import Preprocessor
from ._regression import Regression

FORMAT = 2  # of the metadata; 1 is a network's
FUNCTION = "function "  # begins the text that stands for a function in what is read
MOST_LABEL_BYTES = 1 << 26  # of the array of labels, in which each takes the room of the longest
LABEL_TYPES = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)|object|<U[1-9]\d{0,4}")

Json = dict[str, Any]
Tensors = dict[str, NDArray[Any]]


def save(estimator: Any, path: StrPath) -> None:
    """Write a fitted estimator; see `BaseMLP.save`."""
    tensors: Tensors = {}
    description = describe(estimator, tensors)
    write_model(path, tensors, {"format": FORMAT, "version": __version__, "estimator": description})


def describe(estimator: Any, tensors: Tensors) -> Json:
    """Return a fitted estimator as JSON; its arrays go into `tensors`."""
    model = estimator._fitted
    description = {
        "type": type(estimator).__name__,
        "parameters": parameters_to_json(estimator),
        "task": task_to_json(model.task, tensors),
        "preprocessor": preprocessor_to_json(model.preprocessor, tensors),
        "networks": [_network_to_json(network, f"networks.{i}.", tensors) for i, network in enumerate(model.networks)],
        "n_features_in": estimator.n_features_in_,
        "feature_names_in": vars(estimator).get("feature_names_in_", np.empty(0)).tolist() or None,
        "target_name": estimator.target_name_,
        "recipe": {name: _parameter_to_json(value) for name, value in estimator.recipe_.items()},
        "n_iter": estimator.n_iter_,
        "t": estimator.t_,
        "histories": [
            _history_to_json(history, f"histories.{i}.", tensors) for i, history in enumerate(estimator.histories_)
        ],
    }
    numbers = {"loss": estimator.loss_, "best_loss": estimator.best_loss_}
    numbers["best_score"] = vars(estimator).get("best_validation_score_")
    curves = {"loss_curve": vars(estimator).get("loss_curve_"), "scores": estimator.validation_scores_}
    tensors |= {f"fit.{name}": np.array(value, np.float64) for name, value in numbers.items() if value is not None}
    tensors |= {f"fit.{name}": np.array(values, np.float64) for name, values in curves.items() if values is not None}
    return description


def parameters_to_json(estimator: Any) -> Json:
    """Return the parameters of an estimator, callbacks aside, which no file can hold."""
    given = estimator.get_params(deep=False) | {"callbacks": None}
    try:
        return {name: _parameter_to_json(value) for name, value in given.items()}
    except RecursionError:
        raise ValueError("a parameter has too many lists within one another to be saved") from None


def _parameter_to_json(value: Any) -> Any:
    """Return a parameter's value as JSON; of what no file can hold, a function's name alone, or nothing."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str) and value.startswith(FUNCTION):  # of a file that was read
        return {"function": value.removeprefix(FUNCTION)}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, (tuple, list, np.ndarray)):
        items = [_parameter_to_json(item) for item in value]
        return {"tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, Mapping):
        return {"dict": [[_parameter_to_json(key), _parameter_to_json(item)] for key, item in value.items()]}
    if isinstance(value, Optimizer):
        return _described("optimizer", value, optimizer_from_json)
    if isinstance(value, Schedule):
        return _described("schedule", value, schedule_from_json)
    return {"function": str(getattr(value, "__name__", type(value).__name__))} if callable(value) else None


def _described(kind: str, value: Optimizer | Schedule, read: Callable[[Json], object]) -> Json:
    """Return an optimizer or schedule as JSON; its text alone where it could not be read again.

    That is so of a class of the user's own, and of an optimizer whose rate is a function.
    """
    with suppress(ValueError):
        data = value.to_dict()
        if read(data) == value:
            return {kind: data}
    return {"function": repr(value)}


def task_to_json(task: Classification | Regression, tensors: Tensors) -> Json:
    """Return a task as JSON; its scale goes into `tensors`."""
    if isinstance(task, Classification):
        kind = task.classes.dtype
        found = {"labels": task.classes.tolist(), "dtype": f"<U{kind.itemsize // 4}" if kind.kind == "U" else kind.name}
        if not LABEL_TYPES.fullmatch(found["dtype"]) or (kind.kind == "O" and not _all_text(found["labels"])):
            raise ValueError(f"classes_ has the type {kind}: expected text, true and false or numbers, to be saved")
        if task.classes.nbytes > MOST_LABEL_BYTES:
            raise ValueError(f"classes_ has {task.classes.nbytes} bytes: expected {MOST_LABEL_BYTES}, to be saved")
        return {"type": "Classification", **found, "multilabel": task.multilabel, "logistic": task.logistic}
    if task.scale is not None:
        tensors |= {f"target.{name}": array for name, array in task.scale.to_arrays().items()}
    loss = _parameter_to_json(task.function)
    return {"type": "Regression", "flat": task.flat, "n_outputs": task.n_outputs, "loss": loss}


def preprocessor_to_json(preprocessor: Preprocessor, tensors: Tensors) -> Json:
    """Return a preprocessor as JSON; its scale goes into `tensors`."""
    scale = preprocessor.scale
    if scale is not None:
        tensors |= {f"scale.{name}": array for name, array in scale.to_arrays().items()}
    encoder = preprocessor.encoder
    return {
        "dtype": preprocessor.dtype.name,
        "encoder": None if encoder is None else encoder.to_dict(),
        "scale": None if scale is None else type(scale).__name__,
    }


def _network_to_json(network: Network, prefix: str, tensors: Tensors) -> Json:
    tensors |= {f"{prefix}{name}": array for name, array in check_finite(network._tensors()).items()}
    return network._architecture()


def _history_to_json(history: History, prefix: str, tensors: Tensors) -> Json:
    """Describe a history, the time aside: the same seed then writes the same file."""
    names = [name for name in history if name != "seconds"]
    tensors |= {f"{prefix}{name}": history[name] for name in names}
    return {"monitor": history.monitor, "mode": history.mode, "names": names}


def _all_text(labels: list[Any]) -> bool:
    return all(isinstance(label, str) for label in labels)
