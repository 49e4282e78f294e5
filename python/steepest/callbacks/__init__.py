"""Around the epochs of a fit: the history, and callbacks that watch, record and may end it."""

from ..history import History
from ..metrics import MODES, monitored, sign_of
from .base import OLD_NAMES, Callback, FitState, TrainerView, check_callbacks
from .pruning import OptunaPruning
from .recording import Checkpoint, CSVLogger, TensorBoard
from .showing import LambdaCallback, PrintEpochs, Progress
from .stopping import BestWeights, EarlyStopping, TimeLimit, Until

__all__ = [
    "MODES",
    "OLD_NAMES",
    "BestWeights",
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "FitState",
    "History",
    "LambdaCallback",
    "OptunaPruning",
    "PrintEpochs",
    "Progress",
    "TensorBoard",
    "TimeLimit",
    "TrainerView",
    "Until",
    "check_callbacks",
    "monitored",
    "sign_of",
]
