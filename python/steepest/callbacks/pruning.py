"""A callback that ends the hopeless trials of a search by Optuna."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from .._arrays import shown
from .._extras import require
from .._validation import Spec, choice
from ..metrics import MODES, monitored, sign_of
from .base import Callback, FitState


@dataclass(repr=False)
class OptunaPruning(Spec, Callback):
    """Report a metric to a trial of Optuna's after each epoch, and end the trial where its pruner says so.

    The fit then ends by ``optuna.TrialPruned``, which the study takes in when the objective function lets it pass; an
    estimator is as it was before.

    Parameters
    ----------
    trial : optuna.Trial
        What the objective function was given, of a study with one objective.
    monitor : str, default=None
        The metric, such as "val_accuracy". None: val_loss, or loss without validation rows.
    mode : {"auto", "min", "max"}, default="auto"
        Whether smaller or larger is better, which has to be the study's direction; "auto": larger for accuracy, r2,
        auc, f1 and top-k, smaller for the rest.

    Raises
    ------
    TypeError
        If `trial` has no methods `report` and `should_prune`.
    ValueError
        If the trial's study has several objectives, which no pruner compares. At the beginning of a fit: if the fit has
        no metric `monitor`, or the study goes the other way than `mode`.
    ImportError
        If Optuna is not installed.

    Notes
    -----
    The steps that are reported are epochs, from 0. They go on from fit to fit of one trial, as over the networks of an
    ensemble, so that trials are compared at the same amount of training.

    Examples
    --------
    >>> import optuna, steepest as st
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> def objective(trial):
    ...     rate = trial.suggest_float("rate", 1e-3, 1e-1, log=True)
    ...     trainer = st.Trainer(st.Network(1, [st.Dense(1)]), "mse", st.SGD(rate))
    ...     trainer.fit([[0], [1]], [1, 3], epochs=20, callbacks=[st.OptunaPruning(trial, "loss")])
    ...     return trainer.history["loss"][-1]
    >>> study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    >>> study.optimize(objective, n_trials=8)
    >>> study.best_value < 1
    True
    """

    only_first_rank = True

    trial: Any
    monitor: str | None = None
    _: KW_ONLY
    mode: str = "auto"

    def __post_init__(self) -> None:
        """Check the arguments."""
        for method in ("report", "should_prune"):
            if not callable(getattr(self.trial, method, None)):
                raise TypeError(f"trial is {shown(self.trial)}: expected an optuna.Trial, which has {method}")
        self.mode = choice("mode", self.mode, MODES)
        self._pruned: type[Exception] = require("optuna", "optuna", "OptunaPruning").TrialPruned
        study = getattr(self.trial, "study", None)  # a FixedTrial has none
        self._directions = [direction.name for direction in study.directions] if study is not None else []
        if len(self._directions) > 1:
            raise ValueError(f"trial is of a study with {len(self._directions)} objectives: expected one")
        self._step = 0

    def on_train_begin(self, fit: FitState) -> None:
        """Look for the metric, and whether the study goes its way."""
        self._name = monitored(self.monitor, fit.metric_names, "OptunaPruning")
        wanted = "MAXIMIZE" if sign_of(self._name, self.mode) > 0 else "MINIMIZE"
        if self._directions and self._directions[0] != wanted:
            found = self._directions[0].lower()
            raise ValueError(
                f"OptunaPruning monitors {self._name}, which is to {wanted.lower()}: the study has the direction "
                f"{found}, expected direction={wanted.lower()!r}, or another monitor or mode"
            )

    def on_epoch_end(self, fit: FitState) -> None:
        """Report the epoch; end the trial where it is hopeless."""
        value, step = fit.metrics[self._name], self._step
        self._step += 1
        self.trial.report(value, step)
        if self.trial.should_prune():
            raise self._pruned(f"pruned after epoch {step}: {self._name} is {value:.6g}")
