"""The regressor, for scikit-learn."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, TypeVar

from numpy.typing import NDArray
from sklearn.base import RegressorMixin

from .._arrays import check_input
from ._base import BaseMLP, where_it_can_go_on
from ._docs import EVAL_METRIC, LOSS_FUNCTION, Entry, documented
from ._params import Settings
from ._regression import LOSSES, Regression

E = TypeVar("E", bound="MLPRegressor")

_OWN = {
    "loss": Entry(
        '{"squared_error", "absolute_error", "huber", "quantile", "poisson"} or callable',
        'What is minimized; "poisson" predicts a rate, from targets >= 0. Or ``function(y, prediction) -> (loss, '
        "gradient)``: it is given rows of y and what `predict` would say of them, (n,) or (n, n_targets). "
        + LOSS_FUNCTION,
    ),
    "eval_metric": Entry(
        "str, callable or pair", EVAL_METRIC.format(names='"loss", "r2", "rmse" or "mae"', method="predict")
    ),
}


@documented(_OWN, {})
@dataclass(eq=False, repr=False)
class MLPRegressor(RegressorMixin, BaseMLP[Regression]):  # type: ignore[misc]
    """A neural network that predicts numbers, for scikit-learn.

    What is left at None is decided by the recipe for tables (`steepest.recipe.Recipe`): standardized features and
    targets, embedded numbers, SiLU layers, AdamW along a cosine, the best epoch on held-out rows kept. `recipe_` says
    what was decided.

    Examples
    --------
    >>> import steepest as st
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> st.MLPRegressor(max_iter=2, random_state=0).fit(X, y).predict(X).shape
    (442,)
    """

    loss: Any = "squared_error"
    hidden_layer_sizes: Any = None
    activation: Any = None
    _: KW_ONLY
    quantile: float = 0.5
    delta: float | None = None

    _losses = tuple(LOSSES)
    _numeric = True

    @where_it_can_go_on
    def partial_fit(self: E, X: Any, y: Any, sample_weight: Any = None) -> E:
        """Train one epoch on some rows, at a constant learning rate.

        It goes on from the last call, or from a `fit` with `warm_start`, with the optimizer's running means; after any
        other `fit` from the weights alone. No rows are held out. A call that fails leaves all as it was.

        Features and targets are scaled by the mean and deviation of all rows so far (features of an array from the
        tenth row on), and these go on adapting, so that a first batch that is not like the rest does no harm: a scale
        that is 5% off follows. Up to 30% from where the network began to learn from a column, its weights are
        corrected, so that its answers stay the same; a column that goes further than that is learned anew at its new
        scale. A number beyond ten deviations of the rows before counts as just that far. In a table, labels and missing
        values that come up later get features of their own, and so does a column that had no value until then.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or data frame of shape (n, n_features)
            The rows.
        y : array of shape (n,) or (n, n_targets)
            The numbers to predict.
        sample_weight : array of shape (n,), default=None
            Weights of the rows, >= 0.

        Returns
        -------
        MLPRegressor
            This one.

        Raises
        ------
        TypeError, ValueError
            As `fit`.
        """
        return self._fit(X, y, sample_weight, None, online=True)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the numbers of rows.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or data frame of shape (n, n_features)
            The rows.
        return_std : bool, default=False
            Whether to return also the standard deviation over an `ensemble`.

        Returns
        -------
        array of shape (n,) or (n, n_targets)
            The predictions; with `return_std` a pair of such arrays.

        Raises
        ------
        ValueError
            If X cannot be read or has other columns than in `fit`, or `return_std` is asked of a single network.
        """
        task, outputs = self._predict(X)
        if not return_std:
            return task.numbers(outputs)
        if len(outputs) == 1:
            raise ValueError("return_std is True and the ensemble has one network: expected two or more")
        return task.numbers(outputs), task.spread(outputs)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R2 of `predict`, the mean over targets, as scikit-learn does.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or data frame of shape (n, n_features)
            The rows.
        y : array of shape (n,) or (n, n_targets)
            Their numbers.
        sample_weight : array of shape (n,), default=None
            Weights of the rows, >= 0. None: all are 1.

        Raises
        ------
        TypeError, ValueError
            If X, y or a weight cannot be read, or their lengths differ.
        """
        check_input("y", y)
        check_input("sample_weight", sample_weight)
        return float(super().score(X, y, sample_weight))

    def _task_of(
        self, y: NDArray[Any], classes: Any, settings: Settings, last: Regression | None, *, online: bool
    ) -> Regression:
        if last is None:
            return Regression.fit(y, settings)
        last.check_same(y)
        if callable(last.function) or last.function in LOSSES:
            return last
        if settings.loss == "poisson":
            raise ValueError(f"loss is 'poisson' after {last.function!r}, whose outputs are no rates: expected another")
        return replace(last, function=settings.loss)  # a file holds a function's name alone
