"""Trials of a study by Optuna, ended early by its pruner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal, refusal
from quick_estimators import regressor

optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
X = normal(0, (60, 3))
Y = X @ [1.0, -2.0, 0.5]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def trainer_of(rate: float) -> st.Trainer:
    return st.Trainer(st.Network(3, [st.Dense(1)], seed=0), "mse", st.SGD(rate))


def test_a_study_prunes_what_is_hopeless() -> None:
    """The rates come one after the other; those that hardly learn are below the median of the ones before."""

    def objective(trial: Any) -> float:
        trainer = trainer_of(trial.suggest_categorical("rate", [0.1, 1e-6]))
        trainer.fit(X, Y, epochs=8, callbacks=[st.OptunaPruning(trial)])
        return float(trainer.history["loss"][-1])

    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2))
    for rate in (0.1, 1e-6, 0.1):
        study.enqueue_trial({"rate": rate})
    study.optimize(objective, n_trials=3)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert [len(trial.intermediate_values) for trial in study.trials] == [8, 3, 8]
    expected = trainer_of(0.1).fit(X, Y, epochs=8)["loss"]
    assert list(study.trials[0].intermediate_values.values()) == expected.tolist()


def test_the_networks_of_an_ensemble_go_on_counting() -> None:
    study = optuna.create_study(direction="maximize")
    trial = study.ask()
    regressor(ensemble=2, callbacks=[st.OptunaPruning(trial, "val_r2")]).fit(X, Y)
    reported = study.trials[0].intermediate_values
    assert list(reported) == list(range(8)) and np.isfinite(list(reported.values())).all()


def test_an_estimator_that_is_pruned_stays_as_it_was() -> None:
    class Always(optuna.pruners.BasePruner):  # type: ignore[misc]
        def prune(self, study: Any, trial: Any) -> bool:
            return True

    study = optuna.create_study(pruner=Always())
    model = regressor(callbacks=[st.OptunaPruning(study.ask())])
    before = vars(model).copy()
    with pytest.raises(optuna.TrialPruned, match="pruned after epoch 0: loss is"):
        model.fit(X, Y)
    assert vars(model) == before


def test_a_fixed_trial_is_never_pruned() -> None:
    history = trainer_of(0.1).fit(X, Y, epochs=2, callbacks=[st.OptunaPruning(optuna.trial.FixedTrial({}))])
    assert history.n_epochs == 2


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(TypeError, match="trial is 3: expected an optuna.Trial, which has report"):
        st.OptunaPruning(3)
    with pytest.raises(ValueError, match="mode is 'up': expected one of auto, min, max"):
        st.OptunaPruning(optuna.create_study().ask(), mode="up")
    with pytest.raises(ValueError, match="a study with 2 objectives: expected one"):
        st.OptunaPruning(optuna.create_study(directions=["minimize", "minimize"]).ask())
    trainer = trainer_of(0.1)
    up = optuna.create_study(direction="maximize").ask()
    with refusal(trainer, "monitors loss, which is to minimize: the study has the direction maximize"):
        trainer.fit(X, Y, callbacks=[st.OptunaPruning(up)])
    with refusal(trainer, "OptunaPruning monitors 'val_r2': this fit records loss"):
        trainer.fit(X, Y, callbacks=[st.OptunaPruning(up, "val_r2")])
    trainer.fit(X, Y, epochs=1, callbacks=[st.OptunaPruning(up, mode="max")])
