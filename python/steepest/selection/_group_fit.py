"""A model for each group of rows: read and encoded once for all, trained many at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state

from .._arrays import reason_of
from .._core import DivergedError
from .._validation import flag
from ..estimators._classification import Classification
from ..estimators._input import Rows, read_weight
from ..estimators._networks import build_networks, layers_of
from ..estimators._optimizer import make_optimizer
from ..estimators._params import Settings
from ..estimators._plan import FitPlan
from ..estimators._preprocess import Preprocessor
from ..estimators._regression import Regression
from ..estimators._shared import Shared
from ..estimators._solver import Solver
from ..estimators._split import Split
from ..estimators._trainings import FitResult, Progress, Trainings
from ..recipe import silence_unseen
from ..tables._scaling import Standardizer
from ..training._fits import Fits
from ..training._many import check_jobs
from ._backend import Workers, workers_of
from ._group_models import GroupModels
from ._keys import Keys, parted
from ._pending import Estimator, Table, check_estimator
from ._scales import Scales

_SAMPLE = 100_000  # rows at most that the features, and the model of all groups, are learned from
_TINY_ROWS = 50  # as in a fit of their own, fewer train all at once
_AT_ONCE = 1000  # groups

_NO_RANDOM = np.random.RandomState(0)  # a split draws from the plan's seed; from this under a preset alone

_REFUSED: dict[str, Callable[[Settings], bool]] = {
    "warm_start": lambda settings: settings.warm_start,
    "preset": lambda settings: settings.like_sklearn,
    "solver": lambda settings: settings.solver == "lbfgs",
    "callbacks": lambda settings: bool(settings.callbacks),
    "loss": lambda settings: callable(settings.loss),
}


def fit_groups(
    est: Estimator,
    X: Any,
    y: Any,
    by: Any,
    *,
    sample_weight: Any = None,
    fallback: bool = True,
    n_jobs: int | None = -1,
    backend: Any = "threads",
) -> GroupModels:
    """Fit a model for each group of rows, such as for each of ten thousand shops.

    Each group has networks of its own, trained on its rows alone; what makes features of the columns, such as the
    labels of text, is learned once from the rows of all groups, and each group's features and targets are then
    standardized by themselves. All groups have the architecture that `est` would have for one of their median size, and
    each the epochs and batches for its own size.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor
        Has the parameters; it stays as it is. A preset, solver="lbfgs", warm_start, callbacks and a loss of your own do
        not go with groups.
    X : data frame or array of shape (n, n_features)
        The rows.
    y : array of shape (n,) or (n, n_targets)
        Their targets.
    by : str, list of str, or array of shape (n,)
        The columns of X that say which group a row is of, which are no features then; or the keys themselves: text,
        numbers, or true and false.
    sample_weight : array of shape (n,), default=None
        Weights of the rows, >= 0; a row of weight 0 is no row. None: all are 1.
    fallback : bool, default=True
        Whether to fit a model of all rows too (of 100,000 drawn at random, where there are more), for rows whose group
        is not among these.
    n_jobs : int, default=-1
        Threads to use; -1 or None: all. The result is the same.
    backend : "threads", "joblib", "ray", dask.distributed.Client or SparkSession, default="threads"
        Where groups are trained: in threads of this process, or on the workers of an engine, such as joblib's current
        backend; the results are the same bits. A worker has a task for each of its threads; `n_jobs` above 0: so many
        threads a task.

    Returns
    -------
    GroupModels
        Predicts, scores and saves all of them.

    Raises
    ------
    TypeError
        If `est` is another estimator, or `X` a Stream.
    ValueError
        If a key is missing, a group has one row or rows of one class alone, or rows are what `fit` refuses: the message
        names the group, and nothing has been trained then.
    DivergedError
        If a group diverges and there is no fallback to take its place; with one, a warning tells which did.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import steepest as st
    >>> random = np.random.default_rng(0)
    >>> table = pd.DataFrame({"shop": np.repeat(["north", "south"], 60), "price": random.uniform(1, 2, 120)})
    >>> sold = np.where(table["shop"] == "north", 5 - table["price"], table["price"])
    >>> models = st.fit_groups(st.MLPRegressor(hidden_layer_sizes=(8,), random_state=0), table, sold, by="shop")
    >>> models.predict(pd.DataFrame({"shop": ["north", "south"], "price": [2.0, 2.0]})).round()
    array([3., 2.])
    """
    est, threads = check_estimator(est), check_jobs(n_jobs)
    fallback = flag("fallback", fallback)
    settings = Settings.of(est.get_params(deep=False), est._losses)
    for name, refuses in _REFUSED.items():
        if refuses(settings):
            raise ValueError(f"{name} is {getattr(est, name)!r}: expected none with groups")
    names, values, X = parted(by, X)
    table = Table(X, y, sample_weight)
    groups = _Groups.read(est, settings, table, names, values)
    random = check_random_state(settings.random_state)
    return groups.fit(random, threads, workers_of(backend, n_jobs), fallback=fallback)


@dataclass(frozen=True)
class _Groups:
    """The rows of all groups, read.

    Parameters
    ----------
    reader : MLPClassifier or MLPRegressor
        Knows the columns.
    settings, task
        Of the estimator, and of the targets of all groups.
    given : Rows
        In any order.
    places : array of int, shape (n,)
        Of those of each group in turn.
    keys : Keys
        Of the groups.
    starts : array of int, shape (groups + 1,)
        Where each begins among these, and the last ends.
    as_table : bool
        Whether an encoder reads the rows.
    """

    reader: Any
    settings: Settings
    task: Any
    given: Rows
    places: NDArray[np.intp]
    keys: Keys
    starts: NDArray[np.intp]
    as_table: bool

    @classmethod
    def read(
        cls, est: Estimator, settings: Settings, table: Table, names: tuple[str, ...], values: list[Any]
    ) -> _Groups:
        """Read rows, targets and keys; refuse groups that nothing can be learned from."""
        reader: Any = clone(est)
        x, given, as_table = reader._read(table.X, table.y, None, settings.encode, online=False)
        weight = read_weight(table.weight, given)
        task = reader._task_of(given, None, settings, None, online=False)
        keys, codes = Keys.learn(names, values)
        if len(codes) != len(given):
            raise ValueError(f"by has {len(codes)} keys: expected one for each of the {len(given)} rows")
        rows = Rows(x, task.encode(given), weight)
        rows = replace(rows, weight=task.weighted(rows.y, weight, settings.class_weight))
        narrow = codes.astype(np.uint16) if len(keys) < 2**16 else codes  # which is sorted in no time
        places = np.argsort(narrow, kind="stable")
        if rows.weight is not None:  # a row without weight is no row
            places = places[rows.weight[places] > 0]
        starts = np.searchsorted(codes[places], np.arange(len(keys) + 1))
        found = cls(reader, settings, task, rows, places, keys, starts, as_table)
        found._check()
        return found

    def _check(self) -> None:
        counts = np.diff(self.starts)
        if few := np.flatnonzero(counts < 2).tolist():
            found = f"the group {self.keys.name(few[0])} has {counts[few[0]]} row{'' if counts[few[0]] else 's'}"
            raise ValueError(f"{found}: expected at least 2{_more(few)}")
        if not isinstance(self.task, Classification) or self.task.multilabel:
            return
        labels, begins = self.given.y[self.places], self.starts[:-1]
        if one := np.flatnonzero(np.minimum.reduceat(labels, begins) == np.maximum.reduceat(labels, begins)).tolist():
            (label,) = self.task.classes[labels[begins[one[:1]]]].tolist()
            found = f"the group {self.keys.name(one[0])} has rows of the class {label!r} alone"
            raise ValueError(f"{found}: expected two classes{_more(one)}")

    def fit(
        self, random: np.random.RandomState, threads: int, workers: Workers | None, *, fallback: bool
    ) -> GroupModels:
        """Train the networks of all groups, some groups at a time, and with `fallback` those of rows of all."""
        n, counts = len(self.places), np.diff(self.starts)
        typical = self.given.at(self.places[: int(np.median(counts))])
        plan = FitPlan.decide(self.settings, typical, random, None, tiny=False, online=False)
        sample = np.sort(random.permutation(n)[:_SAMPLE]) if n > _SAMPLE else np.arange(n)
        preprocessor, _ = Preprocessor.fit(
            self.given.at(self.places[sample]), plan.dtype, bins=0, as_table=self.as_table, scales=False, means=False
        )
        places, starts = self.places, self.starts
        if fallback:  # rows of all are another group
            places, starts = np.concatenate([places, places[sample]]), np.append(starts, n + len(sample))
        rows = self.given.at(places)
        features, targets = self._features(rows.x, preprocessor), self._target_scales(rows, starts)
        inputs = Scales.of(features, rows.weight, starts, trims=True)
        groups = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        rows = replace(rows, x=inputs.applied(features, groups, plan.dtype))
        models = GroupModels.empty(
            self.reader, self.task, preprocessor, self.keys, plan.n_networks, inputs, targets, fallback
        )
        solvers = _Solvers(plan, self.task, Preprocessor(plan.dtype), rows, starts, inputs.varies, targets)
        if self.settings.early_stopping or self.settings.eval_metric:  # a group may have too few rows for it
            for group in range(len(starts) - 1):
                solvers.split(group, self._name)
        diverged: dict[int, DivergedError] = {}
        n_groups = len(starts) - 1
        if workers is None:
            parts = (range(start, min(start + _AT_ONCE, n_groups)) for start in range(0, n_groups, _AT_ONCE))
            found = (one for some in parts for one in solvers.results(some, threads, self._name))
        else:
            far = workers.parts(n_groups)
            tasks = [(solvers.some(part), [self._name(group) for group in part]) for part in far]
            found = (
                (part[i], result)
                for part, results in zip(far, workers.run(_train, None, tasks), strict=True)
                for i, result in results
            )
        for group, result in found:
            if isinstance(result, DivergedError):
                diverged[group] = result
            else:
                models.set(group, result)
        self._give_up(diverged, fallback=fallback)
        models.use_fallback_for(list(diverged))
        return models

    def _name(self, group: int) -> str:
        return f"the group {self.keys.name(group)}" if group < len(self.keys) else "the model of all rows"

    def _features(self, x: Any, preprocessor: Preprocessor) -> NDArray[np.float64]:
        if preprocessor.encoder is not None:
            return preprocessor.encoder.encode(x).unlimited()
        return np.asarray(x.toarray() if hasattr(x, "toarray") else x, np.float64)

    def _target_scales(self, rows: Rows, starts: NDArray[np.intp]) -> Scales | None:
        """Return the scale of each group's numbers to predict; None of classes."""
        if not isinstance(self.task, Regression):
            return None
        found = Scales.of(np.asarray(rows.y, np.float64).reshape(len(rows), -1), rows.weight, starts, trims=False)
        if self.task.is_rate:  # a rate has no offset
            return Scales(np.zeros_like(found.mean), np.where(found.mean > 0, found.mean, 1.0))
        return found

    def _give_up(self, diverged: dict[int, DivergedError], *, fallback: bool) -> None:
        """Warn of groups that have diverged; raise where nothing can take their place."""
        if not diverged:
            return
        first = min(diverged)
        text, error = f"{self._name(first)}: {diverged[first]}", diverged[first]
        if not fallback or len(self.keys) in diverged:
            error.args = (text,)
            raise error
        warnings.warn(
            f"{len(diverged)} of {len(self.keys)} groups diverged, and go by the model of all rows; the first, {text}",
            RuntimeWarning, stacklevel=4,
        )  # fmt: skip


