"""Ranks of torch.distributed, with its process group as it is."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

SCRIPT = textwrap.dedent(
    """
    import json, sys
    import numpy as np
    import torch.distributed as dist
    import steepest as st

    rank = int(sys.argv[1])
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
    x = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    found = []
    for sync_every in (1, 3):
        trainer = st.Trainer(st.Network(4, [st.Dense(16, "tanh"), st.Dense(1)], seed=rank), "mse", st.Adam(0.01))
        trainer.fit(x[rank::2], np.sin(x[rank::2, :1]), epochs=3, batch_size=25, comm=dist.group.WORLD,
                    sync_every=sync_every)
        found.append([trainer.n_steps, trainer.network._core.state().tobytes().hex()])
    print(json.dumps(found))
    dist.destroy_process_group()
    """
)


def test_a_process_group_is_a_comm(tmp_path: Path) -> None:
    (tmp_path / "ranks.py").write_text(SCRIPT)
    ranks = [
        subprocess.Popen(
            [sys.executable, "ranks.py", str(rank), str(tmp_path / "meeting")],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    found = []
    for rank in ranks:
        said, errors = rank.communicate(timeout=120)
        assert rank.returncode == 0, errors
        found.append(json.loads(said))
    assert found[0] == found[1]
    assert [n_steps for n_steps, _ in found[0]] == [18, 18]
