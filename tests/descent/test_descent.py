"""Contributions, sensitivity, slopes and surfaces, against NumPy written from their definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

import reference as ref
import steepest as st
from helpers import assert_within, normal, reference_of, relative_error, shaken, targets_for
from steepest import descent
from steepest.descent import _cost, _slope

PARAMETER = {"quantile": 0.8, "huber": 0.7}
BLOCK = [
    st.BatchNorm(0.3),
    st.Dense(5, "tanh"),
    st.Residual([st.LayerNorm(), st.Residual([st.Dense(5, "silu"), st.BatchNorm()]), st.Dense(5, bias=False)]),
    st.Dropout(0.4),
    st.Activation("softplus"),
    st.Dense(4),
]


def make(layers: list[Any] = BLOCK, dtype: str = "float64", rows: int = 30) -> tuple[st.Network, Any]:
    """A network with no special weights, whose normalizations have seen something, and rows."""
    net = shaken(st.Network(3, layers, seed=1, dtype=dtype), seed=5)
    x = normal(6, (rows, 3))
    for _ in range(3):
        net.forward(2 * x + 1)
    return net, x


def trainer_of(net: st.Network, loss: str) -> st.Trainer:
    """A trainer with constants that are not the defaults."""
    return st.Trainer(net, loss, quantile=PARAMETER["quantile"], delta=PARAMETER["huber"])


def truth(net: st.Network, x: Any, y: Any, loss: str, weight: Any = None) -> tuple[float, dict[str, Any]]:
    """The cost at inference and its gradients, by the reference."""
    twin = reference_of(net)
    cost, dy = ref.mean_loss(loss, twin.predict(np.asarray(x, np.float64)), y, weight, PARAMETER.get(loss, 1.0))
    twin.backward(dy)
    return cost, twin.gradients


def cost_at(net: st.Network, x: Any, y: Any, loss: str, changes: dict[str, Any]) -> float:
    """The cost at inference with some parameters replaced, by the reference."""
    twin = reference_of(net)
    twin.set_parameters(changes)
    return ref.mean_loss(loss, twin.predict(np.asarray(x, np.float64)), y, None, PARAMETER.get(loss, 1.0))[0]


# --- contributions ---


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("loss", ref.LOSSES)
def test_contributions(loss: str, weighted: bool) -> None:
    net, x = make()
    before = net.parameters | net.buffers
    y, weight = targets_for(loss, 7, 30, 4), np.linspace(0, 2, 30) if weighted else None
    cost, gradients = truth(net, x, y, loss, weight)
    found = descent.contributions(net, x, y, trainer_of(net, loss), weight)
    assert abs(found.cost - cost) < 1e-14 * max(1, abs(cost))
    assert list(found.gradients) == list(net.parameters)
    for name, gradient in gradients.items():
        assert relative_error(found.gradients[name], gradient) < 1e-12, name
    assert [layer.name for layer in found.layers] == ["0", "1", "2.0", "2.1.0", "2.1.1", "2.2", "5"]
    squares = {layer.name: 0.0 for layer in found.layers}
    for name, gradient in gradients.items():
        squares[name.rpartition(".")[0]] += float(np.sum(gradient**2))
    for layer in found.layers:
        assert layer.share == pytest.approx(squares[layer.name] / sum(squares.values()), rel=1e-12)
        assert layer.gradient_norm == pytest.approx(squares[layer.name] ** 0.5, rel=1e-12)
    block = found.layers[3]
    own = [net.parameters[f"2.1.0.{key}"] for key in ("weight", "bias")]
    assert (block.kind, block.n_parameters) == ("Dense", 30)
    assert block.weight_norm == pytest.approx(np.sqrt(sum(np.sum(w**2) for w in own)), rel=1e-12)
    assert all(np.array_equal(value, before[name]) for name, value in (net.parameters | net.buffers).items())


def test_contributions_of_float32_are_those_of_its_very_weights() -> None:
    net, x = make(dtype="float32")
    y = targets_for("mse", 7, 30, 4)
    for name, gradient in truth(net, x, y, "mse")[1].items():
        assert relative_error(descent.contributions(net, x, y, "mse").gradients[name], gradient) < 1e-12


def test_contributions_behind_lines() -> None:
    """Whose points are buffers, beside those of normalizations."""
    lines, rest = [st.PiecewiseLinear(4, columns=[2])], [st.BatchNorm(), st.Dense(5, "tanh"), st.Dense(4)]
    net, x = make([*lines, *rest])
    points = {"0.points": [[-2], [-0.5], [0.1], [2]], "0.values": [[-1], [0], [2], [3]]}
    net.set_parameters(points)
    plain = st.Network(3, rest, dtype="float64")
    names = {name: f"{int(name[0]) + 1}{name[1:]}" for name in (plain.parameters | plain.buffers)}
    plain.set_parameters({name: (net.parameters | net.buffers)[other] for name, other in names.items()})
    bent, y = x.copy(), targets_for("mse", 7, 30, 4)
    bent[:, 2] = np.interp(x[:, 2], *(np.ravel(values) for values in points.values()))
    found, expected = descent.contributions(net, x, y, "mse"), descent.contributions(plain, bent, y, "mse")
    assert found.cost == pytest.approx(expected.cost, rel=1e-13)
    for name, gradient in expected.gradients.items():
        assert relative_error(found.gradients[names[name]], gradient) < 1e-11, name
    assert descent.slope(net, x, y, "mse", "2.weight", (1, 1)).cost == pytest.approx(found.cost, rel=1e-13)


def test_a_small_gradient_is_not_rounded_against_its_weight() -> None:
    net = st.Network(1, [st.Dense(1, init=[[1.0]])], dtype="float64")
    x, y = np.array([[1.0]]), np.array([1.0 - 2.0**-40])
    found = descent.contributions(net, x, y, "mse")
    assert found.gradients["0.weight"].tolist() == [[2.0**-39]]


def test_contributions_over_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = make()
    y, weight = targets_for("huber", 7, 30, 4), np.r_[np.zeros(14), np.linspace(0, 2, 16)]
    whole = descent.contributions(net, x, y, "huber", weight)
    monkeypatch.setattr(_cost, "CHUNK", 7)  # the first two without any weight
    parts = descent.contributions(net, x, y, "huber", weight)
    assert parts.cost == pytest.approx(whole.cost, rel=1e-14)
    for name, gradient in whole.gradients.items():
        assert relative_error(parts.gradients[name], gradient) < 1e-13


@pytest.mark.parametrize("rows", [30, 7], ids=["the first pass", "a later one"])
def test_a_pass_that_overflowed_leaves_nothing_behind(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cost, "CHUNK", rows)
    net, x = make([st.Dense(4, "tanh"), st.Dense(4)])
    y, twin = targets_for("mse", 7, 30, 4), _cost.InferenceTwin(net)
    huge = y.copy()
    huge[20] = 1e200
    with pytest.raises(st.DivergedError):
        twin.gradients(_cost.Cost("mse"), x, huge)
    cost, gradients = twin.gradients(_cost.Cost("mse"), x, y)
    expected = truth(net, x, y, "mse")
    assert cost == pytest.approx(expected[0], rel=1e-13)
    for name, gradient in expected[1].items():
        assert relative_error(gradients[name], gradient) < 1e-12, name


def test_a_frozen_layer_contributes_too() -> None:
    net, x = make()
    y = targets_for("mse", 7, 30, 4)
    free = descent.contributions(net, x, y, "mse").gradients
    net.freeze("1", "5")
    frozen = descent.contributions(net, x, y, "mse").gradients
    assert all(np.array_equal(frozen[name], gradient) for name, gradient in free.items())


def test_largest_weight_gradients() -> None:
    net, x = make([st.Dense(4, "tanh"), st.Dense(2)])
    y = targets_for("mse", 7, 30, 2)
    found = descent.contributions(net, x, y, "mse")
    largest = found.largest(1000)
    assert len(largest) == net.n_parameters
    assert sorted({(one.name, one.index) for one in largest}) == sorted((one.name, one.index) for one in largest)
    assert all(one.gradient == found.gradients[one.name][one.index] for one in largest)
    assert all(one.value == net.parameters[one.name][one.index] for one in largest)
    sizes = [abs(one.gradient) for one in largest]
    assert sizes == sorted(sizes, reverse=True)
    assert found.largest(3) == largest[:3]


def test_the_old_name_stands_for_the_same_class() -> None:
    assert descent.Knob is descent.WeightGradient
    assert repr(descent.Knob("0.bias", (1,), 2.0, 3.0)).startswith("WeightGradient(name='0.bias', index=(1,)")


def test_the_steepest_step_is_shared_as_said() -> None:
    """A short step down one layer's gradient changes the cost by its share of what a step of all layers does."""
    net, x = make([st.Dense(6, "tanh"), st.Dense(6, "tanh"), st.Dense(2)])
    y = targets_for("mse", 7, 30, 2)
    found = descent.contributions(net, x, y, "mse")

    def change(step: float, layer: str) -> float:
        moved = {n: net.parameters[n] - step * g for n, g in found.gradients.items() if n.startswith(layer)}
        return cost_at(net, x, y, "mse", moved) - found.cost

    def slope(layer: str) -> float:
        return (change(1e-5, layer) - change(-1e-5, layer)) / 2e-5

    for layer in found.layers:
        assert slope(f"{layer.name}.") / slope("") == pytest.approx(layer.share, rel=1e-6)


