"""Raw tables become rows of float32 as documented, from whatever holds them, and nothing is learned from other rows."""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import steepest as st
from helpers import normal
from steepest.tables import TableEncoder, infer_task
from steepest.tables import encoder as encoder_module

TABLE: dict[str, list[Any]] = {
    "size": [1.0, 2.0, None, 6.0],
    "color": ["red", "blue", "green", None],
    "new": [True, False, None, True],
    "rooms": [1, 2, 3, 4],
}
TARGET = [10.0, 20.0, 30.0, 60.0]

FORMS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "lists": lambda table: table,
    "object arrays": lambda table: {name: np.array(column, dtype=object) for name, column in table.items()},
    "arrow": pa.table,
    "chunked arrow": lambda table: pa.concat_tables([pa.table(table).slice(0, 1), pa.table(table).slice(1)]),
    "pandas": pd.DataFrame,
    "nullable pandas": lambda table: pd.DataFrame(table).convert_dtypes(),
    "arrow pandas": lambda table: pd.DataFrame(table).convert_dtypes(dtype_backend="pyarrow"),
    "categories": lambda table: pd.DataFrame(table).astype({"color": "category"}),
    "odd index": lambda table: pd.DataFrame(table, index=[7, 7, 3, 1]),
    "dictionary": lambda table: pa.table(table | {"color": pa.array(table["color"]).dictionary_encode()}),
    "masked": lambda table: table | {"size": np.ma.masked_equal([1.0, 2.0, -9.0, 6.0], -9.0)},
}


def scaled(values: Any, center: float, scale: float) -> Any:
    """Numbers as the encoder scales them."""
    z = (np.array(values, np.float64) - center) / scale
    return z / np.sqrt(1 + (z / 10) ** 2)


QUARTILES = 1.3489795003921634  # of a normal distribution lie so many deviations apart


def fitted(form: str = "lists", **options: Any) -> TableEncoder:
    """An encoder that has seen the table."""
    return TableEncoder(**options).fit(FORMS[form](TABLE), TARGET, "regression")


# --- Features ---


