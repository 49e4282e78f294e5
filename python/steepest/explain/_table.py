"""Networks of tables as subjects of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..callbacks import Callback
from ..descent import Recorder
from ..history import History
from ..network import Network
from ..recipe import Recipe
from ..tables import Classes, TableEncoder
from ._html import to_percent, to_text
from ._subject import Rows, Subject, Targets, TrainingRecord

RECORDED_ROWS = 256
_LOSSES = ("cross_entropy", "binary_cross_entropy", "mse")


def table_subject(
    network: Network,
    encoder: TableEncoder,
    x: Rows,
    y: Targets,
    history: History | None = None,
    recorder: Recorder | None = None,
    *,
    kept_best: bool = True,
) -> Subject:
    """Make the subject of `table_page` of a network and the rows of a table.

    Parameters
    ----------
    network : Network
        The network, trained; it does not change.
    encoder : TableEncoder
        The encoder of the rows, which knows the names of columns and classes.
    x : array of shape (n, n_in)
        Rows as the network takes them, n >= 1: those it was trained on, or for a model from a file those of the table.
    y : array of shape (n,) or (n, n_classes)
        Their targets as the encoder encodes them: numbers of classes, or quantities in the unit of the outputs. Rows of
        probabilities stand for classes too, as smoothed labels do.
    history : History, default=None
        The epochs of the network's training, which the page shows; None for a model from a file.
    recorder : Recorder, default=None
        The recorder that watched this training; None for a model from a file.
    kept_best : bool, default=True
        Whether the network has the weights of the best epoch of the history, not of the last. Not used without one.

    Returns
    -------
    Subject
        For `table_page`.

    Raises
    ------
    ValueError
        If only one of `history` and `recorder` is given, the recorder has no path of this network's weights, or the
        network was trained by another loss than cross_entropy, binary_cross_entropy or mse.
    """
    if (history is None) != (recorder is None):
        given, missing = ("recorder", "history") if history is None else ("history", "recorder")
        raise ValueError(f"{given} is given and {missing} is None: expected both, of one training, or none")
    loss, training = _loss_of(network, encoder), None
    if history is not None and recorder is not None:
        if recorder.path.shape[1] != network.n_parameters:
            raise ValueError(
                f"recorder has a path of {recorder.path.shape[1]} weights: expected one of this network's "
                f"{network.n_parameters}, from a recorder with path_every >= 1"
            )
        assert recorder.fit is not None  # it has a path
        loss, training = str(recorder.fit.trainer.loss), TrainingRecord(history, recorder, kept_best)
    if loss not in _LOSSES:
        raise ValueError(f"the network was trained by the loss {loss}: expected one of {', '.join(_LOSSES)}")
    columns = [(column.name, column.n_features) for column in encoder.columns]
    targets = y.reshape(-1, 1) if loss == "binary_cross_entropy" else y
    names = _output_names(network, encoder)
    return Subject("table", network, loss, x, targets, encoder.feature_names, names, columns, training)


def of_model(network: Network, encoder: TableEncoder, x: Rows, y: Targets) -> Subject:
    """Make the subject of a network that is trained already: `table_subject` without a training.

    Parameters
    ----------
    network : Network
        The network; it does not change.
    encoder : TableEncoder
        The encoder of the rows.
    x : array of shape (n, n_in)
        Rows as the network takes them, n >= 1.
    y : array of shape (n,) or (n, n_classes)
        Their targets as for `table_subject`.

    Returns
    -------
    Subject
        For `table_page`.

    Raises
    ------
    ValueError
        As by `table_subject`.
    """
    return table_subject(network, encoder, x, y)


def train(
    recipe: Recipe,
    encoder: TableEncoder,
    training: tuple[Rows, Targets],
    validation: tuple[Rows, Targets],
    *,
    seed: int,
    callbacks: Sequence[Callback] = (),
) -> tuple[Subject, History]:
    """Train by a recipe while recording.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    encoder : TableEncoder
        The encoder of the rows.
    training, validation : (array of shape (n, n_in), array of shape (n,))
        Rows and targets to train on, and to choose the best epoch by.
    seed : int
        Seed of weights and shuffling, >= 0.
    callbacks : sequence of Callback, default=()
        More callbacks of the training.

    Returns
    -------
    subject : Subject
        The network and its training, for `table_page`.
    history : History
        Its epochs.

    Raises
    ------
    DivergedError
        If the cost of an epoch is not finite.
    """
    recorder = Recorder(every=1, rows=RECORDED_ROWS)
    network, history = recipe.train(
        *training, validation, task=encoder.task, n_outputs=encoder.n_outputs, seed=seed,
        callbacks=[recorder, *callbacks],
    )  # fmt: skip
    return table_subject(network, encoder, *training, history, recorder), history


def measured(numbers: Mapping[str, float], where: str) -> list[tuple[str, str]]:
    """Return the main metrics as the page writes them.

    Parameters
    ----------
    numbers : mapping of str to float
        "accuracy" of classes, or "r2" and "mae" of quantities, "mae" in the target's own unit.
    where : str
        The rows they were measured on, such as "on rows held out".

    Returns
    -------
    list of (str, str)
        Names and values.
    """
    if "accuracy" in numbers:
        return [(f"right {where}", to_percent(numbers["accuracy"]))]
    return [(f"R² {where}", to_text(numbers["r2"])), (f"mean error {where}", to_text(numbers["mae"]))]


def _loss_of(network: Network, encoder: TableEncoder) -> str:
    """Return the loss that a network of this task and this many outputs is trained by."""
    if encoder.task == "regression":
        return "mse"
    return "cross_entropy" if network.n_out > 1 else "binary_cross_entropy"


def _output_names(network: Network, encoder: TableEncoder) -> list[str]:
    """Return the classes, or the target's name; of two classes on one output, the second, whose logit it is."""
    target = encoder.target
    if not isinstance(target, Classes):
        return [encoder.target_name]
    return [str(label) for label in target.labels][-network.n_out :]
