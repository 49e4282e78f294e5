"""Ranks that mpirun starts, with mpi4py's communicator as it is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st

pytest.importorskip("mpi4py", reason="mpi4py is not installed")
MPIRUN = shutil.which("mpirun") or shutil.which("mpirun", path=str(Path(sys.executable).parent))
pytestmark = pytest.mark.skipif(MPIRUN is None, reason="there is no mpirun")

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


def mpirun(tmp_path: Path, size: int, limit: float = 120, **options: Any) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "ranks.py"
    script.write_text(SCRIPT)
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1"}
    command = [str(MPIRUN), "--oversubscribe", "-n", str(size), sys.executable, "-m", "mpi4py", str(script)]
    return subprocess.run(
        [*command, str(tmp_path / "run.safetensors"), json.dumps(options)],
        capture_output=True, text=True, timeout=limit, env=os.environ | allowed, check=False,
    )  # fmt: skip


def states(done: subprocess.CompletedProcess[str]) -> list[tuple[int, np.ndarray[Any, Any]]]:
    """The steps and the weights of each rank, in order."""
    assert done.returncode == 0, done.stderr
    lines = sorted(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    return [(n_steps, np.frombuffer(bytes.fromhex(state), np.float32)) for _, n_steps, state in lines]


@pytest.mark.parametrize("size", [2, 3])
def test_summed_gradients_are_a_step_on_the_batches_of_all(tmp_path: Path, size: int) -> None:
    batch = 60 // size
    found = states(mpirun(tmp_path, size, epochs=3, batch_size=batch, shuffle=False))
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
def test_means_are_the_same_bits_on_every_rank(tmp_path: Path, sync_every: int | str) -> None:
    found = states(mpirun(tmp_path, 3, epochs=3, batch_size=16, sync_every=sync_every))
    for n_steps, state in found:
        assert n_steps == found[0][0]
        assert np.array_equal(state, found[0][1])


def test_a_checkpoint_of_two_ranks_goes_on_with_three(tmp_path: Path) -> None:
    ((n_steps, _), _) = states(mpirun(tmp_path, 2, epochs=2, batch_size=30))
    found = states(mpirun(tmp_path, 3, resume=True, epochs=1, batch_size=20))
    assert [after for after, _ in found] == [n_steps + 5] * 3


def test_a_killed_rank_ends_all(tmp_path: Path) -> None:
    start = time.monotonic()
    done = mpirun(tmp_path, 2, kill=int(signal.SIGKILL), epochs=10**6, batch_size=8)
    assert done.returncode != 0
    assert "rank" in done.stderr.lower()
    assert time.monotonic() - start < 60
    assert st.Trainer.resume(tmp_path / "run.safetensors").n_steps >= 5 * 19


def test_an_interrupted_rank_interrupts_all(tmp_path: Path) -> None:
    done = mpirun(tmp_path, 2, kill=int(signal.SIGINT), epochs=10**6, batch_size=8)
    assert done.stdout.count("interrupted") == 2
    ((first, state), (second, other)) = states(done)
    assert first == second
    assert np.array_equal(state, other)
