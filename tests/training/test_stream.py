"""Streams: the same steps as from arrays, in any blocks; read ahead by a thread that always ends."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from numpy.typing import NDArray

import steepest as st
from helpers import normal
from steepest._mapped import Mapped
from steepest._read_ahead import ReadAhead
from steepest.stream import Block

X = normal(0, (1003, 5)).astype(np.float32)
Y = (X @ normal(1, (5, 2))).astype(np.float32)
WEIGHTS = np.abs(normal(2, (1003,)))


def trainer(**options: Any) -> st.Trainer:
    network = st.Network(5, [st.Dense(8, "relu"), st.Dropout(0.1), st.Dense(2)], seed=0)
    return st.Trainer(network, "mse", st.Adam(0.01), **options)


def weights_of(found: st.Trainer) -> NDArray[Any]:
    return np.concatenate([array.ravel() for array in found.network.parameters.values()])


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "steepest-read-ahead"]


# --- The same bits as from arrays ---


@pytest.mark.parametrize("options", [{}, {"accumulate": 3}, {"mixup": 0.4}, {"ema": 0.9}])
@pytest.mark.parametrize("batch_rows", [7, 100, 1003, 70000])
def test_blocks_do_not_change_the_steps(options: dict[str, Any], batch_rows: int) -> None:
    usual, streamed = trainer(**options), trainer(**options)
    expected = usual.fit(X, Y, epochs=3, batch_size=32, shuffle=False, sample_weight=WEIGHTS)
    found = streamed.fit(st.Stream((X, Y, WEIGHTS), batch_rows, shuffle=False), epochs=3, batch_size=32)
    np.testing.assert_array_equal(weights_of(streamed), weights_of(usual))
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-8)  # the core adds up weights in float32
    assert streamed.n_steps == usual.n_steps and streamed._core.epoch == 3


def test_a_hook_of_each_batch_changes_nothing() -> None:
    seen: list[tuple[int, float]] = []
    usual, streamed = trainer(), trainer()
    hook = st.LambdaCallback(on_batch_end=lambda fit: seen.append((fit.rows_done, fit.batch_loss)))
    usual.fit(X, Y, epochs=1, batch_size=100, shuffle=False, callbacks=[hook])
    expected, seen = seen, []
    streamed.fit(
        st.Stream((X, Y), 37, shuffle=False),
        epochs=1,
        batch_size=100,
        callbacks=[st.LambdaCallback(on_batch_end=lambda fit: seen.append((fit.rows_done, fit.batch_loss)))],
    )
    assert seen == expected and seen[-1][0] == 1003
    np.testing.assert_array_equal(weights_of(streamed), weights_of(usual))


def sources(folder: Path) -> dict[str, Any]:
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", Y)
    mapped = np.memmap(folder / "raw", np.float32, "w+", shape=X.shape)
    mapped[:] = X
    mapped.flush()
    starts = range(0, 1003, 100)

    def batches() -> Iterator[Any]:
        return ((X[i : i + 100], Y[i : i + 100]) for i in starts)

    return {
        "paths": (folder / "x.npy", folder / "y.npy"),
        "memmap": (np.memmap(folder / "raw", np.float32, "r", shape=X.shape), Y),
        "function": batches,
        "list": list(batches()),
        "frames": [(pd.DataFrame(X[i : i + 100]), Y[i : i + 100]) for i in starts],
    }


@pytest.mark.parametrize("kind", ["paths", "memmap", "function", "list", "frames"])
def test_every_source_gives_the_same_rows(kind: str, tmp_path: Path) -> None:
    usual, streamed = trainer(), trainer()
    usual.fit(X, Y, epochs=2, batch_size=32, shuffle=False)
    streamed.fit(st.Stream(sources(tmp_path)[kind], 64, shuffle=False), epochs=2, batch_size=32)
    np.testing.assert_array_equal(weights_of(streamed), weights_of(usual))


def test_targets_beside_the_stream(tmp_path: Path) -> None:
    usual, streamed = trainer(), trainer()
    usual.fit(X, Y, epochs=1, shuffle=False, sample_weight=WEIGHTS)
    np.save(tmp_path / "x.npy", X)
    stream = st.Stream(tmp_path / "x.npy", 64, shuffle=False)
    streamed.fit(stream, Y, epochs=1, sample_weight=WEIGHTS)
    np.testing.assert_array_equal(weights_of(streamed), weights_of(usual))
    with pytest.raises(ValueError, match="y is not given with"):
        trainer().fit(stream)
    with pytest.raises(ValueError, match="which has them: expected it alone"):
        trainer().fit(st.Stream((X, Y)), Y)


def tables(folder: Path, kind: str) -> Any:
    """Files of a table, written in parts."""
    names = [f"x{i}" for i in range(5)]
    frame = pd.DataFrame(X, columns=names).astype("float64").assign(target=Y[:, 0].astype("float64"), w=WEIGHTS)
    for i in range(3):
        part = frame.iloc[i * 400 : (i + 1) * 400]
        if kind == "csv":
            part.to_csv(folder / f"part-{i}.csv", index=False)
        else:
            pyarrow.parquet.write_table(
                pyarrow.Table.from_pandas(part, preserve_index=False), folder / f"part-{i}.parquet"
            )
    return folder


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("how", ["folder", "pattern", "list"])
def test_files_of_tables(kind: str, how: str, tmp_path: Path) -> None:
    folder = tables(tmp_path, kind)
    files = [folder / f"part-{i}.{kind}" for i in range(3)]
    source = {"folder": folder, "pattern": str(folder / f"*.{kind}"), "list": files}[how]
    stream = st.Stream(source, 128, target="target", weight="w", shuffle=False)
    network = st.Network(5, [st.Dense(1)], seed=0)
    found = st.Trainer(network, "mse", st.SGD(0.01))
    found.fit(stream, epochs=2, batch_size=32)
    other = st.Trainer(st.Network(5, [st.Dense(1)], seed=0), "mse", st.SGD(0.01))
    other.fit(X.astype(np.float64), Y[:, 0].astype(np.float64), epochs=2, shuffle=False, sample_weight=WEIGHTS)
    np.testing.assert_array_equal(weights_of(found), weights_of(other))


def test_csv_is_read_by_the_rules_of_the_reader_and_its_options(tmp_path: Path) -> None:
    """The same table as CSV with marks of its own, and as Parquet, block by block."""
    rows = 3000
    code = np.array(["007", "042", "1"], dtype=object)[np.arange(rows) % 3]
    size = np.round(X[np.arange(rows) % len(X), 0].astype(np.float64), 3)
    day = pd.Timestamp("2020-12-31") + pd.to_timedelta(np.arange(rows) % 700, unit="D")
    frame = pd.DataFrame({"code": code, "size": size, "day": day, "target": size * 2})
    frame.to_parquet(tmp_path / "t.parquet")
    text = frame.assign(day=frame["day"].dt.strftime("%d.%m.%Y"))
    text.to_csv(tmp_path / "t.csv", sep=";", decimal=",", index=False)
    options: dict[str, Any] = {"random_state": 0, "max_iter": 2, "hidden_layer_sizes": (4,)}
    streams = (
        st.Stream(tmp_path / "t.parquet", 500, target="target"),
        st.Stream(tmp_path / "t.csv", 500, target="target", sep=";", decimal=",", dates="%d.%m.%Y"),
    )
    found = [st.MLPRegressor(**options).fit(stream) for stream in streams]
    np.testing.assert_array_equal(found[0].predict(frame), found[1].predict(frame))
    assert "code=007" in found[1]._model.preprocessor.encoder.feature_names
    with pytest.raises(TypeError, match="unknown option 'separator'"):
        st.Stream(tmp_path / "t.csv", target="target", separator=";")
    with pytest.raises(TypeError, match="sep is given with arrays of 1,003 rows"):
        st.Stream((X, Y), sep=";")


# --- Shuffled ---


def rows_of(stream: st.Stream, epoch: int) -> NDArray[Any]:
    return np.concatenate([block.y for block in stream.blocks(epoch, shuffle=True)])


@pytest.mark.parametrize("kind", ["arrays", "function"])
def test_shuffled_rows_are_all_there_in_an_order_of_seed_and_epoch(kind: str) -> None:
    numbers = np.arange(5000)
    parts = [(numbers[i : i + 300, None], numbers[i : i + 300]) for i in range(0, 5000, 300)]
    source: Any = (numbers[:, None], numbers) if kind == "arrays" else lambda: iter(parts)
    stream = st.Stream(source, 300, seed=1)
    first = rows_of(stream, 0)
    assert sorted(first.tolist()) == numbers.tolist() and (first != numbers).any()
    np.testing.assert_array_equal(rows_of(stream, 0), first)
    assert (rows_of(stream, 1) != first).any() and (rows_of(st.Stream(source, 300, seed=2), 0) != first).any()
    assert np.abs(first[:300] - first[:300].mean()).mean() > (500 if kind == "arrays" else 200)  # mixed, not in turn
    assert (rows_of(st.Stream(source, 300, shuffle=False), 0) == numbers).all()


def test_a_slow_reader_changes_nothing_and_a_checkpoint_goes_on(tmp_path: Path) -> None:
    def slow() -> Iterator[Any]:
        for i in range(0, 1003, 200):
            time.sleep(0.002)
            yield X[i : i + 200], Y[i : i + 200]

    quick, late = trainer(), trainer()
    quick.fit(st.Stream([(X[i : i + 200], Y[i : i + 200]) for i in range(0, 1003, 200)], 128), epochs=4)
    late.fit(st.Stream(slow, 128), epochs=2)
    late.save(tmp_path / "t.ckpt")
    resumed = st.Trainer.resume(tmp_path / "t.ckpt")
    resumed.fit(st.Stream(slow, 128), epochs=2)
    np.testing.assert_array_equal(weights_of(resumed), weights_of(quick))


def test_threads_of_the_core_change_nothing() -> None:
    before = st.get_num_threads()
    found = []
    try:
        for n in (1, 2):
            st.set_num_threads(n)
            found.append(trainer())
            found[-1].fit(st.Stream((X, Y), 100), epochs=2)
    finally:
        st.set_num_threads(before)
    np.testing.assert_array_equal(weights_of(found[0]), weights_of(found[1]))


# --- What goes with arrays goes with streams ---


def test_validation_early_stopping_and_metrics() -> None:
    usual, streamed = trainer(), trainer()

    def worst(targets: Any, outputs: Any) -> float:
        return float(np.abs(targets - outputs).max())

    options: dict[str, Any] = {"epochs": 30, "metrics": ["r2", worst], "callbacks": [st.EarlyStopping(patience=2)]}
    expected = usual.fit(X, Y, validation=(X[:100], Y[:100]), shuffle=False, **options)
    held = st.Stream((X[:100], Y[:100]), 30, shuffle=False)
    found = streamed.fit(st.Stream((X, Y), 50, shuffle=False), validation=held, **options)
    for name in ("val_loss", "val_r2", "val_worst"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)
    np.testing.assert_array_equal(weights_of(streamed), weights_of(usual))
    assert streamed.evaluate(st.Stream((X, Y), 100)) == pytest.approx(usual.evaluate(X, Y))


def test_a_schedule_knows_the_steps_of_an_epoch() -> None:
    found = []
    for source in ((X, Y), (st.Stream((X, Y), 90, shuffle=False),)):
        network = st.Network(5, [st.Dense(2)], seed=0)
        found.append(st.Trainer(network, "mse", st.SGD(st.schedules.cosine(0.1, warmup=5))))
        found[-1].fit(*source, epochs=3, shuffle=False)
    np.testing.assert_array_equal(weights_of(found[0]), weights_of(found[1]))


def test_layers_one_after_the_other_are_refused() -> None:
    with pytest.raises(ValueError, match="update_order is 'output_to_input': a stream expects 'together'"):
        trainer(update_order="output_to_input").fit(st.Stream((X, Y)))


# --- Bad input: named, before anything changes ---


def broken() -> Iterator[Any]:
    yield X[:500], Y[:500]
    raise OSError("the tape is torn")


def ragged() -> Iterator[Any]:
    yield X[:500], Y[:400]


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        (iter([]), TypeError, "an iterator can be read once only"),
        (3, TypeError, "source is a int: expected files"),
        ((X,), TypeError, "source is a tuple of 1"),
        ((X, Y[:5]), ValueError, "source has arrays of 1003, 5 rows"),
        ("no-such-*.parquet", ValueError, "no-such-\\*.parquet: no file has such a name"),
        ("no-such.parquet", ValueError, "source has 'no-such.parquet': there is no such file"),
        (broken, OSError, "the tape is torn"),
        (ragged, ValueError, "ragged: a batch has 500 rows and 400 targets"),
        (lambda: iter([3]), TypeError, "a batch is a int"),
        (lambda: iter([]), ValueError, "there are no rows"),
        (lambda: iter([(X, Y), (np.full((4, 5), np.nan), Y[:4])]), ValueError, "counted from row 1003"),
        (lambda: iter([(X[:, :3], Y)]), ValueError, "3"),
        (lambda: iter([(X, Y, np.zeros(1003))]), ValueError, "only zeros"),
        (lambda: iter([(X, Y, -WEIGHTS)]), ValueError, "sample_weight"),
    ],
)
def test_bad_streams_are_refused(source: Any, kind: type[Exception], message: str) -> None:
    found = trainer()
    before = weights_of(found)
    with pytest.raises(kind, match=message):
        found.fit(st.Stream(source, 128), epochs=1)
    np.testing.assert_array_equal(weights_of(found), before)
    assert found._core.epoch == 0


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    folder = tables(tmp_path, "parquet")
    whole = (folder / "part-1.parquet").read_bytes()
    (folder / "part-1.parquet").write_bytes(whole[: len(whole) // 2])
    stream = st.Stream(folder, target="target")
    with pytest.raises(ValueError, match=r"part-1\.parquet"):
        st.Trainer(st.Network(6, [st.Dense(1)]), "mse").fit(stream)
    with pytest.raises(ValueError, match="target is not given"):
        st.Stream(folder)
    with pytest.raises(ValueError, match="there is no column 'price': found x0"):
        list(st.Stream(folder / "part-0.parquet", target="price").blocks())


# --- The thread ---


def test_a_fit_that_is_interrupted_ends_the_thread() -> None:
    def stop(fit: Any) -> None:
        raise KeyboardInterrupt

    found = trainer()
    with pytest.raises(KeyboardInterrupt):
        found.fit(st.Stream((X, Y), 16), epochs=3, callbacks=[st.LambdaCallback(on_batch_end=stop)])
    assert found._core.epoch == 0 and found.n_steps == 1
    found.fit(st.Stream((X, Y), 16), epochs=1)


def test_what_was_read_ahead_is_closed() -> None:
    closed = []

    def numbers() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(threading.current_thread().name)

    with ReadAhead(numbers()) as items:
        assert [next(items) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert closed == ["steepest-read-ahead"]


_FITS = """
import os, signal, sys, threading, time
import numpy as np
import steepest as st

