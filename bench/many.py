"""Many small networks: 64 at once, one for each of 10,000 groups, the folds of a cross-validation, and a search.

`python bench/many.py --peer-python PATH` measures ours beside JAX and scikit-learn of another interpreter; ``--write``
puts the tables into bench/README.md. Every worker is a process of its own, and they take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import limits
import report
from many_peers import BATCH, FOLDS, GROUP_COLUMNS, GROUP_ROWS, SIZES, gap, n_processors
from run import PAUSE, machine
from works import Work

FULL: dict[str, dict[str, Any]] = {
    "networks": {"networks": 64, "rows": 10_000, "epochs": 10},
    "groups": {"groups": 10_000, "some": 200, "epochs": 50},
    "folds": {"rows": 20_000},
    "search": {"n": 60, "rows": None},
}
SMALL: dict[str, dict[str, Any]] = {
    "networks": {"networks": 4, "rows": 336, "epochs": 1},
    "groups": {"groups": 20, "some": 4, "epochs": 2},
    "folds": {"rows": 600},
    "search": {"n": 4, "rows": 1000},
}
TABLES = {"digits": "MLPClassifier, digits", "friedman1": "MLPRegressor, friedman1"}
STEP = Work("epoch", "many", SIZES, BATCH, loss="mse", optimizer="adam")

Found = dict[str, Any]


class Job(NamedTuple):
    """What a worker does: the class in `many_peers`, its arguments, the interpreter, and whether one turn will do."""

    kind: str
    request: Found
    python: str = sys.executable
    once: bool = False


class FailedError(Exception):
    """A worker cannot go on, and says why."""


class Worker:
    """A worker's process."""

    def __init__(self, job: Job) -> None:
        count, threads = str(n_processors()), ("OMP", "OPENBLAS", "MKL")
        env = {name: value for name, value in os.environ.items() if name not in {f"{n}_NUM_THREADS" for n in threads}}
        env |= {"STEEPEST_NUM_THREADS": count, "JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore"}
        command = [job.python, str(Path(__file__).with_name("many_peers.py")), job.kind]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def ask(self, request: Found) -> Found:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer: Found = json.loads(line) if line else {"error": "the worker has ended"}
        if "error" in answer:
            raise FailedError(answer["error"])
        return answer

    def close(self) -> None:
        self.process.communicate()


def measure(jobs: dict[str, Job], rounds: int) -> Found:
    """Let the workers take turns; returns for each how it got ready and what its turns found, or why there are none."""
    found: Found = {}
    with ExitStack() as stack:
        workers = {}
        for name, job in jobs.items():
            workers[name] = Worker(job)
            stack.callback(workers[name].close)
            found[name] = attempt(name, workers[name], job.request)
        for round_ in range(rounds):
            for name, worker in workers.items():
                if "error" in found[name] or (round_ and jobs[name].once):
                    continue
                time.sleep(PAUSE)
                answer = attempt(name, worker, {})
                if "error" in answer:
                    found[name] = answer
                else:
                    found[name].setdefault("turns", []).append(answer)
    return found


def attempt(name: str, worker: Worker, request: Found) -> Found:
    try:
        answer = worker.ask(request)
    except FailedError as error:
        print(f"{name} is left out: {error}", file=sys.stderr)
        return {"error": str(error)}
    shown = {key: value for key, value in answer.items() if key not in ("outputs", "scores", "versions")}
    print(f"{name}: {shown or 'ready'}", file=sys.stderr, flush=True)
    return answer


def measure_networks(options: argparse.Namespace, sizes: Found) -> Found:
    jobs = {"steepest, all at once": Job("FitMany", sizes), "steepest, one by one, one thread": Job("OneByOne", sizes)}
    jobs |= {"JAX": Job("Jax", sizes, options.peer_python)}
    jobs |= {"scikit-learn, joblib": Job("SklearnNetworks", sizes, options.peer_python)}
    found = measure(jobs, options.rounds)
    outputs = {name: own.pop("outputs") for name, own in found.items() if "outputs" in own}
    for name, own in outputs.items():
        if not gap(first := next(iter(outputs.values())), own) < 1e-3:
            raise SystemExit(f"{name} has done something else: its outputs are {gap(first, own):.1g} away")
    return found


def measure_groups(options: argparse.Namespace, sizes: Found) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        request = sizes | {"folder": folder}
        theirs = Job("SklearnGroups", request, options.peer_python)
        return measure({"steepest": Job("FitGroups", request), "scikit-learn, joblib": theirs}, options.rounds)


