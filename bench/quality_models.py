"""The models of the quality benchmark, each with its defaults, and what one of them makes of one fold."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from quality_data import SEED, TABLES, Table

PACKAGES = {"steepest": "steepest", "sklearn": "scikit-learn", "lightgbm": "lightgbm", "realmlp": "pytabkit"}
MODULES = {"steepest": "steepest", "sklearn": "sklearn", "lightgbm": "lightgbm", "realmlp": "pytabkit"}

Predict = Callable[[pd.DataFrame], Any]  # labels' probabilities, (n, n_classes), or numbers, (n,)


def _text_columns(x: pd.DataFrame) -> list[str]:
    return x.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in x.dtypes]].tolist()


def _predictor(model: Any, classes: bool) -> Predict:
    return model.predict_proba if classes else model.predict  # type: ignore[no-any-return]


def steepest(x: pd.DataFrame, y: Any, classes: bool, seed: int) -> Predict:
    """Ours: no argument, and the frame as it is."""
    import steepest as st

    model = (st.MLPClassifier if classes else st.MLPRegressor)(random_state=seed)
    return _predictor(model.fit(x, y), classes)


def sklearn(x: pd.DataFrame, y: Any, classes: bool, seed: int) -> Predict:
    """Scikit-learn's network, in a pipeline that gives it what it needs."""
    from sklearn.compose import TransformedTargetRegressor, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    text = _text_columns(x)
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), text),
        (make_pipeline(SimpleImputer(), StandardScaler()), x.columns.difference(text, sort=False).tolist()),
    )
    if classes:
        model = make_pipeline(prepare, MLPClassifier(random_state=seed))
    else:
        regressor = TransformedTargetRegressor(MLPRegressor(random_state=seed), transformer=StandardScaler())
        model = make_pipeline(prepare, regressor)
    return _predictor(model.fit(x, y), classes)


def lightgbm(x: pd.DataFrame, y: Any, classes: bool, seed: int) -> Predict:
    """LightGBM, with its own way of treating categories and missing values."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    text = _text_columns(x)
    kinds = {name: pd.CategoricalDtype(sorted(x[name].dropna().unique())) for name in text}
    model = (LGBMClassifier if classes else LGBMRegressor)(random_state=seed, verbose=-1)
    predict = _predictor(model.fit(x.astype(kinds), y), classes)
    return lambda rows: predict(rows.astype(kinds))


def realmlp(x: pd.DataFrame, y: Any, classes: bool, seed: int) -> Predict:
    """RealMLP-TD, told which columns are categories, with missing numbers imputed: it takes none."""
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    text = _text_columns(x)
    medians = x.drop(columns=text).median()
    kinds = {name: "category" for name in text}
    model = (RealMLP_TD_Classifier if classes else RealMLP_TD_Regressor)(device="cpu", random_state=seed)
    model.fit(x.fillna(medians).astype(kinds), y if classes else y.astype(np.float32), cat_col_names=text)
    predict = _predictor(model, classes)
    return lambda rows: predict(rows.fillna(medians).astype(kinds))


MODELS = {"steepest": steepest, "sklearn": sklearn, "lightgbm": lightgbm, "realmlp": realmlp}


def start(name: str) -> None:
    """Make a worker process ready: what is imported late, for a first small fit, is no part of any time."""
    warnings.simplefilter("ignore")  # of not converging, by defaults that are not ours to change
    import_module(MODULES[name])
    x, y, classes = _read("wine")
    MODELS[name](x[::3], y[::3], classes, SEED)


@cache
def _read(table: str) -> Table:
    return TABLES[table]()


def run(name: str, table: str, fold: int) -> dict[str, float]:
    """Fit on the training rows of a fold, predict the test rows, and measure."""
    x, y, classes = _read(table)
    train, test = list(_read(table).folds())[fold]
    began = time.perf_counter()
    predict = MODELS[name](x.iloc[train], y[train], classes, SEED + fold)
    fitted = time.perf_counter()
    found = np.asarray(predict(x.iloc[test]), np.float64)
    times = {"seconds": fitted - began, "predict seconds": time.perf_counter() - fitted}
    return measure(found, y[test], np.unique(y[train]) if classes else None) | times


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
