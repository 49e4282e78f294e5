"""Where independent work is done: by threads of this process, or on workers that an engine has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from .._arrays import shown
from .._core import build_info
from .._extras import require
from ..distributed._engines import library_of
from ..training._many import check_jobs

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[Any, Any, int], Any]  # called with (shared, task, threads)

_EACH = 3  # parts of the work for each thread of a worker, so that a slow one does not hold up all
_VERSION = build_info()["version"]


class Workers:
    """Workers of an engine: what is done there comes out as it would here.

    Parameters
    ----------
    n_slots : int
        Threads that they have in all: so many tasks run at a time, each on one.
    start : callable
        Called as ``start(work, shared, tasks)``: returns the results in order.
    threads : int
        Of each task.
    """

    def __init__(
        self, n_slots: int, start: Callable[[Callable[[Any, Any], Any], Any, Sequence[Any]], list[Any]], threads: int
    ) -> None:
        self.n_slots, self._start, self._threads = max(n_slots, 1), start, threads

    def run(self, work: Work, shared: Any, tasks: Sequence[Any]) -> list[Any]:
        """Call ``work(shared, task, threads)`` for each task, and return the results in order.

        Raises
        ------
        RuntimeError
            If a worker has another version of this package.
        """
        return self._start(partial(_checked, work, _VERSION, self._threads), shared, tasks)

    def parts(self, n: int, *, at_once: bool = False) -> list[range]:
        """Return ranges that together are that of n, so many that all workers have some; or all at the same time."""
        n_parts = min(n, (1 if at_once else _EACH) * self.n_slots)
        ends = [n * i // n_parts for i in range(n_parts + 1)] if n_parts else [0]
        return [range(start, end) for start, end in pairwise(ends)]


def workers_of(backend: Any, n_jobs: int | None) -> Workers | None:
    """Return the workers that are meant; None for threads of this process.

    Parameters
    ----------
    backend : "threads", "joblib", "ray", dask.distributed.Client or SparkSession
        What has them.
    n_jobs : int or None
        Threads of each task where it is above 0; else one, for a worker has a task for each thread.

    Raises
    ------
    TypeError
        If `backend` is none of these.
    """
    threads = 1 if n_jobs in (None, -1) else check_jobs(n_jobs)
    library = library_of(backend)
    if library == "threads":
        return None
    if library == "joblib":
        joblib = require("joblib", "scikit-learn", "backend='joblib'")
        asked = joblib.effective_n_jobs(None)  # 1 where nobody has asked for a number
        n_jobs = asked if asked > 1 else joblib.effective_n_jobs(-1)
        return Workers(n_jobs, partial(_by_joblib, joblib, n_jobs), threads)
    if library == "ray":
        ray = require("ray", "ray", "backend='ray'")
        return Workers(int(ray.cluster_resources().get("CPU", 1)), partial(_by_ray, ray), threads)
    if library == "distributed" and not isinstance(backend, str):
        found = backend.scheduler_info(n_workers=-1)["workers"].values()
        return Workers(sum(worker["nthreads"] for worker in found), partial(_by_dask, backend), threads)
    if library == "pyspark" and not isinstance(backend, str):
        context = backend.sparkContext
        return Workers(context.defaultParallelism, partial(_by_spark, context), threads)
    raise TypeError(
        f'backend is {shown(backend)}: expected "threads", "joblib", "ray", a dask.distributed.Client or a SparkSession'
    )


def _checked(work: Work, version: str, threads: int, shared: Any, task: Any) -> Any:
    """Do a task on a worker, if it has the same version."""
    if version != _VERSION:
        raise RuntimeError(f"a worker has steepest {_VERSION}, and the caller {version}: expected the same")
    return work(shared, task, threads)


def _by_joblib(joblib: Any, n_jobs: int, work: Callable[[Any, Any], R], shared: Any, tasks: Sequence[Any]) -> list[R]:
    return list(joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(work)(shared, task) for task in tasks))


def _by_ray(ray: Any, work: Callable[[Any, Any], R], shared: Any, tasks: Sequence[Any]) -> list[R]:
    task_of, at = ray.remote(num_cpus=1)(_do), ray.put(shared)
    return list(ray.get([task_of.remote(work, at, task) for task in tasks]))  # lost tasks are done again


def _by_dask(client: Any, work: Callable[[Any, Any], R], shared: Any, tasks: Sequence[Any]) -> list[R]:
    at = client.scatter([shared], broadcast=True, hash=False)[0]
    return list(client.gather([client.submit(_do, work, at, task, pure=False) for task in tasks]))


def _by_spark(context: Any, work: Callable[[Any, Any], R], shared: Any, tasks: Sequence[Any]) -> list[R]:
    at = context.broadcast(shared)
    try:
        numbered = context.parallelize(list(tasks), max(len(tasks), 1))
        return list(numbered.map(lambda task: work(at.value, task)).collect())
    finally:
        at.unpersist()


def _do(work: Callable[[Any, Any], R], shared: Any, task: Any) -> R:
    return work(shared, task)
