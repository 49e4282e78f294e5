"""Rows, targets and weights that are no numbers, to the estimators and the encoder of tables: refused, with a cure."""

from __future__ import annotations

import copy
import datetime
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import steepest as st
from helpers import normal, refusal
from steepest.tables import TableEncoder

X = normal(0, (30, 2))
LABELS = np.arange(30) % 3
HUGE = 10**400


@pytest.fixture(scope="module")
def fitted() -> Any:
    return st.MLPClassifier(max_iter=2, random_state=0).fit(X, LABELS)


def model(kind: str = "classifier") -> Any:
    return (st.MLPClassifier if kind == "classifier" else st.MLPRegressor)(max_iter=2, random_state=0)


def masked(values: Any) -> Any:
    """The values, of which row 4 is masked."""
    mask = np.zeros(np.shape(values), bool)
    mask[4] = True
    return np.ma.array(values, mask=mask)


def ways(fitted: Any, bad: Any) -> dict[str, Any]:
    """All that takes two columns of numbers as X."""
    return {
        "fit": lambda: fitted.fit(bad, LABELS),
        "partial_fit": lambda: fitted.partial_fit(bad, LABELS),
        "eval_set": lambda: fitted.fit(X, LABELS, eval_set=(bad, LABELS)),
        "predict": lambda: fitted.predict(bad),
        "predict_proba": lambda: fitted.predict_proba(bad),
        "score": lambda: fitted.score(bad, LABELS),
    }


WAYS = list(ways(None, None))


@pytest.mark.parametrize("way", WAYS)
def test_r11_masked_rows_are_refused(way: str, fitted: Any) -> None:
    with refusal(fitted, r"X is a masked array, masked at row 4, column 0 .*\.filled"):
        ways(fitted, masked(X))[way]()


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_r11_masked_targets_and_weights_are_refused(kind: str) -> None:
    fitted = model(kind).fit(X, LABELS)
    for call in (fitted.fit, fitted.partial_fit):
        with pytest.raises(ValueError, match="^y is a masked array, masked at row 4 "):
            call(X, masked(LABELS))
        with pytest.raises(ValueError, match="^sample_weight is a masked array, masked at row 4 "):
            call(X, LABELS, sample_weight=masked(np.ones(30)))
        with pytest.raises(ValueError, match="^y holds a masked value at row 4 "):
            call(X, [*LABELS[:4].tolist(), np.ma.masked, *LABELS[5:].tolist()])
    with pytest.raises(ValueError, match="^eval_set: y is a masked array"):
        model(kind).fit(X, LABELS, eval_set=(X, masked(LABELS)))
    with pytest.raises(ValueError, match="is a masked array"):
        model(kind).fit(X, LABELS).score(X, masked(LABELS))


def test_r11_where_missing_values_are_taken_masked_ones_are_missing() -> None:
    gaps = X.copy()
    gaps[4] = np.nan
    encoder = TableEncoder().fit(gaps, LABELS)
    assert TableEncoder().fit(masked(X), LABELS).to_dict() == encoder.to_dict()
    np.testing.assert_array_equal(encoder.transform(masked(X)), encoder.transform(gaps))
    columns = TableEncoder().fit({"f0": masked(X[:, 0]), "f1": masked(X[:, 1])}, LABELS)
    assert columns.to_dict() == encoder.to_dict()
    with pytest.raises(ValueError, match="no value in row 4"):
        TableEncoder().fit(X, masked(LABELS))


def test_r11_with_nothing_masked_it_is_an_array() -> None:
    plain = model().fit(X, LABELS, np.ones(30))
    other = model().fit(np.ma.array(X), np.ma.array(LABELS), np.ma.array(np.ones(30)))
    np.testing.assert_array_equal(other.predict_proba(np.ma.array(X)), plain.predict_proba(X))


