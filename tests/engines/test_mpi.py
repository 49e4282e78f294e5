"""Ranks that mpirun starts, with mpi4py's communicator as it is."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st

SCRIPT = textwrap.dedent(
    """
    import json, os, signal, sys
    import numpy as np
    from mpi4py import MPI
    import steepest as st

    path, options = sys.argv[1], json.loads(sys.argv[2])
    comm = MPI.COMM_WORLD
    kill = options.pop("kill", None)
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 4)).astype(np.float32)
    y = np.sin(x[:, :1])
    if options.pop("resume", False):
        trainer = st.Trainer.resume(path)
    else:
        trainer = st.Trainer(st.Network(4, [st.Dense(16, "tanh"), st.Dense(1)], seed=comm.rank), "mse", st.Adam(0.01))

    def look(fit):
        if kill is not None and fit.epoch == 5 and comm.rank == 1:
            os.kill(os.getpid(), kill)

    shard = slice(comm.rank, None, comm.size)
    try:
        trainer.fit(x[shard], y[shard], comm=comm,
                    callbacks=[st.Checkpoint(path), st.LambdaCallback(on_epoch_end=look)], **options)
    except KeyboardInterrupt:
        print("interrupted")
    state = trainer.network._core.state()
    print(json.dumps([comm.rank, trainer.n_steps, state.tobytes().hex()]), flush=True)
    """
)


@pytest.fixture
def on_ranks(mpirun: Any, tmp_path: Path) -> Any:
    """Runs the script on so many ranks, with options of `fit`."""

    def run(size: int, **options: Any) -> subprocess.CompletedProcess[str]:
        (tmp_path / "ranks.py").write_text(SCRIPT)
        return mpirun(size, "-m", "mpi4py", "ranks.py", "run.safetensors", json.dumps(options))  # type: ignore[no-any-return]

    return run


def states(done: subprocess.CompletedProcess[str]) -> list[tuple[int, np.ndarray[Any, Any]]]:
    """The steps and the weights of each rank, in order."""
    assert done.returncode == 0, done.stderr
    lines = sorted(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    return [(n_steps, np.frombuffer(bytes.fromhex(state), np.float32)) for _, n_steps, state in lines]


@pytest.mark.parametrize("size", [2, 3])
def test_summed_gradients_are_a_step_on_the_batches_of_all(on_ranks: Any, size: int) -> None:
    batch = 60 // size
    found = states(on_ranks(size, epochs=3, batch_size=batch, shuffle=False))
    assert len(found) == size
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 4)).astype(np.float32)
    y = np.sin(x[:, :1])
    alone = st.Trainer(st.Network(4, [st.Dense(16, "tanh"), st.Dense(1)], seed=0), "mse", st.Adam(0.01))
    for _ in range(3):
        for start in range(0, 300, 60):
            alone.step(x[start : start + 60], y[start : start + 60])
    for n_steps, state in found:
        assert n_steps == 15
        assert np.array_equal(state, found[0][1])
        np.testing.assert_allclose(state, alone.network._core.state(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sync_every", [4, "auto"])
def test_means_are_the_same_bits_on_every_rank(on_ranks: Any, sync_every: int | str) -> None:
    found = states(on_ranks(3, epochs=3, batch_size=16, sync_every=sync_every))
    for n_steps, state in found:
        assert n_steps == found[0][0]
        assert np.array_equal(state, found[0][1])


def test_a_checkpoint_of_two_ranks_goes_on_with_three(on_ranks: Any) -> None:
    ((n_steps, _), _) = states(on_ranks(2, epochs=2, batch_size=30))
    found = states(on_ranks(3, resume=True, epochs=1, batch_size=20))
    assert [after for after, _ in found] == [n_steps + 5] * 3


def test_a_killed_rank_ends_all(on_ranks: Any, tmp_path: Path) -> None:
    start = time.monotonic()
    done = on_ranks(2, kill=int(signal.SIGKILL), epochs=10**6, batch_size=8)
    assert done.returncode != 0
    assert "rank" in done.stderr.lower()
    assert time.monotonic() - start < 60
    assert st.Trainer.resume(tmp_path / "run.safetensors").n_steps >= 5 * 19


def test_an_interrupted_rank_interrupts_all(on_ranks: Any) -> None:
    done = on_ranks(2, kill=int(signal.SIGINT), epochs=10**6, batch_size=8)
    assert done.stdout.count("interrupted") == 2
    ((first, state), (second, other)) = states(done)
    assert first == second
    assert np.array_equal(state, other)


def test_the_command_shares_out_the_networks(mpirun: Any, tmp_path: Path) -> None:
    pytest.importorskip("typer", reason="typer is not installed")
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 2))
    lines = [f"{a:.4f},{b:.4f},{np.sin(a) + b:.4f}" for a, b in x]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,price", *lines]))
    train = ["-m", "steepest", "train", "table.csv", "--target", "price"]
    alone, both = mpirun(1, *train, "--out", "alone.safetensors"), mpirun(2, *train, "--out", "both.safetensors")
    assert both.returncode == alone.returncode == 0, both.stderr
    assert len(re.findall(r"Trained \d networks", both.stdout)) == both.stdout.count("Wrote both.safetensors") == 1
    assert (tmp_path / "both.safetensors").read_bytes() == (tmp_path / "alone.safetensors").read_bytes()
    wrong = mpirun(2, *train[:-1], "prices")
    assert wrong.returncode == 2
    assert "no column 'prices'" in wrong.stderr
