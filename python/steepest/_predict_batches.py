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

_SPARK_TYPES = {"f": "double", "i": "bigint", "b": "boolean"}
_ARROW_TYPES = {"f": "float64", "i": "int64", "b": "bool_"}


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
            _check_model(self._model, self._proba)
        return self._model

    @property
    def columns(self) -> list[str]:
        """The names of the columns that are predicted."""
        return list(self._dtypes)

    @property
    def meta(self) -> pandas.DataFrame:
        """A data frame without rows: the ``meta`` of Dask's map_partitions, if nothing is kept."""
        return require("pandas", "pandas", "meta").DataFrame(
            {name: np.empty(0, dtype) for name, dtype in self._dtypes.items()}
        )

    @property
    def schema(self) -> str:
        """The columns with their types: the schema of Spark's mapInArrow, if nothing is kept."""
        kinds = {name: _SPARK_TYPES.get(dtype.kind, "string") for name, dtype in self._dtypes.items()}
        return ", ".join(f"`{name}` {kind}" for name, kind in kinds.items())

    def __call__(self, batch: Any) -> Any:
        """Predict a batch, or each of an iterator's.

        Parameters
        ----------
        batch : data frame, pyarrow Table or RecordBatch, mapping of str to array, or iterator of these
            The rows, with the columns that the model was fitted on, and those to keep. Data frames are pandas' or
            polars'.

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
        if _is_polars(batch):
            found = self._kept(batch, batch.columns) | self._predicted(batch, batch.columns)
            return type(batch)({name: _texts(column) for name, column in found.items()})
        if type(batch).__module__.partition(".")[0] == "pyarrow" and hasattr(batch, "schema"):
            arrow, names = import_pyarrow(), batch.schema.names
            found = self._kept(batch, names) | self._predicted(batch, names)
            own = [
                (name, getattr(arrow, _ARROW_TYPES.get(dtype.kind, "string"))()) for name, dtype in self._dtypes.items()
            ]
            schema = arrow.schema([*(batch.schema.field(name) for name in self._keep), *own])
            return type(batch).from_pydict(found, schema=schema)
        raise TypeError(
            f"batch is {shown(batch)}: expected a data frame, a pyarrow Table or RecordBatch, a mapping of arrays, or "
            "an iterator of these"
        )

    def _kept(self, batch: Any, names: Sequence[str]) -> dict[str, Any]:
        for name in self._keep:
            if name not in names:
                raise ValueError(f"keep has {name!r}: expected of the batch's columns, {', '.join(map(str, names))}")
            if name in self._dtypes:
                raise ValueError(f"keep has {name!r}, and so have the predictions: expected another name in the batch")
        return {name: batch[name] for name in self._keep}

    def _predicted(self, batch: Any, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        if not names or not len(batch[names[0]]):  # as engines have them now and then
            return {name: np.empty(0, dtype) for name, dtype in self._dtypes.items()}
        rows = self._rows(batch, names)
        found = np.asarray(self.model.predict(rows)).reshape(len(batch[names[0]]), -1)
        columns = list(found.T)
        if self._proba:
            columns += list(np.asarray(self.model.predict_proba(rows)).T)
        return {
            name: column.astype(dtype, copy=False)
            for (name, dtype), column in zip(self._dtypes.items(), columns, strict=True)
        }

    def _rows(self, batch: Any, names: Sequence[str]) -> Any:
        """Return the rows as the model takes them: a data frame of the columns that it knows, or an array of all."""
        reader = getattr(self.model, "_reader", self.model)
        known = getattr(reader, "feature_names_in_", None)
        if known is None:
            return np.column_stack([np.asarray(batch[name]) for name in names if name not in self._keep])
        by = getattr(self.model, "by_", ())
        wanted = [name for name in names if name in {*known, *by}]
        if hasattr(batch, "iloc") or _is_polars(batch):
            return batch[wanted]
        if isinstance(batch, Mapping):
            return require("pandas", "pandas", "a batch of arrays").DataFrame({name: batch[name] for name in wanted})
        return import_pyarrow().table({name: batch[name] for name in wanted})

    @property
    def _dtypes(self) -> dict[str, np.dtype[Any]]:
        """The columns with what they hold: whole numbers of 64 bits, numbers, true and false, or objects."""
        model, task = self.model, _task_of(self.model)
        classes = getattr(task, "classes", None)
        one = classes is not None and not task.multilabel
        kind = "f" if classes is None else np.asarray(classes).dtype.kind
        own = np.dtype({"i": np.int64, "u": np.int64, "f": np.float64, "b": np.bool_}.get(kind, object))
        n = 1 if one else task.n_outputs
        names = ["prediction"] if n == 1 else [f"prediction_{i}" for i in range(n)]
        labels = list(model.classes_) if self._proba else []
        return dict.fromkeys(names, own) | {f"probability_{label}": np.dtype(np.float64) for label in labels}


def _is_polars(batch: Any) -> bool:
    return type(batch).__module__.partition(".")[0] == "polars" and type(batch).__name__ == "DataFrame"


def _texts(column: Any) -> Any:
    """Return a column for polars, to which labels are text or numbers and no objects of Python's."""
    return column.tolist() if isinstance(column, np.ndarray) and column.dtype == object else column


def _task_of(model: Any) -> Any:
    """Return the task of a fitted estimator, or of models of groups."""
    return model._task if hasattr(model, "groups_") else model._model.task


def _check_model(model: Any, proba: bool) -> None:
    """Raise TypeError for what cannot predict batches."""
    wanted = "predict_proba" if proba else "predict"
    is_ours = hasattr(model, "groups_") or hasattr(model, "_losses")
    if not is_ours or not hasattr(model, wanted) or (proba and not hasattr(_task_of(model), "classes")):
        raise TypeError(f"model is {shown(model)}: expected a fitted model with {wanted}, or the path of one")
    if hasattr(model, "groups_") and not model.by_:
        raise TypeError("model has groups by keys beside the rows: expected groups by columns, which batches have")


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
        If `model` has no `predict` and is no path, or has no `predict_proba` with `proba`; or has groups by keys that
        are no columns. Of a file where it is read.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = st.MLPRegressor(hidden_layer_sizes=(8,), random_state=0).fit(x, x[:, 0])
    >>> sorted(st.predict_batches(model)({"a": x[:3, 0], "b": x[:3, 1]}))
    ['prediction']
    """
    flag("proba", proba)
    if not isinstance(model, (str, os.PathLike)):
        _check_model(model, proba)
    return BatchPredictor(model, proba, tuple(keep))
