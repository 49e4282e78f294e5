"""A trainer's options: combinations that do not go together, and the core's trainer made of them."""

from __future__ import annotations

from .._core import Trainer as CoreTrainer
from ..losses import CustomLoss
from ..network import Network
from ..optimizers import SGD, Optimizer
from ._layerwise import known_rates


def check_combinations(
    optimizer: Optimizer,
    custom_loss: CustomLoss | None,
    *,
    mixup: float,
    update_order: str,
    layer_rates: dict[str, float] | str | None,
) -> None:
    """Refuse options of which each is right, but not all together.

    Parameters
    ----------
    optimizer, mixup, update_order, layer_rates
        As in `Trainer`, checked.
    custom_loss : CustomLoss or None
        The loss, if it is a function.

    Raises
    ------
    ValueError
        If `update_order` is by layer and the optimizer's fraction is of the network; or if there is a `custom_loss` and
        `mixup` is above 0, or `layer_rates` is "equal_effect".
    """
    if isinstance(optimizer, SGD) and optimizer.fraction_of == "network" and update_order != "together":
        raise ValueError(f"update_order is {update_order!r}: expected fraction_of='layer' with it, found 'network'")
    if custom_loss and mixup:
        raise ValueError(f"mixup is {mixup} with a loss of your own: expected 0, or the name of a loss")
    if custom_loss and layer_rates == "equal_effect":
        raise ValueError("layer_rates is 'equal_effect' with a loss of your own: expected the name of a loss")


def make_core(
    network: Network,
    loss: str | CustomLoss,
    optimizer: Optimizer,
    *,
    quantile: float,
    delta: float,
    seed: int,
    accumulate: int,
    ema: float | None,
    mixup: float,
    update_order: str,
    layer_rates: dict[str, float] | str | None,
) -> CoreTrainer:
    """Return the core's trainer with the options of a `Trainer`, checked."""
    parameter = {"quantile": quantile, "huber": delta}.get(loss, 0.0) if isinstance(loss, str) else 0.0
    core = CoreTrainer(
        network._core, loss, parameter, optimizer.to_core(), seed,
        accumulate=accumulate, ema=ema or 0.0, mixup=mixup, update_order=update_order,
    )  # fmt: skip
    if layer_rates is not None:
        core.layer_rates = known_rates(layer_rates, network._trained_layers())
    core.equalizes_rates = layer_rates == "equal_effect"
    return core
