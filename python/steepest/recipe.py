"""The recipe for tables: how rows are held out, and which network is trained how when nobody says otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._validation import Spec, choice, integer, number
from .calibration import divide_logits, smooth_labels, temperature
from .callbacks import Callback, EarlyStopping, History
from .layers import ACTIVATIONS, Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm
from .network import Network
from .optimizers import AdamW
from .schedules import cosine
from .tables import Classes, TableEncoder, Task, split_rows
from .training import Trainer

__all__ = ["LOSSES", "Recipe", "build_layers", "probabilities", "score", "split_rows"]

LOSSES: dict[Task, str] = {"classification": "cross_entropy", "regression": "mse"}

_MOST_EPOCHS = 500
_FEW = 2000  # rows
_SHRINKING = 600.0  # weight decay times steps


@dataclass(frozen=True, repr=False)
class Recipe(Spec):
    """How to train on a table.

    Networks of SiLU layers with dropout are trained by AdamW along a cosine, whose learning rate rises for the first
    twentieth of the steps and then falls to zero. The weights that are best on held-out rows are kept. Labels are
    smoothed in training; one number, by which the held-out rows become most probable, then makes the logits as sure
    as they should be.

    Label smoothing, dropout and SiLU-like activations are what RealMLP found good on tables (Holzmüller et al. 2024,
    "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data"); for bins see
    `steepest.tables.NumberFeatures`, for what else was tried bench/README.md.

    Parameters
    ----------
    hidden : sequence of int
        Widths of the hidden layers.
    epochs : int, optional
        The most epochs. By default 40, or as many as make 2,000 steps on a small table (500 at most); in an ensemble
        20, or as many as make 600 steps.
    batch_size : int, optional
        By default about a 64th of the training rows, within 16 to 256.
    lr : float
        The highest learning rate.
    weight_decay : float, optional
        Decoupled, on weights alone. By default 600 over the steps, 1 at most: at the default rate, weights without a
        gradient would shrink by exp(-3) in the whole training, however long it is (after Wang and Aitchison 2024, "How
        to set AdamW's weight decay as you scale model and dataset size").
    activation : str
        Of the hidden layers, any of `steepest.Dense`.
    dropout : float
        Share of hidden outputs dropped in training.
    label_smoothing : float
        This share of each label is spread evenly over all classes in training.
    bins : int
        The most bins of a column of numbers.
    networks : int
        How many networks to average. Each holds other rows out, so that together they learn from all.
    """

    hidden: Sequence[int] = (256, 256)
    epochs: int | None = None
    batch_size: int | None = None
    lr: float = 0.01
    weight_decay: float | None = None
    activation: str = "silu"
    dropout: float = 0.1
    label_smoothing: float = 0.1
    bins: int = 32
    networks: int = 1

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

    @classmethod
    def for_rows(cls, n_rows: int) -> Recipe:
        """Return the recipe for a table of this many rows, held-out ones included.

        Up to 2,000 rows are trained on by five small networks without bins and dropout; more by one network.
        """
        if n_rows > _FEW:
            return cls()
        return cls(hidden=(128, 128), dropout=0.0, bins=0, networks=5)

    def plan(self, n_rows: int) -> tuple[int, int]:
        """Return epochs and batch size for this many training rows."""
        batch_size = self.batch_size or min(max(2 ** round(math.log2(max(n_rows / 64, 1))), 16), 256)
        least, fewest_steps = (40, 2000) if self.networks == 1 else (20, 600)
        wanted = math.ceil(fewest_steps / math.ceil(n_rows / batch_size))
        return self.epochs or min(max(least, wanted), _MOST_EPOCHS), batch_size

    def optimizer(self, steps: int, **options: float) -> AdamW:
        """Return the optimiser for this many steps; `options` are others of `steepest.AdamW`."""
        decay = min(_SHRINKING / steps, 1.0) if self.weight_decay is None else self.weight_decay
        return AdamW(cosine(self.lr, warmup=steps // 20), weight_decay=decay, **options)

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

        Parameters
        ----------
        x : array of shape (n, n_features)
            Features of the training rows.
        y : array of shape (n,)
            Their targets, encoded.
        validation : (x, y)
            Rows to choose the best epoch by.
        task : {"classification", "regression"}
            What to do.
        n_outputs : int
            The number of classes, or 1.
        seed : int
            Of weights and shuffling.
        callbacks : sequence of Callback
            More of them.

        Returns
        -------
        network : Network
            With the best weights.
        history : History
            How it went.

        Raises
        ------
        DivergedError
            If the learning rate is too high.
        """
        activations = [self.activation] * len(self.hidden)
        layers = build_layers(self.hidden, activations, n_outputs, dropout=self.dropout)
        network = Network(x.shape[1], layers, seed=seed)
        silence_unseen(network, x)
        epochs, batch_size = self.plan(len(x))
        steps = epochs * math.ceil(len(x) / batch_size)
        trainer = Trainer(network, LOSSES[task], self.optimizer(steps), seed=seed)
        stopping = EarlyStopping(patience=max(10, epochs // 2))
        classes = task == "classification"
        targets = smooth_labels(y, n_outputs, self.label_smoothing) if classes and self.label_smoothing else y
        history = trainer.fit(
            x, targets, epochs=epochs, batch_size=batch_size, validation=validation, callbacks=[stopping, *callbacks]
        )
        if classes:
            divide_logits(network, temperature(network.predict(validation[0]), validation[1]))
        return network, history


def probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return the softmax of each row, in float64."""
    return np.exp(_log_probabilities(logits))


def score(encoder: TableEncoder, outputs: NDArray[Any], target: NDArray[Any]) -> dict[str, float]:
    """Measure a network's outputs, in the target's own units.

    Parameters
    ----------
    encoder : TableEncoder
        The one that the network was trained with.
    outputs : array of shape (n, n_outputs)
        What the network says.
    target : array of shape (n,)
        The truth, as read from the table.

    Returns
    -------
    dict of str to float
        Classification: "accuracy", "log loss" and "most frequent class", the accuracy of always naming that one.
        Regression: "R2" (not a number if the target is constant), "RMSE" and "MAE".
    """
    truth = encoder.target.encode(encoder.target_name, target)
    if isinstance(encoder.target, Classes):
        return {
            "accuracy": float(np.mean(outputs.argmax(axis=1) == truth)),
            "log loss": -float(_log_probabilities(outputs)[np.arange(len(truth)), truth].mean()),
            "most frequent class": float(np.bincount(truth).max() / len(truth)),
        }
    error = encoder.decode_target(outputs) - target
    spread = float(np.sum((target - np.mean(target, dtype=np.float64)) ** 2.0))
    return {
        "R2": 1 - float(np.sum(error**2)) / spread if spread else math.nan,
        "RMSE": math.sqrt(float(np.mean(error**2))),
        "MAE": float(np.mean(np.abs(error))),
    }


def _log_probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def build_layers(
    hidden: Sequence[int],
    activations: Sequence[str],
    n_out: int,
    *,
    dropout: float,
    batch_norm: bool = False,
    layer_norm: bool = False,
) -> list[Layer]:
    """Return dense layers, each with its normalisation, activation and dropout, and the output layer."""
    layers: list[Layer] = []
    for width, activation in zip(hidden, activations, strict=True):
        if batch_norm or layer_norm:
            layers += [Dense(width), BatchNorm() if batch_norm else LayerNorm(), Activation(activation)]
        else:
            layers.append(Dense(width, activation))
        if dropout:
            layers.append(Dropout(dropout))
    return [*layers, Dense(n_out)]


def silence_unseen(network: Network, x: NDArray[Any]) -> None:
    """Let features that are zero in all rows, as an unseen slot, say nothing: they learn nothing either."""
    first = network.parameters["0.weight"].copy()
    first[~x.any(axis=0)] = 0
    network.set_parameters({"0.weight": first})
