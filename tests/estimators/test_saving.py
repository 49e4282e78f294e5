"""Estimators in files: what comes back is what was saved, and a file that is wrong is refused by its name."""

from __future__ import annotations

import copy
import functools
import json
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray
from safetensors.numpy import save
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import steepest as st
from helpers import are_refused_in_little_memory, fits_with_bins, normal
from steepest import MLPClassifier, MLPRegressor
from steepest._model_file import read_model

N = 60
X = normal(0, (N, 3))
Y = X[:, 0] - 2 * X[:, 1]
CLASSES = np.digitize(Y, [-1, 1])
QUICK = {"max_iter": 3, "hidden_layer_sizes": (4,), "random_state": 0}

Fit = tuple[Any, Any, Any]  # estimator, X, y


def squares(y: NDArray[Any], prediction: NDArray[Any]) -> tuple[Any, Any]:
    """A loss of a user's own."""
    return (prediction - y) ** 2, 2 * (prediction - y)


def margins(y: NDArray[Any], logits: NDArray[Any]) -> tuple[Any, Any]:
    """The loss of a user's own for classes: squares again."""
    away = logits - np.eye(logits.shape[1])[y]
    return (away**2).sum(axis=1), 2 * away


def own_rate(step: int) -> float:
    """A learning rate of a user's own."""
    return 0.01 / (step + 1)


class OwnSchedule(st.schedules.constant):
    """A schedule that no file can describe."""


def frame() -> Any:
    """Numbers, text, booleans and dates; values missing."""
    import pandas as pd

    return pd.DataFrame(
        {
            "size": np.where(X[:, 0] > 1, np.nan, X[:, 0]),
            "kind": np.where(X[:, 1] > 1, None, np.where(X[:, 1] > 0, "ä", "b")),
            "new": X[:, 2] > 0,
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N), "D"),
        }
    )


def arrow() -> Any:
    import pyarrow

    return pyarrow.Table.from_pandas(frame())


def named_target() -> Any:
    import pandas as pd

    return pd.Series(Y, name="price")


def labels(values: list[Any], dtype: Any = None) -> NDArray[Any]:
    return np.array(values, dtype=dtype)[CLASSES % len(values)]


def classifier(x: Any = X, y: Any = CLASSES, **options: Any) -> Fit:
    return MLPClassifier(**QUICK | options), x, y


def regressor(x: Any = X, y: Any = Y, **options: Any) -> Fit:
    return MLPRegressor(**QUICK | options), x, y


