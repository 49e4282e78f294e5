"""Sparse rows, and data frames of every kind, as the estimators take or refuse them."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import steepest as st
from helpers import normal, refusal

QUICK: dict[str, Any] = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
N = 60
INTS = np.random.default_rng(0).integers(0, 5, N)
FLOATS = normal(0, (N,))
Y = INTS + normal(1, (N,))


def weights_of(model: Any) -> list[list[float]]:
    return [array.tolist() for array in model.coefs_ + model.intercepts_]


# --- Sparse rows ---

SPARSE = scipy.sparse.random(300, 40, 0.2, "csr", dtype=np.float32, random_state=0)
SUMS = np.asarray(SPARSE.sum(axis=1)).ravel()


def long_indices(rows: Any) -> Any:
    copy = rows.copy()
    copy.indices, copy.indptr = copy.indices.astype(np.int64), copy.indptr.astype(np.int64)
    return copy


def unsorted(rows: Any) -> Any:
    copy = rows.copy()
    for first, last in zip(copy.indptr, copy.indptr[1:], strict=False):
        copy.indices[first:last] = copy.indices[first:last][::-1].copy()
        copy.data[first:last] = copy.data[first:last][::-1].copy()
    copy.has_sorted_indices = False
    return copy


def duplicated(rows: Any) -> Any:
    """Every number as two halves."""
    parts = np.repeat(rows.data / 2, 2), np.repeat(rows.indices, 2), rows.indptr * 2
    return scipy.sparse.csr_matrix(parts, shape=rows.shape)


FORMS = {
    "csr": scipy.sparse.csr_matrix,
    "csr array": scipy.sparse.csr_array,
    "csc": scipy.sparse.csc_matrix,
    "csc array": scipy.sparse.csc_array,
    "coo": scipy.sparse.coo_matrix,
    "int64 indices": long_indices,
    "unsorted indices": unsorted,
    "duplicate indices": duplicated,
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, {"preset": "sklearn"}, {"solver": "lbfgs"}], ids=str)
def test_sparse_rows_are_as_dense_ones(form: str, options: dict[str, Any]) -> None:
    options = QUICK | {"shuffle": False, "early_stopping": False} | options
    dense = st.MLPRegressor(**options).fit(SPARSE.toarray(), SUMS)
    rows = FORMS[form](SPARSE)
    untouched = rows.copy()
    model = st.MLPRegressor(**options).fit(rows, SUMS)
    assert weights_of(model) == weights_of(dense)
    np.testing.assert_array_equal(model.predict(rows), dense.predict(SPARSE.toarray()))
    np.testing.assert_array_equal(dense.predict(rows), dense.predict(SPARSE.toarray()))
    assert abs(rows - untouched).max() == 0


def test_wide_sparse_rows_stay_sparse() -> None:
    rows = scipy.sparse.random(600, 20_000, 10 / 20_000, "csr", dtype=np.float32, random_state=0)
    model = st.MLPClassifier(hidden_layer_sizes=(2,), max_iter=1, batch_size=32, early_stopping=False, random_state=0)
    tracemalloc.start()
    model.fit(rows, np.arange(600) % 2).predict(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20  # a batch is 2.4 MiB, all rows 46 MiB


def test_odd_sparse_rows_are_refused() -> None:
    model = st.MLPRegressor(**QUICK).fit(SPARSE, SUMS)
    spoilt = SPARSE.tolil()
    spoilt[7, 1] = np.nan
    for rows, message in [
        (spoilt.tocsr(), r"X contains NaN at row 7, column 1 \(the first row is 0\)"),
        (SPARSE[:, :30], "30 features"),
        (SPARSE.astype(complex), "Complex"),
    ]:
        with refusal(model, message):
            model.predict(rows)
        with refusal(model, message):
            model.partial_fit(rows, SUMS[: rows.shape[0]])
    with refusal(model, "inconsistent"):
        model.fit(SPARSE, SUMS[:9])


# --- Columns of data frames ---

TEXT = np.array(["x", "y"])[INTS % 2]
COLUMNS: dict[str, tuple[Any, Any]] = {  # and what it is the same as
    "Int64": (pd.array(INTS, dtype="Int64"), INTS),
    "UInt8": (pd.array(INTS, dtype="UInt8"), INTS),
    "Float64": (pd.array(FLOATS, dtype="Float64"), FLOATS),
    "boolean": (pd.array(INTS > 2, dtype="boolean"), INTS > 2),
    "arrow integers": (pd.array(INTS, dtype="int64[pyarrow]"), INTS),
    "arrow floats": (pd.array(FLOATS, dtype="double[pyarrow]"), FLOATS),
    "arrow text": (pd.array(TEXT, dtype="string[pyarrow]"), TEXT),
    "category": (pd.Categorical(TEXT), TEXT),
    "category in its own order": (pd.Categorical(TEXT, ["y", "x", "z"]), TEXT),
    "category of numbers": (pd.Categorical(INTS), np.char.add("c", INTS.astype(str))),
    "intervals": (
        pd.cut(INTS, [-1, 2, 4, 9]),
        np.array(["(-1, 2]", "(2, 4]", "(4, 9]"])[np.searchsorted([2, 4, 9], INTS)],
    ),
    "sparse": (pd.arrays.SparseArray(FLOATS), FLOATS),
    "objects": (INTS.astype(object), INTS),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_are_what_they_say(kind: str) -> None:
    column, same = COLUMNS[kind]
    frames = [pd.DataFrame({"a": values, "b": FLOATS, "c": TEXT}) for values in (column, same)]
    models = [st.MLPRegressor(**QUICK).fit(frame, Y) for frame in frames]
    assert weights_of(models[0]) == weights_of(models[1])
    assert models[0].feature_names_in_.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(models[0].predict(frames[0]), models[1].predict(frames[1]))


@pytest.mark.parametrize("kind", ["Int64", "Float64", "boolean", "arrow integers", "arrow floats", "objects"])
def test_numbers_alone_are_plain_numbers(kind: str) -> None:
    column, same = COLUMNS[kind]
    model, plain = (
        st.MLPRegressor(**QUICK, encode="numbers").fit(pd.DataFrame({"a": values, "b": FLOATS}), Y)
        for values in (column, np.asarray(same, float))
    )
    assert model.recipe_["features"] == "standardized" and weights_of(model) == weights_of(plain)
    holes = pd.Series(column).copy()
    holes[7] = None
    frame = pd.DataFrame({"b": FLOATS, "a": holes})
    with refusal(model, r"X contains NaN at row 7, column 'a' .*encode='auto'"):
        model.fit(frame, Y)
    with refusal(model, r"X contains NaN at row 7, column 'a'"):
        model.predict(frame[["a", "b"]])
    assert st.MLPRegressor(**QUICK).fit(frame, Y).recipe_["features"] == "table"


@pytest.mark.parametrize("kind", ["category", "arrow text"])
def test_text_is_named_where_numbers_are_wanted(kind: str) -> None:
    frame = pd.DataFrame({"b": FLOATS, "a": COLUMNS[kind][0]})
    with refusal(model := st.MLPRegressor(**QUICK, encode="numbers"), "X has text at row 0, column 'a'.*encode='auto'"):
        model.fit(frame, Y)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1]] * N, "column 'a' has the type list"),
        (FLOATS + 1j, "column 'a' has the type complex128"),
        ([1, "a"] * (N // 2), r"column 'a' holds int, str \('a' in row 1"),
        (np.where(np.arange(N) == 7, np.inf, FLOATS), "column 'a' is infinite in row 7"),
    ],
    ids=str,
)
def test_columns_of_other_kinds_are_refused(values: Any, message: str) -> None:
    good = pd.DataFrame({"a": FLOATS, "c": TEXT})
    model = st.MLPRegressor(**QUICK).fit(good, Y)
    with refusal(model, message):
        model.fit(good.assign(a=values), Y)
    with refusal(model, message):
        model.partial_fit(good.assign(a=values), Y)


# --- Names of columns ---

NUMBERS = pd.DataFrame({"a": FLOATS, "b": INTS})
MIXED = NUMBERS.assign(c=TEXT)


def test_names_go_by_name_where_a_table_is_encoded() -> None:
    model = st.MLPRegressor(**QUICK).fit(MIXED, Y)
    expected = model.predict(MIXED)
    np.testing.assert_array_equal(model.predict(MIXED[["c", "b", "a"]]), expected)
    np.testing.assert_array_equal(model.predict(MIXED.assign(more=1)), expected)
    turned = pd.DataFrame(MIXED[["c", "b", "a"]])
    online = [st.MLPRegressor(**QUICK).fit(MIXED, Y).partial_fit(frame, Y) for frame in (MIXED, turned)]
    assert weights_of(online[0]) == weights_of(online[1])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(model.predict(MIXED.to_numpy()), expected)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (NUMBERS[["b", "a"]], "same order"),
        (NUMBERS[["a"]], "now missing:\n- b"),
        (NUMBERS.assign(z=1), "unseen at fit time:\n- z"),
        (NUMBERS.rename(columns={"a": "q"}), "unseen at fit time:\n- q"),
        (NUMBERS[["a", "a"]], "unique column names.*\n- 'a'"),
    ],
    ids=["turned", "fewer", "more", "renamed", "twice"],
)
def test_other_names_are_listed(frame: pd.DataFrame, message: str) -> None:
    model = st.MLPRegressor(**QUICK).fit(NUMBERS, Y).partial_fit(NUMBERS, Y)
    for call in (lambda: model.predict(frame), lambda: model.partial_fit(frame, Y)):
        with refusal(model, message):
            call()


def test_other_names_of_a_table_are_listed() -> None:
    model = st.MLPRegressor(**QUICK).fit(MIXED, Y)
    for frame, message in [
        (MIXED[["a"]], "no column 'b', 'c', which the model was trained on: found a"),
        (MIXED.rename(columns={"a": "q"}), "no column 'a', which the model was trained on: found q, b, c"),
        (MIXED[["a", "a", "c"]], "'a'"),
        (MIXED.assign(a="text"), "column 'a' is text such as 'text': expected numbers"),
    ]:
        with refusal(model, message):
            model.predict(frame)
        with refusal(model, message):
            model.partial_fit(frame, Y)


def test_arrays_and_frames_of_numbers_are_the_same() -> None:
    model = st.MLPRegressor(**QUICK).fit(NUMBERS, Y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(model.predict(NUMBERS.to_numpy(float)), model.predict(NUMBERS))
    assert weights_of(st.MLPRegressor(**QUICK).fit(NUMBERS.to_numpy(float), Y)) == weights_of(model)


@pytest.mark.parametrize("frame", [NUMBERS, MIXED], ids=["numbers", "mixed"])
def test_names_are_kept_only_if_all_are_text(frame: pd.DataFrame) -> None:
    assert st.MLPRegressor(**QUICK).fit(frame, Y).feature_names_in_.tolist() == frame.columns.tolist()
    numbered = frame.set_axis(range(frame.shape[1]), axis=1)
    model = st.MLPRegressor(**QUICK).fit(numbered, Y)
    assert not hasattr(model, "feature_names_in_") and np.isfinite(model.predict(numbered)).all()
    with refusal(model, "string names", TypeError):
        model.fit(frame.set_axis(["a", *range(1, frame.shape[1])], axis=1), Y)
