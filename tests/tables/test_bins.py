"""Numbers spread over bins, against NumPy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from helpers import normal
from steepest.tables._bins import BinnedStandardizer, quantile_edges
from steepest.tables._scaling import feature_scale


@pytest.mark.parametrize(
    ("rows", "bins", "edges"), [(63, 32, 0), (64, 32, 3), (3200, 32, 33), (3200, 5, 6), (3200, 0, 0)]
)
def test_number_of_edges(rows: int, bins: int, edges: int) -> None:
    assert len(quantile_edges(np.arange(float(rows)), bins)) == edges


def test_bins_hold_about_as_many_numbers() -> None:
    z = normal(0, (3200,))
    counts = np.histogram(z, quantile_edges(z, 10))[0]
    assert counts.sum() == 3200 and counts.min() >= 319 and counts.max() <= 321


def test_edges_that_coincide_are_one() -> None:
    assert quantile_edges(np.repeat([1.0, 2.0, 4.0], 1000), 32) == [1, 2, 4]
    assert quantile_edges(np.repeat([1.0, 2.0], 1000), 32) == []  # the scaled column says it all


@pytest.mark.parametrize("rows", [1, 7, 1029])  # of more than one block
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_are_the_scaled_columns_and_their_bins(rows: int, dtype: type) -> None:
    x = np.column_stack([normal(0, (2000,)), np.zeros(2000), np.repeat([1.0, 5.0], 1000), np.exp(normal(1, (2000,)))])
    scale = feature_scale(x, None)
    binned = BinnedStandardizer.fit(x, scale, 8)
    new = np.column_stack([normal(2, (rows,)), np.ones(rows), np.full(rows, 3.0), np.exp(3 * normal(3, (rows,)))])
    z = np.clip((new - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1), -10, 10)
    columns = [z]
    for i in (0, 3):  # a constant and a column of two values have no bins
        trained = np.clip((x[:, i] - x[:, i].mean()) / x[:, i].std(), -10, 10)
        edges = np.quantile(trained, np.linspace(0, 1, 9), method="closest_observation")
        columns += [np.interp(z[:, i], [a, b], [0, 1])[:, None] for a, b in pairwise(edges)]
    found = binned.transform(new, dtype)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.hstack(columns), rtol=0, atol=1e-5 if dtype == np.float32 else 1e-11)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so(value: float) -> None:
    x = normal(0, (500, 2))
    row = BinnedStandardizer.fit(x, feature_scale(x, None), 4).transform(np.array([[0.0, value]]))
    assert not np.isfinite(row[0, 1]) and np.isfinite(row[0, 0])
