"""Rows a second of one training by one process and by two, and what the cost model says of it.

`python bench/ranks.py` starts two processes of one thread each that meet in a hub; with ``--mpi``, under
`mpirun -n 2`, the two that are there. In turns: a fit by one process, steps of both at once without an exchange, and
with one every `sync_every` steps, which the cost model is asked for too. ``--write`` puts the table into
bench/README.md.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import report
import steepest as st
from run import machine
from steepest.distributed import CostModel, Hub, connect

CASES = (((16, 64, 64, 1), 64), ((784, 128, 10), 64), ((100, 256, 256, 256, 1), 256))  # widths, rows of a batch
STEPS = 200  # of an epoch
BETWEEN = (1, 16, "auto")
# Without others: with a gradient that is taken out and put back in every step, and in steps as one process takes them.
APART = {"apart, gradients": 1, "apart": STEPS}
ROUNDS = 7


class Alone:
    """A comm of one rank."""

    rank, size = 0, 1

    def allreduce(self, array: Any) -> Any:
        return array

    broadcast = allreduce


def trainer_of(widths: tuple[int, ...]) -> st.Trainer:
    layers = [*(st.Dense(width, "relu") for width in widths[1:-1]), st.Dense(widths[-1])]
    return st.Trainer(st.Network(widths[0], layers, seed=0), "mse", st.Adam(1e-4))


def rows_of(widths: tuple[int, ...], batch: int, rank: int) -> tuple[Any, Any]:
    random = np.random.default_rng(rank)
    n = STEPS * batch
    x = random.normal(size=(n, widths[0])).astype(np.float32)
    return x, np.sin(x[:, : widths[-1]])


def seconds_of(trainer: st.Trainer, x: Any, y: Any, batch: int, **options: Any) -> float:
    """Seconds of a step, over an epoch; with a comm those of the second one, the first having chosen `sync_every`."""
    history = trainer.fit(x, y, epochs=2, batch_size=batch, **options)
    return float(history["seconds"][-1]) / STEPS


def measured(comm: Any, *, hub: bool) -> list[dict[str, Any]]:
    """What this rank has found, medians over rounds."""
    st.set_num_threads(1)
    model = CostModel.measure(comm, hub=hub)
    found = []
    for widths, batch in CASES:
        x, y = rows_of(widths, batch, comm.rank)
        times: dict[Any, list[float]] = {key: [] for key in ("alone", *APART, *BETWEEN)}
        for _ in range(ROUNDS):
            comm.allreduce(np.zeros(1))
            if comm.rank == 0:  # the other one waits
                times["alone"].append(seconds_of(trainer_of(widths), x, y, batch))
            comm.allreduce(np.zeros(1))
            for name, between in APART.items():
                comm.allreduce(np.zeros(1))
                times[name].append(seconds_of(trainer_of(widths), x, y, batch, comm=Alone(), sync_every=between))
            for between in BETWEEN:
                times[between].append(
                    seconds_of(trainer_of(widths), x, y, batch, comm=comm, sync_every=between)
                )  # fmt: skip
        own = trainer_of(widths)
        medians = {key: float(np.median(values or [math.nan])) for key, values in times.items()}
        found.append(
            {
                "model": model,
                "parameters": own.network.n_parameters,
                "averaged": own._core.n_values,
                "seconds": medians,
            }
        )
    return found


def _work(address: str, rank: int, answers: Any) -> None:
    comm = connect(address, rank)
    found = measured(comm, hub=True)
    comm.close()
    if rank == 0:
        answers.put(found)


def table(found: list[dict[str, Any]]) -> list[str]:
    model: CostModel = found[0]["model"]
    lines = [
        f"{machine()}, two processes of one thread each; {'a hub over TCP' if model.hub else 'MPI'} on one machine, "
        f"{1e6 * model.latency:.0f} us and {model.bandwidth / 1e9:.2f} GB/s.", "",
        "| network | rows a batch | sync_every | us a step of one process | of two apart | of two together | "
        "cost model | off by | rows a second, to one process |", "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for (widths, batch), one in zip(CASES, found, strict=True):
        alone, apart = one["seconds"]["alone"], one["seconds"]["apart"]
        for between in BETWEEN:
            seconds, said = one["seconds"][between], " | "
            if between != "auto":
                size = 4 * (one["parameters"] if between == 1 else one["averaged"])
                own = one["seconds"]["apart, gradients"] if between == 1 else apart
                step = 2 * own / model.speedup(own, size, 2, int(between))
                said = f"{1e6 * step:.1f} | {100 * (step / seconds - 1):+.0f}%"
            lines.append(
                f"| {'-'.join(map(str, widths))} | {batch} | {between} | {1e6 * alone:.1f} | {1e6 * apart:.1f} | "
                f"{1e6 * seconds:.1f} | {said} | {2 * alone / seconds:.2f} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mpi", action="store_true", help="this is a process of mpirun's")
    parser.add_argument("--write", action="store_true", help="write the table into bench/README.md")
    options = parser.parse_args()
    if options.mpi:
        from mpi4py import MPI

        from steepest.distributed import check_comm

        comm = check_comm(MPI.COMM_WORLD)
        found = measured(comm, hub=False)
        if comm.rank:
            return
    else:
        context = multiprocessing.get_context("spawn")
        answers = context.Queue()
        with Hub(2, "127.0.0.1") as hub:
            works = [context.Process(target=_work, args=(hub.address, rank, answers)) for rank in range(2)]
            for work in works:
                work.start()
            found = answers.get()
            for work in works:
                work.join()
    lines = table(found)
    print("\n".join(lines))
    if options.write:
        report.put("ranks mpi" if options.mpi else "ranks", lines)


if __name__ == "__main__":
    main()
