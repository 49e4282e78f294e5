"""A search for good parameters: candidates trained together, and by halving only the better ones to the end."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import ParameterSampler, ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import check_random_state

from .._arrays import shown
from .._core import DivergedError
from .._validation import choice, integer, number
from ..estimators import MLPClassifier
from ..estimators._params import Settings
from ..estimators._shared import Shared
from ..training._fits import Fits
from ..training._many import check_jobs
from ._backend import Workers, workers_of
from ._pending import Estimator, PendingFit, Table, check_estimator, scorer_of

if TYPE_CHECKING:
    import pandas

Places = tuple[NDArray[np.intp], NDArray[np.intp]]  # of training rows, and of test rows

_METHODS = ("halving", "random")
_KEPT = 4  # of so many candidates one goes on, after a fourth of the epochs, and a sixteenth
_FEWEST_TO_HALVE = 2 * _KEPT
_FEW_ROWS = 2000  # up to which a score is the mean of five folds
_HELD_OUT = 0.2  # of more rows


class _TimeIsUpError(Exception):
    """The search has taken as long as it may."""


@dataclass
class SearchResult:
    """The outcome of a search.

    Attributes
    ----------
    best_params_ : dict of str to object
        The parameters of the best candidate.
    best_score_ : float
        Its mean score; the larger, the better.
    best_estimator_ : MLPClassifier or MLPRegressor
        An estimator with these, fitted on all rows.
    cv_results_ : dict of str to list
        For each candidate: "params"; "mean_score" and "std_score" over the folds, when it was last looked at; "share",
        of its epochs until then; "diverged"; and "rank", from 1.
    seconds_ : float
        What the search took, without the last fit.

    Examples
    --------
    >>> import steepest as st
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> space = {"hidden_layer_sizes": [(8,), (16,)]}
    >>> found = st.search(st.MLPRegressor(max_iter=5), space, X, y, n=2, random_state=0)
    >>> sorted(found.best_params_), len(found.cv_results_["rank"]), found.predict(X[:3]).shape
    (['hidden_layer_sizes'], 2, (3,))
    """

    best_params_: dict[str, Any]
    best_score_: float
    best_estimator_: Estimator
    cv_results_: dict[str, list[Any]] = field(repr=False)
    seconds_: float = 0.0

    def to_frame(self) -> pandas.DataFrame:
        """Return the candidates as a pandas DataFrame, the best first: a column for each parameter and number."""
        import pandas

        columns = {name: values for name, values in self.cv_results_.items() if name != "params"}
        frame = pandas.DataFrame({"rank": columns.pop("rank")} | columns)
        params = pandas.DataFrame({"params": self.cv_results_["params"]})["params"]
        for name in dict.fromkeys(name for given in params for name in given):
            frame[name] = [given.get(name) for given in params]
        return frame.sort_values("rank", kind="stable").reset_index(drop=True)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict by the best estimator."""
        return self.best_estimator_.predict(X)


