"""Arguments of every kind, odd arrays and such as lie, and parameters: refused, or the same as plain ones."""

from __future__ import annotations

import array
import io
import math
import random
from collections import UserList
from collections.abc import Callable
from contextlib import redirect_stdout
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import scipy.sparse
from file_targets import Case, refused
from numpy.typing import NDArray

import steepest as st

N, N_IN, N_OUT = 6, 5, 2


class LieError(Exception):
    """What an object of the user's own raises."""


class Shrinks:
    """An array that is smaller each time it is asked for."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self.rows = rows

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        result, self.rows = self.rows, self.rows[:-1]
        return np.array(result, dtype)

    def __len__(self) -> int:
        return 2 * len(self.rows)


class Raises:
    """A sequence whose rows end sooner than it says, with an error of its own."""

    def __init__(self, rows: NDArray[Any], good: int, error: type[BaseException]) -> None:
        self.rows, self.good, self.error = rows.tolist(), good, error

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Any:
        if i >= self.good:
            raise self.error("a row")
        return self.rows[i]


class Grows(list[Any]):
    """A list that has more rows each time it is looked at."""

    def __len__(self) -> int:
        self.append(self[0])
        return super().__len__()


class NoArray:
    """What says that it is an array and gives something else."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if isinstance(self.answer, type):
            raise self.answer("no array today")
        return self.answer


class Interface:
    """A description of an array that does not say what NumPy expects."""

    def __init__(self, rows: NDArray[Any], **changes: Any) -> None:
        self.keep = rows
        self.__array_interface__ = dict(rows.__array_interface__) | changes


class Meddles:
    """An array that works with the network while it is read."""

    def __init__(self, rows: NDArray[Any], work: Callable[[], object]) -> None:
        self.rows, self.work = rows, work

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        self.work()
        return np.array(self.rows, dtype)


def misaligned(rows: NDArray[Any]) -> NDArray[Any]:
    store = np.zeros(rows.nbytes + 1, np.uint8)
    result = np.ndarray(rows.shape, rows.dtype, store, offset=1)
    result[...] = rows
    return result


def spread(rows: NDArray[Any], draw: random.Random) -> NDArray[Any]:
    """The same numbers with other strides: steps, backwards, by column."""
    steps = [draw.choice((1, 2, 3, -1, -2)) for _ in rows.shape]
    store = np.full([abs(step) * size + 1 for step, size in zip(steps, rows.shape, strict=True)], np.nan, rows.dtype)
    store = np.asfortranarray(store) if draw.random() < 0.5 else store
    view = store[tuple(slice(None, size * abs(step), abs(step)) for step, size in zip(steps, rows.shape, strict=True))]
    view = view[tuple(slice(None, None, 1 if step > 0 else -1) for step in steps)]
    view[...] = rows
    return view


def as_other_type(rows: NDArray[Any], draw: random.Random) -> Any:
    """The numbers in a type that may not hold them, or none."""
    kinds = (
        "f2",
        ">f4",
        ">f8",
        "f16",
        "i1",
        ">i2",
        "i8",
        "u1",
        ">u8",
        "?",
        "c8",
        "c16",
        "O",
        "U12",
        "S12",
        "M8[s]",
        "m8[s]",
        "V8",
    )
    kind = draw.choice(kinds)
    if kind in ("M8[s]", "m8[s]", "V8"):
        return rows.astype("i8").astype(kind) if kind != "V8" else rows.astype("f8").view("V8")
    return rows.astype(kind)


def other_shape(rows: NDArray[Any], draw: random.Random) -> Any:
    shapes = (
        (),
        (0,),
        (1,),
        (0, 0),
        (0, *rows.shape[1:]),
        (*rows.shape, 1),
        (1, *rows.shape),
        rows.shape[::-1],
        (rows.size,),
    )
    shape = draw.choice(shapes)
    return np.resize(rows, shape)


