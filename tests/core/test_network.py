"""The network and its layers as a user meets them: arguments, names, copies, files and the summary."""

from __future__ import annotations

import copy
import io
import pickle
import re
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal
from steepest import files
from steepest.layers import Layer, layers_from_json

LAYERS = [
    st.Dense(6, "leaky_relu", alpha=0.2, bias=False, init="he_normal"),
    st.BatchNorm(momentum=0.3),
    st.Activation("elu", alpha=0.5),
    st.Residual([st.Dense(6), st.LayerNorm(eps=1e-4), st.Activation("gelu"), st.Residual([st.Dense(6, "tanh")])]),
    st.Residual(
        [
            st.PeriodicEmbedding(3, 2, "identity", 0.5, columns=[5, 0]),
            st.Dropout(0.25),
            st.FeatureScale(2.0),
            st.Dense(6),
        ]
    ),
    st.Dense(2),
]


def every_kind(dtype: str = "float32") -> st.Network:
    """A network with a layer of each kind, whose running statistics have moved."""
    net = st.Network(4, LAYERS, seed=3, dtype=dtype)
    net.forward(normal(0, (10, 4)))
    return net


def same_state(a: st.Network, b: st.Network) -> bool:
    """Whether two networks have the same parameters and buffers, bit for bit."""
    left, right = a.parameters | a.buffers, b.parameters | b.buffers
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


