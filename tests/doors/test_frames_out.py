"""Data frames in, and what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal
from quick_estimators import classifier, regressor

X = normal(0, (60, 2))
COLUMNS = {"a": X[:, 0], "b": X[:, 1]}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_estimators_return_arrays_as_scikit_learn_s_do(library: str) -> None:
    frame = pytest.importorskip(library, reason=f"{library} is not installed").DataFrame(COLUMNS)
    model = classifier().fit(frame, X[:, 0] > 0)
    assert type(model.predict(frame)) is type(model.predict_proba(frame)) is np.ndarray


@pytest.mark.parametrize("task", ["labels", "numbers"])
def test_batches_of_polars_become_batches_of_polars(task: str) -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    batch = polars.DataFrame(COLUMNS | {"id": list(map(str, range(60)))})
    is_labels = task == "labels"
    model: Any = (
        classifier().fit(batch[["a", "b"]], np.where(X[:, 0] > 0, "up", "down"))
        if is_labels
        else regressor().fit(batch[["a", "b"]], X)
    )
    found = st.predict_batches(model, keep=["id"], proba=is_labels)(batch)
    assert type(found) is polars.DataFrame and found["id"].to_list() == batch["id"].to_list()
    expected = model.predict(batch[["a", "b"]])
    if is_labels:
        assert found.columns == ["id", "prediction", "probability_down", "probability_up"]
        assert found["prediction"].to_list() == expected.tolist()
    else:
        assert np.array_equal(found[["prediction_0", "prediction_1"]].to_numpy(), expected)
    empty = st.predict_batches(model)(batch[:0])
    assert type(empty) is polars.DataFrame and len(empty) == 0
