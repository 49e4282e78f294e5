"""The recorder: what it writes down, against NumPy; and that it changes nothing."""

from __future__ import annotations

import pickle
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

import reference as ref
import steepest as st
from helpers import normal, reference_of, state_of, targets_for
from steepest.callbacks import FitState
from steepest.descent import Recorder, _recorder, surface

X, Y = normal(0, (90, 3)), targets_for("cross_entropy", 1, 90, 4)
LAYERS = [
    st.Dense(12, "relu"),
    st.BatchNorm(),
    st.Residual([st.Dense(12, "tanh"), st.Dropout(0.2)]),
    st.Dense(6),
    st.Activation("sigmoid"),
    st.Dense(4),
]


def make(dtype: str = "float64", lr: float = 0.3) -> st.Trainer:
    return st.Trainer(st.Network(3, LAYERS, seed=1, dtype=dtype), "cross_entropy", st.SGD(lr, momentum=0.5), seed=2)


class Seen(st.Callback):
    """Copies of the network before the first epoch and after each."""

    def on_train_begin(self, fit: FitState) -> None:
        self.networks = [fit.trainer.network.copy()]

    def on_epoch_end(self, fit: FitState) -> None:
        self.networks.append(fit.trainer.network.copy())


def fit(recorder: Recorder, epochs: int = 4, dtype: str = "float64", **options: Any) -> list[st.Network]:
    seen = Seen()
    make(dtype).fit(X, Y, epochs=epochs, batch_size=16, callbacks=[seen, recorder], **options)
    return seen.networks


def norm(tensors: dict[str, Any], layer: str) -> float:
    return float(
        np.sqrt(sum(np.sum(t.astype(float) ** 2) for n, t in tensors.items() if n.rpartition(".")[0] == layer))
    )


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(("dtype", "bound"), [("float64", 1e-11), ("float32", 1e-4)])
def test_what_is_recorded(dtype: str, bound: float, weighted: bool) -> None:
    recorder, weight = Recorder(every=1, rows=10), np.linspace(0, 1, 90) if weighted else None
    networks = fit(recorder, dtype=dtype, sample_weight=weight)
    rows = np.sort(np.random.default_rng(0).choice(90, 10, replace=False))
    x, y, w = X[rows], Y[rows], None if weight is None else weight[rows]
    assert recorder.epochs == list(range(5))
    assert [record.layer for record in recorder.records[:7]] == ["0", "1", "2.0", "2.1", "2", "3", "4"]
    for epoch, network in enumerate(networks):
        twin = reference_of(network)
        cost, dy = ref.mean_loss("cross_entropy", twin.predict(x), y, w)
        twin.backward(dy)
        assert recorder.costs[epoch] == pytest.approx(cost, rel=bound)
        outputs, value = {}, x
        h0 = np.maximum(x @ twin.parameters["0.weight"] + twin.parameters["0.bias"], 0)
        leaves = list(twin.chain.layers)
        for i, name in ((0, ""), (1, "0"), (2, "1"), (3, "2"), (4, "3"), (5, "4"), (6, "5")):
            value = leaves[i].forward(value, training=False)
            outputs[name] = value
        assert np.allclose(h0, outputs["0"])
        records = {record.layer: record for record in recorder.records if record.epoch == epoch}
        assert len(records) == 8
        for name in ("0", "1", "2.0", "3", "5"):
            record = records[name]
            assert record.gradient_norm == pytest.approx(norm(twin.gradients, name), rel=bound)
            assert record.weight_norm == pytest.approx(norm(twin.parameters, name), rel=bound)
            if epoch:
                old = networks[epoch - 1].parameters
                moved = {n: t - old[n] for n, t in network.parameters.items()}
                assert record.update_ratio == pytest.approx(norm(moved, name) / norm(old, name), rel=bound)
            else:
                assert np.isnan(record.update_ratio)
        for name in ("2", "2.1", "4"):
            assert np.isnan(records[name].weight_norm) and records[name].weights is None
        assert records["0"].dead == np.mean(~(outputs["0"] > 0).any(axis=0))
        squashed = outputs["4"]
        assert records["4"].saturated == np.mean((squashed < 0.05) | (squashed > 0.95))
        assert np.isnan([records["0"].saturated, records["2.0"].dead, records["3"].dead]).all()
        for name in ("0", "1", "2", "3", "4", "5"):
            assert records[name].signal == pytest.approx(np.sqrt(np.mean(outputs[name] ** 2)), rel=bound)
            histogram = records[name].outputs
            assert histogram is not None and histogram.counts.sum() == outputs[name].size
            assert histogram.edges[[0, -1]] == pytest.approx([outputs[name].min(), outputs[name].max()], abs=bound)
        counts, edges = np.histogram(
            np.concatenate([network.parameters[f"3.{k}"].ravel().astype(float) for k in ("weight", "bias")]), 30
        )
        weights = records["3"].weights
        assert weights is not None and weights.counts.tolist() == counts.tolist()
        assert weights.edges == pytest.approx(edges)