def search(
    est: Estimator,
    space: Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    n: int = 60,
    cv: Any = None,
    groups: Any = None,
    method: str = "halving",
    scoring: str | Callable[..., float] | None = None,
    sample_weight: Any = None,
    time_limit: float | None = None,
    n_jobs: int | None = -1,
    random_state: Any = None,
    backend: Any = "threads",
) -> SearchResult:
    """Search for the parameters with the best score on rows that were not trained on.

    All candidates see the same folds, and those that read the rows alike share one copy of their features.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor
        Has the parameters that are not searched for; it stays as it is.
    space : mapping of str to list or distribution
        What to choose from for each parameter: a list of values, or anything with `rvs`, as of scipy.stats.
    X : array, sparse matrix or data frame of shape (n, n_features)
        The rows.
    y : array of shape (n,) or (n, n_targets)
        Their targets.
    n : int, default=60
        Candidates to draw, >= 1; fewer where lists have no more combinations.
    cv : int, splitter of scikit-learn's, or iterable of (training places, test places), default=None
        The folds. None: five up to 2,000 rows, else one split that holds out a fifth.
    groups : array of shape (n,), default=None
        The group of each row, for a splitter such as GroupKFold.
    method : {"halving", "random"}, default="halving"
        "random" trains all candidates to their ends. "halving" (successive halving: Jamieson and Talwalkar, 2016) looks
        at them after a sixteenth and a fourth of their epochs, and each time only the better fourth goes on, where it
        stopped. Candidates that need Python for each epoch are halved too, one after the other.
    scoring : str or callable, default=None
        By scikit-learn's names, or called as ``scoring(est, X, y)``; None: the accuracy or R².
    sample_weight : array of shape (n,), default=None
        Weights of the rows in training, >= 0. None: 1 for all.
    time_limit : float, default=None
        Seconds, > 0, after which candidates are judged by what they have come to. The last fit comes after it.
    n_jobs : int, default=-1
        Threads to use; -1 or None: all.
    random_state : int, RandomState or None, default=None
        Draws the candidates, the split, and the seed of all candidates if `est` has none.
    backend : "threads", "joblib", "ray", dask.distributed.Client or SparkSession, default="threads"
        Where candidates are trained: in threads of this process, or on workers of an engine, such as joblib's current
        backend; the results are the same bits. A worker has a task for each of its threads; `n_jobs` above 0: so many
        threads a task.
        Candidates that go on begin anew on workers, which takes a fifth more
        epochs in all.

    Returns
    -------
    SearchResult
        The best candidate, fitted on all rows, and the scores of all.

    Raises
    ------
    TypeError
        If `est` is another estimator, `space` is no mapping, or `X` is a Stream.
    ValueError
        If `space` is empty, names no parameter of `est`, or has a value out of a parameter's range: all candidates are
        checked before the first is trained. If rows are what `fit` refuses.
    DivergedError
        If the trainings of all candidates diverge; a FitFailedWarning tells how many have.

    Examples
    --------
    >>> import steepest as st
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> space = {"hidden_layer_sizes": [(16,), (64,), (64, 64)], "learning_rate_init": loguniform(1e-3, 3e-2)}
    >>> found = st.search(st.MLPRegressor(max_iter=40), space, X, y, n=12, random_state=0)
    >>> found.best_score_ > 0.4
    True
    """
    started = time.perf_counter()
    est, threads = check_estimator(est), check_jobs(n_jobs)
    choice("method", method, _METHODS)
    limit = math.inf if time_limit is None else started + number("time_limit", time_limit, gt=0)
    random = check_random_state(random_state)
    candidates = _candidates(est, space, integer("n", n, ge=1), random)
    scorer, table = scorer_of(est, scoring), Table(X, y, sample_weight)
    folds = table.splits(est, _default_folds(est, y, random) if cv is None else cv, groups)
    workers = workers_of(backend, n_jobs)
    if workers is None:
        contest: _Contest | _FarContest = _Contest(candidates, folds, table, scorer, threads, limit)
    else:
        contest = _FarContest(candidates, _Looker(folds, table, scorer), workers, limit)
    if method == "halving" and len(candidates) >= _FEWEST_TO_HALVE:
        shares = [1 / _KEPT**2, 1 / _KEPT, 1.0] if len(candidates) >= _KEPT**2 else [1 / _KEPT, 1.0]
    else:
        shares = [1.0]
    _halve(contest, shares)
    results = _results(candidates)
    seconds = time.perf_counter() - started
    best = results["rank"].index(1)
    params, seed = candidates[best].params, candidates[best].estimator.random_state
    fitted = clone(est).set_params(random_state=seed).set_params(**params).fit(table.X, table.y, sample_weight)
    return SearchResult(params, results["mean_score"][best], fitted, results, seconds)


@dataclass
class _Candidate:
    """Parameters, and how far they have come."""

    params: dict[str, Any]
    estimator: Estimator
    scores: list[float] = field(default_factory=list)
    looks: int = 0
    share: float = 0.0  # of the epochs
    diverged: DivergedError | None = None

    @property
    def mean(self) -> float:
        """The mean score over the folds, -inf where there is none."""
        return float(np.mean(self.scores)) if self.scores and not np.isnan(self.scores).any() else -math.inf

    @property
    def standing(self) -> tuple[int, float]:
        """How far it came, and its score: the larger, the better its rank."""
        return 0 if self.diverged is not None else self.looks, self.mean


