"""What encoding a table costs, beside pandas and scikit-learn's ColumnTransformer: seconds, and memory at its peak.

`python bench/data.py` prints a table. A million rows of 20 columns (numbers with gaps, text, true and false, dates) are
learned from and become features: by `TableEncoder`, once as features all at once without bins, as the ColumnTransformer
makes them, and once as rows for a training, with bins that are made batch by batch; by scikit-learn with a
SimpleImputer, StandardScaler, MissingIndicator and OneHotEncoder, the parts of dates computed by pandas. Each run has a
process of its own; the two take turns. The last row is the time from a CSV to the end of the first epoch.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

import steepest as st
from run import machine
from steepest.tables import TableEncoder

MIB = 1 << 20


def table(rows: int) -> tuple[pd.DataFrame, Any]:
    """Ten columns of numbers, three of them with gaps, six of text, two true or false, two of dates; and a class."""
    draw = np.random.default_rng(0)
    columns: dict[str, Any] = {f"number{i}": draw.normal(size=rows) for i in range(10)}
    for i in range(3):
        columns[f"number{i}"][draw.random(rows) < 0.05] = np.nan
    for i, labels in enumerate((3, 5, 8, 12, 20, 40)):
        names = np.array([f"label {j}" for j in range(labels)], dtype=object)
        columns[f"text{i}"] = names[draw.integers(0, labels, rows)]
    columns |= {f"flag{i}": draw.random(rows) < 0.3 for i in range(2)}
    start = pd.Timestamp("2019-01-01")
    columns |= {f"date{i}": start + pd.to_timedelta(draw.integers(0, 1000, rows), unit="D") for i in range(2)}
    return pd.DataFrame(columns), (columns["number3"] > 0).astype(int)


def features(frame: pd.DataFrame, y: Any) -> tuple[int, int]:
    """Encode by this project, all features at once."""
    return TableEncoder(bins=0).fit_transform(frame, y).shape  # type: ignore[no-any-return]


def training_rows(frame: pd.DataFrame, y: Any) -> tuple[int, int]:
    """Encode by this project, as an estimator does that makes features of many rows batch by batch."""
    return TableEncoder().fit_rows(frame, y).shape


def column_transformer(frame: pd.DataFrame, y: Any) -> tuple[int, int]:
    """Encode by pandas and scikit-learn."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    parts = {}
    for name in ("date0", "date1"):
        date = frame[name].dt
        parts[name] = frame[name].astype("int64").astype(float)
        for cycle, share in (("year", date.dayofyear / 366), ("month", date.day / 31), ("week", date.dayofweek / 7)):
            parts |= {f"{name}{cycle}{way.__name__}": way(2 * np.pi * share) for way in (np.sin, np.cos)}
    given = pd.concat([frame.drop(columns=["date0", "date1"]), pd.DataFrame(parts)], axis=1)
    numbers = [name for name in given if name.startswith("number") or name in ("date0", "date1")]
    text = [name for name in given if name.startswith("text")]
    scaler = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    transformer = ColumnTransformer(
        [("numbers", scaler, numbers), ("text", OneHotEncoder(sparse_output=False, dtype=np.float32), text)],
        remainder="passthrough",
    )
    return transformer.fit_transform(given, y).shape  # type: ignore[no-any-return]


def first_epoch(path: str) -> float:
    """Train an epoch on a CSV; return the seconds."""
    began = time.perf_counter()
    frame = pd.read_csv(path, parse_dates=["date0", "date1"])
    st.MLPClassifier(max_iter=1, random_state=0).fit(frame, frame.pop("y"))
    return time.perf_counter() - began


def measure(work: Callable[[pd.DataFrame, Any], tuple[int, int]], rows: int) -> tuple[float, float, tuple[int, int]]:
    """Return seconds, MiB above those of the table, and the shape of the features."""
    work(*table(1000))  # what is imported and set up once
    frame, y = table(rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    shape = work(frame, y)
    seconds = time.perf_counter() - began
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / MIB, shape


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as worker:
        return worker.submit(work, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    options = parser.parse_args()
    works = {
        "steepest, features at once": features,
        "steepest, rows for a training": training_rows,
        "pandas and ColumnTransformer": column_transformer,
    }
    found: dict[str, list[Any]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, work in works.items():
            found[name].append(alone(measure, work, options.rows))
    version = importlib.metadata.version("scikit-learn")
    print(f"{machine()}, steepest {st.build_info()['version']}, scikit-learn {version}, {options.rows:,} rows\n")
    print("| encoding | seconds | MiB at the peak | features |\n|---|---|---|---|")
    for name, runs in found.items():
        seconds, mib = (statistics.median(run[i] for run in runs) for i in (0, 1))
        print(f"| {name} | {seconds:.2f} | {mib:,.0f} | {runs[0][2][1]} |")
    with tempfile.TemporaryDirectory() as folder:
        frame, y = table(options.rows // 5)
        frame.assign(y=y).to_csv(path := f"{folder}/table.csv", index=False)
        seconds = statistics.median(alone(first_epoch, path) for _ in range(options.rounds))
        print(f"\nFrom a CSV of {len(frame):,} rows to the end of the first epoch: {seconds:.1f} s")


if __name__ == "__main__":
    main()
