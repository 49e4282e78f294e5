"""LightGBM with its parameters searched for, on the training rows alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from quality_data import Table

CANDIDATES = 50
ROUNDS = 1000  # at most, in the published search too
PATIENCE = 50
# Of a classification: its loss, which stops the rounds, and the share of errors, which chooses the candidate.
ERRORS = {"binary": ("binary_logloss", "binary_error"), "multiclass": ("multi_logloss", "multi_error")}


def candidate(rng: np.random.Generator) -> dict[str, Any]:
    """Draw parameters from the space of Grinsztajn et al. (2022).

    It is in github.com/LeoGrin/tabular-benchmark, src/configs/model_configs/lightgbm_david_config.py, and goes back to
    CatBoost's quality benchmarks; pytabkit's LGBM_HPO draws from the same.
    """

    def power(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(low, high)))

    return {
        "learning_rate": power(-7, 0),
        "num_leaves": max(2, round(power(0, 7))),  # fewer are refused
        "feature_fraction": rng.uniform(0.5, 1),
        "bagging_fraction": rng.uniform(0.5, 1),
        "bagging_freq": 1,  # without it the fraction is not looked at
        "min_data_in_leaf": round(power(0, 6)),
        "min_sum_hessian_in_leaf": power(-16, 5),
        "lambda_l1": power(-16, 2) if rng.random() < 0.5 else 0.0,
        "lambda_l2": power(-16, 2) if rng.random() < 0.5 else 0.0,
    }


def task(y: Any, classes: bool) -> dict[str, Any]:
    """Return the objective of these targets, and how it is measured."""
    if not classes:
        return {"objective": "regression", "metric": "l2"}
    n_classes = int(y.max()) + 1
    objective = "binary" if n_classes == 2 else "multiclass"
    # Given to binary ones as well, this number is refused.
    number = {"num_class": n_classes} if n_classes > 2 else {}
    return {"objective": objective, "metric": list(ERRORS[objective]), "first_metric_only": True, **number}


def search(rows: Table, seed: int, candidates: int) -> tuple[dict[str, Any], int]:
    """Return the parameters that are best in cross-validation, and the number of rounds that is best for them."""
    import lightgbm as lgb

    rng, folds = np.random.default_rng(seed), list(rows.folds())
    fixed = {**task(rows.y, rows.classes), "seed": seed, "verbosity": -1}
    best: tuple[tuple[float, ...], dict[str, Any], int] | None = None
    for _ in range(candidates):
        params = {**fixed, **candidate(rng)}
        data = lgb.Dataset(rows.x, rows.y)
        stop = lgb.early_stopping(PATIENCE, first_metric_only=True, verbose=False)
        courses = lgb.cv(params, data, ROUNDS, folds=folds, callbacks=[stop])
        means = [course for name, course in courses.items() if name.endswith("-mean")]
        score = tuple(course[-1] for course in reversed(means))  # of equal errors the loss decides
        if best is None or score < best[0]:
            best = score, params, len(means[0])
    assert best is not None
    return best[1:]


def fit(rows: Table, seed: int, candidates: int = CANDIDATES) -> Any:
    """Search, and train the best on all rows; return a function from rows to probabilities or numbers."""
    import lightgbm as lgb

    params, rounds = search(rows, seed, candidates)
    model = lgb.train(params, lgb.Dataset(rows.x, rows.y), rounds)

    def predict(x: pd.DataFrame) -> Any:
        found = np.asarray(model.predict(x))
        return np.stack([1 - found, found], axis=1) if params["objective"] == "binary" else found

    return predict
