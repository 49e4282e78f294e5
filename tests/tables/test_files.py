"""Files that are right are read as they are; files that are not are refused by name, in no time and no memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import are_refused_in_little_memory
from steepest import files


def idx_bytes(code: int, sizes: tuple[int, ...], data: bytes) -> bytes:
    """An IDX file of these parts, whether or not they fit."""
    return bytes([0, 0, code, len(sizes)]) + b"".join(struct.pack(">I", size) for size in sizes) + data


def written(folder: Path, data: bytes, name: str = "file") -> Path:
    """A file with these bytes."""
    path = folder / name
    path.write_bytes(data)
    return path


# --- IDX ---

GOOD = idx_bytes(0x08, (2, 3), bytes(range(6)))


@pytest.mark.parametrize(
    ("code", "dtype"), [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")]
)
@pytest.mark.parametrize("compressed", [False, True])
def test_idx_of_every_type(code: int, dtype: str, compressed: bool, tmp_path: Path) -> None:
    values = np.array([[-100, 0, 1], [2, 3, 100]]).astype(dtype)
    data = idx_bytes(code, (2, 3), values.astype(values.dtype.newbyteorder(">")).tobytes())
    array = files.read_idx(written(tmp_path, gzip.compress(data, mtime=0) if compressed else data, "train-images"))
    assert array.dtype == np.dtype(dtype) and array.dtype.isnative
    assert array.tolist() == values.tolist()


@pytest.mark.parametrize(("sizes", "shape"), [((), ()), ((0,), (0,)), ((0, 28, 28), (0, 28, 28)), ((3, 0), (3, 0))])
def test_idx_without_rows(sizes: tuple[int, ...], shape: tuple[int, ...], tmp_path: Path) -> None:
    array = files.read_idx(written(tmp_path, idx_bytes(0x08, sizes, b"" if sizes else b"\7")))
    assert array.shape == shape


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (GOOD[:-1], "expected 6 bytes of data, found 5"),
        (GOOD + b"x", "expected 6 bytes of data, found 7"),
        (GOOD + bytes(2 << 20), "expected 6 bytes of data, found 1048582 or more"),
        (gzip.compress(GOOD, mtime=0)[:-8], "cut short: expected 6 bytes of data, found 6 and no end mark"),
        (gzip.compress(GOOD, mtime=0)[:-1], "cut short"),
        (gzip.compress(GOOD, mtime=0)[:14], "not a readable IDX file"),
        (gzip.compress(GOOD, mtime=0)[:-8] + bytes(8), "CRC"),
        (gzip.compress(GOOD[:-1], mtime=0), "expected 6 bytes of data, found 5"),
        (idx_bytes(0x08, (60000, 28, 28), b""), "expected 47040000 bytes of data, found 0"),
        (idx_bytes(0x0E, (2**31, 2**31), b"1234"), f"expected {2**65} bytes of data, found 4"),
        (idx_bytes(0x08, (2**31,), b"1234"), f"expected {2**31} bytes of data, found 4"),
        (idx_bytes(0x0A, (2,), b"12"), "type code 0x0A: expected one of 0x08, 0x09"),
        (idx_bytes(0x08, (1,) * 33, b"1"), "33 dimensions: expected at most 32"),
        (GOOD[:9], "expected 8 bytes of sizes, found 5"),
        (GOOD[:3], "expected to start with two zero bytes"),
        (b"", "found an empty file"),
        (b"<!DOCTYPE html><title>404</title>", "found a web page"),
        (b"\n <html>", "found a web page"),
        (b"\x89PNG....", "found the bytes 89 50 4e 47"),
    ],
)
def test_idx_that_is_none(data: bytes, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, data, "train-images-idx3-ubyte.gz")
    with pytest.raises(ValueError, match=message) as caught:
        files.read_idx(path)
    assert str(path) in str(caught.value)


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    for read in (files.read_idx, files.read_npz, files.read_csv, files.read_table, files.read_model, st.load):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere: '.*model'"):
        st.Network(1, [st.Dense(1)]).save(tmp_path / "nowhere" / "model")
    with pytest.raises(TypeError, match="path is 3: expected a path"):
        st.load(3)  # type: ignore[arg-type]


def test_mnist_is_read(shared_data: Path) -> None:
    images = files.read_idx(shared_data / "t10k-images-idx3-ubyte.gz")
    labels = files.read_idx(shared_data / "t10k-labels-idx1-ubyte.gz")
    assert images.shape == (10000, 28, 28) and images.dtype == np.uint8
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


# --- NPZ ---


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_is_read(save: Any, tmp_path: Path) -> None:
    arrays = {
        "x": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "empty": np.zeros((0, 4), np.float32),
        "one": np.array(7),
    }
    save(tmp_path / "file.npz", **arrays)
    found = files.read_npz(tmp_path / "file.npz")
    assert list(found) == list(arrays)
    assert all(
        np.array_equal(found[name], array) and found[name].dtype == array.dtype for name, array in arrays.items()
    )


class Trap:
    """Makes a folder when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_npz_is_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "file.npz", x=np.array([Trap(tmp_path / "trap")], dtype=object))
    with pytest.raises(ValueError, match=r"x\.npy: holds Python objects"):
        files.read_npz(tmp_path / "file.npz")
    assert not (tmp_path / "trap").exists()


