"""Instruction sets: how one is chosen, that they agree, and that none leaks code into another."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal, relative_error
from steepest import _core

ROOT = Path(__file__).resolve().parents[2]
CPP = ROOT / "cpp"
ISAS = st.build_info()["available_isas"]
SOURCES = sorted(path for path in CPP.rglob("*") if path.suffix in {".cpp", ".hpp", ".inl"})
KERNELS = [path for path in SOURCES if path.parent.name == "kernels"]


# --- Choosing one ---


def import_with(isa: str | None) -> subprocess.CompletedProcess[str]:
    """Import the package in a new process where STEEPEST_ISA is `isa`; print the set that networks use."""
    environment = {name: value for name, value in os.environ.items() if name != "STEEPEST_ISA"}
    if isa is not None:
        environment["STEEPEST_ISA"] = isa
    script = "from steepest import _core; print(_core.build_info()['isa'], _core.Network(1, 'float32', 0).isa)"
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)


def known_isas() -> list[str]:
    """The instruction sets that this build knows, whether the machine has them or not."""
    with pytest.raises(ValueError, match="unknown instruction set 'none'") as refused:
        _core.set_isa("none")
    return str(refused.value).partition("expected one of ")[2].split(", ")


def test_build_info() -> None:
    info = st.build_info()
    assert set(info) == {"version", "isa", "available_isas", "threads", "compiler"}
    assert info["version"] == st.__version__
    assert info["available_isas"][0] == "baseline" and info["isa"] in info["available_isas"]
    assert info["threads"] == st.get_num_threads() >= 1
    assert re.fullmatch(r"\w+ \d+(\.\d+)+", info["compiler"])


@pytest.mark.parametrize("isa", [None, "", *ISAS])
def test_environment_picks_one(isa: str | None) -> None:
    run = import_with(isa)
    expected = isa or ISAS[-1]  # the best one where nothing is asked
    assert (run.stdout, run.stderr) == (f"{expected} {expected}\n", "")


def test_unknown_one_is_refused_at_import() -> None:
    run = import_with("sse9")
    assert run.returncode == 1
    expected = f"STEEPEST_ISA: unknown instruction set 'sse9', expected one of {', '.join(known_isas())}"
    assert run.stderr.splitlines()[-1] == f"ImportError: {expected}"


def test_unavailable_one_is_refused() -> None:
    missing = [isa for isa in known_isas() if isa not in ISAS]
    if not missing:
        pytest.skip("this machine has every instruction set that the build knows")
    for isa in missing:
        run = import_with(isa)
        assert run.returncode == 1
        assert run.stderr.splitlines()[-1] == f"ImportError: STEEPEST_ISA: this machine has no {isa}"
        before = st.build_info()["isa"]
        with pytest.raises(ValueError, match=f"this machine has no {isa}"):
            _core.set_isa(isa)
        assert st.build_info()["isa"] == before


# --- Agreement ---

STEPS = 50
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}  # relative, after STEPS steps

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "momentum": lambda: st.SGD(0.05, momentum=0.9),
    "adam": lambda: st.Adam(1e-3),
    "clip_norm": lambda: st.SGD(0.05, clip_norm=0.5),
}


def trained_on(isa: str, dtype: str, optimizer: str) -> tuple[list[float], dict[str, Any]]:
    """The losses, and the tensors after STEPS steps, on one instruction set."""
    before = st.build_info()["isa"]
    _core.set_isa(isa)
    try:
        branch = st.Residual([st.Dense(37, "tanh"), st.LayerNorm(), st.Dropout(0.2)])
        layers = [st.Dense(37, "gelu"), st.BatchNorm(), branch, st.Dense(5)]
        net = st.Network(19, layers, seed=3, dtype=dtype)
    finally:
        _core.set_isa(before)
    assert net._core.isa == isa
    trainer = st.Trainer(net, "cross_entropy", OPTIMIZERS[optimizer](), seed=4)
    x = normal(1, (64, 19))
    y = np.random.default_rng(2).integers(0, 5, 64)
    losses = [trainer.step(x, y) for _ in range(STEPS)]
    return losses, net.parameters | net.buffers | {"predictions": net.predict(x)}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.skipif(len(ISAS) == 1, reason="this machine has one instruction set")
def test_instruction_sets_agree(optimizer: str, dtype: str) -> None:
    losses, tensors = trained_on("baseline", dtype, optimizer)
    assert losses[-1] < 0.9 * losses[0]  # it was training
    for isa in ISAS[1:]:
        other_losses, others = trained_on(isa, dtype, optimizer)
        errors = {name: relative_error(others[name], tensor) for name, tensor in tensors.items()}
        errors["losses"] = relative_error(other_losses, losses)
        assert max(errors.values()) <= TOLERANCE[dtype], (isa, errors)


# --- What the sources may use ---


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.name)
def test_kernels_include_only_each_other(path: Path) -> None:
    includes = re.findall(r'^\s*#\s*include\s*([<"].*[>"])', path.read_text(), re.MULTILINE)
    own = {f'"{other.name}"' for other in KERNELS}
    assert set(includes) <= own | {"<cstddef>", "<cstdint>"}


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.name)
def test_kernels_include_what_they_use(path: Path) -> None:
    """Each file compiles by itself, so that no order of includes has to be kept."""
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    compiler[0] = tool(compiler[0])
    options = ["-std=c++17", "-fsyntax-only", "-DSTEEPEST_ISA=baseline", f"-I{path.parent}", "-x", "c++", "-"]
    command = [*compiler, *options]
    found = subprocess.run(command, input=f'#include "{path.name}"\n', capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr


def test_core_knows_no_python() -> None:
    users = {path.parent.name for path in SOURCES if re.search(r"pybind11|Python\.h", path.read_text())}
    assert users == {"bindings"}


def cmake() -> str:
    """CMakeLists.txt without its comments."""
    return re.sub(r"#.*", "", (ROOT / "CMakeLists.txt").read_text())


def test_no_flag_changes_what_numbers_mean() -> None:
    unsafe = r"-Ofast|-ffast-math|-funsafe-math\S*|-ffinite-math-only|-fassociative-math|-freciprocal-math|-mdaz-ftz"
    assert re.findall(unsafe, cmake()) == []


# --- What the objects hold ---


def kernel_flags() -> dict[str, list[str]]:
    """The options that each instruction set's kernels are compiled with."""
    text = cmake()
    isas = max((found.split() for found in re.findall(r"set\(STEEPEST_ISAS ([^)]*)\)", text)), key=len)
    [common] = re.findall(r"target_compile_options\(kernels_\$\{id\} PRIVATE ([^)]*)\)", text)
    own: dict[str, str] = {}
    for isa, flags in re.findall(r"set\(flags_(\S+) ([^)]*)\)", text):
        own.setdefault(isa, flags)  # the later ones are for emulation
    return {isa: common.replace("${flags_${isa}}", own.get(isa, "")).split() for isa in isas}


