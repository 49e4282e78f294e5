"""The page of `steepest explain`: what the command writes and refuses, and the numbers and words on the page."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explain_pages import FIGURES, run, written

import steepest as st
from helpers import assert_within, normal, shaken
from steepest import cli
from steepest.calibration import divide_logits
from steepest.descent import Recorder, _recorder, contributions

pytest.importorskip("matplotlib", reason="the page's charts need matplotlib")

from steepest.explain import _landscape, of_model, table_page, table_subject
from steepest.explain._backprop_trace import Example, trace_backprop
from steepest.explain._chain import Chain, cost_of, dense_chain, propagate
from steepest.explain._curve import CurveStretches
from steepest.explain._curve import find_stretches as find_stretches_at
from steepest.explain._steps import step_texts
from steepest.explain._subject import Subject
from steepest.explain._table import measured
from steepest.pages import html
from steepest.tables import TableEncoder

VOID = {"br", "hr", "meta"}


class Page(HTMLParser):
    """A page as its elements, in order, each with its attributes and the text directly and deeply in it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[int] = []
        self.feed(text)
        assert not self._open, "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        for place in self._open:
            self.texts[place] += data

    def all(self, *tags: str) -> Iterator[tuple[dict[str, str | None], str]]:
        """The attributes and texts of all elements of some names."""
        for (tag, attributes), text in zip(self.elements, self.texts, strict=True):
            if tag in tags:
                yield attributes, text

    def text(self, ident: str) -> str:
        """The text of the element with an id."""
        return next(t for (_, a), t in zip(self.elements, self.texts, strict=True) if a.get("id") == ident)


