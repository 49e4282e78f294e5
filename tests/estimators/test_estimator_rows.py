"""Rows, weights and parameters that the estimators refuse, by name and place: then nothing changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import WAYS_TO_FIT, kind_of, normal, refusal, spoilt, ways_to_fit

QUICK: dict[str, Any] = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
X = normal(0, (60, 3))
NUMBERS = X @ [1.0, -2.0, 3.0]
LABELS = (NUMBERS > 0).astype(int)
PRESETS = [None, "sklearn"]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# --- Numbers that are none, or too large ---

PLACE = r"row 7, column 1 \(the first row is 0\)"
ODD_ROWS = [
    (spoilt(X, (7, 1), math.nan), f"X contains NaN at {PLACE}.*imputer"),
    (spoilt(X, (7, 1), math.inf), f"X contains infinity.* at {PLACE}"),
    (spoilt(X, (7, 1), -math.inf, np.float32), f"X contains infinity.* at {PLACE}"),
    (spoilt(X, (7, 1), None, object), f"X contains NaN at {PLACE}"),
    (spoilt(X, (7, 1), "one", object), f"X has text at {PLACE}: expected numbers.*'one'"),
    (X[:, :2], "2 features"),
    (X[0], "1D array"),
    (X[:, :, None], "dim 3"),
    (X[:0], "0 sample"),
    (X + 1j, "Complex"),
    (np.ma.masked_array(X, X[7, 1] == X), f"X is a masked array, masked at {PLACE}"),
]  # fmt: skip


@pytest.mark.parametrize(("x", "message"), ODD_ROWS, ids=kind_of)
@pytest.mark.parametrize("preset", PRESETS)
def test_odd_rows_are_refused(x: Any, message: str, preset: str | None) -> None:
    model = st.MLPRegressor(**QUICK, preset=preset, warm_start=True).fit(X, NUMBERS)
    if len(x):  # of no rows there is nothing to predict
        with refusal(model, message):
            model.predict(x)
    for name, call in ways_to_fit(model, (X, NUMBERS), x, NUMBERS[: len(x)]).items():
        with refusal(model, f"^eval_set: .*{message}" if name == "eval_set" else message):
            call()
    new = st.MLPRegressor(**QUICK, preset=preset)
    if "features" not in message:
        with refusal(new, message):
            new.fit(x, NUMBERS[: len(x)])


@pytest.mark.parametrize("way", WAYS_TO_FIT)
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (spoilt(np.ones(60), 7, math.nan), "sample_weight contains NaN at row 7"),
        (spoilt(np.ones(60), 7, math.inf), "sample_weight contains infinity.* at row 7"),
        (spoilt(np.ones(60), 7, 1e39), "sample_weight has a value too large for float32 at row 7"),
        (spoilt(np.ones(60), 7, -1), "sample_weight has negative"),
        (np.zeros(60), "zero"),
        (np.ones(59), "sample_weight"),
        (np.ones((60, 1)), "1D array"),
    ],
)
def test_odd_weights_are_refused(weight: Any, message: str, way: str) -> None:
    for model, y in ((st.MLPRegressor(**QUICK), NUMBERS), (st.MLPClassifier(**QUICK), LABELS)):
        model.fit(X, y).partial_fit(X, y)
        with refusal(model, message.replace("sample_weight", "[Ss]ample.weight")):
            ways_to_fit(model, (X, y), X, y, weight)[way]()


@pytest.mark.parametrize("largest", [1e39, -1e39, 1e300])
def test_numbers_beyond_float32_are_scaled_first(largest: float) -> None:
    x = spoilt(X, (7, 1), largest)
    model = st.MLPRegressor(**QUICK).fit(x, NUMBERS)
    assert np.isfinite(model.predict(x)).all()
    model.partial_fit(x, NUMBERS)
    assert all(np.isfinite(array).all() for array in model.coefs_)
    unscaled = st.MLPRegressor(**QUICK).partial_fit(X[:1], NUMBERS[:1])  # too few rows to learn a scale
    with refusal(unscaled, "x has a value too large for float32 at row 7, column 1"):
        unscaled.partial_fit(x[:8], NUMBERS[:8])
    with refusal(unscaled, "x has a value too large for float32 at row 7, column 1"):
        unscaled.predict(x)


@pytest.mark.parametrize("way", ["fit", "partial_fit"])
def test_targets_beyond_float32_are_refused_by_the_callers_row(way: str) -> None:
    x, y = normal(1, (250, 3)), normal(2, (250,))
    row = next(  # a row that is held out, so that the scale is not learned from it
        i for i in range(250) if "too large" in _refused_by(st.MLPRegressor(**QUICK), x, spoilt(y, i, 1e39))
    )
    model = st.MLPRegressor(**QUICK).fit(x, y)
    with refusal(model, rf"y has a value too large for float32 at row {row} \(the first row is 0\)"):
        ways_to_fit(model, (X, NUMBERS), x, spoilt(y, row, 1e39))[way]()
    assert np.isfinite(st.MLPRegressor(**QUICK).fit(x, 1e39 * y).predict(x)).all()


def _refused_by(model: Any, x: Any, y: Any) -> str:
    try:
        model.fit(x, y)
    except ValueError as error:
        return str(error)
    return ""


def test_large_integers_are_rounded() -> None:
    x = np.stack([2**40 + np.arange(60), LABELS], axis=1)  # scaled in float64, which has them all
    model = st.MLPRegressor(**QUICK).fit(x, NUMBERS)
    np.testing.assert_array_equal(model.predict(x), model.predict(x.astype(np.float64)))


# --- Parameters ---


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"alpha": -1.0}, ValueError, "alpha"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": 1.5}, TypeError, "batch_size"),
        ({"validation_fraction": 1.5}, ValueError, "validation_fraction"),
        ({"hidden_layer_sizes": (8, 0)}, ValueError, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": "8"}, TypeError, "hidden_layer_sizes"),
        ({"activation": "wave"}, ValueError, "activation"),
        ({"activation": 3}, TypeError, "activation is 3"),
        ({"optimizer": "adam"}, TypeError, "optimizer"),
        ({"callbacks": ["stop"]}, TypeError, "callbacks"),
    ],
)
@pytest.mark.parametrize("way", ["fit", "partial_fit"])
def test_odd_parameters_are_refused(options: dict[str, Any], error: type[Exception], message: str, way: str) -> None:
    model = st.MLPClassifier(**QUICK).fit(X, LABELS).partial_fit(X, LABELS)
    model.set_params(**options)
    if way == "partial_fit" and message == "callbacks":
        return
    with refusal(model, message, error):
        ways_to_fit(model, (X, LABELS), X, LABELS)[way]()
