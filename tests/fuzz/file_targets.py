"""Files of every kind that is read, damaged: refused by name, or read as something that works and is saved again."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import pickle
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from mutations import DEEP, dumped, mutated_array, mutated_bytes, mutated_json
from numpy.typing import NDArray

import steepest as st
from steepest import files
from steepest.layers import iter_nodes
from steepest.selection import GroupModels
from steepest.tables import TableEncoder

sys.path.append(str(Path(__file__).parents[1]))
from helpers import state_of

Case = Callable[[random.Random], str]
Read = Callable[[Path], str]

FORMATS = Path(__file__).parents[1] / "formats"
ROWS = np.random.default_rng(0).standard_normal((40, 3))
TABLE = {"size": [1.5, None, 2.0, 4.0] * 10, "kind": ["a", "b", "é, or", None] * 10, "own": [True, False] * 20}
TABLE |= {"day": [datetime.datetime(2020, 2, 29, 12), None] * 20, "hour": [datetime.time(23, 59), None] * 20}
MOST_INPUTS = 100_000  # of a network that a case asks for a prediction
INSIDE = ("Unable to cast", "incompatible function", "C++ type")  # of the bindings' own words


def refused(error: Exception) -> str:
    """Check that an error says something, in words of the library's."""
    text = str(error)
    assert text.strip(), f"{type(error).__name__} without a word"
    found = [words for words in INSIDE if words in text]
    assert not found, f"{type(error).__name__} from inside: {text}"
    return "refused"


def same_files(first: Path, second: Path) -> None:
    assert first.read_bytes() == second.read_bytes(), "what was saved, read and saved again differs"


# Networks and estimators


def rows_for(n_in: int) -> NDArray[Any]:
    return np.linspace(-1.0, 1.0, 2 * n_in).reshape(2, n_in)


def table_for(encoder: TableEncoder) -> dict[str, Any]:
    """Return a column that an encoder can read for each that it wants."""
    kinds = {"number": "size", "boolean": "own", "date": "day", "clock": "hour"}
    return {column.name: TABLE[kinds.get(column.expected, "kind")] for column in encoder.columns}


def is_tame(network: st.Network) -> bool:
    """Whether no number of a network is so large that its results may exceed the dtype."""
    values = [*network.parameters.values(), *network.buffers.values()]
    layers = [node.layer for node in iter_nodes(network.layers, network.n_in)]
    # Each residual block may double what it is given.
    wild = sum(isinstance(layer, (st.Dense, st.Residual)) for layer in layers) > 20
    wild |= any((getattr(layer, "alpha", None) or 0) > 100 for layer in layers)
    return not wild and all(np.abs(value).max(initial=0.0) < 100 for value in values)


def check_network(network: st.Network, folder: Path) -> str:
    if network.n_in > MOST_INPUTS:
        return "read, too wide"
    x = rows_for(network.n_in)
    with np.errstate(all="ignore"):
        found = network.predict(x)
    assert found.shape == (2, network.n_out) and found.dtype == network.dtype
    assert np.isfinite(found).all() or not is_tame(network), f"not finite: {found}"
    network.save(folder / "again")
    twin = st.load(folder / "again")
    assert isinstance(twin, st.Network)
    assert twin.layers == network.layers and twin.predict(x).tobytes() == found.tobytes()
    twin.save(folder / "twice")
    same_files(folder / "again", folder / "twice")
    return "read"


def check_estimator(model: Any, folder: Path) -> str:
    encoder = model._fitted.preprocessor.encoder
    if model.n_features_in_ > MOST_INPUTS:
        return "read, too wide"
    if encoder is None:
        x: Any = rows_for(model.n_features_in_)
    else:
        x = pandas.DataFrame(table_for(encoder))
    model.save(folder / "again")
    twin = st.load(folder / "again")
    twin.save(folder / "twice")
    same_files(folder / "again", folder / "twice")
    try:
        found = np.asarray(model.predict(x))
    except (ValueError, TypeError) as error:
        return f"read, prediction {refused(error)}"
    assert np.asarray(twin.predict(x)).tobytes() == found.tobytes() or found.dtype == object
    return "read"


def check_groups(models: GroupModels, folder: Path) -> str:
    models.save(folder / "again")
    twin = st.load(folder / "again")
    twin.save(folder / "twice")
    same_files(folder / "again", folder / "twice")
    n, reader = len(ROWS), models._reader
    if reader.n_features_in_ > MOST_INPUTS:
        return "read, too wide"
    names = getattr(reader, "feature_names_in_", range(reader.n_features_in_))
    x: Any = {str(name): ROWS[:, i % 3] for i, name in enumerate(names)}
    first = models.groups_[0]
    x |= {
        name: [key] * n for name, key in zip(models.by_, first if isinstance(first, tuple) else (first,), strict=False)
    }
    x = x if models.by_ else np.column_stack(list(x.values()))
    try:
        found = np.asarray(models.predict(x, None if models.by_ else [models.groups_[0]] * n))
    except (ValueError, TypeError) as error:
        return f"read, prediction {refused(error)}"
    assert len(found) == n
    return "read"


