"""Files are written whole or not at all, with an error that names them; nothing is left beside them."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import steepest as st
from helpers import python, succeeds
from steepest import _safe_io, files

Save = Callable[[Any], None]


def saves() -> dict[str, Save]:
    """All that write a file where the caller says."""
    network = st.Network(2, [st.Dense(1)], seed=3)
    estimator = st.MLPRegressor(hidden_layer_sizes=(2,), max_iter=1).fit([[0, 1], [1, 0]] * 10, [0, 1] * 10)
    return {
        "network": network.save,
        "trainer": st.Trainer(network, "mse").save,
        "estimator": estimator.save,
        "write_model": lambda path: files.write_model(path, {}, {}),
        "write_atomically": lambda path: files.write_atomically(path, b"data"),
    }


@pytest.fixture(scope="module", params=["network", "trainer", "estimator", "write_model", "write_atomically"])
def save(request: pytest.FixtureRequest) -> Save:
    """Each of them in turn."""
    return saves()[request.param]


def save_network(path: Any) -> None:
    """Save a network of a few numbers."""
    st.Network(2, [st.Dense(1)], seed=3).save(path)


# --- Errors name the path that was given ---


def named(save: Save, path: Any, kind: type[OSError], reason: str) -> None:
    """Assert that a save is refused by this error, about this path."""
    with pytest.raises(kind, match=reason) as caught:
        save(path)
    assert type(caught.value) is kind and caught.value.filename == os.fspath(path)


def test_r20_what_is_no_file_is_named(save: Save, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("older")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    before = sorted(os.listdir(tmp_path))
    named(save, tmp_path, IsADirectoryError, "is a folder: expected a file")
    named(save, tmp_path / "link", IsADirectoryError, "is a folder: expected a file")
    named(save, f"{tmp_path}/new/", IsADirectoryError, "is a folder")
    named(save, tmp_path / "gone" / "model", FileNotFoundError, "there is no folder .*gone")
    named(save, tmp_path / "file" / "model", NotADirectoryError, "Not a directory")
    named(save, tmp_path / "pipe", OSError, "is a device or a pipe: expected a file")
    named(save, "/dev/null", OSError, "is a device or a pipe: expected a file")
    named(save, tmp_path / ("x" * 256), OSError, "File name too long")
    named(save, tmp_path / "circle", OSError, "symbolic links")
    assert sorted(os.listdir(tmp_path)) == before and (tmp_path / "file").read_text() == "older"
    for wrong in (3, b"model", None):
        with pytest.raises(TypeError, match="path is .*: expected a path"):
            save(wrong)


def test_r20_a_folder_is_refused_in_the_same_words_when_read(tmp_path: Path) -> None:
    for read in (st.load, st.Trainer.resume, files.read_model, files.read_table, files.read_csv, files.read_npz,
                 files.read_idx):  # fmt: skip
        with pytest.raises(IsADirectoryError, match="is a folder: expected a file") as caught:
            read(tmp_path)  # type: ignore[operator]
        assert caught.value.filename == str(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(OSError, match="is a device or a pipe"):
            st.load(path)


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_r20_a_full_disk_names_the_file(
    function: str, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    save(path)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, function, full)
    named(save, path, OSError, "No space left")
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model"]


def outgrows_a_limit(folder: str) -> None:
    """As on a full disk, a write ends in the middle."""
    os.chdir(folder)
    save_network("model")
    before = Path("model").read_bytes()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    named(st.Network(100, [st.Dense(100)]).save, "model", OSError, "File too large")
    assert Path("model").read_bytes() == before and os.listdir() == ["model"]


def test_r20_a_write_that_ends_in_the_middle_leaves_the_older_file(tmp_path: Path) -> None:
    succeeds(outgrows_a_limit, str(tmp_path))


def may_not_write(folder: str) -> None:
    """By a user without rights, so that this holds for root too."""
    trainer = st.Trainer(st.Network(2, [st.Dense(1)]), "mse")
    # Modules are loaded late, and may lie where that user may not read: once with all rights.
    st.Trainer(trainer.network.copy(), "mse").fit([[0, 1]], [1], callbacks=[st.Checkpoint(f"{folder}/before")])
    os.chmod(folder, 0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        for save in (save_network, trainer.save, _safe_io.check_writable):
            named(save, f"{folder}/model", PermissionError, "Permission denied")
        for callback in (st.Checkpoint(f"{folder}/model"), st.CSVLogger(f"{folder}/model")):
            with pytest.raises(PermissionError) as caught:
                trainer.fit([[0, 1]], [1], callbacks=[callback])
            assert caught.value.filename == f"{folder}/model" and trainer.n_steps == 0
    finally:
        os.seteuid(os.getuid())


def test_r20_a_folder_without_permission_is_named_before_a_fit() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:  # which any user may enter
        os.chmod(parent, 0o755)
        os.mkdir(f"{parent}/folder")
        succeeds(may_not_write, f"{parent}/folder")


def test_r20_any_name_that_the_disk_allows_is_saved(save: Save, tmp_path: Path) -> None:
    for name in ("x" * 255, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 127, "a\nb", "[a]*", "model.tmp"):
        for _ in range(2):  # a new file, and an older one
            save(tmp_path / name)
        assert os.listdir(tmp_path) == [name]
        (tmp_path / name).unlink()


# --- What killed processes left ---

KILLED = """
import os, signal, sys
sys.path.append("tables")
from test_safe_io import save_network
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
save_network({path!r})
"""


def killed_while_it_saves(path: Path) -> Path:
    """Kill a process in the middle of a save; return the file that it left."""
    before = set(os.listdir(path.parent))
    assert python(KILLED.format(path=str(path))).returncode == -signal.SIGKILL
    (left,) = set(os.listdir(path.parent)) - before
    return path.parent / left


@pytest.mark.parametrize("name", ["model", "x" * 255])
def test_r19_the_next_save_removes_what_a_killed_process_left(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    left = killed_while_it_saves(path)
    assert name[:200] in left.name and not path.exists()
    others = ["other", ".model.tmp", f".model.{'g' * 16}.tmp", f".model.txt.{'0' * 16}.tmp", f".mode.{'0' * 16}.tmp"]
    for other in others:
        (tmp_path / other).touch()
    save_network(path)
    assert sorted(os.listdir(tmp_path)) == sorted([name, *others])
    assert isinstance(st.load(path), st.Network)


def test_r19_what_is_being_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with _safe_io._file_beside(str(path)) as file:  # as another thread or process holds it
        file.write(b"half")
        save_network(path)
        assert sorted(os.listdir(tmp_path)) == sorted([os.path.basename(file.name), "model"])
    assert os.listdir(tmp_path) == ["model"]


def test_r19_a_file_removed_before_it_was_locked_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, times = _safe_io.fcntl.flock, []

    def late(file: Any, how: int) -> None:
        if not times:
            os.unlink(file.name)  # as another process does, which finds it without a lock
        times.append(how)
        lock(file, how)

    monkeypatch.setattr(_safe_io.fcntl, "flock", late)
    save_network(tmp_path / "model")
    assert len(times) == 2 and os.listdir(tmp_path) == ["model"]


def saves_often(path: str) -> None:
    """Threads that save to one name."""
    threads = [threading.Thread(target=lambda: [save_network(path) for _ in range(30)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_r19_processes_and_threads_may_save_to_one_name_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "model")
    code = f"import sys; sys.path.append('tables'); import test_safe_io; test_safe_io.saves_often({path!r})"
    folder = Path(__file__).parents[1]
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=folder, stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[1] for process in running] == [b""] * 3
    assert [process.returncode for process in running] == [0] * 3
    assert os.listdir(tmp_path) == ["model"]
    assert isinstance(st.load(path), st.Network)


def test_a_file_system_without_locks_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    left = tmp_path / f".model.{'0' * 16}.tmp"
    left.touch()
    monkeypatch.setattr(_safe_io.fcntl, "flock", unknown)
    save_network(tmp_path / "model")
    assert sorted(os.listdir(tmp_path)) == sorted([left.name, "model"])  # who knows whether it is being written


def test_check_writable_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model"
    _safe_io.check_writable(path)
    assert os.listdir(tmp_path) == []
    path.write_text("older")
    path.chmod(0o600)
    _safe_io.check_writable(path)
    assert path.read_text() == "older" and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["model"]
