"""The recipe for tables: its numbers, the training by it, and what is measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

import steepest as st
from helpers import normal
from steepest.calibration import temperature
from steepest.callbacks import Callback, History
from steepest.recipe import Recipe, probabilities, score, silence_unseen
from steepest.tables import TableEncoder

# --- Training ---


@pytest.mark.parametrize(
    ("rows", "epochs", "batch_size"), [(1, 500, 16), (64, 500, 16), (2048, 40, 32), (14_861, 40, 256), (10**6, 40, 256)]
)
def test_plan(rows: int, epochs: int, batch_size: int) -> None:
    assert Recipe().plan(rows) == (epochs, batch_size)
    assert Recipe(epochs=3, batch_size=7).plan(rows) == (3, 7)


@pytest.mark.parametrize(("rows", "epochs"), [(1, 500), (480, 20), (120, 75), (14_861, 20)])
def test_plan_of_an_ensemble(rows: int, epochs: int) -> None:
    assert Recipe.for_rows(1000).plan(rows)[0] == epochs


def test_recipe_for_few_rows_and_for_many() -> None:
    few, many = Recipe.for_rows(2000), Recipe.for_rows(2001)
    assert (many.hidden, many.bins, many.frequencies, many.networks) == ((128, 128), 0, 24, 4)
    assert (few.hidden, few.bins, few.frequencies, few.networks, few.dropout) == ((128, 128), 0, 0, 5, 0.0)


@pytest.mark.parametrize(("rows", "networks"), [(62_500, 4), (62_501, 3), (100_000, 2), (10**6, 1)])
def test_the_more_rows_the_fewer_networks(rows: int, networks: int) -> None:
    assert Recipe.for_rows(rows).networks == networks
    assert Recipe.for_rows(rows, "best").networks == 3 * networks


@pytest.mark.parametrize("rows", [1000, 20_000])
def test_presets_are_in_order_of_their_cost(rows: int) -> None:
    def cost(preset: str | None) -> int:
        recipe = Recipe.for_rows(rows, preset)
        return recipe.networks * recipe.plan(rows)[0]

    assert cost("fast") < cost(None) < cost("best")


@pytest.mark.parametrize(("given", "steps", "decay"), [(None, 2000, 0.3), (None, 100, 1.0), (0.05, 100, 0.05)])
def test_weight_decay_follows_the_steps(given: float | None, steps: int, decay: float) -> None:
    optimizer = Recipe(weight_decay=given).optimizer(steps, beta2=0.95)
    assert (optimizer.weight_decay, optimizer.beta2) == (pytest.approx(decay), 0.95)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": [0]}, "hidden"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"lr": 0}, "lr"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"activation": "step"}, "activation"),
        ({"dropout": 1}, "dropout"),
        ({"label_smoothing": 1}, "label_smoothing"),
        ({"bins": -1}, "bins"),
        ({"networks": 0}, "networks"),
    ],
)
def test_recipe_checks_its_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**arguments)


def train(recipe: Recipe, *arguments: Any, **options: Any) -> tuple[st.Network, History]:
    """Train as programs of version 0.1 do."""
    with pytest.warns(DeprecationWarning, match=r"Recipe\.train is deprecated: use steepest\.MLPClassifier or MLPReg"):
        return recipe.train(*arguments, **options)


class Watch(Callback):
    """Keeps the validation loss of every epoch."""

    def on_train_begin(self, fit: Any) -> None:
        self.losses: list[float] = []

    def on_epoch_end(self, fit: Any) -> None:
        self.losses.append(fit.metrics["val_loss"])


@pytest.fixture(scope="module")
def trained() -> Any:
    """A network for a noisy sum, and what it was trained on; the last feature is always zero."""
    x = np.column_stack([normal(0, (400, 3)), np.zeros(400)]).astype(np.float32)
    y = x.sum(axis=1) + 0.5 * normal(1, (400,))
    watch = Watch()
    network, history = train(
        Recipe([16], epochs=30), x[:300], y[:300], (x[300:], y[300:]), task="regression", n_outputs=1, callbacks=[watch]
    )
    return x, y, network, history, watch


def test_best_epoch_is_kept(trained: Any) -> None:
    x, y, network, history, watch = trained
    assert watch.losses == history["val_loss"].tolist() and len(watch.losses) == history.n_epochs
    assert history.best_epoch == np.argmin(watch.losses)
    loss = float(np.mean((network.predict(x[300:])[:, 0] - y[300:]) ** 2))
    assert loss == pytest.approx(min(watch.losses), rel=1e-5)
    assert loss < 0.5


def test_features_that_are_always_zero_say_nothing(trained: Any) -> None:
    x, _, network, *_ = trained
    changed = x.copy()
    changed[:, 3] = 100
    assert np.array_equal(network.predict(changed), network.predict(x))


def test_unseen_features_are_silenced_and_no_others() -> None:
    network = st.Network(3, [st.Dense(4)], seed=0)
    before = network.parameters["0.weight"].copy()
    silence_unseen(network, np.array([False, True, True]))
    assert np.array_equal(network.parameters["0.weight"], before * [[0], [1], [1]])


def test_same_seed_same_network(trained: Any) -> None:
    x, y, network, *_ = trained
    for seed, same in ((0, True), (1, False)):
        again = train(
            Recipe([16], epochs=30), x[:300], y[:300], (x[300:], y[300:]), task="regression", n_outputs=1, seed=seed
        )[0]
        assert np.array_equal(again.predict(x), network.predict(x)) is same


def test_labels_are_smoothed_and_logits_made_sure_again() -> None:
    x = normal(0, (1000, 3), np.float32)
    y = (x[:, 0] + normal(1, (1000,)) > 0).astype(np.int64)
    training, held = (x[:500], y[:500]), (x[500:], y[500:])
    for share in (0.0, 0.5):
        recipe = Recipe([16], epochs=20, label_smoothing=share)
        network, history = train(recipe, *training, held, task="classification", n_outputs=2)
        outputs = network.predict(held[0])
        assert temperature(outputs, held[1]) == pytest.approx(1, abs=1e-3)
        gain = min(history["val_loss"]) - metrics.log_loss(held[1], probabilities(outputs))
        assert gain > (0.02 if share else -1e-4)


# --- Measures ---


def test_regression_is_scored_in_units() -> None:
    truth = 1e6 + 1e3 * normal(0, (50,))
    encoder = TableEncoder().fit({"x": normal(1, (50,))}, truth)
    outputs = (encoder.encode_target(truth)[:, None] + 0.1 * normal(1, (50, 1))).astype(np.float32)
    said = encoder.decode_target(outputs)
    numbers = score(encoder, outputs, truth)
    assert numbers["r2"] == pytest.approx(metrics.r2_score(truth, said))
    assert numbers["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, said))
    assert numbers["mae"] == pytest.approx(metrics.mean_absolute_error(truth, said))
    assert np.isnan(score(encoder, outputs[:1], truth[:1])["r2"])


def test_classification_is_scored() -> None:
    labels = np.array(["a", "b", "c", "a", "b", "c", "a", "a"], dtype=object)
    encoder = TableEncoder().fit({"x": np.arange(8)}, labels, "classification")
    logits = normal(0, (8, 3), np.float32)
    numbers = score(encoder, logits, labels)
    assert numbers["accuracy"] == metrics.accuracy_score(labels, encoder.decode_target(logits))
    assert numbers["log_loss"] == pytest.approx(metrics.log_loss(labels, probabilities(logits)))
    assert numbers["majority_accuracy"] == 0.5


def test_logits_at_their_ends() -> None:
    logits = np.array([[1000, 0, -1000], [-3e38, -3e38, -3e38], [0, 200, 0]], np.float32)
    assert probabilities(logits)[:2].tolist() == [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]
    encoder = TableEncoder().fit({"x": [1, 2, 3]}, ["a", "b", "c"], "classification")
    labels = np.array(["c", "a", "a"], dtype=object)
    assert score(encoder, logits, labels)["log_loss"] == pytest.approx((2000 + np.log(3) + 200) / 3)
