"""Random messy tables are the same columns, whatever file or frame they come in."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from steepest.tables import read
from steepest.tables._columns import Column, missing_in, open_table, read_column

MARKS = st.sampled_from(["", "NA", "-", "?", "n/a", "#DIV/0!", ".", "12%"])
CELLS = {
    "whole": st.integers(-1000, 10**17).map(str),
    "numbers": st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
    "commas": st.decimals(-1000, 1000, places=2).map(lambda value: str(value).replace(".", ",")),
    "codes": st.integers(0, 999).map(lambda value: f"{value:03}"),
    "words": st.sampled_from(["red", "blue", "NA", "a, b", 'say "so"', "x\u00e9", "1st"]),
    "booleans": st.sampled_from(["true", "FALSE", "True "]),
    "dates": st.dates().map(str),
    "days": st.dates().map(lambda day: f"{day.day:02}.{day.month:02}.{day.year:04}"),
    "times": st.times().map(str),
    "scale": st.sampled_from(["0", "1", "2", "3+"]),
    "any": st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\ufeff"), max_size=5),
}


@st.composite
def tables(draw: Any) -> dict[str, list[str]]:
    """Columns of text, by name."""
    n = draw(st.integers(2, 12))
    columns = {}
    for i in range(draw(st.integers(2, 4))):
        kind = draw(st.sampled_from(sorted(CELLS)))
        odd = draw(st.integers(0, 3))
        cells = draw(st.lists(CELLS[kind], min_size=n, max_size=n))
        for place in draw(st.lists(st.integers(0, n - 1), max_size=odd)):
            cells[place] = draw(MARKS)
        columns[f"c{i}"] = cells
    return columns


def read_all(make: Any) -> dict[str, Column] | str:
    """The columns of a table, or the error in short: which column, and what stands there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return {name: read_column(name, values) for name, values in open_table(make()).items()}
        except ValueError as error:
            return str(error).split("column ")[1].split(" in row")[0].split(": ")[0]


def is_same(a: Column, b: Column) -> bool:
    """Whether two columns hold the same."""
    if a.kind != b.kind or not np.array_equal(missing_in(a), missing_in(b)):
        return False
    there = ~missing_in(a)
    if a.kind != "text":
        return np.array_equal(a.values[there], b.values[there])
    return [a.labels[i] for i in a.values[there]] == [b.labels[i] for i in b.values[there]]


@settings(max_examples=60, deadline=None)
@given(tables())
def test_a_table_is_the_same_in_every_format(columns: dict[str, list[str]]) -> None:
    table = pa.table(columns)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        csv.write_csv(table, path / "t.csv")
        parquet.write_table(table, path / "t.parquet")
        # Of a file, all columns are written in one way; of a frame, each may be in its own: so the frames are of text.
        found = {
            "csv": read_all(lambda: read(path / "t.csv", sep=",", header=True)),
            "parquet": read_all(lambda: read(path / "t.parquet")),
        }
    frames = {
        "pandas": read_all(lambda: pd.DataFrame(columns)),
        "objects": read_all(lambda: pd.DataFrame(columns, dtype=object)),
        "polars": read_all(lambda: pl.DataFrame(columns)),
        "arrow": read_all(lambda: table),
    }
    for group in (found, frames):
        (_, first), *others = group.items()
        for name, other in others:
            if isinstance(first, str) or isinstance(other, str):
                assert first == other, name
                continue
            for key, column in first.items():
                assert is_same(column, other[key]), (name, key)
    one_way, each_way = found["csv"], frames["arrow"]
    if isinstance(one_way, dict) and isinstance(each_way, dict):
        assert all(is_same(column, each_way[key]) for key, column in one_way.items())
