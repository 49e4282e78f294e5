"""Models of groups read from a file, which is distrusted: what does not fit is refused by name, nothing is executed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import reason_of
from .._safe_io import StrPath
from .._validation import choice, flag, integer, text
from ..estimators._classification import Classification
from ..estimators._loading import (
    ESTIMATORS,
    preprocessor_from_json,
    set_features_in,
    set_parameters,
    task_from_json,
)
from ..network import Network
from ._group_models import GroupModels
from ._group_saving import CODES, FORMAT, NETWORK, STATES, Tensors
from ._keys import Keys
from ._scales import Scales


def from_file(path: StrPath, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> GroupModels:
    """Make the models that `save` wrote.

    Parameters
    ----------
    path : path
        For messages.
    tensors, metadata
        As read from it.

    Raises
    ------
    ValueError
        If they describe no models of groups, or arrays and description do not fit together.
    """
    try:
        data = metadata["groups"]
        if data["format"] != FORMAT:
            raise ValueError(
                f"format {data['format']!r} of groups, written by steepest {metadata.get('version')!r}: this version "
                f"reads format {FORMAT}"
            )
        return _from_json(data, dict(tensors))
    except KeyError as error:
        raise ValueError(f"{path}: no {error} in the description of the groups") from error
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: {reason_of(error)}") from error


def _from_json(data: Any, tensors: Tensors) -> GroupModels:
    kind = ESTIMATORS[choice("estimator type", data["type"], tuple(ESTIMATORS))]
    reader = kind()
    set_parameters(reader, data["parameters"])
    set_features_in(reader, data)
    task = task_from_json(data["task"], {}, classifies=kind is ESTIMATORS["MLPClassifier"])
    preprocessor = preprocessor_from_json(data["preprocessor"], tensors)
    states = _tensor(tensors, STATES, (None, None, None), preprocessor.dtype)
    k, fallback = len(states), flag("fallback", data["fallback"])
    if not isinstance(data["columns"], list) or not isinstance(data["labels"], list):
        raise ValueError("columns and labels of keys: expected lists")
    columns = tuple(text("one of columns", name) for name in data["columns"])
    labels = [_labels_from_json(each, i, tensors) for i, each in enumerate(data["labels"])]
    codes = _tensor(tensors, CODES, (k - fallback, len(labels)), np.int64)
    keys = Keys(columns, labels, codes)
    _check_keys(keys)
    own = {name.removeprefix(NETWORK): tensors.pop(name) for name in [*tensors] if name.startswith(NETWORK)}
    network = Network._from_parts(data["network"], own, None)
    if preprocessor.encoder is not None and len(preprocessor.encoder.columns) > reader.n_features_in_:
        raise ValueError(f"the encoder has more columns than n_features_in, {reader.n_features_in_}")
    if preprocessor.scale is not None:
        raise ValueError("there is a scale of all groups: expected one of each group alone")
    wanted = (preprocessor.n_features(reader.n_features_in_), task.n_outputs, preprocessor.dtype.name)
    if (found := (network.n_in, network.n_out, network.dtype)) != wanted:
        raise ValueError(f"the network is {found}: expected (inputs, outputs, dtype) {wanted}")
    if states.shape[2] != network._core.state().size or not states.shape[1]:
        raise ValueError(f"tensor {STATES} has the shape {states.shape}: expected one for {network}")
    if not np.isfinite(states).all():
        raise ValueError(f"tensor {STATES} has a number that is not finite")
    inputs = _scales(tensors, "input", (k, network.n_in))
    targets = None if isinstance(task, Classification) else _scales(tensors, "target", (k, task.n_outputs))
    n_iter, loss = _tensor(tensors, "groups.n_iter", (k,), np.int64), _tensor(tensors, "groups.loss", (k,), np.float64)
    if tensors:
        raise ValueError(f"tensor {min(tensors)}: the models have no such")
    return GroupModels(reader, task, preprocessor, keys, inputs, targets, fallback, network, states, n_iter, loss)


def _tensor(tensors: Tensors, name: str, shape: tuple[int | None, ...], dtype: Any) -> NDArray[Any]:
    found = tensors.pop(name)
    fits = len(found.shape) == len(shape) and all(b in (None, a) for a, b in zip(found.shape, shape, strict=True))
    if found.dtype != dtype or not fits:
        raise ValueError(f"tensor {name} is {found.dtype} of shape {found.shape}: expected {np.dtype(dtype)}, {shape}")
    return found


def _scales(tensors: Tensors, name: str, shape: tuple[int, int]) -> Scales:
    mean, scale = (_tensor(tensors, f"groups.{name}_{part}", shape, np.float64) for part in ("mean", "scale"))
    if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale >= 0).all()):
        raise ValueError(f"tensors groups.{name}_mean and _scale: expected finite numbers, and scales of at least 0")
    return Scales(mean, scale)


def _labels_from_json(data: Any, column: int, tensors: Tensors) -> NDArray[Any]:
    if isinstance(data, list):
        return np.array([text("a key", label) for label in data] + [None], dtype=object)[:-1]
    choice("type of keys", data, ("int64", "float64", "bool"))
    return _tensor(tensors, f"groups.labels.{column}", (None,), np.dtype(data))


def _check_keys(keys: Keys) -> None:
    """Refuse keys that are not sorted, or point to no label."""
    integer("number of groups", len(keys.codes), ge=1)
    if not keys.labels or len(keys.columns) not in (0, len(keys.labels)):
        raise ValueError(f"labels are of {len(keys.labels)} columns: expected those of {list(keys.columns)}")
    for labels, codes in zip(keys.labels, keys.codes.T, strict=True):
        listed = labels.tolist()
        if not all(a < b for a, b in pairwise(listed)):
            raise ValueError("labels of keys: expected different ones, sorted")
        if codes.min() < 0 or codes.max() >= len(labels):
            raise ValueError(f"tensor {CODES} has a place beyond the {len(labels)} labels")
    rows = keys.codes.tolist()
    if not all(a < b for a, b in pairwise(rows)):
        raise ValueError(f"tensor {CODES}: expected different groups, sorted")
