"""Sick trainings, each diagnosed with what is really wrong first; and healthy ones, of which nothing is said."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import steepest as st
from helpers import normal
from steepest.descent import Diagnosis, Recorder, diagnose

Array = np.ndarray[Any, Any]
Data = tuple[Array, Array]


def mixed(x: Array, y: Array) -> Data:
    """The rows in another order, the same at each call."""
    order = np.random.default_rng(0).permutation(len(x))
    return x[order], y[order]


def scaled(x: Array) -> Array:
    """Columns of mean 0 and standard deviation 1; constant ones of 0."""
    return np.asarray((x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1))


def real(name: str) -> Data:
    """A data set of scikit-learn's, scaled."""
    datasets = pytest.importorskip("sklearn.datasets", reason="the data come with scikit-learn")
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return mixed(x / 16 if name == "digits" else scaled(x), y)


def digits() -> Data:
    return real("digits")


def wave(n: int = 800) -> Data:
    """A smooth function of two numbers, with a little noise."""
    x = np.random.default_rng(2).uniform(-2, 2, (n, 2))
    return x, np.sin(2 * x[:, :1]) * x[:, 1:] + 0.05 * normal(3, (n, 1))


recording = {"every": 1}
"""How the trainings below are recorded."""


def train(
    data: Data,
    layers: list[Any],
    loss: str,
    optimizer: Any,
    epochs: int,
    *callbacks: st.Callback,
    held_out: float = 0.25,
) -> Recorder:
    """Train with some rows held out, and record it; a divergence is left to the diagnosis."""
    x, y = data
    n = int(len(x) * (1 - held_out))
    recorder = Recorder(**recording)
    trainer = st.Trainer(st.Network(x.shape[1], layers, seed=1), loss, optimizer)
    try:
        trainer.fit(
            x[:n], y[:n], epochs=epochs, validation=(x[n:], y[n:]), callbacks=[*callbacks, recorder], batch_size=32
        )
    except st.DivergedError:
        assert recorder.diverged
    return recorder


def relu(*sizes: int) -> list[Any]:
    """Hidden layers of relu units, and a last one without."""
    return [*(st.Dense(n, "relu") for n in sizes[:-1]), st.Dense(sizes[-1])]


# --- The sick ---


def diverges() -> Recorder:
    x = normal(2, (400, 5))
    return train((x, x @ np.arange(5.0)[:, None] + normal(3, (400, 1))), relu(16, 1), "mse", st.SGD(3.0), 20)


def oscillates() -> Recorder:
    return train(digits(), [st.Dense(32, "tanh"), st.Dense(10)], "cross_entropy", st.SGD(20.0), 15)


def crawls() -> Recorder:
    return train(digits(), relu(32, 10), "cross_entropy", st.SGD(1e-4), 15)


def many_sigmoids() -> Recorder:
    layers = [*(st.Dense(16, "sigmoid") for _ in range(8)), st.Dense(10)]
    return train(digits(), layers, "cross_entropy", st.SGD(0.1), 8)


def weights_of_one() -> Recorder:
    """Seven layers whose first weights are of the standard deviation 1, where sqrt(2 / 32) is right."""
    layers = [st.Dense(32, "relu", init=normal(i, (32 if i else 64, 32))) for i in range(7)]
    return train(digits(), [*layers, st.Dense(10)], "cross_entropy", st.Adam(1e-3), 8)


def drowned_biases() -> Recorder:
    x, y = digits()
    net = st.Network(64, relu(64, 10), seed=1)
    net.set_parameters({"0.bias": np.where(np.arange(64) < 48, -30.0, 0.0)})
    recorder = Recorder(**recording)
    st.Trainer(net, "cross_entropy", st.Adam(1e-3)).fit(x, y, epochs=8, callbacks=[recorder])
    return recorder


def killed_units() -> Recorder:
    """By steps that reach too far, in the first epoch."""
    return train(digits(), relu(32, 10), "cross_entropy", st.Adam(0.5), 10)


def large_sigmoids() -> Recorder:
    layers = [st.Dense(32, "sigmoid", init=20 * normal(0, (64, 32))), st.Dense(10)]
    return train(digits(), layers, "cross_entropy", st.SGD(0.1), 8)


def raw_inputs() -> Recorder:
    x = normal(2, (600, 4)) * [1, 1000, 1, 1] + [0, 5000, 0, 0]
    return train((x, (x[:, 0] + x[:, 2] > 0).astype(int)), relu(16, 2), "cross_entropy", st.SGD(0.05), 10)