@pytest.mark.parametrize("form", FORMS)
def test_features(form: str) -> None:
    table = FORMS[form](TABLE)
    encoder = fitted(form)
    x = encoder.transform(table)
    names = ["size", "size is missing", "color=blue", "color=green", "color=red", "color is unseen"]
    names += ["new=true", "new is unseen", "rooms"]
    assert encoder.feature_names == names
    assert x.dtype == np.float32 and x.shape == (4, 9) == (4, encoder.n_features)
    size = scaled([1, 2, 2, 6], 2, (6 - 1) / QUARTILES)  # the missing one is the median
    rooms = scaled([1, 2, 3, 4], 2.5, (3.5 - 1.5) / QUARTILES)
    labels = [[0, 0, 1, 0, 1, 0], [1, 0, 0, 0, -1, 0], [0, 1, 0, 0, 0, 1], [0, 0, 0, 1, 1, 0]]
    expected = np.column_stack([size, [0, 0, 1, 0], labels, rooms])
    np.testing.assert_allclose(x, expected, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_input_is_never_modified(form: str) -> None:
    table, untouched = FORMS[form](copy.deepcopy(TABLE)), FORMS[form](copy.deepcopy(TABLE))
    TableEncoder().fit(table, TARGET).transform(table)
    if isinstance(table, dict):
        assert all(repr(table[name]) == repr(untouched[name]) for name in untouched)
    else:
        assert table.equals(untouched)


def test_read_only_array_is_read_and_left_alone() -> None:
    x = normal(0, (50, 3))
    x[4, 1] = np.nan
    x.setflags(write=False)
    before = x.copy()
    encoder = TableEncoder(bins=0).fit(x, x[:, 0])
    out = encoder.transform(x)
    assert out.flags.writeable and encoder.feature_names == ["f0", "f1", "f1 is missing", "f2"]
    assert np.array_equal(x, before, equal_nan=True)
    with pytest.raises(ValueError, match="table has 2 columns: expected 3"):
        encoder.transform(x[:, :2])


def test_mean_and_variance_are_in_float64() -> None:
    values = (1e8 + np.arange(1000)).astype(np.float64)  # float32 has steps of 8 here
    z = TableEncoder(bins=0, numbers="standard").fit({"x": values}, -values).transform({"x": values})[:, 0]
    assert np.allclose(z, (np.arange(1000) - 499.5) / np.std(np.arange(1000)), rtol=1e-6)
    z = TableEncoder(bins=0).fit({"x": values}, -values).transform({"x": values})[:, 0]
    assert np.allclose(z, scaled(np.arange(1000), 499.5, 500 / QUARTILES), rtol=1e-6)


@pytest.mark.parametrize("largest", [1e308, 1e39, 1e-300, 5e-324])
def test_numbers_of_any_size(largest: float) -> None:
    values = largest * np.array([1.0, -1.0, 1.0, -1.0])
    encoder = TableEncoder(numbers="standard").fit({"x": values}, values, "regression")
    assert encoder.transform({"x": values}).ravel().tolist() == [1, -1, 1, -1]
    z = TableEncoder().fit({"x": values}, values, "regression").transform({"x": values}).ravel()
    assert np.isfinite(z).all() and z.tolist() == [z[0], -z[0], z[0], -z[0]] and z[0] > 0.1
    assert encoder.encode_target(values).tolist() == [1, -1, 1, -1]


def test_constant_numbers_become_zero() -> None:
    encoder = TableEncoder().fit({"x": [0.1] * 100}, np.arange(100.0))
    assert not encoder.transform({"x": [0.1] * 3}).any()
    assert encoder.transform({"x": [1.1]})[0, 0] == pytest.approx(scaled(1, 0, 1))


def test_outliers_say_no_more_than_ten_deviations() -> None:
    encoder = fitted()
    table = TABLE | {"rooms": [1e300, -1e300, 2.5, 0]}
    assert encoder.transform(table)[:, -1].tolist()[:3] == [10, -10, 0]
    standard = fitted(numbers="standard").transform(table | {"rooms": [1e5, 2.5, 2.5, 2.5]})
    assert standard[:, -1].tolist() == [10, 0, 0, 0]


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_numbers_are_refused(value: float) -> None:
    table = TABLE | {"size": [1.0, value, 2.0, 3.0]}
    with pytest.raises(ValueError, match="column 'size' is infinite in row 1"):
        TableEncoder().fit(table, TARGET)
    with pytest.raises(ValueError, match="column 'size' is infinite in row 1"):
        fitted().transform(table)


def test_bins_lie_between_quantiles() -> None:
    values = np.arange(128.0) ** 2
    encoder = TableEncoder(bins=32, numbers="standard").fit({"x": values}, -values)
    (column,) = encoder.columns
    assert encoder.n_features == 5  # four bins of 32 rows each
    x = encoder.transform({"x": values})[:, 1:]
    assert x.min() == 0 and x.max() == 1
    # Each value lies within one bin; the bins below are full, the bins above are empty.
    assert (np.diff(x, axis=1) <= 0).all() and ((x > 0) & (x < 1)).sum(axis=1).max() == 1
    edges = np.array(column.edges) * column.scale + column.mean  # type: ignore[union-attr]
    assert np.allclose(np.sum(x * np.diff(edges), axis=1), values - edges[0], atol=0.01)
    beyond = encoder.transform({"x": [-1e9, 1e9, None]})[:, 1:]
    assert beyond[:2].tolist() == [[0] * 4, [1] * 4]
    assert np.allclose(beyond[2] @ np.diff(edges) + edges[0], values.mean())  # missing is the mean here too


@pytest.mark.parametrize(
    ("rows", "bins", "features"), [(63, 32, 1), (64, 32, 3), (6400, 32, 33), (6400, 8, 9), (6400, 0, 1)]
)
def test_number_of_bins(rows: int, bins: int, features: int) -> None:
    assert TableEncoder(bins=bins).fit({"x": np.arange(rows)}, -np.arange(float(rows))).n_features == features


def test_few_different_numbers_need_few_bins() -> None:
    x = np.arange(3000) % 3
    assert TableEncoder().fit({"x": x, "y": x % 2}, np.arange(3000.0)).n_features == 4


def test_unseen_and_missing_labels_share_a_slot() -> None:
    table = {"size": [1, 2, 3], "color": ["yellow", "", None], "new": [None] * 3, "rooms": [None] * 3}
    x = fitted().transform(table)
    assert x[:, 2:6].tolist() == [[0, 0, 0, 1]] * 3
    assert x[:, 6:8].tolist() == [[0, 1]] * 3
    assert not x[:, 8].any()


@pytest.mark.parametrize(
    "empty", [[None] * 4, [np.nan] * 4, pd.Series([None] * 4, dtype="string"), pa.nulls(4)], ids=str
)
def test_columns_without_values_suit_any_training(empty: Any) -> None:
    x = fitted().transform(dict.fromkeys(TABLE, empty))
    assert x.tolist() == [[0, 1, 0, 0, 0, 1, 0, 1, 0]] * 4


def test_lists_of_text_with_missing_values() -> None:
    for missing in (None, np.nan, pd.NA):
        encoder = TableEncoder().fit({"x": ["a", missing, "b", "c"]}, [1.0, 2.0, 3.0, 4.0])
        assert encoder.feature_names == ["x=a", "x=b", "x=c", "x is unseen"]


def test_rare_labels_beyond_the_limit_share_the_slot_too() -> None:
    labels = [f"{i:03}" for i in range(300)] + [f"{i:03}" for i in range(100, 300)]
    labels = labels + ["000"] * 40
    encoder = TableEncoder().fit({"x": labels}, np.arange(540.0))
    assert encoder.feature_names == ["x=000", "x is unseen", "x, target mean"]
    x = encoder.transform({"x": ["299", "000", None, "none"]})
    assert x[:, :2].tolist() == [[0, 1], [1, 0], [0, 1], [0, 1]]
    assert x[3, 2] == 0 and TableEncoder().fit({"x": labels}).feature_names == ["x=000", "x is unseen"]


def test_missing_numbers_without_one_in_training_become_the_mean() -> None:
    encoder = TableEncoder().fit({"x": [1, 2, 7]}, [1.0, 2.0, 3.0])
    assert encoder.transform({"x": [None, 2.0, float("nan")]}).tolist() == [[0], [0], [0]]


def test_dates_are_numbers() -> None:
    days = [datetime.date(2020, 1, 1), datetime.date(2020, 1, 3), None]
    for column in (days, np.array(days, "M8[D]"), pa.array(days), pd.Series(days, dtype="datetime64[ns]")):
        encoder = TableEncoder().fit({"day": column}, [1.0, 2.0, 3.0])
        x = encoder.transform({"day": column})
        assert encoder.feature_names[:2] == ["day", "day is missing"]
        z = float(scaled(1, 0, 2 / QUARTILES))
        np.testing.assert_allclose(x[:, :2], [[-z, 0], [z, 0], [0, 1]], rtol=1e-6)


def test_column_without_values_is_left_out() -> None:
    encoder = TableEncoder().fit({"x": [1, 2], "none": [None, None]}, [1.0, 2.0])
    assert encoder.feature_names == ["x"]
    assert encoder.transform({"x": [1, 2]}).shape == (2, 1)
    with pytest.raises(ValueError, match="no column with values"):
        TableEncoder().fit({"none": [None, None]}, [1.0, 2.0])


def test_no_rows_give_no_rows() -> None:
    assert fitted().transform({name: [] for name in TABLE}).shape == (0, 9)
    with pytest.raises(ValueError, match="no training rows"):
        TableEncoder().fit({"x": []}, [])


# --- Columns by name ---


@pytest.mark.parametrize("form", ["lists", "arrow", "pandas"])
def test_columns_go_by_name(form: str) -> None:
    encoder, table = fitted(form), FORMS[form](TABLE)
    changed = FORMS[form]({"extra": ["x"] * 4} | {name: TABLE[name] for name in reversed(TABLE)})
    assert np.array_equal(encoder.transform(changed), encoder.transform(table))


@pytest.mark.parametrize("form", ["lists", "arrow", "pandas"])
def test_missing_columns_are_named(form: str) -> None:
    without = {name: column for name, column in TABLE.items() if name not in ("size", "new")}
    with pytest.raises(ValueError, match="no column 'size', 'new', which the model was trained on: found color, rooms"):
        fitted().transform(FORMS[form](without))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("size", ["big", "huge", "wide", "3"], "column 'size' is text such as 'big': expected numbers"),
        ("color", [1, 2, 3, 4], "column 'color' is numbers: expected text"),
        ("new", [1.0, 5.0, 7.0, 9.0], "column 'new' is numbers: expected boolean"),
        ("size", [1, datetime.date(2020, 1, 1), 2, 3], "column 'size' holds date, int"),
        ("size", [[1, 2]] * 4, r"column 'size' has the shape \(4, 2\)"),
        ("size", [1 + 2j] * 4, "column 'size' has the type complex128"),
        ("size", [1.0] * 3, "columns of different lengths"),
    ],
)
def test_columns_must_be_what_they_were(name: str, values: Any, message: str) -> None:
    encoder = fitted()
    with pytest.raises(ValueError, match=message):
        encoder.transform(TABLE | {name: values})


