"""What real data does to a trainer: odd shapes, numbers, batches, layouts and memory, and training that blows up.

An input is either right, and then its layout, order and container change no bit of the result, or it is refused with
an error that names it, and then nothing has changed.
"""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal, refusal, spoilt, state_of

X = normal(0, (8, 6))
Y = normal(1, (8, 2))
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """Nothing here may warn, NumPy's overflows included."""
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        yield


def trainer_for(loss: str = "mse", n_in: int = 6, n_out: int = 2, **options: Any) -> st.Trainer:
    """A trainer whose momentum and counters have moved."""
    net = st.Network(n_in, [st.Dense(5, "tanh"), st.BatchNorm(), st.Dense(n_out)], seed=1, **options)
    trainer = st.Trainer(net, loss, st.SGD(0.05, momentum=0.9))
    trainer.step(normal(2, (4, n_in)), np.full((4, n_out), 1 / n_out))
    return trainer


def every_way(trainer: st.Trainer, x: Any, y: Any, weight: Any = None) -> dict[str, Callable[[], object]]:
    """All that takes rows with targets."""
    good_x = normal(3, (4, trainer.network.n_in))
    good_y = np.full((4, trainer.network.n_out), 1 / trainer.network.n_out)
    return {
        "step": lambda: trainer.step(x, y, sample_weight=weight),
        "fit": lambda: trainer.fit(x, y, sample_weight=weight, batch_size=2),
        "evaluate": lambda: trainer.evaluate(x, y, sample_weight=weight),
        "validation": lambda: trainer.fit(good_x, good_y, validation=(x, y, weight)),
    }


WAYS = ["step", "fit", "evaluate", "validation"]


def refused(trainer: st.Trainer, way: str, message: str, x: Any, y: Any, weight: Any = None) -> None:
    """Assert that an input is refused by name, and that nothing has changed."""
    prefix = "validation " if way == "validation" else ""
    with refusal(trainer, f"^{prefix}{message}"):
        every_way(trainer, x, y, weight)[way]()


# --- Targets as a row, a column, a table ---


def test_a_column_of_targets_is_its_row() -> None:
    import pandas as pd

    y = normal(1, (8,))
    forms = [y, y[:, None], pd.DataFrame({"y": y}), y.tolist(), pd.Series(y)]
    trainers = [trainer_for(n_out=1) for _ in forms]
    for trainer, form in zip(trainers, forms, strict=True):
        trainer.fit(X, form, epochs=2, batch_size=3)
        trainer.step(X, form)
        trainer.evaluate(X, form)
    states = [state_of(trainer) for trainer in trainers]
    assert all(state == states[0] for state in states)
    assert trainers[0].network.predict(X).shape == (8, 1)


def test_a_table_of_targets_is_predicted_as_one() -> None:
    trainer = trainer_for(n_out=3)
    trainer.fit(X, normal(1, (8, 3)), epochs=2)
    assert trainer.network.predict(X).shape == (8, 3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("loss", "n_out", "shape"),
    [
        ("mse", 1, (7,)),
        ("mse", 1, (1,)),
        ("mse", 1, (8, 2)),
        ("mse", 1, (1, 8)),
        ("mse", 1, (8, 1, 1)),
        ("mse", 1, ()),
        ("mse", 3, (8,)),
        ("mse", 3, (3,)),
        ("mse", 3, (8, 1)),
        ("mse", 3, (1, 3)),
        ("mse", 8, (8,)),
        ("binary_cross_entropy", 3, (8,)),
        ("poisson", 2, (8, 1)),
        ("cross_entropy", 3, (8, 1)),
        ("cross_entropy", 3, (8, 2)),
        ("cross_entropy", 3, (7,)),
        ("cross_entropy", 3, (1, 3)),
    ],
)
def test_nothing_is_broadcast(loss: str, n_out: int, shape: tuple[int, ...], way: str) -> None:
    refused(trainer_for(loss, n_out=n_out), way, "y has", X, np.ones(shape))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(6,), (8, 5), (8, 7), (8, 6, 1), (8, 1), (0, 6), ()])
