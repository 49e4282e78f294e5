"""Tables of what the benchmark found."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from picture import draw
from works import WORKS, Work

TITLES = {
    "step": "One training step, with its Python call",
    "infer": "One inference call",
    "epoch": "One step of a whole epoch (shuffled minibatches, data in memory)",
}
README = Path(__file__).with_name("README.md")
FRONT_ROWS = {"step": "one step", "infer": "one prediction", "epoch": "a step within an epoch"}
FRONT_WORKS = ["tiny-online", "tiny", "rl-policy", "digits", "mnist", "mnist-128", "mnist-512x2"]
FRONT_PEERS = {"NumPy": ["numpy"], "scikit-learn": ["sklearn"], "PyTorch": ["torch", "torch-compiled"], "JAX": ["jax"]}


def threads(result: dict[str, Any]) -> str:
    """Say how many threads there were."""
    return f"{result['threads']} thread{'s' if result['threads'] > 1 else ''}"


def heading(result: dict[str, Any]) -> str:
    """Name the machine, its limits and the libraries."""
    found = result["limits"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        f"{result['machine']}, {threads(result)}, kernels for {result['isa']}. Limits in the same run: "
        f"{found['flops_one'] / 1e9:.0f} GFLOP/s float32 on one core, {found['flops'] / 1e9:.0f} on all; "
        f"{found['read'] / 1e9:.1f} GB/s read, {found['update'] / 1e9:.1f} GB/s updated; "
        f"an empty call {found['call'] * 1e9:.0f} ns. {versions}."
    )


def share(work: Work, seconds: float, limits: dict[str, float]) -> str:
    """Return what part of the machine's limit is used."""
    if work.limit == "flops":
        best, unit = work.flops / limits["flops"], "FMA"
    elif work.limit == "call":
        return "-"
    else:
        best, unit = work.bytes / limits[work.limit], work.limit
    return f"{100 * best / seconds:.0f}% {unit}"


def table_head(table: str, peers: list[str]) -> list[str]:
    """Return the first lines of a Markdown table."""
    columns = ["work", "sizes", "batch", *(f"{peer}, us" for peer in peers), "times faster", "share of limit"]
    return [f"### {TITLES[table]}", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]


def row(work: Work, found: dict[str, Any], limits: dict[str, float], peers: list[str]) -> str:
    """Return one row: microseconds of each library, and how far ahead of the fastest of the others we are."""
    seconds = found["seconds"]
    cells = [
        f"{work.name} ({work.activation}, {work.loss}, {work.optimizer})",
        "-".join(map(str, work.sizes)),
        str(work.batch),
    ]
    cells += [f"{1e6 * seconds[peer]:.4g}" for peer in peers]
    others = [seconds[peer] for peer in peers if peer != "steepest"]
    cells += [f"{min(others) / seconds['steepest']:.3g}" if others else "", share(work, seconds["steepest"], limits)]
    return "| " + " | ".join(cells) + " |"


def write(result: dict[str, Any]) -> None:
    """Put the tables into README.md, in the place kept for this number of threads."""
    peers = list(result["versions"])
    lines = [heading(result)]
    for table in TITLES:
        rows = [
            row(next(w for w in WORKS if (w.table, w.name) == (table, found["name"])), found, result["limits"], peers)
            for found in result["works"]
            if found["table"] == table
        ]
        if rows:
            lines += ["", *table_head(table, peers), *rows]
    put(str(result["threads"]), lines)
    if result["threads"] > 1 and all(set(names) <= set(peers) for names in FRONT_PEERS.values()):
        put("speed", front(result))
        draw()


def short(seconds: float) -> str:
    """Return microseconds with three digits at least."""
    return f"{1e6 * seconds:,.3g}" if seconds < 1e-3 else f"{1e6 * seconds:,.0f}"


def front(result: dict[str, Any]) -> list[str]:
    """Return the table in short: a few rows, and of PyTorch's two ways the better."""
    lines = ["| " + " | ".join(["microseconds for", "steepest", *FRONT_PEERS]) + " |", "|---" * 6 + "|"]
    for found in result["works"]:
        if found["name"] not in FRONT_WORKS or (found["table"], found["name"]) == ("infer", "mnist-512x2"):
            continue
        work = next(w for w in WORKS if (w.table, w.name) == (found["table"], found["name"]))
        rows = f", batch {work.batch}" if work.table != "infer" else ""
        what = f"{FRONT_ROWS[work.table]}, {'-'.join(map(str, work.sizes))}{rows}"
        seconds = found["seconds"]
        best = [min(seconds[name] for name in names) for names in FRONT_PEERS.values()]
        cells = [what, f"**{short(seconds['steepest'])}**", *map(short, best)]
        lines.append("| " + " | ".join(cells) + " |")
    found = result["limits"]
    return [
        *lines, "",
        f"Medians on {threads(result)} of one machine ({result['machine']}, kernels for {result['isa']}, "
        f"{found['flops'] / 1e9:.0f} GFLOP/s at most); PyTorch is the better of eager and compiled.",
    ]  # fmt: skip


def put(mark: str, lines: list[str]) -> None:
    """Replace what README.md has between the comments of this mark."""
    start, end = (f"<!-- {edge} {mark} -->" for edge in ("begin", "end"))
    text = README.read_text()
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{README} keeps no place {start} ... {end}")
    README.write_text(pattern.sub(lambda _: "\n".join([start, *lines, end]), text))