def test_contributions_in_words() -> None:
    net = st.Network(2, [st.Dense(2, init=[[1.0, 0.0], [0.0, 2.0]], bias=False)], dtype="float64")
    text = str(descent.contributions(net, [[1.0, 1.0]], [[0.0, 0.0]], "mse"))
    assert text.splitlines()[0] == "cost 2.5"
    assert text.splitlines()[2].split() == ["0", "Dense", "4", "3.162", "2.236", "100.0%"]


# --- sensitivity ---


def test_sensitivity() -> None:
    net, x = make()
    turn, draws = 0.02, 5
    found = descent.sensitivity(net, x, turn=turn, draws=draws, seed=3)
    twin, random = reference_of(net), np.random.default_rng(3)
    y = twin.predict(x)
    own = net.parameters
    for layer, moved in found.layers.items():
        squares = []
        for _ in range(draws):
            names = [name for name in own if name.rpartition(".")[0] == layer]
            signs = {name: 2.0 * random.integers(0, 2, own[name].shape) - 1 for name in names}
            twin.set_parameters({name: own[name] * (1 + turn * signs[name]) for name in names})
            squares.append(np.mean((twin.predict(x) - y) ** 2))
        twin.set_parameters(own)
        assert moved == pytest.approx(np.sqrt(np.mean(squares) / np.mean(y**2)), rel=1e-10), layer
    for column, moved in enumerate(found.features):
        shift = turn * x[:, column].std() * np.eye(3)[column]
        expected = np.sqrt(np.mean((twin.predict(x + shift) - y) ** 2) / np.mean(y**2))
        assert moved == pytest.approx(expected, rel=1e-9)


