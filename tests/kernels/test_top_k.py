"""The kernels that find the largest gradients and move nothing else, called directly."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import reference as ref
import steepest as st
from helpers import assert_within, eps
from kernel_calls import HEADER, KernelTable, Panels, numbers, update_struct, vector

Array = ref.Array

BITS, COPIES = (int(re.search(rf"{name} = (\d+)", HEADER.read_text())[1]) for name in ("kBucketBits", "kCountCopies"))  # type: ignore[index]


def keys(values: Array) -> Array:
    """The bits of the absolute values."""
    return np.abs(values).view(f"u{values.itemsize}")


def buckets(values: Array) -> Array:
    """The first bits of the keys."""
    return keys(values) >> np.array(8 * values.itemsize - 1 - BITS, f"u{values.itemsize}")


def sizes(k: KernelTable) -> tuple[int, ...]:
    return 0, k.lanes, k.panel + k.lanes, 67 * k.lanes


def of_every_kind(k: KernelTable, n: int) -> Array:
    """Numbers of every size and sign, zeros of both signs, subnormals, infinity, NaN, and many the same."""
    draw = np.random.default_rng(n)
    g = (draw.standard_normal(n) * 10.0 ** draw.integers(-30, 30, n)).astype(k.dtype)
    special = [0.0, -0.0, 1.0, -1.0, np.inf, -np.nan, np.finfo(k.dtype).smallest_subnormal]
    g[draw.random(n) < 0.5] = np.array(special, k.dtype)[0]
    return np.where(draw.random(n) < 0.3, draw.choice(np.array(special, k.dtype), n), g)


def test_count_buckets(k: KernelTable) -> None:
    for n in sizes(k):
        g = of_every_kind(k, n)
        counts = vector(np.arange(2**BITS * COPIES, dtype=np.uint32))
        k.count_buckets(n, vector(g), counts)
        added = (counts.read()[0] - np.arange(2**BITS * COPIES)).reshape(-1, COPIES).sum(axis=1)
        assert np.array_equal(added, np.bincount(buckets(g).astype(int), minlength=2**BITS)), f"n {n}"


def test_collect_bucket(k: KernelTable) -> None:
    for n in sizes(k):
        g = of_every_kind(k, n)
        for bucket in [*np.unique(buckets(g)), 2**BITS - 1]:
            wanted = keys(g)[buckets(g) == bucket]
            memory = Panels(np.full((1, n), 7.0, k.dtype), 1)
            assert k.collect_bucket(n, vector(g), int(bucket), memory) == len(wanted), f"n {n}, bucket {bucket}"
            assert np.array_equal(keys(memory.read()[0, : len(wanted)]), wanted), f"n {n}, bucket {bucket}"
            memory.check((0, 1), (0, len(wanted)))


@pytest.mark.parametrize("clip", [0.0, 0.3])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_update_selected(k: KernelTable, momentum: float, clip: float) -> None:
    for n in sizes(k):
        draw = numbers(k, n)
        w, slot = draw(n), draw(n)
        g = np.round(draw(n), 1)  # many ties
        for least in (0.0, 0.5, float(np.abs(g).max(initial=0)), 100.0):
            for ties in {0, 1, k.lanes - 1, k.lanes, n // 2, n}:
                moves = (np.abs(g) > k.dtype.type(least)) | ((np.abs(g) == k.dtype.type(least)) & (np.arange(n) < ties))
                optimizer = ref.SGD(0.1, momentum, nesterov=momentum > 0, weight_decay=0.01, clip_value=clip)
                truth, optimizer.memory[("momentum", "w")] = w.astype(np.float64)[None], slot.astype(np.float64)[None]
                optimizer.step({"w": truth}, {"w": g.astype(np.float64)[None]})
                memory, velocity = vector(w), vector(slot)
                update = update_struct(k, optimizer, True, 1.0)
                values: dict[str, Any] = {"n": n, "ties": min(ties, n), "w": memory, "g": vector(g), "update": update}
                k.update_selected(**values, slot1=velocity if momentum else None, least=least)
                what = f"n {n}, least {least}, ties {ties}"
                bound = 16 * eps(k.dtype) * (np.abs(truth[0]) + 1)
                assert_within(memory.read()[0], np.where(moves, truth[0], w), np.where(moves, bound, 0), what)
                turned = np.where(moves & (momentum > 0), optimizer.memory[("momentum", "w")][0], slot)
                bound = 16 * eps(k.dtype) * (np.abs(turned) + 1)
                assert_within(velocity.read()[0], turned, np.where(moves, bound, 0), what)
                memory.check((0, 1), (0, n))
                velocity.check((0, 1), (0, n))


def gradients_of(kind: str, shape: tuple[int, ...], draw: np.random.Generator) -> Array:
    if kind == "normal":
        return draw.standard_normal(shape)
    if kind == "one bucket":  # told apart by the last bits alone
        return (1 + draw.integers(0, 1000, shape) * 2.0**-20) * draw.choice([-1, 1], shape)
    if kind == "few values":
        return draw.integers(-3, 4, shape).astype(float)
    if kind == "powers":
        return 2.0 ** draw.integers(-120, 120, shape)
    if kind == "subnormal":
        return draw.integers(-50, 50, shape) * 2.0**-149
    return np.zeros(shape)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("of", ["layer", "network"])
@pytest.mark.parametrize("kind", ["normal", "one bucket", "few values", "powers", "subnormal", "zero"])
def test_those_that_move_are_the_largest(kind: str, of: str, dtype: str) -> None:
    """By the caller's own gradients, which may be any. A rate of 1 shows who moved, but for gradients of zero."""
    draw = np.random.default_rng(1)
    net = st.Network(33, [st.Dense(70), st.BatchNorm(), st.Dense(41)], dtype=dtype)
    for fraction in (1e-9, 0.02, 0.3, 0.77, 0.9999):
        trainer = st.Trainer(net, "mse", st.SGD(0.0, momentum=0.5, fraction=fraction, fraction_of=of))
        gradients = {
            name: gradients_of(kind, value.shape, draw).astype(dtype) for name, value in net.parameters.items()
        }
        ones = {name: np.ones(value.shape, dtype) for name, value in net.parameters.items()}
        everything = st.Trainer(net, "mse", st.SGD(0.0, momentum=0.5))
        everything.apply(ones)
        trainer._core.restore(everything._core.state())  # a velocity of 1, which moving halves
        mover = ref.SGD(0.0, fraction=fraction, fraction_of=of)
        chosen = mover.chosen(gradients)
        trainer.apply(gradients)
        state = trainer._core.state()
        for name, where in chosen.items():
            velocity = np.where(where, dtype_of(dtype, 0.5) + normal_or_zero(gradients[name]), dtype_of(dtype, 1))
            assert_within(state[f"{name}.slot1"], velocity, eps(dtype) * np.abs(velocity), f"{name}, {fraction}")


def dtype_of(dtype: str, value: float) -> Any:
    return np.dtype(dtype).type(value)


def normal_or_zero(values: Array) -> Array:
    """The processor takes subnormal numbers for zero while the core computes."""
    return np.where(np.abs(values) < np.finfo(values.dtype).tiny, 0, values)
