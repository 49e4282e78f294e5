"""Model files: damage is found, what can be saved can be loaded, and no file costs more than its size."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal, state_of
from steepest import files
from steepest.layers import Layer

# --- Damage ---


def network() -> st.Network:
    """A network with buffers, and a number in its metadata."""
    net = st.Network(3, [st.Dense(4, "relu"), st.BatchNorm(), st.Dense(2)], seed=5)
    net.preprocessing = {"mean": 0.25}
    return net


def trainer() -> st.Trainer:
    """A trainer with a state."""
    result = st.Trainer(network(), "mse", st.Adam(0.01), seed=1)
    result.step(normal(0, (8, 3)), normal(1, (8, 2)))
    return result


def estimator() -> st.MLPClassifier:
    """An estimator of a few rows."""
    return st.MLPClassifier(hidden_layer_sizes=(3,), max_iter=2, random_state=0).fit(normal(0, (30, 2)), [0, 1, 2] * 10)


SAVED: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "network": (network, st.load),
    "trainer": (trainer, st.Trainer.resume),
    "estimator": (estimator, st.load),
}


def contents(model: Any) -> Any:
    """All that a file says of a model."""
    if isinstance(model, st.Trainer):
        return state_of(model), model._options(), model.optimizer, contents(model.network)
    if isinstance(model, st.Network):
        tensors = {name: (tensor.dtype, tensor.tolist()) for name, tensor in model._tensors().items()}
        return model._architecture(), tensors, model.preprocessing
    fit = model.get_params(), model.classes_.tolist(), model.n_features_in_, model.n_iter_, model.t_, model.loss_
    histories = [{name: history[name].tolist() for name in history} for history in model.histories_]
    return fit, model.recipe_, histories, [contents(net) for net in model.networks_]


@pytest.mark.parametrize("kind", SAVED)
def test_r14_no_flipped_bit_goes_unseen(kind: str, tmp_path: Path) -> None:
    make, read = SAVED[kind]
    path = tmp_path / "model"
    make().save(path)
    data, expected = path.read_bytes(), contents(read(path))
    start = 8 + int.from_bytes(data[:8], "little")
    # Every bit of the numbers, and one of each byte before them.
    bits = [*(8 * place + place % 8 for place in range(start)), *range(8 * start, 8 * len(data))]
    for bit in bits[:: max(len(bits) // 1500, 1)]:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(damaged))
        try:
            found = read(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
        else:  # blanks that fill the header up, or the name that the checksum goes by
            assert contents(found) == expected
    with pytest.raises(ValueError, match="damaged: its checksum is [0-9a-f]{8}, and was '[0-9a-f]{8}'"):
        damaged = bytearray(data)
        damaged[-1] ^= 1
        path.write_bytes(bytes(damaged))
        read(path)


def test_r14_tensors_that_changed_places_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "model"
    files.write_model(path, {"a": np.zeros(3), "b": np.ones(3)}, {})
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"a"', b'"c"').replace(b'"b"', b'"a"').replace(b'"c"', b'"b"'))
    with pytest.raises(ValueError, match="damaged"):
        files.read_model(path)


def test_r14_arrays_of_every_kind_have_a_checksum(tmp_path: Path) -> None:
    path = tmp_path / "model"
    arrays = {
        "swapped": np.arange(3, dtype=">f4"), "strided": np.arange(12.0).reshape(3, 4)[:, ::2], "flag": np.array(True),
        "empty": np.zeros((0, 3)), "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)), "half": np.float16(1.5),
    }  # fmt: skip
    files.write_model(path, arrays, {"x": [0.1, 1e300, 5, -0.0, "\ud800", None]})
    found, metadata = files.read_model(path)
    assert repr(metadata) == repr({"x": [0.1, 1e300, 5, -0.0, "\ud800", None]})
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(found[name], array) and found[name].shape == array.shape
    with pytest.raises(ValueError, match="metadata has the key 'crc32'"):
        files.write_model(path, {}, {"crc32": "mine"})


def test_r14_a_file_without_a_checksum_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model"
    network().save(path)
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    metadata = json.loads(header["__metadata__"]["steepest"])
    del metadata["crc32"]
    header["__metadata__"]["steepest"] = json.dumps(metadata)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    assert contents(st.load(path)) == contents(network())


# --- What can be saved can be loaded ---


def nested(blocks: int) -> Layer:
    """Residual blocks within one another."""
    layer: Layer = st.Dropout(0.5)
    for _ in range(blocks):
        layer = st.Residual([layer, st.Activation("tanh")])
    return layer


def test_r13_the_deepest_network_is_saved_loaded_copied_and_pickled(tmp_path: Path) -> None:
    net = st.Network(2, [st.Dense(2), nested(64)], seed=1)
    net.save(tmp_path / "model")
    st.Trainer(net, "mse").save(tmp_path / "run")
    same = [st.load(tmp_path / "model"), st.Trainer.resume(tmp_path / "run").network, net.copy(), copy.deepcopy(net)]
    for other in (*same, pickle.loads(pickle.dumps(net))):
        assert contents(other) == contents(net)
        assert np.array_equal(other.predict([[1, 2]]), net.predict([[1, 2]]))  # type: ignore[union-attr]
    assert str(net) and repr(net)


def test_r13_a_deeper_one_is_not_made() -> None:
    for blocks in (65, 1000):
        with pytest.raises(ValueError, match="layers has 65 residual blocks within one another: expected at most 64"):
            st.Network(2, [nested(blocks)])
    assert st.Network(2, [nested(64), nested(64)]).n_out == 2
    with pytest.raises(TypeError, match=r"layers\[0\] is \[\[Dense\(2\)\]\]: expected a layer"):
        st.Network(2, [[[st.Dense(2)]]])  # type: ignore[list-item]


def within(depth: int, key: bool) -> Any:
    """JSON of that depth."""
    value: Any = 0
    for _ in range(depth):
        value = {"a": value} if key else [value]
    return value


@pytest.mark.parametrize("key", [True, False], ids=["objects", "lists"])
def test_r13_metadata_has_one_depth_for_writing_and_reading(key: bool, tmp_path: Path) -> None:
    net, path = network(), tmp_path / "model"
    net.preprocessing = {"deep": within(190, key)}
    net.save(path)
    assert st.load(path).preprocessing == net.preprocessing  # type: ignore[union-attr]
    before = path.read_bytes()
    for depth in (200, 500, 100_000):
        net.preprocessing = {"deep": within(depth, key)}
        with pytest.raises(ValueError, match="metadata is too deep: expected at most 200 objects and lists"):
            net.save(path)
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("preprocessing", "error", "message"),
    [
        ({"a": {1: 2}}, TypeError, "metadata has the key 1: expected text"),
        ({None: 2}, TypeError, "metadata has the key None: expected text"),
        ([1], TypeError, "preprocessing is a list: expected a dict or None"),
        ("text", TypeError, "preprocessing is a str: expected a dict or None"),
        ({"a": float("inf")}, ValueError, "not JSON compliant"),
    ],
)
def test_r13_what_would_come_back_otherwise_is_not_saved(
    preprocessing: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    net, path = network(), tmp_path / "model"
    net.save(path)
    before = path.read_bytes()
    net.preprocessing = preprocessing
    for save in (net.save, st.Trainer(net, "mse").save):
        with pytest.raises(error, match=message):
            save(path)
    assert path.read_bytes() == before


class OwnRate(st.schedules.exponential):
    """A schedule of the user's own."""


