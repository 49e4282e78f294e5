"""Files of arrays, binary tables and lines of JSON as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import total_memory
from .._extras import import_pyarrow, require
from .._safe_io import refusing
from ..files import _Limit, read_idx, read_npy_stream, read_npz
from ._frames import index_names
from ._sources import Source

_ROWS = 1 << 14  # read at a time
_JSON_BLOCK = 1 << 24  # bytes; no line may be longer


def batches_of(source: Source) -> Iterator[Any]:
    """Go through a file that is no CSV as record batches, in constant memory where its format allows that."""
    if source.format in ("Parquet", "Arrow", "Arrow stream"):
        yield from _binary(source)
    elif source.format == "JSON":
        yield from _json(source)
    else:
        columns = _libsvm(source) if source.format == "libsvm" else _arrays(source)
        yield from import_pyarrow().table(columns).to_batches()


def _binary(source: Source) -> Iterator[Any]:
    arrow = import_pyarrow()
    if source.compressed:
        raise ValueError(f"{source.shown}: {source.format} within gzip: expected it as it is")
    with source.open() as file:
        limit = _Limit(source.path)
        if source.format == "Parquet":
            from pyarrow import parquet

            content = parquet.ParquetFile(file)
            schema, read = content.schema_arrow, content.iter_batches(batch_size=_ROWS)
        elif source.format == "Arrow stream":
            read = arrow.ipc.open_stream(file)
            schema = read.schema
        else:
            content = arrow.ipc.open_file(file)
            schema = content.schema
            read = (content.get_batch(i) for i in range(content.num_record_batches))
        index = index_names(schema)
        empty = True
        for batch in read:
            batch = batch.drop_columns(index) if index else batch
            # Labels of categories are shared by all parts.
            limit.take(sum(getattr(column, "indices", column).nbytes for column in batch.columns))
            empty = False
            yield batch
        if empty:
            schema = arrow.schema([field for field in schema if field.name not in index])
            yield from schema.empty_table().to_batches(max_chunksize=None) or [_no_rows(schema)]


def _no_rows(schema: Any) -> Any:
    arrow = import_pyarrow()
    return arrow.RecordBatch.from_arrays([arrow.array([], kind) for kind in schema.types], schema=schema)


def _json(source: Source) -> Iterator[Any]:
    """Read lines that hold one object each."""
    from pyarrow import json

    with source.open(2) as stream:
        options = json.ReadOptions(block_size=_JSON_BLOCK)
        # Dates stay text here, for the rules to read them.
        yield from json.read_json(stream, options).to_batches()


def _arrays(source: Source) -> dict[str, Any]:
    if source.format == "NPZ":
        arrays = {name.strip(): array for name, array in read_npz(source.path).items()}
        with refusing(source.shown, "NPZ"):
            return _columns(arrays)
    if source.format == "IDX":
        array = read_idx(source.path)
        with refusing(source.shown, "IDX"):
            return _columns({"f": array})
    with source.open() as stream:
        return _columns({"f": read_npy_stream(stream, source.shown)})


def _columns(arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the columns of arrays: one-dimensional ones by name, others as f0, f1, ..."""
    arrow = import_pyarrow()
    sizes = {name: len(array) if array.ndim else -1 for name, array in arrays.items()}
    if not arrays or len(set(sizes.values())) != 1 or -1 in sizes.values():
        raise ValueError(f"arrays of {sizes} rows: expected arrays of the same number of rows")
    wide = [name for name, array in arrays.items() if array.ndim > 1]
    columns = {}
    for name, array in arrays.items():
        if array.dtype.kind not in "biufUM":
            raise ValueError(f"{name}: array of type {array.dtype}: expected numbers, text, or true and false")
        if array.ndim == 1:
            columns["f0" if name == "f" else name] = arrow.array(array)
            continue
        prefix = "f" if len(wide) == 1 else f"{name}_"
        flat = array.reshape(len(array), -1) if len(array) else array.reshape(0, int(np.prod(array.shape[1:])))
        columns |= {f"{prefix}{i}": arrow.array(np.ascontiguousarray(flat[:, i])) for i in range(flat.shape[1])}
    return columns


def _libsvm(source: Source) -> dict[str, Any]:
    """Read lines of a target and numbered values with scikit-learn's reader."""
    datasets = require("sklearn.datasets", "scikit-learn", "reading libsvm files")
    with source.open() as stream:
        x, y = datasets.load_svmlight_file(stream)
        size = x.shape[0] * x.shape[1] * 8
        if size > total_memory() // 2:
            raise ValueError(f"{x.shape[0]:,} rows of {x.shape[1]:,} columns take {size:,} bytes as a table")
        dense = x.toarray()
    arrow = import_pyarrow()
    target = y.astype(np.int64) if np.array_equal(y, np.round(y)) else y
    return {"target": arrow.array(target)} | {f"f{i}": arrow.array(dense[:, i].copy()) for i in range(dense.shape[1])}
