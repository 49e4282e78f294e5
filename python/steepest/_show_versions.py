"""The lines on machine and packages that a report of a bug needs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping

from ._core import build_info

# What results may depend on, then what the doors lead to: by the names that pip knows.
_PACKAGES = (
    "numpy", "safetensors", "scikit-learn", "scipy", "pandas", "polars", "pyarrow", "threadpoolctl", "joblib",
    "matplotlib", "tqdm", "rich", "typer", "tensorboardX", "optuna", "mlflow", "mlflow-skinny", "river",
    "distributed", "mpi4py", "pyspark", "ray",
)  # fmt: skip
_VARIABLES = ("STEEPEST_ISA", "STEEPEST_NUM_THREADS", "OMP_NUM_THREADS")


def show_versions() -> None:
    """Print the system, Python, this package, its instruction sets and threads, and the versions of what it works with.

    Put it into a report of a bug. It names no user, no path and no host, and imports none of the packages.

    Examples
    --------
    >>> import steepest as st
    >>> st.show_versions()  # doctest: +ELLIPSIS
    system
      machine: ...
    """
    info = build_info()
    environment = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    _print("system", {"machine": platform.machine(), "platform": platform.platform(), "processors": os.cpu_count()})
    _print("python", {"version": sys.version.split()[0], "implementation": platform.python_implementation()})
    _print("steepest", info | {"available_isas": ", ".join(info["available_isas"])} | environment)
    _print("packages", {name: version for name in _PACKAGES if (version := _version(name)) is not None})


def _print(title: str, lines: Mapping[str, object]) -> None:
    print(title)
    for name, value in lines.items():
        print(f"  {name}: {value}")


def _version(package: str) -> str | None:
    """Return the version of a package, None where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # here, for it is a tenth of the package's import

    try:
        return version(package)
    except PackageNotFoundError:
        return None
