"""The reader of tables: files of every kind, found out and read, or refused in one line."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, ipc, parquet

import steepest as st
from steepest.tables import DataWarning, read, read_batches

ROWS = {"a": [1.5, 2.5, None], "t": ["x", None, "y"]}
CSV = "a,t\n1.5,x\n2.5,\n,y\n"


def written(folder: Path, data: str | bytes, name: str = "table.csv") -> Path:
    """A file with this content."""
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def columns(folder: Path, data: str | bytes, **options: Any) -> dict[str, list[Any]]:
    """The columns of a CSV file."""
    found: dict[str, list[Any]] = read(written(folder, data), **options).to_pydict()
    return found


# --- CSV ---


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_the_separator_is_found(sep: str, tmp_path: Path) -> None:
    text = 'a,b,c\n1,x y,2020-01-02\n2,"p,q",2020-01-03\n'.replace(",", sep).replace(f"p{sep}q", f"p{sep}q")
    assert columns(tmp_path, text)["b"] == ["x y", f"p{sep}q"]


@pytest.mark.parametrize("mark", ["-", "12%", "<0.5", ".", "#DIV/0!", "n", "$5"])
def test_t03_one_warning_with_line_and_text(mark: str, tmp_path: Path) -> None:
    lines = [f"{i / 7:.3f},{i % 3}" for i in range(600)]
    lines[17] = f"{mark},1"
    said = re.escape(
        f"column 'n': 1 of 600 cells are no numbers and count as missing, the first is {mark!r} in line 19"
    )
    with pytest.warns(DataWarning, match=said) as caught:
        table = read(written(tmp_path, "\n".join(["n,k", *lines])))
    assert len(caught) == 1 and table.schema.field("n").type == pa.float64() and table["n"].null_count == 1


def test_t03_the_line_is_that_of_the_file(tmp_path: Path) -> None:
    text = 't,n\n\n"a\nb",1\n\nc,2\nd,-\ne,4\n'
    with pytest.warns(DataWarning, match="'-' in line 7"):
        assert columns(tmp_path, text)["n"] == [1, 2, None, 4]
    with pytest.warns(DataWarning, match="'-' in line 2"):
        assert columns(tmp_path, "1,2\n-,3\n4,5\n")["f0"] == [1, None, 4]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("a;b\n1,5;x\n1.234,5;y\n", {}, {"a": [1.5, 1234.5], "b": ["x", "y"]}),
        ("a;b\n1.234;x\n2;y\n", {"decimal": ",", "thousands": "."}, {"a": [1234, 2], "b": ["x", "y"]}),
        ("a;b\n1 234,5;x\n2;y\n", {"decimal": ",", "thousands": " "}, {"a": [1234.5, 2], "b": ["x", "y"]}),
        ("1,5;2,5\n3,5;4\n", {}, {"f0": [1.5, 3.5], "f1": [2.5, 4]}),
        ('a,b\n"1,234.5",1\n"2",2\n', {}, {"a": [1234.5, 2], "b": [1, 2]}),
        ("a;b\n1,234;1,5\n2,345;2,5\n", {}, {"a": [1.234, 2.345], "b": [1.5, 2.5]}),
        ("a;b\n0x10;1_0\n0x11;2_0\n", {}, {"a": ["0x10", "0x11"], "b": ["1_0", "2_0"]}),
    ],
)
def test_t14_european_numbers(text: str, options: Any, expected: Any, tmp_path: Path) -> None:
    assert columns(tmp_path, text, **options) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;b\n1;x\n1,234;y\n", "line 3: column 'a' has '1,234': .*declare decimal=',' or decimal='.'"),
        ("a;b\n1,5;0.5\n2,5;1.5\n", "line 2: column 'a' has '1,5': .*column 'b' has '0.5': declare"),
        ("a;b\n1;x\n1 234;y\n", "line 3: column 'a' has '1 234': .*thousands=' '"),
        ("a;b\n1;01.02.2020\n2;03.04.2020\n", "line 2: column 'b' has '01.02.2020': .*dates='%d.%m.%Y'"),
    ],
)
def test_t14_what_cannot_be_decided_names_line_column_and_text(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"table.csv: {message}"):
        columns(tmp_path, text)


def test_t25_dates_in_a_csv(tmp_path: Path) -> None:
    text = "a,b,c\n31.12.2020,12/31/2020,01.02.2020\n01.02.2020,1/2/2020,01.03.2020\n"
    with pytest.raises(ValueError, match="column 'c'"):
        columns(tmp_path, text)
    found = read(written(tmp_path, text), dates={"c": "%d.%m.%Y"})
    assert [str(kind) for kind in found.schema.types] == ["timestamp[us]"] * 3
    assert [value.as_py().month for value in found.slice(1).to_batches()[0].columns[2]] == [3]
    assert read(written(tmp_path, text), dates="%d.%m.%Y")["b"][0].as_py().day == 31


def test_t07_names_that_are_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, "400,410,680\n1,2,3\n")
    assert read(path).num_rows == 2 and read(path, header=True).num_rows == 1
    assert read(path, names=["400", "410", "680", "protein"]).to_pydict() == {"400": [1], "410": [2], "680": [3]}
    assert read(path, names=["2022"]).num_rows == 2
    assert read(written(tmp_path, "0\n5\n"), names=["0"]).to_pydict() == {"0": [5]}
    assert read(written(tmp_path, "2021,2022\n5,6\n"), names=["2022"]).column_names == ["2021", "2022"]
    assert read(written(tmp_path, "a,b\n5,6\n"), header=False).num_rows == 2


def test_t11_codes_and_times(tmp_path: Path) -> None:
    table = read(written(tmp_path, "a,b,c\n001,12345678901234567890,08:00\n010,12345678901234567891,23:30\n"))
    assert [str(kind) for kind in table.schema.types] == ["string", "string", "time64[us]"]
    assert table["a"].to_pylist() == ["001", "010"]


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        (b'\xef\xbb\xbf"id","v"\r\n1,2\r\n', {}, {"id": [1], "v": [2]}),
        ("a,b\u00e9\n1,\u00fc\n".encode("utf-16"), {}, {"a": [1], "b\u00e9": ["\u00fc"]}),
        ("a,b\u00e9\n1,\u00fc\n".encode("utf-16-le"), {"encoding": "utf-16-le"}, {"a": [1], "b\u00e9": ["\u00fc"]}),
        ("a,b\u00e9\n1,\u00fc\n".encode("latin-1"), {"encoding": "latin-1"}, {"a": [1], "b\u00e9": ["\u00fc"]}),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), {}, {"a": [1], "b": [2]}),
        ("\n\na,b\n\n1,2\n\n", {}, {"a": [1], "b": [2]}),
        ("a,b\n", {}, {"a": [], "b": []}),
        ('t,n\n"a, b",1\n"c\nd",2\n"say ""so""",3\n', {}, {"t": ["a, b", "c\nd", 'say "so"'], "n": [1, 2, 3]}),
        ("a,b\n-9,x\n3,-9\n", {"missing": ["-9"]}, {"a": [None, 3], "b": ["x", None]}),
        ("a,b\n7,1\n8,2\n", {"text": ["a", "none"]}, {"a": ["7", "8"], "b": [1, 2]}),
        ("a,b\n7,yes\n-,no\n", {"kinds": {"a": "text", "b": "boolean"}}, {"a": ["7", "-"], "b": [True, False]}),
        ("c,n\nNA,1\nUS,NA\n", {}, {"c": ["NA", "US"], "n": [1, None]}),
    ],
)
def test_csv_of_every_kind(data: str | bytes, options: Any, expected: Any, tmp_path: Path) -> None:
    assert columns(tmp_path, data, **options) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a,b\n1,2\n\n3\n", "line 4: found 1 fields, expected 2"),
        ('a,b\n"x\ny",2\n1,2,3\n', "line 4: found 3 fields, expected 2"),
        ("a,b,a\n1,2,3\n", r"\['a'\] more than once"),
        ("", "found an empty file"),
        ("\n\r\n\n", "expected rows, found blank lines"),
        ("<!DOCTYPE html>", "found a web page"),
        (b"a,b\n1,\xff\n", "line 2 is not UTF-8 text: .*encoding='latin-1'"),
        (b"a,b\n" + b"1,2\n" * 300 + b"1,\xfc\n", "line 302 is not UTF-8 text"),
        (b"\x80\x04N.", "found a pickle"),
        (gzip.compress(os.urandom(9000).hex().encode())[:-4000], "not a readable gzip file"),
        (b"BZh91AY", "found bzip2"),
    ],
)
def test_csv_that_is_none(data: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        columns(tmp_path, data)
    assert str(tmp_path / "table.csv") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sep": "::"}, ValueError, "sep is '::': expected one character"),
        ({"header": "yes"}, ValueError, "header is 'yes'"),
        ({"encoding": "klingon"}, ValueError, "encoding is 'klingon'"),
        ({"decimal": ",", "thousands": ","}, ValueError, "decimal and thousands are both ','"),
        ({"decimal": ",", "sep": ","}, ValueError, "decimal and sep are both ','"),
        ({"text": "a"}, TypeError, "expected a list"),
        ({"kinds": {"a": "color"}}, ValueError, "kinds has 'color'"),
    ],
)
def test_options_are_checked(options: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        columns(tmp_path, "a\n1\n", **options)


# --- Other formats ---

TABLE = pa.table({"a": ["1.5", "2.5", ""], "t": ["x", None, "y"]})


def stream(path: Path) -> None:
    with ipc.new_stream(path, TABLE.schema) as file:
        file.write_table(TABLE)


WRITERS: dict[str, Callable[[Path], Any]] = {
    "csv": lambda path: path.write_text(CSV),
    "gzip": lambda path: path.write_bytes(gzip.compress(CSV.encode())),
    "parquet": lambda path: parquet.write_table(TABLE, path),
    "feather": lambda path: feather.write_feather(TABLE, path),
    "arrow": lambda path: feather.write_feather(TABLE, path, compression="uncompressed"),
    "stream": stream,
    "json": lambda path: path.write_text('{"a":"1.5","t":"x"}\n{"a":2.5}\n{"t":"y"}\n'.replace("2.5", '"2.5"')),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_formats_are_told_by_their_first_bytes(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](path := tmp_path / "file")
    assert read(path).to_pydict() == ROWS
    assert pa.Table.from_batches(read_batches(path, batch_rows=2)).to_pydict() == ROWS


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrow", "stream", "gzip"])
def test_files_cut_short_are_refused(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](path := tmp_path / "file")
    data = path.read_bytes()
    for end in (len(data) // 2, len(data) - 9):
        path.write_bytes(data[:end])
        for call in (read, lambda path: list(read_batches(path))):
            with pytest.raises(ValueError, match="file: not a readable") as caught:
                call(path)
            assert "\n" not in str(caught.value)


def test_arrays_become_columns(tmp_path: Path) -> None:
    x = np.arange(6.0).reshape(3, 2)
    np.savez(tmp_path / "a", x=x, y=np.array([1, 2, 3]))
    np.save(tmp_path / "a.npy", x)
    (tmp_path / "a.svm").write_text("1 1:0.5 3:2\n-1 2:1\n")
    assert read(tmp_path / "a.npz").to_pydict() == {"f0": [0, 2, 4], "f1": [1, 3, 5], "y": [1, 2, 3]}
    assert read(tmp_path / "a.npy").to_pydict() == {"f0": [0, 2, 4], "f1": [1, 3, 5]}
    assert read(tmp_path / "a.svm").to_pydict() == {"target": [1, -1], "f0": [0.5, 0], "f1": [0, 1], "f2": [2, 0]}
    np.savez(tmp_path / "b", x=x, y=np.array([1, 2]))
    with pytest.raises(ValueError, match="b.npz: .*expected arrays of the same number of rows"):
        read(tmp_path / "b.npz")


def test_idx_becomes_columns(shared_data: Path) -> None:
    assert read(shared_data / "t10k-images-idx3-ubyte.gz").shape == (10_000, 784)


def test_a_model_is_no_table(tmp_path: Path) -> None:
    st.Network(1, [st.Dense(1)]).save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"a model file \(safetensors\): expected a table"):
        read(tmp_path / "model")
    parquet.write_table(TABLE, tmp_path / "table")
    for path in (tmp_path / "table", written(tmp_path, CSV)):
        with pytest.raises(ValueError, match="not a readable model file"):
            st.load(path)


# --- Several files, and pipes ---


def test_several_files(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,x\n")
    (tmp_path / "2.csv").write_text("b,a\ny,-\nz,3\n")
    (tmp_path / ".hidden").write_text("nonsense")
    expected = {"a": [1, None, 3], "b": ["x", "y", "z"]}
    for source in (tmp_path, str(tmp_path / "*.csv"), [tmp_path / "1.csv", tmp_path / "2.csv"]):
        with pytest.warns(DataWarning, match=r"'-' in line 2 of .*2\.csv"):
            assert read(source).to_pydict() == expected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        assert pa.Table.from_batches(read_batches(tmp_path)).to_pydict() == expected
    (tmp_path / "3.csv").write_text("a,c\n1,2\n")
    for call in (read, lambda source: list(read_batches(source))):
        with pytest.raises(ValueError, match=r"3\.csv: the columns a, c: expected a, b, as in .*1\.csv"):
            call(tmp_path)
    with pytest.raises(ValueError, match="no file has such a name"):
        read(tmp_path / "*.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="a folder without files"):
        read(tmp_path / "empty")
    with pytest.raises(ValueError, match="expected files"):
        read([])


@pytest.mark.parametrize("rows", [10, 20_000])
def test_t10_pipes(rows: int, tmp_path: Path) -> None:
    text = "a,b\n" + "1,x\n" * rows
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=(tmp_path / "pipe").write_text, args=(text,)).start()
    assert read(tmp_path / "pipe").num_rows == rows
    code = "import steepest as st, sys; print(sum(st.tables.read(path).num_rows for path in sys.argv[1:]))"
    for source in ("-", "/dev/stdin"):
        run = subprocess.run([sys.executable, "-c", code, source], input=text, capture_output=True, text=True)
        assert run.stdout == f"{rows}\n", run.stderr


# --- Batches ---


def test_batches_have_one_type(tmp_path: Path) -> None:
    lines = [f"{i},x{i % 5},{'' if i < 3000 else i / 2}" for i in range(5000)]
    path = written(tmp_path, "\n".join(["a,b,c", *lines]))
    batches = list(read_batches(path, batch_rows=2000))
    assert [batch.num_rows for batch in batches] == [2000, 2000, 1000]
    assert {str(batch.schema) for batch in batches} == {"a: double\nb: string\nc: double"}
    assert batches[2].column(0)[999].as_py() == 4999
    path.write_text("\n".join(["a,b,c", *lines, "-,x,1", "-,x,1"]))
    with pytest.warns(DataWarning, match="column 'a': 2 of 5,002 cells .* in line 5002"):
        list(read_batches(path, batch_rows=2000))


def test_a_column_that_changes_half_way_is_refused(tmp_path: Path) -> None:
    lines = [f"{i},x" for i in range(3000)] + ["abc,x"] * 3000
    path = written(tmp_path, "\n".join(["a,b", *lines]))
    with pytest.raises(ValueError, match="column 'a' is number in its first rows, and text such as 'abc' around line"):
        list(read_batches(path, batch_rows=1000))
    assert len(list(read_batches(path, batch_rows=1000, text=["a"]))) == 6
    with pytest.raises(TypeError, match="unknown option 'color'"):
        list(read_batches(path, color=1))


@pytest.mark.parametrize("numbers_first", [True, False])
def test_a_whole_column_that_changes_half_way_is_refused(tmp_path: Path, *, numbers_first: bool) -> None:
    cells = [f"{i}.5" for i in range(30)] + [""] + [f"w{i}" for i in range(30)]
    cells = cells if numbers_first else cells[::-1]
    path = written(tmp_path, "\n".join(["a,b", *(f"{cell},x" for cell in cells)]))
    first = "'w0': numbers before it, and none" if numbers_first else "'29.5': no numbers before it, and numbers"
    with pytest.raises(ValueError, match=f"line 33: column 'a' has {first} from there on: .* as text=\\['a'\\]"):
        read(path)
    assert read(path, text=["a"]).column("a").to_pylist()[:30] == cells[:30]
    assert read(path, kinds={"b": "text"}).num_rows == 61  # what a model does not use may be anything
    for odd in (3, 40):  # it does not change once
        mixed = [*cells]
        mixed[odd], mixed[60 - odd] = mixed[60 - odd], mixed[odd]
        found = read(written(tmp_path, "\n".join(["a,b", *(f"{cell},x" for cell in mixed)])))
        assert str(found.schema.field("a").type) == "string"
    few = [f"{i % 5}" for i in range(40)] + ["K"] * 40
    assert read(written(tmp_path, "\n".join(["a", *few]))).column("a").to_pylist() == few


def test_a_long_line_and_a_long_cell_are_read(tmp_path: Path) -> None:
    names = [f"col{i}" for i in range(20_000)]
    wide = read(written(tmp_path, "\n".join([",".join(names), *[",".join(["1"] * 20_000)] * 3])))
    assert wide.column_names == names and wide.num_rows == 3
    text = "x" * 140_000
    assert read(written(tmp_path, f'a,b\n"{text}",1\n')).column("a").to_pylist() == [text]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v;w\n519;1\n1.717;2\n1.491;3\n", "line 3: column 'v' has '1.717': this may be read in two ways, declare dec"),
        ('[{"a": 1}, {"a": 2}]', "a JSON array: expected one object in each line"),
        ("sep=;\nv;w\n1;2\n", "begins with 'sep=', a line for Excel: expected it to be removed"),
    ],
)
def test_what_would_be_read_wrongly_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("v;w\n0.519;1\n1.717;2\n", [0.519, 1.717]),
        ("v;w\n1.717;1.5\n2.717;2\n", [1.717, 2.717]),
        ("v;w\n1.717;1,5\n2.717;2\n", [1717, 2717]),
        ("v,w\n1.717,1\n2.717,2\n", [1.717, 2.717]),
    ],
)
def test_points_between_semicolons(tmp_path: Path, text: str, values: list[float]) -> None:
    assert read(written(tmp_path, text)).column("v").to_pylist() == values


def test_real_tables_are_read(shared_data: Path, tmp_path: Path) -> None:
    for path in sorted([*shared_data.glob("*.csv"), *shared_data.glob("tables/*.csv")]):
        table = read(path)
        parquet.write_table(table, tmp_path / "copy")
        assert read(tmp_path / "copy").equals(table)
        assert sum(batch.num_rows for batch in read_batches(path)) == table.num_rows