def test_sensitivity_has_the_expected_size() -> None:
    """For one dense layer without bias: the root of sum((turn w x)**2) over that of the outputs."""
    net = st.Network(50, [st.Dense(40, bias=False)], seed=2, dtype="float64")
    x = normal(1, (200, 50))
    expected = 0.01 * np.sqrt(np.mean(x**2 @ net.parameters["0.weight"] ** 2) / np.mean(net.predict(x) ** 2))
    assert descent.sensitivity(net, x, draws=20).layers["0"] == pytest.approx(expected, rel=0.02)


def test_sensitivity_of_what_does_not_move() -> None:
    net = st.Network(2, [st.Dense(3, init="zeros")], seed=2)
    found = descent.sensitivity(net, normal(1, (9, 2)))
    assert found.layers == {"0": 0.0}
    assert found.features.tolist() == [0.0, 0.0]
    net = st.Network(2, [st.Dense(3)], seed=2)
    x = np.stack([np.ones(9), np.arange(9)], axis=1)
    found = descent.sensitivity(net, x)
    assert found.features[0] == 0 < found.features[1]
    assert "column 1" in str(found).splitlines()[2]


# --- slope ---

PLACES = [
    ("0.weight", 1), ("0.bias", 2), ("1.weight", (2, 4)), ("1.bias", (0,)), ("2.0.weight", 3), ("2.0.bias", 1),
    ("2.1.0.weight", (4, 0)), ("2.1.0.bias", 2), ("2.1.1.weight", -1), ("2.1.1.bias", 0), ("2.2.weight", (1, 3)),
    ("5.weight", (0, 2)), ("5.bias", 3),
]  # fmt: skip


