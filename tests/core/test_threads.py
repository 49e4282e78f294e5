"""The threads of the core beside forks, other processes, limits on processors, and the end of the process."""

from __future__ import annotations

import faulthandler
import hashlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

import steepest as st
from helpers import normal, python, succeeds

HANG = 30  # seconds after which a child counts as hanging: a shared machine may stand still for some
TASKS = Path("/proc/self/task")  # a folder for each thread of this process

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
needs_tasks = pytest.mark.skipif(not TASKS.is_dir(), reason="counts threads in Linux's /proc")
needs_affinity = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="limits the processors of a process")


def make(seed: int, n_hidden: int = 256) -> st.Trainer:
    net = st.Network(64, [st.Dense(n_hidden, "relu"), st.Dropout(0.2), st.Dense(3)], seed=seed)
    return st.Trainer(net, "mse", st.SGD(0.01, momentum=0.9), seed=seed)


def digest(*arrays: NDArray[Any]) -> str:
    """Two are equal only if all bits are."""
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def train(trainer: st.Trainer) -> str:
    """Train and predict."""
    x = normal(trainer.seed, (200, 64))
    losses = trainer.fit(x, x[:, :3], epochs=2, batch_size=64)["loss"]
    return digest(losses, trainer.network.predict(x))


def train_new(seed: int) -> str:
    """Train a new network on two threads."""
    st.set_num_threads(2)
    return train(make(seed))


def n_tasks() -> int:
    return len(list(TASKS.iterdir())) if TASKS.is_dir() else 0


