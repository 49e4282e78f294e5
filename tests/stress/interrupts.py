"""Ctrl-C at random moments: `python tests/stress/interrupts.py [--count 300] [--seconds S] [--seed N] [--only TEXT]`.

The commands, from the start of their process on: they end with 130 and one line, and leave whole files or none. Then
calls within this process: they are back soon (the times are printed, not judged: the machine may be busy), and what
they worked on is whole, either as before or as after.
"""

from __future__ import annotations

import io
import os
import random
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import Run, spread, state_of, strays, weights_of

import steepest as st
from steepest import cli

PACKAGE = str(Path(st.__file__).parent)
STUB = "import sys\nfrom steepest.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"

COMMANDS = {
    "help": ["--help"],
    "version": ["--version"],
    "train": ["train", "a.csv", "--target", "kind", "--out", "out.safetensors"],
    "train wide": ["train", "a.csv", "--target", "kind", "--hidden", "256,256", "--out", "out.safetensors"],
    "predict": ["predict", "model.safetensors", "a.csv", "--out", "out.csv"],
    "evaluate": ["evaluate", "model.safetensors", "a.csv"],
    "explain demo": ["explain", "--demo", "--out", "out.html"],
    "explain model": ["explain", "a.csv", "--model", "model.safetensors", "--out", "out.html"],
    "explain target": ["explain", "a.csv", "--target", "kind", "--hidden", "8", "--out", "out.html"],
    "info": ["info"],
    "info model": ["info", "model.safetensors"],
    "demo": ["demo", "--out", "."],
}
STARTS = {
    "out.safetensors": b"",
    "digits.safetensors": b"",
    "digits.png": b"\x89PNG",
    "out.html": b"<!",
    "out.csv": b"prediction",
}
ENDS = {"digits.png": b"IEND\xaeB`\x82", "out.html": b"</html>", "out.csv": b"\n"}


def table() -> str:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(600, 4))
    text = np.array(["red", "green", "blue"])[draw.integers(0, 3, 600)]
    kind = np.where(x[:, 0] * x[:, 1] > 0, "yes", "no")
    lines = [",".join([*(f"{v:.4f}" for v in row), t, k]) for row, t, k in zip(x, text, kind, strict=True)]
    return "\n".join(["a,b,c,d,color,kind", *lines]) + "\n"


class Ended(NamedTuple):
    code: int
    err: str
    late: bool  # the signal came after the end
    taken: float  # seconds from the signal to the end


def press(command: list[str], folder: Path, delay: float) -> Ended:
    """Run a command, and send SIGINT after a time."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(delay)
    late = process.poll() is not None
    sent = time.perf_counter()
    process.send_signal(signal.SIGINT)
    try:
        err = process.communicate(timeout=60)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        return Ended(-999, process.communicate()[1], late, 60.0)
    return Ended(process.returncode, err, late, time.perf_counter() - sent)


def damaged(folder: Path) -> str:
    """What a command left that is not whole, or the empty text."""
    for path in folder.iterdir():
        if path.name in ("a.csv", "model.safetensors"):
            continue
        data = path.read_bytes() if path.is_file() else b""
        if path.name not in STARTS or not data.startswith(STARTS[path.name]):
            return path.name
        if not data.rstrip(b"\n").endswith(ENDS.get(path.name, b"").rstrip(b"\n")):
            return f"{path.name}, cut off"
        if path.suffix == ".safetensors":
            st.load(path)
        path.unlink()
    return ""


def commands(run: Run, draw: random.Random) -> None:
    """Interrupt commands, and print how they ended."""
    with tempfile.TemporaryDirectory() as name:
        folder, script = Path(name) / "work", Path(name) / "steepest"
        folder.mkdir()
        script.write_text(STUB)
        (folder / "a.csv").write_text(table())
        ways = [[sys.executable, "-m", "steepest"], [sys.executable, str(script)]]
        kinds = {kind: arguments for kind, arguments in COMMANDS.items() if run.wants(f"command {kind}")}
        if not kinds:
            return
        subprocess.run([*ways[0], "train", "a.csv", "--target", "kind"], cwd=folder, check=True, capture_output=True)
        whole = dict[str, float]()
        for kind, arguments in kinds.items():
            start = time.perf_counter()
            subprocess.run([*ways[0], *arguments], cwd=folder, check=True, capture_output=True)
            whole[kind] = time.perf_counter() - start
        damaged(folder)
        found, taken = Counter[str](), list[float]()
        for i in run.rounds():
            kind = list(kinds)[i % len(kinds)]
            command, delay = [*draw.choice(ways), *kinds[kind]], draw.uniform(0, 1.05 * whole[kind])
            ended = press(command, folder, delay)
            how = judge(ended)
            found[how] += 1
            if how.startswith("interrupted"):
                taken.append(ended.taken)
            left = damaged(folder)
            if how == "wrong" or left:
                run.fail(f"{kind} after {delay:.3f} s: {ended.code}, left {left!r}, {ended.err[-1500:]}")
    print(f"commands: {dict(found)}; from Ctrl-C to the end {spread(taken)}", flush=True)


def judge(ended: Ended) -> str:
    """How a command ended; Python itself is not ready for Ctrl-C in its first hundredths of a second."""
    if ended.late:
        return "too late"
    traced = "Traceback" in ended.err or "Error" in ended.err
    if ended.code == 130 and ended.err.endswith("steepest: interrupted\n") and not traced:
        return "interrupted"
    if ended.code == -signal.SIGINT and not traced:
        return "before or after Python"
    if traced and not re.search(re.escape(PACKAGE), ended.err) and "steepest:" not in ended.err:
        return "in Python's own start"
    return "finished" if ended.code == 0 and not traced else "wrong"


SENDER = """
import os, signal, sys, time
for line in sys.stdin:
    pid, at = line.split()
    time.sleep(max(0.0, float(at) - time.monotonic()))
    now = time.monotonic()
    os.kill(int(pid), signal.SIGINT)
    os.write(1, str(now).encode())
