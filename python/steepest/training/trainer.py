"""Training: the trainer, which holds an optimiser's state and runs steps and whole fits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._core import Trainer as CoreTrainer
from .._model_file import read_model, write_model
from .._validation import choice, flag, integer, number
from ..callbacks import Callback, History, PrintEpochs
from ..losses import LOSSES, CustomLoss, LossFunction
from ..metrics import Metric, check_metrics
from ..network import TRAINER_PREFIX, Network, bind, from_file
from ..optimizers import SGD, Adam, Optimizer, optimizer_from_json
from ..schedules import LearningRate, constant
from ._layerwise import UPDATE_ORDERS, LayerRates, check_layer_rates, known_rates
from ._loop import LARGEST_COPY, check_callbacks, measure, run_epochs
from ._rows import ArrayRows

T = TypeVar("T", bound="Trainer")


class Trainer:
    """Trains a network, and keeps the optimiser's state from step to step and from fit to fit.

    Parameters
    ----------
    network : Network
        What to train; its weights change in place.
    loss : str or callable
        "mse" (mean over all elements), "mae", "huber", "quantile", "cross_entropy" (softmax over logits),
        "binary_cross_entropy" (logits) or "poisson" (log rate). Each is a mean over rows, weighted where there are
        weights, and all but cross_entropy also over the outputs. Or a function of your own, see below.
    optimizer : SGD, Adam, AdamW or RMSprop, optional
        By default ``Adam()``.
    quantile : float
        For "quantile": the one to predict, 0 < quantile < 1.
    delta : float
        For "huber": where the parabola becomes a line, > 0.
    seed : int
        Seed of the shuffling, of dropout and of mixup: the same seed gives the same bits.
    accumulate : int
        The optimiser steps after so many batches, by the mean of their rows' gradients: a step on all of their rows, in
        the memory of one batch. The last step of an epoch may have fewer batches; `step` counts on from call to call.
        Batch normalisation goes by each batch.
    ema : float, optional
        Keep a running average of the parameters, see `averaged`: after each step ``average = ema * average + (1 - ema)
        * parameters``, divided by ``1 - ema**steps`` as Adam does, so that the first weights have no part in it.
        0 < ema < 1.
    mixup : float
        Above 0: train on mixtures (Zhang et al., 2018). Row i of a batch, with its target and weight, becomes ``share *
        row i + (1 - share) * row j``, where j is another order of the batch's rows, and share is drawn for each batch
        from Beta(mixup, mixup). Labels become shares of their classes.
    update_order : {"together", "output_to_input", "input_to_output"}
        Whether a step moves all layers at once, or one after the other, each by its own gradient at the point to which
        the layers before it have moved; see below.
    layer_rates : mapping of str to float, or {"front_first", "equal_effect"}, optional
        What the learning rate of each layer is multiplied with, beside `Network.lr_multipliers`: by a layer's name,
        such as ``{"0": 0.1}`` (layers not named: 1), or a rule; see below.

    Attributes
    ----------
    network, loss, optimizer, quantile, delta, seed, accumulate, ema, mixup, update_order, layer_rates
        As given.
    history : History
        What the last `fit` recorded, even if it was interrupted.

    Notes
    -----
    Targets ``y`` are, for cross_entropy, labels 0 to n_out - 1 of shape (n,), or rows of n_out probabilities; for all
    other losses (n, n_out), or (n,) if there is one output. Nothing is broadcast. binary_cross_entropy wants targets
    in [0, 1], poisson >= 0.

    A loss of your own is called as ``loss(y, prediction)`` and returns ``(loss, gradient)``. It is given the rows of y
    as you passed them, an array (n, ...) of any kind, and the network's outputs, (n, n_out). It returns the mean loss
    of these rows, or the loss of each, (n,), which it must where there are weights; and the derivative of that mean by
    the prediction, (n, n_out), before any weight. Everything else, clipping and weight decay included, is as for the
    named losses; each step costs a call into Python more. Such a trainer can be pickled but not saved.

    With `ema`, `evaluate` and validation in `fit` measure the averaged weights, and `EarlyStopping` leaves the best of
    these averages in `network`, where the average then begins anew. Otherwise `network` has the last step's weights.

    **Layer at a time** (block coordinate descent). A step runs the batch forward and takes its cost: that is the loss
    which the step reports. Then each layer with parameters takes its turn, from the output's to the input's or the
    other way, those of a residual block in their place among the others: the gradient of this layer alone is taken,
    the optimiser moves it, and output and cost are computed anew from this layer on. A frozen layer takes no turn. All
    turns of a step have the same rows, dropout masks, learning rate and number of the step (of which Adam's
    corrections depend), and each layer has its own momentum and moments, so that with one layer the order makes no
    difference. Weights decay in the turn of their layer. ``clip_norm`` and ``fraction`` apply to each turn by itself.
    Batch normalisation uses the statistics of the batch as they are at each turn; the running ones take in those of
    the step's first forward pass. If the cost is not finite after a turn, `DivergedError` is raised there and then:
    turns that were taken stay.

    **Rates by rule.** With "front_first", layer l of L (those with parameters, from l = 0 at the input) learns at ``2
    (L - l) / (L + 1)``: the first L times as fast as the last, the mean being 1. With "equal_effect" the first step
    measures before it moves anything: layer l takes a turn by itself, as the optimiser would at a learning rate of 1,
    shortened to 1% of the norm of the layer's parameters; e(l) is how far the outputs of the batch move (Frobenius
    norm, in training mode), divided by the shortening; and then the layer is taken back. Its rate is ``G / e(l)``,
    where G is the geometric mean of all e: to first order every layer's turn then moves the output equally far. A
    layer whose turn moves nothing keeps a rate of 1.
    """

    def __init__(
        self,
        network: Network,
        loss: str | LossFunction,
        optimizer: Optimizer | None = None,
        *,
        quantile: float = 0.5,
        delta: float = 1.0,
        seed: int = 0,
        accumulate: int = 1,
        ema: float | None = None,
        mixup: float = 0.0,
        update_order: str = "together",
        layer_rates: LayerRates = None,
    ) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"network is {network!r}: expected a steepest.Network")
        optimizer = Adam() if optimizer is None else optimizer
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer is {optimizer!r}: expected an optimiser such as SGD(0.1, momentum=0.9)")
        self.network = network
        self.loss = loss if callable(loss) else choice("loss", loss, LOSSES)
        self.optimizer = optimizer
        self.quantile = number("quantile", quantile, gt=0, lt=1)
        self.delta = number("delta", delta, gt=0)
        self.seed = integer("seed", seed, ge=0)
        self.accumulate = integer("accumulate", accumulate, ge=1)
        self.ema = None if ema is None else number("ema", ema, gt=0, lt=1)
        self.mixup = number("mixup", mixup, ge=0)
        self.update_order = choice("update_order", update_order, UPDATE_ORDERS)
        layers = network._trained_layers()
        self.layer_rates = check_layer_rates(layer_rates, layers)
        if isinstance(optimizer, SGD) and optimizer.fraction_of == "network" and update_order != "together":
            raise ValueError(f"update_order is {update_order!r}: expected fraction_of='layer' with it, found 'network'")
        self._own_loss = loss if isinstance(loss, CustomLoss) else CustomLoss(loss) if callable(loss) else None
        if self._own_loss and self.mixup:
            raise ValueError(f"mixup is {self.mixup} with a loss of your own: expected 0, or the name of a loss")
        if self._own_loss and self.layer_rates == "equal_effect":
            raise ValueError("layer_rates is 'equal_effect' with a loss of your own: expected the name of a loss")
        self.history = History()
        parameter = {"quantile": self.quantile, "huber": self.delta}.get(str(loss), 0.0)
        self._core = CoreTrainer(
            network._core, self._own_loss or str(loss), parameter, optimizer.to_core(), self.seed,
            accumulate=self.accumulate, ema=self.ema or 0.0, mixup=self.mixup, update_order=self.update_order,
        )  # fmt: skip
        self._core.layer_rates = known_rates(self.layer_rates, layers)
        self._core.equalizes_rates = self.layer_rates == "equal_effect"
        self._use(optimizer.lr)
        bind(self, self._core, Trainer, "step")

    def step(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Take one step of the optimiser on one batch.

        Parameters
        ----------
        x : array of shape (n, n_in)
            The batch.
        y : array
            Its targets.
        sample_weight : array of shape (n,), optional
            Weights of the rows, >= 0; the loss is ``sum(weight * loss) / sum(weight)``.

        Returns
        -------
        float
            The batch's loss before the step, in training mode. With `accumulate` the step may be still to come.

        Raises
        ------
        ValueError
            If a shape or a value is wrong; nothing has changed then.
        DivergedError
            If the loss is not finite; weights and optimiser are as before the step then, or where layers take turns, as
            the last turn taken has left them.
        """
        return self._core.step(x, y, sample_weight)

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation: Sequence[ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
        shuffle: bool = True,
        metrics: Iterable[Metric] | None = None,
        callbacks: Iterable[Callback] = (),
        verbose: bool = False,
        rollback: bool | None = None,
    ) -> History:
        """Train for some epochs; a second fit goes on where the first ended.

        Every epoch uses every row once; the last batch of an epoch may be short. Rows are read in place, batch by
        batch, whatever their dtype, layout or memory map.

        Parameters
        ----------
        x : array of shape (n, n_in)
            The rows.
        y : array
            Their targets, see `Trainer`.
        epochs : int
            How many times to go through the rows.
        batch_size : int
            Rows in a step; more than n means all.
        validation : (x, y) or (x, y, sample_weight), optional
            Rows to evaluate after each epoch.
        sample_weight : array of shape (n,), optional
            Weights of the rows, >= 0.
        shuffle : bool
            Whether to draw a new order for each epoch.
        metrics : iterable of str or callable, optional
            What to measure of the validation rows besides the loss, see `evaluate`.
        callbacks : iterable of Callback
            Such as ``EarlyStopping(patience=5)``; called in the order given.
        verbose : bool
            Whether to print a line after each epoch.
        rollback : bool, optional
            Whether to keep a copy of the weights for the case that an epoch diverges: by default where it takes no more
            than 64 MiB. Without, the weights are then as the last finite step left them.

        Returns
        -------
        History
            The losses of the epochs, and more.

        Raises
        ------
        ValueError
            If a shape or a value is wrong, in the validation rows too; nothing has changed then.
        DivergedError
            If the loss or a weight is no longer finite. The network has the weights of the last finite epoch then (or
            the best, by `EarlyStopping`; see `rollback`), and the optimiser's running means are forgotten.
        KeyboardInterrupt
            By Ctrl-C: training stops after a whole step, callbacks are ended, and the network stays usable.
        """
        epochs = integer("epochs", epochs, ge=1)
        batch_size = integer("batch_size", batch_size, ge=1)
        shuffle = flag("shuffle", shuffle)
        keeps = self.network.n_parameters * np.dtype(self.network.dtype).itemsize <= LARGEST_COPY
        rollback = keeps if rollback is None else flag("rollback", rollback)
        active = check_callbacks(callbacks) + ([PrintEpochs()] if flag("verbose", verbose) else [])
        rows = ArrayRows(x, y, sample_weight)
        held_out = None if validation is None else _validation(validation)
        asked = None if metrics is None else check_metrics(metrics)
        return run_epochs(self, rows, held_out, asked, active, epochs, batch_size, shuffle, rollback)

    def evaluate(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        metrics: Iterable[Metric] | None = None,
    ) -> dict[str, float]:
        """Compute the loss and other metrics in inference mode, with `ema` of the averaged weights.

        Parameters
        ----------
        x : array of shape (n, n_in)
            The rows.
        y : array
            Their targets, see `Trainer`.
        sample_weight : array of shape (n,), optional
            Weights of the rows, >= 0.
        metrics : iterable of str or callable, optional
            What to compute besides the loss. For classes "accuracy", "log_loss", "auc" (area under the ROC curve, mean
            of one class against the rest), "f1" (of class 1 of two, else the mean over classes), for cross_entropy
            "top5" and the like, and for binary_cross_entropy "subset_accuracy" (rows with all labels right); for mse,
            mae, huber and quantile "r2", "rmse" and "mae". A function is called as ``function(y, outputs)``, without
            weights, and named by its name; a loss of your own goes with functions alone. By default the accuracy, or
            all three of numbers.

        Returns
        -------
        dict of str to float
            "loss" and the metrics by name. "auc" is not a number where a class or the rest has no rows.

        Raises
        ------
        ValueError
            If a shape or a value is wrong, or a metric does not go with the loss.
        """
        return measure(self, ArrayRows(x, y, sample_weight), None if metrics is None else check_metrics(metrics))

    def apply(self, gradients: Mapping[str, ArrayLike]) -> None:
        """Take one step of the optimiser by gradients of the caller's own loss.

        Parameters
        ----------
        gradients : mapping of str to array
            One for each parameter, by name, as `Network.gradients` holds them after `Network.backward`. They are
            clipped, and weights decay, as in `step`. Rates of "equal_effect" are 1 until a `step` has measured them.

        Raises
        ------
        ValueError
            If a name is missing or unknown, a shape is wrong or a number is not finite, or if layers take turns, whose
            gradients are not known at once; nothing has changed then.

        Examples
        --------
        >>> y = net.forward(x)  # doctest: +SKIP
        >>> net.backward(2 * (y - target) / y.size)  # doctest: +SKIP
        >>> trainer.apply(net.gradients)  # doctest: +SKIP
        """
        if self.update_order != "together":
            raise ValueError(f"update_order is {self.update_order!r}: apply expects 'together'")
        self._core.apply(dict(gradients))

    @property
    def averaged(self) -> Network:
        """A copy of the network with the average of its parameters that `ema` asks for; running statistics as they are.

        Before the first step, and without `ema`, a copy of the network as it is.
        """
        network = self.network.copy()
        network.set_parameters(self._core.averages())
        return network

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step. Setting it replaces a schedule for good."""
        return self._rate(self.n_steps)

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._use(number("learning_rate", value, ge=0))

    @property
    def rates(self) -> dict[str, float]:
        """What `layer_rates` makes of each layer's learning rate; "equal_effect": 1 until the first step."""
        found = self._core.layer_rates
        return {name: found[name] for name in self.network._trained_layers()}

    @property
    def turns(self) -> list[tuple[str, float, float]]:
        """Layer, cost before and cost after of each turn, in order: of the last step, or means over the last epoch.

        Empty where all layers move together.
        """
        return self._core.layer_costs()

    @property
    def n_steps(self) -> int:
        """Steps taken so far, over all fits."""
        return self._core.n_steps

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write network, optimiser, schedule and counters to one safetensors file.

        `resume` goes on from it bit for bit, and `steepest.load` reads the network alone. The state of callbacks is
        not in it.

        Parameters
        ----------
        path : path
            File to write; an older one stays as it was if that fails.

        Raises
        ------
        ValueError
            If the learning rate or the loss is a function of the user's own, which no file can hold.
        """
        self._refuse_to_save()
        metadata = self.network._metadata() | {"trainer": self._options() | {"optimizer": self._optimizer().to_dict()}}
        tensors, state = self._core.snapshot()  # of one moment, even while another thread trains
        state = {f"{TRAINER_PREFIX}{name}": array for name, array in (state | self._measured_rates()).items()}
        write_model(path, tensors | state, metadata)

    @classmethod
    def resume(cls: type[T], path: str | os.PathLike[str]) -> T:
        """Read what `save` wrote, with a network of its own (``trainer.network``), and go on bit for bit.

        Parameters
        ----------
        path : path
            A file that `save` wrote.

        Returns
        -------
        Trainer
            As it was.

        Raises
        ------
        ValueError
            If the file is damaged, or holds no trainer.
        """
        tensors, metadata = read_model(path)
        network = from_file(path, tensors, metadata)
        options = metadata.get("trainer")
        if not isinstance(options, dict):
            raise ValueError(f"{path}: a model without a trainer: expected a file of Trainer.save; load reads this one")
        start = len(TRAINER_PREFIX)
        state = {name[start:]: array for name, array in tensors.items() if name.startswith(TRAINER_PREFIX)}
        try:
            return cls._from_parts(network, options | {"optimizer": optimizer_from_json(options["optimizer"])}, state)
        except KeyError as error:
            raise ValueError(f"{path}: no {error} in the metadata") from error
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error

    def _refuse_to_save(self) -> None:
        """Raise ValueError for what no file can hold."""
        self._optimizer().to_dict()
        if self._own_loss:
            raise ValueError(f"cannot save the loss {self._own_loss.name}: only losses with a name can be saved")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by network, settings and state."""
        options = self._options() | {"optimizer": self._optimizer()}
        return type(self)._from_parts, (self.network, options, self._state())

    def __repr__(self) -> str:
        """Return the call that makes this trainer."""
        special = {"quantile": f", quantile={self.quantile}", "huber": f", delta={self.delta}"}.get(str(self.loss), "")
        special += self._unusual(accumulate=1, ema=None, mixup=0)
        walk = self._unusual(update_order="together", layer_rates=None)
        rest = f"{self.optimizer}{special}, seed={self.seed}{walk}"
        return f"{type(self).__name__}({self.network!r}, {self.loss!r}, {rest})"

    def _unusual(self, **defaults: Any) -> str:
        values = {name: getattr(self, name) for name in defaults}
        return "".join(f", {name}={value!r}" for name, value in values.items() if value != defaults[name])

    @classmethod
    def _from_parts(cls: type[T], network: Network, options: dict[str, Any], state: dict[str, NDArray[Any]]) -> T:
        trainer = cls(network, **options)
        trainer._core.restore(state)
        if trainer._core.equalizes_rates and "layer_rates" in state:
            layers = network._trained_layers()
            measured = zip(layers, state["layer_rates"].tolist(), strict=True)
            trainer._core.layer_rates = known_rates(check_layer_rates(dict(measured), layers), layers)
            trainer._core.equalizes_rates = False
        return trainer

    def _options(self) -> dict[str, Any]:
        names = ("loss", "quantile", "delta", "seed", "accumulate", "ema", "mixup", "update_order", "layer_rates")
        return {name: getattr(self, name) for name in names}

    def _state(self) -> dict[str, NDArray[Any]]:
        return self._core.state() | self._measured_rates()

    def _measured_rates(self) -> dict[str, NDArray[Any]]:
        measured = self.layer_rates == "equal_effect" and not self._core.equalizes_rates
        return {"layer_rates": np.array(list(self.rates.values()))} if measured else {}

    def _optimizer(self) -> Optimizer:
        """Return the optimiser with the learning rate or schedule of the moment."""
        return replace(self.optimizer, lr=self._lr)

    def _use(self, rate: LearningRate) -> None:
        """Take a learning rate or a schedule from now on."""
        self._lr = lr = rate.lr if isinstance(rate, constant) else rate  # another thread may set another one meanwhile
        if callable(lr):
            self._core.schedule = lr
        else:
            self._core.schedule = None
            self._core.learning_rate = lr

    def _judged_state(self) -> NDArray[Any]:
        """Return the parameters and running statistics that `evaluate` goes by."""
        return (self.averaged if self.ema else self.network)._core.state()

    def _put_back(self, state: NDArray[Any]) -> None:
        """Give the network an older state; the average begins anew there."""
        self.network._core.restore(state)
        self._core.forget_average()

    def _rate(self, step: int) -> float:
        lr = self._lr  # read once: another thread may set it
        return float(lr(step)) if callable(lr) else lr


def _validation(parts: Sequence[ArrayLike]) -> ArrayRows:
    if not isinstance(parts, (tuple, list)) or len(parts) not in (2, 3):
        raise TypeError(f"validation is a {type(parts).__name__}: expected (x, y) or (x, y, sample_weight)")
    x, y, *weight = parts
    return ArrayRows(x, y, weight[0] if weight else None, "validation ")
