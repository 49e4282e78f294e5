"""Every kernel of every instruction set in both dtypes, called directly, against the reference in float64.

Sizes are the awkward ones: around a vector, a panel and a register tile. Memory begins off its alignment, has gaps
between panels, and is guarded (see `kernel_calls.Panels`). Bounds are those of rounding: so many eps times the size of
what was summed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import reference as ref
from helpers import assert_within, eps
from kernel_calls import ENUMS, KernelTable, Panels, numbers, pointers, update_struct, vector

Array = ref.Array

# The largest slope of any activation is selu's, 1.76.
STEEPEST_SLOPE = 1.8
# Activations whose slope is computed from their input; the others' comes from the output.
FROM_INPUT = ("gelu", "silu", "mish")


def awkward(k: KernelTable) -> list[int]:
    """Sizes at which vectors, panels and tiles begin and end."""
    return sorted({0, 1, k.lanes - 1, k.lanes, k.lanes + 1, k.panel, k.panel + 1, k.tile_rows + 1, 67})


def wide(*arrays: Array) -> Iterator[Array]:
    """The same numbers in float64."""
    return (a.astype(np.float64) for a in arrays)


def unset(k: KernelTable, rows: int, columns: int, **how: Any) -> Panels:
    """Memory to write to: NaN, so that what is left out shows."""
    return Panels(np.full((rows, columns), np.nan, k.dtype), k.panel, **how)


def function_bound(k: KernelTable, truth: Array) -> Array:
    """What an activation or its slope may be off by: 4 ulp or 1e-7 in float32, 1e-14 in float64."""
    size = np.abs(truth)
    return np.maximum(4 * eps(k.dtype) * size, 1e-7) if k.dtype == np.float32 else 1e-14 * np.maximum(size, 1)


def test_the_reference_lists_what_the_header_lists() -> None:
    assert list(ref.ACTIVATIONS) == ENUMS["Activation"]
    assert list(ref.LOSSES) == ENUMS["Loss"]


# --- The three products of a dense layer ---


def check_forward(
    k: KernelTable,
    shape: tuple[int, int, int],
    activation: str,
    bias: bool = True,
    rows: tuple[int, int] | None = None,
    panels: tuple[int, int] | None = None,
) -> None:
    batch, n_in, n_out = shape
    draw = numbers(k, shape)
    x, w, b = draw(batch, n_in), draw(n_in, n_out), draw(n_out) * bias
    y = unset(k, batch, n_out, extra=2, padding=7)
    z = unset(k, batch, n_out, extra=1, padding=7) if activation in FROM_INPUT else None
    rows, panels = rows or (0, batch), panels or (0, y.panels)
    alpha = ref.DEFAULT_ALPHA.get(activation, 0.0)
    k.forward(
        k.block(rows, panels), n_in=n_in, n_out=n_out,
        x=Panels(x, k.panel, extra=1, padding=0.5), weight=Panels(w, k.panel, extra=3),
        bias=vector(b, k.panel) if bias else None, y=y, z=z, activation=activation, alpha=alpha,
    )  # fmt: skip

    x, w, b = wide(x, w, b)
    part = np.s_[rows[0] : rows[1], panels[0] * k.panel : panels[1] * k.panel]
    truth_z = (x @ w + b)[part]
    rounding = (n_in + 2) * eps(k.dtype) * (np.abs(x) @ np.abs(w) + np.abs(b))[part]
    truth = ref.ACTIVATIONS[activation][0](truth_z, alpha)
    what = f"{shape} {activation} rows {rows} panels {panels}"
    assert_within(y.read()[part], truth, STEEPEST_SLOPE * rounding + function_bound(k, truth), what)
    assert np.isfinite(y.padding()).all()
    y.check(rows, panels)
    if z:
        assert_within(z.read()[part], truth_z, rounding, f"{what}, before the activation")
        assert np.isfinite(z.padding()).all()
        z.check(rows, panels)


def test_forward_sizes(k: KernelTable) -> None:
    for i, shape in enumerate(itertools.product(awkward(k), repeat=3)):
        check_forward(k, shape, ("identity", "relu", "tanh")[i % 3], bias=i % 4 > 0)


def beyond_blocks(k: KernelTable) -> int:
    """More numbers of a sum than are taken at a time: `scratch` holds as many of 8 panels."""
    return k.scratch // (8 * k.panel) + 37


def test_forward_beyond_every_block(k: KernelTable) -> None:
    check_forward(k, (131, beyond_blocks(k), 5), "tanh")
    check_forward(k, (131, 301, 293), "identity")
    check_forward(k, (1, 1031, 5), "silu")


@pytest.mark.parametrize("activation", ref.ACTIVATIONS)
def test_forward_activations(k: KernelTable, activation: str) -> None:
    check_forward(k, (k.tile_rows + 1, 9, k.panel + 1), activation)


def test_forward_touches_its_rows_and_panels_only(k: KernelTable) -> None:
    shape = (67, 11, 3 * k.panel + 1)
    for rows, panels in itertools.product(
        [(0, 67), (1, 66), (5, 6), (66, 67), (9, 9)], [(0, 4), (1, 3), (3, 4), (2, 2)]
    ):
        check_forward(k, shape, "gelu", rows=rows, panels=panels)


def check_input_gradient(
    k: KernelTable,
    shape: tuple[int, int, int],
    activation: str,
    rows: tuple[int, int] | None = None,
    panels: tuple[int, int] | None = None,
) -> None:
    batch, n_in, n_out = shape
    draw = numbers(k, shape)
    dy, w, z = draw(batch, n_out), draw(n_in, n_out), draw(batch, n_in)
    alpha = ref.DEFAULT_ALPHA.get(activation, 0.0)
    function, slope = ref.ACTIVATIONS[activation]
    (truth_z,) = wide(z)
    x = function(truth_z, alpha).astype(k.dtype)
    dx = unset(k, batch, n_in, extra=1)
    rows, panels = rows or (0, batch), panels or (0, dx.panels)
    k.input_gradient(
        k.block(rows, panels), batch, vector(np.full(k.scratch, np.nan, k.dtype)), n_in=n_in, n_out=n_out,
        dy=Panels(dy, k.panel, extra=2), weight=Panels(w, k.panel, extra=1), dx=dx,
        x=None if activation == "identity" else Panels(x, k.panel, extra=3, padding=0.5),
        z=Panels(z, k.panel, padding=0.5) if activation in FROM_INPUT else None,
        activation=activation, alpha=alpha,
    )  # fmt: skip

    dy, w = wide(dy, w)
    part = np.s_[rows[0] : rows[1], panels[0] * k.panel : panels[1] * k.panel]
    d, size = (dy @ w.T)[part], (np.abs(dy) @ np.abs(w).T)[part]
    s = slope(truth_z, alpha)[part]
    bound = (n_out + 4) * eps(k.dtype) * size * np.abs(s) + np.abs(d) * 2 * function_bound(k, s)
    assert_within(dx.read()[part], d * s, bound, f"{shape} {activation} rows {rows} panels {panels}")
    assert (dx.padding() == 0).all()
    dx.check(rows, panels)


def test_input_gradient_sizes(k: KernelTable) -> None:
    for i, shape in enumerate(itertools.product(awkward(k), repeat=3)):
        check_input_gradient(k, shape, ("identity", "relu", "tanh")[i % 3])


def test_input_gradient_beyond_every_block(k: KernelTable) -> None:
    check_input_gradient(k, (131, 5, beyond_blocks(k)), "tanh")
    check_input_gradient(k, (131, 301, 293), "identity")
    check_input_gradient(k, (2, 9 * k.panel + 1, 517), "relu")


@pytest.mark.parametrize("activation", ref.ACTIVATIONS)
def test_input_gradient_activations(k: KernelTable, activation: str) -> None:
    check_input_gradient(k, (k.tile_rows + 1, k.panel + 1, 9), activation)


def test_input_gradient_touches_its_rows_and_panels_only(k: KernelTable) -> None:
    shape = (67, 3 * k.panel + 1, 11)
    for rows, panels in itertools.product([(1, 66), (5, 6), (66, 67), (9, 9)], [(0, 4), (1, 3), (3, 4), (2, 2)]):
        check_input_gradient(k, shape, "gelu", rows, panels)


def check_weight_gradient(
    k: KernelTable,
    shape: tuple[int, int, int],
    inputs: tuple[int, int] | None = None,
    panels: tuple[int, int] | None = None,
    bias: bool = True,
) -> None:
    batch, n_in, n_out = shape
    draw = numbers(k, shape)
    x, dy = draw(batch, n_in), draw(batch, n_out)
    gradient = unset(k, n_in, n_out, extra=1)
    b, bias_gradient = vector(draw(n_out), k.panel), unset(k, 1, n_out)
    inputs, panels = inputs or (0, n_in), panels or (0, gradient.panels)
    k.weight_gradient(
        k.block(inputs, panels), batch, None, None, n_out=n_out,
        x=Panels(x, k.panel, extra=2, padding=0.5), dy=Panels(dy, k.panel, extra=1),
        weight=Panels(draw(n_in, n_out), k.panel, extra=1), bias=b if bias else None,
        gradient=gradient, bias_gradient=bias_gradient if bias else None,
    )  # fmt: skip

    x, dy = wide(x, dy)
    columns = slice(panels[0] * k.panel, panels[1] * k.panel)
    part = np.s_[inputs[0] : inputs[1], columns]
    what, rounding = f"{shape} inputs {inputs} panels {panels}", (batch + 2) * eps(k.dtype)
    assert_within(gradient.read()[part], (x.T @ dy)[part], rounding * (np.abs(x).T @ np.abs(dy))[part], what)
    assert (gradient.padding() == 0).all()
    gradient.check(inputs, panels)
    b.check()
    if bias and inputs[0] == 0:
        sums = bias_gradient.read()[0, columns]
        assert_within(sums, dy.sum(axis=0)[columns], rounding * np.abs(dy).sum(axis=0)[columns], f"{what}, bias")
        assert (bias_gradient.padding() == 0).all()
        bias_gradient.check((0, 1), panels)
    else:
        bias_gradient.check()


def test_weight_gradient_sizes(k: KernelTable) -> None:
    for i, shape in enumerate(itertools.product(awkward(k), repeat=3)):
        check_weight_gradient(k, shape, bias=i % 4 > 0)


def test_weight_gradient_beyond_every_block(k: KernelTable) -> None:
    check_weight_gradient(k, (beyond_blocks(k), k.panel + 3, 5))
    check_weight_gradient(k, (521, 5 * k.panel + 3, 2 * k.panel + 1))


def test_weight_gradient_touches_its_inputs_and_panels_only(k: KernelTable) -> None:
    shape = (9, 2 * k.panel + 3, 3 * k.panel + 1)
    some_inputs = [(0, k.panel), (0, 3), (k.panel, 2 * k.panel + 3), (2 * k.panel, 2 * k.panel + 1), (k.panel, k.panel)]
    for inputs, panels in itertools.product(some_inputs, [(0, 4), (1, 3), (3, 4), (2, 2)]):
        check_weight_gradient(k, shape, inputs, panels)


# --- Optimizers ---

OPTIMIZERS: dict[str, Callable[[], ref.Optimizer]] = {
    "sgd": lambda: ref.SGD(0.1),
    "sgd, decay": lambda: ref.SGD(0.1, weight_decay=0.2),
    "sgd, decoupled decay": lambda: ref.SGD(0.1, weight_decay=0.2, decoupled=True),
    "momentum": lambda: ref.SGD(0.1, momentum=0.9),
    "nesterov": lambda: ref.SGD(0.1, momentum=0.9, nesterov=True),
    "momentum, decay, both clips": lambda: ref.SGD(0.1, 0.9, weight_decay=0.2, clip_value=0.2, clip_norm=1.0),
    "adam": lambda: ref.Adam(0.01),
    "adam, decay, clip by norm": lambda: ref.Adam(0.01, 0.8, 0.99, 1e-3, weight_decay=0.2, clip_norm=1.0),
    "adamw": lambda: ref.Adam(0.01, weight_decay=0.2, decoupled=True),
    "rmsprop": lambda: ref.RMSprop(0.01),
    "rmsprop, momentum": lambda: ref.RMSprop(0.01, momentum=0.9),
    "rmsprop, decay, clip by value": lambda: ref.RMSprop(0.01, 0.9, 1e-3, weight_decay=0.2, clip_value=0.5),
}


def slot_kinds(optimizer: ref.Optimizer) -> list[str]:
    """What the rule remembers, in the order of the slots."""
    if isinstance(optimizer, ref.Adam):
        return ["mean", "mean square"]
    momentum = ["momentum"] if getattr(optimizer, "momentum", 0) else []
    return momentum if isinstance(optimizer, ref.SGD) else ["mean square", *momentum]


def norm_scale(optimizer: ref.Optimizer, *gradients: Array) -> float:
    """What clipping by global norm multiplies these gradients by."""
    norm = float(np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients)))
    return min(1.0, optimizer.clip_norm / norm) if optimizer.clip_norm and norm else 1.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_update(k: KernelTable, name: str) -> None:
    for n in (0, k.lanes, k.panel, k.panel + k.lanes, 5 * k.panel + k.lanes):
        draw, optimizer = numbers(k, n), OPTIMIZERS[name]()
        w = draw(1, n)
        truth = {"w": w.astype(np.float64)}
        memory = Panels(w, 1)
        kinds = slot_kinds(optimizer)
        slots = [vector(np.zeros(n, k.dtype)) for _ in kinds]
        for step in range(3):
            g = draw(1, n)
            update = update_struct(k, optimizer, True, norm_scale(optimizer, g))
            k.update(n, memory, vector(g[0]), (*slots, None, None)[:2], update)
            optimizer.step(truth, {"w": g.astype(np.float64)})
            size = np.abs(truth["w"]) + 1
            assert_within(memory.read(), truth["w"], 16 * eps(k.dtype) * size, f"n {n}, step {step}")
            memory.check((0, 1), (0, n))
        for kind, slot in zip(kinds, slots, strict=True):
            remembered = optimizer.recall(kind, "w", truth["w"])
            bound = 16 * eps(k.dtype) * (np.abs(remembered) + 1)
            assert_within(slot.read(), remembered, bound, f"n {n}, {kind}")
            slot.check((0, 1), (0, n))


def check_fused_update(
    k: KernelTable,
    name: str,
    shape: tuple[int, int, int],
    inputs: tuple[int, int] | None = None,
    panels: tuple[int, int] | None = None,
) -> None:
    """Gradient and update at once, at an optimizer's third step."""
    batch, n_in, n_out = shape
    draw, optimizer = numbers(k, shape), OPTIMIZERS[name]()
    optimizer.t = 2
    x, dy = draw(batch, n_in), draw(batch, n_out)
    start = {"w": draw(n_in, n_out), "b": draw(n_out)}
    truth = {key: value.astype(np.float64) for key, value in start.items()}
    kinds = slot_kinds(optimizer)
    slots: dict[str, list[Panels]] = {"w": [], "b": []}
    for kind, (key, value) in itertools.product(kinds, start.items()):
        remembered = np.abs(draw(*value.shape)) + k.dtype.type(0.5)
        optimizer.memory[kind, key] = remembered.astype(np.float64)
        slots[key].append(Panels(np.atleast_2d(remembered), k.panel, extra=1 if key == "w" else 0))
    weight, bias = Panels(start["w"], k.panel, extra=1), vector(start["b"], k.panel)
    inputs, panels = inputs or (0, n_in), panels or (0, weight.panels)

    (wide_x, wide_dy) = wide(x, dy)
    gradients = {"w": wide_x.T @ wide_dy, "b": wide_dy.sum(axis=0)}
    off = {
        "w": (batch + 2) * eps(k.dtype) * (np.abs(wide_x).T @ np.abs(wide_dy)),
        "b": (batch + 2) * eps(k.dtype) * np.abs(wide_dy).sum(axis=0),
    }
    scale = norm_scale(optimizer, *gradients.values())
    k.weight_gradient(
        k.block(inputs, panels), batch, update_struct(k, optimizer, True, scale),
        update_struct(k, optimizer, False, scale), n_out=n_out,
        x=Panels(x, k.panel, padding=0.5), dy=Panels(dy, k.panel, extra=1), weight=weight, bias=bias,
        weight_slots=(*slots["w"], None, None)[:2], bias_slots=(*slots["b"], None, None)[:2],
    )  # fmt: skip
    optimizer.step(truth, gradients)

    columns = slice(panels[0] * k.panel, panels[1] * k.panel)
    for key, memory, rows in (("w", weight, inputs), ("b", bias, (0, int(inputs[0] == 0)))):
        part = np.s_[rows[0] : rows[1], columns]
        error = np.atleast_2d(off[key])[part]
        for got, want in [
            (memory, truth[key]),
            *((slot, optimizer.memory[kind, key]) for kind, slot in zip(kinds, slots[key], strict=True)),
        ]:
            expected = np.atleast_2d(want)[part]
            # no rule makes an error in the gradient more than eightfold with slots of 0.5 and more
            bound = (8 * error + 16 * eps(k.dtype)) * (1 + np.abs(expected))
            assert_within(got.read()[part], expected, bound, f"{name} {shape} inputs {inputs} panels {panels} {key}")
            assert (got.padding() == 0).all()
            got.check(rows, panels)