"""


class Sender:
    """A process that sends SIGINT to this one: no thread here has to be at work for it."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", SENDER]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        assert self._process.stdin and self._process.stdout
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()

    def interrupt(self, work: Callable[[], Any], delay: float) -> tuple[str, float]:
        """Do work and interrupt it: how it ended (interrupted, late, lost), and the seconds from Ctrl-C to the end."""
        finished = interrupted = 0.0
        try:
            os.write(self._in, f"{os.getpid()} {time.monotonic() + delay}\n".encode())
            result = work()
            finished = time.monotonic()
            if result == cli.INTERRUPTED:  # what the command's main makes of it
                interrupted = finished
            select.select([self._out], [], [])
            time.sleep(0.01)
        except KeyboardInterrupt:
            interrupted = time.monotonic()
        sent = float(os.read(self._out, 100))
        if not interrupted:
            return ("late" if finished < sent + 1e-3 else "lost"), 0.0
        if finished and result != cli.INTERRUPTED:
            return "late", 0.0
        return "interrupted", interrupted - sent

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


class Work(NamedTuple):
    """Something to interrupt, and what must hold afterwards."""

    act: Callable[[], Any]
    check: Callable[[], Any]


def digits(n: int, d: int, k: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(n)
    x = draw.normal(size=(n, d)).astype("float32")
    return x, x[:, :k] * x[:, 1 : k + 1] + np.sin(x[:, :k])


def quietly(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do work that prints."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return work(*arguments)


def same(found: Any, *allowed: Any) -> None:
    assert any(np.array_equal(found, each) for each in allowed), "neither old nor new"


X, Y = digits(3200, 64, 1)
LABELS = np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0)]
LAYERS = [st.Dense(256, "relu"), st.BatchNorm(), st.Dense(128, "tanh"), st.Dropout(0.1), st.Dense(1)]


def fitting() -> Work:
    """A fit that is interrupted has done some number of whole steps."""

    def make() -> st.Trainer:
        return st.Trainer(st.Network(64, LAYERS, seed=1), "mse", st.Adam(1e-3), ema=0.9)

    trainer, twin, course = make(), make(), {state_of(make())}

    def look(fit: Any) -> None:
        course.add(state_of(twin))

    watch = st.LambdaCallback(on_batch_end=look, on_epoch_end=look)
    twin.fit(X, Y, epochs=20, batch_size=32, callbacks=[watch])

    def check() -> None:
        assert state_of(trainer) in course, "not on its course"
        # The last epoch may have ended and not be recorded.
        assert 0 <= trainer.n_steps // 100 - trainer.history.n_epochs <= 1, "another number of epochs in its history"
        assert np.isfinite(trainer.step(X[:32], Y[:32]))

    return Work(lambda: trainer.fit(X, Y, epochs=20, batch_size=32), check)


