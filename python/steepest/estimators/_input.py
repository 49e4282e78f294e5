"""How the estimators read rows and targets, hold rows out, and scale them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    _check_y,
    validate_data,
)

from .._arrays import is_frame
from ..network import Network
from ..tables import TableEncoder
from ..tables._bins import BinnedStandardizer
from ..tables._scaling import Standardizer, feature_scale
from ..tables.split import split_rows
from ..training._rows import ArrayRows, RowSource, SparseRows
from ._errors import located, read_labels, read_numbers, refuse_masked, refuse_too_large

_FEWEST_TO_HOLD_OUT = 200  # rows; on iris's 100, a held-out fifth chose the epoch badly (0.87-0.91 right, not 0.95)
_MOST_FEATURES = 1024  # that an array becomes: wider ones have fewer bins, or none


class Reads(BaseEstimator):  # type: ignore[misc]
    """The part of an estimator that reads."""

    _dtype: np.dtype[Any]
    _is_frame: bool
    _encoder: TableEncoder | None
    _scale: Standardizer | BinnedStandardizer | None
    _target_scale: Standardizer | None
    classes_: NDArray[Any]

    def _read(self, x: Any, y: Any, o: dict[str, Any], *, reset: bool) -> tuple[Any, NDArray[Any]]:
        """Check rows and targets; return an array, CSR matrix or data frame, and the targets."""
        numeric = not is_classifier(self)
        given_x, given_y = x, y
        refuse_masked(X=x, y=y)
        y = read_numbers(y) if numeric else read_labels("y", y)
        if reset:
            self._is_frame = _takes_encoder(x, o["encode"])
        try:
            if self._is_frame:
                if y is None:
                    raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
                if reset:  # later the encoder finds its columns by name
                    _check_feature_names(self, x, reset=True)
                    _check_n_features(self, x, reset=True)
                y = _check_y(y, multi_output=True, y_numeric=numeric, estimator=self)
                check_consistent_length(x, y)
            else:
                x, y = validate_data(
                    self, x, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=numeric,
                    dtype=(np.float64, np.float32), reset=reset,
                )  # fmt: skip
                x = x.tocsr() if hasattr(x, "tocsr") else x
        except ValueError as error:
            raise located(error, X=given_x, y=given_y) from None
        y = y.toarray() if hasattr(y, "toarray") else y
        return x, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _read_weight(self, sample_weight: Any, y: NDArray[Any]) -> NDArray[Any]:
        """Check the weights of rows."""
        try:
            weight: NDArray[Any] = _check_sample_weight(sample_weight, y)
        except ValueError as error:
            raise located(error, sample_weight=sample_weight) from None
        if weight.min() < 0 or not weight.any():
            raise ValueError("sample_weight has negative numbers or only zeros: expected numbers >= 0, some above")
        refuse_too_large("sample_weight", weight, np.arange(len(weight)))
        return weight

    def _dense(self, block: Any) -> NDArray[Any]:
        """Scale dense rows as the network expects them."""
        scale = self._scale
        return np.asarray(block) if scale is None else scale.transform(block, self._dtype)

    def _features(self, x: Any) -> Any:
        """Return the rows the network is trained on; a CSR matrix stays one."""
        if self._encoder is not None:
            return self._encoder.transform(x)
        return x if hasattr(x, "tocsr") else self._dense(x)

    def _source(self, rows: Any, y: NDArray[Any], weight: NDArray[Any] | None) -> RowSource:
        """Return rows as `_features` gives them, with their targets, as a trainer takes them."""
        units = () if self._target_scale is None else self._target_scale.scale[0].tolist()
        if hasattr(rows, "tocsr"):
            return SparseRows(rows, y, weight, self._dense, units)
        return ArrayRows(rows, y, weight, units=units)

    def _read_eval_set(self, eval_set: Any, o: dict[str, Any]) -> tuple[Any, Any, Any]:
        if not isinstance(eval_set, Sequence) or len(eval_set) not in (2, 3):
            raise ValueError("eval_set is no (X, y) or (X, y, sample_weight): expected one of them")
        x, y, *weights = eval_set
        try:
            x, y = self._read(x, y, o, reset=False)
            weight = self._read_weight(weights[0], y) if weights and weights[0] is not None else None
            return x, self._encode_targets(y, None, goes_on=True, online=True), weight
        except ValueError as error:
            raise ValueError(f"eval_set: {error}") from None

    def _split(
        self,
        targets: NDArray[Any],
        o: Mapping[str, Any],
        random: Any,
        seed: int,
        n_networks: int,
        *,
        tiny: bool,
        online: bool,
    ) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return the places of the rows to train each network on, and of those to hold out; none if none are."""
        rows = np.arange(targets.shape[0])
        wanted = True if o["eval_metric"] and o["early_stopping"] is None else o["early_stopping"]
        few = tiny or (n_networks == 1 and len(rows) < _FEWEST_TO_HOLD_OUT)
        if online or o["solver"] == "lbfgs" or wanted is False or (wanted is None and few):
            return []
        labels = self.classes_[targets] if is_classifier(self) and targets.ndim == 1 else None
        share = o["validation_fraction"] or (0.2 if len(rows) <= 2000 else 0.1)
        if o["like_sklearn"]:
            return [train_test_split(rows, random_state=random, test_size=share, stratify=labels)]
        places = targets if labels is not None else None
        try:
            splits = [split_rows(rows, share, seed, places, part) for part in range(n_networks)]
        except ValueError as error:
            if o["early_stopping"]:
                raise ValueError(f"early_stopping is True, but {error}") from None
            return []
        if labels is not None and len(lone := self.classes_[np.bincount(targets) == 1]):
            listed = ", ".join(map(repr, lone[:5].tolist())) + (" and others" if len(lone) > 5 else "")
            warnings.warn(f"y has one row only of the class {listed}: it is trained on, none is held out", stacklevel=5)
        return splits

    def _fit_scales(self, x: Any, targets: NDArray[Any], weight: Any, bins: int, *, scale_features: bool) -> None:
        self._encoder, self._scale = None, None
        if self._is_frame:
            self._encoder = TableEncoder(bins=bins).fit(x, np.zeros(len(x)), "regression")
        elif scale_features:
            self._scale = scale = feature_scale(x, weight)
            bins = min(bins, _MOST_FEATURES // x.shape[1])
            if bins and isinstance(x, np.ndarray):
                binned = BinnedStandardizer.fit(x, scale, bins)
                self._scale = binned if binned.n_bins else scale
        self._fit_target_scale(targets, weight)

    def _silence_unseen(self, network: Network, rows: Any) -> None:
        """Let features that are zero in all rows say nothing: they learn nothing."""
        if self._encoder is not None:
            first = network.parameters["0.weight"].copy()
            first[~rows.any(axis=0)] = 0
            network.set_parameters({"0.weight": first})


def _takes_encoder(x: Any, encode: str | None) -> bool:
    """Tell whether a table goes through a TableEncoder: a data frame with more than whole columns of numbers."""
    if encode == "numbers" or not is_frame(x) or 0 in getattr(x, "shape", ()):
        return False
    if not hasattr(x, "iloc"):
        return True
    plain = all(isinstance(kind, np.dtype) and kind.kind in "iuf" for kind in x.dtypes)
    return not plain or bool(x.isna().any(axis=None))


def take(x: Any, rows: NDArray[Any]) -> Any:
    return x.iloc[rows] if hasattr(x, "iloc") else x[rows]


def cut(x: Any, y: NDArray[Any], weight: Any, rows: NDArray[Any]) -> tuple[Any, NDArray[Any], Any]:
    return x[rows], y[rows], None if weight is None else weight[rows]


def merge_rows(
    x: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """Return the different rows in order, and how much each weighs: few rows train alike in any order or repetition."""
    weights = np.ones(len(x)) if weight is None else np.asarray(weight, np.float64)
    table = np.column_stack([x, y])
    _, first, place = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return x[first], y[first], np.bincount(place.reshape(-1), weights=weights).astype(np.float64)
