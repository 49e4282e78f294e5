"""The benchmark: every library on the same work from the same weights, each in a process of its own, taking turns.

`python bench/run.py` measures this project against NumPy; ``--peers all`` adds whichever of the others are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import limits
import report
from peers import NAMES
from works import WORKS

CHECK_STEPS = 3
PAUSE = 0.2  # seconds until idle threads no longer spin, and take a processor from who is next: OpenBLAS's do for 0.1
MODULES = {"torch-compiled": "torch"}


class Process:
    """One library's worker."""

    def __init__(self, peer: str, threads: int) -> None:
        count = str(threads)
        names = ("OMP", "OPENBLAS", "MKL", "STEEPEST", "VECLIB")
        env = {**os.environ, **{f"{name}_NUM_THREADS": count for name in names}, "JAX_PLATFORMS": "cpu"}
        env.pop("OPENBLAS_CORETYPE", None)  # NumPy finds its best kernels by itself
        command = [sys.executable, str(Path(__file__).with_name("worker.py")), peer, count]
        cpus = sorted(os.sched_getaffinity(0))[:threads]  # JAX knows no other way to be told
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


def compare(peers: dict[str, Process], index: int, rounds: int) -> dict[str, Any]:
    """Measure one work; returns the median seconds of a step or call for each library."""
    work = WORKS[index]
    answers = {name: process.ask("prepare", index=index, check_steps=CHECK_STEPS) for name, process in peers.items()}
    truth = answers["steepest"]["outputs"]
    scale = max(abs(value) for value in truth)
    for name in peers:
        gap = max(abs(a - b) for a, b in zip(truth, answers[name]["outputs"], strict=True)) / scale
        if not gap < 1e-3:
            raise RuntimeError(f"{work}: {name} has done something else: its outputs are {gap:.1g} away")
    times: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name in peers:
            times[name].append(peers[name].ask("run")["seconds"] / work.steps)
            time.sleep(PAUSE)
    for process in peers.values():
        process.ask("close")
    return {
        "table": work.table,
        "name": work.name,
        "seconds": {name: statistics.median(values) for name, values in times.items()},
        "spread": {name: spread(values) for name, values in times.items()},
    }


def spread(values: list[float]) -> float:
    """Half the range between the quartiles, as a share of the median."""
    if len(values) < 3:
        return 0.0
    low, middle, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / middle


def machine() -> str:
    """Name the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--peers", default="numpy", help="comma-separated, or all: " + ", ".join(NAMES[1:]))
    parser.add_argument("--tables", default="step,infer,epoch")
    parser.add_argument("--works", default="", help="comma-separated names; by default all")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--write", action="store_true", help="write the tables into bench/README.md")
    options = parser.parse_args()

    wanted = NAMES[1:] if options.peers == "all" else [name for name in options.peers.split(",") if name]
    installed = [name for name in wanted if importlib.util.find_spec(MODULES.get(name, name))]
    for name in sorted(set(wanted) - set(installed)):
        print(f"{name} is not installed: left out", file=sys.stderr)
    peers = {name: Process(name, options.threads) for name in ("steepest", *installed)}
    versions = {name: process.ask("version") for name, process in peers.items()}
    result: dict[str, Any] = {
        "machine": machine(),
        "threads": options.threads,
        "versions": {name: answer["version"] for name, answer in versions.items()},
        "isa": versions["steepest"]["isa"],
        "limits": limits.measure(options.threads) | {"call": versions["steepest"]["empty_call"]},
        "works": [],
    }
    print(report.heading(result))
    shown = None
    for index, work in enumerate(WORKS):
        if work.table not in options.tables.split(",") or (options.works and work.name not in options.works.split(",")):
            continue
        if work.table != shown:
            print("\n" + "\n".join(report.table_head(work.table, list(peers))))
            shown = work.table
        found = compare(peers, index, options.rounds)
        result["works"].append(found)
        print(report.row(work, found, result["limits"], list(peers)), flush=True)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    if options.write:
        report.write(result)


if __name__ == "__main__":
    main()
