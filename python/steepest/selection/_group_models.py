"""Models of groups: one object that predicts each row by the networks of its group."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, r2_score

from ..estimators._classification import Classification
from ..estimators._model import Model
from ..estimators._preprocess import Preprocessor
from ..estimators._regression import Regression
from ..estimators._trainings import FitResult
from ..network import Network
from ..tables._encoded import EncodedRows
from ._group_saving import save
from ._keys import Codes, Keys, parted
from ._scales import Scales


class _Width:
    """In place of a task: how many features there are."""

    def __init__(self, n: int) -> None:
        self.n_outputs = n


class _Identity:
    """In place of a network: its outputs are the features."""

    def predict(self, features: NDArray[Any], out: NDArray[Any]) -> None:
        if not np.isfinite(features).all():
            raise ValueError("x has a number that is not finite")
        out[...] = features


class _WholeRows:
    """An encoder that encodes a single row as it does many."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    def __getattr__(self, name: str) -> Any:
        if name == "_encoder":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._encoder, name)

    def transform_one(self, x: Any) -> None:
        """Return nothing."""


class _FeatureModel(Model[Any]):
    """In place of an estimator's model: what `predict` reads and checks comes out as it is, features in float64."""

    def _by_blocks(self, rows: EncodedRows) -> NDArray[Any]:
        return rows.unlimited()[None]


def reading(preprocessor: Preprocessor, n_columns: int) -> Model[Any]:
    """Return the model by which an estimator's `predict` returns features."""
    width: Any = _Width(preprocessor.n_features(n_columns))
    networks: list[Any] = [_Identity()]
    encoder: Any = None if preprocessor.encoder is None else _WholeRows(preprocessor.encoder)
    return _FeatureModel(width, Preprocessor(np.dtype(np.float64), encoder), networks)