# --- Layers ---


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: st.Dense(0), ValueError, "n_out is 0: expected a whole number >= 1"),
        (lambda: st.Dense(2.0), TypeError, "n_out is 2.0"),
        (lambda: st.Dense(True), TypeError, "n_out is True"),
        (lambda: st.Dense(2, "rleu"), ValueError, "activation is 'rleu': expected one of identity, relu"),
        (lambda: st.Dense(2, "softmax"), ValueError, "'cross_entropy' takes it of the outputs"),
        (lambda: st.Dense(2, "relu", alpha=0.1), ValueError, "alpha is 0.1: only leaky_relu and elu"),
        (lambda: st.Dense(2, "elu", alpha=-1), ValueError, "alpha is -1: expected a finite number >= 0"),
        (lambda: st.Dense(2, bias=1), TypeError, "bias is 1: expected True or False"),
        (lambda: st.Dense(2, init="he"), ValueError, "init is 'he': expected one of auto, he_uniform"),
        (lambda: st.Dense(2, init=np.zeros((3, 4))), ValueError, r"init has the shape \(3, 4\): expected \(n_in, 2\)"),
        (lambda: st.Activation("linear"), ValueError, "name is 'linear'"),
        (lambda: st.Dropout(1), ValueError, "p is 1: expected a finite number >= 0 and < 1"),
        (lambda: st.Dropout(float("nan")), ValueError, "p is nan"),
        (lambda: st.Dropout("half"), TypeError, "p is 'half'"),
        (lambda: st.BatchNorm(momentum=1.5), ValueError, "momentum is 1.5: expected a finite number >= 0 and <= 1"),
        (lambda: st.BatchNorm(eps=0), ValueError, "eps is 0: expected a finite number > 0"),
        (lambda: st.LayerNorm(eps=-1e-5), ValueError, "eps is -1e-05"),
        (lambda: st.FeatureScale(0), ValueError, r"lr_multiplier is 0: expected a finite number > 0 and <= 1e\+06"),
        (lambda: st.FeatureScale(1e7), ValueError, r"lr_multiplier is 10000000.0: expected a finite number > 0 and"),
        (lambda: st.FeatureScale("6"), TypeError, "lr_multiplier is '6': expected a finite number"),
        (lambda: st.PeriodicEmbedding(0), ValueError, "n_frequencies is 0: expected a whole number >= 1"),
        (lambda: st.PeriodicEmbedding(2.0), TypeError, "n_frequencies is 2.0: expected a whole number >= 1"),
        (lambda: st.PeriodicEmbedding(size=0), ValueError, "size is 0: expected a whole number >= 1"),
        (lambda: st.PeriodicEmbedding(size="12"), TypeError, "size is '12': expected a whole number >= 1"),
        (lambda: st.PeriodicEmbedding(activation="tanh"), ValueError, "is 'tanh': expected one of relu, identity"),
        (lambda: st.PeriodicEmbedding(activation=None), ValueError, "activation is None: expected one of relu, ident"),
        (lambda: st.PeriodicEmbedding(sigma=0), ValueError, "sigma is 0: expected a finite number > 0 and <= 1e\\+06"),
        (lambda: st.PeriodicEmbedding(sigma=1e39), ValueError, r"sigma is 1e\+39: expected a finite number > 0 and"),
        (lambda: st.PeriodicEmbedding(sigma=float("nan")), ValueError, "sigma is nan"),
        (lambda: st.PeriodicEmbedding(sigma="1"), TypeError, "sigma is '1'"),
        (lambda: st.PeriodicEmbedding(columns=[]), ValueError, r"columns is \[\]: expected at least one column, each"),
        (lambda: st.PeriodicEmbedding(columns=[1, 0, 1]), ValueError, r"columns is \[1, 0, 1\]: .* each once, or None"),
        (
            lambda: st.PeriodicEmbedding(columns=[0, -1]),
            ValueError,
            r"columns\[1\] is -1: expected a whole number",
        ),
        (lambda: st.PeriodicEmbedding(columns=[0, 1.0]), TypeError, r"columns\[1\] is 1.0: expected a whole number"),
        (lambda: st.PeriodicEmbedding(columns=[True]), TypeError, r"columns\[0\] is True: expected a whole number"),
        (
            lambda: st.PeriodicEmbedding(columns=1),
            TypeError,
            "columns is 1: expected a list of column numbers",
        ),
        (lambda: st.PeriodicEmbedding(columns="01"), TypeError, "columns is '01': expected a list of column numbers"),
        (lambda: st.PeriodicEmbedding(columns={0}), TypeError, r"columns is \{0\}: expected a list of column numbers"),
        (lambda: st.PeriodicEmbedding(columns=np.array(1)), TypeError, "columns is array.*: expected a list of column"),
        (lambda: st.PeriodicEmbedding(columns=np.eye(2)), TypeError, r"columns is array\(\[\[1"),
        (lambda: st.Residual([]), ValueError, "layers is empty"),
        (lambda: st.Residual(st.Dense(2)), TypeError, "layers is Dense"),
    ],
)
def test_layers_check_their_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([st.Dense(8), 10], TypeError, r"layers\[1\] is 10: expected a layer such as Dense\(10\)"),
        ([st.Dense], TypeError, r"layers\[0\] is <class .*Dense'>: expected a layer such as"),
        (st.Dense(8), TypeError, "expected a list of layers"),
        ("relu", TypeError, "expected a list of layers"),
        ([], ValueError, "layers is empty"),
        ([st.Residual([st.Dense(3)])], ValueError, "Residual: its layers turn 4 numbers a row into 3: expected 4"),
        ([st.PeriodicEmbedding(columns=[0, 4])], ValueError, "columns has 4: expected less than the 4 columns before"),
        (
            [st.Dense(3), st.Residual([st.PeriodicEmbedding(columns=[3]), st.Dense(3)])],
            ValueError,
            "columns has 3: expected less than the 3 columns before the layer",
        ),
        (
            [st.Residual([st.PeriodicEmbedding(2, 3)])],
            ValueError,
            "Residual: its layers turn 4 numbers a row into 16: expected 4",
        ),
        (
            [st.Dense(3), st.Dense(2, init=np.ones((4, 2)))],
            ValueError,
            r"init of layer 1 .*\(4, 2\): expected \(3, 2\)",
        ),
        ([st.Dense(1, init=[[1.0], [2.0], [np.nan], [0.0]])], ValueError, "0.weight"),
        (
            [st.Dense(1, "elu", alpha=1e39)],
            ValueError,
            r"alpha is 1e\+39, expected at most 3.4028\d*e\+38, the largest",
        ),
    ],
)
def test_network_refuses_wrong_layers(layers: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        st.Network(4, layers)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_in": 0}, ValueError, "n_in is 0"),
        ({"n_in": 4.0}, TypeError, "n_in is 4.0"),
        ({"seed": -1}, ValueError, "seed is -1: expected a whole number >= 0"),
        ({"seed": 2**63}, ValueError, r"seed is 9223372036854775808: expected .* < 2\*\*63"),
        ({"seed": None}, TypeError, "seed is None"),
        ({"dtype": "float16"}, ValueError, "dtype is 'float16': expected one of float32, float64"),
        ({"dtype": None}, ValueError, "dtype is 'None'"),
        ({"dtype": "single precision"}, ValueError, "dtype is 'single precision'"),
    ],
)
def test_network_checks_its_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        st.Network(**{"n_in": 4, "layers": [st.Dense(1)]} | arguments)


