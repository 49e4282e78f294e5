"""Estimators with scikit-learn's interface: `MLPClassifier` and `MLPRegressor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.utils.metaestimators import available_if

from ..losses import CustomLoss
from ..metrics import Metric
from ..tables._scaling import Standardizer
from ._base import BaseMLP, can_go_on

LOSSES = {
    "squared_error": "mse", "absolute_error": "mae", "huber": "huber", "quantile": "quantile", "poisson": "poisson",
}  # fmt: skip


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """A neural network that predicts numbers, for scikit-learn.

    What is left at None is decided by the recipe for tables (`steepest.recipe.Recipe`): standardised features and
    targets, SiLU layers, AdamW along a cosine, the best epoch on held-out rows kept. `recipe_` says what was decided.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber", "quantile", "poisson"} or callable
        What is minimised; "poisson" predicts a rate, from targets >= 0. Or ``function(y, prediction) -> (loss,
        gradient)``: it is given rows of y and what `predict` would say of them, (n,) or (n, n_targets). It returns the
        rows' mean loss, or the loss of each, (n,), which it must where there are weights; and the derivative of that
        mean by the prediction, of its shape.
    hidden_layer_sizes : sequence of int, or int
        Widths of the hidden layers; ``()`` makes a linear model.
    activation : str or sequence of str
        One for all hidden layers, or one for each: "logistic" or any of `steepest.Dense`; by default "silu".
    solver : {"adam", "sgd", "lbfgs"}
        By default AdamW. "lbfgs" takes all rows in each step and suits small data.
    alpha : float
        The L2 penalty on the weights, as in scikit-learn divided by the rows of a batch; for the default AdamW its
        decoupled weight decay.
    batch_size : int or "auto"
        Rows in a step.
    learning_rate : {"constant", "invscaling", "adaptive"}
        How the rate changes from epoch to epoch; by default it rises and then falls along a cosine. Momentum follows
        PyTorch: a new rate scales the whole velocity, where scikit-learn keeps the older steps' own rates.
    learning_rate_init : float
        The rate at the start, or the highest of the cosine.
    power_t : float
        For "invscaling": the rate is ``learning_rate_init / (t_ + 1) ** power_t``.
    max_iter : int
        The most epochs, or iterations of lbfgs.
    shuffle : bool
        Whether each epoch has an order of its own.
    random_state : int, RandomState or None
        Of weights, order and held-out rows.
    tol, n_iter_no_change : float, int
        Stop when this many epochs in a row gained less than `tol`.
    verbose : bool
        Whether to print a line for each epoch.
    warm_start : bool
        Whether another `fit` goes on from the last: from its weights, the optimiser's running means and the order of
        rows. At a constant rate, fits of 2 and 3 epochs are then one of 5.
    momentum, nesterovs_momentum : float, bool
        Of "sgd".
    early_stopping : bool
        Whether to hold rows out and keep the best epoch; None: in an ensemble, or where there are at least 200 rows.
        True with too few rows to hold one out is an error.
    validation_fraction : float
        The share of the rows held out.
    beta_1, beta_2, epsilon : float
        Of Adam and AdamW; epsilon is added as in PyTorch, after the correction of the running means.
    optimizer : steepest optimiser
        Takes the place of `solver` and its parameters.
    lr : float or schedule
        The learning rate, or one of `steepest.schedules`, for any optimiser.
    dropout : float
        Share of hidden outputs dropped in training; by default the recipe's, none for "lbfgs" and `partial_fit`.
    batch_norm, layer_norm : bool
        Whether to normalise before each hidden activation.
    quantile : float
        For "quantile": the one to predict.
    delta : float
        For "huber": where the parabola becomes a line, in units of y; by default one standard deviation (1 with the
        preset).
    ensemble : int
        How many networks, with seeds of their own, to average; each holds other rows out. By default the recipe's:
        five up to 2,000 rows. Whoever sets `hidden_layer_sizes`, `solver`, `optimizer`, `max_iter` or `callbacks`
        describes one network, and gets one.
    encode : {"auto", "numbers"}
        "auto": a data frame with text, categories, booleans or missing values goes through `TableEncoder`; its columns
        are then known by name. "numbers": numbers alone are accepted.
    preset : {None, "sklearn"}
        "sklearn": parameters left at None become scikit-learn's defaults, nothing is scaled, and the network begins
        with the weights scikit-learn would draw. The gradient is scikit-learn's, which sums over several outputs; in
        `loss_curve_` the penalty is interpolated between the ends of each epoch.
    callbacks : Callback or sequence of Callback
        For each training.
    accumulate : int
        The optimiser steps after so many batches, by the mean of their gradients; an epoch may end before.
    ema : float, optional
        Predict with a running average of the weights that keeps this share of itself in each step, 0 < ema < 1, such as
        0.999; held-out rows measure the average too.
    mixup : float
        Above 0: train on mixtures of two rows each, in shares drawn from Beta(mixup, mixup).
    eval_metric : str, callable or pair, optional
        What chooses the best epoch on held-out rows or those of `eval_set`, instead of the loss: "loss",
        "r2", "rmse" or "mae", or a
        function of your own, ``function(y, prediction) -> float``, where y is as given to `fit` and the prediction as
        `predict` returns it. Larger is better where the name says so, as accuracy, r2, auc, f1 and what ends in
        _score do; else smaller; ``(metric, "max")`` or ``(metric, "min")`` decides it. With `early_stopping` at None
        rows are held out even of a small table.
    n_jobs : int, optional
        How many networks of an `ensemble` `fit` trains at once, in threads, which the core lets run: None is 1, -1 all
        processors, -2 all but one. The result is the same. With `callbacks` they train one after the other.

    Attributes
    ----------
    network_, networks_ : Network, list of Network
        The network, and all of an ensemble.
    recipe_ : dict
        What was decided.
    history_ : History
        How the training went.
    coefs_, intercepts_ : list of array
        Weights and biases, for features and targets as scaled.
    n_iter_, t_ : int
        Epochs and rows trained since the network was new, by all fits with `warm_start` and calls of `partial_fit`; for
        lbfgs `n_iter_` is the iterations of the last fit.
    loss_curve_ : list of float
        The loss of each of these epochs.
    loss_, best_loss_, validation_scores_, n_layers_, n_outputs_, out_activation_
        As in scikit-learn.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import steepest as st
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> st.MLPRegressor(max_iter=2, random_state=0).fit(X, y).predict(X).shape
    (442,)
    """

    _losses = tuple(LOSSES)

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = None,
        activation: Any = None,
        *,
        solver: str | None = None,
        alpha: float | None = None,
        batch_size: Any = None,
        learning_rate: str | None = None,
        learning_rate_init: float | None = None,
        power_t: float = 0.5,
        max_iter: int | None = None,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float | None = None,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool | None = None,
        validation_fraction: float | None = None,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float | None = None,
        optimizer: Any = None,
        lr: Any = None,
        dropout: float | None = None,
        batch_norm: bool = False,
        layer_norm: bool = False,
        quantile: float = 0.5,
        delta: float | None = None,
        ensemble: int | None = None,
        encode: str | None = "auto",
        preset: str | None = None,
        callbacks: Any = None,
        accumulate: int = 1,
        ema: float | None = None,
        mixup: float = 0.0,
        eval_metric: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self._store(locals())

    def fit(self, X: Any, y: Any, sample_weight: Any = None, eval_set: Any = None) -> MLPRegressor:
        """Train anew, or from the last weights with `warm_start`.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or data frame of shape (n, n_features)
            The rows. A sparse matrix becomes dense batch by batch.
        y : array of shape (n,) or (n, n_targets)
            The numbers to predict.
        sample_weight : array of shape (n,), optional
            Weights of the rows, >= 0.
        eval_set : (X, y) or (X, y, sample_weight), optional
            Rows to choose the best epoch by, instead of held-out ones; see `eval_metric`.

        Returns
        -------
        MLPRegressor
            This one.

        Raises
        ------
        ValueError
            If a shape, a value or a parameter is wrong; nothing has changed then.
        DivergedError
            If the loss or a weight is no longer finite: the rate is too high, or the data is not scaled.
        """
        return self._fit(X, y, sample_weight, eval_set)

    @available_if(can_go_on)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train one epoch on some rows, at a constant learning rate.

        It goes on from the last call, or from a `fit` with `warm_start`, with the optimiser's running means; after any
        other `fit` from the weights alone. The first call, if it has at least ten rows, also decides how features and
        targets are scaled. No rows are held out.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        MLPRegressor
            This one.

        Raises
        ------
        ValueError
            As `fit`.
        """
        return self._fit(X, y, sample_weight, None, online=True)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the numbers of rows.

        Parameters
        ----------
        X : as in `fit`
            The rows.
        return_std : bool
            Whether to return also the standard deviation over an `ensemble`.

        Returns
        -------
        array of shape (n,) or (n, n_targets)
            The predictions; with `return_std` a pair of such arrays.

        Raises
        ------
        ValueError
            If a shape or a value is wrong, or `return_std` is asked of a single network.
        """
        outputs = self._rates(self._outputs(X))
        if len(outputs) == 1:
            if return_std:
                raise ValueError("return_std is True and the ensemble has one network: expected two or more")
            return self._in_units(outputs[0])
        mean = self._in_units(np.add.reduce(outputs) / len(outputs))
        return (mean, np.std([self._in_units(part) for part in outputs], axis=0)) if return_std else mean

    def _rates(self, outputs: NDArray[Any]) -> NDArray[Any]:
        return np.exp(outputs) if self.out_activation_ == "exp" else outputs

    def _in_units(self, outputs: NDArray[Any]) -> NDArray[Any]:
        if self._target_scale is not None:
            outputs = self._target_scale.inverse_transform(outputs)
        return outputs[:, 0] if self._flat else outputs

    def _loss(self) -> Any:
        if not callable(self.loss):
            return LOSSES[self.loss]
        scale = self._target_scale
        return CustomLoss(
            self.loss, flat=self._flat, **({} if scale is None else {"mean": scale.mean, "scale": scale.scale})
        )

    def _usual_score(self) -> str:
        return "r2"

    def _own_scores(self) -> dict[str, Metric]:
        if not callable(self.loss) and self.loss != "poisson":
            return {}

        def of(name: str, measure: Callable[..., float]) -> Metric:
            def metric(targets: NDArray[Any], outputs: NDArray[Any]) -> float:
                return float(measure(*self._as_given(targets, outputs)))

            metric.__name__ = name
            return metric

        measures = {"r2": r2_score, "rmse": root_mean_squared_error, "mae": mean_absolute_error}
        return {name: of(name, measure) for name, measure in measures.items()}

    def _as_given(self, targets: NDArray[Any], outputs: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        scale = self._target_scale
        if scale is not None:
            targets = scale.inverse_transform(targets.reshape(len(targets), -1)).reshape(targets.shape)
        return targets, self._in_units(self._rates(outputs))

    def _encode_targets(self, y: NDArray[Any], classes: Any, *, goes_on: bool, online: bool) -> NDArray[Any]:
        y = y.astype(np.float64, copy=False)
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(f"y has the value {y.min():g}: expected numbers >= 0 for the loss 'poisson'")
        columns = 1 if y.ndim == 1 else y.shape[1]
        if not goes_on:
            self._flat, self._n_out = y.ndim == 1, columns
            self.out_activation_ = "exp" if self.loss == "poisson" else "identity"
        elif columns != self._n_out:
            raise ValueError(f"y has {columns} columns: expected {self._n_out}, as before")
        return y

    def _class_weighted(self, targets: NDArray[Any], y: NDArray[Any], weight: Any, o: Mapping[str, Any]) -> Any:
        return weight

    def _trained_targets(self, targets: NDArray[Any], o: Mapping[str, Any]) -> NDArray[Any]:
        return self._scaled_target(targets)

    def _scaled_target(self, targets: NDArray[Any]) -> NDArray[Any]:
        if self._target_scale is None:
            return targets
        return self._target_scale.transform(targets.reshape(len(targets), -1), np.float64).reshape(targets.shape)

    def _fit_target_scale(self, targets: NDArray[Any], weight: Any) -> None:
        found = Standardizer.fit(targets.reshape(len(targets), -1), weight)
        if self.loss == "poisson":  # a rate has no offset
            found = Standardizer(np.zeros_like(found.mean), np.where(found.mean > 0, found.mean, 1.0))
        self._target_scale = found

    def _trainer_options(self, o: Mapping[str, Any]) -> dict[str, Any]:
        options = super()._trainer_options(o)
        if self.loss == "quantile":
            return options | {"quantile": o["quantile"]}
        if self.loss != "huber":
            return options
        if o["delta"] is None or self._target_scale is None:
            return options | {"delta": o["delta"] or 1.0}
        return options | {"delta": o["delta"] / float(np.mean(self._target_scale.scale))}
