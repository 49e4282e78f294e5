"""Engines that start here for real; each is skipped where it is not installed: pip install '.[dask,mpi,ray,spark]'."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import steepest as st


@pytest.fixture(scope="module", autouse=True)
def _surroundings() -> Iterator[None]:
    """Workers on one machine are not to fight for its processors; and they find the tests' own functions."""
    here, threads = str(Path(__file__).parent), st.get_num_threads()
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", path)
        st.set_num_threads(1)
        yield
        st.set_num_threads(threads)


@pytest.fixture(scope="session")
def dask_client() -> Iterator[Any]:
    distributed = pytest.importorskip("dask.distributed", reason="Dask is not installed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def ray() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    sql = pytest.importorskip("pyspark.sql", reason="Spark is not installed")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java, and there is none")
    builder = sql.SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture(params=["dask", "ray", "spark"])
def engine(request: pytest.FixtureRequest) -> Any:
    """What `backend` and `run_on` take for each engine."""
    found = request.getfixturevalue("dask_client" if request.param == "dask" else request.param)
    if request.param == "dask":
        found.wait_for_workers(2)  # a test may have killed one
    return "ray" if request.param == "ray" else found


@pytest.fixture
def mpirun(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python by mpirun in `tmp_path`, called with the ranks and Python's arguments."""
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    command = shutil.which("mpirun") or shutil.which("mpirun", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("there is no mpirun")
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1"}

    def run(size: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, "--oversubscribe", "-n", str(size), sys.executable, *arguments],
            cwd=tmp_path, env=os.environ | allowed, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run
