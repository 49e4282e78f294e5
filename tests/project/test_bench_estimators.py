"""The benchmark of the estimators: that it measures what it says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import estimators
import steepest as st

CASE = "one of 100"


@pytest.fixture(autouse=True)
def as_many_threads_as_before() -> Any:
    threads = st.get_num_threads()
    yield
    st.set_num_threads(threads)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_row_is_predicted_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimators, "CALLS", 100)
    ours, others = (estimators.predict(mine, CASE) for mine in (True, False))
    assert ours.keys() == {"float32", "float64", "networks"} and others.keys() == {"float32"}
    assert min(*ours.values(), *others.values()) > 0


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_both_fits_do_the_same_work(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimators, "SHARED", shared_data)
    monkeypatch.setattr(estimators, "MNIST_ROWS", 1000)
    ours, others = (estimators.fit(mine, (100,), 200, 1) for mine in (True, False))
    assert ours["loss"] == pytest.approx(others["loss"], rel=0.1) and ours["seconds"] > 0


def test_the_cases_are_the_recipes_they_name() -> None:
    networks = {case: estimators.fitted(True, case).networks_ for case in (CASE, "default, small", "default, large")}
    assert [len(own) for own in networks.values()] == [1, 5, 4]
    assert isinstance(networks["default, large"][0].layers[1], st.PeriodicEmbedding)
    first = [next(layer for layer in net.layers if isinstance(layer, st.Dense)) for (net, *_) in networks.values()]
    assert [layer.n_out for layer in first] == [100, 128, 128]
