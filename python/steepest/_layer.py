"""The base of the layers."""

from __future__ import annotations

from typing import ClassVar

from ._core import Network as CoreNetwork
from ._validation import Spec

Shapes = dict[str, tuple[int, ...]]


class Layer(Spec):
    """Base of the layers."""

    _depth: ClassVar[int] = 0  # of residual blocks, this one included
    _n_layers: ClassVar[int] = 1  # this one, and those within

    @property
    def own_rate(self) -> float:
        """The factor of its parameters' learning rate that is part of the layer."""
        return 1.0

    def output_size(self, n_in: int) -> int:
        """Return the number of columns after this layer, for `n_in` columns before it."""
        return n_in

    def parameter_shapes(self, n_in: int) -> Shapes:
        """Return the shapes of the learned arrays by name, for `n_in` columns."""
        return {}

    def buffer_shapes(self, n_in: int) -> Shapes:
        """Return the shapes of the running statistics by name, for `n_in` columns."""
        return {}

    def add_to(self, core: CoreNetwork, name: str, following: str) -> None:
        """Add this layer to the compiled network; `following` is the activation after it, by which it may begin."""
        raise NotImplementedError
