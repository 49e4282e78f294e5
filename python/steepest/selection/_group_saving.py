"""Models of groups written to one file: the networks of all stand in one array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import __version__
from .._model_file import write_model
from .._safe_io import StrPath
from ..estimators._saving import parameters_to_json, preprocessor_to_json, task_to_json

FORMAT = 1  # of the description of groups
NETWORK = "network."  # begins the names of the tensors of one network, which says how large those of all are
STATES, CODES = "groups.states", "groups.codes"

Tensors = dict[str, NDArray[Any]]


def save(models: Any, path: StrPath) -> None:
    """Write `GroupModels`; see their `save`."""
    tensors: Tensors = {STATES: models._states, CODES: models._keys.codes}
    if not np.isfinite(models._states).all():
        raise ValueError("a weight is not finite: expected models that have not diverged, to be saved")
    reader = models._reader
    assert models._network is not None
    description = {
        "format": FORMAT,
        "type": type(reader).__name__,
        "parameters": parameters_to_json(reader),
        "task": task_to_json(models._task, {}),
        "preprocessor": preprocessor_to_json(models._preprocessor, tensors),
        "network": models._network._architecture(),
        "columns": list(models._keys.columns),
        "labels": [_labels_to_json(labels, i, tensors) for i, labels in enumerate(models._keys.labels)],
        "n_features_in": reader.n_features_in_,
        "feature_names_in": vars(reader).get("feature_names_in_", np.empty(0)).tolist() or None,
        "fallback": models.fallback_,
    }
    tensors |= {f"{NETWORK}{name}": tensor for name, tensor in models._network._tensors().items()}
    tensors |= {"groups.n_iter": models.n_iter_, "groups.loss": models.loss_}
    for name, scales in (("input", models._inputs), ("target", models._targets)):
        if scales is not None:
            tensors |= {f"groups.{name}_mean": scales.mean, f"groups.{name}_scale": scales.scale}
    write_model(path, tensors, {"version": __version__, "groups": description})


def _labels_to_json(labels: NDArray[Any], column: int, tensors: Tensors) -> Any:
    """Return the text of keys as a list; numbers go to a tensor."""
    if labels.dtype.kind == "O":
        return labels.tolist()
    tensors[f"groups.labels.{column}"] = labels
    return labels.dtype.name