def test_target_is_no_feature() -> None:
    encoder = TableEncoder().fit(TABLE, TABLE["rooms"], "regression", target_name="rooms")
    assert "rooms" not in encoder.feature_names
    assert encoder.transform({name: TABLE[name] for name in ("size", "color", "new")}).shape == (4, 8)


def test_only_training_rows_are_learned_from() -> None:
    rows = [0, 2, 3]
    part = {name: [column[i] for i in rows] for name, column in TABLE.items()}
    whole = TableEncoder().fit(TABLE, TARGET, "regression", rows=rows)
    assert whole.to_dict() == TableEncoder().fit(part, [TARGET[i] for i in rows], "regression").to_dict()
    assert "color=blue" not in whole.feature_names


def test_refused_fit_changes_nothing() -> None:
    encoder = fitted()
    before = encoder.to_dict()
    for table, target in (
        ({"x": [np.inf, 1.0]}, [1.0, 2.0]),
        ({"x": [1.0, 2.0]}, [1.0, None]),
        ({"x": [1.0, 2.0]}, [1.0, 2.0, 3.0]),
        ({}, [1.0]),
        ([1.0, 2.0], [1.0, 2.0]),
    ):
        with pytest.raises((TypeError, ValueError)):
            encoder.fit(table, target)
        assert encoder.to_dict() == before