EMBEDDINGS = [st.PeriodicEmbedding(), st.PeriodicEmbedding(3, 2, "identity", 0.5, np.array([7, 0]))]


@pytest.mark.parametrize("layer", [*LAYERS, st.Dropout(0.25), *EMBEDDINGS], ids=lambda layer: type(layer).__name__)
def test_layer_survives_repr_and_json(layer: Layer) -> None:
    assert eval(repr(layer), vars(st)) == layer
    assert layers_from_json([layer.to_dict()]) == [layer]


def test_layers_are_values() -> None:
    assert st.Dense(3, "relu") == st.Dense(np.int64(3), "relu") != st.Dense(3)
    assert st.Dense(1, init=[[1.0]]) == st.Dense(1, init=np.ones((1, 1))) != st.Dense(1, init=[[2.0]])
    assert st.Dense(3) != st.Dropout(0.5)
    assert st.PeriodicEmbedding(columns=range(2)) == st.PeriodicEmbedding(columns=(0, 1)) != st.PeriodicEmbedding()
    assert len({st.Dense(3), st.Dense(3), st.BatchNorm(), *EMBEDDINGS, *EMBEDDINGS}) == 4
    with pytest.raises(FrozenInstanceError):
        st.Dropout(0.5).p = 0.6  # type: ignore[misc]


def test_reprs_say_what_is_not_the_default() -> None:
    assert repr(st.Dense(3)) == "Dense(3)"
    assert repr(st.Dense(3, "relu", bias=False)) == "Dense(3, activation='relu', bias=False)"
    assert repr(st.Dense(2, init=np.ones((5, 2)))) == "Dense(2, init=<array (5, 2)>)"
    assert repr(st.Residual([st.BatchNorm(), st.Dropout(0.1)])) == "Residual([BatchNorm(), Dropout(0.1)])"
    assert repr(st.PeriodicEmbedding(columns=np.array([1]))) == "PeriodicEmbedding(columns=(1,))"


# --- First weights ---

HE, GLOROT = np.sqrt(6 / 200), np.sqrt(6 / (200 + 300))


