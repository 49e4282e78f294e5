"""What the estimators cost: predicting one row beside the networks within, and a fit beside scikit-learn's.

`python bench/estimators.py` prints two tables; ``--write`` puts them into bench/README.md. This project and
scikit-learn have a process each and take turns. The fit needs MNIST's test images in ../shared/data.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import multiprocessing
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parent))

import report
import steepest as st
from quality_models import n_threads
from run import PAUSE, machine
from steepest.files import read_idx

Table = tuple[NDArray[np.float32], NDArray[Any]]
CALLS, SHARED = 2000, Path(__file__).parents[2] / "shared" / "data"
MNIST_ROWS = 8000
FITS = [((100,), 200), ((128,), 64), ((100,), 32), ((256, 128), 64)]  # hidden layers and batch; defaults first
EPOCHS = 10


def large(classes: bool) -> Table:
    """3,000 rows, of which the recipe makes four networks with embeddings."""
    x = np.random.default_rng(0).standard_normal((3000, 8), np.float32)
    y = x[:, 0] * x[:, 1] + x[:, 2]
    return x, (y > 0).astype(int) if classes else y


def small(load: Callable[..., Any]) -> Table:
    x, y = load(return_X_y=True)
    return x.astype(np.float32), y


CASES: dict[str, tuple[str, Callable[[], Table], dict[str, Any]]] = {
    "one of 100": ("MLPClassifier", lambda: small(datasets.load_breast_cancer), {"hidden_layer_sizes": (100,)}),
    "one of 100, numbers": ("MLPRegressor", lambda: small(datasets.load_diabetes), {"hidden_layer_sizes": (100,)}),
    "default, small": ("MLPClassifier", lambda: small(datasets.load_breast_cancer), {}),
    "default, small, ten classes": ("MLPClassifier", lambda: small(datasets.load_digits), {}),
    "default, small, numbers": ("MLPRegressor", lambda: small(datasets.load_diabetes), {}),
    "default, large": ("MLPClassifier", lambda: large(classes=True), {}),
    "default, large, numbers": ("MLPRegressor", lambda: large(classes=False), {}),
}


@cache
def fitted(ours: bool, case: str) -> Any:
    """The estimator of a case; scikit-learn's own has the widths of the first of our networks."""
    kind, load, options = CASES[case]
    mine = getattr(st, kind)(random_state=0, **options)
    x, y = load()
    if ours:
        return mine.fit(x, y)
    from sklearn import neural_network

    widths = options.get("hidden_layer_sizes") or ((128, 128) if case.startswith("default, small") else (256, 256))
    return getattr(neural_network, kind)(hidden_layer_sizes=widths, random_state=0, max_iter=5).fit(x, y)


def microseconds(call: Callable[[Any], Any], rows: Sequence[Any]) -> float:
    """The processor's time of a call, the median over parts of many."""
    call(rows[0])
    times = []
    for start in range(0, CALLS, 100):
        part = [rows[i % len(rows)] for i in range(start, start + 100)]
        began = time.thread_time()
        for row in part:
            call(row)
        times.append((time.thread_time() - began) / len(part))
    return 1e6 * statistics.median(times)


def predict(ours: bool, case: str) -> dict[str, float]:
    """Measure `predict` of single rows, and for ours the networks' own on the same rows as they get them."""
    model, x = fitted(ours, case), CASES[case][1]()[0]
    rows = [x[i : i + 1].copy() for i in range(200)]
    with threadpool_limits(1):
        found = {"float32": microseconds(model.predict, rows)}
        if not ours:
            return found
        st.set_num_threads(1)
        found["float64"] = microseconds(model.predict, [row.astype(np.float64) for row in rows])

        def networks(row: Any) -> None:
            for network in model.networks_:
                network.predict(row)

        return found | {"networks": microseconds(networks, [model._model.preprocessor.dense(row) for row in rows])}


