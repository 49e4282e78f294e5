"""The same data is the same data: whatever holds it, an estimator learns and predicts the same within rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

import steepest as st
from helpers import normal

NAMES = ["a", "b", "c"]


def rows(n: int) -> Any:
    """Numbers that float32 holds exactly, so that no container rounds them."""
    x = normal(0, (n, 3), np.float32).astype(np.float64)
    x[:, 1] = np.round(x[:, 1] * 2)
    x[:, 2] *= 16
    return x


FORMS: dict[str, Callable[[Any], Any]] = {
    "float32": lambda x: x.astype(np.float32),
    "big-endian": lambda x: x.astype(">f8"),
    "columns in order": np.asfortranarray,
    "list": lambda x: x.tolist(),
    "objects": lambda x: x.astype(object),
    "nothing masked": np.ma.array,
    "pandas": lambda x: pd.DataFrame(x, columns=NAMES),
    "pandas with whole numbers": lambda x: pd.DataFrame(x, columns=NAMES).astype({"b": np.int64}),
    "pandas' own types": lambda x: pd.DataFrame(x, columns=NAMES).astype({"b": "Int64", "a": "Float64"}),
    "pyarrow": lambda x: pa.table({name: x[:, i] for i, name in enumerate(NAMES)}),
    "CSR": sparse.csr_matrix,
    "CSC of float32": lambda x: sparse.csc_array(x.astype(np.float32)),
}
TASKS: dict[str, Any] = {"classifier": st.MLPClassifier, "regressor": st.MLPRegressor}


def targets(task: str, x: Any) -> Any:
    return (x[:, 0] > 0).astype(int) if task == "classifier" else x[:, 0] + x[:, 1]


def predictions(model: Any, x: Any) -> Any:
    return model.predict_proba(x) if hasattr(model, "predict_proba") else model.predict(x)


OPTIONS = [{"max_iter": 5}, {"preset": "sklearn", "max_iter": 10}, {"solver": "lbfgs", "max_iter": 10}]


@pytest.mark.filterwarnings("ignore:X has feature names", "ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("n", [40, 300])
@pytest.mark.parametrize("task", TASKS)
def test_the_same_data_in_any_container_trains_the_same_model(task: str, n: int, options: dict[str, Any]) -> None:
    x = rows(n)
    y = targets(task, x)
    known = TASKS[task](random_state=0, **options).fit(x, y)
    expected = predictions(known, x)
    for name, form in FORMS.items():
        given = form(x)
        np.testing.assert_allclose(predictions(known, given), expected, atol=2e-5, err_msg=f"predict of {name}")
        model = TASKS[task](random_state=0, **options).fit(given, y)
        np.testing.assert_allclose(predictions(model, given), expected, atol=5e-4, err_msg=f"fit to {name}")


def test_a_network_reads_the_same_data_from_any_container() -> None:
    x, y = rows(20), rows(20)[:, :1]
    results = []
    for form in (np.asarray, *(FORMS[name] for name in FORMS if name not in ("objects", "pandas' own types"))):
        given = form(x)
        if hasattr(given, "toarray"):
            continue
        trainer = st.Trainer(st.Network(3, [st.Dense(8, "tanh"), st.Dense(1)], seed=0), "mse", st.SGD(1e-3))
        losses = [trainer.step(given, y), trainer.fit(given, y, epochs=2)["loss"].tolist(), trainer.evaluate(given, y)]
        results.append((losses, trainer.network.predict(given).tolist()))
    assert len(results) > 6 and all(result == results[0] for result in results)