class _Contest:
    """Candidates that are trained on folds and looked at."""

    def __init__(
        self,
        candidates: list[_Candidate],
        folds: Sequence[Places],
        table: Table,
        scorer: Callable[..., float],
        threads: int,
        limit: float,
    ) -> None:
        self.candidates, self.scorer, self.limit = candidates, scorer, limit
        self.tests = [table.at(test)[:2] for _, test in folds]
        parts = [(table.at(training), Shared()) for training, _ in folds]
        self.pending = [
            [PendingFit(clone(candidate.estimator), *rows, shared) for rows, shared in parts]
            for candidate in candidates
        ]
        fits, self.places = [], []  # of each candidate's fits, by fold
        for row in self.pending:
            self.places.append([range(len(fits), len(fits := [*fits, *each.fits])) for each in row])
        by_hand = any(each.by_hand for row in self.pending for each in row)
        self.epochs = [fit.epochs for fit in fits]
        self.running = Fits(fits, threads, by_hand=by_hand, progress=self._look_at_the_clock)

    def advance(self, going_on: Sequence[int], share: float) -> bool:
        """Go on to this share of the epochs with some candidates, and score them; return whether the time is up."""
        which = self._fits_of(going_on)
        time_is_up = False
        try:
            self.running.advance([math.ceil(share * self.epochs[place]) for place in which], which)
        except _TimeIsUpError:
            time_is_up = True
        for i in going_on:
            self._judge(i, self._share_of(i) if time_is_up else share, whole=share == 1 and not time_is_up)
        return time_is_up or time.perf_counter() > self.limit

    def drop(self, candidates: Sequence[int]) -> None:
        """End the trainings of some."""
        self.running.end(self._fits_of(candidates))

    def _fits_of(self, candidates: Sequence[int]) -> list[int]:
        return [place for i in candidates for fold in self.places[i] for place in fold]

    def _look_at_the_clock(self, _: int) -> None:
        if time.perf_counter() > self.limit:
            raise _TimeIsUpError

    def _share_of(self, i: int) -> float:
        """Return how much of its epochs a candidate has had; one that stopped early has had all."""
        found = [self.running.share(place) for fold in self.places[i] for place in fold]
        return min(found, default=1.0)

    def _judge(self, i: int, share: float, *, whole: bool) -> None:
        """Take in the scores of a candidate."""
        candidate, scores = self.candidates[i], []
        try:
            for each, places, (X, y) in zip(self.pending[i], self.places[i], self.tests, strict=True):
                for error in filter(None, (self.running.running[place].diverged for place in places)):
                    raise error
                if not each.fits and candidate.scores:  # it was trained at the first look
                    candidate.looks, candidate.share = candidate.looks + 1, share
                    return
                if not each.fits and time.perf_counter() > self.limit:
                    return
                fitted = each.finish(self.running.end(places)) if whole or not each.fits else each.now()
                scores.append(float(self.scorer(fitted, X, y)))
        except DivergedError as error:
            candidate.diverged, scores = error, [math.nan] * len(self.tests)
        candidate.scores, candidate.share = scores, share
        candidate.looks += 1


@dataclass(frozen=True)
class _Looker:
    """All that a worker needs to train candidates and to look at them."""

    folds: Sequence[Places]
    table: Table
    scorer: Callable[..., float]

    def look(self, task: tuple[list[_Candidate], float, float], threads: int) -> tuple[list[_Candidate], bool]:
        """Train candidates from the start to a share of their epochs, for so many seconds; return them with scores."""
        candidates, share, seconds = task
        limit = time.perf_counter() + seconds
        contest = _Contest(candidates, self.folds, self.table, self.scorer, threads, limit)
        time_is_up = contest.advance(range(len(candidates)), share)
        return candidates, time_is_up


@dataclass
class _FarContest:
    """Candidates that are trained and looked at by workers."""

    candidates: list[_Candidate]
    looker: _Looker
    workers: Workers
    limit: float

    def advance(self, going_on: Sequence[int], share: float) -> bool:
        """As `_Contest`."""
        at_once = math.isfinite(self.limit)  # a part that waits for others would not keep it
        parts = [[going_on[i] for i in part] for part in self.workers.parts(len(going_on), at_once=at_once)]
        seconds = self.limit - time.perf_counter()
        tasks = [([replace(self.candidates[i]) for i in part], share, seconds) for part in parts]  # copies, in threads
        time_is_up = False
        for part, (found, over) in zip(parts, self.workers.run(_Looker.look, self.looker, tasks), strict=True):
            time_is_up |= over
            for i, candidate in zip(part, found, strict=True):
                if candidate.diverged is not None or candidate.share >= self.candidates[i].share:
                    vars(self.candidates[i]).update(vars(candidate))  # one that has begun anew may have come less far
        return time_is_up

    def drop(self, candidates: Sequence[int]) -> None:
        """As `_Contest`: nothing of them goes on."""