def test_saturated_tanh() -> None:
    net = st.Network(1, [st.Dense(2, "tanh", init=[[1.0, 100.0]]), st.Dense(1)], dtype="float64")
    recorder = Recorder(every=1, rows=10)
    x = np.linspace(-1.9, 1.9, 10)[:, None]  # |tanh| > 0.9 at |x| > 1.47: 4 of 10 of the first unit
    st.Trainer(net, "mse", st.SGD(0)).fit(x, x, epochs=1, callbacks=[recorder])
    assert recorder.series("saturated", "0").tolist() == [(4 + 10) / 20] * 2


def test_the_path_is_the_weights() -> None:
    recorder = Recorder(every=1)
    networks = fit(recorder)
    assert recorder.path.dtype == np.float32
    expected = [np.concatenate([v.ravel() for v in net.parameters.values()]) for net in networks]
    assert np.array_equal(recorder.path, np.array(expected, np.float32))
    assert recorder.path_epochs == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "epochs", "path"),
    [
        ({"every": 3}, [0, 3, 6, 8], [0, 3, 6, 8]),
        ({"every": 1, "path_every": 4}, [0, 1, 2, 3, 4, 5, 6, 7, 8], [0, 4, 8]),
        ({"every": 2, "path_every": 2}, [0, 2, 4, 6, 8], [0, 4, 8]),
        ({"every": 20, "path_every": 0}, [0, 8], []),
    ],
)
def test_every(options: dict[str, int], epochs: list[int], path: list[int]) -> None:
    recorder = Recorder(**options)
    fit(recorder, 8)
    assert (recorder.epochs, recorder.path_epochs, len(recorder.path)) == (epochs, path, len(path))


