"""Numbers that must come out right: the generator's published answers, dropout's shares, and losses at their ends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import eps, normal
from steepest import _core

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
    # neighbours, and one step and the next, are independent: both kept as often as (1 - p)^2
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
