"""The recipe for tables: the network, the optimizer and the number of steps where the user leaves them open."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._probabilities import log_softmax, softmax
from ._validation import Spec, choice, integer, number
from .calibration import divide_logits, smooth_labels, temperature
from .callbacks import Callback, EarlyStopping, History
from .layers import ACTIVATIONS, Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm
from .network import Network, dense_names
from .optimizers import AdamW
from .schedules import LearningRate, cosine
from .tables import Classes, TableEncoder, Task, split_rows
from .training import Trainer

__all__ = [
    "LOSSES",
    "Recipe",
    "build_layers",
    "class_scores",
    "number_scores",
    "probabilities",
    "score",
    "silence_unseen",
    "split_rows",
]

LOSSES: dict[Task, str] = {"classification": "cross_entropy", "regression": "mse"}

_MOST_EPOCHS = 500
_FEW_ROWS = 2000  # up to which an ensemble is trained
_MANY_ROWS = 20_000  # beyond which a first look takes fewer networks and epochs
_ROWS_OF_ALL = 250_000  # that all networks of an ensemble may train on in an epoch
_KINDS = 8  # of settings that "best" tries
_DECAY_TIMES_STEPS = 600.0


def effort_of(preset: str | None, time_limit: float | None) -> str | None:
    """Return the preset of `Recipe.for_rows`: a time limit alone stands for "best"."""
    return "best" if preset is None and time_limit is not None else preset


@dataclass(frozen=True, repr=False)
class Recipe(Spec):
    """The settings for training on a table.

    Networks of SiLU layers with dropout are trained by AdamW along a cosine, whose learning rate rises for the first
    twentieth of the steps and then falls to zero. The weights that are best on held-out rows are kept. Where
    labels are smoothed, the logits are then divided by the one number, the temperature, by which the held-out rows
    become most probable.

    Label smoothing, dropout and SiLU-like activations are what RealMLP found good on tables (Holzmüller et al. 2024,
    "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data"); for bins see
    `steepest.tables.NumberFeatures`, for what else was tried bench/README.md.

    Parameters
    ----------
    hidden : sequence of int, default=(256, 256)
        Widths of the hidden layers, >= 1.
    epochs : int, optional
        The most epochs, >= 1. By default `least_epochs`, or as many as make `least_steps`, 500 at most.
    least_epochs, least_steps : int, default=40, 2000
        See `epochs`, >= 1.
    batch_size : int, optional
        Rows of a batch, >= 1. By default about a 64th of the training rows, within 16 to 256.
    lr : float, default=0.01
        The highest learning rate, > 0.
    weight_decay : float, optional
        Decoupled, on weights alone, >= 0. By default 600 over the steps, 1 at most: at the default rate, weights
        without a gradient would shrink by exp(-3) in the whole training, however long it is (after Wang and Aitchison
        2024, "How to set AdamW's weight decay as you scale model and dataset size").
    activation : str, default="silu"
        Of the hidden layers, any of `steepest.Dense`.
    dropout : float, default=0.1
        Share of hidden outputs dropped in training, 0 <= dropout < 1.
    label_smoothing : float, default=0
        This share of each label is spread evenly over all classes in training, 0 <= label_smoothing < 1. Dividing
        logits does not take it back where a class is rare: on many rows it costs log loss, so small tables alone
        have it.
    bins : int, default=0
        The most bins of a column of numbers, >= 0.
    frequencies : int, default=24
        Frequencies of each column of numbers, >= 0: these are brought to a normal distribution, and have a
        `steepest.PeriodicEmbedding`; 0 for none.
    frequency_scale : float, default=1
        Standard deviation of the first frequencies, > 0.
    embedding_size : int, default=12
        Numbers that the embedding makes of a column, >= 1.
    embedded_bins : int, default=0
        Bins of each embedded column, >= 0, in a `steepest.PiecewiseLinearEmbedding` of its own beside the frequencies;
        0 for none.
    networks : int, default=1
        How many networks to average, >= 1. Each holds other rows out, so that together they learn from all.
    kinds : int, default=1
        How many kinds of settings are tried for the networks, >= 1: those about these, or, where `frequencies` is 0,
        those with an embedding. Those are kept that are best together on held-out rows.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If an argument is out of its range.
    """

    hidden: Sequence[int] = (256, 256)
    epochs: int | None = None
    least_epochs: int = 40
    least_steps: int = 2000
    batch_size: int | None = None
    lr: float = 0.01
    weight_decay: float | None = None
    activation: str = "silu"
    dropout: float = 0.1
    label_smoothing: float = 0.0
    bins: int = 0
    frequencies: int = 24
    frequency_scale: float = 1.0
    embedding_size: int = 12
    embedded_bins: int = 0
    networks: int = 1
    kinds: int = 1

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._set(hidden=tuple(integer("hidden", width, ge=1) for width in self.hidden))
        for name in ("epochs", "batch_size"):
            if (value := getattr(self, name)) is not None:
                self._set(**{name: integer(name, value, ge=1)})
        self._set(lr=number("lr", self.lr, gt=0))
        if self.weight_decay is not None:
            self._set(weight_decay=number("weight_decay", self.weight_decay, ge=0))
        self._set(activation=choice("activation", self.activation, ACTIVATIONS))
        for name in ("dropout", "label_smoothing"):
            self._set(**{name: number(name, getattr(self, name), ge=0, lt=1)})
        self._set(bins=integer("bins", self.bins, ge=0), networks=integer("networks", self.networks, ge=1))
        for name in ("least_epochs", "least_steps", "kinds"):
            self._set(**{name: integer(name, getattr(self, name), ge=1)})
        self._set(
            frequencies=integer("frequencies", self.frequencies, ge=0),
            frequency_scale=number("frequency_scale", self.frequency_scale, gt=0),
            embedding_size=integer("embedding_size", self.embedding_size, ge=1),
            embedded_bins=integer("embedded_bins", self.embedded_bins, ge=0),
        )

    @classmethod
    def for_rows(cls, n_rows: int, preset: str | None = None) -> Recipe:
        """Return the recipe for a table.

        Parameters
        ----------
        n_rows : int
            Rows of the table, held-out ones included.
        preset : {"fast", "best"}, optional
            For a first look, or for what a table has to give.

        Returns
        -------
        Recipe
            Up to 2,000 rows five networks without embeddings and dropout, with embeddings, or of both kinds in turn, as
            held-out rows decide; up to 62,500 four with embeddings, and fewer the more rows there are; "best" has three
            times as many, trained for longer and of several kinds, and "fast" two or three.
        """
        many = n_rows > _FEW_ROWS
        if preset == "fast":
            quick = cls((128, 128), least_epochs=20, least_steps=1500, lr=0.02, networks=2)
            if not many:
                return replace(quick, least_steps=600, frequencies=0, kinds=2)
            return quick if n_rows > _MANY_ROWS else replace(quick, least_epochs=30, least_steps=2500, networks=3)
        if not many:
            small = cls((128, 128), None, 20, 600, dropout=0.0, label_smoothing=0.1, frequencies=0, networks=5, kinds=2)
            return small if preset is None else replace(small, networks=15, kinds=3)
        networks = max(1, min(4, _ROWS_OF_ALL // n_rows))
        if networks == 1:
            return cls() if preset is None else cls(networks=3, least_epochs=60)
        found = cls((128, 128), least_epochs=60, least_steps=3000, lr=0.02, networks=networks)
        if preset is None:
            return found
        return replace(found, networks=3 * networks, kinds=_KINDS, least_epochs=80, least_steps=4000)

    def plan(self, n_rows: int, epochs: int | None = None, batch_size: int | None = None) -> tuple[int, int]:
        """Return the numbers that depend on the training rows.

        Parameters
        ----------
        n_rows : int
            Training rows of one network, >= 1.
        epochs, batch_size : int, optional
            In place of the recipe's own.

        Returns
        -------
        epochs, batch_size : int
            Those given, or those that the class describes.
        """
        batch_size = batch_size or self.batch_size or min(max(2 ** round(math.log2(max(n_rows / 64, 1))), 16), 256)
        wanted = math.ceil(self.least_steps / math.ceil(n_rows / batch_size))
        return epochs or self.epochs or min(max(self.least_epochs, wanted), _MOST_EPOCHS), batch_size

    def optimizer(
        self, steps: int, lr: LearningRate | None = None, weight_decay: float | None = None, **options: float
    ) -> AdamW:
        """Return the optimizer of a training.

        Parameters
        ----------
        steps : int
            Steps of the whole training, >= 1.
        lr, weight_decay : float or schedule, optional
            In place of the recipe's own: a rate that follows `steepest.schedules.cosine`, and its decay.
        **options : float
            Other arguments of `steepest.AdamW`.
        """
        decay = self.weight_decay if weight_decay is None else weight_decay
        decay = min(_DECAY_TIMES_STEPS / steps, 1.0) if decay is None else decay
        return AdamW(cosine(self.lr, warmup=steps // 20) if lr is None else lr, weight_decay=decay, **options)

    def train(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        validation: tuple[NDArray[Any], NDArray[Any]],
        *,
        task: Task,
        n_outputs: int,
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> tuple[Network, History]:
        """Train one new network.

        .. deprecated:: 0.2.0
            Use `steepest.MLPClassifier` or `steepest.MLPRegressor`.

        Parameters
        ----------
        x : array of shape (n, n_features)
            Features of the training rows.
        y : array of shape (n,)
            Their class numbers, or standardized numbers.
        validation : (x, y)
            Other rows, to choose the best epoch by.
        task : {"classification", "regression"}
            The kind of `y`.
        n_outputs : int
            The number of classes, or 1.
        seed : int, default=0
            Of weights and shuffling, >= 0.
        callbacks : sequence of Callback, default=()
            Called beside the recipe's own rule for stopping.

        Returns
        -------
        network : Network
            With the best weights.
        history : History
            Losses and metrics of each epoch.

        Raises
        ------
        DivergedError
            If the loss is not finite: the learning rate is too high.
        """
        warnings.warn(
            "Recipe.train is deprecated: use steepest.MLPClassifier or MLPRegressor", DeprecationWarning, stacklevel=2
        )
        layers = build_layers(self.hidden, [self.activation] * len(self.hidden), n_outputs, dropout=self.dropout)
        network = Network(x.shape[1], layers, seed=seed)
        silence_unseen(network, np.any(x != 0, axis=0))
        epochs, batch_size = self.plan(len(x))
        optimizer = self.optimizer(epochs * math.ceil(len(x) / batch_size))
        smooths = task == "classification" and self.label_smoothing > 0
        history = Trainer(network, LOSSES[task], optimizer, seed=seed).fit(
            x,
            smooth_labels(y, n_outputs, self.label_smoothing) if smooths else y,
            epochs=epochs,
            batch_size=batch_size,
            validation=validation,
            callbacks=[EarlyStopping(patience=max(10, epochs // 2)), *callbacks],
        )
        if task == "classification":
            divide_logits(network, temperature(network.predict(validation[0]), validation[1]))
        return network, history


def probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return the probabilities of classes, (n, n_classes), of a network's logits, (n, n_classes), in float64."""
    return softmax(logits.astype(np.float64))