@pytest.mark.parametrize(
    ("record", "epochs", "expected"),
    [
        (0.001, 12, list(range(13))),  # 0.1% of an epoch
        (0.02, 12, [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),  # the first must be paid for first
        (0.09, 40, [0, 10, 15, 20, 25, 30, 35, 40]),
        (1.0, 500, [0, 100, 150, 200, 250, 300, 350, 400, 450, 500]),
        (1.0, 60, [0, 60]),
    ],
)
def test_auto_keeps_to_its_share(
    record: float, epochs: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock on which an epoch takes a second, and a record as long as is said."""
    now = [0.0]

    def take(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(_recorder, "clock", lambda: now[0])
    monkeypatch.setattr(_recorder, "rms", lambda output: take(record / 8))  # once for each of the eight layers
    recorder, shares = Recorder(), []
    training = st.LambdaCallback(on_epoch_end=lambda fit: take(1.0))
    watching = st.LambdaCallback(on_epoch_end=lambda fit: shares.append(recorder.seconds / (fit.epoch + 1)))
    make().fit(X, Y, epochs=epochs, callbacks=[training, recorder, watching])
    assert recorder.epochs == expected
    assert recorder.seconds == pytest.approx(record * len(expected))
    if len(expected) > 2:
        assert max(shares[expected[1] - 1 :]) < 0.05


def test_auto_goes_on_after_one_that_took_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """By as many as before, once it is paid for, and not by more to catch up."""
    now, took = [0.0], iter(np.repeat([0.09, 0.09, 2.0, *[0.09] * 100], 8) / 8)  # eight layers

    def take(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(_recorder, "clock", lambda: now[0])
    monkeypatch.setattr(_recorder, "rms", lambda output: take(next(took)))
    recorder = Recorder()
    training = st.LambdaCallback(on_epoch_end=lambda fit: take(1.0))
    make().fit(X, Y, epochs=120, callbacks=[training, recorder])
    assert recorder.epochs == [0, 10, 15, *range(80, 121, 5)]


def test_a_long_path_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 4 * len(make().network._core.state())
    monkeypatch.setattr(_recorder, "PATH_BYTES", 6 * size)
    recorder = Recorder(every=1)
    networks = fit(recorder, 20)
    assert len(recorder.path) <= 6
    assert recorder.path_epochs == [0, 4, 8, 12, 16, 20]
    last = np.concatenate([v.ravel() for v in networks[20].parameters.values()])
    assert np.array_equal(recorder.path[-1], last.astype(np.float32))


@pytest.mark.parametrize("epochs", [2, 30, 250])
def test_r25_the_default_recorder_keeps_a_path_that_spans_a_plane(epochs: int) -> None:
    """Also where a record is dear beside an epoch: of 250 epochs, no more points than are drawn."""
    trainer, recorder, seen = make("float32"), Recorder(), Seen()
    trainer.fit(X, Y, epochs=epochs, callbacks=[seen, recorder])
    assert recorder.path_epochs[0] == 0 and recorder.path_epochs[-1] == epochs
    assert 3 <= len(recorder.path) <= _recorder.PATH_POINTS
    assert len(recorder.path) == len(recorder.path_epochs) == len(set(recorder.path_epochs))
    for epoch, point in zip(recorder.path_epochs, recorder.path, strict=True):
        assert np.array_equal(point, np.concatenate([v.ravel() for v in seen.networks[epoch].parameters.values()]))
    found = surface(trainer.network, X, Y, trainer, "pca", recorder, steps=5)
    assert found.path is not None and len(found.path) == len(recorder.path)


def test_r25_points_between_records_keep_to_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock on which an epoch takes a second, and to keep its weights half a second."""
    now = [0.0]
    monkeypatch.setattr(_recorder, "clock", lambda: now[0])
    keep = Recorder._add_to_path

    def slowly(self: Recorder, number: int, epoch: int, *rest: Any) -> None:
        now[0] += 0.5
        keep(self, number, epoch, *rest)

    def epoch_of_a_second(fit: FitState) -> None:
        now[0] += 1.0

    monkeypatch.setattr(Recorder, "_add_to_path", slowly)
    recorder = Recorder()
    make().fit(X, Y, epochs=60, callbacks=[st.LambdaCallback(on_epoch_end=epoch_of_a_second), recorder])
    assert recorder.epochs == [0, 60]
    assert recorder.path_epochs == [0, 1, 50, 60]


def test_r25_too_few_points_say_what_to_do() -> None:
    trainer, recorder = make(), Recorder()
    trainer.fit(X, Y, epochs=1, callbacks=[recorder])
    with pytest.raises(ValueError, match=r"path has 2 points on one line .*: expected three .* Recorder\(every=1\)"):
        surface(trainer.network, X, Y, trainer, "pca", recorder)


def test_an_earlier_end_is_recorded_too() -> None:
    recorder = Recorder(every=10)
    ending = st.LambdaCallback(on_epoch_end=lambda fit: fit.stop() if fit.epoch == 3 else None)
    make().fit(X, Y, epochs=30, callbacks=[ending, recorder])
    assert recorder.epochs == [0, 4]


def test_labels_in_turn_are_all_seen() -> None:
    """Evenly spaced rows would see every second class of ten alone."""
    x, y = normal(0, (1000, 3)), np.arange(1000) % 10
    recorder = Recorder(rows=200)
    st.Trainer(st.Network(3, [st.Dense(10)]), "cross_entropy", st.SGD(0.01)).fit(x, y, epochs=1, callbacks=[recorder])
    counts = np.bincount(recorder._sample[1], minlength=10)
    assert counts.sum() == 200 and counts.min() > 10


def test_training_is_not_disturbed() -> None:
    alone, watched = make("float32"), make("float32")
    alone.fit(X, Y, epochs=3)
    watched.fit(X, Y, epochs=3, callbacks=[Recorder(every=1)])
    assert state_of(alone) == state_of(watched)


def test_a_fit_starts_anew_and_the_record_outlives_it() -> None:
    recorder, trainer = Recorder(every=1, rows=500, bins=0), make()
    trainer.fit(X, Y, epochs=3, callbacks=[recorder])
    assert recorder.epochs == [0, 1, 2, 3]
    assert not recorder.moved_on
    trainer.fit(X, Y, epochs=1, callbacks=[recorder])
    assert recorder.epochs == [0, 1]
    assert recorder.costs[-1] == pytest.approx(trainer.evaluate(X, Y)["loss"], rel=1e-12)
    assert all(record.weights is None and record.outputs is None for record in recorder.records)
    trainer.step(X, Y)
    assert recorder.moved_on
    again = pickle.loads(pickle.dumps(recorder))
    assert (again.epochs, again.costs) == (recorder.epochs, recorder.costs)


def test_divergence_is_noted() -> None:
    recorder = Recorder(every=1)
    with pytest.raises(st.DivergedError):
        make(lr=1e200).fit(X, Y, epochs=5, callbacks=[recorder])
    assert recorder.diverged
    assert recorder.epochs[0] == 0
    with pytest.raises(RuntimeError, match="on purpose"):
        make().fit(X, Y, epochs=5, callbacks=[recorder, st.LambdaCallback(on_epoch_end=fail)])
    assert (recorder.diverged, recorder.epochs) == (False, [0, 1])


def fail(fit: FitState) -> None:
    raise RuntimeError("on purpose")


def test_what_overflows_is_recorded_as_unknown() -> None:
    net = st.Network(3, [st.Dense(4, init=np.full((3, 4), 1e30)), st.Dense(4, init=np.full((4, 4), 1e30)), st.Dense(1)])
    recorder = Recorder(every=1)
    with pytest.raises(st.DivergedError):
        st.Trainer(net, "mse", st.SGD(0.1)).fit(abs(X) + 1, X[:, 0], epochs=2, callbacks=[recorder])
    assert np.isnan(recorder.costs[0])
    assert np.isnan([record.gradient_norm for record in recorder.records]).all()
    assert recorder.series("signal", "1")[0] == np.inf
    assert np.isnan(recorder.series("signal", "2")[0])


def test_a_frame() -> None:
    pytest.importorskip("pandas")
    recorder = Recorder(every=1)
    fit(recorder)
    frame = recorder.to_frame()
    assert list(frame.columns) == [*_recorder.SCALARS, "cost_before", "cost"]
    assert len(frame) == 5 * 8
    own = frame[frame.layer == "3"]
    assert own.gradient_norm.tolist() == recorder.series("gradient_norm", "3").tolist()
    assert own.cost.tolist() == recorder.costs
    assert own.cost_before.tolist()[1:] == recorder.costs[:-1]


def test_it_is_drawn() -> None:
    recorder = Recorder(every=1)
    fit(recorder)
    figure = recorder.plot()
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0] == "cost of the sample rows" and len(titles) == 4
    labels = [label for ax in figure.axes for label in ax.get_legend_handles_labels()[1]]
    assert {"layer 0", "layer 2.0", "layer 0, dead", "layer 4, saturated", "layer 2.0, saturated"} <= set(labels)
    plt.close("all")


def test_numbers_too_close_to_part_are_counted() -> None:
    """Where floats lie further apart than bins, which numpy.histogram refuses."""
    for values in (np.array([1, 1 + 2**-23], np.float32), np.full(3, 1e30), np.array([0, 5e-324])):
        histogram = _recorder.histogram(values, 30)
        assert histogram is not None and histogram.counts.sum() == len(values) and len(histogram.edges) == 31
        assert np.isfinite(histogram.edges).all()
    for values in (np.array([1, np.nan]), np.array([np.inf, 1]), np.array([-1.5e308, 1.5e308]), np.empty(0)):
        assert _recorder.histogram(values, 30) is None


def test_what_is_refused() -> None:
    for options, message in (
        ({"every": 0}, "every is 0: expected a whole number >= 1"),
        ({"every": "often"}, "every is 'often': expected 'auto' or a whole number >= 1"),
        ({"rows": 0}, "rows is 0"),
        ({"bins": -1}, "bins is -1: expected a whole number >= 0"),
        ({"path_every": -1}, "path_every is -1"),
    ):
        with pytest.raises(ValueError, match=message):
            Recorder(**options)
    recorder = Recorder(every=2)
    assert repr(recorder) == "Recorder(every=2)"
    with pytest.raises(ValueError, match="the recorder has nothing to plot"):
        recorder.plot()
    with pytest.raises(ValueError, match="layer is '0': expected one of a fit recorded"):
        recorder.series("signal", "0")
    fit(recorder)
    with pytest.raises(ValueError, match="layer is '9': expected one of 0, 1, 2.0"):
        recorder.series("signal", "9")
    with pytest.raises(ValueError, match="what is 'mood': expected one of gradient_norm, weight_norm"):
        recorder.series("mood", "0")


def test_sparse_rows_are_refused() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    pytest.importorskip("sklearn")
    with pytest.raises(
        ValueError, match="Recorder: this fit shows its callbacks no rows: expected one on dense arrays"
    ):
        st.MLPClassifier((4,), max_iter=2, callbacks=[Recorder(every=1)]).fit(
            sparse.csr_array(np.tile(X, (9, 1))), np.tile(Y, 9)
        )