def test_fused_update_sizes(k: KernelTable) -> None:
    for shape in itertools.product(awkward(k), repeat=3):
        check_fused_update(k, "momentum", shape)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fused_update_rules(k: KernelTable, name: str) -> None:
    check_fused_update(k, name, (5, k.tile_rows + 1, k.panel + 1))
    check_fused_update(k, name, (300, 4 * k.panel + 3, 3))
    check_fused_update(k, name, (beyond_blocks(k), 5, k.panel + 1))
    for batch in (1, 2, 3, 4):  # few rows are outer products
        check_fused_update(k, name, (batch, k.panel + 3, k.panel + 1))
    for panels in [(0, 1), (1, 3), (2, 2)]:
        check_fused_update(k, name, (5, k.panel + 3, 3 * k.panel), (0, k.panel), panels)
        check_fused_update(k, name, (5, k.panel + 3, 3 * k.panel), (k.panel, k.panel + 3), panels)


def test_sum_squares(k: KernelTable) -> None:
    for n in (0, k.lanes, k.panel + k.lanes, 67 * k.lanes):
        g = numbers(k, n)(n)
        truth = float((g.astype(np.float64) ** 2).sum())
        assert_within(k.sum_squares(n, vector(g)), truth, 1e-13 * truth, f"n {n}")


