"""Encoded rows as features, by the core and by a plain loop."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from steepest import _core
from steepest.tables._encoded import Layout, Parts

PARTS = {
    "nothing": [],
    "z": [Parts(())],
    "one edge": [Parts((0.5,), True)],
    "bins": [Parts((-1.0, -0.5, 0.25, 3.0), True), Parts((0.0, 1e-300), False)],
    "codes": [Parts(slots=3), Parts(slots=1), Parts(slots=5)],
    "ready": [Parts(ready=2), Parts(ready=1)],
    "all": [Parts((-1.0, 0.0, 1.0), True, 4, 2), Parts(slots=2), Parts(()), Parts(ready=1), Parts((0.0, 2.0))],
}


def cells(parts: list[Parts], n: int) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float32]]:
    """Draw rows, edges and missing numbers and codes among them."""
    draw = np.random.default_rng(n)
    numbers = draw.normal(size=(n, sum(part.edges is not None for part in parts)))
    numbers[draw.random(numbers.shape) < 0.2] = np.nan
    edge = draw.random(numbers.shape) < 0.2
    numbers[edge] = draw.choice([-1.0, -0.5, 0.25, 3.0, 0.5, 0.0], numbers.shape)[edge]
    slots = [part.slots for part in parts if part.slots]
    codes = np.array([draw.integers(-1, k, n) for k in slots], np.int32).reshape(len(slots), n).T.copy()
    return numbers, codes, draw.normal(size=(n, sum(part.ready for part in parts))).astype(np.float32)


def naive(parts: list[Parts], numbers: Any, codes: Any, ready: Any) -> NDArray[np.float32]:
    """Return the features by a loop over cells."""
    rows = []
    for z_row, code_row, ready_row in zip(numbers.tolist(), codes.tolist(), ready.tolist(), strict=True):
        row: list[float] = []
        for part in parts:
            if part.edges is not None:
                given = z_row.pop(0)
                z = 0.0 if given != given else given
                row.append(z)
                row += [min(max((z - a) / (b - a), 0.0), 1.0) for a, b in zip(part.edges, part.edges[1:], strict=False)]
                row += [float(given != given)] * part.indicator
            if part.slots:
                code = code_row.pop(0)
                row += [float(i == code) for i in range(part.slots)]
            row += [ready_row.pop(0) for _ in range(part.ready)]
        rows.append(row)
    return np.array(rows, np.float32)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 3000])
@pytest.mark.parametrize("name", PARTS)
def test_features_are_those_of_a_loop(name: str, n: int) -> None:
    parts = PARTS[name]
    layout, given = Layout(parts), cells(PARTS[name], n)
    found = layout.expand(*given)
    assert found.dtype == np.float32
    assert found.shape == (n, layout.n_features)
    np.testing.assert_array_equal(found, naive(parts, *given).reshape(found.shape))


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_gives_the_same(threads: int) -> None:
    given, before = cells(PARTS["all"], 50_000), st.get_num_threads()
    expected = Layout(PARTS["all"]).expand(*given)
    try:
        st.set_num_threads(threads)
        np.testing.assert_array_equal(Layout(PARTS["all"]).expand(*given), expected)
    finally:
        st.set_num_threads(before)


def test_strided_and_misaligned_rows() -> None:
    numbers, codes, ready = cells(PARTS["all"], 40)
    expected = Layout(PARTS["all"]).expand(numbers[::2], codes[::2], ready[::2])
    shifted = np.empty(numbers[::2].nbytes + 1, np.uint8)[1:].view(np.float64).reshape(20, -1)
    shifted[:] = numbers[::2]
    found = Layout(PARTS["all"]).expand(shifted, np.asfortranarray(codes[::2]), ready[::2].astype(np.float64))
    np.testing.assert_array_equal(found, expected)


def test_a_code_without_a_slot_is_none() -> None:
    found = Layout([Parts(slots=2)]).expand(np.empty((3, 0)), [[2], [2**31 - 1], [-(2**31)]], np.empty((3, 0)))
    assert not found.any()


def test_copies_are_as_they_were() -> None:
    given = cells(PARTS["all"], 9)
    layout = Layout(PARTS["all"])
    for other in (pickle.loads(pickle.dumps(layout)), copy.deepcopy(layout)):
        np.testing.assert_array_equal(other.expand(*given), layout.expand(*given))


def test_rows_that_do_not_fit_are_refused() -> None:
    numbers, codes, ready = cells(PARTS["all"], 4)
    others = [(numbers[:3], codes, ready), (numbers[:, :1], codes, ready), (numbers, codes, ready[:, :1])]
    for given in [*others, (numbers[0], codes, ready)]:
        with pytest.raises(ValueError, match="of the same rows"):
            Layout(PARTS["all"]).expand(*given)
    for edges in ([1.0, 1.0], [2.0, 1.0], [0.0, np.nan, 1.0]):
        with pytest.raises(ValueError, match="do not increase"):
            _core.Expansion([(edges, False, 0, 0)])
