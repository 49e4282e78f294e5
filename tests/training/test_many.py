"""Many networks trained at once: each to the bit as by itself, beside one that diverges too, and whole after Ctrl-C."""

from __future__ import annotations

import _thread
import functools
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from helpers import OPTIMIZERS, assert_within, normal, reference_of, succeeds, targets_for, twin_of
from steepest.layers import Layer

Outcome = dict[str, Any]

TASKS = Path("/proc/self/task")  # a folder for each thread of this process
X, Y = normal(0, (48, 3), "float32"), normal(1, (48, 2))
WEIGHT = np.abs(normal(2, (48,))) + 0.1


@contextmanager
def core_threads(n: int) -> Iterator[int]:
    before = st.get_num_threads()
    st.set_num_threads(n)
    try:
        yield n
    finally:
        st.set_num_threads(before)


@pytest.fixture(params=[1, 2])
def one_or_two(request: pytest.FixtureRequest) -> Iterator[int]:
    """One thread of the core, and two."""
    with core_threads(request.param) as n:
        yield n


def squares(y: NDArray[Any], prediction: NDArray[Any]) -> tuple[Any, Any]:
    """A loss of one's own."""
    error = prediction - y.reshape(prediction.shape)
    return (error**2).mean(axis=1), 2 * error / error.size


def bias(y: NDArray[Any], outputs: NDArray[Any]) -> float:
    """A metric of one's own."""
    return float(np.mean(outputs - y))


def falling(step: int) -> float:
    """A learning rate of one's own."""
    return 0.05 / (1 + step)


def make_trainer(
    seed: int = 0, optimizer: Any = None, loss: Any = "mse", layers: Sequence[Layer] | None = None, n_in: int = 3,
    dtype: str = "float32", **options: Any,
) -> st.Trainer:  # fmt: skip
    network = st.Network(n_in, layers or [st.Dense(8, "tanh"), st.Dense(2)], seed=seed, dtype=dtype)
    return st.Trainer(network, loss, optimizer or st.SGD(0.05), seed=seed, **options)


def state_of(trainer: st.Trainer) -> dict[str, bytes]:
    """Everything that training changes, quick for large networks too."""
    tensors, state = trainer._core.snapshot()
    return {name: np.asarray(value).tobytes() for name, value in (tensors | state).items()}


def outcome(trainer: st.Trainer) -> Outcome:
    """All that a fit leaves in a trainer: two are equal only if all bits are."""
    history = trainer.history
    return {
        "state": state_of(trainer),
        "names": list(history),
        "history": {name: history[name].tobytes() for name in history if name != "seconds"},
        "best": (history.monitor, history.mode, history.best_epoch),
        "rate": trainer.learning_rate,
        "settings": repr(trainer._optimizer_now()),
        "steps": trainer.n_steps,
        "rates": trainer.rates,
        "costs": trainer.layer_costs,
        "average": {name: value.tobytes() for name, value in trainer.ema_network.parameters.items()},
    }


def assert_same(
    trainers: Sequence[st.Trainer], expected: Sequence[Outcome], names: Sequence[str] | None = None
) -> None:
    """Assert that trainers are as by themselves, and say which one is not, and in what."""
    for i, (trainer, alone) in enumerate(zip(trainers, expected, strict=True)):
        found = outcome(trainer)
        different = [part for part, value in alone.items() if found[part] != value]
        assert not different, f"{names[i] if names else i}: {different}"


