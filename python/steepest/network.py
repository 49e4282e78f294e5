"""The network: layers with their weights."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._arrays import reason_of
from ._core import Network as CoreNetwork
from ._core import __version__
from ._html import table
from ._model_file import read_model, write_model
from ._validation import choice, integer, number
from .layers import (
    Dense,
    Layer,
    Node,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    Shapes,
    add_layers,
    check_layers,
    iter_nodes,
    layers_from_json,
)

N = TypeVar("N", bound="Network")

FORMAT = 1  # of the metadata in model files
TRAINER_PREFIX = "trainer."  # of the tensors in a checkpoint that are not the network's


def bind(target: object, core: object, owner: type, *names: str) -> None:
    """Let `target` answer these methods of `owner` by the compiled ones, so that a call costs no Python frame.

    A subclass that overrides one of them keeps its own.
    """
    for name in names:
        if getattr(type(target), name) is getattr(owner, name):
            vars(target)[name] = getattr(core, name)


class Network:
    """A dense network with its weights.

    Parameters
    ----------
    n_in : int
        Numbers in an input row, >= 1.
    layers : sequence of layers
        `Dense`, `Activation`, `Dropout`, `BatchNorm`, `LayerNorm`, `FeatureScale`, `PeriodicEmbedding`,
        `PiecewiseLinear`, `PiecewiseLinearEmbedding`, `CategoryEmbedding` and `Residual`, in order: at most 10,000,
        those in residual blocks included, and at most 64 blocks within one another.
    seed : int, default=0
        Seed of the first weights and of `forward`'s dropout, >= 0: the same seed gives the same bits.
    dtype : {"float32", "float64"}, default="float32"
        Type of weights and results.

    Attributes
    ----------
    preprocessing : dict or None
        How raw rows are prepared for the network, and its outputs decoded, as plain JSON values; None for a new
        network. `save` writes it and `load` restores it; the network itself does not use it.

    Raises
    ------
    TypeError
        If `layers` is not a sequence of layers, or `n_in` or `seed` is not a whole number.
    ValueError
        If `n_in` is below 1, `layers` is empty or too many, `seed` is below 0, `dtype` is another type, a residual
        block changes the number of columns, a layer has `columns` that do not come before it, or an array given as
        `init` has not the shape (n_in, n_out) of its layer.

    Notes
    -----
    Parameters are named after the place of their layer, "0.weight", inside a residual block "2.1.weight". A dense
    layer computes ``x @ weight + bias`` with weight of shape (n_in, n_out).

    Threads may share a network. Those that only read it (`predict`, `parameters`, `copy`, `save` and the like) run at
    once; a step of a trainer, `forward`, `backward`, `set_parameters` and whatever else changes it wait for each other
    and for the readers before them. What is read is of one moment. A call that would wait for itself, such as one from
    within a loss of your own that changes the network that is training, raises RuntimeError.

    While the network computes, numbers below the smallest normal one (1.2e-38 in float32) count as zero; outside its
    calls nothing changes.

    Examples
    --------
    >>> import steepest as st
    >>> net = st.Network(4, [st.Dense(16, "relu"), st.Dense(3)], seed=0)
    >>> net.predict([[1, 2, 3, 4]]).shape
    (1, 3)
    """

    def __init__(self, n_in: int, layers: Sequence[Layer], *, seed: int = 0, dtype: DTypeLike = "float32") -> None:
        n_in = integer("n_in", n_in, ge=1)
        self._layers = check_layers(layers)
        self._seed = integer("seed", seed, ge=0)
        self.preprocessing: dict[str, Any] | None = None
        self._lr_multipliers: dict[str, float] = {}
        self._owner: str | None = None  # the estimator whose scaled features it takes
        given: dict[str, ArrayLike] = {}
        for node in iter_nodes(self._layers, n_in):
            if isinstance(node.layer, Dense) and not isinstance(node.layer.init, str):
                shape = np.shape(node.layer.init)
                if shape != (node.n_in, node.n_out):
                    raise ValueError(f"init of layer {node.name} has the shape {shape}: expected {node[2:]}")
                given[f"{node.name}.weight"] = node.layer.init
        self._core = CoreNetwork(n_in, _dtype_name(dtype), self._seed)
        self._core.check_size(min(self.n_parameters, 2**62))
        add_layers(self._core, self._layers)
        if given:
            self._core.set_parameters(given)
        bind(self, self._core, Network, "predict", "forward", "backward")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set `preprocessing`; anything else would be lost by `save` and `copy`, and is refused."""
        if name != "preprocessing" and not name.startswith("_") and type(self) is Network:
            raise AttributeError(
                f"{name} cannot be set: expected preprocessing, a dict of JSON values, which is saved and copied with "
                "the network; set_parameters changes weights"
            )
        object.__setattr__(self, name, value)

    def predict(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Compute the outputs in inference mode: no dropout, running statistics in batch normalization.

        Any number of threads may call this at any time, while others train the network too. All rows of a call see the
        weights as they stand between two steps, of one moment: a step that comes meanwhile waits until the call has
        returned, so where many rows are predicted beside a fit, calls of some thousand rows let it go on in between.

        Parameters
        ----------
        x : array of shape (n, n_in)
            Rows of any real dtype, layout or memory map; n may be 0. Numbers are rounded to the network's dtype, large
            integers too.
        out : array of shape (n, n_out), default=None
            C-contiguous array of the network's dtype to write into; None: a new array.

        Returns
        -------
        array of shape (n, n_out)
            Outputs of the last layer: for "cross_entropy" and "binary_cross_entropy" the logits, for "poisson" the log
            rate. `out`, if given.

        Raises
        ------
        ValueError
            If `x` has not n_in columns, or holds a number that is not finite or too large for the network's dtype; or
            if `out` is not a writable C-contiguous array of the network's dtype and shape (n, n_out).
        """
        return self._core.predict(x, out)

    def forward(self, x: ArrayLike) -> NDArray[Any]:
        """Compute the outputs in training mode and keep what `backward` needs.

        Parameters
        ----------
        x : array of shape (n, n_in)
            One batch, n >= 1.

        Returns
        -------
        array of shape (n, n_out)
            Outputs of the last layer.

        Raises
        ------
        ValueError
            If `x` has no rows or not n_in columns, or holds a number that is not finite or too large for the network's
            dtype.
        """
        return self._core.forward(x)

    def backward(self, dy: ArrayLike) -> NDArray[Any]:
        """Carry a gradient back through the last `forward`, and fill `gradients`.

        Parameters
        ----------
        dy : array of shape (n, n_out)
            Derivative of a loss by the outputs of that `forward`.

        Returns
        -------
        array of shape (n, n_in)
            Derivative of the loss by its input.

        Raises
        ------
        ValueError
            If `dy` has not the shape of the outputs of the last `forward`, or holds a number that is not finite, or if
            there was no `forward` since the last `backward`.
        """
        return self._core.backward(dy)

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """The learned weights, by name, in the order of the layers: read-only copies."""
        return self._core.parameters()

    @property
    def buffers(self) -> dict[str, NDArray[Any]]:
        """The numbers that are not learned, such as running statistics and edges of bins, by name: read-only copies."""
        return self._core.buffers()

    @property
    def gradients(self) -> dict[str, NDArray[Any]]:
        """The gradients of the last `backward`, named and shaped as `parameters`: read-only copies."""
        return self._core.gradients()

    def set_parameters(self, values: Mapping[str, ArrayLike]) -> None:
        """Replace some or all parameters and buffers.

        Parameters
        ----------
        values : mapping of name to array
            Names and shapes as in `parameters` and `buffers`.

        Raises
        ------
        TypeError
            If `values` is not a mapping.
        ValueError
            If `values` has a name that is in neither `parameters` nor `buffers`, an array of another shape than there,
            a number that is not finite, a running variance below 0, or points or edges that do not increase; nothing
            has changed then.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"values is a {type(values).__name__}: expected a mapping such as {{'0.weight': array}}")
        self._core.set_parameters(dict(values))

    def soft_update(self, other: Network, tau: float) -> None:
        """Move the parameters a share of the way to another network's: ``(1 - tau) * own + tau * other``.

        For target networks of reinforcement learning and for averages of weights (Lillicrap et al., 2015). Running
        statistics are copied.

        Parameters
        ----------
        other : Network
            One of the same architecture; it does not change.
        tau : float
            The share, 0 <= tau <= 1.

        Raises
        ------
        TypeError
            If `other` is not a Network, or `tau` is not a number.
        ValueError
            If the parameters or buffers of `other` differ in name or shape, or `tau` is not within 0 ... 1; nothing has
            changed then.
        """
        if not isinstance(other, Network):
            raise TypeError(f"other is {other!r}: expected a steepest.Network")
        tau = number("tau", tau, ge=0, le=1)
        if _shapes(self._layers, self.n_in, buffers=True) != _shapes(other._layers, other.n_in, buffers=True):
            raise ValueError(f"other is {other!r}: expected the architecture of {self!r}")
        self._core.blend(other._tensors(), tau)

    @property
    def lr_multipliers(self) -> dict[str, float]:
        """The factor of each layer's learning rate, by the layer's name, where it is not 1: a copy."""
        return dict(self._lr_multipliers)

    def set_lr_multipliers(self, multipliers: Mapping[str, float]) -> None:
        """Let layers learn at a multiple of the trainer's learning rate; saved and copied with the network.

        Parameters
        ----------
        multipliers : mapping of str to float
            By a layer's name, such as ``{"0": 0.1}``: >= 0, where 0 freezes the layer; its weights, its optimizer
            state and its share in clipping by norm are left out then. Layers not named stay as they were.

        Raises
        ------
        TypeError
            If a multiplier is not a number.
        ValueError
            If a name in `multipliers` is not of a layer with parameters, or a multiplier is below 0 or not finite;
            nothing has changed then.
        """
        own_rates = self._own_rates()
        checked = {}
        for name, multiplier in multipliers.items():
            if name not in own_rates:
                raise ValueError(f"no layer {name!r} with parameters: expected one of {', '.join(sorted(own_rates))}")
            checked[name] = number(f"multiplier of layer {name}", multiplier, ge=0)
        for name, multiplier in checked.items():
            self._core.set_lr_multiplier(name, own_rates[name] * multiplier)
        everything = self._lr_multipliers | checked
        self._lr_multipliers = {name: multiplier for name, multiplier in everything.items() if multiplier != 1}

    def freeze(self, *names: str) -> None:
        """Keep the parameters of these layers as they are while others train; the same as multipliers of 0.

        Batch normalization goes on to gather its running statistics.

        Parameters
        ----------
        *names : str
            Names of layers, such as "0" or, within a residual block, "2.1".

        Raises
        ------
        ValueError
            If one of `names` is not of a layer with parameters; nothing has changed then.
        """
        self.set_lr_multipliers(dict.fromkeys(names, 0.0))

    def unfreeze(self, *names: str) -> None:
        """Let these layers learn again, at the trainer's learning rate; see `freeze`.

        Parameters
        ----------
        *names : str
            Names of layers.

        Raises
        ------
        ValueError
            If one of `names` is not of a layer with parameters; nothing has changed then.
        """
        self.set_lr_multipliers(dict.fromkeys(names, 1.0))

    @property
    def n_in(self) -> int:
        """Numbers in an input row."""
        return self._core.n_in

    @property
    def n_out(self) -> int:
        """Numbers in an output row."""
        return self._core.n_out

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, as given."""
        return self._layers

    @property
    def seed(self) -> int:
        """The seed, as given."""
        return self._seed

    @property
    def dtype(self) -> str:
        """Type of weights and results: "float32" or "float64"."""
        return self._core.dtype

    @property
    def n_parameters(self) -> int:
        """Number of weights that the network learns."""
        return sum(math.prod(shape) for shape in _shapes(self._layers, self.n_in, buffers=False).values())

    def copy(self) -> Network:
        """Return an independent network with the same layers, weights and running statistics."""
        network = self._from_parts(self._architecture(), self._tensors(), deepcopy(self.preprocessing))
        network._owner = self._owner
        return network

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to one safetensors file; `steepest.load` reads it.

        The file is written beside `path` and renamed: a save that fails leaves an older file as it was.

        Parameters
        ----------
        path : str or path
            File to write.

        Warns
        -----
        UserWarning
            If the network is part of an estimator, whose scaling and labels are not saved with it.

        Raises
        ------
        TypeError
            If `preprocessing` is neither None nor a dict of plain JSON values.
        ValueError
            If `preprocessing` has a number that is not finite, over 16 MiB, or over 190 dicts and lists within one
            another; or if a weight is not finite, as after a step that diverged.
        OSError
            If `path` is a folder or a device, its folder does not exist, or the file cannot be written there.
        """
        if self._owner is not None:
            warnings.warn(
                f"this is the network within a {self._owner}: scaling and labels stay behind; "
                f"{self._owner}.save writes them too",
                stacklevel=2,
            )
        write_model(path, check_finite(self._tensors()), self._metadata())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by architecture and arrays."""
        state = {} if self._owner is None else {"_owner": self._owner}
        return type(self)._from_parts, (self._architecture(), self._tensors(), self.preprocessing), state

    def __repr__(self) -> str:
        """Return the call that makes this network, weights aside."""
        dtype = "" if self.dtype == "float32" else f", dtype={self.dtype!r}"
        return f"{type(self).__name__}({self.n_in}, {list(self._layers)}, seed={self._seed}{dtype})"

    def __str__(self) -> str:
        """Return a summary: layer, output size, activation, parameters, bytes and FLOPs a row."""
        rows = self._summary()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(f"{cell:{'<' if i in (0, 2) else '>'}{widths[i]}}" for i, cell in enumerate(row)) for row in rows
        ]
        rule = "-" * len(lines[0])
        return "\n".join([self._title(), lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def _repr_html_(self) -> str:
        """Return the summary as a table, for notebooks."""
        header, *rows = self._summary()
        return table(self._title(), header, rows)

    def _title(self) -> str:
        return f"{type(self).__name__}: {self.n_in:,} -> {self.n_out:,}, {self.dtype}"

    def _summary(self) -> list[tuple[str, ...]]:
        """Return the rows of a summary: its header, the layers and the total."""
        itemsize = np.dtype(self.dtype).itemsize
        rows: list[tuple[str, ...]] = [("layer", "output", "activation", "parameters", "bytes", "FLOPs a row")]
        all_flops = 0
        for node in iter_nodes(self._layers, self.n_in):
            name, layer, n_in, n_out = node
            size = sum(math.prod(shape) for shape in layer.parameter_shapes(n_in).values())
            flops = _flops(node)
            all_flops += flops
            activation = getattr(layer, "activation", getattr(layer, "name", ""))
            title = f"{name} {type(layer).__name__}"
            rows.append((title, f"{n_out:,}", activation, f"{size:,}", f"{size * itemsize:,}", f"{flops:,}"))
        size = self.n_parameters
        return [*rows, ("total", f"{self.n_out:,}", "", f"{size:,}", f"{size * itemsize:,}", f"{all_flops:,}")]

    def _trained_layers(self) -> list[str]:
        """Return the names of the layers with parameters, in order."""
        return list(self._own_rates())

    def _own_rates(self) -> dict[str, float]:
        """Return the factor of its learning rate that each layer with parameters brings along, by its name."""
        nodes = iter_nodes(self._layers, self.n_in)
        return {node.name: node.layer.own_rate for node in nodes if node.layer.parameter_shapes(node.n_in)}

    def _architecture(self) -> dict[str, Any]:
        layers = [layer.to_dict() for layer in self._layers]
        architecture = {"n_in": self.n_in, "dtype": self.dtype, "seed": self._seed, "layers": layers}
        return architecture | ({"lr_multipliers": self.lr_multipliers} if self._lr_multipliers else {})

    def _tensors(self) -> dict[str, NDArray[Any]]:
        return self._core.tensors()

    def _metadata(self) -> dict[str, Any]:
        if not isinstance(self.preprocessing, dict | None):
            raise TypeError(f"preprocessing is a {type(self.preprocessing).__name__}: expected a dict or None")
        return {
            "format": FORMAT,
            "version": __version__,
            "architecture": self._architecture(),
            "preprocessing": self.preprocessing,
        }

    @classmethod
    def _from_parts(
        cls: type[N],
        architecture: Mapping[str, Any],
        tensors: Mapping[str, NDArray[Any]],
        preprocessing: dict[str, Any] | None,
    ) -> N:
        """Make a network of `_architecture` and `_tensors`, which a stranger may have written."""
        layers = layers_from_json(architecture["layers"])
        n_in = integer("n_in", architecture["n_in"], ge=1)
        dtype = choice("dtype", architecture["dtype"], ("float32", "float64"))
        shapes = _shapes(layers, n_in, buffers=True)
        # Before anything is allocated: the layers may claim any size, but the arrays are really there.
        for name in sorted(shapes.keys() | tensors.keys()):
            found = tensors[name].shape if name in tensors else "missing"
            if found != shapes.get(name):
                raise ValueError(f"tensor {name} is {found}: the layers expect {shapes.get(name, 'no such tensor')}")
            if tensors[name].dtype != dtype:
                raise ValueError(f"tensor {name} is of {tensors[name].dtype}: expected the network's dtype, {dtype}")
        if not isinstance(preprocessing, dict | None):
            raise ValueError(f"preprocessing is {type(preprocessing).__name__}: expected an object or null")
        network = cls(n_in, layers, seed=architecture["seed"], dtype=dtype)
        network.set_parameters(tensors)
        if not isinstance(multipliers := architecture.get("lr_multipliers", {}), Mapping):
            raise ValueError(f"lr_multipliers is {type(multipliers).__name__}: expected an object")
        network.set_lr_multipliers(multipliers)
        network.preprocessing = preprocessing
        return network


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that `Network.save` or `Trainer.save` wrote. Nothing in the file is ever executed.

    Parameters
    ----------
    path : str or path
        A safetensors file.

    Returns
    -------
    Network
        With its `preprocessing`.

    Raises
    ------
    ValueError
        If the file is damaged, is no model of this package, or was written by a newer version of it.
    OSError
        If the file cannot be opened.
    """
    return from_file(path, *read_model(path))