def test_r13_optimizers_of_ones_own_are_not_described() -> None:
    class OwnRule(st.SGD):
        pass

    with pytest.raises(ValueError, match="cannot save the optimizer .*: only"):
        OwnRule(0.1).to_dict()


def test_r13_schedules_of_ones_own_are_not_saved(tmp_path: Path) -> None:
    own = st.Trainer(network(), "mse", st.SGD(OwnRate(0.1, factor=0.9)))
    with pytest.raises(ValueError, match="cannot save .*OwnRate.*: only"):
        own.save(tmp_path / "run")
    with pytest.raises(ValueError, match="cannot save"):
        own.fit(normal(0, (8, 3)), normal(1, (8, 2)), callbacks=[st.Checkpoint(tmp_path / "run")])
    assert own.n_steps == 0
    assert not list(tmp_path.iterdir())


def test_r13_parameters_too_deep_for_a_file(tmp_path: Path) -> None:
    model = estimator()
    for depth in (300, 100_000):
        model.set_params(hidden_layer_sizes=within(depth, key=False))
        with pytest.raises(ValueError, match="too deep|too many lists within one another"):
            model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_r13_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    net = st.Network(1, [st.Dense(1)], seed=0)
    own = st.Trainer(net, "mse", st.SGD(1e30))
    own.step([[1e10]], [1.0])  # the loss was finite before the update
    assert not np.isfinite(net.parameters["0.weight"]).all()
    for save in (net.save, own.save):
        with pytest.raises(ValueError, match=r"0\.weight has a number that is not finite"):
            save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


