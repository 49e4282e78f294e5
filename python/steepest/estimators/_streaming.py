"""An estimator's fit on a stream: one pass to learn from, and one for each epoch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from .._arrays import reason_of
from ..stream import Block, Stream
from ..tables._columns import read_target
from ..tables._running import RunningMoments
from ..tables._scaling import Standardizer
from ..training._rows import Batch
from ..training._stream_rows import StreamRows
from ._input import Rows, read_rows, read_weight, takes_encoder
from ._model import Model
from ._networks import NetworkMaker
from ._online import target_scale
from ._params import Settings
from ._plan import FitPlan
from ._preprocess import Preprocessor
from ._regression import Regression
from ._solver import Solver
from ._trainings import FitResult, Part, Progress

_FEW_ROWS = 2000  # up to which a stream is read whole, and fitted as arrays are
_SAMPLE = 100_000  # rows at most that encoders and scales are learned from
_HELD_OUT = 50_000  # rows at most
_BYTES = 1 << 26  # of each of these, which have fewer rows where they are wide
_SHARE = 0.1  # of the rows held out, unless asked otherwise


@dataclass
class _Lottery:
    """Rows with the lowest lots, of all that come: as many as there is room for.

    Parameters
    ----------
    room : int
        Rows that are kept at most.
    limit : float
        Lots from here on are out.
    """

    room: int
    limit: float = 1.0
    blocks: list[Block] = field(default_factory=list)
    lots: list[NDArray[np.float64]] = field(default_factory=list)
    places: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, block: Block, lots: NDArray[np.float64], places: NDArray[np.int64]) -> None:
        """Take in rows with their lots and their numbers in the stream."""
        chosen = np.flatnonzero(lots < self.limit)
        if not len(chosen):
            return
        self.blocks.append(block.at(chosen))
        self.lots.append(lots[chosen])
        self.places.append(places[chosen])
        if sum(map(len, self.lots)) > 2 * self.room:
            self.drawn()

    def drawn(self) -> Block | None:
        """Return the rows in the order of the stream; None if there are none."""
        if not self.lots:
            return None
        lots, places, block = np.concatenate(self.lots), np.concatenate(self.places), Block.joined(self.blocks)
        if len(lots) > self.room:
            self.limit = float(np.partition(lots, self.room)[self.room])
        kept = np.flatnonzero(lots < self.limit)
        kept = kept[np.argsort(places[kept])]
        self.blocks, self.lots, self.places = [block.at(kept)], [lots[kept]], [places[kept]]
        return self.blocks[0]


@dataclass
class _Pass:
    """All that one pass over a stream tells.

    Parameters
    ----------
    sample, held_out : _Lottery
        Rows to learn encoders and scales from, and rows that are not trained on.
    n : int
        Rows in all.
    weighs : bool
        Whether one of them has a weight above 0.
    moments : RunningMoments, optional
        Of the numbers to predict.
    counts : dict of object to float
        Of the labels of rows to train on, by their weights.
    labels : array, optional
        The labels of all rows, sorted.
    """

    sample: _Lottery
    held_out: _Lottery
    n: int = 0
    weighs: bool = False
    moments: RunningMoments | None = None
    counts: dict[Any, float] = field(default_factory=dict)
    labels: NDArray[Any] | None = None

    def count_numbers(self, y: NDArray[Any], weight: NDArray[Any] | None) -> None:
        """Add up the moments of numbers to predict."""
        columns = y.reshape(len(y), -1)
        before = self.moments or RunningMoments.none(columns.shape[1])
        self.moments = before.after(columns.astype(np.float64), weight)

    def count_labels(self, y: NDArray[Any], weight: NDArray[Any] | None, everything: NDArray[Any]) -> None:
        """Count the labels of rows to train on; note those of all rows."""
        labels = np.unique(everything)
        self.labels = labels if self.labels is None else np.unique(np.concatenate([self.labels, labels]))
        names, places = np.unique(y, return_inverse=True)
        for name, count in zip(names.tolist(), np.bincount(places, weight).tolist(), strict=True):
            self.counts[name] = self.counts.get(name, 0.0) + count


def solve_stream(
    estimator: Any, stream: Stream, y: Any, sample_weight: Any, eval_set: Any
) -> tuple[Model[Any], FitResult]:
    """Read, plan, preprocess and train, as an estimator does with arrays; nothing is published yet.

    Parameters
    ----------
    estimator : BaseMLP
        Learns number and names of the columns.
    stream : Stream
        The rows.
    y, sample_weight : object
        Targets and weights of a stream of rows alone; else None.
    eval_set : (X, y) or (X, y, sample_weight) or None
        In place of held-out rows.
    """
    settings = estimator._settings()
    _refuse_what_needs_arrays(settings)
    stream = stream if y is None and sample_weight is None else stream.with_targets(y, sample_weight)
    few = _if_few(stream)
    if few is not None:
        targets = _targets(stream.target or "y", few.y)
        return estimator._solve(few.x, targets, few.weight, eval_set, None, False)  # type: ignore[no-any-return]
    random = check_random_state(settings.random_state)
    seed = int(random.randint(2**31 - 1))
    holds_out = eval_set is None and settings.early_stopping is not False
    share = (settings.validation_fraction or _SHARE) if holds_out else 0.0
    reader = _Reader(estimator, settings, stream)
    found = reader.learn(seed, share)
    sample, held, given_back = reader.parts(found)
    n = found.n - (0 if held is None else len(held))
    if eval_set is not None:
        held = estimator._read_eval_set(
            eval_set, reader.task, as_table=reader.as_table, gaps=settings.encode != "numbers"
        )
    every = Rows(sample.x, np.broadcast_to(0.0, found.n))
    plan = FitPlan.decide(settings, every, random, None, tiny=False, online=False)
    plan = plan.with_smoothing(classes=reader.task.is_of_single_labels, held_out=held is not None)
    preprocessor, features = Preprocessor.fit(
        sample, plan.dtype, bins=plan.recipe.bins, as_table=reader.as_table, robust=settings.encode != "numbers",
        means=False,  # which rows of the sample would learn from their own targets
    )  # fmt: skip
    task = _scaled(reader.task, found.moments)
    trained = replace(sample, x=features, y=task.trained(sample.y, plan.label_smoothing))
    if held is not None:
        held = replace(held, x=preprocessor.features(held.x), y=task.scaled(held.y))
    limit = min(found.held_out.limit, share)

    def keep(places: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (_lots(seed, places) >= limit) | np.isin(places, given_back)

    def convert(block: Block) -> Batch:
        rows = reader.rows(block)
        return preprocessor.features(rows.x), task.trained(rows.y, plan.label_smoothing), rows.weight

    def source() -> StreamRows:
        return StreamRows(stream, convert, units=task.units, by_steps=settings.accumulate > 1, keep=keep, n=n)

    part = Part(lambda: trained, held, source)
    solver = Solver(plan, task, preprocessor, Progress())
    result = solver.begin(
        NetworkMaker(plan, task, features, preprocessor)(plan, plan.seeds), [part] * plan.n_networks, n
    ).run()
    return Model(task, preprocessor, result.networks), result


class _Reader:
    """Reads blocks of a stream as an estimator reads arrays.

    Parameters
    ----------
    estimator : BaseMLP
        Learns number and names of the columns from the first block.
    settings : Settings
        Its parameters.
    stream : Stream
        The rows.
    """

    def __init__(self, estimator: Any, settings: Settings, stream: Stream) -> None:
        self.estimator, self.settings, self.stream = estimator, settings, stream
        self.task: Any = None
        self.class_weight = settings.class_weight
        self.as_table = False
        self._started = False

    def read(self, block: Block) -> Block:
        """Return a block of checked rows, targets as given, and weights."""
        if not self._started:
            self.as_table = takes_encoder(block.x, self.settings.encode, goes_on=True)
        x, y = read_rows(
            self.estimator, block.x, _targets(self.stream.target or "y", block.y),
            as_table=self.as_table, numeric=self.estimator._numeric, reset=not self._started,
        )  # fmt: skip
        self._started = True
        if block.weight is None:
            return Block(x, y, None)
        return Block(x, y, read_weight(block.weight, y) if np.any(block.weight) else np.zeros(len(y)))

    def rows(self, block: Block) -> Rows:
        """Return rows with encoded targets, and weights also of their classes."""
        x, y, weight = self.read(block)
        self.task.check_same(y)
        encoded = self.task.encode(y)
        return Rows(x, encoded, self.task.weighted(encoded, weight, self.class_weight))

    def learn(self, seed: int, share: float) -> _Pass:
        """Go through all rows once; those of the lowest lots, a `share` of them, are for holding out."""
        found: _Pass | None = None
        at = 0
        with self.stream.read_ahead(lambda block: block) as blocks:
            for given in blocks:
                try:
                    block = self.read(given)
                except (TypeError, ValueError) as error:
                    kind = TypeError if isinstance(error, TypeError) else ValueError
                    where = f" (counted from row {at})" if at else ""
                    raise kind(f"{self.stream}: {reason_of(error)}{where}") from None
                if found is None:
                    found = _Pass(_Lottery(_room(block, _SAMPLE)), _Lottery(_room(block, _HELD_OUT)))
                self._take_in(found, block, np.arange(at, at + block.n), seed, share)
                at += block.n
        if found is None or not found.weighs:
            raise ValueError(f"{self.stream} has {'no rows' if found is None else 'only rows of weight 0'}")
        self._learn_task(found)
        return found

    def _take_in(self, found: _Pass, block: Block, places: NDArray[np.int64], seed: int, share: float) -> None:
        """Draw from a block, and count its targets."""
        lots = _lots(seed, places)
        held, trained = np.flatnonzero(lots < share), np.flatnonzero(lots >= share)
        found.held_out.add(block.at(held), lots[held], places[held])
        kept = block.at(trained)
        found.sample.add(kept, _lots(seed + 1, places[trained]), places[trained])
        found.n += block.n
        found.weighs |= block.weight is None or bool(block.weight.any())
        if self.estimator._numeric:
            found.count_numbers(kept.y, kept.weight)
        elif block.y.ndim == 1:
            found.count_labels(kept.y, kept.weight, block.y)

    def _learn_task(self, found: _Pass) -> None:
        sample = found.sample.drawn()
        if sample is None:
            raise ValueError(f"{self.stream} has no rows to train on: expected more")
        y = sample.y if found.labels is None else found.labels
        self.task = self.estimator._task_of(y, None, self.settings, None, online=False)
        if self.settings.class_weight == "balanced" and found.labels is not None:
            mean = sum(found.counts.values()) / len(found.counts)
            counts = {name: found.counts.get(name, 0.0) for name in found.labels.tolist()}
            self.class_weight = {name: mean / count if count else 1.0 for name, count in counts.items()}

    def parts(self, found: _Pass) -> tuple[Rows, Rows | None, NDArray[np.int64]]:
        """Return the sample, the held-out rows, and the numbers of those that are trained on after all.

        These are the ones with labels that no row to train on has.
        """
        sample, held = found.sample.drawn(), found.held_out.drawn()
        given_back = np.empty(0, np.int64)
        if held is not None and found.labels is not None:
            rare = ~np.isin(held.y, list(found.counts))
            given_back, held = found.held_out.places[0][rare], held.at(np.flatnonzero(~rare))
        return self.rows(sample or Block(None, [], None)), self.rows(held) if held and held.n else None, given_back


def _scaled(task: Any, moments: RunningMoments | None) -> Any:
    """Return the task with the scale of numbers of these moments."""
    if not isinstance(task, Regression) or moments is None:
        return task
    mean, scale = target_scale(task, moments)
    return replace(task, scale=Standardizer(mean[None], scale[None]))


def _refuse_what_needs_arrays(settings: Settings) -> None:
    for name, refused in (("warm_start", True), ("solver", "lbfgs"), ("preset", "sklearn")):
        if getattr(settings, name) == refused:
            raise ValueError(f"{name} is {refused!r}, which does not go with a stream: expected another, or arrays")


def _if_few(stream: Stream) -> Block | None:
    """Return all rows, if they are few."""
    read: list[Block] = []
    for block in stream.blocks():
        read.append(block)
        if sum(each.n for each in read) > _FEW_ROWS:
            return None
    if not read:
        raise ValueError(f"{stream} has no rows: expected one at least")
    return Block.joined(read)


def _room(block: Block, most: int) -> int:
    """Return how many rows such as these may be kept."""
    return int(min(most, max(1, _BYTES * block.n // max(getattr(block.x, "nbytes", 0), 1))))


def _targets(name: str, values: Any) -> Any:
    """Return targets as an array; a column of a table is read as tables are."""
    return values if isinstance(values, np.ndarray) else read_target(name, values)


def _lots(seed: int, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a random number in [0, 1) for each row's number, the same whenever it is asked for.

    That is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        z = (places.astype(np.uint64) + np.uint64(seed % 2**32 * 2**31) + np.uint64(1)) * step
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((z ^ (z >> np.uint64(31))) >> np.uint64(11)) / float(1 << 53)
