"""Our threads among those that threadpoolctl knows: `threadpool_limits(1)` then holds for networks too."""

from __future__ import annotations

from threadpoolctl import LibController, register

from ._core import __version__


class SteepestController(LibController):  # type: ignore[misc]
    """The interface by which threadpoolctl controls a library; `dynlib` is ours, opened by ctypes."""

    user_api = "steepest"
    internal_api = "steepest"
    filename_prefixes = ("_core",)
    check_symbols = ("steepest_get_num_threads",)

    def get_num_threads(self) -> int:
        """Return the number of threads in use."""
        return int(self.dynlib.steepest_get_num_threads())

    def set_num_threads(self, num_threads: int) -> None:
        """Use this many threads."""
        self.dynlib.steepest_set_num_threads(num_threads)

    def get_version(self) -> str:
        """Return the package's version."""
        return __version__


register(SteepestController)
