"""Ranks on the workers of an engine that the user has started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .._arrays import shown
from .._extras import require
from ._hub import Hub, connect

Rank = Callable[[Any], Any]  # called with (rank, shard)


def run_on(
    engine: Any, function: Callable[[Any, Any], Any], shards: Sequence[Any], *, host: str | None = None
) -> list[Any]:
    """Call a function on as many workers as there are shards, at the same time, each with a comm to the others.

    The comm goes through this process, which workers must be able to reach.

    Parameters
    ----------
    engine : dask.distributed.Client, SparkSession, or "ray"
        What has the workers: one for each shard.
    function : callable
        Called as ``function(comm, shard)``, such as one that calls ``trainer.fit(*shard, comm=comm)``. The engine must
        be able to pickle it, and what it returns.
    shards : sequence
        For each rank its part of the data, or what it needs to read that.
    host : str, default=None
        The name or number by which workers reach this machine. None: it is found.

    Returns
    -------
    list
        What the function returned on each rank.

    Raises
    ------
    TypeError
        If `engine` is none of these.
    ValueError
        If there are fewer workers than shards, or no shards.
    RankError
        If a rank has gone, on the others; the engine's own error where it knows of it first. Nothing is tried again,
        for a training goes on from its checkpoint: call this again with a function that resumes it.

    Examples
    --------
    >>> from steepest.distributed import run_on
    >>> def share(comm, rows):
    ...     return comm.rank, len(rows)
    >>> run_on("ray", share, [[1, 2], [3]])  # doctest: +SKIP
    [(0, 2), (1, 1)]
    """
    start = _start_of(engine)
    if not len(shards):
        raise ValueError("shards is empty: expected one for each rank")
    with Hub(len(shards), host) as hub:
        return start(partial(_run_rank, function, hub.address), list(enumerate(shards)))


def _run_rank(function: Callable[[Any, Any], Any], address: str, place: tuple[int, Any]) -> Any:
    rank, shard = place
    comm = connect(address, rank)
    try:
        return function(comm, shard)
    finally:
        comm.close()


def _call(rank: Rank, place: Any) -> Any:
    return rank(place)


def library_of(engine: Any) -> str:
    """Return the name of the library that an engine is of; a string is a name itself."""
    return engine if isinstance(engine, str) else type(engine).__module__.partition(".")[0]


def _start_of(engine: Any) -> Callable[[Rank, list[Any]], list[Any]]:
    library = library_of(engine)
    if library == "ray":
        return _on_ray
    if library in ("distributed", "pyspark") and not isinstance(engine, str):
        return partial(_on_dask if library == "distributed" else _on_spark, engine)
    raise TypeError(f'engine is {shown(engine)}: expected a dask.distributed.Client, a SparkSession or "ray"')


def _check_workers(found: int, size: int) -> None:
    if found < size:
        raise ValueError(f"shards has {size}, and the engine {found} workers: expected one for each")


def _on_dask(client: Any, rank: Rank, places: list[Any]) -> list[Any]:
    distributed = require("distributed", "distributed", "run_on")
    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    _check_workers(len(workers), len(places))
    futures = [
        client.submit(rank, place, workers=[worker], pure=False, retries=0)
        for place, worker in zip(places, workers, strict=False)
    ]
    try:
        for future in distributed.as_completed(futures):
            future.result()  # of the first one that fails: others may wait for a worker that has gone
        return [future.result() for future in futures]
    finally:
        client.cancel(futures)


def _on_ray(rank: Rank, places: list[Any]) -> list[Any]:
    ray = require("ray", "ray", "run_on")
    _check_workers(int(ray.cluster_resources().get("CPU", 0)), len(places))
    task = ray.remote(max_retries=0, num_cpus=1, scheduling_strategy="SPREAD")(_call)
    waiting = found = [task.remote(rank, place) for place in places]
    try:
        while waiting:
            (done,), waiting = ray.wait(waiting)
            ray.get(done)
        return list(ray.get(found))
    finally:
        for one in waiting:
            ray.cancel(one, force=True)


def _on_spark(session: Any, rank: Rank, places: list[Any]) -> list[Any]:
    context = session.sparkContext
    _check_workers(context.defaultParallelism, len(places))
    shards = context.parallelize(places, len(places)).barrier()
    return list(shards.mapPartitions(lambda part: [rank(place) for place in part]).collect())