def tiny_inputs() -> Recorder:
    x, y = digits()
    return train((x * 1e-3, y), relu(16, 10), "cross_entropy", st.SGD(0.1), 10)


def raw_targets() -> Recorder:
    x = normal(2, (600, 4))
    return train((x, 2e5 + 5e4 * x[:, :1] + 1e4 * x[:, 1:2] ** 2), relu(16, 1), "mse", st.Adam(1e-3), 10)


def one_class() -> Recorder:
    x, _ = digits()
    return train((x, np.full(len(x), 3)), relu(16, 10), "cross_entropy", st.Adam(1e-3), 8)


def coded_label() -> Recorder:
    x, y = digits()
    return train((np.c_[x, 0.3 * y], y), relu(16, 10), "cross_entropy", st.Adam(1e-3), 8)


def price_in_cents() -> Recorder:
    x, y = wave()
    return train((np.c_[x, 1 - 0.01 * y], y), relu(16, 1), "mse", st.Adam(1e-2), 8)


def labels_as_numbers() -> Recorder:
    return train(digits(), relu(16, 1), "mse", st.Adam(1e-3), 8)


def one_of_many() -> Recorder:
    x, y = digits()
    return train((x, np.eye(10)[y]), relu(16, 10), "binary_cross_entropy", st.Adam(1e-3), 8)


def clipped_output() -> Recorder:
    return train(wave(), [st.Dense(16, "tanh"), st.Dense(1, "relu")], "mse", st.Adam(1e-2), 10)


def squashed_logits() -> Recorder:
    return train(digits(), [st.Dense(16, "tanh"), st.Dense(10, "sigmoid")], "cross_entropy", st.Adam(1e-2), 10)


def learns_by_heart() -> Recorder:
    x, y = real("diabetes")
    return train((x[:160], scaled(y[:160, None])), relu(128, 128, 1), "mse", st.Adam(3e-3), 60)


def rare_class() -> Recorder:
    x = normal(4, (1200, 6))
    y = (x[:, 0] + x[:, 1] + 3 * normal(5, (1200,)) > 6).astype(int)
    return train((x, y), relu(16, 2), "cross_entropy", st.Adam(3e-3), 20)


def rare_answer() -> Recorder:
    x = normal(4, (1200, 6))
    y = (x[:, 0] + x[:, 1] + 3 * normal(5, (1200,)) > 6).astype(int)
    return train((x, y), relu(16, 1), "binary_cross_entropy", st.Adam(3e-3), 20)


def bottleneck() -> Recorder:
    return train(digits(), [st.Dense(1, "tanh"), st.Dense(10)], "cross_entropy", st.Adam(3e-3), 40)


def straight_line() -> Recorder:
    x = np.random.default_rng(0).uniform(-1, 1, (800, 2))
    return train((x, (x[:, 0] * x[:, 1] > 0).astype(int)), [st.Dense(2)], "cross_entropy", st.Adam(1e-2), 30)


SICK: list[tuple[Callable[[], Recorder], str, str]] = [
    (diverges, "rate_too_high", "in epoch [0-9]+ the cost was no longer finite"),
    (oscillates, "rate_too_high", "the cost rose in [0-9]+ of [0-9]+ epochs|times that of the best constant"),
    (crawls, "rate_too_low", "2[0-9]% of its fall in the last quarter, with 9[0-9]% of all yet to learn"),
    (many_sigmoids, "vanishing_gradients", "layer 0 has .*e-0[4-9] times .* layer 8, over 9 dense layers"),
    (weights_of_one, "exploding_gradients", "the signal grows .*e.0[3-6] times from input to output, over 8 dense"),
    (
        drowned_biases,
        "dead_units",
        "[78][0-9]% of the 64 relu units of layer 0 are dead.*7[0-9]% at the start.*Start with",
    ),
    (
        killed_units,
        "dead_units",
        "of the 32 relu units of layer 0 are dead.*[(][0-9]% at the start.*Lower the learning rate",
    ),
    (large_sigmoids, "saturated_units", "9[0-9]% of the outputs of layer 0 lie within 5% of an end of sigmoid's range"),
    (raw_inputs, "unscaled_inputs", "column 1 has the size 5[0-9]{3} .*, the median column 1"),
    (tiny_inputs, "unscaled_inputs", "even the largest column, [0-9]+, has the size 0.000[0-9]+"),
    (raw_targets, "unscaled_targets", r"their size is 2\.1[0-9]+e\+05"),
    (one_class, "constant_target", "have the same target, class 3"),
    (coded_label, "leaking_feature", "Column 64 of x gives the target away: it has one value for each class"),
    (price_in_cents, "leaking_feature", "Column 2 of x gives the target away: it has the correlation 1.0000000"),
    (labels_as_numbers, "loss_misfit", "mse is for quantities, and the targets are the whole numbers 0 to 9"),
    (one_of_many, "loss_misfit", "exactly one of 10 targets is 1 in every row"),
    (clipped_output, "output_range", "[45][0-9]% of the targets lie outside what relu can give, 0 to inf"),
    (squashed_logits, "output_range", "cross_entropy applies its own link to the outputs, and sigmoid holds them"),
    (learns_by_heart, "overfitting", "overfits since epoch [0-9]+: the validation cost was"),
    (rare_class, "majority_only", "says class 0 for (99|100).[0-9]% of the rows, which 9[0-9.]+% have, and finds 0%"),
    (rare_answer, "majority_only", "says class 0 for (99|100).[0-9]% of the rows, which 9[0-9.]+% have, and finds 0%"),
    (bottleneck, "underfitting", "neighbors gets 0.9[0-9]+. The narrowest hidden one, layer 0, is 1 wide"),
    (straight_line, "underfitting", "neighbors gets 0.9[0-9]+. There is no hidden layer"),
]


