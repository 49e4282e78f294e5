"""Dense neural networks on the CPU: trained and run as fast as the machine allows, from one small wheel."""

# ruff: noqa: E402

from ._ctrl_c import end_command_at_once

end_command_at_once()  # before the imports below, which take most of a short command's time

import importlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import schedules
from ._core import DivergedError, __version__, build_info, get_num_threads, set_num_threads
from ._load import load
from ._show_versions import show_versions
from .callbacks import (
    Callback,
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    OptunaPruning,
    Progress,
    TensorBoard,
    TimeLimit,
    Until,
)
from .layers import (
    Activation,
    BatchNorm,
    CategoryEmbedding,
    Dense,
    Dropout,
    FeatureScale,
    LayerNorm,
    PeriodicEmbedding,
    PiecewiseLinear,
    PiecewiseLinearEmbedding,
    Residual,
)
from .network import Network
from .optimizers import SGD, Adam, AdamW, RMSprop
from .stream import Stream
from .training import Trainer, fit_many

with suppress(ImportError):  # threadpoolctl is optional
    from . import _threadpool as _threadpool

if TYPE_CHECKING:
    from . import descent, distributed, online, tables
    from ._predict_batches import predict_batches
    from .estimators import MLPClassifier, MLPRegressor
    from .selection import GroupModels, SearchResult, cross_validate, fit_groups, search

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "BatchNorm",
    "CSVLogger",
    "Callback",
    "CategoryEmbedding",
    "Checkpoint",
    "Dense",
    "DivergedError",
    "Dropout",
    "EarlyStopping",
    "FeatureScale",
    "GroupModels",
    "History",
    "LambdaCallback",
    "LayerNorm",
    "MLPClassifier",
    "MLPRegressor",
    "Network",
    "OptunaPruning",
    "PeriodicEmbedding",
    "PiecewiseLinear",
    "PiecewiseLinearEmbedding",
    "Progress",
    "RMSprop",
    "Residual",
    "SearchResult",
    "Stream",
    "TensorBoard",
    "TimeLimit",
    "Trainer",
    "Until",
    "__version__",
    "build_info",
    "cross_validate",
    "descent",
    "distributed",
    "fit_groups",
    "fit_many",
    "get_num_threads",
    "load",
    "online",
    "predict_batches",
    "schedules",
    "search",
    "set_num_threads",
    "show_versions",
    "tables",
]


_NEED_SKLEARN = {
    "GroupModels": "selection",
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "SearchResult": "selection",
    "cross_validate": "selection",
    "fit_groups": "selection",
    "predict_batches": "_predict_batches",
    "search": "selection",
}


def __getattr__(name: str) -> Any:
    """Import what few need when it is first asked for: scikit-learn is optional."""
    if name in ("descent", "distributed", "online", "tables"):
        return importlib.import_module(f"{__name__}.{name}")
    room = _NEED_SKLEARN.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._extras import require

    require("sklearn", "scikit-learn", f"steepest.{name}")
    globals()[name] = getattr(importlib.import_module(f"{__name__}.{room}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