# --- Activations ---


def inputs_of_every_size(dtype: np.dtype[Any]) -> Array:
    """Both signs: zero, subnormals, every power of ten, a fine sweep where the functions bend, 1000, 1e38."""
    info = np.finfo(dtype)
    top = np.log10(float(info.max))
    sizes = np.concatenate(
        [
            [0.0, info.smallest_subnormal, info.tiny / 2, info.tiny],
            10.0 ** np.arange(np.ceil(-top), np.floor(top) + 1),
            np.linspace(0, 30, 15001),
            np.linspace(30, 800 if dtype == np.float64 else 110, 3001),
            [1000.0, 1e38],
        ]
    ).astype(dtype)
    return np.concatenate([sizes, -sizes])[None, :]


@pytest.mark.parametrize("activation", ref.ACTIVATIONS)
def test_activation_values(k: KernelTable, activation: str) -> None:
    z = inputs_of_every_size(k.dtype)
    alpha = ref.DEFAULT_ALPHA.get(activation, 0.0)
    y = unset(k, *z.shape, padding=7)
    k.activate(k.block((0, 1), (0, y.panels)), Panels(z, k.panel), y, None, activation, alpha)
    with np.errstate(all="ignore"):
        truth = ref.ACTIVATIONS[activation][0](z.astype(np.float64), alpha)
    if activation == "gelu":  # far below zero the exponent's rounding decides, where the value is nearly 0
        bound = function_bound(k, truth)
    else:
        ulps = 4 * eps(k.dtype) if k.dtype == np.float32 else 1e-14
        bound = ulps * np.abs(truth) + np.finfo(k.dtype).tiny
    wrong = f"{activation} at {z[np.abs(y.read() - truth) > bound][:8]}"
    assert_within(y.read(), truth, bound, wrong)