def odd_number(rows: NDArray[Any], draw: random.Random) -> Any:
    result = rows.astype(draw.choice(("f4", "f8", "O")))
    odd = [math.nan, math.inf, -math.inf, 1e30, -1, 1e-45, 0, 2.5]
    odd += [1e300] if result.dtype != "f4" else []
    if result.dtype == "O":
        odd += [None, "x", "1.5", 10**400, 1j, True, Fraction(1, 3), [1.0], pandas.NA, np.datetime64(1, "s"), b"1"]
    if result.size:
        result.flat[draw.randrange(result.size)] = draw.choice(odd)
    return result


def container(rows: NDArray[Any], draw: random.Random) -> Any:
    """The numbers in another kind of container."""
    flat = array.array("d", rows.ravel().tolist())
    found: list[Callable[[], Any]] = [
        rows.tolist, lambda: tuple(map(tuple, np.atleast_2d(rows).tolist())), lambda: UserList(rows.tolist()),
        lambda: memoryview(np.ascontiguousarray(rows)), lambda: flat, lambda: flat.tobytes(), lambda: bytearray(flat),
        lambda: np.matrix(rows), lambda: np.ma.array(rows, mask=rows > 1), lambda: np.rec.array(rows),
        lambda: pandas.DataFrame(rows), lambda: pandas.Series(list(rows)), lambda: scipy.sparse.csr_matrix(rows),
        lambda: np.broadcast_to(rows[:1], rows.shape), lambda: [*rows.tolist(), [1.0]], lambda: [rows.tolist()],
        lambda: {"a": rows}, lambda: {1.0, 2.0}, lambda: (row for row in rows), lambda: map(list, rows),
        lambda: "1 2 3", lambda: None, lambda: 3.5, lambda: True, lambda: object(), lambda: type, lambda: Ellipsis,
        lambda: np.array([(1.0, 2)] * N, "f4,i4"), lambda: [[]] * N, lambda: [None] * N, lambda: [object()] * N,
    ]  # fmt: skip
    return draw.choice(found)()


def liar(rows: NDArray[Any], draw: random.Random, works: list[Callable[[], object]]) -> Any:
    interface = ({"shape": (-1, 2)}, {"shape": (2**62, 8)}, {"typestr": "?"}, {"strides": (8,)},
                 {"shape": "x"}, {"data": None}, {"version": 9}, {"typestr": ">f8"}, {"shape": ()})  # fmt: skip
    found: list[Callable[[], Any]] = [
        lambda: Shrinks(rows), lambda: Grows(rows.tolist()), lambda: Meddles(rows, draw.choice(works)),
        lambda: Raises(rows, draw.randrange(N), draw.choice((IndexError, LieError, ValueError, MemoryError))),
        lambda: NoArray(draw.choice((None, 3, "x", [[1.0]], LieError, RecursionError, np.float64(1)))),
        lambda: Interface(rows, **draw.choice(interface)),
    ]  # fmt: skip
    return draw.choice(found)()


def odd_array(draw: random.Random, rows: NDArray[Any], works: list[Callable[[], object]]) -> Any:
    """Draw another form of some numbers, or what only looks like one."""
    way = draw.randrange(9)
    if way == 0:
        return rows.astype("f4")
    if way < 3:
        return spread(rows, draw)
    if way == 3:
        result = misaligned(rows)
        result.flags.writeable = draw.random() < 0.5
        return result
    changes: list[Callable[..., Any]] = [as_other_type, other_shape, odd_number, container]
    return liar(rows, draw, works) if way == 8 else changes[way - 4](rows, draw)


def plain(value: Any, dtype: str) -> Any:
    """What a value stands for, in the plainest form; None where that cannot be told."""
    if isinstance(value, (Shrinks, Grows, Raises, Meddles, Interface, NoArray)) or hasattr(value, "__next__"):
        return None
    try:
        return np.ascontiguousarray(np.array(value, dtype=object), dtype="f8").astype(dtype)
    except (TypeError, ValueError, OverflowError):
        return None


