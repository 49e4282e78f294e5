"""The tests of the kernels on arm64, by an emulator: `python tests/arm64.py [arguments of pytest]`.

The core is compiled for arm64 by `aarch64-linux-gnu-g++`, and a Python for it, with NumPy and pytest, runs the tests
under `qemu-aarch64`, so that NEON's kernels are compared with the same reference. It takes some minutes. On Debian:
`dpkg --add-architecture arm64; apt-get update; apt-get install g++-aarch64-linux-gnu qemu-user`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "arm64"
COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
LIBRARIES = (
    "libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libssl3 libffi8 libbz2-1.0 liblzma5 libsqlite3-0 libuuid1 libcrypt1"
)
# Not those that start another Python, which the emulator would have to be told.
TESTS = [f"tests/kernels/test_{name}.py" for name in ("kernels", "embedding_kernels", "top_k")]


def run(*command: str | Path, **options: object) -> str:
    """Run a command; return what it prints."""
    done = subprocess.run([str(part) for part in command], check=True, text=True, stdout=subprocess.PIPE, **options)  # type: ignore[call-overload]
    return str(done.stdout)


def python_for_arm64() -> tuple[Path, str]:
    """Unpack Debian's Python for arm64, and NumPy and pytest for it; return its root and its version."""
    root = BUILD / "root"
    version = re.search(r"python(3\.\d+)", run("apt-cache", "depends", "python3"))
    assert version is not None
    name = version.group(0)
    if not (root / "usr" / "bin" / name).exists():
        packages = [f"{name}-minimal", f"lib{name}-minimal", f"lib{name}-stdlib", f"lib{name}-dev", *LIBRARIES]
        folder = BUILD / "packages"
        folder.mkdir(parents=True, exist_ok=True)
        run("apt-get", "download", "-q", *(f"{package}:arm64" for package in packages), cwd=folder)
        for package in folder.glob("*.deb"):
            run("dpkg", "-x", package, root)
    site = BUILD / "site"
    if not site.exists():
        wheels = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 27, 28)]
        only = ["--only-binary=:all:", "--implementation=cp", f"--python-version={version.group(1)}"]
        run(
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            f"--target={site}",
            *wheels,
            *only,
            "numpy",
            "safetensors",
            "pytest",
        )
    return root, version.group(1)


def build(root: Path, version: str) -> Path:
    """Compile the package for arm64; return the folder that it lies in."""
    suffix = f".cpython-{version.replace('.', '')}-aarch64-linux-gnu.so"
    pybind11 = run(sys.executable, "-m", "pybind11", "--cmakedir").strip()
    include = root / "usr" / "include"
    settings = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": "aarch64",
        "CMAKE_CXX_COMPILER": COMPILER,
        "CMAKE_CXX_FLAGS": f"-I{include / f'python{version}'} -isystem {include}",  # before those of this Python
        "PYBIND11_USE_CROSSCOMPILING": "ON",
        "Python_EXECUTABLE": sys.executable,
        "PYTHON_MODULE_EXTENSION": suffix,
        "PYTHON_MODULE_DEBUG_POSTFIX": "",
        "PYTHON_IS_DEBUG": "0",
        "pybind11_DIR": pybind11,
        "SKBUILD_PROJECT_VERSION": "0",
        "STEEPEST_WERROR": "ON",
    }
    folder = BUILD / "cmake"
    run("cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *(f"-D{name}={value}" for name, value in settings.items()))
    run("cmake", "--build", folder)
    package = BUILD / "package" / "steepest"
    shutil.copytree(ROOT / "python" / "steepest", package, dirs_exist_ok=True)
    for extension in package.glob("_core*.so"):
        extension.unlink()
    shutil.copy(folder / f"_core{suffix}", package)
    return package.parent


def main() -> None:
    missing = [name for name in (COMPILER, EMULATOR) if shutil.which(name) is None]
    if missing:
        print(f"There is no {' and no '.join(missing)}: the tests on arm64 are skipped.")
        return
    root, version = python_for_arm64()
    package = build(root, version)
    paths = [package, BUILD / "site"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    python = [EMULATOR, "-L", root, root / "usr" / "bin" / f"python{version}"]
    arguments = sys.argv[1:] or TESTS
    command = [*map(str, python), "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    sys.exit(subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
