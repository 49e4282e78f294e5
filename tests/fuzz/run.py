"""Fuzzing of all that reads what a stranger may have made: `python tests/fuzz/run.py [target] --seconds 30 --seed 1`.

Each target runs in a process of its own, case by case. Case number n of a seed is the same each time, so that a crash,
a hang or a wrong answer is repeated by what is printed: `run.py target --seed 1 --case n`. A case may end in one of the
errors that the target documents; all else is a defect. The file that a case read is kept beside.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from call_targets import CALLS
from file_targets import FILES

TARGETS = FILES | CALLS
HANG = 20  # seconds that no case may take
MEMORY = 1 << 30  # bytes that a target may take more than when it began, seen by the system at any time
ADDRESSES = 4 << 30  # bytes of addresses that it may ask for


def sanitized() -> bool:
    """Whether a sanitizer is loaded, which keeps memory of its own."""
    return "san.so" in os.environ.get("LD_PRELOAD", "")


def limit_addresses() -> None:
    """Let what asks for absurd memory get a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def work(name: str, seconds: float, seed: int, only: int | None, folder: Path) -> None:
    """Run cases of one target in this process until the time is over."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    case = TARGETS[name](folder)
    on_linux = sys.platform == "linux" and not sanitized()
    if on_linux:
        limit_addresses()
    before, end, number = peak(), time.monotonic() + seconds, 0
    outcomes: Counter[str] = Counter()
    while (number == 0 or time.monotonic() < end) if only is None else number == 0:
        at = number if only is None else only
        (folder / "case").write_text(str(at))
        faulthandler.dump_traceback_later(HANG, exit=True)
        outcomes[case(random.Random(f"{name}/{seed}/{at}"))] += 1
        number += 1
    faulthandler.cancel_dump_traceback_later()
    gc.collect()
    if on_linux and peak() - before > MEMORY:
        raise AssertionError(f"took {(peak() - before) >> 20} MB at some time")
    print(f"{name}: {number} cases of seed {seed}:", ", ".join(f"{n} {what}" for what, n in outcomes.most_common()))


def run(name: str, arguments: argparse.Namespace) -> bool:
    """Run a target in a process of its own; report what ended it, and return whether all went well."""
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    command = [sys.executable, __file__, name, f"--seconds={arguments.seconds}", f"--seed={arguments.seed}"]
    command += [f"--within={folder}"] + ([] if arguments.case is None else [f"--case={arguments.case}"])
    longest = 3 * arguments.seconds + 300  # a case has its own limit; this is for what never returns to Python
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            text, _ = process.communicate(timeout=longest)
        except subprocess.TimeoutExpired:
            process.kill()
            text, _ = process.communicate()
    if process.returncode == 0:
        shutil.rmtree(folder)
        print(text, end="", flush=True)
        return True
    case = folder / "case"
    again = f"python tests/fuzz/run.py {name} --seed {arguments.seed} --case {case.read_text() if case.exists() else 0}"
    print(f"{text}{name} ended with {process.returncode}; its files are in {folder}; again by: {again}", flush=True)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="*", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=float, default=30, help="for each target")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="by default another one each time")
    parser.add_argument("--case", type=int, help="this one alone")
    parser.add_argument("--jobs", type=int, default=1, help="targets at once")
    parser.add_argument("--within", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.within:
        work(arguments.target[0], arguments.seconds, arguments.seed, arguments.case, arguments.within)
        return
    names = arguments.target or list(TARGETS)
    if unknown := {*names} - {*TARGETS}:
        parser.error(f"unknown target {min(unknown)}: expected some of {', '.join(TARGETS)}")
    with ThreadPoolExecutor(arguments.jobs) as pool:
        good = list(pool.map(lambda name: run(name, arguments), names))
    failed = [name for name, well in zip(names, good, strict=True) if not well]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
