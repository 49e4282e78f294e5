"""kill -9 at random moments: `python tests/stress/kills.py [--count 300] [--seconds S] [--seed N] [--only TEXT]`.

A quarter of the kills each to processes that save a network again and again, train with `Checkpoint`, save the trainer
after each epoch, and run `steepest train`. After each the file is whole, one that was acknowledged or the next, and a
training that goes on from it passes through the same bits as one that was never killed. Linux only: it forks.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import Run, state_of, strays

import steepest as st

EPOCHS = 60  # of one training, which is killed and goes on until it has done them


def in_child(work: Callable[[int], None], killed_after: float | None = None) -> bytes:
    """Do work in a process of its own, which may be killed, and return what it wrote to the descriptor it is given.

    This process itself never computes: what it forks is fresh.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        code = 1
        try:
            work(writer)
            code = 0
        except Exception as error:
            os.write(writer, f"error: {error!r}".encode())
        finally:
            os._exit(code)
    os.close(writer)
    if killed_after is not None:
        time.sleep(killed_after)
        os.kill(pid, signal.SIGKILL)
    found = b""
    while part := os.read(reader, 1 << 16):
        found += part
    os.close(reader)
    status = os.waitpid(pid, 0)[1]
    if killed_after is None and status:
        raise RuntimeError(f"ended with {status}: {found[-500:].decode()}")
    return found


# --- a network, saved again and again ---


def saves(run: Run, draw: random.Random, folder: Path) -> Counter[str]:
    """Version i of the network has all parameters at i; each save is acknowledged by a line."""
    path, found, last, most = folder / "net.safetensors", Counter[str](), -1, 0

    def save(out: int) -> None:
        net = st.Network(256, [st.Dense(512), st.Dense(64)])
        for i in range(last + 1, 10**9):
            net.set_parameters({name: np.full(p.shape, i % 4096) for name, p in net.parameters.items()})
            net.save(path)
            os.write(out, f"{i}\n".encode())

    def versions(out: int) -> None:
        found = {float(v) for p in st.load(path).parameters.values() for v in np.unique(p)}
        os.write(out, repr(sorted(found)).encode())

    for _ in run.rounds(1 / 4):
        lines = in_child(save, draw.uniform(0.0, 0.15)).split()
        last = int(lines[-1]) if lines else last
        most = max(most, len(strays(folder)))
        if not path.exists():
            found["absent"] += 1
            if last >= 0:
                run.fail(f"saves: absent after version {last}")
            continue
        try:
            seen = eval(in_child(versions))
            assert seen in ([float(last % 4096)], [float((last + 1) % 4096)]), f"{seen} after version {last}"
            found["whole"] += 1
            last += seen == [float((last + 1) % 4096)]
        except Exception as error:
            run.fail(f"saves: {error!r}")
    in_child(lambda out: st.Network(2, [st.Dense(1)]).save(path))
    return found + Counter({"most temporaries": most, "after one more save": len(strays(folder))})


# --- trainings ---


def data() -> tuple[Any, Any]:
    x = np.random.default_rng(0).normal(size=(200, 16))
    return x, (x[:, :1] * x[:, 1:2] > 0).astype(float)


def make(seed: int) -> st.Trainer:
    layers = [st.Dense(64, "relu"), st.BatchNorm(), st.Dropout(0.2), st.Dense(64, "tanh"), st.Dense(1)]
    schedule = st.schedules.exponential(0.01, factor=0.9, every=100)
    optimizer = st.Adam(schedule) if seed % 2 else st.SGD(schedule, momentum=0.9, clip_norm=1.0)
    return st.Trainer(st.Network(16, layers, seed=seed), "binary_cross_entropy", optimizer, seed=seed, ema=0.95)


def epochs_done(trainer: st.Trainer) -> int:
    return trainer.n_steps // 7  # batches of 32 of 200 rows


def digest(trainer: st.Trainer) -> str:
    return hashlib.sha256(state_of(trainer)).hexdigest()


def with_checkpoint(path: Path, trainer: st.Trainer) -> None:
    trainer.fit(*data(), epochs=EPOCHS - epochs_done(trainer), batch_size=32, callbacks=[st.Checkpoint(path)])


def with_saves(path: Path, trainer: st.Trainer) -> None:
    while epochs_done(trainer) < EPOCHS:
        trainer.fit(*data(), epochs=1, batch_size=32)
        trainer.save(path)


