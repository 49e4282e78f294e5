"""The workers of `many.py`: processes that read requests from stdin, a line each, and answer by JSON on stdout.

The first request, a JSON object, makes the peer ready; each other is a turn. Who cannot go on answers {"error": text}.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIZES, BATCH, LR = (16, 64, 64, 1), 32, 1e-3
GROUP_ROWS, GROUP_COLUMNS = 200, 8
FOLDS = 5
Array = NDArray[Any]
Found = dict[str, Any]


class MissingError(Exception):
    """What a worker needs is not there."""


def steepest(needed: str) -> Any:
    """Import ours, which must have a function."""
    import steepest as st

    if not hasattr(st, needed):
        raise MissingError(f"steepest {st.build_info()['version']} has no {needed}")
    return st


def n_processors() -> int:
    return len(os.sched_getaffinity(0))


def elapsed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def network_data(n: int, rows: int) -> tuple[Array, Array, list[tuple[Array, Array]]]:
    """Return the rows and targets of all networks, and the first weights of each, (n, inputs, outputs), and biases."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, SIZES[0]), np.float32)
    y = np.tanh(x[:, :1]) * x[:, 1:2] + np.float32(0.1) * random.standard_normal((rows, 1), np.float32)
    weights = [
        (random.standard_normal((n, a, b), np.float32) * np.float32(math.sqrt(2 / a)), np.zeros((n, b), np.float32))
        for a, b in pairwise(SIZES)
    ]
    return x, y, weights


def group_data(groups: int) -> tuple[Array, Array, Array]:
    """Return rows, targets, and the group of each row: 200 of each, in no order, with coefficients of their own."""
    random = np.random.default_rng(0)
    group = random.permutation(np.repeat(np.arange(groups), GROUP_ROWS))
    x = random.standard_normal((len(group), GROUP_COLUMNS), np.float32)
    coefficients = random.standard_normal((groups, GROUP_COLUMNS), np.float32)
    y = np.einsum("ij,ij->i", x, coefficients[group]) + np.sin(2 * x[:, 0]) * x[:, 1]
    return x, y + np.float32(0.3) * random.standard_normal(len(group), np.float32), group


def gap(truth: ArrayLike, other: ArrayLike) -> float:
    """Return the largest difference, as a share of the largest value."""
    return float(abs(np.subtract(truth, other)).max() / abs(np.asarray(truth)).max())


def r2(y: Array, predicted: Array) -> float:
    return float(1 - np.mean((y - predicted) ** 2) / y.var())


class FitMany:
    """Our networks, all at once on all processors."""

    packages: ClassVar[tuple[str, ...]] = ("steepest", "numpy")
    threads = n_processors()

    def __init__(self, networks: int, rows: int, epochs: int) -> None:
        st = steepest("fit_many" if type(self) is FitMany else "Trainer")
        st.set_num_threads(self.threads)
        self.x, self.y, weights = network_data(networks, rows)
        self.epochs, self.trainers = epochs, []
        for i in range(networks):
            net = st.Network(SIZES[0], [*(st.Dense(size, "relu") for size in SIZES[1:-1]), st.Dense(SIZES[-1])])
            net.set_parameters({f"{k}.weight": w[i] for k, (w, _) in enumerate(weights)})
            self.trainers.append(st.Trainer(net, "mse", st.Adam(LR), seed=i))

    def fit(self, *data: Array, epochs: int) -> None:
        import steepest as st

        st.fit_many(self.trainers, *data, epochs=epochs, batch_size=BATCH)

    def prepare(self) -> Found:
        """Make three steps on one batch, whose outputs show that all do the same, and an epoch for warmth."""
        self.fit(self.x[:BATCH], self.y[:BATCH], epochs=3)
        outputs = [trainer.network.predict(self.x[:BATCH]) for trainer in self.trainers]
        self.fit(self.x, self.y, epochs=1)
        return {"outputs": np.array(outputs).reshape(-1).tolist()}

    def run(self) -> Found:
        seconds = elapsed(lambda: self.fit(self.x, self.y, epochs=self.epochs))
        return {"seconds": seconds / (self.epochs * len(self.trainers) * len(self.x) / BATCH)}


class OneByOne(FitMany):
    """Our networks, one after the other on one thread."""

    threads = 1

    def fit(self, *data: Array, epochs: int) -> None:
        for trainer in self.trainers:
            trainer.fit(*data, epochs=epochs, batch_size=BATCH)


