"""Rows that are read block by block, again for each epoch: more of them than memory holds."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._arrays import as_array, is_frame, reason_of
from ._extras import import_pyarrow
from ._mapped import Mapped
from ._read_ahead import ReadAhead
from ._validation import flag, integer
from .files import StrPath
from .tables import DataWarning
from .tables._frames import index_names
from .tables._reader import typed_batches
from .tables._reading_options import Options
from .tables._sources import expanded
from .tables._streaming import Typist

_BLOCK_BYTES = 1 << 24  # of an array's rows: a block has fewer rows where they are wide
_PIECES = 8  # from anywhere in an array, that make a block where rows are shuffled
_BUFFERED = 4  # blocks, out of which shuffled rows are drawn
Keep = Callable[[NDArray[np.int64]], NDArray[np.bool_]]


class Block(NamedTuple):
    """Some rows.

    Parameters
    ----------
    x : array of shape (n, n_in) or pyarrow.Table
        The rows.
    y : array or pyarrow array of length n
        Their targets.
    weight : array of shape (n,) or None
        Their weights.
    """

    x: Any
    y: Any
    weight: Any

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.y)

    def at(self, places: NDArray[np.intp] | slice) -> Block:
        """Return some of the rows."""
        return Block(*(None if part is None else _take(part, places) for part in self))

    @staticmethod
    def joined(blocks: Sequence[Block]) -> Block:
        """Return the rows of several blocks in one."""
        if len(blocks) == 1:
            return blocks[0]
        return Block(*(None if parts[0] is None else _concatenated(parts) for parts in zip(*blocks, strict=True)))


class Stream:
    """Rows to train on that need not fit in memory, for `Trainer.fit` and the estimators' `fit` in place of arrays.

    It is read anew for each epoch, block by block, by a thread that reads ahead while the core trains. Which rows come
    when is decided by `seed` and the epoch alone.

    Parameters
    ----------
    source : path, list of paths, array, tuple of arrays, list or callable
        - Files of tables of any format that `steepest.tables.read` takes; one, a list of them, a folder, or a pattern
          such as ``"days/*.parquet"``, whose files are read in the order of their names.
        - ``(x, y)`` or ``(x, y, sample_weight)``: arrays, memory maps, or paths of .npy files, which are mapped. Or x
          alone, an array or the path of a .npy file, for a `fit` that is given y.
        - A list of batches, or a function that returns an iterator of them, called anew for each pass: each batch is a
          tuple as above, or a table (a pyarrow Table or RecordBatch, or a data frame).
    batch_rows : int, default=65536
        Rows read at a time, >= 1; of arrays fewer where a block would take over 16 MiB. No limit of the batches of
        training, which `fit` has.
    target : str, optional
        Of tables: the column to predict.
    weight : str, optional
        Of tables: the column of the rows' weights; it is no feature.
    shuffle : bool, default=True
        Whether rows come in another order in each epoch: blocks of arrays are put together from pieces from anywhere,
        and rows are drawn from a buffer of four blocks. Blocks of files and functions come in their own order, so rows
        that are sorted there are mixed within the buffer only.
    seed : int, default=0
        Of that order, >= 0.
    **options : object
        Of files: how they are read, as `steepest.tables.read` takes it, such as ``sep=";"`` or ``text=["zip"]``. The
        first `batch_rows` rows tell the kind of each column of text, as `steepest.tables.read_batches` describes it.

    Raises
    ------
    TypeError
        If `source` is none of these, such as an iterator, which could be read only once, or an option is unknown.
    ValueError
        If there is no such file, arrays have different lengths, or a table has no `target`.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).standard_normal((1000, 3))
    >>> stream = st.Stream((x, x.sum(axis=1)), batch_rows=256)
    >>> trainer = st.Trainer(st.Network(3, [st.Dense(1)], seed=0), "mse", st.SGD(0.1))
    >>> bool(trainer.fit(stream, epochs=3)["loss"][-1] < 0.01)
    True
    """

    def __init__(
        self,
        source: Any,
        batch_rows: int = 65536,
        *,
        target: str | None = None,
        weight: str | None = None,
        shuffle: bool = True,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.batch_rows = integer("batch_rows", batch_rows, ge=1)
        self.shuffle, self.seed = flag("shuffle", shuffle), integer("seed", seed, ge=0)
        self.target, self.weight = target, weight
        self.source = source
        self._arrays = _arrays_of(source)
        self._files = None if self._arrays else _files_of(source)
        if self._arrays is None and self._files is None and not callable(source) and not isinstance(source, list):
            hint = " (an iterator can be read once only)" if hasattr(source, "__next__") else ""
            raise TypeError(
                f"source is a {type(source).__name__}{hint}: expected files, (x, y), a list of batches, or a function "
                "that returns an iterator of them"
            )
        if options and self._files is None:
            raise TypeError(f"{next(iter(options))} is given with {self}: expected it with files of tables")
        self._options, self._told = Options.of(options), False
        if self._files is not None and target is None:
            raise ValueError(f"target is not given: expected the name of the column of {self} to predict")

    def __repr__(self) -> str:
        """Return a short account."""
        return f"<Stream of {self}>"

    def __str__(self) -> str:
        """Return the name of the source, for messages."""
        if isinstance(self.source, (str, os.PathLike)):
            return os.fspath(self.source)
        if self._files is not None:
            return f"{len(self._files)} files, from {self._files[0]} on"
        if self._arrays is not None:
            return f"arrays of {len(self._arrays.x):,} rows"
        return getattr(self.source, "__name__", None) or f"{len(self.source)} batches"

    def with_targets(self, y: Any, sample_weight: Any = None) -> Stream:
        """Return the stream of the same rows with these targets, where it has none yet.

        Parameters
        ----------
        y : array of shape (n,) or (n, n_out)
            The targets.
        sample_weight : array of shape (n,), default=None
            Weights of the rows.

        Raises
        ------
        ValueError
            If the stream has targets, or another number of rows.
        """
        if self._arrays is None or self._arrays.y is not None:
            raise ValueError(f"y and sample_weight are given with {self!r}, which has them: expected it alone")
        weights = () if sample_weight is None else (sample_weight,)
        return Stream((self._arrays.x, y, *weights), self.batch_rows, shuffle=self.shuffle, seed=self.seed)

    def blocks(self, epoch: int = 0, *, shuffle: bool = False, keep: Keep | None = None) -> Iterator[Block]:
        """Go through all rows once.

        Parameters
        ----------
        epoch : int, default=0
            Together with `seed` it decides the order.
        shuffle : bool, default=False
            Whether to shuffle, if the stream does.
        keep : callable, optional
            Called with numbers of rows, (n,), the first of the source being 0: tells which of them to give.

        Yields
        ------
        Block
            Rows with their targets, at least one; the sizes of blocks may differ.

        Raises
        ------
        ValueError, OSError
            If the source cannot be read; the message names it.
        """
        if not (shuffle and self.shuffle):
            return self._raw(None, keep)
        random = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        return _drawn(self._raw(random, keep), random)

    def read_ahead(
        self, work: Callable[[Block], Any], epoch: int = 0, *, shuffle: bool = False, keep: Keep | None = None
    ) -> ReadAhead[Any]:
        """Return `blocks` after some work on each, read by a thread, for a `with` statement."""

        def worked() -> Iterator[Any]:
            for block in self.blocks(epoch, shuffle=shuffle, keep=keep):
                with _naming(str(self)):
                    done = work(block)
                yield done

        return ReadAhead(worked())

    def _raw(self, random: np.random.Generator | None, keep: Keep | None) -> Iterator[Block]:
        if self._arrays is not None:
            if self._arrays.y is None:
                raise ValueError(f"y is not given with {self!r}: expected targets")
            yield from _array_blocks(self._arrays, self.batch_rows, random, keep)
            return
        n = 0
        with _naming(str(self)):
            for batch in self._batches():
                block = self._block(batch)
                for start in range(0, block.n, self.batch_rows):
                    kept = _kept(block.at(slice(start, start + self.batch_rows)), n + start, keep)
                    if kept.n:
                        yield kept
                n += block.n

    def _batches(self) -> Iterator[Any]:
        if self._files is not None:
            return self._from_files()
        return iter(self.source() if callable(self.source) else self.source)

    def _from_files(self) -> Iterator[Any]:
        typist = Typist(self._options, whole=self.target)
        yield from typed_batches(self._files, typist, self.batch_rows)  # type: ignore[arg-type]
        if not self._told:  # in the first epoch alone
            self._told = True
            for message in typist.warnings():
                warnings.warn(message, DataWarning, stacklevel=2)

    def _block(self, batch: Any) -> Block:
        """Take a batch apart."""
        if isinstance(batch, tuple) and len(batch) in (2, 3):
            x, y, *weight = batch
            x = _as_table(x) if is_frame(x) else as_array("x", x)
            block = Block(x, as_array("y", y), as_array("sample_weight", weight[0]) if weight else None)
            if len(x) != block.n or (weight and len(block.weight) != block.n):
                raise ValueError(
                    f"a batch has {len(x)} rows and {block.n} targets: expected as many, and as many weights"
                )
            return block
        if not is_frame(batch):
            raise TypeError(f"a batch is a {type(batch).__name__}: expected (x, y), (x, y, sample_weight) or a table")
        if self.target is None:
            raise ValueError("target is not given: expected the name of the column of each table to predict")
        table = _as_table(batch)
        wanted = [name for name in (self.target, self.weight) if name is not None]
        for name in wanted:
            if name not in table.column_names:
                raise ValueError(f"there is no column {name!r}: found {', '.join(table.column_names)}")
        weights = None if self.weight is None else np.asarray(table.column(self.weight).to_numpy(), np.float64)
        return Block(table.drop_columns(wanted), table.column(self.target), weights)


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """Name the source in what goes wrong within, if it is not named there."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if source in str(error):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{source}: {reason_of(error)}") from error


