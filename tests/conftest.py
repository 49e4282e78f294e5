"""Fixtures that several tests share."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import steepest as st
from steepest import _core

# A shell starts what runs in its background with Ctrl-C ignored, and these tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the repository."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the data sets of ../shared/data, which is not here")
    return folder


@pytest.fixture(params=st.build_info()["available_isas"])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set of this machine in turn, which networks made in the test then use."""
    before = st.build_info()["isa"]
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa(before)


@pytest.fixture(params=[1, 2, 4])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Each number of threads of the core in turn."""
    before = st.get_num_threads()
    st.set_num_threads(request.param)
    yield request.param
    st.set_num_threads(before)


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    """Both dtypes in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium: the system's, or playwright's own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pages are looked at through playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    system = next(filter(None, map(shutil.which, names)), None)
    with sync_api.sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=system, args=["--no-sandbox"])
        except sync_api.Error as error:
            if system or "Executable doesn't exist" not in str(error):
                raise
            pytest.skip(
                "needs Chromium: install your system's (apt-get install chromium), or playwright's "
                "(python -m playwright install --with-deps chromium-headless-shell)"
            )
        yield chromium
        chromium.close()