MAKE: dict[str, Callable[[], Fit]] = {
    "classifier": classifier,
    "regressor": regressor,
    "defaults": lambda: (MLPRegressor(max_iter=2, random_state=0), X, Y),
    "bins": lambda: regressor(normal(1, (2100, 3)), normal(2, (2100,))),  # as of versions up to 0.5
    "embeddings": lambda: regressor(normal(1, (2100, 3)), normal(2, (2100,))),  # fewer rows have none
    "ensemble of classifiers": lambda: classifier(ensemble=3),
    "ensemble of regressors": lambda: regressor(ensemble=2),
    "frame": lambda: classifier(frame()),
    "frame, name of the target": lambda: regressor(frame(), named_target()),
    "arrow": lambda: regressor(arrow()),
    "many outputs": lambda: regressor(y=np.stack([Y, -Y, Y**2], axis=1)),
    "two outputs of one ensemble": lambda: regressor(y=np.stack([Y, -Y], axis=1), ensemble=2),
    "multilabel": lambda: classifier(y=np.stack([Y > 0, Y > 1, X[:, 2] > 0], axis=1).astype(int)),
    "multilabel, ensemble": lambda: classifier(y=np.stack([Y > 0, Y > 1], axis=1).astype(int), ensemble=2),
    "sparse": lambda: classifier(csr_matrix(X * (X > 0))),
    "preset": lambda: regressor(preset="sklearn"),
    "preset, two classes": lambda: classifier(y=(Y > 0).astype(int), preset="sklearn"),
    "preset, early stopping": lambda: classifier(preset="sklearn", early_stopping=True),
    "lbfgs": lambda: regressor(solver="lbfgs"),
    "poisson": lambda: regressor(y=np.floor(np.abs(Y)), loss="poisson"),
    "huber": lambda: regressor(loss="huber", delta=0.5),
    "quantile": lambda: regressor(loss="quantile", quantile=0.9),
    "own loss": lambda: regressor(loss=squares),
    "own loss of classes": lambda: classifier(loss=margins),
    "own loss without a name": lambda: regressor(loss=functools.partial(squares)),
    "text": lambda: classifier(y=labels(["a", "ßx", "c"])),
    "text, wide": lambda: classifier(y=labels(["a", "b", "c"], "<U40")),
    "text, the other order of bytes": lambda: classifier(y=labels(["a", "b", "c"], ">U3")),
    "text, objects": lambda: classifier(y=labels(["a", "b", "c"], object)),
    "int8": lambda: classifier(y=labels([-5, 3, 7], np.int8)),
    "uint64": lambda: classifier(y=labels([0, 3, 2**64 - 1], np.uint64)),
    "bool": lambda: classifier(y=Y > 0),
    "float32": lambda: classifier(y=labels([-1.0, 0.0, 2.0], np.float32)),
    "float64 rows": lambda: regressor(X.astype(np.float32)),
    "optimizer": lambda: regressor(optimizer=st.RMSprop(st.schedules.cosine(0.01, final=1e-3), clip_norm=1.0)),
    "schedule": lambda: classifier(lr=st.schedules.one_cycle(0.01)),
    "own rate": lambda: regressor(lr=own_rate),
    "own rate of an optimizer": lambda: regressor(optimizer=st.SGD(own_rate)),
    "own schedule": lambda: regressor(lr=OwnSchedule(0.01)),
    "class weights": lambda: classifier(class_weight={0: 1.0, 1: 2.5, 2: np.float32(0.5)}),
    "class weights of text": lambda: classifier(y=labels(["a", "b"]), class_weight={"a": 1, "b": 3}),
    "early stopping": lambda: classifier(early_stopping=True, n_iter_no_change=np.inf),
    "own metric": lambda: regressor(eval_metric=(squares_mean, "min"), early_stopping=True),
    "callbacks": lambda: regressor(callbacks=[st.LambdaCallback()]),
    "averages": lambda: regressor(ema=0.9, batch_norm=True, dropout=0.1),
    "layers": lambda: regressor(hidden_layer_sizes=[5, 4], activation=["tanh", "relu"], layer_norm=True),
    "random state": lambda: regressor(random_state=np.random.RandomState(0)),
}  # fmt: skip


def squares_mean(y: NDArray[Any], prediction: NDArray[Any]) -> float:
    """A metric of a user's own."""
    return float(np.mean((y - prediction) ** 2))


ATTRIBUTES = (
    "n_iter_", "t_", "loss_", "best_loss_", "loss_curve_", "validation_scores_", "best_validation_score_", "recipe_",
    "classes_", "n_features_in_", "feature_names_in_", "target_name_", "n_layers_", "n_outputs_", "out_activation_",
    "coefs_", "intercepts_",
)  # fmt: skip
OWN_FUNCTIONS = {
    "own loss": "squares", "own loss of classes": "margins", "own loss without a name": "partial",
    "own rate": "own_rate", "own rate of an optimizer": "SGD", "own schedule": "OwnSchedule",
    "own metric": "squares_mean",
}  # fmt: skip


def fitted(kind: str) -> Fit:
    model, x, y = MAKE[kind]()
    with way_of_fitting(kind):
        return model.fit(x, y), x, y


def way_of_fitting(kind: str) -> AbstractContextManager[Any]:
    return fits_with_bins() if kind == "bins" else nullcontext()


