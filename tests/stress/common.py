"""What the stress programs share: their arguments, the rounds they go, and how they end."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import steepest as st


class Run:
    """One run of a program.

    Parameters
    ----------
    doc : str
        What it does.
    count : int
        Rounds of each kind, unless told otherwise.
    flags : tuple of str, default=()
        Further options without a value.
    """

    def __init__(self, doc: str, count: int, flags: tuple[str, ...] = ()) -> None:
        parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
        parser.add_argument("--count", type=int, default=count, help=f"rounds, {count} by default")
        parser.add_argument("--seconds", type=float, default=float("inf"), help="no more rounds after this time")
        parser.add_argument("--seed", type=int, default=int(time.time()), help="by default another one each time")
        parser.add_argument("--only", default="", help="only kinds whose name has this text")
        for flag in flags:
            parser.add_argument(f"--{flag}", action="store_true")
        self.options = parser.parse_args()
        self.seed, self.failures = self.options.seed, list[str]()
        self.start = time.monotonic()
        print(f"seed {self.seed}", flush=True)

    def wants(self, kind: str) -> bool:
        """Whether a kind was asked for."""
        return self.options.only in kind

    def rounds(self, share: float = 1.0) -> Iterator[int]:
        """Count to a share of the rounds, as long as there is time."""
        for i in range(max(1, round(self.options.count * share))):
            if time.monotonic() - self.start > self.options.seconds:
                return
            yield i

    def fail(self, text: str) -> None:
        """Note a failure, and go on."""
        print("FAILED:", text, flush=True)
        self.failures.append(text)

    def end(self) -> None:
        """Leave the program, with 1 if anything failed."""
        taken = time.monotonic() - self.start
        sys.exit(
            f"{len(self.failures)} failures in {taken:.0f} s" if self.failures else print(f"all well, {taken:.0f} s")
        )


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def state_of(trainer: st.Trainer) -> bytes:
    """All that training changes: equal only if all bits are."""
    tensors, state = trainer._core.snapshot()
    return b"".join(array.tobytes() for kept in (tensors, state) for _, array in sorted(kept.items()))


def weights_of(network: st.Network) -> bytes:
    """All parameters and buffers."""
    return b"".join(array.tobytes() for array in network._tensors().values())


def strays(folder: str | Path) -> list[str]:
    """Temporary files that somebody left."""
    return [name for name in os.listdir(folder) if ".tmp" in name]


def spread(seconds: list[float]) -> str:
    """Median, 99% and maximum, in milliseconds."""
    ordered: Any = sorted(seconds)
    if not ordered:
        return "none"
    at = [ordered[min(int(q * len(ordered)), len(ordered) - 1)] for q in (0.5, 0.99, 1.0)]
    return "median {:.1f} ms, 99% {:.1f} ms, max {:.1f} ms of {}".format(*(1000 * t for t in at), len(ordered))
