"""The interface of scikit-learn's transformers, without a need of scikit-learn."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._validation import choice

T = TypeVar("T", bound="Transformer")

_CONTAINERS = ("default", "pandas", "polars")


class Transformer:
    """Base of a transformer that takes tables: parameters by name, names of features, and the container of its output.

    A subclass has `feature_names`, and `_input_names` when it is fitted, else no attribute `columns`.
    """

    _sklearn_output_config: Mapping[str, str] = {}  # the name by which sklearn.base.clone copies it

    @property
    def feature_names(self) -> list[str]:
        """The name of each feature."""
        raise NotImplementedError

    @property
    def _input_names(self) -> list[str]:
        raise NotImplementedError

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of the constructor by name, as `sklearn.base.clone` asks for them.

        Parameters
        ----------
        deep : bool, default=True
            Of no effect: no argument has parameters of its own.
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self: T, **params: Any) -> T:
        """Change arguments of the constructor, for the next fit; return this one.

        Parameters
        ----------
        **params : object
            Arguments by name.

        Raises
        ------
        TypeError, ValueError
            If there is no such argument, or a value is out of its range; nothing has changed then.
        """
        for name, value in vars(type(self)(**(self.get_params() | params))).items():
            setattr(self, name, value)
        return self

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the name of each feature.

        Parameters
        ----------
        input_features : sequence of str, optional
            Names of the columns of training, which are known already: they must be the same.

        Returns
        -------
        array of str objects, shape (n_features,)
            `feature_names`.

        Raises
        ------
        ValueError
            If `input_features` are other ones.
        """
        if input_features is not None and [str(name) for name in input_features] != self._input_names:
            raise ValueError(f"input_features is {list(input_features)}: expected {self._input_names}, as in training")
        return np.array(self.feature_names, dtype=object)

    def set_output(self: T, *, transform: str | None = None) -> T:
        """Choose what `transform` returns; return this one.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, optional
            An array, or a data frame with the names of the features. By default what `sklearn.set_config` says, if it
            is in use.

        Raises
        ------
        ValueError
            If it is another one.
        """
        if transform is not None:
            self._sklearn_output_config = {"transform": choice("transform", transform, _CONTAINERS)}
        return self

    def _contained(self, features: NDArray[Any], table: Any) -> Any:
        """Return features in the chosen container."""
        chosen = self._sklearn_output_config.get("transform")
        if chosen is None:
            sklearn = sys.modules.get("sklearn")
            chosen = "default" if sklearn is None else sklearn.get_config().get("transform_output", "default")
        if chosen == "default":
            return features
        module = importlib.import_module(chosen)
        if chosen == "polars":
            return module.DataFrame(features, schema=self.feature_names)
        index = table.index if hasattr(table, "iloc") else None
        return module.DataFrame(features, columns=self.feature_names, index=index)

    @property
    def n_features_in_(self) -> int:
        """Columns of the table of training."""
        return len(self._input_names)

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Their names."""
        return np.array(self._input_names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "columns")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
            input_tags=InputTags(allow_nan=True, string=True, categorical=True),
        )