EVERY = pytest.mark.parametrize("every", [1, 10**6], ids=["each_epoch", "both_ends"])


@EVERY
@pytest.mark.parametrize(("training", "code", "message"), SICK, ids=[case[0].__name__ for case in SICK])
def test_the_sick(
    training: Callable[[], Recorder], code: str, message: str, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(recording, "every", every)
    found = diagnose(training())
    assert [finding.code for finding in found][:1] == [code], str(found)
    assert re.search(message, str(found[0])), str(found)
    assert all(np.isfinite(value) for value in found[0].figures.values())
    assert [finding.rank for finding in found] == sorted(finding.rank for finding in found)


def test_every_finding_has_its_sick_training() -> None:
    named = re.search("The codes: ([^.]*)[.]", str(diagnose.__doc__))
    assert named is not None
    assert set(re.findall("[a-z]+(?:_[a-z]+)+|overfitting|underfitting", named[1])) == {code for _, code, _ in SICK}


def test_overfitting_is_dated() -> None:
    recorder = learns_by_heart()
    assert recorder.fit is not None
    best = int(np.argmin(recorder.fit.history["val_loss"]))
    assert f"since epoch {best}:" in str(diagnose(recorder)[0])


# --- The healthy ---


def healthy_digits() -> Recorder:
    return train(digits(), relu(32, 10), "cross_entropy", st.Adam(1e-3), 20)


def healthy_normalized() -> Recorder:
    layers = [st.Dense(48), st.BatchNorm(), st.Activation("relu"), st.Dropout(0.2), st.Dense(10)]
    return train(digits(), layers, "cross_entropy", st.AdamW(3e-3), 15)


def healthy_cancer() -> Recorder:
    return train(real("breast_cancer"), [st.Dense(16, "tanh"), st.Dense(1)], "binary_cross_entropy", st.Adam(2e-3), 25)


def healthy_wine() -> Recorder:
    return train(real("wine"), relu(16, 3), "cross_entropy", st.Adam(5e-3), 40)


def healthy_diabetes() -> Recorder:
    x, y = real("diabetes")
    layers, stopping = [st.Dense(16, "tanh"), st.Dense(1)], st.EarlyStopping(patience=8)
    return train((x, scaled(y[:, None])), layers, "mse", st.Adam(3e-3), 100, stopping)


def healthy_wave() -> Recorder:
    return train(wave(), [st.Dense(32, "tanh"), st.Dense(32, "tanh"), st.Dense(1)], "mse", st.Adam(5e-3), 60)


def healthy_counts() -> Recorder:
    x = normal(2, (1500, 3))
    y = np.random.default_rng(3).poisson(np.exp(0.7 * x[:, 0] - 0.4 * x[:, 1] + 0.5))
    return train((x, y), relu(16, 1), "poisson", st.Adam(3e-3), 25)


def healthy_median() -> Recorder:
    layers = [st.Residual([st.Dense(2)]), st.Dense(32, "tanh"), st.Dense(32, "tanh"), st.Dense(1)]
    return train(wave(), layers, "mae", st.Adam(5e-3), 60)


def healthy_embedded() -> Recorder:
    return train(wave(), [st.PeriodicEmbedding(8, 4, sigma=0.3), *relu(32, 1)], "mse", st.Adam(3e-3), 30)


HEALTHY = [
    healthy_digits, healthy_normalized, healthy_cancer, healthy_wine, healthy_diabetes, healthy_wave, healthy_counts,
    healthy_median, healthy_embedded,
]  # fmt: skip


@EVERY
@pytest.mark.parametrize("training", HEALTHY, ids=[training.__name__ for training in HEALTHY])
def test_the_healthy(training: Callable[[], Recorder], every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(recording, "every", every)
    found = diagnose(training())
    assert found == [], str(found)
    assert str(found) == "nothing amiss was found"


# --- Without a recorder ---


def test_a_network_alone() -> None:
    x, y = digits()
    for training, code in ((healthy_digits, None), (drowned_biases, "dead_units"), (bottleneck, "underfitting")):
        recorder = training()
        assert recorder.fit is not None
        network = recorder.fit.trainer.network
        assert [finding.code for finding in diagnose(network, x, y, "cross_entropy")][:1] == ([code] if code else [])


def test_a_history_brings_the_rates() -> None:
    recorder = crawls()
    assert recorder.fit is not None
    fit = recorder.fit
    assert fit.data is not None
    arguments: Any = (fit.trainer.network, *fit.data[:2], fit.trainer)
    assert "rate_too_low" not in [finding.code for finding in diagnose(*arguments)]
    assert diagnose(*arguments, history=fit.history)[0].code == "rate_too_low"


X = normal(0, (200, 3))
COUNTS = np.arange(200) % 7


@pytest.mark.parametrize(
    ("loss", "n_out", "y", "message"),
    [
        ("cross_entropy", 3, COUNTS, "over 3 outputs wants labels 0 to 2, and 56% of the targets are none, such as 3"),
        ("cross_entropy", 7, COUNTS + 0.5, "over 7 outputs wants labels 0 to 6, and 100% of the targets are none"),
        ("cross_entropy", 2, X[:, 0], "over 2 outputs wants labels 0 to 1"),
        ("cross_entropy", 1, COUNTS * 0, "over one output is always zero"),
        ("cross_entropy", 3, X, "rows of 3 probabilities that add up to 1"),
        ("binary_cross_entropy", 1, COUNTS % 2 * 2 - 1, "wants targets from 0 to 1, and these go from -1 to 1"),
        ("poisson", 1, X[:, 0], "wants counts, and 4[0-9]% are below zero|wants counts, and 5[0-9]% are below zero"),
        (
            "mse",
            2,
            X[:, 0],
            r"the targets have the shape \(200,\), and the network 2 outputs.*make the last layer 1 wide",
        ),
        ("mse", 7, COUNTS, "If the targets are labels of classes, use cross_entropy"),
        ("mse", 1, np.where(COUNTS == 3, np.nan, X[:, 0]), "2[0-9] targets are missing or infinite"),
        ("mse", 1, np.where(COUNTS == 3, "a", "b"), "the targets are of type <U1, and a loss takes numbers"),
        ("mse", 1, COUNTS % 2, "mse is for quantities, and the targets are only 0 and 1"),
        ("huber", 1, COUNTS % 2 * 2 - 1, "huber is for quantities, and the targets are only -1 and 1"),
        ("mae", 7, np.eye(7)[COUNTS], "the targets are classes: one 1 of 7 in every row"),
    ],
)
def test_a_loss_that_does_not_fit(loss: str, n_out: int, y: Any, message: str) -> None:
    found = diagnose(st.Network(3, [st.Dense(8, "tanh"), st.Dense(n_out)]), X, y, loss)
    assert found[0].code == "loss_misfit"
    assert re.search(message, str(found[0])), str(found)


@pytest.mark.parametrize(
    ("loss", "n_out", "y"),
    [
        ("cross_entropy", 7, COUNTS),
        ("cross_entropy", 7, COUNTS.astype(float)),
        ("cross_entropy", 2, np.stack([COUNTS / 7, 1 - COUNTS / 7], axis=1)),
        ("binary_cross_entropy", 1, COUNTS % 2 == 1),
        ("binary_cross_entropy", 2, np.stack([COUNTS % 2, COUNTS > 3], axis=1)),
        ("poisson", 1, COUNTS),
        ("mse", 1, X[:, :1] + normal(1, (200, 1))),
        ("mse", 1, COUNTS * 5),
    ],
)
def test_a_loss_that_fits(loss: str, n_out: int, y: Any) -> None:
    codes = [f.code for f in diagnose(st.Network(3, [st.Dense(8, "tanh"), st.Dense(n_out)]), X, y, loss)]
    assert set(codes) <= {"underfitting"}  # it is not trained


def test_normalized_inputs_need_no_scaling() -> None:
    x = 1000 * X + 5000
    y = (X[:, 0] > 0).astype(int)
    plain = st.Network(3, relu(8, 2))
    normalized = st.Network(3, [st.BatchNorm(), *relu(8, 2)])
    normalized.set_parameters({"0.running_mean": x.mean(axis=0), "0.running_var": x.var(axis=0)})
    assert diagnose(plain, x, y, "cross_entropy")[0].code == "unscaled_inputs"
    assert "unscaled_inputs" not in [finding.code for finding in diagnose(normalized, x, y, "cross_entropy")]


@pytest.mark.parametrize("size", [1e-6, 1e4])
def test_an_embedding_does_not_explode(size: float) -> None:
    """Cosines are about 1 whatever the inputs are."""
    net = st.Network(3, [st.PeriodicEmbedding(), *relu(16, 2)])
    found = diagnose(net, size * X, (X[:, 0] > 0).astype(int), "cross_entropy")
    codes = [finding.code for finding in found]
    assert "exploding_gradients" not in codes and "unscaled_inputs" in codes


def test_labels_are_not_unscaled() -> None:
    x, y = np.column_stack([1000.0 * (np.arange(len(X)) % 7), X[:, 1:]]), (X[:, 0] > 0).astype(int)
    net = st.Network(3, [st.CategoryEmbedding(6001, 2, [0]), *relu(16, 2)])
    assert "unscaled_inputs" not in [finding.code for finding in diagnose(net, x, y, "cross_entropy")]
    wide = st.Network(3, [st.CategoryEmbedding(6001, 2, [1]), *relu(16, 2)])
    assert "unscaled_inputs" in [finding.code for finding in diagnose(wide, x, y, "cross_entropy")]
    alone = st.Network(1, [st.CategoryEmbedding(6001, 2, [0]), *relu(16, 2)])
    assert "unscaled_inputs" not in [finding.code for finding in diagnose(alone, x[:, :1], y, "cross_entropy")]


@pytest.mark.parametrize("size", [1e15, 1e30])
def test_a_signal_beyond_all_numbers(size: float) -> None:
    net = st.Network(3, [st.Dense(8, init=size * np.ones((i, 8))) for i in (3, 8, 8)] + [st.Dense(2)])
    found = diagnose(net, X, X[:, 0] > 0, "cross_entropy")
    assert found[0].code == "exploding_gradients"
    assert "the signal grows" in found[0].message


def test_weights_that_are_not_numbers() -> None:
    """As a divergence leaves them where no copy is kept."""
    x, y = wave()
    net, recorder = st.Network(2, relu(16, 1)), Recorder(**recording)
    with pytest.raises(st.DivergedError):
        st.Trainer(net, "mse", st.SGD(1e30)).fit(x, y, epochs=3, callbacks=[recorder], rollback=False)
    assert diagnose(recorder)[0].code == "rate_too_high"


def test_few_rows() -> None:
    for n in (1, 2, 5):
        assert isinstance(diagnose(st.Network(3, relu(4, 1)), X[:n], X[:n, 0], "mse"), Diagnosis)


def test_what_is_refused() -> None:
    net = st.Network(3, relu(4, 1))
    y = X[:, 0]
    for arguments, message in (
        ((net, X, y), "loss is missing"),
        ((net,), "x is missing"),
        ((net, X, None, "mse"), "y is missing"),
        ((net, X[:, :2], y, "mse"), r"x has the shape \(200, 2\): expected \(n, 3\), n >= 1"),
        ((net, X, y[:9], "mse"), r"y has the shape \(9,\): expected \(200,\) or \(200, 1\)"),
        ((net, X, y, "hinge"), "loss is 'hinge'"),
        ((Recorder(),), "the recorder has no records"),
    ):
        with pytest.raises(ValueError, match=message):
            diagnose(*arguments)
    with pytest.raises(TypeError, match="subject is 3: expected a steepest.Network or a Recorder"):
        diagnose(3)  # type: ignore[arg-type]