class GroupModels:
    """A model for each group of rows: `steepest.fit_groups` and `steepest.load` return one.

    Parameters
    ----------
    reader : MLPClassifier or MLPRegressor
        Knows the columns of rows, and the parameters.
    task : Task
        Of the targets of all groups.
    preprocessor : Preprocessor
        What makes features of rows.
    keys : Keys
        Of the groups.
    inputs : Scales
        Of the features of each group, and of the model of all rows.
    targets : Scales, optional
        Of their numbers to predict.
    fallback : bool
        Whether there is a model of all rows.
    network : Network, optional
        One of the architecture of all.
    states : array of shape (groups, networks, numbers)
        The parameters of all networks.
    n_iter, loss : array of shape (groups,)
        See below.

    Attributes
    ----------
    groups_ : list
        The keys of the groups, in order; tuples where several columns make a key.
    by_ : tuple of str
        The columns of keys; empty where keys are given beside the rows.
    classes_ : array of shape (n_classes,)
        The labels, of classifiers.
    fallback_ : bool
        Whether there is a model of all rows, for groups that are not among these: the last one in what follows.
    n_iter_ : array of int, shape (groups,) or (groups + 1,)
        Epochs that each group was trained.
    loss_ : array of shape (groups,) or (groups + 1,)
        Their last losses in training.

    Examples
    --------
    >>> import pandas as pd
    >>> import steepest as st
    >>> table = pd.DataFrame({"shop": ["north", "west"] * 40, "price": [1 + i / 80 for i in range(80)]})
    >>> sold = table["price"].where(table["shop"] == "north", -table["price"])
    >>> est = st.MLPRegressor(hidden_layer_sizes=(8,), max_iter=30, random_state=0)
    >>> models = st.fit_groups(est, table, sold, by="shop")
    >>> models.predict(table.iloc[[60, 61]]).round()
    array([ 2., -2.])
    """

    def __init__(
        self,
        reader: Any,
        task: Any,
        preprocessor: Preprocessor,
        keys: Keys,
        inputs: Scales,
        targets: Scales | None,
        fallback: bool,
        network: Network | None,
        states: NDArray[Any],
        n_iter: NDArray[np.int64],
        loss: NDArray[np.float64],
    ) -> None:
        self._reader, self._task, self._preprocessor = reader, task, preprocessor
        self._keys, self._inputs, self._targets, self.fallback_ = keys, inputs, targets, fallback
        self._network, self._states = network, states  # of one architecture; (groups, networks, numbers)
        self.n_iter_, self.loss_ = n_iter, loss
        reader._model = reading(preprocessor, reader.n_features_in_)

    @classmethod
    def empty(
        cls,
        reader: Any,
        task: Any,
        preprocessor: Preprocessor,
        keys: Keys,
        n_networks: int,
        inputs: Scales,
        targets: Scales | None,
        fallback: bool,
    ) -> GroupModels:
        """Return models whose networks are still to come."""
        k = len(keys) + fallback
        states = np.empty((k, n_networks, 0), preprocessor.dtype)
        return cls(
            reader,
            task,
            preprocessor,
            keys,
            inputs,
            targets,
            fallback,
            None,
            states,
            np.zeros(k, np.int64),
            np.zeros(k),
        )

    def set(self, group: int, result: FitResult) -> None:
        """Take in the networks of a group."""
        for i, network in enumerate(result.networks):
            state = network._core.state()
            if self._network is None:
                self._network = network.copy()
                self._states = np.zeros((*self._states.shape[:2], len(state)), state.dtype)
            self._states[group, i] = state
        self.n_iter_[group], self.loss_[group] = result.progress.n_iter, result.loss

    def use_fallback_for(self, groups: Sequence[int]) -> None:
        """Let some groups go by the model of all rows."""
        for group in groups:
            self._states[group], self.n_iter_[group], self.loss_[group] = self._states[-1], 0, np.nan
            for scales in (self._inputs, self._targets):
                if scales is not None:
                    scales.mean[group], scales.scale[group] = scales.mean[-1], scales.scale[-1]

    @property
    def groups_(self) -> list[Any]:
        """The keys of the groups."""
        return self._keys.names

    @property
    def by_(self) -> tuple[str, ...]:
        """The columns of keys."""
        return self._keys.columns

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels; AttributeError where numbers are predicted."""
        if not isinstance(self._task, Classification):
            raise AttributeError("numbers have no classes_")
        return self._task.classes

    def predict(self, X: Any, by: Any = None) -> NDArray[Any]:
        """Predict labels, or numbers in the units of training, each row by its group.

        Parameters
        ----------
        X : data frame or array of shape (n, n_features)
            Rows with the columns of training, those of the keys too.
        by : array of shape (n,), default=None
            The keys of the rows, if the fit was given such.

        Returns
        -------
        array of shape (n,) or (n, n_targets)
            Labels or numbers.

        Raises
        ------
        ValueError
            If a key is missing, or belongs to no group and there is no fallback; or X is what `predict` of the
            estimator refuses.
        """
        return self._labels_or_numbers(*self._outputs_of(X, by))

    def predict_proba(self, X: Any, by: Any = None) -> NDArray[Any]:
        """Predict the probability of each class, (n, n_classes), each row by its group; see `predict`."""
        if not isinstance(self._task, Classification):
            raise AttributeError("numbers have no probabilities: expected models of an MLPClassifier")
        return self._task.probabilities(self._outputs_of(X, by)[0])

    def score(self, X: Any, y: Any, by: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy of the labels, or R² of the numbers, as the estimators' `score`."""
        measure = accuracy_score if isinstance(self._task, Classification) else r2_score
        return float(measure(y, self.predict(X, by), sample_weight=sample_weight))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all models to one safetensors file; `steepest.load` reads it.

        Parameters
        ----------
        path : path
            File to write; an older one stays as it was if that fails.

        Raises
        ------
        ValueError
            If labels or a parameter are such as no file can hold.
        OSError
            If the file cannot be written.
        """
        save(self, path)

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self._keys)

    def __repr__(self) -> str:
        """Return a short account."""
        numbers = self._states[0].size if len(self) else 0
        by = ", ".join(map(repr, self.by_)) or "keys"
        rest = "with" if self.fallback_ else "without"
        kind = type(self._reader).__name__
        return f"GroupModels({len(self)} groups by {by}, {kind}, {numbers} parameters each, {rest} a model of all rows)"

    def _outputs_of(self, X: Any, by: Any) -> tuple[NDArray[Any], Codes]:
        """Return the outputs of each network, (networks, n, n_outputs), and the group of each row."""
        names = self._keys.columns
        if bool(names) != (by is None):
            wanted = f"None, and the columns {', '.join(names)} in X" if names else "an array of keys, as in training"
            raise TypeError(f"by is {'given' if names else 'None'}: expected {wanted}")
        _, values, X = parted(list(names) if names else by, X)
        groups = self._keys.find(values)
        unknown = np.flatnonzero(groups < 0)
        if len(unknown) and not self.fallback_:
            keys = ", ".join(str(column[int(unknown[0])]) for column in values)
            raise ValueError(
                f"the key {keys} of row {unknown[0]} is of no group ({len(unknown)} rows have such): expected one of "
                "groups_, or models with a fallback"
            )
        groups[unknown] = len(self)
        features = self._reader._predict(X)[1][0]
        if len(features) != len(groups):
            raise ValueError(f"by has {len(groups)} keys: expected one for each of the {len(features)} rows")
        return self._outputs(self._inputs.applied(features, groups, self._states.dtype), groups), groups

    def _outputs(self, features: NDArray[Any], groups: Codes) -> NDArray[Any]:
        """Return the outputs of each network, (networks, n, n_outputs), of rows with features, by their groups."""
        order = np.argsort(groups, kind="stable")
        features, ends = features[order], np.flatnonzero(np.append(np.diff(groups[order]), 1)) + 1
        outputs = np.empty((self._states.shape[1], len(features), self._task.n_outputs), self._states.dtype)
        assert self._network is not None
        network, start = self._network.copy(), 0
        for end in ends.tolist() if len(features) else ():
            for i, state in enumerate(self._states[groups[order[start]]]):
                network._core.restore(state)
                network.predict(features[start:end], outputs[i, start:end])
            start = end
        unsorted = np.empty_like(outputs)
        unsorted[:, order] = outputs
        return unsorted

    def _labels_or_numbers(self, outputs: NDArray[Any], groups: Codes) -> NDArray[Any]:
        task = self._task
        if not isinstance(task, Regression):
            return np.asarray(task.labels(outputs))
        assert self._targets is not None
        numbers = replace(task, flat=False, scale=None).numbers(outputs).astype(np.float64)
        numbers = self._targets.undone(numbers, groups)
        return numbers[:, 0] if task.flat else numbers