def follow(twin: st.Trainer, trainer: st.Trainer, x: NDArray[Any], y: NDArray[Any], batch_size: int) -> None:
    """Assert that a trainer has done some number of whole steps of a fit, and has the history of its whole epochs."""
    history, steps = trainer.history, -(-len(x) // batch_size)
    assert {len(history[name]) for name in history} <= {history.n_epochs}
    rest = trainer.n_steps - history.n_epochs * steps
    assert 0 <= rest <= steps
    if history.n_epochs:
        twin.fit(x, y, epochs=history.n_epochs, batch_size=batch_size)
        assert twin.history["loss"].tobytes() == history["loss"].tobytes()
    order = twin._core.order(len(x))
    for start in range(0, rest * batch_size, batch_size):
        rows = order[start : start + batch_size]
        twin.step(x[rows], y[rows])
    if rest == steps and trainer._core.epoch > history.n_epochs:  # that has ended, and was to be measured or recorded
        twin._core.end_epoch()
    assert state_of(twin) == state_of(trainer)


# Callbacks that the core does not know: a fit with them goes through Python, epoch by epoch.
WAYS: dict[str, Callable[[], list[st.Callback]]] = {"core": list, "python": lambda: [st.LambdaCallback()]}
ways = pytest.mark.parametrize("way", WAYS)


# --- Trainers that differ in everything ---


class Case(NamedTuple):
    """A trainer, made anew each time."""

    optimizer: Any = None
    loss: Any = "mse"
    layers: list[Layer] | None = None
    frozen: str = ""
    options: dict[str, Any] = {}  # noqa: RUF012


DROPOUT = [st.Dense(8, "relu"), st.Dropout(0.3), st.Dense(2)]
NORMED = [st.Dense(8, bias=False), st.BatchNorm(), st.Activation("relu"), st.Dense(2)]
RESIDUAL: list[Layer] = [st.Dense(9), st.Residual([st.LayerNorm(), st.Dense(12, "gelu"), st.Dense(9)]), st.Dense(2)]
EMBEDDED = [st.PeriodicEmbedding(5, 3, columns=[1]), st.Dense(8, "relu"), st.Dense(2)]
EMBEDDED_TWICE = [
    st.PeriodicEmbedding(3, 2, sigma=0.2),
    st.Dense(9),
    st.PeriodicEmbedding(2, 1, "identity"),
    st.Dense(2),
]
WIDE: list[Layer] = [st.Dense(70, "silu"), st.Dense(33, "elu"), st.Dense(2)]

CASES = {
    "plain": Case(),
    "float64": Case(options={"dtype": "float64"}),
    "linear": Case(layers=[st.Dense(2)]),
    "wide": Case(layers=WIDE),
    "wide float64": Case(st.Adam(0.01), layers=WIDE, options={"dtype": "float64"}),
    **{str(optimizer): Case(optimizer) for optimizer in OPTIMIZERS},
    "fraction": Case(st.SGD(0.05, fraction=0.3)),
    "constant": Case(st.SGD(st.schedules.constant(0.03))),
    "cosine": Case(st.Adam(st.schedules.cosine(0.02, warmup=2))),
    "cosine of a total": Case(st.SGD(st.schedules.cosine(0.02, total=5))),
    "one_cycle": Case(st.SGD(st.schedules.one_cycle(0.05), momentum=0.9)),
    "step": Case(st.RMSprop(st.schedules.step(0.01, every=1, unit="epochs"))),
    "exponential": Case(st.SGD(st.schedules.exponential(0.05, factor=0.9))),
    "plateau": Case(st.SGD(st.schedules.plateau(0.05, patience=0, threshold=0.2))),
    "function": Case(st.SGD(falling)),
    "dropout": Case(layers=DROPOUT),
    "batch norm": Case(st.Adam(0.01), layers=NORMED),
    "residual": Case(st.AdamW(0.01, weight_decay=0.1), layers=RESIDUAL, options={"dtype": "float64"}),
    "ema": Case(options={"ema": 0.9}),
    "ema, batch norm": Case(layers=NORMED, options={"ema": 0.8}),
    "accumulate": Case(st.SGD(st.schedules.cosine(0.05)), options={"accumulate": 3}),
    "mixup": Case(st.Adam(0.01), options={"mixup": 0.4}),
    "all three": Case(layers=DROPOUT, options={"accumulate": 2, "ema": 0.9, "mixup": 0.3}),
    "output_to_input": Case(options={"update_order": "output_to_input"}),
    "input_to_output": Case(st.Adam(0.01), options={"update_order": "input_to_output", "dtype": "float64"}),
    "front_first": Case(options={"layer_rates": "front_first"}),
    "equal_effect": Case(options={"layer_rates": "equal_effect"}),
    "rates by name": Case(options={"layer_rates": {"0": 0.1}}),
    "frozen": Case(frozen="0"),
    "mae": Case(loss="mae"),
    "huber": Case(loss="huber", options={"delta": 0.3}),
    "quantile": Case(loss="quantile", options={"quantile": 0.8, "dtype": "float64"}),
    "labels": Case(loss="cross_entropy"),
    "probabilities": Case(loss="cross_entropy", options={"mixup": 0.2}),
    "two labels": Case(loss="binary_cross_entropy"),
    "counts": Case(loss="poisson"),
    "own loss": Case(loss=squares),
    "own loss float64": Case(st.Adam(0.01), loss=squares, options={"dtype": "float64"}),
    "embedding": Case(st.AdamW(0.01), layers=EMBEDDED),
    "embeddings, clipped norm": Case(st.Adam(0.01, clip_norm=0.1), layers=EMBEDDED_TWICE),
    "embeddings by layer": Case(layers=EMBEDDED_TWICE, options={"update_order": "input_to_output"}),
}
NAMES = list(CASES)
STOPPERS: list[Callable[[], list[st.Callback]]] = [
    list,
    lambda: [st.EarlyStopping(patience=1)],
    lambda: [st.EarlyStopping(patience=2, min_delta=0.05, restore_best=False)],
    lambda: [st.LambdaCallback(), st.EarlyStopping("loss", patience=1)],
]


class Fit(NamedTuple):
    """What one of the cases is fitted to."""

    x: NDArray[Any]
    y: NDArray[Any]
    weight: NDArray[Any]
    rows: NDArray[Any] | None
    places: NDArray[Any]  # of validation rows
    held: tuple[NDArray[Any], ...]
    epochs: int
    batch_size: int

    @property
    def taken(self) -> Any:
        """An index of the rows that are trained on."""
        return slice(None) if self.rows is None else self.rows


def trainer_of(i: int) -> st.Trainer:
    case = CASES[NAMES[i]]
    trainer = make_trainer(i, case.optimizer, case.loss, case.layers, n_in=2 + i % 3, **case.options)
    if case.frozen:
        trainer.network.freeze(case.frozen)
    return trainer


def targets(i: int, seed: int, n: int) -> NDArray[Any]:
    if NAMES[i] == "probabilities":
        return np.random.default_rng(seed).dirichlet([1, 1], n)
    loss = CASES[NAMES[i]].loss
    return targets_for("mse" if callable(loss) else loss, seed, n, 2)


@functools.cache
def fit_of(i: int) -> Fit:
    draw, n = np.random.default_rng(i), 30 + 7 * (i % 5)
    weight = 0.1 + draw.random(n)
    rows = [None, draw.integers(0, n, 25), draw.random(n) < 0.7][i // 2 % 3]  # of the second kind some come again
    x = normal(i, (n, 2 + i % 3), "float64" if i % 2 else "float32")
    held = normal(i + 1, (11, 2 + i % 3)), targets(i, i + 1, 11), draw.random(11)
    return Fit(
        x, targets(i, i, n), weight, rows, draw.integers(0, n, 9), held[: 2 + i % 2], 2 + i % 3, (5, 8, 64)[i % 7 % 3]
    )


def alone(fit: Fit, trainer: st.Trainer, held: str, weighted: bool, callbacks: list[st.Callback]) -> Outcome:
    """What a fit of its own leaves."""
    weight = fit.weight if weighted else None
    taken, places = fit.taken, fit.places
    validation: Any = None
    if held == "own":
        validation = fit.held
    elif held == "places":
        validation = fit.x[places], fit.y[places], *([] if weight is None else [weight[places]])
    trainer.fit(
        fit.x[taken], fit.y[taken], sample_weight=None if weight is None else weight[taken], validation=validation,
        epochs=fit.epochs, batch_size=fit.batch_size, callbacks=callbacks,
    )  # fmt: skip
    return outcome(trainer)


@functools.cache
def all_alone(held: str, weighted: bool, way: str = "core") -> list[Outcome]:
    found = []
    for i in range(len(NAMES)):
        callbacks = [*STOPPERS[i % 4](), *WAYS[way]()]
        found.append(alone(fit_of(i), trainer_of(i), held, weighted, callbacks))
    return found


def fit_all(held: str, weighted: bool, n_jobs: int | None = -1) -> list[st.Trainer]:
    """Train all cases at once."""
    trainers, fits = [trainer_of(i) for i in range(len(NAMES))], [fit_of(i) for i in range(len(NAMES))]
    validation = {"none": None, "own": [fit.held for fit in fits], "places": [fit.places for fit in fits]}[held]
    histories = st.fit_many(
        trainers, [fit.x for fit in fits], [fit.y for fit in fits], rows=[fit.rows for fit in fits],
        sample_weight=[fit.weight for fit in fits] if weighted else None, validation=validation,
        epochs=[fit.epochs for fit in fits], batch_size=[fit.batch_size for fit in fits], n_jobs=n_jobs,
        callbacks=lambda i: STOPPERS[i % 4](),
    )  # fmt: skip
    assert not histories.diverged
    assert all(history is trainer.history for history, trainer in zip(histories, trainers, strict=True))
    return trainers


helds = pytest.mark.parametrize("held", ["none", "own", "places"])
weights = pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])


