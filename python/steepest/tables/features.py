"""The features of a single column of a table, by its kind."""

from __future__ import annotations

from typing import TypeAlias

from ._label_features import BinaryFeatures, LabelFeatures
from ._number_features import NumberFeatures, TimeFeatures

Features: TypeAlias = NumberFeatures | TimeFeatures | LabelFeatures | BinaryFeatures

# The types that a model file may name.
KINDS: dict[str, type[Features]] = {
    kind.__name__: kind for kind in (NumberFeatures, LabelFeatures, BinaryFeatures, TimeFeatures)
}

__all__ = ["KINDS", "BinaryFeatures", "Features", "LabelFeatures", "NumberFeatures", "TimeFeatures"]