def tool(name: str) -> str:
    """The path of a program, without which the test is skipped."""
    path = shutil.which(name)
    return path or pytest.skip(f"needs {name}, which is not here")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The kernels of each instruction set, compiled."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("the flags and the symbols' names are those of Linux on x86-64")
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    compiler[0] = tool(compiler[0])
    folder = tmp_path_factory.mktemp("objects")
    made = {isa: folder / f"{isa}.o" for isa in kernel_flags()}
    running = []
    for isa, flags in kernel_flags().items():
        command = [*compiler, "-std=c++17", "-fPIC", "-fvisibility=hidden", *flags, f"-DSTEEPEST_ISA={identifier(isa)}"]
        command += ["-c", str(CPP / "kernels" / "kernels.cpp"), "-o", str(made[isa])]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    for process in running:
        _, messages = process.communicate(timeout=120)
        assert process.returncode == 0, messages
    return made


def identifier(isa: str) -> str:
    return isa.replace("-", "_")


def output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


# Functions of libc and libm, which were compiled for every machine; and what position-independent code asks for.
ALLOWED = {"memcpy", "memmove", "memset", "log", "logf", "sqrt", "sqrtf", "_GLOBAL_OFFSET_TABLE_"}


def test_kernels_share_no_symbol(objects: dict[str, Path]) -> None:
    """A weak symbol compiled for AVX-512 and kept by the linker is an illegal instruction on an older machine."""
    nm = tool("nm")
    for isa, path in objects.items():
        symbols = [line.split()[:2] for line in output(nm, "-P", path).splitlines()]
        undefined = {name for name, kind in symbols if kind in "Uw"}
        # A small letter is a local symbol, but for those that are unique (u), weak (v) or indirect (i).
        shared = {name for name, kind in symbols if (kind.isupper() and kind != "U") or kind in "uvi"}
        tables = [f"kernels_{dtype}_{identifier(isa)}" for dtype in ("f32", "f64")]
        assert shared == {f"_ZN8steepest{len(table)}{table}E" for table in tables}, isa
        assert undefined <= ALLOWED, isa


def test_kernels_run_nothing_at_load(objects: dict[str, Path]) -> None:
    readelf = tool("readelf")
    for isa, path in objects.items():
        sections = set(re.findall(r"\]\s+(\.\S+)", output(readelf, "-S", "-W", path)))
        assert ".text" in sections
        starting = [name for name in sections if re.match(r"\.(init|ctors|text\.startup|preinit)", name)]
        assert starting == [], isa
