"""Training: the trainer, which holds an optimizer's state and runs steps and whole fits."""

from ..losses import LOSSES
from ._layerwise import UPDATE_ORDERS, LayerRates
from ._many import Histories, fit_many
from .trainer import Trainer

__all__ = ["LOSSES", "UPDATE_ORDERS", "Histories", "LayerRates", "Trainer", "fit_many"]
