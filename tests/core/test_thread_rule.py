"""Any number of threads predict, and what they see is whole; those that write wait for each other."""

from __future__ import annotations

import gc
import os
import signal
import sysconfig
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from helpers import normal, succeeds

WIDTH, DEPTH = 48, 4  # of a network where one weight out of place shows
SECONDS = 0.8  # that threads are let loose on each other

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


def telling(dtype: str = "float32") -> st.Network:
    """A network whose output is a different power of k in each layer, all weights being k: no mixture has one."""
    return st.Network(WIDTH, [st.Dense(WIDTH, bias=False) for _ in range(DEPTH)], dtype=dtype)


def filled(net: st.Network, k: float) -> dict[str, NDArray[Any]]:
    """All parameters at k."""
    return {name: np.full(p.shape, k) for name, p in net.parameters.items()}


def answer(k: float) -> float:
    """The output of `telling` for rows of ones, all weights being k, a power of two: exact in both dtypes."""
    return float(np.float64(WIDTH * k) ** DEPTH)


def together(*works: Callable[[], Any], seconds: float = SECONDS) -> None:
    """Repeat each in a thread of its own until the time is over; what one raises is raised here."""
    end, errors = time.monotonic() + seconds, []

    def repeat(work: Callable[[], Any]) -> None:
        try:
            while time.monotonic() < end and not errors:
                work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def checker(net: st.Network, rows: int) -> tuple[Callable[[], None], list[float]]:
    """What predicts and asserts that no output is a mixture; and the outputs that it has seen."""
    allowed = {answer(1 / 16), answer(1 / 32), answer(1 / 64)}
    x, seen = np.ones((rows, WIDTH), "float32"), []

    def check() -> None:
        found = set(net.predict(x).ravel().tolist())  # np.unique may import, with a lock
        assert found <= allowed and len(found) == 1, f"torn: {sorted(found)}"
        seen.extend(found)

    return check, seen


def setter(net: st.Network) -> Callable[[], None]:
    """What sets all weights to one constant and then to another."""
    values = [filled(net, 1 / 16), filled(net, 1 / 32)]

    def work() -> None:
        for value in values:
            net.set_parameters(value)

    net.set_parameters(values[0])
    return work


