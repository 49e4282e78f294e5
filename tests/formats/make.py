"""Write one model file of each kind, with rows and what is expected of them, by the version that is installed.

`python tests/formats/make.py` makes the folder that is named after the version; `test_formats.py` holds every later
version to it. Expected are bits, so they are written for each instruction set of the machine that runs this.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import steepest as st
from steepest import files, schedules, tables

HERE = Path(__file__).parent
LABELS = ("north", "south", "east, or so", "")


def network_of_every_layer(dtype: str) -> st.Network:
    """A network of every kind of layer, activation and option, trained a little."""
    block = [st.Dense(8, "silu"), st.Residual([st.Dense(8, "elu", alpha=0.7), st.BatchNorm()]), st.Dense(8)]
    layers = [
        st.FeatureScale(2.0),
        st.Dense(8, bias=False, init="he_normal"), st.BatchNorm(momentum=0.2, eps=1e-4), st.Activation("gelu"),
        st.Dropout(0.25), st.Residual(block), st.LayerNorm(eps=1e-4), st.PeriodicEmbedding(3, 2, columns=[7, 0]),
        st.PiecewiseLinear(4, [1, 0]), st.PiecewiseLinearEmbedding(3, 2, columns=[5]),
        st.CategoryEmbedding(3, 2, [2, 4]),
        st.Dense(9, "leaky_relu", alpha=0.2), st.Dense(7, "mish"), st.Dense(6, "selu"), st.Dense(6, "softplus"),
        st.Dense(6, "sigmoid"), st.Dense(6, "relu"), st.Dense(6, "tanh", init="glorot_normal"), st.Dense(3),
    ]  # fmt: skip
    network = st.Network(5, layers, seed=3, dtype=dtype)
    network.set_lr_multipliers({"0": 0.5, "5.0": 0.0})
    network.preprocessing = {"note": "anything", "numbers": [1, 2.5]}
    x, y = numbers(60, 5), np.arange(60) % 3
    st.Trainer(network, "cross_entropy", st.Adam(0.01), seed=1).fit(x, y, epochs=3, batch_size=16)
    return network


def numbers(n: int, columns: int) -> NDArray[np.float32]:
    """Numbers that are the same with every version of NumPy."""
    places = np.arange(n * columns, dtype=np.int64).reshape(n, columns)
    return ((places * 7919 % 1009) / 504.5 - 1).astype(np.float32)


def checkpoint_trainers() -> dict[str, st.Trainer]:
    """Trainers that together use every option that a checkpoint keeps."""

    def network(dtype: str = "float32") -> st.Network:
        return st.Network(4, [st.Dense(12, "tanh"), st.Dropout(0.1), st.BatchNorm(), st.Dense(3)], seed=5, dtype=dtype)

    return {
        "adamw": st.Trainer(
            network(), "cross_entropy", st.AdamW(schedules.cosine(0.02, warmup=5), weight_decay=0.1, clip_norm=1.0),
            accumulate=2, ema=0.9, mixup=0.2, seed=9,
        ),
        "sgd": st.Trainer(
            network("float64"), "mse", st.SGD(schedules.plateau(0.05, patience=1), momentum=0.9, fraction=0.5),
            layer_rates="equal_effect", seed=9,
        ),
        "rmsprop": st.Trainer(
            network(), "huber", st.RMSprop(0.01), delta=0.5, update_order="output_to_input", layer_rates="front_first",
        ),
    }  # fmt: skip


def targets_of(trainer: st.Trainer) -> NDArray[Any]:
    """What a checkpoint's trainer learns on `numbers(50, 4)`."""
    return np.arange(50) % 3 if trainer.loss == "cross_entropy" else numbers(50, 3)[:, ::-1].astype(np.float64)


def continue_fit(trainer: st.Trainer, epochs: int) -> None:
    """Train on, in the middle of a run."""
    y = targets_of(trainer)
    trainer.fit(numbers(50, 4), y, epochs=epochs, batch_size=8, validation=(numbers(50, 4)[:10], y[:10]))