def score(encoder: TableEncoder, outputs: NDArray[Any], target: NDArray[Any]) -> dict[str, float]:
    """Measure a network's outputs, in the target's own units.

    Parameters
    ----------
    encoder : TableEncoder
        The one that the network was trained with.
    outputs : array of shape (n, n_outputs)
        The network's outputs: logits, or standardized numbers.
    target : array of shape (n,)
        The true labels or numbers, as read from the table.

    Returns
    -------
    dict of str to float
        Classification: "accuracy", "log_loss", and "majority_accuracy", the accuracy of always naming the most frequent
        class. Regression: "r2" (NaN if the target is constant), and "rmse" and "mae" in the target's units.

    Raises
    ------
    ValueError
        If `target` is of another kind than in training, or has a label that training had not.
    """
    truth = encoder.target.encode(encoder.target_name, target)
    if isinstance(encoder.target, Classes):
        return class_scores(outputs, truth)
    return number_scores(encoder.decode_target(outputs), target)


def class_scores(logits: NDArray[Any], truth: NDArray[Any]) -> dict[str, float]:
    """Measure logits or logarithms of probabilities, (n, n_classes), by the places of the right classes, (n,).

    Returns
    -------
    dict of str to float
        "accuracy", "log_loss" and "majority_accuracy", as of `score`.
    """
    of_truth = log_softmax(logits.astype(np.float64))[np.arange(len(truth)), truth]
    return {
        "accuracy": float(np.mean(logits.argmax(axis=1) == truth)),
        "log_loss": -float(of_truth.mean()),
        "majority_accuracy": float(np.bincount(truth).max() / len(truth)),
    }