def in_fork(work: Callable[[], str]) -> str:
    """What `work` returns in a forked child; nothing if it fails or hangs."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        faulthandler.register(signal.SIGALRM, chain=True)  # says where it hangs, and dies of it
        signal.alarm(HANG)
        try:
            os.write(writer, work().encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        result = answer.read()
    status = os.waitpid(pid, 0)[1]
    assert status == 0, f"the child was killed by signal {os.WTERMSIG(status)}"
    return result


def forks_after_a_fit() -> None:
    st.set_num_threads(2)
    trainer = make(1)
    train(trainer)

    def predict() -> str:
        return digest(trainer.network.predict(normal(2, (500, 64))))

    for work in (predict, lambda: train(trainer), lambda: train_new(3), lambda: in_fork(lambda: train(trainer))):
        child = in_fork(work)
        assert child == work()


def forks_start_threads_of_their_own() -> None:
    train_new(1)

    def started() -> str:
        before = n_tasks()
        train_new(2)
        return str(n_tasks() - before)

    assert in_fork(started) == "1"
    assert started() == "0"


def forks_during_a_fit() -> None:
    """The child may not touch the network that is at work, but may use any other."""
    st.set_num_threads(2)
    resting, busy = make(1), make(2)
    expected = train(resting), train_new(3)
    x = normal(2, (2000, 64))
    inside, stop = threading.Event(), threading.Event()
    losses: list[float] = []

    def keep_training() -> None:
        while not stop.is_set():
            losses.extend(busy.fit(x, x[:, :3], epochs=1)["loss"])
            inside.set()

    background = threading.Thread(target=keep_training)
    background.start()
    try:
        assert inside.wait(HANG)
        for i in range(20):
            time.sleep(1e-3 * i)  # other moments of the epoch
            assert in_fork(lambda: train_new(3)) == expected[1]
            assert in_fork(lambda: train(resting)) == in_fork(lambda: train(resting))
    finally:
        stop.set()
        background.join()
    assert train(make(1)) == expected[0]
    assert losses == make(2).fit(x, x[:, :3], epochs=len(losses))["loss"].tolist()


def pool_after_a_fit(method: str) -> None:
    expected = [train_new(seed) for seed in range(4)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(train_new, range(4)) == expected


def forked_pool() -> None:
    pool_after_a_fit("fork")


def spawned_pool() -> None:
    pool_after_a_fit("spawn")


def loky_pool() -> None:
    from joblib import Parallel, delayed

    expected = [train_new(seed) for seed in range(4)]
    assert Parallel(n_jobs=2, backend="loky")(delayed(train_new)(seed) for seed in range(4)) == expected


def ends_after_a_fit() -> None:
    train_new(1)


def ends_during_a_fit() -> None:
    st.set_num_threads(2)
    trainer, inside = make(1), threading.Event()
    x = normal(1, (2000, 64))

    def keep_training() -> None:
        while True:
            trainer.fit(x, x[:, :3], epochs=1)
            inside.set()

    threading.Thread(target=keep_training, daemon=True).start()
    assert inside.wait(HANG)


def starts_no_thread_when_told() -> None:
    before = n_tasks()
    train(make(1))
    assert n_tasks() == before


def starts_no_thread_for_a_small_network() -> None:
    st.set_num_threads(2)
    before = n_tasks()
    train(make(1, n_hidden=8))
    assert n_tasks() == before
    train(make(1))
    assert n_tasks() == before + 1


def sleeps_when_idle() -> None:
    st.set_num_threads(3)
    train(make(1))
    start = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - start < 0.1


@needs_fork
@pytest.mark.parametrize("scenario", [forks_after_a_fit, forks_during_a_fit, forked_pool])
def test_forked_children_get_the_same_bits(scenario: Callable[[], None]) -> None:
    succeeds(scenario)


@needs_fork
@needs_tasks
def test_forked_child_has_threads_again() -> None:
    succeeds(forks_start_threads_of_their_own)


def test_spawned_processes_get_the_same_bits() -> None:
    succeeds(spawned_pool)


def test_loky_workers_get_the_same_bits() -> None:
    pytest.importorskip("joblib")
    succeeds(loky_pool)


@pytest.mark.parametrize("scenario", [ends_after_a_fit, ends_during_a_fit])
def test_process_ends(scenario: Callable[[], None]) -> None:
    for _ in range(3):
        succeeds(scenario)


@needs_tasks
def test_no_thread_is_started_without_need() -> None:
    succeeds(starts_no_thread_when_told, STEEPEST_NUM_THREADS="1")
    succeeds(starts_no_thread_for_a_small_network)


def test_idle_threads_sleep() -> None:
    succeeds(sleeps_when_idle)


THREADS = "import steepest; print(steepest.build_info()['threads'])"


@needs_affinity
@pytest.mark.parametrize("limit", [1, None])
def test_default_is_at_most_the_processors_allowed(limit: int | None) -> None:
    limited = f"import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{limit}]); {THREADS}"
    assert 1 <= int(python(limited).stdout) <= (limit or len(os.sched_getaffinity(0)))


def test_number_of_threads_from_the_environment() -> None:
    assert python(THREADS, STEEPEST_NUM_THREADS="3").stdout == "3\n"
    assert python(THREADS, STEEPEST_NUM_THREADS="").stdout == python(THREADS).stdout


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "2 3", "99999999999999999999"])
def test_bad_number_of_threads_in_the_environment(value: str) -> None:
    run = python(THREADS, STEEPEST_NUM_THREADS=value)
    assert run.returncode == 1
    assert f"STEEPEST_NUM_THREADS is '{value}', expected a number" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize("value", [0, -1, 2.5, "2"])
def test_bad_number_of_threads(value: Any) -> None:
    before = st.get_num_threads()
    with pytest.raises((TypeError, ValueError)):
        st.set_num_threads(value)
    assert st.get_num_threads() == before


def test_joblibs_share_of_the_processors_is_kept() -> None:
    assert int(python(THREADS, OMP_NUM_THREADS="1").stdout) == 1
    free = int(python(THREADS, OMP_NUM_THREADS="").stdout)
    assert int(python(THREADS, OMP_NUM_THREADS="1000").stdout) == free
    assert int(python(THREADS, OMP_NUM_THREADS="1", STEEPEST_NUM_THREADS="3").stdout) == 3


def test_threadpoolctl_limits_them_too() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is optional")
    before = st.get_num_threads()
    with threadpoolctl.threadpool_limits(limits=1, user_api="steepest"):
        assert st.get_num_threads() == 1
    assert st.get_num_threads() == before
    (ours,) = (pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "steepest")
    assert ours["num_threads"] == before
    assert ours["version"] == st.__version__