@pytest.mark.parametrize(("name", "index"), PLACES, ids=[name for name, _ in PLACES])
@pytest.mark.parametrize("chunk", [1 << 16, 100, 1], ids=["one call", "some calls", "a call each"])
def test_slope(name: str, index: Any, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_slope, "CHUNK", chunk)
    net, x = make()
    y = targets_for("cross_entropy", 7, 30, 4)
    found = descent.slope(net, x, y, "cross_entropy", name, index, span=1.5, values=11)
    before = net.parameters[name]
    assert (found.values - before[index]).tolist() == pytest.approx(np.linspace(-1.5, 1.5, 11).tolist())
    assert found.values[5] == found.weight == before[index]
    costs = []
    for value in found.values:
        moved = before.copy()
        moved[index] = value
        costs.append(cost_at(net, x, y, "cross_entropy", {name: moved}))
    assert_within(found.costs, costs, 1e-13)
    gradient = truth(net, x, y, "cross_entropy")[1][name][index]
    assert found.tangent == pytest.approx(gradient, rel=1e-11)
    assert found.cost == pytest.approx(costs[5], rel=1e-14)
    assert_within(found.line(), costs[5] + gradient * np.linspace(-1.5, 1.5, 11), 1e-12)


EMBEDDED = [
    st.FeatureScale(2.0), st.PeriodicEmbedding(3, 2, columns=[2, 0]), st.Dense(5, "tanh"),
    st.Residual([st.PeriodicEmbedding(2, 3, "identity"), st.FeatureScale(), st.Dense(5)]), st.Dense(4),
]  # fmt: skip


