"""The estimators' options that show elsewhere than in the predictions."""

from __future__ import annotations

import io
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris

import steepest as st

QUICK: dict[str, Any] = {"hidden_layer_sizes": (16,), "max_iter": 8, "random_state": 0}
IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


def test_verbose_prints_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    st.MLPRegressor(**QUICK).fit(*DIABETES)
    assert capsys.readouterr().out == ""
    st.MLPRegressor(**QUICK, verbose=True).fit(*DIABETES)
    assert capsys.readouterr().out.count("epoch") == 8


def test_callbacks_are_called() -> None:
    seen: list[int] = []
    counting = st.LambdaCallback(on_epoch_end=lambda fit: seen.append(fit.epoch) or (fit.epoch == 2 and fit.stop()))
    model = st.MLPRegressor(**QUICK, callbacks=[counting]).fit(*DIABETES)
    assert seen == [0, 1, 2] and model.n_iter_ == 3


def test_early_stopping_holds_rows_out_of_a_small_table() -> None:
    plain, stopping = (st.MLPClassifier(**QUICK, early_stopping=e).fit(*IRIS) for e in (None, True))
    assert plain.recipe_["held_out_rows"] == 0 < stopping.recipe_["held_out_rows"]


def test_tol_is_what_an_epoch_must_gain() -> None:
    options = QUICK | {"max_iter": 300, "n_iter_no_change": 5, "preset": "sklearn", "learning_rate_init": 0.01}
    loose, tight = (st.MLPClassifier(**options, tol=tol).fit(*IRIS) for tol in (1e-2, 1e-3))
    assert loose.n_iter_ < tight.n_iter_ < 300


def test_numbers_may_be_encoded_as_a_table() -> None:
    frame = pd.DataFrame(IRIS[0], columns=list("abcd"))
    assert st.MLPClassifier(**QUICK).fit(frame.assign(e="x"), IRIS[1]).recipe_["features"] == "table"
    assert st.MLPClassifier(**QUICK, encode="numbers").fit(frame, IRIS[1]).recipe_["features"] != "table"


def test_joblib_keeps_an_estimator() -> None:
    model, file = st.MLPClassifier(**QUICK).fit(*IRIS), io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    np.testing.assert_array_equal(joblib.load(file).predict_proba(IRIS[0]), model.predict_proba(IRIS[0]))


def test_an_ensemble_learns_online() -> None:
    model = st.MLPRegressor(**QUICK, ensemble=2)
    for _ in range(2):
        before = [net.parameters["0.weight"] for net in getattr(model, "networks_", ())]
        model.partial_fit(*DIABETES)
    for net, old in zip(model.networks_, before, strict=True):
        assert not np.array_equal(net.parameters["0.weight"], old)


def test_a_frame_may_be_watched() -> None:
    frame = pd.DataFrame(IRIS[0], columns=list("abcd")).assign(e="x")
    model = st.MLPClassifier(**QUICK).fit(frame, IRIS[1], eval_set=(frame[::5], IRIS[1][::5]))
    assert model.recipe_["held_out_rows"] == 30


def test_no_hidden_layer_makes_a_linear_model() -> None:
    model = st.MLPRegressor(**QUICK | {"hidden_layer_sizes": ()}).fit(*DIABETES)
    assert [array.shape for array in model.coefs_] == [(10, 1)] and model.recipe_["hidden_layer_sizes"] == ()
    x = np.vstack([DIABETES[0][:2], DIABETES[0][:2].mean(axis=0)])
    first, second, middle = model.predict(x)
    assert middle == pytest.approx((first + second) / 2, rel=1e-4)


def test_one_callback_need_not_be_in_a_list() -> None:
    model = st.MLPRegressor(**QUICK, callbacks=st.LambdaCallback(on_epoch_end=lambda fit: fit.stop()))
    assert model.fit(*DIABETES).n_iter_ == 1
