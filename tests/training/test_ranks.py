"""One training by several ranks: threads here, each with a trainer and a comm of its own, or processes that end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from helpers import LOCAL, run_ranks
from steepest.distributed import Hub, RankError, check_comm, connect
from steepest.training import _ranks

Array = NDArray[Any]


def returned(found: Sequence[Any]) -> list[Any]:
    """What the ranks returned, none of which has raised."""
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return list(found)


def rows(n: int = 60, seed: int = 0) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 4)).astype(np.float32)
    return x, (np.sin(x[:, :1]) + x[:, 1:2]).astype(np.float32)


def trainer(seed: int = 0, optimizer: Any = None, loss: str = "mse", **options: Any) -> st.Trainer:
    network = st.Network(4, [st.Dense(8, "tanh"), st.Dense(1 if loss == "mse" else 3)], seed=seed)
    return st.Trainer(network, loss, optimizer or st.SGD(0.1, momentum=0.9), **options)


def whole_batches(parts: list[Array], batch_size: int) -> list[Array]:
    """The batches of all ranks together: step by step the rows that each rank takes."""
    steps = -(-max(map(len, parts)) // batch_size)
    return [np.concatenate([part[i * batch_size : (i + 1) * batch_size] for part in parts]) for i in range(steps)]


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(
    "optimizer",
    [st.SGD(0.1, momentum=0.9), st.Adam(0.01), st.AdamW(0.01, clip_norm=0.5), st.RMSprop(0.01)],
    ids=lambda optimizer: type(optimizer).__name__,
)
@pytest.mark.parametrize("even", [True, False])
def test_summed_gradients_are_a_step_on_the_batches_of_all(size: int, optimizer: Any, even: bool) -> None:
    x, y = rows(60)
    weight = np.random.default_rng(1).uniform(0.1, 2, 60).astype(np.float32)
    cuts = [20, 40] if size == 3 else [30] if even else [13]
    cuts = cuts if even else [7, 31][: size - 1]
    shards = [np.arange(60)[part] for part in map(slice, [0, *cuts], [*cuts, 60])]

    def work(comm: Any, rank: int) -> Any:
        own, at = trainer(rank, optimizer), shards[rank]
        own.fit(
            x[at], y[at], sample_weight=weight[at], epochs=3, batch_size=5, shuffle=False, comm=comm,
        )  # fmt: skip
        return own.network.parameters, own.n_steps

    found = returned(run_ranks(size, work))
    alone = trainer(0, optimizer)
    for _ in range(3):
        for at in whole_batches(shards, 5):
            alone.step(x[at], y[at], weight[at])
    for parameters, n_steps in found:
        assert n_steps == alone.n_steps
        for name, value in parameters.items():
            assert np.array_equal(value, found[0][0][name]), name
            np.testing.assert_allclose(value, alone.network.parameters[name], rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("sync_every", [1, 2, 7, "auto"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_all_ranks_end_with_the_same_bits(sync_every: int | str, size: int) -> None:
    x, y = rows(83)

    def work(comm: Any, rank: int) -> Any:
        network = st.Network(4, [st.Dense(8), st.BatchNorm(), st.Dropout(0.1), st.Dense(1)], seed=rank)
        own, at = st.Trainer(network, "mse", st.AdamW(0.01), seed=rank, ema=0.9), slice(rank, None, size)
        history = own.fit(
            x[at], y[at], epochs=4, batch_size=8, validation=(x[at], y[at]), comm=comm, sync_every=sync_every,
        )  # fmt: skip
        losses = np.array([history["loss"], history["val_loss"], history["val_mae"]])
        return network._core.state(), own.ema_network._core.state(), losses, own.n_steps, own._core.epoch

    found = returned(run_ranks(size, work))
    for one in found:
        for mine, first in zip(one, found[0], strict=True):
            assert np.array_equal(mine, first)
    losses = found[0][2]
    assert losses[0, -1] < losses[0, 0]
    assert losses[1, -1] < losses[1, 0]


def test_each_step_of_its_own_is_a_mean_of_the_ranks() -> None:
    """Two ranks of one step each between exchanges: by SGD without momentum, that is the sum of gradients."""
    x, y = rows(40)

    def work(sync_every: int) -> Callable[[Any, int], Any]:
        def run(comm: Any, rank: int) -> Any:
            own, at = trainer(0, st.SGD(0.1)), slice(rank, None, 2)
            own.fit(x[at], y[at], epochs=1, batch_size=20, shuffle=False, comm=comm, sync_every=sync_every)
            return own.network._core.state()

        return run

    summed, averaged = (returned(run_ranks(2, work(n)))[0] for n in (1, 2))
    np.testing.assert_allclose(summed, averaged, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("schedule", [st.schedules.cosine(0.05), st.schedules.plateau(0.05, factor=0.5, patience=1)])
@pytest.mark.parametrize("sync_every", [1, 3, "auto"])
def test_schedules_are_alike_on_all_ranks(schedule: Any, sync_every: int | str) -> None:
    x, y = rows(50)

    def work(comm: Any, rank: int) -> Any:
        own, at = trainer(0, st.Adam(schedule)), slice(0, 35) if rank else slice(35, 50)
        history = own.fit(x[at], y[at], epochs=6, batch_size=8, comm=comm, sync_every=sync_every)
        return own.network._core.state(), np.array(history["learning_rate"])

    (first, rates), (second, others) = returned(run_ranks(2, work))
    assert np.array_equal(first, second)
    assert np.array_equal(rates, others)


def test_schedules_of_ones_own_that_differ_are_refused() -> None:
    def work(comm: Any, rank: int) -> str:
        own = trainer(0, st.SGD(lambda step: 0.1 * (rank + 1)))
        with pytest.raises(ValueError, match="learning rate of the next step is") as raised:
            own.fit(*rows(), comm=comm)
        return str(raised.value)

    assert [("0.1" in text, "0.2" in text) for text in returned(run_ranks(2, work))] == [(True, False), (False, True)]


def test_running_statistics_go_by_the_rows_of_each_rank() -> None:
    x = np.random.default_rng(0).normal(5, 3, size=(2008, 4)).astype(np.float32)

    def work(comm: Any, rank: int) -> Any:
        network, at = (
            st.Network(4, [st.BatchNorm(), st.Dense(1)], seed=0),
            slice(0, 2000) if rank == 0 else slice(2000, 2008),
        )
        st.Trainer(network, "mse", st.SGD(1e-3)).fit(x[at], x[at, :1], epochs=2, batch_size=8, comm=comm)
        return network.buffers["0.running_mean"]

    for found in returned(run_ranks(2, work)):
        np.testing.assert_allclose(found, x.mean(axis=0), rtol=0.15)


@pytest.mark.parametrize("sync_every", [1, 2, 100])
def test_batches_without_weight_are_no_steps(sync_every: int) -> None:
    x, y = rows(60)
    weight = np.where(np.arange(60) < 32, 0, 1.0)

    def work(comm: Any, rank: int) -> int:
        own = trainer(0, st.Adam(0.01), ema=0.9)
        own.fit(x, y, sample_weight=weight, epochs=1, batch_size=8, shuffle=False, comm=comm, sync_every=sync_every)
        return own.n_steps

    assert returned(run_ranks(2, work)) == [4, 4]


def test_a_gradient_that_was_not_used_is_in_no_later_step() -> None:
    x, y = rows()

    def fail(fit: Any) -> None:
        raise ZeroDivisionError

    def work(comm: Any, rank: int) -> tuple[Array, Array]:
        own = trainer()
        callbacks = [st.LambdaCallback(on_batch_end=fail)] if rank == 1 else []
        with pytest.raises((ZeroDivisionError, RankError)):
            own.fit(x, y, callbacks=callbacks, comm=comm)
        other = st.Trainer(own.network.copy(), "mse", st.SGD(0.1, momentum=0.9))
        for one in (own, other):
            one.step(x[:7], y[:7])
        return own.network._core.state(), other.network._core.state()

    for found, truth in returned(run_ranks(2, work)):
        np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-6)


def test_losses_of_held_out_rows_are_of_all_ranks() -> None:
    x, y = rows(50)
    held = rows(31, 5)

    def work(comm: Any, rank: int) -> Any:
        own, at = trainer(0), slice(rank, None, 2)
        part = held[0][at], held[1][at]
        return own.fit(x[at], y[at], epochs=1, validation=part, metrics=["mae"], comm=comm), own

    (history, own), _ = returned(run_ranks(2, work))
    truth = own.evaluate(*held, metrics=["mae"])
    assert history["val_loss"][-1] == pytest.approx(truth["loss"], rel=1e-6)
    assert history["val_mae"][-1] == pytest.approx(truth["mae"], rel=1e-6)


def test_a_stop_on_one_rank_stops_all() -> None:
    x, y = rows()

    def work(comm: Any, rank: int) -> Any:
        stop = st.LambdaCallback(on_epoch_end=lambda fit: fit.stop() if rank == 1 and fit.epoch == 2 else None)
        return trainer().fit(x, y, epochs=50, callbacks=[stop], comm=comm).n_epochs

    assert returned(run_ranks(2, work)) == [3, 3]


def test_only_the_first_rank_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = rows()

    def work(comm: Any, rank: int) -> None:
        path = tmp_path / f"rank{rank}.safetensors"
        trainer().fit(x, y, epochs=2, callbacks=[st.Checkpoint(path)], verbose=True, comm=comm)

    returned(run_ranks(2, work))
    assert [path.name for path in tmp_path.iterdir()] == ["rank0.safetensors"]
    assert capsys.readouterr().out.count("epoch 1/2") == 1


@pytest.mark.parametrize("size", [1, 3])
def test_a_checkpoint_of_two_ranks_goes_on_with_others(tmp_path: Path, size: int) -> None:
    x, y = rows(48)
    path = tmp_path / "run.safetensors"

    def first(comm: Any, rank: int) -> Any:
        own, at = trainer(rank, st.Adam(0.01)), slice(rank, None, 2)
        own.fit(x[at], y[at], epochs=2, batch_size=8, shuffle=False, callbacks=[st.Checkpoint(path)], comm=comm)
        return own.network._core.state()

    def then(comm: Any, rank: int) -> Any:
        own, at = st.Trainer.resume(path), slice(rank, None, size)
        assert own._core.epoch == 2
        own.fit(x[at], y[at], epochs=1, batch_size=48 // size, shuffle=False, comm=comm)
        return own.network._core.state()

    before = returned(run_ranks(2, first))[0]
    assert np.array_equal(st.load(path)._core.state(), before)
    found = returned(run_ranks(size, then))
    alone = st.Trainer.resume(path)
    alone.step(x, y)
    for state in found:
        np.testing.assert_allclose(state, alone.network._core.state(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("where", ["on_train_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_train_end"])
@pytest.mark.parametrize("sync_every", [1, 3])
@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt])
def test_what_fails_on_one_rank_is_known_to_all(where: str, sync_every: int, kind: type[BaseException]) -> None:
    x, y = rows()

    def fail(fit: Any) -> None:
        if where.startswith("on_train") or fit.epoch == 1:
            raise kind("of rank 1")

    def work(comm: Any, rank: int) -> Any:
        callbacks = [st.LambdaCallback(**{where: fail})] if rank == 1 else []
        own = trainer()
        with pytest.raises((kind, RankError)) as raised:
            own.fit(x, y, epochs=3, batch_size=8, callbacks=callbacks, comm=comm, sync_every=sync_every)
        assert np.isfinite(own.network._core.state()).all()
        own.step(x, y)  # it goes on
        return [raised.value]

    (first,), (second,) = returned(run_ranks(2, work))
    assert isinstance(second, kind)
    if kind is KeyboardInterrupt:
        assert isinstance(first, KeyboardInterrupt)
    else:
        assert str(first) == "rank 1 of 2 has failed: ZeroDivisionError: of rank 1"


@pytest.mark.parametrize("sync_every", [1, 2])
def test_ranks_diverge_together(sync_every: int) -> None:
    x, y = rows()

    def work(comm: Any, rank: int) -> Any:
        own = trainer(0, st.SGD(1e30 if sync_every > 1 else 1e25))
        before = own.network._core.state()
        with pytest.raises(st.DivergedError):
            own.fit(x, y, epochs=9, batch_size=8, comm=comm, sync_every=sync_every)
        assert np.array_equal(own.network._core.state(), before)
        return True

    assert returned(run_ranks(2, work)) == [True, True]


BAD: dict[str, tuple[Callable[[int], dict[str, Any]], str]] = {
    "width": (lambda rank: {"x": np.zeros((8, 4 + rank))}, "x"),
    "dtype": (lambda rank: {"x": np.zeros((8, 4), np.float32 if rank else np.float64)}, "rank 1 has x of the dtype"),
    "no rows": (lambda rank: {"x": np.zeros((8 * (1 - rank), 4)), "y": np.zeros((8 * (1 - rank), 1))}, "rows"),
    "targets": (lambda rank: {"y": np.zeros(8) if rank else np.zeros((8, 1))}, "rank 1 has y of the width"),
    "epochs": (lambda rank: {"epochs": 3 + rank}, "rank 1 has epochs 4, and rank 0 3"),
    "batches": (lambda rank: {"batch_size": 3 + rank}, "rank 1 has batch_size 4, and rank 0 3"),
    "exchanges": (lambda rank: {"sync_every": 3 + rank}, "rank 1 has sync_every 4, and rank 0 3"),
    "held out": (lambda rank: {"validation": (np.zeros((2, 4)), np.zeros(2))} if rank else {}, "rank 1 has validation"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_ranks_that_differ_are_refused(case: str) -> None:
    arguments, text = BAD[case]

    def work(comm: Any, rank: int) -> str:
        own = trainer()
        before = own.network._core.state()
        given = {"x": np.zeros((8, 4)), "y": np.zeros((8, 1))} | arguments(rank)
        with pytest.raises((ValueError, RankError)) as raised:
            own.fit(**given, comm=comm)
        assert np.array_equal(own.network._core.state(), before)
        return str(raised.value)

    for found in returned(run_ranks(2, work)):
        assert text in found


def test_the_rank_that_is_wrong_has_its_own_error() -> None:
    def work(comm: Any, rank: int) -> str:
        kind = ValueError if rank == 1 else RankError
        with pytest.raises(kind, match="epochs is 0") as raised:
            trainer().fit(*rows(), epochs=1 - rank, comm=comm, sync_every=np.int64(2))
        return str(raised.value)

    first, _ = returned(run_ranks(2, work))
    assert first.startswith("rank 1 of 2 has failed: ValueError: epochs is 0")


def test_a_rank_that_ends_before_the_fit_is_named() -> None:
    def work(comm: Any, rank: int) -> Any:
        if rank == 1:
            raise ZeroDivisionError
        trainer().fit(*rows(), comm=comm)

    first, _ = run_ranks(2, work)
    assert isinstance(first, RankError)
    assert str(first) == "rank 1 of 2 has ended, and others have not"


def test_another_network_or_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(comm: Any, rank: int) -> str:
        network = st.Network(4, [st.Dense(8 + rank), st.Dense(1)])
        with pytest.raises(ValueError, match="rank 1 has the network") as raised:
            st.Trainer(network, "mse").fit(*rows(), comm=comm)
        return str(raised.value)

    first, second = returned(run_ranks(2, work))
    assert first == second
    ranks = _ranks.Ranks(check_comm(_Alone()))
    monkeypatch.setattr(ranks, "gather", lambda _: [b'{"steepest": "1.0"}', b'{"steepest": "2.0"}'])
    with pytest.raises(ValueError, match="rank 1 has steepest 2.0, and rank 0 1.0: expected the same"):
        ranks.agree({})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"accumulate": 2}, "accumulate is 2"),
        ({"update_order": "output_to_input"}, "update_order is 'output_to_input'"),
        ({"layer_rates": "equal_effect"}, "layer_rates is 'equal_effect'"),
    ],
)
def test_what_does_not_go_with_ranks_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        trainer(**options).fit(*rows(), comm=_Alone())
    for given in ({"sync_every": 0}, {"sync_every": "never"}):
        with pytest.raises((TypeError, ValueError), match="sync_every"):
            trainer().fit(*rows(), comm=_Alone(), **given)
    with pytest.raises(ValueError, match="sync_every is 3: expected 1 without comm"):
        trainer().fit(*rows(), sync_every=3)
    with pytest.raises(ValueError, match="metrics is"):
        trainer().fit(*rows(), validation=rows(), metrics=[lambda y, outputs: 0.0], comm=_Alone())


class _Alone:
    """A comm of one rank, with the method names of the protocol."""

    rank, size = 0, 1

    def allreduce(self, array: Array) -> Array:
        return array.copy()

    def broadcast(self, array: Array) -> Array:
        return array.copy()


class _LikeMpi:
    """What of mpi4py's communicator is used."""

    rank, size = 0, 1

    def Allreduce(self, array: Array, total: Array) -> None:  # noqa: N802
        total[:] = array

    def Bcast(self, array: Array) -> None:  # noqa: N802
        """Leave it as it is."""