BINNED = [
    st.CategoryEmbedding(2, 3, [1]), st.PiecewiseLinearEmbedding(3, 2, columns=[0, 4]), st.Dense(5, "tanh"),
    st.PiecewiseLinearEmbedding(2), st.Dense(4),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "name", "index"),
    [
        (EMBEDDED, "0.scale", (0, 2)), (EMBEDDED, "1.weight", (8, 1)), (EMBEDDED, "1.weight", (13, 0)),
        (EMBEDDED, "1.frequency", (1, 2)), (EMBEDDED, "2.weight", (6, 3)), (EMBEDDED, "2.bias", 0),
        (EMBEDDED, "3.0.weight", (24, 2)), (EMBEDDED, "3.0.frequency", (4, 0)), (EMBEDDED, "3.1.scale", (0, 7)),
        (EMBEDDED, "3.2.weight", (19, 4)), (EMBEDDED, "4.bias", 3),
        (BINNED, "0.weight", (3, 1)), (BINNED, "1.weight", (6, 1)), (BINNED, "2.weight", (8, 0)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("chunk", [1 << 16, 700, 1])
def test_slope_beside_embeddings(
    layers: list[Any], name: str, index: Any, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_slope, "CHUNK", chunk)
    net, x = make(layers)
    y = targets_for("cross_entropy", 7, 30, 4)
    found = descent.slope(net, x, y, "cross_entropy", name, index, span=1.5, values=11)
    before, costs = net.parameters[name], []
    for value in found.values:
        moved = before.copy()
        moved[index] = value
        costs.append(cost_at(net, x, y, "cross_entropy", {name: moved}))
    assert_within(found.costs, costs, 1e-12)
    assert found.tangent == pytest.approx(truth(net, x, y, "cross_entropy")[1][name][index], rel=1e-10)


@pytest.mark.parametrize("loss", ref.LOSSES)
def test_slope_of_each_loss(loss: str) -> None:
    net, x = make(dtype="float32")
    y, weight = targets_for(loss, 7, 30, 4), np.linspace(0, 2, 30)
    found = descent.slope(net, x, y, trainer_of(net, loss), "1.weight", (1, 1), values=5, sample_weight=weight)
    twin = reference_of(net)
    for value, cost in zip(found.values, found.costs, strict=True):
        twin.parameters["1.weight"][1, 1] = value
        expected = ref.mean_loss(loss, twin.predict(x), y, weight, PARAMETER.get(loss, 1.0))[0]
        assert cost == pytest.approx(expected, rel=1e-12, abs=1e-13)


def test_slope_finds_the_bottom() -> None:
    """Of a parabola, (w - 3)**2 along the one weight."""
    net = st.Network(1, [st.Dense(1, bias=False, init=[[1.0]])], dtype="float64")
    found = descent.slope(net, [[1.0]], [3.0], "mse", "0.weight", (0, 0), span=4, values=100)
    assert len(found.values) == 101
    assert (found.best_value, found.best_cost) == pytest.approx((3.0, 0.0), abs=0.05)
    assert (found.cost, found.tangent) == (4.0, -4.0)
    assert "slope -4" in repr(found)
    ax = found.plot()
    assert ax.get_xlabel() == "0.weight[0, 0]"
    assert {"cost", "tangent, slope -4", "here, 4"} < set(ax.get_legend_handles_labels()[1])
    plt.close("all")


def test_default_span() -> None:
    net = st.Network(1, [st.Dense(2, bias=True, init=[[3.0, 1.0]])], dtype="float64")
    ends = [np.ptp(descent.slope(net, [[1.0]], [[1, 1]], "mse", *at).values) / 2 for at in (("0.weight", (0, 0)),)]
    ends += [np.ptp(descent.slope(net, [[1.0]], [[1, 1]], "mse", "0.weight", (0, 1)).values) / 2]
    ends += [np.ptp(descent.slope(net, [[1.0]], [[1, 1]], "mse", "0.bias", 0).values) / 2]
    assert ends == pytest.approx([6.0, 2 * 5**0.5, 1.0])


# --- surface ---


def surface_by_definition(found: descent.Surface, net: st.Network, x: Any, y: Any) -> np.ndarray[Any, Any]:
    """The costs at the surface's points, by the reference."""
    center = np.concatenate([value.ravel() for value in net.parameters.values()])
    rows = []
    for b in found.b:
        row = []
        for a in found.a:
            flat, changes, start = center + a * found.directions[0] + b * found.directions[1], {}, 0
            for name, value in net.parameters.items():
                changes[name] = flat[start : start + value.size].reshape(value.shape)
                start += value.size
            row.append(cost_at(net, x, y, "mse", changes))
        rows.append(row)
    return np.array(rows)


def walk(net: st.Network, n: int) -> list[dict[str, Any]]:
    """Weights that wander towards the network's."""
    return [
        {name: value + (n - i) * 0.1 * normal(20 + i, value.shape) for name, value in net.parameters.items()}
        for i in range(n + 1)
    ]


@pytest.mark.parametrize("directions", ["random", "pca", "gradient"])
def test_surface(directions: str) -> None:
    net, x = make()
    y, path = targets_for("mse", 7, 30, 4), walk(net, 5)
    found = descent.surface(net, x, y, "mse", directions, path, steps=5, span=0.7)
    costs = surface_by_definition(found, net, x, y)
    assert_within(found.costs, costs, 1e-13 * np.abs(costs))
    assert found.cost == pytest.approx(cost_at(net, x, y, "mse", {}), rel=1e-14)
    center = np.concatenate([value.ravel() for value in net.parameters.values()])
    offsets = np.stack([np.concatenate([v.ravel() for v in point.values()]) for point in path]) - center
    assert found.path is not None and found.path_costs is not None and found.off_plane is not None
    rest = offsets - found.path @ found.directions
    assert np.abs(rest @ found.directions.T).max() < 1e-10 * np.abs(offsets @ found.directions.T).max()
    assert_within(found.off_plane[:-1], np.linalg.norm(rest, axis=1)[:-1] / np.linalg.norm(offsets, axis=1)[:-1], 1e-12)
    assert found.path[-1] == pytest.approx([0, 0], abs=1e-12)
    assert found.path_costs[-1] == pytest.approx(found.cost, rel=1e-12)
    for axis, column in ((found.a, found.path[:, 0]), (found.b, found.path[:, 1])):
        assert axis[0] <= column.min() and column.max() <= axis[-1]


def test_random_directions_are_filter_normalized() -> None:
    net, x = make()
    y = targets_for("mse", 7, 30, 4)
    found = descent.surface(net, x, y, "mse", steps=3, span=0.5, seed=4)
    assert (found.a.tolist(), found.path) == ([-0.5, 0.0, 0.5], None)
    start = 0
    for value in net.parameters.values():
        for direction in found.directions:
            part = direction[start : start + value.size].reshape(value.shape)
            if value.ndim == 2:
                assert_within(np.linalg.norm(part, axis=0), np.linalg.norm(value, axis=0), 1e-12)
            else:
                assert not part.any()
        start += value.size
    assert not np.array_equal(*found.directions)
    other = descent.surface(net, x, y, "mse", steps=3, span=0.5, seed=5)
    assert not np.array_equal(found.directions, other.directions)


def test_gradient_directions() -> None:
    net, x = make()
    y = targets_for("mse", 7, 30, 4)
    gradient = np.concatenate([g.ravel() for g in truth(net, x, y, "mse")[1].values()])
    first, second = descent.surface(net, x, y, "mse", "gradient", steps=3).directions
    size = np.linalg.norm(np.concatenate([value.ravel() for value in net.parameters.values()]))
    assert_within(first, gradient / np.linalg.norm(gradient) * size, 1e-11)
    assert abs(first @ second) < 1e-12 * size**2
    assert np.linalg.norm(second) == pytest.approx(size)


def test_principal_directions() -> None:
    """Those of the path's offsets from its end, by NumPy's singular values."""
    net, x = make()
    y, path = targets_for("mse", 7, 30, 4), walk(net, 6)
    found = descent.surface(net, x, y, "mse", "pca", path, steps=3)
    rows = np.stack([np.concatenate([v.ravel() for v in point.values()]) for point in path])
    axes = np.linalg.svd(rows - rows[-1], full_matrices=False)[2][:2]
    assert_within(np.abs(found.directions @ axes.T), np.eye(2), 1e-10)
    same = descent.surface(net, x, y, "mse", "pca", rows, steps=3)
    assert np.array_equal(same.costs, found.costs)


def test_surface_is_drawn() -> None:
    net, x = make()
    found = descent.surface(net, x, targets_for("mse", 7, 30, 4), "mse", "pca", walk(net, 4), steps=5)
    ax = found.plot()
    assert any(line.get_label() == "the path" and len(line.get_xdata()) == 5 for line in ax.lines)
    assert "5 x 5 points" in repr(found)
    plt.close("all")


# --- What is refused ---

NET, XS = make([st.Dense(4, "tanh"), st.Dense(2)])
YS = targets_for("mse", 7, 30, 2)
EMPTY = st.Network(3, [st.Activation("tanh")])
ZEROS = st.Network(3, [st.Dense(2, init="zeros")])


def test_no_parameters_have_no_gradient() -> None:
    net = st.Network(3, [st.Activation("tanh")])
    assert descent.contributions(net, XS, XS, "mse").layers == ()
    assert descent.sensitivity(net, XS).layers == {}


def test_overflow_is_an_error_of_its_own() -> None:
    net = st.Network(3, [st.Dense(2, init=np.full((3, 2), 1e200))], dtype="float64")
    with pytest.raises(st.DivergedError):
        descent.contributions(net, XS, YS, "mse")


@pytest.mark.parametrize("call", [descent.contributions, descent.check, descent.surface])
def test_what_is_no_network(call: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="net is 'net': expected a steepest.Network"):
        call("net", XS, YS, "mse")
    with pytest.raises(TypeError, match="net is 'net': expected a steepest.Network"):
        descent.slope("net", XS, YS, "mse", "0.bias", 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="net is 'net': expected a steepest.Network"):
        descent.sensitivity("net", XS)  # type: ignore[arg-type]


@pytest.mark.parametrize("index", [0.5, "a", None])
def test_what_is_no_index(index: Any) -> None:
    with pytest.raises(TypeError, match="index is .*: expected whole numbers, a place in 0.bias"):
        descent.slope(NET, XS, YS, "mse", "0.bias", index)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: descent.check(EMPTY, XS, XS, "mse"), "net is Network.*: expected a layer with parameters"),
        (lambda: descent.surface(EMPTY, XS, XS, "mse"), "net is Network.*: expected a layer with parameters"),
        (lambda: descent.slope(EMPTY, XS, XS, "mse", "0.bias", 0), "net is Network.*: expected a layer with"),
        (lambda: descent.contributions(NET, XS, YS, "hinge"), "loss is 'hinge': expected one of mse"),
        (lambda: descent.contributions(NET, XS, YS[:9], "mse"), "9"),
        (lambda: descent.contributions(NET, XS[:, :2], YS, "mse"), "2"),
        (lambda: descent.contributions(NET, XS[0], YS, "mse"), "x"),
        (lambda: descent.contributions(NET, XS[:0], YS[:0], "mse"), "rows"),
        (lambda: descent.sensitivity(NET, XS[:0]), "x has no rows"),
        (lambda: descent.sensitivity(NET, XS, turn=0), "turn is 0: expected a finite number > 0"),
        (lambda: descent.sensitivity(NET, XS, draws=0), "draws is 0"),
        (lambda: descent.slope(NET, XS, YS, "mse", "2.weight", 0), "no parameter '2.weight': expected one of 0.weight"),
        (
            lambda: descent.slope(NET, XS, YS, "mse", "0.weight", 0),
            r"index is 0: expected a place in 0.weight of shape",
        ),
        (
            lambda: descent.slope(NET, XS, YS, "mse", "0.bias", 4),
            r"index is 4: expected a place in 0.bias of shape \(4,",
        ),
        (lambda: descent.slope(NET, XS, YS, "mse", "0.bias", 0, span=0), "span is 0: expected a finite number > 0"),
        (lambda: descent.slope(NET, XS, YS, "mse", "0.bias", 0, values=2), "values is 2"),
        (
            lambda: descent.surface(NET, XS, YS, "mse", "up"),
            "directions is 'up': expected one of random, pca, gradient",
        ),
        (lambda: descent.surface(NET, XS, YS, "mse", "pca"), 'directions is "pca" and path is None'),
        (lambda: descent.surface(NET, XS, YS, "mse", path=np.ones((3, 4))), r"path has the shape \(3, 4\): expected"),
        (lambda: descent.surface(NET, XS, YS, "mse", path=np.full((3, 26), np.nan)), "path has numbers that are not"),
        (lambda: descent.surface(NET, XS, YS, "mse", "pca", path=[NET.parameters]), "path has 1 points on one line"),
        (lambda: descent.surface(NET, XS, YS, "mse", steps=2), "steps is 2"),
        (lambda: descent.surface(ZEROS, XS, YS, "mse"), "all weights are zero"),
        (lambda: descent.surface(ZEROS, XS, YS * 0, "mse", "gradient"), "the gradient is zero"),
    ],
)
def test_what_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