def assert_same_value(found: Any, expected: Any, what: str) -> None:
    """Assert that two values are equal to the bit, and of one type."""
    if isinstance(expected, np.ndarray):
        assert type(found) is np.ndarray and found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("="), what
        assert np.array_equal(found, expected), what
    elif isinstance(expected, (list, tuple)):
        assert type(found) is type(expected) and len(found) == len(expected), what
        for one, other in zip(found, expected, strict=True):
            assert_same_value(one, other, what)
    else:
        assert type(found) is type(expected) and found == expected, what


def assert_same(found: Any, expected: Any, x: Any) -> None:
    """Assert that two estimators predict the same, to the bit, and say the same of their fit."""
    assert type(found) is type(expected)
    for name in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(expected, name):
            assert_same_value(getattr(found, name)(x), getattr(expected, name)(x), name)
    for name in ATTRIBUTES:
        assert hasattr(found, name) == hasattr(expected, name), name
        if hasattr(expected, name):
            assert_same_value(getattr(found, name), getattr(expected, name), name)
    assert len(found.histories_) == len(expected.histories_)
    for one, other in zip(found.histories_, expected.histories_, strict=True):
        assert {*one} - {"seconds"} == {*other} - {"seconds"}
        assert (one.monitor, one.mode, one.best_epoch) == (other.monitor, other.mode, other.best_epoch)
        assert all(np.array_equal(one[name], other[name], equal_nan=True) for name in one if name != "seconds")


pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.parametrize("kind", MAKE)
def test_what_is_loaded_is_what_was_saved(kind: str, tmp_path: Path) -> None:
    model, x, y = fitted(kind)
    model.save(tmp_path / "first")
    loaded = st.load(tmp_path / "first")
    assert_same(loaded, model, x)

    loaded.save(tmp_path / "second")
    assert (tmp_path / "second").read_bytes() == (tmp_path / "first").read_bytes()

    again = clone(loaded)
    assert not hasattr(again, "n_iter_")
    if kind in OWN_FUNCTIONS:
        for call in (again.fit, loaded.fit, *([loaded.partial_fit] if kind != "own metric" else [])):
            with pytest.raises((TypeError, ValueError), match=f"function .*{OWN_FUNCTIONS[kind]}"):
                call(x, y)
        assert_same(loaded, model, x)
        return
    if kind not in ("callbacks", "random state"):  # the others are kept, so that another fit is the same
        with way_of_fitting(kind):
            assert_same(again.fit(x, y), model, x)
    if kind != "lbfgs":
        assert loaded.partial_fit(x, y).n_iter_ == model.n_iter_ + 1
    loaded.set_params(warm_start=True).fit(x, y)
    loaded.save(tmp_path / "second")
    assert_same(st.load(tmp_path / "second"), loaded, x)


