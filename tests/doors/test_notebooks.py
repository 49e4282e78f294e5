"""How things look in a notebook: as HTML, whose text cannot become markup; and a notebook that is run."""

from __future__ import annotations

import math
from typing import Any
from xml.etree import ElementTree

import pytest

import steepest as st
from helpers import normal

X = normal(0, (60, 3))


def parsed(shown: Any) -> ElementTree.Element:
    html = shown._repr_html_()
    assert isinstance(html, str)
    return ElementTree.fromstring(f"<all>{html}</all>")


def texts(element: ElementTree.Element, name: str) -> list[str]:
    return ["".join(found.itertext()) for found in element.iter(name)]


def test_a_network_is_a_table_of_its_layers() -> None:
    network = st.Network(3, [st.Dense(8, "relu"), st.Residual([st.Dense(8)]), st.Dense(2)])
    found = parsed(network)
    assert texts(found, "caption") == ["Network: 3 -> 2, float32"]
    rows = [[*texts(row, "th"), *texts(row, "td")] for row in found.iter("tr")]
    assert rows[1] == ["0 Dense", "8", "relu", "32", "128", "48"]
    assert all(cell in str(network) for row in rows for cell in row)


def test_a_history_is_lines_and_numbers() -> None:
    trainer = st.Trainer(st.Network(3, [st.Dense(1)]), "mse", st.SGD(0.1))
    history = trainer.fit(X, X[:, 0], epochs=5, validation=(X, X[:, 0]))
    found = parsed(history)
    lines = [line.attrib["points"].split() for line in found.iter("polyline")]
    assert [len(line) for line in lines] == [5, 5]
    assert f"{history['loss'][-1]:.4g}" in texts(found, "td")
    heights = [float(point.split(",")[1]) for point in lines[0]]
    assert heights == sorted(heights) and heights[0] >= 0 and heights[-1] <= 120  # the loss falls: down the picture


def test_odd_histories_are_drawn_too() -> None:
    assert "0 epochs" in "".join(parsed(st.History()).itertext())
    history = st.History()
    for loss in (math.nan, math.inf, 0.0, 5e-324, 1e300):
        history.append({"loss": loss, "learning_rate": 0.1})
    assert len(list(parsed(history).iter("polyline"))) == 1
    only_nan = st.History()
    only_nan.append({"loss": math.nan})
    assert not list(parsed(only_nan).iter("svg"))
    long = st.History()
    for i in range(100_000):
        long.append({"loss": 1 / (i + 1)})
    assert len(long._repr_html_()) < 10_000


def test_text_cannot_become_markup() -> None:
    history = st.History("<script>")
    history.append({"loss": 1.0, "<script>": 2.0, "val_<img src=x onerror=y>": 3.0})
    assert "<script" not in history._repr_html_() and "<img" not in history._repr_html_()


@pytest.mark.parametrize("fitted", [False, True])
def test_estimators_have_scikit_learn_s_own(fitted: bool) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    model = st.MLPClassifier(max_iter=2, hidden_layer_sizes=(4,))
    if fitted:
        model.fit(X, X[:, 0] > 0)
    bundle = model._repr_mimebundle_()
    assert "MLPClassifier" in bundle["text/html"] and "max_iter" in bundle["text/html"]


CELLS = (
    "import steepest as st\nnet = st.Network(2, [st.Dense(1)])\nnet",
    "trainer = st.Trainer(net, 'mse')\ntrainer.fit([[0, 1], [1, 0]], [1, 0], epochs=3, callbacks=[st.Progress()])",
    "st.MLPRegressor(max_iter=2, callbacks=[st.Progress()]).fit([[0.0], [1.0], [2.0]] * 9, [0.0, 1.0, 2.0] * 9)",
)


@pytest.mark.filterwarnings("ignore")  # of zmq's loop, and of how kernels are started
def test_a_notebook_runs() -> None:
    """The bar is a widget in a notebook where ipywidgets is installed, and text where it is not."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    first, second, third = ([output.get("data", output) for output in cell.outputs] for cell in notebook.cells)
    shown = f"{notebook.metadata}{second}{third}".replace("\\u2007", " ")  # the state of widgets, or text
    assert "<table>" in first[0]["text/html"]
    assert "<svg" in second[-1]["text/html"] and "epoch 3/3" in shown
    assert "MLPRegressor" in third[-1]["text/html"] and "epoch 2/2" in shown
