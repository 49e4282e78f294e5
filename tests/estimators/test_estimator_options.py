"""Each parameter of the estimators does what its docstring says."""

from __future__ import annotations

import inspect
import io
import math
from collections.abc import Callable
from typing import Any, TypeVar

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn import neural_network
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import recall_score

import steepest as st
from helpers import normal, refusal

QUICK: dict[str, Any] = {"hidden_layer_sizes": (16,), "max_iter": 8, "random_state": 0}
IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
BOTH = [(st.MLPClassifier, IRIS), (st.MLPRegressor, DIABETES)]

both = pytest.mark.parametrize(("make", "data"), BOTH, ids=["classifier", "regressor"])
unfinished = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

F = TypeVar("F", bound=Callable[..., None])
covered: set[str] = set()


def about(*names: str) -> Callable[[F], F]:
    """Say which parameters a test is about; the last test of this file asks for all."""
    covered.update(names)
    return lambda test: test


def size_of_weights(model: Any) -> float:
    return math.sqrt(sum(float((weight**2).sum()) for weight in model.coefs_))


def options_of(value: Any) -> str | None:
    """A name for a parameter of a test, the same in every process."""
    return str(value) if isinstance(value, dict) else None


def steps_of(model: Any, data: Any) -> int:
    """How many steps a fit takes."""
    steps: list[int] = []
    counting = st.LambdaCallback(on_epoch_end=lambda fit: steps.append(fit.trainer.n_steps))
    model.set_params(callbacks=[counting]).fit(*data)
    return steps[-1]


# --- The network ---


@about("hidden_layer_sizes")
@both
@pytest.mark.parametrize("sizes", [7, (7,), [5, 3], ()])
def test_hidden_layer_sizes_are_widths(make: Any, data: Any, sizes: Any) -> None:
    widths = [7] if sizes == 7 else list(sizes)
    model = make(**QUICK | {"hidden_layer_sizes": sizes, "max_iter": 1}).fit(*data)
    assert [weight.shape[1] for weight in model.coefs_[:-1]] == widths
    assert model.recipe_["hidden_layer_sizes"] == tuple(widths)


def test_no_hidden_layer_makes_a_linear_model() -> None:
    model = st.MLPRegressor(**QUICK | {"hidden_layer_sizes": ()}, encode="numbers").fit(*DIABETES)
    assert [array.shape for array in model.coefs_] == [(10, 1)]
    x = np.vstack([DIABETES[0][:2], DIABETES[0][:2].mean(axis=0)])
    first, second, middle = model.predict(x)
    assert middle == pytest.approx((first + second) / 2, rel=1e-4)


@about("activation")
@both
def test_activation_is_of_the_hidden_layers(make: Any, data: Any) -> None:
    options = QUICK | {"hidden_layer_sizes": (5, 4), "max_iter": 1}
    for given, names in (("logistic", ["sigmoid"] * 2), (["tanh", "gelu"], ["tanh", "gelu"])):
        model = make(**options, activation=given).fit(*data)
        assert [layer.activation for layer in model.network_.layers] == [*names, "identity"]
        assert model.recipe_["activation"] == tuple(names)


@about("dropout")
@both
def test_dropout_is_for_training_alone(make: Any, data: Any) -> None:
    model = make(**QUICK, dropout=0.4).fit(*data)
    assert model.network_.layers[1] == st.Dropout(0.4)
    np.testing.assert_array_equal(model.predict(data[0]), model.predict(data[0]))
    assert model.loss_ > make(**QUICK).fit(*data).loss_


@about("batch_norm", "layer_norm")
@both
@pytest.mark.parametrize(("name", "kind"), [("batch_norm", st.BatchNorm), ("layer_norm", st.LayerNorm)])
def test_norms_stand_before_the_activations(make: Any, data: Any, name: str, kind: Any) -> None:
    model = make(**QUICK | {"hidden_layer_sizes": (5, 4), "max_iter": 1, name: True}).fit(*data)
    kinds = [type(layer) for layer in model.network_.layers]
    assert kinds == [st.Dense, kind, st.Activation] * 2 + [st.Dense]


# --- The optimizer ---