@pytest.mark.parametrize("kind", ["classifier", "ensemble of regressors", "frame", "own loss", "early stopping"])
def test_the_same_fit_writes_the_same_bytes(kind: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        fitted(kind)[0].save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize(("kind", "function"), [("own loss", squares), ("own loss of classes", margins)])
def test_a_function_given_anew_is_trained_by(kind: str, function: Any, tmp_path: Path) -> None:
    model, x, y = fitted(kind)
    model.save(tmp_path / "model")
    loaded = st.load(tmp_path / "model").set_params(loss=function)
    loaded.partial_fit(x, y)
    assert loaded.recipe_["loss"] == f"function {function.__name__}"
    assert_same(loaded, model.partial_fit(x, y), x)


def test_other_losses_after_a_function(tmp_path: Path) -> None:
    model, x, y = fitted("own loss")
    model.save(tmp_path / "model")
    loaded = st.load(tmp_path / "model")
    with pytest.raises(ValueError, match="loss is 'poisson' after 'function squares'"):
        loaded.set_params(loss="poisson").partial_fit(x, np.abs(y))
    assert loaded.set_params(loss="absolute_error").partial_fit(x, y).recipe_["loss"] == "mae"


def test_after_partial_fit(tmp_path: Path) -> None:
    model = MLPClassifier(random_state=0).partial_fit(X[:5], CLASSES[:5], classes=[0, 1, 2]).partial_fit(X, CLASSES)
    model.save(tmp_path / "model")
    loaded = st.load(tmp_path / "model")
    assert_same(loaded, model, X)
    assert loaded.partial_fit(X, CLASSES).n_iter_ == 3


def test_another_process_predicts_the_same(tmp_path: Path) -> None:
    model, x, _ = fitted("ensemble of classifiers")
    model.save(tmp_path / "model")
    np.save(tmp_path / "x.npy", x)
    code = "import sys, numpy as np, steepest as st; m, x = sys.argv[1:]; p = st.load(m).predict_proba(np.load(x)); "
    run = subprocess.run(
        [sys.executable, "-c", code + "print(p.tobytes().hex())", tmp_path / "model", tmp_path / "x.npy"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert run.stdout.strip() == model.predict_proba(x).tobytes().hex()


def test_the_network_alone_warns(tmp_path: Path) -> None:
    model = fitted("regressor")[0]
    with pytest.warns(UserWarning, match=r"network within a MLPRegressor: scaling .* MLPRegressor\.save") as caught:
        model.network_.save(tmp_path / "network")
    assert caught[0].filename == __file__
    assert isinstance(st.load(tmp_path / "network"), st.Network)
    model.save(tmp_path / "model")
    with pytest.warns(UserWarning, match="scaling"):
        st.load(tmp_path / "model").network_.save(tmp_path / "network")
    st.Network(1, [st.Dense(1)]).save(tmp_path / "network")  # silently


# --- What is not saved ---


@pytest.mark.parametrize("make", [MLPClassifier, MLPRegressor])
def test_an_unfitted_estimator_is_not_saved(make: Any, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"older")
    with pytest.raises(NotFittedError, match=make.__name__):
        make().save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == b"older"


def with_labels(classes: NDArray[Any]) -> MLPClassifier:
    """A fitted classifier of other labels than any fit takes."""
    model = fitted("classifier")[0]
    model._model.task.__dict__["classes"] = classes
    return model  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (np.array([b"a", b"b", b"c"]), r"classes_ has the type \|S1: expected text, true and false or numbers"),
        (np.array([1, "a", 2.0], object), "classes_ has the type object: expected text"),
        (np.array(["a", None, "b"], object), "classes_ has the type object: expected text"),
        (np.array(["a", "b", "c"], "<U99999").repeat(200), "classes_ has 239997600 bytes: expected 67108864"),
        (np.array([1, 2, 3], "M8[s]"), "classes_ has the type datetime64"),
    ],
)
def test_labels_that_no_file_can_hold(classes: NDArray[Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"older")
    with pytest.raises(ValueError, match=message):
        with_labels(classes).save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == b"older"
    assert os.listdir(tmp_path) == ["model"]


def test_labels_of_bytes_from_a_fit(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"older")
    with pytest.raises((TypeError, ValueError), match=r"bytes|type \|S1"):
        MLPClassifier(**QUICK).fit(X, labels([b"a", b"b"])).save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == b"older"


def test_a_save_that_fails_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, _ = fitted("classifier")
    model.save(tmp_path / "model")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "fsync", full)
        fitted("regressor")[0].save(tmp_path / "model")
    assert_same(st.load(tmp_path / "model"), model, x)
    with pytest.raises(IsADirectoryError, match="is a folder: expected a file"):
        model.save(tmp_path)
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "no folder" / "model")


# --- Files that are wrong ---

HOSTILE = ("classifier", "frame, name of the target", "poisson", "bins", "early stopping", "multilabel")
Change = Callable[[dict[str, Any], dict[str, Any]], None]  # of the metadata and the tensors


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], dict[str, Any], bytes]]:
    """Files that are right, by kind: metadata, tensors, bytes."""
    found = {}
    for kind in HOSTILE:
        path = tmp_path_factory.mktemp("saved") / "model"
        fitted(kind)[0].save(path)
        tensors, metadata = read_model(path)
        found[kind] = metadata, tensors, path.read_bytes()
    assert "scale.bin_start" in found["bins"][1]
    return found