class Guarded:
    """A place for results, in the midst of bytes that nobody may touch."""

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        self.store = np.full(size + 128, 0xA5, np.uint8)
        self.out = np.ndarray(shape, dtype, self.store, offset=64)

    def check(self) -> None:
        assert (self.store[:64] == 0xA5).all() and (self.store[-64:] == 0xA5).all(), "written beside out"


def odd_out(draw: random.Random, x: Any, guarded: Guarded) -> Any:
    """Draw what results are to be written to: good, of a wrong kind, or within the input."""
    way, out = draw.randrange(8), guarded.out
    if way == 0:
        return out[::-1]
    if way == 1:
        return out.astype(draw.choice(("f2", "f4", "f8", ">f4", "i4", "O")))
    if way == 2:
        return np.resize(out, draw.choice(((0, N_OUT), (N,), (N, N_OUT + 1), (N + 1, N_OUT), ())))
    if way == 3:
        out.flags.writeable = False
        return out
    if way == 4 and isinstance(x, np.ndarray) and x.flags.c_contiguous and x.size >= out.size and x.dtype == out.dtype:
        return x.reshape(-1)[: out.size].reshape(out.shape)
    return draw.choice((out.tolist(), "x", misaligned(out))) if way == 5 else out


def arrays(folder: Path) -> Case:
    """All that networks and trainers read in place."""

    def case(draw: random.Random) -> str:
        dtype = draw.choice(("float32", "float64"))
        loss = draw.choice(("mse", "cross_entropy"))
        net = st.Network(N_IN, [st.Dense(4, "relu"), st.BatchNorm(), st.Dense(N_OUT)], seed=1, dtype=dtype)
        trainer = st.Trainer(net, loss, st.SGD(0.1, momentum=0.5))
        numbers = np.random.default_rng(draw.randrange(100))
        x, y = numbers.standard_normal((N, N_IN)), numbers.random((N, N_OUT)) + 0.1
        y /= y.sum(axis=1, keepdims=True)
        works: list[Callable[[], object]] = [
            lambda: net.predict(x), lambda: net.set_parameters(net.parameters), lambda: trainer.step(x, y),
            lambda: trainer.fit(x, y), lambda: net.backward(net.forward(x)), net.copy,
        ]  # fmt: skip
        before = {name: tensor.tobytes() for name, tensor in (net.parameters | net.buffers).items()}
        odd = {name: odd_array(draw, value, works) for name, value in (("x", x), ("y", y), ("weight", np.ones(N)))}
        meddles = any(isinstance(value, Meddles) for value in odd.values())
        call = draw.choice(CALLS_OF_ARRAYS)
        try:
            with np.errstate(all="ignore"):
                result = call(draw, net, trainer, x, y, odd)
        except (ValueError, TypeError, MemoryError, RuntimeError, st.DivergedError) as error:
            assert type(error) is not RuntimeError or meddles, f"RuntimeError: {error}"
            assert str(error) == "a row" or isinstance(error, RecursionError) or refused(error)
            if isinstance(error, st.DivergedError):  # in a later epoch: the network is as it was after the one before
                assert net._core.is_finite(), "diverged, and yet the weights are not finite"
            elif not meddles and call is not forwards:
                now = {name: tensor.tobytes() for name, tensor in (net.parameters | net.buffers).items()}
                assert now == before, "refused, and yet something has changed"
            return "refused"
        except LieError:
            return "its own error"
        return result

    return case


def predicts(draw: random.Random, net: st.Network, trainer: st.Trainer, x: Any, y: Any, odd: Any) -> str:
    twin = plain(odd["x"], net.dtype)
    guarded = Guarded((N, N_OUT), net.dtype)
    out = None if draw.random() < 0.5 else odd_out(draw, odd["x"], guarded)
    try:
        result = net.predict(odd["x"], out)
    finally:
        guarded.check()
    assert out is None or result is out
    if twin is None:
        return "taken, unknown"
    assert result.tobytes() == net.predict(twin).tobytes(), "another result than of the plain array"
    return "taken"


