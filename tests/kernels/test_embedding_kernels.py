"""The kernels of embeddings, called directly: periodic features, their gradients, and columns from place to place."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from test_kernels import awkward, every_float32, unset, wide

import reference as ref
from helpers import assert_within, eps
from kernel_calls import KernelTable, Panels, numbers, vector

Array = ref.Array

# From here on a quarter of a turn is less than the distance to the next number: such a u counts as whole turns.
WHOLE_TURNS = {"float32": 2.0**20, "float64": 2.0**49}


def turned(u: Array) -> tuple[Array, Array]:
    """cos(2 pi u) and sin(2 pi u) in float64; quarters of a turn are left out before they can cost digits."""
    (u,) = wide(u)
    quarters = np.rint(4 * u)
    rest = 2 * np.pi * (u - quarters / 4)
    z = (np.cos(rest) + 1j * np.sin(rest)) * np.array([1, 1j, -1, -1j])[quarters.astype(np.int64) % 4]
    return z.real, z.imag


def features_of(k: KernelTable, u: Array) -> tuple[Array, Array]:
    """What the kernel makes of these turns: at x = 1 they are the frequencies."""
    n = u.size
    y, one = unset(k, 1, 2 * n + 1, padding=7), Panels(np.ones((1, 1), k.dtype), k.panel)
    k.periodic(row0=0, row1=1, n=n, x=one, frequency=Panels(u.reshape(1, n), k.panel), y=y)
    made = y.read()[0]
    assert made[-1] == 1
    return made[:n], made[n:-1]


def some_rows(rows: int) -> set[tuple[int, int]]:
    return {(0, rows), (rows // 3, rows - rows // 3)}


def column(values: Array, k: KernelTable) -> Panels:
    """One column, beside others that no kernel may read or change."""
    return Panels(values[:, None], k.panel, extra=1, padding=np.nan)


# --- Sines and cosines ---


def test_sines_and_cosines_of_every_size(k: KernelTable) -> None:
    whole = WHOLE_TURNS[str(k.dtype)]
    draw = np.random.default_rng(0)
    sizes = 2.0 ** draw.uniform(-40, np.log2(whole), 20_001)
    u = np.concatenate([np.linspace(-3, 3, 40_001), sizes, -sizes, np.nextafter(k.dtype.type([whole, -whole]), 0)])
    u = u.astype(k.dtype)
    u = u[np.abs(u) < whole]
    for found, truth, what in zip(features_of(k, u), turned(u), ("cos", "sin"), strict=True):
        assert_within(found, truth, 1.5 * eps(k.dtype), what)
        assert np.abs(found).max() <= 1 + eps(k.dtype)


def test_sines_and_cosines_over_the_whole_range(k: KernelTable) -> None:
    if k.dtype != np.float32:
        pytest.skip("there are too many numbers of float64")
    u = every_float32(40_009)[0]
    u = u[np.abs(u) < WHOLE_TURNS["float32"]]
    for found, truth, what in zip(features_of(k, u), turned(u), ("cos", "sin"), strict=True):
        assert_within(found, truth, 1.5 * eps(k.dtype), what)


def test_a_small_angle_keeps_its_digits(k: KernelTable) -> None:
    u = np.array([1e-30, -1e-10, 1e-5, 1e-3], k.dtype)
    cos, sin = features_of(k, u)
    assert_within(sin, turned(u)[1], 4 * eps(k.dtype) * 7 * np.abs(u))
    assert (cos[:2] == 1).all()


def test_quarters_of_a_turn_are_exact(k: KernelTable) -> None:
    quarters = np.concatenate([np.arange(-9, 10), [4 * 1001 + 1, -4 * 1000 - 3, 2**18 + 2]])
    cos, sin = features_of(k, (quarters / 4).astype(k.dtype))
    assert np.array_equal(cos, np.array([1, 0, -1, 0])[quarters % 4])
    assert np.array_equal(sin, np.array([0, 1, 0, -1])[quarters % 4])


def test_turns_beyond_a_quarters_resolution_are_whole(k: KernelTable) -> None:
    whole = WHOLE_TURNS[str(k.dtype)]
    last = np.nextafter(k.dtype.type(whole), k.dtype.type(0))
    beyond = np.array([whole, np.nextafter(k.dtype.type(whole), k.dtype.type(np.inf)), 1e17, np.finfo(k.dtype).max])
    u = np.concatenate([beyond, -beyond, [last]]).astype(k.dtype)
    cos, sin = features_of(k, u)
    assert (cos[:-1] == 1).all() and (sin[:-1] == 0).all()
    assert_within([cos[-1], sin[-1]], np.ravel(turned(last)), 1.5 * eps(k.dtype))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_nan(k: KernelTable, bad: float) -> None:
    u = np.full(k.panel + 3, 0.25, k.dtype)
    u[k.lanes] = bad
    for found, good in zip(features_of(k, u), (0, 1), strict=True):
        assert np.isnan(found[k.lanes])
        assert (np.delete(found, k.lanes) == good).all()


# --- The features and their gradients ---


def test_periodic(k: KernelTable) -> None:
    for rows, n in itertools.product(awkward(k), awkward(k)[1:]):
        draw = numbers(k, (rows, n))
        x, f = 3 * draw(rows), draw(n)
        truth = np.hstack([*turned(x[:, None] * f), np.ones((rows, 1))])  # of products rounded as the kernel's
        for r in some_rows(rows):
            y = unset(k, rows, 2 * n + 1, extra=1, padding=7)
            frequency = Panels(f[None], k.panel, extra=2)
            k.periodic(row0=r[0], row1=r[1], n=n, x=column(x, k), frequency=frequency, y=y)
            part, what = slice(*r), f"{rows} rows, {n} frequencies, rows {r}"
            assert_within(y.read()[part], truth[part], 2 * eps(k.dtype), what)
            assert np.isfinite(y.padding()).all()
            y.check(r, (0, y.panels))


def gradient_case(k: KernelTable, rows: int, n: int) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Numbers, frequencies, features and their gradients; the gradient of each turn, and the size of its summands."""
    draw = numbers(k, (rows, n))
    x, f, dy = 3 * draw(rows), draw(n), draw(rows, 2 * n)
    y = np.hstack([*turned(x[:, None] * f), np.ones((rows, 1))]).astype(k.dtype)
    cos, sin, d_cos, d_sin = wide(y[:, :n], y[:, n:-1], dy[:, :n], dy[:, n:])
    turns, size = d_sin * cos - d_cos * sin, np.abs(d_sin * cos) + np.abs(d_cos * sin)
    return x, f, y, dy, 2 * np.pi * turns, 2 * np.pi * size


