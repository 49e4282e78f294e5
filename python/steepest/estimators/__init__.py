"""Estimators with scikit-learn's interface: `MLPClassifier` and `MLPRegressor`."""

from ._regression import LOSSES
from .classifier import MLPClassifier
from .regressor import MLPRegressor

__all__ = ["LOSSES", "MLPClassifier", "MLPRegressor"]