def refused(path: Path, data: bytes | None = None) -> str:
    """Assert that a file is refused at once by a ValueError that begins with its name; return the rest of it."""
    if data is not None:
        path.write_bytes(data)
    start = time.process_time()  # what it does, not what the machine does besides
    with pytest.raises(ValueError) as caught:
        st.load(path)
    assert time.process_time() - start < 2
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    return message


def refused_change(path: Path, good: tuple[dict[str, Any], dict[str, Any], bytes], change: Change) -> str:
    metadata, tensors = copy.deepcopy(good[0]), dict(good[1])
    change(metadata, tensors)
    written(path, metadata, tensors)
    return refused(path)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value within JSON, the way of each before the ways within it."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    found = [] if not path else [path]
    for key, value in items:
        found += places(value, (*path, key))
    return found


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        data = data[key]
    return data


def is_free(path: tuple[Any, ...]) -> bool:
    """Whether a value may be any: parameters, which another fit checks, and what is for people."""
    return path[0] == "version" or (len(path) > 2 and path[1] in ("parameters", "recipe"))


@pytest.mark.parametrize("kind", HOSTILE)
def test_every_field_is_needed(kind: str, saved: Any, tmp_path: Path) -> None:
    for path in places(saved[kind][0]):
        if is_free(path) or isinstance(path[-1], int):
            continue
        if {"layers", "columns", "target"} & {*path[2:-1]} and path[-1] != "type":
            continue  # values with defaults of their own
        refused_change(tmp_path / "model", saved[kind], lambda m, _, path=path: at(m, path).pop(path[-1]))


WRONG = [-1, 1e308, float("1e999"), 2**63, 10**4000, "nonsense", [], {}, [[]], {"a": 1}, [None], {"dict": [1]}]


class Odd:
    """JSON that no json.dumps would write."""

    def __init__(self, text: str) -> None:
        self.text = text


def written(path: Path, metadata: dict[str, Any], tensors: dict[str, Any]) -> None:
    """Write a model file whose metadata may hold NaN and infinity, and texts of JSON in place of values."""
    data = save({name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()})
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    odd: list[str] = []

    def take(value: Odd) -> str:
        odd.append(value.text)
        return f"@{len(odd) - 1}@"

    text = json.dumps(metadata, default=take)
    for i, what in enumerate(odd):
        text = text.replace(f'"@{i}@"', what)
    header["__metadata__"] = {"steepest": text}
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data[8 + size :])


DEEP = 10_000
ODD = [Odd("NaN"), Odd("[" * DEEP + "]" * DEEP), Odd('{"a":' * DEEP + "1" + "}" * DEEP)]
# Of these another value of the same type may be as good.
FREE = {
    "target_name", "feature_names_in", "labels", "mean", "scale", "eps", "name", "edges", "recipe", "parameters",
    "histories", "t", "n_iter", "seed", "bins", "rows", "missing", "different", "left_out", "warns", "numbers",
    "remarks", "sentinel", "quantiles",
}  # fmt: skip


def may_be(place: tuple[Any, ...], before: Any, value: Any) -> bool:
    """Whether a value may be as good as the one before."""
    same = isinstance(value, (int, float)) if isinstance(before, float) else type(value) is type(before)
    same |= place[-1] == "sentinel" and isinstance(value, (int, float)) and not isinstance(value, bool)
    same |= (place[-1] == "target_name" and isinstance(value, str)) or (before == [] and value == {})
    return is_free(place) or bool(same and FREE & {*place[-2:]})


@pytest.mark.parametrize("kind", ["classifier", "frame, name of the target", "bins"])
def test_no_field_of_another_type(kind: str, saved: Any, tmp_path: Path) -> None:
    metadata, tensors, _ = saved[kind]
    path = tmp_path / "model"
    for place in places(metadata):
        before = at(metadata, place)[place[-1]]
        for value in [*WRONG, *ODD]:
            changed = copy.deepcopy(metadata)
            at(changed, place)[place[-1]] = value
            written(path, changed, tensors)
            if not may_be(place, before, value):
                refused(path)
                continue
            try:
                st.load(path)
            except ValueError as error:
                assert str(error).startswith(f"{path}: ")


