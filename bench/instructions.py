"""How many instructions a step takes, counted by callgrind: a figure that no neighbor on the machine disturbs.

`python bench/instructions.py` prints them for the small works, on one thread; ``--write`` puts them into
bench/README.md. It needs valgrind, which knows no AVX-512: the kernels are those for AVX2.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import report
from works import WORKS, Work

MOST_WORK = 1e7  # floating-point operations of a step: valgrind takes fifty times as long
FEW = 3  # calls of the first run; the difference to the second leaves the start of the process out
ENOUGH = 3e7  # floating-point operations in that difference, with some for each call: the start varies by far less


def run_calls(table: str, name: str, calls: int) -> None:
    """Do what is counted: in a process under valgrind."""
    from peers.steepest_peer import Peer

    work = next(w for w in WORKS if (w.table, w.name) == (table, name))
    call = getattr(Peer(work, 1), table)
    for _ in range(calls):
        call()


def count(work: Work, calls: int) -> int:
    """Return the instructions of a process that makes so many calls."""
    command = [
        "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
        sys.executable, __file__, "--calls", str(calls), work.table, work.name,
    ]  # fmt: skip
    # A fixed seed of hashing, and no threads of NumPy's that spin: what is not counted is then the same in both runs.
    environment = os.environ | {"STEEPEST_ISA": "x86-64-v3", "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    match = re.search(r"Collected : (\d+)", found.stderr)
    if not match:
        raise SystemExit(f"valgrind printed no count:\n{found.stderr}")
    return int(match[1])


def per_step(work: Work) -> float:
    calls = round(ENOUGH / (work.steps * (work.flops + 1e3)) + 2)
    return (count(work, FEW + calls) - count(work, FEW)) / (calls * work.steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    parser.add_argument("--calls", type=int, help=argparse.SUPPRESS)
    parser.add_argument("work", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.calls is not None:
        run_calls(*options.work, options.calls)
        return
    if not shutil.which("valgrind"):
        raise SystemExit("this counts with valgrind, which is not installed")
    lines = ["| work | sizes | batch | instructions | for each multiply-add |", "|---|---|---|---|---|"]
    for work in WORKS:
        if work.flops > MOST_WORK:
            continue
        instructions = per_step(work)
        sizes = "-".join(map(str, work.sizes))
        lines.append(
            f"| {work.table} {work.name} | {sizes} | {work.batch} | {instructions:,.0f} "
            f"| {2 * instructions / work.flops:.3f} |"
        )
        print(lines[-1], flush=True)
    if options.write:
        report.put("instructions", lines)


if __name__ == "__main__":
    main()
