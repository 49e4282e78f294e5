"""Batches, held-out rows, training that blows up, and short fits that are one long fit."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal, refusal

QUICK: dict[str, Any] = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
PRESETS = [None, "sklearn"]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def weights_of(model: Any) -> list[list[float]]:
    return [array.tolist() for array in model.coefs_ + model.intercepts_]


# --- Sizes of batches ---


@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger:UserWarning")  # scikit-learn's own rule
@pytest.mark.parametrize(("n", "batch_size"), [(10, 1024), (65, 64), (1, 32), (300, 299), (7, 1)])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_every_row_is_used(n: int, batch_size: int, preset: str | None, method: str) -> None:
    """Another target in any row makes other weights."""
    x, y = normal(0, (n, 3)), normal(1, (n,))
    options = {"batch_size": batch_size, "early_stopping": False, "preset": preset, "warm_start": True}
    trained = pickle.dumps(st.MLPRegressor(**QUICK | {"max_iter": 1}, **options).fit(x, y))

    def go_on(target: Any) -> Any:
        return getattr(pickle.loads(trained), method)(x, target)

    plain = go_on(y)
    assert plain.t_ == 2 * n and plain.recipe_["training_rows"] == n
    for row in {0, n // 2, n - 1}:
        assert weights_of(go_on(np.where(np.arange(n) == row, y + 1, y))) != weights_of(plain)


@pytest.mark.parametrize(("n", "batch_size"), [(65, 64), (66, 64), (300, 7)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_epochs_loss_is_the_mean_over_rows(n: int, batch_size: int, weighted: bool) -> None:
    x, y = normal(0, (n, 3)), normal(1, (n,)) * np.arange(n)
    weight = np.linspace(1, 2, n) if weighted else None
    model = st.MLPRegressor(
        **QUICK | {"max_iter": 1}, optimizer=st.SGD(0.0), early_stopping=False, batch_size=batch_size
    ).fit(x, y, weight)
    scale = np.sqrt(np.average((y - np.average(y, weights=weight)) ** 2, weights=weight))
    expected = np.average(((model.predict(x) - y) / scale) ** 2, weights=weight)
    assert model.loss_ == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n", [1, 2, 31, 33, 65, 257])
@pytest.mark.parametrize("norm", ["batch_norm", "layer_norm"])
def test_the_default_batch_suits_any_number_of_rows(n: int, norm: str) -> None:
    x, y = normal(0, (n, 3)), normal(1, (n,))
    for options in ({}, {norm: True}, {norm: True, "batch_size": max(n - 1, 1)}):
        model = st.MLPRegressor(**QUICK, **options).fit(x, y)
        before = weights_of(model)
        assert np.isfinite(model.partial_fit(x, y).predict(x)).all()
        assert weights_of(model) != before


# --- Rows held out ---

RARE = np.array(["a"] * 20 + ["b"])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("seed", range(3))
def test_a_rare_class_stays_in_training(share: float, seed: int) -> None:
    options = QUICK | {"max_iter": 1, "random_state": seed, "early_stopping": True, "validation_fraction": share}
    x = normal(seed, (21, 3))
    models = []
    for last in (x[20] + 99, x[20] - 99):  # after a single epoch a row that is held out would not show in the weights
        with pytest.warns(UserWarning, match="one row only of the class 'b': it is trained on") as caught:
            models.append(st.MLPClassifier(**options).fit(np.vstack([x[:20], last]), RARE))
        assert len(caught) == 1 and models[-1].classes_.tolist() == ["a", "b"]
        assert models[-1].recipe_["held_out_rows"] == min(round(share * 21), 19)
    assert weights_of(models[0]) != weights_of(models[1])


def test_scikit_learns_split_names_a_rare_class() -> None:
    model = st.MLPClassifier(**QUICK, preset="sklearn", early_stopping=True)
    with refusal(model, "only 1 member.*'b'"):
        model.fit(normal(0, (21, 3)), RARE)


def test_classes_of_one_row_each_cannot_be_held_out() -> None:
    model = st.MLPClassifier(**QUICK, early_stopping=True)
    with refusal(model, r"cannot hold 0\.2 of 9 rows out"):
        model.fit(normal(0, (9, 3)), np.arange(9))


def test_rows_to_watch_must_be_there() -> None:
    x, y = normal(0, (21, 3)), RARE
    model = st.MLPClassifier(**QUICK).fit(x, y)
    for watched, message in [((x[:0], y[:0]), "0 sample"), ((x, ["a"] * 20 + ["c"]), "y has the class 'c'")]:
        with refusal(model, f"^eval_set: .*{message}"):
            model.fit(x, y, eval_set=watched)
    for odd in (x, (x,), (x, y, None, None)):
        with refusal(model, "eval_set is no"):
            model.fit(x, y, eval_set=odd)


@pytest.mark.parametrize(  # scikit-learn's split rounds up to one row
    ("n", "share", "preset"),
    [(3, 0.1, None), (21, 0.01, None), (3, 0.999, None), (1, 0.5, None), (3, 0.999, "sklearn"), (1, 0.5, "sklearn")],
)
def test_a_split_without_rows_is_refused(n: int, share: float, preset: str | None) -> None:
    x, y = normal(0, (60, 3)), normal(1, (60,))
    model = st.MLPRegressor(**QUICK, preset=preset).fit(x, y)
    model.set_params(early_stopping=True, validation_fraction=share)
    with refusal(model, f"early_stopping is True, but cannot hold {share:g} of {n} rows out|n_samples={n}, test_size"):
        model.fit(x[:n], y[:n])


def test_too_few_rows_are_all_trained_on_by_default() -> None:
    model = st.MLPRegressor(**QUICK).fit(normal(0, (1, 3)), [1.0])
    assert (model.recipe_["training_rows"], model.recipe_["held_out_rows"]) == (1, 0)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", ["text labels", "numbers"])
def test_early_stopping_and_then_online(kind: str, preset: str | None) -> None:
    x, options = normal(0, (40, 3)), QUICK | {"early_stopping": True, "preset": preset}
    if kind == "numbers":
        model, y = st.MLPRegressor(**options), x[:, 0]
    else:
        model, y = st.MLPClassifier(**options), np.array(["A"] * 20 + ["B"] * 20)
    model.fit(x, y)
    assert len(model.validation_scores_) == 4 and np.isfinite(model.validation_scores_).all()
    before = weights_of(model)
    model.partial_fit(x, y)
    assert weights_of(model) != before and (model.n_iter_, model.recipe_["held_out_rows"]) == (5, 0)
    with refusal(model, "inconsistent"):
        model.partial_fit(x, y[:9])


# --- Training that blows up ---


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("stopping", [True, False])
@pytest.mark.parametrize(
    "options", [{"solver": "sgd", "learning_rate_init": 10.0}, {"optimizer": st.SGD(1e6)}], ids=str
)
def test_a_rate_too_high_is_named(options: dict[str, Any], stopping: bool, preset: str | None) -> None:
    x, y = 1e6 * normal(0, (300, 3)), normal(1, (300,))
    model = st.MLPRegressor(**QUICK, preset=preset).fit(x, y)
    model.set_params(**options, early_stopping=stopping, max_iter=50)
    text = r"diverged in epoch \d+, step \d+, at the learning rate .*Scale x .* or lower the learning rate"
    with refusal(model, text, st.DivergedError):
        model.fit(x, y)
    assert np.isfinite(model.predict(x)).all()
    new = st.MLPRegressor(**model.get_params())
    with refusal(new, text, st.DivergedError):
        new.fit(x, y)
    assert not hasattr(new, "coefs_")


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_weights_stay_finite_when_going_on_blows_up(method: str) -> None:
    x, y = normal(0, (300, 3)), normal(1, (300,))
    model = st.MLPRegressor(**QUICK, warm_start=True, early_stopping=False).fit(x, y)
    model.set_params(optimizer=st.SGD(1e12), max_iter=50)
    with pytest.raises(st.DivergedError):
        for _ in range(50):
            getattr(model, method)(x, y)
    assert all(np.isfinite(array).all() for array in model.coefs_ + model.intercepts_)
    assert np.isfinite(model.predict(x)).all()


# --- Short fits that are one long fit ---


def fit_in_parts(make: Callable[..., Any], x: Any, y: Any, *epochs: int) -> Any:
    model = make(warm_start=True)
    for n in epochs:
        model.set_params(max_iter=n).fit(x, y)
        model = pickle.loads(pickle.dumps(model))
    return model


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": False, "batch_size": 60, "solver": "adam"},
        {"batch_size": 7},
        {"batch_size": 7, "dropout": 0.3, "ensemble": 2},
        {"batch_size": 7, "accumulate": 2, "ema": 0.9, "mixup": 0.2},
        {"batch_size": 7, "solver": "sgd", "momentum": 0.9},
        {"batch_size": 7, "solver": "sgd", "learning_rate": "invscaling"},
    ],
    ids=str,
)
def test_short_fits_are_one_long_fit(options: dict[str, Any], preset: str | None) -> None:
    x, y = normal(0, (60, 3)), normal(1, (60,))

    def make(**more: Any) -> Any:
        common = {"random_state": 0, "early_stopping": False, "n_iter_no_change": 99, "learning_rate": "constant"}
        return st.MLPRegressor(**{"hidden_layer_sizes": (8,), "preset": preset} | common | options | more)

    whole = make(max_iter=5).fit(x, y)
    models = [(fit_in_parts(make, x, y, 2, 3), whole), (fit_in_parts(make, x, y, *[1] * 5), whole)]
    if options.get("learning_rate") != "invscaling":  # online the rate is constant
        online = make()
        for _ in range(5):
            online = pickle.loads(pickle.dumps(online.partial_fit(x, y)))
        # Online, numbers are scaled by mean and deviation.
        models += [
            (online, make(max_iter=5, encode="numbers").fit(x, y)),
            (fit_in_parts(make, x, y, 3).partial_fit(x, y).partial_fit(x, y), whole),
        ]
    for model, other in models:
        assert [weights_of(model), model.n_iter_, model.t_] == [weights_of(other), 5, 300]
        assert model.loss_curve_ == pytest.approx(other.loss_curve_, rel=1e-12)


def test_short_fits_of_sparse_rows_are_one_long_fit() -> None:
    scipy = pytest.importorskip("scipy.sparse")
    x, y = scipy.csr_matrix(normal(0, (300, 3)).clip(0)), normal(1, (300,))

    def make(**more: Any) -> Any:
        return st.MLPRegressor(**QUICK | {"early_stopping": False, "learning_rate": "constant"} | more)

    whole = make(max_iter=5).fit(x, y)
    assert weights_of(fit_in_parts(make, x, y, 2, 3)) == weights_of(whole)


def test_going_on_without_averages_or_with_another_solver() -> None:
    x, y = normal(0, (60, 3)), normal(1, (60,))
    options = QUICK | {"early_stopping": False, "lr": 0.01, "warm_start": True}
    averaged = st.MLPRegressor(**options, ema=0.9).fit(x, y)
    plain = st.MLPRegressor(**options).fit(x, y)
    assert weights_of(averaged) != weights_of(plain)
    predicted = averaged.predict(x)
    by_lbfgs = pickle.loads(pickle.dumps(averaged)).set_params(solver="lbfgs", ema=None).fit(x, y)
    assert np.mean((by_lbfgs.predict(x) - y) ** 2) < np.mean((predicted - y) ** 2)
    averaged.set_params(ema=None, lr=0.0).fit(x, y)  # from the last weights, not from their average
    assert weights_of(averaged) == weights_of(plain)


def test_a_model_keeps_no_more_than_it_was_asked_to() -> None:
    x, y = normal(0, (60, 3)), normal(1, (60,))
    plain, warm = (st.MLPRegressor(**QUICK, warm_start=w).fit(x, y) for w in (False, True))
    assert len(pickle.dumps(warm)) > len(pickle.dumps(plain)) + 2 * 4 * plain.coefs_[0].size


def test_the_parameters_of_the_moment_count_online() -> None:
    x, y = normal(0, (60, 3)), normal(1, (60,))
    slow, fast = (st.MLPRegressor(**QUICK).partial_fit(x, y) for _ in range(2))
    slow.set_params(learning_rate_init=1e-9).partial_fit(x, y)
    fast.partial_fit(x, y)
    first = st.MLPRegressor(**QUICK).partial_fit(x, y).coefs_[0]
    assert np.abs(slow.coefs_[0] - first).max() < 1e-6 < np.abs(fast.coefs_[0] - first).max()