def test_npz_allocates_what_is_there_not_what_is_claimed(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (2**40,), "fortran_order": False, "descr": "<f8"})
    with zipfile.ZipFile(tmp_path / "file.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + b"12345678")
    with pytest.raises(ValueError, match=f"expected {2**43} bytes of data, found 8"):
        files.read_npz(tmp_path / "file.npz")


@pytest.mark.parametrize("data", [b"", b"\x80\x04N.", b"\x93NUMPY\1\0", b"<html>", b"PK\x03\x04" + bytes(30)])
def test_npz_that_is_none(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a readable NPZ file"):
        files.read_npz(written(tmp_path, data))


def test_npz_cut_short(tmp_path: Path) -> None:
    np.savez(tmp_path / "file.npz", x=np.arange(1000))
    data = (tmp_path / "file.npz").read_bytes()
    for length in (len(data) - 1, len(data) // 2, 40):
        with pytest.raises(ValueError, match="not a readable NPZ file"):
            files.read_npz(written(tmp_path, data[:length]))


# --- CSV ---


def csv_of(folder: Path, contents: str | bytes, **options: Any) -> dict[str, list[Any]]:
    """The columns of a CSV file."""
    data = contents if isinstance(contents, bytes) else contents.encode()
    columns: dict[str, list[Any]] = files.read_csv(written(folder, data), **options).to_pydict()
    return columns


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (b'\xef\xbb\xbf"id","v"\r\n1,2\r\n', {"id": [1], "v": [2]}),
        ("1,2\n3,4\n", {"f0": [1, 3], "f1": [2, 4]}),
        ("1,,x\n3,4,y\n", {"1": [3], "": [4], "x": ["y"]}),
        ("1,NA\n3,4\n", {"f0": [1, 3], "f1": [None, 4]}),
        ("a,b\n1,2", {"a": [1], "b": [2]}),
        ("\n\na,b\n\n1,2\n\n", {"a": [1], "b": [2]}),
        (" a , b\n1,2\n", {"a": [1], "b": [2]}),
        ("c,n\nNA,1\nUS,2\n", {"c": ["NA", "US"], "n": [1, 2]}),
        ("n\n1\n\n3\n", {"n": [1, 3]}),
        ("n,m\n1,\n,2\n3,3\n", {"n": [1, None, 3], "m": [None, 2, 3]}),
        ("n\n1\nNA\n3.5\n", {"n": [1.0, None, 3.5]}),
        ("n,m\n?,null\nN/A,nan\n1,2\n", {"n": [None, None, 1], "m": [None, None, 2]}),
        ("n,m\n-,1\n2,3\n", {"n": ["-", "2"], "m": [1, 3]}),
        ('t,n\n"a, b",1\n"c\nd",2\n"say ""so""",3\n', {"t": ["a, b", "c\nd", 'say "so"'], "n": [1, 2, 3]}),
        ("a,b\n,1\n,2\n", {"a": [None, None], "b": [1, 2]}),
        ("b\ntrue\nFalse\n\nNA\n", {"b": [True, False, None]}),
        ("a,b\n", {"a": [], "b": []}),
    ],
)
def test_csv_first_lines_and_missing_marks(text: str | bytes, columns: dict[str, list[Any]], tmp_path: Path) -> None:
    assert csv_of(tmp_path, text) == columns
    assert csv_of(tmp_path, gzip.compress(text if isinstance(text, bytes) else text.encode())) == columns


def test_csv_options(tmp_path: Path) -> None:
    assert csv_of(tmp_path, "1,2\n3,4\n", header=True) == {"1": [3], "2": [4]}
    assert csv_of(tmp_path, "a,b\n3,4\n", header=False) == {"f0": ["a", "3"], "f1": ["b", "4"]}
    assert csv_of(tmp_path, "a;b\n1,5;2\n", delimiter=";") == {"a": ["1,5"], "b": [2]}
    assert csv_of(tmp_path, "zip,n\n007,1\n", text=["zip", "absent"]) == {"zip": ["007"], "n": [1]}
    with pytest.raises(ValueError, match="header is 'yes'"):
        csv_of(tmp_path, "a\n1\n", header="yes")
    with pytest.raises(ValueError, match="delimiter is '::': expected one character"):
        csv_of(tmp_path, "a\n1\n", delimiter="::")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a,b\n1,2\n\n3\n", "line 4: found 1 fields, expected 2"),
        ('a,b\n"x\ny",2\n1,2,3\n', "line 4: found 3 fields, expected 2"),
        ("a,b,a\n1,2,3\n", r"\['a'\] more than once"),
        ("", "expected rows of text, found an empty file"),
        ("\n\r\n\n", "expected rows, found blank lines"),
        ("<!DOCTYPE html>", "found a web page"),
        (b"PAR1\x15\4..", "found Parquet"),
        (b"\xef\xbb\xbf\n <HTML lang=en>", "found a web page"),
        (b"a\n\xff\xfe\n", "UTF-8"),
        (b"caf\xe9,b\n1,2\n", "UTF-8"),
    ],
)
def test_csv_that_is_none(data: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        csv_of(tmp_path, data)
    assert str(tmp_path / "file") in str(caught.value)


def test_parquet_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    from pyarrow import parquet, table

    parquet.write_table(table({"a": [1, None], "t": ["x", "NA"]}), tmp_path / "rows.csv")
    assert files.read_table(tmp_path / "rows.csv").to_pydict() == {"a": [1, None], "t": ["x", "NA"]}
    assert files.read_table(written(tmp_path, b"a\n1\n")).to_pydict() == {"a": [1]}
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        files.read_table(written(tmp_path, (tmp_path / "rows.csv").read_bytes()[:-9]))


def test_real_tables_are_read(shared_data: Path) -> None:
    housing = files.read_table(shared_data / "california_housing.csv")
    assert housing.shape == (20640, 10) and housing["total_bedrooms"].null_count == 207
    assert files.read_table(shared_data / "diamonds.csv").shape == (53940, 10)


@pytest.mark.parametrize("text", ["<5,5-10,>10\n1,2,3\n", "<DATE>,<OPEN>\n1,2\n", "PAR1,PAR2\n1,2\n", "PAR1\n1\n"])
def test_r32_names_may_begin_as_other_files_do(text: str, tmp_path: Path) -> None:
    for name in text.splitlines()[0].split(","):
        assert name in files.read_table(written(tmp_path, text.encode())).column_names


# --- What unfolds ---


def bomb(kind: str, path: Path) -> Any:
    """The reader of a small file whose 4 MB all are alike."""
    from pyarrow import array, parquet, table

    if kind == "csv":
        path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * (1 << 20)))
        return files.read_csv
    if kind == "long line":
        path.write_bytes(gzip.compress(b"a" * (1 << 22)))
        return files.read_csv
    if kind == "idx":
        path.write_bytes(gzip.compress(idx_bytes(0x08, (1 << 22,), bytes(1 << 22))))
        return files.read_idx
    if kind == "npz":
        np.savez_compressed(path, a=np.zeros(1 << 18), b=np.zeros(1 << 18))
        path.with_name(f"{path.name}.npz").rename(path)
        return files.read_npz
    column = array(np.zeros(1 << 19)) if kind == "parquet" else array(["x" * 64] * (1 << 16))
    parquet.write_table(table({"a": column}), path)
    return files.read_table


