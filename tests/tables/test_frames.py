"""Frames of every library: the same columns of each, and the same predictions."""

from __future__ import annotations

import decimal
import uuid
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import steepest as st
from steepest.tables._columns import Column, open_table, read_column
from steepest.tables._frames import series

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def mixed(n: int) -> pd.DataFrame:
    """Rows of numbers, text and dates."""
    random = np.random.default_rng(n)
    return pd.DataFrame(
        {
            "a": random.normal(size=n),
            "b": random.integers(0, 9, n),
            "c": np.array(["x", "y", None])[random.integers(0, 3, n)],
            "d": np.datetime64("2020-01-01", "us") + random.integers(0, 1000, n) * np.timedelta64(1, "D"),
            "e": random.integers(0, 2, n) == 1,
        }
    )


def relation(frame: pd.DataFrame) -> Any:
    """A relation of DuckDB's."""
    return duckdb.connect().from_arrow(pa.Table.from_pandas(frame, preserve_index=False))


FRAMES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "table": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "batch": lambda frame: pa.RecordBatch.from_pandas(frame, preserve_index=False),
    "polars": pl.from_pandas,
    "duckdb": relation,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sizes": {"hidden_layer_sizes": (4,)},
    "ensemble": {"ensemble": 2},
    "no early stopping": {"early_stopping": False},
    "lbfgs": {"solver": "lbfgs"},
    "balanced": {"class_weight": "balanced"},
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("n", [100, 10_000])
@pytest.mark.parametrize("kind", FRAMES)
def test_t08_frames_are_as_pandas(kind: str, n: int, options: str) -> None:
    frame = mixed(n)
    y, weight = (frame["a"] + frame["b"] > 4).to_numpy(), np.ones(n)
    weight[3] = 0
    models = []
    for x in (frame, FRAMES[kind](frame)):
        model = st.MLPClassifier(random_state=0, max_iter=1, **OPTIONS[options])
        models.append((model.fit(x, y, sample_weight=weight), x))
    expected, found = (model.predict_proba(x) for model, x in models)
    np.testing.assert_array_equal(found, expected)
    model, x = models[1]
    assert model.feature_names_in_.tolist() == list("abcde")
    assert model.score(x, y) == models[0][0].score(frame, y)


@pytest.mark.parametrize("n", [100, 10_000])
@pytest.mark.parametrize("kind", FRAMES)
def test_t08_every_other_call_takes_them(kind: str, n: int) -> None:
    frame = mixed(n)
    x, y = FRAMES[kind](frame), (frame["a"] + frame["b"]).to_numpy()
    model = st.MLPRegressor(random_state=0, max_iter=1).fit(x, y, eval_set=(x, y))
    model.partial_fit(x, y)
    model.set_params(warm_start=True).fit(x, y)
    assert model.predict(x).shape == (n,)
    for encode in ({"encode": "numbers"}, {"preset": "sklearn"}):
        numbers = frame[["a", "b"]]
        fitted = [
            st.MLPRegressor(random_state=0, max_iter=1, **encode).fit(z, y) for z in (numbers, FRAMES[kind](numbers))
        ]
        np.testing.assert_array_equal(fitted[0].predict(numbers), fitted[1].predict(FRAMES[kind](numbers)))


def test_t08_a_lazy_frame_is_refused_with_the_cure() -> None:
    lazy = pl.from_pandas(mixed(10)).lazy()
    model = st.MLPRegressor(max_iter=1).fit(mixed(100), np.arange(100.0))
    for call in (
        lambda: st.MLPRegressor().fit(lazy, np.arange(10)),
        lambda: model.predict(lazy),
        lambda: open_table(lazy),
    ):
        with pytest.raises(TypeError, match=r"is a LazyFrame, which has no rows yet: expected (X|table)\.collect\(\)"):
            call()


# --- Columns of pandas' own kinds ---


def column(values: Any) -> Column:
    """A column of a frame."""
    return read_column("a", open_table(pd.DataFrame({"a": values, "unused": 1}))["a"])


def labels(values: Any) -> list[str | None]:
    """A column's labels, row by row."""
    found = column(values)
    assert found.kind == "text"
    return [found.labels[code] if code >= 0 else None for code in found.values.tolist()]


def test_t12_intervals_are_labels() -> None:
    assert labels(pd.cut([1, 5, 9, np.nan], [0, 4, 10])) == ["(0, 4]", "(4, 10]", "(4, 10]", None]
    assert labels(pd.qcut([1, 2, 3, 4], 2, labels=["low", "high"])) == ["low", "low", "high", "high"]
    assert labels(pd.arrays.IntervalArray.from_breaks([0, 1, 2])) == ["(0, 1]", "(1, 2]"]