@helds
@weights
def test_the_core_and_the_loop_in_python_have_the_same_bits(held: str, weighted: bool) -> None:
    """So that what follows does not compare the core with itself."""
    for name, core, python in zip(NAMES, all_alone(held, weighted), all_alone(held, weighted, "python"), strict=True):
        assert [part for part in core if core[part] != python[part]] == [], name


@helds
@weights
@pytest.mark.parametrize("n_jobs", [1, 2, -1, None])
def test_trainers_that_differ_in_everything_are_as_by_themselves(
    threads: int, n_jobs: int | None, held: str, weighted: bool
) -> None:
    assert_same(fit_all(held, weighted, n_jobs), all_alone(held, weighted), NAMES)


# --- Trainers that share their rows ---


def shared_trainers() -> list[st.Trainer]:
    return [
        make_trainer(0),
        make_trainer(1, st.Adam(0.02), dtype="float64"),
        make_trainer(2, st.SGD(st.schedules.one_cycle(0.1)), layers=NORMED),
        make_trainer(3, loss="mae", ema=0.9),
        make_trainer(4, layers=WIDE, loss="huber"),
        make_trainer(5, st.AdamW(0.01), accumulate=2, dtype="float64"),
    ]


def both_ways(fit: Callable[[st.Trainer, list[st.Callback]], Any], way: str, **options: Any) -> None:
    """Fit the trainers at once and by themselves, and compare."""
    twins, trainers = shared_trainers(), shared_trainers()
    for twin in twins:
        fit(twin, WAYS[way]())
    st.fit_many(trainers, X, Y, **options, callbacks=lambda i: WAYS[way]())
    assert_same(trainers, [outcome(twin) for twin in twins])


@ways
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("held", [(X[:20], Y[:20]), [X[:20], Y[:20], WEIGHT[:20]]], ids=["rows", "weighted rows"])
@pytest.mark.parametrize(
    "metrics",
    [None, [], "rmse", ["mae", "r2"], [bias], ["r2", bias]],
    ids=["usual", "none", "one", "two", "own", "both"],
)
def test_shared_rows_and_metrics_of_any_kind(way: str, shuffle: bool, held: Any, metrics: Any) -> None:
    options: dict[str, Any] = {
        "sample_weight": WEIGHT, "validation": held, "metrics": metrics, "shuffle": shuffle, "epochs": 3,
        "batch_size": 10,
    }  # fmt: skip
    both_ways(lambda trainer, callbacks: trainer.fit(X, Y, **options, callbacks=callbacks), way, **options)


@ways
def test_rows_as_lists_and_frames(way: str) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is optional")
    expected = shared_trainers()
    for trainer in expected:
        trainer.fit(X.tolist(), Y.tolist(), epochs=2)
    for x, y in ((X.tolist(), Y.tolist()), (pandas.DataFrame(X), pandas.DataFrame(Y)), (np.asfortranarray(X), Y[:])):
        trainers = shared_trainers()
        st.fit_many(iter(trainers), x, y, epochs=2, callbacks=lambda i: WAYS[way]())
        assert_same(trainers, [outcome(trainer) for trainer in expected])


def test_targets_in_lists_of_numpys_numbers() -> None:
    """A list of numbers is one column of targets, whatever the type of the numbers."""
    trainers, twins = ([make_trainer(i, layers=[st.Dense(1)]) for i in range(2)] for _ in range(2))
    for twin in twins:
        twin.fit(X, list(Y[:, 0]), sample_weight=list(WEIGHT), epochs=2)
    st.fit_many(trainers, X, list(Y[:, 0]), sample_weight=list(WEIGHT), epochs=2)
    assert_same(trainers, [outcome(twin) for twin in twins])


def test_mapped_rows_are_as_those_in_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    places = [np.arange(i, 48, 2) for i in range(6)]
    trainers, twins = shared_trainers(), shared_trainers()
    st.fit_many(trainers, mapped, Y, rows=places, epochs=2, validation=[np.arange(i, i + 9) for i in range(6)])
    for i, twin in enumerate(twins):
        twin.fit(X[places[i]], Y[places[i]], epochs=2, validation=(X[i : i + 9], Y[i : i + 9]))
    assert_same(trainers, [outcome(twin) for twin in twins])


@pytest.mark.parametrize("kind", ["lists", "masks", "array", "one for all"])
def test_rows_of_each_network_in_any_form(kind: str) -> None:
    folds = [np.flatnonzero(np.arange(48) % 6 != i) for i in range(6)]
    rows: Any = {
        "lists": [fold.tolist() for fold in folds],
        "masks": np.array([np.arange(48) % 6 != i for i in range(6)]),
        "array": np.array(folds, np.uint8),
        "one for all": [folds[0]] * 6,
    }[kind]
    trainers, twins = shared_trainers(), shared_trainers()
    st.fit_many(trainers, X, Y, rows=rows, epochs=2)
    for i, twin in enumerate(twins):
        own = folds[0 if kind == "one for all" else i]
        twin.fit(X[own], Y[own], epochs=2)
    assert_same(trainers, [outcome(twin) for twin in twins])


@ways
def test_batches_that_count_for_nothing(way: str) -> None:
    """The last batch of each epoch is the one row of weight 0, and no step: the rate is that of the step before."""
    weight = np.where(np.arange(41) < 40, WEIGHT[:41], 0)
    trainers, twins = ([make_trainer(i, st.SGD(st.schedules.one_cycle(0.1))) for i in range(3)] for _ in range(2))
    fit: dict[str, Any] = {"epochs": 3, "batch_size": 10, "shuffle": False, "sample_weight": weight}
    st.fit_many(trainers, X[:41], Y[:41], **fit)
    for twin in twins:
        twin.fit(X[:41], Y[:41], **fit, callbacks=WAYS[way]())
        assert twin.n_steps == 12
    assert_same(trainers, [outcome(twin) for twin in twins])