@pytest.mark.parametrize("kind", ["csv", "long line", "idx", "npz", "parquet", "parquet of text"])
def test_r22_what_unfolds_a_thousandfold_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = bomb(kind, path := tmp_path / "file")
    size = path.stat().st_size
    monkeypatch.setattr(files, "_UNSUSPICIOUS", 1 << 20)
    with pytest.raises(ValueError, match=f"its {size:,} bytes unfold to more than (1,048,576|262,144)") as caught:
        read(path)
    assert str(path) in str(caught.value)
    monkeypatch.setattr(files, "_UNSUSPICIOUS", 1 << 30)
    monkeypatch.setattr(files, "total_memory", lambda: 1 << 21)
    with pytest.raises(ValueError, match="the limit against files that would fill the memory"):
        read(path)
    monkeypatch.undo()
    if kind != "long line":
        assert read(path) is not None


def test_r22_what_unfolds_as_tables_do_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import parquet, table

    monkeypatch.setattr(files, "_UNSUSPICIOUS", 0)
    values = np.random.default_rng(0).integers(0, 100, 100_000)
    text = ("a\n" + "\n".join(map(str, values))).encode()
    assert files.read_csv(written(tmp_path, gzip.compress(text)))["a"].to_pylist() == values.tolist()
    labels = table({"a": values, "t": [f"label {value}" for value in values]})
    for each in (labels, labels.slice(0, 0), labels.set_column(1, "t", labels["t"].dictionary_encode())):
        parquet.write_table(each, tmp_path / "rows")
        assert files.read_table(tmp_path / "rows").equals(parquet.read_table(tmp_path / "rows"))


