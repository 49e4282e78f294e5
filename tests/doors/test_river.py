"""The online models within river."""

from __future__ import annotations

from typing import Any

import pytest

import steepest as st

river = pytest.importorskip("river", reason="river is not installed")
from river import base, checks, compose, datasets, evaluate, metrics, preprocessing  # noqa: E402

MODELS = [st.online.OnlineRegressor, st.online.OnlineClassifier]


@pytest.mark.filterwarnings("ignore")  # river's and pandas' own
@pytest.mark.parametrize("make", MODELS)
def test_river_checks_pass(make: Any) -> None:
    checks.check_estimator(make())


def test_they_are_river_s() -> None:
    assert isinstance(st.online.OnlineRegressor(), base.Regressor)
    assert isinstance(st.online.OnlineClassifier(), base.Classifier)
    model = st.online.OnlineRegressor((8,), optimizer=st.Adam(0.01))
    assert model.clone()._get_params() == model._get_params()
    assert "OnlineRegressor" in repr(model)


def test_progressive_validation() -> None:
    """Each about as good as river's own on these streams: 0.56, 89% and 83% by its linear models, scaled."""
    regressor, classifier = st.online.OnlineRegressor(), st.online.OnlineClassifier()
    approval = evaluate.progressive_val_score(datasets.TrumpApproval(), regressor, metrics.MAE())
    phishing = evaluate.progressive_val_score(datasets.Phishing(), classifier, metrics.Accuracy())
    segments = evaluate.progressive_val_score(datasets.ImageSegments(), classifier.clone(), metrics.Accuracy())
    assert approval.get() < 0.7 and phishing.get() > 0.87 and segments.get() > 0.85


def test_within_a_pipeline() -> None:
    kinds = compose.SelectType(str) | preprocessing.OneHotEncoder()
    model = (kinds + compose.SelectType(float)) | st.online.OnlineClassifier()
    for i in range(2000):
        x = {"color": ["red", "green", "blue"][i % 3], "size": float(i % 4)}
        model.learn_one(x, x["color"] == "red" and x["size"] > 1)
    assert model.predict_one({"color": "red", "size": 3.0}) is True
    assert model.predict_one({"color": "blue", "size": 3.0}) is False