def test_fits_in_several_threads_at_once() -> None:
    """Calls of other networks do not disturb each other."""
    twins = shared_trainers()
    for twin in twins:
        twin.fit(X, Y, epochs=5)
    expected = [outcome(twin) for twin in twins]
    found = [shared_trainers() for _ in range(3)]
    errors: list[BaseException] = []

    def work(trainers: list[st.Trainer]) -> None:
        try:
            st.fit_many(trainers, X, Y, epochs=5)
        except BaseException as error:
            errors.append(error)

    started = [threading.Thread(target=work, args=[trainers]) for trainers in found]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(60)
        assert not thread.is_alive(), "hangs"
    assert not errors
    for trainers in found:
        assert_same(trainers, expected)


# --- Early stopping ---

STOPS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "of the loss": {"monitor": "loss", "patience": 2},
    "of a metric": {"monitor": "val_r2", "patience": 1},
    "the other way round": {"monitor": "val_mae", "mode": "max", "patience": 2},
    "by a margin": {"monitor": "val_loss", "min_delta": 0.02, "patience": 3},
    "by a large margin": {"patience": 4, "min_delta": 10.0},
    "with the last weights": {"patience": 1, "restore_best": False},
}


@ways
@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("held", [True, False], ids=["held out", "none held out"])
def test_early_stopping_ends_each_at_its_own_epoch(way: str, stop: str, held: bool) -> None:
    options = {"patience": 2} | STOPS[stop]
    if not held and str(options.get("monitor")).startswith("val_"):
        options = options | {"monitor": None}
    fit: dict[str, Any] = {"epochs": 30, "batch_size": 12, "validation": (X[40:], Y[40:]) if held else None}
    twins, trainers = shared_trainers(), shared_trainers()
    for twin in twins:
        twin.fit(X[:40], Y[:40], **fit, callbacks=[st.EarlyStopping(**options), *WAYS[way]()])
    rule = st.EarlyStopping(**options)
    st.fit_many(trainers, X[:40], Y[:40], **fit, callbacks=[rule, *WAYS[way]()])
    assert_same(trainers, [outcome(twin) for twin in twins])
    assert vars(rule) == vars(st.EarlyStopping(**options)), "the networks have no copies of their own"
    if held and options.get("monitor") != "loss":
        assert len({trainer.history.n_epochs for trainer in trainers}) > 1 or "large" in stop


def test_each_network_has_callbacks_of_its_own() -> None:
    seen: list[tuple[int, int]] = []

    def callbacks(i: int) -> list[st.Callback]:
        return [st.LambdaCallback(on_epoch_end=lambda fit: seen.append((i, fit.epoch)))]

    trainers = shared_trainers()
    st.fit_many(trainers, X, Y, epochs=[1, 2, 3, 1, 2, 3], callbacks=callbacks)
    assert sorted(seen) == [(i, epoch) for i in range(6) for epoch in range((1, 2, 3)[i % 3])]


def test_one_callback_is_enough() -> None:
    trainers, twins = shared_trainers(), shared_trainers()
    st.fit_many(trainers, X, Y, epochs=20, callbacks=st.EarlyStopping("loss", patience=1, min_delta=0.01))  # type: ignore[arg-type]
    for twin in twins:
        twin.fit(X, Y, epochs=20, callbacks=[st.EarlyStopping("loss", patience=1, min_delta=0.01)])
    assert_same(trainers, [outcome(twin) for twin in twins])


# --- Going on ---


def test_a_second_fit_goes_on() -> None:
    trainers, twins = ([trainer_of(i) for i in range(len(NAMES))] for _ in range(2))
    for i, twin in enumerate(twins):
        for epochs in (1, 2):
            twin.fit(fit_of(i).x, fit_of(i).y, epochs=epochs, batch_size=7)
    for epochs in (1, 2):
        xs, ys = ([getattr(fit_of(i), part) for i in range(len(NAMES))] for part in "xy")
        st.fit_many(trainers, xs, ys, epochs=epochs, batch_size=7)
    assert_same(trainers, [outcome(twin) for twin in twins], NAMES)


def test_a_checkpoint_goes_on(tmp_path: Path) -> None:
    twins, trainers = shared_trainers(), shared_trainers()
    for twin in twins:
        twin.fit(X, Y, epochs=2)
        twin.fit(X, Y, epochs=2)
    st.fit_many(trainers, X, Y, epochs=2)
    resumed = []
    for i, trainer in enumerate(trainers):
        trainer.save(tmp_path / str(i))
        resumed.append(st.Trainer.resume(tmp_path / str(i)))
        assert state_of(resumed[-1]) == state_of(trainer)
    st.fit_many(resumed, X, Y, epochs=2)
    assert_same(resumed, [outcome(twin) for twin in twins])


# --- Against NumPy ---


@pytest.mark.parametrize("which", range(3))
def test_one_of_several_is_what_numpy_says(which: int) -> None:
    """Rows of its own in their order, with weights: two epochs step by step."""
    optimizers = [st.SGD(0.1, momentum=0.9, nesterov=True), st.Adam(0.02), st.AdamW(0.01, weight_decay=0.1)]
    trainers = [
        make_trainer(i, optimizer, layers=RESIDUAL if i else None, dtype="float64")
        for i, optimizer in enumerate(optimizers)
    ]
    places = [np.arange(40), np.arange(47, 5, -1), np.arange(0, 48, 2)]
    twin, mover = reference_of(trainers[which].network), twin_of(optimizers[which])
    rate = optimizers[which].lr
    assert isinstance(rate, float)
    mover.lr = rate
    st.fit_many(trainers, X, Y, rows=places, sample_weight=WEIGHT, epochs=2, batch_size=9, shuffle=False)
    for epoch in range(2):
        losses, own = [], places[which]
        for start in range(0, len(own), 9):
            rows = own[start : start + 9]
            losses.append(WEIGHT[rows].sum() * twin.step(X[rows].astype(float), Y[rows], "mse", mover, WEIGHT[rows]))
        mean = sum(losses) / WEIGHT[own].sum()
        assert_within(trainers[which].history["loss"][epoch], mean, 1e-12 * mean, f"the loss of epoch {epoch}")
    for name, value in twin.parameters.items():
        assert_within(trainers[which].network.parameters[name], value, 1e-10, name)


# --- Large networks ---


def large_trainers() -> list[st.Trainer]:
    layers = [st.Dense(600, "relu"), st.Dense(600)]
    return [make_trainer(i, st.SGD(1e-3, momentum=0.9), layers=layers, n_in=600) for i in range(3)]


@functools.cache
def large_alone() -> list[Outcome]:
    x, found = normal(3, (64, 600), "float32"), []
    for i, trainer in enumerate(large_trainers()):
        trainer.fit(x, x, epochs=4 + i, batch_size=24, validation=(x[:9], x[:9]))
        found.append(outcome(trainer))
    return found