# --- Targets ---


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", "b", "a"], ["a", "b"]),
        ([True, False, True, False], [False, True]),
        ([7, -1, 7, -1], [-1, 7]),
        ([2, 0, 2, 0], [0, 2]),
        ([3.0, 1.0, 3.0, 1.0], [1.0, 3.0]),
        (pd.Series(["y", "x", "y", "x"], dtype="category"), ["x", "y"]),
        (pa.array(["b", "a", "b", "a"]), ["a", "b"]),
        (np.array([200, 100, 200, 100], np.uint8), [100, 200]),
        (np.array(["b", "a", "b", "a"]), ["a", "b"]),
    ],
    ids=str,
)
def test_labels_of_any_kind_are_classes(values: Any, classes: list[Any]) -> None:
    encoder = TableEncoder().fit({"x": [1, 2, 3, 4]}, values, "classification")
    assert (encoder.task, encoder.n_outputs) == ("classification", 2)
    assert encoder.encode_target(values).tolist() == [1, 0, 1, 0]
    decoded = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict()))).decode_target(np.eye(2))
    assert decoded.tolist() == classes
    assert {type(label) for label in decoded.tolist()} == {type(label) for label in classes}
    if isinstance(values, np.ndarray) and values.dtype.kind != "U":
        assert decoded.dtype == values.dtype


