"""Ctrl-C, and the end of the interpreter, while the core works."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import python

SOON = 0.2  # seconds from Ctrl-C to the exception, on a machine of its own
BUSY = 10 * SOON  # what the tests allow: others may hold the processors

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")


def long_work(kind: str) -> Callable[[], Any]:
    """Work of many seconds."""
    net = st.Network(512, [st.Dense(1024, "relu"), st.Dense(1024, "relu"), st.Dense(1)])
    x = np.broadcast_to(np.ones(512, "float32"), (4_000_000, 512))
    y = np.broadcast_to(np.ones(1, "float32"), (len(x), 1))
    trainer = st.Trainer(net, "mse", st.SGD(1e-6), ema=0.9 if kind == "averages" else None)
    if kind == "predict":
        return lambda: net.predict(x)
    if kind == "fit":
        return lambda: trainer.fit(x, y, epochs=1)
    if kind == "check":
        return lambda: [trainer._core.check(x, y, None, "") for _ in range(100)]
    if kind == "averages":
        trainer.step(x[:8], y[:8])
    return lambda: trainer.evaluate(x, y)


def interrupted_after(work: Callable[[], Any], seconds: float) -> float:
    """Seconds from Ctrl-C, at that time, to the exception."""
    sent = [0.0]

    def press() -> None:
        sent[0] = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(seconds, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        work()
        time.sleep(60)
    timer.join()
    return time.perf_counter() - sent[0]


@on_posix
@pytest.mark.parametrize("kind", ["predict", "evaluate", "averages", "check", "fit"])
def test_r08_ctrl_c_ends_long_work(kind: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    work = long_work(kind)
    taken = interrupted_after(work, 0.3)
    assert taken < BUSY, f"{kind}: {taken:.3f} s"
    assert signal.getsignal(signal.SIGINT) is before


@on_posix
def test_r08_ctrl_c_while_a_list_is_read() -> None:
    net = st.Network(1, [st.Dense(1)])
    rows = [[0.0]] * 30_000_000
    assert interrupted_after(lambda: net.predict(rows), 0.05) < 60  # NumPy's own time


@on_posix
def test_r08_a_handler_that_reads_and_writes_the_network() -> None:
    """It runs within predict, in the thread that predicts: it may read, and is refused, not hung, where it writes."""
    net = st.Network(512, [st.Dense(1024, "relu"), st.Dense(1)])
    x = np.broadcast_to(np.ones(512, "float32"), (200_000, 512))
    found: list[Any] = []

    def handle(number: int, frame: Any) -> None:
        found.append(net.predict(x[:3]))
        found.append(net.predict(x[:300]))
        with pytest.raises(RuntimeError, match="from within another one"):
            net.set_parameters(net.parameters)
        found.append(net.parameters)

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
        while not found:
            net.predict(x)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(found) == 3
    net.set_parameters(net.parameters)


START = """
import threading, time
import numpy as np, steepest as st
st.set_num_threads(2)
net = st.Network(64, [st.Dense(256, "relu"), st.Dense(3)])
trainer = st.Trainer(net, "mse", st.SGD(1e-3))
x = np.ones((20000, 64)); y = np.ones((20000, 3))
inside = threading.Event()
class Callback(st.Callback):
    def on_epoch_end(self, fit): inside.set()
def loss(y, out):
    inside.set(); time.sleep(.001)
    return ((out - y) ** 2).mean(), out - y
own = st.Trainer(net, loss)
scheduled = st.Trainer(net, "mse", st.SGD(lambda step: inside.set() or 1e-3))
def repeat(work, ready=True):
    while True:
        if ready: inside.set()
        work()
def start(work, ready=True, n=1):
    for _ in range(n): threading.Thread(target=repeat, args=[work, ready], daemon=True).start()
"""

ENDINGS = {
    "fit": "start(lambda: trainer.fit(x, y, epochs=100))",
    "epochs": "start(lambda: trainer.fit(x[:100], y[:100], epochs=5, callbacks=[Callback()]), False)",
    "tiny steps": "start(lambda: st.Trainer(net, 'mse').step(x[:1], y[:1]), n=3)",
    "predict": "start(lambda: net.predict(x), n=2)",
    "predict one": "start(lambda: net.predict(x[:1]), n=3)",
    "predict beside fit": "start(lambda: net.predict(x[:300]), n=3); start(lambda: trainer.fit(x, y))",
    "own loss": "start(lambda: own.fit(x, y), False)",
    "own loss, small": "start(lambda: own.step(x[:1], y[:1]), False)",
    "schedule": "start(lambda: scheduled.fit(x[:50], y[:50], batch_size=1), False)",
    "evaluate": "start(lambda: trainer.evaluate(x, y))",
    "all": "start(lambda: net.set_parameters(net.parameters), n=2); start(lambda: net.predict(x)); start(net.copy)",
}


@pytest.mark.parametrize("kind", ENDINGS)
def test_r07_the_interpreter_ends_beside_daemon_threads(kind: str) -> None:
    for delay in (0.0, 0.02):
        start = time.monotonic()
        run = python(f"{START}{ENDINGS[kind]}\nassert inside.wait(20)\ntime.sleep({delay})")
        assert (run.returncode, run.stdout) == (0, ""), f"ended with {run.returncode}: {run.stderr}"
        assert run.stderr == ""
        assert time.monotonic() - start < 30


def test_r07_calls_after_the_end_are_refused() -> None:
    code = "import atexit\n" + (
        "def late():\n"
        "    for work in (lambda: net.predict(x), lambda: net.predict(x[:1]), lambda: trainer.step(x, y)):\n"
        "        try: work()\n"
        "        except RuntimeError as error: print(error)\n"
        "atexit.register(late)\n"  # before the library's own: runs after it
    )
    run = python(code + START)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "the interpreter is ending\n" * 3