def read_model(path: Path) -> str:
    try:
        model = st.load(path)
    except ValueError as error:
        return refused(error)
    if isinstance(model, GroupModels):
        return check_groups(model, path.parent)
    check = check_network if isinstance(model, st.Network) else check_estimator
    return check(model, path.parent)


def read_checkpoint(path: Path) -> str:
    try:
        trainer = st.Trainer.resume(path)
    except ValueError as error:
        return refused(error)
    network = trainer.network
    if network.n_in > MOST_INPUTS:
        return "read, too wide"
    trainer.save(path.parent / "again")
    twin = st.Trainer.resume(path.parent / "again")
    twin.save(path.parent / "twice")
    same_files(path.parent / "again", path.parent / "twice")
    targets = np.full((2, network.n_out), 1 / network.n_out)
    results = []
    for each in (trainer, twin):
        try:
            results.append(repr(each.step(rows_for(network.n_in), targets)))
        except (ValueError, st.DivergedError, MemoryError) as error:
            refused(error)
            results.append(type(error).__name__)
    assert results[0] == results[1], f"a step after a resume: {results}"
    if results[0][0].isdigit():
        assert repr(state_of(trainer)) == repr(state_of(twin))
    return "read"


def models(folder: Path) -> list[bytes]:
    """One file of each kind of model, small."""
    block = [st.Dense(3, "elu", alpha=0.5), st.BatchNorm()]
    embedding = st.PeriodicEmbedding(2, 1, columns=[2])
    layers = [
        st.FeatureScale(2.0),
        embedding,
        st.Dense(3, "relu"),
        st.Residual(block),
        st.Dropout(0.5),
        st.LayerNorm(),
        st.Dense(2),
    ]
    net = st.Network(3, layers)
    net.set_lr_multipliers({"0": 0.5})
    net.save(folder / "network")
    bins = st.PiecewiseLinearEmbedding(3, 2, columns=[0])
    st.Network(3, [st.CategoryEmbedding([2, 1], 2, [2, 0]), bins, st.Dense(1)]).save(folder / "columns")
    st.Network(2, [st.Activation("gelu"), st.Dense(1, bias=False)], dtype="float64").save(folder / "wide")
    quick: dict[str, Any] = {"hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
    label = np.array(["x", "y"])[(ROWS[:, 0] > 0).astype(int)]
    st.MLPClassifier(**quick).fit(ROWS, label).save(folder / "classifier")
    st.MLPRegressor(**quick, loss="huber", optimizer=st.SGD(0.1)).fit(ROWS, ROWS[:, :2]).save(folder / "regressor")
    table = pandas.DataFrame({name: TABLE[name] for name in ("size", "kind", "own")})
    st.MLPRegressor(**quick, lr=st.schedules.cosine(0.1)).fit(table, ROWS[:, 0]).save(folder / "table")
    st.MLPClassifier(solver="lbfgs", **quick).fit(ROWS, ROWS[:, :2] > 0).save(folder / "labels")
    found = [folder / name for name in ("network", "columns", "wide", "classifier", "regressor", "table", "labels")]
    found += sorted(FORMATS.glob("*/*.safetensors"))
    return [path.read_bytes() for path in found]


def checkpoints(folder: Path) -> list[bytes]:
    """Checkpoints of trainers with every kind of state."""
    trainers = [
        (st.SGD(0.1, momentum=0.9), {"update_order": "input_to_output", "layer_rates": "equal_effect"}),
        (st.AdamW(st.schedules.cosine(0.1, warmup=2), clip_norm=1.0), {"ema": 0.5, "mixup": 0.2, "accumulate": 2}),
        (st.RMSprop(0.01, momentum=0.5), {"loss": "quantile", "quantile": 0.3}),
    ]
    found = []
    for optimizer, options in trainers:
        net = st.Network(3, [st.Dense(4, "tanh"), st.BatchNorm(), st.Dropout(0.1), st.Dense(2)], seed=1)
        trainer = st.Trainer(net, options.pop("loss", "mse"), optimizer, **options)
        trainer.fit(ROWS, ROWS[:, :2], epochs=2, batch_size=7)
        trainer.save(folder / "checkpoint")
        found.append((folder / "checkpoint").read_bytes())
    return found + [path.read_bytes() for path in sorted(FORMATS.glob("*/*.ckpt"))]


def rewritten(draw: random.Random, data: bytes, metadata: Any) -> bytes:
    """Put other metadata into a model file as text, so that it may be what no encoder writes."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"]["steepest"] = dumped(draw, metadata).decode(errors="replace")
    header = mutated_json(draw, header, []) if draw.random() < 0.2 else header
    text = dumped(draw, header)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def model_case(seeds: list[bytes], path: Path, read: Read, *, parts: bool, raw: bool) -> Case:
    """Cases of model files: of bytes where `raw`, of metadata, and where `parts` of tensors."""
    described = []
    for data in seeds:
        path.write_bytes(data)
        described.append(files.read_model(path))
        assert read(path) == "read", "a good file is refused"
    others = [metadata for _, metadata in described]

    def case(draw: random.Random) -> str:
        place = draw.randrange(len(seeds))
        tensors, metadata = described[place]
        if raw and draw.random() < 0.3:
            path.write_bytes(mutated_bytes(draw, seeds[place], seeds))
            return read(path)
        if not parts or draw.random() < 0.7:
            metadata = mutated_json(draw, metadata, others)
        if parts and draw.random() < 0.5:
            tensors = dict(tensors)
            for _ in range(draw.choice((1, 1, 3))):
                name = draw.choice([*tensors])
                tensors[name] = mutated_array(draw, tensors[name])
                if draw.random() < 0.2:
                    tensors[draw.choice(("", "0.weight", "trainer.", "fit.loss", name + "x"))] = tensors.pop(name)
        try:
            files.write_model(path, tensors, metadata)
            if DEEP in str(metadata):
                raise ValueError
        except (TypeError, ValueError):  # what only another writer writes
            path.write_bytes(rewritten(draw, seeds[place], metadata))
        return read(path)

    return case


def model(folder: Path) -> Case:
    return model_case(models(folder), folder / "case.safetensors", read_model, parts=True, raw=True)


def checkpoint(folder: Path) -> Case:
    return model_case(checkpoints(folder), folder / "case.safetensors", read_checkpoint, parts=True, raw=True)


def architecture(folder: Path) -> Case:
    """The description alone, of networks without parameters too, which any width fits."""
    plain = st.Network(
        4, [st.Activation("relu"), st.Dropout(0.2), st.Residual([st.Activation("leaky_relu", alpha=0.1)])]
    )
    plain.save(folder / "plain")
    seeds = [(folder / "plain").read_bytes(), *models(folder)[:2]]
    return model_case(seeds, folder / "case.safetensors", read_model, parts=False, raw=False)


def encoder(folder: Path) -> Case:
    """The description of a table's encoder."""
    seeds = [
        TableEncoder(bins=bins).fit(TABLE, target, task).to_dict()
        for bins, target, task in ((4, ["x", "y"] * 20, "classification"), (0, ROWS[:, 0], "regression"))
    ]

    def case(draw: random.Random) -> str:
        text = dumped(draw, mutated_json(draw, draw.choice(seeds), seeds))
        (folder / "case.json").write_bytes(text)
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return "no JSON"
        try:
            found = TableEncoder.from_dict(data)
        except ValueError as error:
            return refused(error)
        again = TableEncoder.from_dict(json.loads(json.dumps(found.to_dict())))
        assert again.to_dict() == found.to_dict() and repr(again) == repr(found)
        try:
            rows = found.transform(table_for(found))
        except ValueError as error:
            return f"read, rows {refused(error)}"
        assert np.isfinite(rows).all() and rows.shape == (40, found.n_features) == (40, len(found.feature_names))
        return "read"

    return case


# Data


def idx_file(array: NDArray[Any], code: int) -> bytes:
    return bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def idx(folder: Path) -> Case:
    types = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
    shapes = [(), (0,), (3,), (2, 3), (1, 2, 2)]
    seeds = [idx_file(np.ones(shape, kind), code) for code, kind in types.items() for shape in shapes]
    path = folder / "case.idx"

    def case(draw: random.Random) -> str:
        data = mutated_bytes(draw, draw.choice(seeds), seeds)
        path.write_bytes(data := squeezed(draw, data, seeds))
        try:
            array = files.read_idx(path)
        except ValueError as error:
            return refused(error)
        if data[:2] != files.GZIP:
            assert data[4 + 4 * array.ndim :] == array.astype(array.dtype.newbyteorder(">")).tobytes()
        return "read"

    return case


def squeezed(draw: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Compress now and then, and damage what is compressed."""
    if draw.random() < 0.3:
        data = gzip.compress(data, mtime=0)
        data = mutated_bytes(draw, data, others) if draw.random() < 0.7 else data
    return data


class Executed:
    """Tells, where it is unpickled, that something of a file was executed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("import builtins; builtins.executed = True",)


def npz(folder: Path) -> Case:
    import builtins

    kinds = ("<f4", ">f8", "i8", "u1", "?", "<U3", "S2", "M8[s]", [("a", "f4"), ("b", "i2", (2,))])
    arrays = {str(i): np.zeros((2, 3), kind) for i, kind in enumerate(kinds)}
    seeds = []
    for save, given in (
        (np.savez, arrays),
        (np.savez_compressed, {"x": np.asfortranarray(ROWS), "y": np.zeros(0), "z": np.float64(1)}),
        (np.savez, {"x": np.array([Executed()], dtype=object)}),
    ):
        stream = io.BytesIO()
        save(stream, **given)
        seeds.append(stream.getvalue())
    seeds.append(pickle.dumps(Executed()))
    path = folder / "case.npz"

    def case(draw: random.Random) -> str:
        path.write_bytes(mutated_bytes(draw, draw.choice(seeds), seeds))
        try:
            found = files.read_npz(path)
        except ValueError as error:
            return refused(error)
        finally:
            assert not hasattr(builtins, "executed"), "something of the file was executed"
        for array in found.values():
            assert not array.dtype.hasobject
            array.tobytes()
        return "read"

    return case


CELLS = (
    "", "NA", "nan", "1", "-1.5e3", "1e400", "0x10", "1_000", "1,5", "inf", "true", "TRUE", "2020-02-30", "2020-02-28",
    "12:30", "12%", "-", '"', '""', '"a\nb"', "'", "#DIV/0!", "99999999999999999999", "007", "é", "\u2028", "\0", " 1 ",
    "<0.5", "x" * 5000, "=1+1", ";", "\t", "1;2", "31.12.2020", "10:00:00+02:00", "€5",
)  # fmt: skip


def csv(folder: Path) -> Case:
    seeds = [
        b"a,b,c\n" + b"".join(b"%d,%d.5,k%d\n" % (i, i, i % 3) for i in range(30)),
        "größe;art;wann\n1,5;gut;31.12.2020\n2.000,5;schlecht;01.01.2021\n".encode() * 2,
        b'\xef\xbb\xbfx,y\r\n"a ""quoted"", one",1\r\n\r\n"two\nlines",2\r\n',
        b"1,2,3\n4,5,6\n7,,9\n",
        b"when,at,ok\n2020-01-01,10:00,true\n2020-01-02,11:30,false\n,,\n",
    ]
    path = folder / "case.csv"

    def changed(draw: random.Random, data: bytes) -> bytes:
        rows = [line.split(b",") for line in data.split(b"\n")]
        for _ in range(draw.choice((1, 2, 5))):
            row = draw.choice(rows)
            row[draw.randrange(len(row))] = draw.choice(CELLS).encode()
            if draw.random() < 0.2:
                rows.insert(draw.randrange(len(rows)), list(draw.choice(rows)))
            if draw.random() < 0.1:
                row.append(b"")
        return b"\n".join(b",".join(row) for row in rows)

    def case(draw: random.Random) -> str:
        data = draw.choice(seeds)
        data = mutated_bytes(draw, data, seeds) if draw.random() < 0.4 else changed(draw, data)
        path.write_bytes(squeezed(draw, data, seeds))
        header, delimiter = draw.choice((True, False, "auto", "auto")), draw.choice((",", ",", ";", "\t", " "))
        try:
            table = files.read_table(path, header=header, delimiter=delimiter, text=draw.choice(((), ("a",))))
        except ValueError as error:
            return refused(error)
        return check_table(draw, table)

    return case


def check_table(draw: random.Random, table: Any) -> str:
    """Learn an encoder from a table that was read, and check that it can be kept."""
    names = table.column_names
    assert len({*names}) == len(names)
    try:
        target = draw.choice(names)
        found = TableEncoder(bins=4).fit(table, table[target], target_name=target)
        rows = found.transform(table)
    except ValueError as error:
        return f"read, table {refused(error)}"
    assert np.isfinite(rows).all() and len(rows) == table.num_rows
    again = TableEncoder.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert again.to_dict() == found.to_dict() and again.transform(table).tobytes() == rows.tobytes()
    return "read"


FILES: dict[str, Callable[[Path], Case]] = {
    "model": model, "checkpoint": checkpoint, "architecture": architecture, "encoder": encoder,
    "idx": idx, "npz": npz, "csv": csv,
}  # fmt: skip