@about("solver")
@both
@unfinished
def test_solver_is_the_optimizer(make: Any, data: Any) -> None:
    for solver, kind in ((None, "AdamW("), ("adam", "Adam("), ("sgd", "SGD("), ("lbfgs", "lbfgs")):
        assert make(**QUICK, solver=solver).fit(*data).recipe_["optimizer"].startswith(kind)


@about("alpha")
@both
@unfinished
@pytest.mark.parametrize("solver", [None, "adam", "sgd", "lbfgs"])
def test_alpha_shrinks_the_weights(make: Any, data: Any, solver: str | None) -> None:
    strong = {None: 3.0, "adam": 300.0, "sgd": 30.0, "lbfgs": 30.0}[solver]
    options = QUICK | {"solver": solver, "max_iter": 20}
    sizes = [size_of_weights(make(**options, alpha=alpha).fit(*data)) for alpha in (0.0, strong)]
    assert sizes[1] < 0.9 * sizes[0]


@about("momentum", "nesterovs_momentum", "beta_1", "beta_2", "learning_rate_init", "shuffle")
@unfinished
@pytest.mark.parametrize(
    "options",
    [
        {"solver": "sgd", "momentum": 0.0},
        {"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False},
        {"solver": "sgd", "momentum": 0.7},
        {"solver": "adam", "beta_1": 0.5},
        {"solver": "adam", "beta_2": 0.9},
    ],
    ids=str,
)
def test_optimizers_numbers_are_scikit_learns(options: dict[str, Any]) -> None:
    x, y = DIABETES[0] * 20, (DIABETES[1] - 150) / 80
    options = {"hidden_layer_sizes": (6,), "activation": "tanh", "max_iter": 3, "random_state": 1} | options
    options |= {"shuffle": False, "learning_rate_init": 0.003}
    theirs = neural_network.MLPRegressor(**options).fit(x, y)
    ours = st.MLPRegressor(**options, preset="sklearn").fit(x, y)
    for mine, other in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-5)


@about("epsilon")
@both
@pytest.mark.parametrize("solver", [None, "adam"])
def test_epsilon_makes_small_steps(make: Any, data: Any, solver: str | None) -> None:
    start = make(**QUICK | {"max_iter": 1}, solver=solver, lr=0.0).fit(*data).coefs_[0]
    moved = [
        float(np.abs(make(**QUICK, solver=solver, alpha=0.0, epsilon=epsilon).fit(*data).coefs_[0] - start).max())
        for epsilon in (1e-8, 1e3)
    ]
    assert moved[1] < 0.05 * moved[0]


@about("optimizer")
@both
def test_optimizer_takes_the_place_of_the_solver(make: Any, data: Any) -> None:
    model = make(**QUICK, optimizer=st.RMSprop(0.002, alpha=0.9), solver="sgd", momentum=0.3).fit(*data)
    assert model.recipe_["optimizer"] == "RMSprop(lr=0.002, alpha=0.9)"
    assert set(model.history_["learning_rate"]) == {0.002}


@about("lr")
@both
def test_lr_is_for_any_optimizer(make: Any, data: Any) -> None:
    for options in ({}, {"solver": "adam"}, {"optimizer": st.SGD(0.5)}):
        assert set(make(**QUICK, lr=0.003, **options).fit(*data).history_["learning_rate"]) == {0.003}
    falling = make(**QUICK, lr=st.schedules.cosine(0.1)).fit(*data).history_["learning_rate"]
    assert (np.diff(falling) < 0).all()


@about("learning_rate", "power_t", "learning_rate_init")
@both
@unfinished
def test_learning_rate_is_the_rule(make: Any, data: Any) -> None:
    rates = {
        rule: make(**QUICK, learning_rate=rule, learning_rate_init=0.02, power_t=0.3)
        .fit(*data)
        .history_["learning_rate"]
        for rule in (None, "constant", "invscaling")
    }
    n = len(data[1]) - (0 if make is st.MLPClassifier else round(0.2 * len(data[1])))
    assert set(rates["constant"]) == {0.02}
    np.testing.assert_allclose(rates["invscaling"], 0.02 / (np.arange(8) * n + 1) ** 0.3)
    peak = rates[None].argmax()
    assert rates[None].max() <= 0.02 and (np.diff(rates[None][peak:]) < 0).all() and rates[None][-1] < 0.002
    options = QUICK | {"max_iter": 12, "tol": 1e9, "n_iter_no_change": 3}
    adaptive = make(**options, learning_rate="adaptive", learning_rate_init=0.02).fit(*data).history_["learning_rate"]
    np.testing.assert_allclose(adaptive, 0.02 / 5 ** np.repeat([0, 1, 2], [5, 4, 3]))