def update(*way: Any, **values: Any) -> Change:
    """A change of some fields of the estimator's description."""

    def change(metadata: dict[str, Any], tensors: dict[str, Any]) -> None:
        at(metadata, ("estimator", *way, "")).update(values)

    return change


def tensor(**values: Any) -> Change:
    """A change of some tensors: "__" stands for a point."""
    return lambda metadata, tensors: tensors.update({k.replace("__", "."): v for k, v in values.items()})


NETWORK = ("networks", 0)
WRONG_VALUES: dict[str, tuple[str, Change, str]] = {
    "format": ("classifier", lambda m, t: m.update(format=3), "estimator format 3, written by"),
    "format, of a network": ("classifier", lambda m, t: m.update(format=1), "estimator format 1"),
    "format, a float": ("classifier", lambda m, t: m.update(format=2.0), "estimator format 2.0"),
    "type": ("classifier", update(type="BaseEstimator"), "estimator type is 'BaseEstimator'"),
    "type, of numbers": ("classifier", update(type="MLPRegressor"), "task type is 'Classification'|parameter"),
    "task": ("poisson", update("task", type="Classification"), "task type is 'Classification'"),
    "unknown parameter": ("poisson", update("parameters", alfa=1), "parameter 'alfa'"),
    "parameter of two kinds": ("poisson", update("parameters", alpha={"float": "inf", "x": 1}), "one entry"),
    "parameter of no kind": ("poisson", update("parameters", alpha={"class": "os.system"}), "kind of value"),
    "parameter, a bad float": ("poisson", update("parameters", alpha={"float": "1"}), "float is '1'"),
    "parameter, a text as tuple": ("poisson", update("parameters", alpha={"tuple": "ab"}), "tuple is a str"),
    "parameter, an odd dict": ("poisson", update("parameters", alpha={"dict": [[[1], 2]]}), "unhashable|hash"),
    "parameter, no function": ("poisson", update("parameters", loss={"function": 3}), "function is 3"),
    "unknown optimizer": ("poisson", update("parameters", optimizer={"optimizer": {"type": "X"}}), "optimizer type"),
    "unknown schedule": ("poisson", update("parameters", lr={"schedule": {"type": "os"}}), "schedule type"),
    "labels unsorted": ("classifier", update("task", labels=[1, 0, 2]), "sorted and different"),
    "labels twice": ("classifier", update("task", labels=[0, 0, 2]), "sorted and different"),
    "labels mixed": ("classifier", update("task", labels=[0, "a", 2]), "expected all of that type"),
    "labels, bools among": ("classifier", update("task", labels=[0, True, 2]), "expected all of that type"),
    "labels too large": ("classifier", update("task", labels=[0, 1, 300], dtype="int8"), "int8|out of bounds"),
    "labels infinite": ("classifier", update("task", labels=[0, 1, 1e9], dtype="float16"), "expected such as it holds"),
    "labels cut": ("classifier", update("task", labels=["a", "b", "ca"], dtype="<U1"), "expected such as it holds"),
    "labels of a huge type": (
        "classifier", update("task", labels=[*map(str, range(100, 999))], dtype="<U99999"), "bytes",
    ),
    "labels, Python as a type": ("classifier", update("task", dtype="(,)f8"), r"type '\(,\)f8'"),
    "labels, one": ("classifier", update("task", labels=[0]), "two or more|outputs"),
    "labels, none": ("classifier", update("task", labels=[]), "labels of the type"),
    "labels, fewer": ("classifier", update("task", labels=[0, 1]), "network 0 is"),
    "logistic": ("classifier", update("task", logistic=True), "logistic is true with 3 labels"),
    "multilabel": ("classifier", update("task", multilabel=True), "multilabel is true"),
    "multilabel of others": ("multilabel", update("task", labels=[0, 1, 3]), "multilabel is true"),
    "flat": ("poisson", update("task", n_outputs=2), "target.mean has 1 numbers: expected 2"),
    "loss": ("poisson", update("task", loss="log_loss"), "loss is 'log_loss'"),
    "encoder beside scale": ("frame, name of the target", update("preprocessor", scale="Standardizer"), "beside"),
    "scale unknown": ("poisson", update("preprocessor", scale="MinMax"), "scale is 'MinMax'"),
    "scale of another kind": ("bins", update("preprocessor", scale="Standardizer"), "array bin_.* is unknown"),
    "scale without arrays": ("classifier", update("preprocessor", scale="BinnedStandardizer"), "no array bin_column"),
    "no scale": ("classifier", update("preprocessor", scale=None), "tensor scale"),
    "dtype": ("classifier", update("preprocessor", dtype="float64"), "network 0 is"),
    "networks, none": ("classifier", update(networks=[]), "networks is empty"),
    "networks, more": (
        "classifier", lambda m, t: m["estimator"].update(networks=m["estimator"]["networks"] * 2), "missing",
    ),
    "network of another width": ("classifier", update(*NETWORK, n_in=4), r"tensor 0\.weight is \(3, 4\)"),
    "network, huge": ("classifier", update(*NETWORK, n_in=2**62), r"tensor 0\.weight"),
    "network, dtype": ("classifier", update(*NETWORK, dtype="float64"), "expected the network's dtype"),
    "network, Python as a dtype": ("classifier", update(*NETWORK, dtype="(,)f8"), "dtype is"),
    "network, multipliers": ("classifier", update(*NETWORK, lr_multipliers={"7": 1}), "no layer '7'"),
    "features, fewer": ("classifier", update(n_features_in=2), "scale has 3 columns: expected 2"),
    "features, fewer than the encoder's": (
        "frame, name of the target", update(n_features_in=2, feature_names_in=None), "encoder has 4",
    ),
    "names, fewer": ("frame, name of the target", update(feature_names_in=["a"]), "has 1 names: expected 4"),
    "names, a text": ("frame, name of the target", update(feature_names_in="abcd"), "feature_names_in is a str"),
    "names, a number": ("frame, name of the target", update(feature_names_in=["a", "b", "c", 4]), "is 4"),
    "histories, an object": ("classifier", update(histories={}), "histories is a dict"),
    "history, monitor": ("classifier", update("histories", 0, monitor="auc"), "expected loss and auc"),
    "history, names": ("classifier", update("histories", 0, names=["loss"]), "a history has the columns"),
    "history, names twice": ("classifier", update("histories", 0, names=["loss", "loss"]), "a history has the columns"),
    "encoder, Python as a type": (
        "frame, name of the target",
        update("preprocessor", "encoder", target={"type": "Classes", "labels": [0, 1], "dtype": "(,)f8"}), "dtype is",
    ),
    "extra tensor": ("classifier", tensor(x=np.zeros(1)), "tensor x: the estimator has no such"),
    "extra tensor of the fit": ("classifier", tensor(fit__x=np.zeros(1)), r"tensor fit\.x: the estimator has no such"),
    "extra tensor of a network": ("classifier", tensor(networks__0__9=np.zeros(1)), "tensor 9"),
    "no loss": ("classifier", lambda m, t: t.pop("fit.loss"), r"no tensor fit\.loss"),
    "loss, a row": ("classifier", tensor(fit__loss=np.zeros(1)), r"fit\.loss is float64 of shape \(1,\)"),
    "curve, a number": ("classifier", tensor(fit__loss_curve=np.array(1.0)), r"fit\.loss_curve .* of shape \(\)"),
    "scale, other width": (
        "classifier", tensor(scale__mean=np.zeros(4), scale__scale=np.ones(4)), "scale has 4 columns: expected 3",
    ),
    "scale, NaN": ("classifier", tensor(scale__mean=np.array([0, np.nan, 0])), "mean is nan at place 1"),
    "scale, zero": ("classifier", tensor(scale__scale=np.array([1.0, 0, 1])), "scale is 0 at place 1"),
    "bins of no column": (
        "bins", lambda m, t: t.update({"scale.bin_column": t["scale.bin_column"] + 1}), "bin_column is",
    ),
    "target, NaN": ("poisson", tensor(target__scale=np.array([np.nan])), "scale is nan"),
    "target, none": ("multilabel", tensor(target__mean=np.zeros(1)), "tensor target.mean"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG_VALUES)
def test_values_that_do_not_fit_are_refused(what: str, saved: Any, tmp_path: Path) -> None:
    kind, change, message = WRONG_VALUES[what]
    found = refused_change(tmp_path / "model", saved[kind], change)
    assert re.search(message, found), found


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_tensor_of_another_kind(kind: str, saved: Any, tmp_path: Path) -> None:
    tensors = saved[kind][1]
    for name, array in tensors.items():
        other = np.float32 if array.dtype == np.float64 else np.float64
        with np.errstate(invalid="ignore"):
            wrong = [array.astype(kind) for kind in (other, np.int32, np.bool_)]
        wrong += [array[None], np.zeros((2, 3, 4))]
        if not name.startswith(("fit.", "histories.")):  # where a metric of no meaning is NaN
            wrong += [np.full_like(array, np.nan), np.full_like(array, np.inf)] if array.dtype.kind == "f" else []
            wrong += [np.zeros(0, array.dtype)]
        for value in wrong:
            if name.endswith(".furthest") and value.shape == () and np.isposinf(value):
                continue
            refused_change(tmp_path / "model", saved[kind], lambda m, t, v=value, name=name: t.update({name: v}))
        if name not in ("fit.best_loss", "fit.best_score", "fit.loss_curve", "fit.scores"):  # which may be missing
            refused_change(tmp_path / "model", saved[kind], lambda m, t, name=name: t.pop(name))


def test_bytes_that_are_wrong(saved: Any, tmp_path: Path) -> None:
    data = saved["classifier"][2]
    size = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + size].rstrip()
    twice = header[:-1] + b"," + header[1:]
    in_metadata = data[8 : 8 + size].replace(b'{\\"format\\"', b'{\\"format\\": 2, \\"format\\"')
    assert in_metadata != data[8 : 8 + size]
    wrong = [
        *(data[:length] for length in range(0, len(data), 97)), data[:-1], data + b"\0",
        *(struct.pack("<Q", n) + data[8:] for n in (0, 1, size - 1, size + 1, 2**31, 2**63, 2**64 - 1)),
        *(struct.pack("<Q", len(text)) + text + data[8 + size :] for text in (twice, in_metadata)),
    ]  # fmt: skip
    for each in wrong:
        refused(tmp_path / "model", each)