def test_periodic_gradient(k: KernelTable) -> None:
    for rows, n in itertools.product([*awkward(k), 131], awkward(k)[1:]):  # more rows than a sum has in one piece
        x, f, y, dy, turns, size = gradient_case(k, rows, n)
        gradient, features = unset(k, 1, n, extra=1), Panels(y, k.panel, extra=1, padding=0.5)
        d_features = Panels(dy, k.panel, extra=2)
        k.periodic_gradient(
            row0=0, row1=rows, n=n, x=column(x, k), frequency=Panels(f[None], k.panel), y=features, dy=d_features,
            gradient=gradient,
        )  # fmt: skip
        wide_x = x.astype(np.float64)
        bound = (rows + 8) * eps(k.dtype) * (np.abs(wide_x) @ size)
        assert_within(gradient.read()[0], wide_x @ turns, bound, f"{rows} rows, {n} frequencies")
        assert (gradient.padding() == 0).all()
        gradient.check((0, 1), (0, gradient.panels))
        features.check()


def test_periodic_input_gradient(k: KernelTable) -> None:
    for rows, n in itertools.product(awkward(k), awkward(k)[1:]):
        x, f, y, dy, turns, size = gradient_case(k, rows, n)
        before = numbers(k, rows)(rows)
        wide_f, wide_before = wide(f, before)
        truth = wide_before + turns @ wide_f
        bound = (n + 8) * eps(k.dtype) * (np.abs(wide_before) + size @ np.abs(wide_f))
        for r in some_rows(rows):
            dx = Panels(before[:, None], k.panel, extra=1, padding=7)
            features, d_features = Panels(y, k.panel, extra=1, padding=0.5), Panels(dy, k.panel, extra=2)
            k.periodic_input_gradient(
                row0=r[0], row1=r[1], n=n, x=column(x, k), frequency=Panels(f[None], k.panel, extra=1), y=features,
                dy=d_features, dx=dx,
            )  # fmt: skip
            part, what = slice(*r), f"{rows} rows, {n} frequencies, rows {r}"
            assert_within(dx.read()[part, 0], truth[part], bound[part], what)
            assert (dx.padding() == 7).all()
            dx.check(r, (0, 1))
            features.check()