@pytest.mark.parametrize("n_jobs", [-1, 2])
def test_large_networks_are_as_by_themselves(threads: int, n_jobs: int) -> None:
    trainers, x = large_trainers(), normal(3, (64, 600), "float32")
    st.fit_many(trainers, x, x, epochs=[4, 5, 6], batch_size=24, validation=(x[:9], x[:9]), n_jobs=n_jobs)
    assert_same(trainers, large_alone())


def test_large_networks_for_so_long_that_all_threads_take_turns() -> None:
    """A trial of that way comes after sixteen turns of 50 ms with a thread for each."""
    x, trainers = normal(3, (64, 600), "float32"), large_trainers()
    turns: list[NDArray[Any]] = []

    def progress(done: int, total: int) -> None:
        turns.append(np.array([trainer.n_steps for trainer in trainers]))
        if len(turns) == 20:
            raise InterruptedError

    with core_threads(2):
        with pytest.raises(InterruptedError):
            st.fit_many(trainers, x, x, epochs=100_000, batch_size=24, progress=progress)
        moved = (np.diff(turns, axis=0) > 0).sum(axis=1).tolist()
        assert 2 in moved[:16] and moved[16:] == [1, 1, 1]
        for i in (0, 2):  # one on each side: all three would take a second more
            follow(large_trainers()[i], trainers[i], x, x, 24)


def uses_one_thread_when_told() -> None:
    st.set_num_threads(2)
    before = len(list(TASKS.iterdir()))
    x = normal(3, (64, 600), "float32")
    st.fit_many(large_trainers()[:2], x, x, epochs=2, n_jobs=1)
    assert len(list(TASKS.iterdir())) == before, "a thread was started"


@pytest.mark.skipif(not TASKS.is_dir(), reason="counts threads in Linux's /proc")
def test_one_job_is_one_thread_for_large_networks_too() -> None:
    succeeds(uses_one_thread_when_told)


# --- Divergence ---

GROWING = st.schedules.exponential(1e-3, factor=1e9, unit="epochs")
DIVERGING: dict[str, dict[str, Any]] = {
    "float32": {"optimizer": st.SGD(1e20)},
    "float64": {"optimizer": st.SGD(1e160), "dtype": "float64"},
    "ema": {"optimizer": st.SGD(1e20, momentum=0.9), "ema": 0.9},
    "adam": {"optimizer": st.Adam(1e30)},
    "in a later epoch": {"optimizer": st.SGD(GROWING)},
    "batch norm": {"optimizer": st.SGD(GROWING), "layers": NORMED, "ema": 0.5},
    "accumulate": {"optimizer": st.SGD(1e20), "accumulate": 3},
    "own loss": {"optimizer": st.SGD(1e20), "loss": squares},
    "by layer": {"optimizer": st.SGD(1e20), "update_order": "output_to_input"},
}
RULES: dict[str, Callable[[], list[st.Callback]]] = {
    "plain": list,
    "stopping": lambda: [st.EarlyStopping(patience=50)],
    "stopping, last weights": lambda: [st.EarlyStopping("loss", patience=50, restore_best=False)],
}


@ways
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("held", [True, False], ids=["held out", "none held out"])
@pytest.mark.parametrize("kind", DIVERGING)
def test_one_that_diverges_stops_no_other(kind: str, rule: str, held: bool, way: str) -> None:
    options: dict[str, Any] = {"epochs": 12, "batch_size": 10, "validation": (X[:9], Y[:9]) if held else None}

    def make() -> list[st.Trainer]:
        return [*shared_trainers()[:2], make_trainer(7, **DIVERGING[kind]), *shared_trainers()[2:4]]

    twins, trainers, before = make(), make(), make()[2].network.parameters
    for i, twin in enumerate(twins):
        if i != 2:
            twin.fit(X, Y, **options, callbacks=[*RULES[rule](), *WAYS[way]()])
    with pytest.raises(st.DivergedError) as alone:
        twins[2].fit(X, Y, **options, callbacks=[*RULES[rule](), *WAYS[way]()])
    with pytest.warns(
        RuntimeWarning, match="1 of 5 networks diverged, at the places 2; the first one: training div"
    ) as told:
        histories = st.fit_many(trainers, X, Y, **options, callbacks=[*RULES[rule](), *WAYS[way]()])
    assert told[0].filename == __file__
    assert list(histories.diverged) == [2]
    assert_same_error(histories.diverged[2], alone.value)
    assert_same(trainers, [outcome(twin) for twin in twins])
    network = trainers[2].network
    assert network._core.is_finite() and np.isfinite(network.predict(X)).all()
    if histories[2].n_epochs == 0:
        assert all(np.array_equal(value, before[name]) for name, value in network.parameters.items())
    trainers[2].learning_rate = 1e-3
    network.set_parameters(before)
    trainers[2].fit(X, Y, epochs=1)


def assert_same_error(error: st.DivergedError, other: st.DivergedError) -> None:
    """Assert that both say the same of where and how a training diverged."""
    assert type(error) is st.DivergedError and str(error) == str(other)
    for name in ("epoch", "step", "learning_rate", "loss"):
        assert repr(getattr(error, name)) == repr(getattr(other, name)), name


def test_the_best_weights_of_one_that_diverges() -> None:
    trainers = [make_trainer(0), make_trainer(1, st.SGD(GROWING))]
    rule = st.EarlyStopping("loss", mode="min", patience=50)
    with pytest.warns(RuntimeWarning, match="at the places 1"):
        histories = st.fit_many(trainers, X, Y, epochs=20, callbacks=[rule])
    best, twin = histories[1].best_epoch, make_trainer(1, st.SGD(GROWING))
    assert best is not None and histories.diverged[1].epoch == histories[1].n_epochs > best
    twin.fit(X, Y, epochs=best + 1)
    found, expected = trainers[1].network.parameters, twin.network.parameters
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


@ways
def test_a_rate_beyond_all_numbers_that_no_step_comes_to(way: str) -> None:
    """The rate grows a thousandfold by each step: it has diverged long before the rate overflows."""
    growing = st.schedules.exponential(1e-3, factor=1e3)
    trainers, twins = ([make_trainer(0), make_trainer(1, st.SGD(growing))] for _ in range(2))
    with pytest.raises(st.DivergedError) as alone:
        twins[1].fit(X, Y, epochs=50, batch_size=10, callbacks=[st.LambdaCallback()])
    with pytest.warns(RuntimeWarning, match="at the places 1"):
        histories = st.fit_many(trainers, X, Y, epochs=50, batch_size=10, callbacks=lambda i: WAYS[way]())
    assert_same_error(histories.diverged[1], alone.value)
    assert_same(trainers[1:], [outcome(twins[1])])


