"""What goes on around the epochs of a fit: the history, and callbacks that watch and may end it."""

from ..history import History
from ..metrics import MODES, monitored, sign_of
from .base import Callback, FitState, TrainerView
from .recording import Checkpoint, CSVLogger, TensorBoard
from .showing import LambdaCallback, PrintEpochs, Progress
from .stopping import BestWeights, EarlyStopping, TimeLimit, Until

__all__ = [
    "MODES",
    "BestWeights",
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "FitState",
    "History",
    "LambdaCallback",
    "PrintEpochs",
    "Progress",
    "TensorBoard",
    "TimeLimit",
    "TrainerView",
    "Until",
    "monitored",
    "sign_of",
]
