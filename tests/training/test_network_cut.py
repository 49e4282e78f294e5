"""A network that is cut for a while between the ranks of a training."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import LOCAL, run_ranks


class Relay:
    """A line between a rank and a hub that can be cut for a while: what is sent meanwhile comes later."""

    def __init__(self, port: int) -> None:
        self._goes = threading.Event()
        self._goes.set()
        self._server = socket.create_server((LOCAL, 0))
        self.port = self._server.getsockname()[1]
        self._port = port
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        near, _ = self._server.accept()
        far = socket.create_connection((LOCAL, self._port))
        self._ends = [near, far]
        for source, target in ((near, far), (far, near)):
            self._threads.append(threading.Thread(target=self._pass_on, args=(source, target), daemon=True))
            self._threads[-1].start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # either end may have gone
            while data := source.recv(1 << 16):
                self._goes.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def cut(self, seconds: float) -> None:
        self._goes.clear()
        threading.Timer(seconds, self._goes.set).start()

    def close(self) -> None:
        self._server.close()
        for thread in self._threads:
            thread.join(timeout=10)
        for end in self._ends:
            end.close()


@pytest.mark.parametrize("sync_every", [1, 3])
def test_nothing_is_lost(sync_every: int) -> None:
    x = np.random.default_rng(0).normal(size=(60, 4))
    relays: list[Relay] = []

    def by_relay(rank: int, address: str) -> str:
        place, _, token = address.partition("/")
        if rank == 0:
            return address
        relays.append(Relay(int(place.rpartition(":")[2])))
        return f"{LOCAL}:{relays[0].port}/{token}"

    def fit(comm: Any, rank: int) -> Any:
        def cut(fit: st.FitState) -> None:
            if rank and relays and fit.epoch == 1:
                relays[0].cut(1.0)

        trainer = st.Trainer(st.Network(4, [st.Dense(8, "tanh"), st.Dense(1)], seed=0), "mse")
        trainer.fit(
            x[rank::2],
            np.sin(x[rank::2, :1]),
            epochs=4,
            batch_size=10,
            comm=comm,
            sync_every=sync_every,
            callbacks=[st.LambdaCallback(on_epoch_end=cut)],
        )
        return trainer.network._core.state()

    whole, through = run_ranks(2, fit), run_ranks(2, fit, by_relay)
    relays[0].close()
    for state in (*whole, *through):
        np.testing.assert_array_equal(state, whole[0])