@dataclass
class _Solvers:
    """The training of the networks of each group."""

    plan: FitPlan
    task: Any
    preprocessor: Preprocessor
    rows: Rows  # standardized features, in the order of the groups
    starts: NDArray[np.intp]
    varies: NDArray[np.bool_]  # (groups, features): what is not the same in all rows of a group
    targets: Scales | None
    made: Shared = field(default_factory=Shared)  # layers and optimizers, which do not depend on the group

    def some(self, groups: range) -> _Solvers:
        """Return those of some groups, counted from 0, with the rows of these alone."""
        starts = self.starts[groups.start : groups.stop + 1]
        rows, part = slice(starts[0], starts[-1]), slice(groups.start, groups.stop)
        weight = None if self.rows.weight is None else self.rows.weight[rows]
        plan = replace(self.plan, seed=self.plan.seed + groups.start * self.plan.n_networks)
        return _Solvers(
            plan, self.task, self.preprocessor, Rows(self.rows.x[rows], self.rows.y[rows], weight), starts - starts[0],
            self.varies[part], None if self.targets is None else self.targets.at(part),
        )  # fmt: skip

    def results(
        self, groups: range, threads: int, name: Callable[[int], str]
    ) -> Iterator[tuple[int, FitResult | DivergedError]]:
        """Train some groups; go through them with their outcomes. Errors begin with the name of the group."""
        trainings = [self._begin(group, name) for group in groups]
        fits = [fit for each in trainings for fit in each.fits]
        running = Fits(fits, threads, by_hand=True)
        running.advance()
        ends = iter(running.end())
        for group, each in zip(groups, trainings, strict=True):
            try:
                yield group, each.finish([next(ends) for _ in each.fits], None)
            except DivergedError as error:
                yield group, error

    def split(self, group: int, name: Callable[[int], str]) -> tuple[FitPlan, Any, Split]:
        """Return the plan of a group, its task and which of its rows are held out."""
        whole, task = slice(int(self.starts[group]), int(self.starts[group + 1])), self.task
        weight = None if self.rows.weight is None else self.rows.weight[whole]
        rows = Rows(self.rows.x[whole], self.rows.y[whole], weight)
        if self.targets is not None:
            own = self.targets.at([group])
            task = replace(task, scale=Standardizer(own.mean, np.where(own.scale > 0, own.scale, 1.0)))
        seed = (self.plan.seed + group * self.plan.n_networks) % (2**31 - 1)
        plan = replace(self.plan, seed=seed, tiny=len(rows) < _TINY_ROWS)
        if not (plan.holds_out(len(rows)) or plan.settings.eval_metric):
            return plan, task, Split(rows, None, [])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "y has one row only of the class")  # as groups may well have
            try:
                split = Split.of(plan, task, rows, None, _NO_RANDOM)
            except ValueError as error:
                raise ValueError(f"{name(group)}: {reason_of(error)}") from None
        return plan.with_smoothing(classes=task.is_of_single_labels, held_out=split.holds_out), task, split

    def _begin(self, group: int, name: Callable[[int], str]) -> Trainings:
        plan, task, split = self.split(group, name)
        layers = self.made.of(plan.dropout, lambda: layers_of(plan, task))
        networks = build_networks(plan, layers, split.fitted.x.shape[1], plan.seeds)
        varies = self.varies[group]
        for network in () if varies.all() else networks:
            silence_unseen(network, varies)
        parts, n = split.parts(task, self.preprocessor, split.fitted.x, plan, lambda make: make()), split.n_training
        optimizer = self.made.of((plan.tiny, n), lambda: make_optimizer(plan, task, n))
        return Solver(plan, task, self.preprocessor, Progress(), optimizer).begin(networks, parts, n)


def _train(_: None, task: tuple[_Solvers, list[str]], threads: int) -> list[tuple[int, FitResult | DivergedError]]:
    """Train groups on a worker; return their outcomes, without what nobody asks for."""
    solvers, names = task
    return [
        (group, result if isinstance(result, DivergedError) else replace(result, histories=[]))
        for group, result in solvers.results(range(len(names)), threads, names.__getitem__)
    ]


def _more(others: list[int]) -> str:
    return f" ({len(others)} groups have no more)" if len(others) > 1 else ""
