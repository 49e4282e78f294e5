"""The models of the quality benchmark, each with its defaults, and what one of them makes of one fold."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

import quality_tuned
from quality_data import SEED, TABLES, Table

# TabPack is not among them: its package on PyPI (tabpackage 0.0.1.dev0) is empty so far, and pytabkit has none.
PACKAGES = {
    "steepest": "steepest", "steepest best": "steepest", "steepest fast": "steepest", "sklearn": "scikit-learn",
    "lightgbm": "lightgbm", "catboost": "catboost", "lightgbm tuned": "lightgbm", "realmlp": "pytabkit",
}  # fmt: skip
MODULES = {**PACKAGES, "sklearn": "sklearn"}

Predict = Callable[[pd.DataFrame], Any]  # labels' probabilities, (n, n_classes), or numbers, (n,)


def _text_columns(x: pd.DataFrame) -> list[str]:
    return x.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in x.dtypes]].tolist()


def _predictor(model: Any, classes: bool) -> Predict:
    return model.predict_proba if classes else model.predict  # type: ignore[no-any-return]


def steepest(rows: Table, seed: int, **preset: Any) -> Predict:
    """Ours: no argument besides a preset, and the frame as it is."""
    import steepest as st

    model = (st.MLPClassifier if rows.classes else st.MLPRegressor)(random_state=seed, **preset)
    return _predictor(model.fit(rows.x, rows.y), rows.classes)


def sklearn(rows: Table, seed: int) -> Predict:
    """Scikit-learn's network, in a pipeline that gives it what it needs."""
    from sklearn.compose import TransformedTargetRegressor, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    text = _text_columns(rows.x)
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), text),
        (make_pipeline(SimpleImputer(), StandardScaler()), rows.x.columns.difference(text, sort=False).tolist()),
    )
    if rows.classes:
        model = make_pipeline(prepare, MLPClassifier(random_state=seed))
    else:
        regressor = TransformedTargetRegressor(MLPRegressor(random_state=seed), transformer=StandardScaler())
        model = make_pipeline(prepare, regressor)
    return _predictor(model.fit(rows.x, rows.y), rows.classes)


def _kinds(x: pd.DataFrame) -> dict[str, pd.CategoricalDtype]:
    """Return the types by which LightGBM knows its categories: those of the training rows."""
    return {name: pd.CategoricalDtype(sorted(x[name].dropna().unique())) for name in _text_columns(x)}


def lightgbm(rows: Table, seed: int) -> Predict:
    """LightGBM, with its own way of treating categories and missing values."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    kinds = _kinds(rows.x)
    model = (LGBMClassifier if rows.classes else LGBMRegressor)(random_state=seed, verbose=-1)
    predict = _predictor(model.fit(rows.x.astype(kinds), rows.y), rows.classes)
    return lambda x: predict(x.astype(kinds))


def lightgbm_tuned(rows: Table, seed: int) -> Predict:
    """LightGBM, the best of many in a cross-validation of the training rows."""
    kinds = _kinds(rows.x)
    predict = quality_tuned.fit(rows._replace(x=rows.x.astype(kinds)), seed)
    return lambda x: predict(x.astype(kinds))


def catboost(rows: Table, seed: int) -> Predict:
    """CatBoost, told its categories, in which it takes no missing value; it does not ask how many processors it has."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    text = _text_columns(rows.x)

    def prepared(x: pd.DataFrame) -> pd.DataFrame:
        return x.astype(dict.fromkeys(text, object)).fillna(dict.fromkeys(text, ""))

    model = (CatBoostClassifier if rows.classes else CatBoostRegressor)(
        cat_features=text, random_seed=seed, thread_count=n_threads(), verbose=False, allow_writing_files=False
    )
    predict = _predictor(model.fit(prepared(rows.x), rows.y), rows.classes)
    return lambda x: predict(prepared(x))


def realmlp(rows: Table, seed: int) -> Predict:
    """RealMLP-TD, told which columns are categories, with missing numbers imputed: it takes none."""
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    text = _text_columns(rows.x)
    medians = rows.x.drop(columns=text).median().fillna(0)  # of columns without any number
    kinds = {name: "category" for name in text}
    model = (RealMLP_TD_Classifier if rows.classes else RealMLP_TD_Regressor)(device="cpu", random_state=seed)
    targets = rows.y if rows.classes else rows.y.astype(np.float32)
    model.fit(rows.x.fillna(medians).astype(kinds), targets, cat_col_names=text)
    predict = _predictor(model, rows.classes)
    return lambda x: predict(x.fillna(medians).astype(kinds))


MODELS: dict[str, Callable[[Table, int], Predict]] = {
    "steepest": steepest,
    "steepest best": partial(steepest, preset="best"),
    "steepest fast": partial(steepest, preset="fast"),
    "sklearn": sklearn,
    "lightgbm": lightgbm,
    "catboost": catboost,
    "lightgbm tuned": lightgbm_tuned,
    "realmlp": realmlp,
}


def start(name: str) -> str:
    """Make a worker process ready, and say why the model can't be had here, if it is so.

    What is imported late, for a first small fit, is no part of any time.
    """
    warnings.simplefilter("ignore")  # of not converging, by defaults that are not ours to change
    import_module(MODULES[name])
    few = _read("wine").rows(np.arange(0, 178, 3))
    if name == "lightgbm tuned":
        quality_tuned.fit(few, SEED, candidates=1)
        return ""
    try:
        MODELS[name](few, SEED)
    except (TypeError, ValueError) as error:
        if isinstance(MODELS[name], partial):  # a preset that this version does not have
            return str(error)
        raise
    return ""


@cache
def _read(table: str) -> Table:
    return TABLES[table]()


def run(name: str, table: str, fold: int) -> dict[str, float]:
    """Fit on the training rows of a fold, predict the test rows, and measure."""
    whole = _read(table)
    rows, asked = (whole.rows(places) for places in list(whole.folds())[fold])
    began = time.perf_counter()
    predict = MODELS[name](rows, SEED + fold)
    fitted = time.perf_counter()
    found = np.asarray(predict(asked.x), np.float64)
    times = {"seconds": fitted - began, "predict seconds": time.perf_counter() - fitted}
    return measure(found, asked.y, np.unique(rows.y) if whole.classes else None) | times


def measure(found: Any, truth: Any, labels: Any) -> dict[str, float]:
    """Score probabilities, (n, n_classes), of `labels`, or predicted numbers, (n,)."""
    if labels is not None:
        places = np.searchsorted(labels, truth)
        right = np.clip(found[np.arange(len(truth)), places], 1e-15, 1)
        return {"accuracy": float(np.mean(found.argmax(axis=1) == places)), "log_loss": -float(np.log(right).mean())}
    squares = np.mean((found.reshape(-1) - truth) ** 2)
    return {"rmse": float(np.sqrt(squares)), "r2": float(1 - squares / truth.var())}


def n_threads() -> int:
    """Return how many processors everyone may use."""
    return len(os.sched_getaffinity(0))