# --- How long, on which rows ---


@about("batch_size", "max_iter")
@both
def test_batch_size_and_max_iter_make_the_steps(make: Any, data: Any) -> None:
    options = QUICK | {"max_iter": 3, "early_stopping": False}
    n = len(data[1])
    for size, steps in ((13, math.ceil(n / 13)), (n, 1)):
        model = make(**options, batch_size=size)
        assert steps_of(model, data) == 3 * steps and model.n_iter_ == 3 and model.recipe_["batch_size"] == size


@about("shuffle", "random_state")
def test_shuffle_and_random_state_make_the_order() -> None:
    x, y = normal(0, (300, 2)), np.arange(300.0)

    def order(**options: Any) -> list[int]:
        seen: list[float] = []

        def watch(y: Any, prediction: Any) -> Any:
            seen.extend(y)
            return ((prediction - y) ** 2).mean(), 2 * (prediction - y) / y.size

        options = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0, "early_stopping": False} | options
        st.MLPRegressor(watch, **options).fit(x, y)
        return np.rint(seen).astype(int).tolist()

    straight, mixed = order(shuffle=False), order()
    assert straight == [*range(300), *range(300)]
    assert mixed != straight and mixed[:300] != mixed[300:] and sorted(mixed[:300]) == straight[:300]
    assert order() == mixed != order(random_state=1)


@about("random_state")
@both
def test_random_state_draws_weights(make: Any, data: Any) -> None:
    first, again, other = (make(**QUICK | {"random_state": seed}).fit(*data).coefs_[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


@about("tol", "n_iter_no_change")
@both
@unfinished
def test_a_fit_stops_when_nothing_is_gained(make: Any, data: Any) -> None:
    options = QUICK | {"max_iter": 30, "tol": 1e9}
    assert make(**options, n_iter_no_change=4).fit(*data).n_iter_ == 1 + 4
    assert make(**options, n_iter_no_change=4, preset="sklearn").fit(*data).n_iter_ == 1 + 4 + 1
    assert make(**options | {"tol": None}).fit(*data).n_iter_ > 5


def test_tol_is_what_an_epoch_must_gain() -> None:
    options = QUICK | {"max_iter": 300, "n_iter_no_change": 5, "preset": "sklearn", "learning_rate_init": 0.01}
    loose, tight = (st.MLPClassifier(**options, tol=tol).fit(*IRIS) for tol in (1e-2, 1e-3))
    assert loose.n_iter_ < tight.n_iter_ < 300


@about("early_stopping", "validation_fraction")
@both
def test_rows_are_held_out(make: Any, data: Any) -> None:
    x, y = data[0][:150], data[1][:150]
    held = [
        make(**QUICK, early_stopping=stops, validation_fraction=share).fit(x, y).recipe_["held_out_rows"]
        for stops, share in ((None, None), (False, None), (True, 0.2), (True, 0.4))
    ]
    assert held == [0, 0, 30, 60]
    model = make(**QUICK | {"max_iter": 25, "lr": 0.1}, early_stopping=True).fit(x, y)
    assert model.recipe_["training_rows"] + model.recipe_["held_out_rows"] == 150
    assert len(model.validation_scores_) == model.n_iter_
    assert make(**QUICK).fit(np.repeat(x, 2, axis=0), np.repeat(y, 2)).recipe_["held_out_rows"] > 0


@about("warm_start")
@both
def test_warm_start_goes_on(make: Any, data: Any) -> None:
    model = make(**QUICK | {"early_stopping": False, "lr": 0.01}, warm_start=True).fit(*data)
    once = model.loss_curve_[-1]
    assert model.fit(*data).history_["loss"][0] < 1.05 * once
    cold = make(**QUICK | {"early_stopping": False, "lr": 0.01}).fit(*data)
    assert cold.fit(*data).history_["loss"][0] > 1.05 * once


# --- Targets ---


@about("class_weight")
@pytest.mark.parametrize("weight", ["balanced", {0: 1, 1: 9}])
def test_class_weight_moves_recall(weight: Any) -> None:
    x = normal(0, (400, 2))
    y = (x[:, 0] + normal(1, (400,)) > 1.8).astype(int)  # one in ten
    plain, weighted = (st.MLPClassifier(**QUICK | {"class_weight": w}).fit(x, y).predict(x) for w in (None, weight))
    assert recall_score(y, weighted) > recall_score(y, plain) + 0.2
    assert recall_score(y, weighted, pos_label=0) < recall_score(y, plain, pos_label=0)


@about("label_smoothing")
def test_label_smoothing_bounds_the_probabilities() -> None:
    options = QUICK | {"max_iter": 150, "lr": 0.02}
    smooth = st.MLPClassifier(**options, label_smoothing=0.3).fit(*IRIS).predict_proba(IRIS[0])
    assert abs(np.median(smooth.max(axis=1)) - (0.7 + 0.1)) < 0.03
    assert np.median(st.MLPClassifier(**options).fit(*IRIS).predict_proba(IRIS[0]).max(axis=1)) > 0.98


@about("loss", "quantile", "delta")
@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"loss": "squared_error"}, np.mean),
        ({"loss": "absolute_error"}, np.median),
        ({"loss": "quantile", "quantile": 0.8}, lambda y: np.quantile(y, 0.8)),
        ({"loss": "quantile"}, np.median),
        ({"loss": "huber", "delta": 1e-3}, np.median),
        ({"loss": "huber", "delta": 1e3}, np.mean),
        ({"loss": "poisson"}, np.mean),
    ],
    ids=options_of,
)
def test_a_loss_predicts_its_place(options: dict[str, Any], place: Any) -> None:
    """Where the features say nothing, the mean for squares, the median for absolute errors."""
    x, y = np.ones((300, 1)), np.exp(2 * normal(0, (300,)))
    model = st.MLPRegressor(hidden_layer_sizes=(4,), random_state=0, max_iter=100, batch_size=300, lr=0.05, **options)
    predicted = model.set_params(early_stopping=False).fit(x, y).predict(x)[0]
    assert predicted == pytest.approx(place(y), rel=0.15)
    assert np.mean(y) > 5 * np.median(y)


