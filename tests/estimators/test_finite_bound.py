"""The bound of all that a network computes, by which estimators know that no prediction overflows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import labeled, normal, shaken
from steepest.estimators._finite import _bound


@pytest.mark.parametrize(
    "layers",
    [
        [st.FeatureScale(), st.Dense(3), st.FeatureScale()],
        [st.PiecewiseLinearEmbedding(3, columns=[1]), st.Dense(3)],
        [st.PiecewiseLinearEmbedding(3), st.PiecewiseLinearEmbedding(2, 2, "identity")],
        [st.CategoryEmbedding([2, 5], 3, [1, 0]), st.Dense(3)],
        [st.PeriodicEmbedding(2, 3), st.PiecewiseLinear(3), st.Dense(3)],
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [0.1, 10.0, 1e6])
def test_no_output_is_beyond_the_bound(layers: list[Any], size: float) -> None:
    net = shaken(st.Network(3, layers, dtype="float64"), 5)
    net.set_parameters({name: 10 * value for name, value in net.parameters.items()})
    x = size * labeled(layers, normal(1, (50, 3)))
    assert np.abs(net.predict(x)).max() <= _bound(net, float(np.abs(x).max()))