@pytest.mark.parametrize("activation", ref.ACTIVATIONS)
def test_activation_slopes(k: KernelTable, activation: str) -> None:
    z = inputs_of_every_size(k.dtype)
    alpha = ref.DEFAULT_ALPHA.get(activation, 0.0)
    function, slope = ref.ACTIVATIONS[activation]
    (truth_z,) = wide(z)
    with np.errstate(all="ignore"):
        y, truth = function(truth_z, alpha).astype(k.dtype), slope(truth_z, alpha)
    dy = numbers(k, 1)(*z.shape)
    got = Panels(dy, k.panel)
    k.activate_gradient(
        k.block((0, 1), (0, got.panels)), got, Panels(y, k.panel), Panels(z, k.panel), activation, alpha
    )
    # from the output a slope is 1 less something, or alpha plus it: eps, not ulps
    bound = 4 * eps(k.dtype) if k.dtype == np.float32 else 1e-14
    size = np.abs(dy.astype(np.float64)) * np.maximum(np.abs(truth), 1)
    assert_within(got.read(), dy * truth, bound * size, activation)


@pytest.mark.parametrize("activation", ref.ACTIVATIONS)
def test_activations_keep_what_is_no_number(k: KernelTable, activation: str) -> None:
    """A NaN that became 0 would hide that a network has diverged."""
    z, y = np.array([[np.nan, 1.0]], k.dtype), unset(k, 1, 2, padding=7)
    k.activate(k.block((0, 1), (0, 1)), Panels(z, k.panel), y, None, activation, 0.5)
    assert np.isnan(y.read()).tolist() == [[True, False]]


def test_alpha_is_used(k: KernelTable) -> None:
    z = numbers(k, 2)(3, k.panel + 1)
    for activation, alpha in (("leaky_relu", 0.3), ("elu", 0.7)):
        y, dy = unset(k, *z.shape, padding=7), Panels(np.ones_like(z), k.panel)
        block = k.block((0, 3), (0, 2))
        k.activate(block, Panels(z, k.panel), y, None, activation, alpha)
        k.activate_gradient(block, dy, y, Panels(z, k.panel), activation, alpha)
        function, slope = ref.ACTIVATIONS[activation]
        (truth_z,) = wide(z)
        assert_within(y.read(), function(truth_z, alpha), 4 * eps(k.dtype), activation)
        assert_within(dy.read(), slope(truth_z, alpha), 4 * eps(k.dtype), f"{activation}'s slope")


