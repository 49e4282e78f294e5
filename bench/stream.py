"""Resident memory and rows a second of training on a large mapped array: in order, shuffled, and as a stream.

    python bench/stream.py --gigabytes 4 --folder /tmp

Writes a file of that size there (and removes it), and prints a line for each way with the peak of the process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

COLUMNS = 256
BATCH = 1024
WAYS = ("array in order", "array shuffled", "stream in order", "stream shuffled")


def write(path: Path, n: int) -> None:
    """Write n rows, (n, COLUMNS) of float32."""
    x = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, COLUMNS))
    step = 1 << 15
    for start in range(0, n, step):
        part = x[start : start + step]
        part[:] = np.random.default_rng(start).standard_normal(part.shape, np.float32)
        x._mmap.madvise(4)  # MADV_DONTNEED
    x.flush()


def measure(path: Path, way: str) -> str:
    """Train one epoch and return a line of what it took."""
    import resource

    import steepest as st

    x = np.load(path, mmap_mode="r")
    y = np.zeros((len(x), 1), np.float32)
    network = st.Network(COLUMNS, [st.Dense(64, "relu"), st.Dense(1)], seed=0)
    trainer = st.Trainer(network, "mse", st.SGD(1e-3))
    kind, _, order = way.partition(" ")
    rows = (st.Stream((x, y)),) if kind == "stream" else (x, y)
    start = time.perf_counter()
    trainer.fit(*rows, epochs=1, batch_size=BATCH, shuffle=order == "shuffled")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    weights = network.parameters["0.weight"].astype(np.float64).sum()
    return f"{way:16} {peak:6,} MB at most, {len(x) / seconds:12,.0f} rows a second, sum of weights {weights!r}"


def main() -> None:
    """Measure each way in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--folder", type=Path, default=Path("."))
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    path = asked.folder / "stream-bench.npy"
    if asked.way:
        print(measure(path, asked.way))
        return
    try:
        write(path, int(asked.gigabytes * 2**30 / (4 * COLUMNS)))
        for way in WAYS:
            subprocess.run([sys.executable, __file__, "--folder", str(asked.folder), "--way", way], check=True)
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
