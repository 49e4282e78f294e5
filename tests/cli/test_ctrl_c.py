"""Ctrl-C in the process of the command, from its first import on; and that other programs are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import steepest as st

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")

STUB = "import sys\nfrom steepest.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
PRESS = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""
SWALLOW = f"""
class Late:
    def __del__(self): {"; ".join(PRESS.strip().splitlines())}
Late()
"""  # where an exception would be shown, and lost


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python where modules in a folder come before those that are installed."""
    path = os.pathsep.join([str(folder), str(Path(st.__file__).parents[1])])
    environment = os.environ | {"PYTHONPATH": path} | environment
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=100)


@on_posix
@pytest.mark.parametrize("how", ["-m", "script"])
@pytest.mark.parametrize("module", ["tokenize", "numpy", "typer"])
@pytest.mark.parametrize("source", [PRESS, SWALLOW], ids=["import", "destructor"])
def test_r08_ctrl_c_while_the_command_starts(how: str, module: str, source: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text(source)
    script = tmp_path / "steepest"
    script.write_text(STUB)
    if how == "-m":
        script.unlink()
    ended = run(["-m", "steepest"] if how == "-m" else [str(script)], tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "steepest: interrupted\n")


@on_posix
@pytest.mark.parametrize("how", ["-c", "-m", "other", "steepest"])
def test_r08_other_programs_decide_what_ctrl_c_does(how: str, tmp_path: Path) -> None:
    code = "import signal, steepest\nprint(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    script = tmp_path / (how if how[0] != "-" else "program.py")
    script.write_text(code)
    command = {"-c": ["-c", code], "-m": ["-m", "program", "-m", "steepest"]}.get(how, [str(script)])
    ended = run(command, tmp_path)
    assert (ended.stdout, ended.stderr) == ("True\n", "")


@on_posix
def test_r08_a_command_in_the_background_goes_on() -> None:
    """A shell starts it with Ctrl-C ignored."""
    command = f"trap '' INT; {sys.executable} -m steepest --version"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0 and ended.stderr == ""


@on_posix
def test_r08_ctrl_c_takes_the_unfinished_file_along(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n3,4\n" * 20)
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\ndef press(handle): os.kill(os.getpid(), signal.SIGINT); signal.pause()\nos.fsync = press\n"
    )
    out = tmp_path / "model"
    ended = run(["-m", "steepest", "train", str(tmp_path / "a.csv"), "--target", "b", "--out", str(out)], tmp_path)
    assert ended.returncode == 130 and ended.stderr.endswith("steepest: interrupted\n") and "Trace" not in ended.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"a.csv", "sitecustomize.py", "__pycache__"}