def number_scores(predicted: NDArray[Any], truth: NDArray[Any]) -> dict[str, float]:
    """Measure predicted numbers, (n,), by the true ones, (n,).

    Returns
    -------
    dict of str to float
        "r2" (NaN if the truth is constant), "rmse" and "mae".
    """
    error = predicted - truth
    spread = float(np.sum((truth - np.mean(truth, dtype=np.float64)) ** 2.0))
    return {
        "r2": 1 - float(np.sum(error**2)) / spread if spread else math.nan,
        "rmse": math.sqrt(float(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
    }


def silence_unseen(network: Network, speaks: NDArray[np.bool_]) -> None:
    """Set the first weights of features to zero that are zero in all training rows.

    Such a feature, as a constant column or the slot of a label that training has not, learns nothing: so it shall not
    change an output.

    Parameters
    ----------
    network : Network
        A new one.
    speaks : array of bool, shape (n_features,)
        Which features are not zero in some row.
    """
    name = f"{dense_names(network)[0]}.weight"
    first = network.parameters[name].copy()
    first[: len(speaks)][~speaks] = 0  # what embeddings make stands behind
    network.set_parameters({name: first})


def build_layers(
    hidden: Sequence[int],
    activations: Sequence[str],
    n_out: int,
    *,
    dropout: float,
    batch_norm: bool = False,
    layer_norm: bool = False,
    before: Sequence[Layer] = (),
) -> list[Layer]:
    """Return the layers of a network: hidden ones, each with its normalization, activation and dropout, and the output.

    Parameters
    ----------
    hidden : sequence of int
        Widths of the hidden layers.
    activations : sequence of str
        One for each hidden layer.
    n_out : int
        Outputs.
    dropout : float
        Share of each hidden layer's outputs dropped in training; 0 for none.
    batch_norm, layer_norm : bool, default=False
        Whether each hidden layer is normalized before its activation; `batch_norm` goes first.
    before : sequence of Layer, default=()
        Those in front of the hidden ones.

    Returns
    -------
    list of Layer
        Ready for `steepest.Network`.
    """
    layers: list[Layer] = [*before]
    for width, activation in zip(hidden, activations, strict=True):
        if batch_norm or layer_norm:
            layers += [Dense(width), BatchNorm() if batch_norm else LayerNorm(), Activation(activation)]
        else:
            layers.append(Dense(width, activation))
        if dropout:
            layers.append(Dropout(dropout))
    return [*layers, Dense(n_out)]
