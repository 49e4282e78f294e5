"""Arguments that NumPy reads as something else than was meant, or cannot read: each is refused by name, with a cure.

What is masked is not there; dates are no numbers; an object may refuse to become an array, with a text or without.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal
from steepest import descent

X, Y = normal(0, (6, 2)), normal(1, (6, 3))
HUGE = 10**400

MASKED = {
    "one number": np.ma.array(X, mask=np.eye(6, 2) > 0),
    "a list of rows": [np.ma.array([1.0, 2.0], mask=[False, True])] * 6,
}
TIMES = {
    "dates": np.full((6, 2), np.datetime64("2020-01-01")),
    "durations": np.full((6, 2), np.timedelta64(3, "s")),
    "no dates": np.full((6, 2), np.datetime64("NaT", "D")),
    "objects": np.full((6, 2), datetime.date(2020, 1, 1), dtype=object),
}


class Refuses:
    """What NumPy asks for an array, as it asks a tensor that requires a gradient."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise self.error

    def __dlpack__(self, **kwargs: Any) -> Any:
        raise self.error

    def __len__(self) -> int:
        return 6


def network(n_in: int = 2) -> st.Network:
    return st.Network(n_in, [st.Dense(3)], seed=0)


def own_loss(y: Any, prediction: Any) -> tuple[float, Any]:
    return 0.0, np.zeros_like(prediction)