def measure_folds(options: argparse.Namespace, sizes: Found) -> Found:
    found: Found = {}
    for table in TABLES:
        requests = {way: sizes | {"way": way, "table": table} for way in ("cross_validate", "fits", "scores")}
        jobs = {f"{table}, {way}": Job("Folds", request, once=way == "scores") for way, request in requests.items()}
        found |= measure(jobs, options.rounds)
    return found


def measure_search(options: argparse.Namespace, sizes: Found) -> Found:
    if options.table is None:
        return {}
    request = sizes | {"table": str(options.table)}
    return measure({method: Job("Search", request | {"method": method}) for method in ("halving", "random")}, 1)


def median(own: Found, figure: str) -> float:
    """Return the median over a worker's turns, NaN if it had none."""
    figures = [each[figure] for each in own.get("turns", [])]
    return statistics.median(figures) if figures else float("nan")


def turn(own: Found) -> Found:
    """Return a worker's last turn."""
    last: Found = own.get("turns", [{}])[-1]
    return last


def most(own: Found, figure: str) -> float:
    """Return the largest of a worker's turns, NaN if it had none."""
    return float(max((each[figure] for each in own.get("turns", [])), default="nan"))


def row(*cells: str) -> str:
    return "| " + " | ".join("-" if cell.startswith("nan") else cell for cell in cells) + " |"


def head(*cells: str) -> list[str]:
    return [row(*cells), "|---|" + " ---: |" * (len(cells) - 1)]


def left_out(found: Found) -> list[str]:
    """Return a paragraph of who is left out, and why, if anyone is."""
    lines = [f"{name} is left out: {own['error']}." for name, own in found.items() if "error" in own]
    return ["", *lines] if lines else []


def report_networks(result: Found, sizes: Found, found: Found) -> Iterator[str]:
    limit, jax = result["limits"], found.get("JAX", {})
    yield (
        f"{sizes['networks']} networks of {'-'.join(map(str, SIZES))} (relu, mse) on the same {sizes['rows']:,} rows, "
        f"batches of {BATCH}, Adam, shuffled, {sizes['epochs']} epochs a turn:"
    )
    yield ""
    yield from head("", "us, a step of a network", "times the first", "of one core's FMA", "of all cores'")
    first = median(next(iter(found.values())), "seconds")
    for name, own in found.items():
        seconds = median(own, "seconds")
        shares = [f"{100 * STEP.flops / seconds / limit[cores]:.3g}%" for cores in ("flops_one", "flops")]
        yield row(name, f"{1e6 * seconds:.3g}", f"{seconds / first:.3g}", *shares)
    yield ""
    if "ways" in jax:
        ways = ", ".join(f"{name} {1e6 * seconds:.3g}" for name, seconds in jax["ways"].items())
        yield f"JAX: {jax['way']}, the fastest of: {ways} us. It leaves out the rows of a short last batch."
    if turns := found.get("scikit-learn, joblib", {}).get("turns"):
        yield f"scikit-learn: {turns[0]['fits']} of the networks, {result['processors']} at a time, scaled."
    yield from left_out(found)


def report_groups(result: Found, sizes: Found, found: Found) -> Iterator[str]:
    yield (
        f"A network of {GROUP_COLUMNS}-16-1 for each of {sizes['groups']:,} groups of {GROUP_ROWS} rows, batches of "
        f"{BATCH}, {sizes['epochs']} epochs; R2 is that of the first {sizes['some']} groups' own rows:"
    )
    yield ""
    yield from head("", "fit, s", "save, s", "load, s", "predict all, s", "file, MB", "R2")
    for name, own in found.items():
        times = [
            f"{median(own, step):.3g}" if step in turn(own) else "-" for step in ("fit", "save", "load", "predict")
        ]
        size = f"{turn(own)['bytes'] / 1e6:.3g}" if "bytes" in turn(own) else "-"
        yield row(name, *times, size, f"{median(own, 'r2'):.3f}")
    yield ""
    if theirs := turn(found.get("scikit-learn, joblib", {})):
        yield f"scikit-learn: {theirs['fits']} of the groups, {result['processors']} at a time, scaled."
    yield from left_out(found)