@about("eval_metric", "accumulate", "ema", "mixup", "n_jobs")
def test_the_others_have_a_file_of_their_own() -> None:
    """test_estimator_training.py."""


@about("time_limit")
def test_the_time_limit_has_a_file_of_its_own() -> None:
    """test_presets.py."""


# --- Ensembles, tables, presets, what is seen ---


@about("ensemble")
def test_an_ensemble_predicts_the_mean_of_its_networks() -> None:
    model = st.MLPRegressor(**QUICK, ensemble=3).fit(*DIABETES)
    z = model._model.preprocessor.scale.transform(DIABETES[0], np.float32)
    parts = [model._model.task.scale.inverse_transform(net.predict(z))[:, 0] for net in model.networks_]
    np.testing.assert_allclose(model.predict(DIABETES[0]), np.mean(parts, axis=0), rtol=1e-6)
    np.testing.assert_allclose(model.predict(DIABETES[0], return_std=True)[1], np.std(parts, axis=0))
    assert np.std(parts, axis=0).min() > 0
    model = st.MLPClassifier(**QUICK, ensemble=2).fit(*IRIS)
    logits = [net.predict(model._model.preprocessor.scale.transform(IRIS[0], np.float32)) for net in model.networks_]
    shares = [np.exp(part) / np.exp(part).sum(axis=1, keepdims=True) for part in logits]
    np.testing.assert_allclose(model.predict_proba(IRIS[0]), np.mean(shares, axis=0), rtol=1e-5)
    np.testing.assert_array_equal(model.predict(IRIS[0]), np.mean(shares, axis=0).argmax(axis=1))