@pytest.mark.parametrize(
    ("activation", "bound"),
    [(name, HE) for name in ("relu", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus")]
    + [(name, GLOROT) for name in ("identity", "sigmoid", "tanh")],
)
def test_auto_init_follows_the_activation(activation: str, bound: float) -> None:
    weight = st.Network(200, [st.Dense(300, activation)]).parameters["0.weight"]
    assert 0.999 * bound < np.abs(weight).max() <= bound
    assert abs(weight.mean()) < 0.01 * bound
    assert abs(weight.std() / (bound / np.sqrt(3)) - 1) < 0.01


def test_auto_init_of_selu_is_lecun_normal() -> None:
    weight = st.Network(200, [st.Dense(300, "selu")]).parameters["0.weight"]
    assert abs(weight.std() / np.sqrt(1 / 200) - 1) < 0.01
    assert np.abs(weight).max() > 3.5 * np.sqrt(1 / 200)  # not truncated


@pytest.mark.parametrize(
    ("following", "bound"),
    [
        ([st.Activation("relu")], HE),
        ([st.BatchNorm(), st.Dropout(0.5), st.Activation("relu")], HE),
        ([st.Activation("identity"), st.Activation("gelu")], HE),
        ([st.BatchNorm(), st.Activation("tanh"), st.Activation("relu")], GLOROT),
        ([st.Dense(300, "relu")], GLOROT),
        ([st.Residual([st.Dense(300)]), st.Activation("relu")], GLOROT),
        ([], GLOROT),
    ],
)
def test_auto_init_looks_ahead_to_the_next_activation(following: list[Layer], bound: float) -> None:
    weight = st.Network(200, [st.Dense(300), *following]).parameters["0.weight"]
    assert 0.999 * bound < np.abs(weight).max() <= bound


def test_biases_start_at_zero_and_given_weights_are_used() -> None:
    given = normal(1, (4, 3))
    net = st.Network(4, [st.Dense(3, "relu", init=given), st.Dense(2, init="zeros")])
    assert np.array_equal(net.parameters["0.weight"], given.astype(np.float32))
    assert not any(net.parameters[name].any() for name in ("0.bias", "1.weight", "1.bias"))


def test_embeddings_begin_with_normal_frequencies_and_uniform_maps() -> None:
    net = st.Network(30, [st.PeriodicEmbedding(200, 5, sigma=0.3, columns=range(25))])
    frequency, weight = net.parameters["0.frequency"], net.parameters["0.weight"]
    assert frequency.shape == (25, 200) and weight.shape == (25 * 401, 5)
    assert abs(frequency.std() / 0.3 - 1) < 0.03 and abs(frequency.mean()) < 0.02
    assert np.abs(frequency).max() > 3 * 0.3
    bound = 1 / np.sqrt(400)
    assert 0.999 * bound < np.abs(weight).max() <= bound
    assert abs(weight.std() / (bound / np.sqrt(3)) - 1) < 0.01


def test_seed_decides_the_weights() -> None:
    a, b, c = (st.Network(4, LAYERS, seed=seed) for seed in (5, 5, 6))
    assert same_state(a, b)
    assert not np.array_equal(a.parameters["0.weight"], c.parameters["0.weight"])


# --- Computing ---


def test_dense_is_x_times_weight_plus_bias(dtype: str) -> None:
    net = st.Network(3, [st.Dense(2)], dtype=dtype)
    net.set_parameters({"0.weight": [[1, 2], [3, 4], [5, 6]], "0.bias": [10, 20]})
    y = net.predict([[1, 0, 2]])
    assert y.dtype == dtype and net.dtype == dtype
    assert y.tolist() == [[21, 34]]


def test_backward_fills_gradients_and_returns_the_inputs(dtype: str) -> None:
    net = st.Network(3, [st.Dense(2)], dtype=dtype)
    weight = np.array([[1, 2], [3, 4], [5, 6]])
    net.set_parameters({"0.weight": weight})
    x, dy = np.array([[1, 2, 3], [4, 5, 6]]), np.array([[1, 0], [-1, 2]])
    net.forward(x)
    assert np.array_equal(net.backward(dy), dy @ weight.T)
    assert np.array_equal(net.gradients["0.weight"], x.T @ dy)
    assert np.array_equal(net.gradients["0.bias"], dy.sum(axis=0))
    assert net.gradients.keys() == net.parameters.keys()


def test_backward_needs_forward_and_its_shape() -> None:
    net = st.Network(3, [st.Dense(2)])
    with pytest.raises(ValueError, match="forward"):
        net.backward(np.ones((1, 2)))
    net.forward(np.ones((5, 3)))
    with pytest.raises(ValueError, match="dy"):
        net.backward(np.ones((4, 2)))


def test_training_mode_differs_from_inference() -> None:
    net = st.Network(50, [st.Dropout(0.5)])
    x = np.ones((40, 50), np.float32)
    assert np.array_equal(net.predict(x), x)
    dropped = net.forward(x)
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert abs((dropped == 0).mean() - 0.5) < 0.05


def test_residual_adds_its_input() -> None:
    net = st.Network(3, [st.Residual([st.Dense(3, init=np.diag([1.0, 2.0, 3.0]))])])
    assert net.predict([[1, 1, 1]]).tolist() == [[2, 3, 4]]


def test_an_embedding_stands_beside_its_columns(dtype: str, isa: str) -> None:
    net = st.Network(3, [st.PeriodicEmbedding(2, 1, "relu", columns=[2, 0])], dtype=dtype)
    maps = [[1], [10], [100], [1000], [-0.5], [-1], [-2], [-4], [-8], [16]]  # of column 2, then of column 0
    net.set_parameters({"0.frequency": [[1, 0.5], [2, 0.25]], "0.weight": maps})
    y = net.predict([[1, 7, 0.25], [-2, 7, 1]])  # whole quarters of a turn, or an eighth
    eighth = np.sqrt(0.5)
    expected = [
        [1, 7, 0.25, 10 * eighth + 100 + 1000 * eighth - 0.5, 16 - 1 - 8],
        [-2, 7, 1, 1 - 10 - 0.5, 16 - 1 + 2],
    ]
    expected = np.maximum(expected, [[-np.inf] * 3 + [0] * 2])
    np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("size", [3e38, -3e38])
def test_turns_beyond_all_numbers_are_a_divergence(size: float) -> None:
    """Their sine is not a number."""
    net = st.Network(2, [st.PeriodicEmbedding(2, 2, columns=[1]), st.Dense(1)])
    net.set_parameters({"0.frequency": [[1, 4]]})
    assert np.isnan(net.predict([[0, size]])).all() and np.isfinite(net.predict([[size, 0]])).all()
    before = net.parameters
    with pytest.raises(st.DivergedError):
        st.Trainer(net, "mse").step([[0, size]], [[0]])
    assert all(np.array_equal(value, before[name]) for name, value in net.parameters.items())


def test_names_and_shapes() -> None:
    net = every_kind()
    assert {name: value.shape for name, value in net.parameters.items()} == {
        "0.weight": (4, 6),
        "1.weight": (6,),
        "1.bias": (6,),
        "3.0.weight": (6, 6),
        "3.0.bias": (6,),
        "3.1.weight": (6,),
        "3.1.bias": (6,),
        "3.3.0.weight": (6, 6),
        "3.3.0.bias": (6,),
        "4.0.weight": (2 * 7, 2),
        "4.0.frequency": (2, 3),
        "4.2.scale": (1, 10),
        "4.3.weight": (10, 6),
        "4.3.bias": (6,),
        "5.weight": (6, 2),
        "5.bias": (2,),
    }
    assert {name: value.shape for name, value in net.buffers.items()} == {
        "1.running_mean": (6,),
        "1.running_var": (6,),
    }
    assert net.n_parameters == sum(value.size for value in net.parameters.values())
    assert (net.n_in, net.n_out, net.seed, net.layers) == (4, 2, 3, tuple(LAYERS))


def test_parameters_are_read_only_copies() -> None:
    net = every_kind()
    before = net.parameters["0.weight"]
    with pytest.raises(ValueError, match="read-only"):
        before[0, 0] = 1
    net.set_parameters({"0.weight": np.zeros((4, 6))})
    assert before.any() and not net.parameters["0.weight"].any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"5.bias": [1, 2], "5.wieght": np.ones((6, 2))}, "5.wieght"),
        ({"5.bias": [1, 2], "5.weight": np.ones((2, 6))}, r"5.weight.*\(2, 6\).*\(6, 2\)"),
        ({"5.bias": [1, 2], "1.running_var": [1, 1, 1, 1, 1, np.inf]}, "1.running_var"),
        ({"0.weight": np.ones((4, 6)), "5.bias": [1e39, 0]}, "5.bias"),
    ],
)
def test_set_parameters_refuses_all_or_nothing(values: dict[str, Any], message: str) -> None:
    net = every_kind()
    before = net.copy()
    with pytest.raises(ValueError, match=message):
        net.set_parameters(values)
    assert same_state(net, before)