def test_elementwise_sizes_and_ranges(k: KernelTable) -> None:
    """Activation in place and out of place, its gradient, and addition."""
    for rows, columns in itertools.product(awkward(k), repeat=2):
        draw = numbers(k, (rows, columns))
        x, d = draw(rows, columns), draw(rows, columns)
        panels = -(-columns // k.panel)
        for r, p in {((0, rows), (0, panels)), ((rows // 3, rows - rows // 3), (panels // 3, panels - panels // 3))}:
            block, part = k.block(r, p), np.s_[r[0] : r[1], p[0] * k.panel : p[1] * k.panel]
            relu, slope = np.maximum(x, 0)[part], (x > 0)[part]

            y, z = unset(k, rows, columns, extra=1, padding=7), unset(k, rows, columns, padding=7)
            k.activate(block, Panels(x, k.panel, extra=2, padding=0.5), y, z, "relu", 0.0)
            in_place = Panels(x, k.panel, padding=0.5)
            k.activate(block, in_place, in_place, None, "relu", 0.0)
            for out, truth in ((y, relu), (z, x[part]), (in_place, relu)):
                np.testing.assert_array_equal(out.read()[part], truth)
                assert np.isfinite(out.padding()).all()
                out.check(r, p)

            dy = Panels(d, k.panel, extra=1)
            k.activate_gradient(block, dy, in_place, None, "relu", 0.0) if r == (0, rows) else None
            if r == (0, rows):
                np.testing.assert_array_equal(dy.read()[part], d[part] * slope)
            dy.check(r, p)

            total = Panels(x, k.panel, extra=1)
            k.add(block, Panels(d, k.panel), Panels(x, k.panel), total)
            np.testing.assert_array_equal(total.read()[part], (x + d)[part])
            assert (total.padding() == 0).all()
            total.check(r, p)


# --- Losses ---


def loss_data(k: KernelTable, loss: str, rows: int, columns: int) -> tuple[Array, Array, float]:
    """Outputs, targets and the loss's parameter."""
    draw = numbers(k, (rows, columns))
    y = 2 * draw(rows, columns)
    if loss == "cross_entropy":
        shares = np.exp(draw(rows, columns).astype(np.float64))
        return y, (shares / shares.sum(axis=1, keepdims=True)).astype(k.dtype), 0.0
    if loss == "binary_cross_entropy":
        return y, (draw(rows, columns) > 0).astype(k.dtype), 0.0
    if loss == "poisson":
        return y, np.floor(3 * np.abs(draw(rows, columns))), 0.0
    return y, draw(rows, columns), {"huber": 0.7, "quantile": 0.2}.get(loss, 0.0)


def check_loss(k: KernelTable, loss: str, y: Array, target: Array, parameter: float, rows: tuple[int, int]) -> None:
    """Value and gradient on some rows, with and without weights."""
    batch, n_out = y.shape
    truth_y = y.astype(np.float64)
    truth_t = target if target.dtype == np.int32 else target.astype(np.float64)
    value, slope = ref.row_losses(loss, truth_y, truth_t, parameter)
    part = slice(*rows)
    weights = np.abs(numbers(k, batch)(batch))
    weights[::3] = 0
    scale = 1 / 16
    for w in (None, weights):
        share = np.ones(batch) if w is None else w.astype(np.float64)
        target_fields = {"labels": vector(target)} if target.ndim == 1 else {"target": Panels(target, k.panel)}
        dy = unset(k, batch, n_out, extra=1)
        fields = dict(
            row0=rows[0], row1=rows[1], n_out=n_out, y=Panels(y, k.panel, extra=1, padding=0.5),
            weights=None if w is None else vector(w), loss=loss, parameter=parameter, scale=scale, **target_fields,
        )  # fmt: skip
        total = k.loss(dy=dy, **fields)
        assert k.loss(**fields) == total, "the value must not depend on whether the gradient is wanted"

        rounding = (n_out + 8) * eps(k.dtype)
        t = truth_t[:, None] if truth_t.ndim == 1 else truth_t
        size = np.abs(value) + (1 + np.abs(truth_y)).max(axis=1, initial=1) * (1 + np.abs(t)).max(axis=1, initial=1)
        what = f"{loss} {y.shape} rows {rows}, {'no ' * (w is None)}weights"
        assert_within(total, (share * value)[part].sum(), rounding * (share * size)[part].sum(), what)
        factor = scale * share[:, None]
        bound = rounding * factor * (np.abs(slope) + size[:, None] / n_out)
        assert_within(dy.read()[part], (factor * slope)[part], bound[part], f"{what}, gradient")
        assert (dy.padding() == 0).all()
        dy.check(rows, (0, dy.panels))


@pytest.mark.parametrize("loss", ref.LOSSES)
def test_loss(k: KernelTable, loss: str) -> None:
    for batch, n_out in itertools.product(awkward(k), awkward(k)[1:]):
        y, target, parameter = loss_data(k, loss, batch, n_out)
        for rows in {(0, batch), (batch // 3, batch - batch // 3)}:
            check_loss(k, loss, y, target, parameter, rows)
            if loss == "cross_entropy":
                labels = (np.arange(batch, dtype=np.int32) * 7) % n_out
                check_loss(k, loss, y, labels.astype(np.int32), parameter, rows)


@pytest.mark.parametrize("loss", ["mse", "poisson", "cross_entropy"])
def test_rows_of_weight_zero_count_for_nothing(k: KernelTable, loss: str) -> None:
    """Even where their loss is not finite."""
    large = np.finfo(k.dtype).max
    y = np.array([[large, -large, large], [0, 0, 0]], k.dtype)
    target = np.array([[0, 1, 0], [0.5, 0.25, 0.25]], k.dtype)
    fields = {
        "row0": 0,
        "n_out": 3,
        "y": Panels(y, k.panel),
        "target": Panels(target, k.panel),
        "loss": loss,
        "scale": 1,
    }
    total = k.loss(row1=2, weights=vector(np.array([0, 1], k.dtype)), **fields)
    expected, _ = ref.row_losses(loss, y[1:].astype(np.float64), target[1:].astype(np.float64), 0.0)
    assert_within(total, expected[0], 4 * eps(k.dtype))


def test_probabilities_need_not_sum_to_one(k: KernelTable) -> None:
    """Sums are rounded, and a row's gradient is that of its sum, not of one."""
    y, _, _ = loss_data(k, "cross_entropy", 5, k.panel + 3)
    shares = np.abs(numbers(k, 3)(5, k.panel + 3))
    check_loss(k, "cross_entropy", y, shares, 0.0, (0, 5))


def loss_of(k: KernelTable, loss: str, y: list[float], target: Any) -> tuple[float, Array]:
    """Value and gradient of one row."""
    row = np.array([y], k.dtype)
    dy = unset(k, *row.shape)
    if loss == "cross_entropy":
        fields: dict[str, Any] = {"labels": vector(np.array([target], np.int32))}
    else:
        fields = {"target": Panels(np.array([target], k.dtype), k.panel)}
    value = k.loss(row0=0, row1=1, n_out=len(y), y=Panels(row, k.panel), dy=dy, loss=loss, scale=1.0, **fields)
    return value, dy.read()[0]


def test_extreme_logits(k: KernelTable) -> None:
    """Losses come from the logits: nothing overflows and nothing is clipped."""
    value, dy = loss_of(k, "cross_entropy", [1000, 0, -1000], 0)
    assert value == 0
    np.testing.assert_array_equal(dy, [0, 0, 0])
    value, dy = loss_of(k, "cross_entropy", [0, 200], 0)
    assert value == 200
    np.testing.assert_array_equal(dy, [-1, 1])
    value, dy = loss_of(k, "cross_entropy", [-3e38] * 3, 2)
    assert_within(value, np.log(3), 4 * eps(k.dtype))
    assert_within(dy, np.array([1, 1, -2]) / 3, 2 * eps(k.dtype))
    for z, t, expected in ((100, 0, 100), (1000, 0, 1000), (-1000, 1, 1000), (1000, 1, 0), (-1000, 0, 0)):
        value, dy = loss_of(k, "binary_cross_entropy", [z], [t])
        assert_within(value, expected, eps(k.dtype) * expected + np.finfo(k.dtype).tiny, f"logit {z}, target {t}")
        assert_within(dy, [float(z > 0) - t], np.finfo(np.float32).tiny, f"logit {z}, target {t}")


def test_exponential(k: KernelTable) -> None:
    """The gradient of the Poisson loss at target 0 is e^z itself."""
    z = inputs_of_every_size(k.dtype).T
    dy = unset(k, *z.shape)
    k.loss(
        row0=0, row1=len(z), n_out=1, y=Panels(z, k.panel), target=Panels(np.zeros_like(z), k.panel), dy=dy,
        loss="poisson", scale=1.0,
    )  # fmt: skip
    with np.errstate(all="ignore"):
        truth = np.exp(z.astype(np.float64)).astype(k.dtype)
    finite = np.isfinite(truth)
    got, exact = dy.read(), np.abs(truth[finite].astype(np.float64))
    # 1.5 units in the last place of float, and the rounding of the truth to it
    bound = 2 * np.spacing(truth[finite]).astype(np.float64) if k.dtype == np.float32 else 1e-14 * exact
    assert_within(got[finite], truth[finite], bound + np.finfo(k.dtype).tiny, "e^z")
    assert np.isinf(got[~finite]).all()


def every_float32(step: int) -> np.ndarray:
    """All finite float32 numbers but for gaps, subnormals among them; (1, n)."""
    z = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)
    return z[np.isfinite(z)][None, :]


@pytest.mark.parametrize(("activation", "ulps"), [("tanh", 2.0), ("sigmoid", 2.0), ("elu", 1.25)])
def test_last_place_over_the_whole_range(k: KernelTable, activation: str, ulps: float) -> None:
    if k.dtype != np.float32:
        pytest.skip("float64 is held to 1e-14 above: nothing wider is at hand to compare with")
    z = np.concatenate([every_float32(40_009), np.linspace(-20, 20, 99_991, dtype=np.float32)[None, :]], axis=1)
    y = unset(k, *z.shape, padding=7)
    k.activate(k.block((0, 1), (0, y.panels)), Panels(z, k.panel), y, None, activation, 1.0)
    with np.errstate(all="ignore"):
        truth = ref.ACTIVATIONS[activation][0](z.astype(np.float64), 1.0)
    tiny = np.finfo(np.float32).tiny
    place = np.spacing(np.maximum(np.abs(truth), tiny).astype(np.float32)).astype(np.float64)
    assert_within(y.read(), truth, ulps * place + tiny, activation)


# --- Dropout ---


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_dropout(k: KernelTable, p: float) -> None:
    p = float(k.dtype.type(p))
    for rows, columns in itertools.product(awkward(k), repeat=2):
        x = numbers(k, (rows, columns))(rows, columns)
        panels = -(-columns // k.panel)
        for r, q in {((0, rows), (0, panels)), ((rows // 3, rows - rows // 3), (panels // 3, panels - panels // 3))}:
            key = dict(seed=2**40 + rows, step=2**32 - 1 - columns, layer=3, p=p)
            y, in_place = unset(k, rows, columns, extra=1, padding=7), Panels(x, k.panel, padding=0.5)
            k.dropout(block=k.block(r, q), x=Panels(x, k.panel, extra=2, padding=0.5), y=y, **key)
            k.dropout(block=k.block(r, q), x=in_place, y=in_place, **key)
            mask = ref.dropout_mask((rows, columns), p, key["seed"], key["step"], key["layer"])
            part = np.s_[r[0] : r[1], q[0] * k.panel : q[1] * k.panel]
            for out in (y, in_place):
                truth = (x * mask)[part]
                assert_within(out.read()[part], truth, 2 * eps(k.dtype) * np.abs(truth), f"{x.shape} {r} {q}")
                assert np.isfinite(out.padding()).all()
                out.check(r, q)


# --- Normalization ---


def norm_data(k: KernelTable, rows: int, n: int) -> tuple[Array, Array, Array, Array]:
    """Numbers far from mean 0, a gradient, a weight and a bias."""
    draw = numbers(k, (rows, n))
    return 3 * draw(rows, n) + 10 * draw(1, n) + 20, draw(rows, n), draw(n), draw(n)


def load_norm(layer: ref.Layer, weight: Array, bias: Array) -> None:
    """Give a reference layer these parameters, in float64."""
    layer.parameters = {"weight": weight.astype(np.float64), "bias": bias.astype(np.float64)}


def norm_bounds(layer: Any, x: Array, dy: Array, terms: int, axis: int) -> tuple[Array, Array, Array, Array]:
    """Rounding of y, dx, and the gradients of weight and bias, for sums of so many terms."""
    rounding = (terms + 16) * np.finfo(x.dtype).eps
    # the numbers themselves are rounded, and so is their mean, in units of the standard deviation
    hat = np.abs(layer.x_hat) + np.abs(x.astype(np.float64)) * layer.inverse_std + 1
    weight = np.abs(layer.parameters["weight"])
    d = np.abs(dy.astype(np.float64)) * weight
    mean_d, mean_dot = d.mean(axis=axis, keepdims=True), (d * hat).mean(axis=axis, keepdims=True)
    return (
        rounding * (weight * hat + np.abs(layer.parameters["bias"])),
        rounding * layer.inverse_std * (d + mean_d + hat * mean_dot),
        rounding * (np.abs(dy) * hat).sum(axis=0),
        rounding * np.abs(dy).astype(np.float64).sum(axis=0),
    )


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(k: KernelTable, training: bool) -> None:
    for rows, n in itertools.product(awkward(k)[1:], awkward(k)[1:]):
        x, dy, weight, bias = norm_data(k, rows, n)
        layer = ref.BatchNorm("", n, 0.1, 1e-5, np.float64)
        load_norm(layer, weight, bias)
        start = numbers(k, n)
        running_mean, running_var = start(n), np.abs(start(n)) + k.dtype.type(0.5)
        layer.buffers = {"running_mean": running_mean.astype(float), "running_var": running_var.astype(float)}
        truth_y = layer.forward(x.astype(np.float64), training)
        truth_dx = layer.backward(dy.astype(np.float64))
        y_bound, dx_bound, weight_bound, bias_bound = norm_bounds(layer, x, dy, rows, axis=0)

        panels = -(-n // k.panel)
        for p in {(0, panels), (panels // 3, panels - panels // 3)}:
            columns = slice(p[0] * k.panel, p[1] * k.panel)
            y = unset(k, rows, n, extra=1, padding=7)
            written = ("mean", "inverse_std", "new_running_mean", "new_running_var")
            memory = {name: vector(np.full(n, np.nan, k.dtype), k.panel) for name in written}
            running = {"running_mean": vector(running_mean, k.panel), "running_var": vector(running_var, k.panel)}
            shared = dict(
                rows=rows, panel0=p[0], panel1=p[1], x=Panels(x, k.panel, extra=2, padding=0.5),
                weight=vector(weight, k.panel), bias=vector(bias, k.panel),
                momentum=0.1, eps=1e-5, training=int(training),
            )  # fmt: skip
            what = f"{rows} x {n}, panels {p}"
            k.batch_norm(y=y, **shared, **memory, **running)
            assert_within(y.read()[:, columns], truth_y[:, columns], y_bound[:, columns], what)
            assert np.isfinite(y.padding()).all()
            y.check((0, rows), p)
            for buffer in memory.values():
                buffer.check(*(((0, 1), p) if training else ()))
            if not training:
                continue

            for name in running:
                buffer, changed = memory[f"new_{name}"], layer.buffers[name][columns]
                scale = 0.1 * np.abs(x.astype(np.float64)).max() if name == "running_mean" else 10 * np.abs(changed) + 1
                assert_within(buffer.read()[0, columns], changed, (rows + 16) * eps(k.dtype) * scale, f"{what} {name}")

            weight_gradient, bias_gradient = unset(k, 1, n), unset(k, 1, n)
            dx, in_place = unset(k, rows, n), Panels(dy, k.panel, extra=1)
            given = Panels(dy, k.panel)
            for source, target in ((given, dx), (in_place, in_place)):
                k.batch_norm_gradient(
                    dy=source, dx=target, weight_gradient=weight_gradient, bias_gradient=bias_gradient,
                    **shared, **memory,
                )  # fmt: skip
                assert_within(target.read()[:, columns], truth_dx[:, columns], dx_bound[:, columns], f"{what} dx")
                assert (target.padding() == 0).all()
                target.check((0, rows), p)
                for name, gradient, bound in (
                    ("weight", weight_gradient, weight_bound),
                    ("bias", bias_gradient, bias_bound),
                ):
                    truth = layer.gradients[name][columns]
                    assert_within(gradient.read()[0, columns], truth, bound[columns], f"{what} {name}")
                    assert (gradient.padding() == 0).all()
                    gradient.check((0, 1), p)


def test_layer_norm(k: KernelTable) -> None:
    for rows, n in itertools.product(awkward(k), awkward(k)[1:]):
        x, dy, weight, bias = norm_data(k, rows, n)
        layer = ref.LayerNorm("", n, 1e-5, np.float64)
        load_norm(layer, weight, bias)
        truth_y = layer.forward(x.astype(np.float64), True)
        truth_dx = layer.backward(dy.astype(np.float64))
        y_bound, dx_bound, weight_bound, bias_bound = norm_bounds(layer, x, dy, n, axis=1)

        for r in {(0, rows), (rows // 3, rows - rows // 3)}:
            part, what = slice(*r), f"{rows} x {n}, rows {r}"
            y = unset(k, rows, n, extra=1, padding=7)
            memory = {name: vector(np.full(rows, np.nan, k.dtype)) for name in ("mean", "inverse_std")}
            shared = dict(
                row0=r[0], row1=r[1], n=n, x=Panels(x, k.panel, extra=2, padding=0.5),
                weight=vector(weight, k.panel), bias=vector(bias, k.panel), eps=1e-5,
            )  # fmt: skip
            k.layer_norm(y=y, **shared, **memory)
            assert_within(y.read()[part], truth_y[part], y_bound[part], what)
            assert np.isfinite(y.padding()).all()
            y.check(r, (0, y.panels))
            for kept in memory.values():
                assert np.isfinite(kept.read()[0, part]).all()
                kept.check((0, 1), r)

            dx, in_place = unset(k, rows, n), Panels(dy, k.panel, extra=1)
            for source, target in ((Panels(dy, k.panel), dx), (in_place, in_place)):
                k.layer_norm_gradient(dy=source, dx=target, **shared, **memory)
                assert_within(target.read()[part], truth_dx[part], dx_bound[part], f"{what} dx")
                assert (target.padding() == 0).all()
                target.check(r, (0, target.panels))

        panels = -(-n // k.panel)
        rounding = (rows + 16) / (n + 16)  # these sums run over the rows
        mean = x.astype(np.float64).mean(axis=1).astype(k.dtype)
        inverse_std = layer.inverse_std[:, 0].astype(k.dtype)
        for p in {(0, panels), (panels // 3, panels - panels // 3)}:
            weight_gradient, bias_gradient = unset(k, 1, n), unset(k, 1, n)
            k.layer_norm_sums(
                rows=rows, panel0=p[0], panel1=p[1], x=Panels(x, k.panel, padding=0.5), dy=Panels(dy, k.panel, extra=1),
                mean=vector(mean), inverse_std=vector(inverse_std),
                weight_gradient=weight_gradient, bias_gradient=bias_gradient,
            )  # fmt: skip
            columns = slice(p[0] * k.panel, p[1] * k.panel)
            for name, gradient, bound in (
                ("weight", weight_gradient, rounding * weight_bound),
                ("bias", bias_gradient, rounding * bias_bound),
            ):
                truth = layer.gradients[name][columns]
                assert_within(gradient.read()[0, columns], truth, bound[columns], f"{rows} x {n}, panels {p}, {name}")
                assert (gradient.padding() == 0).all()
                gradient.check((0, 1), p)


def test_layer_norm_far_from_zero(k: KernelTable) -> None:
    """The variance is that of the differences from the mean, so a large mean costs no digits of it."""
    x = numbers(k, 0)(3, 67) + k.dtype.type(1000)
    y, ones = unset(k, *x.shape), vector(np.ones(67, k.dtype), k.panel)
    memory = {name: vector(np.zeros(3, k.dtype)) for name in ("mean", "inverse_std")}
    zeros = vector(np.zeros(67, k.dtype), k.panel)
    k.layer_norm(row0=0, row1=3, n=67, x=Panels(x, k.panel), weight=ones, bias=zeros, eps=1e-5, y=y, **memory)
    truth = ref.LayerNorm("", 67, 1e-5, np.float64).forward(x.astype(np.float64), True)
    assert_within(y.read(), truth, 4000 * eps(k.dtype))  # the mean is rounded to eps * 1000


# --- Rows in and out ---


def gather(k: KernelTable, rows: np.ndarray, row0: int, y: Panels) -> int:
    """Gather rows that lie in memory of their own."""
    places = [vector(row) for row in rows]
    result = k.gather_rows(pointers(places), len(rows), rows.shape[1], row0, y)
    for place in places:
        place.check()
    return int(result)


def test_gather_and_scatter_rows(k: KernelTable) -> None:
    info = np.finfo(k.dtype)
    for n in awkward(k):
        rows = numbers(k, n)(4, n)
        rows[:, ::5] = info.smallest_subnormal
        rows[:, 1::7] = -info.max
        for count in (0, 1, 3):
            y = unset(k, 5, n, extra=1, padding=7)
            assert gather(k, rows[count:0:-1], 1, y) == 1
            np.testing.assert_array_equal(y.read()[1 : count + 1], rows[count:0:-1])
            assert np.isfinite(y.padding()).all()
            y.check((1, count + 1), (0, y.panels))
        out = vector(np.full(n, np.nan, k.dtype))
        k.scatter_row(y, n, 1, out)
        np.testing.assert_array_equal(out.read()[0], rows[3])
        out.check((0, 1), (0, n))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gather_finds_what_is_not_finite(k: KernelTable, bad: float) -> None:
    for n in awkward(k)[1:]:
        for place in range(n):
            x = numbers(k, n)(n)
            x[place] = bad
            rows = np.stack([np.zeros_like(x), x, np.zeros_like(x)])
            assert gather(k, rows, 0, unset(k, 3, n)) == 0, f"element {place} of {n}"
