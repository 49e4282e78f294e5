"""Small things that several test files need."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import steepest as st


def assert_within(actual: ArrayLike, expected: ArrayLike, bound: ArrayLike, what: str = "") -> None:
    """Assert that |actual - expected| <= bound everywhere, and say where it is not; NaN is never within."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    bound = np.broadcast_to(bound, actual.shape)
    with np.errstate(all="ignore"):  # infinity less infinity
        wrong = np.argwhere(~((actual == expected) | (np.abs(actual - expected) <= bound)))
    if len(wrong):
        at = tuple(wrong[0])
        raise AssertionError(
            f"{what}: {len(wrong)} of {actual.size} differ, first at {at}: "
            f"{actual[at]!r}, expected {expected[at]!r} within {bound[at]!r}"
        )


def relative_error(actual: ArrayLike, expected: ArrayLike) -> float:
    """The length of the difference over the length of the expected."""
    difference = np.linalg.norm(np.asarray(actual, np.float64) - np.asarray(expected, np.float64))
    return float(difference / max(float(np.linalg.norm(expected)), np.finfo(np.float64).tiny))


def eps(dtype: Any) -> float:
    """The distance from 1 to the next number."""
    return float(np.finfo(dtype).eps)


def normal(seed: int, shape: tuple[int, ...], dtype: Any = np.float64) -> NDArray[Any]:
    """Standard normal numbers, the same at each call."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def state_of(trainer: st.Trainer) -> dict[str, Any]:
    """Everything that training changes, as lists: two are equal only if all bits are."""
    tensors = trainer.network.parameters | trainer.network.buffers | trainer._core.state()
    return {name: np.asarray(tensor).tolist() for name, tensor in tensors.items()}