def batches():
    for i in range(1000):
        time.sleep(0.001)
        yield np.ones((64, 3)), np.ones((64, 1))

def fit():
    st.Trainer(st.Network(3, [st.Dense(1)]), "mse").fit(st.Stream(batches, 64), epochs=1000)

"""


def test_ctrl_c_ends_a_fit_on_a_stream() -> None:
    code = (
        _FITS
        + """
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    fit()
except KeyboardInterrupt:
    print([thread.name for thread in threading.enumerate()])
"""
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (0, "['MainThread']\n"), run.stderr


def test_the_interpreter_ends_beside_a_daemon_that_fits() -> None:
    code = _FITS + "threading.Thread(target=fit, daemon=True).start()\ntime.sleep(0.2)\nprint('end')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "end\n", "")


@pytest.mark.parametrize("end", ["sys.exit(3)", "raise KeyboardInterrupt", "held.append(next(items))"])
def test_the_interpreter_ends_beside_a_thread_that_reads(end: str) -> None:
    code = f"""
    import itertools, sys
    from steepest._read_ahead import ReadAhead
    held = []
    ahead = ReadAhead(iter(itertools.count()))
    items = ahead.__enter__()
    held.append(next(items))
    {end}
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert run.returncode == {"sys.exit(3)": 3, "raise KeyboardInterrupt": -2}.get(end, 0), run.stderr
    assert "Fatal" not in run.stderr


