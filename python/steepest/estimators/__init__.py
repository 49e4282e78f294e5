"""Estimators with scikit-learn's interface: `MLPClassifier` and `MLPRegressor`."""

from .classifier import MLPClassifier
from .regressor import LOSSES, MLPRegressor

__all__ = ["LOSSES", "MLPClassifier", "MLPRegressor"]
