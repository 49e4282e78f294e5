"""Learning from rows that come one at a time, as dicts: with river's interface, and within its pipelines."""

from .classifier import OnlineClassifier
from .regressor import OnlineRegressor

__all__ = ["OnlineClassifier", "OnlineRegressor"]
