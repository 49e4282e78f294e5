"""What is printed for reports of bugs."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

import steepest as st
from helpers import python


def test_show_versions_says_what_a_report_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEEPEST_NUM_THREADS", "3")
    st.show_versions()
    printed = capsys.readouterr().out
    for line in (
        f"version: {st.__version__}", f"version: {sys.version.split()[0]}", f"numpy: {np.__version__}",
        f"isa: {st.build_info()['isa']}", f"threads: {st.get_num_threads()}", "STEEPEST_NUM_THREADS: 3",
    ):  # fmt: skip
        assert f"  {line}\n" in printed
    assert re.findall(r"^\S.*$", printed, re.MULTILINE) == ["system", "python", "steepest", "packages"]


def test_show_versions_imports_no_package() -> None:
    code = "import sys, steepest as st; before = set(sys.modules); st.show_versions()"
    run = python(f"{code}; assert not any(name in sys.modules for name in ('sklearn', 'pandas', 'river'))")
    assert run.returncode == 0, run.stderr


def test_the_version_is_that_of_the_metadata() -> None:
    import importlib.metadata

    assert st.__version__ == importlib.metadata.version("steepest") == st.build_info()["version"]