# --- Hostile files ---


def written(path: Path, layers: list[Any], **more: Any) -> Path:
    """A file of layers without tensors."""
    architecture = {"n_in": 1, "dtype": "float32", "seed": 0, "layers": layers} | more
    files.write_model(path, {}, {"format": 1, "version": "0", "architecture": architecture})
    return path


DROPOUT = {"type": "Dropout", "p": 0.5}


def test_r15_the_number_of_layers_is_bounded_before_any_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert st.load(written(tmp_path / "model", [DROPOUT] * 10_000)).n_in == 1  # type: ignore[union-attr]
    made: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(st.Dropout, "__post_init__", lambda self: made.append(1))
        for layers in ([DROPOUT] * 30_000, [{"type": "Residual", "layers": [DROPOUT] * 30_000}]):
            with pytest.raises(ValueError, match="model: .*expected a list of layers, at most 10000"):
                st.load(written(tmp_path / "model", layers))
    assert not made
    blocks = [{"type": "Residual", "layers": [DROPOUT] * 6_000}] * 2
    with pytest.raises(ValueError, match="12002 layers, with those in residual blocks: expected at most 10000"):
        st.load(written(tmp_path / "model", blocks))
    with pytest.raises(ValueError, match="layers has 10001 layers"):
        st.Network(1, [st.Dropout(0.5)] * 10_001)


def chain(n: int) -> st.Network:
    """A network of that many layers, most with parameters."""
    return st.Network(1, [st.LayerNorm(), st.Activation("tanh"), st.Dense(1, init="zeros"), st.Dropout(0.1)] * (n // 4))


def calls(function: Callable[[], object]) -> int:
    """The number of calls, of Python's functions and of others, that a function takes."""
    found = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize("deep", [False, True])
def test_r15_calls_grow_with_the_layers_not_with_their_square(deep: bool, tmp_path: Path) -> None:
    def work(net: st.Network) -> None:
        names = net._trained_layers()
        net.set_lr_multipliers(dict.fromkeys(names, 0.5))
        net.save(tmp_path / "model")
        st.load(tmp_path / "model")
        st.Trainer(net, "mse", layer_rates=dict.fromkeys(names, 1.0)).save(tmp_path / "run")
        st.Trainer.resume(tmp_path / "run")

    def network_of(n: int) -> st.Network:
        net = chain(n).layers
        for _ in range(20 if deep else 0):
            net = (st.Residual(net),)
        return st.Network(1, net)

    small, large = (calls(lambda n=n: work(network_of(n))) for n in (100, 1600))  # type: ignore[misc]
    assert large < 16 * small
