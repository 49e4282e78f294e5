"""Standardized columns against NumPy, and the arrays by which they are saved, a stranger's among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import normal
from steepest import _core
from steepest.tables._bins import BinnedStandardizer
from steepest.tables._scaling import FURTHEST, Standardizer, feature_scale, mean_and_scale, standardize

X = np.column_stack([normal(0, (400,)), np.full(400, 3.0), np.exp(3 * normal(1, (400,))), 1e200 * normal(2, (400,))])


def fitted() -> dict[str, Standardizer | BinnedStandardizer]:
    """One of each kind."""
    features = feature_scale(X, None)
    return {
        "units": Standardizer.fit(X),
        "features": features,
        "bins": BinnedStandardizer.fit(X, features, 5),
        "no bins": BinnedStandardizer.fit(X, features, 0),
    }


KINDS = fitted()


@pytest.mark.parametrize("values", [X[:, 0], X[:, 1], X[:, 3], np.array([-1e308, 1e308]), np.array([5.0])])
def test_a_column_has_mean_0_and_deviation_1(values: NDArray[np.float64]) -> None:
    mean, scale = mean_and_scale(values)
    z = standardize(values, mean, scale)
    assert z.mean() == pytest.approx(0, abs=1e-9)
    assert z.std() == pytest.approx(float(values.min() < values.max()), rel=1e-9)


def test_missing_values_have_no_share_in_the_mean() -> None:
    assert mean_and_scale(np.array([1.0, np.nan, 3.0])) == (2, 1)
    assert np.isnan(standardize(np.array([1.0, np.nan]), 0, 1)).tolist() == [False, True]


def test_outliers_are_clipped_by_both() -> None:
    row = np.array([[1e9, -1e9]])
    assert standardize(row[0], 0, 1).tolist() == [FURTHEST, -FURTHEST]
    one = np.ones((1, 2))
    assert Standardizer(0 * one, one, FURTHEST).transform_float64(row).tolist() == [[FURTHEST, -FURTHEST]]
    assert Standardizer(0 * one, one).transform_float64(row).tolist() == row.tolist()


@pytest.mark.parametrize("columns", [0, 1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("rows", [0, 1, 2, 7, 40_000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_the_smooth_limit_is_as_its_formula(rows: int, columns: int, dtype: type) -> None:
    values = (100 * normal(4, (rows, 2 * columns))).astype(dtype)[:, ::2]
    mean, scale = normal(5, (columns,)), np.exp(normal(6, (columns,)))
    z = (values - mean) / scale
    found = _core.limit_smoothly(values, mean, scale, 10.0)
    np.testing.assert_allclose(found, z / np.sqrt(1 + (z / 10) ** 2), rtol=1e-14, atol=1e-14)
    assert found.shape == (rows, columns)
    for row in range(min(rows, 3)):  # one row alone has the same bits
        assert (_core.limit_smoothly(values[row : row + 1], mean, scale, 10.0) == found[row]).all()


def test_the_smooth_limit_of_the_largest_numbers() -> None:
    def limited(value: float, mean: float, scale: float, furthest: float = 10.0) -> float:
        return _core.limit_smoothly([[value]], [mean], [scale], furthest).item()

    assert limited(1.7e308, -1.7e308, 5e-324) == 10
    assert limited(-1.7e308, 1.7e308, 1.0) == -10
    assert limited(5e-324, 0, 1.7e308) == 0
    assert limited(1.7e308, 0, 1.7e308, 1e-300) == pytest.approx(1e-300)
    assert limited(2.0, 0, 1.0, 1.7e308) == pytest.approx(2)
    for value in (np.inf, -np.inf, np.nan):
        assert np.isnan(limited(value, 0, 1))


@pytest.mark.parametrize("mean", [[0.0], [0.0, 0.0, 0.0]])
def test_the_smooth_limit_refuses_scales_of_other_columns(mean: list[float]) -> None:
    for values, scale in (([[1.0, 2.0]], [1.0, 1.0]), ([[1.0] * len(mean)], [1.0, 1.0]), ([1.0], [1.0])):
        with pytest.raises(ValueError, match="a mean and a scale for each column"):
            _core.limit_smoothly(values, mean, scale, 10.0)


def test_there_and_back() -> None:
    scale = Standardizer.fit(X[:, :3])
    z = scale.transform(X[:, :3], np.float64)
    np.testing.assert_allclose(scale.inverse_transform(z), X[:, :3], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_arrays_bring_the_same_bits_back(name: str) -> None:
    scale = KINDS[name]
    arrays = scale.to_arrays()
    again = type(scale).from_arrays(arrays)
    for attribute, values in vars(scale).items():
        if isinstance(values, np.ndarray):
            found = getattr(again, attribute)
            assert (found.dtype, found.shape, found.tobytes()) == (values.dtype, values.shape, values.tobytes())
    new = X * np.linspace(-20, 20, len(X))[:, None]
    assert again.transform(new, np.float64).tobytes() == scale.transform(new, np.float64).tobytes()
    assert {key: (a.dtype, a.tobytes()) for key, a in again.to_arrays().items()} == {
        key: (a.dtype, a.tobytes()) for key, a in arrays.items()
    }


def test_arrays_are_copied() -> None:
    arrays = {key: np.array(values) for key, values in KINDS["bins"].to_arrays().items()}
    scale = BinnedStandardizer.from_arrays(arrays)
    expected = scale.transform(X)
    for values in arrays.values():
        values[...] = 7
    assert np.array_equal(scale.transform(X), expected)


def with_value(values: NDArray[Any], value: float) -> NDArray[Any]:
    """The same array with another number in its last place."""
    changed = np.array(values)
    changed.flat[-1] = value
    return changed


HOSTILE = [
    ("mean", lambda a: None, "there is no array mean: expected mean, scale, furthest"),
    ("scale", lambda a: None, "there is no array scale"),
    ("furthest", lambda a: None, "there is no array furthest"),
    ("more", lambda a: np.zeros(4), "the array more is unknown: expected mean, scale, furthest"),
    ("mean", lambda a: np.zeros(4, np.float32), "mean has the type float32: expected float64"),
    ("mean", lambda a: a.astype(">f8"), "mean has the type >f8: expected float64"),
    ("mean", lambda a: a.astype(object), "mean has the type object: expected float64"),
    ("mean", lambda a: a[None], r"mean has the shape \(1, 4\): expected \(n,\)"),
    ("mean", lambda a: np.array(0.0), r"mean has the shape \(\): expected \(n,\)"),
    ("mean", lambda a: a[:0], "mean has no numbers: expected one for each column"),
    ("mean", lambda a: with_value(a, np.nan), r"mean is nan at place 3 \(the first is 0\): expected a finite number"),
    ("mean", lambda a: with_value(a, np.inf), "mean is inf at place 3"),
    ("scale", lambda a: a[1:], r"scale has the shape \(3,\): expected \(4,\)"),
    ("scale", lambda a: with_value(a, np.inf), "scale is inf at place 3 .*: expected a finite number > 0"),
    ("scale", lambda a: with_value(a, np.nan), "scale is nan at place 3"),
    ("scale", lambda a: with_value(a, 0), "scale is 0 at place 3"),
    ("scale", lambda a: with_value(a, -0.0), "scale is -0 at place 3"),
    ("scale", lambda a: with_value(a, -1), "scale is -1 at place 3"),
    ("furthest", lambda a: np.array([10.0]), "furthest is .*: expected one float64 number > 0"),
    ("furthest", lambda a: np.array(np.nan), "furthest is .*nan"),
    ("furthest", lambda a: np.array(0.0), "furthest is .*0"),
    ("furthest", lambda a: np.array(10), "furthest is .*10"),
    ("furthest", lambda a: np.array("10"), "furthest is .*10"),
]
HOSTILE_BINS = [
    ("bin_column", lambda a: None, "there is no array bin_column"),
    ("bin_start", lambda a: None, "there is no array bin_start"),
    ("bin_width", lambda a: None, "there is no array bin_width"),
    ("bin_column", lambda a: with_value(a, 4), "bin_column is 0 to 4: expected 0 to 3"),
    ("bin_column", lambda a: with_value(a, -1), "bin_column is -1 to 3: expected 0 to 3"),
    ("bin_column", lambda a: a.astype(np.float64), "bin_column has the type float64 and the shape"),
    ("bin_column", lambda a: a[None], r"bin_column has the type int64 and the shape \(1, "),
    ("bin_start", lambda a: a[:-1], r"bin_start has the shape \(\d+,\): expected \(\d+,\)"),
    ("bin_start", lambda a: a.astype(np.float32), "bin_start has the type float32"),
    ("bin_start", lambda a: with_value(a, np.nan), "bin_start is nan"),
    ("bin_width", lambda a: np.append(a, 1.0), r"bin_width has the shape \(\d+,\): expected \(\d+,\)"),
    ("bin_width", lambda a: with_value(a, 0), "bin_width is 0"),
    ("bin_width", lambda a: with_value(a, -1), "bin_width is -1"),
    ("bin_width", lambda a: with_value(a, np.inf), "bin_width is inf"),
]


def refused(kind: type[Standardizer | BinnedStandardizer], arrays: Any, name: str, change: Any, message: str) -> None:
    changed = change(arrays.get(name))
    hostile = {key: values for key, values in arrays.items() if key != name}
    with pytest.raises(ValueError, match=message):
        kind.from_arrays(hostile if changed is None else hostile | {name: changed})


@pytest.mark.parametrize(("name", "change", "message"), HOSTILE)
def test_arrays_of_a_stranger_are_refused(name: str, change: Any, message: str) -> None:
    refused(Standardizer, KINDS["features"].to_arrays(), name, change, message)
    refused(BinnedStandardizer, KINDS["bins"].to_arrays(), name, change, message)


@pytest.mark.parametrize(("name", "change", "message"), HOSTILE_BINS)
def test_bins_of_a_stranger_are_refused(name: str, change: Any, message: str) -> None:
    refused(BinnedStandardizer, KINDS["bins"].to_arrays(), name, change, message)


def test_bins_are_no_plain_standardizer() -> None:
    with pytest.raises(ValueError, match="the array bin_column is unknown"):
        Standardizer.from_arrays(KINDS["bins"].to_arrays())