def test_rows_must_have_their_shape(shape: tuple[int, ...], way: str) -> None:
    refused(trainer_for(), way, "x has", np.ones(shape), Y[: shape[0] if shape else 0])


@pytest.mark.parametrize("shape", [(6,), (8, 5), (8, 6, 1), ()])
def test_predict_must_have_its_shape(shape: tuple[int, ...]) -> None:
    net = trainer_for().network
    for compute in (net.predict, net.forward):
        with pytest.raises(ValueError, match="x has"):
            compute(np.ones(shape))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(7,), (8, 1), (1,), (1, 8), ()])
def test_weights_must_have_their_shape(shape: tuple[int, ...], way: str) -> None:
    refused(trainer_for(), way, "sample_weight has", X, Y, np.ones(shape))


# --- Numbers that are none, or too large ---


NUMBERS = [
    (math.nan, "nan"),
    (math.inf, "inf"),
    (-math.inf, "-inf"),
    (1e39, "too large for float32"),
    (-1e39, "too large"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_rows_must_be_finite(value: float, text: str, way: str) -> None:
    refused(trainer_for(), way, f"x has .*{text}.* at row 7, column 4", spoilt(X, (7, 4), value), Y)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_targets_must_be_finite(value: float, text: str, way: str) -> None:
    refused(trainer_for(), way, f"y has .*{text}.* at row 6, column 1", X, spoilt(Y, (6, 1), value))
    refused(trainer_for(n_out=1), way, f"y has .*{text}.* at row 6", X, spoilt(Y[:, 0], (6,), value))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("value", "text"), [*NUMBERS, (-0.5, "-0.5")])
def test_weights_must_be_finite_and_positive(value: float, text: str, way: str) -> None:
    refused(trainer_for(), way, f"sample_weight has .*{text}.* at row 5", X, Y, spoilt(np.ones(8), (5,), value))


@pytest.mark.parametrize("way", WAYS)
def test_weights_must_weigh_something(way: str) -> None:
    refused(trainer_for(), way, "sample_weight", X, Y, np.zeros(8))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("loss", "y", "text"),
    [
        ("cross_entropy", [0, 1, 2, 0, 1, 2, 0, math.nan], "nan at row 7"),
        ("cross_entropy", [0, 1, 2, 0, 1, 2, 0, math.inf], "inf at row 7"),
        ("cross_entropy", [0, 1, 2, 0, 1, 2, 0, 3], "3 at row 7, expected integers 0 to 2"),
        ("cross_entropy", [0, 1, 2, 0, 1, 2, 0, -1], "-1 at row 7"),
        ("cross_entropy", [0, 1, 2, 0, 1, 2, 0, 0.5], "0.5 at row 7"),
        ("cross_entropy", [0, 1, 2, 0, 1, 2, 0, 2**40], "1.09951e.12 at row 7"),
        ("cross_entropy", spoilt(np.full((8, 3), 1 / 3), (7, 1), 0.5), "sum to 1.1.* at row 7"),
        ("cross_entropy", spoilt(np.full((8, 3), 1 / 3), (7, 1), 0.3353), "sum to 1.00.* at row 7"),
        ("cross_entropy", spoilt(np.full((8, 3), 1 / 3), (7, 1), -0.2), "-0.2 at row 7, column 1"),
        ("cross_entropy", spoilt(np.full((8, 3), 1 / 3), (7, 1), math.nan), "nan at row 7, column 1"),
        ("binary_cross_entropy", spoilt(np.ones((8, 3)), (7, 1), 1.5), "1.5 at row 7, column 1"),
        ("poisson", spoilt(np.ones((8, 3)), (7, 1), -1), "-1 at row 7, column 1"),
    ],
)
def test_targets_must_suit_the_loss(loss: str, y: Any, text: str, way: str) -> None:
    refused(trainer_for(loss, n_out=3), way, f"y has .*{text}", X, np.asarray(y))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "y", [["a", None] * 4, ["a", "b"] * 4, [None] * 8, [1 + 2j] * 8, [b"1"] * 8, np.zeros(8, [("a", "f8")])], ids=str
)
def test_targets_must_be_numbers(y: Any, way: str) -> None:
    refused(trainer_for("cross_entropy", n_out=3), way, "y has dtype", X, y)


