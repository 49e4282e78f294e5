"""Models logged and loaded by MLflow."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal
from quick_estimators import classifier, regressor

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own types while it is imported
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed")
    for name in ("mlflow.pyfunc", "mlflow.sklearn"):  # which it imports when they are first asked for
        pytest.importorskip(name, reason=f"{name} is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, and of what it asks of pydantic and pickle

X = normal(0, (60, 3))


@pytest.fixture(autouse=True)
def _tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    yield
    mlflow.set_tracking_uri("")


@pytest.mark.parametrize("make", [classifier, regressor])
def test_an_estimator_is_saved_and_loaded(make: Any, tmp_path: Path) -> None:
    model = make().fit(X, X[:, 0] > 0 if make is classifier else X[:, 0])
    mlflow.sklearn.save_model(model, tmp_path / "model", serialization_format="cloudpickle", pip_requirements=[])
    for loaded in (mlflow.sklearn.load_model(tmp_path / "model"), mlflow.pyfunc.load_model(str(tmp_path / "model"))):
        assert np.array_equal(loaded.predict(X), model.predict(X))


def test_a_file_of_save_is_served(tmp_path: Path) -> None:
    """By a class of one's own, which reads it by `st.load`: nothing is unpickled but this class."""

    class SteepestModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def load_context(self, context):
            self.model = st.load(context.artifacts["model"])

        def predict(self, context, model_input, params=None):  # MLflow takes type hints for schemas
            return self.model.predict(model_input)

    model = regressor().fit(X, X[:, 0])
    model.save(tmp_path / "model.safetensors")
    artifacts = {"model": str(tmp_path / "model.safetensors")}
    mlflow.pyfunc.save_model(
        tmp_path / "served", python_model=SteepestModel(), artifacts=artifacts, pip_requirements=[]
    )
    assert np.array_equal(mlflow.pyfunc.load_model(str(tmp_path / "served")).predict(X), model.predict(X))