def test_regression_is_in_units() -> None:
    encoder = fitted()
    z = encoder.encode_target(TARGET)
    assert z.mean() == pytest.approx(0, abs=1e-15) and z.std() == pytest.approx(1)
    assert (encoder.task, encoder.n_outputs) == ("regression", 1)
    assert encoder.decode_target(z[:, None].astype(np.float32)) == pytest.approx(TARGET, rel=1e-6)


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([0.1, 0.2, 0.1, 0.2], "classification", "target 'y' has the value 0.1"),
        ([1, 1, 1, 1], "classification", r"target 'y' is \[1\] in all rows"),
        (["a", "a", "a", "a"], "auto", r"target 'y' is \['a'\] in all rows"),
        (["a", "b", "a", "b"], "regression", "target 'y' holds text: expected numbers"),
        ([True, False] * 2, "regression", "target 'y' holds true and false: expected numbers"),
        (["a", None, "b", "a"], "auto", "target 'y' has no value in row 1"),
        ([1.0, 2.0, np.nan, 1.0], "auto", "target 'y' has no value in row 2"),
        ([1.0, np.inf, 2.0, 1.0], "auto", "'y' is infinite in row 1"),
        ([1.0, 2.0], "auto", "target 'y' has 2 values, the table 4 rows"),
        ([1, 2, 1, 2], "clustering", "task is 'clustering': expected one of auto"),
    ],
)
def test_targets_must_suit_the_task(values: Any, task: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TableEncoder().fit(TABLE, values, task, target_name="y")


def test_unknown_labels_are_named() -> None:
    encoder = TableEncoder().fit({"x": [1, 2]}, ["a", "c"], "classification", target_name="kind")
    for values in (["a", "b"], ["a", "d"]):
        with pytest.raises(ValueError, match=f"target 'kind' is '{values[1]}' in row 1"):
            encoder.encode_target(values)
    with pytest.raises(ValueError, match="expected labels such as 'a'"):
        encoder.encode_target([1, 2])


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (np.array(["a", "b"] * 4, dtype=object), "classification"),
        (np.array([True, False]), "classification"),
        (np.arange(80) % 20, "classification"),
        (np.arange(84) % 21, "regression"),
        (np.arange(79) % 20, "regression"),
        (np.arange(80) % 2 + 0.0, "regression"),
        (np.array([2, 3, 5, 7]), "regression"),
    ],
)
def test_task_is_inferred(values: Any, task: str) -> None:
    assert infer_task("y", values) == task


def test_text_that_hardly_repeats_is_no_target() -> None:
    values = np.array([str(i) for i in range(100)] + ["12,5"], dtype=object)
    with pytest.raises(ValueError, match="target 'y' is text such as '12,5' with 101 different values in 101 rows"):
        infer_task("y", values)


# --- JSON ---


@pytest.mark.parametrize("target", [TARGET, ["a", "b", "a", "c"], [True, False, True, True], [3, 1, 3, 1]])
def test_json_brings_it_back(target: Any) -> None:
    encoder = TableEncoder(bins=7).fit(TABLE, target, target_name="y")
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict(), allow_nan=False)))
    assert again.to_dict() == encoder.to_dict()
    assert np.array_equal(again.transform(TABLE), encoder.transform(TABLE))
    outputs = normal(1, (4, encoder.n_outputs))
    assert np.array_equal(again.decode_target(outputs), encoder.decode_target(outputs))


