"""The trainer: it holds an optimizer's state, and runs steps and whole fits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._core import get_num_threads
from .._probabilities import sigmoid, softmax
from .._validation import choice, flag, integer, number
from ..callbacks import Callback, History, PrintEpochs, check_callbacks
from ..losses import LOSSES, CustomLoss, LossFunction
from ..metrics import Metric, check_metrics
from ..network import Network, bind
from ..optimizers import Adam, Optimizer, check_optimizer
from ..schedules import LearningRate, constant
from ..stream import Stream
from ._checkpoint import OPTIONS, State, read_checkpoint, restore_core, with_measured_rates, write_checkpoint
from ._fits import Fit, run_fits
from ._layerwise import UPDATE_ORDERS, LayerRates, check_layer_rates
from ._loop import LARGEST_COPY, measure
from ._options import check_combinations, make_core
from ._rows import ArrayRows, RowSource, validation_rows
from ._stream_rows import StreamRows

T = TypeVar("T", bound="Trainer")


class Trainer:
    """Trains a network, and keeps the optimizer's state from step to step and from fit to fit.

    Parameters
    ----------
    network : Network
        The network to train; its weights change in place.
    loss : str or callable
        "mse" (mean over all elements), "mae", "huber", "quantile", "cross_entropy" (softmax over logits),
        "binary_cross_entropy" (logits) or "poisson" (log rate). Each is a mean over rows, weighted where there are
        weights, and all but cross_entropy also over the outputs. Or a function of your own, see below.
    optimizer : SGD, Adam, AdamW or RMSprop, default=Adam()
        The optimizer, with the learning rate or schedule.
    quantile : float, default=0.5
        For "quantile": the one to predict, 0 < quantile < 1.
    delta : float, default=1.0
        For "huber": the error at which the parabola becomes a line, > 0, in the targets' unit.
    seed : int, default=0
        Seed of the shuffling, of dropout and of mixup, >= 0: the same seed gives the same bits.
    accumulate : int, default=1
        Batches to a step of the optimizer, >= 1. It steps by the mean of their rows' gradients: a step on all of their
        rows, in the memory of one batch. The last step of an epoch may have fewer batches; `step` counts on from call
        to call. Batch normalization goes by each batch.
    ema : float, default=None
        Keep a running average of the parameters, see `ema_network`: after each step ``average = ema * average + (1 -
        ema) * parameters``, divided by ``1 - ema**steps`` as Adam does, so that the first weights have no part in it.
        0 < ema < 1. None: no average.
    mixup : float, default=0.0
        Above 0: train on mixtures (Zhang et al., 2018). Row i of a batch, with its target and weight, becomes ``share *
        row i + (1 - share) * row j``, where j is another order of the batch's rows, and share is drawn for each batch
        from Beta(mixup, mixup). Labels become shares of their classes.
    update_order : {"together", "output_to_input", "input_to_output"}, default="together"
        Whether a step moves all layers at once, or one after the other, each by its own gradient at the point to which
        the layers before it have moved; see below.
    layer_rates : mapping of str to float, or {"front_first", "equal_effect"}, default=None
        Factors of the layers' learning rates for this trainer, >= 0: by a layer's name, such as ``{"0": 0.1}`` (layers
        not named: 1), or by a rule; see below. None: 1 for all.

    Attributes
    ----------
    network, loss, optimizer, quantile, delta, seed, accumulate, ema, mixup, update_order, layer_rates
        As given.
    history : History
        The record of the last `fit`, even if it was interrupted.

    Raises
    ------
    TypeError
        If `network`, `optimizer` or another argument is of a wrong type.
    ValueError
        If an argument is out of its range; if `loss` is "cross_entropy" and the network has one output; if
        `update_order` is by layer and `accumulate` is above 1, the `loss` a function, or the optimizer an SGD with
        fraction_of="network"; or if `loss` is a function and there is `mixup`, or `layer_rates` is "equal_effect".

    Notes
    -----
    **Targets** ``y`` are, for cross_entropy, labels 0 to n_out - 1 of shape (n,), or rows of n_out probabilities; for
    all other losses (n, n_out), or (n,) if there is one output. Nothing is broadcast. binary_cross_entropy wants
    targets in [0, 1], poisson >= 0.

    **A loss of your own** is called as ``loss(y, prediction)`` and returns ``(loss, gradient)``. It is given the rows
    of y as you passed them, an array (n, ...) of any kind, and the network's outputs, (n, n_out). It returns the mean
    loss of these rows, or the loss of each, (n,), which it must where there are weights; and the derivative of that
    mean by the prediction, (n, n_out), before any weight. Everything else, clipping and weight decay included, is as
    for the named losses; each step costs a call into Python more. Such a trainer can be pickled but not saved.

    **Running averages.** With `ema`, `evaluate`, `predict` and validation in `fit` go by the averaged weights, and
    `EarlyStopping` leaves the best of these averages in `network`, where the average then begins anew. Otherwise
    `network` has the last step's weights.

    **Rates by layer.** The place for them is the network: `Network.set_lr_multipliers` and `Network.freeze` set them by
    name, for every trainer, and they are saved and copied with the network. `layer_rates` multiplies these for one
    trainer, and has the rules, which only a trainer can apply: layer l learns at ``learning_rate *
    network.lr_multipliers[l] * trainer.rates[l]``, where a name that is missing stands for 1.

    **Rates by rule.** With "front_first", layer l of L (those with parameters, from l = 0 at the input) learns at ``2
    (L - l) / (L + 1)``: the first L times as fast as the last, the mean being 1. With "equal_effect" the first step
    measures before it moves anything: layer l is updated by itself, as the optimizer would at a learning rate of 1,
    shortened to 1% of the norm of the layer's parameters; e(l) is how far the outputs of the batch move (Frobenius
    norm, in training mode), divided by the shortening; and then the layer is taken back. Its rate is ``G / e(l)``,
    where G is the geometric mean of all e: to first order every layer's update then moves the output equally far. A
    layer whose update moves nothing keeps a rate of 1.

    **Layer at a time** (block coordinate descent). A step runs the batch forward and takes its cost: that is the loss
    which the step reports. Then the layers with parameters are updated one by one, from the output's to the input's or
    the other way, those of a residual block in their place among the others: the gradient of this layer alone is taken,
    the optimizer moves it, and output and cost are computed anew from this layer on. A frozen layer is left out. All
    updates of a step have the same rows, dropout masks, learning rate and number of the step (of which Adam's
    corrections depend), and each layer has its own momentum and moments, so that with one layer the order makes no
    difference. Weights decay in the update of their layer. ``clip_norm`` and ``fraction`` apply to each update by
    itself. Batch normalization uses the statistics of the batch as they are at each update; the running ones take in
    those of the step's first forward pass. If the cost is not finite after an update, `DivergedError` is raised there
    and then: updates that were made stay.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).standard_normal((200, 2))
    >>> labels = (x[:, 0] * x[:, 1] > 0).astype(int)
    >>> network = st.Network(2, [st.Dense(16, "tanh"), st.Dense(2)], seed=0)
    >>> trainer = st.Trainer(network, "cross_entropy", st.Adam(0.02))
    >>> history = trainer.fit(x, labels, epochs=30)
    >>> trainer.evaluate(x, labels)["accuracy"] > 0.9
    True
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
        overridden = [
            name for name in ("forward", "backward") if getattr(type(network), name) is not vars(Network)[name]
        ]
        if overridden:
            raise TypeError(
                f"network is a {type(network).__name__} with a {overridden[0]} of its own, which no step would call: "
                "expected a steepest.Network, and for losses of your own a function as loss"
            )
        optimizer = check_optimizer(Adam() if optimizer is None else optimizer)
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
        self.layer_rates = None if layer_rates is None else check_layer_rates(layer_rates, network._trained_layers())
        self._custom_loss = loss if isinstance(loss, CustomLoss) else CustomLoss(loss) if callable(loss) else None
        check_combinations(
            optimizer, self._custom_loss,
            mixup=self.mixup, update_order=self.update_order, layer_rates=self.layer_rates,
        )  # fmt: skip
        self.history = History()
        # Means over an epoch whose batches a callback watched, and the number of steps up to which they hold.
        self._epoch_costs: tuple[int, list[tuple[str, float, float]]] = (-1, [])
        self._core = make_core(
            network, self._custom_loss or str(loss), optimizer, quantile=self.quantile, delta=self.delta,
            seed=self.seed, accumulate=self.accumulate, ema=self.ema, mixup=self.mixup,
            update_order=self.update_order, layer_rates=self.layer_rates,
        )  # fmt: skip
        self._use(optimizer.lr)
        bind(self, self._core, Trainer, "step")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set `learning_rate` or `history`; what the compiled trainer would not hear of is refused."""
        given = ("network", "optimizer", *OPTIONS) if "_core" not in vars(self) else ()  # by __init__
        if name[0] != "_" and name not in ("history", "learning_rate", *given) and type(self) is Trainer:
            raise AttributeError(
                f"{name} cannot be set: expected learning_rate, which can; other settings are those that the Trainer "
                "was made with, and what belongs to the model is saved in network.preprocessing"
            )
        object.__setattr__(self, name, value)

    def step(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Take one step of the optimizer on one batch.

        Parameters
        ----------
        x : array of shape (n, n_in)
            The batch, n >= 1.
        y : array of shape (n,) or (n, n_out)
            Its targets, see `Trainer`.
        sample_weight : array of shape (n,), default=None
            Weights of the rows, >= 0; the loss is ``sum(weight * loss) / sum(weight)``. None: 1 for all.

        Returns
        -------
        float
            The batch's loss before the step, in training mode. With `accumulate` the step may be still to come.

        Raises
        ------
        ValueError
            If `x` is not (n, n_in) or has no rows, if `y` does not fit the rows or the loss, if `sample_weight` is not
            (n,), has a number below 0 or sums to 0, or if a number is not finite; nothing has changed then.
        DivergedError
            If the loss is not finite. Weights and optimizer are as before the step then or, where layers are updated
            one by one, as the last of these updates left them.
        """
        return self._core.step(x, y, sample_weight)

    def fit(
        self,
        x: ArrayLike | Stream,
        y: ArrayLike | None = None,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation: Sequence[ArrayLike] | Stream | None = None,
        sample_weight: ArrayLike | None = None,
        shuffle: bool = True,
        metrics: Iterable[Metric] | None = None,
        callbacks: Iterable[Callback] = (),
        verbose: bool = False,
        rollback: bool | None = None,
        comm: Any = None,
        sync_every: int | str = 1,
    ) -> History:
        """Train for some epochs; a second fit goes on where the first ended.

        Every epoch uses every row once; the last batch of an epoch may be short. Rows are read in place, batch by
        batch, whatever their dtype, layout or memory map; of a large map, what has been read is let go again. A stream
        is read once more at the start, to count and check its rows.

        Parameters
        ----------
        x : array of shape (n, n_in), or Stream
            The rows, n >= 1; or a stream of rows, targets and weights, whose tables have columns of numbers.
        y : array of shape (n,) or (n, n_out), default=None
            Their targets, see `Trainer`; None with a stream that has them.
        epochs : int, default=10
            How many times to go through the rows, >= 1.
        batch_size : int, default=32
            Rows in a batch, >= 1; more than n means all.
        validation : (x, y), (x, y, sample_weight) or Stream, default=None
            Rows to evaluate after each epoch.
        sample_weight : array of shape (n,), default=None
            Weights of the rows, >= 0. None: 1 for all.
        shuffle : bool, default=True
            Whether to draw a new order for each epoch; of a stream, if it shuffles.
        metrics : iterable of str or callable, default=None
            Metrics of the validation rows besides the loss, see `evaluate`.
        callbacks : iterable of Callback, default=()
            Such as ``EarlyStopping(patience=5)``; called in the order given.
        verbose : bool, default=False
            Whether to print a line after each epoch.
        rollback : bool, default=None
            Whether to keep a copy of the weights for the case that an epoch diverges. None: where it takes no more than
            64 MiB. Without, the weights are then as the last finite step left them.
        comm : object, default=None
            Connects several processes, the ranks, that all call this at the same time, each with a shard of the rows,
            and with validation rows of its own: a communicator of mpi4py, a process group of torch.distributed, or any
            `steepest.distributed.Comm`. See below. None: this process is alone.
        sync_every : int or "auto", default=1
            With `comm`: steps from one exchange of the ranks to the next, >= 1. 1: gradients are summed in every step.
            Above 1: each rank takes steps of its own, and then parameters and the optimizer's moments become their
            means. "auto": as many as let exchanges take a fortieth of the time, measured at the start.

        Returns
        -------
        History
            The losses of the epochs, and more.

        Raises
        ------
        TypeError
            If `callbacks` holds anything but callbacks, or `validation` is no tuple of two or three.
        ValueError
            If `epochs` or `batch_size` is below 1, if `x`, `y` or `sample_weight`, also of `validation`, is what `step`
            refuses, or if `metrics` has one that does not go with the loss, or any without `validation`; nothing has
            changed then. With `comm`, if ranks differ in what must be alike, or for what does not go with ranks: a
            Stream, `accumulate`, `update_order`, "equal_effect", and functions as loss or metric.
        RankError
            With `comm`, if another rank has failed or cannot be reached: it says which.
        DivergedError
            If the loss, a weight or a running mean of the optimizer is no longer finite. The network has the weights
            of the last finite epoch then (or the best, by `EarlyStopping`; see `rollback`), and the running means and
            the average of `ema` are forgotten.
        KeyboardInterrupt
            By Ctrl-C: training stops after a whole step, callbacks are ended, and the network stays usable. With
            `comm` on all ranks, at their next exchange.

        Notes
        -----
        **Ranks.** All begin with the first one's weights and moments, and end with the same bits. `batch_size` is that
        of each rank: with ``sync_every=1`` a step is one on the batches of all, each row with its weight, as one
        process would take it on them together. An epoch has as many steps as the rank with most rows needs; one whose
        rows are used up has no part in the rest. Losses are means over the rows of all ranks, and so are the losses and
        metrics of validation rows (of "r2", "rmse", "auc" and "f1" the mean of what each rank finds on its own), so
        that callbacks decide alike; ``fit.stop()`` on one rank stops all. Callbacks that write files or the screen are
        left out but on the first rank. Networks with dropout see other masks on each rank if trainers have other seeds.
        """

        def make() -> Fit:
            active = check_callbacks(callbacks) + ([PrintEpochs()] if flag("verbose", verbose) else [])
            return Fit(
                self,
                self._rows(x, y, sample_weight),
                None if validation is None else _validation(validation),
                None if metrics is None else check_metrics(metrics),
                active,
                integer("epochs", epochs, ge=1),
                integer("batch_size", batch_size, ge=1),
                flag("shuffle", shuffle),
                self._keeps_copy() if rollback is None else flag("rollback", rollback),
            )

        if comm is not None:
            from ._shared_fit import shared_fit  # which most processes never need

            return shared_fit(make, comm, sync_every)
        if sync_every != 1:
            raise ValueError(f"sync_every is {sync_every!r}: expected 1 without comm")
        (diverged,) = run_fits([make()], get_num_threads())
        if diverged is not None:
            raise diverged
        return self.history

    def _keeps_copy(self) -> bool:
        """Tell whether a fit keeps a copy of the weights unless it is told."""
        return self.network.n_parameters * np.dtype(self.network.dtype).itemsize <= LARGEST_COPY

    def _rows(self, x: Any, y: Any, sample_weight: Any) -> RowSource:
        if not isinstance(x, Stream):
            if y is None:
                raise TypeError("y is None: expected the targets of x")
            return ArrayRows(x, y, sample_weight)
        if self.update_order != "together":
            raise ValueError(f"update_order is {self.update_order!r}: a stream expects 'together'")
        stream = x if y is None and sample_weight is None else x.with_targets(y, sample_weight)
        return StreamRows(stream, by_steps=self.accumulate > 1)

    def evaluate(
        self,
        x: ArrayLike | Stream,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        metrics: Iterable[Metric] | None = None,
    ) -> dict[str, float]:
        """Compute the loss and other metrics in inference mode, with `ema` of the averaged weights.

        Parameters
        ----------
        x : array of shape (n, n_in), or Stream
            The rows, n >= 1.
        y : array of shape (n,) or (n, n_out), default=None
            Their targets, see `Trainer`; None with a stream that has them.
        sample_weight : array of shape (n,), default=None
            Weights of the rows, >= 0. None: 1 for all.
        metrics : iterable of str or callable, default=None
            Metrics besides the loss. For classes "accuracy", "log_loss", "auc" (area under the ROC curve, mean of one
            class against the rest), "f1" (of class 1 of two, else the mean over classes), for cross_entropy "top5" and
            the like, and for binary_cross_entropy "subset_accuracy" (rows with all labels right); for mse, mae, huber
            and quantile "r2", "rmse" and "mae". A function is called as ``function(y, outputs)``, without weights, and
            named by its name; a loss of your own goes with functions alone. None: the accuracy, or all three of
            numbers.

        Returns
        -------
        dict of str to float
            "loss" and the metrics by name. "auc" is not a number where a class or the rest has no rows.

        Raises
        ------
        TypeError
            If `metrics` has neither a name nor a function with a name.
        ValueError
            If `x`, `y` or `sample_weight` is what `step` refuses, or `metrics` has one that does not go with the loss.
        """
        return measure(self, self._rows(x, y, sample_weight), None if metrics is None else check_metrics(metrics))

    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """Predict in the units of the targets, in inference mode, with `ema` by the averaged weights.

        Parameters
        ----------
        x : array of shape (n, n_in)
            The rows; n may be 0.

        Returns
        -------
        array of shape (n, n_out)
            Probabilities for "cross_entropy" (of all classes: a row sums to 1) and for "binary_cross_entropy" (of each
            output to be 1), rates for "poisson", and the network's outputs for all other losses, a function of your own
            too. In the network's dtype. `Network.predict` returns logits and logarithms of rates.

        Raises
        ------
        ValueError
            If `x` is not (n, n_in), or has a number that is not finite or too large for the network's dtype.

        Examples
        --------
        >>> import steepest as st
        >>> network = st.Network(2, [st.Dense(3)], seed=0)
        >>> trainer = st.Trainer(network, "cross_entropy", st.Adam(0.1))
        >>> history = trainer.fit([[0, 0], [0, 1], [1, 0]], [0, 1, 2], epochs=100)
        >>> trainer.predict([[0, 1]]).argmax(axis=1)
        array([1])
        """
        outputs = (self.ema_network if self.ema else self.network).predict(x)
        if self.loss == "cross_entropy":
            return softmax(outputs)
        if self.loss == "binary_cross_entropy":
            return sigmoid(outputs)
        if self.loss == "poisson":
            with np.errstate(over="ignore"):  # a rate beyond the largest number is inf
                return np.asarray(np.exp(outputs))
        return outputs

    def apply(self, gradients: Mapping[str, ArrayLike]) -> None:
        """Take one step of the optimizer by gradients of the caller's own loss.

        Parameters
        ----------
        gradients : mapping of str to array
            One for each parameter, by name, as `Network.gradients` holds them after `Network.backward`. They are
            clipped, and weights decay, as in `step`. Rates of "equal_effect" are 1 until a `step` has measured them.

        Raises
        ------
        ValueError
            If `gradients` lacks a parameter, has an unknown name or a wrong shape or a number that is not finite, or if
            `update_order` is by layer, whose gradients are not known at once; nothing has changed then.

        Examples
        --------
        >>> import numpy as np
        >>> import steepest as st
        >>> network = st.Network(2, [st.Dense(1)], seed=0)
        >>> trainer = st.Trainer(network, "mse", st.SGD(0.1))
        >>> x, target = np.eye(2), np.array([[1.0], [0.0]])
        >>> y = network.forward(x)
        >>> dx = network.backward(2 * (y - target) / y.size)
        >>> trainer.apply(network.gradients)
        >>> trainer.n_steps
        1
        """
        if self.update_order != "together":
            raise ValueError(f"update_order is {self.update_order!r}: apply expects 'together'")
        self._core.apply(dict(gradients))

    @property
    def ema_network(self) -> Network:
        """A copy of the network with the average of its parameters that `ema` keeps; running statistics as they are.

        Before the first step, and without `ema`, a copy of the network as it is.
        """
        network = self.network.copy()
        network.set_parameters(self._core.averages())
        return network

    @property
    def averaged(self) -> Network:
        """Old name of `ema_network`, of version 0.1."""
        return self.ema_network

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step, >= 0. Setting it replaces a schedule for good."""
        return self._rate(self.n_steps)

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._use(number("learning_rate", value, ge=0))

    @property
    def rates(self) -> dict[str, float]:
        """The factor of each layer's learning rate by `layer_rates`; for "equal_effect" 1 until the first step."""
        found = self._core.layer_rates
        return {name: found[name] for name in self.network._trained_layers()}

    @property
    def layer_costs(self) -> list[tuple[str, float, float]]:
        """The layer, and the cost before and after its update, for each layer in the order in which they moved.

        Those of the last step or, after a fit, means over the rows of its last epoch. Empty where all layers move
        together.
        """
        n_steps, costs = self._epoch_costs
        return list(costs) if n_steps == self.n_steps else self._core.layer_costs()

    @property
    def turns(self) -> list[tuple[str, float, float]]:
        """Old name of `layer_costs`, of version 0.1."""
        return self.layer_costs

    @property
    def n_steps(self) -> int:
        """Steps taken so far, over all fits."""
        return self._core.n_steps

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write network, optimizer, schedule and counters to one safetensors file.

        `resume` goes on from it bit for bit, and `steepest.load` reads the network alone. The state of callbacks is
        not in it.

        Parameters
        ----------
        path : path
            File to write; an older one stays as it was if that fails.

        Raises
        ------
        ValueError
            If the learning rate or the loss is a function of the user's own, or the optimizer or schedule of a class of
            the user's own, which no file can hold; or if a weight is not finite, as after a step that diverged.
        OSError
            If `path` is a folder or a device, its folder does not exist, or the file cannot be written there.
        """
        self._check_saveable()
        tensors, state = self._core.snapshot()  # of one moment, even while another thread trains
        write_checkpoint(path, self.network, self._options(), self._optimizer_now(), tensors, self._with_rates(state))

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
            If the file is damaged, holds no trainer, or one in a state that no training comes to.
        OSError
            If the file cannot be read.
        """
        return read_checkpoint(path, cls._from_parts)

    def _check_saveable(self) -> None:
        """Raise ValueError for what no file can hold."""
        self._optimizer_now().to_dict()
        if self._custom_loss:
            raise ValueError(f"cannot save the loss {self._custom_loss.name}: only losses with a name can be saved")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by network, settings and state."""
        options = self._options() | {"optimizer": self._optimizer_now()}
        tensors, state = self._core.snapshot()  # the network may be written at a later moment than these
        return type(self)._from_parts, (self.network, options, self._with_rates(state), tensors)

    def __repr__(self) -> str:
        """Return the call that makes this trainer."""
        special = {"quantile": f", quantile={self.quantile}", "huber": f", delta={self.delta}"}.get(str(self.loss), "")
        special += self._unusual(accumulate=1, ema=None, mixup=0)
        by_layer = self._unusual(update_order="together", layer_rates=None)
        rest = f"{self.optimizer}{special}, seed={self.seed}{by_layer}"
        return f"{type(self).__name__}({self.network!r}, {self.loss!r}, {rest})"

    def _unusual(self, **defaults: Any) -> str:
        values = {name: getattr(self, name) for name in defaults}
        return "".join(f", {name}={value!r}" for name, value in values.items() if value != defaults[name])

    @classmethod
    def _from_parts(
        cls: type[T], network: Network, options: dict[str, Any], state: State, tensors: State | None = None
    ) -> T:
        trainer = cls(network, **options)
        if tensors is not None:
            network.set_parameters(tensors)
        restore_core(
            trainer._core, network._trained_layers(), state,
            optimizer=trainer.optimizer, accumulate=trainer.accumulate, dtype=network.dtype,
        )  # fmt: skip
        return trainer

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in OPTIONS}

    def _with_rates(self, state: State) -> State:
        return with_measured_rates(state, self._core, self.network._trained_layers(), self.layer_rates)

    def _optimizer_now(self) -> Optimizer:
        """Return the optimizer with the learning rate or schedule of the moment."""
        return replace(self.optimizer, lr=self._lr)

    def _use(self, rate: LearningRate) -> None:
        """Take a learning rate or a schedule from now on."""
        self._lr = lr = rate.lr if isinstance(rate, constant) else rate  # another thread may set another one meanwhile
        if callable(lr):
            self._core.schedule = lr
        else:
            self._core.schedule = None
            self._core.learning_rate = lr

    def _evaluated_state(self) -> NDArray[Any]:
        """Return the parameters and running statistics that `evaluate` goes by."""
        return (self.ema_network if self.ema else self.network)._core.state()

    def _restore_state(self, state: NDArray[Any]) -> None:
        """Give the network an older state; the average begins anew there."""
        self.network._core.restore(state)
        self._core.forget_average()

    def _rate(self, step: int) -> float:
        lr = self._lr  # read once: another thread may set it
        return float(lr(step)) if callable(lr) else lr


def _validation(parts: Sequence[ArrayLike] | Stream) -> RowSource:
    if isinstance(parts, Stream):
        return StreamRows(parts, prefix="validation ")
    return validation_rows(parts)