class Way:
    """A way of JAX to train all networks for an epoch, and how far they are: carries and keys."""

    def __init__(self, call: Callable[..., Any], state: Any) -> None:
        self.call, self.state = call, state

    def epoch(self, x: Any, y: Any) -> None:
        import jax

        self.state = jax.block_until_ready(self.call(self.state, x, y))


class Jax:
    """Four ways to train the networks, jitted with donated arguments; the fastest of them makes the turns.

    Each shuffles within an epoch's call, by a sort of random numbers for each network. Optax's Adam takes as long as
    this one; blocks of 4 to 16 networks, which stay in the cache, and unrolled steps gained nothing.
    """

    packages: ClassVar[tuple[str, ...]] = ("jax", "numpy")

    def __init__(self, networks: int, rows: int, epochs: int) -> None:
        self.devices = math.gcd(networks, n_processors())
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={self.devices}"  # read by the import
        import jax

        self.jax, self.n, self.rows, self.epochs = jax, networks, rows, epochs
        self.x, self.y, self.weights = network_data(networks, rows)
        self.ways = {
            "vmap of scans": self.vmap_of_scans,
            "scan of vmapped steps": self.scan_of_vmaps,
            f"scan of vmapped steps on {self.devices} devices": self.scan_on_devices,
            f"jitted epochs of one network each in {n_processors()} Python threads": self.loop_of_epochs,
        }

    def first(self) -> tuple[Any, Any]:
        """Return all networks' parameters, moments and numbers of steps, and their random keys."""
        jax = self.jax
        zeros = jax.tree.map(np.zeros_like, self.weights)
        carry = (self.weights, zeros, zeros, np.zeros(self.n, np.float32))
        return jax.tree.map(lambda a: jax.numpy.array(a), carry), jax.random.split(jax.random.key(0), self.n)

    def forward(self, parameters: Any, x: Any) -> Any:
        for w, b in parameters[:-1]:
            x = self.jax.nn.relu(x @ w + b)
        return x @ parameters[-1][0] + parameters[-1][1]

    def loss(self, parameters: Any, x: Any, y: Any) -> Any:
        return ((self.forward(parameters, x) - y) ** 2).mean()

    def step(self, carry: Any, x: Any, y: Any) -> Any:
        """Make a step of Adam."""
        parameters, means, squares, t = carry
        each, sqrt, t = self.jax.tree.map, self.jax.numpy.sqrt, t + 1
        gradients = self.jax.grad(self.loss)(parameters, x, y)
        means = each(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
        squares = each(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
        rate, scale = LR / (1 - 0.9**t), 1 / sqrt(1 - 0.999**t)
        parameters = each(lambda p, m, v: p - rate * m / (sqrt(v) * scale + 1e-8), parameters, means, squares)
        return parameters, means, squares, t

    def order(self, key: Any, rows: int) -> tuple[Any, Any]:
        """Return the next key, and the rows of each batch, shuffled; those of a short last batch are left out."""
        key, own = self.jax.random.split(key)
        order = self.jax.numpy.argsort(self.jax.random.bits(own, (rows,)))
        return key, order[: rows // BATCH * BATCH].reshape(-1, BATCH)

    def one(self, state: Any, x: Any, y: Any) -> Any:
        """Train one network for an epoch."""
        key, order = self.order(state[1], len(x))
        return self.jax.lax.scan(lambda c, rows: (self.step(c, x[rows], y[rows]), None), state[0], order)[0], key

    def all(self, state: Any, x: Any, y: Any) -> Any:
        """Train all networks for an epoch, step by step."""
        keys, order = self.jax.vmap(partial(self.order, rows=len(x)))(state[1])
        step, order = self.jax.vmap(self.step), order.transpose(1, 0, 2)
        return self.jax.lax.scan(lambda c, rows: (step(c, x[rows], y[rows]), None), state[0], order)[0], keys

    def vmap_of_scans(self) -> Way:
        return Way(self.jax.jit(self.jax.vmap(self.one, in_axes=(0, None, None)), donate_argnums=0), self.first())

    def scan_of_vmaps(self) -> Way:
        return Way(self.jax.jit(self.all, donate_argnums=0), self.first())

    def scan_on_devices(self) -> Way:
        """Share the networks out to devices, one a processor."""
        sharding = self.jax.sharding
        mesh = sharding.Mesh(np.array(self.jax.devices()), ("networks",))
        split, whole = sharding.PartitionSpec("networks"), sharding.PartitionSpec()
        shards = self.jax.shard_map(self.all, mesh=mesh, in_specs=(split, whole, whole), out_specs=split)
        state = self.jax.device_put(self.first(), sharding.NamedSharding(mesh, split))
        return Way(self.jax.jit(shards, donate_argnums=0), state)

    def loop_of_epochs(self) -> Way:
        from concurrent.futures import ThreadPoolExecutor

        pool, call = ThreadPoolExecutor(n_processors()), self.jax.jit(self.one, donate_argnums=0)
        first = self.first()

        def epoch(state: list[Any], x: Any, y: Any) -> list[Any]:
            return list(pool.map(lambda own: self.jax.block_until_ready(call(own, x, y)), state))

        singles: list[Any] = [self.jax.tree.map(itemgetter(i), first) for i in range(self.n)]
        devices = self.jax.devices()
        return Way(epoch, [self.jax.device_put(own, devices[i % len(devices)]) for i, own in enumerate(singles)])

    def outputs(self, state: Any) -> Array:
        singles = [own[0][0] for own in state] if isinstance(state, list) else []
        parameters = self.jax.tree.map(lambda *own: np.stack(own), *singles) if singles else state[0][0]
        return np.asarray(self.jax.vmap(self.forward, (0, None))(parameters, self.x[:BATCH])).reshape(-1)

    def prepare(self) -> Found:
        """Compile all ways, find the fastest, and return its outputs after three steps on one batch."""
        self.data = tuple(map(self.jax.numpy.asarray, (self.x, self.y)))
        ways, outputs, seconds = {name: make() for name, make in self.ways.items()}, {}, {}
        for name, way in ways.items():
            for _ in range(3):
                way.epoch(*(array[:BATCH] for array in self.data))
            outputs[name] = self.outputs(way.state)
            times = [elapsed(partial(way.epoch, *self.data)) for _ in range(3)]
            seconds[name] = self.of_step(min(times[1:]), 1)
        best = min(seconds, key=lambda name: seconds[name])
        self.way = ways[best]
        if not all(gap(outputs[best], own) < 1e-3 for own in outputs.values()):
            raise RuntimeError("the ways of JAX do not do the same")
        return {"outputs": outputs[best].tolist(), "way": best, "ways": seconds}

    def of_step(self, seconds: float, epochs: int) -> float:
        return seconds / (epochs * self.n * (self.rows // BATCH))

    def run(self) -> Found:
        seconds = sum(elapsed(partial(self.way.epoch, *self.data)) for _ in range(self.epochs))
        return {"seconds": self.of_step(seconds, self.epochs)}


def fit_sklearn(x: Array, y: Array, seed: int, options: Found) -> Any:
    """Fit scikit-learn's regressor, all its epochs, in a process that has one thread."""
    from sklearn.neural_network import MLPRegressor

    warnings.simplefilter("ignore")  # of not converging
    given = {"batch_size": BATCH, "tol": 0.0, "n_iter_no_change": 10**9, "random_state": seed, **options}
    model = MLPRegressor(**given).fit(x, y)
    if model.n_iter_ != options["max_iter"]:
        raise RuntimeError(f"{model}: {model.n_iter_} epochs")
    return model


class Sklearn:
    """Scikit-learn's networks by joblib, a process a processor; they are up and have imported all before a turn."""

    packages: ClassVar[tuple[str, ...]] = ("scikit-learn", "joblib", "numpy")
    options: Found

    def fits(self) -> Iterator[tuple[Array, Array]]:
        """Return rows and targets of each fit."""
        raise NotImplementedError

    def prepare(self) -> Found:
        from joblib import Parallel, delayed

        self.parallel, self.one = Parallel(n_jobs=n_processors()), delayed(fit_sklearn)
        x, y = next(self.fits())
        few = self.options | {"max_iter": 1}
        self.parallel(self.one(x[:BATCH], y[:BATCH], 0, few) for _ in range(4 * n_processors()))
        return {}

    def run_all(self) -> tuple[list[Any], float]:
        models: list[Any] = []
        works = [self.one(*data, seed, self.options) for seed, data in enumerate(self.fits())]
        return models, elapsed(lambda: models.extend(self.parallel(works)))


class SklearnNetworks(Sklearn):
    """A few of the networks."""

    def __init__(self, networks: int, rows: int, epochs: int) -> None:
        self.options = {"hidden_layer_sizes": SIZES[1:-1], "alpha": 0.0, "learning_rate_init": LR, "max_iter": epochs}
        self.n = min(networks, 2 * n_processors())
        x, y, _ = network_data(1, rows)
        self.x, self.y = x, y[:, 0]

    def fits(self) -> Iterator[tuple[Array, Array]]:
        return ((self.x, self.y) for _ in range(self.n))

    def run(self) -> Found:
        models, seconds = self.run_all()
        return {"seconds": seconds / (len(models) * self.options["max_iter"] * len(self.x) / BATCH), "fits": self.n}


class FitGroups:
    """Our networks of groups: all fitted, saved, loaded, and asked for every row."""

    packages: ClassVar[tuple[str, ...]] = ("steepest", "numpy", "pandas")

    def __init__(self, groups: int, some: int, epochs: int, folder: str) -> None:
        import pandas as pd

        st = steepest("fit_groups")
        x, self.y, group = group_data(groups)
        self.frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(GROUP_COLUMNS)]).assign(shop=group)
        self.some, self.path, self.st = group < some, Path(folder) / "groups.safetensors", st
        options: Found = {"max_iter": epochs, "batch_size": BATCH, "early_stopping": False, "random_state": 0}
        self.fit = partial(st.fit_groups, st.MLPRegressor(hidden_layer_sizes=(16,), **options), by="shop")

    def prepare(self) -> Found:
        few = self.frame["shop"].to_numpy() < 4
        self.fit(self.frame[few], self.y[few]).predict(self.frame[few])
        return {}

    def run(self) -> Found:
        clock = [time.perf_counter()]
        model = self.fit(self.frame, self.y)
        clock.append(time.perf_counter())
        model.save(self.path)
        clock.append(time.perf_counter())
        model = self.st.load(self.path)
        clock.append(time.perf_counter())
        predicted = np.asarray(model.predict(self.frame)).reshape(-1)
        clock.append(time.perf_counter())
        times = dict(zip(("fit", "save", "load", "predict"), np.diff(clock).tolist(), strict=True))
        own = r2(self.y[self.some], predicted[self.some])
        return times | {"bytes": self.path.stat().st_size, "r2": own}


class SklearnGroups(Sklearn):
    """Some of the groups."""

    def __init__(self, groups: int, some: int, epochs: int, folder: str) -> None:
        self.options = {"hidden_layer_sizes": (16,), "max_iter": epochs}
        self.groups = groups
        x, y, group = group_data(groups)
        places = [np.flatnonzero(group == i) for i in range(min(some, groups))]
        self.data = [(x[own], y[own]) for own in places]

    def fits(self) -> Iterator[tuple[Array, Array]]:
        return iter(self.data)

    def run(self) -> Found:
        models, seconds = self.run_all()
        predicted = [model.predict(x) for model, (x, _) in zip(models, self.data, strict=True)]
        own = r2(np.concatenate([y for _, y in self.data]), np.concatenate(predicted))
        return {"fit": seconds * self.groups / len(models), "fits": len(models), "r2": own}


class Folds:
    """Cross-validation of one of our estimators: "cross_validate", or the same as "fits", or sklearn's "scores"."""

    packages: ClassVar[tuple[str, ...]] = ("steepest", "numpy", "scikit-learn")

    def __init__(self, way: str, table: str, rows: int) -> None:
        from sklearn import datasets

        st = steepest("cross_validate" if way == "cross_validate" else "MLPRegressor")
        warnings.simplefilter("ignore")
        self.estimator: Any
        if table == "digits":
            self.estimator, (x, y) = st.MLPClassifier(random_state=0), datasets.load_digits(return_X_y=True)
        else:
            self.estimator, (x, y) = st.MLPRegressor(random_state=0), datasets.make_friedman1(rows, random_state=0)
            y = y + np.random.default_rng(0).standard_normal(rows)
        self.x, self.y, self.call = x, y, {"cross_validate": self.ours, "fits": self.fits, "scores": self.theirs}[way]

    def ours(self) -> Any:
        import steepest as st

        return st.cross_validate(self.estimator, self.x, self.y, cv=FOLDS)["test_score"]

    def fits(self) -> list[float]:
        from sklearn.base import clone, is_classifier
        from sklearn.model_selection import check_cv

        scores, folds = [], check_cv(FOLDS, self.y, classifier=is_classifier(self.estimator))
        for train, test in folds.split(self.x, self.y):
            model = clone(self.estimator).fit(self.x[train], self.y[train])
            scores.append(model.score(self.x[test], self.y[test]))
        return scores

    def theirs(self) -> Any:
        from sklearn.model_selection import cross_val_score

        return cross_val_score(self.estimator, self.x, self.y, cv=FOLDS)

    def prepare(self) -> Found:
        from sklearn.base import clone

        clone(self.estimator).set_params(max_iter=1).fit(self.x[:300], self.y[:300])
        self.before = peak()
        return {}

    def run(self) -> Found:
        scores: list[float] = []
        began = time.process_time()
        seconds = elapsed(lambda: scores.extend(map(float, self.call())))
        cpu = time.process_time() - began
        return {"seconds": seconds, "cpu": cpu, "bytes": peak() - self.before, "before": self.before, "scores": scores}


def peak() -> int:
    """Return the most memory that this process has had, in bytes; getrusage's counts the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) << 10


class Search:
    """Our search by one method, and what its best makes of a fifth of the rows, which it has not seen."""

    packages: ClassVar[tuple[str, ...]] = ("steepest", "numpy", "scikit-learn", "scipy")

    def __init__(self, method: str, n: int, rows: int | None, table: str) -> None:
        import pandas as pd
        from scipy.stats import loguniform, uniform
        from sklearn.model_selection import train_test_split

        st = steepest("search")
        warnings.simplefilter("ignore")
        frame = pd.read_csv(table).sample(frac=1, random_state=0)[:rows]
        y = frame.pop("median_house_value").to_numpy(np.float64)
        self.data = train_test_split(frame, y, test_size=0.2, random_state=0)
        self.space = {
            "hidden_layer_sizes": [(64,), (128,), (256,), (128, 128), (256, 256)],
            "learning_rate_init": loguniform(1e-3, 3e-2),
            "dropout": uniform(0, 0.3),
            "alpha": loguniform(1e-2, 1),
            "activation": ["relu", "silu", "mish", "tanh"],
        }
        self.estimator = st.MLPRegressor(random_state=0)
        self.search = partial(st.search, self.estimator, self.space, n=n, method=method, random_state=0)

    def prepare(self) -> Found:
        from sklearn.base import clone

        clone(self.estimator).set_params(max_iter=1).fit(self.data[0][:300], self.data[2][:300])
        return {}

    def run(self) -> Found:
        x, unseen_x, y, unseen_y = self.data
        began, cpu = time.perf_counter(), time.process_time()
        found = self.search(X=x, y=y)
        times = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
        best = getattr(found, "best_estimator_", found)
        rmse = math.sqrt(np.mean((best.predict(unseen_x) - unseen_y) ** 2))
        chosen = {name: best.get_params()[name] for name in self.space}
        texts = [
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in chosen.items()
        ]
        return times | {"rmse": rmse, "best": ", ".join(texts), "rows": len(y)}


PEERS: dict[str, Any] = {
    peer.__name__: peer for peer in (FitMany, OneByOne, Jax, SklearnNetworks, FitGroups, SklearnGroups, Folds, Search)
}


def answers(kind: Any) -> Iterator[Found]:
    """Answer the requests, one after the other."""
    peer = kind(**json.loads(sys.stdin.readline()))
    versions = {name: importlib.metadata.version(name) for name in kind.packages if name != "steepest"}
    if "steepest" in kind.packages:
        import steepest as st

        versions = {"steepest": st.build_info()["version"], "kernels": st.build_info()["isa"]} | versions
    yield peer.prepare() | {"versions": {"Python": platform.python_version()} | versions}
    for _ in sys.stdin:
        yield peer.run()


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        for answer in answers(PEERS[sys.argv[1]]):
            print(json.dumps(answer), file=out, flush=True)
    except Exception as error:
        if not isinstance(error, (MissingError, ImportError)):
            traceback.print_exc()
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=out, flush=True)


if __name__ == "__main__":
    main()
