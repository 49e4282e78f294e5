"""The price of one row: through an estimator as array, data frame and dict, and of a model that learns from dicts.

`python bench/one_row.py` prints microseconds a row of 8 numbers, the least of many rounds in which all take turns;
``--write`` puts them into bench/README.md. Where a row goes through an encoder, a text takes the place of one number.
Peers are onnxruntime, LightGBM and treelite (as it is, and compiled by tl2cgen), each where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import report
import run
import steepest as st

N_FEATURES, ROUNDS, SECONDS = 8, 60, 2e-3
NAMES = [f"x{i}" for i in range(N_FEATURES)]
Calls = dict[str, Callable[[], object]]


def data() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    x = random.standard_normal((2000, N_FEATURES))
    return x, x[:, 0] * x[:, 1] + x[:, 2]


def of_estimators(x: Any, y: Any) -> Calls:
    """One row of an array, a data frame and a dict through an estimator, and what is below it."""
    import pandas

    model = st.MLPRegressor(hidden_layer_sizes=(32,), max_iter=5, random_state=0).fit(x, y)
    table = st.MLPRegressor(hidden_layer_sizes=(32,), max_iter=5, random_state=0)
    columns = pandas.DataFrame(x, columns=NAMES).assign(x7=np.where(x[:, 7] > 0, "red", "blue"))
    table.fit(columns, y)
    row, network = x[:1], st.Network(N_FEATURES, [st.Dense(32, "silu"), st.Dense(1)])
    frame, cells = columns[:1], columns.to_dict("records")[0]
    return {
        "Network.predict, an array": lambda: network.predict(row),
        "MLPRegressor.predict, an array": lambda: model.predict(row),
        "MLPRegressor.predict, a pandas row": lambda: table.predict(frame),
        "MLPRegressor.predict, a dict": lambda: table.predict(cells),
    }


def of_online(x: Any, y: Any) -> Calls:
    """A step and a prediction of a dict, and the step of the core that is in it."""
    rows = [dict(zip(NAMES, row.tolist(), strict=True)) for row in x[:256]]
    pairs, model = list(zip(rows, y[:256].tolist(), strict=True)), st.online.OnlineRegressor(max_features=N_FEATURES)
    for row, number in pairs * 4:
        model.learn_one(row, number)
    trainer = st.Trainer(model.network.copy(), "mse", st.Adam(0.003))
    one, target = np.zeros((1, N_FEATURES)), np.zeros((1, 1))

    def learn() -> None:
        for row, number in pairs:
            model.learn_one(row, number)

    def step() -> None:
        for _ in pairs:
            trainer.step(one, target)

    def predict() -> None:
        for row in rows:
            model.predict_one(row)

    return {
        "Trainer.step of the core": step,
        "OnlineRegressor.learn_one": learn,
        "OnlineRegressor.predict_one": predict,
    }


def of_peers(x: Any, y: Any) -> Calls:
    """One row of an array through each peer: 100 trees of 31 leaves, or the same small network as an ONNX graph."""
    calls: Calls = {}
    row = x[:1].astype(np.float32)
    try:
        import lightgbm
    except ImportError:
        return calls
    booster = lightgbm.LGBMRegressor(n_estimators=100, verbose=-1).fit(x, y).booster_
    calls["LightGBM, an array"] = lambda: booster.predict(row, num_threads=1)
    try:
        import treelite
    except ImportError:
        return calls
    trees = treelite.frontend.from_lightgbm(booster)
    calls["treelite (GTIL), an array"] = lambda: treelite.gtil.predict(trees, row, nthread=1)
    try:
        import tl2cgen
    except ImportError:
        return calls
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "trees.so"
        tl2cgen.export_lib(trees, toolchain="gcc", libpath=library)
        compiled = tl2cgen.Predictor(library, nthread=1)
    calls["treelite, compiled (tl2cgen), an array"] = lambda: compiled.predict(tl2cgen.DMatrix(row))
    return calls


def of_onnx() -> Calls:
    try:
        import onnx
        import onnxruntime
    except ImportError:
        return {}
    random, helper = np.random.default_rng(0), onnx.helper
    shapes = {"w0": (N_FEATURES, 32), "b0": (32,), "w1": (32, 1), "b1": (1,)}
    weights = [
        onnx.numpy_helper.from_array(random.standard_normal(shape, np.float32), name) for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "b0"], ["h"]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("Gemm", ["t", "w1", "b1"], ["y"]),
    ]
    kind = onnx.TensorProto.FLOAT
    ends = [[helper.make_tensor_value_info(name, kind, [1, n])] for name, n in (("x", N_FEATURES), ("y", 1))]
    model = helper.make_model(
        helper.make_graph(nodes, "one", *ends, weights), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    row = np.zeros((1, N_FEATURES), np.float32)
    return {"onnxruntime, 8-32-1, an array": lambda: session.run(None, {"x": row})}


def measure(calls: Calls, rows: dict[str, int]) -> dict[str, float]:
    """Return microseconds a row of each, the least of the rounds."""
    counts, best = {}, dict.fromkeys(calls, np.inf)
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        counts[name] = max(1, int(SECONDS / (time.perf_counter() - start)))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(counts[name]):
                call()
            seconds = (time.perf_counter() - start) / counts[name] / rows.get(name, 1)
            best[name] = min(best[name], 1e6 * seconds)
    return {name: float(value) for name, value in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    x, y = data()
    online = of_online(x, y)
    found = measure(of_estimators(x, y) | online | of_peers(x, y) | of_onnx(), dict.fromkeys(online, 256))
    lines = ["| one row of 8 numbers | microseconds |", "|---|---|"]
    lines += [f"| {name} | {value:.3g} |" for name, value in found.items()]
    info = st.build_info()
    names = ("numpy", "pandas", "lightgbm", "treelite", "tl2cgen", "onnxruntime")
    versions = [f"{name} {metadata.version(name)}" for name in names if importlib.util.find_spec(name)]
    where = f"{run.machine()}, kernels for {info['isa']}, {os.cpu_count()} processors"
    lines = [f"{where}. Python {platform.python_version()}, {', '.join(versions)}.", "", *lines]
    print("\n".join(lines))
    if arguments.write:
        report.put("one row", lines)


if __name__ == "__main__":
    main()