# --- Bins ---


def bins_case(k: KernelTable, n: int, rows: int) -> tuple[ref.PiecewiseLinearEmbedding, Array, Array]:
    """The layer of these bins, its edges and numbers within, beyond and at them."""
    edges, _, x = lines(k, n + 1, rows)
    layer = ref.PiecewiseLinearEmbedding("", [0], n, None, "identity", np.float64)
    layer.buffers["edges"][:, 0] = edges
    return layer, edges, x


def test_bins(k: KernelTable) -> None:
    for n, rows, n_ones in itertools.product(awkward(k)[1:], awkward(k), (0, 1)):
        layer, edges, x = bins_case(k, n, rows)
        truth = np.hstack([layer.encode(x[:, None].astype(np.float64))[0][:, 0], np.ones((rows, n_ones))])
        for r in some_rows(rows):
            y = unset(k, rows, n + n_ones, extra=1, padding=7)
            k.bins(row0=r[0], row1=r[1], n=n, n_ones=n_ones, x=column(x, k), edges=column(edges, k), y=y)
            part, what = slice(*r), f"{n} bins, {rows} rows, rows {r}"
            assert_within(y.read()[part], truth[part], 40 * eps(k.dtype) * (1 + np.abs(x[part, None])), what)
            assert np.isfinite(y.padding()).all()
            y.check(r, (0, y.panels))


def test_bins_of_what_is_no_number(k: KernelTable) -> None:
    y, edges = unset(k, 1, 4, padding=0), np.array([0, 1, 2, 3], k.dtype)
    k.bins(row0=0, row1=1, n=3, n_ones=1, x=column(np.array([np.nan], k.dtype), k), edges=column(edges, k), y=y)
    assert np.isnan(y.read()[0, :3]).all() and y.read()[0, 3] == 1


def test_bins_input_gradient(k: KernelTable) -> None:
    for n, rows in itertools.product(awkward(k)[1:], awkward(k)):
        layer, edges, x = bins_case(k, n, rows)
        draw = numbers(k, (rows, n))
        dy, before = draw(rows, n), draw(rows)
        slope = layer.encode(x[:, None].astype(np.float64))[1][:, 0]
        truth = before + (dy * slope).sum(axis=1)
        for r in some_rows(rows):
            dx = Panels(before[:, None], k.panel, extra=1, padding=7)
            given = Panels(dy, k.panel, extra=2, padding=np.nan)
            k.bins_input_gradient(row0=r[0], row1=r[1], n=n, x=column(x, k), edges=column(edges, k), dy=given, dx=dx)
            part = slice(*r)
            bound = 200 * eps(k.dtype) * (1 + np.abs(truth[part]))
            assert_within(dx.read()[part, 0], truth[part], bound, f"{n} bins, {rows} rows, rows {r}")
            assert (dx.padding() == 7).all()
            dx.check(r, (0, 1))


# --- Rows of tables ---


def labels_case(k: KernelTable, n_labels: int, n: int, rows: int) -> tuple[ref.CategoryEmbedding, Array, Array]:
    """The layer, its table, and labels: known ones, missing ones, and what is none."""
    draw = np.random.default_rng(n)
    odd = [-1, -2, n_labels, 0.5, -0.5, -0.0, 1e30, -1e30, np.inf, -np.inf, np.nan]
    x = np.where(draw.random(rows) < 0.3, draw.choice(odd, rows), draw.integers(0, n_labels, rows)).astype(k.dtype)
    layer = ref.CategoryEmbedding("", [n_labels], n, [0], np.float64)
    table = numbers(k, n)(n_labels + 2, n)
    layer.parameters["weight"][:] = table
    return layer, table, x