def steps(draw: random.Random, net: st.Network, trainer: st.Trainer, x: Any, y: Any, odd: Any) -> str:
    chosen = {name: draw.random() < 0.4 for name in odd}
    chosen[draw.choice(("x", "y", "weight"))] = True
    given = {"x": x, "y": y, "weight": None} | {name: odd[name] for name in odd if chosen[name]}
    plains = {name: None if value is None else plain(value, "f8") for name, value in given.items()}
    twin = st.Trainer(net.copy(), trainer.loss, st.SGD(0.1, momentum=0.5))
    way = draw.choice(("step", "fit", "evaluate"))
    result = getattr(trainer, way)(given["x"], given["y"], sample_weight=given["weight"])
    if any(plains[name] is None and given[name] is not None for name in given):
        return "taken, unknown"
    again = getattr(twin, way)(plains["x"], plains["y"], sample_weight=plains["weight"])
    assert way == "fit" or result == again or (result != result and again != again), f"{way}: {result}, plain {again}"
    for name, tensor in net.parameters.items():
        assert tensor.tobytes() == twin.network.parameters[name].tobytes(), f"{way}: {name} is not as of plain arrays"
    return "taken"


def forwards(draw: random.Random, net: st.Network, trainer: st.Trainer, x: Any, y: Any, odd: Any) -> str:
    if draw.random() < 0.5:
        net.forward(odd["x"])
    else:
        net.forward(x)
        net.backward(odd["y"])
    return "taken, unknown"


def sets(draw: random.Random, net: st.Network, trainer: st.Trainer, x: Any, y: Any, odd: Any) -> str:
    names = [*net.parameters, *net.buffers]
    name = draw.choice(names)
    tensors = net.parameters | net.buffers
    value = odd_array(draw, tensors[name].astype("f8"), [lambda: net.predict(x), lambda: net.set_parameters({})])
    wanted = plain(value, net.dtype)
    everything = draw.random() < 0.5
    if everything or name in net.buffers:
        net.set_parameters((tensors if everything else {}) | {name: value})
        found = (net.parameters | net.buffers)[name]
        assert wanted is None or np.array_equal(found, wanted), f"{name} is {found}, expected {wanted}"
        return "taken"
    trainer.apply({other: value if other == name else np.zeros_like(p) for other, p in net.parameters.items()})
    return "taken, unknown"


CALLS_OF_ARRAYS = (predicts, predicts, steps, steps, forwards, sets)


# Estimators

ODD_VALUES = (
    None, True, False, 0, 1, -1, 2, 3, 0.0, 0.5, 1.0, -0.5, 1.5, 1e-300, 1e300, math.nan, math.inf, -math.inf, 2**63,
    10**400, 1j, Fraction(1, 2), np.float32(0.5), np.int64(3), np.array([2, 3]), np.array(4), np.array([]),
    "", "\0", "é" * 1000, b"relu", "auto", "relu", "sgd", "adam", "lbfgs", "constant", "adaptive", "log_loss", "huber",
    "squared_error", "quantile", "balanced", "sklearn", "accuracy", "auc", "loss", "r2", "top2", "numbers",
    [], (), [1, 2], (3,), (4, 0), (2, "x"), {}, {0: 1.0, 1: 2.0}, {"x": 1}, ("r2", "max"), ["relu", "tanh"],
    object(), type, len, print, slice(3), lambda *args: None, lambda *args: math.nan, lambda *args: 1 / 0,
    lambda y, out: (0.0, np.zeros_like(out)), lambda y, out: (((out - 1) ** 2).mean(), 2 * (out - 1) / out.size),
    st.SGD(0.1), st.Adam(1e-3), st.schedules.cosine(0.1), st.EarlyStopping, np.random.default_rng(0),
    np.random.RandomState(0),
)  # fmt: skip
ENDLESS = ("max_iter", "ensemble", "n_jobs", "n_iter_no_change", "accumulate")  # large values mean long work, as asked


