"""One function predicts batches of every kind that engines hand out."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import steepest as st


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(80),
            "a": random.normal(size=80),
            "b": random.choice(["x", "y", "z"], 80),
            "c": np.arange(80.0),
        }
    )


@pytest.fixture(scope="module")
def classifier(frame: pd.DataFrame) -> Any:
    labels = np.where(frame["a"] > 0, "up", "down")
    return st.MLPClassifier(hidden_layer_sizes=(8,), max_iter=20, random_state=0).fit(frame[["a", "b", "c"]], labels)


def batches(frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "pandas": frame,
        "arrow": pa.Table.from_pandas(frame),
        "record batch": pa.RecordBatch.from_pandas(frame),
        "arrays": {name: frame[name].to_numpy() for name in frame},
    }


def column(batch: Any, name: str) -> list[Any]:
    return list(np.asarray(batch[name]))


@pytest.mark.parametrize("kind", ["pandas", "arrow", "record batch", "arrays"])
def test_a_batch_of_each_kind(frame: pd.DataFrame, classifier: Any, kind: str) -> None:
    batch = batches(frame)[kind]
    predict = pickle.loads(pickle.dumps(st.predict_batches(classifier, proba=True, keep=["id", "c"])))
    found = predict(batch)
    assert type(found) is type(batch)
    truth = classifier.predict(frame[["a", "b", "c"]])
    assert column(found, "prediction") == truth.tolist()
    shares = classifier.predict_proba(frame[["a", "b", "c"]])
    np.testing.assert_allclose(np.stack([column(found, f"probability_{x}") for x in ("down", "up")], 1), shares)
    assert column(found, "id") == list(range(80))
    assert column(found, "c") == list(range(80))
    (again,) = predict(iter([batch]))
    assert column(again, "prediction") == truth.tolist()


def test_a_model_in_a_file_is_read_when_it_is_needed(tmp_path: Path, frame: pd.DataFrame, classifier: Any) -> None:
    path = tmp_path / "model.safetensors"
    classifier.save(path)
    predict = st.predict_batches(path)
    assert len(pickle.dumps(predict)) < 1000
    assert column(predict(frame), "prediction") == classifier.predict(frame[["a", "b", "c"]]).tolist()


def test_what_comes_out_is_known_before(frame: pd.DataFrame, classifier: Any) -> None:
    predict = st.predict_batches(classifier, proba=True)
    assert predict.columns == ["prediction", "probability_down", "probability_up"]
    assert predict.schema == "`prediction` string, `probability_down` double, `probability_up` double"
    assert list(predict.meta.columns) == predict.columns
    assert len(predict(frame[:0])) == 0
    assert predict(frame).dtypes.tolist()[1:] == predict.meta.dtypes.tolist()[1:]


def test_arrays_without_names_several_targets_and_groups() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(90, 2))
    two = st.MLPRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=0).fit(x, x * [1, 2])
    predict = st.predict_batches(two)
    assert predict.schema == "`prediction_0` double, `prediction_1` double"
    found = predict({"u": x[:, 0], "v": x[:, 1]})
    np.testing.assert_array_equal(np.stack([found["prediction_0"], found["prediction_1"]], 1), two.predict(x))
    np.testing.assert_array_equal(predict({"data": x})["prediction_0"], two.predict(x)[:, 0])

    shops = pd.DataFrame({"shop": np.repeat(["n", "s"], 45), "u": x[:, 0], "row": np.arange(90)})
    models = st.fit_groups(two, shops[["shop", "u"]], x[:, 1], by="shop")
    found = st.predict_batches(models, keep=["row"])(shops)
    assert found["row"].tolist() == list(range(90))
    np.testing.assert_array_equal(found["prediction"], models.predict(shops[["shop", "u"]]))


def test_groups_with_two_targets_and_several_labels() -> None:
    x = np.random.default_rng(0).normal(size=(90, 2))
    frame = pd.DataFrame({"shop": np.repeat(["n", "s"], 45), "u": x[:, 0], "v": x[:, 1]})
    models = st.fit_groups(st.MLPRegressor(hidden_layer_sizes=(4,), max_iter=3), frame, x * [1, 2], by="shop")
    found = st.predict_batches(models)(frame)
    np.testing.assert_array_equal(found[["prediction_0", "prediction_1"]], models.predict(frame))

    labels = (x > 0).astype(int)
    several = st.MLPClassifier(hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit(x, labels)
    predict = st.predict_batches(several)
    assert predict.schema == "`prediction_0` bigint, `prediction_1` bigint"
    found = predict({"u": x[:, 0], "v": x[:, 1]})
    np.testing.assert_array_equal(np.stack([found["prediction_0"], found["prediction_1"]], 1), several.predict(x))

    keys = st.fit_groups(st.MLPRegressor(hidden_layer_sizes=(4,), max_iter=3), x, x[:, 0], by=frame["shop"].to_numpy())
    with pytest.raises(TypeError, match="groups by keys beside the rows"):
        st.predict_batches(keys)


@pytest.mark.parametrize("labels", [np.array([1, 2], np.int32), np.array(["a", "b"], object), np.array([True, False])])
def test_arrow_has_the_types_that_were_promised(labels: Any) -> None:
    frame = pd.DataFrame({"u": np.arange(40.0), "n": np.arange(40)})
    model = st.MLPClassifier(hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit(
        frame[["u"]], labels[frame["n"] % 2]
    )
    predict, table = st.predict_batches(model, keep=["n"]), pa.Table.from_pandas(frame)
    kind = {"i": pa.int64(), "O": pa.string(), "b": pa.bool_()}[labels.dtype.kind]
    for part in (table, table[:0]):
        assert predict(part).schema == pa.schema([("n", pa.int64()), ("prediction", kind)])


def test_what_is_no_model_or_no_batch_is_refused(frame: pd.DataFrame, classifier: Any) -> None:
    with pytest.raises(TypeError, match="model is 3: expected a fitted model with predict"):
        st.predict_batches(3)
    regressor = st.MLPRegressor()
    with pytest.raises(TypeError, match="with predict_proba"):
        st.predict_batches(regressor, proba=True)
    with pytest.raises(TypeError, match="batch is 3"):
        st.predict_batches(classifier)(3)
    with pytest.raises(ValueError, match="keep has 'nr'"):
        st.predict_batches(classifier, keep=["nr"])(frame)
    with pytest.raises(ValueError, match="keep has 'prediction', and so have the predictions"):
        st.predict_batches(classifier, keep=["prediction"])(frame.assign(prediction=1))
