"""A fitted model as the function that Dask, Ray Data and Spark call with one batch of rows after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._arrays import shown
from ._extras import import_pyarrow, require
from ._load import load
from ._validation import flag

if TYPE_CHECKING:
    import pandas

_SPARK_TYPES = {"f": "double", "i": "bigint", "u": "bigint", "b": "boolean"}


class BatchPredictor:
    """A model that predicts batches: `predict_batches` returns one.

    Parameters
    ----------
    model : estimator, GroupModels or path
        As of `predict_batches`.
    proba : bool
        Whether there are probabilities beside the predictions.
    keep : tuple of str
        Columns of a batch that stand in front of them.

    Attributes
    ----------
    columns : list of str
        The names of what is predicted.
    """

    def __init__(self, model: Any, proba: bool, keep: tuple[str, ...]) -> None:
        self._model, self._proba, self._keep = model, proba, keep

    @property
    def model(self) -> Any:
        """The model, read when it is first asked for if it was given as a file."""
        if isinstance(self._model, (str, os.PathLike)):
            self._model = load(self._model)
        return self._model

    @property
    def columns(self) -> list[str]:
        """The names of the columns that are predicted."""
        n_targets = self._n_targets
        names = ["prediction"] if n_targets == 1 else [f"prediction_{i}" for i in range(n_targets)]
        return names + [f"probability_{label}" for label in self._classes]

    @property
    def meta(self) -> pandas.DataFrame:
        """A data frame without rows: the ``meta`` of Dask's map_partitions, if nothing is kept."""
        return require("pandas", "pandas", "meta").DataFrame(
            {name: np.empty(0, dtype) for name, dtype in zip(self.columns, self._dtypes, strict=True)}
        )

    @property
    def schema(self) -> str:
        """The columns with their types: the schema of Spark's mapInArrow, if nothing is kept."""
        kinds = [_SPARK_TYPES.get(dtype.kind, "string") for dtype in self._dtypes]
        return ", ".join(f"`{name}` {kind}" for name, kind in zip(self.columns, kinds, strict=True))

    def __call__(self, batch: Any) -> Any:
        """Predict a batch, or each of an iterator's.

        Parameters
        ----------
        batch : data frame, pyarrow Table or RecordBatch, mapping of str to array, or iterator of these
            The rows, with the columns that the model was fitted on, and those to keep.

        Returns
        -------
        object
            The predictions, in a batch of the same kind; of an iterator an iterator.

        Raises
        ------
        TypeError
            If `batch` is none of these.
        ValueError
            If a column is missing, or is what `predict` refuses.
        """
        if isinstance(batch, Iterator):
            return map(self, batch)
        if isinstance(batch, Mapping):
            return self._kept(batch, list(batch)) | self._predicted(batch, list(batch))
        if hasattr(batch, "iloc"):
            names = list(batch.columns)
            return type(batch)(self._kept(batch, names) | self._predicted(batch, names), index=batch.index)
        if type(batch).__module__.partition(".")[0] == "pyarrow" and hasattr(batch, "schema"):
            names = batch.schema.names
            return type(batch).from_pydict(self._kept(batch, names) | self._predicted(batch, names))
        raise TypeError(
            f"batch is {shown(batch)}: expected a data frame, a pyarrow Table or RecordBatch, a mapping of arrays, or "
            "an iterator of these"
        )

    def _kept(self, batch: Any, names: Sequence[str]) -> dict[str, Any]:
        for name in self._keep:
            if name not in names:
                raise ValueError(f"keep has {name!r}: expected of the batch's columns, {', '.join(map(str, names))}")
        return {name: batch[name] for name in self._keep}

    def _predicted(self, batch: Any, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        if not names or not len(batch[names[0]]):  # as engines have them now and then
            return {name: np.empty(0, dtype) for name, dtype in zip(self.columns, self._dtypes, strict=True)}
        rows = self._rows(batch, names)
        values = np.asarray(self.model.predict(rows))
        found = [values] if values.ndim == 1 else list(values.T)
        if self._proba:
            found += list(np.asarray(self.model.predict_proba(rows)).T)
        return {
            name: column.astype(dtype, copy=False)
            for name, column, dtype in zip(self.columns, found, self._dtypes, strict=True)
        }

    def _rows(self, batch: Any, names: Sequence[str]) -> Any:
        """Return the rows as the model takes them: a data frame of the columns that it knows, or an array of all."""
        reader = getattr(self.model, "_reader", self.model)
        known = getattr(reader, "feature_names_in_", None)
        if known is None:
            return np.column_stack([np.asarray(batch[name]) for name in names if name not in self._keep])
        by = getattr(self.model, "by_", ())
        wanted = [name for name in names if name in {*known, *by}]
        if hasattr(batch, "iloc"):
            return batch[wanted]
        if isinstance(batch, Mapping):
            return require("pandas", "pandas", "a batch of arrays").DataFrame({name: batch[name] for name in wanted})
        return import_pyarrow().table({name: batch[name] for name in wanted})

    @property
    def _classes(self) -> list[Any]:
        return list(self.model.classes_) if self._proba else []

    @property
    def _n_targets(self) -> int:
        return int(getattr(self.model, "n_outputs_", 1)) if not hasattr(self.model, "classes_") else 1

    @property
    def _dtypes(self) -> list[np.dtype[Any]]:
        classes = getattr(self.model, "classes_", None)
        own = np.dtype(np.float64) if classes is None else np.asarray(classes).dtype
        return [own] * self._n_targets + [np.dtype(np.float64)] * len(self._classes)


def predict_batches(model: Any, *, proba: bool = False, keep: Sequence[str] = ()) -> BatchPredictor:
    """Return a function that predicts one batch of rows after the other, for engines to call.

    It goes into Dask's ``map_partitions``, Ray Data's ``map_batches``, and Spark's ``mapInArrow`` and ``mapInPandas``,
    and has the memory of one batch. It is pickled with the model, or reads it on the worker where that is a file.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, GroupModels or path
        A fitted one, or a file that one was saved to.
    proba : bool, default=False
        Whether to add the probability of each class.
    keep : sequence of str, default=()
        Columns of a batch, such as an id, that are to stand in front of the predictions.

    Returns
    -------
    callable
        Called with a batch; see `BatchPredictor`. Its `meta` and `schema` say what comes out, as Dask and Spark ask.

    Raises
    ------
    TypeError
        If `model` has no `predict` and is no path, or has no `predict_proba` with `proba`.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = st.MLPRegressor(hidden_layer_sizes=(8,), random_state=0).fit(x, x[:, 0])
    >>> sorted(st.predict_batches(model)({"a": x[:3, 0], "b": x[:3, 1]}))
    ['prediction']
    """
    wanted = "predict_proba" if flag("proba", proba) else "predict"
    if not isinstance(model, (str, os.PathLike)) and not hasattr(model, wanted):
        raise TypeError(f"model is {shown(model)}: expected a fitted model with {wanted}, or the path of one")
    return BatchPredictor(model, proba, tuple(keep))