def test_set_parameters_wants_a_mapping() -> None:
    with pytest.raises(TypeError, match="values is a list: expected a mapping"):
        every_kind().set_parameters([1])  # type: ignore[arg-type]


def test_predict_writes_into_out() -> None:
    net, x, out = every_kind(), normal(1, (5, 4)), np.empty((5, 2), np.float32)
    assert net.predict(x, out=out) is out
    assert np.array_equal(out, net.predict(x))
    with pytest.raises(ValueError, match="out"):
        net.predict(x, out=np.empty((5, 3), np.float32))
    with pytest.raises((TypeError, ValueError), match="out"):
        net.predict(x, out=np.empty((5, 2), np.float64))


def test_no_rows_give_no_rows() -> None:
    y = every_kind().predict(np.empty((0, 4)))
    assert y.shape == (0, 2) and y.dtype == np.float32


def python_calls(function: Any, *arguments: Any) -> list[str]:
    """The Python functions entered while calling `function`."""
    calls: list[str] = []

    def watch(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_name)

    sys.setprofile(watch)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return calls


def test_hot_calls_enter_no_python() -> None:
    net = every_kind()
    x, y = normal(0, (3, 4), np.float32), normal(1, (3, 2), np.float32)
    step = st.Trainer(net, "mse").step
    calls = python_calls(net.predict, x) + python_calls(net.forward, x) + python_calls(net.backward, y)
    assert calls + python_calls(step, x, y) == []
    assert python_calls(every_kind) != []
    assert "inference mode" in (st.Network.predict.__doc__ or "")