def test_a_rank_alone_trains_as_without_others() -> None:
    x, y = rows()
    states = []
    for comm in (None, _Alone(), _LikeMpi()):
        own = trainer()
        own.fit(x, y, epochs=2, batch_size=7, comm=comm)
        states.append(own.network._core.state())
    for state in states[1:]:
        np.testing.assert_allclose(state, states[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
def test_steps_within_the_core_are_those_with_a_look_at_each_batch(weighted: bool) -> None:
    x, y = rows()
    weight = np.repeat([0.0, 1.0, 2.0], 20) if weighted else None

    class Looking(st.Callback):
        def on_batch_end(self, fit: Any) -> None:
            """Be there, so that every batch is Python's."""

    states, losses = [], []
    for callbacks in ([], [Looking()]):
        own = trainer(ema=0.9)
        history = own.fit(
            x, y, sample_weight=weight, epochs=3, batch_size=7, comm=_Alone(), sync_every=4, callbacks=callbacks
        )
        states.append([own.network._core.state(), own._core.values()])
        losses.append(history["loss"].tolist())
    for one, other in zip(*states, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-12)


def test_values_of_another_size_are_refused() -> None:
    core = trainer()._core
    values = core.values()
    for wrong in (
        values[:-1],
        values.reshape(1, -1),
        values.astype(np.float64),
        np.zeros(2 * len(values), values.dtype)[::2],
    ):
        with pytest.raises(ValueError, match="expected .* numbers of the trainer's dtype"):
            core.set_values(wrong, 1, 0)
    np.testing.assert_array_equal(core.values(), values)
    with pytest.raises(ValueError, match="rows has 60 at 0"):
        core.run_steps(*rows(), None, np.array([60]), 7)


@pytest.mark.parametrize(
    "comm", [3, "mpi", object(), type("C", (), {"rank": 2, "size": 2, "allreduce": 0, "broadcast": 0})()]
)
def test_what_is_no_comm_is_refused(comm: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="comm"):
        trainer().fit(*rows(), comm=comm)


def test_a_comm_that_fails_is_named() -> None:
    class Broken(_Alone):
        size = 2

        def allreduce(self, array: Array) -> Array:
            raise OSError("no route")

    with pytest.raises(RankError, match="rank 0 of 2 cannot reach the others: no route"):
        trainer().fit(*rows(), comm=Broken())


# --- The hub ---


def test_sums_and_copies_of_every_dtype() -> None:
    def work(comm: Any, rank: int) -> Any:
        arrays = [np.arange(6, dtype=dtype).reshape(2, 3) + rank for dtype in ("f4", "f8", "i8", "u1")]
        return [comm.allreduce(array) for array in arrays], [comm.broadcast(array) for array in arrays]

    for sums, copies in returned(run_ranks(3, work)):
        for array, copy in zip(sums, copies, strict=True):
            assert array.tolist() == [[3, 6, 9], [12, 15, 18]]
            assert copy.tolist() == [[0, 1, 2], [3, 4, 5]]
            assert array.dtype == copy.dtype


def test_strangers_and_wrong_ranks_are_sent_away() -> None:
    with Hub(2, LOCAL, timeout=20) as hub:
        place, _, _ = hub.address.partition("/")
        with pytest.raises(RankError, match="cannot reach the hub"):
            connect(f"{place}/{'0' * 32}", 0)
        with socket.create_connection((LOCAL, int(place.rpartition(":")[2]))) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n".ljust(56))
            assert stranger.recv(10) == b""
        with pytest.raises(RankError, match="rank 2 came to a hub of 2 ranks"):
            connect(hub.address, 2)
    with pytest.raises(RankError, match="cannot reach the hub"):
        connect(hub.address, 0, timeout=5)


def test_ranks_that_send_different_things_are_told() -> None:
    def sizes(comm: Any, rank: int) -> Any:
        return comm.allreduce(np.zeros(3 + rank))

    for found in run_ranks(2, sizes):
        assert isinstance(found, RankError)
        assert "rank 1 has sent 4 numbers of float64: expected 3" in str(found)

    def kinds(comm: Any, rank: int) -> Any:
        return comm.allreduce(np.zeros(3)) if rank else comm.broadcast(np.zeros(3))

    for found in run_ranks(2, kinds):
        assert "does something else" in str(found)


def test_a_hub_whose_ranks_do_not_come_says_so() -> None:
    with Hub(2, LOCAL, timeout=0.5) as hub, pytest.raises(RankError, match="1 of 2 ranks came"):
        connect(hub.address, 0)


def test_a_stranger_who_says_nothing_does_not_keep_others_out() -> None:
    with Hub(1, LOCAL) as hub:
        port = int(hub.address.partition("/")[0].rpartition(":")[2])
        with socket.create_connection((LOCAL, port)):
            comm = connect(hub.address, 0, timeout=20)
        assert comm.allreduce(np.ones(2)).tolist() == [1, 1]
        comm.close()


def test_a_hub_that_is_closed_sends_ranks_away() -> None:
    with Hub(1, LOCAL) as hub:
        comm = connect(hub.address, 0)
        hub.close()
        assert not hub._thread.is_alive()
        with pytest.raises(RankError):
            comm.allreduce(np.ones(2))
        comm.close()


# --- Ranks that end ---

SCRIPT = textwrap.dedent(
    """
    import os, signal, sys, time
    import numpy as np
    import steepest as st
    from steepest.distributed import connect

    address, rank, path, what = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    random = np.random.default_rng(rank)
    x = random.normal(size=(400, 4)).astype(np.float32)
    network = st.Network(4, [st.Dense(8, "tanh"), st.Dense(1)], seed=0)
    trainer = st.Trainer(network, "mse", st.Adam(0.001))

    def look(fit):
        if fit.epoch == 5:
            print("ready", flush=True)

    try:
        trainer.fit(x, x[:, :1], epochs=10**6, batch_size=16, comm=connect(address, rank), sync_every=int(what),
                    callbacks=[st.Checkpoint(path, every=2), st.LambdaCallback(on_epoch_end=look)])
    except BaseException as error:
        trainer.step(x, x[:, :1])
        print(type(error).__name__, error, flush=True)
    """
)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "rank.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize("sync_every", ["1", "4"])
@pytest.mark.parametrize(("signum", "who"), [(signal.SIGKILL, 0), (signal.SIGKILL, 1), (signal.SIGINT, 1)])
def test_a_rank_that_ends_ends_the_others(
    tmp_path: Path, script: Path, sync_every: str, signum: signal.Signals, who: int
) -> None:
    path = tmp_path / "run.safetensors"
    with Hub(2, LOCAL) as hub:
        ranks = [
            subprocess.Popen(
                [sys.executable, str(script), hub.address, str(rank), str(path), sync_every],
                stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
            for rank in range(2)
        ]  # fmt: skip
        for rank in ranks:
            assert rank.stdout is not None
            assert rank.stdout.readline() == "ready\n"
        ranks[who].send_signal(signum)
        said = [rank.communicate(timeout=30)[0] for rank in ranks]
    if signum == signal.SIGINT:
        assert [text.split()[0] for text in said] == ["KeyboardInterrupt", "KeyboardInterrupt"]
    else:
        assert said[1 - who].startswith(f"RankError rank {who} of 2 has gone")
    resumed = st.Trainer.resume(path)
    assert resumed.n_steps >= 4 * 25
    resumed.fit(*rows(), epochs=1)