@pytest.fixture(scope="module", params=["demo", "table", "regression", "model"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of page in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def page(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a kind."""
    return Page(written(kind, tmp_path_factory).read_text("utf-8"))


# --- The page as a document ---


def test_every_figure_is_there_and_described(kind: str, page: Page) -> None:
    drawings = {attributes["id"]: attributes for attributes, _ in page.all("svg")}
    missing = [name for name in FIGURES[kind] if name not in drawings]
    assert not missing
    for name, attributes in drawings.items():
        assert attributes["role"] == "img", name
        assert attributes["aria-labelledby"] == f"{name}-title {name}-desc"
        assert page.text(f"{name}-title") and len(page.text(f"{name}-desc")) > 20, name
    for attributes, text in page.all("figcaption"):
        assert text.strip(), attributes


def test_ids_are_unique_and_references_lead_somewhere(page: Page) -> None:
    ids = Counter(a["id"] for _, a in page.elements if "id" in a)
    assert [name for name, count in ids.items() if count > 1] == []
    for tag, attributes in page.elements:
        for key in ("aria-labelledby", "aria-controls"):
            for name in (attributes.get(key) or "").split():
                assert name in ids, f"{tag} {key}={name}"
        target = attributes.get("href")
        if target is not None:
            assert target.startswith("#") and target[1:] in ids, target
        for value in attributes.values():
            for name in re.findall(r"url\(#([^)]+)\)", value or ""):
                assert name in ids, name


def test_nothing_is_asked_for_from_outside(page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "image", "base"), tag
        assert not attributes.keys() & {"src", "srcset", "action", "ping"}, tag
        assert not [key for key in attributes if key.startswith("on")], tag
    for _, text in page.all("style", "script"):
        assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch|XMLHttp|import\(", text)
    policy = [a["content"] for a, _ in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy and "default-src 'none'" in str(policy[0])


def test_drawings_take_their_colors_from_the_page(page: Page) -> None:
    known = set(re.findall(r"(--[a-z0-9]+):", next(text for _, text in page.all("style"))))
    for tag, attributes in page.elements:
        style = attributes.get("style") or ""
        assert "#" not in style.replace("url(#", ""), f"{tag} has a color of its own: {style}"
        used = set(re.findall(r"var\((--[a-z0-9]+)\)", style))
        assert used <= known, used - known


def test_document_is_well_formed_for_readers(page: Page) -> None:
    assert next(page.all("html"))[0]["lang"] == "en"
    assert next(page.all("title"))[1] == next(page.all("h1"))[1]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels)), levels
    for attributes, text in page.all("button"):
        assert attributes["type"] == "button" and attributes["aria-label"] and text
    assert len(list(page.all("caption"))) == len(list(page.all("table"))) > 3
    assert all(attributes.get("scope") in ("col", "row") for attributes, _ in page.all("th"))
    named = [str(a["aria-labelledby"]) for a, _ in page.all("section") if "aria-labelledby" in a]
    assert len({page.text(name) for name in named}) == len(named) == levels.count(2) - 1  # one more: the contents


def test_page_is_small(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert 50_000 < written(kind, tmp_path_factory).stat().st_size < 1_500_000


def test_same_seed_same_page(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    first = written("table", tmp_path_factory)
    run("table", tmp_path, first.parent)
    assert (tmp_path / "explain.html").read_bytes() == first.read_bytes()


# --- What it says ---


def test_names_of_a_table_cannot_become_markup(tmp_path_factory: pytest.TempPathFactory) -> None:
    text = written("table", tmp_path_factory).read_text("utf-8")
    assert "<b>sheep" not in text and "alert(1)</script>" not in text
    assert "&lt;b&gt;sheep&lt;/b&gt; &amp; lamb" in text


def test_model_page_says_what_it_cannot_know(tmp_path_factory: pytest.TempPathFactory) -> None:
    page = Page(written("model", tmp_path_factory).read_text("utf-8"))
    assert "there is no cost curve on this page" in " ".join(t for _, t in page.all("p"))
    assert "There is no path on it" in " ".join(t for _, t in page.all("p"))
    assert not [a for a, _ in page.all("svg") if "cost-curve" in str(a["id"])]


def test_demo_learns_what_it_shows(tmp_path_factory: pytest.TempPathFactory) -> None:
    page = Page(written("demo", tmp_path_factory).read_text("utf-8"))
    notes = [text for attributes, text in page.all("p") if attributes.get("class") == "note"]
    assert len(notes) == 6 and all("100% of the points" in notes[i] for i in (2, 5))
    assert "steep" in "".join(t for _, t in page.all("p")) and "flat" in "".join(t for _, t in page.all("p"))


def test_facts_agree_with_the_console(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = written("regression", tmp_path_factory)
    said = path.with_suffix(".txt").read_text()
    found = re.search(r"r2 +│ +([\d.]+)", said)
    assert found
    facts = {name: value for (_, name), (_, value) in zip(*(
        list(Page(path.read_text("utf-8")).all(tag)) for tag in ("dt", "dd")), strict=True)}  # fmt: skip
    assert float(facts["R² on rows held out"]) == pytest.approx(float(found[1]), abs=1e-3)
    assert facts["epochs"] == re.search(r"Trained (\d+) epochs", said)[1]  # type: ignore[index]


# --- The numbers of the animation ---


LOSSES = ("mse", "binary_cross_entropy", "cross_entropy")
LAYERS: list[Sequence[st.Dense]] = [
    [st.Dense(3, "tanh"), st.Dense(1)],
    [st.Dense(5, "relu"), st.Dense(4, "sigmoid", bias=False), st.Dense(3)],
    [st.Dense(2)],
    [st.Dense(4, "leaky_relu", alpha=0.2), st.Dense(3, "softplus")],
]


@pytest.mark.parametrize(
    ("layers", "loss"),
    [(layers, loss) for layers in LAYERS for loss in LOSSES if loss != "cross_entropy" or layers[-1].n_out > 1],
    ids=str,
)
def test_backpropagation_finds_the_networks_own_gradients(layers: Sequence[st.Dense], loss: str) -> None:
    net = st.Network(4, layers, seed=3, dtype="float64")
    row, target = normal(1, (4,)), np.eye(net.n_out)[0]
    stages, output = propagate(net, row, lambda y: cost_of(loss, y, target)[1])
    trainer = st.Trainer(net, loss)
    y = np.array([0]) if loss == "cross_entropy" else target[None]
    assert cost_of(loss, output, target)[0] == pytest.approx(
        trainer.evaluate(row[None], y)["loss"], rel=1e-12, abs=1e-12
    )

    net.forward(row[None])
    into = net.backward(cost_of(loss, output, target)[1][None])
    for stage in stages:
        assert_within(stage.weight_gradient, net.gradients[f"{stage.name}.weight"], 1e-13)
    assert_within(stages[0].input_gradient, into[0], 1e-13)
    step = 1e-6
    moved = [trainer.evaluate((row + np.array([d, 0, 0, 0]))[None], y)["loss"] for d in (step, -step)]
    assert stages[0].input_gradient[0] == pytest.approx((moved[0] - moved[1]) / (2 * step), abs=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_step_after_backpropagation_lowers_the_cost(loss: str) -> None:
    for seed in range(10):
        net = st.Network(6, [st.Dense(12, "relu"), st.Dense(9, "tanh"), st.Dense(4)], seed=seed)
        names = [f"output {i}" for i in range(4)]
        example = Example(net, loss, 3 * normal(seed, (6,)), np.eye(4)[seed % 4], [f"x{i}" for i in range(6)], names)
        before = net.parameters
        trace = trace_backprop(example)
        assert trace.costs[1] < trace.costs[0]
        assert all(np.array_equal(before[name], value) for name, value in net.parameters.items())
        assert [len(column.shown) for column in trace.columns] == [3, 3, 3, 3]
        assert np.array_equal(trace.columns[-1].after, trace.outputs[1])
        assert cost_of(loss, trace.outputs[1], example.target)[0] == trace.costs[1]
        # The unit with the largest slope of the output is always among those that are drawn.
        assert int(np.abs(trace.columns[-1].gradients).argmax()) in trace.columns[-1].shown
        steps = step_texts(trace)
        assert len(steps) == 2 * 3 + 4
        assert steps[0].startswith("Forward") and steps[-2].startswith("The input is reached")


def test_step_texts_multiply_rightly() -> None:
    net = st.Network(2, [st.Dense(3, "tanh"), st.Dense(1)], seed=0, dtype="float64")
    example = Example(net, "binary_cross_entropy", np.array([0.5, -1.0]), np.array([1.0]), ("a", "b"), ("out",))
    products = [
        re.search(rf"is (\S+) {html.TIMES} (\S+) = (\S+)\.$", step) for step in step_texts(trace_backprop(example))
    ]
    found = [[float(part.replace(html.MINUS, "-")) for part in match.groups()] for match in products if match]
    assert len(found) == 2
    for left, right, product in found:
        assert product == pytest.approx(left * right, rel=0.02)


# --- The stretches of a cost curve ---


def find_stretches(costs: np.ndarray) -> CurveStretches:
    """Those of a curve with a moment after every epoch."""
    return find_stretches_at(np.arange(len(costs)), costs)


def test_the_steep_and_the_flat_are_found() -> None:
    plateau, fall, valley = np.full(100, 1.0), np.linspace(1, 0.1, 21), np.full(80, 0.1)
    found = find_stretches(np.concatenate([plateau, fall, valley]))
    assert found.fall == pytest.approx(0.9)
    assert found.steep is not None and 100 <= found.steep[0] < found.steep[1] <= 121
    assert len(found.flat) == 2
    assert found.flat[0][0] == 0 and 90 <= found.flat[0][1] <= 104
    assert 116 <= found.flat[1][0] <= 122 and found.flat[1][1] == 200


@pytest.mark.parametrize("curve", [np.linspace(1, 0, 50), np.geomspace(1, 0.5, 200)], ids=["line", "gentle"])
def test_an_even_fall_has_nothing_flat(curve: np.ndarray) -> None:
    assert find_stretches(curve).flat == ()


def test_a_rise_is_in_vain_and_few_epochs_are_nothing() -> None:
    found = find_stretches(np.linspace(1, 2, 30))
    assert (found.steep, found.flat, found.vain) == (None, (), ((0, 29),))
    assert find_stretches(np.ones(30)).flat == ((0, 29),)
    assert find_stretches(np.array([3.0, 1.0])).steep is None and find_stretches(np.array([2.0])).flat == ()


# --- Small things ---


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567.4, "1,234,567"),
        (-0.5, f"{html.MINUS}0.5"),
        (0.000123456, "0.000123"),
        (2.5e-9, f"2.5 {html.TIMES} 10⁻⁹"),
        (123.4, "123"),
        (99.94, "99.9"),
        (-3.2e12, f"{html.MINUS}3.2 {html.TIMES} 10¹²"),
    ],
)
def test_numbers_as_people_read_them(value: float, text: str) -> None:
    assert html.to_text(value) == text


def test_markup_is_escaped_once() -> None:
    inner = html.tag("b", "a < b & c", class_='"x"', data_n=1, hidden=None, open=True)
    assert inner == '<b class="&quot;x&quot;" data-n="1" open>a &lt; b &amp; c</b>'
    assert html.tag("p", [inner, None, "<"]) == f"<p>{inner}&lt;</p>"


# --- Odd tables and networks ---


def explain(*arguments: object) -> str:
    """Run the command in this process, which must succeed, and return the page."""
    out = Path(str(arguments[-1]))
    assert cli.main(["explain", *map(str, arguments[:-1]), "--out", str(out)]) == 0
    return out.read_text("utf-8")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A table with names that charts and files might stumble over."""
    x = normal(0, (60, 4)).round(3)
    names = ["$a$ and $b$", "名前", "tab\there \x07 bell", "x" * 90, "y"]
    rows = [",".join(map(str, [*row, round(row[0] * row[1] - row[2], 3)])) for row in x.tolist()]
    (tmp_path / "odd.csv").write_text("\n".join([",".join(names), *rows]), "utf-8")
    return tmp_path / "odd.csv"


@pytest.mark.parametrize("epochs", [1, 2, 9])
def test_odd_names_and_few_epochs(odd: Path, epochs: int, tmp_path: Path) -> None:
    text = explain(odd, "--target", "y", "--epochs", epochs, "--hidden", "4,4", tmp_path / "page.html")
    Page(text)
    assert "$a$ and $b$" in text and "名前" in text and "\x07" not in text


@pytest.mark.parametrize(
    "layers",
    [
        [st.Dense(6), st.BatchNorm(), st.Activation("relu"), st.Residual([st.Dense(6, "tanh")]), st.Dense(1)],
        [st.Dense(1)],
        [st.Dense(6, "relu", init="zeros"), st.Dense(1, init="zeros")],
        [st.Dense(3, "relu")] * 6 + [st.Dense(1)],
    ],
    ids=["residual", "single", "zeros", "deep"],
)
def test_models_of_any_layers(layers: list[st.Dense], odd: Path, tmp_path: Path) -> None:
    from steepest.files import read_table

    table = read_table(odd)
    encoder = TableEncoder().fit(table, np.asarray(table.column("y")), "regression", target_name="y")
    net = st.Network(encoder.n_features, layers, seed=0)
    net.preprocessing = encoder.to_dict()
    net.save(tmp_path / "model")
    page = Page(explain(odd, "--model", tmp_path / "model", tmp_path / "page.html"))
    drawn = [a["id"] for a, _ in page.all("svg")]
    assert ("table-net" in drawn) == all(isinstance(layer, st.Dense) for layer in layers)
    assert "table-gradients" in drawn and "table-slope-0" in drawn


@pytest.mark.filterwarnings("ignore:column 'copy'")
def test_findings_are_written_out(tmp_path: Path) -> None:
    kinds = np.random.default_rng(0).integers(0, 2, 200)
    lines = [f"{a:.4f},{k},{'yes' if k else 'no'}" for a, k in zip(normal(0, (200,)), kinds, strict=True)]
    (tmp_path / "leak.csv").write_text("\n".join(["a,copy,y", *lines]))
    page = Page(explain(tmp_path / "leak.csv", "--target", "y", "--epochs", 20, "--hidden", 8, tmp_path / "page.html"))
    findings = [text for attributes, text in page.all("section") if "finding" in (attributes.get("class") or "")]
    assert findings and findings[0].startswith("Leaking feature") and "What to do: " in findings[0]
    assert re.search(r"Column \d+ \(copy\) gives the target away", findings[0]), findings[0]


# --- One cost, one name ---


def words(page: Page) -> str:
    """All text of a page outside of its drawings."""
    return " ".join(text for _, text in page.all("p", "dt", "dd", "figcaption"))


def facts_of(page: Page) -> dict[str, str]:
    """The numbers at the head of a page by their names."""
    return dict(zip((t for _, t in page.all("dt")), (t for _, t in page.all("dd")), strict=True))


def own_page(
    layers: list[st.layers.Layer],
    *,
    classes: int = 3,
    epochs: int = 12,
    optimizer: st.Optimizer | None = None,
    smoothing: float = 0.0,
    validation: bool = True,
    callbacks: Sequence[st.Callback] = (),
    noise: float = 0.0,
    temperature: float = 1.0,
    **options: int,
) -> tuple[Subject, Page]:
    """The subject and the page of a network that was trained on a table of two columns and random ones."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 4))
    kinds = np.array(["cat", "dog", "sheep"])[np.minimum(1 * (x[:, 0] > 0) + (x[:, 1] > 1), classes - 1)]
    kinds = np.where(rng.random(240) < noise, kinds[::-1], kinds)
    table = {f"c{i}": column for i, column in enumerate(x.T)}
    encoder = TableEncoder().fit(table, kinds, "classification", target_name="kind")
    x, y = encoder.transform(table), encoder.encode_target(kinds)
    targets = (1 - smoothing) * np.eye(classes)[y] + smoothing / classes if smoothing else y
    net, recorder = st.Network(x.shape[1], layers, seed=0), Recorder(1, **options)
    trainer = st.Trainer(net, "cross_entropy", optimizer or st.Adam(0.01), seed=0)
    held = {"validation": (x[160:], y[160:])} if validation else {}
    history = trainer.fit(x[:160], targets[:160], epochs=epochs, callbacks=[*callbacks, recorder], **held)
    if temperature != 1:
        divide_logits(net, temperature)
    subject = table_subject(net, encoder, x[:160], targets[:160], history, recorder, temperature=temperature)
    return subject, Page(table_page(subject, encoder, "Pets.", {"accuracy": 0.875}, "on rows held out"))


NETWORKS: dict[str, list[st.layers.Layer]] = {
    "dropout": [st.Dense(16, "relu"), st.Dropout(0.5), st.Dense(3)],
    "batch norm": [st.Dense(16), st.BatchNorm(), st.Activation("relu"), st.Dropout(0.3), st.Dense(3)],
    "residual": [st.BatchNorm(), st.Dense(8, "tanh"), st.Residual([st.Dense(8, "relu"), st.Dense(8)]), st.Dense(3)],
    "bins": [st.PiecewiseLinearEmbedding(4, 3), st.Dense(8, "relu"), st.PiecewiseLinearEmbedding(2), st.Dense(3)],
    "labels": [st.CategoryEmbedding(2, 3, [0, 1]), st.Dense(8, "relu"), st.Dense(3)],
    "scale": [st.FeatureScale(6.0), st.Dense(8, "relu"), st.FeatureScale(), st.Dense(3)],
    "layer norm": [st.Dense(8), st.LayerNorm(), st.Activation("tanh"), st.Dense(3)],
    "embedding": [st.PeriodicEmbedding(6, 3, sigma=0.3), st.Dense(8, "relu"), st.PeriodicEmbedding(2, 1), st.Dense(3)],
}


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("kind", NETWORKS)
def test_r24_every_cost_on_the_page_is_the_plain_one(kind: str, temperature: float) -> None:
    """Smoothed labels and dropout in training, running statistics, the best epoch kept, a temperature afterwards."""
    seen: list[st.Network] = []
    watching = st.LambdaCallback(
        on_train_begin=lambda fit: seen.append(fit.trainer.network.copy()),
        on_epoch_end=lambda fit: seen.append(fit.trainer.network.copy()),
    )
    keeping = st.EarlyStopping(patience=100)
    subject, page = own_page(
        NETWORKS[kind], smoothing=0.2, noise=0.3, epochs=25, callbacks=[keeping, watching], temperature=temperature
    )
    course = subject.training
    assert course is not None and course.other_costs is not None and course.kept is not None
    assert course.epochs.tolist() == list(range(26)) and course.epochs[course.kept] == course.fit.best_epoch + 1
    assert sorted(set(subject.y.tolist())) == [0, 1, 2] and len(subject.sample()[0]) == 160

    assert subject.training.recorder.fit is not None and subject.training.recorder.fit.validation is not None
    others = subject.training.recorder.fit.validation[:2]
    for network, own, other in zip(seen, course.costs, course.other_costs, strict=True):
        trainer = st.Trainer(network, "cross_entropy")
        assert own == pytest.approx(trainer.evaluate(subject.x, subject.y)["loss"], rel=1e-5)
        assert other == pytest.approx(trainer.evaluate(*others)["loss"], rel=1e-5)
    # What the rest of the page is about is exactly the network of the moment that was kept.
    kept = seen[course.kept]
    assert all(np.array_equal(value, kept.parameters[name]) for name, value in subject.network.parameters.items())
    assert subject.cost == pytest.approx(course.costs[course.kept], rel=1e-9)
    landscape = _landscape._path_plane(subject)
    assert landscape is not None and landscape.cost == pytest.approx(subject.cost, rel=1e-9)
    for _, before, now in _landscape._curves(subject):
        assert before is not None and before.cost == pytest.approx(course.costs[0], rel=1e-9)
        assert now.cost == pytest.approx(subject.cost, rel=1e-9)
    start = contributions(subject.start, *subject.sample(), subject.loss)
    lengths = {layer.name: layer.gradient_norm for layer in start.layers}
    assert lengths == pytest.approx({n: course.recorder.series("gradient_norm", n)[0] for n in lengths}, rel=1e-9)

    facts, said = facts_of(page), words(page)
    assert facts["cost before training"] == html.to_text(course.costs[0])
    assert facts["cost after the last epoch"] == html.to_text(course.costs[-1])
    assert facts["cost with the weights kept"] == html.to_text(subject.cost)
    assert "first cost" not in facts and "last cost" not in facts
    assert f"at the cost {html.to_text(subject.cost)}" in said
    assert ("its temperature" in said) == (temperature != 1)


def test_r24_a_kept_epoch_that_the_path_has_dropped_is_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_recorder, "PATH_BYTES", 40_000)
    subject, page = own_page(
        [st.Dense(32, "relu"), st.Dense(3)], epochs=60, noise=0.3, optimizer=st.Adam(0.03),
        callbacks=[st.EarlyStopping(patience=100)], temperature=0.7,
    )  # fmt: skip
    course = subject.training
    assert course is not None and course.kept is not None and course.fit.best_epoch is not None
    assert len(course.epochs) < 20 and course.epochs[course.kept] == course.fit.best_epoch + 1
    assert course.costs[course.kept] == pytest.approx(subject.cost, rel=1e-9)
    assert f"after each of {len(course.epochs) - 1} epochs of the 60." in words(page)


def test_r24_weights_of_no_moment_are_said_to_be_such() -> None:
    encoder, x, y = pets(3)
    net, history, recorder = trained(encoder, x, y)
    net.set_parameters({name: 0.5 * value for name, value in net.parameters.items()})
    page = Page(table_page(table_subject(net, encoder, x, y, history, recorder, kept_best=False), encoder, "Pets.",
                           {"accuracy": 0.875}, "on rows held out"))  # fmt: skip
    assert "those of no moment of this line" in words(page)


@pytest.mark.parametrize("keeps", [False, True], ids=["last", "best"])
def test_r24_the_words_agree_about_rows_learned_by_heart(keeps: bool) -> None:
    callbacks = [st.EarlyStopping(patience=1000)] if keeps else []
    subject, page = own_page([st.Dense(64, "relu"), st.Dense(64, "relu"), st.Dense(3)], epochs=60, noise=0.3,
                             callbacks=callbacks)  # fmt: skip
    said, findings = words(page), [text for a, text in page.all("section") if "finding" in (a.get("class") or "")]
    assert subject.overfits and "the network learned its rows by heart." in said
    course = subject.training
    assert course is not None and course.other_costs is not None
    best = int(course.other_costs.argmin())
    assert f"It was lowest after epoch {best}, {html.to_text(course.other_costs[best])}" in said
    if keeps:
        assert f"but its weights are those that it had after epoch {best}." in said and not findings
    else:
        assert f"overfits since epoch {best}: the cost of the other rows was" in findings[0]
        assert "Nothing amiss" not in said


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, "to the end, what it learned held for them too|so the network has not learned its rows by heart"),
        ({"epochs": 1}, "In the only one the cost went from"),
        ({"optimizer": st.SGD(5.0), "epochs": 30}, "It went up, or up and down, in epochs"),
        ({"validation": False}, "The cost of all 160 rows that it trains on, before training and after every epoch"),
    ],
    ids=["healthy", "one epoch", "too fast", "no other rows"],
)
def test_r24_nothing_is_said_of_learning_by_heart_where_nothing_was(options: dict[str, Any], part: str) -> None:
    subject, page = own_page([st.Dense(8, "relu"), st.Dense(3)], **options)
    said = words(page)
    assert re.search(part, said), said
    assert not subject.overfits and "learned its rows by heart." not in said.replace(
        "not learned its rows by heart.", ""
    )
    drawn = {attributes["id"]: text for attributes, text in page.all("svg")}
    assert ("other rows" in drawn["table-cost-curve"]) == ("validation" not in options)


def test_r24_a_layer_has_one_name() -> None:
    """In the words of the diagnosis too, which knows it by its place in the network."""
    layers = [st.Dense(16), st.BatchNorm(), st.Activation("relu"), st.Dropout(0.1), st.Dense(3)]
    subject, page = own_page(layers, optimizer=st.SGD(5.0), epochs=30)
    findings = [text for a, text in page.all("section") if "finding" in (a.get("class") or "")]
    dead = next(text for text in findings if text.startswith("Dead units"))
    assert dead.startswith("Dead units, the Activation after layer 2 (BatchNorm)")
    assert "relu units of the Activation after layer 2 (BatchNorm) are dead" in dead
    drawn = [text for a, text in page.all("text") if a.get("class") == "heading"]
    assert drawn == ["Input", "Layer 1", "Output", "Cost"]
    assert subject.weight_title("4.weight", (2, 1)) == "from unit\u00a03 of layer\u00a01 to dog"


@pytest.mark.parametrize(
    ("name", "index", "title"),
    [
        ("0.weight", (0, 1), "from cosine\u00a01 of c3 to unit\u00a02 of layer\u00a01 (PeriodicEmbedding)"),
        ("0.weight", (3, 0), "from sine\u00a02 of c3 to unit\u00a01 of layer\u00a01 (PeriodicEmbedding)"),
        ("0.weight", (9, 2), "from the bias of c0 to unit\u00a03 of layer\u00a01 (PeriodicEmbedding)"),
        ("1.weight", (24, 4), "from c3 to unit\u00a05 of layer\u00a02"),
        ("1.weight", (34, 0), "from periodic number\u00a03 of c3 to unit\u00a01 of layer\u00a02"),
        ("1.weight", (35, 0), "from periodic number\u00a01 of c0 to unit\u00a01 of layer\u00a02"),
        (
            "3.weight",
            (18, 0),
            "from cosine\u00a01 of unit\u00a07 of layer\u00a02 to unit\u00a01 of layer\u00a03 (PeriodicEmbedding)",
        ),
        ("4.weight", (7, 1), "from unit\u00a08 of layer\u00a02 to dog"),
        ("4.weight", (9, 0), "from periodic number\u00a01 of unit\u00a02 of layer\u00a02 to cat"),
    ],
)
def test_weights_of_embeddings_have_titles(name: str, index: tuple[int, int], title: str) -> None:
    layers = [st.PeriodicEmbedding(2, 3, columns=[24, 0]), st.Dense(8, "relu"), st.Dropout(0.1)]
    subject, page = own_page([*layers, st.PeriodicEmbedding(1, 1, sigma=0.2), st.Dense(3)], epochs=2)
    assert subject.weight_title(name, index) == title
    assert "A PeriodicEmbedding puts sines and cosines of single numbers" in words(page)


@pytest.mark.parametrize(
    ("name", "index", "title"),
    [
        ("0.weight", (1, 2), "from label\u00a01 of c3 to unit\u00a03 of layer\u00a01 (CategoryEmbedding)"),
        ("0.weight", (2, 0), "from missing labels of c3 to unit\u00a01 of layer\u00a01 (CategoryEmbedding)"),
        ("0.weight", (7, 0), "from labels never seen of c0 to unit\u00a01 of layer\u00a01 (CategoryEmbedding)"),
        ("1.weight", (2, 1), "from bin\u00a03 of c1 to unit\u00a02 of layer\u00a02 (PiecewiseLinearEmbedding)"),
        ("1.weight", (3, 0), "from the bias of c1 to unit\u00a01 of layer\u00a02 (PiecewiseLinearEmbedding)"),
        ("1.weight", (5, 0), "from bin\u00a02 of number\u00a02 of c0 to unit\u00a01 of layer\u00a02 (Piecewise"),
        ("3.weight", (7, 4), "from c1 to unit\u00a05 of layer\u00a03"),
        ("3.weight", (31, 4), "from number\u00a02 of c3 to unit\u00a05 of layer\u00a03"),
        ("3.weight", (37, 4), "from binned number\u00a02 of c1 to unit\u00a05 of layer\u00a03"),
        ("3.weight", (39, 4), "from binned number\u00a02 of number\u00a02 of c0 to unit\u00a05 of layer\u00a03"),
        ("3.weight", (41, 4), "from binned number\u00a02 of c1 to unit\u00a05 of layer\u00a03"),
    ],
)
def test_weights_of_bins_and_labels_have_titles(name: str, index: tuple[int, int], title: str) -> None:
    front = [st.CategoryEmbedding([2, 2], 3, [24, 0]), st.PiecewiseLinearEmbedding(3, 2, columns=[7, 34])]
    layers = [*front, st.PiecewiseLinearEmbedding(2, columns=[7]), st.Dense(8, "relu"), st.Dense(3)]
    subject, page = own_page(layers, epochs=2)
    assert subject.weight_title(name, index).startswith(title)
    assert "in which of a number's bins it lies" in words(page) and "in the place of each label" in words(page)


def test_factors_of_columns_have_titles() -> None:
    subject, page = own_page([st.FeatureScale(6.0), st.Dense(8, "relu"), st.Dense(3)], epochs=2)
    assert subject.weight_title("0.scale", (0, 2)) == "scale of unit\u00a03 in layer 1 (FeatureScale)"
    assert subject.weight_title("1.weight", (24, 4)) == "from c3 to unit\u00a05 of layer\u00a02"
    assert "A FeatureScale multiplies each number by a learned factor" in words(page)


def test_a_weight_of_an_embedding_in_a_network_with_branches_has_a_title() -> None:
    layers = [st.PeriodicEmbedding(2, 3), st.Residual([st.Dense(128)]), st.Dense(3)]
    subject, _ = own_page(layers, epochs=2)
    of = "unit\u00a03 of layer\u00a01 (PeriodicEmbedding)"
    assert subject.weight_title("0.weight", (7, 2)) == f"from sine\u00a01 of input\u00a02 to {of}"
    assert subject.weight_title("1.0.weight", (7, 2)) == "from input\u00a08 to unit\u00a03 of layer 2"


# --- The animation of other chains ---


@pytest.mark.parametrize(
    ("layers", "folded"),
    [
        ([st.Dense(5, "relu"), st.Dropout(0.4), st.Dense(2)], False),
        ([st.BatchNorm(), st.Dense(5), st.BatchNorm(), st.Activation("tanh"), st.Dense(2)], True),
        ([st.FeatureScale(), st.Dense(5), st.FeatureScale(), st.Activation("tanh"), st.Dense(2)], True),
        ([st.BatchNorm(), st.FeatureScale(), st.Dense(5, "tanh"), st.FeatureScale(), st.Dense(2, bias=False)], True),
        ([st.Dense(5, "tanh"), st.BatchNorm(), st.Dropout(0.1), st.BatchNorm(), st.Dense(2, bias=False)], True),
        (
            [st.Dropout(0.2), st.Dense(4), st.Activation("leaky_relu", 0.2), st.Activation("identity"), st.Dense(2)],
            False,
        ),
        ([st.Dense(3, "relu")] * 9 + [st.Dense(2)], False),
    ],
    ids=["dropout", "norms", "scales", "scales after", "after tanh", "activation", "deep"],
)
def test_r24_chains_are_what_the_network_computes(layers: list[st.layers.Layer], folded: bool) -> None:
    net = shaken(st.Network(4, layers, seed=1), seed=2)
    chain = dense_chain(net)
    assert isinstance(chain, Chain) and chain.folded == folded
    assert all(isinstance(layer, st.Dense) for layer in chain.network.layers)
    assert [type(net.layers[int(name)]) for name in chain.names] == [st.Dense] * len(chain.network.layers)
    x = normal(3, (20, 4))
    assert_within(chain.network.predict(x), net.predict(x), 1e-5)


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ([st.Dense(4), st.LayerNorm(), st.Dense(2)], "a LayerNorm, whose scale is another one for every row"),
        ([st.Dense(2), st.PeriodicEmbedding(), st.Dense(2)], "a PeriodicEmbedding between other layers, whose sines"),
        ([st.Dense(2), st.PiecewiseLinearEmbedding(3), st.Dense(2)], "a PiecewiseLinearEmbedding between other layers"),
        ([st.Dense(2), st.CategoryEmbedding(3, 2, [0]), st.Dense(2)], "a CategoryEmbedding between other layers"),
        ([st.BatchNorm(), st.PiecewiseLinear(3), st.Dense(2)], "a PiecewiseLinear between other layers, whose lines"),
        ([st.Dense(4), st.Residual([st.Dense(4)]), st.Dense(2)], "a Residual block, past which a second way leads"),
        ([st.Activation("relu"), st.Dense(2)], "an activation that belongs to no dense layer"),
        ([st.Dense(2, "tanh"), st.BatchNorm()], "a normalization or scale that no dense layer follows"),
        ([st.Dense(2, "tanh"), st.FeatureScale()], "a normalization or scale that no dense layer follows"),
        ([st.BatchNorm()], "no dense layer"),
    ],
)
def test_r24_no_chain_says_why(layers: list[st.layers.Layer], why: str) -> None:
    found = dense_chain(st.Network(2, layers))
    assert isinstance(found, str) and found.startswith(why)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_single_columns_stand_in_front_of_a_chain(dtype: str) -> None:
    front = [st.PiecewiseLinear(5, columns=[2, 0]), st.PeriodicEmbedding(4, 3, columns=[2])]
    net = shaken(
        st.Network(4, [*front, st.Dense(5), st.BatchNorm(), st.Activation("relu"), st.Dense(2)], dtype=dtype), 2
    )
    chain, x = dense_chain(net), normal(3, (20, 4))
    assert isinstance(chain, Chain) and chain.front is not None and chain.names == ["2", "5"]
    assert [*chain.front.layers] == front and chain.network.n_in == 7
    assert_within(chain.network.predict(chain.front.predict(x)), net.predict(x), 1e-5)
    assert dense_chain(st.Network(4, front)) == "no dense layer"


def test_the_animation_begins_with_what_an_embedding_makes() -> None:
    layers = [st.PeriodicEmbedding(2, 3, columns=[24, 0]), st.Dense(8, "relu"), st.Dense(3)]
    subject, page = own_page(layers, epochs=2)
    example = subject.example()
    made = subject.start.predict(subject.x)
    assert [*example.inputs[:32]] == [*subject.inputs] and example.row.shape == (38,)
    assert [*example.inputs[34:36]] == ["periodic number\u00a03 of c3", "periodic number\u00a01 of c0"]
    assert_within(np.min(np.abs(made - example.network.predict(example.row[None])).max(axis=1)), 0, 1e-5)
    assert "The inputs are what the layers before the first dense one make of the row." in words(page)
    assert "table-net" in [a["id"] for a, _ in page.all("svg")]


@pytest.mark.parametrize("more", [["--hidden", "4"], []], ids=["hidden", "recipe"])
@pytest.mark.parametrize("rows", [120, 2700])
def test_r24_the_command_animates_any_own_table(rows: int, more: list[str], tmp_path: Path) -> None:
    x = normal(0, (rows, 3))
    lines = [f"{a:.3f},{b:.3f},{c:.3f},{'yes' if a > b else 'no'}" for a, b, c in x]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c,y", *lines]))
    page = Page(explain(tmp_path / "t.csv", "--target", "y", "--epochs", 8, *more, tmp_path / "page.html"))
    assert "table-net" in [a["id"] for a, _ in page.all("svg")]
    said = words(page)
    assert "Of layers of more than 3 units, the 3 are drawn that have the most part in the slopes" in said
    assert "cost before training" in facts_of(page)
    assert ("Dropout is off, as whenever the network answers." in said) == (rows > 2000)  # the recipe's


# --- Mistakes ---


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "TABLE is missing: expected a table with --target or --model, or --demo"),
        (["--demo", "pets.csv"], "TABLE does not go with --demo, which brings its own networks"),
        (["--demo", "--target", "kind"], "--target does not go with --demo"),
        (["--demo", "--epochs", "3"], "--epochs does not go with --demo"),
        (["pets.csv"], "pets.csv: expected --target NAME to train, or --model FILE"),
        *(
            (["pets.csv", "--model", "pets.model", *given], f"{given[0]} does not go with --model, which shows a net")
            for given in (
                ["--target", "kind"],
                ["--task", "auto"],
                ["--hidden", "8"],
                ["--epochs", "9"],
                ["--holdout", "0.2"],
                ["--seed", "0"],
            )
        ),
        (["pets.csv", "--target", "weight of"], "pets.csv: no column 'weight of'"),
        (["nothing.csv", "--target", "kind"], "nothing.csv: No such file or directory"),
        (["pets.csv", "--model", "nothing"], "nothing: No such file or directory"),
        (["pets.csv", "--model", "pets.csv"], "pets.csv: not a readable model file"),
        (["pets.csv", "--target", "kind", "--hidden", "wide"], "--hidden is 'wide'"),
        (["pets.csv", "--target", "kind", "--epochs", "0"], "--epochs is 0"),
        (["pets.csv", "--target", "kind", "--holdout", "1"], "--holdout is 1.0"),
        (["--demo", "--seed", "-1"], "--seed is -1"),
        (["--demo", "--out", "no/page.html"], "--out no/page.html: there is no folder "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_are_answered_by_one_line(
    arguments: list[str],
    part: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = written("model", tmp_path_factory).parent
    before = sorted(folder.iterdir())
    monkeypatch.chdir(folder)
    assert cli.main(["explain", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("steepest: ") and err.count("\n") == 1 and part in err, err
    assert sorted(folder.iterdir()) == before


def test_without_matplotlib_nothing_is_trained(tmp_path: Path) -> None:
    script = "import sys; sys.modules['matplotlib'] = None; from steepest.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "explain", "--demo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        "steepest: the charts need matplotlib, which is not installed: pip install 'steepest[plot]'\n"
    )
    assert not list(tmp_path.iterdir())


# --- Subjects from a network, an encoder and a recorder ---


def pets(classes: int) -> tuple[TableEncoder, np.ndarray, np.ndarray]:
    """An encoder of a table of two columns, its rows, and their classes."""
    x = normal(0, (120, 2))
    kinds = np.array(["cat", "dog", "sheep"])[np.minimum(1 * (x[:, 0] > 0) + (x[:, 1] > 1), classes - 1)]
    table = {"weight": x[:, 0], "height": x[:, 1]}
    encoder = TableEncoder().fit(table, kinds, "classification", target_name="kind")
    return encoder, encoder.transform(table), encoder.encode_target(kinds)


def trained(
    encoder: TableEncoder, x: np.ndarray, y: np.ndarray, loss: str = "cross_entropy", n_out: int = 3, **options: int
) -> tuple[st.Network, st.callbacks.History, Recorder]:
    """A network trained while a recorder watched."""
    net, recorder = st.Network(x.shape[1], [st.Dense(6, "tanh"), st.Dense(n_out)], seed=0), Recorder(1, **options)
    history = st.Trainer(net, loss, st.Adam(0.01), seed=0).fit(x, y, epochs=12, callbacks=[recorder])
    return net, history, recorder


@pytest.mark.parametrize("classes", [2, 3])
def test_subject_of_a_training(classes: int) -> None:
    encoder, x, y = pets(classes)
    loss, n_out, target = ("cross_entropy", 3, y) if classes == 3 else ("binary_cross_entropy", 1, y[:, None])
    net, history, recorder = trained(encoder, x, target, loss, n_out)
    subject = table_subject(net, encoder, x, y, history, recorder)
    assert subject.loss == loss
    assert list(subject.outputs) == (["cat", "dog", "sheep"] if classes == 3 else ["dog"])
    page = Page(table_page(subject, encoder, "Pets.", {"accuracy": 0.875}, "on rows held out"))
    assert "table-cost-curve" in [a["id"] for a, _ in page.all("svg")]
    assert ("right on rows held out", "88%") in zip(
        (t for _, t in page.all("dt")), (t for _, t in page.all("dd")), strict=True
    )
    without = table_subject(net, encoder, x, y)
    assert without.training is None and without.loss == loss
    model = of_model(net, encoder, x, y)
    assert (model.network, model.outputs, model.columns) == (net, without.outputs, without.columns)


def test_subject_of_smoothed_labels_is_that_of_the_labels() -> None:
    encoder, x, y = pets(3)
    net, history, recorder = trained(encoder, x, 0.9 * np.eye(3)[y] + 0.1 / 3)
    example = table_subject(net, encoder, x, y).example()
    assert recorder.fit is not None and recorder.fit.data is not None
    smoothed = table_subject(net, encoder, *recorder.fit.data[:2], history, recorder)
    page = Page(table_page(smoothed, encoder, "Pets.", {"accuracy": 0.875}, "on rows held out"))
    assert "table-net" in [a["id"] for a, _ in page.all("svg")]
    assert sorted(example.target) == sorted(smoothed.example().target) == [0, 0, 1]
    assert smoothed.y.tolist() == y.tolist()


def test_metrics_have_the_names_of_the_library() -> None:
    assert measured({"r2": 0.5, "mae": 2.0, "rmse": 3.0}, "here") == [("R² here", "0.5"), ("mean error here", "2")]
    assert measured({"accuracy": 0.5, "log_loss": 1.0}, "here") == [("right here", "50%")]


def test_subjects_that_do_not_fit_are_refused() -> None:
    encoder, x, y = pets(3)
    net, history, recorder = trained(encoder, x, y)
    with pytest.raises(ValueError, match="history is given and recorder is None: expected both, of one training"):
        table_subject(net, encoder, x, y, history)
    with pytest.raises(ValueError, match="recorder is given and history is None"):
        table_subject(net, encoder, x, y, recorder=recorder)
    other = st.Network(x.shape[1], [st.Dense(3)])
    with pytest.raises(ValueError, match=r"recorder has a path of \d+ weights: expected one of this network's"):
        table_subject(other, encoder, x, y, history, recorder)
    net, history, recorder = trained(encoder, x, y, path_every=0)
    with pytest.raises(ValueError, match="recorder has a path of 0 weights: .* with path_every >= 1"):
        table_subject(net, encoder, x, y, history, recorder)
    net, history, recorder = trained(encoder, x, y * 1.0, "huber", 1)
    with pytest.raises(ValueError, match="trained by the loss huber: expected one of cross_entropy"):
        table_subject(net, encoder, x, y, history, recorder)