def test_all_that_diverge_are_named() -> None:
    optimizers = [st.SGD(1e20) if i % 3 == 1 else st.SGD(0.01) for i in range(40)]
    trainers = [make_trainer(i, optimizer) for i, optimizer in enumerate(optimizers)]
    places = "1, 4, 7, 10, 13, 16, 19, 22, 25, 28 and others"
    with pytest.warns(RuntimeWarning, match=f"13 of 40 networks diverged, at the places {places}; the first one: "):
        histories = st.fit_many(trainers, X, Y, epochs=2)
    assert list(histories.diverged) == [*range(1, 40, 3)]
    assert [history.n_epochs for history in histories] == [0 if i % 3 == 1 else 2 for i in range(40)]


# --- Ctrl-C ---


def interrupt(work: Callable[[], Any], delay: float) -> None:
    """Do work that would take long, and press Ctrl-C after so many seconds."""
    timer = threading.Timer(delay, _thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        work()
        time.sleep(30)
    timer.join()


MADE: dict[str, Callable[[], list[st.Trainer]]] = {
    "few": lambda: [make_trainer(i) for i in range(3)],
    "many": lambda: [make_trainer(i, st.Adam(0.01), dtype=("float32", "float64")[i % 2]) for i in range(20)],
    "own losses": lambda: [make_trainer(i, loss=squares) for i in range(3)],
    "both kinds": lambda: [make_trainer(i, loss=squares if i % 2 else "mse") for i in range(4)],
    "large": large_trainers,
}


@pytest.mark.parametrize("delay", [0.02, 0.15])
@pytest.mark.parametrize("kind", MADE)
def test_ctrl_c_leaves_whole_networks(one_or_two: int, kind: str, delay: float) -> None:
    x, y = (normal(3, (64, 600), "float32"),) * 2 if kind == "large" else (X, Y)
    trainers = MADE[kind]()
    interrupt(lambda: st.fit_many(trainers, x, y, epochs=1_000_000, batch_size=10), delay)
    states = [state_of(trainer) for trainer in trainers]
    for trainer, twin in zip(trainers, MADE[kind](), strict=True):
        assert np.isfinite(trainer.network.predict(x)).all()
        follow(twin, trainer, x, y, 10)
    assert [state_of(trainer) for trainer in trainers] == states, "something trains on"
    st.fit_many(trainers, x, y, epochs=1)
    for trainer in trainers:
        assert np.isfinite(trainer.fit(x, y, epochs=1)["loss"]).all()


def test_ctrl_c_leaves_the_best_weights_so_far(one_or_two: int) -> None:
    def rule() -> list[st.Callback]:
        return [st.EarlyStopping(patience=10**9)]

    trainers = [make_trainer(i, ema=0.9 if i % 2 else None) for i in range(3)]
    fit: dict[str, Any] = {"batch_size": 10, "validation": (X[:9], Y[:9])}
    interrupt(lambda: st.fit_many(trainers, X, Y, epochs=1_000_000, callbacks=lambda i: rule(), **fit), 0.2)
    assert any(trainer.history.n_epochs for trainer in trainers)
    for i, trainer in enumerate(trainers):
        history, twin = trainer.history, make_trainer(i, ema=0.9 if i % 2 else None)
        if not history.n_epochs:  # of many, some may have no turn for a while
            continue
        assert history.monitor == "val_loss"
        twin.fit(X, Y, epochs=history.n_epochs, callbacks=rule(), **fit)
        found, expected = trainer.network.parameters, twin.network.parameters
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


# --- Progress ---


@pytest.mark.parametrize("kind", ["few", "many", "large"])
def test_progress_grows_to_at_most_the_total(one_or_two: int, kind: str) -> None:
    x, y = (normal(3, (64, 600), "float32"),) * 2 if kind == "large" else (X, Y)
    trainers, seen, epochs = MADE[kind](), [], 12 if kind == "large" else 600
    st.fit_many(trainers, x, y, epochs=epochs, progress=lambda *numbers: seen.append(numbers))
    totals, done = {total for _, total in seen}, [number for number, _ in seen]
    assert totals == {epochs * len(trainers)}
    assert done == sorted(done) and done[0] == 0 and done[-1] <= epochs * len(trainers)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_in_progress_ends_all(one_or_two: int, error: type[BaseException]) -> None:
    trainers, turns = MADE["many"](), []

    def progress(done: int, total: int) -> None:
        turns.append(done)
        if len(turns) == 3:
            raise error("enough")

    with pytest.raises(error, match="enough"):
        st.fit_many(trainers, X, Y, epochs=1_000_000, batch_size=10, progress=progress)
    assert len(turns) == 3
    for trainer, twin in zip(trainers, MADE["many"](), strict=True):
        follow(twin, trainer, X, Y, 10)
    st.fit_many(trainers, X, Y, epochs=1)


def test_an_exception_in_a_callback_ends_all() -> None:
    def fail(fit: Any) -> None:
        raise ZeroDivisionError("enough")

    trainers = MADE["few"]()

    def callbacks(i: int) -> list[st.Callback]:
        return [st.LambdaCallback(on_epoch_end=fail if i == 1 else None)]

    with pytest.raises(ZeroDivisionError, match="enough"):
        st.fit_many(trainers, X, Y, epochs=1_000_000, batch_size=10, callbacks=callbacks)
    for trainer, twin in zip(trainers, MADE["few"](), strict=True):
        follow(twin, trainer, X, Y, 10)


def test_progress_may_read_networks_and_is_refused_to_train_them() -> None:
    trainers, said = MADE["large"](), []
    x = normal(3, (64, 600), "float32")

    def progress(done: int, total: int) -> None:
        assert np.isfinite(trainers[0].network.predict(x[:2])).all()
        with pytest.raises(RuntimeError, match="from within another one on the same object") as refused:
            trainers[0].step(x, x)
        said.append(str(refused.value))

    st.fit_many(trainers, x, x, epochs=2, progress=progress)
    assert said


@ways
def test_a_learning_rate_that_is_set_meanwhile_stays(way: str) -> None:
    """As it does in Trainer.fit with callbacks, whoever sets it."""
    trainers = MADE["few"]()
    setting = threading.Timer(0.1, lambda: setattr(trainers[1], "learning_rate", 1e-4))
    setting.start()
    interrupt(lambda: st.fit_many(trainers, X, Y, epochs=1_000_000, callbacks=lambda i: WAYS[way]()), 0.3)
    setting.join()
    assert [trainer.learning_rate for trainer in trainers] == [0.05, 1e-4, 0.05]


# --- What is refused ---


@contextmanager
def refused(trainers: Sequence[st.Trainer], error: type[Exception], message: str) -> Iterator[None]:
    """Assert that an error is raised, and that not a bit of any trainer has changed."""

    def all_of_it() -> list[Any]:
        return [(state_of(trainer), id(trainer.history), trainer._lr) for trainer in trainers]

    before = all_of_it()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error, match=message):
            yield
    assert [old == new for old, new in zip(before, all_of_it(), strict=True)] == [True] * len(trainers)