def fit(ours: bool, hidden: tuple[int, ...], batch: int, threads: int) -> dict[str, float]:
    """Measure a fit of MNIST's rows."""
    x = read_idx(SHARED / "t10k-images-idx3-ubyte.gz")[:MNIST_ROWS].reshape(MNIST_ROWS, -1) / np.float32(255)
    y = read_idx(SHARED / "t10k-labels-idx1-ubyte.gz")[:MNIST_ROWS]
    given: dict[str, Any] = {"max_iter": EPOCHS, "n_iter_no_change": EPOCHS, "tol": 0.0, "random_state": 0}
    given |= {"hidden_layer_sizes": hidden, "batch_size": batch}
    if ours:
        st.set_num_threads(threads)
        model = st.MLPClassifier(preset="sklearn", **given)
    else:
        from sklearn.neural_network import MLPClassifier

        model = MLPClassifier(**given)
    with threadpool_limits(threads):
        began = time.perf_counter()
        model.fit(x, y)
        seconds = time.perf_counter() - began
    if model.n_iter_ != EPOCHS:
        raise RuntimeError(f"{model}: {model.n_iter_} epochs")
    return {"seconds": seconds, "loss": model.loss_}


def quiet() -> None:
    warnings.simplefilter("ignore")  # of not converging


def medians(workers: dict[bool, ProcessPoolExecutor], rounds: int, *work: Any) -> dict[bool, dict[str, float]]:
    """Let both do the same work in turn, once unmeasured; the medians of what they found."""
    found: dict[bool, list[dict[str, float]]] = {ours: [] for ours in workers}
    for round_ in range(-1, rounds):
        for ours, worker in workers.items():
            answer = worker.submit(work[0], ours, *work[1:]).result()
            time.sleep(PAUSE)
            if round_ >= 0:
                found[ours].append(answer)
    return {
        ours: {name: statistics.median(answer[name] for answer in answers) for name in answers[0]}
        for ours, answers in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="turns of both")
    parser.add_argument("--write", action="store_true", help="write the tables into bench/README.md")
    options = parser.parse_args()

    version = importlib.metadata.version("scikit-learn")
    lines = [
        f"{machine()}, kernels for {st.build_info()['isa']}, steepest {st.build_info()['version']}, "
        f"scikit-learn {version}.",
        "",
        "| one row, one thread | networks, us | predict, us | above the networks | of float64 | scikit-learn, us |",
        "|---|---|---|---|---|---|",
    ]
    context = multiprocessing.get_context("spawn")
    workers = {ours: ProcessPoolExecutor(1, context, quiet) for ours in (True, False)}
    for case, (kind, *_) in CASES.items():
        found = medians(workers, options.rounds, predict, case)
        alone, of_float32, of_float64 = (found[True][name] for name in ("networks", "float32", "float64"))
        figures = (alone, of_float32, of_float32 - alone, of_float64 - alone, found[False]["float32"])
        lines.append(f"| {kind}, {case} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |")
    if (SHARED / "t10k-images-idx3-ubyte.gz").exists():
        lines += [
            "",
            f"MLPClassifier with scikit-learn's settings, {MNIST_ROWS:,} rows of MNIST in float32, {EPOCHS} epochs:",
            "",
            "| hidden layers | batch | threads | steepest, s | loss | scikit-learn, s | loss | times faster |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for (hidden, batch), threads in itertools.product(FITS, sorted({1, n_threads()})):
            found = medians(workers, options.rounds, fit, hidden, batch, threads)
            cells = ["-".join(map(str, hidden)), str(batch), str(threads)]
            cells += [f"{found[ours][name]:.3g}" for ours in (True, False) for name in ("seconds", "loss")]
            cells.append(f"{found[False]['seconds'] / found[True]['seconds']:.3g}")
            lines.append("| " + " | ".join(cells) + " |")
    else:
        print(f"no images of MNIST in {SHARED}: the fit is left out", file=sys.stderr)
    for worker in workers.values():
        worker.shutdown()
    print("\n".join(lines))
    if options.write:
        report.put("estimators", lines)


if __name__ == "__main__":
    main()
