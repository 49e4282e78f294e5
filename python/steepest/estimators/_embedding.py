"""The layers in front of the hidden ones: columns of numbers brought to a normal distribution, and embedded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..layers import Layer, PeriodicEmbedding, PiecewiseLinear, PiecewiseLinearEmbedding
from ..network import Network
from ..recipe import Recipe
from ..tables._normal_scores import NormalScores, quantiles_of
from ._preprocess import Preprocessor

_SAMPLE_ROWS = 50_000  # that normal scores are learned from, at most
_FEWEST_DISTINCT = 3  # numbers, of which a column is embedded: of two, one weight tells all
_MOST_EMBEDDED = 1024  # numbers that embeddings make of a row, about


@dataclass(frozen=True)
class Embedding:
    """The layers in front of the hidden ones.

    Parameters
    ----------
    columns : list of int
        The features that are embedded; none where the networks begin with the hidden layers.
    points, values : array of float64, shape (n_points, columns)
        Of their normal scores, see `steepest.PiecewiseLinear`.
    scores : array of float64, shape (n, columns)
        Of quantiles, each of which stands for as many rows.
    """

    columns: list[int]
    points: NDArray[np.float64]
    values: NDArray[np.float64]
    scores: NDArray[np.float64]

    @classmethod
    def none(cls) -> Embedding:
        """Return one of no column."""
        return cls([], *[np.empty((0, 0))] * 3)

    @classmethod
    def fit(cls, features: Any, preprocessor: Preprocessor) -> Embedding:
        """Learn the normal scores of the columns of numbers from features to train on."""
        if hasattr(features, "tocsr"):
            return cls.none()
        places = preprocessor.number_places(features.shape[1])
        sample = features[:: -(-len(features) // _SAMPLE_ROWS)]
        numbers = np.concatenate([block[:, places] for _, block in preprocessor.feature_blocks(sample)])
        columns = [np.sort(column) for column in numbers.T]
        quantiles = [_of_features(quantiles_of(column.astype(np.float64))) for column in columns]
        scores = [NormalScores(own) for own in quantiles]
        counts = (
            1 + int(np.count_nonzero(np.diff(column))) for column in columns
        )  # a quantile may lie between two numbers
        distinct = [min(count, len(score.points)) for count, score in zip(counts, scores, strict=True)]
        chosen = [i for i, n in enumerate(distinct) if n >= _FEWEST_DISTINCT]
        if not chosen:
            return cls.none()
        n_points = max(len(scores[i].points) for i in chosen)
        points, values = (
            np.stack([_filled(array, n_points, step) for array in arrays], axis=1)
            for arrays, step in (([scores[i].points for i in chosen], 1.0), ([scores[i].scores for i in chosen], 0.0))
        )
        whole = np.stack([scores[i].of(np.array(quantiles[i])) for i in chosen], axis=1)
        return cls(places[chosen].tolist(), points, values, whole)

    def layers(self, recipe: Recipe) -> list[Layer]:
        """Return new layers."""
        if not self.columns or not recipe.frequencies:
            return []
        most = max(_MOST_EMBEDDED // len(self.columns), 1)
        size, n_bins = min(recipe.embedding_size, most), min(recipe.embedded_bins, most)
        periodic = PeriodicEmbedding(recipe.frequencies, size, sigma=recipe.frequency_scale, columns=self.columns)
        bins = [PiecewiseLinearEmbedding(n_bins, columns=self.columns)] if n_bins else []
        return [PiecewiseLinear(len(self.points), self.columns), *bins, periodic]

    def put_into(self, network: Network) -> None:
        """Let a new network that begins with these layers have the points, and the edges of its bins."""
        network.set_parameters({"0.points": self.points, "0.values": self.values})
        bins = network.layers[1]
        if isinstance(bins, PiecewiseLinearEmbedding):
            network.set_parameters({"1.edges": bins.edges_of(self.scores, bins.n_bins)})


def _of_features(quantiles: list[float]) -> list[float]:
    """Return quantiles as features have them: two that differ by the rounding of a mean are one point of a network."""
    return [float(np.float32(quantile)) for quantile in quantiles]


def _filled(numbers: NDArray[np.float64], n: int, step: float) -> NDArray[np.float64]:
    """Return n numbers: these, and then more by steps."""
    return np.append(numbers, numbers[-1] + step * np.arange(1, n - len(numbers) + 1))
