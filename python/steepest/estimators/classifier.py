"""Estimators with scikit-learn's interface: `MLPClassifier` and `MLPRegressor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_softmax  # type: ignore[import-untyped]
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from .._probabilities import softmax
from ..calibration import smooth_labels
from ..losses import CustomLoss
from ..metrics import Metric
from ._base import BaseMLP, can_go_on
from ._errors import read_classes


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """A neural network that tells classes, for scikit-learn.

    What is left at None is decided by the recipe for tables (`steepest.recipe.Recipe`): standardised features, SiLU
    layers, AdamW along a cosine, smoothed labels, the best epoch on held-out rows kept, logits rescaled by these.
    `recipe_` says what was decided.

    Parameters
    ----------
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
        Each class is held out by its share, but one row of it is always trained on. True with too few rows to hold one
        out is an error.
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
    class_weight : dict or "balanced"
        Weights of the classes; "balanced": inverse to how often they occur.
    label_smoothing : float
        This share of each target is spread evenly over all classes. By default the recipe's where rows are held out;
        the logits are then rescaled so that the held-out rows are most probable, and probabilities are not smoothed.
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
        "accuracy", "log_loss", "auc", "f1", "subset_accuracy" (of indicators) or "top2" and the like, or a
        function of your own, ``function(y, prediction) -> float``, where y is as given to `fit` and the prediction as
        `predict_proba` returns it. Larger is better where the name says so, as accuracy, r2, auc, f1 and what ends in
        _score do; else smaller; ``(metric, "max")`` or ``(metric, "min")`` decides it. With `early_stopping` at None
        rows are held out even of a small table.
    n_jobs : int, optional
        How many networks of an `ensemble` `fit` trains at once, in threads, which the core lets run: None is 1, -1 all
        processors, -2 all but one. The result is the same. With `callbacks` they train one after the other.
    loss : {"log_loss"} or callable
        What is minimised: the cross-entropy, or ``function(y, prediction) -> (loss, gradient)``. It is given places in
        `classes_`, (n,), or indicators, (n, n_labels), or what `label_smoothing` makes of them, and the network's
        outputs before the softmax (or, of indicators, the sigmoid), (n, n_outputs). It returns the rows' mean loss, or
        the loss of each, (n,), which it must where there are weights; and the derivative of that mean by the
        prediction, of its shape.

    Attributes
    ----------
    classes_ : array
        The labels, sorted.
    network_, networks_ : Network, list of Network
        The network, and all of an ensemble.
    recipe_ : dict
        What was decided.
    history_ : History
        How the training went.
    coefs_, intercepts_ : list of array
        Weights and biases, for features as scaled.
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
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> bool(st.MLPClassifier(random_state=0).fit(X, y).score(X, y) > 0.9)
    True
    """

    _losses = ("log_loss",)

    def __init__(
        self,
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
        class_weight: Any = None,
        label_smoothing: float | None = None,
        ensemble: int | None = None,
        encode: str | None = "auto",
        preset: str | None = None,
        callbacks: Any = None,
        accumulate: int = 1,
        ema: float | None = None,
        mixup: float = 0.0,
        eval_metric: Any = None,
        n_jobs: int | None = None,
        loss: Any = "log_loss",
    ) -> None:
        self._store(locals())

    def fit(self, X: Any, y: Any, sample_weight: Any = None, eval_set: Any = None) -> MLPClassifier:
        """Train anew, or from the last weights with `warm_start`.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or data frame of shape (n, n_features)
            The rows. A sparse matrix becomes dense batch by batch.
        y : array of shape (n,) or (n, n_labels)
            Labels of any type, or indicators of several labels a row.
        sample_weight : array of shape (n,), optional
            Weights of the rows, >= 0.
        eval_set : (X, y) or (X, y, sample_weight), optional
            Rows to choose the best epoch by, instead of held-out ones; see `eval_metric`.

        Returns
        -------
        MLPClassifier
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
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train one epoch on some rows, at a constant learning rate.

        It goes on from the last call, or from a `fit` with `warm_start`, with the optimiser's running means; after any
        other `fit` from the weights alone. The first call, if it has at least ten rows, also decides how features are
        scaled. No rows are held out.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array, optional
            All labels that will ever come; needed in the first call, unless `fit` came before.

        Returns
        -------
        MLPClassifier
            This one.

        Raises
        ------
        ValueError
            As `fit`, or if y holds a label that is not in `classes`.
        """
        if classes is None and "classes_" not in vars(self):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return self._fit(X, y, sample_weight, None, classes=classes, online=True)

    def predict(self, X: Any) -> Any:
        """Return the most likely label of each row, (n,), or indicators, (n, n_labels)."""
        outputs = self._outputs(X)
        if len(outputs) == 1:
            decided = self._decided(outputs[0])
        elif outputs.shape[1] == 1 and self.out_activation_ == "softmax" and len(set(votes := _votes(outputs))) == 1:
            decided = np.array(votes[:1])  # the mean of the probabilities says so too: a single row is spared it
        else:
            decided = self._decided(self._probabilities(outputs), 0.5)
        return decided if self._multilabel else self.classes_[decided]

    def _decided(self, scores: NDArray[Any], threshold: float = 0.0) -> NDArray[Any]:
        """Return the places of the classes that outputs or probabilities speak for, (n,), or indicators."""
        if self._multilabel:
            return np.asarray(scores > threshold, np.int64)
        if scores.shape[1] > 1:
            places: NDArray[Any] = scores.argmax(axis=1)
            return places
        return np.asarray((scores[:, 0] > threshold).astype(int))

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the probability of each class, (n, n_classes)."""
        return self._of_each_class(self._probabilities(self._outputs(X)))

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Return the logarithm of each class's probability, (n, n_classes)."""
        outputs = self._outputs(X)
        if len(outputs) > 1:
            probabilities = self._of_each_class(self._probabilities(outputs))
            return np.asarray(np.log(np.maximum(probabilities, np.finfo(probabilities.dtype).tiny)))
        logits = outputs[0]
        if logits.shape[1] > 1 and not self._multilabel:
            return np.asarray(log_softmax(logits, axis=1))
        return np.asarray(log_expit(logits if self._multilabel else np.hstack([-logits, logits])))

    @property
    def _multilabel(self) -> bool:
        return bool(self._labels == "multilabel")

    def _probabilities(self, outputs: NDArray[Any]) -> NDArray[Any]:
        link = expit if self.out_activation_ == "logistic" else softmax
        if len(outputs) == 1:
            return np.asarray(link(outputs[0]))
        return np.asarray(np.add.reduce(link(outputs)) / len(outputs))

    def _of_each_class(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        """Add the first class's column where one output stands for two classes."""
        if self._multilabel or probabilities.shape[1] > 1:
            return probabilities
        return np.hstack([1 - probabilities, probabilities])

    def _loss(self) -> Any:
        if callable(self.loss):
            return CustomLoss(self.loss)
        return "binary_cross_entropy" if self.out_activation_ == "logistic" else "cross_entropy"

    def _usual_score(self) -> str:
        return "subset_accuracy" if self._multilabel else "accuracy"

    def _own_scores(self) -> dict[str, Metric]:
        if not callable(self.loss):
            return {}

        def accuracy(targets: NDArray[Any], outputs: NDArray[Any]) -> float:
            return float(accuracy_score(targets > 0.5 if self._multilabel else targets, self._decided(outputs)))

        return {"accuracy": accuracy, "subset_accuracy": accuracy}

    def _as_given(self, targets: NDArray[Any], outputs: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        labels = targets.astype(np.int64) if self._multilabel else self.classes_[targets]
        return labels, self._of_each_class(self._probabilities(outputs[None]))

    def _encode_targets(self, y: NDArray[Any], classes: Any, *, goes_on: bool, online: bool) -> NDArray[Any]:
        """Learn the classes; return the place of each label, (n,), or indicators."""
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multiclass-multioutput":
            raise ValueError("y has several columns of classes: expected one, or indicators 0 and 1")
        labels = "multilabel" if kind == "multilabel-indicator" else "classes"
        if not goes_on:
            self._labels = labels
            if labels == "multilabel":
                self.classes_ = np.arange(y.shape[1])
            else:
                self.classes_ = np.unique(y) if classes is None else read_classes(classes)
            if len(self.classes_) < 2 and labels == "classes":
                name, found = "y" if classes is None else "classes", self.classes_.tolist()
                raise ValueError(f"{name} has {len(found)} class, {found}: expected at least two classes")
            logistic = labels == "multilabel" or (self.preset == "sklearn" and len(self.classes_) == 2)
            self.out_activation_ = "logistic" if logistic else "softmax"
            self._n_out = 1 if logistic and labels == "classes" else len(self.classes_)
        elif labels != self._labels or (labels == "multilabel" and y.shape[1] != len(self.classes_)):
            raise ValueError(f"y is of the kind {kind}: expected the same kind as before")
        elif classes is not None and not np.array_equal(read_classes(classes), self.classes_):
            before = self.classes_.tolist()
            raise ValueError(f"classes={classes!r} is not the same as on last call to partial_fit: {before}")
        if labels == "multilabel":
            return y.astype(np.float32)
        found = np.unique(y)
        if len(unknown := np.setdiff1d(found, self.classes_)):
            raise ValueError(f"y has the class {unknown.tolist()[0]!r}: expected one of {self.classes_.tolist()}")
        if goes_on and not online and len(found) < len(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit: "
                f"{self.classes_}, `y` has {found}"
            )
        return np.searchsorted(self.classes_, y).astype(np.int64)

    def _class_weighted(self, targets: NDArray[Any], y: NDArray[Any], weight: Any, o: Mapping[str, Any]) -> Any:
        given = o["class_weight"]
        if given is None:
            return weight
        if self._multilabel:
            raise ValueError("class_weight is given with indicators of several labels: expected one label a row")
        places = np.unique(targets)
        of_class = np.ones(len(self.classes_))
        of_class[places] = compute_class_weight(
            given, classes=self.classes_[places], y=self.classes_[targets],
            **({} if weight is None else {"sample_weight": weight}),
        )  # fmt: skip
        return of_class[targets] * (1.0 if weight is None else weight)

    def _trained_targets(self, targets: NDArray[Any], o: Mapping[str, Any]) -> NDArray[Any]:
        share = o["label_smoothing"]
        if self.out_activation_ == "logistic":
            return np.asarray(targets * (1 - share) + share / 2, np.float32)
        return smooth_labels(targets, self._n_out, share) if share else targets

    def _scaled_target(self, targets: NDArray[Any]) -> NDArray[Any]:
        return targets

    def _fit_target_scale(self, targets: NDArray[Any], weight: Any) -> None:
        self._target_scale = None


def _votes(outputs: NDArray[Any]) -> list[int]:
    """Return the class that each network gives the only row of their outputs, (networks, 1, n_classes)."""
    votes: list[int] = outputs.argmax(axis=2)[:, 0].tolist()
    return votes