def named(value: Any) -> str:
    """A short name for what is refused; none for the error and its message."""
    if isinstance(value, dict):
        return ", ".join(value)
    return "" if isinstance(value, (type, str)) else repr(value)[:30]


def test_trainers_that_are_none() -> None:
    with refused([], ValueError, "^trainers is empty: expected at least one steepest.Trainer"):
        st.fit_many([], X, Y)
    trainers = MADE["few"]()
    with refused(trainers, TypeError, r"^trainers\[3\] is 'mse': expected a steepest.Trainer"):
        st.fit_many([*trainers, "mse"], X, Y)  # type: ignore[list-item]


def test_trainers_that_share_a_network() -> None:
    trainers = MADE["few"]()
    trainers.append(st.Trainer(trainers[1].network, "mae"))
    with refused(
        trainers, ValueError, r"^trainers\[3\] has the network of trainers\[1\]: expected a network of its own"
    ):
        st.fit_many(trainers, X, Y)
    with refused(trainers, ValueError, r"^trainers\[2\] has the network of trainers\[0\]"):
        st.fit_many([trainers[0], trainers[2], trainers[0]], X, Y)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([[0], [5, 48], [0]], ValueError, r"^rows\[1\] has 48 at 1: expected places of rows from 0 to 47"),
        ([[0], [0], [-1]], ValueError, r"^rows\[2\] has -1 at 0: expected places of rows from 0 to 47"),
        ([[0], [0], np.array([2**64 - 1], np.uint64)], ValueError, r"^rows\[2\] has 18446744073709551615 at 0"),
        ([[0], [0.0], [0]], TypeError, r"^rows\[1\] is an array of float64 of shape \(1,\): expected places of rows"),
        ([[0], ["0"], [0]], TypeError, r"^rows\[1\] is an array of <U1"),
        ([[0], 0, [0]], TypeError, r"^rows\[1\] is an array of int64 of shape \(\)"),
        ([[0], [[0]], [0]], TypeError, r"^rows\[1\] is an array of int64 of shape \(1, 1\)"),
        ([[0], np.ones(47, bool), [0]], TypeError, r"^rows\[1\] is an array of bool .* or a mask of 48 bools"),
        ([[], [0], [0]], ValueError, r"^rows\[0\] is empty: expected the place of a row"),
        ([[0], [0], np.zeros(48, bool)], ValueError, r"^rows\[2\] is empty"),
        ([[0], [0]], ValueError, "^rows has 2 entries: expected one for each of the 3 trainers"),
        (np.arange(3), TypeError, "^rows is an array: expected a list of 3 arrays, one for each trainer"),
        (3, TypeError, "^rows"),
    ],
    ids=named,
)
def test_rows_that_are_not_there(rows: Any, error: type[Exception], message: str) -> None:
    trainers = MADE["few"]()
    with refused(trainers, error, message):
        st.fit_many(trainers, X, Y, rows=rows)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_jobs": 0}, ValueError, "^n_jobs is 0: expected a number of threads, or -1 for all"),
        ({"n_jobs": 1.5}, TypeError, "^n_jobs is 1.5"),
        ({"n_jobs": "all"}, TypeError, "^n_jobs is 'all'"),
        ({"epochs": 0}, ValueError, "^epochs is 0: expected a whole number >= 1"),
        ({"epochs": [1, 2, 0]}, ValueError, r"^epochs\[2\] is 0"),
        ({"epochs": [1, 2]}, ValueError, "^epochs has 2 entries: expected one for each of the 3 trainers"),
        ({"epochs": 1.5}, TypeError, "^epochs is 1.5"),
        ({"batch_size": 0}, ValueError, "^batch_size is 0"),
        ({"batch_size": [8, -1, 8]}, ValueError, r"^batch_size\[1\] is -1"),
        ({"shuffle": 1}, TypeError, "^shuffle is 1: expected True or False"),
        ({"metrics": ["r2"]}, ValueError, "^metrics is .* expected none without validation"),
        ({"metrics": ["accuracy"], "validation": (X, Y)}, ValueError, r"^trainers\[0\]: metrics has 'accuracy': "),
        ({"metrics": [3], "validation": (X, Y)}, TypeError, "^metrics has 3: expected a name"),
        ({"callbacks": [3]}, TypeError, "^callbacks contains 3"),
        ({"callbacks": lambda i: [3] if i == 2 else []}, TypeError, "^callbacks contains 3"),
        ({"callbacks": [st.EarlyStopping("val_loss")]}, ValueError, r"^trainers\[0\]: EarlyStopping monitors"),
        ({"validation": (X,)}, TypeError, r"^validation is a tuple: expected \(x, y\) or \(x, y, sample_weight\)"),
        ({"validation": [(X, Y)] * 2}, ValueError, "^validation has 2 entries: expected one for each of the 3"),
        ({"validation": [np.arange(3)] * 2}, ValueError, "^validation has 2 entries: expected one for each of the 3"),
        ({"validation": [[0], [1], [48]]}, ValueError, r"^validation\[2\] has 48 at 0"),
        ({"validation": [(X, Y), (X, Y), (X[:, :2], Y)]}, ValueError, r"^trainers\[2\]: validation x has shape"),
        ({"sample_weight": -WEIGHT}, ValueError, "sample_weight has -.* at row 0, expected weights of at least 0"),
        ({"sample_weight": 0 * WEIGHT}, ValueError, "sample_weight sums to 0"),
        ({"sample_weight": WEIGHT[:-1]}, ValueError, "sample_weight has shape"),
        ({"sample_weight": [WEIGHT, 0 * WEIGHT, WEIGHT]}, ValueError, r"^trainers\[1\]: sample_weight sums to 0"),
        ({"sample_weight": [WEIGHT] * 2}, ValueError, "^sample_weight has 2 entries"),
        ({"sample_weight": np.arange(48), "rows": [[1], [0], [2]]}, ValueError, r"^trainers\[1\]: .*sums to 0"),
    ],
    ids=named,
)  # fmt: skip
def test_options_that_do_not_go(options: dict[str, Any], error: type[Exception], message: str) -> None:
    trainers = MADE["few"]()
    with refused(trainers, error, message):
        st.fit_many(trainers, X, Y, **options)


