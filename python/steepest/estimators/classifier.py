"""The classifier, for scikit-learn."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, TypeVar

from numpy.typing import NDArray
from sklearn.base import ClassifierMixin

from .._arrays import check_input
from ._base import BaseMLP, where_it_can_go_on
from ._classification import Classification
from ._docs import EVAL_METRIC, LOSS_FUNCTION, PARAMETERS, Entry, documented
from ._params import Settings

E = TypeVar("E", bound="MLPClassifier")

_OWN = {
    "loss": Entry(
        '{"log_loss"} or callable',
        "What is minimized: the cross-entropy, or ``function(y, prediction) -> (loss, gradient)``. It is given places "
        "in `classes_`, (n,), or indicators, (n, n_labels), or what `label_smoothing` makes of them, and the network's "
        "outputs before the softmax (or, of indicators, the sigmoid), (n, n_outputs). " + LOSS_FUNCTION,
    ),
    "early_stopping": Entry(
        "bool",
        PARAMETERS["early_stopping"].text
        + " Each class is held out by its share, but one row of it is always trained on.",
    ),
    "eval_metric": Entry(
        "str, callable or pair",
        EVAL_METRIC.format(
            names='"loss", "accuracy", "log_loss", "auc", "f1", "subset_accuracy" (of indicators) or such as "top2"',
            method="predict_proba",
        ),
    ),
}
_ATTRIBUTES = {"classes_": Entry("array of shape (n_classes,)", "The labels, sorted.")}


@documented(_OWN, _ATTRIBUTES)
@dataclass(eq=False, repr=False)
class MLPClassifier(ClassifierMixin, BaseMLP[Classification]):  # type: ignore[misc]
    """A neural network that tells classes, for scikit-learn.

    What is left at None is decided by the recipe for tables (`steepest.recipe.Recipe`): standardized features,
    embedded numbers, SiLU layers, AdamW along a cosine, the best epoch on held-out rows kept; on small tables smoothed
    labels, and logits rescaled by the held-out rows. `recipe_` says what was decided.

    Examples
    --------
    >>> import steepest as st
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> bool(st.MLPClassifier(random_state=0).fit(X, y).score(X, y) > 0.9)
    True
    """

    hidden_layer_sizes: Any = None
    activation: Any = None
    _: KW_ONLY
    loss: Any = "log_loss"
    class_weight: Any = None
    label_smoothing: float | None = None

    _losses = ("log_loss",)
    _numeric = False

    @where_it_can_go_on
    def partial_fit(self: E, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> E:
        """Train one epoch on some rows, at a constant learning rate.

        It goes on from the last call, or from a `fit` with `warm_start`, with the optimizer's running means; after any
        other `fit` from the weights alone. No rows are held out. A call that fails leaves all as it was.

        Features are scaled by the mean and deviation of all rows so far (of an array from the tenth row on), and these
        go on adapting, so that a first batch that is not like the rest does no harm: a scale that is 5% off follows. Up
        to 30% from where the network began to learn from a column, its weights are corrected, so that its answers stay
        the same; a column that goes further than that is learned anew at its new scale. A number beyond ten deviations
        of the rows before counts as just that far. In a table, labels and missing values that come up later get
        features of their own, and so does a column that had no value until then.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or data frame of shape (n, n_features)
            The rows.
        y : array of shape (n,) or (n, n_labels)
            Their labels, or indicators.
        sample_weight : array of shape (n,), default=None
            Weights of the rows, >= 0.
        classes : array of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call, unless `fit` came before.

        Returns
        -------
        MLPClassifier
            This one.

        Raises
        ------
        TypeError, ValueError
            As `fit`, or if y holds a label that is not in `classes`.
        """
        if classes is None and not self.__sklearn_is_fitted__():
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return self._fit(X, y, sample_weight, None, classes=classes, online=True)

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, sorted, (n_classes,)."""
        return self._fitted.task.classes

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most likely label of each row, (n,), or indicators, (n, n_labels)."""
        task, outputs = self._predict(X)
        return task.labels(outputs)

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the probability of each class, (n, n_classes)."""
        task, outputs = self._predict(X)
        return task.probabilities(outputs)

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Return the logarithm of each class's probability, (n, n_classes)."""
        task, outputs = self._predict(X)
        return task.log_probabilities(outputs)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of `predict`, of indicators that of whole rows, as scikit-learn does.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or data frame of shape (n, n_features)
            The rows.
        y : array of shape (n,) or (n, n_labels)
            Their labels, or indicators.
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
        self, y: NDArray[Any], classes: Any, settings: Settings, last: Classification | None, *, online: bool
    ) -> Classification:
        if last is None:
            return Classification.fit(y, classes, settings)
        last.check_same(y, classes, all_present=not online)
        return replace(last, function=settings.loss if callable(settings.loss) else None)
