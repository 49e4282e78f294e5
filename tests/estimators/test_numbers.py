"""Numbers that must not go wrong in silence: constant columns, dtypes, probabilities, odd types of input."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

import steepest as st
from steepest.tables import TableEncoder
from steepest.tables._scaling import feature_scale

CONSTANTS = [0.1, 14.62, 1e6 + 0.1, float(np.log(1e-5)), 0.0, -3e-300, 1e300, 7e-5]


def rows_with(constant: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two columns of numbers and a constant one, with labels by the first two."""
    x = np.random.default_rng(0).normal(size=(n, 3))
    x[:, 2] = constant
    return x, (x[:, 0] + x[:, 1] > 0).astype(int)


@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("n", [250, 1000, 9000])
def test_r01_a_constant_column_becomes_zero_however_it_is_rounded(constant: float, n: int) -> None:
    x, _ = rows_with(constant, n)
    weight = np.random.default_rng(1).uniform(0, 1, n)
    kinds: list[Any] = [x, scipy.sparse.csr_matrix(x)]
    if abs(constant) < 1e38:
        kinds.append(x.astype(np.float32))
    for values in kinds:
        for given in (None, weight):
            scale = feature_scale(values, given)
            dense = values.toarray() if hasattr(values, "toarray") else values
            assert not scale.transform(dense)[:, 2].any()
    frame = pd.DataFrame(x, columns=list("abc"))
    features = TableEncoder(bins=0).fit(frame, x[:, 0] + x[:, 1], "regression").transform(frame)
    assert not features[:, 2].any()


def test_r01_a_column_that_differs_by_rounding_alone_is_constant() -> None:
    x, _ = rows_with(0.1, 1000)
    x[::2, 2] = np.nextafter(0.1, 1)
    assert np.abs(feature_scale(x, None).transform(x)[:, 2]).max() < 1e-15
    assert np.abs(TableEncoder(bins=0).fit(x, x[:, 0] + x[:, 1], "regression").transform(x)[:, 2]).max() < 1e-15


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"max_iter": 20}], ids=str)
@pytest.mark.parametrize("constant", [0.1, 1e6 + 0.1])
def test_r01_both_dtypes_and_the_next_number_get_the_same_answers(constant: float, options: dict[str, Any]) -> None:
    x, y = rows_with(constant, 1000)
    model = st.MLPClassifier(random_state=0, **options).fit(x, y)
    shares = model.predict_proba(x)
    assert model.score(x, y) > 0.95
    for other in (x.astype(np.float32), np.nextafter(x, 1e9), pd.DataFrame(x), scipy.sparse.csr_matrix(x)):
        np.testing.assert_allclose(model.predict_proba(other), shares, atol=2e-3)


def test_r01_online_too() -> None:
    x, y = rows_with(0.1, 1000)
    model = st.MLPClassifier(random_state=0)
    for start in range(0, 1000, 100):
        model.partial_fit(x[start : start + 100], y[start : start + 100], classes=[0, 1])
    np.testing.assert_allclose(model.predict_proba(x.astype(np.float32)), model.predict_proba(x), atol=2e-3)


@pytest.mark.parametrize("n", [4000, 6000])
def test_r02_rare_classes_are_not_smoothed_by_default(n: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2 * n, 4))
    y = (x[:, 0] > 0.8) & (rng.uniform(size=2 * n) < 0.8)  # 8% of the rows, and none of nine tenths of the space
    train, test = slice(n), slice(n, None)
    default, plain = (
        st.MLPClassifier(random_state=0, **options).fit(x[train], y[train]).predict_proba(x[test])
        for options in ({}, {"label_smoothing": 0.0})
    )
    assert log_loss(y[test], default) <= log_loss(y[test], plain)
    assert np.median(default[x[test, 0] < 0.5, 1]) < 0.003


@pytest.mark.parametrize("options", [{}, {"ensemble": 3}, {"preset": "sklearn", "max_iter": 20}], ids=str)
@pytest.mark.parametrize("n_classes", [2, 7])
def test_t19_probabilities_can_be_drawn_from(options: dict[str, Any], n_classes: int) -> None:
    x = np.random.default_rng(0).normal(size=(600, 5))
    y = np.arange(600) % n_classes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        shares = st.MLPClassifier(random_state=0, **options).fit(x, y).predict_proba(x)
    rng = np.random.default_rng(0)
    assert shares.dtype == np.float64
    for row in shares:
        rng.multinomial(1, row)
        rng.choice(n_classes, p=row.tolist())
