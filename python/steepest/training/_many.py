"""Many networks trained at once, each with the bits of a fit by itself."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import as_array, shown
from .._core import DivergedError, get_num_threads
from .._validation import flag, integer
from ..callbacks import Callback, History, check_callbacks
from ..metrics import Metric, check_metrics
from ._fits import Fit, run_fits
from ._rows import ArrayRows, validation_rows
from .trainer import Trainer

if TYPE_CHECKING:
    import pandas

CallbacksOf = Iterable[Callback] | Callable[[int], Iterable[Callback]] | None
Places = NDArray[np.int64] | None


class Histories(list[History]):
    """The histories of networks that were trained together, in their order.

    Parameters
    ----------
    histories : iterable of History
        One for each network.
    diverged : dict of int to DivergedError, default={}
        Which networks have diverged, and how; their histories end with the last finite epoch.

    Examples
    --------
    >>> import steepest as st
    >>> trainers = [st.Trainer(st.Network(1, [st.Dense(1)], seed=seed), "mse", st.SGD(0.1)) for seed in range(3)]
    >>> histories = st.fit_many(trainers, [[0.0], [1.0]], [1.0, 3.0], epochs=20)
    >>> len(histories), histories[0].n_epochs, histories.diverged
    (3, 20, {})
    """

    def __init__(self, histories: Iterable[History], diverged: dict[int, DivergedError] | None = None) -> None:
        super().__init__(histories)
        self.diverged = diverged or {}

    def to_frame(self) -> pandas.DataFrame:
        """Return a pandas DataFrame: a row for each network, with its epochs, its last numbers and its best epoch."""
        import pandas

        rows = [
            {"epochs": history.n_epochs, "best_epoch": history.best_epoch, "diverged": i in self.diverged}
            | {name: column[-1] for name, column in history.items() if len(column)}
            for i, history in enumerate(self)
        ]
        return pandas.DataFrame(rows).rename_axis("network")


def fit_many(
    trainers: Iterable[Trainer],
    x: ArrayLike | Sequence[ArrayLike],
    y: ArrayLike | Sequence[ArrayLike],
    *,
    rows: Sequence[ArrayLike | None] | None = None,
    sample_weight: ArrayLike | Sequence[ArrayLike] | None = None,
    epochs: int | Sequence[int] = 10,
    batch_size: int | Sequence[int] = 32,
    validation: Sequence[Any] | None = None,
    shuffle: bool = True,
    metrics: Iterable[Metric] | None = None,
    n_jobs: int | None = -1,
    callbacks: CallbacksOf = None,
    progress: Callable[[int, int], object] | None = None,
) -> Histories:
    """Train many networks at once over the processors.

    Each comes out as by a `Trainer.fit` of its own, to the bit, at any number of threads. Small networks have a thread
    each; large ones take turns with all threads on one, where that is found to be faster.

    Parameters
    ----------
    trainers : iterable of Trainer
        At least one; each has a network of its own, and they may differ in everything else.
    x : array of shape (n, n_in), or list of k such arrays
        The rows, one copy for all networks; or for each of the k networks its own.
    y : array of shape (n,) or (n, n_out), or list of k such arrays
        Their targets, see `Trainer`.
    rows : sequence of k arrays of int, default=None
        Which rows each network trains on, 0 to n - 1 in any order, or a mask of n bools; None for all.
    sample_weight : array of shape (n,), or list of k such arrays, default=None
        Weights of the rows, >= 0. None: 1 for all.
    epochs, batch_size : int, or sequence of k ints, default=10 and 32
        As in `Trainer.fit`, >= 1.
    validation : (x, y), (x, y, sample_weight), or sequence of k such tuples or arrays of int, default=None
        Rows to evaluate after each epoch: the same for all, or for each network its own, as arrays or as places in `x`.
    shuffle : bool, default=True
        Whether to draw a new order for each epoch.
    metrics : iterable of str or callable, default=None
        Metrics of the validation rows besides the loss, see `Trainer.evaluate`.
    n_jobs : int, default=-1
        Threads to use, at most those of `steepest.get_num_threads`; -1 or None: all of these.
    callbacks : iterable of Callback, or callable, default=None
        Each network gets a copy of them; or ``callbacks(i)`` returns those of network i. Networks whose callbacks are
        no more than one `EarlyStopping` are trained without a call into Python.
    progress : callable, default=None
        Called every 50 ms or so as ``progress(done, total)`` with the epochs of all networks.

    Returns
    -------
    Histories
        The history of each network, and which have diverged; a warning names these.

    Raises
    ------
    TypeError
        If `trainers` has anything but trainers, or another argument is of a wrong type.
    ValueError
        If there are no trainers, two share a network, a list does not have one entry for each, a row is out of range,
        or rows are what `Trainer.step` refuses; nothing has changed then.
    KeyboardInterrupt
        By Ctrl-C, within a fifth of a second: each network stops after a whole step and stays usable.

    Notes
    -----
    A network that diverges does not stop the others; it is left as `Trainer.fit` leaves it.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> x = np.random.default_rng(0).standard_normal((200, 2))
    >>> y = x[:, :1] * x[:, 1:]
    >>> networks = [st.Network(2, [st.Dense(16, "tanh"), st.Dense(1)], seed=seed) for seed in range(8)]
    >>> trainers = [st.Trainer(network, "mse", st.Adam(0.01), seed=i) for i, network in enumerate(networks)]
    >>> folds = [np.flatnonzero(np.arange(200) % 8 != i) for i in range(8)]
    >>> histories = st.fit_many(trainers, x, y, rows=folds, epochs=20)
    >>> bool(max(history["loss"][-1] for history in histories) < 0.5)
    True
    """
    trainers = _check_trainers(trainers)
    k = len(trainers)
    epochs_of, batch_of = _integers("epochs", epochs, k), _integers("batch_size", batch_size, k)
    shuffle = flag("shuffle", shuffle)
    asked = None if metrics is None else check_metrics(metrics)
    if asked and validation is None:
        raise ValueError(f"metrics is {asked}: expected none without validation")
    threads = check_jobs(n_jobs)
    xs = _data("x", x, k, None if _is_own(x) else -1)
    n = None if _is_own(x) else len(xs[0])
    ys, weights = _data("y", y, k, n), _data("sample_weight", sample_weight, k, n)
    places = [_places(f"rows[{i}]", each, len(xs[i])) for i, each in enumerate(_list("rows", rows, k))]
    held = _validation(validation, xs, ys, weights)
    fits = [
        Fit(
            trainer, ArrayRows(xs[i], ys[i], weights[i], places=places[i]), held[i], asked, called, epochs_of[i],
            batch_of[i], shuffle, trainer._keeps_copy(),
        )
        for i, (trainer, called) in enumerate(zip(trainers, _callbacks(callbacks, k), strict=True))
    ]  # fmt: skip
    total = sum(epochs_of)
    look = None if progress is None else lambda done: progress(done, total)
    found = run_fits(fits, threads, progress=look, name="trainers")
    diverged = {i: error for i, error in enumerate(found) if error is not None}
    if diverged:
        _warn(diverged, k)
    return Histories([trainer.history for trainer in trainers], diverged)


def check_jobs(n_jobs: int | None) -> int:
    """Return how many threads `n_jobs` means.

    Parameters
    ----------
    n_jobs : int or None
        As given: threads, -1 or None for all; -2 for all but one, and so on.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is 0.
    """
    most = get_num_threads()
    if n_jobs is None:
        return most
    jobs = integer("n_jobs", n_jobs, ge=-(2**31))
    if jobs == 0:
        raise ValueError("n_jobs is 0: expected a number of threads, or -1 for all")
    return max(1, most + 1 + jobs) if jobs < 0 else min(jobs, most)


def _check_trainers(trainers: Iterable[Trainer]) -> list[Trainer]:
    found = list(trainers)
    if not found:
        raise ValueError("trainers is empty: expected at least one steepest.Trainer")
    first: dict[int, int] = {}
    for i, trainer in enumerate(found):
        if not isinstance(trainer, Trainer):
            raise TypeError(f"trainers[{i}] is {shown(trainer)}: expected a steepest.Trainer")
        other = first.setdefault(id(trainer.network._core), i)
        if other != i:
            raise ValueError(f"trainers[{i}] has the network of trainers[{other}]: expected a network of its own")
    return found


def _integers(name: str, value: int | Sequence[int], k: int) -> list[int]:
    if not isinstance(value, (list, tuple)) and np.ndim(value) != 1:
        return [integer(name, value, ge=1)] * k
    return [integer(f"{name}[{i}]", each, ge=1) for i, each in enumerate(_list(name, value, k))]


def _list(name: str, values: Any, k: int) -> list[Any]:
    """Return an entry for each network, None where there are none."""
    if values is None:
        return [None] * k
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype != object and name == "rows":
        raise TypeError(f"rows is an array: expected a list of {k} arrays, one for each trainer")
    if not isinstance(values, (list, tuple)) and np.ndim(values) == 0:
        raise TypeError(f"{name} is {shown(values)}: expected a list with one for each of the {k} trainers")
    found = list(values)
    if len(found) != k:
        raise ValueError(f"{name} has {len(found)} entries: expected one for each of the {k} trainers")
    return found


def _is_own(x: Any) -> bool:
    """Tell whether this is a list with an array, (n, n_in), for each network."""
    return isinstance(x, (list, tuple)) and bool(x) and all(len(getattr(each, "shape", ())) == 2 for each in x)


def _data(name: str, values: Any, k: int, n: int | None) -> list[Any]:
    """Return the array of each network: its own, or the same one for all, where these have `n` rows."""
    listed = isinstance(values, (list, tuple)) and bool(values)
    own = n is None or (listed and all(getattr(each, "shape", ())[:1] == (n,) for each in values))
    if not own:
        return [None if values is None else as_array(name, values)] * k
    return [
        None if value is None else as_array(f"{name}[{i}]", value) for i, value in enumerate(_list(name, values, k))
    ]


def _places(name: str, rows: Any, n: int) -> Places:
    """Return which of `n` rows are meant."""
    if rows is None:
        return None
    found = np.asarray(rows)
    if found.dtype == bool and found.shape == (n,):
        found = np.flatnonzero(found)
    if found.ndim != 1 or (found.dtype.kind not in "iu" and found.size):
        raise TypeError(
            f"{name} is an array of {found.dtype} of shape {found.shape}: expected places of rows, (m,) whole numbers, "
            f"or a mask of {n} bools"
        )
    if not found.size:
        raise ValueError(f"{name} is empty: expected the place of a row at least")
    wrong = np.flatnonzero((found < 0) | (found >= n))
    if len(wrong):
        raise ValueError(f"{name} has {found[wrong[0]]} at {wrong[0]}: expected places of rows from 0 to {n - 1}")
    return np.ascontiguousarray(found, np.int64)


def _validation(validation: Any, xs: list[Any], ys: list[Any], weights: list[Any]) -> list[ArrayRows | None]:
    k = len(xs)
    if validation is None:
        return [None] * k
    parts = list(validation) if isinstance(validation, (list, tuple)) else [validation]
    own = all(isinstance(part, (tuple, list)) and len(part) in (2, 3) and _is_data(part) for part in parts)
    if not own and not (parts and all(_is_places(part) for part in parts)):
        return [validation_rows(validation)] * k
    held: list[ArrayRows | None] = []
    for i, part in enumerate(_list("validation", parts, k)):
        if own:
            held.append(validation_rows(part))
            continue
        places = _places(f"validation[{i}]", part, len(xs[i]))
        held.append(ArrayRows(xs[i], ys[i], weights[i], "validation ", places=places))
    return held


def _is_data(part: Sequence[Any]) -> bool:
    """Tell whether this is (x, y) or (x, y, sample_weight), of which x has columns."""
    return np.ndim(part[0]) == 2


def _is_places(part: Any) -> bool:
    found = np.asarray(part)
    return found.ndim == 1 and found.dtype.kind in "iub"


def _callbacks(callbacks: CallbacksOf, k: int) -> list[list[Callback]]:
    """Return the callbacks of each network: its own copies."""
    if callbacks is None:
        return [[] for _ in range(k)]
    if callable(callbacks) and not isinstance(callbacks, (Iterable, Callback)):
        return [check_callbacks(callbacks(i)) for i in range(k)]
    active = check_callbacks(callbacks)
    return [copy.deepcopy(active) for _ in range(k)]


def _warn(diverged: dict[int, DivergedError], k: int) -> None:
    some = ", ".join(map(str, list(diverged)[:10])) + (" and others" if len(diverged) > 10 else "")
    first = next(iter(diverged.values()))
    warnings.warn(
        f"{len(diverged)} of {k} networks diverged, at the places {some}; the first one: {first}", RuntimeWarning,
        stacklevel=3,
    )  # fmt: skip