TIMES = {
    "dates": np.full((30, 2), np.datetime64("2020-01-01")),
    "durations": np.full((30, 2), np.timedelta64(3, "s")),
    "no dates": np.full((30, 2), np.datetime64("NaT", "D")),
    "objects": np.full((30, 2), datetime.datetime(2020, 1, 1), dtype=object),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", TIMES)
def test_t16_dates_are_no_rows(kind: str, way: str, fitted: Any) -> None:
    with refusal(fitted, r"X has dtype .*timedelta64\(1, 'D'\)", TypeError):
        ways(fitted, TIMES[kind])[way]()


@pytest.mark.parametrize("form", [np.asarray, list, pd.Series])
@pytest.mark.parametrize("kind", TIMES)
def test_t16_dates_are_neither_targets_nor_weights(kind: str, form: Any) -> None:
    bad = form(TIMES[kind][:, 0])
    for task in ("classifier", "regressor"):
        with pytest.raises(TypeError, match=r"^y has dtype .*\.astype\(str\)"):
            model(task).fit(X, bad)
        with pytest.raises(TypeError, match="^sample_weight has dtype"):
            model(task).fit(X, LABELS, bad)
        with pytest.raises(TypeError, match="^eval_set: y has dtype"):
            model(task).fit(X, LABELS, eval_set=(X, bad))


def test_t16_a_frame_read_as_numbers_has_no_dates() -> None:
    frame = pd.DataFrame({"a": X[:, 0], "when": pd.date_range("2020", periods=30, tz="UTC")})
    with pytest.raises(TypeError, match="^X has the column 'when' of type datetime64"):
        st.MLPClassifier(max_iter=2, encode="numbers").fit(frame, LABELS)
    model().fit(frame, LABELS)  # by default its columns may be dates


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (np.zeros((30, 2), [("a", float)]), "without fields"),
        (np.full((30, 2), b"1"), "which is text"),
        (X + 1j, "complex128"),
        ([[1, 2], [HUGE, 3]] * 15, "row 1, column 0 .*which float64 cannot hold"),
        ([[1, 2], [3]] * 15, "row 0 is of length 2, row 1 of length 1"),
        (np.array([[1, {}]] * 30, dtype=object), r"row 0, column 1 .*float\(\) argument"),
    ],
    ids=["fields", "bytes", "complex", "huge", "ragged", "a dict"],
)
def test_r23_odd_rows_are_named(bad: Any, text: str, way: str, fitted: Any) -> None:
    with refusal(fitted, f"X .*{text}", (TypeError, ValueError)):  # type: ignore[arg-type]
        ways(fitted, bad)[way]()


def test_r23_odd_columns_of_a_frame_are_named_with_their_row() -> None:
    for value, text in (
        (HUGE, "column 'a' has 1000.* in row 3 .*float64"),
        (True, "column 'a' holds bool, int .*row 3"),
    ):
        column = pd.Series([1, 2, 3, value, *range(26)], dtype=object)
        frame = pd.DataFrame({"b": X[:, 0], "a": column})
        with pytest.raises(ValueError, match=text):
            model().fit(frame, LABELS)
        with pytest.raises(ValueError, match=text):
            TableEncoder().fit(frame, LABELS)
        with pytest.raises(ValueError, match=text):
            TableEncoder().fit({"a": column}, LABELS)
        with pytest.raises(ValueError, match=text.replace("'a'", "'target'")):
            TableEncoder().fit(frame[["b"]], column)
    fitted = model().fit(pd.DataFrame({"b": X[:, 0], "a": X[:, 1]}), LABELS)
    with pytest.raises(ValueError, match="X has no real number at row 3, column 'a'"):
        fitted.predict(pd.DataFrame({"b": X[:, 0], "a": pd.Series([1, 2, 3, HUGE, *range(26)], dtype=object)}))


def test_r23_whole_numbers_beyond_64_bits_are_numbers() -> None:
    ids = [2**70 + i for i in range(30)]
    encoder = TableEncoder().fit(pd.DataFrame({"id": ids, "b": X[:, 0]}), LABELS)
    floats = TableEncoder().fit({"id": np.array(ids, float), "b": X[:, 0]}, LABELS)
    assert encoder.to_dict() == floats.to_dict()


@pytest.mark.parametrize("task", ["classifier", "regressor"])
def test_r32_the_name_of_a_file_is_no_rows(task: str) -> None:
    for name in ("a.csv", b"a.csv"):
        with pytest.raises(TypeError, match=r"^X is b?'a\.csv': expected an array.*steepest\.tables\.read"):
            model(task).fit(name, LABELS)
        with pytest.raises(TypeError, match=r"^y is b?'a\.csv': expected an array"):
            model(task).fit(X, name)
        with pytest.raises(TypeError, match=r"^X is b?'a\.csv': expected an array"):
            model(task).fit(X, LABELS).predict(name)


@pytest.mark.parametrize("wrong", [{"a": 1}, {1.0, 2.0}, object()], ids=["dict", "set", "object"])
@pytest.mark.parametrize("name", ["X", "sample_weight"])
def test_what_is_no_array_is_named(name: str, wrong: Any) -> None:
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6) % 2
    with pytest.raises((TypeError, ValueError), match="number|dimension|shape"):
        st.MLPClassifier(max_iter=1).fit(**{"X": x, "y": y, name: wrong})


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_t18_a_network_taken_out_says_that_the_scaling_stays_behind(kind: str, tmp_path: Path) -> None:
    fitted = model(kind).fit(X, LABELS)
    fitted.save(tmp_path / "model")
    network = fitted.network_
    copies = [network.copy(), copy.copy(network), copy.deepcopy(network), pickle.loads(pickle.dumps(network))]
    for each in (network, *copies, st.load(tmp_path / "model").network_, copy.deepcopy(fitted).network_):
        with pytest.warns(UserWarning, match=rf"within a {type(fitted).__name__}: scaling .* stay behind"):
            each.save(tmp_path / "network")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        st.load(tmp_path / "network").save(tmp_path / "again")  # that is a network of its own
