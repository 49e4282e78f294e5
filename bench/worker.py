"""A process that measures one library: it reads requests from stdin, one JSON object a line, and answers on stdout."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
import time
import timeit
from typing import Any

from works import WORKS

TURN = 0.1  # seconds of calls in a row, or one call


class Worker:
    def __init__(self, peer: str, threads: int) -> None:
        self.make = importlib.import_module(f"peers.{peer.replace('-', '_')}_peer").Peer
        self.name, self.threads = peer, threads
        self.peer: Any = None

    def prepare(self, index: int, check_steps: int) -> dict[str, Any]:
        """Make the peer ready for a work; what it predicts after some steps shows that all do the same."""
        work = WORKS[index]
        self.peer = self.make(work, self.threads)
        for _ in range(check_steps if work.table == "step" else 0):
            self.peer.step()
        outputs = self.peer.outputs()
        self.call = getattr(self.peer, work.table)
        self.call()
        self.calls = 1
        while min(self.some_calls() for _ in range(3)) < TURN / 20:  # one may have been held up
            self.calls *= 2
        return {"outputs": outputs.reshape(-1)[:1000].tolist()}

    def some_calls(self) -> float:
        """Return what so many calls take that reading the clock is nothing beside them."""
        call = self.call
        start = time.perf_counter()
        for _ in range(self.calls):
            call()
        return time.perf_counter() - start

    def run(self) -> dict[str, float]:
        """Call for a turn; return what a call took."""
        seconds, calls = 0.0, 0
        while seconds < TURN:
            seconds += self.some_calls()
            calls += self.calls
        return {"seconds": seconds / calls}

    def version(self) -> dict[str, Any]:
        """Say which version this is; ours also what it runs on, and what calling a compiled function costs."""
        if self.name != "steepest":
            module = {"sklearn": "scikit-learn", "torch-compiled": "torch"}.get(self.name, self.name)
            return {"version": importlib.metadata.version(module)}
        import steepest

        empty = steepest.get_num_threads
        costs = timeit.repeat("empty()", globals={"empty": empty}, number=100_000, repeat=7)
        info = steepest.build_info()
        return {"version": info["version"], "isa": info["isa"], "empty_call": min(costs) / 100_000}

    def close(self) -> dict[str, Any]:
        self.peer = self.call = None
        return {}


def main() -> None:
    worker = Worker(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("do"))(**request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