def test_t12_periods_are_the_times_they_begin() -> None:
    found = column(pd.PeriodIndex(["2020-01", None, "2020-03"], freq="M"))
    times = np.array(["2020-01-01", "2020-03-01"], "M8[us]").astype(np.int64)
    assert found.kind == "date" and found.values[[0, 2]].tolist() == times.tolist() and np.isnan(found.values[1])


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (pd.arrays.SparseArray([0.0, 1.5, np.nan]), [0, 1.5, np.nan]),
        (pd.array([1, None, 3], dtype="Int64"), [1, np.nan, 3]),
        (pd.array([1.5, None], dtype="double[pyarrow]"), [1.5, np.nan]),
        ([2**70, 1, 2], [2.0**70, 1, 2]),
        ([decimal.Decimal("1.5"), None], [1.5, np.nan]),
        ([1, decimal.Decimal("1.5")], [1, 1.5]),
        (np.array([1, 2.5, "-"] + [3] * 9, dtype=object), [1, 2.5, np.nan, *[3] * 9]),
        (pd.to_timedelta([1, None], unit="s"), [1e6, np.nan]),
    ],
    ids=str,
)
def test_t12_numbers_of_every_kind(values: Any, numbers: list[float]) -> None:
    found = column(values)
    assert found.kind == "number"
    np.testing.assert_array_equal(found.values, np.array(numbers, float))


UNUSABLE: dict[str, Any] = {
    "bytes": [b"x", b"y"],
    "UUIDs": [uuid.UUID(int=1), uuid.UUID(int=2)],
    "lists": [[1], [2, 3]],
    "dicts": [{"a": 1}, {"a": 2}],
    "too large": [10**400, 1],
    "complex": [1j, 2j],
    "mixed": [1, "a"],
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_t12_others_are_refused_by_name(kind: str) -> None:
    frame = pd.DataFrame({"good": np.arange(2.0), "bad": pd.Series(UNUSABLE[kind])})
    with pytest.raises(ValueError, match="column 'bad'"):
        st.MLPRegressor(max_iter=1).fit(frame, [0, 1])
    encoder = st.tables.TableEncoder().fit(frame[["good"]], [0.0, 1.0])
    assert encoder.transform(frame).shape[0] == 2  # it is not used


def test_categories_are_labels_whatever_they_look_like() -> None:
    for values in (pd.Categorical(["1", "2"]), pd.Categorical([1, 2]), pd.Categorical([True, False])):
        assert column(values).kind == "text"
    arrow = pa.table({"a": pa.array(["1", "2"]).dictionary_encode()})
    assert read_column("a", open_table(arrow)["a"]).kind == "text"
    assert (
        read_column("a", open_table(pl.DataFrame({"a": pl.Series(["1", "2"], dtype=pl.Categorical)}))["a"]).kind
        == "text"
    )


@pytest.mark.parametrize(
    ("values", "kind", "odd"),
    [
        (["1", "2", "-"] + ["3"] * 9, "number", 1),
        (["001", "002"], "text", 0),
        (["31.12.2020", "01.02.2020"], "date", 0),
        (["True", "FALSE "], "boolean", 0),
        (["08:00", "09:30"], "clock", 0),
        (["1,5", "2,5"], "number", 0),
    ],
    ids=str,
)
def test_text_of_every_frame_is_read_alike(values: list[str], kind: str, odd: int) -> None:
    frame = pd.DataFrame({"a": values})
    tables: list[Any] = [frame, frame.astype(object), frame.astype("string"), frame.to_numpy(object), {"a": values}]
    tables += [make(frame) for make in FRAMES.values()] + [{"a": np.array(values)}, np.array(values)[:, None]]
    for table in tables:
        (read,) = (read_column(name, values) for name, values in open_table(table).items())
        assert read.kind == kind and (read.odd.count if read.odd else 0) == odd
        if kind not in ("text", "boolean"):
            np.testing.assert_array_equal(read.values, column(values).values)


def test_expected_kinds_of_numbers_and_booleans() -> None:
    numbers = np.array([1.0, 0.0, np.nan, 7.0, 1.0])
    found = read_column("a", numbers, "boolean")
    assert found.kind == "boolean" and found.values.tolist() == [1, 0, -1, -1, 1]
    assert found.odd is not None and (found.odd.count, found.odd.row, found.odd.text) == (1, 3, "7")
    assert read_column("a", np.array([5.0, 7.0]), "boolean").kind == "number"
    assert read_column("a", np.array([True, False]), "number").values.tolist() == [1, 0]
    assert read_column("a", np.array(["true", "FALSE", ""]), "number").values[:2].tolist() == [1, 0]
    assert read_column("a", np.array(["7", ""]), "text").labels == ["7", ""]


@pytest.mark.parametrize(
    "values",
    [[1.5, None, -2.0], [1, 2, 3], ["a", None, "b"], [True, False, True], pd.date_range("2026-01-01", periods=3)],
    ids=["numbers", "whole", "text", "boolean", "dates"],
)
def test_columns_of_pandas_2_which_have_no_stream_of_arrow(values: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    column = pd.Series(values)
    expected = series(column)
    monkeypatch.delattr(pd.Series, "__arrow_c_stream__", raising=False)
    assert series(column).to_pylist() == expected.to_pylist()
