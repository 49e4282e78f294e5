"""Many threads do all there is on the same networks: `python tests/stress/threads.py [minutes [without ...]]`.

10 minutes by default; `without` names what they leave, such as fork.

Not collected by pytest. All weights of a network are one power of two at any time, so that a prediction, a copy or a
saved file that mixes two moments shows; a watchdog ends what hangs.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import steepest as st

THREADS = 32
WIDTH, DEPTH = 32, 3
VALUES = [1 / 16, 1 / 32, 1 / 64]
ANSWERS = {(WIDTH * k) ** DEPTH for k in VALUES}
HANG = 60  # seconds without a finished work


def network() -> st.Network:
    net = st.Network(WIDTH, [st.Dense(WIDTH, bias=False) for _ in range(DEPTH)])
    net.set_parameters({name: np.full(p.shape, VALUES[0]) for name, p in net.parameters.items()})
    return net


class Shared:
    """Networks and trainers that all threads use; one is replaced now and then, so that others are deleted in use."""

    def __init__(self) -> None:
        self.places = [self.make() for _ in range(3)]
        self.estimators = [Refitted(kind) for kind in (st.MLPClassifier, st.MLPRegressor)]

    def make(self) -> tuple[st.Network, list[st.Trainer]]:
        net = network()

        def loss(y: Any, out: Any) -> tuple[Any, Any]:
            whole(net.predict(np.ones((3, WIDTH))))
            return ((out - y) ** 2).mean(), np.zeros_like(out)

        still = st.SGD(lambda step: 0.0, momentum=0.5, clip_norm=1.0)
        losses = ("mse", "mae", loss)
        trainers = [st.Trainer(net, each, still, ema=0.5 if each == "mae" else None) for each in losses]
        trainers.append(st.Trainer(net, "mse", st.SGD(0.0), update_order="input_to_output"))
        return net, trainers


class Refitted:
    """An estimator that is fitted to one of two tables, and what it answers then."""

    def __init__(self, kind: type[Any]) -> None:
        self.estimator = kind(hidden_layer_sizes=(8,), max_iter=2, random_state=0)
        x = np.random.default_rng(0).normal(size=(60, 4))
        self.parts = [(x, np.arange(60) % 3), (1e4 * x[:, :3], np.arange(60) % 2 + 10)]
        self.answers = [self.estimator.fit(*part).predict(part[0]) for part in self.parts]

    def fit(self, part: int) -> None:
        self.estimator.fit(*self.parts[part])

    def check(self, estimator: Any) -> None:
        part = 4 - estimator.n_features_in_
        assert np.array_equal(estimator.predict(self.parts[part][0]), self.answers[part]), "neither old nor new"

    def check_copy(self, path: str) -> None:
        self.estimator.save(path)
        self.check(st.load(path))
        self.check(pickle.loads(pickle.dumps(self.estimator)))

    def predict(self, part: int) -> None:
        try:
            found = self.estimator.predict(self.parts[part][0])
        except ValueError as error:  # fitted to the other table
            assert "features" in str(error), error
        else:
            assert np.array_equal(found, self.answers[part]), "neither old nor new"


def whole(outputs: Any) -> None:
    found = set(outputs.ravel().tolist())
    assert len(found) == 1 and found <= ANSWERS, f"torn: {sorted(found)[:5]}"


def in_child(net: st.Network) -> None:
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            whole(net.predict(np.ones((300, WIDTH))))
        except RuntimeError as error:
            os._exit(0 if "forked" in str(error) else 1)
        except BaseException:
            os._exit(2)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status == 0, f"a child ended with {status}"


def works(shared: Shared, draw: random.Random, folder: str) -> dict[str, Callable[[], Any]]:
    net, trainers = draw.choice(shared.places)
    refitted = draw.choice(shared.estimators)
    part = draw.randrange(2)
    trainer = draw.choice(trainers)
    rows = draw.choice([1, 7, 100, 300, 1500])
    x, y = np.ones((rows, WIDTH)), np.zeros((rows, WIDTH))
    k = draw.choice(VALUES)
    path = f"{folder}/{threading.get_ident()}"

    def save() -> None:
        if trainer._custom_loss or callable(trainer._lr):
            trainer._core.snapshot()
            net.save(path)
            whole(st.load(path).predict(x))
        else:
            trainer.save(path)
            whole(st.Trainer.resume(path).network.predict(x))

    def turn() -> None:
        net.freeze("0")
        net.set_lr_multipliers({"0": 1.0, "1": 0.5})

    return {
        "predict": lambda: whole(net.predict(x)),
        "predict into": lambda: whole(net.predict(x, out=np.empty((rows, WIDTH), "float32"))),
        "step": lambda: trainer.step(x, y),
        "fit": lambda: trainer.fit(x, y, epochs=2, batch_size=16),
        "evaluate": lambda: trainer.evaluate(x, y) if not trainer._custom_loss else None,
        "set": lambda: net.set_parameters({name: np.full((WIDTH, WIDTH), k) for name in net.parameters}),
        "read": lambda: [net.gradients, trainer.n_steps, trainer.layer_costs, trainer.ema_network],
        "save": save,
        "copy": lambda: whole(net.copy().predict(x)),
        "passes": lambda: net.backward(net.forward(x)),
        "freeze": turn,
        "replace": lambda: shared.places.__setitem__(draw.randrange(3), shared.make()),
        "estimator fit": lambda: refitted.fit(part),
        "estimator predict": lambda: refitted.predict(part),
        "estimator copy": lambda: refitted.check_copy(path),
        "fork": lambda: in_child(net) if draw.random() < 0.2 else None,
    }


ALLOWED = ("at work in another thread", "backward needs a forward", "expected")  # what one of two is told


def main() -> None:
    minutes, *without = sys.argv[1:] or ["10"]
    end = time.monotonic() + 60 * float(minutes)
    shared, done, errors = Shared(), Counter[str](), []
    told: Counter[str] = Counter()
    folder = tempfile.mkdtemp()

    def run(seed: int) -> None:
        draw = random.Random(seed)
        while time.monotonic() < end and not errors:
            found = works(shared, draw, folder)
            name, work = draw.choice([item for item in found.items() if item[0] not in without])
            try:
                work()
                done[name] += 1
            except (RuntimeError, ValueError) as error:
                if not any(text in str(error) for text in ALLOWED):
                    errors.append((name, error))
                told[name] += 1
            except BaseException as error:
                errors.append((name, error))
            faulthandler.dump_traceback_later(HANG, exit=True)

    threads = [threading.Thread(target=run, args=[seed]) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    faulthandler.cancel_dump_traceback_later()
    for path in Path(folder).iterdir():
        path.unlink()
    Path(folder).rmdir()
    print(dict(done), "refused:", dict(told))
    if errors:
        raise SystemExit(f"{len(errors)} errors, the first in {errors[0][0]}: {errors[0][1]!r}")


if __name__ == "__main__":
    main()