# Each takes the argument, (6, 2) numbers; with the name that its errors give it.
WAYS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "predict": ("x", lambda v: network().predict(v)),
    "forward": ("x", lambda v: network().forward(v)),
    "backward": ("dy", lambda v: st.Network(2, [st.Dense(2)]).backward(v)),
    "set_parameters": ("0.weight", lambda v: st.Network(6, [st.Dense(2)]).set_parameters({"0.weight": v})),
    "init": ("init|0.weight", lambda v: st.Network(6, [st.Dense(2, init=v)])),
    "step": ("x", lambda v: st.Trainer(network(), "mse").step(v, Y)),
    "step's y": ("y", lambda v: st.Trainer(st.Network(2, [st.Dense(2)]), "mse").step(X, v)),
    "fit": ("x", lambda v: st.Trainer(network(), "mse").fit(v, Y, epochs=1)),
    "fit's y": ("y", lambda v: st.Trainer(st.Network(2, [st.Dense(2)]), "mse").fit(X, v, epochs=1)),
    "evaluate": ("x", lambda v: st.Trainer(network(), "mse").evaluate(v, Y)),
    "validation": ("validation x", lambda v: st.Trainer(network(), "mse").fit(X, Y, epochs=1, validation=(v, Y))),
    "apply": (
        "gradients",
        lambda v: st.Trainer(st.Network(6, [st.Dense(2)]), "mse").apply({"0.weight": v, "0.bias": np.zeros(2)}),
    ),
    "surface": ("x", lambda v: descent.surface(network(), v, Y, "mse", steps=3)),
}
OWN_LOSS = {
    "step": lambda v: st.Trainer(network(), own_loss).step(X, v),
    "fit": lambda v: st.Trainer(network(), own_loss).fit(X, v, epochs=1),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", MASKED)
def test_r11_masked_arrays_are_refused(kind: str, way: str) -> None:
    name, call = WAYS[way]
    with pytest.raises(ValueError, match=rf"^({name}).* masked .*row 0.*\.filled"):
        call(MASKED[kind])


@pytest.mark.parametrize("way", OWN_LOSS)
def test_r11_masked_targets_of_a_loss_of_ones_own(way: str) -> None:
    with pytest.raises(ValueError, match="^y is a masked array"):
        OWN_LOSS[way](MASKED["one number"])


def test_r11_masked_weights_results_and_outputs() -> None:
    trainer = st.Trainer(network(), "mse")
    weight = np.ma.array(np.ones(6), mask=np.arange(6) == 4)
    for call in (trainer.step, trainer.fit, trainer.evaluate):
        with pytest.raises(ValueError, match="^sample_weight is a masked array, masked at row 4 "):
            call(X, Y, sample_weight=weight)  # type: ignore[operator]
    with pytest.raises(ValueError, match="^out is a masked array"):
        trainer.network.predict(X, np.ma.array(np.zeros((6, 3), np.float32), mask=True))
    for loss in (
        lambda y, p: (0.0, np.ma.array(p, mask=True)),
        lambda y, p: (np.ma.array(np.zeros(6), mask=True), p),
    ):
        with pytest.raises(ValueError, match="that loss <lambda> returned is a masked array"):
            st.Trainer(network(), loss).step(X, Y)


def test_r11_with_nothing_masked_it_is_an_array() -> None:
    net = network()
    np.testing.assert_array_equal(net.predict(np.ma.array(X)), net.predict(X))
    np.testing.assert_array_equal(net.predict(np.ma.array(X, mask=np.zeros((6, 2), bool))), net.predict(X))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", TIMES)
def test_t16_dates_are_no_numbers(kind: str, way: str) -> None:
    name, call = WAYS[way]
    with pytest.raises(TypeError, match=rf"^({name}).* has dtype .*timedelta64\(1, 'D'\)"):
        call(TIMES[kind])


@pytest.mark.parametrize("way", WAYS)
def test_r23_what_refuses_to_become_an_array(way: str) -> None:
    name, call = WAYS[way]
    text = "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
    with pytest.raises(ValueError, match=rf"^({name}).* is not an array of numbers.*tensor\.detach\(\)"):
        call(Refuses(RuntimeError(text)))
    with pytest.raises(ValueError, match=rf"^({name}).* is not an array of numbers.*: LookupError$"):
        call(Refuses(LookupError()))


@pytest.mark.parametrize("way", WAYS)
def test_r32_ctrl_c_and_the_lack_of_memory_stay_what_they_are(way: str) -> None:
    for error in (KeyboardInterrupt, SystemExit, MemoryError):
        with pytest.raises(error):
            WAYS[way][1](Refuses(error()))


@pytest.mark.parametrize("way", [way for way in WAYS if way != "init"])  # where a text is a name
def test_r32_the_name_of_a_file_is_no_rows(way: str) -> None:
    name, call = WAYS[way]
    with pytest.raises(TypeError, match=rf"^({name}).*a\.csv.*: expected an array.*steepest\.tables\.read"):
        call("a.csv")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([[1.5, 2], [HUGE, 3]], r"1000.* at row 1, column 0 .*which float64 cannot hold"),
        (np.array([[1, True]], dtype=object), "True at row 0, column 1"),
        (np.array([[1, "a"]], dtype=object), "'a' at row 0, column 1"),
        (np.array([[1, 2.5]], dtype=object), r"as \.astype\('float64'\)"),
        (np.zeros((1, 2), [("a", float)]), "without fields"),
        (np.array([[b"1", b"2"]]), "which is text"),
        (np.zeros((1, 2), "V4"), "expected real numbers"),
        ([[1j, 2]], r"\.real and \.imag"),
        ([[1, 2], [3]], "row 0 is of length 2, row 1 of length 1"),
        (object(), "a object: expected an array"),
    ],
    ids=["huge", "bool", "text", "plain objects", "fields", "bytes", "void", "complex", "ragged", "an object"],
)
def test_r23_odd_values_are_named_with_their_place(given: Any, text: str) -> None:
    with pytest.raises(ValueError, match=rf"^x .*{text}"):
        network().predict(given)
    with pytest.raises(ValueError, match=rf"^x .*{text}"):
        st.Trainer(network(), "mse").fit(given, Y, epochs=1)


def test_r23_odd_values_of_a_frame_are_named_with_their_column() -> None:
    import pandas as pd

    for value, said in ((HUGE, "1000"), (True, "True"), ("a", "'a'"), (None, "None")):
        frame = pd.DataFrame({"b": np.ones(6), "a": pd.Series([1, 2, value, 4, 5, 6], dtype=object)})
        with pytest.raises(ValueError, match=rf"^x .*column 'a' \(object\): found {said}.* in row 2"):
            network().predict(frame)
    with pytest.raises(TypeError, match="column 'a'"):
        network().predict(pd.DataFrame({"b": np.ones(6), "a": pd.date_range("2020", periods=6)}))


@pytest.mark.parametrize("value", [10**5000, "x" * 10**6, [0.1] * 10**6], ids=["digits", "text", "list"])
def test_r23_values_too_long_to_be_written_are_named_all_the_same(value: Any) -> None:
    for call in (lambda: st.SGD(value), lambda: st.Network(2, [st.Dense(3)], seed=value), lambda: st.Dense(3, value)):
        with pytest.raises((TypeError, ValueError), match=r"^(lr|seed|activation) is .{,300}: expected") as caught:
            call()
        assert len(str(caught.value)) < 1000
