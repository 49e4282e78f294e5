"""The interface of an estimator's task, which knows its targets: one class for labels, one for numbers."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from ..losses import CustomLoss
from ..metrics import Metric
from ._params import Settings

T = TypeVar("T", bound="Task")


class Task(Protocol):
    """Targets, encoded for a network, and its outputs, decoded; learned from the targets of a fit."""

    @property
    def n_outputs(self) -> int:
        """Outputs that a network needs."""

    @property
    def out_activation(self) -> str:
        """Link between outputs and predictions, by scikit-learn's names: "softmax", "logistic", "identity", "exp"."""

    @property
    def loss(self) -> str | CustomLoss:
        """The loss that a Trainer minimizes."""

    @property
    def is_of_single_labels(self) -> bool:
        """Whether each row has one label of several, with an output for each."""

    @property
    def units(self) -> list[float]:
        """Factors of each output's numbers in metrics; empty: 1."""

    @property
    def usual_score(self) -> str:
        """The metric that scikit-learn calls the score."""

    def check_same(self, y: NDArray[Any]) -> None:
        """Refuse targets of another kind or width than those that were learned from."""

    def encode(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return targets as given, encoded."""

    def weighted(self, targets: NDArray[Any], weight: NDArray[Any] | None, class_weight: Any) -> NDArray[Any] | None:
        """Return the weights of rows, (n,), times those of their classes."""

    def scaled_by(self: T, targets: NDArray[Any], weight: NDArray[Any] | None) -> T:
        """Return the task with the scale of these training targets."""

    def as_labels(self, places: NDArray[Any]) -> NDArray[Any]:
        """Return the labels at these places among the classes."""

    def strata(self, targets: NDArray[Any]) -> NDArray[Any] | None:
        """Return the labels, (n,), of which each is held out by its share; None where there are none."""

    def trained(self, targets: NDArray[Any], smoothing: float) -> NDArray[Any]:
        """Return the targets that a network is trained on; a share of each label is spread by `smoothing`."""

    def scaled(self, targets: NDArray[Any]) -> NDArray[Any]:
        """Return targets in the units of the outputs, as held-out rows are measured by."""

    def own_scores(self) -> dict[str, Metric]:
        """Return metrics by name that the core cannot compute here, called by (targets, outputs)."""

    def as_given(self, targets: NDArray[Any], outputs: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return targets as the user gave them, and outputs as he is told them: probabilities, or numbers."""

    def largest_output(self, largest: float) -> float:
        """Return the outputs up to which predictions surely are finite, where `largest` is that of a network's type."""

    def is_finite(self, outputs: NDArray[Any]) -> bool:
        """Tell whether the predictions for outputs of networks, (networks, n, n_outputs), all are finite."""

    def pooled(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return outputs, (n, n_outputs), that predict the mean of what networks do, (networks, n, n_outputs)."""

    def trainer_options(self, settings: Settings) -> dict[str, Any]:
        """Return options of the loss, for a Trainer."""


def loss_name(task: Task) -> str:
    """Return the name of the loss, for a reader."""
    return task.loss if isinstance(task.loss, str) else f"function {task.loss.name}"
