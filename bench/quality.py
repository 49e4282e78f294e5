"""How good the defaults are: cross-validation on thirteen tables, of this project and of others.

`python bench/quality.py --models steepest,sklearn --datasets wine,digits` measures some; by default all that is
installed is measured. `lightgbm tuned` searches for hours: leave it out, or give `--folds 0,1` for some of the folds.
Every model has a process of its own, gets the same folds, and takes turns with the others.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import multiprocessing
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import quality_models
import quality_report
import report
from quality_data import FOLDS, TABLES
from run import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(quality_models.MODELS), help="comma-separated")
    parser.add_argument("--datasets", default=",".join(TABLES), help="comma-separated")
    parser.add_argument("--folds", default=",".join(map(str, range(FOLDS))), help="comma-separated, from 0")
    parser.add_argument("--json", type=Path, help="write the figures here; what the file has besides is kept")
    parser.add_argument("--resume", action="store_true", help="leave out the folds that the file has")
    parser.add_argument("--write", action="store_true", help="write the table into bench/README.md")
    options = parser.parse_args()

    wanted = _chosen(options.models, quality_models.MODELS)
    tables = _chosen(options.datasets, TABLES)
    folds = [int(fold) for fold in _chosen(options.folds, map(str, range(FOLDS)))]
    workers = _start(wanted)

    result: dict[str, Any] = {"versions": {}, "scores": {}}
    if options.json and options.json.exists():
        result = json.loads(options.json.read_text())
    result |= {"machine": machine(), "threads": quality_models.n_threads()}
    result["versions"] |= {name: importlib.metadata.version(quality_models.PACKAGES[name]) for name in workers}
    for table in tables:
        found = result["scores"].setdefault(table, {})
        for fold in folds:
            for name, worker in workers.items():
                if options.resume and str(fold) in found.get(name, {}):
                    continue
                answer = worker.submit(quality_models.run, name, table, fold).result()
                found.setdefault(name, {})[str(fold)] = answer
                text = ", ".join(f"{measure} {value:.4g}" for measure, value in answer.items())
                print(f"{table}, fold {fold}, {name}: {text}", file=sys.stderr, flush=True)
                if options.json:
                    options.json.write_text(json.dumps(result, indent=1))
    for worker in workers.values():
        worker.shutdown()
    # In the order of the list above, however the file came about.
    result["scores"] = {table: result["scores"][table] for table in TABLES if table in result["scores"]}
    lines = quality_report.report(result, list(quality_models.MODELS))
    print("\n".join(lines))
    if options.write:
        report.put("quality", lines)


def _chosen(text: str, known: Iterable[str]) -> list[str]:
    """Return the names in a list of them, each of which is known."""
    names, known = [name for name in text.split(",") if name], list(known)
    for name in names:
        if name not in known:
            raise SystemExit(f"{name!r}: expected some of {', '.join(known)}")
    return names


def _start(wanted: list[str]) -> dict[str, ProcessPoolExecutor]:
    """Return a process for each model that can be had here, and say which can't."""
    context = multiprocessing.get_context("spawn")
    workers = {}
    for name in wanted:
        if not importlib.util.find_spec(quality_models.MODULES[name]):
            print(f"{name} is not installed: left out", file=sys.stderr)
            continue
        worker = ProcessPoolExecutor(1, context)
        if refusal := worker.submit(quality_models.start, name).result():
            print(f"{name}: {refusal}: left out", file=sys.stderr)
            worker.shutdown()
        else:
            workers[name] = worker
    return workers


if __name__ == "__main__":
    main()
