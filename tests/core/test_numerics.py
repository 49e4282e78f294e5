"""Numbers that must come out right: random ones, losses at their ends, and what is computed of many rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import reference as ref
import steepest as st
from helpers import assert_within, eps, normal, reference_of, targets_for
from steepest import _core
from steepest.layers import Layer

# --- Random numbers ---

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
    ids=["zeros", "ones", "digits of pi"],
)
def test_philox_known_answers(counter: Any, key: Any, expected: Any) -> None:
    """The answers for philox4x32-10 in the file kat_vectors of Random123 (Salmon et al., 2011)."""
    assert _core.philox(counter, key) == expected


def test_every_order_is_drawn_as_often() -> None:
    """Each row moves a weight of its own, by a rate that tells the step: what the weights end as tells the order."""
    n, epochs = 4, 2400
    net = st.Network(n, [st.Dense(1, bias=False, init="zeros")])
    trainer = st.Trainer(net, "mae", st.SGD(lambda step: 2.0 ** -(step % n)), seed=3)
    counts: dict[tuple[float, ...], int] = {}
    for _ in range(epochs):
        trainer.fit(np.eye(n), np.full(n, 2.0), epochs=1, batch_size=1)
        order = tuple(net.parameters["0.weight"].ravel().tolist())
        counts[order] = counts.get(order, 0) + 1
        net.set_parameters({"0.weight": np.zeros((n, 1))})
    expected = epochs / math.factorial(n)
    assert len(counts) == math.factorial(n) and all(sorted(order) == [0.125, 0.25, 0.5, 1] for order in counts)
    chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_squared < 49.7  # one in a thousand at 23 degrees of freedom


# --- Dropout ---


@pytest.mark.parametrize("p", [0.05, 0.2, 0.5, 0.9])
def test_dropout_keeps_its_share_and_scales_it(p: float, isa: str, dtype: str) -> None:
    rows, columns = 1000, 101
    p = float(np.dtype(dtype).type(p))  # the network holds it in its own dtype
    net = st.Network(columns, [st.Dropout(p)], seed=5, dtype=dtype)
    x = np.abs(normal(1, (rows, columns), dtype)) + 1
    y = net.forward(x)
    kept = y != 0
    np.testing.assert_allclose(y[kept], x[kept] / (1 - p), rtol=2 * eps(dtype))
    deviation = math.sqrt(p * (1 - p))
    for axis, count in ((None, rows * columns), (0, rows), (1, columns)):
        shares = np.asarray(kept.mean(axis=axis))
        assert np.abs(shares - (1 - p)).max() <= 5 * deviation / math.sqrt(count)
    # neighbors, and one step and the next, are independent: both kept as often as (1 - p)^2
    again = net.forward(x) != 0
    deviation = math.sqrt((1 - p) ** 2 * (1 - (1 - p) ** 2))
    for both in (kept[:, 1::2] & kept[:, :-1:2], kept[1::2] & kept[::2], kept & again):
        assert abs(both.mean() - (1 - p) ** 2) <= 5 * deviation / math.sqrt(both.size)


def test_dropout_gradient_goes_where_the_output_went(dtype: str) -> None:
    net = st.Network(50, [st.Dropout(0.4)], seed=5, dtype=dtype)
    x = np.ones((30, 50))
    assert np.array_equal(net.forward(x), net.backward(x))


@pytest.mark.parametrize("p", [0.0, 0.5, 0.99])
def test_dropout_is_nothing_at_inference(p: float, isa: str, dtype: str) -> None:
    net = st.Network(13, [st.Dropout(p)], dtype=dtype)
    x = normal(1, (40, 13), dtype)
    assert np.array_equal(net.predict(x), x)
    assert np.array_equal(net.forward(x), x) == (p == 0)


# --- Losses at their ends ---

LARGE = 3e38  # float32 ends at 3.4e38

# loss, rows of logits, targets, and the mean loss
ENDS: dict[str, tuple[str, list[list[float]], Any, float]] = {
    "a certain mistake": ("cross_entropy", [[0, 200]], [0], 200),
    "far apart, right": ("cross_entropy", [[1000, 0, -1000]], [0], 0),
    "far apart, wrong": ("cross_entropy", [[1000, 0, -1000]], [2], 2000),
    "far apart, rows of probabilities": ("cross_entropy", [[1000, 0, -1000]], [[0.5, 0.25, 0.25]], 750),
    "all very small": ("cross_entropy", [[-LARGE] * 7], [3], math.log(7)),
    "all very large": ("cross_entropy", [[LARGE] * 7], [3], math.log(7)),
    "one very large": ("cross_entropy", [[0, LARGE]], [1], 0),
    "mean of rows": ("cross_entropy", [[0, 200], [200, 0], [0, 0]], [0, 0, 0], (200 + math.log(2)) / 3),
    "logit of a mistake": ("binary_cross_entropy", [[100]], [[0]], 100),
    "logit of another": ("binary_cross_entropy", [[-1000]], [[1]], 1000),
    "logits that are right": ("binary_cross_entropy", [[1000], [-1000]], [[1], [0]], 0),
    "logit of a half": ("binary_cross_entropy", [[100]], [[0.5]], 50),
    "no logit": ("binary_cross_entropy", [[0]], [[1]], math.log(2)),
}


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS)
def test_losses_at_their_ends(case: tuple[str, list[list[float]], Any, float], isa: str, dtype: str) -> None:
    """Evaluated and in training, and the derivative (p - y) / rows is finite."""
    loss, logits, y, expected = case
    n_out = len(logits[0])
    net = st.Network(n_out, [st.Dense(n_out, init=np.eye(n_out))], dtype=dtype)
    trainer = st.Trainer(net, loss, st.SGD(1.0))
    assert trainer.evaluate(logits, y)["loss"] == pytest.approx(expected, rel=2 * eps(dtype), abs=0)
    assert trainer.step(logits, y) == pytest.approx(expected, rel=2 * eps(dtype), abs=0)
    probabilities, targets = softmax_or_sigmoid(loss, np.asarray(logits, np.float64)), np.asarray(y, np.float64)
    if loss == "cross_entropy" and targets.ndim == 1:
        targets = np.eye(n_out)[y]
    slope = (probabilities - targets).sum(axis=0) / len(logits)
    np.testing.assert_allclose(-net.parameters["0.bias"], slope, rtol=4 * eps(dtype), atol=eps(dtype))


def softmax_or_sigmoid(loss: str, logits: Any) -> Any:
    """Probabilities by their definitions, in a form that cannot overflow."""
    if loss == "cross_entropy":
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    return np.exp(-np.logaddexp(0, -logits))


def test_sigmoid_at_its_ends(isa: str, dtype: str) -> None:
    net = st.Network(1, [st.Activation("sigmoid")], dtype=dtype)
    x = np.array([[1000.0], [-1000.0], [LARGE], [-LARGE], [0.0]])
    assert net.predict(x).ravel().tolist() == [1, 0, 1, 0, 0.5]
    net.forward(x)
    assert net.backward(np.ones((5, 1))).ravel().tolist() == [0, 0, 0, 0, 0.25]


# --- More rows than are computed at a time ---

MANY = 1301
X = normal(1, (MANY, 6))
WEIGHT = np.abs(normal(2, (MANY,)))
HIDDEN = [st.Dense(20, "tanh"), st.BatchNorm(), st.Dense(3)]


@pytest.mark.parametrize("first", [[], [st.PeriodicEmbedding(5, 3, sigma=0.3, columns=[4, 1])]], ids=["", "embedded"])
@pytest.mark.parametrize("rows", [511, 512, 513, MANY])
def test_predictions_of_many_rows(rows: int, first: list[Layer], isa: str, dtype: str) -> None:
    net = st.Network(6, [*first, *HIDDEN], seed=1, dtype=dtype)
    truth = reference_of(net).predict(X[:rows])
    assert_within(net.predict(X[:rows]), truth, 50 * eps(dtype) * (1 + np.abs(truth)))


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("loss", ref.LOSSES)
def test_metrics_of_many_rows(loss: str, weight: Any) -> None:
    """Each is a weighted mean over all rows, and r2 a mean over the outputs."""
    net = st.Network(6, HIDDEN, seed=1, dtype="float64")
    y, t = net.predict(X), targets_for(loss, 3, MANY, 3)
    share = (np.ones(MANY) if weight is None else weight)[:, None]
    share = share / share.sum()
    truth = {"loss": ref.mean_loss(loss, y, t, weight, 0.3)[0]}
    if loss == "cross_entropy":
        truth["accuracy"] = (share[:, 0] * (y.argmax(axis=1) == t)).sum()
    elif loss == "binary_cross_entropy":
        truth["accuracy"] = (share * ((y > 0) == (t > 0.5))).sum() / 3
    elif loss != "poisson":
        around_mean = t - (share * t).sum(axis=0)
        squares = (share * (y - t) ** 2).sum(axis=0)
        truth["r2"] = (1 - squares / (share * around_mean**2).sum(axis=0)).mean()
        truth["rmse"] = np.sqrt(squares.mean())
        truth["mae"] = (share * np.abs(y - t)).sum() / 3
    metrics = st.Trainer(net, loss, quantile=0.3, delta=0.3).evaluate(X, t, weight)
    assert metrics == pytest.approx(truth, rel=1e-12)


def test_r2_far_from_zero() -> None:
    """Targets whose mean is a million times their spread leave the digits that float64 has for them."""
    net = st.Network(1, [st.Dense(1, init=[[1.0]])], dtype="float64")
    y = normal(4, (MANY, 1)) + 1e6
    net.set_parameters({"0.bias": [1e6]})
    x = y - 1e6 + 0.5 * normal(5, (MANY, 1))
    expected = 1 - ((x - (y - 1e6)) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert st.Trainer(net, "mse").evaluate(x, y)["r2"] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("threads", [1, 2])
def test_subnormals_are_zero_inside_calls_alone(dtype: str, threads: int) -> None:
    """A weight too small for full precision is kept, but computing with it would take many times as long."""
    before = st.get_num_threads()
    tiny = np.finfo(dtype).smallest_normal / 8
    net = st.Network(600, [st.Dense(600), st.Dense(1, bias=False)], dtype=dtype)
    net.set_parameters({"0.weight": np.full((600, 600), tiny), "1.weight": np.ones((600, 1))})
    st.set_num_threads(threads)
    try:
        outputs = net.predict(np.ones((16, 600)))
    finally:
        st.set_num_threads(before)
    assert (outputs == 0).all()
    assert (net.parameters["0.weight"] == tiny).all()
    assert np.ones(1, dtype)[0] * net.parameters["0.weight"][0, 0] == tiny


@pytest.mark.parametrize("eps", [1e-50, 1e-320])
@pytest.mark.parametrize("layer", [st.LayerNorm, st.BatchNorm])
def test_an_eps_below_the_dtypes_least_number_divides_nothing_by_zero(layer: Any, eps: float) -> None:
    net = st.Network(3, [layer(eps=eps)])
    same = np.ones((4, 3))
    assert np.array_equal(net.forward(same), np.zeros((4, 3))) and np.isfinite(net.backward(same)).all()
    assert np.isfinite(net.predict(same)).all()


@pytest.mark.parametrize(
    "optimizer", [st.Adam(eps=1e-50), st.AdamW(eps=1e-320, weight_decay=0), st.RMSprop(eps=1e-50)], ids=str
)
def test_an_optimizers_eps_below_the_dtypes_least_number_divides_nothing_by_zero(optimizer: Any) -> None:
    net = st.Network(2, [st.Dense(1)])
    before = net.parameters["0.weight"].copy()
    st.Trainer(net, "mse", optimizer).step([[0.0, 0.0]], [[0.0]])  # no gradient at all
    assert np.array_equal(net.parameters["0.weight"], before)


def test_code_of_the_callers_within_a_fit_has_its_own_subnormal_numbers() -> None:
    seen: list[float] = []

    def squares(y: Any, prediction: Any) -> tuple[float, Any]:
        seen.append(float(np.float32(1e-38) / np.float32(4)))
        return float(np.mean((prediction - y) ** 2)), 2 * (prediction - y) / y.size

    def rate(step: int) -> float:
        seen.append(float(np.float32(1e-38) / np.float32(4)))
        return 1e-3

    x = np.ones((8, 2), np.float32)
    for loss, lr in ((squares, 1e-3), ("mse", rate)):
        st.Trainer(st.Network(2, [st.Dense(1)]), loss, st.SGD(lr)).fit(x, x[:, :1], epochs=2, batch_size=4)
    assert len(seen) >= 8 and all(seen)