@pytest.mark.parametrize("rows", [1, 200, 3000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_r05_predictions_beside_set_parameters(rows: int, dtype: str) -> None:
    net = telling(dtype)
    work = setter(net)
    check, seen = checker(net, rows)
    both = {answer(1 / 16), answer(1 / 32)}
    for _ in range(20):  # on a busy machine a writer may wait
        together(work, check, check)
        if set(seen) == both:
            break
    assert set(seen) == both


def test_r05_predictions_beside_steps_and_fits() -> None:
    """The gradient is the same everywhere, and so are all weights at any time: at most one last bit apart."""
    net = telling()
    net.set_parameters(filled(net, 1 / 64))
    trainer = st.Trainer(net, "mse", st.SGD(0.5, momentum=0.9, clip_value=1e-9))
    x, y = np.ones((64, WIDTH), "float32"), np.zeros((64, WIDTH))
    rows = np.ones((300, WIDTH), "float32")

    def check() -> None:
        assert len(np.unique(net.predict(rows))) == 1
        state = net._core.state()
        assert np.unique(state[: WIDTH * WIDTH]).size == 1

    together(lambda: trainer.fit(x, y, epochs=5, batch_size=4, rollback=False), check, check)
    together(lambda: trainer.step(x, y), check, check)


def test_r05_soft_updates_and_restores_are_whole() -> None:
    net, other = telling(), telling()
    work, (check, _) = setter(other), checker(net, 200)
    net.set_parameters(filled(net, 1 / 16))
    state = net._core.state()
    together(work, lambda: net.soft_update(other, 1.0), lambda: net._core.restore(state), check, check)


def test_r05_evaluation_of_averages_leaves_the_weights_alone() -> None:
    net = telling()
    trainer = st.Trainer(net, "mse", st.SGD(0.0), ema=0.9)
    x, y = np.ones((600, WIDTH), "float32"), np.zeros((600, WIDTH))
    net.set_parameters(filled(net, 1 / 16))
    trainer.step(x, y)
    net.set_parameters(filled(net, 1 / 32))
    check, seen = checker(net, 100)
    measured: list[float] = []
    together(lambda: measured.append(trainer.evaluate(x, y)["loss"]), check, check)
    assert set(seen) == {answer(1 / 32)} and set(measured) == {answer(1 / 16) ** 2}


def test_r05_a_saved_trainer_is_one_moment(tmp_path: Path) -> None:
    """With momentum 0 the velocity is the last gradient, and weights are the number of steps times the rate."""
    net = st.Network(64, [st.Dense(64, bias=False, init="zeros") for _ in range(1)])
    trainer = st.Trainer(net, "quantile", st.SGD(2.0**-10, momentum=0.5), quantile=0.5)
    x, y = np.ones((2, 64), "float32"), np.full((2, 64), 1e9)
    path = tmp_path / "run.ckpt"
    trainer.step(x, y)
    step = float(net.parameters["0.weight"][0, 0])

    def check() -> None:
        trainer.save(path)
        kept = st.Trainer.resume(path)
        w, n = kept.network.parameters["0.weight"], kept.n_steps
        expected = step * sum(2 - 2.0 ** (1 - i) for i in range(1, n + 1))
        assert np.unique(w).size == 1 and w[0, 0] == pytest.approx(expected, rel=1e-3), (n, w[0, 0], expected)

    together(lambda: trainer.fit(x, y, epochs=3, batch_size=2, rollback=False), check)


def test_r04_trainers_of_one_network_wait_for_each_other() -> None:
    x, y = normal(0, (64, 8), "float32"), normal(1, (64, 3))
    for _ in range(20):
        net = st.Network(8, [st.Dense(32, "relu"), st.BatchNorm(), st.Dense(3)])
        trainers = [st.Trainer(net, "mse", st.SGD(1e-3, clip_norm=1.0)) for _ in range(3)]

        def passes() -> None:
            try:
                net.backward(net.forward(x))  # noqa: B023
            except ValueError as error:  # another thread's backward took this forward
                assert "forward" in str(error)

        steps = [lambda t=t: t.step(x, y) for t in trainers]
        together(*steps, passes, passes, lambda: net.predict(x), lambda: net.gradients, seconds=0.05)  # noqa: B023
        assert np.isfinite(net.predict(x)).all()


def test_r04_no_step_is_lost() -> None:
    """Two trainers in two threads take as many steps as one after the other would, by the same gradient."""
    net = st.Network(16, [st.Dense(16, bias=False, init="zeros")])
    x, y = np.ones((2, 16), "float32"), np.full((2, 16), 1e9)
    trainers = [st.Trainer(net, "mae", st.SGD(2.0**-4)) for _ in range(2)]
    trainers[0].step(x, y)
    step = net.parameters["0.weight"][0, 0]
    together(*(lambda t=t: t.step(x, y) for t in trainers), seconds=0.3)
    total = sum(t.n_steps for t in trainers)
    assert total > 2 and np.allclose(net.parameters["0.weight"], total * step)


def test_neither_readers_nor_writers_starve() -> None:
    net = telling()
    net.set_parameters(filled(net, 1 / 64))
    trainer = st.Trainer(net, "mse", st.SGD(0.0))
    x, y = np.ones((2000, WIDTH), "float32"), np.zeros((2000, WIDTH))
    check, seen = checker(net, 100)
    together(lambda: trainer.fit(x, y, epochs=1, batch_size=8), *[check] * 4)
    assert trainer.n_steps > 100 and len(seen) > 20


def test_loss_may_predict_and_others_meanwhile() -> None:
    """A reservation lets readers in: of this thread and of those that the loss waits for, and of two such trainers."""
    x = normal(0, (4, 8), "float32")
    nets = [st.Network(8, [st.Dense(4)], seed=s) for s in range(2)]

    def loss_with(own: st.Network, other: st.Network) -> Callable[..., Any]:
        def loss(y: NDArray[Any], out: NDArray[Any]) -> tuple[Any, Any]:
            assert np.array_equal(own.predict(x), out)
            found: list[NDArray[Any]] = []
            thread = threading.Thread(target=lambda: found.append(own.predict(x)))
            thread.start()
            thread.join(10)
            assert np.array_equal(found[0], out)
            difference = out - other.predict(x)
            return (difference**2).mean(), 2 * difference / difference.shape[1]

        return loss

    trainers = [st.Trainer(nets[i], loss_with(nets[i], nets[1 - i]), st.SGD(0.01)) for i in range(2)]
    together(*(lambda t=t: t.step(x, x[:, :4]) for t in trainers), seconds=0.4)
    assert all(t.n_steps > 0 for t in trainers)


def test_r04_two_that_would_wait_for_each_other_for_ever_are_told_so() -> None:
    nets = [st.Network(4, [st.Dense(4)], seed=s) for s in range(2)]
    meeting, told = threading.Barrier(2, timeout=20), []
    x = normal(0, (4, 4))

    def loss_of(other: st.Network) -> Callable[..., Any]:
        def loss(y: NDArray[Any], out: NDArray[Any]) -> tuple[Any, Any]:
            meeting.wait()
            other.set_parameters(other.parameters)
            return ((out - y) ** 2).mean(), out - y

        return loss

    def step(trainer: st.Trainer) -> None:
        try:
            trainer.step(x, x)
        except RuntimeError as error:
            told.append(str(error))

    trainers = [st.Trainer(nets[i], loss_of(nets[1 - i])) for i in range(2)]
    threads = [threading.Thread(target=step, args=[t]) for t in trainers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert told and all("wait for each other" in text for text in told)


@pytest.mark.parametrize("where", ["loss", "schedule", "wake"])
def test_r18_a_trainer_called_from_its_own_call_is_told_so(where: str) -> None:
    net = st.Network(4, [st.Dense(2)])
    x, y = normal(0, (200, 4)), normal(1, (200, 2))
    told: list[str] = []

    def try_again() -> None:
        others = [lambda: other.step(x, y), lambda: net.set_parameters(net.parameters), lambda: net.forward(x)]
        for work in [lambda: trainer.step(x, y), *(others if where != "wake" else [])]:
            with pytest.raises(RuntimeError, match="from within another one on the same object") as caught:
                work()
            told.append(str(caught.value))

    def loss(y: NDArray[Any], out: NDArray[Any]) -> tuple[Any, Any]:
        if where == "loss":
            try_again()
        return ((out - y) ** 2).mean(), out - y

    def schedule(step: int) -> float:
        if where == "schedule" and step < 3:
            try_again()
        return 1e-3

    class Waker(st.Callback):
        def wake(self, fit: Any) -> None:
            if where == "wake" and not told:
                try_again()

    other = st.Trainer(net, "mse")
    trainer = st.Trainer(net, loss if where == "loss" else "mse", st.SGD(schedule))
    if where == "wake":
        big = np.tile(x, (4000, 1)), np.tile(y, (4000, 1))
        trainer.fit(*big, epochs=1, batch_size=2, callbacks=[Waker()])
    else:
        trainer.step(x, y)
    assert told


def test_r17_learning_rate_set_by_another_thread() -> None:
    net = st.Network(4, [st.Dense(2)])
    trainer = st.Trainer(net, "mse", st.SGD(lambda step: 1e-3))
    x, y = normal(0, (50, 4)), normal(1, (50, 2))

    def turn() -> None:
        trainer.learning_rate = 1e-4
        trainer._use(lambda step: 1e-3)

    together(lambda: trainer.fit(x, y, epochs=1, batch_size=5), turn, lambda: trainer.n_steps, turn)


def test_r17_a_schedule_may_set_another_rate() -> None:
    def schedule(step: int) -> float:
        trainer.learning_rate = 0.25
        return 0.5

    trainer = st.Trainer(st.Network(4, [st.Dense(2)]), "mse", st.SGD(schedule))
    trainer.step(normal(0, (3, 4)), normal(1, (3, 2)))
    assert trainer.learning_rate == 0.25


@pytest.mark.parametrize("what", [None, "0.1", [0.1], np.ones(1), np.ones(3), 10**400, object()])
def test_r17_what_a_schedule_may_not_return(what: Any) -> None:
    def warmup(step: int) -> Any:
        return what

    trainer = st.Trainer(st.Network(4, [st.Dense(2)]), "mse", st.SGD(warmup))
    before = trainer.network._core.state()
    with pytest.raises((TypeError, ValueError), match="the schedule warmup returned .* at step 0: expected a number"):
        trainer.step(normal(0, (3, 4)), normal(1, (3, 2)))
    assert np.array_equal(before, trainer.network._core.state())


@pytest.mark.parametrize("what", [1, 0.1, np.float32(0.1), np.float64(0.1), np.array(0.1)])
def test_r17_what_a_schedule_may_return(what: Any) -> None:
    trainer = st.Trainer(st.Network(4, [st.Dense(2)]), "mse", st.SGD(lambda step: what))
    trainer.step(normal(0, (3, 4)), normal(1, (3, 2)))
    assert trainer._core.learning_rate == float(what)


def test_r17_tiny_mixup() -> None:
    trainer = st.Trainer(st.Network(4, [st.Dense(2)]), "mse", mixup=5e-324)
    for _ in range(20):
        assert np.isfinite(trainer.step(normal(0, (8, 4)), normal(1, (8, 2))))


def test_r27_multipliers_and_layers_frozen_beside_a_fit() -> None:
    net = st.Network(16, [st.Dense(32, "relu"), st.Dense(32, "relu"), st.Dense(4)])
    x, y = normal(0, (200, 16)), normal(1, (200, 4))
    trainer = st.Trainer(net, "mse", st.SGD(1e-3, momentum=0.9, fraction=0.5, clip_norm=1.0))

    def turn() -> None:
        net.freeze("0", "1")
        net.set_lr_multipliers({"0": 0.5})
        net.unfreeze("0", "1")

    together(lambda: trainer.fit(x, y, epochs=1, batch_size=10), turn, turn)


def holds_itself(kind: str) -> Any:
    class Holder:
        def loss(self, y: NDArray[Any], out: NDArray[Any]) -> tuple[Any, Any]:
            return ((out - y) ** 2).mean(), out - y

        def rate(self, step: int) -> float:
            return 1e-3

    holder: Any = Holder()
    loss = holder.loss if kind == "loss" else "mse"
    holder.trainer = st.Trainer(st.Network(4, [st.Dense(2)]), loss, st.SGD(holder.rate if kind == "rate" else 1e-3))
    holder.trainer.step(normal(0, (3, 4)), normal(1, (3, 2)))
    return weakref.ref(holder)


@pytest.mark.parametrize("kind", ["loss", "rate"])
def test_r21_circles_through_loss_and_schedule_are_collected(kind: str) -> None:
    refs = [holds_itself(kind) for _ in range(50)]
    gc.collect()
    assert not any(ref() for ref in refs)


@pytest.mark.parametrize("shift", [0, 4, -4, 400, -400])
def test_r12_out_that_overlaps_x(shift: int) -> None:
    net = st.Network(4, [st.Dense(4)])
    for step in (1, -1):
        memory = normal(0, (4000,), "float32")
        x = memory[800 : 800 + 2400].reshape(600, 4)[::step]
        out = memory[800 + shift : 800 + shift + 2400].reshape(600, 4)
        expected = net.predict(x.copy())
        assert net.predict(x, out=out) is out and np.array_equal(out, expected)


def forks_beside_predictions() -> None:
    net = st.Network(8, [st.Dense(16, "relu"), st.Dense(2)])
    x = normal(0, (5, 8), "float32")
    big = np.tile(x, (400, 1))
    expected, stop = net.predict(x), threading.Event()

    def predict() -> None:
        while not stop.is_set():
            net.predict(x)
            net.predict(big)

    threads = [threading.Thread(target=predict) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(500):  # tests/stress/threads.py forks thousands of times
            pid = os.fork()
            if pid == 0:
                signal.alarm(10)
                good = np.array_equal(net.predict(x), expected) and len(net.predict(big)) == len(big)
                net.set_parameters(net.parameters)
                os._exit(0 if good else 1)
            assert os.waitpid(pid, 0)[1] == 0
    finally:
        stop.set()
    for thread in threads:
        thread.join()


def forks_beside_steps() -> None:
    """The child has the whole network or is told so, and can write it anew; it never hangs."""
    net = telling()
    work, (check, _) = setter(net), checker(net, 200)
    trainer, other = st.Trainer(net, "mse", st.SGD(0.0)), st.Trainer(net, "mse", st.SGD(0.0))
    x, y = np.ones((64, WIDTH), "float32"), np.zeros((64, WIDTH))
    whole, stop = filled(net, 1 / 64), threading.Event()

    def repeat(works: list[Callable[[], Any]]) -> None:
        while not stop.is_set():
            for each in works:
                each()

    threads = [threading.Thread(target=repeat, args=[w]) for w in ([work], [lambda: trainer.step(x, y)], [check])]
    for thread in threads:
        thread.start()
    try:
        for _ in range(150):
            pid = os.fork()
            if pid == 0:
                signal.alarm(10)
                try:
                    check()
                except RuntimeError as error:
                    if "forked" not in str(error):
                        os._exit(1)
                    net.set_parameters(whole)
                    check()
                other.step(x, y)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
    finally:
        stop.set()
    for thread in threads:
        thread.join()


@needs_fork
@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="without the GIL a fork may find pybind11's own lock held by a thread that is gone",
)
@pytest.mark.parametrize("scenario", [forks_beside_predictions, forks_beside_steps])
def test_r06_no_child_hangs(scenario: Callable[[], None]) -> None:
    succeeds(scenario)
