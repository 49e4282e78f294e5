"""Do the tests notice wrong arithmetic? `python tests/mutants/run.py [words of a file or change]`.

Copies the sources to a temporary folder, makes each change of `table.py` there, builds, and runs the tests that it
names: they must fail. A mutant that survives wants a test. Needs CMake, Ninja and pybind11 beside what the tests need.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from table import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 600  # seconds that a mutant's tests may take: one that hangs is noticed too


class Copy:
    """The sources in a folder of their own, with a compiled module that follows them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.build = folder, folder / "build"
        for name in ("cpp", "python"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        shutil.copy(ROOT / "CMakeLists.txt", folder)
        options = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O1", "-DSTEEPEST_QUICK=ON"]
        options += ["-DSKBUILD_PROJECT_VERSION=0", "-DPYBIND11_FINDPYTHON=ON", f"-DPython_EXECUTABLE={sys.executable}"]
        found = subprocess.run(
            [sys.executable, "-m", "pybind11", "--cmakedir"], capture_output=True, text=True, check=True
        )
        command = ["cmake", "-S", folder, "-B", self.build, "-G", "Ninja", f"-Dpybind11_DIR={found.stdout.strip()}"]
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
        if not self.compiles():
            raise SystemExit("the sources do not compile as they are: see above")
        where = [sys.executable, "-c", "import steepest; print(steepest.__file__)"]
        tested = subprocess.run(where, env=self.environment(), cwd=folder, capture_output=True, text=True, check=True)
        if not Path(tested.stdout.strip()).is_relative_to(folder):
            raise SystemExit(f"the tests would run on {tested.stdout.strip()}: expected no editable install beside it")

    def environment(self) -> dict[str, str]:
        """Return the variables of a process that imports the copy."""
        return os.environ | {"PYTHONPATH": str(self.folder / "python"), "PYTHONDONTWRITEBYTECODE": "1"}

    def compiles(self) -> bool:
        run = subprocess.run(["nice", "ninja", "-C", self.build], capture_output=True, text=True)
        if run.returncode:
            print(run.stdout[-2000:])
            return False
        for module in self.build.glob("_core*.so"):
            shutil.copy(module, self.folder / "python" / "steepest")
        return True

    def passes(self, tests: str, *, shows: bool = False) -> bool:
        """Run the tests of the original tree on the copy; print what they say where that is asked for."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *shlex.split(tests)]
        try:
            run = subprocess.run(
                ["nice", *command], cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=LONGEST
            )
        except subprocess.TimeoutExpired:
            return False
        if run.returncode not in (0, 1):  # such as no test at all
            raise SystemExit(f"pytest {tests}: {run.stdout[-2000:]}{run.stderr}")
        if shows and run.returncode:
            print(run.stdout[-3000:])
        return run.returncode == 0

    def verdict(self, mutant: Mutant) -> str:
        """Make the change, and say what becomes of it; the file is then as it was."""
        path = self.folder / mutant.file
        original = path.read_text()
        if original.count(mutant.old) != 1:
            return f"stands {original.count(mutant.old)} times in the file"
        path.write_text(original.replace(mutant.old, mutant.new))
        try:
            if mutant.file.startswith("cpp") and not self.compiles():
                return "does not compile"
            return "survives" if self.passes(mutant.tests) else "caught"
        finally:
            path.write_text(original)


def main() -> None:
    words = sys.argv[1:]
    chosen = [mutant for mutant in MUTANTS if all(word in " ".join(mutant[:3]) for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        for tests in sorted({mutant.tests for mutant in chosen}):
            if not copy.passes(tests, shows=True):
                raise SystemExit(f"pytest {tests}: fails on the sources as they are, see above")
        wrong = 0
        for mutant in chosen:
            start = time.monotonic()
            verdict = copy.verdict(mutant)
            wrong += verdict != "caught"
            print(
                f"{verdict:10} {mutant.file}: {mutant.old} -> {mutant.new} ({time.monotonic() - start:.0f} s)",
                flush=True,
            )
    print(f"{len(chosen) - wrong} of {len(chosen)} mutants are caught")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