def reading(kind: str) -> Work:
    """What only reads leaves the network as it was, and reads the same again."""
    net = st.Network(64, LAYERS, seed=1)
    trainer = st.Trainer(net, "mse", st.Adam(1e-3))
    trainer.fit(X, Y, epochs=1)
    many, y = np.tile(X, (40, 1)), np.tile(Y, (40, 1))
    before, said, cost = state_of(trainer), net.predict(X), trainer.evaluate(X, Y)
    small = st.Network(64, [st.Dense(16, "tanh"), st.Dense(1)], seed=1)
    like = weights_of(small)
    act = {
        "predict": lambda: net.predict(many),
        "evaluate": lambda: trainer.evaluate(many, y),
        "check": lambda: st.descent.check(small, X, Y, "mse"),
        "slope": lambda: st.descent.slope(net, X[:800], Y[:800], "mse", "0.weight", (0, 0), values=41),
        "surface": lambda: st.descent.surface(net, X[:800], Y[:800], "mse", "random", steps=9),
        "contributions": lambda: st.descent.contributions(small, X[:64], Y[:64], "mse"),
        "copy": lambda: [net.copy() for _ in range(50)],
    }[kind]

    def check() -> None:
        assert state_of(trainer) == before and weights_of(small) == like, "changed"
        same(net.predict(X), said)
        assert trainer.evaluate(X, Y) == cost

    return Work(act, check)


def writing(kind: str) -> Work:
    """Parameters that are replaced and files that are saved are the old or the new ones."""
    net = st.Network(512, [st.Dense(2048), st.Dense(64)], seed=1)
    old, new = net.parameters, st.Network(512, [st.Dense(2048), st.Dense(64)], seed=2).parameters
    folder = tempfile.mkdtemp()
    path = f"{folder}/net.safetensors"
    net.save(path)
    x = X[:10].repeat(8, axis=1)
    said = net.predict(x)
    other = st.Network(512, [st.Dense(2048), st.Dense(64)], seed=2)
    answers = said, other.predict(x)
    page = f"{folder}/page.html"

    def check() -> None:
        assert not strays(folder), "a temporary file"
        same(net.predict(x), *answers)
        same(st.load(path).predict(x), *answers)
        if os.path.exists(page):
            assert Path(page).read_text().rstrip().endswith("</html>")
            os.unlink(page)
        for name in os.listdir(folder):
            if name != "net.safetensors":
                os.unlink(f"{folder}/{name}")
        net.set_parameters(old)

    return {
        "set_parameters": Work(lambda: [net.set_parameters(v) for v in [new, old] * 20], check),
        "save": Work(lambda: [each.save(path) for each in [other, net] * 10], check),
        "load": Work(lambda: [st.load(path) for _ in range(50)], check),
        "explain": Work(lambda: quietly(cli.main, ["explain", "--demo", "--out", page]), check),
    }[kind]


FITS: dict[str, tuple[Any, dict[str, Any]]] = {
    "classifier": (st.MLPClassifier, {"max_iter": 30}),
    "regressor": (st.MLPRegressor, {"max_iter": 30, "early_stopping": False}),
    "ensemble": (st.MLPClassifier, {"max_iter": 10, "ensemble": 3, "n_jobs": 2}),
    "lbfgs": (st.MLPRegressor, {"max_iter": 10, "solver": "lbfgs"}),
    "sklearn": (st.MLPClassifier, {"max_iter": 20, "preset": "sklearn"}),
}


