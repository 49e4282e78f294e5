"""Networks of tables as subjects of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..callbacks import Callback
from ..descent import Recorder
from ..descent._recorder import kept_states, network_at
from ..history import History
from ..network import Network
from ..pages.html import to_percent, to_text
from ..recipe import Recipe
from ..tables import Classes, TableEncoder
from ._course import Rows, Targets, measure_course, plain_targets
from ._subject import Subject

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
    temperature: float = 1.0,
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
        probabilities, as smoothed labels are, stand for the most probable class.
    history : History, default=None
        The epochs of the network's training, which the page shows; None for a model from a file.
    recorder : Recorder, default=None
        The recorder that watched this training; None for a model from a file.
    kept_best : bool, default=True
        Whether the network has the weights of the best epoch of the history, not of the last, where the recorder's path
        does not tell. Not used without one.
    temperature : float, default=1.0
        What the network's outputs were divided by after the training, > 0: "temperature" of an estimator's `recipe_`.
        The page shows the network before that.

    Returns
    -------
    Subject
        For `table_page`.

    Raises
    ------
    ValueError
        If only one of `history` and `recorder` is given, the recorder has no path of this network's weights, or the
        network was trained by another loss than cross_entropy, binary_cross_entropy or mse.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> from steepest import explain
    >>> table = {"size": np.arange(60.0) % 7, "age": np.arange(60.0) % 11}
    >>> price = table["size"] - table["age"]
    >>> encoder = st.tables.TableEncoder(bins=0).fit(table, price, "regression", target_name="price")
    >>> x, y = encoder.transform(table), encoder.encode_target(price)
    >>> network = st.Network(2, [st.Dense(4, "tanh"), st.Dense(1)], seed=0)
    >>> recorder = st.descent.Recorder(every=1)
    >>> history = st.Trainer(network, "mse").fit(x, y, epochs=5, callbacks=[recorder])
    >>> subject = explain.table_subject(network, encoder, x, y, history, recorder, kept_best=False)
    >>> subject.outputs
    ['price']
    """
    if (history is None) != (recorder is None):
        given, missing = ("recorder", "history") if history is None else ("history", "recorder")
        raise ValueError(f"{given} is given and {missing} is None: expected both, of one training, or none")
    loss = _loss_of(network, encoder)
    if history is not None and recorder is not None:
        if recorder.path.shape[1] != network.n_parameters:
            raise ValueError(
                f"recorder has a path of {recorder.path.shape[1]} weights: expected one of this network's "
                f"{network.n_parameters}, from a recorder with path_every >= 1"
            )
        assert recorder.fit is not None  # it has a path
        loss = str(recorder.fit.trainer.loss)
    if loss not in _LOSSES:
        raise ValueError(f"the network was trained by the loss {loss}: expected one of {', '.join(_LOSSES)}")
    columns = [(column.name, column.n_features) for column in encoder.columns]
    targets, names, training = plain_targets(loss, y), _output_names(network, encoder), None
    if history is not None and recorder is not None:
        network, training = measure_course(
            network, loss, x, targets, history, recorder, kept_best=kept_best, temperature=temperature
        )
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

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> from steepest import explain
    >>> table = {"size": np.arange(60.0) % 7, "age": np.arange(60.0) % 11}
    >>> price = table["size"] - table["age"]
    >>> encoder = st.tables.TableEncoder(bins=0).fit(table, price, "regression", target_name="price")
    >>> x, y = encoder.transform(table), encoder.encode_target(price)
    >>> network = st.Network(2, [st.Dense(4, "tanh"), st.Dense(1)], seed=0)
    >>> history = st.Trainer(network, "mse").fit(x, y, epochs=20)
    >>> subject = explain.of_model(network, encoder, x, y)
    >>> subject.inputs, subject.training is None
    (['size', 'age'], True)
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
    # The recipe has divided the outputs of classes by a temperature that it does not tell: the path has them before.
    states = dict(kept_states(recorder))
    if history.best_epoch is not None and history.best_epoch + 1 in states:
        network = network_at(network, states[history.best_epoch + 1])
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