def test_pick(k: KernelTable) -> None:
    for n, rows, n_labels in itertools.product(awkward(k)[1:], awkward(k), (1, 5)):
        layer, table, x = labels_case(k, n_labels, n, rows)
        picked = table[layer.rows(x[:, None])[:, 0]]
        for r, start in itertools.product(some_rows(rows), (0, 1, k.lanes - 1, k.panel)):
            before = numbers(k, start)(rows, start + n + 2)
            y = Panels(before, k.panel, extra=1, padding=7)
            given = Panels(table, k.panel, extra=1, padding=np.nan)
            k.pick(row0=r[0], row1=r[1], n_labels=n_labels, n=n, x=column(x, k), table=given, y=y, column=start)
            part = slice(*r)
            before[part, start : start + n] = picked[part]
            assert np.array_equal(y.read(), before), f"{n_labels} labels, {n} from {start}, {rows} rows, rows {r}"
            assert (y.padding() == 7).all()
            y.check(r, (start // k.panel, -(-(start + n) // k.panel)))


def test_pick_gradient(k: KernelTable) -> None:
    for n, rows, start in itertools.product(awkward(k)[1:], [*awkward(k), 131], (0, k.lanes + 1)):
        layer, table, x = labels_case(k, 4, n, rows)
        dy = numbers(k, (rows, n))(rows, start + n + 1)
        layer.forward(x[:, None].astype(np.float64), True)
        layer.backward(dy[:, start : start + n].astype(np.float64))
        gradient = unset(k, *table.shape, extra=1, padding=7)
        panels = range(gradient.panels)
        for panel in panels:
            given = Panels(dy, k.panel, extra=1, padding=np.nan)
            k.pick_gradient(
                row0=0, row1=rows, n_labels=4, n=n, x=column(x, k), dy=given, column=start, gradient_panel=panel,
                gradient=gradient,
            )  # fmt: skip
            gradient.check((0, len(table)), (panel, panel + 1))
        bound = (rows + 1) * eps(k.dtype) * max(1.0, np.abs(dy).max(initial=0)) * 4
        assert_within(gradient.read(), layer.gradients["weight"], bound, f"{n} from {start}, {rows} rows")
        assert (gradient.padding() == 0).all()


# --- Scales ---


def test_scale(k: KernelTable) -> None:
    for rows, n in itertools.product(awkward(k), awkward(k)[1:]):
        draw = numbers(k, (rows, n))
        x, factors, panels = draw(rows, n), draw(n), -(-n // k.panel)
        for r, p in itertools.product(some_rows(rows), {(0, panels), (panels // 3, panels - panels // 3)}):
            apart, in_place = unset(k, rows, n, extra=1), Panels(x, k.panel, extra=2)
            part = slice(*r), slice(p[0] * k.panel, p[1] * k.panel)
            for source, y in ((Panels(x, k.panel, padding=7), apart), (in_place, in_place)):
                k.scale(k.block(r, p), source, vector(factors, k.panel), y)
                assert np.array_equal(y.read()[part], (x * factors)[part]), f"{rows} x {n}, rows {r}, panels {p}"
                y.check(r, p)


def test_scale_gradient(k: KernelTable) -> None:
    for rows, n in itertools.product([*awkward(k), 131], awkward(k)[1:]):  # more rows than a sum has in one piece
        draw = numbers(k, (rows, n))
        x, dy, panels = draw(rows, n), draw(rows, n), -(-n // k.panel)
        products = np.multiply(*wide(x, dy))
        bound = (rows + 1) * eps(k.dtype) * np.abs(products).sum(axis=0)
        for p in {(0, panels), (panels // 3, panels - panels // 3)}:
            gradient = unset(k, 1, n)
            given = Panels(x, k.panel, extra=1, padding=7), Panels(dy, k.panel)
            k.scale_gradient(k.block((0, rows), p), *given, gradient)
            columns = slice(p[0] * k.panel, p[1] * k.panel)
            truth = products.sum(axis=0)[columns]
            assert_within(gradient.read()[0, columns], truth, bound[columns], f"{rows} x {n}, panels {p}")
            gradient.check((0, 1), p)


# --- Columns ---


def check_copy(k: KernelTable, n: int, places: tuple[int, int], rows: tuple[int, int]) -> None:
    """Copy into a matrix with columns before and behind, which stay as they are."""
    many, width = 5, sum(places) + n + 2
    draw = numbers(k, (n, *places))
    source, target = draw(many, width), draw(many, width)
    # Behind the source's columns there may be anything.
    given, to = Panels(source, k.panel, extra=1, padding=np.nan), Panels(target, k.panel, extra=2, padding=7)
    fields: dict[str, Any] = {"from": given, "from_column": places[0], "to": to, "to_column": places[1]}
    k.copy_columns(row0=rows[0], row1=rows[1], n=n, **fields)
    part = slice(*rows)
    target[part, places[1] : places[1] + n] = source[part, places[0] : places[0] + n]
    assert np.array_equal(to.read(), target), f"{n} columns from {places[0]} to {places[1]}, rows {rows}"
    assert (to.padding() == 7).all()
    to.check(rows, (places[1] // k.panel, -(-(places[1] + n) // k.panel)))


def test_copy_columns(k: KernelTable) -> None:
    starts = (0, 1, k.lanes - 1, k.lanes + 1, k.panel - 1, k.panel)
    for n, places in itertools.product(awkward(k), itertools.product(starts, repeat=2)):
        check_copy(k, n, places, (0, 5))
        check_copy(k, n, places, (1, 4))


def test_copy_to_a_matrix_that_ends_with_them(k: KernelTable) -> None:
    """Nothing lies behind the last panel but the guard."""
    for n, start in itertools.product(awkward(k)[1:], range(k.panel + 1)):
        source = numbers(k, n)(3, n)
        to = Panels(np.zeros((3, start + n), k.dtype), k.panel)
        fields: dict[str, Any] = {"from": Panels(source, k.panel), "from_column": 0, "to": to, "to_column": start}
        k.copy_columns(row0=0, row1=3, n=n, **fields)
        assert np.array_equal(to.read()[:, start:], source) and (to.read()[:, :start] == 0).all()
        assert (to.padding() == 0).all()
        to.check((0, 3), (start // k.panel, to.panels))
        back = Panels(np.zeros((3, n), k.dtype), k.panel)
        fields = {"from": to, "from_column": start, "to": back, "to_column": 0}
        k.copy_columns(row0=0, row1=3, n=n, **fields)
        assert np.array_equal(back.read(), source) and (back.padding() == 0).all()
        back.check((0, 3), (0, back.panels))


# --- Lines between points ---


def lines(k: KernelTable, n: int, rows: int) -> tuple[Array, Array, Array]:
    """Points that increase, their values, and numbers within, beyond and at the points."""
    draw = np.random.default_rng(n)
    points = np.cumsum(draw.uniform(0.1, 1, n)).astype(k.dtype)
    x = draw.uniform(points[0] - 1, points[-1] + 1, rows).astype(k.dtype)
    x[::3] = draw.choice(points, len(x[::3]))
    return points, draw.normal(size=n).astype(k.dtype), x


def test_interpolate(k: KernelTable) -> None:
    for n, rows in itertools.product((2, 3, 4, 5, 17, 256), awkward(k)):
        points, values, x = lines(k, n, rows)
        truth = np.interp(*wide(x, points, values))
        for row0, row1 in some_rows(rows):
            y = unset(k, rows, 1, padding=np.nan)
            k.interpolate(
                row0=row0, row1=row1, n=n, x=column(x, k), points=column(points, k), values=column(values, k), y=y
            )
            part = slice(row0, row1)
            # the place between two points is off by the rounding of x beside its distance from them
            bound = 40 * eps(k.dtype) * (1 + np.abs(x[part]))
            assert_within(y.read()[part, 0], truth[part], bound, f"{n} points, rows {row0} to {row1}")
            assert np.isnan(np.delete(y.read()[:, 0], part)).all()


def test_interpolate_gradient(k: KernelTable) -> None:
    for n, rows in itertools.product((2, 3, 17), awkward(k)):
        points, values, x = lines(k, n, rows)
        x[::3] = np.random.default_rng(rows).uniform(points[0], points[-1], len(x[::3]))  # no corner has a slope
        wide_points, wide_values, wide_x = wide(points, values, x)
        slopes = np.concatenate([[0], np.diff(wide_values) / np.diff(wide_points), [0]])
        slope = slopes[np.searchsorted(wide_points, wide_x, "right")]
        given = numbers(k, n)(rows)
        for row0, row1 in some_rows(rows):
            dy = column(given, k)
            k.interpolate_gradient(
                row0=row0, row1=row1, n=n, x=column(x, k), points=column(points, k), values=column(values, k), dy=dy
            )
            part = slice(row0, row1)
            truth = given.astype(np.float64)
            truth[part] *= slope[part]
            assert_within(dy.read()[:, 0], truth, 200 * eps(k.dtype) * (1 + np.abs(truth)), f"{n} points")