def odd_parameter(draw: random.Random, name: str) -> Any:
    value = draw.choice(ODD_VALUES)
    if name in ENDLESS and isinstance(value, (int, np.integer)) and abs(value) > 3:
        return 2
    return value


def data_of(draw: random.Random, classifies: bool) -> tuple[Any, Any]:
    numbers = np.random.default_rng(draw.randrange(50))
    n = draw.choice((2, 12, 30))
    x: Any = numbers.standard_normal((n, 3))
    y: Any = np.arange(n) % draw.choice((2, 3)) if classifies else x[:, 0] * 2
    if draw.random() < 0.2:
        x = pandas.DataFrame({"a": x[:, 0], "b": ["u", "v"] * (n // 2)})
    if draw.random() < 0.2:
        y = draw.choice(
            (
                y.astype(str) if classifies else y.astype(object),
                np.stack([y, y], 1),
                y > y.mean(),
                list(y),
                pandas.Series(y),
            )
        )
    return x, y


def estimators(folder: Path) -> Case:
    """Every parameter, set in either way, with data of every kind."""
    kinds = (st.MLPClassifier, st.MLPRegressor)

    def case(draw: random.Random) -> str:
        kind = draw.choice(kinds)
        quick: dict[str, Any] = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
        names = [*kind().get_params()]
        odd = {name: odd_parameter(draw, name) for name in draw.sample(names, draw.choice((1, 1, 2, 3)))}
        quick |= {"preset": "sklearn"} if draw.random() < 0.2 else {}
        x, y = data_of(draw, kind is st.MLPClassifier)
        given, good_x, good_y = {"X": x, "y": y, "sample_weight": None}, x, y
        if draw.random() < 0.3:
            odd = {}
            name = draw.choice([*given])
            numbers = np.random.default_rng(1).standard_normal((len(good_y), 3))
            rows = {"X": numbers, "y": np.arange(len(good_y)) % 2.0, "sample_weight": np.ones(len(good_y))}
            given[name] = odd_array(draw, rows[name], [lambda: None])
        try:
            with redirect_stdout(io.StringIO()):
                return fit(draw, kind, quick, odd, given, good_x)
        except (ValueError, TypeError, MemoryError, st.DivergedError) as error:
            assert str(error) == "a row" or refused(error)
            return "refused"
        except (ZeroDivisionError, LieError, RecursionError):
            return "its own error"

    return case


def fit(draw: random.Random, kind: Any, quick: Any, odd: Any, given: Any, x: Any) -> str:
    model = kind(**quick | odd) if draw.random() < 0.5 else kind(**quick).set_params(**odd)
    repr(model)
    ways = ["fit", "fit", "fit", "eval_set"] + ["partial_fit"] * hasattr(model, "partial_fit")  # L-BFGS has none
    way = draw.choice(ways)
    if way == "eval_set":
        model.fit(given["X"], given["y"], given["sample_weight"], eval_set=(given["X"], given["y"]))
    elif way == "partial_fit":
        more = {"classes": np.unique(given["y"])} if kind is st.MLPClassifier and np.ndim(given["y"]) == 1 else {}
        model.partial_fit(given["X"], given["y"], given["sample_weight"], **more)
    else:
        model.fit(given["X"], given["y"], given["sample_weight"])
    shown = given["X"] if isinstance(given["X"], (np.ndarray, pandas.DataFrame)) else x
    results = [model.predict(shown)]
    results += [model.predict_proba(shown)] if kind is st.MLPClassifier else []
    for result in results:
        assert len(result) == len(shown)
        assert result.dtype.kind != "f" or np.isfinite(result).all(), f"not finite: {result}"
    return "fitted"


CALLS: dict[str, Callable[[Path], Case]] = {"arrays": arrays, "estimators": estimators}
