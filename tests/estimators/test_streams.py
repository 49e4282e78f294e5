"""Estimators fitted on streams: as on arrays where there are few rows, as well where there are many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from numpy.typing import NDArray

import steepest as st
from helpers import normal
from steepest.estimators._streaming import _lots, _Lottery
from steepest.stream import Block
from steepest.tables import DataWarning

X = normal(0, (4000, 4))
Y = np.sin(2 * X[:, 0]) + X[:, 1]
LABELS = np.where(Y > 0, "up", "down").astype("<U6")
OPTIONS: dict[str, Any] = {"random_state": 0, "max_iter": 8, "hidden_layer_sizes": (32,)}


def frame() -> pd.DataFrame:
    """A table with text and gaps."""
    found = pd.DataFrame(X, columns=list("abcd")).assign(e=np.where(X[:, 0] > 0, "u", "v"), y=Y, label=LABELS)
    found.loc[::9, "b"] = np.nan
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("days")
    for i in range(4):
        frame().iloc[i * 1000 : (i + 1) * 1000].to_parquet(path / f"{i}.parquet")
    return path


def test_few_rows_are_fitted_as_arrays_are() -> None:
    usual = st.MLPRegressor(random_state=0, max_iter=2).fit(X[:300], Y[:300])
    found = st.MLPRegressor(random_state=0, max_iter=2).fit(st.Stream((X[:300], Y[:300]), 70))
    np.testing.assert_array_equal(found.predict(X), usual.predict(X))


def test_numbers_and_labels_of_arrays() -> None:
    found = st.MLPRegressor(**OPTIONS).fit(st.Stream((X, Y), 500))
    assert found.score(X, Y) > 0.95 and found.n_features_in_ == 4
    assert found.recipe_["training_rows"] + found.recipe_["held_out_rows"] == 4000
    assert 300 < found.recipe_["held_out_rows"] < 500 and len(found.validation_scores_ or []) == 8
    chosen = st.MLPClassifier(**OPTIONS).fit(st.Stream((X, LABELS), 500))
    assert chosen.score(X, LABELS) > 0.95 and chosen.classes_.tolist() == ["down", "up"]


def test_blocks_change_the_last_digits_at_most_and_the_same_stream_nothing() -> None:
    found = [
        st.MLPRegressor(**OPTIONS | {"max_iter": 2}).fit(st.Stream((X, Y), rows, shuffle=False)).predict(X)
        for rows in (70, 4000)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)  # the mean of all targets is added up block by block
    again = [st.MLPRegressor(**OPTIONS | {"max_iter": 2}).fit(st.Stream((X, Y), 500)).predict(X) for _ in range(2)]
    np.testing.assert_array_equal(again[0], again[1])


def test_files_of_tables_with_text_and_gaps(folder: Path, tmp_path: Path) -> None:
    table = frame()
    stream = st.Stream(folder / "*.parquet", 700, target="y")
    found = st.MLPRegressor(**OPTIONS).fit(stream)
    rows = table.drop(columns="y")
    assert found.score(rows, Y) > 0.85 and found.target_name_ == "y"
    assert found.feature_names_in_.tolist() == rows.columns.tolist()
    found.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(st.load(tmp_path / "m.safetensors").predict(rows), found.predict(rows))
    labeled = st.MLPClassifier(**OPTIONS, class_weight="balanced").fit(st.Stream(folder, 700, target="label"))
    assert labeled.score(table.drop(columns="label"), LABELS) > 0.95


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_whole_labels_stay_whole(kind: str, tmp_path: Path) -> None:
    table = frame()[["a", "e"]].assign(y=(Y > 0).astype(int) + 3)
    path = tmp_path / f"t.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    found = st.MLPClassifier(**OPTIONS | {"max_iter": 1}).fit(st.Stream(path, 700, target="y"))
    assert found.classes_.tolist() == [3, 4] and found.classes_.dtype == np.int64


def test_numbers_to_predict_may_be_whole_at_first(tmp_path: Path) -> None:
    values = np.round(10 * Y)
    values[2000:] += 0.5
    pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": pd.Series(values).map("{:g}".format)}).to_csv(
        tmp_path / "t.csv", index=False
    )
    found = st.MLPRegressor(**OPTIONS).fit(st.Stream(tmp_path / "t.csv", 700, target="y"))
    assert found.score(pd.read_csv(tmp_path / "t.csv").drop(columns="y"), values) > 0.8


def test_odd_cells_are_told_once(tmp_path: Path) -> None:
    table = frame()[["a", "y"]].astype({"a": str})
    table.loc[7, "a"] = "-"
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.warns(DataWarning) as said:
        st.MLPRegressor(**OPTIONS | {"max_iter": 3}).fit(st.Stream(tmp_path / "t.csv", 700, target="y"))
    words = "column 'a': 1 of 4,000 cells are no numbers and count as missing, the first is '-' in line 9"
    assert [str(each.message) for each in said] == [words]


def test_an_index_is_no_column(tmp_path: Path) -> None:
    table = frame().iloc[np.random.default_rng(0).permutation(4000)]
    table.to_parquet(tmp_path / "t.parquet")
    assert "__index_level_0__" in pyarrow.parquet.read_schema(tmp_path / "t.parquet").names
    for source in (tmp_path / "t.parquet", [table.iloc[:2500], table.iloc[2500:]]):
        found = st.MLPRegressor(**OPTIONS | {"max_iter": 1}).fit(st.Stream(source, 700, target="y"))
        assert found.feature_names_in_.tolist() == table.columns.drop("y").tolist()


def test_the_held_out_rows_are_seen_by_nothing_else() -> None:
    """Rows to choose by are outliers, where the sample and the steps would notice them."""
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    held = _lots(seed, np.arange(4000)) < 0.1
    x = np.where(held[:, None], 1e6, X)
    found = st.MLPRegressor(**OPTIONS | {"max_iter": 2}).fit(st.Stream((x, Y), 500))
    assert found.recipe_["held_out_rows"] == held.sum()
    assert np.abs(found._model.preprocessor.scale.mean).max() < 1


def test_a_rare_label_stays_in_training() -> None:
    for place in range(0, 400, 40):
        labels = LABELS.copy()
        labels[place] = "rare"
        stream = st.Stream((X, labels), 1000)
        found = st.MLPClassifier(**OPTIONS | {"max_iter": 1}).fit(stream)
        assert found.classes_.tolist() == ["down", "rare", "up"]
        assert found.recipe_["training_rows"] + found.recipe_["held_out_rows"] == 4000


def test_weights_an_eval_set_and_callbacks() -> None:
    spoiled = np.arange(4000) % 3 == 0
    y = np.where(spoiled, 100.0, Y)
    history = st.History()
    seen: list[int] = []
    callback = st.LambdaCallback(on_epoch_end=lambda fit: seen.append(fit.rows_done))
    stream = st.Stream((X, y, np.where(spoiled, 0.0, 1.0)), 500)
    estimator = st.MLPRegressor(**OPTIONS, callbacks=[callback])
    found = estimator.fit(stream, eval_set=(X[1:500:3], Y[1:500:3]))
    assert found.score(X, Y) > 0.9 and seen == [4000] * 8 and not history
    beside = st.MLPRegressor(**OPTIONS).fit(st.Stream(X, 500), y, np.where(spoiled, 0.0, 1.0))
    assert beside.score(X, Y) > 0.9


def test_an_ensemble_and_early_stopping_off() -> None:
    found = st.MLPRegressor(**OPTIONS | {"max_iter": 2}, ensemble=2, early_stopping=False).fit(st.Stream((X, Y), 900))
    assert len(found.networks_) == 2 and found.recipe_["training_rows"] == 4000 and found.validation_scores_ is None


def torn() -> Any:
    yield X[:3000], Y[:3000]
    raise OSError("the tape is torn")


def with_text() -> Any:
    yield X[:3000], Y[:3000]
    yield np.full((5, 4), np.inf), Y[:5]


@pytest.mark.parametrize(
    ("options", "source", "kind", "message"),
    [
        ({"warm_start": True}, (X, Y), ValueError, "warm_start is True, which does not go with a stream"),
        ({"solver": "lbfgs"}, (X, Y), ValueError, "solver is 'lbfgs', which does not go with a stream"),
        ({"preset": "sklearn"}, (X, Y), ValueError, "preset is 'sklearn'"),
        ({}, torn, OSError, "the tape is torn"),
        ({}, with_text, ValueError, "with_text: .*counted from row 3000"),
        ({}, (X, Y, np.zeros(4000)), ValueError, "only rows of weight 0"),
        ({}, lambda: iter(()), ValueError, "has no rows"),
        ({}, (X, np.full(4000, np.nan)), ValueError, "y"),
    ],
)
def test_bad_streams_are_refused_and_change_nothing(
    options: dict[str, Any], source: Any, kind: type[Exception], message: str
) -> None:
    estimator = st.MLPRegressor(random_state=0, max_iter=1).fit(X[:100], Y[:100])
    estimator.set_params(**options)
    before = vars(estimator).copy()
    with pytest.raises(kind, match=message):
        estimator.fit(st.Stream(source, 500))
    assert vars(estimator) == before


def test_partial_fit_takes_rows() -> None:
    with pytest.raises(TypeError, match="X is a Stream: partial_fit expects rows"):
        st.MLPRegressor().partial_fit(st.Stream((X, Y)), None)


def test_lots_are_even_and_the_same_in_any_blocks() -> None:
    lots = _lots(5, np.arange(100_000))
    np.testing.assert_array_equal(
        np.concatenate([_lots(5, np.arange(i, i + 100)) for i in range(0, 500, 100)]), lots[:500]
    )
    assert np.abs(np.histogram(lots, 10, (0, 1))[0] - 10_000).max() < 500
    assert abs(np.corrcoef(lots, _lots(6, np.arange(100_000)))[0, 1]) < 0.02
    assert abs(np.corrcoef(lots[1:], lots[:-1])[0, 1]) < 0.02


def test_a_lottery_keeps_the_lowest_lots() -> None:
    lots, numbers = _lots(1, np.arange(1000)), np.arange(1000)
    for size in (10, 999, 1000):
        lottery = _Lottery(50)
        for start in range(0, 1000, size):
            part = slice(start, start + size)
            lottery.add(Block(numbers[part], numbers[part], None), lots[part], numbers[part])
        found = lottery.drawn()
        assert found is not None
        expected: NDArray[Any] = np.sort(np.argsort(lots)[:50])
        np.testing.assert_array_equal(found.y, expected)
        assert lottery.limit == np.sort(lots)[50]
