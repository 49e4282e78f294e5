"""The optimizers, as small values; their arithmetic is PyTorch's and is done in the compiled core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from ._arrays import shown
from ._core import Optimizer as CoreOptimizer
from ._validation import Spec, choice, flag, from_dict, number
from .schedules import LearningRate, Schedule, schedule_from_json


@dataclass(frozen=True, repr=False)
class Optimizer(Spec):
    """Base of the optimizers.

    Parameters
    ----------
    lr : float or callable, default=0.01
        Learning rate, >= 0, or a schedule: one of `steepest.schedules` or any function of the step.
    weight_decay : float, default=0
        Decay of the weights of dense layers, >= 0.
    clip_value, clip_norm : float, default=None
        Limits of the gradient, > 0; None: there are none.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If an argument is out of its range, as the optimizer documents it.
    """

    rule: ClassVar[str]
    squares: ClassVar[str | None] = None  # the slot of a checkpoint in which means of squares are, never below 0

    lr: LearningRate = 0.01
    _: KW_ONLY
    weight_decay: float = 0.0
    clip_value: float | None = None
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        if not callable(self.lr):
            self._set(lr=number("lr", self.lr, ge=0))
        self._set(weight_decay=number("weight_decay", self.weight_decay, ge=0))
        for name in ("clip_value", "clip_norm"):
            if (limit := getattr(self, name)) is not None:
                self._set(**{name: number(name, limit, gt=0)})

    def settings(self) -> dict[str, Any]:
        """Return the compiled optimizer's own settings."""
        return {}

    def to_core(self) -> CoreOptimizer:
        """Return the compiled optimizer, its learning rate aside."""
        core = CoreOptimizer(self.rule)
        core.weight_decay = self.weight_decay
        core.clip_value = self.clip_value or 0.0
        core.clip_norm = self.clip_norm or 0.0
        for name, value in self.settings().items():
            setattr(core, name, value)
        return core

    def to_dict(self) -> dict[str, Any]:
        """Return this optimizer as plain JSON values; ValueError where it or `lr` is of the user's own."""
        if type(self) not in _KINDS.values():
            raise ValueError(f"cannot save the optimizer {self!r}: only those of steepest can be saved")
        data = super().to_dict()
        if isinstance(self.lr, Schedule):
            data["lr"] = self.lr.to_dict()
        elif callable(self.lr):
            name = getattr(self.lr, "__qualname__", repr(self.lr))
            raise ValueError(f"cannot save the learning rate {name}: only numbers and steepest.schedules can be saved")
        return data


@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum where asked: ``v = momentum * v + g; w -= lr * v``.

    Parameters
    ----------
    lr : float or callable
        Learning rate, or a schedule: one of `steepest.schedules` or any function of the step.
    momentum : float, default=0
        Share of the velocity that is kept in each step, 0 <= momentum < 1.
    nesterov : bool, default=False
        Step by ``g + momentum * v`` instead of v; needs a momentum above 0.
    weight_decay : float, default=0
        Added to the gradient as ``weight_decay * w``, for the weights of dense layers alone.
    clip_value : float, default=None
        Clip every number of the gradient to [-clip_value, clip_value], > 0.
    clip_norm : float, default=None
        Scale the whole gradient by ``clip_norm / norm`` where its norm is larger, > 0.
    fraction : float, default=1
        Move only so large a share of the parameters in each step, 0 < fraction <= 1: the ``ceil(fraction * n)`` whose
        gradient is largest.
    fraction_of : {"layer", "network"}, default="layer"
        Whether that is a share of each layer's n parameters, weights and biases alike, or of all.

    Notes
    -----
    With a fraction below 1 this is coordinate descent by the Gauss-Southwell rule (Nutini and others, "Coordinate
    descent converges faster with the Gauss-Southwell rule than random selection", 2015) in blocks. What counts is the
    absolute value of the loss's gradient, before clipping and decay, and without regard to learning rates by layer;
    frozen layers are not counted. Of equals the first moves: parameters in the order of `Network.parameters`, row by
    row. A parameter that is not chosen stays as it is in that step: it does not decay, and its velocity does not
    change. ``clip_norm`` is compared with the norm of the gradients of all, chosen or not.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(1, [st.Dense(1, init=[[1.0]])], seed=0)
    >>> trainer = st.Trainer(net, "mse", st.SGD(0.1, momentum=0.9))
    >>> trainer.step([[1.0]], [0.0])  # the loss before the step is (1 - 0)**2, its slope 2
    1.0
    >>> net.parameters["0.weight"]  # 1 - 0.1 * 2
    array([[0.8]], dtype=float32)
    """

    rule: ClassVar[str] = "sgd"

    _: KW_ONLY
    momentum: float = 0.0
    nesterov: bool = False
    fraction: float = 1.0
    fraction_of: str = "layer"

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        self._set(momentum=number("momentum", self.momentum, ge=0, lt=1), nesterov=flag("nesterov", self.nesterov))
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov is True: expected a momentum > 0 with it")
        self._set(fraction=number("fraction", self.fraction, gt=0, le=1))
        self._set(fraction_of=choice("fraction_of", self.fraction_of, ("layer", "network")))

    def settings(self) -> dict[str, Any]:
        """Return the compiled optimizer's own settings."""
        parts = {"fraction": self.fraction, "across": self.fraction_of == "network"}
        return {"momentum": self.momentum, "nesterov": self.nesterov} | parts


@dataclass(frozen=True, repr=False)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015): ``w -= lr * m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + eps)``.

    Parameters
    ----------
    lr : float or callable
        Learning rate, or a schedule: one of `steepest.schedules` or any function of the step.
    beta1, beta2 : float, default=0.9 and 0.999
        Share of the running mean of the gradient, and of its square, that is kept in each step, 0 <= beta < 1.
    eps : float, default=1e-8
        Added to the root, > 0.
    weight_decay : float, default=0
        Added to the gradient as ``weight_decay * w``, for the weights of dense layers alone.
    clip_value, clip_norm : float, default=None
        As in `SGD`.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(1, [st.Dense(1, init=[[1.0]])], seed=0)
    >>> loss = st.Trainer(net, "mse", st.Adam(0.1)).step([[1.0]], [0.0])
    >>> round(float(net.parameters["0.weight"][0, 0]), 4)  # the first step is as long as the rate
    0.9
    """

    rule: ClassVar[str] = "adam"
    squares: ClassVar[str | None] = "slot2"

    lr: LearningRate = 1e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        self._set(beta1=number("beta1", self.beta1, ge=0, lt=1), beta2=number("beta2", self.beta2, ge=0, lt=1))
        self._set(eps=number("eps", self.eps, gt=0))

    def settings(self) -> dict[str, Any]:
        """Return the compiled optimizer's own settings."""
        return {"beta1": self.beta1, "beta2": self.beta2, "eps": self.eps}


