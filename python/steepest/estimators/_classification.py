"""Labels as a network's targets, and its outputs as labels and probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_softmax, logit
from sklearn.metrics import accuracy_score
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from .._probabilities import softmax
from ..calibration import smooth_labels
from ..losses import CustomLoss, LossFunction
from ..metrics import Metric
from ._errors import read_classes
from ._params import Settings


@dataclass(frozen=True)
class Classification:
    """Classes, one a row or several; a `Task`.

    Parameters
    ----------
    classes : array of shape (n_classes,)
        The labels, sorted; of indicators the places of their columns.
    multilabel : bool
        Whether targets are indicators, (n, n_classes).
    logistic : bool
        Whether outputs go through the sigmoid; of two single classes there is one output then.
    function : callable, optional
        The user's own loss.
    """

    classes: NDArray[Any]
    multilabel: bool
    logistic: bool
    function: LossFunction | None = None

    @classmethod
    def fit(cls, y: NDArray[Any], classes: Any, settings: Settings) -> Classification:
        """Learn the classes from targets, or from `classes`, all labels that will ever come."""
        multilabel = _is_multilabel(y)
        found = np.arange(y.shape[1]) if multilabel else np.unique(y) if classes is None else read_classes(classes)
        if len(found) < 2 and not multilabel:
            name = "y" if classes is None else "classes"
            raise ValueError(f"{name} has {len(found)} class, {found.tolist()}: expected at least two classes")
        logistic = multilabel or (settings.like_sklearn and len(found) == 2)
        return cls(found, multilabel, logistic, settings.loss if callable(settings.loss) else None)

    def check_same(self, y: NDArray[Any], classes: Any = None, *, all_present: bool = False) -> None:
        """As in `Task`; refuse other `classes` too, and with `all_present` targets without one of the classes."""
        multilabel = _is_multilabel(y)
        if multilabel != self.multilabel or (multilabel and y.shape[1] != len(self.classes)):
            kind = type_of_target(y, input_name="y")
            raise ValueError(f"y is of the kind {kind}: expected the same kind as before")
        if classes is not None and not np.array_equal(read_classes(classes), self.classes):
            before = self.classes.tolist()
            raise ValueError(f"classes={classes!r} is not the same as on last call to partial_fit: {before}")
        if all_present and not multilabel and len(found := np.unique(y)) < len(self.classes):
            self.encode(y)  # an unknown label is said first
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit: "
                f"{self.classes}, `y` has {found}"
            )

    def encode(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return the place of each label, (n,) int64, or indicators, (n, n_classes) float32."""
        if self.multilabel:
            return y.astype(np.float32)
        if len(unknown := np.setdiff1d(np.unique(y), self.classes)):
            raise ValueError(f"y has the class {unknown.tolist()[0]!r}: expected one of {self.classes.tolist()}")
        return np.asarray(np.searchsorted(self.classes, y), np.int64)

    def weighted(self, targets: NDArray[Any], weight: NDArray[Any] | None, class_weight: Any) -> NDArray[Any] | None:
        """Return the weights of rows, (n,), times those of their classes."""
        if class_weight is None:
            return weight
        if self.multilabel:
            raise ValueError("class_weight is given with indicators of several labels: expected one label a row")
        places = np.unique(targets)
        of_class = np.ones(len(self.classes))
        of_class[places] = compute_class_weight(
            class_weight, classes=self.classes[places], y=self.classes[targets],
            **({} if weight is None else {"sample_weight": weight}),
        )  # fmt: skip
        return np.asarray(of_class[targets] * (1.0 if weight is None else weight))

    def scaled_by(self, targets: NDArray[Any], weight: NDArray[Any] | None) -> Classification:
        """As in `Task`: labels have no scale."""
        return self

    def as_labels(self, places: NDArray[Any]) -> NDArray[Any]:
        """As in `Task`."""
        return np.asarray(self.classes[places])

    # --- For training ---

    @property
    def n_outputs(self) -> int:
        """As in `Task`."""
        return 1 if self.logistic and not self.multilabel else len(self.classes)

    @property
    def out_activation(self) -> str:
        """As in `Task`."""
        return "logistic" if self.logistic else "softmax"

    @property
    def loss(self) -> str | CustomLoss:
        """As in `Task`."""
        if self.function is not None:
            return CustomLoss(self.function)
        return "binary_cross_entropy" if self.logistic else "cross_entropy"

    @property
    def is_of_single_labels(self) -> bool:
        """As in `Task`."""
        return self.n_outputs > 1 and self.loss == "cross_entropy"

    @property
    def units(self) -> list[float]:
        """As in `Task`."""
        return []

    @property
    def usual_score(self) -> str:
        """As in `Task`."""
        return "subset_accuracy" if self.multilabel else "accuracy"

    def strata(self, targets: NDArray[Any]) -> NDArray[Any] | None:
        """As in `Task`."""
        return None if self.multilabel else targets

    def trained(self, targets: NDArray[Any], smoothing: float) -> NDArray[Any]:
        """As in `Task`."""
        if self.logistic:
            return np.asarray(targets * (1 - smoothing) + smoothing / 2, np.float32)
        return smooth_labels(targets, self.n_outputs, smoothing) if smoothing else targets

    def scaled(self, targets: NDArray[Any]) -> NDArray[Any]:
        """As in `Task`."""
        return targets

    def own_scores(self) -> dict[str, Metric]:
        """As in `Task`."""
        if self.function is None:
            return {}

        def accuracy(targets: NDArray[Any], outputs: NDArray[Any]) -> float:
            return float(accuracy_score(targets > 0.5 if self.multilabel else targets, self._places(outputs)))

        return {"accuracy": accuracy, "subset_accuracy": accuracy}

    def as_given(self, targets: NDArray[Any], outputs: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """As in `Task`."""
        labels = targets.astype(np.int64) if self.multilabel else self.classes[targets]
        return labels, self.probabilities(outputs[None])

    def trainer_options(self, settings: Settings) -> dict[str, Any]:
        """As in `Task`."""
        return {}

    def largest_output(self, largest: float) -> float:
        """As in `Task`."""
        return largest

    def is_finite(self, outputs: NDArray[Any]) -> bool:
        """As in `Task`."""
        return bool(np.isfinite(outputs).all())

    # --- For predicting: outputs are (networks, n, n_outputs) ---

    def labels(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the most likely label of each row, (n,), or indicators, (n, n_classes)."""
        if len(outputs) == 1:
            places = self._places(outputs[0])
        elif outputs.shape[1] == 1 and not self.logistic and len(set(votes := _votes(outputs))) == 1:
            places = np.array(votes[:1])  # the mean of the probabilities says so too: a single row is spared it
        else:
            places = self._places(self._mean_shares(outputs), 0.5)
        return places if self.multilabel else self.classes[places]

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the probability of each class, (n, n_classes), float64: the mean over the networks.

        Rows sum to 1 within the rounding of float64, so that they may be drawn from.
        """
        shares = self._mean_shares(outputs)
        if self.multilabel or shares.shape[1] > 1:
            return shares
        return np.hstack([1 - shares, shares])

    def log_probabilities(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the logarithm of each class's probability, (n, n_classes)."""
        if len(outputs) > 1:
            shares = self.probabilities(outputs)
            return np.asarray(np.log(np.maximum(shares, np.finfo(shares.dtype).tiny)))
        logits = outputs[0].astype(np.float64)
        if not self.logistic:
            return np.asarray(log_softmax(logits, axis=1))
        return np.asarray(log_expit(logits if self.multilabel else np.hstack([-logits, logits])))

    def pooled(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """As in `Task`."""
        if not self.logistic:
            return self.log_probabilities(outputs).astype(outputs.dtype)
        return np.asarray(logit(np.clip(self._mean_shares(outputs), 1e-30, 1 - 1e-16)), outputs.dtype)

    def _mean_shares(self, outputs: NDArray[Any]) -> NDArray[Any]:
        shares = (expit if self.logistic else softmax)(outputs.astype(np.float64))
        return np.asarray(shares[0] if len(shares) == 1 else np.add.reduce(shares) / len(shares))

    def _places(self, scores: NDArray[Any], threshold: float = 0.0) -> NDArray[Any]:
        """Return the places of the classes that outputs or probabilities speak for, (n,), or indicators."""
        if self.multilabel:
            return np.asarray(scores > threshold, np.int64)
        if scores.shape[1] > 1:
            places: NDArray[Any] = scores.argmax(axis=1)
            return places
        return np.asarray((scores[:, 0] > threshold).astype(int))


def _is_multilabel(y: NDArray[Any]) -> bool:
    """Tell indicators of several labels from single labels; refuse what is neither."""
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y")
    if kind == "multiclass-multioutput":
        raise ValueError("y has several columns of classes: expected one, or indicators 0 and 1")
    return bool(kind == "multilabel-indicator")


def _votes(outputs: NDArray[Any]) -> list[int]:
    """Return the class that each network gives the only row of their outputs, (networks, 1, n_classes)."""
    votes: list[int] = outputs.argmax(axis=2)[:, 0].tolist()
    return votes
