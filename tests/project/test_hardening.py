"""The compiled module is built as what reads strangers' files should be."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from steepest import _core

RELRO, STACK, DYNAMIC = 0x6474E552, 0x6474E551, 2  # kinds of segments
FLAGS, FLAGS_1 = 30, 0x6FFFFFFB  # entries of the dynamic segment
NOW, NOW_1, EXECUTABLE = 8, 1, 1

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or sys.byteorder != "little" or sys.maxsize < 2**32, reason="reads ELF of 64 bits"
)


def segments(module: bytes) -> dict[int, tuple[int, bytes]]:
    """The flags and the contents of each segment, by its kind (Tool Interface Standard, ELF-64)."""
    start, size, count = struct.unpack_from("<Q14xHH", module, 32)
    found = {}
    for i in range(count):
        kind, flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", module, start + i * size)
        found[kind] = flags, module[offset : offset + length]
    return found


@pytest.fixture(scope="module")
def module() -> bytes:
    return Path(_core.__file__).read_bytes()


def test_r31_what_is_linked_cannot_be_written(module: bytes) -> None:
    found = segments(module)
    entries = dict(struct.iter_unpack("<QQ", found[DYNAMIC][1]))
    assert entries.get(FLAGS, 0) & NOW or entries.get(FLAGS_1, 0) & NOW_1
    assert RELRO in found
    assert not found[STACK][0] & EXECUTABLE


def test_r31_the_stack_is_guarded(module: bytes) -> None:
    if b"__asan_init" in module or b"__tsan_init" in module:
        pytest.skip("a build with sanitizers looks at more than guards do")
    assert b"\0__stack_chk_fail\0" in module