def test_subclass_may_override_predict() -> None:
    class Doubled(st.Network):
        def predict(self, x: Any, out: Any = None) -> Any:
            return 2 * super().predict(x)

    x = normal(0, (3, 4))
    net = Doubled(4, LAYERS, seed=3)
    assert np.array_equal(net.predict(x), 2 * st.Network(4, LAYERS, seed=3).predict(x))
    assert isinstance(net.copy(), Doubled)


# --- Copies, pickles, files ---


@pytest.mark.parametrize(
    "duplicate",
    [st.Network.copy, copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))],
    ids=["copy", "copy.copy", "copy.deepcopy", "pickle"],
)
def test_copies_are_equal_and_independent(duplicate: Any, dtype: str) -> None:
    net = every_kind(dtype)
    net.preprocessing = {"mean": [1.0]}
    twin = duplicate(net)
    assert same_state(net, twin) and repr(net) == repr(twin) and twin.preprocessing == {"mean": [1.0]}
    x = normal(2, (7, 4))
    assert np.array_equal(net.predict(x), twin.predict(x))
    twin.set_parameters({"5.bias": [7, 7]})
    assert not np.array_equal(net.predict(x), twin.predict(x))


def test_pickle_names_nothing_but_numpy_and_this_package() -> None:
    class Strict(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            assert module.split(".")[0] in ("numpy", "steepest") or (module, name) == ("builtins", "getattr")
            return super().find_class(module, name)

    net = every_kind()
    assert same_state(Strict(io.BytesIO(pickle.dumps(net))).load(), net)


def test_save_and_load(tmp_path: Path, dtype: str) -> None:
    net = every_kind(dtype)
    net.preprocessing = {"columns": ["a", "ü"], "scale": 0.1}
    net.save(tmp_path / "net.safetensors")
    again = st.load(str(tmp_path / "net.safetensors"))
    assert same_state(net, again) and repr(net) == repr(again) and again.preprocessing == net.preprocessing
    x = normal(2, (7, 4))
    assert np.array_equal(net.predict(x), again.predict(x))


@pytest.mark.parametrize("columns", [None, [2, 0]])
def test_embeddings_survive_a_file(tmp_path: Path, dtype: str, columns: Any) -> None:
    net = st.Network(3, [st.PeriodicEmbedding(5, 2, "identity", 0.1, columns), st.Dense(2)], seed=1, dtype=dtype)
    net.freeze("0")
    net.save(tmp_path / "net")
    again = st.load(tmp_path / "net")
    assert again.layers == net.layers and again.lr_multipliers == {"0": 0.0} and same_state(net, again)
    x = normal(2, (7, 3))
    assert np.array_equal(net.predict(x), again.predict(x))


def test_given_weights_are_in_the_file_but_not_in_the_architecture(tmp_path: Path) -> None:
    net = st.Network(2, [st.Dense(1, init=[[3.0], [4.0]])])
    net.save(tmp_path / "net")
    again = st.load(tmp_path / "net")
    assert again.predict([[1, 1]]).tolist() == [[7]]
    assert again.layers == (st.Dense(1),)


def doctored(path: Path, change: Any) -> None:
    """Write a model file with its tensors and metadata changed."""
    net = st.Network(4, [st.Dense(3, "relu"), st.Dense(1)])
    net.save(path)
    tensors, metadata = files.read_model(path)
    change(tensors, metadata)
    files.write_model(path, tensors, metadata)


def embeds(tensors: dict[str, Any], metadata: dict[str, Any], **options: Any) -> None:
    """Claim that the first layer is an embedding."""
    del tensors["0.bias"]
    metadata["architecture"]["layers"][0] = {"type": "PeriodicEmbedding"} | options


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: t.pop("1.bias"), "tensor 1.bias is missing"),
        (lambda t, m: t.update({"2.weight": np.ones(3)}), r"2.weight is \(3,\): the layers expect no such tensor"),
        (lambda t, m: t.update({"0.bias": np.ones(4)}), r"0.bias is \(4,\): the layers expect \(3,\)"),
        (lambda t, m: t.update({"0.bias": np.array([1, np.nan, 1])}), "0.bias"),
        (
            lambda t, m: m["architecture"]["layers"][0].update(n_out=10**12),
            r"0.bias is \(3,\): the layers expect \(1000000000000,\)",
        ),
        (lambda t, m: m["architecture"].update(n_in=10**15), "0.weight"),
        (lambda t, m: m["architecture"].update(n_in="4"), "n_in is '4'"),
        (lambda t, m: m["architecture"].update(dtype="object"), "dtype is 'object'"),
        (lambda t, m: m["architecture"].pop("seed"), "no 'seed' in the metadata"),
        (lambda t, m: m.pop("architecture"), "no 'architecture' in the metadata"),
        (lambda t, m: m.update(architecture=7), "not subscriptable"),
        (lambda t, m: m["architecture"].update(layers={}), "expected a list of layers"),
        (lambda t, m: m["architecture"]["layers"].append("Dropout"), "layer is 'Dropout'"),
        (lambda t, m: m["architecture"]["layers"].append({"type": "Lambda"}), "layer type is 'Lambda'"),
        (lambda t, m: m["architecture"]["layers"].append({"type": "Dropout"}), "layer Dropout: .*'p'"),
        (lambda t, m: m["architecture"]["layers"].append({"type": "LayerNorm", "code": ""}), "layer LayerNorm: .*code"),
        (lambda t, m: embeds(t, m), r"tensor 0.frequency is missing: the layers expect \(4, 24\)"),
        (lambda t, m: embeds(t, m, columns=[4]), "columns has 4: expected less than the 4 columns before the layer"),
        (lambda t, m: embeds(t, m, columns={}), r"columns is \{\}: expected a list of column numbers"),
        (lambda t, m: embeds(t, m, columns=["0"]), r"columns\[0\] is '0'"),
        (lambda t, m: embeds(t, m, sigma=-1), "sigma is -1"),
        (lambda t, m: embeds(t, m, n_frequencies=2**62, size=2**62), "0.frequency is missing: .*4611686018427387904"),
        (lambda t, m: (m["architecture"].update(n_in=10**15), embeds(t, m)), r"expect \(1000000000000000, 24\)"),
        (lambda t, m: m.update(preprocessing=[1]), "preprocessing is list"),
        (lambda t, m: m.update(format=2, version="9.0"), "model format 2, written by steepest '9.0'"),
    ],
)
def test_load_refuses_what_does_not_fit(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "net.safetensors"
    doctored(path, change)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}.*({message})"):
        st.load(path)