def report_folds(result: Found, sizes: Found, found: Found) -> Iterator[str]:
    yield (
        f"`cross_validate` with {FOLDS} folds beside as many separate fits; friedman1 has {sizes['rows']:,} rows, and "
        "noise. Processor time; memory at the peak, above that of the process before:"
    )
    yield ""
    names = ("", "processor, s", "separate fits, s", "share", "by the clock, s", "separate fits, s")
    yield from head(*names, "MB", "separate fits, MB", "scores are cross_val_score's")
    for table, title in TABLES.items():
        ours, fits, theirs = (found.get(f"{table}, {way}", {}) for way in ("cross_validate", "fits", "scores"))
        cells = [f"{median(own, 'cpu'):.3g}" for own in (ours, fits)]
        cells.append(f"{median(ours, 'cpu') / median(fits, 'cpu'):.2f}")
        cells += [f"{median(own, 'seconds'):.3g}" for own in (ours, fits)]
        cells += [f"{most(own, 'bytes') / 1e6:.0f}" for own in (ours, fits)]
        yield row(title, *cells, agreement(turn(ours).get("scores"), turn(theirs).get("scores")))
    yield from left_out(found)


def agreement(ours: list[float] | None, theirs: list[float] | None) -> str:
    if ours is None or theirs is None:
        return "-"
    return "exactly" if ours == theirs else f"no: {gap(theirs, ours):.1g} away"


def report_search(result: Found, sizes: Found, found: Found) -> Iterator[str]:
    if not found:
        yield "The search is left out: no `--table` of California housing."
        return
    rows = turn(found["halving"]).get("rows") or turn(found["random"]).get("rows", 0)
    yield (
        f"`search` over layers, rate, dropout, weight decay and activation for `MLPRegressor` on {rows:,} rows of "
        f"California housing, {sizes['n']} trials of the same seed; RMSE of the best on a fifth of the rows held out:"
    )
    yield ""
    yield from head("method", "RMSE", "seconds", "times random's", "processor, s", "the best")
    for name, own in found.items():
        cells = [f"{median(own, 'rmse'):,.0f}", f"{median(own, 'seconds'):.3g}"]
        cells.append(f"{median(own, 'seconds') / median(found['random'], 'seconds'):.3f}")
        yield row(name, *cells, f"{median(own, 'cpu'):.3g}", turn(own).get("best", "-"))
    yield from left_out(found)


PARTS: dict[str, tuple[Callable[[argparse.Namespace, Found], Found], Callable[..., Iterator[str]]]] = {
    "networks": (measure_networks, report_networks),
    "groups": (measure_groups, report_groups),
    "folds": (measure_folds, report_folds),
    "search": (measure_search, report_search),
}


def heading(result: Found) -> str:
    """Name the machine, its limits and the versions: of our interpreter, then of the peers'."""
    limit, prepared = result["limits"], [own for part in result["parts"].values() for own in part["found"].values()]
    versions = [own["versions"] for own in prepared if "versions" in own]
    texts = []
    for ours in (True, False):
        merged = {k: v for own in versions if ("steepest" in own) == ours for k, v in own.items()}
        kernels = merged.pop("kernels", None)
        texts.append(", ".join(f"{name} {version}" for name, version in merged.items()))
        texts[-1] += f", kernels for {kernels}" if kernels else ""
    return (
        f"{result['machine']}, {result['processors']} processors, at most {limit['flops_one'] / 1e9:.0f} GFLOP/s on "
        f"one core and {limit['flops'] / 1e9:.0f} on all. Ours: {texts[0] or '-'}. Peers: {texts[1] or '-'}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated; by default all")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each worker; a search has one")
    parser.add_argument("--peer-python", default=sys.executable, help="the interpreter that has JAX and scikit-learn")
    parser.add_argument("--table", type=Path, help="the CSV file of California housing")
    parser.add_argument("--small", action="store_true", help="little work, to see that all runs")
    parser.add_argument("--json", type=Path, help="write the figures here; what the file has of other parts is kept")
    parser.add_argument("--write", action="store_true", help="write the tables into bench/README.md")
    options = parser.parse_args()
    wanted = [part for part in options.parts.split(",") if part]
    if unknown := set(wanted) - set(PARTS):
        raise SystemExit(f"{', '.join(sorted(unknown))}: expected some of {', '.join(PARTS)}")

    result: Found = json.loads(options.json.read_text()) if options.json and options.json.exists() else {"parts": {}}
    result |= {"machine": machine(), "processors": n_processors()}
    if "networks" in wanted or "limits" not in result:
        result["limits"] = limits.measure(n_processors())
    for part in wanted:
        sizes = (SMALL if options.small else FULL)[part]
        result["parts"][part] = {"sizes": sizes, "found": PARTS[part][0](options, sizes)}
        if options.json:
            options.json.write_text(json.dumps(result, indent=1))
    lines = [heading(result)]
    for part, (_, lines_of) in PARTS.items():
        if part in result["parts"]:
            lines += ["", *lines_of(result, **result["parts"][part])]
    print("\n".join(lines))
    if options.write:
        report.put("many", lines)


if __name__ == "__main__":
    main()
