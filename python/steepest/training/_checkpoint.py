"""Checkpoints: a trainer with its network in one safetensors file.

The names of tensors and options are a file format, of which `tests/formats` has files of each version.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._arrays import reason_of
from .._core import Trainer as CoreTrainer
from .._model_file import read_model, write_model
from ..network import TRAINER_PREFIX, Network, check_finite, from_file
from ..optimizers import Optimizer, optimizer_from_json
from ._layerwise import check_layer_rates, known_rates

OPTIONS = ("loss", "quantile", "delta", "seed", "accumulate", "ema", "mixup", "update_order", "layer_rates")

State = dict[str, NDArray[Any]]
T = TypeVar("T")


def write_checkpoint(
    path: str | os.PathLike[str],
    network: Network,
    options: Mapping[str, Any],
    optimizer: Optimizer,
    tensors: State,
    state: State,
) -> None:
    """Write a network, the trainer's options, its optimizer as of now, and its state.

    Parameters
    ----------
    path : path
        The file to write.
    network : Network
        The network.
    options : mapping of str to object
        The arguments of the trainer with the names of `OPTIONS`.
    optimizer : Optimizer
        The optimizer, with the learning rate or schedule of the moment.
    tensors : dict of str to array
        The network's tensors, of the same moment as the state.
    state : dict of str to array
        The state, as of `with_measured_rates`.
    """
    metadata = network._metadata() | {"trainer": dict(options) | {"optimizer": optimizer.to_dict()}}
    state = {f"{TRAINER_PREFIX}{name}": array for name, array in state.items()}
    write_model(path, check_finite(tensors) | state, metadata)


def read_checkpoint(path: str | os.PathLike[str], make: Callable[[Network, dict[str, Any], State], T]) -> T:
    """Read what `write_checkpoint` wrote, and make the trainer of it.

    Parameters
    ----------
    path : path
        The file to read; it may be anybody's.
    make : callable
        Called as ``make(network, options, state)``, where options has the optimizer too.

    Raises
    ------
    ValueError
        If the file is damaged or holds no trainer, or `make` refuses what it holds.
    """
    tensors, metadata = read_model(path)
    network = from_file(path, tensors, metadata)
    options = metadata.get("trainer")
    if not isinstance(options, dict):
        raise ValueError(f"{path}: a model without a trainer: expected a file of Trainer.save; load reads this one")
    start = len(TRAINER_PREFIX)
    state = {name[start:]: array for name, array in tensors.items() if name.startswith(TRAINER_PREFIX)}
    try:
        return make(network, options | {"optimizer": optimizer_from_json(options["optimizer"])}, state)
    except KeyError as error:
        raise ValueError(f"{path}: no {error} in the metadata") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {reason_of(error)}") from error


def with_measured_rates(state: State, core: CoreTrainer, layers: list[str], rule: object) -> State:
    """Add the layers' rates to a state of `core`, if "equal_effect" has measured them.

    Parameters
    ----------
    state : dict of str to array
        What the core gave; it is changed.
    core : _core.Trainer
        The trainer.
    layers : list of str
        The names of the layers with parameters, in order.
    rule : object
        The trainer's layer_rates.
    """
    if rule == "equal_effect" and not core.equalizes_rates:
        rates = core.layer_rates
        state["layer_rates"] = np.array([rates[name] for name in layers])
    return state


def restore_core(core: CoreTrainer, layers: list[str], state: State) -> None:
    """Give a trainer the state that `with_measured_rates` returned.

    Raises
    ------
    ValueError
        If `state` does not fit the trainer.
    """
    core.restore(state)
    if core.equalizes_rates and "layer_rates" in state:
        measured = zip(layers, state["layer_rates"].tolist(), strict=True)
        core.layer_rates = known_rates(check_layer_rates(dict(measured), layers), layers)
        core.equalizes_rates = False
