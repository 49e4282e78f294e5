"""How the number of threads is found by trying, on simulated machines of up to 64: near the best, at little cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytest

from steepest._core import Chooser, team_sizes

Costs = Callable[[float, int], list[float]]  # of each way, from the time and the number of the call

THREADS = [4, 8, 16, 32, 64]
WARM_UP = 400  # calls that do not count
CLOSE = 1.05  # what the way in use may cost, times the best
ALL_IN_ALL = 1.06  # what all calls may cost, trials included, times those of the best way
STALL = 100.0  # times as long as it would be, where the system interrupts a call

# Seconds of a call by the size of the team, on so many threads.
SHAPES: dict[str, Callable[[int, int], float]] = {
    "perfect scaling": lambda size, threads: 1 / size,
    "one is best": lambda size, threads: float(size),
    "one is a little better": lambda size, threads: 1 + 0.04 * math.log2(size),
    "all but perfect": lambda size, threads: 0.1 + 1 / size,
    "many wait": lambda size, threads: 1 / size + 0.0005 * size,
    "a = 2, b = 1": lambda size, threads: 2 / size + size,
    "a = 16, b = 1": lambda size, threads: 16 / size + size,
    "a = 100, b = 1": lambda size, threads: 100 / size + size,
    "a = 300, b = 1": lambda size, threads: 300 / size + size,
    "a = 1000, b = 1": lambda size, threads: 1000 / size + size,
    "all the same": lambda size, threads: 1.0,
    "nearly the same": lambda size, threads: 1 + 0.04 / size,
    "cliff": lambda size, threads: 1 / size if size < threads else 20 / size,
}
# No way is better than the one beside it by 3%, yet the best is better than the first by more than 5.
SHALLOW: dict[str, Callable[[int, int], float]] = {
    "slope": lambda size, threads: 1 - 0.025 * math.log2(size),
    "valley": lambda size, threads: 1 + 0.004 * (math.log2(size) - 5) ** 2,
    "a serial part": lambda size, threads: 1 + 0.0605 / size,
}


class Use(NamedTuple):
    """What simulated calls have cost, after the warm-up."""

    seconds: np.ndarray[tuple[int], np.dtype[np.float64]]  # of each way
    best: float  # seconds of the same calls in the best way

    @property
    def way(self) -> int:
        """The way that was in use most of the time."""
        return int(self.seconds.argmax())

    @property
    def ratio(self) -> float:
        """All seconds to those of the best way."""
        return float(self.seconds.sum() / self.best)


def disturbances(noise: float, stalls: float, seed: int) -> Iterator[float]:
    """Factors of the time of one call after the other, whatever its way."""
    draw = np.random.default_rng(seed)
    while True:
        factors = 1 + noise * draw.standard_normal(1000)
        yield from np.where(draw.random(1000) < stalls, STALL * factors, factors).tolist()


def simulate(
    chooser: Chooser,
    costs: Costs,
    calls: int,
    factors: Iterator[float] | None = None,
    works: Iterator[float] | None = None,
) -> Use:
    """Make calls: each takes as long as its way costs for a unit of work."""
    factors, works = factors or itertools.repeat(1.0), works or itertools.repeat(1.0)
    now, best, seconds = 0.0, 0.0, np.zeros(len(costs(0.0, 0)))
    for call, factor, work in zip(range(calls), factors, works, strict=False):
        found, way, measures = costs(now, call), chooser.way, chooser.measures()
        taken = found[way] * factor * work
        if measures:
            chooser.record(taken, work)
        now += taken
        if call >= WARM_UP:
            seconds[way] += taken
            best += min(found) * factor * work
    return Use(seconds, best)


def machine(shape: Callable[[int, int], float], threads: int) -> list[float]:
    """The cost of each size of the team."""
    return [shape(size, threads) for size in team_sizes(threads)]


def check(shape: Callable[[int, int], float], threads: int, first: str, noise: float, stalls: float) -> None:
    costs = machine(shape, threads)
    for seed in range(2 if noise or stalls else 1):
        chooser = Chooser(len(costs), 0 if first == "one" else len(costs) - 1)
        use = simulate(chooser, lambda now, call: costs, 15_000, disturbances(noise, stalls, seed))
        size, ratio = team_sizes(threads)[use.way], costs[use.way] / min(costs)
        assert ratio <= CLOSE, f"{size} threads are in use, at {ratio:.3f} times the best cost"
        assert use.ratio <= ALL_IN_ALL, f"all calls took {use.ratio:.3f} times as long as by the best"


firsts = pytest.mark.parametrize("first", ["one", "all"])
sizes = pytest.mark.parametrize("threads", THREADS)


# --- Machines that stay as they are ---


@firsts
@sizes
@pytest.mark.parametrize("shape", SHAPES)
def test_the_best_size_is_found_and_kept(shape: str, threads: int, first: str) -> None:
    check(SHAPES[shape], threads, first, 0.0, 0.0)


@firsts
@sizes
@pytest.mark.parametrize("stalls", [0.0, 0.001, 0.01], ids=["no stalls", "rare stalls", "stalls"])
@pytest.mark.parametrize("shape", ["perfect scaling", "one is best", "a = 16, b = 1", "many wait", "all the same"])
def test_noise_and_stalls_do_not_mislead(shape: str, stalls: float, threads: int, first: str) -> None:
    check(SHAPES[shape], threads, first, 0.02, stalls)


@pytest.mark.parametrize("shape", SHALLOW)
def test_a_long_shallow_slope_is_gone_down(shape: str) -> None:
    check(SHALLOW[shape], 64, "one", 0.0, 0.0)


# --- Machines that change ---


@sizes
def test_another_best_size_is_found_soon(threads: int) -> None:
    """What one thread did best, all do best from the call 20,000 on, and the other way round."""
    n = len(team_sizes(threads))
    rising, falling = [2.0**i for i in range(n)], [2.0 ** (n - 1 - i) for i in range(n)]
    for before, after in ((rising, falling), (falling, rising)):
        chooser = Chooser(n, 0)
        simulate(chooser, lambda now, call: before, 20_000)  # noqa: B023
        simulate(chooser, lambda now, call: after, 2_000)  # noqa: B023
        use = simulate(chooser, lambda now, call: after, 10_000)  # noqa: B023
        assert after[use.way] <= CLOSE * min(after) and use.ratio <= ALL_IN_ALL


@pytest.mark.parametrize("threads", [4, 8, 64])
@pytest.mark.parametrize(
    ("slower", "lasts"), [(1.5, 10_000), (2.0, 20_000), (3.0, 20_000), (5.0, 50_000), (50.0, 50_000)], ids=str
)
def test_another_program_comes_and_goes(threads: int, slower: float, lasts: int) -> None:
    """It holds half of the processors for as long as so many undisturbed calls take, and is away for as long.

    Whatever needs more than the other half is so many times slower meanwhile.
    """
    sizes, free = team_sizes(threads), machine(SHAPES["many wait"], threads)
    fastest = min(free)
    free = [cost / fastest for cost in free]
    held = [cost * (slower if size > threads // 2 else 1) for cost, size in zip(free, sizes, strict=True)]

    def costs(now: float, call: int) -> list[float]:
        return held if int(now // lasts) % 2 else free

    for noise in (0.0, 0.02):
        use = simulate(Chooser(len(sizes), len(sizes) - 1), costs, 4 * lasts, disturbances(noise, 0.0, 1))
        assert use.ratio <= ALL_IN_ALL, f"all calls took {use.ratio:.3f} times as long as by the best of the moment"


# --- Calls that differ ---


@firsts
@pytest.mark.parametrize("most", [1.5, 4.0, 10.0])
def test_what_counts_is_the_cost_of_a_unit_of_work(most: float, first: str) -> None:
    """Calls of random amounts of work."""
    draw = np.random.default_rng(0)
    for shape in ("perfect scaling", "one is best", "a = 16, b = 1"):
        costs = machine(SHAPES[shape], 16)
        chooser = Chooser(len(costs), 0 if first == "one" else len(costs) - 1)
        use = simulate(chooser, lambda now, call: costs, 15_000, None, iter(draw.uniform(1, most, 15_000).tolist()))  # noqa: B023
        assert costs[use.way] <= CLOSE * min(costs) and use.ratio <= ALL_IN_ALL


@pytest.mark.parametrize("last", [0.5, 0.1, 0.03])
@pytest.mark.parametrize("steps", [4, 12, 16, 31])
def test_a_short_last_batch_in_each_epoch_does_not_mislead(steps: int, last: float) -> None:
    for threads, shape, first in itertools.product((2, 16), ("perfect scaling", "one is best"), ("one", "all")):
        costs = machine(SHAPES[shape], threads)
        chooser = Chooser(len(costs), 0 if first == "one" else len(costs) - 1)
        works = itertools.cycle([1.0] * (steps - 1) + [last])
        use = simulate(chooser, lambda now, call: costs, 10_000, None, works)  # noqa: B023
        what = f"{shape} on {threads} threads, from {first}"
        assert costs[use.way] <= CLOSE * min(costs), f"{what}: {costs[use.way] / min(costs):.3f} times the best cost"
        assert use.ratio <= ALL_IN_ALL, f"{what}: all calls took {use.ratio:.3f} times as long as by the best"


# --- Two ways ---


@pytest.mark.parametrize("other", [1.0, 1.02, 1.5, 2.0, 3.0, 10.0, 100.0, 1000.0])
@pytest.mark.parametrize("starts_well", [True, False])
def test_what_trials_of_two_ways_cost_is_bounded(other: float, starts_well: bool) -> None:
    """At any time: six trials before they become rare, and then a twenty-fifth of the time.

    A trial has up to 16 calls, and ends when it has taken as long as 32 good ones; the last call may be a slow one.
    Where the first way is the worse one, its first block comes on top.
    """
    costs = [1.0, other] if starts_well else [other, 1.0]
    chooser, lost, now = Chooser(2, 0), 0.0, 0.0
    trial = min(16 * other, 32 + other)
    allowed = 6 * trial + (0 if starts_well else 16 * other)
    for call in range(60_000):
        way, measures = chooser.way, chooser.measures()
        if measures:
            chooser.record(costs[way], 1.0)
        now += costs[way]
        lost += costs[way] - 1
        assert lost <= allowed + now / 25, f"call {call}: {lost:.1f} of {now:.1f} s were lost"


def test_no_way_but_one_is_never_measured() -> None:
    chooser = Chooser(1, 0)
    for _ in range(100):
        assert chooser.way == 0 and not chooser.measures()
    assert Chooser(3, 9).way == 2


def test_calls_between_trials_are_not_measured() -> None:
    chooser, measured = Chooser(2, 0), 0
    for _ in range(20_000):
        way = chooser.way
        if chooser.measures():
            measured += 1
            chooser.record(1.0 + way, 1.0)
        else:
            assert way == chooser.way == 0
    assert 0 < measured < 20_000 / 10


def test_sizes_of_teams() -> None:
    assert [team_sizes(threads) for threads in (1, 2, 3, 4)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4]]
    assert team_sizes(6) == [1, 2, 4, 6] and team_sizes(48) == [1, 2, 4, 8, 16, 32, 48]
    for threads in THREADS:
        assert team_sizes(threads) == [2**i for i in range(int(math.log2(threads)) + 1)]