@about("ensemble")
def test_a_row_alone_is_predicted_as_among_others() -> None:
    """The networks agree on most rows, which spares a row the mean of their probabilities, but not on all."""
    model = st.MLPClassifier(**QUICK, ensemble=4).fit(*IRIS)
    votes = model._predict(IRIS[0])[1].argmax(axis=2)
    assert 0 < np.count_nonzero((votes != votes[0]).any(axis=0)) < len(IRIS[0])
    one_by_one = np.concatenate([model.predict(row[None].astype(np.float32)) for row in IRIS[0]])
    np.testing.assert_array_equal(one_by_one, model.predict(IRIS[0].astype(np.float32)))
    numbers = st.MLPRegressor(**QUICK, ensemble=4).fit(*DIABETES)
    alone = np.concatenate([numbers.predict(row[None]) for row in DIABETES[0][:50]])
    np.testing.assert_allclose(alone, numbers.predict(DIABETES[0][:50]), rtol=1e-6)


@about("encode")
@both
def test_numbers_may_be_encoded_as_a_table(make: Any, data: Any) -> None:
    frame = pd.DataFrame(data[0]).rename(columns=str)
    assert make(**QUICK).fit(frame.assign(e="x"), data[1]).recipe_["features"] == "table"
    assert make(**QUICK, encode="numbers").fit(frame, data[1]).recipe_["features"] != "table"
    with pytest.raises(ValueError, match="could not convert string to float"):
        make(**QUICK, encode="numbers").fit(frame.assign(e="x"), data[1])


@about("preset")
@both
@unfinished
def test_the_preset_is_scikit_learns(make: Any, data: Any) -> None:
    theirs = getattr(neural_network, make.__name__)()
    recipe = make(preset="sklearn", max_iter=2).fit(*data).recipe_
    assert recipe["hidden_layer_sizes"] == theirs.hidden_layer_sizes and recipe["activation"] == (theirs.activation,)
    assert recipe["batch_size"] == min(200, len(data[1])) and recipe["features"] == "numbers"
    assert recipe["held_out_rows"] == 0 and recipe["optimizer"].startswith("Adam(")


@about("verbose")
@both
def test_verbose_prints_epochs(make: Any, data: Any, capsys: pytest.CaptureFixture[str]) -> None:
    make(**QUICK).fit(*data)
    assert capsys.readouterr().out == ""
    make(**QUICK, verbose=True).fit(*data)
    assert capsys.readouterr().out.count("epoch") == 8


@about("callbacks")
@both
def test_callbacks_are_called(make: Any, data: Any) -> None:
    seen: list[int] = []
    counting = st.LambdaCallback(on_epoch_end=lambda fit: seen.append(fit.epoch) or (fit.epoch == 2 and fit.stop()))
    model = make(**QUICK, callbacks=[counting]).fit(*data)
    assert seen == [0, 1, 2] and model.n_iter_ == 3


def test_one_callback_need_not_be_in_a_list() -> None:
    model = st.MLPRegressor(**QUICK, callbacks=st.LambdaCallback(on_epoch_end=lambda fit: fit.stop()))
    assert model.fit(*DIABETES).n_iter_ == 1


@both
def test_every_parameter_has_a_test(make: Any, data: Any) -> None:
    assert set(inspect.signature(make).parameters) <= covered


# --- Keeping, going on, refusing ---


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


@pytest.mark.parametrize(
    ("options", "call", "message"),
    [
        ({}, lambda m: m.partial_fit(IRIS[0], IRIS[1] + 1), "3"),
        ({"eval_metric": "r2"}, lambda m: m.fit(*IRIS), "metrics has 'r2'"),
        ({"eval_metric": "auc"}, lambda m: m.fit(IRIS[0][:3], [0, 1, 2]), "eval_metric has none of 3 rows"),
        ({"eval_metric": "auc", "early_stopping": True}, lambda m: m.fit(IRIS[0][:3], [0, 1, 2]), "early_stopping is"),
        ({"warm_start": True, "alpha": -1.0}, lambda m: m.fit(*IRIS), "alpha"),
        ({"warm_start": True, "ema": 2.0}, lambda m: m.fit(*IRIS), "ema"),
    ],
    ids=options_of,
)
def test_a_refusal_leaves_averages_and_optimizer_alone(
    options: dict[str, Any], call: Callable[[Any], Any], message: str
) -> None:
    model = st.MLPClassifier(**QUICK, ema=0.9).fit(*IRIS).partial_fit(*IRIS)
    model.set_params(**options)
    with refusal(model, message):
        call(model)