@pytest.mark.skipif(sys.platform != "linux", reason="takes the peak of memory in Linux's unit")
def test_hostile_files_take_no_memory(saved: Any, tmp_path: Path) -> None:
    paths = []
    for i, (kind, change, _) in enumerate(WRONG_VALUES.values()):
        paths.append(tmp_path / str(i))
        refused_change(paths[-1], saved[kind], change)
    are_refused_in_little_memory(paths, "steepest.estimators._loading")


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=some.data())
def test_any_json_in_any_place_is_read_or_refused(data: Any, saved: Any, tmp_path: Path) -> None:
    metadata, tensors, _ = saved[data.draw(some.sampled_from(HOSTILE))]
    changed = copy.deepcopy(metadata)
    place = data.draw(some.sampled_from(places(metadata)))
    at(changed, place)[place[-1]] = data.draw(JSON)
    path = tmp_path / "model"
    written(path, changed, tensors)
    try:
        st.load(path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: ")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=some.data())
def test_flipped_bytes_are_read_or_refused(data: Any, saved: Any, tmp_path: Path) -> None:
    kind = data.draw(some.sampled_from(HOSTILE))
    damaged = bytearray(saved[kind][2])
    for place in data.draw(some.lists(some.integers(0, len(damaged) - 1), min_size=1, max_size=3)):
        damaged[place] = data.draw(some.integers(0, 255))
    path = tmp_path / "model"
    path.write_bytes(bytes(damaged))
    try:
        st.load(path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: ")