@pytest.mark.parametrize("way", WAYS)
def test_ragged_rows_are_refused(way: str) -> None:
    trainer = trainer_for()
    with refusal(trainer, "x is not an array of numbers|inhomogeneous"):
        every_way(trainer, [[1, 2], [3]], [[1, 2], [3, 4]])[way]()


@pytest.mark.parametrize("way", ["fit", "evaluate"])
@pytest.mark.parametrize("form", ["csr_matrix", "csc_array", "coo_matrix"])
def test_sparse_rows_are_refused_with_a_way_out(form: str, way: str) -> None:
    rows = getattr(pytest.importorskip("scipy.sparse"), form)(X)
    trainer = trainer_for()
    with refusal(trainer, rf"x is a sparse {form}: .*\.toarray\(\)", TypeError):
        every_way(trainer, rows, Y)[way]()


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_predict_must_be_given_numbers(value: float, text: str) -> None:
    net = trainer_for().network
    for compute in (net.predict, net.forward):
        with pytest.raises(ValueError, match=f"x has .*{text}.* at row 7, column 4"):
            compute(spoilt(X, (7, 4), value))
    with pytest.raises(ValueError, match="x has dtype object"):
        net.predict(spoilt(X, (7, 4), None, object))


def test_columns_that_are_no_plain_numbers_are_named() -> None:
    import pandas as pd

    frame = pd.DataFrame(X, columns=list("abcdef"))
    frame = frame.assign(b=frame.b > 0, d=pd.array([1, None] * 4, "Int64"))
    trainer = trainer_for()
    message = r"x has dtype object because of its columns 'b' \(bool\), 'd' \(Int64\): .*TableEncoder or \.astype"
    for way, call in every_way(trainer, frame, Y).items():
        with refusal(trainer, ("validation " if way == "validation" else "") + message):
            call()
    with pytest.raises(ValueError, match=message):
        trainer.network.predict(frame)
    with pytest.raises(ValueError, match=r"its column 'b' \(bool\): "):
        trainer.network.predict(frame.drop(columns="d"))
    filled = frame.assign(d=frame.d.fillna(0)).astype("float32")
    np.testing.assert_array_equal(trainer.network.predict(filled), trainer.network.predict(filled.to_numpy()))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (3.5, r"x has 0 dimensions, it is 3\.5: expected 1 or 2"),
        (X[None], r"x has 3 dimensions, of shape \(1, 8, 6\): expected 1 or 2"),
    ],
)
def test_wrong_dimensions_say_what_was_given(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trainer_for().network.predict(x)


def test_large_numbers_suit_a_large_dtype() -> None:
    net = st.Network(1, [st.Dense(1, init=[[1.0]])], dtype="float64")
    assert net.predict([[1e39]]).tolist() == [[1e39]]


def test_large_integers_are_rounded() -> None:
    net = st.Network(1, [st.Dense(1, init=[[1.0]])])
    assert net.predict(np.array([[2**40 + 1]])).tolist() == [[2**40]]
    exact = st.Network(1, [st.Dense(1, init=[[1.0]])], dtype="float64")
    assert exact.predict(np.array([[2**40 + 1]])).tolist() == [[2**40 + 1]]


# --- Sizes of batches ---


@pytest.mark.parametrize(("n", "batch_size"), [(10, 1024), (65, 64), (1, 32), (33, 1), (64, 64)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_row_is_used_in_every_epoch(n: int, batch_size: int, shuffle: bool) -> None:
    net = st.Network(n, [st.Dense(1, bias=False, init="zeros")])
    trainer = st.Trainer(net, "mse", st.SGD(0.1))
    trainer.fit(np.eye(n), np.ones(n), epochs=1, batch_size=batch_size, shuffle=shuffle)
    # Each row of x moves a weight of its own, by 0.2 / (rows of its batch).
    moved = net.parameters["0.weight"].ravel()
    sizes = np.array([min(batch_size, n - first) for first in range(0, n, batch_size)])
    expected = np.repeat(0.2 / sizes, sizes)
    assert np.allclose(np.sort(moved), np.sort(expected), rtol=1e-6)
    assert trainer.n_steps == len(sizes)


@pytest.mark.parametrize(("n", "batch_size"), [(10, 1024), (65, 64), (1, 32), (65, 2)])
@pytest.mark.parametrize("weighted", [False, True])
def test_epoch_loss_is_the_mean_over_rows(n: int, batch_size: int, weighted: bool) -> None:
    net = st.Network(6, [st.Dense(5, "tanh"), st.Dense(2)])
    trainer = st.Trainer(net, "mse", st.SGD(0.0))
    x, y = normal(0, (n, 6)), normal(1, (n, 2)) * np.arange(1, n + 1)[:, None]
    weight = np.linspace(1, 2, n) if weighted else None
    loss = trainer.fit(x, y, epochs=1, batch_size=batch_size, sample_weight=weight)["loss"][0]
    assert loss == pytest.approx(trainer.evaluate(x, y, weight)["loss"], rel=1e-6)


def test_batch_norm_survives_a_batch_of_one_row() -> None:
    trainer = trainer_for()
    history = trainer.fit(normal(0, (65, 6)), normal(1, (65, 2)), epochs=3, batch_size=64)
    assert np.isfinite(history["loss"]).all()
    trainer.step(X[:1], Y[:1])
    assert all(np.isfinite(value).all() for value in (trainer.network.parameters | trainer.network.buffers).values())


def test_default_batch_suits_any_number_of_rows() -> None:
    for n in (1, 2, 31, 32, 33):
        trainer = trainer_for()
        before = state_of(trainer)
        trainer.fit(normal(0, (n, 6)), normal(1, (n, 2)), epochs=1)
        assert state_of(trainer)["0.weight"] != before["0.weight"]


# --- Training that blows up ---


@pytest.mark.parametrize("stopping", [False, True])
@pytest.mark.parametrize("batch_size", [4, 1024])
def test_a_rate_too_high_ends_with_an_error(stopping: bool, batch_size: int) -> None:
    net = st.Network(6, [st.Dense(5, "relu"), st.Dense(2)], seed=1)
    trainer = st.Trainer(net, "mse", st.SGD(10))
    callbacks = [st.EarlyStopping(patience=3)] if stopping else []
    with pytest.raises(st.DivergedError) as caught:
        trainer.fit(1e6 * X, Y, epochs=50, batch_size=batch_size, validation=(1e6 * X, Y), callbacks=callbacks)
    error, text = caught.value, str(caught.value)
    assert f"epoch {error.epoch}" in text and f"step {error.step}" in text and "learning rate 10" in text
    assert "Scale x" in text and "lower the learning rate" in text
    assert all(np.isfinite(value).all() for value in net.parameters.values())
    assert np.isfinite(net.predict(X)).all()


def test_the_last_finite_epoch_is_kept() -> None:
    class Blow(st.Callback):
        """Raises the rate after the third epoch, and remembers the weights of that moment."""

        def on_epoch_end(self, fit: Any) -> None:
            if fit.epoch == 2:
                self.kept = fit.trainer.network.parameters
                fit.trainer.learning_rate = 1e25

    net = st.Network(6, [st.Dense(5, "relu"), st.Dense(2)], seed=1)
    trainer, blow = st.Trainer(net, "mse", st.Adam(0.01)), Blow()
    with pytest.raises(st.DivergedError):
        trainer.fit(X, Y, epochs=9, batch_size=2, callbacks=[blow])
    assert all(np.array_equal(value, blow.kept[name]) for name, value in net.parameters.items())
    assert trainer.history.n_epochs == 3
    trainer.learning_rate = 0.01
    assert np.isfinite(trainer.fit(X, Y, epochs=2)["loss"]).all()


# --- Exponentials and logarithms at their ends ---


def one_step(logits: list[float], y: Any, loss: str, dtype: str) -> tuple[float, list[float]]:
    """The loss of one row with these outputs, and its derivative by them: the bias after a step at rate 1, negated."""
    net = st.Network(1, [st.Dense(len(logits), init=[logits])], dtype=dtype)
    value = st.Trainer(net, loss, st.SGD(1.0)).step([[1.0]], y)
    return value, (-net.parameters["0.bias"]).tolist()


def test_softmax_at_its_ends(dtype: str) -> None:
    assert one_step([1000, 0, -1000], [0], "cross_entropy", dtype) == (0, [0, 0, 0])
    assert one_step([1000, 0, -1000], [[0, 0.5, 0.5]], "cross_entropy", dtype) == (1500, [1, -0.5, -0.5])
    assert one_step([0, 200], [0], "cross_entropy", dtype) == (200, [-1, 1])
    loss, slope = one_step([-3e38] * 3, [1], "cross_entropy", dtype)
    assert loss == pytest.approx(math.log(3), rel=1e-6)
    assert slope == pytest.approx([1 / 3, 1 / 3 - 1, 1 / 3], rel=1e-6)


def test_sigmoid_at_its_ends(dtype: str) -> None:
    net = st.Network(1, [st.Activation("sigmoid")], dtype=dtype)
    assert net.predict([[1000.0], [-1000.0], [3e38], [-3e38], [0.0]]).ravel().tolist() == [1, 0, 1, 0, 0.5]
    assert one_step([100], [[0.0]], "binary_cross_entropy", dtype) == (100, [1])
    assert one_step([-100], [[1.0]], "binary_cross_entropy", dtype) == (100, [-1])
    loss, slope = one_step([1000], [[1.0]], "binary_cross_entropy", dtype)
    assert loss == 0 and slope == [0]


@pytest.mark.parametrize("activation", ["elu", "selu", "gelu", "silu", "tanh", "softplus", "mish"])
def test_activations_at_their_ends(activation: str, dtype: str) -> None:
    net = st.Network(1, [st.Activation(activation)], dtype=dtype)
    x = np.array([[-3e38], [-1000], [-100], [0], [100], [1000]])
    y = net.forward(x)
    assert np.isfinite(y).all() and (np.diff(y.ravel()[3:]) >= 0).all()
    slope = net.backward(np.ones((6, 1))).ravel()
    assert np.isfinite(slope).all()
    assert np.abs(slope[:3]).max() <= 1e-6 and 0 <= slope[-1] <= 1.1


def test_poisson_rates_that_overflow_are_refused_by_name(dtype: str) -> None:
    net = st.Network(1, [st.Dense(1, init=[[1000.0]])], dtype=dtype)
    trainer = st.Trainer(net, "poisson", st.SGD(1.0, momentum=0.9))
    before = state_of(trainer)
    with pytest.raises(st.DivergedError, match="the loss is inf"):
        trainer.step([[1.0]], [1.0])
    assert state_of(trainer) == before
    assert math.isinf(trainer.evaluate([[1.0]], [1.0])["loss"])
    assert math.isfinite(trainer.step([[0.08]], [1.0]))  # e^80 still is a number


# --- Subnormal numbers ---

SUBNORMALS = """
import sys, threading
assert sys.float_info.min / 2 > 0
import numpy as np
import steepest as st
assert sys.float_info.min / 2 > 0
x = np.full((256, 64), 1e-39, np.float32)
net = st.Network(64, [st.Dense(256, "tanh", init=np.full((64, 256), 1e-39)), st.Dense(256, "tanh"), st.Dense(1)])
st.Trainer(net, "mse", st.Adam()).fit(x, np.zeros(256), epochs=2)
net.predict(x)
def check():
    assert sys.float_info.min / 2 > 0
    assert np.float32(1e-39) * np.ones(64, np.float32)[0] > 0
    assert (np.full(64, 1e-39, np.float32) * np.float32(0.5) > 0).all()
    np.finfo(np.float32), np.finfo(np.float64)
    print("kept")
check()
thread = threading.Thread(target=check)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_subnormals_stay_numbers_for_the_process(threads: str) -> None:
    script = SUBNORMALS.replace("x = np", f"st.set_num_threads({threads})\nx = np", 1)
    run = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=120)
    assert (run.stdout, run.stderr, run.returncode) == ("kept\nkept\n", "", 0)


# --- Layouts ---


def unaligned(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy that starts at an odd address."""
    raw = np.empty(array.nbytes + 1, np.uint8)[1:]
    result = raw.view(array.dtype).reshape(array.shape)
    result[...] = array
    assert not result.flags.aligned
    return result


def field(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy as a field of records of an odd size."""
    records = np.zeros(array.shape, np.dtype([("before", "u1"), ("value", array.dtype), ("after", "u2")]))
    records["value"] = array
    return records["value"]


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "reversed rows": lambda a: a[::-1].copy()[::-1],
    "reversed columns": lambda a: a[..., ::-1].copy()[..., ::-1],
    "fortran": np.asfortranarray,
    "transposed": lambda a: a.T.copy().T,
    "middle axis dropped": lambda a: a[:, None][:, 0],
    "column of a table": lambda a: np.stack([np.zeros_like(a), a], axis=-1)[..., 1],
    "field": field,
    "unaligned": unaligned,
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "subclass": lambda a: a.view(type("Sub", (np.ndarray,), {})),
    "float64": lambda a: a.astype(np.float64),
    "long double": lambda a: a.astype(np.longdouble),
    "list": lambda a: a.tolist(),
}


def results(x: Any, y: Any, weight: Any, net_in: int = 6) -> list[Any]:
    """All that can be computed from rows, targets and weights."""
    trainer = trainer_for(n_in=net_in)
    net = trainer.network
    history = trainer.fit(x, y, epochs=2, batch_size=3, sample_weight=weight, validation=(x, y, weight))
    step = trainer.step(x, y, weight)
    outputs = [net.predict(x), net.forward(x), net.backward(y), *net.gradients.values()]
    measured = trainer.evaluate(x, y, weight)
    recorded = {name: column.tolist() for name, column in history.items() if name != "seconds"}
    return [state_of(trainer), recorded, step, measured, [output.tolist() for output in outputs]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_changes_nothing(layout: str) -> None:
    x, y, weight = X.astype(np.float32), Y.astype(np.float32), np.linspace(0.5, 2, 8, dtype=np.float32)
    change = LAYOUTS[layout]
    assert results(change(x), change(y), change(weight)) == results(x, y, weight)


def test_repeated_rows_and_numbers_need_no_memory() -> None:
    row, number, weight = X[0].astype(np.float32), np.float32(0.3), np.float32(2)
    thin = np.broadcast_to(row, (8, 6)), np.broadcast_to(number, (8, 2)), np.broadcast_to(weight, 8)
    assert thin[0].strides == (0, 4)
    assert results(*thin) == results(*(array.copy() for array in thin))


@pytest.mark.parametrize(
    "dtype_of_x", ["?", "i1", "u1", ">i2", "u2", "i4", ">u4", "i8", "u8", "f2", ">f2", ">f4", ">f8"]
)
def test_every_real_dtype_is_read(dtype_of_x: str) -> None:
    x = (np.arange(48).reshape(8, 6) % 2).astype(dtype_of_x)
    assert results(x, x[:, :2], x[:, 0] + np.ones(8, np.dtype(dtype_of_x))) == results(
        x.astype(np.float64), x[:, :2].astype(np.float64), x[:, 0].astype(np.float64) + 1
    )


def test_labels_of_any_kind_are_the_same() -> None:
    forms = [LABELS, LABELS.astype(np.uint8), LABELS.astype(float), LABELS.astype(">i4"), np.repeat(LABELS, 2)[::2]]
    forms += [LABELS.tolist(), np.eye(3)[LABELS], np.eye(3, dtype=bool)[LABELS]]
    states = []
    for form in forms:
        trainer = trainer_for("cross_entropy", n_out=3)
        trainer.fit(X, form, epochs=2, batch_size=3)
        states.append(state_of(trainer))
    assert all(state == states[0] for state in states[:6])
    for state in states[6:]:  # rows of probabilities go another way to the same sums
        assert np.allclose(state["0.weight"], states[0]["0.weight"], rtol=1e-5, atol=1e-7)


def test_parameters_of_any_layout_are_taken() -> None:
    net = trainer_for().network
    weight = normal(4, (6, 5), np.float32)
    for name, change in LAYOUTS.items():
        net.set_parameters({"0.weight": change(weight)})
        assert np.array_equal(net.parameters["0.weight"], weight), name


# --- Memory that is not ours ---


def memory_of(kind: str, array: Any, folder: Path) -> Any:
    """The same numbers in memory that must not be written."""
    if kind == "read-only":
        array = array.copy()
        array.setflags(write=False)
        return array
    path = folder / f"{array.shape}.npy"
    if kind == "memmap":
        array.tofile(path)
        return np.memmap(path, array.dtype, "r", shape=array.shape)
    np.save(path, array)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize("kind", ["read-only", "mmap_mode", "memmap"])
def test_read_only_memory_is_read_and_left_alone(kind: str, tmp_path: Path) -> None:
    arrays = X.astype(np.float32), Y.astype(np.float32), np.linspace(0.5, 2, 8, dtype=np.float32)
    held = [memory_of(kind, array, tmp_path) for array in arrays]
    flags = [str(array.flags) for array in held]
    assert results(*held) == results(*arrays)
    assert [str(array.flags) for array in held] == flags
    assert all(np.array_equal(now, before) for now, before in zip(held, arrays, strict=True))


def test_writeable_memory_is_left_alone_too() -> None:
    arrays = X.astype(np.float32), Y.astype(np.float32), np.linspace(0.5, 2, 8, dtype=np.float32)
    held = [array.copy() for array in arrays]
    results(*held)
    assert all(array.flags.writeable for array in held)
    assert all(np.array_equal(now, before) for now, before in zip(held, arrays, strict=True))


def predict_in_worker(net: st.Network, x: Any) -> tuple[bool, Any]:
    """What a worker process makes of rows that joblib hands it as a read-only map."""
    return x.flags.writeable, net.predict(x)


def test_joblib_workers_predict_from_mapped_rows() -> None:
    joblib = pytest.importorskip("joblib", reason="joblib's workers are what is tested")
    net = trainer_for().network
    x = normal(5, (60_000, 6), np.float32)  # over 1 MB, so joblib maps it
    jobs = joblib.Parallel(n_jobs=2)(joblib.delayed(predict_in_worker)(net, x) for _ in range(2))
    for writeable, y in jobs:
        assert not writeable
        assert np.array_equal(y, net.predict(x))


MAPPED = """
import sys
import numpy as np
import steepest as st
def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))
path = sys.argv[1]
x = np.memmap(path, np.float32, "r", shape=(2**16, 256))
trainer = st.Trainer(st.Network(256, [st.Dense(1)]), "mse", st.SGD(0.1))
trainer.fit(x[:64], np.zeros(64), epochs=1)
before = anonymous()
trainer.fit(x, np.zeros(2**16), epochs=1, batch_size=1024, validation=(x, np.zeros(2**16)))
trainer.network.predict(x)
print((anonymous() - before) >> 20)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory in use from Linux's /proc")
def test_mapped_rows_are_read_batch_by_batch(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    np.memmap(path, np.float32, "w+", shape=(2**16, 256)).flush()  # 64 MiB
    run = subprocess.run([sys.executable, "-c", MAPPED, str(path)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 12
