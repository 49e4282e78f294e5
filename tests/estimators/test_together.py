"""Estimators that ranks fit together: they share out the networks, and have the bits of one process in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import run_ranks
from steepest.distributed import RankError, together


def on_ranks(size: int, fit: Callable[[int], Any]) -> list[Any]:
    """What `fit(rank)` returns, or raises, on ranks that fit together."""

    def fit_together(comm: Any, rank: int) -> Any:
        with together(comm):
            return fit(rank)

    return run_ranks(size, fit_together)


def table(n: int = 300) -> tuple[Any, Any]:
    x = np.random.default_rng(0).normal(size=(n, 4))
    return x, np.sin(x[:, 0]) + x[:, 1]


class Counting(st.Callback):
    """How many fits there were."""

    def __init__(self) -> None:
        self.n_fits = 0

    def on_train_begin(self, fit: Any) -> None:
        self.n_fits += 1


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"ema": 0.9}, {"callbacks": True}, {"early_stopping": True}])
def test_the_networks_are_those_of_one_process(size: int, options: dict[str, Any]) -> None:
    x, y = table()

    def fit(rank: int) -> Any:
        given = options | ({"callbacks": [Counting()]} if "callbacks" in options else {})
        est = st.MLPRegressor(hidden_layer_sizes=(8,), ensemble=5, max_iter=6, random_state=0, **given)
        return est.fit(x, y)

    alone = fit(0)
    for rank, est in enumerate(on_ranks(size, fit)):
        np.testing.assert_array_equal(est.predict(x), alone.predict(x))
        assert [h["loss"].tolist() for h in est.histories_] == [h["loss"].tolist() for h in alone.histories_]
        assert [h.best_epoch for h in est.histories_] == [h.best_epoch for h in alone.histories_]
        if "callbacks" in options:
            assert est.callbacks[0].n_fits == len(range(rank, 5, size))


def test_they_go_on_from_a_fit_together() -> None:
    x, y = table()

    def fit(rank: int) -> Any:
        est = st.MLPRegressor(hidden_layer_sizes=(8,), ensemble=2, max_iter=3, random_state=0, warm_start=True)
        return est.fit(x, y).fit(x, y)

    alone = fit(0)
    for est in on_ranks(2, fit):
        np.testing.assert_array_equal(est.predict(x), alone.predict(x))


def test_a_single_network_is_trained_by_each() -> None:
    x, y = table()

    def fit(rank: int) -> Any:
        return st.MLPRegressor(hidden_layer_sizes=(8,), ensemble=1, max_iter=3, random_state=0).fit(x, y)

    first, second = on_ranks(2, fit)
    np.testing.assert_array_equal(first.predict(x), second.predict(x))


@pytest.mark.parametrize("differs", ["seed", "rows", "ensemble", "epochs"])
def test_ranks_that_differ_are_told_apart(differs: str) -> None:
    x, y = table()

    def fit(rank: int) -> Any:
        seed = rank if differs == "seed" else 0
        n = 2 + rank if differs == "ensemble" else 2
        epochs = 2 + rank if differs == "epochs" else 2
        rows = y + rank if differs == "rows" else y
        return st.MLPRegressor(ensemble=n, max_iter=epochs, random_state=seed).fit(x, rows)

    for error in on_ranks(2, fit):
        assert isinstance(error, ValueError)
        assert "rank 1 has" in str(error)


def test_one_that_diverges_is_an_error_on_all() -> None:
    x, y = table()

    def fit(rank: int) -> Any:
        options = {"solver": "sgd", "learning_rate_init": 1e30, "max_iter": 3, "random_state": 0}
        return st.MLPRegressor(ensemble=2, **options).fit(x, y)

    first, second = on_ranks(2, fit)
    assert isinstance(first, st.DivergedError)
    assert str(first) == str(second)
    assert first.epoch == second.epoch == 0


def test_one_that_fails_ends_all() -> None:
    x, y = table()

    class Failing(st.Callback):
        def on_epoch_end(self, fit: Any) -> None:
            raise OSError("the disk is full")

    def fit(rank: int) -> Any:
        callbacks = [Failing() if rank else Counting()]
        return st.MLPRegressor(ensemble=2, max_iter=3, random_state=0, callbacks=callbacks).fit(x, y)

    first, second = on_ranks(2, fit)
    assert isinstance(first, RankError)
    assert "rank 1 of 2 has failed: OSError: the disk is full" in str(first)
    assert isinstance(second, OSError)


def test_an_interrupt_of_one_keeps_the_best_of_all() -> None:
    x, y = table()

    class Interrupting(st.Callback):
        def on_epoch_end(self, fit: Any) -> None:
            if fit.epoch == 1:
                raise KeyboardInterrupt

    def fit(rank: int) -> Any:
        callbacks = [Interrupting() if rank else Counting()]
        est = st.MLPRegressor(ensemble=2, max_iter=3, random_state=0, callbacks=callbacks)
        with pytest.raises(KeyboardInterrupt):
            est.fit(x, y)
        return est

    first, second = on_ranks(2, fit)
    np.testing.assert_array_equal(first.predict(x), second.predict(x))
    assert [history.n_epochs for history in first.histories_] == [3, 2]


def test_a_time_limit_is_refused() -> None:
    x, y = table()
    est = st.MLPRegressor(time_limit=3, max_iter=1)
    (error,) = on_ranks(1, lambda _: est.fit(x, y))
    assert isinstance(error, ValueError)
    assert "time_limit is 3: ranks that fit together" in str(error)
    est.fit(x, y)
