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
from .._validation import number
from ..network import TRAINER_PREFIX, Network, check_finite, from_file
from ..optimizers import Optimizer, optimizer_from_json
from ._layerwise import check_layer_rates, known_rates

# Of the state: numbers with what they are below, numbers that may be fractions, and what stands beside each parameter.
_WHOLE = {"n_steps": 2**63, "epoch": 2**32, "n_averaged": 2**63, "group.batches": 2**63}
_REAL = ("learning_rate", "group.first", "group.total")
_MATRICES = ("slot1", "slot2", "average", "sum")

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
    expected = {*OPTIONS, "optimizer"}
    if options.keys() != expected:
        wrong = min(options.keys() ^ expected)
        raise ValueError(f"{path}: the trainer has {'no' if wrong in expected else 'an unknown'} option {wrong!r}")
    start = len(TRAINER_PREFIX)
    state = {name[start:]: array for name, array in tensors.items() if name.startswith(TRAINER_PREFIX)}
    try:
        return make(network, options | {"optimizer": optimizer_from_json(options["optimizer"])}, state)
    except (TypeError, ValueError, OverflowError) as error:
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


def restore_core(
    core: CoreTrainer, layers: list[str], state: State, *, optimizer: Optimizer, accumulate: int, dtype: str
) -> None:
    """Give a trainer the state that `with_measured_rates` returned, and that a stranger may have written.

    Parameters
    ----------
    core : _core.Trainer
        The trainer.
    layers : list of str
        The names of the layers with parameters, in order.
    state : dict of str to array
        The state.
    optimizer, accumulate
        As of the trainer.
    dtype : str
        Of the network.

    Raises
    ------
    ValueError
        If `state` is not one that such a trainer can come to; nothing has changed then.
    """
    state = dict(state)
    rates = state.pop("layer_rates", None) if core.equalizes_rates else None
    if rates is not None and (rates.shape != (len(layers),) or rates.dtype != np.float64):
        raise ValueError(_unlike("layer_rates", rates, f"({len(layers)},) of float64"))
    measured = None if rates is None else check_layer_rates(dict(zip(layers, rates.tolist(), strict=True)), layers)
    _check_numbers(state, accumulate)
    for name, array in state.items():
        kind = name.rpartition(".")[2]
        if kind in _MATRICES:
            _check_matrix(name, array, dtype, squares=kind == optimizer.squares)
    core.restore(state)
    if measured is not None:
        core.layer_rates = known_rates(measured, layers)
        core.equalizes_rates = False


def _check_numbers(state: State, accumulate: int) -> None:
    found: dict[str, Any] = {}
    for name in (*_WHOLE, *_REAL):
        if name not in state:
            continue  # the core says so, where the trainer has it
        dtype = np.uint64 if name in _WHOLE else np.float64
        if state[name].shape != () or state[name].dtype != dtype:
            raise ValueError(_unlike(name, state[name], f"one {np.dtype(dtype)}"))
        value = found[name] = state[name].item()
        if name in _REAL:
            number(f"{TRAINER_PREFIX}{name}", value, ge=0)
        elif value >= _WHOLE[name]:
            raise ValueError(f"{TRAINER_PREFIX}{name} is {value}: expected a whole number >= 0 and < {_WHOLE[name]}")
    if found.get("n_averaged", 0) > found.get("n_steps", 0):
        raise ValueError(f"{TRAINER_PREFIX}n_averaged is {found['n_averaged']}: expected at most n_steps")
    batches, first, total = (found.get(f"group.{name}", 0) for name in ("batches", "first", "total"))
    if batches >= accumulate and batches:
        raise ValueError(f"{TRAINER_PREFIX}group.batches is {batches}: expected fewer than accumulate, {accumulate}")
    if (first > 0) != (batches > 0) or total < first or (total > first and batches < 2):
        raise ValueError(
            f"{TRAINER_PREFIX}group.first, .total are {first}, {total}: not the weights of {batches} batches"
        )


def _check_matrix(name: str, array: NDArray[Any], dtype: str, *, squares: bool) -> None:
    """Refuse numbers that no training comes to; means of squares may have grown beyond the largest."""
    if array.dtype != dtype:
        raise ValueError(_unlike(name, array, f"the network's dtype, {dtype}"))
    if squares and not (array >= 0).all():
        raise ValueError(f"{TRAINER_PREFIX}{name} has a number below 0 or that is none: expected means of squares")
    if not squares and not np.isfinite(array).all():
        raise ValueError(f"{TRAINER_PREFIX}{name} has a number that is not finite: expected finite ones")


def _unlike(name: str, array: NDArray[Any], expected: str) -> str:
    return f"{TRAINER_PREFIX}{name} is {array.dtype} of shape {array.shape}: expected {expected}"
