"""Raw rows to what the networks take: learned from training rows alone, kept with the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._blocks import blocks
from ..tables import TableEncoder
from ..tables._bins import BinnedStandardizer
from ..tables._scaling import Standardizer, feature_scale
from ..training._rows import ArrayRows, RowSource, SparseRows
from ._input import Rows

_MOST_FEATURES = 1024  # that an array becomes: wider ones have fewer bins, or none


@dataclass(frozen=True)
class Preprocessor:
    """The way of rows before a network sees them.

    Parameters
    ----------
    dtype : dtype
        Of the networks.
    encoder : TableEncoder, optional
        Reads data frames; there is no `scale` then.
    scale : Standardizer or BinnedStandardizer, optional
        Of arrays; None: they are taken as they are.
    """

    dtype: np.dtype[Any]
    encoder: TableEncoder | None = None
    scale: Standardizer | BinnedStandardizer | None = None

    @classmethod
    def fit(cls, rows: Rows, dtype: np.dtype[Any], *, bins: int, as_table: bool, scales: bool = True) -> Preprocessor:
        """Learn from training rows.

        Parameters
        ----------
        rows : Rows
            As given.
        dtype : dtype
            Of the networks.
        bins : int
            The most bins of a column.
        as_table : bool
            Whether the rows are a data frame for an encoder.
        scales : bool
            Whether the columns of an array are scaled.
        """
        if as_table:
            return cls(dtype, encoder=TableEncoder(bins=bins).fit(rows.x, np.zeros(len(rows)), "regression"))
        if not scales:
            return cls(dtype)
        scale = feature_scale(rows.x, rows.weight)
        bins = min(bins, _MOST_FEATURES // rows.x.shape[1])
        if bins and isinstance(rows.x, np.ndarray):
            binned = BinnedStandardizer.fit(rows.x, scale, bins)
            return cls(dtype, scale=binned if binned.n_bins else scale)
        return cls(dtype, scale=scale)

    def n_features(self, n_columns: int) -> int:
        """Return how many numbers a row of this many columns becomes."""
        if self.encoder is not None:
            return self.encoder.n_features
        if self.scale is None:
            return n_columns
        return self.scale.n_features

    def features(self, x: Any) -> Any:
        """Return rows as the networks are trained on them; a CSR matrix stays one, to become dense in parts."""
        if self.encoder is not None:
            return self.encoder.transform(x)
        return x if hasattr(x, "tocsr") else self.dense(x)

    def feature_blocks(self, features: Any) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Go through rows of `features` in blocks as the networks take them, dense ones of a CSR matrix."""
        sparse = hasattr(features, "tocsr")
        for rows, block in blocks(features):
            yield rows, self.dense(block) if sparse else block

    def dense(self, block: NDArray[Any]) -> NDArray[Any]:
        """Return dense rows of numbers as the networks take them."""
        return np.asarray(block) if self.scale is None else self.scale.transform(block, self.dtype)

    def source(self, rows: Rows, units: list[float]) -> RowSource:
        """Return rows of `features` as a trainer takes them; metrics of numbers are multiplied by `units`."""
        if hasattr(rows.x, "tocsr"):
            return SparseRows(rows.x, rows.y, rows.weight, self.dense, units)
        return ArrayRows(rows.x, rows.y, rows.weight, units=units)

    def __str__(self) -> str:
        """Return its kind, for `recipe_`."""
        if self.encoder is not None:
            return "table"
        if self.scale is None:
            return "numbers"
        return "standardized" if isinstance(self.scale, Standardizer) else "standardized, with bins"