@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): ``w *= 1 - lr * weight_decay`` before the step.

    Parameters
    ----------
    lr : float or callable
        Learning rate, or a schedule: one of `steepest.schedules` or any function of the step.
    beta1, beta2, eps : float, default=0.9, 0.999 and 1e-8
        As in `Adam`.
    weight_decay : float, default=0.01
        As above, >= 0, for the weights of dense layers alone.
    clip_value, clip_norm : float, default=None
        As in `SGD`.

    Examples
    --------
    >>> import steepest as st
    >>> st.AdamW(st.schedules.cosine(3e-3), weight_decay=0.1, clip_norm=1.0)
    AdamW(lr=cosine(0.003), weight_decay=0.1, clip_norm=1.0)
    """

    _: KW_ONLY
    weight_decay: float = 0.01

    def settings(self) -> dict[str, Any]:
        """Return the compiled optimizer's own settings."""
        return super().settings() | {"decoupled": True}


@dataclass(frozen=True, repr=False)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012): ``v = alpha * v + (1 - alpha) * g**2; w -= lr * g / (sqrt(v) + eps)``.

    Parameters
    ----------
    lr : float or callable
        Learning rate, or a schedule: one of `steepest.schedules` or any function of the step.
    alpha : float, default=0.99
        Share of the running mean of the squares that is kept in each step, 0 <= alpha < 1.
    momentum : float, default=0
        0 <= momentum < 1; if > 0: ``b = momentum * b + g / (sqrt(v) + eps); w -= lr * b``.
    eps : float, default=1e-8
        Added to the root, > 0.
    weight_decay : float, default=0
        Added to the gradient as ``weight_decay * w``, for the weights of dense layers alone.
    clip_value, clip_norm : float, default=None
        As in `SGD`.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(1, [st.Dense(1, init=[[1.0]])], seed=0)
    >>> loss = st.Trainer(net, "mse", st.RMSprop(0.01)).step([[1.0]], [0.0])
    >>> round(float(net.parameters["0.weight"][0, 0]), 4)  # 1 - 0.01 * 2 / sqrt(0.01 * 2**2)
    0.9
    """

    rule: ClassVar[str] = "rmsprop"
    squares: ClassVar[str | None] = "slot1"

    _: KW_ONLY
    alpha: float = 0.99
    momentum: float = 0.0
    eps: float = 1e-8

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        self._set(alpha=number("alpha", self.alpha, ge=0, lt=1), momentum=number("momentum", self.momentum, ge=0, lt=1))
        self._set(eps=number("eps", self.eps, gt=0))

    def settings(self) -> dict[str, Any]:
        """Return the compiled optimizer's own settings."""
        return {"beta2": self.alpha, "momentum": self.momentum, "eps": self.eps}


_KINDS: dict[str, type[Optimizer]] = {kind.__name__: kind for kind in (SGD, Adam, AdamW, RMSprop)}


def check_optimizer(optimizer: object) -> Optimizer:
    """Return an optimizer; TypeError for anything else, a subclass too, of which the core would call no method."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer is {shown(optimizer)}: expected an optimizer such as SGD(0.1, momentum=0.9)")
    if type(optimizer) not in _KINDS.values():
        raise TypeError(
            f"optimizer is a {type(optimizer).__name__}: expected one of {', '.join(_KINDS)} itself, for the core "
            "never calls a method of it; a rule of your own goes by Network.gradients and Network.set_parameters"
        )
    return optimizer


def optimizer_from_json(data: object) -> Optimizer:
    """Make the optimizer that `to_dict` described; ValueError where `data` describes none."""
    if isinstance(data, Mapping) and isinstance(data.get("lr"), Mapping):
        data = {**data, "lr": schedule_from_json(data["lr"])}
    return from_dict(data, _KINDS, "optimizer")