# --- Model files ---


def model_bytes(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of these parts, whether or not they fit."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    """A tensor's entry in the header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


OWN = {"__metadata__": {"steepest": "{}"}}


def saved(folder: Path) -> Path:
    """A good model file."""
    st.Network(2, [st.Dense(3, "relu"), st.Dense(1)], seed=5).save(folder / "good.safetensors")
    return folder / "good.safetensors"


HOSTILE = {
    "empty": b"",
    "short": b"1234567",
    "header of 2**63 bytes": model_bytes(b"", length=2**63),
    "header longer than the file": model_bytes(OWN, length=1000),
    "not JSON": model_bytes(b"{nonsense"),
    "not UTF-8": model_bytes(b'{"\xff\xfe": 1}'),
    "a list": model_bytes([1, 2]),
    "deep": model_bytes(b"[" * 100_000),
    "metadata is no object": model_bytes({"__metadata__": 3}),
    "no model of ours": model_bytes({"a": tensor([1], 0, 4)}, bytes(4)),
    "our entry is no object": model_bytes({"__metadata__": {"steepest": "[]"}}),
    "our entry is no JSON": model_bytes({"__metadata__": {"steepest": "{"}}),
    "our entry has a number that is none": model_bytes({"__metadata__": {"steepest": '{"a": -Infinity}'}}),
    "our entry has a number beyond float64": model_bytes({"__metadata__": {"steepest": '{"a": 1e999}'}}),
    "large shape, few bytes": model_bytes(OWN | {"a": tensor([1000, 1000], 0, 4)}, bytes(4)),
    "overlap": model_bytes(OWN | {"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, bytes(12)),
    "gap": model_bytes(OWN | {"a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, bytes(12)),
    "one name twice": model_bytes(
        b'{"__metadata__":{"steepest":"{}"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        bytes(4),
    ),
    "negative size": model_bytes(OWN | {"a": tensor([-1], 0, 4)}, bytes(4)),
    "negative offset": model_bytes(OWN | {"a": tensor([1], -4, 0)}, bytes(4)),
    "size over 64 bits": model_bytes(OWN | {"a": tensor([2**33, 2**33], 0, 4)}, bytes(4)),
    "unknown type": model_bytes(OWN | {"a": tensor([1], 0, 4, "F99")}, bytes(4)),
    "a byte too many": model_bytes(OWN | {"a": tensor([1], 0, 4)}, bytes(5)),
    "a byte too few": model_bytes(OWN | {"a": tensor([1], 0, 4)}, bytes(3)),
    "pickle": b"\x80\x04N.",
    "gzip": gzip.compress(b"model", mtime=0),
    "web page": b"<html><title>404</title></html>",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_model_is_refused(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path, HOSTILE[kind])
    for read in (files.read_model, st.load, st.Trainer.resume):
        with pytest.raises(ValueError) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_every_cut_of_a_model_is_refused(tmp_path: Path) -> None:
    data = saved(tmp_path).read_bytes()
    for damaged in (*(data[:length] for length in range(0, len(data), 7)), data[:-1], data + b"\0"):
        with pytest.raises(ValueError):
            st.load(written(tmp_path, damaged))


def test_flipped_bytes_never_crash(tmp_path: Path) -> None:
    data = saved(tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            damaged[place] = rng.integers(0, 256)
        try:
            net = st.load(written(tmp_path, bytes(damaged)))
        except ValueError:
            continue
        assert np.isfinite(net.predict([[0.0, 0.0]])).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.update(n_in=2**62),
        lambda a: a["layers"][0].update(n_out=2**62),
        lambda a: a.update(n_in=-1),
        lambda a: a["layers"].append(a["layers"][1]),
        lambda a: a["layers"][0].update(activation="os.system"),
        lambda a: a["layers"][0].update(type="Network"),
        lambda a: a.update(dtype="object"),
        lambda a: a.pop("layers"),
    ],
)
def test_architecture_that_does_not_fit_is_refused(change: Any, tmp_path: Path) -> None:
    path = saved(tmp_path)
    tensors, metadata = files.read_model(path)
    change(metadata["architecture"])
    files.write_model(path, tensors, metadata)
    with pytest.raises(ValueError, match=r"good\.safetensors"):
        st.load(path)


@pytest.mark.skipif(sys.platform != "linux", reason="takes the peak of memory in Linux's unit")
def test_hostile_models_take_no_memory(tmp_path: Path) -> None:
    saved(tmp_path)
    paths = [str(written(tmp_path, data, kind.replace("*", ""))) for kind, data in HOSTILE.items()]
    are_refused_in_little_memory(paths)


def test_model_with_text_that_is_not_json_is_not_written(tmp_path: Path) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()
    net = st.load(path)
    for preprocessing in ({"x": float("nan")}, {"x": {1, 2}}, {"x": "y" * (1 << 25)}):
        net.preprocessing = preprocessing
        with pytest.raises((TypeError, ValueError)):
            net.save(path)
        assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
            patch.setattr(os, name, full)
            st.Network(1, [st.Dense(1)]).save(path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == [path.name]


def test_save_replaces_keeps_permissions_and_follows_links(tmp_path: Path) -> None:
    path, link = saved(tmp_path), tmp_path / "link"
    path.chmod(0o640)
    link.symlink_to(path)
    net = st.Network(1, [st.Dense(1)])
    net.save(link)
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    assert st.load(path).n_in == 1
    with pytest.raises(IsADirectoryError, match="is a folder: expected a file"):
        net.save(tmp_path)
    with pytest.raises(FileNotFoundError):
        net.save(tmp_path / "no folder" / "model")
