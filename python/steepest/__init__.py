"""Dense neural networks on the CPU: trained and run as fast as the machine allows, from one small wheel."""

from . import schedules
from ._core import DivergedError, __version__, build_info, get_num_threads, set_num_threads
from .callbacks import Callback, EarlyStopping, History
from .layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Residual
from .network import Network, load
from .optimizers import SGD, Adam, AdamW, RMSprop
from .training import Trainer

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "BatchNorm",
    "Callback",
    "Dense",
    "DivergedError",
    "Dropout",
    "EarlyStopping",
    "History",
    "LayerNorm",
    "Network",
    "RMSprop",
    "Residual",
    "Trainer",
    "__version__",
    "build_info",
    "get_num_threads",
    "load",
    "schedules",
    "set_num_threads",
]
