"""The model by which a fitted estimator predicts: one value, replaced as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._blocks import block_rows, blocks
from ..network import Network
from ._preprocess import Preprocessor
from ._task import Task

K = TypeVar("K", bound=Task)


@dataclass(frozen=True)
class Model(Generic[K]):
    """Raw rows to the outputs of networks.

    Parameters
    ----------
    task : Task
        What the outputs mean.
    preprocessor : Preprocessor
        What makes features of rows.
    networks : list of Network
        All of one architecture.
    """

    task: K
    preprocessor: Preprocessor
    networks: list[Network]

    def outputs(self, x: Any) -> NDArray[Any]:
        """Return the outputs of each network, (networks, n, n_outputs), for checked rows, a table or a CSR matrix."""
        if self.preprocessor.encoder is not None:
            return self._by_blocks(self.preprocessor.encoder.encode(x))
        if hasattr(x, "tocsr"):
            if not x.shape[0]:
                return self._empty(0)
            return np.concatenate([self.of_numbers(block) for _, block in blocks(x.tocsr())], axis=1)
        return self.of_numbers(x)

    def of_numbers(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the outputs for an array of unscaled numbers; the networks refuse what is not finite."""
        scale = self.preprocessor.scale
        if scale is None:
            return self.of_features(x)
        if len(x) == 1:  # a single row is left to the networks to round
            return self.of_features(scale.transform_float64(x))
        outputs = self._empty(len(x))
        size = block_rows(x)
        for start in range(0, len(x), size):
            rows = scale.transform(x[start : start + size], self.preprocessor.dtype)
            for i, network in enumerate(self.networks):
                network.predict(rows, outputs[i, start : start + size])
        return outputs

    def _by_blocks(self, rows: Any) -> NDArray[Any]:
        """Return the outputs for encoded rows, of which a block at a time becomes features."""
        outputs = self._empty(len(rows))
        for part, block in blocks(rows):
            for i, network in enumerate(self.networks):
                network.predict(block, outputs[i, part])
        return outputs

    def of_features(self, features: NDArray[Any]) -> NDArray[Any]:
        """Return the outputs for features."""
        outputs = self._empty(len(features))
        for i, network in enumerate(self.networks):
            network.predict(features, outputs[i])
        return outputs

    def _empty(self, n: int) -> NDArray[Any]:
        return np.empty((len(self.networks), n, self.task.n_outputs), self.preprocessor.dtype)