# --- Memory ---


def resident_peak(code: str, *arguments: object) -> int:
    """Run a program that prints how much its resident memory has grown at most, in MB."""
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


_MEASURED = """
import resource, sys, threading, time
import numpy as np
import steepest as st
from steepest import _mapped
_mapped.STAYS, _mapped.MOST = 1 << 22, 1 << 25
import steepest.training._rows as rows
rows.MOST = 1 << 25
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssFile"))
peak = 0
def watch():
    global peak
    while not done:
        peak = max(peak, resident())
        time.sleep(0.001)
done = False
x = np.load(sys.argv[1], mmap_mode="r")
y = np.zeros((len(x), 1), np.float32)
before = resident()
thread = threading.Thread(target=watch)
thread.start()
# Large enough to take a second: the core lets the file go every 50 ms.
trainer = st.Trainer(st.Network(x.shape[1], [st.Dense(1024, "relu"), st.Dense(1)]), "mse", st.SGD(1e-3))
stream = sys.argv[2] == "stream"
trainer.fit(*([st.Stream((x, y))] if stream else [x, y]), epochs=1, batch_size=256, shuffle=sys.argv[3] == "shuffled")
done = True
thread.join()
print((peak - before) >> 10)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize("order", ["shuffled", "in order"])
@pytest.mark.parametrize("how", ["stream", "array"])
def test_a_mapped_file_does_not_stay_in_memory(how: str, order: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((100_000, 256), np.float32))  # 98 MB
    assert resident_peak(_MEASURED, tmp_path / "x.npy", how, order) < 70


def test_only_maps_that_are_shared_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steepest._mapped.STAYS", 0)
    np.save(tmp_path / "x.npy", X)
    private = np.load(tmp_path / "x.npy", mmap_mode="c")
    private[0, 0] = 7
    for view in (private, np.asarray(private), private[:10], np.asarray(private)[5:], X):
        assert not Mapped(view)
    shared = np.load(tmp_path / "x.npy", mmap_mode="r+")
    shared[0, 0] = 8
    dropped = Mapped(shared[1:], None, Y)
    assert dropped
    dropped.drop()
    assert shared[0, 0] == 8 and private[0, 0] == 7
    gc.collect()


def test_blocks_join_and_part() -> None:
    table = pyarrow.table({"a": [1, 2, 3]})
    block = Block(table, table.column("a"), None)
    joined = Block.joined([block, block.at(np.array([2, 0]))])
    assert joined.n == 5 and joined.x.column("a").to_pylist() == [1, 2, 3, 3, 1] == joined.y.to_pylist()
