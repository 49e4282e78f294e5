"""Scikit-learn's own callbacks, which it has from version 1.9 on, told of a fit, its networks and their epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ..callbacks import Callback, FitState
from ..network import Network

M = TypeVar("M", bound=Callable[..., Any])

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # an older scikit-learn
    _with_callbacks = None

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing."""


def with_callbacks(method: M) -> M:
    """Return a method that ends what scikit-learn's callbacks began, also when it raises."""
    return method if _with_callbacks is None else cast(M, _with_callbacks(method))


@dataclass(eq=False)
class FitReporter:
    """Tells scikit-learn's callbacks of a fit: a task, whose subtasks are networks, whose subtasks are epochs.

    Parameters
    ----------
    estimator : BaseMLP
        Whose callbacks they are.
    context : sklearn.callback.CallbackContext
        Of the fit.
    given : dict
        X, y and metadata, as given to the fit.
    work : BaseMLP
        The twin that learns, for a fitted estimator's attributes.
    """

    estimator: Any
    context: Any
    given: dict[str, Any]
    work: Any = None

    @classmethod
    def begin(cls, estimator: Any, X: Any, y: Any, sample_weight: Any) -> FitReporter | None:
        """Tell that a fit begins; None where the estimator has no such callbacks."""
        if not vars(estimator).get("_skl_callbacks"):
            return None
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        context = estimator._init_callback_context(max_subtasks=None)  # how many networks there are, is decided later
        given = {"X": X, "y": y, "metadata": metadata}
        context.call_on_fit_task_begin(estimator=estimator, **given)
        return cls(estimator, context, given)

    def end(self) -> None:
        """Tell that the estimator is fitted."""
        self.context.call_on_fit_task_end(estimator=self.estimator, **self.given, reconstruction_attributes={})

    def watch(self, model_of: Callable[[Network], Any]) -> EpochReporter:
        """Return the callback for the training of one network, of which `model_of` makes a model that predicts."""
        return EpochReporter(self, model_of)


class EpochReporter(Callback):
    """Tells scikit-learn's callbacks of the training of one network.

    Parameters
    ----------
    fit : FitReporter
        Of the fit that it belongs to.
    model_of : callable
        Makes a model of a network.
    """

    def __init__(self, fit: FitReporter, model_of: Callable[[Network], Any]) -> None:
        self._fit, self._model_of = fit, model_of

    def on_train_begin(self, fit: FitState) -> None:
        """Tell that the training begins."""
        self._network = self._fit.context.subcontext("network", max_subtasks=fit.epochs)
        self._network.call_on_fit_task_begin(**self._said(fit))

    def on_epoch_begin(self, fit: FitState) -> None:
        """Tell that an epoch begins."""
        self._epoch = self._network.subcontext("epoch")
        self._epoch.call_on_fit_task_begin(**self._said(fit))

    def on_epoch_end(self, fit: FitState) -> None:
        """Tell that an epoch has ended; stop after it where a callback asks for that."""
        if self._epoch.call_on_fit_task_end(**self._said(fit)):
            fit.stop()

    def on_train_end(self, fit: FitState) -> None:
        """Tell that the training has ended, with the weights that stay."""
        self._network.call_on_fit_task_end(**self._said(fit))

    def _said(self, fit: FitState) -> dict[str, Any]:
        """Return all that hooks are given; the estimator by this network alone is made only for those that ask."""
        own = self._fit

        def fitted() -> dict[str, Any]:
            trainer = fit.trainer
            network = trainer.ema_network if trainer.ema else trainer.network.copy()
            parameters = own.work._get_param_names()
            learned = {name: value for name, value in vars(own.work).items() if name not in parameters}
            return learned | {"_model": self._model_of(network)}

        return {"estimator": own.estimator, **own.given, "reconstruction_attributes": fitted}