def test_load_bounds_the_depth(tmp_path: Path) -> None:
    def nest(tensors: Any, metadata: Any) -> None:
        layer = {"type": "Dropout", "p": 0.5}
        for _ in range(65):
            layer = {"type": "Residual", "layers": [layer]}
        metadata["architecture"]["layers"].append(layer)

    doctored(tmp_path / "net", nest)
    with pytest.raises(ValueError, match="residual blocks deep"):
        st.load(tmp_path / "net")


# --- Texts ---


def test_repr_makes_the_same_network() -> None:
    net = every_kind("float64")
    assert same_state(eval(repr(net), vars(st)), st.Network(4, LAYERS, seed=3, dtype="float64"))
    assert repr(st.Network(2, [st.Dense(1)])) == "Network(2, [Dense(1)], seed=0)"


def test_summary() -> None:
    net = st.Network(784, [st.Dense(128, "relu"), st.Dropout(0.2), st.Residual([st.LayerNorm()]), st.Dense(10)])
    lines = [line.split() for line in str(net).splitlines()]
    assert str(net).startswith("Network: 784 -> 10, float32\n")
    assert lines[1] == ["layer", "output", "activation", "parameters", "bytes", "FLOPs", "a", "row"]
    assert lines[3] == ["0", "Dense", "128", "relu", "100,480", "401,920", "200,704"]
    assert lines[4] == ["1", "Dropout", "128", "0", "0", "0"]
    assert lines[6] == ["2.0", "LayerNorm", "128", "256", "1,024", "0"]
    assert lines[7] == ["3", "Dense", "10", "identity", "1,290", "5,160", "2,560"]
    assert lines[-1] == ["total", "10", "102,026", "408,104", "203,264"]
    assert len({len(line) for line in str(net).splitlines()[1:]}) == 1


def test_summary_of_embeddings() -> None:
    net = st.Network(5, [st.PeriodicEmbedding(4, 3, columns=[1, 2]), st.Dense(2)])
    lines = [line.split() for line in str(net).splitlines()]
    # two maps from nine features to three numbers, and eight sines and cosines
    assert lines[3] == ["0", "PeriodicEmbedding", "11", "relu", "62", "248", str(2 * 54 + 20 * 8)]
    assert lines[-1] == ["total", "2", "86", "344", str(268 + 44)]