def trainings(run: Run, draw: random.Random, folder: Path, go_on: Callable[[Path, st.Trainer], None]) -> Counter[str]:
    """Train, kill, look, go on: from each file that is found, and to the end."""
    path, found, seed, done, whole, most = folder / "run.ckpt", Counter[str](), 0, 0, 0.0, 0
    course: dict[int, str] = {}

    def uninterrupted(out: int) -> None:
        trainer = make(seed)
        lines = []
        for _ in range(EPOCHS):
            trainer.fit(*data(), epochs=1, batch_size=32)
            lines.append(digest(trainer))
        os.write(out, "\n".join(lines).encode())

    def train(out: int) -> None:
        go_on(path, st.Trainer.resume(path) if path.exists() else make(seed))

    def look(out: int) -> None:
        trainer = st.Trainer.resume(path)
        before = f"{epochs_done(trainer)} {digest(trainer)}"
        trainer.fit(*data(), epochs=1, batch_size=32)
        os.write(out, f"{before} {digest(trainer)}".encode())

    for _ in run.rounds(1 / 4):
        if not course:
            course = dict(enumerate(in_child(uninterrupted).decode().split(), 1))
            start = time.perf_counter()
            in_child(train)
            whole = time.perf_counter() - start
            path.unlink()
        in_child(train, draw.uniform(0, 0.5 * whole))
        most = max(most, len(strays(folder)))
        if not path.exists():
            found["absent"] += 1
            if done:
                run.fail(f"{go_on.__name__}: absent after {done} epochs")
            continue
        try:
            text, now, after = in_child(look).decode().split()
            assert int(text) >= done and now == course[int(text)], f"other bits after {text} epochs"
            done = int(text)
            assert done == EPOCHS or after == course[done + 1], f"goes on to other bits after {done} epochs"
            found["whole"] += 1
        except Exception as error:
            run.fail(f"{go_on.__name__}, seed {seed}: {error!r}")
        if done >= EPOCHS:
            found["trained to the end"] += 1
            path.unlink()
            course, done, seed = {}, 0, seed + 1
    in_child(lambda out: make(0).save(path))
    return found + Counter({"most temporaries": most, "after one more save": len(strays(folder))})


# --- the command ---


def commands(run: Run, draw: random.Random, folder: Path) -> Counter[str]:
    """The file is absent, the old one, or what the killed run was to write: in this, all of a model but its seconds."""
    x, y = data()
    rows = [
        ",".join([*(f"{v:.4f}" for v in row), "yes" if target else "no"])
        for row, target in zip(x, y[:, 0], strict=True)
    ]
    names = ",".join([*(f"c{i}" for i in range(16)), "y"])
    (folder / "a.csv").write_text("\n".join([names, *rows]) + "\n")
    path, found, old, most = folder / "model.safetensors", Counter[str](), -1, 0

    def command(seed: int) -> list[str]:
        arguments = ["train", "a.csv", "--target", "y", "--hidden", "16", "--epochs", "40", "--seed", str(seed)]
        return [sys.executable, "-m", "steepest", *arguments, "--out", str(path)]

    def answers(out: int) -> None:
        said = st.load(path).predict_proba(x)  # type: ignore[union-attr]
        os.write(out, hashlib.sha256(said.tobytes()).hexdigest().encode())

    def finish(seed: int) -> bytes:
        subprocess.run(command(seed), cwd=folder, check=True, capture_output=True)
        return in_child(answers)

    expected = {}
    for seed in range(2):
        start = time.perf_counter()
        expected[seed] = finish(seed)
        whole = time.perf_counter() - start
    path.unlink()
    for i in run.rounds(1 / 4):
        process = subprocess.Popen(command(i % 2), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout
        if draw.random() < 0.3:
            time.sleep(draw.uniform(0, 1) * whole)
        else:  # about when it writes: the numbers are printed just before
            while line := process.stdout.readline():
                if b"held-out rows" in line:
                    break
            time.sleep(draw.uniform(0, 0.06))
        process.kill()
        process.stdout.close()
        finished = process.wait() == 0
        most = max(most, len(strays(folder)))
        if not path.exists():
            found["absent"] += 1
            if old >= 0 or finished:
                run.fail("command: absent after it had been there")
            continue
        try:
            said = in_child(answers)
            assert said == expected[i % 2] or (said == expected.get(old) and not finished), "another model"
            found["new" if said == expected[i % 2] else "old"] += 1
            old = i % 2 if said == expected[i % 2] else old
        except Exception as error:
            run.fail(f"command: {error!r}")
    finish(0)
    return found + Counter({"most temporaries": most, "after one more save": len(strays(folder))})


def main() -> None:
    run = Run(__doc__ or "", count=300)
    draw = random.Random(run.seed)
    warnings.simplefilter("ignore")
    kinds: dict[str, Callable[[Path], Counter[str]]] = {
        "network.save": lambda folder: saves(run, draw, folder),
        "Checkpoint": lambda folder: trainings(run, draw, folder, with_checkpoint),
        "trainer.save": lambda folder: trainings(run, draw, folder, with_saves),
        "steepest train": lambda folder: commands(run, draw, folder),
    }
    for kind, work in kinds.items():
        if run.wants(kind):
            with tempfile.TemporaryDirectory() as folder:
                print(f"{kind}: {dict(work(Path(folder)))}", flush=True)
    run.end()


if __name__ == "__main__":
    main()