def estimating(kind: str) -> Work:
    """A refit that is interrupted leaves the old model or a whole new one, which goes on."""
    make, options = FITS[kind.removeprefix("partial ")]
    options = options | {"random_state": 0}
    y = LABELS if make is st.MLPClassifier else Y[:, 0]
    model = make(**options)
    online = kind.startswith("partial")

    def restart() -> None:
        model.set_params(**options | {"max_iter": 2})
        model.fit(100 * X + 7, y)
        model.set_params(**options)

    def predict() -> Any:
        return model.predict_proba(X[:50]) if make is st.MLPClassifier else model.predict(X[:50])

    restart()
    said = predict()

    def check() -> None:
        again = predict()
        assert np.isfinite(again).all()
        if not np.array_equal(again, said) and not online:
            histories = model.histories_  # of L-BFGS, which knows no epochs, there are none
            assert len(histories) in (0, len(model.networks_)) and all(h.n_epochs >= 1 for h in histories), histories
            assert model.score(X, y) > (0.45 if make is st.MLPClassifier else -0.5), model.score(X, y)
        time.sleep(0.02)
        same(predict(), again)  # nothing trains on in the background
        if hasattr(model, "partial_fit"):
            model.partial_fit(X[:100], y[:100])
        restart()

    act = (lambda: [model.partial_fit(X, y) for _ in range(10)]) if online else (lambda: model.fit(X, y))
    return Work(act, check)


def callbacks() -> Work:
    """A fit with callbacks, validation and files: each file is whole."""
    folder = tempfile.mkdtemp()
    trainer = st.Trainer(st.Network(64, LAYERS, seed=1), "mse", st.SGD(1e-3, momentum=0.9))
    asked = [st.Checkpoint(f"{folder}/a.ckpt"), st.CSVLogger(f"{folder}/log.csv"), st.EarlyStopping(patience=50)]

    def check() -> None:
        assert not strays(folder), "a temporary file"
        if os.path.exists(f"{folder}/a.ckpt"):
            assert np.isfinite(st.Trainer.resume(f"{folder}/a.ckpt").step(X[:32], Y[:32]))
        rows = Path(f"{folder}/log.csv").read_text().splitlines() if os.path.exists(f"{folder}/log.csv") else []
        assert len({row.count(",") for row in rows}) <= 1, "a torn row"
        assert np.isfinite(trainer.step(X[:32], Y[:32]))

    return Work(lambda: trainer.fit(X, Y, epochs=15, validation=(X[:500], Y[:500]), callbacks=asked), check)


READERS = ("predict", "evaluate", "check", "slope", "surface", "contributions", "copy")
WRITERS = ("set_parameters", "save", "load", "explain")
WORKS: dict[str, Callable[[], Work]] = {
    "fit": fitting,
    "fit with callbacks": callbacks,
    **{kind: partial(reading, kind) for kind in READERS},
    **{kind: partial(writing, kind) for kind in WRITERS},
    **{f"estimator {kind}": partial(estimating, kind) for kind in (*FITS, "partial classifier", "partial regressor")},
}


def calls(run: Run, draw: random.Random) -> None:
    """Interrupt calls, and print how long each took to be back."""
    warnings.simplefilter("ignore")
    kinds = [kind for kind in WORKS if run.wants(f"call {kind}")]
    sender = Sender()
    everything = list[float]()
    noises = list[str]()
    sys.unraisablehook = lambda found: noises.append(f"{found.exc_value!r} in {found.object!r}")
    for kind in kinds:
        make = WORKS[kind]
        work = make()
        work.act()  # imports what it needs
        work = make()
        start = time.perf_counter()
        work.act()
        whole = time.perf_counter() - start
        taken, found = list[float](), Counter[str]()
        renewed = kind == "fit"
        for _ in run.rounds(1 / len(kinds)):
            work = make() if renewed else work
            delay = draw.uniform(0, whole)
            how, seconds = sender.interrupt(work.act, delay)
            found[how] += 1
            taken += [seconds] if how == "interrupted" else []
            try:
                # What comes within a destructor is lost in any Python program; the command's own process ends even so.
                assert how != "lost" or noises, "Ctrl-C was lost"
                work.check()
            except Exception as error:
                run.fail(f"{kind} after {delay:.4f} of {whole:.4f} s, {how}: {error!r}")
                work = make()
            noises.clear()
        everything += taken
        print(f"  {kind} ({1000 * whole:.0f} ms): {dict(found)}; {spread(taken)}", flush=True)
    sender.end()
    print(f"calls: from Ctrl-C to the exception {spread(everything)}", flush=True)


def main() -> None:
    run = Run(__doc__ or "", count=300)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell turns off for what runs in the background
    draw = random.Random(run.seed)
    commands(run, draw)
    calls(run, draw)
    run.end()


if __name__ == "__main__":
    main()
