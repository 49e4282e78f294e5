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
from ..tables._encoded import EncodedRows
from ..tables._growing import number_places
from ..tables._learning import MOST_BINS
from ..tables._robust import robust_standardizer
from ..tables._scaling import Standardizer, feature_scale
from ..training._rows import ArrayRows, RowSource, SparseRows
from ._input import Rows

_AT_ONCE = 1 << 26  # bytes of features: more are made batch by batch, of rows as they are


@dataclass(frozen=True, eq=False)
class ScaledRows:
    """Rows of numbers whose features are made when they are needed.

    Parameters
    ----------
    x : array of shape (n, columns)
        As given.
    scale : BinnedStandardizer
        Makes features of them.
    dtype : dtype
        Of the features.
    """

    x: NDArray[Any]
    scale: BinnedStandardizer
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return len(self.x), self.scale.n_features

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, places: Any) -> ScaledRows:
        """Return the rows of a slice, or at these places."""
        return ScaledRows(self.x[places], self.scale, self.dtype)

    def toarray(self) -> NDArray[Any]:
        """Return the features, (n, n_features)."""
        return self.scale.transform(self.x, self.dtype)


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
    def fit(
        cls,
        rows: Rows,
        dtype: np.dtype[Any],
        *,
        bins: int,
        as_table: bool,
        robust: bool = True,
        scales: bool = True,
        means: bool = True,
    ) -> tuple[Preprocessor, Any]:
        """Learn from training rows; return their features too.

        Parameters
        ----------
        rows : Rows
            As given, with encoded targets.
        dtype : dtype
            Of the networks.
        bins : int
            The most bins of a column.
        as_table : bool
            Whether the rows are a data frame for an encoder.
        robust : bool, default=True
            Whether numbers are scaled by their quartiles, with a smooth limit; else by mean and standard deviation,
            clipped.
        scales : bool, default=True
            Whether the columns of an array are scaled.
        means : bool, default=True
            Whether labels of an encoder may have target means.
        """
        if as_table:
            encoder = TableEncoder(bins=bins, numbers="robust" if robust else "standard")
            encoded = encoder.fit_rows(rows.x, rows.y if means else None, rows.weight)
            return cls(dtype, encoder=encoder), _at_once(encoded)
        preprocessor = cls(dtype, scale=_fitted_scale(rows, bins, robust=robust) if scales else None)
        return preprocessor, preprocessor.features(rows.x)

    def n_features(self, n_columns: int) -> int:
        """Return how many numbers a row of this many columns becomes."""
        if self.encoder is not None:
            return self.encoder.n_features
        if self.scale is None:
            return n_columns
        return self.scale.n_features

    def number_places(self, n_features: int) -> NDArray[np.intp]:
        """Return the places of scaled numbers among so many features."""
        if self.encoder is not None:
            return number_places(self.encoder)
        if isinstance(self.scale, BinnedStandardizer):
            return np.flatnonzero(~self.scale.is_bin)
        return np.arange(0 if self.scale is None else n_features)

    @property
    def fill(self) -> NDArray[np.float64] | None:
        """The numbers that missing ones of a data frame become, (1, columns); None where none may be missing."""
        scale = self.scale.standardizer if isinstance(self.scale, BinnedStandardizer) else self.scale
        return None if scale is None or not scale.smooth else scale.mean

    def filled(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return rows of a data frame of numbers, in which some may be missing, with these filled where that goes."""
        missing = np.isnan(x)
        return x if self.fill is None or not missing.any() else np.where(missing, self.fill, x)

    def features(self, x: Any) -> Any:
        """Return rows as the networks are trained on them.

        A CSR matrix stays one, and many rows with many features stay as they are, to become features in parts.
        """
        if self.encoder is not None:
            return _at_once(self.encoder.encode(x))
        if hasattr(x, "tocsr"):
            return x
        x = self.filled(x)
        scale = self.scale
        if isinstance(scale, BinnedStandardizer) and len(x) * scale.n_features * self.dtype.itemsize > _AT_ONCE:
            return ScaledRows(x, scale, self.dtype)
        return self.dense(x)

    def training_features(self, rows: Rows) -> Any:
        """Return `features` of rows that networks are trained on anew: no target is among what its row says of it."""
        if self.encoder is not None:
            return _at_once(self.encoder.encode_training(rows.x, rows.y, rows.weight))
        return self.features(rows.x)

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
        if hasattr(rows.x, "toarray"):
            to_dense = self.dense if hasattr(rows.x, "tocsr") else np.asarray
            return SparseRows(rows.x, rows.y, rows.weight, to_dense, units)
        return ArrayRows(rows.x, rows.y, rows.weight, units=units)

    def __str__(self) -> str:
        """Return its kind, for `recipe_`."""
        if self.encoder is not None:
            return "table"
        if self.scale is None:
            return "numbers"
        return "standardized" if isinstance(self.scale, Standardizer) else "standardized, with bins"


def _fitted_scale(rows: Rows, bins: int, *, robust: bool) -> Standardizer | BinnedStandardizer:
    """Learn the scale of an array's columns, and their bins."""
    scale = robust_standardizer(rows.x, rows.weight) if robust else feature_scale(rows.x, rows.weight)
    bins = min(bins, MOST_BINS // rows.x.shape[1])
    if bins and isinstance(rows.x, np.ndarray):
        binned = BinnedStandardizer.fit(rows.x, scale, bins)
        return binned if binned.n_bins else scale
    return scale


def _at_once(rows: EncodedRows) -> Any:
    """Return the features of rows, unless they take too much memory."""
    return rows if 4 * rows.shape[0] * rows.shape[1] > max(_AT_ONCE, rows.nbytes) else rows.toarray()