def test_it_travels_in_the_model_file(tmp_path: Any) -> None:
    encoder = fitted()
    net = st.Network(encoder.n_features, [st.Dense(1)])
    net.preprocessing = encoder.to_dict()
    net.save(tmp_path / "net")
    assert TableEncoder.from_dict(st.load(tmp_path / "net").preprocessing).to_dict() == encoder.to_dict()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.clear(),
        lambda d: d.update(type="Other"),
        lambda d: d.update(columns=[]),
        lambda d: d.update(columns=3),
        lambda d: d.update(bins="many"),
        lambda d: d.update(target_name=None),
        lambda d: d.update(target=None),
        lambda d: d["target"].update(scale=0),
        lambda d: d["target"].update(mean="x"),
        lambda d: d["target"].update(type="Classes"),
        lambda d: d.update(target={"type": "Classes", "labels": ["b", "a"], "dtype": "object"}),
        lambda d: d.update(target={"type": "Classes", "labels": ["a"], "dtype": "object"}),
        lambda d: d.update(target={"type": "Classes", "labels": [1, 2], "dtype": "object"}),
        lambda d: d.update(target={"type": "Classes", "labels": [1, "a"], "dtype": "int64"}),
        lambda d: d.update(target={"type": "Classes", "labels": [1, 1000], "dtype": "uint8"}),
        lambda d: d.update(target={"type": "Classes", "labels": [1, 2], "dtype": "V8"}),
        lambda d: d.update(target={"type": "Classes", "labels": [1, 2], "dtype": "nonsense"}),
        lambda d: d["columns"][0].update(scale=-1),
        lambda d: d["columns"][0].update(mean=float("nan")),
        lambda d: d["columns"][0].update(edges=[1, 1]),
        lambda d: d["columns"][0].update(edges=7),
        lambda d: d["columns"][0].update(name=7),
        lambda d: d["columns"][0].update(more=7),
        lambda d: d["columns"][1].update(labels=["a", "a"]),
        lambda d: d["columns"][1].update(labels=[1, 2]),
        lambda d: d["columns"][1].update(kind="number"),
        lambda d: d["columns"].append(d["columns"][0]),
    ],
)
def test_json_of_something_else_is_refused(change: Callable[[Any], None]) -> None:
    data = json.loads(json.dumps(fitted().to_dict()))
    change(data)
    with pytest.raises(ValueError, match="the preprocessing describes no table"):
        TableEncoder.from_dict(data)


@pytest.mark.parametrize("data", [None, 3, "x", [], [1]])
def test_json_must_be_an_object(data: Any) -> None:
    with pytest.raises(ValueError, match="the preprocessing describes no table"):
        TableEncoder.from_dict(data)


def test_repr() -> None:
    assert repr(TableEncoder(bins=3)) == "TableEncoder(bins=3)"
    assert repr(fitted()) == "<TableEncoder: 4 columns -> 9 features, regression>"
    with pytest.raises(ValueError, match="bins is -1"):
        TableEncoder(bins=-1)


def test_a_class_is_read_under_its_old_name(monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.loads(json.dumps(fitted().to_dict()))
    data["columns"][0]["type"] = "Numbers"
    with pytest.raises(ValueError, match="column type is 'Numbers': expected one of NumberFeatures, LabelFeatures"):
        TableEncoder.from_dict(data)
    monkeypatch.setitem(encoder_module._RENAMED, "Numbers", "NumberFeatures")
    assert TableEncoder.from_dict(data).to_dict() == fitted().to_dict()


@pytest.mark.parametrize("kind", [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")])
def test_t11_a_target_of_times_is_refused(kind: pa.DataType) -> None:
    times = pa.array([8, 9, 10], kind)
    dates = [datetime.date(2020, 1, day) for day in (1, 2, 3)]
    for target in (pa.chunked_array([times]), dates, np.array(dates, dtype="M8[D]")):
        with pytest.raises(ValueError, match="target .* has the type .*: expected numbers, text, or true and false"):
            TableEncoder().fit({"a": [1.0, 2.0, 3.0]}, target)