def _halve(contest: _Contest | _FarContest, shares: Sequence[float]) -> None:
    """Go on to each of these shares of the epochs, with the better candidates each time."""
    candidates = contest.candidates
    going_on = list(range(len(candidates)))
    for share in shares:
        if share > shares[0]:
            going_on.sort(key=lambda i: -candidates[i].mean)
            n = math.ceil(len(going_on) / _KEPT)
            contest.drop(going_on[n:])
            going_on = going_on[:n]
        if contest.advance(going_on, share):
            return


def _results(candidates: Sequence[_Candidate]) -> dict[str, list[Any]]:
    """Return the table of all candidates, and say what diverged."""
    diverged = [candidate.diverged for candidate in candidates if candidate.diverged is not None]
    if len(diverged) == len(candidates):
        raise diverged[0]
    if not any(candidate.scores for candidate in candidates):
        raise ValueError("time_limit has passed before the first candidate was trained: expected more seconds")
    if diverged:
        warnings.warn(
            f"{len(diverged)} of {len(candidates)} candidates diverged, the first one: {diverged[0]}",
            FitFailedWarning, stacklevel=3,
        )  # fmt: skip
    # Those that have come further are before those that have not: only the better ones went on.
    order = sorted(range(len(candidates)), key=lambda i: candidates[i].standing, reverse=True)
    ranks = {i: rank for rank, i in enumerate(order, 1)}
    return {
        "params": [candidate.params for candidate in candidates],
        "mean_score": [float(np.mean(candidate.scores or math.nan)) for candidate in candidates],
        "std_score": [float(np.std(candidate.scores or math.nan)) for candidate in candidates],
        "share": [candidate.share for candidate in candidates],
        "diverged": [candidate.diverged is not None for candidate in candidates],
        "rank": [ranks[i] for i in range(len(candidates))],
    }


def _candidates(est: Estimator, space: Mapping[str, Any], n: int, random: np.random.RandomState) -> list[_Candidate]:
    """Draw candidates; each is checked before any is trained."""
    if not isinstance(space, Mapping):
        raise TypeError(f"space is {shown(space)}: expected a mapping from parameters to lists or distributions")
    known = est.get_params(deep=False)
    if not space:
        raise ValueError("space is empty: expected a parameter with a list of values or a distribution")
    for name, values in space.items():
        if name not in known:
            raise ValueError(f"space has {name!r}: expected parameters of {type(est).__name__}, {', '.join(known)}")
        if not hasattr(values, "rvs") and (
            isinstance(values, str) or not hasattr(values, "__len__") or not len(values)
        ):
            raise ValueError(
                f"space[{name!r}] is {shown(values)}: expected a list of values, or a distribution with rvs"
            )
    seed = (
        {} if est.random_state is not None or "random_state" in space else {"random_state": int(random.randint(2**31))}
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The total space of parameters", UserWarning)  # which is no fault
        drawn = list(ParameterSampler(dict(space), n, random_state=random))
    candidates = []
    for params in drawn:
        candidate = clone(est).set_params(**params)
        Settings.of(candidate.get_params(deep=False), candidate._losses)
        if candidate.warm_start:
            raise ValueError("warm_start is True: expected candidates that are trained anew")
        candidates.append(_Candidate(dict(params), candidate.set_params(**seed)))
    return candidates


def _default_folds(est: Estimator, y: Any, random: np.random.RandomState) -> Any:
    if len(y) <= _FEW_ROWS:
        return 5
    of_classes = isinstance(est, MLPClassifier) and np.ndim(y) == 1
    of_classes = of_classes and np.unique(np.asarray(y), return_counts=True)[1].min() > 1
    kind = StratifiedShuffleSplit if of_classes else ShuffleSplit
    return kind(n_splits=1, test_size=_HELD_OUT, random_state=int(random.randint(2**31 - 1)))
