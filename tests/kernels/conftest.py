"""Fixtures of the tests of kernels."""

from __future__ import annotations

import pytest

from kernel_calls import KernelTable


@pytest.fixture
def k(isa: str, dtype: str) -> KernelTable:
    """The kernels under test."""
    return KernelTable(isa, dtype)