def spoilt_rows() -> NDArray[Any]:
    x = X.copy()
    x[7, 1] = np.nan
    return x


@ways
def test_a_spoilt_row_that_one_uses_is_refused_by_its_name(way: str) -> None:
    trainers, free = MADE["few"](), np.delete(np.arange(48), 7)
    for used in (1, 2):
        rows = [free, free, free]
        rows[used] = np.arange(48)
        with refused(
            trainers, ValueError, rf"^trainers\[{used}\]: x has nan at row 7, column 1, expected finite numbers"
        ):
            st.fit_many(trainers, spoilt_rows(), Y, rows=rows, callbacks=lambda i: WAYS[way]())


@ways
def test_a_spoilt_row_that_nobody_uses_does_no_harm(way: str) -> None:
    trainers, twins, free = MADE["few"](), MADE["few"](), np.delete(np.arange(48), 7)
    places = [np.arange(3), np.arange(8, 20), np.arange(40, 48)]
    st.fit_many(
        trainers, spoilt_rows(), Y, rows=[free] * 3, validation=places, epochs=2, callbacks=lambda i: WAYS[way]()
    )
    for twin, own in zip(twins, places, strict=True):
        twin.fit(X[free], Y[free], validation=(X[own], Y[own]), epochs=2)
    assert_same(trainers, [outcome(twin) for twin in twins])


@ways
def test_a_spoilt_validation_row_is_refused(way: str) -> None:
    trainers, free = MADE["few"](), np.delete(np.arange(48), 7)
    with refused(trainers, ValueError, r"^trainers\[2\]: validation x has nan at row 7, column 1"):
        st.fit_many(
            trainers, spoilt_rows(), Y, rows=[free] * 3, validation=[[0], [1], [6, 7]], callbacks=lambda i: WAYS[way]()
        )


@ways
@pytest.mark.parametrize("seed", [0, 1])
def test_x_of_another_width_than_one_wants(way: str, seed: int) -> None:
    trainers = [make_trainer(0), make_trainer(1, n_in=4), make_trainer(2)][:: 1 if seed else -1]
    with refused(trainers, ValueError, r"^trainers\[1\]: x has shape \(48, 3\), expected \(rows, 4\)"):
        st.fit_many(trainers, X, Y, callbacks=lambda i: WAYS[way]())


@ways
def test_labels_out_of_range(way: str) -> None:
    trainers = [make_trainer(i, loss="cross_entropy") for i in range(3)]
    good = np.arange(48) % 2
    with refused(trainers, ValueError, r"^trainers\[2\]: y has label 2 at row 1, expected integers 0 to 1"):
        st.fit_many(trainers, X, [good, good, good + 1], callbacks=lambda i: WAYS[way]())


@ways
def test_metrics_that_go_with_some_losses_only(way: str) -> None:
    trainers = [make_trainer(0), make_trainer(1), make_trainer(2, loss="cross_entropy")]
    ys: list[Any] = [Y, Y, np.arange(48) % 2]
    held = [(X, y) for y in ys]
    with refused(trainers, ValueError, "metrics has 'r2': with this loss expected of accuracy"):
        st.fit_many(trainers, [X] * 3, ys, validation=held, metrics=["r2"], callbacks=lambda i: WAYS[way]())


def test_metrics_by_name_with_a_loss_of_ones_own() -> None:
    trainers = [make_trainer(0), make_trainer(1), make_trainer(2, loss=squares)]
    with refused(trainers, ValueError, "metrics has 'r2': expected functions"):
        st.fit_many(trainers, X, Y, validation=(X, Y), metrics=["r2"])


def test_a_schedule_whose_metric_is_not_recorded() -> None:
    plateau = st.schedules.plateau(0.1, monitor="val_loss")
    trainers = [make_trainer(0), make_trainer(1, loss=squares), make_trainer(2, st.SGD(plateau))]
    with refused(trainers, ValueError, "plateau monitors 'val_loss': this fit records"):
        st.fit_many(trainers, X, Y)


# --- The result ---


def test_a_frame_has_a_row_for_each_network() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is optional")
    trainers = [make_trainer(0), make_trainer(1, st.SGD(1e20)), make_trainer(2), make_trainer(3, st.SGD(GROWING))]
    with pytest.warns(RuntimeWarning, match="2 of 4 networks diverged, at the places 1, 3"):
        histories = st.fit_many(trainers, X, Y, epochs=[2, 3, 4, 12], validation=(X, Y), metrics=["r2"])
    frame = histories.to_frame()
    names = ["epochs", "best_epoch", "diverged", "loss", "learning_rate", "seconds", "val_loss", "val_r2"]
    assert isinstance(frame, pandas.DataFrame) and list(frame.columns) == names and frame.index.name == "network"
    assert frame["epochs"].tolist() == [history.n_epochs for history in histories]
    assert frame["epochs"].tolist()[:3] == [2, 0, 4]
    assert frame["diverged"].tolist() == [False, True, False, True]
    assert np.isnan(frame.loc[1, "loss"]) and np.isnan(frame.loc[1, "best_epoch"])
    for i in (0, 2, 3):
        assert frame.loc[i, "val_r2"] == histories[i]["val_r2"][-1]
        assert frame.loc[i, "best_epoch"] == histories[i].best_epoch


def test_histories_are_a_list() -> None:
    trainers = MADE["few"]()
    histories = st.fit_many(trainers, X, Y, epochs=1)
    assert isinstance(histories, list) and len(histories) == 3 and histories.diverged == {}
    assert histories.to_frame().shape == (3, 6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_trains_many() -> None:
    succeeds(forks_and_trains_many)


def forks_and_trains_many() -> None:
    st.set_num_threads(2)

    def train() -> list[Outcome]:
        trainers = MADE["many"]()
        st.fit_many(trainers, X, Y, epochs=2)
        return [outcome(trainer) for trainer in trainers]

    expected = train()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if train() == expected else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert train() == expected