def _arrays_of(source: Any) -> Block | None:
    """Return the arrays of a source that is (x, y) or (x, y, sample_weight); None for others."""
    if isinstance(source, np.ndarray) or (isinstance(source, (str, os.PathLike)) and str(source).endswith(".npy")):
        return Block(_loaded((source,), ("x",))[0], None, None)
    if not isinstance(source, tuple):
        return None
    if len(source) not in (2, 3):
        raise TypeError(f"source is a tuple of {len(source)}: expected (x, y) or (x, y, sample_weight)")
    x, y, *weight = _loaded(source, ("x", "y", "sample_weight"))
    lengths = [len(part) for part in (x, y, *weight)]
    if len({*lengths}) > 1 or not lengths[0]:
        raise ValueError(f"source has arrays of {', '.join(map(str, lengths))} rows: expected the same number, >= 1")
    return Block(x, y, weight[0] if weight else None)


def _loaded(parts: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """Return arrays, those of .npy files mapped."""
    found = []
    for name, part in zip(names, parts, strict=False):
        if isinstance(part, (str, os.PathLike)):
            try:
                part = np.load(part, mmap_mode="r", allow_pickle=False)
            except ValueError as error:
                raise ValueError(f"{os.fspath(part)}: {reason_of(error)}") from error
        found.append(_as_table(part) if is_frame(part) and name == "x" else as_array(name, part))
    return found


def _files_of(source: Any) -> list[StrPath] | None:
    """Return the files of a source that is a path, a pattern, a folder or a list of paths; None for others."""
    paths = source if isinstance(source, list) else [source]
    if not paths or not all(isinstance(path, (str, os.PathLike)) for path in paths):
        return None
    files: list[StrPath] = [file for path in paths for file in expanded(os.fspath(path))]
    if missing := [file for file in files if not os.path.isfile(file)]:
        raise ValueError(f"source has {os.fspath(missing[0])!r}: there is no such file of a table")
    return files


def _array_blocks(
    arrays: Block, batch_rows: int, random: np.random.Generator | None, keep: Keep | None
) -> Iterator[Block]:
    """Go through arrays in blocks, each of them of pieces from anywhere where there is `random`."""
    n, mapped = arrays.n, Mapped(arrays.x, arrays.y, arrays.weight)
    size = min(batch_rows, max(1, _BLOCK_BYTES * n // max(arrays.x.nbytes, 1)))
    if random is None:
        for start in range(0, n, size):
            kept = _kept(_copied(arrays.at(slice(start, start + size))), start, keep)
            mapped.drop()
            if kept.n:
                yield kept
        return
    piece = max(1, size // _PIECES)
    starts = random.permutation(-(-n // piece)) * piece
    for first in range(0, len(starts), _PIECES):
        chosen = starts[first : first + _PIECES].tolist()
        parts = [_kept(_copied(arrays.at(slice(start, start + piece))), start, keep) for start in chosen]
        mapped.drop()
        joined = Block.joined(parts)
        if joined.n:
            yield joined


def _kept(block: Block, start: int, keep: Keep | None) -> Block:
    """Return the rows of a block, which begins at row `start` of the source, that are to be kept."""
    if keep is None:
        return block
    kept = keep(np.arange(start, start + block.n))
    return block if kept.all() else block.at(np.flatnonzero(kept))


def _copied(block: Block) -> Block:
    """Return rows that no file holds any more."""
    return Block(*(np.array(part) if isinstance(part, np.ndarray) else part for part in block))


def _drawn(blocks: Iterator[Block], random: np.random.Generator) -> Iterator[Block]:
    """Draw rows from a buffer of several blocks, whose places the next block takes; in the end all that are left."""
    first = list(islice(blocks, _BUFFERED))
    if not first:
        return
    buffer = _copied(Block.joined(first))  # a caller's array is not to be written to
    for block in blocks:
        order = random.permutation(buffer.n)
        n = min(block.n, buffer.n)
        yield buffer.at(order[:n])
        buffer = _replaced(buffer, order, block, n)
    if buffer.n:
        yield buffer.at(random.permutation(buffer.n))


def _replaced(buffer: Block, order: NDArray[np.intp], block: Block, n: int) -> Block:
    """Return a buffer in which the first n rows by `order` are those of a block; of arrays it is the same one."""
    fits = n == block.n and all(
        old is new is None
        or (isinstance(old, np.ndarray) and old.dtype == getattr(new, "dtype", None) and old.shape[1:] == new.shape[1:])
        for old, new in zip(buffer, block, strict=True)
    )
    if not fits:
        return Block.joined([buffer.at(order[n:]), block])
    for old, new in zip(buffer, block, strict=True):
        if old is not None:
            old[order[:n]] = new
    return buffer


def _take(part: Any, places: NDArray[np.intp] | slice) -> Any:
    if isinstance(part, np.ndarray):
        return part[places]
    if isinstance(places, slice):
        start, stop, _ = places.indices(len(part))
        return part.slice(start, stop - start)
    return part.take(places)


def _concatenated(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    arrow = import_pyarrow()
    if isinstance(parts[0], arrow.Table):
        return arrow.concat_tables(parts, promote_options="permissive")
    if len({part.type for part in parts}) > 1:  # whole numbers, and others later on
        parts = [part.cast(arrow.float64()) for part in parts]
    chunks = [chunk for part in parts for chunk in (part.chunks if isinstance(part, arrow.ChunkedArray) else [part])]
    return arrow.chunked_array(chunks)


def _as_table(frame: Any) -> Any:
    """Return a data frame as pyarrow's table, without an index, which says nothing about the rows."""
    arrow = import_pyarrow()
    if hasattr(frame, "iloc"):
        return arrow.Table.from_pandas(frame, preserve_index=False)
    table = arrow.Table.from_batches([frame]) if isinstance(frame, arrow.RecordBatch) else arrow.table(frame)
    index = index_names(table.schema)
    return table.drop_columns(index) if index else table
