"""Bins of numbers and vectors of labels: what they make, what they learn, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

import reference as ref
import steepest as st
from helpers import assert_within, labeled, normal, reference_of, relative_error, shaken, state_of
from steepest.layers import layers_from_json

BINS = st.PiecewiseLinearEmbedding
LABELS = st.CategoryEmbedding

# --- Bins ---


def test_bins_stand_beside_their_columns(dtype: str, isa: str) -> None:
    net = st.Network(3, [BINS(3, columns=[2, 0])], dtype=dtype)
    net.set_parameters({"0.edges": [[0, -1], [1, 1], [3, 2], [4, 6]]})
    y = net.predict([[0, 7, 2], [1.5, 7, -1], [10, 7, 5]])
    expected = [
        [0, 7, 2, 1, 0.5, 0, 0.5, 0, 0],
        [1.5, 7, -1, -1, 0, 0, 1, 0.5, 0],  # below the first edge, and
        [10, 7, 5, 1, 1, 2, 1, 1, 2],  # above the last
    ]
    assert y.tolist() == expected


def test_one_bin_is_a_line(dtype: str) -> None:
    net = st.Network(1, [BINS(1)], dtype=dtype)
    assert net.predict([[-6], [0], [2], [4]])[:, 1].tolist() == [-1, 0.5, 1, 1.5]


def test_a_map_of_bins(dtype: str, isa: str) -> None:
    net = st.Network(2, [BINS(2, 1, "relu", [1])], dtype=dtype)
    net.set_parameters({"0.weight": [[1], [10], [-0.25]]})  # the last is the bias
    assert net.predict([[5, -2], [5, -1], [5, 1]]).tolist() == [[5, -2, 0], [5, -1, 0.25], [5, 1, 5.75]]


def test_bins_begin_from_minus_two_to_two_and_maps_uniform() -> None:
    net = st.Network(30, [BINS(100, 40, columns=range(25))])
    edges, weight = net.buffers["0.edges"], net.parameters["0.weight"]
    assert edges.shape == (101, 25) and weight.shape == (25 * 101, 40)
    assert_within(edges, np.repeat(np.linspace(-2, 2, 101)[:, None], 25, axis=1), 1e-6)
    assert 0.999 * 0.1 < np.abs(weight).max() <= 0.1 and abs(weight.std() * 10 * np.sqrt(3) - 1) < 0.01


@pytest.mark.parametrize("bad", [[[0], [1], [1]], [[0], [2], [1]], [[0], [1], [1 + 1e-9]]])
def test_edges_that_do_not_increase_are_refused(bad: Any) -> None:
    net = st.Network(2, [BINS(2, columns=[1])])
    before = net.buffers
    with pytest.raises(ValueError, match=r"0\.edges does not increase in column 0: expected points in order"):
        net.set_parameters({"0.edges": bad})
    assert np.array_equal(net.buffers["0.edges"], before["0.edges"])


def test_edges_are_quantiles() -> None:
    x = np.random.default_rng(0).exponential(size=(1001, 2)) * [1, 1000]
    edges = BINS.edges_of(x, 10)
    assert_within(edges, np.quantile(x, np.linspace(0, 1, 11), axis=0), 1e-12 * np.abs(edges))
    net = st.Network(2, [BINS(10)])
    net.set_parameters({"0.edges": edges})
    own = [np.histogram(column, bins)[0] for column, bins in zip(x.T, edges.T, strict=True)]
    assert np.ptp(own) <= 2  # rows at the edges


def test_equal_quantiles_make_way_for_halves_of_wide_bins() -> None:
    x = [[0, 5, 3], [0, 5, 3], [0, 5, 4], [1, 5, 7]]
    halved = [[0, 0.25, 0.4375, 0.625, 1], [0, 2.5, 5, 7.5, 10], [3, 3.5, 4.75, 5.875, 7]]
    assert BINS.edges_of(x, 4).T.tolist() == halved


@settings(max_examples=200, deadline=None)
@given(
    x=arrays(np.float64, some.tuples(some.integers(1, 9), some.just(1)), elements=some.floats(-1e30, 1e30)),
    n_bins=some.integers(1, 40),
)
def test_edges_of_any_column_increase_in_float32(x: ref.Array, n_bins: int) -> None:
    edges = BINS.edges_of(x, n_bins)
    assert edges.shape == (n_bins + 1, 1) and edges[0] <= x.min() and edges[-1] >= x.max()
    assert (np.diff(edges.astype(np.float32), axis=0) > 0).all()
    st.Network(1, [BINS(n_bins)]).set_parameters({"0.edges": edges})


@pytest.mark.parametrize(
    ("x", "n_bins", "error", "message"),
    [
        (np.ones((3, 1)), 0, ValueError, "n_bins is 0: expected a whole number >= 1"),
        (np.ones((3, 1)), 2.5, TypeError, "n_bins is 2.5: expected a whole number"),
        (np.ones(3), 2, ValueError, r"x has the shape \(3,\): expected \(n, columns\) with at least one row"),
        (np.ones((0, 3)), 2, ValueError, r"x has the shape \(0, 3\)"),
        ([[1.0], [np.nan]], 2, ValueError, "x has a number that is not finite"),
        ([["a"]], 2, ValueError, "x holds text|x is of dtype|expected"),
    ],
)
def test_rows_without_quantiles_are_refused(x: Any, n_bins: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        BINS.edges_of(x, n_bins)


# --- Labels ---


def test_labels_pick_rows(dtype: str, isa: str) -> None:
    net = st.Network(4, [LABELS([2, 3], 2, [3, 1])], dtype=dtype)
    table = np.arange(18.0).reshape(9, 2)  # two labels, missing, unseen; three labels, missing, unseen
    net.set_parameters({"0.weight": table})
    labels = [[0, 2], [1, 0], [-1, -1], [2, 3], [-2, 0.5], [-0.0, 1e30], [1 + 1e-6, -1e30]]
    rows = [[0, 6], [1, 4], [2, 7], [3, 8], [3, 8], [0, 8], [3, 8]]
    y = net.predict([[10, second, 30, first] for first, second in labels])
    assert y[:, :2].tolist() == [[10, 30]] * len(rows)
    assert np.array_equal(y[:, 2:], table[np.array(rows)].reshape(-1, 4))


def test_what_is_no_number_between_layers_was_never_seen() -> None:
    net = st.Network(2, [st.Dense(2, init=[[3e38, 1], [-3e38, 1]], bias=False), LABELS(2, 1, [0])])
    net.set_parameters({"1.weight": [[1], [2], [3], [4]]})
    assert net.predict([[3, 3], [3, 0], [0, 3], [0, 0]]).tolist() == [[6, 4], [3, 4], [3, 4], [0, 1]]


def test_tables_begin_uniform_with_zeros_at_the_end() -> None:
    net = st.Network(3, [LABELS([300, 500], 25, [0, 2])])
    weight = net.parameters["0.weight"]
    assert weight.shape == (804, 25) and not weight[[300, 301, 802, 803]].any()
    assert np.flatnonzero(~weight.any(axis=1)).tolist() == [300, 301, 802, 803]
    assert 0.999 * 0.2 < np.abs(weight).max() <= 0.2 and abs(weight[:300].std() * 5 * np.sqrt(3) - 1) < 0.02


@pytest.mark.parametrize("rows", [1, 5, 70])
@pytest.mark.parametrize("size", [1, 7, 16, 33])
def test_gradients_of_tables_are_sums_over_rows(rows: int, size: int, dtype: str, isa: str) -> None:
    layer = LABELS([3, 1], size, [2, 0])
    net = shaken(st.Network(4, [layer, st.Dense(3, "tanh")], dtype=dtype), 5)
    twin, x, dy = reference_of(net), labeled([layer], normal(1, (rows, 4), dtype)), normal(2, (rows, 3), dtype)
    wide = x.astype(np.float64)
    bound = 1e-5 if dtype == "float32" else 1e-13
    assert_within(net.forward(x), twin.forward(wide), bound)
    dx = net.backward(dy)
    assert_within(dx, twin.backward(dy.astype(np.float64)), bound * 10)
    assert not dx[:, [2, 0]].any()
    for name, gradient in net.gradients.items():
        assert relative_error(gradient, twin.gradients[name]) < bound, name


def test_rows_of_a_table_that_no_label_picks_stay_without_momentum_or_decay() -> None:
    net = st.Network(2, [LABELS(50, 3, [1]), st.Dense(1)])
    before = net.parameters["0.weight"]
    st.Trainer(net, "mse", st.SGD(0.5)).step([[1.0, 7], [2.0, 7], [3.0, -1]], [[1.0], [2.0], [3.0]])
    moved = np.flatnonzero((net.parameters["0.weight"] != before).any(axis=1))
    assert moved.tolist() == [7, 50]


def test_labels_alone_learn() -> None:
    """All columns are labels, and the target is a number of each label."""
    x = np.random.default_rng(0).integers(-1, 21, (400, 2))
    y = normal(1, (22, 1))[x[:, 0] + 1] + normal(2, (22, 1))[x[:, 1] + 1]
    net = st.Network(2, [LABELS(20, 4, [1, 0]), st.Dense(1)])
    trainer = st.Trainer(net, "mse", st.Adam(0.03))
    trainer.fit(x, y, epochs=60, batch_size=32)
    assert trainer.evaluate(x, y)["loss"] < 0.01 * np.var(y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_at_any_number_of_threads(dtype: str) -> None:
    before, found = st.get_num_threads(), []
    layers = [LABELS([30, 5, 200], 70, [3, 0, 9]), BINS(9, 5), st.Dense(64, "relu"), BINS(4, columns=[3]), st.Dense(2)]
    x, y = labeled(layers, 9 * normal(1, (300, 12))), normal(2, (300, 2))
    try:
        for threads in (1, 2, 3):
            st.set_num_threads(threads)
            trainer = st.Trainer(st.Network(12, layers, dtype=dtype), "mse", st.AdamW(0.01, clip_norm=1.0), seed=3)
            trainer.fit(x, y, epochs=2, batch_size=128)
            found.append(state_of(trainer))
    finally:
        st.set_num_threads(before)
    assert found[0] == found[1] == found[2]


# --- Arguments and files ---


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: BINS(0), ValueError, "n_bins is 0: expected a whole number >= 1"),
        (lambda: BINS("3"), TypeError, "n_bins is '3': expected a whole number >= 1"),
        (lambda: BINS(3, 0), ValueError, "size is 0: expected a whole number >= 1"),
        (lambda: BINS(3, 1.5), TypeError, "size is 1.5: expected a whole number >= 1"),
        (lambda: BINS(3, 1, "tanh"), ValueError, "activation is 'tanh': expected one of relu, identity"),
        (lambda: BINS(3, columns=[1, 1]), ValueError, r"columns is \[1, 1\]: expected at least one column, each once"),
        (lambda: LABELS(0, 1, [0]), ValueError, "n_labels is 0: expected a whole number >= 1"),
        (lambda: LABELS(2.0, 1, [0]), TypeError, "n_labels is 2.0: expected a whole number >= 1"),
        (lambda: LABELS("23", 1, [0, 1]), TypeError, "n_labels is '23': expected a whole number >= 1"),
        (lambda: LABELS([3, 0], 1, [0, 1]), ValueError, r"n_labels\[1\] is 0: expected a whole number >= 1"),
        (lambda: LABELS([3], 1, [0, 1]), ValueError, "n_labels has 1 numbers: expected one for each of the 2 columns"),
        (lambda: LABELS(2**24 + 1, 1, [0]), ValueError, "n_labels is 16777217: expected .* >= 1 and <= 16777216"),
        (lambda: LABELS(3, 0, [0]), ValueError, "size is 0: expected a whole number >= 1"),
        (lambda: LABELS(3, 1, []), ValueError, r"columns is \[\]: expected at least one column"),
        (lambda: LABELS(3, 1, None), TypeError, "columns is None: expected a list of column numbers"),
        (lambda: st.Network(2, [LABELS(3, 1, [2])]), ValueError, "columns has 2: expected less than the 2 columns"),
        (lambda: st.Network(2, [BINS(3, columns=[2])]), ValueError, "columns has 2: expected less than the 2 columns"),
        (lambda: st.Network(2, [st.Residual([LABELS(3, 4, [0])])]), ValueError, "turn 2 numbers a row into 5"),
    ],
)
def test_arguments_are_checked(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


LAYERS = [
    BINS(4), BINS(3, 2, "identity", np.array([2, 0])), LABELS(4, 3, [1]), LABELS(np.array([4, 5]), 1, range(2)),
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_layers_survive_repr_and_files(layer: Any, tmp_path: Path, dtype: str) -> None:
    assert eval(repr(layer), vars(st)) == layer and hash(layer) == hash(eval(repr(layer), vars(st)))
    assert layers_from_json([layer.to_dict()]) == [layer]
    net = shaken(st.Network(4, [st.Residual([layer, st.Dense(4)]), st.Dense(2)], seed=2, dtype=dtype), 3)
    net.save(tmp_path / "net")
    x = labeled([layer], normal(1, (9, 4)))
    for other in (st.load(tmp_path / "net"), net.copy()):
        assert other.layers == net.layers and np.array_equal(other.predict(x), net.predict(x))


@pytest.mark.parametrize("n", [2**40, 2**53, 2**60, 2**62, 2**63 - 1, 2**63])
@pytest.mark.parametrize(
    "make",
    [lambda n: BINS(n), lambda n: BINS(n, 2), lambda n: BINS(2, n), lambda n: BINS(n, n), lambda n: LABELS(2, n, [0])],
)
def test_r09_embeddings_that_overflow(make: Any, n: int) -> None:
    with pytest.raises((ValueError, MemoryError), match=r"layer 0|n_bins is|size is|would take \d+ bytes"):
        st.Network(3, [make(n), st.Dense(1)])


@pytest.mark.parametrize("layers", [[BINS(2, 2, columns=[5])], [BINS(2, columns=[5])], [LABELS(2, 2, [5])]], ids=str)
@pytest.mark.parametrize("n_in", [2**40, 2**60, 2**63 - 1])
def test_r09_an_embedding_of_one_of_many_columns(n_in: int, layers: Sequence[Any]) -> None:
    with pytest.raises((ValueError, MemoryError)):
        st.Network(n_in, layers).predict(np.broadcast_to(np.ones(1, "float32"), (1, n_in)))