def from_file(
    path: str | os.PathLike[str], tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]
) -> Network:
    """Make the network of a model file or of a trainer's checkpoint from what was read."""
    if type(metadata.get("format")) is not int or metadata["format"] != FORMAT:
        raise ValueError(
            f"{path}: model format {metadata.get('format')!r}, written by steepest {metadata.get('version')!r}: "
            f"this version reads format {FORMAT}"
        )
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(TRAINER_PREFIX)}
    try:
        return Network._from_parts(metadata["architecture"], own, metadata.get("preprocessing"))
    except KeyError as error:
        raise ValueError(f"{path}: no {error} in the metadata") from error
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: {reason_of(error)}") from error


def _flops(node: Node) -> int:
    """Return a layer's multiplications and additions for one row, those of matrices and of sines and cosines."""
    if isinstance(node.layer, Dense):
        return 2 * node.n_in * node.n_out
    if isinstance(node.layer, PeriodicEmbedding):
        shapes = node.layer.parameter_shapes(node.n_in)
        return 2 * math.prod(shapes["weight"]) + 20 * math.prod(shapes["frequency"])
    if isinstance(node.layer, PiecewiseLinearEmbedding):
        return 2 * math.prod(node.layer.parameter_shapes(node.n_in).get("weight", (0,)))
    return 0


def _shapes(layers: Sequence[Layer], n_in: int, *, buffers: bool) -> Shapes:
    shapes = {}
    for name, layer, size, _ in iter_nodes(layers, n_in):
        own = layer.parameter_shapes(size) | (layer.buffer_shapes(size) if buffers else {})
        shapes.update({f"{name}.{key}": shape for key, shape in own.items()})
    return shapes


def check_finite(tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return a network's tensors; ValueError where one has a number that is not finite, which no network takes."""
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name} has a number that is not finite: expected finite ones, which alone can be loaded")
    return tensors


def _dtype_name(dtype: DTypeLike) -> str:
    try:
        name = "None" if dtype is None else np.dtype(dtype).name  # NumPy takes None for float64
    except (TypeError, ValueError, SyntaxError):  # NumPy reads some texts as Python
        name = str(dtype)
    return choice("dtype", name, ("float32", "float64"))


def dense_names(network: Network) -> list[str]:
    """Return the paths of the dense layers, in order."""
    return [node.name for node in iter_nodes(network.layers, network.n_in) if isinstance(node.layer, Dense)]