def table(n: int) -> str:
    """A CSV file with every kind of column; `price` and `kind` are the targets."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["size", "rooms", "place", "is new", "sold", "empty", "price", "kind", "built", "opens"])
    x = numbers(n, 4)
    for i in range(n):
        size = "" if i % 11 == 3 else f"{x[i, 0] * 40 + 100:.2f}"
        writer.writerow([
            size, i % 5, LABELS[i * i % 4], ("true", "false")[i % 3 == 0], f"2021-{i % 12 + 1:02d}-15", "",
            f"{float(x[i, 0]) * 30 + i % 5 * 2.5 + 100:.3f}", ("flat", "house", "hut")[(i * i % 4 + i % 5) % 3],
            -9999 if i % 20 == 7 else 1900 + i * 37 % 101, f"{i * 5 % 24:02d}:30",
        ])  # fmt: skip
    return out.getvalue()


def command(*arguments: object, isa: str | None = None) -> str:
    """Run the command; return what it prints."""
    environment = os.environ | ({} if isa is None else {"STEEPEST_ISA": isa})
    run = subprocess.run(
        [sys.executable, "-m", "steepest", *map(str, arguments)],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    return run.stdout


def expected_outputs(folder: Path) -> dict[str, NDArray[Any]]:
    """What the files of a folder say with the instruction set in use."""
    found: dict[str, NDArray[Any]] = {}
    for dtype in ("float32", "float64"):
        network = st.load(folder / f"network-{dtype}.safetensors")
        found[f"network-{dtype}"] = network.predict(numbers(20, 5))
    for target in ("kind", "price"):
        model = st.load(folder / f"table-{target}.safetensors")
        if isinstance(model, st.Network):  # as the command wrote them until 0.3
            encoder = tables.TableEncoder.from_dict(model.preprocessing)
            found[f"table-{target}"] = model.predict(encoder.transform(files.read_table(folder / "rows.csv")))
        else:
            predict = model.predict_proba if hasattr(model, "predict_proba") else model.predict
            found[f"estimator-{target}"] = predict(tables.read(folder / "rows.csv"))
    if (folder / "bins.safetensors").exists():
        found["estimator-bins"] = st.load(folder / "bins.safetensors").predict(numbers(2200, 3)[::50])
    if (folder / "embeddings.safetensors").exists():
        found["estimator-embeddings"] = st.load(folder / "embeddings.safetensors").predict(numbers(2200, 3)[::50])
    if (folder / "groups.safetensors").exists():
        found["estimator-groups"] = st.load(folder / "groups.safetensors").predict_proba(grouped()[0])
    for path in sorted(folder.glob("*.ckpt")):
        trainer = st.Trainer.resume(path)
        continue_fit(trainer, 3)
        for name, values in (trainer.network.parameters | trainer.network.buffers).items():
            found[f"checkpoint-{path.stem}-{name}"] = values
    return found


def grouped() -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """Rows of groups with keys of two columns, and their labels."""
    x = numbers(120, 2)
    shops, days = np.repeat(["hill", "lake", "town"], 40).astype(object), np.arange(120) % 2
    return {"shop": shops, "day": days, "a": x[:, 0], "b": x[:, 1]}, np.where(x[:, 0] > x[:, 1], "yes", "no")


def public_names() -> dict[str, list[str]]:
    """The public names of each public module that names them."""
    modules = [module for module in vars(st).values() if isinstance(module, ModuleType)]
    return {module.__name__: sorted(module.__all__) for module in [st, *modules] if hasattr(module, "__all__")}


def write_folder(folder: Path) -> None:
    """Write the files, and what is expected of them."""
    folder.mkdir()
    for dtype in ("float32", "float64"):
        network_of_every_layer(dtype).save(folder / f"network-{dtype}.safetensors")
    for name, trainer in checkpoint_trainers().items():
        continue_fit(trainer, 2)
        trainer.save(folder / f"{name}.ckpt")
    (folder / "rows.csv").write_text(table(60))
    training = folder / "training.csv"
    training.write_text(table(240))
    for target in ("kind", "price"):
        model = folder / f"table-{target}.safetensors"
        command("train", training, "--target", target, "--epochs", "10", "--hidden", "24,24", "--out", model)
    training.unlink()
    x = numbers(2200, 3)
    st.MLPRegressor(hidden_layer_sizes=(8,), max_iter=2, random_state=0).fit(x, x[:, 0]).save(
        folder / "embeddings.safetensors"
    )
    classifier = st.MLPClassifier(hidden_layer_sizes=(4,), max_iter=3, random_state=0)
    st.fit_groups(classifier, *grouped(), by=["shop", "day"]).save(folder / "groups.safetensors")
    (folder / "names.json").write_text(json.dumps(public_names(), indent=1) + "\n")
    for isa in st.build_info()["available_isas"]:
        subprocess.run([sys.executable, __file__, str(folder)], check=True, env=os.environ | {"STEEPEST_ISA": isa})
        for target in ("kind", "price"):
            said = command("predict", folder / f"table-{target}.safetensors", folder / "rows.csv", isa=isa)
            (folder / f"{isa}-{target}.csv").write_text(said)


if __name__ == "__main__":
    if len(sys.argv) > 1:  # called by `write_folder`, once for each instruction set
        np.savez_compressed(Path(sys.argv[1]) / st.build_info()["isa"], **expected_outputs(Path(sys.argv[1])))
    else:
        write_folder(HERE / st.__version__)
